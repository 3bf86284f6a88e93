"""One schedule: the jobs, the actors who use them, and a record of all that they were told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from .._errors import HookFailed, JobStateError, ReentrantTrigger, Refused, Unreachable, WouldBlock
from .._job import Job
from .._lifecycle import Lifecycle
from .._records import Progress, Transition
from .._status import RevokeCause
from .._table import TransitionEvent
from ._schedule import Backend, Deadlock, run_seeded

Arguments = Callable[[random.Random], tuple[tuple[Any, ...], dict[str, Any]]]
"""Draws what a trigger is called with: its positional and its keyword arguments."""

JOB_ARGUMENTS: dict[str, Arguments] = {
    "succeed": lambda draw: ((draw.randrange(100),), {}),
    "fail": lambda draw: ((f"failure {draw.randrange(100)}",), {}),
    "retry": lambda draw: ((f"failure {draw.randrange(100)}",), {}),
    "revoke": lambda draw: ((), {"cause": draw.choice(tuple(RevokeCause))}),
}


def _no_arguments(draw: random.Random) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (), {}


@dataclass(frozen=True)
class Step:
    """One thing that an actor does."""

    kind: str
    """trigger, trigger_nowait, report, completed, reached, changes or pause."""

    job: int
    what: Any = None
    """The trigger, the percentage or the statuses."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    after: int = 0


@dataclass(frozen=True)
class Actor:
    """A task that takes some steps, and may be cancelled meanwhile."""

    steps: tuple[Step, ...]
    cancelled_after: int | None = None
    """How often others may run before it is cancelled."""

    natively: bool = False
    """Cancelled by the task's own ``cancel()``, where the loop is asyncio's."""


@dataclass
class Call:
    """One trigger, and what its caller was told."""

    job: int
    trigger: str
    number: int
    answer: str = "none"
    transition: Transition[Any] | None = None


_call: ContextVar[Call | None] = ContextVar("call", default=None)
_left: ContextVar[Transition[Any] | int | None] = ContextVar("left", default=None)


@dataclass
class World:
    """All that happens in one schedule."""

    backend: Backend
    dice: random.Random
    watched: bool
    jobs: list[Job[Any, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    commits: list[tuple[Transition[Any], Call | None]] = field(default_factory=list)
    """Each transition whose last hook ran, and the call in whose context it did."""

    taken: dict[int, list[int]] = field(default_factory=dict)
    """For each job the numbers of the calls that had their turn, in that order."""

    in_hooks: set[int] = field(default_factory=set)
    """The jobs in one of whose hooks somebody is now."""

    trace: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    cancellations: int = 0

    async def pause(self, at_most: int = 2) -> None:
        """Let others run, at random."""
        for _ in range(self.dice.choice((0, 0, *range(1, at_most + 1)))):
            await checkpoint()

    @contextmanager
    def hook_of(self, job: Job[Any, Any]) -> Iterator[None]:
        """Be inside a hook, where nobody else may be."""
        number = self.jobs.index(job)
        if number in self.in_hooks:
            self.problems.append(f"two hooks of {job.id} ran at the same time")
        self.in_hooks.add(number)
        try:
            yield
        finally:
            self.in_hooks.discard(number)

    # --- actors ---

    async def act(self, number: int, actor: Actor) -> None:
        """Take an actor's steps, and have it cancelled where it says so."""
        name = f"actor {number}"
        if actor.cancelled_after is None:
            await self._take_all(name, actor)
        elif actor.natively and self.backend == "asyncio":
            task = asyncio.create_task(self._take_all(name, actor))
            await self._cancel(name, actor.cancelled_after, task.cancel)
            await asyncio.wait([task])
            if task.cancelling() and not task.cancelled():
                self.problems.append(f"{name} swallowed its cancellation")
        else:
            async with anyio.create_task_group() as tasks:
                cancel = tasks.cancel_scope.cancel
                tasks.start_soon(self._cancel, name, actor.cancelled_after, cancel)
                await self._take_all(name, actor)
                if tasks.cancel_scope.cancel_called:
                    await anyio.sleep_forever()  # hangs, should the cancellation be lost

    async def _take_all(self, name: str, actor: Actor) -> None:
        for step in actor.steps:
            await self._take(name, step)

    async def _cancel(self, name: str, after: int, cancel: Callable[[], object]) -> None:
        for _ in range(after):
            await checkpoint()
        self.cancellations += 1
        self.trace.append(f"{name} is cancelled")
        cancel()

    async def _take(self, name: str, step: Step) -> None:
        job = self.jobs[step.job]
        if step.kind == "pause":
            await checkpoint()
        elif step.kind == "report":
            self._report(name, job, step)
        elif step.kind == "completed":
            await self._complete(name, job)
        elif step.kind == "reached":
            await self._reach(name, job, step)
        elif step.kind == "changes":
            await self._follow(name, job, step.after)
        else:
            await self.trigger(name, job, step)

    async def trigger(self, name: str, job: Job[Any, Any], step: Step) -> None:
        """Trigger a job, and note the answer."""
        call = Call(step.job, step.what, len(self.calls))
        self.calls.append(call)
        self.trace.append(f"{name} asks {job.id} ({job.status}) to {step.what}")
        token = _call.set(call)
        try:
            if step.kind == "trigger_nowait":
                call.transition = job.trigger_nowait(step.what, *step.args, **step.kwargs)
            else:
                call.transition = await job.trigger(step.what, *step.args, **step.kwargs)
            call.answer = "committed"
        except HookFailed as error:
            call.answer, call.transition = "committed", error.transition
        except (Refused, WouldBlock) as error:
            call.answer = "refused"
            self._check_refusal(job, error)
        except ReentrantTrigger as error:
            call.answer = "raised"
            self.problems.append(f"{name} is in no hook, but was told: {error}")
        except Exception as error:
            call.answer = "raised"
            self.trace.append(f"{name} gets {error!r}")
        except BaseException:
            call.answer = "cancelled"
            raise
        finally:
            _call.reset(token)
            self.trace.append(f"{name}: {step.what} of {job.id} {call.answer}")

    def _check_refusal(self, job: Job[Any, Any], error: Refused | WouldBlock) -> None:
        status = getattr(error, "status", None)
        asked = (status, getattr(error, "trigger", None))
        ways = [edge for edge in job.lifecycle.edges if (edge.source, edge.trigger) == asked]
        if any(not edge.guards for edge in ways):
            self.problems.append(f"refused, though there is a way without a guard: {error}")

    def _report(self, name: str, job: Job[Any, Any], step: Step) -> None:
        running = job.status in job.lifecycle.running
        try:
            job.report(step.what)
        except JobStateError:
            taken = False
        else:
            taken = True
            self.trace.append(f"{name} reports {step.what} of {job.id}")
        if taken is not running:
            self.problems.append(f"{name}'s report on {job.id}, {job.status}, taken: {taken}")

    async def _complete(self, name: str, job: Job[Any, Any]) -> None:
        outcome = await job.completed()
        self.trace.append(f"{name} hears that {job.id} ended {outcome.status}")
        if outcome != job.outcome or outcome.status != job.history[-1].dest:
            self.problems.append(f"{name} was told {outcome}, but {job.id} is {job.status}")

    async def _reach(self, name: str, job: Job[Any, Any], step: Step) -> None:
        try:
            found = await job.reached(*step.what, after=step.after)
        except Unreachable:
            found = None
            self.trace.append(f"{name} hears that {job.id} ({job.status}) cannot get there")
            if _ahead(job).intersection(step.what):
                self.problems.append(f"{job.id} is {job.status}, and can still be {step.what}")
        fits = (t for t in job.history[step.after :] if t.dest in step.what and not t.internal)
        first = next(fits, None)
        if found is not first:
            self.problems.append(f"{name} was told that {found} reached {step.what}, not {first}")

    async def _follow(self, name: str, job: Job[Any, Any], after: int) -> None:
        seen: list[int] = []
        async with job.changes(after) as changes:
            async for change in changes:
                if not isinstance(change, Progress):
                    seen.append(change.version)
                elif change.version < max(after, *seen, 0):
                    self.problems.append(f"{name} got progress of {change.version} after {seen}")
        self.trace.append(f"{name} followed {job.id}: {seen}")
        if seen != list(range(after + 1, job.version + 1)):
            self.problems.append(f"{name} saw {seen} of {job.version} versions after {after}")


def _ahead(job: Job[Any, Any]) -> set[Any]:
    """Return every status that can still be entered, by walking the edges."""
    steps = [(edge.source, edge.dest) for edge in job.lifecycle.edges if not edge.internal]
    found: set[Any] = set()
    fresh = {job.status}
    while fresh:
        fresh = {dest for source, dest in steps if source in fresh} - found
        found |= fresh
    return found


def _first(error: BaseException) -> BaseException:
    """Return the first exception inside of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass(frozen=True)
class Game:
    """What schedules are drawn for, and how one is played."""

    lifecycle: Lifecycle[Any]
    job_type: type[Job[Any, Any]]
    arguments: Mapping[str, Arguments]
    jobs: int
    backend: Backend

    def drawn(self, draw: random.Random, actors: int) -> tuple[Actor, ...]:
        """Return a plan."""
        return tuple(
            Actor(
                tuple(self._step(draw) for _ in range(draw.randint(1, 5))),
                draw.choice((None, None, draw.randint(0, 12))),
                draw.random() < 0.5,
            )
            for _ in range(draw.randint(2, actors))
        )

    def _step(self, draw: random.Random) -> Step:
        job = draw.randrange(self.jobs)
        kinds = ("trigger", "trigger_nowait", "report", "completed", "reached", "changes", "pause")
        kind = draw.choices(kinds, (10, 2, 2, 2, 2, 2, 2))[0]
        after = draw.choice((0, 0, 1, 2))
        if kind == "reached":
            wanted = draw.sample(self.lifecycle.statuses, draw.choice((1, 1, 2)))
            return Step(kind, job, tuple(wanted), after=after)
        if kind == "report":
            return Step(kind, job, draw.randrange(101))
        if kind.startswith("trigger"):
            trigger = draw.choice(self.lifecycle.triggers)
            return Step(kind, job, trigger, *self._arguments(trigger, draw))
        return Step(kind, job, after=after)

    def _arguments(
        self, trigger: str, draw: random.Random
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return self.arguments.get(trigger, _no_arguments)(draw)

    def played(self, plan: tuple[Actor, ...], seed: int) -> World:
        """Return what happened when the plan was played in the order that *seed* stands for."""
        world = World(self.backend, random.Random(seed), watched=seed % 4 != 0)

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                followed = self.lifecycle
                if world.watched:
                    followed = self._watched(world, tasks)
                for number in range(self.jobs):
                    world.jobs.append(self.job_type(f"job{number}", lifecycle=followed))
                for number, actor in enumerate(plan):
                    tasks.start_soon(world.act, number, actor)
                tasks.start_soon(self._finish, world)

        try:
            run_seeded(main, seed=seed, backend=self.backend)
        except Deadlock as error:
            world.problems.append(str(error))
        except Exception as error:
            world.problems.append(f"a wait or a report raised {_first(error)!r}")
        return world

    async def _finish(self, world: World) -> None:
        """Once the actors have had their time, end every job, so that its waits can end."""
        for _ in range(60):
            await checkpoint()
        for number, job in enumerate(world.jobs):
            for _ in range(100):
                if job.outcome is not None:
                    break
                ways = [edge for edge in self.lifecycle.edges if edge.source == job.status]
                trigger = world.dice.choice(ways).trigger
                drawn = self._arguments(trigger, world.dice)
                await world.trigger("the end", job, Step("trigger", number, trigger, *drawn))
            else:
                job.abandon("no way to its end was found")

    def _watched(self, world: World, tasks: TaskGroup) -> Lifecycle[Any]:
        """Return the lifecycle with hooks that note what happens, pause, and spawn tasks."""
        watched = self.lifecycle.derive(self.lifecycle.name)

        @watched.prepare("*")
        async def prepare(event: TransitionEvent[Any]) -> None:
            call = _call.get()
            order = world.taken.setdefault(world.jobs.index(event.job), [])
            if call is not None and call.number not in order[-1:]:
                order.append(call.number)
            await world.pause()

        @watched.before("*")
        async def before(event: TransitionEvent[Any]) -> None:
            with world.hook_of(event.job):
                _left.set(event.job.version)
                await world.pause()

        for status in watched.statuses:

            @watched.on_enter(status)
            async def enter(event: TransitionEvent[Any]) -> None:
                with world.hook_of(event.job):
                    if _left.get() != event.job.version - 1:
                        world.problems.append("what a hook set was not visible in a later one")
                    if world.dice.random() < 0.1:
                        number = world.jobs.index(event.job)
                        trigger = world.dice.choice(self.lifecycle.triggers)
                        step = Step(
                            "trigger", number, trigger, *self._arguments(trigger, world.dice)
                        )
                        tasks.start_soon(world.trigger, "a task of a hook", event.job, step)
                    await world.pause()

        @watched.after("*")
        async def after(event: TransitionEvent[Any]) -> None:
            with world.hook_of(event.job):
                await world.pause()
                assert event.transition is not None
                if event.job.history[-1] is not event.transition:
                    world.problems.append(f"{event.transition} was not over when the next came")
                world.commits.append((event.transition, _call.get()))

        return watched
