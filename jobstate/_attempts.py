"""Attempts at the work of jobs: each from its start until its job has moved on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Protocol, cast

import anyio

from ._attempt import Attempt, make_current
from ._conclude import conclude, end, report, started
from ._loop import loop_time, task, was_cancelled
from ._run_errors import StopRequested
from ._status import Cancellation, JobStatus, RevokeCause
from ._timers import Timers
from ._waiting import check_may_wait
from ._work import BY_USER, TIMED_OUT, Running, Stop, Work, checked_result, shutdown

_NO_RESULT: Any = object()


class Dispatcher(Protocol):
    """Gives jobs their places, and takes them back."""

    def ending(self, work: Work) -> Stop | None:
        """Return why a job is to end before its work is done; ``None`` where it is not."""

    def attempt_over(self, work: Work) -> None:
        """Hear that the place of an attempt is free."""

    def get_ready(self, work: Work) -> None:
        """Have a job that waits for an attempt get in line, if it is not yet."""

    def hold(self, work: Work) -> None:
        """Keep a job from being started, until it is let go."""

    def let_go(self, work: Work) -> None:
        """Undo one `hold`."""

    def start_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Have a function run in a task of its own."""


class Attempts:
    """The attempts of one runner that run, also those that their jobs have gone on without."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        timers: Timers,
        grace: float,
        random: Random,
        *,
        resumable: bool,
    ) -> None:
        self.running: dict[Running, Work] = {}
        self._dispatcher = dispatcher
        self._timers = timers
        self._grace = grace
        self._random = random
        self._hurried = False
        self._interrupted = partial(shutdown, "interrupted", resumable)

    async def make(self, work: Work) -> None:
        """Try once to do the work of a job that has been given its place."""
        try:
            if await self._started(work):
                await self._carry_out(work, self._begin(work))
        finally:
            self._dispatcher.attempt_over(work)
            work.tell()

    async def _started(self, work: Work) -> bool:
        """Return whether an attempt has begun; it may be cut short, as long as none has."""
        job, begins = work.job, True
        try:
            with cast(anyio.CancelScope, work.starting):
                begins = self._dispatcher.ending(work) is None and await started(job)
        except BaseException:  # a task's own cancel(), and perhaps when the job was STARTED already
            if self._has_started(work):
                self._dispatcher.start_soon(end, job, job.attempt, self._interrupted())
            raise
        finally:
            work.starting = None
        return begins and self._has_started(work)

    def _has_started(self, work: Work) -> bool:
        return work.job._state.runs and work.started_by is task()

    def _begin(self, work: Work) -> Running:
        job = work.job
        attempt = Attempt(
            job.id,
            job.name,
            job.attempt,
            job.max_attempts,
            job.info,
            tell=partial(report, job),
        )
        work.running = running = Running(attempt, anyio.CancelScope(shield=True))
        work.tell()
        self.running[running] = work
        stop = self._dispatcher.ending(work)
        if stop is not None:
            self.stop(work, running, stop)
        return running

    async def _carry_out(self, work: Work, running: Running) -> None:
        limit, timer = work.attempt_timeout, None
        if limit is not None:
            timer = self._timers.after(limit, partial(self._too_long, work, running, limit))
        try:
            result, error, fatal = await _outcome_of(work, running)
            if fatal is not None:
                running.stop = self._interrupted()
                running.left_behind = True  # perhaps: whoever waited for the work does no more
        finally:
            del self.running[running]
            self._timers.cancel(timer)
            self._timers.cancel(running.grace)
        if not running.over:
            try:
                await self._conclude(work, running, result, error)
            except BaseException:  # a task's own cancel(): the job must not be left half way
                self._dispatcher.start_soon(self._conclude, work, running, result, error)
                raise
        if fatal is not None:
            raise fatal

    async def _conclude(
        self, work: Work, running: Running, result: Any, error: BaseException | None
    ) -> None:
        running.over = True
        running.attempt.close()
        try:
            with anyio.CancelScope() as running.concluding:
                stop = self._dispatcher.ending(work)
                if stop is not None and stop.resumable:
                    self.cut_short(running)
                await conclude(work, running, result, error, self._random)
        finally:
            running.concluding = None
            self._timers.cancel(running.grace)
        work.running = None
        work.tell()
        self._dispatcher.get_ready(work)

    # --- stopping ---

    def stop(self, work: Work, running: Running, stop: Stop) -> None:
        """Ask for an attempt to stop, unless it was asked on behalf of somebody who outranks that.

        When its time of grace is over, which nobody prolongs, it is ended by force; an attempt that
        cannot be forced is left behind, and its job goes on without it. Only a user's request does
        not go that far, unless the attempt's own time is over as well.
        """
        if running.over:
            return
        if running.stop is None or stop.rank > running.stop.rank:
            running.stop = stop
            running.attempt.ask_to_stop(stop.reason)
            if running.given_until is None or self._hurried:
                running.given_until = loop_time() + (0 if self._hurried else self._grace)
            self._timers.cancel(running.grace)
            enforce = partial(self._enforce, work, running)
            running.grace = self._timers.at(running.given_until, enforce)

    def _too_long(self, work: Work, running: Running, seconds: float) -> None:
        running.timed_out = True
        why = f"it took longer than {seconds:g} seconds"
        self.stop(work, running, Stop(TIMED_OUT, why, seconds=seconds))
        if running.is_deaf:
            self._enforce(work, running)

    def _enforce(self, work: Work, running: Running) -> None:
        stop = running.stop
        if running.attempt.force_to_stop() or running.over or stop is None:
            return
        if stop.rank == BY_USER and not running.timed_out:
            stop.unconfirmed = True
            work.tell()
        else:
            running.over = running.left_behind = True
            stopped = StopRequested(work.job.id, running.attempt.stop_reason)
            self._dispatcher.start_soon(self._conclude, work, running, None, stopped)

    def stop_all(self, stop: Stop) -> None:
        """Ask for all attempts to stop, also those at jobs that were given up."""
        for running, work in list(self.running.items()):
            self.stop(work, running, stop)

    def hurry(self) -> None:
        """Grant nobody any more time."""
        self._hurried = True
        for running, work in list(self.running.items()):
            if running.stop is not None:
                self._enforce(work, running)

    def cut_short(self, running: Running) -> None:
        """Have a guard or a hook that keeps a job from ending do so for its time of grace only."""
        if running.concluding is not None:
            grace = 0.0 if self._hurried else self._grace
            self._timers.cancel(running.grace)
            running.grace = self._timers.after(grace, running.concluding.cancel)

    def leave(self) -> None:
        """Leave to themselves at once all attempts that run."""
        for running in self.running:
            running.scope.cancel()

    async def cancel(self, work: Work, reason: str) -> Cancellation:
        """Do as `Job.cancel` does, for a job that has not ended."""
        job = work.job
        asked: Running | None = None
        while asked in self.running or not job._state.final:
            running = work.running
            if asked is not None and asked.is_deaf and asked in self.running:
                return Cancellation.UNCONFIRMED
            if job._state.rests and not job._state.final:
                answer = await self._prevent(work, reason)
                if answer is not None:
                    return answer
            elif running is None and work.starting is None and not job._state.final:
                return await job._revoke_for_user(reason)  # somebody else has started it
            elif running is not None and not running.over and running is not asked:
                await job._ask("revoke", reason)
                if not running.over:
                    asked = running
                    self.stop(work, running, Stop(BY_USER, reason, RevokeCause.USER))
            else:
                if not job._state.final:
                    check_may_wait(job)
                await work.news()
        if asked is None or job._state.meaning is not JobStatus.REVOKED:
            return Cancellation.TOO_LATE
        return Cancellation.UNCONFIRMED if asked.left_behind else Cancellation.INTERRUPTED

    async def _prevent(self, work: Work, reason: str) -> Cancellation | None:
        """Revoke a job for a user; return ``None`` where it turns out to be STARTED already."""
        job = work.job
        self._dispatcher.hold(work)
        try:
            while work.starting is not None:
                check_may_wait(job)
                work.starting.cancel()
                await work.news()
            return await job._revoke_for_user(reason) if job._state.rests else None
        finally:
            self._dispatcher.let_go(work)


async def _outcome_of(
    work: Work, running: Running
) -> tuple[Any, BaseException | None, BaseException | None]:
    """Run the work once; return what it gave, what it raised, and what is to be raised on."""
    attempt, result = running.attempt, _NO_RESULT
    token = make_current(attempt)
    try:
        with running.scope:
            result = checked_result(await work.executor.run(work.function, work.args, attempt))
    except GeneratorExit:
        raise
    except BaseException as error:
        if not _is_anothers(error):
            return None, error, None
        return None, error, error
    finally:
        token.var.reset(token)
    if result is _NO_RESULT:  # its scope was cancelled
        return None, StopRequested(attempt.id, attempt.stop_reason), None
    return result, None, None


def _is_anothers(error: BaseException) -> bool:
    """Whether it is meant for the task that runs the work, or for all, and not the work's own."""
    if isinstance(error, (Exception, SystemExit, StopRequested)):
        return False
    return not isinstance(error, anyio.get_cancelled_exc_class()) or was_cancelled()
