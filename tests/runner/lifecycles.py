"""The lifecycles that explored jobs follow, and hooks on them that pause, refuse and raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import sleep
from anyio.lowlevel import checkpoint

from jobstate import JOB_LIFECYCLE, Lifecycle

if TYPE_CHECKING:
    from .world import World

PLAIN = JOB_LIFECYCLE
CANCEL = JOB_LIFECYCLE.derive("cancel", cancel_started=True)
STIFF = CANCEL.derive(
    "stiff",
    states=["PAUSED"],
    transitions=[["pause", "STARTED", "PAUSED"], ["resume", "PAUSED", "STARTED"]],
)
PAUSING = STIFF.derive(
    "pausing", transitions=[["revoke", "PAUSED", "REVOKED"], ["fail", "PAUSED", "FAILURE"]]
)
BARE = {"plain": PLAIN, "cancel": CANCEL, "stiff": STIFF, "pausing": PAUSING}


class Stage:
    """Holds the world that hooks play in: a lifecycle is made once, for all schedules."""

    world: World


async def _guard(event: Any) -> bool:
    await _pause()
    return Stage.world.chance("refuses", event) is None


async def _before(event: Any) -> None:
    await _pause()
    if Stage.world.chance("raises before", event):
        raise ValueError("a hook before the commit")


async def _after(event: Any) -> None:
    await _pause()
    if Stage.world.chance("raises after", event):
        raise ValueError("a hook after the commit")


async def _pause() -> None:
    world = Stage.world
    kind = world.dice.choice(("", "", "turn", "turns", "time"))
    if kind == "time":
        world.hook_time += 0.5
        await sleep(0.5)
    elif kind:
        for _ in range(1 if kind == "turn" else 6):
            await checkpoint()


def _hooked(lifecycle: Lifecycle[Any]) -> Lifecycle[Any]:
    hooked = lifecycle.derive(f"{lifecycle.name} with hooks")
    for trigger in hooked.triggers:
        hooked.guard(trigger)(_guard)
        hooked.before(trigger)(_before)
        hooked.after(trigger)(_after)
    return hooked


HOOKED = {name: _hooked(lifecycle) for name, lifecycle in BARE.items()}


def lifecycle_of(name: str, hooks: str) -> Lifecycle[Any]:
    """Return the lifecycle of a plan."""
    return (BARE if hooks == "none" else HOOKED)[name]
