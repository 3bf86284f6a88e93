"""Random machines of `transitions` lead the same life as jobs, callback by callback.

Hypothesis draws a definition and a sequence of triggers. A model goes through it by the machine of
`transitions`, and jobs by ``Lifecycle.from_transitions(machine)``; all that a callback can see is
noted, and has to be the same. `AsDocumented` is the one place that knows of the differences that
are deliberate.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transitions import EventData, Machine, MachineError
from transitions.extensions import HierarchicalMachine, LockedMachine

from jobstate import (
    GuardRefused,
    HookFailed,
    Job,
    Lifecycle,
    Refused,
    TransitionRefused,
    UnknownTrigger,
    UnsupportedDefinition,
)

from .differential.definitions import (  # type: ignore[import-not-found]  # tests are no package
    ARGUMENTS,
    DOES,
    Callback,
    Definition,
    Interrupt,
    Live,
    definitions,
)

EXAMPLES = int(os.environ.get("JOBSTATE_EXAMPLES", "500"))
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
COMMITTED = ("on_enter", "on_final", "after", "after_state_change")
WHATEVER_HAPPENS = ("on_exception", "finalize_event")


def examples(number: int) -> settings:
    """Return the settings of a test that looks at so many examples, the same ones in CI."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize="CI" in os.environ,
        suppress_health_check=CHECKS,
    )


# --- what is noted ----------------------------------------------------------------------------


def name(state: Any) -> str:
    """Return a state's name."""
    return str(getattr(state, "name", state))


def text(error: BaseException | None) -> Any:
    """Return what was raised as something that can be compared."""
    if isinstance(error, ExceptionGroup):
        return [text(each) for each in error.exceptions]
    if isinstance(error, (MachineError, TransitionRefused)):
        return "refused"
    return error and f"{type(error).__name__}: {error}"


class Ledger:
    """What the callbacks saw that one model or job called, and what they then did."""

    def __init__(self, subject: Any, attribute: str) -> None:
        self.subject, self.attribute = subject, attribute
        self.turn = -1
        self.calls: list[Any] = []

    @property
    def state(self) -> str:
        """The name of the state that the model or job is in."""
        return name(getattr(self.subject, self.attribute))

    def begin(self) -> None:
        """Begin with the next trigger."""
        self.turn += 1
        self.calls = []

    def call(self, callback: Callback, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note a call, and answer or raise as the definition says."""
        seen = [self.view(arg) for arg in args]
        self.calls.append((callback.slot, callback.name, self.state, seen, kwargs))
        does = callback.does[self.turn % len(callback.does)]
        if isinstance(does, type):
            raise does(callback.name)
        return does

    def view(self, argument: Any) -> Any:
        """Return an argument, or what an EventData tells, and leave a mark on that."""
        if not isinstance(argument, EventData):
            return argument
        data, edge = argument, argument.transition
        data.kwargs["marks"] = data.kwargs.get("marks", 0) + 1
        return {
            "model": data.model is self.subject,
            "state": data.state.name,
            "event": data.event.name,
            "transition": edge and (edge.source, edge.dest),
            "args": data.args,
            "kwargs": dict(data.kwargs),
            "error": text(data.error),
            "result": data.result,
        }


class AsDocumented(Ledger):
    """Has a model of `transitions` do as jobstate says that it does differently, on purpose."""

    def begin(self) -> None:
        """Begin with the next trigger."""
        super().begin()
        self.error: BaseException | None = None
        self.failures: list[tuple[str, BaseException]] = []
        self.refusals: list[str] = []
        self.ended: set[str] = set()
        self.committed = False

    def call(self, callback: Callback, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note a call, and answer or raise, where jobstate would."""
        kind = callback.kind
        # Callbacks of a slot run one after the other, guards up to the first that refuses: an
        # AsyncMachine begins with all of a slot at once, and with all guards of a candidate.
        together = callback.slot.replace("unless", "conditions")
        if together in self.ended:
            return None
        # What is no Exception is not told to on_exception.
        if kind == "on_exception" and isinstance(self.error, Interrupt):
            return None
        try:
            answer = super().call(callback, args, kwargs)
        except BaseException as error:
            # After the commit, and in what runs whatever happens, the later ones still run.
            if kind in (*COMMITTED, *WHATEVER_HAPPENS):
                self.failures.append((kind, error))
                return None
            self.error = error
            self.ended.add(together)
            raise
        passed = kind not in DOES or answer == (kind == "conditions")
        if not passed:
            self.refusals.append(repr(answer))
            self.ended.add(together)
        return answer

    def commit(self, *args: Any, **kwargs: Any) -> None:
        """Come last after the commit, and raise what was raised there; several as one group."""
        self.committed = True
        raised = [error for _, error in self.failures]
        errors = [error for error in raised if isinstance(error, Exception)]
        if len(errors) > 1:
            errors = [ExceptionGroup("hooks failed", errors)]
        for self.error in (errors or raised)[:1]:
            raise self.error

    def came_of(self, refusal: str) -> tuple[Any, ...]:
        """Return what the caller is told; a refusal is an exception, never False."""
        raised = [error for _, error in self.failures]
        if self.error is not None and not self.committed:
            raised = [self.error, *raised]
        errors = [text(error) for error in raised if isinstance(error, Exception)]
        for error in raised:
            if not isinstance(error, Exception):
                return "interrupted", text(error), errors if self.committed else []
        if self.committed:
            return ("failed", errors) if errors else ("moved",)
        # on_exception cannot turn an error into an answer; it can raise another one instead.
        instead = [text(error) for kind, error in self.failures if kind == "on_exception"]
        if instead or self.error is not None:
            return "raised", (instead or errors)[0]
        return "refused", refusal, self.refusals


# --- two lives --------------------------------------------------------------------------------

Pick = tuple[int, tuple[tuple[Any, ...], dict[str, Any]]]
PICKS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(ARGUMENTS)), min_size=1, max_size=12)
"""Which trigger to take each time, see `picked`, and its arguments."""

Life = list[tuple[Any, ...]]
"""For each trigger: its name, what came of it, where that led, what then can be, the calls."""


def picked(machine: Any, state: str, number: int) -> str:
    """Return a trigger: often one that the state has, and now and then one that nobody knows."""
    possible = machine.get_triggers(state) if number < 8 else []
    triggers = possible or [*machine.events, "unknown"]
    return str(triggers[number % len(triggers)])


async def life_of_model(live: Live, model: Any, picks: list[Pick]) -> Life:
    """Take the model of a machine through triggers, up to the first in a final state."""
    machine, ledger = live.machine, AsDocumented(model, "state")
    live.call = ledger.call
    machine.after_state_change = [*machine.after_state_change, ledger.commit]
    life: Life = []
    for number, (args, kwargs) in picks:
        before, trigger = ledger.state, picked(machine, ledger.state, number)
        ledger.begin()
        known, raised = machine.events.get(trigger), None
        refusal = GuardRefused if known and before in known.transitions else TransitionRefused
        try:
            answer = model.trigger(trigger, *args, **kwargs)
            if isawaitable(answer):
                answer = await answer
            assert answer is ledger.committed or machine.has_queue or ledger.error
        except MachineError:
            assert refusal is TransitionRefused
        except AttributeError:
            assert not known
        except (ValueError, ExceptionGroup, Interrupt) as error:
            raised = error
        assert raised in (None, ledger.error)
        came = ledger.came_of((refusal if known else UnknownTrigger).__name__)
        life.append((trigger, came, ledger.state, machine.get_triggers(ledger.state), ledger.calls))
        if machine.states[before].final:
            break
    return life


async def life_of_job(
    live: Live, lifecycle: Lifecycle[Any], expected: Life, picks: list[Pick], now: bool
) -> Life:
    """Take a job of a lifecycle through the same triggers, waiting or not."""
    job = type("ModelJob", (Job,), live.attributes)(lifecycle=lifecycle)
    ledger = Ledger(job, "status")
    live.call = ledger.call
    life: Life = []
    for (trigger, *_), (_, (args, kwargs)) in zip(expected, picks, strict=False):
        before, version = job.status, job.version
        ledger.begin()
        came: tuple[Any, ...] = ("moved",)
        try:
            if now:
                job.trigger_nowait(trigger, *args, **kwargs)
            else:
                await job.trigger(trigger, *args, **kwargs)
        except (Refused, UnknownTrigger) as error:
            refusals = error.refusals if isinstance(error, GuardRefused) else ()
            came = "refused", type(error).__name__, [answer for _, _, answer in refusals]
        except HookFailed as error:
            came = "failed", text(error)
        except ValueError as error:
            came = "raised", text(error)
        except Interrupt as error:
            cause = error.__cause__
            came = "interrupted", text(error), text(cause) if isinstance(cause, HookFailed) else []
        if came[0] in ("moved", "failed") or job.version > version:
            done = job.history[version]
            assert (done.source, done.dest, job.version) == (before, job.status, version + 1)
        possible = [each for each in lifecycle.triggers if job.can(each)]
        life.append((trigger, came, ledger.state, possible, ledger.calls))
    return life


def lives_agree(definition: Definition, picks: list[Pick], cls: type[Machine]) -> Life:
    """Check that jobs live as the model of a machine does, and return that life."""
    live = Live(definition, cls)
    machine, model = live.machine, type("Model", (), live.attributes)()
    if definition.has_model:
        machine.add_model(model)
    followed = Lifecycle.from_transitions(machine)
    if not definition.has_model:
        machine.add_model(model)
    plain = not definition.wild and not definition.ordered
    declared = Lifecycle(**live.parts()) if plain else followed
    expected = anyio.run(life_of_model, live, model, picks)
    lives = [(followed, False, "asyncio"), (declared, False, "trio")]
    lives += [(followed, True, "asyncio")] if cls is Machine else []
    for lifecycle, now, backend in lives:
        job = partial(life_of_job, live, lifecycle, expected, picks, now)
        assert anyio.run(job, backend=backend) == expected
    return expected


# --- definitions that are refused -------------------------------------------------------------


class Overriding(Machine):
    """A machine that does something of its own."""

    def set_state(self, state: Any, model: Any = None) -> None:
        """Do as ever."""
        super().set_state(state, model)


def lost(machine: Machine, source: str) -> None:
    """Add a state, and a way from one to the other."""
    machine.add_states("LOST")
    machine.add_transition("lose", source, "F0" if source == "LOST" else "LOST")


def without_finals(machine: Machine, start: str) -> None:
    """Have no state be final."""
    for state in machine.states.values():
        state.final = False


FLAWS: dict[str, Callable[[Any, str], Any]] = {
    "leaves F0, which is final": lambda machine, _: machine.add_transition("redo", "F0", None),
    "is no state": lambda machine, start: machine.add_transition("stray", start, "NOWHERE"),
    "can never run": lambda machine, start: [
        machine.add_transition("twice", start, dest) for dest in ("F0", None)
    ],
    "LOST cannot be reached from": lambda machine, _: lost(machine, "LOST"),
    "no final state can be reached from LOST": lost,
    "no state is final": without_finals,
    "initial state F0 is final": lambda machine, _: setattr(machine, "initial", "F0"),
    "has a method callbacks of its own": lambda machine, _: setattr(machine, "callbacks", print),
}
"""What is told of a flaw, and how it comes in."""

KINDS: dict[str, tuple[type[Machine], dict[str, Any]]] = {
    "its auto_transitions lead": (Machine, {"auto_transitions": True}),
    "overrides Machine.set_state": (Overriding, {}),
    "nested or parallel states|not a plain": (HierarchicalMachine, {}),
    "it is a LockedMachine|not a plain": (LockedMachine, {}),
}
"""What is told of a kind of machine, and how it is made."""


@examples(EXAMPLES // 5)
@given(definitions(False), st.sampled_from([*FLAWS, *KINDS]))
def test_definition_is_refused_for_its_flaw(definition: Definition, reason: str) -> None:
    """A definition with a flaw is refused, and every reason that is told is that flaw."""
    cls, more = KINDS.get(reason, (Machine, {}))
    if cls is HierarchicalMachine:  # it does not know members of an enum by their names
        definition = replace(definition, kind=str)
    live = Live(definition, cls, **more)
    FLAWS.get(reason, print)(live.machine, definition.spine[0])
    with pytest.raises(UnsupportedDefinition) as caught:
        Lifecycle.from_transitions(live.machine)
    told = caught.value.reasons
    assert [each for each in told if any(part in each for part in reason.split("|"))] == [*told]
