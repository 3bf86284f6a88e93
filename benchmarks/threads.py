"""What does it cost to run a plain function in a thread as a job?"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import anyio

from jobstate import JobRunner

from .measure import Contender, Effort, Measurement, Question, Stopwatch, in_turn

COUNT, THREADS = 500, 4
POOL, OURS = f"ThreadPoolExecutor({THREADS})", f"JobRunner(threads={THREADS})"


def nothing() -> None:
    """Be the work."""


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a job: given to whoever runs it, run, and its outcome awaited."""
    with ExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(THREADS))

        async def pool(count: int, watch: Stopwatch) -> None:
            with watch:
                futures = [executor.submit(nothing) for _ in range(count)]
                for future in futures:
                    future.result()

        async def in_executor(count: int, watch: Stopwatch) -> None:
            loop = asyncio.get_running_loop()
            with watch:
                futures = [loop.run_in_executor(executor, nothing) for _ in range(count)]
                for future in futures:
                    await future

        limiter = anyio.CapacityLimiter(THREADS)

        async def to_thread() -> None:
            await anyio.to_thread.run_sync(nothing, limiter=limiter)

        async def anyio_tasks(count: int, watch: Stopwatch) -> None:
            with watch:
                async with anyio.create_task_group() as group:
                    for _ in range(count):
                        group.start_soon(to_thread)

        async def ours(count: int, watch: Stopwatch) -> None:
            with watch:
                async with JobRunner(threads=THREADS) as runner:
                    jobs = [await runner.submit(nothing) for _ in range(count)]
                    for job in jobs:
                        await job.completed()

        contenders = [
            Contender(POOL, COUNT, pool),
            *(
                [Contender("await loop.run_in_executor(…)", COUNT, in_executor)]
                if backend != "trio"
                else []
            ),
            Contender("await anyio.to_thread.run_sync(…)", COUNT, anyio_tasks),
            Contender(OURS, COUNT, ours),
        ]
        return await in_turn("threads", backend, effort, contenders, clock=time.perf_counter)


QUESTION = Question(
    "threads",
    "Running a plain function in a thread",
    measure,
    f"{COUNT} plain functions that do nothing, in {THREADS} threads. The threads of a "
    "ThreadPoolExecutor take the next function themselves, while an event loop hears of each "
    "function's end before it hands out another. Wall-clock time, since the work is in other "
    "threads.",
    (),
    (POOL,),
)
