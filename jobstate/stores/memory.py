"""A store that keeps jobs as long as the process lives: for tests, and to try things out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice, takewhile
from operator import itemgetter
from typing import cast

from anyio.lowlevel import checkpoint

from .._codec import decoded
from .._errors import TransitionRefused
from .._ids import checked_id
from .._portable import named
from .._records import Progress
from .._run_errors import DuplicateJob, JobNotFound
from .._store_errors import AlreadyClaimed, StaleVersion, StoreClosed
from .._stored import Entry, JobRecord, Kept, StoredJob
from ..abc import Store
from ._asked import bounded, check_follows, check_source, names_of, pruned_before, text_of
from ._feeds import Feeds, Page, StoreFeed

_PAGE = 64
_Line = tuple[int, str]
"""A position, and the JSON of what is kept there."""


@dataclass(slots=True)
class _Stored:
    """One job: first how it began, then its journal; and which attempts have written each line."""

    lines: list[_Line]
    append_ids: list[str]
    status: str
    ended: float | None = None
    progress: _Line | None = None
    reported: int = 0

    @property
    def final(self) -> bool:
        return self.ended is not None


class MemoryStore(Store):
    """Keeps jobs in memory, and all that `jobstate.abc.Store` promises but that they outlive it.

    It keeps JSON and gives back what that says, so that what works with it works with any store.
    All of it is to be used in one thread.
    """

    durable = False

    def __init__(self) -> None:
        self._jobs: dict[str, _Stored] = {}
        self._created: list[tuple[int, str]] = []
        """The position of each job, and its id, in the order of their creation."""

        self._log: list[_Line] = []
        """Everything but progress."""

        self._reports: dict[str, _Line] = {}
        """The last progress of each job, by position."""

        self._claims: set[str] = set()
        self._position = 0
        self._feeds = Feeds(self._read, self._newest)

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._jobs):,} jobs>"

    # --- writing ---

    async def create(self, job: JobRecord) -> int:
        """Keep a new job, and return the position; at once."""
        self._check_open()
        text = text_of(job, JobRecord, "create()")
        there = self._jobs.get(job.id)
        if there is not None:
            if there.append_ids[0] == job.append_id:
                return there.lines[0][0]
            raise DuplicateJob(job.id, there.status)
        self._jobs[job.id] = _Stored([self._logged(text)], [job.append_id], named(job.status))
        self._created.append((self._position, job.id))
        self._feeds.moved([job.id])
        return self._position

    async def append(self, entry: Entry, *, expected: int) -> int:
        """Add a transition to its job's journal, and return the position; at once."""
        self._check_open()
        text, step = text_of(entry, Entry, "append()"), entry.transition
        check_follows(entry, expected)
        job = self._job(step.job_id)
        if job.append_ids[step.version : step.version + 1] == [entry.append_id]:
            return job.lines[step.version][0]
        if len(job.lines) - 1 != expected:
            raise StaleVersion(step.job_id, expected, len(job.lines) - 1)
        if job.final:
            raise TransitionRefused(step.job_id, step.source, step.trigger, ())
        check_source(entry, job.status)
        job.lines.append(self._logged(text))
        job.append_ids.append(entry.append_id)
        job.status = named(step.dest)
        if entry.final:
            job.ended = step.timestamp
        self._feeds.moved([step.job_id])
        return self._position

    async def report(self, progress: Progress) -> None:
        """Keep the last progress of a job, at once."""
        self._check_open()
        text = text_of(progress, Progress, "report()")
        job = self._job(progress.job_id)
        if progress.version > len(job.lines) - 1:
            raise StaleVersion(progress.job_id, progress.version, len(job.lines) - 1)
        if progress.version >= job.reported:
            self._position += 1
            self._reports.pop(progress.job_id, None)
            self._reports[progress.job_id] = job.progress = (self._position, text)
            job.reported = progress.version
            self._feeds.moved([progress.job_id])

    async def prune(self, *, ended_before: float, keep: int = 0) -> int:
        """Let go of jobs that have ended, at once."""
        self._check_open()
        moment = pruned_before(ended_before, keep)
        ended = sorted(
            (job.ended, job.lines[0][0], job_id)
            for job_id, job in self._jobs.items()
            if job.ended is not None
        )
        to_go = ended[: max(0, len(ended) - keep)]
        gone = [job_id for when, _, job_id in to_go if when < moment]
        positions: set[int] = set()
        for job_id in gone:
            positions.update(position for position, _ in self._jobs.pop(job_id).lines)
            self._reports.pop(job_id, None)
        self._log = [line for line in self._log if line[0] not in positions]
        self._created = [each for each in self._created if each[0] not in positions]
        self._feeds.moved(gone)
        return len(gone)

    async def claim(self, name: str) -> None:
        """Take the right to run what is known by a name, at once."""
        self._check_open()
        if checked_id(name) in self._claims:
            raise AlreadyClaimed("in memory", name, here=True)
        self._claims.add(name)

    async def release(self, name: str) -> None:
        """Give the right to run what is known by a name back, at once."""
        self._claims.discard(name)

    # --- reading ---

    async def load(self, job_id: str) -> StoredJob:
        """Return all that is kept of a job, at once."""
        self._check_open()
        return self._stored(checked_id(job_id))

    async def history(self, job_id: str, *, after: int = 0) -> Sequence[Entry]:
        """Return the transitions of a job after version *after*, at once."""
        self._check_open()
        job = self._job(checked_id(job_id))
        return [cast(Entry, decoded(text)) for _, text in job.lines[bounded(after) + 1 :]]

    async def unfinished(self, *, after: int = 0) -> Sequence[StoredJob]:
        """Return the next page of jobs that have not ended, at once."""
        self._check_open()
        start = bisect_right(self._created, bounded(after), key=itemgetter(0))
        ids = (self._created[number][1] for number in range(start, len(self._created)))
        left = (job_id for job_id in ids if not self._jobs[job_id].final)
        return [self._stored(job_id) for job_id in islice(left, _PAGE)]

    async def jobs(
        self, *, statuses: Collection[str] = (), before: int | None = None
    ) -> Sequence[StoredJob]:
        """Return the next page of jobs, the newest first, at once."""
        self._check_open()
        wanted, end = names_of(statuses), len(self._created)
        if before is not None:
            end = bisect_left(self._created, bounded(before), key=itemgetter(0))
        ids = (self._created[number][1] for number in reversed(range(end)))
        found = (job_id for job_id in ids if not wanted or self._jobs[job_id].status in wanted)
        return [self._stored(job_id) for job_id in islice(found, _PAGE)]

    def follow(self, job_id: str | None = None, *, after: int | None = 0) -> StoreFeed:
        """Return a stream of what is kept after position *after*, and of what will be."""
        return StoreFeed(self._feeds, job_id, after)

    async def aclose(self) -> None:
        """Close the store, at once."""
        self._feeds.close(lambda: StoreClosed("in memory"))

    # --- helpers ---

    def _check_open(self) -> None:
        self._feeds.check()

    def _job(self, job_id: str) -> _Stored:
        if job_id not in self._jobs:
            raise JobNotFound(job_id, len(self._jobs))
        return self._jobs[job_id]

    def _stored(self, job_id: str) -> StoredJob:
        job = self._job(job_id)
        (created, first), *rest = job.lines
        last = max(job.lines[-1][0], job.progress[0] if job.progress else 0)
        return StoredJob(
            cast(JobRecord, decoded(first)),
            tuple(cast(Entry, decoded(text)) for _, text in rest),
            cast(Progress, decoded(job.progress[1])) if job.progress else None,
            created,
            last,
        )

    def _logged(self, text: str) -> _Line:
        self._position += 1
        self._log.append((self._position, text))
        return self._log[-1]

    async def _newest(self) -> int:
        return self._position

    async def _read(self, job_id: str | None, after: int) -> Page:
        """Return what a stream reads next."""
        await checkpoint()  # or whoever reads much would keep all others waiting
        final = job_id is not None and self._job(job_id).final
        if job_id is None:
            newest = reversed(self._reports.values())
            lines, reports = self._log, list(takewhile(lambda line: line[0] > after, newest))
        else:
            job = self._job(job_id)
            lines, reports = job.lines, [job.progress] if job.progress else []
        start = bisect_right(lines, after, key=itemgetter(0))
        late = [line for line in reversed(reports) if line[0] > after]
        found = list(islice(merge(lines[start : start + _PAGE + 1], late), _PAGE + 1))
        kept = [Kept(position, decoded(text)) for position, text in found[:_PAGE]]
        more = len(found) > _PAGE
        return Page(kept, more, final and not more)
