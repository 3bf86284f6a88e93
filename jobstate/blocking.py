"""Jobs for people without an event loop: one runs beside them, in a thread of its own.

Each call is carried into that loop, and its answer waited for here. The loop's end ends every such
wait as well, so none hangs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from functools import partial
from threading import Lock, Thread
from types import TracebackType
from typing import Any, TypeVar, TypeVarTuple, Unpack, overload

import anyio

from ._blocking_job import BlockingJob
from ._command import Command, CommandResult
from ._errors import JobStateError
from ._job import Registration
from ._loop import at_once, call_soon, home
from ._options import CommonOptions
from ._run_errors import RunnerClosed
from ._runner import JobRunner
from ._spawn import carried_context, spawn
from ._table import Hook

__all__ = ["BlockingJob", "BlockingJobs", "BlockingOptions"]

R = TypeVar("R")
"""The type of what the work gives."""

Args = TypeVarTuple("Args")
"""The types of its arguments."""


class BlockingOptions(CommonOptions, total=False):
    """What can be said of a job when it is submitted to `BlockingJobs`."""

    after: Iterable[BlockingJob[Any] | str]
    after_end: Iterable[BlockingJob[Any] | str]


class BlockingJobs:
    """A `JobRunner` for people without an event loop.

    ``with BlockingJobs(limit=4) as jobs: job = jobs.submit(publish, "data.csv"); job.wait(60)``.
    It may be used from any thread. Leaving the block waits for all work; where the block is left by
    an exception, or interrupted by Ctrl-C while it waits, what runs is stopped and what waits is
    revoked. A second Ctrl-C grants nobody any more time. `KeyboardInterrupt` is raised when all has
    ended.

    Args:
        backend: the event loop that runs beside: ``asyncio`` or ``trio``.
        options: those of a `JobRunner`.

    Attributes:
        tasks, threads, processes, commands: the executors, for ``submit(…, executor=…)``; see
            `JobRunner`.

    Raises:
        ValueError: there is no such event loop.
        UnknownTrigger, TypeError, ValueError: as a `JobRunner` raises them.
    """

    def __init__(self, *, backend: str = "asyncio", **options: Any) -> None:
        known = anyio.get_all_backends()
        if backend not in known:
            raise ValueError(f"backend={backend!r}: one of {', '.join(known)}")
        self._runner = runner = JobRunner(**options)
        self.tasks, self.threads = runner.tasks, runner.threads
        self.processes, self.commands = runner.processes, runner.commands
        self._thread = Thread(target=self._live, args=(backend,), name="jobstate", daemon=True)
        self._begun: Future[object] = Future()
        """Gives the event loop, once the block is entered; replaced when it is left."""

        self._ended: Future[None] = Future()
        """Is done when the loop has ended, and holds what it ended by."""

        self._is_over, self._over = False, Lock()
        self._over.acquire()
        """Released when the loop has ended."""

    def __enter__(self) -> BlockingJobs:
        if self._thread.ident is not None:
            raise RunnerClosed("enter the block again", self._runner._state)
        either: list[Future[Any]] = [self._begun, self._ended]
        try:
            self._thread.start()
            wait(either, return_when=FIRST_COMPLETED)
        except KeyboardInterrupt:
            self._begun.cancel()  # then the loop finds that nobody waits for it
            raise
        if not self._begun.done():
            self._ended.result()  # raises what kept it from beginning
        return self

    def _live(self, backend: str) -> None:
        try:
            anyio.run(self._run, backend=backend)
        except BaseException as error:
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)
        self._is_over = True
        self._over.release()

    async def _run(self) -> None:
        self._block, self._left = anyio.CancelScope(), anyio.Event()
        with self._block:
            async with self._runner:
                self._begun.set_result(home())
                await self._left.wait()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        loop = self._loop("leave the block")
        interrupt: KeyboardInterrupt | None = None
        disturbed = 0 if exc is None else 1
        while not self._is_over:
            try:
                with suppress(RuntimeError):  # the loop has ended by itself
                    call_soon(loop, partial(self._leave, disturbed))
                self._over.acquire()  # an interrupted wait for a future might keep that locked
            except KeyboardInterrupt as error:
                interrupt, disturbed = error, disturbed + 1
        self._thread.join()
        self._begun = Future()
        try:
            self._ended.result()
        finally:
            if interrupt is not None:
                raise interrupt

    def _leave(self, disturbed: int) -> None:
        self._left.set()
        if disturbed > 0:
            self._block.cancel()
        if disturbed > 1:
            self._runner._dispatch.attempts.hurry()

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
        for name in ("after", "after_end"):
            given = options.get(name)
            if isinstance(given, Iterable) and not isinstance(given, str):
                options[name] = [getattr(each, "_job", each) for each in given]
        submit = partial(self._runner.submit, function, *args, **options)
        return BlockingJob(self._in_loop("submit work", submit))

    def recover(self) -> tuple[list[BlockingJob[Any]], Mapping[str, JobStateError]]:
        """Take up what other runners have left in the store; see `JobRunner.recover`.

        Returns:
            The jobs that were taken up, and why others could not be, by their ids.
        """
        jobs, left = self._in_loop("recover jobs", self._runner.recover)
        return [BlockingJob(job) for job in jobs], left

    def get(self, job_id: str) -> BlockingJob[Any]:
        """Return the job of that id; also before and after the block.

        Raises:
            JobNotFound: there is none, or it was forgotten.
        """
        return BlockingJob(self._runner.jobs.get(job_id))

    def __iter__(self) -> Iterator[BlockingJob[Any]]:
        return map(BlockingJob, self._runner.jobs)

    @property
    def counts(self) -> dict[Any, int]:
        """How many jobs there are of each status."""
        return self._runner.jobs.counts

    def on(self, status_or_trigger: str, hook: Hook) -> Registration:
        """Add a hook to all jobs, which is called in the event loop's thread; see `Jobs.on`.

        It cannot wait for jobs there, but may submit more.

        Raises:
            UnknownTrigger, UnknownStatus, TypeError: as `Jobs.on` raises them.
            RunnerClosed: the block was left, or not entered.
        """

        async def add() -> Registration:
            return self._runner.jobs.on(status_or_trigger, hook)

        return self._in_loop("add a hook", add)

    def _in_loop(self, asked: str, ask: Callable[[], Coroutine[Any, Any, R]]) -> R:
        loop = self._loop(asked)
        if loop is home():
            return at_once(ask())
        answer: Future[R] = Future()

        async def work() -> None:
            try:
                answer.set_result(await ask())
            except Exception as error:
                answer.set_exception(error)

        lost = partial(answer.set_exception, RunnerClosed(asked, "was left"))
        with suppress(RuntimeError):  # the loop has just ended
            call_soon(loop, partial(spawn, work, lost, carried_context()))
        either: list[Future[Any]] = [answer, self._ended]
        wait(either, return_when=FIRST_COMPLETED)
        if not answer.done():
            lost()
        return answer.result()

    def _loop(self, asked: str) -> object:
        if not self._begun.done():
            raise RunnerClosed(asked, self._runner._state)
        return self._begun.result()
