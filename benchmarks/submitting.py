"""Does it cost more to submit a job when many are waiting?"""

from __future__ import annotations

from .measure import Contender, Effort, Goal, Measurement, Question, Run, Stopwatch, in_turn
from .queues import NURSERY, OURS, TASKS, Queue, queues


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a job that is put in line."""
    found = []
    for size in effort.sizes(1_000, 10_000, 100_000):
        rounds = min(effort.rounds, 9 if size <= 10_000 else 3)
        each = Effort(rounds, 1.0, effort.largest, effort.watched)
        contenders = [Contender(name, size, _run(it)) for name, it in queues(backend).items()]
        found += await in_turn("submitting", backend, each, contenders, size=size)
    return found


def _run(queue: Queue) -> Run:
    async def run(count: int, watch: Stopwatch) -> None:
        async with queue() as fill:
            with watch:
                await fill(count)

    return run


QUESTION = Question(
    "submitting",
    "From a thousand queued jobs to 100,000",
    measure,
    "Seconds a job, until it is in line with so many others; none of them runs meanwhile.",
    (Goal("flat: ≤ 1.5 × from 1,000 to 100,000", 1.5, OURS, growth=(1_000, 100_000)),),
    (TASKS, NURSERY),
)
