"""Jobs for people without an event loop: what they see, wait for and stop; how the block ends."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial

import anyio
import pytest

from jobstate import (
    JOB_LIFECYCLE,
    BadArgument,
    Cancellation,
    Command,
    DuplicateJob,
    GuardRefused,
    ImpossibleDemand,
    Job,
    JobAbandoned,
    JobFailed,
    JobNotFound,
    JobRevoked,
    JobStatus,
    LoopEnded,
    NotRestorable,
    Retry,
    RevokeCause,
    RunnerClosed,
    StillRunning,
    UnknownTrigger,
    UnsuitableWork,
    WouldBlock,
    blocking,
    current_job,
)
from jobstate.blocking import BlockingJob, BlockingJobs
from jobstate.stores.sqlite import SQLiteStore

from .signals.program import Program  # type: ignore[import-not-found]  # tests are no package

PENDING, STARTED = JobStatus.PENDING, JobStatus.STARTED
SUCCESS, FAILURE, REVOKED = JobStatus.SUCCESS, JobStatus.FAILURE, JobStatus.REVOKED
variable = ContextVar("variable", default="unset")


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    """The event loop that runs beside."""
    return request.param


@pytest.fixture
def jobs(backend):
    """A block whose started jobs can be cancelled, and which is left when the test is over."""
    lifecycle = JOB_LIFECYCLE.derive("cancellable", cancel_started=True)
    with BlockingJobs(backend=backend, lifecycle=lifecycle, grace=60) as jobs:
        yield jobs


async def double(number):
    return 2 * number


def half(number):
    return number / 2


def fail(error):
    raise error


async def for_ever():
    await anyio.sleep_forever()


class Gate:
    """A plain function that waits until it is let go, whoever asks it to stop."""

    def __init__(self):
        self.began, self.let_go = threading.Event(), threading.Event()

    def __call__(self):
        self.began.set()
        assert self.let_go.wait(60)
        return "at last"


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.let_go.set()


class Patient:
    """An async function that reports, and goes on until it is asked to stop."""

    def __init__(self):
        self.began = threading.Event()

    async def __call__(self):
        current_job().report(25, info={"step": 1})
        self.began.set()
        await anyio.sleep_forever()


# --- what is run ----------------------------------------------------------------------------


def test_all_kinds_of_work_are_run(jobs):
    """Async functions, plain ones, and commands give their result."""
    assert jobs.submit(double, 21).result(60) == 42
    assert jobs.submit(half, 42).result(60) == 21
    assert jobs.submit(partial(half, number=2)).result(60) == 1
    assert jobs.submit(Command("echo", "hello")).result(60).output == "hello\n"


def test_work_is_run_where_one_says(jobs):
    """The runner's executors are those of the block."""
    there = jobs.submit(os.getpid, executor=jobs.processes).result(60)
    assert there != os.getpid()
    assert jobs.submit(os.getpid, executor=jobs.threads).result(60) == os.getpid()
    assert jobs.submit(double, 1, executor=jobs.tasks).result(60) == 2
    assert jobs.submit(Command("true"), executor=jobs.commands).result(60).exit_code == 0


def test_work_sees_the_variables_of_whoever_submits_it(jobs):
    """Each thread has its own; what is outside of the block is nobody's."""
    token = variable.set("mine")
    try:
        job = jobs.submit(variable.get)
    finally:
        variable.reset(token)
    assert job.result(60) == "mine"
    assert jobs.submit(variable.get).result(60) == "unset"


def test_options_are_those_of_a_runner(jobs):
    """What is submitted has its name, id, policy and info."""
    errors = [OSError("no network")]

    def work():
        if errors:
            raise errors.pop()
        return current_job().attempt

    retry = Retry(attempts=2, first_delay=0)
    job = jobs.submit(work, name="fetch", id="f1", retry=retry, info={"of": "rows"})
    assert job.result(60) == 2
    assert (job.name, job.id, job.attempt, job.info) == ("fetch", "f1", 2, {"of": "rows"})
    assert [step.trigger for step in job.history] == ["start", "retry", "start", "succeed"]


def test_jobs_come_after_jobs_and_ids(jobs, gate):
    """Both options take the block's own jobs, in any iterable, and ids."""
    first = jobs.submit(gate, id="first")
    failed = jobs.submit(fail, ValueError("no"), id="failed")
    second = jobs.submit(double, 1, after=(job for job in [first]), after_end=["failed"])
    third = jobs.submit(double, 2, after=["first"], after_end={failed})
    assert (second.status, third.status) == (PENDING, PENDING)
    gate.let_go.set()
    assert (second.result(60), third.result(60)) == (2, 4)


@pytest.mark.parametrize("after", [5, None, "first", object()])
def test_what_is_no_list_of_jobs_is_refused(jobs, after):
    """The error is that of a runner, and no job is made."""
    for option in ("after", "after_end"):
        with pytest.raises(UnsuitableWork, match="must be a list of jobs, or of their ids"):
            jobs.submit(double, 1, **{option: after})
    with pytest.raises(UnsuitableWork, match="must be a list of jobs, or of their ids"):
        jobs.submit(double, 1, after=jobs.submit(double, 1))
    assert len(list(jobs)) == 1


def test_what_cannot_be_run_is_refused(jobs):
    """Each error reaches whoever submits, and no job is made."""
    with pytest.raises(UnsuitableWork, match="it is no function"):
        jobs.submit("make")
    with pytest.raises(UnsuitableWork, match="must be a number of seconds above 0"):
        jobs.submit(double, 1, timeout=0)
    with pytest.raises(ImpossibleDemand):
        jobs.submit(double, 1, resources={"gpu": 1})
    with pytest.raises(JobNotFound):
        jobs.submit(double, 1, after=["nobody"])
    with pytest.raises(TypeError, match="colour"):
        jobs.submit(double, 1, colour="red")
    assert list(jobs) == []
    jobs.submit(double, 1, id="twice")
    with pytest.raises(DuplicateJob):
        jobs.submit(double, 1, id="twice")


# --- what is seen ---------------------------------------------------------------------------


def test_a_job_can_be_read_while_it_runs_and_after_that(jobs):
    """All that is read is how it stands at that moment; nothing has to be refreshed."""
    work = Patient()
    job = jobs.submit(work)
    assert work.began.wait(60)
    assert job.refresh() is job
    assert (job.status, job.attempt, job.outcome) == (STARTED, 1, None)
    assert repr(job).startswith(f"<BlockingJob {job.id} ")
    assert [step.trigger for step in job.history] == ["start"]
    assert (job.error_reason, job.error_message) == (None, None)
    assert (job.progress, job.info) == (25, {"step": 1})
    snapshot = job.snapshot()
    assert (snapshot.id, snapshot.status, snapshot.progress) == (job.id, STARTED, 25)
    assert job.cancel("enough") is Cancellation.INTERRUPTED
    assert (job.status, job.outcome.status) == (REVOKED, REVOKED)
    assert job.snapshot().version == len(job.history) == 2


def test_a_failure_is_told(jobs):
    """The kind of the error, and what it said."""
    job = jobs.submit(fail, ValueError("no such price"))
    outcome = job.wait(60)
    assert outcome.status is job.status is FAILURE
    assert (job.error_reason, job.error_message) == ("ValueError", "no such price")
    with pytest.raises(JobFailed, match="no such price"):
        job.result()


def test_jobs_are_found_listed_and_counted(jobs, gate):
    """Each is the same job, however it was come by."""
    first, second = jobs.submit(gate, id="first"), jobs.submit(double, 1, id="second")
    second.wait(60)
    assert gate.began.wait(60)
    assert list(jobs) == [first, second]
    assert jobs.get("first") == first != second
    assert {first, jobs.get("first")} == {first}
    assert (jobs.counts[STARTED], jobs.counts[SUCCESS]) == (1, 1)
    with pytest.raises(JobNotFound, match=r"is known here \(did you mean 'first'\?\)"):
        jobs.get("frist")


def test_jobs_are_forgotten_as_a_runner_forgets_them(backend):
    """Who still holds a job can go on reading it."""
    with BlockingJobs(backend=backend, keep=1) as jobs:
        first = jobs.submit(double, 1, id="first")
        first.wait(60)
        jobs.submit(double, 2).wait(60)
        with pytest.raises(JobNotFound):
            jobs.get("first")
    assert (first.wait(), first.snapshot().status) == (first.outcome, SUCCESS)


def test_hooks_are_called_in_the_thread_of_the_event_loop(jobs):
    """They hear of all jobs, until they are removed, and of each once."""
    heard, called = [], threading.Event()

    def hook(event):
        heard.append((event.job.id, threading.current_thread()))
        called.set()

    registration = jobs.on(SUCCESS, hook)
    jobs.submit(double, 1, id="first")
    assert called.wait(60)
    registration.remove()
    jobs.submit(double, 2, id="second").wait(60)
    [(job_id, thread)] = heard
    assert job_id == "first"
    assert thread is not threading.current_thread()
    assert thread.name == "jobstate"
    with pytest.raises(UnknownTrigger):
        jobs.on("DONE", hook)
    with pytest.raises(TypeError):
        jobs.on(SUCCESS, double.__name__)


# --- waiting --------------------------------------------------------------------------------


def test_waiting_gives_the_outcome_however_a_job_ended(jobs):
    """At once if it has ended; the result is its value."""
    job = jobs.submit(double, 21)
    outcome = job.wait()
    assert (outcome.status, outcome.value()) == (SUCCESS, 42)
    assert job.wait(0) == job.outcome
    assert job.result(timeout=0) == 42


def test_the_job_goes_on_when_the_time_to_wait_is_over(jobs, gate):
    """It does not notice, and can be waited for again; the error says how it stands."""
    job = jobs.submit(gate, id="slow")
    assert gate.began.wait(60)
    for ask in (job.wait, job.result):
        with pytest.raises(StillRunning, match=r"job slow is STARTED after 0\.001 s") as caught:
            ask(0.001)
        assert isinstance(caught.value, TimeoutError)
    with pytest.raises(StillRunning, match="after 0 s"):
        job.wait(timeout=0)
    gate.let_go.set()
    assert job.wait(timeout=1e300).result == "at last"


def test_what_ends_at_the_last_moment_is_told(jobs, monkeypatch, gate):
    """A wait whose time is over just when the job ends gives the outcome."""
    job = jobs.submit(gate)

    class Late:
        """A future whose time is over at the moment that it is done."""

        def __init__(self, future):
            self.future = future

        def result(self, timeout=None):
            gate.let_go.set()
            outcome = self.future.result(60)
            if timeout is None:
                return outcome
            raise TimeoutError

        def cancel(self):
            return self.future.cancel()

    completed = type(job._job.threadsafe).completed
    monkeypatch.setattr(type(job._job.threadsafe), "completed", lambda job: Late(completed(job)))
    assert job.wait(1).result == "at last"


def test_what_ends_with_its_loop_is_told(jobs, monkeypatch):
    """A wait that begins just when the block is left gives the outcome."""
    job = jobs.submit(double, 21)

    def completed(threadsafe):
        answer = Future()
        answer.set_exception(LoopEnded(job.id, "a loop"))
        jobs.submit(double, 1, after=[job]).snapshot()
        while job.outcome is None:
            jobs.submit(double, 1).snapshot()
        return answer

    monkeypatch.setattr(type(job._job.threadsafe), "completed", completed)
    assert job.wait(60).result == 42


def test_a_job_whose_loop_has_ended_is_not_waited_for(backend):
    """Nobody will move it any more; it can still be read."""

    async def make():
        return BlockingJob(Job("left"))

    job = anyio.run(make, backend=backend)
    for ask in (job.wait, job.result, job.cancel):
        with pytest.raises(LoopEnded, match="job left belongs to an event loop that has ended"):
            ask()
    assert job.snapshot().status is PENDING


def test_a_job_that_ended_while_its_loop_did_is_told(backend, monkeypatch):
    """Whoever waited for it hears of the loop's end, and still how the job ended."""

    async def make():
        job = Job("left")
        await job.revoke("enough")
        return job

    job = anyio.run(make, backend=backend)

    def completed(threadsafe):
        answer = Future()
        answer.set_exception(LoopEnded("left", "an event loop that has ended"))
        return answer

    monkeypatch.setattr(type(job.threadsafe), "completed", completed)
    assert BlockingJob(job)._waited(60).reason == "enough"


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "1", True])
def test_what_is_no_time_is_refused(jobs, timeout):
    """Also of a job that has ended."""
    job = jobs.submit(double, 1)
    for ask in (job.wait, job.result):
        with pytest.raises(BadArgument, match="a number of seconds from 0 on, or None"):
            ask(timeout)
        assert job.wait(60).status is SUCCESS


def test_a_job_that_is_abandoned_wakes_who_waits(backend):
    """Nobody can tell any more how it ends, during the block and after it."""

    def refuse(event):
        return False

    lifecycle = JOB_LIFECYCLE.derive("refusing")
    for trigger in ("succeed", "fail", "revoke"):
        lifecycle.guard(trigger)(refuse)
    with BlockingJobs(backend=backend, lifecycle=lifecycle) as jobs:
        job = jobs.submit(double, 1)
        for _ in range(2):
            with pytest.raises(JobAbandoned, match="its runner cannot move it"):
                job.wait(60)
    with pytest.raises(JobAbandoned):
        job.result()
    with pytest.raises(LoopEnded):
        job.cancel()
    assert job.snapshot().status is job.status is STARTED


def test_in_the_thread_of_the_event_loop_nothing_is_waited_for(jobs, gate):
    """A hook that would have everything stand still is told so; it may submit, and look."""
    other = jobs.submit(gate, id="other")
    told, more, called = [], [], threading.Event()

    def hook(event):
        if event.job.id == "other":
            return
        for ask in (other.wait, other.result, other.cancel):
            with pytest.raises(WouldBlock, match="the event loop's own thread") as caught:
                ask()
            told.append(caught.value.trigger)
        assert other.snapshot().id == jobs.get("other").id
        if event.job.name == "double":
            more.append(jobs.submit(half, 2))
            more.append(jobs.on(SUCCESS, print))
            more.pop().remove()
            called.set()

    jobs.on(SUCCESS, hook)
    jobs.submit(double, 1)
    assert called.wait(60)
    assert more[0].result(60) == 1
    assert set(told) == {"waiting", "cancelling"}


def test_async_work_may_submit_more(jobs):
    """It runs in the event loop's own thread, too."""

    async def work():
        return jobs.submit(double, 21)

    assert jobs.submit(work).result(60).result(60) == 42


def test_work_in_a_thread_may_wait_for_other_work(jobs):
    """Its thread is not the event loop's."""

    def work():
        return jobs.submit(double, 21).result(60)

    assert jobs.submit(work).result(60) == 42


def test_many_threads_may_use_it_at_once(jobs):
    """Each is given its own answers."""

    def use(number):
        job = jobs.submit(double, number, id=f"j{number}")
        with pytest.raises(DuplicateJob):
            jobs.submit(double, number, id=f"j{number}")
        assert jobs.get(job.id).result(60) == 2 * number
        assert job in list(jobs)
        return job.snapshot().result

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(40))) == [2 * number for number in range(40)]
    assert jobs.counts[SUCCESS] == 40


# --- cancelling -----------------------------------------------------------------------------


def test_cancelling_tells_what_came_of_it(jobs, backend):
    """Prevented, interrupted, or too late."""
    work = Patient()
    running = jobs.submit(work)
    waiting = jobs.submit(double, 1, after=[running])
    assert work.began.wait(60)
    assert waiting.cancel("not wanted") is Cancellation.PREVENTED
    assert running.cancel("enough") is Cancellation.INTERRUPTED
    assert running.cancel() is Cancellation.TOO_LATE
    assert running.outcome.cause is RevokeCause.USER
    assert running.history[-1].reason == "enough"
    with pytest.raises(JobRevoked, match="not wanted"):
        waiting.result()


def test_a_thread_that_does_not_listen_stays_unconfirmed(backend, gate):
    """It goes on, and so does its job."""
    lifecycle = JOB_LIFECYCLE.derive("cancellable", cancel_started=True)
    with BlockingJobs(backend=backend, lifecycle=lifecycle, grace=0) as jobs:
        job = jobs.submit(gate)
        assert gate.began.wait(60)
        assert job.cancel() is Cancellation.UNCONFIRMED
        assert job.status is STARTED
        gate.let_go.set()
        assert job.wait(60).status is SUCCESS


def test_a_started_job_is_not_cancelled_where_its_lifecycle_forbids_it(backend, gate):
    """The error is that of the job."""
    with BlockingJobs(backend=backend) as jobs:
        job = jobs.submit(gate)
        assert gate.began.wait(60)
        with pytest.raises(GuardRefused):
            job.cancel()
        gate.let_go.set()


# --- the block ------------------------------------------------------------------------------


def test_leaving_the_block_waits_for_all_work(backend):
    """Also for what is submitted meanwhile by jobs; all can be read afterwards."""

    def work(left):
        return jobs.submit(work, left - 1).id if left else "done"

    with BlockingJobs(backend=backend) as jobs:
        first = jobs.submit(work, 3)
    assert [job.status for job in jobs] == [SUCCESS] * 4
    assert jobs.counts[SUCCESS] == 4
    assert jobs.get(first.id).result() == jobs.get(list(jobs)[1].id).id
    assert first.cancel() is Cancellation.TOO_LATE


def test_an_exception_in_the_block_stops_all_work(backend):
    """It comes out as it is, when all jobs have ended."""
    error = ValueError("in the block")
    jobs = BlockingJobs(backend=backend, limit=1)
    with pytest.raises(ValueError, match="in the block") as caught, jobs:
        running, waiting = jobs.submit(for_ever), jobs.submit(double, 1)
        raise error
    assert caught.value is error
    assert error.__context__ is None
    assert {running.status, waiting.status} == {REVOKED}
    assert {job.outcome.cause for job in jobs} == {RevokeCause.SHUTDOWN}


def test_an_exception_in_an_idle_block_is_all_that_comes_out(backend):
    """There is nothing to stop."""
    with pytest.raises(ValueError, match="in the block"), BlockingJobs(backend=backend):
        raise ValueError("in the block")


def test_before_the_block_nothing_is_done(backend):
    """There is nothing to see either; each error says why."""
    jobs = BlockingJobs(backend=backend)
    assert list(jobs) == []
    assert not any(jobs.counts.values())
    with pytest.raises(JobNotFound):
        jobs.get("first")
    for ask, asked in [
        (lambda: jobs.submit(double, 1), "submit work"),
        (lambda: jobs.on(SUCCESS, print), "add a hook"),
        (lambda: jobs.__exit__(None, None, None), "leave the block"),
    ]:
        with pytest.raises(RunnerClosed, match=f"cannot {asked}: the runner has not been entered"):
            ask()
    with jobs:
        assert jobs.submit(double, 1).result(60) == 2


def test_after_the_block_nothing_is_done(backend):
    """Nor is it entered twice, while it is open or later."""
    with BlockingJobs(backend=backend) as jobs:
        with pytest.raises(RunnerClosed, match="enter the block again: the runner is open"):
            jobs.__enter__()
        assert jobs.submit(double, 1).result(60) == 2
    for ask in [
        lambda: jobs.submit(double, 1),
        lambda: jobs.on(SUCCESS, print),
        lambda: jobs.__exit__(None, None, None),
        jobs.__enter__,
    ]:
        with pytest.raises(RunnerClosed, match="the runner was left"):
            ask()


def test_options_that_make_no_sense_are_refused():
    """There is nothing to leave then."""
    with pytest.raises(ValueError, match="backend='curio': one of asyncio, trio"):
        BlockingJobs(backend="curio")
    with pytest.raises(ValueError, match="limit=0"):
        BlockingJobs(limit=0)
    with pytest.raises(TypeError, match="colour"):
        BlockingJobs(colour="red")


def test_a_loop_that_cannot_be_started_is_told(backend, monkeypatch):
    """Whoever enters the block is given the error, and the block cannot be used."""
    monkeypatch.setattr(anyio, "run", lambda function, backend: fail(ImportError("no loop")))
    jobs = BlockingJobs(backend=backend)
    with pytest.raises(ImportError, match="no loop"), jobs:
        raise AssertionError
    with pytest.raises(RunnerClosed):
        jobs.submit(double, 1)


def test_what_is_asked_when_the_loop_ends_is_refused(backend, monkeypatch):
    """No call hangs that the loop has dropped."""
    jobs = BlockingJobs(backend=backend)
    jobs.__enter__()
    leaving = threading.Thread(target=jobs.__exit__, args=(None, None, None))

    def dropped(loop, callback):
        monkeypatch.undo()
        leaving.start()

    monkeypatch.setattr(blocking, "call_soon", dropped)
    with pytest.raises(RunnerClosed, match="cannot submit work: the runner was left"):
        jobs.submit(double, 1)
    leaving.join()


class Fatal(BaseException):
    """What is meant for all that runs, as Ctrl-C is."""


def test_what_ends_the_loop_ends_the_block_and_all_waits(backend, gate):
    """It comes out when the block is left, and no wait hangs."""
    jobs = BlockingJobs(backend=backend, grace=0)
    with pytest.raises((Fatal, BaseExceptionGroup)) as caught, jobs:
        other = jobs.submit(for_ever)

        def hook(event):
            if event.job.id == "fatal":
                raise Fatal

        jobs.on(SUCCESS, hook)
        jobs.submit(double, 1, id="fatal")
        other.wait(60)
    assert "Fatal" in repr(caught.value)
    assert other.status is REVOKED
    for ask in (lambda: jobs.submit(double, 1), lambda: jobs.__exit__(None, None, None)):
        with pytest.raises(RunnerClosed, match="the runner was left"):
            ask()


# --- Ctrl-C ---------------------------------------------------------------------------------

SOURCE = """
import anyio, signal, threading
from jobstate import Command, JobStatus
from jobstate.blocking import BlockingJobs

backend = sys.argv[2]
go_on = threading.Event()

def compute():
    here()
    if os.fork() == 0:
        os.write(held, b".")
    while True:
        signal.pause()

def show(jobs):
    for job in jobs:
        print(job.id, job.status, job.outcome.cause, flush=True)
"""

WAIT = """
async def forgotten():
    while job._job._at_end is not None:
        await anyio.sleep(0)

async def interruptible():
    while job._job._at_end is None:
        await anyio.sleep(0)
    here()

if __name__ == "__main__":
    with BlockingJobs(backend=backend) as jobs:
        job = jobs.submit(go_on.wait)
        jobs.submit(interruptible)
        try:
            job.wait()
        except KeyboardInterrupt:
            jobs.submit(forgotten).wait()
            print("gave up", job.status, flush=True)
        go_on.set()
    print(job.status)
"""

LEAVE = """
async def left():
    while not jobs._left.is_set():
        await anyio.sleep(0)
    here()

if __name__ == "__main__":
    jobs = BlockingJobs(backend=backend, grace=1000)
    try:
        with jobs:
            script = "trap 'printf . >&3; exit 7' TERM; (printf . >&3; sleep 1000) & wait"
            if "deaf" in sys.argv:
                script = "trap 'printf . >&3' TERM; (printf . >&3; sleep 1000) & wait; sleep 1000"
                jobs.submit(go_on.wait, id="thread")
            jobs.submit(Command(*shell(script)), id="command")
            jobs.submit(compute, executor=jobs.processes, id="process")
            jobs.submit(print, after=["command"], id="waiting")
            if "body" in sys.argv:
                here()
                signal.pause()
            jobs.submit(left, id="left")
    finally:
        show(jobs)
"""

ENTER = """
def run(*args, **options):
    os.kill(os.getpid(), signal.SIGINT)
    assert gave_up.wait(60)
    try:
        really_run(*args, **options)
    except BaseException as error:
        print(type(error).__name__, flush=True)
        raise

if __name__ == "__main__":
    really_run, anyio.run, gave_up = anyio.run, run, threading.Event()
    jobs = BlockingJobs(backend=backend)
    try:
        jobs.__enter__()
    except KeyboardInterrupt:
        print("gave up", flush=True)
    gave_up.set()
    jobs._thread.join()
"""


@pytest.fixture
def start(backend, tmp_path):
    """Start a program; it is ended when the test is over."""
    programs = []

    def start(source, *args):
        programs.append(Program(tmp_path, SOURCE + source, backend, *args))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


def test_ctrl_c_gives_up_a_wait_alone(start):
    """The job goes on, and nothing is left of the wait."""
    program = start(WAIT)
    program.all_here(1)
    program.interrupt()
    assert program.says() == "gave up STARTED"
    code, said, _ = program.ended()
    assert (code, said) == (0, "SUCCESS\n")


@pytest.mark.parametrize("where", ["body", "end"])
def test_ctrl_c_stops_all_work(start, where):
    """In the block, or while it waits for the work: each has its grace, and nothing is left."""
    program = start(LEAVE, where)
    program.all_here(4)
    program.interrupt()
    program.all_here(1)  # the command was asked
    code, said, errors = program.ended()
    assert said.splitlines()[:3] == [
        "command REVOKED SHUTDOWN",
        "process REVOKED SHUTDOWN",
        "waiting REVOKED SHUTDOWN",
    ]
    assert code == -signal.SIGINT
    assert errors.endswith("\nKeyboardInterrupt\n")
    assert program.none_left()


def test_the_second_ctrl_c_grants_nobody_more_time(start):
    """What does not listen is ended by force, or left behind where it is a thread."""
    program = start(LEAVE, "deaf")
    program.all_here(4)
    program.interrupt()
    program.all_here(1)  # the command was asked, and goes on
    program.interrupt()
    code, said, errors = program.ended()
    assert said.splitlines() == [
        "thread REVOKED SHUTDOWN",
        "command REVOKED SHUTDOWN",
        "process REVOKED SHUTDOWN",
        "waiting REVOKED SHUTDOWN",
        "left SUCCESS None",
    ]
    assert code == -signal.SIGINT
    assert errors.endswith("\nKeyboardInterrupt\n")
    assert program.none_left()


def test_ctrl_c_while_the_block_is_entered_leaves_nothing_running(start):
    """The event loop ends, as nobody waits for it any more."""
    program = start(ENTER)
    assert program.says() == "gave up"
    assert program.says() == "InvalidStateError"
    assert program.ended()[0] == 0


def test_jobs_are_recovered(backend, tmp_path):
    """What one has left in a store, another takes up, and tells what it cannot."""
    path = tmp_path / "jobs.db"

    async def hang():
        await anyio.Event().wait()

    def publish(name):
        return f"{name} is out"

    first = BlockingJobs(
        backend=backend,
        store=SQLiteStore(path),
        functions=[publish, hang],
        limit=1,
        resumable=True,
    )
    with pytest.raises(KeyError), first:
        first.submit(hang, id="hang")
        first.submit(publish, "south", id="south")
        raise KeyError("the end")
    with BlockingJobs(backend=backend, store=SQLiteStore(path), functions=[publish]) as second:
        jobs, left = second.recover()
        assert [job.wait(60).result for job in jobs] == ["south is out"]
        assert list(left) == ["hang"]
        assert isinstance(left["hang"], NotRestorable)
