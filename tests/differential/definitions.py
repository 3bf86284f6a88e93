"""Random definitions in the vocabulary of `transitions`, as data and as live machines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from functools import cache, partial
from itertools import pairwise
from types import ModuleType
from typing import Any

import anyio.lowlevel
from hypothesis import strategies as st
from transitions import Machine


class Interrupt(BaseException):
    """Is no Exception, as an exit, an interrupt or a cancellation is none."""


class Vague:
    """Compares to anything with an answer that is no bool."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def __eq__(self, other: object) -> Any:
        return self.answer

    def __hash__(self) -> int:
        return hash(self.answer)

    def __repr__(self) -> str:
        return f"Vague({self.answer!r})"


ODD = [1, 0, 1.0, "yes", "", None, Vague("so"), Vague(""), ValueError]
HOOK = [*[None] * 40, *[ValueError] * 5, AttributeError, False, *[Interrupt] * 3]
DOES: dict[str, list[Any]] = {
    "conditions": [*[True] * 30, *[False] * 4, *ODD],
    "unless": [*[False] * 30, *[True] * 4, *ODD],
}
"""What guards answer or raise; all other callbacks do as `HOOK` says."""

ALWAYS = ("prepare_event", "before_state_change", "after_state_change", "finalize_event")
MACHINE_WIDE = (*ALWAYS, "on_exception", "on_final")
OF_TRANSITION = ("prepare", "conditions", "unless", "before", "after")
OF_STATE = ("on_enter", "on_exit")
ADDED = ("prepare", "before", "after")
"""What ``machine.before_go()`` and the like add to all transitions of a trigger."""

FORMS = ("function", "method", "property", "partial", "object", "classmethod", "dotted")
AS_METHOD = ("declared", "implied", "implied in class")
"""As a method of the model that is called like ``on_enter_A``: given by name too, or just there."""

TRIGGERS = ("go", "start", "fail", "tick")
FINE: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    (("one",), {}),
    (("one", 2), {"speed": 3}),
    ((), {"reason": "why", "result": 4}),
    (("one",), {"trigger": "go", "event": None, "delay": 1.5}),
]
ARGUMENTS = [*FINE * 4, ((2, "one"), {}), ((), {"delay": "soon"})]
"""What triggers are called with; a job cannot record an error that is 2, nor a delay of "soon"."""


@dataclass(frozen=True)
class Callback:
    """One callback of a definition."""

    slot: str
    """The slot, and of what: ``on_final``, ``before 3``, ``before go``, ``on_enter A``."""

    form: str
    """How it is given: one of `FORMS` or of `AS_METHOD`;
    ``added`` are functions given to ``machine.on_enter_A()`` or ``machine.before_go()``."""

    waits: bool
    """Whether its answer has to be awaited."""

    does: tuple[Any, ...]
    """What it answers or raises at each trigger in turn, over and over again."""

    number: int = 0

    @property
    def kind(self) -> str:
        """The slot alone."""
        return self.slot.split()[0]

    @property
    def name(self) -> str:
        """Its name on the class of the model or job."""
        is_of_state = self.form in AS_METHOD
        return self.slot.replace(" ", "_") if is_of_state else f"{self.form}_{self.number}"


@dataclass(frozen=True)
class Step:
    """A transition of a definition."""

    trigger: str
    sources: tuple[str, ...]
    """The names of states; ``*`` alone for all that are known."""

    dest: str | None


@dataclass(frozen=True)
class Definition:
    """A definition in which nothing is wrong, as data."""

    kind: type
    """What states are: str, Enum or StrEnum."""

    states: tuple[str, ...]
    known: int
    """How many of them are there when wildcards are read."""

    spine: tuple[str, ...]
    """The way from the initial state through all that are not final to one that is."""

    steps: tuple[Step, ...]
    """Those with a wildcard come first."""

    ordered: tuple[str, ...]
    """The states that a trigger ``next_state`` leads down or, if none is final, around."""

    ignoring: dict[str, bool]
    """Which states say whether they ignore invalid triggers; "" is the machine."""

    send_event: bool
    queued: bool
    has_model: bool
    """Whether the machine has its model before the lifecycle is made of it."""

    callbacks: tuple[Callback, ...]

    @property
    def wild(self) -> int:
        """How many transitions have a wildcard."""
        return sum(step.sources == ("*",) for step in self.steps)

    @property
    def added(self) -> tuple[Callback, ...]:
        """The callbacks that are given to the machine later."""
        return tuple(each for each in self.callbacks if each.form == "added")

    def sources(self, step: Step) -> tuple[str, ...]:
        """Return the states that a transition leaves."""
        return self.states[: self.known] if step.sources == ("*",) else step.sources


# --- drawing ----------------------------------------------------------------------------------


@cache
def doings(slot: str, may_wait: bool) -> st.SearchStrategy[Callback]:
    """Draw a callback of this slot; made once, since making it takes longer than drawing."""
    kind, of = slot.split()[0], slot.split()[-1]
    forms: tuple[str, ...] = FORMS
    if kind in OF_STATE:
        forms = (*FORMS, *AS_METHOD, *AS_METHOD, "added")
    elif of in (*TRIGGERS, "next_state"):
        forms = ("added",)
    return st.builds(
        Callback,
        slot=st.just(slot),
        form=st.sampled_from(forms),
        waits=st.booleans() if may_wait else st.just(False),
        does=st.lists(st.sampled_from(DOES.get(kind, HOOK)), min_size=1, max_size=3).map(tuple),
    )


def callbacks(slots: list[str], may_wait: bool) -> st.SearchStrategy[Callback]:
    """Draw a callback of one of these slots."""
    return st.sampled_from(slots).flatmap(lambda slot: doings(slot, may_wait))


@st.composite
def definitions(draw: st.DrawFn, may_wait: bool) -> Definition:
    """Draw a definition: first a spine that leads to a final state, then whatever is added."""
    living = tuple("ABCD"[: draw(st.sampled_from([2, 3, 4, 1]))])
    finals = tuple(f"F{number}" for number in range(draw(st.integers(1, 2))))
    spine = (*draw(st.permutations(living)), finals[0])
    trigger = st.sampled_from(TRIGGERS)
    needed = [Step(draw(trigger), (source,), dest) for source, dest in pairwise(spine)]
    needed += [Step("fail", (draw(st.sampled_from(living)),), final) for final in finals[1:]]
    dests = st.sampled_from((*living, *living, *finals, "=", "=", None, None))
    sources = st.lists(st.sampled_from(living), min_size=1, max_size=3, unique=True)
    more = st.builds(Step, trigger, sources.map(tuple), dests)
    wild = st.builds(Step, trigger, st.just(("*",)), dests)
    steps = draw(st.permutations([*needed, *draw(st.lists(more, max_size=4))]))
    steps = [*draw(st.lists(wild, max_size=1)), *steps]
    around = [spine[:-1]] if len(living) > 1 else []
    ordered = draw(st.sampled_from([(), (), spine, *around]))
    triggers = {step.trigger for step in steps} | ({"next_state"} if ordered else set())
    slots = [*MACHINE_WIDE, *ALWAYS, *["on_exception"] * 2, *["on_final"] * 4]
    slots += [
        f"{kind} {each}" for each in range(len(steps) + bool(ordered)) for kind in OF_TRANSITION
    ]
    slots += [f"{kind} {state}" for state in (*living, *finals) for kind in OF_STATE]
    if draw(st.sampled_from([False, False, True])):
        slots += [f"{kind} {each}" for each in sorted(triggers) for kind in ADDED]
    ignoring = st.dictionaries(st.sampled_from(["", "", *living]), st.booleans(), max_size=3)
    definition = Definition(
        kind=draw(st.sampled_from([str, Enum, StrEnum])),
        states=(*living, *finals),
        known=draw(st.integers(living.index(spine[0]) + 1, len(living))),
        spine=spine,
        steps=tuple(steps),
        ordered=ordered,
        ignoring=draw(ignoring),
        send_event=draw(st.booleans()),
        queued=draw(st.booleans()),
        has_model=draw(st.booleans()),
        callbacks=(),
    )
    fewest = draw(st.sampled_from([0, 4, 8, 12]))
    drawn = draw(st.lists(callbacks(slots, may_wait), min_size=fewest, max_size=24))
    return replace(definition, callbacks=tuple(_numbered(_guarded(definition, drawn))))


def _guarded(definition: Definition, drawn: list[Callback]) -> list[Callback]:
    """Add a guard to each candidate that would keep those after it from being tried."""
    guarded = {each.slot.split()[1] for each in drawn if each.kind in DOES}
    latest: dict[tuple[str, str], str] = {}
    for number, step in enumerate(definition.steps):
        for source in definition.sources(step):
            before = latest.get((step.trigger, source))
            latest[step.trigger, source] = str(number)
            if before is not None and before not in guarded:
                guarded.add(before)
                guard = Callback(f"conditions {before}", "function", False, (True, False))
                drawn = [*drawn, guard]
    return drawn


def _numbered(drawn: Iterable[Callback]) -> Iterable[Callback]:
    """Give each callback a name of its own; a class has one method on a state."""
    found: dict[str, Callback] = {}
    for number, each in enumerate(drawn):
        own = replace(each, number=number)
        found.setdefault(own.name, own)
    return found.values()


# --- building ---------------------------------------------------------------------------------

DOTTED = ModuleType("jobstate_differential.callbacks")
"""Where callbacks are that are given by a dotted name."""

sys.modules["jobstate_differential"] = ModuleType("jobstate_differential")
sys.modules[DOTTED.__name__] = sys.modules["jobstate_differential"].callbacks = DOTTED  # type: ignore[attr-defined]


class Live:
    """A definition as a machine, and as what its models have: its callbacks all `call` the same."""

    call: Callable[[Callback, tuple[Any, ...], dict[str, Any]], Any]

    def __init__(self, definition: Definition, cls: type[Machine], **more: Any) -> None:
        self.definition = definition
        names = {state: state.lower() for state in definition.states}
        kind: Any = definition.kind
        members = kind("Phase", names).__members__ if issubclass(kind, Enum) else {}
        self.statuses: dict[str, Any] = {state: members.get(state, state) for state in names}
        self.slots: dict[str, list[Any]] = {}
        self.attributes: dict[str, Any] = {}
        self.added: list[tuple[Callback, Any]] = []
        for callback in definition.callbacks:
            self._add(callback)
        parts = {**self.parts(), **more}
        states, known = parts.pop("states"), definition.known
        steps, wild = parts.pop("transitions"), definition.wild
        self.machine: Any = cls(
            model=None,
            states=states[:known],
            transitions=steps[:wild],
            queued=definition.queued,
            **{"auto_transitions": False, **parts},
        )
        self.machine.add_states(states[known:])
        self.machine.add_transitions(steps[wild:])
        if definition.ordered:
            given = self._given(OF_TRANSITION, len(steps))
            more = {slot: [each] for slot, each in given.items()}
            loop = definition.ordered != definition.spine
            self.machine.add_ordered_transitions(list(definition.ordered), loop=loop, **more)
        for callback, func in self.added:
            getattr(self.machine, callback.slot.replace(" ", "_"))(func)

    def parts(self) -> dict[str, Any]:
        """Return the arguments that declare it, but for ordered transitions."""
        definition = self.definition
        return {
            "states": [self._state(state) for state in definition.states],
            "transitions": [self._step(*each) for each in enumerate(definition.steps)],
            "initial": self.statuses[definition.spine[0]],
            "send_event": definition.send_event,
            "ignore_invalid_triggers": definition.ignoring.get(""),
            **self._given(MACHINE_WIDE),
        }

    def _state(self, state: str) -> Any:
        given = self._given(OF_STATE, state)
        if state in self.definition.ignoring:
            given["ignore_invalid_triggers"] = self.definition.ignoring[state]
        if state.startswith("F"):
            given["final"] = True
        return {"name": self.statuses[state], **given} if given else self.statuses[state]

    def _step(self, number: int, step: Step) -> Any:
        sources: list[Any] = [self.statuses.get(source, source) for source in step.sources]
        source = sources[0] if len(sources) == 1 else sources
        dest = None if step.dest is None else self.statuses.get(step.dest, step.dest)
        given = self._given(OF_TRANSITION, number)
        if not given:
            return [step.trigger, source, dest]
        return {"trigger": step.trigger, "source": source, "dest": dest, **given}

    def _given(self, slots: Iterable[str], of: object = "") -> dict[str, Any]:
        """Return the callbacks of these slots: one alone, more as a tuple or a list."""
        given: dict[str, Any] = {}
        for slot in slots:
            found = self.slots.get(f"{slot} {of}".strip(), [])
            if len(found) == 2 and slot not in (*OF_STATE, *ADDED):  # those may be added to
                given[slot] = tuple(found)
            elif found:
                given[slot] = list(found) if len(found) > 1 else found[0]
        return given

    def _add(self, callback: Callback) -> None:
        def func(*args: Any, **kwargs: Any) -> Any:
            return self.call(callback, args, kwargs)

        async def func_that_waits(*args: Any, **kwargs: Any) -> Any:
            answer = self.call(callback, args, kwargs)
            await anyio.lowlevel.checkpoint()
            return answer

        called = func_that_waits if callback.waits else func

        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return called(*args, **kwargs)

        forms: dict[str, Any] = {
            "function": called,
            "partial": partial(called),
            "object": type("Called", (), {"__call__": method})(),
            "property": property(lambda self: called()),
            "classmethod": classmethod(method),
            "implied in class": classmethod(method),
        }
        if callback.form == "added":
            self.added.append((callback, called))
            return
        given = forms.get(callback.form, method)
        if callback.form == "dotted":
            setattr(DOTTED, callback.name, called)
            given = f"{DOTTED.__name__}.{callback.name}"
        elif callback.form not in ("function", "partial", "object"):
            self.attributes[callback.name] = given
            given = callback.name
        if not callback.form.startswith("implied"):
            self.slots.setdefault(callback.slot, []).append(given)
