"""Whether an attempt that failed is followed by another one, and when."""

from __future__ import annotations

from random import Random

import pytest

from jobstate import Retry


class Certain(Random):
    """Dice that always fall the same way."""

    def __init__(self, face):
        super().__init__()
        self.face = face

    def random(self):
        return self.face


def test_the_waits_grow_up_to_the_longest():
    """Each is longer than the one before by the factor, and none is longer than the longest."""
    retry = Retry(attempts=None, first_delay=0.5, factor=3, max_delay=10)
    assert [retry.delay(n, Certain(0)) for n in (1, 2, 3, 4, 5)] == [0.5, 1.5, 4.5, 10, 10]


def test_a_part_of_each_wait_is_left_out_at_random():
    """The jitter says how much of a wait may be left out."""
    retry = Retry(first_delay=8, jitter=0.25)
    assert retry.delay(1, Certain(0)) == 8
    assert retry.delay(1, Certain(1)) == 6
    assert Retry(first_delay=8, jitter=0).delay(1, Certain(1)) == 8
    drawn = {retry.delay(1, Random(seed)) for seed in range(100)}
    assert len(drawn) == 100
    assert all(6 <= seconds <= 8 for seconds in drawn)


def test_the_thousandth_wait_can_be_told():
    """However large the factor grows, the wait is the longest there is."""
    assert Retry(attempts=None, factor=10.0).delay(10_000, Certain(0)) == 60


@pytest.mark.parametrize(
    ("on", "error", "wanted"),
    [
        (Exception, ValueError(), True),
        (OSError, ConnectionError(), True),
        (OSError, ValueError(), False),
        ((OSError, KeyError), KeyError(), True),
        ((), ValueError(), False),
        (lambda error: "busy" in str(error), OSError("busy"), True),
        (lambda error: "busy" in str(error), OSError("gone"), False),
    ],
)
def test_errors_that_are_worth_another_attempt(on, error, wanted):
    """They are told by their types, or by a function."""
    assert Retry(on=on).wants(error) is wanted


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("attempts", 0),
        ("attempts", 1.5),
        ("attempts", True),
        ("first_delay", -1),
        ("first_delay", float("nan")),
        ("first_delay", "1"),
        ("factor", 0.9),
        ("factor", float("inf")),
        ("max_delay", -0.1),
        ("max_delay", None),
        ("jitter", -0.1),
        ("jitter", 1.1),
    ],
)
def test_numbers_that_make_no_sense_are_refused(option, wrong):
    """The error names the option, what was given, and what is possible."""
    with pytest.raises(ValueError, match=option) as caught:
        Retry(**{option: wrong})
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", [int, "OSError", (OSError, int), [OSError], BaseException, None])
def test_what_tells_no_errors_is_refused(wrong):
    """Errors are told by types of exceptions, or by a function."""
    with pytest.raises(TypeError, match="on="):
        Retry(on=wrong)
