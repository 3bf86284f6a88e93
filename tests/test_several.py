"""Several jobs are awaited in one task: in order, none twice, none forgotten, nothing left."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    AsCompleted,
    Job,
    JobAbandoned,
    JobStatus,
    ReentrantWait,
    WrongThread,
    all_completed,
    as_completed,
    first_completed,
)

pytestmark = pytest.mark.anyio
backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])

SUCCESS, FAILURE, REVOKED = JobStatus.SUCCESS, JobStatus.FAILURE, JobStatus.REVOKED


def end(job: Job, how: JobStatus = FAILURE) -> None:
    """End a job that has not started."""
    if how is SUCCESS:
        job.start_nowait()
        job.succeed_nowait(job.name)
    elif how is FAILURE:
        job.fail_nowait("no data")
    else:
        job.revoke_nowait("too late")


def new(count: int) -> list[Job]:
    """Return new jobs, named by their number."""
    return [Job(name=str(number)) for number in range(count)]


def nobody_listens(*jobs: Job) -> bool:
    """Whether nothing is registered with any of these jobs."""
    return all(job._at_end is None and job._at_step is None for job in jobs)


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
        self.over = False

    async def run(self) -> None:
        """Wait, and note the answer."""
        with self.scope:
            try:
                self.value = await self.begin()
            except Exception as error:
                self.error = error
        self.over = True


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


async def ready(ended: AsCompleted[Job]) -> list[Job]:
    """Return the jobs that an iterator has now; cancelled when it would wait for more."""
    found = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        async for job in ended:
            found.append(job)
    return found


async def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs in the order in which they end."""
    async with as_completed(jobs) as ended:
        return [job async for job in ended]


WAITS: dict[str, Callable[[Iterable[Job]], Awaitable[Any]]] = {
    "all_completed": all_completed,
    "as_completed": in_order,
    "first_completed": first_completed,
}
every_wait = pytest.mark.parametrize("wait_for", WAITS.values(), ids=WAITS)


# --- all_completed ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
async def test_all_completed_answers_in_the_order_given(seed):
    """The outcomes come in the order of the jobs, in whatever order and however those ended."""
    order = random.Random(seed)
    jobs = new(20)
    async with waiting(lambda: all_completed(jobs)) as (wait,):
        for job in order.sample(jobs, len(jobs)):
            await settle()
            assert not wait.over
            end(job, order.choice([SUCCESS, FAILURE, REVOKED]))
    assert wait.value == [job.outcome for job in jobs]
    assert [outcome.name for outcome in wait.value] == [str(number) for number in range(20)]
    assert nobody_listens(*jobs)


async def test_all_completed_waits_for_the_last():
    """Some that have ended are not enough, nor are many steps of those that have not."""
    done, going = new(2)
    end(done)
    async with waiting(lambda: all_completed([done, going])) as (wait,):
        for _ in range(3):
            going.start_nowait()
            await settle()
            going.requeue_nowait()
            await settle()
        assert not wait.over
        end(going)
    assert wait.value == [done.outcome, going.outcome]


async def test_all_completed_is_woken_once():
    """The task that waits sleeps until the last job ends, and is not woken for each of them."""
    jobs = new(20)
    sleeps = 0

    class Counted:
        def __await__(self) -> Generator[Any, Any, Any]:
            nonlocal sleeps
            inner: Any = all_completed(jobs).__await__()
            answer = None
            while True:
                try:
                    asked = inner.send(answer)
                except StopIteration as done:
                    return done.value
                sleeps += 1
                answer = yield asked

    async def wait_for_all() -> Any:
        return await Counted()

    async with waiting(wait_for_all) as (wait,):
        for job in jobs:
            end(job)
            await settle()
    assert (sleeps, len(wait.value)) == (1, 20)


async def test_all_completed_never_raises_for_how_jobs_ended():
    """Success, failure and revocation are all answers, side by side."""
    jobs = new(3)
    for job, how in zip(jobs, (SUCCESS, FAILURE, REVOKED), strict=True):
        end(job, how)
    outcomes = at_once(all_completed(jobs))
    assert [outcome.status for outcome in outcomes] == [SUCCESS, FAILURE, REVOKED]


async def test_all_completed_of_no_jobs():
    """Of no jobs all have ended."""
    assert at_once(all_completed([])) == []
    assert at_once(all_completed(iter(()))) == []


async def test_all_completed_answers_a_repeated_job_each_time():
    """A job that was given several times is awaited once, and answered wherever it was given."""
    one, other = new(2)
    async with waiting(lambda: all_completed([one, other, one])) as (wait,):
        end(one)
        await settle()
        assert not wait.over
        end(other)
    assert wait.value == [one.outcome, other.outcome, one.outcome]
    assert at_once(all_completed([one, one])) == [one.outcome, one.outcome]


async def test_the_list_that_was_given_may_change():
    """Which jobs are awaited is settled when the wait begins."""
    jobs = new(2)
    async with waiting(lambda: all_completed(jobs)) as (wait,):
        one, other = jobs
        jobs.clear()
        jobs.append(Job())
        end(one)
        end(other)
    assert wait.value == [one.outcome, other.outcome]


# --- first_completed --------------------------------------------------------------------------


async def test_first_completed_gives_the_first_that_ends():
    """The job that ends first is the answer, though another ends before the wait has run."""
    jobs = new(3)
    async with waiting(lambda: first_completed(jobs)) as (wait,):
        jobs[0].start_nowait()
        await settle()
        assert not wait.over
        end(jobs[2])
        end(jobs[1])
    assert wait.value is jobs[2]
    assert nobody_listens(*jobs)


async def test_first_completed_of_ended_jobs_is_the_first_given():
    """Of jobs that ended before the wait, the first given is the answer, and at once."""
    jobs = new(4)
    for job in (jobs[3], jobs[1], jobs[2]):
        end(job)
    assert at_once(first_completed(jobs)) is jobs[1]
    assert at_once(first_completed(reversed(jobs))) is jobs[3]
    assert nobody_listens(*jobs)


@pytest.mark.parametrize("how", [SUCCESS, FAILURE, REVOKED])
async def test_first_completed_takes_any_end(how):
    """However the first job ended, it is the first."""
    jobs = new(2)
    async with waiting(lambda: first_completed(jobs)) as (wait,):
        end(jobs[1], how)
    assert (wait.value, wait.value.status) == (jobs[1], how)


@pytest.mark.parametrize("none", [[], (), {}, iter(())], ids=["list", "tuple", "dict", "iterator"])
async def test_first_completed_of_no_jobs_is_refused(none):
    """Of no jobs none will ever end: that is said instead of waiting."""
    with pytest.raises(ValueError, match=r"^first_completed\(\) of no jobs would never return$"):
        at_once(first_completed(none))


# --- as_completed -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
async def test_as_completed_gives_jobs_in_the_order_in_which_they_end(seed):
    """Jobs come as they end, each once, whether or not the reader keeps up; then it is over."""
    order = random.Random(seed)
    jobs = new(20)
    ending = order.sample(jobs, len(jobs))
    async with waiting(lambda: in_order(jobs)) as (wait,):
        for job in ending:
            end(job, order.choice([SUCCESS, FAILURE, REVOKED]))
            for _ in range(order.randrange(3)):
                await checkpoint()
    assert wait.value == ending
    assert nobody_listens(*jobs)


async def test_as_completed_gives_each_as_soon_as_it_ends():
    """The reader has a job before the next one ends."""
    jobs = new(3)
    got: list[Job] = []

    async def follow() -> None:
        async for job in as_completed(jobs):
            got.append(job)

    async with waiting(follow) as (wait,):
        for number, job in enumerate(reversed(jobs), 1):
            assert not wait.over
            end(job)
            await settle()
            assert got == jobs[::-1][:number]
    assert wait.error is None


async def test_as_completed_gives_ended_jobs_first_as_given():
    """Jobs that ended before come first, in the order given; the others as they end."""
    jobs = new(5)
    end(jobs[3])
    end(jobs[1])
    ended = as_completed(jobs)
    assert at_once(anext(ended)) is jobs[1]
    end(jobs[4])
    assert at_once(anext(ended)) is jobs[3]
    assert at_once(anext(ended)) is jobs[4]
    assert await ready(ended) == []
    end(jobs[2])
    end(jobs[0])
    assert [job async for job in ended] == [jobs[2], jobs[0]]
    assert nobody_listens(*jobs)


async def test_as_completed_gives_a_repeated_job_once():
    """A job that was given several times ends once."""
    one, other = new(2)
    end(other)
    ended = as_completed([one, other, one, other])
    assert await ready(ended) == [other]
    end(one)
    assert [job async for job in ended] == [one]


async def test_as_completed_of_no_jobs():
    """Of no jobs there is none to come."""
    ended = as_completed([])
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            at_once(anext(ended))


async def test_as_completed_stays_over():
    """Once every job was given, the iterator is over, however often it is asked."""
    (job,) = new(1)
    end(job)
    ended = as_completed([job])
    assert at_once(anext(ended)) is job
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            at_once(anext(ended))


async def test_as_completed_listens_from_when_it_is_made():
    """A job that ends between making the iterator and reading it is given."""
    jobs = new(2)
    ended = as_completed(jobs)
    end(jobs[1])
    end(jobs[0])
    assert [job async for job in ended] == [jobs[1], jobs[0]]


async def test_cancelling_as_completed_misses_nothing():
    """A reader that gave up waiting goes on later, with whatever ended meanwhile."""
    jobs = new(3)
    async with as_completed(jobs) as ended:
        assert await ready(ended) == []
        end(jobs[2])
        end(jobs[0])
        assert await ready(ended) == [jobs[2], jobs[0]]
        wait = Wait(lambda: anext(ended))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait.run)
            await settle()
            end(jobs[1])
            wait.scope.cancel()
        got = [wait.value] if wait.value else []
        assert got + [job async for job in ended] == [jobs[1]]


async def test_breaking_out_leaves_nothing_registered():
    """A loop that is left early listens no more, as soon as its iterator is dropped."""
    jobs = new(3)
    end(jobs[0])
    async for job in as_completed(jobs):
        assert job is jobs[0]
        assert not nobody_listens(jobs[1])
        break
    assert nobody_listens(*jobs)


async def test_an_error_in_the_loop_leaves_nothing_registered():
    """A loop that ends with an error listens no more, once that error has been dealt with."""
    jobs = new(3)
    end(jobs[0])

    async def follow() -> None:
        async for _ in as_completed(jobs):
            raise LookupError

    with pytest.raises(LookupError):
        await follow()
    gc.collect()
    assert nobody_listens(*jobs)


async def test_a_cancelled_loop_leaves_nothing_registered():
    """A loop that is cancelled listens no more, without a block around it too."""
    jobs = new(3)

    async def follow() -> None:
        async for _ in as_completed(jobs):
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await settle()
        assert not nobody_listens(jobs[0])
        tasks.cancel_scope.cancel()
    gc.collect()
    assert nobody_listens(*jobs)


async def test_the_block_leaves_nothing_registered():
    """The end of its block closes the iterator at once, though somebody still holds it."""
    jobs = new(3)
    end(jobs[0])
    async with as_completed(jobs) as ended:
        assert at_once(anext(ended)) is jobs[0]
    assert nobody_listens(*jobs)
    end(jobs[1])
    with pytest.raises(anyio.ClosedResourceError):
        at_once(anext(ended))
    assert nobody_listens(*jobs)


async def test_the_block_is_left_by_an_error():
    """An error leaves the block as it is, and nothing registered."""
    jobs = new(2)
    with pytest.raises(LookupError):
        async with as_completed(jobs):
            raise LookupError
    assert nobody_listens(*jobs)


async def test_a_job_that_ended_is_not_given_after_the_block():
    """What was not read inside of the block is not read any more, ended or not."""
    jobs = new(2)
    async with as_completed(jobs) as ended:
        end(jobs[0])
    with pytest.raises(anyio.ClosedResourceError):
        at_once(anext(ended))


async def test_leaving_the_block_wakes_the_task_that_waits():
    """A task that waits for the next job is told when another leaves the block."""
    jobs = new(2)
    ended = as_completed(jobs)
    await ended.__aenter__()
    async with waiting(lambda: anext(ended)) as (wait,):
        await ended.__aexit__(None, None, None)
    assert isinstance(wait.error, anyio.ClosedResourceError)
    assert nobody_listens(*jobs)


async def test_one_task_at_a_time_waits_for_the_next_job():
    """A second task that wants the next job is told that another waits; the first gets it."""
    jobs = new(2)
    async with as_completed(jobs) as ended, waiting(lambda: anext(ended)) as (wait,):
        with pytest.raises(anyio.BusyResourceError):
            at_once(anext(ended))
        end(jobs[1])
        end(jobs[0])
        with pytest.raises(anyio.BusyResourceError):  # it is woken, but did not run yet
            at_once(anext(ended))
        await settle()
        assert wait.value is jobs[1]
        assert await ready(ended) == [jobs[0]]


async def test_an_iterator_that_nobody_reads_does_not_hinder():
    """Jobs end, and others wait for them, though an iterator over them was forgotten."""
    jobs = new(2)
    forgotten = as_completed(jobs)
    async with waiting(lambda: all_completed(jobs), lambda: first_completed(jobs)) as waits:
        end(jobs[1])
        end(jobs[0])
    assert [wait.value for wait in waits] == [[job.outcome for job in jobs], jobs[1]]
    assert [job async for job in forgotten] == [jobs[1], jobs[0]]


# --- all of them ------------------------------------------------------------------------------


@every_wait
async def test_any_iterable_of_jobs_will_do(wait_for):
    """Jobs may come as a generator, which is read once, or as a set, a dict's values and so on."""
    jobs = new(3)
    read: list[Job] = []

    def generated() -> Iterator[Job]:
        for job in jobs:
            read.append(job)
            yield job

    async with waiting(
        lambda: wait_for(generated()),
        lambda: wait_for({job.id: job for job in jobs}.values()),
        lambda: wait_for(frozenset(jobs)),
    ) as waits:
        assert read == jobs
        for job in jobs:
            end(job)
    assert all(wait.error is None for wait in waits)
    assert nobody_listens(*jobs)


@every_wait
async def test_several_waits_for_the_same_jobs(wait_for):
    """Waits that overlap are all answered: none takes the place of another."""
    jobs = new(4)
    async with waiting(
        lambda: wait_for(jobs),
        lambda: wait_for(jobs[:2]),
        lambda: wait_for(jobs[2:]),
        lambda: wait_for(jobs),
    ) as waits:
        for job in reversed(jobs):
            end(job)
    expected = {
        all_completed: [
            [job.outcome for job in given] for given in (jobs, jobs[:2], jobs[2:], jobs)
        ],
        in_order: [jobs[::-1], jobs[1::-1], jobs[:1:-1], jobs[::-1]],
        first_completed: [jobs[3], jobs[1], jobs[3], jobs[3]],
    }
    assert [wait.value for wait in waits] == expected[wait_for]
    assert nobody_listens(*jobs)


@every_wait
async def test_no_task_per_job(wait_for):
    """A wait for a thousand jobs is one task, the one that waits."""
    jobs = new(1000)
    before = len(anyio.get_running_tasks())
    async with waiting(lambda: wait_for(jobs)):
        assert len(anyio.get_running_tasks()) == before + 1
        for job in jobs:
            end(job)
    assert len(anyio.get_running_tasks()) == before


@every_wait
async def test_cancelling_leaves_nothing(wait_for):
    """A wait for several jobs that was given up leaves no listener, no task and no reference."""

    async def give_up() -> list[weakref.ref[Job]]:
        jobs = new(5)
        end(jobs[4] if wait_for is not first_completed else Job())
        wait = Wait(lambda: wait_for(jobs))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait.run)
            await settle()
            assert not any(nobody_listens(job) for job in jobs[:4])
            wait.scope.cancel()
        assert wait.scope.cancelled_caught
        assert nobody_listens(*jobs)
        assert {job.status for job in jobs[:4]} == {JobStatus.PENDING}
        return [weakref.ref(job) for job in jobs]

    before = len(anyio.get_running_tasks())
    references = await give_up()
    assert len(anyio.get_running_tasks()) == before
    gc.collect()
    assert [reference() for reference in references] == [None] * 5


@every_wait
@pytest.mark.parametrize("first", ["end", "cancel"])
async def test_woken_and_cancelled_at_the_same_time(wait_for, first):
    """The wait is answered or cancelled, one of the two, and nothing is left in either case."""
    jobs = new(3)
    wait = Wait(lambda: wait_for(jobs))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait.run)
        await settle()
        if first == "cancel":
            wait.scope.cancel()
        for job in jobs:
            end(job)
        wait.scope.cancel()
    assert wait.error is None
    assert (wait.value is None) is wait.scope.cancelled_caught
    assert nobody_listens(*jobs)


@every_wait
@pytest.mark.parametrize("turns", range(5))
async def test_an_end_at_any_moment_is_heard(wait_for, turns):
    """However far a wait has got when the jobs end, it is answered: no moment is a gap."""
    jobs = new(2)
    wait = Wait(lambda: wait_for(jobs))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait.run)
        for _ in range(turns):
            await checkpoint()
        for job in jobs:
            end(job)
            await checkpoint()
        await settle()
        over = wait.over
        tasks.cancel_scope.cancel()
    assert over
    assert wait.error is None


# --- abandoned jobs ---------------------------------------------------------------------------


@every_wait
async def test_an_abandoned_job_wakes_the_wait_at_once(wait_for):
    """Nobody waits for the others where one of several can no longer be told of."""
    jobs = new(3)
    async with waiting(lambda: wait_for(jobs)) as (wait,):
        jobs[1].abandon("the broker has closed")
        await settle()
        assert wait.over
    assert isinstance(wait.error, JobAbandoned)
    assert (wait.error.job_id, wait.error.reason) == (jobs[1].id, "the broker has closed")
    assert nobody_listens(*jobs)


@every_wait
async def test_a_job_that_was_abandoned_before(wait_for):
    """A wait that begins later fails at once, and nothing is registered with the others."""
    jobs = new(3)
    jobs[1].abandon("the broker has closed")
    with pytest.raises(JobAbandoned):
        at_once(wait_for(jobs))
    assert nobody_listens(*jobs)


@every_wait
async def test_an_abandoned_job_that_has_ended_is_an_answer(wait_for):
    """A job that ended is known to have, whatever has gone before or since."""
    before, since = new(2)
    before.abandon("the broker has closed")
    end(before)
    end(since)
    since.abandon("the broker has closed")
    answers = {
        all_completed: [before.outcome, since.outcome],
        in_order: [before, since],
        first_completed: before,
    }
    assert at_once(wait_for([before, since])) == answers[wait_for]


async def test_as_completed_goes_on_after_an_abandoned_job():
    """The reader is told of the abandoned job in its place, and may read on about the others."""
    jobs = new(3)
    async with as_completed(jobs) as ended:
        end(jobs[2])
        jobs[0].abandon("the broker has closed")
        end(jobs[1])
        assert at_once(anext(ended)) is jobs[2]
        with pytest.raises(JobAbandoned):
            at_once(anext(ended))
        assert at_once(anext(ended)) is jobs[1]
        with pytest.raises(StopAsyncIteration):
            at_once(anext(ended))


async def test_as_completed_is_told_of_what_was_abandoned_between_two_waits():
    """Nobody listens once a wait was cancelled; the next one looks for what was missed."""
    jobs = new(2)
    async with as_completed(jobs) as ended:
        assert await ready(ended) == []
        jobs[0].abandon("the broker has closed")
        with pytest.raises(JobAbandoned):
            at_once(anext(ended))


async def test_as_completed_gives_an_abandoned_job_that_has_ended_since():
    """A job that has ended by the time it is read is given like the others, and once."""
    jobs = new(2)
    async with as_completed(jobs) as ended:
        jobs[0].abandon("the broker has closed")
        end(jobs[0])
        end(jobs[1])
        assert [job async for job in ended] == jobs


# --- where a wait may be ----------------------------------------------------------------------


@every_wait
async def test_a_hook_cannot_wait_for_its_own_job_among_others(wait_for):
    """A hook that waits for its own job among others would wait for itself, and is told so."""
    lifecycle = JOB_LIFECYCLE.derive()
    (other,) = new(1)

    @lifecycle.before("start")
    async def hook(event):
        await wait_for([other, event.job])

    job: Job = Job(lifecycle=lifecycle)
    with anyio.fail_after(5):
        with pytest.raises(ReentrantWait):
            await job.start()
    assert (job.status, nobody_listens(job, other)) == (JobStatus.PENDING, True)


@every_wait
async def test_a_hook_may_wait_for_other_jobs(wait_for):
    """A hook waits for other jobs as anybody does."""
    lifecycle = JOB_LIFECYCLE.derive()
    others = new(2)

    @lifecycle.before("start")
    async def hook(event):
        await wait_for(others)

    job: Job = Job(lifecycle=lifecycle)
    async with waiting(job.start) as (wait,):
        assert job.status is JobStatus.PENDING
        for other in others:
            end(other)
    assert wait.value is job.history[0]


def in_thread(call: Callable[[], Any]) -> BaseException | None:
    """Return what a call raises in a thread of its own."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


@every_wait
async def test_a_wait_in_another_loop_is_refused(wait_for):
    """Jobs are awaited in their own event loop, and the refusal registers nothing."""
    jobs = new(2)
    assert isinstance(in_thread(lambda: anyio.run(wait_for, jobs)), WrongThread)
    assert nobody_listens(*jobs)


async def test_jobs_of_two_loops_cannot_be_awaited_together():
    """One task cannot be woken by two loops: it is told so, and nothing is registered."""
    (mine,) = new(1)
    theirs: list[Job] = []

    async def elsewhere() -> None:
        theirs.append(Job())

    assert in_thread(lambda: anyio.run(elsewhere)) is None
    with pytest.raises(WrongThread) as caught:
        at_once(all_completed([mine, *theirs]))
    assert caught.value.job_id == theirs[0].id
    assert nobody_listens(mine, *theirs)


# --- many -------------------------------------------------------------------------------------


@every_wait
def test_what_ten_thousand_jobs_weigh(wait_for):
    """A wait for 10,000 jobs weighs at most 200 bytes a job, beyond the jobs and their outcomes."""

    async def run() -> None:
        jobs = new(10_000)
        task = asyncio.ensure_future(wait_for(iter(jobs)))
        gc.collect()
        tracemalloc.start()
        try:
            await settle()
            gc.collect()
            weight, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert not any(map(nobody_listens, jobs))
        assert weight / len(jobs) <= 200
        for job in jobs:
            job.fail_nowait("no data")
        await task
        assert nobody_listens(*jobs)

    asyncio.run(run())


async def test_a_wait_puts_a_single_object_on_each_job():
    """All that a job holds of a wait for many is the one listener that they share."""
    jobs = new(1000)
    ended = as_completed(jobs)
    listeners = {id(job._at_end) for job in jobs}
    assert len(listeners) == 1
    assert not isinstance(jobs[0]._at_end, dict)
    assert sys.getsizeof(jobs[0]._at_end) < 100
    assert await ready(ended) == []


@every_wait
async def test_the_end_of_one_job_does_not_cost_a_look_at_all(wait_for):
    """The work of a wait grows with its jobs, not with their square: each is seen few times."""
    jobs = new(1000)
    looks = 0

    class Watched(Job):
        def __hash__(self) -> int:
            nonlocal looks
            looks += 1
            return object.__hash__(self)

        __eq__ = object.__eq__

    watched = [Watched() for _ in jobs]
    async with waiting(lambda: wait_for(watched)) as (wait,):
        for job in watched:
            end(job)
            await checkpoint()
    assert wait.error is None
    assert looks <= 10 * len(watched)


# --- abandoned, cancelled, carried elsewhere --------------------------------------------------


async def test_all_completed_goes_on_if_an_abandoned_job_ends_before_it_is_told():
    """The end of the one is an answer, and the others are still waited for."""
    gone, other = new(2)
    async with waiting(lambda: all_completed([gone, other])) as (wait,):
        gone.abandon("the server is gone")
        end(gone)
        await settle()
        assert not wait.over
        end(other)
    assert wait.error is None
    assert [outcome.status for outcome in wait.value] == [FAILURE, FAILURE]
    assert nobody_listens(gone, other)


async def test_all_completed_is_told_of_a_second_abandoned_job():
    """One that has ended since does not hide another that never will."""
    gone, lost, other = new(3)
    async with waiting(lambda: all_completed([gone, lost, other])) as (wait,):
        gone.abandon("the server is gone")
        end(gone)
        lost.abandon("the disk is gone")
    assert isinstance(wait.error, JobAbandoned)
    assert wait.error.job_id == lost.id
    assert nobody_listens(gone, lost, other)


async def test_a_deadline_leaves_nothing_with_the_jobs():
    """A loop cut off by a deadline is not registered any more, without any collection."""
    jobs = new(2)
    gc.disable()
    try:
        ended = as_completed(jobs)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def cut_off() -> None:
                    await settle()
                    scope.cancel()

                tasks.start_soon(cut_off)
                async for _ in ended:
                    raise AssertionError("nothing has ended")
        assert scope.cancelled_caught
        assert nobody_listens(*jobs)
        end(jobs[1])
        end(jobs[0], SUCCESS)
        assert [job async for job in ended] == [jobs[1], jobs[0]]
    finally:
        gc.enable()


def carried(ended: AsCompleted[Job]) -> BaseException | None:
    """Return what comes of an iterator in another loop, in a thread of its own."""

    async def read() -> None:
        await anext(ended)

    return in_thread(lambda: anyio.run(read))


async def test_an_iterator_that_was_carried_to_another_loop_is_refused():
    """It listens in the loop of its jobs alone: their commits do not suffer."""
    (job,) = new(1)
    ended = as_completed([job])
    assert isinstance(carried(ended), WrongThread)
    end(job)
    assert isinstance(carried(ended), WrongThread)
    assert await anext(ended) is job


@backends
def test_an_iterator_made_outside_brings_its_jobs_into_the_loop(backend):
    """Jobs and iterator may be made where no loop runs; the first one that asks has them."""
    jobs = new(2)
    ended = as_completed(jobs)

    async def read() -> list[Job]:
        end(jobs[1])
        first = await anext(ended)
        end(jobs[0])
        return [first, *[job async for job in ended]]

    assert anyio.run(read, backend=backend) == [jobs[1], jobs[0]]
    with pytest.raises(WrongThread):
        jobs[0].defer("start")
