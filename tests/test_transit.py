"""One transition: what runs in which order, and what stops it or cannot stop it any more."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from inspect import isawaitable
from typing import Any

import anyio
import pytest
import structlog
import trio
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    Entry,
    GuardRefused,
    HookFailed,
    Job,
    JobStatus,
    Lifecycle,
    Refused,
    Transition,
    TransitionEvent,
    TransitionRefused,
    WouldBlock,
    add_observer,
    remove_observer,
)
from jobstate.abc import Observer

pytestmark = pytest.mark.anyio

BEFORE = ("prepare_event", "prepare", "guard", "before_state_change", "before", "exit")
AFTER = ("enter", "status", "on_final", "final", "after", "after_state_change", "trigger")
WIDE = ("prepare_event", "before_state_change", "after_state_change", "on_final")

ASYNCIO = (("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True}))
TRIO: tuple[str, dict[str, bool]] = ("trio", {})
on_asyncio = pytest.mark.parametrize("anyio_backend", ASYNCIO, ids=["asyncio", "uvloop"])


in_every_style = pytest.mark.parametrize(
    "asynchronous", [False, True, "eager"], ids=["sync", "async", "eager"]
)
"""Hooks without an await, those that wait at once, and those that act before they wait."""


class Gate:
    """Holds whoever comes to it until it is opened."""

    def __init__(self) -> None:
        self.inside, self.opened = anyio.Event(), anyio.Event()
        self.passed = False

    async def __call__(self) -> None:
        """Say who is there, and wait."""
        self.inside.set()
        await self.opened.wait()
        self.passed = True


class Slots:
    """A job with a hook in every slot, which notes its slot and then does as it is told."""

    def __init__(
        self, *, asynchronous: bool | str = True, journal: bool = False, **more: Any
    ) -> None:
        self.asynchronous = asynchronous
        self.ran: list[str] = []
        self.act: dict[str, Callable[[], Any]] = {}
        self.events: dict[str, TransitionEvent[str]] = {}
        wide: dict[str, Any] = {name: self.hook(name) for name in WIDE}
        self.lifecycle = lifecycle = Lifecycle[str](
            "slots",
            states=["READY", {"name": "DONE", "final": True}],
            transitions=[["finish", "READY", "DONE"]],
            means={"DONE": JobStatus.SUCCESS},
            **wide,
            **more,
        )
        lifecycle.prepare("finish")(self.hook("prepare"))
        lifecycle.guard("finish")(self.hook("guard"))
        lifecycle.before("finish")(self.hook("before"))
        lifecycle.on_exit("READY")(self.hook("exit"))
        lifecycle.on_enter("DONE")(self.hook("enter"))
        lifecycle.on_final("DONE")(self.hook("final"))
        lifecycle.after("finish")(self.hook("after"))
        lifecycle.on_exception(self.hook("exception"))
        lifecycle.finalize(self.hook("finalize"))
        self.job: Job[Any, str] = Job(lifecycle=lifecycle, journal=self if journal else None)
        self.job.on("DONE", self.hook("status"))
        self.job.on("finish", self.hook("trigger"))
        self.untouched = self.view()

    def hook(self, slot: str) -> Callable[..., Any]:
        """Return the hook of a slot."""

        def noted(args: tuple[Any, ...]) -> Any:
            self.ran.append(slot)
            if args:
                self.events[slot] = args[0]
            return self.act.get(slot, lambda: None)()

        def hook(*args: Any, **kwargs: Any) -> Any:
            answer = noted(args)
            return (slot == "guard") or None if answer is None else answer

        async def async_hook(*args: Any, **kwargs: Any) -> Any:
            if self.asynchronous != "eager":
                await checkpoint()
            answer = noted(args)
            if isawaitable(answer):
                answer = await answer
            await checkpoint()
            return (slot == "guard") or None if answer is None else answer

        return async_hook if self.asynchronous else hook

    async def append(self, entry: Entry) -> None:
        """Do as a journal that is one more slot."""
        await self.hook("journal")()

    async def finish(self, *args: Any) -> Transition[str]:
        """Trigger the only transition that there is."""
        return await self.job.trigger("finish", *args)

    def view(self) -> tuple[Any, ...]:
        """Return all that can be seen of the job."""
        job = self.job
        return job.snapshot(), job.history, job.outcome, job.can("finish")

    def check_untouched(self) -> None:
        """Check that the job is exactly as it was made, and that nobody holds its turn."""
        assert self.view() == self.untouched
        assert self.job._turn is None

    def check_moved(self) -> None:
        """Check that the job made its one transition, and that nobody holds its turn."""
        assert (self.job.status, self.job.version) == ("DONE", 1)
        assert self.job._turn is None


def raising(*errors: BaseException) -> Callable[[], None]:
    """Return something that raises these one call after the other."""
    left = list(errors)

    def act() -> None:
        raise left.pop(0)

    return act


async def settled() -> None:
    """Let every task run until it waits for something."""
    for _ in range(30):
        await checkpoint()


class Fatal(BaseException):
    """No Exception."""


class Picky(Exception):
    """Equal to any other of its kind."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picky)


# --- order ----------------------------------------------------------------------------------


@in_every_style
async def test_hooks_run_in_order(asynchronous):
    """Every hook runs once, in the order of transitions; the journal comes just before."""
    slots = Slots(asynchronous=asynchronous)
    await slots.finish()
    assert slots.ran == [*BEFORE, *AFTER, "finalize"]
    slots = Slots(journal=True)
    await slots.finish()
    assert slots.ran == [*BEFORE, "journal", *AFTER, "finalize"]


@in_every_style
async def test_commit_lies_between_exit_and_enter(asynchronous):
    """Up to the exit hooks the job stands where it stood; from the enter hooks on it has moved."""
    slots = Slots(asynchronous=asynchronous)
    seen = {}
    for slot in (*BEFORE, *AFTER, "finalize"):
        slots.act[slot] = lambda slot=slot: seen.setdefault(slot, slots.job.status) and None
    await slots.finish()
    assert seen == {
        **dict.fromkeys(BEFORE, "READY"),
        **dict.fromkeys((*AFTER, "finalize"), "DONE"),
    }


async def test_event_tells_of_the_transition():
    """The event names the job, the trigger, both statuses and, once committed, the record."""
    slots = Slots()
    seen = {}
    for slot in ("prepare", "guard", "before", "exit", "enter", "after", "finalize"):

        def note(slot=slot):
            event = slots.events[slot]
            facts = (event.job, event.trigger, event.source, event.dest, event.error)
            assert facts == (slots.job, "finish", "READY", "DONE", None)
            seen[slot] = event.transition

        slots.act[slot] = note
    transition = await slots.job.trigger("finish")
    committed = {slot for slot, record in seen.items() if record is transition}
    assert committed == {"enter", "after", "finalize"}
    assert {seen[slot] for slot in seen.keys() - committed} == {None}
    assert "finish" in repr(slots.events["enter"])


async def test_declared_hooks_come_before_attached_ones():
    """Within a slot: what the definition names, then the class's method, then decorators."""
    ran: list[str] = []

    def note(name):
        def hook(*args):
            ran.append(name)
            return True

        return hook

    class Mine(Job):
        def on_enter_B(self):
            ran.append("class enter")

        def on_exit_A(self):
            ran.append("class exit")

    lifecycle = Lifecycle(
        states=[
            {"name": "A", "on_exit": [note("declared exit")]},
            {"name": "B", "on_enter": note("declared enter"), "final": True},
        ],
        transitions=[
            {
                "trigger": "go",
                "source": "A",
                "dest": "B",
                "prepare": note("declared prepare"),
                "unless": lambda: False,
                "conditions": note("condition"),
                "before": [note("declared before 1"), note("declared before 2")],
                "after": note("declared after"),
            }
        ],
    )
    for name in ("prepare", "guard", "before", "after"):
        getattr(lifecycle, name)("go")(note(f"attached {name}"))
        getattr(lifecycle, name)("*")(note(f"attached {name} *"))
    lifecycle.on_exit("A")(note("attached exit"))
    lifecycle.on_enter("B")(note("attached enter"))
    await Mine(lifecycle=lifecycle).trigger("go")
    assert ran == [
        "declared prepare",
        "attached prepare",
        "attached prepare *",
        "condition",
        "attached guard",
        "attached guard *",
        "declared before 1",
        "declared before 2",
        "attached before",
        "attached before *",
        "declared exit",
        "class exit",
        "attached exit",
        "declared enter",
        "class enter",
        "attached enter",
        "declared after",
        "attached after",
        "attached after *",
    ]


def candidates(*answers: Any) -> tuple[Job[Any, str], list[str]]:
    """Return a job whose one trigger has a candidate for each answer, and what runs."""
    ran: list[str] = []

    def note(name: str, answer: Any = None) -> Callable[[], Any]:
        def hook() -> Any:
            ran.append(name)
            return answer

        hook.__qualname__ = name
        return hook

    names = "BCDE"[: len(answers)]
    lifecycle = Lifecycle[str](
        states=["A", *({"name": name, "final": True} for name in names)],
        transitions=[
            {
                "trigger": "go",
                "source": "A",
                "dest": dest,
                "prepare": note(f"prepare {dest}"),
                "conditions": note(f"guard {dest}", answer),
                "before": note(f"before {dest}"),
            }
            for dest, answer in zip(names, answers, strict=True)
        ],
        prepare_event=note("prepare event"),
    )
    return Job(lifecycle=lifecycle), ran


async def test_candidates_are_tried_in_order_until_one_passes():
    """Each candidate prepares and asks its guards; the first that passes is taken, alone."""
    job, ran = candidates(False, True, True)
    transition = await job.trigger("go")
    assert (transition.dest, job.status) == ("C", "C")
    assert ran == ["prepare event", "prepare B", "guard B", "prepare C", "guard C", "before C"]


async def test_guard_refused_names_every_guard_that_refused():
    """Where no candidate passes, the error holds the guard and the answer of each, in order."""
    job, _ = candidates(False, "no", None)
    with pytest.raises(GuardRefused) as caught:
        await job.trigger("go")
    refused = caught.value
    assert refused.refusals == (
        ("B", "guard B", "False"),
        ("C", "guard C", "'no'"),
        ("D", "guard D", "None"),
    )
    assert (refused.guard, refused.job_id, refused.status) == ("guard B", job.id, "A")
    assert refused.trigger == "go"
    assert "guard C of the way to C answered 'no'" in str(refused)
    assert (job.status, job.version, job._turn) == ("A", 0, None)


async def test_guards_after_one_that_refused_are_not_asked():
    """The first guard that refuses settles it for its candidate."""
    ran = []
    lifecycle = Slots().lifecycle.derive()
    lifecycle.guard("finish")(lambda event: ran.append("second") or False)
    lifecycle.guard("finish")(lambda event: ran.append("third") or True)
    job = Job(lifecycle=lifecycle)
    with pytest.raises(GuardRefused):
        await job.trigger("finish")
    assert ran == ["second"]


async def test_internal_and_reflexive_transitions_run_their_own_hooks():
    """An internal transition leaves and enters nothing; a reflexive one does both."""
    ran: list[str] = []

    def note(name):
        return lambda *args: ran.append(name)

    lifecycle = Lifecycle(
        states=["A", {"name": "B", "final": True}],
        transitions=[
            {"trigger": "stay", "source": "A", "dest": None},
            {"trigger": "spin", "source": "A", "dest": "="},
            ["end", "A", "B"],
        ],
        before_state_change=note("before"),
        after_state_change=note("after"),
        on_final=note("final"),
    )
    lifecycle.on_exit("A")(note("exit"))
    lifecycle.on_enter("A")(note("enter"))
    job = Job(lifecycle=lifecycle)
    job.on("A", note("on status"))
    stay = await job.trigger("stay")
    assert (stay.internal, stay.source, stay.dest, stay.version) == (True, "A", "A", 1)
    assert ran == ["before", "after"]
    ran.clear()
    spin = await job.trigger("spin")
    assert (spin.internal, spin.source, spin.dest, spin.version) == (False, "A", "A", 2)
    assert ran == ["before", "exit", "enter", "on status", "after"]


# --- refusals -------------------------------------------------------------------------------


@in_every_style
async def test_illegal_trigger_is_told_to_exception_hooks(asynchronous):
    """An illegal trigger runs the hooks on exceptions and the last ones, and changes nothing."""
    slots = Slots(asynchronous=asynchronous)
    await slots.finish()
    done = slots.view()
    slots.ran.clear()
    with pytest.raises(TransitionRefused) as caught:
        await slots.finish()
    refused = caught.value
    assert (refused.job_id, refused.status, refused.trigger) == (slots.job.id, "DONE", "finish")
    assert refused.possible == ()
    assert slots.ran == ["exception", "finalize"]
    assert slots.events["exception"].error is refused
    assert slots.view() == done
    assert slots.job._turn is None


async def test_ignored_invalid_trigger_is_refused_quietly():
    """With ignore_invalid_triggers it is refused all the same; exception hooks do not hear."""
    slots = Slots(ignore_invalid_triggers=True)
    await slots.finish()
    slots.ran.clear()
    with pytest.raises(TransitionRefused):
        await slots.finish()
    assert slots.ran == ["finalize"]


async def test_refusing_guard_is_no_exception():
    """A guard that says no is told to the caller and to the last hooks, not as an exception."""
    slots = Slots()
    slots.act["guard"] = lambda: False
    with pytest.raises(GuardRefused):
        await slots.finish()
    assert slots.ran == ["prepare_event", "prepare", "guard", "finalize"]
    slots.check_untouched()


class Strange:
    """Cannot be compared."""

    def __eq__(self, other):
        raise ZeroDivisionError("not comparable")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("slot", ["conditions", "unless", "attached"])
@pytest.mark.parametrize("answer", [True, False, None, "yes", "", 1, 0, 2, [True], object()])
async def test_guard_passes_by_the_answer_that_it_should_give(slot, answer, asynchronous):
    """A guard passes if its answer equals True (False for unless), not if it is truthy."""

    def guard(*args):
        return answer

    async def async_guard(*args):
        return answer

    asked = async_guard if asynchronous else guard
    declared = {} if slot == "attached" else {slot: asked}
    lifecycle = Lifecycle(
        states=["A", {"name": "B", "final": True}],
        transitions=[{"trigger": "go", "source": "A", "dest": "B", **declared}],
    )
    if slot == "attached":
        lifecycle.guard("go")(asked)
    job = Job(lifecycle=lifecycle)
    if answer == (slot != "unless"):
        await job.trigger("go")
    else:
        with pytest.raises(GuardRefused) as caught:
            await job.trigger("go")
        assert caught.value.refusals == (("B", asked.__qualname__, repr(answer)),)
    assert job.version == (answer == (slot != "unless"))


@in_every_style
async def test_guard_whose_answer_cannot_be_compared(asynchronous):
    """What the comparison of an answer raises reaches the caller; the job is as it was."""
    slots = Slots(asynchronous=asynchronous)
    slots.act["guard"] = Strange
    with pytest.raises(ZeroDivisionError, match="not comparable"):
        await slots.finish()
    assert slots.ran == ["prepare_event", "prepare", "guard", "exception", "finalize"]
    slots.check_untouched()


# --- hooks that raise -----------------------------------------------------------------------

ERRORS = [ValueError, KeyError, Fatal, KeyboardInterrupt, SystemExit]


@in_every_style
@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("slot", BEFORE)
async def test_raised_before_the_commit(slot, kind, asynchronous):
    """It reaches the caller as it is, the job is as it was, and only the last hooks still run."""
    slots = Slots(asynchronous=asynchronous)
    error = kind("no")
    slots.act[slot] = raising(error)
    with pytest.raises(kind) as caught:
        await slots.finish()
    assert caught.value is error
    heard = ["exception"] if isinstance(error, Exception) else []
    assert slots.ran == [*BEFORE[: BEFORE.index(slot) + 1], *heard, "finalize"]
    assert slots.events["finalize"].error is error
    slots.check_untouched()


@in_every_style
@pytest.mark.parametrize("kind", [ValueError, KeyError])
@pytest.mark.parametrize("slot", AFTER)
async def test_raised_after_the_commit(slot, kind, asynchronous):
    """The remaining hooks run, and the caller gets it in a group that carries the transition."""
    slots = Slots(asynchronous=asynchronous)
    error = kind("no")
    slots.act[slot] = raising(error)
    with pytest.raises(HookFailed) as caught:
        await slots.finish()
    slots.check_moved()
    assert caught.value.exceptions == (error,)
    assert caught.value.exceptions[0] is error
    assert caught.value.transition is slots.job.history[0]
    assert slots.ran == [*BEFORE, *AFTER, "exception", "finalize"]
    assert slots.events["exception"].error is error
    assert slots.events["exception"].transition is slots.job.history[0]


@in_every_style
@pytest.mark.parametrize("kind", [Fatal, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("slot", [*AFTER, "finalize"])
async def test_interrupt_after_the_commit(slot, kind, asynchronous):
    """No Exception: it reaches the caller as it is, once the remaining hooks have run."""
    slots = Slots(asynchronous=asynchronous)
    error = kind("no")
    slots.act[slot] = raising(error)
    with pytest.raises(kind) as caught:
        await slots.finish()
    slots.check_moved()
    assert caught.value is error
    assert caught.value.__cause__ is None
    assert slots.ran == [*BEFORE, *AFTER, "finalize"]


@in_every_style
async def test_interrupt_beside_exceptions(asynchronous):
    """An interrupt after the commit has as its cause the group of what else was raised."""
    slots = Slots(asynchronous=asynchronous)
    first, interrupt, last = ValueError("first"), KeyboardInterrupt(), KeyError("last")
    slots.act.update(enter=raising(first), after=raising(interrupt), finalize=raising(last))
    with pytest.raises(KeyboardInterrupt) as caught:
        await slots.finish()
    assert caught.value is interrupt
    cause = caught.value.__cause__
    assert isinstance(cause, HookFailed)
    assert cause.exceptions == (first, last)
    assert cause.transition is slots.job.history[0]
    assert slots.ran == [*BEFORE, *AFTER, "exception", "finalize"]
    assert slots.events["exception"].error is first
    slots.check_moved()


@in_every_style
async def test_every_hook_fails(asynchronous):
    """Each failure after the commit is in the group, in order; exception hooks hear of all."""
    slots = Slots(asynchronous=asynchronous)
    errors = [ValueError(slot) for slot in (*AFTER, "exception", "finalize")]
    for slot, error in zip((*AFTER, "exception", "finalize"), errors, strict=True):
        slots.act[slot] = raising(error)
    with pytest.raises(HookFailed) as caught:
        await slots.finish()
    assert caught.value.exceptions == tuple(errors)
    told = slots.events["exception"].error
    assert isinstance(told, HookFailed)
    assert told.exceptions == tuple(errors[: len(AFTER)])
    assert told.transition is slots.job.history[0]
    slots.check_moved()


async def test_group_can_be_taken_apart():
    """split, subgroup, derive and except* give groups that still carry the transition."""
    slots = Slots()
    slots.act.update(enter=raising(ValueError("v")), after=raising(KeyError("k")))
    with pytest.raises(HookFailed) as caught:
        await slots.finish()
    group = caught.value
    values, rest = group.split(ValueError)
    for part, kind in (
        (values, ValueError),
        (rest, KeyError),
        (group.subgroup(KeyError), KeyError),
    ):
        assert isinstance(part, HookFailed)
        assert part.transition is slots.job.history[0]
        assert [type(error) for error in part.exceptions] == [kind]
        assert part.message == group.message
    assert group.derive([OSError()]).transition is slots.job.history[0]
    seen = []
    try:
        try:
            raise group
        except* ValueError as found:
            seen.append(found)
    except HookFailed as remaining:
        seen.append(remaining)
    assert [(type(part), part.transition) for part in seen] == [
        (HookFailed, slots.job.history[0]),
        (HookFailed, slots.job.history[0]),
    ]
    assert all(word in str(group) for word in (slots.job.id, "DONE", "finish", "committed"))


async def test_equal_errors_are_each_reported():
    """Two hooks that raise errors which compare equal have both failed, and both are told."""
    slots = Slots()
    first, second = Picky("first"), Picky("second")
    slots.act.update(enter=raising(first), after=raising(second))
    with pytest.raises(HookFailed) as caught:
        await slots.finish()
    assert [id(error) for error in caught.value.exceptions] == [id(first), id(second)]


@pytest.mark.parametrize("count", [1, 2])
async def test_exception_hook_may_raise_what_it_was_told(count):
    """An exception hook that raises the very error it heard of adds nothing to the group."""
    slots = Slots()
    errors = [ValueError("first"), ValueError("second")][:count]
    for slot, error in zip(("enter", "after"), errors, strict=False):
        slots.act[slot] = raising(error)

    def again():
        raise slots.events["exception"].error

    slots.act["exception"] = again
    with pytest.raises(HookFailed) as caught:
        await slots.finish()
    assert caught.value.exceptions == tuple(errors)


@in_every_style
@pytest.mark.parametrize("slot", BEFORE)
async def test_exception_hook_replaces_the_error(slot, asynchronous):
    """What an exception hook raises before the commit reaches the caller, from the first error."""
    slots = Slots(asynchronous=asynchronous)
    first, instead = ValueError("first"), KeyError("instead")
    slots.act.update({slot: raising(first), "exception": raising(instead)})
    with pytest.raises(KeyError) as caught:
        await slots.finish()
    assert caught.value is instead
    assert instead.__cause__ is first
    assert slots.ran[-2:] == ["exception", "finalize"]
    slots.check_untouched()


async def test_exception_hook_raises_the_same_before_the_commit():
    """An exception hook that raises again what it heard of changes nothing for the caller."""
    slots = Slots()
    error = ValueError("first")
    slots.act.update(before=raising(error), exception=raising(error))
    with pytest.raises(ValueError, match="first") as caught:
        await slots.finish()
    assert caught.value is error
    assert caught.value.__cause__ is None


async def test_last_hook_that_fails_hides_no_refusal():
    """What the last hooks raise after a refusal is told to observers; the refusal is raised."""
    told = []

    class Listening(Observer):
        def hook_failed(self, job, trigger, hook, error):
            told.append((job.id, trigger, type(error)))

    slots = Slots()
    slots.act.update(guard=lambda: False, finalize=raising(OSError("last")))
    observer = Listening()
    add_observer(observer)
    try:
        with pytest.raises(GuardRefused):
            await slots.finish()
    finally:
        remove_observer(observer)
    assert told == [(slots.job.id, "finish", OSError)]
    slots.check_untouched()


@in_every_style
@pytest.mark.parametrize("slot", ["exception", "finalize"])
@pytest.mark.parametrize("refused", [False, True])
async def test_interrupt_outranks_what_came_before_the_commit(refused, slot, asynchronous):
    """An interrupt in what still runs after a refusal or error reaches the caller as it is."""
    slots = Slots(asynchronous=asynchronous)
    if refused and slot == "exception":  # exception hooks do not hear of guards that refuse
        slots.act["prepare_event"] = raising(GuardRefused(slots.job.id, "READY", "finish", ()))
    else:
        slots.act["guard"] = (lambda: False) if refused else raising(ValueError("guard"))
    interrupt = KeyboardInterrupt()
    slots.act[slot] = raising(interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        await slots.finish()
    assert caught.value is interrupt
    slots.check_untouched()


async def test_second_exception_hook_is_interrupted():
    """An interrupt in a second exception hook is raised, though the first one failed too."""
    slots = Slots()
    lifecycle = slots.lifecycle.derive()

    @lifecycle.on_exception
    def second(event):
        raise KeyboardInterrupt

    slots.act.update(before=raising(ValueError("first")), exception=raising(OSError("hook")))
    with pytest.raises(KeyboardInterrupt):
        await Job(lifecycle=lifecycle).trigger("finish")


@on_asyncio
@pytest.mark.parametrize("slot", [*BEFORE, *AFTER, "finalize"])
async def test_hook_that_raises_cancellation_itself(slot):
    """A CancelledError out of a hook, without anybody cancelling, is raised as it is."""
    slots = Slots()
    error = asyncio.CancelledError("by itself")
    slots.act[slot] = raising(error)
    with pytest.raises(asyncio.CancelledError, match="by itself"):
        await slots.finish()
    assert asyncio.current_task().cancelling() == 0
    if slot in BEFORE:
        assert slots.ran == [*BEFORE[: BEFORE.index(slot) + 1], "finalize"]
        slots.check_untouched()
    else:
        assert slots.ran == [*BEFORE, *AFTER, "finalize"]
        slots.check_moved()


@on_asyncio
@pytest.mark.parametrize("waits", [False, True])
async def test_hook_that_cancels_its_own_task(waits):
    """A hook that cancels the task it runs in is cancelled; the hooks after it run."""
    slots = Slots(asynchronous=False)

    async def hook():
        asyncio.current_task().cancel("own")
        if waits:
            await asyncio.sleep(0)

    slots.act["enter"] = hook
    with pytest.raises(asyncio.CancelledError):
        await slots.finish()
    assert slots.ran == [*BEFORE, *AFTER, "finalize"]
    slots.check_moved()


# --- cancellation ---------------------------------------------------------------------------

Work = Callable[[], Coroutine[Any, Any, None]]
Control = Callable[[Callable[[], Any]], Coroutine[Any, Any, None]]


async def by_scope(work: Work, control: Control) -> None:
    """Cancel *work* through a cancel scope of anyio."""
    scope = anyio.CancelScope()

    async def run() -> None:
        with scope:
            await work()
        if asyncio_runs():
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await control(scope.cancel)
    assert scope.cancelled_caught


async def by_task_group(work: Work, control: Control) -> None:
    """Cancel *work* through the task group of anyio that it runs in."""
    async with anyio.create_task_group() as outer, anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        outer.start_soon(control, tasks.cancel_scope.cancel)
    assert tasks.cancel_scope.cancel_called


async def by_cancel(work: Work, control: Control) -> None:
    """Cancel *work* by cancelling the task of asyncio that it runs in."""

    async def run() -> None:
        try:
            await work()
        except asyncio.CancelledError:
            assert asyncio.current_task().cancelling() == 1  # type: ignore[union-attr]
            await asyncio.sleep(0)  # it was delivered once, and is not again
            raise

    task = asyncio.create_task(run())
    await control(task.cancel)
    await asyncio.wait([task])
    assert task.cancelled()


async def by_many_cancels(work: Work, control: Control) -> None:
    """Cancel *work* again and again."""

    async def run() -> None:
        try:
            await work()
        except asyncio.CancelledError:
            counted.append(asyncio.current_task().cancelling())  # type: ignore[union-attr]
            await asyncio.sleep(0)
            raise

    async def again_and_again() -> None:
        for _ in range(5):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    counted: list[int] = []
    task = asyncio.create_task(run())
    cancelling = []
    await control(lambda: cancelling.append(asyncio.create_task(again_and_again())))
    await asyncio.wait([task, *cancelling])
    assert task.cancelled()
    assert len(counted) == 1


async def by_timeout(work: Work, control: Control) -> None:
    """Cancel *work* through a timeout of asyncio, which has to become a TimeoutError."""
    timeouts: list[asyncio.Timeout] = []
    ended: list[str] = []

    async def run() -> None:
        try:
            async with asyncio.timeout(None) as timeout:
                timeouts.append(timeout)
                await work()
        except TimeoutError:
            ended.append("timeout")
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        await asyncio.sleep(0)

    task = asyncio.create_task(run())
    await control(lambda: timeouts[0].reschedule(asyncio.get_running_loop().time()))
    await task
    assert ended == ["timeout"]


async def by_failing_sibling(work: Work, control: Control) -> None:
    """Cancel *work* through a task group of asyncio in which something else fails."""
    stop = asyncio.Event()
    ended: list[type[Exception]] = []

    async def fail() -> None:
        await stop.wait()
        raise ConnectionError

    async def run() -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
                await work()
        except* ConnectionError as group:
            ended.extend(map(type, group.exceptions))
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        await asyncio.sleep(0)

    task = asyncio.create_task(run())
    await control(stop.set)
    await task
    assert ended == [ConnectionError]


async def by_trio_scope(work: Work, control: Control) -> None:
    """Cancel *work* through a cancel scope of Trio."""
    scope = trio.CancelScope()

    async def run() -> None:
        with scope:
            await work()

    async with trio.open_nursery() as tasks:
        tasks.start_soon(run)
        await control(scope.cancel)
    assert scope.cancelled_caught


def asyncio_runs() -> bool:
    """Whether the running loop is one of asyncio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


WAYS = [
    pytest.param(backend, way, id=f"{loop}-{way.__name__}")
    for backend, loop, ways in (
        *(
            (
                each,
                loop,
                (
                    by_scope,
                    by_task_group,
                    by_cancel,
                    by_many_cancels,
                    by_timeout,
                    by_failing_sibling,
                ),
            )
            for each, loop in zip(ASYNCIO, ("asyncio", "uvloop"), strict=True)
        ),
        (TRIO, "trio", (by_scope, by_task_group, by_trio_scope)),
    )
    for way in ways
]
in_every_way = pytest.mark.parametrize(("anyio_backend", "way"), WAYS)


class Caller:
    """Triggers a job, goes on to its next await, and notes how far it came."""

    def __init__(self, slots: Slots, expects: type[Exception] | tuple[()] = ()) -> None:
        self.slots, self.expects = slots, expects
        self.steps: list[str] = []
        self.raised: BaseException | None = None

    async def __call__(self) -> None:
        """Be the task that is cancelled."""
        try:
            try:
                await self.slots.finish()
                self.steps.append("returned")
            except self.expects:
                self.steps.append("raised")
            await checkpoint()
            self.steps.append("went on")
        except BaseException as error:
            self.raised = error
            raise


@in_every_way
@pytest.mark.parametrize("slot", BEFORE)
async def test_cancelled_before_the_commit(slot, way):
    """A hook that hangs can be cancelled: the job is exactly as it was, and may go on later."""
    slots, gate = Slots(journal=True), Gate()
    slots.act[slot] = gate
    caller = Caller(slots)

    async def control(cancel):
        await gate.inside.wait()
        cancel()

    with anyio.fail_after(5):
        await way(caller, control)
    assert caller.steps == []
    assert slots.ran == [*BEFORE[: BEFORE.index(slot) + 1], "finalize"]
    assert not gate.passed
    slots.check_untouched()
    gate.opened.set()
    assert (await slots.finish()).version == 1


@in_every_way
@pytest.mark.parametrize("slot", ["journal", *AFTER, "exception", "finalize"])
async def test_cancelled_after_the_commit(slot, way):
    """Nothing is cut short: all hooks end, the job has moved, and then the cancellation comes."""
    slots, gate = Slots(journal=True), Gate()
    slots.act[slot] = gate
    fails = slot == "exception"
    if fails:
        slots.act["enter"] = raising(ValueError("enter"))
    caller = Caller(slots, HookFailed)

    async def control(cancel):
        await gate.inside.wait()
        cancel()
        await settled()
        assert caller.steps == []
        assert caller.raised is None
        assert slots.ran[-1] == slot
        assert slots.job.version == (slot != "journal")
        gate.opened.set()

    with anyio.fail_after(5):
        await way(caller, control)
    assert gate.passed
    assert slots.ran == [*BEFORE, "journal", *AFTER, *["exception"] * fails, "finalize"]
    slots.check_moved()
    if not asyncio_runs():  # Trio tells of the cancellation at the next await
        assert caller.steps == ["raised" if fails else "returned"]
    else:
        assert caller.steps == []
        cause = caller.raised.__cause__
        assert isinstance(cause, HookFailed) is fails
        assert not fails or cause.transition is slots.job.history[0]


@in_every_way
@pytest.mark.parametrize("slot", ["exception", "finalize"])
async def test_cancelled_while_hooks_hear_of_an_error(slot, way):
    """After an error before the commit the hooks end too; the cancellation is not swallowed."""
    slots, gate = Slots(), Gate()
    slots.act.update({"before": raising(ValueError("before")), slot: gate})
    caller = Caller(slots, ValueError)

    async def control(cancel):
        await gate.inside.wait()
        cancel()
        await settled()
        assert (caller.steps, caller.raised) == ([], None)
        gate.opened.set()

    with anyio.fail_after(5):
        await way(caller, control)
    assert gate.passed
    assert slots.ran[-2:] == ["exception", "finalize"]
    if asyncio_runs():
        assert isinstance(caller.raised.__cause__, ValueError)
    assert caller.steps == ([] if asyncio_runs() else ["raised"])
    slots.check_untouched()


@in_every_way
async def test_cancelled_twice_over(way):
    """Cancelled before the commit, a last hook still ends, and the cancellation is raised once."""
    slots, first, last = Slots(), Gate(), Gate()
    slots.act.update(before=first, finalize=last)
    caller = Caller(slots)

    async def control(cancel):
        await first.inside.wait()
        cancel()
        await last.inside.wait()
        await settled()
        assert caller.raised is None
        last.opened.set()

    with anyio.fail_after(5):
        await way(caller, control)
    assert last.passed
    assert not first.passed
    slots.check_untouched()


@in_every_way
@pytest.mark.parametrize("refuses", [False, True])
async def test_cancelled_while_the_journal_is_written(refuses, way):
    """The journal decides: what it wrote is committed, what it refused is not."""
    slots, gate = Slots(journal=True), Gate()

    async def append():
        await gate()
        if refuses:
            raise OSError("disk full")

    slots.act["journal"] = append
    caller = Caller(slots, OSError)

    async def control(cancel):
        await gate.inside.wait()
        cancel()
        await settled()
        assert slots.view() == slots.untouched
        gate.opened.set()

    with anyio.fail_after(5):
        await way(caller, control)
    assert "went on" not in caller.steps
    if refuses:
        assert slots.ran == [*BEFORE, "journal", "exception", "finalize"]
        slots.check_untouched()
    else:
        assert slots.ran == [*BEFORE, "journal", *AFTER, "finalize"]
        slots.check_moved()


async def test_cancelled_before_it_began():
    """In a scope that is cancelled already a trigger stops at its first await, or moves the job."""
    slots = Slots()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await slots.finish()
    assert scope.cancelled_caught
    slots.check_untouched()
    slots = Slots(asynchronous=False)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await slots.finish()
    slots.check_moved()
    assert slots.ran == [*BEFORE, *AFTER, "finalize"]


@on_asyncio
@pytest.mark.parametrize("slot", AFTER)
async def test_sync_hook_cancels_the_caller(slot):
    """A cancellation that a hook without an await asks for comes at the caller's next await."""
    slots = Slots(asynchronous=False)

    async def run():
        task = asyncio.current_task()
        slots.act[slot] = lambda: task.cancel() and None
        await slots.finish()
        slots.check_moved()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert task.cancelling() == 1

    await asyncio.create_task(run())
    assert slots.ran == [*BEFORE, *AFTER, "finalize"]


@on_asyncio
@pytest.mark.parametrize("native_first", [False, True])
@pytest.mark.parametrize("slot", ["enter", "trigger"])
async def test_cancelled_natively_and_by_a_scope(slot, native_first):
    """Where a scope and the task itself are both cancelled, the scope does not swallow the task."""
    slots, gate = Slots(), Gate()
    slots.act[slot] = gate
    scope = anyio.CancelScope()

    async def run():
        with scope:
            await slots.finish()
        await asyncio.sleep(0)

    task = asyncio.create_task(run())
    await gate.inside.wait()
    first, second = (task.cancel, scope.cancel) if native_first else (scope.cancel, task.cancel)
    first()
    await settled()
    second()
    await settled()
    gate.opened.set()
    await asyncio.wait([task])
    assert task.cancelled()
    assert task.cancelling() == 1
    slots.check_moved()


@on_asyncio
async def test_timeout_inside_a_cancelled_scope():
    """A timeout and the scope around it may both run out while hooks run: the scope ends it."""
    slots, gates = Slots(), (Gate(), Gate())
    slots.act.update(enter=gates[0], after=gates[1])
    timeouts = []
    scope = anyio.CancelScope()

    async def run():
        with scope:
            async with asyncio.timeout(None) as timeout:
                timeouts.append(timeout)
                await slots.finish()

    task = asyncio.create_task(run())
    await gates[0].inside.wait()
    scope.cancel()
    await settled()
    timeouts[0].reschedule(asyncio.get_running_loop().time())
    await settled()
    for gate in gates:
        gate.opened.set()
    await task
    assert scope.cancelled_caught
    assert task.cancelling() == 0
    slots.check_moved()


@on_asyncio
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_interrupt_outranks_a_cancellation(kind):
    """An interrupt raised by a hook of a cancelled caller is not lost in the cancellation."""
    slots, gate = Slots(), Gate()
    slots.act.update(enter=gate, after=raising(kind("stop")))
    seen = []

    async def run():
        try:
            await slots.finish()
        except BaseException as error:
            seen.append(error)

    task = asyncio.create_task(run())
    await gate.inside.wait()
    task.cancel()
    await settled()
    gate.opened.set()
    await asyncio.wait([task])
    chain = []
    for error in seen:
        while error is not None:
            chain.append(type(error))
            error = error.__cause__ or error.__context__
    assert kind in chain


async def test_waiting_for_the_commit_only():
    """A shielded hook does not keep others from seeing the commit."""
    slots, gate = Slots(), Gate()
    slots.act["enter"] = gate
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slots.finish)
            await gate.inside.wait()
            assert (await slots.job.completed()).status == "DONE"
            gate.opened.set()
    slots.check_moved()


# --- what hooks can do ----------------------------------------------------------------------

TRAIL: ContextVar[tuple[str, ...]] = ContextVar("TRAIL")


@in_every_style
@pytest.mark.parametrize("fails", [False, True])
async def test_context_variables_pass_through(fails, asynchronous):
    """What the caller binds is seen in every hook; what a hook binds, in all that follows."""
    slots = Slots(asynchronous=asynchronous, journal=bool(asynchronous))
    expected = [
        *BEFORE,
        *["journal"] * bool(asynchronous),
        *AFTER,
        *["exception"] * fails,
        "finalize",
    ]

    def bind(slot):
        def act():
            TRAIL.set((*TRAIL.get(), slot))
            if fails and slot == "enter":
                raise ValueError("enter")

        return act

    for slot in expected:
        slots.act[slot] = bind(slot)
    TRAIL.set(("caller",))
    if fails:
        with pytest.raises(HookFailed):
            await slots.finish()
    else:
        await slots.finish()
    assert TRAIL.get() == ("caller", *expected)


async def test_context_variables_of_a_cancelled_caller():
    """What hooks bind is seen by the caller also if it was cancelled meanwhile."""
    slots, gate = Slots(), Gate()

    async def bind():
        await gate()
        TRAIL.set((*TRAIL.get(), "enter"))

    slots.act["enter"] = bind
    seen = []

    async def run():
        TRAIL.set(("caller",))
        with anyio.CancelScope() as scopes[0]:
            try:
                await slots.finish()
                await checkpoint()
            finally:
                seen.append(TRAIL.get())

    scopes = [anyio.CancelScope()]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await gate.inside.wait()
        scopes[0].cancel()
        await settled()
        gate.opened.set()
    assert seen == [("caller", "enter")]


@in_every_style
async def test_structlog_context_passes_through(asynchronous):
    """Structlog's bound context reaches every hook, and from each all that follows."""
    slots = Slots(asynchronous=asynchronous)
    seen = []

    def bind(slot):
        def act():
            seen.append(structlog.contextvars.get_contextvars())
            structlog.contextvars.bind_contextvars(**{slot: True})

        return act

    order = [*BEFORE, *AFTER, "finalize"]
    for slot in order:
        slots.act[slot] = bind(slot)
    structlog.contextvars.clear_contextvars()
    with structlog.contextvars.bound_contextvars(request="r1"):
        await slots.finish()
        assert structlog.contextvars.get_contextvars() == {
            "request": "r1",
            **dict.fromkeys(order, True),
        }
    structlog.contextvars.clear_contextvars()
    assert [set(each) for each in seen] == [
        {"request", *order[:step]} for step in range(len(order))
    ]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_hooks_may_have_deadlines_of_their_own(cancelled):
    """A scope of its own works in a hook after the commit, also of a cancelled caller."""
    slots, gate = Slots(asynchronous="eager"), Gate()
    caught = []

    async def impatient():
        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        caught.append(scope.cancelled_caught)
        await gate()
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0):
                await anyio.sleep_forever()
        caught.append("timeout")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            await checkpoint()
            tasks.cancel_scope.cancel()
        caught.append("group")

    slots.act["enter"] = impatient
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slots.finish)
            await gate.inside.wait()
            if cancelled:
                scope.cancel()
            gate.opened.set()
    assert caught == [True, "timeout", "group"]
    assert slots.ran == [*BEFORE, *AFTER, "finalize"]
    slots.check_moved()


@on_asyncio
@pytest.mark.parametrize("cancelled", [False, True])
async def test_hooks_may_use_timeouts_of_asyncio(cancelled):
    """asyncio.timeout, wait_for and TaskGroup work in a hook after the commit."""
    slots, gate = Slots(asynchronous="eager"), Gate()
    caught = []

    async def impatient():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.sleep(1000)
        caught.append("timeout")
        await gate()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(1000), 0)
        caught.append("wait_for")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(1000))
                await asyncio.sleep(0)
                raise ConnectionError
        except* ConnectionError:
            caught.append("group")

    slots.act["enter"] = impatient
    task = asyncio.create_task(slots.finish())
    await gate.inside.wait()
    if cancelled:
        task.cancel()
    gate.opened.set()
    await asyncio.wait([task])
    assert task.cancelled() is cancelled
    assert caught == ["timeout", "wait_for", "group"]
    slots.check_moved()


@on_asyncio
async def test_nothing_is_left_running():
    """After a trigger, however it ended, only the tasks of the application are left."""
    alone = asyncio.all_tasks()
    slots = Slots(journal=True)
    await slots.finish()
    assert asyncio.all_tasks() == alone
    slots, gate = Slots(journal=True), Gate()
    slots.act["journal"] = gate
    task = asyncio.create_task(slots.finish())
    await gate.inside.wait()
    task.cancel()
    gate.opened.set()
    await asyncio.wait([task])
    assert asyncio.all_tasks() == alone


async def test_callback_may_answer_with_an_awaitable():
    """A function that returns something to be awaited counts as an async one."""
    slots = Slots(asynchronous=False)
    gates = {slot: Gate() for slot in (*BEFORE, *AFTER, "finalize")}
    for slot, gate in gates.items():
        gate.opened.set()

        async def pass_gate(slot=slot, gate=gate):
            await gate()
            return slot == "guard" or None

        slots.act[slot] = pass_gate
    await slots.finish()
    assert all(gate.passed for gate in gates.values())
    slots.check_moved()


# --- one step -------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", [False, True])
async def test_nobody_sees_half_a_commit(journal):
    """A task that looks at every await point sees the job as it was, and then as it is, whole."""
    slots = Slots(journal=journal)
    seen = []

    async def look():
        while "finalize" not in slots.ran:
            if not seen or seen[-1] != slots.view():
                seen.append(slots.view())
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await checkpoint()
        await slots.finish()
    assert seen == [slots.untouched, slots.view()]


async def test_everybody_hears_of_the_commit_in_one_step():
    """Waits and streams that a commit wakes find the job wholly moved."""
    slots = Slots(journal=True)
    seen = []

    async def ended():
        outcome = await slots.job.completed()
        seen.append((slots.view(), outcome.status))

    async def arrived():
        transition = await slots.job.reached("DONE")
        seen.append((slots.view(), transition.dest))

    async def changed():
        async with slots.job.changes() as changes:
            seen.extend([(slots.view(), change.dest) async for change in changes])

    async with anyio.create_task_group() as tasks:
        for wait in (ended, arrived, changed):
            tasks.start_soon(wait)
        await settled()
        await slots.finish()
    assert seen == [(slots.view(), "DONE")] * 3


# --- the journal ----------------------------------------------------------------------------


async def test_journal_is_written_just_before_the_commit():
    """It is given the very record that is then committed, once, while the job still stands."""
    written = []

    class Journal:
        async def append(self, entry):
            written.append((entry.transition, job.version, job.status))
            await checkpoint()

    job = Job(journal=Journal())
    start = await job.start()
    end = await job.succeed(1)
    assert written == [(start, 0, JobStatus.PENDING), (end, 1, JobStatus.STARTED)]
    assert [record for record, *_ in written] == list(job.history)


@pytest.mark.parametrize("kind", [OSError, Fatal])
async def test_journal_that_refuses(kind):
    """What the journal raises reaches the caller; the job is as it was and may try again."""
    slots = Slots(journal=True)
    error = kind("disk full")
    slots.act["journal"] = raising(error)
    with pytest.raises(kind) as caught:
        await slots.finish()
    assert caught.value is error
    heard = ["exception"] if kind is OSError else []
    assert slots.ran == [*BEFORE, "journal", *heard, "finalize"]
    slots.check_untouched()
    del slots.act["journal"]
    assert (await slots.finish()).version == 1


async def test_journal_refuses_by_raising_at_once():
    """A journal that raises before there is anything to await refuses all the same."""

    class Journal:
        def append(self, entry):
            raise OSError("closed")

    job = Job(journal=Journal())
    with pytest.raises(OSError, match="closed"):
        await job.start()
    assert (job.version, job._turn) == (0, None)


async def test_nothing_is_heard_before_the_journal_returned():
    """No wait, stream, hook or observer hears of a transition that is still being written."""
    heard = []

    class Listening(Observer):
        def transitioned(self, job, transition, seconds):
            heard.append("observer")

    async def wait(name, awaitable):
        await awaitable
        heard.append(name)

    slots, gate = Slots(journal=True), Gate()
    slots.act["journal"] = gate
    slots.act["enter"] = lambda: heard.append("hook")
    observer = Listening()
    add_observer(observer)
    try:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, "completed", slots.job.completed())
                tasks.start_soon(wait, "reached", slots.job.reached("DONE"))
                tasks.start_soon(slots.finish)
                await gate.inside.wait()
                await settled()
                assert heard == []
                assert slots.view() == slots.untouched
                gate.opened.set()
    finally:
        remove_observer(observer)
    assert sorted(heard) == ["completed", "hook", "observer", "reached"]


@pytest.mark.parametrize("trigger", ["start", "revoke"])
async def test_journal_cannot_be_written_at_once(trigger):
    """With a journal the nowait kin refuse before anything ran."""
    written = []

    class Journal:
        async def append(self, entry):
            written.append(entry)

    job = Job(journal=Journal())
    with pytest.raises(WouldBlock) as caught:
        job.trigger_nowait(trigger)
    assert (caught.value.job_id, caught.value.trigger) == (job.id, trigger)
    assert "journal" in caught.value.why
    assert (written, job.version, job._turn) == ([], 0, None)


# --- at once --------------------------------------------------------------------------------


async def test_nowait_runs_the_same_hooks():
    """Without anything async, the nowait kin run the same hooks in the same order."""
    slots = Slots(asynchronous=False)
    transition = slots.job.trigger_nowait("finish")
    assert slots.job.history == (transition,)
    assert slots.ran == [*BEFORE, *AFTER, "finalize"]
    slots.check_moved()
    with pytest.raises(TransitionRefused):
        slots.job.trigger_nowait("finish")
    assert slots.ran[-2:] == ["exception", "finalize"]


@pytest.mark.parametrize("slot", [*BEFORE, *AFTER, "exception", "finalize"])
async def test_nowait_refuses_an_async_hook_in_any_slot(slot):
    """With an async hook in any slot that it might run, nowait refuses before anything ran."""
    slots = Slots(asynchronous=False)
    slots.asynchronous = True
    hook = slots.hook(slot)
    lifecycle = slots.lifecycle
    if slot in WIDE:
        lifecycle = lifecycle.derive(**{slot: hook})
    elif slot not in ("status", "trigger"):
        lifecycle = lifecycle.derive()
        attach = {
            "exit": lambda: lifecycle.on_exit("READY"),
            "enter": lambda: lifecycle.on_enter("DONE"),
            "final": lambda: lifecycle.on_final("DONE"),
            "exception": lambda: lifecycle.on_exception,
            "finalize": lambda: lifecycle.finalize,
        }.get(slot, lambda: getattr(lifecycle, slot)("finish"))
        attach()(hook)
    job: Job[Any, str] = Job(lifecycle=lifecycle)
    if slot in ("status", "trigger"):
        job.on("DONE" if slot == "status" else "finish", hook)
    with pytest.raises(WouldBlock) as caught:
        job.trigger_nowait("finish")
    assert "is async" in caught.value.why
    assert (caught.value.job_id, caught.value.trigger) == (job.id, "finish")
    assert slots.ran == []
    assert (job.version, job._turn) == (0, None)


def test_nowait_is_refused_where_a_journal_is_to_be_written():
    """A journal may take its time, so that nothing is called, and the caller is told why."""
    slots = Slots(asynchronous=False, journal=True)
    with pytest.raises(WouldBlock) as caught:
        slots.job.trigger_nowait("finish")
    assert caught.value.why == "its journal must be written"
    assert slots.ran == []


@pytest.mark.parametrize("slot", [*BEFORE, *AFTER, "exception", "finalize"])
async def test_nowait_meets_an_awaitable_that_nobody_could_foresee(slot):
    """A plain function that answers with a coroutine: refused before the commit, told after it."""
    slots = Slots(asynchronous=False)
    if slot == "exception":
        slots.act["enter"] = raising(ValueError("enter"))
    slots.act[slot] = checkpoint
    if slot in BEFORE:
        with pytest.raises(WouldBlock):
            slots.job.trigger_nowait("finish")
        assert slots.ran == [*BEFORE[: BEFORE.index(slot) + 1], "exception", "finalize"]
        slots.check_untouched()
    else:
        with pytest.raises(HookFailed) as caught:
            slots.job.trigger_nowait("finish")
        assert isinstance(caught.value.exceptions[-1], WouldBlock)
        slots.check_moved()


@on_asyncio
async def test_nowait_leaves_a_future_alone():
    """A future that a hook answers with is not closed: it belongs to whoever made it."""
    slots = Slots(asynchronous=False)
    future = asyncio.get_running_loop().create_future()
    slots.act["before"] = lambda: future
    with pytest.raises(WouldBlock):
        slots.job.trigger_nowait("finish")
    assert not future.done()
    slots.check_untouched()


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("slot", [*BEFORE, *AFTER])
async def test_nowait_raises_as_the_trigger_does(slot, kind):
    """Errors in hooks reach the caller of nowait in the same way, before and after the commit."""
    slots = Slots(asynchronous=False)
    error = kind("no")
    slots.act[slot] = raising(error)
    if slot in AFTER and isinstance(error, Exception):
        with pytest.raises(HookFailed) as caught:
            slots.job.trigger_nowait("finish")
        assert caught.value.exceptions == (error,)
    else:
        with pytest.raises(kind) as raised:
            slots.job.trigger_nowait("finish")
        assert raised.value is error
    if slot in BEFORE:
        slots.check_untouched()
    else:
        slots.check_moved()


# --- what transitions hands to callbacks ----------------------------------------------------


@pytest.mark.parametrize("fails", ["", "before", "enter"])
async def test_event_data_is_kept_up_to_date(fails):
    """Under send_event the one EventData follows the transition, as that of transitions does."""
    seen = {}

    def note(slot):
        def hook(data):
            seen[slot] = (data.state.name, data.result, data.error, data.transition is not None)
            if slot == fails:
                raise error

        return hook

    error = ValueError(fails)
    lifecycle = Lifecycle(
        states=["A", {"name": "B", "final": True, "on_enter": note("enter")}],
        transitions=[{"trigger": "go", "source": "A", "dest": "B", "before": note("before")}],
        send_event=True,
        prepare_event=note("prepare"),
        on_exception=note("exception"),
        finalize_event=note("finalize"),
    )
    job = Job(lifecycle=lifecycle)
    if fails:
        with pytest.raises((ValueError, HookFailed)):
            await job.trigger("go")
    else:
        await job.trigger("go")
    assert seen["prepare"] == ("A", False, None, False)
    assert seen["before"] == ("A", False, None, True)
    if fails != "before":
        assert seen["enter"] == ("B", False, None, True)
    after = {"": ("B", True, None), "enter": ("B", False, error), "before": ("A", False, error)}
    assert seen["finalize"] == (*after[fails], True)
    assert ("exception" in seen) is bool(fails)


async def test_refusals_are_one_family():
    """Whoever only wants to know that the job stayed where it is catches Refused."""
    slots = Slots()
    slots.act["guard"] = lambda: False
    with pytest.raises(Refused):
        await slots.finish()
    del slots.act["guard"]
    await slots.finish()
    with pytest.raises(Refused):
        await slots.finish()


# --- what an answer holds -------------------------------------------------------------------


def test_a_refusal_holds_nothing_alive():
    """Once its error is dropped, the job goes, without a garbage collection."""
    lifecycle = JOB_LIFECYCLE.derive()
    lifecycle.guard("start")(lambda event: False)
    gc.collect()
    gc.disable()
    try:
        for trigger in ("succeed", "start"):
            job: Job = Job(lifecycle=lifecycle)
            gone = weakref.ref(job)
            with suppress(Refused):
                job.trigger_nowait(trigger)
            del job
            assert gone() is None, trigger
    finally:
        gc.enable()


class Stop(BaseException):
    """No exception to be handled."""


async def test_what_must_not_be_swallowed_is_raised_for_an_exception():
    """A hook at the very end that raises no mere exception is heard, committed or not."""
    slots = Slots()
    stop = Stop()

    def at_the_end():
        raise stop

    slots.act["finalize"] = at_the_end
    slots.act["guard"] = lambda: False
    with pytest.raises(Stop) as caught:
        await slots.finish()
    assert caught.value is stop
    assert isinstance(caught.value.__cause__, GuardRefused)


@in_every_style
async def test_hooks_up_to_the_commit_run_in_the_callers_task(asynchronous):
    """No task is made for a hook before the commit, nor after it for one without an await."""
    slots, seen = Slots(asynchronous=asynchronous), {}
    places = BEFORE if asynchronous else (*BEFORE, *AFTER, "finalize")
    for slot in places:
        slots.act[slot] = lambda slot=slot: seen.update({slot: anyio.get_current_task().id})
    await slots.finish()
    assert seen == dict.fromkeys(places, anyio.get_current_task().id)
