"""A store in one SQLite file, for the processes of one machine: durable, and nothing to set up.

One thread writes: it takes all that has piled up while it wrote before, commits it at once, and
acknowledges nothing earlier. Another reads. Who follows is woken by whoever has committed, in this
process or another (see `_sqlite_waking`), and reads on for itself (see `_feeds`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

try:
    import fcntl  # noqa: F401  # said here for all pages below
except ImportError as missing:
    raise ImportError(
        "jobstate.stores.sqlite needs a POSIX system, with file locks (fcntl) and Unix sockets; "
        "MemoryStore works everywhere",
        name=missing.name,
    ) from missing

from .._ids import checked_id
from .._records import Progress
from .._store_errors import StoreClosed
from .._stored import Entry, JobRecord, StoredJob
from ..abc import Store
from . import _sqlite_reading as reading
from . import _sqlite_rows as rows
from . import _sqlite_upkeep as upkeep
from ._asked import bounded, check_follows, names_of, pruned_before, text_of
from ._claims import Claims
from ._desk import Call, Desk, Process
from ._feeds import Feeds, Page, StoreFeed
from ._sqlite_file import File
from ._sqlite_waking import Waking

_LONGEST = 2_000_000
"""Seconds that SQLite can be told to wait."""


class SQLiteStore(Store):
    """Keeps jobs in a SQLite file, which any processes of one machine may use at one time.

    The file is made when the store is first used, for this user alone (mode 0600). Beside it are
    SQLite's log, and a folder of the sockets by which the processes wake each other, and of locks.
    It must not be on a network file system, and a store must not be used on both sides of a fork.
    It has threads from its first use until it is closed: one that is forgotten keeps them.
    It needs a POSIX system: elsewhere, importing it raises ``ImportError``.

    Args:
        path: of the file. What is there already and no store is left as it is, but that SQLite may
            bring into it what a process that was killed has left in its log.
        synchronous: with ``"FULL"``, what was acknowledged survives a power cut; with ``"NORMAL"``,
            it survives the end of the process in whatever way, and a power cut may cost the last
            commits; ``"EXTRA"`` is as FULL on file systems that forget new files.
        patience: seconds to wait while another program has the file locked, from 0 to 2,000,000.
        create: whether the file is made where there is none; else that is `StoreBroken`.

    Raises:
        ValueError: *synchronous* is none of these, *patience* is not so long, or *path* names no
            file, as text.
        TypeError: *path* is no path, or *patience* no number.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Literal["FULL", "NORMAL", "EXTRA"] = "FULL",
        patience: float = 5.0,
        create: bool = True,
    ) -> None:
        if synchronous not in ("FULL", "NORMAL", "EXTRA"):
            raise ValueError(f"synchronous is FULL, NORMAL or EXTRA, not {synchronous!r}")
        if not 0 <= patience <= _LONGEST:
            raise ValueError(f"patience is seconds, from 0 to {_LONGEST:,}, not {patience!r}")
        where = os.fspath(path)
        if where == ":memory:" or not (isinstance(where, str) and os.path.basename(where)):
            raise ValueError(f"{where!r} names no file; MemoryStore keeps jobs in memory")
        self._file = File(Path(os.path.realpath(where)), synchronous, patience, create=create)
        self._feeds = Feeds(self._page, self._newest)
        self._claims = Claims(self._file.name, self._file.bells, self._feeds.check)
        name, process, close = self._file.name, Process(), self._file.close
        connect, left = self._connect, self._left
        self._writer = Desk(name, process, connect, self._write, close, left, self._tidy)
        self._reader = Desk(name, process, connect, self._serve, close, left)
        self._waking = Waking(self._file, self._feeds, self._reader.tell)

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._file.name}>"

    @property
    def backstop_hits(self) -> int:
        """How often something was found for which nobody had rung: it should stay 0."""
        return self._waking.backstop_hits

    # --- what is asked of it ---

    async def create(self, job: JobRecord) -> int:
        """Keep a new job, and return the position, once it is committed."""
        self._feeds.check()
        text = text_of(job, JobRecord, "create()")
        work = partial(rows.Writing.create, job=job, text=text)
        return await self._writer.ask(work)

    async def append(self, entry: Entry, *, expected: int) -> int:
        """Add a transition to its job's journal, and return the position, once it is committed."""
        self._feeds.check()
        text = text_of(entry, Entry, "append()")
        check_follows(entry, expected)
        work = partial(rows.Writing.append, entry=entry, text=text, expected=expected)
        return await self._writer.ask(work)

    async def report(self, progress: Progress) -> None:
        """Keep the last progress of a job, and return once it is committed."""
        self._feeds.check()
        text = text_of(progress, Progress, "report()")
        work = partial(rows.Writing.report, progress=progress, text=text)
        await self._writer.ask(work)

    async def load(self, job_id: str) -> StoredJob:
        """Return all that is kept of a job, as of one moment."""
        return await self._reader.ask(partial(reading.load, job_id=checked_id(job_id)))

    async def history(self, job_id: str, *, after: int = 0) -> Sequence[Entry]:
        """Return the transitions of a job after version *after*, in order."""
        work = partial(reading.history, job_id=checked_id(job_id), after=bounded(after))
        return await self._reader.ask(work)

    async def unfinished(self, *, after: int = 0) -> Sequence[StoredJob]:
        """Return the next page of jobs that have not ended, in the order of their creation."""
        return await self._reader.ask(partial(reading.unfinished, after=bounded(after)))

    async def jobs(
        self, *, statuses: Collection[str] = (), before: int | None = None
    ) -> Sequence[StoredJob]:
        """Return the next page of jobs, the newest first; of a million, it takes no longer."""
        bound = None if before is None else bounded(before)
        work = partial(reading.jobs, statuses=names_of(statuses), before=bound)
        return await self._reader.ask(work)

    async def prune(self, *, ended_before: float, keep: int = 0) -> int:
        """Let go of jobs that have ended; in pieces, between which others can write.

        Cancelled, some pieces may be done. Their space in the file is used for what is kept next.
        """
        moment = pruned_before(ended_before, keep)
        find = partial(upkeep.last_to_go, ended_before=moment, keep=keep)
        last = await self._reader.ask(find)
        gone = 0
        if last is not None:
            while piece := await self._writer.ask(partial(upkeep.let_go, last=last)):
                gone += piece
        return gone

    async def vacuum(self) -> None:
        """Give the space in the file that is not used back to the system.

        All writing has to wait meanwhile, and the disk needs room for as much again. Cancelled,
        it is done all the same.

        Raises:
            StoreBusy: another program writes, or reads all the time; nothing is lost, and some or
                all of the space may be given back later.
        """
        await self._writer.ask(self._vacuum)

    async def claim(self, name: str) -> None:
        """Take the right to run what is known by a name: by a lock that ends with the process.

        Each takes a file descriptor as long as it is held.
        """
        checked_id(name)
        await self._reader.ask(lambda connection: None)  # have the folder, beside the right file
        with self._file.told():
            self._claims.take(name)

    async def release(self, name: str) -> None:
        """Give the right to run what is known by a name back, at once."""
        self._claims.drop(name)

    def follow(self, job_id: str | None = None, *, after: int | None = 0) -> StoreFeed:
        """Return a stream of what is kept after position *after*, and of what will be."""
        return StoreFeed(self._feeds, job_id, after)

    async def __aenter__(self) -> Self:
        try:
            await self._reader.ask(lambda connection: None)
        except BaseException:
            self._close()
            raise
        return self

    async def aclose(self) -> None:
        """Close the store once all that was asked of it is committed, and its threads have ended.

        That may take as long as another program keeps the file locked, up to `patience`.
        """
        self._close()
        await self._writer.closed()
        await self._reader.closed()

    def _close(self) -> None:
        self._feeds.close(partial(StoreClosed, self._file.name))
        self._writer.close()
        self._reader.close()

    async def _page(self, job_id: str | None, after: int) -> Page:
        return await self._reader.ask(partial(self._read, job_id=job_id, after=after))

    async def _newest(self) -> int:
        return await self._reader.ask(reading.position_of)

    # --- in the threads ---

    def _connect(self) -> sqlite3.Connection:
        self._waking.enter()  # before all that can fail: `_left` is called in any case
        connection = self._file.open()
        try:
            with self._file.told():
                self._waking.open()
        except BaseException:
            self._file.close(connection)
            raise
        return connection

    def _left(self) -> None:
        if self._waking.leave():
            self._claims.drop_all()

    def _write(self, connection: sqlite3.Connection, calls: list[Call]) -> None:
        alone = [call for call in calls if call.work == self._vacuum]
        together = [call for call in calls if call not in alone] if alone else calls
        with self._file.told():
            self._file.check_there()
            answers = rows.write_all(connection, [call.work for call in together])
        for call, answer in zip(together, answers, strict=True):
            if isinstance(answer, Exception):
                call.error = self._file.error_of(answer)
            else:
                call.value = answer
        self._waking.ring()
        for call in alone:
            self._do(call, partial(call.work, connection))

    def _tidy(self, connection: sqlite3.Connection) -> None:
        self._waking.mend()
        self._file.shorten_log(connection)

    def _vacuum(self, connection: sqlite3.Connection) -> None:
        upkeep.vacuum(connection, self._file)

    def _serve(self, connection: sqlite3.Connection, calls: list[Call]) -> None:
        for call in calls:
            self._do(call, partial(reading.at_one_moment, connection, call.work))

    def _read(self, connection: sqlite3.Connection, job_id: str | None, after: int) -> Page:
        self._waking.begin(connection)
        return reading.page(connection, job_id, after)

    def _do(self, call: Call, work: Callable[[], Any]) -> None:
        try:
            with self._file.told():
                self._file.check_there()
                call.value = work()
        except Exception as error:
            call.error = error
