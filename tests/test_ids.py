"""An id can be put into a subject, a channel or a path as it is, and none is given twice."""

from __future__ import annotations

import os
import pickle
import re
import sys
import threading
import warnings
from pathlib import PurePosixPath
from urllib.parse import quote

import pytest

from jobstate import InvalidJobId, Job, JobStateError, JobStatus
from jobstate._ids import checked_id, new_id

LONGEST = 128


@pytest.mark.parametrize(
    "job_id",
    [
        "a",
        "0",
        "-",
        "_",
        "--help",
        "nightly-report_2026",
        "AZaz09_-",
        "None",
        "x" * LONGEST,
        JobStatus.PENDING,
    ],
)
def test_allowed(job_id):
    """1 to 128 ASCII letters, digits, underscores and hyphens name a job, unchanged."""
    assert checked_id(job_id) is job_id
    job = Job(job_id)
    assert job.id is job_id
    assert quote(job.id, safe="") == str(job.id)
    assert PurePosixPath("jobs", job.id).name == str(job.id)


@pytest.mark.parametrize(
    "job_id",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * (LONGEST + 1), id="129 characters"),
        pytest.param("x" * 10_000_000, id="huge"),
        pytest.param(" ", id="space"),
        pytest.param("a b", id="space inside"),
        pytest.param(" a", id="space before"),
        pytest.param("a ", id="space after"),
        pytest.param("a\n", id="newline at the end"),
        pytest.param("a\r\n", id="line end of Windows"),
        pytest.param("\na", id="newline at the beginning"),
        pytest.param("a\0", id="null character"),
        pytest.param("\N{ARABIC-INDIC DIGIT ONE}", id="digit of another script"),
        pytest.param("\N{FULLWIDTH DIGIT ONE}", id="wide digit"),
        pytest.param("\N{SUPERSCRIPT TWO}", id="superscript digit"),
        pytest.param("\N{LATIN SMALL LETTER E WITH ACUTE}", id="letter with an accent"),
        pytest.param("\N{KELVIN SIGN}", id="sign that lowers to k"),
        pytest.param("a\N{ZERO WIDTH JOINER}b", id="invisible character"),
        pytest.param(".", id="this folder"),
        pytest.param("..", id="folder above"),
        pytest.param("../etc", id="path out"),
        pytest.param("a/b", id="path"),
        pytest.param("a\\b", id="path of Windows"),
        pytest.param("a.b", id="dot: a level of a subject"),
        pytest.param("*", id="wildcard"),
        pytest.param(">", id="wildcard of NATS"),
        pytest.param("a:b", id="colon"),
        pytest.param("%61", id="percent sign"),
        pytest.param("'", id="quote"),
        pytest.param('"', id="double quote"),
        pytest.param("`a`", id="backquote"),
        pytest.param("a;DROP", id="semicolon"),
        pytest.param(b"a", id="bytes"),
        pytest.param(bytearray(b"a"), id="bytearray"),
        pytest.param(0, id="zero"),
        pytest.param(17, id="int"),
        pytest.param(1.5, id="float"),
        pytest.param(True, id="bool"),
        pytest.param(False, id="false"),
        pytest.param(("a",), id="tuple"),
        pytest.param(["a"], id="list"),
        pytest.param(object(), id="object"),
    ],
)
def test_refused(job_id):
    """Anything else is refused, as an error of this package and as a ValueError."""
    with pytest.raises(InvalidJobId) as caught:
        Job(job_id)
    assert isinstance(caught.value, JobStateError)
    assert isinstance(caught.value, ValueError)
    assert caught.value.job_id is job_id


def test_none_is_no_id():
    """`checked_id` takes None for no id, while `Job` takes it as a wish for a new one."""
    with pytest.raises(InvalidJobId):
        checked_id(None)
    assert re.fullmatch("[0-9a-f]{32}", Job(None).id)


def test_the_error_says_what_is_allowed():
    """The sentence shows what was given, control characters escaped, and what is allowed."""
    with pytest.raises(InvalidJobId) as caught:
        Job("a\n")
    assert str(caught.value) == (
        r"'a\n' cannot name a job: use 1 to 128 ASCII letters, digits, '_' and '-'"
    )
    restored = pickle.loads(pickle.dumps(caught.value))
    assert (restored.job_id, str(restored)) == ("a\n", str(caught.value))


@pytest.mark.parametrize("length", [LONGEST + 1, 1_000_000])
def test_the_error_about_a_long_text_is_short_and_tells_its_length(length):
    """A text that is too long is cut in the sentence, which tells how long the text is."""
    with pytest.raises(InvalidJobId) as caught:
        Job("x" * length)
    assert len(str(caught.value)) < 200
    assert f"({length} characters)" in str(caught.value)


def test_a_new_id_is_allowed_and_random():
    """An id that nobody gave is 32 hexadecimal digits and may name a job."""
    job = Job()
    assert re.fullmatch("[0-9a-f]{32}", job.id)
    assert checked_id(job.id) == job.id


def test_new_ids_differ():
    """Of 100,000 new ids no two are the same."""
    assert len({new_id() for _ in range(100_000)}) == 100_000


def test_new_ids_differ_between_threads():
    """Threads that draw ids at the same time are never given the same one."""
    drawn: list[list[str]] = [[] for _ in range(4)]
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(
                target=lambda ids: ids.extend(new_id() for _ in range(5_000)), args=[d]
            )
            for d in drawn
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switching)
    assert len(set().union(*drawn)) == 20_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_does_not_repeat_the_ids_of_its_parent():
    """A child draws ids of its own, though it was forked in the middle of a batch."""
    new_id()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests may have left threads
        child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writing, "w") as pipe:
                pipe.write(" ".join(new_id() for _ in range(300)))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        theirs = pipe.read().split()
    os.waitpid(child, 0)
    ours = [new_id() for _ in range(300)]
    assert len(theirs) == 300
    assert not set(theirs) & set(ours)
