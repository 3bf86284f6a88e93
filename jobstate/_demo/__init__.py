"""The demonstration: real work on real files, as jobs, watched and checked.

An example of good use of the library, which it knows by its public names alone. To be read in
this order: `work`, what is done with a file; `plan`, which files, and what is to become of the job
of each; `run`, the runner and the waits; `report`, what came of it; `lines` and `live`, two ways to
show it; and here, where they are put together.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio
import structlog

from jobstate import __version__

from .lines import Lines
from .plan import BadInput, Plan, planned, printable
from .report import Report, amount, counted, opening
from .run import ROOM, Run

if TYPE_CHECKING:
    from .live import Live

__all__ = ["BadInput", "demonstrate"]

INTERRUPTED = 130


def demonstrate(folder: Path, *, limit: int, workers: int, backend: str, log: bool) -> int:
    """Run the demonstration, and return its exit status.

    Raises:
        BadInput: there is nothing to work on, or no such event loop.
    """
    if find_spec(backend) is None:
        raise BadInput(f"{backend} is not installed: pip install 'jobstate[{backend}]'")
    with (
        _interruptible(),
        TemporaryDirectory(prefix="jobstate-demo-") as scratch,
        _log(log),
        _quiet_parser(),
    ):
        plan = planned(folder, limit, Path(scratch))
        workers = min(workers, len(plan.files))
        display = _display(plan, workers, log=log)
        display.opened(_heading(plan, workers, backend), opening(plan))
        run = Run(plan, workers, display)
        report = None
        try:
            with display:
                report = anyio.run(_carried_out, run, backend=backend)
        except* KeyboardInterrupt:
            pass
        if report is None:
            sys.stderr.write(f"jobstate demo: {run.interruption}\n")
            return INTERRUPTED
        display.closed(report)
        surprises = report.surprises
    for surprise in surprises:
        sys.stderr.write(f"jobstate demo: {surprise}\n")
    return 1 if surprises else 0


def _display(plan: Plan, workers: int, *, log: bool) -> Lines | Live:
    """Return the display that suits standard output; a log in the same terminal needs lines."""
    stream, total = sys.stdout, len(plan.files)
    simple = os.environ.get("TERM") in ("dumb", "unknown") or (log and sys.stderr.isatty())
    if simple or not stream.isatty():
        return Lines(stream, total)
    try:
        from rich.console import Console

        from .live import Live
    except ImportError:
        stream.write("With rich there is more to see: pip install 'jobstate[cli]'\n\n")
        return Lines(stream, total)
    return Live(Console(file=stream, highlight=False), total, workers)


def _heading(plan: Plan, workers: int, backend: str) -> list[str]:
    chosen = sum(not file.written for file in plan.files[:-1])
    return [
        f"jobstate {__version__}: {chosen:,} of the {counted(plan.found, 'file')} of Python in "
        f"{printable(str(plan.folder))}",
        f"Each is a job: hashed, parsed and compressed, by {counted(workers, 'worker thread')}, "
        f"at most {amount(ROOM * workers)} of source at once, on {backend}.",
    ]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have what `kill` and a terminal that is closed send do the same as Ctrl-C."""
    numbers = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
    ending = [each for each in numbers if each and signal.getsignal(each) == signal.SIG_DFL]
    for number in ending:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in ending:
            signal.signal(number, signal.SIG_DFL)


async def _carried_out(run: Run) -> Report | None:
    """Return what came of the run, or ``None`` where Ctrl-C or one of its kin has ended it.

    In the event loop a signal wakes a task that cancels the others. An exception out of its
    handler could strike anywhere, even where a thread is started that nobody would then stop.
    """
    report = None
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(*_interrupts()) as signals:
            tasks.start_soon(_cancel_on_first, signals, tasks.cancel_scope)
            report = await run()
            tasks.cancel_scope.cancel()
    return report


def _interrupts() -> list[signal.Signals]:
    """Return the signals that end the run: those that are not ignored."""
    if sys.platform == "win32":
        return []  # its event loop cannot receive them; Ctrl-C raises KeyboardInterrupt there
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [each for each in numbers if signal.getsignal(each) != signal.SIG_IGN]


async def _cancel_on_first(
    signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope
) -> None:
    async for _ in signals:
        scope.cancel()


@contextmanager
def _log(wanted: bool) -> Iterator[None]:
    """Have the events of jobs written to standard error as lines of JSON, if wanted."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()  # unless it is configured, jobs log nothing
    if wanted:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        )
    try:
        yield
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)


@contextmanager
def _quiet_parser() -> Iterator[None]:
    """Have Python say nothing of doubtful escapes and the like in the files that it parses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.filterwarnings("ignore", "invalid ", DeprecationWarning)  # before Python 3.12
        yield
