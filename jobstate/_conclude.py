"""What becomes of a job as attempts at its work begin and end: the triggers of a runner.

A job that cannot be moved as it should be fails, and one that cannot even fail is abandoned, so
that nobody waits for it for ever; so is one whose store fails, from which it can be taken up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any

from ._errors import HookFailed, ReportRefused, TransitionRefused
from ._job import Job
from ._records import Transition
from ._retry import Retry
from ._run_errors import (
    AttemptInterrupted,
    AttemptTimedOut,
    CommandFailed,
    StopRequested,
    UnsuitableResult,
)
from ._store_errors import STORE_FAULTS, NewerFormat
from ._work import SHUTDOWN, TIMED_OUT, Running, Stop, Work


async def started(job: Job[Any, Any]) -> bool:
    """Begin an attempt; return whether the job is STARTED by that.

    A job that a guard or a hook keeps from starting can never start, and fails.
    """
    version = job.version
    try:
        await job.start()
    except HookFailed:
        pass
    except Exception as error:
        moved = job.version != version or not job._state.rests  # others have started it
        if not (moved and isinstance(error, TransitionRefused)):
            await give_up(job, None, error)
        return False
    return job._state.runs


def report(job: Job[Any, Any], progress: float | None, info: Mapping[str, Any]) -> None:
    """Hand on what the work reports; a job that is paused, or has moved on, takes nothing."""
    with suppress(ReportRefused):
        job.report(progress, info=info or None)


async def conclude(
    work: Work,
    running: Running,
    result: Any,
    error: BaseException | None,
    random: Random,
) -> None:
    """Move the job as its attempt has ended. One that somebody else has moved on is left alone."""
    job, stop, attempt = work.job, running.stop, running.attempt.attempt
    if job.attempt != attempt or job._state.rests:
        return
    if error is None:
        ending = stop is not None and stop.final
        try:
            await told(job, attempt, "succeed", result, patient=not ending)
        except Exception as refusal:
            if stop is not None and ending and not job._state.runs:  # it is paused, or the like
                await end(job, attempt, stop)
            else:
                await give_up(job, attempt, refusal)
        return
    known = error.extras if isinstance(error, (CommandFailed, StopRequested)) else {}
    extras = {"extras": known} if known else {}
    if stop is not None and stop.final:
        await end(job, attempt, stop, **extras)
    elif stop is not None and stop.rank == TIMED_OUT:
        late = AttemptTimedOut(job.id, attempt, stop.seconds, left_behind=running.left_behind)
        await _failed(work, attempt, late, random, extras)
    else:
        await _failed(work, attempt, error, random, extras)


async def _failed(
    work: Work, attempt: int, error: BaseException, random: Random, extras: dict[str, Any]
) -> None:
    job, retry = work.job, work.retry
    try:
        if retry is not None and _may_pass(error, retry):
            delay = retry.delay(attempt, random) if job.has_attempts_left else None
            await told(job, attempt, "retry", error, delay=delay, **extras)
        else:
            await told(job, attempt, "fail", error, **extras)
    except Exception as refusal:
        refusal.__context__ = refusal.__context__ or error  # or nobody would hear of that one
        await give_up(job, attempt, refusal)


def _may_pass(error: BaseException, retry: Retry) -> bool:
    """Whether another attempt may go better."""
    if isinstance(error, UnsuitableResult) or not isinstance(error, Exception):
        return False
    return isinstance(error, (AttemptInterrupted, AttemptTimedOut)) or retry.wants(error)


async def end(job: Job[Any, Any], attempt: int | None, stop: Stop, **more: Any) -> None:
    """Revoke a job, or leave it to be taken up; it fails where its lifecycle allows no revoke."""
    if stop.resumable:
        await _put_back(job, attempt, stop, **more)
        return
    patient = stop.rank != SHUTDOWN
    try:
        why = {"cause": stop.cause, **more}
        await told(job, attempt, "revoke", stop.reason, patient=patient, **why)
    except Exception as refusal:
        await give_up(job, attempt, refusal, patient=patient)


async def _put_back(job: Job[Any, Any], attempt: int | None, stop: Stop, **more: Any) -> None:
    with suppress(Exception):  # one that cannot be put back is found interrupted
        if attempt is not None:
            await told(job, attempt, "requeue", patient=False, **more)
    if not job._state.final:
        job.abandon(stop.reason)


async def lost(work: Work, random: Random) -> None:
    """Have a job go on whose attempt has ended with the process that ran it.

    One that is paused goes on once it is resumed.
    """
    job = work.job
    if job._running:
        error = AttemptInterrupted(job.id, job.attempt)
        await _failed(work, job.attempt, error, random, {})


async def give_up(
    job: Job[Any, Any], attempt: int | None, error: Exception, *, patient: bool = True
) -> None:
    """Have a job fail; where even that is refused, nobody can tell how it ends.

    That its store failed is no fault of the job: it is abandoned, and can be recovered as it is.
    """
    if job._journal is None or not isinstance(error, (*STORE_FAULTS, NewerFormat)):
        try:
            await told(job, attempt, "fail", error, patient=patient)
        except Exception as refusal:
            error = refusal
        else:
            return
    if not job._state.final:
        job.abandon(f"its runner cannot move it: {error}")


async def leave(job: Job[Any, Any], reason: str) -> None:
    """Abandon a job, unless it has ended, or whoever waits for it was told already."""
    if not job._state.final and job._abandoned is None:
        job.abandon(reason)


async def told(
    job: Job[Any, Any],
    attempt: int | None,
    trigger: str,
    *args: Any,
    patient: bool = True,
    **kwargs: Any,
) -> None:
    """Trigger a job, whatever its hooks raise after the commit: observers are told of that.

    Where it is on behalf of an *attempt*, a job that others have moved on from there is left alone.
    One that is paused, or the like, is triggered as soon as it has moved; a runner that closes is
    not as *patient*, since that may be never.

    Raises:
        Exception: the lifecycle, a guard, a hook before the commit or a journal kept the job from
            moving.
    """
    while True:
        version = job.version
        try:
            await job._move(trigger, args, kwargs, attempt)
        except HookFailed:
            return
        except TransitionRefused:
            state = job._state
            if state.final or (attempt is not None and not job._goes_on(attempt)):
                return
            if job.version == version:
                if state.rests or state.runs or not patient:
                    raise
                await _next_step(job, version)
        else:
            return


async def _next_step(job: Job[Any, Any], version: int) -> None:
    async with job.changes(after=version) as changes:
        async for change in changes:
            if isinstance(change, Transition):
                return
