"""The store of a runner: what is kept of its jobs' work, and what other runners have left there.

Each runner holds a claim on a name of its own in the store, for as long as its process lives, and
its jobs bear that name. Whoever gets the claim of another runner knows that this one is no more,
and answers for its jobs from then on.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, cast

from ._errors import JobStateError
from ._ids import new_id
from ._job import Job
from ._jobs import Jobs
from ._keeper import Keeper
from ._lifecycle import Lifecycle
from ._options import work_name
from ._paging import each_job
from ._recipe import Recipe, Registered, is_recipe, read, written
from ._run_errors import DependencyCycle, JobNotFound, RunnerClosed
from ._store_errors import (
    STORE_FAULTS,
    AlreadyClaimed,
    CorruptRecord,
    NewerFormat,
    NotRestorable,
)
from ._stored import StoredJob
from .abc import Store

_log = logging.getLogger("jobstate")

_OF_ALL = (RunnerClosed, *STORE_FAULTS)
"""What keeps not one job alone from being recovered."""

TakeUp = Callable[[StoredJob, Recipe], Awaitable[Job[Any, Any]]]
"""Has a runner take up a job that another one has left, and returns it."""


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

        self._needed = {self._runner}
        """Those of them that it has jobs of, or had."""

        self._recovering = 0
        """So many calls of `recovered` are under way."""

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

    async def recovered(self, is_here: Callable[[str], bool], take_up: TakeUp) -> Recovered:
        """Take up what runners that are no more have left. See `JobRunner.recover`.

        A claim of which nothing came is given back: another runner may know how to do its work.
        """
        jobs: list[Job[Any, Any]] = []
        left: dict[str, JobStateError] = {}
        self._recovering += 1
        try:
            async with self.keeper.restoring():
                found = await self._unfinished(left)
                cyclic = on_cycles({each.job.id: _after(each.job.data) for each in found})
                for stored in found:
                    job_id, data = stored.job.id, stored.job.data
                    if is_here(job_id):
                        continue
                    try:
                        if await self._answers_for(data["runner"]):
                            if job_id in cyclic:
                                raise DependencyCycle(job_id)
                            recipe = read(data, self._registered, job_id)
                            jobs.append(await take_up(stored, recipe))
                    except _OF_ALL:
                        raise
                    except JobStateError as why:
                        left[job_id] = why
                    except (TypeError, ValueError) as why:
                        left[job_id] = NotRestorable(job_id, str(why))
                    if is_here(job_id):
                        self._needed.add(data["runner"])
        finally:
            self._recovering -= 1
        await self._give_back()
        return Recovered(tuple(jobs), left)

    async def _unfinished(self, left: dict[str, JobStateError]) -> list[StoredJob]:
        """Return what runners have not ended, in the order in which it was made."""
        found: list[StoredJob] = []
        async for each in each_job(lambda after: self._store.unfinished(after=after), 0):
            if not isinstance(each, StoredJob):
                left[cast(str, each.job_id)] = each
            elif is_recipe(each.job.data):
                found.append(each)
        return found

    async def _give_back(self) -> None:
        """Let others have what is not needed, unless a call of `recovered` is about to need it."""
        while not self._recovering and (idle := self._claims - self._needed):
            runner = idle.pop()
            self._claims.discard(runner)
            await self._store.release(runner)

    async def dependencies(self, recipe: Recipe, job_id: str) -> dict[Job[Any, Any], bool]:
        """Return the jobs that a job comes after; whether each of them has to succeed.

        Raises:
            NotRestorable: one is not there, or cannot be read, or be restored itself.
        """
        needed = {}
        for dependency, must in recipe.after.items():
            try:
                needed[await self.keeper.load(dependency)] = must
            except JobNotFound:
                problem = f"job {dependency}, which it comes after, is not in the store any more"
                raise NotRestorable(job_id, problem) from None
            except (CorruptRecord, NewerFormat) as error:
                if error.position is None:  # it is of more than one job
                    raise
                problem = f"job {dependency}, which it comes after, cannot be read: {error}"
                raise NotRestorable(job_id, problem) from error
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


def on_cycles(after: Mapping[str, Collection[str]]) -> set[str]:
    """Return the jobs that would come after themselves, or between such; each after its others."""
    before: dict[str, list[str]] = {job_id: [] for job_id in after}
    for job_id, others in after.items():
        for other in others:
            before.setdefault(other, []).append(job_id)
    return set(after) & _never_sorted(after) & _never_sorted(before)


def _never_sorted(graph: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the nodes that are on a cycle, or come after one."""
    nodes, sorter = set(graph), TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError:
        while ready := sorter.get_ready():
            nodes.difference_update(ready)
            sorter.done(*ready)
        return nodes
    return set()


def _after(data: Mapping[str, Any]) -> Collection[str]:
    """Return what stands there of the jobs that one comes after, whether it can be read or not."""
    after = data.get("after")
    return after if isinstance(after, dict) else ()


def _unheard(error: JobStateError) -> None:
    """Note that what others do to a runner's jobs comes late: when the runner moves them."""
    _log.warning("the store of a runner cannot be followed any more: %s", error)
