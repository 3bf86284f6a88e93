"""Which event loop and task are running, how a task sleeps until woken, and shielding.

This is the one page that tells asyncio from Trio. Everything above it sees three things: a
*home* (what a job belongs to), a *waiter* (a task asleep until somebody wakes it) and
`finish` (work that runs to its end, whatever is cancelled around it).
"""

from __future__ import annotations

import os
import sys
import threading
from asyncio import AbstractEventLoop, CancelledError, Future, Task, current_task, shield
from asyncio.events import _get_running_loop
from collections.abc import Awaitable, Coroutine, Generator
from contextvars import Context, copy_context
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from typing import Any, NamedTuple, Protocol, TypeVar

import anyio

_R = TypeVar("_R")

running_loop = _get_running_loop
"""Returns the running loop of asyncio, or ``None``; ``get_running_loop`` would raise on Trio."""


class Thread:
    """The home of a job that was made where no event loop runs."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.name = threading.current_thread().name

    @property
    def is_in_this_process(self) -> bool:
        """Whether it was not left behind by a fork."""
        return self.pid == os.getpid()


class _ThisThread(threading.local):
    def __init__(self) -> None:
        self.home = Thread()


_this_thread = _ThisThread()
_left_behind: object = None
"""In a forked child, the Trio run that goes on in the parent only."""


def _trio_token() -> object:
    """Return the token of the Trio run that this code is in, or ``None``."""
    trio = sys.modules.get("trio")
    if trio is None:
        return None
    try:
        return trio.lowlevel.current_trio_token()
    except RuntimeError:
        return None


def home() -> object:
    """Return what a job made here belongs to: the running loop, or else the thread."""
    loop = running_loop()
    if loop is not None:
        return loop
    token = _trio_token()
    return _this_thread.home if token is None or token is _left_behind else token


def describe(place: object) -> str:
    """Return a home in words, for an error."""
    if isinstance(place, Thread):
        return f"thread {place.name} of process {place.pid}, where no event loop runs"
    kind = "asyncio" if isinstance(place, AbstractEventLoop) else "Trio"
    return f"{kind} event loop {id(place):#x}"


def task() -> object:
    """Return the task that runs this code, or ``None`` outside of any.

    Code that `finish` runs beside its caller counts as the caller.
    """
    if running_loop() is not None:
        running = current_task()
        return running.caller if isinstance(running, _Beside) else running
    if _trio_token() is None:
        return None
    try:
        return sys.modules["trio"].lowlevel.current_task()
    except RuntimeError:  # in a callback of the loop
        return None


class _Beside(Task[Any]):
    """A task of `finish`, and the caller that it runs for."""

    def __init__(self, work: Coroutine[Any, Any, Any], caller: object, **options: Any) -> None:
        self.caller = caller  # before the task begins, which it may do in here
        super().__init__(work, **options)


def _forget_parent() -> None:
    """Give a forked child homes of its own, so that its parent's jobs are foreign to it."""
    global _left_behind, _this_thread
    _left_behind = _trio_token()
    _this_thread = _ThisThread()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_parent)


class Waiter(Protocol):
    """One task, asleep until woken; awaiting it again after that returns at once."""

    def wake(self) -> None:
        """Wake the task, now or as soon as it awaits. Waking twice is waking once."""

    def __await__(self) -> Generator[Any, Any, None]: ...


class _FutureWaiter:
    """asyncio: a bare future, at a third of the cost of an ``anyio.Event``."""

    __slots__ = ("_future",)

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._future: Future[None] = loop.create_future()

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def __await__(self) -> Generator[Any, Any, None]:
        return self._future.__await__()


class _EventWaiter:
    """Any other loop."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def wake(self) -> None:
        self._event.set()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._event.wait().__await__()


def waiter() -> Waiter:
    """Return a new waiter for the running task."""
    loop = running_loop()
    return _EventWaiter() if loop is None else _FutureWaiter(loop)


class Finished(NamedTuple):
    """What came of work that was run to its end."""

    value: Any = None
    error: BaseException | None = None
    """What the work raised."""

    held_back: BaseException | None = None
    """What reached the caller meanwhile, a cancellation: it has to be raised."""


async def finish(work: Awaitable[Any]) -> Finished:
    """Run *work* to its end, however the caller is cancelled meanwhile.

    On Trio the work runs in the caller's task, in a shielded scope, and a cancellation is
    delivered at the caller's next checkpoint. In asyncio nothing shields a task from its own
    ``cancel()``, so there the work runs in a task beside it; the caller's context variables are
    visible in it, what it sets is visible to the caller afterwards, and a cancellation is held
    back.
    """
    loop = running_loop()
    if loop is not None:
        return await _finish_beside(loop, work)
    finished = Finished()
    with anyio.CancelScope(shield=True):
        finished = await _tried(work)
    return finished


_EAGERLY: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
"""A hook that need not wait is done in 1 µs so; without it, a turn of the loop takes 5."""


async def _finish_beside(loop: AbstractEventLoop, work: Awaitable[Any]) -> Finished:
    context = copy_context()
    beside = _Beside(_tried(work), task(), loop=loop, context=context, **_EAGERLY)
    held_back: BaseException | None = None
    try:
        try:
            if not beside.done():
                await shield(beside)
        except GeneratorExit:
            raise
        except BaseException as error:
            held_back = error
            await _outlast(beside)
    except GeneratorExit:
        beside.cancel()
        if iscoroutine(work) and getcoroutinestate(work) == CORO_CREATED:
            work.close()  # it has not even begun
        raise
    _adopt(context)
    finished: Finished = beside.result()
    return finished if held_back is None else finished._replace(held_back=held_back)


async def _outlast(beside: Task[Any]) -> None:
    """Return once the task is done, however often the caller is cancelled."""
    closing: GeneratorExit | None = None
    try:
        with anyio.CancelScope(shield=True):  # or a cancelled scope would cancel on and on
            while not beside.done():
                try:
                    await shield(beside)
                except CancelledError:
                    pass
                except GeneratorExit as error:
                    closing = error
                    raise
    except RuntimeError:  # closed by another than its task, where a scope cannot be left
        if closing is None:
            raise
        raise closing from None


async def _tried(work: Awaitable[Any]) -> Finished:
    try:
        return Finished(await work)
    except BaseException as error:
        return Finished(error=error)


def _adopt(context: Context) -> None:
    """Set here the context variables that were set there."""
    for variable, value in context.items():
        if variable.get(_UNSET) is not value:
            variable.set(value)


_UNSET: Any = object()


def at_once(work: Coroutine[Any, Any, _R]) -> _R:
    """Return the answer of *work*, which must not wait for anything."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    work.close()
    raise RuntimeError(f"{work} had to wait")
