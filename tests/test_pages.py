"""The pages of the package keep their order: each imports only from pages above it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import jobstate

ROOT = Path(jobstate.__file__).parent

# Bottom up: what stands further down may import what stands above it, at run time.
ORDER = [
    "jobstate._portable",
    "jobstate._errors",
    "jobstate._run_errors",
    "jobstate._store_errors",
    "jobstate._ids",
    "jobstate._status",
    "jobstate._records",
    "jobstate._loop",
    "jobstate._spawn",
    "jobstate._arguments",
    "jobstate._stored",
    "jobstate._json",
    "jobstate._codec",
    "jobstate._turn",
    "jobstate._table",
    "jobstate._check",
    "jobstate._compile",
    "jobstate._layout",
    "jobstate._drawing",
    "jobstate._declared",
    "jobstate._lifecycle",
    "jobstate._job_lifecycle",
    "jobstate._waiting",
    "jobstate.abc",
    "jobstate._observers",
    "jobstate._own",
    "jobstate._standing",
    "jobstate._replay",
    "jobstate._transit",
    "jobstate._moving",
    "jobstate._threadsafe",
    "jobstate._job",
    "jobstate._several",
    "jobstate._registry",
    "jobstate._all_changes",
    "jobstate._jobs",
    "jobstate.observability",
    "jobstate.observability.structlog",
    "jobstate.stores._asked",
    "jobstate.stores._folder",
    "jobstate.stores._forks",
    "jobstate.stores._claims",
    "jobstate.stores._feeds",
    "jobstate.stores.memory",
    "jobstate.stores._desk",
    "jobstate.stores._doorbell",
    "jobstate.stores._sqlite_errors",
    "jobstate.stores._sqlite_schema",
    "jobstate.stores._sqlite_file",
    "jobstate.stores._sqlite_reading",
    "jobstate.stores._sqlite_rows",
    "jobstate.stores._sqlite_upkeep",
    "jobstate.stores._sqlite_waking",
    "jobstate.stores.sqlite",
    "jobstate.stores",
    "jobstate._attempt",
    "jobstate._command",
    "jobstate.executors._ends",
    "jobstate.executors._plain",
    "jobstate.executors._process",
    "jobstate.executors._watchdog",
    "jobstate.executors.commands",
    "jobstate.executors.processes",
    "jobstate.executors.tasks",
    "jobstate.executors.threads",
    "jobstate.executors",
    "jobstate._heap",
    "jobstate._timers",
    "jobstate._retry",
    "jobstate._recipe",
    "jobstate._paging",
    "jobstate._reports",
    "jobstate._restore",
    "jobstate._keeper",
    "jobstate._handle",
    "jobstate._block",
    "jobstate.jobs",
    "jobstate._line",
    "jobstate._work",
    "jobstate._conclude",
    "jobstate._foreign",
    "jobstate._adopted",
    "jobstate._attempts",
    "jobstate._dispatch",
    "jobstate._options",
    "jobstate._places",
    "jobstate._recovery",
    "jobstate._runner",
    "jobstate",
    "jobstate._blocking_job",
    "jobstate.blocking",
    "jobstate.testing._schedule",
    "jobstate.testing._chart",
    "jobstate.testing._world",
    "jobstate.testing._actors",
    "jobstate.testing._watch",
    "jobstate.testing._verdict",
    "jobstate.testing._game",
    "jobstate.testing._paths",
    "jobstate.testing._explore",
    "jobstate.testing._store_tools",
    "jobstate.testing._store_keeping",
    "jobstate.testing._store_writing",
    "jobstate.testing._store_listing",
    "jobstate.testing._store_following",
    "jobstate.testing._store_closing",
    "jobstate.testing._store_durable",
    "jobstate.testing._store_pruning",
    "jobstate.testing._store_claiming",
    "jobstate.testing._stores",
    "jobstate.testing",
    "jobstate._demo.work",
    "jobstate._demo.plan",
    "jobstate._demo.report",
    "jobstate._demo.run",
    "jobstate._demo.lines",
    "jobstate._demo.live",
    "jobstate._demo",
    "jobstate._verbs",
    "jobstate._store_shown",
    "jobstate._store_watch",
    "jobstate._store_commands",
    "jobstate.cli",
    "jobstate.__main__",
]

# What neighbours that only listen or carry may know of the package.
INTERFACES = {"jobstate.abc", "jobstate._records", "jobstate._errors"}

# What stores may know besides: what they keep, its form and names, their errors, to wake who waits.
OF_STORES = {
    "jobstate._codec",
    "jobstate._ids",
    "jobstate._loop",
    "jobstate._portable",
    "jobstate._run_errors",
    "jobstate._store_errors",
    "jobstate._stored",
}

# Which pages import what is not ours and not of the standard library.
NEIGHBOURS = {
    "transitions": {"jobstate._compile"},
    "structlog": {"jobstate.observability.structlog", "jobstate._demo"},
    "rich": {"jobstate._demo", "jobstate._demo.live"},
    "trio": {"jobstate.testing._schedule"},
    "uvloop": set(),
    "sniffio": set(),
}

LONGEST = 450

# They have one timer: for all jobs of a runner, and for all progress that is to be stored.
HAS_TIMER = {"jobstate._dispatch", "jobstate._reports"}

# They play a task that hangs, on a clock that is not real.
MAY_SLEEP = {"jobstate.testing._schedule", "jobstate.testing._actors"}
SLEEPING = {"sleep", "sleep_until", "sleep_forever", "call_later", "call_at", "Timer"}


class Import(NamedTuple):
    """One module that a page imports, and the names it takes from it."""

    module: str
    names: tuple[str, ...] = ()


def page_name(path):
    """Return the name under which a page is imported."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PAGES = {page_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def last_name(node):
    """Return ``c`` for a name ``c`` or ``a.b.c``, and ``None`` for whatever is no name."""
    return getattr(node, "attr", None) or getattr(node, "id", None)


def imports(source, page, *, is_package=False, pages=frozenset(PAGES)):
    """Return what a page imports at run time: anywhere in it, but for type checkers alone."""
    home = page if is_package else page.rpartition(".")[0]
    found = []

    def visit(node):
        if isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING":
            children = node.orelse
        else:
            children = ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = home.split(".")[: home.count(".") + 2 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            names = [alias.name for alias in node.names]
            inner = [name for name in names if f"{module}.{name}" in pages]
            found.extend(Import(f"{module}.{name}") for name in inner)
            if names != inner:
                found.append(Import(module, tuple(n for n in names if n not in inner)))
        elif isinstance(node, ast.Call) and last_name(node.func) == "import_module":
            found.append(Import(ast.literal_eval(node.args[0])))
        for child in children:
            visit(child)

    visit(ast.parse(source))
    return found


@cache
def imports_of(page):
    """Return what a page of the package imports at run time."""
    path = PAGES[page]
    return imports(path.read_text(encoding="utf-8"), page, is_package=path.name == "__init__.py")


def ours(page):
    """Return the pages of the package that a page imports at run time."""
    return [each for each in imports_of(page) if each.module.split(".")[0] == "jobstate"]


@pytest.mark.parametrize(
    ("source", "page", "is_package", "expected"),
    [
        ("import a.b, c", "p.x", False, [Import("a.b"), Import("c")]),
        ("from ._y import f, g", "p.x", False, [Import("p._y", ("f", "g"))]),
        ("from .._y import f", "p.q.x", False, [Import("p._y", ("f",))]),
        ("from ._y import f", "p.q", True, [Import("p.q._y", ("f",))]),
        ("from .. import f", "p.q", True, [Import("p", ("f",))]),
        ("from . import y, f", "p.x", False, [Import("p.y"), Import("p", ("f",))]),
        ("from p import y", "z", False, [Import("p.y")]),
        ("def f():\n    from ._y import g", "p.x", False, [Import("p._y", ("g",))]),
        (
            "try:\n    import a\nexcept ImportError: import b",
            "x",
            False,
            [Import("a"), Import("b")],
        ),
        ("if version:\n    import a\nelse:\n    import b", "x", False, [Import("a"), Import("b")]),
        ("x = importlib.import_module('a').b", "x", False, [Import("a")]),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", "x", False, [Import("b")]),
        ("if typing.TYPE_CHECKING:\n    import a", "x", False, []),
        ("if not TYPE_CHECKING:\n    import a", "x", False, [Import("a")]),
    ],
)
def test_imports_are_read(source, page, is_package, expected):
    """Every import that runs is found, wherever it stands, and one for type checkers is not."""
    assert imports(source, page, is_package=is_package, pages={"p.y"}) == expected


def test_every_page_has_its_place():
    """The order names every page of the package, once, and nothing else."""
    assert sorted(ORDER) == sorted(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_imports_only_from_pages_above_it(page):
    """What a page needs at run time stands further up, so that no page is part of a circle."""
    above = ORDER[: ORDER.index(page)]
    assert [each.module for each in ours(page) if each.module not in above] == []


def test_each_neighbour_is_imported_at_its_door():
    """One page alone imports `transitions`; nothing optional is imported outside its own page."""
    assert {
        name: {
            page for page in PAGES for each in imports_of(page) if each.module.split(".")[0] == name
        }
        for name in NEIGHBOURS
    } == NEIGHBOURS


def may_know_of_stores(module):
    """Whether a store may import a page that is none of the interfaces."""
    return module in OF_STORES or module.startswith("jobstate.stores._")


def test_pages_that_listen_know_the_interfaces_alone():
    """A page that listens, or carries, knows no other page of its kind, and nothing of a job."""
    kinds = ("stores", "sources", "observability")
    listening = [page for page in PAGES if page.split(".")[1:2] and page.split(".")[1] in kinds]
    assert "jobstate.observability.structlog" in listening
    beyond = {
        (page, each.module, name)
        for page in listening
        for each in ours(page)
        if each.module not in INTERFACES
        and not (page.startswith("jobstate.stores") and may_know_of_stores(each.module))
        for name in each.names or [""]
    }
    assert beyond == {
        ("jobstate.observability.structlog", "jobstate._compile", "name_of"),
        ("jobstate.observability.structlog", "jobstate._portable", "printable"),
    }


def test_executors_know_attempts_and_nothing_of_jobs():
    """Each way of running work knows the attempt and the errors, and no other way."""
    folder = "jobstate.executors."
    executors = [page for page in PAGES if page.startswith(folder)]
    known = {each.module for page in executors for each in ours(page)}
    assert {module for module in known if not module.startswith(f"{folder}_")} <= {
        "jobstate._attempt",
        "jobstate._command",
        "jobstate._errors",
        "jobstate._loop",
        "jobstate._portable",
        "jobstate._records",
        "jobstate._run_errors",
        "jobstate._status",
    }


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_read_at_a_sitting(page):
    """No page is longer than 450 lines, and each opens with its purpose."""
    source = PAGES[page].read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("page", sorted(set(PAGES) - MAY_SLEEP))
def test_nobody_sleeps_or_polls(page):
    """No page sets a timer or sleeps for a while; whoever waits is woken."""
    source = PAGES[page].read_text(encoding="utf-8")
    assert "sleep(" not in source
    assert ("deadline=" in source) is (page in HAS_TIMER)
    nodes = list(ast.walk(ast.parse(source)))
    imported = {node.name for node in nodes if isinstance(node, ast.alias)}
    assert (imported | set(map(last_name, nodes))) & SLEEPING == set()
