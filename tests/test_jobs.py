"""Many jobs by id: found, counted, hooked and read as one, and forgotten when they should be."""

from __future__ import annotations

import gc
import random
import threading
import tracemalloc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from jobstate import (
    JOB_LIFECYCLE,
    AllChanges,
    ChangesLost,
    DuplicateJob,
    HookFailed,
    Job,
    JobAbandoned,
    JobNotFound,
    Jobs,
    JobsClosed,
    JobStatus,
    JobUnfinished,
    Lifecycle,
    Progress,
    Transition,
    UnknownStatus,
    UnknownTrigger,
    WouldBlock,
    WrongThread,
)

pytestmark = pytest.mark.anyio
backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus


class Light(Enum):
    """Statuses of one's own."""

    RED = "red"
    GREEN = "green"
    DARK = "dark"


LIGHT: Lifecycle[Light] = Lifecycle(
    "light",
    states=[*Light],
    initial=Light.RED,
    transitions=[
        ["switch", Light.RED, Light.GREEN],
        ["switch", Light.GREEN, Light.RED],
        {"trigger": "blink", "source": Light.RED, "dest": None},
        ["start", Light.RED, Light.DARK],
    ],
    final=[Light.DARK],
)


class Clock:
    """Tells the time to which it was turned by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def move(job: Job[Any, Any], *triggers: str) -> None:
    """Move a job by each trigger in turn."""
    for trigger in triggers:
        job.trigger_nowait(trigger, *(["jam"] if trigger in ("fail", "retry") else []))


def some(*ids: str, **kwargs: Any) -> list[Job[Any, Any]]:
    """Return new jobs of these ids."""
    return [Job(each, **kwargs) for each in ids]


def ids(jobs: Jobs[Any, Any]) -> list[str]:
    """Return the ids of the jobs that there are."""
    return [job.id for job in jobs]


def nobody_listens(*jobs: Job[Any, Any]) -> bool:
    """Whether nothing is registered with any of these jobs."""
    return all(job._at_end is None and job._at_step is None for job in jobs)


async def settle() -> None:
    """Let every other task run until it sleeps."""
    for _ in range(8):
        await checkpoint()


def at(change: Transition[Any] | Progress) -> tuple[str, Any]:
    """Return a change in short: whose it is, and its version or its progress."""
    return change.job_id, change.version if isinstance(change, Transition) else change.progress


async def ready(changes: AllChanges[Any]) -> list[tuple[str, Any]]:
    """Return the changes that are there now, in short; cancelled when it would wait for more."""
    found = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        async for change in changes:
            found.append(at(change))
    return found


class Wait:
    """A wait for the next change in a task of its own, and what came of it."""

    def __init__(self, changes: AllChanges[Any]) -> None:
        self.changes = changes
        self.value: Any = None

    async def run(self) -> None:
        """Wait, and note the answer."""
        try:
            self.value = at(await anext(self.changes))
        except (Exception, StopAsyncIteration) as error:
            self.value = type(error)


@asynccontextmanager
async def waiting(changes: AllChanges[Any]) -> AsyncIterator[Wait]:
    """Wait for the next change in a task, which sleeps while the block runs and is then woken."""
    wait = Wait(changes)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait.run)
        await settle()
        assert wait.value is None
        yield wait
        await settle()
        tasks.cancel_scope.cancel()
    assert wait.value is not None, "it was left asleep"


# --- which jobs there are -------------------------------------------------------------------


def test_jobs_are_found_by_id():
    """A job is there under its id, in the order of arrival; what holds it is no copy."""
    b, a, c = some("b", "a", "c")
    jobs = Jobs([b])
    jobs.add(a)
    assert (jobs.get("a"), jobs.get("b"), len(jobs)) == (a, b, 2)
    assert list(jobs) == [b, a]
    assert ["a" in jobs, a in jobs, "c" in jobs, c in jobs] == [True, True, False, False]
    assert Job("a") not in jobs
    assert 7 not in jobs
    assert len(Jobs()) == 0


def test_jobs_may_come_and_go_while_they_are_gone_through():
    """A loop over the jobs goes over those that were there when it began."""
    jobs = Jobs(some("a", "b"))
    for job in jobs:
        jobs.add(Job(f"{job.id}2"))
        move(job, "fail")
        jobs.forget(job)
    assert ids(jobs) == ["a2", "b2"]


def test_a_job_that_is_not_there():
    """The error says how many there are, and where they are few, whether one is nearly that."""
    jobs = Jobs(some("north", "south"))
    with pytest.raises(JobNotFound) as caught:
        jobs.get("noth")
    assert (caught.value.job_id, caught.value.known) == ("noth", ("north", "south"))
    assert isinstance(caught.value, KeyError)
    for number in range(98):
        jobs.add(Job(f"j{number}"))
    with pytest.raises(JobNotFound, match=r"mean 'north'\?\); 100 are"):
        jobs.get("noth")
    jobs.add(Job())
    with pytest.raises(JobNotFound) as caught:
        jobs.get("noth")
    assert (caught.value.count, caught.value.known) == (101, ())


def test_an_id_is_taken_once():
    """Another job of an id that is there is refused; the same job stays where it is."""
    jobs = Jobs(some("a", "b"))
    jobs.add(jobs.get("a"))
    assert ids(jobs) == ["a", "b"]
    other = Job("a")
    with pytest.raises(DuplicateJob, match="another job a is there already: it is PENDING"):
        jobs.add(other)
    assert (other._own, nobody_listens(other)) == (None, True)
    assert jobs.counts == {PENDING: 2}


def test_only_jobs_can_be_added():
    """What is no job is refused by name."""
    jobs: Jobs = Jobs()
    with pytest.raises(TypeError, match="only a Job can be added, not 'a'"):
        jobs.add("a")  # type: ignore[arg-type]


def test_jobs_that_cannot_all_be_added_are_left_alone():
    """Where one of the first jobs is refused, nothing listens to the others."""
    first = some("a", "b", "a")
    with pytest.raises(DuplicateJob):
        Jobs(first)
    assert nobody_listens(*first)


def test_a_closed_collection_takes_no_more():
    """Closing concerns jobs to come alone; those that are there go on, and can be added again."""
    a, b = some("a", "b")
    jobs = Jobs([a])
    jobs.close()
    jobs.close()
    with pytest.raises(JobsClosed, match="job b cannot be added: the collection was closed"):
        jobs.add(b)
    jobs.add(a)
    with pytest.raises(DuplicateJob):
        jobs.add(Job("a"))
    move(a, "start")
    assert jobs.counts == {PENDING: 0, STARTED: 1}


def test_it_shows_how_many_jobs_there_are():
    """For people, a collection shows its counts."""
    jobs: Jobs[Any, Any] = Jobs(some("a", "b"))
    assert repr(jobs) == "<Jobs: 2 PENDING>"
    move(jobs.get("a"), "start")
    jobs.add(Job(lifecycle=LIGHT))
    assert repr(jobs) == "<Jobs: 1 PENDING, 1 STARTED, 1 RED>"
    move(jobs.get("b"), "start")
    assert repr(jobs) == "<Jobs: 2 STARTED, 1 RED>"
    assert repr(Jobs()) == "<Jobs: none>"


def test_counts_follow_every_transition():
    """Each status that any job had is counted, jobs that came with a status of theirs included."""
    late, ended, light = Job("late"), Job("ended"), Job("light", lifecycle=LIGHT)
    move(late, "start")
    move(ended, "fail")
    jobs: Jobs[Any, Any] = Jobs([*some("a", "b"), ended])
    assert jobs.counts == {PENDING: 2, FAILURE: 1}
    jobs.add(late)
    move(jobs.get("a"), "start", "retry", "start", "succeed")
    assert jobs.counts == {PENDING: 1, FAILURE: 1, STARTED: 1, RETRY: 0, SUCCESS: 1}
    jobs.add(light)
    move(light, "blink", "switch", "switch", "switch")
    assert jobs.counts[Light.GREEN] == 1
    assert jobs.counts[Light.RED] == 0
    counted = jobs.counts
    jobs.forget("a")
    move(late, "succeed")
    assert (counted[SUCCESS], jobs.counts[SUCCESS]) == (1, 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(sorted(JOB_LIFECYCLE.triggers)))))
def test_counts_are_what_counting_would_give(steps):
    """Whatever jobs do, the counts are those of their statuses."""
    jobs = Jobs(some("a", "b", "c"), keep=1)
    for number, trigger in steps:
        if number == 3:
            if not jobs._registry.by_id.get("d"):
                jobs.add(Job("d"))
            number = -1
        job = list(jobs)[number % len(jobs)] if len(jobs) else Job()
        if job.can(trigger) and not (trigger == "revoke" and job.status is STARTED):
            move(job, trigger)
        assert Counter(job.status for job in jobs) == +Counter(jobs.counts)
        unfinished = [job for job in jobs if job.outcome is None]
        assert jobs._registry.unfinished == len(unfinished)
        assert len(jobs) - len(unfinished) <= 1


def test_a_job_in_two_collections():
    """Each counts it and has hooks on it; forgotten in one, it stays in the other."""
    heard: list[str] = []
    first, second = Jobs(some("a")), Jobs(some("b"))
    job = Job("both")
    for name, jobs in (("first", first), ("second", second)):
        jobs.add(job)
        jobs.on("start", lambda event, name=name: heard.append(f"{name} {event.job.id}"))
    for each in (first.get("a"), second.get("b"), job):
        move(each, "start")
    assert heard == ["first a", "second b", "first both", "second both"]
    move(job, "succeed")
    first.forget(job)
    assert (ids(first), ids(second), second.counts[SUCCESS]) == (["a"], ["b", "both"], 1)


def test_jobs_of_one_collection_cost_little():
    """A job costs little more than its place in a dict, and shares what the collection has."""
    made = [Job() for _ in range(10_000)]
    tracemalloc.start()
    try:
        jobs = Jobs(made)
        weight, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert weight / len(made) <= 100
    assert {job._own for job in jobs} == {jobs._own}
    move(made[0], "fail")
    assert jobs._registry._ended == {}, "nothing is to be forgotten"


# --- forgetting -----------------------------------------------------------------------------


def test_a_finished_job_can_be_forgotten():
    """Given itself or by its id, it is gone; whoever holds it has it still."""
    a, b, c = some("a", "b", "c")
    jobs = Jobs([a, b, c])
    move(a, "fail")
    move(b, "start", "succeed")
    jobs.forget("a")
    jobs.forget(b)
    assert ids(jobs) == ["c"]
    assert jobs.counts == {PENDING: 1, FAILURE: 0, STARTED: 0, SUCCESS: 0}
    assert (a.status, len(b.history)) == (FAILURE, 2)
    jobs.add(a)
    jobs.add(Job("b"))
    assert ids(jobs) == ["c", "a", "b"]


def test_what_cannot_be_forgotten():
    """An unfinished job stays, and what is not there cannot go; nothing has changed."""
    jobs = Jobs(some("a", "b"))
    job = jobs.get("a")
    move(job, "start")
    with pytest.raises(JobUnfinished, match="job a is STARTED: it cannot be forgotten until it"):
        jobs.forget("a")
    with pytest.raises(JobUnfinished):
        jobs.forget(job)
    other = Job("a")
    move(other, "fail")
    for unknown in ("c", other, Job("c")):
        with pytest.raises(JobNotFound):
            jobs.forget(unknown)
    assert ids(jobs) == ["a", "b"]


def test_so_many_finished_jobs_are_kept():
    """Of finished jobs those that ended last are kept, in whatever order they came."""
    jobs = Jobs(some(*"abcde"), keep=2)
    for each in "dbeca":
        move(jobs.get(each), "fail")
    assert ids(jobs) == ["a", "c"]
    assert jobs.counts == {PENDING: 0, FAILURE: 2}
    ended = Job("f")
    move(ended, "fail")
    jobs.add(ended)
    assert ids(jobs) == ["a", "f"]


def test_unfinished_jobs_are_never_forgotten():
    """However few finished jobs are kept, and however short, what has not ended stays."""
    clock = Clock()
    jobs = Jobs(some(*"abc"), keep=0, keep_for=0, clock=clock)
    move(jobs.get("a"), "start", "retry")
    jobs.get("b").abandon("gone")
    clock.now += 1e9
    assert ids(jobs) == ["a", "b", "c"]
    move(jobs.get("b"), "fail")
    assert ids(jobs) == ["a", "c"]
    ended = Job("d")
    move(ended, "fail")
    jobs.add(ended)
    assert ids(jobs) == ["a", "c"]


ASKING: dict[str, Callable[[Jobs], Any]] = {
    "get": lambda jobs: jobs.get("c"),
    "in": lambda jobs: "a" in jobs,
    "len": len,
    "iter": list,
    "counts": lambda jobs: jobs.counts,
    "forget": lambda jobs: jobs.forget("b"),
    "add": lambda jobs: jobs.add(Job("a")),
    "move": lambda jobs: move(jobs._registry.by_id["c"], "start"),
    "report": lambda jobs: jobs._registry.by_id["d"].report(1),
}


@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING)
def test_finished_jobs_are_kept_for_so_long(asking):
    """Once its time is over a job goes, when anything is asked or happens; not before."""
    clock = Clock()
    a, b, c, d = some(*"abcd")
    jobs = Jobs([a, b, c, d], keep_for=10, clock=clock)
    move(d, "start")
    move(a, "fail")
    clock.now += 5
    move(b, "fail")
    clock.now += 4.75
    assert ids(jobs) == [*"abcd"]
    clock.now += 0.25
    asking(jobs)
    assert jobs._registry.by_id.get("a") is not a
    clock.now += 5
    assert "b" not in jobs


def test_a_job_added_when_it_had_ended_is_kept_from_then_on():
    """What has ended long ago is kept as long as what ends when it comes."""
    clock = Clock()
    jobs = Jobs(keep_for=10, clock=clock)
    job = Job("a")
    move(job, "fail")
    clock.now += 100
    jobs.add(job)
    clock.now += 9
    assert "a" in jobs
    clock.now += 1
    assert "a" not in jobs


@pytest.mark.parametrize(
    "kwargs",
    [
        *({"keep": value} for value in (-1, 1.0, True, "1")),
        *({"keep_for": value} for value in (-1, -0.1, True, "1", float("nan"), float("inf"))),
    ],
)
def test_what_is_kept_is_a_number(kwargs):
    """Numbers from 0 on, or none at all."""
    (name,) = kwargs
    with pytest.raises(ValueError, match=f"{name} is a .*number .*from 0 on"):
        Jobs(**kwargs)


def test_what_is_forgotten_can_be_collected():
    """A forgotten job is held by nobody, nor is a collection by jobs that have ended."""
    jobs = Jobs([Job("a")])
    move(jobs.get("a"), "fail")
    job = weakref.ref(jobs.get("a"))
    gc.disable()
    try:
        jobs.forget("a")
        assert job() is None
        ended = Job()
        jobs.add(ended)
        move(ended, "fail")
        registry = weakref.ref(jobs._registry)
        del jobs
        assert registry() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("keep", [None, 0])
async def test_a_job_is_done_with_once_it_has_ended(keep):
    """Nothing listens to a job that has ended, forgotten or not."""
    jobs = Jobs([job := Job()], keep=keep)
    await job.start()
    assert not nobody_listens(job)
    await job.succeed(1)
    assert nobody_listens(job)
    assert len(jobs) == (keep is None)


# --- hooks ----------------------------------------------------------------------------------


async def test_hooks_are_on_all_jobs_present_and_to_come():
    """A hook, sync or async, runs for each job, within its transition, after the job's own."""
    heard: list[tuple[str, str]] = []
    jobs = Jobs(some("a", "b"))

    async def slow(event):
        await checkpoint()
        heard.append((event.job.id, "async"))

    jobs.on(SUCCESS, slow)
    on_start = jobs.on("start", lambda event: heard.append((event.job.id, "start")))
    jobs.add(Job("c"))
    jobs.get("b").on("start", lambda event: heard.append(("b", "own")))
    for job in jobs:
        await job.start()
    assert heard == [("a", "start"), ("b", "own"), ("b", "start"), ("c", "start")]
    heard.clear()
    for job in jobs:
        with pytest.raises(WouldBlock, match="slow is async"):
            job.succeed_nowait()
        await job.succeed()
    assert heard == [("a", "async"), ("b", "async"), ("c", "async")]
    on_start.remove()
    on_start.remove()
    heard.clear()
    jobs.add(Job("d"))
    await jobs.get("d").start()
    assert heard == []


async def test_a_failing_hook_is_told_to_the_caller_of_the_trigger():
    """What a hook on all jobs raises reaches whoever moved the job, as with any other hook."""
    jobs = Jobs(some("a"))

    def fail(event):
        raise OSError("full")

    jobs.on(STARTED, fail)
    with pytest.raises(HookFailed) as caught:
        await jobs.get("a").start()
    assert [str(error) for error in caught.value.exceptions] == ["full"]
    assert jobs.counts[STARTED] == 1


async def test_hooks_run_for_a_job_that_is_forgotten_as_it_ends():
    """Where no finished job is kept, the last hooks run all the same; the job is not there then."""
    heard = []
    jobs = Jobs(some("a"), keep=0)
    jobs.on(FAILURE, lambda event: heard.append((event.job.id, "a" in jobs)))
    await jobs.get("a").fail("jam")
    assert heard == [("a", False)]


def test_hooks_are_not_for_jobs_that_have_ended_already():
    """A job that ended before the hook was added, or before it came itself, is not told of."""
    jobs = Jobs(some("a"))
    move(jobs.get("a"), "fail")
    jobs.on(FAILURE, lambda event: pytest.fail("it was called"))
    ended = Job("b")
    move(ended, "fail")
    jobs.add(ended)
    assert jobs.counts == {PENDING: 0, FAILURE: 2}


def test_a_hook_is_found_in_the_lifecycle_of_any_job():
    """A name must be known to a job so far, the default lifecycle, or the one that is given."""
    heard: list[str] = []

    def note(event):
        heard.append(event.job.id)

    jobs: Jobs[Any, Any] = Jobs(some("a"))
    for unknown in ("switch", "GREEN", Light.GREEN):
        with pytest.raises(UnknownTrigger, match="lifecycle job has no trigger"):
            jobs.on(unknown, note)
    with pytest.raises(UnknownTrigger, match="lifecycle light has no trigger 'FAILURE'"):
        jobs.on(FAILURE, note, lifecycle=LIGHT)
    jobs.on("switch", note, lifecycle=LIGHT)
    jobs.add(Job("b", lifecycle=LIGHT))
    jobs.on(Light.GREEN, note)
    jobs.on("start", note)
    move(jobs.get("a"), "start")
    move(jobs.get("b"), "switch", "switch", "start")
    assert heard == ["a", "b", "b", "b", "b"]
    only_lights: Jobs[Any, Any] = Jobs([Job("c", lifecycle=LIGHT)])
    only_lights.on(SUCCESS, note)
    with pytest.raises(UnknownTrigger, match="lifecycle light has no trigger 'strat'"):
        only_lights.on("strat", note)

    class Other(Enum):
        RED = 7

    with pytest.raises(UnknownStatus):
        only_lights.on(Other.RED, note)
    with pytest.raises(TypeError, match=r"Jobs.on\(\): hook .* must take one argument"):
        jobs.on("start", lambda: None)


# --- whoever runs jobs ----------------------------------------------------------------------


class Listener:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def moved(self, job: Job[Any, Any]) -> None:
        self.heard.append(f"{job.id} moved {job.version}")

    def reported(self, job: Job[Any, Any]) -> None:
        self.heard.append(f"{job.id} reported {job.progress:g}")

    def ended(self, job: Job[Any, Any]) -> None:
        self.heard.append(f"{job.id} abandoned")


def test_a_follower_hears_of_every_job():
    """It hears of each step of jobs here and to come, of their end too, until it leaves."""
    listener, jobs = Listener(), Jobs(some("a"), keep=0)
    jobs._follow(listener)
    jobs.add(Job("b"))
    a, b = jobs.get("a"), jobs.get("b")
    move(a, "start")
    b.abandon("gone")
    a.report(5)
    move(a, "succeed")
    assert listener.heard == ["a moved 1", "b abandoned", "a reported 5", "a moved 2"]
    jobs._unfollow(listener)
    move(b, "start")
    assert len(listener.heard) == 4


def test_the_worker_of_a_collection_is_that_of_its_jobs():
    """Whoever runs the jobs of a collection is found with each of them."""
    jobs = Jobs(some("a"))
    worker: Any = object()
    jobs._own.worker = worker
    jobs.add(Job("b"))
    jobs.get("b").on("start", print)
    assert [job._worker for job in jobs] == [worker, worker]
    assert Job()._worker is None


# --- where ----------------------------------------------------------------------------------


@backends
def test_a_collection_made_where_no_loop_runs_goes_with_its_jobs(backend):
    """The loop that moves one of the jobs first has all of them, and the collection."""
    jobs = Jobs(some("a", "b", "c"), keep_for=10, clock=(clock := Clock()))

    async def use():
        await jobs.get("a").fail("jam")
        assert len({job._home for job in jobs}) == 1
        clock.now += 10
        assert "a" not in jobs

    anyio.run(use, backend=backend)
    assert ids(jobs) == ["b", "c"]
    for using in (
        lambda: jobs.add(Job()),
        lambda: jobs.forget("a"),
        lambda: jobs.on("start", print),
        jobs.changes,
        jobs.close,
        jobs.get("b").start_nowait,
    ):
        with pytest.raises(WrongThread):
            using()


@backends
def test_outside_its_loop_a_collection_can_be_read(backend):
    """What is there once the loop has ended stays there, however old it becomes."""
    jobs = Jobs(some("a", "b"), keep_for=10, clock=(clock := Clock()))
    anyio.run(jobs.get("a").fail, "jam", backend=backend)
    clock.now += 1000
    assert ids(jobs) == ["a", "b"]
    assert (len(jobs), "a" in jobs, jobs.get("a").status) == (2, True, FAILURE)
    assert jobs.counts == {PENDING: 1, FAILURE: 1}


@backends
def test_a_collection_is_brought_into_a_loop_by_what_is_asked_of_it(backend):
    """Not only its jobs can be used first: so can it, and then all belong to the same loop."""
    jobs = Jobs(some("a", "b"), keep_for=10, clock=(clock := Clock()))
    ended = Job("c")
    move(ended, "fail")

    async def use():
        jobs.add(ended)
        clock.now += 10
        assert ids(jobs) == ["a", "b"]

    anyio.run(use, backend=backend)
    with pytest.raises(WrongThread):
        move(jobs.get("a"), "start")


@backends
def test_a_job_that_another_loop_has_adopted_stays_there(backend):
    """A job that was used on its own before the others were is not taken away from its loop."""
    jobs = Jobs(some("a", "b", "c"))

    async def adopt():
        jobs.get("b").changes()

    anyio.run(adopt, backend=backend)
    anyio.run(jobs.get("a").start, backend=backend)
    a, b, c = (job._home for job in jobs)
    assert a is c
    assert a is not b


def test_an_empty_collection_belongs_to_nobody():
    """Where there is no job, any loop may use it."""
    jobs = Jobs(keep=0)

    async def use():
        jobs.add(job := Job("a"))
        await job.fail("jam")

    anyio.run(use)
    anyio.run(use)
    assert len(jobs) == 0


async def test_a_job_of_another_loop_is_refused():
    """A job that belongs elsewhere is not added, and nothing listens to it."""
    made: list[Job[Any, Any]] = []
    thread = threading.Thread(target=lambda: anyio.run(make_one, made))
    thread.start()
    thread.join()
    jobs: Jobs = Jobs()
    with pytest.raises(WrongThread):
        jobs.add(made[0])
    assert (len(jobs), nobody_listens(*made)) == (0, True)


async def make_one(made):
    """Make a job in this loop."""
    made.append(Job())


async def test_another_thread_may_read():
    """What is read from another thread is what is there; old jobs stay until it is asked here."""
    clock = Clock()
    jobs = Jobs(some("a", "b"), keep_for=1, clock=clock)
    move(jobs.get("a"), "fail")
    clock.now += 1
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(["a" in jobs, len(jobs), ids(jobs), jobs.counts])
    )
    thread.start()
    thread.join()
    assert found == [[True, 2, ["a", "b"], {PENDING: 1, FAILURE: 1}]]
    assert "a" not in jobs


# --- the stream of all changes --------------------------------------------------------------


async def test_a_stream_has_what_all_jobs_do_from_now_on():
    """It begins when the block is entered; each job's transitions come in order, as they happen."""
    a, b = some("a", "b")
    jobs = Jobs([a, b])
    move(a, "start")
    changes = jobs.changes()
    move(b, "start")
    async with changes:
        move(b, "retry")
        move(a, "succeed")
        move(b, "start")
        assert await ready(changes) == [("b", 2), ("a", 2), ("b", 3)]
        assert await ready(changes) == []
        move(b, "succeed")
        assert await ready(changes) == [("b", 4)]
    assert (jobs._registry.followers, jobs._registry.readers) == (None, None)


async def test_a_stream_with_the_past_begins_with_all_that_is_known():
    """What the jobs that are kept have done comes first, merged by time."""
    clock = Clock()

    def later(job: Job[Any, Any], trigger: str) -> None:
        clock.now += 1
        move(job, trigger)

    a, b, c = some("a", "b", "c", clock=clock)
    jobs = Jobs([a, b, c])
    later(a, "start")
    later(b, "start")
    later(c, "fail")
    later(a, "retry")
    later(b, "succeed")
    jobs.forget(c)
    async with jobs.changes(past=True) as changes:
        later(a, "start")
        assert await ready(changes) == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)]


async def test_a_stream_with_the_past_knows_nothing_of_jobs_that_are_too_old():
    """What is too old is forgotten before the reader begins, so that nothing of it is lost."""
    clock = Clock()
    jobs = Jobs(some("a", "b"), keep_for=10, clock=clock)
    move(jobs.get("a"), "fail")
    clock.now += 10
    async with jobs.changes(past=True) as changes:
        move(jobs.get("b"), "fail")
        assert await ready(changes) == [("b", 1)]


@pytest.mark.parametrize("past", [False, True])
async def test_a_job_added_later_comes_with_what_it_did(past):
    """Of each job that comes, the whole history is read, whether it has ended or not."""
    jobs = Jobs(some("a"))
    async with jobs.changes(past=past) as changes:
        ended, running, new = some("ended", "running", "new")
        move(ended, "start", "succeed")
        move(running, "start")
        running.report(30)
        for job in (ended, running, new):
            jobs.add(job)
        move(new, "start")
        found = await ready(changes)
    each = {job: [what for id, what in found if id == job] for job, _ in found}
    assert each == {"ended": [1, 2], "running": [1, 30.0], "new": [1]}


async def test_progress_is_folded_to_the_newest():
    """However often a job reports, its newest progress is read once, after its transitions."""
    a, b = some("a", "b")
    jobs = Jobs([a, b])
    async with jobs.changes() as changes:
        move(a, "start")
        for percent in range(50):
            a.report(percent)
        move(b, "start")
        b.report(7)
        assert await ready(changes) == [("a", 1), ("a", 49.0), ("b", 1), ("b", 7.0)]
        a.report(50)
        assert await ready(changes) == [("a", 50.0)]
        a.report(51)
        move(a, "succeed")
        assert await ready(changes) == [("a", 2)]


async def test_progress_is_that_of_the_present_attempt():
    """What was reported in an attempt that is over is not read as that of the next."""
    (a,) = some("a")
    jobs = Jobs([a])
    move(a, "start")
    a.report(90)
    async with jobs.changes() as changes:
        move(a, "retry", "start")
        assert await ready(changes) == [("a", 2), ("a", 3)]
        a.report(10)
        move(a, "retry", "start")
        a.report(20)
        assert await ready(changes) == [("a", 4), ("a", 5), ("a", 20.0)]


async def test_a_stream_begins_with_the_progress_of_those_that_run():
    """A reader learns how far the jobs have come that reported before it came."""
    a, b, c = some("a", "b", "c")
    jobs = Jobs([a, b, c])
    move(a, "start")
    move(b, "start")
    a.report(40)
    async with jobs.changes() as changes:
        assert await ready(changes) == [("a", 40.0)]
        progress = a._progress_record()
        a.report(41)
        assert (await anext(changes)) == a._progress_record() != progress


async def test_no_progress_of_an_attempt_that_is_over():
    """A reader that comes between attempts, or after the last, is told of none."""
    a, b = some("a", "b")
    jobs = Jobs([a, b])
    for job in (a, b):
        move(job, "start")
        job.report(90)
    move(a, "retry")
    move(b, "succeed")
    async with jobs.changes() as changes:
        assert await ready(changes) == []
    async with jobs.changes(past=True) as changes:
        assert sorted(await ready(changes)) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


async def test_progress_outlives_a_transition_within_the_attempt():
    """What was reported before it is read after it, once."""
    beating = JOB_LIFECYCLE.derive(
        transitions=[{"trigger": "beat", "source": "STARTED", "dest": None}]
    )
    (a,) = some("a", lifecycle=beating)
    jobs = Jobs([a])
    async with jobs.changes() as changes:
        move(a, "start")
        a.report(10)
        move(a, "beat")
        assert await ready(changes) == [("a", 1), ("a", 2), ("a", 10.0)]
        move(a, "beat")
        assert await ready(changes) == [("a", 3)]


async def test_progress_comes_after_what_happened_before_it():
    """Of a reader that has caught up with a job, its progress has the place of its first report."""
    clock = Clock()
    a, b, c = some("a", "b", "c", clock=clock)
    jobs = Jobs([a, b, c])
    move(a, "start")
    async with jobs.changes() as changes:
        for act in (
            lambda: move(b, "start"),
            lambda: a.report(1),
            lambda: move(c, "start"),
            lambda: a.report(2),
        ):
            clock.now += 1
            act()
        assert await ready(changes) == [("b", 1), ("a", 2.0), ("c", 1)]


async def test_a_slow_reader_has_the_changes_of_all_jobs_in_order_of_time():
    """A transition has the place of its own time, not that of progress that it has outrun."""
    clock = Clock()
    a, b = some("a", "b", clock=clock)
    jobs = Jobs([a, b])
    move(a, "start")
    async with jobs.changes() as changes:
        clock.now += 1
        a.report(10)
        clock.now += 1
        move(b, "start")
        clock.now += 1
        move(a, "succeed")
        assert await ready(changes) == [("b", 1), ("a", 2)]


async def test_changes_of_one_time_come_in_turn():
    """Where the clock stands still, jobs are read in the order in which they moved, in turn."""
    clock = Clock()
    a, b = some("a", "b", clock=clock)
    jobs = Jobs([a, b])
    async with jobs.changes() as changes:
        move(b, "start")
        move(a, "start")
        move(b, "succeed")
        assert await ready(changes) == [("b", 1), ("a", 1), ("b", 2)]


async def test_a_clock_that_goes_back_loses_nothing():
    """The order of a job's transitions is that of their versions, whatever its clock says."""
    clock = Clock()
    (a,) = some("a", clock=clock)
    jobs = Jobs([a])
    async with jobs.changes() as changes:
        for trigger in ("start", "retry", "start"):
            clock.now -= 1
            move(a, trigger)
        assert await ready(changes) == [("a", 1), ("a", 2), ("a", 3)]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("abc"), st.sampled_from(["start", "retry", "succeed"])),
            st.tuples(st.sampled_from("abc"), st.integers(0, 100)),
            st.just(("", "read")),
            st.just(("", "add")),
        )
    ),
    st.booleans(),
)
async def test_a_reader_has_each_job_without_a_gap(steps, past):
    """Whenever it reads, each job's versions come in order, and progress fits what was read."""
    clock = Clock()
    jobs = Jobs(some(*"ab", clock=clock, max_attempts=None))
    read: dict[str, int] = dict.fromkeys("abc", 0)
    last: dict[str, float] = {}
    times: list[float] = []

    async def catch_up() -> None:
        times.clear()
        with anyio.CancelScope() as scope:
            scope.cancel()
            async for change in changes:
                if isinstance(change, Transition):
                    read[change.job_id] += 1
                    assert change.version == read[change.job_id]
                    last.pop(change.job_id, None)
                    times.append(change.timestamp)
                else:
                    job = jobs.get(change.job_id)
                    assert (change.version, change.attempt) == (read[job.id], job.attempt)
                    last[job.id] = change.progress
        assert times == sorted(times)
        for job in jobs:
            assert read[job.id] == job.version
            assert job.status is not STARTED or last.get(job.id, 0.0) == job.progress

    async with jobs.changes(past=past) as changes:
        for whose, what in [*steps, ("", "read")]:
            clock.now += 1
            job = jobs._registry.by_id.get(whose)
            if what == "read":
                await catch_up()
                assert (changes._heap, changes._unread) == ([], {})
            elif what == "add" and "c" not in jobs:
                jobs.add(Job("c", clock=clock, max_attempts=None))
            elif isinstance(what, int) and job is not None and job.status is STARTED:
                job.report(what)
            elif isinstance(what, str) and job is not None and what != "add" and job.can(what):
                move(job, what)
            assert len(changes._heap) == len(changes._unread) <= len(jobs)


async def test_a_waiting_reader_is_woken():
    """Whatever there is to read wakes it, and so does its end."""
    a, b = some("a", "b")
    jobs = Jobs([a])
    async with jobs.changes() as changes:
        async with waiting(changes) as wait:
            move(a, "start")
        assert wait.value == ("a", 1)
        async with waiting(changes) as wait:
            a.report(3)
        assert wait.value == ("a", 3.0)
        move(b, "start")
        async with waiting(changes) as wait:
            jobs.add(b)
        assert wait.value == ("b", 1)
        async with waiting(changes) as wait:
            jobs.add(Job("c"))
            await settle()
            assert wait.value is None
            move(jobs.get("c"), "fail")
        assert wait.value == ("c", 1)


async def test_cancelling_a_wait_misses_nothing():
    """What happens after a wait was cancelled is read by the next."""
    jobs = Jobs(some("a"))
    async with jobs.changes() as changes:
        with anyio.move_on_after(0):
            await anext(changes)
        move(jobs.get("a"), "start", "succeed")
        assert await ready(changes) == [("a", 1), ("a", 2)]


async def test_a_stream_ends_when_nothing_can_happen_any_more():
    """It ends once the collection is closed, every job is final, and all is read."""
    a, b = some("a", "b")
    jobs = Jobs([a, b])
    async with jobs.changes() as changes:
        move(a, "fail")
        jobs.close()
        assert await ready(changes) == [("a", 1)]
        async with waiting(changes) as wait:
            move(b, "fail")
        assert wait.value == ("b", 1)
        with pytest.raises(StopAsyncIteration):
            await anext(changes)
    async with jobs.changes(past=True) as changes:
        assert [at(change) async for change in changes] == [("a", 1), ("b", 1)]


async def test_closing_wakes_a_reader_that_waits_for_no_job():
    """Where all jobs are final, a reader waits for more to come, until none can."""
    jobs = Jobs(some("a"))
    move(jobs.get("a"), "fail")
    async with jobs.changes() as changes:
        async with waiting(changes) as wait:
            jobs.close()
        assert wait.value is StopAsyncIteration


async def test_a_stream_goes_on_for_others_than_abandoned_jobs():
    """While others may move, an abandoned job ends nothing; then, the reader is told."""
    a, b, c = some("a", "b", "c")
    a.abandon("gone")
    jobs = Jobs([a, b, c])
    async with jobs.changes() as changes:
        async with waiting(changes) as wait:
            b.abandon("gone too")
            await settle()
            assert wait.value is None
            move(c, "start")
        assert wait.value == ("c", 1)
        jobs.close()
        async with waiting(changes) as wait:
            c.abandon("gone as well")
        assert wait.value is JobAbandoned
        for _ in range(2):
            with pytest.raises(JobAbandoned, match="job a was PENDING when it was abandoned: gone"):
                await anext(changes)
        move(a, "fail")
        assert await anext(changes) == a.history[0]
        with pytest.raises(JobAbandoned, match="job b"):
            await anext(changes)
        move(b, "fail")
        move(c, "succeed")
        assert [at(change) async for change in changes] == [("b", 1), ("c", 2)]


async def test_a_reader_is_told_once_what_it_has_lost():
    """What was forgotten unread is told by jobs and changes, and then reading goes on."""
    jobs = Jobs(some(*"abcde"), keep=1)
    async with jobs.changes() as changes:
        move(jobs.get("a"), "start", "succeed")
        move(jobs.get("e"), "start")
        assert (await anext(changes)).job_id == "a"
        move(jobs.get("b"), "fail")
        move(jobs.get("c"), "start", "retry", "fail")
        with pytest.raises(ChangesLost) as caught:
            await anext(changes)
        assert (caught.value.jobs, caught.value.changes) == (2, 2)
        assert await ready(changes) == [("e", 1), ("c", 1), ("c", 2), ("c", 3)]
        move(jobs.get("d"), "fail")
        assert await ready(changes) == [("d", 1)]


async def test_what_was_read_is_not_lost():
    """A reader may itself have jobs forgotten, as soon as it has read how they ended."""
    jobs = Jobs(some(*"abc"))
    jobs.close()
    read = []
    for job in jobs:
        move(job, "start", "succeed")
    async with jobs.changes(past=True) as changes:
        async for change in changes:
            read.append(at(change))
            assert isinstance(change, Transition)
            if change.dest is SUCCESS:
                jobs.forget(change.job_id)
    assert read == [(id, version) for id in "abc" for version in (1, 2)]
    assert len(jobs) == 0


async def test_a_waiting_reader_is_told_what_it_has_lost():
    """Where a job is forgotten as it ends, its end cannot be read: the reader is woken and told."""
    jobs = Jobs(some("a"), keep=0)
    async with jobs.changes() as changes:
        async with waiting(changes) as wait:
            move(jobs.get("a"), "fail")
        assert wait.value is ChangesLost
        assert await ready(changes) == []
        ended = Job("b")
        move(ended, "fail")
        jobs.add(ended)
        jobs.close()
        with pytest.raises(ChangesLost):
            await anext(changes)
        with pytest.raises(StopAsyncIteration):
            await anext(changes)


async def test_a_reader_that_never_reads_holds_no_forgotten_job():
    """What a slow reader holds grows with the jobs that are kept, not with all there ever were."""
    jobs = Jobs(keep=3)
    seen = []
    async with jobs.changes() as changes:
        for _ in range(100):
            jobs.add(job := Job())
            move(job, "start", "succeed")
            seen.append(weakref.ref(job))
            assert len(changes._heap) <= 2 * 3 + 1
        del job
        assert sum(each() is not None for each in seen) <= 2 * 3 + 1
        with pytest.raises(ChangesLost, match="lost 194 changes of 97 finished jobs"):
            await anext(changes)
        assert len(await ready(changes)) == 6


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_left_of_what_was_lost_is_in_order(seed):
    """However many jobs were forgotten unread, the others are still read in order of time."""
    draw = random.Random(seed)
    made = [Job(str(number), clock=Clock()) for number in range(30)]
    jobs = Jobs(made)
    async with jobs.changes() as changes:
        for job in made:
            job._clock.now = draw.random()
            move(job, "fail")
        for job in draw.sample(made, 20):
            jobs.forget(job)
        with pytest.raises(ChangesLost, match="20 changes of 20 finished jobs"):
            await anext(changes)
        left = sorted(jobs, key=lambda job: job.history[0].timestamp)
        assert await ready(changes) == [(job.id, 1) for job in left]


async def test_a_job_that_comes_again_is_read_again():
    """A job that was forgotten unread and is added once more comes with its whole history."""
    jobs = Jobs(some("a", "b"))
    a = jobs.get("a")
    async with jobs.changes() as changes:
        move(jobs.get("b"), "start")
        move(a, "start", "succeed")
        jobs.forget("a")
        jobs.add(a)
        with pytest.raises(ChangesLost):
            await anext(changes)
        assert await ready(changes) == [("b", 1), ("a", 1), ("a", 2)]


async def test_a_stream_is_read_in_its_block():
    """Before the block is entered and after it is left, there is nothing to read from."""
    jobs = Jobs(some("a"))
    changes = jobs.changes()
    with pytest.raises(anyio.ClosedResourceError):
        await anext(changes)
    async with changes:
        move(jobs.get("a"), "start")
    with pytest.raises(anyio.ClosedResourceError):
        await anext(changes)
    assert changes._heap == [], "it holds jobs that nobody will read of"
    async with changes:
        assert await ready(changes) == []
        move(jobs.get("a"), "succeed")
        assert await ready(changes) == [("a", 2)]


async def test_leaving_the_block_wakes_a_reader():
    """A task that waits while another leaves the block is told that it is closed."""
    changes = Jobs(some("a")).changes()
    await changes.__aenter__()
    async with waiting(changes) as wait:
        await changes.__aexit__(None, None, None)
    assert wait.value is anyio.ClosedResourceError


async def test_one_task_reads_at_a_time():
    """A second reader is refused, and the first one is not disturbed."""
    jobs = Jobs(some("a"))
    async with jobs.changes() as changes:
        async with waiting(changes) as wait:
            with pytest.raises(anyio.BusyResourceError):
                await anext(changes)
            move(jobs.get("a"), "start")
        assert wait.value == ("a", 1)


async def test_each_reader_has_everything():
    """Several streams of one collection do not take from each other."""
    jobs = Jobs(some("a"))
    async with jobs.changes() as one, jobs.changes() as two:
        move(jobs.get("a"), "start", "succeed")
        assert await ready(one) == await ready(two) == [("a", 1), ("a", 2)]


@backends
def test_a_stream_is_read_in_the_loop_of_the_jobs(backend):
    """Elsewhere, reading is refused."""
    jobs = Jobs(some("a"))
    changes = jobs.changes()

    async def enter():
        await changes.__aenter__()

    async def read():
        await anext(changes)

    anyio.run(enter, backend=backend)
    with pytest.raises(WrongThread):
        anyio.run(read, backend=backend)


async def test_many_idle_readers_and_jobs_cost_no_wake_up():
    """A reader is woken by what concerns it alone: not by what other collections do."""
    mine, others = Jobs(some("a")), Jobs(some("b"))
    async with mine.changes() as changes, waiting(changes) as wait:
        move(others.get("b"), "start", "succeed")
        await settle()
        assert wait.value is None
        move(mine.get("a"), "start")
    assert wait.value == ("a", 1)
