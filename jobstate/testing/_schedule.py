"""Event loops whose every choice is drawn from a seed, so that an order of events can be replayed.

Whenever several tasks could run, the seed decides which one does; time is virtual and moves on
only when nothing can run. A program that can never go on is told so instead of hanging.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable
from contextvars import Context
from importlib import import_module
from itertools import count
from math import inf
from typing import Any, Literal, TypeVar

import anyio

from .._errors import JobStateError

R = TypeVar("R")
Backend = Literal["asyncio", "trio"]


_FOREVER = 1e9
"""Virtual seconds after which a program on Trio is held to be stuck."""


class Deadlock(JobStateError):
    """Every task waits for something that can never happen."""

    def __str__(self) -> str:
        return "every task waits for something that can never happen"


def run_seeded(main: Callable[[], Awaitable[R]], *, seed: int, backend: Backend = "asyncio") -> R:
    """Return what *main* returns, run in the order of events that *seed* stands for.

    Raises:
        Deadlock: tasks were left that nothing could ever wake.
    """
    return run_until_stuck(main, seed, backend, lambda: None)


def run_until_stuck(
    main: Callable[[], Awaitable[R]], seed: int, backend: Backend, stuck: Callable[[], object]
) -> R:
    """Do as `run_seeded`; call *stuck* at a deadlock, before its tasks are cancelled."""
    if backend == "asyncio":
        options = {"loop_factory": lambda: SeededLoop(seed, stuck)}
        return anyio.run(main, backend_options=options)
    return _run_on_trio(main, seed, stuck)


_Loop: Any = asyncio.AbstractEventLoop


class SeededLoop(_Loop):  # type: ignore[misc]  # typed, it would have to say no to 27 methods
    """As much of an asyncio loop as programs without input and output need."""

    def __init__(self, seed: int, stuck: Callable[[], object]) -> None:
        self._random, self._stuck = random.Random(seed), stuck
        self._now = 0.0
        self._count = count()
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._running = self._stopping = self._closed = False
        self.unheard: list[dict[str, Any]] = []
        """What happened in callbacks that nobody awaits, as asyncio tells it."""

    # --- running ---

    def run_forever(self) -> None:
        """Run until `stop` is called."""
        self._stopping = False
        self._run_until(lambda: self._stopping)

    def run_until_complete(self, future: Any) -> Any:
        """Return the result of *future* once it has one."""
        future = asyncio.ensure_future(future, loop=self)
        self._run_until(future.done)
        return future.result()

    def _run_until(self, done: Callable[[], bool]) -> None:
        asyncio._set_running_loop(self)
        self._running = True
        try:
            while not done():
                self._run_one()
        finally:
            self._running = False
            asyncio._set_running_loop(None)

    def _run_one(self) -> None:
        while self._timers and (self._timers[0][0] <= self._now or not self._ready):
            when, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled() and when < inf:
                self._now = max(self._now, when)
                self._ready.append(timer)
        if not self._ready:
            self._stuck()
            raise Deadlock
        handle = self._ready.pop(self._random.randrange(len(self._ready)))
        if not handle.cancelled():
            handle._run()

    def stop(self) -> None:
        """Stop once the present callback is done."""
        self._stopping = True

    def is_running(self) -> bool:
        """Whether the loop runs now."""
        return self._running

    def is_closed(self) -> bool:
        """Whether the loop was closed."""
        return self._closed

    def close(self) -> None:
        """Run nothing more."""
        self._closed = True

    async def shutdown_asyncgens(self) -> None:
        """Asynchronous generators are not followed."""

    async def shutdown_default_executor(self, *_: object) -> None:
        """There is no executor."""

    # --- callbacks ---

    def time(self) -> float:
        """Return virtual seconds."""
        return self._now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Have *callback* run when its turn is drawn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have *callback* run after *delay* virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have *callback* run at the virtual time *when*."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._count), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        """Return a task of this loop."""
        return asyncio.Task(coro, loop=self, **kwargs)

    # --- what asyncio asks of any loop ---

    def get_task_factory(self) -> None:
        """There is none."""

    def set_task_factory(self, factory: Any) -> None:
        """Tasks are always asyncio's own."""

    def get_debug(self) -> bool:
        """Debugging is off."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """Debugging stays off."""

    def get_exception_handler(self) -> None:
        """There is none."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Raise what nobody else would hear of, where that is possible."""
        self.unheard.append(context)


def _run_on_trio(main: Callable[[], Awaitable[R]], seed: int, stuck: Callable[[], object]) -> R:
    """Run on Trio, whose scheduler draws from one generator and can be told to keep to it."""
    scheduler: Any = import_module("trio._core._run")
    clock = import_module("trio.testing").MockClock(autojump_threshold=0)
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r = True, random.Random(seed)
    answers: list[R] = []

    async def limited() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_all_after_forever, tasks.cancel_scope, stuck)
            answers.append(await main())
            tasks.cancel_scope.cancel()

    try:
        anyio.run(limited, backend="trio", backend_options={"clock": clock})
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r = before
    if not answers:
        raise Deadlock
    return answers[0]


async def _end_all_after_forever(scope: anyio.CancelScope, stuck: Callable[[], object]) -> None:
    """Cancel everything once virtual time has run out, also what is shielded."""
    await anyio.sleep(_FOREVER)
    stuck()
    trio = import_module("trio")
    tasks = [trio.lowlevel.current_root_task()]
    while tasks:
        task = tasks.pop()
        tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        status = task._cancel_status
        while status is not None:
            status._scope.shield = False
            status = status._parent
    scope.cancel()
