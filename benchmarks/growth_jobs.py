"""Does a job cost more among many?"""

from __future__ import annotations

from jobstate import Job

from .measure import Contender, Effort, Goal, Measurement, Question, Stopwatch, in_turn
from .peers import Bare

SIZES = (1_000, 10_000, 100_000, 1_000_000)
BARE, OURS = "a coroutine with a dict, moved twice", "a job, started and completed"
COLLECTED = ", collector on"


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a job, of so many that are all kept."""

    async def bare(count: int, watch: Stopwatch) -> None:
        kept = []
        with watch:
            for _ in range(count):
                job = Bare()
                await job.start()
                await job.requeue()
                kept.append(job)
        kept.clear()

    async def ours(count: int, watch: Stopwatch) -> None:
        kept = []
        with watch:
            for _ in range(count):
                job = Job()
                await job.start()
                await job.succeed()
                kept.append(job)
        kept.clear()

    found = []
    for size in effort.sizes(*SIZES):
        contenders = [
            Contender(BARE, size, bare),
            Contender(OURS, size, ours),
            Contender(BARE + COLLECTED, size, bare, collecting=True),
            Contender(OURS + COLLECTED, size, ours, collecting=True),
        ]
        found += await in_turn("growth_jobs", backend, _fewer(effort, size), contenders, size=size)
    return found


def _fewer(effort: Effort, size: int) -> Effort:
    """Return an effort with fewer rounds for many, since they are long."""
    rounds = min(effort.rounds, 9 if size <= 10_000 else 5 if size <= 100_000 else 2)
    return Effort(rounds, 1.0, effort.largest, effort.watched)


QUESTION = Question(
    "growth_jobs",
    "From a thousand jobs to a million",
    measure,
    "Seconds a job, made, moved twice and kept, among so many. Whatever is kept is looked through "
    "by Python's garbage collector now and then; so it is measured with the collector off, as "
    "everything else here, and on.",
    (
        Goal("flat: ≤ 1.5 × from 1,000 to 1,000,000", 1.5, OURS, growth=(1_000, 1_000_000)),
        Goal(
            "the same, collector on",
            1.5,
            OURS + COLLECTED,
            growth=(1_000, 1_000_000),
        ),
    ),
    (BARE,),
)
