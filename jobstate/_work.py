"""What a runner knows of one job's work: what is to be run, how, and how it stands."""

from __future__ import annotations

from contextvars import Context
from dataclasses import dataclass
from inspect import isasyncgen, isawaitable, iscoroutine, isgenerator
from typing import TYPE_CHECKING, Any, Protocol

from ._attempt import Attempt
from ._job import Job
from ._line import Demand, Place, Rank
from ._loop import Waiter, running_loop, waiter
from ._retry import Retry
from ._run_errors import UnsuitableResult
from ._status import RevokeCause
from ._timers import Due
from ._waiting import Listeners, each, joined, left
from .abc import Executor

if TYPE_CHECKING:
    from anyio import CancelScope


@dataclass(eq=False, slots=True)
class Stop:
    """That an attempt is to stop, and what is to become of the job then."""

    rank: int
    """Which of several requests holds: one of the constants below."""

    reason: str
    cause: RevokeCause | None = None
    """On whose behalf the job is to be revoked; ``None`` where it is not."""

    seconds: float = 0.0
    """What the attempt may take, where it took longer."""

    unconfirmed: bool = False
    """The work does not listen, and nothing can force it."""

    resumable: bool = False
    """The job is not to end, but to be taken up again by another runner."""

    @property
    def final(self) -> bool:
        """Whether the runner is to have done with the job."""
        return self.cause is not None or self.resumable


TIMED_OUT, BY_USER, OVERDUE, SHUTDOWN, MOVED = range(5)
"""The attempt's own time is over; a user asks; the job's time is over; the runner closes; somebody
else has moved the job on. Each of these holds against those before it."""


def shutdown(reason: str, resumable: bool) -> Stop:
    """Return that everything is to stop, because the runner does."""
    cause = None if resumable else RevokeCause.SHUTDOWN
    return Stop(SHUTDOWN, reason, cause, resumable=resumable)


class DependentOf(Protocol):
    """Hears of what a job comes after."""

    def dependency_ended(self, work: Work, dependency: Job[Any, Any]) -> None:
        """Hear that a job which that of *work* comes after is final, or was abandoned."""


@dataclass(eq=False, slots=True)
class Work:
    """The work of one job."""

    job: Job[Any, Any]
    function: Any
    args: tuple[Any, ...]
    executor: Executor
    context: Context
    """The context variables of whoever submitted it."""

    rank: Rank
    demand: Demand
    retry: Retry | None
    attempt_timeout: float | None
    after: dict[Job[Any, Any], bool]
    """The jobs that it still waits for; whether each of them has to succeed."""

    runner: DependentOf
    place: Place[Work] | None = None
    """Where it stands in line."""

    not_before: float = 0.0
    """When the next attempt may begin, on the event loop's clock."""

    due: Due | None = None
    """The moment at which it gets in line again."""

    deadline: Due | None = None
    overdue: Stop | None = None
    """Its time is over: it is to end, as soon as nothing else moves it."""

    starting: CancelScope | None = None
    """It has been given its place, and the job is being started in this scope."""

    started_by: object = None
    """The task that has last started the job."""

    held: int = 0
    """So many are about to revoke the job, and it is not to be started meanwhile."""

    running: Running | None = None
    """The attempt that the job's status stands for."""

    curious: Listeners[Waiter] = None
    """Who waits for the job to get on: until it is running, has stopped, or will not."""

    def ended(self, dependency: Job[Any, Any]) -> None:
        """Hear, as a listener, of the end of a job that it comes after."""
        self.runner.dependency_ended(self, dependency)

    def tell(self) -> None:
        """Wake who waits for the job to get on."""
        for waiting in each(self.curious):
            waiting.wake()

    async def news(self) -> None:
        """Return once there is something to `tell`."""
        here = waiter(running_loop())
        self.curious = joined(self.curious, here)
        try:
            await here
        finally:
            self.curious = left(self.curious, here)


@dataclass(eq=False, slots=True)
class Running:
    """An attempt at some work, while it runs."""

    attempt: Attempt
    scope: CancelScope
    """Cancelled, it leaves the work to itself at once."""

    stop: Stop | None = None
    given_until: float | None = None
    """When its time of grace is over, once it is to stop, on the event loop's clock."""

    grace: Due | None = None
    """The moment at which a stop is enforced."""

    timed_out: bool = False
    """It has taken longer than an attempt may."""

    over: bool = False
    """It has ended, or is not waited for any more: its job is being moved on."""

    left_behind: bool = False
    """It does not listen, and its job goes on without it."""

    concluding: CancelScope | None = None
    """Where its job is being moved on, once it is over."""

    @property
    def is_deaf(self) -> bool:
        """Whether it was to stop, has not in its time of grace, and cannot be forced."""
        return self.left_behind or (self.stop is not None and self.stop.unconfirmed)


def checked_result(result: Any) -> Any:
    """Return what the work gave, if it is a result.

    Raises:
        UnsuitableResult: it has yet to be awaited, or to be iterated over.
    """
    if result is None or not (isawaitable(result) or isgenerator(result) or isasyncgen(result)):
        return result
    name = type(result).__name__
    kind = f"an {name}" if name[0] in "aeiou" else f"a {name}"
    if iscoroutine(result) or isgenerator(result):
        result.close()
    if isgenerator(result) or isasyncgen(result):
        raise UnsuitableResult(kind, "nobody has iterated over it; return a list of what it yields")
    raise UnsuitableResult(kind, "nobody has awaited it; submit an async function that awaits it")
