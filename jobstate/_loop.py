"""Which event loop and task are running, how a task sleeps until woken, and shielding.

This is the one page that tells asyncio from Trio. Everything above it sees three things: a
*home* (what a job belongs to), a *waiter* (a task asleep until somebody wakes it) and
`finish` (work that runs to its end, whatever is cancelled around it).
"""

from __future__ import annotations

import os
import sys
import threading
from asyncio import (
    AbstractEventLoop,
    CancelledError,
    Future,
    Task,
    _register_task,
    _unregister_task,
    current_task,
)
from asyncio.events import _get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from typing import Any, Protocol, TypeVar, cast

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
        self.forking: AbstractEventLoop | None = None


_this_thread = _ThisThread()
_left_behind: tuple[object, ...] = ()
"""In a forked child, the loops that go on in the parent only."""


def _trio_token() -> object:
    """Return the token of the Trio run that this code is in, or ``None``."""
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    if lowlevel is None:  # or another thread has yet to import it all
        return None
    try:
        return lowlevel.current_trio_token()
    except RuntimeError:
        return None


def home() -> object:
    """Return what a job made here belongs to: the running loop, or else the thread."""
    loop = running_loop()
    if loop is not None:
        return loop
    token = _trio_token()
    return _this_thread.home if token is None or token in _left_behind else token


def describe(place: object) -> str:
    """Return a home in words, for an error."""
    if isinstance(place, Thread):
        return f"thread {place.name} of process {place.pid}, where no event loop runs"
    kind = "asyncio" if isinstance(place, AbstractEventLoop) else "Trio"
    return f"{kind} event loop {id(place):#x}"


def call_soon(place: object, callback: Callable[[], object]) -> None:
    """Have *callback* called in the event loop that is a home, from any thread, and soon.

    Callbacks of one thread are called in their order.

    Raises:
        RuntimeError: the loop has ended, or goes on in the parent of this process only, or the
            home is no loop.
    """
    if place in _left_behind:
        raise RuntimeError(f"in {describe(place)}, of the parent process, nothing can be called")
    if isinstance(place, AbstractEventLoop):
        place.call_soon_threadsafe(callback)
    elif isinstance(place, Thread):
        raise RuntimeError(f"in {describe(place)}, nothing can be called")
    else:
        cast(Any, place).run_sync_soon(callback)


def loop_time() -> float:
    """Return the time on the event loop's own clock, in a callback of the loop as well.

    There is no task in a callback of asyncio, nor in one of the host of a guest run of Trio, and
    anyio knows of no loop where there is none.
    """
    loop = running_loop()
    now: float = sys.modules["trio"].current_time() if loop is None else loop.time()
    return now


def task() -> object:
    """Return the task that runs this code, or ``None`` outside of any.

    Code that `finish` runs beside its caller counts as the caller.
    """
    loop = running_loop()
    if loop is not None:
        running = current_task(loop)
        return running.caller if isinstance(running, _Beside) else running
    if _trio_token() is None:
        return None
    try:
        return sys.modules["trio"].lowlevel.current_task()
    except RuntimeError:  # in a callback of the loop
        return None


def was_cancelled() -> bool:
    """Whether the running task is being cancelled, given that a cancellation was raised in it.

    In asyncio the same exception comes out of awaiting another task that was cancelled.
    """
    running = None if running_loop() is None else current_task()
    return running is None or running.cancelling() > 0


def _note_loop() -> None:
    _this_thread.forking = running_loop()  # the child is told of none


def is_by_scope(error: BaseException) -> bool:
    """Whether this is the cancellation of a scope, for certain: it then comes again and again.

    In asyncio it may be a task's own ``cancel()``, which passes through any shield, and once.
    """
    return running_loop() is None and isinstance(error, anyio.get_cancelled_exc_class())


def _forget_parent() -> None:
    """Give a forked child homes of its own, so that its parent's jobs are foreign to it."""
    global _left_behind, _this_thread
    _left_behind = (*_left_behind, _this_thread.forking, _trio_token())
    _this_thread = _ThisThread()


if sys.platform != "win32":
    os.register_at_fork(before=_note_loop, after_in_child=_forget_parent)


class Waiter(Protocol):
    """One task, asleep until woken; awaiting it again after that returns at once."""

    def wake(self) -> None:
        """Wake the task, now or as soon as it awaits. Waking twice is waking once."""

    def ended(self, job: object, /) -> None:
        """Do the same: a waiter can itself listen to the end of jobs."""

    def __await__(self) -> Generator[Any, Any, None]: ...


class _FutureWaiter:
    """asyncio: a bare future, at a third of the cost of an ``anyio.Event``."""

    __slots__ = ("_future",)

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._future: Future[None] = loop.create_future()

    def wake(self, job: object = None, /) -> None:
        if not self._future.done():
            self._future.set_result(None)

    ended = wake

    def __await__(self) -> Generator[Any, Any, None]:
        return self._future.__await__()


class _EventWaiter:
    """Any other loop."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def wake(self, job: object = None, /) -> None:
        self._event.set()

    ended = wake

    def __await__(self) -> Generator[Any, Any, None]:
        return self._event.wait().__await__()


def waiter(loop: AbstractEventLoop | None) -> Waiter:
    """Return a new waiter for the running task, given what `running_loop` returns."""
    return _EventWaiter() if loop is None else _FutureWaiter(loop)


HoldBack = Callable[[BaseException], None]
"""Is given what reached a caller who could not be disturbed, and has to raise it later."""


def finish(work: Awaitable[_R], caller: object, hold_back: HoldBack) -> Coroutine[Any, Any, _R]:
    """Run *work* to its end, however *caller* is cancelled; return or raise what it does.

    On Trio the work runs in the caller's task, in a shielded scope, and a cancellation is
    delivered at the caller's next checkpoint. In asyncio nothing shields a task from its own
    ``cancel()``, so there the work runs in a task beside it; the caller's context variables are
    visible in it, what it sets is visible to the caller afterwards, and a cancellation is given
    to *hold_back*.
    """
    loop = running_loop()
    if loop is None:
        return _finish_shielded(work)
    return _finish_beside(loop, work, caller, hold_back)


async def _finish_shielded(work: Awaitable[_R]) -> _R:
    value: Any = None
    with anyio.CancelScope(shield=True):
        value = await work
    return value  # type: ignore[no-any-return]


class _Beside(Task[None]):
    """A task that does some work on behalf of another, its caller."""

    caller: object = None
    value: Any = None
    error: BaseException | None = None

    @staticmethod
    async def doing(work: Awaitable[Any], caller: object) -> None:
        """Be the coroutine of such a task."""
        beside = cast(_Beside, current_task())
        beside.caller = caller
        try:
            beside.value = await work
        except BaseException as error:  # an interrupt would end the loop from in here
            beside.error = error

    def answer(self) -> Any:
        """Return or raise what the work did."""
        self.result()  # raises where it was cancelled before it could begin
        error, self.error = self.error, None
        if error is None:
            return self.value
        try:
            raise error
        finally:
            del self, error  # or the error would hold itself


_EAGERLY: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
"""A hook that need not wait is done in 2 µs so; without it, a turn of the loop takes 8 more."""


async def _finish_beside(
    loop: AbstractEventLoop, work: Awaitable[_R], caller: object, hold_back: HoldBack
) -> _R:
    context = copy_context()
    beside = _Beside(_Beside.doing(work, caller), loop=loop, context=context, **_EAGERLY)
    try:
        if not beside.done():
            _unregister_task(beside)  # whoever cancels all tasks cancels the caller alone
            try:
                await _end_of(beside, loop)
            except GeneratorExit:
                raise
            except BaseException as error:
                hold_back(error)
                await _outlast(beside, loop)
        _adopt(context)
        return beside.answer()  # type: ignore[no-any-return]
    except GeneratorExit:
        if not beside.done():
            _register_task(beside)  # nobody else will wait for it
            beside.cancel()
        if sys.version_info < (3, 12) and iscoroutine(work):
            if getcoroutinestate(work) == CORO_CREATED:
                work.close()  # it has not even begun
        raise
    finally:
        del beside  # or what it raises would hold itself


def _end_of(beside: Task[Any], loop: AbstractEventLoop) -> Waiter:
    """Return what waits for the task, and is not the task: cancelling the one spares the other."""
    end = waiter(loop)
    beside.add_done_callback(end.ended)
    return end


async def _outlast(beside: Task[Any], loop: AbstractEventLoop) -> None:
    """Return once the task is done, however often the caller is cancelled."""
    closing: GeneratorExit | None = None
    try:
        with anyio.CancelScope(shield=True):  # or a cancelled scope would cancel on and on
            while not beside.done():
                try:
                    await _end_of(beside, loop)
                except CancelledError:
                    pass
                except GeneratorExit as error:
                    closing = error
                    raise
    except RuntimeError:  # closed by another than its task, where a scope cannot be left
        if closing is None:
            raise
        raise closing from None


def _adopt(context: Context) -> None:
    """Set here the context variables that were set there."""
    for variable in context:
        value = context[variable]
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
