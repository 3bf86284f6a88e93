"""What type checkers make of the public face: read by mypy and pyright, and never run.

An expression has exactly the type that is asserted, and a line with an ignore is refused for that
reason: an ignore that is not needed is an error too.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from datetime import datetime
from enum import Enum, StrEnum
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any, assert_type

from jobstate import (
    JOB_LIFECYCLE,
    AllChanges,
    AsCompleted,
    Cancellation,
    Changes,
    Command,
    CommandResult,
    EdgeInfo,
    Entry,
    GuardRefused,
    HookFailed,
    Job,
    JobFailed,
    JobRunner,
    Jobs,
    JobStateError,
    JobStatus,
    Lifecycle,
    Outcome,
    Progress,
    Refused,
    Registration,
    Retry,
    RevokeCause,
    Snapshot,
    StructlogObserver,
    Transition,
    TransitionEvent,
    TransitionRefused,
    add_observer,
    all_completed,
    as_completed,
    as_job,
    first_completed,
    jobs,
    remove_observer,
)
from jobstate.abc import Journal, Observer
from jobstate.blocking import BlockingJob, BlockingJobs
from jobstate.stores.memory import MemoryStore
from jobstate.stores.sqlite import SQLiteStore


class Phase(StrEnum):
    """Statuses of one's own, which are text."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"


class Light(Enum):
    """Statuses of one's own, which are no text."""

    GREEN = 1
    RED = 2


# --- jobs -----------------------------------------------------------------------------------


def a_job_takes_the_statuses_of_its_lifecycle(
    phases: Lifecycle[Phase], lights: Lifecycle[Light], names: Lifecycle[str]
) -> None:
    """A job of nothing else has the default statuses, and any result."""
    assert_type(Job(), Job[Any, JobStatus])
    assert_type(Job("j1", name="daily", max_attempts=None, info={"a": 1}), Job[Any, JobStatus])
    assert_type(Job[int](), Job[int, JobStatus])
    assert_type(Job[int]("j1", lifecycle=JOB_LIFECYCLE), Job[int, JobStatus])
    assert_type(Job(lifecycle=phases), Job[Any, Phase])
    assert_type(Job(lifecycle=lights), Job[Any, Light])
    assert_type(Job(lifecycle=names), Job[Any, str])
    assert_type(Job[str, Phase](lifecycle=phases), Job[str, Phase])
    Job[str](lifecycle=phases)  # type: ignore[arg-type]
    Job[str, Light](lifecycle=phases)  # type: ignore[arg-type]
    Job(1)  # type: ignore[arg-type]
    Job("j1", "daily")  # type: ignore[call-arg]


def what_can_be_read(job: Job[int], own: Job[str, Phase]) -> None:
    """What a job shows has the types of its result and of its statuses."""
    assert_type(job.id, str)
    assert_type(job.name, str)
    assert_type(job.status, JobStatus)
    assert_type(own.status, Phase)
    assert_type(job.lifecycle, Lifecycle[JobStatus])
    assert_type(own.lifecycle, Lifecycle[Phase])
    assert_type(job.version, int)
    assert_type(job.progress, float)
    assert_type(job.attempt, int)
    assert_type(job.max_attempts, int | None)
    assert_type(job.result, int | None)
    assert_type(own.result, str | None)
    assert_type(job.error_reason, str | None)
    assert_type(job.error_message, str | None)
    assert_type(job.info, Mapping[str, Any])
    assert_type(job.extras, Mapping[str, Any])
    assert_type(job.created_at, datetime)
    assert_type(job.updated_at, datetime)
    assert_type(job.history, tuple[Transition[JobStatus], ...])
    assert_type(own.history, tuple[Transition[Phase], ...])
    assert_type(job.outcome, Outcome[int, JobStatus] | None)
    assert_type(own.outcome, Outcome[str, Phase] | None)
    assert_type(job.snapshot(), Snapshot[int, JobStatus])
    assert_type(own.snapshot(), Snapshot[str, Phase])
    assert_type(job.can("start"), bool)
    job.status = JobStatus.STARTED  # type: ignore[misc]
    job.info["a"] = 1  # type: ignore[index]


async def a_trigger_returns_its_transition(job: Job[int], own: Job[str, Phase]) -> None:
    """Every trigger answers with a transition between statuses of the job's own."""
    assert_type(await job.start(), Transition[JobStatus])
    assert_type(await job.succeed(), Transition[JobStatus])
    assert_type(await job.succeed(7), Transition[JobStatus])
    assert_type(await job.fail("jam"), Transition[JobStatus])
    assert_type(await job.fail(OSError("jam")), Transition[JobStatus])
    assert_type(await job.retry("jam", delay=1.5), Transition[JobStatus])
    assert_type(await job.requeue(), Transition[JobStatus])
    assert_type(await job.revoke("why", cause=RevokeCause.ADMIN), Transition[JobStatus])
    assert_type(await job.trigger("start", 1, a=2), Transition[JobStatus])
    assert_type(await own.start(), Transition[Phase])
    assert_type(await own.trigger("pause"), Transition[Phase])
    assert_type((await own.start()).source, Phase)
    assert_type((await own.start()).at, datetime)
    started: Coroutine[Any, Any, Transition[JobStatus]] = job.start()
    assert_type(await started, Transition[JobStatus])
    job.start()  # type: ignore[unused-coroutine]
    await job.succeed("text")  # type: ignore[arg-type]
    await job.fail()  # type: ignore[call-arg]
    await job.fail(7)  # type: ignore[arg-type]
    await job.retry("jam", 1.5)  # type: ignore[call-arg]
    await job.revoke(cause="USER")  # type: ignore[arg-type]
    await job.pause()  # type: ignore[attr-defined]


def a_trigger_at_once_returns_its_transition(job: Job[int], own: Job[str, Phase]) -> None:
    """Nothing is awaited, and the types are the same."""
    assert_type(job.start_nowait(), Transition[JobStatus])
    assert_type(job.succeed_nowait(7), Transition[JobStatus])
    assert_type(job.fail_nowait("jam"), Transition[JobStatus])
    assert_type(job.retry_nowait("jam", delay=None), Transition[JobStatus])
    assert_type(job.requeue_nowait(), Transition[JobStatus])
    assert_type(job.revoke_nowait("why"), Transition[JobStatus])
    assert_type(own.trigger_nowait("pause"), Transition[Phase])
    job.succeed_nowait("text")  # type: ignore[arg-type]


def a_report_has_numbers_and_a_mapping(job: Job[int]) -> None:
    """Progress is a number of percent, and info a mapping by text."""
    job.report(50)
    job.report(progress=12.5, info={"rows": 7})
    job.report("50")  # type: ignore[arg-type]
    job.report(50, {"rows": 7})  # type: ignore[call-arg]


# --- waiting --------------------------------------------------------------------------------


async def a_wait_has_the_types_of_its_job(job: Job[int], own: Job[str, Phase]) -> None:
    """Awaiting a job gives its result; its outcome and its transitions have its types."""
    assert_type(await job, int)
    assert_type(await own, str)
    assert_type(await job.completed(), Outcome[int, JobStatus])
    assert_type(await own.completed(), Outcome[str, Phase])
    outcome = await own.completed()
    assert_type(outcome.value(), str)
    assert_type(outcome.result, str | None)
    assert_type(outcome.status, Phase)
    assert_type(outcome.meaning, JobStatus | None)
    assert_type(outcome.cause, RevokeCause | None)
    assert_type(await job.reached(JobStatus.STARTED), Transition[JobStatus])
    assert_type(await job.reached("STARTED", after=3), Transition[JobStatus])
    assert_type(await own.reached(Phase.RUNNING, Phase.DONE), Transition[Phase])
    await own.reached(Light.RED)  # type: ignore[arg-type]
    await job.completed(timeout=3)  # type: ignore[call-arg]


async def changes_are_transitions_and_progress(own: Job[str, Phase]) -> None:
    """A stream gives one or the other, and both can be told apart."""
    assert_type(own.changes(after=3), Changes[Phase])
    async with own.changes() as changes:
        assert_type(changes, Changes[Phase])
        async for change in changes:
            assert_type(change, Transition[Phase] | Progress)
            if isinstance(change, Progress):
                assert_type(change, Progress)
            else:
                assert_type(change, Transition[Phase])


async def waiting_for_several_keeps_the_types(
    jobs: Iterable[Job[int]], own: list[Job[str, Phase]], mixed: list[Job[Any, Any]]
) -> None:
    """Outcomes have the types of the jobs, and jobs are given back as what they are."""
    assert_type(await all_completed(jobs), list[Outcome[int, JobStatus]])
    assert_type(await all_completed(own), list[Outcome[str, Phase]])
    assert_type(await all_completed(mixed), list[Outcome[Any, Any]])
    assert_type(await first_completed(jobs), Job[int, JobStatus])
    assert_type(await first_completed(own), Job[str, Phase])
    assert_type(as_completed(own), AsCompleted[Job[str, Phase]])
    async for job in as_completed(jobs):
        assert_type(job, Job[int, JobStatus])
    async with as_completed(own) as done:
        async for each in done:
            assert_type(each, Job[str, Phase])
    await all_completed([1])  # type: ignore[list-item]
    await first_completed([1])  # type: ignore[type-var]


async def jobs_of_different_types_are_waited_for_together(
    number: Job[int], text: Job[str], own: Job[str, Phase]
) -> None:
    """Each may have another result and other statuses."""
    assert_type(await all_completed([number, text, own]), list[Outcome[Any, Any]])
    (await first_completed([number, text])).succeed_nowait()
    (await first_completed([number, own])).succeed_nowait()
    async for job in as_completed([number, text]):
        job.succeed_nowait()
    async with as_completed((number, own)) as done:
        async for each in done:
            each.succeed_nowait()


# --- lifecycles -----------------------------------------------------------------------------


def a_lifecycle_has_the_statuses_it_is_made_of() -> None:
    """An enum, its members, or names, with or without dicts among them."""
    assert_type(JOB_LIFECYCLE, Lifecycle[JobStatus])
    assert_type(Lifecycle(states=Phase, transitions=[]), Lifecycle[Phase])
    assert_type(Lifecycle(states=Light, transitions=[]), Lifecycle[Light])
    assert_type(Lifecycle(states=["A", "B"], transitions=[]), Lifecycle[str])
    assert_type(
        Lifecycle[Phase](
            "encoding",
            states=[Phase.QUEUED, Phase.RUNNING, {"name": Phase.DONE, "final": True}],
            transitions=[
                {"trigger": "start", "source": Phase.QUEUED, "dest": Phase.RUNNING},
                ["succeed", Phase.RUNNING, Phase.DONE],
            ],
            initial=Phase.QUEUED,
            means={Phase.RUNNING: JobStatus.STARTED},
            on_exception="report",
            after_state_change=[print, "package.module.function"],
        ),
        Lifecycle[Phase],
    )
    Lifecycle(states=Phase, transitions=[], on_error="x")  # type: ignore[call-overload]
    Lifecycle(transitions=[])  # type: ignore[call-overload]


def dicts_may_stand_among_the_states(
    lifecycle: Lifecycle[Phase], read: list[Mapping[str, Any]]
) -> None:
    """Among names they are names too; among members of an enum, the enum is named."""
    drafts = Lifecycle(
        "review",
        states=["DRAFT", {"name": "DONE", "final": True}],
        transitions=[{"trigger": "approve", "source": "DRAFT", "dest": "DONE"}],
        initial="DRAFT",
        final=["DONE"],
        means={"DONE": JobStatus.SUCCESS},
        cancel_started=True,
        on_exception="report",
    )
    assert_type(drafts, Lifecycle[str])
    assert_type(Job(lifecycle=drafts).status, str)
    done = {"name": Light.RED, "final": True}
    assert_type(Lifecycle[Light](states=[Light.GREEN, done], transitions=[]), Lifecycle[Light])
    lights: Lifecycle[Light] = Lifecycle[Light](states=[done], transitions=[])
    phases: Lifecycle[Phase] = Lifecycle[Phase](states=[{"name": Phase.DONE}], transitions=[])
    assert_type((lights, phases), tuple[Lifecycle[Light], Lifecycle[Phase]])
    assert_type(Lifecycle(states=read, transitions=[]), Lifecycle[Any])
    assert_type(Lifecycle(states=[{"name": "DONE"}], transitions=[]), Lifecycle[Any])
    assert_type(lifecycle.derive(states=["A", {"name": "B"}]), Lifecycle[Phase | str])
    assert_type(lifecycle.derive(states=[{"name": "B"}], final=["B"]), Lifecycle[Any])
    mixed: list[Light | dict[str, Any]] = [Light.GREEN, done]
    assert_type(lifecycle.derive(states=mixed), Lifecycle[Phase | Light])
    Lifecycle[Phase](states=[Light.RED, {"name": "B"}], transitions=[])  # type: ignore[list-item]
    Lifecycle(states=["A", 7], transitions=[])  # type: ignore[type-var]


def what_can_be_read_of_a_lifecycle(lifecycle: Lifecycle[Phase]) -> None:
    """Statuses are those of the lifecycle; triggers are text."""
    assert_type(lifecycle.statuses, tuple[Phase, ...])
    assert_type(lifecycle.initial, Phase)
    assert_type(lifecycle.final, tuple[Phase, ...])
    assert_type(lifecycle.running, tuple[Phase, ...])
    assert_type(lifecycle.triggers, tuple[str, ...])
    assert_type(lifecycle.edges, tuple[EdgeInfo[Phase], ...])
    assert_type(lifecycle.edges[0].dest, Phase)
    assert_type(lifecycle.meaning(Phase.DONE), JobStatus | None)
    assert_type(lifecycle.mermaid(), str)
    assert_type(lifecycle.svg(), str)


def a_derived_lifecycle_has_the_statuses_of_both(lifecycle: Lifecycle[Phase]) -> None:
    """Without states of its own it has those of its base, and with some it has either."""
    assert_type(JOB_LIFECYCLE.derive(), Lifecycle[JobStatus])
    assert_type(JOB_LIFECYCLE.derive("print", cancel_started=True), Lifecycle[JobStatus])
    assert_type(lifecycle.derive(transitions=[["beat", "*", None]]), Lifecycle[Phase])
    assert_type(lifecycle.derive(means={Phase.DONE: JobStatus.SUCCESS}), Lifecycle[Phase])
    assert_type(lifecycle.derive(states=Light), Lifecycle[Phase | Light])
    assert_type(lifecycle.derive(states=[Light.RED]), Lifecycle[Phase | Light])
    assert_type(JOB_LIFECYCLE.derive(states=["PAUSED"]), Lifecycle[JobStatus | str])
    assert_type(Job(lifecycle=lifecycle.derive(states=Light)).status, Phase | Light)
    JOB_LIFECYCLE.derive(state=["PAUSED"])  # type: ignore[call-overload]


async def decorators_keep_the_type_of_a_function(
    lifecycle: Lifecycle[Phase], event: TransitionEvent[Phase]
) -> None:
    """What is decorated can be called as before, by the same names and with the same answer."""

    @lifecycle.guard("start")
    async def may_start(event: TransitionEvent[Phase]) -> bool:
        return event.source is Phase.QUEUED

    @lifecycle.prepare("*")
    def prepare(event: TransitionEvent[Phase], times: int = 1) -> list[int]:
        return [times]

    @lifecycle.before("start", source=Phase.QUEUED, dest=Phase.RUNNING)
    def before(event: TransitionEvent[Phase]) -> int:
        return 1

    @lifecycle.on_exit(Phase.QUEUED)
    @lifecycle.on_enter(Phase.RUNNING)
    @lifecycle.on_final()
    @lifecycle.after("*")
    def after(event: TransitionEvent[Phase]) -> str:
        return event.trigger

    @lifecycle.on_exception
    def on_exception(event: TransitionEvent[Phase]) -> BaseException | None:
        return event.error

    @lifecycle.finalize
    async def finalize(event: TransitionEvent[Any]) -> bytes:
        return b""

    assert_type(await may_start(event=event), bool)
    assert_type(prepare(event, times=2), list[int])
    assert_type(before(event=event), int)
    assert_type(after(event=event), str)
    assert_type(on_exception(event=event), BaseException | None)
    assert_type(await finalize(event=event), bytes)


def decorators_refuse_what_cannot_be_called(lifecycle: Lifecycle[Phase]) -> None:
    """A guard or hook takes the event, and nothing that it would not be given."""

    def nothing() -> bool:
        return True

    def two(event: TransitionEvent[Phase], other: int) -> bool:
        return True

    def number(event: int) -> bool:
        return True

    def named(*, event: TransitionEvent[Phase]) -> bool:
        return True

    lifecycle.guard("start")(nothing)  # type: ignore[type-var]
    lifecycle.before("start")(two)  # type: ignore[type-var]
    lifecycle.on_enter(Phase.DONE)(number)  # type: ignore[type-var]
    lifecycle.on_exception(named)  # type: ignore[type-var]
    lifecycle.finalize(7)  # type: ignore[type-var]
    lifecycle.on_enter(Light.RED)  # type: ignore[arg-type]
    lifecycle.guard("start", source=Light.RED)  # type: ignore[arg-type]


def an_event_has_the_statuses_of_its_job(event: TransitionEvent[Phase]) -> None:
    """A hook sees where the job comes from and goes to, in the job's own statuses."""
    assert_type(event.job, Job[Any, Phase])
    assert_type(event.trigger, str)
    assert_type(event.source, Phase)
    assert_type(event.dest, Phase)
    assert_type(event.args, tuple[Any, ...])
    assert_type(event.kwargs, dict[str, Any])
    assert_type(event.transition, Transition[Phase] | None)
    assert_type(event.error, BaseException | None)


def a_hook_on_one_job_takes_the_event(
    job: Job[int], hook: Callable[[TransitionEvent[JobStatus]], Coroutine[Any, Any, None]]
) -> None:
    """It is added for a status or trigger, and what comes back takes it off."""
    assert_type(job.on(JobStatus.SUCCESS, hook), Registration)
    assert_type(job.on("start", lambda event: event.job.id), Registration)
    assert_type(job.on("start", print).remove(), None)
    job.on(Light.RED, hook)  # type: ignore[arg-type]
    job.on("start", lambda: 1)  # type: ignore[arg-type, misc]


# --- many jobs --------------------------------------------------------------------------------


async def a_collection_keeps_the_types_of_its_jobs(
    own: Jobs[str, Phase], hook: Callable[[TransitionEvent[Phase]], None]
) -> None:
    """What is found, counted and read in it is of the result and the statuses of its jobs."""
    assert_type(Jobs([Job[int]()]), Jobs[int, JobStatus])
    jobs: Jobs[int] = Jobs(keep=10, keep_for=60)
    assert_type(jobs.get("j1"), Job[int, JobStatus])
    assert_type(own.get("j1"), Job[str, Phase])
    assert_type(list(own), list[Job[str, Phase]])
    assert_type(own.counts, dict[Phase, int])
    assert_type(own.on(Phase.DONE, hook), Registration)
    assert_type(own.forget("j1"), None)
    own.forget(own.get("j1"))
    async with own.changes(past=True) as changes:
        assert_type(changes, AllChanges[Phase])
        async for change in changes:
            assert_type(change, Transition[Phase] | Progress)
    jobs.add(own.get("j1"))  # type: ignore[arg-type]
    own.on(Light.RED, hook)  # type: ignore[arg-type]


# --- a class of jobs of one's own -----------------------------------------------------------


class Encoding(Job[str, Phase], lifecycle=Lifecycle(states=Phase, transitions=[])):
    """A job with triggers of its own, as typed methods."""

    __slots__ = ()

    async def pause(self, reason: str) -> Transition[Phase]:
        """Pull a trigger, and await it."""
        return await self.trigger("pause", reason=reason)

    def resume(self) -> Coroutine[Any, Any, Transition[Phase]]:
        """Pull a trigger, as the default ones do."""
        return self.trigger("resume")

    def on_enter_RUNNING(self) -> None:
        """Be called on entering a status, as models of `transitions` are."""
        assert_type(self.status, Phase)


async def a_class_of_jobs_keeps_its_types(
    encodings: list[Encoding], hook: Callable[[TransitionEvent[Phase]], None]
) -> None:
    """It is a job of its result and statuses, and stays what it is in every wait."""
    encoding = Encoding("film-3", name="film")
    assert_type(encoding, Encoding)
    assert_type(encoding.status, Phase)
    assert_type(await encoding, str)
    assert_type(await encoding.start(), Transition[Phase])
    assert_type(await encoding.pause("lunch"), Transition[Phase])
    assert_type(await encoding.resume(), Transition[Phase])
    assert_type(encoding.on(Phase.DONE, hook), Registration)
    assert_type(await first_completed(encodings), Encoding)
    assert_type(await all_completed(encodings), list[Outcome[str, Phase]])
    async for each in as_completed(encodings):
        assert_type(each, Encoding)
    await encoding.pause()  # type: ignore[call-arg]
    await encoding.succeed(7)  # type: ignore[arg-type]
    Encoding(lifecycle=JOB_LIFECYCLE)  # type: ignore[arg-type]


# --- neighbours -----------------------------------------------------------------------------


class FileJournal:
    """Is a journal by its method alone."""

    async def append(self, entry: Entry) -> None:
        """Write a transition down."""


class HastyJournal:
    """Does not wait for what it writes, and so is none."""

    def append(self, entry: Entry) -> None:
        """Write a transition down, some time."""


class Counter(Observer):
    """Overrides one of the methods of an observer."""

    def transitioned(self, job: Job[Any, Any], transition: Transition[Any], seconds: float) -> None:
        """Count."""


def neighbours_are_what_they_offer() -> None:
    """A journal is whatever can append; an observer is derived from the class."""
    journal: Journal = FileJournal()
    Job(journal=journal)
    Job(journal=FileJournal())
    Job(journal=HastyJournal())  # type: ignore[arg-type]
    add_observer(Counter())
    add_observer(StructlogObserver())
    remove_observer(Observer())
    add_observer(FileJournal())  # type: ignore[arg-type]


# --- running work ---------------------------------------------------------------------------


async def add(one: int, other: int = 2) -> int:
    """Give a number."""
    return one + other


def half(number: float) -> float:
    """Give another."""
    return number / 2


async def a_job_has_the_type_of_what_its_work_gives(runner: JobRunner) -> None:
    """Async or not; the arguments are checked, and so are the options."""
    assert_type(await runner.submit(add, 1, 2), Job[int])
    assert_type(await runner.submit(add, 1), Job[int])
    assert_type(await runner.submit(half, 1.0, timeout=3, retry=Retry()), Job[float])
    assert_type(await runner.submit(partial(add, 1, other=3)), Job[int])
    assert_type(await runner.submit(Command("ls")), Job[CommandResult])
    assert_type(await (await runner.submit(add, 1)).cancel("enough"), Cancellation)
    await runner.submit(half, "1.0")  # type: ignore[arg-type]
    await runner.submit(half, 1.0, timeoutt=3)  # type: ignore[call-overload]


def a_blocking_job_has_it_too(jobs: BlockingJobs) -> None:
    """What it waits for is of that type."""
    job = jobs.submit(half, 1.0)
    assert_type(job, BlockingJob[float])
    assert_type(job.result(timeout=60), float)
    assert_type(jobs.submit(add, 1, 2, after=[job, "another"]), BlockingJob[int])
    assert_type(job.wait().result, float | None)


async def what_is_adopted_keeps_its_type(task: asyncio.Task[int], child: Popen[bytes]) -> None:
    """A process gives its exit code."""
    assert_type(as_job(task), Job[int])
    assert_type(as_job(child), Job[int])


def a_trigger_from_another_thread_gives_a_future(job: Job[int]) -> None:
    """Of the receipt, or of the outcome."""
    assert_type(job.threadsafe.start(), Future[Transition])
    assert_type(job.threadsafe.completed(), Future[Outcome[int]])


# --- errors ---------------------------------------------------------------------------------


def errors_hold_typed_facts(
    refused: TransitionRefused, guarded: GuardRefused, failed: JobFailed, hook: HookFailed
) -> None:
    """What an error holds can be used as it is; a status may be of any lifecycle."""
    assert_type(refused.job_id, str)
    assert_type(refused.status, Any)
    assert_type(refused.possible, tuple[str, ...])
    assert_type(guarded.guard, str)
    assert_type(guarded.refusals, tuple[tuple[Any, str, str], ...])
    assert_type(failed.error_message, str | None)
    assert_type(failed.attempts, int)
    assert_type(hook.transition, Transition[Any])
    assert_type(hook.exceptions, tuple[Exception | ExceptionGroup[Exception], ...])
    assert_type(hook.derive([OSError()]), HookFailed)
    families: list[JobStateError] = [refused, guarded, failed, hook]
    refusals: list[Refused] = [refused, guarded]
    assert_type((families, refusals), tuple[list[JobStateError], list[Refused]])
    refusals.append(failed)  # type: ignore[arg-type]


# --- stores ---------------------------------------------------------------------------------


async def jobs_are_kept(path: Path) -> None:
    """A store is given as a path or as an object; what is found there has the types of jobs."""
    async with JobRunner(store=SQLiteStore(path), functions=[half]) as runner:
        recovered = await runner.recover()
        assert_type(recovered.jobs, tuple[Job[Any, Any], ...])
        for job_id, error in recovered.left.items():
            assert_type((job_id, error), tuple[str, JobStateError])
    handle = jobs.open(path).get("north")
    assert_type((await handle.completed()).status, Any)
    assert_type((await handle.snapshot()).status, str)
    assert_type(await handle.history(), tuple[Transition[str], ...])
    async with jobs.open(MemoryStore(), lifecycles=[JOB_LIFECYCLE]) as stored:
        assert_type(await stored.create("north"), Job[Any, Any])
        assert_type(await stored.load("north"), Job[Any, Any])
        for shot in await stored.list(JobStatus.STARTED, limit=None):
            assert_type(shot.id, str)
    jobs.open(3)  # type: ignore[arg-type]
    JobRunner(store=path)  # type: ignore[arg-type]
