"""The peers, each with the two states and two triggers that are measured: start and requeue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import Any, Protocol

from automat import TypeMachineBuilder
from statemachine import State as PeerState
from statemachine import StateChart
from transitions.extensions.asyncio import AsyncMachine

from jobstate import JOB_LIFECYCLE, Lifecycle, Transition, TransitionEvent

START = {"PENDING": "STARTED"}
REQUEUE = {"STARTED": "PENDING"}


class Bare:
    """The least that anything can do: a coroutine, one lookup and one assignment."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status = "PENDING"

    async def start(self) -> None:
        """Move on."""
        self.status = START[self.status]

    async def requeue(self) -> None:
        """Move back."""
        self.status = REQUEUE[self.status]


class WithReceipt:
    """The least that also says what happened: a record with the time, kept and returned."""

    __slots__ = ("history", "status")

    def __init__(self) -> None:
        self.status = "PENDING"
        self.history: list[Transition[str]] = []

    async def start(self) -> Transition[str]:
        """Move on."""
        return self._moved("start", START)

    async def requeue(self) -> Transition[str]:
        """Move back."""
        return self._moved("requeue", REQUEUE)

    def _moved(self, trigger: str, targets: dict[str, str]) -> Transition[str]:
        source, dest = self.status, targets[self.status]
        version = len(self.history) + 1
        facts = ("id", version, trigger, source, dest, time(), 1, "", None, None, None, False)
        receipt: Transition[str] = tuple.__new__(Transition, facts)
        self.status = dest
        self.history.append(receipt)
        return receipt


class BareHooked(Bare):
    """The same with an async guard and an async hook."""

    __slots__ = ()

    async def start(self) -> None:
        """Move on, if the guard lets it, and tell the hook."""
        target = START[self.status]
        if await self.may_start():
            self.status = target
            await self.has_started()

    async def may_start(self) -> bool:
        """Let it pass."""
        return True

    async def has_started(self) -> None:
        """Hear of it."""


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


def async_machine(models: Sequence[Model], *, hooked: bool = False) -> AsyncMachine:
    """Return an AsyncMachine that moves these models."""
    states = ["PENDING", {"name": "STARTED", "on_enter": "has_started" if hooked else None}]
    start = {"trigger": "start", "source": "PENDING", "dest": "STARTED"}
    if hooked:
        start["conditions"] = "may_start"
    return AsyncMachine(
        list(models),
        states=states,
        transitions=[start, {"trigger": "requeue", "source": "STARTED", "dest": "PENDING"}],
        initial="PENDING",
        auto_transitions=False,
    )


def own_machines(count: int, *, hooked: bool = False) -> list[Model]:
    """Return models with a machine each."""
    models = [Model() for _ in range(count)]
    for model in models:
        async_machine([model], hooked=hooked)
    return models


def one_machine(count: int, *, hooked: bool = False) -> list[Model]:
    """Return models that share one machine."""
    models = [Model() for _ in range(count)]
    async_machine(models, hooked=hooked)
    return models


class Peer(StateChart[Any]):
    """The same two states in python-statemachine."""

    pending = PeerState(initial=True)
    started = PeerState()
    start = pending.to(started)
    requeue = started.to(pending)

    async def on_enter_started(self) -> None:
        """Make the machine an async one."""


class PeerHooked(StateChart[Any]):
    """The same with an async guard and an async hook."""

    pending = PeerState(initial=True)
    started = PeerState()
    start = pending.to(started, cond="may_start")
    requeue = started.to(pending)

    async def may_start(self) -> bool:
        """Let it pass."""
        return True

    async def on_enter_started(self) -> None:
        """Hear of it."""


class Inputs(Protocol):
    """What Automat is told."""

    def start(self) -> None:
        """Move on."""

    def requeue(self) -> None:
        """Move back."""


class Core:
    """What Automat keeps for a machine."""


def automat_factory() -> Callable[[Core], Inputs]:
    """Return what makes machines of Automat, whose methods are plain functions."""
    builder = TypeMachineBuilder(Inputs, Core)
    pending = builder.state("PENDING")
    started = builder.state("STARTED")

    @pending.upon(Inputs.start).to(started)
    def begin(inputs: Inputs, core: Core) -> None:
        """Move on."""

    @started.upon(Inputs.requeue).to(pending)
    def put_back(inputs: Inputs, core: Core) -> None:
        """Move back."""

    return builder.build()


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
