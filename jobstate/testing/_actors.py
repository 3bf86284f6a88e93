"""What actors do in a schedule: move jobs, report, wait in every way there is, be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from .._errors import JobStateError, Unreachable
from .._job import Job
from .._records import Progress
from .._several import all_completed, as_completed, first_completed
from ._world import Step, World, alone

R = TypeVar("R")

_GIVEN_UP = 3
"""How often a wait is given up before it lasts, so that a job that is stuck is found out."""


@dataclass(frozen=True)
class Actor:
    """A task that takes some steps, and may be cancelled meanwhile."""

    steps: tuple[Step, ...]
    cancelled_after: int | None = None
    """How often others may run before it is cancelled."""

    natively: bool = False
    """Cancelled by the task's own ``cancel()``, where the loop is asyncio's."""


async def act(world: World, name: str, actor: Actor) -> None:
    """Take an actor's steps, and have it cancelled where it says so."""
    try:
        await _act(world, name, actor)
    except Exception as error:
        world.wrong(f"a wait or a report of {name} raised {alone(error)!r}")


async def _act(world: World, name: str, actor: Actor) -> None:
    if actor.cancelled_after is None:
        await _take_all(world, name, actor)
    elif actor.natively and world.backend == "asyncio":
        task = asyncio.create_task(_take_all(world, name, actor))
        await _cancel(world, name, actor.cancelled_after, task.cancel)
        await asyncio.wait([task])
        if task.cancelling() and not task.cancelled():
            task.result()
            world.wrong(f"{name} swallowed its cancellation")
    else:
        async with anyio.create_task_group() as tasks:
            cancel = tasks.cancel_scope.cancel
            tasks.start_soon(_cancel, world, name, actor.cancelled_after, cancel)
            await _take_all(world, name, actor)
            if tasks.cancel_scope.cancel_called:
                await anyio.sleep_forever()  # hangs, should the cancellation be lost


async def _take_all(world: World, name: str, actor: Actor) -> None:
    for step in actor.steps:
        await take(world, name, step)


async def take(world: World, name: str, step: Step) -> None:
    """Take one step."""
    world.look_at(world.jobs[step.job])
    await KINDS[step.kind](world, name, step)
    world.look_at(world.jobs[step.job])


async def _cancel(world: World, name: str, after: int, cancel: Callable[[], object]) -> None:
    for _ in range(after):
        await checkpoint()
    world.cancellations += 1
    world.tell(f"{name} is cancelled")
    cancel()


# --- steps ---


async def _pause(world: World, name: str, step: Step) -> None:
    await checkpoint()


async def _report(world: World, name: str, step: Step) -> None:
    job = world.jobs[step.job]
    running = job.status in world.chart.running
    try:
        job.report(step.what)
    except JobStateError:
        taken = False
    else:
        taken = True
        world.tell(f"{name} reports {step.what} of {job.id}")
    if taken is not running:
        world.wrong(f"{name}'s report on {job.id}, {job.status}, taken: {taken}")


async def _complete(world: World, name: str, step: Step) -> None:
    job = world.jobs[step.job]
    outcome = await job.completed()
    world.tell(f"{name} hears that {job.id} ended {outcome.status}")
    if outcome != job.outcome or outcome.status != job.history[-1].dest:
        world.wrong(f"{name} was told {outcome}, but {job.id} is {job.status}")


async def _reach(world: World, name: str, step: Step) -> None:
    job = world.jobs[step.job]
    try:
        found = await job.reached(*step.what, after=step.after)
    except Unreachable:
        found = None
        world.tell(f"{name} hears that {job.id} ({job.status}) cannot get there")
        if world.chart.ahead[job.status].intersection(step.what):
            world.wrong(f"{job.id} is {job.status}, and can still be {step.what}")
    fits = (t for t in job.history[step.after :] if t.dest in step.what and not t.internal)
    first = next(fits, None)
    if found is not first:
        world.wrong(f"{name} was told that {found} reached {step.what}, not {first}")


async def _follow(world: World, name: str, step: Step) -> None:
    job, after = world.jobs[step.job], step.after
    seen: list[int] = []
    async with job.changes(after) as changes:
        async for change in _read(world, name, step, changes):
            if not isinstance(change, Progress):
                seen.append(change.version)
            elif change.version < max(after, *seen, 0):
                world.wrong(f"{name} got progress of {change.version} after {seen}")
    world.tell(f"{name} followed {job.id}: {seen}")
    if seen != list(range(after + 1, job.version + 1)):
        world.wrong(f"{name} saw {seen} of {job.version} versions after {after}")


async def _all(world: World, name: str, step: Step) -> None:
    jobs = _chosen(world, step)
    outcomes = await all_completed(jobs)
    world.tell(f"{name} hears how all of {_ids(jobs)} ended")
    if outcomes != [job.outcome for job in jobs]:
        world.wrong(f"{name} was told {outcomes} of all of {jobs}")


async def _first(world: World, name: str, step: Step) -> None:
    jobs = _chosen(world, step)
    before = [job for job in jobs if job.outcome is not None]
    found = await first_completed(jobs)
    world.tell(f"{name} hears that the first of {_ids(jobs)} is {found.id}")
    order = _order(world, jobs, before) or [found]
    if found.outcome is None or found is not order[0]:
        world.wrong(f"{name} was told that {found!r} is the first of {_ids(order)}")


async def _each(world: World, name: str, step: Step) -> None:
    jobs = _chosen(world, step)
    before = [job for job in jobs if job.outcome is not None]
    seen: list[Job[Any, Any]] = []
    async with as_completed(jobs) as done:
        async for job in _read(world, name, step, done):
            seen.append(job)
            if job.outcome is None:
                world.wrong(f"{name} was told that {job!r} had ended")
    world.tell(f"{name} heard of each: {_ids(seen)}")
    order = _order(world, jobs, before)
    if step.patience is not None and world.kept:
        # What ended between two waits comes by its time, which is that of before the journal.
        order = []
    if sorted(map(id, seen)) != sorted(map(id, jobs)) or (order and seen != order):
        world.wrong(f"{name} heard of {_ids(seen)}, but they ended {_ids(order or jobs)}")


def _chosen(world: World, step: Step) -> list[Job[Any, Any]]:
    return [world.jobs[number] for number in step.what]


def _order(
    world: World, jobs: list[Job[Any, Any]], before: list[Job[Any, Any]]
) -> list[Job[Any, Any]]:
    """Return *before*, then the others as they ended; nothing where that is not known."""
    if not world.watched:
        return []
    ends = [step.job_id for step in world.heard if step.dest in world.chart.final]
    late = [job for job in jobs if job not in before and job.id in ends]
    return before + sorted(late, key=lambda job: ends.index(job.id))


def _ids(jobs: list[Job[Any, Any]]) -> str:
    return ", ".join(job.id for job in jobs) or "none"


# --- waits that are given up ---


async def _read(world: World, name: str, step: Step, source: AsyncIterator[R]) -> AsyncIterator[R]:
    """Yield what *source* does; the first waits are given up, and taken up again."""
    patience = [] if step.patience is None else [step.patience] * _GIVEN_UP
    try:
        while True:
            if patience:
                after = patience.pop()
                answers = await _patiently(world, name, after, step, source.__anext__)
                for answer in answers:
                    yield answer
                if not answers:
                    await world.pause()
            else:
                yield await source.__anext__()
    except StopAsyncIteration:
        return


async def _patiently(
    world: World, name: str, after: int, step: Step, ask: Callable[[], Awaitable[R]]
) -> list[R]:
    """Return the answer, or nothing where the wait for it was given up."""
    answers: list[R] = []
    ended = False

    async def asking() -> None:
        answers.append(await ask())

    async def give_up(cancel: Callable[[], object]) -> None:
        for _ in range(after):
            await checkpoint()
        if not ended:
            world.tell(f"{name} gives up a wait, and waits again")
            cancel()

    # No scope has two tasks in it, or asyncio would cancel them in an order that no seed decides.
    try:
        if step.natively and world.backend == "asyncio":
            task = asyncio.create_task(asking())
            world.tasks.start_soon(give_up, task.cancel)
            await _awaited(task)
        else:
            with anyio.CancelScope() as scope:
                world.tasks.start_soon(give_up, scope.cancel)
                await asking()
    finally:
        ended = True
    return answers


async def _awaited(task: asyncio.Task[None]) -> None:
    """Return once the task is done or cancelled; it is cancelled with its caller."""
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
    if not task.cancelled():
        task.result()


KINDS: dict[str, Callable[[World, str, Step], Awaitable[None]]] = {
    "trigger": World.trigger,
    "trigger_nowait": World.trigger,
    "refuse": World.refuse,
    "report": _report,
    "completed": _complete,
    "reached": _reach,
    "changes": _follow,
    "all_completed": _all,
    "first_completed": _first,
    "as_completed": _each,
    "pause": _pause,
}
"""What a step of each kind does."""
