"""What does one task hold that awaits many jobs?"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from jobstate import Job, all_completed

from .measure import Effort, Goal, Measurement, Question, in_tasks

OURS, TASKS = "await all_completed(jobs)", "a task a job: await job.completed()"


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return bytes a job, beyond the jobs. The count is exact, so that one sample is enough."""
    found = []
    for size in effort.sizes(10_000, 1_000_000):
        jobs = [Job() for _ in range(size)]
        weight = await _held(backend, jobs, [partial(all_completed, jobs)])
        found.append(Measurement("many", OURS, backend, (weight,), "bytes", size))
    for size in effort.sizes(10_000):
        jobs = [Job() for _ in range(size)]
        weight = await _held(backend, jobs, [job.completed for job in jobs])
        found.append(Measurement("many", TASKS, backend, (weight,), "bytes", size))
    return found


async def _held(
    backend: str, jobs: list[Job], waits: Sequence[Callable[[], Awaitable[object]]]
) -> float:
    """Return how many bytes a job are held while these waits sleep."""
    weight = 0.0

    def weigh() -> None:
        nonlocal weight
        gc.collect()
        weight = tracemalloc.get_traced_memory()[0] / len(jobs)
        tracemalloc.stop()
        for job in jobs:
            job.fail_nowait("measured")

    gc.collect()
    tracemalloc.start()
    await in_tasks(backend, waits, weigh)
    return weight


QUESTION = Question(
    "many",
    "One task awaiting a million jobs",
    measure,
    "Bytes a job that Python holds while all sleep, beyond the jobs and the list of them, by "
    "tracemalloc. A set has a third to two thirds of its places free, and so the figure depends "
    "on the number of jobs.",
    (Goal("≤ 200 bytes a job", 200, OURS, unit="bytes"),),
)
