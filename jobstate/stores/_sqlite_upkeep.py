"""What keeps a SQLite store small: letting go of jobs, and giving space back to the system."""

from __future__ import annotations

import sqlite3

from .._store_errors import StoreBusy
from ._sqlite_file import File
from ._sqlite_rows import Writing

PIECE = 500
"""Records that are let go of by one commit; more, where a single job has them."""

Ended = tuple[float, int]
"""When a job ended, and its number: the order in which jobs are let go of."""


def last_to_go(connection: sqlite3.Connection, ended_before: float, keep: int) -> Ended | None:
    """Return up to where jobs are let go of; ``None`` where none are.

    It is found out once, so that there is an end to it, however many end meanwhile.
    """
    last: Ended | None = connection.execute(
        "SELECT ended, number FROM job WHERE ended IS NOT NULL"
        " ORDER BY ended DESC, number DESC LIMIT 1 OFFSET ?",
        (min(keep, 2**63 - 1),),
    ).fetchone()
    return None if last is None else min(last, (ended_before, 0))


def let_go(writing: Writing, last: Ended) -> int:
    """Delete the next piece of the jobs up to the last one to go; return how many they were."""
    run = writing.run
    found = run(
        "SELECT number, version FROM job WHERE ended IS NOT NULL AND (ended, number) <= (?, ?)"
        " ORDER BY ended, number LIMIT ?",
        (*last, PIECE),
    ).fetchall()
    jobs = records = 0
    for number, version in found:
        if records >= PIECE:
            break
        run("DELETE FROM kept WHERE job = ?", (number,))
        run("DELETE FROM job WHERE number = ?", (number,))
        jobs, records = jobs + 1, records + version + 1
    if jobs:
        writing.position += 1  # or those who follow one of these jobs would not be woken
        run("UPDATE counter SET pruned = ?", (writing.position,))
    return jobs


def vacuum(connection: sqlite3.Connection, file: File) -> None:
    """Make the file as small as what is in it.

    Raises:
        StoreBusy: others write or read, or shorten the log, for longer than the store waits.
    """
    connection.execute("VACUUM")  # into the log: the file gets smaller when that is brought in
    try:
        with file.lock("log"):
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except BlockingIOError:
        busy = True
    if busy:
        raise StoreBusy(file.name, file.patience)
