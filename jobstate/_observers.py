"""Who listens to every job, and how they are told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ._errors import Refused
from ._records import Transition
from ._turn import Turn
from .abc import Observer

if TYPE_CHECKING:
    from ._job import Job

observers: list[Observer] = []
"""Told from a copy, because an observer may take itself off while it is told."""


def add_observer(observer: Observer) -> None:
    """Have *observer* told of what happens to any job, from now on."""
    observers.append(observer)


def remove_observer(observer: Observer) -> None:
    """Tell *observer* nothing more.

    Raises:
        ValueError: it was not listening.
    """
    observers.remove(observer)


def who_listens() -> list[Observer]:
    """Return those who are to be told what happens now."""
    listening = []
    for observer in tuple(observers):
        try:
            if observer.listens():
                listening.append(observer)
        except Exception:
            _report(observer)
    return listening


def tell_transitioned(
    listening: list[Observer], job: Job[Any, Any], transition: Transition[Any]
) -> None:
    """Tell of a commit."""
    if listening:
        seconds = job._seconds_before()
        _tell(listening, job, lambda observer: observer.transitioned(job, transition, seconds))


def tell_refused(job: Job[Any, Any], trigger: str, error: Refused) -> None:
    """Tell of a refusal."""
    _tell(who_listens(), job, lambda observer: observer.refused(job, trigger, error))


def tell_hook_failed(job: Job[Any, Any], trigger: str, hook: str, error: BaseException) -> None:
    """Tell of a hook's failure."""
    _tell(who_listens(), job, lambda observer: observer.hook_failed(job, trigger, hook, error))


def _tell(listening: list[Observer], job: Job[Any, Any], tell: Callable[[Observer], None]) -> None:
    turn = cast(Turn, job._turn)
    turn.telling = True
    try:
        for observer in listening:
            try:
                tell(observer)
            except Exception:
                _report(observer)
    finally:
        turn.telling = False


def _report(observer: Observer) -> None:
    """Report the exception being handled where it can neither be lost nor steer a job."""
    logging.getLogger("jobstate").exception("observer %r failed", observer)
