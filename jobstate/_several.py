"""Waiting for several jobs at once, in one task."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar, cast, overload

from anyio import BusyResourceError, ClosedResourceError

from ._job import Job
from ._loop import Waiter, home, running_loop, waiter
from ._records import Outcome, S, T
from ._waiting import check_may_wait, joined, left

J = TypeVar("J", bound=Job[Any, Any])
"""The one type of several jobs; where they differ, mypy finds none: hence the overloads."""


class _Collector(Generic[J]):
    """Listens to several jobs; it alone is registered with each, so that a wait weighs little."""

    __slots__ = ("_home", "abandoned", "done", "listening", "pending", "waiter", "wanted")

    def __init__(self, jobs: Iterable[J]) -> None:
        unique = dict.fromkeys(jobs)
        self.done: deque[J] = deque()
        """Jobs that have ended (or were abandoned), in that order."""

        self.pending: set[J] = set()
        self.waiter: Waiter | None = None
        self.wanted = 0
        """How many jobs must have ended before the waiter is woken."""

        self.abandoned: deque[J] = deque()
        """Jobs that nobody can tell the end of: the first wakes the waiter at once."""

        self.listening = False
        for job in unique:
            job._check_home()
            if job._state.final:
                self.done.append(job)
            else:
                check_may_wait(job)
                self.pending.add(job)
        self._home = home()
        self.listen()

    def listen(self) -> None:
        """Register with each job; those that have ended meanwhile are done, the earliest first."""
        if not self.listening:
            self.listening = True
            missed = [job for job in self.pending if job._state.final or job._abandoned]
            for job in sorted(missed, key=lambda job: job._updated):
                self.ended(job)
            for job in self.pending:
                job._at_end = joined(job._at_end, self)

    def ended(self, job: Job[Any, Any]) -> None:
        """Hear that a job has ended, or was abandoned."""
        mine = cast(J, job)
        job._at_end = left(job._at_end, self)
        self.pending.discard(mine)
        self.done.append(mine)
        if not job._state.final:
            self.abandoned.append(mine)
        if self.waiter is not None and (self.abandoned or len(self.done) >= self.wanted):
            self.waiter.wake()

    async def wait_for(self, wanted: int) -> None:
        """Return once that many jobs are in `done`, or one was abandoned.

        Cancelled, it leaves nothing with the jobs; it may be called again.
        """
        self.check_home()
        self.listen()
        if len(self.done) >= wanted:
            return
        self.wanted, self.waiter = wanted, waiter(running_loop())
        try:
            await self.waiter
        except BaseException:
            self.close()
            raise
        finally:
            self.waiter = None

    def check_home(self) -> None:
        """Raise in another loop than the jobs'; made where none runs, it brings them into one."""
        if home() is not self._home:
            for job in (*self.done, *self.pending):
                job._check_home()
            self._home = home()

    def close(self) -> None:
        """Listen no more."""
        if self.listening:
            self.listening = False
            for job in self.pending:
                job._at_end = left(job._at_end, self)


@overload
async def all_completed(jobs: Iterable[Job[T, S]]) -> list[Outcome[T, S]]: ...


@overload
async def all_completed(jobs: Iterable[Job[Any, Any]]) -> list[Outcome[Any, Any]]: ...


async def all_completed(jobs: Iterable[Job[T, S]]) -> list[Outcome[T, S]]:
    """Return how each of *jobs* ended, in the order given, once all have.

    It never raises for how they ended, and needs no task a job. Cancelling it touches no job.

    Raises:
        JobAbandoned: what one of them depended on has gone.
        ReentrantWait, WrongThread: as `Job.completed` raises them.
    """
    wanted = list(jobs)
    collector = _Collector(wanted)
    total = len(collector.done) + len(collector.pending)
    try:
        while collector.pending:
            await collector.wait_for(total)
            while collector.abandoned:
                _outcome(collector.abandoned.popleft())  # raises, unless it has ended since
    finally:
        collector.close()
    return [_outcome(job) for job in wanted]


@overload
async def first_completed(jobs: Iterable[J]) -> J: ...


@overload
async def first_completed(  # type: ignore[overload-cannot-match]  # it can: see `J`
    jobs: Iterable[Job[Any, Any]],
) -> Job[Any, Any]: ...


async def first_completed(jobs: Iterable[J]) -> J:
    """Return the first of *jobs* that ends; of several that have ended, the first given.

    It needs no task a job. Cancelling it touches no job.

    Raises:
        ValueError: no jobs were given.
        JobAbandoned: what the first to be heard of depended on has gone.
        ReentrantWait, WrongThread: as `Job.completed` raises them.
    """
    collector = _Collector(jobs)
    if not collector.done and not collector.pending:
        raise ValueError("first_completed() of no jobs would never return")
    try:
        await collector.wait_for(1)
    finally:
        collector.close()
    first = collector.done[0]
    _outcome(first)
    return first


@overload
def as_completed(jobs: Iterable[J]) -> AsCompleted[J]: ...


@overload
def as_completed(  # type: ignore[overload-cannot-match]  # it can: see `J`
    jobs: Iterable[Job[Any, Any]],
) -> AsCompleted[Any]: ...


def as_completed(jobs: Iterable[J]) -> AsCompleted[J]:
    """Return an iterator over *jobs* in the order in which they end.

    ``async for job in as_completed(jobs): …``; those that have ended come first, as given. A loop
    that is left early listens no more as soon as the iterator is dropped, or at once if it is
    used as ``async with as_completed(jobs) as done: async for job in done: …``.

    Raises:
        ReentrantWait, WrongThread: as `Job.completed` raises them.
    """
    return AsCompleted(_Collector(jobs))


class AsCompleted(Generic[J]):
    """Jobs in the order in which they end; see `as_completed`. Nothing is missed if cancelled.

    Raises, when iterated:
        JobAbandoned: what the next job to be heard of depended on has gone.
        anyio.ClosedResourceError: its block has been left.
        anyio.BusyResourceError: another task is waiting for the next job.
    """

    def __init__(self, collector: _Collector[J]) -> None:
        self._collector = collector
        self._open = True

    async def __aenter__(self) -> AsCompleted[J]:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._open = False
        self._collector.close()
        if self._collector.waiter is not None:
            self._collector.waiter.wake()

    def __del__(self) -> None:
        self._collector.close()

    def __aiter__(self) -> AsCompleted[J]:
        return self

    async def __anext__(self) -> J:
        collector = self._collector
        if collector.waiter is not None:
            raise BusyResourceError("waiting for jobs from")
        if self._open and (collector.done or collector.pending):
            await collector.wait_for(1)
            collector.abandoned.clear()
        if not self._open:
            raise ClosedResourceError
        if not collector.done:
            raise StopAsyncIteration
        job = collector.done.popleft()
        _outcome(job)
        return job


def _outcome(job: Job[T, S]) -> Outcome[T, S]:
    """Return how a job ended, or raise that nobody can tell any more."""
    if not job._state.final:
        check_may_wait(job)
    return job._ended()
