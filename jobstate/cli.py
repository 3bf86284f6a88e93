"""The command line: each verb a function that adds itself, and another that does the work.

The verbs over a store of jobs are in `_store_commands`.

Exit statuses: 0 all is well, 1 it is not, 2 the request made no sense, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import JOB_LIFECYCLE, __version__
from ._store_commands import add_store_commands
from ._verbs import BAD_INPUT, from_one_on, refused

if TYPE_CHECKING:
    from ._verbs import Verbs

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for, and return the exit status.

    Raises:
        SystemExit: the command line makes no sense, or only asks for help or the version.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # until the process ends
    arguments = _parser().parse_args(argv)
    status = BAD_INPUT
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
    except* KeyboardInterrupt:
        sys.stderr.write("jobstate: interrupted\n")
        status = INTERRUPTED
    except* BrokenPipeError:  # whoever read the output has had enough of it
        _write_no_more()
        status = 1
    except* OSError as errors:
        _write_no_more()
        sys.stderr.write(f"jobstate: cannot write the output: {errors.exceptions[0]}\n")
        status = 1
    return status


def _write_no_more() -> None:
    """Have what is left of the output go nowhere, or it would fail again at the very end."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _parser() -> ArgumentParser:
    parser = ArgumentParser("jobstate", description="Jobs with a declared lifecycle.")
    parser.add_argument("--version", action="version", version=f"jobstate {__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_demo(verbs)
    _add_draw(verbs)
    add_store_commands(verbs)
    return parser


# --- demo ---


def _add_demo(verbs: Verbs) -> None:
    demo = verbs.add_parser(
        "demo",
        help="run real jobs and watch them",
        description="Hash, parse and compress files of Python, each as a job of its own: one is "
        "retried, one fails, one is revoked. Then check that all of it went as planned.",
    )
    demo.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        help="where the files are (default: Python's own standard library)",
    )
    demo.add_argument(
        "--limit",
        metavar="N",
        type=from_one_on,
        default=500,
        help="so many files at most, chosen evenly (default: %(default)s)",
    )
    demo.add_argument(
        "--jobs",
        metavar="N",
        type=from_one_on,
        default=min(4, os.cpu_count() or 1),
        help="so many of them at once (default: %(default)s)",
    )
    demo.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    demo.add_argument(
        "--log", action="store_true", help="write each event to standard error, as JSON"
    )
    demo.set_defaults(run=_demo)


def _demo(arguments: Namespace) -> int:
    from ._demo import BadInput, demonstrate

    try:
        return demonstrate(
            arguments.folder or Path(sysconfig.get_path("stdlib")),
            limit=arguments.limit,
            workers=arguments.jobs,
            backend=arguments.backend,
            log=arguments.log,
        )
    except BadInput as error:
        return refused("demo", error)


# --- draw ---


def _add_draw(verbs: Verbs) -> None:
    draw = verbs.add_parser(
        "draw", help="draw the lifecycle of a job", description="Draw the lifecycle of a job."
    )
    draw.add_argument("--format", choices=("mermaid", "svg"), default="mermaid")
    draw.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write to a file, not standard output"
    )
    draw.set_defaults(run=_draw)


def _draw(arguments: Namespace) -> int:
    drawing = JOB_LIFECYCLE.svg() if arguments.format == "svg" else JOB_LIFECYCLE.mermaid()
    text = f"{drawing.rstrip()}\n"
    if arguments.output is None:
        sys.stdout.write(text)
        return 0
    try:
        arguments.output.write_text(text, encoding="utf-8")
    except OSError as error:
        return refused("draw", f"cannot write {arguments.output}: {error.strerror}")
    return 0
