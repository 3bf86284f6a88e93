"""One schedule of a runner, played: its record, the work of its jobs, and where that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from jobstate import (
    HookFailed,
    Job,
    JobRunner,
    JobStateError,
    Retry,
    RunnerClosed,
    StopRequested,
    current_job,
)
from jobstate.executors.tasks import Tasks
from jobstate.testing._schedule import Deadlock

from .lifecycles import Stage, lifecycle_of
from .plans import JobPlan, Plan

LONG = 150
"""Virtual seconds that work takes which listens to nobody."""


outsider: ContextVar[Any] = ContextVar("outsider", default=None)
"""The job and the trigger that the running code calls, where it is not the runner."""


@dataclass
class Run:
    """One attempt at some work, as the work saw it."""

    number: int
    attempt: int
    began: float
    began_at: int
    """The number of its beginning among all that happened."""

    overlaps: bool = False
    ended: float | None = None
    ended_at: int | None = None
    result: Any = None


@dataclass
class Moved:
    """A transition, and when it was heard of."""

    number: int
    transition: Any
    when: float
    at: int


@dataclass
class Asked:
    """A request to cancel, and what came of it."""

    number: int
    began: float
    answer: Any
    ended: float
    at: int
    status: Any
    attempt: int
    running: list[Run]


@dataclass
class World:
    """All that happens in one schedule."""

    plan: Plan
    seed: int
    backend: str
    jobs: dict[int, Job[Any, Any]] = field(default_factory=dict)
    plans: dict[int, JobPlan] = field(default_factory=dict)
    submitted: dict[int, float] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    moves: list[Moved] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    stops: dict[tuple[int, int], tuple[float, int]] = field(default_factory=dict)
    """For each attempt when it was first asked to stop."""

    outside: set[tuple[int, int]] = field(default_factory=set)
    """Transitions, by job and version, that the runner has not made."""

    made: list[Any] = field(default_factory=list)
    """The tasks of asyncio, in the order in which they were made."""

    trace: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    hook_time: float = 0
    roughness: int = 0
    """How often hooks refused or raised before a commit."""

    closing: float | None = None
    hurried: bool = False
    leaving: bool = False
    left: float | None = None
    over: bool = False

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)
        self._ticks = count()
        self._children = count(100)
        self.puppets = {
            name: Puppets(self, name, self.plan.executor_limit)
            for name in ("listens", "slow", "deaf", "process")
        }

    # --- the record ---

    def now(self) -> float:
        """Return virtual seconds."""
        return anyio.current_time() - self._start

    def tick(self) -> int:
        """Return a number for what happens now."""
        return next(self._ticks)

    def tell(self, line: str) -> None:
        """Add to the trace."""
        if not self.over:
            self.trace.append(f"{self.now():7.2f}  {line}")

    def wrong(self, problem: str) -> None:
        """Note a promise that was broken."""
        if not self.over:
            self.problems.append(problem)
            self.tell(f"WRONG: {problem}")

    def stuck(self) -> None:
        """Hear that nobody can go on."""
        stand = ", ".join(f"{job.id} {job.status}" for job in self.jobs.values())
        self.problems.append(f"{Deadlock()}: {stand}")
        self.over = True

    def chance(self, what: str, event: Any) -> str | None:
        """Return whether a hook is to misbehave now."""
        if self.plan.hooks != "rough" or self.over or self.dice.random() > 0.06:
            return None
        self.roughness += what != "raises after"
        self.tell(f"a hook on {event.trigger} of {event.job.id} {what}")
        return what

    def running(self, number: int | None = None) -> list[Run]:
        """Return what runs now, of one job or of all."""
        return [run for run in self.runs if run.ended_at is None and number in (None, run.number)]

    def transitioned(self, job: Job[Any, Any], transition: Any, seconds: float) -> None:
        """Hear of a commit, as an observer."""
        if not self.over:
            number = int(job.id[1:])
            self.tell(f"{job.id} {transition.trigger}: {transition.source} > {transition.dest}")
            if outsider.get() == (number, transition.trigger):
                self.outside.add((number, transition.version))
            self.moves.append(Moved(number, transition, self.now(), self.tick()))

    # --- submitting ---

    async def submit(self, plan: JobPlan, number: int | None = None) -> None:
        """Submit a job; a runner that is closing takes none."""
        number = next(self._children) if number is None else number
        retry = plan.retry and Retry(
            attempts=plan.retry[0], first_delay=plan.retry[1], jitter=0, factor=2
        )
        after = [self.jobs[n] for n in plan.after if n in self.jobs]
        after_end = [self.jobs[n] for n in plan.after_end if n in self.jobs]
        try:
            job = await self.runner.submit(
                partial(self.work, number, plan) if plan.executor == "tasks" else self.work,
                *(() if plan.executor == "tasks" else (number, plan)),
                id=f"j{number}",
                priority=plan.priority,
                resources=dict(plan.resources),
                timeout=plan.timeout,
                attempt_timeout=plan.attempt_timeout,
                retry=retry,
                after=after,
                after_end=after_end,
                executor=self.puppets.get(plan.executor),
            )
        except RunnerClosed:
            if self.closing is None and not self.leaving:
                self.wrong(f"j{number} was not taken, though nobody has closed the runner")
            return
        self.tell(f"j{number} is submitted: {plan}")
        self.jobs[number], self.plans[number] = job, plan
        self.submitted[number] = self.now()

    # --- the work ---

    async def work(self, number: int, plan: JobPlan) -> Any:
        """Do the work of a job once."""
        attempt = current_job().attempt
        script = plan.scripts[min(attempt, len(plan.scripts)) - 1]
        run = Run(number, attempt, self.now(), self.tick())
        self.tell(f"j{number}.{attempt} begins")
        self.check_begin(run, plan)
        self.runs.append(run)
        try:
            run.result = await self._play(script, number, plan, f"j{number}.{attempt}")
            return run.result
        finally:
            run.ended, run.ended_at = self.now(), self.tick()
            self.tell(f"j{number}.{attempt} is over")

    async def _play(self, script: Any, number: int, plan: JobPlan, token: str) -> Any:
        for kind, *facts in script:
            if kind == "sleep":
                await anyio.sleep(facts[0])
            elif kind == "pause":
                await checkpoint()
            elif kind == "report":
                current_job().report(facts[0])
            elif kind == "check" and plan.executor != "deaf":
                current_job().check()
            elif kind == "shield":
                with anyio.CancelScope(shield=plan.executor != "process"):
                    await anyio.sleep(facts[0])
            elif kind == "linger":
                try:
                    await anyio.sleep(4)
                finally:
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(1)
                return token
            elif kind == "submit":
                if len(self.jobs) < 14:
                    await self.submit(JobPlan(0, (script[-1:],), priority=facts[0] % 2))
            elif kind in ("cancel", "cancel own"):
                await self.cancel(number if kind == "cancel own" else facts[0], token)
            elif kind == "move":
                await self.trigger(facts[0], facts[1], token)
            elif kind == "return":
                return token
            elif kind == "raise":
                raise ValueError(token)
            elif kind == "forever":
                await (anyio.sleep(LONG) if plan.executor == "deaf" else anyio.sleep_forever())
                return token
            elif kind == "stop":
                raise StopRequested(f"j{number}", "on its own")
            elif kind == "unready":
                return (nothing for nothing in ())
            elif kind == "cancelled":
                if self.backend == "asyncio":
                    raise asyncio.CancelledError
                raise ValueError(token)
        raise AssertionError(script)

    def check_begin(self, run: Run, plan: JobPlan) -> None:
        """Check that this work may begin now."""
        job, others = self.jobs[run.number], self.running()
        name = f"j{run.number}.{run.attempt}"
        if job.attempt != run.attempt and plan.executor == "tasks":
            self.wrong(f"{name} begins, but {job!r} is at attempt {job.attempt}")
        if plan.executor == "tasks" and job.status not in ("STARTED", "PAUSED"):
            self.wrong(f"{name} begins, but {job!r}")
        if self.left is not None or self.closing is not None:
            self.wrong(f"{name} begins after the runner was closed")
        for other in others:
            if other.number == run.number and not self.was_left(other):
                self.wrong(f"{name} begins while attempt {other.attempt} runs")
        for needed in plan.after:
            if needed in self.jobs and self.jobs[needed].status != "SUCCESS":
                self.wrong(f"{name} begins, but {self.jobs[needed]!r}")
        for needed in plan.after_end:
            if needed in self.jobs and self.jobs[needed].outcome is None:
                self.wrong(f"{name} begins, but {self.jobs[needed]!r}")
        limit = self.plan.limit
        if limit is not None and len(others) >= limit:
            self.wrong(f"{name} begins, the {len(others) + 1}th of {limit}")
        if plan.executor != "tasks" and self.plan.executor_limit is not None:
            beside = [r for r in others if self.plans[r.number].executor == plan.executor]
            if len(beside) >= self.plan.executor_limit:
                self.wrong(f"{name} begins, the {len(beside) + 1}th in its executor")
        for resource, units in self.plan.resources:
            taken = [dict(self.plans[r.number].resources).get(resource, 0) for r in others]
            if sum(taken) + dict(plan.resources).get(resource, 0) > units:
                self.wrong(f"{name} begins, but of {resource} there are {units}, taken {taken}")

    def was_left(self, run: Run) -> bool:
        """Whether this attempt was asked to stop, and has had its time of grace."""
        when, _ = self.stops.get((run.number, run.attempt), (None, 0))
        return when is not None and (self.hurried or when + self.plan.grace <= self.now() + 1e-6)

    def asked_to_stop(self, number: int, attempt: int) -> None:
        """Hear that an attempt is to stop."""
        self.tell(f"j{number}.{attempt} is asked to stop")
        self.stops.setdefault((number, attempt), (self.now(), self.tick()))

    # --- what is done to jobs from outside ---

    async def cancel(self, number: int, who: str) -> None:
        """Ask for a job to be cancelled, and check the answer."""
        job = self.jobs.get(number)
        if job is None:
            return
        self.tell(f"{who} cancels j{number}")
        began = self.now()
        try:
            answer = await job.cancel(f"by {who}")
        except JobStateError as error:
            self.tell(f"{who} cannot cancel j{number}: {error!r}")
            return
        except ValueError as error:
            if self.plan.hooks != "rough":
                self.wrong(f"{who} gets {error!r}")
            return
        self.tell(f"{who} hears of j{number}: {answer}")
        standing = self.tick(), job.status, job.attempt, self.running(number)
        self.asked.append(Asked(number, began, answer, self.now(), *standing))

    async def trigger(self, number: int, trigger: str, who: str, **more: Any) -> bool:
        """Move a job from outside; return whether it did."""
        job = self.jobs.get(number)
        if job is None:
            return False
        self.tell(f"{who} asks j{number} to {trigger} {more or ''}")
        args = ("from outside",) if trigger == "fail" else ()
        token = outsider.set((number, trigger))
        try:
            await job.trigger(trigger, *args, **more)
        except HookFailed:
            pass
        except (JobStateError, ValueError) as error:
            self.tell(f"{who} cannot {trigger} j{number}: {error!r}")
            return False
        finally:
            outsider.reset(token)
        return True

    # --- playing ---

    def _made(self, create_task: Any, work: Any, **options: Any) -> Any:
        task = create_task(work, **options)
        self.made.append(task)
        return task

    def closes(self, reason: str) -> None:
        """Hear that the runner starts nothing any more."""
        if self.closing is None:
            self.closing = self.now()
            self.tell(f"closing: {reason}")
        self.close(reason)

    async def main(self, actors: Callable[[World], Any]) -> None:
        """Play the plan."""
        Stage.world = self
        self._start = anyio.current_time()
        plan = self.plan
        if self.backend == "asyncio":
            loop: Any = asyncio.get_running_loop()
            loop.create_task = partial(self._made, loop.create_task)
        async with anyio.create_task_group() as self.tasks:
            self.runner = JobRunner(
                limit=plan.limit,
                resources=dict(plan.resources),
                lifecycle=lifecycle_of(plan.lifecycle, plan.hooks),
                grace=plan.grace,
                random=Random(self.seed),
            )
            self.runner._places.tasks = Watched(self)
            self.close, self.runner._dispatch.close = self.runner._dispatch.close, self.closes
            await actors(self)
            for job in self.jobs.values():
                if job.outcome is None and job._abandoned is None:
                    self.wrong(f"{job!r} has not ended though the block was left")
            self.tasks.cancel_scope.cancel()
        if self.backend == "asyncio":
            for unheard in getattr(asyncio.get_running_loop(), "unheard", ()):
                self.wrong(f"nobody heard of {unheard}")


class Watched(Tasks):
    """Tasks, of which the world knows when they are asked to stop."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self, function: Any, args: tuple[Any, ...], attempt: Any) -> Any:
        number = int(attempt.id[1:])
        attempt.when_stopped(partial(self._world.asked_to_stop, number, attempt.attempt))
        return await super().run(function, args, attempt)


class Puppets:
    """Runs work as threads and processes would, in tasks of its own."""

    def __init__(self, world: World, kind: str, limit: int | None) -> None:
        self._world, self._kind, self.limit = world, kind, limit

    def check(self, function: Any, args: tuple[Any, ...]) -> None:
        """Return: it runs everything."""

    async def run(self, function: Any, args: tuple[Any, ...], attempt: Any) -> Any:
        """Have the work done beside the caller; only waiting for it is the caller's."""
        attempt.check()
        world, number = self._world, args[0]
        scope, over = anyio.CancelScope(), anyio.Event()
        answers: list[Any] = []
        wanted, returned = True, False

        async def thread() -> None:
            if not wanted or attempt.stop_requested:
                over.set()
                return
            try:
                with scope:
                    answers.append((await function(*args), None))
            except (Exception, StopRequested) as error:
                answers.append((None, error))
            except BaseException:
                if scope.cancel_called:
                    raise
                answers.append((None, RuntimeError("cancelled")))
            finally:
                over.set()

        def ask() -> None:
            world.asked_to_stop(number, attempt.attempt)
            if self._kind == "listens":
                scope.cancel()
            elif self._kind == "slow":
                scope.deadline = anyio.current_time() + 1

        def force() -> None:
            if returned:
                world.wrong(f"j{number}.{attempt.attempt} is forced to stop, but is over")
            scope.cancel()

        attempt.when_stopped(ask, force if self._kind == "process" else None)
        world.tasks.start_soon(thread)
        try:
            await over.wait()
        except anyio.get_cancelled_exc_class():
            wanted = False
            world.asked_to_stop(number, attempt.attempt)
            if self._kind == "process":
                scope.cancel()
            else:
                attempt.ask_to_stop("nobody waits for it any more")
            raise
        returned = True
        if not answers:
            raise StopRequested(attempt.id, attempt.stop_reason)
        result, error = answers[0]
        if error is not None:
            raise error
        return result

    async def aclose(self) -> None:
        """Return at once."""
