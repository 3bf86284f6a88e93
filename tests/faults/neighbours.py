"""Others who use the job while a call is made on it, and must not be disturbed.

Each returns what is wrong, or ``None``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from jobstate import Job, JobStatus, Progress, TransitionRefused, all_completed

if TYPE_CHECKING:
    from .stage import Stage

PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED = JobStatus


async def completes(stage: Stage) -> object:
    """Wait for the job."""
    outcome = await stage.job.completed()
    return None if outcome == stage.job.outcome else outcome


async def completes_with_another(stage: Stage) -> object:
    """Wait for both jobs."""
    outcomes = await all_completed([stage.job, stage.other])
    return None if outcomes == [stage.job.outcome, stage.other.outcome] else outcomes


async def reaches_its_end(stage: Stage) -> object:
    """Wait for the statuses that are final."""
    last = await stage.job.reached(SUCCESS, FAILURE, REVOKED)
    return None if last is stage.job.history[-1] else last


async def is_followed(stage: Stage) -> object:
    """Follow the job from its beginning."""
    async with stage.job.changes() as changes:
        seen = [change async for change in changes if not isinstance(change, Progress)]
    return None if seen == list(stage.job.history) else seen


async def notes(stage: Stage) -> object:
    """Trigger the job, which takes a while."""
    before = stage.job.version
    transition = await stage.job.trigger("note")
    fits = transition.version > before and transition.trigger == "note"
    return None if fits and transition is stage.job.history[transition.version - 1] else transition


async def notes_too(stage: Stage) -> object:
    """Trigger the job as well."""
    return await notes(stage)


async def notes_last(stage: Stage) -> object:
    """Trigger the job after everybody else."""
    return await notes(stage)


async def moves(stage: Stage) -> None:
    """Take the job through its life, while its hooks do nothing."""
    job = stage.job
    for step in (job.start, partial(job.retry, "again"), job.start):
        await step()
        await stage.pause()
    job.report(20)
    job.report(50)
    await stage.pause()
    await stage.other.start()
    await stage.other.succeed("done")
    await stage.pause()
    await job.succeed("done")


async def revokes(stage: Stage) -> None:
    """End the job without success."""
    await stage.pause()
    await stage.job.revoke("not wanted")


async def is_used_again(stage: Stage) -> object:
    """Have both jobs go on, and wait for them, as if nothing had been."""
    for job in (stage.job, stage.other):
        if job.outcome is not None:
            try:
                await job.start()
            except TransitionRefused:
                continue
            return f"{job} could be started"
        if job.status != STARTED:
            started = await job.start()
            if started is not job.history[-1] or started != await job.reached(
                STARTED, after=job.version - 1
            ):
                return started
        heard: list[object] = []

        async def wait(job: Job[Any], heard: list[object]) -> None:
            heard.append(await job.completed())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, job, heard)
            await stage.turns(2)
            if heard or (await job.succeed("done")).dest != SUCCESS:
                return heard
        if heard != [job.outcome]:
            return heard
    return None
