"""Work that somebody else has begun: how each kind of it tells its end, and how it is stopped.

The end is told by a callback, or by a thread that sleeps in the operating system.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import threading
from abc import ABC, abstractmethod
from asyncio.subprocess import Process
from collections.abc import Iterable
from contextlib import suppress
from inspect import iscoroutine
from os import PathLike, fsdecode
from typing import Any, TypeAlias, TypeVar, cast

import anyio.abc

from ._loop import Thread, call_soon, describe, home, running_loop, waiter
from ._portable import shown
from ._run_errors import CommandFailed, UnsuitableWork
from ._status import Cancellation, RevokeCause
from .executors._ends import how_ended

_R = TypeVar("_R")
AnyFuture: TypeAlias = asyncio.Future[_R] | concurrent.futures.Future[_R]
AnyProcess: TypeAlias = Process | anyio.abc.Process | subprocess.Popen[Any]

End = tuple[str, dict[str, Any]]
"""The trigger that the end of work calls for, and its arguments."""


class Foreign(ABC):
    """Work that somebody else has begun."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether it has ended."""
        ...

    @abstractmethod
    async def ended(self) -> None:
        """Return when it has ended."""

    @abstractmethod
    def end(self, asked: str | None) -> End:
        """Return how it has ended; *asked* is why it was to stop."""
        ...

    @abstractmethod
    def stop(self, reason: str) -> Cancellation:
        """Have it stop; return what has come of that once the job is revoked."""
        ...


def foreign(work: Any) -> Foreign:
    """Return what is to be known of such work.

    Raises:
        UnsuitableWork: it is nothing of that, or of another event loop, or none runs here.
    """
    here = home()
    problem = "it is no future, task or process"
    if isinstance(here, Thread):
        problem = "no event loop runs here, to which its job could belong"
    elif iscoroutine(work):
        problem = (
            "it is a coroutine, and nothing runs it yet: give as_job the task that "
            "asyncio.create_task makes of it, or submit its function to a JobRunner"
        )
    elif isinstance(work, (asyncio.Future, Process)):
        place = work.get_loop() if isinstance(work, asyncio.Future) else cast(Any, work)._loop
        if place is here:
            return _Future(work) if isinstance(work, asyncio.Future) else _Process(work)
        problem = f"it belongs to {describe(place)}, and this is {describe(here)}"
    elif isinstance(work, concurrent.futures.Future):
        return _Future(work)
    elif isinstance(work, subprocess.Popen):
        return _Popen(work)
    elif isinstance(work, anyio.abc.Process):
        return _Process(work)
    text = shown(work)
    if iscoroutine(work):
        work.close()
    raise UnsuitableWork(text, problem)


class _Future(Foreign):
    """A future of asyncio, such as a task, or of a thread or process pool."""

    def __init__(self, future: AnyFuture[Any]) -> None:
        self._future = future

    @property
    def done(self) -> bool:
        return self._future.done()

    async def ended(self) -> None:
        end, here = waiter(running_loop()), home()

        def wake(future: AnyFuture[Any]) -> None:
            if not future.cancelled():
                future.exception()  # asyncio need not say that nobody has asked for it
            if home() is here:
                end.wake()
            else:
                with suppress(RuntimeError):  # the loop has ended
                    call_soon(here, end.wake)

        self._future.add_done_callback(wake)
        await end

    def end(self, asked: str | None) -> End:
        if self._future.cancelled():
            if asked is not None:
                return _revoked(asked)
            kind = "task" if isinstance(self._future, asyncio.Task) else "future"
            return _revoked(f"the {kind} was cancelled", RevokeCause.ADMIN)
        error = self._future.exception()
        if error is not None:
            return "fail", {"error": error}
        return "succeed", {"result": self._future.result()}

    def stop(self, reason: str) -> Cancellation:
        if isinstance(self._future, asyncio.Future):
            self._future.cancel(reason or None)
            return Cancellation.INTERRUPTED
        if self._future.cancel():
            return Cancellation.PREVENTED
        return Cancellation.INTERRUPTED if self.done else Cancellation.UNCONFIRMED


class _Process(Foreign):
    """A child process of the event loop."""

    def __init__(self, process: AnyProcess) -> None:
        self._process = process

    @property
    def done(self) -> bool:
        return self._process.returncode is not None

    async def ended(self) -> None:
        await cast(Any, self._process).wait()

    def end(self, asked: str | None) -> End:
        code = self._process.returncode
        if code == 0:
            return "succeed", {"result": 0}
        if asked is not None:
            return _revoked(asked)
        assert code is not None
        error = CommandFailed(self._command(), *how_ended(code), None)
        return "fail", {"error": error, "extras": error.extras}

    def stop(self, reason: str) -> Cancellation:
        with suppress(ProcessLookupError):  # it has just ended
            self._process.terminate()
        return Cancellation.INTERRUPTED

    def _command(self) -> Iterable[str]:
        return "process", str(self._process.pid)  # no more is known of it


class _Popen(_Process):
    """A child process that nobody but a thread can wait for.

    It is one of its own, which the interpreter does not wait for: a process may outlive the loop,
    and many of them would take all the worker threads that there are.
    """

    _process: subprocess.Popen[Any]

    @property
    def done(self) -> bool:
        return self._process.poll() is not None

    async def ended(self) -> None:
        end, here = waiter(running_loop()), home()

        def wait() -> None:
            self._process.wait()
            with suppress(RuntimeError):  # the loop has ended
                call_soon(here, end.wake)

        name = f"jobstate waits for process {self._process.pid}"
        threading.Thread(target=wait, name=name, daemon=True).start()
        await end

    def _command(self) -> Iterable[str]:
        given: Any = self._process.args
        parts = [given] if isinstance(given, (str, bytes, PathLike)) else given
        return map(fsdecode, parts)


def _revoked(reason: str, cause: RevokeCause = RevokeCause.USER) -> End:
    return "revoke", {"reason": reason, "cause": cause}
