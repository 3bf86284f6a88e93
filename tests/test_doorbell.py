"""How processes that share a store wake each other, and what keeps nobody from it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import threading
from functools import partial

import anyio
import anyio.to_thread
import pytest

from jobstate import (
    StoreBroken,
)
from jobstate.stores import (
    _doorbell,
    _folder,
    _forks,
    _sqlite_file,
    _sqlite_reading,
)
from jobstate.stores.sqlite import SQLiteStore
from jobstate.testing._store_tools import job_record, moved, next_of, step, versions_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_is_left_of_a_store")]


async def test_what_nobody_rang_for_is_found_and_counted(path, monkeypatch):
    """Should a ring get lost, whoever follows looks for itself after a while, and counts that."""
    monkeypatch.setattr(_doorbell, "BACKSTOP", 0.02)
    monkeypatch.setattr(_doorbell.Doorbell, "ring", lambda bell: None)
    async with SQLiteStore(path) as reader, SQLiteStore(path) as writer:
        await writer.create(job_record())
        async with reader.follow("j1") as feed:
            await next_of(feed)
            for version in range(1, 6):
                await writer.append(step(version), expected=version - 1)
                assert await versions_of(feed, version) == [version]
                assert reader.backstop_hits == version


async def test_what_is_written_as_a_stream_is_entered_comes_after_it(path):
    """Nobody is told of more than was written when the stream was entered, or of less."""
    async with SQLiteStore(path, synchronous="NORMAL") as store, SQLiteStore(path) as other:
        await moved(store, 1)
        for version in range(2, 30, 2):
            await other.append(step(version), expected=version - 1)
            async with store.follow("j1", after=None) as feed:
                await other.append(step(version + 1), expected=version)
                assert await versions_of(feed, version + 1) == [version + 1]


async def test_many_changes_wake_everybody(path, monkeypatch):
    """Where more has happened than anybody wants to tell apart, all who follow look."""
    monkeypatch.setattr(_sqlite_reading, "PAGE", 2)
    async with SQLiteStore(path, synchronous="NORMAL") as store, store.follow("j1") as feed:
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(store.create, job_record(f"n{number}"))
            await store.create(job_record())
        assert (await next_of(feed)).record.id == "j1"
        await store.append(step(1), expected=0)
        assert await versions_of(feed, 1) == [1]
        everything = partial(_sqlite_reading.moved_since, after=0)
        assert await store._reader.ask(everything) == (202, None)


async def problem(path):
    """Return what keeps a store from being opened; it is closed again."""
    store = SQLiteStore(path)
    with pytest.raises(StoreBroken) as caught:
        await store.__aenter__()
    await store.aclose()
    return caught.value.problem


@pytest.mark.parametrize("mode", [0o755, 0o701])
async def test_bells_that_others_can_reach_are_refused(mode, path):
    """A folder that is not this user's alone would let others in."""
    bells = path.with_name("jobs.db-bells")
    bells.mkdir()
    bells.chmod(mode)
    assert "is not this user's alone" in await problem(path)


async def test_a_long_path_has_bells_too(tmp_path):
    """Names of sockets are short, and those of folders may be long."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir(0o700)
    one, other = SQLiteStore(folder / "a.db"), SQLiteStore(folder / "a.db")
    async with one, other, one.follow() as feed:
        await other.create(job_record())
        await next_of(feed)


def test_where_folders_have_no_short_name_the_long_one_is_used(monkeypatch, tmp_path):
    """On other systems than Linux, the folder goes by its name."""
    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    with _folder.short_name(tmp_path) as name:
        assert name == str(tmp_path)


async def test_bells_that_cannot_be_leave_nothing(path, monkeypatch):
    """Where the bell fails, so does opening, nothing is left open, and it can be tried again."""

    def fail(*args):
        raise OSError(28, "No space left on device")

    store = SQLiteStore(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(StoreBroken, match="No space left on device"):
            await store.create(job_record())
    assert sorted(os.listdir(path.parent)) == ["jobs.db", "jobs.db-bells"]
    assert os.listdir(path.with_name("jobs.db-bells")) == [".open"]
    await store.create(job_record())
    await store.aclose()


def ring_of(folder, count):
    """Return bells in a folder, and the events that each is rung."""
    rung = [threading.Event() for _ in range(count)]
    bells = [_doorbell.Doorbell(folder, each.set, lambda: None) for each in rung]
    for bell in bells:
        bell.open()
    return bells, rung


def test_a_ring_reaches_all_others(tmp_path):
    """Whoever came first or last, each bell rings at all the others, and not at itself."""
    bells, rung = ring_of(tmp_path / "bells", 3)
    for number, bell in enumerate(bells):
        bell.ring()
        others = [each for other, each in enumerate(rung) if other != number]
        assert all(each.wait(10) for each in others)
        assert not rung[number].is_set()
        for each in rung:
            each.clear()
    for bell in bells[1:]:
        bell.close()
        assert rung[0].wait(10)
    bells[0].close()


def test_a_bell_that_is_full_has_rung(tmp_path):
    """Whoever does not hear, because it is stopped, keeps nobody who rings."""
    bells, rung = ring_of(tmp_path / "bells", 2)
    with _forks.lock:  # its thread cannot go on
        for _ in range(10_000):  # more than a socket holds
            bells[0].ring()
        assert not rung[1].is_set()
    assert rung[1].wait(10)
    for bell in bells:
        bell.close()


def test_a_bell_that_goes_as_it_is_found_is_passed_over(tmp_path, monkeypatch):
    """A socket that is listed, and has gone when it is connected to, harms nobody."""
    bells, _ = ring_of(tmp_path / "bells", 1)
    listdir = os.listdir
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", lambda path: [*listdir(path), "gone"])
        more, _ = ring_of(tmp_path / "bells", 1)
    for bell in (*bells, *more):
        bell.close()


def test_a_ring_that_was_not_heard_is_no_harm(tmp_path):
    """Somebody who goes without having heard the last ring has gone, and that is all."""
    (bell,), (rung,) = ring_of(tmp_path / "bells", 1)
    with _folder.short_name(tmp_path / "bells") as folder:
        other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        other.connect(f"{folder}/{bell._name}")
    bell.ring()
    other.close()
    assert rung.wait(10)
    bell.close()


# --- where the system lets it down ----------------------------------------------------------


def no_more_descriptors(*args):
    """Fail as the system does where a process has too many files open."""
    raise OSError(errno.EMFILE, "Too many open files")


def closed(bells):
    """Close bells, whose threads must all be there still."""
    assert all(bell._thread.is_alive() for bell in bells)
    for bell in bells:
        bell.close()


def test_who_comes_when_no_descriptors_are_left_is_heard_later(tmp_path, monkeypatch):
    """Where connections cannot be taken for a while, rings do no harm, and they are heard."""
    monkeypatch.setattr(_doorbell, "RETRY", 0.02)
    looked = threading.Event()
    (bell,), (rung,) = ring_of(tmp_path / "bells", 1)
    bell._silent = looked.set
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "accept", no_more_descriptors)
        more, _ = ring_of(tmp_path / "bells", 1)
        assert looked.wait(10)
        bell.ring()
        more[0].ring()
    assert rung.wait(10)
    rung.clear()
    more[0].ring()
    assert rung.wait(10)
    closed([bell, *more])


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.EMFILE])
def test_a_bell_that_could_not_be_reached_is_tried_again(error, tmp_path, monkeypatch):
    """Who can take no more connections, or finds no descriptor, is connected later."""
    monkeypatch.setattr(_doorbell, "RETRY", 0.02)
    bells, (rung,) = ring_of(tmp_path / "bells", 1)

    def fail(other, address):
        raise OSError(error, "not now")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", fail)
        more, _ = ring_of(tmp_path / "bells", 1)
        more[0].ring()
        assert more[0]._missed == {bells[0]._name}
        patch.setattr(_folder.os, "open", no_more_descriptors)
        more[0].ring()
        assert more[0]._missed == {bells[0]._name}
    more[0].ring()
    assert rung.wait(10)
    assert not more[0]._missed
    closed([*bells, *more])


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError])
def test_a_bell_that_is_none_of_ours_any_more_is_passed_over(error, tmp_path, monkeypatch):
    """Who has gone since his bell was seen, or is another user's, is not tried again."""
    bells, _ = ring_of(tmp_path / "bells", 1)

    def fail(other, address):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", fail)
        more, _ = ring_of(tmp_path / "bells", 1)
    assert not more[0]._missed
    closed([*bells, *more])


def test_a_turn_that_fails_is_not_the_last(tmp_path, caplog, monkeypatch):
    """Whatever goes wrong as somebody rings, the thread goes on, and what it was is in the log."""
    monkeypatch.setattr(_doorbell, "RETRY", 0.02)
    bells, (rung, _) = ring_of(tmp_path / "bells", 2)
    failed = threading.Event()

    def fail():
        bells[0]._rung = rung.set
        failed.set()
        raise MemoryError

    bells[0]._rung = fail
    bells[1].ring()
    assert failed.wait(10)
    bells[1].ring()
    assert rung.wait(10)
    assert "cannot be heard" in caplog.text
    closed(bells)


def test_a_bell_that_has_no_thread_leaves_nothing(tmp_path, monkeypatch):
    """Where no thread can be started, opening fails, and there is no bell that nobody hears."""

    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        ring_of(tmp_path / "bells", 1)
    assert os.listdir(tmp_path / "bells") == []


async def test_what_is_written_is_kept_though_nobody_can_be_woken(path, monkeypatch, caplog):
    """Whatever goes wrong once something is committed, who wrote it is told that it is kept."""

    def fail(bell):
        raise MemoryError

    async with SQLiteStore(path) as store, store.follow("j1") as feed:
        await store.create(job_record())
        await next_of(feed)
        monkeypatch.setattr(_doorbell.Doorbell, "ring", fail)
        await store.append(step(1), expected=0)
        assert await versions_of(feed, 1) == [1]
    assert "are not woken" in caplog.text


# --- what others do to the folder -----------------------------------------------------------


def test_a_bell_that_was_removed_is_made_anew(tmp_path, caplog):
    """Where the folder was removed, who comes later finds a bell again; it is said once."""
    folder = tmp_path / "bells"
    bells, rung = ring_of(folder, 2)
    for _ in range(2):
        shutil.rmtree(folder)
        for bell in bells:
            bell.mend()
            bell.mend()
        late, _ = ring_of(folder, 1)
        late[0].ring()
        assert all(each.wait(10) for each in rung)
        for each in rung:
            each.clear()
        closed(late)
        assert all(each.wait(10) for each in rung)
        for each in rung:
            each.clear()
    bells[0].ring()
    assert rung[1].wait(10)
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{folder} was removed while in use, and is made anew"] * 2  # each of them
    closed(bells)
    for bell in bells:
        bell.mend()
    assert os.listdir(folder) == []


async def test_a_store_goes_on_where_its_folder_was_removed(path, monkeypatch):
    """Whoever writes has a bell again, and shortens the log as before."""
    monkeypatch.setattr(_sqlite_file, "_LONG_LOG", 0)
    bells = path.with_name("jobs.db-bells")
    async with SQLiteStore(path) as store:
        await store.create(job_record())
        await store.append(step(1), expected=0)
        bells.rename(path.with_name("elsewhere"))
        await store.append(step(2), expected=1)
        async with SQLiteStore(path) as other, store.follow("j1") as feed:
            await versions_of(feed, 2)
            await other.append(step(3), expected=2)
            assert await versions_of(feed, 3) == [3]
        await store.append(step(4), expected=3)
        await store.append(step(5), expected=4)
        assert ".log" in os.listdir(bells)  # which it needs to shorten the log
        assert store.backstop_hits == 0


def test_a_bell_that_cannot_be_made_anew_is_tried_again(tmp_path):
    """While something else is in the place of the folder nothing fails, and later it is made."""
    folder = tmp_path / "bells"
    bells, (rung,) = ring_of(folder, 1)
    shutil.rmtree(folder)
    folder.touch()
    bells[0].mend()
    folder.unlink()
    bells[0].mend()
    late, _ = ring_of(folder, 1)
    late[0].ring()
    assert rung.wait(10)
    closed([*bells, *late])


def test_who_only_listens_finds_out_that_its_bell_was_removed(tmp_path, monkeypatch):
    """Nobody has to ring for a bell to be made anew: its thread looks, where it is silent."""
    monkeypatch.setattr(_doorbell, "BACKSTOP", 0.02)
    folder, silent = tmp_path / "bells", threading.Event()
    bell = _doorbell.Doorbell(folder, bool, silent.set)
    bell.open()
    shutil.rmtree(folder)
    silent.clear()
    assert silent.wait(10)
    assert os.listdir(folder) == [bell._name]
    closed([bell])


def test_what_killed_processes_have_left_is_removed(tmp_path):
    """Bells that nobody answers are taken away, hidden ones after a while; other files stay."""
    folder = tmp_path / "bells"
    folder.mkdir(0o700)
    for name in ("dead", ".dead", ".new"):
        with socket.socket(socket.AF_UNIX) as bell, _folder.short_name(folder) as short:
            bell.bind(f"{short}/{name}")
    os.utime(folder / ".dead", (1, 1))
    (folder / "notes").touch()
    (folder / ".claim-1").touch()
    bells, _ = ring_of(folder, 1)
    closed(bells)
    assert sorted(os.listdir(folder)) == [".claim-1", ".new", "notes"]
