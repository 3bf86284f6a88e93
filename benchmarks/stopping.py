"""How long after it was asked to stop has work stopped?"""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
import trio

from jobstate import (
    JOB_LIFECYCLE,
    Cancellation,
    Command,
    Job,
    JobRunner,
    Progress,
    current_job,
)

from .measure import Effort, Goal, Measurement, Question, Stopwatch, settled

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SCRIPT = ("sh", "-c", "echo ready; exec sleep 60")

TASK, SCOPE = "task.cancel(), await task", "scope.cancel(), the nursery's end"
EVENT = "a thread that asks each ms: event.set(), future.result()"
PROCESS = "Process.terminate(), join()"
POPEN, PROCESS_OF_LOOP = "Popen.terminate(), wait()", "anyio.open_process(…): terminate(), wait()"
OUR_TASK, OUR_COMMAND = "await job.cancel(): a task", "await job.cancel(): a command"
OUR_THREAD = "await job.cancel(): a thread that asks each ms"
OUR_PROCESS = "await job.cancel(): a process"
LAST_LINE = "job.cancel(): the last line of the work in a process"

Stop = Callable[[], Awaitable[tuple[float, ...]]]
"""Begins some work, stops it, and returns how many seconds that took, to one moment or several."""


def asked_each_ms(is_to_stop: Callable[[], object]) -> None:
    """Be the work of a thread that listens."""
    while not is_to_stop():
        time.sleep(0.001)


def listen() -> None:
    """Be the work of a job that listens."""
    current_job().report(1)
    asked_each_ms(current_job().check)


def sleep(path: str) -> None:
    """Be the work of a job in a process, and leave there when it ended."""
    try:
        current_job().report(1)
        time.sleep(60)
    finally:
        ended = time.perf_counter()  # of one clock with all processes
        Path(path).write_text(repr(ended), encoding="utf-8")


def told(path: str) -> float:
    """Return what was left there."""
    return float(Path(path).read_text(encoding="utf-8"))


def sleep_in_process(ready: Connection) -> None:
    """Be the work of a process."""
    ready.send(None)
    time.sleep(60)


async def sleep_as_task() -> None:
    """Be the work of a job in a task."""
    current_job().report(1)
    await anyio.sleep_forever()


async def stopped(job: Job[Any]) -> tuple[float, float]:
    """Stop a job once it works, and return when that began, and how long it took."""
    async with job.changes() as changes:
        async for change in changes:
            if isinstance(change, Progress):
                break
    await settled()
    began = time.perf_counter()
    answer = await job.cancel()
    seconds = time.perf_counter() - began
    assert answer is Cancellation.INTERRUPTED
    return began, seconds


async def task() -> tuple[float]:
    """Stop a task of asyncio."""
    work = asyncio.create_task(asyncio.Event().wait())
    await settled()
    began = time.perf_counter()
    work.cancel()
    await asyncio.wait([work])
    return (time.perf_counter() - began,)


async def nursery() -> tuple[float]:
    """Stop a task of Trio."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        await settled()
        began = time.perf_counter()
        nursery.cancel_scope.cancel()
    return (time.perf_counter() - began,)


async def thread(executor: ThreadPoolExecutor) -> tuple[float]:
    """Stop a thread that asks for a flag."""
    ready, stop = threading.Event(), threading.Event()

    def asked() -> bool:
        ready.set()
        return stop.is_set()

    future = executor.submit(asked_each_ms, asked)
    ready.wait()
    began = time.perf_counter()
    stop.set()
    future.result()
    return (time.perf_counter() - began,)


async def process() -> tuple[float]:
    """Stop a process of multiprocessing."""
    spawning = multiprocessing.get_context("spawn")
    ready, told = spawning.Pipe(duplex=False)
    process = spawning.Process(target=sleep_in_process, args=(told,))
    process.start()
    ready.recv()
    began = time.perf_counter()
    process.terminate()
    process.join()
    return (time.perf_counter() - began,)


async def popen() -> tuple[float]:
    """Stop a child process, while nothing else can happen."""
    with subprocess.Popen(SCRIPT, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        assert process.stdout is not None
        process.stdout.readline()
        began = time.perf_counter()
        process.terminate()
        process.wait()
        return (time.perf_counter() - began,)


async def process_of_loop() -> tuple[float]:
    """Stop a child process of the event loop."""
    async with await anyio.open_process(SCRIPT) as process:
        assert process.stdout is not None
        await process.stdout.receive()
        began = time.perf_counter()
        process.terminate()
        await process.wait()
        return (time.perf_counter() - began,)


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds from the request to the answer that the work has stopped."""
    lifecycle = JOB_LIFECYCLE.derive(cancel_started=True)
    with ThreadPoolExecutor(1) as executor, TemporaryDirectory() as folder:
        path = str(Path(folder, "ended"))
        async with JobRunner(lifecycle=lifecycle) as runner:

            async def ours(work: Any) -> tuple[float]:
                _, seconds = await stopped(await runner.submit(work))
                return (seconds,)

            async def our_process() -> tuple[float, float]:
                job = await runner.submit(sleep, path, executor=runner.processes)
                began, seconds = await stopped(job)
                return told(path) - began, seconds

            command = Command(*SCRIPT, progress=lambda line: 1.0)
            contenders: dict[tuple[str, ...], tuple[int, Stop]] = {
                **({(SCOPE,): (100, nursery)} if backend == "trio" else {(TASK,): (100, task)}),
                (OUR_TASK,): (100, partial(ours, sleep_as_task)),
                (EVENT,): (20, partial(thread, executor)),
                (OUR_THREAD,): (20, partial(ours, listen)),
                (PROCESS,): (2, process),
                (LAST_LINE, OUR_PROCESS): (2, our_process),
                (POPEN,): (20, popen),
                (PROCESS_OF_LOOP,): (20, process_of_loop),
                (OUR_COMMAND,): (20, partial(ours, command)),
            }
            return await _in_turn(backend, effort, contenders)


async def _in_turn(
    backend: str, effort: Effort, contenders: dict[tuple[str, ...], tuple[int, Stop]]
) -> list[Measurement]:
    """Return the median of each round, and of all rounds together what one in a hundred exceeds."""
    taken: dict[str, list[list[float]]] = {}
    for _ in range(effort.rounds):
        for names, (count, stop) in contenders.items():
            with Stopwatch():  # keeps the collector off
                times = [await stop() for _ in range(max(1, int(count * effort.share)))]
            for name, of_one in zip(names, zip(*times, strict=True), strict=True):
                taken.setdefault(name, []).append(list(of_one))
    found = []
    for name, rounds in taken.items():
        worst = quantiles(chain.from_iterable(rounds), n=100, method="inclusive")[-1]
        medians = tuple(map(median, rounds))
        found.append(Measurement("stopping", name, backend, medians))
        found.append(Measurement("stopping", f"{name}; one in 100", backend, (worst,)))
    return found


QUESTION = Question(
    "stopping",
    "From the request to stop to the answer that it has",
    measure,
    "Work is running and is asked to stop, until whoever asked is told that it has; for a job, its "
    "end is on record by then. Quoted are medians of the medians of rounds, and what one request "
    "in a hundred exceeds, of some hundred (of processes, some dozens). A process that does jobs "
    "runs `finally` blocks, and the answer waits until its interpreter has shut down; one that is "
    "terminated just ends. Wall-clock time.",
    (
        Goal("a task: ≤ 1 ms", 1e-3, OUR_TASK, unit="s"),
        Goal("a thread: ≤ 2 × a flag that it asks for", 2, OUR_THREAD, (EVENT,)),
        Goal("the last line in a process: ≤ 5 ms", 5e-3, LAST_LINE, unit="s"),
        Goal("a command: ≤ 2 × a process of anyio", 2, OUR_COMMAND, (PROCESS_OF_LOOP,)),
    ),
)
