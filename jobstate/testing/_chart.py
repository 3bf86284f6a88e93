"""What a lifecycle allows, read off its edges once and shared by all that is played of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._declared import EdgeInfo
from .._lifecycle import Lifecycle
from .._records import Transition

Taken = tuple[str, Any, Any]
"""An edge by its trigger, its source and its destination."""


def taken_by(step: EdgeInfo[Any] | Transition[Any]) -> Taken:
    """Return which edge it is, or was."""
    return step.trigger, step.source, step.dest


@dataclass(frozen=True, slots=True)
class Chart:
    """The ways out of each status, and where they lead."""

    initial: Any
    triggers: tuple[str, ...]
    statuses: tuple[Any, ...]
    ways: Mapping[Any, tuple[EdgeInfo[Any], ...]]
    edges: frozenset[Taken]
    final: frozenset[Any]
    running: frozenset[Any]
    ahead: Mapping[Any, frozenset[Any]]
    """For each status those that can still be entered from there."""


def chart_of(lifecycle: Lifecycle[Any]) -> Chart:
    """Return the chart of a lifecycle."""
    edges = lifecycle.edges
    return Chart(
        initial=lifecycle.initial,
        triggers=lifecycle.triggers,
        statuses=lifecycle.statuses,
        ways={
            status: tuple(edge for edge in edges if edge.source == status)
            for status in lifecycle.statuses
        },
        edges=frozenset(map(taken_by, edges)),
        final=frozenset(lifecycle.final),
        running=frozenset(lifecycle.running),
        ahead={status: _ahead(status, edges) for status in lifecycle.statuses},
    )


def _ahead(status: Any, edges: tuple[EdgeInfo[Any], ...]) -> frozenset[Any]:
    steps = [(edge.source, edge.dest) for edge in edges if not edge.internal]
    found: set[Any] = set()
    fresh = {status}
    while fresh:
        fresh = {dest for source, dest in steps if source in fresh} - found
        found |= fresh
    return frozenset(found)
