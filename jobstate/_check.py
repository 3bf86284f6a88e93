"""Look a definition over, and say everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ._errors import nearest
from ._status import JobStatus
from ._table import MACHINE_WIDE

if TYPE_CHECKING:
    from transitions import Machine


def problems(
    machine: Machine, means: Mapping[str, object], is_guarded: Callable[[str, Any], bool]
) -> list[str]:
    """Return everything that is wrong with a definition, a sentence each.

    *is_guarded* tells of a trigger and its live transition whether a guard was attached to it.
    """
    finals = {name for name, state in machine.states.items() if state.final}
    found = list(_unknown_names(machine))
    initial = machine.initial
    if initial is None or initial not in machine.states:
        found.append("it has no initial state: say initial=…")
    elif initial in finals:
        found.append(f"its initial state {initial} is final: a job could never run")
    has_ends = bool(finals) and not found
    found += _foreign_parts(machine)
    found += _no_callbacks(machine)
    found += _ways_out_of_finals(machine, finals)
    found += _dead_candidates(machine, is_guarded)
    found += _wrong_meanings(machine, means, finals)
    if not finals:
        found.append(
            "no state is final, so that no job could ever complete: "
            "declare one with final=[…], or as {'name': …, 'final': True}"
        )
    elif has_ends and initial is not None:
        found += _dead_ends(machine, initial, finals)
    return found


def _edges(machine: Machine) -> Iterator[tuple[str, Any]]:
    for event in machine.events.values():
        for candidates in event.transitions.values():
            for candidate in candidates:
                yield event.name, candidate


def _unknown_names(machine: Machine) -> Iterator[str]:
    for trigger, edge in _edges(machine):
        for name, words in ((edge.source, "leaves"), (edge.dest, "leads to")):
            if name is not None and name not in machine.states:
                hint = nearest(str(name), machine.states)
                yield f"trigger {trigger!r} {words} {name!r}, which is no state{hint}"


def _no_callbacks(machine: Machine) -> Iterator[str]:
    owners: list[tuple[str, Any, tuple[str, ...]]] = [("the lifecycle", machine, MACHINE_WIDE)]
    owners += [(f"state {name}", s, ("on_enter", "on_exit")) for name, s in machine.states.items()]
    for trigger, edge in _edges(machine):
        words = f"trigger {trigger!r} from {edge.source}"
        owners.append((words, edge, ("prepare", "before", "after")))
        owners += [(words, condition, ("func",)) for condition in edge.conditions]
    for words, owner, slots in owners:
        for slot in slots:
            given = getattr(owner, slot)
            for each in given if isinstance(given, (list, tuple)) else [given]:
                if not isinstance(each, str) and not callable(each):
                    kind = "a guard" if slot == "func" else slot
                    yield f"{kind} of {words} is {each!r}, which is neither a function nor a name"


def _ways_out_of_finals(machine: Machine, finals: set[str]) -> Iterator[str]:
    way_in = "to_" if machine.model_attribute == "state" else f"to_{machine.model_attribute}_"
    automatic = {f"{way_in}{name}" for name in machine.states} & machine.events.keys()
    if not machine.auto_transitions:
        automatic = set()
    if automatic and finals:
        yield (
            "its auto_transitions lead from every state to every other, out of final ones too: "
            "build the machine with auto_transitions=False"
        )
    for trigger, edge in _edges(machine):
        if edge.source in finals and trigger not in automatic:
            yield f"trigger {trigger!r} leaves {edge.source}, which is final"


def _dead_candidates(machine: Machine, is_guarded: Callable[[str, Any], bool]) -> Iterator[str]:
    for event in machine.events.values():
        for source, candidates in event.transitions.items():
            unguarded = None
            for edge in candidates:
                if unguarded is not None:
                    yield (
                        f"trigger {event.name!r} from {source}: the candidate to "
                        f"{edge.dest or source} can never run, because the one to "
                        f"{unguarded.dest or source} before it has no guard"
                    )
                elif not edge.conditions and not is_guarded(event.name, edge):
                    unguarded = edge


def _wrong_meanings(
    machine: Machine, means: Mapping[str, object], finals: set[str]
) -> Iterator[str]:
    for name, meaning in means.items():
        if name not in machine.states:
            yield f"means speaks of {name!r}, which is no state"
        elif not isinstance(meaning, JobStatus):
            yield f"means says {meaning!r} of {name}, which is no JobStatus"
        elif meaning.is_terminal is not (name in finals):
            kind = "final" if name in finals else "not final"
            yield f"{name} is {kind} and cannot mean {meaning}"


def _dead_ends(machine: Machine, initial: str, finals: set[str]) -> Iterator[str]:
    onward = successors(machine)
    reached = {initial, *closure(onward, initial)}
    for name in machine.states:
        if name not in reached:
            yield f"state {name} cannot be reached from {initial}"
        if name not in finals and not finals & closure(onward, name):
            yield f"no final state can be reached from {name}"


def successors(machine: Machine) -> dict[str, set[str]]:
    """Return the states that one transition from each state enters."""
    onward: dict[str, set[str]] = {name: set() for name in machine.states}
    for _, edge in _edges(machine):
        if edge.dest is not None:
            onward[edge.source].add(edge.dest)
    return onward


def closure(onward: Mapping[str, set[str]], start: str) -> frozenset[str]:
    """Return every state that can be entered from *start*, in one step or more."""
    found: set[str] = set()
    fresh = set(onward[start])
    while fresh:
        found |= fresh
        fresh = set().union(*(onward[name] for name in fresh)) - found
    return frozenset(found)


_SUPPORTED = {
    "Machine": {"Machine", "AsyncMachine"},
    "State": {"State", "AsyncState"},
    "Event": {"Event", "AsyncEvent"},
    "Transition": {"Transition", "AsyncTransition"},
    "Condition": {"Condition", "AsyncCondition"},
}


def unsupported(machine: Machine) -> list[str]:
    """Return every reason why a user's machine cannot be followed exactly, a sentence each."""
    mro = type(machine).__mro__
    ours = [cls.__module__.startswith("transitions.") for cls in mro].index(True)
    found = []
    nested = any(cls.__name__ == "HierarchicalMachine" for cls in mro)
    if nested:
        found.append("it has nested or parallel states")
    elif mro[ours].__name__ not in _SUPPORTED["Machine"]:
        found.append(f"it is a {mro[ours].__name__}; only Machine and AsyncMachine can be followed")
    for cls in mro[:ours]:
        found += [
            f"its class {cls.__name__} overrides {mro[ours].__name__}.{name}"
            for name in vars(cls)
            if hasattr(mro[ours], name) and (not name.startswith("__") or name == "__getattr__")
        ]
    if nested:
        found += _foreign_parts(machine)
    elif found:  # else these are told with what the caller says of its statuses
        found += problems(machine, {}, lambda trigger, edge: False)
    return found


def _foreign_parts(machine: Machine) -> Iterator[str]:
    """Tell of parts that `transitions` has not made, so that their behaviour would be lost."""
    parts: list[tuple[str, Any, str]] = [("Machine", machine, "it")]
    parts += [("State", state, f"state {name}") for name, state in machine.states.items()]
    parts += [("Event", event, f"trigger {name!r}") for name, event in machine.events.items()]
    for trigger, edge in _edges(machine):
        words = f"the transition {trigger!r} from {edge.source}"
        parts.append(("Transition", edge, words))
        parts += [("Condition", condition, f"a guard of {words}") for condition in edge.conditions]
    for kind, live, words in parts:
        cls = type(live)
        plain = cls.__module__.startswith("transitions.") and cls.__name__ in _SUPPORTED[kind]
        if kind != "Machine" and not plain:
            yield f"{words} is a {cls.__name__} of {cls.__module__}, not a plain {kind}"
        for name in vars(live):
            if callable(getattr(cls, name, None)):
                yield f"{words} has a method {name} of its own"
