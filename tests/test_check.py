"""A definition that cannot work is refused when it is built, with everything wrong about it."""

from __future__ import annotations

import pickle
from enum import Enum, StrEnum
from typing import Any

import pytest

from jobstate import JOB_LIFECYCLE, InvalidLifecycle, JobStateError, JobStatus, Lifecycle


class Word(StrEnum):
    """Statuses whose values are other words than their names."""

    NEW = "fresh"
    BUSY = "at work"
    DONE = "all done"


class Number(Enum):
    """Statuses whose values are no text."""

    NEW = 1
    BUSY = 2
    DONE = 3


NO_FINAL = (
    "no state is final, so that no job could ever complete: "
    "declare one with final=[…], or as {'name': …, 'final': True}"
)


def step(trigger: str, source: Any, dest: Any, **more: Any) -> dict[str, Any]:
    """Return a transition as a definition has it."""
    return {"trigger": trigger, "source": source, "dest": dest, **more}


def final(status: Any, **more: Any) -> dict[str, Any]:
    """Return a final state as a definition has it."""
    return {"name": status, "final": True, **more}


def definition(*steps: Any, states: Any = (), **more: Any) -> dict[str, Any]:
    """Return one that is right (NEW, BUSY, and a final DONE) with what is added to it."""
    return {
        "states": ["NEW", "BUSY", final("DONE"), *states],
        "transitions": [step("start", "NEW", "BUSY"), step("end", "BUSY", "DONE"), *steps],
        **more,
    }


def problems(definition: dict[str, Any]) -> list[str]:
    """Return what is found wrong with a definition."""
    with pytest.raises(InvalidLifecycle) as caught:
        Lifecycle[Any]("mine", **definition)
    assert caught.value.lifecycle == "mine"
    return list(caught.value.problems)


def test_right_definition_is_built() -> None:
    """Nothing is wrong with the definition that the tests below spoil."""
    assert Lifecycle[Any](**definition()).statuses == ("NEW", "BUSY", "DONE")


SPOILT = {
    "unknown source": (
        definition(step("stop", "PAUSED", "DONE")),
        "trigger 'stop' leaves 'PAUSED', which is no state",
    ),
    "unknown source, misspelt": (
        definition(step("stop", ["NEW", "BUSSY"], "DONE")),
        "trigger 'stop' leaves 'BUSSY', which is no state (did you mean 'BUSY'?)",
    ),
    "unknown destination": (
        definition(step("stop", "BUSY", "LOST")),
        "trigger 'stop' leads to 'LOST', which is no state",
    ),
    "unknown destination, misspelt": (
        definition(step("stop", "BUSY", "DNOE")),
        "trigger 'stop' leads to 'DNOE', which is no state (did you mean 'DONE'?)",
    ),
    "unknown destination, of an internal name": (
        definition(step("stop", "BUSY", "")),
        "trigger 'stop' leads to '', which is no state",
    ),
    "value of a member in place of its name": (
        definition(step("start", "fresh", Word.DONE)),
        "trigger 'start' leaves 'fresh', which is no state",
    ),
    "unreachable state": (
        definition(step("thaw", "FROZEN", "BUSY"), states=["FROZEN"]),
        "state FROZEN cannot be reached from NEW",
    ),
    "unreachable final state": (
        definition(states=[final("LOST")]),
        "state LOST cannot be reached from NEW",
    ),
    "dead end": (
        definition(step("lose", "BUSY", "LOST"), states=["LOST"]),
        "no final state can be reached from LOST",
    ),
    "dead end that is left for itself alone": (
        definition(
            step("lose", "BUSY", "LOST"), step("look", "LOST", "="), step("sigh", "LOST", None),
            states=["LOST"],
        ),
        "no final state can be reached from LOST",
    ),
    "way out of a final state": (
        definition(step("redo", "DONE", "NEW")),
        "trigger 'redo' leaves DONE, which is final",
    ),
    "internal transition on a final state": (
        definition(step("polish", "DONE", None)),
        "trigger 'polish' leaves DONE, which is final",
    ),
    "reflexive transition on a final state": (
        definition(step("again", "DONE", "=")),
        "trigger 'again' leaves DONE, which is final",
    ),
    "second candidate that can never run": (
        definition(step("end", "BUSY", "NEW")),
        "trigger 'end' from BUSY: the candidate to NEW can never run, "
        "because the one to DONE before it has no guard",
    ),
    "second candidate that can never run, guarded itself": (
        definition(step("end", "BUSY", "NEW", conditions="is_ready")),
        "trigger 'end' from BUSY: the candidate to NEW can never run, "
        "because the one to DONE before it has no guard",
    ),
    "internal candidate that can never run": (
        definition(step("end", "BUSY", None)),
        "trigger 'end' from BUSY: the candidate to BUSY can never run, "
        "because the one to DONE before it has no guard",
    ),
    "candidate after an internal one that always runs": (
        definition(step("poke", "BUSY", None), step("poke", "BUSY", "NEW")),
        "trigger 'poke' from BUSY: the candidate to NEW can never run, "
        "because the one to BUSY before it has no guard",
    ),
    "final initial state": (
        definition(initial="DONE"),
        "its initial state DONE is final: a job could never run",
    ),
    "meaning of an unknown state": (
        definition(means={"BUSSY": JobStatus.STARTED}),
        "means speaks of 'BUSSY', which is no state",
    ),
    "meaning that is none": (
        definition(means={"BUSY": "STARTED"}),
        "means says 'STARTED' of BUSY, which is no JobStatus",
    ),
    "meaning of a final state that is not final": (
        definition(means={"DONE": JobStatus.RETRY}),
        "DONE is final and cannot mean RETRY",
    ),
    "final meaning of a state that can be left": (
        definition(means={"BUSY": JobStatus.REVOKED}),
        "BUSY is not final and cannot mean REVOKED",
    ),
    "no final state": (
        {"states": ["A", "B"], "transitions": [step("go", "A", "B"), step("back", "B", "A")]},
        NO_FINAL,
    ),
    **{
        f"{slot} that is none": (
            definition(**{slot: 7}),
            f"{slot} of the lifecycle is 7, which is neither a function nor a name",
        )
        for slot in ("before_state_change", "finalize_event")
    },
    "hook on a status that is none": (
        definition(step("nap", "NEW", "BED"), step("rise", "BED", "BUSY"), states=[
            {"name": "BED", "on_exit": ["yawn", 7]}
        ]),
        "on_exit of state BED is 7, which is neither a function nor a name",
    ),
    "hook on a transition that is none": (
        definition(step("look", "BUSY", None, before=7)),
        "before of trigger 'look' from BUSY is 7, which is neither a function nor a name",
    ),
    "guard that is none": (
        definition(step("look", "BUSY", None, conditions=["is_ready", 7])),
        "a guard of trigger 'look' from BUSY is 7, which is neither a function nor a name",
    ),
    "repeated state": (
        definition(states=["BUSY"]),
        "state BUSY is there already",
    ),
    "repeated state of another kind": (
        definition(states=[Number.BUSY]),
        "state BUSY is there already",
    ),
}  # fmt: skip
"""What is wrong, the definition, and how it is told."""


@pytest.mark.parametrize(("spoilt", "problem"), SPOILT.values(), ids=SPOILT)
def test_defect_is_told_with_its_place_and_reason(spoilt: dict[str, Any], problem: str) -> None:
    """A definition with one defect is refused with one sentence that says where and why."""
    assert problems(spoilt) == [problem]


@pytest.mark.parametrize(
    ("spoilt", "place", "reason"),
    [
        (
            definition(states=[{"name": "LOST", "finl": True}]),
            "state {'name': 'LOST', 'finl': True}",
            "unexpected keyword argument 'finl'",
        ),
        (
            definition(states=[{"final": True}]),
            "state {'final': True}",
            "missing 1 required positional argument: 'name'",
        ),
        (definition(states=[7]), "state 7", "'int' object has no attribute"),
        (definition(states=[["LOST"]]), "state ['LOST']", "'list' object has no attribute"),
        (
            definition(step("stop", "BUSY", "DONE", condition="is_ready")),
            "transition {'trigger': 'stop', 'source': 'BUSY', 'dest': 'DONE', "
            "'condition': 'is_ready'}",
            "unexpected keyword argument 'condition'",
        ),
        (
            definition({"trigger": "stop", "source": "BUSY"}),
            "transition {'trigger': 'stop', 'source': 'BUSY'}",
            "missing 1 required positional argument: 'dest'",
        ),
        (
            definition(["stop", "BUSY"]),
            "transition ['stop', 'BUSY']",
            "missing 1 required positional argument: 'dest'",
        ),
        (definition("stop"), "transition 'stop'", "must be a mapping, not str"),
        (
            definition(step("state", "BUSY", "DONE")),
            "transition {'trigger': 'state', 'source': 'BUSY', 'dest': 'DONE'}",
            "Trigger name cannot be same as model attribute name",
        ),
        (
            {"states": [final("A")], "transitions": [], "ordered_transitions": True},
            "ordered transitions of ['A']",
            "fewer than 2 states",
        ),
    ],
    ids=[
        *("state-key", "state-name", "state-number", "state-list"),
        *("transition-key", "transition-dest", "transition-list", "transition-text", "trigger"),
        "ordered",
    ],
)
def test_what_transitions_cannot_read_is_told_with_its_place(
    spoilt: dict[str, Any], place: str, reason: str
) -> None:
    """The error says which state or transition it was, and what `transitions` said of it."""
    (problem,) = problems(spoilt)
    assert problem.startswith(f"transitions cannot read {place}: ")
    assert reason in problem


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"initial": "NWE"}, "its initial state 'NWE' is no state (did you mean 'NEW'?)"),
        ({"initial": 7}, "its initial state 7 is no state"),
        ({"initial": []}, "its initial state [] is no state"),
        ({"final": ["DNE"]}, "its final state 'DNE' is no state (did you mean 'DONE'?)"),
        ({"final": 7}, "its final state 7 is no state"),
    ],
    ids=str,
)
def test_initial_and_final_states_must_be_states(asked: dict[str, Any], told: str) -> None:
    """One that is none is named, with the nearest that there is."""
    assert problems(definition(**asked)) == [told]


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ({"states": ["STARTED"]}, "state STARTED is there already"),
        ({"states": [JobStatus.STARTED]}, "state STARTED is there already"),
        ({"states": ["HELD", {"name": "HELD"}]}, "state HELD is there already"),
        ({"states": ["HELD"], "transitions": [step("hold", "STARTED", "HELD")]},
         "no final state can be reached from HELD"),
        ({"transitions": [step("start", "RETRY", "PENDING")]},
         "trigger 'start' from RETRY: the candidate to PENDING can never run, "
         "because the one to STARTED before it has no guard"),
        ({"transitions": [step("finish", "STARTD", "SUCCESS")]},
         "trigger 'finish' leaves 'STARTD', which is no state (did you mean 'STARTED'?)"),
        ({"means": {"PENDING": JobStatus.SUCCESS}}, "PENDING is not final and cannot mean SUCCESS"),
    ],
    ids=["state", "member", "twice-added", "dead-end", "candidate", "source", "means"],
)  # fmt: skip
def test_defect_of_a_derived_lifecycle_is_told(added: dict[str, Any], problem: str) -> None:
    """What was right and is spoilt by deriving is refused in the same words."""
    with pytest.raises(InvalidLifecycle) as caught:
        JOB_LIFECYCLE.derive("mine", **added)
    assert caught.value.problems == (problem,)


def test_members_of_an_enum_are_told_by_name() -> None:
    """A defect of a status names it as drawings and errors of jobs do."""
    spoilt = {
        "states": [Number.NEW, Number.BUSY, final(Number.DONE)],
        "transitions": [
            step("start", Number.NEW, Number.BUSY),
            step("end", Number.BUSY, Number.DONE),
            step("redo", Number.DONE, Number.NEW),
        ],
        "means": {Number.BUSY: JobStatus.SUCCESS},
    }
    assert problems(spoilt) == [
        "trigger 'redo' leaves DONE, which is final",
        "BUSY is not final and cannot mean SUCCESS",
    ]


def test_every_dead_candidate_is_told() -> None:
    """All candidates after the first unguarded one are dead, not only the next."""
    spoilt = definition(
        step("poke", "BUSY", "NEW", conditions="is_ready"),
        step("poke", "BUSY", None),
        step("poke", "BUSY", "DONE", unless="is_ready"),
        step("poke", "BUSY", "NEW"),
    )
    assert problems(spoilt) == [
        f"trigger 'poke' from BUSY: the candidate to {dest} can never run, "
        "because the one to BUSY before it has no guard"
        for dest in ("DONE", "NEW")
    ]


@pytest.mark.parametrize("guard", ["conditions", "unless"])
def test_guarded_candidate_lets_the_next_run(guard: str) -> None:
    """Candidates are right where each but the last has a guard of either kind."""
    lifecycle = Lifecycle[Any](
        **definition(
            step("poke", "BUSY", "NEW", **{guard: "is_ready"}),
            step("poke", "BUSY", "DONE", **{guard: "is_ready"}),
            step("poke", "BUSY", None),
        )
    )
    assert [e.dest for e in lifecycle.edges if e.trigger == "poke"] == ["NEW", "DONE", "BUSY"]


def test_candidates_of_different_sources_do_not_shadow_each_other() -> None:
    """One trigger may lead elsewhere from elsewhere, without any guard."""
    lifecycle = Lifecycle[Any](**definition(step("end", "NEW", "DONE")))
    assert [e.source for e in lifecycle.edges if e.trigger == "end"] == ["NEW", "BUSY"]


def test_several_defects_are_told_at_once() -> None:
    """All that is wrong is listed, so that it can be put right in one go."""
    spoilt = definition(
        step("end", "BUSY", "NEW"),
        step("redo", "DONE", "NEW"),
        step("stop", "BUSSY", "DNOE"),
        means={"BUSY": JobStatus.FAILURE, "LOST": JobStatus.SUCCESS},
        initial="DONE",
    )
    found = [
        "trigger 'stop' leaves 'BUSSY', which is no state (did you mean 'BUSY'?)",
        "trigger 'stop' leads to 'DNOE', which is no state (did you mean 'DONE'?)",
        "its initial state DONE is final: a job could never run",
        "trigger 'redo' leaves DONE, which is final",
        "trigger 'end' from BUSY: the candidate to NEW can never run, "
        "because the one to DONE before it has no guard",
        "BUSY is not final and cannot mean FAILURE",
        "means speaks of 'LOST', which is no state",
    ]
    assert problems(spoilt) == found
    with pytest.raises(InvalidLifecycle) as caught:
        Lifecycle[Any]("mine", **spoilt)
    assert str(caught.value).splitlines() == [
        "lifecycle mine cannot be built:",
        *(f"  - {problem}" for problem in found),
    ]


def test_every_unreachable_state_and_dead_end_is_told() -> None:
    """Where states are joined wrongly, each is told with what it lacks."""
    spoilt = definition(
        step("lose", "BUSY", "LOST"),
        step("spin", "ADRIFT", "="),
        states=["LOST", "ADRIFT", final("GONE")],
    )
    assert problems(spoilt) == [
        "no final state can be reached from LOST",
        "state ADRIFT cannot be reached from NEW",
        "no final state can be reached from ADRIFT",
        "state GONE cannot be reached from NEW",
    ]


@pytest.mark.parametrize(
    ("spoilt", "problem"),
    [
        (definition(step("go", "NEW", "DONE", before=7)), "before of trigger 'go' from NEW is 7"),
        (
            definition(step("go", "NEW", "DONE", conditions=[None])),
            "a guard of trigger 'go' from NEW is None",
        ),
        (
            definition(step("go", "BUSY", "HELD"), states=[{"name": "HELD", "on_enter": [3.5]}]),
            "on_enter of state HELD is 3.5",
        ),
        (definition(finalize_event=[b"log"]), "finalize_event of the lifecycle is b'log'"),
    ],
    ids=["before", "guard", "state", "machine-wide"],
)
def test_callback_that_is_none_is_refused(spoilt: dict[str, Any], problem: str) -> None:
    """A callback is a function or a name; anything else is told with its place."""
    assert f"{problem}, which is neither a function nor a name" in problems(spoilt)


def test_empty_definition_lacks_both_ends() -> None:
    """Without states there is nothing to begin in and nothing to end in."""
    assert problems({"states": [], "transitions": []}) == [
        "it has no initial state: say initial=…",
        NO_FINAL,
    ]


def test_state_with_a_guarded_way_to_the_end_is_no_dead_end() -> None:
    """Guards are not foreseen: whatever may lead to a final state counts."""
    lifecycle = Lifecycle[Any](
        states=["A", final("B")],
        transitions=[step("go", "A", "B", conditions="never"), step("stay", "A", "=")],
    )
    assert lifecycle.final == ("B",)


def test_internal_transitions_lead_nowhere() -> None:
    """A state is not reached by what happens within another."""
    spoilt = {
        "states": ["A", "B", final("C")],
        "transitions": [step("stay", "A", None), step("go", "A", "C"), step("end", "B", "C")],
    }
    assert problems(spoilt) == ["state B cannot be reached from A"]


def test_error_is_a_value_error_that_pickles() -> None:
    """The error belongs to the family, and keeps its facts on the way to another process."""
    error = InvalidLifecycle("mine", problems(definition(step("redo", "DONE", "NEW"))))
    assert isinstance(error, JobStateError)
    assert isinstance(error, ValueError)
    again = pickle.loads(pickle.dumps(error))
    assert (again.lifecycle, again.problems) == (error.lifecycle, error.problems)
    assert str(again) == str(error)
