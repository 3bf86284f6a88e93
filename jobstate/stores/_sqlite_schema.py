"""The tables of a SQLite store: how they are made, and what tells that a file has them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._store_errors import ForeignStore, NewerFormat

APPLICATION = 0x4A4F4253
"""Stands in the file's header ("JOBS"), so that nobody takes it for another program's."""

_FIRST = (
    """CREATE TABLE job (
        number INTEGER PRIMARY KEY,  -- the position of its creation
        id TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL CHECK (version >= 0),
        status TEXT NOT NULL,
        ended REAL  -- when, in POSIX seconds; NULL as long as it has not
    )""",
    "CREATE INDEX unfinished ON job (number) WHERE ended IS NULL",
    "CREATE INDEX ended ON job (ended, number) WHERE ended IS NOT NULL",
    "CREATE INDEX in_status ON job (status, number)",
    """CREATE TABLE kept (
        position INTEGER PRIMARY KEY,
        job INTEGER NOT NULL,  -- its number
        version INTEGER NOT NULL,  -- 0 for how it began, -1 for its last progress
        append_id TEXT NOT NULL,
        record TEXT NOT NULL,
        crc INTEGER NOT NULL,  -- of the record: SQLite has no checksums in the database itself
        UNIQUE (job, version)
    )""",
    """CREATE TABLE counter (
        position INTEGER NOT NULL,
        pruned INTEGER NOT NULL  -- the position at which jobs were let go of last
    )""",
    "INSERT INTO counter VALUES (0, 0)",
)
MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""What leads from each format of the file to the next; a release adds one, and changes none."""


def identify(connection: sqlite3.Connection, store: str) -> int:
    """Return the format of a file, 0 for an empty one.

    Raises:
        ForeignStore, NewerFormat: it is not for us to write; *store* is what they call it.
    """
    connection.execute("BEGIN")  # or another might make it a store between two questions
    application = value_of(connection, "PRAGMA application_id")
    version: int = value_of(connection, "PRAGMA user_version")
    tables = value_of(connection, "SELECT count(*) FROM sqlite_schema")
    connection.execute("ROLLBACK")
    ours = application == APPLICATION and version > 0  # both are written at once
    if not ours and (application or version or tables):
        raise ForeignStore(store, "a database of another program")
    if version > len(MIGRATIONS):
        raise NewerFormat(f"store {store}", version, len(MIGRATIONS))
    return version


def bring_up_to_date(connection: sqlite3.Connection, found: int) -> None:
    """Bring a file of some format to the present one, as a whole; nobody else may do so."""
    if found == len(MIGRATIONS):
        return
    with transaction(connection):
        for script in MIGRATIONS[found:]:
            for statement in script:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write as a whole, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors have ended it already
            connection.execute("ROLLBACK")
        raise


def value_of(connection: sqlite3.Connection, statement: str) -> Any:
    """Return the one value that a statement gives."""
    return connection.execute(statement).fetchone()[0]
