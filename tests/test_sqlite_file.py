"""The file of a SQLite store: what it can be, what can become of it, and its formats."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from jobstate import (
    CorruptRecord,
    ForeignStore,
    NewerFormat,
    StoreBroken,
    StoreBusy,
    StoreClosed,
)
from jobstate.stores import (
    _sqlite_file,
    decoded,
)
from jobstate.stores.sqlite import SQLiteStore
from jobstate.testing._store_tools import job_record, moved, next_of, step

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_is_left_of_a_store")]
GOLDEN = Path(__file__).parent / "golden"


@contextmanager
def plain(path):
    """A connection of another program to a file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


# --- bad files ------------------------------------------------------------------------------


async def refused(path, error):
    """Return what a store says that cannot be opened; it has no thread, and may be closed."""
    store = SQLiteStore(path, patience=0.01)
    with pytest.raises(error) as caught:
        async with store:
            pass  # pragma: no cover
    with pytest.raises(StoreClosed):
        await store.load("j1")
    await store.aclose()
    return caught.value


def snapshot(folder):
    """Return every file of a folder with its bytes."""
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def text_file(path):
    """Make a file that is no database."""
    path.write_text("Dear diary, " * 100)


def other_database(path):
    """Make a database of another program."""
    with plain(path) as connection:
        connection.execute("CREATE TABLE job (id TEXT)")


def marked_database(path):
    """Make a database that another program has marked as its own."""
    with plain(path) as connection:
        connection.execute("PRAGMA application_id=7")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (text_file, "a file that is no SQLite database"),
        (other_database, "a database of another program"),
        (marked_database, "a database of another program"),
    ],
)
async def test_what_is_no_store_is_left_as_it_is(make, found, path):
    """A file of another kind is refused, and not a byte of it is changed, or put beside it."""
    make(path)
    before = snapshot(path.parent)
    error = await refused(path, ForeignStore)
    assert (error.store, error.found) == (str(path), found)
    assert snapshot(path.parent) == before
    assert [each.name for each in path.parent.iterdir()] == ["jobs.db"]


async def test_a_later_format_is_left_as_it_is(path):
    """The file of a later release is refused, and not a byte of it is changed."""
    async with SQLiteStore(path) as store:
        await moved(store, 1)
    with plain(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    error = await refused(path, NewerFormat)
    assert (error.found, error.known) == (99, 1)
    assert path.read_bytes() == before


async def test_a_folder_is_no_store(path):
    """A folder in its place is refused with a word on what it is."""
    path.mkdir()
    assert (await refused(path, ForeignStore)).found == "something that is no file"


async def test_a_missing_folder_is_told(path):
    """No folders are made for a store."""
    missing = path.parent / "nowhere" / "jobs.db"
    error = await refused(missing, StoreBroken)
    assert error.problem == f"No such file or directory: {missing}"
    assert isinstance(error.__cause__, FileNotFoundError)


async def test_an_empty_file_becomes_a_store(path):
    """A process that died as it made the file leaves an empty one, which the next makes a store."""
    path.touch(0o600)
    async with SQLiteStore(path) as store:
        await moved(store, 1)


def test_a_file_that_becomes_a_store_as_it_is_looked_at_is_none_of_others(path, monkeypatch):
    """What is found out about a file is true of one moment, whoever makes it a store meanwhile."""
    value, looked = _sqlite_file._value, []

    def slow(connection, statement):
        found = value(connection, statement)
        if not looked:
            looked.append(statement)
            with suppress(StoreBusy):
                _sqlite_file.File(path, "FULL", 0.01).open().close()
        return found

    monkeypatch.setattr(_sqlite_file, "_value", slow)
    _sqlite_file.File(path, "FULL", 5).open().close()
    assert looked == ["PRAGMA application_id"]


async def test_a_damaged_file_is_told(path):
    """Pages of zeros are not taken for the end of the list of jobs."""
    async with SQLiteStore(path) as store:
        for number in range(200):
            await store.create(job_record(f"n{number}"))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    async with SQLiteStore(path) as store:
        for call in (lambda: store.load("n1"), lambda: store.create(job_record("n200"))):
            with pytest.raises(StoreBroken, match="it is damaged"):
                await call()


async def test_a_damaged_record_is_told(path):
    """A record that nobody of us has written is refused, and the others can be read."""
    async with SQLiteStore(path) as store:
        await store.create(job_record("good"))
        await store.create(job_record("bad"))
        with plain(path) as other:
            other.execute("UPDATE kept SET record = replace(record, '1.5', '7.5') WHERE job = 2")
        with pytest.raises(CorruptRecord, match="it has changed since it was written"):
            await store.load("bad")
        with plain(path) as other:
            other.execute("UPDATE kept SET record = x'00' WHERE job = 2")
        with pytest.raises(CorruptRecord, match="it has changed since it was written"):
            await store.load("bad")
        assert (await store.load("good")).job.id == "good"
        async with store.follow("bad") as feed:
            with pytest.raises(CorruptRecord):
                await next_of(feed)


async def test_a_journal_with_a_gap_is_told(path):
    """A job whose journal has lost a part is not taken for a shorter one."""
    async with SQLiteStore(path) as store:
        await moved(store, 3)
        with plain(path) as other:
            other.execute("DELETE FROM kept WHERE version = 2")
        with pytest.raises(CorruptRecord, match="of versions 0 to 3 there are 0, 1, 3"):
            await store.load("j1")


async def test_a_locked_file_is_told(path):
    """Who cannot write because another program does is told so after a while, and can try again."""
    async with SQLiteStore(path, patience=0.01) as store:
        await store.create(job_record())
        with plain(path) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusy) as caught:
                await store.append(step(1), expected=0)
            assert (caught.value.store, caught.value.seconds) == (str(path), 0.01)
            assert (await store.load("j1")).version == 0  # who reads need not wait
            other.execute("ROLLBACK")
        await store.append(step(1), expected=0)


async def test_a_file_that_another_program_has_to_itself_is_told(path):
    """Where another program lets nobody in, a store is not opened, and can be once it is done."""
    async with SQLiteStore(path) as store:
        await store.create(job_record())
    with plain(path) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert (await refused(path, StoreBusy)).seconds == 0.01
        other.execute("COMMIT")
    async with SQLiteStore(path) as store:
        await store.append(step(1), expected=0)


async def test_a_full_disk_is_told(path):
    """What does not fit is refused, what was written before is there, and later it goes on."""
    async with SQLiteStore(path) as store:
        await store.create(job_record())

        def limit(pages):
            return lambda writing: writing._run(f"PRAGMA max_page_count={pages}").fetchone()

        await store._writer.ask(limit(1))
        with pytest.raises(StoreBroken, match="the disk is full"):
            for version in range(1, 50):
                await store.append(step(version, result="x" * 9000), expected=version - 1)
        there = (await store.load("j1")).version
        await store._writer.ask(limit(10_000))
        await store.append(step(there + 1), expected=there)
        assert (await store.load("j1")).version == there + 1


async def test_a_file_that_has_gone_is_told(path):
    """Nothing is written to a file that nobody will find again, and those who follow hear of it."""
    async with SQLiteStore(path) as store:
        await store.create(job_record())
        async with store.follow("j1") as feed:
            await next_of(feed)
            path.rename(path.with_name("elsewhere"))
            with pytest.raises(StoreBroken, match="the file has gone"):
                await store.append(step(1), expected=0)
            path.touch()
            with pytest.raises(StoreBroken, match="the file was replaced"):
                await store.append(step(1), expected=0)
            store._rung()
            with pytest.raises(StoreBroken, match="the file was replaced"):
                await next_of(feed)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (sqlite3.SQLITE_READONLY, "it can be read only"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "it can be read only"),
        (sqlite3.SQLITE_PERM, "it may not be opened"),
        (sqlite3.SQLITE_CANTOPEN, "it cannot be opened"),
        (sqlite3.SQLITE_FULL, "the disk is full"),
        (sqlite3.SQLITE_IOERR_FSYNC, "the system cannot read or write it"),
        (sqlite3.SQLITE_NOMEM, "SQLite has failed"),
    ],
)
def test_each_error_has_its_words(code, said, path):
    """What SQLite calls by a number is told in words."""
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    told = _sqlite_file.File(path, "FULL", 1).error_of(error)
    assert isinstance(told, StoreBroken)
    assert said in str(told)


async def test_a_file_that_may_not_be_written_is_left_as_it_is(path, monkeypatch):
    """Where the system says so beforehand, nothing is tried, or put beside it."""
    path.touch(0o400)
    monkeypatch.setattr(os, "access", lambda name, how, **more: (name, how) != (path, os.W_OK))
    error = await refused(path, StoreBroken)
    assert error.problem == "it cannot be written; it was left as it is"
    assert os.listdir(path.parent) == ["jobs.db"]


async def test_a_file_that_can_be_read_only_is_told(path, monkeypatch):
    """A store that cannot be written is refused when it is opened."""
    path.touch()
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda name, **more: connect(name.replace("=rw", "=ro"), **more)
    )
    error = await refused(path, StoreBroken)
    assert "it can be read only" in error.problem


async def test_a_log_that_cannot_be_is_told(path, monkeypatch):
    """Where SQLite does not keep a write-ahead log, the store is refused."""
    value = _sqlite_file._value
    monkeypatch.setattr(
        _sqlite_file, "_value", lambda c, s: "delete" if "journal_mode" in s else value(c, s)
    )
    error = await refused(path, StoreBroken)
    assert error.problem == "there is no write-ahead log, but 'delete' in its place"


# --- formats --------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", sorted(GOLDEN.glob("*.db")), ids=lambda path: path.stem)
async def test_files_of_each_release_are_read(kept, path):
    """The file of an earlier release is brought up to date, and has all that it had."""
    shutil.copy(kept, path)
    lines = (GOLDEN / f"{kept.stem}.jsonl").read_text(encoding="utf-8").splitlines()
    due = [decoded(line) for line in lines]
    async with SQLiteStore(path) as store:
        async with store.follow() as feed:
            found = [(await next_of(feed)).record for _ in due]
        assert sorted(map(repr, found)) == sorted(map(repr, due))
        await store.create(job_record())


def schema(connection):
    """Return what makes the tables and indexes of a file."""
    return connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()


@pytest.mark.parametrize("kept", sorted(GOLDEN.glob("*.db")), ids=lambda path: path.stem)
def test_the_files_of_releases_stay_as_they_are(kept, path):
    """The steps up to a release's format lead to the file that it has written.

    Until the first release is out, whoever changes the first step makes its file anew, by
    ``python tests/golden/make.py``; from then on, what is to be added is a step of its own.
    """
    shutil.copy(kept, path)
    with plain(path) as old, closing(sqlite3.connect(":memory:")) as new:
        (version,) = old.execute("PRAGMA user_version").fetchone()
        for statement in itertools.chain(*_sqlite_file.MIGRATIONS[:version]):
            new.execute(statement)
        assert schema(old) == schema(new)


def test_the_first_release_has_its_file():
    """The file that later releases have to read is there."""
    assert (GOLDEN / "0.1.0.db").is_file()


async def test_a_file_is_brought_up_to_date(path, monkeypatch):
    """Each step that a later release adds is done once, and what was kept stays."""
    async with SQLiteStore(path) as store:
        await moved(store, 2)
        before = await store.load("j1")
    later = (("ALTER TABLE job ADD COLUMN colour TEXT",), ("CREATE TABLE more (x)",))
    monkeypatch.setattr(_sqlite_file, "MIGRATIONS", (*_sqlite_file.MIGRATIONS, *later))
    for _ in range(2):
        async with SQLiteStore(path) as store:
            assert await store.load("j1") == before
    with plain(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        assert connection.execute("SELECT colour FROM job").fetchall() == [(None,)]


async def test_a_step_that_fails_changes_nothing(path, monkeypatch):
    """A file is brought up to date as a whole, or left as it was."""
    async with SQLiteStore(path) as store:
        await moved(store, 2)
    first = _sqlite_file.MIGRATIONS
    later = ("CREATE TABLE more (x)", "CREATE TABLE job (x)")
    monkeypatch.setattr(_sqlite_file, "MIGRATIONS", (*first, later))
    error = await refused(path, StoreBroken)
    assert "table job already exists" in error.problem
    monkeypatch.setattr(_sqlite_file, "MIGRATIONS", first)
    async with SQLiteStore(path) as store:
        assert (await store.load("j1")).version == 2


@pytest.mark.parametrize(
    ("version", "faulty"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_faulty_versions_are_known(version, faulty, monkeypatch, caplog):
    """A SQLite that can damage files is named in the log, once in a process."""
    assert _sqlite_file.is_faulty(version) is faulty
    monkeypatch.setattr(_sqlite_file, "_warned", False)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    monkeypatch.setattr(sqlite3, "sqlite_version", ".".join(map(str, version)))
    with caplog.at_level(logging.WARNING, "jobstate"):
        _sqlite_file.warn_of_faults()
        _sqlite_file.warn_of_faults()
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(" can,")[0] for text in said] == (
        [f"SQLite {sqlite3.sqlite_version}"] if faulty else []
    )
