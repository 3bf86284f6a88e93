"""Hold what everybody was told against the jobs' histories and the lifecycle's edges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._job import Job
from .._lifecycle import Lifecycle
from .._records import Transition
from ._world import World


def problems_of(world: World, lifecycle: Lifecycle[Any]) -> list[str]:
    """Return every promise that was broken in a schedule that has been played."""
    if world.problems:
        return world.problems
    return [
        problem
        for number, job in enumerate(world.jobs)
        for check in (_history, _leftovers, _receipts, _owners, _order)
        for problem in check(world, number, job, lifecycle)
    ]


def _history(
    world: World, number: int, job: Job[Any, Any], lifecycle: Lifecycle[Any]
) -> Iterator[str]:
    edges = {(edge.trigger, edge.source, edge.dest) for edge in lifecycle.edges}
    status = lifecycle.initial
    for version, step in enumerate(job.history, start=1):
        if step.version != version or step.source != status:
            yield f"{job.id} has {step} where version {version} from {status} was due"
        if (step.trigger, step.source, step.dest) not in edges:
            yield f"{job.id} took {step}, which the lifecycle does not have"
        status = step.dest
    if job.status != status:
        yield f"{job.id} is {job.status}, but its history ends in {status}"


def _leftovers(
    world: World, number: int, job: Job[Any, Any], lifecycle: Lifecycle[Any]
) -> Iterator[str]:
    if job._turn is not None:
        yield f"the turn of {job.id} was never given back"
    if job._at_end is not None or job._at_step is not None:
        yield f"somebody still listens to {job.id}"


def _receipts(
    world: World, number: int, job: Job[Any, Any], lifecycle: Lifecycle[Any]
) -> Iterator[str]:
    calls = [call for call in world.calls if call.job == number]
    told = [call.transition for call in calls if call.transition is not None]
    if len(set(map(id, told))) != len(told):
        yield f"two callers were told the same transition of {job.id}"
    for transition in told:
        if not any(transition is kept for kept in job.history):
            yield f"a caller was told of {transition}, which is not in the history"
    for call in calls:
        if call.answer == "none" or (call.answer == "committed" and call.transition is None):
            yield f"{call.trigger} of {job.id} was never answered"


def _owners(
    world: World, number: int, job: Job[Any, Any], lifecycle: Lifecycle[Any]
) -> Iterator[str]:
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


def _order(
    world: World, number: int, job: Job[Any, Any], lifecycle: Lifecycle[Any]
) -> Iterator[str]:
    order = world.taken.get(number, [])
    if order != sorted(order):
        yield f"calls on {job.id} had their turns in the order {order}"
