"""Real work, run as jobs: what is started when, how it is stopped, and what becomes of each job."""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context, ContextVar
from functools import partial
from random import Random

import anyio
import pytest

from jobstate import (
    JOB_LIFECYCLE,
    BadArgument,
    Cancellation,
    Command,
    DependencyCycle,
    DuplicateJob,
    GuardRefused,
    ImpossibleDemand,
    InvalidJobId,
    Job,
    JobNotFound,
    JobRunner,
    JobStatus,
    Lifecycle,
    Retry,
    RevokeCause,
    RunnerClosed,
    UnknownTrigger,
    UnsuitableWork,
    all_completed,
    current_job,
)
from jobstate._loop import call_soon, home
from jobstate.executors import Tasks

pytestmark = pytest.mark.anyio

PENDING, STARTED, RETRY = JobStatus.PENDING, JobStatus.STARTED, JobStatus.RETRY
SUCCESS, FAILURE, REVOKED = JobStatus.SUCCESS, JobStatus.FAILURE, JobStatus.REVOKED
AT_ONCE = Retry(attempts=3, first_delay=0)


def cancellable(name="cancellable"):
    """Return a lifecycle whose started jobs can be cancelled."""
    return JOB_LIFECYCLE.derive(name, cancel_started=True)


def path(job):
    """Return the statuses that a job has entered."""
    return [step.dest for step in job.history]


async def double(number):
    return 2 * number


def half(number):
    return number / 2


async def for_ever():
    await anyio.Event().wait()


def failing(times, error=OSError, result="done"):
    """Return work that fails so many times before it works."""
    left = list(range(times))

    async def work():
        if left:
            raise error(f"{left.pop()} to go")
        return result

    return work


class Gate:
    """Work that waits until it is let through, and tells who is in it."""

    def __init__(self):
        self.inside, self.most, self.seen = 0, 0, []
        self.open = anyio.Event()

    async def __call__(self, name=""):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.seen.append(name)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1


class Deaf:
    """A plain function that does not listen to anybody, until it is let go."""

    def __init__(self):
        self.began, self.let_go = threading.Event(), threading.Event()

    def __call__(self):
        self.began.set()
        assert self.let_go.wait(60)
        return "at last"

    async def begun(self):
        await anyio.to_thread.run_sync(self.began.wait, 60)


@pytest.fixture
def deaf():
    work = Deaf()
    yield work
    work.let_go.set()


# --- what is run ----------------------------------------------------------------------------


async def test_an_async_function_is_run_as_a_task():
    """The job is PENDING when it is submitted, and its result is that of the function."""
    async with JobRunner() as runner:
        job = await runner.submit(double, 21)
        assert job.status is PENDING
        assert await job == 42
    assert path(job) == [STARTED, SUCCESS]
    assert job.name == "double"


async def test_a_plain_function_is_run_in_a_thread():
    """It does not hold up the event loop."""
    async with JobRunner() as runner:
        job = await runner.submit(threading.get_ident)
        assert await job != threading.get_ident()
        assert await (await runner.submit(half, 3)) == 1.5


async def test_partials_methods_and_callable_objects_are_run():
    """Whatever can be called can be submitted; what is async is awaited."""

    class Adder:
        def __init__(self, number):
            self.number = number

        async def __call__(self, other):
            return self.number + other

        async def add(self, other):
            return self.number + other

    async with JobRunner() as runner:
        jobs = [
            await runner.submit(partial(double, number=2)),
            await runner.submit(partial(half), 8),
            await runner.submit(Adder(1), 3),
            await runner.submit(Adder(2).add, 2),
        ]
        assert [outcome.result for outcome in await all_completed(jobs)] == [4, 4, 4, 4]
    assert [job.name for job in jobs][1] == "half"
    assert jobs[3].name.endswith("Adder.add")


async def test_a_job_has_what_it_is_given():
    """Id, name and info are the job's; its attempts are those of its retry policy."""
    async with JobRunner() as runner:
        job = await runner.submit(
            double, 1, id="one", name="the first", info={"for": "us"}, retry=Retry(attempts=7)
        )
        assert (job.id, job.name, dict(job.info)) == ("one", "the first", {"for": "us"})
        assert job.max_attempts == 7
        assert runner.jobs.get("one") is job
    assert (await runner.jobs.get("one").completed()).result == 2


async def test_work_sees_the_variables_of_whoever_submits_it():
    """Not those of whoever happens to end when it is started."""
    variable = ContextVar("variable", default="none")

    async def read():
        return variable.get()

    async with JobRunner(limit=1) as runner:
        jobs = []
        for word in ("a", "b", "c"):
            variable.set(word)
            jobs += [await runner.submit(read), await runner.submit(variable.get)]
        variable.set("other")
    assert [job.result for job in jobs] == ["a", "a", "b", "b", "c", "c"]


async def test_work_knows_its_job():
    """Its id, which attempt it is, and what is known about it."""

    async def work():
        me = current_job()
        me.report(30, info={"seen": 1})
        if me.attempt == 1:
            raise OSError
        return me.id, me.name, me.attempt, me.max_attempts, dict(me.info)

    async with JobRunner() as runner:
        job = await runner.submit(work, id="me", name="I", retry=AT_ONCE)
        assert await job == ("me", "I", 2, 3, {"seen": 1})


@pytest.mark.parametrize("kind", ["task", "thread"])
async def test_progress_is_told_from_wherever_the_work_runs(kind):
    """What the work reports is the job's progress, in the job's stream."""
    go_on = threading.Event()

    def plain():
        current_job().report(25)
        go_on.wait(60)

    async def coroutine():
        current_job().report(25)
        await anyio.to_thread.run_sync(go_on.wait, 60)

    async with JobRunner() as runner:
        job = await runner.submit(plain if kind == "thread" else coroutine)
        async with job.changes() as changes:
            seen = [getattr(await anext(changes), "progress", None) for _ in range(2)]
        assert seen == [None, 25]
        go_on.set()
    assert job.progress == 100


# --- errors ---------------------------------------------------------------------------------


async def test_an_exception_fails_the_job_and_keeps_its_traceback():
    """Its type, what it said, and where it was raised are there as text."""

    async def work():
        raise LookupError("not there")

    async with JobRunner() as runner:
        outcome = await (await runner.submit(work)).completed()
        job = runner.jobs.get(outcome.job_id)
    assert outcome.status is FAILURE
    assert (outcome.error_reason, outcome.error_message) == ("LookupError", "not there")
    assert 'raise LookupError("not there")' in job.history[-1].error.traceback


@pytest.mark.parametrize("where", ["task", "thread"])
async def test_work_that_exits_fails(where):
    """``sys.exit()`` in the work ends the work, and not the application."""

    def leave():
        raise SystemExit(3)

    async def leave_async():
        leave()

    async with JobRunner() as runner:
        job = await runner.submit(leave if where == "thread" else leave_async)
        outcome = await job.completed()
    assert (outcome.status, outcome.error_reason) == (FAILURE, "SystemExit")


async def test_results_that_have_yet_to_be_awaited_are_refused():
    """The error says what it was, and what to do; no attempt follows."""
    async with JobRunner() as runner:
        job = await runner.submit(lambda: double(1), retry=AT_ONCE)
        outcome = await job.completed()
    assert outcome.error_reason == "jobstate.UnsuitableResult"
    assert "a coroutine: nobody has awaited it" in outcome.error_message
    assert path(job) == [STARTED, FAILURE]


async def test_generators_are_no_results():
    """Neither a generator nor an asynchronous one."""

    def numbers():
        yield 1

    async def later():
        yield 1

    async with JobRunner() as runner:
        jobs = [await runner.submit(lambda: numbers()), await runner.submit(lambda: later())]
        outcomes = await all_completed(jobs)
    assert [outcome.status for outcome in outcomes] == [FAILURE, FAILURE]
    assert "iterated over it" in outcomes[0].error_message
    assert "an async_generator" in outcomes[1].error_message


async def test_work_that_raises_a_cancellation_by_itself_fails():
    """It is not taken for a stop, and ends nothing else (arq ends its workers so)."""

    async def work():
        raise anyio.get_cancelled_exc_class()

    if anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
        pytest.skip("Trio lets nobody make its Cancelled")
    async with JobRunner() as runner:
        job = await runner.submit(work, retry=AT_ONCE)
        outcome = await job.completed()
        assert await (await runner.submit(double, 1)) == 2
    assert (outcome.status, outcome.attempts) == (FAILURE, 1)


# --- retries --------------------------------------------------------------------------------


async def test_an_attempt_that_fails_is_followed_by_another():
    """Each error stands in the history, and the last result counts."""
    async with JobRunner() as runner:
        job = await runner.submit(failing(2), retry=AT_ONCE)
        assert await job == "done"
    assert path(job) == [STARTED, RETRY, STARTED, RETRY, STARTED, SUCCESS]
    assert [s.error.message for s in job.history if s.error] == ["1 to go", "0 to go"]


async def test_when_no_attempt_is_left_the_job_fails():
    """With the last error, and all earlier ones in the history."""
    async with JobRunner() as runner:
        job = await runner.submit(failing(9), retry=AT_ONCE)
        outcome = await job.completed()
    assert (outcome.status, outcome.attempts) == (FAILURE, 3)
    assert outcome.error_message == "6 to go"
    assert [s.error.message for s in job.history if s.error] == ["8 to go", "7 to go", "6 to go"]


async def test_without_a_policy_there_is_one_attempt():
    """A job that is not said to be retried is not."""
    async with JobRunner() as runner:
        job = await runner.submit(failing(1))
        await job.completed()
    assert path(job) == [STARTED, FAILURE]


async def test_errors_that_another_attempt_cannot_mend_fail_at_once():
    """The policy tells which are worth another one."""
    policy = Retry(attempts=3, first_delay=0, on=ConnectionError)
    async with JobRunner() as runner:
        lasting = await runner.submit(failing(2, ValueError), retry=policy)
        passing = await runner.submit(failing(2, ConnectionError), retry=policy)
        await all_completed([lasting, passing])
    assert path(lasting) == [STARTED, FAILURE]
    assert passing.status is SUCCESS


async def test_a_policy_that_raises_fails_the_job():
    """With what it raised."""

    def broken(error):
        raise RuntimeError("which errors?")

    async with JobRunner() as runner:
        job = await runner.submit(failing(1), retry=Retry(on=broken))
        outcome = await job.completed()
    assert outcome.error_message == "which errors?"


async def test_a_job_that_waits_for_its_next_attempt_says_when_that_is():
    """``retry_at`` is the moment it entered RETRY and the delay; before and after it is None."""
    policy = Retry(attempts=2, first_delay=1_000, max_delay=5_000, jitter=0)
    async with JobRunner() as runner:
        job = await runner.submit(failing(1), retry=policy)
        step = await job.reached(RETRY)
        assert (job.retry_at - step.at).total_seconds() == 1_000
        assert job.snapshot().retry_at == job.retry_at
        assert await job.cancel() is Cancellation.PREVENTED
        assert job.retry_at is None


async def test_a_callback_of_the_loop_may_move_what_runs():
    """Outside of any task, too, delays and the time of grace begin."""
    gate = Gate()
    async with JobRunner(lifecycle=cancellable()) as runner:
        first = await runner.submit(gate)
        second = await runner.submit(gate, retry=Retry(attempts=2))
        for job in (first, second):
            await job.reached(STARTED)
        for move in (
            partial(first.revoke_nowait, "enough"),
            partial(second.retry_nowait, "not now", delay=0.001),
        ):
            call_soon(home(), partial(Context().run, move))
        with anyio.fail_after(10):
            await first.completed()
            await second.reached(RETRY)
        gate.open.set()
    assert (path(first), path(second)) == ([STARTED, REVOKED], [STARTED, RETRY, STARTED, SUCCESS])


async def test_the_random_part_of_a_wait_is_drawn_from_the_runners_dice():
    """The same seed gives the same waits."""
    delays = []
    for _ in range(2):
        async with JobRunner(random=Random(7)) as runner:
            job = await runner.submit(failing(1), retry=Retry(first_delay=900, max_delay=1_000))
            delays.append((await job.reached(RETRY)).delay)
            await runner.aclose()
    assert delays[0] == delays[1] == 900 * (1 - 0.25 * Random(7).random())


# --- places, resources, priority ------------------------------------------------------------


async def test_no_more_run_than_the_limit():
    """The others are PENDING, and each starts when a place is free."""
    gate = Gate()
    async with JobRunner(limit=2) as runner:
        jobs = [await runner.submit(gate) for _ in range(5)]
        await all_reached(jobs[:2])
        assert [job.status for job in jobs] == [STARTED] * 2 + [PENDING] * 3
        gate.open.set()
    assert gate.most == 2
    assert {job.status for job in jobs} == {SUCCESS}


async def all_reached(jobs, status=STARTED):
    for job in jobs:
        await job.reached(status)


async def test_jobs_start_by_priority_and_then_by_arrival():
    """The higher goes first; equals go as they came."""
    gate = Gate()
    async with JobRunner(limit=1) as runner:
        first = await runner.submit(gate, "first")
        await first.reached(STARTED)
        for name, priority in (("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 0)):
            await runner.submit(gate, name, priority=priority)
        gate.open.set()
    assert gate.seen == ["first", "b", "d", "a", "e", "c"]


async def test_resources_are_waited_for_and_given_back():
    """Jobs take the units that they ask for; one that needs none passes."""
    gate = Gate()
    async with JobRunner(resources={"gpu": 2}) as runner:
        one = await runner.submit(gate, resources={"gpu": 1})
        both = await runner.submit(gate, resources={"gpu": 2})
        late = await runner.submit(gate, resources={"gpu": 1})
        none = await runner.submit(gate)
        await all_reached([one, none])
        assert [both.status, late.status] == [PENDING, PENDING]
        gate.open.set()
        await all_completed([one, both, late, none])
    assert both.history[0].timestamp <= late.history[0].timestamp


async def test_no_more_threads_run_than_there_are(deaf):
    """Plain functions that wait for a thread are PENDING."""
    async with JobRunner(threads=1) as runner:
        first, second = await runner.submit(deaf), await runner.submit(half, 2)
        await deaf.begun()
        assert (first.status, second.status) == (STARTED, PENDING)
        assert await (await runner.submit(double, 2)) == 4
        deaf.let_go.set()
    assert (first.result, second.result) == ("at last", 1)


async def test_a_place_is_given_back_however_an_attempt_ends():
    """Whether it fails, is revoked, times out, or its job cannot even start."""
    lifecycle = cancellable("refusing")

    @lifecycle.guard("start")
    def is_good(event):
        return event.job.name != "bad"

    async with JobRunner(limit=1, resources={"gpu": 1}, lifecycle=lifecycle, grace=0) as runner:
        submit = partial(runner.submit, resources={"gpu": 1})
        await (await submit(failing(1))).completed()
        await (await submit(for_ever, timeout=0.001)).completed()
        await (await submit(for_ever, attempt_timeout=0.001)).completed()
        assert (await (await submit(double, 1, name="bad")).completed()).status is FAILURE
        stopped = await submit(for_ever)
        await stopped.reached(STARTED)
        await stopped.cancel()
        revoked = await submit(for_ever)
        await revoked.reached(STARTED)
        await revoked.revoke("by an operator", cause=RevokeCause.ADMIN)
        assert await (await submit(double, 1)) == 2


@pytest.mark.parametrize(("asked", "there"), [({"gpu": 3}, 2), ({"tape": 1}, None)])
async def test_what_can_never_be_given_is_refused(asked, there):
    """A job that asks for more than there is would wait for ever."""
    async with JobRunner(resources={"gpu": 2}) as runner:
        with pytest.raises(ImpossibleDemand) as caught:
            await runner.submit(double, 1, resources=asked)
        assert caught.value.available == there
        assert len(runner.jobs) == 0


# --- dependencies ---------------------------------------------------------------------------


async def test_a_job_comes_after_others():
    """It is PENDING until they have succeeded; they are given as jobs or by their ids."""
    gate = Gate()
    async with JobRunner() as runner:
        first, second = await runner.submit(gate, "first"), await runner.submit(gate, "second")
        last = await runner.submit(gate, "last", after=[first, second.id])
        await all_reached([first, second])
        assert last.status is PENDING
        gate.open.set()
        assert (await last.completed()).status is SUCCESS
    assert gate.seen[-1] == "last"


async def test_what_has_succeeded_is_not_waited_for():
    """Nor is a job that was forgotten since, if it is given itself."""
    async with JobRunner(keep=0) as runner:
        first = await runner.submit(double, 1)
        await first
        assert first.id not in runner.jobs
        assert await (await runner.submit(double, 2, after=[first])) == 4


async def test_a_job_can_come_after_one_that_nobody_runs():
    """Any job will do, whoever moves it."""
    other = Job("by-hand")
    async with JobRunner() as runner:
        job = await runner.submit(double, 2, after=[other])
        await other.start()
        assert job.status is PENDING
        await other.succeed()
        assert await job == 4


async def test_a_failed_dependency_fails_its_dependents():
    """The error names it and its own error; so it goes along a chain."""
    async with JobRunner() as runner:
        first = await runner.submit(failing(1), id="first")
        second = await runner.submit(double, 1, id="second", after=[first])
        third = await runner.submit(double, 1, after=[second])
        outcome, last = await second.completed(), await third.completed()
    assert outcome.error_reason == last.error_reason == "jobstate.DependencyFailed"
    assert outcome.error_message == "job first, which it comes after, is FAILURE: OSError: 0 to go"
    assert last.error_message.startswith("job second, which it comes after, is FAILURE")
    assert path(second) == path(third) == [FAILURE]


async def test_a_job_that_comes_after_the_end_of_others_does_not_mind_how():
    """``after_end`` is for what is to be done in any case."""
    async with JobRunner() as runner:
        failed = await runner.submit(failing(1))
        revoked = await runner.submit(for_ever, timeout=0.001)
        job = await runner.submit(double, 2, after_end=[failed, revoked])
        assert await job == 4


async def test_where_both_are_asked_for_a_dependency_has_to_succeed():
    """``after`` asks for more than ``after_end``."""
    async with JobRunner() as runner:
        failed = await runner.submit(failing(1))
        job = await runner.submit(double, 2, after=[failed], after_end=[failed])
        assert (await job.completed()).error_reason == "jobstate.DependencyFailed"


async def test_a_dependency_that_failed_already_fails_the_job():
    """It is not submitted in vain: the job tells why."""
    async with JobRunner() as runner:
        failed = await runner.submit(failing(1))
        await failed.completed()
        late = await runner.submit(for_ever, timeout=0.01)
        job = await runner.submit(double, 2, after=[failed, late])
        assert (await job.completed()).error_reason == "jobstate.DependencyFailed"


async def test_a_dependency_that_is_abandoned_fails_the_job():
    """Nobody can tell any more how it will end."""
    other = Job("elsewhere")
    async with JobRunner() as runner:
        job = await runner.submit(double, 2, after_end=[other])
        other.abandon("its server has gone")
        assert "elsewhere" in (await job.completed()).error_message
    assert job.error_message.endswith("its server has gone")


async def test_unknown_dependencies_and_circles_are_refused():
    """No job is made."""
    async with JobRunner() as runner:
        known = await runner.submit(double, 1, id="known")
        with pytest.raises(JobNotFound, match="did you mean 'known'"):
            await runner.submit(double, 1, after=["knwon"])
        with pytest.raises(DependencyCycle, match="mine"):
            await runner.submit(double, 1, id="mine", after=["mine"])
        for wrong in ("known", known):
            with pytest.raises(UnsuitableWork, match="list"):
                await runner.submit(double, 1, after=wrong)
        assert list(runner.jobs) == [known]


async def test_nothing_is_left_with_a_dependency():
    """A job that is revoked while it waits for another one is not heard of there any more."""
    other = Job()
    async with JobRunner() as runner:
        job = await runner.submit(double, 1, after=[other])
        await job.revoke()
        assert other._at_end is None
    await other.fail("late")


# --- deadlines ------------------------------------------------------------------------------


async def test_the_deadline_of_a_job_revokes_it():
    """Its work is stopped, and the cause is TIMEOUT."""
    gate = Gate()
    async with JobRunner() as runner:
        outcome = await (await runner.submit(gate, timeout=0.01)).completed()
    assert (outcome.status, outcome.cause) == (REVOKED, RevokeCause.TIMEOUT)
    assert outcome.reason == "it took longer than 0.01 seconds"
    assert gate.inside == 0


async def test_the_deadline_of_a_job_counts_while_it_waits():
    """For a place, and for its next attempt."""
    async with JobRunner(limit=1) as runner:
        busy = await runner.submit(for_ever, timeout=0.05)
        pending = await runner.submit(double, 1, timeout=0.01)
        again = await runner.submit(
            failing(1), retry=Retry(first_delay=1_000), timeout=0.2, priority=1
        )
        outcomes = await all_completed([busy, pending, again])
    assert [outcome.cause for outcome in outcomes] == [RevokeCause.TIMEOUT] * 3
    assert path(pending) == [REVOKED]
    assert path(again) == [STARTED, RETRY, REVOKED]


async def test_an_attempt_that_takes_too_long_is_followed_by_another():
    """It fails as others do, also where the policy asks for other errors."""
    async with JobRunner() as runner:
        policy = Retry(attempts=2, first_delay=0, on=KeyError)
        job = await runner.submit(for_ever, attempt_timeout=0.01, retry=policy)
        outcome = await job.completed()
    assert path(job) == [STARTED, RETRY, STARTED, FAILURE]
    assert outcome.error_reason == "jobstate.AttemptTimedOut"
    assert outcome.error_message == "attempt 2 took longer than 0.01 seconds"


async def test_an_attempt_that_takes_too_long_fails_a_job_without_a_policy():
    """There is no other attempt."""
    async with JobRunner() as runner:
        job = await runner.submit(for_ever, attempt_timeout=0.01)
        await job.completed()
    assert path(job) == [STARTED, FAILURE]


async def test_work_that_is_done_in_time_is_not_disturbed():
    """No deadline is left when the job has ended."""
    async with JobRunner() as runner:
        job = await runner.submit(double, 1, timeout=1_000, attempt_timeout=1_000)
        assert await job == 2
        assert runner._dispatch._timers.next == float("inf")


async def test_a_thread_that_does_not_listen_is_left_behind_at_the_deadline(deaf):
    """The job is REVOKED when the time of grace is over; the block waits for the thread."""
    async with JobRunner(grace=0.01) as runner:
        job = await runner.submit(deaf, timeout=0.5)
        await deaf.begun()
        assert (await job.completed()).cause is RevokeCause.TIMEOUT
        assert runner._dispatch.attempts.running
        deaf.let_go.set()
    assert job.status is REVOKED


async def test_a_thread_that_is_left_behind_keeps_its_place(deaf):
    """The truth about places: the next attempt may go only where there is another one."""
    policy = Retry(attempts=2, first_delay=0)
    async with JobRunner(threads=1, grace=0.01) as runner:
        job = await runner.submit(deaf, attempt_timeout=0.5, retry=policy)
        await deaf.begun()
        step = await job.reached(RETRY)
        assert "still runs" in step.error.message
        await anyio.wait_all_tasks_blocked()
        assert job.status is RETRY
        deaf.let_go.set()
        assert await job == "at last"
    assert path(job) == [STARTED, RETRY, STARTED, SUCCESS]


# --- cancelling -----------------------------------------------------------------------------


async def test_a_job_that_waits_is_cancelled_at_once():
    """PENDING for a place or for another job, or waiting for its next attempt."""
    policy = Retry(first_delay=1_000, max_delay=1_000)
    async with JobRunner(limit=1) as runner:
        again = await runner.submit(failing(1), retry=policy)
        await again.reached(RETRY)
        gate = Gate()
        busy = await runner.submit(gate)
        await busy.reached(STARTED)
        pending = await runner.submit(double, 1)
        after = await runner.submit(double, 1, after=[busy])
        for job in (again, pending, after):
            assert await job.cancel("not needed") is Cancellation.PREVENTED
            assert (job.status, job.outcome.reason) == (REVOKED, "not needed")
        gate.open.set()
    assert busy.status is SUCCESS


async def test_a_started_job_is_not_cancelled_for_a_user():
    """As its lifecycle has it; nothing is asked of its work."""
    gate = Gate()
    async with JobRunner() as runner:
        job = await runner.submit(gate)
        await job.reached(STARTED)
        with pytest.raises(GuardRefused, match="can_revoke_started"):
            await job.cancel()
        gate.open.set()
        assert (await job.completed()).status is SUCCESS


async def test_a_started_job_is_interrupted_where_its_lifecycle_allows_it():
    """Its work has stopped when the answer comes, and the job is REVOKED."""
    gate = Gate()
    async with JobRunner(lifecycle=cancellable()) as runner:
        job = await runner.submit(gate)
        await job.reached(STARTED)
        assert await job.cancel("enough") is Cancellation.INTERRUPTED
        assert gate.inside == 0
    assert (job.status, job.outcome.cause) == (REVOKED, RevokeCause.USER)
    assert job.outcome.reason == "enough"


async def test_a_thread_that_listens_is_interrupted():
    """By asking ``current_job().check()`` now and then."""
    asked, go_on = threading.Event(), threading.Event()

    def work():
        asked.set()
        go_on.wait(60)
        current_job().check()

    async with JobRunner(lifecycle=cancellable()) as runner:
        job = await runner.submit(work)
        await anyio.to_thread.run_sync(asked.wait, 60)
        async with anyio.create_task_group() as tasks:

            async def cancel():
                assert await job.cancel("enough") is Cancellation.INTERRUPTED

            tasks.start_soon(cancel)
            await anyio.wait_all_tasks_blocked()
            assert job.status is STARTED  # it has been asked, and still runs
            go_on.set()
    assert job.status is REVOKED


async def test_a_thread_that_does_not_listen_goes_on(deaf):
    """The answer is UNCONFIRMED; the job tells the truth, and so does its end."""
    async with JobRunner(lifecycle=cancellable(), grace=0.01) as runner:
        job = await runner.submit(deaf)
        await deaf.begun()
        assert await job.cancel() is Cancellation.UNCONFIRMED
        assert job.status is STARTED
        assert await job.cancel() is Cancellation.UNCONFIRMED
        deaf.let_go.set()
        assert await job == "at last"
        assert await job.cancel() is Cancellation.TOO_LATE


async def test_work_that_finishes_first_was_not_interrupted():
    """Its result counts: it is too late."""

    async def stubborn():
        try:
            await for_ever()
        except BaseException:
            current_job().report(99)
        return "all the same"

    async with JobRunner(lifecycle=cancellable()) as runner:
        job = await runner.submit(stubborn)
        await job.reached(STARTED)
        await anyio.wait_all_tasks_blocked()
        answer = await job.cancel()
    if job.status is SUCCESS:  # where the scope did not deliver its cancellation once more
        assert answer is Cancellation.TOO_LATE
    else:
        assert answer is Cancellation.INTERRUPTED


async def test_several_may_cancel_one_job():
    """All hear what came of it; the first gives the reason."""
    async with JobRunner(lifecycle=cancellable()) as runner:
        job = await runner.submit(for_ever)
        await job.reached(STARTED)
        answers = []

        async def cancel(reason):
            answers.append(await job.cancel(reason))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel, "a")
            tasks.start_soon(cancel, "b")
    assert answers == [Cancellation.INTERRUPTED] * 2
    assert job.outcome.reason in ("a", "b")


async def test_giving_up_to_wait_for_the_answer_takes_nothing_back(deaf):
    """The work is asked all the same."""
    async with JobRunner(lifecycle=cancellable(), grace=60) as runner:
        job = await runner.submit(deaf)
        await deaf.begun()
        with anyio.move_on_after(0.01):
            await job.cancel("enough")
        assert job.status is STARTED
        running = next(iter(runner._dispatch.attempts.running))
        assert running.attempt.stop_reason == "enough"
        deaf.let_go.set()


async def test_work_may_cancel_itself():
    """It is stopped where it waits next."""
    async with JobRunner(lifecycle=cancellable()) as runner:

        async def work():
            await runner.jobs.get(current_job().id).cancel("of my own will")

        job = await runner.submit(work)
        assert (await job.completed()).status is REVOKED


async def test_a_stopped_attempt_is_not_followed_by_another():
    """Whatever it raises as it is stopped."""

    async def work():
        try:
            await for_ever()
        finally:
            raise OSError("while stopping")

    async with JobRunner(lifecycle=cancellable()) as runner:
        job = await runner.submit(work, retry=AT_ONCE)
        await job.reached(STARTED)
        await anyio.wait_all_tasks_blocked()
        assert await job.cancel() is Cancellation.INTERRUPTED


async def test_an_ended_job_of_a_runner_cannot_be_cancelled():
    """The answer is that it is too late."""
    async with JobRunner() as runner:
        job = await runner.submit(double, 1)
        await job
        assert await job.cancel() is Cancellation.TOO_LATE


# --- moved by somebody else -----------------------------------------------------------------


@pytest.mark.parametrize("trigger", ["fail", "revoke", "succeed"])
async def test_a_job_that_others_end_stops_its_work(trigger):
    """What the work would have come to does not count."""
    gate = Gate()
    arguments = {"fail": ["broken"], "revoke": [""], "succeed": ["by hand"]}
    options = {"revoke": {"cause": RevokeCause.ADMIN}}
    async with JobRunner() as runner:
        job = await runner.submit(gate)
        await job.reached(STARTED)
        await anyio.wait_all_tasks_blocked()
        await job.trigger(trigger, *arguments[trigger], **options.get(trigger, {}))
    assert gate.inside == 0
    assert len(job.history) == 2


async def test_a_job_that_others_put_back_in_line_runs_again():
    """First its attempt is stopped."""
    gate = Gate()
    async with JobRunner(limit=1) as runner:
        job = await runner.submit(gate)
        await job.reached(STARTED)
        await job.requeue()
        await job.reached(STARTED, after=2)
        await anyio.wait_all_tasks_blocked()
        assert gate.inside == 1
        gate.open.set()
    assert path(job) == [STARTED, PENDING, STARTED, SUCCESS]
    assert gate.most == 1


async def test_a_job_that_others_have_retried_waits_its_delay():
    """Whoever calls ``retry`` says when the next attempt is due."""
    gate = Gate()
    async with JobRunner() as runner:
        job = await runner.submit(gate, retry=Retry(attempts=5))
        await job.reached(STARTED)
        await job.retry("try later", delay=0.01)
        await job.reached(STARTED, after=2)
        await anyio.wait_all_tasks_blocked()
        assert gate.most == 1
        gate.open.set()


async def test_a_pending_job_that_others_start_is_theirs():
    """The runner leaves it alone until it is PENDING again."""
    gate = Gate()
    async with JobRunner(limit=1) as runner:
        busy = await runner.submit(gate, "busy")
        await busy.reached(STARTED)
        job = await runner.submit(gate, "mine")
        await job.start()
        gate.open.set()
        await busy.completed()
        await anyio.wait_all_tasks_blocked()
        assert gate.seen == ["busy"]
        await job.requeue()
        assert (await job.completed()).status is SUCCESS
    assert gate.seen == ["busy", "mine"]


async def test_a_job_that_is_abandoned_is_not_waited_for():
    """The block can be left."""
    async with JobRunner() as runner:
        job = await runner.submit(double, 1, after=[Job()])
        job.abandon("nobody knows")
    assert job.status is PENDING


# --- lifecycles -----------------------------------------------------------------------------


async def test_a_guard_that_refuses_the_start_fails_the_job():
    """What a job waits for is said by ``after`` and ``resources``; a refusal is for ever."""
    lifecycle = JOB_LIFECYCLE.derive("guarded")
    lifecycle.guard("start")(lambda event: False)
    async with JobRunner(lifecycle=lifecycle) as runner:
        outcome = await (await runner.submit(double, 1)).completed()
    assert (outcome.status, outcome.error_reason) == (FAILURE, "jobstate.GuardRefused")


async def test_a_guard_that_refuses_the_result_fails_the_job():
    """With the guard's name."""
    lifecycle = JOB_LIFECYCLE.derive("guarded")

    @lifecycle.guard("succeed")
    def is_large(event):
        return event.args[0] > 100

    async with JobRunner(lifecycle=lifecycle) as runner:
        outcome = await (await runner.submit(double, 1)).completed()
        assert await (await runner.submit(double, 99)) == 198
    assert "is_large" in outcome.error_message


async def test_hooks_that_fail_after_the_commit_do_not_stop_the_work():
    """Observers are told of them; the job goes its way."""
    lifecycle = JOB_LIFECYCLE.derive("broken")

    @lifecycle.after("*")
    async def broken(event):
        raise RuntimeError(event.trigger)

    async with JobRunner(lifecycle=lifecycle) as runner:
        job = await runner.submit(failing(1), retry=AT_ONCE)
        assert await job == "done"
        revoked = await runner.submit(for_ever, timeout=0.01)
        assert (await revoked.completed()).status is REVOKED


async def test_a_job_that_cannot_even_fail_is_abandoned():
    """Whoever waits hears of it, and the block can be left."""
    lifecycle = JOB_LIFECYCLE.derive("stuck")
    for trigger in ("succeed", "fail"):
        lifecycle.guard(trigger)(lambda event: False)
    async with JobRunner(lifecycle=lifecycle) as runner:
        job = await runner.submit(double, 1)
        with pytest.raises(Exception, match="its runner cannot move it"):
            await job.completed()


def paused():
    """Return a lifecycle with a pause in it."""
    return Lifecycle(
        "paused",
        states=[*map(str, JobStatus), "PAUSED"],
        initial="PENDING",
        final=["SUCCESS", "FAILURE", "REVOKED"],
        transitions=[
            ["start", ["PENDING", "RETRY"], "STARTED"],
            ["pause", "STARTED", "PAUSED"],
            ["resume", "PAUSED", "STARTED"],
            ["succeed", "STARTED", "SUCCESS"],
            ["fail", ["PENDING", "STARTED", "RETRY"], "FAILURE"],
            ["retry", "STARTED", "RETRY"],
            ["revoke", ["PENDING", "STARTED", "RETRY", "PAUSED"], "REVOKED"],
        ],
    )


async def test_the_end_of_a_paused_job_waits_until_it_goes_on():
    """The work may go on in a pause, but the job cannot end in one."""
    gate = Gate()
    async with JobRunner(lifecycle=paused()) as runner:
        job = await runner.submit(gate)
        await job.reached("STARTED")
        await job.trigger("pause")
        gate.open.set()
        await anyio.wait_all_tasks_blocked()
        assert job.status == "PAUSED"
        await job.trigger("resume")
        await job.completed()
    assert path(job) == ["STARTED", "PAUSED", "STARTED", "SUCCESS"]


async def test_a_paused_job_is_revoked_when_the_runner_closes():
    """Its work may have ended meanwhile, or not."""
    gate = Gate()
    async with JobRunner(lifecycle=paused()) as runner:
        jobs = [await runner.submit(gate), await runner.submit(for_ever)]
        await all_reached(jobs, "STARTED")
        for job in jobs:
            await job.trigger("pause")
        gate.open.set()
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(60):
            await runner.aclose()
    assert [job.status for job in jobs] == ["REVOKED", "REVOKED"]


@pytest.mark.parametrize("missing", ["start", "succeed", "fail", "revoke"])
async def test_a_lifecycle_that_jobs_cannot_run_in_is_refused(missing):
    """The error names the trigger that it lacks."""
    steps = [
        ["begin" if missing == "start" else "start", "PENDING", "STARTED"],
        ["finish" if missing == "succeed" else "succeed", "STARTED", "SUCCESS"],
        ["break" if missing == "fail" else "fail", ["PENDING", "STARTED"], "FAILURE"],
        ["drop" if missing == "revoke" else "revoke", ["PENDING", "STARTED"], "REVOKED"],
    ]
    states = ["PENDING", "STARTED", "SUCCESS", "FAILURE", "REVOKED"]
    lifecycle = Lifecycle(
        "odd", states=states, initial="PENDING", final=states[2:], transitions=steps
    )
    with pytest.raises(UnknownTrigger, match=missing):
        JobRunner(lifecycle=lifecycle)


async def test_a_policy_needs_a_lifecycle_with_retries():
    """It is refused when a job with one is submitted."""
    states = ["PENDING", "STARTED", "SUCCESS", "FAILURE", "REVOKED"]
    steps = [
        ["start", "PENDING", "STARTED"],
        ["succeed", "STARTED", "SUCCESS"],
        ["fail", ["PENDING", "STARTED"], "FAILURE"],
        ["revoke", ["PENDING", "STARTED"], "REVOKED"],
    ]
    lifecycle = Lifecycle(
        "once", states=states, initial="PENDING", final=states[2:], transitions=steps
    )
    async with JobRunner(lifecycle=lifecycle) as runner:
        with pytest.raises(UnknownTrigger, match="retry"):
            await runner.submit(double, 1, retry=AT_ONCE)
        assert (await (await runner.submit(double, 1)).completed()).result == 2


async def test_a_lifecycle_that_begins_elsewhere_is_refused():
    """A job that is not PENDING when it is made would never be started."""
    lifecycle = Lifecycle(
        "elsewhere",
        states=["DRAFT", "STARTED", "SUCCESS", "FAILURE", "REVOKED"],
        initial="DRAFT",
        final=["SUCCESS", "FAILURE", "REVOKED"],
        means={"DRAFT": RETRY},
        transitions=[
            ["start", "DRAFT", "STARTED"],
            ["succeed", "STARTED", "SUCCESS"],
            ["fail", ["DRAFT", "STARTED"], "FAILURE"],
            ["revoke", ["DRAFT", "STARTED"], "REVOKED"],
        ],
    )
    async with JobRunner(lifecycle=lifecycle) as runner:
        with pytest.raises(UnsuitableWork, match="DRAFT"):
            await runner.submit(double, 1)
        assert len(runner.jobs) == 0


# --- the block ------------------------------------------------------------------------------


async def test_leaving_the_block_waits_for_all_work():
    """Also for what is retried, and for what waits for other jobs."""
    async with JobRunner(limit=1) as runner:
        again = await runner.submit(failing(2), retry=Retry(first_delay=0.01))
        after = await runner.submit(double, 2, after=[again])
    assert (again.status, after.status) == (SUCCESS, SUCCESS)


async def test_work_may_submit_more_work_while_the_block_is_left():
    """It is done as well."""
    async with JobRunner() as runner:

        async def parent():
            await anyio.wait_all_tasks_blocked()
            return (await runner.submit(double, 4)).id

        job = await runner.submit(parent)
    assert runner.jobs.get(job.result).result == 8


async def test_an_exception_in_the_block_stops_all_work():
    """What runs is stopped, what waits is revoked, and every waiter is told."""
    gate, outcomes = Gate(), []

    async def wait_for(job):
        outcomes.append(await job.completed())

    async with anyio.create_task_group() as tasks:
        with pytest.raises(KeyError, match="in the block"):
            async with JobRunner(limit=1) as runner:
                jobs = [await runner.submit(gate), await runner.submit(double, 1)]
                jobs += [await runner.submit(double, 1, after=[jobs[0]])]
                for job in jobs:
                    tasks.start_soon(wait_for, job)
                await jobs[0].reached(STARTED)
                raise KeyError("in the block")
    assert [job.status for job in jobs] == [REVOKED] * 3
    assert {outcome.cause for outcome in outcomes} == {RevokeCause.SHUTDOWN}
    assert len(outcomes) == 3
    assert gate.inside == 0


async def test_cancelling_the_block_stops_all_work():
    """The cancellation goes on when that is done."""
    gate = Gate()
    with anyio.CancelScope() as scope:
        async with JobRunner() as runner:
            job = await runner.submit(gate)
            await job.reached(STARTED)
            scope.cancel()
    assert scope.cancelled_caught
    assert (job.status, job.outcome.cause) == (REVOKED, RevokeCause.SHUTDOWN)
    assert gate.inside == 0


async def test_cancelling_whoever_waits_to_leave_the_block_stops_all_work():
    """The same where the body has come to its end."""
    gate = Gate()
    with anyio.move_on_after(0.01) as scope:
        async with JobRunner() as runner:
            job = await runner.submit(gate)
    assert scope.cancelled_caught
    assert job.outcome.cause is RevokeCause.SHUTDOWN
    assert gate.inside == 0


async def test_work_has_its_time_of_grace_when_the_block_is_cancelled(deaf):
    """A cancellation from outside does not reach the work before the runner's does."""
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with JobRunner(grace=60) as runner:
                job = await runner.submit(deaf)
                await deaf.begun()

                async def let_go():
                    await anyio.wait_all_tasks_blocked()
                    assert job.status is STARTED
                    deaf.let_go.set()

                tasks.start_soon(let_go)
                scope.cancel()
    assert (job.status, job.result) == (SUCCESS, "at last")


async def test_an_open_runner_can_be_closed():
    """From inside of the block; then it takes no more work."""
    gate = Gate()
    async with JobRunner(limit=1) as runner:
        running, waiting = await runner.submit(gate), await runner.submit(gate)
        await running.reached(STARTED)
        await runner.aclose("enough for today")
        assert running.outcome.reason == waiting.outcome.reason == "enough for today"
        with pytest.raises(RunnerClosed, match="closing"):
            await runner.submit(double, 1)
        await runner.aclose()
    assert gate.inside == 0


async def test_a_job_that_is_retried_while_the_runner_closes_is_revoked():
    """It does not come back."""
    lifecycle = JOB_LIFECYCLE.derive("slow")
    entered, go_on = anyio.Event(), anyio.Event()

    @lifecycle.after("retry")
    async def slow(event):
        entered.set()
        await go_on.wait()

    async with JobRunner(lifecycle=lifecycle) as runner:
        job = await runner.submit(failing(1), retry=AT_ONCE)
        await entered.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.aclose)
            await anyio.wait_all_tasks_blocked()
            go_on.set()
    assert path(job) == [STARTED, RETRY, REVOKED]


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_what_leaves_the_block_comes_out_as_it_is(depth):
    """Also a group, which is the work of whoever raised it."""
    error: Exception = ValueError("in the block")
    for level in range(depth):
        error = ExceptionGroup(f"level {level}", [error])
    with pytest.raises(type(error)) as caught:
        async with JobRunner():
            raise error
    assert repr(caught.value) == repr(error)  # Trio makes another group of the same


async def test_an_interrupt_in_the_middle_of_closing_keeps_nobody_from_being_stopped():
    """As a second Ctrl-C may: whoever had not been asked to stop yet, is."""

    class Interrupt(BaseException):
        pass

    def interrupt():
        raise Interrupt

    class Interrupted(Tasks):
        async def run(self, function, args, attempt):
            attempt.when_stopped(interrupt)
            return await function(*args)

    with pytest.raises(Interrupt):
        async with JobRunner(grace=60) as runner:
            first = await runner.submit(for_ever, executor=Interrupted())
            others = [await runner.submit(for_ever) for _ in range(3)]
            for job in (first, *others):
                await job.reached(STARTED)
            others.append(await runner.submit(double, 1, after=others))
            raise ValueError
    assert {job.status for job in (first, *others)} == {REVOKED}


async def test_whoever_gives_up_to_close_grants_nobody_more_time(deaf):
    """Threads that do not listen are left to themselves at once, and all jobs have ended."""
    async with JobRunner(grace=10_000) as runner:
        job = await runner.submit(deaf)
        await deaf.begun()
        with anyio.move_on_after(0.01) as scope:
            await runner.aclose()
        assert scope.cancelled_caught
        assert (job.status, job.outcome.cause) == (REVOKED, RevokeCause.SHUTDOWN)


# --- misuse ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"lifecycle": "job"}, "lifecycle"),
        ({"limit": 0}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"limit": True}, "limit"),
        ({"grace": -1}, "grace"),
        ({"grace": "long"}, "grace"),
        ({"grace": float("nan")}, "grace"),
        ({"resources": ["gpu"]}, "resources"),
        ({"resources": {"gpu": 1.5}}, "resources"),
        ({"resources": {"gpu": -1}}, "resources"),
        ({"resources": {1: 1}}, "resources"),
        ({"threads": 0}, "limit"),
        ({"processes": 0}, "limit"),
        ({"keep": -1}, "keep"),
        ({"keep_for": -1}, "keep_for"),
    ],
)
async def test_a_runner_that_makes_no_sense_is_refused(options, wrong):
    """The error names the option and what was given."""
    with pytest.raises((TypeError, ValueError), match=wrong) as caught:
        JobRunner(**options)
    assert repr(next(iter(options.values()))) in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": "60"},
        {"attempt_timeout": -1},
        {"attempt_timeout": True},
        {"priority": 1.5},
        {"priority": None},
        {"retry": 3},
    ],
)
async def test_options_that_make_no_sense_are_refused(options):
    """The error names the option, what was given, and what is possible; no job is made."""
    (name, given), *_ = options.items()
    async with JobRunner() as runner:
        with pytest.raises(UnsuitableWork) as caught:
            await runner.submit(double, 1, **options)
        assert f"{name}={given!r}" in str(caught.value)
        assert len(runner.jobs) == 0


async def test_jobs_that_cannot_be_made_are_not_taken():
    """A bad id, an id that is there, a name or info of the wrong kind."""
    async with JobRunner() as runner:
        await runner.submit(double, 1, id="mine")
        for error, options in (
            (InvalidJobId, {"id": "not an id"}),
            (DuplicateJob, {"id": "mine"}),
            (BadArgument, {"name": 7}),
            (BadArgument, {"info": ["a"]}),
        ):
            with pytest.raises(error):
                await runner.submit(double, 1, **options)
        assert len(runner.jobs) == 1


@pytest.mark.parametrize("wrong", [7, "ls -l", None, ["ls", "-l"]])
async def test_what_is_no_work_is_refused(wrong):
    """The error says how a command is given."""
    async with JobRunner() as runner:
        with pytest.raises(UnsuitableWork, match="Command"):
            await runner.submit(wrong)


async def test_a_coroutine_is_no_work():
    """It could be run once only; the function is what can be tried again."""
    async with JobRunner() as runner:
        with pytest.raises(UnsuitableWork, match="submit the async function itself"):
            await runner.submit(double(1))


async def test_a_runner_is_used_inside_of_its_block():
    """Before and after, it takes nothing; the error says which."""
    runner = JobRunner()
    with pytest.raises(RunnerClosed, match="has not been entered"):
        await runner.submit(double, 1)
    async with runner:
        with pytest.raises(RunnerClosed, match="again: the runner is open"):
            await runner.__aenter__()
    with pytest.raises(RunnerClosed, match="was left"):
        await runner.submit(double, 1)
    with pytest.raises(RunnerClosed, match="again: the runner was left"):
        await runner.__aenter__()


async def test_a_runner_belongs_to_its_event_loop():
    """Another thread is told the safe way, and that way works."""
    async with JobRunner() as runner:

        def elsewhere():
            with pytest.raises(UnsuitableWork, match=r"anyio\.from_thread\.run"):
                anyio.run(runner.submit, double, 1)
            return anyio.from_thread.run(runner.submit, double, 4)

        job = await anyio.to_thread.run_sync(elsewhere)
        assert await job == 8


# --- many -----------------------------------------------------------------------------------


async def test_ten_thousand_jobs_wait_without_a_task():
    """They start in their order, by priority and then by arrival."""
    order = []

    async def work(number):
        order.append(number)

    async with JobRunner(limit=1) as runner:
        gate = Gate()
        await (await runner.submit(gate)).reached(STARTED)
        tasks = len(asyncio.all_tasks()) if _asyncio() else 0
        for number in range(10_000):
            await runner.submit(work, number, priority=number % 3)
        if _asyncio():
            assert len(asyncio.all_tasks()) == tasks
        gate.open.set()
    assert order == sorted(range(10_000), key=lambda number: (-(number % 3), number))


async def test_one_timer_serves_all_delays():
    """However many jobs wait for their next attempt, or have a deadline."""
    if not _asyncio():
        pytest.skip("it is asyncio whose timers can be counted")
    loop = asyncio.get_running_loop()
    if not hasattr(loop, "_scheduled"):
        pytest.skip("uvloop does not show its timers")
    policy = Retry(first_delay=1_000, max_delay=9_000)
    async with JobRunner() as runner:
        jobs = [
            await runner.submit(failing(1), retry=policy, timeout=5_000 + n) for n in range(100)
        ]
        await all_reached(jobs, RETRY)
        await anyio.wait_all_tasks_blocked()
        assert sum(not timer.cancelled() for timer in loop._scheduled) == 1
        await runner.aclose()


def _asyncio():
    return anyio.get_cancelled_exc_class() is asyncio.CancelledError


# --- what others keep waiting ---------------------------------------------------------------


def waiting_guard(trigger):
    """Return a lifecycle with a guard that never answers."""
    lifecycle = JOB_LIFECYCLE.derive("waiting", cancel_started=True)

    @lifecycle.guard(trigger)
    async def never(event):
        await for_ever()

    return lifecycle


async def test_a_deadline_does_not_wait_for_the_start():
    """A guard that waits before the start is cut short: the job is as it was, and is revoked."""
    async with JobRunner(lifecycle=waiting_guard("start")) as runner:
        job = await runner.submit(double, 1, timeout=0.01)
        assert (await job.completed()).cause is RevokeCause.TIMEOUT
    assert path(job) == [REVOKED]


async def test_cancelling_does_not_wait_for_the_start():
    """Nothing runs yet: it is prevented."""
    async with JobRunner(lifecycle=waiting_guard("start")) as runner:
        job = await runner.submit(double, 1)
        await anyio.wait_all_tasks_blocked()
        assert await job.cancel("enough") is Cancellation.PREVENTED
    assert path(job) == [REVOKED]


async def test_closing_does_not_wait_for_the_start():
    """Nor for one who asked to cancel meanwhile."""
    async with JobRunner(lifecycle=waiting_guard("start")) as runner:
        job = await runner.submit(double, 1)
        await anyio.wait_all_tasks_blocked()
        await runner.aclose()
    assert path(job) == [REVOKED]


async def test_closing_grants_what_keeps_a_job_from_ending_its_time_of_grace():
    """A guard of the end is cut short after that."""
    async with JobRunner(lifecycle=waiting_guard("succeed"), grace=0.01) as runner:
        job = await runner.submit(double, 1)
        await job.reached(STARTED)
        await anyio.wait_all_tasks_blocked()
        await runner.aclose()
    assert path(job) == [STARTED, REVOKED]


async def test_hooks_that_fail_keep_no_job_from_being_revoked():
    """What waits is revoked at once when the runner closes; observers hear of the hook."""
    lifecycle = JOB_LIFECYCLE.derive("broken")

    @lifecycle.after("revoke")
    def broken(event):
        raise RuntimeError

    async with JobRunner(lifecycle=lifecycle) as runner:
        job = await runner.submit(double, 1, after=[Job()])
        await runner.aclose()
    assert path(job) == [REVOKED]


async def test_a_start_that_is_cut_short_after_the_commit_has_begun_an_attempt():
    """Its hooks run to their end; then the attempt is stopped before its work begins."""
    lifecycle, go_on, ran = cancellable("slow"), anyio.Event(), []
    lifecycle.after("start")(lambda event: go_on.wait())
    async with JobRunner(lifecycle=lifecycle) as runner:
        job = await runner.submit(lambda: ran.append(1))
        await job.reached(STARTED)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.aclose)
            await anyio.wait_all_tasks_blocked()
            assert job.status is STARTED
            go_on.set()
    assert path(job) == [STARTED, REVOKED]
    assert ran == []


async def test_a_job_that_is_not_to_be_cancelled_is_started_all_the_same():
    """A guard that keeps it from being revoked has it go on in line."""
    lifecycle, go_on = JOB_LIFECYCLE.derive("kept"), anyio.Event()
    lifecycle.guard("revoke")(lambda event: False)
    async with JobRunner(lifecycle=lifecycle, limit=1) as runner:
        busy = await runner.submit(go_on.wait)
        job = await runner.submit(double, 1)
        with pytest.raises(GuardRefused):
            await job.cancel()
        go_on.set()
        assert await job == 2
    assert busy.status is SUCCESS


async def test_a_job_that_was_put_back_in_line_is_cancelled_at_once(deaf):
    """Whether its old attempt has stopped or not; it does not run again."""
    async with JobRunner(lifecycle=cancellable(), grace=60) as runner:
        job = await runner.submit(deaf)
        await deaf.begun()
        await job.requeue()
        assert await job.cancel() is Cancellation.PREVENTED
        deaf.let_go.set()
    assert path(job) == [STARTED, PENDING, REVOKED]


async def test_the_error_of_a_long_chain_does_not_grow():
    """Each job names the one that it comes after; that one tells of the next."""
    async with JobRunner() as runner:
        job = await runner.submit(failing(1), id="job-0")
        for number in range(1, 50):
            job = await runner.submit(double, 1, id=f"job-{number}", after=[job])
        outcome = await job.completed()
    assert outcome.error_message == "job job-48, which it comes after, is FAILURE"


async def test_closing_a_runner_ends_the_stream_of_its_jobs():
    """A reader inside of the block is told."""
    async with JobRunner() as runner, anyio.create_task_group() as tasks:
        seen = []

        async def read():
            async with runner.jobs.changes(past=True) as changes:
                seen.extend([change.dest async for change in changes])

        job = await runner.submit(double, 1)
        tasks.start_soon(read)
        await job
        await runner.aclose()
    assert seen == [STARTED, SUCCESS]


async def test_what_a_command_said_is_known_however_it_ended():
    """Its last output, and the signal that has ended it, stand on the job and in its outcome."""
    talk = Command("sh", "-c", "echo important; sleep 60")
    async with JobRunner(lifecycle=cancellable()) as runner:
        late = await runner.submit(talk, attempt_timeout=1)
        over = await runner.submit(talk, timeout=1)
        outcomes = await all_completed([late, over])
    for outcome in outcomes:
        assert outcome.extras == {
            "exit_code": None,
            "signal": "SIGTERM",
            "output": "important\n",
        }
    assert [outcome.status for outcome in outcomes] == [FAILURE, REVOKED]


async def test_figures_that_are_no_progress_end_no_command():
    """They are left out."""
    figures = Command("printf", "100.4\nnan\n40\n", progress=float)
    async with JobRunner() as runner:
        job = await runner.submit(figures)
        assert (await job).output == "100.4\nnan\n40\n"


async def test_the_works_own_error_is_told_beside_what_kept_the_job_from_failing():
    """In the traceback, as Python tells of two errors."""

    def broken(error):
        raise RuntimeError("which errors?")

    async with JobRunner() as runner:
        job = await runner.submit(failing(1), retry=Retry(on=broken))
        await job.completed()
    assert "OSError: 0 to go" in job.history[-1].error.traceback


@pytest.mark.parametrize("limit", [0, 1.5, "many"])
async def test_an_executor_that_could_run_nothing_is_refused(limit):
    """Before a job is made."""

    class Mine:
        check = run = aclose = None

    mine = Mine()
    mine.check = mine.run = mine.aclose = print
    async with JobRunner() as runner:
        for _ in range(2):  # without a limit, and with a wrong one
            with pytest.raises(UnsuitableWork, match="limit"):
                await runner.submit(double, 1, executor=mine)
            mine.limit = limit
        assert len(runner.jobs) == 0


async def test_an_interrupt_in_some_work_grants_the_others_no_time(deaf):
    """It comes out of the block at once; threads that do not listen are left to themselves."""

    class Interrupt(BaseException):
        pass

    async def interrupt():
        raise Interrupt

    with pytest.raises(Interrupt):
        async with JobRunner(grace=10_000) as runner:
            job = await runner.submit(deaf)
            await deaf.begun()
            await runner.submit(interrupt)
            await for_ever()
    assert job.outcome.cause is RevokeCause.SHUTDOWN
