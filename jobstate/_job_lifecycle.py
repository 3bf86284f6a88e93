"""The lifecycle of a job: its table."""

from __future__ import annotations

from typing import Any

from ._lifecycle import Lifecycle
from ._status import JobStatus


def _declared() -> Lifecycle[JobStatus]:
    pending, started, retrying = JobStatus.PENDING, JobStatus.STARTED, JobStatus.RETRY
    success, failure, revoked = JobStatus.SUCCESS, JobStatus.FAILURE, JobStatus.REVOKED

    def step(trigger: str, source: Any, dest: Any, **more: Any) -> dict[str, Any]:
        return {"trigger": trigger, "source": source, "dest": dest, **more}

    lifecycle = Lifecycle(
        "job",
        states=JobStatus,
        final=[success, failure, revoked],
        initial=pending,
        transitions=[
            step("start", [pending, retrying], started),
            step("succeed", started, success),
            step("fail", [pending, started, retrying], failure),
            step("retry", started, retrying, conditions="has_attempts_left"),
            step("retry", started, failure),
            step("requeue", [retrying, started], pending),
            step("revoke", [pending, retrying], revoked),
            step("revoke", started, revoked, conditions="can_revoke_started"),
        ],
    )
    lifecycle._sealed = True
    return lifecycle


JOB_LIFECYCLE = _declared()
"""The lifecycle of every job that is given no other."""
