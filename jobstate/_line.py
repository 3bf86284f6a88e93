"""The line of jobs that wait for a free place: who is next, and what there is to go round.

A job asks for a place in the runner, one with its executor, and units of named resources. Those
that ask for the same kinds of things stand in one queue, by priority and then by arrival, and
nobody overtakes in there. Between the queues, the first in line goes first; one that must wait for
a resource lets others pass who leave it what it waits for, so that it does not starve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from ._heap import Entry, Heap

W = TypeVar("W")
Rank = tuple[int, int]
"""Minus the priority, and the number of the arrival: the smaller goes first."""

Demand = Mapping[Any, int]
"""How many units of what a job asks for."""


class Place(Generic[W]):
    """Where a job stands in line."""

    __slots__ = ("entry", "queue")

    def __init__(self, queue: Heap[Rank, tuple[Demand, W]], entry: Entry[Rank, tuple[Demand, W]]):
        self.queue, self.entry = queue, entry

    def leave(self) -> None:
        """Stand in line no more. Doing so again does nothing."""
        self.queue.discard(self.entry)


class Line(Generic[W]):
    """Who waits, in order, and what is free."""

    def __init__(self, free: Mapping[Any, int]) -> None:
        self._free = dict(free)
        """Units that nobody has now; what is not in here is there without limit."""

        self._queues: dict[frozenset[Any], Heap[Rank, tuple[Demand, W]]] = {}

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
        return Place(queue, queue.push(rank, (demand, who)))

    def next(self) -> W | None:
        """Return who may go, with all that it asks for taken; ``None`` if nobody may."""
        left: Mapping[Any, int] = self._free
        firsts = ((queue.first(), queue) for queue in self._queues.values())
        waiting = [(entry, queue) for entry, queue in firsts if entry is not None]
        if len(waiting) > 1:
            waiting.sort(key=lambda first: first[0].key)
        for entry, queue in waiting:
            demand, who = cast(tuple[Demand, W], entry.item)
            if all(units <= left.get(kind, units) for kind, units in demand.items()):
                for kind, units in demand.items():
                    if kind in self._free:
                        self._free[kind] -= units
                queue.discard(entry)
                return who
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
