"""What does a wait cost, from waiting to woken?"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import anyio

from jobstate import Job, all_completed

from .measure import compared, table

COUNT = 1_000
MANY = 100_000


async def main() -> str:
    """Return the figures of both questions."""
    loop = asyncio.get_running_loop()

    async def on_future(future: asyncio.Future[None]) -> None:
        await future

    async def raw_future(count: int) -> None:
        futures = [loop.create_future() for _ in range(count)]
        async with asyncio.TaskGroup() as tasks:
            for future in futures:
                tasks.create_task(on_future(future))
            await asyncio.sleep(0)
            for future in futures:
                future.set_result(None)

    async def raw_event(count: int) -> None:
        events = [anyio.Event() for _ in range(count)]
        async with asyncio.TaskGroup() as tasks:
            for event in events:
                tasks.create_task(event.wait())
            await asyncio.sleep(0)
            for event in events:
                event.set()

    async def ours(count: int) -> None:
        jobs = [Job() for _ in range(count)]
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                tasks.create_task(job.completed())
            await asyncio.sleep(0)
            for job in jobs:
                job.fail_nowait("over")

    figures = await compared(
        {
            "asyncio.Future in a task": (COUNT, raw_future),
            "anyio.Event in a task": (COUNT, raw_event),
            "job.completed(), job and its end too": (COUNT, ours),
        }
    )
    jobs = [Job() for _ in range(MANY)]
    gc.collect()
    tracemalloc.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(all_completed, jobs)
        await asyncio.sleep(0)
        weight = tracemalloc.get_traced_memory()[0] / MANY
        tracemalloc.stop()
        tasks.cancel_scope.cancel()
    return "\n".join(
        (
            table("From waiting to woken", figures, "asyncio.Future in a task"),
            f"One task awaiting {MANY:,} jobs: {weight:.0f} bytes a job beyond the job",
        )
    )
