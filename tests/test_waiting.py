"""Every wait is answered, exactly once, without a timer, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import enum
import gc
import random
import selectors
import threading
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from jobstate import (
    JOB_LIFECYCLE,
    BadArgument,
    Entry,
    HookFailed,
    Job,
    JobAbandoned,
    JobFailed,
    JobRevoked,
    JobStateError,
    JobStatus,
    Lifecycle,
    OutcomeUndeclared,
    Progress,
    ReentrantWait,
    RevokeCause,
    Transition,
    UnknownStatus,
    Unreachable,
    WrongThread,
    all_completed,
    as_completed,
    first_completed,
)
from jobstate._waiting import each, joined, left

pytestmark = pytest.mark.anyio
backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus
FINAL = (SUCCESS, FAILURE, REVOKED)

PAUSABLE = JOB_LIFECYCLE.derive(
    "pausable",
    states=["PAUSED"],
    transitions=[
        ["pause", "STARTED", "PAUSED"],
        ["resume", "PAUSED", "STARTED"],
        ["fail", "PAUSED", "FAILURE"],
        {"trigger": "beat", "source": "STARTED", "dest": None},
        {"trigger": "restart", "source": "STARTED", "dest": "="},
    ],
)


# --- moving jobs by the table -----------------------------------------------------------------

ARGUMENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "succeed": ((7,), {}),
    "fail": (("no data",), {}),
    "retry": (("no data",), {}),
    "revoke": (("too late",), {"cause": RevokeCause.ADMIN}),
}


def move(job: Job[Any, Any], *triggers: str) -> Transition[Any]:
    """Take a job through triggers, with arguments that every guard lets pass."""
    for trigger in triggers:
        args, kwargs = ARGUMENTS.get(trigger, ((), {}))
        transition = job.trigger_nowait(trigger, *args, **kwargs)
    return transition


def steps() -> dict[JobStatus, dict[JobStatus, str]]:
    """Return the trigger that leads from each status to each next one, read off the table."""
    found: dict[JobStatus, dict[JobStatus, str]] = {status: {} for status in JobStatus}
    first = {(edge.trigger, edge.source): edge for edge in reversed(JOB_LIFECYCLE.edges)}
    for edge in first.values():
        found[edge.source][edge.dest] = edge.trigger
    return found


STEPS = steps()


def path(source: JobStatus, dest: JobStatus) -> list[str] | None:
    """Return the triggers of a shortest way, of one step or more; ``None`` if there is none."""
    ways: list[tuple[JobStatus, list[str]]] = [(source, [])]
    seen: set[JobStatus] = set()
    for status, triggers in ways:
        for following, trigger in STEPS[status].items():
            if following is dest:
                return [*triggers, trigger]
            if following not in seen:
                seen.add(following)
                ways.append((following, [*triggers, trigger]))
    return None


def job_in(status: JobStatus) -> Job:
    """Return a job that stands there."""
    job: Job = Job(max_attempts=None)
    if status is not PENDING:
        move(job, *(path(PENDING, status) or ()))
    assert job.status is status
    return job


# --- waits, in tasks of their own -------------------------------------------------------------


async def settle() -> None:
    """Let every other task run until it sleeps."""
    for _ in range(8):
        await checkpoint()


class Wait:
    """A wait in a task of its own, and what came of it."""

    def __init__(self, begin: Callable[[], Awaitable[Any]]) -> None:
        self.begin = begin
        self.scope = anyio.CancelScope()
        self.value: Any = None
        self.error: Exception | None = None
        self.answered = self.over = False
        self.sleeps = 0

    async def run(self) -> None:
        """Wait, and note the answer."""
        with self.scope:
            try:
                self.value = await self._counted(self.begin())
                self.answered = True
            except Exception as error:
                self.error = error
        self.over = True

    async def _counted(self, awaitable: Awaitable[Any]) -> Any:
        return await Counted(awaitable, self)


class Counted:
    """Awaits something, and counts how often that put the task to sleep."""

    def __init__(self, awaitable: Awaitable[Any], wait: Wait) -> None:
        self.awaitable, self.wait = awaitable, wait

    def __await__(self) -> Generator[Any, Any, Any]:
        inner: Any = self.awaitable.__await__()
        answer, error = None, None
        while True:
            try:
                asked = inner.send(answer) if error is None else inner.throw(error)
            except StopIteration as done:
                return done.value
            self.wait.sleeps += 1
            answer, error = None, None
            try:
                answer = yield asked
            except BaseException as thrown:
                error = thrown


@asynccontextmanager
async def waiting(*begin: Callable[[], Awaitable[Any]]) -> AsyncIterator[list[Wait]]:
    """Run each wait in a task of its own, until all sleep; at the end, nothing may still wait."""
    waits = [Wait(each) for each in begin]
    async with anyio.create_task_group() as tasks:
        for wait in waits:
            tasks.start_soon(wait.run)
        await settle()
        yield waits
        await settle()
        stuck = [wait for wait in waits if not wait.over]
        tasks.cancel_scope.cancel()
    assert not stuck, "a wait was left asleep"


def at_once(awaitable: Awaitable[Any]) -> Any:
    """Return what a wait answers without going to sleep."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    raise AssertionError("it went to sleep")


async def value_of(job: Job) -> Any:
    """Wait for a job's value."""
    return await job


async def followed(job: Job) -> list[Any]:
    """Wait for all changes of a job."""
    async with job.changes() as changes:
        return [change async for change in changes]


async def gathered(job: Job) -> list[Any]:
    """Wait for a job as one of several, in the order in which they end."""
    async with as_completed([job]) as ended:
        return [each async for each in ended]


WAITS: dict[str, Callable[[Job], Awaitable[Any]]] = {
    "completed": lambda job: job.completed(),
    "await": value_of,
    "reached": lambda job: job.reached(FAILURE),
    "changes": followed,
    "all_completed": lambda job: all_completed([job]),
    "as_completed": gathered,
    "first_completed": lambda job: first_completed([job]),
}
every_wait = pytest.mark.parametrize("wait_for", WAITS.values(), ids=WAITS)


def nobody_listens(job: Job) -> bool:
    """Whether nothing is registered with a job."""
    return job._at_end is None and job._at_step is None


def in_thread(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or raise what it raises, in a thread of its own."""
    came: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            came.append((call(), None))
        except BaseException as error:
            came.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    ((value, error),) = came
    if error is not None:
        raise error
    return value


# --- completed --------------------------------------------------------------------------------


@pytest.mark.parametrize("final", FINAL)
async def test_completed_answers_for_every_final_status(final):
    """A wait returns the outcome however the job ended; a failed job is no error of the wait."""
    job: Job = Job("j1", name="train", clock=lambda: 1000.0)
    move(job, "start")
    async with waiting(job.completed) as (wait,):
        assert not wait.over
        move(job, *(path(STARTED, final) or ()))
    outcome = wait.value
    assert outcome == job.outcome
    assert (outcome.job_id, outcome.name, outcome.status) == ("j1", "train", final)
    assert (outcome.meaning, outcome.attempts, outcome.at.timestamp()) == (final, 1, 1000.0)
    assert outcome.result == (7 if final is SUCCESS else None)
    assert outcome.error_message == ("no data" if final is FAILURE else None)
    told = {SUCCESS: ("", None), FAILURE: ("no data", None), REVOKED: ("too late", "ADMIN")}
    assert (outcome.reason, outcome.cause) == told[final]


@pytest.mark.parametrize("final", FINAL)
async def test_completed_answers_at_once_for_an_ended_job(final):
    """Whoever asks late is answered without sleeping, as often as asked, and none is kept."""
    job = job_in(final)
    assert at_once(job.completed()) == at_once(job.completed()) == job.outcome
    assert at_once(all_completed([job])) == [job.outcome]
    assert at_once(first_completed([job])) is job
    assert nobody_listens(job)


async def test_a_hundred_waits_for_one_job_are_all_answered():
    """No wait takes the place of another: each of many is woken by the same end."""
    job: Job = Job()
    async with waiting(*[job.completed] * 50, *[lambda: job.reached(SUCCESS)] * 50) as waits:
        move(job, "start", "succeed")
    assert [wait.value for wait in waits[:50]] == [job.outcome] * 50
    assert [wait.value for wait in waits[50:]] == [job.history[-1]] * 50
    assert nobody_listens(job)


async def test_waits_that_begin_and_end_at_different_times():
    """A wait that is given up, or that comes late, takes nothing from those that go on."""
    job: Job = Job()
    async with waiting(*[job.completed] * 5) as early:
        for wait in early[::2]:
            wait.scope.cancel()
        await settle()
        async with waiting(*[job.completed] * 2) as late:
            move(job, "start", "fail")
    assert [wait.answered for wait in early] == [False, True, False, True, False]
    assert [wait.value for wait in (early[1], early[3], *late)] == [job.outcome] * 4
    assert nobody_listens(job)


async def test_completed_is_woken_once():
    """A wait for the end sleeps through every step and report before it, and wakes once."""
    job: Job = Job()
    async with waiting(job.completed) as (wait,):
        for _ in range(2):
            move(job, "start")
            for percent in range(0, 101, 25):
                job.report(percent)
                await settle()
            move(job, "retry", "requeue")
            await settle()
        move(job, "revoke")
    assert (wait.sleeps, wait.value) == (1, job.outcome)


async def test_reached_is_woken_once():
    """A wait for a status sleeps through steps to others and through reports, and wakes once."""
    job: Job = Job()
    async with waiting(lambda: job.reached(RETRY, FAILURE)) as (wait,):
        move(job, "start")
        job.report(50)
        await settle()
        move(job, "requeue", "start")
        await settle()
        arrival = move(job, "retry")
        move(job, "start", "fail")
    assert (wait.sleeps, wait.value) == (1, arrival)


@pytest.mark.parametrize("result", [None, 7, []])
async def test_awaiting_a_job_gives_its_result(result):
    """``await job`` is the result of a job that succeeds, ``None`` included."""
    job: Job = Job()
    async with waiting(lambda: value_of(job)) as (wait,):
        job.start_nowait()
        job.succeed_nowait(result)
    assert wait.answered
    assert wait.value is result


@pytest.mark.parametrize(
    ("trigger", "error", "said"),
    [
        ("fail", JobFailed, "job j1 ended FAILURE after 1 attempt: no data"),
        ("revoke", JobRevoked, "job j1 ended REVOKED by ADMIN: too late"),
    ],
)
async def test_awaiting_a_job_raises_how_it_ended(trigger, error, said):
    """``await job`` raises for a job that gave no result, and says how it ended."""
    job: Job = Job("j1")
    async with waiting(lambda: value_of(job)) as (wait,):
        move(job, "start", trigger)
    assert type(wait.error) is error
    assert str(wait.error) == said
    assert isinstance(wait.error, JobStateError)


async def test_awaiting_a_job_whose_end_means_nothing():
    """``await job`` does not guess whether a final status of one's own is a success."""
    lifecycle = Lifecycle(
        "ticket",
        states=["open", {"name": "shut", "final": True}],
        transitions=[["shut", "open", "shut"]],
    )
    job: Job = Job(lifecycle=lifecycle)
    async with waiting(lambda: value_of(job), job.completed) as (wait, completed):
        job.trigger_nowait("shut", result=7)
    assert type(wait.error) is OutcomeUndeclared
    assert (completed.value.status, completed.value.meaning) == ("shut", None)
    assert completed.value.result == 7


def test_a_job_is_an_awaitable_to_the_functions_of_asyncio():
    """``asyncio.gather``, ``wait_for`` and ``as_completed`` take jobs as they take futures."""

    async def run() -> None:
        jobs: list[Job] = [Job() for _ in range(3)]
        gathered = asyncio.gather(*jobs, return_exceptions=True)
        limited = asyncio.ensure_future(asyncio.wait_for(jobs[0], 5))
        await settle()
        for job, trigger in zip(jobs, ("succeed", "fail", "revoke"), strict=True):
            move(job, "start", trigger)
        value, failed, revoked = await gathered
        assert (value, await limited) == (7, 7)
        assert (type(failed), type(revoked)) == (JobFailed, JobRevoked)

    asyncio.run(run())


async def test_a_task_group_sees_a_revoked_job_as_an_error():
    """A revoked job is never taken for a cancelled task: the group raises, siblings are stopped."""
    assert issubclass(JobRevoked, Exception)
    assert not issubclass(JobRevoked, anyio.get_cancelled_exc_class())
    job: Job = Job()
    with pytest.raises(ExceptionGroup) as caught:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(value_of, job)
            tasks.start_soon(anyio.sleep_forever)
            await settle()
            move(job, "revoke")
    (error,) = caught.value.exceptions
    assert isinstance(error, JobRevoked)


async def test_a_native_task_group_sees_a_revoked_job_as_an_error(anyio_backend_name):
    """The task groups of asyncio and Trio raise `JobRevoked`, which they would not of a cancel."""
    job: Job = Job()
    with pytest.raises(ExceptionGroup) as caught:
        if anyio_backend_name == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(value_of, job)
                await settle()
                move(job, "revoke")
        else:
            async with asyncio.TaskGroup() as group:
                group.create_task(value_of(job))
                await settle()
                move(job, "revoke")
    (error,) = caught.value.exceptions
    assert isinstance(error, JobRevoked)


# --- reached ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", JobStatus)
@pytest.mark.parametrize("now", JobStatus)
async def test_reached_waits_for_what_the_table_can_still_lead_to(now, wanted):
    """From each status, a wait for each other sleeps if there is a way, or is refused at once."""
    job = job_in(now)
    version = job.version
    way = path(now, wanted)
    if way is None:
        with pytest.raises(Unreachable) as caught:
            at_once(job.reached(wanted, after=version))
        error = caught.value
        assert (error.job_id, error.status, error.after) == (job.id, now, version)
        assert error.wanted == (wanted,)
        assert f"job {job.id} is {now}: it can never reach {wanted}" in str(error)
    else:
        async with waiting(lambda: job.reached(wanted, after=version)) as (wait,):
            assert not wait.over
            arrival = move(job, *way)
        assert wait.value is arrival
        assert (wait.value.dest, wait.sleeps) == (wanted, 1)
    assert nobody_listens(job)


@pytest.mark.parametrize(
    ("now", "following", "wanted"),
    [
        (now, following, wanted)
        for now in JobStatus
        for following in STEPS[now]
        for wanted in JobStatus
        if wanted is not following and path(now, wanted) and not path(following, wanted)
    ],
)
async def test_reached_is_told_as_soon_as_the_last_way_is_cut_off(now, following, wanted):
    """A wait that a step makes impossible is refused at that step, not at some later one."""
    job = job_in(now)
    version = job.version
    async with waiting(lambda: job.reached(wanted, after=version)) as (wait,):
        move(job, STEPS[now][following])
    assert type(wait.error) is Unreachable
    assert (wait.error.status, wait.error.wanted) == (following, (wanted,))
    assert (wait.sleeps, nobody_listens(job)) == (1, True)


async def test_reached_waits_while_any_of_several_can_still_come():
    """Of several statuses one that can still come is enough to wait for."""
    job: Job = Job()
    async with waiting(
        lambda: job.reached(SUCCESS, FAILURE), lambda: job.reached(SUCCESS, RETRY)
    ) as (one, other):
        move(job, "start")
        await settle()
        assert not one.over
        assert not other.over
        move(job, "fail")
    assert one.value is job.history[-1]
    assert isinstance(other.error, Unreachable)
    assert "it can never reach SUCCESS or RETRY" in str(other.error)


REVIEW = Lifecycle(
    "review",
    states=[
        "draft",
        "checked",
        "approved",
        {"name": "printed", "final": True},
        {"name": "rejected", "final": True},
    ],
    transitions=[
        ["check", "draft", "checked"],
        ["reject", "checked", "rejected"],
        ["approve", "checked", "approved"],
        ["print", "approved", "printed"],
    ],
)


async def test_a_way_may_be_cut_off_long_before_the_end():
    """A job that has not ended is past some statuses already, which is said at that step."""
    job: Job = Job(lifecycle=REVIEW)
    with pytest.raises(Unreachable):
        at_once(job.reached("draft"))
    async with waiting(lambda: job.reached("rejected")) as (wait,):
        move(job, "check")
        await settle()
        assert not wait.over
        move(job, "approve")
        await settle()
        assert wait.over
    assert isinstance(wait.error, Unreachable)
    assert wait.error.status == "approved"


async def test_a_way_to_one_of_several_is_enough():
    """A wait for several statuses is not refused for one of them that can no longer come."""
    job: Job = Job(lifecycle=REVIEW)
    async with waiting(lambda: job.reached("draft", "rejected", "printed")) as (wait,):
        move(job, "check", "approve")
        await settle()
        assert not wait.over
        arrival = move(job, "print")
    assert wait.value is arrival


async def test_reached_answers_at_once_from_the_past():
    """What has happened is answered without sleeping: the first time, after the version given."""
    job: Job = Job()
    move(job, "start", "retry", "start", "requeue", "start", "succeed")
    history = job.history
    assert at_once(job.reached(STARTED)) is history[0]
    assert at_once(job.reached(STARTED, after=0)) is history[0]
    assert at_once(job.reached(STARTED, after=1)) is history[2]
    assert at_once(job.reached(STARTED, after=2)) is history[2]
    assert at_once(job.reached(STARTED, after=3)) is history[4]
    assert at_once(job.reached(SUCCESS, after=5)) is history[5]
    for beyond in (5, 6, 1000):
        with pytest.raises(Unreachable, match=f"STARTED after version {beyond}$"):
            at_once(job.reached(STARTED, after=beyond))
    with pytest.raises(Unreachable):
        at_once(job.reached(SUCCESS, after=6))


async def test_reached_takes_the_earliest_of_several():
    """Of several statuses the one that was entered first is the answer, in whatever order asked."""
    job: Job = Job()
    move(job, "start", "retry", "revoke")
    assert at_once(job.reached(REVOKED, RETRY)) is job.history[1]
    assert at_once(job.reached(RETRY, REVOKED, RETRY)) is job.history[1]
    assert at_once(job.reached(*JobStatus)) is job.history[0]


async def test_being_made_in_a_status_is_not_reaching_it():
    """A new job has reached nothing: a wait for PENDING waits until the job is queued again."""
    job: Job = Job()
    async with waiting(lambda: job.reached(PENDING)) as (wait,):
        move(job, "start")
        await settle()
        assert not wait.over
        arrival = move(job, "requeue")
    assert wait.value is arrival


async def test_a_status_that_was_only_passed_through_is_reached():
    """A wait gets the transition that got there, though the job has gone on since."""
    job: Job = Job()
    async with waiting(lambda: job.reached(STARTED), lambda: job.reached(RETRY)) as waits:
        move(job, "start", "retry", "start", "succeed")
    assert [wait.value for wait in waits] == [job.history[0], job.history[1]]


async def test_reached_sleeps_until_after_the_version():
    """A transition up to the version given is no answer, neither past nor to come."""
    job: Job = Job()
    async with waiting(lambda: job.reached(STARTED, after=3)) as (wait,):
        move(job, "start", "requeue", "start")
        await settle()
        assert not wait.over
        move(job, "requeue")
        arrival = move(job, "start")
    assert (wait.value, arrival.version) == (arrival, 5)


async def test_reached_beyond_the_end_is_refused_when_the_job_ends():
    """A job that ends before the version given can no longer bring what was waited for."""
    job: Job = Job()
    async with waiting(lambda: job.reached(SUCCESS, after=10)) as (wait,):
        move(job, "start", "succeed")
    assert isinstance(wait.error, Unreachable)
    assert wait.error.status is SUCCESS


async def test_an_internal_transition_reaches_nothing_and_a_reflexive_one_does():
    """A status is reached by entering it: also from itself, but not by staying in it."""
    job: Job = Job(lifecycle=PAUSABLE)
    move(job, "start")
    async with waiting(lambda: job.reached(STARTED, after=1)) as (wait,):
        move(job, "beat", "beat")
        await settle()
        assert not wait.over
        arrival = move(job, "restart")
    assert (wait.value, arrival.version) == (arrival, 4)
    assert at_once(job.reached(STARTED, after=1)) is arrival


async def test_a_status_that_only_stays_in_itself_is_not_reachable():
    """An internal transition is no way back into a status, a reflexive one is."""
    lifecycle = Lifecycle(
        "loops",
        states=["idle", "busy", {"name": "done", "final": True}],
        transitions=[
            ["go", "idle", "busy"],
            {"trigger": "beat", "source": "busy", "dest": None},
            {"trigger": "again", "source": "idle", "dest": "="},
            ["end", "busy", "done"],
        ],
    )
    job: Job = Job(lifecycle=lifecycle)
    async with waiting(lambda: job.reached("idle")) as (wait,):
        arrival = move(job, "again")
    assert wait.value is arrival
    move(job, "go")
    with pytest.raises(Unreachable):
        at_once(job.reached("busy", after=2))


async def test_reached_takes_a_member_or_its_name():
    """A status may be given as the enum's member or as text."""
    job: Job = Job()
    move(job, "start")
    assert at_once(job.reached("STARTED")) is at_once(job.reached(STARTED)) is job.history[0]


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("STARTD", " (did you mean 'STARTED'?)"),
        ("DONE", ""),
        ("started", " (did you mean 'STARTED'?)"),
        ("*", ""),
        (7, ""),
    ],
)
async def test_reached_knows_no_such_status(asked, hint):
    """A status that the lifecycle does not have is refused, with the nearest that it has."""
    job: Job = Job()
    with pytest.raises(UnknownStatus) as caught:
        at_once(job.reached(SUCCESS, asked))
    assert str(caught.value) == (
        f"lifecycle job has no status {str(asked)!r}{hint}; "
        "it has: PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED"
    )
    assert isinstance(caught.value, ValueError)


async def test_reached_wants_a_status():
    """A wait for nothing in particular is a mistake, and says so."""
    with pytest.raises(BadArgument, match=r"reached\(\): say which statuses to wait for"):
        at_once(Job().reached())


@pytest.mark.parametrize("after", [-1, 1.0, "1", True, None, 10**9 + 0.5])
@pytest.mark.parametrize(
    "ask", [lambda job, after: job.reached(STARTED, after=after), lambda job, a: job.changes(a)]
)
async def test_a_version_is_a_whole_number_from_0_on(ask, after):
    """What is no version is refused, with what was given."""
    with pytest.raises(BadArgument) as caught:
        at_once(ask(Job("j1"), after))
    said = f"job j1: after={after!r}: a version is a whole number from 0 on"
    assert str(caught.value) == said


# --- changes ----------------------------------------------------------------------------------


async def read(changes: Any) -> list[Any]:
    """Return what a stream has for its reader now; cancelled when it would wait for more."""
    found = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        async for change in changes:
            found.append(change)
    return found


def progress_in(changes: list[Any]) -> list[float]:
    """Return the percentages among some changes."""
    return [change.progress for change in changes if isinstance(change, Progress)]


async def test_changes_gives_every_transition_in_order():
    """A reader that waits gets each transition as it is committed, to the final one; then ends."""
    job: Job = Job()
    got: list[Any] = []

    async def follow() -> str:
        async with job.changes() as changes:
            async for change in changes:
                got.append(change)
        return "ended"

    async with waiting(follow) as (wait,):
        for version, trigger in enumerate(("start", "retry", "start", "succeed"), 1):
            move(job, trigger)
            await settle()
            assert [change.version for change in got] == list(range(1, version + 1))
    assert wait.value == "ended"
    assert got == list(job.history)
    assert nobody_listens(job)


async def test_a_late_subscriber_catches_up_first():
    """Whoever comes late gets the whole past, then the newest progress, then what follows."""
    job: Job = Job()
    move(job, "start", "retry", "start")
    job.report(30)
    job.report(60)
    async with job.changes() as changes:
        first = await read(changes)
        assert first[:3] == list(job.history)
        assert progress_in(first) == [60.0]
        assert len(first) == 4
        move(job, "succeed")
        assert await read(changes) == [job.history[-1]]
        with pytest.raises(StopAsyncIteration):
            await anext(changes)


@pytest.mark.parametrize("after", range(7))
async def test_changes_after_a_version(after):
    """A reader that knows a version gets what came after it, nothing twice, nothing left out."""
    job: Job = Job()
    move(job, "start", "retry", "start", "succeed")
    async with job.changes(after) as changes:
        assert [change async for change in changes] == list(job.history[after:])
    async with job.changes(after=after) as changes:
        assert [change async for change in changes] == list(job.history[after:])


async def test_changes_after_a_version_yet_to_come():
    """A reader that is ahead of the job gets nothing until the job has passed that version."""
    job: Job = Job()
    move(job, "start")
    async with job.changes(after=3) as changes:
        job.report(50)
        assert await read(changes) == []
        move(job, "retry", "requeue")
        assert await read(changes) == []
        move(job, "start")
        assert await read(changes) == [job.history[3]]


async def test_changes_ends_when_the_job_ends_before_the_version():
    """A reader that is ahead of a job that ends is told the end, not left waiting."""
    job: Job = Job()

    async def follow() -> list[Any]:
        async with job.changes(after=10) as changes:
            return [change async for change in changes]

    async with waiting(follow) as (wait,):
        move(job, "start", "succeed")
    assert wait.value == []


async def test_progress_is_folded_to_the_newest():
    """A reader gets one record of the newest progress, however many reports it missed."""
    job: Job = Job("j1", info={"epoch": 1}, clock=lambda: 1000.0)
    async with job.changes() as changes:
        move(job, "start")
        for percent in range(90):
            job.report(percent, info={"row": percent})
        transition, progress = await read(changes)
        assert transition is job.history[0]
        assert progress == Progress(
            job_id="j1",
            version=1,
            attempt=1,
            progress=89.0,
            info={"epoch": 1, "row": 89},
            timestamp=1000.0,
        )
        assert await read(changes) == []
        job.report()
        assert progress_in(await read(changes)) == [89.0]


async def test_a_reader_that_keeps_up_gets_every_report():
    """A reader that is quick enough misses no report, and is woken once by each."""
    job: Job = Job()
    move(job, "start")
    got: list[Any] = []

    async def follow() -> None:
        async with job.changes(after=1) as changes:
            async for change in changes:
                got.append(change)

    async with waiting(follow) as (wait,):
        for percent in range(10):
            job.report(percent)
            await settle()
        move(job, "fail")
    assert progress_in(got) == list(range(10))
    assert got[10:] == [job.history[-1]]
    assert wait.sleeps == 11


async def test_progress_comes_after_the_transitions_that_led_to_it():
    """Transitions come before progress, so that no progress is told of an attempt unheard of."""
    job: Job = Job()
    async with job.changes() as changes:
        move(job, "start")
        job.report(30)
        move(job, "retry", "start")
        job.report(60)
        got = await read(changes)
    assert [type(change) for change in got] == [Transition] * 3 + [Progress]
    assert (got[-1].progress, got[-1].attempt, got[-1].version) == (60.0, 2, 3)


@pytest.mark.parametrize("trigger", ["retry", "requeue"])
async def test_progress_of_an_earlier_attempt_is_not_given_for_a_new_one(trigger):
    """Progress that was not read when its attempt ended is not read as that of the next."""
    job: Job = Job()
    async with job.changes() as changes:
        move(job, "start")
        job.report(50)
        move(job, trigger, "start")
        assert await read(changes) == list(job.history)
        move(job, "succeed")
        assert await read(changes) == [job.history[-1]]


async def test_a_stream_tells_how_things_stand_when_it_is_entered():
    """What happens between making a stream and entering it is caught up with like the rest."""
    job: Job = Job()
    made_before = job.changes()
    move(job, "start")
    job.report(50)
    async with made_before as changes:
        assert progress_in(await read(changes)) == [50.0]


async def test_a_stream_entered_in_a_later_attempt_gives_no_progress_that_nobody_reported():
    """A stream that was made in an attempt which has ended knows no progress of the next one."""
    job: Job = Job()
    move(job, "start")
    job.report(50)
    made_before = job.changes()
    move(job, "retry", "start")
    async with made_before as changes:
        assert progress_in(await read(changes)) == []


async def test_readers_do_not_disturb_each_other():
    """Each of several readers has its own place: none takes anything from another."""
    job: Job = Job()
    async with job.changes() as one, job.changes() as two, job.changes(after=1) as three:
        move(job, "start")
        job.report(50)
        first = await read(one)
        assert first[0] is job.history[0]
        assert progress_in(first) == [50.0]
        assert await read(one) == []
        assert progress_in(await read(three)) == [50.0]
        move(job, "succeed")
        assert await read(two) == list(job.history)
        assert await read(one) == [job.history[1]]
        assert await read(three) == [job.history[1]]
    assert nobody_listens(job)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(0, 10)),
        st.tuples(st.just("report"), st.integers(0, 100)),
        st.tuples(st.just("subscribe"), st.integers(0, 6)),
        st.tuples(st.just("read"), st.integers(0, 10)),
    ),
    max_size=40,
)


class Reader:
    """What a reader of a job's changes has to get, by an independent account."""

    def __init__(self, stream: Any, job: Job, after: int) -> None:
        self.stream, self.job, self.next = stream, job, after
        self.news = job.status is STARTED and job.progress > 0

    def expects(self) -> tuple[list[Transition], list[float]]:
        """Return the transitions that are to come now, and the progress."""
        transitions = list(self.job.history[self.next :])
        self.next = max(self.next, self.job.version)
        news = self.news and self.next == self.job.version
        if news:
            self.news = False
        return transitions, [self.job.progress] * news


@backends
@settings(max_examples=60, deadline=None)
@given(operations=OPERATIONS)
def test_readers_agree_with_the_history_whatever_happens(backend, operations):
    """Readers that come and read at any time get what the history and the reports say."""

    async def run() -> None:
        job: Job = Job(max_attempts=None)
        readers: list[Reader] = []
        for operation, number in operations:
            triggers = sorted(STEPS[job.status].values())
            if operation == "move" and triggers:
                move(job, triggers[number % len(triggers)])
                for reader in readers:
                    reader.news = reader.news and job.status is STARTED
            elif operation == "report" and job.status is STARTED:
                job.report(number)
                for reader in readers:
                    reader.news = True
            elif operation == "subscribe":
                stream = await job.changes(number).__aenter__()
                readers.append(Reader(stream, job, number))
            elif operation == "read" and readers:
                reader = readers[number % len(readers)]
                got = await read(reader.stream)
                transitions = [change for change in got if isinstance(change, Transition)]
                assert (transitions, progress_in(got)) == reader.expects()
                assert got[: len(transitions)] == transitions
        for reader in readers:
            await reader.stream.__aexit__(None, None, None)
        assert nobody_listens(job)

    anyio.run(run, backend=backend)


@backends
def test_a_slow_reader_holds_nothing(backend):
    """10,000 transitions that nobody reads cost no more memory with a reader than without one."""

    def cycle(job: Job) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(5_000):
                job.start_nowait()
                job.report(50)
                job.requeue_nowait()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    async def run() -> None:
        alone = cycle(Job("j1", max_attempts=None, clock=lambda: 1000.0))
        job: Job = Job("j1", max_attempts=None, clock=lambda: 1000.0)
        async with job.changes() as idle, waiting(lambda: anext(idle)) as (wait,):
            async with job.changes() as never_read:
                assert cycle(job) - alone < 1_000
            await settle()
            assert wait.value is job.history[0]
            assert await read(idle) == list(job.history[1:])
            assert len(gc.get_referents(never_read)) < 10

    anyio.run(run, backend=backend)


async def test_a_slow_reader_never_blocks_the_job():
    """A job moves at once though none of its readers has read anything, asleep or idle."""
    job: Job = Job()
    async with job.changes() as idle, waiting(lambda: followed(job)) as (wait,):
        move(job, "start")
        job.report(50)
        assert move(job, "succeed").version == 2
        assert await read(idle) == list(job.history)
    assert wait.value == list(job.history)


async def test_changes_of_an_ended_job_end():
    """The stream of a job that has ended gives the past and ends, without sleeping."""
    job = job_in(FAILURE)
    assert at_once(followed(job)) == list(job.history)


async def test_a_stream_is_closed_before_it_is_entered_and_after_it_is_left():
    """Only inside of its block can a stream be read; outside, it says that it is closed."""
    job: Job = Job()
    move(job, "start")
    changes = job.changes()
    assert nobody_listens(job)
    with pytest.raises(anyio.ClosedResourceError):
        at_once(anext(changes))
    async with changes:
        assert at_once(anext(changes)) is job.history[0]
        assert not nobody_listens(job)
    assert nobody_listens(job)
    move(job, "succeed")
    with pytest.raises(anyio.ClosedResourceError):
        at_once(anext(changes))


async def test_closing_a_stream_wakes_the_task_that_waits_for_it():
    """A task that waits for the next change is told when another leaves the block."""
    job: Job = Job()
    changes = job.changes()
    await changes.__aenter__()
    async with waiting(lambda: anext(changes)) as (wait,):
        await changes.__aexit__(None, None, None)
    assert isinstance(wait.error, anyio.ClosedResourceError)
    assert nobody_listens(job)


async def test_closing_a_stream_is_said_even_if_a_change_came_first():
    """A task that was woken by a change and then finds the stream closed is told so."""
    job: Job = Job()
    changes = job.changes()
    await changes.__aenter__()
    async with waiting(lambda: anext(changes)) as (wait,):
        move(job, "start")
        await changes.__aexit__(None, None, None)
    assert isinstance(wait.error, anyio.ClosedResourceError)


async def test_one_task_at_a_time_waits_for_the_next_change():
    """A second task that wants the next change is told that another waits; the first gets it."""
    job: Job = Job()
    async with job.changes() as changes, waiting(lambda: anext(changes)) as (wait,):
        with pytest.raises(anyio.BusyResourceError):
            at_once(anext(changes))
        move(job, "start", "succeed")
        with pytest.raises(anyio.BusyResourceError):  # it is woken, but did not run yet
            at_once(anext(changes))
        await settle()
        assert wait.value is job.history[0]
        assert await read(changes) == [job.history[1]]


async def test_cancelling_the_next_change_misses_nothing():
    """A reader that gave up waiting goes on later where it was."""
    job: Job = Job()
    async with job.changes() as changes:
        for trigger in ("start", "retry", "start", "succeed"):
            assert await read(changes) == []
            move(job, trigger)
            async with waiting(lambda: anext(changes)) as (wait,):
                pass
            assert wait.value is job.history[-1]


async def test_a_change_that_came_with_the_cancellation_is_not_lost():
    """A reader that was woken and cancelled at once finds the change at its next reading."""
    job: Job = Job()
    async with job.changes() as changes:
        wait = Wait(lambda: anext(changes))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait.run)
            await settle()
            move(job, "start")
            wait.scope.cancel()
        got = [wait.value] if wait.answered else []
        assert got + await read(changes) == [job.history[0]]


# --- a job that is abandoned ------------------------------------------------------------------


@every_wait
async def test_abandoning_a_job_wakes_every_wait(wait_for):
    """When what a job depends on has gone, every wait for it is told why; none hangs."""
    job: Job = Job("j1")
    move(job, "start")
    async with waiting(*[lambda: wait_for(job)] * 3) as waits:
        job.abandon("the broker has closed")
    for wait in waits:
        assert type(wait.error) is JobAbandoned
        assert (wait.error.job_id, wait.error.status) == ("j1", STARTED)
        assert wait.error.reason == "the broker has closed"
        said = "job j1 was STARTED when it was abandoned: the broker has closed"
        assert str(wait.error) == said
    assert nobody_listens(job)


@every_wait
async def test_waits_for_an_abandoned_job_fail_until_it_ends(wait_for):
    """A wait that begins later fails at once; when the job has ended, it is answered."""
    job: Job = Job()
    job.abandon("the broker has closed")
    move(job, "start")
    with pytest.raises(JobAbandoned):
        at_once(wait_for(job))
    assert nobody_listens(job)
    move(job, "fail")
    try:
        at_once(wait_for(job))
    except JobFailed:
        assert wait_for is value_of


@every_wait
async def test_an_abandoned_job_that_ends_before_its_waits_run(wait_for):
    """A job that is abandoned and ends in the same breath has ended, and its waits say so."""
    job: Job = Job()
    async with waiting(lambda: wait_for(job)) as (wait,):
        job.abandon("the broker has closed")
        move(job, "fail")
    assert wait.answered or isinstance(wait.error, JobFailed)
    assert nobody_listens(job)


async def test_abandoning_leaves_the_job_as_it_is():
    """Abandoning is told to waits alone: the job keeps its status and can still be moved."""
    job: Job = Job()
    before = job.snapshot()
    job.abandon("the broker has closed")
    assert job.snapshot() == before
    assert job.history == ()
    move(job, "start", "succeed")
    assert await job == 7


async def test_abandoning_an_ended_job_changes_nothing():
    """The outcome of a job that has ended is known, whatever has gone since."""
    job = job_in(SUCCESS)
    job.abandon("the broker has closed")
    assert at_once(job.completed()).status is SUCCESS
    assert at_once(job.reached(SUCCESS)) is job.history[-1]
    assert at_once(followed(job)) == list(job.history)
    with pytest.raises(Unreachable):
        at_once(job.reached(FAILURE))


async def test_abandoning_again_gives_the_newest_reason():
    """Waits that begin later are told what was said last."""
    job: Job = Job()
    job.abandon("the broker has closed")
    move(job, "start")
    job.abandon("the host has gone")
    with pytest.raises(JobAbandoned, match="was STARTED when it was abandoned: the host has gone"):
        await job.completed()


async def test_what_has_happened_is_told_of_an_abandoned_job():
    """Nothing is taken back: past transitions are still read, before the stream says the rest."""
    job: Job = Job()
    move(job, "start")
    async with job.changes() as changes:
        move(job, "retry")
        job.abandon("the broker has closed")
        assert at_once(job.reached(STARTED)) is job.history[0]
        assert [at_once(anext(changes)) for _ in range(2)] == list(job.history)
        for _ in range(2):
            with pytest.raises(JobAbandoned):
                at_once(anext(changes))
        move(job, "revoke")
        assert await read(changes) == [job.history[-1]]


async def test_each_wait_for_an_abandoned_job_has_an_error_of_its_own():
    """Waits share no exception, whose traceback would grow and keep what they were holding."""

    class Held:
        pass

    job: Job = Job()
    job.abandon("the broker has closed")
    held: list[weakref.ref[Held]] = []
    depths = []

    async def attempt() -> None:
        holding = Held()
        held.append(weakref.ref(holding))
        try:
            await job.completed()
        except JobAbandoned as error:
            depth, traceback = 0, error.__traceback__
            while traceback is not None:
                depth, traceback = depth + 1, traceback.tb_next
            depths.append(depth)

    for _ in range(3):
        await attempt()
    gc.collect()
    assert len(set(depths)) == 1
    assert [reference() for reference in held] == [None] * 3


# --- cancelling a wait ------------------------------------------------------------------------


@every_wait
async def test_cancelling_a_wait_touches_nothing_and_leaves_nothing(wait_for):
    """A wait that was given up leaves no listener, no task and no reference, and no trace."""

    async def give_up() -> weakref.ref[Job]:
        job: Job = Job()
        move(job, "start")
        before = job.snapshot()
        wait = Wait(lambda: wait_for(job))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait.run)
            await settle()
            assert not nobody_listens(job)
            wait.scope.cancel()
        assert wait.over
        assert wait.scope.cancelled_caught
        assert (wait.answered, wait.error) == (False, None)
        assert job.snapshot() == before
        assert nobody_listens(job)
        assert job._turn is None
        return weakref.ref(job)

    running = len(anyio.get_running_tasks())
    reference = await give_up()
    assert len(anyio.get_running_tasks()) == running
    gc.collect()
    assert reference() is None


@every_wait
async def test_a_native_cancellation_leaves_nothing(wait_for, anyio_backend_name):
    """``task.cancel()`` of asyncio and the scopes of Trio end a wait as those of anyio do."""
    job: Job = Job()

    async def wait() -> None:
        await wait_for(job)

    if anyio_backend_name == "trio":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await settle()
            assert not nobody_listens(job)
            nursery.cancel_scope.cancel()
    else:
        task = asyncio.ensure_future(wait())
        await settle()
        assert not nobody_listens(job)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    assert (job.status, nobody_listens(job)) == (PENDING, True)


@every_wait
async def test_a_deadline_belongs_to_the_caller(wait_for):
    """A wait whose time is over raises the caller's TimeoutError, and the job goes on."""
    job: Job = Job()
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0):
            await wait_for(job)
    assert nobody_listens(job)
    assert move(job, "start").dest is STARTED


@every_wait
@pytest.mark.parametrize("first", ["end", "cancel"])
async def test_a_wait_that_is_woken_and_cancelled_at_the_same_time(wait_for, first):
    """It is answered or cancelled, one of the two, and nothing is left in either case."""
    job: Job = Job()
    wait = Wait(lambda: wait_for(job))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait.run)
        await settle()
        if first == "end":
            move(job, "fail")
        wait.scope.cancel()
        if first == "cancel":
            move(job, "fail")
    came = (wait.answered, wait.error is not None, wait.scope.cancelled_caught)
    assert sum(came) == 1
    assert wait.error is None or isinstance(wait.error, JobFailed)
    assert nobody_listens(job)
    try:
        at_once(wait_for(job))
    except JobFailed:
        assert wait_for is value_of


@every_wait
@pytest.mark.parametrize("first", ["end", "cancel"])
def test_a_wait_that_is_woken_and_natively_cancelled_at_the_same_time(wait_for, first):
    """A task of asyncio that is cancelled while its wait is answered is cancelled."""

    async def run() -> None:
        job: Job = Job()
        task = asyncio.ensure_future(wait_for(job))
        await settle()
        if first == "end":
            move(job, "fail")
        task.cancel()
        if first == "cancel":
            move(job, "fail")
        await asyncio.wait([task])
        assert task.cancelled()
        assert nobody_listens(job)

    asyncio.run(run())


@every_wait
async def test_a_wait_that_is_dropped_leaves_nothing(wait_for):
    """A coroutine that is closed in the middle of its wait takes itself off."""
    job: Job = Job()
    wait = wait_for(job).__await__()
    next(wait)
    assert not nobody_listens(job)
    wait.close()
    assert nobody_listens(job)


# --- no wake-up is lost -----------------------------------------------------------------------


@every_wait
@pytest.mark.parametrize("turns", range(6))
async def test_an_end_at_any_moment_is_heard(wait_for, turns):
    """However far a wait has got when the job ends, it is answered: no moment is a gap."""
    job: Job = Job()
    wait = Wait(lambda: wait_for(job))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait.run)
        for _ in range(turns):
            await checkpoint()
        move(job, "fail")
        await settle()
        over = wait.over
        tasks.cancel_scope.cancel()
    assert over
    assert wait.answered or isinstance(wait.error, JobFailed)
    assert nobody_listens(job)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_the_order_every_wait_is_answered(seed):
    """Waits of every kind, begun and given up at random while the job moves, all come right."""
    order = random.Random(seed)
    job: Job = Job(max_attempts=None)
    readings: list[tuple[int, list[Any]]] = []

    async def pause() -> None:
        for _ in range(order.randrange(8)):
            await checkpoint()

    async def follow() -> None:
        after = order.randrange(4)
        async with job.changes(after) as changes:
            got = [change async for change in changes]
        readings.append((after, [change for change in got if isinstance(change, Transition)]))

    async def reach() -> None:
        after, wanted = order.randrange(4), order.choice(list(JobStatus))
        try:
            arrival = await job.reached(wanted, after=after)
        except Unreachable:
            assert job.status is not wanted or job.version <= after or path(job.status, wanted)
        else:
            entered = [t for t in job.history[after:] if t.dest is wanted]
            assert arrival is entered[0]

    async def end() -> None:
        assert await job.completed() == job.outcome

    async def gather() -> None:
        assert await all_completed([job, job]) == [job.outcome] * 2

    async def one_of(kinds: list[Callable[[], Awaitable[None]]]) -> None:
        await pause()
        with anyio.CancelScope() as scope:
            if order.random() < 0.2:
                scope.cancel()
            await order.choice(kinds)()

    async def drive() -> None:
        for _ in range(10):
            await pause()
            if job.status is STARTED:
                job.report(order.randrange(101))
            triggers = [t for s, t in STEPS[job.status].items() if s not in FINAL]
            move(job, order.choice(sorted(triggers)))
        await pause()
        move(job, "fail")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one_of, [follow, reach, end, gather])
            tasks.start_soon(drive)
    assert nobody_listens(job)
    for after, got in readings:
        assert got == list(job.history[after:])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3))))
def test_listeners_are_told_in_the_order_in_which_they_joined(operations):
    """Listeners come and go in any order, each is told once, and none is left at the end."""
    some = [object() for _ in range(4)]
    listeners: Any = None
    expected: list[object] = []
    for joins, number in operations:
        one = some[number]
        if joins:
            listeners = joined(listeners, one)
            expected = expected if one in expected else [*expected, one]
        else:
            listeners = left(listeners, one)
            expected = [other for other in expected if other is not one]
        assert list(each(listeners)) == expected
        assert (listeners is None) is (not expected)


async def test_listeners_are_told_of_a_job_that_has_moved():
    """Whoever is told of a step finds it done: the status, the history and the outcome agree."""
    job: Job = Job()
    seen: list[tuple[Any, ...]] = []

    class Listener:
        def moved(self, moved: Job[Any, Any]) -> None:
            assert moved is job
            seen.append((job.status, job.version, job.history[-1].dest))

        def ended(self, job: Job[Any, Any]) -> None:
            assert job.outcome is not None
            seen.append((job.status, job.version, job.outcome.status))

    listener = Listener()
    job._at_step = joined(job._at_step, listener)  # type: ignore[arg-type]
    job._at_end = joined(job._at_end, listener)
    move(job, "start", "succeed")
    assert seen == [(STARTED, 1, STARTED), (SUCCESS, 2, SUCCESS), (SUCCESS, 2, SUCCESS)]


async def test_one_listener_hears_of_many_jobs():
    """A listener is told which job moved, reported or was abandoned."""
    heard: list[tuple[str, str]] = []

    class Listener:
        def moved(self, job: Job[Any, Any]) -> None:
            heard.append(("moved", job.id))

        def reported(self, job: Job[Any, Any]) -> None:
            heard.append(("reported", job.id))

        def ended(self, job: Job[Any, Any]) -> None:
            heard.append(("ended", job.id))

    listener, jobs = Listener(), [Job("a"), Job("b")]
    for job in jobs:
        job._at_step = joined(job._at_step, listener)
    for job in jobs:
        move(job, "start")
        job.report(10)
    jobs[0].abandon("gone")
    move(jobs[1], "succeed")
    assert heard == [
        *[("moved", "a"), ("reported", "a"), ("moved", "b"), ("reported", "b")],
        *[("ended", "a"), ("moved", "b")],
    ]


@pytest.mark.parametrize("written", [True, False])
async def test_nobody_hears_of_a_transition_before_its_journal_has_it(written):
    """What is not written down yet has not happened; if it cannot be written, it never does."""
    begun, go_on = anyio.Event(), anyio.Event()

    class Journal:
        async def append(self, entry: Entry) -> None:
            begun.set()
            await go_on.wait()
            if not written:
                raise OSError("disk full")

    job: Job = Job(journal=Journal())
    ends = [value_of, lambda job: job.reached(FAILURE), followed, gathered]
    async with waiting(*[lambda end=end: end(job) for end in ends]) as waits:  # type: ignore[misc]
        async with waiting(lambda: job.fail("no data")) as (trigger,):
            await begun.wait()
            await settle()
            meanwhile = [job.status, *[wait.over for wait in waits]]
            go_on.set()
        assert meanwhile == [PENDING, False, False, False, False]
        assert isinstance(trigger.error, OSError) is not written
        assert [wait.over for wait in waits] == [written] * len(waits)
        for wait in waits:
            wait.scope.cancel()
    assert job.status is (FAILURE if written else PENDING)
    assert nobody_listens(job)


async def test_a_listener_that_leaves_while_others_are_told():
    """What one wait does when it is woken does not keep another from being woken."""
    job: Job = Job()
    streams = [job.changes() for _ in range(4)]
    for stream in streams:
        await stream.__aenter__()

    class Leaving:
        def moved(self, moved: Job[Any, Any]) -> None:
            for listener in streams[1:3]:
                job._at_step = left(job._at_step, listener)
            job._at_step = left(job._at_step, self)

    job._at_step = left(job._at_step, streams[0])
    job._at_step = joined(job._at_step, Leaving())  # type: ignore[arg-type]
    job._at_step = joined(job._at_step, streams[0])
    async with waiting(lambda: anext(streams[0]), lambda: anext(streams[3])) as waits:
        move(job, "start")
    assert [wait.value for wait in waits] == [job.history[0]] * 2


# --- no timers --------------------------------------------------------------------------------


def thousand_waits(jobs: list[Job]) -> list[Awaitable[Any]]:
    """Return waits of every kind for a thousand jobs."""
    kinds = list(WAITS.values())
    return [kinds[i % len(kinds)](job) for i, job in enumerate(jobs)]


class WatchedSelector(selectors.DefaultSelector):
    """Notes how long the loop means to sleep; when that is for ever, calls `when_idle`."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[float | None] = []
        self.when_idle: Callable[[], object] = lambda: None

    def select(self, timeout: float | None = None) -> Any:
        """Note how long the loop would sleep if nothing came."""
        self.timeouts.append(timeout)
        if timeout is None:
            self.when_idle()
        return super().select(timeout)


def test_idle_waits_schedule_nothing_on_asyncio():
    """With a thousand idle waits the loop of asyncio has no timer, and sleeps without an end."""
    selector = WatchedSelector()
    timers: list[Any] = []

    class Loop(asyncio.SelectorEventLoop):
        def call_later(self, *args: Any, **kwargs: Any) -> Any:
            timers.append(args)
            return super().call_later(*args, **kwargs)

        def call_at(self, *args: Any, **kwargs: Any) -> Any:
            timers.append(args)
            return super().call_at(*args, **kwargs)

    async def idle() -> None:
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()
        selector.when_idle = lambda: loop.call_soon_threadsafe(seen.set)
        await seen.wait()

    async def run() -> None:
        jobs: list[Job] = [Job() for _ in range(1000)]
        tasks = [asyncio.ensure_future(wait) for wait in thousand_waits(jobs)]
        await settle()
        assert not any(map(nobody_listens, jobs))
        begun = len(selector.timeouts)
        await idle()
        turns = selector.timeouts[begun:]
        assert turns[-1 if turns[-1] is None else -2] is None
        assert [timeout for timeout in turns if timeout not in (0, None)] == []
        assert len(turns) <= 3
        assert not any(task.done() for task in tasks)
        for job in jobs:
            move(job, "fail")
        await asyncio.wait(tasks)

    with asyncio.Runner(loop_factory=lambda: Loop(selector)) as runner:
        runner.run(run())
    assert timers == []


def test_idle_waits_schedule_nothing_on_trio():
    """With a thousand idle waits Trio has no deadline, runs no task, and sleeps without an end."""

    class Idle(trio.abc.Instrument):
        def __init__(self) -> None:
            self.scheduled = 0
            self.slept = trio.Event()
            self.token = trio.lowlevel.current_trio_token()

        def task_scheduled(self, task: Any) -> None:
            self.scheduled += 1

        def before_io_wait(self, timeout: float) -> None:
            if timeout > 3600:
                self.token.run_sync_soon(self.slept.set)

    async def run() -> None:
        jobs: list[Job] = [Job() for _ in range(1000)]
        waits = [Wait(lambda w=w: w) for w in thousand_waits(jobs)]  # type: ignore[misc]
        async with trio.open_nursery() as nursery:
            for wait in waits:
                nursery.start_soon(wait.run)
            await settle()
            assert not any(map(nobody_listens, jobs))
            idle = Idle()
            trio.lowlevel.add_instrument(idle)
            await idle.slept.wait()
            trio.lowlevel.remove_instrument(idle)
            assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")
            assert idle.scheduled <= 3  # this task, and the one that Trio has for its token
            for job in jobs:
                move(job, "fail")
        assert all(wait.over for wait in waits)

    trio.run(run)


# --- where a wait may be ----------------------------------------------------------------------


@every_wait
@pytest.mark.parametrize("place", ["guard", "before", "on_exit"])
async def test_a_hook_before_the_commit_cannot_wait_for_its_own_job(wait_for, place):
    """A hook that the job waits for may not wait for the job: it is told, and nothing has moved."""
    lifecycle = JOB_LIFECYCLE.derive()
    selector = PENDING if place == "on_exit" else "start"

    @getattr(lifecycle, place)(selector)
    async def hook(event):
        await wait_for(event.job)
        return True

    job: Job = Job("j1", lifecycle=lifecycle)
    with anyio.fail_after(5):
        with pytest.raises(ReentrantWait) as caught:
            await job.start()
    assert (caught.value.job_id, caught.value.status) == ("j1", PENDING)
    assert str(caught.value) == (
        "job j1 is PENDING and in the middle of a transition that this very task runs: "
        "the wait would never end; wait in another task"
    )
    assert (job.status, job.version, nobody_listens(job)) == (PENDING, 0, True)


@every_wait
@pytest.mark.parametrize("place", ["on_enter", "after", "job.on"])
async def test_a_hook_after_the_commit_cannot_wait_for_its_own_job(wait_for, place):
    """A hook that holds up its job's next step may not wait for it: the caller is told."""
    lifecycle = JOB_LIFECYCLE.derive()

    async def hook(event):
        await wait_for(event.job)

    if place != "job.on":
        getattr(lifecycle, place)(STARTED if place == "on_enter" else "start")(hook)
    job: Job = Job(lifecycle=lifecycle)
    if place == "job.on":
        job.on(STARTED, hook)
    with anyio.fail_after(5):
        with pytest.raises(HookFailed) as caught:
            await job.start()
    (error,) = caught.value.exceptions
    assert type(error) is ReentrantWait
    assert (job.status, nobody_listens(job), job._turn) == (STARTED, True, None)


async def test_a_hook_may_read_what_has_happened_to_its_own_job():
    """What can be answered at once is answered in a hook too: the past, and the job's end."""
    lifecycle = JOB_LIFECYCLE.derive()
    answers: list[Any] = []

    @lifecycle.on_enter(SUCCESS)
    async def hook(event):
        job = event.job
        answers.append(await job.completed())
        answers.append(await job)
        answers.append(await job.reached(STARTED))
        answers.append(await followed(job))
        answers.append(await all_completed([job]))
        with pytest.raises(Unreachable):
            await job.reached(RETRY)

    job: Job = Job(lifecycle=lifecycle)
    await job.start()
    await job.succeed(7)
    assert answers == [job.outcome, 7, job.history[0], list(job.history), [job.outcome]]


async def test_a_hook_may_wait_for_another_job():
    """Only a job's own hooks are in its way: those of another wait for it as anybody."""
    lifecycle = JOB_LIFECYCLE.derive()
    other: Job = Job()

    @lifecycle.before("start")
    async def hook(event):
        await other.completed()

    job: Job = Job(lifecycle=lifecycle)
    async with waiting(job.start) as (wait,):
        assert job.status is PENDING
        move(other, "start", "succeed")
    assert wait.value is job.history[0]


async def test_another_task_may_wait_while_a_hook_runs():
    """A task that a hook started, or any other, waits for the job in the midst of a transition."""
    lifecycle = JOB_LIFECYCLE.derive()
    entered, go_on = anyio.Event(), anyio.Event()

    @lifecycle.before("start")
    async def hook(event):
        tasks.start_soon(from_hook.run)
        entered.set()
        await go_on.wait()

    job: Job = Job(lifecycle=lifecycle)
    from_hook = Wait(job.completed)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job.start)
        await entered.wait()
        async with waiting(job.completed, lambda: job.reached(STARTED)) as waits:
            assert job.status is PENDING
            go_on.set()
            await settle()
            move(job, "succeed")
    assert [wait.value for wait in (from_hook, *waits)] == [
        job.outcome,
        job.outcome,
        job.history[0],
    ]


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="since Python 3.12")
@pytest.mark.parametrize("at_once", [False, True])
def test_an_eager_task_that_a_hook_starts_may_wait(at_once):
    """A task that runs as soon as a hook makes it is another task, and may wait for the job."""
    lifecycle = JOB_LIFECYCLE.derive()
    tasks: list[asyncio.Task[Any]] = []

    @lifecycle.on_enter(STARTED)
    def hook(event):
        tasks.append(asyncio.create_task(event.job.completed()))

    async def run() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        job: Job = Job(lifecycle=lifecycle)
        if at_once:
            job.start_nowait()
        else:
            await job.start()
        move(job, "succeed")
        assert await tasks[0] == job.outcome

    asyncio.run(run())


@every_wait
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_a_wait_in_another_loop_is_refused(wait_for, ended, backend):
    """A job is awaited in its own event loop; any other would not be woken, and is told so."""
    job: Job = Job("j1")
    if ended:
        move(job, "fail")

    async def wait() -> None:
        await wait_for(job)

    with pytest.raises(WrongThread) as caught:
        in_thread(lambda: anyio.run(wait, backend=backend))
    assert caught.value.job_id == "j1"
    assert "event loop" in caught.value.owner
    assert caught.value.owner != caught.value.here
    assert nobody_listens(job)


@pytest.mark.parametrize(
    "ask",
    [lambda job: job.changes(), lambda job: as_completed([job]), lambda job: job.abandon("gone")],
    ids=["changes", "as_completed", "abandon"],
)
async def test_streams_and_abandoning_are_refused_in_another_thread(ask):
    """What is not awaited is refused in another thread all the same."""
    job: Job = Job()
    with pytest.raises(WrongThread):
        in_thread(lambda: ask(job))
    assert nobody_listens(job)
    assert job._abandoned is None


@pytest.mark.parametrize("enters", [True, False])
async def test_a_stream_that_was_carried_to_another_loop_is_refused(enters):
    """A stream made here cannot be entered or waited for elsewhere, where nobody would wake it."""
    job: Job = Job()
    changes = job.changes()
    if not enters:
        await changes.__aenter__()

    async def elsewhere() -> None:
        await (changes.__aenter__() if enters else anext(changes))

    with pytest.raises(WrongThread):
        in_thread(lambda: anyio.run(elsewhere))
    assert nobody_listens(job) is enters


@backends
def test_waiting_for_a_stream_made_outside_brings_the_job_into_the_loop(backend):
    """A job made where no loop runs belongs to the loop in which its changes are awaited."""
    job: Job = Job()
    made_outside = job.changes()

    async def wait() -> None:
        async with made_outside as changes:
            assert await read(changes) == []

    anyio.run(wait, backend=backend)
    with pytest.raises(WrongThread):
        job.start_nowait()


@backends
def test_a_job_made_outside_is_awaited_in_the_first_loop(backend):
    """A job made where no loop runs can be awaited, and belongs to that loop from then on."""
    job: Job = Job()

    async def wait() -> None:
        async with waiting(job.completed) as (wait,):
            move(job, "start", "succeed")
        assert wait.value == job.outcome

    anyio.run(wait, backend=backend)
    with pytest.raises(WrongThread):
        anyio.run(job.completed, backend=backend)


# --- progress and statuses, told apart --------------------------------------------------------


async def test_progress_survives_a_pause():
    """A reader who comes to a report after a pause and what followed is told of it all the same."""
    job: Job = Job(lifecycle=PAUSABLE)
    move(job, "start")
    async with job.changes(after=1) as changes:
        job.report(30)
        move(job, "pause")
        assert (await anext(changes)).trigger == "pause"  # type: ignore[union-attr]
        told = await anext(changes)
        assert isinstance(told, Progress)
        assert (told.progress, told.version, told.attempt) == (30.0, 2, 1)
    move(job, "resume")
    async with job.changes(after=job.version) as late:
        assert (await anext(late)).progress == 30.0  # type: ignore[union-attr]


async def test_a_report_without_progress_reaches_a_late_reader():
    """What was reported of the attempt under way is told, be it only information."""
    job: Job = Job()
    move(job, "start")
    job.report(info={"loss": 0.5})
    async with job.changes(after=1) as changes:
        told = await anext(changes)
    assert isinstance(told, Progress)
    assert told.info == {"loss": 0.5}


async def test_progress_of_an_ended_attempt_is_not_told():
    """A reader who comes after the attempt has ended hears of its end alone."""
    job: Job = Job()
    move(job, "start")
    async with job.changes(after=1) as changes:
        job.report(30)
        move(job, "retry", "start")
        assert [(await anext(changes)).trigger for _ in range(2)] == ["retry", "start"]  # type: ignore[union-attr]
        job.report(10)
        assert (await anext(changes)).progress == 10.0  # type: ignore[union-attr]


async def test_a_reader_who_enters_after_the_attempt_hears_nothing_of_its_progress():
    """What was reported of an attempt that has ended is no news, before the next one starts."""
    job: Job = Job()
    move(job, "start")
    job.report(30)
    move(job, "retry")
    async with job.changes(after=job.version) as changes:
        assert await read(changes) == []


async def test_progress_tells_when_it_was_reported():
    """The moment is that of the report, whatever the job has done since."""
    now = [1000.0]
    job: Job = Job(lifecycle=PAUSABLE, clock=lambda: now[0])
    move(job, "start")
    now[0] = 1010.0
    job.report(30)
    now[0] = 1020.0
    move(job, "beat")
    async with job.changes(after=job.version) as changes:
        told = await anext(changes)
    assert told.timestamp == 1010.0


async def test_statuses_of_equal_value_are_told_apart():
    """Two statuses that Python holds to be equal are two statuses, known by their names."""

    class Here(enum.StrEnum):
        WAITING = "idle"

    class There(enum.StrEnum):
        PARKED = "idle"

    assert Here.WAITING == There.PARKED
    lifecycle: Lifecycle[Any] = Lifecycle(
        "yard",
        states=["new", Here.WAITING, There.PARKED, "gone"],
        final=["gone"],
        transitions=[
            ["wait", "new", Here.WAITING],
            ["park", Here.WAITING, There.PARKED],
            ["go", There.PARKED, "gone"],
        ],
    )
    job: Job[Any, Any] = Job(lifecycle=lifecycle)
    move(job, "wait", "park", "go")
    assert (await job.reached(There.PARKED)).trigger == "park"
    assert (await job.reached(Here.WAITING)).trigger == "wait"
