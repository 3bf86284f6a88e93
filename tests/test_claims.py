"""Claims in a SQLite store: one has a name at a time, and whoever ends, however, has none."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager

import anyio
import pytest

from jobstate import AlreadyClaimed, StoreBroken, StoreClosed
from jobstate.stores import _claims
from jobstate.stores.sqlite import SQLiteStore

pytestmark = pytest.mark.anyio


def files(path):
    """Return the files of claims that are there."""
    return list(path.with_name("jobs.db-bells").glob(".claim-*"))


def claims(folder, check=lambda: None):
    """Return what claims names in a folder."""
    return _claims.Claims("jobs.db", folder, check)


@contextmanager
def refused():
    """See that a name is refused to whoever is not the one that has it."""
    with pytest.raises(AlreadyClaimed) as caught:
        yield
    assert not caught.value.here


# --- in one process -------------------------------------------------------------------------


async def test_a_claim_is_a_file_as_long_as_it_is_held(path):
    """It is for its user alone, no program that is executed gets it, and releasing removes it."""
    before = os.umask(0)
    try:
        async with SQLiteStore(path) as store:
            await store.claim("nightly")
            (file,) = files(path)
            assert file.stat().st_mode & 0o777 == 0o600
            assert [os.get_inheritable(lock) for lock in store._claims._held.values()] == [False]
            await store.release("nightly")
            assert files(path) == []
            await store.claim("daily")
        assert files(path) == []
    finally:
        os.umask(before)


async def test_a_claim_opens_the_store(path):
    """A store may be used for nothing but claims; of what cannot be opened, nothing is claimed."""
    store = SQLiteStore(path)
    await store.claim("nightly")
    assert path.exists()
    await store.aclose()
    with pytest.raises(StoreBroken):
        await SQLiteStore(path / "below").claim("nightly")


async def test_a_cancelled_claim_is_none(path):
    """Who gives up claiming has not claimed."""
    async with SQLiteStore(path) as one, SQLiteStore(path) as other:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await one.claim("nightly")
        assert scope.cancelled_caught
        await other.claim("nightly")


async def test_closing_that_is_cancelled_releases_all_the_same(path):
    """Whoever gives up waiting for a store to close has no claim for long."""
    store = SQLiteStore(path)
    await store.claim("nightly")
    (lock,) = store._claims._held.values()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    await store.aclose()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(lock)


def test_nothing_is_claimed_once_the_store_is_closed(tmp_path):
    """A claim that comes as all are given back is refused, and leaves no lock behind."""

    def check():
        raise StoreClosed("jobs.db")

    with pytest.raises(StoreClosed):
        claims(tmp_path, check).take("nightly")
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_removed_as_it_is_locked_is_no_claim(tmp_path, monkeypatch):
    """Who locks a file that another has just removed, in giving the name back, tries again."""
    flock, removed = fcntl.flock, []

    def late(lock, how):
        if len(removed) < 2:
            (file,) = tmp_path.iterdir()
            file.unlink()
            removed.append(file)
            if len(removed) == 2:
                file.touch()  # and a third has made it anew
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", late)
    one, other = claims(tmp_path), claims(tmp_path)
    one.take("nightly")
    assert len(removed) == 2
    with refused():
        other.take("nightly")
    one.drop_all()
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_anothers_by_now_is_left_to_it(tmp_path):
    """Where somebody has cleared up, the file of who came later is not taken from him."""
    one, later = claims(tmp_path), claims(tmp_path)
    one.take("nightly")
    (file,) = tmp_path.iterdir()
    file.unlink()
    later.take("nightly")
    one.drop("nightly")
    with refused():
        one.take("nightly")
    file.unlink()
    later.drop("nightly")


def test_what_cannot_be_locked_is_told_and_leaves_nothing_open(tmp_path, monkeypatch):
    """Where the system has no locks to give, that is said, and another can be tried."""

    def fail(lock, how):
        locks.append(lock)
        raise OSError(37, "No locks available")

    locks = []
    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="No locks available"):
        claims(tmp_path).take("nightly")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(locks[0])


def test_a_link_is_not_followed(tmp_path):
    """Nobody has a claim make, or lock, a file elsewhere."""
    one = claims(tmp_path)
    one._path("nightly").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        one.take("nightly")
    assert not (tmp_path / "elsewhere").exists()


async def test_what_the_system_refuses_is_told_as_stores_do(path):
    """An error of the system is one of the store."""
    async with SQLiteStore(path) as store:
        store._claims._path("nightly").mkdir()
        with pytest.raises(StoreBroken, match="Is a directory"):
            await store.claim("nightly")
        store._claims._path("nightly").rmdir()
        await store.claim("nightly")


# --- in several -----------------------------------------------------------------------------

PROGRAM = """
import os, subprocess, sys, anyio
from jobstate import AlreadyClaimed
from jobstate.stores.sqlite import SQLiteStore

async def main(path, gate):
    store = SQLiteStore(path)
    for line in sys.stdin:
        word, *names = line.split()
        answer = "done"
        if word == "claim":
            try:
                await store.claim(*names)
            except AlreadyClaimed as refusal:
                answer = f"refused {refusal.here}"
        elif word == "spawn":
            answer = subprocess.Popen(["cat"], stdin=gate, close_fds=False).pid
        elif word == "fork":
            if os.fork():
                continue
            os.write(1, f"{os.getpid()}\\n".encode())  # once it has left all to its parent
            os.read(gate, 1)
            os._exit(0)
        elif word == "leave":
            os._exit(0)
        print(answer, flush=True)

anyio.run(main, sys.argv[1], int(sys.argv[2]))
"""


class Program:
    """A process that claims names, and the gate at which its children wait until it is closed."""

    def __init__(self, path):
        passed, self._gate = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, str(path), str(passed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(passed,),
            text=True,
        )
        os.close(passed)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        os.close(self._gate)
        self.process.kill()
        self.process.communicate()  # until its children, too, have ended

    def ask(self, *words):
        """Tell the process what to do, and return what it answers."""
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


async def test_of_processes_one_has_a_name(path):
    """What one process has claimed no other gets, until the first one has ended, however."""
    async with SQLiteStore(path) as store:
        with Program(path) as one, Program(path) as two:
            assert one.ask("claim", "nightly") == "done"
            assert two.ask("claim", "nightly") == "refused False"
            assert one.ask("claim", "nightly") == "refused True"
            with refused():
                await store.claim("nightly")
            one.process.kill()
            one.process.wait()
            assert two.ask("claim", "nightly") == "done"
            assert len(files(path)) == 1
            assert two.ask("leave") == ""
            two.process.wait()
            await store.claim("nightly")
        await store.release("nightly")
        assert files(path) == []


@pytest.mark.parametrize("how", ["spawn", "fork"])
async def test_a_child_keeps_no_claim(how, path):
    """Children that outlive a killed process have none of its claims, and end none while it lives.

    One is a program that got all descriptors that a program can get, the other a mere fork.
    """
    async with SQLiteStore(path) as store:
        with Program(path) as program:
            assert program.ask("claim", "nightly") == "done"
            child = int(program.ask(how))
            with refused():
                await store.claim("nightly")
            program.process.kill()
            program.process.wait()
            os.kill(child, 0)  # it is there
            await store.claim("nightly")


def test_a_fork_of_this_process_takes_nothing_away(tmp_path):
    """What a forked child closes stays locked by its parent, and its file stays where it is."""
    one, other = claims(tmp_path), claims(tmp_path)
    one.take("nightly")
    (lock,) = one._held.values()
    kept = os.dup(lock)  # as a child has it
    one.leave_to_parent()
    assert one._held == {}
    one.drop("nightly")
    with refused():
        other.take("nightly")
    os.close(kept)
    other.take("nightly")
    other.drop_all()


RACER = """
import os, sys
from pathlib import Path
from jobstate import AlreadyClaimed
from jobstate.stores._claims import Claims

folder, times = Path(sys.argv[1]), 0
claims = Claims("jobs.db", folder, lambda: None)
sys.stdin.readline()
for _ in range(3000):
    try:
        claims.take("nightly")
    except AlreadyClaimed:
        continue
    os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
    os.unlink(folder / "inside")
    claims.drop("nightly")
    times += 1
print(times)
"""


def test_processes_that_race_for_a_name_have_it_one_by_one(tmp_path):
    """However claims and releases fall together, never two have one name at one time."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate()[0] for racer in racers]
    assert all(int(answer) > 0 for answer in answers)
    assert os.listdir(tmp_path) == []
