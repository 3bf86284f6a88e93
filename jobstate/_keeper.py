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
from anyio.abc import TaskGroup

from ._codec import job_id_of
from ._errors import JobStateError
from ._job import Job
from ._jobs import Jobs
from ._lifecycle import Lifecycle
from ._recipe import kept_output
from ._records import Progress
from ._replay import replay, replay_progress
from ._reports import Reports
from ._restore import restored
from ._run_errors import DuplicateJob
from ._store_errors import (
    CorruptRecord,
    NewerFormat,
    NotRestorable,
    StaleVersion,
    StoreBroken,
    StoreBusy,
)
from ._stored import Entry, JobRecord, Record, StoredJob
from .abc import Feed, Store

_TRIES = 3
"""How often a feed that breaks is read on, before it counts as lost."""


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

        self._reporting: set[Job[Any, Any]] = set()
        """Jobs whose present attempt reports here: what the feed tells of that is known."""

        self._coming: dict[str, Job[Any, Any]] = {}
        """Jobs that are being written for the first time."""

        self._notes: dict[str | None, list[_Notes]] = {}
        """Who wants to know whether a job that is not here is moved; under ``None``, any job."""

        self._behind: dict[Job[Any, Any], _Behind] = {}
        """Jobs that are being brought up to date."""

        self._tasks: TaskGroup | None = None
        self._hearing = False
        """What is reported now comes from the store."""

        self.lost: JobStateError | None = None
        """Why nothing is heard of what others do any more."""

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
        except StaleVersion:
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
        by_id = self._jobs._registry.by_id
        there = self._coming.get(job.id) or by_id.get(job.id)
        if there is not None and (job.id in self._coming or not there._state.final):
            raise DuplicateJob(job.id, there.status)
        self._coming[job.id] = job
        try:
            with self._noting(job.id) as moved:
                await _sure(lambda: self.store.create(record))
                self._make_room(job.id)
                self._jobs.add(job)
        finally:
            del self._coming[job.id]
        return await self._up_to_date(job, moved)

    async def load(self, job_id: str) -> Job[Any, Any]:
        """Return a job that the store has, the same one each time it is asked for.

        Raises:
            JobNotFound, NotRestorable: as `Store.load` and `restored` raise them.
            StoreClosed, StoreBroken, CorruptRecord: the store cannot be followed any more.
        """
        job = self._jobs._registry.by_id.get(job_id)
        with self._noting(job_id) as moved:
            if job is None or job._state.final:  # the store may have let go of that one
                stored = await self.store.load(job_id)
                if self.lost is not None:  # perhaps meanwhile
                    raise type(self.lost)(*self.lost.args) from self.lost
                job = self.restore(stored)
        return await self._up_to_date(job, moved)

    @asynccontextmanager
    async def restoring(self) -> AsyncIterator[None]:
        """Bring jobs that `restore` takes in up to date at the end of the block."""
        with self._noting(None) as moved:
            try:
                yield
            finally:
                by_id = self._jobs._registry.by_id
                await self._catch_up(*(by_id[job_id] for job_id in moved.ids if job_id in by_id))

    def restore(self, stored: StoredJob) -> Job[Any, Any]:
        """Return a job as the store had it, perhaps a moment ago; one that is here, as it is."""
        job_id = stored.job.id
        there = self._coming.get(job_id) or self._jobs._registry.by_id.get(job_id)
        if there is not None and there._created != stored.job.timestamp:
            self._make_room(job_id)
            there = None
        job = restored(stored, self.lifecycles, self._clock) if there is None else there
        self._jobs.add(job)
        return job

    def _make_room(self, job_id: str) -> None:
        """Forget a job that has ended, and whose id the store has given to another."""
        there = self._jobs._registry.by_id.get(job_id)
        if there is not None and there._state.final:
            self._jobs._registry.forget(there)

    @contextmanager
    def _noting(self, job_id: str | None) -> Iterator[_Notes]:
        """Note which jobs others move that are not here yet: that one alone, or any."""
        notes = _Notes()
        there = self._notes.setdefault(job_id, [])
        there.append(notes)
        try:
            yield notes
        finally:
            there.remove(notes)
            if not there:
                del self._notes[job_id]

    async def _up_to_date(self, job: Job[Any, Any], moved: _Notes) -> Job[Any, Any]:
        """Return a job that has come, once it has all that the feed has left out."""
        mine = job._turn is not None and job._turn.is_mine
        if job.id in moved.ids or (job in self._behind and not mine):
            await self._catch_up(job)
        return job

    # --- what its jobs do ---

    def moved(self, job: Job[Any, Any]) -> None:
        """Hear of a step, whoever took it."""
        if job._state.rests:
            self._reporting.discard(job)
            self._reports.attempt_over(job)
        if job._state.final:
            self._mine.pop(job.id, None)

    def reported(self, job: Job[Any, Any]) -> None:
        """Hear of a report of progress."""
        if not self._hearing:
            self._reporting.add(job)
            self._reports.add(job)

    def ended(self, job: Job[Any, Any]) -> None:
        """Hear that a job was abandoned, which changes nothing of what is kept."""

    # --- following ---

    @asynccontextmanager
    async def opened(self, lost: Callable[[JobStateError], object]) -> AsyncIterator[None]:
        """Have the store open and followed in a block, and close it after that.

        *lost* is called where the store cannot be followed any more.
        """
        async with self.store:
            try:
                async with anyio.create_task_group() as tasks:
                    scope, begun = anyio.CancelScope(shield=True), anyio.Event()
                    tasks.start_soon(self._follow, lost, scope, begun)
                    try:
                        await begun.wait()
                        yield
                    finally:
                        try:
                            with anyio.CancelScope(shield=True):
                                await self._reports.flush_all()
                        finally:
                            scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):  # nobody is to find it half closed
                    await self.store.aclose()

    async def _follow(
        self,
        lost: Callable[[JobStateError], object],
        scope: anyio.CancelScope,
        begun: anyio.Event,
    ) -> None:
        with scope:
            try:
                async with anyio.create_task_group() as self._tasks:
                    self._tasks.start_soon(self._reports.run)
                    after: int | None = None
                    while True:
                        async with self.store.follow(after=after) as feed:
                            begun.set()
                            error = await self._listen(feed)
                        after = self._passed(error)
                        if after is None:
                            break
                    self.lost = error
                    lost(error)
            finally:
                self._tasks = None

    def _passed(self, error: JobStateError) -> int | None:
        """Return where to go on after a record that cannot be read: it is of one job alone."""
        if not isinstance(error, (CorruptRecord, NewerFormat)):
            return None
        job = self._jobs._registry.by_id.get(error.job_id or "")
        if job is not None:
            job.abandon(str(error))
        return error.position

    async def _listen(self, feed: Feed) -> JobStateError:
        """Hear what the feed tells, and return what keeps it from that."""
        broken = 0
        while True:
            try:
                record = (await anext(feed)).record
                broken = 0
            except StoreBusy:
                continue  # to wait for the other program is what the store has done
            except (CorruptRecord, NewerFormat) as error:
                return error
            except JobStateError as error:
                broken += 1
                if broken > _TRIES:
                    return error
            else:
                self._hear(record)

    def _hear(self, record: Record) -> None:
        job_id = job_id_of(record)
        job = self._jobs._registry.by_id.get(job_id)
        if isinstance(record, JobRecord):
            if job is not None and job._created != record.timestamp:
                self._make_room(job_id)
        elif job is None:
            for notes in (*self._notes.get(job_id, ()), *self._notes.get(None, ())):
                notes.ids.add(job_id)
        elif isinstance(record, Entry):
            if self._is_news(record, job):
                if job._turn is None and record.transition.version == job.version + 1:
                    self._replay(job, [record])
                else:
                    self._catch_up_soon(job)
        elif job in self._behind:
            self._behind[job].more = True  # it may be of an attempt that the job has yet to hear of
        else:
            self._hear_progress(job, record)

    def _hear_progress(self, job: Job[Any, Any], progress: Progress) -> None:
        if job not in self._reporting:
            self._hearing = True
            try:
                replay_progress(job, progress)
            finally:
                self._hearing = False

    def _is_news(self, entry: Entry, job: Job[Any, Any]) -> bool:
        known = entry.transition.version <= job.version or job._state.final
        return not known and entry.append_id != self._mine.get(job.id)

    def _catch_up_soon(self, job: Job[Any, Any]) -> None:
        if job in self._behind:
            self._behind[job].more = True
        elif self._tasks is not None:
            self._behind[job] = behind = _Behind()
            self._tasks.start_soon(self._read_on, job, behind)

    async def _catch_up(self, *jobs: Job[Any, Any]) -> None:
        """Return once jobs are up to date; cancelled, they come to be so all the same."""
        for job in jobs:
            self._catch_up_soon(job)
        for behind in [self._behind[job] for job in jobs if job in self._behind]:
            await behind.over.wait()

    async def _read_on(self, job: Job[Any, Any], behind: _Behind) -> None:
        """Bring a job up to date, once nobody moves it."""
        try:
            while behind.more:
                behind.more = False
                await job._take_turn()
                try:
                    stored = await self.store.load(job.id)
                    self._replay(job, stored.entries[job.version :])
                    progress = stored.progress
                    if progress is not None and progress.timestamp != job._reported:
                        self._hear_progress(job, progress)
                except StoreBusy:
                    behind.more = True
                finally:
                    job._release()
        except JobStateError as error:
            job.abandon(f"its store cannot be read: {error}")
        finally:
            del self._behind[job]
            behind.over.set()

    def _replay(self, job: Job[Any, Any], entries: Iterable[Entry]) -> None:
        for entry in entries:
            try:
                replay(job, entry)
            except NotRestorable as error:
                job.abandon(str(error))
                return
            self._jobs._registry.resumed(job)  # whatever it was, the job is heard of


class _Notes:
    """Which jobs others have moved meanwhile."""

    def __init__(self) -> None:
        self.ids: set[str] = set()


class _Behind:
    """That a job is being brought up to date."""

    def __init__(self) -> None:
        self.more = True
        """There may be more than was read."""

        self.over = anyio.Event()


async def _sure(write: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Write; where the store broke and might have written or not, or was locked, once more."""
    try:
        await write()
    except (StoreBroken, StoreBusy):
        await write()
