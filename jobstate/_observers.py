"""Who listens to every job, and how they are told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ._errors import Refused
from ._records import Transition
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
    for observer in listening:
        try:
            observer.transitioned(job, transition, job._seconds_before())
        except Exception:
            _report(observer)


def tell_refused(job: Job[Any, Any], trigger: str, error: Refused) -> None:
    """Tell of a refusal."""
    for observer in who_listens():
        try:
            observer.refused(job, trigger, error)
        except Exception:
            _report(observer)


def tell_hook_failed(job: Job[Any, Any], trigger: str, hook: str, error: BaseException) -> None:
    """Tell of a hook's failure."""
    for observer in who_listens():
        try:
            observer.hook_failed(job, trigger, hook, error)
        except Exception:
            _report(observer)


def _report(observer: Observer) -> None:
    """Report the exception being handled where it can neither be lost nor steer a job."""
    logging.getLogger("jobstate").exception("observer %r failed", observer)
