"""A job as it stood, from what a store keeps of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ._errors import UnknownStatus
from ._job import Job
from ._lifecycle import Lifecycle
from ._records import Snapshot
from ._replay import replay, replay_progress
from ._store_errors import NotRestorable
from ._stored import JobRecord, StoredJob

Lifecycles = Mapping[str, Lifecycle[Any]]
"""The lifecycles that are known, by their names."""


def begun(record: JobRecord, lifecycles: Lifecycles, clock: Callable[[], float]) -> Job[Any, Any]:
    """Return a job as it began.

    Raises:
        NotRestorable: its lifecycle is not known, or begins otherwise.
    """
    lifecycle = lifecycles.get(record.lifecycle)
    if lifecycle is None:
        known = ", ".join(lifecycles) or "none"
        problem = f"it follows lifecycle {record.lifecycle!r}, and what is known is: {known}"
        raise NotRestorable(record.id, problem)
    job: Job[Any, Any] = Job(
        record.id,
        name=record.name,
        lifecycle=lifecycle,
        max_attempts=record.max_attempts,
        info=record.info,
        extras=record.extras,
        clock=clock,
    )
    if job._state.name != record.status:
        problem = f"it began as {record.status}, and its lifecycle now begins as {job._state.name}"
        raise NotRestorable(record.id, problem)
    job._created = job._updated = record.timestamp
    return job


def restored(
    stored: StoredJob, lifecycles: Lifecycles, clock: Callable[[], float]
) -> Job[Any, Any]:
    """Return a job with all that it went through.

    Raises:
        NotRestorable: its lifecycle is not known, or lacks a status that it was in.
    """
    job = begun(stored.job, lifecycles, clock)
    progress = stored.progress
    while True:
        if progress is not None and progress.version == job.version:
            replay_progress(job, progress)
        if job.version == stored.version:
            return job
        replay(job, stored.entries[job.version])


def shown(stored: StoredJob, lifecycles: Lifecycles) -> Snapshot[Any, str]:
    """Return all that can be read of a job, whether its lifecycle is known or not."""
    meaning = None
    if stored.job.lifecycle in lifecycles:
        with suppress(UnknownStatus):  # it was another lifecycle then
            meaning = lifecycles[stored.job.lifecycle].meaning(stored.status)
    return stored.snapshot(meaning)
