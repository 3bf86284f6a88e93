"""What does a transition with one async guard and one async hook cost?"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from jobstate import Job

from .measure import Contender, Effort, Goal, Measurement, Question, Stopwatch, in_turn
from .peers import BareHooked, PeerHooked, hooked_lifecycle, one_machine, own_machines

LARGE, SMALL = 2_000, 100
BARE, OURS, THEIRS = "a coroutine with a dict", "await job.start()", "AsyncMachine, one a model"


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a transition."""
    lifecycle = hooked_lifecycle()

    async def bare(count: int, watch: Stopwatch) -> None:
        jobs = [BareHooked() for _ in range(count)]
        with watch:
            for job in jobs:
                await job.start()

    async def ours(count: int, watch: Stopwatch) -> None:
        jobs = [Job(lifecycle=lifecycle) for _ in range(count)]
        with watch:
            for job in jobs:
                await job.start()

    async def shield(count: int, watch: Stopwatch) -> None:
        hook = BareHooked().has_started
        with watch:
            for _ in range(count):
                await shielded(backend, hook)

    contenders = [
        Contender(BARE, LARGE, bare),
        Contender(OURS, LARGE, ours),
        Contender("what shields one hook, alone", LARGE, shield),
    ]
    if backend != "trio":
        own, shared = own_machines(SMALL, hooked=True), one_machine(SMALL, hooked=True)

        async def theirs(count: int, watch: Stopwatch) -> None:
            for model in own:
                model.state = "PENDING"
            with watch:
                for model in own[:count]:
                    await model.start()

        async def theirs_shared(count: int, watch: Stopwatch) -> None:
            for model in shared:
                model.state = "PENDING"
            with watch:
                for model in shared[:count]:
                    await model.start()

        async def statemachine(count: int, watch: Stopwatch) -> None:
            peers = [PeerHooked() for _ in range(count)]
            for peer in peers:
                await peer.activate_initial_state()
            with watch:
                for peer in peers:
                    await peer.start()

        contenders += [
            Contender(THEIRS, SMALL, theirs),
            Contender("AsyncMachine, one for all models", SMALL, theirs_shared),
            Contender("python-statemachine", SMALL, statemachine),
        ]
    return await in_turn("hooks", backend, effort, contenders)


async def shielded(backend: str, hook: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Await a hook so that no cancellation reaches it, and do no more."""
    if backend == "trio":
        with anyio.CancelScope(shield=True):
            await hook()
    elif sys.version_info >= (3, 12):
        task = asyncio.Task(hook(), loop=asyncio.get_running_loop(), eager_start=True)
        if not task.done():
            await task
    else:
        await asyncio.create_task(hook())


QUESTION = Question(
    "hooks",
    "A transition with one async guard and one async hook",
    measure,
    "From PENDING to STARTED, of objects made beforehand. Guard and hook return at once. "
    "Only jobstate shields the hook from a cancellation, by a task of its own on asyncio and a "
    "shielded scope on Trio. Automat has neither.",
    (Goal("≥ 15 × faster than AsyncMachine", 15, OURS, (THEIRS,), faster=True),),
    (BARE,),
)
