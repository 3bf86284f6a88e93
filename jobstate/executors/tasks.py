"""Async functions, in the runner's own event loop."""

from __future__ import annotations

from typing import Any

import anyio

from .._attempt import Attempt
from .._run_errors import StopRequested
from ._plain import check_callable


class Tasks:
    """Runs async functions as tasks.

    A stop cancels the work where it waits; what the work makes of that is its own affair, and
    nothing can force it.
    """

    limit: int | None = None

    def check(self, function: Any, args: tuple[Any, ...]) -> None:
        """Return if this can be called.

        Raises:
            UnsuitableWork: it cannot.
        """
        check_callable(function)

    async def run(self, function: Any, args: tuple[Any, ...], attempt: Attempt) -> Any:
        """Await the function's end in the caller's own task: return or raise what it does.

        Cancelled, the function is.

        Raises:
            StopRequested: the function was asked to stop, and did.
        """
        attempt.check()
        with anyio.CancelScope() as scope:
            attempt.when_stopped(scope.cancel)
            return await function(*args)
        raise StopRequested(attempt.id, attempt.stop_reason)

    async def aclose(self) -> None:
        """Return at once: nothing is kept between attempts."""
