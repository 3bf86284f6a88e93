"""How long after the last event does a waiter go on?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from statistics import median

import anyio
import trio

from jobstate import Job

from .measure import (
    Contender,
    Effort,
    Measurement,
    Question,
    Stopwatch,
    in_tasks,
    in_turn,
    settled,
)

COUNT = 1_000
FUTURE, TRIO_EVENT = "asyncio.Future", "trio.Event"
OURS = "job.succeed_nowait(), await job.completed()"

Pair = tuple[Callable[[], Awaitable[object]], Callable[[], object]]
"""A wait, and what ends it."""


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds from just before the end is told to the next line of who waits for it."""

    async def on_future(future: asyncio.Future[None]) -> None:
        await future

    async def future(count: int, watch: Stopwatch) -> None:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(count)]
        await one_by_one(
            watch,
            [(partial(on_future, each), partial(each.set_result, None)) for each in futures],
        )

    async def asyncio_event(count: int, watch: Stopwatch) -> None:
        events = [asyncio.Event() for _ in range(count)]
        await one_by_one(watch, [(event.wait, event.set) for event in events])

    async def trio_event(count: int, watch: Stopwatch) -> None:
        events = [trio.Event() for _ in range(count)]
        await one_by_one(watch, [(event.wait, event.set) for event in events])

    async def anyio_event(count: int, watch: Stopwatch) -> None:
        events = [anyio.Event() for _ in range(count)]
        await one_by_one(watch, [(event.wait, event.set) for event in events])

    async def ours(count: int, watch: Stopwatch) -> None:
        jobs = [Job() for _ in range(count)]
        for job in jobs:
            await job.start()
        await one_by_one(watch, [(job.completed, job.succeed_nowait) for job in jobs])

    async def one_by_one(watch: Stopwatch, pairs: Sequence[Pair]) -> None:
        """Let two tasks play: one waits for each, the other ends each once that one sleeps."""
        began = 0.0
        taken: list[float] = []

        async def waits() -> None:
            for wait, _ in pairs:
                await wait()
                taken.append(time.perf_counter() - began)

        async def ends() -> None:
            nonlocal began
            for _, end in pairs:
                await settled()
                began = time.perf_counter()
                end()

        with Stopwatch():  # keeps the collector off
            await in_tasks(backend, [waits, ends], lambda: None)
        watch.seconds = median(taken) * len(taken)

    raw = (
        [Contender(TRIO_EVENT, COUNT, trio_event)]
        if backend == "trio"
        else [
            Contender(FUTURE, COUNT, future),
            Contender("asyncio.Event", COUNT, asyncio_event),
        ]
    )
    return await in_turn(
        "latency",
        backend,
        effort,
        [*raw, Contender("anyio.Event", COUNT, anyio_event), Contender(OURS, COUNT, ours)],
    )


QUESTION = Question(
    "latency",
    "From the last event to the waiter's next line",
    measure,
    "Two tasks: one waits, the other ends what it waits for. The turn of the event loop in "
    "between is included, and so is the job's last transition. This is wall-clock time; a sample "
    "is the median of a thousand.",
    (),
    (FUTURE, TRIO_EVENT),
)
