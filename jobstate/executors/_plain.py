"""What all executors ask of the work that they are given, before it runs."""

from __future__ import annotations

from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

from .._portable import shown
from .._run_errors import UnsuitableWork


def work_name(function: Any) -> str:
    """Return the name of a function, or how Python shows whatever else it is."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else shown(function)


def check_callable(function: Any) -> None:
    """Raise `UnsuitableWork` for what cannot be called."""
    if not callable(function):
        raise UnsuitableWork(work_name(function), "it cannot be called")


def check_plain(function: Any) -> None:
    """Raise `UnsuitableWork` for what cannot be called, or would have to be awaited."""
    check_callable(function)
    if iscoroutinefunction(function):
        raise UnsuitableWork(work_name(function), "an async function runs as a task")
    if isasyncgenfunction(function):
        raise UnsuitableWork(work_name(function), "what it gives has yet to be iterated over")


def checked_limit(limit: object) -> int:
    """Return how many attempts an executor runs at once.

    Raises:
        ValueError: it is no integer from 1 on.
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ValueError(f"limit must be an integer from 1 on, not {limit!r}")
    return limit
