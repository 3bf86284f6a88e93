"""One job, for people without an event loop.

What is read of it is read where it stands. What is asked of it is carried into its event loop, by
`Job.threadsafe`, and the answer is waited for here; a wait ends, too, where that loop does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import TIMEOUT_MAX
from typing import Any, Generic, cast

from ._arguments import number
from ._errors import BadArgument, WouldBlock
from ._job import Job
from ._loop import home
from ._records import Outcome, Snapshot, T, Transition
from ._run_errors import LoopEnded, StillRunning
from ._status import Cancellation, JobStatus
from ._threadsafe import ThreadsafeJob
from ._waiting import check_may_wait


@dataclass(frozen=True, slots=True, repr=False)
class BlockingJob(Generic[T]):
    """A job of `BlockingJobs`, to be looked at and waited for from any thread.

    What is read of it is how the job stands at that very moment. Two that stand for the same job
    are equal.
    """

    _job: Job[T, Any]

    def __repr__(self) -> str:
        return repr(self._job).replace("<Job", "<BlockingJob", 1)

    @property
    def id(self) -> str:
        """The job's id."""
        return self._job.id

    @property
    def name(self) -> str:
        """The job's name, for people."""
        return self._job.name

    @property
    def status(self) -> JobStatus:
        """Where the job stands."""
        return cast(JobStatus, self._job.status)

    @property
    def progress(self) -> float:
        """How far the present attempt has come, in percent from 0 to 100."""
        return self._job.progress

    @property
    def attempt(self) -> int:
        """How many attempts were started so far."""
        return self._job.attempt

    @property
    def info(self) -> Mapping[str, Any]:
        """What is known about the job."""
        return self._job.info

    @property
    def error_reason(self) -> str | None:
        """The type of the error that the last attempt ended with; ``None`` without one."""
        return self._job.error_reason

    @property
    def error_message(self) -> str | None:
        """What the error that the last attempt ended with said; ``None`` without one."""
        return self._job.error_message

    @property
    def history(self) -> tuple[Transition[Any], ...]:
        """Every transition so far, in order."""
        return self._job.history

    @property
    def outcome(self) -> Outcome[T, Any] | None:
        """How the job ended; ``None`` until it has."""
        return self._job.outcome

    def snapshot(self) -> Snapshot[T, Any]:
        """Return all that can be read of the job, as it stood at one moment."""
        if home() is not self._job._home:
            with suppress(LoopEnded):
                return self._job.threadsafe.snapshot().result()
        return self._job.snapshot()  # nobody else moves it meanwhile, or ever again

    def refresh(self) -> BlockingJob[T]:
        """Return the job itself, which is always fresh: for code that used to poll."""
        return self

    def wait(self, timeout: float | None = None) -> Outcome[T, Any]:
        """Return how the job ended, once it has. It never raises for how the job ended.

        Interrupted by Ctrl-C, it gives up the wait alone.

        Args:
            timeout: seconds to wait at most; the job does not notice. ``None`` means without limit.

        Raises:
            StillRunning: it had not ended by then.
            JobAbandoned, LoopEnded: nobody can tell any more how it will end.
            BadArgument: *timeout* is no number of seconds from 0 on.
            WouldBlock: this is the thread of the event loop, which would wait for itself.
        """
        seconds = number(timeout)
        if timeout is not None and (seconds is None or seconds < 0):
            problem = "a number of seconds from 0 on, or None for no limit"
            raise BadArgument(self.id, f"wait(timeout={timeout!r})", problem)
        return self.outcome or self._waited(seconds)

    def _waited(self, seconds: float | None) -> Outcome[T, Any]:
        waiting = self._from_here("waiting").completed()
        try:
            return waiting.result(None if seconds is None else min(seconds, TIMEOUT_MAX))
        except TimeoutError:
            if waiting.cancel():
                raise StillRunning(self.id, self.status, seconds or 0.0) from None
            return waiting.result()  # it has ended just now
        except LoopEnded:
            if self.outcome is None:
                check_may_wait(self._job)  # says more, of a job that was abandoned
                raise
            return self.outcome
        finally:
            waiting.cancel()

    def result(self, timeout: float | None = None) -> T:
        """Return what the work gave, once it has; see `wait`.

        Raises:
            JobFailed, JobRevoked: it gave nothing.
            StillRunning, JobAbandoned, LoopEnded, BadArgument, WouldBlock: as `wait` raises them.
        """
        return self.wait(timeout).value()

    def cancel(self, reason: str = "") -> Cancellation:
        """Ask for the work to stop, and return what came of it; see `Job.cancel`.

        Interrupted by Ctrl-C, it takes nothing back.

        Raises:
            GuardRefused, TransitionRefused, HookFailed: as `Job.cancel` raises them.
            LoopEnded: the block was left, and nobody can tell how the job will end.
            WouldBlock: this is the thread of the event loop, which would wait for itself.
        """
        if self.outcome is not None:
            return Cancellation.TOO_LATE
        return self._from_here("cancelling").cancel(reason).result()

    def _from_here(self, asked: str) -> ThreadsafeJob[T, Any]:
        if home() is self._job._home:
            why = "this is the event loop's own thread, which would wait for itself"
            raise WouldBlock(self.id, asked, why)
        return self._job.threadsafe
