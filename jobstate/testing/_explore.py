"""Play random schedules of triggers, waits and cancellations, and check what came of each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._errors import JobStateError
from .._job import Job
from .._job_lifecycle import JOB_LIFECYCLE
from .._lifecycle import Lifecycle
from ._schedule import Backend
from ._verdict import problems_of
from ._world import JOB_ARGUMENTS, Actor, Arguments, Game, World


@dataclass(frozen=True, slots=True)
class Explored:
    """What an exploration has been through without finding a fault."""

    schedules: int
    transitions: int
    refusals: int
    cancellations: int
    edges: frozenset[tuple[str, Any, Any]]
    """Every ``(trigger, source, dest)`` that was taken at least once."""


class ExplorationFailed(JobStateError, AssertionError):
    """A schedule broke a promise.

    `trace` tells all that happened in the smallest schedule found that breaks one. ``explore(…,
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
    job_type: type[Job[Any, Any]] = Job,
    arguments: Mapping[str, Arguments] | None = None,
    schedules: int = 1_000,
    seed: int = 0,
    jobs: int = 2,
    actors: int = 5,
    backend: Backend = "asyncio",
) -> Explored:
    """Play random schedules of jobs of a lifecycle, and check each.

    A schedule is drawn from a seed: some jobs, and actors that move them, report, wait and are
    cancelled, in a random order of events and in virtual time. The lifecycle's own guards and
    hooks run as they are, in three of four schedules with hooks around them that pause at random.
    What is checked, by code that shares nothing with the job's: each trigger got exactly one
    answer, and a true one; each history is a path of the lifecycle; hooks run one at a time, in
    the context of their caller, and turns are taken in the order asked for; a cancelled trigger
    left the job wholly before or wholly after its commit; every wait ended, with the truth;
    streams have no gap; cancellations arrive; nothing is left over.

    Args:
        lifecycle: what the jobs follow.
        job_type: the class of the jobs.
        arguments: for a trigger, a function that draws what it is called with.
        schedules: how many to play; schedule *n* is drawn from ``seed + n``.
        seed: where to begin.
        jobs: jobs in a schedule.
        actors: tasks in a schedule, at most.
        backend: ``"asyncio"`` or ``"trio"``.

    Raises:
        ExplorationFailed: a promise was broken; tells the smallest schedule found that does it.
    """
    game = Game(lifecycle, job_type, {**JOB_ARGUMENTS, **(arguments or {})}, jobs, backend)
    edges: set[tuple[str, Any, Any]] = set()
    counts: Counter[str] = Counter()
    for number in range(seed, seed + schedules):
        plan = game.drawn(random.Random(number), actors)
        world = game.played(plan, number)
        problems = problems_of(world, lifecycle)
        if problems:
            raise _shrunk(game, plan, number, problems[0], world)
        for job in world.jobs:
            edges.update((step.trigger, step.source, step.dest) for step in job.history)
        counts.update(call.answer for call in world.calls)
        counts["cancellation"] += world.cancellations
        counts["transition"] += sum(job.version for job in world.jobs)
    return Explored(
        schedules,
        counts["transition"],
        counts["refused"],
        counts["cancellation"],
        frozenset(edges),
    )


def _shrunk(
    game: Game, plan: tuple[Actor, ...], seed: int, problem: str, world: World
) -> ExplorationFailed:
    """Leave out actors and steps for as long as what is left still fails."""
    smaller = _smaller(plan)
    while (tried := next(smaller, None)) is not None:
        again = game.played(tried, seed)
        problems = problems_of(again, game.lifecycle)
        if problems:
            problem, world, smaller = problems[0], again, _smaller(tried)
    return ExplorationFailed(problem, seed, game.backend, world.trace)


def _smaller(plan: tuple[Actor, ...]) -> Iterator[tuple[Actor, ...]]:
    for n, actor in enumerate(plan):
        before, behind = plan[:n], plan[n + 1 :]
        yield before + behind
        if actor.cancelled_after is not None:
            yield (*before, replace(actor, cancelled_after=None), *behind)
        for k in range(len(actor.steps)):
            yield (
                *before,
                replace(actor, steps=actor.steps[:k] + actor.steps[k + 1 :]),
                *behind,
            )
