"""One transition at a time: who waits for the turn, and who gets it next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    Entry,
    GuardRefused,
    HookFailed,
    Job,
    JobStatus,
    Lifecycle,
    ReentrantTrigger,
    ReentrantWait,
    Refused,
    Transition,
    TransitionRefused,
    WouldBlock,
)

pytestmark = pytest.mark.anyio

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus

ASYNCIO = (("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True}))
on_asyncio = pytest.mark.parametrize("anyio_backend", ASYNCIO, ids=["asyncio", "uvloop"])

COUNTING = Lifecycle[str](
    "counting",
    states=["OPEN", {"name": "CLOSED", "final": True}],
    transitions=[
        {"trigger": "add", "source": "OPEN", "dest": None},
        {"trigger": "close", "source": "OPEN", "dest": "CLOSED"},
    ],
)


class Gate:
    """Holds whoever comes to it until it is opened."""

    def __init__(self) -> None:
        self.inside, self.opened = anyio.Event(), anyio.Event()

    async def __call__(self, *args: Any) -> None:
        """Say who is there, and wait."""
        self.inside.set()
        await self.opened.wait()


async def settled() -> None:
    """Let every task run until it waits for something."""
    for _ in range(30):
        await checkpoint()


def gated(lifecycle: Lifecycle[Any], trigger: str) -> tuple[Lifecycle[Any], Gate]:
    """Return a lifecycle whose trigger is held before the commit, and what holds it."""
    derived, gate = lifecycle.derive(), Gate()
    derived.before(trigger)(gate)
    return derived, gate


# --- the line -------------------------------------------------------------------------------


async def test_triggers_run_in_order_of_arrival():
    """Triggers that wait get their turn one after the other, first come first served."""
    ran: list[tuple[str, int]] = []
    lifecycle = COUNTING.derive()

    @lifecycle.before("add")
    async def before(event):
        ran.append(("before", event.args[0]))
        await checkpoint()

    @lifecycle.after("add")
    async def after(event):
        await checkpoint()
        ran.append(("after", event.args[0]))

    job = Job(lifecycle=lifecycle)
    versions = {}

    async def add(number):
        versions[number] = (await job.trigger("add", number)).version

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(add, number)
            await checkpoint()  # each arrives before the next one is sent
    assert ran == [(when, number) for number in range(50) for when in ("before", "after")]
    assert versions == {number: number + 1 for number in range(50)}
    assert job._turn is None


async def test_thousand_triggers_at_once():
    """Of a thousand concurrent triggers each commits once, and nothing is left over."""
    under_way: list[int] = []
    lifecycle = COUNTING.derive()

    @lifecycle.before("add")
    async def before(event):
        under_way.append(event.args[0])
        assert len(under_way) == 1
        await checkpoint()

    @lifecycle.finalize
    async def last(event):
        await checkpoint()
        under_way.remove(event.args[0])

    job = Job(lifecycle=lifecycle)
    transitions: list[Transition[str]] = []

    async def add(number):
        transitions.append(await job.trigger("add", number))

    async with anyio.create_task_group() as tasks:
        for number in range(1000):
            tasks.start_soon(add, number)
    assert [each.version for each in transitions] == list(range(1, 1001))
    assert job.history == tuple(transitions)
    assert (under_way, job._turn) == ([], None)


async def test_guards_are_asked_at_the_turn():
    """A guard sees the job as it is when its turn has come, not as it was when it was asked."""
    lifecycle, gate = gated(JOB_LIFECYCLE, "start")
    asked = []

    @lifecycle.guard("fail")
    def guard(event):
        asked.append((event.source, event.job.status, event.job.version))
        return True

    job = Job(lifecycle=lifecycle)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job.start)
        await gate.inside.wait()
        tasks.start_soon(job.fail, "x")
        await settled()
        assert asked == []
        gate.opened.set()
    assert asked == [(STARTED, STARTED, 1)]
    assert [each.source for each in job.history] == [PENDING, STARTED]


async def test_trigger_is_judged_by_the_status_at_its_turn():
    """What was possible when it was asked may be refused at its turn, and the other way round."""
    lifecycle, gate = gated(JOB_LIFECYCLE, "start")
    job = Job(lifecycle=lifecycle)
    refused: list[Refused] = []

    async def attempt(trigger: Callable[..., Any], *args: Any) -> None:
        try:
            await trigger(*args)
        except Refused as error:
            refused.append(error)

    assert job.can("revoke")
    assert not job.can("succeed")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attempt, job.start)
        await gate.inside.wait()
        tasks.start_soon(attempt, job.revoke)  # possible now, and no longer then
        await settled()
        tasks.start_soon(attempt, job.succeed, 1)  # not possible now, but then
        await settled()
        tasks.start_soon(attempt, job.fail, "late")
        await settled()
        gate.opened.set()
    assert [each.trigger for each in job.history] == ["start", "succeed"]
    guard, late = refused
    assert isinstance(guard, GuardRefused)
    assert guard.status is STARTED
    assert isinstance(late, TransitionRefused)
    assert (late.status, late.trigger) == (SUCCESS, "fail")


@pytest.mark.parametrize("ending", ["raises", "refused", "cancelled"])
async def test_next_gets_the_turn_however_the_first_one_ended(ending):
    """A transition that raises, is refused or is cancelled hands its turn on."""
    gate = Gate()
    lifecycle = COUNTING.derive()

    @lifecycle.guard("add")
    async def guard(event):
        if event.args == ("first",):
            await gate()
            if ending == "raises":
                raise ValueError
            return ending != "refused"
        return True

    job = Job(lifecycle=lifecycle)
    scope = anyio.CancelScope()

    async def first():
        with scope, suppress(ValueError, GuardRefused):
            await job.trigger("add", "first")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await gate.inside.wait()
            for number in range(3):
                tasks.start_soon(job.trigger, "add", number)
            await settled()
            if ending == "cancelled":
                scope.cancel()
            else:
                gate.opened.set()
    assert (job.version, job._turn) == (3, None)


@pytest.mark.parametrize("leaves", [0, 1, 2, 4])
async def test_cancelled_trigger_leaves_the_line(leaves):
    """A waiting trigger that is cancelled never runs, and the others keep their order."""
    gate = Gate()
    lifecycle = COUNTING.derive()
    ran: list[Any] = []

    @lifecycle.before("add")
    async def before(event):
        ran.append(event.args[0])
        if event.args == ("first",):
            await gate()

    job = Job(lifecycle=lifecycle)
    scopes = [anyio.CancelScope() for _ in range(5)]

    async def add(number):
        with scopes[number]:
            await job.trigger("add", number)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.trigger, "add", "first")
            await gate.inside.wait()
            for number in range(5):
                tasks.start_soon(add, number)
                await settled()
            scopes[leaves].cancel()
            await settled()
            assert scopes[leaves].cancelled_caught
            gate.opened.set()
    assert ran == ["first", *(number for number in range(5) if number != leaves)]
    assert (job.version, job._turn) == (5, None)


async def test_all_that_wait_are_cancelled():
    """Where everybody in line was cancelled, the holder goes on and nothing is left over."""
    lifecycle, gate = gated(COUNTING, "add")
    job = Job(lifecycle=lifecycle)
    scope = anyio.CancelScope()

    async def several():
        with scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(job.trigger, "add")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.trigger, "add")
            await gate.inside.wait()
            tasks.start_soon(several)
            await settled()
            scope.cancel()
            await settled()
            assert not job._turn._queue
            gate.opened.set()
    assert (job.version, job._turn) == (1, None)


@pytest.mark.parametrize("handed_on", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_cancelled_in_the_moment_of_its_turn(count, handed_on):
    """If the turn comes in the very moment of the cancellation, the next in line gets it."""
    gate = Gate()
    lifecycle = COUNTING.derive()
    scopes = [anyio.CancelScope() for _ in range(3)]
    ran = []

    def cancel():
        for scope in scopes[:count]:
            scope.cancel()

    @lifecycle.before("add")
    async def before(event):
        if event.args == ("first",):
            await gate()
        await checkpoint()
        ran.append(event.args[0])

    @lifecycle.finalize
    def last(event):
        if event.args == ("first",) and not handed_on:  # it is, right after this
            cancel()

    job = Job(lifecycle=lifecycle)

    async def first():
        await job.trigger("add", "first")
        if handed_on:  # and whoever got the turn has not run since
            cancel()

    async def add(number):
        with scopes[number]:
            await job.trigger("add", number)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await gate.inside.wait()
            for number in range(3):
                tasks.start_soon(add, number)
                await settled()
            gate.opened.set()
    assert ran == ["first", *range(count, 3)]
    assert [scope.cancelled_caught for scope in scopes] == [number < count for number in range(3)]
    assert (job.version, job._turn) == (len(ran), None)


@on_asyncio
@pytest.mark.parametrize("ahead", [0, 1, 2])
async def test_task_cancelled_in_the_moment_of_its_turn(ahead):
    """The same for a plain task.cancel() of asyncio, for each place in the line."""
    lifecycle, gate = gated(COUNTING, "add")
    waiting: list[asyncio.Task[Any]] = []

    @lifecycle.finalize
    def hand_on(event):
        if event.job.version == ahead + 1:  # the next one is woken right after this
            asyncio.get_running_loop().call_soon(waiting[ahead].cancel)

    job = Job(lifecycle=lifecycle)
    holder = asyncio.create_task(job.trigger("add"))
    await gate.inside.wait()
    for _ in range(4):
        waiting.append(asyncio.create_task(job.trigger("add")))
        await settled()
    gate.opened.set()
    async with asyncio.timeout(5):
        await asyncio.wait([holder, *waiting])
    assert [task.cancelled() for task in waiting] == [number == ahead for number in range(4)]
    assert (job.version, job._turn) == (4, None)


async def test_trigger_that_comes_while_the_turn_is_handed_on():
    """Who comes after the turn was handed on, and before the next one runs, waits behind it."""
    gate = Gate()
    lifecycle = COUNTING.derive()
    ran = []

    @lifecycle.before("add")
    async def before(event):
        if event.args == ("first",):
            await gate()
        await checkpoint()
        ran.append(event.args[0])

    job = Job(lifecycle=lifecycle)

    async def first():
        await job.trigger("add", "first")
        assert job._turn is not None  # handed on, and not yet taken up
        with pytest.raises(WouldBlock):
            job.trigger_nowait("add", "now")
        await job.trigger("add", "again")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await gate.inside.wait()
            tasks.start_soon(job.trigger, "add", "second")
            await settled()
            gate.opened.set()
    assert ran == ["first", "second", "again"]
    assert job._turn is None


async def test_plain_job_needs_no_turn():
    """Where nothing is to be called, concurrent triggers move the job in one step each."""
    job = Job(lifecycle=COUNTING)
    async with anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(job.trigger, "add")
    assert [each.version for each in job.history] == list(range(1, 1001))
    assert job._turn is None


# --- a hook that triggers its own job -------------------------------------------------------

SLOTS = [
    "prepare",
    "guard",
    "before",
    "exit",
    "journal",
    "enter",
    "status",
    "final",
    "after",
    "trigger",
    "exception",
    "finalize",
]


def hooked(slot: str, act: Callable[[Job[Any, Any]], Any], asynchronous: bool) -> Job[Any, Any]:
    """Return a started job which, when it succeeds, calls *act* in that slot."""
    lifecycle = JOB_LIFECYCLE.derive()

    def hook(event: Any) -> Any:
        if event.trigger == "succeed":
            act(event.job)
        return True

    async def async_hook(event: Any) -> Any:
        await checkpoint()
        if event.trigger == "succeed":
            answer = act(event.job)
            if answer is not None:
                await answer
        return True

    class Journal:
        async def append(self, entry: Entry) -> None:
            if entry.transition.trigger == "succeed":
                await checkpoint()
                answer = act(job)
                if answer is not None:
                    await answer

    used = async_hook if asynchronous else hook
    attach: dict[str, Callable[[], Any]] = {
        "exit": lambda: lifecycle.on_exit(STARTED),
        "enter": lambda: lifecycle.on_enter(SUCCESS),
        "final": lifecycle.on_final,
        "exception": lambda: lifecycle.on_exception,
        "finalize": lambda: lifecycle.finalize,
    }
    if slot not in ("journal", "status", "trigger"):
        attach.get(slot, lambda: getattr(lifecycle, slot)("succeed"))()(used)
    if slot == "exception":

        @lifecycle.after("succeed")
        def fail(event: Any) -> None:
            raise OSError("after")

    job: Job[Any, Any] = Job(lifecycle=lifecycle, journal=Journal() if slot == "journal" else None)
    if slot in ("status", "trigger"):
        job.on(SUCCESS if slot == "status" else "succeed", used)
    return job


def flattened(error: BaseException) -> list[BaseException]:
    """Return an exception, or those that a group of them holds."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in flattened(each)]
    return [error]


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("way", ["trigger", "nowait"])
async def test_hook_that_triggers_its_own_job(slot, way):
    """It would wait for itself, so it is refused at once, in any slot, and told the remedy."""
    caught: list[ReentrantTrigger] = []

    async def trigger(job):
        try:
            await job.trigger("requeue") if way == "trigger" else job.trigger_nowait("requeue")
        except ReentrantTrigger as error:
            caught.append(error)

    job = hooked(slot, trigger, asynchronous=True)
    await job.start()
    with anyio.fail_after(5):
        try:
            await job.succeed()
        except HookFailed:
            assert slot == "exception"
    (error,) = caught
    assert (error.job_id, error.trigger) == (job.id, "requeue")
    assert error.status is (SUCCESS if SLOTS.index(slot) >= SLOTS.index("enter") else STARTED)
    assert "job.defer('requeue')" in str(error)
    assert [each.trigger for each in job.history] == ["start", "succeed"]
    assert job._turn is None


@pytest.mark.parametrize("slot", [slot for slot in SLOTS if slot != "journal"])
@pytest.mark.parametrize("nowait", [False, True])
async def test_sync_hook_that_triggers_its_own_job(slot, nowait):
    """A hook without an await gets the same answer, also in a transition that is made at once."""
    caught = []

    def trigger(job):
        with pytest.raises(ReentrantTrigger):
            job.requeue_nowait()
        caught.append(slot)

    job = hooked(slot, trigger, asynchronous=False)
    await job.start()
    try:
        job.succeed_nowait() if nowait else await job.succeed()
    except HookFailed:
        assert slot == "exception"
    assert caught == [slot]
    assert (job.status, job._turn) == (SUCCESS, None)


async def test_reentrant_trigger_that_is_not_caught():
    """Left alone, it stops the transition before the commit, and fails the hook after it."""
    job = hooked("before", lambda job: job.requeue(), asynchronous=True)
    await job.start()
    with pytest.raises(ReentrantTrigger):
        await job.succeed()
    assert (job.status, job._turn) == (STARTED, None)
    job = hooked("enter", lambda job: job.requeue(), asynchronous=True)
    await job.start()
    with pytest.raises(HookFailed) as caught:
        await job.succeed()
    assert [type(error) for error in caught.value.exceptions] == [ReentrantTrigger]
    assert (job.status, job._turn) == (SUCCESS, None)


@pytest.mark.parametrize("slot", [slot for slot in SLOTS if slot != "exception"])
async def test_task_started_in_a_hook_waits_its_turn(slot):
    """A task that a hook starts inherits its context, but not its turn: it waits, and then runs."""
    judged: list[Any] = []

    async def revoke(job):
        try:
            judged.append(await job.trigger("retry", "x"))
        except Refused as error:
            judged.append(error)

    async def spawn(job):
        tasks.start_soon(revoke, job)
        await settled()
        assert judged == []

    job = hooked(slot, spawn, asynchronous=True)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await job.start()
            await job.succeed()
    (refused,) = judged
    assert isinstance(refused, TransitionRefused)
    assert refused.status is SUCCESS
    assert [each.trigger for each in job.history] == ["start", "succeed"]
    assert job._turn is None


@pytest.mark.parametrize(("slot", "ends"), [("before", True), ("after", False)])
async def test_hook_that_waits_for_a_task_behind_it(slot, ends):
    """Neither ends by itself; cancelling the caller helps up to the commit, and not after it."""
    groups: list[Any] = []

    async def wait(job):
        async with anyio.create_task_group() as behind:
            groups.append(behind)
            behind.start_soon(job.requeue)

    async def call():
        with scope:
            await job.succeed()
        ended.set()

    job = hooked(slot, wait, asynchronous=True)
    await job.start()
    scope, ended = anyio.CancelScope(), anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await settled()
            assert not ended.is_set()
            scope.cancel()
            await settled()
            assert ended.is_set() is ends
            groups[0].cancel_scope.cancel()
    assert job.status is (STARTED if ends else SUCCESS)


async def test_task_started_in_a_hook_takes_its_turn():
    """Once the transition is done the task's trigger commits, right after it."""
    lifecycle = COUNTING.derive()
    started = []

    @lifecycle.after("add")
    async def after(event):
        if not started:
            started.append(True)
            tasks.start_soon(event.job.trigger, "close")
            await settled()
            assert event.job.version == 1

    job = Job(lifecycle=lifecycle)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await job.trigger("add")
            await job.completed()
    assert [each.trigger for each in job.history] == ["add", "close"]


async def test_hook_triggers_another_job():
    """A hook may trigger and await other jobs as it likes."""
    lifecycle = JOB_LIFECYCLE.derive()
    other: Job[str] = Job()

    @lifecycle.on_enter(STARTED)
    async def enter(event):
        await other.start()
        await other.succeed("done")
        assert await other == "done"

    job = Job(lifecycle=lifecycle)
    await job.start()
    assert (job.status, other.status) == (STARTED, SUCCESS)


@pytest.mark.parametrize("slots", [("before", "before"), ("before", "after"), ("after", "after")])
@pytest.mark.parametrize("waits", [False, True])
async def test_hook_that_comes_back_through_another_job(slots, waits):
    """Through a hook of another job, in the same call, it would wait for itself all the same."""
    caught: list[Exception] = []
    scope = anyio.CancelScope()
    parents, children = JOB_LIFECYCLE.derive(), JOB_LIFECYCLE.derive()

    async def start_child(event):
        await checkpoint()
        await child.start()

    async def tell_parent(event):
        await checkpoint()
        with scope:  # where the promise is broken, the test ends this wait
            try:
                await (parent.completed() if waits else parent.succeed())
            except (ReentrantTrigger, ReentrantWait) as error:
                caught.append(error)

    getattr(parents, slots[0])("start")(start_child)
    getattr(children, slots[1])("start")(tell_parent)
    parent, child = Job(lifecycle=parents), Job(lifecycle=children)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parent.start)
        await settled()
        scope.cancel()
    assert [type(error) for error in caught] == [ReentrantWait if waits else ReentrantTrigger]
    assert (parent._turn, child._turn) == (None, None)


# --- a hook that waits for its own job ------------------------------------------------------


async def first_change(job: Job[Any, Any]) -> None:
    """Wait for the next change of a job."""
    async with job.changes(after=job.version) as changes, aclosing(aiter_of(changes)) as each:
        async for _ in each:
            break


async def aiter_of(changes: Any) -> Any:
    """Yield each change, from a generator that can be closed."""
    async for change in changes:
        yield change


WAITS = [
    pytest.param(lambda job: job.completed(), id="completed"),
    pytest.param(lambda job: job._value(), id="await"),
    pytest.param(lambda job: job.reached(SUCCESS), id="reached"),
    pytest.param(first_change, id="changes"),
]


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("slot", ["prepare", "guard", "before", "exit", "journal"])
async def test_hook_that_waits_for_its_own_job(slot, wait):
    """The job cannot move while its hook waits for it: the wait is refused at once."""
    caught: list[ReentrantWait] = []

    async def waiting(job):
        try:
            await wait(job)
        except ReentrantWait as error:
            caught.append(error)

    job = hooked(slot, waiting, asynchronous=True)
    await job.start()
    with anyio.fail_after(5):
        await job.succeed()
    (error,) = caught
    assert (error.job_id, error.status) == (job.id, STARTED)
    assert "another task" in str(error)
    assert (job._at_end, job._at_step, job._turn) == (None, None, None)


@pytest.mark.parametrize("wait", WAITS)
async def test_hook_after_the_commit_that_waits_for_its_own_job(wait):
    """After the commit, too, the wait for what is still to come is refused."""
    caught: list[type[Exception]] = []
    lifecycle = JOB_LIFECYCLE.derive()

    @lifecycle.on_enter(STARTED)
    async def enter(event):
        await checkpoint()
        try:
            await wait(event.job)
        except ReentrantWait as error:
            caught.append(type(error))

    job = Job(lifecycle=lifecycle)
    with anyio.fail_after(5):
        await job.start()
    assert caught == [ReentrantWait]
    assert (job._at_end, job._at_step, job._turn) == (None, None, None)


async def test_hook_may_read_what_is_there_already():
    """What lies in the past is answered at once in a hook, too."""
    lifecycle = JOB_LIFECYCLE.derive()
    read: list[Any] = []

    @lifecycle.on_enter(SUCCESS)
    async def enter(event):
        read.append((await event.job.reached(STARTED)).version)
        read.append((await event.job.completed()).status)
        read.append(await event.job)
        async with event.job.changes() as changes:
            read.extend([change.dest async for change in changes])

    job: Job[str] = Job(lifecycle=lifecycle)
    await job.start()
    await job.succeed("r")
    assert read == [1, SUCCESS, "r", STARTED, SUCCESS]


async def test_task_started_in_a_hook_may_wait():
    """A task that a hook starts may wait for the job."""
    lifecycle = JOB_LIFECYCLE.derive()
    seen = []

    async def wait(job):
        seen.append((await job.completed()).status)

    @lifecycle.before("start")
    @lifecycle.on_enter(STARTED)
    async def start_waiting(event):
        tasks.start_soon(wait, event.job)
        await settled()

    job = Job(lifecycle=lifecycle)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await job.start()
            await job.succeed()
    assert seen == [SUCCESS, SUCCESS]


# --- nowait ---------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
async def test_nowait_in_mid_transition(when):
    """From another task, in the midst of a transition, nowait would have to wait and says so."""
    lifecycle, gate = JOB_LIFECYCLE.derive(), Gate()
    getattr(lifecycle, when)("start")(gate)
    job = Job(lifecycle=lifecycle)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.start)
            await gate.inside.wait()
            before = job.snapshot()
            with pytest.raises(WouldBlock) as caught:
                job.fail_nowait("x")
            assert "another transition" in caught.value.why
            assert (caught.value.job_id, caught.value.trigger) == (job.id, "fail")
            assert job.snapshot() == before
            gate.opened.set()
    assert job.fail_nowait("x").version == 2
    assert job._turn is None


@pytest.mark.parametrize(
    "trigger", ["start", "succeed", "fail", "retry", "requeue", "revoke", "trigger"]
)
async def test_every_nowait_is_refused_in_mid_transition(trigger):
    """Each of the nowait kin keeps out of a transition that is under way."""
    lifecycle, gate = gated(JOB_LIFECYCLE, "start")
    job = Job(lifecycle=lifecycle)
    args = {"fail": ("x",), "retry": ("x",), "trigger": ("start",)}.get(trigger, ())
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.start)
            await gate.inside.wait()
            with pytest.raises(WouldBlock):
                getattr(job, f"{trigger}_nowait")(*args)
            gate.opened.set()
    assert job.version == 1


async def test_nothing_is_left_over():
    """However a trigger ended, nobody holds the turn afterwards."""
    lifecycle = JOB_LIFECYCLE.derive()

    @lifecycle.before("start")
    def before(event):
        if event.args:
            raise event.args[0]

    @lifecycle.after("requeue")
    def after(event):
        raise OSError

    job = Job(lifecycle=lifecycle)
    for error in (ValueError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            await job.trigger("start", error)
        assert job._turn is None
        with pytest.raises(type(error)):
            job.trigger_nowait("start", error)
        assert job._turn is None
    with pytest.raises(TransitionRefused):
        await job.succeed()
    assert job._turn is None
    with pytest.raises(TransitionRefused):
        job.succeed_nowait()
    assert job._turn is None
    await job.start()
    with pytest.raises(HookFailed):
        await job.requeue()
    assert job._turn is None
    job.start_nowait()
    with pytest.raises(HookFailed):
        job.requeue_nowait()
    assert job._turn is None
