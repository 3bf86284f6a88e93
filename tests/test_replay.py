"""Jobs that several drive: steps taken elsewhere, and triggers judged by them."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    Entry,
    GuardRefused,
    Job,
    JobStatus,
    Lifecycle,
    NotRestorable,
    Outcome,
    Progress,
    RevokeCause,
    TransitionRefused,
)
from jobstate._arguments import UNSET
from jobstate._replay import replay, replay_progress

pytestmark = pytest.mark.anyio

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus


class Shared:
    """A journal in memory that several jobs write, by compare-and-set."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.asked = 0

    async def append(self, entry: Entry) -> list[Entry]:
        """Write, unless somebody was there first."""
        await checkpoint()
        missed = self.entries[entry.transition.version - 1 :]
        if not missed:
            self.entries.append(entry)
        return missed

    async def missed(self, job_id: str, after: int) -> list[Entry]:
        """Return what came after."""
        self.asked += 1
        await checkpoint()
        return self.entries[after:]


def two(**options: Any) -> tuple[Job[Any], Job[Any], Shared]:
    """Return two jobs of one journal."""
    journal = Shared()
    first, second = (Job[Any]("both", journal=journal, **options) for _ in "ab")
    return first, second, journal


def told(job: Job[Any]) -> tuple[Any, ...]:
    """Return all that a journal can know of a job."""
    shot = job.snapshot()
    return (
        (shot.status, shot.version, shot.attempt, shot.result, shot.error_reason),
        (shot.error_message, dict(shot.extras), shot.retry_at, job.history),
        (job.outcome and job.outcome.meaning, shot.updated_at),
    )


async def test_of_two_that_race_one_is_judged_by_what_the_other_did():
    """The loser takes the winner's step, and is refused by the status that the job then has."""
    first, second, journal = two()
    start = await first.start()
    with pytest.raises(TransitionRefused) as caught:
        await second.start()
    assert caught.value.status == STARTED
    assert second.history == (start,) == tuple(entry.transition for entry in journal.entries)
    assert (second.status, second.attempt) == (STARTED, 1)


async def test_the_loser_goes_on_where_its_trigger_is_still_possible():
    """A trigger that the new status allows is taken from there."""
    first, second, journal = two()
    await first.start()
    await first.retry("broke", delay=5)
    end = await second.revoke("enough")
    assert (end.source, end.dest, end.version) == (RETRY, REVOKED, 3)
    assert [entry.transition for entry in journal.entries] == list(second.history)


async def test_guards_are_asked_anew():
    """Each judgement asks the guards, with an event that tells where the job stands."""
    lifecycle = JOB_LIFECYCLE.derive()
    sources = []

    @lifecycle.guard("revoke")
    def note(event):
        sources.append((event.source, event.job.status))
        return event.source is PENDING

    first, second, _ = two(lifecycle=lifecycle)
    await first.start()
    await first.retry("broke")
    with pytest.raises(GuardRefused):
        await second.revoke()
    assert sources == [(PENDING, PENDING), (RETRY, RETRY)]
    assert second.status is RETRY


async def test_event_data_tells_where_the_job_stands():
    """In a lifecycle with ``send_event``, the state is that of the second judgement."""
    states = []
    lifecycle = Lifecycle[str](
        "sent",
        states=["OPEN", "HALF", {"name": "SHUT", "final": True}],
        transitions=[
            {"trigger": "shut", "source": ["OPEN", "HALF"], "dest": "SHUT", "before": "noted"},
            {"trigger": "turn", "source": "OPEN", "dest": "HALF"},
        ],
        send_event=True,
    )

    class Noting(Job[Any, str], lifecycle=lifecycle):
        def noted(self, data):
            states.append(data.state.name)

    journal = Shared()
    first, second = (Noting("both", journal=journal) for _ in "ab")
    await first.trigger("turn")
    await second.trigger("shut")
    assert states == ["OPEN", "HALF"]


async def test_nobody_is_refused_for_what_was_true_before():
    """A trigger that is not possible yet is possible once what others did is known."""
    first, second, journal = two()
    await first.start()
    end = await second.succeed(7)
    assert (end.version, second.result, journal.asked) == (2, 7, 1)
    with pytest.raises(TransitionRefused):
        await first.fail("late")
    assert (first.status, first.result) == (SUCCESS, 7)


async def test_whether_a_trigger_may_be_taken_is_told_by_what_others_did():
    """Guards are asked where the job stands by its journal."""
    first, second, _ = two()
    await first.start()
    assert await second.may("succeed")
    await first.succeed()
    assert not await second.may("fail", "late")
    assert second.status is SUCCESS


@pytest.mark.parametrize("native", [False, True])
async def test_a_loser_who_was_cancelled_meanwhile_goes_no_further(native, anyio_backend_name):
    """He takes the winner's step, and tries nothing from a status that he had not seen."""
    if native and anyio_backend_name == "trio":
        native = False  # a Trio task has no cancel() of its own
    first, second, journal = two()
    await first.start()
    writing, append = anyio.Event(), journal.append

    async def slow(entry: Entry) -> Any:
        writing.set()
        await checkpoint()
        await checkpoint()
        return await append(entry)

    journal.append = slow  # type: ignore[method-assign]
    if native:
        task = asyncio.ensure_future(second.fail("never"))
        await writing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(second.fail, "never")
            await writing.wait()
            tasks.cancel_scope.cancel()
    assert (second.status, second.version, len(journal.entries)) == (STARTED, 1, 1)
    journal.append = append  # type: ignore[method-assign]
    await second.fail("now")


async def test_what_is_refused_for_good_is_refused():
    """Where nothing was missed the refusal stands; a final status needs no question."""
    first, _, journal = two()
    with pytest.raises(TransitionRefused):
        await first.succeed()
    assert journal.asked == 1
    await first.revoke()
    with pytest.raises(TransitionRefused):
        await first.start()
    assert journal.asked == 1


async def test_cancelled_while_the_journal_is_asked():
    """The job is as it was, and can be moved."""
    journal = Shared()
    asked = anyio.Event()

    async def missed(job_id: str, after: int) -> list[Entry]:
        asked.set()
        await anyio.sleep_forever()
        return []

    journal.missed = missed  # type: ignore[method-assign]
    job = Job[Any](journal=journal)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job.succeed)
        await asked.wait()
        tasks.cancel_scope.cancel()
    assert (job.version, job._turn) == (0, None)
    await job.start()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_caller_does_not_wait_for_an_answer():
    """A deferred trigger that is refused after a cancellation is refused at once."""
    lifecycle = JOB_LIFECYCLE.derive()
    inside = anyio.Event()

    @lifecycle.after("start")
    async def hook(event):
        event.job.defer("start")
        inside.set()
        await checkpoint()

    job, _, journal = two(lifecycle=lifecycle)
    caller = asyncio.create_task(job.start())
    await inside.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await caller
    (refusal,) = caught.value.__cause__.exceptions
    assert isinstance(refusal, TransitionRefused)
    assert (job.status, journal.asked) == (STARTED, 0)


@pytest.mark.parametrize("seed", range(20))
async def test_replayed_jobs_are_as_those_that_moved(seed):
    """Whatever a job went through, one that takes its steps from the journal stands the same."""
    dice = Random(seed)
    journal = Shared()
    times = iter(range(1_000, 2_000))
    moved = Job[Any]("one", journal=journal, max_attempts=3, clock=lambda: float(next(times)))
    while moved.outcome is None:
        trigger = dice.choice(sorted(t for t in moved.lifecycle.triggers if moved.can(t)))
        arguments: dict[str, Any] = {
            "succeed": {"result": {"n": seed}},
            "fail": {"error": ValueError("no")},
            "retry": {"error": OSError("busy"), "delay": 2.5},
            "revoke": {"reason": "enough", "cause": dice.choice(list(RevokeCause))},
        }.get(trigger, {})
        try:
            await moved.trigger(trigger, **arguments, extras={trigger: seed})
        except GuardRefused:
            continue
    follows = Job[Any]("one", clock=lambda: 0.0)
    outcomes: list[Outcome[Any]] = []
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            outcomes.append(await follows.completed())

        tasks.start_soon(wait)
        await checkpoint()
        for entry in journal.entries:
            replay(follows, entry)
    assert told(follows) == told(moved)
    assert outcomes == [moved.outcome]


async def test_a_result_is_kept_where_it_is_one():
    """What a trigger is given as a result is written where the work is done with it."""
    job, _, journal = two()
    await job.trigger("start", result=1)
    await job.succeed(None)
    assert [entry.result for entry in journal.entries] == [UNSET, None]
    assert [entry.final for entry in journal.entries] == [False, True]


async def test_names_become_the_statuses_of_the_lifecycle():
    """What comes out of a store names its statuses; the job's history has the members."""
    first, second, journal = two()
    await first.start()
    (entry,) = journal.entries
    step = entry.transition._replace(source="PENDING", dest="STARTED")
    replay(second, Entry(step))
    assert (second.history[0].source, second.history[0].dest) == (PENDING, STARTED)
    assert all(isinstance(status, JobStatus) for status in second.history[0][3:5])
    for bad in (
        Entry(step._replace(version=2, source="STARTED", dest="PAUSED"), final=False),
        Entry(step._replace(version=2, source="STARTED", dest="SUCCESS"), final=False),
        Entry(step._replace(version=2, source="STARTED", dest="RETRY"), final=True),
    ):
        with pytest.raises(NotRestorable):
            replay(second, bad)
    assert (second.status, second.version) == (STARTED, 1)


async def test_progress_is_taken_where_it_is_of_this_attempt():
    """A report of another attempt, and one that comes too late, change nothing."""
    job, _, _ = two()
    told = Progress("both", 1, 1, 40, {"rows": 4}, 1_000.0)
    assert replay_progress(job, told) is False
    assert job.progress == 0
    await job.start()
    async with job.changes(after=1) as changes:
        assert replay_progress(job, told)
        assert await anext(changes) == told
    assert (job.progress, dict(job.info)) == (40, {"rows": 4})
    assert replay_progress(job, Progress("both", 1, 1, 45, {"rows": 4}, 1_000.5))
    assert (job.progress, job.info) == (45, {"rows": 4})
    assert not replay_progress(job, Progress("both", 1, 2, 10, {}, 1_001.0))
    assert job.progress == 45
    assert replay_progress(job, Progress("both", 1, 1, 46, {}, 999.0))  # by a clock that was set
    assert job.progress == 46
    late = Progress("both", 1, 1, 50, {}, 2.0**33)
    assert replay_progress(job, late)
    assert job.updated_at == late.at
    await job.succeed()
    replay_progress(job, Progress("both", 1, 1, 60, {}, 1_002.0))
    assert job.progress == 100
