"""Play paths and random schedules of triggers, waits and cancellations, and check each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .._errors import JobStateError
from .._job import Job
from .._job_lifecycle import JOB_LIFECYCLE
from .._lifecycle import Lifecycle
from ._actors import Actor
from ._chart import Taken, taken_by
from ._game import JOB_ARGUMENTS, Arguments, Game, Plan
from ._paths import paths
from ._schedule import Backend
from ._verdict import problems_of
from ._world import World


@dataclass(frozen=True, slots=True)
class Explored:
    """What an exploration has been through without finding a fault."""

    schedules: int
    transitions: int
    refusals: int
    cancellations: int
    edges: frozenset[tuple[str, Any, Any]]
    """Every ``(trigger, source, dest)`` that was taken at least once."""

    missed: frozenset[tuple[str, Any, Any]]
    """Those of the lifecycle that never were: its guards let none of the jobs take them."""

    raised: frozenset[str]
    """What guards and hooks of the lifecycle raised, each once, as its ``repr``."""


class ExplorationFailed(JobStateError, AssertionError):
    """A path or a schedule broke a promise.

    `trace` tells all that happened in the smallest one found that breaks one. ``explore(…,
    schedules=1, seed=error.seed)`` plays it again.
    """

    def __init__(self, problem: str, seed: int, backend: str, trace: Iterable[str]) -> None:
        self.problem, self.seed, self.backend, self.trace = problem, seed, backend, tuple(trace)
        super().__init__(problem, seed, backend, self.trace)

    def __str__(self) -> str:
        return "\n  ".join((f"{self.problem} (seed {self.seed}, {self.backend}):", *self.trace))


def explore(
    lifecycle: Lifecycle[Any] = JOB_LIFECYCLE,
    *,
    job_type: Callable[..., Job[Any, Any]] = Job,
    arguments: Mapping[str, Arguments] | None = None,
    schedules: int = 1_000,
    seed: int = 0,
    jobs: int = 2,
    actors: int = 5,
    backend: Backend = "asyncio",
) -> Explored:
    """Play paths and random schedules of jobs of a lifecycle, and check each.

    First come paths that take every edge of the lifecycle, as far as its guards let them: a
    path is one job, moved from the initial status through an edge to an end. Where guards refuse
    or choose another candidate, that is no failure, but tried again with other arguments;
    ``missed`` tells what was never taken. In each status on the way, every trigger that the status
    lacks must be refused, and change nothing. The paths are the same whatever the seed.

    A schedule is drawn from a seed: some jobs, and actors that move them, report, wait and are
    cancelled, in a random order of events and in virtual time. The lifecycle's own guards and
    hooks run as they are, in three of four schedules with hooks around them that pause, start
    tasks and defer triggers at random, and in one of four with journals that now and then fail.

    What is checked, by code that shares nothing with the job's: each trigger got exactly one
    answer, and a true one; each history is a path of the lifecycle, and no half of a commit ever
    shows; hooks run one at a time, in the context of their caller, and turns are taken in the
    order asked for; what hooks defer is done before their turn ends; a cancelled trigger left the
    job wholly before or wholly after its commit; journals and observers have all that was
    committed, and no more; every wait ended, with the truth; streams have no gap; cancellations
    arrive; nothing is left over.

    Args:
        lifecycle: what the jobs follow.
        job_type: makes the jobs: their class, or a function that is called as the class would be.
            It gets an id (``"job0"``, ``"job1"``, …) and keyword arguments to pass on.
        arguments: for a trigger, a function that draws what it is called with.
        schedules: how many to play after the paths; schedule *n* is drawn from ``seed + n``.
        seed: where to begin.
        jobs: jobs in a schedule.
        actors: tasks in a schedule, at most.
        backend: ``"asyncio"`` or ``"trio"``.

    Raises:
        ExplorationFailed: a promise was broken; tells the smallest schedule found that does it.
    """
    game = Game(lifecycle, job_type, {**JOB_ARGUMENTS, **(arguments or {})}, jobs, backend)
    tally = _Tally()
    for path in paths(game):
        if problems_of(path.world):
            steps = (Actor(tuple(path.steps)),)
            raise _shrunk(path.world, steps, seed, backend, partial(game.retraced, path.number))
        tally.add(path.world)
    for number in range(seed, seed + schedules):
        plan = game.drawn(random.Random(number), actors)
        world = game.played(number, plan)
        if problems_of(world):
            raise _shrunk(world, plan, number, backend, partial(game.played, number))
        tally.add(world)
    return Explored(
        schedules,
        tally.counts["transition"],
        tally.counts["refused"],
        tally.counts["cancellation"],
        frozenset(tally.edges),
        game.chart.edges - tally.edges,
        frozenset(tally.raised),
    )


class _Tally:
    """What all that was played comes to."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.edges: set[Taken] = set()
        self.raised: set[str] = set()

    def add(self, world: World) -> None:
        for job in world.jobs:
            self.edges.update(map(taken_by, job.history))
            self.counts["transition"] += job.version
        self.counts.update(call.answer for call in world.calls)
        self.counts["cancellation"] += world.cancellations
        self.raised |= world.raised


def _shrunk(
    world: World, plan: Plan, seed: int, backend: Backend, play: Callable[[Plan], World]
) -> ExplorationFailed:
    """Leave out actors and steps for as long as what is left still fails."""
    problem = problems_of(world)[0]
    smaller = _smaller(plan)
    while (tried := next(smaller, None)) is not None:
        again = play(tried)
        problems = problems_of(again)
        if problems:
            problem, world, smaller = problems[0], again, _smaller(tried)
    return ExplorationFailed(problem, seed, backend, world.trace)


def _smaller(plan: Plan) -> Iterator[Plan]:
    for n, actor in enumerate(plan):
        before, behind = plan[:n], plan[n + 1 :]
        yield before + behind
        if actor.cancelled_after is not None:
            yield (*before, replace(actor, cancelled_after=None), *behind)
        for k, step in enumerate(actor.steps):
            rest = actor.steps[:k], actor.steps[k + 1 :]
            yield (*before, replace(actor, steps=(*rest[0], *rest[1])), *behind)
            if step.patience is not None:
                patient = replace(step, patience=None)
                yield (*before, replace(actor, steps=(*rest[0], patient, *rest[1])), *behind)
