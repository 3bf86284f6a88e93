"""What a SQLite store writes and reads: every statement about jobs, with bound parameters only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar, cast
from zlib import crc32

from .._codec import decoded
from .._errors import JobStateError, TransitionRefused
from .._portable import named
from .._records import Progress
from .._run_errors import DuplicateJob, JobNotFound
from .._store_errors import CorruptRecord, StaleVersion
from .._stored import Entry, JobRecord, Kept, StoredJob
from ._feeds import Page
from ._sqlite_schema import transaction

_V = TypeVar("_V")
PAGE = 64
_REPORT = -1
"""Stands for a version where the last progress is kept."""

_INSERT = (
    "INSERT INTO kept (position, job, version, append_id, record, crc) VALUES (?, ?, ?, ?, ?, ?)"
)


def _crc(text: str) -> int:
    return crc32(text.encode())


def _decoded(text: str, crc: int) -> Any:
    """Return a record that is, to the last bit, what was written.

    Raises:
        CorruptRecord: it is not; a digit that has changed would still be JSON.
    """
    if type(text) is not str or _crc(text) != crc:
        raise CorruptRecord("the record", "it has changed since it was written")
    return decoded(text)


class Writing:
    """One group of writes: each as a whole or not at all, and all of them by one commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.cursor().execute
        """Runs a statement; what it gives is taken before the next. A cursor each takes 0.2 µs."""

        self.position = position_of(connection)

    def create(self, job: JobRecord, text: str) -> int:
        """Write how a job begins; see `jobstate.abc.Store.create`."""
        position = self.position + 1
        added = self._run(
            "INSERT INTO job (number, id, version, status) VALUES (?, ?, 0, ?)"
            " ON CONFLICT (id) DO NOTHING",
            (position, job.id, named(job.status)),
        )
        if not added.rowcount:
            found = self._run("SELECT number, status FROM job WHERE id = ?", (job.id,))
            number, status = found.fetchone()
            if self._append_id(number, 0) == job.append_id:
                return cast(int, number)
            raise DuplicateJob(job.id, status)
        self._run(_INSERT, (position, position, 0, job.append_id, text, _crc(text)))
        self.position = position
        return position

    def append(self, entry: Entry, text: str, expected: int) -> int:
        """Write a transition; see `jobstate.abc.Store.append`."""
        step, position = entry.transition, self.position + 1
        number, version, final = self._find(step.job_id)  # nobody else writes until the commit
        if version != expected or final:
            return self._there_already(entry, expected, number, version, final)
        moved = step.version, named(step.dest)
        if entry.final:
            move = "UPDATE job SET version = ?, status = ?, ended = ? WHERE number = ?"
            self._run(move, (*moved, step.timestamp, number))
        else:  # nor are the indexes touched that depend on the end
            self._run("UPDATE job SET version = ?, status = ? WHERE number = ?", (*moved, number))
        self._run(_INSERT, (position, number, step.version, entry.append_id, text, _crc(text)))
        self.position = position
        return position

    def report(self, progress: Progress, text: str) -> None:
        """Write the last progress; see `jobstate.abc.Store.report`."""
        number, version, _ = self._find(progress.job_id)
        if progress.version > version:
            raise StaleVersion(progress.job_id, progress.version, version)
        kept = self._run(
            "SELECT record, crc FROM kept WHERE job = ? AND version = ?", (number, _REPORT)
        ).fetchone()
        if kept is None or _decoded(*kept).version <= progress.version:
            self.position += 1
            self._run(
                f"{_INSERT} ON CONFLICT (job, version)"
                " DO UPDATE SET position = excluded.position, record = excluded.record,"
                " crc = excluded.crc",
                (self.position, number, _REPORT, "", text, _crc(text)),
            )

    def _there_already(
        self, entry: Entry, expected: int, number: int, version: int, final: bool
    ) -> int:
        """Return where the very same was written before, or raise why it cannot be written."""
        step = entry.transition
        if version >= step.version and self._append_id(number, step.version) == entry.append_id:
            (position,) = self._run(
                "SELECT position FROM kept WHERE job = ? AND version = ?", (number, step.version)
            ).fetchone()
            return cast(int, position)
        if final and version == expected:
            raise TransitionRefused(step.job_id, step.source, step.trigger, ())
        raise StaleVersion(step.job_id, expected, version)

    def _find(self, job_id: str) -> tuple[int, int, bool]:
        return _found(self._run, job_id)

    def _append_id(self, number: int, version: int) -> str:
        (append_id,) = self._run(
            "SELECT append_id FROM kept WHERE job = ? AND version = ?", (number, version)
        ).fetchone()
        return cast(str, append_id)


def write_all(
    connection: sqlite3.Connection, works: Sequence[Callable[[Writing], Any]]
) -> list[Any]:
    """Do some writing and commit it at once; return what each answers, or raises in its place.

    What one of them is refused does not touch the others. Nearly always it is refused before it has
    changed anything. Where it was not, all is undone and done again, with a savepoint for each:
    they take 2.6 µs of the 10 that SQLite spends on a transition otherwise.
    """
    try:
        return _written(connection, works, careful=False)
    except _HalfWritten:
        return _written(connection, works, careful=True)


class _HalfWritten(Exception):
    """Something was refused after it had changed something."""


def _written(
    connection: sqlite3.Connection, works: Sequence[Callable[[Writing], Any]], *, careful: bool
) -> list[Any]:
    answers: list[Any] = []
    with transaction(connection):
        writing = Writing(connection)
        before = writing.position
        for work in works:
            position, changes = writing.position, connection.total_changes
            if careful:
                connection.execute("SAVEPOINT one")
            try:
                answers.append(work(writing))
            except (JobStateError, sqlite3.IntegrityError) as refusal:
                if careful:
                    connection.execute("ROLLBACK TO one")
                elif connection.total_changes != changes:
                    raise _HalfWritten from refusal
                writing.position = position
                answers.append(refusal)
            if careful:
                connection.execute("RELEASE one")
        if writing.position != before:
            connection.execute("UPDATE counter SET position = ?", (writing.position,))
    return answers


def at_one_moment(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _V]) -> _V:
    """Return what some reading finds, all of it as of one moment."""
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("ROLLBACK")  # there is nothing to commit


# --- reading --------------------------------------------------------------------------------


def load(connection: sqlite3.Connection, job_id: str) -> StoredJob:
    """Return all that is kept of a job."""
    number, version, _ = _found(connection.execute, job_id)
    return _stored(connection, number, version)


def history(connection: sqlite3.Connection, job_id: str, after: int) -> list[Entry]:
    """Return the transitions of a job after a version."""
    number, _, _ = _found(connection.execute, job_id)
    rows = connection.execute(
        "SELECT record, crc FROM kept WHERE job = ? AND version > ? ORDER BY version",
        (number, max(after, 0)),
    )
    return [_decoded(*row) for row in rows]


def unfinished(connection: sqlite3.Connection, after: int) -> list[StoredJob]:
    """Return jobs that have not ended, created after a position."""
    rows = connection.execute(
        "SELECT number, version FROM job WHERE ended IS NULL AND number > ?"
        " ORDER BY number LIMIT ?",
        (after, PAGE),
    )
    return [_stored(connection, number, version) for number, version in rows.fetchall()]


def jobs(
    connection: sqlite3.Connection, statuses: Collection[str], before: int | None
) -> list[StoredJob]:
    """Return jobs that are in one of some statuses, or in any, created before a position.

    Each status is asked for by itself: one question for several would sort all that are in them.
    """
    select = "SELECT number, version FROM job WHERE number < ?"
    last_of = f"{select} AND status = ? ORDER BY number DESC LIMIT ?"
    bound = 2**63 - 1 if before is None else before
    found: list[tuple[int, int]] = []
    for status in statuses:
        found += connection.execute(last_of, (bound, status, PAGE))
    if not statuses:
        found += connection.execute(f"{select} ORDER BY number DESC LIMIT ?", (bound, PAGE))
    newest = sorted(found, reverse=True)[:PAGE]
    return [_stored(connection, number, version) for number, version in newest]


def page(connection: sqlite3.Connection, job_id: str | None, after: int) -> Page:
    """Return what a stream reads next."""
    over, which = False, ""
    bound: tuple[int, ...] = (after, PAGE + 1)
    if job_id is not None:
        number, _, over = _found(connection.execute, job_id)
        which, bound = "AND job = ?", (after, number, PAGE + 1)
    rows = connection.execute(
        "SELECT position, record, crc FROM kept"
        f" WHERE position > ? {which} ORDER BY position LIMIT ?",
        bound,
    ).fetchall()
    kept = [Kept(position, _decoded(*row)) for position, *row in rows[:PAGE]]
    more = len(rows) > PAGE
    return Page(kept, more, bool(over) and not more)


def moved_since(connection: sqlite3.Connection, after: int) -> tuple[int, list[str] | None]:
    """Return how far the store has come, and which jobs moved after a position.

    ``None`` stands for more of them than anybody wants to tell apart, or for some that nobody can
    tell any more, because they were let go of.
    """
    position, pruned = connection.execute("SELECT position, pruned FROM counter").fetchone()
    if pruned > after:
        return position, None
    rows = connection.execute(
        "SELECT position, id FROM kept JOIN job ON job.number = kept.job"
        " WHERE position > ? ORDER BY position LIMIT ?",
        (after, 16 * PAGE),
    ).fetchall()
    if len(rows) == 16 * PAGE:
        return position, None
    return (rows[-1][0] if rows else after), list({job_id for _, job_id in rows})


def position_of(connection: sqlite3.Connection) -> int:
    """Return the highest position there is."""
    (position,) = connection.execute("SELECT position FROM counter").fetchone()
    return cast(int, position)


def _found(run: Callable[..., sqlite3.Cursor], job_id: str) -> tuple[int, int, bool]:
    """Return the number, the version and the finality of a job."""
    found = run("SELECT number, version, ended IS NOT NULL FROM job WHERE id = ?", (job_id,))
    row: tuple[int, int, bool] | None = found.fetchone()
    if row is None:
        raise JobNotFound(job_id, run("SELECT count(*) FROM job").fetchone()[0])
    return row


def _stored(connection: sqlite3.Connection, number: int, version: int) -> StoredJob:
    rows = connection.execute(
        "SELECT position, version, record, crc FROM kept WHERE job = ? ORDER BY version", (number,)
    ).fetchall()
    records = {version: _decoded(*row) for _, version, *row in rows}
    report = records.pop(_REPORT, None)
    if list(records) != list(range(version + 1)):
        problem = f"of versions 0 to {version} there are {', '.join(map(str, records)) or 'none'}"
        raise CorruptRecord("the journal", problem)
    job, *entries = records.values()
    return StoredJob(job, tuple(entries), report, number, max(position for position, *_ in rows))
