"""Jobs in a store: made, driven and awaited from any process.

``await jobs.open("jobs.db").get(job_id).completed()`` waits, without polling, for a job that
another process runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from operator import index
from types import TracebackType
from typing import Any

import anyio

from ._block import enter, leave
from ._errors import BadArgument, JobStateError, WrongThread
from ._handle import AllSeen, JobHandle, StoredChanges
from ._job import Job
from ._job_lifecycle import JOB_LIFECYCLE
from ._jobs import Jobs
from ._keeper import Keeper
from ._lifecycle import Lifecycle
from ._loop import describe, home
from ._portable import named
from ._records import Snapshot
from ._restore import shown
from ._run_errors import JobsClosed
from .abc import Store

__all__ = ["JobHandle", "StoredChanges", "StoredJobs", "open"]


def open(
    store: str | os.PathLike[str] | Store, *, lifecycles: Iterable[Lifecycle[Any]] = ()
) -> StoredJobs:
    """Return the jobs that a store has; nothing is opened yet.

    Args:
        store: the path of a SQLite file, or any store; a block closes it when it is left.
        lifecycles: those of one's own that its jobs may follow; `JOB_LIFECYCLE` is known.

    Raises:
        ValueError: two of the lifecycles have one name, or *store* names no file.
        TypeError: an argument is of the wrong kind.
    """
    return StoredJobs(store, lifecycles=lifecycles)


class StoredJobs:
    """The jobs that a store has; see `open`.

    What only reads (`get`, `list`, `changes`) can be used as it is: the file is open while somebody
    waits. To make or to move jobs, enter the block:
    ``async with jobs.open("jobs.db") as stored: job = await stored.load("north")``. Inside of it
    a loaded job is kept up to date, whoever moves it; when it is left, the store is closed, and
    waits for jobs that have not ended raise `JobAbandoned`. It belongs to one event loop.

    Whatever asks the store, the entering of the block too, may raise one of these:

    Raises:
        StoreClosed: the store was closed.
        StoreBroken, StoreBusy, ForeignStore, NewerFormat, CorruptRecord: it cannot be read or, for
            what is to be kept, be written; see `jobstate.abc.Store`.
        RuntimeError: the block was entered before.
    """

    def __init__(
        self, store: str | os.PathLike[str] | Store, *, lifecycles: Iterable[Lifecycle[Any]] = ()
    ) -> None:
        self._given = store if isinstance(store, Store) else None
        self._path = None if isinstance(store, Store) else os.fspath(store)
        if self._path is not None:
            self._store(create=False)  # says so where it names no file
            self._path = os.path.abspath(self._path)  # wherever the program goes later
        self.lifecycles: Mapping[str, Lifecycle[Any]] = _by_name(lifecycles)
        """The lifecycles that are known, by their names."""

        self._open: Store | None = None
        """That of the block."""

        self._aside: Store | None = None
        """What is used outside of the block, by so many."""

        self._users = 0
        self._home: object = None
        self._block: AbstractAsyncContextManager[None] | None = None
        self._jobs: Jobs[Any, Any] = Jobs(keep=10_000)
        self._keeper: Keeper | None = None

    def __repr__(self) -> str:
        return f"<StoredJobs of {self._path or self._given!r}>"

    # --- the block ---

    async def __aenter__(self) -> StoredJobs:
        if self._block is not None:
            raise RuntimeError("a block of stored jobs can be entered once; open them again")
        self._block = self._opened()
        await enter(self._block)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None
        return await leave(self._block, 1, exc_type, exc, tb)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        store = self._store(create=True)
        self._keeper = Keeper(store, self._jobs, self.lifecycles.values(), clock=time.time)
        self._home = home()
        try:
            async with self._keeper.opened(self._lost):
                self._open = store
                try:
                    yield
                finally:
                    self._open = None  # first: nothing is begun that could not be gone on with
                    self._jobs.close()
        finally:
            self._lost("the block of its store was left")

    def _lost(self, why: JobStateError | str) -> None:
        """Wake who waits for jobs of which nothing more is heard."""
        for job in self._jobs:
            if not job._state.final:
                job.abandon(str(why))

    @asynccontextmanager
    async def _in_use(self) -> AsyncIterator[Store]:
        """Have the store open: that of the block, or else one until nobody uses it any more."""
        if self._open is not None:
            yield self._open
            return
        if self._aside is None:
            self._aside = self._store(create=False)
        self._users += 1
        try:
            yield self._aside
        finally:
            self._users -= 1
            if not self._users:
                store, self._aside = self._aside, None
                if self._given is None:
                    with anyio.CancelScope(shield=True):
                        await store.aclose()

    def _store(self, *, create: bool) -> Store:
        """Return the store that was given, or a new one on the file, which is perhaps made."""
        if self._path is None:
            assert self._given is not None
            return self._given
        from .stores.sqlite import SQLiteStore

        return SQLiteStore(self._path, create=create)

    # --- reading ---

    def get(self, job_id: str) -> JobHandle:
        """Return a job by its id, to wait for it; whether it is there is told by what waits.

        Raises:
            InvalidJobId: it is no id.
        """
        return JobHandle(job_id, self)

    async def list(self, *statuses: Any, limit: int | None = 100) -> list[Snapshot[Any, str]]:
        """Return jobs as they are now, the newest first.

        Args:
            statuses: only those that have one of them, if any is given.
            limit: so many at most; ``None`` means all.

        Raises:
            TypeError, ValueError: *limit* is no number of jobs.
        """
        if limit is not None and index(limit) < 0:
            raise ValueError(f"limit is how many jobs are listed at most, and not {limit}")
        found: list[Snapshot[Any, str]] = []
        before: int | None = None
        wanted: Collection[str] = [named(status) for status in statuses]
        async with self._in_use() as store:
            while limit is None or len(found) < limit:
                page = await store.jobs(statuses=wanted, before=before)
                if not page:
                    break
                found += (shown(stored, self.lifecycles) for stored in page)
                before = page[-1].created
        return found[:limit]

    def changes(self, *, past: bool = False) -> StoredChanges:
        """Return a stream of every transition of all jobs, and of their progress.

        ``async with stored.changes() as changes: async for change in changes: …``. Statuses are
        names. It does not end by itself.

        Args:
            past: whether it begins with all that there is, and not with what happens after the
                block is entered.
        """
        return StoredChanges(self._seen(past=past))

    @asynccontextmanager
    async def _seen(self, *, past: bool) -> AsyncIterator[AllSeen]:
        async with self._in_use() as store, store.follow(after=0 if past else None) as feed:
            yield AllSeen(feed)

    # --- making and moving ---

    async def create(
        self,
        id: str | None = None,
        *,
        name: str = "",
        lifecycle: Lifecycle[Any] = JOB_LIFECYCLE,
        max_attempts: int | None = 3,
        info: Mapping[str, Any] | None = None,
        extras: Mapping[str, Any] | None = None,
    ) -> Job[Any, Any]:
        """Make a job, and return it once it is kept; the arguments are those of `Job`.

        Cancelled, it may or may not be kept.

        Raises:
            DuplicateJob: the store has another job of that id.
            Unstorable: something in it is no JSON, or too much.
            JobsClosed: the block was not entered, or has been left.
            WrongThread: called outside the block's event loop.
            InvalidJobId, BadArgument: as `Job` raises them; a lifecycle has to be known by `open`.
        """
        job: Job[Any, Any] = Job(
            id, name=name, lifecycle=lifecycle, max_attempts=max_attempts, info=info, extras=extras
        )
        if self.lifecycles.get(lifecycle.name) is not lifecycle:
            known = ", ".join(self.lifecycles)
            problem = f"not one of those that open(…, lifecycles=…) has: {known}"
            raise BadArgument(job.id, f"create(lifecycle={lifecycle!r})", problem)
        keeper = self._kept(job.id, "added")
        await keeper.add(job)
        if keeper.lost is not None and not job._state.final:
            job.abandon(str(keeper.lost))  # as those were that were here when it was lost
        return job

    async def load(self, job_id: str) -> Job[Any, Any]:
        """Return a job of the store, to be moved and hooked; the same one each time.

        What others do to it, it does as well, as soon as it is heard of. A trigger is judged by
        where the job stands in the store, whoever has brought it there. Hooks run where a trigger
        is called, and not where its step is heard of.

        Raises:
            JobNotFound: the store has no such job.
            InvalidJobId: no job can be called that.
            NotRestorable: it follows a lifecycle that is not known here.
            JobsClosed: the block was not entered, or has been left.
            WrongThread: called outside the block's event loop.
        """
        return await self._kept(job_id, "loaded").load(job_id)

    def _kept(self, job_id: str, request: str) -> Keeper:
        if self._keeper is None:
            state = "has not been opened; use it as an async context manager"
            raise JobsClosed(job_id, state, request)
        if self._open is None:
            raise JobsClosed(job_id, request=request)
        here = home()
        if here is not self._home:
            raise WrongThread(job_id, describe(self._home), describe(here))
        return self._keeper


def _by_name(lifecycles: Iterable[Lifecycle[Any]]) -> dict[str, Lifecycle[Any]]:
    own: dict[str, Lifecycle[Any]] = {}
    for lifecycle in lifecycles:
        if not isinstance(lifecycle, Lifecycle):
            raise TypeError(f"lifecycles are of class Lifecycle, not {lifecycle!r}")
        if own.setdefault(lifecycle.name, lifecycle) is not lifecycle:
            raise ValueError(f"two of the lifecycles are named {lifecycle.name!r}")
    return {JOB_LIFECYCLE.name: JOB_LIFECYCLE, **own}
