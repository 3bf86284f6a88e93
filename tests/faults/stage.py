"""A job with neighbours, on which one call is made while faults befall it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    Entry,
    HookFailed,
    Job,
    JobStatus,
    Refused,
    Transition,
    TransitionEvent,
)
from jobstate._waiting import each

from .neighbours import (
    FAILURE,
    PENDING,
    RETRY,
    REVOKED,
    STARTED,
    SUCCESS,
    completes,
    completes_with_another,
    is_followed,
    is_used_again,
    reaches_its_end,
)
from .puppet import Closed, Plan, Point, Puppet, all_tasks, runs_on_asyncio

LONG = 300
"""Turns of the loop after which whoever still waits will wait for ever."""

STAGED = JOB_LIFECYCLE.derive(
    "staged",
    transitions=[
        {"trigger": "note", "source": [PENDING, STARTED, RETRY], "dest": None},
        {"trigger": "wake", "source": PENDING, "dest": None},
    ],
)
"""Every slot has an async hook; `Stage.hook` says what they do."""


def _staged(place: str) -> Callable[[TransitionEvent[Any]], Awaitable[Any]]:
    async def hook(event: TransitionEvent[Any]) -> Any:
        return await event.job.stage.hook(f"{place} {event.trigger}", event)

    return hook


STAGED.prepare("*")(_staged("prepare"))
STAGED.guard("*")(_staged("guard"))
STAGED.before("*")(_staged("before"))
STAGED.after("*")(_staged("after"))
STAGED.on_exception(_staged("exception"))
STAGED.finalize(_staged("finalize"))
STAGED.on_final("*")(_staged("final"))
for _status in (PENDING, STARTED, RETRY):
    STAGED.on_exit(_status)(_staged("exit"))
for _status in JobStatus:
    STAGED.on_enter(_status)(_staged("enter"))


class StagedJob(Job[Any], lifecycle=STAGED):
    """Knows the stage that its hooks act on."""

    stage: Stage


Act = Callable[["Stage"], Coroutine[Any, Any, object]]
"""What a neighbour does; it returns what is wrong."""


@dataclass(frozen=True)
class Scene:
    """What is called, and what else happens."""

    name: str
    call: Callable[[Stage], Coroutine[Any, Any, Any]]
    """Makes the call under test."""

    triggers: tuple[str, ...] = ()
    """What the call commits, in this order."""

    answer: str = "returned"
    """What comes of the call, if nothing befalls it."""

    does: dict[str, Callable[[Stage, TransitionEvent[Any]], Any]] = field(default_factory=dict)
    """What some hooks do when they have waited; the others do nothing."""

    before: tuple[str, ...] = ()
    """What the job has gone through before."""

    others: tuple[Act, ...] = ()
    """Neighbours that arrive before the call is made."""

    later: tuple[Act, ...] = ()
    """Neighbours that arrive once it has been made."""

    moved: tuple[str, ...] = ()
    """Triggers of neighbours, whose hooks do nothing."""

    crowded: bool = True
    """Whether others wait for the job as well."""

    journal: bool = False
    own_hooks: bool = False

    def __str__(self) -> str:
        return self.name


class Stage:
    """One play of a scene, with everything that is seen of it."""

    def __init__(self, scene: Scene, plan: Plan) -> None:
        self.scene = scene
        self.puppet = Puppet(plan, self._look)
        self.problems: list[str] = []
        self.began: list[str] = []
        """The hooks of the call that have begun."""

        self.ran: list[str] = []
        """Those that ran to their end."""

        self.written: list[Transition[Any]] = []
        self.answer = "none"
        """returned, refused, failed, raised, cancelled or closed."""

        self.value: Any = None
        self.error: BaseException | None = None
        self.went_on = False
        """Whether the caller came past its next await."""

        self.caught = False
        """Whether a cancellation reached the edge of its scope, or of the task."""

        self._armed = self._over = self._answered = False
        self._until: int | None = None
        """The version of the job when the call and its neighbours had done."""

        self._inside: list[str] = []
        self._doors: list[anyio.Event] = []
        self._busy: list[str] = []
        self.job, self.other = self._job("job"), self._job("other")

    def _job(self, name: str) -> StagedJob:
        journal = self if self.scene.journal and name == "job" else None
        job = StagedJob(name, journal=journal, clock=lambda: 1_000.0)
        job.stage = self
        return job

    # --- what the call and its neighbours come upon ---

    async def hook(self, place: str, event: TransitionEvent[Any]) -> Any:
        """Be a hook: wait, and do what the scene says."""
        answer = True if "guard" in place else None
        if not self._armed or event.job is not self.job or event.trigger in self.scene.moved:
            return answer
        if event.trigger == "note":
            with self._alone_in(place):
                await self.pause()
            return answer
        with self._in(place):
            await self.puppet.hook(self.pause())
            act = self.scene.does.get(place)
            done = None if act is None else act(self, event)
        return answer if done is None else done

    async def own(self, place: str, event: TransitionEvent[Any]) -> None:
        """Be a hook on the one job."""
        await self.hook(f"{place} {event.trigger}", event)

    async def append(self, entry: Entry) -> None:
        """Be a journal."""
        transition = entry.transition
        if transition.version != self.job.version + 1:
            self.problems.append(f"{transition} was written after it was committed")
        if not self._armed or transition.trigger == "note":
            self.written.append(transition)
            return
        with self._in(f"journal {transition.trigger}"):
            await self.puppet.hook(self._written(transition))

    async def _written(self, transition: Transition[Any]) -> None:
        await self.pause()
        act = self.scene.does.get(f"journal {transition.trigger}")
        if act is not None:
            act(self, None)
        self.written.append(transition)

    @contextmanager
    def _in(self, place: str) -> Iterator[None]:
        """Be in a hook of the call."""
        self.began.append(place)
        with self._alone_in(place):
            yield
        self.ran.append(place)

    @contextmanager
    def _alone_in(self, place: str) -> Iterator[None]:
        """Be in a hook, while nobody else is in one."""
        if self._inside:
            self.problems.append(f"{place} began while {self._inside} was under way")
        self._inside.append(place)
        try:
            yield
        finally:
            self._inside.remove(place)

    async def pause(self) -> None:
        """Wait for the next turn of the loop, and for something to happen in it."""
        await checkpoint()
        if not self._over:
            self._doors.append(anyio.Event())
            await self._doors[-1].wait()

    async def turns(self, number: int) -> None:
        """Let everybody run; those who pause go on."""
        for _ in range(number):
            await checkpoint()
            doors, self._doors = self._doors, []
            for door in doors:
                door.set()

    def _look(self, task: str) -> Point:
        self.check_whole()
        places = [place for place in self._inside if not place.endswith(" note")]
        return Point(places[-1] if places else "call", task, len(self.commits))

    @property
    def committed(self) -> list[Transition[Any]]:
        """What the call has committed."""
        history = self.job.history[len(self.scene.before) : self._until]
        return [step for step in history if step.trigger in self.scene.triggers]

    @property
    def commits(self) -> list[str]:
        """Which triggers of the call were committed."""
        return [step.trigger for step in self.committed]

    def check_whole(self) -> None:
        """Note where the job is anything but what its history makes of it."""
        for job in (self.job, self.other):
            found = Standing(
                job.status,
                job.version,
                job.attempt,
                job.result,
                job.error_message,
                job.outcome is not None,
            )
            due = standing_after(job.history)
            if found != due and len(self.problems) < 5:
                self.problems.append(f"half a transition: {found}, by its history {due}")
        if self.scene.journal:
            history = self.job.history
            kept = [step for step in self.written if any(step is each for each in history)]
            if kept != list(history):
                self.problems.append(f"committed {history}, written {self.written}")

    def check_journal(self) -> None:
        """Note where something was written that was never committed."""
        lost = [step for step in self.written if not any(step is each for each in self.job.history)]
        if len(lost) > self.puppet.closed:  # closed just then, nobody could commit it
            self.problems.append(f"written, but not committed: {lost}")

    # --- the play ---

    async def play(self) -> None:
        """Play the scene, and note all that is wrong."""
        before = all_tasks()
        with _loop_heard(self.problems), _in_one_order():
            async with anyio.create_task_group() as tasks:
                await self._play_in(tasks)
                self._over = True
                await self.turns(3)
                tasks.cancel_scope.cancel()
            await self.turns(2)
        if all_tasks() - before:
            self.problems.append(f"tasks left over: {all_tasks() - before}")

    async def _play_in(self, tasks: TaskGroup) -> None:
        def neighbour(act: Act) -> None:
            self._busy.append(act.__name__)
            tasks.start_soon(self._neighbour, act)

        for trigger in self.scene.before:
            await self.job.trigger(trigger)
        if self.scene.own_hooks:
            self.job.on(STARTED, partial(self.own, "own status"))
            self.job.on("start", partial(self.own, "own trigger"))
        if self.scene.crowded:
            for wait in (completes, is_followed, reaches_its_end, completes_with_another):
                neighbour(wait)
        await self.turns(3)
        waiting = list(self._busy)
        self._armed = True
        for act in self.scene.others:
            neighbour(act)
            await self.turns(2)
        listeners = self._listeners()
        actor = self._start(tasks)
        await self.turns(2)
        for act in self.scene.later:
            neighbour(act)
            await self.turns(1)
        heard = False
        for _ in range(LONG):
            if self._answered and not heard:
                heard = True
                with suppress(asyncio.CancelledError):
                    if actor is not None:
                        actor.result()  # or it would keep its traceback, and all that is in it
                self._check_listeners(listeners)
            if self._answered and set(self._busy) <= set(waiting):
                break
            await self.turns(1)
        else:
            self.problems.append(f"somebody hangs: {self._busy}, answer {self.answer}")
        await self.turns(3)  # what was closed takes a turn to end
        self.caught = self.puppet.scope.cancelled_caught or (
            actor is not None and actor.done() and actor.cancelled()
        )
        if actor is not None:
            actor.cancel()
        self._check_listeners(listeners)
        for job in (self.job, self.other):
            if job._turn is not None:
                self.problems.append(f"nobody has released the turn of {job}")
                return
        self.check_whole()
        self.check_journal()
        self._armed = False
        self._until = self.job.version
        neighbour(is_used_again)
        await self.turns(150)
        if self._busy:
            self.problems.append(f"not heard of the end: {self._busy}")
        if self._listeners():
            self.problems.append(f"listeners left at the end: {self._listeners()}")
        self.check_whole()

    def _start(self, tasks: TaskGroup) -> Any:
        if runs_on_asyncio():
            return asyncio.create_task(self._call())
        tasks.start_soon(self._call)
        return None

    async def _call(self) -> None:
        """Make the call under test, and go on to the next await."""
        cancelled = anyio.get_cancelled_exc_class()
        try:
            with self.puppet.scope:
                try:
                    self.value = await self.puppet.call(self.scene.call(self))
                    self.answer = "returned"
                except Closed:
                    self.answer = "closed"
                except cancelled:
                    self.answer = "cancelled"
                    raise
                except BaseException as error:
                    # Its traceback would keep alive what the call has dropped.
                    self.error, self.answer = error.with_traceback(None), _kind(error)
                self.check_whole()
                await checkpoint()
                self.went_on = True
        except RuntimeError:
            # Closed by another than its task, the call could not leave the scopes that it was in.
            if not self.puppet.closed:
                raise
        finally:
            self._answered = True

    async def _neighbour(self, act: Act) -> None:
        try:
            problem = await act(self)
            if problem:
                self.problems.append(f"{act.__name__}: {problem}")
        except Exception as error:
            self.problems.append(f"{act.__name__} got {error!r}")
        finally:
            self._busy.remove(act.__name__)

    def _check_listeners(self, before: set[object]) -> None:
        if not self._listeners() <= before:
            self.problems.append(f"listeners left over: {self._listeners() - before}")

    def _listeners(self) -> set[object]:
        return {
            listener
            for job in (self.job, self.other)
            for place in (job._at_end, job._at_step)
            for listener in each(place)
        }


# --- helpers ---


@dataclass(frozen=True)
class Standing:
    """Where a job stands."""

    status: JobStatus
    version: int
    attempt: int
    result: object
    error: str | None
    final: bool


def standing_after(history: Iterable[Transition[Any]]) -> Standing:
    """Return where a job of the default lifecycle stands by its history."""
    status, version, attempt, running = PENDING, 0, 0, False
    error: str | None = None
    for version, step in enumerate(history, 1):
        assert (step.version, step.source) == (version, status), f"no step from {status}: {step}"
        if step.internal:
            continue
        status = step.dest
        if status == STARTED and not running:
            attempt, error = attempt + 1, None
        running = status == STARTED
        error = error if step.error is None else step.error.message
    result = "done" if status == SUCCESS else None
    return Standing(status, version, attempt, result, error, status in (SUCCESS, FAILURE, REVOKED))


def _kind(error: BaseException) -> str:
    if isinstance(error, HookFailed):
        return "failed"
    return "refused" if isinstance(error, Refused) else "raised"


@contextmanager
def _loop_heard(problems: list[str]) -> Iterator[None]:
    """Note what asyncio tells of tasks that nobody awaits."""
    if not runs_on_asyncio():
        yield
        return
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: problems.append(f"unheard: {context}"))
    try:
        yield
    finally:
        loop.set_exception_handler(before)


@contextmanager
def _in_one_order() -> Iterator[None]:
    """Have Trio, which shuffles tasks, do so in one way, so that points can be told by number."""
    if runs_on_asyncio():
        yield
        return
    scheduler: Any = import_module("trio._core._run")
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r = True, Random(0)
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r = before
