"""Queues to be filled, with work that waits for a place: ours, and those of the peers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiojobs
import anyio
import trio

from jobstate import JobRunner, JobStatus

Fill = Callable[[int], Awaitable[None]]
"""Queues that much work."""

Queue = Callable[[], AbstractAsyncContextManager[Fill]]
"""Is empty when it is entered, with nothing free; on leaving, what is in it ends somehow."""

TASKS, NURSERY = "asyncio.create_task(…)", "nursery.start_soon(…)"
OURS = "await JobRunner(limit=1).submit(…)"


async def nothing() -> None:
    """Be the work."""


def nothing_at_all() -> None:
    """Be the work of a thread."""


@asynccontextmanager
async def jobs() -> AsyncIterator[Fill]:
    """Be jobs that wait for the one that runs."""
    async with JobRunner(limit=1) as runner:
        first = await runner.submit(anyio.sleep_forever)
        await first.reached(JobStatus.STARTED)

        async def fill(count: int) -> None:
            for _ in range(count):
                await runner.submit(nothing)

        yield fill
        await runner.aclose()


@asynccontextmanager
async def tasks() -> AsyncIterator[Fill]:
    """Be tasks that have not begun."""
    pending: list[asyncio.Task[None]] = []

    async def fill(count: int) -> None:
        for _ in range(count):
            pending.append(asyncio.create_task(nothing()))  # noqa: PERF401  # as one comes to it

    yield fill
    for task in pending:
        await task


@asynccontextmanager
async def tasks_at_semaphore() -> AsyncIterator[Fill]:
    """Be tasks that have begun, and wait for a place themselves."""
    pending: list[asyncio.Task[None]] = []
    semaphore = asyncio.Semaphore(0)

    async def work() -> None:
        async with semaphore:
            pass

    async def fill(count: int) -> None:
        for _ in range(count):
            pending.append(asyncio.create_task(work()))  # noqa: PERF401
        await asyncio.sleep(0)

    yield fill
    semaphore.release()
    for task in pending:
        await task


@asynccontextmanager
async def nursery() -> AsyncIterator[Fill]:
    """Be tasks of Trio that have not begun."""
    async with trio.open_nursery() as nursery:

        async def fill(count: int) -> None:
            for _ in range(count):
                nursery.start_soon(nothing)

        yield fill


@asynccontextmanager
async def scheduler() -> AsyncIterator[Fill]:
    """Be jobs of aiojobs that wait for the one that runs."""
    scheduler = aiojobs.Scheduler(limit=1, pending_limit=0)
    gate = asyncio.Event()
    await scheduler.spawn(gate.wait())

    async def fill(count: int) -> None:
        for _ in range(count):
            await scheduler.spawn(nothing())

    yield fill
    gate.set()
    await scheduler.wait_and_close()


@asynccontextmanager
async def thread_pool() -> AsyncIterator[Fill]:
    """Be futures that wait for the only thread."""
    with ThreadPoolExecutor(1) as executor:
        gate = threading.Event()
        executor.submit(gate.wait)
        pending: list[Future[None]] = []

        async def fill(count: int) -> None:
            for _ in range(count):
                pending.append(executor.submit(nothing_at_all))  # noqa: PERF401

        yield fill
        gate.set()


def queues(backend: str) -> dict[str, Queue]:
    """Return the queues of a backend by name; what each is compared with comes first."""
    raw: dict[str, Queue] = (
        {NURSERY: nursery}
        if backend == "trio"
        else {
            TASKS: tasks,
            "the same, asleep at a semaphore": tasks_at_semaphore,
            "await aiojobs.Scheduler(limit=1).spawn(…)": scheduler,
        }
    )
    return {**raw, "ThreadPoolExecutor(1).submit(…)": thread_pool, OURS: jobs}
