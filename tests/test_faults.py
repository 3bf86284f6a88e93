"""Faults at every await point of every trigger, wait and stream: nothing is half done, or lost.

A test takes one scene and one kind of fault. It plays the scene undisturbed and counts the points
at which the call is suspended; then it plays it once for each point, with the fault made there. A
failure names the point; ``FAULT_POINT=<point>`` in the environment plays that one alone.
"""

from __future__ import annotations

import gc
import os

import pytest

from .faults.puppet import (  # type: ignore[import-not-found]  # no package
    Fault,
    Plan,
    Point,
    runs_on_asyncio,
)
from .faults.scenes import SCENES
from .faults.stage import Scene, Stage

pytestmark = pytest.mark.anyio

AFTER = ("enter", "own", "final", "after", "finalize")
"""Hooks that run once their trigger is committed, whatever happens."""

SHIELDED = ("journal", "exception", *AFTER)
"""What runs to its end once it has begun, however its caller is cancelled."""

ASYNCIO, UVLOOP, TRIO = (
    ("asyncio", {"use_uvloop": False}),
    ("asyncio", {"use_uvloop": True}),
    ("trio", {}),
)
SINGLE = [
    (Fault(what, woken),)
    for woken in (False, True)
    for what in ("scope", "task", "error", "stop", "interrupt", "close")
]
DOUBLE = [
    (Fault("scope"), Fault("task")),
    (Fault("task"), Fault("task")),
    (Fault("task"), Fault("scope")),
    (Fault("task"), Fault("close")),
    (Fault("scope"), Fault("close")),
    (Fault("error"), Fault("task")),
    (Fault("error"), Fault("scope")),
    (Fault("scope"), Fault("error")),
    (Fault("stop"), Fault("close")),
]
FAULTS = [
    pytest.param(backend, faults, id=f"{name}-{'+'.join(map(str, faults))}")
    for backend, name in ((ASYNCIO, "asyncio"), (UVLOOP, "uvloop"), (TRIO, "trio"))
    for faults in (*SINGLE, *DOUBLE)
    # Only asyncio can cancel a task; and uvloop's tasks and futures are those of asyncio.
    if name == "asyncio"
    or (name == "trio" and all(fault.what != "task" for fault in faults))
    or (name == "uvloop" and faults[1:] == () and faults[0].what in ("task", "scope", "close"))
]


@pytest.fixture(scope="module", autouse=True)
def nothing_unheard():
    """Have Python tell now of what was never awaited, or raised where nobody heard."""
    yield
    gc.collect()


async def played(scene, plan: Plan) -> Stage:
    """Return a scene as it was played with these faults."""
    stage = Stage(scene, dict(plan))
    await stage.play()
    return stage


@pytest.mark.parametrize("scene", SCENES, ids=str)
async def test_undisturbed(scene):
    """Without any fault nothing is wrong, and there are points at which one can be made."""
    stage = await played(scene, {})
    assert stage.problems == []
    assert stage.answer == scene.answer
    assert stage.commits == list(scene.triggers)
    assert len(stage.puppet.points) >= max(1, 2 * len(stage.began))
    assert set(scene.does) <= set(stage.began)


@pytest.mark.parametrize(("anyio_backend", "faults"), FAULTS)
@pytest.mark.parametrize("scene", SCENES, ids=str)
async def test_fault_at_every_point(scene, faults):
    """Wherever it happens: one answer, no half transition, neighbours unharmed, nothing left."""
    undisturbed = await played(scene, {})
    points = undisturbed.puppet.points
    assert points
    only = int(os.environ.get("FAULT_POINT", 0))
    made, verdicts = 0, set()
    for number in [only] if only else range(1, len(points) + 1):
        stage = await played(scene, {number + n: fault for n, fault in enumerate(faults)})
        problems = [*stage.problems, *problems_of(stage, undisturbed)]
        assert problems == [], told(stage, faults, number, points[number - 1])
        made = max(made, len(stage.puppet.made))
        if len(stage.puppet.made) == len(faults):
            verdicts.add((stage.answer, bool(stage.commits)))
    if not only:
        assert made == len(faults) or not scene.triggers
        assert made
        assert verdicts >= expected(scene, faults, points)


def told(stage: Stage, faults: tuple[Fault, ...], number: int, point: Point) -> str:
    """Return what to tell of a play in which something was wrong."""
    fault = "+".join(map(str, faults))
    came = f"{stage.answer}, {stage.value}, {stage.error!r}; committed {stage.commits}"
    return f"{stage.scene}: {fault} at {point} (FAULT_POINT={number}) came to {came}"


def expected(scene: Scene, faults: tuple[Fault, ...], points: list[Point]) -> set[tuple[str, bool]]:
    """Return answers, each with whether anything was committed, that must have been met."""
    if len(faults) > 1:
        return set()
    (fault,) = faults
    if fault.cancels:
        if all(point.place.startswith(SHIELDED) for point in points):
            return set()  # Trio tells of it at the caller's next await
        if fault.woken and not scene.triggers:
            return set()
        return {("cancelled", False)}
    if fault.what == "close":
        return {("closed", False), ("closed", bool(scene.triggers))}
    if not scene.triggers:
        return {("raised", False)}
    return {("raised", False), ("failed" if fault.what == "error" else "raised", True)}


def problems_of(stage: Stage, undisturbed: Stage) -> list[str]:
    """Return what is wrong with the answer, and with what the job made of the call."""
    return [
        *wrong_commits(stage, undisturbed),
        *wrong_answer(stage, undisturbed),
        *wrong_hooks(stage, undisturbed),
    ]


def wrong_commits(stage: Stage, undisturbed: Stage):
    """Tell where more, less or something else was committed than is due."""
    commits = stage.commits
    if commits != undisturbed.commits[: len(commits)]:
        yield f"committed {commits}"
    for fault, point in stage.puppet.made[:1]:
        if len(commits) < point.commits:
            yield "a commit was undone"
        at_once = not fault.woken and (fault.what != "scope" or not runs_on_asyncio())
        shielded = point.place.startswith("journal") or point.task == "asleep"
        if at_once and point.commits == 0 and not shielded and commits:
            yield f"committed {commits} after a fault that came before"


def wrong_answer(stage: Stage, undisturbed: Stage):
    """Tell where the caller was told anything but what happened."""
    made = stage.puppet.made
    cancelled = [fault for fault, _ in made if fault.cancels]
    first = next(iter(stage.committed), None)
    if stage.answer == "none":
        yield "no answer"
    if stage.answer == "returned" and stage.scene.triggers and stage.value is not first:
        yield f"told of {stage.value}, committed {first}"
    told_else = stage.value != undisturbed.value
    if stage.answer == "returned" and not stage.scene.triggers and told_else:
        yield f"told {stage.value}, not {undisturbed.value}"
    if stage.answer == "failed" and stage.error.transition is not first:
        yield f"told of {stage.error.transition}, committed {first}"
    if stage.answer == "refused" and first is not None:
        yield f"told that it was refused, but {first}"
    if (stage.answer == "closed") is not stage.puppet.closed:
        yield "closed, but went on"
    if stage.answer == "cancelled" and not cancelled:
        yield "told that it was cancelled, which it was not"
    if stage.answer != "closed" and stage.caught is not bool(cancelled):
        yield "a cancellation was swallowed, or invented"
    if stage.answer != "closed" and stage.went_on is bool(cancelled):
        yield "went on although it was cancelled, or did not"
    if not made and stage.answer != undisturbed.answer:
        yield "another answer without any fault"
    yield from wrong_error(stage)


def wrong_error(stage: Stage):
    """Tell where an error that was raised got lost."""
    made = stage.puppet.made
    if len(made) != 1 or made[0][0].error is None:
        return
    (fault, point), (raised,) = made[0], stage.puppet.raised
    slot, _, trigger = point.place.partition(" ")
    if slot == "finalize" and trigger not in stage.commits and fault.what == "error":
        return  # the trigger was refused for another reason, which is what the caller is told
    if fault.what != "error":
        if stage.error is not raised:
            yield f"an interrupt got lost: {stage.error!r}"
    elif point.commits == 0 and stage.answer != "failed":
        if raised not in (stage.error, stage.error.__cause__, stage.error.__context__):
            yield f"an error before the commit got lost: {stage.error!r}"
    elif stage.answer != "failed" or not stage.error.subgroup(lambda error: error is raised):
        yield f"an error after the commit got lost: {stage.error!r}"


def wrong_hooks(stage: Stage, undisturbed: Stage):
    """Tell where hooks did not run that run in any case, or ran twice."""
    if len(set(stage.began)) != len(stage.began):
        yield f"hooks ran twice: {stage.began}"
    if stage.puppet.closed or not stage.began:
        return
    thrown = {point.place for fault, point in stage.puppet.made if fault.error is not None}
    for trigger in stage.commits[:1] if stage.began else []:
        due = [
            place
            for place in undisturbed.began
            if place.startswith(AFTER) and place.endswith(f" {trigger}")
        ]
        began = [place for place in stage.began if place in due]
        if began != due:
            yield f"after the commit {began} ran, not {due}"
    cut = [place for place in stage.began if place.startswith(SHIELDED)]
    cut = [place for place in cut if place in undisturbed.ran and place not in stage.ran]
    if not thrown.issuperset(cut):
        yield f"cut short: {cut}"
    last = f"finalize {stage.began[0].split()[-1]}"
    if last not in stage.began:
        yield f"{last} did not run"
