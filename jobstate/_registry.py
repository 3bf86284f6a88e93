"""Which jobs a collection has: by id, counted by status, and how long once they are finished.

A registry listens to each of its jobs that is not final, and passes on what it hears: to whoever
follows all of them, and to readers, who are also told of jobs that come and go. It keeps no more
than one entry for each job. What users see of it is `Jobs`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ._loop import home
from ._own import Group
from ._waiting import Following, Listeners, each, joined, left

if TYPE_CHECKING:
    from ._job import Job
    from ._lifecycle import Lifecycle


class Reading(Following, Protocol):
    """Reads what all jobs do, at its own pace."""

    def added(self, job: Job[Any, Any], /) -> None:
        """Hear of a job that has come, whatever it did before."""

    def forgotten(self, job: Job[Any, Any], /) -> None:
        """Hear of a job that has gone."""

    def closed(self) -> None:
        """Hear that no more jobs will come."""


class Registry:
    """The jobs of a collection, and who follows them. It is itself a listener of its jobs."""

    def __init__(
        self, keep: int | None, keep_for: float | None, clock: Callable[[], float]
    ) -> None:
        self._keep = inf if keep is None else keep
        self._keep_for = inf if keep_for is None else keep_for
        self._forgets = keep is not None or keep_for is not None
        self._clock = clock
        self._home = home()
        self._ended: OrderedDict[Job[Any, Any], float] = OrderedDict()
        """When each finished job ended, the first first; empty where all are kept anyway."""

        self.by_id: dict[str, Job[Any, Any]] = {}
        self.counts: dict[Any, int] = {}
        self.unfinished = 0
        self.abandoned: dict[Job[Any, Any], None] = {}
        """Those of the unfinished jobs that nobody can tell the end of."""

        self.lifecycles: dict[Lifecycle[Any], None] = {}
        """All that a job here has followed, forgotten ones included."""

        self.group = Group()
        self.followers: Listeners[Following] = None
        self.readers: Listeners[Reading] = None
        """Those of the followers that are told of more."""

        self.is_closed = False

    # --- jobs come and go ---

    def add(self, job: Job[Any, Any]) -> None:
        """Take in a job of another id than the others."""
        job._join(self.group)
        self.by_id[job.id] = job
        self.lifecycles[job.lifecycle] = None
        self._count(job._state.value, 1)
        self.unfinished += 1
        if job._state.final:
            self._end(job)
        else:
            job._at_step = joined(job._at_step, self)
            if job._abandoned is not None:
                self.abandoned[job] = None
        for reader in each(self.readers):
            reader.added(job)
        self.sweep()

    def forget(self, job: Job[Any, Any]) -> None:
        """Let go of a finished job."""
        del self.by_id[job.id]
        self._ended.pop(job, None)
        self._count(job._state.value, -1)
        for reader in each(self.readers):
            reader.forgotten(job)

    def resumed(self, job: Job[Any, Any]) -> None:
        """Note that somebody drives a job again that was abandoned."""
        job._abandoned = None
        self.abandoned.pop(job, None)

    def sweep(self) -> None:
        """Forget the finished jobs that are too many or too old."""
        if len(self._ended) <= self._keep and (self._keep_for == inf or not self._ended):
            return
        too_old = self._clock() - self._keep_for
        while self._ended:
            job, ended = next(iter(self._ended.items()))
            if len(self._ended) <= self._keep and ended > too_old:
                break
            self.forget(job)

    def look(self) -> None:
        """Do the same before somebody reads; in another thread, things are left as they are."""
        if self._ended and home() is self._home:
            self.sweep()

    def close(self) -> None:
        """Take no more jobs."""
        self.is_closed = True
        for reader in each(self.readers):
            reader.closed()

    def dissolve(self) -> None:
        """Listen to no job any more."""
        for job in self.by_id.values():
            job._at_step = left(job._at_step, self)

    # --- what jobs do ---

    def moved(self, job: Job[Any, Any]) -> None:
        """Hear of a transition."""
        last = job._history[-1]
        self._count(last.source, -1)
        self._count(last.dest, 1)
        if job._home is not self._home:
            self._move_to(job._home)
        if job._state.final:
            job._at_step = left(job._at_step, self)
            self._end(job)
        for follower in each(self.followers):
            follower.moved(job)
        self.sweep()

    def reported(self, job: Job[Any, Any]) -> None:
        """Hear of a report of progress."""
        for follower in each(self.followers):
            follower.reported(job)
        self.sweep()

    def ended(self, job: Job[Any, Any]) -> None:
        """Hear that a job was abandoned."""
        self.abandoned[job] = None
        for follower in each(self.followers):
            follower.ended(job)

    def _count(self, status: Any, change: int) -> None:
        self.counts[status] = self.counts.get(status, 0) + change

    def _end(self, job: Job[Any, Any]) -> None:
        self.unfinished -= 1
        self.abandoned.pop(job, None)
        if self._forgets:
            self._ended[job] = self._clock()

    # --- where ---

    def check_home(self) -> None:
        """Raise in another loop than the jobs'; made where none runs, it brings them into one."""
        here = home()
        if here is not self._home:
            for job in self.by_id.values():
                job._check_home()
            self._home = here

    def _move_to(self, loop: object) -> None:
        """Bring all jobs into the loop that has adopted the first of them."""
        for job in self.by_id.values():
            if job._home is self._home:
                job._home = loop
        self._home = loop
