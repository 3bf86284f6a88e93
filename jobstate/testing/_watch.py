"""Hooks, a journal and an observer around a lifecycle, which note what happens and disturb it."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .._job import Job
from .._lifecycle import Lifecycle
from .._records import Transition
from .._stored import Entry
from .._table import TransitionEvent
from ..abc import Observer
from ._world import NotKept, Step, World, calling

_left: ContextVar[int | None] = ContextVar("left", default=None)
"""The version that a job had when its hooks before the commit ran."""


class Journal:
    """Keeps the transitions of one job, and refuses some."""

    def __init__(self, world: World, number: int) -> None:
        self._world, self._number = world, number
        self._kept = world.kept.setdefault(number, [])

    async def append(self, entry: Entry) -> None:
        """Write, which takes time; fail one time in ten."""
        transition = entry.transition
        world, job = self._world, self._world.jobs[self._number]
        await world.pause()
        if job.version >= transition.version:
            world.wrong(f"{transition} was committed before it was written")
        if world.dice.random() < 0.1:
            raise NotKept(f"{transition.trigger} of {job.id} cannot be written")
        self._kept.append(transition)


class Listening(Observer):
    """Hears of the commits of one schedule."""

    def __init__(self, world: World) -> None:
        self._world = world

    def transitioned(self, job: Job[Any, Any], transition: Transition[Any], seconds: float) -> None:
        """Note it, where it is one of the schedule's own jobs."""
        if any(job is mine for mine in self._world.jobs):
            self._world.heard.append(transition)


class Watch:
    """A lifecycle with hooks around its own, made once for all schedules."""

    world: World
    """The schedule that is being played."""

    def __init__(
        self, lifecycle: Lifecycle[Any], ask: Callable[[random.Random, int], Step]
    ) -> None:
        self._ask = ask
        self.lifecycle = watched = lifecycle.derive(lifecycle.name)
        watched.prepare("*")(self._prepare)
        watched.before("*")(self._before)
        watched.on_enter("*")(self._enter)
        watched.after("*")(self._after)

    async def _prepare(self, event: TransitionEvent[Any]) -> None:
        world, call = self.world, calling.get()
        order = world.taken.setdefault(world.jobs.index(event.job), [])
        if call is not None and call.number not in order[-1:]:
            order.append(call.number)
        await world.pause()

    async def _before(self, event: TransitionEvent[Any]) -> None:
        with self.world.hook_of(event.job):
            _left.set(event.job.version)
            await self.world.pause()

    async def _enter(self, event: TransitionEvent[Any]) -> None:
        world, job = self.world, event.job
        with world.hook_of(job):
            if _left.get() != job.version - 1:
                world.wrong("what a hook set was not visible in a later one")
            if world.dice.random() < 0.1:
                step = self._ask(world.dice, world.jobs.index(job))
                world.tasks.start_soon(world.trigger, "a task of a hook", step)
            if world.dice.random() < 0.1:
                self._defer(job)
            await world.pause()

    def _defer(self, job: Job[Any, Any]) -> None:
        world, call = self.world, calling.get()
        step = self._ask(world.dice, world.jobs.index(job))
        job.defer(step.what, *step.args, **step.kwargs)
        world.tell(f"a hook of {job.id} ({job.status}) defers {step.what}")
        if call is not None:
            call.deferred += 1

    async def _after(self, event: TransitionEvent[Any]) -> None:
        world, step = self.world, event.transition
        assert step is not None
        with world.hook_of(event.job):
            await world.pause()
            if event.job.history[-1] is not step:
                world.wrong(f"{step} was not over when the next came")
            world.commits.append((step, calling.get()))
