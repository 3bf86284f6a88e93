"""A machine of `transitions` behaves the same as a lifecycle, or is refused with each reason."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from transitions import Event, EventData, Machine, MachineError, State, Transition
from transitions.core import Condition
from transitions.extensions import (
    GraphMachine,
    HierarchicalMachine,
    LockedMachine,
)
from transitions.extensions.asyncio import (
    AsyncCondition,
    AsyncEvent,
    AsyncMachine,
    AsyncState,
    AsyncTimeout,
    AsyncTransition,
    HierarchicalAsyncMachine,
)
from transitions.extensions.factory import AsyncGraphMachine
from transitions.extensions.markup import MarkupMachine
from transitions.extensions.states import Tags, Timeout, add_state_features

from jobstate import (
    GuardRefused,
    HookFailed,
    InvalidLifecycle,
    Job,
    JobStateError,
    JobStatus,
    Lifecycle,
    Refused,
    TransitionRefused,
    UnsupportedDefinition,
)


class Phase(Enum):
    """States that are members."""

    A = "first"
    B = "second"
    C = "last"


def step(trigger: str, source: Any, dest: Any, **more: Any) -> dict[str, Any]:
    """Return a transition as a definition has it."""
    return {"trigger": trigger, "source": source, "dest": dest, **more}


def final(status: Any, **more: Any) -> dict[str, Any]:
    """Return a final state as a definition has it."""
    return {"name": status, "final": True, **more}


def machine_of(cls: type[Machine] = Machine, **more: Any) -> Any:
    """Return a machine of three states that a lifecycle can follow, with what is added."""
    definition: dict[str, Any] = {
        "model": None,
        "states": ["A", "B", final("C")],
        "transitions": [step("go", "A", "B"), step("end", "B", "C")],
        "initial": "A",
        "auto_transitions": False,
    }
    return cls(**{**definition, **more})


# --- the same callbacks, in the same order, with the same arguments -----------------------------


@dataclass(frozen=True)
class Case:
    """A definition, and the triggers to run through it."""

    states: Any
    transitions: list[Any]
    steps: list[str]
    more: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the machine."""

    adjust: Callable[[Any], object] = lambda machine: None
    """What is done to the machine once it is made."""

    only: type[Machine] | None = None
    """The one kind of machine that it holds for."""

    def machine(self, cls: type[Machine], model: object, *, send_event: bool) -> Any:
        """Return a new machine of this definition."""
        made = cls(
            model=model,
            states=copy.deepcopy(self.states),
            transitions=copy.deepcopy(self.transitions),
            send_event=send_event,
            **{"initial": "A", "auto_transitions": False, **copy.deepcopy(self.more)},
        )
        self.adjust(made)
        return made


MACHINE_WIDE: dict[str, Any] = {
    slot: [f"{slot}_1", f"{slot}_2"]
    for slot in (
        *("prepare_event", "before_state_change", "after_state_change"),
        *("finalize_event", "on_exception", "on_final"),
    )
}
EVERY_SLOT = {
    "prepare": ["prepare_1", "prepare_2"],
    "conditions": ["yes_1", "yes_2"],
    "unless": ["no_1", "no_2"],
    "before": ["before_1", "before_2"],
    "after": ["after_1", "after_2"],
}
STATES = [
    {"name": name, "on_enter": [f"enter_{name}", "enter"], "on_exit": [f"exit_{name}", "exit"]}
    for name in "AB"
] + [final("C", on_enter="enter_C", on_exit="never")]
END = step("end", "B", "C")


def failing_in(slot: str) -> Case:
    """Return a case in which a callback raises, before the transition is made."""
    more = copy.deepcopy(MACHINE_WIDE)
    every, states = copy.deepcopy(EVERY_SLOT), copy.deepcopy(STATES)
    if slot == "conditions":
        every["unless"] = []  # an AsyncMachine asks all guards at once
    where: Any = states[0] if slot == "on_exit" else more if slot in more else every
    where[slot].append("tears")
    return Case(states, [step("go", "A", "B", **every), END], ["go", "go", "end"], more)


def ordered(machine: Any) -> None:
    """Lead from each state to the next."""
    machine.add_ordered_transitions(
        trigger="next", loop=False, conditions=["yes", "one"], before="before", after="after"
    )


def with_wildcard(machine: Any) -> None:
    """Lead out of every state that is known before the final one is."""
    machine.add_transition("stop", "*", "C", before="before")
    machine.add_states(final("C"), on_enter="enter")


def with_late_callbacks(machine: Any) -> None:
    """Add callbacks to what is there."""
    machine.before_go("before_2")
    machine.after_go("after_2")
    machine.prepare_go("prepare_2")
    machine.on_enter_B("enter")
    machine.on_exit_A("exit")
    machine.before_state_change.append("before_state_change_1")
    machine.finalize_event = "finalize_event_1"


CASES = {
    "nothing to call": Case(["A", "B", final("C")], [step("go", "A", "B"), END], ["go", "end"]),
    "every slot": Case(
        STATES,
        [step("go", "A", "B", **EVERY_SLOT), step("end", "B", "C", **EVERY_SLOT)],
        ["go", "end"],
        MACHINE_WIDE,
    ),
    "conditions that equal True": Case(
        STATES, [step("go", "A", "B", conditions=["yes", "one", "able"]), END], ["go", "end"]
    ),
    "unless that equals False": Case(
        STATES, [step("go", "A", "B", unless=["no", "zero", "unable"]), END], ["go", "end"]
    ),
    "conditions before unless": Case(
        STATES, [step("go", "A", "B", unless="yes", conditions="yes_1"), END], ["go", "end"]
    ),
    **{
        f"condition that answers {answer}": Case(
            STATES,
            [
                step("go", "A", "B", **{**EVERY_SLOT, "conditions": ["yes", answer], "unless": []}),
                END,
            ],
            ["go"],
            MACHINE_WIDE,
        )
        for answer in ("no", "none", "text", "unable")
    },
    **{
        f"unless that answers {answer}": Case(
            STATES,
            [step("go", "A", "B", **{**EVERY_SLOT, "unless": ["no", answer]}), END],
            ["go"],
            MACHINE_WIDE,
        )
        for answer in ("yes", "none", "text", "able")
    },
    "guards after one that refuses": Case(
        STATES,
        [step("go", "A", "B", conditions=["no", "yes"], unless="no_1"), END],
        ["go"],
        MACHINE_WIDE,
        only=Machine,
    ),
    "several candidates": Case(
        STATES,
        [
            step("go", "A", "C", prepare="prepare_1", conditions="no", before="before_1"),
            step("go", "A", "A", prepare="prepare_2", unless="yes", before="before_2"),
            step("go", "A", "B", prepare="prepare_3", conditions="yes", before="before_3"),
            step("go", "A", None, prepare="prepare_4", conditions="yes", before="before_4"),
            END,
        ],
        ["go", "end"],
        MACHINE_WIDE,
    ),
    "several candidates, and none passes": Case(
        STATES,
        [
            step("go", "A", "C", prepare="prepare_1", conditions="no"),
            step("go", "A", "B", prepare="prepare_2", conditions=["yes", "none"]),
            step("leap", "A", "B"),
            END,
        ],
        ["go", "leap", "end"],
        MACHINE_WIDE,
    ),
    "internal": Case(
        STATES,
        [step("go", "A", "B"), step("beat", ["A", "B"], None, **EVERY_SLOT), END],
        ["beat", "go", "beat", "end"],
        MACHINE_WIDE,
    ),
    "reflexive": Case(
        STATES,
        [step("go", "A", "B"), step("again", ["A", "B"], "=", **EVERY_SLOT), END],
        ["again", "go", "again", "end"],
        MACHINE_WIDE,
    ),
    "several sources": Case(
        STATES, [step("go", "A", "B"), step("stop", ["A", "B"], "C", before="before")], ["stop"]
    ),
    "wildcard": Case(
        [*STATES[:2]], [step("go", "A", "B"), END], ["go", "stop"], MACHINE_WIDE, with_wildcard
    ),
    "ordered": Case(STATES, [], ["next", "next"], MACHINE_WIDE, ordered),
    "members of an enum": Case(
        [Phase.A, {"name": Phase.B, "on_enter": "enter", "on_exit": "exit"}, final(Phase.C)],
        [step("go", Phase.A, Phase.B, **EVERY_SLOT), step("end", Phase.B, Phase.C, **EVERY_SLOT)],
        ["go", "end"],
        {**MACHINE_WIDE, "initial": Phase.A},
    ),
    "initial in the middle": Case(
        STATES, [step("back", "B", "A"), step("go", "A", "B"), END], ["back"], {"initial": "B"}
    ),
    "lists for transitions": Case(
        STATES, [["go", "A", "B", "yes", "no", "before", "after", "prepare"], END], ["go", "end"]
    ),
    "tuples of callbacks": Case(
        [{"name": "A", "on_exit": ("exit", "exit_A")}, "B", final("C")],
        [step("go", "A", "B", before=("before_1", "before_2"), conditions=("yes", "one")), END],
        ["go", "end"],
        {slot: tuple(names) for slot, names in MACHINE_WIDE.items()},
    ),
    "callbacks added later": Case(
        STATES,
        [step("go", "A", "B", before="before_1"), END],
        ["go", "end"],
        {"before_state_change": ["before_state_change_2"]},
        with_late_callbacks,
    ),
    "trigger that is not possible": Case(
        STATES, [step("go", "A", "B", **EVERY_SLOT), END], ["end", "go", "go", "end"], MACHINE_WIDE
    ),
    "trigger that is not possible, and nobody hears": Case(
        STATES, [step("go", "A", "B"), END], ["end", "go"], {"finalize_event": "finalize_event_1"}
    ),
    "trigger that is not possible, ignored": Case(
        STATES,
        [step("go", "A", "B"), END],
        ["end", "go", "go", "end", "go"],
        {**MACHINE_WIDE, "ignore_invalid_triggers": True},
    ),
    "trigger that is not possible, ignored by a state": Case(
        ["A", {"name": "B", "ignore_invalid_triggers": True}, final("C")],
        [step("go", "A", "B"), END],
        ["end", "go", "go", "end", "go"],
        MACHINE_WIDE,
    ),
    "trigger that is not possible, ignored but by a state": Case(
        ["A", {"name": "B", "ignore_invalid_triggers": False}, final("C")],
        [step("go", "A", "B"), END],
        ["end", "go", "go", "end", "go"],
        {**MACHINE_WIDE, "ignore_invalid_triggers": True},
    ),
    **{
        f"failing {slot}": failing_in(slot)
        for slot in (
            *("prepare_event", "prepare", "conditions", "unless"),
            *("before_state_change", "before", "on_exit"),
        )
    },
    "failing, and nobody hears": Case(
        STATES, [step("go", "A", "B", before="tears"), END], ["go"], {"finalize_event": "enter"}
    ),
    "failing where exceptions are heard": Case(
        STATES,
        [step("go", "A", "B", before="tears"), END],
        ["go"],
        {**MACHINE_WIDE, "on_exception": "loses"},
    ),
    "queued": Case(STATES, [step("go", "A", "B"), END], ["go", "end"], {"queued": True}),
    "another attribute of the model": Case(
        STATES, [step("go", "A", "B"), END], ["go", "end"], {"model_attribute": "phase"}
    ),
    "model with methods on states": Case(
        ["A", "M", {"name": "N", "on_enter": ["enter"], "on_exit": "on_exit_N"}, final("C")],
        [step("go", "A", "M"), step("go", "M", "N"), step("go", "N", "C")],
        ["go", "go", "go"],
    ),
}

ANSWERS: dict[str, Any] = {
    **dict.fromkeys(name for names in MACHINE_WIDE.values() for name in names),
    **{name: not name.startswith("no") for names in EVERY_SLOT.values() for name in names},
    **dict.fromkeys(
        ("prepare", "prepare_3", "prepare_4", "before", "before_3", "before_4", "after")
    ),
    **dict.fromkeys(("enter", "enter_A", "enter_B", "enter_C", "exit", "exit_A", "exit_B")),
    **dict.fromkeys(("on_enter_M", "on_exit_M", "on_enter_N", "on_exit_N")),
    "yes": True,
    "no": False,
    "one": 1,
    "zero": 0,
    "none": None,
    "text": "yes",
    "tears": OSError("torn"),
    "loses": LookupError("lost"),
}
"""What each callback that is named above answers, or raises."""


def facts(model: object, argument: Any) -> Any:
    """Return an argument of a callback, or what an `EventData` tells at that moment.

    Refusals and the result are left out; they have tests of their own.
    """
    if not isinstance(argument, EventData):
        return argument
    edge, error = argument.transition, argument.error
    return {
        "model": argument.model is model,
        "state": argument.state.name,
        "event": argument.event.name,
        "transition": edge and (edge.source, edge.dest),
        "args": argument.args,
        "kwargs": argument.kwargs,
        "error": None if isinstance(error, (MachineError, Refused)) else error,
    }


def answering(name: str, answer: Any) -> Callable[..., Any]:
    """Return a method that notes its call, and how it was called."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((name, tuple(facts(self, arg) for arg in args), kwargs))
        if isinstance(answer, Exception):
            raise answer
        return answer

    return call


def answering_later(name: str, answer: Any) -> Callable[..., Any]:
    """Return the same as an async method."""
    call = answering(name, answer)

    async def call_later(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(self, *args, **kwargs)
        finally:
            await anyio.lowlevel.checkpoint()

    return call_later


def model_class(base: type, method: Callable[[str, Any], Any]) -> Any:
    """Return a class with everything that the cases name."""
    methods = {name: method(name, answer) for name, answer in ANSWERS.items()}
    return type("Model", (base,), {**methods, "able": True, "unable": False})


METHODS = {"sync": answering, "async": answering_later}
MODELS = {kind: model_class(object, method) for kind, method in METHODS.items()}
JOBS = {kind: model_class(Job, method) for kind, method in METHODS.items()}
ARGS: tuple[Any, ...] = (1, "two")
KWARGS = {"speed": 3}


def run_model(machine: Any, model: Any, steps: list[str]) -> Iterator[tuple[Any, ...]]:
    """Run a model through its triggers, and tell what came of each."""
    for trigger in steps:
        model.calls = []
        try:
            moved = model.trigger(trigger, *ARGS, **KWARGS)
            if isinstance(machine, AsyncMachine):
                moved = asyncio.run(moved)
        except MachineError:
            moved = False
        except (OSError, LookupError) as error:
            moved = type(error)
        status = machine.get_model_state(model).name
        yield trigger, moved, status, model.calls


async def run_job(machine: Any, job: Any, steps: list[str]) -> list[tuple[Any, ...]]:
    """Run a job through its triggers, and tell what came of each."""
    told: list[tuple[Any, ...]] = []
    for trigger in steps:
        job.calls = []
        moved: object
        try:
            await job.trigger(trigger, *ARGS, **KWARGS)
            moved = True
        except Refused:
            moved = False
        except (OSError, LookupError) as error:
            heard = machine.on_exception and isinstance(error, OSError)
            moved = False if heard else type(error)  # transitions says so where somebody hears
        status = getattr(job.status, "name", job.status)
        told.append((trigger, moved, status, job.calls))
    return told


KINDS: dict[str, tuple[type[Machine], str]] = {
    "Machine": (Machine, "sync"),
    "AsyncMachine, sync callbacks": (AsyncMachine, "sync"),
    "AsyncMachine": (AsyncMachine, "async"),
}


@pytest.mark.parametrize("send_event", [False, True], ids=["arguments", "event-data"])
@pytest.mark.parametrize(
    ("case", "cls", "kind"),
    [
        pytest.param(case, cls, kind, id=f"{name}-{of}")
        for of, (cls, kind) in KINDS.items()
        for name, case in CASES.items()
        if case.only in (None, cls)
    ],
)
def test_job_calls_what_the_model_calls(
    case: Case,
    cls: type[Machine],
    kind: str,
    send_event: bool,
    anyio_backend: tuple[str, dict[str, Any]],
) -> None:
    """A job goes through the same states, callbacks and arguments as a model of the machine."""
    model = MODELS[kind]()
    machine = case.machine(cls, model, send_event=send_event)
    job = JOBS[kind](lifecycle=Lifecycle.from_transitions(machine))
    by_model = list(run_model(machine, model, case.steps))
    name, options = anyio_backend
    run = partial(run_job, machine, job, case.steps)
    by_job = anyio.run(run, backend=name, backend_options=options)
    assert by_job == by_model


def test_cases_say_something() -> None:
    """Together the cases call all that they name, but for a candidate after the one taken."""
    called = set()
    for case in CASES.values():
        model = MODELS["sync"]()
        machine = case.machine(Machine, model, send_event=False)
        told = list(run_model(machine, model, case.steps))
        called |= {call[0] for *_, calls in told for call in calls}
    assert set(ANSWERS) - called == {"prepare_4", "before_4"}


def test_guards_of_an_async_machine_are_asked_one_after_the_other() -> None:
    """Deliberately not as in `AsyncMachine`, which asks all at once: a refusal ends the asking."""
    asked: list[str] = []

    def guard(name: str, answer: bool) -> Callable[[], bool]:
        def ask() -> bool:
            asked.append(name)
            return answer

        return ask

    guards = [guard("first", True), guard("second", False), guard("third", True)]
    machine = machine_of(
        AsyncMachine, transitions=[step("go", "A", "B", conditions=guards), step("end", "B", "C")]
    )
    job = Job[Any, Any](lifecycle=Lifecycle.from_transitions(machine))
    with pytest.raises(GuardRefused):
        job.trigger_nowait("go")
    assert asked == ["first", "second"]


def test_hooks_after_the_commit_run_to_their_end() -> None:
    """Deliberately not as in a machine, whose order breaks off: the status has changed."""
    calls: list[str] = []

    def fail() -> None:
        raise OSError("torn")

    machine = machine_of(
        states=["A", {"name": "B", "on_enter": [fail, lambda: calls.append("enter")]}, final("C")],
        after_state_change=lambda: calls.append("after"),
        finalize_event=lambda: calls.append("finalize"),
    )
    job = Job[Any, Any](lifecycle=Lifecycle.from_transitions(machine))
    with pytest.raises(HookFailed):
        job.trigger_nowait("go")
    assert (job.status, calls) == ("B", ["enter", "after", "finalize"])


def test_what_was_raised_is_raised_though_somebody_hears() -> None:
    """Deliberately not as in a machine, where ``on_exception`` swallows what it hears of."""
    heard: list[str] = []

    def fail() -> None:
        raise OSError("torn")

    machine = machine_of(before_state_change=fail, on_exception=lambda: heard.append("torn"))
    job = Job[Any, Any](lifecycle=Lifecycle.from_transitions(machine))
    with pytest.raises(OSError, match="torn"):
        job.trigger_nowait("go")
    with pytest.raises(TransitionRefused):
        job.trigger_nowait("end")
    assert heard == ["torn", "torn"]


def test_callables_are_called_as_they_are() -> None:
    """Functions, partials, bound methods and objects are called without being looked up."""
    calls: list[object] = []

    class Callable_:
        """An object that can be called."""

        def __call__(self, *args: object) -> None:
            """Note it."""
            calls.append(("object", *args))

        def method(self, *args: object) -> None:
            """Note it."""
            calls.append(("method", *args))

    def note(*args: object) -> None:
        calls.append(args)

    machine = machine_of(
        before_state_change=[note, partial(note, "partial"), Callable_(), Callable_().method]
    )
    job = Job[Any, Any](lifecycle=Lifecycle.from_transitions(machine))
    job.trigger_nowait("go", 1)
    assert calls == [(1,), ("partial", 1), ("object", 1), ("method", 1)]


def test_dotted_name_is_imported() -> None:
    """A name with a dot stands for a function of a module, as in a machine."""

    class Model:
        """Moved by the machine itself."""

    model: Any = Model()
    guarded = step("go", "A", "B", conditions="operator.truth", unless="operator.not_")
    machine = machine_of(model=model, transitions=[guarded, step("end", "B", "C")])
    job = Job[Any, Any](lifecycle=Lifecycle.from_transitions(machine))
    assert model.go(0) is False
    with pytest.raises(GuardRefused, match=r"guard operator\.truth"):
        job.trigger_nowait("go", 0)
    assert model.go(1) is True
    assert job.trigger_nowait("go", 1).dest == "B"


# --- what a lifecycle of a machine is ---------------------------------------------------------


def test_lifecycle_reads_as_the_machine_does() -> None:
    """States, triggers, guards and the initial state are those of the machine."""
    machine = machine_of(
        states=[Phase.A, Phase.B, final(Phase.C)],
        transitions=[
            step("go", "*", "B", conditions="is_able", unless=["is_tired"]),
            step("stay", [Phase.A, "B"], None),
            step("end", "B", Phase.C),
            step("back", "B", "A"),
        ],
        initial=Phase.B,
    )
    machine.remove_transition("go", source="C")
    lifecycle = Lifecycle.from_transitions(machine, means={Phase.C: JobStatus.SUCCESS})
    assert lifecycle.statuses == tuple(Phase)
    assert lifecycle.triggers == ("go", "stay", "end", "back")
    assert lifecycle.initial is Phase.B
    assert lifecycle.final == (Phase.C,)
    assert lifecycle.meaning("C") is JobStatus.SUCCESS
    guards = ("is_able", "not is_tired")
    assert [(e.trigger, e.source.name, e.dest.name, e.guards) for e in lifecycle.edges] == [
        *(("go", "A", "B", guards), ("go", "B", "B", guards)),
        *(("stay", "A", "A", ()), ("stay", "B", "B", ())),
        *(("end", "B", "C", ()), ("back", "B", "A", ())),
    ]
    assert [e.trigger for e in lifecycle.edges if e.internal] == ["stay", "stay"]


@pytest.mark.parametrize("cls", [Machine, AsyncMachine])
def test_name_is_given_or_that_of_the_machine(cls: type[Machine]) -> None:
    """A lifecycle is called as asked, else like the machine, else like its class."""

    class Baking(cls):  # type: ignore[valid-type, misc]  # either
        """A machine that adds nothing to how machines work."""

        oven = "hot"

        def __init__(self, temperature: int, **more: Any) -> None:
            super().__init__(**more)
            self.temperature = temperature

        def on_enter_B(self) -> None:
            """Not found on any job."""

    assert Lifecycle.from_transitions(machine_of(cls), name="mine").name == "mine"
    assert Lifecycle.from_transitions(machine_of(cls, name="its")).name == "its"
    assert Lifecycle.from_transitions(machine_of(cls)).name == cls.__name__
    assert Lifecycle.from_transitions(machine_of(partial(Baking, 200))).name == "Baking"  # type: ignore[arg-type]


def test_lifecycle_of_a_machine_can_be_derived_from_and_decorated() -> None:
    """It is a lifecycle like any other, open until its first job."""
    calls: list[str] = []
    machine = machine_of(AsyncMachine, before_state_change=lambda: calls.append("machine"))
    lifecycle = Lifecycle.from_transitions(machine, cancel_started=True)
    assert lifecycle.cancel_started
    derived = lifecycle.derive(
        states=["D"], transitions=[step("leap", "A", "D"), step("end", "D", "C", before="note")]
    )
    derived.before("*")(lambda event: calls.append("derived"))

    class Noting(Job[Any, Any], lifecycle=derived):
        def note(self) -> None:
            calls.append("by name")

    job = Noting()
    job.trigger_nowait("leap")
    job.trigger_nowait("end")
    assert calls == ["machine", "derived", "machine", "by name", "derived"]
    assert "leap" not in lifecycle.triggers


def described(machine: Any) -> object:
    """Return all that a machine consists of, down to its callbacks."""
    return (
        {key: value for key, value in vars(machine).items() if not key.startswith("__")},
        [(id(state), copy_of_lists(state)) for state in machine.states.values()],
        [
            (id(event), event.machine, id(edge), copy_of_lists(edge))
            for event in machine.events.values()
            for edge in machine.get_transitions(event.name)
        ],
        [list(getattr(machine, slot)) for slot in MACHINE_WIDE],
        list(machine.models),
    )


def copy_of_lists(live: object) -> dict[str, object]:
    """Return what an object holds, as it is now."""
    held = vars(live).items()
    return {key: list(value) if isinstance(value, list) else value for key, value in held}


@pytest.mark.parametrize("cls", [Machine, AsyncMachine])
def test_machine_is_left_as_it_was(cls: type[Machine]) -> None:
    """Neither taking it over, nor deriving, decorating or running jobs changes the machine."""
    model = MODELS["sync"]()
    machine = CASES["every slot"].machine(cls, model, send_event=False)
    before = described(machine)
    lifecycle = Lifecycle.from_transitions(machine)
    derived = lifecycle.derive(
        states=["D"],
        transitions=[step("leap", "A", "D"), step("end", "D", "C")],
        **MACHINE_WIDE,
    )
    for each in (lifecycle, derived):
        each.on_enter("B")(lambda event: None)
        each.guard("go")(lambda event: True)
        job = JOBS["sync"](lifecycle=each)
        job.calls = []
        job.trigger_nowait("go")
    assert described(machine) == before
    assert model.state == "A"


def test_later_changes_to_the_machine_do_not_reach_the_lifecycle() -> None:
    """A lifecycle is the machine as it was; what is done to it afterwards is its own affair."""
    calls: list[str] = []

    def late(*args: object) -> bool:
        calls.append("late")
        return False

    machine = machine_of(
        states=["A", {"name": "B", "on_enter": [], "on_exit": []}, final("C")],
        **dict[str, Any](dict.fromkeys(MACHINE_WIDE)),
    )
    lifecycle = Lifecycle.from_transitions(machine)
    before = lifecycle.statuses, lifecycle.edges, lifecycle.initial
    for slot in MACHINE_WIDE:
        getattr(machine, slot).append(late)
    for state in machine.states.values():
        state.add_callback("enter", late)
        state.add_callback("exit", late)
        state.final = False
    for trigger in machine.events.values():
        for slot in ("prepare", "before", "after"):
            trigger.add_callback(slot, late)
    for edge in machine.get_transitions():
        edge.conditions.append(Condition(late))
        edge.dest = "A"
    machine.send_event = machine.ignore_invalid_triggers = True
    machine.add_states(["D", final("E")])
    machine.add_transition("go", "A", "D")
    machine.add_transition("leap", "A", "C")
    machine.remove_transition("end")
    machine.initial = "B"
    assert (lifecycle.statuses, lifecycle.edges, lifecycle.initial) == before
    job = Job[Any, Any](lifecycle=lifecycle)
    job.trigger_nowait("go", 1)
    job.trigger_nowait("end", 1)
    assert (job.status, calls) == ("C", [])


def test_looking_into_a_machine_leaves_no_edge() -> None:
    """A source that a machine's event holds nothing for is no way out of that state."""
    machine = machine_of()
    assert machine.events["go"].transitions["B"] == []
    lifecycle = Lifecycle.from_transitions(machine)
    assert [(e.trigger, e.source) for e in lifecycle.edges] == [("go", "A"), ("end", "B")]
    job = Job[Any, Any](lifecycle=lifecycle)
    job.trigger_nowait("go")
    with pytest.raises(TransitionRefused):
        job.trigger_nowait("go")


# --- what is refused --------------------------------------------------------------------------


def refused(machine: Any, **more: Any) -> list[str]:
    """Return the reasons for which a machine cannot be followed."""
    with pytest.raises(UnsupportedDefinition) as caught:
        Lifecycle.from_transitions(machine, **more)
    return list(caught.value.reasons)


def subclass(**members: Any) -> type[Machine]:
    """Return a class of machines with members of its own."""
    return type("Mine", (Machine,), members)


class MyState(State):
    """A state of one's own."""


class MyEvent(Event):
    """An event of one's own."""


class MyTransition(Transition):
    """A transition of one's own."""


class MyCondition(Condition):
    """A guard of one's own."""


class MyAsyncTransition(AsyncTransition):
    """A transition of one's own."""

    condition_cls: Any = MyCondition


HERE = __name__


def replaced(part: str, mine: Any) -> Any:
    """Return a machine in which one live part is of a class of one's own."""
    machine = machine_of(transitions=[step("go", "A", "B", conditions="is_able"), END])
    if part == "state":
        machine.states["B"] = mine("B")
    elif part == "event":
        own = machine.events["go"] = mine("go", machine)
        own.add_transition(Transition("A", "B"))
    elif part == "transition":
        machine.events["go"].transitions["A"] = [mine("A", "B")]
    else:
        machine.events["go"].transitions["A"][0].conditions = [mine("is_able")]
    return machine


@pytest.mark.parametrize(
    ("part", "mine", "reason"),
    [
        ("state", MyState, "state B is a MyState of {}, not a plain State"),
        ("event", MyEvent, "trigger 'go' is a MyEvent of {}, not a plain Event"),
        (
            *("transition", MyTransition),
            "the transition 'go' from A is a MyTransition of {}, not a plain Transition",
        ),
        (
            *("guard", MyCondition),
            "a guard of the transition 'go' from A is a MyCondition of {}, not a plain Condition",
        ),
    ],
)
@pytest.mark.parametrize("disguised", [False, True])
def test_part_of_ones_own_class_is_refused(
    part: str, mine: type, reason: str, disguised: bool
) -> None:
    """A class of one's own may do anything, whatever it is called."""
    plain = mine.__mro__[1].__name__
    if disguised:
        mine = type(plain, (mine,), {"__module__": HERE})
        reason = reason.replace(f"My{plain}", plain)
    assert refused(replaced(part, mine)) == [reason.format(HERE)]


@pytest.mark.parametrize(
    ("parts", "plain"),
    [
        ({"state": State, "event": Event, "transition": Transition, "guard": Condition}, Machine),
        (
            {
                "state": AsyncState,
                "event": AsyncEvent,
                "transition": AsyncTransition,
                "guard": AsyncCondition,
            },
            AsyncMachine,
        ),
    ],
)
def test_parts_of_transitions_itself_are_taken(
    parts: dict[str, type], plain: type[Machine]
) -> None:
    """The classes that the two kinds of machines use are those that can be followed."""
    machine = machine_of(plain, transitions=[step("go", "A", "B", conditions="is_able"), END])
    assert Lifecycle.from_transitions(machine).triggers == ("go", "end")
    for part, cls in parts.items():
        assert Lifecycle.from_transitions(replaced(part, cls)).triggers == ("go", "end")


@pytest.mark.parametrize(
    "member",
    [
        *("callback", "callbacks", "resolve_callable", "get_state", "set_state", "add_transition"),
        *("_process", "_has_state", "before_state_change", "initial", "separator", "__getattr__"),
    ],
)
def test_overridden_method_is_refused(member: str) -> None:
    """A subclass that changes how machines work is named with what it overrides."""
    cls = subclass(**{member: getattr(Machine, member)})
    assert refused(machine_of(cls)) == [f"its class Mine overrides Machine.{member}"]


def test_overridden_method_of_a_mixin_or_a_base_is_refused() -> None:
    """What stands anywhere between a machine's class and `transitions` counts."""

    class Loud:
        """Mixed in."""

        def callback(self, *args: Any) -> None:
            """Say so, too."""

    class Base(AsyncMachine):
        """Inherited."""

        @staticmethod
        def resolve_callable(*args: Any) -> Any:
            """Find it elsewhere."""

    class Mine(Loud, Base):  # type: ignore[misc]
        """Has nothing itself."""

    assert refused(machine_of(Mine)) == [
        "its class Loud overrides AsyncMachine.callback",
        "its class Base overrides AsyncMachine.resolve_callable",
    ]


@pytest.mark.parametrize(
    ("part", "method", "reason"),
    [
        ("machine", "callback", "it has a method callback of its own"),
        ("machine", "resolve_callable", "it has a method resolve_callable of its own"),
        ("machine", "transition_cls", "it has a method transition_cls of its own"),
        ("state", "enter", "state B has a method enter of its own"),
        ("state", "exit", "state B has a method exit of its own"),
        ("event", "trigger", "trigger 'go' has a method trigger of its own"),
        ("event", "_process", "trigger 'go' has a method _process of its own"),
        ("transition", "execute", "the transition 'go' from A has a method execute of its own"),
        (
            *("condition", "check"),
            "a guard of the transition 'go' from A has a method check of its own",
        ),
    ],
)
def test_method_set_on_an_instance_is_refused(part: str, method: str, reason: str) -> None:
    """What was replaced on one object counts as what was overridden in a class."""
    machine = machine_of(transitions=[step("go", "A", "B", unless="is_tired"), END])
    event = machine.events["go"]
    (edge,) = event.transitions["A"]
    parts = {
        "machine": machine,
        "state": machine.states["B"],
        "event": event,
        "transition": edge,
        "condition": edge.conditions[0],
    }
    setattr(parts[part], method, lambda *args: True)
    assert refused(machine) == [reason]


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (HierarchicalMachine, "it has nested or parallel states"),
        (HierarchicalAsyncMachine, "it has nested or parallel states"),
        (LockedMachine, "it is a LockedMachine; only Machine and AsyncMachine can be followed"),
        (MarkupMachine, "it is a MarkupMachine; only Machine and AsyncMachine can be followed"),
        (
            partial(GraphMachine, graph_engine="mermaid"),
            "it is a GraphMachine; only Machine and AsyncMachine can be followed",
        ),
        (
            partial(AsyncGraphMachine, graph_engine="mermaid"),
            "it is a AsyncGraphMachine; only Machine and AsyncMachine can be followed",
        ),
        (
            type("Mine", (LockedMachine,), {}),
            "it is a LockedMachine; only Machine and AsyncMachine can be followed",
        ),
    ],
    ids=["nested", "nested-async", "locked", "markup", "graph", "async-graph", "subclass"],
)
def test_other_kind_of_machine_is_refused(cls: Any, reason: str) -> None:
    """Kinds of machines that work otherwise are named."""
    assert refused(machine_of(cls))[0] == reason


def test_nested_machine_is_refused_for_every_part_that_is_nested() -> None:
    """Each state, trigger and transition that works otherwise is told after the machine."""
    reasons = refused(machine_of(HierarchicalMachine))
    plain = "of transitions.extensions.nesting, not a plain"
    assert reasons == [
        "it has nested or parallel states",
        *(f"state {name} is a NestedState {plain} State" for name in "ABC"),
        *(f"trigger {name!r} is a NestedEvent {plain} Event" for name in ("go", "end")),
        f"the transition 'go' from A is a NestedTransition {plain} Transition",
        f"the transition 'end' from B is a NestedTransition {plain} Transition",
    ]


@pytest.mark.parametrize("feature", [Tags, Timeout])
def test_state_features_are_refused(feature: type[State]) -> None:
    """States with features act by themselves when they are entered."""
    cls = add_state_features(feature)(subclass())
    reasons = refused(machine_of(cls))
    assert reasons == [
        "its class Mine overrides Machine.state_cls",
        *(
            f"state {name} is a CustomState of transitions.extensions.states, not a plain State"
            for name in "ABC"
        ),
    ]


def test_async_timeouts_are_refused() -> None:
    """A timeout is not left out in silence."""
    cls = add_state_features(AsyncTimeout)(type("Mine", (AsyncMachine,), {}))
    timed = {"name": "B", "timeout": 1, "on_timeout": "end"}
    reasons = refused(machine_of(cls, states=["A", timed, final("C")]))
    assert reasons[0] == "its class Mine overrides AsyncMachine.state_cls"
    assert len(reasons) == 4


@pytest.mark.parametrize("attribute", ["state_cls", "event_cls", "transition_cls"])
def test_class_of_ones_own_parts_is_refused_for_each_of_them(attribute: str) -> None:
    """A machine that makes other parts is refused, and every such part is told."""
    mine = {"state_cls": MyState, "event_cls": MyEvent, "transition_cls": MyTransition}[attribute]
    reasons = refused(machine_of(subclass(**{attribute: mine})))
    assert reasons[0] == f"its class Mine overrides Machine.{attribute}"
    assert len(reasons) == 1 + (3 if attribute == "state_cls" else 2)
    assert all(f"is a {mine.__name__} of {HERE}, not a plain" in each for each in reasons[1:])


def test_guards_of_ones_own_transitions_are_refused() -> None:
    """A transition that makes other guards is refused together with them."""
    cls = type("Mine", (AsyncMachine,), {"transition_cls": MyAsyncTransition})
    machine = machine_of(cls, transitions=[step("go", "A", "B", conditions="is_able"), END])
    where = f"of {HERE}, not a plain"
    assert refused(machine) == [
        "its class Mine overrides AsyncMachine.transition_cls",
        f"the transition 'go' from A is a MyAsyncTransition {where} Transition",
        f"a guard of the transition 'go' from A is a MyCondition {where} Condition",
        f"the transition 'end' from B is a MyAsyncTransition {where} Transition",
    ]


@pytest.mark.parametrize("given", [Machine, "machine", None])
def test_what_is_no_machine_is_refused(given: Any) -> None:
    """The class of a machine is none either."""
    with pytest.raises(TypeError, match="from_transitions takes a machine of transitions, not"):
        Lifecycle.from_transitions(given)


def test_started_jobs_of_a_machine_cannot_be_cancelled_unless_it_is_said() -> None:
    """A machine has no word for it, so that the caller has to say so."""
    assert Lifecycle.from_transitions(machine_of()).cancel_started is False
    assert Lifecycle.from_transitions(machine_of(), cancel_started=True).cancel_started is True


@pytest.mark.parametrize("attribute", ["state", "phase"])
def test_auto_transitions_are_refused(attribute: str) -> None:
    """Triggers to everywhere lead out of final states, and the remedy is told once."""
    assert refused(machine_of(auto_transitions=True, model_attribute=attribute)) == [
        "its auto_transitions lead from every state to every other, out of final ones too: "
        "build the machine with auto_transitions=False"
    ]


def test_all_that_is_wrong_is_told_of_a_class_of_ones_own() -> None:
    """What is wrong with the definition comes after what is wrong with the class."""
    cls = type("Mine", (Machine,), {"get_state": Machine.get_state})
    go, end = step("go", "A", "B"), step("end", "B", "C")
    reasons = refused(machine_of(cls, transitions=[go, end, step("end", "B", "A")]))
    assert reasons[0] == "its class Mine overrides Machine.get_state"
    assert [reason.partition(":")[0] for reason in reasons[1:]] == ["trigger 'end' from B"]


def test_auto_transitions_hide_no_other_way_out() -> None:
    """What else leaves a final state is told beside them."""
    go, end, back = step("go", "A", "B"), step("end", "B", "C"), step("back", "C", "A")
    reasons = refused(machine_of(auto_transitions=True, transitions=[go, end, back]))
    assert [reason.partition(" lead")[0] for reason in reasons] == [
        "its auto_transitions",
        "trigger 'back' leaves C, which is final",
    ]


def test_auto_transitions_without_a_final_state_lead_out_of_none() -> None:
    """What is wrong then is that nothing is final, and nothing else."""
    (reason,) = refused(machine_of(auto_transitions=True, states=["A", "B", "C"]))
    assert reason.startswith("no state is final")


@pytest.mark.parametrize(
    ("machine", "reasons"),
    [
        (
            machine_of(states=["A", "B", "C"]),
            [
                "no state is final, so that no job could ever complete: "
                "declare one with final=[…], or as {'name': …, 'final': True}"
            ],
        ),
        (machine_of(initial=None), ["it has no initial state: say initial=…"]),
        (machine_of(initial="C"), ["its initial state C is final: a job could never run"]),
        (
            machine_of(transitions=[step("go", "A", "B"), step("end", "B", "CC")]),
            ["trigger 'end' leads to 'CC', which is no state (did you mean 'C'?)"],
        ),
        (
            machine_of(transitions=[step("go", "A", "C"), step("end", "B", "C")]),
            ["state B cannot be reached from A"],
        ),
        (
            machine_of(transitions=[step("go", "A", "B"), step("stop", "*", "C")]),
            ["trigger 'stop' leaves C, which is final"],
        ),
        (
            machine_of(ordered_transitions=True),
            ["trigger 'next_state' leaves C, which is final"],
        ),
        (
            machine_of(transitions=[step("go", "A", "B"), step("go", "A", "C"), END]),
            [
                "trigger 'go' from A: the candidate to C can never run, "
                "because the one to B before it has no guard"
            ],
        ),
    ],
    ids=[
        *("final", "initial", "final-initial", "destination", "unreachable"),
        *("wildcard", "ordered", "candidate"),
    ],
)
def test_definition_that_is_no_lifecycle_is_refused(machine: Any, reasons: list[str]) -> None:
    """What is wrong with a declared lifecycle is a reason to refuse a machine."""
    assert refused(machine) == reasons


def test_meaning_that_cannot_be_is_refused() -> None:
    """What is said about the machine's states is checked as well."""
    means = {"A": JobStatus.SUCCESS, "D": JobStatus.STARTED}
    assert refused(machine_of(), means=means) == [
        "A is not final and cannot mean SUCCESS",
        "means speaks of 'D', which is no state",
    ]


def test_all_reasons_are_told_at_once() -> None:
    """Reasons of every sort stand in one list, and in the error's text."""
    cls = subclass(state_cls=MyState, callback=Machine.callback)
    machine = machine_of(cls, name="mine", states=["A", "B"], transitions=[step("go", "A", "B")])
    machine.resolve_callable = lambda func, event_data: func
    with pytest.raises(UnsupportedDefinition) as caught:
        Lifecycle.from_transitions(machine)
    error = caught.value
    assert list(error.reasons) == [
        "its class Mine overrides Machine.state_cls",
        "its class Mine overrides Machine.callback",
        "it has a method resolve_callable of its own",
        f"state A is a MyState of {HERE}, not a plain State",
        f"state B is a MyState of {HERE}, not a plain State",
        "no state is final, so that no job could ever complete: "
        "declare one with final=[…], or as {'name': …, 'final': True}",
    ]
    assert str(error).splitlines() == [
        "lifecycle mine cannot behave as its transitions machine does:",
        *(f"  - {reason}" for reason in error.reasons),
    ]
    assert (error.lifecycle, error.problems) == ("mine", error.reasons)
    assert isinstance(error, JobStateError)
    assert isinstance(error, ValueError)


# --- whatever the definition ------------------------------------------------------------------

Definition = dict[str, Any]
TRIGGERS = ["go", "stop", "turn", "step", "jump"]


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Return a small definition, with any number of defects."""
    names = list("ABCDE"[: draw(st.integers(2, 5))])
    finals = names[draw(st.integers(1, len(names) - 1)) :]
    open_ = [name for name in names if name not in finals]
    source = st.sampled_from(open_ if draw(st.integers(0, 4)) else names)
    guard = st.lists(st.sampled_from(["is_able", "is_ready", "is_tired"]), max_size=2)
    steps = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "trigger": st.sampled_from(TRIGGERS[:3]),
                    "source": source | st.lists(source, min_size=1, max_size=3, unique=True),
                    "dest": st.sampled_from([*names, "=", None]),
                },
                optional={"conditions": guard, "unless": guard},
            ),
            max_size=6,
        )
    )
    states = [final(name) if name in finals else name for name in names]
    return {"states": states, "transitions": steps, "initial": names[0]}


def expanded(definition: Definition) -> dict[tuple[str, str], list[tuple[str, bool]]]:
    """Return where each trigger leads from each state, and if a guard is asked: our own reading."""
    found: dict[tuple[str, str], list[tuple[str, bool]]] = {}
    for each in definition["transitions"]:
        sources = each["source"] if isinstance(each["source"], list) else [each["source"]]
        for source in sources:
            dest = source if each["dest"] in ("=", None) else each["dest"]
            guarded = bool(each.get("conditions") or each.get("unless"))
            found.setdefault((each["trigger"], source), []).append((dest, guarded))
    return found


def is_right(definition: Definition) -> bool:
    """Whether a definition is one of a job: our own reading."""
    names = [each["name"] if isinstance(each, dict) else each for each in definition["states"]]
    finals = {each["name"] for each in definition["states"] if isinstance(each, dict)}
    ways = expanded(definition)
    if any(source in finals for _, source in ways):
        return False
    if any(not guarded for candidates in ways.values() for _, guarded in candidates[:-1]):
        return False
    reaches = {name: {name} for name in names}
    for _ in names:
        for (_, source), candidates in ways.items():
            for dest, _ in candidates:
                reaches[source] |= reaches[dest]
    return reaches[names[0]] == set(names) and all(reaches[name] & finals for name in names)


def edges_of(lifecycle: Lifecycle[Any]) -> dict[tuple[str, str], list[object]]:
    """Return the candidates of each trigger from each state, as jobstate reads them."""
    found: dict[tuple[str, str], list[object]] = {}
    for edge in lifecycle.edges:
        found.setdefault((edge.trigger, edge.source), []).append(
            (edge.dest, edge.guards, edge.internal)
        )
    return found


def transitions_of(machine: Any) -> dict[tuple[str, str], list[object]]:
    """Return the candidates of each trigger from each state, as transitions reads them."""
    found: dict[tuple[str, str], list[object]] = {}
    for trigger in machine.events:
        for edge in machine.get_transitions(trigger):
            guards = tuple(f"{'' if c.target else 'not '}{c.func}" for c in edge.conditions)
            found.setdefault((trigger, edge.source), []).append(
                (edge.dest or edge.source, guards, edge.dest is None)
            )
    return found


@st.composite
def right_definitions(draw: st.DrawFn) -> Definition:
    """Return a small definition that is right: what is wrong with it is taken out."""
    definition = draw(definitions())
    names = [each["name"] if isinstance(each, dict) else each for each in definition["states"]]
    finals = [each["name"] for each in definition["states"] if isinstance(each, dict)]
    steps, closed = [], {(trigger, name) for trigger in TRIGGERS for name in finals}
    for each in definition["transitions"]:
        guarded = each.get("conditions") or each.get("unless")
        for source in each["source"] if isinstance(each["source"], list) else [each["source"]]:
            if (each["trigger"], source) not in closed:
                steps.append({**each, "source": source})
                closed |= set() if guarded else {(each["trigger"], source)}
    for source, dest in pairwise(names):
        if source not in finals:
            steps.append(step("step", source, dest))
    steps += [step("jump", names[0], name, conditions="is_able") for name in finals]
    return {**definition, "transitions": steps}


@given(definitions() | right_definitions(), st.sampled_from([Machine, AsyncMachine]))
def test_definition_is_read_as_transitions_reads_it(
    definition: Definition, cls: type[Machine]
) -> None:
    """Declared or taken over, a definition has the edges that `transitions` gives it, if right."""
    machine = cls(model=None, auto_transitions=False, **copy.deepcopy(definition))
    right = is_right(definition)
    event(f"right: {right}")
    if right:
        for lifecycle in (Lifecycle[Any](**definition), Lifecycle.from_transitions(machine)):
            assert edges_of(lifecycle) == transitions_of(machine)
            assert lifecycle.statuses == tuple(machine.states)
            assert lifecycle.triggers == tuple(machine.events)
            assert lifecycle.initial == machine.initial
    else:
        with pytest.raises(InvalidLifecycle) as declared:
            Lifecycle[Any](**definition)
        assert refused(machine) == list(declared.value.problems)


@given(
    right_definitions(),
    st.lists(st.sampled_from(TRIGGERS), min_size=5, max_size=8),
    st.randoms(use_true_random=False),
)
def test_job_goes_where_a_model_goes(
    definition: Definition, triggers: list[str], random: Any
) -> None:
    """Whatever the guards answer, a job takes the way of a model, and calls the same on it."""

    def noting(name: str, answers: bool = False) -> Callable[..., Any]:
        def note(calls: list[str], answer: Callable[[str], bool]) -> Any:
            calls.append(name)
            return answer(name) if answers else None

        return note

    for number, each in enumerate(definition["transitions"]):
        for slot in ("prepare", "before", "after"):
            each[slot] = noting(f"{slot} {number}")
        for slot in ("conditions", "unless"):
            guards = each.get(slot, [])
            each[slot] = [
                noting(f"{slot} {number} {guard}", answers=True)
                for guard in ([guards] if isinstance(guards, str) else guards)
            ]
    definition["states"] = [
        {"name": each, "on_exit": noting(f"exit {each}"), "on_enter": noting(f"enter {each}")}
        if isinstance(each, str)
        else {**each, "on_enter": noting(f"enter {each['name']}")}
        for each in definition["states"]
    ]
    definition.update({slot: noting(slot) for slot in MACHINE_WIDE if slot != "on_exception"})

    class Model:
        """Moved by the machine itself."""

    model: Any = Model()
    machine = machine_of(**copy.deepcopy(definition), model=model)
    job = Job[Any, Any](lifecycle=Lifecycle.from_transitions(machine))
    known = [trigger for trigger in triggers if trigger in machine.events]
    for trigger in known:
        answers: dict[str, bool] = {}

        def answer(name: str, answers: dict[str, bool] = answers) -> bool:
            return answers.setdefault(name, random.random() < 0.6)

        by_model: list[str] = []
        by_job: list[str] = []
        try:
            moved = model.trigger(trigger, by_model, answer)
        except MachineError:
            moved = False
        try:
            job.trigger_nowait(trigger, by_job, answer)
        except Refused:
            assert not moved
        else:
            assert moved
        assert (job.status, by_job) == (model.state, by_model)
    event(f"steps: {len(job.history)}")
