"""What happens to jobs comes out as structlog events, where the application asked for them."""

from __future__ import annotations

import logging
from contextlib import suppress
from enum import Enum

import anyio
import pytest
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from jobstate import (
    JOB_LIFECYCLE,
    HookFailed,
    Job,
    JobStatus,
    Lifecycle,
    Refused,
    RevokeCause,
)
from jobstate._portable import printable

TRANSITION = {
    "event",
    "job_id",
    "name",
    "trigger",
    "before",
    "after",
    "version",
    "attempt",
    "seconds",
    "data",
}
ASKED = {"event", "job_id", "name", "trigger", "status", "version", "attempt"}
REFUSED = ASKED | {"error", "why"}
HOOK_FAILED = ASKED | {"hook", "exc_info"}


@pytest.fixture(autouse=True)
def structlog_unconfigured():
    """Begin with structlog as it is before anyone configures it, and leave it so."""
    structlog.reset_defaults()
    clear_contextvars()
    yield
    structlog.reset_defaults()
    clear_contextvars()


class Sink:
    """The last processor: keeps each event, and lets none get to a logger."""

    def __init__(self):
        self.events = []
        self.methods = []

    def __call__(self, logger, method, event):
        """Keep an event."""
        self.events.append(event)
        self.methods.append(method)
        raise structlog.DropEvent


def configured(*processors, level=logging.DEBUG, **more):
    """Configure structlog for events of this level and above, and return where they go."""
    sink = Sink()
    wrapper = structlog.make_filtering_bound_logger(level)
    structlog.configure(**{"processors": [*processors, sink], "wrapper_class": wrapper, **more})
    return sink


def happenings(name=""):
    """Have a job be refused, moved, and failed by a hook: at warning, info, info and error."""

    def fail(event):
        raise OSError("jam")

    job = Job("j1", name=name)
    job.on(JobStatus.SUCCESS, fail)
    for trigger in ("succeed", "start", "succeed"):
        with suppress(Refused, HookFailed):
            job.trigger_nowait(trigger)
    return job


NAMES = ["job.refused", "job.transition", "job.transition", "job.hook_failed"]


# --- nothing unasked ------------------------------------------------------------------------


def test_nothing_is_printed_while_structlog_is_unconfigured(capfd):
    """A library does not write to somebody's output unasked; once asked, it does."""
    happenings()
    assert capfd.readouterr() == ("", "")
    structlog.configure()
    happenings()
    printed = capfd.readouterr().out
    assert all(name in printed for name in NAMES)


def test_a_reset_silences_again(capfd):
    """Where the configuration is taken back, nothing is printed any more."""
    structlog.configure()
    structlog.reset_defaults()
    happenings()
    assert capfd.readouterr() == ("", "")


def test_events_can_be_captured_by_the_tests_of_an_application():
    """`structlog.testing.capture_logs` sees the events, whatever is configured."""
    with structlog.testing.capture_logs() as events:
        happenings()
    assert [event["event"] for event in events] == NAMES


# --- events and fields ----------------------------------------------------------------------


def test_each_transition_is_one_event_with_the_documented_fields():
    """A transition says what moved, how, when counted from what, and nothing more."""
    now = [100.0]
    sink = configured()
    job = Job("j1", name="daily", clock=lambda: now[0])
    now[0] += 2.5
    job.start_nowait()
    now[0] += 40
    job.succeed_nowait(7)
    shared = {"event": "job.transition", "job_id": "j1", "name": "daily", "attempt": 1, "data": {}}
    assert sink.events == [
        {
            **shared,
            "trigger": "start",
            "before": "PENDING",
            "after": "STARTED",
            "version": 1,
            "seconds": 2.5,
        },
        {
            **shared,
            "trigger": "succeed",
            "before": "STARTED",
            "after": "SUCCESS",
            "version": 2,
            "seconds": 40,
        },
    ]


def test_each_event_has_exactly_its_documented_fields():
    """Whatever a job is like, an event has the same fields."""
    sink = configured()
    happenings()
    assert [event["event"] for event in sink.events] == NAMES
    assert [set(event) for event in sink.events] == [REFUSED, TRANSITION, TRANSITION, HOOK_FAILED]


def test_each_event_has_its_level():
    """A refusal is a warning, a failed hook an error, and a transition is information."""
    sink = configured()
    happenings()
    assert sink.methods == ["warning", "info", "info", "error"]


def test_a_refusal_by_the_lifecycle_says_why():
    """The event names the error and has its sentence, and where the job stands."""
    sink = configured()
    with pytest.raises(Refused) as caught:
        Job("j1", name="daily").succeed_nowait()
    assert sink.events == [
        {
            "event": "job.refused",
            "job_id": "j1",
            "name": "daily",
            "trigger": "succeed",
            "status": "PENDING",
            "version": 0,
            "attempt": 0,
            "error": "TransitionRefused",
            "why": str(caught.value),
        }
    ]


def test_a_refusal_by_a_guard_says_why():
    """The event tells a guard's refusal from one by the lifecycle."""
    sink = configured()
    job = Job("j1")
    job.start_nowait()
    with pytest.raises(Refused) as caught:
        job.revoke_nowait()
    event = sink.events[-1]
    assert (event["error"], event["why"]) == ("GuardRefused", str(caught.value))
    assert (event["status"], event["version"], event["attempt"]) == ("STARTED", 1, 1)


def test_a_failed_hook_is_named_with_its_exception():
    """The event has the hook's name, and the very exception for whatever formats it."""
    sink = configured()
    error = OSError("jam")

    def notify(event):
        raise error

    job = Job("j1", name="daily")
    job.on("start", notify)
    with pytest.raises(HookFailed):
        job.start_nowait()
    assert sink.events[-1] == {
        "event": "job.hook_failed",
        "job_id": "j1",
        "name": "daily",
        "trigger": "start",
        "status": "STARTED",
        "version": 1,
        "attempt": 1,
        "hook": notify.__qualname__,
        "exc_info": error,
    }


def test_an_exception_is_formatted_by_the_usual_processors():
    """What structlog makes of an exception is made of a hook's."""
    sink = configured(structlog.processors.format_exc_info)
    happenings()
    assert sink.events[-1]["exception"].endswith("OSError: jam")


def test_statuses_are_plain_names():
    """Statuses of one's own come out by name, as text that any renderer can write."""

    class Light(Enum):
        GREEN = 1
        RED = 2

    lifecycle = Lifecycle(
        states=[Light.GREEN, {"name": Light.RED, "final": True}],
        transitions=[{"trigger": "stop", "source": Light.GREEN, "dest": Light.RED}],
    )
    sink = configured()
    job = Job("j1", lifecycle=lifecycle)
    job.trigger_nowait("stop")
    with pytest.raises(Refused):
        job.trigger_nowait("stop")
    Job("j2").start_nowait()
    said = [event[key] for event in sink.events for key in event if key in STATUS_KEYS]
    assert said == ["GREEN", "RED", "RED", "PENDING", "STARTED"]
    assert {type(name) for name in said} == {str}


STATUS_KEYS = ("before", "after", "status")


def test_what_the_user_gave_is_under_data_alone():
    """Reasons and info cannot pose as fields of the event, whatever they are called."""
    sink = configured()
    info = {"event": "forged", "job_id": "other", "level": "debug", "seconds": -1}
    job = Job("j1", info=info)
    job.revoke_nowait("event=forged", cause=RevokeCause.ADMIN)
    (event,) = sink.events
    assert set(event) == TRANSITION
    assert (event["event"], event["job_id"]) == ("job.transition", "j1")
    assert event["seconds"] >= 0
    assert event["data"] == {"reason": "event=forged", "info": info}


def test_data_belongs_to_the_event():
    """A processor that changes what it was given does not change the job."""

    def redact(logger, method, event):
        event["data"]["info"].clear()
        return event

    sink = configured(redact)
    job = Job("j1", info={"password": "x"})
    job.start_nowait()
    assert sink.events[0]["data"] == {"info": {}}
    assert job.info == {"password": "x"}


# --- no forged lines ------------------------------------------------------------------------

FORGED = "go\nevent=job.transition job_id=other\r\x1b[2K\u2028\u202e\0"


def forged():
    """Have everything happen to a job whose texts would all begin a line of their own."""
    lifecycle = Lifecycle(
        states=["A", {"name": f"B{FORGED}", "final": True}],
        transitions=[
            {"trigger": FORGED, "source": "A", "dest": f"B{FORGED}", "conditions": "is_open"}
        ],
    )

    class Answer:
        def __repr__(self):
            return FORGED

    class Door(Job[None, str], lifecycle=lifecycle):
        is_open: object = Answer()

    def fail(event):
        raise OSError("jam")

    fail.__qualname__ = FORGED
    job = Door("j1", name=FORGED, info={FORGED: FORGED})
    job.on(FORGED, fail)
    for is_open in (Answer(), True, True):
        Door.is_open = is_open
        with suppress(Refused, HookFailed):
            job.trigger_nowait(FORGED, reason=FORGED)


def test_control_characters_are_escaped():
    """No text of an event has a character that could end a line, or move or hide a cursor."""
    sink = configured()
    forged()
    names = ["job.refused", "job.transition", "job.hook_failed", "job.refused"]
    assert [event["event"] for event in sink.events] == names
    for event in sink.events:
        texts = {key: value for key, value in event.items() if isinstance(value, str)}
        assert {key: text for key, text in texts.items() if not text.isprintable()} == {}
        assert event["name"] == event["trigger"] == printable(FORGED)


@pytest.mark.parametrize(
    "renderer",
    [
        structlog.processors.KeyValueRenderer(),
        structlog.processors.LogfmtRenderer(bool_as_flag=False),
        structlog.processors.JSONRenderer(),
        structlog.dev.ConsoleRenderer(colors=False),
    ],
    ids=lambda renderer: type(renderer).__name__,
)
def test_each_event_is_one_line(renderer, capfd):
    """Whatever a job's texts are, a renderer that writes lines writes one for each event."""

    def without_exception(logger, method, event):
        event.pop("exc_info", None)
        return event

    structlog.configure(processors=[without_exception, renderer])
    forged()
    out = capfd.readouterr().out
    assert len(out.splitlines()) == out.count("\n") == 4
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("daily report", "daily report"),
        ("Zürich → 東京", "Zürich → 東京"),
        ("C:\\new", "C:\\new"),
        ("a\nb", "a\\nb"),
        ("a\r\tb", "a\\r\\tb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\0", "\\x00"),
        ("\x85\u2028\u2029", "\\x85\\u2028\\u2029"),
        ("\u202egpj", "\\u202egpj"),
        ("\ud800", "\\ud800"),
        ("Zürich\n", "Zürich\\n"),
    ],
)
def test_text_is_shown_as_it_is_unless_it_cannot_be_printed(text, shown):
    """Letters of any script stay; what cannot be printed is escaped as Python escapes it."""
    assert printable(text) == shown


# --- levels ---------------------------------------------------------------------------------


def native(level):
    """Configure structlog's own filtering by level."""
    return configured(level=level)


def standard(level):
    """Configure filtering by the level of the logger of `logging`."""
    return configured(
        structlog.stdlib.filter_by_level,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def native_over_standard(level):
    """Configure structlog's own filtering where `logging` would let everything pass."""
    return configured(
        structlog.stdlib.filter_by_level,
        level=level,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


@pytest.fixture
def lookups(monkeypatch):
    """The loggers that were asked for, one entry each."""
    asked = []
    get_logger = structlog.get_logger

    def counting(*args, **kwargs):
        asked.append(args)
        return get_logger(*args, **kwargs)

    monkeypatch.setattr(structlog, "get_logger", counting)
    return asked


@pytest.mark.parametrize(
    ("level", "written"),
    [
        (logging.DEBUG, NAMES),
        (logging.INFO, NAMES),
        (logging.WARNING, ["job.refused", "job.hook_failed"]),
        (logging.ERROR, ["job.hook_failed"]),
        (logging.CRITICAL, []),
    ],
)
@pytest.mark.parametrize("configure", [native, standard, native_over_standard])
def test_where_a_level_is_off_nothing_is_built(configure, level, written, lookups, caplog):
    """No logger is made and no processor runs for an event that would come to nothing."""
    lowest = logging.DEBUG if configure is native_over_standard else level
    ran = []

    def first(logger, method, event):
        ran.append(event["event"])
        return event

    with caplog.at_level(lowest, logger="jobstate"):
        sink = configure(level)
        structlog.get_config()["processors"].insert(0, first)
        happenings(name="a\nb")
    assert [event["event"] for event in sink.events] == written
    assert ran == written
    assert lookups == [("jobstate",)] * len(written)


def test_a_level_of_the_logger_above_counts(caplog):
    """The level is that of the logger as `logging` works it out, from the loggers above it."""
    sink = standard(None)
    with caplog.at_level(logging.CRITICAL):
        happenings()
    with caplog.at_level(logging.WARNING):
        happenings()
    assert [event["event"] for event in sink.events] == ["job.refused", "job.hook_failed"]


class OfOnesOwn(structlog.BoundLoggerBase):
    """A wrapper that knows no levels."""

    def __getattr__(self, method):
        """Return what logs by this method."""
        return lambda event, **fields: self._proxy_to_logger(method, event, **fields)


class Asking(structlog.stdlib.BoundLogger):
    """A wrapper that tells the level of the very logger that it wraps."""

    def is_enabled_for(self, level):
        """Return whether the logger takes events of this level."""
        return self._logger.isEnabledFor(level)


@pytest.mark.parametrize(
    "wrapper", [OfOnesOwn, structlog.BoundLogger, structlog.stdlib.BoundLogger, Asking]
)
def test_any_wrapper_will_do(wrapper, caplog):
    """Where the level cannot be told beforehand, events are left to the processors."""
    sink = configured(wrapper_class=wrapper, logger_factory=structlog.stdlib.LoggerFactory())
    happenings()
    assert [event["event"] for event in sink.events] == NAMES
    assert caplog.records == []


def test_events_can_be_handed_on_to_logging(caplog):
    """As a logger of `logging`, it is called jobstate, and levels are the same."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.JSONRenderer(default=repr),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    with caplog.at_level(logging.INFO, logger="jobstate"):
        happenings()
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("jobstate", level) for level in ("WARNING", "INFO", "INFO", "ERROR")
    ]


# --- configuration --------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [False, True])
def test_a_new_configuration_is_noticed(cache):
    """Each event goes where structlog is configured to send it at that moment."""
    job = Job("j1")
    first = configured(cache_logger_on_first_use=cache)
    job.start_nowait()
    second = configured(cache_logger_on_first_use=cache)
    job.retry_nowait("jam")
    silent = configured(cache_logger_on_first_use=cache, level=logging.ERROR)
    job.start_nowait()
    third = configured(cache_logger_on_first_use=cache)
    job.succeed_nowait()
    heard = [[event["version"] for event in sink.events] for sink in (first, second, silent, third)]
    assert heard == [[1], [2], [], [4]]


def test_a_broken_configuration_steers_no_job(caplog):
    """A processor that raises is reported through `logging`; the job moves all the same."""

    def broken(logger, method, event):
        raise ValueError("no such field")

    configured(broken)
    job = happenings()
    assert (job.status, job.version) == (JobStatus.SUCCESS, 2)
    assert [record.name for record in caplog.records] == ["jobstate"] * 4
    assert {str(record.exc_info[1]) for record in caplog.records} == {"no such field"}


# --- context variables ----------------------------------------------------------------------


def deriving(told):
    """Return a lifecycle whose hooks tell which context variables they see."""
    lifecycle = JOB_LIFECYCLE.derive("telling")

    @lifecycle.guard("start")
    async def may_start(event):
        await anyio.lowlevel.checkpoint()
        told.append(("guard", get_contextvars()))
        return True

    @lifecycle.before("start")
    def before(event):
        told.append(("before", get_contextvars()))

    @lifecycle.on_enter(JobStatus.STARTED)
    async def enter(event):
        await anyio.lowlevel.checkpoint()
        told.append(("enter", get_contextvars()))

    @lifecycle.after("start")
    def after(event):
        told.append(("after", get_contextvars()))

    return lifecycle


@pytest.mark.anyio
async def test_what_the_caller_bound_is_seen_by_hooks_and_in_events():
    """Hooks run with the caller's context variables, and `merge_contextvars` finds them too."""
    told = []
    sink = configured(structlog.contextvars.merge_contextvars)
    bind_contextvars(request="r1")
    await Job(lifecycle=deriving(told)).start()
    assert told == [(slot, {"request": "r1"}) for slot in ("guard", "before", "enter", "after")]
    (event,) = sink.events
    assert event["request"] == "r1"
    assert set(event) == TRANSITION | {"request"}


@pytest.mark.anyio
async def test_refusals_and_failures_carry_what_the_caller_bound():
    """Every event has the context variables of whoever pulled the trigger."""
    sink = configured(structlog.contextvars.merge_contextvars)
    bind_contextvars(request="r1")
    happenings()
    assert [event["request"] for event in sink.events] == ["r1"] * 4


@pytest.mark.anyio
async def test_a_bound_variable_does_not_replace_a_field():
    """A context variable that is called like a field of the event leaves the field as it is."""
    sink = configured(structlog.contextvars.merge_contextvars)
    bind_contextvars(job_id="other", after="nowhere")
    await Job("j1").start()
    assert [(event["job_id"], event["after"]) for event in sink.events] == [("j1", "STARTED")]


@pytest.mark.anyio
async def test_callers_that_wait_their_turn_keep_their_own_variables():
    """Of several triggers in line, each is told with what its own caller bound."""
    sink = configured(structlog.contextvars.merge_contextvars)
    lifecycle = JOB_LIFECYCLE.derive("gated")
    gate = anyio.Event()
    told = []

    @lifecycle.before("*")
    async def before(event):
        await gate.wait()
        told.append((event.trigger, get_contextvars()))

    @lifecycle.after("*")
    async def after(event):
        await anyio.lowlevel.checkpoint()
        told.append((event.trigger, get_contextvars()))

    job = Job("j1", lifecycle=lifecycle)

    async def move(trigger, request):
        bind_contextvars(request=request)
        await job.trigger(trigger)

    line = [("start", "r1"), ("requeue", "r2"), ("start", "r3")]
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for trigger, request in line:
                tasks.start_soon(move, trigger, request)
                await anyio.wait_all_tasks_blocked()
            gate.set()
    assert [(event["trigger"], event["request"]) for event in sink.events] == line
    assert told == [(trigger, {"request": request}) for trigger, request in line for _ in "ba"]


@pytest.mark.anyio
async def test_what_a_hook_binds_is_in_the_events_that_follow():
    """A variable bound in a hook is seen by later hooks, by the caller and in later events."""
    sink = configured(structlog.contextvars.merge_contextvars)
    lifecycle = JOB_LIFECYCLE.derive("binding")

    @lifecycle.before("start")
    async def leave(event):
        bind_contextvars(worker="w1")

    @lifecycle.on_enter(JobStatus.STARTED)
    async def enter(event):
        bind_contextvars(host="h1")
        await anyio.lowlevel.checkpoint()

    job = Job("j1", lifecycle=lifecycle)
    await job.start()
    await job.succeed()
    assert get_contextvars() == {"worker": "w1", "host": "h1"}
    assert [(event["worker"], event.get("host")) for event in sink.events] == [
        ("w1", None),
        ("w1", "h1"),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the only one that such a logger knows
async def test_a_logger_with_async_methods_loses_nothing():
    """Hooks and commits do not wait for a log, so the synchronous logger inside is used."""
    sink = configured(wrapper_class=structlog.stdlib.AsyncBoundLogger)
    happenings()
    assert [event["event"] for event in sink.events] == NAMES
