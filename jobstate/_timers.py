"""Many deadlines and one timer: whoever waits in the event loop waits for the earliest."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from ._heap import Entry, Heap
from ._loop import loop_time

Due = Entry[float, Callable[[], object]]


class Timers:
    """Callbacks at moments of the event loop's own clock, which nobody sets."""

    def __init__(self, earlier: Callable[[], object]) -> None:
        self._heap: Heap[float, Callable[[], object]] = Heap()
        self._earlier = earlier
        """Called where the earliest deadline has become an earlier one."""

    def after(self, seconds: float, callback: Callable[[], object]) -> Due:
        """Have *callback* called in so many seconds; what is returned serves to `cancel` that."""
        return self.at(loop_time() + seconds, callback)

    def at(self, when: float, callback: Callable[[], object]) -> Due:
        """Have *callback* called at a moment on the loop's clock; see `after`."""
        before = self.next
        timer = self._heap.push(when, callback)
        if timer.key < before:
            self._earlier()
        return timer

    def cancel(self, timer: Due | None) -> None:
        """Have nothing called after all. It may have been called already, or be ``None``."""
        if timer is not None:
            self._heap.discard(timer)

    @property
    def next(self) -> float:
        """When the next callback is due, on the loop's clock; infinity if there is none."""
        first = self._heap.first()
        return float("inf") if first is None else first.key

    def call_due(self) -> None:
        """Call whatever is due."""
        now = loop_time()
        while (first := self._heap.first()) is not None and first.key <= now:
            callback = cast(Callable[[], object], first.item)
            self._heap.discard(first)
            callback()
