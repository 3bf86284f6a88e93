"""The file of a SQLite store: opening it without harm to what it is, its log, and its locks."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from .._store_errors import ForeignStore, StoreBroken
from ._folder import make_private
from ._sqlite_errors import told, warn_of_faults
from ._sqlite_schema import bring_up_to_date, identify, value_of

_LONG_LOG = 4 * 1024 * 1024
"""Bytes by which the write-ahead log grows until it is brought into the database."""

_PARTS = {"": "the file", "-wal": "its log", "-shm": "the index of its log"}
_EFFECTIVE = os.access in os.supports_effective_ids
_log = logging.getLogger("jobstate")


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
        self._connections = 0
        self._parts: dict[str, tuple[int, int]] = {}
        """Which files they are, by `_PARTS`, as long as there are connections."""

        self._log_due = _LONG_LOG
        self._closing = threading.Lock()
        self._warned = False

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn errors of SQLite and of the system into those of stores."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raised = self.error_of(error)
            if raised is error:  # a StoreBusy is an OSError, as every TimeoutError is
                raise
            raise raised from error

    def error_of(self, error: Exception) -> Exception:
        """Return what stores raise for an error, with that as its cause; their own as it is."""
        raised = told(error, self.name, self.patience)
        if raised is not error:
            raised.__cause__ = error
        return raised

    # --- opening ---

    def open(self) -> sqlite3.Connection:
        """Return a connection to the file, which is made or brought up to date where needed.

        What is no store of ours is left as it is, but that SQLite may bring a log into it that
        a killed process has left.

        Raises:
            ForeignStore, NewerFormat, StoreBroken, StoreBusy: as `jobstate.abc.Store` has them.
        """
        warn_of_faults()
        with self.told():
            if not (self._create or self.path.exists()):
                raise StoreBroken(self.name, "there is no such file, and it was not to be made")
            if self._connections:
                self.check_there()
            self._look()
            connection = self._connect(self.path, "mode=rw")
            try:
                identify(connection, self.name)
                make_private(self.bells)
                with self._alone():  # or processes that come first block others
                    self._prepare(connection)
                with self._closing:
                    self._parts = self._parts or {part: self._inode(part) for part in _PARTS}
                    self._connections += 1
            except BaseException:
                connection.close()
                raise
        return connection

    def close(self, connection: sqlite3.Connection) -> None:
        """Close a connection; the last one brings the log into the database.

        Of two that are closed at one time, SQLite takes neither for the last.
        """
        with self._closing:
            connection.close()
            self._connections -= 1
            if not self._connections:
                self._parts = {}

    def check_there(self) -> None:
        """Raise if a part was deleted or replaced: what is written to it now would be lost."""
        for part, inode in self._parts.items():
            try:
                found = self._inode(part)
            except OSError as error:
                problem = f"{_PARTS[part]} has gone; nothing was written"
                raise StoreBroken(self.name, problem) from error
            if found != inode:
                problem = f"{_PARTS[part]} was replaced by another; nothing was written"
                raise StoreBroken(self.name, problem)

    def _inode(self, part: str) -> tuple[int, int]:
        found = os.stat(self.name + part)
        return found.st_dev, found.st_ino

    def _look(self) -> None:
        """Make the file where there is none, and raise if what is there can be no store of ours."""
        log = _size(f"{self.name}-wal")  # first: whoever makes a store writes to the file before
        size = _size(self.name)
        if log and not size:
            problem = "has gone" if size is None else "is empty"
            raise StoreBroken(self.name, f"its log is there, but the file {problem}")
        with suppress(FileExistsError):
            # Never open and close one that is there: that would drop SQLite's locks on it.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o600))
        found = os.stat(self.path)
        if not stat.S_ISREG(found.st_mode):
            raise ForeignStore(self.name, "something that is no file")
        if found.st_size == 1:  # which SQLite takes for an empty one
            raise ForeignStore(self.name, "a file that is no SQLite database")
        if found.st_nlink > 1:
            problem = "it has several names (hard links), and would have a log for each"
            raise StoreBroken(self.name, problem)
        if not os.access(self.path, os.W_OK, effective_ids=_EFFECTIVE):
            # SQLite would make a log that nobody could write once the file can be written.
            raise StoreBroken(self.name, "it cannot be written; it was left as it is")
        if found.st_size:
            self._identify_untouched()
        if found.st_mode & 0o077:
            self._keep_private(found)

    def _identify_untouched(self) -> None:
        """Raise if the file itself says that it is not for us, before its log is looked at.

        So SQLite neither takes locks nor does what a killed process has left undone. (To read the
        file without SQLite would drop the locks that this process has on it.)
        """
        untouched = closing(self._connect(self.path, "mode=ro&immutable=1"))
        with untouched as connection, suppress(sqlite3.Error):  # without its log, it may be a mess
            identify(connection, self.name)

    def _keep_private(self, found: os.stat_result) -> None:
        """Take an empty file, which becomes a store, from others; say so of another."""
        if not found.st_size:
            with suppress(PermissionError):
                os.chmod(self.path, 0o600)
        elif not self._warned:
            self._warned = True
            _log.warning("store %s can be read or written by others than its user", self.name)

    def _connect(self, path: Path, how: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?{how}",
            uri=True,
            isolation_level=None,
            timeout=self.patience,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Have all others wait who open the file.

        By SQLite's lock on a database that stays empty: one can wait for it with a deadline, and no
        child inherits it.
        """
        with closing(self._connect(self.bells / ".open", "mode=rwc")) as lock:
            lock.execute("PRAGMA journal_mode=MEMORY")
            lock.execute("BEGIN EXCLUSIVE")
            yield

    def _prepare(self, connection: sqlite3.Connection) -> None:
        mode = value_of(connection, "PRAGMA journal_mode=WAL")
        if mode != "wal":
            raise StoreBroken(self.name, f"there is no write-ahead log, but {mode!r} in its place")
        for pragma in (
            f"synchronous={self.synchronous}",
            "wal_autocheckpoint=0",  # the writer does it, when it has time, under a lock
            "trusted_schema=OFF",
            "cell_size_check=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        bring_up_to_date(connection, identify(connection, self.name))

    # --- its log ---

    def shorten_log(self, connection: sqlite3.Connection) -> None:
        """Bring a long write-ahead log into the database, unless another process does.

        Two who do that at one time, or one while another writes, is what damages files by the fault
        that `warn_of_faults` warns of. So it is done under a lock of ours, and in a mode that takes
        SQLite's own lock for writing first.
        """
        log = f"{self.name}-wal"
        with suppress(OSError, sqlite3.Error):  # what stays in the log is as safe there
            size = os.stat(log).st_size
            self._log_due = min(self._log_due, _LONG_LOG + size)  # others may have shortened it
            if size < self._log_due:
                return
            try:
                with self.lock("log"):
                    connection.execute("PRAGMA busy_timeout=100")  # for those who read
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.execute(f"PRAGMA busy_timeout={round(self.patience * 1000)}")
                self._log_due = _LONG_LOG + os.stat(log).st_size

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that the processes that use the file share; it ends with the process.

        Raises:
            BlockingIOError: another has it.
        """
        lock = os.open(self.bells / f".{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # a child forked meanwhile would keep it
            os.close(lock)


def _size(path: str) -> int | None:
    """Return the bytes of a file, ``None`` where there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None
