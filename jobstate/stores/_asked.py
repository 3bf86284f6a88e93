"""What is asked of a store, looked at before anything is done."""

from __future__ import annotations

from collections.abc import Collection
from math import isnan
from operator import index
from typing import get_args

from .._codec import encoded, job_id_of
from .._errors import BadArgument
from .._portable import named
from .._stored import Entry, Record

_LAST = 2**63 - 1
"""The highest position, or version, that any store can count to."""


def text_of(record: Record, kind: type[Record], asked: str) -> str:
    """Return a record of a kind as JSON; *asked* is what errors say was asked.

    Raises:
        BadArgument: it is of another kind.
        Unstorable: something in it is no JSON, or too much.
    """
    if not isinstance(record, kind):
        job_id = job_id_of(record) if isinstance(record, get_args(Record)) else "unknown"
        problem = f"{kind.__name__} is due, and not {type(record).__name__}"
        raise BadArgument(job_id, asked, problem)
    return encoded(record)


def check_follows(entry: Entry, expected: int) -> None:
    """Return if a transition is the one after a version.

    Raises:
        BadArgument: it is not; to write it would leave a gap.
        TypeError: a version is a whole number.
    """
    version = entry.transition.version
    if version != index(expected) + 1:
        problem = f"after version {expected} comes no version {version}"
        raise BadArgument(entry.transition.job_id, "append()", problem)


def check_source(entry: Entry, status: str) -> None:
    """Return if a transition begins in the status in which its job is.

    Raises:
        BadArgument: it does not; so nobody has seen the job make it.
    """
    step = entry.transition
    if named(step.source) != status:
        problem = f"the job is {status}, and the transition begins in {named(step.source)}"
        raise BadArgument(step.job_id, "append()", problem)


def bounded(after: int) -> int:
    """Return a position, or a version, such that it can be looked for: none is below 0.

    Raises:
        TypeError: it is no whole number.
    """
    return min(max(index(after), 0), _LAST)


def names_of(statuses: Collection[str]) -> set[str]:
    """Return the names of statuses, whatever enum they are members of.

    Raises:
        TypeError: it is one text, and no collection of them.
    """
    if isinstance(statuses, str):
        raise TypeError(f"statuses are several names, as in [{statuses!r}], and not one text")
    return {named(status) for status in statuses}


def pruned_before(ended_before: float, keep: int) -> float:
    """Return the moment before which jobs have ended that are let go of, but for some.

    Raises:
        TypeError: these are not POSIX seconds and a number of jobs.
        ValueError: they are none that can be.
    """
    if not isinstance(ended_before, (int, float)):
        raise TypeError(f"ended_before is POSIX seconds, and not {type(ended_before).__name__}")
    try:
        moment = float(ended_before)
    except OverflowError:
        raise ValueError("ended_before is POSIX seconds, and not so many") from None
    if isnan(moment):
        raise ValueError("ended_before is POSIX seconds, and not NaN")
    if index(keep) < 0:
        raise ValueError(f"keep is how many jobs are kept, and not {keep}")
    return moment
