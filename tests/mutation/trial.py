"""Put a mutant before the tests of its page, in a process of its own.

Each worker has a copy of the checkout, so that the checkout itself is never touched. The processes
are forked from one that has imported what all tests need, but nothing of the package.
"""

from __future__ import annotations

import gc
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .mutants import Mutant
from .pages import ON_ALL, PAGES

Verdict: TypeAlias = Literal["killed", "timeout", "survived"]

ROOT = Path(__file__).parent.parent.parent
COPIED = ("jobstate", "tests", "conftest.py", "pyproject.toml")

SLOWEST = 10.0
"""Seconds that a single test may take."""

MEMORY = 4 << 30
"""Bytes that a mutant may ask for, since some never stop asking."""


PRELOADED = (
    "anyio._backends._asyncio",
    "anyio._backends._trio",
    "hypothesis.stateful",
    "pytest",
    "structlog.testing",
    "sybil.parsers.markdown",
    "transitions.extensions",
    "trio.testing",
    "uvloop",
)


def preload() -> None:
    """Import what every test process would, to fork from: half a second saved for each mutant."""
    for name in PRELOADED:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()  # what is shared need not be looked through by every process


class OneLoop:
    """Leaves out what a test does once more, on another event loop."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep what is on no event loop, or on that of asyncio."""
        items[:] = [
            item
            for item in items
            if not hasattr(item, "callspec")
            or not {"uvloop", "trio"} & set(item.callspec.id.split("-"))
        ]


@dataclass(slots=True)
class Trial:
    """One mutant under test."""

    mutant: Mutant | None
    process: int
    began: float
    seconds: float


class Worker:
    """A copy of the checkout, in which one mutant after the other is tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in COPIED:
            source, target = ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, target)
        self.trial: Trial | None = None

    def start(self, page: str, mutant: Mutant | None, seconds: float) -> None:
        """Begin to try a mutant of a page, or the page as it is."""
        target = self.folder / "jobstate" / f"{page}.py"
        original = ROOT / "jobstate" / f"{page}.py"
        text = original.read_text(encoding="utf-8") if mutant is None else mutant.source
        compile(text, target, "exec")  # what is no Python would prove nothing
        target.write_text(text, encoding="utf-8")
        for stale in target.parent.glob(f"__pycache__/{page}.*.pyc"):
            stale.unlink()
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            self._run(page, keep=mutant is None)
        with suppress(OSError):  # whoever is first: the group is there once this returns
            os.setpgid(process, process)
        self.trial = Trial(mutant, process, time.monotonic(), seconds)

    def result(self) -> tuple[Trial, int | None, float] | None:
        """Return the trial that is over, its exit status if it had one, and how long it took."""
        trial = self.trial
        if trial is None:
            return None
        took = time.monotonic() - trial.began
        ended = os.waitid(os.P_PID, trial.process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None and took < trial.seconds:
            return None
        # The process leads a group of its own, whose number is its own until it is waited for.
        os.killpg(trial.process, signal.SIGKILL)
        _, status = os.waitpid(trial.process, 0)
        self.trial = None
        return trial, None if ended is None else os.waitstatus_to_exitcode(status), took

    def output(self) -> str:
        """Return what the tests have printed."""
        return (self.folder / "output").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End the trial that is under way, if any."""
        if self.trial is not None:
            os.killpg(self.trial.process, signal.SIGKILL)
            os.waitpid(self.trial.process, 0)
            self.trial = None

    def _run(self, page: str, *, keep: bool) -> None:
        """Be the process that runs the tests; never return."""
        code = 70
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setpgid(0, 0)
            os.chdir(self.folder)
            output = os.open(self.folder / "output", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            if keep:  # what is compiled now need not be compiled again
                sys.dont_write_bytecode = False
            else:
                sys.dont_write_bytecode = True
                os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            os.environ["PYTHONPATH"] = str(self.folder)
            sys.path.insert(0, str(self.folder))
            import pytest

            for name in PAGES[page]:
                options = ["-x", "-q", "--assert=plain", f"--timeout={SLOWEST}"]
                options += ["-p", "no:cacheprovider", f"tests/test_{name}.py"]
                code = int(pytest.main(options, plugins=[] if page in ON_ALL else [OneLoop()]))
                if code != 0:
                    break
            if keep:  # the tests met the copy, not the checkout
                import jobstate

                code = code or int(Path(jobstate.__file__).parent != self.folder / "jobstate")
        finally:
            sys.stdout.flush()
            os._exit(code)


def verdict(status: int | None, said: str) -> Verdict:
    """Return what the end of the tests, and their output, say of a mutant."""
    if status == 0:
        return "survived"
    return "timeout" if status is None or "Timeout (>" in said else "killed"


def baseline(worker: Worker, page: str) -> float:
    """Return how long the tests of a page take as it is; they must pass."""
    worker.start(page, None, 600)
    while (ended := worker.result()) is None:
        time.sleep(0.01)
    _, status, took = ended
    if status != 0:
        said = worker.output()[-3000:]
        raise SystemExit(f"the tests of {page} do not pass without a mutant:\n{said}")
    return took


def tried(
    page: str, mutants: Iterable[Mutant], workers: list[Worker]
) -> Iterator[tuple[Mutant, Verdict, float]]:
    """Yield what became of each mutant of a page, as it becomes known."""
    seconds = 3 * max([baseline(worker, page) for worker in workers]) + SLOWEST
    waiting = list(reversed(list(mutants)))
    while waiting or any(worker.trial for worker in workers):
        for worker in workers:
            if worker.trial is None and waiting:
                worker.start(page, waiting.pop(), seconds)
            ended = worker.result()
            if ended is not None and ended[0].mutant is not None:
                yield ended[0].mutant, verdict(ended[1], worker.output()), ended[2]
        time.sleep(0.005)
    for worker in workers:
        shutil.copy(ROOT / "jobstate" / f"{page}.py", worker.folder / "jobstate" / f"{page}.py")
