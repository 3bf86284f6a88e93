"""What schedules of a runner are drawn for: jobs with their work, and actors with their steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

CAUSES = ("USER", "TIMEOUT", "RESOURCES", "ADMIN")
MOMENTS = (0, 0, 0.5, 1, 1, 2, 3, 5, 8)
"""Virtual seconds: few and coarse, so that much happens at the same moment."""


@dataclass(frozen=True)
class JobPlan:
    """A job: what each attempt at its work does, and how it is submitted."""

    number: int
    scripts: tuple[tuple[tuple[Any, ...], ...], ...]
    """For each attempt its steps; the last script is that of all further attempts."""

    executor: str = "tasks"
    """Where it runs; all but tasks are puppets, named by how they take a stop."""

    priority: int = 0
    resources: tuple[tuple[str, int], ...] = ()
    timeout: float | None = None
    attempt_timeout: float | None = None
    retry: tuple[int, float] | None = None
    """How many attempts, and the first delay."""

    after: tuple[int, ...] = ()
    after_end: tuple[int, ...] = ()


@dataclass(frozen=True)
class Step:
    """One thing that an actor does, after a pause."""

    kind: str
    job: int = 0
    what: Any = None
    wait: float = 0
    """Virtual seconds before it; 0 is a few turns of the loop."""

    patience: float | None = None
    """Virtual seconds after which it is given up."""

    natively: bool = False
    """Given up by a task's own ``cancel()``, where the loop is asyncio's."""


@dataclass(frozen=True)
class Plan:
    """A runner, its jobs, who does what to them, and how its block ends."""

    lifecycle: str = "plain"
    hooks: str = "none"
    """``none``, ``slow`` or ``rough``: slow ones that also refuse and raise."""

    limit: int | None = None
    resources: tuple[tuple[str, int], ...] = ()
    executor_limit: int | None = None
    grace: float = 2
    end: str = "leave"
    end_at: float = 0
    again: tuple[str, ...] = ()
    """What is done to whoever has left the block, one after the other."""

    jobs: tuple[JobPlan, ...] = ()
    actors: tuple[tuple[Step, ...], ...] = field(default=())


def drawn(draw: Random) -> Plan:
    """Return a plan."""
    resources = tuple((name, draw.randint(1, 3)) for name in draw.choice(((), ("gpu",), "ab")))
    lifecycle = draw.choice(("plain", "cancel", "cancel", "pausing", "pausing", "stiff"))
    count = draw.choice((1, 2, 3, 3, 4, 5, 6, 8, 12))
    return Plan(
        lifecycle,
        draw.choice(("none", "none", "none", "slow", "rough")),
        draw.choice((None, 1, 1, 2, 3)),
        resources,
        draw.choice((None, 1, 2)),
        draw.choice((0, 0.5, 2, 2, 10)),
        draw.choice(("leave", "leave", "aclose", "cancel", "native", "raise")),
        draw.choice((0, *MOMENTS, 20)),
        tuple(draw.choice(("native", "aclose", "all")) for _ in range(draw.choice((0, 0, 1, 2)))),
        tuple(_job(draw, number, dict(resources)) for number in range(count)),
        tuple(
            tuple(_step(draw, lifecycle, count) for _ in range(draw.choice((1, 2, 3, 5))))
            for _ in range(draw.choice((0, 1, 2, 3, 5, 8)))
        ),
    )


def _job(draw: Random, number: int, resources: dict[str, int]) -> JobPlan:
    executor = draw.choice(("tasks", "tasks", "tasks", "listens", "slow", "deaf", "process"))
    earlier = [] if number == 0 else draw.sample(range(number), draw.choice((0, 0, 0, 1, 1)))
    asked = draw.choice((0, 0, 1))
    return JobPlan(
        number,
        tuple(_script(draw, number, executor) for _ in range(draw.choice((1, 1, 2, 3)))),
        executor,
        draw.choice((0, 0, 0, 1, -1)),
        tuple((name, draw.randint(0, most)) for name, most in resources.items() if asked),
        draw.choice((None, None, None, 1, 3, 8)),
        draw.choice((None, None, None, 1, 2)),
        draw.choice((None, (2, 1.0), (3, 0.0), (3, 0.5))),
        *draw.choice(((tuple(earlier), ()), ((), tuple(earlier)))),
    )


def _script(draw: Random, number: int, executor: str) -> tuple[tuple[Any, ...], ...]:
    steps: list[tuple[Any, ...]] = []
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        kind = draw.choice(("sleep", "sleep", "sleep", "pause", "report", "shield", "job", "job"))
        if kind in ("sleep", "shield"):
            steps.append((kind, draw.choice(MOMENTS)))
        elif kind == "report":
            steps.append((kind, draw.randrange(101)))
        elif kind == "job":
            kind = draw.choice(("submit", "cancel", "cancel own", "move", "check"))
            steps.append((kind, draw.randrange(number + 2), draw.choice(("fail", "revoke"))))
        else:
            steps.append((kind,))
    ends = ["return", "return", "return", "raise", "raise", "forever", "stop", "unready"]
    if executor == "tasks":
        ends += ["cancelled", "linger"]
    return (*steps, (draw.choice(ends),))


def _step(draw: Random, lifecycle: str, count: int) -> Step:
    kinds = [*("cancel",) * 4, *("trigger",) * 3, "completed", "reached", "changes", "all", "first"]
    kinds += ["value", "stream", "submit", "take over"]
    if lifecycle in ("pausing", "stiff"):
        kinds += ["hold"] * 3
    kind = draw.choice(kinds)
    what: Any = None
    if kind == "trigger":
        what = draw.choice(("revoke", "revoke", "fail", "requeue", "requeue"))
        what = (what, draw.choice(CAUSES))
    elif kind == "reached":
        what = draw.choice(("PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"))
    elif kind in ("hold", "take over"):
        what = draw.choice((0.5, 1, 4))
    return Step(
        kind,
        draw.randrange(count),
        what,
        draw.choice((0, *MOMENTS)),
        None if kind in ("trigger", "hold", "take over") else draw.choice((None, None, 0, 0.5, 2)),
        draw.random() < 0.5,
    )
