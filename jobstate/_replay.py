"""A job's steps as entries of its journal, and back: those that somebody else has written."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ._arguments import UNSET, Effects
from ._portable import named
from ._records import Progress, Transition
from ._store_errors import NotRestorable
from ._stored import Entry
from ._table import Edge, State
from ._waiting import each

if TYPE_CHECKING:
    from ._job import Job


def entry_of(edge: Edge, transition: Transition[Any], effects: Effects) -> Entry:
    """Return what a journal is to keep of a step that is about to be taken."""
    result = effects.result if edge.dest.gives_result else UNSET
    return Entry(transition, edge.dest.final, result, effects.extras)


def replay(job: Job[Any, Any], entry: Entry) -> None:
    """Have a job take the step after its present version, as it was taken elsewhere.

    Whoever waits for the job or follows it is told. Guards, hooks and observers are not called:
    they were where the step was taken.

    Raises:
        NotRestorable: its lifecycle has no such status, or it is final in one of both alone; the
            job stays as it is.
    """
    step = entry.transition
    source, dest = _state(job, step.source), _state(job, step.dest)
    if dest.final is not entry.final:
        ends = "ended" if entry.final else "did not end"
        problem = f"it {ends} as {dest.name}, which its lifecycle has otherwise"
        raise NotRestorable(job.id, problem)
    job._commit(
        dest,
        step._replace(source=source.value, dest=dest.value),
        Effects(entry.result, step.error, step.reason, step.cause, step.delay, entry.extras),
    )


def replay_progress(job: Job[Any, Any], progress: Progress) -> bool:
    """Have a job know what was reported last; return whether it is of the present attempt."""
    if not job._state.runs or progress.attempt != job.attempt:
        return False
    job._info = MappingProxyType(dict(progress.info))
    job._progress = float(progress.progress)
    job._reported = progress.timestamp
    job._updated = max(job._updated, progress.timestamp)
    for listener in each(job._at_step):
        listener.reported(job)
    return True


def _state(job: Job[Any, Any], status: Any) -> State:
    states = job._table.states
    name = named(status)
    if name not in states:
        known = ", ".join(states)
        problem = f"its lifecycle {job.lifecycle.name!r} has no status {name!r}, but: {known}"
        raise NotRestorable(job.id, problem)
    return states[name]
