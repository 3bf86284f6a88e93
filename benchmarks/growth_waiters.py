"""Does a waiter cost more among many that wait for one job?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import trio

from jobstate import Job

from .measure import (
    Contender,
    Effort,
    Goal,
    Measurement,
    Question,
    Run,
    Stopwatch,
    in_tasks,
    in_turn,
)

SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
FUTURE, TRIO_EVENT, OURS = "one asyncio.Future", "one trio.Event", "one job, awaited by all"


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a waiter, of so many tasks that wait for one thing."""
    found = []
    for size in effort.sizes(*SIZES):
        contenders = [
            Contender(OURS, size, _ours(backend)),
            Contender("one anyio.Event", size, _events(backend, anyio.Event)),
            Contender(TRIO_EVENT, size, _events(backend, trio.Event))
            if backend == "trio"
            else Contender(FUTURE, size, _future(backend)),
        ]
        rounds = min(effort.rounds, 9 if size <= 10_000 else 5) * (5 if size <= 100 else 1)
        each = Effort(rounds, 1.0, effort.largest, effort.watched)
        found += await in_turn("growth_waiters", backend, each, contenders, size=size)
    return found


def _ours(backend: str) -> Run:
    async def run(count: int, watch: Stopwatch) -> None:
        job = Job()
        await job.start()
        waits = [job.completed] * count
        with watch:
            await in_tasks(backend, waits, lambda: _end(job))

    return run


def _end(job: Job) -> None:
    job.succeed_nowait()


def _events(backend: str, kind: Callable[[], anyio.Event | trio.Event]) -> Run:
    async def run(count: int, watch: Stopwatch) -> None:
        event = kind()
        waits = [event.wait] * count
        with watch:
            await in_tasks(backend, waits, lambda: _set(event))

    return run


def _set(event: anyio.Event | trio.Event) -> None:
    event.set()


def _future(backend: str) -> Run:
    async def run(count: int, watch: Stopwatch) -> None:
        future = asyncio.get_running_loop().create_future()

        async def wait() -> None:
            await future

        waits = [wait] * count
        with watch:
            await in_tasks(backend, waits, lambda: future.set_result(None))

    return run


QUESTION = Question(
    "growth_waiters",
    "From one waiter on a job to 100,000",
    measure,
    "Seconds a waiter: so many tasks are started, all wait for one thing, which is then ended.",
    (Goal("flat: ≤ 1.5 × from 1,000 to 100,000", 1.5, OURS, growth=(1_000, 100_000)),),
    (FUTURE, TRIO_EVENT),
)
