"""Observers hear of everything that happens to any job, and never steer one."""

from __future__ import annotations

import logging
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

from jobstate import (
    JOB_LIFECYCLE,
    GuardRefused,
    HookFailed,
    Job,
    JobStatus,
    Lifecycle,
    NothingToDefer,
    ReentrantTrigger,
    TransitionRefused,
    UnknownTrigger,
    WouldBlock,
    add_observer,
    remove_observer,
)
from jobstate.abc import Observer

pytestmark = pytest.mark.anyio


class Listener(Observer):
    """Keeps what it hears."""

    def __init__(self):
        self.heard = []

    def transitioned(self, job, transition, seconds):
        """Keep what moved, how, and the seconds."""
        self.heard.append((job.id, transition.trigger, transition.dest.name, seconds))

    def refused(self, job, trigger, error):
        """Keep what was refused."""
        self.heard.append((job.id, trigger, error))

    def hook_failed(self, job, trigger, hook, error):
        """Keep what failed."""
        self.heard.append((job.id, trigger, hook, error))


class Raising(Observer):
    """Fails at whatever it hears, or already when asked whether it listens."""

    def __init__(self, *, when):
        self.when = when

    def __repr__(self):
        return "<Raising>"

    def listens(self, to):
        """Fail, or listen."""
        if self.when == "listens":
            raise ValueError("cannot say")
        return True

    def transitioned(self, job, transition, seconds):
        """Fail."""
        raise ValueError("at a transition")

    def refused(self, job, trigger, error):
        """Fail."""
        raise ValueError("at a refusal")

    def hook_failed(self, job, trigger, hook, error):
        """Fail."""
        raise ValueError("at a failure")


class Clock:
    """A clock turned by hand."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        """Return POSIX seconds."""
        return self.now


@pytest.fixture
def attend():
    """Add observers, and remove those that are still there when the test is done."""
    added = []

    def add(observer):
        add_observer(observer)
        added.append(observer)
        return observer

    yield add
    for observer in added:
        with suppress(ValueError):
            remove_observer(observer)


@pytest.fixture
def listener(attend):
    """An observer that keeps what it hears."""
    return attend(Listener())


@pytest.fixture
def clock():
    """A clock turned by hand."""
    return Clock()


def with_hooks():
    """Return the default lifecycle with an async hook, so that a job moves in several steps."""
    lifecycle = JOB_LIFECYCLE.derive("hooked")

    @lifecycle.before("*")
    async def pause(event):
        await anyio.lowlevel.checkpoint()

    return lifecycle


@pytest.fixture(params=["plain", "with hooks"])
def lifecycle(request):
    """The default lifecycle, in which a job moves at once, and one in which it does not."""
    return JOB_LIFECYCLE if request.param == "plain" else with_hooks()


# --- transitions ----------------------------------------------------------------------------


async def test_transitions_are_heard_with_the_seconds_in_the_status_before(
    lifecycle, listener, clock
):
    """Each commit is told once, in order, with how long the job stood where it was."""
    job = Job("j1", lifecycle=lifecycle, clock=clock)
    for seconds, move in [(2.5, job.start), (7, lambda: job.retry("jam")), (0, job.start)]:
        clock.now += seconds
        await move()
    clock.now += 40
    await job.succeed()
    assert listener.heard == [
        ("j1", "start", "STARTED", 2.5),
        ("j1", "retry", "RETRY", 7),
        ("j1", "start", "STARTED", 0),
        ("j1", "succeed", "SUCCESS", 40),
    ]


async def test_reports_do_not_shorten_the_seconds(listener, clock):
    """Progress is no transition: it is not heard, and the time in the status goes on."""
    job = Job("j1", clock=clock)
    await job.start()
    clock.now += 5
    job.report(progress=50)
    clock.now += 5
    await job.succeed()
    assert [seconds for *_, seconds in listener.heard] == [0, 10]


async def test_internal_transitions_do_not_shorten_the_seconds(listener, clock):
    """A transition that keeps the status does not begin the time in that status anew."""
    lifecycle = JOB_LIFECYCLE.derive(
        transitions=[{"trigger": "beat", "source": JobStatus.STARTED, "dest": None}]
    )
    job = Job("j1", lifecycle=lifecycle, clock=clock)
    await job.start()
    clock.now += 10
    await job.trigger("beat")
    clock.now += 20
    await job.succeed()
    assert listener.heard[-1] == ("j1", "succeed", "SUCCESS", 30)


async def test_seconds_are_never_negative(lifecycle, listener, clock):
    """Where the clock was put back meanwhile, no time has passed."""
    job = Job("j1", lifecycle=lifecycle, clock=clock)
    clock.now -= 3_600
    await job.start()
    assert listener.heard == [("j1", "start", "STARTED", 0)]


async def test_a_transition_is_heard_once_committed_and_before_any_hook_after_it(attend):
    """At that moment the job shows the new status, and hooks on entering it are yet to run."""
    told = []

    class Looking(Observer):
        def transitioned(self, job, transition, seconds):
            same = transition is job.history[-1]
            told.append(("heard", job.status, job.version, same, anyio.get_current_task().id))

    lifecycle = with_hooks()

    @lifecycle.on_exit(JobStatus.PENDING)
    def leave(event):
        told.append("exit")

    @lifecycle.on_enter(JobStatus.STARTED)
    def enter(event):
        told.append("enter")

    attend(Looking())
    await Job(lifecycle=lifecycle).start()
    mine = anyio.get_current_task().id
    assert told == ["exit", ("heard", JobStatus.STARTED, 1, True, mine), "enter"]


async def test_deferred_triggers_are_heard_too(listener):
    """A trigger that a hook deferred is told like any other, after the one it followed."""
    job = Job("j1")
    job.on(JobStatus.STARTED, lambda event: event.job.defer("succeed"))
    await job.start()
    assert [trigger for _, trigger, *_ in listener.heard] == ["start", "succeed"]


async def test_what_was_not_committed_is_not_heard(listener):
    """A cancelled guard, an unknown trigger, a lack of time: nothing has happened."""
    lifecycle = JOB_LIFECYCLE.derive("stopped")
    lifecycle.guard("start")(lambda event: anyio.sleep_forever())
    job = Job("j1", lifecycle=lifecycle)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await job.start()
    with pytest.raises(UnknownTrigger):
        await job.trigger("pause")
    with pytest.raises(WouldBlock):
        job.start_nowait()
    assert listener.heard == []


@pytest.mark.parametrize("slot", ["prepare", "guard", "before"])
@pytest.mark.parametrize("kind", [OSError, KeyError])
async def test_a_hook_that_stops_a_transition_is_heard(listener, slot, kind):
    """What a guard or hook raises before the commit is told with its name, and raised."""
    lifecycle = JOB_LIFECYCLE.derive("stopped")

    async def stop(event):
        raise kind("no paper")

    getattr(lifecycle, slot)("start")(stop)
    job = Job("j1", lifecycle=lifecycle)
    with pytest.raises(kind) as caught:
        await job.start()
    ((job_id, trigger, hook, error),) = listener.heard
    assert (job_id, trigger, error) == ("j1", "start", caught.value)
    assert hook.endswith("stop")
    assert job.version == 0


async def test_a_hook_that_would_block_elsewhere_is_heard(listener):
    """What a hook lets through of another job is the hook's own failure."""
    lifecycle, other = JOB_LIFECYCLE.derive("asking"), JOB_LIFECYCLE.derive("slow")
    other.guard("start")(lambda event: anyio.lowlevel.checkpoint())
    busy = Job("j2", lifecycle=other)
    lifecycle.before("start")(lambda event: busy.start_nowait() and None)
    with pytest.raises(WouldBlock) as caught:
        await Job("j1", lifecycle=lifecycle).start()
    assert [entry[-1] for entry in listener.heard if entry[0] == "j1"] == [caught.value]


# --- refusals -------------------------------------------------------------------------------


async def test_refusals_by_the_lifecycle_are_heard(lifecycle, listener):
    """A trigger that the status does not have is told, with the very error that is raised."""
    job = Job("j1", lifecycle=lifecycle)
    with pytest.raises(TransitionRefused) as caught:
        await job.succeed()
    assert listener.heard == [("j1", "succeed", caught.value)]


async def test_refusals_by_a_guard_are_heard(lifecycle, listener):
    """A trigger that a guard stopped is told, with the very error that is raised."""
    job = Job("j1", lifecycle=lifecycle)
    await job.start()
    listener.heard.clear()
    with pytest.raises(GuardRefused) as caught:
        await job.revoke()
    assert listener.heard == [("j1", "revoke", caught.value)]


async def test_refusals_at_once_are_heard(listener):
    """A trigger that acts at once or not at all is told of when it is refused."""
    job = Job("j1")
    with pytest.raises(TransitionRefused) as caught:
        job.succeed_nowait()
    assert listener.heard == [("j1", "succeed", caught.value)]


# --- failures of hooks ----------------------------------------------------------------------


async def test_failures_after_the_commit_are_heard_one_by_one(listener):
    """Each hook that raises after the commit is told by name with what it raised, in order."""
    one, two, three = ValueError("one"), OSError("two"), KeyError("three")
    lifecycle = JOB_LIFECYCLE.derive("failing")

    @lifecycle.on_enter(JobStatus.STARTED)
    async def enter(event):
        raise one

    @lifecycle.after("start")
    def after(event):
        raise two

    def own(event):
        raise three

    job = Job("j1", lifecycle=lifecycle)
    job.on("start", own)
    with pytest.raises(HookFailed) as caught:
        await job.start()
    assert caught.value.exceptions == (one, two, three)
    (_, trigger, *_), *failures = listener.heard
    assert trigger == "start"
    assert failures == [
        ("j1", "start", hook.__qualname__, error)
        for hook, error in [(enter, one), (after, two), (own, three)]
    ]


async def test_failures_in_the_wake_of_a_refusal_are_heard(listener):
    """A hook that runs last cannot change a refusal: what it raises is told."""
    lifecycle = JOB_LIFECYCLE.derive("failing")
    error = ValueError("at the end")

    @lifecycle.finalize
    def finalize(event):
        raise error

    job = Job("j1", lifecycle=lifecycle)
    with pytest.raises(TransitionRefused) as caught:
        await job.succeed()
    assert listener.heard == [
        ("j1", "succeed", caught.value),
        ("j1", "succeed", finalize.__qualname__, error),
    ]


async def test_an_interrupt_in_a_hook_is_heard(listener):
    """What is no ordinary exception is told as well, and raised."""
    job = Job("j1")
    error = KeyboardInterrupt()

    def interrupt(event):
        raise error

    job.on("start", interrupt)
    with pytest.raises(KeyboardInterrupt):
        await job.start()
    assert listener.heard[1:] == [("j1", "start", interrupt.__qualname__, error)]


# --- who is told ----------------------------------------------------------------------------


async def happenings(job):
    """Have a job be refused, moved, and failed by a hook; return what its caller saw."""

    def fail(event):
        raise OSError("jam")

    seen = []
    job.on(JobStatus.SUCCESS, fail)
    for trigger in ("succeed", "start", "succeed"):
        try:
            seen.append((await job.trigger(trigger)).dest)
        except (TransitionRefused, HookFailed) as error:
            seen.append(str(error))
    return [*seen, job.status, job.version]


async def test_an_observer_may_override_nothing():
    """The methods of an observer do nothing, and it listens, until they are overridden."""
    alone = await happenings(Job("j1"))
    observer = Observer()
    assert all(observer.listens(to) for to in ("transitioned", "refused", "hook_failed"))
    add_observer(observer)
    try:
        assert await happenings(Job("j1")) == alone
    finally:
        remove_observer(observer)


@pytest.mark.parametrize("when", ["told", "listens"])
async def test_an_observer_that_raises_never_steers(attend, caplog, when):
    """The caller sees what it would have seen, other observers hear, and a log tells of it."""
    alone = await happenings(Job("j1"))
    before, raising, after = Listener(), Raising(when=when), Listener()
    for observer in (before, raising, after):
        attend(observer)
    with caplog.at_level(logging.ERROR, logger="jobstate"):
        assert await happenings(Job("j1")) == alone
    assert [entry[1] for entry in after.heard] == ["succeed", "start", "succeed", "succeed"]
    assert [len(entry) for entry in before.heard] == [len(entry) for entry in after.heard]
    said = ["at a refusal", "at a transition", "at a transition", "at a failure"]
    assert [
        (record.name, record.levelname, record.getMessage(), str(record.exc_info[1]))
        for record in caplog.records
    ] == [
        ("jobstate", "ERROR", "observer <Raising> failed", each)
        for each in (said if when == "told" else ["cannot say"] * 4)
    ]


async def test_an_interrupt_while_an_observer_is_told_stops_no_hook(attend):
    """What is no ordinary exception is raised, but only once the hooks have run."""
    lifecycle = JOB_LIFECYCLE.derive("hooked")
    ran = []

    @lifecycle.on_enter(JobStatus.STARTED)
    def enter(event):
        ran.append("enter")

    @lifecycle.finalize
    async def finalize(event):
        ran.append("finalize")

    class Interrupting(Observer):
        def transitioned(self, job, transition, seconds):
            raise KeyboardInterrupt

    attend(Interrupting())
    job = Job(lifecycle=lifecycle)
    with pytest.raises(KeyboardInterrupt):
        await job.start()
    assert (job.status, ran) == (JobStatus.STARTED, ["enter", "finalize"])


async def test_observers_hear_versions_in_order_whatever_one_of_them_does(
    lifecycle, attend, caplog
):
    """An observer that pulls a trigger of the job it hears of does not mix up what others hear."""

    class Steering(Observer):
        def transitioned(self, job, transition, seconds):
            if transition.trigger == "start":
                job.fail_nowait("jam")

    class Versions(Listener):
        def transitioned(self, job, transition, seconds):
            self.heard.append(transition.version)

    attend(Steering())
    versions = attend(Versions())
    job = Job(lifecycle=lifecycle)
    await job.start()
    assert versions.heard == list(range(1, job.version + 1))


async def test_an_observer_that_does_not_listen_is_not_told(attend):
    """It is asked before each thing it could be told, and told only if it answers so."""

    class Sometimes(Listener):
        asked = 0
        answer = False

        def listens(self, to):
            self.asked += 1
            return self.answer

    observer = attend(Sometimes())
    await happenings(Job("j1"))
    assert (observer.asked, observer.heard) == (4, [])
    observer.answer = True
    await Job("j2").start()
    assert (observer.asked, len(observer.heard)) == (5, 1)


async def test_observers_are_told_in_the_order_in_which_they_were_added(attend):
    """Of two observers, the first to be added hears first."""
    told = []

    class Named(Observer):
        def __init__(self, name):
            self.name = name

        def transitioned(self, job, transition, seconds):
            told.append(self.name)

    attend(Named("one"))
    attend(Named("two"))
    await Job().start()
    assert told == ["one", "two"]


async def test_a_removed_observer_hears_nothing_more(listener):
    """From the removal on nothing is told."""
    job = Job("j1")
    await job.start()
    remove_observer(listener)
    with pytest.raises(TransitionRefused):
        await job.start()
    await job.succeed()
    assert [trigger for _, trigger, *_ in listener.heard] == ["start"]


async def test_an_observer_that_is_not_there_cannot_be_removed(listener):
    """A second removal is an error, and so is that of a stranger."""
    remove_observer(listener)
    for observer in (listener, Listener()):
        with pytest.raises(ValueError, match="not in list"):
            remove_observer(observer)


@pytest.mark.parametrize(
    ("method", "times"), [("transitioned", 2), ("refused", 1), ("hook_failed", 1)]
)
async def test_an_observer_may_remove_itself_while_it_is_told(attend, method, times):
    """It hears nothing more, and those after it are told all the same."""
    told = []

    def leave(*args):
        told.append("leaves")
        remove_observer(leaving)

    leaving, staying = Observer(), Observer()
    setattr(leaving, method, leave)
    setattr(staying, method, lambda *args: told.append("stays"))
    attend(leaving)
    attend(staying)
    await happenings(Job("j1"))
    assert told == ["leaves", *["stays"] * times]


async def test_one_observer_hears_of_every_job(listener):
    """Jobs of any lifecycle and class are heard; no job has to be made known."""
    own = Lifecycle(
        "own",
        states=["OPEN", {"name": "SHUT", "final": True}],
        transitions=[{"trigger": "close", "source": "OPEN", "dest": "SHUT"}],
    )

    class Door(Job[None, str], lifecycle=own):
        """A job of one's own."""

    class Names(Listener):
        def transitioned(self, job, transition, seconds):
            self.heard.append((type(job), transition.dest))

    names = Names()
    add_observer(names)
    try:
        await Door().trigger("close")
        await Job().start()
    finally:
        remove_observer(names)
    assert names.heard == [(Door, "SHUT"), (Job, JobStatus.STARTED)]


# --- never steering ---------------------------------------------------------------------------


class Steering(Observer):
    """Tries to move a job, or to have it moved, by what it hears."""

    def __init__(self, act):
        self.act, self.raised = act, []

    def transitioned(self, job, transition, seconds):
        """Act, and keep what is raised."""
        try:
            self.act(job)
        except Exception as error:
            self.raised.append(error)


@pytest.mark.parametrize("hooked", [False, True])
def test_an_observer_cannot_defer(hooked, attend):
    """What it asks for would be lost or would steer, so it is refused, with hooks or without."""
    observer = attend(Steering(lambda job: job.defer("succeed")))
    job = Job()
    if hooked:
        job.on("start", lambda event: None)
    job.start_nowait()
    assert [type(error) for error in observer.raised] == [NothingToDefer]
    assert job.status is JobStatus.STARTED


@pytest.mark.parametrize("hooked", [False, True])
def test_an_observer_cannot_move_the_job_at_once(hooked, attend):
    """It is part of the transition, where no event loop runs as well, with hooks or without."""
    observer = attend(Steering(lambda job: job.succeed_nowait()))
    job = Job()
    if hooked:
        job.on("start", lambda event: None)
    job.start_nowait()
    assert [type(error) for error in observer.raised] == [ReentrantTrigger]
    assert job.status is JobStatus.STARTED


def test_a_hook_that_an_observer_adds_at_the_end_runs_once(attend):
    """The job has ended when observers hear of it, so the hook runs at once, and not again."""
    ran = []
    observer = attend(Steering(lambda job: job.on(JobStatus.REVOKED, ran.append)))
    job = Job()
    job.on("revoke", lambda event: None)
    job.revoke_nowait()
    assert observer.raised == []
    assert len(ran) == 1


def test_an_interrupt_while_a_failure_is_told_skips_no_hook(attend):
    """Ctrl-C while a hook's failure is written down: what remains runs, then it goes on."""

    class Interrupted(Observer):
        def hook_failed(self, job, trigger, hook, error):
            raise KeyboardInterrupt

    attend(Interrupted())
    ran = []
    lifecycle = JOB_LIFECYCLE.derive()

    @lifecycle.on_enter("STARTED")
    def fail(event):
        raise ValueError

    lifecycle.after("start")(lambda event: ran.append("after"))
    lifecycle.finalize(lambda event: ran.append("finalize"))
    job = Job(lifecycle=lifecycle)
    with pytest.raises(KeyboardInterrupt) as caught:
        job.start_nowait()
    assert isinstance(caught.value.__cause__, HookFailed)
    assert ran == ["after", "finalize"]
    assert job.status is JobStatus.STARTED
