"""Plain functions, in worker processes.

A worker is a process and a thread of ours that talks with it: it starts the process, sends it work,
blocks until there is something to read, and reaps it. So nothing polls, and whatever happens to the
process, its thread finds out. A worker that was asked to stop is not used again: what the request
did to it, nobody knows.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import anyio

from .._attempt import Attempt
from .._errors import ReportRefused
from .._loop import call_soon, home
from .._portable import portable
from .._run_errors import StopRequested, UnsuitableResult, UnsuitableWork, WorkerDied
from ._ends import lifeline, send_to_group, signal_name
from ._plain import check_plain, checked_limit, work_name
from ._process import NO_MORE, Say, serve

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_LONGEST_REASON = 1000
"""Characters of a reason that are told to the process: the pipe must take them at once."""


class Processes:
    """Runs plain functions in worker processes, of which ``limit`` may be busy at once.

    It is for work that computes. Functions, arguments and results are pickled. Processes are
    started when they are needed, as ``multiprocessing`` spawns them, and kept.
    A stop raises `StopRequested` in the main thread of the process, so that ``finally`` blocks
    run; force is SIGKILL. Each leads a process group, and what the work has started there is killed
    when its process ends. No process outlives this one.
    """

    limit: int | None

    def __init__(self, limit: int | None = None) -> None:
        """Take how many processes may be busy at once: as many as there are CPUs, by default."""
        self.limit = checked_limit((os.cpu_count() or 1) if limit is None else limit)
        self._idle: list[_Worker] = []

    def check(self, function: Any, args: tuple[Any, ...]) -> None:
        """Return if this is a plain function that can be sent to another process.

        Raises:
            UnsuitableWork: it cannot be called, is an async function, or cannot be pickled.
        """
        check_plain(function)
        _packed(function, args)

    async def run(self, function: Any, args: tuple[Any, ...], attempt: Attempt) -> Any:
        """Wait for the function's end in a worker process: return or raise what it does.

        Cancelled, it kills the process.

        Raises:
            StopRequested: the function was asked to stop, and did, or its process was ended.
            WorkerDied: the process ended before the function did.
            UnsuitableWork: the function cannot be loaded in another process.
            UnsuitableResult: what it gave cannot be brought here.
        """
        facts = (attempt.id, attempt.name, attempt.attempt, attempt.max_attempts)
        info = {portable(key): portable(value) for key, value in attempt.info.items()}
        request = _packed(function, args, (*facts, info))
        while True:
            attempt.check()
            known = bool(self._idle)
            worker = self._idle.pop() if known else _Worker()
            order = _Order(request, attempt.report)
            await self._carry_out(order, worker, attempt)
            if order.begun or not known:
                return order.answered(function, attempt)
            # It has died while it was idle, and nothing of the work was done.

    async def _carry_out(self, order: _Order, worker: _Worker, attempt: Attempt) -> None:
        worker.attempt = attempt
        attempt.when_stopped(partial(worker.ask, attempt), partial(worker.force, attempt))
        await worker.carry_out(order)
        if worker.spent:
            await worker.carry_out(_Order())
        elif order.said is not None:
            worker.attempt = None
            self._idle.append(worker)

    async def aclose(self) -> None:
        """Return once all idle processes have ended. Cancelled, it kills them."""
        async with anyio.create_task_group() as tasks:
            while self._idle:
                tasks.start_soon(self._idle.pop().carry_out, _Order())


def _packed(function: Any, args: tuple[Any, ...], facts: tuple[Any, ...] = ()) -> bytes:
    try:
        return pickle.dumps((function, args, facts), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        problem = f"it cannot be sent to another process: {error}"
        raise UnsuitableWork(work_name(function), problem) from error


@dataclass(eq=False, slots=True)
class _Order:
    """What a worker is to carry out, and what came of it."""

    request: bytes = NO_MORE
    report: Callable[..., None] | None = None
    begun: bool = False
    """The process has begun with it."""

    said: Say | None = None
    """How the process has answered; ``None`` where it died instead."""

    content: Any = None
    """What it has answered; or else what it died of."""

    home: object = field(default_factory=home)
    over: anyio.Event = field(default_factory=anyio.Event)

    def end(self, said: Say | None, content: Any) -> None:
        """Hear, in the worker's thread, what came of it."""
        self.said, self.content = said, content
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            call_soon(self.home, self.over.set)

    def answered(self, function: Any, attempt: Attempt) -> Any:
        """Return or raise what came of it."""
        said, content = self.said, self.content
        self.content = None
        try:
            if said is Say.RESULT:
                return content
            if said is Say.ERROR:
                error, text = content
                raise error from (_InWorker(text) if text else None)
            if said is Say.UNSUITABLE:
                problem = f"a worker process cannot load it: {content}"
                raise UnsuitableWork(work_name(function), problem)
            if isinstance(content, BaseException):
                raise content
            if attempt.stop_requested:
                raise StopRequested(attempt.id, attempt.stop_reason)
            if said is Say.STOPPED:
                raise StopRequested(attempt.id, content)
            raise WorkerDied(attempt.id, content)
        finally:
            content = error = None  # or an error would hold itself


class _InWorker(Exception):
    """The cause of an exception from a worker process: its traceback there, as text."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


class _Worker:
    """A process, and the thread of ours that starts it, talks with it and reaps it."""

    def __init__(self) -> None:
        self.attempt: Attempt | None = None
        """Whose work it does."""

        self.spent = False
        """It was asked to stop, or ended by force."""

        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._order: _Order | None = None
        """What it carries out."""

        self._lock = threading.Lock()
        """Holds what follows together: no signal is sent once the process may have been reaped."""

        self._process: BaseProcess | None = None
        self._ready = False
        self._end: Any = None
        """How the process ended."""

        self._ours = ExitStack()
        threading.Thread(target=self._live, name="jobstate worker", daemon=True).start()

    # --- in the event loop ---

    async def carry_out(self, order: _Order) -> None:
        """Return once the order is carried out, or the process has ended. Cancelled, it has."""
        try:
            self._put(order)
            await order.over.wait()
        except BaseException:
            self._kill()
            last = _Order()
            self._put(last)
            with anyio.CancelScope(shield=True):
                await last.over.wait()
            raise

    def _put(self, order: _Order) -> None:
        with self._lock:
            if self._end is None:
                self._orders.put(order)
                return
        order.end(None, self._end)

    def ask(self, attempt: Attempt) -> None:
        """Ask the work of an attempt to stop; what has not begun is ended at once."""
        if self.attempt is not attempt:
            return
        self.spent = True
        reason = attempt.stop_reason[:_LONGEST_REASON].encode(errors="replace")
        with self._lock:
            if self._ready:
                with suppress(OSError):  # it has just died
                    self._lifeline.send_bytes(reason)
            elif self._process is not None:
                self._process.kill()

    def force(self, attempt: Attempt) -> None:
        """End the work of an attempt by force."""
        if self.attempt is attempt:
            self._kill()

    def _kill(self) -> None:
        self.spent = True
        with self._lock:
            if self._process is not None:
                _end(self._process)

    # --- in its thread ---

    def _live(self) -> None:
        end: Any = None
        try:
            self._start()
            with suppress(EOFError, OSError):  # it has died
                self._serve()
        except BaseException as error:
            end = error
        died = self._reap()
        with self._lock:
            self._end = end or died
        orders = [self._order] if self._order else []
        with suppress(Empty):
            while True:
                orders.append(self._orders.get_nowait())
        for order in orders:
            order.end(None, self._end)

    def _start(self) -> None:
        # To import this takes as long as to import all of jobstate.
        from multiprocessing import get_context, resource_tracker

        context = get_context("spawn")
        channel, theirs = context.Pipe()
        their_lifeline, ours = context.Pipe(duplex=False)
        self._channel = self._ours.enter_context(channel)
        self._lifeline = self._ours.enter_context(ours)
        if sys.platform != "win32":
            # Ctrl-C in a terminal reaches the process too, before it can ignore that: it inherits
            # what is blocked in this thread, and what begins with the first one would unblock it.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with theirs, their_lifeline:
            process = context.Process(target=serve, args=(theirs, their_lifeline))
            process.start()
        lifeline(self)
        atexit.register(self._kill)  # or multiprocessing would wait for it there
        with self._lock:
            self._process = process
            if self.spent:
                process.kill()

    def _serve(self) -> None:
        self._channel.recv_bytes()
        with self._lock:
            self._ready = True
        while True:
            self._order = self._orders.get()
            self._talk(self._order)

    def _talk(self, order: _Order) -> None:
        """Carry out one order, unless the process dies of it."""
        self._channel.send_bytes(order.request)
        while True:
            message = memoryview(self._channel.recv_bytes())
            said = Say(message[0])
            if said is Say.BEGUN:
                order.begun = True
                continue
            try:
                content = pickle.loads(message[1:])
            except Exception as error:
                problem = f"it cannot be loaded outside of its process: {error}"
                said, content = Say.ERROR, (UnsuitableResult("something", problem), "")
            if said is not Say.REPORT:
                break
            with suppress(ReportRefused):  # nobody listens any more
                cast(Any, order.report)(content[0], info=content[1])
        self._order = None
        order.end(said, content)

    def _reap(self) -> str:
        """Wait for the process's end, and return how it ended."""
        with self._lock:
            process, self._process, self._ready = self._process, None, False
        if process is None:
            self._ours.close()
            return "was never started"
        _end(process)  # it has closed the channel, so there is nothing more to come of it
        process.join()
        code = process.exitcode
        with suppress(ValueError):  # nobody has been told yet that it has ended
            process.close()
        atexit.unregister(self._kill)
        self._ours.close()
        if code is None:  # another thread of the program has reaped it, as multiprocessing does
            return "has ended"
        return f"was ended by {signal_name(-code)}" if code < 0 else f"exited with {code}"

    def close(self) -> None:
        """Have nothing to do with the process any more, in a fork of this one."""
        atexit.unregister(self._kill)
        self._lifeline.close()


def _end(process: BaseProcess) -> None:
    """End a process by force, and whatever is left of its group, if it leads one already."""
    process.kill()
    if sys.platform != "win32":
        send_to_group(cast(int, process.pid), signal.SIGKILL)
