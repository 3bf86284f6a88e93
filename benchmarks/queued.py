"""What does a job weigh that waits for its turn?"""

from __future__ import annotations

import gc
import tracemalloc

from .measure import Effort, Goal, Measurement, Question
from .queues import NURSERY, OURS, TASKS, Queue, queues


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return bytes a queued job. The count is exact, so that one sample is enough."""
    return [
        Measurement("queued", name, backend, (await _weight(queue, size),), "bytes", size)
        for size in effort.sizes(1_000, 100_000)
        for name, queue in queues(backend).items()
    ]


async def _weight(queue: Queue, count: int) -> float:
    async with queue() as fill:
        gc.collect()
        tracemalloc.start()
        await fill(count)
        gc.collect()
        weight = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
    return weight


QUESTION = Question(
    "queued",
    "What a queued job weighs",
    measure,
    "Bytes that Python holds for each of so many pieces of work that wait for a free place, by "
    "tracemalloc: async functions without arguments, and plain ones for threads. A job can be "
    "listed, awaited, and cancelled while it waits; the others give a handle, or nothing.",
    (Goal("≤ 1.5 kB a queued job", 1500, OURS, unit="bytes"),),
    (TASKS, NURSERY),
)
