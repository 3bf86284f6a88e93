"""What can go wrong with SQLite, in the words of stores; and the fault that it is known for."""

from __future__ import annotations

import logging
import sqlite3

from .._errors import JobStateError
from .._store_errors import ForeignStore, StoreBroken, StoreBusy

_log = logging.getLogger("jobstate")
_warned = False

_FULL = "the disk is full; what was written before is safe"
_UNWRITABLE = "the system cannot write it, as where the disk is full"
_PROBLEMS = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: "it can be read only",
    sqlite3.SQLITE_PERM: "it may not be opened",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_IOERR: "the system cannot read or write it",
    sqlite3.SQLITE_IOERR_WRITE: _UNWRITABLE,
    sqlite3.SQLITE_IOERR_SHMSIZE: _UNWRITABLE,
}


def told(error: Exception, store: str, patience: float) -> Exception:
    """Return what a store raises for an error, of SQLite, of the system or of anything else.

    Args:
        error: one of ours is returned as it is.
        store: what errors call it.
        patience: how many seconds it waits for other programs.
    """
    if isinstance(error, JobStateError):
        return error
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return StoreBroken(store, f"{error.strerror or error}{where}")
    if not isinstance(error, sqlite3.Error):
        return StoreBroken(store, f"{type(error).__name__}: {error}")
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(store, patience)
    if code & 0xFF == sqlite3.SQLITE_NOTADB:
        return ForeignStore(store, "a file that is no SQLite database")
    problem = _PROBLEMS.get(code) or _PROBLEMS.get(code & 0xFF, "SQLite has failed")
    return StoreBroken(store, f"{problem} ({error})")


def is_faulty(version: tuple[int, int, int]) -> bool:
    """Whether a version of SQLite has the fault of sqlite.org/wal.html#walresetbug."""
    mended = version[:2] == (3, 44) and version >= (3, 44, 6)
    mended = mended or (version[:2] == (3, 50) and version >= (3, 50, 7))
    return (3, 7, 0) <= version < (3, 51, 3) and not mended


def warn_of_faults() -> None:
    """Say once, in the log, if this SQLite is known to damage files under rare circumstances."""
    global _warned
    if is_faulty(sqlite3.sqlite_version_info) and not _warned:
        _warned = True
        _log.warning(
            "SQLite %s can, very rarely, damage a file that several processes write: see "
            "sqlite.org/wal.html#walresetbug; 3.51.3 is mended",
            sqlite3.sqlite_version,
        )
