"""Many jobs by id: looked up, counted, hooked and read as one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic

from ._all_changes import AllChanges
from ._arguments import number
from ._errors import UnknownStatus, UnknownTrigger
from ._job import Job, Registration
from ._job_lifecycle import JOB_LIFECYCLE
from ._lifecycle import Lifecycle
from ._records import S, T
from ._registry import Registry
from ._run_errors import DuplicateJob, JobNotFound, JobsClosed, JobUnfinished
from ._table import Hook, HookPlace, hook_callback
from ._waiting import Following, joined, left

_FEW = 100
"""So many ids are named by an error; to look for a near one among more would take too long."""


class Jobs(Generic[T, S]):
    """Jobs by id, with hooks on all of them and one stream of all that they do.

    It moves no job, and a job can be in several. ``len``, iteration, in order of arrival, and
    ``in``, for an id or a job, work as with other collections. Like its jobs it belongs to one
    event loop; what can be read can be read from any thread.

    Finished jobs are kept until there are too many of them, or for a time. Unfinished jobs are
    never forgotten, and whoever holds a job that was can go on using it. There is no timer:
    whether a job has been kept long enough is looked at whenever something is asked of the
    collection, or happens in it.

    Args:
        jobs: some to begin with.
        keep: how many finished jobs are kept, those that ended last; ``None`` means all.
        keep_for: for how many seconds they are kept after they ended, or were added if that was
            later; ``None`` means for ever.
        clock: tells seconds, for *keep_for* alone.

    Raises:
        ValueError: *keep* or *keep_for* is no such number.
        DuplicateJob, WrongThread: as `add` raises them; then none is added.
    """

    def __init__(
        self,
        jobs: Iterable[Job[T, S]] = (),
        *,
        keep: int | None = None,
        keep_for: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if keep is not None and (type(keep) is not int or keep < 0):
            raise ValueError(f"keep is a whole number from 0 on, or None for all, not {keep!r}")
        seconds = number(keep_for)
        if keep_for is not None and (seconds is None or seconds < 0):
            raise ValueError(
                f"keep_for is a number of seconds from 0 on, or None for ever, not {keep_for!r}"
            )
        self._registry = Registry(keep, seconds, clock)
        self._own = self._registry.group
        """What all jobs here have: hooks, and perhaps a journal, and whoever runs their work."""

        try:
            for job in jobs:
                self.add(job)
        except BaseException:
            self._registry.dissolve()
            raise

    # --- which jobs there are ---

    def add(self, job: Job[T, S]) -> None:
        """Take a job in; one that is here already stays.

        From now on the hooks of `on` are part of its transitions.

        Raises:
            DuplicateJob: another job of its id is here.
            JobsClosed: the collection was closed.
            WrongThread: the job, or the collection, belongs to another event loop.
            TypeError: it is no job.
        """
        if not isinstance(job, Job):
            raise TypeError(f"only a Job can be added, not {job!r}")
        registry = self._registry
        registry.check_home()
        job._check_home()
        registry.sweep()
        there = registry.by_id.get(job.id)
        if there is None and registry.is_closed:
            raise JobsClosed(job.id)
        if there is None:
            registry.add(job)
        elif there is not job:
            raise DuplicateJob(job.id, there.status)

    def get(self, job_id: str) -> Job[T, S]:
        """Return the job of that id.

        Raises:
            JobNotFound: there is none; it may never have been, or be forgotten.
        """
        by_id = self._looked_at()
        try:
            return by_id[job_id]
        except KeyError:
            raise self._not_found(job_id) from None

    def __contains__(self, job: object) -> bool:
        by_id = self._looked_at()
        return by_id.get(job.id) is job if isinstance(job, Job) else job in by_id

    def __len__(self) -> int:
        return len(self._looked_at())

    def __iter__(self) -> Iterator[Job[T, S]]:
        return iter(tuple(self._looked_at().values()))

    @property
    def counts(self) -> dict[S, int]:
        """How many jobs have each status; one that none has any more is there with 0."""
        self._registry.look()
        return self._registry.counts.copy()

    def forget(self, job: Job[T, S] | str) -> None:
        """Let go of a finished job, given itself or by its id.

        Raises:
            JobUnfinished: it has not ended.
            JobNotFound: it is not here.
            WrongThread: called outside the jobs' event loop.
        """
        self._registry.check_home()
        found = self.get(job.id if isinstance(job, Job) else job)
        if isinstance(job, Job) and found is not job:
            raise self._not_found(job.id)
        if not found._state.final:
            raise JobUnfinished(found.id, found.status)
        self._registry.forget(found)

    def close(self) -> None:
        """Take no more jobs, so that streams can end; those that are here go on. Twice is once.

        Raises:
            WrongThread: called outside the jobs' event loop.
        """
        self._registry.check_home()
        self._registry.close()

    def __repr__(self) -> str:
        counts = self._registry.counts.items()
        told = ", ".join(f"{number} {getattr(s, 'name', s)}" for s, number in counts if number)
        return f"<{type(self).__name__}: {told or 'none'}>"

    # --- what they do ---

    def on(
        self, status_or_trigger: S | str, hook: Hook, *, lifecycle: Lifecycle[Any] | None = None
    ) -> Registration:
        """Add a hook to all jobs that are here or will be, and return what removes it.

        It is part of each job's transition as one of `Job.on` is, and runs after those. Jobs that
        have ended already are not told of. A name is found in the lifecycle of any job so far, or
        in `JOB_LIFECYCLE`, and then stands for that name in every lifecycle; jobs that know
        nothing of the kind are not concerned.

        Args:
            status_or_trigger: what to hook; where both have the name, the status.
            hook: is called with the `TransitionEvent`; it may be async.
            lifecycle: the one to find the name in, for jobs still to come.

        Raises:
            UnknownTrigger: there is neither such a status nor such a trigger.
            UnknownStatus: the status is a member of another enum than the lifecycle's.
            TypeError: the hook cannot be called with one argument.
            WrongThread: called outside the jobs' event loop.
        """
        self._registry.check_home()
        callback = hook_callback(hook, "Jobs.on()")
        return Registration(self._own, self._place(status_or_trigger, lifecycle), callback)

    def changes(self, *, past: bool = False) -> AllChanges[S]:
        """Return a stream of every transition of all jobs, and of their progress.

        ``async with jobs.changes() as changes: async for change in changes: …``; a change is a
        `Transition` or a `Progress`, and names its job by ``change.job_id``. See `AllChanges`.

        Args:
            past: whether it begins with what the jobs that are here have done so far, and not
                with what happens after the block is entered.

        Raises:
            WrongThread: called outside the jobs' event loop.
        """
        self._registry.check_home()
        return AllChanges(self._registry, past=past)

    # --- for whoever runs jobs ---

    def _follow(self, listener: Following) -> None:
        """Have a listener told of each step of every job; of a job's end by its last transition."""
        self._registry.followers = joined(self._registry.followers, listener)

    def _unfollow(self, listener: Following) -> None:
        self._registry.followers = left(self._registry.followers, listener)

    # --- helpers ---

    def _looked_at(self) -> dict[str, Job[Any, Any]]:
        self._registry.look()
        return self._registry.by_id

    def _not_found(self, job_id: object) -> JobNotFound:
        by_id = self._registry.by_id
        return JobNotFound(job_id, len(by_id), by_id if len(by_id) <= _FEW else ())

    def _place(self, asked: object, lifecycle: Lifecycle[Any] | None) -> HookPlace:
        known = (*self._registry.lifecycles, JOB_LIFECYCLE) if lifecycle is None else (lifecycle,)
        for each in known:
            with suppress(UnknownTrigger, UnknownStatus):
                return each._status_or_trigger(asked)
        return known[0]._status_or_trigger(asked)  # raises, and says what there is
