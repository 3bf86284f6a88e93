"""Who leaves the block, and who does what to jobs meanwhile: moves them, waits, gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from jobstate import (
    JobAbandoned,
    Progress,
    RevokeCause,
    Unreachable,
    all_completed,
    first_completed,
)

from .plans import JobPlan, Step
from .world import World

TOO_LONG = 400
"""Virtual seconds after which whoever leaves the block is helped by closing the runner."""


class Raised(Exception):
    """What the body of the block raises, where it does."""


async def act_all(world: World) -> None:
    """Play the whole plan: return once the block was left, and everybody has an answer."""
    async with anyio.create_task_group() as actors:
        if world.backend == "asyncio":
            task = asyncio.create_task(_host(world, actors))
            actors.start_soon(_hurry, world, task.cancel)
            await _awaited(world, task)
        else:
            actors.start_soon(_hurry, world, None)
            await _host(world, actors)
        world.left = world.now()
        world.tell("the block was left")


async def _awaited(world: World, task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])
    ways = {*world.plan.again, world.plan.end}
    if not task.cancelled():
        task.result()
    elif ways.isdisjoint(("native", "all")):
        world.wrong("the block was left by a cancellation, but nobody cancelled it")


async def _host(world: World, actors: Any) -> None:
    plan = world.plan
    try:
        with anyio.CancelScope() as world.scope:
            async with world.runner:
                for job in plan.jobs:
                    await world.submit(job, job.number)
                for number, steps in enumerate(plan.actors):
                    actors.start_soon(_act, world, f"actor {number}", steps)
                await anyio.sleep(plan.end_at)
                world.leaving = True
                world.tell(f"the block is left: {plan.end}")
                if plan.end == "aclose":
                    await world.runner.aclose()
                    for job in world.jobs.values():
                        if job.outcome is None and job._abandoned is None:
                            world.wrong(f"{job!r} has not ended though the runner was closed")
                elif plan.end == "raise":
                    raise Raised
                elif plan.end == "cancel":
                    world.scope.cancel()
                    await checkpoint()
                elif plan.end == "native" and world.backend == "asyncio":
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()
                    await checkpoint()
    except* Raised:
        if plan.end != "raise":
            world.wrong("the block was left by an error that nobody raised")


async def _hurry(world: World, cancel: Callable[[], object] | None) -> None:
    """Disturb whoever leaves the block."""
    await anyio.sleep(world.plan.end_at)
    for way in world.plan.again:
        await anyio.sleep(world.dice.choice((0, 0.5, 1)))
        for _ in range(world.dice.choice((0, 3, 10))):
            await checkpoint()
        if world.left is not None:
            return
        if way == "native" and cancel is not None:
            world.tell("whoever leaves is cancelled")
            world.hurried |= world.closing is not None
            cancel()
        elif way == "all" and world.backend == "asyncio":
            world.tell("all tasks of the runner are cancelled")
            world.hurried = True
            for task in world.made:
                # One that has not begun cannot do anything about it.
                begun = getcoroutinestate(task.get_coro()) != CORO_CREATED
                if begun and task.get_name().startswith("jobstate."):
                    task.cancel()
        elif way == "aclose":
            world.tell("another task closes the runner")
            await world.runner.aclose()
    await anyio.sleep(TOO_LONG)
    if world.left is None:
        world.tell("the runner is closed at last")
        await world.runner.aclose()


async def _act(world: World, name: str, steps: tuple[Step, ...]) -> None:
    for step in steps:
        if step.wait:
            await anyio.sleep(step.wait)
        else:
            for _ in range(world.dice.choice((0, 0, 1, 3, 6))):
                await checkpoint()
        if step.job in world.jobs:
            await _patiently(world, step, partial(KINDS[step.kind], world, name, step))


async def _patiently(world: World, step: Step, do: Callable[[], Awaitable[None]]) -> None:
    if step.patience is None:
        await do()
    elif step.natively and world.backend == "asyncio":
        task = asyncio.ensure_future(do())
        await asyncio.wait([task], timeout=step.patience)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
    else:
        with anyio.move_on_after(step.patience):
            await do()


# --- steps ---


async def _cancel(world: World, name: str, step: Step) -> None:
    await world.cancel(step.job, name)


async def _trigger(world: World, name: str, step: Step) -> None:
    trigger, cause = step.what
    with anyio.CancelScope(shield=True):
        more = {"cause": RevokeCause(cause)} if trigger == "revoke" else {}
        await world.trigger(step.job, trigger, name, **more)


async def _hold(world: World, name: str, step: Step) -> None:
    """Pause a job, and resume it after a while."""
    with anyio.CancelScope(shield=True):
        if await world.trigger(step.job, "pause", name):
            await anyio.sleep(step.what)
            while world.jobs[step.job].status == "PAUSED":
                await world.trigger(step.job, "resume", name)
                await anyio.sleep(0.5)


async def _take_over(world: World, name: str, step: Step) -> None:
    """Do the work of a job elsewhere."""
    with anyio.CancelScope(shield=True):
        job = world.jobs[step.job]
        if await world.trigger(step.job, "start", name):
            attempt = job.attempt
            await anyio.sleep(step.what)
            for trigger in ("succeed", "fail", "fail", "fail"):
                if job.attempt == attempt and job.status in ("STARTED", "PAUSED"):
                    await world.trigger(step.job, trigger, name)
                    await anyio.sleep(0.5)


async def _submit(world: World, name: str, step: Step) -> None:
    if len(world.jobs) < 14:
        await world.submit(JobPlan(0, ((("sleep", 1), ("return",)),), priority=step.job % 3 - 1))


async def _completed(world: World, name: str, step: Step) -> None:
    job = world.jobs[step.job]
    try:
        outcome = await job.completed()
    except JobAbandoned:
        return
    if outcome != job.outcome:
        world.wrong(f"{name} was told {outcome} of {job!r}")


async def _value(world: World, name: str, step: Step) -> None:
    job = world.jobs[step.job]
    try:
        result = await job
    except Exception as error:
        result = None
        if job.status == "SUCCESS":
            world.wrong(f"{name} was told {error!r} of {job!r}")
    if result != job.result:
        world.wrong(f"{name} was told {result} of {job!r}")


async def _reached(world: World, name: str, step: Step) -> None:
    try:
        found = await world.jobs[step.job].reached(step.what)
    except (Unreachable, JobAbandoned):
        return
    if found.dest != step.what:
        world.wrong(f"{name} was told {found}")


async def _changes(world: World, name: str, step: Step) -> None:
    job = world.jobs[step.job]
    seen = []
    try:
        async with job.changes() as changes:
            async for change in changes:
                if not isinstance(change, Progress):
                    seen.append(change)
    except JobAbandoned:
        return
    if tuple(seen) != job.history:
        world.wrong(f"{name} has seen {seen} of {job!r}")


async def _all(world: World, name: str, step: Step) -> None:
    jobs = list(world.jobs.values())
    try:
        outcomes = await all_completed(jobs)
    except JobAbandoned:
        return
    if outcomes != [job.outcome for job in jobs]:
        world.wrong(f"{name} was told {outcomes}")


async def _first(world: World, name: str, step: Step) -> None:
    try:
        first = await first_completed(world.jobs.values())
    except JobAbandoned:
        return
    if first.outcome is None:
        world.wrong(f"{name} was told that {first!r} has ended")


async def _stream(world: World, name: str, step: Step) -> None:
    """Read what all jobs do, until the runner is closed and nothing can follow."""
    async with world.runner.jobs.changes() as changes:
        try:
            async for _ in changes:
                pass
        except JobAbandoned:
            return
    for job in world.jobs.values():
        if job.outcome is None and job._abandoned is None:
            world.wrong(f"{name} has read to the end of the stream, but {job!r}")


KINDS: dict[str, Callable[[World, str, Step], Awaitable[None]]] = {
    "cancel": _cancel,
    "trigger": _trigger,
    "hold": _hold,
    "take over": _take_over,
    "submit": _submit,
    "completed": _completed,
    "value": _value,
    "reached": _reached,
    "changes": _changes,
    "all": _all,
    "first": _first,
    "stream": _stream,
}
"""What a step of each kind does."""
