"""Work that is under way already, as a job: `as_job`.

A future, a task or a process that somebody else has begun is followed by a task of its own, which
moves the job as the work begins and ends. That task ends with the event loop, and the job with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar, overload

import anyio

from ._conclude import give_up, started, told
from ._errors import HookFailed, WouldBlock
from ._foreign import AnyFuture, AnyProcess, Foreign, foreign
from ._job import Job
from ._lifecycle import Lifecycle
from ._loop import was_cancelled
from ._records import S
from ._spawn import spawn
from ._status import Cancellation, JobStatus, RevokeCause
from ._waiting import check_may_wait

_R = TypeVar("_R")


@overload
def as_job(
    work: AnyFuture[_R],
    *,
    id: str | None = ...,
    name: str = ...,
    lifecycle: Lifecycle[S] | None = ...,  # pyright: ignore[reportInvalidTypeVarUse]
    info: Mapping[str, Any] | None = ...,
) -> Job[_R, S]: ...


@overload
def as_job(
    work: AnyProcess,
    *,
    id: str | None = ...,
    name: str = ...,
    lifecycle: Lifecycle[S] | None = ...,  # pyright: ignore[reportInvalidTypeVarUse]
    info: Mapping[str, Any] | None = ...,
) -> Job[int, S]: ...


def as_job(
    work: Any,
    *,
    id: str | None = None,
    name: str = "",
    lifecycle: Lifecycle[Any] | None = None,
    info: Mapping[str, Any] | None = None,
) -> Job[Any, Any]:
    """Return a job for work that somebody else has begun, and that ends as the work does.

    The job is STARTED at once, or as soon as the async hooks of its start are done. A result makes
    it SUCCESS, an exception FAILURE. A future that was cancelled makes it REVOKED, on behalf of
    USER if `Job.cancel` asked for that, and else of ADMIN. A process that exits with 0 makes it
    SUCCESS, with that as its result, and any other end FAILURE, by a `CommandFailed`.

    `Job.cancel` cancels a future and terminates a process, if the lifecycle lets started jobs be
    cancelled, and returns when the work has ended; a `concurrent.futures.Future` that is running
    cannot be stopped, and leaves it UNCONFIRMED. A trigger moves the job alone: work that the job
    has been moved on from goes on, and its end changes nothing. If the event loop ends before the
    work does, the job is revoked (SHUTDOWN), or abandoned where hooks or guards stand in the way.

    Args:
        work: an `asyncio.Future` or task, a `concurrent.futures.Future`, a `subprocess.Popen`, an
            `asyncio.subprocess.Process` or an `anyio.abc.Process`. It may have ended already.
        id: as for a `Job`.
        name: as for a `Job`.
        lifecycle: as for a `Job`; it has to have the triggers ``start``, ``succeed``, ``fail`` and
            ``revoke``.
        info: as for a `Job`.

    Raises:
        UnsuitableWork: *work* is nothing of that, or of another event loop, or none runs here.
        UnknownTrigger: the lifecycle lacks one of these triggers.
        InvalidJobId, BadArgument: as `Job` raises them.
    """
    adopted = foreign(work)
    job: Job[Any, Any] = Job(id, name=name, lifecycle=lifecycle, info=info)
    for trigger in ("start", "succeed", "fail", "revoke"):
        job.can(trigger)
    follower = _Follower(job, adopted)
    job._private().worker = follower
    follower.begin()
    return job


class _Follower:
    """Moves a job as its work begins and ends; stops the work where the job is to be cancelled."""

    def __init__(self, job: Job[Any, Any], work: Foreign) -> None:
        self._job, self._work = job, work
        self._attempt: int | None = None
        """The job's attempt that the work is; ``None`` until it is started."""

        self._asked: str | None = None
        """Why `Job.cancel` wants the work to stop."""

        self._begun, self._over = anyio.Event(), anyio.Event()

    def begin(self) -> None:
        """Do at once what can be, and the rest in a task."""
        try:
            with suppress(HookFailed):
                self._job.start_nowait()
        except WouldBlock:
            self._spawn(self._start)
        except Exception as error:
            self._spawn(partial(give_up, self._job, None, error))
        else:
            self._mark_begun()
            self._end_now()

    def _end_now(self) -> None:
        if not self._work.done:
            self._spawn(self._follow)
            return
        trigger, arguments = self._work.end(None)
        try:
            with suppress(HookFailed):
                self._job.trigger_nowait(trigger, **arguments)
        except WouldBlock:
            self._spawn(self._follow)
        except Exception as error:
            self._spawn(partial(give_up, self._job, self._attempt, error))
        else:
            self._mark_over()

    def _spawn(self, step: Callable[[], Awaitable[None]]) -> None:
        spawn(partial(self._until_over, step), self._lost, copy_context())

    async def _until_over(self, step: Callable[[], Awaitable[None]]) -> None:
        cancelled = anyio.get_cancelled_exc_class()
        try:
            await step()
        except cancelled:
            if was_cancelled():
                self._lost()
                raise
            if self._stands:
                self._job.abandon("what one of its hooks waited for was cancelled")
        finally:
            self._mark_over()

    def _mark_over(self) -> None:
        self._begun.set()
        self._over.set()

    async def _start(self) -> None:
        if await started(self._job):
            self._mark_begun()
            await self._follow()

    def _mark_begun(self) -> None:
        self._attempt = self._job.attempt
        self._begun.set()

    async def _follow(self) -> None:
        if not self._work.done:
            await self._work.ended()
        if not self._stands:
            return
        trigger, arguments = self._work.end(self._asked)
        try:
            await told(self._job, self._attempt, trigger, **arguments)
        except Exception as refusal:
            await give_up(self._job, self._attempt, refusal)

    @property
    def _stands(self) -> bool:
        """Whether nobody else has moved the job on."""
        job = self._job
        if self._attempt is None:
            return not job._state.final
        return job.attempt == self._attempt and not job._state.rests

    def _lost(self) -> None:
        """Hear that the event loop ends."""
        self._mark_over()
        if self._stands:
            try:
                with suppress(HookFailed):
                    self._job.revoke_nowait("its event loop has ended", cause=RevokeCause.SHUTDOWN)
            except Exception:
                self._job.abandon("its event loop has ended")

    async def cancel(self, job: Job[Any, Any], reason: str) -> Cancellation:
        """Ask for the work to stop; see `Job.cancel`."""
        check_may_wait(job)
        await self._begun.wait()
        if self._over.is_set() or not self._stands:
            return await job._revoke_for_user(reason)
        await job._ask("revoke", reason)
        self._asked = reason
        answer = self._work.stop(reason)
        if answer is not Cancellation.UNCONFIRMED:
            await self._over.wait()
            if job._state.meaning is not JobStatus.REVOKED:
                return Cancellation.TOO_LATE if job._state.final else Cancellation.UNCONFIRMED
        return answer
