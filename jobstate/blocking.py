"""Jobs for people without an event loop: one runs beside them, in a thread of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack, cast, overload

import anyio
from anyio.abc import TaskStatus
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ._command import Command, CommandResult
from ._job import Job, Registration
from ._records import Outcome, Snapshot, T, Transition
from ._run_errors import RunnerClosed, StillRunning
from ._runner import CommonOptions, JobRunner
from ._status import Cancellation, JobStatus
from ._table import Hook

R = TypeVar("R")
"""The type of what the work gives."""

Args = TypeVarTuple("Args")
"""The types of its arguments."""


class BlockingJob(Generic[T]):
    """A job of `BlockingJobs`, to be looked at and waited for from any thread.

    What is read of it is how the job stands at that very moment.
    """

    def __init__(self, job: Job[T, Any], portal: BlockingPortal) -> None:
        self._job, self._portal = job, portal

    def __repr__(self) -> str:
        return repr(self._job).replace("<Job", "<BlockingJob", 1)

    @property
    def id(self) -> str:
        """The job's id."""
        return self._job.id

    @property
    def name(self) -> str:
        """The job's name, for people."""
        return self._job.name

    @property
    def status(self) -> JobStatus:
        """Where the job stands."""
        return cast(JobStatus, self._job.status)

    @property
    def progress(self) -> float:
        """How far the present attempt has come, in percent from 0 to 100."""
        return self._job.progress

    @property
    def attempt(self) -> int:
        """How many attempts were started so far."""
        return self._job.attempt

    @property
    def info(self) -> Mapping[str, Any]:
        """What is known about the job."""
        return self._job.info

    @property
    def error_reason(self) -> str | None:
        """The type of the error that the last attempt ended with; ``None`` without one."""
        return self._job.error_reason

    @property
    def error_message(self) -> str | None:
        """What the error that the last attempt ended with said; ``None`` without one."""
        return self._job.error_message

    @property
    def history(self) -> tuple[Transition[Any], ...]:
        """Every transition so far, in order."""
        return self._job.history

    @property
    def outcome(self) -> Outcome[T, Any] | None:
        """How the job ended; ``None`` until it has."""
        return self._job.outcome

    def snapshot(self) -> Snapshot[T, Any]:
        """Return all that can be read of the job, as it stood at one moment."""
        if self._job.outcome is not None:
            return self._job.snapshot()
        return self._portal.call(self._job.snapshot)

    def refresh(self) -> BlockingJob[T]:
        """Return the job itself, which is always fresh: for code that used to poll."""
        return self

    def wait(self, timeout: float | None = None) -> Outcome[T, Any]:
        """Return how the job ended, once it has. It never raises for how the job ended.

        Args:
            timeout: seconds to wait at most; the job does not notice. ``None`` means without limit.

        Raises:
            StillRunning: it had not ended by then.
            JobAbandoned: nobody can tell any more how it will end.
        """
        ended = self._job.outcome
        if ended is not None:
            return ended
        waiting: Future[Outcome[T, Any]] = self._portal.start_task_soon(self._job.completed)
        try:
            return waiting.result(timeout)
        except FutureTimeoutError:
            if waiting.cancel():
                raise StillRunning(self.id, self.status, timeout or 0.0) from None
            return waiting.result()
        finally:
            waiting.cancel()

    def result(self, timeout: float | None = None) -> T:
        """Return what the work gave, once it has; see `wait`.

        Raises:
            JobFailed, JobRevoked: it gave nothing.
            StillRunning, JobAbandoned: as `wait` raises them.
        """
        return self.wait(timeout).value()

    def cancel(self, reason: str = "") -> Cancellation:
        """Ask for the work to stop, and return what came of it; see `Job.cancel`."""
        if self._job.outcome is not None:
            return Cancellation.TOO_LATE
        return self._portal.call(self._job.cancel, reason)


class BlockingOptions(CommonOptions, total=False):
    """What can be said of a job when it is submitted to `BlockingJobs`."""

    after: Iterable[BlockingJob[Any] | str]
    after_end: Iterable[BlockingJob[Any] | str]


class BlockingJobs:
    """A `JobRunner` for people without an event loop.

    ``with BlockingJobs(limit=4) as jobs: job = jobs.submit(publish, "data.csv"); job.wait(60)``.
    It may be used from any thread. Leaving the block waits for all work; where the block is left by
    an exception, or interrupted by Ctrl-C while it waits, what runs is stopped and what waits is
    revoked. A second Ctrl-C grants nobody any more time.

    Args:
        backend: the event loop that runs beside: ``asyncio`` or ``trio``.
        options: those of a `JobRunner`.
    """

    def __init__(self, *, backend: str = "asyncio", **options: Any) -> None:
        self._runner = JobRunner(**options)
        self._thread: AbstractContextManager[BlockingPortal] = start_blocking_portal(backend)
        self._portal: BlockingPortal | None = None
        self._state = "has not been entered"

    def __enter__(self) -> BlockingJobs:
        if self._portal is not None:
            raise RunnerClosed("enter the block again", self._state)
        self._portal = self._thread.__enter__()
        self._running, self._leave = self._portal.start_task(self._run)
        self._state = "is open"
        return self

    async def _run(self, *, task_status: TaskStatus[anyio.Event]) -> None:
        leave = anyio.Event()
        async with self._runner:
            task_status.started(leave)
            await leave.wait()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        portal = self._open("leave the block")
        try:
            stopping = None if exc is None else self._stop(portal)
            portal.call(self._leave.set)
            interruption: KeyboardInterrupt | None = None
            while not wait([self._running], 0).done:
                try:
                    wait([self._running])
                except KeyboardInterrupt as interrupt:
                    interruption = interrupt
                    if stopping is None:
                        stopping = self._stop(portal)
                    else:
                        stopping.cancel()  # then the runner grants nobody any more time
            self._running.result()
            if interruption is not None:
                raise interruption
        finally:
            self._state = "was left"
            self._thread.__exit__(None, None, None)

    def _stop(self, portal: BlockingPortal) -> Future[None]:
        return portal.start_task_soon(self._runner.aclose, "the block of BlockingJobs was left")

    @overload
    def submit(
        self, command: Command, /, **options: Unpack[BlockingOptions]
    ) -> BlockingJob[CommandResult]: ...

    @overload
    def submit(
        self,
        function: Callable[[*Args], Awaitable[R]],
        /,
        *args: *Args,
        **options: Unpack[BlockingOptions],
    ) -> BlockingJob[R]: ...

    @overload
    def submit(
        self,
        function: Callable[[*Args], R],
        /,
        *args: *Args,
        **options: Unpack[BlockingOptions],
    ) -> BlockingJob[R]: ...

    def submit(  # type: ignore[misc]  # mypy takes *Args for more than Any
        self, function: Any, /, *args: Any, **options: Any
    ) -> BlockingJob[Any]:
        """Have work run as a job, and return the job; see `JobRunner.submit`.

        Jobs that it should come after may be given as they are, or by their ids.
        """
        portal = self._open("submit work")
        for name in ("after", "after_end"):
            if not isinstance(options.get(name, ""), (str, BlockingJob)):
                options[name] = [getattr(each, "_job", each) for each in options[name]]

        async def submit() -> Job[Any]:
            job: Job[Any] = await self._runner.submit(function, *args, **options)
            return job

        return BlockingJob(portal.call(submit), portal)

    def get(self, job_id: str) -> BlockingJob[Any]:
        """Return the job of that id.

        Raises:
            JobNotFound: there is none, or it was forgotten.
        """
        portal = self._open("look for a job")
        return BlockingJob(portal.call(self._runner.jobs.get, job_id), portal)

    def __iter__(self) -> Iterator[BlockingJob[Any]]:
        portal = self._open("list jobs")
        found: list[Job[Any]] = portal.call(list, self._runner.jobs)
        return iter([BlockingJob(job, portal) for job in found])

    @property
    def counts(self) -> dict[Any, int]:
        """How many jobs there are of each status."""
        self._open("count jobs")
        return self._runner.jobs.counts

    def on(self, status_or_trigger: str, hook: Hook) -> Registration:
        """Add a hook to all jobs, which is called in the event loop's thread; see `Jobs.on`."""
        add: Callable[[str, Hook], Registration] = self._runner.jobs.on
        return self._open("add a hook").call(add, status_or_trigger, hook)

    def _open(self, asked: str) -> BlockingPortal:
        if self._portal is None or self._state == "was left":
            raise RunnerClosed(asked, self._state)
        return self._portal
