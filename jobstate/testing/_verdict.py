"""Hold what everybody was told against the jobs' histories and the lifecycle's edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from .._job import Job
from .._records import Transition
from ._chart import taken_by
from ._world import World


def problems_of(world: World) -> list[str]:
    """Return every promise that was broken in a schedule that has been played."""
    for job in world.jobs:
        world.look_at(job)
    if world.problems:
        return world.problems
    return [
        problem
        for number, job in enumerate(world.jobs)
        for check in (_history, _leftovers, _journal, _receipts, _owners, _order, _deferred)
        for problem in check(world, number, job)
    ]


def _history(world: World, number: int, job: Job[Any, Any]) -> Iterator[str]:
    status = world.chart.initial
    for version, step in enumerate(job.history, start=1):
        if step.version != version or step.source != status:
            yield f"{job.id} has {step} where version {version} from {status} was due"
        if taken_by(step) not in world.chart.edges:
            yield f"{job.id} took {step}, which the lifecycle does not have"
        status = step.dest


def _leftovers(world: World, number: int, job: Job[Any, Any]) -> Iterator[str]:
    if job._turn is not None:
        yield f"the turn of {job.id} was never given back"
    if job._at_end is not None or job._at_step is not None:
        yield f"somebody still listens to {job.id}"


def _journal(world: World, number: int, job: Job[Any, Any]) -> Iterator[str]:
    """What was written and what was told are what was committed."""
    if number in world.kept and world.kept[number] != list(job.history):
        yield f"the journal of {job.id} has {world.kept[number]}, not {job.history}"
    heard = [step for step in world.heard if step.job_id == job.id]
    if world.watched and heard != list(job.history):
        yield f"observers were told {heard} of {job.id}, not {job.history}"


def _receipts(world: World, number: int, job: Job[Any, Any]) -> Iterator[str]:
    calls = [call for call in world.calls if call.job == number]
    told = [call.transition for call in calls if call.transition is not None]
    if len(set(map(id, told))) != len(told):
        yield f"two callers were told the same transition of {job.id}"
    for transition in told:
        if not any(transition is kept for kept in job.history):
            yield f"a caller was told of {transition}, which is not in the history"
    for call in calls:
        if call.answer == "committed" and call.transition is None:
            yield f"{call.trigger} of {job.id} returned, but without a transition"


def _owners(world: World, number: int, job: Job[Any, Any]) -> Iterator[str]:
    """Who made each transition, as its last hook saw it."""
    if not world.watched:
        return
    commits = [(step, call) for step, call in world.commits if step.job_id == job.id]
    if [step for step, _ in commits] != list(job.history):
        yield f"the last hook ran for {[step for step, _ in commits]} of {job.history}"
    owned: dict[int, Transition[Any]] = {}
    for step, call in commits:
        if call is None or call.answer not in ("committed", "cancelled"):
            yield f"{step} was committed, but its caller was told: {call}"
        elif owned.setdefault(call.number, step) is step and call.transition not in (step, None):
            yield f"the caller of {step} was told of {call.transition}"


def _order(world: World, number: int, job: Job[Any, Any]) -> Iterator[str]:
    order = world.taken.get(number, [])
    if order != sorted(order):
        yield f"calls on {job.id} had their turns in the order {order}"


def _deferred(world: World, number: int, job: Job[Any, Any]) -> Iterator[str]:
    """Where nothing failed, all that was deferred was done before the call returned."""
    if not world.watched:
        return
    done = Counter(call.number for _, call in world.commits if call is not None)
    for call in world.calls:
        due = 1 + call.deferred
        told_so = call.answer == "committed" and not call.failed
        if call.job == number and told_so and done[call.number] < due:
            yield f"{call.trigger} of {job.id} returned after {done[call.number]} of {due} commits"
