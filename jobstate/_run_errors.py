"""The errors of many jobs, and of running work as jobs: of the same family as all others."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ._errors import JobStateError, nearest
from ._portable import named

# --- many jobs ------------------------------------------------------------------------------


class JobNotFound(JobStateError, KeyError):
    """There is no job of that id here; it may never have been, or be forgotten.

    *known* are the ids that there are, unless they are many. *count* is how many jobs there are;
    ``None`` where that id is another job's by now.
    """

    def __init__(self, job_id: object, count: int | None, known: Iterable[str] = ()) -> None:
        self.job_id, self.count, self.known = job_id, count, tuple(known)
        super().__init__(job_id, count, self.known)

    def __str__(self) -> str:
        if self.count is None:
            return f"job {self.job_id!r} has been let go of, and its id is another job's by now"
        hint = nearest(str(self.job_id), self.known)
        count = "one is" if self.count == 1 else f"{self.count:,} are"
        return f"no job {self.job_id!r} is known here{hint}; {count}"


class DuplicateJob(JobStateError, ValueError):
    """Another job of that id is there already; nothing has changed."""

    def __init__(self, job_id: str, status: Any) -> None:
        self.job_id, self.status = job_id, status
        super().__init__(job_id, status)

    def __str__(self) -> str:
        return f"another job {self.job_id} is there already: it is {named(self.status)}"


class JobUnfinished(JobStateError):
    """The job has not ended, so it cannot be forgotten."""

    def __init__(self, job_id: str, status: Any) -> None:
        self.job_id, self.status = job_id, status
        super().__init__(job_id, status)

    def __str__(self) -> str:
        return f"job {self.job_id} is {named(self.status)}: it cannot be forgotten until it ends"


class JobsClosed(JobStateError):
    """The collection takes no more jobs, or none yet; nothing has changed."""

    def __init__(self, job_id: str, state: str = "was closed", request: str = "added") -> None:
        self.job_id, self.state, self.request = job_id, state, request
        super().__init__(job_id, state, request)

    def __str__(self) -> str:
        return f"job {self.job_id} cannot be {self.request}: the collection {self.state}"


class ChangesLost(JobStateError):
    """Jobs were forgotten before a slow reader had read all of their changes.

    The stream can be read on; what it yields next is gapless again.
    """

    def __init__(self, jobs: int, changes: int) -> None:
        self.jobs, self.changes = jobs, changes
        super().__init__(jobs, changes)

    def __str__(self) -> str:
        changes = "1 change" if self.changes == 1 else f"{self.changes:,} changes"
        jobs = "1 finished job" if self.jobs == 1 else f"{self.jobs:,} finished jobs"
        return f"lost {changes} of {jobs}, forgotten unread: read faster, or have more jobs kept"


# --- submitting -----------------------------------------------------------------------------


class RunnerClosed(JobStateError):
    """The runner takes no more jobs: its block was left, or not entered, or it was closed."""

    def __init__(self, asked: str, state: str) -> None:
        self.asked, self.state = asked, state
        super().__init__(asked, state)

    def __str__(self) -> str:
        return f"cannot {self.asked}: the runner {self.state}"


class UnsuitableWork(JobStateError, TypeError):
    """What was submitted cannot be run, or not like that; no job was made."""

    def __init__(self, work: str, problem: str) -> None:
        self.work, self.problem = work, problem
        super().__init__(work, problem)

    def __str__(self) -> str:
        return f"cannot run {self.work}: {self.problem}"


class ImpossibleDemand(JobStateError, ValueError):
    """The job asks for more of a resource than there is, and would wait for ever."""

    def __init__(self, resource: str, asked: float, available: float | None) -> None:
        self.resource, self.asked, self.available = resource, asked, available
        super().__init__(resource, asked, available)

    def __str__(self) -> str:
        there = (
            "there is none" if self.available is None else f"there are {self.available:g} in all"
        )
        return f"the job asks for {self.asked:g} of {self.resource!r}: {there}"


class DependencyCycle(JobStateError, ValueError):
    """The job was to come after itself."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(job_id)

    def __str__(self) -> str:
        return f"job {self.job_id} cannot come after itself"


# --- from other threads ---------------------------------------------------------------------


class LoopEnded(JobStateError):
    """The job's event loop had ended, or did before this was done; it can be moved no more."""

    def __init__(self, job_id: str, owner: str) -> None:
        self.job_id, self.owner = job_id, owner
        super().__init__(job_id, owner)

    def __str__(self) -> str:
        return f"job {self.job_id} belongs to an event loop that has ended: {self.owner}"


class NoLoopYet(JobStateError):
    """The job was made where no event loop runs, and none has used it since."""

    def __init__(self, job_id: str, owner: str) -> None:
        self.job_id, self.owner = job_id, owner
        super().__init__(job_id, owner)

    def __str__(self) -> str:
        return (
            f"job {self.job_id} belongs to {self.owner}, and to no event loop yet: there is none "
            "that could move it; make it in its event loop, or use it there first"
        )


# --- running --------------------------------------------------------------------------------


class DependencyFailed(JobStateError):
    """A job can never start, because one that it comes after did not succeed."""

    def __init__(self, job_id: str, dependency: str, status: Any, why: str) -> None:
        self.job_id, self.dependency, self.status, self.why = job_id, dependency, status, why
        super().__init__(job_id, dependency, status, why)

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"job {self.dependency}, which it comes after, is {named(self.status)}{why}"


class AttemptTimedOut(JobStateError, TimeoutError):
    """An attempt took longer than it may."""

    def __init__(self, job_id: str, attempt: int, seconds: float, left_behind: bool) -> None:
        self.job_id, self.attempt, self.seconds = job_id, attempt, seconds
        self.left_behind = left_behind
        super().__init__()
        self.args = (job_id, attempt, seconds, left_behind)  # an OSError would keep two of them

    def __str__(self) -> str:
        goes_on = "; it does not listen, and still runs" if self.left_behind else ""
        return f"attempt {self.attempt} took longer than {self.seconds:g} seconds{goes_on}"


class AttemptInterrupted(JobStateError):
    """An attempt ended with the process that ran it; what came of the work is not known."""

    def __init__(self, job_id: str, attempt: int) -> None:
        self.job_id, self.attempt = job_id, attempt
        super().__init__(job_id, attempt)

    def __str__(self) -> str:
        return f"attempt {self.attempt} was interrupted: the process that ran it has ended"


class StillRunning(JobStateError, TimeoutError):
    """The job had not ended when the time to wait for it was over; it goes on."""

    def __init__(self, job_id: str, status: Any, seconds: float) -> None:
        self.job_id, self.status, self.seconds = job_id, status, seconds
        super().__init__()
        self.args = (job_id, status, seconds)  # an OSError would keep two of them

    def __str__(self) -> str:
        return f"job {self.job_id} is {named(self.status)} after {self.seconds:g} s of waiting"


class UnsuitableResult(JobStateError, TypeError):
    """What the work gave is no result: it has yet to be awaited, or cannot leave its process."""

    def __init__(self, kind: str, problem: str) -> None:
        self.kind, self.problem = kind, problem
        super().__init__(kind, problem)

    def __str__(self) -> str:
        return f"the work gave {self.kind}: {self.problem}"


class CommandFailed(JobStateError):
    """A command ended with another exit status than those that mean success, or by a signal.

    *output* is the last that it said; ``None`` where nobody was listening.
    """

    def __init__(
        self, command: Iterable[str], exit_code: int | None, signal: str | None, output: str | None
    ) -> None:
        self.command, self.exit_code, self.signal = tuple(command), exit_code, signal
        self.output = output
        super().__init__(self.command, exit_code, signal, output)

    @property
    def extras(self) -> dict[str, Any]:
        """The exit code, the signal's name and the last output: what the job's `extras` tell."""
        return {"exit_code": self.exit_code, "signal": self.signal, "output": self.output}

    def __str__(self) -> str:
        how = f"ended by {self.signal}" if self.signal else f"exited with {self.exit_code}"
        last = (self.output or "").rstrip().rpartition("\n")[2]
        said = f"; the last that it said: {last}" if last else "; it said nothing"
        said = "" if self.output is None else said
        return f"{shlex.join(self.command)} {how}{said}"


class WorkerDied(JobStateError):
    """The process that did the work ended before the work did."""

    def __init__(self, job_id: str, how: str) -> None:
        self.job_id, self.how = job_id, how
        super().__init__(job_id, how)

    def __str__(self) -> str:
        return f"the process that worked on job {self.job_id} {self.how} before the work was done"


# --- inside the work ------------------------------------------------------------------------


class NoCurrentJob(JobStateError, LookupError):
    """`current_job` was called by code that is not the work of any job."""

    def __init__(self) -> None:
        super().__init__()

    def __str__(self) -> str:
        return (
            "this code is not the work of any job: current_job() is for what a JobRunner runs; "
            "in a thread of one's own, run it in a copy of the work's contextvars"
        )


class StopRequested(BaseException):
    """Raised inside the work by `CurrentJob.check`: somebody has asked for it to stop.

    No ``Exception``, so that ``except Exception`` in the work lets it pass. Let it end the work.
    """

    extras: Mapping[str, Any] = MappingProxyType({})
    """What the job's `extras` tell of how the work ended, if anything."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id, self.reason = job_id, reason
        super().__init__(job_id, reason)

    def __str__(self) -> str:
        return f"job {self.job_id} was asked to stop: {self.reason or 'no reason was given'}"
