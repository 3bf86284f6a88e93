"""A job used from other threads: futures of its transitions, in order, and never a hang."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import os
import subprocess
import sys
import threading
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
import trio
import uvloop
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    BadArgument,
    Cancellation,
    GuardRefused,
    HookFailed,
    Job,
    JobAbandoned,
    JobStatus,
    LoopEnded,
    NoLoopYet,
    ReportRefused,
    RevokeCause,
    TransitionRefused,
    UnknownTrigger,
    _spawn,
    _threadsafe,
)

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
KINDS = {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.Loop}
any_loop = pytest.mark.parametrize("loop", LOOPS)
asyncio_loop = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
on_asyncio = pytest.mark.parametrize(
    "anyio_backend", [LOOPS["asyncio"], LOOPS["uvloop"]], ids=["asyncio", "uvloop"]
)

pytestmark = pytest.mark.filterwarnings("error")


def run(loop, main):
    """Run an async function in a loop of its own."""
    backend, options = LOOPS[loop]
    return anyio.run(main, backend=backend, backend_options=options)


async def elsewhere(function):
    """Return what a function gives in a thread that knows of no event loop."""
    given = concurrent.futures.Future()

    def call():
        try:
            given.set_result(function())
        except BaseException as error:
            given.set_exception(error)

    thread = threading.Thread(target=call)
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    return given.result(0)


def in_thread(function):
    """Begin a function in a thread, and return the future of what it gives, and the thread."""
    given = concurrent.futures.Future()

    def call():
        try:
            given.set_result(function())
        except BaseException as error:
            given.set_exception(error)

    thread = threading.Thread(target=call)
    thread.start()
    return given, thread


@pytest.fixture(autouse=True)
def no_line_is_left():
    """Fail a test that leaves something in line."""
    yield
    assert nothing_is_left()


def nothing_is_left():
    """Whether no call is in any line."""
    return not _threadsafe._lines


def ended(future):
    """Return the error of a future that is to have one soon."""
    return future.exception(10)


# --- triggers -------------------------------------------------------------------------------

TRIGGERS = {
    "start": (PENDING, lambda job: job.start(), STARTED),
    "succeed": (STARTED, lambda job: job.succeed(), SUCCESS),
    "succeed with a result": (STARTED, lambda job: job.succeed(7), SUCCESS),
    "fail": (STARTED, lambda job: job.fail(ValueError("jam")), FAILURE),
    "retry": (STARTED, lambda job: job.retry("jam", delay=2), RETRY),
    "retry at once": (STARTED, lambda job: job.retry("jam"), RETRY),
    "requeue": (STARTED, lambda job: job.requeue(), PENDING),
    "revoke": (PENDING, lambda job: job.revoke("not needed"), REVOKED),
    "revoke for a cause": (STARTED, lambda job: job.revoke(cause=RevokeCause.ADMIN), REVOKED),
    "trigger": (STARTED, lambda job: job.trigger("fail", error="jam"), FAILURE),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", TRIGGERS)
async def test_a_trigger_from_a_thread_is_that_of_the_job(name):
    """Each gives a future at once, of the same transition that the job's own trigger commits."""
    source, call, dest = TRIGGERS[name]
    there, here = Job("j1", clock=lambda: 1.5), Job("j1", clock=lambda: 1.5)
    for job in (there, here):
        if source is STARTED:
            await job.start()
    future = await elsewhere(lambda: call(there.threadsafe))
    assert isinstance(future, concurrent.futures.Future)
    transition = await elsewhere(future.result)
    assert transition == await call(here)
    assert transition is there.history[-1]
    assert transition.dest is there.status is dest
    assert there.snapshot() == here.snapshot()
    assert nothing_is_left()


def refusing(event):
    return False


def jam(event):
    raise OSError("jam")


def closed(**hooks):
    """Return a lifecycle with guards and hooks."""
    lifecycle = JOB_LIFECYCLE.derive("closed")
    for place, (on, hook) in hooks.items():
        getattr(lifecycle, place)(on)(hook)
    return lifecycle


ERRORS = {
    TransitionRefused: (JOB_LIFECYCLE, lambda job: job.succeed()),
    GuardRefused: (closed(guard=("start", refusing)), lambda job: job.start()),
    UnknownTrigger: (JOB_LIFECYCLE, lambda job: job.trigger("pause")),
    BadArgument: (JOB_LIFECYCLE, lambda job: job.fail(3)),
    HookFailed: (closed(on_enter=(STARTED, jam)), lambda job: job.start()),
    OSError: (closed(before=("start", jam)), lambda job: job.start()),
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ERRORS)
async def test_the_future_has_what_the_trigger_raises(kind):
    """Refusals, wrong arguments and what hooks raise come through the future, as they are."""
    lifecycle, call = ERRORS[kind]
    job = Job(lifecycle=lifecycle)
    future = await elsewhere(lambda: call(job.threadsafe))
    error = await elsewhere(future.exception)
    assert type(error) is kind
    assert job.version == (1 if kind is HookFailed else 0)
    assert nothing_is_left()


@pytest.mark.anyio
async def test_one_thread_is_served_in_order():
    """What a thread asks for without waiting is done in that order, reports and all."""
    lifecycle = JOB_LIFECYCLE.derive("slow")
    told = []

    @lifecycle.before("*")
    async def dawdle(event):
        await checkpoint()

    @lifecycle.on_exit(STARTED)
    async def note(event):
        told.append((event.job.attempt, event.job.progress, dict(event.job.info)))
        await checkpoint()

    job = Job(lifecycle=lifecycle, max_attempts=None)

    def ask():
        for number in range(1, 31):
            job.threadsafe.start()
            job.threadsafe.report(number)
            job.threadsafe.report(info={"n": number})
            job.threadsafe.requeue()
        job.threadsafe.report(99)  # nothing is running
        return job.threadsafe.snapshot()

    seen = await elsewhere(lambda: ask().result())
    assert [each.trigger for each in job.history] == ["start", "requeue"] * 30
    assert told == [(number, number, {"n": number}) for number in range(1, 31)]
    assert (seen.version, seen.progress) == (60, 30)
    assert nothing_is_left()


@pytest.mark.anyio
async def test_many_threads_at_once():
    """Threads do not wait for each other: each has a line of its own at each job."""
    jobs = [Job(max_attempts=None) for _ in range(4)]

    def ask(job):
        for _ in range(25):
            job.threadsafe.start()
            last = job.threadsafe.requeue()
        return last.result()

    def others():
        for _ in range(25):
            for job in jobs:
                job.threadsafe.report(1)
                seen = job.threadsafe.snapshot()
        return seen.result()

    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(anyio.to_thread.run_sync, ask, job)
        tasks.start_soon(anyio.to_thread.run_sync, others)
    for job in jobs:
        assert [each.trigger for each in job.history] == ["start", "requeue"] * 25
    assert nothing_is_left()


@pytest.mark.anyio
async def test_a_slow_line_delays_no_other():
    """A report from one thread is told though another thread's trigger is still under way."""
    lifecycle = JOB_LIFECYCLE.derive("slow")
    arrived, go_on = anyio.Event(), anyio.Event()

    @lifecycle.on_enter(STARTED)
    async def wait(event):
        arrived.set()
        await go_on.wait()

    job = Job(lifecycle=lifecycle)
    start = await elsewhere(job.threadsafe.start)
    await arrived.wait()

    def report():
        job.threadsafe.report(40)
        return job.threadsafe.snapshot().result()

    assert (await elsewhere(report)).progress == 40
    assert not start.done()
    go_on.set()
    assert await elsewhere(start.result) is job.history[0]


@pytest.mark.anyio
async def test_from_its_own_loop_even_in_a_hook():
    """Where the job lives it works too: a hook that asks so does not wait for itself."""
    job = Job()
    asked = []
    job.on(STARTED, lambda event: asked.append(job.threadsafe.succeed(3)))
    asked.append(job.threadsafe.start())
    assert job.status is PENDING
    assert await job == 3
    start, succeed = asked
    assert (start.result(0), succeed.result(0)) == job.history


@pytest.mark.anyio
async def test_hooks_see_what_the_caller_sees():
    """Context variables of the calling thread are there in hooks, whichever loop runs there."""
    user = ContextVar("user", default="nobody")
    lifecycle = JOB_LIFECYCLE.derive("asking")

    @lifecycle.on_enter(STARTED)
    async def ask(event):
        seen.append(user.get())
        with anyio.CancelScope():
            await checkpoint()

    def call(name, loop):
        async def main():
            user.set(name)
            await anyio.to_thread.run_sync(job.threadsafe.start().result)
            await anyio.to_thread.run_sync(job.threadsafe.requeue().result)

        run(loop, main)

    seen: list[str] = []
    job = Job(lifecycle=lifecycle)
    for loop in LOOPS:
        await anyio.to_thread.run_sync(call, loop, loop)
    assert seen == list(LOOPS)
    assert user.get() == "nobody"


# --- reports, snapshots, the end --------------------------------------------------------------


@pytest.mark.anyio
async def test_a_report_is_checked_where_it_is_made():
    """What can never be told is refused in the calling thread, and changes nothing."""
    job = Job()
    await job.start()
    before = job.snapshot()
    with pytest.raises(ReportRefused):
        await elsewhere(lambda: job.threadsafe.report(101))
    with pytest.raises(BadArgument):
        await elsewhere(lambda: job.threadsafe.report(info=[1]))
    assert job.snapshot() == before


@pytest.mark.anyio
async def test_a_snapshot_comes_after_what_was_asked_before():
    """It is taken in the job's loop, in its place in line."""
    job = Job("j1")

    def ask():
        job.threadsafe.start()
        job.threadsafe.report(5)
        seen = job.threadsafe.snapshot()
        job.threadsafe.requeue().result()
        return seen.result()

    seen = await elsewhere(ask)
    assert (seen.id, seen.status, seen.progress) == ("j1", STARTED, 5)


@pytest.mark.anyio
async def test_completed_gives_the_outcome():
    """A thread waits for the end as a task does, and stands in nobody's way."""
    job = Job()

    def ask():
        waiting = job.threadsafe.completed()
        job.threadsafe.start()
        job.threadsafe.succeed(5)
        return waiting.result()

    outcome = await elsewhere(ask)
    assert outcome == job.outcome
    assert outcome.value() == 5
    assert await elsewhere(lambda: job.threadsafe.completed().result()) == outcome


@pytest.mark.anyio
async def test_cancelling_completed_cancels_the_wait_alone():
    """The job goes on, and nobody listens to it any more."""
    job = Job()
    waiting = await elsewhere(job.threadsafe.completed)
    while job._at_end is None:
        await checkpoint()
    assert await elsewhere(waiting.cancel)
    while job._at_end is not None:
        await checkpoint()
    assert job.status is PENDING
    await job.start()
    assert concurrent.futures.wait([waiting], 10).done == {waiting}


@pytest.mark.anyio
async def test_an_abandoned_job_is_told_to_threads():
    """The wait ends with the error that it has in the loop."""
    job = Job()
    waiting = job.threadsafe.completed()
    while job._at_end is None:
        await checkpoint()
    job.abandon("gone")
    assert isinstance(await elsewhere(waiting.exception), JobAbandoned)


class Stopping:
    """Whoever runs the work of a job, and stops it when another thread has said the last word."""

    async def cancel(self, job, reason):
        outcome = await job.completed()
        return Cancellation.TOO_LATE if outcome.status is SUCCESS else Cancellation.INTERRUPTED


@pytest.mark.anyio
async def test_asking_for_the_work_to_stop():
    """It is asked for in its place in line, and nothing has to wait for the answer."""
    job = Job()
    job._private().worker = Stopping()

    def ask():
        job.threadsafe.start()
        answer = job.threadsafe.cancel("not needed")
        job.threadsafe.succeed(1)
        return answer.result()

    assert await elsewhere(ask) is Cancellation.TOO_LATE


@pytest.mark.anyio
async def test_cancelling_a_job_that_nobody_runs():
    """It is that of the job: revoked here, refused there."""
    job, other = Job(), Job()
    await other.start()
    assert await elsewhere(job.threadsafe.cancel("x").result) is Cancellation.PREVENTED
    assert job.outcome.reason == "x"
    assert isinstance(await elsewhere(other.threadsafe.cancel().exception), GuardRefused)


# --- cancelling -----------------------------------------------------------------------------


class Waiting:
    """A lifecycle whose starts wait for a word, and what became of them."""

    def __init__(self, place):
        self.lifecycle = JOB_LIFECYCLE.derive("waiting")
        self.arrived, self.go_on = anyio.Event(), anyio.Event()
        self.log = []
        on = STARTED if place == "on_enter" else "start"
        getattr(self.lifecycle, place)(on)(self.wait)

    async def wait(self, event):
        self.arrived.set()
        try:
            await self.go_on.wait()
        except BaseException as error:
            self.log.append(type(error))
            raise
        self.log.append("done")
        return True


@pytest.mark.anyio
async def test_cancelling_the_future_cancels_what_is_not_committed():
    """The guard is cancelled, the job is as it was, and the next in line has its turn."""
    waiting = Waiting("guard")
    job = Job(lifecycle=waiting.lifecycle)
    before = job.snapshot()
    first, second = await elsewhere(lambda: [job.threadsafe.start(), job.threadsafe.fail("jam")])
    await waiting.arrived.wait()
    assert await elsewhere(first.cancel)
    assert await elsewhere(second.result) is job.history[0]
    assert waiting.log == [anyio.get_cancelled_exc_class()]
    assert job.history[0].source is before.status is PENDING
    done, pending = await elsewhere(lambda: concurrent.futures.wait([first, second], 10))
    assert (done, pending) == ({first, second}, set())
    assert nothing_is_left()


@pytest.mark.anyio
async def test_cancelling_in_line_takes_it_out():
    """What waits behind another trigger is never taken, and whoever waits for it is told."""
    waiting = Waiting("on_enter")
    job = Job(lifecycle=waiting.lifecycle)
    futures = await elsewhere(
        lambda: [
            job.threadsafe.start(),
            job.threadsafe.fail("jam"),
            job.threadsafe.snapshot(),
            job.threadsafe.succeed(2),
        ]
    )
    await waiting.arrived.wait()
    assert futures[1].cancel()
    assert futures[2].cancel()
    await elsewhere(lambda: concurrent.futures.wait(futures[1:3], 10))
    assert waiting.log == []
    waiting.go_on.set()
    assert await job == 2
    assert [each.trigger for each in job.history] == ["start", "succeed"]


@pytest.mark.anyio
async def test_cancelled_before_it_arrives():
    """A future that is cancelled at once moves nothing."""
    job = Job()
    cancelled = [job.threadsafe.start(), job.threadsafe.snapshot(), job.threadsafe.completed()]
    assert all(future.cancel() for future in cancelled)
    with pytest.raises(TransitionRefused):
        await elsewhere(lambda: job.threadsafe.succeed().result())
    assert concurrent.futures.wait(cancelled, 10).not_done == set()
    assert job.version == 0
    assert nothing_is_left()


@pytest.mark.anyio
async def test_cancelling_after_the_commit_stops_no_hook():
    """The transition stands, and its hooks run to their end."""
    waiting = Waiting("on_enter")
    job = Job(lifecycle=waiting.lifecycle)
    start = await elsewhere(job.threadsafe.start)
    await waiting.arrived.wait()
    assert await elsewhere(start.cancel)
    waiting.go_on.set()
    await job.succeed()
    assert waiting.log == ["done"]
    assert nothing_is_left()


@pytest.mark.anyio
@on_asyncio
async def test_a_hook_that_waited_for_what_was_cancelled():
    """Its cancellation is that of its own future; the next in line has its turn."""
    job = Job()

    async def wait(event):
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    job.on(STARTED, wait)
    start, succeed = await elsewhere(lambda: [job.threadsafe.start(), job.threadsafe.succeed(1)])
    assert await job == 1
    assert concurrent.futures.wait([start, succeed], 10).not_done == set()
    assert start.cancelled()


# --- the loop's end -------------------------------------------------------------------------


@any_loop
def test_a_loop_that_has_ended(loop):
    """Whatever is asked of the job then has an error that says so."""

    async def main():
        job = Job("j1")
        await job.start()
        return job

    job = run(loop, main)
    for ask in ("succeed", "completed", "snapshot"):
        error = getattr(job.threadsafe, ask)().exception(0)
        assert isinstance(error, LoopEnded)
        assert error.job_id == "j1"
        assert "has ended" in str(error)
    with pytest.raises(LoopEnded):
        job.threadsafe.report(5)
    assert job.status is STARTED
    assert nothing_is_left()


@any_loop
def test_a_loop_that_ends_meanwhile(loop):
    """What was under way, what stood in line, and each wait: all have the error, and no warning."""
    waiting = None

    async def main():
        nonlocal waiting
        waiting = Waiting("guard")
        job = Job(lifecycle=waiting.lifecycle)
        futures = await elsewhere(
            lambda: [
                job.threadsafe.start(),
                job.threadsafe.succeed(),
                job.threadsafe.snapshot(),
                job.threadsafe.completed(),
            ]
        )
        await waiting.arrived.wait()
        waiting_thread = in_thread(lambda: list(map(ended, futures)))
        assert not any(future.done() for future in futures)
        return waiting_thread, job

    (given, thread), job = run(loop, main)
    thread.join(10)
    assert [type(error) for error in given.result(10)] == [LoopEnded] * 4
    assert len(waiting.log) == 1
    assert job.version == 0
    assert nothing_is_left()
    gc.collect()


@asyncio_loop
def test_a_loop_closed_before_it_has_heard(loop):
    """A loop of asyncio forgets what was carried to it and not yet called; its future does not."""
    own = KINDS[loop]()

    async def make():
        return Job()

    job = own.run_until_complete(make())
    asked = [job.threadsafe.start(), job.threadsafe.completed(), job.threadsafe.snapshot()]
    asked[2].cancel()
    own.close()
    assert [type(future.exception(0)) for future in asked[:2]] == [LoopEnded] * 2
    assert concurrent.futures.wait(asked, 0).not_done == set()
    assert nothing_is_left()


@asyncio_loop
def test_a_thread_that_the_loop_waits_for_while_it_ends(loop):
    """No task that begins while asyncio ends is cancelled: what would wait has the error."""
    ending = threading.Event()
    asked = []

    class Loop(KINDS[loop]):
        async def shutdown_asyncgens(self):
            asked.append(job.threadsafe.completed())
            for _ in range(3):
                await checkpoint()
            await super().shutdown_asyncgens()

        async def shutdown_default_executor(self, *args):
            ending.set()
            await super().shutdown_default_executor(*args)

    def work():
        ending.wait(10)
        asked.append(job.threadsafe.completed())
        return list(map(ended, asked))

    async def main():
        nonlocal job, given
        job = Job()
        await anyio.to_thread.run_sync(job.threadsafe.start().result)
        given = asyncio.get_running_loop().run_in_executor(None, work)
        asked.append(job.threadsafe.completed())  # in a task that does not begin any more

    job = given = None
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())
    assert [type(error) for error in given.result()] == [LoopEnded] * 3


@asyncio_loop
def test_a_task_that_needs_time_to_end(loop):
    """The loop waits for it, as it waits for all that it cancels."""
    log = []

    async def tidy(event):
        try:
            log.append("begun")
            await anyio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(20):
                    await checkpoint()
            log.append("ended")

    class Loop(KINDS[loop]):
        async def shutdown_asyncgens(self):
            asked.append(job.threadsafe.requeue())
            while not log:
                await checkpoint()
            await super().shutdown_asyncgens()
            log.append("shut down")

    async def main():
        nonlocal job
        job = Job(lifecycle=closed(before=("requeue", tidy)))
        await anyio.to_thread.run_sync(job.threadsafe.start().result)

    job, asked = None, []
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())
    assert log == ["begun", "ended", "shut down"]
    assert isinstance(asked[0].exception(0), LoopEnded)


def test_the_first_call_while_the_loop_ends():
    """It has the error too, where the loop can be asked whether it is ending."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        async def make():
            return Job()

        job = runner.run(make())
        loop.run_until_complete(loop.shutdown_asyncgens())
        asked = job.threadsafe.start()
        runner.run(checkpoint())
        assert isinstance(asked.exception(0), LoopEnded)


def test_trio_takes_no_more_tasks_at_its_very_end():
    """Where a run closes its last generators, nothing can be begun any more."""
    asked = []

    async def generator(job):
        try:
            yield
        finally:
            asked.extend([job.threadsafe.start(), job.threadsafe.completed()])

    async def main():
        await anext(kept := generator(Job()))
        return kept

    assert trio.run(main)
    assert [type(future.exception(0)) for future in asked] == [LoopEnded] * 2


def test_a_job_that_no_loop_has_used():
    """It cannot be carried anywhere; once a loop has used it, it can."""
    job = Job("j1")
    for ask in ("start", "completed", "snapshot", "report"):
        with pytest.raises(NoLoopYet) as caught:
            getattr(job.threadsafe, ask)()
        assert caught.value.job_id == "j1"
    assert job.version == 0

    async def main():
        await job.start()
        return await elsewhere(lambda: job.threadsafe.succeed(1).result())

    assert run("trio", main) is job.history[-1]


FORKED = """
import os, sys, anyio, trio
from jobstate import Job, LoopEnded

async def main():
    job = Job()
    await job.start()
    child = os.fork()
    if not child:
        error = job.threadsafe.succeed().exception(5)
        os._exit(0 if isinstance(error, LoopEnded) else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (await anyio.to_thread.run_sync(job.threadsafe.succeed(4).result)).version == 2

anyio.run(main, backend=sys.argv[1], backend_options=eval(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@any_loop
def test_a_forked_child(loop):
    """The job of the parent's loop cannot be reached from the child, which is told so."""
    backend, options = LOOPS[loop]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, backend, repr(options)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.anyio
async def test_without_sniffio(monkeypatch):
    """The context is carried where nobody keeps the name of the loop in it."""
    monkeypatch.delitem(sys.modules, "sniffio", raising=False)
    job = Job()
    assert (await elsewhere(lambda: job.threadsafe.start().result())).dest is STARTED


# --- tasks of their own ---------------------------------------------------------------------


async def noop():
    """Do nothing."""


@pytest.mark.anyio
async def test_an_error_of_a_spawned_task_is_logged(caplog):
    """It ends neither the loop nor another task."""

    async def fails():
        raise OSError("jam")

    _spawn.spawn(fails, pytest.fail, _spawn.carried_context())
    while not caplog.records:
        await checkpoint()
    assert caplog.records[0].levelno == logging.ERROR
    assert "OSError: jam" in caplog.text


def leave(event):
    raise SystemExit(3)


def test_an_interrupt_does_not_break_trio(caplog):
    """Trio takes what a system task raises for its own failure: the future has it instead."""

    async def main():
        job = Job()
        job.on(STARTED, leave)
        asked = await elsewhere(job.threadsafe.start)
        return await elsewhere(asked.exception)

    assert isinstance(trio.run(main), SystemExit)
    assert "SystemExit" in caplog.text


@asyncio_loop
def test_an_interrupt_ends_asyncio(loop):
    """There it ends the loop, as that of any task does; the future has it too."""
    asked = []

    async def main():
        job = Job()
        job.on(STARTED, leave)
        asked.append(job.threadsafe.start())
        await job.completed()

    with pytest.raises(SystemExit):
        run(loop, main)
    assert isinstance(asked[0].exception(0), SystemExit)
    assert nothing_is_left()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are never eager")
@pytest.mark.anyio
@on_asyncio
async def test_a_long_line_where_tasks_are_eager():
    """It is worked off one by one, however long it is."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    try:
        waiting = Waiting("guard")
        job = Job(lifecycle=waiting.lifecycle)
        job.threadsafe.start()
        await waiting.arrived.wait()
        job.threadsafe.succeed()
        for _ in range(2000):
            last = job.threadsafe.succeed()
        waiting.go_on.set()
        assert isinstance(await elsewhere(last.exception), TransitionRefused)
    finally:
        asyncio.get_running_loop().set_task_factory(None)


def test_a_facade_says_whose_it_is():
    """It is shown as what it is written as."""
    assert repr(Job("j1").threadsafe) == "<Job j1 PENDING v0>.threadsafe"
