"""Real work, run as jobs, in structured concurrency."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import copy_context
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, TypeVar, TypeVarTuple, Unpack, overload

import anyio

from ._arguments import number
from ._block import enter, leave
from ._command import Command, CommandResult
from ._dispatch import Dispatch
from ._errors import UnknownTrigger
from ._job import Job
from ._job_lifecycle import JOB_LIFECYCLE
from ._jobs import Jobs
from ._lifecycle import Lifecycle
from ._loop import describe, finish, home, is_by_scope, task
from ._options import SubmitOptions, work_name
from ._places import Places
from ._recipe import Functions, Recipe, Registered
from ._recovery import KeptWork, Recovered, times_left
from ._retry import Retry
from ._run_errors import DependencyCycle, RunnerClosed, UnsuitableWork
from ._status import JobStatus
from ._stored import StoredJob
from ._work import Work
from .abc import Executor, Store

R = TypeVar("R")
Args = TypeVarTuple("Args")

_NOTHING: dict[Any, Any] = {}
"""What most jobs come after; a dict of their own would be an 18th of what they weigh in line."""


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
        store: where its jobs are kept, so that `recover` takes them up after a crash. The runner
            opens it, and closes it when the block is left.
        functions: what jobs may run whose work is kept, and what `recover` finds by name: a list of
            functions, or a mapping of names to them. What a `Retry` or a `Command` names belongs
            there too, and `Command` itself, if commands are to be run.
        resumable: whether jobs that have not ended when the runner is closed are left in the store,
            for another runner to recover, and not revoked.
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
        store: Store | None = None,
        functions: Functions = (),
        resumable: bool = False,
        grace: float = 5.0,
        keep: int | None = 10_000,
        keep_for: float | None = None,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self._places = Places(limit, resources, threads, processes)
        seconds = number(grace)
        if seconds is None or seconds < 0:
            raise ValueError(f"grace={grace!r}: a number of seconds from 0 on")
        if not isinstance(lifecycle, Lifecycle):
            raise TypeError(f"lifecycle={lifecycle!r}: a Lifecycle, such as JOB_LIFECYCLE.derive()")
        self._lifecycle = lifecycle
        if store is not None and not isinstance(store, Store):
            raise TypeError(f"store={store!r}: a Store, such as SQLiteStore('jobs.db')")
        if resumable and (store is None or not store.durable):
            raise ValueError("resumable=True: only a store that outlives the process keeps jobs")
        for trigger in ("start", "succeed", "fail", "revoke"):
            self._check_trigger(trigger)
        self.tasks, self.threads = self._places.tasks, self._places.threads
        self.processes, self.commands = self._places.processes, self._places.commands
        self._clock = clock
        self.jobs: Jobs = Jobs(keep=keep, keep_for=keep_for, clock=clock)
        self._kept: KeptWork | None = None
        if store is not None:
            registered = Registered(functions, self._places.executors)
            self._kept = KeptWork(store, self.jobs, lifecycle, registered, clock)
        free, dice = self._places.free, random or Random()
        kept = store is not None
        self._dispatch = Dispatch(free, seconds, dice, kept=kept, resumable=resumable)
        self.jobs._own.worker = self._dispatch
        self.jobs._follow(self._dispatch)
        self._coming: set[str] = set()
        """The ids of jobs that are being submitted."""

        self._home: object = None
        self._state = "has not been entered"
        self._block: AbstractAsyncContextManager[None] | None = None

    # --- the block ---

    async def __aenter__(self) -> JobRunner:
        if self._block is not None:
            raise RunnerClosed("enter the block again", self._state)
        self._home = home()
        self._block = self._opened()
        await enter(self._block)
        self._state = "is open"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None
        return await leave(self._block, 1 if self._kept is None else 2, exc_type, exc, tb)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        kept = nullcontext() if self._kept is None else self._kept.opened()
        async with kept, anyio.create_task_group() as tasks:
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
                    await self._places.aclose()

    async def aclose(self, reason: str = "the runner was closed") -> None:
        """Stop what runs, revoke what waits (cause SHUTDOWN), and return once all jobs have ended.

        If the runner is *resumable*, they are left to be recovered instead. No more jobs are taken.
        Cancelled meanwhile, it grants nobody any more time, and still returns only when all jobs
        have ended.
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
            NotRestorable: a job that it should come after follows another lifecycle.
            DuplicateJob, InvalidJobId, BadArgument: the job cannot be made like that.
            RunnerClosed: the runner takes no more jobs.
            UnknownTrigger: the lifecycle has no ``retry``.

        The runner's own errors that jobs fail with are `DependencyFailed`, `AttemptTimedOut`,
        `AttemptInterrupted` and `UnsuitableResult`.
        """
        self._check_open(f"submit {work_name(function)}")
        recipe = Recipe(
            function=function,
            args=args,
            executor=executor,
            retry=retry,
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            priority=priority,
            resources=resources or _NOTHING,
        )
        self._check_here(function)
        where, demand = self._places.checked(recipe)
        if retry is not None:
            self._check_trigger("retry")
        job: Job[Any] = Job(
            id,
            name=name or work_name(function),
            lifecycle=self._lifecycle,
            max_attempts=1 if retry is None else retry.attempts,
            info=info,
            clock=self._clock,
        )
        if job._state.meaning is not JobStatus.PENDING:
            problem = f"its lifecycle begins with {job._state.name}, which does not mean PENDING"
            raise UnsuitableWork(work_name(function), problem)
        needed: dict[Job[Any, Any], bool] = _NOTHING
        if after != () or after_end != ():
            with self._dispatch.expecting():
                ended = await self._known("after_end", after_end, job.id, function)
                required = await self._known("after", after, job.id, function)
            needed = {**dict.fromkeys(ended, False), **dict.fromkeys(required, True)}
            self._check_open(f"submit {work_name(function)}")  # by now, it may have been closed
        work = self._work(job, recipe, where, demand, needed)
        if self._kept is None:
            self.jobs.add(job)
            self._dispatch.take(work, timeout)
        else:
            recipe.after = {each.id: must for each, must in needed.items()}
            await self._keep(self._kept, work, recipe)
        return job

    async def _keep(self, kept: KeptWork, work: Work, recipe: Recipe) -> None:
        """Take on work once it is in the store; a cancellation waits, or nobody would do it."""
        data, held_back = kept.data_of(recipe), list[BaseException]()
        with self._dispatch.expecting():
            self._coming.add(work.job.id)
            try:
                await finish(kept.keeper.add(work.job, data), task(), held_back.append)
                if not work.job._state.final:
                    self._dispatch.take(work, recipe.timeout)
            finally:
                self._coming.discard(work.job.id)
        if held_back:
            raise held_back[0]

    async def recover(self) -> Recovered:
        """Take up the jobs that runners which are no more have left unfinished in the store.

        Those that waited wait again, in the order in which they were made; a delay before another
        attempt, and the time that a job has to end, go on from when they began. An attempt that was
        interrupted is followed by another where the job's `Retry` has one left, and else has failed
        (`AttemptInterrupted`). Functions are found by the names that they are registered under.
        Jobs of runners that live, in any process, are left to them. Cancelled, it keeps what it has
        taken up so far; it can be called again.

        Returns:
            The jobs that were taken up, and why others could not be. Runners of which nothing was
            taken up are left to others, who may know how to do their work.

        Raises:
            UnsuitableWork: the runner has no store.
            RunnerClosed: the runner takes no more jobs, or not any longer.
            StoreClosed, StoreBroken, StoreBusy, CorruptRecord: the store cannot be read.
        """
        self._check_open("recover jobs")
        if self._kept is None:
            raise UnsuitableWork("recover()", "the runner has no store: JobRunner(store=…)")
        with self._dispatch.expecting():
            return await self._kept.recovered(self._is_here, partial(self._take_up, self._kept))

    async def _take_up(self, kept: KeptWork, stored: StoredJob, recipe: Recipe) -> Job[Any, Any]:
        where, demand = self._places.checked(recipe)
        needed = await kept.dependencies(recipe, stored.job.id)
        self._check_open("recover jobs")
        job = kept.keeper.restore(stored)
        if not (job._state.final or self._is_here(job.id)):  # by now, it may be
            self.jobs._registry.resumed(job)
            timeout, delay = times_left(job, recipe, self._clock())
            self._dispatch.take_up(self._work(job, recipe, where, demand, needed), timeout, delay)
        return job

    def _is_here(self, job_id: str) -> bool:
        job = self.jobs._registry.by_id.get(job_id)
        taken = job is not None and self._dispatch.work_of(job) is not None
        return taken or job_id in self._coming

    def _work(
        self,
        job: Job[Any, Any],
        recipe: Recipe,
        executor: Executor,
        demand: Mapping[Any, int],
        needed: dict[Job[Any, Any], bool],
    ) -> Work:
        return Work(
            job,
            recipe.function,
            recipe.args,
            executor,
            copy_context(),
            self._dispatch.rank(recipe.priority),
            demand,
            recipe.retry,
            recipe.attempt_timeout,
            needed,
            self._dispatch,
        )

    # --- checks ---

    def _check_open(self, asked: str) -> None:
        if self._state != "is open" or self._dispatch.closing is not None:
            state = "is closing" if self._state == "is open" else self._state
            raise RunnerClosed(asked, state)

    def _check_trigger(self, trigger: str) -> None:
        known = self._lifecycle.triggers
        if trigger not in known:
            raise UnknownTrigger(self._lifecycle.name, trigger, known)

    def _check_here(self, function: Any) -> None:
        here = home()
        if here is not self._home:
            problem = (
                f"its runner belongs to {describe(self._home)}, and this is {describe(here)}; from "
                "a worker thread use anyio.from_thread.run(runner.submit, …)"
            )
            raise UnsuitableWork(work_name(function), problem)

    async def _known(
        self, option: str, jobs: Iterable[Job[Any, Any] | str], own_id: str, function: Any
    ) -> list[Job[Any, Any]]:
        if isinstance(jobs, (str, Job)) or not isinstance(jobs, Iterable):
            problem = f"{option}={jobs!r} must be a list of jobs, or of their ids"
            raise UnsuitableWork(work_name(function), problem)
        known = []
        for each in jobs:
            if each == own_id:
                raise DependencyCycle(own_id)
            if isinstance(each, Job):
                job = each
            elif self._kept is not None:
                job = await self._kept.keeper.load(each)
            else:
                job = self.jobs.get(each)
            job._check_home()
            if self._kept is not None and job._journal is not self._kept.keeper:
                problem = f"{option}=…: job {job.id} is not in the runner's store, as this one is"
                raise UnsuitableWork(work_name(function), problem)
            known.append(job)
        return known
