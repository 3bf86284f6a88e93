"""The record of one schedule: its jobs, who asked what of them, and what everybody was told."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from .._errors import HookFailed, ReentrantTrigger, Refused, TransitionRefused, WouldBlock
from .._job import Job
from .._records import Transition
from ._chart import Chart
from ._schedule import Backend, Deadlock


@dataclass(frozen=True)
class Step:
    """One thing that an actor does."""

    kind: str
    """One of `KINDS`."""

    job: int = 0
    what: Any = None
    """The trigger, the percentage, the statuses, the jobs or the steps that it is about."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    after: int = 0
    """The version after which something is waited for."""

    patience: int | None = None
    """How often others may run before a wait is given up, to be taken up again."""

    natively: bool = False
    """Given up by a task's own ``cancel()``, where the loop is asyncio's."""


@dataclass
class Call:
    """One trigger, and what its caller was told."""

    job: int
    trigger: str
    number: int
    answer: str = "none"
    """none, committed, refused, raised or cancelled."""

    transition: Transition[Any] | None = None
    deferred: int = 0
    """How many triggers hooks deferred to after its transition."""

    failed: bool = False
    """Its caller was told that something failed after the commit."""


class NotKept(Exception):
    """The journal could not write, as it now and then does."""


calling: ContextVar[Call | None] = ContextVar("calling", default=None)
"""The call that the running code is part of."""


@dataclass
class World:
    """All that happens in one schedule."""

    chart: Chart
    backend: Backend
    dice: random.Random
    watched: bool
    tasks: TaskGroup = field(init=False)
    """Where tasks are started that nothing cancels."""

    jobs: list[Job[Any, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    heard: list[Transition[Any]] = field(default_factory=list)
    """What an observer was told of, where the schedule is watched."""

    commits: list[tuple[Transition[Any], Call | None]] = field(default_factory=list)
    """Each transition whose last hook ran, and the call in whose context it did."""

    kept: dict[int, list[Transition[Any]]] = field(default_factory=dict)
    """For each job that has a journal, what the journal took."""

    taken: dict[int, list[int]] = field(default_factory=dict)
    """For each job the numbers of the calls that had their turn, in that order."""

    in_hooks: set[int] = field(default_factory=set)
    """The jobs in one of whose hooks somebody is now."""

    raised: set[str] = field(default_factory=set)
    """What guards and hooks raised."""

    trace: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    cancellations: int = 0
    ticks: Iterator[int] = field(default_factory=count)

    def now(self) -> float:
        """Return virtual seconds, and a microsecond more each time: no two moments are one."""
        return anyio.current_time() + next(self.ticks) * 1e-6

    over: bool = False
    """It has got stuck: what happens while it is taken apart is of no interest."""

    def tell(self, line: str) -> None:
        """Add to the trace."""
        if not self.over:
            self.trace.append(line)

    def wrong(self, problem: str) -> None:
        """Note a promise that was broken."""
        if not self.over:
            self.problems.append(problem)

    def stuck(self) -> None:
        """Hear that nobody can go on."""
        self.wrong(str(Deadlock()))
        self.over = True

    async def pause(self) -> None:
        """Let others run: mostly not or briefly, and now and then so long that a queue forms."""
        for _ in range(self.dice.choice((0, 0, 0, 0, 1, 1, 2, 8))):
            await checkpoint()

    @contextmanager
    def hook_of(self, job: Job[Any, Any]) -> Iterator[None]:
        """Be inside a hook, where nobody else may be."""
        number = self.jobs.index(job)
        self.look_at(job)
        if number in self.in_hooks:
            self.wrong(f"two hooks of {job.id} ran at the same time")
        self.in_hooks.add(number)
        try:
            yield
        finally:
            self.in_hooks.discard(number)

    def look_at(self, job: Job[Any, Any]) -> None:
        """See, as anybody can at any time, that no half of a commit shows."""
        history = job.history
        last = history[-1] if history else None
        stands = self.chart.initial if last is None else last.dest
        if (
            job.status != stands
            or job.version != len(history)
            or (last is not None and job.attempt != last.attempt)
            or (job.outcome is not None) is not (job.status in self.chart.final)
        ):
            self.wrong(f"half of a commit shows: {job!r}, whose last step was {last}")

    async def trigger(self, name: str, step: Step) -> None:
        """Trigger a job, and note the answer."""
        job = self.jobs[step.job]
        call = Call(step.job, step.what, len(self.calls))
        self.calls.append(call)
        self.tell(f"{name} asks {job.id} ({job.status}) to {step.what}")
        token = calling.set(call)
        try:
            if step.kind == "trigger_nowait":
                call.transition = job.trigger_nowait(step.what, *step.args, **step.kwargs)
            else:
                call.transition = await job.trigger(step.what, *step.args, **step.kwargs)
            call.answer = "committed"
        except HookFailed as error:
            call.answer, call.transition, call.failed = "committed", error.transition, True
            self.raised.update(repr(each) for each in _leaves(error))
        except (Refused, WouldBlock) as error:
            call.answer = "refused"
            self._check_refusal(error)
        except ReentrantTrigger as error:
            call.answer = "raised"
            self.wrong(f"{name} is in no hook, but was told: {error}")
        except Exception as error:
            call.answer = "raised"
            self.raised.update(repr(each) for each in _leaves(error))
            self.tell(f"{name} gets {error!r}")
        except BaseException:
            call.answer = "cancelled"
            raise
        finally:
            calling.reset(token)
            self.tell(f"{name}: {step.what} of {job.id} {call.answer}")

    def _check_refusal(self, error: Refused | WouldBlock) -> None:
        status, trigger = getattr(error, "status", None), getattr(error, "trigger", None)
        ways = self.chart.ways.get(status, ())
        if any(not edge.guards for edge in ways if edge.trigger == trigger):
            self.wrong(f"refused, though there is a way without a guard: {error}")

    async def refuse(self, name: str, step: Step) -> None:
        """Ask a job for each trigger that its status lacks: none may change anything."""
        job = self.jobs[step.job]
        stood = self._standing(job)
        has = {edge.trigger for edge in self.chart.ways[job.status]}
        for ask in (each for each in step.what if each.what not in has):
            for now in (True, False):
                try:
                    if now:
                        job.trigger_nowait(ask.what, *ask.args, **ask.kwargs)
                    else:
                        await job.trigger(ask.what, *ask.args, **ask.kwargs)
                except TransitionRefused:
                    pass
                except Exception as error:
                    # An exception callback may raise something else, or be async.
                    if not job._table.on_exception and not (now and isinstance(error, WouldBlock)):
                        self.wrong(f"{ask.what} was not refused, but raised {error!r}")
                else:
                    self.wrong(f"{ask.what} of {job.id}, {stood[0]}, was not refused")
                if self._standing(job) != stood:
                    self.wrong(f"{ask.what} was refused, but changed {stood} to {job!r}")
                if self.problems:
                    self.tell(f"{name} asks {job.id} ({stood[0]}) to {ask.what}, in vain")
                    return

    def _standing(self, job: Job[Any, Any]) -> tuple[Any, ...]:
        return job.status, job.history, job.attempt, job.result, job.error_message


def alone(error: BaseException) -> BaseException:
    """Return the first exception inside of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _leaves(error: Exception) -> list[Exception]:
    """Return what guards and hooks raised themselves: no group, no refusal, no journal's error."""
    if isinstance(error, ExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [] if isinstance(error, (Refused, WouldBlock, NotKept)) else [error]
