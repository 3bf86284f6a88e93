"""Runners whose jobs are kept: what another one takes up, after a crash at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from functools import partial
from random import Random
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    AlreadyClaimed,
    Command,
    CommandResult,
    CorruptRecord,
    DependencyCycle,
    Entry,
    InvalidJobId,
    Job,
    JobAbandoned,
    JobNotFound,
    JobRecord,
    JobRunner,
    JobStatus,
    Lifecycle,
    NewerFormat,
    NotRestorable,
    Progress,
    Retry,
    RevokeCause,
    RunnerClosed,
    StoreBroken,
    StoreBusy,
    StoreClosed,
    Transition,
    Unstorable,
    UnsuitableWork,
    current_job,
    jobs,
)
from jobstate._replay import replay
from jobstate.stores import decoded
from jobstate.stores.memory import MemoryStore
from jobstate.stores.sqlite import SQLiteStore
from jobstate.testing import run_seeded

pytestmark = pytest.mark.anyio

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus
AT_ONCE = Retry(attempts=3, first_delay=0)

ran: list[Any] = []
"""What work has been done, in order."""


@pytest.fixture(autouse=True)
def nothing_has_run():
    """Forget what other tests have done."""
    ran.clear()


async def work(name: str) -> str:
    """Do some work."""
    ran.append(name)
    return f"{name} is done"


async def hang(name: str) -> None:
    """Begin some work, and never end it."""
    ran.append(name)
    await anyio.Event().wait()


async def fail(name: str) -> None:
    """Try some work."""
    ran.append(name)
    raise OSError(name)


def plain(number: int) -> int:
    """Compute."""
    return number + 1


FUNCTIONS = [work, hang, fail, plain]


class Durable(MemoryStore):
    """A store in memory that says of itself that it lasts: the test keeps what is in it."""

    durable = True


async def crashed(store: MemoryStore, upto: int | None = None) -> Durable:
    """Return what a crash leaves of a store: so many of its records."""
    again = Durable()
    for _, text in list(store._log)[:upto]:
        record = decoded(text)
        if isinstance(record, JobRecord):
            await again.create(record)
        else:
            await again.append(record, expected=record.transition.version - 1)
    return again


def runner_of(store: Any, **options: Any) -> JobRunner:
    """Return a runner with a store, which draws no lots."""
    return JobRunner(store=store, functions=FUNCTIONS, random=Random(1), **options)


async def at_work(*names: str) -> None:
    """Return once so much work has begun."""
    while not set(names) <= set(ran):
        await checkpoint()


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


# --- a crash at any moment ------------------------------------------------------------------


class Played:
    """Some jobs that a seed stands for, and what is to become of them."""

    def __init__(self, seed: int) -> None:
        dice = Random(seed)
        self.attempts: dict[str, int] = {}
        self.fails: dict[str, int] = {}
        """How many attempts at each job fail before one succeeds."""

        self.after: dict[str, list[str]] = {}
        self.tried: dict[str, int] = {}
        for number in range(6):
            name = f"job-{number}"
            self.attempts[name] = dice.choice([1, 2, 3])
            self.fails[name] = dice.choice([0, 0, 0, 1, 2])
            self.after[name] = [other for other in self.after if dice.random() < 0.2]
        self.limit = dice.choice([1, 2, None])

    async def work(self, name: str) -> str:
        """Do the work of a job."""
        self.tried[name] = tried = self.tried.get(name, 0) + 1
        await checkpoint()
        if tried <= self.fails[name]:
            raise OSError(name)
        return name

    def runner(self, store: Durable) -> JobRunner:
        """Return a runner that knows the work."""
        return JobRunner(limit=self.limit, store=store, functions={"work": self.work})

    async def first(self, store: Durable) -> None:
        """Have all jobs done, by one runner."""
        async with self.runner(store) as runner:
            for name, after in self.after.items():
                attempts = self.attempts[name]
                retry = None if attempts == 1 else Retry(attempts=attempts, first_delay=0)
                await runner.submit(self.work, name, id=name, retry=retry, after=after)

    async def again(self, store: Durable) -> None:
        """Have a runner go on where a crash has left another."""
        before = {stored.job.id: stored for stored in await store.jobs()}
        async with self.runner(store) as runner:
            recovered = await runner.recover()
            assert recovered.left == {}
            unfinished = {name for name, stored in before.items() if not stored.final}
            assert {job.id for job in recovered.jobs} == unfinished
        kept = await crashed(store)
        for name, stored in before.items():
            now = await kept.load(name)
            assert now.entries[: stored.version] == stored.entries
            assert now.final
            assert not stored.final or now.version == stored.version
            self.check(now, {other.job.id: other.status for other in await kept.jobs()})

    def check(self, stored: Any, statuses: dict[str, str]) -> None:
        """Check that a job has ended as it had to."""
        name, errors = stored.job.id, [each.transition.error for each in stored.entries]
        reasons = [error.reason for error in errors if error is not None]
        if any(statuses[other] != "SUCCESS" for other in self.after[name]):
            assert reasons == ["jobstate.DependencyFailed"]
            return
        attempts = stored.entries[-1].transition.attempt
        assert set(reasons) <= {"OSError", "jobstate.AttemptInterrupted"}
        assert len(reasons) == attempts - (stored.status == "SUCCESS")
        assert stored.status == "SUCCESS" or attempts == self.attempts[name]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("seed", range(12))
def test_after_a_crash_at_any_moment_the_queue_goes_on(seed, backend):
    """Whatever was in the store: what ended stays so, and all else is done, once each at a time."""

    async def main() -> None:
        store = Durable()
        await Played(seed).first(store)
        for moment in range(len(store._log) + 1):
            await Played(seed).again(await crashed(store, moment))

    run_seeded(main, seed=seed, backend=backend)


# --- what is taken up, and how --------------------------------------------------------------


async def left_by(submit: Any, **options: Any) -> Durable:
    """Return what a crash leaves of a runner, right after *submit* has been called with it."""
    store = Durable()
    async with runner_of(store, **options) as runner:
        await submit(runner)
        left = await crashed(store)
        await runner.aclose()
    ran.clear()
    return left


async def test_jobs_that_waited_run_in_their_order():
    """By priority, then in the order in which they were made; their results are kept."""

    async def submit(runner: JobRunner) -> None:
        await runner.submit(hang, "first", id="first")
        await at_work("first")
        for name, priority in (("low", 0), ("high", 5), ("next", 0)):
            await runner.submit(work, name, id=name, priority=priority)

    store = await left_by(submit, limit=1)
    async with runner_of(store, limit=1) as runner:
        jobs, left = await runner.recover()
        assert [(job.id, job.status) for job in jobs] == [
            ("first", STARTED),
            ("low", PENDING),
            ("high", PENDING),
            ("next", PENDING),
        ]
        assert left == {}
    assert ran == ["high", "low", "next"]
    assert [job.result for job in jobs] == [None, "low is done", "high is done", "next is done"]
    assert jobs[0].error_reason == "jobstate.AttemptInterrupted"
    assert jobs[0].error_message == ("attempt 1 was interrupted: the process that ran it has ended")


async def test_an_interrupted_attempt_is_followed_by_another():
    """Where the job may be retried, it is, and the attempt that was lost counts."""

    async def submit(runner: JobRunner) -> None:
        await runner.submit(hang, "north", id="north", retry=Retry(attempts=2, first_delay=0))
        await at_work("north")

    store = await left_by(submit)
    again = Durable()
    async with runner_of(store) as runner:
        ((job,), _) = await runner.recover()
        assert await job.reached(RETRY)
        await at_work("north")
        await job.reached(STARTED, after=2)
        again = await crashed(store)
        await runner.aclose()
    async with runner_of(again) as runner:
        ((job,), _) = await runner.recover()
        outcome = await job.completed()
    assert (outcome.status, outcome.attempts) == (FAILURE, 2)
    assert [step.dest for step in job.history] == [STARTED, RETRY, STARTED, FAILURE]


PAUSABLE = JOB_LIFECYCLE.derive(
    "pausable",
    states=["PAUSED"],
    transitions=[
        ["pause", "STARTED", "PAUSED"],
        ["resume", "PAUSED", "STARTED"],
        ["revoke", "PAUSED", "REVOKED"],
    ],
)


async def paused(retry: Retry | None = None) -> Durable:
    """Return what a crash leaves of a job that was paused at its work."""

    async def submit(runner: JobRunner) -> None:
        job = await runner.submit(hang, "north", id="north", retry=retry)
        await at_work("north")
        await job.trigger("pause")

    return await left_by(submit, lifecycle=PAUSABLE)


@pytest.mark.parametrize(("retry", "then"), [(None, [FAILURE]), (AT_ONCE, [RETRY, STARTED])])
async def test_a_paused_attempt_that_was_interrupted_is_one_once_it_is_resumed(retry, then):
    """Until then it stays as it was, and nobody waits for ever after that."""
    async with runner_of(await paused(retry), lifecycle=PAUSABLE) as runner:
        ((job,), _) = await runner.recover()
        await anyio.wait_all_tasks_blocked()
        assert job.status == "PAUSED"
        await job.trigger("resume")
        await job.reached(then[-1], after=3)
        await runner.aclose()
    assert [step.dest for step in job.history[3 : 3 + len(then)]] == then
    assert job.history[3].error.reason == "jobstate.AttemptInterrupted"


@pytest.mark.parametrize("resumable", [False, True])
async def test_a_runner_closes_whose_paused_jobs_were_interrupted(resumable):
    """They are revoked, or left as they are."""
    store = await paused()
    async with runner_of(store, lifecycle=PAUSABLE, resumable=resumable) as runner:
        await runner.recover()
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await runner.aclose()
        assert (await store.load("north")).status == ("PAUSED" if resumable else "REVOKED")


@pytest.mark.parametrize(("now", "seconds"), [(1_010.0, 50.0), (1_070.0, 0.0), (0.0, 60.0)])
async def test_a_delay_keeps_its_time(now, seconds):
    """A retry is due when it would have been; a clock that was set back makes it no longer."""

    async def submit(runner: JobRunner) -> None:
        retry = Retry(attempts=2, first_delay=60, jitter=0)
        job = await runner.submit(fail, "north", id="north", retry=retry)
        await job.reached(RETRY)

    store = await left_by(submit, clock=Clock(1_000.0))
    async with runner_of(store, clock=Clock(now)) as runner:
        ((job,), _) = await runner.recover()
        assert job.retry_at is not None
        assert job.retry_at.timestamp() == 1_060
        if seconds:
            left = runner._dispatch._timers.next - anyio.current_time()
            assert seconds - 5 < left <= seconds
            await job.revoke()
    assert ran == ([] if seconds else ["north"])


@pytest.mark.parametrize(("now", "seconds"), [(1_010.0, 50.0), (1_070.0, 0.0), (0.0, 60.0)])
async def test_a_deadline_keeps_its_time(now, seconds):
    """What a job has left of its time goes on; where it is over, the job is revoked."""

    async def submit(runner: JobRunner) -> None:
        await runner.submit(hang, "north", id="north", timeout=60)
        await at_work("north")

    store = await left_by(submit, clock=Clock(1_000.0))
    async with runner_of(store, clock=Clock(now)) as runner:
        other = await runner.submit(hang, "other", retry=AT_ONCE)
        runner._dispatch.hold(runner._dispatch.work_of(other))  # type: ignore[arg-type]
        ((job,), _) = await runner.recover()
        if seconds:
            left = runner._dispatch._timers.next - anyio.current_time()
            assert seconds - 5 < left <= seconds
        outcome = await job.completed()
        assert outcome.status in (FAILURE, REVOKED)
        await runner.aclose()


async def test_a_job_whose_time_is_over_is_revoked():
    """A job that waited when its time came to an end does not run any more."""

    async def submit(runner: JobRunner) -> None:
        await runner.submit(hang, "busy", id="busy")
        await runner.submit(work, "north", id="north", timeout=60)
        await at_work("busy")

    store = await left_by(submit, clock=Clock(1_000.0), limit=1)
    async with runner_of(store, clock=Clock(2_000.0)) as runner:
        await runner.recover()
        outcome = await runner.jobs.get("north").completed()
    assert (outcome.status, outcome.cause) == (REVOKED, RevokeCause.TIMEOUT)
    assert ran == []


async def test_what_a_job_comes_after_is_known_again():
    """What has succeeded is not waited for; what has failed fails it; what ran is waited for."""

    async def submit(runner: JobRunner) -> None:
        good = await runner.submit(work, "good", id="good")
        bad = await runner.submit(fail, "bad", id="bad")
        for job in (good, bad):
            await job.completed()
        slow = await runner.submit(hang, "slow", id="slow", retry=AT_ONCE)
        await at_work("slow")
        await runner.submit(work, "after good", id="after-good", after=[good, slow])
        await runner.submit(work, "after bad", id="after-bad", after_end=[bad, "slow"])
        await runner.submit(work, "never", id="never", after=[slow])

    store = await left_by(submit)
    async with JobRunner(store=store, functions={"hang": work, "work": work}) as runner:
        jobs, left = await runner.recover()
        assert left == {}
        outcomes = {job.id: await job.completed() for job in jobs}
    assert {name: each.status for name, each in outcomes.items()} == {
        "slow": SUCCESS,
        "after-good": SUCCESS,
        "after-bad": SUCCESS,
        "never": SUCCESS,
    }
    assert ran[0] == "slow"


async def test_a_dependency_that_is_gone_leaves_the_job():
    """Nobody can tell how a job ended that the store has let go of."""

    async def submit(runner: JobRunner) -> None:
        first = await runner.submit(work, "first", id="first")
        await first.completed()
        await runner.submit(hang, "second", id="second", after=["first"])

    store = await left_by(submit)
    assert await store.prune(ended_before=float(2**40)) == 1
    async with runner_of(store) as runner:
        jobs, left = await runner.recover()
        assert jobs == ()
        with pytest.raises(NotRestorable, match="job first, which it comes after, is not in"):
            raise left["second"]
        assert (await store.load("second")).status == "PENDING"


async def test_what_is_not_known_here_is_left_as_it_is():
    """Functions are found by their registered names alone; what is left can be taken up later."""

    async def submit(runner: JobRunner) -> None:
        await runner.submit(hang, "north", id="north", retry=AT_ONCE)
        await runner.submit(work, "south", id="south", after=["north"])
        await at_work("north")

    store = await left_by(submit)
    before = {stored.job.id: stored for stored in await store.jobs()}
    async with JobRunner(store=store, functions={"os.system": work, "work": work}) as runner:
        jobs, left = await runner.recover()
        assert [job.id for job in jobs] == ["south"]
        assert str(left["north"]) == (
            "job north cannot be restored: 'hang' is not registered, but os.system, work: "
            "JobRunner(functions=[…])"
        )
        assert await store.load("north") == before["north"]
        assert (await runner.recover()).jobs == ()
        runner._kept._registered._by_name["hang"] = work  # type: ignore[union-attr]
        ((job,), left) = await runner.recover()
        assert (job.id, left) == ("north", {})
    assert ran == ["north", "south"]


async def test_jobs_of_another_lifecycle_are_left():
    """A job that follows what this runner does not is not touched."""
    own = JOB_LIFECYCLE.derive("own", cancel_started=True)

    async def submit(runner: JobRunner) -> None:
        await runner.submit(work, "north", id="north")

    store = await left_by(submit, lifecycle=own)
    async with runner_of(store) as runner:
        jobs, left = await runner.recover()
        assert (jobs, list(left)) == ((), ["north"])
        assert "lifecycle 'own'" in str(left["north"])
    async with runner_of(await crashed(store), lifecycle=own) as runner:
        assert len((await runner.recover()).jobs) == 1


async def test_jobs_that_nobody_runs_are_left():
    """A job that was made for somebody's own purposes is no runner's."""
    store = Durable()
    async with jobs.open(store) as stored:
        await stored.create("north")
    async with runner_of(await crashed(store)) as runner:
        assert await runner.recover() == ((), {})


@pytest.mark.parametrize(
    "data",
    [
        {"runner": "x", "v": 1},
        {"runner": "x", "v": 1, "function": "work", "args": 3},
        {"runner": "x", "v": 1, "function": ["work"]},
        {"runner": "x", "v": 1, "function": "tasks"},
        {"runner": "x", "v": 1, "function": "work", "executor": "work"},
        {"runner": "x", "v": "1", "function": "work"},
        {"runner": "x", "function": "work"},
        {"runner": "x", "v": 1, "function": "work", "args": {"a": 1}},
        {"runner": "x", "v": 1, "function": "work", "retry": {"on": ["work", "work"]}},
        {"runner": "x", "v": 1, "function": "work", "priority": "high"},
        {"runner": "x", "v": 1, "function": "work", "retry": {"attempts": 0}},
        {"runner": "x", "v": 1, "function": "work", "retry": 3},
        {"runner": "x", "v": 1, "function": "work", "executor": "clusters"},
        {"runner": "x", "v": 1, "function": "work", "resources": {"gpu": 1}},
        {"runner": "x", "v": 1, "function": "work", "after": ["x"]},
        {"runner": "x", "v": 1, "command": {"argv": ["rm", "-rf", "x"]}},
        {"runner": "a/b", "v": 1, "function": "work"},
        {"runner": 7, "v": 1, "function": "work"},
        {"runner": "x", "v": 2, "function": "work"},
    ],
)
async def test_what_cannot_be_read_is_left(data):
    """Whatever stands in a store, it is done only if it makes sense, and is registered."""
    store = Durable()
    await store.create(JobRecord("north", 1.0, data=data))
    await store.create(JobRecord("south", 2.0, data={"runner": "x", "v": 1, "function": "work"}))
    async with JobRunner(store=store, functions={"work": plain}) as runner:
        jobs, left = await runner.recover()
        assert (list(left), [job.id for job in jobs]) == (["north"], ["south"])
        assert isinstance(left["north"], NewerFormat) is (data.get("v") == 2)
    assert (await crashed(store)).load is not None


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"resources": {"gpu": -1}}, NotRestorable),
        ({"resources": {"gpu": "x"}}, NotRestorable),
        ({"after": {"a/b": True}}, InvalidJobId),
        ({"after": {"north": True}}, DependencyCycle),
        ({"after": {"south": False}}, DependencyCycle),
    ],
)
async def test_what_makes_no_sense_keeps_nothing_else_from_being_taken_up(data, error):
    """What is wrong with a job is told of that job, and those after it wait for it."""
    common = {"runner": "x", "v": 1, "function": "work"}
    after = {"after": {"north": True}}
    store = Durable()
    await store.create(JobRecord("good", 1.0, data=common))
    await store.create(JobRecord("north", 2.0, data=common | data))
    await store.create(
        JobRecord("south", 3.0, data=common | (after if "south" in str(data) else {}))
    )
    await store.create(JobRecord("last", 4.0, data=common | after))
    async with JobRunner(store=store, functions={"work": work}, resources={"gpu": 1}) as runner:
        jobs, left = await runner.recover()
        assert {type(why) for why in left.values()} == {error}
        assert {job.id for job in jobs} | set(left) == {"good", "north", "south", "last"}
        assert "last" not in left
        await runner.aclose()


async def test_a_runner_that_is_closed_takes_up_nothing_more():
    """What it has not come to yet stays in the store for others, as it is."""
    store = Durable()
    for name in "abc":
        data = {"runner": "x", "v": 1, "function": "work", "after": {"y": False}}
        await store.create(JobRecord(name, 1.0, data=data if name != "a" else data | {"after": {}}))
    reading, go_on, load = anyio.Event(), anyio.Event(), store.load

    async def slow(job_id: str) -> Any:
        reading.set()
        await go_on.wait()
        return await load("a")

    async def recover(runner: JobRunner) -> None:
        with pytest.raises(RunnerClosed):
            await runner.recover()

    store.load = slow  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks, runner_of(store) as runner:
        tasks.start_soon(recover, runner)
        await reading.wait()
        tasks.start_soon(runner.aclose)
        while runner._dispatch.closing is None:
            await checkpoint()
        go_on.set()
    store = await crashed(store)
    statuses = {stored.job.id: stored.status for stored in await store.jobs()}
    assert (statuses["b"], statuses["c"]) == ("PENDING", "PENDING")


async def test_what_a_runner_does_not_know_is_left_to_one_that_does(tmp_path):
    """It keeps no claim of which nothing came, so that another runner can have it."""
    path = tmp_path / "jobs.db"
    async with SQLiteStore(path) as store:
        for name, runner, function in (
            ("a", "x", "plain"),
            ("b", "y", "plain"),
            ("c", "y", "work"),
        ):
            data = {"runner": runner, "v": 1, "function": function, "args": [1]}
            await store.create(JobRecord(name, 1.0, data=data))
    async with JobRunner(store=SQLiteStore(path), functions=[work]) as web:
        taken, left = await web.recover()
        assert ([job.id for job in taken], list(left)) == (["c"], ["a", "b"])
        async with JobRunner(store=SQLiteStore(path), functions=[plain]) as batch:
            taken, left = await batch.recover()
            assert ([job.id for job in taken], left) == (["a"], {})
        assert list((await web.recover()).left) == ["b"]


async def test_recovering_twice_finds_nothing_more():
    """What was taken up is here, and is not taken up again."""

    async def submit(runner: JobRunner) -> None:
        await runner.submit(hang, "north", id="north", retry=AT_ONCE)

    store = await left_by(submit)
    async with runner_of(store) as runner:
        assert len((await runner.recover()).jobs) == 1
        assert await runner.recover() == ((), {})
        await runner.aclose()
    with pytest.raises(RunnerClosed):
        await runner.recover()
    async with JobRunner() as without:
        with pytest.raises(UnsuitableWork, match=r"JobRunner\(store=…\)"):
            await without.recover()


async def test_recovering_twice_at_once_takes_each_job_up_once():
    """Two calls that run beside each other share what they find."""

    async def submit(runner: JobRunner) -> None:
        await runner.submit(hang, "first", id="first")
        for number in range(5):
            await runner.submit(work, f"x{number}", id=f"x{number}", after_end=["first"])
        await at_work("first")

    class Slow(Durable):
        async def load(self, job_id: str) -> Any:
            await checkpoint()
            return await super().load(job_id)

        async def unfinished(self, *, after: int = 0) -> Any:
            await checkpoint()
            return await super().unfinished(after=after)

    store = Slow()
    for stored in reversed(await (await left_by(submit)).jobs()):
        await store.create(stored.job)
        for entry in stored.entries:
            await store.append(entry, expected=entry.transition.version - 1)
    taken: list[str] = []

    async with runner_of(store) as runner, anyio.create_task_group() as tasks:
        take = runner._dispatch.take

        def noted(work: Any, timeout: float | None) -> None:
            taken.append(work.job.id)
            take(work, timeout)

        runner._dispatch.take = noted  # type: ignore[method-assign]
        tasks.start_soon(runner.recover)
        tasks.start_soon(runner.recover)
    assert sorted(taken) == ["first", *(f"x{number}" for number in range(5))]
    assert sorted(ran) == [f"x{number}" for number in range(5)]
    assert {job.attempt for job in runner.jobs} == {1}


async def test_a_record_that_cannot_be_read_keeps_no_other_job():
    """What is damaged is told of, and all else is taken up; what cannot be passed is raised."""

    class Damaged(Durable):
        errors: tuple[Exception, ...] = (CorruptRecord("version", "it is odd", "first", 0),)

        async def unfinished(self, *, after: int = 0) -> Any:
            if self.errors:
                error, *rest = self.errors
                self.errors = tuple(rest)
                raise error
            return await super().unfinished(after=after)

    store = Damaged()
    data = {"runner": "x", "v": 1, "function": "work", "args": ["north"], "priority": 0}
    await store.create(JobRecord("north", 1.0, data=data))
    async with runner_of(store) as runner:
        jobs, left = await runner.recover()
        assert ([job.id for job in jobs], list(left)) == (["north"], ["first"])
        store.errors = (CorruptRecord("version", "it is odd"),)
        with pytest.raises(CorruptRecord):
            await runner.recover()


@pytest.mark.parametrize(
    "error", [CorruptRecord("version", "it is odd"), NewerFormat("a stored record", 2, 1)]
)
async def test_a_job_that_cannot_be_read_keeps_those_alone_that_come_after_it(error):
    """Of these it is told why they cannot be taken up, and all else is."""

    class Damaged(Durable):
        async def load(self, job_id: str) -> Any:
            if job_id == "first":
                raise error.at("first", 1)
            return await super().load(job_id)

    store = Damaged()
    data = {"runner": "x", "v": 1, "function": "work"}
    await store.create(
        JobRecord("north", 1.0, data={**data, "args": ["n"], "after": {"first": True}})
    )
    await store.create(JobRecord("south", 1.0, data={**data, "args": ["s"]}))
    async with runner_of(store) as runner:
        taken, left = await runner.recover()
    assert [job.id for job in taken] == ["south"]
    why = f"job first, which it comes after, cannot be read: {error.at('first', 1)}"
    told = {job_id: str(each) for job_id, each in left.items()}
    assert told == {"north": f"job north cannot be restored: {why}"}


async def test_what_is_no_fault_of_one_record_ends_recovering():
    """Where no record is named that could be passed, the store is to blame."""

    class Damaged(Durable):
        async def load(self, job_id: str) -> Any:
            raise CorruptRecord("the counter", "it is missing")

    store = Damaged()
    data = {"runner": "x", "v": 1, "function": "work", "args": ["n"], "after": {"first": True}}
    await store.create(JobRecord("north", 1.0, data=data))
    async with runner_of(store) as runner:
        with pytest.raises(CorruptRecord, match="the counter"):
            await runner.recover()


# --- several runners ------------------------------------------------------------------------


async def test_jobs_of_a_runner_that_lives_are_left_to_it(tmp_path):
    """Two runners on one file do not touch each other's jobs."""
    path = tmp_path / "jobs.db"
    async with runner_of(SQLiteStore(path)) as first:
        mine = await first.submit(hang, "first", id="first", retry=AT_ONCE)
        await at_work("first")
        async with runner_of(SQLiteStore(path)) as second:
            assert await second.recover() == ((), {})
            await second.submit(work, "second", id="second", after=["first"])
            assert mine.status is STARTED
            first.jobs._own.worker = None
            await mine.succeed("other")
        assert second.jobs.get("second").result == "second is done"
    assert ran == ["first", "second"]


DYING = """
import sys, os, signal, anyio
from jobstate import JobRunner, Retry
from jobstate.stores.sqlite import SQLiteStore

async def hang(name):
    print("begun", flush=True)
    await anyio.Event().wait()

async def main(path):
    async with JobRunner(store=SQLiteStore(path), functions=[hang]) as runner:
        await runner.submit(hang, "north", id="north", retry=Retry(attempts=2, first_delay=0))

anyio.run(main, sys.argv[1])
"""


def begun(program: str, path: Any) -> subprocess.Popen[str]:
    """Run a program in a process of its own."""
    command = [sys.executable, "-c", program, os.fspath(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_a_killed_runner_is_replaced_by_one_of_several(tmp_path):
    """After ``kill -9`` one of those that recover takes up each job, and the others do not."""
    path = tmp_path / "jobs.db"
    with begun(DYING, path) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline() == "begun\n"
        async with JobRunner(store=SQLiteStore(path), functions={"hang": work}) as early:
            assert await early.recover() == ((), {})
            dying.send_signal(signal.SIGKILL)
            dying.wait()
            async with JobRunner(store=SQLiteStore(path), functions={"hang": work}) as late:
                found = [await runner.recover() for runner in (early, late)]
                assert [len(each.jobs) for each in found] == [1, 0]
    shot = await jobs.open(path).get("north").snapshot()
    assert (shot.status, shot.attempt, shot.result) == ("SUCCESS", 2, "north is done")


async def test_others_can_end_a_job_of_a_runner(tmp_path):
    """When another process says so, a job that waits leaves the line, and one that runs stops."""
    path = tmp_path / "jobs.db"
    async with runner_of(SQLiteStore(path), limit=1) as runner:
        running = await runner.submit(hang, "running", id="running")
        waiting = await runner.submit(work, "waiting", id="waiting")
        await at_work("running")
        async with jobs.open(path) as others:
            await (await others.load("waiting")).revoke("not needed")
            await (await others.load("running")).revoke("stop", cause=RevokeCause.ADMIN)
        assert (await waiting.completed()).reason == "not needed"
        assert (await running.completed()).cause is RevokeCause.ADMIN
    assert ran == ["running"]


async def test_a_claim_that_is_lost_keeps_the_runner_from_opening():
    """A runner whose own name is taken does not open: nobody would know whose its jobs are."""
    store = Durable()
    runner = runner_of(store)
    assert runner._kept is not None
    await store.claim(runner._kept._runner)
    with pytest.raises(AlreadyClaimed):
        async with runner:
            raise AssertionError("it is open")


async def test_a_job_that_ends_while_it_is_recovered_has_ended():
    """What others do between the reading of a job and its taking is not missed."""

    class Meddled(Durable):
        async def unfinished(self, *, after: int = 0) -> Any:
            page = await super().unfinished(after=after)
            if "north" in [stored.job.id for stored in page]:
                step = Transition("north", 1, "revoke", "PENDING", "REVOKED", 5.0, 0, "quicker")
                await self.append(Entry(step, final=True), expected=0)
                step = Transition("other", 1, "start", "PENDING", "STARTED", 5.0, 1)
                await self.append(Entry(step), expected=0)
                for _ in range(10):
                    await checkpoint()  # until the feed has told of that
            return page

    store = Meddled()
    await store.create(JobRecord("first", 1.0))
    data = {"runner": "x", "v": 1, "function": "work", "args": ["north"], "after": {"first": True}}
    await store.create(JobRecord("north", 1.0, data=data))
    await store.create(JobRecord("other", 1.0))
    async with runner_of(store) as runner:
        async with anyio.create_task_group() as tasks:
            for _ in "ab":
                tasks.start_soon(runner.recover)
        assert (await runner.jobs.get("north").completed()).reason == "quicker"
    assert ran == []


async def test_a_claim_that_is_needed_by_now_is_not_given_back():
    """What one call takes up is left to it, though another gives back what it had no use for."""

    class Meddled(Durable):
        taken: Any = ()

        async def release(self, name: str) -> None:
            await super().release(name)
            if "first" not in self._jobs:
                await self.create(JobRecord("first", 1.0))
                self.taken = (await runner.recover()).jobs

    store = Meddled()
    for name in ("x", "y"):
        data = {"runner": name, "v": 1, "function": "work", "args": [name]}
        await store.create(JobRecord(f"of-{name}", 1.0, data={**data, "after": {"first": True}}))
    async with runner_of(store) as runner:
        assert (await runner.recover()).jobs == ()
        assert [job.id for job in store.taken] == ["of-x", "of-y"]
        for name in ("x", "y"):
            with pytest.raises(AlreadyClaimed):
                await store.claim(name)
        await runner.aclose()


async def test_cancelling_the_block_revokes_what_is_kept():
    """However the block is left, what becomes of the jobs is in the store."""
    store = Durable()
    with anyio.CancelScope() as scope:
        async with runner_of(store, limit=1) as runner:
            for name in ("running", "waiting"):
                await runner.submit(hang, name, id=name)
            await at_work("running")
            scope.cancel()
    for stored in await (await crashed(store)).jobs():
        assert (stored.status, stored.entries[-1].transition.cause) == ("REVOKED", "SHUTDOWN")


# --- submitting -----------------------------------------------------------------------------


async def test_a_job_is_kept_before_it_is_submitted():
    """What `submit` has returned, and each step of it, is in the store."""
    store = Durable()
    async with runner_of(store) as runner:
        job = await runner.submit(work, "north", info={"a": 1}, name="publish")
        kept = await store.load(job.id)
        assert (kept.job.name, kept.job.info, kept.status) == ("publish", {"a": 1}, "PENDING")
        await job.completed()
        assert (await store.load(job.id)).snapshot().result == "north is done"


async def test_what_could_not_be_found_again_is_refused():
    """Functions, exceptions and dependencies that no other process would know; nothing is kept."""
    store = Durable()
    stranger = Job[Any]("stranger")

    async def unknown() -> None:
        raise AssertionError("it is not to run")

    async with runner_of(store) as runner:
        for bad, options in (
            (unknown, {}),
            (lambda: None, {}),
            (Command("true"), {}),
            (work, {"retry": Retry(on=KeyError)}),
            (work, {"after": [stranger]}),
            (work, {"executor": JobRunner().tasks}),
        ):
            args = ("x",) if bad is work else ()
            with pytest.raises(UnsuitableWork, match=r"functions=|not in the runner's"):
                await runner.submit(bad, *args, **options)  # type: ignore[call-overload]
        with pytest.raises(JobNotFound):
            await runner.submit(work, "x", after=["nobody"])
        with pytest.raises(Unstorable, match=r"data\.args\[0\]: set is not JSON"):
            await runner.submit(plain, {1})  # type: ignore[arg-type]
        assert (await store.jobs(), len(runner.jobs)) == ([], 0)


async def test_results_that_cannot_be_kept_fail_their_jobs():
    """The reason says where the result is no JSON."""

    async def odd() -> object:
        return {"x": object()}

    store = Durable()
    async with JobRunner(store=store, functions=[odd]) as runner:
        outcome = await (await runner.submit(odd)).completed()
    assert (outcome.status, outcome.error_reason) == (FAILURE, "jobstate.Unstorable")
    assert "result.x: object is not JSON" in (outcome.error_message or "")


class Slow(Durable):
    """A store that takes as long to make a job as the test likes."""

    def __init__(self) -> None:
        super().__init__()
        self.writing, self.go_on = anyio.Event(), anyio.Event()

    async def create(self, job: JobRecord) -> int:
        """Wait, and write."""
        self.writing.set()
        await self.go_on.wait()
        return await super().create(job)


async def test_cancelled_while_it_is_kept_a_job_is_submitted():
    """What may be in the store has somebody who does it; the cancellation goes on after that."""
    store = Slow()
    after: list[str] = []
    async with runner_of(store) as runner:
        scope = anyio.CancelScope()

        async def submit() -> None:
            with scope:
                await runner.submit(work, "north", id="north")
                await checkpoint()
                after.append("not cancelled")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(submit)
            await store.writing.wait()
            scope.cancel()
            await checkpoint()
            store.go_on.set()
        assert after == []
        assert (await runner.jobs.get("north").completed()).result == "north is done"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_task_has_submitted_its_job():
    """The same for a task's own ``cancel()``, which no scope shields from."""
    store = Slow()
    async with runner_of(store) as runner:
        task = asyncio.create_task(runner.submit(work, "north", id="north"))
        await store.writing.wait()
        task.cancel()
        await checkpoint()
        store.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await runner.jobs.get("north").completed()).result == "north is done"


async def test_a_runner_that_is_left_waits_for_what_is_being_submitted():
    """A job that is on its way into the store is done, or revoked, like all others."""
    submitted: list[Any] = []
    for closes in (False, True):
        store = Slow()

        async def submit(runner: JobRunner) -> None:
            submitted.append(await runner.submit(work, "north"))

        async def later(store: Slow = store) -> None:
            for _ in range(10):
                await checkpoint()
            store.go_on.set()

        async with anyio.create_task_group() as tasks, runner_of(store) as runner:
            tasks.start_soon(submit, runner)
            await store.writing.wait()
            tasks.start_soon(later)
            if closes:
                await runner.aclose()
    assert [job.status for job in submitted] == [SUCCESS, REVOKED]


async def test_what_is_being_submitted_is_not_recovered():
    """A job that is in the store already and will be here at once is nobody else's to take up."""

    class Seen(Slow):
        async def create(self, job: JobRecord) -> int:
            position = await Durable.create(self, job)
            self.writing.set()
            await self.go_on.wait()
            return position

    store = Seen()
    async with runner_of(store) as runner, anyio.create_task_group() as tasks:
        submitted: list[Any] = []

        async def submit() -> None:
            submitted.append(await runner.submit(work, "north", id="north"))

        tasks.start_soon(submit)
        await store.writing.wait()
        assert await runner.recover() == ((), {})
        store.go_on.set()
        after = await runner.submit(work, "south", after=["north"])
        assert await after == "south is done"
    assert submitted == [runner.jobs.get("north")]
    assert ran == ["north", "south"]


async def test_a_runner_that_closes_while_a_dependency_is_read_says_so():
    """Whoever submits is told of the runner, and not of the store that it would have closed."""
    store = Durable()
    await store.create(JobRecord("a", 1.0))
    reading, go_on, load = anyio.Event(), anyio.Event(), store.load

    async def slow(job_id: str) -> Any:
        reading.set()
        await go_on.wait()
        return await load(job_id)

    async def submit(runner: JobRunner) -> None:
        with pytest.raises(RunnerClosed, match="cannot submit work: the runner is closing"):
            await runner.submit(work, "b", after=["a"])

    store.load = slow  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks, runner_of(store) as runner:
        tasks.start_soon(submit, runner)
        await reading.wait()
        tasks.start_soon(runner.aclose)
        for _ in range(20):
            await checkpoint()
        go_on.set()


# --- others move the jobs as well -----------------------------------------------------------


async def moved_by_others(store: MemoryStore, *triggers: str) -> None:
    """Have another process move job *a*, which is STARTED, without anybody hearing of it."""
    for _ in range(20):
        await checkpoint()  # until what was written so far has been heard of
    store._feeds.moved = lambda _: None  # type: ignore[method-assign]
    theirs: Job[Any] = Job("a")
    theirs.start_nowait()
    for trigger in triggers:
        step = theirs.trigger_nowait(trigger)
        await store.append(Entry(step), expected=step.version - 1)


@pytest.mark.parametrize("error", [None, OSError("the first")])
@pytest.mark.parametrize("started", [False, True])
async def test_the_end_of_an_attempt_is_not_that_of_anothers(error, started):
    """What others have put back, or started again, goes on without what the first attempt gave."""
    begun, go_on = anyio.Event(), anyio.Event()

    async def try_again() -> int:
        attempt = current_job().attempt
        begun.set()
        await go_on.wait()
        if error is not None and attempt == 1:
            raise error
        return attempt

    store = Durable()
    async with JobRunner(store=store, functions=[try_again]) as runner:
        job = await runner.submit(try_again, id="a")
        await begun.wait()
        await moved_by_others(store, "requeue", *(["start"] if started else []))
        go_on.set()
        await job.reached(STARTED, after=2)
        if started:
            assert runner._dispatch.work_of(job).running is None  # type: ignore[union-attr]
            await job.succeed(2)
        outcome = await job.completed()
    assert (outcome.status, outcome.result, outcome.attempts) == (SUCCESS, 2, 2)


async def test_what_others_have_started_again_is_revoked_when_the_runner_closes():
    """Its own attempt is over by then, and says nothing of the job: nobody hangs."""
    store = Durable()
    async with runner_of(store) as runner:
        job = await runner.submit(hang, "a", id="a")
        await at_work("a")
        await moved_by_others(store, "requeue", "start")
        work = runner._dispatch.work_of(job)
        assert work is not None
        for entry in await store.history("a", after=1):
            replay(job, entry)  # as the feed will have it
        assert work.running is not None
        with anyio.fail_after(5):
            await runner.aclose()
    assert (job.status, job.attempt, job.outcome.cause) == (REVOKED, 2, RevokeCause.SHUTDOWN)


async def test_an_attempt_that_was_lost_may_have_been_seen_to():
    """Where others have had the job retried meanwhile, that holds."""
    store = Durable()
    data = {"runner": "x", "v": 1, "function": "work", "args": ["a"]}
    await store.create(JobRecord("a", 1.0, data=data, max_attempts=2))
    await store.append(Entry(Job[Any]("a").start_nowait()), expected=0)
    async with runner_of(store) as runner:
        lost: list[Any] = []
        start_soon = runner._dispatch.start_soon
        runner._dispatch.start_soon = lambda *what: lost.append(what)  # type: ignore[method-assign]
        ((job,), _) = await runner.recover()
        runner._dispatch.start_soon = start_soon  # type: ignore[method-assign]
        await moved_by_others(store, "retry")
        start_soon(*lost[0])
        outcome = await job.completed()
    assert [step.trigger for step in job.history] == ["start", "retry", "start", "succeed"]
    assert (outcome.status, outcome.attempts) == (SUCCESS, 2)


# --- shutting down --------------------------------------------------------------------------


async def test_a_runner_can_leave_its_jobs_for_another():
    """What waits stays as it is, what runs is put back in line, and who waits is told."""
    store = Durable()
    told: list[str] = []

    async def wait(job: Job[Any]) -> None:
        with pytest.raises(JobAbandoned) as caught:
            await job.completed()
        told.append(str(caught.value))

    runner = runner_of(store, limit=2, resumable=True)
    async with anyio.create_task_group() as tasks, runner:
        retried = await runner.submit(fail, "d", id="d", retry=Retry(attempts=2))
        await retried.reached(RETRY)
        for name, function in (("a", hang), ("b", hang), ("c", work)):
            job = await runner.submit(function, name, id=name)
            tasks.start_soon(wait, job)
        await at_work("a", "b", "d")
        await runner.aclose("a new release")
        assert [job.status for job in runner.jobs] == [RETRY, PENDING, PENDING, PENDING]
    assert sorted(told) == [
        f"job {name} was PENDING when it was abandoned: a new release" for name in "abc"
    ]
    assert sorted(ran) == ["a", "b", "d"]
    ran.clear()
    after = await crashed(store)
    async with JobRunner(
        store=after, functions={"hang": work, "work": work, "fail": work}
    ) as runner:
        jobs, _ = await runner.recover()
        assert [(job.id, job.attempt) for job in jobs] == [("d", 1), ("a", 1), ("b", 1), ("c", 0)]
    assert {job.id: (job.status, job.attempt) for job in jobs} == {
        "a": (SUCCESS, 2),
        "b": (SUCCESS, 2),
        "c": (SUCCESS, 1),
        "d": (SUCCESS, 2),
    }


async def test_what_waits_for_others_is_left_as_well():
    """A job that comes after one that was left has not failed: both stay as they are."""
    store = Durable()
    async with runner_of(store, limit=1, resumable=True) as runner:
        await runner.submit(hang, "a", id="a")
        await runner.submit(work, "b", id="b", after=["a"])
        for name in "cde":
            await runner.submit(work, name, id=name, after=[chr(ord(name) - 1)])
        await at_work("a")
        await runner.aclose("a new release")
        for job in runner.jobs:
            with pytest.raises(JobAbandoned, match="a new release"):
                await job.completed()
    after = await crashed(store)
    assert {stored.status for stored in await after.jobs()} == {"PENDING"}
    async with JobRunner(store=after, functions={"hang": work, "work": work}) as runner:
        assert len((await runner.recover()).jobs) == 5
    assert ran == ["a", "a", "b", "c", "d", "e"]


@pytest.mark.parametrize("ends", [True, False])
async def test_an_end_that_is_being_written_is_waited_for(ends):
    """Nobody is told that a job was left that is about to end; a hook has its time of grace."""
    writing, go_on = anyio.Event(), anyio.Event()

    class Slow(Durable):
        async def append(self, entry: Entry, *, expected: int) -> int:
            if ends and entry.transition.trigger == "succeed":
                writing.set()
                await go_on.wait()
            return await super().append(entry, expected=expected)

    async def hook(*_: Any) -> None:
        if ran and not ends:
            writing.set()
            await anyio.Event().wait()

    hooked = JOB_LIFECYCLE.derive("hooked", before_state_change=[hook])
    told: list[Any] = []

    async def wait(job: Job[Any]) -> None:
        try:
            told.append((await job.completed()).status)
        except JobAbandoned as error:
            told.append(str(error))

    options: dict[str, Any] = {"lifecycle": hooked, "grace": 5.0 if ends else 0.0}
    async with (
        anyio.create_task_group() as tasks,
        runner_of(Slow(), resumable=True, **options) as runner,
    ):
        job = await runner.submit(work, "a", id="a")
        await writing.wait()
        for function in (partial(wait, job), runner.aclose):
            tasks.start_soon(function)
        while runner._dispatch.closing is None:
            await checkpoint()
        for _ in range(10):
            await checkpoint()
        early = list(told)
        go_on.set()
    assert early == [] or not ends
    status = "STARTED when it was abandoned: the runner was closed"
    assert told == [SUCCESS if ends else f"job a was {status}"]


async def test_work_that_ends_in_its_time_of_grace_is_done():
    """Work that is asked to stop and comes to its end has ended, though the runner is resumable."""

    async def heed() -> str:
        job = current_job()
        try:
            await anyio.Event().wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            ran.append(job.id)
            raise
        return ""

    def listen() -> str:
        ran.append("listening")
        while not current_job().stop_requested:
            pass
        return "done"

    store = Durable()
    async with JobRunner(store=store, functions=[heed, listen], resumable=True) as runner:
        first = await runner.submit(heed, id="heed")
        second = await runner.submit(listen, id="listen")
        await first.reached(STARTED)
        await at_work("listening")
        await runner.aclose()
    assert (first.status, second.status, second.result) == (PENDING, SUCCESS, "done")


async def test_a_lifecycle_without_requeue_is_recovered_as_interrupted():
    """Where a job cannot be put back it stays STARTED, and is found so."""
    bare = Lifecycle[str](
        "bare",
        states=["NEW", "BUSY", {"name": "GOOD", "final": True}, {"name": "BAD", "final": True}],
        transitions=[
            ["start", "NEW", "BUSY"],
            ["succeed", "BUSY", "GOOD"],
            ["fail", ["NEW", "BUSY"], "BAD"],
            ["revoke", ["NEW", "BUSY"], "BAD"],
        ],
        means={"NEW": PENDING, "BUSY": STARTED, "GOOD": SUCCESS, "BAD": FAILURE},
    )
    store = Durable()
    async with runner_of(store, lifecycle=bare, resumable=True) as runner:
        job = await runner.submit(hang, "north", id="north")
        await at_work("north")
        await runner.aclose()
        assert job.status == "BUSY"
        with pytest.raises(JobAbandoned):
            await job.completed()
    async with runner_of(await crashed(store), lifecycle=bare) as runner:
        ((job,), _) = await runner.recover()
    assert (job.status, job.error_reason) == ("BAD", "jobstate.AttemptInterrupted")


async def test_an_exception_in_the_block_leaves_the_jobs_resumable():
    """However the block is left before its time, the jobs are there for another runner."""
    store = Durable()
    with pytest.raises(KeyError):
        async with runner_of(store, resumable=True) as runner:
            await runner.submit(hang, "north", id="north")
            await at_work("north")
            raise KeyError("x")
    assert (await (await crashed(store)).load("north")).status == "PENDING"


async def test_only_a_store_that_lasts_makes_jobs_resumable():
    """What was asked for must be possible."""
    for store in (None, MemoryStore()):
        with pytest.raises(ValueError, match="outlives the process"):
            JobRunner(store=store, resumable=True)
    with pytest.raises(TypeError, match="SQLiteStore"):
        JobRunner(store="jobs.db")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="functions="):
        JobRunner(store=Durable(), functions=3)  # type: ignore[arg-type]


# --- a store that fails ---------------------------------------------------------------------


async def test_a_store_that_breaks_abandons_the_jobs_and_is_recovered():
    """Nobody waits for ever, and what the store has is taken up by another runner."""

    class Breaking(Durable):
        broken = False

        async def append(self, entry: Entry, *, expected: int) -> int:
            if self.broken:
                raise StoreBroken("breaking", "the disk is full")
            return await super().append(entry, expected=expected)

    store = Breaking()
    async with runner_of(store, limit=1) as runner:
        first = await runner.submit(hang, "first", id="first", retry=AT_ONCE)
        second = await runner.submit(work, "second", id="second")
        await at_work("first")
        store.broken = True
        runner._dispatch.attempts.hurry()
        running = next(iter(runner._dispatch.attempts.running))
        running.scope.cancel()
        for job in (first, second):
            with pytest.raises(JobAbandoned, match="the disk is full"):
                await job.completed()
    ran.clear()
    async with JobRunner(
        store=await crashed(store), functions={"hang": work, "work": work}
    ) as runner:
        jobs, _ = await runner.recover()
    assert [job.status for job in jobs] == [SUCCESS, SUCCESS]


async def test_what_could_not_be_moved_is_taken_up_by_the_same_runner():
    """While a store fails nothing fails for good, and who waits after it came back is served."""

    class Breaking(Durable):
        broken = True

        async def append(self, entry: Entry, *, expected: int) -> int:
            if self.broken and entry.transition.job_id == "a":
                raise StoreBroken("breaking", "the disk is full")
            return await super().append(entry, expected=expected)

    store = Breaking()
    async with runner_of(store, limit=1) as runner:
        for name, after in (("a", []), ("b", ["a"]), ("c", ["b"])):
            await runner.submit(work, name, id=name, after=after)
        with pytest.raises(JobAbandoned, match="comes after, is PENDING: job a, which it comes"):
            await runner.jobs.get("c").completed()
        store.broken = False
        taken, left = await runner.recover()
        assert ([job.id for job in taken], left) == (["a", "b", "c"], {})
        await runner.submit(work, "d", id="d", after=["a"])
        assert [(await job.completed()).status for job in runner.jobs] == [SUCCESS] * 4
    assert ran == ["a", "b", "c", "d"]


@pytest.mark.parametrize("error", [StoreBusy("x", 5), StoreBroken("x", "full"), StoreClosed("x")])
@pytest.mark.parametrize(
    ("trigger", "status", "ended", "runs"),
    [
        ("start", PENDING, SUCCESS, 1),
        ("succeed", STARTED, SUCCESS, 2),
        ("retry", STARTED, FAILURE, 3),
        ("revoke", PENDING, REVOKED, 0),
    ],
)
async def test_that_a_store_fails_once_fails_no_job(trigger, status, ended, runs, error):
    """A fault of the store is not the job's: it stays as it was written, and is recovered."""

    class Failing(Durable):
        faults = 2

        async def append(self, entry: Entry, *, expected: int) -> int:
            if entry.transition.trigger == trigger and self.faults:
                self.faults -= 2 if isinstance(error, StoreClosed) else 1
                raise error
            return await super().append(entry, expected=expected)

    store = Failing()
    async with runner_of(store, limit=1) as runner:
        if trigger == "revoke":
            await runner.submit(hang, "busy", retry=AT_ONCE)
            await at_work("busy")
        function = fail if trigger == "retry" else work
        seconds = 1e-6 if trigger == "revoke" else None
        job = await runner.submit(function, "a", id="a", retry=AT_ONCE, timeout=seconds)
        with pytest.raises(JobAbandoned, match="its runner cannot move it: store x"):
            await job.completed()
        assert (await store.load("a")).status == status
        ((taken,), _) = await runner.recover()
        outcome = await job.completed()
        assert taken is job
        await runner.aclose()
    assert (outcome.status, ran.count("a")) == (ended, runs)


async def test_a_guard_that_meets_a_fault_of_another_store_fails_its_job():
    """Where jobs are not kept, nobody could take one up again."""
    faults = [StoreBroken("another", "the disk is full")]

    def guard(*_: Any) -> None:
        if faults:
            raise faults.pop()

    guarded = JOB_LIFECYCLE.derive("guarded", prepare_event=[guard])
    async with JobRunner(lifecycle=guarded) as runner:
        job = await runner.submit(work, "a")
    assert (job.status, job.error_reason) == (FAILURE, "jobstate.StoreBroken")


async def test_a_store_that_cannot_be_opened_is_told_as_it_is(tmp_path):
    """The error of the store comes out of the block, and not a group of it."""
    with pytest.raises(StoreBroken):
        async with runner_of(SQLiteStore(tmp_path / "no" / "folder.db")):
            raise AssertionError("it is open")


async def test_a_store_that_was_closed_ends_the_wait_for_its_jobs(caplog):
    """Closed by somebody else, it refuses what is to be written, and the log says why."""
    store = Durable()
    async with runner_of(store) as runner:
        job = await runner.submit(hang, "north", id="north")
        await at_work("north")
        await store.aclose()
        with pytest.raises(StoreClosed):
            await runner.submit(work, "south")
        await runner.aclose()
        with pytest.raises(JobAbandoned):
            await job.completed()
    assert "cannot be followed any more" in caplog.text


async def test_progress_of_work_is_kept():
    """What work reports is in the store, the last of it before the job ends."""

    async def counting() -> None:
        for percent in range(0, 100, 10):
            current_job().report(percent, info={"at": percent})

    store = Durable()
    async with JobRunner(store=store, functions=[counting]) as runner:
        job = await runner.submit(counting)
        await job.completed()
        progress = (await store.load(job.id)).progress
    assert isinstance(progress, Progress)
    assert (progress.progress, progress.info) == (90, {"at": 90})


async def test_progress_of_work_in_a_thread_is_kept():
    """Its reports come by callbacks of the event loop, and not in a task of it."""

    def counting() -> None:
        current_job().report(90, info={"at": 90})

    store = Durable()
    async with JobRunner(store=store, functions=[counting]) as runner:
        job = await runner.submit(counting)
        await job.completed()
        progress = (await store.load(job.id)).progress
    assert isinstance(progress, Progress)
    assert (progress.progress, progress.info) == (90, {"at": 90})


async def test_commands_are_kept_where_they_are_registered():
    """A command of a runner that is gone is run by another one, as it was submitted."""

    async def submit(runner: JobRunner) -> None:
        await runner.submit(hang, "busy", id="busy")
        command = Command(
            sys.executable,
            "-c",
            "import sys, os; print(sys.stdin.read() + os.environ['NAME']); sys.exit(3)",
            env={"NAME": "north"},
            input="to the ",
            success=[3],
            progress=plain_line,
        )
        await runner.submit(command, id="command")
        await at_work("busy")

    lines: list[str] = []

    def plain_line(line: str) -> None:
        lines.append(line)

    store = Durable()
    functions = [hang, Command, plain_line]
    async with JobRunner(store=store, functions=functions, limit=1) as runner:
        await submit(runner)
        left = await crashed(store)
        await runner.aclose()
    async with JobRunner(store=left, functions=functions) as runner:
        await runner.recover()
        result = await runner.jobs.get("command")
        assert result == CommandResult(3, "to the north\n")
        kept = (await left.load("command")).snapshot()
    assert kept.result == {"exit_code": 3, "output": "to the north\n"}
    assert lines == ["to the north"]


async def test_a_bare_command_is_kept():
    """A command of which nothing is said but its words."""
    store = Durable()
    async with JobRunner(store=store, functions=[Command], limit=1, resumable=True) as runner:
        await runner.submit(Command(sys.executable, "-c", "import time; time.sleep(9)"), id="slow")
        await runner.submit(Command(sys.executable, "-c", "print('hello')"), id="quick")
        await runner.jobs.get("slow").reached(STARTED)
        await runner.aclose()
    async with JobRunner(store=await crashed(store), functions=[Command]) as runner:
        await runner.recover()
        await runner.jobs.get("slow").revoke("enough")
        assert (await runner.jobs.get("quick")).output == "hello\n"


async def test_of_a_long_output_the_end_is_kept():
    """A command that prints much is not failed for that by the store: its last lines are kept."""
    store = Durable()
    noisy = "print('\\x1b' * 60_000 + 'end')"
    async with JobRunner(store=store, functions=[Command]) as runner:
        good = await runner.submit(Command(sys.executable, "-c", noisy), id="good")
        bad = await runner.submit(
            Command(sys.executable, "-c", f"{noisy}; raise SystemExit(4)"), id="bad"
        )
        assert len((await good).output) > 60_000
        outcome = await bad.completed()
        assert (outcome.status, outcome.extras["exit_code"]) == (FAILURE, 4)
        shots = [(await store.load(job_id)).snapshot() for job_id in ("good", "bad")]
    for output in (shots[0].result["output"], shots[1].extras["output"]):
        assert output.endswith("\x1bend\n")
        assert 2_000 < len(output) < 3_000


async def test_what_is_kept_of_work_is_read_as_it_was_written():
    """All that was said of a job when it was submitted holds for whoever takes it up."""

    def is_busy(error: Exception) -> bool:
        return isinstance(error, OSError)

    class Cluster(type(JobRunner().tasks)):  # type: ignore[misc]
        """An executor of one's own."""

    cluster = Cluster()
    functions = {"work": work, "hang": hang, "busy": is_busy, "oops": KeyError, "cluster": cluster}
    retries = [
        Retry(attempts=None, first_delay=7, factor=3, max_delay=99, jitter=0.5, on=is_busy),
        Retry(on=(KeyError,)),
        Retry(attempts=2),
        None,
    ]
    options: dict[str, Any] = {"store": Durable(), "functions": functions, "resources": {"gpu": 4}}
    works = []
    for _ in range(2):
        async with JobRunner(limit=1, **options) as runner:
            if not works:
                busy = await runner.submit(hang, "busy", id="busy", priority=9)
                await at_work("busy")
                for number, retry in enumerate(retries):
                    await runner.submit(
                        work,
                        f"x{number}",
                        id=f"x{number}",
                        retry=retry,
                        executor=cluster if number else None,
                        priority=number,
                        resources={"gpu": number},
                        attempt_timeout=number or None,
                        timeout=100 + number,
                        after_end=[busy],
                    )
            else:
                assert (await runner.recover()).left == {}
            found = [runner._dispatch._works[f"x{number}"] for number in range(len(retries))]
            works.append(
                [
                    (
                        each.function,
                        each.args,
                        type(each.executor),
                        -each.rank[0],
                        each.demand.get("gpu", 0),
                        each.retry,
                        each.attempt_timeout,
                        {job.id: must for job, must in each.after.items()},
                        each.job.max_attempts,
                    )
                    for each in found
                ]
            )
            options["store"] = await crashed(options["store"])
            await runner.aclose()
    assert works[0] == works[1]


@pytest.mark.parametrize(
    ("functions", "problem"),
    [
        ([work, work], "the name 'work' stands for two"),
        ({"tasks": work}, "the name 'tasks' stands for two"),
        ({"": work}, "has no name"),
        ([object()], "has no name"),
    ],
)
def test_names_are_unique(functions, problem):
    """A name that stands for two, or for nothing, is refused when the runner is made."""
    with pytest.raises(ValueError, match=problem):
        JobRunner(store=Durable(), functions=functions)
