"""One stream of what all jobs of a collection do.

The histories of the jobs are merged, each read at a cursor of its own. Only jobs with something
unread have a cursor, and one place in a heap by the time of what comes next: a reader that keeps
up holds nothing, a slow one an entry for each job, however much happens.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, cast

from anyio import BusyResourceError, ClosedResourceError

from ._loop import Waiter, running_loop, waiter
from ._records import Progress, S, Transition
from ._registry import Registry
from ._run_errors import ChangesLost
from ._waiting import check_may_wait, joined, left

if TYPE_CHECKING:
    from ._job import Job


class AllChanges(Generic[S]):
    """Every transition of all jobs of a collection, and their newest progress; see `Jobs.changes`.

    An asynchronous context manager, and an iterator inside of it. The transitions of each job come
    in order and without a gap; among those that a reader has yet to read, the earliest comes
    first, whichever job it is of. Progress of a job comes once all of its transitions have, folded
    to the newest. A job that is added later comes with all that it did before.

    A slow reader delays nobody, and holds one entry at most for each job that the collection
    keeps. Where a job was forgotten before it was read, the reader is told so once, and can read
    on. It ends when the collection is closed, all jobs are final, and all is read. Waiting for the
    next change can be cancelled, and nothing is missed.

    Raises, when iterated:
        ChangesLost: jobs were forgotten before all of their changes were read.
        JobAbandoned: all is read, the collection is closed, and what the jobs that are left
            depended on has gone. While others may move, an abandoned job ends nothing.
        WrongThread: read outside the jobs' event loop.
        anyio.ClosedResourceError: the block was not entered, or has been left.
        anyio.BusyResourceError: another task is waiting for the next change.
    """

    def __init__(self, registry: Registry, *, past: bool) -> None:
        self._registry, self._past = registry, past
        self._open = False
        self._waiter: Waiter | None = None
        self._clear()

    def _clear(self) -> None:
        self._unread: dict[Job[Any, S], int] = {}
        """How much was read of the history of each job that is in the heap."""

        self._heap: list[tuple[float, int, Job[Any, S]]] = []
        """When the next change of a job happened; of one time, the first to be put in is first."""

        self._order = count()
        self._progressed: set[Job[Any, S]] = set()
        """Jobs that have reported, since that was read, in the attempt that they are on."""

        self._lost_jobs = self._lost_changes = 0
        """What was forgotten before it was read."""

    async def __aenter__(self) -> AllChanges[S]:
        registry = self._registry
        registry.check_home()
        registry.look()
        self._open = True
        for job in registry.by_id.values():
            self._begin(job, 0 if self._past else len(job._history))
        registry.followers = joined(registry.followers, self)
        registry.readers = joined(registry.readers, self)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._open = False
        self._registry.followers = left(self._registry.followers, self)
        self._registry.readers = left(self._registry.readers, self)
        self._clear()
        self._wake()

    def __aiter__(self) -> AllChanges[S]:
        return self

    async def __anext__(self) -> Transition[S] | Progress:
        if self._waiter is not None:
            raise BusyResourceError("waiting for changes from")
        registry = self._registry
        registry.check_home()
        while True:
            if not self._open:
                raise ClosedResourceError
            if self._lost_jobs:
                lost = ChangesLost(self._lost_jobs, self._lost_changes)
                self._lost_jobs = self._lost_changes = 0
                raise lost
            change = self._taken()
            if change is not None:
                return change
            if registry.is_closed and len(registry.abandoned) == registry.unfinished:
                for job in registry.abandoned:
                    check_may_wait(job)
                raise StopAsyncIteration
            self._waiter = waiter(running_loop())
            try:
                await self._waiter
            finally:
                self._waiter = None

    # --- what is read next ---

    def _taken(self) -> Transition[S] | Progress | None:
        """Return the earliest change that is unread, and note that it is read."""
        while self._heap:
            due, _, job = heappop(self._heap)
            read = self._unread.pop(job, None)
            if read is None:
                continue  # it was forgotten
            if read == len(job._history):
                self._progressed.discard(job)
                return job._progress_record()
            change = job._history[read]
            if change.timestamp > due:  # it has the place of progress reported earlier
                self._put(job, read)
                continue
            self._put(job, read + 1)
            return change
        return None

    def _put(self, job: Job[Any, S], read: int) -> None:
        """Give a job, of whose history so much was read, its place by what comes next, if any."""
        if read < len(job._history):
            due = job._history[read].timestamp
        elif job in self._progressed:
            due = cast(float, job._reported)
        else:
            return
        self._unread[job] = read
        heappush(self._heap, (due, next(self._order), job))

    def _begin(self, job: Job[Any, S], read: int) -> None:
        if job._running and job._reported is not None:
            self._progressed.add(job)
        self._put(job, read)

    # --- what is heard ---

    def moved(self, job: Job[Any, S]) -> None:
        """Hear of a transition."""
        if not job._running:
            self._progressed.discard(job)
        if job not in self._unread:
            self._put(job, len(job._history) - 1)
        self._wake()

    def reported(self, job: Job[Any, S]) -> None:
        """Hear of a report of progress."""
        self._progressed.add(job)
        if job not in self._unread:
            self._put(job, len(job._history))
        self._wake()

    def ended(self, job: Job[Any, S]) -> None:
        """Hear that a job was abandoned."""
        self._wake()

    def added(self, job: Job[Any, S]) -> None:
        """Hear of a job that has come; what it did before is unread."""
        self._begin(job, 0)
        self._wake()

    def forgotten(self, job: Job[Any, S]) -> None:
        """Hear of a job that has gone; what is unread of it is lost."""
        read = self._unread.pop(job, None)
        if read is not None:
            self._lost_jobs += 1
            self._lost_changes += len(job._history) - read
            if len(self._heap) > 2 * len(self._unread):  # or it would hold what was forgotten
                self._heap = [entry for entry in self._heap if entry[2] in self._unread]
                heapify(self._heap)

    def closed(self) -> None:
        """Hear that no more jobs will come."""
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()
