"""A job seen from inside its work: `current_job`."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any

from ._arguments import checked_info, checked_progress
from ._errors import ReportRefused
from ._loop import call_soon, home
from ._run_errors import NoCurrentJob, StopRequested
from ._status import JobStatus


class CurrentJob(ABC):
    """The job whose work is running, as the work sees it; the same in tasks, threads, processes.

    Attributes:
        id: the job's.
        name: the job's.
        attempt: which attempt at it this is, from 1 on.
        max_attempts: after how many it is given up; ``None`` means never.
        info: what was known about the job when the attempt began.
    """

    def __init__(
        self,
        id: str,
        name: str,
        attempt: int,
        max_attempts: int | None,
        info: Mapping[str, Any],
    ) -> None:
        self.id, self.name = id, name
        self.attempt, self.max_attempts = attempt, max_attempts
        self.info = info

    def report(
        self, progress: float | None = None, *, info: Mapping[str, Any] | None = None
    ) -> None:
        """Tell how far the attempt has come, from whichever thread or process it runs in.

        It never waits: of several reports in a hurry, the newest is told. It is ignored where the
        job is paused or the like.

        Args:
            progress: percent, 0 to 100; left as it is if not given.
            info: added to what is known about the job.

        Raises:
            ReportRefused: *progress* is no number from 0 to 100, or the attempt is over.
            BadArgument: *info* is no mapping.
        """
        percent = checked_progress(self.id, JobStatus.STARTED, progress)
        self._tell(percent, {} if info is None else checked_info(self.id, "report", info))

    def check(self) -> None:
        """Return, unless somebody has asked for the work to stop.

        For plain functions, which nothing can interrupt from outside: call it now and then.

        Raises:
            StopRequested: somebody has. Let it end the work.
        """
        if self.stop_requested:
            raise StopRequested(self.id, self.stop_reason)

    @property
    def log(self) -> Any:
        """A logger of structlog that is bound to the job's id, its name and the attempt."""
        from .observability.structlog import bound_logger

        return bound_logger(job_id=self.id, name=self.name, attempt=self.attempt)

    @property
    @abstractmethod
    def stop_requested(self) -> bool:
        """Whether somebody has asked for the work to stop."""

    @property
    @abstractmethod
    def stop_reason(self) -> str:
        """Why the work is to stop; empty where it is not, or no reason was given."""

    @abstractmethod
    def _tell(self, progress: float | None, info: Mapping[str, Any]) -> None:
        """Carry a report to the job."""


_current: ContextVar[CurrentJob] = ContextVar("jobstate.current_job")


def current_job() -> CurrentJob:
    """Return the job that the running code is the work of.

    Raises:
        NoCurrentJob: it is not the work of any.
    """
    try:
        return _current.get()
    except LookupError:
        raise NoCurrentJob from None


def make_current(attempt: CurrentJob) -> Token[CurrentJob]:
    """Have `current_job` answer so, in this context and all that are copied from it."""
    return _current.set(attempt)


class Attempt(CurrentJob):
    """One attempt at the work of a job, as those see it who run the work.

    It may be used from any thread of the process in which its job lives.
    """

    def __init__(
        self,
        id: str,
        name: str,
        attempt: int,
        max_attempts: int | None,
        info: Mapping[str, Any],
        *,
        tell: Callable[[float | None, Mapping[str, Any]], None],
    ) -> None:
        super().__init__(id, name, attempt, max_attempts, info)
        self._told = tell
        """Reports to the job, in its own event loop."""

        self._home = home()
        self._lock = threading.Lock()
        self._progress: float | None = None
        self._info: dict[str, Any] = {}
        self._on_its_way = False
        """Something in another thread has reported, and the loop has not yet heard of it."""

        self._over = False
        self._ask: list[Callable[[], object]] = []
        self._force: list[Callable[[], object]] = []
        self._reason: str | None = None
        self._forced = False

    # --- reports ---

    def _tell(self, progress: float | None, info: Mapping[str, Any]) -> None:
        if self._over:
            raise ReportRefused(self.id, JobStatus.STARTED, "this attempt is over")
        if home() is self._home:
            self.deliver()
            self._told(progress, info)
            return
        with self._lock:
            if progress is not None:
                self._progress = progress
            self._info.update(info)
            on_its_way, self._on_its_way = self._on_its_way, True
        if not on_its_way:
            call_soon(self._home, self.deliver)

    def deliver(self) -> None:
        """Hand what other threads have reported to the job; called in the job's event loop."""
        with self._lock:
            progress, info, waiting = self._progress, self._info, self._on_its_way
            self._progress, self._info, self._on_its_way = None, {}, False
        if waiting and not self._over:
            self._told(progress, info)

    def close(self) -> None:
        """Hear that the attempt is over: what is reported from now on is refused."""
        self.deliver()
        self._over = True

    # --- stopping ---

    def when_stopped(
        self, ask: Callable[[], object], force: Callable[[], object] | None = None
    ) -> None:
        """Say how the work is stopped, for an executor.

        Args:
            ask: called, in the job's event loop, once the work is to stop; at once if it is
                already. It returns at once: whether the work has stopped is told by the executor's
                returning.
            force: called where the work has not stopped when its time of grace is over, or
                nobody wants to wait for that. Without one, the work cannot be forced.
        """
        self._ask.append(ask)
        if force is not None:
            self._force.append(force)
        if self._reason is not None:
            _call(ask)
        if self._forced and force is not None:
            _call(force)

    @property
    def stop_requested(self) -> bool:
        """Whether somebody has asked for the work to stop."""
        return self._reason is not None

    @property
    def stop_reason(self) -> str:
        """Why the work is to stop; empty where it is not, or no reason was given."""
        return self._reason or ""

    def ask_to_stop(self, reason: str) -> None:
        """Ask for the work to stop; once is enough."""
        if self._reason is None:
            self._reason = reason
            for ask in self._ask:
                _call(ask)

    def force_to_stop(self) -> bool:
        """End the work by force; return whether there is any way to do so."""
        self._forced = True
        for force in self._force:
            _call(force)
        return bool(self._force)


def _call(callback: Callable[[], object]) -> None:
    """Call what an executor has left; what it raises must not reach the job that is moving."""
    try:
        callback()
    except Exception:
        logging.getLogger("jobstate").exception("%r failed to stop some work", callback)
