"""What does it cost to run a plain function in a process as a job?"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

from jobstate import JobRunner

from .measure import Contender, Effort, Measurement, Question, Stopwatch, in_turn

COUNT, PROCESSES = 200, 2
POOL = f"ProcessPoolExecutor({PROCESSES})"
OURS = f"JobRunner(processes={PROCESSES})"

work = os.getpid  # known in every process


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a job: given to whoever runs it, run, and its outcome awaited.

    The first round, which does not count, starts the processes.
    """
    spawning = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(PROCESSES, mp_context=spawning)
    try:
        async with JobRunner(processes=PROCESSES) as runner:

            async def pool(count: int, watch: Stopwatch) -> None:
                with watch:
                    futures = [executor.submit(work) for _ in range(count)]
                    for future in futures:
                        future.result()

            async def in_executor(count: int, watch: Stopwatch) -> None:
                loop = asyncio.get_running_loop()
                with watch:
                    futures = [loop.run_in_executor(executor, work) for _ in range(count)]
                    for future in futures:
                        await future

            async def ours(count: int, watch: Stopwatch) -> None:
                with watch:
                    jobs = [
                        await runner.submit(work, executor=runner.processes) for _ in range(count)
                    ]
                    for job in jobs:
                        await job.completed()

            contenders = [
                Contender(POOL, COUNT, pool),
                *(
                    [Contender("await loop.run_in_executor(…)", COUNT, in_executor)]
                    if backend != "trio"
                    else []
                ),
                Contender(OURS, COUNT, ours),
            ]
            return await in_turn("processes", backend, effort, contenders, clock=time.perf_counter)
    finally:
        executor.shutdown()


QUESTION = Question(
    "processes",
    "Running a plain function in a process",
    measure,
    f"{COUNT} calls of `os.getpid` in {PROCESSES} processes, which are spawned beforehand and "
    "kept. A ProcessPoolExecutor has one more function than processes in its pipe; a job is sent "
    "when its process is free, so that it can be told what to stop. Wall-clock time, since the "
    "work is elsewhere.",
    (),
    (POOL,),
)
