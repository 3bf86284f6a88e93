"""What does a transition cost, with and without hooks?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from statemachine import State as PeerState
from statemachine import StateChart
from transitions.extensions.asyncio import AsyncMachine

from jobstate import JOB_LIFECYCLE, Job, Lifecycle, TransitionEvent

from .measure import compared, table

SMALL, LARGE = 300, 5_000
STEPS = {"PENDING": {"start": "STARTED"}, "STARTED": {"requeue": "PENDING"}}


class Bare:
    """The least that anything can do: one lookup and one assignment."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status = "PENDING"

    async def trigger(self, name: str) -> None:
        """Move."""
        self.status = STEPS[self.status][name]


class Model:
    """A model of `transitions`, with an async guard and an async hook."""

    state: str
    start: Callable[[], Awaitable[bool]]
    requeue: Callable[[], Awaitable[bool]]

    async def may_start(self) -> bool:
        """Let it pass."""
        return True

    async def has_started(self) -> None:
        """Hear of it."""


class Peer(StateChart[Any]):
    """The same two states in python-statemachine."""

    pending = PeerState(initial=True)
    started = PeerState()
    start = pending.to(started)
    requeue = started.to(pending)

    async def on_enter_started(self) -> None:
        """Make the machine an async one."""


def hooked_lifecycle() -> Lifecycle:
    """Return the default lifecycle with an async guard and an async hook."""
    lifecycle = JOB_LIFECYCLE.derive("hooked")

    @lifecycle.guard("start")
    async def may_start(event: TransitionEvent) -> bool:
        return True

    @lifecycle.on_enter("STARTED")
    async def has_started(event: TransitionEvent) -> None:
        pass

    return lifecycle


def async_machine(*, hooked: bool) -> Model:
    """Return a model moved by an AsyncMachine."""
    model = Model()
    states = ["PENDING", {"name": "STARTED", "on_enter": "has_started" if hooked else None}]
    start = {"trigger": "start", "source": "PENDING", "dest": "STARTED"}
    if hooked:
        start["conditions"] = "may_start"
    AsyncMachine(
        model,
        states=states,
        transitions=[start, {"trigger": "requeue", "source": "STARTED", "dest": "PENDING"}],
        initial="PENDING",
        auto_transitions=False,
    )
    return model


async def main() -> str:
    """Return the figures of both questions."""

    async def bare(count: int) -> None:
        job = Bare()
        for _ in range(count // 2):
            await job.trigger("start")
            await job.trigger("requeue")

    async def ours(count: int) -> None:
        for _ in range(count // 2):
            job = Job()
            await job.start()
            await job.requeue()

    hooked = hooked_lifecycle()

    async def ours_hooked(count: int) -> None:
        for _ in range(count):
            await Job(lifecycle=hooked).start()

    async def theirs(count: int) -> None:
        model = async_machine(hooked=False)
        for _ in range(count // 2):
            await model.start()
            await model.requeue()

    hooked_model = async_machine(hooked=True)

    async def theirs_hooked(count: int) -> None:
        for _ in range(count):
            hooked_model.state = "PENDING"
            await hooked_model.start()

    peer = Peer()
    await peer.activate_initial_state()

    async def statemachine(count: int) -> None:
        for _ in range(count // 2):
            await peer.start()
            await peer.requeue()

    plain = await compared(
        {
            "a coroutine with a dict": (LARGE, bare),
            "jobstate.Job (made anew)": (LARGE, ours),
            "transitions AsyncMachine": (SMALL, theirs),
            "python-statemachine": (SMALL, statemachine),
        }
    )
    both = await compared(
        {
            "jobstate.Job (made anew)": (LARGE, ours_hooked),
            "transitions AsyncMachine": (SMALL, theirs_hooked),
        }
    )
    return "\n".join(
        (
            table("A transition without hooks", plain, "a coroutine with a dict"),
            table("With one async guard and one async hook", both, "jobstate.Job (made anew)"),
        )
    )
