"""Many deadlines, and one timer."""

from __future__ import annotations

from contextvars import Context
from functools import partial

import anyio
import pytest

from jobstate._loop import call_soon, home
from jobstate._timers import Timers
from jobstate.testing import run_seeded

pytestmark = pytest.mark.anyio


@pytest.fixture
def earlier():
    """How often the earliest deadline became an earlier one."""
    return []


@pytest.fixture
def timers(earlier):
    return Timers(lambda: earlier.append(1))


async def test_nothing_is_due_where_nothing_was_asked_for(timers):
    """Whoever waits for the next deadline waits for ever."""
    assert timers.next == float("inf")
    timers.call_due()


async def test_what_is_due_is_called_once_in_its_order(timers):
    """The earlier deadline comes first, whatever was asked for first."""
    called = []
    timers.after(0, lambda: called.append("second"))
    timers.after(-1, lambda: called.append("first"))
    timers.after(3_600, lambda: called.append("never"))
    timers.call_due()
    timers.call_due()
    assert called == ["first", "second"]
    assert timers.next == pytest.approx(anyio.current_time() + 3_600, abs=60)


async def test_a_cancelled_one_is_not_called(timers):
    """It may be cancelled again, after its time, and where there never was one."""
    called = []
    timer = timers.after(0, lambda: called.append("cancelled"))
    timers.cancel(timer)
    timers.cancel(timer)
    timers.cancel(None)
    assert timers.next == float("inf")
    timers.call_due()
    assert called == []


async def test_one_may_cancel_another_that_is_due(timers):
    """What is called first may have the second not called."""
    called = []
    timers.after(-2, lambda: timers.cancel(second))
    second = timers.after(-1, lambda: called.append("second"))
    timers.call_due()
    assert called == []


async def test_an_earlier_deadline_is_told(timers, earlier):
    """Whoever waits for the earliest deadline hears of one that is earlier, and of no other."""
    timers.after(10, lambda: None)
    assert len(earlier) == 1
    timers.after(20, lambda: None)
    assert len(earlier) == 1
    timers.after(5, lambda: None)
    assert len(earlier) == 2


async def test_one_asked_for_while_another_is_called_is_called_in_its_turn(timers):
    """A callback may ask for the next."""
    called = []
    timers.after(0, lambda: timers.after(-1, lambda: called.append("the next")))
    timers.call_due()
    assert called == ["the next"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_clock_is_that_of_the_loop(backend):
    """Where time is virtual, the deadlines are."""

    async def main():
        timers = Timers(lambda: None)
        timers.after(1_000_000, lambda: None)
        return timers.next - anyio.current_time()

    assert run_seeded(main, seed=1, backend=backend) == 1_000_000


async def test_a_callback_of_the_loop_may_set_a_deadline(timers):
    """The clock can be read outside of any task."""
    called = anyio.Event()
    call_soon(home(), partial(Context().run, timers.after, 0, called.set))
    call_soon(home(), partial(Context().run, timers.call_due))
    with anyio.fail_after(10):
        await called.wait()
