"""The explorer finds nothing in the library, and finds every fault that is put into it."""

import math
import os
import re
from contextlib import suppress
from contextvars import ContextVar
from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    Job,
    JobStateError,
    JobStatus,
    Lifecycle,
    Refused,
    _job,
    _moving,
    _several,
    _standing,
    _transit,
    _turn,
    _waiting,
)
from jobstate._replay import entry_of
from jobstate.testing import Deadlock, ExplorationFailed, explore, run_seeded

SCHEDULES = int(os.environ.get("JOBSTATE_SCHEDULES", "10000"))
"""How many random schedules the tests in which nothing may be found play in all."""

SEED = int(os.environ.get("JOBSTATE_SEED", "0"))
BACKENDS = ["asyncio", "trio"]
SHARES = {"job": 0.3, "review": 0.1, "rough": 0.1}
"""Which part of the schedules each lifecycle gets, on each backend."""

REVIEW = Lifecycle(
    "review",
    states=["DRAFT", "REVIEW", "PAUSED", {"name": "DONE", "final": True}],
    transitions=[
        ["submit", "DRAFT", "REVIEW"],
        ["touch", ["DRAFT", "REVIEW"], None],
        ["redo", "REVIEW", "="],
        ["pause", "REVIEW", "PAUSED"],
        ["resume", "PAUSED", "REVIEW"],
        ["approve", "REVIEW", "DONE"],
        ["drop", ["DRAFT", "PAUSED"], "DONE"],
    ],
    means={"REVIEW": JobStatus.STARTED, "DONE": JobStatus.SUCCESS},
)


def edges_of(lifecycle):
    """Return every edge as `explore` names it."""
    return {(edge.trigger, edge.source, edge.dest) for edge in lifecycle.edges}


def explored(lifecycle, **options):
    """Return what came of the lifecycle's share of the schedules."""
    schedules = math.ceil(SCHEDULES * SHARES[lifecycle.name])
    return explore(lifecycle, schedules=schedules, seed=SEED, **options)


def test_the_schedules_are_shared_out():
    """The tests play as many schedules in all as the environment asks for."""
    assert sum(SHARES.values()) * len(BACKENDS) == pytest.approx(1)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_found_in_the_default_lifecycle(backend):
    """No schedule breaks a promise, and every edge there is was taken."""
    found = explored(JOB_LIFECYCLE, backend=backend)
    assert found.edges == edges_of(JOB_LIFECYCLE)
    assert found.missed == frozenset()
    assert min(found.transitions, found.refusals, found.cancellations) > found.schedules / 2


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_found_in_a_lifecycle_of_ones_own(backend):
    """Internal and reflexive transitions, pauses and more jobs keep the promises too."""
    found = explored(REVIEW, jobs=3, actors=7, backend=backend)
    assert found.edges == edges_of(REVIEW)


# --- paths ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("lifecycle", [JOB_LIFECYCLE, REVIEW], ids=lambda each: each.name)
def test_paths_take_every_edge(lifecycle, backend):
    """A few short paths take every edge, without any random schedule."""
    found = explore(lifecycle, schedules=0, backend=backend)
    assert found.edges == edges_of(lifecycle)
    assert found.missed == frozenset()
    assert len(found.edges) <= found.transitions < 3 * len(found.edges)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_guards_never_let_happen_is_told(backend):
    """Where no job has a second attempt, what comes of one was missed, and nothing else."""
    found = explore(job_type=partial(Job, max_attempts=1), schedules=20, backend=backend)
    around = {edge for edge in edges_of(JOB_LIFECYCLE) if "RETRY" in edge[1:]}
    assert found.missed == around
    assert found.edges == edges_of(JOB_LIFECYCLE) - around


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_path_tries_again_with_other_arguments_and_jobs(backend):
    """A guard that lets few arguments pass, and only some jobs, keeps no path from its edge."""
    lifecycle = JOB_LIFECYCLE.derive("picky")
    lifecycle.guard("start", source="PENDING")(lambda event: event.args[0] % 5 == 0)
    lifecycle.guard("requeue", source="STARTED")(lambda event: event.job.id[-1] in "13579")
    found = explore(
        lifecycle,
        arguments={"start": lambda draw: ((draw.randrange(100),), {})},
        schedules=0,
        backend=backend,
    )
    assert found.missed == frozenset()
    assert found.refusals > 10


def test_paths_go_around_what_is_shut():
    """Every path comes to an end, where the shortest way is never open by another."""
    lifecycle = Lifecycle(
        "detour",
        states=["A", "B", "C", "D", {"name": "END", "final": True}],
        transitions=[
            ["step", "A", "B"],
            ["jump", "B", "END"],
            ["step", "B", "C"],
            ["step", "C", "D"],
            ["step", "D", "END"],
        ],
    )
    begun, ended = [], []
    lifecycle.guard("jump")(lambda event: False)
    lifecycle.on_exit("A")(lambda event: begun.append(event.job.id))
    lifecycle.on_enter("END")(lambda event: ended.append(event.job.id))
    assert explore(lifecycle, schedules=0).missed == {("jump", "B", "END")}
    assert begun == ended


def test_paths_go_on_by_what_is_new():
    """Past its aim a path prefers edges that none has taken, so that few paths are needed."""
    lifecycle = Lifecycle(
        "pairs",
        states=["A", "B", {"name": "END", "final": True}],
        transitions=[
            ["left", "A", "B"],
            ["right", "A", "B"],
            ["left", "B", "END"],
            ["right", "B", "END"],
        ],
    )
    found = explore(lifecycle, schedules=0)
    assert (found.transitions, found.missed) == (4, frozenset())


@pytest.mark.parametrize("backend", BACKENDS)
def test_paths_are_not_disturbed(backend):
    """On a path a job follows the lifecycle itself, with no hook but its own, alone."""
    lifecycle = JOB_LIFECYCLE.derive("own")
    followed, ids = set(), set()

    @lifecycle.before("*")
    def note(event):
        followed.add(event.job.lifecycle)
        ids.add(event.job.id)
        assert event.job._own is None

    found = explore(lifecycle, schedules=0, backend=backend)
    assert followed == {lifecycle}
    assert ids == {f"job{number}" for number in range(len(ids))}
    assert (found.raised, found.missed) == (frozenset(), frozenset())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("is_async", [False, True])
def test_exception_hooks_may_answer_a_refusal(is_async, backend):
    """A refusal that the lifecycle's own hook turns into another error is one all the same."""

    def answer(event):
        raise LookupError("no such step")

    async def answer_later(event):
        await checkpoint()
        answer(event)

    lifecycle = JOB_LIFECYCLE.derive("answering")
    lifecycle.on_exception(answer_later if is_async else answer)
    assert explore(lifecycle, schedules=0, backend=backend).missed == frozenset()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_path_that_fails_is_the_same_whatever_the_seed(backend):
    """The trace has the steps that lead to the failure, and any seed plays it again."""
    lifecycle = JOB_LIFECYCLE.derive("stuck")

    @lifecycle.on_enter("RETRY")
    async def stuck(event):
        await anyio.sleep_forever()

    with pytest.raises(ExplorationFailed, match="can never happen") as first:
        explore(lifecycle, schedules=0, backend=backend)
    asked = [line.partition(" asks ")[2] for line in first.value.trace if " asks " in line]
    job = asked[0].split()[0]
    assert asked == [f"{job} (PENDING) to start", f"{job} (STARTED) to retry"]
    assert first.value.trace[-1].endswith(asked[-1])  # and not what became of it afterwards
    with pytest.raises(ExplorationFailed) as again:
        explore(lifecycle, schedules=1, seed=77, backend=backend)
    assert (again.value.problem, again.value.trace) == (first.value.problem, first.value.trace)
    assert again.value.seed == 77


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_wrong_with_the_callers_own_functions_is_raised(backend):
    """An error in what makes jobs or draws arguments is no failure of a schedule."""
    for wrong in ({"job_type": lambda id: Job(id)}, {"arguments": {"start": lambda: ((), {})}}):
        with pytest.raises(TypeError, match="argument"):
            explore(schedules=1, backend=backend, **wrong)


# --- faults -----------------------------------------------------------------------------------


def read_then_listen(monkeypatch):
    """A wait that looks first, and listens only after others have run."""

    async def late(job):
        if not job._state.final:
            await checkpoint()
            end = _waiting.waiter(_waiting.running_loop())
            job._at_end = _waiting.joined(job._at_end, end)
            try:
                await end
            finally:
                job._at_end = _waiting.left(job._at_end, end)
        return job._ended()

    monkeypatch.setattr(_job, "until_ended", late)


def single_waiter_slot(monkeypatch):
    """Room for one listener: the second strands the first."""
    monkeypatch.setattr(_waiting, "joined", lambda listeners, one: one)


def wake_before_commit(monkeypatch):
    """Who waits for the end is woken before the hooks that come before the commit."""
    chosen = _transit._chosen

    async def waking(way, event, turn):
        edge = await chosen(way, event, turn)
        if not isinstance(edge, Refused) and edge.dest.final:
            for waiting in _waiting.each(event.job._at_end):
                waiting.ended(event.job)
        return edge

    monkeypatch.setattr(_transit, "_chosen", waking)


def swallowed_cancellation(monkeypatch):
    """A trigger that is cancelled answers as if it had been done."""
    move = _job.Job._move

    async def deaf(self, trigger, args, kwargs):
        try:
            return await move(self, trigger, args, kwargs)
        except anyio.get_cancelled_exc_class():
            return None

    monkeypatch.setattr(_job.Job, "_move", deaf)


def forgotten_cancellation(monkeypatch):
    """What cancelled a caller while hooks ran is held back, and never raised."""
    monkeypatch.setattr(_turn.Turn, "_hold_back", lambda self, cancellation: None)


def hooks_at_the_same_time(monkeypatch):
    """Hooks run as `asyncio.gather` runs them: each in a task of its own."""
    settle = _transit._settle

    async def gathered(callbacks, event, turn, failures):
        async def all_of_them():
            async with anyio.create_task_group() as tasks:
                for callback in callbacks:
                    tasks.start_soon(settle, [callback], event, turn, failures)

        if len(callbacks) < 2:
            await settle(callbacks, event, turn, failures)
        else:
            await turn.shielded(all_of_them())

    monkeypatch.setattr(_transit, "_settle", gathered)


def reentrancy_by_context(monkeypatch):
    """Who is in a hook is told by a context variable, which spawned tasks inherit."""
    inside = ContextVar("inside", default=frozenset())
    run = _transit.run

    async def marked(job, *args):
        token = inside.set(inside.get() | {job.id})
        try:
            return await run(job, *args)
        finally:
            inside.reset(token)

    check = _moving.Moving._check_not_mine

    def by_context(self, trigger, turn):
        if self.id in inside.get():
            raise _moving.ReentrantTrigger(self.id, self.status, trigger)
        check(self, trigger, turn)

    monkeypatch.setattr(_moving, "run", marked)
    monkeypatch.setattr(_moving.Moving, "_check_not_mine", by_context)


def turn_not_handed_on(monkeypatch):
    """A turn that comes to a task just being cancelled is lost with it."""
    wait = _turn.Turn.wait
    monkeypatch.setattr(_turn.Turn, "wait", lambda self, release: wait(self, lambda: None))


def last_come_first_served(monkeypatch):
    """The newest in line is next."""

    class Stack(_turn.OrderedDict):
        def popitem(self, last=False):
            return super().popitem(last=True)

    monkeypatch.setattr(_turn, "OrderedDict", Stack)


def half_a_commit(monkeypatch):
    """The status changes at once, all else only after the hooks on entering it."""
    commit, settle = _standing.Standing._commit, _transit._settle
    owed = {}

    def first_half(self, dest, transition, effects):
        if self._turn is None:
            commit(self, dest, transition, effects)
        else:
            self._state, owed[self] = dest, (dest, transition, effects)

    async def second_half(callbacks, event, turn, failures):
        await settle(callbacks, event, turn, failures)
        if event.job in owed:
            commit(event.job, *owed.pop(event.job))

    monkeypatch.setattr(_standing.Standing, "_commit", first_half)
    monkeypatch.setattr(_transit, "_settle", second_half)


def deferred_too_late(monkeypatch):
    """What a hook defers is run once the turn has been handed on."""
    run, move = _transit._transit, _job.Job._move
    late = {}

    async def keeping(job, trigger, args, kwargs, effects, turn, *more):
        answer = await run(job, trigger, args, kwargs, effects, turn, *more)
        late.setdefault(job, []).extend(turn.deferred)
        turn.deferred.clear()
        return answer

    async def moving(self, trigger, args, kwargs):
        transition = await move(self, trigger, args, kwargs)
        for each in late.pop(self, ()):
            with suppress(JobStateError):
                await move(self, *each[:3])
        return transition

    monkeypatch.setattr(_transit, "_transit", keeping)
    monkeypatch.setattr(_job.Job, "_move", moving)


def deferred_and_forgotten(monkeypatch):
    """What a hook defers is lost where somebody waits for the turn."""
    run = _transit._transit

    async def forgetting(job, trigger, args, kwargs, effects, turn, *more):
        answer = await run(job, trigger, args, kwargs, effects, turn, *more)
        if turn._queue:
            turn.deferred.clear()
        return answer

    monkeypatch.setattr(_transit, "_transit", forgetting)


def committed_though_refused(monkeypatch):
    """A journal that cannot write is logged, and not heeded."""

    async def readied(job, event, effects, turn, *more):
        edge = await _transit._chosen(job._state.ways.get(event.trigger), event, turn)
        if isinstance(edge, Refused):
            return edge
        for callback in edge.before:
            await _transit._called(callback, event, turn)
        transition = job._drafted(edge, effects)
        if job._journal is not None:
            with suppress(Exception):
                await turn.shielded(job._journal.append(entry_of(edge, transition, effects)))
        return edge, transition

    monkeypatch.setattr(_transit, "_readied", readied)


def journalled_after_commit(monkeypatch):
    """The journal is written once the job has moved."""
    commit, readied = _standing.Standing._commit, _transit._readied

    async def hasty(job, event, effects, turn, *more):
        journal = job._journal
        if journal is None:
            return await readied(job, event, effects, turn, *more)
        job._own.journal = None
        try:
            ready = await readied(job, event, effects, turn, *more)
        finally:
            job._own.journal = journal
        if not isinstance(ready, Refused):
            edge, transition = ready
            commit(job, edge.dest, transition, effects)
            await turn.shielded(journal.append(entry_of(edge, transition, effects)))
        return ready

    def once(self, dest, transition, effects):
        if transition not in self._history:
            commit(self, dest, transition, effects)

    monkeypatch.setattr(_standing.Standing, "_commit", once)
    monkeypatch.setattr(_transit, "_readied", hasty)


def change_dropped_when_cancelled(monkeypatch):
    """A stream moves on to the next change before it lets others run and returns it."""
    read = _waiting.Changes.__anext__

    async def polite(self):
        change = await read(self)
        await checkpoint()
        return change

    monkeypatch.setattr(_waiting.Changes, "__anext__", polite)


def ended_while_registering(monkeypatch):
    """A wait for several looks at all of them, lets others run, and only then listens."""
    wait_for = _several._Collector.wait_for

    async def late(self, wanted):
        await checkpoint()
        for job in () if self.listening else self.pending:
            job._at_end = _waiting.joined(job._at_end, self)
        self.listening = True
        await wait_for(self, wanted)

    monkeypatch.setattr(_several._Collector, "listen", lambda self: None)
    monkeypatch.setattr(_several._Collector, "wait_for", late)


def ended_between_waits(monkeypatch):
    """A wait for several that is taken up again listens, without a look at what it has missed."""

    def listen(self):
        for job in () if self.listening else self.pending:
            job._at_end = _waiting.joined(job._at_end, self)
        self.listening = True

    monkeypatch.setattr(_several._Collector, "listen", listen)


def invalid_trigger_ignored(monkeypatch):
    """A trigger that the status does not have does nothing, and says so to nobody."""
    move = _job.Job._move

    async def quiet(self, trigger, args, kwargs):
        if self._history and self._known(trigger) not in self._state.ways:
            return self._history[-1]
        return await move(self, trigger, args, kwargs)

    monkeypatch.setattr(_job.Job, "_move", quiet)


def refusal_leaves_a_trace(monkeypatch):
    """What a trigger leaves on the job is noted before it is known whether it is refused."""
    effects_of = _job.Job._effects

    def eager(self, trigger, args, kwargs):
        effects = effects_of(self, trigger, args, kwargs)
        if effects.error is not None:
            self._error = effects.error
        return effects

    monkeypatch.setattr(_job.Job, "_effects", eager)


STUCK = "every task waits for something that can never happen"
FAULTS = {
    read_then_listen: STUCK,
    single_waiter_slot: STUCK,
    wake_before_commit: "was told Outcome|was told that <Job|raised IndexError",
    swallowed_cancellation: "swallowed its cancellation|returned, but without a transition",
    forgotten_cancellation: "swallowed its cancellation",
    hooks_at_the_same_time: "two hooks of job. ran at the same time",
    reentrancy_by_context: "is in no hook, but was told",
    turn_not_handed_on: f"{STUCK}|was never given back",
    last_come_first_served: "had their turns in the order",
    half_a_commit: "half of a commit shows",
    deferred_too_late: "had their turns in the order|returned after 1 of 2 commits",
    deferred_and_forgotten: "returned after . of . commits",
    committed_though_refused: "the journal of job. has",
    journalled_after_commit: "was committed before it was written",
    change_dropped_when_cancelled: "of . versions after",
    ended_while_registering: STUCK,
    ended_between_waits: STUCK,
    invalid_trigger_ignored: "was not refused",
    refusal_leaves_a_trace: "was refused, but changed",
}
"""Each fault, and what the check that it is for says."""

NOT_ON_TRIO = {forgotten_cancellation}
"""Trio itself holds back the cancellation of what is shielded, and never forgets it."""


@pytest.mark.parametrize(
    ("fault", "backend"),
    [
        pytest.param(fault, backend, id=f"{fault.__name__}-{backend}")
        for fault in FAULTS
        for backend in BACKENDS
        if backend == "asyncio" or fault not in NOT_ON_TRIO
    ],
)
def test_every_fault_is_found(fault, backend, monkeypatch):
    """A library with the fault fails by the check that is for it, and again in the same way."""
    fault(monkeypatch)
    with pytest.raises(ExplorationFailed) as first:
        explore(schedules=2_000, backend=backend)
    assert re.search(FAULTS[fault], first.value.problem)
    with pytest.raises(ExplorationFailed) as again:
        explore(schedules=1, seed=first.value.seed, backend=backend)
    assert str(again.value) == str(first.value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fault", [invalid_trigger_ignored, refusal_leaves_a_trace])
def test_paths_ask_for_what_a_status_lacks(fault, backend, monkeypatch):
    """A trigger that should be refused and is not, or leaves something behind, is found."""
    fault(monkeypatch)
    with pytest.raises(ExplorationFailed) as failed:
        explore(schedules=0, backend=backend)
    assert re.search(FAULTS[fault], failed.value.problem)
    assert failed.value.trace[-1].endswith("in vain")
    assert len(failed.value.trace) <= 3


def test_a_failure_tells_the_smallest_schedule(monkeypatch):
    """What does not matter to the fault is left out of the trace."""
    single_waiter_slot(monkeypatch)
    with pytest.raises(ExplorationFailed) as failed:
        explore(schedules=1_000)
    assert "can never happen" in failed.value.problem
    assert len(failed.value.trace) < 15
    assert f"seed {failed.value.seed}, asyncio" in str(failed.value)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("backend", BACKENDS)
def test_hooks_that_raise_break_no_promise(backend):
    """Guards and hooks of one's own may raise, refuse and trigger; the job keeps its promises."""
    lifecycle = JOB_LIFECYCLE.derive("rough")

    @lifecycle.guard("start")
    async def maybe(event):
        await checkpoint()
        return event.job.version % 3 != 1

    @lifecycle.before("succeed")
    async def refuse(event):
        raise ValueError("not yet")

    @lifecycle.on_enter("RETRY")
    async def requeue(event):
        await checkpoint()
        event.job.defer("requeue")

    @lifecycle.after("fail")
    def complain(event):
        raise ValueError("too bad")

    found = explored(lifecycle, backend=backend)
    assert found.raised == {"ValueError('not yet')", "ValueError('too bad')"}
    assert ("succeed", "STARTED", "SUCCESS") in found.missed


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hook_that_never_returns_is_found(backend):
    """A hook that hangs where two jobs met is told as a deadlock, with the way to it."""
    lifecycle = JOB_LIFECYCLE.derive("stuck")
    inside = set()

    @lifecycle.before("start")
    async def stuck(event):
        others = inside - {event.job.id}
        inside.add(event.job.id)
        await checkpoint()
        inside.discard(event.job.id)
        if others:
            await anyio.sleep_forever()

    with pytest.raises(ExplorationFailed, match="can never happen") as failed:
        explore(lifecycle, schedules=100, backend=backend)
    trace = failed.value.trace
    assert {line.split()[3] for line in trace if line.endswith("to start")} == {"job0", "job1"}
    assert not any(line.endswith("cancelled") for line in trace)


@pytest.mark.parametrize("backend", BACKENDS)
def test_jobs_live_in_virtual_time(backend):
    """What a job says of when it moved is in the time of the schedule."""
    lifecycle = JOB_LIFECYCLE.derive("slow")
    took = []

    @lifecycle.before("start")
    async def wait(event):
        await anyio.sleep(3_600)

    @lifecycle.after("start")
    def note(event):
        took.append(event.transition.timestamp - event.job.created_at.timestamp())

    explore(lifecycle, schedules=20, backend=backend)
    assert min(took) >= 3_600


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_actor_may_be_alone(backend):
    """As many actors at most as were asked for, and be it one."""
    assert explore(schedules=20, actors=1, jobs=1, backend=backend).schedules == 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_seed_is_one_order(backend):
    """The same seed plays the same order of events; other seeds play others."""

    async def main():
        order = []

        async def run(number):
            for _ in range(3):
                order.append(number)
                await checkpoint()

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(run, number)
        return tuple(order)

    orders = [run_seeded(main, seed=seed % 20, backend=backend) for seed in range(40)]
    assert orders[:20] == orders[20:]
    assert len(set(orders)) > 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_time_is_virtual(backend):
    """A day passes at once, and what was due in it happens in its order."""

    async def main():
        heard = []

        async def later(hours):
            await anyio.sleep(hours * 3600)
            heard.append(hours)

        async with anyio.create_task_group() as tasks:
            for hours in (24, 1, 2):
                tasks.start_soon(later, hours)
        with anyio.move_on_after(5):
            await anyio.sleep_forever()
        return heard

    assert run_seeded(main, seed=1, backend=backend) == [1, 2, 24]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_deadlock_is_told(backend):
    """A program that can never go on does not hang."""
    with pytest.raises(Deadlock):
        run_seeded(anyio.sleep_forever, seed=1, backend=backend)
