"""A job and the loop that it belongs to: threads, forks, closed coroutines, and no loop at all."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from types import ModuleType
from typing import Any

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    HookFailed,
    Job,
    JobStatus,
    Lifecycle,
    ReentrantTrigger,
    WrongThread,
)
from jobstate._loop import (
    at_once,
    call_soon,
    describe,
    finish,
    home,
    loop_time,
    running_loop,
    task,
    waiter,
)

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus

ASYNCIO = (("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True}))
LOOPS = {"asyncio": ASYNCIO[0], "uvloop": ASYNCIO[1], "trio": ("trio", {})}
on_asyncio = pytest.mark.parametrize("anyio_backend", ASYNCIO, ids=["asyncio", "uvloop"])
on_trio = pytest.mark.parametrize("anyio_backend", [("trio", {})], ids=["trio"])
any_loop = pytest.mark.parametrize("loop", LOOPS)


def run(loop: str, main: Callable[..., Any], *args: Any) -> Any:
    """Run an async function in a loop of its own."""
    backend, options = LOOPS[loop]
    return anyio.run(main, *args, backend=backend, backend_options=options)


def drive(coroutine: Any) -> Any:
    """Return what a coroutine returns that need not wait."""
    with pytest.raises(StopIteration) as caught:
        coroutine.send(None)
    return caught.value.value


async def settled() -> None:
    """Let every task run until it waits for something."""
    for _ in range(30):
        await checkpoint()


async def make() -> Job[Any]:
    """Return a job that belongs to the running loop."""
    return Job()


USES = {
    "start": lambda job: drive(job.start()),
    "trigger": lambda job: drive(job.trigger("start")),
    "start_nowait": lambda job: job.start_nowait(),
    "trigger_nowait": lambda job: job.trigger_nowait("start"),
    "report": lambda job: job.report(1),
    "defer": lambda job: job.defer("start"),
    "on": lambda job: job.on("start", print),
    "abandon": lambda job: job.abandon("gone"),
    "completed": lambda job: drive(job.completed()),
    "await": lambda job: drive(job.__await__()),
    "reached": lambda job: drive(job.reached(STARTED)),
    "changes": lambda job: job.changes(),
}


# --- the wrong place ------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("use", USES)
async def test_wrong_thread(use):
    """In another thread every use of the job is refused, and names the safe way."""
    job: Job[Any] = Job()
    before = job.snapshot()

    def elsewhere() -> WrongThread:
        with pytest.raises(WrongThread) as caught:
            USES[use](job)
        return caught.value

    error = await anyio.to_thread.run_sync(elsewhere)
    assert error.job_id == job.id
    assert error.owner == describe(home())
    assert "where no event loop runs" in error.here
    for words in (
        job.id,
        error.owner,
        error.here,
        "job.threadsafe.start()",
        "anyio.from_thread.run(",
    ):
        assert words in str(error)
    assert job.snapshot() == before
    assert (job._turn, job._own, job._abandoned) == (None, None, None)


@pytest.mark.anyio
async def test_reading_needs_no_loop():
    """What can be read of a job can be read in any thread."""
    job: Job[Any] = Job()
    await job.start()
    assert await anyio.to_thread.run_sync(job.snapshot) == job.snapshot()
    assert await anyio.to_thread.run_sync(lambda: job.history) == job.history
    assert await anyio.to_thread.run_sync(job.can, "succeed")


@any_loop
@pytest.mark.parametrize("other", LOOPS)
def test_loop_in_another_thread(loop, other):
    """A loop of its own does not help another thread: the job belongs to the first one."""

    async def main() -> WrongThread:
        job: Job[Any] = Job()

        def elsewhere() -> WrongThread:
            with pytest.raises(WrongThread) as caught:
                run(other, job.start)
            return caught.value

        return await anyio.to_thread.run_sync(elsewhere)

    error = run(loop, main)
    kinds = {"asyncio": "asyncio event loop", "uvloop": "asyncio event loop", "trio": "Trio event"}
    assert error.owner.startswith(kinds[loop])
    assert error.here.startswith(kinds[other])
    assert error.owner != error.here


@any_loop
@pytest.mark.parametrize("other", LOOPS)
def test_another_loop_in_the_same_thread(loop, other):
    """A job does not outlive its loop: the next one in the same thread is another one."""
    job = run(loop, make)
    for use in (job.start, job.completed, job.reached):
        with pytest.raises(WrongThread):
            run(other, use)
    with pytest.raises(WrongThread) as caught:
        job.start_nowait()
    assert "where no event loop runs" in caught.value.here
    assert job.version == 0


def test_job_without_a_loop_belongs_to_its_thread():
    """Made where no loop runs, it cannot be used in another thread without one."""
    job: Job[Any] = Job()
    caught: list[WrongThread] = []

    def elsewhere() -> None:
        try:
            job.start_nowait()
        except WrongThread as error:
            caught.append(error)

    thread = threading.Thread(target=elsewhere, name="elsewhere")
    thread.start()
    thread.join()
    (error,) = caught
    assert "thread elsewhere of" in error.here
    assert f"thread {threading.current_thread().name} of process {os.getpid()}" in error.owner
    assert job.start_nowait().version == 1


# --- the safe way ---------------------------------------------------------------------------


@pytest.mark.anyio
async def test_safe_way_from_a_worker_thread():
    """anyio.from_thread.run(job.start), as the error says, moves the job in its own loop."""
    lifecycle = JOB_LIFECYCLE.derive()
    threads = []

    @lifecycle.on_enter(STARTED)
    async def enter(event):
        await checkpoint()
        threads.append(threading.current_thread())

    job: Job[Any] = Job(lifecycle=lifecycle)
    transition = await anyio.to_thread.run_sync(anyio.from_thread.run, job.start)
    assert (transition, job.status) == (job.history[0], STARTED)
    assert threads == [threading.current_thread()]
    await anyio.to_thread.run_sync(anyio.from_thread.run_sync, job.requeue_nowait)
    assert job.status is PENDING


@pytest.mark.anyio
async def test_safe_way_from_a_foreign_thread():
    """With the token of the job's loop, any other thread can move it and wait for it."""
    job: Job[int] = Job()
    token = anyio.lowlevel.current_token()
    answers: list[Any] = []

    def elsewhere() -> None:
        answers.append(anyio.from_thread.run(job.start, token=token))
        answers.append(anyio.from_thread.run(job.succeed, 5, token=token))
        answers.append(anyio.from_thread.run(job.completed, token=token))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await job.completed()
    await anyio.to_thread.run_sync(thread.join)
    assert answers == [*job.history, job.outcome]


# --- no loop yet ----------------------------------------------------------------------------


@any_loop
@pytest.mark.parametrize("first", ["start", "completed", "nowait", "report", "changes", "on"])
def test_first_loop_adopts_the_job(loop, first):
    """A job made where no loop runs belongs to the first loop that uses it, however it does."""
    job: Job[Any] = Job()
    job.start_nowait()

    async def use() -> None:
        if first == "completed":
            with anyio.CancelScope() as scope:
                scope.cancel()
                await job.completed()
        elif first == "start":
            await job.requeue()
        elif first == "on":
            job.on("succeed", print)
        else:
            uses: dict[str, Callable[[], Any]]
            uses = {"nowait": job.requeue_nowait, "report": job.report, "changes": job.changes}
            uses[first]()

    run(loop, use)
    with pytest.raises(WrongThread):
        job.report()
    with pytest.raises(WrongThread):
        run(loop, job.requeue)


@any_loop
def test_job_made_in_another_thread_is_adopted(loop):
    """A job may be made in a thread without a loop, and then be used in a loop of another."""
    made: list[Job[Any]] = []
    thread = threading.Thread(target=lambda: made.append(Job()))
    thread.start()
    thread.join()
    (job,) = made

    async def use() -> None:
        await job.start()
        with pytest.raises(WrongThread):
            await anyio.to_thread.run_sync(job.requeue_nowait)
        await job.succeed()

    run(loop, use)
    assert job.status is SUCCESS


@pytest.mark.anyio
async def test_job_made_in_a_worker_thread_is_adopted():
    """So may one made in a worker thread of the loop."""
    job = await anyio.to_thread.run_sync(Job)
    await job.start()
    assert job.status is STARTED


def test_a_whole_life_without_a_loop():
    """Hooks, reports, deferred triggers and outcomes need no loop with the nowait kin."""
    lifecycle = JOB_LIFECYCLE.derive()
    ran = []

    @lifecycle.on_enter(RETRY)
    def again(event):
        event.job.defer("start")

    @lifecycle.on_enter(STARTED)
    def reentrant(event):
        with pytest.raises(ReentrantTrigger):
            event.job.requeue_nowait()
        ran.append(event.job.attempt)

    job: Job[str] = Job(lifecycle=lifecycle)
    job.on(SUCCESS, lambda event: ran.append("done"))
    job.start_nowait()
    job.report(50)
    job.retry_nowait("x")
    job.succeed_nowait("r")
    assert [each.dest for each in job.history] == [STARTED, RETRY, STARTED, SUCCESS]
    assert ran == [1, 2, "done"]
    assert job.outcome is not None
    assert job.outcome.value() == "r"
    assert drive(job.completed()) == job.outcome
    assert job._turn is None


def test_driven_by_hand_without_a_loop():
    """Without anything to wait for, a trigger can be run by hand where no loop runs."""
    lifecycle = JOB_LIFECYCLE.derive()
    ran = []
    lifecycle.on_enter(STARTED)(lambda event: ran.append(task()))
    job: Job[Any] = Job(lifecycle=lifecycle)
    assert drive(job.start()) == job.history[0]
    assert (ran, job._turn) == ([None], None)


@pytest.mark.anyio
@on_asyncio
async def test_callback_of_the_loop():
    """In a callback of asyncio's loop, outside of any task, nowait works, hooks and all."""
    done = asyncio.Event()
    job = reentrant_job(done.set)
    asyncio.get_running_loop().call_soon(job.start_nowait)
    await asyncio.wait_for(done.wait(), 5)
    assert (job.status, job._turn) == (STARTED, None)


@pytest.mark.anyio
@on_trio
async def test_callback_of_trio():
    """In a callback of Trio's loop, outside of any task, nowait works, hooks and all."""
    done = trio.Event()
    job = reentrant_job(done.set)
    trio.lowlevel.current_trio_token().run_sync_soon(job.start_nowait)
    with trio.fail_after(5):
        await done.wait()
    assert (job.status, job._turn) == (STARTED, None)


def reentrant_job(heard: Callable[[], Any]) -> Job[Any]:
    """Return a job whose hook tries to trigger it, and tells when that was refused."""
    lifecycle = JOB_LIFECYCLE.derive()

    @lifecycle.on_enter(STARTED)
    def enter(event: Any) -> None:
        with pytest.raises(ReentrantTrigger):
            event.job.requeue_nowait()
        heard()

    return Job(lifecycle=lifecycle)


# --- a forked child -------------------------------------------------------------------------

FORK = """
import os
import sys

import anyio

from jobstate import Job, WrongThread


def said_in_child(job):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = []
        for use in (job.start_nowait, lambda: job.start().send(None), job.abandon, job.changes):
            try:
                use(*["gone"] * (use == job.abandon))
            except WrongThread as error:
                said.append(error.here)
            else:
                said.append("used")
        own = Job()
        own.start_nowait()
        said.append(own.status)
        os.write(writing, "\\n".join(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read().splitlines()
    assert os.waitpid(child, 0) == (child, 0)
    *heres, status = said
    assert status == "STARTED", said
    assert len(heres) == 4
    assert all(f"of process {child}, where no event loop runs" in here for here in heres), said


async def in_loop():
    job = Job()
    said_in_child(job)
    await job.start()
    said_in_child(job)
    assert job.version == 1


kind = sys.argv[1]
if kind == "none":
    job = Job()
    said_in_child(job)
    job.start_nowait()
elif kind == "trio":
    anyio.run(in_loop, backend="trio")
else:
    anyio.run(in_loop, backend_options={"use_uvloop": kind == "uvloop"})
print("passed")
"""


def run_script(script: str, *args: str) -> str:
    """Return what a script prints, run in a process of its own, where warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.parametrize("kind", ["none", *LOOPS])
def test_forked_child(kind):
    """A forked child cannot use its parent's jobs, with any loop or none, and can have its own."""
    assert run_script(FORK, kind) == "passed\n"


def test_trio_is_not_needed():
    """Without Trio in the process jobs work as ever, and nothing imports it."""
    script = """
import asyncio, sys
from jobstate import Job
async def main():
    job = Job()
    job.on("start", lambda event: None)
    await job.start()
    return job.status
job = Job()
job.on("start", lambda event: None)
job.start_nowait()
print(asyncio.run(main()), job.status, "trio" in sys.modules)
"""
    assert run_script(script) == "STARTED STARTED False\n"


# --- a coroutine that is closed -------------------------------------------------------------

SLOTS = ["prepare", "guard", "before", "exit", "enter", "status", "after", "trigger", "finalize"]
COMMITTED = SLOTS[SLOTS.index("enter") :]


class Pause:
    """An awaitable that hands its one pause to whoever drives the coroutine."""

    def __await__(self):
        yield


class Closable:
    """A job with one async hook that hangs, and notes of how it ended."""

    def __init__(self, slot: str) -> None:
        self.ended: list[str] = []
        self.hanging = True
        lifecycle = Lifecycle[str](
            "closable",
            states=["A", {"name": "B", "final": True}],
            transitions=[["go", "A", "B"]],
        )
        attach: dict[str, Callable[[], Any]] = {
            "exit": lambda: lifecycle.on_exit("A"),
            "enter": lambda: lifecycle.on_enter("B"),
            "finalize": lambda: lifecycle.finalize,
        }
        if slot in ("status", "trigger"):
            self.job: Job[Any, str] = Job(lifecycle=lifecycle)
            self.job.on("B" if slot == "status" else "go", self.hang)
        else:
            attach.get(slot, lambda: getattr(lifecycle, slot)("go"))()(self.hang)
            self.job = Job(lifecycle=lifecycle)

    async def hang(self, event: Any) -> bool:
        """Wait until it is made to end."""
        try:
            while self.hanging:
                await Pause()
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("done")
        return True


@pytest.mark.anyio
@pytest.mark.parametrize("slot", SLOTS)
async def test_closing_a_coroutine_releases_the_turn(slot):
    """A trigger's coroutine that is closed at an await lets others move the job at once."""
    closable = Closable(slot)
    coroutine = closable.job.trigger("go")
    coroutine.send(None)
    await settled()
    assert closable.job._turn is not None
    coroutine.close()
    assert closable.job._turn is None
    assert closable.job.version == (slot in COMMITTED)
    await settled()
    assert closable.ended == ["GeneratorExit"] or closable.ended == ["CancelledError"]
    closable.hanging = False
    if slot not in COMMITTED:
        assert (await closable.job.trigger("go")).version == 1
    assert closable.job._turn is None


@pytest.mark.anyio
async def test_closing_the_holders_coroutine_hands_the_turn_on():
    """Closing the coroutine of a transition under way gives the turn to the next in line."""
    closable = Closable("before")
    job = closable.job
    holder = job.trigger("go")
    holder.send(None)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.trigger, "go")
            await settled()
            assert job.version == 0
            closable.hanging = False
            holder.close()
    assert (job.version, job._turn) == (1, None)


@pytest.mark.anyio
async def test_closing_a_coroutine_in_line():
    """Closing the coroutine of a trigger that waits its turn takes it out of the line."""
    lifecycle = JOB_LIFECYCLE.derive()
    inside, opened = anyio.Event(), anyio.Event()

    @lifecycle.before("start")
    async def hang(event):
        inside.set()
        await opened.wait()

    job: Job[Any] = Job(lifecycle=lifecycle)
    waiting = job.fail("never")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.start)
            await inside.wait()
            waiting.send(None)
            assert len(job._turn._queue) == 1
            waiting.close()
            assert len(job._turn._queue) == 0
            opened.set()
    assert ([each.trigger for each in job.history], job._turn) == (["start"], None)


@pytest.mark.anyio
@on_asyncio
@pytest.mark.parametrize("behind", [0, 1, 2])
async def test_closing_a_coroutine_in_the_moment_of_its_turn(behind):
    """A coroutine that is closed when the turn has just come to it hands it on as well."""
    closable = Closable("before")
    job = closable.job
    holder = asyncio.create_task(job.trigger("go"))
    await settled()
    waiting = [job.trigger("go") for _ in range(behind + 1)]
    for coroutine in waiting:
        coroutine.send(None)
    holder.cancel()
    await asyncio.wait([holder])
    assert job._turn is not None
    for coroutine in waiting:
        coroutine.close()
    assert (job.version, job._turn) == (0, None)


@pytest.mark.anyio
async def test_coroutine_that_was_never_run():
    """A trigger whose coroutine is dropped before it ran has no part in anything."""
    job: Job[Any] = Job()
    job.start().close()
    assert (job.version, job._turn) == (0, None)
    assert (await job.start()).version == 1


@pytest.mark.anyio
@on_asyncio
async def test_closing_before_the_hook_has_begun():
    """Closed right after the commit, nothing warns of a hook that was never awaited."""
    closable = Closable("enter")
    coroutine = closable.job.trigger("go")
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        coroutine.send(None)
        coroutine.close()
        await settled()
        gc.collect()
    assert [str(each.message) for each in caught] == []
    assert closable.job._turn is None


@pytest.mark.anyio
@on_asyncio
async def test_closing_a_cancelled_coroutine():
    """Closed while it holds a cancellation back, it leaves no hook running behind."""
    closable = Closable("enter")
    alone = asyncio.all_tasks()
    coroutine = closable.job.trigger("go")
    coroutine.send(None)
    await settled()
    coroutine.throw(asyncio.CancelledError())
    coroutine.close()
    await settled()
    left, closable.hanging = asyncio.all_tasks() - alone, False
    await settled()
    assert left == set()
    assert closable.ended == ["CancelledError"]
    assert closable.job._turn is None


# --- what the page itself offers ------------------------------------------------------------


@pytest.mark.anyio
async def test_waiter_wakes_once():
    """A waiter woken before it is awaited returns at once; waking it twice is waking it once."""
    early = waiter(running_loop())
    early.wake()
    early.wake()
    with anyio.fail_after(5):
        await early
        await early
        late = waiter(running_loop())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(settled_then, late.wake)
            await late
    with anyio.CancelScope() as scope:
        scope.cancel()
        await waiter(running_loop())
    assert scope.cancelled_caught


async def settled_then(act: Callable[[], None]) -> None:
    """Let others wait, and then act."""
    await settled()
    act()


@pytest.mark.anyio
async def test_cancelled_waiter_can_be_woken():
    """Waking a task that has been cancelled meanwhile does nothing."""
    one = waiter(running_loop())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await one
    one.wake()


@pytest.mark.anyio
async def test_finish_gives_what_came_of_the_work():
    """What the work returns or raises is told, whatever it is."""

    async def give(answer: Any) -> Any:
        await checkpoint()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    held_back: list[BaseException] = []
    for answer in (5, None):
        assert await finish(give(answer), task(), held_back.append) is answer
    for wrong in (ValueError(), KeyboardInterrupt(), SystemExit()):
        with pytest.raises(type(wrong)) as raised:
            await finish(give(wrong), task(), held_back.append)
        assert raised.value is wrong
    assert held_back == []


@pytest.mark.anyio
@on_asyncio
async def test_finish_holds_the_cancellation_back():
    """Of several cancellations it keeps one, which the caller has to raise."""
    inside, opened = asyncio.Event(), asyncio.Event()
    held_back: list[BaseException] = []

    async def work():
        inside.set()
        await opened.wait()
        return "done"

    running = asyncio.create_task(finish(work(), None, held_back.append))
    await inside.wait()
    for reason in ("first", "second", "third"):
        running.cancel(reason)
        await settled()
    assert not running.done()
    opened.set()
    assert await running == "done"
    assert [type(error) for error in held_back] == [asyncio.CancelledError]
    assert running.cancelling() == 3


@pytest.mark.anyio
@on_asyncio
async def test_finish_holds_back_whatever_is_thrown_in():
    """A coroutine driven by hand may get any error where it waits; the work ends all the same."""
    done: list[str] = []
    held_back: list[BaseException] = []

    async def work():
        await checkpoint()
        done.append("work")

    class Driver:
        def __init__(self, *thrown):
            self.thrown = thrown

        def __await__(self):
            running = finish(work(), None, held_back.append).__await__()
            running.send(None)
            for error in self.thrown:
                waits_for = running.throw(error)
            yield waits_for
            with suppress(StopIteration):
                yield running.send(None)

    await Driver(ValueError("thrown in"))
    assert done == ["work"]
    with pytest.raises(RuntimeError, match="and again"):
        await Driver(ValueError("thrown in"), RuntimeError("and again"))
    assert [str(error) for error in held_back] == ["thrown in", "thrown in"]


@pytest.mark.anyio
@on_asyncio
async def test_what_a_closed_trigger_leaves_behind_can_be_waited_for():
    """Closed by hand in the midst of a hook: the hook is cancelled, and all tasks have it."""
    ended: list[str] = []
    lifecycle = JOB_LIFECYCLE.derive()

    @lifecycle.on_enter(STARTED)
    async def hook(event):
        try:
            await asyncio.sleep(60)
        finally:
            await checkpoint()
            ended.append("hook")

    before = asyncio.all_tasks()
    starting = Job(lifecycle=lifecycle).start()
    starting.send(None)
    await settled()
    assert asyncio.all_tasks() == before
    starting.close()
    (left,) = asyncio.all_tasks() - before
    await asyncio.wait([left])
    assert ended == ["hook"]


@pytest.mark.parametrize("slot", ["journal", "hook"])
def test_the_end_of_the_loop_cuts_nothing_short(slot):
    """`asyncio.run` cancels all tasks at its end, and waits for what runs to its end."""
    ran: list[str] = []

    async def work(event: object) -> None:
        ran.append("begun")
        await asyncio.sleep(0.01)
        ran.append("done")

    class Kept:
        append = staticmethod(work)

    lifecycle = JOB_LIFECYCLE.derive()
    if slot == "hook":
        lifecycle.on_enter(STARTED)(work)
    job: Job = Job(lifecycle=lifecycle, journal=Kept() if slot == "journal" else None)

    async def main() -> None:
        starting = asyncio.create_task(job.start())
        while not ran:
            await checkpoint()
        assert not starting.done()

    asyncio.run(main())
    assert ran == ["begun", "done"]
    assert job.status == STARTED


def test_at_once_says_what_had_to_wait():
    """Work that has to wait after all is closed, and named."""
    closed = []

    async def work():
        try:
            await Pause()
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match=r"work.* had to wait"):
        at_once(work())
    assert closed == [True]


def test_tasks_and_homes_in_words():
    """Outside of any loop there is no task, and the home is this thread."""
    assert task() is None
    assert home() is home()
    assert describe(home()) == (
        f"thread {threading.current_thread().name} of process {os.getpid()}, "
        "where no event loop runs"
    )


@pytest.mark.anyio
async def test_callbacks_of_the_loop_are_in_no_task():
    """What the loop calls by itself is in its home, and in no task."""
    told: list[object] = []
    called = anyio.Event()

    def callback() -> None:
        told[:] = home(), task()
        called.set()

    class Watching(trio.abc.Instrument):
        def before_io_wait(self, timeout: float) -> None:
            callback()

    loop = running_loop()
    if loop is None:
        watching = Watching()
        trio.lowlevel.add_instrument(watching)
        await anyio.sleep(0.001)
        trio.lowlevel.remove_instrument(watching)
    else:
        loop.call_soon(callback)
        await called.wait()
    assert told == [home(), None]


@pytest.mark.anyio
async def test_home_is_the_running_loop():
    """Inside of a loop the home is that loop, in every one of its tasks."""
    homes: set[object] = {home()}

    async def note() -> None:
        homes.add(home())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(note)
    assert homes == {home()}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ASYNCIO[:1], ids=["asyncio"])
@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks():
    """With eager tasks everywhere triggers wait, hooks are shielded and reentrance is seen."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        lifecycle = JOB_LIFECYCLE.derive()
        caught, opened = [], asyncio.Event()

        @lifecycle.on_enter(STARTED)
        async def reenter(event):
            try:
                await event.job.requeue()
            except ReentrantTrigger as error:
                caught.append(error)
            await opened.wait()

        job: Job[Any] = Job(lifecycle=lifecycle)
        start = asyncio.create_task(job.start())
        succeed = asyncio.create_task(job.succeed(1))
        await settled()
        start.cancel()
        await settled()
        assert not start.done()
        opened.set()
        async with asyncio.timeout(5):
            await asyncio.wait([start, succeed])
        assert start.cancelled()
        assert succeed.result().version == 2
        assert len(caught) == 1
        assert job._turn is None
    finally:
        loop.set_task_factory(None)


@pytest.mark.anyio
@on_asyncio
async def test_hooks_that_never_wait_are_told_too():
    """An async hook without an await fails, binds and is refused as any other."""
    lifecycle = JOB_LIFECYCLE.derive()

    @lifecycle.on_enter(STARTED)
    async def reenter(event):
        await event.job.requeue()

    @lifecycle.after("start")
    async def fail(event):
        raise OSError

    with pytest.raises(HookFailed) as caught:
        await Job(lifecycle=lifecycle).start()
    assert [type(error) for error in caught.value.exceptions] == [ReentrantTrigger, OSError]


def test_where_no_loop_runs_nothing_can_be_called():
    """Whoever asks for that is told, and where it was."""
    with pytest.raises(RuntimeError, match="where no event loop runs, nothing can be called"):
        call_soon(home(), print)


def test_trio_may_be_imported_in_another_thread_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as Trio is there by halves, no code runs in it, and a thread is a home."""
    monkeypatch.setitem(sys.modules, "trio", ModuleType("trio"))
    assert "no event loop runs" in describe(home())
    assert task() is None


def test_the_clock_is_read_in_the_host_of_a_guest_run():
    """Where Trio is a guest, what its host calls back comes between its steps, as a click does."""
    calls = SimpleQueue[Any]()
    read: list[float] = []

    async def main():
        clicked = trio.Event()
        calls.put(lambda: (read.append(loop_time()), clicked.set()))
        await clicked.wait()

    trio.lowlevel.start_guest_run(
        main,
        run_sync_soon_threadsafe=calls.put,
        done_callback=lambda outcome: calls.put(None),
    )
    while (call := calls.get()) is not None:
        call()
    assert read
