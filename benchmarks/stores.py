"""What the questions about stores share: transitions to write, and plain SQLite beside them.

The peers write rows of the same shape and size into the same tables, and are as safe: with a
write-ahead log, and ``synchronous=FULL``. Files are where `tempfile` makes them.
"""

from __future__ import annotations

import atexit
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zlib import crc32

from jobstate import Entry, JobRecord, Transition
from jobstate.stores import _sqlite_file, _sqlite_schema, encoded

SELECT = "SELECT number, version, ended IS NOT NULL, status FROM job WHERE id = ?"
UPDATE = "UPDATE job SET version = ?, status = ? WHERE number = ?"
CREATE = "INSERT INTO job (number, id, version, status, ended) VALUES (?, ?, ?, ?, ?)"
INSERT = (
    "INSERT INTO kept (position, job, version, append_id, record, crc) VALUES (?, ?, ?, ?, ?, ?)"
)
Kept = tuple[int, int, int, str, str, int]


class Row(NamedTuple):
    """A transition that is ready to be written: what each statement is given."""

    job: tuple[str]
    moved: tuple[int, str, int]
    kept: Kept


def name_of(number: int) -> str:
    """Return an id as long as those that nobody chooses."""
    return f"{number:032x}"


def entry(name: str, version: int, *, final: bool = False) -> Entry:
    """Return a transition as most are: to and fro, or a job's last one."""
    trigger, source, dest = (
        ("revoke" if final else "start", "PENDING", "REVOKED" if final else "STARTED")
        if version % 2
        else ("succeed" if final else "requeue", "STARTED", "SUCCESS" if final else "PENDING")
    )
    step = Transition(name, version, trigger, source, dest, 1.7e9 + version / 7, version)
    return Entry(step, final)


def kept(position: int, number: int, version: int, append_id: str, text: str) -> Kept:
    """Return what is written of a record."""
    return position, number, version, append_id, text, crc32(text.encode())


def rows(jobs: int, count: int) -> list[Row]:
    """Return so many transitions, of one job after the other."""
    made = []
    for i in range(count):
        number, version = i % jobs + 1, i // jobs + 1
        each = entry(name_of(number), version)
        line = kept(jobs + i + 1, number, version, each.append_id, encoded(each))
        made.append(Row((name_of(number),), (version, each.transition.dest, number), line))
    return made


@contextmanager
def plain(path: Path, jobs: int) -> Iterator[sqlite3.Connection]:
    """A connection to a new file with the tables of a store, and so many jobs in them."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with closing(connection):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        for statement in _sqlite_schema.MIGRATIONS[0]:
            connection.execute(statement)
        numbers = range(1, jobs + 1)
        connection.executemany(CREATE, [(n, name_of(n), 0, "PENDING", None) for n in numbers])
        yield connection


@contextmanager
def new_file() -> Iterator[Path]:
    """Where a file may be made, which is gone afterwards."""
    with TemporaryDirectory(prefix="jobstate-") as folder:
        yield Path(folder, "jobs.db")


@cache
def filled(jobs: int) -> Path:
    """Return a file with so many jobs, made once a run: one in a hundred has not ended.

    Each has three transitions, or two where it has not ended, at positions one after the other.
    """
    folder = TemporaryDirectory(prefix="jobstate-")
    atexit.register(folder.cleanup)
    path = Path(folder.name, "jobs.db")
    with closing(_sqlite_file.File(path, "NORMAL", 5.0).open()) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        position = 0
        for start in range(0, jobs, 10_000):
            heads, lines = [], []
            for job in range(start, min(jobs, start + 10_000)):
                name, steps = name_of(job), 2 if job % 100 == 0 else 3
                first: JobRecord | Entry = JobRecord(name, 1.7e9 + job / 7, f"job {job}")
                entries = [entry(name, v, final=v == 3) for v in range(1, steps + 1)]
                number = position + 1
                last = entries[-1].transition
                ended = last.timestamp if steps == 3 else None
                heads.append((number, name, steps, last.dest, ended))
                for version, record in enumerate((first, *entries)):
                    position += 1
                    text = encoded(record)
                    lines.append(kept(position, number, version, record.append_id, text))
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(CREATE, heads)
            connection.executemany(INSERT, lines)
            connection.execute("UPDATE counter SET position = ?", (position,))
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path
