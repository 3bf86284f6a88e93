"""The public face: which names there are, that each is explained, and what importing costs."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from functools import cached_property
from importlib import import_module, metadata, resources
from pathlib import Path

import pytest

import jobstate

PACKAGE = Path(jobstate.__file__).parent
PAGES = [
    "jobstate",
    "jobstate.abc",
    "jobstate.blocking",
    "jobstate.executors",
    "jobstate.executors.commands",
    "jobstate.executors.processes",
    "jobstate.executors.tasks",
    "jobstate.executors.threads",
    "jobstate.jobs",
    "jobstate.observability.structlog",
    "jobstate.stores",
    "jobstate.stores.memory",
    "jobstate.stores.sqlite",
    "jobstate.testing",
]

# What the required dependencies are imported as, and what these may bring along.
REQUIRED = {"anyio", "six", "structlog", "transitions"}
BROUGHT_ALONG = {"idna", "sniffio", "typing_extensions"}


def public_names(page):
    """Return the names that a page gives to its users: its own, or those that it lists."""
    module = import_module(page)
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == page
    ]
    return sorted(getattr(module, "__all__", own))


def is_ours(value):
    """Whether a class or function was written in this package."""
    return getattr(value, "__module__", "").split(".")[0] == "jobstate"


def members(cls):
    """Return the functions and properties that a class gives to its users, inherited ones too."""
    found = {}
    for base in reversed(cls.__mro__):
        if is_ours(base):
            found.update(vars(base))
    kinds = (property, cached_property, staticmethod, classmethod)
    return {
        name: member
        for name, member in found.items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, kinds))
    }


def callables():
    """Return everything that can be called or read, by its full name."""
    found = {}
    for page in PAGES:
        for name in public_names(page):
            value = getattr(import_module(page), name)
            if inspect.isfunction(value) or inspect.isclass(value):
                found[f"{page}.{name}"] = value
            if inspect.isclass(value):
                found.update({f"{page}.{name}.{m}": each for m, each in members(value).items()})
    return found


CALLABLES = callables()


# --- names ----------------------------------------------------------------------------------


def test_public_names_are_those_listed():
    """`jobstate` has no name without an underscore that it does not list, pages apart."""
    names = {
        name
        for name, value in vars(jobstate).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert names == set(jobstate.__all__)


def test_public_names_are_in_order():
    """The list is sorted: constants, then classes, then functions; and no name is there twice."""
    assert jobstate.__all__ == sorted(
        set(jobstate.__all__), key=lambda name: (not name.isupper(), name)
    )


def test_a_star_import_gives_the_listed_names():
    """`from jobstate import *` gives what is listed, and no page."""
    given: dict[str, object] = {}
    exec("from jobstate import *", given)
    del given["__builtins__"]
    assert sorted(given) == sorted(jobstate.__all__)


def test_pages_without_an_underscore_are_those_tested_here():
    """A page that users may import from is among those whose names are looked at here."""
    pages = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
    }
    public = {page for page in pages if not re.search(r"\._", page)}
    assert public - {"jobstate.observability", "jobstate.cli"} == set(PAGES)


def test_the_version_is_that_of_the_distribution():
    """`__version__` is a version as PEP 440 writes it, and the installed one, if it is."""
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.(post|dev)\d+)?", jobstate.__version__)
    try:
        installed = metadata.version("jobstate")
    except metadata.PackageNotFoundError:
        return
    assert jobstate.__version__ == installed


def test_the_package_tells_type_checkers_that_it_is_typed():
    """The marker of PEP 561 is part of the package."""
    assert resources.files("jobstate").joinpath("py.typed").is_file()


# --- docstrings -----------------------------------------------------------------------------


def docstring(value):
    """Return what a class, function, method or property itself says, and no parent for it."""
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    return value.__doc__ or ""


@pytest.mark.parametrize("name", CALLABLES)
def test_every_public_thing_has_a_docstring(name):
    """Each class, function, method and property says in a first sentence what its user gets."""
    first = docstring(CALLABLES[name]).strip().split("\n\n")[0]
    assert re.search(r"[.:;](\s|$)", first), f"{name} says {first!r}"
    assert not first.startswith(f"{name.rpartition('.')[2]}("), "a signature is no sentence"


def assigned(module):
    """Return the names that a page assigns at top level, with the text that follows each."""
    body = ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        else:
            continue
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = str(following.value.value)
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, text


@pytest.mark.parametrize(
    ("page", "name"),
    [
        (page, name)
        for page in PAGES
        for name in [*public_names(page), *(n for n, _ in assigned(import_module(page)))]
        if f"{page}.{name}" not in CALLABLES and not name.startswith("_")
    ],
)
def test_every_public_constant_is_explained(page, name):
    """A value that is no class or function is followed by a sentence, where it is assigned."""
    texts = [
        text
        for module in list(sys.modules.values())
        if module.__name__.split(".")[0] == "jobstate"
        for assigned_name, text in assigned(module)
        if assigned_name == name
    ]
    assert any(texts)


ERRORS = [
    name
    for name in jobstate.__all__
    if inspect.isclass(value := getattr(jobstate, name))
    and issubclass(value, jobstate.JobStateError)
    and not value.__subclasses__()
]


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_named_where_it_is_raised(error):
    """Whoever reads what raises an error reads its name there, under Raises."""
    naming = {
        name
        for name, value in CALLABLES.items()
        if re.search(rf"Raises\b.*\b{error}\b", docstring(value), re.DOTALL)
    }
    assert naming - {f"jobstate.{error}"}


# --- importing ------------------------------------------------------------------------------

LOOKING = """
import json, sys

class Closed:
    '''Refuses every import of what is neither required nor of the standard library.'''

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in allowed or top in sys.stdlib_module_names:
            return None
        refused.append(top)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

allowed, refused = set(json.loads(sys.argv[1])), []
sys.meta_path.insert(0, Closed())
before = set(sys.modules)
import anyio, structlog, transitions
theirs = set(refused)
import jobstate
print(json.dumps({
    "asked": sorted(set(refused) - theirs),
    "loaded": sorted(set(sys.modules) - before),
}))
"""


@pytest.fixture(scope="module")
def imported():
    """What `import jobstate` asked for and loaded, in an interpreter that has the required."""
    allowed = json.dumps(["jobstate", "coverage", *REQUIRED, *BROUGHT_ALONG])
    run = subprocess.run(
        [sys.executable, "-W", "default", "-c", LOOKING, allowed],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    *said, answer = run.stdout.splitlines()
    return {**json.loads(answer), "said": "".join(said) + run.stderr}


def test_importing_needs_the_required_dependencies_alone(imported):
    """Nothing else is loaded: neither an optional neighbour nor an event loop besides asyncio."""
    third_party = {name.partition(".")[0] for name in imported["loaded"]} - {"jobstate"}
    third_party -= set(sys.stdlib_module_names)
    assert third_party - BROUGHT_ALONG == REQUIRED


def test_importing_does_not_try_for_more(imported):
    """No optional neighbour is even looked for."""
    assert imported["asked"] == []


def test_importing_is_lean(imported):
    """Optional faces of the package are not loaded with it."""
    ours = {name for name in imported["loaded"] if name.startswith("jobstate.")}
    public = {name for name in ours if "._" not in name}
    assert public == set(PAGES) & public | {"jobstate.observability"}
    stores = {page for page in PAGES if page.startswith("jobstate.stores")}
    apart = {"jobstate", "jobstate.blocking", "jobstate.jobs", "jobstate.testing", *stores}
    assert set(PAGES) - public == apart
    assert not any("_demo" in name for name in ours)


def test_importing_says_nothing(imported):
    """Nothing is printed, and no warning is given."""
    assert imported["said"] == ""


def test_older_pythons_are_refused_by_the_installer():
    """The oldest Python that it runs on is part of what is installed."""
    assert metadata.metadata("jobstate")["Requires-Python"] == ">=3.11"


@pytest.mark.parametrize("name", CALLABLES)
def test_nothing_takes_a_timeout(name):
    """A deadline is the caller's: only a job is given one, and who has no scopes for it."""
    if name == "jobstate.JobRunner.submit" or name.startswith("jobstate.blocking."):
        return
    function = getattr(CALLABLES[name], "__func__", CALLABLES[name])
    if inspect.isfunction(function):
        assert not {"timeout", "deadline"} & set(inspect.signature(function).parameters)
