"""The file of a SQLite store: what it can be, what can become of it, and its formats."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from zlib import crc32

import anyio
import anyio.to_thread
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
    _sqlite_errors,
    _sqlite_file,
    _sqlite_schema,
    decoded,
    encoded,
)
from jobstate.stores.sqlite import SQLiteStore
from jobstate.testing._store_tools import job_record, moved, next_of, report, step, versions_of

from .system.connection import plain  # type: ignore[import-not-found]  # tests are no package

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_is_left_of_a_store")]
GOLDEN = Path(__file__).parent / "golden"


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


def short_file(path):
    """Make a file of one byte, which SQLite takes for an empty one."""
    path.write_text("x")


def other_database(path):
    """Make a database of another program."""
    with plain(path) as connection:
        connection.execute("CREATE TABLE job (id TEXT)")


def marked_database(path):
    """Make a database that another program has marked as its own."""
    with plain(path) as connection:
        connection.execute("PRAGMA application_id=7")


def database_of_no_format(path):
    """Make one that bears our mark and is of no format that there ever was."""
    with plain(path) as connection:
        connection.execute("PRAGMA application_id=0x4A4F4253")
        connection.execute("PRAGMA user_version=-1")


def database_before_the_first_format(path):
    """Make one that bears our mark, and has a table that is none of ours."""
    with plain(path) as connection:
        connection.execute("PRAGMA application_id=0x4A4F4253")
        connection.execute("CREATE TABLE diary (day TEXT)")


def killed(path, statements):
    """Make what another program leaves that is killed after some statements."""
    scene = path.with_name("scene")
    scene.mkdir()
    with plain(scene / "jobs.db") as connection:
        for statement in statements:
            connection.execute(statement)
        for each in scene.glob("jobs.db*"):
            shutil.copy(each, path.parent)
    shutil.rmtree(scene)


def database_with_a_log(path):
    """Make a database of another program that was killed, and has left a log."""
    checkpoint = "PRAGMA wal_checkpoint"
    first, second = "CREATE TABLE t (x)", "CREATE TABLE u (x)"
    killed(path, ["PRAGMA journal_mode=WAL", first, checkpoint, second])
    assert path.with_name("jobs.db-wal").stat().st_size


def database_with_a_journal(path):
    """Make a database of another program that was killed while it wrote."""
    many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 200)"
    fill = f"{many} INSERT INTO t SELECT zeroblob(3000) FROM n"
    killed(path, ["CREATE TABLE t (x)", "PRAGMA cache_size=1", "BEGIN", fill])
    assert path.with_name("jobs.db-journal").stat().st_size


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (text_file, "a file that is no SQLite database"),
        (short_file, "a file that is no SQLite database"),
        (database_with_a_log, "a database of another program"),
        (database_with_a_journal, "a database of another program"),
        (other_database, "a database of another program"),
        (marked_database, "a database of another program"),
        (database_of_no_format, "a database of another program"),
        (database_before_the_first_format, "a database of another program"),
    ],
)
async def test_what_is_no_store_is_left_as_it_is(make, found, path):
    """A file of another kind is refused, and not a byte of it is changed, or put beside it."""
    make(path)
    before = snapshot(path.parent)
    error = await refused(path, ForeignStore)
    assert (error.store, error.found) == (str(path), found)
    assert snapshot(path.parent) == before
    assert not path.with_name("jobs.db-bells").exists()


async def test_a_later_format_is_left_as_it_is(path):
    """The file of a later release is refused, and not a byte of it is changed."""
    async with SQLiteStore(path) as store:
        await moved(store, 1)
    version, checkpoint = "PRAGMA user_version=99", "PRAGMA wal_checkpoint"
    with plain(path) as connection:
        for statement in (version, checkpoint, "CREATE TABLE more (x)"):
            connection.execute(statement)
        later = path.with_name("later.db")
        for part in ("", "-wal"):
            shutil.copy(f"{path}{part}", f"{later}{part}")
    before = snapshot(path.parent)
    error = await refused(later, NewerFormat)
    assert (error.found, error.known) == (99, 1)
    assert snapshot(path.parent) == before


async def test_what_a_log_alone_tells_is_told_too(path):
    """What has not come into the file yet is read, and counts."""
    async with SQLiteStore(path) as store:
        await moved(store, 1)
    later = path.with_name("later.db")
    with plain(path) as connection:
        connection.execute("PRAGMA user_version=99")
        for part in ("", "-wal"):
            shutil.copy(f"{path}{part}", f"{later}{part}")
    assert (await refused(later, NewerFormat)).found == 99


LOCKED = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0).execute("SELECT * FROM sqlite_schema").fetchall()
except sqlite3.OperationalError as error:
    print(error)
"""


async def test_looking_at_a_file_takes_no_lock_from_it(path):
    """What else in this process has locked the file has it locked still."""
    other_database(path)
    with plain(path) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        await refused(path, ForeignStore)
        command = [sys.executable, "-c", LOCKED, str(path)]
        said = await anyio.to_thread.run_sync(partial(subprocess.check_output, command, text=True))
    assert said == "database is locked\n"


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


@pytest.mark.parametrize("beside", ["jobs.db-journal", "jobs.db-wal", "jobs.db-bells"])
async def test_an_empty_file_becomes_a_store(beside, path):
    """A process that died as it made the file leaves an empty one, which the next makes a store.

    It is for its user alone then, whoever could read it before.
    """
    path.touch()
    path.chmod(0o644)
    if beside == "jobs.db-bells":
        path.with_name(beside).mkdir(0o700)
    else:
        path.with_name(beside).touch()
    async with SQLiteStore(path) as store:
        await moved(store, 1)
        for each in path.parent.glob("jobs.db*"):
            assert not each.stat().st_mode & 0o077


async def test_an_empty_file_of_another_user_becomes_a_store(path, monkeypatch):
    """Where it cannot be kept from others, it is a store all the same."""

    def fail(path, mode):
        raise PermissionError(1, "Operation not permitted")

    path.touch(0o644)
    monkeypatch.setattr(os, "chmod", fail)
    async with SQLiteStore(path) as store:
        await moved(store, 1)


async def test_a_store_that_others_can_read_is_told_of(path, caplog):
    """Its jobs may be for other eyes by intent: that is left, and said once."""
    async with SQLiteStore(path) as store:
        await moved(store, 1)
    path.chmod(0o640)
    async with SQLiteStore(path) as store:
        await store.append(step(2), expected=1)
        await store.load("j1")
    said = [record.getMessage() for record in caplog.records if "SQLite" not in record.msg]
    assert said == [f"store {path} can be read or written by others than its user"]
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("how", ["is empty", "has gone"])
async def test_a_log_without_its_file_is_left_as_it_is(how, path):
    """What a killed process has acknowledged is in its log: nobody makes a new store beside it."""
    async with SQLiteStore(path) as store:
        await moved(store, 1)
        log = path.with_name("jobs.db-wal").read_bytes()
    path.unlink()
    if how == "is empty":
        path.touch()
    path.with_name("jobs.db-wal").write_bytes(log)
    before = snapshot(path.parent)
    assert (await refused(path, StoreBroken)).problem == f"its log is there, but the file {how}"
    assert snapshot(path.parent) == before


async def test_a_file_of_two_names_is_refused(path):
    """Whoever opened it by the other name would write to another log, and know nothing of ours."""
    async with SQLiteStore(path) as store:
        await moved(store, 1)
    os.link(path, path.with_name("other.db"))
    for name in ("jobs.db", "other.db"):
        error = await refused(path.with_name(name), StoreBroken)
        assert "it has several names (hard links)" in error.problem
    path.with_name("other.db").unlink()
    async with SQLiteStore(path) as store:
        await store.append(step(2), expected=1)


def test_a_file_that_becomes_a_store_as_it_is_looked_at_is_none_of_others(path, monkeypatch):
    """What is found out about a file is true of one moment, whoever makes it a store meanwhile."""
    value, looked = _sqlite_schema.value_of, []

    def slow(connection, statement):
        found = value(connection, statement)
        if not looked:
            looked.append(statement)
            with suppress(StoreBusy):
                _sqlite_file.File(path, "FULL", 0.01).open().close()
        return found

    monkeypatch.setattr(_sqlite_schema, "value_of", slow)
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


def changed(connection):
    """Change a record such that it is still JSON."""
    connection.execute("UPDATE kept SET record = replace(record, '1.5', '7.5') WHERE job = 3")


def of_a_later_release(connection):
    """Write a record as a later release would."""
    text = encoded(job_record("n3")).replace('"v":1', '"v":2')
    kept = text, crc32(text.encode())
    connection.execute("UPDATE kept SET record = ?, crc = ? WHERE job = 3", kept)


@pytest.mark.parametrize(
    ("damage", "error"), [(changed, CorruptRecord), (of_a_later_release, NewerFormat)]
)
async def test_a_record_that_cannot_be_read_hides_no_others(damage, error, path):
    """What comes before it is read, the error says where it is, and one can go on past it."""

    def ids(page):
        return [stored.job.id for stored in page]

    async with SQLiteStore(path) as store:
        for number in range(1, 6):
            await store.create(job_record(f"n{number}"))
        with plain(path) as other:
            damage(other)
        async with store.follow() as feed:
            assert [(await next_of(feed)).record.id for _ in range(2)] == ["n1", "n2"]
            for _ in range(2):
                with pytest.raises(error) as caught:
                    await next_of(feed)
        assert (caught.value.job_id, caught.value.position) == ("n3", 3)
        async with store.follow(after=caught.value.position) as feed:
            assert (await next_of(feed)).record.id == "n4"
        assert ids(await store.unfinished()) == ["n1", "n2"]
        assert ids(await store.jobs()) == ["n5", "n4"]
        for call in (
            partial(store.unfinished, after=2),
            partial(store.jobs, before=4),
            partial(store.load, "n3"),
        ):
            with pytest.raises(error) as caught:
                await call()
            assert (caught.value.job_id, caught.value.position) == ("n3", 3)
        assert ids(await store.unfinished(after=3)) == ["n4", "n5"]
        assert ids(await store.jobs(before=3)) == ["n2", "n1"]


async def test_a_transition_that_cannot_be_read_is_told_with_its_place(path):
    """Of a record in a stream the position is told, of one in a journal that of its job."""
    async with SQLiteStore(path) as store:
        await store.create(job_record("n1"))
        await moved(store, 3)
        with plain(path) as other:
            other.execute("UPDATE kept SET crc = crc + 1 WHERE version = 2")
        async with store.follow("j1") as feed:
            assert await versions_of(feed, 1) == [1]
            with pytest.raises(CorruptRecord, match=r"\(of job j1, position 4\)"):
                await next_of(feed)
        with pytest.raises(CorruptRecord, match=r"\(of job j1, position 2\)"):
            await store.history("j1")
        with plain(path) as other:
            other.execute("DELETE FROM job WHERE id = 'j1'")
        async with store.follow(after=3) as feed:
            with pytest.raises(CorruptRecord, match=r"\(of job number 2, position 4\)"):
                await next_of(feed)


async def test_what_is_missing_is_told(path):
    """Where rows have gone, whoever needs them is told so, and not of a fault of Python's."""
    async with SQLiteStore(path) as store:
        job, first = job_record(), step(1)
        await store.create(job)
        await store.append(first, expected=0)
        with plain(path) as other:
            other.execute("DELETE FROM kept")
        with pytest.raises(CorruptRecord, match="the journal: version 0 is missing"):
            await store.create(job)
        with pytest.raises(CorruptRecord, match="the journal: version 1 is missing"):
            await store.append(first, expected=0)
        with plain(path) as other:
            other.execute("DELETE FROM counter")
        with pytest.raises(CorruptRecord, match="the counter of positions: it is missing"):
            await store.create(job_record("j2"))


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
            return lambda writing: writing.run(f"PRAGMA max_page_count={pages}").fetchone()

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
            store._waking.rung()
            with pytest.raises(StoreBroken, match="the file was replaced"):
                await next_of(feed)


@pytest.mark.parametrize(("part", "name"), [("-wal", "its log"), ("-shm", "the index of its log")])
async def test_a_log_that_has_gone_is_told(part, name, path):
    """Nothing is acknowledged that is written to a log, or by locks, that nobody else will find."""
    beside, store = path.with_name(f"jobs.db{part}"), SQLiteStore(path)
    await moved(store, 1)  # by the thread that writes; the other has yet to open the file
    beside.rename(path.with_name("elsewhere"))
    for call in (lambda: store.load("j1"), lambda: store.append(step(2), expected=1)):
        with pytest.raises(StoreBroken, match=f"{name} has gone; nothing was written"):
            await call()
    assert not beside.exists()
    beside.touch()
    with pytest.raises(StoreBroken, match=f"{name} was replaced by another"):
        await store.append(step(2), expected=1)
    path.with_name("elsewhere").rename(beside)
    await store.append(step(2), expected=1)
    assert (await store.load("j1")).version == 2
    await store.aclose()


async def test_who_opens_for_too_long_is_told_of(path):
    """Where another takes its time to open the file, a store waits no longer than it is patient."""
    async with SQLiteStore(path) as store:
        await moved(store, 1)
    with plain(path.with_name("jobs.db-bells") / ".open") as other:
        other.execute("BEGIN EXCLUSIVE")
        assert (await refused(path, StoreBusy)).seconds == 0.01
    async with SQLiteStore(path) as store:
        await store.append(step(2), expected=1)


def test_a_child_keeps_no_lock(path, monkeypatch):
    """What is locked as the process forks is free again once this process is done with it."""
    file, flock, copies = _sqlite_file.File(path, "FULL", 1), fcntl.flock, []
    file.bells.mkdir(0o700)

    def forking(lock, how):
        flock(lock, how)
        copies.append(os.dup(lock))

    monkeypatch.setattr(fcntl, "flock", forking)
    with file.lock("log"):
        monkeypatch.undo()
        with pytest.raises(BlockingIOError), file.lock("log"):
            pass  # pragma: no cover
    with file.lock("log"):
        pass
    os.close(copies[0])


async def test_a_log_that_another_has_shortened_is_due_sooner(path, monkeypatch):
    """However long the log was while somebody read for long, it is not let grow as long again."""
    monkeypatch.setattr(_sqlite_file, "_LONG_LOG", 50_000)
    log = path.with_name("jobs.db-wal")
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await store.create(job_record())
        with plain(path) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM job").fetchall()
            async with anyio.create_task_group() as tasks:  # so that it is tried a few times only
                for number in range(50):
                    job = job_record(f"n{number}", data="x" * 9000)
                    tasks.start_soon(store.create, job)
            assert log.stat().st_size > 400_000
            await store.report(report(0, 5.0))
            reader.execute("ROLLBACK")
            reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        sizes = []
        for version in range(1, 51):
            await store.append(step(version, result="x" * 9000), expected=version - 1)
            sizes.append(log.stat().st_size)
    assert max(sizes) < 200_000


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (sqlite3.SQLITE_READONLY, "it can be read only"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "it can be read only"),
        (sqlite3.SQLITE_PERM, "it may not be opened"),
        (sqlite3.SQLITE_CANTOPEN, "it cannot be opened"),
        (sqlite3.SQLITE_FULL, "the disk is full"),
        (sqlite3.SQLITE_IOERR_FSYNC, "the system cannot read or write it"),
        (sqlite3.SQLITE_IOERR_WRITE, "as where the disk is full"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "as where the disk is full"),
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
        sqlite3,
        "connect",
        lambda name, **more: connect(name.replace("jobs.db?mode=rw", "jobs.db?mode=ro"), **more),
    )
    error = await refused(path, StoreBroken)
    assert "it can be read only" in error.problem


async def test_a_log_that_cannot_be_is_told(path, monkeypatch):
    """Where SQLite does not keep a write-ahead log, the store is refused."""
    value = _sqlite_schema.value_of
    monkeypatch.setattr(
        _sqlite_file, "value_of", lambda c, s: "delete" if "journal_mode" in s else value(c, s)
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
        for statement in itertools.chain(*_sqlite_schema.MIGRATIONS[:version]):
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
    monkeypatch.setattr(_sqlite_schema, "MIGRATIONS", (*_sqlite_schema.MIGRATIONS, *later))
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
    first = _sqlite_schema.MIGRATIONS
    later = ("CREATE TABLE more (x)", "CREATE TABLE job (x)")
    monkeypatch.setattr(_sqlite_schema, "MIGRATIONS", (*first, later))
    error = await refused(path, StoreBroken)
    assert "table job already exists" in error.problem
    monkeypatch.setattr(_sqlite_schema, "MIGRATIONS", first)
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
    assert _sqlite_errors.is_faulty(version) is faulty
    monkeypatch.setattr(_sqlite_errors, "_warned", False)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    monkeypatch.setattr(sqlite3, "sqlite_version", ".".join(map(str, version)))
    with caplog.at_level(logging.WARNING, "jobstate"):
        _sqlite_errors.warn_of_faults()
        _sqlite_errors.warn_of_faults()
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(" can,")[0] for text in said] == (
        [f"SQLite {sqlite3.sqlite_version}"] if faulty else []
    )
