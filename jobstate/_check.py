"""Look a definition over, and say everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ._status import JobStatus

if TYPE_CHECKING:
    from transitions import Machine


def problems(machine: Machine, means: Mapping[str, object]) -> list[str]:
    """Return everything that is wrong with a definition, a sentence each."""
    finals = {name for name, state in machine.states.items() if state.final}
    found = list(_unknown_names(machine))
    if machine.initial is None or machine.initial not in machine.states:
        found.append("it has no initial state: say initial=…")
    elif machine.initial in finals:
        found.append(f"its initial state {machine.initial} is final: a job could never run")
    found += _ways_out_of_finals(machine, finals)
    found += _dead_candidates(machine)
    found += _wrong_meanings(machine, means, finals)
    if not finals:
        found.append(
            "no state is final, so that no job could ever complete: "
            "declare one with {'name': …, 'final': True}"
        )
    elif not found:
        found += _dead_ends(machine, finals)
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
                near = get_close_matches(str(name), machine.states, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                yield f"trigger {trigger!r} {words} {name!r}, which is no state{hint}"


def _ways_out_of_finals(machine: Machine, finals: set[str]) -> Iterator[str]:
    automatic = {f"to_{name}" for name in machine.states} if machine.auto_transitions else set()
    if automatic and finals:
        yield (
            "its auto_transitions lead from every state to every other, out of final ones too: "
            "build the machine with auto_transitions=False"
        )
    for trigger, edge in _edges(machine):
        if edge.source in finals and trigger not in automatic:
            yield f"trigger {trigger!r} leaves {edge.source}, which is final"


def _dead_candidates(machine: Machine) -> Iterator[str]:
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
                elif not edge.conditions:
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


def _dead_ends(machine: Machine, finals: set[str]) -> Iterator[str]:
    onward = successors(machine)
    reached = {machine.initial, *closure(onward, machine.initial)}
    for name in machine.states:
        if name not in reached:
            yield f"state {name} cannot be reached from {machine.initial}"
        if name not in finals and not finals & closure(onward, name):
            yield f"no final state can be reached from {name}"


def successors(machine: Machine) -> dict[str, set[str]]:
    """Return the states that one transition from each state enters."""
    onward: dict[str, set[str]] = {name: set() for name in machine.states}
    for _, edge in _edges(machine):
        if edge.dest is not None:
            onward[edge.source].add(edge.dest)
    return onward


def closure(onward: Mapping[str, set[str]], start: str | None) -> frozenset[str]:
    """Return every state that can be entered from *start*, in one step or more."""
    found: set[str] = set()
    fresh = set(onward.get(start or "", ()))
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
            found.append(f"{words} is a {cls.__name__} of {cls.__module__}, not a plain {kind}")
        found += [
            f"{words} has a method {name} of its own"
            for name in vars(live)
            if callable(getattr(type(live), name, None))
        ]
    if found and not nested:  # else these are told with what the caller says of its statuses
        found += problems(machine, {})
    return found
