"""What can be said of work when it is submitted, and what of that makes no sense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from ._arguments import number
from ._command import Command
from ._job import Job
from ._retry import Retry
from ._run_errors import UnsuitableWork
from .abc import Executor


class CommonOptions(TypedDict, total=False):
    """What can be said of any job when it is submitted; see `JobRunner.submit`."""

    name: str
    id: str | None
    retry: Retry | None
    timeout: float | None
    attempt_timeout: float | None
    priority: int
    resources: Mapping[str, int] | None
    executor: Executor | None
    info: Mapping[str, Any] | None


class SubmitOptions(CommonOptions, total=False):
    """What can be said of a job when it is submitted to a `JobRunner`."""

    after: Iterable[Job[Any, Any] | str]
    after_end: Iterable[Job[Any, Any] | str]


def check_options(function: Any, priority: Any, timeouts: Mapping[str, Any], retry: Any) -> None:
    """Raise `UnsuitableWork` where an option makes no sense."""
    problem = None
    for name, given in timeouts.items():
        seconds = None if given is None else number(given)
        if given is not None and (seconds is None or seconds <= 0):
            problem = f"{name}={given!r} must be a number of seconds above 0, or None"
    if type(priority) is not int:
        problem = f"priority={priority!r} must be a whole number"
    if retry is not None and not isinstance(retry, Retry):
        problem = f"retry={retry!r} must be a Retry, such as Retry(attempts=3)"
    if problem is not None:
        raise UnsuitableWork(work_name(function), problem)


def check_executor(executor: Any, function: Any) -> None:
    """Raise `UnsuitableWork` where an executor is none."""
    methods = all(callable(getattr(executor, name, None)) for name in ("check", "run"))
    limit = getattr(executor, "limit", 0)
    if not methods or (limit is not None and (type(limit) is not int or limit < 1)):
        problem = (
            f"executor={executor!r} must be an executor, such as runner.processes, whose limit is "
            "a whole number from 1 on, or None for no limit"
        )
        raise UnsuitableWork(work_name(function), problem)


def units_of(resources: Mapping[str, int], asker: str) -> dict[str, int]:
    """Return units by the names of resources, checked."""
    if not isinstance(resources, Mapping):
        raise TypeError(f"{asker}(resources={resources!r}): a mapping of names to units")
    for name, units in resources.items():
        if not isinstance(name, str) or type(units) is not int or units < 0:
            raise ValueError(f"{asker}(resources={resources!r}): whole numbers of units, by name")
    return dict(resources)


def work_name(function: Any) -> str:
    """Return what people call some work: the name of a function, or a command line."""
    if isinstance(function, Command):
        return str(function)
    inner = function
    while hasattr(inner, "func"):
        inner = inner.func  # of a partial
    return getattr(inner, "__qualname__", None) or (
        type(inner).__qualname__ if callable(inner) else repr(function)
    )
