"""Whatever was acknowledged is there after a process was killed, and nothing that was not written.

``JOBSTATE_KILLS`` says how often a process is killed: as often as you like, before a release.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from zlib import crc32

import anyio
import pytest

from jobstate import JOB_LIFECYCLE, JobRecord, JobStateError, Progress
from jobstate.stores import encoded
from jobstate.stores.sqlite import SQLiteStore
from jobstate.testing._store_tools import job_record, step

KILLS = int(os.environ.get("JOBSTATE_KILLS", "100"))
SEED = int(os.environ.get("JOBSTATE_SEED", "0"))
WRITER = Path(__file__).parent / "crash" / "writer.py"
EDGES = {(edge.trigger, edge.source, edge.dest) for edge in JOB_LIFECYCLE.edges}


class Writers:
    """What was tried, and what was acknowledged, by processes that were killed one by one."""

    def __init__(self, path):
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(WRITER), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.tried, self.kept, self.reported = {}, {}, {}

    def __enter__(self):
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *exc_info):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def round(self, seed, rng, *how):
        """Have a process write, kill it at some moment, and take down what it has said."""
        self._process.stdin.write(f"{seed} {' '.join(how)}\n")
        self._process.stdin.flush()
        left, pid = rng.randrange(1, 120), 0
        for line in self._process.stdout:
            word, *said = line.split()
            if word == "end":
                return
            if word == "pid":
                pid = int(said[0])
            else:
                name, what, crc = said
                if word == "try":
                    self.tried[name, what] = int(crc)
                elif what.startswith("report"):
                    self.reported[name] = number_of(what)  # a later one may be there instead
                else:
                    self.kept[name, what] = int(crc)
            left -= 1
            if left <= 0 and pid:
                for _ in range(rng.randrange(20_000)):
                    pass  # not always right after something was said
                os.kill(pid, signal.SIGKILL)
                left = 10**9


def number_of(what):
    """Return which report of its job it is."""
    return int(what.partition("-")[2])


async def kept_in(path):
    """Return the checksum of each thing that is kept, and all that makes no sense."""
    found, wrong, jobs = {}, [], {}
    async with SQLiteStore(path) as store:
        position, more = 0, True
        while more:
            page, more, _ = await store._page(None, position)
            for kept in page:
                position, record = kept
                if isinstance(record, JobRecord):
                    name, what = record.id, 0
                    jobs[name] = (record.status, 0, False)
                elif isinstance(record, Progress):
                    name, what = record.job_id, f"report-{record.info['number']}"
                else:
                    move = record.transition
                    name, what = move.job_id, move.version
                    before, version, final = jobs.get(name, ("nothing", -1, False))
                    legal = (move.trigger, move.source, move.dest) in EDGES
                    if final or not legal or (move.source, what) != (before, version + 1):
                        wrong.append(move)
                    jobs[name] = (move.dest, what, record.final)
                found[name, str(what)] = crc32(encoded(record).encode())
        for name, (_, version, final) in jobs.items():
            try:
                stored = await store.load(name)
                if (stored.version, stored.final) != (version, final):
                    wrong.append(stored)
            except JobStateError as error:
                wrong.append(error)
    return found, wrong


def problems(path, writers):
    """Return what is wrong with a store after processes were killed."""
    found, wrong = anyio.run(kept_in, path)
    lost = {key: crc for key, crc in writers.kept.items() if found.get(key) != crc}
    reports = {name: number_of(what) for name, what in found if what.startswith("report")}
    lost |= {
        (name, f"report-{number}"): None
        for name, number in writers.reported.items()
        if reports.get(name, 0) < number
    }
    invented = {key: crc for key, crc in found.items() if writers.tried.get(key) != crc}
    return lost, invented, wrong


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    """After each of many kills, all that was acknowledged is there, legal, and nothing else."""
    path, rng = tmp_path / "jobs.db", random.Random(SEED)
    with Writers(path) as writers:
        for seed in range(KILLS):
            writers.round(seed, rng)
            if seed % 10 == 9 or seed == KILLS - 1:
                assert problems(path, writers) == ({}, {}, [])
    assert len(writers.kept) > KILLS
    assert len(os.listdir(path.with_name("jobs.db-bells"))) < 10


def test_a_store_that_acknowledges_early_is_caught(tmp_path):
    """The same finds what a store has lost that acknowledges before it commits."""
    path, rng = tmp_path / "jobs.db", random.Random(SEED)
    with Writers(path) as writers:
        for seed in range(5):
            writers.round(seed, rng, "early")
    lost, invented, wrong = problems(path, writers)
    assert lost
    assert (invented, wrong) == ({}, [])


OF_ONE = "(SELECT job FROM kept WHERE version = -1 LIMIT 1)"
"""A job that has reported."""


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("DELETE FROM kept WHERE position > (SELECT max(position) - 20 FROM kept)", None),
        (f"DELETE FROM kept WHERE version = 0 AND job = {OF_ONE}", "0"),
        (f"DELETE FROM kept WHERE version = 1 AND job = {OF_ONE}", "1"),
        (f"DELETE FROM kept WHERE version = -1 AND job = {OF_ONE}", "report"),
        (f"DELETE FROM job WHERE number = {OF_ONE}", ""),
    ],
)
def test_what_is_lost_is_told(damage, what, tmp_path):
    """The same tells of each kind of thing that was acknowledged, and has gone."""
    path, rng = tmp_path / "jobs.db", random.Random(SEED)
    with Writers(path) as writers:
        for seed in range(3):
            writers.round(seed, rng)
    assert problems(path, writers) == ({}, {}, [])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(damage)
        connection.commit()
    lost, invented, wrong = problems(path, writers)
    if what is None:
        assert lost
    elif what:
        assert {key[1].partition("-")[0] for key in lost} == {what}
    else:
        assert wrong
    assert not invented


def test_what_was_changed_is_told(tmp_path):
    """The same tells of what is there, and is not what was written."""
    path, rng = tmp_path / "jobs.db", random.Random(SEED)
    with Writers(path) as writers:
        for seed in range(3):
            writers.round(seed, rng)
    name, what = min(writers.kept)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        position, text = connection.execute(
            "SELECT position, record FROM kept JOIN job ON job.number = kept.job"
            " WHERE id = ? AND kept.version = ?",
            (name, what),
        ).fetchone()
        text = text.replace("1.5", "2.5")
        connection.execute(
            "UPDATE kept SET record = ?, crc = ? WHERE position = ?",
            (text, crc32(text.encode()), position),
        )
    lost, invented, wrong = problems(path, writers)
    assert list(lost) == list(invented) == [(name, what)]
    assert not wrong


# --- damage ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Copies of a store, one as a crash leaves it and one that was closed, and what is in it."""
    folder = tmp_path_factory.mktemp("written")
    path, records = folder / "jobs.db", []

    async def write():
        async with SQLiteStore(path) as store:
            for number in range(12):
                job = job_record(f"n{number}")
                records.append(job)
                await store.create(job)
                for version in range(1, 6):
                    entry = step(version, job_id=job.id, result="x" * 50 * version)
                    records.append(entry)
                    await store.append(entry, expected=version - 1)
            (folder / "crashed").mkdir()
            for name in ("jobs.db", "jobs.db-wal"):
                shutil.copy(folder / name, folder / "crashed" / name)

    anyio.run(write)
    (folder / "closed").mkdir()
    shutil.copy(path, folder / "closed" / "jobs.db")
    return folder, records


async def read_all(path):
    """Return all records of a store by position, or those before the first error."""
    found, more = [], True
    try:
        async with SQLiteStore(path) as store:
            while more:
                kept, more, _ = await store._page(None, found[-1].position if found else 0)
                found += kept
    except JobStateError as error:
        return [kept.record for kept in found], error
    return [kept.record for kept in found], None


@pytest.mark.parametrize(("state", "file"), [("crashed", "jobs.db-wal"), ("closed", "jobs.db")])
@pytest.mark.parametrize("how", ["cut", "flip"])
def test_damage_is_told_or_undone(written, state, file, how, tmp_path):
    """With its end cut off or a bit flipped, nothing is read that was not written.

    What is left of the log of a crash is what was written first. A database itself can lose parts
    without a word: SQLite has no checksums there, and who wants to know asks for its own check.
    """
    folder, records = written
    rng = random.Random(f"{SEED}-{file}-{how}")
    whole = (folder / state / file).read_bytes()
    noticed = 0
    for number in range(max(25, KILLS // 4)):
        place = tmp_path / str(number)
        shutil.copytree(folder / state, place)
        at = rng.randrange(len(whole))
        flipped = whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]
        (place / file).write_bytes(whole[:at] if how == "cut" else flipped)
        found, error = anyio.run(read_all, place / "jobs.db")
        noticed += error is not None or found != records
        if state == "crashed":
            assert error is None
            assert found == records[: len(found)]
        else:
            assert all(record in records for record in found)
    assert noticed


async def read_undamaged(path, records):
    """See that a copy is read as it was written."""
    assert await read_all(path) == (records, None)


@pytest.mark.parametrize("state", ["crashed", "closed"])
def test_a_copy_has_it_all(written, state, tmp_path):
    """Without damage, a copy has all that was written, whether or not the store was closed."""
    folder, records = written
    shutil.copytree(folder / state, tmp_path / state)
    anyio.run(read_undamaged, tmp_path / state / "jobs.db", records)
