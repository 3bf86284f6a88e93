"""What does a wait cost, from waiting to woken?"""

from __future__ import annotations

import asyncio
from functools import partial

import anyio
import trio

from jobstate import Job

from .measure import Contender, Effort, Goal, Measurement, Question, Stopwatch, in_tasks, in_turn

COUNT = 1_000
FUTURE, TRIO_EVENT = "asyncio.Future in a task", "trio.Event in a task"
OURS, WITH_END = "await job.completed() in a task", "the same, and the job's last transition"


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a wait: the task, going to sleep, and waking up."""

    async def on_future(future: asyncio.Future[None]) -> None:
        await future

    async def future(count: int, watch: Stopwatch) -> None:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(count)]
        waits = [partial(on_future, each) for each in futures]

        def end() -> None:
            for future in futures:
                future.set_result(None)

        with watch:
            await in_tasks(backend, waits, end)

    async def on_own_future(futures: list[asyncio.Future[None]]) -> None:
        future = asyncio.get_running_loop().create_future()
        futures.append(future)
        await future

    async def own_future(count: int, watch: Stopwatch) -> None:
        futures: list[asyncio.Future[None]] = []

        def end() -> None:
            for future in futures:
                future.set_result(None)

        with watch:
            await in_tasks(backend, [partial(on_own_future, futures)] * count, end)

    async def on_events(
        events: list[asyncio.Event] | list[trio.Event] | list[anyio.Event], watch: Stopwatch
    ) -> None:
        def end() -> None:
            for event in events:
                event.set()

        waits = [event.wait for event in events]
        with watch:
            await in_tasks(backend, waits, end)

    async def asyncio_event(count: int, watch: Stopwatch) -> None:
        await on_events([asyncio.Event() for _ in range(count)], watch)

    async def trio_event(count: int, watch: Stopwatch) -> None:
        await on_events([trio.Event() for _ in range(count)], watch)

    async def anyio_event(count: int, watch: Stopwatch) -> None:
        await on_events([anyio.Event() for _ in range(count)], watch)

    async def with_end(count: int, watch: Stopwatch) -> None:
        jobs = [Job() for _ in range(count)]

        for job in jobs:
            await job.start()
        waits = [job.completed for job in jobs]
        with watch:
            await in_tasks(backend, waits, lambda: _end(jobs))

    async def alone(count: int, watch: Stopwatch) -> None:
        unwatched = [Job() for _ in range(count)]
        for job in unwatched:
            await job.start()
        with watch.taken_off():
            _end(unwatched)
        await with_end(count, watch)

    raw = (
        [Contender(TRIO_EVENT, COUNT, trio_event)]
        if backend == "trio"
        else [
            Contender(FUTURE, COUNT, future),
            Contender("asyncio.Future that the task makes", COUNT, own_future),
            Contender("asyncio.Event in a task", COUNT, asyncio_event),
        ]
    )
    return await in_turn(
        "waiting",
        backend,
        effort,
        [
            *raw,
            Contender("anyio.Event in a task", COUNT, anyio_event),
            Contender(OURS, COUNT, alone),
            Contender(WITH_END, COUNT, with_end),
        ],
    )


def _end(jobs: list[Job]) -> None:
    for job in jobs:
        job.succeed_nowait()


QUESTION = Question(
    "waiting",
    "A wait, from waiting to woken",
    measure,
    f"{COUNT:,} tasks are started, each waits for a thing of its own, then all are ended. For "
    "jobstate, what the last transition of as many jobs costs that nobody waits for is taken off "
    "in each round; the line below says it with that. `transitions`, python-statemachine and "
    "Automat have no wait.",
    (Goal("≤ 1.3 × a raw future in a task", 1.3, OURS, (FUTURE, TRIO_EVENT)),),
    (FUTURE, TRIO_EVENT),
)
