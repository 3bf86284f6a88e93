"""What a store keeps of a job: how it began, each transition, and its last progress.

A store gives each thing that it keeps a *position*, which rises with every one, whichever job it is
of. So one number says how far somebody has read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ._arguments import UNSET
from ._ids import new_id
from ._records import ErrorInfo, Progress, Snapshot, Transition, moment
from ._status import JobStatus


@dataclass(frozen=True, slots=True)
class JobRecord:
    """How a job began: what is true of it from its first moment on."""

    id: str
    timestamp: float
    """When it was made, in POSIX seconds."""

    name: str = ""
    lifecycle: str = "job"
    """The name of the lifecycle that it follows."""

    status: str = "PENDING"
    """The name of the status that it was made in."""

    max_attempts: int | None = 3
    info: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    data: Any = None
    """What whoever runs the job has to know; JSON that a store does not look into."""

    append_id: str = field(default_factory=new_id)
    """Tells this from another's attempt to write the same; see `Entry.append_id`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A transition in the journal of a job, with all that it left on the job."""

    transition: Transition[Any]
    """Its statuses are names, once it comes out of a store."""

    final: bool = False
    """Whether the job has ended with it."""

    result: Any = UNSET
    """What the work gave, where the trigger was given a result; it may be ``None``."""

    extras: Mapping[str, Any] | None = None
    """Details that were added to the job's."""

    append_id: str = field(default_factory=new_id)
    """Unique for each thing written: what is repeated with the same one was there already."""


Record: TypeAlias = JobRecord | Entry | Progress
"""One thing that a store keeps."""


class Kept(NamedTuple):
    """One thing that a store keeps, with its position."""

    position: int
    record: Record


@dataclass(frozen=True, slots=True)
class StoredJob:
    """All that a store keeps of one job, at one moment."""

    job: JobRecord
    entries: tuple[Entry, ...]
    """Its whole journal, in order."""

    progress: Progress | None
    """What was reported last."""

    created: int
    """The position of `job`."""

    position: int
    """The highest position of what is here: follow on from it, and nothing is missed."""

    @property
    def version(self) -> int:
        """How many transitions were committed so far."""
        return len(self.entries)

    @property
    def status(self) -> str:
        """The name of the status in which the job stands."""
        return self.entries[-1].transition.dest if self.entries else self.job.status

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return bool(self.entries) and self.entries[-1].final

    @property
    def error(self) -> ErrorInfo | None:
        """What went wrong last in the attempt that the job is on."""
        steps = [entry.transition for entry in self.entries]
        errors = [step.error for step in steps if step.attempt == steps[-1].attempt and step.error]
        return errors[-1] if errors else None

    def snapshot(self, meaning: JobStatus | None = None) -> Snapshot[Any, str]:
        """Return all that can be read of the job; statuses are names, whatever its lifecycle.

        Args:
            meaning: what its status means by its lifecycle; by default, what it is named like.
        """
        job, progress, status, error = self.job, self.progress, self.status, self.error
        means = meaning or status
        steps = [entry.transition for entry in self.entries]
        attempt = steps[-1].attempt if steps else int(means == "STARTED")
        percent = 0.0
        retry = next((step for step in reversed(steps) if not step.internal), None)
        info = job.info if progress is None else progress.info
        moments = [job.timestamp, *(step.timestamp for step in steps)]
        if progress is not None:
            moments.append(progress.timestamp)
            percent = progress.progress if progress.attempt == attempt else 0.0
        result = next((each.result for each in self.entries if each.result is not UNSET), None)
        extras = {**job.extras}
        for entry in self.entries:
            extras.update(entry.extras or {})
        return Snapshot(
            id=job.id,
            name=job.name,
            status=status,
            version=self.version,
            progress=100.0 if means == "SUCCESS" and self.final else percent,
            attempt=attempt,
            max_attempts=job.max_attempts,
            result=result,
            error_reason=None if error is None else error.reason or None,
            error_message=None if error is None else error.message,
            info=dict(info),
            extras=extras,
            created_at=moment(job.timestamp),
            updated_at=moment(max(moments)),
            retry_at=moment(retry.timestamp + (retry.delay or 0.0))
            if retry is not None and means == "RETRY" and not self.final
            else None,
        )
