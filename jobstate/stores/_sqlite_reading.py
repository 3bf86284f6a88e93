"""What a SQLite store reads: pages of what is kept, each as of one moment, and checked.

Where something in a page cannot be read, the page ends before it: nobody is told of it before he
has come so far, and who knows where it is can go on past it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar, cast
from zlib import crc32

from .._codec import decoded
from .._run_errors import JobNotFound
from .._store_errors import CorruptRecord, NewerFormat
from .._stored import Entry, Kept, StoredJob
from ._feeds import Page

_V = TypeVar("_V")
Run: TypeAlias = Callable[..., sqlite3.Cursor]
"""Runs a statement."""

PAGE = 64
REPORT = -1
"""Stands for a version where the last progress is kept."""


def crc_of(text: str) -> int:
    """Return what is kept beside a record, to tell whether it has changed."""
    return crc32(text.encode())


def at_one_moment(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], _V]) -> _V:
    """Return what some reading finds, all of it as of one moment."""
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("ROLLBACK")  # there is nothing to commit


def load(connection: sqlite3.Connection, job_id: str) -> StoredJob:
    """Return all that is kept of a job."""
    number, version, *_ = find(connection.execute, job_id)
    return _stored(connection, number, version)


def history(connection: sqlite3.Connection, job_id: str, after: int) -> list[Entry]:
    """Return the transitions of a job after a version."""
    number, *_ = find(connection.execute, job_id)
    rows = connection.execute(
        "SELECT record, crc FROM kept WHERE job = ? AND version > ? ORDER BY version",
        (number, after),
    ).fetchall()
    return [record_of(connection.execute, number, number, *row) for row in rows]


def unfinished(connection: sqlite3.Connection, after: int) -> list[StoredJob]:
    """Return jobs that have not ended, created after a position."""
    rows = connection.execute(
        "SELECT number, version FROM job WHERE ended IS NULL AND number > ?"
        " ORDER BY number LIMIT ?",
        (after, PAGE),
    ).fetchall()
    return _up_to_the_first_bad(rows, lambda row: _stored(connection, *row))


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
        with suppress(UnicodeEncodeError):  # half of a surrogate pair: nothing stored has it
            found += connection.execute(last_of, (bound, status, PAGE))
    if not statuses:
        found += connection.execute(f"{select} ORDER BY number DESC LIMIT ?", (bound, PAGE))
    newest = sorted(found, reverse=True)[:PAGE]
    return _up_to_the_first_bad(newest, lambda row: _stored(connection, *row))


def page(connection: sqlite3.Connection, job_id: str | None, after: int) -> Page:
    """Return what a stream reads next."""
    over, which = False, ""
    bound: tuple[int, ...] = (after, PAGE + 1)
    if job_id is not None:
        number, _, over, _ = find(connection.execute, job_id)
        which, bound = "AND job = ?", (after, number, PAGE + 1)
    rows = connection.execute(
        "SELECT position, job, record, crc FROM kept"
        f" WHERE position > ? {which} ORDER BY position LIMIT ?",
        bound,
    ).fetchall()

    def read(row: tuple[int, int, str, int]) -> Kept:
        position, number, text, crc = row
        return Kept(position, record_of(connection.execute, number, position, text, crc))

    kept = _up_to_the_first_bad(rows[:PAGE], read)
    more = len(rows) > len(kept)
    return Page(kept, more, bool(over) and not more)


def moved_since(connection: sqlite3.Connection, after: int) -> tuple[int, list[str] | None]:
    """Return how far the store has come, and which jobs moved after a position.

    ``None`` stands for more of them than anybody wants to tell apart, or for some that nobody can
    tell any more, because they were let go of.
    """
    position = position_of(connection)
    (pruned,) = connection.execute("SELECT pruned FROM counter").fetchone()
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
    row = connection.execute("SELECT position FROM counter").fetchone()
    if row is None:
        raise CorruptRecord("the counter of positions", "it is missing")
    return cast(int, row[0])


def find(run: Run, job_id: str) -> tuple[int, int, bool, str]:
    """Return the number, the version, the finality and the status of a job."""
    found = run(
        "SELECT number, version, ended IS NOT NULL, status FROM job WHERE id = ?", (job_id,)
    )
    row: tuple[int, int, bool, str] | None = found.fetchone()
    if row is None:
        raise JobNotFound(job_id, run("SELECT count(*) FROM job").fetchone()[0])
    return row


def _up_to_the_first_bad(rows: Iterable[Any], read: Callable[[Any], _V]) -> list[_V]:
    """Return what some rows hold, up to the first that cannot be read; raise if that is the first.

    So what comes before it is read first, and the next page tells of it.
    """
    found: list[_V] = []
    for row in rows:
        try:
            found.append(read(row))
        except (CorruptRecord, NewerFormat):
            if not found:
                raise
            break
    return found


def record_of(run: Run, number: int, position: int, text: str, crc: int) -> Any:
    """Return a record of a job that is, to the last bit, what was written.

    Raises:
        CorruptRecord: it is not; a digit that has changed would still be JSON.
        NewerFormat: a later release has written it.
    """
    try:
        if type(text) is not str or crc_of(text) != crc:
            raise CorruptRecord("the record", "it has changed since it was written")
        return decoded(text)
    except (CorruptRecord, NewerFormat) as bad:
        raise bad.at(_id_of(run, number), position) from None


def _id_of(run: Run, number: int) -> str:
    row = run("SELECT id FROM job WHERE number = ?", (number,)).fetchone()
    return f"number {number}" if row is None else row[0]


def _stored(connection: sqlite3.Connection, number: int, version: int) -> StoredJob:
    rows = connection.execute(
        "SELECT position, version, record, crc FROM kept WHERE job = ? ORDER BY version", (number,)
    ).fetchall()
    records = {
        version: record_of(connection.execute, number, number, *row) for _, version, *row in rows
    }
    report = records.pop(REPORT, None)
    if list(records) != list(range(version + 1)):
        problem = f"of versions 0 to {version} there are {', '.join(map(str, records)) or 'none'}"
        raise CorruptRecord("the journal", problem, _id_of(connection.execute, number), number)
    job, *entries = records.values()
    return StoredJob(job, tuple(entries), report, number, max(position for position, *_ in rows))
