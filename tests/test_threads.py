"""Plain functions in threads: how they hear of a stop, and how they are left behind."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import anyio
import anyio.from_thread
import pytest

from jobstate._attempt import Attempt, current_job, make_current
from jobstate._run_errors import StopRequested, UnsuitableWork
from jobstate.abc import Executor
from jobstate.executors import Threads
from jobstate.executors.threads import _Call

pytestmark = pytest.mark.anyio

_colour: ContextVar[str] = ContextVar("colour")


def new_attempt(told: list[float | None] | None = None) -> Attempt:
    def tell(progress, info):
        if told is not None:
            told.append(progress)

    return Attempt("j1", "print", 1, 3, {}, tell=tell)


class Work:
    """A function that blocks its thread until it is let go, and then may look for a stop."""

    def __init__(self, look=None) -> None:
        self.began, self.go, self.ended = anyio.Event(), threading.Event(), threading.Event()
        self.look = look

    def __call__(self) -> str:
        try:
            anyio.from_thread.run_sync(self.began.set)
            self.go.wait()
            if self.look is not None:
                self.look()
            return "done"
        finally:
            self.ended.set()


def look_at_job() -> None:
    current_job().check()


LOOKS = pytest.mark.parametrize("look", [look_at_job, anyio.from_thread.check_cancelled])


async def test_gives_what_the_function_returns():
    """The function is called with the arguments, in another thread, and its result is given."""

    def where(*args):
        return threading.current_thread(), args

    thread, args = await Threads().run(where, (1, 2), new_attempt())
    assert thread is not threading.current_thread()
    assert args == (1, 2)


async def test_raises_what_the_function_raises():
    """The very exception arrives, with the place in the thread where it was raised."""
    error = ValueError("no paper")

    def fail():
        raise error

    with pytest.raises(ValueError, match="no paper") as caught:
        await Threads().run(fail, (), new_attempt())
    assert caught.value is error
    assert caught.traceback[-1].name == "fail"


async def test_the_current_job_and_other_context_reach_the_thread():
    """`current_job` works in the thread, reports and all."""
    told = list[float | None]()
    attempt = new_attempt(told)
    make_current(attempt)
    _colour.set("red")

    def work():
        current_job().report(40)
        return _colour.get(), current_job()

    assert await Threads().run(work, (), attempt) == ("red", attempt)
    attempt.close()
    assert told == [40.0]


@LOOKS
async def test_the_work_hears_of_a_stop_when_it_asks(look):
    """Both ways of asking raise, once the stop is asked for; the thread is waited for."""
    attempt, work = new_attempt(), Work(look)
    make_current(attempt)
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def stop():
            await work.began.wait()
            attempt.ask_to_stop("enough")
            await anyio.wait_all_tasks_blocked()
            assert not work.ended.is_set()
            work.go.set()

        with pytest.raises(StopRequested, match="j1 was asked to stop: enough"):
            await Threads().run(work, (), attempt)
        assert work.ended.is_set()


async def test_work_that_does_not_ask_ends_by_itself():
    """Nothing interrupts it; its result is what it returns, though a stop was asked for."""
    attempt, work = new_attempt(), Work()
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def stop():
            await work.began.wait()
            attempt.ask_to_stop("enough")
            await anyio.wait_all_tasks_blocked()
            work.go.set()

        assert await Threads().run(work, (), attempt) == "done"
    assert attempt.force_to_stop() is False


@LOOKS
async def test_cancelled_it_leaves_the_thread_behind(look):
    """A cancellation does not wait for the thread, which is told to stop when it asks."""
    work, errors = Work(look), list[BaseException]()
    attempt = new_attempt()

    def outlives():
        try:
            work()
        except BaseException as error:
            errors.append(error)
            raise

    async def run():
        make_current(attempt)
        await Threads().run(outlives, (), attempt)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await work.began.wait()
        tasks.cancel_scope.cancel()
    assert not work.ended.is_set()
    assert attempt.stop_reason == "nobody waits for it any more"
    work.go.set()
    await anyio.to_thread.run_sync(work.ended.wait)
    assert errors
    assert isinstance(errors[0], (StopRequested, anyio.get_cancelled_exc_class()))


async def test_cancelled_after_a_stop_it_leaves_the_thread_behind():
    """Whoever waits for a thread that does not listen can still leave at once."""
    work, attempt = Work(), new_attempt()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Threads().run, work, (), attempt)
        await work.began.wait()
        attempt.ask_to_stop("enough")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert not work.ended.is_set()
    assert attempt.stop_reason == "enough"
    work.go.set()
    await anyio.to_thread.run_sync(work.ended.wait)


async def test_a_cancelled_task_of_asyncio_leaves_the_thread_behind(anyio_backend_name):
    """`Task.cancel` does not wait for the thread either."""
    if anyio_backend_name != "asyncio":
        pytest.skip("only asyncio cancels tasks")
    work = Work()
    running = asyncio.create_task(Threads().run(work, (), new_attempt()))
    await work.began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not work.ended.is_set()
    work.go.set()
    await anyio.to_thread.run_sync(work.ended.wait)


async def test_what_was_stopped_before_does_not_begin():
    """Where the stop came first, the function is not even called."""
    attempt = new_attempt()
    attempt.ask_to_stop("too late")
    with pytest.raises(StopRequested, match="too late"):
        await Threads().run(pytest.fail, (), attempt)


async def test_what_has_not_begun_is_prevented():
    """A stop that comes before the thread has begun keeps the function from being called."""

    class StoppedAtOnce(Attempt):
        def when_stopped(self, ask, force=None):
            super().when_stopped(ask, force)
            self.ask_to_stop("quick")

    attempt = StoppedAtOnce("j1", "print", 1, 3, {}, tell=lambda progress, info: None)
    with pytest.raises(StopRequested, match="quick"):
        await Threads().run(pytest.fail, (), attempt)


async def test_what_was_cancelled_while_it_waited_for_a_thread_never_begins(monkeypatch):
    """Nor does what was handed to a thread that had not yet taken it on."""
    handed, called = [], []

    async def run_sync(function, **options):
        handed.append(function)
        await anyio.sleep_forever()

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Threads().run, called.append, (1,), new_attempt())
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    (make,) = handed
    make()
    assert called == []


async def test_a_thread_that_comes_too_late_does_nothing():
    """Whoever claims a call first has it: the thread, or who no longer wants it made."""
    called = []
    late, early = _Call(called.append, ("late",)), _Call(called.append, ("early",))
    assert late.prevented()
    late.make()
    early.make()
    assert not early.prevented()
    await early.over.wait()
    assert called == ["early"]


async def test_what_was_cancelled_before_it_began_never_begins():
    """A thread that is late finds that it is not wanted any more."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await Threads().run(pytest.fail, (), new_attempt())
    assert scope.cancelled_caught


def test_a_thread_that_outlives_its_loop_ends_quietly(anyio_backend):
    """The end of work that was left behind disturbs nobody, though the event loop is gone."""
    name, options = anyio_backend
    works = list[Work]()

    async def main():
        work = Work()
        works.append(work)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Threads().run, work, (), new_attempt())
            await work.began.wait()
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=name, backend_options=options)
    before = set(threading.enumerate())
    works[0].go.set()
    assert works[0].ended.wait(10)
    for thread in before - {threading.current_thread()}:
        if thread.name == "AnyIO worker thread":
            thread.join(10)
            assert not thread.is_alive()


def test_only_plain_functions_are_taken():
    """What cannot be called, and what must be awaited, is refused; anything else is taken."""
    threads: Executor = Threads()

    async def wait():
        """Is awaited."""

    async def count():
        yield 1

    with pytest.raises(UnsuitableWork, match="an async function runs as a task"):
        threads.check(wait, ())
    with pytest.raises(UnsuitableWork, match="what it gives has yet to be iterated over"):
        threads.check(count, ())
    with pytest.raises(UnsuitableWork, match="cannot run 'print': it cannot be called"):
        threads.check("print", ())
    threads.check(print, (1,))


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, None, "4"])
def test_a_limit_is_a_positive_integer(limit):
    """Any other limit is refused."""
    with pytest.raises(ValueError, match="limit must be an integer from 1 on"):
        Threads(limit)


async def test_there_are_forty_at_once_unless_said_otherwise():
    """The limit can be read; closing is at once."""
    assert Threads().limit == 40
    assert Threads(3).limit == 3
    await Threads().aclose()
