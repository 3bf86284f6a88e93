"""Jobs in a store, from several places: awaited, read, made and moved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    BadArgument,
    CorruptRecord,
    DuplicateJob,
    Entry,
    InvalidJobId,
    JobAbandoned,
    JobFailed,
    JobNotFound,
    JobRecord,
    JobRunner,
    JobsClosed,
    JobStatus,
    Lifecycle,
    NotRestorable,
    Outcome,
    Progress,
    StaleVersion,
    StoreBroken,
    StoreBusy,
    StoreClosed,
    Transition,
    TransitionRefused,
    UnknownStatus,
    Unreachable,
    Unstorable,
    WrongThread,
    current_job,
    jobs,
)
from jobstate.abc import Store
from jobstate.stores.memory import MemoryStore
from jobstate.stores.sqlite import SQLiteStore

pytestmark = pytest.mark.anyio

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus

REVIEW = Lifecycle[str](
    "review",
    states=["OPEN", {"name": "MERGED", "final": True}],
    transitions=[["merge", "OPEN", "MERGED"]],
    means={"MERGED": SUCCESS},
)

LIVE = Lifecycle[str](
    "live",
    states=["BUSY", {"name": "FAILURE", "final": True}],
    transitions=[["fail", "BUSY", "FAILURE"]],
    means={"BUSY": STARTED},
)


@pytest.fixture
def path(tmp_path):
    """Where a store may be made."""
    return tmp_path / "jobs.db"


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Fail a test that leaves a store open."""
    yield
    assert [thread.name for thread in threading.enumerate() if "jobs.db" in thread.name] == []


def held_as_it_starts(job: Any) -> tuple[anyio.Event, anyio.Event]:
    """Have a job stay in a hook once it starts: return events, that it does and that it goes on."""
    inside, go_on = anyio.Event(), anyio.Event()

    async def hold(event: Any) -> None:
        inside.set()
        await go_on.wait()

    job.on(STARTED, hold)
    return inside, go_on


async def told(changes: Any, number: int) -> list[tuple[Any, ...]]:
    """Return so many changes, in short."""
    read: list[tuple[Any, ...]] = []
    while len(read) < number:
        change = await anext(changes)
        if isinstance(change, Progress):
            read.append((change.job_id, change.version, change.progress))
        else:
            read.append((change.job_id, change.version, change.dest))
    return read


# --- the plain case -------------------------------------------------------------------------

WRITER = """
import sys, anyio
from jobstate import jobs

async def main(path):
    async with jobs.open(path) as stored:
        job = await stored.create("north", name="publish")
        print("made", flush=True)
        sys.stdin.readline()
        await job.start()
        job.report(50, info={"rows": 5})
        await job.succeed({"rows": 10})

anyio.run(main, sys.argv[1])
"""

WAITER = """
import sys, anyio
from jobstate import jobs

async def main(path):
    outcome = await jobs.open(path).get("north").completed()
    print(outcome.status, outcome.result)

anyio.run(main, sys.argv[1])
"""


def python(program: str, path: Any) -> subprocess.Popen[str]:
    """Run a program in a process of its own."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", program, os.fspath(path)]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


async def said(process: subprocess.Popen[str]) -> str:
    """Return the next line of a process."""
    assert process.stdout is not None
    return (await anyio.to_thread.run_sync(process.stdout.readline)).rstrip()


async def test_a_job_of_another_process_is_awaited(path):
    """Two processes wait for a job that a third one drives, and both are told how it ended."""
    with python(WRITER, path) as writer:
        assert await said(writer) == "made"
        with python(WAITER, path) as waiter:
            async with anyio.create_task_group() as tasks:

                async def wait() -> None:
                    outcome = await jobs.open(path).get("north").completed()
                    assert (outcome.status, outcome.result) == (SUCCESS, {"rows": 10})
                    assert outcome.status is SUCCESS

                tasks.start_soon(wait)
                await checkpoint()
                writer.stdin.write("\n")
                writer.stdin.flush()
            assert await said(waiter) == "SUCCESS {'rows': 10}"
    assert (writer.returncode, waiter.returncode) == (0, 0)
    shot = await jobs.open(path).get("north").snapshot()
    assert (shot.status, shot.progress, shot.info) == ("SUCCESS", 100, {"rows": 5})


async def test_a_killed_driver_is_replaced_and_nobody_who_waits_notices(path):
    """A wait goes on over the death of the process that drove the job, without a gap."""
    with python(WRITER, path) as writer:
        assert await said(writer) == "made"
        handle = jobs.open(path).get("north")
        seen: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def follow() -> None:
                async with handle.changes() as changes:
                    async for change in changes:
                        seen.append(change)

            tasks.start_soon(follow)
            writer.send_signal(signal.SIGKILL)
            async with jobs.open(path) as stored:
                job = await stored.load("north")
                await job.start()
                await job.fail("lost")
    assert [change.version for change in seen] == [1, 2]
    assert (await handle.completed()).error_message == "lost"


# --- handles --------------------------------------------------------------------------------


async def test_a_handle_tells_how_a_job_ended(path):
    """At once where it has ended; with the error's words, never with the exception itself."""
    async with jobs.open(path) as stored:
        job = await stored.create("north", extras={"part": 1})
        await job.start()
        await job.fail(ValueError("no rows"))
        handle = jobs.open(path).get("north")
        outcome = await handle.completed()
        assert outcome == job.outcome
        assert isinstance(outcome, Outcome)
        with pytest.raises(JobFailed, match="no rows"):
            await handle
    assert repr(handle) == "<JobHandle north>"


async def test_a_handle_waits_for_a_status(path):
    """A transition of the past, one to come, and one that can no longer come."""
    async with jobs.open(path) as stored:
        job = await stored.create("north")
        handle = stored.get("north")
        start = await job.start()
        assert await handle.reached(STARTED) == start
        found: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                found.append(await handle.reached("STARTED", RETRY, after=1))

            tasks.start_soon(wait)
            await checkpoint()
            retry = await job.retry("busy")
        assert found == [retry]
        await job.revoke()
        with pytest.raises(Unreachable) as caught:
            await handle.reached(SUCCESS)
        assert caught.value.status is REVOKED
        with pytest.raises(Unreachable):
            await handle.reached(STARTED, after=1)
        with pytest.raises(UnknownStatus):
            await handle.reached("PAUSED")
        with pytest.raises(BadArgument):
            await handle.reached()
        with pytest.raises(BadArgument):
            await handle.reached(SUCCESS, after=-1)


async def test_a_handle_reads_every_change(path):
    """From a version on, with progress, up to the end; outside of its block it is closed."""
    async with jobs.open(path) as stored:
        job = await stored.create("north")
        handle = stored.get("north")
        async with handle.changes() as changes:
            await job.start()
            job.report(40)
            assert await told(changes, 2) == [("north", 1, STARTED), ("north", 1, 40)]
            await job.succeed()
            assert await told(changes, 1) == [("north", 2, SUCCESS)]
            with pytest.raises(StopAsyncIteration):
                await anext(changes)
        with pytest.raises(anyio.ClosedResourceError):
            await anext(changes)
        async with handle.changes(after=1) as changes:
            assert await told(changes, 2) == [("north", 1, 40), ("north", 2, SUCCESS)]
        async with handle.changes(after=2) as changes:
            assert [change async for change in changes] == []
        assert [step.dest for step in await handle.history()] == ["STARTED", "SUCCESS"]
        assert [step.version for step in await handle.history(after=1)] == [2]
        with pytest.raises(BadArgument):
            handle.changes(after="x")  # type: ignore[arg-type]
        with pytest.raises(BadArgument):
            await handle.history(after=True)


async def test_a_handle_reads_progress_that_follows_the_version_it_begins_after(path):
    """Whoever knows all steps so far is told of progress before the next, as by the job itself."""
    with anyio.fail_after(5):
        async with jobs.open(path, lifecycles=[LIVE]) as stored:
            job = await stored.create("north", lifecycle=LIVE)
            async with job.changes() as mine, stored.get("north").changes() as theirs:
                job.report(40)
                assert await told(mine, 1) == await told(theirs, 1) == [("north", 0, 40)]
            other = await stored.create("south")
            await other.start()
            async with (
                other.changes(after=1) as mine,
                stored.get("south").changes(after=1) as theirs,
            ):
                other.report(50)
                assert await told(mine, 1) == await told(theirs, 1) == [("south", 1, 50)]


async def test_waits_can_be_cancelled(path):
    """A wait that is cancelled closes what it opened; the job goes on."""
    async with jobs.open(path) as stored:
        job = await stored.create("north")
        aside = jobs.open(path)
        async with anyio.create_task_group() as tasks:
            for _ in "abc":
                tasks.start_soon(aside.get("north").completed)
            await job.start()
            tasks.cancel_scope.cancel()
        assert aside._open is None
        await job.succeed()


async def test_what_is_not_there(path, tmp_path):
    """Neither a missing file nor a missing job is made by asking for it."""
    with pytest.raises(StoreBroken, match="no such file"):
        await jobs.open(path).get("north").completed()
    assert list(tmp_path.iterdir()) == []
    async with jobs.open(path) as stored:
        for ask in (
            stored.get("north").completed,
            stored.get("north").snapshot,
            stored.get("north").history,
        ):
            with pytest.raises(JobNotFound):
                await ask()
        with pytest.raises(JobNotFound):
            await stored.load("north")
    for bad in ("", "a/b", "a\nb", "x' OR 1=1 --", "é", None):
        with pytest.raises(InvalidJobId):
            jobs.open(path).get(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="names no file"):
        await jobs.open(":memory:").get("north").completed()


async def test_a_closed_store_wakes_who_waits():
    """A wait by a handle ends with the store that it reads."""
    store = MemoryStore()
    async with anyio.create_task_group() as tasks, jobs.open(store) as stored:
        await stored.create("north")

        async def wait() -> None:
            with pytest.raises(StoreClosed):
                await jobs.open(store).get("north").completed()

        tasks.start_soon(wait)
        await checkpoint()


async def test_a_handle_is_used_before_in_and_after_the_block(path):
    """Each use has a store that is open, and closes no other's."""
    async with jobs.open(path) as stored:
        job = await stored.create("north")
        other = jobs.open(path)
        ended: list[Any] = []

        async def wait() -> None:
            ended.append((await other.get("north").completed()).status)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            for _ in range(3):
                await checkpoint()
            async with other:
                await job.start()
                await job.succeed()
                await (await other.load("north")).completed()
                assert (await other.get("north").completed()).status is SUCCESS
            assert (await other.get("north").completed()).status is SUCCESS
        assert ended == [SUCCESS]
        assert (other._open, other._aside, other._users) == (None, None, 0)


@pytest.mark.parametrize("make", [MemoryStore, SQLiteStore])
async def test_a_handle_tells_jobs_of_one_id_apart(make, path):
    """Where the store has let go of the job that is waited for, another of its id is not that."""
    store: Store = MemoryStore() if make is MemoryStore else SQLiteStore(path)
    async with store, jobs.open(store) as stored:
        job = await stored.create("north")
        async with stored.get("north").changes() as changes:
            await job.start()
            await anext(changes)
            await job.fail("enough")
            await store.prune(ended_before=2.0**40)
            again = await stored.create("north")
            await again.start()
            await again.succeed()
            with pytest.raises(JobNotFound, match="its id is another job's by now"):
                await anext(changes)
        assert (job.status, again.status) == (FAILURE, SUCCESS)
        assert await stored.load("north") is again
        await store.prune(ended_before=2.0**40)
        await store.create(JobRecord("north", 1.0))
        assert (await stored.load("north")).status is PENDING


async def test_an_ended_job_makes_way_for_another_of_its_id():
    """Where others have made a job of an id anew, the one that ended is no longer found by it."""
    store = MemoryStore()

    async def work() -> str:
        return "done"

    async with JobRunner(store=store, functions=[work]) as runner:
        job = await runner.submit(work, id="north")
        assert await job == "done"
        await store.prune(ended_before=2.0**40)
        assert runner.jobs.get("north") is job
        await store.create(JobRecord("north", 1.0))
        with anyio.fail_after(5):
            while "north" in runner.jobs:
                await checkpoint()
        assert job.status is SUCCESS


async def test_a_clock_that_was_set_back_hides_no_progress():
    """The report that was stored last is the last one, whatever the time was."""
    store = MemoryStore()
    async with jobs.open(store) as stored:
        await store.create(JobRecord("north", 1_000.0))
        job = await stored.load("north")
        step = Transition("north", 1, "start", "PENDING", "STARTED", 1_000.0, 1)
        await store.append(Entry(step), expected=0)
        async with job.changes(after=1) as mine, stored.get("north").changes(after=0) as theirs:
            await anext(theirs)
            for percent, timestamp in ((10, 1_001.0), (60, 500.0)):
                await store.report(Progress("north", 1, 1, percent, {}, timestamp))
                for changes in (mine, theirs):
                    assert (await anext(changes)).progress == percent
            step = Transition("north", 2, "retry", "STARTED", "RETRY", 1_003.0, 1)
            await store.append(Entry(step), expected=1)
            await store.report(Progress("north", 1, 1, 70, {}, 1_004.0))  # the attempt is over
            step = Transition("north", 3, "revoke", "RETRY", "REVOKED", 1_005.0, 1)
            await store.append(Entry(step, final=True), expected=2)
            for changes in (mine, theirs):
                assert [change.dest async for change in changes] == [RETRY, REVOKED]


# --- several who drive ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
async def test_of_several_who_race_one_commits(path, seed):
    """Of any number of processes that start a job, one does; all others are judged by that."""
    won: list[Transition[Any]] = []
    lost: list[TransitionRefused] = []

    async def move(job: Any, trigger: str) -> None:
        try:
            won.append(await job.trigger(trigger))
        except TransitionRefused as refused:
            lost.append(refused)

    async with jobs.open(path) as stored:
        await stored.create("north")
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(jobs.open(path)) for _ in range(5)]
        loaded = [await each.load("north") for each in opened]
        for trigger, status in (("start", STARTED), ("succeed", SUCCESS)):
            lost.clear()
            async with anyio.create_task_group() as tasks:
                for job in loaded[seed:] + loaded[:seed]:
                    tasks.start_soon(move, job, trigger)
            assert len(lost) == 4
            assert {error.status for error in lost} == {status}
            assert {job.history for job in loaded} == {tuple(won)}
        assert len(won) == 2


async def test_a_loaded_job_does_what_others_do(path):
    """Waits for it are woken, its history has every step, and its hooks are the driver's."""
    heard: list[str] = []
    async with jobs.open(path) as here, jobs.open(path) as there:
        mine = await here.create("north")
        theirs = await there.load("north")
        assert await there.load("north") is theirs
        mine.on(STARTED, lambda event: heard.append("mine"))
        theirs.on(STARTED, lambda event: heard.append("theirs"))
        async with theirs.changes() as changes:
            await mine.start()
            mine.report(30, info={"rows": 3})
            assert await told(changes, 2) == [("north", 1, STARTED), ("north", 1, 30)]
        assert (theirs.progress, theirs.info) == (30, {"rows": 3})
        await theirs.succeed(7)
        assert (await mine.completed()).result == 7
        assert mine.history == theirs.history
        assert heard == ["mine"]
        assert (await there.load("north")).outcome == mine.outcome


async def test_a_job_that_ended_is_loaded_as_it_was(path):
    """After all processes have gone, it has its history, times and outcome."""
    async with jobs.open(path) as stored:
        job = await stored.create(
            "north", name="publish", max_attempts=None, info={"a": 1}, extras={"x": 2}
        )
        await job.start()
        job.report(10, info={"b": 2})
        await job.retry(OSError("busy"), delay=3)
        await job.start()
        await job.succeed([1, None, "x"])
        shot = job.snapshot()
    async with jobs.open(path) as stored:
        again = await stored.load("north")
        assert again.snapshot() == shot
        assert (again.history, again.outcome) == (job.history, job.outcome)
        assert again.info == {"a": 1, "b": 2}
        assert await again == [1, None, "x"]


async def test_a_job_is_moved_by_others_while_it_is_made(path, monkeypatch):
    """Nothing is missed between the write of a new job and its joining the others."""
    create = SQLiteStore.create

    async def created_and_revoked(self: Any, record: Any) -> int:
        position = await create(self, record)
        async with jobs.open(path) as other:
            await (await other.load("north")).revoke("quicker")
        async with self.follow("north") as feed:
            async for _ in feed:
                pass
        return position

    async with jobs.open(path) as stored:
        monkeypatch.setattr(SQLiteStore, "create", created_and_revoked)
        job = await stored.create("north")
        assert (await job.completed()).reason == "quicker"


async def test_a_job_is_moved_by_others_while_it_is_loaded(path, monkeypatch):
    """Nothing is missed between the reading of a job and its joining the others."""
    load = SQLiteStore.load

    async def loaded_and_revoked(self: Any, job_id: str) -> Any:
        monkeypatch.setattr(SQLiteStore, "load", load)
        stored = await load(self, job_id)
        async with jobs.open(path) as other:
            await (await other.load("north")).revoke("quicker")
        async with self.follow("north") as feed:
            async for _ in feed:
                pass
        return stored

    async with jobs.open(path) as stored:
        await stored.create("north")
    async with jobs.open(path) as stored:
        monkeypatch.setattr(SQLiteStore, "load", loaded_and_revoked)
        both: list[Any] = []

        async def get() -> None:
            both.append(await stored.load("north"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get)
            tasks.start_soon(get)
        assert both[0] is both[1]
        assert (await both[0].completed()).reason == "quicker"


class Slow(MemoryStore):
    """Answers whoever asks for a job when it is let."""

    answer: anyio.Event | None = None

    def hold(self) -> anyio.Event:
        """Have whoever asks from now on wait for what is returned."""
        self.asked, self.answer = anyio.Event(), anyio.Event()
        return self.answer

    async def load(self, job_id: str) -> Any:
        stored, answer = await super().load(job_id), self.answer
        if answer is not None:
            self.asked.set()
            await answer.wait()
        return stored


async def test_a_job_catches_up_though_nobody_waits_for_it_to():
    """Whoever has it loaded and is cancelled meanwhile leaves no job behind the store."""
    store = Slow()
    await store.create(JobRecord("north", 1.0))
    loading = anyio.CancelScope()
    async with jobs.open(store) as stored:

        async def load() -> None:
            with loading:
                await stored.load("north")

        async with anyio.create_task_group() as tasks:
            first = store.hold()
            tasks.start_soon(load)
            await store.asked.wait()
            step = Transition("north", 1, "revoke", "PENDING", "REVOKED", 5.0, 0)
            await store.append(Entry(step, final=True), expected=0)
            while not stored._keeper._notes["north"][0].ids:
                await checkpoint()
            second = store.hold()
            first.set()
            await store.asked.wait()
            loading.cancel()
        assert loading.cancelled_caught
        job = stored._jobs.get("north")
        assert job.status is PENDING
        second.set()
        assert (await job.completed()).status is REVOKED


async def test_a_job_in_the_middle_of_a_transition_catches_up_after_it(path):
    """What is heard while a hook runs is taken once the job is free, in order."""
    async with jobs.open(path) as here, jobs.open(path) as there:
        mine = await here.create("north")
        theirs = await there.load("north")
        inside, go_on = held_as_it_starts(mine)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mine.start)
            await inside.wait()
            await theirs.reached(STARTED)
            await theirs.retry("busy")
            await theirs.start()
            async with here.get("north").changes(after=2) as changes:
                await anext(changes)
            assert mine.version == 1
            versions: list[int] = []

            async def load() -> None:
                versions.append((await here.load("north")).version)

            while mine not in here._keeper._behind:
                await checkpoint()
            tasks.start_soon(load)
            await checkpoint()
            go_on.set()
        await mine.reached(STARTED, after=2)
        assert mine.history == theirs.history
        assert versions == [3]


async def test_nobody_reads_what_he_has_written_himself():
    """A job's own steps come back by the feed, and are known: nothing is asked of the store."""

    class Late(MemoryStore):
        """Acknowledges long after others can read it."""

        asked = 0

        async def append(self, entry: Any, *, expected: int) -> int:
            position = await super().append(entry, expected=expected)
            for _ in range(5):
                await checkpoint()
            return position

        async def history(self, job_id: str, *, after: int = 0) -> Any:
            self.asked += 1
            return await super().history(job_id, after=after)

        async def load(self, job_id: str) -> Any:
            self.asked += 1
            return await super().load(job_id)

    store = Late()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        await job.start()
        await job.succeed()
        for _ in range(5):
            await checkpoint()
        assert (store.asked, job.version) == (0, 2)


async def test_only_what_is_to_come_is_followed():
    """A store of a million jobs is not read because one of them is loaded."""
    after: list[Any] = []

    class Followed(MemoryStore):
        def follow(self, job_id: Any = None, **options: Any) -> Any:
            after.append((job_id, options))
            return super().follow(job_id, **options)

    async with jobs.open(Followed()) as stored:
        await (await stored.create("north")).start()
    assert after == [(None, {"after": None})]


async def test_a_cancelled_block_still_hears(path):
    """Whoever cleans up in a cancelled block can wait there for what others do."""
    async with jobs.open(path) as there:
        await there.create("north")
        with anyio.CancelScope() as scope:
            async with jobs.open(path) as here:
                job = await here.load("north")
                scope.cancel()
                with anyio.CancelScope(shield=True):
                    await (await there.load("north")).revoke("enough")
                    assert (await job.completed()).reason == "enough"


async def test_nothing_is_kept_in_mind_of_jobs_that_have_ended(path):
    """Once a job has ended, the process that moved it holds nothing more for it."""
    async with jobs.open(path) as here, jobs.open(path) as there:
        for number in range(3):
            mine = await here.create(f"job-{number}")
            theirs = await there.load(f"job-{number}")
            await mine.start()
            mine.report(10)
            await theirs.reached(STARTED)
            await theirs.succeed()
            await mine.completed()
        for stored in (here, there):
            keeper = stored._keeper
            assert (keeper._mine, keeper._behind, keeper._notes, keeper._coming) == ({}, {}, {}, {})
            assert (keeper._reporting, keeper._reports._not_before) == (set(), {})


# --- lost replies, broken stores ------------------------------------------------------------


class Unreliable(MemoryStore):
    """Writes, and then breaks, so many times."""

    def __init__(self, breaks: int, *, writes: bool = True) -> None:
        super().__init__()
        self.breaks, self.writes, self.appends = breaks, writes, 0

    async def append(self, entry: Any, *, expected: int) -> int:
        self.appends += 1
        if self.breaks:
            self.breaks -= 1
            if self.writes:
                await super().append(entry, expected=expected)
            raise StoreBroken("unreliable", "the reply was lost")
        return await super().append(entry, expected=expected)


@pytest.mark.parametrize("writes", [True, False])
async def test_a_lost_reply_is_made_up_for(writes):
    """What may have been written is written again, and is there once."""
    store = Unreliable(1, writes=writes)
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        await job.start()
        assert (job.version, store.appends) == (1, 2)
        assert len(await store.history("north")) == 1


async def test_a_job_whose_write_was_lost_hears_of_it_later():
    """A trigger that raised may have been written; then the job takes the step all the same."""
    store = Unreliable(2)
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        with pytest.raises(StoreBroken):
            await job.start()
        assert (await job.reached(STARTED)).version == 1
        await job.succeed()


async def test_a_job_whose_write_never_was_is_as_before():
    """A trigger that raised and was not written has changed nothing."""
    store = Unreliable(2, writes=False)
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        with pytest.raises(StoreBroken):
            await job.start()
        assert job.status is PENDING
        await job.start()


async def test_a_store_that_has_lost_something_is_told():
    """Where the store has less than the job, the trigger raises what the store says."""
    store = MemoryStore()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        await job.start()
        store._jobs["north"].lines.pop()
        store._jobs["north"].append_ids.pop()
        with pytest.raises(StaleVersion):
            await job.succeed()
        assert job.status is STARTED


async def test_results_that_are_no_json_are_refused(path):
    """The error says where; the job is as it was, and can end otherwise."""
    async with jobs.open(path) as stored:
        job = await stored.create("north")
        await job.start()
        with pytest.raises(Unstorable, match=r"result\.rows\[1\]: set is not JSON"):
            await job.succeed({"rows": [1, {2}]})
        assert job.status is STARTED
        with pytest.raises(Unstorable):
            await stored.create("south", info={"x": object()})
        with pytest.raises(JobNotFound):
            await stored.get("south").snapshot()
        await job.succeed({"rows": [1, 2]})


class Breaking(MemoryStore):
    """A store whose feed raises what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []

    def fails(self, *errors: Exception) -> None:
        """Have the feed raise these, one after the other."""
        self.errors += errors
        self._feeds.moved(None)

    async def _read(self, job_id: Any, after: int) -> Any:
        if self.errors and job_id is None:
            raise self.errors.pop(0)
        return await super()._read(job_id, after)


async def test_a_store_that_cannot_be_followed_wakes_who_waits():
    """Where the feed breaks for good, waits raise what it said, and nobody begins to wait."""
    store = Breaking()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        await store.create(JobRecord("south", 1.0))
        store.fails(*(StoreBroken("north sea", "gone") for _ in range(4)))
        with pytest.raises(JobAbandoned, match="gone"):
            await job.completed()
        assert store.errors == []
        with pytest.raises(StoreBroken, match="gone"):
            await stored.load("south")
        await job.start()
        late = await stored.create("west")
        with pytest.raises(JobAbandoned, match="gone"):
            await late.completed()
        await late.revoke()
        assert (await late.completed()).status is REVOKED


async def test_a_store_that_is_lost_while_a_job_is_loaded_is_told():
    """Nobody is given a job of which nothing more will be heard."""

    class Lost(Breaking):
        async def load(self, job_id: str) -> Any:
            stored = await super().load(job_id)
            self.fails(*(StoreBroken("north sea", "gone") for _ in range(4)))
            while self.errors:
                await checkpoint()
            for _ in range(5):
                await checkpoint()
            return stored

    store = Lost()
    await store.create(JobRecord("north", 1.0))
    async with jobs.open(store) as stored:
        with pytest.raises(StoreBroken, match="gone"):
            await stored.load("north")


async def test_a_record_that_cannot_be_read_concerns_its_job_alone():
    """Who waits for that one is told; of the others everything is heard."""
    store = Breaking()
    async with jobs.open(store) as stored:
        bad, good = [await stored.create(job_id) for job_id in ("bad", "good")]
        for job_id in ("another", "bad"):
            store.fails(CorruptRecord("version", "it is odd", job_id, store._position))
        with pytest.raises(JobAbandoned, match="it is odd"):
            await bad.completed()
        step = Transition("good", 1, "start", "PENDING", "STARTED", 5.0, 1)
        await store.append(Entry(step), expected=0)
        assert (await good.reached(STARTED)).version == 1


async def test_a_feed_that_stumbles_is_read_on():
    """What is over soon wakes nobody, and nothing is missed."""
    store = Breaking()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        store.fails(StoreBusy("north sea", 5.0), StoreBroken("north sea", "rough"))
        step = Transition("north", 1, "start", "PENDING", "STARTED", 5.0, 1)
        await store.append(Entry(step), expected=0)
        assert (await job.reached(STARTED)).version == 1
        assert store.errors == []


async def test_a_job_that_could_not_be_read_is_heard_of_again():
    """A failure to catch up wakes who waits; the next step that is heard of makes good for it."""

    class Unread(MemoryStore):
        errors: tuple[Exception, ...] = ()

        async def load(self, job_id: str) -> Any:
            if self.errors:
                error, *rest = self.errors
                self.errors = tuple(rest)
                raise error
            return await super().load(job_id)

    store = Unread()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        inside, go_on = held_as_it_starts(job)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.start)
            await inside.wait()
            store.errors = StoreBusy("unread", 5.0), StoreBroken("unread", "gone")
            step = Transition("north", 2, "retry", "STARTED", "RETRY", 5.0, 1)
            await store.append(Entry(step), expected=1)
            for _ in range(5):
                await checkpoint()
            go_on.set()
        with pytest.raises(JobAbandoned, match="gone"):
            await job.completed()
        step = Transition("north", 3, "revoke", "RETRY", "REVOKED", 5.0, 1)
        await store.append(Entry(step, final=True), expected=2)
        while job.outcome is None:
            await checkpoint()
        assert [step.dest for step in job.history] == [STARTED, RETRY, REVOKED]


# --- progress -------------------------------------------------------------------------------


class Counting(MemoryStore):
    """Notes what is reported."""

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[float] = []
        self.reported = anyio.Event()

    async def report(self, progress: Progress) -> None:
        await checkpoint()
        await super().report(progress)
        self.reports.append(progress.progress)
        self.reported.set()


async def test_progress_is_stored_now_and_then_and_the_last_always():
    """The first report at once, those of a second as one, the last before what ends the attempt."""
    store = Counting()
    async with jobs.open(store) as stored:
        stored._keeper._reports._seconds = 3600  # what is not stored at once, or last, never is
        job = await stored.create("north")
        await job.start()
        for percent in range(1, 50):
            job.report(percent)
        await store.reported.wait()
        assert store.reports == [49]
        for percent in range(50, 60):
            job.report(percent)
            await checkpoint()
        assert store.reports == [49]
        await job.retry("busy")
        assert store.reports == [49, 59]
        await job.start()
        store.reported = anyio.Event()
        job.report(5)
        await store.reported.wait()
        assert store.reports == [49, 59, 5]
        job.report(6)
    assert store.reports == [49, 59, 5, 6]


async def test_progress_is_stored_when_its_time_has_come(monkeypatch):
    """A report within the time after another is stored by itself once that is over."""
    store = Counting()
    async with jobs.open(store) as stored:
        stored._keeper._reports._seconds = 0.01
        job = await stored.create("north")
        await job.start()
        job.report(1)
        await store.reported.wait()
        store.reported = anyio.Event()
        job.report(2)
        assert store.reports == [1]
        await store.reported.wait()
        assert store.reports == [1, 2]


async def test_progress_is_stored_from_wherever_it_is_told():
    """A report that a thread has sent is heard in a callback of the loop, outside of any task."""
    store = Counting()

    def plain() -> None:
        current_job().report(25)
        anyio.from_thread.run(checkpoint)  # by then, it was heard

    async with JobRunner(store=store, functions=[plain]) as runner:
        await runner.submit(plain)
    assert store.reports == [25]


async def test_progress_of_a_job_that_others_have_moved_is_stored(path):
    """The last report of whoever was working is stored, though somebody else ended the job."""
    async with jobs.open(path) as here, jobs.open(path) as there:
        here._keeper._reports._seconds = 3600
        mine = await here.create("north")
        theirs = await there.load("north")
        await mine.start()
        mine.report(10)
        async with theirs.changes(after=1) as changes:
            await anext(changes)
        async with SQLiteStore(path) as store, store.follow(after=None) as feed:
            mine.report(20, info={"rows": 2})
            await theirs.fail("enough")
            records = [(await anext(feed)).record for _ in range(2)]
    assert [getattr(record, "info", None) for record in records] == [None, {"rows": 2}]
    assert (await jobs.open(path).get("north").snapshot()).info == {"rows": 2}


async def test_a_report_is_stored_once(path):
    """A report whose time has come is not stored again where a transition was quicker."""
    store = Counting()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        await job.start()
        job.report(10)
        stored._keeper._reports._timers.call_due()  # as the task does that stores what is due
        await job.succeed()
        assert store.reports == [10]


async def test_progress_that_cannot_be_stored_is_left_out(caplog):
    """Work is not disturbed by what the store cannot keep of its reports; the log tells."""
    store = MemoryStore()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        await job.start()
        job.report(10, info={"bad": {1, 2}, "good": 1, "long": "x" * 60_000})
        await job.retry("busy")
        await job.start()
        job.report(20)
        await job.succeed()
        shot = await stored.get("north").snapshot()
        progress = (await store.load("north")).progress
    assert "info.bad: set is not JSON" in caplog.text
    assert (job.status, job.info["bad"]) == (SUCCESS, {1, 2})
    assert (shot.info, progress.progress) == ({"good": 1}, 20)


async def test_a_report_that_is_being_stored_is_waited_for():
    """Nobody leaves the block, or ends an attempt, before a report is in the store."""

    class Slow(Counting):
        def __init__(self) -> None:
            super().__init__()
            self.writing, self.go_on = anyio.Event(), anyio.Event()

        async def report(self, progress: Progress) -> None:
            self.writing.set()
            await self.go_on.wait()
            await super().report(progress)

        async def append(self, entry: Any, *, expected: int) -> int:
            self.reports.append(f"version {expected + 1}")
            return await super().append(entry, expected=expected)

    async def later(store: Slow) -> None:
        for _ in range(10):
            await checkpoint()
        store.go_on.set()

    for ends in (False, True):
        store = Slow()
        async with anyio.create_task_group() as tasks, jobs.open(store) as stored:
            job = await stored.create("north")
            await job.start()
            job.report(10)
            await store.writing.wait()
            job.report(20)
            tasks.start_soon(later, store)
            if ends:
                await job.succeed()
        assert store.reports == ["version 1", 10, 20, *["version 2"] * ends]


async def test_progress_that_was_heard_is_not_stored_again():
    """Whoever only hears of a report does not write it."""
    store = Counting()
    async with jobs.open(store) as here, jobs.open(store) as there:
        mine = await here.create("north")
        theirs = await there.load("north")
        await mine.start()
        async with theirs.changes(after=1) as changes:
            mine.report(10)
            await anext(changes)
        await theirs.succeed()
        assert store.reports == [10]


async def test_nothing_is_made_while_the_block_is_left():
    """Whoever is told that the jobs are closed has left nothing in the store."""

    class Meddled(MemoryStore):
        asked = 0

        async def report(self, progress: Progress) -> None:
            for call in (stored.create, stored.load):
                with pytest.raises(JobsClosed):
                    await call("south")
                self.asked += 1
            await super().report(progress)

    store = Meddled()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        await job.start()
        job.report(10)
    assert (list(store._jobs), store.asked) == (["north"], 2)


async def test_progress_is_stored_though_the_block_is_cancelled():
    """Leaving the block by a cancellation leaves the last report in the store."""
    store = Counting()
    with anyio.CancelScope() as scope:
        async with jobs.open(store) as stored:
            job = await stored.create("north")
            await job.start()
            job.report(10)
            scope.cancel()
    assert store.reports == [10]


async def test_progress_of_what_the_store_has_lost_is_left_out(caplog):
    """A store that fails to keep a report keeps nobody from leaving the block."""
    caplog.set_level("INFO")
    store = MemoryStore()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        await job.start()
        job.report(20)
        del store._jobs["north"]
    assert "progress is not stored: no job 'north'" in caplog.text


async def test_progress_is_known_of_a_job_that_was_behind():
    """What is reported of a step that a job has yet to hear of is known once it has."""
    store = Slow()
    async with jobs.open(store) as stored:
        job = await stored.create("north")
        inside, go_on = held_as_it_starts(job)
        async with anyio.create_task_group() as tasks, job.changes(after=1) as changes:
            tasks.start_soon(job.start)
            await inside.wait()
            steps = [("retry", "STARTED", "RETRY", 1), ("start", "RETRY", "STARTED", 2)]
            for version, (trigger, source, dest, attempt) in enumerate(steps, 2):
                step = Transition("north", version, trigger, source, dest, 5.0, attempt)
                await store.append(Entry(step), expected=version - 1)
            while job not in stored._keeper._behind:
                await checkpoint()
            answer = store.hold()
            go_on.set()
            await store.asked.wait()
            for percent in (20, 50):
                await store.report(Progress("north", 3, 2, percent, {}, 5.0 + percent))
                while not stored._keeper._behind[job].more:
                    await checkpoint()
            answer.set()
            expected = [("north", 2, RETRY), ("north", 3, STARTED), ("north", 3, 50.0)]
            assert await told(changes, 3) == expected


async def test_progress_is_known_of_a_job_that_is_loaded_meanwhile():
    """What is reported between the reading of a job and its joining the others is not missed."""
    store = Slow()
    await store.create(JobRecord("north", 1.0))
    step = Transition("north", 1, "start", "PENDING", "STARTED", 5.0, 1)
    await store.append(Entry(step), expected=0)
    loaded: list[Any] = []
    async with jobs.open(store) as stored:

        async def load() -> None:
            loaded.append(await stored.load("north"))

        async with anyio.create_task_group() as tasks:
            answer = store.hold()
            tasks.start_soon(load)
            await store.asked.wait()
            await store.report(Progress("north", 1, 1, 50.0, {}, 6.0))
            while not stored._keeper._notes["north"][0].ids:
                await checkpoint()
            answer.set()
        assert loaded[0].progress == 50


# --- all jobs of a store --------------------------------------------------------------------


async def test_jobs_are_listed(path):
    """The newest first, by status, and beyond what the store gives at once."""
    async with jobs.open(path) as stored:
        async with anyio.create_task_group() as tasks:
            for number in range(150):
                tasks.start_soon(stored.create, f"job-{number}")
        made = [shot.id for shot in await stored.list(limit=None)]
        assert sorted(made) == sorted(f"job-{number}" for number in range(150))
        assert [shot.id for shot in await stored.list(limit=70)] == made[:70]
        assert len(await stored.list()) == 100
        for job_id in made[:5]:
            await (await stored.load(job_id)).start()
        found = await jobs.open(path).list(STARTED)
        assert [(shot.id, shot.status) for shot in found] == [(id, "STARTED") for id in made[:5]]
        assert await stored.list("SUCCESS", REVOKED) == []
        assert await stored.list(limit=0) == []
        with pytest.raises(ValueError, match="how many jobs are listed at most, and not -1"):
            await stored.list(limit=-1)
        with pytest.raises(TypeError):
            await stored.list(limit="3")


async def test_changes_of_all_jobs_are_read(path):
    """From now on, or from the beginning; whoever takes the steps."""
    async with jobs.open(path) as stored:
        north = await stored.create("north")
        await north.start()
        async with stored.changes() as new, jobs.open(path).changes(past=True) as all_of_it:
            south = await stored.create("south")
            await south.revoke()
            await north.succeed()
            latest = [("south", 1, REVOKED), ("north", 2, SUCCESS)]
            assert await told(new, 2) == latest
            assert await told(all_of_it, 3) == [("north", 1, STARTED), *latest]


# --- making and loading ---------------------------------------------------------------------


async def test_jobs_of_a_lifecycle_of_ones_own(path):
    """A lifecycle is found by its name, where it was given; else the error says what is known."""
    async with jobs.open(path, lifecycles=[REVIEW]) as stored:
        job = await stored.create("north", lifecycle=REVIEW)
        await job.trigger("merge", result=3)
        assert await stored.get("north") == 3
    with pytest.raises(NotRestorable, match="lifecycle 'review', and what is known is: job"):
        await jobs.open(path).get("north").completed()
    assert (await jobs.open(path).get("north").snapshot()).status == "MERGED"
    async with jobs.open(path) as stored:
        with pytest.raises(NotRestorable):
            await stored.load("north")
        with pytest.raises(BadArgument, match="lifecycles"):
            await stored.create(lifecycle=REVIEW)
    changed = Lifecycle[str](
        "review",
        states=["OPEN", {"name": "CLOSED", "final": True}],
        transitions=[["close", "OPEN", "CLOSED"]],
    )
    async with jobs.open(path, lifecycles=[changed]) as stored:
        with pytest.raises(NotRestorable, match="no status 'MERGED'"):
            await stored.load("north")
    elsewhere = Lifecycle[str](
        "review",
        states=["BEGUN", {"name": "MERGED", "final": True}],
        transitions=[["merge", "BEGUN", "MERGED"]],
    )
    async with jobs.open(path, lifecycles=[elsewhere]) as stored:
        with pytest.raises(NotRestorable, match="began as OPEN"):
            await stored.load("north")


async def test_statuses_of_ones_own_are_shown_as_what_they_mean(path):
    """What waits for its next attempt, and what has succeeded, is told as the job itself does."""
    encoding = Lifecycle[str](
        "encoding",
        states=["QUEUED", "RUNNING", "WAITING", {"name": "DONE", "final": True}],
        transitions=[
            ["start", ["QUEUED", "WAITING"], "RUNNING"],
            ["retry", "RUNNING", "WAITING"],
            ["succeed", "RUNNING", "DONE"],
        ],
        means={"RUNNING": STARTED, "WAITING": RETRY, "DONE": SUCCESS},
    )
    async with jobs.open(path, lifecycles=[encoding]) as stored:
        job = await stored.create("north", lifecycle=encoding)
        await job.start()
        job.report(40)
        await job.retry("busy", delay=60)
        assert await stored.get("north").snapshot() == job.snapshot()
        assert await stored.list() == [job.snapshot()]
        await job.start()
        await job.succeed()
        assert await stored.get("north").snapshot() == job.snapshot()
    shot = await jobs.open(path).get("north").snapshot()
    assert (shot.status, shot.progress) == ("DONE", 0)  # what it means is not known here
    changed = Lifecycle[str](
        "encoding",
        states=["QUEUED", {"name": "ENDED", "final": True}],
        transitions=[["end", "QUEUED", "ENDED"]],
    )
    again = await jobs.open(path, lifecycles=[changed]).get("north").snapshot()
    assert again == shot


async def test_a_job_that_begins_with_an_attempt_is_shown_as_it_is(path):
    """What begins running is on its first attempt, before it has made any step."""
    async with jobs.open(path, lifecycles=[LIVE]) as stored:
        job = await stored.create("north", lifecycle=LIVE)
        assert (await stored.get("north").snapshot()).attempt == 1
        assert await stored.list() == [job.snapshot()]


async def test_a_job_that_begins_with_an_attempt_is_loaded_with_its_progress(path):
    """What was reported before the first step is known to whoever loads the job, and after it."""
    async with jobs.open(path, lifecycles=[LIVE]) as stored:
        job = await stored.create("north", lifecycle=LIVE)
        job.report(40, info={"rows": 4})
    async with jobs.open(path, lifecycles=[LIVE]) as stored:
        again = await stored.load("north")
        assert again.snapshot() == job.snapshot()
        await again.fail("gone")
    async with jobs.open(path, lifecycles=[LIVE]) as stored:
        assert (await stored.load("north")).snapshot() == again.snapshot()
        assert await stored.get("north").snapshot() == again.snapshot()


async def test_a_status_named_like_another_that_does_not_mean_it_is_shown_so(path):
    """What is named SUCCESS and is no end is not done, and what ended as RETRY is not due."""
    odd = Lifecycle[str](
        "odd",
        states=["OPEN", "SUCCESS", {"name": "RETRY", "final": True}],
        transitions=[["merge", "OPEN", "SUCCESS"], ["close", "SUCCESS", "RETRY"]],
    )
    async with jobs.open(path, lifecycles=[odd]) as stored:
        job = await stored.create("north", lifecycle=odd)
        for trigger in ("merge", "close"):
            await job.trigger(trigger)
            assert await stored.get("north").snapshot() == job.snapshot()
            assert await jobs.open(path).get("north").snapshot() == job.snapshot()


async def test_a_step_that_the_lifecycle_lacks_abandons_the_job(path):
    """A step of a process with another lifecycle of that name cannot be taken; waits are told."""
    wider = JOB_LIFECYCLE.derive(
        "job",
        states=["PAUSED"],
        transitions=[["pause", "STARTED", "PAUSED"], ["unpause", "PAUSED", "STARTED"]],
    )
    async with jobs.open(path) as here, jobs.open(path, lifecycles=[wider]) as there:
        mine = await here.create("north")
        theirs = await there.load("north")
        await theirs.start()
        await theirs.trigger("pause")
        with pytest.raises(JobAbandoned, match="PAUSED"):
            await mine.completed()
        assert mine.status is STARTED


async def test_an_end_that_is_none_by_the_lifecycle_is_told(path):
    """Where a status is final for others alone, nobody waits for an end that will not come."""
    longer = Lifecycle[str](
        "review",
        states=["OPEN", "MERGED", {"name": "SHIPPED", "final": True}],
        transitions=[["merge", "OPEN", "MERGED"], ["ship", "MERGED", "SHIPPED"]],
    )
    async with (
        jobs.open(path, lifecycles=[REVIEW]) as here,
        jobs.open(path, lifecycles=[longer]) as there,
    ):
        mine = await here.create("north", lifecycle=REVIEW)
        theirs = await there.load("north")
        await mine.trigger("merge")
        with pytest.raises(JobAbandoned, match="ended as MERGED"):
            await theirs.completed()
        with pytest.raises(NotRestorable, match="ended as MERGED"):
            await there.get("north").completed()


async def test_jobs_are_made_once(path):
    """Another job of an id is refused, whoever made it."""
    async with jobs.open(path) as here, jobs.open(path) as there:
        await here.create("north")
        with pytest.raises(DuplicateJob):
            await here.create("north")
        with pytest.raises(DuplicateJob):
            await there.create("north")
        await (await here.load("north")).revoke()
        await here._open.prune(ended_before=2.0**40)
        assert (await here.create("north")).version == 0
        with pytest.raises(DuplicateJob):
            await there.create("north")


async def test_a_job_that_ends_before_it_is_said_to_be_made_is_made_once():
    """Until the store has answered, another of its id is refused, whatever became of it."""

    class Late(MemoryStore):
        async def create(self, job: Any) -> int:
            position = await super().create(job)
            written.set()
            await go_on.wait()
            return position

    written, go_on = anyio.Event(), anyio.Event()
    made: list[Any] = []
    async with jobs.open(Late()) as stored:

        async def make() -> None:
            made.append(await stored.create("north"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(make)
            await written.wait()
            job = await stored.load("north")
            await job.revoke()
            with anyio.CancelScope() as scope:
                scope.cancel()
                with pytest.raises(DuplicateJob):
                    await stored.create("north")
            go_on.set()
        assert made == [job]


async def test_jobs_are_made_and_moved_inside_of_the_block_alone(path):
    """Before it and after it, the error says so; a block is entered once."""
    stored = jobs.open(path)
    requests = ((stored.create, "added"), (stored.load, "loaded"))
    for call, request in requests:
        with pytest.raises(JobsClosed, match=f"cannot be {request}: .* has not been opened"):
            await call("north")
    async with stored:
        job = await stored.create("north")
        with pytest.raises(RuntimeError, match="entered once"):
            await stored.__aenter__()
    for call, request in requests:
        with pytest.raises(JobsClosed, match=f"cannot be {request}: .* was closed"):
            await call("north")
    with pytest.raises(JobAbandoned, match="was left"):
        await job.completed()
    with pytest.raises(StoreClosed):
        await job.start()
    assert repr(stored) == f"<StoredJobs of {os.fspath(path)!r}>"


@pytest.mark.parametrize("opened", [jobs.open, lambda store: JobRunner(store=store)])
async def test_cancelled_while_it_is_entered_a_block_is_not(opened):
    """Whoever enters a block can change his mind, wherever that has got to."""

    class Unending(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.asked = anyio.Event()

        @asynccontextmanager
        async def follow(self, job_id: Any = None, *, after: Any = 0) -> Any:
            self.asked.set()
            await anyio.Event().wait()
            yield

    store = Unending()

    async def enter() -> None:
        async with opened(store):
            raise AssertionError("it is open")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await store.asked.wait()
        tasks.cancel_scope.cancel()


async def test_jobs_belong_to_the_loop_that_has_opened_them(path):
    """From another one, they are neither made nor loaded."""
    async with jobs.open(path) as stored:

        async def elsewhere() -> None:
            for call in (stored.create, stored.load):
                with pytest.raises(WrongThread):
                    await call("north")

        await anyio.to_thread.run_sync(anyio.run, elsewhere)
        await stored.create("north")


async def test_errors_in_the_block_come_out_as_they_are(path):
    """No group shows that there are tasks inside."""
    for error in (KeyError("x"), ExceptionGroup("two", [KeyError("x"), ValueError("y")])):
        with pytest.raises(type(error)) as caught:
            async with jobs.open(path):
                raise error
        assert (caught.value.args, str(caught.value)) == (error.args, str(error))


async def test_what_cannot_be_opened():
    """Two lifecycles of one name, and what is no lifecycle or no path, are refused."""
    with pytest.raises(ValueError, match="two of the lifecycles are named 'review'"):
        jobs.open("x.db", lifecycles=[REVIEW, REVIEW.derive("review")])
    with pytest.raises(TypeError, match="lifecycles are of class Lifecycle"):
        jobs.open("x.db", lifecycles=["review"])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        jobs.open(3)  # type: ignore[arg-type]
    for nowhere in ("", "folder/", ":memory:", "x\0.db"):
        with pytest.raises(ValueError, match=r"names no file|embedded null"):
            jobs.open(nowhere)


async def test_a_store_may_count_its_jobs():
    """One that has a length, and is empty, is a store as any other."""

    class Counted(MemoryStore):
        def __len__(self) -> int:
            return len(self._jobs)

    store = Counted()
    assert await jobs.open(store).list() == []
    async with jobs.open(store) as stored:
        await stored.create("north")
    assert len(store) == 1


async def test_a_path_stays_what_it_was(path, monkeypatch):
    """A program that goes to another folder afterwards reads and writes the same file."""
    monkeypatch.chdir(path.parent)
    stored = jobs.open(path.name)
    (path.parent / "elsewhere").mkdir()
    monkeypatch.chdir(path.parent / "elsewhere")
    async with stored:
        await stored.create("north")
    assert [job.id for job in await stored.list()] == ["north"]
    assert [job.id for job in await jobs.open(path).list()] == ["north"]
