"""The line of jobs that wait for a free place: who is next, and what there is to go round.

A job asks for a place in the runner, one with its executor, and units of named resources. Those
that ask for the same kinds of things stand in one queue, by priority and then by arrival, and
nobody overtakes in there. Between the queues, the first in line goes first; one that must wait for
a resource lets others pass who leave it what it waits for, so that it does not starve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from ._heap import Heap

W = TypeVar("W")
Rank = tuple[int, int]
"""Minus the priority, and the number of the arrival: the smaller goes first."""

Demand = Mapping[Any, int]
"""How many units of what a job asks for."""


class Place(Generic[W]):
    """Where somebody stands in line, and what for."""

    __slots__ = ("_entry", "_queue", "demand", "who")

    def __init__(self, who: W, demand: Demand, queue: Heap[Rank, Place[W]], rank: Rank) -> None:
        self.who, self.demand = who, demand
        self._queue, self._entry = queue, queue.push(rank, self)

    def leave(self) -> None:
        """Stand in line no more. Doing so again does nothing."""
        self._queue.discard(self._entry)


class Line(Generic[W]):
    """Who waits, in order, and what is free."""

    def __init__(self, free: Mapping[Any, int]) -> None:
        self._free = dict(free)
        """Units that nobody has now; what is not in here is there without limit."""

        self._queues: dict[frozenset[Any], Heap[Rank, Place[W]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def offer(self, resource: Any, units: int) -> None:
        """Say how many units of another resource there are, unless that is known."""
        self._free.setdefault(resource, units)

    def join(self, who: W, demand: Demand, rank: Rank) -> Place[W]:
        """Stand in line."""
        kinds = frozenset(kind for kind in demand if kind in self._free)
        queue = self._queues.get(kinds)
        if queue is None:
            queue = self._queues[kinds] = Heap()
        return Place(who, demand, queue, rank)

    def next(self) -> W | None:
        """Return who may go, with all that it asks for taken; ``None`` if nobody may."""
        left: Mapping[Any, int] = self._free
        firsts = [first for queue in self._queues.values() if (first := queue.first()) is not None]
        if len(firsts) > 1:
            firsts.sort(key=lambda first: first.key)
        for first in firsts:
            place = cast(Place[W], first.item)
            demand = place.demand
            if all(units <= left.get(kind, units) for kind, units in demand.items()):
                for kind, units in demand.items():
                    if kind in self._free:
                        self._free[kind] -= units
                place.leave()
                return place.who
            left = dict(left)
            for kind, units in demand.items():
                # Of a place anybody needs one: nobody can pass there.
                if kind in left and isinstance(kind, str):
                    left[kind] -= units
        return None

    def give_back(self, demand: Demand) -> None:
        """Free what somebody had taken."""
        for kind, units in demand.items():
            if kind in self._free:
                self._free[kind] += units
