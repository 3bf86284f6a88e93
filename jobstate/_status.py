"""The statuses of a job and what each one means; why one is revoked, and what came of it."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands in its life; each member equals its own name.

    The statuses are those of Fiddler's `JobStatus`, which are also Celery's task states.
    """

    PENDING = "PENDING"
    """Queued: nothing has run yet. It may wait for resources or for other jobs."""

    STARTED = "STARTED"
    """An attempt is running; progress may be reported."""

    SUCCESS = "SUCCESS"
    """Final: the work is done and its result is available."""

    FAILURE = "FAILURE"
    """Final: the work failed and will not be tried again."""

    RETRY = "RETRY"
    """An attempt failed, and another one will follow."""

    REVOKED = "REVOKED"
    """Final: the job was cancelled before it could complete; there is no result."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing leaves this status."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobStatus.SUCCESS, JobStatus.FAILURE, JobStatus.REVOKED})


class RevokeCause(StrEnum):
    """On whose behalf a job is revoked."""

    USER = "USER"
    """Somebody no longer wants the result; a started job does not stop for this by default."""

    TIMEOUT = "TIMEOUT"
    """The job's own deadline has passed."""

    SHUTDOWN = "SHUTDOWN"
    """Whatever runs the job is closing."""

    RESOURCES = "RESOURCES"
    """A limit was exceeded: memory, disk, quota."""

    ADMIN = "ADMIN"
    """An operator stepped in."""


class Cancellation(StrEnum):
    """What came of asking whoever runs a job to stop."""

    PREVENTED = "PREVENTED"
    """No attempt was running, and none will: the job is revoked."""

    INTERRUPTED = "INTERRUPTED"
    """An attempt was running, and has stopped: the job is revoked."""

    TOO_LATE = "TOO_LATE"
    """The job had ended already, or ended by itself meanwhile; its outcome tells how."""

    UNCONFIRMED = "UNCONFIRMED"
    """It was asked to stop, and nobody knows whether it has or will."""
