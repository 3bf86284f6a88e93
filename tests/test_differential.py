"""Random machines of `transitions` lead the same life as jobs, callback by callback.

Hypothesis draws a definition and a sequence of triggers. A model goes through it by the machine of
`transitions`, and jobs by ``Lifecycle.from_transitions(machine)``; all that a callback can see is
noted, and has to be the same. `Difference` lists what is deliberately different.

``JOBSTATE_EXAMPLES`` says how many lives each kind of machine leads; 1,000 take 15 seconds.
Where ``CI`` is set they are the same ones each time. A failure prints what reproduces it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from inspect import isawaitable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transitions import EventData, Machine, MachineError
from transitions.extensions import AsyncMachine, HierarchicalMachine, LockedMachine

from jobstate import (
    BadArgument,
    GuardRefused,
    HookFailed,
    Job,
    JobStateError,
    Lifecycle,
    Refused,
    TransitionRefused,
    UnknownTrigger,
    UnsupportedDefinition,
)

from .differential.definitions import (  # type: ignore[import-not-found]  # tests are no package
    ADDED,
    ARGUMENTS,
    DOES,
    Callback,
    Definition,
    Interrupt,
    Live,
    Step,
    definitions,
)

EXAMPLES = int(os.environ.get("JOBSTATE_EXAMPLES", "1000"))
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
COMMITTED = ("on_enter", "on_final", "after", "after_state_change")
WHATEVER_HAPPENS = ("on_exception", "finalize_event")

settings.register_profile(
    "differential", deadline=None, print_blob=True, suppress_health_check=CHECKS
)
settings.register_profile(
    "differential in CI", settings.get_profile("differential"), derandomize=True, database=None
)


def examples(number: int) -> settings:
    """Return the settings of a test that looks at so many examples, the same ones in CI."""
    profile = "differential in CI" if "CI" in os.environ else "differential"
    return settings(settings.get_profile(profile), max_examples=number)


class Difference(Enum):
    """What a job does, on purpose, where a machine of `transitions` does something else.

    The numbers are those of the list in the documentation, ``explanation/differences.md``.
    """

    REFUSALS_RAISE = (
        "2, 3. A refused trigger raises, and one that moved the job answers with the Transition. "
        "A machine answers False and True, and, if it is queued, always True."
    )
    OWN_ERRORS = (
        "3. A trigger that the state does not have raises TransitionRefused. "
        "A machine raises a MachineError."
    )
    ARGUMENTS_ARE_RECORDED = (
        "4. Of what a trigger is given, a job records the error, the delay and so on, and refuses "
        "what cannot be recorded: BadArgument. To a machine they mean nothing."
    )
    IN_TURN = (
        "8, 9. Callbacks of one slot run one after the other: once one raises, or a guard refuses, "
        "those after it are not called. An AsyncMachine begins all of a slot at once."
    )
    PROPERTIES_TELL = (
        "11. A property that raises an AttributeError is told with that. "
        "A machine takes it for one that is missing, and tries to import it."
    )
    TO_THE_END = (
        "13, 14. After the commit all remaining hooks run, and what they raised comes as one "
        "HookFailed. A machine breaks off at the first that raises."
    )
    RAISED_THOUGH_HEARD = (
        "15. What was raised is raised, whoever hears of it. "
        "A machine that has on_exception answers False instead."
    )
    ALL_HEAR = (
        "15, 17. All of on_exception and of finalize_event run, whatever others of them raise. "
        "Those of a machine break off at the first that raises."
    )
    INTERRUPTS_GO_ON = (
        "16. What is no Exception (an exit, an interrupt, a cancellation) goes on without being "
        "told to on_exception. A machine tells it, and then swallows it."
    )
    FINALIZERS_TELL = (
        "17. After the commit the HookFailed has what finalize_event raises; and what is no "
        "Exception is raised, also where nothing was committed. "
        "A machine writes it to its log, and answers as if nothing were."
    )


ALL_DIFFERENCES = frozenset(Difference)


# --- what is noted ----------------------------------------------------------------------------


def name(state: Any) -> str:
    """Return a state's name."""
    return str(getattr(state, "name", state))


class Ledger:
    """What the callbacks saw that one model or job called, and what they then did."""

    def __init__(
        self, subject: Any, attribute: str, allowed: frozenset[Difference], met: set[Difference]
    ) -> None:
        self.subject, self.attribute = subject, attribute
        self.allowed, self.met = allowed, met
        self.turn = -1
        self.calls: list[Any] = []

    def differs(self, difference: Difference) -> bool:
        """Whether this difference, which is met now, is to be made up for."""
        self.met.add(difference)
        return difference in self.allowed

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
            "error": self.text(data.error),
            "result": data.result,
        }

    def text(self, error: BaseException | None) -> Any:
        """Return what was raised as something that can be compared."""
        if isinstance(error, ExceptionGroup):
            return [self.text(each) for each in error.exceptions]
        if isinstance(error, JobStateError):
            return type(error).__name__
        return error and f"{type(error).__name__}: {error}"


class AsDocumented(Ledger):
    """Has a model of `transitions` do as a job does, where that differs on purpose."""

    def begin(self) -> None:
        """Begin with the next trigger."""
        super().begin()
        self.error: BaseException | None = None
        self.failures: list[tuple[str, BaseException]] = []
        self.refusals: list[str] = []
        self.ended: set[str] = set()
        self.committed = False

    def call(self, callback: Callback, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note a call, and answer or raise, where a job would."""
        kind = callback.kind
        together = kind if kind in ADDED else callback.slot.replace("unless", "conditions")
        if together in self.ended and self.differs(Difference.IN_TURN):
            return None
        unheard = kind == "on_exception" and isinstance(self.error, Interrupt)
        if unheard and self.differs(Difference.INTERRUPTS_GO_ON):
            return None
        try:
            answer = super().call(callback, args, kwargs)
        except BaseException as error:
            if (kind in COMMITTED and self.differs(Difference.TO_THE_END)) or (
                kind in WHATEVER_HAPPENS and self.differs(Difference.ALL_HEAR)
            ):
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

    def came_of(self, answer: Any, raised: BaseException | None, refusal: str) -> tuple[Any, ...]:
        """Return what the caller of the trigger is told."""
        failures = [error for _, error in self.failures]
        if not self.committed:  # the caller gets the first, or what was raised instead
            heard = [error for kind, error in self.failures if kind == "on_exception"]
            instead = [error for error in failures if not isinstance(error, Exception)]
            if isinstance(self.error, Interrupt) or (
                instead and not self.differs(Difference.FINALIZERS_TELL)
            ):
                instead = []
            failures = [error for error in (*instead, *heard, self.error) if error is not None][:1]
        elif any(kind == "finalize_event" for kind, _ in self.failures) and not self.differs(
            Difference.FINALIZERS_TELL
        ):
            failures = [error for kind, error in self.failures if kind != "finalize_event"]
        if not failures:
            if self.committed:
                return ("moved",)
            if raised is None and not self.differs(Difference.REFUSALS_RAISE):
                return "answered", answer
            return "refused", refusal, self.refusals
        unheard = raised is None and self.error is not None
        if unheard and not self.differs(Difference.RAISED_THOUGH_HEARD):
            return "answered", answer
        errors = [self.text(error) for error in failures if isinstance(error, Exception)]
        for error in failures:
            if not isinstance(error, Exception):
                return "interrupted", self.text(error), errors
        return ("failed", errors) if self.committed else ("raised", errors[0])

    def text(self, error: BaseException | None) -> Any:
        """Return what was raised as a job would have it."""
        if isinstance(error, MachineError) and self.differs(Difference.OWN_ERRORS):
            return TransitionRefused.__name__
        return super().text(self.original(error))

    def original(self, error: BaseException | None) -> BaseException | None:
        """Return what a property raised, instead of what was made of it."""
        made = isinstance(error, AttributeError) and str(error).startswith("Callable with name")
        if made and self.differs(Difference.PROPERTIES_TELL):
            return self.error
        return error


# --- two lives --------------------------------------------------------------------------------

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Pick = tuple[int, Arguments]
PICKS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(ARGUMENTS)), min_size=1, max_size=12)
"""Which trigger to take each time, see `picked`, and its arguments."""

Life = list[tuple[Any, ...]]
"""For each trigger: its name, what came of it, where that led, what then can be, the calls."""


def picked(machine: Any, state: str, number: int) -> str:
    """Return a trigger: often one that the state has, and now and then one that nobody knows."""
    possible = machine.get_triggers(state) if number < 7 else []
    triggers = possible or [*machine.events, "unknown"]
    return str(triggers[number % len(triggers)])


def unreadable(trigger: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a job cannot remember what it should of these arguments."""
    no_error = trigger == "fail" and not all(isinstance(arg, str) for arg in args[:1])
    return no_error or isinstance(kwargs.get("delay"), str)


async def life_of_model(live: Live, model: Any, ledger: AsDocumented, picks: list[Pick]) -> Life:
    """Take the model of a machine through triggers, up to the first in a final state."""
    machine = live.machine
    live.call = ledger.call
    machine.after_state_change = [*machine.after_state_change, ledger.commit]
    life: Life = []
    for number, (args, kwargs) in picks:
        before, trigger = ledger.state, picked(machine, ledger.state, number)
        ledger.begin()
        known, raised, answer = machine.events.get(trigger), None, None
        refusal = GuardRefused if known and before in known.transitions else TransitionRefused
        if unreadable(trigger, args, kwargs) and ledger.differs(Difference.ARGUMENTS_ARE_RECORDED):
            came: tuple[Any, ...] = ("misread",)
        else:
            try:
                answer = model.trigger(trigger, *args, **kwargs)
                if isawaitable(answer):
                    answer = await answer
                assert answer is ledger.committed or machine.has_queue or ledger.error
            except MachineError as error:
                assert refusal is TransitionRefused
                raised = error
            except (AttributeError, ValueError, ExceptionGroup, Interrupt) as error:
                raised = ledger.original(error)
                assert raised is ledger.error or not known
            came = ledger.came_of(answer, raised, (refusal if known else UnknownTrigger).__name__)
        life.append((trigger, came, ledger.state, machine.get_triggers(ledger.state), ledger.calls))
        if machine.states[before].final:
            break
    return life


async def life_of_job(
    live: Live,
    job: Job[Any, Any],
    ledger: Ledger,
    expected: Life,
    picks: list[Pick],
    now: bool,
) -> None:
    """Take a job through the same triggers, waiting or not, and compare."""
    live.call = ledger.call
    for step, (_, (args, kwargs)) in zip(expected, picks, strict=False):
        trigger = step[0]
        before, version, told = job.status, job.version, None
        ledger.begin()
        came: tuple[Any, ...] = ("moved",)
        try:
            if now:
                told = job.trigger_nowait(trigger, *args, **kwargs)
            else:
                told = await job.trigger(trigger, *args, **kwargs)
        except (Refused, UnknownTrigger) as error:
            refusals = error.refusals if isinstance(error, GuardRefused) else ()
            came = "refused", type(error).__name__, [answer for _, _, answer in refusals]
        except HookFailed as error:
            came, told = ("failed", ledger.text(error)), error.transition
        except BadArgument:
            came = ("misread",)
        except (AttributeError, ValueError) as error:
            came = "raised", ledger.text(error)
        except Interrupt as error:
            failed = error.__cause__ if isinstance(error.__cause__, HookFailed) else None
            came = "interrupted", ledger.text(error), ledger.text(failed) or []
        if told is not None or job.version > version:
            done = job.history[version]
            assert told in (None, done)
            assert (done.source, done.dest, job.version) == (before, job.status, version + 1)
        possible = [each for each in job.lifecycle.triggers if job.can(each)]
        assert (trigger, came, ledger.state, possible, ledger.calls) == step


def lives_agree(
    definition: Definition,
    picks: list[Pick],
    cls: type[Machine],
    allowed: frozenset[Difference] = ALL_DIFFERENCES,
) -> set[Difference]:
    """Check that jobs live as the model of a machine does, and return where they differ.

    One job waits, on asyncio; one waits on Trio, and its lifecycle is declared, where that can
    be; and one does not wait, where no callback is async.
    """
    live = Live(definition, cls)
    machine, model = live.machine, type("Model", (), live.attributes)()
    if definition.has_model:
        machine.add_model(model)
    followed = Lifecycle.from_transitions(machine)
    if not definition.has_model:
        machine.add_model(model)
    plain = not definition.wild and not definition.ordered and not definition.added
    declared = Lifecycle(**live.parts()) if plain else followed
    met = set[Difference]()
    ledger = AsDocumented(model, "state", allowed, met)
    expected = anyio.run(life_of_model, live, model, ledger, picks)
    lives = [(followed, "asyncio", False), (declared, "trio", False)]
    lives += [(followed, "asyncio", True)] if cls is Machine else []
    for lifecycle, backend, now in lives:
        job = type("ModelJob", (Job,), live.attributes)(lifecycle=lifecycle)
        one = Ledger(job, "status", allowed, met)
        anyio.run(life_of_job, live, job, one, expected, picks, now, backend=backend)
    return met


@pytest.mark.parametrize("cls", [Machine, AsyncMachine])
def test_job_lives_as_a_model_does(cls: type[Machine]) -> None:
    """A job goes through the same states, callbacks, arguments and refusals as a model."""

    @examples(EXAMPLES)
    @given(definitions(cls is AsyncMachine), PICKS)
    def live(definition: Definition, picks: list[Pick]) -> None:
        lives_agree(definition, picks, cls)

    live()


# --- what differs -----------------------------------------------------------------------------


def small(*callbacks: Callback) -> Definition:
    """Return a definition with these callbacks: ``go`` leads from A to B, and ``end`` to F0."""
    return Definition(
        kind=str,
        states=("A", "B", "F0"),
        known=3,
        spine=("A", "B", "F0"),
        steps=(Step("go", ("A",), "B"), Step("end", ("B",), "F0")),
        ordered=(),
        ignoring={},
        send_event=True,
        queued=False,
        has_model=False,
        callbacks=tuple(replace(each, number=at) for at, each in enumerate(callbacks)),
    )


def does(slot: str, *what: Any, form: str = "function") -> Callback:
    """Return a callback that answers or raises this."""
    return Callback(slot, form, False, what)


MET: dict[Difference, tuple[type[Machine], list[Callback]]] = {
    Difference.IN_TURN: (
        AsyncMachine,
        [does("prepare_event", ValueError), does("prepare_event", None)],
    ),
    Difference.TO_THE_END: (Machine, [does("on_enter B", ValueError), does("after 0", None)]),
    Difference.ALL_HEAR: (
        Machine,
        [does("finalize_event", ValueError), does("finalize_event", None)],
    ),
    Difference.RAISED_THOUGH_HEARD: (
        Machine,
        [does("before 0", ValueError), does("on_exception", None)],
    ),
    Difference.FINALIZERS_TELL: (Machine, [does("finalize_event", ValueError)]),
    Difference.INTERRUPTS_GO_ON: (
        Machine,
        [does("before 0", Interrupt), does("on_exception", None)],
    ),
    Difference.REFUSALS_RAISE: (Machine, [does("conditions 0", False)]),
    Difference.OWN_ERRORS: (Machine, [does("finalize_event", None)]),
    Difference.PROPERTIES_TELL: (Machine, [does("before 0", AttributeError, form="property")]),
    Difference.ARGUMENTS_ARE_RECORDED: (Machine, []),
}
"""For each difference, callbacks with which it is met."""


@pytest.mark.parametrize("difference", Difference, ids=lambda difference: difference.name)
def test_difference_is_met(difference: Difference) -> None:
    """Each difference is there, and without making up for it the lives do not agree."""
    cls, callbacks = MET[difference]
    unread = difference is Difference.ARGUMENTS_ARE_RECORDED
    go, go_again = 0, 9
    picks = [(go, ((), {"delay": "soon"} if unread else {})), (go_again, ((), {}))]
    assert difference in lives_agree(small(*callbacks), picks, cls)
    with pytest.raises(AssertionError):
        lives_agree(small(*callbacks), picks, cls, ALL_DIFFERENCES - {difference})


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


def test_differences_are_on_their_page() -> None:
    """The list is numbered without a hole, and has each that is met here."""
    page = Path(__file__).parents[1] / "docs" / "explanation" / "differences.md"
    listed = re.findall(r"^(\d+)\. \*\*", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [str(number) for number in range(1, len(listed) + 1)]
    for difference in Difference:
        assert {*difference.value.partition(". ")[0].split(", ")} <= {*listed}
