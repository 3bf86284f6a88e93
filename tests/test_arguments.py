"""What a trigger is called with is remembered, or refused with a word on what is wanted."""

from __future__ import annotations

from decimal import Decimal
from inspect import signature

import pytest

from jobstate import BadArgument, ErrorInfo, Job


def started(**options):
    """Return a job that is STARTED."""
    job = Job("j1", **options)
    job.start_nowait()
    return job


class Index:
    """A number as some libraries have it: no float, but one can be made of it."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Broken:
    """A number that cannot be read."""

    def __init__(self, error):
        self.error = error

    def __float__(self):
        raise self.error

    def __repr__(self):
        return "<broken>"


@pytest.mark.parametrize(
    ("trigger", "given", "sentence"),
    [
        ("fail", {"error": 7}, "job j1: fail(error=7): error must be an exception, or text"),
        ("fail", {"error": "x", "reason": 7}, "job j1: fail(reason=7): reason must be text"),
        (
            "retry",
            {"error": "x", "delay": "soon"},
            "job j1: retry(delay='soon'): delay must be a number of seconds from 0 on, or None",
        ),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(trigger, given, sentence):
    """The error shows the argument as it was given, and says what is wanted."""
    job = started()
    with pytest.raises(BadArgument) as caught:
        job.trigger_nowait(trigger, **given)
    assert str(caught.value) == sentence
    assert job.status == "STARTED"


def test_the_first_argument_may_be_given_by_name():
    """By name alone, it is no second one."""
    job = started()
    job.trigger_nowait("succeed", result=7)
    assert job.result == 7


@pytest.mark.parametrize("delay", [0, 1.5, Index(3), Decimal("0.5")])
def test_a_delay_is_whatever_a_float_can_be_made_of(delay):
    """It is read once, and recorded as a float."""
    made = started(max_attempts=2).retry_nowait("x", delay=delay)
    assert made.delay == float(delay)
    assert type(made.delay) is float


@pytest.mark.parametrize(
    "delay",
    [
        *(Broken(error) for error in (TypeError(), ValueError(), OverflowError())),
        Index(10**400),
        Decimal("sNaN"),
    ],
)
def test_a_delay_that_cannot_be_read_is_refused(delay):
    """What comes of reading it is no error of the caller's own."""
    job = started(max_attempts=2)
    with pytest.raises(BadArgument, match="delay must be a number of seconds"):
        job.retry_nowait("x", delay=delay)
    assert job.version == 1


def test_signatures_show_what_comes_of_a_missing_result():
    """The documentation says ``result=None``, though a result that was not given is told apart."""
    assert "result: 'T | None' = None" in str(signature(Job.succeed))


def test_an_error_that_was_never_raised_has_no_traceback():
    """There is only what it is and what it says."""
    made = started().fail_nowait(ValueError("no paper"))
    assert made.error == ErrorInfo("ValueError", "no paper", "")


def test_an_error_that_cannot_say_what_it_is_is_recorded_all_the_same():
    """The failure of its own text does not keep the job from failing."""

    class Mute(Exception):
        def __str__(self):
            raise OSError

    made = started().fail_nowait(Mute())
    assert made.error.message == "(what it says cannot be told)"
    assert made.error.reason.endswith("Mute")


def test_there_is_no_reason_without_an_error():
    """What a trigger is called with is none."""
    made = started().succeed_nowait(7)
    assert (made.reason, made.error) == ("", None)
