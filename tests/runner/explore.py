"""Play schedules of a runner, and find the smallest that breaks a promise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from random import Random

from jobstate import add_observer, remove_observer
from jobstate.testing._schedule import Deadlock, run_until_stuck

from .actors import act_all
from .checks import problems_of
from .plans import Plan, drawn
from .world import World

SMALLER = 300
"""How many smaller schedules are tried."""


class Found(AssertionError):
    """A schedule broke a promise; `trace` tells what happened in the smallest one found."""

    def __init__(self, world: World, problems: list[str]) -> None:
        self.problem, self.seed, self.trace = problems[0], world.seed, world.trace
        first = f"{problems[0]} (seed {world.seed}, {world.backend})"
        super().__init__("\n  ".join((first, str(world.plan), *world.trace, *problems)))


def played(seed: int, backend: str, plan: Plan) -> World:
    """Return what happened when a plan was played in the order that *seed* stands for."""
    world = World(plan, seed, backend)
    listener = Listener(world)
    add_observer(listener)
    try:
        run_until_stuck(partial(world.main, act_all), seed, backend, world.stuck)
    except Deadlock:
        pass
    except Exception as error:
        if not world.over:
            raise Found(world, [f"{error!r} came out of it"]) from error
    finally:
        remove_observer(listener)
    return world


def explored(seeds: Iterable[int], backend: str, *, shrink: bool = True) -> Iterator[World]:
    """Play the schedule of each seed; raise the smallest that breaks a promise, if one does."""
    for seed in seeds:
        world, problems = _judged(seed, backend, drawn(Random(seed)))
        if problems:
            raise Found(*(_smallest(world, problems) if shrink else (world, problems)))
        yield world


def _judged(seed: int, backend: str, plan: Plan) -> tuple[World, list[str]]:
    try:
        world = played(seed, backend, plan)
    except Found as found:
        world = World(plan, seed, backend)
        world.trace = found.trace
        return world, [found.problem]
    return world, problems_of(world)


def _smallest(world: World, problems: list[str]) -> tuple[World, list[str]]:
    tries = SMALLER
    smaller = _smaller(world.plan)
    while tries and (plan := next(smaller, None)) is not None:
        tries -= 1
        again, found = _judged(world.seed, world.backend, plan)
        if found:
            world, problems = again, found
            smaller = _smaller(plan)
    return world, problems


def _smaller(plan: Plan) -> Iterator[Plan]:
    for n in range(len(plan.actors)):
        yield replace(plan, actors=(*plan.actors[:n], *plan.actors[n + 1 :]))
    for n in range(len(plan.jobs)):
        yield replace(plan, jobs=(*plan.jobs[:n], *plan.jobs[n + 1 :]))
    if plan.again:
        yield replace(plan, again=plan.again[:-1])
    if plan.hooks != "none":
        yield replace(plan, hooks="none")
    if plan.end != "leave":
        yield replace(plan, end="leave")
    for n, steps in enumerate(plan.actors):
        for k in range(len(steps)):
            rest = (*steps[:k], *steps[k + 1 :])
            yield replace(plan, actors=(*plan.actors[:n], rest, *plan.actors[n + 1 :]))
    for n, job in enumerate(plan.jobs):
        for k in range(len(job.scripts)):
            for i in range(len(job.scripts[k]) - 1):
                script = (*job.scripts[k][:i], *job.scripts[k][i + 1 :])
                scripts = (*job.scripts[:k], script, *job.scripts[k + 1 :])
                yield replace(
                    plan, jobs=(*plan.jobs[:n], replace(job, scripts=scripts), *plan.jobs[n + 1 :])
                )


class Listener:
    """Hears of every transition, on behalf of a world."""

    def __init__(self, world: World) -> None:
        self.transitioned = world.transitioned

    def listens(self, to: str) -> bool:
        """Return whether this is to be told."""
        return to == "transitioned"
