"""What does it cost to make a job?"""

from __future__ import annotations

from jobstate import Job

from .measure import Contender, Effort, Goal, Measurement, Question, Stopwatch, in_turn
from .peers import Core, Model, Peer, async_machine, automat_factory

LARGE, SMALL = 5_000, 30
SLOTTED, OURS = "a slotted object", "Job()"


class Slotted:
    """A bare object of four fields."""

    __slots__ = ("a", "b", "c", "d")

    def __init__(self, a: int, b: int, c: int, d: int) -> None:
        self.a, self.b, self.c, self.d = a, b, c, d


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds an object."""

    async def slotted(count: int, watch: Stopwatch) -> None:
        with watch:
            kept = [Slotted(1, 2, 3, 4) for _ in range(count)]
        del kept

    async def ours(count: int, watch: Stopwatch) -> None:
        with watch:
            kept = [Job() for _ in range(count)]
        del kept

    make = automat_factory()

    async def automat(count: int, watch: Stopwatch) -> None:
        with watch:
            kept = [make(Core()) for _ in range(count)]
        del kept

    async def own(count: int, watch: Stopwatch) -> None:
        with watch:
            kept = [async_machine([Model()]) for _ in range(count)]
        del kept

    machine = async_machine([])

    async def shared(count: int, watch: Stopwatch) -> None:
        models = [Model() for _ in range(count)]
        with watch:
            for model in models:
                machine.add_model(model)
        machine.remove_model(models)

    async def statemachine(count: int, watch: Stopwatch) -> None:
        with watch:
            kept = [Peer() for _ in range(count)]
        del kept

    return await in_turn(
        "creation",
        backend,
        effort,
        [
            Contender(SLOTTED, LARGE, slotted),
            Contender(OURS, LARGE, ours),
            Contender("Automat", LARGE, automat),
            Contender("AsyncMachine, one a model", SMALL, own),
            Contender("AsyncMachine, one for all models", SMALL, shared),
            Contender("python-statemachine", SMALL, statemachine),
        ],
    )


QUESTION = Question(
    "creation",
    "Making a job",
    measure,
    "A list of new objects, which are kept. The slotted object has four fields, and no id.",
    (
        Goal("≤ 5 × a slotted object", 5, OURS, (SLOTTED,)),
        Goal("≤ 2 µs", 2e-6, OURS, unit="s"),
    ),
    (SLOTTED,),
)
