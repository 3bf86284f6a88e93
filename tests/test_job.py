"""A job's own triggers: what they pass on, record and answer, and the hooks on this one job."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from itertools import count
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    BadArgument,
    CallbackNotFound,
    Cancellation,
    ErrorInfo,
    GuardRefused,
    HookFailed,
    Job,
    JobStatus,
    Lifecycle,
    NothingToDefer,
    ReentrantTrigger,
    Refused,
    Registration,
    RevokeCause,
    Transition,
    TransitionRefused,
    UnknownTrigger,
    WouldBlock,
)

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus
AWAITED, NOWAIT = "awaited", "nowait"
in_both_ways = pytest.mark.parametrize("way", [AWAITED, NOWAIT])


async def asked(job: Job[Any, Any], way: str, trigger: str, /, *args: Any, **kwargs: Any) -> Any:
    """Trigger a job through the method of that name, awaited or at once."""
    if way == NOWAIT:
        return getattr(job, f"{trigger}_nowait")(*args, **kwargs)
    return await getattr(job, trigger)(*args, **kwargs)


def advanced(job: Job[Any], status: JobStatus) -> Job[Any]:
    """Take a new job to a status."""
    ways: dict[JobStatus, list[Callable[[], Any]]] = {
        PENDING: [],
        STARTED: [job.start_nowait],
        RETRY: [job.start_nowait, lambda: job.retry_nowait("x")],
        SUCCESS: [job.start_nowait, job.succeed_nowait],
        FAILURE: [lambda: job.fail_nowait("x")],
        REVOKED: [job.revoke_nowait],
    }
    for step in ways[status]:
        step()
    assert job.status is status
    return job


# --- arguments ------------------------------------------------------------------------------

ERROR = ValueError("no")
CALLS = [
    ("start", PENDING, (), {}, (), {}),
    ("succeed", STARTED, (), {}, (), {}),
    ("succeed", STARTED, (5,), {}, (5,), {}),
    ("succeed", STARTED, (), {"result": 5}, (5,), {}),
    ("fail", STARTED, (ERROR,), {}, (ERROR,), {}),
    ("fail", PENDING, (), {"error": "text"}, ("text",), {}),
    ("retry", STARTED, (ERROR,), {}, (ERROR,), {}),
    ("retry", STARTED, ("text",), {"delay": 2.5}, ("text",), {"delay": 2.5}),
    ("retry", STARTED, ("text",), {"delay": 0}, ("text",), {"delay": 0}),
    ("requeue", STARTED, (), {}, (), {}),
    ("revoke", PENDING, (), {}, (), {}),
    ("revoke", PENDING, ("why",), {}, ("why",), {}),
    ("revoke", PENDING, (), {"reason": "why"}, ("why",), {}),
    (
        "revoke",
        STARTED,
        ("why",),
        {"cause": RevokeCause.ADMIN},
        ("why",),
        {"cause": RevokeCause.ADMIN},
    ),
    ("trigger", PENDING, ("start", 1, 2), {"x": 3}, (1, 2), {"x": 3}),
    (
        "trigger",
        PENDING,
        ("start",),
        {"trigger": "t", "self": "s"},
        (),
        {"trigger": "t", "self": "s"},
    ),
]


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize(("trigger", "status", "args", "kwargs", "passed", "named"), CALLS)
async def test_hooks_get_the_arguments(trigger, status, args, kwargs, passed, named, way):
    """Guards and hooks of every slot are given what the trigger was called with, and no more."""
    seen: list[tuple[str, Any, Any]] = []
    job: Job[Any]

    def hook(slot: str) -> Callable[[Any], bool]:
        def note(event: Any) -> bool:
            if event.job.version >= version - (slot in ("before", "guard", "prepare")) + 1:
                seen.append((slot, event.args, event.kwargs))
            return True

        return note

    version = 99  # nothing is noted on the way to the status
    lifecycle = JOB_LIFECYCLE.derive()
    for slot in ("prepare", "guard", "before", "after"):
        getattr(lifecycle, slot)("*")(hook(slot))
    lifecycle.finalize(hook("finalize"))
    job = advanced(Job(lifecycle=lifecycle), status)
    version = job.version
    await asked(job, way, trigger, *args, **kwargs)
    assert seen == [
        (slot, passed, named) for slot in ("prepare", "guard", "before", "after", "finalize")
    ]


@pytest.mark.anyio
async def test_declared_callbacks_get_the_arguments():
    """Callbacks of a transitions definition are called with the trigger's own arguments."""
    seen: list[Any] = []

    def condition(*args, **kwargs):
        seen.append(("condition", args, kwargs))
        return True

    def enter(*args, **kwargs):
        seen.append(("enter", args, kwargs))

    lifecycle = Lifecycle[str](
        states=["A", {"name": "B", "final": True, "on_enter": enter}],
        transitions=[{"trigger": "go", "source": "A", "dest": "B", "conditions": condition}],
    )
    await Job(lifecycle=lifecycle).trigger("go", 1, *"ab", key="value")
    assert seen == [
        ("condition", (1, "a", "b"), {"key": "value"}),
        ("enter", (1, "a", "b"), {"key": "value"}),
    ]


BAD = [
    ("fail", (5,), {}, "error must be"),
    ("fail", (ValueError,), {}, "error must be"),
    ("fail", (b"x",), {}, "error must be"),
    ("revoke", (5,), {}, "reason must be"),
    ("revoke", (), {"cause": "NOBODY"}, "cause must be one of USER, TIMEOUT"),
    ("revoke", (), {"cause": []}, "cause must be one of"),
    ("trigger", ("start",), {"delay": -1}, "delay must be"),
    ("trigger", ("start",), {"delay": float("nan")}, "delay must be"),
    ("trigger", ("start",), {"delay": float("inf")}, "delay must be"),
    ("trigger", ("start",), {"delay": True}, "delay must be"),
    ("trigger", ("start",), {"delay": "5"}, "delay must be"),
    ("trigger", ("start",), {"delay": 10**400}, "delay must be"),
    ("trigger", ("start",), {"reason": None}, "reason must be"),
    ("trigger", ("start",), {"error": 1}, "error must be"),
]


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize(("trigger", "args", "kwargs", "problem"), BAD)
async def test_argument_that_cannot_be_recorded(trigger, args, kwargs, problem, way):
    """An argument of the wrong kind is refused before any hook, and nothing has changed."""
    job: Job[Any] = Job()
    job.on("start", lambda event: pytest.fail("a hook ran"))
    before = job.snapshot()
    with pytest.raises(BadArgument, match=problem) as caught:
        await asked(job, way, trigger, *args, **kwargs)
    assert (caught.value.job_id, job.snapshot(), job._turn) == (job.id, before, None)


@pytest.mark.anyio
@in_both_ways
async def test_unknown_trigger(way):
    """A trigger that the lifecycle does not have is named, with the nearest that it has."""
    job: Job[Any] = Job()
    for attempt in ("strat", "", "Start"):
        with pytest.raises(UnknownTrigger) as caught:
            await asked(job, way, "trigger", attempt)
        assert (caught.value.trigger, caught.value.lifecycle) == (attempt, "job")
        assert "start" in caught.value.known
    with pytest.raises(UnknownTrigger, match="did you mean 'start'"):
        await asked(job, way, "trigger", "strat")
    assert (job.version, job._turn) == (0, None)


@pytest.mark.anyio
async def test_triggers_that_a_lifecycle_of_ones_own_lacks():
    """The methods of a job whose lifecycle has no such trigger say so."""
    lifecycle = Lifecycle[str](
        states=["A", {"name": "B", "final": True}], transitions=[["go", "A", "B"]]
    )
    job: Job[Any, str] = Job(lifecycle=lifecycle)
    with pytest.raises(UnknownTrigger):
        await job.start()
    with pytest.raises(UnknownTrigger):
        job.start_nowait()
    with pytest.raises(UnknownTrigger):
        job.can("start")


# --- receipts -------------------------------------------------------------------------------


@pytest.mark.anyio
@in_both_ways
async def test_every_field_of_a_receipt(way):
    """A trigger returns the Transition that it committed: who, what, when, why, which attempt."""
    clock = count(100)
    job: Job[Any] = Job("j1", clock=lambda: next(clock), max_attempts=2)
    error = OSError("disk full")
    receipts = [
        await asked(job, way, "start"),
        await asked(job, way, "retry", error, delay=5),
        await asked(job, way, "start"),
        await asked(job, way, "requeue"),
        await asked(job, way, "revoke", "enough", cause=RevokeCause.ADMIN),
    ]
    told = ErrorInfo("OSError", "disk full")
    plain: dict[str, Any] = {
        "reason": "",
        "error": None,
        "cause": None,
        "delay": None,
        "internal": False,
    }
    why = {"reason": "OSError: disk full", "error": told, "delay": 5.0}
    revoked = {"reason": "enough", "cause": RevokeCause.ADMIN}
    assert [receipt._asdict() for receipt in receipts] == [
        {
            "job_id": "j1",
            "version": version,
            "trigger": trigger,
            "source": source,
            "dest": dest,
            "timestamp": 100 + version,
            "attempt": attempt,
            **plain,
            **more,
        }
        for version, (trigger, source, dest, attempt, more) in enumerate(
            [
                ("start", PENDING, STARTED, 1, {}),
                ("retry", STARTED, RETRY, 1, why),
                ("start", RETRY, STARTED, 2, {}),
                ("requeue", STARTED, PENDING, 2, {}),
                ("revoke", PENDING, REVOKED, 2, revoked),
            ],
            start=1,
        )
    ]
    assert job.history == tuple(receipts)
    assert all(mine is theirs for mine, theirs in zip(job.history, receipts, strict=True))
    assert [type(receipt) for receipt in receipts] == [Transition] * 5
    assert receipts[0].at.timestamp() == 101
    assert receipts[0].at.utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("text", ErrorInfo("", "text")),
        (ValueError("no"), ErrorInfo("ValueError", "no")),
        (ValueError(), ErrorInfo("ValueError", "")),
        (anyio.ClosedResourceError(), ErrorInfo("anyio.ClosedResourceError", "")),
        (KeyboardInterrupt("stop"), ErrorInfo("KeyboardInterrupt", "stop")),
        (ErrorInfo("worker.Error", "m", "trace"), ErrorInfo("worker.Error", "m", "trace")),
    ],
)
def test_errors_are_recorded_as_text(given, told):
    """A failure keeps the kind and the words of its error, never the error itself."""
    job: Job[Any] = Job()
    transition = job.fail_nowait(given)
    assert transition.error == told
    assert transition.reason == ": ".join(filter(None, (told.reason, told.message)))
    assert job.error_message == told.message
    assert job.error_reason == (told.reason or None)


def test_a_raised_error_keeps_its_traceback():
    """The text of an error that was raised says where."""
    try:
        raise ConnectionError("lost")
    except ConnectionError as error:
        transition = Job().fail_nowait(error)
    assert transition.error is not None
    assert "test_a_raised_error_keeps_its_traceback" in transition.error.traceback
    assert transition.error.traceback.endswith("ConnectionError: lost\n")


class Unspeakable(Exception):
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("trigger", ["fail", "retry"])
def test_error_that_cannot_be_turned_into_text(trigger):
    """A job can fail with an error whose own text is broken: its kind is still recorded."""
    job = advanced(Job(), STARTED)
    transition = getattr(job, f"{trigger}_nowait")(Unspeakable())
    assert transition.error.reason.endswith("Unspeakable")
    assert job.status is (RETRY if trigger == "retry" else FAILURE)


@pytest.mark.parametrize("result", [None, 0, "", [], "r"])
def test_results_are_kept_as_they_are(result):
    """The result of a job is the very object that it succeeded with."""
    job = advanced(Job(), STARTED)
    job.succeed_nowait(result)
    assert job.result is result
    assert job.outcome is not None
    assert job.outcome.value() is result


# --- the default lifecycle ------------------------------------------------------------------

LEGAL = {(edge.trigger, edge.source) for edge in JOB_LIFECYCLE.edges}


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("trigger", JOB_LIFECYCLE.triggers)
async def test_every_trigger_from_every_status(trigger, status, way):
    """Each trigger commits where the table has it, and is refused by name everywhere else."""
    args = ("x",) if trigger in ("fail", "retry") else ()
    kwargs = {"cause": RevokeCause.ADMIN} if trigger == "revoke" else {}
    job = advanced(Job(), status)
    before, history = job.snapshot(), job.history
    assert job.can(trigger) is ((trigger, status) in LEGAL)
    if job.can(trigger):
        transition = await asked(job, way, trigger, *args, **kwargs)
        assert (transition.trigger, transition.source) == (trigger, status)
        assert (job.status, job.version) == (transition.dest, before.version + 1)
        return
    with pytest.raises(TransitionRefused) as caught:
        await asked(job, way, trigger, *args, **kwargs)
    refused = caught.value
    assert (refused.job_id, refused.status, refused.trigger) == (job.id, status, trigger)
    assert refused.possible == tuple(sorted(name for name, source in LEGAL if source is status))
    assert (job.snapshot(), job.history, job._turn) == (before, history, None)


def test_can_does_not_ask_guards():
    """It tells what the status has; a guard may still refuse, and is not called."""
    lifecycle = JOB_LIFECYCLE.derive()
    lifecycle.guard("start")(lambda event: pytest.fail("the guard was asked"))
    job: Job[Any] = Job(lifecycle=lifecycle)
    assert job.can("start")
    assert not job.can("succeed")
    with pytest.raises(UnknownTrigger, match="did you mean 'start'"):
        job.can("strat")


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize(("attempts", "retries"), [(1, 0), (2, 1), (3, 2), (None, 5)])
async def test_retry_while_attempts_are_left(attempts, retries, way):
    """It leads to RETRY as long as attempts are left, and then to FAILURE with the last error."""
    job: Job[Any] = Job(max_attempts=attempts)
    for attempt in range(1, retries + 1):
        await asked(job, way, "start")
        transition = await asked(job, way, "retry", f"error {attempt}", delay=1.5)
        assert (transition.dest, transition.attempt, transition.delay) == (RETRY, attempt, 1.5)
        assert job.error_message == f"error {attempt}"
    await asked(job, way, "start")
    assert job.has_attempts_left is (attempts is None)
    if attempts is not None:
        transition = await asked(job, way, "retry", "last", delay=1.5)
        assert (transition.dest, transition.attempt) == (FAILURE, attempts)
        assert (transition.trigger, transition.error) == ("retry", ErrorInfo("", "last"))
        assert job.outcome is not None
        assert (job.outcome.error_message, job.outcome.attempts) == ("last", attempts)


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize("cancel_started", [False, True])
@pytest.mark.parametrize("cause", RevokeCause)
@pytest.mark.parametrize("status", [PENDING, STARTED, RETRY])
async def test_revoke_on_behalf_of_each_cause(status, cause, cancel_started, way):
    """A started job is not revoked on behalf of a user, unless its lifecycle says it can be."""
    lifecycle = JOB_LIFECYCLE.derive(cancel_started=cancel_started)
    job = advanced(Job(lifecycle=lifecycle), status)
    before, history = job.snapshot(), job.history
    if status is STARTED and cause is RevokeCause.USER and not cancel_started:
        with pytest.raises(GuardRefused) as caught:
            await asked(job, way, "revoke", "enough", cause=cause)
        assert caught.value.guard == "can_revoke_started"
        assert (job.snapshot(), job.history) == (before, history)
        return
    transition = await asked(job, way, "revoke", "enough", cause=cause)
    assert (transition.dest, transition.cause, transition.reason) == (REVOKED, cause, "enough")
    assert job.outcome is not None
    assert (job.outcome.cause, job.outcome.reason) == (cause, "enough")
    with pytest.raises(TransitionRefused) as refused:
        await asked(job, way, "revoke", "again", cause=cause)
    assert (refused.value.status, refused.value.possible) == (REVOKED, ())
    assert (job.outcome.reason, job._turn) == ("enough", None)


@pytest.mark.parametrize("status", [PENDING, RETRY])
def test_revoke_is_on_behalf_of_a_user_if_nothing_else_is_said(status):
    """Without a cause, USER is recorded; a cause may be given as text."""
    assert advanced(Job(), status).revoke_nowait().cause is RevokeCause.USER
    assert advanced(Job(), status).trigger_nowait("revoke").cause is RevokeCause.USER
    transition = advanced(Job(), status).trigger_nowait("revoke", cause="TIMEOUT")
    assert transition.cause is RevokeCause.TIMEOUT


def test_revoke_of_a_started_job_needs_a_cause():
    """Giving no cause at all is no way around the guard of started jobs."""
    job = advanced(Job(), STARTED)
    with pytest.raises((GuardRefused, BadArgument)):
        job.trigger_nowait("revoke", cause=None)
    assert job.status is STARTED


@pytest.mark.parametrize("status", [PENDING, STARTED, RETRY])
def test_revoke_with_more_arguments(status):
    """Further arguments of a trigger are for hooks, from whichever status it is taken."""
    seen = []
    job = advanced(Job(), status)
    job.on("revoke", lambda event: seen.append(event.kwargs))
    job.trigger_nowait("revoke", "r", cause=RevokeCause.ADMIN, ticket=7)
    assert seen == [{"cause": RevokeCause.ADMIN, "ticket": 7}]


# --- hooks on one job -----------------------------------------------------------------------


@pytest.mark.anyio
@in_both_ways
async def test_hook_on_a_status_and_on_a_trigger(way):
    """A hook on a status runs whenever it is entered, one on a trigger whenever it was taken."""
    job: Job[Any] = Job()
    ran: list[tuple[str, Any, Any, bool]] = []

    def note(name):
        def hook(event):
            ran.append((name, event.trigger, event.dest, event.transition is job.history[-1]))

        return hook

    for place in (STARTED, "RETRY", "start", "revoke"):
        registration = job.on(place, note(str(place)))
        assert isinstance(registration, Registration)
    await asked(job, way, "start")
    await asked(job, way, "retry", "x")
    await asked(job, way, "start")
    assert ran == [
        ("STARTED", "start", STARTED, True),
        ("start", "start", STARTED, True),
        ("RETRY", "retry", RETRY, True),
        ("STARTED", "start", STARTED, True),
        ("start", "start", STARTED, True),
    ]


@pytest.mark.anyio
async def test_hook_is_on_this_one_job():
    """A hook on one job is not run for another one of the same lifecycle."""
    ran = []
    mine, other = Job[Any](), Job[Any]()
    mine.on("start", lambda event: ran.append(event.job))
    await other.start()
    await mine.start()
    assert ran == [mine]


@pytest.mark.anyio
@in_both_ways
async def test_hooks_of_one_place_run_in_order_and_can_be_removed(way):
    """Hooks run in the order in which they were added; a removed one runs no more."""
    job: Job[Any] = Job(max_attempts=None)
    ran: list[int] = []
    registrations = [
        job.on(STARTED, lambda event, number=number: ran.append(number)) for number in range(4)
    ]
    await asked(job, way, "start")
    assert ran == [0, 1, 2, 3]
    registrations[1].remove()
    registrations[1].remove()  # once more does nothing
    ran.clear()
    await asked(job, way, "retry", "x")
    await asked(job, way, "start")
    assert ran == [0, 2, 3]
    for registration in registrations:
        registration.remove()
    ran.clear()
    await asked(job, way, "retry", "x")
    await asked(job, way, "start")
    assert ran == []


@pytest.mark.anyio
async def test_one_hook_added_twice_is_removed_once():
    """Each registration stands for itself, also of the same function."""
    job: Job[Any] = Job()
    ran = []

    def hook(event):
        ran.append(event.trigger)

    first, second = job.on("start", hook), job.on("start", hook)
    first.remove()
    first.remove()
    await job.start()
    assert ran == ["start"]
    second.remove()
    await job.requeue()
    await job.start()
    assert ran == ["start"]


@pytest.mark.anyio
async def test_async_hook_on_one_job():
    """A hook on one job may be async."""
    job: Job[Any] = Job()
    ran = []

    async def hook(event):
        await checkpoint()
        ran.append(event.dest)

    job.on(STARTED, hook)
    with pytest.raises(WouldBlock, match="hook is async"):
        job.start_nowait()
    await job.start()
    assert ran == [STARTED]


@pytest.mark.anyio
async def test_hook_added_by_a_hook():
    """A hook added in the midst of a transition is for the transitions that follow."""
    job: Job[Any] = Job()
    ran = []

    def adding(event):
        job.on("requeue", lambda event: ran.append("requeue"))
        job.on("start", lambda event: ran.append("start"))

    registration = job.on(STARTED, adding)
    await job.start()
    assert ran == []
    registration.remove()
    await job.requeue()
    await job.start()
    assert ran == ["requeue", "start"]


@pytest.mark.parametrize("status", [SUCCESS, FAILURE, REVOKED])
def test_hook_on_a_final_status_that_was_reached_already(status):
    """It runs at once, with the event of the final transition, as a done callback would."""
    job = advanced(Job(), status)
    events: list[Any] = []
    registration = job.on(status, events.append)
    (event,) = events
    last = job.history[-1]
    assert (event.job, event.trigger, event.transition) == (job, last.trigger, last)
    assert (event.source, event.dest, event.args) == (last.source, last.dest, ())
    registration.remove()
    assert len(events) == 1


@pytest.mark.parametrize("place", [PENDING, STARTED, FAILURE, "succeed", "start"])
def test_hook_on_anything_else_of_a_final_job(place):
    """Only a hook on the very status in which the job ended runs at once."""
    job = advanced(Job(), SUCCESS)
    job.on(place, lambda event: pytest.fail("the hook ran"))


def test_hook_on_the_present_status():
    """A status that is not final is not entered again: the hook waits for the next time."""
    job = advanced(Job(), STARTED)
    ran = []
    job.on(STARTED, lambda event: ran.append(event.trigger))
    assert ran == []
    job.requeue_nowait()
    job.start_nowait()
    assert ran == ["start"]


def test_hook_at_once_that_raises():
    """What a hook that runs at once raises reaches whoever added it, and it is not kept."""
    job = advanced(Job(), SUCCESS)

    def hook(event):
        raise OSError("hook")

    with pytest.raises(OSError, match="hook"):
        job.on(SUCCESS, hook)
    assert job._hooks_on(("status", "SUCCESS")) == ()


@pytest.mark.anyio
@pytest.mark.parametrize("wrapped", [False, True])
async def test_async_hook_on_a_final_status_that_was_reached_already(wrapped):
    """An async hook cannot run at once: the caller is told to await it, and nothing is kept."""
    job = advanced(Job(), SUCCESS)
    ran = []

    async def hook(event):
        ran.append(event)

    with pytest.raises(WouldBlock) as caught:
        job.on(SUCCESS, (lambda event: hook(event)) if wrapped else hook)
    assert (caught.value.job_id, ran) == (job.id, [])
    assert "await it yourself" in caught.value.why
    assert job._hooks_on(("status", "SUCCESS")) == ()


@pytest.mark.anyio
async def test_hook_added_on_the_final_status_by_its_own_hook():
    """Added while the hooks on entering the final status run, it runs at once, and only once."""
    job: Job[Any] = Job()
    ran = []
    job.on(SUCCESS, lambda event: job.on(SUCCESS, lambda event: ran.append(event.trigger)))
    await job.start()
    await job.succeed()
    assert ran == ["succeed"]


@pytest.mark.parametrize("hook", [None, 5, "start", lambda: None, lambda a, b: None])
def test_what_is_no_hook(hook):
    """A hook is something that can be called with one argument."""
    with pytest.raises(TypeError, match="hook"):
        Job().on(STARTED, hook)


@pytest.mark.parametrize("place", ["STARTE", "strat", 5, None, "*"])
def test_hook_on_nothing_that_the_lifecycle_has(place):
    """A hook belongs on a status or a trigger; the error names what there is."""
    with pytest.raises(UnknownTrigger) as caught:
        Job().on(place, print)
    assert {"STARTED", "start"} <= set(caught.value.known)


# --- deferring ------------------------------------------------------------------------------


def deferring(*asked_for: tuple[Any, ...], slot: str = "after", trigger: str = "start") -> Any:
    """Return a lifecycle whose trigger defers others in one of its slots."""
    lifecycle = JOB_LIFECYCLE.derive()
    attach = {
        "enter": lambda: lifecycle.on_enter(STARTED),
        "exit": lambda: lifecycle.on_exit(PENDING),
        "finalize": lambda: lifecycle.finalize,
    }.get(slot, lambda: getattr(lifecycle, slot)(trigger))

    def hook(event: Any) -> bool:
        if event.trigger == trigger and event.source is PENDING:
            for deferred, *args in asked_for:
                event.job.defer(deferred, *args)
        return True

    attach()(hook)
    return lifecycle


BEFORE = ["prepare", "guard", "before", "exit"]
AFTER = ["enter", "after", "finalize"]


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize("slot", [*BEFORE, *AFTER])
async def test_deferred_triggers_run_before_the_call_returns(slot, way):
    """They run right after the transition, in the order in which they were deferred."""
    lifecycle = deferring(("retry", "x"), ("start",), ("succeed", 5), slot=slot)
    job: Job[Any] = Job(lifecycle=lifecycle)
    transition = await asked(job, way, "start")
    assert transition is job.history[0]
    assert [each.trigger for each in job.history] == ["start", "retry", "start", "succeed"]
    assert (job.result, job.error_message, job._turn) == (5, None, None)


@pytest.mark.anyio
@in_both_ways
async def test_deferred_trigger_runs_after_the_last_hook(way):
    """The whole of the present transition comes first, its last hooks included."""
    ran: list[str] = []
    lifecycle = deferring(("succeed",), slot="enter")
    lifecycle.after("start")(lambda event: ran.append("after start"))
    lifecycle.finalize(lambda event: ran.append(f"finalize {event.trigger}"))
    lifecycle.before("succeed")(lambda event: ran.append("before succeed"))
    await asked(Job(lifecycle=lifecycle), way, "start")
    assert ran == ["after start", "finalize start", "before succeed", "finalize succeed"]


@pytest.mark.anyio
async def test_deferred_trigger_runs_before_those_in_line():
    """It comes before triggers that have been waiting for their turn."""
    lifecycle = deferring(("retry", "x"))
    inside, opened = anyio.Event(), anyio.Event()

    @lifecycle.before("start")
    async def hold(event):
        inside.set()
        await opened.wait()

    job: Job[Any] = Job(lifecycle=lifecycle)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job.start)
            await inside.wait()
            tasks.start_soon(job.requeue)
            for _ in range(10):
                await checkpoint()
            opened.set()
    assert [each.trigger for each in job.history] == ["start", "retry", "requeue"]


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize("slot", BEFORE)
@pytest.mark.parametrize("ending", ["raises", "refused"])
async def test_deferred_trigger_of_what_was_not_committed(ending, slot, way):
    """If the transition is not committed, what it deferred is not run, then or later."""
    lifecycle = deferring(("fail", "deferred"), slot=slot)
    refusing = [True]

    @lifecycle.guard("start")
    def guard(event):
        return ending != "refused" or not refusing

    @lifecycle.on_exit(PENDING)
    def leave(event):
        if ending == "raises" and refusing:
            raise OSError("exit")

    job: Job[Any] = Job(lifecycle=lifecycle)
    before = job.snapshot()
    with pytest.raises((OSError, GuardRefused)):
        await asked(job, way, "start")
    assert (job.snapshot(), job._turn) == (before, None)
    refusing.clear()
    await asked(job, way, "start")
    assert [each.trigger for each in job.history] == ["start", "fail"]


@pytest.mark.anyio
async def test_deferred_trigger_of_a_cancelled_transition():
    """Nor is it run if the transition was cancelled before the commit."""
    lifecycle = deferring(("fail", "deferred"), slot="prepare")

    @lifecycle.before("start")
    async def hang(event):
        await anyio.sleep_forever()

    job: Job[Any] = Job(lifecycle=lifecycle)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await job.start()
    assert (job.version, job._turn) == (0, None)


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize("failing", ["refused", "raises"])
async def test_deferred_trigger_that_is_not_committed_drops_its_own(failing, way):
    """What a deferred trigger deferred is dropped with it; what others deferred still runs."""
    lifecycle = deferring(("retry", "x"), ("requeue",))

    @lifecycle.prepare("retry")
    def defer(event):
        event.job.defer("revoke", cause=RevokeCause.ADMIN)

    @lifecycle.guard("retry")
    def guard(event):
        if failing == "raises":
            raise OSError("guard")
        return False

    job: Job[Any] = Job(lifecycle=lifecycle)
    with pytest.raises(HookFailed) as caught:
        await asked(job, way, "start")
    assert [type(error) for error in caught.value.exceptions] == [
        OSError if failing == "raises" else GuardRefused
    ]
    assert [each.trigger for each in job.history] == ["start", "requeue"]


@pytest.mark.anyio
@in_both_ways
async def test_deferred_trigger_that_is_refused(way):
    """The call tells of a deferred trigger that was refused, in its group; the next ones run."""
    job: Job[Any] = Job(lifecycle=deferring(("start",), ("succeed", 1), ("fail", "late")))
    with pytest.raises(HookFailed) as caught:
        await asked(job, way, "start")
    first, last = caught.value.exceptions
    assert isinstance(first, TransitionRefused)
    assert (first.trigger, first.status) == ("start", STARTED)
    assert isinstance(last, TransitionRefused)
    assert (last.trigger, last.status) == ("fail", SUCCESS)
    assert caught.value.transition is job.history[0]
    assert [each.trigger for each in job.history] == ["start", "succeed"]
    assert job._turn is None


@pytest.mark.anyio
@in_both_ways
async def test_hooks_of_deferred_triggers_that_fail(way):
    """Failures of the transition itself and of a deferred one reach the caller together."""
    lifecycle = deferring(("succeed",))

    @lifecycle.after("start")
    def after_start(event):
        raise OSError("start")

    @lifecycle.after("succeed")
    def after_succeed(event):
        raise ValueError("succeed")

    job: Job[Any] = Job(lifecycle=lifecycle)
    with pytest.raises(HookFailed) as caught:
        await asked(job, way, "start")
    mine, deferred = caught.value.exceptions
    assert isinstance(mine, OSError)
    assert isinstance(deferred, HookFailed)
    assert [type(error) for error in deferred.exceptions] == [ValueError]
    assert (caught.value.transition, deferred.transition) == job.history
    assert job.status is SUCCESS


@pytest.mark.anyio
async def test_chain_of_deferred_triggers():
    """A deferred trigger's hooks may defer in turn: the whole chain runs within the one call."""
    lifecycle = JOB_LIFECYCLE.derive()

    @lifecycle.on_enter(STARTED)
    async def started(event):
        await checkpoint()
        event.job.defer("retry", f"error {event.job.attempt}")

    @lifecycle.on_enter(RETRY)
    def again(event):
        event.job.defer("start")

    job: Job[Any] = Job(lifecycle=lifecycle, max_attempts=20)
    await job.start()
    assert [each.dest for each in job.history] == [*[STARTED, RETRY] * 19, STARTED, FAILURE]
    assert (job.attempt, job.error_message, job._turn) == (20, "error 20", None)


@pytest.mark.anyio
@in_both_ways
async def test_deferred_trigger_gets_its_arguments(way):
    """Positional and named arguments reach the hooks and the record of a deferred trigger."""
    seen = []
    lifecycle = JOB_LIFECYCLE.derive()
    lifecycle.before("retry")(lambda event: seen.append((event.args, event.kwargs)))
    error = OSError("x")

    @lifecycle.on_enter(STARTED)
    def enter(event):
        event.job.defer("retry", error, delay=2, trigger="t")

    job: Job[Any] = Job(lifecycle=lifecycle)
    await asked(job, way, "start")
    assert seen == [((error,), {"delay": 2, "trigger": "t"})]
    assert job.history[-1].error == ErrorInfo("OSError", "x")
    assert job.history[-1].delay == 2.0


def test_nothing_to_defer():
    """Outside of a transition there is nothing that a trigger could follow."""
    job: Job[Any] = Job()
    with pytest.raises(NothingToDefer, match=r"await job\.start") as caught:
        job.defer("start")
    assert (caught.value.job_id, caught.value.status) == (job.id, PENDING)
    assert caught.value.trigger == "start"
    job.start_nowait()
    with pytest.raises(NothingToDefer):
        job.defer("succeed")
    assert job.version == 1


@pytest.mark.anyio
async def test_only_a_hook_can_defer():
    """Another task has no part in a transition, whose caller would be told of its trigger."""
    lifecycle = JOB_LIFECYCLE.derive()
    inside, opened = anyio.Event(), anyio.Event()

    @lifecycle.on_enter(STARTED)
    async def started(event: Any) -> None:
        inside.set()
        await opened.wait()
        event.job.defer("succeed")

    job: Job[Any] = Job(lifecycle=lifecycle)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job.start)
        await inside.wait()
        with pytest.raises(NothingToDefer, match="in no transition of this task"):
            job.defer("requeue")
        opened.set()
    assert [step.trigger for step in job.history] == ["start", "succeed"]


@pytest.mark.anyio
async def test_defer_is_checked_when_it_is_called():
    """A trigger that does not exist, or an argument that cannot be recorded, is refused at once."""
    caught: list[Exception] = []
    lifecycle = JOB_LIFECYCLE.derive()

    @lifecycle.on_enter(STARTED)
    def enter(event):
        for trigger, args in (("strat", ()), ("fail", (5,))):
            try:
                event.job.defer(trigger, *args)
            except (UnknownTrigger, BadArgument) as error:
                caught.append(error)

    job: Job[Any] = Job(lifecycle=lifecycle)
    await job.start()
    assert [type(error) for error in caught] == [UnknownTrigger, BadArgument]
    assert job.version == 1


def test_deferred_trigger_with_an_async_hook_cannot_run_at_once():
    """With nowait a deferred trigger must be able to run at once too; if not, the call tells."""
    lifecycle = deferring(("succeed",), ("requeue",))

    @lifecycle.after("succeed")
    async def after(event):
        pytest.fail("the hook ran")

    job: Job[Any] = Job(lifecycle=lifecycle)
    with pytest.raises(HookFailed) as caught:
        job.start_nowait()
    assert [type(error) for error in caught.value.exceptions] == [WouldBlock]
    assert [each.trigger for each in job.history] == ["start", "requeue"]


@pytest.mark.anyio
async def test_deferred_triggers_are_written_to_the_journal():
    """Each deferred transition is journalled before its own commit."""
    written = []

    class Journal:
        async def append(self, entry):
            await checkpoint()
            written.append((entry.transition.trigger, job.version))

    job: Job[Any] = Job(lifecycle=deferring(("retry", "x"), ("start",)), journal=Journal())
    await job.start()
    assert written == [("start", 0), ("retry", 1), ("start", 2)]


@pytest.mark.anyio
async def test_deferred_trigger_that_is_cancelled():
    """Cancelled in a deferred trigger, what had failed already is not lost."""
    lifecycle = deferring(("retry", "x"))
    inside = anyio.Event()

    @lifecycle.after("start")
    def after(event):
        raise OSError("start")

    @lifecycle.before("retry")
    async def hang(event):
        inside.set()
        await anyio.sleep_forever()

    job: Job[Any] = Job(lifecycle=lifecycle)
    raised: list[BaseException] = []

    async def start():
        try:
            await job.start()
        except BaseException as error:
            raised.append(error)
            raise

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            await inside.wait()
            tasks.cancel_scope.cancel()
    assert [each.trigger for each in job.history] == ["start"]
    assert job._turn is None
    (error,) = raised
    assert isinstance(error, anyio.get_cancelled_exc_class())
    assert isinstance(error.__cause__, HookFailed)
    assert [type(each) for each in error.__cause__.exceptions] == [OSError]


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize("slot", ["before", "after"])
async def test_deferred_trigger_that_is_interrupted(slot, way):
    """An interrupt in a deferred trigger is raised as it is, with what had failed as its cause."""
    lifecycle = deferring(("retry", "x"))

    @lifecycle.after("start")
    def after(event):
        raise OSError("start")

    @getattr(lifecycle, slot)("retry")
    def interrupt(event):
        raise KeyboardInterrupt

    job: Job[Any] = Job(lifecycle=lifecycle)
    with pytest.raises(KeyboardInterrupt) as caught:
        await asked(job, way, "start")
    assert job._turn is None
    assert isinstance(caught.value.__cause__, HookFailed)
    assert [type(each) for each in caught.value.__cause__.exceptions] == [OSError]


@pytest.mark.anyio
@pytest.mark.parametrize("waiting", ["nobody", "before", "after", "journal", "refused"])
async def test_deferred_trigger_of_a_cancelled_caller(waiting):
    """Cancelled after the commit: deferred triggers go on to the first wait before their own."""
    inside, opened = anyio.Event(), anyio.Event()
    raised: list[BaseException] = []
    lifecycle = deferring(("retry", "x"), ("requeue",))

    @lifecycle.on_enter(STARTED)
    async def hold(event):
        inside.set()
        await opened.wait()

    async def pausing(event):
        await checkpoint()

    class Kept:
        async def append(self, entry):
            await checkpoint()

    if waiting in ("before", "after"):
        getattr(lifecycle, waiting)("retry")(pausing)
    elif waiting == "refused":
        lifecycle.guard("retry")(lambda event: False)
    job: Job[Any] = Job(lifecycle=lifecycle, journal=Kept() if waiting == "journal" else None)
    scope = anyio.CancelScope()

    async def start():
        with scope:
            try:
                await job.start()
            except BaseException as error:
                raised.append(error)
            await checkpoint()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            await inside.wait()
            scope.cancel()
            for _ in range(10):
                await checkpoint()
            opened.set()
    assert scope.cancelled_caught
    triggers = [each.trigger for each in job.history]
    if waiting == "before":
        assert triggers[0] == "start"
        assert "retry" not in triggers
    elif waiting == "refused":
        assert triggers == ["start", "requeue"]
        (error,) = raised  # on asyncio a cancellation, because of which
        failed = error if isinstance(error, HookFailed) else error.__cause__
        assert isinstance(failed, HookFailed)
        assert [type(each) for each in failed.exceptions] == [GuardRefused]
    else:
        assert triggers == ["start", "retry", "requeue"]
    assert job._turn is None


# --- subclasses -----------------------------------------------------------------------------


class Watched(Job[Any]):
    """A job with methods for its own statuses."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heard: list[Any] = []

    def on_enter_STARTED(self, *args: Any, **kwargs: Any) -> None:
        """Hear of the start."""
        self.heard.append(("enter STARTED", args, kwargs, self.status))

    async def on_exit_STARTED(self, *args: Any) -> None:
        """Hear of the end of an attempt."""
        await checkpoint()
        self.heard.append(("exit STARTED", args, self.status))

    def on_enter_SUCCESS(self, result: Any = None) -> None:
        """Hear of the result."""
        self.heard.append(("enter SUCCESS", result, self.status))


@pytest.mark.anyio
async def test_methods_of_a_subclass():
    """on_enter_X and on_exit_X of a subclass are called with the trigger's arguments."""
    job = Watched()
    await job.trigger("start", 1, worker="w")
    await job.succeed(5)
    assert job.heard == [
        ("enter STARTED", (1,), {"worker": "w"}, STARTED),
        ("exit STARTED", (5,), STARTED),
        ("enter SUCCESS", 5, SUCCESS),
    ]
    with pytest.raises(WouldBlock, match="on_exit_STARTED is async"):
        started = Watched()
        started.start_nowait()
        started.succeed_nowait()
    plain: Job[Any] = Job()
    await plain.start()
    assert plain._own is None


@pytest.mark.anyio
async def test_hook_of_a_subclass_that_fails():
    """What a method of the subclass raises is told as that of any other hook."""

    class Failing(Job[Any]):
        def on_enter_STARTED(self):
            raise OSError("method")

    job = Failing()
    with pytest.raises(HookFailed) as caught:
        await job.start()
    assert [str(error) for error in caught.value.exceptions] == ["method"]
    assert job.status is STARTED


def check_elsewhere(*args: Any) -> bool:
    """Be a callback that is named by where it is."""
    return args != ("refuse",)


class Named(Job[Any, str]):
    """A job whose lifecycle names its callbacks."""

    ready = True

    @property
    def allowed(self) -> bool:
        """Answer as a guard."""
        return self.name != "forbidden"

    def check(self, *args: Any) -> bool:
        """Answer as a guard."""
        return args != ("no",)

    async def note(self, *args: Any) -> None:
        """Do as a hook."""
        await checkpoint()
        self._info = {"noted": args}


NAMED = Lifecycle[str](
    states=["A", {"name": "B", "final": True, "on_enter": "note"}],
    transitions=[
        {
            "trigger": "go",
            "source": "A",
            "dest": "B",
            "conditions": ["allowed", "ready", "check", "operator.truth"],
        }
    ],
)


@pytest.mark.anyio
async def test_callbacks_by_name():
    """A name is an attribute of the job (a plain value is the answer), or else imported."""
    job = Named(lifecycle=NAMED)
    await job.trigger("go", "yes")
    assert (job.status, job.info) == ("B", {"noted": ("yes",)})
    for job, args, guard in (
        (Named(lifecycle=NAMED, name="forbidden"), ("yes",), "allowed"),
        (Named(lifecycle=NAMED), ("no",), "check"),
        (Named(lifecycle=NAMED), ("",), "operator.truth"),
    ):
        with pytest.raises(GuardRefused) as caught:
            await job.trigger("go", *args)
        assert caught.value.guard == guard
        assert (job.status, job.version) == ("A", 0)


@pytest.mark.anyio
@in_both_ways
async def test_callback_that_cannot_be_found(way):
    """A name that stands for nothing is told when it is needed; the job stays where it is."""
    job: Job[Any, str] = Job(lifecycle=NAMED)
    with pytest.raises(CallbackNotFound) as caught:
        await asked(job, way, "trigger", "go", "yes")
    assert (caught.value.callback, caught.value.job_type) == ("allowed", "Job") or (
        caught.value.callback in ("ready", "check", "note")
    )
    assert (job.status, job.version, job._turn) == ("A", 0, None)


@pytest.mark.anyio
async def test_lifecycle_of_a_class():
    """A class may name its lifecycle; a job may still be given another one."""

    class Mine(Job[Any, str], lifecycle=NAMED):
        allowed = ready = True

        def check(self, *args):
            return True

        def note(self, *args):
            pass

    assert Mine().lifecycle is NAMED
    assert Mine(lifecycle=JOB_LIFECYCLE).status is PENDING
    assert (await Mine().trigger("go", "x")).dest == "B"


@pytest.mark.anyio
async def test_errors_about_reentrance_are_no_refusals():
    """Refused means that the lifecycle or a guard said no, nothing else."""
    assert not issubclass(ReentrantTrigger, Refused)
    assert not issubclass(WouldBlock, Refused)
    assert issubclass(GuardRefused, Refused)


# --- arguments, exactly -----------------------------------------------------------------------


@pytest.mark.parametrize(("given", "heard"), [((), ()), ((None,), (None,)), ((7,), (7,))])
def test_a_result_of_none_is_passed_on_as_one(given, heard):
    """A hook is called with what was given: with nothing, or with ``None``."""
    calls = []

    class Mine(Job):
        def on_enter_SUCCESS(self, *args):
            calls.append(args)

    job = Mine()
    job.start_nowait()
    job.succeed_nowait(*given)
    assert calls == [heard]
    assert job.result == (given[0] if given else None)


def test_a_signature_shows_what_comes_of_no_result():
    """Left out, a result is ``None``, and so help and the documentation say."""
    assert "result: 'T | None' = None" in str(signature(Job.succeed))


@pytest.mark.anyio
@in_both_ways
@pytest.mark.parametrize(
    ("trigger", "name"),
    [("succeed", "result"), ("fail", "error"), ("retry", "error"), ("revoke", "reason")],
)
async def test_an_argument_given_twice_is_refused(way, trigger, name):
    """What is given by place and by name says two things; nothing has changed."""
    job: Job = Job()
    with pytest.raises(BadArgument, match=f"{trigger}: {name} was given twice$"):
        await asked(job, way, "trigger", trigger, "one", **{name: "two"})
    assert job.version == 0


def test_arguments_of_any_trigger_are_recorded():
    """Triggers of one's own leave on the job what those of the default lifecycle do."""
    lifecycle = Lifecycle(
        "film",
        states=["new", "shot", "cut"],
        final=["cut"],
        transitions=[["shoot", "new", "shot"], ["edit", "shot", "cut"]],
        means={"shot": STARTED, "cut": SUCCESS},
    )
    job: Job[Any, Any] = Job(lifecycle=lifecycle)
    shot = job.trigger_nowait("shoot", reason="light", cause="ADMIN", delay=2, error=ERROR)
    assert (shot.reason, shot.cause, shot.delay) == ("light", RevokeCause.ADMIN, 2.0)
    assert shot.error == ErrorInfo("ValueError", "no")
    assert (job.error_reason, job.error_message) == ("ValueError", "no")
    job.trigger_nowait("edit", result="film.mp4")
    assert job.outcome is not None
    assert job.outcome.value() == "film.mp4"


def test_extras_of_any_trigger_are_added():
    """They stand on the job and in its outcome; what was there before stays."""
    job: Job[Any] = Job(extras={"host": "a"})
    job.start_nowait()
    job.trigger_nowait("fail", "no", extras={"exit_code": 2})
    assert job.extras == {"host": "a", "exit_code": 2}
    assert job.outcome is not None
    assert job.outcome.extras == {"host": "a", "exit_code": 2}


# --- may --------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_may_asks_the_guards_and_changes_nothing():
    """With the arguments that the trigger would have, and without any hook."""
    lifecycle, called = JOB_LIFECYCLE.derive("asked"), []

    @lifecycle.guard("start")
    async def is_ready(event):
        called.append(event.trigger)
        return event.job.name == "ready"

    lifecycle.before("start")(lambda event: called.append("before"))
    assert await Job(name="ready", lifecycle=lifecycle).may("start")
    job = Job(lifecycle=lifecycle)
    assert not await job.may("start")
    assert not await job.may("succeed")
    assert (job.version, called) == (0, ["start", "start"])


@pytest.mark.anyio
async def test_may_depends_on_the_arguments():
    """A started job may be revoked for anybody but a user."""
    job = advanced(Job(), STARTED)
    assert not await job.may("revoke")
    assert not await job.may("revoke", "not needed")
    assert await job.may("revoke", cause=RevokeCause.ADMIN)


@pytest.mark.anyio
async def test_may_waits_for_its_turn():
    """The answer is about the status after the transition that is under way."""
    lifecycle, go_on = JOB_LIFECYCLE.derive("slow"), anyio.Event()
    lifecycle.before("start")(lambda event: go_on.wait())
    job = Job(lifecycle=lifecycle)
    answers = []

    async def ask():
        answers.append(await job.may("succeed"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job.start)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert answers == []
        go_on.set()
    assert answers == [True]


@pytest.mark.anyio
async def test_may_in_a_hook_of_the_job_is_refused():
    """It would wait for itself."""
    job, raised = Job(), []

    async def ask(event):
        with pytest.raises(ReentrantTrigger) as caught:
            await job.may("succeed")
        raised.append(caught.value)

    job.on("start", ask)
    await job.start()
    assert len(raised) == 1


@pytest.mark.anyio
async def test_may_of_what_cannot_be_asked_raises():
    """An unknown trigger, an argument that cannot be recorded, and a guard that raises."""
    lifecycle = JOB_LIFECYCLE.derive("broken")

    @lifecycle.guard("start")
    def broken(event):
        raise LookupError("nothing is known")

    job = Job(lifecycle=lifecycle)
    with pytest.raises(UnknownTrigger):
        await job.may("strat")
    with pytest.raises(BadArgument):
        await job.may("revoke", 7)
    with pytest.raises(LookupError):
        await job.may("start")
    assert await job.may("revoke")


# --- cancelling a job that nobody runs --------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("status", [PENDING, RETRY])
async def test_a_job_that_nobody_runs_is_simply_revoked(status):
    """No attempt was running: it was prevented."""
    job = advanced(Job(), status)
    assert await job.cancel("not needed") is Cancellation.PREVENTED
    assert (job.status, job.history[-1].reason) == (REVOKED, "not needed")


@pytest.mark.anyio
async def test_a_started_job_is_not_cancelled_for_a_user():
    """As its lifecycle has it."""
    job = advanced(Job(), STARTED)
    with pytest.raises(GuardRefused):
        await job.cancel()
    assert job.status is STARTED


@pytest.mark.anyio
async def test_whether_anybody_worked_on_a_job_is_unconfirmed():
    """Where a started job may be cancelled, it is; who works on it finds out by itself."""
    job = advanced(Job(lifecycle=JOB_LIFECYCLE.derive("free", cancel_started=True)), STARTED)
    assert await job.cancel() is Cancellation.UNCONFIRMED
    assert job.status is REVOKED


@pytest.mark.anyio
@pytest.mark.parametrize("status", [SUCCESS, FAILURE, REVOKED])
async def test_an_ended_job_is_not_cancelled(status):
    """It is too late; the outcome stays."""
    job = advanced(Job(), status)
    assert await job.cancel() is Cancellation.TOO_LATE
    assert job.status is status


@pytest.mark.anyio
async def test_a_lifecycle_that_revokes_nothing_refuses_to_cancel():
    """The error says what is possible."""
    lifecycle = Lifecycle("plain", states=["a", "b"], final=["b"], transitions=[["go", "a", "b"]])
    with pytest.raises(UnknownTrigger, match="revoke"):
        await Job(lifecycle=lifecycle).cancel()
    lifecycle = Lifecycle(
        "late",
        states=["a", "b", "c"],
        final=["c"],
        transitions=[["go", "a", "b"], ["revoke", "b", "c"]],
    )
    with pytest.raises(TransitionRefused, match="go"):
        await Job(lifecycle=lifecycle).cancel()
