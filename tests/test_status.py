"""The statuses are the reference's: equal to their names, final or not, and explained."""

from __future__ import annotations

import ast
import inspect
import json
import pickle

import pytest

from jobstate import JOB_LIFECYCLE, JobStatus, RevokeCause

FINAL = {"SUCCESS", "FAILURE", "REVOKED"}


def test_the_statuses_are_those_of_the_reference():
    """There are the six statuses of Fiddler and Celery, in the reference's order."""
    names = ["PENDING", "STARTED", "SUCCESS", "FAILURE", "RETRY", "REVOKED"]
    assert [status.name for status in JobStatus] == names


def test_the_causes_of_a_revoke():
    """A job is revoked on behalf of a user, or for one of four reasons that are not a user's."""
    assert [cause.name for cause in RevokeCause] == [
        "USER",
        "TIMEOUT",
        "SHUTDOWN",
        "RESOURCES",
        "ADMIN",
    ]


@pytest.mark.parametrize("member", [*JobStatus, *RevokeCause])
def test_each_equals_its_own_name(member):
    """A status is text: it equals, prints, formats, hashes and serialises as its name."""
    name = member.name
    assert isinstance(member, str)
    assert member == name == member.value == str(member) == f"{member}"
    assert {name: 1}[member] == 1
    assert json.loads(json.dumps({member: member})) == {name: name}


@pytest.mark.parametrize("member", [*JobStatus, *RevokeCause])
def test_each_is_found_by_its_name_and_pickles_to_itself(member):
    """What was written down as text is read back as the very member."""
    assert type(member)(member.name) is member
    assert pickle.loads(pickle.dumps(member)) is member


@pytest.mark.parametrize("status", JobStatus)
def test_is_terminal_tells_the_final_statuses(status):
    """SUCCESS, FAILURE and REVOKED are final, and the default lifecycle agrees."""
    assert status.is_terminal is (status.name in FINAL)
    assert status.is_terminal is (status in JOB_LIFECYCLE.final)


def test_is_terminal_cannot_be_set():
    """Whether a status is final is a fact, not a setting."""
    with pytest.raises(AttributeError):
        JobStatus.PENDING.is_terminal = True  # type: ignore[misc]


def test_a_status_of_another_name_is_refused():
    """A name that is no status is not taken for one: neither in other letters nor at all."""
    for name in ("pending", "PAUSED", "", "PENDING "):
        with pytest.raises(ValueError, match="is not a valid JobStatus"):
            JobStatus(name)


@pytest.mark.parametrize("enum", [JobStatus, RevokeCause])
def test_each_member_is_explained(enum):
    """Every member is followed by a sentence that says what it means."""
    (definition,) = ast.parse(inspect.getsource(enum)).body
    assert isinstance(definition, ast.ClassDef)
    explained = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(statement, ast.Assign) and isinstance(following, ast.Expr):
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            assert isinstance(following.value, ast.Constant)
            explained[target.id] = following.value.value
    assert set(explained) == set(enum.__members__)
    assert all(sentence.endswith(".") for sentence in explained.values())
    assert all(explained[name].startswith("Final: ") for name in FINAL & set(explained))
