"""From a definition in the vocabulary of `transitions` to a table. The only importer of it.

`transitions` parses and expands a definition into live state and event objects, and `compiled`
flattens those. The machine itself is never run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from enum import Enum
from inspect import getattr_static
from types import FunctionType
from typing import TYPE_CHECKING, Any

from transitions import EventData, Machine

from ._check import closure, successors
from ._errors import nearest
from ._status import JobStatus
from ._table import (
    MACHINE_WIDE,
    Callback,
    DataCallback,
    Edge,
    Guard,
    PlainCallback,
    State,
    Table,
    TransitionEvent,
    Way,
)

if TYPE_CHECKING:
    from ._lifecycle import Lifecycle


@dataclass(frozen=True, slots=True)
class Attached:
    """A guard or hook added with a decorator."""

    slot: str
    """guard, prepare, before, exit, enter, final, after, exception or finalize."""

    selector: str
    """The trigger or status it belongs to, or ``*``."""

    callback: Callback
    source: str | None = None
    dest: str | None = None

    def fits(self, slot: str, name: str, edge: Any = None) -> bool:
        """Whether it is meant for this slot of this trigger or status (and transition)."""
        return (
            self.slot == slot
            and self.selector in (name, "*")
            and (self.source is None or self.source == edge.source)
            and (self.dest is None or self.dest == (edge.dest or edge.source))
        )


def name_of(status: object) -> str:
    """Return the name by which `transitions` keeps a state, given as it is or as a dict."""
    if isinstance(status, Mapping):
        status = status.get("name")
    return str(getattr(status, "name", status))


# --- parsing --------------------------------------------------------------------------------


def parsed(base: Machine | None, definition: Mapping[str, Any]) -> Machine:
    """Return a new machine with what *base* has and what *definition* adds to it.

    Raises:
        ValueError: `transitions` cannot make sense of a part of the definition; says of which.
    """
    if base is None:
        machine = Machine(
            model=None,
            initial=None,
            send_event=definition["send_event"],
            auto_transitions=False,
            ignore_invalid_triggers=definition["ignore_invalid_triggers"],
        )
    else:
        machine = _cloned(base)
    for state in listed(definition.get("states")):
        if name_of(state) in machine.states:
            raise ValueError(f"state {name_of(state)} is there already")
        with _naming("state", state):
            machine.add_states([dict(state) if isinstance(state, Mapping) else state])
    for state in listed(definition.get("final")):
        if name_of(state) not in machine.states:
            hint = nearest(name_of(state), machine.states)
            raise ValueError(f"its final state {state!r} is no state{hint}")
        machine.states[name_of(state)].final = True
    initial = definition.get("initial")
    if initial is not None:
        if name_of(initial) not in machine.states:
            hint = nearest(name_of(initial), machine.states)
            raise ValueError(f"its initial state {initial!r} is no state{hint}")
        machine.initial = initial
    for transition in listed(definition.get("transitions")):
        with _naming("transition", transition):
            machine.add_transitions([_from_the_living(transition, machine)])
    if definition.get("ordered_transitions"):
        with _naming("ordered transitions of", list(machine.states)):
            living = _living(machine)
            end = [name for name in machine.states if name not in living][:1]
            machine.add_ordered_transitions([*living, *end], loop=False)
    for key in MACHINE_WIDE:
        setattr(machine, key, [*getattr(machine, key), *listed(definition.get(key))])
    return _cloned(machine)  # what the caller later does to lists given here goes no further


def _living(machine: Machine) -> list[str]:
    return [name for name, state in machine.states.items() if not state.final]


def _from_the_living(given: Any, machine: Machine) -> Any:
    """Read the wildcard as every state that is not final, since nothing may leave those."""
    if isinstance(given, Mapping) and given.get("source") == "*":
        return {**given, "source": _living(machine)}
    if isinstance(given, list) and given[1:2] == ["*"]:
        return [given[0], _living(machine), *given[2:]]
    return given


@contextmanager
def _naming(kind: str, given: object) -> Iterator[None]:
    """Have what `transitions` raises say what it was reading."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ValueError(f"transitions cannot read {kind} {given!r}: {error}") from error


def listed(given: Any) -> list[Any]:
    """Return what may be given alone or as several as a list, as `transitions` reads it."""
    if given is None:
        return []
    if isinstance(given, (str, Mapping, Enum)) or not isinstance(given, Iterable):
        return [given]
    if callable(given) and not isinstance(given, type):  # a callback may be iterable too
        return [given]
    return list(given)


def _cloned(machine: Machine) -> Machine:
    """Return a machine of the same states and transitions, which can be added to."""
    clone = copy(machine)
    clone.models = []
    clone.states = type(machine.states)()
    for name, state in machine.states.items():
        clone.states[name] = _with_own_lists(state)
    clone.events = type(machine.events)()
    for name, event in machine.events.items():
        clone.events[name] = own = copy(event)
        own.machine = clone
        own.transitions = type(event.transitions)(list)
        for source, candidates in event.transitions.items():
            own.transitions[source] = [_with_own_lists(each) for each in candidates]
    return clone


def _with_own_lists(live: Any) -> Any:
    clone = copy(live)
    vars(clone).update({k: list(v) for k, v in vars(live).items() if isinstance(v, list)})
    return clone


# --- compiling ------------------------------------------------------------------------------


def compiled(
    lifecycle: Lifecycle[Any],
    machine: Machine,
    attached: Iterable[Attached],
    means: Mapping[str, JobStatus],
    job_type: type,
) -> Table:
    """Return the table of a checked machine, with the hooks that jobs of *job_type* add."""
    return _Compiler(machine, tuple(attached), means, job_type).table(lifecycle)


class _Compiler:
    def __init__(
        self,
        machine: Machine,
        attached: tuple[Attached, ...],
        means: Mapping[str, JobStatus],
        job_type: type,
    ) -> None:
        self.machine, self.attached, self.job_type = machine, attached, job_type
        self.callback: Callable[[Any], Callback] = (
            DataCallback if machine.send_event else PlainCallback
        )
        self.states = {
            key: State(
                name=key,
                value=live.value,
                final=bool(live.final),
                meaning=means.get(key) or self._usual_meaning(key, live),
                ignores_invalid=bool(
                    machine.ignore_invalid_triggers
                    if live.ignore_invalid_triggers is None
                    else live.ignore_invalid_triggers
                ),
                live=live,
            )
            for key, live in machine.states.items()
        }

    def _usual_meaning(self, key: str, live: Any) -> JobStatus | None:
        same = JobStatus.__members__.get(key)
        if same is not None and same.is_terminal is bool(live.final):
            return same
        return JobStatus.PENDING if key == self.machine.initial else None

    def table(self, lifecycle: Lifecycle[Any]) -> Table:
        machine = self.machine
        prepare = self._of(machine.prepare_event)
        finalize = self._of(machine.finalize_event, "finalize", "*")
        on_exception = self._of(machine.on_exception, "exception", "*")
        machine_wide = bool(prepare or finalize or on_exception)
        for event in machine.events.values():
            for source, candidates in event.transitions.items():
                edges = tuple(self._edge(event.name, live) for live in candidates)
                if edges:
                    bare = len(edges) == 1 and not machine_wide and not edges[0].callbacks()
                    way = Way(edges, plain=edges[0] if bare else None)
                    self.states[source].ways[event.name] = way
        onward = successors(machine)
        for key, state in self.states.items():
            state.reachable = closure(onward, key)
        return Table(
            lifecycle=lifecycle,
            states=self.states,
            triggers=frozenset(machine.events),
            initial=self.states[str(machine.initial)],
            prepare_event=prepare,
            finalize_event=finalize,
            on_exception=on_exception,
            event_data=self._event_data if machine.send_event else None,
        )

    def _edge(self, trigger: str, live: Any) -> Edge:
        machine, internal = self.machine, live.dest is None
        source = self.states[live.source]
        dest = source if internal else self.states[live.dest]
        guards = tuple(Guard(self.callback(each.func), each.target) for each in live.conditions)
        guards += tuple(Guard(each) for each in self._attached("guard", trigger, live))
        before = self._of(machine.before_state_change) + self._of(
            live.before, "before", trigger, live
        )
        enter: tuple[Callback, ...] = ()
        after: tuple[Callback, ...] = ()
        if not internal:
            before += self._around_state(source, "exit")
            enter = self._around_state(dest, "enter")
            if dest.final:
                after = self._of(machine.on_final, "final", dest.name)
        after += self._of(live.after, "after", trigger, live) + self._of(machine.after_state_change)
        return Edge(
            trigger=trigger,
            source=source,
            dest=dest,
            internal=internal,
            live=live,
            prepare=self._of(live.prepare, "prepare", trigger, live),
            guards=guards,
            before=before,
            enter=enter,
            after=after,
        )

    def _around_state(self, state: State, slot: str) -> tuple[Callback, ...]:
        """Return what is declared for a state, then ``on_enter_X`` of the class, then hooks."""
        declared = list(getattr(state.live, f"on_{slot}"))
        method = f"on_{slot}_{state.name}"
        on_class = isinstance(
            getattr_static(self.job_type, method, None), (FunctionType, classmethod)
        )
        if on_class and method not in declared:
            declared.append(method)
        return self._of(declared, slot, state.name)

    def _of(
        self, declared: Iterable[Any], slot: str = "", name: str = "", edge: Any = None
    ) -> tuple[Callback, ...]:
        return tuple(map(self.callback, declared)) + self._attached(slot, name, edge)

    def _attached(self, slot: str, name: str, edge: Any) -> tuple[Callback, ...]:
        return tuple(each.callback for each in self.attached if each.fits(slot, name, edge))

    def _event_data(self, event: TransitionEvent[Any], source: State) -> EventData:
        live = self.machine.events[event.trigger]
        return EventData(source.live, live, self.machine, event.job, event.args, event.kwargs)
