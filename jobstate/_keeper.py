"""Jobs that are bound to a store: it has their steps before anybody hears of them.

A keeper is the journal of all jobs of a collection, and follows the store: a step that another
process has taken is taken here as well. There is never a doubt who was first, because the store
compares and sets; so what the feed brings is taken only while nobody moves the job here, and a job
that is being moved looks for itself once it is not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus

from ._codec import job_id_of
from ._errors import JobStateError, TransitionRefused
from ._job import Job
from ._jobs import Jobs
from ._lifecycle import Lifecycle
from ._recipe import kept_output
from ._records import Progress
from ._replay import replay, replay_progress
from ._reports import Reports
from ._restore import restored
from ._store_errors import StaleVersion, StoreBroken, StoreBusy
from ._stored import Entry, JobRecord, Record, StoredJob
from .abc import Feed, Store


class Keeper:
    """Binds the jobs of a collection to a store.

    Args:
        store: where they are kept.
        jobs: the collection; each job that joins it is moved through the store from then on.
        lifecycles: what jobs may follow that are loaded.
        clock: tells POSIX seconds, for jobs that are loaded.
        progress_every: seconds between two reports of a job that are stored; see `Reports`.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs[Any, Any],
        lifecycles: Iterable[Lifecycle[Any]],
        *,
        clock: Callable[[], float],
        progress_every: float = 1.0,
    ) -> None:
        self.store = store
        self.lifecycles = {lifecycle.name: lifecycle for lifecycle in lifecycles}
        self._jobs, self._clock = jobs, clock
        self._reports = Reports(store, progress_every)
        self._mine: dict[str, str] = {}
        """What was last written for each job here: the feed will bring it, and it is known."""

        self._behind: dict[Job[Any, Any], bool] = {}
        """Jobs that are being brought up to date; whether there is more since that was begun."""

        self._arrivals: dict[str, list[_Arrival]] = {}
        """Jobs that are about to be here."""

        self._strangers: set[str] | None = None
        """Which jobs that are not here were moved, while that is of interest."""

        self._tasks: TaskGroup | None = None
        self._hearing = False
        """What is reported now comes from the store."""

        jobs._own.journal = self
        jobs._follow(self)

    # --- the journal of its jobs ---

    async def append(self, entry: Entry) -> Sequence[Entry]:
        """Write a step, unless others were first: then return theirs. See `abc.Journal`."""
        step = entry.transition
        job = self._jobs._registry.by_id[step.job_id]
        await self._reports.flush(job)
        self._mine[step.job_id] = entry.append_id
        kept = kept_output(entry)
        try:
            await _sure(lambda: self.store.append(kept, expected=step.version - 1))
        except (StaleVersion, TransitionRefused):
            self._mine.pop(step.job_id, None)
            others = await self.missed(step.job_id, step.version - 1)
            if not others:
                raise  # the store has less than it had
            return others
        except BaseException:
            self._mine.pop(step.job_id, None)  # whether it was written or not, the feed will tell
            self._catch_up_soon(job)
            raise
        return ()

    async def missed(self, job_id: str, after: int) -> Sequence[Entry]:
        """Return what was written for a job after a version. See `abc.SharedJournal`."""
        return await self.store.history(job_id, after=after)

    # --- which jobs ---

    async def add(self, job: Job[Any, Any], data: Any = None) -> Job[Any, Any]:
        """Keep a job that has just been made, and return it; *data* is for whoever runs it."""
        record = JobRecord(
            job.id,
            job._created,
            job.name,
            job.lifecycle.name,
            job._state.name,
            job.max_attempts,
            job.info,
            job.extras,
            data,
        )
        with self._arrival(job.id) as arrival:
            await _sure(lambda: self.store.create(record))
            self._jobs.add(job)
        return await self._arrived(job, arrival)

    async def load(self, job_id: str) -> Job[Any, Any]:
        """Return a job that the store has, the same one each time it is asked for.

        Raises:
            JobNotFound, NotRestorable: as `Store.load` and `restored` raise them.
        """
        by_id = self._jobs._registry.by_id
        if job_id in by_id:
            return by_id[job_id]
        with self._arrival(job_id) as arrival:
            stored = await self.store.load(job_id)
            job = self.restore(stored)
        return await self._arrived(job, arrival)

    @asynccontextmanager
    async def restoring(self) -> AsyncIterator[None]:
        """Bring jobs that `restore` takes in up to date at the end of the block."""
        strangers: set[str] = set()
        self._strangers = strangers
        try:
            yield
        finally:
            self._strangers = None
            by_id = self._jobs._registry.by_id
            for job_id in strangers & by_id.keys():
                await self.catch_up(by_id[job_id])

    def restore(self, stored: StoredJob) -> Job[Any, Any]:
        """Return a job as the store had it, perhaps a moment ago; one that is here, as it is."""
        there = self._jobs._registry.by_id.get(stored.job.id)
        if there is not None:
            return there
        job = restored(stored, self.lifecycles, self._clock)
        self._jobs.add(job)
        return job

    @contextmanager
    def _arrival(self, job_id: str) -> Iterator[_Arrival]:
        """Note whether others move a job that is about to join the collection."""
        arrival = _Arrival()
        arrivals = self._arrivals.setdefault(job_id, [])
        arrivals.append(arrival)
        try:
            yield arrival
        finally:
            arrivals.remove(arrival)
            if not arrivals:
                del self._arrivals[job_id]

    async def _arrived(self, job: Job[Any, Any], arrival: _Arrival) -> Job[Any, Any]:
        if arrival.moved:
            await self.catch_up(job)
        return job

    # --- what its jobs do ---

    def moved(self, job: Job[Any, Any]) -> None:
        """Hear of a step, whoever took it."""
        if job._state.rests:
            self._reports.attempt_over(job)
        if job._state.final:
            self._mine.pop(job.id, None)

    def reported(self, job: Job[Any, Any]) -> None:
        """Hear of a report of progress."""
        if not self._hearing:
            self._reports.add(job)

    def ended(self, job: Job[Any, Any]) -> None:
        """Hear that a job was abandoned, which changes nothing of what is kept."""

    # --- following ---

    @asynccontextmanager
    async def opened(self, lost: Callable[[JobStateError], object]) -> AsyncIterator[None]:
        """Have the store open and followed in a block, and close it after that.

        *lost* is called where the store cannot be followed any more.
        """
        async with self.store, anyio.create_task_group() as tasks:
            following = await tasks.start(self._follow, lost)
            try:
                yield
            finally:
                try:
                    with anyio.CancelScope(shield=True):
                        await self._reports.flush_all()
                finally:
                    following.cancel()

    async def _follow(
        self,
        lost: Callable[[JobStateError], object],
        *,
        task_status: TaskStatus[anyio.CancelScope],
    ) -> None:
        with anyio.CancelScope(shield=True) as scope:
            try:
                async with anyio.create_task_group() as self._tasks:
                    self._tasks.start_soon(self._reports.run)
                    async with self.store.follow(after=None) as feed:
                        task_status.started(scope)
                        await self._listen(feed, lost)
            finally:
                self._tasks = None

    async def _listen(self, feed: Feed, lost: Callable[[JobStateError], object]) -> None:
        while True:
            try:
                kept = await anext(feed)
            except StoreBusy:
                continue  # to wait for the other program is what the store has done
            except JobStateError as error:
                lost(error)
                return
            self._hear(kept.record)

    def _hear(self, record: Record) -> None:
        job_id = job_id_of(record)
        job = self._jobs._registry.by_id.get(job_id)
        if job is None and isinstance(record, Entry):
            for arrival in self._arrivals.get(job_id, ()):
                arrival.moved = True
            if self._strangers is not None:
                self._strangers.add(job_id)
        if job is None:
            return
        if isinstance(record, Progress):
            self._hearing = True
            try:
                replay_progress(job, record)
            finally:
                self._hearing = False
        elif isinstance(record, Entry) and self._is_news(record, job):
            if job._turn is None and record.transition.version == job.version + 1:
                self._replay(job, [record])
            else:
                self._catch_up_soon(job)

    def _is_news(self, entry: Entry, job: Job[Any, Any]) -> bool:
        return entry.transition.version > job.version and entry.append_id != self._mine.get(job.id)

    def _catch_up_soon(self, job: Job[Any, Any]) -> None:
        if self._tasks is not None and self._is_behind(job):
            self._tasks.start_soon(self._catch_up, job)

    async def catch_up(self, job: Job[Any, Any]) -> None:
        """Bring a job up to date, once nobody moves it, unless that is being done already."""
        if self._is_behind(job):
            await self._catch_up(job)

    def _is_behind(self, job: Job[Any, Any]) -> bool:
        """Note that a job is behind; return whether that is new."""
        new = job not in self._behind
        self._behind[job] = True
        return new

    async def _catch_up(self, job: Job[Any, Any]) -> None:
        try:
            while self._behind[job]:
                self._behind[job] = False
                await job._take_turn()
                try:
                    self._replay(job, await self.missed(job.id, job.version))
                finally:
                    job._release()
        except JobStateError as error:
            job.abandon(f"its store cannot be read: {error}")
        finally:
            del self._behind[job]

    def _replay(self, job: Job[Any, Any], entries: Iterable[Entry]) -> None:
        try:
            for entry in entries:
                replay(job, entry)
        except JobStateError as error:
            job.abandon(str(error))


class _Arrival:
    """A job on its way into the collection."""

    moved = False
    """Others have moved it since."""


async def _sure(write: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Write; where the store broke and might have written or not, once more."""
    try:
        await write()
    except StoreBroken:
        await write()
