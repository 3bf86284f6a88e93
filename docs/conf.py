"""Build the documentation: ``sphinx-build -W -n -E -b html docs docs/_build/html``."""

from __future__ import annotations

import io
import re
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms import SphinxTransform

import jobstate
import jobstate.abc
import jobstate.blocking
import jobstate.executors
import jobstate.testing

HERE = Path(__file__).parent

project = "jobstate"
copyright = "2026, The jobstate developers"
release = jobstate.__version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_generated", "examples"]
nitpicky = True

html_theme = "furo"
html_title = f"jobstate {release}"
html_static_path = ["_static"]
html_css_files = ["jobstate.css"]
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

default_role = "py:obj"  # in docstrings, `Job` is a link
python_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

nitpick_ignore_regex = [
    # The build uses no network, and so has no inventories of other projects.
    (r"py:.*", rf"({'|'.join([*sys.stdlib_module_names, 'anyio'])})\..*"),
    (r"py:.*", r"(transitions|logging|Machine)"),
    # Type variables: named in signatures, with nothing to say about them.
    (r"py:.*", r"(jobstate\.(\w+\.)+)?_?(T|S|E|F|J|R)"),
]


# --- drawings: made from the tables, each time ----------------------------------------------


def drawings() -> dict[str, jobstate.Lifecycle[Any]]:
    """Return each lifecycle that a page shows a drawing of."""
    with redirect_stdout(io.StringIO()):
        example = runpy.run_path(str(HERE / "examples" / "own_lifecycle.py"))
    return {"job": jobstate.JOB_LIFECYCLE, "encoding": example["ENCODING"]}


def draw() -> None:
    """Write the drawings to a folder that is not kept under version control."""
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    for name, lifecycle in drawings().items():
        (folder / f"{name}.svg").write_text(lifecycle.svg(), encoding="utf-8")


# --- links: `Job.start` in a page leads to the reference ------------------------------------

PUBLIC = {
    name: f"{module.__name__}.{name}"
    for module in (
        jobstate.testing,
        jobstate.executors,
        jobstate.blocking,
        jobstate.abc,
        jobstate,
    )
    for name, value in vars(module).items()
    if name in getattr(module, "__all__", ()) or getattr(value, "__module__", "") == module.__name__
}
_ALSO = {  # what signatures speak of
    "Attempt": "jobstate._attempt.Attempt",
    "MachineWide": "jobstate._table.MachineWide",
}
_OWNERS = {
    "job": "Job",
    "outcome": "Outcome",
    "lifecycle": "Lifecycle",
    "event": "TransitionEvent",
    "runner": "JobRunner",
}
_NAMED = re.compile(r"(?:await )?(\w+)(?:\.(\w+))?(?:\(.*\))?")


def target_of(text: str) -> str | None:
    """Return the full name of what ``Job``, ``Job.start()`` or ``await job.start()`` speaks of."""
    match = _NAMED.fullmatch(text)
    if match is None:
        return None
    owner, member = match.groups()
    owner = _OWNERS.get(owner, owner) if member else owner
    if owner not in PUBLIC:
        return None
    if member is None:
        return PUBLIC[owner]
    module = sys.modules[PUBLIC[owner].rpartition(".")[0]]
    return f"{PUBLIC[owner]}.{member}" if hasattr(getattr(module, owner), member) else None


class Linked(SphinxTransform):
    """Makes a link of each literal that names something of the package."""

    default_priority = 200

    def apply(self, **_: object) -> None:
        """Wrap the literals of the document."""
        for literal in list(self.document.findall(nodes.literal)):
            target = target_of(literal.astext())
            if target is None or isinstance(
                literal.parent, (nodes.title, nodes.reference, pending_xref)
            ):
                continue
            link = pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=target,
                refdoc=self.env.docname,
                refwarn=True,
            )
            literal.replace_self(link)
            link += literal


def find_public(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    """Resolve ``jobstate._job.Job``, which is what signatures say, as ``jobstate.Job``.

    What stands alone in a docstring may be a method of a job, such as ``defer``.
    """
    prefix, _, name = node.get("reftarget", "").rpartition(".")
    if prefix in _ALSO | PUBLIC:
        target = f"{(_ALSO | PUBLIC)[prefix]}.{name}"
    elif prefix.split(".")[0] not in ("", "jobstate"):
        return None
    else:
        target = (_ALSO | PUBLIC).get(name)
    if target is None and not prefix and hasattr(jobstate.Job, name):
        target = f"jobstate.Job.{name}"
    if target is None:
        return None
    return env.get_domain("py").resolve_xref(
        env, node["refdoc"], app.builder, "obj", target, node, contnode
    )


def tidy(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let napoleon read a heading that it does not know, and drop what namedtuple says."""
    for number, line in enumerate(lines):
        if line == "Raises, when iterated:":
            lines[number] = "Raises:"
        if line.startswith("Alias for field number"):
            lines[number] = ""
    if what in ("attribute", "property") and ":" in "".join(lines[:1]):
        lines[:0] = ["..", ""]  # else napoleon takes what stands before the colon for a type


def show_bases(app: Sphinx, name: str, obj: Any, options: Any, bases: list[Any]) -> None:
    """Name the bases of a private base in its place."""
    for number, base in enumerate(list(bases)):
        if getattr(base, "__name__", "").startswith("_"):
            bases[number : number + 1] = base.__bases__


def show_one_signature() -> None:
    """Have a function shown as it is written: its overloads are for type checkers."""
    for name in (
        "jobstate._lifecycle",
        "jobstate._several",
        "jobstate._runner",
        "jobstate.blocking",
    ):
        analyzer = ModuleAnalyzer.for_module(name)
        analyzer.analyze()
        analyzer.overloads.clear()


def setup(app: Sphinx) -> None:
    """Register all this with Sphinx."""
    draw()
    show_one_signature()
    app.add_transform(Linked)
    app.connect("missing-reference", find_public)
    app.connect("autodoc-process-docstring", tidy, priority=100)
    app.connect("autodoc-process-bases", show_bases)
