"""The explorer finds nothing in the library, and finds every fault that is put into it."""

import os
from contextvars import ContextVar

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    JobStatus,
    Lifecycle,
    _job,
    _standing,
    _transit,
    _turn,
    _waiting,
)
from jobstate.testing import Deadlock, ExplorationFailed, explore, run_seeded

SCHEDULES = int(os.environ.get("JOBSTATE_SCHEDULES", "400"))
BACKENDS = ["asyncio", "trio"]

REVIEW = Lifecycle(
    "review",
    states=["DRAFT", "REVIEW", "PAUSED", {"name": "DONE", "final": True}],
    transitions=[
        ["submit", "DRAFT", "REVIEW"],
        ["touch", ["DRAFT", "REVIEW"], None],
        ["redo", "REVIEW", "="],
        ["pause", "REVIEW", "PAUSED"],
        ["resume", "PAUSED", "REVIEW"],
        ["approve", "REVIEW", "DONE"],
        ["drop", ["DRAFT", "PAUSED"], "DONE"],
    ],
    means={"REVIEW": JobStatus.STARTED, "DONE": JobStatus.SUCCESS},
)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_found_in_the_default_lifecycle(backend):
    """No schedule breaks a promise, and together they take every edge there is."""
    found = explore(schedules=SCHEDULES, backend=backend)
    assert found.schedules == SCHEDULES
    assert found.edges == {(e.trigger, e.source, e.dest) for e in JOB_LIFECYCLE.edges}
    assert min(found.transitions, found.refusals, found.cancellations) > SCHEDULES / 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_found_in_a_lifecycle_of_ones_own(backend):
    """Internal and reflexive transitions, pauses and more jobs keep the promises too."""
    found = explore(REVIEW, schedules=SCHEDULES // 4, jobs=3, actors=7, backend=backend)
    assert found.edges == {(e.trigger, e.source, e.dest) for e in REVIEW.edges}


def read_then_listen(monkeypatch):
    """A wait that looks first, and listens only after others have run."""
    until_ended = _waiting.until_ended

    async def late(job):
        await checkpoint()
        await until_ended(job)

    monkeypatch.setattr(_job, "until_ended", late)


def single_waiter_slot(monkeypatch):
    """Room for one listener: the second strands the first."""
    monkeypatch.setattr(_waiting, "joined", lambda listeners, one: one)


def wake_before_commit(monkeypatch):
    """Waiters are woken before the hooks that come before the commit."""
    chosen = _transit._chosen

    async def waking(way, event, turn):
        edge = await chosen(way, event, turn)
        for waiting in _waiting.each(event.job._at_end):
            waiting.ended(event.job)
        await checkpoint()
        return edge

    monkeypatch.setattr(_transit, "_chosen", waking)


def swallowed_cancellation(monkeypatch):
    """A trigger that is cancelled answers as if it had been done."""
    move = _job.Job._move

    async def deaf(self, trigger, args, kwargs):
        try:
            return await move(self, trigger, args, kwargs)
        except anyio.get_cancelled_exc_class():
            return None

    monkeypatch.setattr(_job.Job, "_move", deaf)


def hooks_at_the_same_time(monkeypatch):
    """Hooks run as `asyncio.gather` runs them: each in a task of its own."""

    async def gathered(callbacks, event, turn, failures):
        async def one(callback):
            answer = callback(event)
            if answer is not None:
                await answer

        async with anyio.create_task_group() as tasks:
            for callback in callbacks:
                tasks.start_soon(one, callback)

    monkeypatch.setattr(_transit, "_settle", gathered)


def reentrancy_by_context(monkeypatch):
    """Who is in a hook is told by a context variable, which spawned tasks inherit."""
    inside = ContextVar("inside", default=frozenset())
    run = _transit.run

    async def marked(job, *args):
        token = inside.set(inside.get() | {job.id})
        try:
            return await run(job, *args)
        finally:
            inside.reset(token)

    check = _job.Job._check_not_mine

    def by_context(self, trigger, turn):
        if self.id in inside.get():
            raise _job.ReentrantTrigger(self.id, self.status, trigger)
        check(self, trigger, turn)

    monkeypatch.setattr(_job, "run", marked)
    monkeypatch.setattr(_job.Job, "_check_not_mine", by_context)


def turn_not_handed_on(monkeypatch):
    """A turn that comes to a task just being cancelled is lost with it."""
    wait = _turn.Turn.wait
    monkeypatch.setattr(_turn.Turn, "wait", lambda self, release: wait(self, lambda: None))


def last_come_first_served(monkeypatch):
    """The newest in line is next."""

    class Stack(_turn.OrderedDict):
        def popitem(self, last=False):
            return super().popitem(last=True)

    monkeypatch.setattr(_turn, "OrderedDict", Stack)


def half_a_commit(monkeypatch):
    """The status changes, but the history does not hear of it at once."""
    commit = _standing.Standing._commit

    def forgetful(self, edge, transition, effects):
        commit(self, edge, transition, effects)
        if len(self._history) == 2:
            self._history.pop()

    monkeypatch.setattr(_standing.Standing, "_commit", forgetful)


FAULTS = [
    read_then_listen,
    single_waiter_slot,
    wake_before_commit,
    swallowed_cancellation,
    hooks_at_the_same_time,
    reentrancy_by_context,
    turn_not_handed_on,
    last_come_first_served,
    half_a_commit,
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_found(fault, backend, monkeypatch):
    """A library with the fault fails within a few thousand schedules, and can be replayed."""
    fault(monkeypatch)
    with pytest.raises(ExplorationFailed) as first:
        explore(schedules=1_000, backend=backend)
    with pytest.raises(ExplorationFailed) as again:
        explore(schedules=1, seed=first.value.seed, backend=backend)
    assert str(again.value) == str(first.value)


def test_a_failure_tells_the_smallest_schedule(monkeypatch):
    """What does not matter to the fault is left out of the trace."""
    single_waiter_slot(monkeypatch)
    with pytest.raises(ExplorationFailed) as failed:
        explore(schedules=1_000)
    assert "can never happen" in failed.value.problem
    assert len(failed.value.trace) < 15
    assert f"seed {failed.value.seed}, asyncio" in str(failed.value)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hooks_that_raise_break_no_promise(backend):
    """Guards and hooks of one's own may raise, refuse and trigger; the job keeps its promises."""
    lifecycle = JOB_LIFECYCLE.derive("rough")

    @lifecycle.guard("start")
    async def maybe(event):
        await checkpoint()
        return event.job.version % 3 != 1

    @lifecycle.before("succeed")
    async def refuse(event):
        raise ValueError("not yet")

    @lifecycle.on_enter("RETRY")
    async def requeue(event):
        await checkpoint()
        event.job.defer("requeue")

    @lifecycle.after("fail")
    def complain(event):
        raise ValueError("too bad")

    explore(lifecycle, schedules=SCHEDULES // 4, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hook_that_never_returns_is_found(backend):
    """A lifecycle whose own hook hangs is told as a deadlock, with the way to it."""
    lifecycle = JOB_LIFECYCLE.derive("stuck")

    @lifecycle.on_enter("RETRY")
    async def stuck(event):
        await anyio.sleep_forever()

    with pytest.raises(ExplorationFailed, match="can never happen"):
        explore(lifecycle, schedules=100, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_seed_is_one_order(backend):
    """The same seed plays the same order of events; other seeds play others."""

    async def main():
        order = []

        async def run(number):
            for _ in range(3):
                order.append(number)
                await checkpoint()

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(run, number)
        return tuple(order)

    orders = [run_seeded(main, seed=seed % 20, backend=backend) for seed in range(40)]
    assert orders[:20] == orders[20:]
    assert len(set(orders)) > 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_time_is_virtual(backend):
    """A day passes at once, and what was due in it happens in its order."""

    async def main():
        heard = []

        async def later(hours):
            await anyio.sleep(hours * 3600)
            heard.append(hours)

        async with anyio.create_task_group() as tasks:
            for hours in (24, 1, 2):
                tasks.start_soon(later, hours)
        with anyio.move_on_after(5):
            await anyio.sleep_forever()
        return heard

    assert run_seeded(main, seed=1, backend=backend) == [1, 2, 24]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_deadlock_is_told(backend):
    """A program that can never go on does not hang."""
    with pytest.raises(Deadlock):
        run_seeded(anyio.sleep_forever, seed=1, backend=backend)
