"""One job of a store, seen from wherever: awaited and read without being driven."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Protocol

from anyio import ClosedResourceError

from ._arguments import checked_version
from ._compile import name_of
from ._errors import BadArgument, Unreachable
from ._ids import checked_id
from ._job import Job
from ._records import Outcome, Progress, Snapshot, Transition
from ._replay import replay, replay_progress
from ._restore import Lifecycles, begun, shown
from ._run_errors import JobNotFound
from ._stored import Entry, JobRecord
from .abc import Feed, Store


class Shelf(Protocol):
    """Where jobs are kept."""

    lifecycles: Lifecycles

    def _in_use(self) -> AbstractAsyncContextManager[Store]:
        """Return a block in which the store is open."""
        ...


class JobHandle:
    """A job by its id, in a store that any process may write.

    Asking for one reads nothing. Each wait reads what the job went through so far, and is woken by
    whoever writes the rest, in this process or in another; waits can be cancelled, and leave
    nothing behind. ``await handle`` gives the job's result, or raises how else it ended, as
    ``await job`` does. To move the job, or to have hooks on it, `StoredJobs.load` it.

    Whatever is asked of it, it may raise one of these:

    Raises:
        JobNotFound: the store has no such job.
        StoreClosed: the store was closed, or is meanwhile.
        StoreBroken, StoreBusy, ForeignStore, NewerFormat, CorruptRecord: it cannot be read.
        NotRestorable: the job follows a lifecycle that is not known here; not raised by `snapshot`
            and `history`, which know its statuses by their names.
    """

    def __init__(self, job_id: str, shelf: Shelf) -> None:
        self.id = checked_id(job_id)
        self._shelf = shelf

    def __repr__(self) -> str:
        return f"<JobHandle {self.id}>"

    async def completed(self) -> Outcome[Any, Any]:
        """Return how the job ended, once it has; at once if it has already.

        It never raises for how the job ended.
        """
        async with self._seen() as seen:
            while not seen.job._state.final:
                await seen.read()
            return seen.job._ended()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._value().__await__()

    async def _value(self) -> Any:
        return (await self.completed()).value()

    async def reached(self, *statuses: Any, after: int = 0) -> Transition[Any]:
        """Return the first transition after a version that entered one of *statuses*.

        At once if it lies in the past; as `Job.reached` does it.

        Raises:
            Unreachable: the job can no longer enter any of them.
            UnknownStatus: the lifecycle has no such status.
            BadArgument: there are no statuses, or *after* is no version.
        """
        checked_version(self.id, after)
        if not statuses:
            raise BadArgument(self.id, "reached()", "say which statuses to wait for")
        async with self._seen(after) as seen:
            job = seen.job
            states = [job.lifecycle._state(job._table, status) for status in statuses]
            wanted = frozenset(state.name for state in states)
            while wanted & job._state.reachable:
                step = await seen.read()
                if not isinstance(step, Transition) or step.internal:
                    continue
                if name_of(step.dest) in wanted:
                    return step
            raise Unreachable(job.id, job.status, tuple(state.value for state in states), after)

    def changes(self, after: int = 0) -> StoredChanges:
        """Return a stream of every transition after a version, and of progress, up to the end.

        ``async with handle.changes() as changes: async for change in changes: …``; a change is a
        `Transition` or a `Progress`.

        Raises:
            BadArgument: *after* is no version.
        """
        return StoredChanges(self._seen(checked_version(self.id, after)))

    async def snapshot(self) -> Snapshot[Any, str]:
        """Return all that can be read of the job now; its status is a name.

        A member of `JobStatus` equals its name.
        """
        async with self._shelf._in_use() as store:
            return shown(await store.load(self.id), self._shelf.lifecycles)

    async def history(self, after: int = 0) -> tuple[Transition[str], ...]:
        """Return the transitions of the job after a version, in order, with names for statuses.

        Raises:
            BadArgument: *after* is no version.
        """
        checked_version(self.id, after)
        async with self._shelf._in_use() as store:
            entries = await store.history(self.id, after=after)
        return tuple(entry.transition for entry in entries)

    @asynccontextmanager
    async def _seen(self, after: int = 0) -> AsyncIterator[Seen]:
        async with self._shelf._in_use() as store, store.follow(self.id) as feed:
            first = (await anext(feed)).record
            assert isinstance(first, JobRecord)
            yield Seen(begun(first, self._shelf.lifecycles, time.time), feed, after)


class Seen:
    """A job that goes through what a feed tells of it."""

    def __init__(self, job: Job[Any, Any], feed: Feed, after: int) -> None:
        self.job, self._feed, self._after = job, feed, after

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        return self.job._state.final

    async def read(self) -> Transition[Any] | Progress | None:
        """Have the job do what comes next; return it if it is new, and after the version."""
        record = (await anext(self._feed)).record
        if isinstance(record, Entry):
            replay(self.job, record)
            return self.job._history[-1] if self.job.version > self._after else None
        if isinstance(record, JobRecord):  # another of its id: the store has let go of ours
            raise JobNotFound(self.job.id, None)
        known = replay_progress(self.job, record)
        return record if known and self.job.version >= self._after else None


class AllSeen:
    """What a feed tells of all jobs."""

    over = False

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def read(self) -> Transition[Any] | Progress | None:
        """Return the next transition or progress; ``None`` where a job was made."""
        record = (await anext(self._feed)).record
        if isinstance(record, JobRecord):
            return None
        return record if isinstance(record, Progress) else record.transition


class StoredChanges:
    """Transitions and progress of a job in a store, or of all, in order and without a gap.

    An asynchronous context manager, and an iterator inside of it; that of one job ends after the
    final transition. Waiting for the next change can be cancelled, and nothing is missed. A slow
    reader delays nobody, and holds a page at most. When iterated it raises what a `JobHandle` does,
    ``anyio.ClosedResourceError`` outside of its block, and ``anyio.BusyResourceError`` where
    another task is waiting for the next change.
    """

    def __init__(self, block: AbstractAsyncContextManager[Seen | AllSeen]) -> None:
        self._block = block
        self._seen: Seen | AllSeen | None = None

    async def __aenter__(self) -> StoredChanges:
        self._seen = await self._block.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        self._seen = None
        return await self._block.__aexit__(exc_type, exc, tb)

    def __aiter__(self) -> StoredChanges:
        return self

    async def __anext__(self) -> Transition[Any] | Progress:
        while True:
            if self._seen is None:
                raise ClosedResourceError
            if self._seen.over:
                raise StopAsyncIteration
            change = await self._seen.read()
            if change is not None:
                return change
