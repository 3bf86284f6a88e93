"""What does a job weigh?"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable

from jobstate import Job

from .measure import Effort, Goal, Measurement, Question
from .peers import Core, Model, Peer, async_machine, automat_factory

LARGE, SMALL = 12_800, 200
IDLE, FINISHED = "Job(), idle", "a finished job with its history"


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return bytes an object. The count is exact, so that one sample is enough."""
    make = automat_factory()
    machine = async_machine([])

    async def finished() -> Job:
        job = Job()
        await job.start()
        await job.succeed()
        return job

    async def plain(make_one: Callable[[], object]) -> object:
        return make_one()

    def shared() -> Model:
        model = Model()
        machine.add_model(model)
        return model

    contenders: list[tuple[str, int, Callable[[], Awaitable[object]]]] = [
        (IDLE, LARGE, lambda: plain(Job)),
        (FINISHED, LARGE, finished),
        ("Automat", LARGE, lambda: plain(lambda: make(Core()))),
        ("AsyncMachine, one a model", SMALL, lambda: plain(lambda: async_machine([Model()]))),
        ("AsyncMachine, one for all models", SMALL, lambda: plain(shared)),
        ("python-statemachine", SMALL, lambda: plain(Peer)),
    ]
    return [
        Measurement("memory", name, backend, (await _weight(count, make_one),), "bytes")
        for name, count, make_one in contenders
    ]


async def _weight(count: int, make_one: Callable[[], Awaitable[object]]) -> float:
    """Return how many bytes are held for each of *count* objects."""
    await make_one()
    kept: list[object] = [None] * count
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for i in range(count):
        kept[i] = await make_one()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / count


QUESTION = Question(
    "memory",
    "What a job weighs",
    measure,
    "Bytes that Python holds for one more object, everything that it alone refers to included "
    "(its id, its moments), by tracemalloc; what all share is not counted. "
    "Finished means started and succeeded: two transitions.",
    (
        Goal("≤ 400 bytes idle", 400, IDLE, unit="bytes"),
        Goal("≤ 1 kB finished, with its history", 1000, FINISHED, unit="bytes"),
    ),
    (IDLE,),
)
