"""Waiting for a job: who listens to it, and the three things that can be waited for.

A job keeps its listeners in two places: those that only care for its end, and those that follow
each step. Whoever waits registers, sleeps, and takes itself off again; there is no other record
of a wait, so that a cancelled one leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from anyio import BusyResourceError, ClosedResourceError

from ._compile import name_of
from ._errors import JobAbandoned, ReentrantWait, Unreachable
from ._loop import Waiter, running_loop, waiter
from ._records import Outcome, Progress, S, T, Transition

if TYPE_CHECKING:
    from ._job import Job

_L = TypeVar("_L")
Listeners: TypeAlias = _L | dict[_L, None] | None
"""None, a single listener, or several: most jobs have one at most, and a dict weighs 232 bytes."""


class Ending(Protocol):
    """Listens for the end of jobs."""

    def ended(self, job: Job[Any, Any], /) -> None:
        """Hear that *job* is final, or was abandoned."""


class Following(Ending, Protocol):
    """Listens to each step of jobs. Of their ends it hears as of any other transition."""

    def moved(self, job: Job[Any, Any], /) -> None:
        """Hear of a transition, the last of the job's history."""

    def reported(self, job: Job[Any, Any], /) -> None:
        """Hear of a report of progress."""


def joined(listeners: Listeners[_L], one: _L) -> Listeners[_L]:
    """Return *listeners* with one more."""
    if listeners is None:
        return one
    if not isinstance(listeners, dict):
        listeners = {listeners: None}
    listeners[one] = None
    return listeners


def left(listeners: Listeners[_L], one: _L) -> Listeners[_L]:
    """Return *listeners* without one; it may have been taken off already."""
    if isinstance(listeners, dict):
        listeners.pop(one, None)
        return listeners or None
    return None if listeners is one else listeners


def each(listeners: Listeners[_L]) -> Iterable[_L]:
    """Return the listeners, to be told one after the other."""
    if listeners is None:
        return ()
    return tuple(listeners) if isinstance(listeners, dict) else (listeners,)


def check_may_wait(job: Job[Any, Any]) -> None:
    """Raise where a wait for *job* could never end.

    Raises:
        JobAbandoned: what it depended on has gone.
        ReentrantWait: the job is in a transition that this very task runs.
    """
    if job._abandoned is not None:
        raise JobAbandoned(*job._abandoned.args)
    if job._turn is not None and job._turn.is_mine:
        raise ReentrantWait(job.id, job.status)


async def until_ended(job: Job[T, S]) -> Outcome[T, S]:
    """Return how the job ended, once it has."""
    loop = running_loop()
    if loop is not job._home:
        job._check_home()
    if not job._state.final:
        check_may_wait(job)
        end = waiter(loop)
        job._at_end = joined(job._at_end, end)
        try:
            await end
        finally:
            job._at_end = left(job._at_end, end)
        if not job._state.final:
            check_may_wait(job)
    return job._ended()


class _Arrival:
    """One task, waiting for a job to enter one of some statuses."""

    __slots__ = ("_after", "_wanted", "found", "waiter")

    def __init__(self, wanted: frozenset[str], after: int) -> None:
        self._wanted, self._after = wanted, after
        self.found: Transition[Any] | None = None
        self.waiter = waiter(running_loop())

    def moved(self, job: Job[Any, Any]) -> None:
        last = job._history[-1]
        if self.found is not None:
            return
        if last.version > self._after and not last.internal and job._state.name in self._wanted:
            self.found = last
            self.waiter.wake()
        elif not self._wanted & job._state.reachable:
            self.waiter.wake()

    def reported(self, job: Job[Any, Any]) -> None:
        """Progress changes no status."""

    def ended(self, job: Job[Any, Any]) -> None:
        self.waiter.wake()


async def until_reached(
    job: Job[Any, S], wanted: frozenset[str], values: tuple[S, ...], after: int
) -> Transition[S]:
    """Return the first transition after version *after* that entered one of these statuses."""
    for past in job._history[after:]:
        if name_of(past.dest) in wanted and not past.internal:
            return past
    if not wanted & job._state.reachable:
        raise Unreachable(job.id, job.status, values, after)
    check_may_wait(job)
    arrival = _Arrival(wanted, after)
    job._at_step = joined(job._at_step, arrival)
    try:
        await arrival.waiter
    finally:
        job._at_step = left(job._at_step, arrival)
    if arrival.found is not None:
        return arrival.found
    check_may_wait(job)
    raise Unreachable(job.id, job.status, values, after)


class Changes(Generic[S]):
    """Every transition of a job, in order and without a gap, and its newest progress.

    An asynchronous context manager, and an iterator inside of it. It is a cursor over the job's
    history, not a buffer: a slow reader delays nobody and holds nothing. A late one catches up
    first; progress comes when the reader has caught up, folded to the newest. It ends after the
    final transition. Waiting for the next change can be cancelled, and nothing is missed.

    Raises, when iterated:
        JobAbandoned: what the job depended on has gone.
        anyio.ClosedResourceError: the block was not entered, or has been left.
        anyio.BusyResourceError: another task is waiting for the next change.
    """

    __slots__ = ("_job", "_next", "_open", "_progressed", "_waiter")

    def __init__(self, job: Job[Any, S], after: int) -> None:
        self._job = job
        self._next = after
        self._open = False
        self._progressed = False
        self._waiter: Waiter | None = None

    async def __aenter__(self) -> Changes[S]:
        self._job._check_home()
        self._open = True
        self._progressed = self._job._running and self._job._reported is not None
        self._job._at_step = joined(self._job._at_step, self)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._open = False
        self._job._at_step = left(self._job._at_step, self)
        self._wake()

    def __aiter__(self) -> Changes[S]:
        return self

    async def __anext__(self) -> Transition[S] | Progress:
        if self._waiter is not None:
            raise BusyResourceError("waiting for changes from")
        job = self._job
        job._check_home()
        while True:
            if not self._open:
                raise ClosedResourceError
            if self._next < len(job._history):
                self._next += 1
                return job._history[self._next - 1]
            if job._state.final:
                raise StopAsyncIteration
            if self._progressed and self._next == len(job._history):
                self._progressed = False
                return job._progress_record()
            check_may_wait(job)
            self._waiter = waiter(running_loop())
            try:
                await self._waiter
            finally:
                self._waiter = None

    def moved(self, job: Job[Any, Any]) -> None:
        """Hear of a transition."""
        self._progressed = self._progressed and job._running
        self._wake()

    def reported(self, job: Job[Any, Any]) -> None:
        """Hear of a report of progress."""
        self._progressed = True
        self._wake()

    def ended(self, job: Job[Any, Any]) -> None:
        """Hear that the job was abandoned."""
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()
