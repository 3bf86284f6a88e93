"""Who listens to every job, and how they are told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from ._errors import Refused
from ._records import Transition
from ._turn import Turn
from .abc import Happening, Observer

if TYPE_CHECKING:
    from ._job import Job

observers: tuple[Observer, ...] = ()
"""Never changed but replaced, because an observer may take itself off while it is told."""


def add_observer(observer: Observer) -> None:
    """Have *observer* told of what happens to any job, from now on."""
    global observers
    observers = (*observers, observer)


def remove_observer(observer: Observer) -> None:
    """Tell *observer* nothing more.

    Raises:
        ValueError: it was not listening.
    """
    global observers
    others = list(observers)
    others.remove(observer)
    observers = tuple(others)


def who_listens(to: Happening) -> Sequence[Observer]:
    """Return those who are to be told of what happens now."""
    listening: list[Observer] | None = None  # made where somebody does: a fifth of the time
    for observer in observers:
        try:
            if observer.listens(to):
                listening = listening or []
                listening.append(observer)
        except Exception:
            _report(observer)
    return listening or ()


def tell_transitioned(
    listening: Sequence[Observer], job: Job[Any, Any], transition: Transition[Any]
) -> None:
    """Tell of a commit."""
    if listening:
        seconds = job._seconds_before()
        _tell(listening, job, lambda observer: observer.transitioned(job, transition, seconds))


def tell_refused(job: Job[Any, Any], trigger: str, error: Refused) -> None:
    """Tell of a refusal."""
    told = who_listens("refused")
    _tell(told, job, lambda observer: observer.refused(job, trigger, error))


def tell_hook_failed(job: Job[Any, Any], trigger: str, hook: str, error: BaseException) -> None:
    """Tell of a hook's failure."""
    told = who_listens("hook_failed")
    _tell(told, job, lambda observer: observer.hook_failed(job, trigger, hook, error))


def _tell(
    listening: Sequence[Observer], job: Job[Any, Any], tell: Callable[[Observer], None]
) -> None:
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
