"""Work that somebody else has begun, as a job: it ends as the work does, and can stop it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import signal
import subprocess
import sys
import threading
from typing import Any

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    BadArgument,
    Cancellation,
    GuardRefused,
    Job,
    JobAbandoned,
    JobStatus,
    Lifecycle,
    ReentrantWait,
    RevokeCause,
    UnknownTrigger,
    UnsuitableWork,
    as_job,
)
from jobstate._run_errors import CommandFailed

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus
USER, ADMIN, SHUTDOWN = RevokeCause.USER, RevokeCause.ADMIN, RevokeCause.SHUTDOWN

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
any_loop = pytest.mark.parametrize("loop", LOOPS)
asyncio_loop = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
on_asyncio = pytest.mark.parametrize(
    "anyio_backend", [LOOPS["asyncio"], LOOPS["uvloop"]], ids=["asyncio", "uvloop"]
)
asynchronous = pytest.mark.anyio

CANCELLABLE = JOB_LIFECYCLE.derive("cancellable", cancel_started=True)

SLEEPING = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
EXITING = "import sys; sys.stdin.read(); sys.exit({})"


def run(loop, main):
    """Run an async function in a loop of its own."""
    backend, options = LOOPS[loop]
    return anyio.run(main, backend=backend, backend_options=options)


def concurrent_future():
    """Return a future of a thread that has begun its work."""
    future = concurrent.futures.Future()
    assert future.set_running_or_notify_cancel()
    return future


async def slow(event):
    """Be a hook that needs a turn of the loop."""
    await checkpoint()


def hooked(**places):
    """Return a lifecycle with hooks: ``on_enter=(STARTED, hook)``."""
    lifecycle = JOB_LIFECYCLE.derive("hooked", cancel_started=True)
    for place, (on, hook) in places.items():
        getattr(lifecycle, place)(on)(hook)
    return lifecycle


# --- futures --------------------------------------------------------------------------------


@asynchronous
async def test_a_future_of_a_thread():
    """The job is STARTED at once, and SUCCESS with the result when a thread has set it."""
    future = concurrent_future()
    job = as_job(future, id="j1", name="upload", info={"size": 3})
    assert (job.id, job.name, job.info, job.status) == ("j1", "upload", {"size": 3}, STARTED)
    await anyio.to_thread.run_sync(future.set_result, 12)
    assert await job == 12
    assert [step.trigger for step in job.history] == ["start", "succeed"]


@asynchronous
async def test_a_future_that_ends_in_the_loop_itself():
    """It need not end in another thread."""
    future = concurrent_future()
    job = as_job(future)
    await checkpoint()
    await checkpoint()
    future.set_result("here")
    assert await job == "here"


@asynchronous
@on_asyncio
async def test_a_task():
    """A task of asyncio is followed as it is, whether it gives a result or raises."""
    go_on = anyio.Event()

    async def work(error):
        await go_on.wait()
        if error:
            raise error
        return 5

    good, bad = [asyncio.create_task(work(error)) for error in (None, OSError("jam"))]
    jobs = [as_job(good), as_job(bad)]
    assert [job.status for job in jobs] == [STARTED, STARTED]
    go_on.set()
    assert await jobs[0] == 5
    outcome = await jobs[1].completed()
    assert (outcome.status, outcome.error_reason, outcome.error_message) == (
        FAILURE,
        "OSError",
        "jam",
    )


@asynchronous
@on_asyncio
async def test_a_bare_future():
    """A future without a task is followed as well."""
    future = asyncio.get_running_loop().create_future()
    job = as_job(future)
    assert job.status is STARTED
    future.set_result(None)
    outcome = await job.completed()
    assert (outcome.status, outcome.result) == (SUCCESS, None)


ENDS = {
    "result": (lambda f: f.set_result(7), SUCCESS, "", None),
    "exception": (lambda f: f.set_exception(OSError("jam")), FAILURE, "OSError: jam", None),
    "cancelled": (lambda f: f.cancel(), REVOKED, "the future was cancelled", ADMIN),
}


@asynchronous
@pytest.mark.parametrize("how", ENDS)
async def test_what_has_ended_already(how):
    """Its job has ended when `as_job` returns."""
    end, status, reason, cause = ENDS[how]
    future = concurrent.futures.Future()
    end(future)
    job = as_job(future)
    assert (job.status, job.history[-1].reason, job.history[-1].cause) == (status, reason, cause)
    assert await job.cancel() is Cancellation.TOO_LATE


@asynchronous
async def test_cancelled_by_somebody():
    """A future that was cancelled, by whomever, revokes the job: an operator has stepped in."""
    future = concurrent.futures.Future()
    job = as_job(future)
    assert future.cancel()
    outcome = await job.completed()
    assert (outcome.status, outcome.cause) == (REVOKED, ADMIN)
    assert outcome.reason == "the future was cancelled"


@asynchronous
@on_asyncio
async def test_a_task_cancelled_by_somebody():
    """The same of a task."""
    task = asyncio.create_task(anyio.Event().wait())
    job = as_job(task)
    await checkpoint()
    task.cancel()
    outcome = await job.completed()
    assert (outcome.status, outcome.cause) == (REVOKED, ADMIN)
    assert outcome.reason == "the task was cancelled"


# --- hooks ----------------------------------------------------------------------------------


@asynchronous
async def test_async_hooks_of_the_start():
    """The job is STARTED as soon as they are done, also where the work has ended by then."""
    lifecycle = hooked(before=("start", slow), on_enter=(SUCCESS, slow))
    future = concurrent_future()
    job, done = as_job(future, lifecycle=lifecycle), concurrent.futures.Future()
    done.set_result(3)
    ended = as_job(done, lifecycle=lifecycle)
    assert (job.status, ended.status) == (PENDING, PENDING)
    await job.reached(STARTED)
    assert await ended == 3
    future.set_result(4)
    assert await job == 4


@asynchronous
async def test_async_hooks_of_the_end():
    """What has ended already has its hooks awaited in a task of its own."""
    future = concurrent.futures.Future()
    future.set_result(3)
    job = as_job(future, lifecycle=hooked(before=("succeed", slow)))
    assert job.status is STARTED
    assert await job == 3


def fails(event):
    raise ValueError("hook")


@asynchronous
@pytest.mark.parametrize("where", ["start", "end", "later"])
async def test_hooks_that_fail_after_the_commit(where):
    """They stop nothing."""
    future = concurrent_future()
    if where != "later":
        future.set_result(1)
    lifecycle = hooked(on_enter=(STARTED if where == "start" else SUCCESS, fails))
    job = as_job(future, lifecycle=lifecycle)
    if where == "later":
        future.set_result(1)
    assert await job == 1


@asynchronous
@pytest.mark.parametrize("hook", ["sync", "async"])
@pytest.mark.parametrize("trigger", ["start", "succeed"])
@pytest.mark.parametrize("done", [True, False])
async def test_a_job_that_is_kept_from_moving_fails(hook, trigger, done):
    """So that nobody waits for ever; the work itself is left alone."""
    future = concurrent_future()
    if done:
        future.set_result(1)

    async def refuse(event):
        return False

    lifecycle = hooked(guard=(trigger, refuse if hook == "async" else lambda event: False))
    job = as_job(future, lifecycle=lifecycle)
    if not done:
        future.set_result(1)
    outcome = await job.completed()
    assert (outcome.status, outcome.error_reason) == (FAILURE, "jobstate.GuardRefused")


@asynchronous
@on_asyncio
async def test_a_hook_that_waits_for_what_was_cancelled():
    """It keeps the job from moving, which is then abandoned."""

    async def wait(event):
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    future = concurrent_future()
    job = as_job(future, lifecycle=hooked(before=("succeed", wait)))
    future.set_result(1)
    with pytest.raises(JobAbandoned, match="cancelled"):
        await job.completed()
    other = as_job(future, lifecycle=hooked(on_enter=(SUCCESS, wait)))
    assert await other == 1


# --- moved by others ------------------------------------------------------------------------


@asynchronous
@pytest.mark.parametrize("trigger", ["fail", "requeue", "revoke", "again"])
async def test_a_job_that_others_have_moved_on(trigger):
    """The end of the work is then no concern of the job's."""
    future = concurrent_future()
    job = as_job(future)
    if trigger == "revoke":
        await job.revoke(cause=ADMIN)
    elif trigger == "fail":
        await job.fail("enough")
    else:
        await job.requeue()
        if trigger == "again":
            await job.start()
    before = job.snapshot()
    future.set_result(1)
    follower = job._own.worker
    await follower._over.wait()
    assert job.snapshot() == before
    answer = await job.cancel() if trigger != "again" else None
    expected = {"requeue": Cancellation.PREVENTED, "again": None}
    assert answer is expected.get(trigger, Cancellation.TOO_LATE)


@asynchronous
async def test_a_paused_job_ends_when_it_goes_on():
    """What has ended meanwhile is told as soon as it can be."""
    lifecycle = JOB_LIFECYCLE.derive(
        "pausing",
        states=["PAUSED"],
        transitions=[["pause", STARTED, "PAUSED"], ["resume", "PAUSED", STARTED]],
    )
    future = concurrent_future()
    job: Job[Any, Any] = as_job(future, lifecycle=lifecycle)
    await job.trigger("pause")
    future.set_result(1)
    for _ in range(10):
        await checkpoint()
    assert job.status == "PAUSED"
    await job.trigger("resume")
    assert await job == 1


# --- cancelling -----------------------------------------------------------------------------


@asynchronous
async def test_cancel_a_future_that_has_not_begun():
    """It never will: PREVENTED, on behalf of the user."""
    future = concurrent.futures.Future()
    job = as_job(future, lifecycle=CANCELLABLE)
    assert await job.cancel("not needed") is Cancellation.PREVENTED
    assert future.cancelled()
    assert (job.status, job.outcome.reason, job.outcome.cause) == (REVOKED, "not needed", USER)


@asynchronous
async def test_cancel_a_future_that_is_running():
    """A thread cannot be stopped: UNCONFIRMED, and the job goes on."""
    future = concurrent_future()
    job = as_job(future, lifecycle=CANCELLABLE)
    assert await job.cancel("not needed") is Cancellation.UNCONFIRMED
    assert job.status is STARTED
    future.set_result(1)
    assert await job == 1
    assert await job.cancel() is Cancellation.TOO_LATE


@asynchronous
async def test_cancel_a_future_that_has_just_ended():
    """Its end is what counts, and the answer waits for it: TOO_LATE."""
    future = concurrent_future()
    job = as_job(future, lifecycle=CANCELLABLE)
    future.set_result(1)
    assert await job.cancel() is Cancellation.TOO_LATE
    assert job.result == 1


@asynchronous
@on_asyncio
async def test_cancel_a_task():
    """It is interrupted; the answer comes when it has ended."""
    cleaned, arrived = anyio.Event(), anyio.Event()

    async def work():
        try:
            arrived.set()
            await anyio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            cleaned.set()

    task = asyncio.create_task(work())
    job = as_job(task, lifecycle=CANCELLABLE)
    await arrived.wait()
    assert await job.cancel("not needed") is Cancellation.INTERRUPTED
    assert cleaned.is_set()
    assert task.cancelled()
    assert (job.status, job.outcome.reason, job.outcome.cause) == (REVOKED, "not needed", USER)


@asynchronous
@on_asyncio
@pytest.mark.parametrize("end", ["result", "exception"])
async def test_cancel_a_task_that_ends_otherwise(end):
    """What it makes of that is its own affair: the job ends so, and it was TOO_LATE."""
    arrived = anyio.Event()

    async def work():
        try:
            arrived.set()
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if end == "exception":
                raise OSError("jam") from None
        return 8

    job = as_job(asyncio.create_task(work()), lifecycle=CANCELLABLE)
    await arrived.wait()
    assert await job.cancel() is Cancellation.TOO_LATE
    assert job.status is (SUCCESS if end == "result" else FAILURE)


@asynchronous
async def test_cancel_where_the_lifecycle_forbids_it():
    """A started job is not stopped for a user: refused before the work hears of it."""
    future = concurrent.futures.Future()
    job = as_job(future)
    with pytest.raises(GuardRefused):
        await job.cancel()
    assert not future.cancelled()
    assert job.status is STARTED
    future.cancel()
    assert (await job.completed()).cause is ADMIN


@asynchronous
async def test_cancel_while_the_start_is_under_way():
    """It waits for the start, so that what it asks is judged by the status that comes of it."""
    future = concurrent.futures.Future()
    job = as_job(future, lifecycle=hooked(before=("start", slow)))
    assert job.status is PENDING
    assert await job.cancel() is Cancellation.PREVENTED
    assert [step.trigger for step in job.history] == ["start", "revoke"]
    assert future.cancelled()


@asynchronous
async def test_cancel_while_a_start_is_under_way_that_cannot_be_cancelled():
    """The work of a job that is about to be STARTED is as safe as that of one that is."""
    lifecycle = JOB_LIFECYCLE.derive("slow")
    lifecycle.before("start")(slow)
    future = concurrent.futures.Future()
    job = as_job(future, lifecycle=lifecycle)
    with pytest.raises(GuardRefused):
        await job.cancel()
    assert not future.cancelled()
    future.set_result(1)
    assert await job == 1


@asynchronous
async def test_cancel_when_somebody_requeues_the_job():
    """Then nobody can tell what comes of it."""
    future = concurrent.futures.Future()
    job = as_job(future, lifecycle=CANCELLABLE)
    job._own.worker._work.stop = lambda reason: Cancellation.INTERRUPTED
    answers = []

    async def cancel():
        answers.append(await job.cancel())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel)
        while job._own.worker._asked is None:
            await checkpoint()
        await job.requeue()
        future.set_result(1)
    assert answers == [Cancellation.UNCONFIRMED]


@asynchronous
async def test_cancel_in_a_hook_of_the_job():
    """It would wait for itself, and is told so."""
    errors = []

    async def cancel(event):
        try:
            await event.job.cancel()
        except ReentrantWait as error:
            errors.append(error)

    future = concurrent_future()
    job = as_job(future, lifecycle=hooked(on_enter=(STARTED, cancel)))
    await job.reached(STARTED)
    future.set_result(1)
    assert await job == 1
    assert len(errors) == 1


# --- processes ------------------------------------------------------------------------------


def popen(command, **options):
    """Begin a process that no event loop knows."""
    return subprocess.Popen(command, **options)


async def opened(kind, *command):
    """Begin a command as one of the three kinds of processes; reading its input keeps it alive."""
    if kind == "popen":
        return popen(command, stdin=subprocess.PIPE)
    if kind == "anyio":
        return await anyio.open_process(command, stdin=subprocess.PIPE, stdout=None, stderr=None)
    return await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE)


async def let_go(process):
    """Have a command go on."""
    if isinstance(process, subprocess.Popen):
        process.stdin.close()
    elif isinstance(process, anyio.abc.Process):
        await process.stdin.aclose()
    else:
        process.stdin.close()
        await process.stdin.wait_closed()


@pytest.fixture
def kinds(anyio_backend):
    """The kinds of processes that there are in the loop of the test."""
    return ["popen", "anyio"] if anyio_backend[0] == "trio" else ["popen", "anyio", "asyncio"]


def commands(code):
    return sys.executable, "-S", "-c", EXITING.format(code)


@asynchronous
async def test_a_process_that_succeeds(kinds):
    """Exit code 0 is the result."""
    for kind in kinds:
        process = await opened(kind, *commands(0))
        job = as_job(process)
        assert job.status is STARTED
        await let_go(process)
        assert await job == 0


@asynchronous
async def test_a_process_that_fails(kinds):
    """Any other exit code makes it FAILURE; the error and the job's extras tell which."""
    for kind in kinds:
        process = await opened(kind, *commands(3))
        job = as_job(process)
        await let_go(process)
        outcome = await job.completed()
        assert (outcome.status, outcome.error_reason) == (
            FAILURE,
            "jobstate.CommandFailed",
        )
        assert outcome.error_message.endswith("exited with 3")
        assert outcome.extras == {"exit_code": 3, "signal": None, "output": None}
        known = sys.executable if kind == "popen" else f"process {process.pid}"
        assert outcome.error_message.startswith(known)
        again = as_job(process)
        assert again.status is FAILURE


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
@asynchronous
async def test_a_process_that_a_signal_ends(kinds):
    """The signal is named; who has sent it is not known, so that it is FAILURE."""
    for kind in kinds:
        process = await opened(kind, *SLEEPING)
        job = as_job(process)
        process.send_signal(signal.SIGKILL)
        outcome = await job.completed()
        assert outcome.status is FAILURE
        assert outcome.error_message.endswith("ended by SIGKILL")
        assert outcome.extras["signal"] == "SIGKILL"
        await let_go(process)


@pytest.mark.skipif(sys.platform != "linux", reason="no signals without a name")
@asynchronous
async def test_a_process_that_a_signal_without_a_name_ends():
    """It is told by its number."""
    process = await opened("popen", *SLEEPING)
    job = as_job(process)
    process.send_signal(signal.SIGRTMIN + 1)
    outcome = await job.completed()
    assert outcome.extras["signal"] == f"signal {signal.SIGRTMIN + 1}"
    await let_go(process)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
@asynchronous
async def test_cancel_a_process(kinds):
    """It is terminated; the answer comes when it has ended."""
    for kind in kinds:
        process = await opened(kind, *SLEEPING)
        job = as_job(process, lifecycle=CANCELLABLE)
        assert await job.cancel("not needed") is Cancellation.INTERRUPTED
        assert process.returncode == -signal.SIGTERM
        assert (job.status, job.outcome.reason, job.outcome.cause) == (REVOKED, "not needed", USER)
        await let_go(process)


@asynchronous
async def test_cancel_a_process_that_has_just_ended(kinds):
    """Its end is what counts: TOO_LATE."""
    for kind in kinds:
        process = await opened(kind, *commands(0))
        job = as_job(process, lifecycle=CANCELLABLE)
        process.terminate = gone
        await let_go(process)
        assert await job.cancel() is Cancellation.TOO_LATE
        assert job.result == 0


def gone():
    raise ProcessLookupError


@pytest.mark.parametrize("command", ["exit 3", b"exit 3"])
@pytest.mark.skipif(sys.platform == "win32", reason="another shell")
@asynchronous
async def test_a_command_line(command):
    """A command for the shell is told as it was given."""
    process = popen(command, shell=True)
    outcome = await as_job(process).completed()
    assert outcome.error_message == "'exit 3' exited with 3"


# --- the loop's end -------------------------------------------------------------------------


@any_loop
def test_the_loop_ends_before_a_future(loop):
    """The job is revoked, as whatever ran it is closing; the end of the work is heard by nobody."""
    future = concurrent_future()

    async def main():
        job = as_job(future)
        await checkpoint()
        return job

    job = run(loop, main)
    assert (job.status, job.outcome.cause) == (REVOKED, SHUTDOWN)
    assert job.outcome.reason == "its event loop has ended"
    future.set_result(1)
    assert job.status is REVOKED


@any_loop
def test_the_loop_ends_before_a_process(loop):
    """The same; the process goes on, and no thread holds up the interpreter."""
    process = subprocess.Popen(SLEEPING, stdin=subprocess.PIPE)

    async def main():
        job = as_job(process)
        while not waiting():
            await checkpoint()
        return job

    def waiting():
        return [each for each in threading.enumerate() if each.name.endswith(f"{process.pid}")]

    job = run(loop, main)
    assert (job.status, job.outcome.cause) == (REVOKED, SHUTDOWN)
    assert process.poll() is None
    assert [thread.daemon for thread in waiting()] == [True]
    process.stdin.close()
    assert process.wait(10) == 0


@asyncio_loop
def test_the_loop_ends_before_a_task(loop):
    """`asyncio.run` cancels the task as well: that the loop ends can be told from a cancel."""

    async def main():
        job = as_job(asyncio.create_task(anyio.Event().wait()))
        for _ in range(3):
            await checkpoint()
        return job

    job = run(loop, main)
    assert (job.status, job.outcome.cause) == (REVOKED, SHUTDOWN)


@asyncio_loop
def test_the_loop_ends_before_anything_has_begun(loop):
    """Nothing of it is left open, and no warning is given."""

    async def main():
        return as_job(asyncio.get_running_loop().create_future())

    job = run(loop, main)
    assert (job.status, job.outcome.cause) == (REVOKED, SHUTDOWN)
    gc.collect()


@any_loop
def test_the_loop_ends_in_the_middle_of_hooks(loop):
    """A job that cannot be revoked at once is abandoned, so that nobody waits for it."""
    future = concurrent_future()

    async def main():
        arrived = anyio.Event()

        async def wait(event):
            arrived.set()
            await anyio.Event().wait()

        waiting = as_job(future, lifecycle=hooked(before=("start", wait)))
        hooks = as_job(future, lifecycle=hooked(on_enter=(REVOKED, slow)))
        hooks_fail = as_job(future, lifecycle=hooked(on_enter=(REVOKED, fails)))
        await arrived.wait()
        return waiting, hooks, hooks_fail

    waiting, hooks, hooks_fail = run(loop, main)
    assert (waiting.status, waiting.outcome.cause) == (REVOKED, SHUTDOWN)
    assert (hooks.status, str(hooks._abandoned.reason)) == (STARTED, "its event loop has ended")
    assert hooks_fail.status is REVOKED


@any_loop
def test_the_loop_ends_after_others_have_moved_the_job(loop):
    """It stays as they have left it."""

    async def main():
        job = as_job(concurrent_future())
        await job.fail("enough")
        await checkpoint()
        return job

    assert run(loop, main).status is FAILURE


@asyncio_loop
def test_no_exception_is_said_to_be_lost(loop, caplog):
    """The error of a task is the job's, whether or not anybody has looked at the task."""

    async def work():
        raise OSError("jam")

    async def main():
        done = asyncio.create_task(work())
        await checkpoint()
        await checkpoint()
        first, second = as_job(done), as_job(asyncio.create_task(work()))
        await second.completed()
        return first.status, second.status

    assert run(loop, main) == (FAILURE, FAILURE)
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@asyncio_loop
def test_somebody_cancels_all_tasks(loop, caplog):
    """That of a job is among them: nobody follows its work then, and nothing is said to be lost."""

    async def main():
        future = asyncio.get_running_loop().create_future()
        job = as_job(future)
        await checkpoint()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        outcome = await job.completed()
        future.set_exception(OSError("jam"))
        await checkpoint()
        return outcome.cause

    assert run(loop, main) is SHUTDOWN
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


# --- what cannot be a job -------------------------------------------------------------------


async def noop():
    """Do nothing."""


@asynchronous
@pytest.mark.parametrize("work", [None, "make", print, noop])
async def test_what_is_no_work(work):
    """Only futures, tasks and processes can be followed."""
    with pytest.raises(UnsuitableWork, match="no future, task or process") as caught:
        as_job(work)
    assert caught.value.work == repr(work)


@asynchronous
async def test_a_coroutine():
    """Nothing runs it yet: the error says what does, and it is closed."""
    with pytest.raises(UnsuitableWork, match=r"asyncio\.create_task"):
        as_job(noop())
    gc.collect()


def test_no_event_loop():
    """There is none that the job could belong to."""
    with pytest.raises(UnsuitableWork, match="no event loop runs here"):
        as_job(concurrent.futures.Future())
    with pytest.raises(UnsuitableWork, match="no event loop runs here"):
        as_job(noop())


@any_loop
def test_a_future_of_another_loop(loop):
    """Futures and processes of asyncio belong to their loop, and Trio is another in any case."""
    other = asyncio.new_event_loop()
    future = other.create_future()

    async def main():
        with pytest.raises(UnsuitableWork, match="it belongs to asyncio event loop") as caught:
            as_job(future)
        assert caught.value.problem.endswith(f"this is {_described()}")

    run(loop, main)
    other.close()


def _described():
    from jobstate._loop import describe, home

    return describe(home())


def test_a_process_of_another_loop():
    """The same of a process of asyncio."""
    with asyncio.Runner() as runner:

        async def open_one():
            return await opened("asyncio", *commands(0))

        async def adopt():
            with pytest.raises(UnsuitableWork, match="it belongs to asyncio event loop"):
                as_job(process)

        async def end():
            await let_go(process)
            return await process.wait()

        process = runner.run(open_one())
        trio.run(adopt)
        assert runner.run(end()) == 0


@asynchronous
async def test_a_lifecycle_without_the_triggers():
    """It is refused before anything is followed."""
    lifecycle = Lifecycle(
        "lamp",
        states=["off", "on"],
        initial="off",
        final=["on"],
        transitions=[["start", "off", "on"]],
    )
    with pytest.raises(UnknownTrigger):
        as_job(concurrent_future(), lifecycle=lifecycle)
    with pytest.raises(BadArgument):
        as_job(concurrent_future(), name=3)


def test_a_failed_command_says_what_is_known():
    """Where nobody has listened, nothing is said of what it said."""
    assert str(CommandFailed(["make"], 2, None, None)) == "make exited with 2"
