"""Every transition as a structlog event; the fields are documented and stay as they are.

Nothing is logged until the application has configured structlog: a library must not write to
somebody's standard output unasked, as an unconfigured structlog does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import structlog

from .._compile import name_of
from .._errors import Refused
from .._portable import printable
from .._records import Transition
from ..abc import Happening, Observer

if TYPE_CHECKING:
    from .._job import Job

LOGGER = "jobstate"
"""The logger's name, where structlog hands its events on to `logging`."""

_LEVELS: dict[Happening, int] = {
    "transitioned": logging.INFO,
    "refused": logging.WARNING,
    "hook_failed": logging.ERROR,
}


class StructlogObserver(Observer):
    """Writes ``job.transition``, ``job.refused`` and ``job.hook_failed``."""

    def listens(self, to: Happening) -> bool:
        """Whether structlog has been configured, and an event of that level would come out."""
        return structlog.is_configured() and _enabled(_LEVELS[to])

    def transitioned(self, job: Job[Any, Any], transition: Transition[Any], seconds: float) -> None:
        """Write ``job.transition``, at level info."""
        data: dict[str, Any] = {}
        if transition.reason:
            data["reason"] = transition.reason
        if job.info:
            data["info"] = dict(job.info)
        _logger().info(
            "job.transition",
            job_id=transition.job_id,
            name=printable(job.name),
            trigger=printable(transition.trigger),
            before=printable(name_of(transition.source)),
            after=printable(name_of(transition.dest)),
            version=transition.version,
            attempt=transition.attempt,
            seconds=seconds,
            data=data,
        )

    def refused(self, job: Job[Any, Any], trigger: str, error: Refused) -> None:
        """Write ``job.refused``, at level warning."""
        _logger().warning(
            "job.refused",
            **_asked(job, trigger),
            error=type(error).__name__,
            why=printable(str(error)),
        )

    def hook_failed(
        self, job: Job[Any, Any], trigger: str, hook: str, error: BaseException
    ) -> None:
        """Write ``job.hook_failed``, at level error, with the exception."""
        _logger().error(
            "job.hook_failed", **_asked(job, trigger), hook=printable(hook), exc_info=error
        )


def _logger() -> Any:
    """Return the logger; of one whose methods are async, the synchronous one inside of it."""
    logger = structlog.get_logger(LOGGER)
    wrapper = structlog.get_config()["wrapper_class"]
    if isinstance(wrapper, type) and issubclass(wrapper, structlog.stdlib.AsyncBoundLogger):
        return logger.bind().sync_bl
    return logger


def bound_logger(**facts: Any) -> Any:
    """Return a logger for what the work of a job has to say: one of the application's own."""
    return structlog.get_logger(LOGGER).bind(**facts)


def _asked(job: Job[Any, Any], trigger: str) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "name": printable(job.name),
        "trigger": printable(str(trigger)),
        "status": printable(name_of(job.status)),
        "version": job.version,
        "attempt": job.attempt,
    }


def _enabled(level: int) -> bool:
    """Whether an event of this level would come out anywhere: 0.3 µs, where logging takes 10."""
    config = structlog.get_config()
    by_logging = structlog.stdlib.filter_by_level in config["processors"]
    if by_logging and not logging.getLogger(LOGGER).isEnabledFor(level):
        return False
    try:
        return bool(config["wrapper_class"].is_enabled_for(None, level))
    except AttributeError:  # it cannot tell, or not without the logger that it will wrap
        return True
