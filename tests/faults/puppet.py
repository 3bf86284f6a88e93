"""A coroutine driven by hand, so that something can befall it wherever it is suspended.

Every time that the coroutine is suspended is a *point*; points are numbered from 1, and the same
play has the same points. Where a hook runs in a task of its own, the points of that task count as
well. A plan says which `Fault` to make at which point.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from importlib import import_module
from types import CoroutineType, coroutine
from typing import Any, NamedTuple

import anyio

Step = Callable[[], Any]
Plan = dict[int, "Fault"]


class Injected(Exception):
    """An ordinary error."""


class Stop(BaseException):
    """No Exception, as an exit or a cancellation is none."""


class Closed(BaseException):
    """Raised by the puppet when its coroutine has been closed."""


class Fault(NamedTuple):
    """What happens at a point."""

    what: str
    """scope, task (cancelled so), error, stop, interrupt (raised), or close."""

    woken: bool = False
    """Whether it happens when what the coroutine waits for has come, before it goes on."""

    @property
    def cancels(self) -> bool:
        """Whether it is a cancellation from outside."""
        return self.what in ("scope", "task")

    @property
    def error(self) -> type[BaseException] | None:
        """What is raised."""
        return {"error": Injected, "stop": Stop, "interrupt": KeyboardInterrupt}.get(self.what)

    def __str__(self) -> str:
        return self.what + "-woken" * self.woken


class Point(NamedTuple):
    """Where a coroutine was suspended."""

    place: str
    """The hook that was running, or else ``call``."""

    task: str
    """own: the call's task; hook: a task that runs a hook; asleep: the call's, until that ends."""

    commits: int
    """How many transitions of the call were committed by then."""


class Puppet:
    """One call with all that runs on its behalf."""

    def __init__(self, plan: Plan, look: Callable[[str], Point]) -> None:
        self.plan, self._look = plan, look
        self.points: list[Point] = []
        self.made: list[tuple[Fault, Point]] = []
        """The faults that really happened."""

        self.raised: list[BaseException] = []
        self.scope = anyio.CancelScope()
        self.closed = False
        self.task: Any = None
        self._call: Coroutine[Any, Any, Any] | None = None
        self._hooks_beside = 0

    @coroutine
    def call(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Await the call itself."""
        self.task, self._call = current_task(), work
        return (yield from self._driven(work, inner=False))

    @coroutine
    def hook(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Await the work of a hook; in the call's own task its points are counted already."""
        if current_task() is self.task:
            return (yield from work.__await__())
        self._hooks_beside += 1
        try:
            return (yield from self._driven(work, inner=True))
        finally:
            self._hooks_beside -= 1

    def _driven(self, work: Coroutine[Any, Any, Any], inner: bool) -> Generator[Any, Any, Any]:
        steps: list[Step] = [partial(work.send, None)]
        while True:
            try:
                waits_for = steps.pop()()  # no frame keeps what is thrown, which keeps all frames
            except StopIteration as done:
                return done.value
            asleep = self._hooks_beside or waits_beside(work)
            point = self._look("hook" if inner else "asleep" if asleep else "own")
            self.points.append(point)
            fault = self.plan.get(len(self.points))
            if fault is not None and fault.error is not None and point.task == "asleep":
                fault = None  # what the hook's task raises is all that asyncio could raise here
            steps.append((yield from self._suspended(work, waits_for, fault, point)))
            if self.closed and not inner:
                raise Closed

    def _suspended(
        self, work: Coroutine[Any, Any, Any], waits_for: Any, fault: Fault | None, point: Point
    ) -> Generator[Any, Any, Step]:
        """Wait as the coroutine would, make the fault, and return how to go on."""
        made = False

        def befall(*args: Any) -> Step | None:
            nonlocal made
            if fault is None or made:
                return None
            made = True
            return self._befall(work, fault, point)

        if fault is not None:
            step = None
            if fault.cancels and fault.woken and isinstance(waits_for, asyncio.Future):
                waits_for.add_done_callback(befall)
            elif not fault.woken and (fault.cancels or taken_back(waits_for)):
                step = befall()
            if step is not None:
                return step
        try:
            value = yield waits_for
        except BaseException as error:
            return partial(work.throw, error)
        return befall() or partial(work.send, value)

    def _befall(self, work: Coroutine[Any, Any, Any], fault: Fault, point: Point) -> Step | None:
        self.made.append((fault, point))
        if fault.what == "scope":
            self.scope.cancel()
        elif fault.what == "task":
            self.task.cancel()
        elif fault.error is not None:
            self.raised.append(fault.error(str(point)))
            return partial(work.throw, self.raised[-1])
        elif point.task == "hook":
            asyncio.get_running_loop().call_soon(self._close)
        else:
            self._close()
            return lambda: None
        return None

    def _close(self) -> None:
        assert self._call is not None
        self.closed = True
        self._call.close()


def waits_beside(work: Any) -> bool:
    """Whether a coroutine waits for a task that runs a hook, which may not have begun yet."""
    while isinstance(work, CoroutineType):
        if work.cr_code.co_name == "_finish_beside":
            return True
        work = work.cr_await
    return False


def current_task() -> object:
    """Return the running task."""
    if runs_on_asyncio():
        return asyncio.current_task()
    return import_module("trio").lowlevel.current_task()


def runs_on_asyncio() -> bool:
    """Whether the running loop is one of asyncio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def taken_back(waits_for: Any) -> bool:
    """Return whether nobody will wake the task any more for what it was to wait for.

    Trio keeps a record of who waits, and asks to be told of whoever does so no longer.
    """
    if runs_on_asyncio():
        return True
    abort = getattr(waits_for, "abort_func", None)
    return abort is not None and abort(Stop).name == "SUCCEEDED"


def all_tasks() -> set[object]:
    """Return every task of the running loop."""
    if runs_on_asyncio():
        return set(asyncio.all_tasks())
    found, fresh = set(), [import_module("trio").lowlevel.current_root_task()]
    while fresh:
        task = fresh.pop()
        found.add(task)
        fresh += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found
