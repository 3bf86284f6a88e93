"""A runner explored by seeded schedules: nothing is found in it, and every fault put into it is.

``JOBSTATE_SCHEDULES`` says how many are played (of a hundred, 21 are the runner's), and
``JOBSTATE_SEED`` where to begin. What is found tells the smallest schedule that shows it, and its
seed, by which it is played again.
"""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest

from jobstate import Cancellation, RevokeCause, _attempts, _dispatch, _line, _timers
from jobstate._status import JobStatus
from jobstate._work import BY_USER, SHUTDOWN, Stop

from .runner.explore import Found, explored  # type: ignore[import-not-found]  # no package

SCHEDULES = int(os.environ.get("JOBSTATE_SCHEDULES", "10000"))
SEED = int(os.environ.get("JOBSTATE_SEED", "0"))
BACKENDS = ["asyncio", "trio"]
SHARES = {"asyncio": 0.15, "trio": 0.06}
"""How many schedules are played on each backend: Trio takes twice as long for one."""


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_found(backend):
    """Each job ends exactly once, nothing is left running, and everybody is told the truth."""
    met: Counter[object] = Counter()
    for world in explored(range(SEED, SEED + int(SCHEDULES * SHARES[backend])), backend):
        met.update(job.status for job in world.jobs.values())
        met.update(asked.answer for asked in world.asked)
        met["runs"] += len(world.runs)
    seldom = {what: met[what] for what in (*Cancellation, *JobStatus) if met[what] < 5}
    assert set(seldom) <= {JobStatus.PENDING, JobStatus.STARTED, JobStatus.RETRY}
    assert met["runs"] > SCHEDULES * SHARES[backend]


# --- faults -----------------------------------------------------------------------------------


def lost_wake_up(monkeypatch):
    """A place is given back, and nobody looks who is next."""

    def attempt_over(self, work):
        self._line.give_back(work.demand)
        wake, self.wake = self.wake, lambda: None
        if self.work_of(work.job) is work:
            self.get_ready(work)
        self.wake = wake

    monkeypatch.setattr(_dispatch.Dispatch, "attempt_over", attempt_over)


def resources_kept(monkeypatch):
    """Named resources are not given back."""
    give_back = _line.Line.give_back

    def keep(self, demand):
        give_back(self, {kind: n for kind, n in demand.items() if not isinstance(kind, str)})

    monkeypatch.setattr(_line.Line, "give_back", keep)


def one_place_too_many(monkeypatch):
    """The line gives one more of everything than there is."""
    take_next = _line.Line.next

    def generous(self):
        self._free = {kind: units + 1 for kind, units in self._free.items()}
        who = take_next(self)
        self._free = {kind: units - 1 for kind, units in self._free.items()}
        return who

    monkeypatch.setattr(_line.Line, "next", generous)


def last_come_first_served(monkeypatch):
    """Of those who wait, the last goes first."""
    rank = _dispatch.Dispatch.rank

    def reverse(self, priority):
        minus, arrival = rank(self, priority)
        return minus, -arrival

    monkeypatch.setattr(_dispatch.Dispatch, "rank", reverse)


def delay_ignored(monkeypatch):
    """The next attempt is made at once."""
    moved = _dispatch.Dispatch.moved

    def hasty(self, job):
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(_dispatch, "loop_time", lambda: 0.0)
            moved(self, job)

    monkeypatch.setattr(_dispatch.Dispatch, "moved", hasty)


def deadline_forgotten(monkeypatch):
    """Nobody is asked to stop when a job's time is over."""
    monkeypatch.setattr(_dispatch.Dispatch, "_overdue", lambda self, work, seconds: None)


def attempt_not_timed(monkeypatch):
    """Nobody is asked to stop when an attempt's time is over."""
    monkeypatch.setattr(_attempts.Attempts, "_too_long", lambda self, work, running, limit: None)


def grace_without_end(monkeypatch):
    """Nothing happens when the time of grace is over."""
    monkeypatch.setattr(_attempts.Attempts, "_enforce", lambda self, work, running: None)


def timers_late(monkeypatch):
    """A timer that is earlier than those before it wakes nobody."""
    init = _timers.Timers.__init__
    monkeypatch.setattr(_timers.Timers, "__init__", lambda self, earlier: init(self, lambda: None))


def dependents_not_told(monkeypatch):
    """Who waits for other jobs does not hear of their end."""
    monkeypatch.setattr(_dispatch.Dispatch, "dependency_ended", lambda self, work, job: None)


def dependents_hasty(monkeypatch):
    """A job gets in line although it waits for others."""
    get_ready = _dispatch.Dispatch.get_ready

    def hasty(self, work):
        after, work.after = work.after, {}
        get_ready(self, work)
        work.after = after

    monkeypatch.setattr(_dispatch.Dispatch, "get_ready", hasty)


def concluded_twice(monkeypatch):
    """A job that has ended ends again."""
    conclude = _attempts.conclude

    async def twice(work, *facts):
        await conclude(work, *facts)
        last = work.job._history[-1]
        if work.job._state.final:
            work.job._history.append(last._replace(version=last.version + 1))

    monkeypatch.setattr(_attempts, "conclude", twice)


def moved_before_the_end(monkeypatch):
    """A user's request revokes the job before its work has stopped."""
    stop = _attempts.Attempts.stop

    def hasty(self, work, running, why):
        stop(self, work, running, why)
        if why.rank == BY_USER:
            running.over = True
            self._dispatcher.start_soon(self._conclude, work, running, None, ValueError())

    monkeypatch.setattr(_attempts.Attempts, "stop", hasty)


def interrupted_too_early(monkeypatch):
    """The answer to a request is given before the work has stopped."""

    async def cancel(self, work, reason):
        running = work.running
        if running is None or running.over:
            return await work.job._revoke_for_user(reason)
        await work.job._ask("revoke", reason)
        self.stop(work, running, Stop(BY_USER, reason, RevokeCause.USER))
        return Cancellation.INTERRUPTED

    monkeypatch.setattr(_attempts.Attempts, "cancel", cancel)


def shutdown_forgets_who_waits(monkeypatch):
    """Closing stops what runs, and leaves what waits."""

    def close(self, reason):
        if self._closing is None:
            self._closing = stop = Stop(SHUTDOWN, reason, RevokeCause.SHUTDOWN)
            self.attempts.stop_all(stop)

    monkeypatch.setattr(_dispatch.Dispatch, "close", close)


def shutdown_forgets_who_runs(monkeypatch):
    """Closing revokes what waits, and lets run what runs."""
    monkeypatch.setattr(_attempts.Attempts, "stop_all", lambda self, stop: None)
    end = _dispatch.Dispatch._end

    def only_waiting(self, work, stop):
        if stop.rank != SHUTDOWN or work.running is None:
            end(self, work, stop)

    monkeypatch.setattr(_dispatch.Dispatch, "_end", only_waiting)


STUCK = "every task waits for something that can never happen"
OPEN = "has not ended though"
FAULTS = {
    lost_wake_up: STUCK,
    resources_kept: f"{STUCK}|were given back|{OPEN}",
    one_place_too_many: "begins, the .*th of|th in its executor|there are",
    last_come_first_served: "started at .* before",
    delay_ignored: "after .* s, not",
    deadline_forgotten: "its timeout is",
    attempt_not_timed: "attempt . took",
    grace_without_end: f"its timeout is|took|{OPEN}|was cancelled: .* after .* s|{STUCK}",
    timers_late: f"its timeout is|took|{STUCK}|only after|after .* s",
    dependents_not_told: f"{STUCK}|its timeout is|started at .* before",
    dependents_hasty: "begins, but <Job",
    concluded_twice: "has ended 2 times|as its|has moved unheard|went Transition",
    moved_before_the_end: "while its work ran|goes on",
    interrupted_too_early: "was cancelled: INTERRUPTED, but",
    shutdown_forgets_who_waits: f"{OPEN}|{STUCK}",
    shutdown_forgets_who_runs: f"{OPEN}|{STUCK}",
}
"""Each fault, and what the check that it is for says."""


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(fault, backend, monkeypatch):
    """A runner with the fault fails by the check that is for it, and again in the same way."""
    fault(monkeypatch)
    with pytest.raises(Found) as first:
        list(explored(range(2_000), backend, shrink=False))
    assert re.search(FAULTS[fault], first.value.problem)
    with pytest.raises(Found) as again:
        list(explored([first.value.seed], backend, shrink=False))
    assert again.value.trace == first.value.trace


def test_the_smallest_schedule_is_told(monkeypatch):
    """What does not matter to the fault is left out of what is told."""
    deadline_forgotten(monkeypatch)
    with pytest.raises(Found, match="its timeout is") as found:
        list(explored(range(1_000), "asyncio"))
    assert f"seed {found.value.seed}, asyncio" in str(found.value)
    assert len(found.value.trace) < 15
