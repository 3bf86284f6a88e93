"""Every kind of trigger, wait and stream, as scenes."""

from __future__ import annotations

from functools import partial
from typing import Any

from jobstate import (
    JobFailed,
    JobRevoked,
    Progress,
    TransitionEvent,
    Unreachable,
    all_completed,
    as_completed,
    first_completed,
)

from .neighbours import (
    FAILURE,
    RETRY,
    STARTED,
    moves,
    notes,
    notes_last,
    notes_too,
    revokes,
)
from .stage import Scene, Stage


def fails(stage: Stage, event: TransitionEvent[Any]) -> None:
    """Raise an error of the hook's own."""
    raise ValueError("the scene's own")


def refuses(stage: Stage, event: TransitionEvent[Any]) -> bool:
    """Refuse."""
    return False


def defers(*deferred: str) -> Any:
    """Return a hook that defers triggers."""

    def hook(stage: Stage, event: TransitionEvent[Any]) -> None:
        for trigger in deferred:
            event.job.defer(trigger, *["again"] * (trigger == "retry"))

    return hook


async def triggers(stage: Stage, trigger: str, *args: Any) -> Any:
    """Trigger the job."""
    return await stage.job.trigger(trigger, *args)


start = partial(triggers, trigger="start")
TRIGGERS = [
    Scene("start", start, ("start",)),
    Scene(
        "start with everything",
        start,
        ("start", "retry"),
        does={"enter start": defers("retry")},
        later=(notes, notes_last),
        journal=True,
        own_hooks=True,
    ),
    Scene("start alone", start, ("start",), crowded=False, journal=True),
    Scene(
        "start in line",
        start,
        ("start",),
        others=(notes, notes_too),
        later=(notes_last,),
        journal=True,
    ),
    Scene("start last in line", start, ("start",), others=(notes,), crowded=False, journal=True),
    Scene(
        "start refused by a guard",
        start,
        does={"guard start": refuses},
        answer="refused",
        later=(notes_last,),
    ),
    Scene(
        "succeed too early",
        partial(triggers, trigger="succeed"),
        answer="refused",
        later=(notes_last,),
    ),
    Scene(
        "start stopped by a hook",
        start,
        does={"before start": fails},
        answer="raised",
        later=(notes_last,),
    ),
    Scene(
        "start refused by its journal",
        start,
        does={"journal start": fails},
        answer="raised",
        later=(notes_last,),
        journal=True,
    ),
    Scene(
        "start with hooks that fail",
        start,
        ("start", "retry"),
        answer="failed",
        does={"enter start": defers("retry"), "after start": fails, "enter retry": fails},
        later=(notes_last,),
        own_hooks=True,
    ),
    Scene(
        "start and a deferred trigger that is refused",
        start,
        ("start", "retry"),
        answer="failed",
        does={"after start": defers("wake", "retry")},
        later=(notes_last,),
    ),
    Scene(
        "fail",
        lambda stage: stage.job.fail("broken"),
        ("fail",),
        before=("start",),
        later=(),
        journal=True,
    ),
]


async def value(stage: Stage) -> Any:
    """Await the job itself."""
    return await stage.job


async def no_value(stage: Stage) -> Any:
    """Await a job that is revoked."""
    try:
        return await stage.job
    except (JobFailed, JobRevoked) as error:
        return str(error)


async def reached(stage: Stage) -> Any:
    """Wait for a status, and then for it again."""
    job = stage.job
    first = await job.reached(RETRY)
    return first, await job.reached(STARTED, after=first.version)


async def unreachable(stage: Stage) -> Any:
    """Wait for a status that is never reached."""
    try:
        await stage.job.reached(FAILURE)
    except Unreachable as error:
        return str(error)


async def follows(stage: Stage) -> Any:
    """Follow the job to its end."""
    seen: list[Any] = []
    async with stage.job.changes() as changes:
        async for change in changes:
            seen.append(("progress", change.progress) if isinstance(change, Progress) else change)
    return seen


async def follows_and_stops(stage: Stage) -> Any:
    """Follow the job for a while."""
    async with stage.job.changes() as changes:
        async for change in changes:
            if change.version == 2:
                return change
    return None


async def waits_for_all(stage: Stage) -> Any:
    """Wait for both jobs."""
    return await all_completed([stage.job, stage.other])


async def waits_for_first(stage: Stage) -> Any:
    """Wait for one of both jobs."""
    return (await first_completed([stage.job, stage.other])).id


async def waits_for_each(stage: Stage) -> Any:
    """Go through both jobs in a block."""
    async with as_completed([stage.job, stage.other]) as done:
        return [job.id async for job in done]


async def waits_for_each_in_a_loop(stage: Stage) -> Any:
    """Go through both jobs without one."""
    return [job.id async for job in as_completed([stage.job, stage.other])]


async def waits_in_turn(stage: Stage) -> Any:
    """Wait for one job and then for the other."""
    return [(await job.completed()).status for job in (stage.other, stage.job)]


MOVED = ("start", "retry", "succeed", "revoke")
CALLS = [
    value,
    reached,
    unreachable,
    follows,
    follows_and_stops,
    waits_for_all,
    waits_for_first,
    waits_for_each,
    waits_for_each_in_a_loop,
    waits_in_turn,
]
WAITS = [
    Scene(call.__name__.replace("_", " ") + other, call, moved=MOVED, later=(moves,), crowded=crowd)
    for call in CALLS
    for crowd, other in ((True, ""), (False, " alone"))
]
WAITS.append(Scene("no value", no_value, moved=MOVED, later=(revokes,)))
SCENES = [*TRIGGERS, *WAITS]
