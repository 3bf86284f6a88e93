"""A job, as any thread may use it: `Job.threadsafe`.

For callbacks of other libraries, which come in threads of theirs and cannot wait. Each call is
carried into the job's event loop, to a task there, and its `concurrent.futures.Future` brings the
answer back. What one thread asks for stands in one line, and is done in that order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import local
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import ref

import anyio

from ._arguments import UNSET, checked_info, checked_progress
from ._loop import Thread, call_soon, describe, was_cancelled
from ._records import Outcome, S, Snapshot, T, Transition
from ._run_errors import LoopEnded, NoLoopYet
from ._spawn import carried_context, spawn
from ._status import Cancellation, RevokeCause

if TYPE_CHECKING:
    from ._job import Job

_R = TypeVar("_R")


class ThreadsafeJob(Generic[T, S]):
    """A job whose triggers may be called in any thread, and return at once.

    Each gives a `concurrent.futures.Future` of the `Transition` that it commits, or of the error
    that the trigger of that name raises. Those called by one thread are taken in that order.
    Cancelling the future cancels the trigger, if it has not been committed: the job then stays as
    it was. Hooks see the context variables of the caller.

    The job's own event loop may call them too, even in a hook of the job; but a future is not to
    be waited for there by ``result()``, which would wait for ever: use `asyncio.wrap_future`,
    outside of hooks.

    Raises, each of them:
        NoLoopYet: the job was made where no event loop runs, and none has used it since.

    The future of each holds a `LoopEnded` where the job's event loop has ended, or ends before it
    was done. Only a loop of asyncio that is closed over running tasks, as ``asyncio.run`` never
    does, tells nobody.
    """

    __slots__ = ("_job",)

    def __init__(self, job: Job[T, S]) -> None:
        self._job = job

    def __repr__(self) -> str:
        return f"{self._job!r}.threadsafe"

    # --- triggers ---

    def start(self) -> Future[Transition[S]]:
        """Begin an attempt; see `Job.start`."""
        return self._in_line(self._job.start)

    def succeed(self, result: T | None = UNSET) -> Future[Transition[S]]:
        """Complete the job with its result; see `Job.succeed`."""
        return self._in_line(partial(self._job.succeed, result))

    def fail(self, error: BaseException | str) -> Future[Transition[S]]:
        """Give the job up; see `Job.fail`."""
        return self._in_line(partial(self._job.fail, error))

    def retry(
        self, error: BaseException | str, *, delay: float | None = None
    ) -> Future[Transition[S]]:
        """End an attempt that failed; see `Job.retry`. *delay* is in seconds."""
        return self._in_line(partial(self._job.retry, error, delay=delay))

    def requeue(self) -> Future[Transition[S]]:
        """Put the job back in line; see `Job.requeue`."""
        return self._in_line(self._job.requeue)

    def revoke(
        self, reason: str = "", *, cause: RevokeCause = RevokeCause.USER
    ) -> Future[Transition[S]]:
        """Cancel the job; see `Job.revoke`."""
        return self._in_line(partial(self._job.revoke, reason, cause=cause))

    def trigger(self, trigger: str, /, *args: Any, **kwargs: Any) -> Future[Transition[S]]:
        """Move the job by a trigger of its lifecycle; see `Job.trigger`."""
        return self._in_line(partial(self._job.trigger, trigger, *args, **kwargs))

    def cancel(self, reason: str = "") -> Future[Cancellation]:
        """Ask whoever runs the work to stop; see `Job.cancel`.

        What this thread asks for next does not wait for the answer. Cancelling the future takes
        nothing back.
        """
        return self._aside(partial(self._job.cancel, reason))

    # --- what moves nothing ---

    def report(
        self, progress: float | None = None, *, info: Mapping[str, Any] | None = None
    ) -> None:
        """Tell how far the present attempt has come, after what this thread has asked for before.

        Nobody hears of it where no attempt is running by then.

        Args:
            progress: percent, 0 to 100; left as it is if not given.
            info: added to what is known about the job.

        Raises:
            ReportRefused: *progress* is no number from 0 to 100.
            BadArgument: *info* is no mapping.
            LoopEnded: the job's event loop has ended.
            NoLoopYet: the job has none.
        """
        job = self._job
        percent = checked_progress(job.id, job.status, progress)
        added = None if info is None else checked_info(job.id, "report", info)
        report = partial(job.report, percent, info=added)
        told = self._at_once(report)
        ended = told.exception() if told.done() and not told.cancelled() else None
        if isinstance(ended, LoopEnded):
            raise ended

    def snapshot(self) -> Future[Snapshot[T, S]]:
        """Return all that can be read of the job, after what this thread has asked for before."""
        return self._at_once(self._job.snapshot)

    def completed(self) -> Future[Outcome[T, S]]:
        """Return how the job ended, once it has; see `Job.completed`.

        Cancelling the future cancels the wait alone.
        """
        return self._aside(self._job.completed)

    def _in_line(self, ask: Callable[[], Awaitable[_R]]) -> Future[_R]:
        return self._carried(ask, waits=True, holds=True)

    def _aside(self, ask: Callable[[], Awaitable[_R]]) -> Future[_R]:
        return self._carried(ask, waits=True, holds=False)

    def _at_once(self, ask: Callable[[], _R]) -> Future[_R]:
        return self._carried(ask, waits=False, holds=False)

    def _carried(self, ask: Callable[[], Any], *, waits: bool, holds: bool) -> Future[Any]:
        job = self._job
        if isinstance(job._home, Thread):
            raise NoLoopYet(job.id, describe(job._home))
        call = _Call(job, ask, waits=waits, holds=holds)
        future = call.future  # the call itself may be gone before this returns it
        try:
            call_soon(call.home, call.arrive)
        except RuntimeError:
            call.lose()
        return future


class _ThisThread(local):
    """Names a thread once and for all, as its number does not, which the next one may be given."""

    def __init__(self) -> None:
        self.name = object()


_this_thread = _ThisThread()
_Line = tuple[int, object]
_lines: dict[_Line, deque[_Call]] = {}
"""What one thread has asked of one job and is not done; kept while there is any."""


class _Call:
    """What a thread has asked of a job. It is made there, and then used in the job's loop only.

    It *waits* where a coroutine is to be run; it *holds* the line where the next is to wait too.
    """

    def __init__(
        self, job: Job[Any, Any], ask: Callable[[], Any], *, waits: bool, holds: bool
    ) -> None:
        self._job, self._ask, self._waits, self._holds = job, ask, waits, holds
        self.home = job._home
        self._line = id(job), _this_thread.name
        self._context = carried_context()
        self._scope: anyio.CancelScope | None = None
        self._settled = False
        self.future: Future[Any] = Future()
        self.future.add_done_callback(partial(_heard_of_cancel, ref(self)))

    def __del__(self) -> None:
        self.lose()  # asyncio drops, when it is closed, what it has not called

    def arrive(self) -> None:
        """Take a place in line, and begin if it is the first."""
        line = _lines.setdefault(self._line, deque())
        line.append(self)
        if len(line) == 1:
            _advance(self._line)

    def begin(self) -> bool:
        """Begin, and return whether the next in line is to wait: what can be is done at once."""
        if self._settled:
            return False
        if self._waits:
            spawn(self._work, partial(self._leave, lost=True), self._context)
            return self._holds
        try:
            self._settle(self._context.run(self._ask))
        except Exception as error:
            self._settle(error=error)
        return False

    async def _work(self) -> None:
        cancelled = anyio.get_cancelled_exc_class()
        lost = False
        try:
            with anyio.CancelScope() as self._scope:
                if not self._settled:
                    self._settle(await self._ask())
        except cancelled:
            lost = was_cancelled()
            if lost:
                raise
            self.future.cancel()  # a hook has waited for what was cancelled
            self._settle()
        except BaseException as error:
            self._settle(error=error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._scope = None
            self._leave(lost=lost)

    def _leave(self, *, lost: bool) -> None:
        """Make way for the next in line; where the loop is ending, all of them are lost."""
        if lost:
            self.lose()
        if self._holds:
            line = _lines[self._line]
            line.popleft()
            while lost and line:
                line.popleft().lose()
            _advance(self._line)

    def cancel(self) -> None:
        """Hear that nobody wants the answer any more."""
        self._settle()
        if self._scope is not None:
            self._scope.cancel()

    def lose(self) -> None:
        """Hear that no event loop will do it."""
        self._settle(error=LoopEnded(self._job.id, describe(self.home)))

    def _settle(self, answer: Any = None, error: BaseException | None = None) -> None:
        if self._settled:
            return
        self._settled = True
        if not self.future.set_running_or_notify_cancel():
            return
        if error is None:
            self.future.set_result(answer)
        else:
            self.future.set_exception(error)


def _advance(place: _Line) -> None:
    """Begin what is next in a line; what has begun and waits calls this at its end."""
    line = _lines[place]
    while line:
        if line[0].begin():
            return
        line.popleft()
    del _lines[place]


def _heard_of_cancel(reference: ref[_Call], future: Future[Any]) -> None:
    """Have a call cancelled whose future was; called in whatever thread did that."""
    call = reference()
    if call is not None and future.cancelled():
        with suppress(RuntimeError):
            call_soon(call.home, call.cancel)
