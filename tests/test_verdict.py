"""Each check of the explorer speaks up: a lie of the library that it alone is for is found."""

import re
from contextvars import Context
from dataclasses import replace

import pytest

from jobstate import (
    JOB_LIFECYCLE,
    GuardRefused,
    Unreachable,
    _job,
    _loop,
    _several,
    _standing,
    _transit,
    _waiting,
)
from jobstate.testing import ExplorationFailed, _actors, explore


def answer_of_move(changed):
    """Return a lie: what a trigger's caller is told is *changed*, given the job and the truth."""

    def lie(monkeypatch):
        move = _job.Job._move

        async def moving(self, trigger, args, kwargs):
            return changed(self, await move(self, trigger, args, kwargs))

        monkeypatch.setattr(_job.Job, "_move", moving)

    return lie


def drafted(**changed):
    """Return a lie: transitions are recorded with other facts."""

    def lie(monkeypatch):
        draft = _standing.Standing._drafted
        monkeypatch.setattr(
            _standing.Standing, "_drafted", lambda *given: draft(*given)._replace(**changed)
        )

    return lie


def patched(owner, name, value):
    """Return a lie: something is replaced."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def raise_now_and_then(job, transition):
    """Tell of an error where a transition was committed."""
    if job.version == 2:
        raise RuntimeError("no idea")
    return transition


async def always_unreachable(job, wanted, values, after):
    raise Unreachable(job.id, job.status, values, after)


async def last_arrival(job, wanted, values, after):
    await _waiting.until_ended(job)
    return job.history[-1]


def outdated_progress(monkeypatch):
    record = _standing.Standing._progress_record
    lie = lambda self: replace(record(self), version=0)  # noqa: E731
    monkeypatch.setattr(_standing.Standing, "_progress_record", lie)


def another_outcome(monkeypatch):
    ended = _standing.Standing._ended
    told = iter(range(1_000_000))
    lie = lambda self: ended(self)._replace(attempts=next(told))  # noqa: E731
    monkeypatch.setattr(_standing.Standing, "_ended", lie)


def shuffled_outcomes(monkeypatch):
    all_completed = _several.all_completed

    async def lie(jobs):
        return (await all_completed(jobs))[::-1]

    monkeypatch.setattr(_actors, "all_completed", lie)


async def newest_first(self):
    collector = self._collector
    await collector.wait_for(len(collector.done) + len(collector.pending))
    if not collector.done:
        raise StopAsyncIteration
    return collector.done.pop()


async def without_waiting(self):
    collector = self._collector
    waiting = [*collector.done, *collector.pending]
    if not waiting:
        raise StopAsyncIteration
    collector.pending.discard(waiting[0])
    if waiting[0] in collector.done:
        collector.done.remove(waiting[0])
    waiting[0]._at_end = _waiting.left(waiting[0]._at_end, collector)
    return waiting[0]


def told_twice(monkeypatch):
    tell = _transit.tell_transitioned
    monkeypatch.setattr(_transit, "tell_transitioned", lambda *told: (tell(*told), tell(*told)))


def refused_for_nothing(monkeypatch):
    chosen = _transit._chosen

    async def lie(way, event, turn):
        if way is not None and event.trigger == "requeue":
            return GuardRefused(event.job.id, event.job.status, event.trigger, [])
        return await chosen(way, event, turn)

    monkeypatch.setattr(_transit, "_chosen", lie)


def lost_in_thought(monkeypatch):
    move = _job.Job._move

    async def lie(self, trigger, args, kwargs):
        if trigger not in self._state.ways:
            raise RuntimeError("what?")
        return await move(self, trigger, args, kwargs)

    monkeypatch.setattr(_job.Job, "_move", lie)


def cut_short_when_cancelled(monkeypatch):
    settle = _transit._settle

    async def lie(callbacks, event, turn, failures):
        for callback in callbacks:
            if turn.held_back is None:
                await settle([callback], event, turn, failures)

    monkeypatch.setattr(_transit, "_settle", lie)


def another_transition(monkeypatch):
    commit = _standing.Standing._commit

    def lie(self, dest, transition, effects):
        watched = self.lifecycle is not JOB_LIFECYCLE
        commit(self, dest, transition._replace() if watched else transition, effects)

    monkeypatch.setattr(_standing.Standing, "_commit", lie)


LIES = {
    "versions skip one": (drafted(version=9), "where version 1 from PENDING was due"),
    "a source is wrong": (drafted(source="RETRY"), "where version 1 from PENDING was due"),
    "a trigger is wrong": (drafted(trigger="leap"), "which the lifecycle does not have"),
    "listeners stay": (patched(_waiting, "left", lambda all, one: all), "somebody still listens"),
    "observers hear twice": (told_twice, "observers were told"),
    "callers are told of the first": (
        answer_of_move(lambda job, transition: job.history[0]),
        "two callers were told the same transition",
    ),
    "callers get a copy": (
        answer_of_move(lambda job, transition: transition._replace()),
        "which is not in the history",
    ),
    "callers get nothing": (answer_of_move(lambda job, transition: None), "without a transition"),
    "callers are told of the last": (
        answer_of_move(lambda job, transition: job.history[-1]),
        "the caller of .* was told of",
    ),
    "callers get an error": (answer_of_move(raise_now_and_then), "its caller was told: Call"),
    "hooks run out of context": (patched(_loop, "copy_context", Context), "was not visible in a"),
    "hooks hear of another": (another_transition, "was not over when the next came"),
    "hooks are skipped": (cut_short_when_cancelled, "the last hook ran for"),
    "refused for nothing": (refused_for_nothing, "though there is a way without a guard"),
    "an invalid trigger fails": (lost_in_thought, "was not refused, but raised"),
    "reports are always taken": (
        patched(_standing.Standing, "report", lambda self, progress: None),
        "'s report on job., [A-Z]+, taken: True",
    ),
    "an outcome is wrong": (another_outcome, "was told Outcome.*, but job. is"),
    "nothing is reached": (patched(_job, "until_reached", always_unreachable), "can still be"),
    "the last is reached": (patched(_job, "until_reached", last_arrival), "reached .*, not "),
    "progress is outdated": (outdated_progress, "got progress of 0 after"),
    "outcomes are shuffled": (shuffled_outcomes, "of all of"),
    "the newest comes first": (
        patched(_several.AsCompleted, "__anext__", newest_first),
        "heard of job., job., but they ended",
    ),
    "jobs come before they end": (
        patched(_several.AsCompleted, "__anext__", without_waiting),
        "was told that <Job job. .*> had ended",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_every_check_speaks_up(lie, monkeypatch):
    """The failure says what the check says that the lie is for."""
    tell, says = LIES[lie]
    tell(monkeypatch)
    with pytest.raises(ExplorationFailed) as failed:
        explore(schedules=500)
    assert re.search(says, failed.value.problem)
