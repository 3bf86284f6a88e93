"""The file of a SQLite store: opening it without harm to what it is, its tables, and its errors."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .._store_errors import ForeignStore, NewerFormat, StoreBroken, StoreBusy
from ._folder import make_private

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

_LONG_LOG = 4 * 1024 * 1024
"""Bytes by which the write-ahead log grows until it is brought into the database."""

_EFFECTIVE = os.access in os.supports_effective_ids

_log = logging.getLogger("jobstate")
_warned = False


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


class File:
    """Where a SQLite store is, and how long it waits for other programs.

    Args:
        path: of the database; what stands beside it, its log and so on, has longer names.
        synchronous: how safely a commit is written: FULL survives a power cut, NORMAL may lose the
            last commits then, and EXTRA is safer still on odd file systems.
        patience: seconds to wait while another program has the file locked.
    """

    def __init__(
        self, path: Path, synchronous: str, patience: float, *, create: bool = True
    ) -> None:
        self.path = path
        self._create = create
        self.name = str(path)
        self.synchronous = synchronous
        self.patience = patience
        self.bells = path.with_name(f"{path.name}-bells")
        self._inode: tuple[int, int] | None = None
        self._log_due = _LONG_LOG
        self._closing = threading.Lock()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn errors of SQLite and of the system into those of stores."""
        try:
            yield
        except sqlite3.Error as error:
            raise self.error_of(error) from error
        except StoreBusy:  # an OSError, as every TimeoutError is
            raise
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise StoreBroken(self.name, f"{error.strerror or error}{where}") from error

    def error_of(self, error: Exception) -> Exception:
        """Return what stores raise for an error; their own as it is."""
        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreBusy(self.name, self.patience)
        if code == sqlite3.SQLITE_NOTADB:
            return ForeignStore(self.name, "a file that is no SQLite database")
        problem = {
            sqlite3.SQLITE_FULL: "the disk is full; what was written before is safe",
            sqlite3.SQLITE_READONLY: "it can be read only",
            sqlite3.SQLITE_PERM: "it may not be opened",
            sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
            sqlite3.SQLITE_CORRUPT: "it is damaged",
            sqlite3.SQLITE_IOERR: "the system cannot read or write it",
        }.get(code, "SQLite has failed")
        return StoreBroken(self.name, f"{problem} ({error})")

    def open(self) -> sqlite3.Connection:
        """Return a connection to the file, which is made or brought up to date where needed.

        What is no store of ours is left as it is, to the last byte.

        Raises:
            ForeignStore, NewerFormat, StoreBroken, StoreBusy: as `jobstate.abc.Store` has them.
        """
        warn_of_faults()
        with self.told():
            if not self._create and not self.path.exists():
                raise StoreBroken(self.name, "there is no such file, and it was not to be made")
            with suppress(FileExistsError):
                # Never open and close one that is there: that would drop SQLite's locks on it.
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(self.path, flags, 0o600))
            found = os.stat(self.path)
            if not stat.S_ISREG(found.st_mode):
                raise ForeignStore(self.name, "something that is no file")
            if not os.access(self.path, os.W_OK, effective_ids=_EFFECTIVE):
                # SQLite would make a log that nobody could write once the file can be written.
                raise StoreBroken(self.name, "it cannot be written; it was left as it is")
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=self.patience,
            )
            try:
                self._identify(connection)
                make_private(self.bells)
                with self.lock("open", fcntl.LOCK_EX):  # or processes that come first block others
                    self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._inode = found.st_dev, found.st_ino
        return connection

    def close(self, connection: sqlite3.Connection) -> None:
        """Close a connection; the last one brings the log into the database.

        Of two that are closed at one time, SQLite takes neither for the last.
        """
        with self._closing:
            connection.close()

    def check_there(self) -> None:
        """Raise if the file was deleted or replaced: what is written to it now would be lost."""
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise StoreBroken(self.name, "the file has gone; nothing was written") from error
        if (found.st_dev, found.st_ino) != self._inode:
            raise StoreBroken(self.name, "the file was replaced by another; nothing was written")

    def shorten_log(self, connection: sqlite3.Connection) -> None:
        """Bring a long write-ahead log into the database, unless another process does.

        Two who do that at one time, or one while another writes, is what damages files by the fault
        that `warn_of_faults` warns of. So it is done under a lock of ours, and in a mode that takes
        SQLite's own lock for writing first.
        """
        log = f"{self.name}-wal"
        with suppress(OSError, sqlite3.Error):  # what stays in the log is as safe there
            if os.stat(log).st_size < self._log_due:
                return
            try:
                with self.lock("log", fcntl.LOCK_EX | fcntl.LOCK_NB):
                    connection.execute("PRAGMA busy_timeout=100")  # for those who read
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.execute(f"PRAGMA busy_timeout={round(self.patience * 1000)}")
                self._log_due = _LONG_LOG + os.stat(log).st_size

    @contextmanager
    def lock(self, name: str, how: int) -> Iterator[None]:
        """Hold a lock that the processes that use the file share; it ends with the process."""
        lock = os.open(self.bells / f".{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, how)
            yield
        finally:
            os.close(lock)

    def _identify(self, connection: sqlite3.Connection) -> int:
        """Return the format of the file, 0 for an empty one; raise if it is not for us to write."""
        connection.execute("BEGIN")  # or another might make it a store between two questions
        application = _value(connection, "PRAGMA application_id")
        version: int = _value(connection, "PRAGMA user_version")
        tables = _value(connection, "SELECT count(*) FROM sqlite_schema")
        connection.execute("ROLLBACK")
        if application != APPLICATION and (application or version or tables):
            raise ForeignStore(self.name, "a database of another program")
        if version > len(MIGRATIONS):
            raise NewerFormat(f"store {self.name}", version, len(MIGRATIONS))
        return version

    def _prepare(self, connection: sqlite3.Connection) -> None:
        mode = _value(connection, "PRAGMA journal_mode=WAL")
        if mode != "wal":
            raise StoreBroken(self.name, f"there is no write-ahead log, but {mode!r} in its place")
        for pragma in (
            f"synchronous={self.synchronous}",
            "wal_autocheckpoint=0",  # the writer does it, when it has time, under a lock
            "trusted_schema=OFF",
            "cell_size_check=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        found = self._identify(connection)
        if found < len(MIGRATIONS):  # nobody else changes that: we hold the lock
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


def _value(connection: sqlite3.Connection, statement: str) -> Any:
    return connection.execute(statement).fetchone()[0]
