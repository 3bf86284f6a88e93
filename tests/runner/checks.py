"""What must hold of a schedule that is over, by code that shares nothing with the runner."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from .lifecycles import lifecycle_of
from .world import Moved, Run, World

SLACK = 1e-6
FINAL = ("SUCCESS", "FAILURE", "REVOKED")
RESTS = ("PENDING", "RETRY", *FINAL)


def problems_of(world: World) -> list[str]:
    """Return every promise that was broken."""
    if world.over:
        return world.problems
    found = list(world.problems)
    found += _histories(world)
    found += _truth(world)
    found += _answers(world)
    found += _delays(world)
    found += _deadlines(world)
    found += _order(world)
    found += _left_over(world)
    return found


def _moves(world: World, number: int) -> list[Moved]:
    return [move for move in world.moves if move.number == number]


def _histories(world: World) -> Iterator[str]:
    lifecycle = lifecycle_of(world.plan.lifecycle, world.plan.hooks)
    edges = {(edge.trigger, edge.source, edge.dest) for edge in lifecycle.edges}
    for number, job in world.jobs.items():
        status, ends = "PENDING", 0
        for version, step in enumerate(job.history, 1):
            if (step.trigger, step.source, step.dest) not in edges or step.source != status:
                yield f"{job!r} went {step}, from {status}"
            if step.version != version:
                yield f"{job!r} has {step} as its {version}th"
            status = step.dest
            ends += status in FINAL
        if ends != (job._abandoned is None or job.outcome is not None):
            yield f"{job!r} has ended {ends} times"
        stiff = world.plan.lifecycle == "stiff" and _was_held(world, number)
        if job._abandoned is not None and not world.roughness and not stiff:
            yield f"{job!r} was abandoned: {job._abandoned}"
        if [move.transition for move in _moves(world, number)] != list(job.history):
            yield f"{job!r} has moved unheard"


def _runs_of(world: World, number: int) -> dict[int, Run]:
    return {run.attempt: run for run in world.runs if run.number == number}


def _truth(world: World) -> Iterator[str]:
    """Statuses say what the work does: it has ended before its job moves on, or was left behind."""
    grace = world.plan.grace
    for number, job in world.jobs.items():
        runs = _runs_of(world, number)
        if len(runs) != sum(run.number == number for run in world.runs):
            yield f"{job!r}: an attempt began twice"
        for move in _moves(world, number):
            step = move.transition
            ours = (number, step.version) not in world.outside
            run = runs.get(step.attempt)
            asked = world.stops.get((number, step.attempt))
            if step.source in ("STARTED", "PAUSED") and step.dest in RESTS and ours:
                gone = run is None or (run.ended_at is not None and run.ended_at < move.at)
                until = asked[0] + grace if asked is not None else float("inf")
                left = asked is not None and (world.hurried or until <= move.when + SLACK)
                if not gone and not left:
                    yield f"{job!r}: {step} while its work ran"
                excused = step.cause or world.roughness or world.closing is not None
                begun = _started(world, number, step.attempt) in world.outside or run is not None
                if not (begun or asked is not None or excused):
                    yield f"{job!r}: {step}, but nothing ran"
            gave = None if run is None else run.result
            if step.dest == "SUCCESS" and ours and (gave is None or job.result != gave):
                yield f"{job!r} succeeded with {job.result!r}, not that of {run}"
        for attempt, run in runs.items():
            if _started(world, number, attempt) in world.outside:
                yield f"{job!r}: {run}, though others do the work"


def _started(world: World, number: int, attempt: int) -> Any:
    for move in _moves(world, number):
        if move.transition.dest == "STARTED" and move.transition.attempt == attempt:
            return number, move.transition.version
    return None


def _answers(world: World) -> Iterator[str]:
    for asked in world.asked:
        answer, name = asked.answer, f"j{asked.number} was cancelled: {asked.answer}"
        runs = [run for run in asked.running if run.number == asked.number]
        last = _moves(world, asked.number)[-1:]
        if answer in ("PREVENTED", "INTERRUPTED") and asked.status != "REVOKED":
            yield f"{name}, but it is {asked.status}"
        if answer in ("PREVENTED", "TOO_LATE") and asked.status not in FINAL:
            yield f"{name}, but it is {asked.status}"
        if answer == "INTERRUPTED" and any(run.attempt == asked.attempt for run in runs):
            yield f"{name}, but {runs} goes on"
        if answer == "PREVENTED":
            if last and last[0].transition.source not in ("PENDING", "RETRY"):
                yield f"{name}, but it went {last[0].transition}"
            later = [r for r in world.runs if r.number == asked.number and r.began_at > asked.at]
            if later:
                yield f"{name}, but {later} began after that"
        if answer == "UNCONFIRMED" and not runs and world.plan.grace:
            ends = [asked.ended, *_ends_after_grace(world, asked.number)]
            others = any(number == asked.number for number, _ in world.outside)
            given_up = world.jobs[asked.number]._abandoned is not None
            own = [run.ended for run in world.runs if run.number == asked.number]
            if not set(own).intersection(ends) and not given_up and not others:
                yield f"{name}, but nothing runs"
        longest = 2 * world.plan.grace + 2 * world.hook_time
        if asked.ended - asked.began > longest + SLACK and not _was_held(world, asked.number):
            yield f"{name} after {asked.ended - asked.began} s"


def _ends_after_grace(world: World, number: int) -> list[float | None]:
    """Return when attempts of a job ended that had been left behind by then."""
    never = float("inf"), 0
    return [
        run.ended
        for run in world.runs
        if run.number == number
        and (run.ended or 0) >= world.stops.get((number, run.attempt), never)[0] + world.plan.grace
    ]


def _was_held(world: World, number: int) -> bool:
    return any(move.transition.dest == "PAUSED" for move in _moves(world, number))


def _delays(world: World) -> Iterator[str]:
    """A retry comes when it was announced, or as soon after as there is a place."""
    unlimited = world.plan.limit is None and not world.plan.resources and not world.hook_time
    for number, job in world.jobs.items():
        plan, moves = world.plans[number], _moves(world, number)
        for one, other in pairwise(moves):
            step, then = one.transition, other.transition
            if step.dest != "RETRY" or (number, then.version) in world.outside:
                continue
            drawn = plan.retry and plan.retry[1] * 2 ** (step.attempt - 1)
            if (number, step.version) not in world.outside and step.delay != drawn:
                yield f"{job!r}: {step} with that delay"
            waited = other.when - one.when
            if then.trigger == "start":
                if waited < (step.delay or 0) - SLACK:
                    yield f"{job!r}: {then} after {waited} s, not {step.delay}"
                free = plan.executor == "tasks" or world.plan.executor_limit is None
                if unlimited and free and waited > (step.delay or 0) + SLACK:
                    yield f"{job!r}: {then} only after {waited} s, not {step.delay}"


def _deadlines(world: World) -> Iterator[str]:
    slack = world.plan.grace + 2 * world.hook_time + SLACK
    for number, job in world.jobs.items():
        plan, moves = world.plans[number], _moves(world, number)
        held = world.plan.lifecycle == "stiff" and _was_held(world, number)
        if held or not moves or job.outcome is None or job._abandoned is not None:
            continue
        if plan.timeout is not None:
            took = moves[-1].when - world.submitted[number]
            if took > plan.timeout + slack:
                yield f"{job!r} ended after {took} s, its timeout is {plan.timeout}"
        if plan.attempt_timeout is None or _was_held(world, number):
            continue
        for run in _runs_of(world, number).values():
            ends = [m for m in moves if m.at > run.began_at and m.transition.dest in RESTS]
            if ends and ends[0].when - run.began > plan.attempt_timeout + 2 * slack:
                yield f"{job!r}: attempt {run.attempt} took {ends[0].when - run.began} s"


def _order(world: World) -> Iterator[str]:
    """Of two that ask for the same, the first in line goes first."""
    if world.plan.hooks != "none":
        return
    for number, job in world.jobs.items():
        for move in _moves(world, number):
            step = move.transition
            if step.trigger == "start" and (number, step.version) not in world.outside:
                for other in _passed(world, number, move):
                    yield f"{job!r} started at {move.when}, before {world.jobs[other]!r}"


def _passed(world: World, number: int, start: Moved) -> Iterator[int]:
    """Yield those that waited for the same, stood further ahead, and still do after *start*."""
    plan, place = world.plans[number], _place(world, number)
    for other, its in world.plans.items():
        same = its.resources == plan.resources and its.executor == plan.executor
        if not same or other == number or _place(world, other) >= place:
            continue
        if any(move.when <= start.when + SLACK for move in _moves(world, other)):
            continue  # it has not only waited: that is judged by its own moves
        ready = [world.submitted[other]]
        for needed in (*its.after, *its.after_end):
            ends = [m.when for m in _moves(world, needed) if m.transition.dest in FINAL]
            ready.append(ends[0] if ends else float("inf"))
        if max(ready) < start.when - SLACK:
            yield other


def _place(world: World, number: int) -> tuple[int, int]:
    return -world.plans[number].priority, list(world.plans).index(number)


def _left_over(world: World) -> Iterator[str]:
    dispatch = world.runner._dispatch
    if len(dispatch._line):
        yield f"{len(dispatch._line)} are left in line"
    if dispatch._works:
        yield f"the runner still knows {list(dispatch._works)}"
    if len(dispatch._timers._heap):
        yield f"{len(dispatch._timers._heap)} timers are left"
    for kind, units in dispatch._line._free.items():
        limit = world.plan.limit if not hasattr(kind, "limit") else kind.limit
        if units != dict(world.plan.resources).get(kind, limit):
            yield f"of {kind} only {units} were given back"
    for job in world.jobs.values():
        if job.outcome is not None and (job._at_end or job._at_step or job._turn):
            yield f"{job!r} is still listened to: {job._at_end} {job._at_step} {job._turn}"
