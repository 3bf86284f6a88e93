"""Async functions as the work of jobs: what they give, and how they are stopped."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from jobstate._attempt import Attempt, current_job, make_current
from jobstate._run_errors import StopRequested, UnsuitableWork
from jobstate.abc import Executor
from jobstate.executors import Tasks

pytestmark = pytest.mark.anyio


def new_attempt() -> Attempt:
    return Attempt("j1", "print", 1, 3, {}, tell=lambda progress, info: None)


async def until_stopped(trace: list[str]) -> None:
    trace.append("began")
    try:
        await anyio.sleep_forever()
    finally:
        trace.append("ended")


async def test_gives_what_the_function_returns():
    """The function is called with the arguments, and its result is given as it is."""

    async def add(one, other):
        await anyio.lowlevel.checkpoint()
        return [one, other]

    assert await Tasks().run(add, ("a", "b"), new_attempt()) == ["a", "b"]


async def test_raises_what_the_function_raises():
    """The very exception arrives."""
    error = ValueError("no paper")

    async def fail():
        raise error

    with pytest.raises(ValueError, match="no paper") as caught:
        await Tasks().run(fail, (), new_attempt())
    assert caught.value is error


async def test_runs_in_the_task_of_the_caller():
    """Context variables of the caller are those of the work."""
    attempt = new_attempt()

    async def who():
        return current_job()

    make_current(attempt)
    assert await Tasks().run(who, (), attempt) is attempt


async def test_a_stop_cancels_the_work_and_says_so():
    """Asked to stop, the function is cancelled where it waits, and the runner is told why."""
    attempt, trace = new_attempt(), list[str]()
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def stop():
            attempt.ask_to_stop("enough")

        with pytest.raises(StopRequested) as caught:
            await Tasks().run(until_stopped, (trace,), attempt)
    assert trace == ["began", "ended"]
    assert (caught.value.job_id, caught.value.reason) == ("j1", "enough")


async def test_what_was_stopped_before_does_not_begin():
    """Where the stop came first, the function is not even called."""
    attempt, trace = new_attempt(), list[str]()
    attempt.ask_to_stop("too late")
    with pytest.raises(StopRequested, match="too late"):
        await Tasks().run(until_stopped, (trace,), attempt)
    assert trace == []


async def test_a_result_holds_though_a_stop_was_asked_for():
    """Work that ends by itself all the same has its result, or its error."""
    attempt = new_attempt()

    async def finish(error=None):
        attempt.ask_to_stop("enough")
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            if error is None:
                return "done"
            raise error from None

    assert await Tasks().run(finish, (), attempt) == "done"
    attempt = new_attempt()
    with pytest.raises(ValueError, match="half done"):
        await Tasks().run(finish, (ValueError("half done"),), attempt)


async def test_cannot_be_forced():
    """There is no force for a task: whoever asks for it is told so."""
    attempt = new_attempt()

    async def force():
        return attempt.force_to_stop()

    assert await Tasks().run(force, (), attempt) is False


async def test_a_cancellation_from_outside_passes_through():
    """Whoever cancels the caller cancels the work, and no other exception takes its place."""
    trace = list[str]()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Tasks().run, until_stopped, (trace,), new_attempt())
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert trace == ["began", "ended"]


async def test_a_cancellation_from_outside_outranks_a_stop():
    """Where both come at once, the cancellation is what passes through."""
    attempt, trace = new_attempt(), list[str]()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Tasks().run, until_stopped, (trace,), attempt)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            attempt.ask_to_stop("enough")
    assert scope.cancelled_caught
    assert trace == ["began", "ended"]


async def test_a_cancelled_task_of_asyncio_is_cancelled(anyio_backend_name):
    """`Task.cancel` passes through the work, and through who runs it."""
    if anyio_backend_name != "asyncio":
        pytest.skip("only asyncio cancels tasks")
    trace = list[str]()
    running = asyncio.create_task(Tasks().run(until_stopped, (trace,), new_attempt()))
    await anyio.wait_all_tasks_blocked()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert trace == ["began", "ended"]


def test_what_cannot_be_called_is_refused():
    """A number is no work; what is no async function may still give something to await."""
    tasks: Executor = Tasks()
    with pytest.raises(UnsuitableWork, match="cannot run 7: it cannot be called"):
        tasks.check(7, ())
    tasks.check(lambda: anyio.sleep_forever(), ())


async def test_any_number_runs_at_once_and_nothing_is_kept():
    """There is no limit; closing is at once."""
    assert Tasks().limit is None
    await Tasks().aclose()
