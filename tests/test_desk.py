"""A thread that does what tasks ask of it: how it begins, ends and fails, and who is told of it."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest

from jobstate import StoreBroken
from jobstate.stores import _desk, _sqlite_rows
from jobstate.stores.sqlite import SQLiteStore
from jobstate.testing._store_tools import job_record, moved, next_of, step, versions_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_is_left_of_a_store")]


def serve(owned, calls):
    """Do what is asked for, with nothing."""
    for call in calls:
        call.value = call.work(owned)


def desk(connect=bool, serve=serve, ended=bool):
    """Return a desk whose thread owns nothing."""
    return _desk.Desk("x", _desk.Process(), connect, serve, bool, ended)


# --- calls ----------------------------------------------------------------------------------


def test_a_loop_that_ends_before_its_answer_harms_nobody():
    """An answer for an event loop that has ended is dropped."""

    async def ask():
        return _desk.Call(bool, _desk.waiter(asyncio.get_running_loop()))

    _desk.answer([asyncio.run(ask())])


async def test_an_error_of_the_serving_itself_is_told(path, monkeypatch):
    """What nobody has thought of is told to those who wait, and the thread goes on."""
    async with SQLiteStore(path) as store:
        await store.create(job_record())

        def fail(connection, works):
            raise MemoryError("no room")

        with monkeypatch.context() as patch:
            patch.setattr(_sqlite_rows, "write_all", fail)
            with pytest.raises(StoreBroken, match="MemoryError: no room") as caught:
                await store.append(step(1), expected=0)
            assert isinstance(caught.value.__cause__, MemoryError)
        await store.append(step(1), expected=0)


async def test_no_more_than_so_many_are_done_at_once(monkeypatch):
    """A group has a limit, so that nobody waits for all that others think of meanwhile."""
    monkeypatch.setattr(_desk, "_MOST", 3)
    groups = []
    of_three = desk(serve=lambda owned, calls: groups.append(len(calls)))
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(of_three.ask, bool)
    of_three.close()
    await of_three.closed()
    assert sum(groups) == 20
    assert max(groups) <= 3


# --- threads that cannot begin --------------------------------------------------------------


async def test_where_no_thread_can_be_started_that_is_told(path, monkeypatch):
    """Nobody waits for a thread that is not there, and the next call has one."""

    def fail(thread):
        raise RuntimeError("can't start new thread")

    store = SQLiteStore(path)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for _ in range(2):
            with pytest.raises(StoreBroken, match="can't start new thread"):
                await store.create(job_record())
    await store.create(job_record())
    await store.aclose()


async def test_a_store_that_never_had_a_thread_is_closed(path, monkeypatch):
    """Closing waits for no thread that could not be started."""

    def fail(thread):
        raise RuntimeError("can't start new thread")

    store = SQLiteStore(path)
    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(StoreBroken):
        await store.create(job_record())
    await store.aclose()


async def test_who_follows_is_told_where_nobody_can_look_for_him(path, monkeypatch):
    """Where the thread that reads cannot be started to look, whoever follows learns of it."""
    start = threading.Thread.start
    store = SQLiteStore(path)
    await moved(store, 1)  # which takes no more than the thread that writes
    async with store.follow("j1", after=2) as feed:
        told = []

        async def follow():
            with pytest.raises(StoreBroken, match="can't start new thread"):
                await next_of(feed)
            told.append(True)

        def fail(thread):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", fail)
        await follow()
        store._waking.rung()
        await store.append(step(2), expected=1)
        await follow()
        monkeypatch.setattr(threading.Thread, "start", start)
        assert await versions_of(feed, 2) == [2]
        await store.append(step(3), expected=2)
        assert await versions_of(feed, 3) == [3]
    await store.aclose()


async def test_whoever_waits_for_what_cannot_be_opened_is_told():
    """Where a thread cannot connect, all are told who wait, or whose calls nobody waits for."""
    go_on, told = threading.Event(), []

    def connect():
        go_on.wait(10)
        raise StoreBroken("x", "it is not there")

    broken = desk(connect, ended=lambda: broken.tell(bool, lambda: told.append("as it ended")))

    async def ask():
        with pytest.raises(StoreBroken, match="it is not there"):
            await broken.ask(bool)
        told.append("who waits")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        broken.tell(bool, lambda: told.append("whose call it was"))
        go_on.set()
    assert sorted(told) == ["as it ended", "who waits", "whose call it was"]
    broken.close()
    await broken.closed()
    broken.tell(bool, lambda: told.append("too late"))
    assert told[-1] == "too late"


async def test_who_closes_what_cannot_be_opened_is_told_once_it_has_ended():
    """A desk that is closed while it is opened in vain tells so to those who wait."""
    go_on, told = threading.Event(), []

    def connect():
        go_on.wait(10)
        raise StoreBroken("x", "it is not there")

    broken = desk(connect)

    async def ask():
        with pytest.raises(StoreBroken, match="it is not there"):
            await broken.ask(bool)
        told.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        broken.close()
        go_on.set()
        await broken.closed()
    assert told == [True]


# --- forks ----------------------------------------------------------------------------------


async def test_it_is_not_for_both_sides_of_a_fork(path, monkeypatch):
    """In a process that was forked from its own, a store says so, and can be closed at once."""
    async with SQLiteStore(path) as store:
        with monkeypatch.context() as patch:
            patch.setattr(_desk.os, "getpid", lambda: -1)
            for call in (lambda: store.load("j1"), lambda: store.create(job_record())):
                with pytest.raises(StoreBroken, match="forked from"):
                    await call()
            await store._reader.closed()
        await store.create(job_record())


async def test_what_was_not_used_before_a_fork_is_for_either_side(path, monkeypatch):
    """A store that was made before a fork belongs to whoever uses it first."""
    store = SQLiteStore(path)
    with monkeypatch.context() as patch:
        patch.setattr(_desk.os, "getpid", lambda: -1)
        await store.create(job_record())
    with pytest.raises(StoreBroken, match="it belongs to process -1"):
        await store.load("j1")
    monkeypatch.setattr(_desk.os, "getpid", lambda: -1)
    await store.aclose()
