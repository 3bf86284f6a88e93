"""What can be read of a job through its whole life: each fact changes when it should."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import tracemalloc
import weakref
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

import anyio
import pytest

from jobstate import (
    JOB_LIFECYCLE,
    BadArgument,
    Entry,
    Job,
    JobStateError,
    JobStatus,
    Lifecycle,
    ReportRefused,
    RevokeCause,
    Transition,
    WouldBlock,
    WrongThread,
    add_observer,
    remove_observer,
)
from jobstate._loop import describe, home
from jobstate._standing import Group, Own
from jobstate._table import hook_callback
from jobstate._transit import run
from jobstate.abc import Observer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus

PAUSABLE = JOB_LIFECYCLE.derive(
    "pausable",
    states=["FETCHING", "PAUSED"],
    transitions=[
        ["fetch", "PENDING", "FETCHING"],
        ["start", "FETCHING", "STARTED"],
        ["pause", "STARTED", "PAUSED"],
        ["resume", "PAUSED", "STARTED"],
        ["fail", "PAUSED", "FAILURE"],
        ["retry", "PAUSED", "RETRY"],
        {"trigger": "beat", "source": "STARTED", "dest": None},
        {"trigger": "restart", "source": "STARTED", "dest": "="},
    ],
)


class Clock:
    """Tells the time to which it was turned by hand."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds

    def turn(self, seconds: float) -> None:
        """Let this many seconds pass."""
        self.seconds += seconds


def at(seconds: float) -> datetime:
    """Return the moment of a clock's time."""
    return EPOCH + timedelta(seconds=seconds)


def started(**given: object) -> Job:
    """Return a job with an attempt under way."""
    job: Job = Job(**given)  # type: ignore[arg-type]
    job.start_nowait()
    return job


def facts(job: Job) -> dict[str, object]:
    """Return everything that can be read of a job, by name."""
    names = (
        "id",
        "name",
        "status",
        "version",
        "progress",
        "attempt",
        "max_attempts",
        "result",
        "error_reason",
        "error_message",
        "info",
        "extras",
        "created_at",
        "updated_at",
        "history",
        "outcome",
        "lifecycle",
    )
    return {name: getattr(job, name) for name in names}


# --- a whole life -----------------------------------------------------------------------------


def test_a_new_job():
    """A job that was just made is PENDING at version 0, and knows only what it was given."""
    job: Job = Job("j1", name="train", max_attempts=5, clock=Clock(1000))
    assert facts(job) == {
        "id": "j1",
        "name": "train",
        "status": PENDING,
        "version": 0,
        "progress": 0.0,
        "attempt": 0,
        "max_attempts": 5,
        "result": None,
        "error_reason": None,
        "error_message": None,
        "info": {},
        "extras": {},
        "created_at": at(1000),
        "updated_at": at(1000),
        "history": (),
        "outcome": None,
        "lifecycle": JOB_LIFECYCLE,
    }
    assert job.created_at.tzinfo is UTC


def test_what_a_job_is_when_nothing_was_said():
    """Without arguments a job has a new id, no name, the default lifecycle and 3 attempts."""
    job: Job = Job()
    assert len(job.id) == 32
    assert (job.name, job.max_attempts, job.lifecycle) == ("", 3, JOB_LIFECYCLE)
    assert job.id != Job().id
    age = datetime.now(UTC) - job.created_at
    assert timedelta(0) <= age < timedelta(seconds=5)


def test_a_whole_life_that_ends_well():
    """Every fact is right after each step of a job that needs two attempts."""
    clock = Clock(1000)
    job: Job = Job("j1", name="train", info={"epoch": 1}, clock=clock)

    clock.turn(10)
    job.start_nowait()
    now = facts(job)
    assert (now["status"], now["version"], now["attempt"]) == (STARTED, 1, 1)
    assert (now["created_at"], now["updated_at"]) == (at(1000), at(1010))

    clock.turn(10)
    job.report(40, info={"loss": 0.5})
    now = facts(job)
    assert (now["progress"], now["info"]) == (40.0, {"epoch": 1, "loss": 0.5})
    assert (now["version"], now["updated_at"]) == (1, at(1020))

    clock.turn(10)
    job.retry_nowait(ValueError("no data"), delay=2)
    now = facts(job)
    assert (now["status"], now["version"], now["attempt"]) == (RETRY, 2, 1)
    assert (now["error_reason"], now["error_message"]) == ("ValueError", "no data")
    assert (now["progress"], now["updated_at"], now["outcome"]) == (40.0, at(1030), None)

    clock.turn(10)
    job.start_nowait()
    now = facts(job)
    assert (now["status"], now["version"], now["attempt"]) == (STARTED, 3, 2)
    assert (now["error_reason"], now["error_message"], now["progress"]) == (None, None, 0.0)
    assert now["info"] == {"epoch": 1, "loss": 0.5}

    clock.turn(10)
    job.succeed_nowait("model.bin")
    now = facts(job)
    assert (now["status"], now["version"], now["attempt"]) == (SUCCESS, 4, 2)
    assert (now["progress"], now["result"]) == (100.0, "model.bin")
    assert (now["created_at"], now["updated_at"]) == (at(1000), at(1050))
    assert [(t.version, t.trigger, t.at) for t in job.history] == [
        (1, "start", at(1010)),
        (2, "retry", at(1030)),
        (3, "start", at(1040)),
        (4, "succeed", at(1050)),
    ]

    outcome = job.outcome
    assert outcome is not None
    assert (outcome.job_id, outcome.name, outcome.status) == ("j1", "train", SUCCESS)
    assert (outcome.meaning, outcome.result, outcome.attempts) == (SUCCESS, "model.bin", 2)
    assert (outcome.error_reason, outcome.error_message) == (None, None)
    assert (outcome.reason, outcome.cause, outcome.at) == ("", None, at(1050))


def test_a_job_that_fails():
    """A failure keeps the progress that was made, and tells its error."""
    job = started(clock=Clock(1000))
    job.report(40)
    job.fail_nowait("no data")
    outcome = job.outcome
    assert outcome is not None
    assert (job.progress, job.result) == (40.0, None)
    assert (outcome.status, outcome.error_reason, outcome.error_message) == (
        FAILURE,
        None,
        "no data",
    )
    assert outcome.reason == "no data"
    assert outcome.attempts == 1


def test_a_job_that_fails_before_it_starts():
    """A job that could never start ended after no attempt."""
    job: Job = Job()
    job.fail_nowait(LookupError("input"))
    assert job.outcome is not None
    assert (job.outcome.status, job.outcome.attempts, job.attempt) == (FAILURE, 0, 0)


@pytest.mark.parametrize("before", [[], ["start", "retry"]])
@pytest.mark.parametrize("cause", RevokeCause)
def test_a_job_that_is_revoked(before, cause):
    """A revoked job tells why and on whose behalf, and keeps its other facts."""
    job: Job = Job()
    for trigger in before:
        job.trigger_nowait(trigger, *(["no data"] if trigger == "retry" else []))
    error = job.error_message
    job.revoke_nowait("too late", cause=cause)
    assert job.outcome is not None
    assert (job.outcome.status, job.outcome.reason, job.outcome.cause) == (
        REVOKED,
        "too late",
        cause,
    )
    assert (job.error_message, job.result) == (error, None)


def test_a_revoke_without_a_word_is_on_behalf_of_a_user():
    """``revoke()`` means ``cause=USER``, whether or not a reason is given with it."""
    silent, told = Job(), Job()
    silent.revoke_nowait()
    told.revoke_nowait("too late")
    for job in (silent, told):
        assert job.history[-1].cause is RevokeCause.USER
        assert job.outcome is not None
        assert job.outcome.cause is RevokeCause.USER


def test_a_refused_trigger_changes_no_fact():
    """What the lifecycle refuses leaves every fact as it was, the moment of change included."""
    clock = Clock(1000)
    job = started(clock=clock, max_attempts=1)
    job.report(40)
    before, snapshot = facts(job), job.snapshot()
    clock.turn(10)
    for trigger, arguments in [("start", ()), ("revoke", ("enough",)), ("nothing", ())]:
        with pytest.raises(JobStateError):
            job.trigger_nowait(trigger, *arguments)
    with pytest.raises(BadArgument):
        job.trigger_nowait("fail", 17)
    assert facts(job) == before
    assert job.snapshot() == snapshot


@pytest.mark.parametrize("name", sorted(facts(Job()).keys() - {"id", "name"}))
def test_what_changes_cannot_be_assigned(name):
    """A fact about a job changes by triggers and reports, never by assignment."""
    job: Job = Job()
    with pytest.raises(AttributeError):
        setattr(job, name, None)


def test_a_job_takes_no_attribute_of_its_own():
    """A misspelt attribute is an error, not a fact that nobody reads."""
    with pytest.raises(AttributeError):
        Job().progres = 10  # type: ignore[attr-defined]


def test_a_clock_that_goes_back_is_believed():
    """The order of a history is that of its versions, whatever the clock says."""
    clock = Clock(1000)
    job = started(clock=clock)
    clock.turn(-500)
    job.succeed_nowait()
    assert [(t.version, t.at) for t in job.history] == [(1, at(1000)), (2, at(500))]


# --- results and errors -----------------------------------------------------------------------


@pytest.mark.parametrize("result", [None, 0, "", [], False, 7])
def test_a_result_is_kept_as_it_was_given(result):
    """Any object is a result, those that are false and ``None`` included."""
    job = started()
    job.succeed_nowait(result)
    assert job.result is result
    assert job.outcome is not None
    assert job.outcome.value() is result


def test_no_result_before_success():
    """What a job gave is ``None`` until it succeeded, whatever its triggers were told."""
    job = started()
    job.trigger_nowait("retry", "no data", result="half")
    assert job.result is None


def test_no_result_on_the_way_to_a_status_without_a_meaning():
    """Only one that is final can be where the work is done."""
    job = started(lifecycle=PAUSABLE)
    job.trigger_nowait("pause", result="half")
    assert job.result is None


def test_the_result_of_an_earlier_attempt_is_not_claimed_by_a_later_one():
    """An attempt that succeeds with nothing has ``None`` for its result, not what came before."""
    job = started()
    job.trigger_nowait("retry", "no data", result="half")
    job.start_nowait()
    job.succeed_nowait(None)
    assert job.outcome is not None
    assert job.outcome.value() is None


def test_the_error_of_an_attempt_stays_until_the_next():
    """An error can be read until another attempt begins, though the job is queued again."""
    job = started()
    job.retry_nowait(KeyError("epoch"))
    job.requeue_nowait()
    assert (job.error_reason, job.error_message) == ("KeyError", "'epoch'")
    job.start_nowait()
    assert (job.error_reason, job.error_message) == (None, None)


def test_the_last_error_replaces_the_one_before():
    """After each failure the job tells that failure, and no other."""
    job = started()
    job.retry_nowait(KeyError("epoch"))
    job.fail_nowait("gave up")
    assert (job.error_reason, job.error_message) == (None, "gave up")


def test_an_error_without_a_message_has_a_reason():
    """An exception that says nothing is known by its type, its message being empty."""
    job = started()
    job.fail_nowait(TimeoutError())
    assert (job.error_reason, job.error_message) == ("TimeoutError", "")


# --- progress ---------------------------------------------------------------------------------


class NumpyLike:
    """A number as NumPy has them: no subclass of float, but it can be made one."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


def shown(value: object) -> str:
    """Return a value for the name of a test: short, and the same in each run."""
    text = repr(value)
    return type(value).__name__ if " at 0x" in text or len(text) > 30 else text


class IndexLike:
    """An integer as NumPy has them."""

    def __index__(self) -> int:
        return 50


@pytest.mark.parametrize(
    ("progress", "read"),
    [
        (0, 0.0),
        (0.0, 0.0),
        (-0.0, 0.0),
        (5e-324, 5e-324),
        (50, 50.0),
        (99.999, 99.999),
        (100, 100.0),
        (100.0, 100.0),
        (Decimal("12.5"), 12.5),
        (Fraction(1, 2), 0.5),
        (NumpyLike(12.5), 12.5),
        (IndexLike(), 50.0),
    ],
    ids=shown,
)
def test_progress_is_any_number_from_0_to_100(progress, read):
    """Progress is a number of any type, and is read as a float."""
    job = started()
    job.report(progress)
    assert job.progress == read
    assert type(job.progress) is float


@pytest.mark.parametrize(
    "progress",
    [
        *(float("nan"), float("inf"), float("-inf"), -1, -0.01, 100.01, 101, 10**400),
        *("50", "", b"50", bytearray(b"50"), True, False, 50j, [50], Decimal("NaN"), object()),
    ],
    ids=shown,
)
def test_progress_is_nothing_else(progress):
    """What is no number, not finite or out of 0 to 100 is refused, and nothing has changed."""
    clock = Clock(1000)
    job = started(clock=clock)
    job.report(40)
    before = facts(job)
    clock.turn(10)
    with pytest.raises(ReportRefused, match="progress is a number of percent from 0 to 100, not "):
        job.report(progress, info={"loss": 0.5})
    assert facts(job) == before


def test_none_leaves_progress_as_it_is():
    """A report without a number changes what is known, and when, but not the progress."""
    clock = Clock(1000)
    job = started(clock=clock)
    job.report(40)
    clock.turn(10)
    job.report(None, info={"loss": 0.5})
    assert (job.progress, job.info) == (40.0, {"loss": 0.5})
    assert job.updated_at == at(1010)
    clock.turn(10)
    job.report()
    assert (job.progress, job.updated_at) == (40.0, at(1020))


def test_progress_may_go_back():
    """A report is believed as it is: work may find out that there is more of it."""
    job = started()
    job.report(90)
    job.report(30)
    assert job.progress == 30.0


@pytest.mark.parametrize(
    ("triggers", "status"),
    [
        ([], "PENDING"),
        (["start", "succeed"], "SUCCESS"),
        (["fail"], "FAILURE"),
        (["start", "retry"], "RETRY"),
        (["start", "requeue"], "PENDING"),
        (["revoke"], "REVOKED"),
        (["start", "pause"], "PAUSED"),
        (["fetch"], "FETCHING"),
    ],
)
@pytest.mark.parametrize("report", [{}, {"progress": 50}, {"info": {"loss": 0.5}}])
def test_a_report_is_refused_where_no_attempt_runs(triggers, status, report):
    """Only a job that is STARTED can report; the refusal says so, and nothing has changed."""
    clock = Clock(1000)
    job: Job = Job(lifecycle=PAUSABLE, clock=clock)
    for trigger in triggers:
        job.trigger_nowait(trigger, *(["no data"] if trigger in ("fail", "retry") else []))
    before = facts(job)
    clock.turn(10)
    with pytest.raises(ReportRefused) as caught:
        job.report(**report)
    assert str(caught.value) == (
        f"job {job.id} is {status}: report refused: only a job that is STARTED can report"
    )
    assert facts(job) == before


def test_the_refusal_names_the_running_statuses_of_the_lifecycle():
    """The sentence names every status in which a job of this lifecycle can report."""
    lifecycle = Lifecycle(
        "mill",
        states=["idle", "grind", "sift", {"name": "done", "final": True}],
        transitions=[["go", "idle", "grind"], ["go", "grind", "sift"], ["go", "sift", "done"]],
        means={"grind": STARTED, "sift": STARTED},
    )
    with pytest.raises(ReportRefused, match=r"only a job that is grind or sift can report$"):
        Job(lifecycle=lifecycle).report(50)


def test_the_refusal_of_a_lifecycle_that_never_runs():
    """Where no status means STARTED, a report is refused all the same."""
    lifecycle = Lifecycle(
        "switch",
        states=["on", {"name": "off", "final": True}],
        transitions=[["cut", "on", "off"]],
    )
    with pytest.raises(ReportRefused, match=r"only a job that is STARTED can report$"):
        Job(lifecycle=lifecycle).report(50)


def test_a_status_of_ones_own_that_means_started_takes_reports():
    """A report goes where an attempt runs, whatever the status is called."""
    lifecycle = Lifecycle(
        "mill",
        states=["idle", "grind", {"name": "done", "final": True}],
        transitions=[["go", "idle", "grind"], ["go", "grind", "done"]],
        means={"grind": STARTED, "done": SUCCESS},
    )
    job: Job = Job(lifecycle=lifecycle)
    job.trigger_nowait("go")
    job.report(50)
    assert (job.progress, job.attempt) == (50.0, 1)
    job.trigger_nowait("go", result="flour")
    assert (job.progress, job.result) == (100.0, "flour")


# --- info and extras --------------------------------------------------------------------------


def test_reports_add_to_info():
    """What reports tell is merged into what is known, the newest value winning."""
    job = started(info={"epoch": 1, "host": "a"})
    job.report(info={"epoch": 2})
    job.report(info={})
    job.report(info=OrderedDict(loss=0.5))
    assert job.info == {"epoch": 2, "host": "a", "loss": 0.5}


@pytest.mark.parametrize("which", ["info", "extras"])
def test_info_and_extras_cannot_be_changed_from_outside(which):
    """What was read cannot be written to, and later changes of what was given do not show."""
    given = {"epoch": 1}
    job: Job = Job(**{which: given})  # type: ignore[arg-type]
    read = getattr(job, which)
    given["epoch"] = 2
    for change in (
        lambda: read.__setitem__("epoch", 3),
        lambda: read.__delitem__("epoch"),
        lambda: read.update(epoch=3),
        lambda: read.clear(),
        lambda: read.pop("epoch"),
        lambda: read.setdefault("loss", 0),
    ):
        with pytest.raises((AttributeError, TypeError)):
            change()
    with pytest.raises((AttributeError, TypeError)):
        read |= {"epoch": 3}
    assert getattr(job, which) == {"epoch": 1}


def test_what_was_read_of_info_stays_as_it_was():
    """A report replaces what is known; whoever read it before keeps what he read."""
    job = started(info={"epoch": 1})
    read, given = job.info, {"epoch": 2}
    job.report(info=given)
    given["epoch"] = 3
    assert (read, job.info) == ({"epoch": 1}, {"epoch": 2})


def test_two_jobs_share_no_info():
    """What one job reports is known of that job alone."""
    given = {"epoch": 1}
    one, other = started(info=given), started(info=given)
    one.report(info={"loss": 0.5})
    assert other.info == {"epoch": 1}
    assert Job().info == {}


def test_extras_are_what_they_were_given():
    """Reports change info alone; the extras of a job stay."""
    job = started(extras={"gpu": 2})
    job.report(50, info={"gpu": 4})
    assert (job.extras, job.info) == ({"gpu": 2}, {"gpu": 4})


@pytest.mark.parametrize("info", [[("epoch", 1)], "epoch", 17, {"epoch"}, True], ids=repr)
def test_a_report_of_info_that_is_no_mapping_is_refused(info):
    """Info is a mapping; anything else is refused, and no part of the report is kept."""
    clock = Clock(1000)
    job = started(clock=clock)
    before = facts(job)
    clock.turn(10)
    with pytest.raises(BadArgument) as caught:
        job.report(50, info=info)
    assert str(caught.value) == f"job {job.id}: report(info={info!r}): info must be a mapping"
    assert isinstance(caught.value, TypeError)
    assert facts(job) == before


# --- attempts ---------------------------------------------------------------------------------


def walk(job: Job, *triggers: str) -> Job:
    """Take a job through triggers, giving an error to those that want one."""
    for trigger in triggers:
        job.trigger_nowait(trigger, *(["no data"] if trigger in ("fail", "retry") else []))
    return job


@pytest.mark.parametrize(
    ("triggers", "attempts"),
    [
        ("start", [1]),
        ("start retry start succeed", [1, 1, 2, 2]),
        ("start requeue start", [1, 1, 2]),
        ("start retry requeue start", [1, 1, 1, 2]),
        ("fail", [0]),
        ("revoke", [0]),
        ("start pause resume succeed", [1, 1, 1, 1]),
        ("start pause resume pause resume", [1, 1, 1, 1, 1]),
        ("start pause retry start", [1, 1, 1, 2]),
        ("start pause fail", [1, 1, 1]),
        ("fetch start", [0, 1]),
        ("fetch start retry start", [0, 1, 1, 2]),
        ("start beat beat", [1, 1, 1]),
        ("start restart", [1, 1]),
    ],
)
def test_attempts_are_counted(triggers, attempts):
    """An attempt is counted when the job starts, not when it goes on, and each record tells it."""
    job = walk(Job(lifecycle=PAUSABLE), *triggers.split())
    assert [transition.attempt for transition in job.history] == attempts
    assert job.attempt == attempts[-1]


def test_a_pause_keeps_progress_and_error():
    """Going on after a pause is the same attempt, so that nothing of it is forgotten."""
    job = walk(Job(lifecycle=PAUSABLE), "start")
    job.report(40)
    job.trigger_nowait("pause", error="disk full")
    assert (job.progress, job.error_message) == (40.0, "disk full")
    walk(job, "resume")
    assert (job.progress, job.error_message) == (40.0, "disk full")


@pytest.mark.parametrize("trigger", ["beat", "restart"])
def test_a_step_that_stays_in_started_keeps_progress(trigger):
    """Neither an internal nor a reflexive transition of a running attempt begins another."""
    job = walk(Job(lifecycle=PAUSABLE), "start")
    job.report(40)
    walk(job, trigger)
    assert (job.progress, job.attempt, job.version) == (40.0, 1, 2)


def test_going_on_in_another_running_status_is_the_same_attempt():
    """Where several statuses mean STARTED, an attempt goes through them with its progress."""
    lifecycle = Lifecycle(
        "mill",
        states=["idle", "grind", "sift", {"name": "done", "final": True}],
        transitions=[["go", "idle", "grind"], ["go", "grind", "sift"], ["go", "sift", "done"]],
        means={"grind": STARTED, "sift": STARTED},
    )
    job = walk(Job(lifecycle=lifecycle), "go")
    job.report(40)
    walk(job, "go")
    assert (job.attempt, job.progress) == (1, 40.0)
    job.report(60)
    walk(job, "go")
    assert [transition.attempt for transition in job.history] == [1, 1, 1]


@pytest.mark.parametrize(("limit", "left"), [(1, False), (2, True), (None, True)])
def test_attempts_are_left_until_the_limit(limit, left):
    """A job may be started as often as it was said, and without end where ``None`` was."""
    job = started(max_attempts=limit)
    assert (job.max_attempts, job.has_attempts_left) == (limit, left)
    assert job.retry_nowait("no data").dest == (RETRY if left else FAILURE)


# --- snapshot, history, repr ------------------------------------------------------------------


@pytest.mark.parametrize("triggers", ["", "start", "start retry", "start succeed", "revoke"])
def test_a_snapshot_tells_what_the_job_tells(triggers):
    """Each field of a snapshot is what the job's attribute of that name was then."""
    job = walk(Job("j1", name="train", info={"a": 1}, extras={"b": 2}), *triggers.split())
    snapshot = job.snapshot()
    read = facts(job)
    fields = [name for name in read if name not in ("history", "outcome", "lifecycle")]
    assert {name: getattr(snapshot, name) for name in fields} == {n: read[n] for n in fields}
    assert snapshot == job.snapshot()


def test_a_snapshot_never_changes():
    """A snapshot stays what it was, whatever becomes of the job."""
    clock = Clock(1000)
    job: Job = Job("j1", info={"epoch": 1}, clock=clock)
    before = job.snapshot()
    clock.turn(10)
    job.start_nowait()
    during = job.snapshot()
    job.report(40, info={"epoch": 2})
    job.succeed_nowait("model.bin")
    assert (before.status, before.version, before.attempt) == (PENDING, 0, 0)
    assert (before.info, before.updated_at) == ({"epoch": 1}, at(1000))
    assert (during.status, during.progress, during.result) == (STARTED, 0.0, None)
    assert (during.info, during.updated_at) == ({"epoch": 1}, at(1010))
    assert len({before.version, during.version, job.snapshot().version}) == 3


def test_history_is_a_tuple_of_all_transitions():
    """The history holds every transition in order; what was read of it does not grow."""
    job: Job = Job("j1")
    assert job.history == ()
    first = job.start_nowait()
    read = job.history
    second = job.succeed_nowait()
    assert read == (first,)
    assert job.history == (first, second)
    assert type(job.history) is tuple
    assert job.history[0] is first
    assert all(type(transition) is Transition for transition in job.history)


def test_outcome_is_there_once_final():
    """The outcome can be read when the job has ended, and is the same each time."""
    job = started()
    assert job.outcome is None
    job.succeed_nowait(7)
    assert job.outcome is not None
    assert job.outcome == job.outcome
    assert (job.outcome.job_id, job.outcome.at) == (job.id, job.updated_at)


def test_repr_says_which_job_and_how_it_stands():
    """The representation names the class, the id, the name if there is one, and the status."""

    class Training(Job):
        pass

    assert repr(Job("j1")) == "<Job j1 PENDING v0>"
    assert repr(started(id="j1", name="nightly\nrun")) == r"<Job j1 'nightly\nrun' STARTED v1>"
    assert repr(Training("j1")) == "<Training j1 PENDING v0>"


def test_a_class_of_jobs_has_a_lifecycle_of_its_own():
    """``class Mine(Job, lifecycle=…)`` gives its jobs that lifecycle, unless one is said."""

    class Pausable(Job, lifecycle=PAUSABLE):
        pass

    class Special(Pausable):
        pass

    assert Pausable().lifecycle is PAUSABLE
    assert Special().lifecycle is PAUSABLE
    assert Special(lifecycle=JOB_LIFECYCLE).lifecycle is JOB_LIFECYCLE
    assert Job().lifecycle is JOB_LIFECYCLE


# --- what a job is as an object ---------------------------------------------------------------


@pytest.mark.parametrize("make", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_job_cannot_be_pickled_or_copied(make):
    """Two objects for one job would disagree: the refusal names its snapshot instead."""
    job: Job = Job("j1")
    with pytest.raises(TypeError) as caught:
        make(job)
    assert str(caught.value) == "job j1 cannot be pickled or copied; take its snapshot()"


def test_a_job_can_be_referred_to_weakly_and_goes_when_dropped():
    """A job that nobody holds is gone at once: it is part of no cycle, finished or not."""
    for triggers in ([], ["start"], ["start", "succeed"], ["fail"]):
        gc.disable()
        try:
            job = walk(Job(), *triggers)
            job.snapshot()
            reference = weakref.ref(job)
            assert reference() is job
            del job
            assert reference() is None
        finally:
            gc.enable()


def test_a_job_is_equal_to_itself_alone():
    """A job can be kept in sets and dicts; one of the same id is another object."""
    job, same_id = Job("j1"), Job("j1")
    assert job != same_id
    assert {job: 1, same_id: 2} == {job: 1, same_id: 2}
    assert {job: 1, same_id: 2}[job] == 1


# --- bad arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": 17}, "Job(name=17): name must be text"),
        ({"name": None}, "Job(name=None): name must be text"),
        ({"name": b"train"}, "Job(name=b'train'): name must be text"),
        *(
            (
                {"max_attempts": limit},
                f"Job(max_attempts={limit!r}): "
                "it must be a whole number from 1 on, or None for no limit",
            )
            for limit in (0, -1, True, False, "3", 1.5, 3.0, float("inf"), Decimal(3))
        ),
        ({"info": [("a", 1)]}, "Job(info=[('a', 1)]): info must be a mapping"),
        ({"info": "text"}, "Job(info='text'): info must be a mapping"),
        ({"info": 17}, "Job(info=17): info must be a mapping"),
        ({"extras": ["a"]}, "Job(extras=['a']): extras must be a mapping"),
        ({"extras": False}, "Job(extras=False): extras must be a mapping"),
        (
            {"lifecycle": "train"},
            "Job(lifecycle='train'): it must be a Lifecycle; "
            "Lifecycle.from_transitions makes one of a Machine",
        ),
    ],
    ids=str,
)
def test_a_bad_argument_is_refused(given, said):
    """An argument of the wrong kind is refused, with what was given and what is wanted."""
    with pytest.raises(BadArgument) as caught:
        Job("j1", **given)
    assert str(caught.value) == f"job j1: {said}"
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("given", [{"max_attempts": 0}, {"name": 17}, {"info": 17}], ids=str)
def test_a_refused_job_leaves_its_lifecycle_open(given):
    """A lifecycle is open until its first job; one that was never made does not count."""
    lifecycle = JOB_LIFECYCLE.derive()
    with pytest.raises(BadArgument):
        Job(lifecycle=lifecycle, **given)
    lifecycle.guard("start")(lambda event: True)


@pytest.mark.parametrize("positional", [("j1", "train"), ("j1", "train", JOB_LIFECYCLE)])
def test_options_are_keyword_only(positional):
    """Only the id may be given by position."""
    with pytest.raises(TypeError):
        Job(*positional)


def test_a_mapping_of_any_kind_is_info():
    """Info may be given as any mapping."""
    assert Job(info=MappingProxyType({"a": 1})).info == {"a": 1}
    assert Job(info=OrderedDict(a=1), extras={}).info == {"a": 1}


# --- memory -----------------------------------------------------------------------------------


def ended_well() -> Job:
    """Return a job that succeeded."""
    job = started()
    job.succeed_nowait()
    return job


def ended_badly() -> Job:
    """Return a job that failed."""
    job = started()
    job.fail_nowait("no data")
    return job


def revoked() -> Job:
    """Return a job that was revoked before it started."""
    job: Job = Job()
    job.revoke_nowait("too late")
    return job


@pytest.mark.parametrize(
    ("make", "limit", "count"),
    [
        pytest.param(Job, 400, 10_000, id="idle"),
        pytest.param(ended_well, 1000, 10_000, id="succeeded"),
        pytest.param(ended_badly, 1000, 1_000, id="failed"),
        pytest.param(revoked, 1000, 1_000, id="revoked"),
    ],
)
def test_memory(make, limit, count):
    """An idle job weighs at most 400 bytes, an ended one with its history at most 1 kB."""
    make()
    jobs = [None] * count
    gc.collect()
    tracemalloc.start()
    try:
        for i in range(count):
            jobs[i] = make()
        gc.collect()
        weight, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert weight / count <= limit


def test_an_ended_job_holds_nothing_that_it_was_moved_by():
    """What moving and awaiting a job needs is there for as long as it is needed."""
    job = walk(Job(), "start", "succeed")
    assert (job._turn, job._at_end, job._at_step, job._own) == (None, None, None, None)


# --- in a transition, and where ---------------------------------------------------------------


def test_a_report_in_the_midst_of_a_transition():
    """A report is synchronous: a hook before the commit may still make one, one after may not."""
    lifecycle = JOB_LIFECYCLE.derive()
    refused = []

    @lifecycle.before("succeed")
    def last_report(event):
        event.job.report(99)
        assert event.job.progress == 99

    @lifecycle.on_enter(SUCCESS)
    def too_late(event):
        with pytest.raises(ReportRefused) as caught:
            event.job.report(99)
        refused.append(caught.value.status)

    job = started(lifecycle=lifecycle)
    job.succeed_nowait()
    assert (job.progress, refused) == (100.0, [SUCCESS])


def test_a_hook_on_one_job_is_kept_beside_that_job():
    """What few jobs have weighs on those few: other jobs have no place for it."""
    heard = []
    job: Job = Job()
    job.on(STARTED, heard.append)
    job.on("succeed", heard.append)
    walk(job, "start", "succeed")
    assert [event.trigger for event in heard] == ["start", "succeed"]
    assert job._own is not None
    assert Job()._own is None


def test_what_a_collection_has_is_shared():
    """A job in one collection costs no more; one that has something besides keeps it apart."""
    group, other = Group(), Group()
    mine, theirs, twice, alone = Job(), Job(), Job(), Job()
    for job in (mine, theirs, twice):
        job._join(group)
        job._join(group)  # once more does nothing
    twice._join(other)
    twice._join(other)
    mine.on(STARTED, print)
    assert theirs._own is group
    assert (type(mine._own), mine._own.groups) == (Own, (group,))
    assert (type(twice._own), twice._own.groups) == (Own, (group, other))
    assert (group.hooks, alone._own) == ({}, None)


def test_the_own_hooks_of_a_job_run_first():
    """After a job's own hooks come those of its collections, as it has joined them."""
    heard = []
    first, second, job = Group(), Group(), Job()
    for group in (first, second):
        job._join(group)
    for own, name in ((second, "second"), (first, "first"), (job._private(), "own")):
        for place in (("status", "STARTED"), ("trigger", "start")):
            hook = hook_callback(
                lambda event, name=name, kind=place[0]: heard.append((kind, name)), ""
            )
            own.hooks[place] = [hook]
    walk(job, "start")
    names = ["own", "first", "second"]
    assert heard == [(kind, name) for kind in ("status", "trigger") for name in names]


@pytest.mark.parametrize("what", ["journal", "worker"])
def test_what_a_job_has_of_its_own_comes_first(what):
    """A journal or worker is the job's own, or else that of the first collection with one."""
    first, second, job = Group(), Group(), Job()
    found = lambda: getattr(job, f"_{what}")  # noqa: E731
    assert found() is None
    for group in (first, second):
        job._join(group)
    assert found() is None
    for own in (second, first, job._private()):
        setattr(own, what, object())
        assert found() is getattr(own, what)


def test_a_job_without_hooks_moves_in_a_single_step(monkeypatch):
    """Being in collections, or having had hooks, makes no longer way, until there is a hook."""
    taken = []

    def longer(job, *args):
        taken.append(job)
        return run(job, *args)

    monkeypatch.setattr("jobstate._moving.run", longer)
    first, second = Group(), Group()
    grouped, twice, had = Job(), Job(), Job()
    for job in (grouped, twice):
        job._join(first)
    twice._join(second)
    registrations = [had.on(STARTED, print), had.on(STARTED, repr)]
    registrations[0].remove()
    registrations[1].remove()
    for job in (grouped, twice, had):
        walk(job, "start")
    assert taken == []
    second.hooks["trigger", "requeue"] = [hook_callback(repr, "")]
    for job in (grouped, twice, had):
        walk(job, "requeue")
    assert taken == [twice]


def test_a_job_with_a_journal_cannot_move_at_once():
    """A journal takes its time: a trigger that cannot wait is refused, and nothing has changed."""

    class Journal:
        async def append(self, entry):
            raise AssertionError("nothing was to be written")

    job: Job = Job(journal=Journal())
    before = facts(job)
    with pytest.raises(WouldBlock):
        job.start_nowait()
    assert facts(job) == before


def test_a_started_job_is_revoked_on_behalf_of_others_than_users():
    """A started job stops for a deadline or an operator, for a user where the lifecycle says so."""
    for cause in RevokeCause:
        job = started()
        assert job.can_revoke_started("enough", cause=cause) is (cause is not RevokeCause.USER)
        assert started(lifecycle=JOB_LIFECYCLE.derive(cancel_started=True)).can_revoke_started(
            cause=cause
        )
    job.revoke_nowait(cause=RevokeCause.ADMIN)
    assert job.status is REVOKED


@pytest.mark.parametrize(("turned", "told"), [(10, 10), (0, 0), (-5, 0)])
def test_an_observer_is_told_how_long_the_status_before_lasted(turned, told):
    """The seconds are those since the step before, or since the job was made; never less than 0."""
    seconds = []

    class Timing(Observer):
        def transitioned(self, job, transition, lasted):
            seconds.append(lasted)

    clock, observer = Clock(1000), Timing()
    job: Job = Job(clock=clock)
    add_observer(observer)
    try:
        for trigger in ("start", "requeue"):
            clock.turn(turned)
            walk(job, trigger)
    finally:
        remove_observer(observer)
    assert seconds == [told, told]


def test_internal_transitions_leave_no_status():
    """They count for nothing in the seconds that a status lasted, also where nobody was told."""
    lasted = []

    class Timing(Observer):
        def transitioned(self, job, transition, seconds):
            lasted.append((transition.trigger, seconds))

    lifecycle: Lifecycle = Lifecycle(
        states=["idle", "busy", "gone"],
        final=["gone"],
        transitions=[["go", "idle", "busy"], ["beat", "busy", None], ["stop", "busy", "gone"]],
    )
    clock, observer = Clock(1000), Timing()
    job: Job = Job(lifecycle=lifecycle, clock=clock)
    for trigger in ("go", "beat", None, "beat", "beat", "stop"):
        if trigger is None:
            add_observer(observer)
            continue
        clock.turn(1)
        job.trigger_nowait(trigger)
    remove_observer(observer)
    assert lasted == [("beat", 2), ("beat", 3), ("stop", 4)]


def test_a_job_made_outside_belongs_to_the_first_loop_that_uses_it():
    """A job made where no loop runs is adopted by a loop, and then refuses every other place."""
    job: Job = Job()
    job.start_nowait()
    here = describe(home())

    async def report() -> str:
        job.report(40)
        return describe(home())

    loop = anyio.run(report)
    with pytest.raises(WrongThread) as caught:
        job.report(50)
    assert (caught.value.owner, caught.value.here) == (loop, here)
    with pytest.raises(WrongThread):
        anyio.run(report, backend="trio")
    assert (job.progress, job.status) == (40.0, STARTED)


def test_a_report_from_another_thread_is_refused():
    """A job made in a thread without a loop belongs to that thread: others change nothing."""
    job = started()
    before = facts(job)
    refused = []

    def report() -> None:
        try:
            job.report(50)
        except WrongThread as error:
            refused.append(error)

    thread = threading.Thread(target=report, name="worker")
    thread.start()
    thread.join()
    assert "thread worker of process" in refused[0].here
    assert facts(job) == before


# --- the corners ------------------------------------------------------------------------------


def test_a_job_that_is_made_running_is_on_its_first_attempt():
    """Where the initial status means STARTED, the first attempt has begun with the job."""
    lifecycle = Lifecycle(
        "mill",
        states=["grind", "done"],
        final=["done"],
        transitions=[["stop", "grind", "done"]],
        means={"grind": STARTED, "done": SUCCESS},
    )
    job: Job = Job(lifecycle=lifecycle)
    assert job.attempt == 1
    job.report(50)
    assert job.trigger_nowait("stop").attempt == 1
    assert job.outcome is not None
    assert job.outcome.attempts == 1


def test_a_number_that_changes_its_mind_is_read_once():
    """What was found to be in bounds is what is recorded."""

    class Fickle:
        answers = iter([50.0, 1e9])

        def __float__(self) -> float:
            return next(self.answers)

    job = started()
    job.report(Fickle())
    assert job.progress == 50.0


def test_the_moment_of_change_does_not_go_back_to_before_a_report():
    """A report that comes while a transition is under way is not undone by its earlier moment."""
    clock = Clock(1000)

    class Slow:
        async def append(self, entry: Entry) -> None:
            if entry.transition.trigger == "beat":
                clock.turn(5)
                job.report(40)

    job: Job = Job(lifecycle=PAUSABLE, journal=Slow(), clock=clock)

    async def live() -> None:
        await job.start()
        await job.trigger("beat")

    anyio.run(live)
    assert job.history[-1].at == at(1000)
    assert job.updated_at == at(1005)


def test_a_job_moves_where_nobody_listens_to_all_jobs():
    """Without any observer a job moves as ever."""
    from jobstate._observers import observers

    listening = tuple(observers)
    for observer in listening:
        remove_observer(observer)
    try:
        job = started()
        job.succeed_nowait(7)
        assert [step.dest for step in job.history] == [STARTED, SUCCESS]
    finally:
        for observer in listening:
            add_observer(observer)


def test_reports_add_up_to_nothing():
    """However many are made, a job keeps the newest alone: the last cost no more than the first."""

    def weight(count: int) -> int:
        job = started(clock=lambda: 1000.0)
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(count):
                job.report(50, info={"loss": 0.5})
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert weight(10_000) - weight(2_000) < 1_000


# --- when the next attempt is due ---------------------------------------------------------------


def test_retry_at_is_told_while_a_job_waits_for_its_next_attempt():
    """The moment it entered RETRY, and the delay that was asked for; otherwise ``None``."""
    now = [1000.0]
    job: Job = Job(clock=lambda: now[0])
    job.start_nowait()
    assert job.retry_at is None
    now[0] = 1010
    job.retry_nowait("busy", delay=30)
    assert job.retry_at == job.snapshot().retry_at == at(1040)
    now[0] = 1050
    job.start_nowait()
    assert job.retry_at is job.snapshot().retry_at is None


def test_retry_at_without_a_delay_is_at_once():
    """Whoever asks for no delay may have the next attempt now."""
    job: Job = Job(clock=lambda: 1000.0)
    job.start_nowait()
    job.retry_nowait("busy")
    assert job.retry_at == at(1000)


def test_retry_at_of_a_job_that_begins_with_a_retry():
    """It has entered nothing, and nothing is due."""
    lifecycle = Lifecycle(
        "odd",
        states=["again", "busy", "done"],
        final=["done"],
        transitions=[
            ["start", "again", "busy"],
            ["end", "busy", "done"],
            {"trigger": "note", "source": "again", "dest": None},
            ["retry", "busy", "again"],
        ],
        means={"again": JobStatus.RETRY, "busy": JobStatus.STARTED},
    )
    job: Job = Job(lifecycle=lifecycle, clock=lambda: 1000.0)
    assert job.retry_at is None
    job.start_nowait()
    job.retry_nowait("busy", delay=5)
    job.trigger_nowait("note")  # it leaves nothing and enters nothing
    assert job.retry_at == at(1005)
