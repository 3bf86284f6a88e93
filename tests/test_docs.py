"""What the documentation says is so: its examples, drawings, tables, links and lists of names."""

from __future__ import annotations

import ast
import inspect
import os
import re
import runpy
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from pkgutil import resolve_name

import pytest
import structlog
from structlog.testing import capture_logs

import jobstate
import jobstate.abc
import jobstate.executors
import jobstate.stores
import jobstate.testing
from jobstate import (
    JOB_LIFECYCLE,
    Cancellation,
    HookFailed,
    Job,
    Jobs,
    JobStateError,
    JobStatus,
    Lifecycle,
    Refused,
)

TESTS = Path(__file__).parent
ROOT = TESTS.parent
DOCS = ROOT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *PAGES]
FENCE = re.compile(r"^(`{3,})(\S*)[^\n]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


def text(path):
    """Return what a file of the repository says, by its path from the root."""
    return (ROOT / path).read_text(encoding="utf-8")


def name_of(path):
    """Return how a file is called in the name of a test."""
    return path.relative_to(ROOT).as_posix()


def blocks(path, kind):
    """Return what stands in the blocks of a kind."""
    return [body for _, found, body in FENCE.findall(text(path)) if found == kind]


def prose(path):
    """Return what a page says outside of its blocks and its inline code."""
    return re.sub(r"(`+)[^`]+?\1", "", FENCE.sub("", text(path)))


def rows(source):
    """Return the cells of each row of the tables in a text, heads and rules left out."""
    found = []
    for table in re.findall(r"^\|.*(?:\n\|.*)*", source, re.MULTILINE):
        lines = [[c.strip() for c in line.strip("|").split("|")] for line in table.split("\n")]
        found += lines[2:]
    return found


# --- examples -------------------------------------------------------------------------------


PROGRAMS = [path for path in EXAMPLES if path.name != "web.py"]  # a server: it has its own tests


@pytest.mark.parametrize("path", PROGRAMS, ids=name_of)
def test_example_prints_what_it_says(path):
    """An example is a program of its own, which prints what stands at its end; nothing warns."""
    _, _, said = path.read_text(encoding="utf-8").partition("\n# Prints:\n")
    run = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env={
            **os.environ,
            "PYTHONSAFEPATH": "1",
            "PYTHONPATH": str(Path(jobstate.__file__).parents[1]),
        },
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    complaints = [line for line in run.stderr.splitlines() if "walresetbug" not in line]
    assert (run.returncode, complaints) == (0, [])
    assert said
    assert [f"# {line}" for line in run.stdout.splitlines()] == said.splitlines()


def test_an_orchestrator_takes_few_lines():
    """The one with dependencies, retries and a stream of changes has less than 80 lines."""
    source = text("docs/examples/dag.py")
    assert len(source.splitlines()) < 80
    assert set(re.findall(r"jobstate[.\w]*", source)) == {"jobstate"}
    assert not re.search(r"\._|import _", source)


def test_every_example_is_on_a_page():
    """Pages show the examples that there are, and each example is shown."""
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"^```\{literalinclude\} (\S+)", text(page), re.MULTILINE)
    }
    assert shown == set(EXAMPLES)


# --- drawings and tables --------------------------------------------------------------------


def test_mermaid_drawings_are_the_lifecycle():
    """The README draws the lifecycle from its table; a page that has such a drawing does too."""
    drawings = [drawing for path in TEXTS for drawing in blocks(path, "mermaid")]
    assert blocks("README.md", "mermaid") != []
    assert {drawing.strip() for drawing in drawings} == {JOB_LIFECYCLE.mermaid().strip()}


def said_of_members(enum):
    """Return the members of an enum with what stands below each."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(enum)).body)
    for member, words in pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(words, ast.Expr):
            yield member.targets[0].id, ast.literal_eval(words.value)


def test_readme_says_of_each_status_what_its_member_says():
    """The table of statuses has the words that stand below each member of `JobStatus`."""
    said = dict(said_of_members(JobStatus))
    table = {status: words for status, words in rows(text("README.md")) if status in said}
    assert set(said) == set(JobStatus)
    assert table == said


def test_guide_says_of_each_answer_what_its_member_says():
    """The table of what comes of cancelling has the words that stand below each member."""
    said = dict(rows(text("docs/howto/cancelling.md")))
    assert said == dict(said_of_members(Cancellation))


@pytest.mark.parametrize("status", JobStatus)
def test_glossary_says_what_comes_next(status):
    """Each status has an entry, which names those that one transition leads to, if any."""
    entries = re.findall(
        r"^([A-Z]+)\n: (.*?)\n\n", text("docs/reference/statuses.md"), re.MULTILINE | re.DOTALL
    )
    onward = re.findall(r"Next: ([^.]*)\.", dict(entries)[status])
    named = onward[0].split(", ") if onward else []
    assert set(named) == {edge.dest for edge in JOB_LIFECYCLE.edges if edge.source == status}
    assert len(named) == len(set(named))


def test_table_of_triggers_is_the_lifecycle():
    """The table has a row for each candidate, in the order in which they are declared."""
    section = text("docs/reference/triggers.md").split("\n## ")[1]
    edges = [(e.trigger, e.source, e.dest, ", ".join(e.guards)) for e in JOB_LIFECYCLE.edges]
    assert sorted(map(tuple, rows(section))) == sorted(edges)
    for trigger, source in {edge[:2] for edge in edges}:
        ways = [dest for asked, start, dest, _ in edges if (asked, start) == (trigger, source)]
        shown = [row[2] for row in rows(section) if row[:2] == [trigger, source]]
        assert shown == ways


# --- links ----------------------------------------------------------------------------------


def anchors(path):
    """Return what the headings of a page can be linked by."""
    headings = re.findall(r"^#+ (.*)", FENCE.sub("", text(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_lead_somewhere(path):
    """A link to a file of the repository leads to one that is there, and to a heading in it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"https?://", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.is_file(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_has_its_place():
    """Each page but the first is in the contents of exactly one other page."""
    listed = [
        (page.parent / f"{entry}.md").resolve()
        for page in PAGES
        for body in blocks(page, "{toctree}")
        for entry in body.split()
        if not entry.startswith(":")
    ]
    assert sorted([*listed, DOCS / "index.md"]) == PAGES


def test_what_explains_the_pages_has_them_all_in_order():
    """The explanation names the pages of the package bottom up, as the test of their order does."""
    order = runpy.run_path(str(TESTS / "test_pages.py"))["ORDER"]
    parts = [page.removeprefix("jobstate.") for page in order]
    # A page whose folder is named stands for those in it; the last one only calls the command.
    wanted = [
        part
        for part in parts
        if not part.startswith(("executors.", "stores.", "testing.", "_demo."))
        and part not in ("observability", "__main__")
    ]
    said = re.findall(r"`([\w.]+)`", text("docs/explanation/pages.md"))
    assert [name for name in said if name != "transitions"] == wanted


# --- names ----------------------------------------------------------------------------------


def described():
    """Return what the reference describes, by its full name, and on which page."""
    found = {}
    for page in sorted((DOCS / "reference").glob("*.md")):
        module = ""
        for line in text(page).splitlines():
            directive = re.match(r"\s*\.\. (?:py:)?(\w+):: ([\w.]+)", line)
            if directive is None:
                continue
            kind, name = directive.groups()
            if kind == "currentmodule":
                module = name
            else:
                full = name if name.startswith("jobstate.") else f"{module}.{name}"
                found.setdefault(full, []).append(page.name)
    return found


DESCRIBED = described()
PUBLIC = [
    *(f"jobstate.{name}" for name in jobstate.__all__),
    *(f"jobstate.testing.{name}" for name in jobstate.testing.__all__),
    *(f"jobstate.executors.{name}" for name in jobstate.executors.__all__),
    *(f"jobstate.stores.{name}" for name in jobstate.stores.__all__),
    *(
        f"jobstate.abc.{name}"
        for name, value in vars(jobstate.abc).items()
        if getattr(value, "__module__", "") == "jobstate.abc"
    ),
]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_in_the_reference(name):
    """Whatever users can import is described, once."""
    assert len(DESCRIBED.get(name, [])) == 1


@pytest.mark.parametrize("cls", [Job, Jobs, Lifecycle])
def test_public_member_is_in_the_reference(cls):
    """Whatever can be called or read of jobs or of a lifecycle is described, once."""
    members = {
        name
        for name, member in inspect.getmembers(cls)
        if not name.startswith("_") and (inspect.isroutine(member) or isinstance(member, property))
    }
    shown = {name: pages for name, pages in DESCRIBED.items() if name.count(".") == 2}
    full = {f"jobstate.{cls.__name__}.{member}" for member in members}
    assert {name: len(shown.get(name, [])) for name in full} == dict.fromkeys(full, 1)


def test_changelog_names_what_there_is():
    """Symbols are named in full, under the present version, and all of them exist."""
    names = re.findall(r"`(jobstate(?:\.\w+)+)`", text("CHANGELOG.md"))
    assert names != []
    for name in names:
        resolve_name(name)
    assert re.search(rf"^## {re.escape(jobstate.__version__)}\b", text("CHANGELOG.md"), re.M)


# --- errors ---------------------------------------------------------------------------------

ERRORS = [
    name
    for name in jobstate.__all__
    if inspect.isclass(getattr(jobstate, name)) and issubclass(getattr(jobstate, name), Exception)
]


@pytest.mark.parametrize("name", ERRORS)
def test_error_is_on_its_page(name):
    """Each public error is described on the page of errors."""
    assert issubclass(getattr(jobstate, name), JobStateError)
    assert DESCRIBED[f"jobstate.{name}"] == ["errors.md"]


def test_errors_are_grouped_as_in_the_package():
    """The page has the groups of the package's own pages, with the same errors in each."""
    groups = {}
    for page in ("jobstate._errors", "jobstate._run_errors", "jobstate._store_errors"):
        source = inspect.getsource(sys.modules[page])
        for group in re.split(r"^# --- ", source, flags=re.MULTILINE)[1:]:
            classes = re.findall(r"^class ([A-Z]\w+)", group, re.MULTILINE)
            public = [name for name in classes if hasattr(jobstate, name)]
            groups |= {group.partition(" ---")[0].strip(" -"): public} if public else {}
    sections = {}
    for section in text("docs/reference/errors.md").split("\n## ")[1:-1]:
        title, _, rest = section.partition("\n")
        sections[title[0].lower() + title[1:]] = re.findall(r"autoexception:: (\w+)", rest)
    assert sections == groups


def test_errors_say_what_is_shown():
    """What stands below an error is what one of its kind says, word by word."""
    tables = runpy.run_path(str(TESTS / "test_errors.py"))
    sentences = [*tables["SENTENCES"], *tables["APART"]]
    said = {(type(error).__name__, " ".join(sentence.split())) for error, sentence in sentences}
    shown = re.findall(
        r"autoexception:: (\w+)(?:(?!autoexception).)*?^```\n\n```text\n(.*?)^```",
        text("docs/reference/errors.md"),
        re.MULTILINE | re.DOTALL,
    )
    shown = {(name, " ".join(sentence.split())) for name, sentence in shown}
    assert {name for name, _ in shown} == {name for name, _ in said}
    assert shown - said == set()


# --- log events -----------------------------------------------------------------------------


@pytest.fixture
def logged():
    """One event of each kind, as structlog gets it, by its name."""
    structlog.reset_defaults()

    def fail(event):
        raise OSError("jam")

    with capture_logs() as events:
        job = Job("j1", info={"rows": 7})
        job.on(JobStatus.FAILURE, fail)
        for trigger, *args in (("succeed",), ("fail", "no paper")):
            with suppress(Refused, HookFailed):
                job.trigger_nowait(trigger, *args)
    yield {event.pop("event"): event for event in events}
    structlog.reset_defaults()


def test_log_events_have_the_fields_on_their_page(logged):
    """The page lists each event with its level and its fields; no other field is logged."""
    sections = text("docs/reference/log-events.md").split("\n## ")[1:]
    levels, fields = {}, {}
    for section in sections:
        event = section.split("`")[1]
        levels[event] = re.findall(r"^Level (\w+)\.", section, re.MULTILINE)
        fields[event] = {field.strip("`") for field, *_ in rows(section)}
    assert levels == {event: [given["log_level"]] for event, given in logged.items()}
    assert fields == {event: set(given) - {"log_level"} for event, given in logged.items()}


def test_log_events_have_the_types_on_their_page(logged):
    """What is logged of a field is of the type that the page says."""
    types = {
        "text": str,
        "number": float,
        "whole number": int,
        "mapping": dict,
        "exception": Exception,
    }
    for section in text("docs/reference/log-events.md").split("\n## ")[1:]:
        event = logged[section.split("`")[1]]
        for field, kind, _ in rows(section):
            assert isinstance(event[field.strip("`")], types[kind]), field


def test_user_data_is_under_one_key(logged):
    """The page names what can stand in `data`."""
    (row,) = (r for r in rows(text("docs/reference/log-events.md")) if r[0] == "`data`")
    assert set(re.findall(r"`(\w+)`", row[2])) == set(logged["job.transition"]["data"])
