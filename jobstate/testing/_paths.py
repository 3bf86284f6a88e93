"""Paths through a lifecycle that together take every edge of it, as far as its guards let them.

A path aims for an edge that none has taken yet: it goes there from the initial status by the
shortest way, and then on to an end. Which candidate of a trigger is taken is for the lifecycle's
own guards to say. So a path looks at where it has come to after each step and goes on from there;
what was refused or led elsewhere is tried again with other arguments, or gone around. In each
status on its way it also asks for every trigger that the status lacks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Any

from .._declared import EdgeInfo
from ._actors import take
from ._chart import Taken, taken_by
from ._game import Game
from ._world import Step, World

_PATHS = 3
"""How many paths aim for one edge, at most."""

_TRIES = 12
"""How often a path tries to take the edge that it aims for, at most."""

_ASKS = 50
"""How many triggers a path asks for, at most."""

Edge = EdgeInfo[Any]


def paths(game: Game) -> Iterator[Path]:
    """Play paths until every edge was taken, or was aimed for in vain; nearest edges first.

    Nothing in them is drawn from the seed of an exploration: they are the same in each.
    """
    taken: set[Taken] = set()
    numbers = count()
    for aim in _nearest_first(game):
        for _ in range(_PATHS):
            if aim not in taken:
                path = Path(game, next(numbers), aim, taken)
                yield path
                taken |= path.taken


class Path:
    """One job on its way through one edge to an end."""

    def __init__(self, game: Game, number: int, aim: Taken, taken: set[Taken]) -> None:
        self._game, self._aim = game, aim
        self._draw = random.Random(number)
        self._declined: Counter[Taken] = Counter()
        self.number = number
        self.taken = set(taken)
        """The edges taken by this path, or by those before it."""

        self.steps: list[Step] = []
        self.world = game.walked(number, self._walk)

    async def _walk(self, world: World) -> None:
        (job,) = world.jobs
        seen = -1
        for _ in range(_ASKS):
            if job.version > seen:
                await self._do(world, Step("refuse", what=self._everything()))
            seen = job.version
            if job.outcome is not None or world.problems:
                break
            wanted = taken_by(self._next(job.status))
            await self._do(world, self._game.asked(wanted[0], self._draw, 0))
            taken = [taken_by(step) for step in job.history[seen:]]
            self.taken.update(taken)
            if wanted not in taken:
                self._declined[wanted] += 1

    async def _do(self, world: World, step: Step) -> None:
        self.steps.append(step)
        await take(world, f"path {self.number}", step)

    def _everything(self) -> tuple[Step, ...]:
        return tuple(self._game.asked(name, self._draw, 0) for name in self._game.chart.triggers)

    def _next(self, status: Any) -> Edge:
        """Return the first edge of the best way to the aim or, that done or tried, to an end."""
        way = None
        if self._aim not in self.taken and self._declined[self._aim] < _TRIES:
            way = self._way(status, lambda edge: taken_by(edge) == self._aim)
        way = way or self._way(status, lambda edge: edge.dest in self._game.chart.final)
        assert way is not None, "from each status there is a way to an end"
        return way

    def _way(self, status: Any, arrived: Callable[[Edge], bool]) -> Edge | None:
        """Search with Dijkstra's algorithm; new edges are near, those that declined are far."""
        ties = count()
        heap: list[tuple[int, int, Edge, Edge]] = []

        def go_on(status: Any, cost: int, first: Edge | None) -> None:
            for edge in self._game.chart.ways[status]:
                far = (taken_by(edge) in self.taken) + 2 * self._declined[taken_by(edge)]
                heappush(heap, (cost + 1 + far, next(ties), edge, first or edge))

        go_on(status, 0, None)
        been = {status}
        while heap:
            cost, _, edge, first = heappop(heap)
            if arrived(edge):
                return first
            if edge.dest not in been:
                been.add(edge.dest)
                go_on(edge.dest, cost, first)
        return None


def _nearest_first(game: Game) -> list[Taken]:
    """Return every edge, in the order of its distance from the initial status."""
    chart = game.chart
    found: dict[Taken, None] = {}
    statuses = [chart.initial]
    for status in statuses:  # which grows meanwhile
        for edge in chart.ways[status]:
            found[taken_by(edge)] = None
            if edge.dest not in statuses:
                statuses.append(edge.dest)
    return list(found)
