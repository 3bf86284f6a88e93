"""What is asked of a store, looked at before anything is done."""

from __future__ import annotations

from collections.abc import Collection
from math import isnan
from operator import index

from .._portable import named


def names_of(statuses: Collection[str]) -> set[str]:
    """Return the names of statuses, whatever enum they are members of.

    Raises:
        TypeError: it is one text, and no collection of them.
    """
    if isinstance(statuses, str):
        raise TypeError(f"statuses are several names, as in [{statuses!r}], and not one text")
    return {named(status) for status in statuses}


def check_prune(ended_before: float, keep: int) -> None:
    """Return if jobs that ended before a moment can be let go of, but for some.

    Raises:
        TypeError: these are not POSIX seconds and a number of jobs.
        ValueError: they are none that can be.
    """
    if not isinstance(ended_before, (int, float)):
        raise TypeError(f"ended_before is POSIX seconds, and not {type(ended_before).__name__}")
    if isnan(ended_before):
        raise ValueError("ended_before is POSIX seconds, and not NaN")
    if index(keep) < 0:
        raise ValueError(f"keep is how many jobs are kept, and not {keep}")
