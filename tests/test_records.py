"""What happened to a job never changes, says when in aware UTC, and can be sent anywhere."""

from __future__ import annotations

import copy
import pickle
import typing
from dataclasses import FrozenInstanceError, asdict, fields, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

import pytest

from jobstate import (
    JOB_LIFECYCLE,
    ErrorInfo,
    Job,
    JobFailed,
    JobRevoked,
    JobStatus,
    Lifecycle,
    Outcome,
    OutcomeUndeclared,
    Progress,
    RevokeCause,
    Snapshot,
    Transition,
)

CLOCK = 1_700_000_000.25
MOMENT = datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)


class Phase(Enum):
    """Statuses of one's own, which are no text."""

    OPEN = 1
    SHUT = 2


PHASES = Lifecycle(
    "phases",
    states=[Phase.OPEN, {"name": Phase.SHUT, "final": True}],
    transitions=[["shut", Phase.OPEN, Phase.SHUT]],
)


def failed_job() -> Job:
    """Return a job that reported, failed an attempt with an exception, and gave up."""
    job: Job = Job("j1", name="train", info={"epoch": 1}, extras={"gpu": 2}, clock=lambda: CLOCK)
    job.start_nowait()
    job.report(40, info={"loss": 0.5})
    try:
        raise ValueError("no data")
    except ValueError as error:
        job.retry_nowait(error, delay=2)
    job.revoke_nowait("too late", cause=RevokeCause.TIMEOUT)
    return job


def progress_of(job: Job) -> Progress:
    """Return the record that a stream of the job's changes gives of its progress."""
    return job._progress_record()


def outcome(**changes: object) -> Outcome:
    """Return the outcome of a job that ended well, with some fields changed."""
    usual = Outcome(
        job_id="j1",
        name="train",
        status=JobStatus.SUCCESS,
        meaning=JobStatus.SUCCESS,
        result=7,
        error_reason=None,
        error_message=None,
        attempts=1,
        reason="",
        cause=None,
        timestamp=CLOCK,
    )
    return usual._replace(**changes)


def phase_job() -> Job:
    """Return an ended job whose statuses are members of an enum that is no text."""
    job: Job = Job("p1", lifecycle=PHASES, clock=lambda: CLOCK)
    job.trigger_nowait("shut")
    return job


RECORDS = {
    "ErrorInfo": lambda: failed_job().history[1].error,
    "Transition": lambda: failed_job().history[1],
    "Transition of one's own status": lambda: phase_job().history[0],
    "Progress": lambda: progress_of(failed_job()),
    "Progress without info": lambda: progress_of(Job("j2", clock=lambda: CLOCK)),
    "Snapshot": lambda: failed_job().snapshot(),
    "Snapshot of a new job": lambda: Job("j2", clock=lambda: CLOCK).snapshot(),
    "Snapshot of one's own status": lambda: phase_job().snapshot(),
    "Outcome": lambda: failed_job().outcome,
    "Outcome of one's own status": lambda: phase_job().outcome,
}
every_record = pytest.mark.parametrize("made", RECORDS.values(), ids=RECORDS)


def names(record: object) -> tuple[str, ...]:
    """Return the names of a record's fields."""
    if isinstance(record, tuple):
        return type(record)._fields  # type: ignore[attr-defined]
    return tuple(field.name for field in fields(record))  # type: ignore[arg-type]


@every_record
def test_no_field_can_be_set_or_removed(made):
    """A record says what happened for good, and takes no field that it does not have."""
    record = made()
    for name in names(record):
        before = getattr(record, name)
        with pytest.raises((FrozenInstanceError, AttributeError)):
            setattr(record, name, None)
        with pytest.raises((FrozenInstanceError, AttributeError)):
            delattr(record, name)
        assert getattr(record, name) is before
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        record.comment = ""


@every_record
def test_a_record_has_no_dict(made):
    """A record is slotted: it costs its fields and no more."""
    assert not hasattr(made(), "__dict__")


@every_record
def test_equal_when_all_fields_are(made):
    """Two records of the same facts are equal, and one fact more makes them differ."""
    one, same = made(), made()
    assert one is not same
    assert one == same
    for name in names(one):
        changed = {name: object()}
        other = one._replace(**changed) if isinstance(one, tuple) else replace(one, **changed)
        assert other != one


@every_record
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_round_trip(made, protocol):
    """Sent to another process, a record is what it was, with a type for every field."""
    record = made()
    restored = pickle.loads(pickle.dumps(record, protocol))
    assert type(restored) is type(record)
    assert restored == record
    for name in names(record):
        assert type(getattr(restored, name)) is type(getattr(record, name))
        if isinstance(getattr(record, name), Enum):
            assert getattr(restored, name) is getattr(record, name)


@every_record
def test_copies_are_equal(made):
    """A record can be copied, shallow and deep."""
    record = made()
    assert copy.copy(record) == record
    assert copy.deepcopy(record) == record


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(outcome(), id="Outcome"),
        pytest.param(failed_job().snapshot(), id="Snapshot"),
        pytest.param(progress_of(failed_job()), id="Progress"),
        pytest.param(failed_job().history[1].error, id="ErrorInfo"),
    ],
)
def test_a_record_can_be_taken_apart(record):
    """`asdict` or `_asdict` gives every field, for whoever writes records somewhere."""
    taken = record._asdict() if isinstance(record, tuple) else asdict(record)
    assert tuple(taken) == names(record)
    assert all(taken[name] == getattr(record, name) for name in names(record))


def test_a_snapshot_shares_what_its_mappings_hold():
    """Nothing is copied in depth: what stands in `info` is the job's own."""
    rows: list[int] = []
    job = Job("j1", info={"rows": rows})
    snapshot = job.snapshot()
    assert snapshot.info is not job.info
    assert snapshot.info["rows"] is rows


@pytest.mark.parametrize("record", [ErrorInfo, Transition, Progress, Snapshot, Outcome])
def test_every_field_is_typed(record):
    """The annotations of every record can be read at run time, for tools that build on them."""
    hints = typing.get_type_hints(record)
    named = issubclass(record, tuple)
    members = record._fields if named else [field.name for field in fields(record)]
    assert set(members) <= set(hints)


@pytest.mark.parametrize("record", [Transition, Snapshot, Outcome])
def test_generic_records_can_be_subscribed(record):
    """The records that carry a type of status or result name it: ``Outcome[int]``."""
    assert typing.get_origin(record[JobStatus]) is record


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(failed_job().history[0].at, id="Transition"),
        pytest.param(progress_of(failed_job()).at, id="Progress"),
        pytest.param(failed_job().snapshot().created_at, id="Snapshot.created_at"),
        pytest.param(failed_job().snapshot().updated_at, id="Snapshot.updated_at"),
        pytest.param(failed_job().outcome.at, id="Outcome"),
    ],
)
def test_moments_are_aware_utc(moment):
    """When something happened is told as an aware datetime in UTC, to the microsecond."""
    assert moment == MOMENT
    assert moment.tzinfo is UTC
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("timestamp", "nearest"),
    [
        (1e300, datetime.max),
        (float("inf"), datetime.max),
        (1e12, datetime.max),
        (-1e12, datetime.min),
        (-1e300, datetime.min),
    ],
)
def test_a_moment_beyond_all_calendars_is_the_nearest_there_is(timestamp, nearest):
    """Whatever clock somebody had, and however long a delay is, a job can be looked at."""
    made = Transition("j1", 1, "start", JobStatus.PENDING, JobStatus.STARTED, timestamp, 1)
    assert made.at == nearest.replace(tzinfo=UTC)


def test_a_transition_tells_all_of_its_step():
    """Each field of a transition has the fact that its name and docstring say."""
    start, retried, revoked = failed_job().history
    assert start == Transition(
        job_id="j1",
        version=1,
        trigger="start",
        source=JobStatus.PENDING,
        dest=JobStatus.STARTED,
        timestamp=CLOCK,
        attempt=1,
        reason="",
        error=None,
        cause=None,
        delay=None,
        internal=False,
    )
    assert retried[:7] == ("j1", 2, "retry", JobStatus.STARTED, JobStatus.RETRY, CLOCK, 1)
    assert (retried.reason, retried.delay, retried.cause) == ("ValueError: no data", 2.0, None)
    assert retried.error is not None
    assert (retried.error.reason, retried.error.message) == ("ValueError", "no data")
    assert "test_records.py" in retried.error.traceback
    assert (revoked.reason, revoked.cause, revoked.error) == (
        "too late",
        RevokeCause.TIMEOUT,
        None,
    )


def test_a_transition_is_a_whole_named_tuple():
    """A committed transition has every field and is of the very type, as if it were called."""
    for transition in failed_job().history:
        assert type(transition) is Transition
        assert len(transition) == len(Transition._fields)
        assert Transition(**transition._asdict()) == transition
        assert transition._replace(reason="other").reason == "other"
        assert hash(transition) == hash(tuple(transition))
    assert repr(failed_job().history[0]).startswith("Transition(job_id='j1', version=1, trigger=")


def test_the_facts_of_a_plain_transition_are_enough_to_make_one():
    """What only some transitions have is left out of others: it has defaults."""
    made = Transition("j1", 1, "start", JobStatus.PENDING, JobStatus.STARTED, CLOCK, 1)
    assert made[7:] == ("", None, None, None, False)
    assert made.at == MOMENT


def test_an_internal_transition_says_so():
    """A step that neither leaves nor enters its status can be told from one that does."""
    lifecycle = JOB_LIFECYCLE.derive(
        transitions=[
            {"trigger": "beat", "source": "STARTED", "dest": None},
            {"trigger": "restart", "source": "STARTED", "dest": "="},
        ]
    )
    job = Job(lifecycle=lifecycle)
    job.start_nowait()
    assert job.trigger_nowait("beat").internal is True
    assert job.trigger_nowait("restart").internal is False


def test_error_info_keeps_no_exception():
    """An error is kept as text, so that nothing that the exception held stays alive."""
    error = failed_job().history[1].error
    assert all(type(value) is str for value in (error.reason, error.message, error.traceback))
    assert ErrorInfo("ValueError", "no data").traceback == ""


def test_the_value_of_a_success_is_its_result():
    """`value` returns the result, ``None`` where nothing was given."""
    assert outcome().value() == 7
    assert outcome(result=None).value() is None
    assert outcome(status=Phase.SHUT).value() == 7


@pytest.mark.parametrize(
    ("reason", "message", "told"),
    [
        ("ValueError", "no data", "ValueError: no data"),
        ("ValueError", "", "ValueError"),
        (None, "no data", "no data"),
        (None, None, "no reason was given"),
    ],
)
@pytest.mark.parametrize("status", [JobStatus.FAILURE, Phase.SHUT])
def test_the_value_of_a_failure_raises_job_failed(reason, message, told, status):
    """`value` raises `JobFailed` with the facts of the outcome."""
    ended = outcome(
        status=status,
        meaning=JobStatus.FAILURE,
        error_reason=reason,
        error_message=message,
        attempts=3,
    )
    with pytest.raises(JobFailed) as caught:
        ended.value()
    error = caught.value
    assert (error.job_id, error.status, error.attempts) == ("j1", status, 3)
    assert (error.error_reason, error.error_message) == (reason, message)
    assert str(error) == f"job j1 ended {status.name} after 3 attempts: {told}"


@pytest.mark.parametrize("status", [JobStatus.REVOKED, Phase.SHUT])
def test_the_value_of_a_revoked_job_raises_job_revoked(status):
    """`value` raises `JobRevoked` with the facts of the outcome."""
    ended = outcome(
        status=status, meaning=JobStatus.REVOKED, reason="too late", cause=RevokeCause.TIMEOUT
    )
    with pytest.raises(JobRevoked) as caught:
        ended.value()
    error = caught.value
    assert (error.job_id, error.status, error.attempts) == ("j1", status, 1)
    assert (error.reason, error.cause) == ("too late", RevokeCause.TIMEOUT)
    assert str(error) == f"job j1 ended {status.name} by TIMEOUT: too late"


def test_the_value_of_an_undeclared_end_raises_outcome_undeclared():
    """`value` does not guess what a final status of one's own means, and names the remedy."""
    with pytest.raises(OutcomeUndeclared) as caught:
        outcome(status=Phase.SHUT, meaning=None).value()
    assert (caught.value.job_id, caught.value.status) == ("j1", Phase.SHUT)
    assert "means={'SHUT': JobStatus.SUCCESS}" in str(caught.value)
