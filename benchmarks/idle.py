"""What do 100,000 idle waits do? Nothing: no timer, no wake-up, no system call.

A child process parks that many tasks on ``await job.completed()``, says so, and waits for a line
on its standard input; nothing else is left to do in it. For some seconds it is then only watched
from outside:

- what the kernel says of its threads: nanoseconds on a CPU, and how often they gave the CPU up
  voluntarily (each wake-up ends so), from ``/proc``;
- where ``strace`` is installed: the system calls that it begins meanwhile, and the one that it
  sleeps in: an ``epoll`` call with the timeout -1 has no timer to wait for (Trio never
  sleeps for more than a day);
- timers, as the event loop itself counts them: the heap of asyncio's loop, Trio's deadlines. For
  uvloop, which shows none, the timeout above speaks.

A hundred jobs that are asked ten times a second, as a polling client would, are watched in the
same way: the instruments do see what there is.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from jobstate import Job

from .measure import Effort, Goal, Measurement, Question, settled

WAITS, POLLED, PERIOD = 100_000, 100, 0.1
SETTLING = 0.3
OURS, POLLING = f"{WAITS:,} × await job.completed()", f"{POLLED} jobs asked each {PERIOD} s"
ROOT = Path(__file__).parent.parent
_CALL = re.compile(r"^\d+ +(\d+\.\d+) (\w+)\((.*)", re.MULTILINE)


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return what is counted while nothing happens."""
    found = []
    for name, kind, count in ((OURS, "wait", WAITS), (POLLING, "poll", POLLED)):
        counted = _watched(backend, kind, count, effort.watched)
        found += [
            Measurement("idle", f"{name}: {what}", backend, (value,), "")
            for what, value in counted.items()
        ]
    return found


def _watched(backend: str, kind: str, count: int, seconds: float) -> dict[str, float]:
    """Return what one child is seen to do."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "calls")
        tracer = shutil.which("strace")
        traced = [tracer, "-f", "-ttt", "-o", str(log)] if tracer else []
        child = [sys.executable, "-m", "benchmarks.idle", backend, kind, str(count)]
        counted = _observed([*traced, *child], seconds, log)
        return counted or _observed(child, seconds, log)  # it may not trace here


def _observed(command: list[str], seconds: float, log: Path) -> dict[str, float]:
    """Return what a child is seen to do in some seconds; nothing, if it did not come up."""
    counted: dict[str, float] = {}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if not words:
            return {}
        pid, timers = words
        if timers != "unknown":
            counted["timers"] = float(timers)
        time.sleep(SETTLING)
        threads = Path(f"/proc/{pid}/task")
        began, before = time.time(), _used(threads)
        time.sleep(seconds)
        ended, after = time.time(), _used(threads)
        if threads.exists():
            counted["wake-ups a second"] = (after[0] - before[0]) / seconds
            counted["µs of CPU a second"] = (after[1] - before[1]) / 1e3 / seconds
        process.communicate("go on\n")
    if log.exists():
        calls = [(float(at), name, rest) for at, name, rest in _CALL.findall(log.read_text())]
        begun = [name for at, name, _ in calls if began <= at < ended]
        counted["system calls a second"] = len(begun) / seconds
        asleep = [rest for at, name, rest in calls if at < began and name.startswith("epoll_")]
        timeout = re.search(r", \d+, (-?\d+)", asleep[-1]) if asleep and not begun else None
        if timeout is not None:
            counted["ms it sleeps at most (-1: for ever)"] = float(timeout[1])
    return counted


def _used(threads: Path) -> tuple[int, int]:
    """Return how often the threads of a process fell asleep, and their nanoseconds of CPU."""
    wakings = nanoseconds = 0
    for thread in threads.iterdir() if threads.exists() else ():
        status = (thread / "status").read_text()
        wakings += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return wakings, nanoseconds


async def park(backend: str, kind: str, count: int) -> None:
    """Park so many tasks, and end them when a line comes in."""
    jobs = [Job() for _ in range(count)]

    async def poll(job: Job) -> None:
        while not job.status.is_terminal:  # noqa: ASYNC110  # what nobody should do
            await anyio.sleep(PERIOD)

    waits: list[Callable[[], Coroutine[Any, Any, object]]] = [
        job.completed if kind == "wait" else partial(poll, job) for job in jobs
    ]
    async with anyio.create_task_group() as tasks:
        for wait in waits:
            tasks.start_soon(wait)
        await settled()
        print(os.getpid(), _timers(backend), flush=True)
        await anyio.wait_readable(sys.stdin)
        for job in jobs:
            job.fail_nowait("watched enough")
        tasks.cancel_scope.cancel()


def _timers(backend: str) -> str:
    """Return how many timers the event loop has, where it can tell."""
    if backend == "asyncio":
        return str(len(asyncio.get_running_loop()._scheduled))  # type: ignore[attr-defined]
    if backend == "trio":
        import trio

        deadline = trio.lowlevel.current_statistics().seconds_to_next_deadline
        return "0" if deadline == float("inf") else "unknown"
    return "unknown"


QUESTION = Question(
    "idle",
    f"{WAITS:,} idle waits",
    measure,
    "A process in which so many tasks wait is watched for some seconds: wake-ups are voluntary "
    "context switches, CPU is what the scheduler counted, system calls are those that strace saw "
    "it begin. A sleep with timeout -1 has no end of its own; Trio's longest is a day. The jobs "
    "that are asked again and again show that the instruments work.",
    (
        Goal("no wake-up", 0, f"{OURS}: wake-ups a second", unit=""),
        Goal("no CPU", 0, f"{OURS}: µs of CPU a second", unit=""),
        Goal("no system call", 0, f"{OURS}: system calls a second", unit=""),
        Goal("no timer", 0, f"{OURS}: timers", unit=""),
    ),
)

if __name__ == "__main__":
    _backend, _kind, _count = sys.argv[1:]
    anyio.run(
        park,
        _backend,
        _kind,
        int(_count),
        backend="trio" if _backend == "trio" else "asyncio",
        backend_options={"use_uvloop": True} if _backend == "uvloop" else {},
    )
