"""What does a transition without hooks cost?"""

from __future__ import annotations

import logging

import structlog

from jobstate import Job

from .measure import Contender, Effort, Goal, Measurement, Question, Stopwatch, in_turn
from .peers import Bare, Core, Peer, WithReceipt, automat_factory, one_machine, own_machines

LARGE, SMALL = 4_000, 100
BARE, OURS, THEIRS = "a coroutine with a dict", "await job.start()", "AsyncMachine, one a model"
AT_ONCE, LEVEL_OFF = "job.start_nowait()", "await job.start(), structlog set up, level off"


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a transition: every object goes forth and back."""

    async def bare(count: int, watch: Stopwatch) -> None:
        jobs = [Bare() for _ in range(count // 2)]
        with watch:
            for job in jobs:
                await job.start()
                await job.requeue()

    async def receipt(count: int, watch: Stopwatch) -> None:
        jobs = [WithReceipt() for _ in range(count // 2)]
        with watch:
            for job in jobs:
                await job.start()
                await job.requeue()

    async def ours(count: int, watch: Stopwatch) -> None:
        jobs = [Job() for _ in range(count // 2)]
        with watch:
            for job in jobs:
                await job.start()
                await job.requeue()

    async def at_once(count: int, watch: Stopwatch) -> None:
        jobs = [Job() for _ in range(count // 2)]
        with watch:
            for job in jobs:
                job.start_nowait()
                job.requeue_nowait()

    async def level_off(count: int, watch: Stopwatch) -> None:
        level = structlog.make_filtering_bound_logger(logging.ERROR)
        structlog.configure(wrapper_class=level)
        await ours(count, watch)
        structlog.reset_defaults()

    make = automat_factory()

    async def automat(count: int, watch: Stopwatch) -> None:
        machines = [make(Core()) for _ in range(count // 2)]
        with watch:
            for machine in machines:
                machine.start()
                machine.requeue()

    contenders = [
        Contender(BARE, LARGE, bare),
        Contender("the same with a receipt, kept", LARGE, receipt),
        Contender(OURS, LARGE, ours),
        Contender(AT_ONCE, LARGE, at_once),
        Contender(LEVEL_OFF, LARGE, level_off),
        Contender("Automat (a plain function)", LARGE, automat),
    ]
    if backend != "trio":
        own, shared = own_machines(SMALL // 2), one_machine(SMALL // 2)
        peers = [Peer() for _ in range(SMALL // 2)]
        for peer in peers:
            await peer.activate_initial_state()

        async def theirs(count: int, watch: Stopwatch) -> None:
            with watch:
                for model in own[: count // 2]:
                    await model.start()
                    await model.requeue()

        async def theirs_shared(count: int, watch: Stopwatch) -> None:
            with watch:
                for model in shared[: count // 2]:
                    await model.start()
                    await model.requeue()

        async def statemachine(count: int, watch: Stopwatch) -> None:
            with watch:
                for peer in peers[: count // 2]:
                    await peer.start()
                    await peer.requeue()

        contenders += [
            Contender(THEIRS, SMALL, theirs),
            Contender("AsyncMachine, one for all models", SMALL, theirs_shared),
            Contender("python-statemachine", SMALL, statemachine),
        ]
    return await in_turn("transition", backend, effort, contenders)


QUESTION = Question(
    "transition",
    "A transition without hooks",
    measure,
    "From PENDING to STARTED and back, of objects made beforehand. The receipt is a record like "
    "jobstate's: twelve facts, with the time. "
    "AsyncMachine and python-statemachine do not run on Trio.",
    (
        Goal("≤ 4 × a coroutine with a dict", 4, OURS, (BARE,)),
        Goal("≥ 30 × faster than AsyncMachine", 30, OURS, (THEIRS,), faster=True),
    ),
    (BARE,),
)
