"""A table does what its definition says: all that it has, in order, and nothing besides."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

import anyio.lowlevel
import pytest
from transitions import EventData, Machine

from jobstate import (
    JOB_LIFECYCLE,
    CallbackNotFound,
    EdgeInfo,
    GuardRefused,
    HookFailed,
    Job,
    JobStatus,
    Lifecycle,
    RevokeCause,
    Transition,
    TransitionEvent,
    TransitionRefused,
    WouldBlock,
)

pytestmark = pytest.mark.anyio


class Phase(Enum):
    """Statuses of one's own."""

    NEW = "new"
    BUSY = "busy"
    DONE = "done"


def step(trigger: str, source: Any, dest: Any, **more: Any) -> dict[str, Any]:
    """Return a transition as a definition has it."""
    return {"trigger": trigger, "source": source, "dest": dest, **more}


def final(status: Any, **more: Any) -> dict[str, Any]:
    """Return a final state as a definition has it."""
    return {"name": status, "final": True, **more}


def simple(*steps: dict[str, Any], **more: Any) -> Lifecycle[Any]:
    """Return a lifecycle from NEW over BUSY to DONE, with what is added."""
    definition: dict[str, Any] = {
        "states": ["NEW", "BUSY", final("DONE")],
        "transitions": [step("start", "NEW", "BUSY"), step("end", "BUSY", "DONE"), *steps],
    }
    return Lifecycle("simple", **{**definition, **more})


def hooked(lifecycle: Lifecycle[Any]) -> Lifecycle[Any]:
    """Return the same with a hook on everything, so that no step is taken in one go."""
    derived = lifecycle.derive(f"{lifecycle.name}, hooked")
    derived.after("*")(lambda event: None)
    return derived


PAUSABLE = JOB_LIFECYCLE.derive(
    "pausable",
    states=["PAUSED"],
    transitions=[
        step("pause", "STARTED", "PAUSED"),
        step("resume", "PAUSED", "STARTED"),
        step("revoke", "PAUSED", "REVOKED"),
    ],
)
OWN = Lifecycle(
    "own",
    states=[Phase.NEW, Phase.BUSY, final(Phase.DONE)],
    transitions=[
        step("start", Phase.NEW, Phase.BUSY),
        step("beat", Phase.BUSY, None),
        step("restart", Phase.BUSY, "="),
        step("end", [Phase.NEW, Phase.BUSY], Phase.DONE),
    ],
    means={Phase.BUSY: JobStatus.STARTED, Phase.DONE: JobStatus.SUCCESS},
)
LIFECYCLES = [JOB_LIFECYCLE, hooked(JOB_LIFECYCLE), PAUSABLE, hooked(PAUSABLE), OWN, hooked(OWN)]

EDGES = [(lifecycle, edge) for lifecycle in LIFECYCLES for edge in lifecycle.edges]
MISSING = [
    (lifecycle, status, trigger)
    for lifecycle in LIFECYCLES
    for status in lifecycle.statuses
    for trigger in lifecycle.triggers
    if (trigger, status) not in {(edge.trigger, edge.source) for edge in lifecycle.edges}
]


def name(part: Any) -> str:
    """Return what a lifecycle, an edge or a status is called in the name of a test."""
    if isinstance(part, EdgeInfo):
        return f"{part.trigger}-{name(part.source)}-{name(part.dest)}"
    return str(getattr(part, "name", part))


def routes(lifecycle: Lifecycle[Any]) -> dict[Any, list[EdgeInfo[Any]]]:
    """Return the shortest way to each status, as the edges to take one after the other."""
    found: dict[Any, list[EdgeInfo[Any]]] = {lifecycle.initial: []}
    for status in (fresh := [lifecycle.initial]):
        for edge in lifecycle.edges:
            if edge.source == status and edge.dest not in found:
                found[edge.dest] = [*found[status], edge]
                fresh.append(edge.dest)
    return found


async def job_on_the_way(
    lifecycle: Lifecycle[Any], status: Any, *, edge: EdgeInfo[Any] | None = None
) -> Job[Any, Any]:
    """Return a job that stands in *status*, about to take *edge*."""
    taken = [*routes(lifecycle)[status], *([edge] if edge else [])]
    gives_up = any((e.trigger, name(e.dest)) == ("retry", "FAILURE") for e in taken)
    job = Job[Any, Any]("job-1", lifecycle=lifecycle, max_attempts=1 if gives_up else 3)
    for each in taken[: -1 if edge else None]:
        await job.trigger(each.trigger, **arguments(each))
    assert job.status == status
    return job


def arguments(edge: EdgeInfo[Any]) -> dict[str, Any]:
    """Return what lets the guards of an edge pass."""
    return {"cause": RevokeCause.ADMIN} if edge.trigger == "revoke" else {}


async def moved(job: Job[Any, Any], trigger: str, now: bool, **kwargs: Any) -> Transition[Any]:
    """Take a trigger, at once or at its turn."""
    if now:
        return job.trigger_nowait(trigger, **kwargs)
    return await job.trigger(trigger, **kwargs)


# --- the table --------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [False, True], ids=["awaited", "nowait"])
@pytest.mark.parametrize(("lifecycle", "edge"), EDGES, ids=name)
async def test_every_edge_of_the_table_is_taken(
    lifecycle: Lifecycle[Any], edge: EdgeInfo[Any], now: bool
) -> None:
    """A trigger moves the job along the edge, commits one transition, and returns it."""
    job = await job_on_the_way(lifecycle, edge.source, edge=edge)
    version = job.version
    assert job.can(edge.trigger)
    done = await moved(job, edge.trigger, now, **arguments(edge))
    assert (done.trigger, done.source, done.dest) == (edge.trigger, edge.source, edge.dest)
    assert (done.job_id, done.version, done.internal) == (job.id, version + 1, edge.internal)
    assert job.status == edge.dest
    assert job.history[-1] is done
    assert job.version == done.version
    assert (job.outcome is not None) is (edge.dest in lifecycle.final)


@pytest.mark.parametrize("now", [False, True], ids=["awaited", "nowait"])
@pytest.mark.parametrize(("lifecycle", "status", "trigger"), MISSING, ids=name)
async def test_every_missing_edge_is_refused(
    lifecycle: Lifecycle[Any], status: Any, trigger: str, now: bool
) -> None:
    """A trigger that the status does not have says what is possible, and changes nothing."""
    job = await job_on_the_way(lifecycle, status)
    snapshot, history = job.snapshot(), job.history
    assert not job.can(trigger)
    with pytest.raises(TransitionRefused) as caught:
        await moved(job, trigger, now)
    possible = sorted({edge.trigger for edge in lifecycle.edges if edge.source == status})
    assert (caught.value.job_id, caught.value.trigger) == ("job-1", trigger)
    assert caught.value.status == status
    assert caught.value.possible == tuple(possible)
    assert str(caught.value) == (
        f"job job-1 is {name(status)}: cannot {trigger}; "
        f"possible: {', '.join(possible) or 'nothing: it is final'}"
    )
    assert (job.snapshot(), job.history) == (snapshot, history)


def test_all_edges_and_missing_edges_are_tried() -> None:
    """Every trigger is tried from every status of the default lifecycle."""
    taken = {(e.trigger, e.source) for lifecycle, e in EDGES if lifecycle is JOB_LIFECYCLE}
    refused = {(t, s) for lifecycle, s, t in MISSING if lifecycle is JOB_LIFECYCLE}
    assert taken | refused == {(t, s) for t in JOB_LIFECYCLE.triggers for s in JobStatus}
    assert not taken & refused
    assert all((trigger, s) in refused for trigger, _ in taken for s in JobStatus if s.is_terminal)


@pytest.mark.parametrize("cause", RevokeCause)
@pytest.mark.parametrize("base", [JOB_LIFECYCLE, hooked(JOB_LIFECYCLE)], ids=name)
async def test_started_job_is_revoked_on_behalf_of_anyone_but_a_user(
    base: Lifecycle[Any], cause: RevokeCause
) -> None:
    """The guard of a revoke from STARTED asks for the cause."""
    job = Job[Any](lifecycle=base)
    await job.start()
    if cause is RevokeCause.USER:
        with pytest.raises(GuardRefused) as caught:
            await job.revoke(cause=cause)
        assert caught.value.refusals == ((JobStatus.REVOKED, "can_revoke_started", "False"),)
        assert (job.status, job.version) == (JobStatus.STARTED, 1)
    else:
        assert (await job.revoke(cause=cause)).cause is cause


@pytest.mark.parametrize(
    ("max_attempts", "ends"),
    [(1, ["FAILURE"]), (2, ["RETRY", "FAILURE"]), (3, ["RETRY", "RETRY", "FAILURE"])],
)
async def test_retry_falls_to_failure_when_no_attempt_is_left(
    max_attempts: int, ends: list[str]
) -> None:
    """The first candidate of retry is taken while attempts are left, then the second."""
    job = Job[Any](max_attempts=max_attempts)
    seen = []
    while job.outcome is None:
        await job.start()
        seen.append((await job.retry("torn")).dest)
    assert seen == ends


async def test_retry_without_limit_never_falls_to_failure() -> None:
    """``max_attempts=None`` always leaves an attempt."""
    job = Job[Any](max_attempts=None)
    for attempt in range(1, 20):
        await job.start()
        assert (await job.retry("torn")).dest is JobStatus.RETRY
        assert job.attempt == attempt


async def test_only_retry_asks_for_attempts() -> None:
    """A job is started as often as somebody starts it, and is given no attempt back."""
    job = Job[Any](max_attempts=1)
    for attempt in (1, 2):
        await job.start()
        assert (job.attempt, job.has_attempts_left) == (attempt, False)
        await job.requeue()
    await job.start()
    assert (await job.retry("torn")).dest is JobStatus.FAILURE


# --- kinds of transitions ---------------------------------------------------------------------


def edges(lifecycle: Lifecycle[Any], trigger: str) -> list[tuple[Any, Any]]:
    """Return source and destination of each candidate of a trigger."""
    return [(edge.source, edge.dest) for edge in lifecycle.edges if edge.trigger == trigger]


def test_several_sources_get_an_edge_each() -> None:
    """A list of sources stands for a transition from each."""
    lifecycle = simple(step("stop", ["NEW", "BUSY"], "DONE"))
    assert edges(lifecycle, "stop") == [("NEW", "DONE"), ("BUSY", "DONE")]


async def test_reflexive_transition_leaves_and_enters() -> None:
    """``=`` goes from each source to itself, through exit and enter."""
    calls: list[str] = []
    lifecycle = simple(
        step("again", ["NEW", "BUSY"], "="),
        states=["NEW", noting_state("BUSY", calls), final("DONE")],
    )
    assert edges(lifecycle, "again") == [("NEW", "NEW"), ("BUSY", "BUSY")]
    job = Job[Any, str](lifecycle=lifecycle)
    await job.trigger("start")
    calls.clear()
    done = await job.trigger("again")
    assert calls == ["exit BUSY", "enter BUSY"]
    assert (done.source, done.dest, done.internal) == ("BUSY", "BUSY", False)
    assert job.version == 2
    assert (await job.reached("BUSY", after=1)) is done


async def test_internal_transition_neither_leaves_nor_enters() -> None:
    """``dest=None`` runs what is machine-wide and of the transition, and nothing of the status."""
    calls: list[str] = []
    lifecycle = simple(
        step("beat", "BUSY", None, before=noting(calls, "before"), after=noting(calls, "after")),
        states=["NEW", noting_state("BUSY", calls), final("DONE")],
        before_state_change=noting(calls, "before_state_change"),
        after_state_change=noting(calls, "after_state_change"),
        prepare_event=noting(calls, "prepare_event"),
        finalize_event=noting(calls, "finalize_event"),
        on_final=noting(calls, "on_final"),
    )
    lifecycle.on_enter("*")(noting(calls, "attached enter"))
    lifecycle.on_exit("*")(noting(calls, "attached exit"))
    job = Job[Any, str](lifecycle=lifecycle)
    await job.trigger("start")
    job.on("BUSY", noting(calls, "on BUSY"))
    job.on("beat", noting(calls, "on beat"))
    calls.clear()
    done = await job.trigger("beat")
    assert calls == [
        *("prepare_event", "before_state_change", "before"),
        *("after", "after_state_change", "on beat", "finalize_event"),
    ]
    assert (done.source, done.dest, done.internal) == ("BUSY", "BUSY", True)
    assert (job.status, job.version) == ("BUSY", 2)


@pytest.mark.parametrize(("answers", "dest"), [("tt", "A"), ("ft", "B"), ("ff", "C"), ("tf", "A")])
async def test_first_candidate_whose_guards_pass_is_taken(answers: str, dest: str) -> None:
    """Candidates are tried in order of declaration, and none after the first that passes."""
    calls: list[str] = []
    lifecycle = Lifecycle[Any](
        states=["NEW", final("A"), final("B"), final("C")],
        transitions=[
            step("go", "NEW", dest, conditions=noting(calls, dest, answer == "t"))
            for dest, answer in zip("AB", answers, strict=True)
        ]
        + [step("go", "NEW", "C")],
    )
    assert edges(lifecycle, "go") == [("NEW", "A"), ("NEW", "B"), ("NEW", "C")]
    job = Job[Any, str](lifecycle=lifecycle)
    assert (await job.trigger("go")).dest == dest
    assert calls == list("AB"[: "ABC".index(dest) + 1])


async def test_refusal_names_a_guard_of_each_candidate() -> None:
    """Where no candidate passes, each tells its first guard that refused and the answer."""
    lifecycle = simple(
        step("leap", "NEW", "DONE", conditions=["is_able", "is_willing"]),
        step("leap", "NEW", "BUSY", conditions="is_able", unless="is_tired"),
        step("leap", "NEW", None, unless="is_able"),
    )

    class Leaper(Job[Any, Any], lifecycle=lifecycle):
        is_able: Any = 1.5
        is_tired = 0.5

    class AbleLeaper(Leaper):
        is_able = True
        is_willing = False

    with pytest.raises(GuardRefused) as caught:
        await Leaper("leaper").trigger("leap")
    assert caught.value.refusals == (
        *(("DONE", "is_able", "1.5"), ("BUSY", "is_able", "1.5"), ("NEW", "is_able", "1.5")),
    )
    assert str(caught.value) == (
        "job leaper is NEW: cannot leap: guard is_able of the way to DONE answered 1.5; "
        "guard is_able of the way to BUSY answered 1.5; "
        "guard is_able of the way to NEW answered 1.5"
    )
    with pytest.raises(GuardRefused) as caught:
        await AbleLeaper().trigger("leap")
    assert caught.value.refusals == (
        *(("DONE", "is_willing", "False"), ("BUSY", "is_tired", "0.5"), ("NEW", "is_able", "True")),
    )


@pytest.mark.parametrize(
    ("answer", "passes", "passes_unless"),
    [
        *((True, True, False), (False, False, True), (None, False, False)),
        *((1, True, False), (0, False, True), ("yes", False, False), ("", False, False)),
    ],
)
@pytest.mark.parametrize("kind", ["conditions", "unless"])
async def test_guard_is_compared_not_judged(
    kind: str, answer: Any, passes: bool, passes_unless: bool
) -> None:
    """A condition passes if it equals ``True``, an ``unless`` if it equals ``False``."""
    lifecycle = simple(step("leap", "NEW", "DONE", **{kind: lambda: answer}))
    job = Job[Any, str](lifecycle=lifecycle)
    if passes if kind == "conditions" else passes_unless:
        await job.trigger("leap")
    else:
        with pytest.raises(GuardRefused):
            await job.trigger("leap")
    assert job.version == len(job.history) == (job.status == "DONE")


# --- the order of all callbacks ---------------------------------------------------------------


def noting(calls: list[str], name: str, answer: Any = True) -> Callable[..., Any]:
    """Return a callback that notes its name, however it is called."""

    def note(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return answer

    return note


def noting_state(name: str, calls: list[str], **more: Any) -> dict[str, Any]:
    """Return a state that notes when it is left and entered."""
    return {
        "name": name,
        "on_exit": noting(calls, f"exit {name}"),
        "on_enter": noting(calls, f"enter {name}"),
        **more,
    }


def noting_everywhere(calls: list[str]) -> Lifecycle[Any]:
    """Return a lifecycle with two callbacks of the definition and one attached in each slot."""

    def two(name: str, answer: Any = True) -> list[Callable[..., Any]]:
        return [noting(calls, f"{name} {n}", answer) for n in (1, 2)]

    lifecycle = Lifecycle[Any](
        states=[
            {"name": "NEW", "on_exit": two("exit"), "on_enter": two("never")},
            final("DONE", on_enter=two("enter"), on_exit=two("never")),
        ],
        transitions=[
            step(
                *("go", "NEW", "DONE"),
                prepare=two("prepare"),
                conditions=two("condition"),
                unless=two("unless", False),
                before=two("before"),
                after=two("after"),
            ),
        ],
        prepare_event=two("prepare_event"),
        before_state_change=two("before_state_change"),
        after_state_change=two("after_state_change"),
        finalize_event=two("finalize_event"),
        on_exception=two("on_exception"),
        on_final=two("on_final"),
    )
    lifecycle.prepare("go")(noting(calls, "attached prepare"))
    lifecycle.guard("go")(noting(calls, "attached guard"))
    lifecycle.before("go")(noting(calls, "attached before"))
    lifecycle.on_exit("NEW")(noting(calls, "attached exit"))
    lifecycle.on_enter("DONE")(noting(calls, "attached enter"))
    lifecycle.on_final()(noting(calls, "attached final"))
    lifecycle.after("go")(noting(calls, "attached after"))
    lifecycle.on_exception(noting(calls, "attached exception"))
    lifecycle.finalize(noting(calls, "attached finalize"))
    return lifecycle


class Noting(Job[Any, Any]):
    """A job with methods for its statuses."""

    def __init__(self, calls: list[str], lifecycle: Lifecycle[Any]) -> None:
        super().__init__(lifecycle=lifecycle)
        self.calls = calls
        self.on("DONE", noting(calls, "on status"))
        self.on("go", noting(calls, "on trigger"))

    def on_exit_NEW(self) -> None:
        """Note it."""
        self.calls.append("method exit")

    async def on_enter_DONE(self) -> None:
        """Note it."""
        await anyio.lowlevel.checkpoint()
        self.calls.append("method enter")


BEFORE_COMMIT = [
    *("prepare_event 1", "prepare_event 2"),
    *("prepare 1", "prepare 2", "attached prepare"),
    *("condition 1", "condition 2", "unless 1", "unless 2", "attached guard"),
    *("before_state_change 1", "before_state_change 2"),
    *("before 1", "before 2", "attached before"),
    *("exit 1", "exit 2", "method exit", "attached exit"),
]
AFTER_COMMIT = [
    *("enter 1", "enter 2", "method enter", "attached enter", "on status"),
    *("on_final 1", "on_final 2", "attached final"),
    *("after 1", "after 2", "attached after"),
    *("after_state_change 1", "after_state_change 2", "on trigger"),
]
EXCEPTION = ["on_exception 1", "on_exception 2", "attached exception"]
FINALIZE = ["finalize_event 1", "finalize_event 2", "attached finalize"]


class Statuses(list[str]):
    """Notes the job's status with each call."""

    job: Job[Any, Any]

    def append(self, name: str) -> None:
        """Note a call."""
        super().append(f"{self.job.status}: {name}")


async def test_callbacks_run_in_the_order_of_transitions() -> None:
    """Of each slot the definition comes first, then methods of the class, then attached ones."""
    calls: list[str] = []
    await Noting(calls, noting_everywhere(calls)).trigger("go")
    assert calls == [*BEFORE_COMMIT, *AFTER_COMMIT, *FINALIZE]


async def test_status_changes_between_exit_and_enter() -> None:
    """Up to the last hook on leaving the job is in its source, and from then on in its dest."""
    calls = Statuses()
    calls.job = Noting(calls, noting_everywhere(calls))
    await calls.job.trigger("go")
    assert calls == [
        *(f"NEW: {call}" for call in BEFORE_COMMIT),
        *(f"DONE: {call}" for call in [*AFTER_COMMIT, *FINALIZE]),
    ]


class Raising(list[str]):
    """Raises where one of the calls is noted."""

    def __init__(self, where: str) -> None:
        self.where = where

    def append(self, name: str) -> None:
        """Note a call, or raise."""
        super().append(name)
        if name == self.where:
            raise OSError(name)


@pytest.mark.parametrize("where", BEFORE_COMMIT)
async def test_error_before_the_commit_ends_the_transition(where: str) -> None:
    """Whatever raises before the commit leaves the job as it was; the order breaks off there."""
    calls = Raising(where)
    job = Noting(calls, noting_everywhere(calls))
    with pytest.raises(OSError, match=f"^{where}$"):
        await job.trigger("go")
    assert calls == [*BEFORE_COMMIT[: BEFORE_COMMIT.index(where) + 1], *EXCEPTION, *FINALIZE]
    assert (job.status, job.version) == ("NEW", 0)


@pytest.mark.parametrize("where", AFTER_COMMIT)
async def test_error_after_the_commit_ends_nothing(where: str) -> None:
    """Whatever raises after the commit, the hooks that follow still run."""
    calls = Raising(where)
    job = Noting(calls, noting_everywhere(calls))
    with pytest.raises(HookFailed) as caught:
        await job.trigger("go")
    assert [str(error) for error in caught.value.exceptions] == [where]
    assert calls == [*BEFORE_COMMIT, *AFTER_COMMIT, *EXCEPTION, *FINALIZE]
    assert (job.status, job.version) == ("DONE", 1)


async def test_making_a_job_calls_nothing() -> None:
    """The initial status is not entered: neither its hooks nor any others are called."""
    calls: list[str] = []
    lifecycle = simple(
        states=[noting_state("NEW", calls), "BUSY", final("DONE")],
        on_final=noting(calls, "on_final"),
        prepare_event=noting(calls, "prepare_event"),
    )
    lifecycle.on_enter("*")(noting(calls, "attached enter"))
    lifecycle.on_final()(noting(calls, "attached final"))
    job = Job[Any, str](lifecycle=lifecycle)
    assert calls == []
    await job.trigger("start")
    assert calls == ["prepare_event", "exit NEW", "attached enter"]


async def test_on_final_is_called_for_final_statuses_alone() -> None:
    """It runs after the hooks on entering, once a job, in every final status."""
    calls: list[str] = []
    lifecycle = simple(
        step("stop", "NEW", "GONE"),
        states=["NEW", "BUSY", *(noting_state(s, calls, final=True) for s in ("DONE", "GONE"))],
        on_final=noting(calls, "on_final"),
    )
    job = Job[Any, str](lifecycle=lifecycle)
    await job.trigger("start")
    assert calls == []
    await job.trigger("end")
    await Job[Any, str](lifecycle=lifecycle).trigger("stop")
    assert calls == ["enter DONE", "on_final", "enter GONE", "on_final"]


# --- methods of a class of jobs ---------------------------------------------------------------

SIMPLE = simple()


class Calling(Job[Any, Any], lifecycle=SIMPLE):
    """A job that notes what is called of it."""

    calls: list[str]

    def __init__(self, id: str | None = None, **more: Any) -> None:
        super().__init__(id, **more)
        self.calls = []

    def note(self, *args: Any, **kwargs: Any) -> None:
        """Note that it was called, and how."""
        self.calls.append(f"note {args} {kwargs}")


class Entering(Calling):
    """A job with a method on a status."""

    def on_enter_BUSY(self, *args: Any, **kwargs: Any) -> None:
        """Note that it was called, and how."""
        self.calls.append(f"enter {args} {kwargs}")


class Inheriting(Entering):
    """Inherits its methods."""


class Overriding(Entering):
    """Has another."""

    async def on_enter_BUSY(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Call the other."""
        await anyio.lowlevel.checkpoint()
        super().on_enter_BUSY(*args, **kwargs)
        self.calls.append("enter too")


class Plain(Calling):
    """Has none."""


@pytest.mark.parametrize(
    ("job_type", "called"),
    [
        (Entering, ["enter (1,) {'speed': 2}"]),
        (Inheriting, ["enter (1,) {'speed': 2}"]),
        (Overriding, ["enter (1,) {'speed': 2}", "enter too"]),
        (Plain, []),
        (Calling, []),
    ],
)
async def test_method_on_a_status_is_called_for_jobs_of_its_class(
    job_type: type[Calling], called: list[str]
) -> None:
    """``on_enter_X`` is found on a class, with the trigger's arguments; no other class has it."""
    jobs = [each() for each in (Plain, Overriding, Entering, Calling, Inheriting)]
    for job in jobs:
        await job.trigger("start", 1, speed=2)
    assert [job.calls for job in jobs if type(job) is job_type] == [called]


async def test_class_method_on_a_status_is_called() -> None:
    """A method of the class is a method."""
    calls: list[Any] = []

    class Counting(Calling):
        @classmethod
        def on_exit_NEW(cls) -> None:
            calls.append(cls)

    await Counting().trigger("start")
    assert calls == [Counting]


async def test_what_is_no_method_on_a_status_is_not_called() -> None:
    """Static methods, attributes and what is set on one job are not taken for hooks."""
    calls: list[str] = []

    class Odd(Calling):
        on_exit_NEW = staticmethod(noting(calls, "static"))
        on_enter_BUSY = "on_exit_NEW"

        @property
        def on_enter_DONE(self) -> Callable[[], Any]:
            return noting(calls, "property")

    job = Odd()
    setattr(job, "on_exit_BUSY", noting(calls, "instance"))  # noqa: B010  # no such attribute
    await job.trigger("start")
    await job.trigger("end")
    assert calls == []


async def test_method_on_a_status_that_is_declared_too_is_called_once() -> None:
    """A method that the definition names already keeps its place there."""
    lifecycle = simple(
        states=["NEW", {"name": "BUSY", "on_enter": ["on_enter_BUSY", "note"]}, final("DONE")]
    )
    job = Entering(lifecycle=lifecycle)
    await job.trigger("start")
    assert job.calls == ["enter () {}", "note () {}"]


async def test_method_on_a_status_that_is_a_member() -> None:
    """Methods are found by the name of the member."""
    lifecycle = simple(
        states=[Phase.NEW, Phase.BUSY, final(Phase.DONE)],
    )
    job = Entering(lifecycle=lifecycle)
    await job.trigger("start")
    assert job.calls == ["enter () {}"]


async def test_methods_on_statuses_do_not_change_the_lifecycle() -> None:
    """A class that has methods leaves no trace where jobs of others follow the same table."""
    lifecycle = simple()
    before = lifecycle.edges, lifecycle.mermaid()
    await Entering(lifecycle=lifecycle).trigger("start")
    assert (lifecycle.edges, lifecycle.mermaid()) == before
    derived = lifecycle.derive()
    job = Calling(lifecycle=derived)
    await job.trigger("start")
    assert job.calls == []


# --- callbacks by name ------------------------------------------------------------------------


def named(slot: str, callback: Any, **more: Any) -> Lifecycle[Any]:
    """Return a lifecycle whose start has one callback."""
    return simple(step("begin", "NEW", "BUSY", **{slot: callback}), **more)


async def test_callback_by_name_is_a_method_of_the_job() -> None:
    """A name stands for the job's attribute, called with the trigger's arguments."""
    job = Calling(lifecycle=named("before", "note"))
    await job.trigger("begin", 1, speed=2)
    assert job.calls == ["note (1,) {'speed': 2}"]


async def test_callback_by_name_may_be_set_on_one_job() -> None:
    """A name is looked up when it is needed, on the job itself."""
    job = Calling(lifecycle=named("conditions", "is_able"))
    setattr(job, "is_able", False)  # noqa: B010  # no such attribute
    with pytest.raises(GuardRefused):
        await job.trigger("begin")
    setattr(job, "is_able", lambda: True)  # noqa: B010
    await job.trigger("begin")


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("slot", ["conditions", "unless"])
@pytest.mark.parametrize("send_event", [True, False])
async def test_property_is_a_plain_answer(slot: str, answer: bool, send_event: bool) -> None:
    """What a name stands for is the answer itself if it cannot be called."""

    class Able(Calling):
        @property
        def is_able(self) -> bool:
            return answer

    job = Able(lifecycle=named(slot, "is_able", send_event=send_event))
    if answer is (slot == "conditions"):
        await job.trigger("begin", 1)
    else:
        with pytest.raises(GuardRefused, match=f"is_able of the way to BUSY answered {answer}"):
            await job.trigger("begin", 1)


async def test_property_may_stand_among_hooks() -> None:
    """Outside of guards a plain answer is just ignored."""

    class Able(Calling):
        is_able = False

    lifecycle = simple(
        step("begin", "NEW", "BUSY", **dict.fromkeys(("before", "after"), "is_able"))
    )
    assert (await Able(lifecycle=lifecycle).trigger("begin")).dest == "BUSY"


async def test_callback_by_dotted_name_is_imported() -> None:
    """A name with a dot stands for a function of a module, called with the same arguments."""
    lifecycle = named("conditions", ["operator.truth", "collections.abc.Sized.__subclasshook__"])
    job = Calling(lifecycle=lifecycle)
    with pytest.raises(GuardRefused, match=r"guard operator\.truth .* answered False"):
        await job.trigger("begin", 0)
    with pytest.raises(GuardRefused, match=r"__subclasshook__ .* answered NotImplemented"):
        await job.trigger("begin", int)
    await job.trigger("begin", list)


async def test_attribute_of_the_job_comes_before_an_import() -> None:
    """Even a name with a dot is looked for on the job first."""
    job = Calling(lifecycle=named("conditions", "operator.not_"))
    setattr(job, "operator.not_", True)
    await job.trigger("begin", 1)


@pytest.mark.parametrize(
    ("missing", "hint"),
    [
        ("has_atempts_left", " (did you mean 'has_attempts_left'?)"),
        ("notes", " (did you mean 'note'?)"),
        ("entirely_elsewhere", ""),
        ("no.such.module", ""),
        ("operator.no_such_function", ""),
        ("operator..truth", ""),
        (".truth", ""),
        ("operator.", ""),
    ],
)
@pytest.mark.parametrize("slot", ["prepare", "conditions", "unless", "before"])
async def test_missing_callback_is_told_with_the_nearest(
    slot: str, missing: str, hint: str
) -> None:
    """A name that stands for nothing keeps the job where it is."""
    job = Calling(lifecycle=named(slot, missing))
    with pytest.raises(CallbackNotFound) as caught:
        await job.trigger("begin")
    assert str(caught.value) == (
        f"callback {missing!r} is neither an attribute of Calling{hint} "
        "nor the dotted name of something that can be imported"
    )
    assert (job.status, job.version) == ("NEW", 0)
    assert "note" in caught.value.known
    assert not any(known.startswith("_") for known in caught.value.known)


async def test_missing_callback_after_the_commit_is_told_as_a_failed_hook() -> None:
    """What is missing only then cannot undo the transition."""
    job = Calling(lifecycle=named("after", "notes"))
    with pytest.raises(HookFailed) as caught:
        await job.trigger("begin")
    (error,) = caught.value.exceptions
    assert isinstance(error, CallbackNotFound)
    assert job.status == "BUSY"


@pytest.mark.parametrize("now", [False, True], ids=["awaited", "nowait"])
async def test_property_that_fails_tells_its_own_error(now: bool) -> None:
    """A property that is there and raises is not taken for missing."""

    class Failing(Calling):
        @property
        def is_able(self) -> bool:
            raise AttributeError("the battery is gone")

    job = Failing(lifecycle=named("conditions", "is_able"))
    with pytest.raises(AttributeError, match="the battery is gone") as caught:
        await moved(job, "begin", now)
    assert not isinstance(caught.value, CallbackNotFound)


class AsyncCallable:
    """An object whose call has to be awaited."""

    async def __call__(self, *args: Any) -> bool:
        """Answer yes."""
        return True


async def async_function(*args: Any) -> bool:
    """Answer yes."""
    return True


@pytest.mark.parametrize("slot", ["prepare", "conditions", "before", "after"])
@pytest.mark.parametrize(
    ("callback", "waits"),
    [
        ("start", True),
        ("note", False),
        ("is_able", False),
        (async_function, True),
        (partial(async_function, 1), True),
        (AsyncCallable(), True),
        (noting([], "called"), False),
        ("operator.truth", False),
    ],
    ids=["method", "sync-method", "value", "function", "partial", "object", "sync", "import"],
)
@pytest.mark.parametrize("send_event", [False, True])
def test_trigger_that_must_act_at_once_looks_for_async_callbacks(
    callback: Any, waits: bool, slot: str, send_event: bool
) -> None:
    """``trigger_nowait`` is refused before anything was called where a callback is async."""
    calls: list[str] = []

    class Able(Calling):
        is_able = True

        async def start(self, *args: Any) -> Any:
            calls.append("started")

        def note(self, *args: Any, **kwargs: Any) -> Any:
            return True

    lifecycle = named(slot, callback, prepare_event=noting(calls, "prepare"), send_event=send_event)
    job = Able("job-1", lifecycle=lifecycle)
    if waits:
        with pytest.raises(
            WouldBlock, match=r"job job-1: begin cannot be done at once: .* is async"
        ):
            job.trigger_nowait("begin", 1)
        assert (job.status, calls) == ("NEW", [])
    else:
        assert job.trigger_nowait("begin", 1).dest == "BUSY"
        assert calls == ["prepare"]


def test_attached_async_function_is_seen_where_nothing_may_wait() -> None:
    """A decorated async function keeps a trigger from acting at once."""
    lifecycle = simple()
    lifecycle.on_enter("BUSY")(async_function)
    with pytest.raises(WouldBlock, match="async_function is async"):
        Calling(lifecycle=lifecycle).trigger_nowait("start")


@pytest.mark.parametrize(
    "wild", [step("drop", "*", "DONE"), ["drop", "*", "DONE"]], ids=["dict", "list"]
)
async def test_wildcard_stands_for_what_is_not_final(wild: Any) -> None:
    """``*`` is every state but those that nothing may leave."""
    edges = [edge for edge in simple(wild).edges if edge.trigger == "drop"]
    assert [(edge.source, edge.dest) for edge in edges] == [("NEW", "DONE"), ("BUSY", "DONE")]


async def test_callback_may_be_iterable() -> None:
    """A callable is one callback, whatever else it is."""

    class Hooks(list[str]):
        def __call__(self) -> None:
            self.append("called")

    hooks = Hooks()
    await Job(lifecycle=simple(after_state_change=hooks)).trigger("start")
    assert hooks == ["called"]


async def test_callback_without_a_name_is_told_by_what_it_wraps() -> None:
    """A guard that is no function has the name of the one inside of it."""
    with pytest.raises(GuardRefused) as caught:
        await Calling(lifecycle=named("conditions", partial(bool, False))).trigger("begin")
    assert caught.value.guard == "bool"


async def test_callbacks_under_send_event_get_one_event_data() -> None:
    """With ``send_event`` every callback of the definition is called with the same EventData."""
    told: list[Any] = []

    def tell(data: EventData) -> bool:
        told.append((data, data.state.name, data.transition and data.transition.dest))
        return True

    class Telling(Calling):
        def tell(self, data: EventData) -> bool:
            return tell(data)

    lifecycle = named(
        *("conditions", [tell, "tell"]),
        send_event=True,
        prepare_event="tell",
        after_state_change=tell,
        finalize_event="tell",
    )
    events: list[TransitionEvent[Any]] = []
    lifecycle.before("begin")(events.append)
    job = Telling(lifecycle=lifecycle)
    await job.trigger("begin", 1, speed=2)
    (data,) = {each for each, _, _ in told}
    assert isinstance(data, EventData)
    assert data.model is job
    assert not hasattr(data.model, "state")
    with pytest.raises(AttributeError):
        data.machine.get_model_state(data.model)
    assert data.event.name == "begin"
    assert (data.args, data.kwargs, data.error) == ((1,), {"speed": 2}, None)
    assert [(state, dest) for _, state, dest in told] == [
        *(("NEW", None), ("NEW", "BUSY"), ("NEW", "BUSY"), ("BUSY", "BUSY"), ("BUSY", "BUSY")),
    ]
    (event,) = events
    assert event.data is data


async def test_event_data_tells_what_was_raised() -> None:
    """Under ``send_event`` the error is on the EventData as well as on the event."""
    told: list[tuple[Any, Any]] = []
    error = OSError("torn")

    def fail(data: EventData) -> None:
        raise error

    lifecycle = named("before", fail, send_event=True)
    lifecycle.on_exception(lambda event: told.append((event.error, event.data.error)))
    with pytest.raises(OSError, match="torn"):
        await Calling(lifecycle=lifecycle).trigger("begin")
    assert told == [(error, error)]


async def test_event_data_knows_nothing_of_a_guard_that_refused() -> None:
    """A refusal, which `transitions` would not raise, is not in what it calls back with."""
    told: list[Any] = []
    lifecycle = named(
        *("conditions", lambda data: False),
        send_event=True,
        finalize_event=lambda data: told.append(data.error),
    )
    with pytest.raises(GuardRefused):
        await Calling(lifecycle=lifecycle).trigger("begin")
    assert told == [None]


async def test_there_is_no_event_data_where_nobody_asked_for_it() -> None:
    """Without ``send_event`` there is none, be it for the hooks of jobstate's own."""
    told: list[Any] = []
    lifecycle = simple()
    lifecycle.before("*")(lambda event: told.append(event.data))
    await Calling(lifecycle=lifecycle).trigger("start")
    assert told == [None]


async def test_event_shows_how_far_it_is() -> None:
    """The repr of an event names the trigger and the job, and tells whether it is committed."""
    shown: list[str] = []
    lifecycle = simple()
    lifecycle.before("*")(lambda event: shown.append(repr(event)))
    lifecycle.after("*")(lambda event: shown.append(repr(event)))
    await Calling(id="job-1", lifecycle=lifecycle).trigger("start")
    assert shown == [
        "<TransitionEvent start of job job-1, under way>",
        "<TransitionEvent start of job job-1, committed>",
    ]


# --- one table --------------------------------------------------------------------------------


def test_jobs_of_a_class_share_one_table() -> None:
    """A table is made once for a class, and each class has its own."""
    jobs = [Entering() for _ in range(3)]
    assert len({id(job._table) for job in jobs}) == 1
    assert Plain()._table is not jobs[0]._table
    assert Entering(lifecycle=simple())._table is not jobs[0]._table


def test_job_holds_no_machine() -> None:
    """What a job holds itself is data, a table and a place in it."""
    job = Job[Any]()
    job.start_nowait()
    held = gc.get_referents(job)
    assert job._table in held
    assert not any(isinstance(each, (Machine, dict)) for each in held)


def test_definition_of_the_caller_is_not_changed() -> None:
    """Building, deriving and running leave the caller's dicts and lists as they were."""
    definition: dict[str, Any] = {
        "states": [{"name": "NEW", "on_exit": ["note"]}, {"name": "BUSY"}, final("DONE")],
        "transitions": [
            step("start", ["NEW"], "BUSY", before=["note"], conditions=["has_attempts_left"]),
            ["end", "BUSY", "DONE"],
        ],
        "means": {"BUSY": JobStatus.STARTED},
        "prepare_event": ["note"],
    }
    added: dict[str, Any] = {
        "states": [{"name": "HELD", "on_enter": ["note"]}],
        "transitions": [step("hold", ["BUSY"], "HELD", after=["note"]), ["go", "HELD", "BUSY"]],
        "means": {"HELD": JobStatus.STARTED},
        "prepare_event": ["note"],
    }
    before = copy.deepcopy((definition, added))
    lifecycle = Lifecycle("simple", **definition)
    derived = lifecycle.derive(**added)
    for each in (lifecycle, derived):
        each.on_enter("BUSY")(print)
        each.before("start")(print)
        Entering(lifecycle=each).trigger_nowait("start")
    assert (definition, added) == before


@pytest.mark.parametrize("derive", [False, True])
async def test_what_the_caller_later_does_to_its_lists_goes_no_further(derive: bool) -> None:
    """A callback appended to a list given before is not part of the lifecycle."""
    late: list[str] = []
    lists: list[list[Any]] = [[] for _ in range(6)]
    added: dict[str, Any] = {
        "states": ["NEW", {"name": "BUSY", "on_enter": lists[0], "on_exit": lists[1]}],
        "transitions": [
            step("start", "NEW", "BUSY", before=lists[2], conditions=lists[3]),
            step("end", "BUSY", "DONE"),
        ],
        "prepare_event": lists[4],
        "after_state_change": lists[5],
    }
    if derive:
        base = Lifecycle[Any](
            states=["ZERO", final("DONE")], transitions=[step("skip", "ZERO", "DONE")]
        )
        added["transitions"].append(step("zero", "ZERO", "NEW"))
        lifecycle = base.derive(**added)
    else:
        added["states"].append(final("DONE"))
        lifecycle = Lifecycle(**added)
    for each in lists:
        each.append(noting(late, "late", False))
    job = Job[Any, Any](lifecycle=lifecycle)
    if derive:
        await job.trigger("zero")
    await job.trigger("start")
    await job.trigger("end")
    assert late == []


async def test_hooks_of_a_derived_lifecycle_do_not_reach_its_base() -> None:
    """What is attached to one is called for its own jobs, not for those of base or sibling."""
    calls: list[str] = []
    base = simple()
    derived, sibling = base.derive(), base.derive()
    for place, of in [
        *(("prepare", "start"), ("guard", "start"), ("before", "start"), ("after", "start")),
        *(("on_exit", "NEW"), ("on_enter", "BUSY")),
    ]:
        getattr(derived, place)(of)(noting(calls, place))
    derived.finalize(noting(calls, "finalize"))
    for other in (base, sibling):
        await Calling(lifecycle=other).trigger("start")
    assert calls == []
    await Calling(lifecycle=derived).trigger("start")
    assert calls == [
        *("prepare", "guard", "before", "on_exit", "on_enter", "after", "finalize"),
    ]


async def test_callbacks_added_by_deriving_do_not_reach_the_base() -> None:
    """A derived definition's callbacks of every transition are for its own jobs."""
    calls: list[str] = []
    base = simple(before_state_change=noting(calls, "base"))
    derived = base.derive(before_state_change=noting(calls, "derived"))
    await Calling(lifecycle=base).trigger("start")
    assert calls == ["base"]
    calls.clear()
    await Calling(lifecycle=derived).trigger("start")
    assert calls == ["base", "derived"]


async def test_trigger_without_any_transition_is_never_possible() -> None:
    """A trigger declared from no status at all is known, and refused everywhere."""
    job = Calling("job-1", lifecycle=simple(step("fly", [], "DONE")))
    assert not job.can("fly")
    with pytest.raises(TransitionRefused, match="cannot fly; possible: start"):
        await job.trigger("fly")


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("of", ["lifecycle", "state"])
async def test_ignored_trigger_is_refused_without_an_exception_callback(
    ignored: bool, of: str
) -> None:
    """``ignore_invalid_triggers`` keeps a refusal from those who hear exceptions, no more."""
    calls: list[str] = []
    new = {"name": "NEW", "ignore_invalid_triggers": ignored} if of == "state" else "NEW"
    lifecycle = simple(
        states=[new, "BUSY", final("DONE")],
        ignore_invalid_triggers=ignored if of == "lifecycle" else not ignored,
        on_exception=noting(calls, "exception"),
        finalize_event=noting(calls, "finalize"),
        prepare_event=noting(calls, "prepare"),
    )
    job = Calling(lifecycle=lifecycle)
    with pytest.raises(TransitionRefused):
        await job.trigger("end")
    assert calls == (["finalize"] if ignored else ["exception", "finalize"])
    assert job.version == 0
