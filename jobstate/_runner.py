"""Real work, run as jobs, in structured concurrency."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import copy_context
from inspect import iscoroutine, iscoroutinefunction
from random import Random
from types import TracebackType
from typing import Any, TypedDict, TypeVar, TypeVarTuple, Unpack, overload

import anyio

from ._arguments import number
from ._command import Command, CommandResult
from ._dispatch import Dispatch
from ._errors import UnknownTrigger
from ._job import Job
from ._job_lifecycle import JOB_LIFECYCLE
from ._jobs import Jobs
from ._lifecycle import Lifecycle
from ._loop import describe, home, is_by_scope
from ._retry import Retry
from ._run_errors import (
    DependencyCycle,
    ImpossibleDemand,
    RunnerClosed,
    UnsuitableWork,
)
from ._status import JobStatus
from ._work import Work
from .abc import Executor
from .executors.commands import Commands
from .executors.processes import Processes
from .executors.tasks import Tasks
from .executors.threads import Threads

R = TypeVar("R")
Args = TypeVarTuple("Args")

_PLACE = object()
"""What each attempt takes one of, where the runner has a limit."""


class CommonOptions(TypedDict, total=False):
    """What can be said of any job when it is submitted; see `JobRunner.submit`."""

    name: str
    id: str | None
    retry: Retry | None
    timeout: float | None
    attempt_timeout: float | None
    priority: int
    resources: Mapping[str, int] | None
    executor: Executor | None
    info: Mapping[str, Any] | None


_NOTHING: dict[Job[Any, Any], bool] = {}
"""What most jobs come after; a dict of their own would be an 18th of what they weigh in line."""


class SubmitOptions(CommonOptions, total=False):
    """What can be said of a job when it is submitted to a `JobRunner`."""

    after: Iterable[Job[Any, Any] | str]
    after_end: Iterable[Job[Any, Any] | str]


class JobRunner:
    """Runs real work as jobs: async functions, plain functions, commands.

    ``async with JobRunner(limit=8) as runner: job = await runner.submit(publish, "data.csv")``.
    Leaving the block waits for all work. Where the block is left by an exception or a cancellation,
    what runs is stopped and what waits is revoked, with cause SHUTDOWN; interrupted once more,
    nobody is granted any more time. No task, process or command survives the block; of threads,
    which nothing can end, those that do not listen are left to themselves.

    Args:
        limit: how many attempts run at once; ``None`` means any number.
        resources: how many units there are of what jobs may ask for, such as ``{"gpu": 1}``.
        threads: how many worker threads run at once, for plain functions.
        processes: how many worker processes; by default one a processor.
        lifecycle: what its jobs follow. Derive one with ``cancel_started=True`` to have jobs
            cancelled that are running.
        grace: seconds that work which is asked to stop has for it, before it is ended by force.
        keep: how many jobs that have ended are kept in `jobs`; ``None`` means all.
        keep_for: for how many seconds; ``None`` means without limit.
        clock: tells POSIX seconds.
        random: draws the random part of the waits between attempts.

    Attributes:
        jobs: its jobs by id, with hooks on all of them and one stream of all changes.
        tasks, threads, processes, commands: the executors; async functions run in tasks and plain
            ones in threads unless ``submit(…, executor=…)`` says otherwise.

    Raises:
        UnknownTrigger: the lifecycle lacks a trigger that running a job needs.
        TypeError, ValueError: an argument is of the wrong kind.
    """

    def __init__(
        self,
        *,
        limit: int | None = None,
        resources: Mapping[str, int] | None = None,
        threads: int = 40,
        processes: int | None = None,
        lifecycle: Lifecycle[Any] = JOB_LIFECYCLE,
        grace: float = 5.0,
        keep: int | None = 10_000,
        keep_for: float | None = None,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"limit={limit!r}: a whole number from 1 on, or None for no limit")
        self._resources = _units(resources or {}, "JobRunner")
        seconds = number(grace)
        if seconds is None or seconds < 0:
            raise ValueError(f"grace={grace!r}: a number of seconds from 0 on")
        if not isinstance(lifecycle, Lifecycle):
            raise TypeError(f"lifecycle={lifecycle!r}: a Lifecycle, such as JOB_LIFECYCLE.derive()")
        self._lifecycle = lifecycle
        for trigger in ("start", "succeed", "fail", "revoke"):
            self._check_trigger(trigger)
        self.tasks, self.threads = Tasks(), Threads(threads)
        self.processes, self.commands = Processes(processes), Commands()
        self._clock = clock
        self.jobs: Jobs = Jobs(keep=keep, keep_for=keep_for, clock=clock)
        free: dict[Any, int] = dict(self._resources)
        if limit is not None:
            free[_PLACE] = limit
        self._dispatch = Dispatch(free, seconds, random or Random())
        self.jobs._own.worker = self._dispatch
        self.jobs._follow(self._dispatch)
        self._demands: dict[Executor, Mapping[Any, int]] = {}
        """What jobs ask for that take no resources, shared by all that run in the same way."""

        self._home: object = None
        self._state = "has not been entered"
        self._block: AbstractAsyncContextManager[None] | None = None

    # --- the block ---

    async def __aenter__(self) -> JobRunner:
        if self._block is not None:
            raise RunnerClosed("enter the block again", self._state)
        self._home = home()
        self._block = self._opened()
        await self._block.__aenter__()
        self._state = "is open"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None
        try:
            return await self._block.__aexit__(exc_type, exc, tb)
        except BaseExceptionGroup as group:
            error: BaseException = group  # that there are task groups in here is nobody's business
            while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]
                if isinstance(exc, BaseExceptionGroup):
                    break  # it is the block's own, or Trio's copy of that
        if error is exc:
            return None
        raise error

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._dispatch.pump)
            try:
                yield
                await self._dispatch.until_idle()
            except BaseException:
                await self._close("the runner's block was left", shielded=True)
                raise
            finally:
                self._state = "was left"
                self._dispatch.attempts.leave()
                self._dispatch.stop()
                self.jobs.close()
                with anyio.CancelScope(shield=True):
                    for executor in (self.processes, self.commands, self.threads, self.tasks):
                        await executor.aclose()

    async def aclose(self, reason: str = "the runner was closed") -> None:
        """Stop what runs, revoke what waits (cause SHUTDOWN), and return once all jobs have ended.

        No more jobs are taken. Cancelled meanwhile, it grants nobody any more time, and still
        returns only when all jobs have ended.
        """
        await self._close(reason, shielded=False)

    async def _close(self, reason: str, *, shielded: bool) -> None:
        if self._state == "is open":
            self._state = "is closing"
        interrupt: BaseException | None = None
        while True:
            try:
                self._dispatch.close(reason)  # or what an interrupt has left of that
                with anyio.CancelScope(shield=shielded):
                    await self._dispatch.until_ended()
                break
            except GeneratorExit:
                raise
            except BaseException as error:  # a second Ctrl-C, or a task's cancel(): no shield helps
                self._dispatch.attempts.hurry()
                if shielded and is_by_scope(error):
                    raise  # somebody has broken the shield
                interrupt, shielded = interrupt or error, True
        self._dispatch.attempts.leave()
        self.jobs.close()  # or readers of its changes would wait for more
        if interrupt is not None:
            raise interrupt

    # --- jobs ---

    @overload
    async def submit(
        self, command: Command, /, **options: Unpack[SubmitOptions]
    ) -> Job[CommandResult]: ...

    @overload
    async def submit(
        self,
        function: Callable[[*Args], Awaitable[R]],
        /,
        *args: *Args,
        **options: Unpack[SubmitOptions],
    ) -> Job[R]: ...

    @overload
    async def submit(
        self,
        function: Callable[[*Args], R],
        /,
        *args: *Args,
        **options: Unpack[SubmitOptions],
    ) -> Job[R]: ...

    async def submit(  # type: ignore[misc]  # mypy takes *Args for more than Any
        self,
        function: Any,
        /,
        *args: Any,
        name: str = "",
        id: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        attempt_timeout: float | None = None,
        after: Iterable[Job[Any, Any] | str] = (),
        after_end: Iterable[Job[Any, Any] | str] = (),
        priority: int = 0,
        resources: Mapping[str, int] | None = None,
        executor: Executor | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> Job[Any]:
        """Have work run as a job, and return the job, which is PENDING.

        It returns at once. The work begins when all that it comes after has ended, and there is a
        free place: by priority, then in order of arrival. It sees the context variables of whoever
        submits it. Keyword arguments of its own are given with `functools.partial`.

        Args:
            function: an async function, a plain function, or a `Command`.
            args: its arguments.
            name: for people; by default that of the function, or the command line.
            id: as for a `Job`.
            retry: what becomes of an attempt that fails; without it, there is one.
            timeout: seconds from now until the job is revoked, if it has not ended (cause TIMEOUT).
            attempt_timeout: seconds that an attempt may take; one that takes longer has failed, and
                is followed by another one as long as *retry* has any left.
            after: jobs that have to succeed first, or their ids; if one does not, this one fails.
            after_end: jobs that have to end first, however they do.
            priority: the higher goes first.
            resources: the units that it takes of the runner's resources while it runs.
            executor: where it runs, if not in a task or in a thread.
            info: anything about the job that JSON can hold.

        Raises:
            UnsuitableWork: that cannot be run, or an option makes no sense.
            ImpossibleDemand: there is less of a resource than it asks for.
            JobNotFound: a job that it should come after is not known here.
            DependencyCycle: it should come after itself.
            DuplicateJob, InvalidJobId, BadArgument: the job cannot be made like that.
            RunnerClosed: the runner takes no more jobs.
            UnknownTrigger: the lifecycle has no ``retry``.

        The runner's own errors that jobs fail with are `DependencyFailed`, `AttemptTimedOut` and
        `UnsuitableResult`.
        """
        if self._state != "is open" or self._dispatch.closing is not None:
            state = "is closing" if self._state == "is open" else self._state
            raise RunnerClosed(f"submit {_named(function)}", state)
        executor = self._executor_for(function) if executor is None else executor
        _check_executor(executor, function)
        executor.check(function, args)
        timeouts = {"timeout": timeout, "attempt_timeout": attempt_timeout}
        self._check_options(function, priority, timeouts, retry)
        if retry is not None:
            self._check_trigger("retry")
        demand = self._demand(executor, resources)
        job: Job[Any] = Job(
            id,
            name=name or _named(function),
            lifecycle=self._lifecycle,
            max_attempts=1 if retry is None else retry.attempts,
            info=info,
            clock=self._clock,
        )
        if job._state.meaning is not JobStatus.PENDING:
            problem = f"its lifecycle begins with {job._state.name}, which does not mean PENDING"
            raise UnsuitableWork(_named(function), problem)
        needed = _NOTHING
        if after != () or after_end != ():
            ended = self._known("after_end", after_end, job.id, function)
            needed = dict.fromkeys(ended, False)
            needed.update(dict.fromkeys(self._known("after", after, job.id, function), True))
        self.jobs.add(job)
        work = Work(
            job,
            function,
            args,
            executor,
            copy_context(),
            self._dispatch.rank(priority),
            demand,
            retry,
            attempt_timeout,
            needed,
            self._dispatch,
        )
        self._dispatch.take(work, timeout)
        return job

    # --- checks ---

    def _executor_for(self, function: Any) -> Executor:
        if isinstance(function, Command):
            return self.commands
        if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
            return self.tasks
        if callable(function):
            return self.threads
        if iscoroutine(function):
            function.close()
            problem = "it is a coroutine; submit the async function itself, and its arguments"
        else:
            problem = "it is no function; a command line is Command('make', '-j2')"
        raise UnsuitableWork(_named(function), problem)

    def _check_trigger(self, trigger: str) -> None:
        known = self._lifecycle.triggers
        if trigger not in known:
            raise UnknownTrigger(self._lifecycle.name, trigger, known)

    def _check_options(
        self, function: Any, priority: Any, timeouts: Mapping[str, Any], retry: Any
    ) -> None:
        problem = None
        for name, given in timeouts.items():
            seconds = None if given is None else number(given)
            if given is not None and (seconds is None or seconds <= 0):
                problem = f"{name}={given!r} must be a number of seconds above 0, or None"
        if type(priority) is not int:
            problem = f"priority={priority!r} must be a whole number"
        if retry is not None and not isinstance(retry, Retry):
            problem = f"retry={retry!r} must be a Retry, such as Retry(attempts=3)"
        here = home()
        if here is not self._home:
            problem = (
                f"its runner belongs to {describe(self._home)}, and this is {describe(here)}; from "
                "a worker thread use anyio.from_thread.run(runner.submit, …)"
            )
        if problem is not None:
            raise UnsuitableWork(_named(function), problem)

    def _demand(self, executor: Executor, resources: Mapping[str, int] | None) -> Mapping[Any, int]:
        simple = self._demands.setdefault(executor, {_PLACE: 1, executor: 1})
        if not resources:
            return simple
        units = _units(resources, "submit")
        for resource, asked in units.items():
            there = self._resources.get(resource)
            if there is None or asked > there:
                raise ImpossibleDemand(resource, asked, there)
        return {**simple, **units}

    def _known(
        self, option: str, jobs: Iterable[Job[Any, Any] | str], own_id: str, function: Any
    ) -> list[Job[Any, Any]]:
        if isinstance(jobs, (str, Job)) or not isinstance(jobs, Iterable):
            problem = f"{option}={jobs!r} must be a list of jobs, or of their ids"
            raise UnsuitableWork(_named(function), problem)
        known = []
        for each in jobs:
            if each == own_id:
                raise DependencyCycle(own_id)
            job = each if isinstance(each, Job) else self.jobs.get(each)
            job._check_home()
            known.append(job)
        return known


def _check_executor(executor: Any, function: Any) -> None:
    methods = all(callable(getattr(executor, name, None)) for name in ("check", "run"))
    limit = getattr(executor, "limit", 0)
    if not methods or (limit is not None and (type(limit) is not int or limit < 1)):
        problem = (
            f"executor={executor!r} must be an executor, such as runner.processes, whose limit is "
            "a whole number from 1 on, or None for no limit"
        )
        raise UnsuitableWork(_named(function), problem)


def _units(resources: Mapping[str, int], asker: str) -> dict[str, int]:
    if not isinstance(resources, Mapping):
        raise TypeError(f"{asker}(resources={resources!r}): a mapping of names to units")
    for name, units in resources.items():
        if not isinstance(name, str) or type(units) is not int or units < 0:
            raise ValueError(f"{asker}(resources={resources!r}): whole numbers of units, by name")
    return dict(resources)


def _named(function: Any) -> str:
    if isinstance(function, Command):
        return str(function)
    inner = function
    while hasattr(inner, "func"):
        inner = inner.func  # of a partial
    return getattr(inner, "__qualname__", None) or (
        type(inner).__qualname__ if callable(inner) else repr(function)
    )
