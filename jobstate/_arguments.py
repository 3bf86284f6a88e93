"""What the arguments of a trigger leave on the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from traceback import format_exception
from types import MappingProxyType
from typing import Any

from ._errors import BadArgument, ReportRefused
from ._records import ErrorInfo
from ._status import RevokeCause


class _Unset:
    def __repr__(self) -> str:
        return "None"  # what comes of it, in the signatures of the documentation


UNSET: Any = _Unset()
"""Stands for a result that was not given, since ``None`` is a result too."""

_FIRST_ARGUMENT = {"succeed": "result", "fail": "error", "retry": "error", "revoke": "reason"}


@dataclass(frozen=True, slots=True)
class Effects:
    """What a job remembers of the trigger that moved it."""

    result: Any = UNSET
    error: ErrorInfo | None = None
    reason: str = ""
    cause: RevokeCause | None = None
    delay: float | None = None
    extras: Mapping[str, Any] | None = None


NO_EFFECTS = Effects()
BARE_EFFECTS = {"revoke": Effects(cause=RevokeCause.USER)}
"""What triggers leave on the job that are called without arguments, unless that is nothing."""


def effects_of(job_id: str, trigger: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Effects:
    """Return what a trigger called with these arguments leaves on the job.

    ``result``, ``error``, ``reason``, ``cause``, ``delay`` and ``extras`` are remembered, of any
    trigger; everything else is for guards and hooks alone.

    Raises:
        BadArgument: one of them is of the wrong kind.
    """
    first = _FIRST_ARGUMENT.get(trigger)
    if first and args and first in kwargs:
        raise BadArgument(job_id, trigger, f"{first} was given twice")
    if first == "result" and args and not kwargs:
        return Effects(args[0])  # the way of most jobs, and the rest has nothing to say to it
    given = {first: args[0], **kwargs} if first and args else kwargs

    def refuse(name: str, wanted: str) -> BadArgument:
        return BadArgument(job_id, f"{trigger}({name}={given[name]!r})", f"{name} must be {wanted}")

    error = given.get("error")
    if isinstance(error, (BaseException, str)):
        error = error_info(error)
    elif error is not None and not isinstance(error, ErrorInfo):
        raise refuse("error", "an exception, or text")
    reason = given.get("reason", "")
    if not isinstance(reason, str):
        raise refuse("reason", "text")
    delay = given.get("delay")
    seconds = None if delay is None else number(delay)
    if delay is not None and (seconds is None or seconds < 0):
        raise refuse("delay", "a number of seconds from 0 on, or None")
    cause = given.get("cause")
    if cause is None and trigger == "revoke":
        cause = RevokeCause.USER
    try:
        cause = None if cause is None else RevokeCause(cause)
    except ValueError:
        raise refuse("cause", f"one of {', '.join(RevokeCause)}") from None
    extras = given.get("extras")
    return Effects(
        given.get("result", UNSET),
        error,
        reason or _sentence(error),
        cause,
        seconds,
        None if extras is None else checked_info(job_id, trigger, extras, "extras"),
    )


def number(value: Any) -> float | None:
    """Return a finite number as a float, read once, and ``None`` for all else; ``True`` is none."""
    kind = type(value)
    if kind is bool or not (hasattr(kind, "__float__") or hasattr(kind, "__index__")):
        return None  # text and buffers, which float() would read
    try:
        read = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return read if isfinite(read) else None


def checked_progress(job_id: str, status: Any, progress: object) -> float | None:
    """Return a report's progress in percent, ``None`` where none is given.

    Raises:
        ReportRefused: it is no number from 0 to 100.
    """
    percent = None if progress is None else number(progress)
    if progress is not None and (percent is None or not 0 <= percent <= 100):
        why = f"progress is a number of percent from 0 to 100, not {progress!r}"
        raise ReportRefused(job_id, status, why)
    return percent


def checked_info(job_id: str, asker: str, info: object, name: str = "info") -> Mapping[str, Any]:
    """Return a copy of *info* that cannot be changed.

    Raises:
        BadArgument: it is no mapping.
    """
    if not isinstance(info, Mapping):
        raise BadArgument(job_id, f"{asker}({name}={info!r})", f"{name} must be a mapping")
    return MappingProxyType(dict(info))


def checked_version(job_id: str, after: object) -> int:
    """Return *after*, if it is a version.

    Raises:
        BadArgument: it is none.
    """
    if not isinstance(after, int) or isinstance(after, bool) or after < 0:
        raise BadArgument(job_id, f"after={after!r}", "a version is a whole number from 0 on")
    return after


def error_info(error: BaseException | str) -> ErrorInfo:
    """Return an error as text."""
    if isinstance(error, str):
        return ErrorInfo("", error)
    kind = type(error)
    page = kind.__module__
    home = "" if page == "builtins" else "jobstate." if page.startswith("jobstate.") else f"{page}."
    trace = "".join(format_exception(error)) if error.__traceback__ else ""
    try:
        message = str(error)
    except Exception:
        message = "(what it says cannot be told)"
    return ErrorInfo(f"{home}{kind.__qualname__}", message, trace)


def _sentence(error: ErrorInfo | None) -> str:
    return "" if error is None else ": ".join(filter(None, (error.reason, error.message)))
