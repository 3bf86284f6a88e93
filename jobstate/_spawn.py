"""Tasks that nobody waits for: each belongs to an event loop, and ends with it.

What comes from another thread finds no task group to join. Trio has its system tasks for that:
kept by the run, and cancelled at its end. asyncio keeps no task, and forgets those that begin
while it ends. So each of its loops is given a `_Keeper` here, whose own end is that of the loop's
asynchronous generators.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any
from weakref import WeakKeyDictionary

from ._loop import running_loop

Work = Callable[[], Coroutine[Any, Any, None]]


def spawn(work: Work, lost: Callable[[], None], context: Context) -> None:
    """Run *work* in a task of the running event loop, in a context of its own.

    It is cancelled when the loop ends, unless that is closed over running tasks, which
    ``asyncio.run`` never does. What it raises is logged, and ends nothing else. *lost* is called
    instead where the loop is ending, so that the work cannot begin.
    """
    loop = running_loop()
    if loop is not None:
        _keeper(loop).start(work, lost, context)
        return
    try:
        sys.modules["trio"].lowlevel.spawn_system_task(_alone, work, context=context)
    except RuntimeError:
        lost()


def carried_context() -> Context:
    """Return a copy of the context variables here, for a task of another event loop."""
    context = copy_context()
    sniffio = sys.modules.get("sniffio")
    if sniffio is not None:  # what it says of this thread's loop would be wrong in the other
        context.run(sniffio.current_async_library_cvar.set, None)
    return context


async def _alone(work: Work) -> None:
    try:
        await work()
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if not isinstance(error, Exception) and running_loop() is not None:
            raise  # an interrupt ends asyncio's loop; Trio would take it for a failure of its own
        logging.getLogger("jobstate").exception("a task that nobody waits for failed")


class _Keeper:
    """Keeps the spawned tasks of one asyncio loop, and cancels them when it ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = getattr(loop, "_asyncgens_shutdown_called", False)  # uvloop does not say
        self._end = self._at_the_end()
        if not self._closed:
            with suppress(StopIteration):
                self._end.asend(None).send(None)  # to the yield: from here on the loop closes it

    async def _at_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._closed = True
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def start(self, work: Work, lost: Callable[[], None], context: Context) -> None:
        if self._closed:
            lost()
            return
        begun = False

        def begin() -> Coroutine[Any, Any, None]:
            nonlocal begun
            begun = True
            return work()

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not begun:  # asyncio does not run what is cancelled before
                lost()
            elif not task.cancelled():
                task.exception()  # it has ended the loop, and need not be told of again

        task = asyncio.Task(_alone(begin), context=context)  # never eager
        self._tasks.add(task)
        task.add_done_callback(done)


_keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Keeper] = WeakKeyDictionary()


def _keeper(loop: asyncio.AbstractEventLoop) -> _Keeper:
    keeper = _keepers.get(loop)
    if keeper is None:
        keeper = _keepers[loop] = _Keeper(loop)
    return keeper
