"""One family of errors: each holds its facts, says them in its own sentence, and can travel."""

from __future__ import annotations

import copy
import inspect
import pickle
import traceback
from enum import Enum, StrEnum

import pytest

import jobstate
from jobstate import (
    JOB_LIFECYCLE,
    AlreadyClaimed,
    AttemptInterrupted,
    AttemptTimedOut,
    BadArgument,
    CallbackNotFound,
    ChangesLost,
    CommandFailed,
    CorruptRecord,
    DependencyCycle,
    DependencyFailed,
    DuplicateJob,
    ForeignStore,
    GuardRefused,
    HookFailed,
    ImpossibleDemand,
    InvalidJobId,
    InvalidLifecycle,
    Job,
    JobAbandoned,
    JobFailed,
    JobNotFound,
    JobRevoked,
    JobsClosed,
    JobStateError,
    JobStatus,
    JobUnfinished,
    LifecycleSealed,
    LoopEnded,
    NewerFormat,
    NoCurrentJob,
    NoLoopYet,
    NothingToDefer,
    NotRestorable,
    OutcomeUndeclared,
    ReentrantTrigger,
    ReentrantWait,
    Refused,
    ReportRefused,
    RevokeCause,
    RunnerClosed,
    StaleVersion,
    StillRunning,
    StopRequested,
    StoreBroken,
    StoreBusy,
    StoreClosed,
    Transition,
    TransitionRefused,
    UnknownStatus,
    UnknownTrigger,
    Unreachable,
    Unstorable,
    UnsuitableResult,
    UnsuitableWork,
    UnsupportedDefinition,
    WorkerDied,
    WouldBlock,
    WrongThread,
    _errors,
    _run_errors,
    _store_errors,
)


class Light(Enum):
    """Statuses of one's own whose values differ from their names."""

    GREEN = "go"
    RED = 1


STARTED = Transition("j1", 3, "start", JobStatus.RETRY, JobStatus.STARTED, 1.5, attempt=2)
SWITCHED = Transition("j2", 1, "stop", Light.GREEN, Light.RED, 1.5, attempt=0)

# Every error with the whole of what it says.
SENTENCES: list[tuple[JobStateError, str]] = [
    (
        TransitionRefused("j1", JobStatus.PENDING, "succeed", ["start", "fail", "revoke"]),
        "job j1 is PENDING: cannot succeed; possible: fail, revoke, start",
    ),
    (
        TransitionRefused("j1", Light.RED, "stop", []),
        "job j1 is RED: cannot stop; possible: nothing: it is final",
    ),
    (
        TransitionRefused("j1", "PAUSED", "stop", {"resume": 1}),
        "job j1 is PAUSED: cannot stop; possible: resume",
    ),
    (
        GuardRefused(
            "j1", JobStatus.STARTED, "revoke", [(JobStatus.REVOKED, "can_revoke_started", "False")]
        ),
        "job j1 is STARTED: cannot revoke: "
        "guard can_revoke_started of the way to REVOKED answered False",
    ),
    (
        GuardRefused(
            "j1",
            Light.GREEN,
            "switch",
            [(Light.RED, "dark", "None"), (Light.GREEN, "day", "'yes'")],
        ),
        "job j1 is GREEN: cannot switch: guard dark of the way to RED answered None; "
        "guard day of the way to GREEN answered 'yes'",
    ),
    (
        UnknownTrigger("job", "strat", ["succeed", "start", "fail"]),
        "lifecycle job has no trigger 'strat' (did you mean 'start'?); "
        "it has: fail, start, succeed",
    ),
    (
        UnknownTrigger("job", "pause", ["start"]),
        "lifecycle job has no trigger 'pause'; it has: start",
    ),
    (
        UnknownTrigger("idle", "pause", []),
        "lifecycle idle has no trigger 'pause'; it has: none",
    ),
    (
        UnknownStatus("job", "STARTING", ["PENDING", "STARTED"]),
        "lifecycle job has no status 'STARTING' (did you mean 'STARTED'?); "
        "it has: PENDING, STARTED",
    ),
    (
        UnknownStatus("job", Light.GREEN, ["PENDING", "STARTED"]),
        "lifecycle job has no status 'GREEN'; it has: PENDING, STARTED",
    ),
    (
        UnknownStatus("traffic", Light.GREEN, ["RED", "GREEN"]),  # as another enum has it
        f"lifecycle traffic has no status {Light.GREEN!r}; it has: RED, GREEN",
    ),
    (
        UnknownStatus("job", 7, ["PENDING"]),
        "lifecycle job has no status '7'; it has: PENDING",
    ),
    (
        BadArgument("j1", "retry(delay=-1)", "delay must be a number of seconds from 0 on"),
        "job j1: retry(delay=-1): delay must be a number of seconds from 0 on",
    ),
    (
        InvalidJobId("a b"),
        "'a b' cannot name a job: use 1 to 128 ASCII letters, digits, '_' and '-'",
    ),
    (
        InvalidJobId(7),
        "7 cannot name a job: use 1 to 128 ASCII letters, digits, '_' and '-'",
    ),
    (
        ReentrantTrigger("j1", JobStatus.STARTED, "succeed"),
        "job j1 is STARTED and in the middle of a transition that this very task runs: succeed "
        "would wait for itself; use job.defer('succeed') to have it run right after the present "
        "transition",
    ),
    (
        ReentrantWait("j1", JobStatus.STARTED),
        "job j1 is STARTED and in the middle of a transition that this very task runs: the wait "
        "would never end; wait in another task",
    ),
    (
        WouldBlock("j1", "start", "its journal must be written"),
        "job j1: start cannot be done at once: its journal must be written",
    ),
    (
        NothingToDefer("j1", JobStatus.PENDING, "start"),
        "job j1 is PENDING and in no transition of this task that start could follow: "
        "await job.start(…) instead of deferring it",
    ),
    (
        WrongThread("j1", "asyncio event loop 0x1", "thread Thread-1 of process 7"),
        "job j1 belongs to asyncio event loop 0x1, and this is thread Thread-1 of process 7; use "
        "job.threadsafe.start(), which gives a future, or in a worker thread of anyio, to wait "
        "there, anyio.from_thread.run(job.start)",
    ),
    (
        HookFailed(STARTED, [ValueError("paper"), OSError(5, "jam")]),
        "job j1 is STARTED: start was committed, and hooks after it failed (2 sub-exceptions)",
    ),
    (
        HookFailed(SWITCHED, [ValueError("bulb")]),
        "job j2 is RED: stop was committed, and hooks after it failed (1 sub-exception)",
    ),
    (
        ReportRefused("j1", JobStatus.PENDING, "only a job that is STARTED can report"),
        "job j1 is PENDING: report refused: only a job that is STARTED can report",
    ),
    (
        Unreachable("j1", JobStatus.SUCCESS, [JobStatus.FAILURE, JobStatus.REVOKED], 0),
        "job j1 is SUCCESS: it can never reach FAILURE or REVOKED",
    ),
    (
        Unreachable("j1", Light.RED, [Light.GREEN], 4),
        "job j1 is RED: it can never reach GREEN after version 4",
    ),
    (
        JobAbandoned("j1", JobStatus.STARTED, "the connection is closed"),
        "job j1 was STARTED when it was abandoned: the connection is closed",
    ),
    (
        JobFailed("j1", JobStatus.FAILURE, "ValueError", "no such column", 3),
        "job j1 ended FAILURE after 3 attempts: ValueError: no such column",
    ),
    (
        JobFailed("j1", "BROKEN", None, "no such column", 1),
        "job j1 ended BROKEN after 1 attempt: no such column",
    ),
    (
        JobFailed("j1", Light.RED, "ValueError", "", 0),
        "job j1 ended RED after 0 attempts: ValueError",
    ),
    (
        JobFailed("j1", JobStatus.FAILURE, None, None, 2),
        "job j1 ended FAILURE after 2 attempts: no reason was given",
    ),
    (
        JobRevoked("j1", JobStatus.REVOKED, "not needed", RevokeCause.USER, 1),
        "job j1 ended REVOKED by USER: not needed",
    ),
    (
        JobRevoked("j1", Light.RED, "", None, 0),
        "job j1 ended RED: no reason was given",
    ),
    (
        OutcomeUndeclared("j1", Light.RED),
        "job j1 ended RED, and its lifecycle does not say what that means: "
        "declare it, as in Lifecycle(…, means={'RED': JobStatus.SUCCESS})",
    ),
    (
        InvalidLifecycle("print", ["state A cannot be reached from B", "no state is final"]),
        "lifecycle print cannot be built:\n"
        "  - state A cannot be reached from B\n"
        "  - no state is final",
    ),
    (
        UnsupportedDefinition("print", ["it has nested or parallel states"]),
        "lifecycle print cannot behave as its transitions machine does:\n"
        "  - it has nested or parallel states",
    ),
    (
        LifecycleSealed("job"),
        "lifecycle job is sealed: jobs rely on it as it is; add guards and hooks to a "
        "lifecycle.derive() before its first job",
    ),
    (
        CallbackNotFound("Job", "has_attempt_left", ["fail", "has_attempts_left"]),
        "callback 'has_attempt_left' is neither an attribute of Job (did you mean "
        "'has_attempts_left'?) nor the dotted name of something that can be imported",
    ),
    (
        CallbackNotFound("Job", "mail.send", []),
        "callback 'mail.send' is neither an attribute of Job "
        "nor the dotted name of something that can be imported",
    ),
    (JobNotFound("j1", 0), "no job 'j1' is known here; 0 are"),
    (
        JobNotFound("noth", 1, ["north"]),
        "no job 'noth' is known here (did you mean 'north'?); one is",
    ),
    (JobNotFound("j1", 12345), "no job 'j1' is known here; 12,345 are"),
    (
        JobNotFound("j1", None),
        "job 'j1' has been let go of, and its id is another job's by now",
    ),
    (
        DuplicateJob("j1", JobStatus.STARTED),
        "another job j1 is there already: it is STARTED",
    ),
    (DuplicateJob("j1", Light.RED), "another job j1 is there already: it is RED"),
    (
        JobUnfinished("j1", JobStatus.STARTED),
        "job j1 is STARTED: it cannot be forgotten until it ends",
    ),
    (JobUnfinished("j1", Light.RED), "job j1 is RED: it cannot be forgotten until it ends"),
    (JobsClosed("j1"), "job j1 cannot be added: the collection was closed"),
    (JobsClosed("j1", "is full", "loaded"), "job j1 cannot be loaded: the collection is full"),
    (
        ChangesLost(120, 1250),
        "lost 1,250 changes of 120 finished jobs, forgotten unread: "
        "read faster, or have more jobs kept",
    ),
    (
        ChangesLost(1, 1),
        "lost 1 change of 1 finished job, forgotten unread: read faster, or have more jobs kept",
    ),
    (
        UnsuitableWork("'make'", "it is no future, task or process"),
        "cannot run 'make': it is no future, task or process",
    ),
    (
        LoopEnded("j1", "asyncio event loop 0x1"),
        "job j1 belongs to an event loop that has ended: asyncio event loop 0x1",
    ),
    (
        NoLoopYet("j1", "thread MainThread of process 7, where no event loop runs"),
        "job j1 belongs to thread MainThread of process 7, where no event loop runs, and to no "
        "event loop yet: there is none that could move it; make it in its event loop, or use it "
        "there first",
    ),
    (RunnerClosed("submit fetch", "was left"), "cannot submit fetch: the runner was left"),
    (
        ImpossibleDemand("gpu", 2, 1),
        "the job asks for 2 of 'gpu': there are 1 in all",
    ),
    (ImpossibleDemand("gpu", 2, None), "the job asks for 2 of 'gpu': there is none"),
    (DependencyCycle("j1"), "job j1 cannot come after itself"),
    (
        DependencyFailed("j1", "j0", JobStatus.FAILURE, "ValueError: no eggs"),
        "job j0, which it comes after, is FAILURE: ValueError: no eggs",
    ),
    (
        DependencyFailed("j1", "j0", JobStatus.REVOKED, ""),
        "job j0, which it comes after, is REVOKED",
    ),
    (
        AttemptInterrupted("j1", 2),
        "attempt 2 was interrupted: the process that ran it has ended",
    ),
    (
        AttemptTimedOut("j1", 2, 1.5, left_behind=False),
        "attempt 2 took longer than 1.5 seconds",
    ),
    (
        AttemptTimedOut("j1", 2, 60, left_behind=True),
        "attempt 2 took longer than 60 seconds; it does not listen, and still runs",
    ),
    (StillRunning("j1", JobStatus.STARTED, 60), "job j1 is STARTED after 60 s of waiting"),
    (
        UnsuitableResult("a generator", "it cannot leave its process"),
        "the work gave a generator: it cannot leave its process",
    ),
    (
        CommandFailed(["cp", "a b", "c"], 1, None, "copying\ncp: no space left\n"),
        "cp 'a b' c exited with 1; the last that it said: cp: no space left",
    ),
    (
        CommandFailed(["sleep", "9"], None, "SIGKILL", ""),
        "sleep 9 ended by SIGKILL; it said nothing",
    ),
    (
        WorkerDied("j1", "was ended by SIGKILL"),
        "the process that worked on job j1 was ended by SIGKILL before the work was done",
    ),
    (
        NoCurrentJob(),
        "this code is not the work of any job: current_job() is for what a JobRunner runs; in a "
        "thread of one's own, run it in a copy of the work's contextvars",
    ),
    (StaleVersion("j1", 2, 3), "job j1 is at version 3, not at 2"),
    (StoreClosed("jobs.db"), "store jobs.db was closed"),
    (StoreBroken("jobs.db", "the disk is full"), "store jobs.db: the disk is full"),
    (
        StoreBusy("jobs.db", 5.0),
        "store jobs.db was locked by another program for more than 5 s",
    ),
    (
        AlreadyClaimed("jobs.db", "nightly"),
        "store jobs.db: 'nightly' is claimed already, by another user of the store",
    ),
    (
        AlreadyClaimed("jobs.db", "nightly", here=True),
        "store jobs.db: 'nightly' is claimed already, by this same store object",
    ),
    (
        ForeignStore("jobs.db", "a database of another program"),
        "jobs.db is no store of jobs, but a database of another program; it was left as it is",
    ),
    (
        Unstorable("j1", "result.rows[3]", "datetime is not JSON"),
        "job j1 cannot be stored: result.rows[3]: datetime is not JSON",
    ),
    (
        CorruptRecord("version", "'two' cannot stand there"),
        "a stored record cannot be read: version: 'two' cannot stand there",
    ),
    (
        NotRestorable("j1", "it follows lifecycle 'review', and what is known is: job"),
        "job j1 cannot be restored: it follows lifecycle 'review', and what is known is: job",
    ),
    (
        NewerFormat("a stored record", 2, 1),
        "a stored record is of format 2, and this release of jobstate knows formats up to 1: "
        "use a later release",
    ),
    (
        CorruptRecord("version", "it is missing", "j1", 7),
        "a stored record (of job j1, position 7) cannot be read: version: it is missing",
    ),
    (
        NewerFormat("a stored record", 2, 1, "j1", 7),
        "a stored record (of job j1, position 7) is of format 2, and this release of jobstate "
        "knows formats up to 1: use a later release",
    ),
]

# It is no ordinary exception, and of no family: the work that it is raised in lets it pass.
APART: list[tuple[BaseException, str]] = [
    (StopRequested("j1", "not needed"), "job j1 was asked to stop: not needed"),
    (StopRequested("j1", ""), "job j1 was asked to stop: no reason was given"),
]

ALL = [
    pytest.param(error, id=f"{type(error).__name__}-{number}")
    for number, (error, _) in enumerate(SENTENCES)
]

BASES = {JobStateError, Refused, _errors._Problems}

# What else an error is, for code that knows nothing of this package.
ALSO = {
    AttemptTimedOut: TimeoutError,
    BadArgument: TypeError,
    CallbackNotFound: AttributeError,
    CorruptRecord: ValueError,
    DependencyCycle: ValueError,
    DuplicateJob: ValueError,
    ForeignStore: ValueError,
    HookFailed: ExceptionGroup,
    ImpossibleDemand: ValueError,
    InvalidJobId: ValueError,
    InvalidLifecycle: ValueError,
    JobNotFound: KeyError,
    NoCurrentJob: LookupError,
    ReportRefused: ValueError,
    StillRunning: TimeoutError,
    StoreBusy: TimeoutError,
    UnknownStatus: ValueError,
    UnknownTrigger: AttributeError,
    Unstorable: ValueError,
    UnsuitableResult: TypeError,
    UnsuitableWork: TypeError,
    UnsupportedDefinition: ValueError,
}


def defined():
    """Return every error class that the pages of errors define."""
    return {
        each
        for page in (_errors, _run_errors, _store_errors)
        for each in vars(page).values()
        if inspect.isclass(each)
        and issubclass(each, Exception)
        and each.__module__ == page.__name__
    }


def facts(error):
    """Return all that an error holds and says; exceptions in it by what they hold and say."""
    held = {name: value for name, value in vars(error).items() if name != "__notes__"}
    if isinstance(error, BaseExceptionGroup):
        held["exceptions"] = [(type(each), facts(each)) for each in error.exceptions]
    return {"sentence": str(error), **held}


# --- the table ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sentence"), SENTENCES, ids=[type(error).__name__ for error, _ in SENTENCES]
)
def test_says_its_facts_in_a_sentence(error, sentence):
    """An error says which job, how it stands, what was asked and what is possible."""
    assert str(error) == sentence


def test_the_table_is_complete():
    """Every error class of the page stands in the table, but for the bases, never raised."""
    assert {type(error) for error, _ in SENTENCES} == defined() - BASES


def test_the_bases_are_never_raised():
    """A base has classes below it, and the table has an instance of each of these alone."""
    assert {base for each in defined() for base in each.__bases__} & defined() == BASES


def test_one_family():
    """Every error of the pages is a JobStateError, which is an ordinary exception."""
    assert all(issubclass(each, JobStateError) for each in defined())
    assert JobStateError.__bases__ == (Exception,)


def test_every_error_is_public():
    """Whatever can be raised can be caught by a name that `jobstate` gives."""
    public = {each for each in defined() if not each.__name__.startswith("_")}
    assert public == {getattr(jobstate, each.__name__) for each in public}
    assert {each.__name__ for each in public} <= set(jobstate.__all__)
    assert defined() - public == {_errors._Problems}


def test_what_else_an_error_is():
    """A caller that knows the built-in exceptions alone can still tell what is wrong."""
    family = (JobStateError, Refused, _errors._Problems, Exception, BaseException, object)
    others = {
        each: set(each.__mro__[1:])
        - set(family)
        - {BaseExceptionGroup, OSError}
        - ({LookupError} if KeyError in each.__mro__ else set())
        - set(ALSO)
        for each in defined() - BASES
    }
    assert {each: kinds for each, kinds in others.items() if kinds} == {
        each: {kind} for each, kind in ALSO.items()
    }


def test_a_refusal_is_one_of_two():
    """`Refused` stands for what the lifecycle and what a guard refused, and for nothing else."""
    assert set(Refused.__subclasses__()) == {TransitionRefused, GuardRefused}


@pytest.mark.parametrize("error", ALL)
def test_facts_are_attributes(error):
    """Whatever an error was made of can be read from it, under the same name."""
    names = list(inspect.signature(type(error)).parameters)
    if isinstance(error, HookFailed):
        names[names.index("failures")] = "exceptions"
    for name, given in zip(names, error.__reduce__()[1], strict=True):
        assert getattr(error, name) == given


@pytest.mark.parametrize("error", ALL)
def test_a_traceback_ends_with_the_sentence(error):
    """What Python prints is the name of the error and its sentence."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    assert "".join(traceback.format_exception_only(error)).strip() == f"{name}: {error}"


def test_collections_are_taken_as_they_are_at_that_moment():
    """An error does not change with what it was made of; possible triggers are in order."""
    possible, problems = ["start", "fail"], ["no state is final"]
    refused = TransitionRefused("j1", "PENDING", "succeed", iter(possible))
    invalid = InvalidLifecycle("print", problems)
    possible.clear()
    problems.clear()
    assert refused.possible == ("fail", "start")
    assert invalid.problems == ("no state is final",)


def test_a_guard_refusal_names_the_first_guard_and_keeps_all():
    """`guard` is the first one that refused; `refusals` has each candidate, in order."""
    refusals = [("B", "is_light", "False"), ("C", "is_dark", "None")]
    error = GuardRefused("j1", "A", "go", iter(refusals))
    assert error.guard == "is_light"
    assert error.refusals == tuple(refusals)


def test_an_unsupported_definition_gives_its_reasons():
    """`reasons` holds each reason, in order."""
    error = UnsupportedDefinition("print", iter(["one", "two"]))
    assert error.reasons == error.problems == ("one", "two")


@pytest.mark.parametrize(("stop", "sentence"), APART)
def test_a_stop_is_apart(stop, sentence):
    """It says its facts and travels as an error does, and is caught by its name alone."""
    assert str(stop) == sentence
    arrived = pickle.loads(pickle.dumps(stop))
    assert (type(arrived), vars(arrived)) == (StopRequested, vars(stop))
    assert StopRequested.__bases__ == (BaseException,)
    assert jobstate.StopRequested is StopRequested


# --- travelling -----------------------------------------------------------------------------


def by_pickle(protocol):
    """Return what sends an error through pickle."""
    return lambda error: pickle.loads(pickle.dumps(error, protocol))


WAYS = [
    *(
        pytest.param(by_pickle(protocol), id=f"pickle{protocol}")
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ),
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ALL)
def test_travels_with_its_facts(error, way):
    """Pickled or copied, an error is of the same class, with the same facts and sentence."""
    arrived = way(error)
    assert arrived is not error
    assert type(arrived) is type(error)
    assert facts(arrived) == facts(error)


@pytest.mark.parametrize("error", [each for each in ALL if "HookFailed" not in each.id])
def test_travels_when_its_facts_were_given_by_name(error):
    """An error that somebody makes with keywords alone is no different."""
    named = {name: getattr(error, name) for name in inspect.signature(type(error)).parameters}
    made = type(error)(**named)
    arrived = pickle.loads(pickle.dumps(made))
    assert facts(arrived) == facts(made)
    assert made.args == error.args


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", sorted(defined() - BASES, key=repr))
def test_travels_with_its_notes(kind, way):
    """A note that was added to an error goes where the error goes."""
    error = copy.copy(next(error for error, _ in SENTENCES if type(error) is kind))
    error.add_note("while printing page 3")
    assert way(error).__notes__ == ["while printing page 3"]


class Picky(Exception):
    """Can be pickled, but not taken out again: it is made of two and keeps one."""

    def __init__(self, one, other):
        super().__init__(one)


def hostile(fact):
    """Return a fact in whose place stands what cannot be pickled, of classes made in a function."""

    class Local(StrEnum):
        READY = "at the start"

    class Text(str):
        __slots__ = ()

    if isinstance(fact, Enum):
        return Local.READY
    if isinstance(fact, str):
        return Text(fact)
    if isinstance(fact, Transition):
        return fact._replace(source=Local.READY, dest=Local.READY, job_id=Text(fact.job_id))
    if isinstance(fact, tuple):
        return tuple(map(hostile, fact))
    return Picky(fact, 2) if isinstance(fact, Exception) else fact


HOSTILE = [
    *(type(error)(*map(hostile, error.__reduce__()[1])) for error, _ in SENTENCES),
    InvalidJobId(lambda: 0),
    UnknownTrigger("job", lambda: 0, ["start"]),
    UnknownStatus("job", lambda: 0, ["PENDING"]),
    UnknownStatus("job", hostile(Light.RED), ["READY"]),
    HookFailed(STARTED, [ValueError(lambda: 0), JobAbandoned("j1", hostile(Light.RED), "gone")]),
]


@pytest.mark.parametrize("error", HOSTILE, ids=lambda error: type(error).__name__)
def test_travels_whatever_its_facts(error):
    """What cannot be pickled is replaced by text that reads like it; the sentence is the same."""
    error.add_note("while printing page 3")
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert repr(vars(arrived)) == repr(vars(error))
    assert str(pickle.loads(pickle.dumps(arrived))) == str(error)


def test_what_cannot_be_pickled_stays_as_it_is_where_it_is():
    """Only the error that has travelled holds text, which equals what was text."""
    status, trigger = hostile(Light.RED), hostile("stop")
    error = TransitionRefused("j1", status, trigger, [])
    arrived = pickle.loads(pickle.dumps(error))
    assert error.status is status
    assert (arrived.status, arrived.trigger) == ("at the start", "stop")
    assert isinstance(arrived.status, str)


def test_a_failure_that_cannot_be_pickled_is_told_by_another():
    """Of what hooks raised, each that can travel arrives as it was."""
    error = HookFailed(STARTED, [Picky("jam", 2), ValueError("bulb")])
    told, same = pickle.loads(pickle.dumps(error)).exceptions
    assert (type(told), str(told)) == (Exception, "Picky('jam')")
    assert (type(same), str(same)) == (ValueError, "bulb")


def test_an_id_that_cannot_even_be_shown_travels():
    """A value whose ``repr`` raises is told by its class."""

    class Shy:
        def __repr__(self):
            raise OSError("not now")

    error = InvalidJobId(Shy())
    assert str(error).startswith("<Shy> cannot name a job")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# --- suggestions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("strat", "start"),
        ("sucede", "succeed"),
        ("Start", "start"),
        ("restart", "start"),
        ("on_enter_STARTED", None),
        ("pause", None),
        ("", None),
    ],
)
def test_a_near_trigger_is_suggested(asked, meant):
    """Where a trigger of nearly that name exists, the error asks whether it was meant."""
    with pytest.raises(UnknownTrigger) as caught:
        Job("j1").can(asked)
    assert (caught.value.lifecycle, caught.value.trigger) == ("job", asked)
    assert caught.value.known == tuple(sorted(JOB_LIFECYCLE.triggers))
    assert ("did you mean" in str(caught.value)) is (meant is not None)
    if meant is not None:
        assert f"(did you mean {meant!r}?)" in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("SUCESS", "SUCCESS"), ("Failure", "FAILURE"), ("FAILED", "FAILURE"), (Light.GREEN, None)],
)
def test_a_near_status_is_suggested(asked, meant):
    """Where a status of nearly that name exists, the error asks whether it was meant."""
    with pytest.raises(UnknownStatus) as caught:
        JOB_LIFECYCLE.meaning(asked)
    assert (caught.value.lifecycle, caught.value.status) == ("job", asked)
    assert caught.value.known == tuple(JobStatus)
    assert ("did you mean" in str(caught.value)) is (meant is not None)
    if meant is not None:
        assert f"(did you mean {meant!r}?)" in str(caught.value)


# --- long ids -------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["x" * 59, "x" * 1_000_000, b"x" * 500, [1] * 500])
def test_a_long_id_is_shortened(given):
    """What cannot name a job is shown by its beginning, however long it is; it is kept whole."""
    error = InvalidJobId(given)
    assert str(error).startswith(f"{repr(given)[:60]}… (")
    assert len(str(error)) < 160
    assert error.job_id is given


@pytest.mark.parametrize("given", ["", "a b", "x" * 57 + "!"])
def test_a_short_id_is_shown_whole(given):
    """What fits on a line is shown as Python writes it."""
    assert str(InvalidJobId(given)).startswith(f"{given!r} cannot name a job")


# --- the group of what hooks raised ---------------------------------------------------------


def failed(*failures):
    """Return the group of these failures, as it was raised."""
    try:
        raise HookFailed(STARTED, failures) from OSError("cause")
    except HookFailed as error:
        error.add_note("note")
        return error


def test_hook_failed_is_a_group_of_what_the_hooks_raised():
    """It holds the very exceptions, in order, and the transition that was committed."""
    failures = [ValueError("one"), OSError("two")]
    error = HookFailed(STARTED, failures)
    assert error.exceptions == tuple(failures)
    assert error.exceptions[0] is failures[0]
    assert error.transition is STARTED


def test_hook_failed_holds_exceptions_alone():
    """An interrupt is no failure of a hook, and a group of nothing is none."""
    with pytest.raises(TypeError):
        HookFailed(STARTED, [KeyboardInterrupt()])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="non-empty"):
        HookFailed(STARTED, [])


def test_split_keeps_the_transition():
    """Both parts of a split are of the same class, know the transition, and lose no context."""
    whole = failed(ValueError("one"), OSError("two"), ValueError("three"))
    parts = whole.split(ValueError)
    assert [type(part) for part in parts] == [HookFailed, HookFailed]
    assert [[str(each) for each in part.exceptions] for part in parts] == [
        ["one", "three"],
        ["two"],
    ]
    for part in parts:
        assert part.transition is STARTED
        assert part.message == whole.message
        assert part.__cause__ is whole.__cause__
        assert part.__traceback__ is whole.__traceback__
        assert part.__notes__ == ["note"]


def test_split_of_all_or_nothing():
    """Where everything fits, or nothing does, the other part is none."""
    whole = failed(ValueError("one"))
    assert whole.split(HookFailed) == (whole, None)
    part, nothing = whole.split(ValueError)
    assert (type(part), part.transition, nothing) == (HookFailed, STARTED, None)
    nothing, part = whole.split(OSError)
    assert (type(part), part.transition, nothing) == (HookFailed, STARTED, None)


def test_subgroup_keeps_the_transition():
    """A part picked by a predicate is of the same class and knows the transition."""
    part = failed(ValueError("one"), OSError("two")).subgroup(lambda e: str(e) == "two")
    assert type(part) is HookFailed
    assert part.transition is STARTED
    assert [str(each) for each in part.exceptions] == ["two"]


def test_except_star_keeps_the_transition():
    """What `except*` handles and what it passes on are both groups with the transition."""
    whole = failed(ValueError("one"), OSError("two"))
    handled: list[ExceptionGroup[ValueError]] = []

    def handle_what_fits():
        try:
            raise whole
        except* ValueError as part:
            handled.append(part)

    with pytest.raises(HookFailed) as caught:
        handle_what_fits()
    (part,) = handled
    assert type(part) is HookFailed
    assert part.transition is caught.value.transition is STARTED
    assert [str(each) for each in (*part.exceptions, *caught.value.exceptions)] == ["one", "two"]


def test_derive_makes_the_same_group_of_others():
    """`derive` keeps the transition and the sentence, and takes other exceptions."""
    whole = failed(ValueError("one"))
    others = [OSError("two"), OSError("three")]
    derived = whole.derive(others)
    assert type(derived) is HookFailed
    assert derived.transition is STARTED
    assert derived.message == whole.message
    assert derived.exceptions == tuple(others)


def nested():
    """Return what a deferred trigger leaves: a group in a group, each of its own transition."""
    return failed(ValueError("outer"), HookFailed(SWITCHED, [ValueError("inner"), OSError("two")]))


def test_nested_groups_keep_each_its_own_transition():
    """A group in a group is split too, and each part still knows its own transition."""
    part, rest = nested().split(ValueError)
    assert [str(part.exceptions[0]), part.transition] == ["outer", STARTED]
    inner = part.exceptions[1]
    assert [str(inner.exceptions[0]), inner.transition] == ["inner", SWITCHED]
    (inner_rest,) = rest.exceptions
    assert type(rest) is type(inner_rest) is HookFailed
    assert [rest.transition, inner_rest.transition] == [STARTED, SWITCHED]
    assert [str(each) for each in inner_rest.exceptions] == ["two"]


@pytest.mark.parametrize("way", WAYS)
def test_nested_groups_travel(way):
    """A group in a group is pickled and copied with both transitions and every exception."""
    assert facts(way(nested())) == facts(nested())


def test_a_group_can_be_caught_as_a_group_or_by_its_name():
    """Both `except*` for what hooks raised and `except HookFailed` reach it."""
    for kind in (HookFailed, JobStateError, ExceptionGroup, BaseExceptionGroup, Exception):
        with pytest.raises(kind):
            raise failed(ValueError("one"))


def test_a_job_raises_one_group_of_all_that_its_hooks_raised():
    """The caller of a trigger gets every failure after the commit, in order, and what it moved."""
    job = Job[None]("j1")
    failures = [ValueError("one"), OSError("two")]
    left = iter(failures)

    def fail(event):
        raise next(left)

    job.on("STARTED", fail)
    job.on("start", fail)
    with pytest.raises(HookFailed) as caught:
        job.start_nowait()
    assert caught.value.exceptions == tuple(failures)
    assert caught.value.transition is job.history[0]
    assert job.status is JobStatus.STARTED
