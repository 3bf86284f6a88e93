"""Plain functions, in worker threads.

Nothing can interrupt a thread from outside: it hears of a stop when it asks, and whoever cannot
wait for that leaves it to itself. Waiting for the thread is therefore told apart from waiting for
the work: a stop cancels the former, which `anyio.from_thread.check_cancelled` notices inside the
work, and then the latter is waited for.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import anyio

from .._attempt import Attempt
from .._loop import call_soon, home
from .._run_errors import StopRequested
from ._plain import check_plain, checked_limit


class Threads:
    """Runs plain functions in worker threads, of which ``limit`` may be busy at once.

    The work stops when it asks whether it should, by ``current_job().check()`` or by
    ``anyio.from_thread.check_cancelled()``; nothing can force it. Context variables reach it.
    """

    limit: int | None

    def __init__(self, limit: int = 40) -> None:
        self.limit = checked_limit(limit)

    def check(self, function: Any, args: tuple[Any, ...]) -> None:
        """Return if this is a plain function.

        Raises:
            UnsuitableWork: it cannot be called, or is an async function.
        """
        check_plain(function)

    async def run(self, function: Any, args: tuple[Any, ...], attempt: Attempt) -> Any:
        """Wait for the function's end in a thread: return or raise what it does.

        Cancelled, it leaves at once. A function that has begun goes on by itself then, and is told
        to stop when it asks; one that has not never will.

        Raises:
            StopRequested: the function was asked to stop, and did.
        """
        attempt.check()
        call = _Call(function, args)
        stop_reaches_thread = anyio.CancelScope()
        attempt.when_stopped(stop_reaches_thread.cancel)
        try:
            with stop_reaches_thread:
                own = anyio.CapacityLimiter(1)  # the runner counts, and none waits here for others
                await anyio.to_thread.run_sync(call.make, abandon_on_cancel=True, limiter=own)
            if stop_reaches_thread.cancelled_caught:
                if call.prevented():
                    raise StopRequested(attempt.id, attempt.stop_reason)
                await call.over.wait()
        except anyio.get_cancelled_exc_class():
            call.prevented()
            attempt.ask_to_stop("nobody waits for it any more")
            raise
        return call.answer(attempt)

    async def aclose(self) -> None:
        """Return at once: idle threads are the event loop's."""


class _Call:
    """A call in a thread, whose end can be waited for where the thread cannot."""

    def __init__(self, function: Any, args: tuple[Any, ...]) -> None:
        self._function, self._args = function, args
        self._claim = threading.Lock()
        """Taken by the thread when it begins, or by whoever no longer wants it to."""

        self._home = home()
        self.over = anyio.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def prevented(self) -> bool:
        """Return whether it has not begun; then it never will."""
        return self._claim.acquire(blocking=False)

    def make(self) -> None:
        """Make the call, in the thread."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._result = self._function(*self._args)
        except BaseException as error:
            self._error = error
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            call_soon(self._home, self.over.set)

    def answer(self, attempt: Attempt) -> Any:
        """Return or raise what the call did."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            if attempt.stop_requested and isinstance(error, anyio.get_cancelled_exc_class()):
                raise StopRequested(attempt.id, attempt.stop_reason) from error
            raise error
        finally:
            del self, error  # or the error would hold itself
