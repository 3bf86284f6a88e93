"""Whose turn it is: one transition at a time per job, in the order in which they were asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ._arguments import Effects
from ._loop import Waiter, finish, running_loop, task, waiter

Deferred = tuple[str, tuple[Any, ...], dict[str, Any], Effects]
"""A trigger, its arguments, and what they leave on the job."""


class Turn:
    """The right to move one job: held by one task, waited for by others.

    A job that nobody moves has none; it is made for the first task, and handed on.
    """

    __slots__ = ("_queue", "at_once", "deferred", "held_back", "owner", "telling")

    def __init__(self, *, at_once: bool = False) -> None:
        self.owner = task()
        self.at_once = at_once
        """The holder cannot wait: nothing else runs until it is done."""

        self.telling = False
        """Observers are being told, who must not steer."""

        self.deferred: list[Deferred] = []
        """Triggers to run after the present one, before the turn is handed on."""

        self.held_back: BaseException | None = None
        """What is to be raised once the holder's hooks are done: a cancellation of the holder."""

        self._queue: OrderedDict[Waiter, object] | None = None

    @property
    def is_mine(self) -> bool:
        """Whether the running code is part of the transition under way.

        Decided by the task, not by a context variable, which tasks started in a hook inherit.
        Where nothing may wait no other code can be running, but for tasks that start eagerly.
        """
        return self.owner is task() and (self.at_once or self.owner is not None)

    async def wait(self, release: Callable[[], None]) -> None:
        """Return once it is the running task's turn. Cancelled, it leaves the line.

        *release* is called where the turn had come already when the cancellation did.
        """
        place = waiter(running_loop())
        queue = self._queue = OrderedDict() if self._queue is None else self._queue
        queue[place] = task()
        try:
            await place
        except BaseException:
            if place in queue:
                del queue[place]
            else:
                release()
            raise

    def hand_on(self) -> bool:
        """Give the turn to the next in line; return whether there was one."""
        self.deferred.clear()
        self.held_back, self.at_once = None, False
        if not self._queue:
            self.owner = None
            return False
        place, self.owner = self._queue.popitem(last=False)
        place.wake()
        return True

    def shielded(self, answer: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
        """Await *answer* to its end, raising what it raises; a cancellation is held back."""
        return finish(answer, self.owner, self._hold_back)

    def _hold_back(self, cancellation: BaseException) -> None:
        self.held_back = self.held_back or cancellation
