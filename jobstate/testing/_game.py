"""What schedules are drawn for, and how one is played."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from .._job import Job
from .._lifecycle import Lifecycle
from .._observers import add_observer, remove_observer
from .._status import RevokeCause
from ._actors import Actor, act
from ._chart import chart_of
from ._schedule import Backend, Deadlock, run_until_stuck
from ._watch import Journal, Listening, Watch
from ._world import Step, World, alone

Arguments = Callable[[random.Random], tuple[tuple[Any, ...], dict[str, Any]]]
"""Draws what a trigger is called with: its positional and its keyword arguments."""

Plan = tuple[Actor, ...]

JOB_ARGUMENTS: dict[str, Arguments] = {
    "succeed": lambda draw: ((draw.randrange(100),), {}),
    "fail": lambda draw: ((f"failure {draw.randrange(100)}",), {}),
    "retry": lambda draw: ((f"failure {draw.randrange(100)}",), {}),
    "revoke": lambda draw: ((), {"cause": draw.choice(tuple(RevokeCause))}),
}

_WEIGHTS = {
    "trigger": 10,
    "trigger_nowait": 2,
    "report": 2,
    "completed": 2,
    "reached": 2,
    "changes": 3,
    "all_completed": 1,
    "first_completed": 1,
    "as_completed": 1,
    "pause": 2,
}
"""How often actors do what."""


class Game:
    """A lifecycle, the jobs that follow it, and all that is made once for every schedule."""

    def __init__(
        self,
        lifecycle: Lifecycle[Any],
        job_type: Callable[..., Job[Any, Any]],
        arguments: Mapping[str, Arguments],
        jobs: int,
        backend: Backend,
    ) -> None:
        self.lifecycle, self.chart = lifecycle, chart_of(lifecycle)
        self.backend: Backend = backend
        self._job_type, self._arguments, self._jobs = job_type, arguments, jobs
        self._watch = Watch(lifecycle, self._any)

    # --- drawing ---

    def drawn(self, draw: random.Random, actors: int) -> Plan:
        """Return a plan."""
        return tuple(
            Actor(
                tuple(self._step(draw) for _ in range(draw.randint(1, 5))),
                draw.choice((None, None, draw.randint(0, 12))),
                draw.random() < 0.5,
            )
            for _ in range(draw.randint(min(2, actors), actors))
        )

    def _step(self, draw: random.Random) -> Step:
        job = draw.randrange(self._jobs)
        (kind,) = draw.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))
        if kind.startswith("trigger"):
            return self.asked(draw.choice(self.chart.triggers), draw, job, kind)
        what: Any = None
        if kind == "reached":
            what = tuple(draw.sample(self.chart.statuses, draw.choice((1, 1, 2))))
        elif kind == "report":
            what = draw.randrange(101)
        elif kind.endswith("_completed"):
            what = tuple(draw.sample(range(self._jobs), draw.randint(1, self._jobs)))
        return Step(
            kind,
            job,
            what,
            after=draw.choice((0, 0, 1, 2)),
            patience=draw.choice((None, draw.randrange(4))),
            natively=draw.random() < 0.5,
        )

    def asked(self, trigger: str, draw: random.Random, job: int, kind: str = "trigger") -> Step:
        """Return the step that asks a job for a trigger, with arguments that are drawn."""
        drawn = self._arguments.get(trigger)
        args, kwargs = ((), {}) if drawn is None else drawn(draw)
        return Step(kind, job, trigger, args, kwargs)

    def _any(self, draw: random.Random, job: int) -> Step:
        return self.asked(draw.choice(self.chart.triggers), draw, job)

    # --- playing ---

    def played(self, seed: int, plan: Plan) -> World:
        """Return what happened when the plan was played in the order that *seed* stands for.

        Of four schedules one is left undisturbed, and one has journals.
        """
        world = World(self.chart, self.backend, random.Random(seed), watched=seed % 4 != 0)

        async def play() -> None:
            self._watch.world = world
            for number in range(self._jobs):
                self._add_job(world, number, journals=seed % 4 == 1)
            for number, actor in enumerate(plan):
                world.tasks.start_soon(act, world, f"actor {number}", actor)
            world.tasks.start_soon(self._finish, world)

        return self._run(world, play, seed)

    def walked(self, number: int, walk: Callable[[World], Awaitable[None]]) -> World:
        """Return what happened when one task went its way with one job, undisturbed."""
        world = World(self.chart, self.backend, random.Random(number), watched=False)

        async def play() -> None:
            self._add_job(world, number)
            await walk(world)

        return self._run(world, play, number)

    def retraced(self, number: int, plan: Plan) -> World:
        """Return what happened when a path was walked again, or what is left of it."""

        async def walk(world: World) -> None:
            for actor in plan:
                await act(world, f"path {number}", actor)

        return self.walked(number, walk)

    def _run(self, world: World, play: Callable[[], Awaitable[None]], seed: int) -> World:
        async def main() -> None:
            async with anyio.create_task_group() as world.tasks:
                await play()

        listening = Listening(world)
        if world.watched:
            add_observer(listening)
        try:
            run_until_stuck(main, seed, self.backend, world.stuck)
        except Deadlock:
            pass  # the world has heard of it
        except ExceptionGroup as group:
            raise alone(group) from group  # of the caller's own functions
        finally:
            if world.watched:
                remove_observer(listening)
        return world

    def _add_job(self, world: World, number: int, *, journals: bool = False) -> None:
        options: dict[str, Any] = {
            "lifecycle": self._watch.lifecycle if world.watched else self.lifecycle,
            "clock": world.now,
        }
        if journals:
            options["journal"] = Journal(world, number)
        world.jobs.append(self._job_type(f"job{number}", **options))

    async def _finish(self, world: World) -> None:
        """Once the actors have had their time, end every job, so that its waits can end."""
        for _ in range(60):
            await checkpoint()
        for number, job in enumerate(world.jobs):
            for _ in range(100):
                if job.outcome is not None:
                    break
                trigger = world.dice.choice(self.chart.ways[job.status]).trigger
                await world.trigger("the end", self.asked(trigger, world.dice, number))
            else:
                job.abandon("no way to its end was found")
