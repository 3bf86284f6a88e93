"""Mutants are small faults, each in one piece of a page; the page says what became of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture
def page_of(pages_in):
    """Return what imports a page of `mutation`, which is no package of tests."""
    return pages_in(ROOT / "tests" / "mutation")


@pytest.fixture
def mutants(page_of):
    return page_of("mutants").mutants


@pytest.fixture
def core(page_of):
    """The text of each core page, by its name."""
    names = page_of("pages").PAGES
    return {name: (ROOT / "jobstate" / f"{name}.py").read_text(encoding="utf-8") for name in names}


@pytest.fixture
def records(page_of):
    return page_of("record").load(REFERENCE / "mutation.json")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("f()", ["pass"]),
        ("await f()", ["pass"]),
        ("del a", ["pass"]),
        ("raise a", ["pass"]),
        ("a.b = c", ["pass"]),
        ("a[0] = c", ["pass", "1"]),
        ("a.b: int = c", ["pass"]),
        ("a = c", []),
        ("a += 1", ["pass", "2"]),
        ("return", ["pass"]),
        ("return a", ["return None"]),
        ("return None", []),
        ("for a in b: break", ["()", "continue"]),
        ("while True: continue", ["False", "break"]),
        ("while a: f()", ["False", "pass"]),
        ("if a == b: f()", ["True", "False", "pass"]),
        ("if a < b: f()", ["True", "False", "(a <= b)", "pass"]),
        ("if not a: f()", ["True", "False", "pass"]),
        ("a = not b", ["(b)"]),
        ("a = b is c", ["(b is not c)"]),
        ("a = b if c else d", ["True", "False"]),
        ("a = b and c and d", ["(c and d)", "(b and d)", "(b and c)"]),
        ("a = b or c", ["(c)", "(b)"]),
        ("a = b + c", ["(b - c)"]),
        ("a = b % c", []),
        ("a = [b for b in c if d]", ["True"]),
        ("a = f(b, c=d)", ["f(b)"]),
        ("a = f(**b)", []),
        ("a = lambda: b", ["None"]),
        ("a = ''", ["'XX'"]),
        ("a = 'b'", ["'XXbXX'"]),
        ("a = f'{b!r} is {0}'", ['"XX"']),
        ("try: f()\nexcept (A, B): raise", ["pass", "(B,)", "(A,)", "pass"]),
        ("try: f()\nexcept BaseException: raise", ["pass", "Exception", "pass"]),
    ],
)
def test_a_piece_is_broken_in_each_small_way(mutants, source, expected):
    """What is left out, decided, turned or changed, of each kind of statement and expression."""
    assert sorted(each.after for each in mutants("_page", source)) == sorted(expected)


@pytest.mark.parametrize(
    "source",
    [
        '"""A page."""',
        'def f() -> "int":\n    """Return nothing."""',
        "def f(a: int | None, *, b: Literal['b']) -> str: ...",
        "a: list[int | str] = b",
        "if TYPE_CHECKING:\n    f()",
        "if sys.version_info >= (3, 13):\n    f()\nelse:\n    g()",
        "@overload\ndef f(a=1): ...",
        "class A(Generic[T]):\n    __slots__ = ('a', 'b')",
        "T = TypeVar('T', bound=str)",
        "Place = tuple[Literal['status'], str | int]",
        "Listeners: TypeAlias = A | None",
    ],
)
def test_what_no_run_can_tell_is_left_alone(mutants, source):
    """Annotations, docstrings and what only type checkers read have no mutants."""
    assert [each.key for each in mutants("_page", source)] == []


def test_a_mutant_differs_in_its_piece_alone(mutants):
    """Comments, other lines and letters beyond ASCII stay as they are, and so do line numbers."""
    source = dedent("""\
        class A:
            def f(self):
                é = "µ" + "ß"  # a comment
                return é
        """)
    found = [each for each in mutants("_page", source) if each.after == "'XXßXX'"]
    assert [each.source for each in found] == [source.replace('"ß"', "'XXßXX'")]
    assert found[0].key == "_page, A.f: \"ß\" → 'XXßXX'"
    assert found[0].line == 3


def test_mutants_of_a_kind_are_counted(mutants):
    """Two that look the same have different names."""
    found = mutants("_page", "def f():\n    g()\n    g()\n")
    assert [each.key for each in found] == ["_page, f: g() → pass", "_page, f#2: g() → pass"]


def test_the_core_pages_have_mutants(mutants, core):
    """Each has some, no two of which have one name, and none is the page as it is."""
    for name, source in core.items():
        found = mutants(name, source)
        assert found != [], name
        assert len({each.key for each in found}) == len(found)
        assert source not in {each.source for each in found}


def test_every_core_page_has_tests(page_of):
    """The tests that a mutant is put before are there, those of its own page first."""
    for name, tests in page_of("pages").PAGES.items():
        assert [each for each in tests if not (ROOT / "tests" / f"test_{each}.py").is_file()] == []
        own = name.removeprefix("_")
        assert own == tests[0] or not (ROOT / "tests" / f"test_{own}.py").is_file()


def test_how_the_tests_end_is_the_verdict(page_of):
    """It survived if no test failed; any other end, a crash included, says it was noticed."""
    verdict = page_of("trial").verdict
    assert verdict(0, "") == "survived"
    assert {verdict(status, "1 failed") for status in (1, 2, 3, 4, -11)} == {"killed"}
    assert verdict(1, "Failed: Timeout (>10.0s) from pytest-timeout.") == "timeout"
    assert verdict(None, "") == "timeout"


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "–"), (1, 1, "100.0 %"), (9999, 10000, "99.9 %"), (1, 3, "33.3 %")],
)
def test_a_share_is_not_rounded_up(page_of, part, whole, said):
    """A hundred percent are all of them."""
    assert page_of("report").percent(part, whole) == said


def test_every_explanation_is_of_some_mutant(page_of, mutants, core):
    """What is said to survive can still be put into the page, and has one reason."""
    found = [each.key for name, source in core.items() for each in mutants(name, source)]
    explained = [key for keys in page_of("survivors").EXPLAINED.values() for key in keys]
    assert [key for key in explained if not any(each.startswith(key) for each in found)] == []
    for key in found:
        assert len([each for each in explained if key.startswith(each)]) <= 1, key


def test_the_figures_add_up(page_of, records):
    """Each core page has its figures, and where not all mutants were tried, the seed is known."""
    assert [record.page for record in records] == list(page_of("pages").PAGES)
    for record in records:
        assert 0 < record.tried <= record.mutants
        assert (record.seed is None) == (record.tried == record.mutants)
        assert record.killed + record.timeouts + len(record.survived) == record.tried
        assert {key.partition(",")[0] for key in record.survived} <= {record.page}


def test_the_page_says_what_the_figures_say(page_of, records):
    """The page of the documentation is written from the figures kept beside it."""
    expected = page_of("report").page(records)
    assert (REFERENCE / "mutation.md").read_text(encoding="utf-8") == expected
