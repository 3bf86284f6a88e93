"""A thread that owns something which must not be shared, and does what tasks ask of it, in order.

SQLite's connections are such things: one thread writes, and another reads. Tasks of any event loop
ask; the thread takes all that has piled up while it was busy at once, which is what makes group
commit. The thread begins with the first call, and ends when the desk is closed.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from .._errors import JobStateError
from .._loop import Waiter, call_soon, home, running_loop, waiter
from .._store_errors import StoreBroken, StoreClosed

_C = TypeVar("_C")
_V = TypeVar("_V")
_MOST = 512
"""How many calls are taken at once."""


class Call:
    """Something that a desk is asked to do, and what has come of it.

    Args:
        work: what it is.
        waiter: who waits for it, in the event loop that runs here; or nobody does.
        failed: called in some thread where nobody waits for it, and it was not done.
    """

    __slots__ = ("error", "failed", "home", "value", "waiter", "work")

    def __init__(
        self,
        work: Callable[[Any], Any],
        waiter: Waiter | None,
        failed: Callable[[], object] = bool,
    ) -> None:
        self.work = work
        self.home = home() if waiter is not None else None
        self.waiter, self.failed = waiter, failed
        self.value: Any = None
        self.error: Exception | None = None


class Process:
    """The process in which some desks have their threads, which no child of it has."""

    def __init__(self) -> None:
        self._pid: int | None = None

    @property
    def is_another(self) -> bool:
        """Whether they are in the process that this one was forked from."""
        return self._pid is not None and self._pid != os.getpid()

    def enter(self, name: str) -> None:
        """Have them in this process, from the first one on; *name* is what errors call the store.

        Raises:
            StoreBroken: they are in another.
        """
        pid = os.getpid()
        if self._pid is None:
            self._pid = pid
        elif self._pid != pid:
            problem = f"it belongs to process {self._pid}, which this one was forked from"
            raise StoreBroken(name, problem)


class Desk(Generic[_C]):
    """A thread, and the calls that wait for it.

    Args:
        name: what errors call the store.
        process: where it is, with other desks of the store.
        connect: returns what the thread owns; called in the thread, as is all that follows. What it
            raises is raised by the calls that wait, and the next call tries again.
        serve: does what some calls ask for, and leaves in each what came of it.
        disconnect: gives up what the thread owns.
        ended: called once it has, or could not connect.
        rest: called after each round, when all who waited for it have been answered.
    """

    def __init__(
        self,
        name: str,
        process: Process,
        connect: Callable[[], _C],
        serve: Callable[[_C, list[Call]], None],
        disconnect: Callable[[_C], None],
        ended: Callable[[], None],
        rest: Callable[[_C], None] | None = None,
    ) -> None:
        self._name, self._process = name, process
        self._connect, self._serve = connect, serve
        self._disconnect, self._ended, self._rest = disconnect, ended, rest
        self._lock = threading.Lock()
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last: threading.Thread | None = None
        self._closed = False
        self._at_end: list[Call] = []
        """Who waits for the thread to end."""

    async def ask(self, work: Callable[[Any], _V]) -> _V:
        """Have the thread do some work, and return or raise what it does.

        Cancelled, the work is done all the same.

        Raises:
            StoreClosed: the desk was closed before.
            StoreBroken: there can be no thread, or it is in another process.
        """
        done = waiter(running_loop())
        call = Call(work, done)
        self._put(call)
        await done
        if call.error is not None:
            raise call.error
        value: _V = call.value
        return value

    def tell(self, work: Callable[[Any], object], failed: Callable[[], object]) -> None:
        """Have the thread do some work, or *failed* called where it cannot; from any thread."""
        try:
            self._put(Call(work, None, failed))
        except (StoreClosed, StoreBroken):
            failed()

    def close(self) -> None:
        """Take no more calls, and end the thread once all before are done; from any thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                if self._thread is not None:
                    self._calls.put(None)

    async def closed(self) -> None:
        """Return once the thread has ended, after `close`; at once if it has."""
        if self._process.is_another:
            return
        end = waiter(running_loop())
        with self._lock:
            running = self._thread is not None
            if running:
                self._at_end.append(Call(bool, end))
        if running:
            await end
        if self._last is not None:
            self._last.join()  # to say so was all but its last act

    def _put(self, call: Call) -> None:
        with self._lock:
            if self._closed:
                raise StoreClosed(self._name)
            self._process.enter(self._name)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    self._thread.start()
                except RuntimeError as error:  # the system has no more
                    self._thread = None
                    raise StoreBroken(self._name, str(error)) from error
            self._calls.put(call)

    # --- in the thread ---

    def _run(self) -> None:
        try:
            owned = self._connect()
        except Exception as error:
            self._end(error)
            return
        try:
            while self._round(owned):
                pass
        finally:
            self._disconnect(owned)
            self._end(None)

    def _round(self, owned: _C) -> bool:
        """Serve all calls that have come; return whether any more will."""
        calls: list[Call] = []
        call = self._calls.get()
        with suppress(Empty):
            while call is not None:
                calls.append(call)
                if len(calls) == _MOST:
                    break
                call = self._calls.get_nowait()
        if calls:
            try:
                self._serve(owned, calls)
            except Exception as error:
                for each in calls:
                    each.error = each.error or _again(error, self._name)
            answer(calls)
            if self._rest is not None:
                self._rest(owned)
        return call is not None

    def _end(self, error: Exception | None) -> None:
        """Tell those who wait that the thread ends: by an error, or because it was closed."""
        self._ended()
        with self._lock:
            left: list[Call] = []
            with suppress(Empty):
                while True:
                    call = self._calls.get_nowait()
                    if call is not None:
                        left.append(call)
            for call in left:
                call.error = _again(error, self._name) if error else StoreClosed(self._name)
            self._last, self._thread = self._thread, None
            waiting, self._at_end = self._at_end, []
        answer([*left, *waiting])


def _again(error: Exception, name: str) -> Exception:
    """Return an error for each of several who are told of it: each raises its own."""
    if isinstance(error, JobStateError):
        told: Exception = type(error)(*error.args)
        told.__cause__ = error.__cause__
        return told
    broken = StoreBroken(name, f"{type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken


def answer(calls: Iterable[Call]) -> None:
    """Tell those who wait for calls, by one message for each event loop, and those who do not."""
    waiting: dict[object, list[Waiter]] = defaultdict(list)
    for call in calls:
        if call.waiter is not None:
            waiting[call.home].append(call.waiter)
        elif call.error is not None:
            call.failed()
    for place, waiters in waiting.items():
        with suppress(RuntimeError):  # the event loop has ended
            call_soon(place, partial(_wake, waiters))


def _wake(waiters: list[Waiter]) -> None:
    for each in waiters:
        each.wake()
