"""The store in a SQLite file: what it promises, and what becomes of bad files and bad moments."""

from __future__ import annotations

import fcntl
import importlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from zlib import crc32

import anyio
import anyio.to_thread
import pytest

from jobstate import (
    DuplicateJob,
    JobNotFound,
    StaleVersion,
    StoreBroken,
    StoreBusy,
    StoreClosed,
    _loop,
)
from jobstate.stores import (
    _claims,
    _doorbell,
    _sqlite_file,
    _sqlite_reading,
    _sqlite_rows,
    _sqlite_schema,
    _sqlite_upkeep,
    encoded,
)
from jobstate.stores.sqlite import SQLiteStore
from jobstate.testing import DURABLE_STORE_CHECKS, STORE_CHECKS
from jobstate.testing import _store_tools as tools
from jobstate.testing._store_tools import job_record, moved, next_of, report, step, versions_of

from .system.connection import plain  # type: ignore[import-not-found]  # tests are no package

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_is_left_of_a_store")]


# --- promises -------------------------------------------------------------------------------


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_its_promises(check, path):
    """What is promised of stores is true of the one in a file."""
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await check(store)
    assert store.backstop_hits == 0


@pytest.mark.parametrize("check", DURABLE_STORE_CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_what_it_has_kept(check, path):
    """What is promised of stores that outlive their process is true of it."""
    await check(lambda: SQLiteStore(path, synchronous="NORMAL"))


async def test_it_is_opened_by_its_first_use(path):
    """Nothing is there before it is used, and it says what it is."""
    store = SQLiteStore(path)
    assert repr(store) == f"<SQLiteStore {path}>"
    assert not path.exists()
    await moved(store, 1)
    await store.aclose()
    assert path.exists()


def test_where_there_is_no_posix_that_is_said(monkeypatch):
    """On other systems nothing is imported by halves: one error names what is missing."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.delitem(sys.modules, "jobstate.stores.sqlite")
    with pytest.raises(ImportError, match="needs a POSIX system, with file locks") as caught:
        importlib.import_module("jobstate.stores.sqlite")
    assert caught.value.name == "fcntl"


@pytest.mark.parametrize("wrong", ["", ":memory:", "/", "jobs/", b"jobs.db"])
def test_it_needs_a_file(wrong):
    """What names no file is refused, with a word on what does without one."""
    with pytest.raises(ValueError, match="MemoryStore"):
        SQLiteStore(wrong)


def test_how_safe_it_is_must_be_one_of_three(path):
    """A store that forgets what it has acknowledged is none."""
    with pytest.raises(ValueError, match="FULL, NORMAL or EXTRA, not 'OFF'"):
        SQLiteStore(path, synchronous="OFF")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), 2_000_001])
def test_it_is_patient_for_a_time(wrong, path):
    """What SQLite could not be told to wait is refused at once."""
    with pytest.raises(ValueError, match="patience is seconds, from 0 to 2,000,000, not"):
        SQLiteStore(path, patience=wrong)


@pytest.mark.parametrize(("synchronous", "number"), [("FULL", 2), ("NORMAL", 1), ("EXTRA", 3)])
async def test_how_safe_it_is_is_told_to_sqlite(synchronous, number, path):
    """Both connections are as safe as was asked, and keep a write-ahead log."""
    async with SQLiteStore(path, synchronous=synchronous) as store:
        reader = await store._reader.ask(lambda c: c.execute("PRAGMA synchronous").fetchone())
        writer = await store._writer.ask(lambda w: w.run("PRAGMA synchronous").fetchone())
        assert reader == writer == (number,)
    with plain(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_the_file_is_for_its_user_alone(path):
    """The file, its log and the folder of bells can be read by nobody else."""
    before = os.umask(0)
    try:
        async with SQLiteStore(path) as store:
            await moved(store, 1)
            modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {
        "jobs.db": 0o600,
        "jobs.db-wal": 0o600,
        "jobs.db-shm": 0o600,
        "jobs.db-bells": 0o700,
    }


# --- stores that break a promise ------------------------------------------------------------


def deaf(patch):
    """Have nobody woken by another store."""
    patch.setattr(_doorbell.Doorbell, "ring", lambda bell: None)


def forgetful(patch):
    """Have nobody's repetition recognised."""
    patch.setattr(_sqlite_rows.Writing, "_there", lambda *_: (0, ""))


def restarting(patch):
    """Have positions begin anew with each group."""
    patch.setattr(_sqlite_rows, "position_of", lambda connection: 100)


def overwriting(patch):
    """Have whoever comes last create the job."""

    def create(self, job, text):
        self.run("DELETE FROM kept WHERE job = (SELECT number FROM job WHERE id = ?)", (job.id,))
        self.run("DELETE FROM job WHERE id = ?", (job.id,))
        return create_one(self, job, text)

    create_one = _sqlite_rows.Writing.create
    patch.setattr(_sqlite_rows.Writing, "create", create)


def in_blocks(patch):
    """Have each store take its positions from a block of its own."""
    blocks = {}

    def position(connection):
        blocks.setdefault(connection, 1000 * len(blocks))
        blocks[connection] += 50
        return blocks[connection]

    patch.setattr(_sqlite_rows, "position_of", position)


def unconditional(patch):
    """Have whoever comes last take the version."""

    def append(self, entry, text, expected):
        self.run("DELETE FROM kept WHERE version = ?", (entry.transition.version,))
        self.run("UPDATE job SET version = ?, ended = NULL", (expected,))
        return compare_and_set(self, entry, text, expected)

    compare_and_set = _sqlite_rows.Writing.append
    patch.setattr(_sqlite_rows.Writing, "append", append)


def volatile(patch):
    """Have what was acknowledged gone when the store is closed."""
    close = SQLiteStore._close

    def forget(store):
        close(store)
        store._file.path.unlink(missing_ok=True)

    patch.setattr(SQLiteStore, "_close", forget)


def contagious(patch):
    """Have all stores closed with one."""
    stores = []
    init, close = SQLiteStore.__init__, SQLiteStore._close

    def known(store, *args, **options):
        init(store, *args, **options)
        stores.append(store)

    patch.setattr(SQLiteStore, "__init__", known)
    patch.setattr(SQLiteStore, "_close", lambda store: [close(each) for each in stores])


def modest(patch):
    """Say that what is kept does not outlive the process."""
    patch.setattr(SQLiteStore, "durable", False)


def hasty(patch):
    """Have what another claimed taken from it."""
    patch.setattr(_claims.fcntl, "flock", lambda *_: None)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (hasty, "check_of_two_stores_one_has_a_name"),
        (modest, "check_jobs_outlive_a_store"),
        (deaf, "check_another_store_follows"),
        (forgetful, "check_lost_replies_outlive_a_store"),
        (restarting, "check_jobs_outlive_a_store"),
        (overwriting, "check_of_two_stores_one_creates"),
        (in_blocks, "check_positions_rise_whichever_store_writes"),
        (unconditional, "check_of_two_stores_one_commits"),
        (volatile, "check_jobs_outlive_a_store"),
        (contagious, "check_closing_one_store_spares_the_others"),
    ],
)
async def test_a_faulty_store_is_caught(fault, check, path, monkeypatch):
    """A store that breaks a promise about several stores fails the check of that promise."""
    monkeypatch.setattr(tools, "PATIENCE", 1.0)
    fault(monkeypatch)
    (meant,) = (each for each in DURABLE_STORE_CHECKS if each.__name__ == check)
    stores = []

    def open_store():
        stores.append(SQLiteStore(path, synchronous="NORMAL"))
        return stores[-1]

    with pytest.raises(Exception) as caught:  # noqa: PT011  # an assertion, or an error
        await meant(open_store)
    assert not isinstance(caught.value, AttributeError)
    monkeypatch.undo()
    for store in stores:
        await store.aclose()


# --- one commit for many --------------------------------------------------------------------


async def test_what_piles_up_is_committed_at_once(path, monkeypatch):
    """While one commit is under way, all that comes waits for the next one, together."""
    groups = []
    write_all = _sqlite_rows.write_all

    def counted(connection, works):
        groups.append(len(works))
        return write_all(connection, works)

    monkeypatch.setattr(_sqlite_rows, "write_all", counted)
    async with SQLiteStore(path) as store, anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(store.create, job_record(f"n{number}"))
    assert sum(groups) == 200
    assert len(groups) < 20


async def test_nothing_is_acknowledged_before_it_is_committed(path):
    """Whoever is told that something is kept finds it there, with any other program."""
    async with SQLiteStore(path) as store:
        await store.create(job_record())
        with plain(path) as other:
            for version in range(1, 20):
                await store.append(step(version), expected=version - 1)
                seen = other.execute("SELECT version FROM job").fetchone()
                assert seen == (version,)


async def test_a_commit_that_fails_is_told_to_all_it_was_for(path, monkeypatch):
    """Nobody is told that something was written where the commit has failed, and nothing is."""
    async with SQLiteStore(path) as store:
        await store.create(job_record("first"))
        failing = [True]
        begin = _sqlite_schema.transaction

        @contextmanager
        def broken(connection):
            with begin(connection):
                yield
                if failing:
                    raise sqlite3.OperationalError("jam")

        monkeypatch.setattr(_sqlite_rows, "transaction", broken)
        errors = []

        async def create(number):
            with pytest.raises(StoreBroken, match=r"SQLite has failed \(jam\)") as caught:
                await store.create(job_record(f"n{number}"))
            errors.append(caught.value)

        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(create, number)
        assert len(set(map(id, errors))) == 5
        assert all(isinstance(error.__cause__, sqlite3.OperationalError) for error in errors)
        failing.clear()
        assert len(await store.unfinished()) == 1
        assert await store.create(job_record("n1")) == 2


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        (lambda run: run("UPDATE job SET version = -1 WHERE id = 'bad'"), "CHECK"),
        (lambda run: run("UPDATE job SET status = ?", ({},)), "SQLite has failed"),
        (lambda run: run("UPDATE job SET number = ?", (2**70,)), "OverflowError"),
        (lambda run: len(None), "TypeError"),
    ],
)
async def test_what_fails_in_one_spares_its_neighbours(fail, said, path, monkeypatch):
    """Where a constraint of the file is broken, or we are, the others of the group are written."""
    create = _sqlite_rows.Writing.create

    def hostile(self, job, text):
        position = create(self, job, text)
        if job.id == "bad":
            fail(self.run)
        return position

    monkeypatch.setattr(_sqlite_rows.Writing, "create", hostile)
    async with SQLiteStore(path) as store:
        async with anyio.create_task_group() as tasks:
            for name in ("a", "b"):
                tasks.start_soon(store.create, job_record(name))
            with pytest.raises(StoreBroken, match=said) as caught:
                await store.create(job_record("bad"))
            assert caught.value.__cause__ is not None
        assert sorted(stored.job.id for stored in await store.unfinished()) == ["a", "b"]


@contextmanager
def writer_of(path):
    """The connection that writes a store, and the statements that it has run."""
    with closing(_sqlite_file.File(path, "NORMAL", 5).open()) as connection:
        said = []
        connection.set_trace_callback(said.append)
        yield connection, said


def creating(name):
    """Return what creates a job."""
    job = job_record(name)
    return lambda writing: writing.create(job, encoded(job))


def appending(entry):
    """Return what appends a transition."""
    return lambda writing: writing.append(entry, encoded(entry), entry.transition.version - 1)


def half_done(writing):
    """Create a job, think better of it, and have used up a position."""
    creating("half")(writing)
    raise StaleVersion("half", 1, 2)


def against_a_rule(writing):
    """Break a rule of the file, after breaking none."""
    creating("half")(writing)
    writing.run("UPDATE job SET version = -1 WHERE id = 'half'")


@pytest.mark.parametrize("refused", [half_done, against_a_rule])
def test_what_was_half_written_is_undone_alone(refused, path):
    """Where something is refused after it has changed something, its neighbours are written."""
    works = [creating("a"), refused, appending(step(1, job_id="a")), creating("b")]
    with writer_of(path) as (connection, said):
        answers = _sqlite_rows.write_all(connection, works)
        assert [type(answer) for answer in answers] == [int, type(answers[1]), int, int]
        assert isinstance(answers[1], (StaleVersion, sqlite3.IntegrityError))
        assert [answers[0], *answers[2:]] == [1, 2, 3]
        assert _sqlite_reading.position_of(connection) == 3
        assert [stored.job.id for stored in _sqlite_reading.unfinished(connection, 0)] == ["a", "b"]
    assert said.count("ROLLBACK") == 1
    assert said.count("COMMIT") == 1
    assert said.count("SAVEPOINT one") == said.count("RELEASE one") == 4


def test_what_is_refused_at_once_costs_its_neighbours_nothing(path):
    """A refusal that has changed nothing needs nothing undone."""
    works = [creating("a"), creating("a"), appending(step(1, job_id="b")), creating("b")]
    works += [appending(step(3, job_id="a")), appending(step(1, job_id="a"))]
    with writer_of(path) as (connection, said):
        answers = _sqlite_rows.write_all(connection, works)
        kinds = [int, DuplicateJob, JobNotFound, int, StaleVersion, int]
        assert list(map(type, answers)) == kinds
        assert [answer for answer in answers if isinstance(answer, int)] == [1, 2, 3]
    assert said.count("BEGIN IMMEDIATE") == said.count("COMMIT") == 1
    assert not any("SAVEPOINT" in each or "ROLLBACK" in each for each in said)


async def test_a_cancelled_call_is_done_all_the_same(path):
    """Who gives up waiting may find that it was written, and can say so again."""
    async with SQLiteStore(path) as store:
        job = job_record()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.create(job)
        assert scope.cancelled_caught
        assert await store.create(job) == (await store.load("j1")).created


async def test_a_long_log_is_shortened(path, monkeypatch):
    """The write-ahead log does not grow with all that is ever written."""
    monkeypatch.setattr(_sqlite_file, "_LONG_LOG", 100_000)
    log = path.with_name("jobs.db-wal")
    sizes = []
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await store.create(job_record())
        for version in range(1, 150):
            await store.append(step(version), expected=version - 1)
            sizes.append(log.stat().st_size)
        await store.load("j1")
    assert max(sizes) < 400_000
    assert sizes != sorted(sizes)


async def test_a_log_that_another_shortens_is_left_to_it(path, monkeypatch):
    """Where another process holds the lock, or reads, the log grows on, and nothing fails."""
    monkeypatch.setattr(_sqlite_file, "_LONG_LOG", 0)
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await store.create(job_record())
        await store.append(step(1), expected=0)
        lock = os.open(path.parent / "jobs.db-bells" / ".log", os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        await store.append(step(2), expected=1)
        await store.append(step(3), expected=2)
        assert path.with_name("jobs.db-wal").stat().st_size > 0
        os.close(lock)
        assert (await store.load("j1")).version == 3


# --- many jobs ------------------------------------------------------------------------------


def steps_of(path, jobs, read):
    """Return how many steps SQLite takes to read something from so many jobs, half of them ended.

    Of each job that is read, its journal is as good as empty.
    """
    with closing(_sqlite_file.File(path, "NORMAL", 5).open()) as connection:
        connection.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?)"
            " INSERT INTO job SELECT x, 'n' || x, 0, iif(x % 2, 'ENDED', 'HERE'),"
            " iif(x % 2, x, NULL) FROM n",
            (jobs,),
        )
        text = encoded(job_record())
        connection.execute(
            "INSERT INTO kept SELECT number, number, 0, '', ?, ? FROM job",
            (text, crc32(text.encode())),
        )
        steps = []
        connection.set_progress_handler(lambda: steps.append(1), 1)
        assert read(connection)
        connection.set_progress_handler(None, 1)
    return len(steps)


READINGS = {
    "newest": partial(_sqlite_reading.jobs, statuses=(), before=None),
    "older": partial(_sqlite_reading.jobs, statuses=(), before=150),
    "in_status": partial(_sqlite_reading.jobs, statuses={"HERE"}, before=150),
    "in_statuses": partial(_sqlite_reading.jobs, statuses={"HERE", "ENDED", "no"}, before=None),
    "unfinished": partial(_sqlite_reading.unfinished, after=7),
    "prune": lambda c: _sqlite_upkeep.let_go(_sqlite_rows.Writing(c), (30.0, 0)),
    "last_to_go": partial(_sqlite_upkeep.last_to_go, ended_before=150.0, keep=20),
}


@pytest.mark.parametrize("read", READINGS.values(), ids=READINGS)
def test_a_page_takes_no_longer_where_there_are_many(read, tmp_path):
    """However many jobs there are, a page of them is found in as many steps."""
    few = steps_of(tmp_path / "few.db", 200, read)
    many = steps_of(tmp_path / "many.db", 5_000, read)
    assert many <= few + 10


# --- letting go -----------------------------------------------------------------------------


async def ended(store, jobs, *, entries=1, text=""):
    """Keep so many jobs that have ended, at 1, 2, 3 …, each with so many entries."""
    for number in range(1, jobs + 1):
        await store.create(job_record(f"n{number}"))
    for version in range(1, entries + 1):
        async with anyio.create_task_group() as tasks:
            for number in range(1, jobs + 1):
                final = version == entries
                dest = "END" if final else "STARTED"
                entry = step(version, dest, f"n{number}", final=final, result=text)
                late = entry.transition._replace(timestamp=float(number))
                entry = replace(entry, transition=late)
                tasks.start_soon(partial(store.append, entry, expected=version - 1))


async def test_others_write_between_the_pieces_of_a_pruning(path, monkeypatch):
    """Much is let go of in many commits, and what others ask for meanwhile is done in between."""
    monkeypatch.setattr(_sqlite_upkeep, "PIECE", 6)
    let_go, log = _sqlite_upkeep.let_go, []

    def logged(writing, last):
        log.append(let_go(writing, last))
        return log[-1]

    monkeypatch.setattr(_sqlite_upkeep, "let_go", logged)
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await ended(store, 30)

        async def create():
            for number in range(4):
                await store.create(job_record(f"new{number}"))
                log.append("created")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(create)
            assert await store.prune(ended_before=29.5) == 29
    assert [each for each in log if each != "created"] == [3] * 9 + [2, 0]
    assert log.index("created") < log.index(0) > 4


async def test_a_long_journal_is_let_go_of_as_a_whole(path, monkeypatch):
    """No job is ever found with a part of its journal gone, however long that is."""
    monkeypatch.setattr(_sqlite_upkeep, "PIECE", 6)
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await ended(store, 3, entries=20)
        await store.report(report(20, 5.0, "n1"))
        last = await store._reader.ask(lambda c: _sqlite_upkeep.last_to_go(c, 9.0, 1))
        assert last == (2.0, 2)
        work = partial(_sqlite_upkeep.let_go, last=last)
        assert [await store._writer.ask(work) for _ in range(3)] == [1, 1, 0]
    with plain(path) as connection:
        assert connection.execute("SELECT job, count(*) FROM kept GROUP BY job").fetchall() == [
            (3, 21)
        ]


async def test_a_cancelled_pruning_has_done_some_pieces(path, monkeypatch):
    """Who gives up waiting finds some jobs gone, each as a whole, and can go on later."""
    monkeypatch.setattr(_sqlite_upkeep, "PIECE", 2)
    let_go, calls = _sqlite_upkeep.let_go, []
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await ended(store, 20)
        scope = anyio.CancelScope()
        stop = partial(_loop.call_soon, _loop.home(), scope.cancel)

        def stopping(writing, last):
            calls.append(last)
            if len(calls) == 5:
                stop()
            return let_go(writing, last)

        monkeypatch.setattr(_sqlite_upkeep, "let_go", stopping)
        with scope:
            await store.prune(ended_before=100.0)
        assert scope.cancelled_caught
        monkeypatch.setattr(_sqlite_upkeep, "let_go", let_go)
        assert len(await store.jobs()) in (15, 16)  # the last piece may be under way
        assert await store.prune(ended_before=100.0) == 15


async def test_who_follows_a_job_that_is_gone_before_he_could_look_is_woken(path):
    """Where a job ends and is let go of while nobody could look, whoever waits for it is told."""
    async with SQLiteStore(path) as store, SQLiteStore(path) as other:
        await store.create(job_record())
        go_on = threading.Event()
        async with other.follow("j1") as feed:
            await next_of(feed)
            async with anyio.create_task_group() as tasks:

                async def wait():
                    with pytest.raises(JobNotFound):
                        await next_of(feed)

                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                other._reader.tell(lambda connection: go_on.wait(10), bool)
                try:
                    await store.append(step(1, "END", final=True), expected=0)
                    assert await store.prune(ended_before=100.0) == 1
                finally:
                    go_on.set()
        assert other.backstop_hits == 0


async def test_space_is_used_again(path):
    """What jobs took that are gone is there for those that come."""

    def size(connection):
        return connection.execute("PRAGMA page_count").fetchone()[0]

    async with SQLiteStore(path, synchronous="NORMAL") as store:
        sizes = []
        for _ in range(3):
            await ended(store, 50, text="x" * 9000)
            sizes.append(await store._reader.ask(size))
            assert await store.prune(ended_before=100.0) == 50
        assert max(sizes) < sizes[0] * 1.1


async def test_space_is_given_back(path):
    """The file gets smaller when it is asked to, and all that is kept is there, and followed."""
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await store.create(job_record("first"))
        await ended(store, 100, text="x" * 9000)
        await store.prune(ended_before=100.0)
        before = await store.load("n100")
        async with SQLiteStore(path) as other, other.follow(after=None) as feed:
            async with anyio.create_task_group() as tasks:
                for number in range(5):
                    tasks.start_soon(store.create, job_record(f"m{number}"))
                tasks.start_soon(store.vacuum)
                tasks.start_soon(store.create, job_record("m5"))
            assert path.stat().st_size < 200_000
            assert sorted([(await next_of(feed)).record.id for _ in range(6)]) == [
                f"m{number}" for number in range(6)
            ]
            assert await other.load("n100") == before
        assert (await store.unfinished())[0].job.id == "first"


@pytest.mark.parametrize("how", ["writes", "reads", "shortens the log"])
async def test_space_is_given_back_where_nobody_else_is_busy(how, path):
    """While another program is, nothing is lost, and it can be tried again."""
    async with SQLiteStore(path, patience=0.01) as store:
        await ended(store, 20, text="x" * 9000)
        await store.prune(ended_before=100.0, keep=1)
        lock = os.open(path.parent / "jobs.db-bells" / ".log", os.O_RDWR | os.O_CREAT, 0o600)
        with plain(path) as other:
            if how == "shortens the log":
                fcntl.flock(lock, fcntl.LOCK_EX)
            else:
                other.execute("BEGIN IMMEDIATE" if how == "writes" else "BEGIN")
                other.execute("SELECT * FROM job").fetchall()
            with pytest.raises(StoreBusy, match=r"locked by another program for more than 0\.01 s"):
                await store.vacuum()
            assert (await store.load("n20")).final
        os.close(lock)
        await store.vacuum()
        assert path.stat().st_size < 100_000
        assert [stored.job.id for stored in await store.jobs()] == ["n20"]


# --- closing --------------------------------------------------------------------------------


async def test_closing_can_be_cancelled(path):
    """Who gives up waiting for a store to close has closed it all the same."""
    store = SQLiteStore(path)
    await moved(store, 1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    with pytest.raises(StoreClosed):
        await store.load("j1")
    await store.aclose()


async def test_a_closed_store_is_in_its_file_alone(path, monkeypatch):
    """Once it is closed, nothing is left beside the file that would have to go along with it."""
    together, close = threading.Barrier(2), _sqlite_file.File.close

    def at_one_time(file, connection):
        together.wait(10)
        close(file, connection)

    monkeypatch.setattr(_sqlite_file.File, "close", at_one_time)
    for number in range(20):
        async with SQLiteStore(path, synchronous="NORMAL") as store:
            await store.create(job_record(f"n{number}"))
        assert sorted(os.listdir(path.parent)) == ["jobs.db", "jobs.db-bells"]


async def test_several_can_close(path):
    """All who close a store wait until it is closed."""
    store = SQLiteStore(path)
    await moved(store, 1)

    async def close():
        await store.aclose()
        assert [each.name for each in threading.enumerate() if "jobs.db" in each.name] == []

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(close)


async def test_a_block_that_is_cancelled_as_it_is_entered_leaves_nothing(path):
    """A store whose opening was given up is closed."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with SQLiteStore(path):
            pass  # pragma: no cover
    assert scope.cancelled_caught
    for thread in threading.enumerate():
        if "jobs.db" in thread.name:
            await anyio.to_thread.run_sync(thread.join)


async def test_what_was_asked_before_is_committed(path):
    """Closing waits for what was asked, which is there afterwards."""
    store = SQLiteStore(path)
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(store.create, job_record(f"n{number}"))
        await anyio.wait_all_tasks_blocked()
        await store.aclose()
    async with SQLiteStore(path) as store:
        assert len(await store.unfinished()) == 50


def test_it_serves_every_event_loop_of_its_process(path):
    """One store may be used in several threads with event loops of their own."""
    store = SQLiteStore(path)
    anyio.run(moved, store, 2, backend="trio")

    async def use():
        await store.append(step(3), expected=2)
        await store.aclose()

    anyio.run(use)


# --- other processes ------------------------------------------------------------------------

WRITER = """
import os, signal, sys, anyio
from jobstate.stores import _doorbell
from jobstate.stores.sqlite import SQLiteStore
from jobstate.testing import _store_tools as tools
from jobstate.testing._store_tools import job_record, step, versions_of

def die(bell):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with SQLiteStore(sys.argv[1], synchronous="NORMAL") as store:
        print("ready", flush=True)
        for line in sys.stdin:
            word, number = line.split()
            version = int(number)
            if word == "follow":
                async with store.follow("j1") as feed:
                    print(await versions_of(feed, version), flush=True)
                continue
            if word == "fork":
                child = os.fork()
                if not child:
                    os.close(1)
                    signal.pause()
                print(child, flush=True)
                continue
            if word == "die":
                _doorbell.Doorbell.ring = die
            if word == "race":
                won = []
                for each in range(1, version + 1):
                    try:
                        await store.append(step(each, result=os.getpid()), expected=each - 1)
                    except Exception as error:
                        assert type(error).__name__ == "StaleVersion", error
                    else:
                        won.append(each)
                print(won, flush=True)
                continue
            await store.append(step(version), expected=version - 1)
            print("done", flush=True)
anyio.run(main)
"""


class Other:
    """Another process with a store on the same file."""

    def __init__(self, path):
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WRITER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid, self.child = self._process.pid, None

    def __enter__(self):
        assert self.hear() == "ready"
        return self

    def __exit__(self, *exc_info):
        if self._process.poll() is None and exc_info[0] is not None:
            self._process.kill()
        self._process.communicate()
        if self.child is not None:
            os.kill(self.child, signal.SIGKILL)

    def say(self, word, version):
        """Tell the process what to do."""
        self._process.stdin.write(f"{word} {version}\n")
        self._process.stdin.flush()

    def hear(self):
        """Return the next line that it says."""
        return self._process.stdout.readline().strip()


async def test_another_process_is_followed(path):
    """What another process writes comes as it commits, and nobody has to look for it."""
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await store.create(job_record())
        async with store.follow("j1") as feed:
            await next_of(feed)
            with Other(path) as other:
                for version in range(1, 6):
                    other.say("append", version)
                    assert await versions_of(feed, version) == [version]
        assert store.backstop_hits == 0


@pytest.mark.parametrize("with_child", [False, True])
async def test_a_writer_that_is_killed_before_it_rings_rings_all_the_same(with_child, path):
    """Where a process dies between its commit and its ring, those who follow get what it wrote.

    So they do where it was forked: its child keeps no connection of it open.
    """
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await store.create(job_record())
        for version in (1, 2):
            async with store.follow("j1", after=version) as feed:
                with Other(path) as other:
                    if with_child:
                        other.say("fork", 0)
                        other.child = int(other.hear())
                    other.say("die", version)
                    assert await versions_of(feed, version) == [version]
                assert other._process.returncode == -signal.SIGKILL
        assert store.backstop_hits == 0
        bells = path.with_name("jobs.db-bells")
        dead = f"{other.pid}-"
        assert any(name.startswith(dead) for name in os.listdir(bells))
        async with SQLiteStore(path):  # whoever comes next clears it away
            assert not any(name.startswith(dead) for name in os.listdir(bells))


async def test_processes_race_for_each_version(path):
    """Of several processes that write one job, exactly one writes each version."""
    async with SQLiteStore(path, synchronous="NORMAL") as store:
        await store.create(job_record())

    def race():
        with Other(path) as one, Other(path) as two, Other(path) as three:
            racers = (one, two, three)
            for each in racers:
                each.say("race", 60)
            return {each.pid: each.hear() for each in racers}

    won = await anyio.to_thread.run_sync(race)
    async with SQLiteStore(path) as store:
        kept = await store.history("j1")
    assert [entry.transition.version for entry in kept] == list(range(1, 61))
    for pid, versions in won.items():
        assert versions == str([e.transition.version for e in kept if e.result == pid])


async def test_processes_that_come_first_at_one_time_make_one_store(path):
    """Several processes may find that there is no file, and each of them has the store."""

    def open_all():
        others = [Other(path) for _ in range(4)]
        for each in others:
            each.__enter__()
        for each in others:
            each.__exit__(None, None, None)

    await anyio.to_thread.run_sync(open_all)
