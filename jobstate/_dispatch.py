"""Which job a runner starts when: the page that reacts to what happens to its jobs.

A job's status says what is to be done with it, whoever has moved it there. PENDING, it waits for
what it comes after, then in line for a place; RETRY, it waits for its moment, then in line as well;
once it is final, its dependents hear of it. Hearing of a step only notes what is to be done: one
task, the pump, calls what is due and starts who is next, so that all this is outside of commits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from math import inf
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from ._arguments import error_info
from ._attempts import Attempts
from ._conclude import end, give_up, leave, lost
from ._errors import HookFailed
from ._job import Job
from ._line import Demand, Line, Rank
from ._loop import Waiter, is_by_scope, loop_time, running_loop, task, waiter
from ._run_errors import DependencyFailed
from ._status import Cancellation, JobStatus, RevokeCause
from ._timers import Timers
from ._waiting import Listeners, each, joined, left
from ._work import MOVED, OVERDUE, Stop, Work, shutdown

_DEPENDENCY_FAILED = error_info(DependencyFailed("", "", "", "")).reason


class Dispatch:
    """The jobs of one runner that have not ended."""

    def __init__(
        self, free: Demand, grace: float, random: Random, *, kept: bool, resumable: bool
    ) -> None:
        self._line: Line[Work] = Line(free)
        self._timers = Timers(self.wake)
        self.attempts = Attempts(self, self._timers, grace, random, resumable=resumable)
        self._random, self._kept, self._resumable = random, kept, resumable
        self._expected = 0
        """So many are bringing work here: it is being written to a store, or read from it."""

        self._arrivals = count()
        self._works: dict[str, Work] = {}
        self._closing: Stop | None = None
        self._to_start: deque[tuple[Any, ...]] = deque()
        """Functions, each with its arguments, to be started as tasks."""

        self._pump: Waiter | None = None
        self._stopping = self._stopped = False
        self._interrupt: BaseException | None = None
        """Raised once all jobs have ended: a Ctrl-C, say, that came while some work ran."""

        self._ends: Listeners[Waiter] = None
        """Who waits for all jobs, or all attempts, to have ended."""

    def take(self, work: Work, timeout: float | None) -> None:
        """Take on the work of a job, which has so many seconds to end."""
        self._works[work.job.id] = work
        if work.executor.limit is not None:
            self._line.offer(work.executor, work.executor.limit)
        if timeout is not None:
            work.deadline = self._timers.after(timeout, partial(self._overdue, work, timeout))
        for dependency in list(work.after):
            dependency._at_end = joined(dependency._at_end, work)
            if dependency._state.final or dependency._abandoned is not None:
                self.dependency_ended(work, dependency)
        self.get_ready(work)

    def take_up(self, work: Work, timeout: float | None, delay: float) -> None:
        """Take on a job that another runner has left: interrupted, or with a delay before RETRY."""
        work.not_before = loop_time() + delay
        self.take(work, timeout)
        if work.job._running:  # which it was, too, where it is paused
            self.start_soon(lost, work, self._random)

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """Not be idle meanwhile: work is on its way here."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1
            self.wake()

    def rank(self, priority: int) -> Rank:
        """Return the rank of who arrives now."""
        return -priority, next(self._arrivals)

    def work_of(self, job: Job[Any, Any]) -> Work | None:
        """Return the work of a job that has not ended."""
        work = self._works.get(job.id)
        return work if work is not None and work.job is job else None

    async def cancel(self, job: Job[Any, Any], reason: str) -> Cancellation:
        """Ask for the work of a job to stop, and return what came of it; see `Job.cancel`."""
        work = self.work_of(job)
        if work is None:
            return await job._revoke_for_user(reason)
        return await self.attempts.cancel(work, reason)

    # --- what happens to jobs ---

    def moved(self, job: Job[Any, Any]) -> None:
        """Hear of a step of a job, whoever took it."""
        work, last = self.work_of(job), job._history[-1]
        if work is None or last.internal:
            return
        work.not_before = loop_time() + last.delay if last.delay else 0.0
        self._leave_line(work)
        if job._state.runs:
            work.started_by = task()
        running = work.running
        if running is not None and not running.over and job._state.rests:
            self.attempts.stop(work, running, Stop(MOVED, f"the job is {job.status}"))
        if job._state.final:
            self._forget(work)
        else:
            self.get_ready(work)

    def reported(self, job: Job[Any, Any]) -> None:
        """Progress starts nothing."""

    def ended(self, job: Job[Any, Any]) -> None:
        """Hear that a job was abandoned: its end is not waited for any more."""
        work = self.work_of(job)
        if work is not None:
            self._leave_line(work)
            self._forget(work)

    def dependency_ended(self, work: Work, dependency: Job[Any, Any]) -> None:
        """Hear that a job which that of *work* comes after is final, or was abandoned."""
        dependency._at_end = left(dependency._at_end, work)
        state = dependency._state
        if state.gives_result or (state.final and not work.after[dependency]):
            del work.after[dependency]
            self.get_ready(work)
            return
        failed = _dependency_failed(work.job, dependency)
        if self._kept and not state.final:  # it may be taken up again, and this one with it
            self.start_soon(leave, work.job, str(failed))
        else:
            self.start_soon(give_up, work.job, None, failed)

    def attempt_over(self, work: Work) -> None:
        """Hear that the place of an attempt is free, and see what its job needs now."""
        self._line.give_back(work.demand)
        if self.work_of(work.job) is work:
            self.get_ready(work)
        self.wake()

    def get_ready(self, work: Work) -> None:
        """Have a job that waits for an attempt get in line, now or when its time has come."""
        job, meaning, closing = work.job, work.job._state.meaning, self._closing
        if work.held or work.starting is not None or work.running is not None:
            return
        if self.work_of(job) is not work:
            return
        if closing is not None and closing.resumable:
            self.start_soon(leave, job, closing.reason)
            return
        if work.place is not None or work.due is not None:
            return
        stop = self.ending(work)
        if stop is not None:  # also where others have started it
            self.start_soon(end, job, None, stop)
        elif meaning not in (JobStatus.PENDING, JobStatus.RETRY):
            return
        elif meaning is JobStatus.RETRY:
            work.due = self._timers.at(work.not_before, partial(self._line_up, work))
        elif not work.after:
            self._line_up(work)

    def hold(self, work: Work) -> None:
        """Keep a job from being started, until it is let go."""
        work.held += 1
        self._leave_line(work)

    def let_go(self, work: Work) -> None:
        """Undo one `hold`."""
        work.held -= 1
        self.get_ready(work)

    def _line_up(self, work: Work) -> None:
        work.due = None
        work.place = self._line.join(work, work.demand, work.rank)
        self.wake()

    def _leave_line(self, work: Work) -> None:
        self._timers.cancel(work.due)
        work.due = None
        if work.place is not None:
            work.place.leave()
            work.place = None

    def _overdue(self, work: Work, seconds: float) -> None:
        why = f"it took longer than {seconds:g} seconds"
        work.overdue = Stop(OVERDUE, why, RevokeCause.TIMEOUT)
        self._end(work, work.overdue)

    def _end(self, work: Work, stop: Stop) -> None:
        """Have a job end; one that is being started is looked at once that has been cut short."""
        if work.starting is not None:
            work.starting.cancel()
        elif work.running is not None and not work.running.over:
            self.attempts.stop(work, work.running, stop)
        else:
            if work.running is not None:
                self.attempts.cut_short(work.running)
                if stop.resumable:
                    return  # perhaps its end is being written
            self._leave_line(work)
            self._revoke_soon(work.job, stop)

    def _forget(self, work: Work) -> None:
        """Let go of a job that has ended."""
        del self._works[work.job.id]
        self._timers.cancel(work.deadline)
        for dependency in work.after:
            dependency._at_end = left(dependency._at_end, work)
        work.tell()
        self.wake()

    # --- the end ---

    def close(self, reason: str) -> None:
        """Start nothing more: stop what runs, and revoke what waits; again does no harm."""
        self._closing = stop = self._closing or shutdown(reason, self._resumable)
        self.attempts.stop_all(stop)
        for work in list(self._works.values()):
            self._end(work, stop)

    def _revoke_soon(self, job: Job[Any, Any], stop: Stop) -> None:
        """Revoke a job at once if nothing stands in the way: a task each would cost much more."""
        if stop.resumable:
            job.abandon(stop.reason)
            return
        try:
            job.trigger_nowait("revoke", stop.reason, cause=stop.cause)
        except HookFailed:
            pass
        except Exception:  # whatever it is, it is not to keep the others from ending
            self.start_soon(end, job, None, stop)

    async def until_idle(self) -> None:
        """Return once all jobs have ended, and all attempts: also those that were left behind."""
        while (self._works or self._expected or self.attempts.running) and not self._stopped:
            await self._next_end()

    async def until_ended(self) -> None:
        """Return once all jobs have ended, and all attempts that were not left behind."""
        while self._is_busy and not self._stopped:
            await self._next_end()

    @property
    def _is_busy(self) -> bool:
        waiting = self._works or self._expected
        return bool(waiting) or not all(one.over for one in self.attempts.running)

    async def _next_end(self) -> None:
        idle = waiter(running_loop())
        self._ends = joined(self._ends, idle)
        try:
            await idle
        finally:
            self._ends = left(self._ends, idle)

    def _tell_end(self) -> None:
        for waiting in each(self._ends):
            waiting.wake()

    # --- the pump ---

    async def pump(self) -> None:
        """Call what is due and start who is next, until stopped; then wait for what was started.

        No scope around it cancels it, or jobs whose block was left so could not be moved any more.
        """
        try:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as tasks:
                    await self._pump_on(tasks)
            if self._interrupt is not None:
                raise self._interrupt
        finally:
            self._stopped = True
            for work in list(self._works.values()):  # where not even that was to be
                work.job.abandon("its runner was interrupted")
            self._tell_end()

    async def _pump_on(self, tasks: TaskGroup) -> None:
        while True:
            try:
                if await self._pump_once(tasks):
                    return
            except GeneratorExit:
                raise
            except BaseException as error:  # an interrupt, or the task's own cancel()
                self.interrupted(error)
                if tasks.cancel_scope.cancel_called or is_by_scope(error):
                    self.attempts.leave()
                    raise

    async def _pump_once(self, tasks: TaskGroup) -> bool:
        """Start all that can be, and wait for more; return whether everything is over."""
        self._pump = waiter(running_loop())  # woken from now on, it need not be waited for
        self._timers.call_due()
        while self._to_start:
            tasks.start_soon(self._do, *self._to_start.popleft())
        while self._closing is None and (work := self._line.next()) is not None:
            work.place, work.starting = None, anyio.CancelScope()
            work.context.run(tasks.start_soon, self._do, self.attempts.make, work)
            if running_loop() is None:
                await checkpoint()  # Trio would start several in any order
        if not (self._works or self._expected):
            self._tell_end()
        over = self._stopping or self._interrupt is not None
        if over and not (self._is_busy or self._to_start):
            self.attempts.leave()
            return True
        due = self._timers.next
        if due == inf:  # a scope takes longer than all else in here
            await self._pump
        else:
            with anyio.CancelScope(deadline=due):
                await self._pump
        return False

    async def _do(self, function: Callable[..., Any], *args: Any) -> None:
        """Be a task of the pump: what it raises must not cancel the others."""
        try:
            await function(*args)
        except anyio.get_cancelled_exc_class():  # by the task's own cancel(), and by nothing else
            if function != self.attempts.make:
                self.start_soon(function, *args)  # or the job would not be moved
        except BaseException as error:
            self.interrupted(error)

    def interrupted(self, error: BaseException) -> None:
        """Close, grant nobody any more time, and have *error* raised once all jobs have ended."""
        self._interrupt = self._interrupt or error
        self.close("interrupted")
        self.attempts.hurry()
        self.wake()

    def stop(self) -> None:
        """Have the pump end, once all jobs have."""
        self._stopping = True
        self.wake()

    def start_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Have a function run in a task of its own."""
        self._to_start.append((function, *args))
        self.wake()

    def wake(self) -> None:
        """Have the pump look again."""
        if self._pump is not None:
            self._pump.wake()

    @property
    def closing(self) -> Stop | None:
        """Why nothing more is started; ``None`` as long as it is."""
        return self._closing

    def ending(self, work: Work) -> Stop | None:
        """Return why a job is to end before its work is done; ``None`` where it is not."""
        return work.overdue or self._closing


def _dependency_failed(job: Job[Any, Any], dependency: Job[Any, Any]) -> DependencyFailed:
    why, abandoned, error = "", dependency._abandoned, dependency._error
    if not dependency._state.final and abandoned is not None:
        why = abandoned.reason
    elif error is None or error.reason != _DEPENDENCY_FAILED:  # that one tells of another in turn
        why = dependency._history[-1].reason
    return DependencyFailed(job.id, dependency.id, dependency.status, why)
