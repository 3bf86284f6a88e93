"""Faults that the exploration of the runner has found, each as small as it can be told."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    Cancellation,
    Job,
    JobAbandoned,
    JobRunner,
    Retry,
    RevokeCause,
    RunnerClosed,
)
from jobstate._conclude import started

pytestmark = pytest.mark.anyio

AT_ONCE = Retry(attempts=3, first_delay=0)


class Deaf:
    """Runs async functions beside the runner, as threads that listen to nobody."""

    limit = None

    def __init__(self, tasks):
        self._tasks = tasks

    def check(self, function, args):
        """Take everything."""

    async def run(self, function, args, attempt):
        over = anyio.Event()

        async def work():
            await function(*args)
            over.set()

        self._tasks.start_soon(work)
        await over.wait()


@pytest.fixture
async def deaf():
    """What runs async functions that listen to nobody; those that wait for ever end at last."""
    async with anyio.create_task_group() as tasks:
        yield Deaf(tasks)
        tasks.cancel_scope.cancel()


def lifecycle(name, **options):
    return JOB_LIFECYCLE.derive(name, cancel_started=True, **options)


def waits(event):
    """Return work that reports that it runs, and waits for an event."""

    async def work(runs):
        runs.set()
        await event.wait()

    return work


async def turns(number=20):
    for _ in range(number):
        await checkpoint()


async def test_a_cancelled_block_revokes_by_hooks_that_wait():
    """Hooks that take their time do not keep the jobs of a cancelled block from their end."""
    slow = lifecycle("slow")

    @slow.before("revoke")
    async def wait(event):
        await turns()

    with anyio.CancelScope() as scope:
        async with JobRunner(limit=1, lifecycle=slow) as runner:
            running = await runner.submit(anyio.sleep_forever)
            waiting = await runner.submit(anyio.sleep_forever)
            await running.reached("STARTED")
            scope.cancel()
            await checkpoint()
    for job in (running, waiting):
        assert (job.status, job.outcome.cause) == ("REVOKED", RevokeCause.SHUTDOWN)


async def test_a_cancelled_block_ends_grace(deaf):
    """The time of grace of what does not listen is over in a cancelled block too."""
    with anyio.CancelScope() as scope:
        async with JobRunner(grace=0.01) as runner:
            job = await runner.submit(anyio.sleep_forever, executor=deaf)
            await job.reached("STARTED")
            scope.cancel()
            await checkpoint()
    assert job.status == "REVOKED"


async def test_a_guard_that_raises_keeps_no_other_job_from_ending():
    """Closing goes on where the guard of one job raises, and that job fails."""
    rough = lifecycle("rough")

    @rough.guard("revoke")
    def guard(event):
        if event.job.id == "first":
            raise ValueError("not this one")
        return True

    async with JobRunner(limit=1, lifecycle=rough) as runner:
        busy = await runner.submit(anyio.sleep_forever)
        first = await runner.submit(anyio.sleep_forever, id="first")
        second = await runner.submit(anyio.sleep_forever)
        await runner.aclose()
    assert [job.status for job in (busy, first, second)] == ["REVOKED", "FAILURE", "REVOKED"]


async def test_a_deadline_while_a_job_is_moved_holds():
    """A job whose time is over while an attempt of it is concluded is not tried again."""
    slow, over = lifecycle("slow"), anyio.Event()

    @slow.before("retry")
    async def wait(event):
        await over.wait()

    async def fail():
        raise ValueError

    async with JobRunner(lifecycle=slow) as runner:
        job = await runner.submit(fail, retry=Retry(first_delay=3600), timeout=0.01)
        work = runner._dispatch.work_of(job)
        while work.overdue is None:
            await turns(1)
        over.set()
        outcome = await job.completed()
    assert (outcome.status, outcome.cause) == ("REVOKED", RevokeCause.TIMEOUT)


async def test_a_deadline_while_a_job_is_started_stops_its_work():
    """A job whose time is over before its first attempt begins ends by stopping that attempt."""
    slow, over = lifecycle("slow"), anyio.Event()

    @slow.after("start")
    async def wait(event):
        await over.wait()

    async with JobRunner(lifecycle=slow) as runner:
        job = await runner.submit(anyio.sleep_forever, timeout=0.01)
        while runner._dispatch.work_of(job).overdue is None:
            await turns(1)
        over.set()
        outcome = await job.completed()
    assert outcome.cause is RevokeCause.TIMEOUT
    assert not runner._dispatch.attempts.running


async def test_nobody_prolongs_the_time_of_grace(deaf):
    """Work that was asked to stop has its time of grace once, whoever asks for it after that."""
    runs = anyio.Event()
    async with JobRunner(grace=3600) as runner:
        job = await runner.submit(waits(anyio.Event()), runs, executor=deaf)
        await runs.wait()
        work = runner._dispatch.work_of(job)
        runner._dispatch._overdue(work, 1.0)
        until = work.running.given_until
        await turns()
        runner._dispatch.close("now")
        stop = work.running.stop
        assert (work.running.given_until, stop.cause) == (until, RevokeCause.SHUTDOWN)
        runner._dispatch.attempts.hurry()
        await runner.aclose()


async def test_an_answer_waits_for_work_that_others_revoke():
    """Who asks hears INTERRUPTED once the work has stopped, though others revoked the job."""
    may_stop, runs = anyio.Event(), anyio.Event()

    async def work():
        try:
            runs.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await may_stop.wait()

    answers = []

    async def cancel(job):
        answers.append(await job.cancel())

    async with anyio.create_task_group() as tasks, JobRunner(lifecycle=lifecycle("l")) as runner:
        job = await runner.submit(work)
        await runs.wait()
        tasks.start_soon(cancel, job)
        await turns()
        await job.revoke("by an operator", cause=RevokeCause.ADMIN)
        await turns()
        assert answers == []
        may_stop.set()
    assert answers == [Cancellation.INTERRUPTED]


async def test_an_answer_of_what_was_left_behind_is_unconfirmed(deaf):
    """Who asks is not told that work was interrupted which its job has gone on without."""
    runs, answers = anyio.Event(), []

    async def cancel(job):
        answers.append(await job.cancel())

    runner = JobRunner(lifecycle=lifecycle("l"), grace=0.02)
    async with anyio.create_task_group() as tasks, runner:
        job = await runner.submit(waits(anyio.Event()), runs, executor=deaf)
        await runs.wait()
        tasks.start_soon(cancel, job)
        await turns()
        await runner.aclose()
    assert (answers, job.status) == ([Cancellation.UNCONFIRMED], "REVOKED")


@pytest.mark.parametrize(
    ("grace", "limit", "cancelled_after"),
    [(0.03, 0.02, False), (0.03, 0.02, True), (0.01, 0.03, False)],
)
async def test_a_request_does_not_disarm_the_time_of_an_attempt(
    deaf, grace, limit, cancelled_after
):
    """An attempt whose own time is over is left behind, also where a user asked for it to stop."""
    async with JobRunner(lifecycle=lifecycle("l"), grace=grace) as runner:
        job = await runner.submit(anyio.sleep_forever, attempt_timeout=limit, executor=deaf)
        work = runner._dispatch.work_of(job)
        while work.running is None or (cancelled_after and work.running.stop is None):
            await turns(1)
        await job.cancel()
        outcome = await job.completed()
        assert (outcome.status, outcome.cause) == ("REVOKED", RevokeCause.USER)
        await runner.aclose()


async def test_a_job_that_others_have_started_is_theirs():
    """A job that somebody has started just before its turn came is not failed for that."""
    job = Job()
    await job.start()
    assert not await started(job)
    assert job.status == "STARTED"


async def test_a_start_that_is_cut_short_is_nobody_elses():
    """A job that others start while its own start is cut short runs no work for that."""
    slow, others_are, may_start = lifecycle("slow"), anyio.Event(), anyio.Event()

    @slow.before("start")
    async def wait(event):
        others_are.set()
        await may_start.wait()

    began = []

    async def work():
        began.append(True)

    async with anyio.create_task_group() as tasks, JobRunner(lifecycle=slow) as runner:
        job = await runner.submit(work, after_end=[first := Job()])
        tasks.start_soon(job.start)
        await others_are.wait()
        await first.fail("at last")
        await turns()
        tasks.start_soon(job.cancel)
        may_start.set()
        await job.reached("STARTED")
        await turns()
        assert began == []
        if job.status == "STARTED":
            await job.fail("by hand")


@pytest.mark.parametrize("closing", [False, True])
async def test_a_paused_job_that_gives_its_result_too_late_is_revoked(closing):
    """A paused job whose time is over, or whose runner closes, does not wait to be resumed."""
    ways = [
        ["pause", "STARTED", "PAUSED"],
        ["resume", "PAUSED", "STARTED"],
        ["revoke", "PAUSED", "REVOKED"],
    ]
    runs = anyio.Event()

    async def work():
        runs.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "a result"

    class Stops:
        """Takes what the work returns when it is cancelled for its result."""

        limit = None

        def check(self, function, args):
            """Take everything."""

        async def run(self, function, args, attempt):
            with anyio.CancelScope() as scope:
                attempt.when_stopped(scope.cancel)
                return await function(*args)

    pausing = lifecycle("pausing", states=["PAUSED"], transitions=ways)
    async with JobRunner(lifecycle=pausing) as runner:
        job = await runner.submit(work, executor=Stops())
        await runs.wait()
        await job.trigger("pause")
        if closing:
            await runner.aclose()
        else:
            runner._dispatch._overdue(runner._dispatch.work_of(job), 1.0)
            await job.completed()
    cause = RevokeCause.SHUTDOWN if closing else RevokeCause.TIMEOUT
    assert (job.status, job.outcome.cause) == ("REVOKED", cause)


async def test_an_internal_step_does_not_shorten_a_delay():
    """What keeps a job in RETRY keeps it waiting for its moment."""
    noted = lifecycle("noted", transitions=[["note", "RETRY", None]])

    async def fail():
        raise ValueError

    async with JobRunner(lifecycle=noted) as runner:
        job = await runner.submit(fail, retry=Retry(first_delay=3600))
        await job.reached("RETRY")
        await turns()
        due = runner._dispatch.work_of(job).due
        await job.trigger("note")
        await turns()
        assert job.status == "RETRY"
        assert runner._dispatch.work_of(job).due is due
        await runner.aclose()


async def test_closing_waits_for_work_of_jobs_that_others_ended():
    """Work that stops within its time of grace is waited for, though its job is final already."""
    stopped = []

    async def work():
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await turns()
            stopped.append(True)

    async with JobRunner() as runner:
        job = await runner.submit(work)
        await job.reached("STARTED")
        await turns()
        await job.revoke(cause=RevokeCause.ADMIN)
        await runner.aclose()
        assert stopped


async def test_closing_stops_the_work_of_abandoned_jobs():
    """A job that was abandoned has its work stopped when the runner closes."""
    async with JobRunner() as runner:
        job = await runner.submit(anyio.sleep_forever)
        await job.reached("STARTED")
        await turns()
        job.abandon("nobody knows")
        await runner.aclose()
    assert not runner._dispatch.attempts.running


async def test_jobs_submitted_while_others_are_waited_for_are_waited_for():
    """A block waits for jobs that come while it waits for what was left behind."""
    runs, may_end, jobs = anyio.Event(), anyio.Event(), []

    async def stubborn():
        with anyio.CancelScope(shield=True):
            runs.set()
            await may_end.wait()
            jobs.append(await runner.submit(turns))

    async def let_it_end():
        await turns()
        may_end.set()

    async with anyio.create_task_group() as tasks, JobRunner(grace=0) as runner:
        job = await runner.submit(stubborn)
        await runs.wait()
        await job.revoke(cause=RevokeCause.ADMIN)
        tasks.start_soon(let_it_end)
    assert (job.status, jobs[0].status) == ("REVOKED", "SUCCESS")


@pytest.mark.parametrize("stiff", [False, True])
async def test_closing_ends_paused_jobs_whose_work_is_done(stiff):
    """A paused job is revoked; one that cannot be, from there, is abandoned: nobody hangs."""
    ways = [["pause", "STARTED", "PAUSED"], ["resume", "PAUSED", "STARTED"]]
    if not stiff:
        ways += [["revoke", "PAUSED", "REVOKED"]]
    pausing, done = lifecycle("pausing", states=["PAUSED"], transitions=ways), anyio.Event()
    async with JobRunner(lifecycle=pausing) as runner:
        job = await runner.submit(done.wait)
        await job.reached("STARTED")
        await turns()
        await job.trigger("pause")
        done.set()
        await turns()
        await runner.aclose()
        if stiff:
            with pytest.raises(JobAbandoned):
                await job.completed()
        else:
            assert job.status == "REVOKED"


async def test_closing_that_is_cancelled_grants_no_time(deaf):
    """Who closes a runner and is cancelled returns at once, with all jobs ended."""
    async with JobRunner(grace=3600) as runner:
        job = await runner.submit(anyio.sleep_forever, executor=deaf)
        await job.reached("STARTED")
        with anyio.move_on_after(0.01) as scope:
            await runner.aclose()
        assert scope.cancelled_caught
        assert job.status == "REVOKED"


@pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("hook", ["start", "succeed", "retry", "revoke"])
async def test_tasks_that_are_cancelled_leave_no_job_half_way(hook, after):
    """Whoever cancels all tasks of asyncio closes the runner: each of its jobs ends."""
    slow, inside = lifecycle("slow"), anyio.Event()

    @slow.before(hook)
    @slow.after(hook)
    async def wait(event):
        if after is (event.transition is not None):
            inside.set()
        await turns()

    async def work():
        if hook == "retry":
            raise ValueError
        if hook == "revoke":
            await anyio.sleep_forever()

    async def block():
        async with JobRunner(lifecycle=slow, limit=1) as runner:
            jobs.append(await runner.submit(work, retry=AT_ONCE))
            jobs.append(await runner.submit(work, retry=AT_ONCE))
            if hook == "revoke":
                await runner.aclose()

    jobs = []
    me, before = asyncio.current_task(), asyncio.all_tasks()
    running = asyncio.create_task(block())
    await inside.wait()
    await turns(5)
    for task in asyncio.all_tasks() - before - {me}:
        task.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert all(job.outcome is not None for job in jobs)


@pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
async def test_a_task_that_is_cancelled_has_another_one_move_its_job():
    """What one task of asyncio could not do for a job is done, and the runner goes on."""
    cut, cancelled = lifecycle("cut"), []

    @cut.before("succeed")
    async def cancel(event):
        if event.job.id not in cancelled:
            cancelled.append(event.job.id)
            asyncio.current_task().cancel()
        await checkpoint()

    async with JobRunner(lifecycle=cut) as runner:
        first = await runner.submit(turns)
        await first.completed()
        second = await runner.submit(turns)
    assert (first.status, second.status) == ("SUCCESS", "SUCCESS")
    assert len(cancelled) == 2


@pytest.mark.parametrize("submits", [False, True])
def test_an_interrupt_of_the_dispatch_ends_the_block(submits):
    """Wherever a Ctrl-C hits it, all jobs end, and it comes out before all that came of it.

    On Trio alone: with asyncio, an interrupt that comes out of a task ends the loop.
    """

    async def main():
        runner = JobRunner()
        call_due = runner._dispatch._timers.call_due

        def interrupted():
            runner._dispatch._timers.call_due = call_due
            raise KeyboardInterrupt

        async with runner:
            job = await runner.submit(anyio.Event().wait)
            await job.reached("STARTED")
            runner._dispatch._timers.call_due = interrupted
            runner._dispatch.wake()
            assert (await job.completed()).cause is RevokeCause.SHUTDOWN
            if submits:
                await runner.submit(turns)

    with pytest.raises(KeyboardInterrupt) as caught:
        anyio.run(main, backend="trio")
    if submits:
        assert isinstance(caught.value.__cause__, BaseExceptionGroup)
        assert caught.value.__cause__.subgroup(RunnerClosed)
