"""The store of a runner: what is kept of its jobs' work, and what other runners have left there.

Each runner holds a claim on a name of its own in the store, for as long as its process lives, and
its jobs bear that name. Whoever gets the claim of another runner knows that this one is no more,
and answers for its jobs from then on.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from ._errors import InvalidJobId, JobStateError
from ._ids import new_id
from ._job import Job
from ._jobs import Jobs
from ._keeper import Keeper
from ._lifecycle import Lifecycle
from ._options import work_name
from ._recipe import Recipe, Registered, is_recipe, read, written
from ._run_errors import JobNotFound
from ._store_errors import AlreadyClaimed, NewerFormat, NotRestorable
from ._stored import StoredJob
from .abc import Store

_log = logging.getLogger("jobstate")


class Recovered(NamedTuple):
    """What came of `JobRunner.recover`."""

    jobs: tuple[Job[Any, Any], ...]
    """Those that the runner has taken up, in the order in which they were made."""

    left: Mapping[str, JobStateError]
    """Why others could not be taken up, by their ids. They stay in the store as they are."""


class KeptWork:
    """What a runner keeps of its jobs in a store.

    Args:
        store: the runner's own.
        jobs: those of the runner; from now on each is moved through the store.
        lifecycle: what they follow.
        registered: what may be named in the store.
        clock: tells POSIX seconds.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs[Any, Any],
        lifecycle: Lifecycle[Any],
        registered: Registered,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._registered = registered
        self._runner = new_id()
        self._claims: set[str] = set()
        """The names of the runners whose jobs this one answers for, its own among them."""

        self.keeper = Keeper(store, jobs, [lifecycle], clock=clock)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Have the store open in a block, and its jobs known to be somebody's."""
        async with self.keeper.opened(_unheard):
            await self._store.claim(self._runner)
            self._claims.add(self._runner)
            yield

    async def _answers_for(self, runner: str) -> bool:
        if runner not in self._claims:
            try:
                await self._store.claim(runner)
            except AlreadyClaimed:
                return False
            self._claims.add(runner)
        return True

    def data_of(self, recipe: Recipe) -> dict[str, Any]:
        """Return what is kept of some work.

        Raises:
            UnsuitableWork: something that it needs is not registered.
        """
        work = work_name(recipe.function)
        return {"runner": self._runner, **written(recipe, self._registered, work)}

    async def left_behind(
        self, is_here: Callable[[str], bool], left: dict[str, JobStateError]
    ) -> AsyncIterator[tuple[StoredJob, Recipe]]:
        """Return what runners that are no more have left, in the order in which it was made.

        Why some of it cannot be taken up is put into *left*.
        """
        async for stored in _unfinished(self._store):
            job_id, data = stored.job.id, stored.job.data
            if not is_recipe(data) or is_here(job_id):
                continue
            try:
                if await self._answers_for(data["runner"]):
                    yield stored, read(data, self._registered, job_id)
            except (InvalidJobId, NewerFormat, NotRestorable) as error:
                left[job_id] = error

    async def dependencies(self, recipe: Recipe, job_id: str) -> dict[Job[Any, Any], bool]:
        """Return the jobs that a job comes after; whether each of them has to succeed.

        Raises:
            NotRestorable: one is not there, or cannot be restored itself.
        """
        needed = {}
        for dependency, must in recipe.after.items():
            try:
                needed[await self.keeper.load(dependency)] = must
            except JobNotFound:
                problem = f"job {dependency}, which it comes after, is not in the store any more"
                raise NotRestorable(job_id, problem) from None
        return needed


def times_left(job: Job[Any, Any], recipe: Recipe, now: float) -> tuple[float | None, float]:
    """Return the seconds until a job has to have ended, and until its next attempt may begin.

    By a clock that was set meanwhile, neither is longer than it was at first.
    """
    timeout, delay, due = recipe.timeout, 0.0, job.retry_at
    if timeout is not None:
        timeout = min(timeout, max(0.0, job._created + timeout - now))
    if due is not None:
        entered = next(step for step in reversed(job._history) if not step.internal)
        delay = min(entered.delay or 0.0, max(0.0, due.timestamp() - now))
    return timeout, delay


async def _unfinished(store: Store) -> AsyncIterator[StoredJob]:
    after = 0
    while page := await store.unfinished(after=after):
        for stored in page:
            yield stored
        after = page[-1].created


def _unheard(error: JobStateError) -> None:
    """Note that what others do to a runner's jobs comes late: when the runner moves them."""
    _log.warning("the store of a runner cannot be followed any more: %s", error)
