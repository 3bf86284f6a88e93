"""Who follows a store, and the stream that each of them reads.

A stream is a cursor over what is kept, not a buffer: whoever writes only says which jobs have
changed, and each stream that is concerned reads on for itself, a page at a time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from anyio import BusyResourceError, ClosedResourceError

from .._errors import JobStateError
from .._ids import checked_id
from .._loop import Waiter, call_soon, home, running_loop, waiter
from .._stored import Kept
from ._asked import bounded


class Page(NamedTuple):
    """What a store gives a stream to read next."""

    kept: list[Kept]
    more: bool
    """Whether there is more already."""

    over: bool
    """Whether nothing can come after this page."""


Read = Callable[[str | None, int], Awaitable[Page]]
"""Returns the page of a job, or of all jobs, after a position."""

Newest = Callable[[], Awaitable[int]]
"""Returns the highest position there is."""


class StoreFeed:
    """What a store keeps, by position, as it comes; see `jobstate.abc.Feed`."""

    def __init__(self, feeds: Feeds, job_id: str | None, after: int | None) -> None:
        self.job_id = None if job_id is None else checked_id(job_id)
        self._feeds, self._after = feeds, 0 if after is None else bounded(after)
        self._from_now = after is None
        self._page: deque[Kept] = deque()
        self._open = self._over = False
        self._unread = True
        """There may be more than was read."""

        self._home: object = None
        self._waking = False
        """Whether its event loop has yet to hear that there is more."""

        self._busy = False
        self._waiter: Waiter | None = None

    async def __aenter__(self) -> StoreFeed:
        self._home = home()
        self._open = True
        self._feeds.add(self)
        if self._from_now:
            try:
                self._after = await self._feeds.newest()
            except BaseException:
                self._leave()
                raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._open = False
        self._feeds.remove(self)
        self._page.clear()
        self.wake_here()

    def __aiter__(self) -> StoreFeed:
        return self

    async def __anext__(self) -> Kept:
        if self._busy:
            raise BusyResourceError("waiting for more from")
        self._busy = True
        try:
            return await self._next()
        finally:
            self._busy = False

    async def _next(self) -> Kept:
        while True:
            if not self._open:
                raise ClosedResourceError
            self._feeds.check()
            if self._page:
                self._after = self._page[0].position
                return self._page.popleft()
            if self._over:
                raise StopAsyncIteration
            if self._unread:
                await self._read()
                continue
            self._waiter = waiter(running_loop())
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def _read(self) -> None:
        self._unread = False  # before reading: what comes meanwhile is read the next time
        done = False
        try:
            page = await self._feeds.read(self.job_id, self._after)
            done = True
        finally:
            self._unread = self._unread or not done
        if self._open:
            self._page.extend(page.kept)
            self._over = page.over
        self._unread = self._unread or page.more

    def wake(self) -> None:
        """Have the stream look again; called in any thread."""
        if home() is self._home:
            self.wake_here()
        elif not self._waking:  # or a loop that is busy would be told once for each commit
            self._waking = True
            with suppress(RuntimeError):  # its loop has ended
                call_soon(self._home, self.wake_here)

    def wake_here(self) -> None:
        """Have the stream look again; called in its event loop."""
        self._waking = False  # before: who comes now, and is told so, is not forgotten
        self._unread = True
        if self._waiter is not None:
            self._waiter.wake()


class Feeds:
    """Who follows a store. It can be told of changes in any thread."""

    def __init__(self, read: Read, newest: Newest) -> None:
        self.read, self.newest = read, newest
        self._lock = threading.Lock()
        self._of_job: dict[str | None, dict[StoreFeed, None]] = {}
        self._end: Callable[[], JobStateError] | None = None

    def __bool__(self) -> bool:
        return bool(self._of_job)

    def add(self, feed: StoreFeed) -> None:
        """Have a stream told of changes from now on; it has to read what there is already."""
        self.check()
        with self._lock:
            self._of_job.setdefault(feed.job_id, {})[feed] = None

    def remove(self, feed: StoreFeed) -> None:
        """Tell a stream no more."""
        with self._lock:
            feeds = self._of_job.get(feed.job_id, {})
            feeds.pop(feed, None)
            if not feeds:
                self._of_job.pop(feed.job_id, None)

    def moved(self, jobs: Iterable[str] | None) -> None:
        """Wake whoever follows one of these jobs, or all jobs; everybody where nobody can tell."""
        with self._lock:
            which = list(self._of_job) if jobs is None else [None, *jobs]
            woken = [feed for job in which for feed in self._of_job.get(job, ())]
        for feed in woken:
            feed.wake()

    def close(self, end: Callable[[], JobStateError]) -> None:
        """Have everybody who follows get an error, now and from now on."""
        self._end = end
        self.moved(None)

    def check(self) -> None:
        """Raise where the store was closed."""
        if self._end is not None:
            raise self._end()
