"""Lifecycles can be declared, derived, added to until their first job, and read."""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable, Iterator
from enum import Enum, StrEnum
from functools import partial
from types import MappingProxyType, SimpleNamespace
from typing import Any

import anyio
import pytest
from transitions import Machine

from jobstate import (
    JOB_LIFECYCLE,
    EdgeInfo,
    GuardRefused,
    InvalidLifecycle,
    Job,
    JobFailed,
    JobRevoked,
    JobStatus,
    Lifecycle,
    LifecycleSealed,
    OutcomeUndeclared,
    Progress,
    ReportRefused,
    RevokeCause,
    Transition,
    TransitionEvent,
    TransitionRefused,
    UnknownStatus,
    UnknownTrigger,
    Unreachable,
)

pytestmark = pytest.mark.anyio

PENDING, STARTED, RETRY = JobStatus.PENDING, JobStatus.STARTED, JobStatus.RETRY
SUCCESS, FAILURE, REVOKED = JobStatus.SUCCESS, JobStatus.FAILURE, JobStatus.REVOKED


class Number(Enum):
    """Statuses whose values are no text."""

    NEW = 1
    BUSY = 2
    HELD = 3
    DONE = 4
    BROKEN = 5
    DROPPED = 6


class Word(StrEnum):
    """Statuses whose values are other words than their names."""

    NEW = "fresh"
    BUSY = "at work"
    HELD = "paused"
    DONE = "all done"
    BROKEN = "in pieces"
    DROPPED = "not wanted"


NAMES = tuple(Number.__members__)
TEXT = SimpleNamespace(**{name: name for name in NAMES})
"""Statuses that are their names."""

KINDS = pytest.mark.parametrize(
    "s",
    [
        pytest.param(Number, id="enum"),
        pytest.param(Word, id="str-enum"),
        pytest.param(TEXT, id="strings"),
    ],
)


def step(trigger: str, source: Any, dest: Any, **more: Any) -> dict[str, Any]:
    """Return a transition as a definition has it."""
    return {"trigger": trigger, "source": source, "dest": dest, **more}


def final(status: Any, **more: Any) -> dict[str, Any]:
    """Return a final state as a definition has it."""
    return {"name": status, "final": True, **more}


def noting(calls: list[str], name: str) -> Callable[[object], bool]:
    """Return a hook, or guard that passes, which notes that it was called."""

    def note(event: object) -> bool:
        calls.append(name)
        return True

    return note


async def yielding(event: object) -> AsyncIterator[None]:
    """Play a hook that forgot that it is none."""
    yield


def film(s: Any, **more: Any) -> Lifecycle[Any]:
    """Return a lifecycle with statuses and triggers of its own."""
    definition: dict[str, Any] = {
        "states": [s.NEW, s.BUSY, s.HELD, final(s.DONE), final(s.BROKEN), final(s.DROPPED)],
        "transitions": [
            step("begin", s.NEW, s.BUSY),
            step("hold", s.BUSY, s.HELD),
            step("resume", s.HELD, s.BUSY),
            step("again", s.BUSY, s.NEW),
            step("beat", s.BUSY, None),
            step("finish", s.BUSY, s.DONE),
            step("give_up", s.BUSY, s.BROKEN),
            step("drop", [s.NEW, s.HELD], s.DROPPED, conditions="may_drop", unless="is_kept"),
        ],
        "means": {
            s.BUSY: STARTED,
            s.DONE: SUCCESS,
            s.BROKEN: FAILURE,
            s.DROPPED: REVOKED,
        },
    }
    return Lifecycle("film", **{**definition, **more})


class Film(Job[Any, Any]):
    """A job with the guards that a film names."""

    is_kept = False

    def may_drop(self, *_: object, **__: object) -> bool:
        """Let it be dropped."""
        return True


def pausable() -> Lifecycle[Any]:
    """Return the job lifecycle with one more status."""
    return JOB_LIFECYCLE.derive(
        "pausable",
        states=["PAUSED"],
        transitions=[
            step("pause", STARTED, "PAUSED"),
            step("resume", "PAUSED", STARTED),
            step("revoke", "PAUSED", REVOKED),
        ],
    )


# --- the lifecycle of every job ---------------------------------------------------------------


def test_job_lifecycle_is_the_documented_table() -> None:
    """The default lifecycle has these edges, in this order, and no other."""
    assert JOB_LIFECYCLE.edges == tuple(
        EdgeInfo(trigger, source, dest, guards, internal=False)
        for trigger, sources, dest, guards in [
            ("start", [PENDING, RETRY], STARTED, ()),
            ("succeed", [STARTED], SUCCESS, ()),
            ("fail", [PENDING, STARTED, RETRY], FAILURE, ()),
            ("retry", [STARTED], RETRY, ("has_attempts_left",)),
            ("retry", [STARTED], FAILURE, ()),
            ("requeue", [STARTED, RETRY], PENDING, ()),
            ("revoke", [PENDING], REVOKED, ()),
            ("revoke", [STARTED], REVOKED, ("can_revoke_started",)),
            ("revoke", [RETRY], REVOKED, ()),
        ]
        for source in sources
    )


def test_job_lifecycle_is_read_in_the_terms_of_job_status() -> None:
    """The default lifecycle has the statuses of `JobStatus`, each meaning itself."""
    assert JOB_LIFECYCLE.name == "job"
    assert JOB_LIFECYCLE.statuses == tuple(JobStatus)
    assert JOB_LIFECYCLE.initial is PENDING
    assert JOB_LIFECYCLE.final == tuple(s for s in JobStatus if s.is_terminal)
    assert JOB_LIFECYCLE.running == (STARTED,)
    assert JOB_LIFECYCLE.triggers == ("start", "succeed", "fail", "retry", "requeue", "revoke")
    assert [JOB_LIFECYCLE.meaning(s) for s in JobStatus] == list(JobStatus)
    assert JOB_LIFECYCLE.cancel_started is False


def test_job_lifecycle_takes_no_hooks() -> None:
    """What every job relies on cannot be added to; the error says what to do instead."""
    with pytest.raises(LifecycleSealed, match=r"lifecycle job is sealed.*derive\(\)"):
        JOB_LIFECYCLE.guard("start")(lambda event: True)
    with pytest.raises(LifecycleSealed):
        JOB_LIFECYCLE.finalize(print)


# --- reading ----------------------------------------------------------------------------------


@KINDS
def test_lifecycle_of_ones_own_reads_as_declared(s: Any) -> None:
    """Statuses are shown as they were given, members as members and strings as strings."""
    lifecycle = film(s)
    assert lifecycle.name == "film"
    assert lifecycle.statuses == tuple(getattr(s, name) for name in NAMES)
    assert [type(status) for status in lifecycle.statuses] == [type(s.NEW)] * 6
    assert lifecycle.initial == s.NEW
    assert lifecycle.final == (s.DONE, s.BROKEN, s.DROPPED)
    assert lifecycle.running == (s.BUSY,)
    assert lifecycle.triggers == (
        *("begin", "hold", "resume", "again", "beat", "finish", "give_up", "drop"),
    )
    guards = ("may_drop", "not is_kept")
    assert lifecycle.edges == (
        EdgeInfo("begin", s.NEW, s.BUSY, (), internal=False),
        EdgeInfo("hold", s.BUSY, s.HELD, (), internal=False),
        EdgeInfo("resume", s.HELD, s.BUSY, (), internal=False),
        EdgeInfo("again", s.BUSY, s.NEW, (), internal=False),
        EdgeInfo("beat", s.BUSY, s.BUSY, (), internal=True),
        EdgeInfo("finish", s.BUSY, s.DONE, (), internal=False),
        EdgeInfo("give_up", s.BUSY, s.BROKEN, (), internal=False),
        EdgeInfo("drop", s.NEW, s.DROPPED, guards, internal=False),
        EdgeInfo("drop", s.HELD, s.DROPPED, guards, internal=False),
    )


@KINDS
def test_meaning_is_what_was_declared(s: Any) -> None:
    """A status means what ``means`` says, the initial one PENDING, and any other nothing."""
    lifecycle = film(s)
    assert [lifecycle.meaning(getattr(s, name)) for name in NAMES] == [
        *(PENDING, STARTED, None, SUCCESS, FAILURE, REVOKED),
    ]


@KINDS
def test_means_can_be_keyed_by_names(s: Any) -> None:
    """``means`` may speak of a status by its name, whatever the status is."""
    lifecycle = film(s, means={"BUSY": STARTED, "HELD": STARTED})
    assert lifecycle.running == (s.BUSY, s.HELD)


def test_status_named_like_a_job_status_means_it() -> None:
    """RETRY and SUCCESS need no explaining, in whichever enum they stand."""
    lifecycle = Lifecycle[Any](
        states=["NEW", "STARTED", "RETRY", final("SUCCESS"), final("FAILURE")],
        transitions=[
            step("go", ["NEW", "RETRY"], "STARTED"),
            step("again", "STARTED", "RETRY"),
            step("end", "STARTED", "SUCCESS"),
            step("stop", "STARTED", "FAILURE"),
        ],
    )
    assert [lifecycle.meaning(s) for s in lifecycle.statuses] == [
        *(PENDING, STARTED, RETRY, SUCCESS, FAILURE),
    ]
    assert lifecycle.running == ("STARTED",)


def test_status_named_like_a_job_status_of_another_kind_does_not_mean_it() -> None:
    """A SUCCESS that can be left is not the end of a job, and a final RETRY no new attempt."""
    lifecycle = Lifecycle[Any](
        states=["NEW", "SUCCESS", final("RETRY")],
        transitions=[step("go", "NEW", "SUCCESS"), step("on", "SUCCESS", "RETRY")],
    )
    assert [lifecycle.meaning(s) for s in lifecycle.statuses] == [PENDING, None, None]


def test_means_prevails_over_the_name() -> None:
    """A status named like a `JobStatus` means another one where the lifecycle says so."""
    lifecycle = Lifecycle[Any](
        states=["PENDING", final("FAILURE"), final("SUCCESS")],
        transitions=[step("go", "PENDING", "SUCCESS"), step("stop", "PENDING", "FAILURE")],
        means={"PENDING": STARTED, "FAILURE": SUCCESS},
    )
    assert lifecycle.running == ("PENDING",)
    assert lifecycle.meaning("FAILURE") is SUCCESS


@KINDS
def test_status_can_be_asked_for_by_its_name(s: Any) -> None:
    """Wherever a status is asked for, its name will do."""
    assert film(s).meaning("DONE") is SUCCESS


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("DON", "'DON' (did you mean 'DONE'?)"),
        (JobStatus.PENDING, "'PENDING'"),
        (Word.DONE, repr(Word.DONE)),
        (7, "'7'"),
        (["DONE"], "\"['DONE']\""),
    ],
    ids=["misspelt", "of-another-lifecycle", "of-another-enum", "number", "unhashable"],
)
def test_unknown_status_is_told_with_the_nearest(asked: Any, told: str) -> None:
    """What is no status of the lifecycle is an error that lists those that are."""
    with pytest.raises(UnknownStatus) as caught:
        film(Number).meaning(asked)
    assert str(caught.value).startswith(f"lifecycle film has no status {told}")
    assert str(caught.value).endswith("; it has: NEW, BUSY, HELD, DONE, BROKEN, DROPPED")
    assert caught.value.known == NAMES


def test_copy_is_the_lifecycle_itself() -> None:
    """A job of a copied structure follows the very same lifecycle; `derive` makes another."""
    lifecycle = film(Number)
    assert copy.copy(lifecycle) is lifecycle
    assert copy.deepcopy({"lifecycle": lifecycle})["lifecycle"] is lifecycle


@pytest.mark.parametrize("machine", [None, "machine", Machine, {"states": []}], ids=str)
def test_only_a_machine_can_be_taken_over(machine: Any) -> None:
    """What is no machine of `transitions` is refused as what it is."""
    with pytest.raises(TypeError, match="takes a machine of transitions, not ") as caught:
        Lifecycle.from_transitions(machine)
    assert repr(machine) in str(caught.value)


@pytest.mark.parametrize(
    "make", [film, lambda s, **more: film(s).derive(**more)], ids=["new", "derived"]
)
def test_unknown_argument_is_told_with_the_nearest(make: Any) -> None:
    """A misspelt callback is an error, not one that never runs."""
    with pytest.raises(TypeError, match=r"no argument 'on_finall' \(did you mean 'on_final'"):
        make(Number, on_finall=print)


def test_repr_names_the_statuses() -> None:
    """A lifecycle shows its name and its statuses."""
    assert repr(film(Word)) == "<Lifecycle film: NEW, BUSY, HELD, DONE, BROKEN, DROPPED>"


@KINDS
def test_drawings_show_every_edge(s: Any) -> None:
    """Mermaid and SVG are drawn from the table, and a notebook shows the SVG."""
    lifecycle = film(s)
    drawn = lifecycle.mermaid()
    assert 'title: "film"' in drawn
    assert "[*] --> NEW" in drawn
    assert "BUSY --> BUSY: beat" in drawn
    assert "HELD --> DROPPED: drop [may_drop, not is_kept]" in drawn
    assert all(f"{name} --> [*]" in drawn for name in ("DONE", "BROKEN", "DROPPED"))
    assert drawn.count("-->") == len(lifecycle.edges) + 4
    texts = [each.text for each in ET.fromstring(lifecycle.svg()).iter() if each.text]
    assert set(NAMES) <= {text.strip() for text in texts}
    assert lifecycle._repr_svg_() == lifecycle.svg()


# --- declaring --------------------------------------------------------------------------------


def test_picture_is_drawn_once_until_a_guard_is_attached() -> None:
    """A notebook that shows it again gets the same picture, and that of the guards there are."""
    lifecycle = film(Word)
    picture = lifecycle.svg()
    assert lifecycle.svg() is picture
    lifecycle.guard("begin")(noting([], "lamp"))
    assert "[noting.&lt;locals&gt;.note]" not in picture
    assert "[noting.&lt;locals&gt;.note]" in lifecycle.svg()


def test_initial_is_the_first_state_by_default() -> None:
    """Without ``initial=`` a job begins in the first state; with it, in that one."""
    states = [final("C"), "A", "B"]
    steps = [step("go", "A", "B"), step("back", "B", "A"), step("end", ["A", "B"], "C")]
    assert Lifecycle[Any](states=states[1:] + states[:1], transitions=steps).initial == "A"
    assert Lifecycle[Any](states=states, transitions=steps, initial="B").initial == "B"


def test_initial_can_be_a_member() -> None:
    """``initial=`` takes a status as it is declared."""
    lifecycle = film(Word, initial=Word.BUSY)
    assert lifecycle.initial is Word.BUSY


def test_first_state_can_be_a_dict() -> None:
    """The first state gives the initial status when it is declared as a dict, too."""
    lifecycle = Lifecycle[Any](
        states=[{"name": Number.NEW}, final(Number.DONE)],
        transitions=[step("go", Number.NEW, Number.DONE)],
    )
    assert lifecycle.initial is Number.NEW


def test_definition_can_be_given_as_any_iterable() -> None:
    """States and transitions may come from generators, and transitions as lists."""
    lifecycle = Lifecycle[Any](
        states=(state for state in ["A", final("B")]),
        transitions=(list(each) for each in [("go", "A", "B"), ("poke", "A", None)]),
    )
    assert [(e.trigger, e.dest) for e in lifecycle.edges] == [("go", "B"), ("poke", "A")]


def test_definition_can_be_given_as_any_mapping() -> None:
    """A state or transition that cannot be changed is as good as a dict."""
    lifecycle = Lifecycle[Any](
        states=["A", MappingProxyType(final("B"))],
        transitions=[MappingProxyType(step("go", "A", "B"))],
    )
    assert lifecycle.final == ("B",)


def test_single_state_need_not_stand_in_a_list() -> None:
    """One added state may be given alone, as a name, a member or a dict."""
    steps = [step("pause", STARTED, "HELD"), step("resume", "HELD", STARTED)]
    alone: Any
    for alone in ("HELD", Number.HELD, {"name": "HELD"}):
        assert len(JOB_LIFECYCLE.derive(states=alone, transitions=steps).statuses) == 7


def test_enum_gives_a_state_a_member() -> None:
    """An enum in place of states adds each of its members."""

    class Extra(Enum):
        PAUSED = (1, "a while")
        FROZEN = (2, "for good")

    derived = JOB_LIFECYCLE.derive(
        states=Extra,
        transitions=[
            step("pause", STARTED, Extra.PAUSED),
            step("freeze", Extra.PAUSED, Extra.FROZEN),
            step("resume", list(Extra), STARTED),
        ],
    )
    assert derived.statuses == (*JobStatus, *Extra)


def test_state_that_is_declared_twice_is_refused() -> None:
    """Declared again, a state would lose the hooks of its first declaration."""
    with pytest.raises(InvalidLifecycle, match="state A is there already"):
        Lifecycle[Any](
            states=[{"name": "A", "on_exit": "note"}, "A", final("B")],
            transitions=[step("go", "A", "B")],
        )


@pytest.mark.parametrize(
    "stop", [step("stop", "*", "E"), ["stop", "*", "E"]], ids=["mapping", "list"]
)
def test_the_wildcard_stands_for_what_can_be_left(stop: Any) -> None:
    """It is every state but the final ones, however the transition is written."""
    lifecycle: Lifecycle[Any] = Lifecycle(
        states=["A", "B", final("E")], transitions=[step("go", "A", "B"), stop]
    )
    ways = [(edge.source, edge.dest) for edge in lifecycle.edges if edge.trigger == "stop"]
    assert ways == [("A", "E"), ("B", "E")]


def test_ordered_transitions_lead_to_the_first_final_state() -> None:
    """They pass through the others in order, and end there instead of starting anew."""
    lifecycle: Lifecycle[Any] = Lifecycle(
        states=["A", "B", final("D"), final("E")],
        transitions=[step("stop", "A", "E")],
        ordered_transitions=True,
    )
    ways = [(edge.source, edge.dest) for edge in lifecycle.edges if edge.trigger == "next_state"]
    assert ways == [("A", "B"), ("B", "D")]


@pytest.mark.parametrize("declare", [film, lambda s, **more: film(s).derive(**more)])
def test_unknown_argument_is_refused(declare: Any) -> None:
    """What is none of the callbacks is named, with the nearest that there is."""
    told = r"a lifecycle has no argument 'finalise_event' \(did you mean 'finalize_event'\?\)"
    with pytest.raises(TypeError, match=told):
        declare(TEXT, finalise_event="note")


# --- deriving ---------------------------------------------------------------------------------


def test_derived_lifecycle_has_all_of_its_base_and_more() -> None:
    """Statuses, triggers, edges and meanings of the base come first, then what was added."""
    derived = pausable()
    assert derived.name == "pausable"
    assert derived.statuses == (*JobStatus, "PAUSED")
    assert derived.triggers == (*JOB_LIFECYCLE.triggers, "pause", "resume")
    assert derived.initial is PENDING
    assert derived.final == JOB_LIFECYCLE.final
    assert derived.running == (STARTED,)
    assert set(JOB_LIFECYCLE.edges) < set(derived.edges)
    assert len(derived.edges) == len(JOB_LIFECYCLE.edges) + 3
    assert derived.meaning("PAUSED") is None


def test_deriving_leaves_the_base_as_it_was() -> None:
    """A base reads the same after others were derived from it."""
    base = film(Number)
    states: Any = ["LOST", final("FOUND")]
    before = (base.statuses, base.triggers, base.edges, base.mermaid())
    derived = base.derive(
        states=states,
        transitions=[step("lose", Number.BUSY, "LOST"), step("find", "LOST", "FOUND")],
        means={"LOST": STARTED},
        before_state_change="note",
        cancel_started=True,
    )
    derived.guard("begin")(lambda event: False)
    assert (base.statuses, base.triggers, base.edges, base.mermaid()) == before
    assert base.cancel_started is False
    assert base.running == (Number.BUSY,)


def test_derived_lifecycle_has_a_name_of_its_own() -> None:
    """Without a name given, that of the base gets a prime."""
    assert JOB_LIFECYCLE.derive().name == "job'"
    assert JOB_LIFECYCLE.derive("mine").derive().name == "mine'"


def test_derived_lifecycle_can_be_derived_from() -> None:
    """Each step of deriving adds to the one before."""
    again = pausable().derive(transitions=[step("ping", "PAUSED", None)])
    assert again.triggers == (*pausable().triggers, "ping")


def test_derived_meanings_prevail_over_those_of_the_base() -> None:
    """What ``means`` says of a status replaces what the base said, and the rest stays."""
    derived = film(Number).derive(means={"HELD": STARTED, Number.BROKEN: REVOKED})
    assert derived.running == (Number.BUSY, Number.HELD)
    assert derived.meaning(Number.BROKEN) is REVOKED
    assert derived.meaning(Number.DONE) is SUCCESS


@pytest.mark.parametrize("base", [True, False])
def test_cancel_started_is_inherited_unless_given(base: bool) -> None:
    """Whether started jobs can be cancelled is that of the base, or what deriving says."""
    lifecycle = JOB_LIFECYCLE.derive(cancel_started=base)
    assert lifecycle.derive().cancel_started is base
    assert lifecycle.derive(cancel_started=not base).cancel_started is not base


@pytest.mark.parametrize("cancel_started", [True, False])
async def test_started_job_can_be_cancelled_where_the_lifecycle_says_so(
    cancel_started: bool,
) -> None:
    """A user's revoke of a started job passes under ``cancel_started``, and only then."""
    job = Job[Any](lifecycle=JOB_LIFECYCLE.derive(cancel_started=cancel_started))
    await job.start()
    if cancel_started:
        assert (await job.revoke()).dest is REVOKED
    else:
        with pytest.raises(GuardRefused, match="guard can_revoke_started") as caught:
            await job.revoke()
        assert caught.value.guard == "can_revoke_started"
        assert job.status is STARTED


async def test_added_candidates_are_tried_after_those_that_are_there() -> None:
    """A candidate added to a trigger is taken where those of the base refuse."""
    derived = JOB_LIFECYCLE.derive(
        transitions=[step("revoke", STARTED, FAILURE)],
    )
    one, two = (Job[Any](lifecycle=derived) for _ in range(2))
    await one.start()
    await two.start()
    assert (await one.revoke(cause=RevokeCause.ADMIN)).dest is REVOKED
    assert (await two.revoke()).dest is FAILURE


async def test_machine_wide_callbacks_are_added_to_those_of_the_base() -> None:
    """Deriving adds callbacks of every transition after those of the base."""
    calls: list[str] = []
    base = film(
        TEXT,
        prepare_event=(lambda: calls.append("one"), lambda: calls.append("two")),
        after_state_change=lambda: calls.append("after"),
    )
    derived = base.derive(prepare_event=[lambda: calls.append("three")])
    await Job[Any, str](lifecycle=derived).trigger("begin")
    assert calls == ["one", "two", "three", "after"]
    calls.clear()
    await Job[Any, str](lifecycle=base).trigger("begin")
    assert calls == ["one", "two", "after"]


def test_wrong_derivation_is_refused_and_the_base_stays() -> None:
    """What is checked of a definition is checked of a derived one."""
    with pytest.raises(InvalidLifecycle, match="'resurrect' leaves SUCCESS, which is final"):
        JOB_LIFECYCLE.derive(transitions=[step("resurrect", SUCCESS, PENDING)])
    assert "resurrect" not in JOB_LIFECYCLE.triggers


# --- guards and hooks -------------------------------------------------------------------------

Attach = Callable[[Lifecycle[Any]], Callable[[Any], Any]]

ATTACHING: dict[str, Attach] = {
    "prepare": lambda lifecycle: lifecycle.prepare("begin"),
    "guard": lambda lifecycle: lifecycle.guard("begin"),
    "before": lambda lifecycle: lifecycle.before("begin"),
    "on_exit": lambda lifecycle: lifecycle.on_exit("NEW"),
    "on_enter": lambda lifecycle: lifecycle.on_enter("BUSY"),
    "after": lambda lifecycle: lifecycle.after("begin"),
    "finalize": lambda lifecycle: lifecycle.finalize,
}
"""Every decorator whose function is called when a film begins, in order."""


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", ATTACHING)
@KINDS
async def test_decorated_function_is_called_with_the_event(s: Any, name: str, kind: str) -> None:
    """A decorated function takes one argument, which tells all of the transition so far."""
    told: list[dict[str, Any]] = []
    seen: list[TransitionEvent[Any]] = []
    lifecycle = film(s)

    def hook(event: TransitionEvent[Any]) -> bool:
        seen.append(event)
        told.append({name: getattr(event, name) for name in ("source", "dest", "transition")})
        return True

    async def async_hook(event: TransitionEvent[Any]) -> bool:
        await anyio.lowlevel.checkpoint()
        return hook(event)

    decorated = hook if kind == "sync" else async_hook
    assert ATTACHING[name](lifecycle)(decorated) is decorated
    job = Film(lifecycle=lifecycle)
    done = await job.trigger("begin", 1, speed=2)
    committed = done if name in ("on_enter", "after", "finalize") else None
    assert told == [{"source": s.NEW, "dest": s.BUSY, "transition": committed}]
    (event,) = seen
    assert event.job is job
    assert (event.trigger, event.args, event.kwargs) == ("begin", (1,), {"speed": 2})
    assert event.error is None


async def test_decorated_functions_run_in_the_order_of_a_transition() -> None:
    """Whatever the order of attaching, guards come before hooks and exit before enter."""
    calls: list[str] = []
    lifecycle = film(TEXT)
    for name, attach in reversed(ATTACHING.items()):
        attach(lifecycle)(noting(calls, name))
    await Film(lifecycle=lifecycle).trigger("begin")
    assert calls == list(ATTACHING)


async def test_functions_of_one_slot_run_in_the_order_of_attaching() -> None:
    """Two hooks in one place are called first come, first served."""
    calls: list[str] = []
    lifecycle = film(TEXT)
    for name in ("one", "two", "three"):
        lifecycle.after("begin")(noting(calls, name))
    await Film(lifecycle=lifecycle).trigger("begin")
    assert calls == ["one", "two", "three"]


@pytest.mark.parametrize("answer", [False, None, "yes", 2, [True]], ids=repr)
async def test_guard_must_answer_true(answer: object) -> None:
    """Anything but ``True`` refuses, and the error names the guard and its answer."""
    lifecycle = film(TEXT)

    @lifecycle.guard("begin")
    def is_ready(event: TransitionEvent[str]) -> object:
        return answer

    job = Film("film-1", lifecycle=lifecycle)
    with pytest.raises(GuardRefused, match="is_ready of the way to BUSY answered") as caught:
        await job.trigger("begin")
    assert caught.value.refusals == (("BUSY", is_ready.__qualname__, repr(answer)),)
    assert (job.status, job.version) == ("NEW", 0)


@pytest.mark.parametrize(
    ("selected", "asked"),
    [
        ({}, ["BUSY to HELD", "HELD to BUSY"]),
        ({"source": Number.HELD}, ["HELD to BUSY"]),
        ({"source": "HELD"}, ["HELD to BUSY"]),
        ({"dest": Number.HELD}, ["BUSY to HELD"]),
        ({"dest": "HELD", "source": Number.BUSY}, ["BUSY to HELD"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["guard", "prepare", "before", "after"])
async def test_hook_on_a_trigger_can_be_for_one_source_or_destination(
    place: str, selected: dict[str, Any], asked: list[str]
) -> None:
    """``source=`` and ``dest=`` select candidates of a trigger."""
    calls: list[str] = []
    lifecycle = film(Number).derive(
        transitions=[
            step("swap", Number.BUSY, Number.HELD),
            step("swap", Number.HELD, Number.BUSY),
        ]
    )

    def hook(event: TransitionEvent[Any]) -> bool:
        calls.append(f"{event.source.name} to {event.dest.name}")
        return True

    getattr(lifecycle, place)("swap", **selected)(hook)
    job = Film(lifecycle=lifecycle)
    await job.trigger("begin")
    await job.trigger("swap")
    await job.trigger("swap")
    assert calls == asked


@pytest.mark.parametrize("place", ["guard", "prepare", "before", "after"])
def test_hook_on_what_a_trigger_never_does_is_refused(place: str) -> None:
    """A hook that could never run is a mistake; the ways that there are, are told."""
    with pytest.raises(ValueError, match="would never run from BUSY to BUSY: it goes BUSY → HELD"):
        getattr(film(Number), place)("hold", source=Number.BUSY, dest="BUSY")(print)


@pytest.mark.parametrize(
    ("attach", "told"),
    [
        (
            lambda lifecycle: lifecycle.on_enter("NEW"),
            "enter('NEW') would never run: nothing enters NEW",
        ),
        (
            lambda lifecycle: lifecycle.on_exit("DONE"),
            "exit('DONE') would never run: nothing leaves DONE",
        ),
        (
            lambda lifecycle: lifecycle.on_final("BUSY"),
            "final('BUSY') would never run: final are DONE",
        ),
        (
            lambda lifecycle: lifecycle.after("wait"),
            "would never run from anywhere to anywhere: it goes nowhere",
        ),
    ],
    ids=["on_enter", "on_exit", "on_final", "trigger"],
)
def test_hook_on_what_a_job_never_does_is_refused(attach: Attach, told: str) -> None:
    """Being made in a status and staying there is not entering it, and nothing leaves an end."""
    lifecycle = Lifecycle(
        "film",
        states=["NEW", "BUSY", final("DONE")],
        transitions=[
            step("begin", "NEW", "BUSY"),
            step("beat", "NEW", None),
            step("finish", "BUSY", "DONE"),
            step("wait", [], "BUSY"),
        ],
    )
    with pytest.raises(ValueError, match=re.escape(told)):
        attach(lifecycle)(print)
    assert lifecycle._attached == []


async def test_hook_on_what_comes_back_to_the_initial_status_runs() -> None:
    """A status that a reflexive transition leaves is entered again."""
    calls: list[str] = []
    lifecycle = film(TEXT).derive(transitions=[step("renew", "NEW", "=")])
    lifecycle.on_enter("NEW")(noting(calls, "enter"))
    lifecycle.on_exit("NEW")(noting(calls, "exit"))
    await Film(lifecycle=lifecycle).trigger("renew")
    assert calls == ["exit", "enter"]


async def test_destination_of_an_internal_transition_is_its_source() -> None:
    """A hook for one destination hears of a transition that stays there."""
    calls: list[str] = []
    lifecycle = film(TEXT)
    lifecycle.before("*", dest="BUSY")(lambda event: calls.append(event.trigger))
    job = Film(lifecycle=lifecycle)
    for trigger in ("begin", "beat", "hold", "resume"):
        await job.trigger(trigger)
    assert calls == ["begin", "beat", "resume"]


async def test_star_stands_for_every_trigger_and_every_status() -> None:
    """A hook on ``*`` is called for each of them."""
    calls: list[str] = []
    lifecycle = film(TEXT)
    for place in ("on_exit", "on_enter", "on_final", "after"):
        attach = getattr(lifecycle, place)("*")
        attach(lambda event, place=place: calls.append(f"{place} {event.trigger}"))
    job = Film(lifecycle=lifecycle)
    for trigger in ("begin", "beat", "finish"):
        await job.trigger(trigger)
    assert calls == [
        *("on_exit begin", "on_enter begin", "after begin"),
        "after beat",
        *("on_exit finish", "on_enter finish", "on_final finish", "after finish"),
    ]


async def test_hook_on_final_can_be_for_one_status() -> None:
    """``on_final`` without a status is for every final one, with one for that alone."""
    calls: list[str] = []
    lifecycle = film(Word)
    lifecycle.on_final()(lambda event: calls.append("any"))
    lifecycle.on_final(Word.DONE)(lambda event: calls.append("done"))
    for trigger in ("finish", "give_up"):
        job = Film(lifecycle=lifecycle)
        await job.trigger("begin")
        await job.trigger(trigger)
    assert calls == ["any", "done", "any"]


async def test_hook_on_exceptions_is_told_what_was_raised() -> None:
    """``on_exception`` hears of what a hook raised before the commit, ``finalize`` follows."""
    calls: list[tuple[str, object]] = []
    lifecycle = film(TEXT)
    error = OSError("disk full")

    @lifecycle.before("begin")
    def fail(event: TransitionEvent[str]) -> None:
        raise error

    @lifecycle.on_exception
    async def hear(event: TransitionEvent[str]) -> None:
        calls.append(("exception", event.error))

    @lifecycle.finalize
    def end(event: TransitionEvent[str]) -> None:
        calls.append(("finalize", event.error))

    job = Film(lifecycle=lifecycle)
    with pytest.raises(OSError, match="disk full"):
        await job.trigger("begin")
    assert calls == [("exception", error), ("finalize", error)]
    assert (job.status, job.version) == ("NEW", 0)


async def test_one_function_can_be_attached_in_several_places() -> None:
    """Decorators give the function back, so that they can be stacked."""
    calls: list[str] = []
    lifecycle = film(TEXT)

    @lifecycle.on_enter("BUSY")
    @lifecycle.on_exit("BUSY")
    def note(event: TransitionEvent[str]) -> None:
        calls.append(event.trigger)

    job = Film(lifecycle=lifecycle)
    await job.trigger("begin")
    await job.trigger("hold")
    assert calls == ["begin", "hold"]


@pytest.mark.parametrize("place", ["guard", "prepare", "before", "after"])
def test_hook_on_an_unknown_trigger_is_refused(place: str) -> None:
    """A misspelt trigger is told at once, with the nearest that there is."""
    with pytest.raises(UnknownTrigger, match=r"no trigger 'strat' \(did you mean 'start'\?\)"):
        getattr(JOB_LIFECYCLE.derive(), place)("strat")


@pytest.mark.parametrize(
    "attach",
    [
        lambda lifecycle: lifecycle.on_exit("STRATED"),
        lambda lifecycle: lifecycle.on_enter("STRATED"),
        lambda lifecycle: lifecycle.on_final("STRATED"),
        lambda lifecycle: lifecycle.guard("start", source="STRATED"),
        lambda lifecycle: lifecycle.after("start", dest="STRATED"),
    ],
    ids=["on_exit", "on_enter", "on_final", "source", "dest"],
)
def test_hook_on_an_unknown_status_is_refused(attach: Attach) -> None:
    """A misspelt status is told at once, with the nearest that there is."""
    with pytest.raises(UnknownStatus, match=r"'STRATED' \(did you mean 'STARTED'\?\)"):
        attach(JOB_LIFECYCLE.derive())


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ("note", "'note' cannot be called, so it is no hook"),
        (lambda event: (yield), "yields, so that calling it would run nothing of it"),
        (yielding, "yields, so that calling it would run nothing of it"),
        (lambda: None, "must take one argument, the TransitionEvent"),
        (lambda one, two: None, "must take one argument, the TransitionEvent"),
        (lambda *, event: None, "must take one argument, the TransitionEvent"),
    ],
    ids=["name", "generator", "async-generator", "no-argument", "two-arguments", "keyword-only"],
)
def test_what_cannot_be_called_with_the_event_is_no_hook(hook: Any, told: str) -> None:
    """A function that could not be called later is refused when it is attached."""
    with pytest.raises(TypeError, match=told) as caught:
        film(TEXT).after("begin")(hook)
    assert str(caught.value).startswith("lifecycle film: ")


class Yielding:
    """Can be called, which runs nothing of it."""

    def __call__(self, event: object) -> Iterator[object]:
        """Yield what it is given."""
        yield event

    async def later(self, event: object) -> AsyncIterator[object]:
        """Yield what it is given, some time."""
        yield event


class YieldingLater:
    """Is so too, where it is async."""

    async def __call__(self, event: object) -> AsyncIterator[object]:
        """Yield what it is given."""
        yield event


@pytest.mark.parametrize(
    "hook",
    [Yielding(), YieldingLater(), Yielding().later, partial(Yielding()), partial(YieldingLater())],
    ids=["object", "async-object", "method", "partial", "async-partial"],
)
def test_what_yields_is_no_hook(hook: Any) -> None:
    """A call of it would run nothing, so that it is refused, whatever it is that yields."""
    with pytest.raises(TypeError, match="yields, so that calling it would run nothing of it"):
        film(TEXT).after("begin")(hook)
    with pytest.raises(TypeError, match=r"job film-1: .* yields"):
        Film("film-1", lifecycle=film(TEXT)).on("begin", hook)


def test_builtin_that_does_not_tell_its_arguments_is_taken() -> None:
    """A callable without a signature gets the benefit of the doubt."""
    hook: Any = iter
    assert film(TEXT).after("begin")(hook) is iter


# --- sealing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACHING)
def test_lifecycle_is_sealed_by_its_first_job(name: str) -> None:
    """Hooks can be attached until a job relies on the lifecycle, and not later."""
    lifecycle = film(TEXT)
    early = ATTACHING[name](lifecycle)
    early(lambda event: True)
    Film(lifecycle=lifecycle)
    with pytest.raises(LifecycleSealed, match="lifecycle film is sealed") as caught:
        ATTACHING[name](lifecycle)(lambda event: True)
    assert caught.value.lifecycle == "film"
    with pytest.raises(LifecycleSealed):
        early(lambda event: True)


async def test_refused_hook_is_never_called() -> None:
    """What a sealed lifecycle refused has not become part of it."""
    lifecycle = film(TEXT)
    job = Film(lifecycle=lifecycle)
    with pytest.raises(LifecycleSealed):
        lifecycle.guard("begin")(lambda event: False)
    await job.trigger("begin")
    await Film(lifecycle=lifecycle).trigger("begin")


async def test_reading_does_not_seal() -> None:
    """A lifecycle that was read and drawn is still open, and later hooks are called."""
    calls: list[str] = []
    lifecycle = film(TEXT)
    assert lifecycle.edges
    assert lifecycle.mermaid()
    assert lifecycle.meaning("NEW") is PENDING
    lifecycle.after("begin")(lambda event: calls.append("after"))
    await Film(lifecycle=lifecycle).trigger("begin")
    assert calls == ["after"]


def test_attached_guard_is_read_as_part_of_its_edge() -> None:
    """An edge shows guards of the definition first, then attached ones."""
    lifecycle = film(TEXT)
    plain = [edge.guards for edge in lifecycle.edges]

    @lifecycle.guard("*")
    def is_ready(event: TransitionEvent[str]) -> bool:
        return True

    name = is_ready.__qualname__
    assert plain == [()] * 7 + [("may_drop", "not is_kept")] * 2
    assert [edge.guards for edge in lifecycle.edges] == [(*guards, name) for guards in plain]


def test_declaring_a_class_of_jobs_does_not_seal() -> None:
    """A class may be declared with a lifecycle whose hooks are attached below it."""
    lifecycle = film(TEXT)

    class Mine(Job[Any, str], lifecycle=lifecycle):
        pass

    lifecycle.after("begin")(print)
    assert Mine().lifecycle is lifecycle


async def test_derived_lifecycle_of_a_sealed_one_is_open() -> None:
    """Jobs of the base keep to the base, those of the derived one meet the added guard."""
    base = film(TEXT)
    job = Film(lifecycle=base)
    derived = base.derive()
    derived.guard("begin")(lambda event: False)
    await job.trigger("begin")
    with pytest.raises(GuardRefused):
        await Film(lifecycle=derived).trigger("begin")


async def test_hooks_of_the_base_are_inherited_as_they_are_then() -> None:
    """What is attached to a base before deriving goes along, and what comes later does not."""
    calls: list[str] = []
    base = film(TEXT)
    base.after("begin")(lambda event: calls.append("early"))
    derived = base.derive()
    base.after("begin")(lambda event: calls.append("late"))
    await Film(lifecycle=derived).trigger("begin")
    assert calls == ["early"]
    await Film(lifecycle=base).trigger("begin")
    assert calls == ["early", "early", "late"]


# --- one's own lifecycle gets all that a default job has -----------------------------------------


@KINDS
async def test_own_job_reports_while_it_runs(s: Any) -> None:
    """Progress is reported where the status means STARTED, and refused elsewhere."""
    job = Film("film-1", lifecycle=film(s))
    with pytest.raises(ReportRefused, match="only a job that is BUSY can report"):
        job.report(progress=1)
    await job.trigger("begin")
    job.report(progress=40, info={"frames": 7})
    assert (job.progress, dict(job.info)) == (40, {"frames": 7})
    await job.trigger("hold")
    with pytest.raises(ReportRefused):
        job.report(progress=50)
    assert job.progress == 40


@KINDS
async def test_own_job_counts_attempts(s: Any) -> None:
    """An attempt begins where a running status is entered from rest, not after a pause."""
    job = Film(lifecycle=film(s))
    triggers = ("begin", "hold", "resume", "beat", "again", "begin")
    steps = [await job.trigger(trigger) for trigger in triggers]
    assert [step.attempt for step in steps] == [1, 1, 1, 1, 1, 2]
    assert (job.attempt, job.progress) == (2, 0)


@KINDS
async def test_own_job_is_awaited(s: Any) -> None:
    """`completed`, `await job` and `outcome` tell the result of a success."""
    job = Film(name="Metropolis", lifecycle=film(s))
    outcomes = []

    async def wait() -> None:
        outcomes.append(await job.completed())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await job.trigger("begin")
            assert job.outcome is None
            await job.trigger("finish", result="film.mp4")
        (outcome,) = outcomes
        assert outcome == job.outcome
        assert (outcome.status, outcome.meaning) == (s.DONE, SUCCESS)
        assert (outcome.value(), outcome.attempts) == ("film.mp4", 1)
        assert await job == "film.mp4"
    assert (job.status, job.progress, job.result) == (s.DONE, 100, "film.mp4")


@KINDS
async def test_own_job_that_fails_says_why(s: Any) -> None:
    """A status that means FAILURE gives `JobFailed`, with the error of the trigger."""
    job = Film("film-1", lifecycle=film(s))
    await job.trigger("begin")
    await job.trigger("give_up", error=OSError("torn"))
    with pytest.raises(JobFailed, match="ended BROKEN after 1 attempt: OSError: torn") as caught:
        await job
    assert caught.value.status == s.BROKEN
    assert (job.error_reason, job.error_message) == ("OSError", "torn")


@KINDS
async def test_own_job_that_is_revoked_says_why(s: Any) -> None:
    """A status that means REVOKED gives `JobRevoked`, with reason and cause."""
    job = Film("film-1", lifecycle=film(s))
    await job.trigger("drop", reason="too long", cause=RevokeCause.ADMIN)
    with pytest.raises(JobRevoked, match="ended DROPPED by ADMIN: too long") as caught:
        await job
    assert caught.value.status == s.DROPPED
    assert (await job.completed()).cause is RevokeCause.ADMIN


@KINDS
async def test_own_job_with_an_end_that_was_not_explained(s: Any) -> None:
    """It completes as any other, and `value` says what the lifecycle leaves open."""
    job = Film("film-1", lifecycle=film(s, means={}))
    for trigger in ("begin", "finish"):
        await job.trigger(trigger)
    outcome = await job.completed()
    assert (outcome.status, outcome.meaning) == (s.DONE, None)
    with pytest.raises(OutcomeUndeclared, match=r"means=\{'DONE': JobStatus\.SUCCESS\}"):
        outcome.value()


@KINDS
async def test_own_job_is_waited_for_by_status_or_name(s: Any) -> None:
    """`reached` takes statuses of one's own, and knows from the table what can never be."""
    job = Film("film-1", lifecycle=film(s))
    with anyio.fail_after(5):
        begun = await job.trigger("begin")
        assert await job.reached(s.BUSY) is begun
        assert await job.reached("BUSY", s.DONE) is begun
        held = await job.trigger("hold")
        resumed = await job.trigger("resume")
        assert await job.reached(s.HELD) is held
        assert await job.reached(s.BUSY, after=begun.version) is resumed
        await job.trigger("finish")
        with pytest.raises(Unreachable, match="it can never reach BROKEN"):
            await job.reached(s.BROKEN)
        with pytest.raises(UnknownStatus):
            await job.reached("LOST")


@KINDS
async def test_own_job_is_followed(s: Any) -> None:
    """`changes` gives every transition and the progress, in the statuses of one's own."""
    job = Film(lifecycle=film(s))
    seen: list[object] = []

    async def follow() -> None:
        async with job.changes() as changes:
            async for change in changes:
                if isinstance(change, Progress):
                    seen.append(change.progress)
                else:
                    assert isinstance(change, Transition)
                    seen.append(change.dest)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            await job.trigger("begin")
            await anyio.wait_all_tasks_blocked()
            job.report(progress=30)
            await anyio.wait_all_tasks_blocked()
            await job.trigger("beat")
            await job.trigger("finish")
    assert seen == [s.BUSY, 30, s.BUSY, s.DONE]


@KINDS
async def test_own_job_takes_hooks_by_status_name_and_trigger(s: Any) -> None:
    """`on` takes a status as it is or by name, and a trigger."""
    calls: list[str] = []
    job = Film(lifecycle=film(s))
    job.on(s.BUSY, lambda event: calls.append("status"))
    job.on("BUSY", lambda event: calls.append("name"))
    job.on("begin", lambda event: calls.append("trigger"))
    await job.trigger("begin")
    assert calls == ["status", "name", "trigger"]


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ("beginn", UnknownTrigger, "no trigger 'beginn' (did you mean 'begin'?)"),
        ("DONEE", UnknownTrigger, "no trigger 'DONEE' (did you mean 'DONE'?)"),
        (JobStatus.PENDING, UnknownTrigger, "no trigger 'PENDING'"),
        (Word.DONE, UnknownStatus, f"no status {Word.DONE!r}"),
        (7, UnknownTrigger, "no trigger '7'"),
    ],
    ids=["trigger", "status", "of-another-lifecycle", "of-another-enum", "number"],
)
def test_hook_on_what_is_neither_status_nor_trigger(
    asked: Any, error: type[Exception], told: str
) -> None:
    """`on` refuses what the lifecycle does not have, and names the nearest that it has."""
    with pytest.raises(error) as caught:
        Film(lifecycle=film(Number)).on(asked, print)
    assert told in str(caught.value)


@KINDS
async def test_own_job_says_what_is_possible(s: Any) -> None:
    """Refusals and `can` speak of the triggers and statuses of one's own."""
    job = Film("film-1", lifecycle=film(s))
    with pytest.raises(TransitionRefused) as caught:
        await job.trigger("hold")
    assert str(caught.value) == "job film-1 is NEW: cannot hold; possible: begin, drop"
    assert caught.value.status == s.NEW
    assert job.can("begin")
    assert not job.can("hold")


async def test_paused_job_keeps_its_attempt_and_progress() -> None:
    """PAUSED, added to the job lifecycle, interrupts an attempt without ending it."""
    job = Job[str, Any](lifecycle=pausable())
    await job.start()
    job.report(progress=60)
    paused = await job.trigger("pause")
    assert (paused.source, paused.dest, paused.attempt) == (STARTED, "PAUSED", 1)
    assert (job.status, job.progress, job.attempt) == ("PAUSED", 60, 1)
    with pytest.raises(ReportRefused):
        job.report(progress=70)
    with pytest.raises(TransitionRefused) as caught:
        await job.succeed("early")
    assert caught.value.possible == ("resume", "revoke")
    await job.trigger("resume")
    assert (job.status, job.progress, job.attempt) == (STARTED, 60, 1)
    await job.succeed("done")
    assert await job == "done"


async def test_paused_job_can_be_revoked() -> None:
    """The triggers of the base can be given to an added status."""
    job = Job[str, Any](lifecycle=pausable())
    await job.start()
    await job.trigger("pause")
    await job.revoke("no longer needed")
    with pytest.raises(JobRevoked, match="by USER: no longer needed"):
        await job


async def test_class_of_jobs_has_a_lifecycle() -> None:
    """Jobs of a class declared with a lifecycle follow it, and so do those of its subclasses."""

    class Mine(Film, lifecycle=film(Number)):
        pass

    class Yours(Mine):
        pass

    other = film(Word)
    assert (Mine().status, Yours().status) == (Number.NEW, Number.NEW)
    assert Mine(lifecycle=other).status is Word.NEW
    assert Job[Any]().lifecycle is JOB_LIFECYCLE


def test_nothing_that_was_read_can_be_changed() -> None:
    """Neither a lifecycle nor one of its edges takes an assignment, and lists are tuples."""
    lists = ("statuses", "final", "running", "triggers", "edges")
    for name in ("name", "initial", "cancel_started", *lists):
        with pytest.raises(AttributeError):
            setattr(JOB_LIFECYCLE, name, None)
    for name in ("trigger", "source", "dest", "guards", "internal"):
        with pytest.raises(AttributeError):
            setattr(JOB_LIFECYCLE.edges[0], name, None)
    assert {type(getattr(JOB_LIFECYCLE, name)) for name in lists} == {tuple}
