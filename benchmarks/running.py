"""What does it cost to run an async function as a job?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager

import aiojobs
import anyio
import trio

from jobstate import JobRunner

from .measure import Contender, Effort, Goal, Measurement, Question, Run, Stopwatch, in_turn

COUNT, LIMIT = 1_000, 100
TASKS, NURSERY = "asyncio.TaskGroup", "a Trio nursery"
OURS, LIMITED = "JobRunner()", f"JobRunner(limit={LIMIT})"

Work = Callable[[], Coroutine[None, None, None]]


async def nothing() -> None:
    """Be the work."""


def within(semaphore: AbstractAsyncContextManager[object]) -> Work:
    """Return the work of someone who waits for a free place first."""

    async def work() -> None:
        async with semaphore:
            await nothing()

    return work


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a job: given to whoever runs it, run, and its outcome awaited."""

    def tasks(semaphore: Callable[[], AbstractAsyncContextManager[object]] | None = None) -> Run:
        async def run(count: int, watch: Stopwatch) -> None:
            work = within(semaphore()) if semaphore else nothing
            with watch:
                async with asyncio.TaskGroup() as group:
                    running = [group.create_task(work()) for _ in range(count)]
                    for task in running:
                        await task

        return run

    def nursery(semaphore: Callable[[], AbstractAsyncContextManager[object]] | None = None) -> Run:
        async def run(count: int, watch: Stopwatch) -> None:
            work = within(semaphore()) if semaphore else nothing
            with watch:
                async with trio.open_nursery() as nursery:
                    for _ in range(count):
                        nursery.start_soon(work)

        return run

    async def anyio_tasks(count: int, watch: Stopwatch) -> None:
        with watch:
            async with anyio.create_task_group() as group:
                for _ in range(count):
                    group.start_soon(nothing)

    def scheduler(limit: int | None) -> Run:
        async def run(count: int, watch: Stopwatch) -> None:
            with watch:
                async with aiojobs.Scheduler(limit=limit, pending_limit=0) as scheduler:
                    jobs = [await scheduler.spawn(nothing()) for _ in range(count)]
                    for job in jobs:
                        await job.wait()

        return run

    def ours(limit: int | None) -> Run:
        async def run(count: int, watch: Stopwatch) -> None:
            with watch:
                async with JobRunner(limit=limit) as runner:
                    jobs = [await runner.submit(nothing) for _ in range(count)]
                    for job in jobs:
                        await job.completed()

        return run

    peers = (
        [
            Contender(NURSERY, COUNT, nursery()),
            Contender(
                f"{NURSERY}, a semaphore of {LIMIT}", COUNT, nursery(lambda: trio.Semaphore(LIMIT))
            ),
        ]
        if backend == "trio"
        else [
            Contender(TASKS, COUNT, tasks()),
            Contender(
                f"{TASKS}, a semaphore of {LIMIT}", COUNT, tasks(lambda: asyncio.Semaphore(LIMIT))
            ),
            Contender("aiojobs.Scheduler, no limit", COUNT, scheduler(None)),
            Contender(f"aiojobs.Scheduler, limit={LIMIT}", COUNT, scheduler(LIMIT)),
        ]
    )
    return await in_turn(
        "running",
        backend,
        effort,
        [
            *peers,
            Contender("anyio task group", COUNT, anyio_tasks),
            Contender(OURS, COUNT, ours(None)),
            Contender(LIMITED, COUNT, ours(LIMIT)),
        ],
    )


QUESTION = Question(
    "running",
    "Running an async function",
    measure,
    f"{COUNT:,} async functions that do nothing: given to whoever runs them, run, and each one's "
    "outcome awaited; opening and closing the block included. A group of tasks runs them and no "
    "more. aiojobs has a limit and a handle; it has no statuses, and runs on asyncio alone.",
    (Goal("≤ 100 µs: 10,000 jobs a second", 1e-4, OURS, unit="s"),),
    (TASKS, NURSERY),
)
