"""Run a job for each file: the lifecycle with its guard and hooks, the workers, and the waits.

Nothing in here looks again and again whether something has happened. A worker that may not start
a job sleeps until a hook says that there is room; whoever awaits a job, follows it or counts those
that ended sleeps until the job itself wakes it.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Protocol

from anyio import CapacityLimiter, Event, Lock, create_task_group, from_thread, to_thread
from anyio.lowlevel import checkpoint

from jobstate import (
    JOB_LIFECYCLE,
    GuardRefused,
    JobStatus,
    Lifecycle,
    Progress,
    RevokeCause,
    Transition,
    TransitionEvent,
    all_completed,
    as_completed,
)

from .plan import File, Plan
from .report import FileJob, Report, counted
from .work import examine

ROOM = 64_000
"""So many bytes of source a worker may be at work at once: parsed, they take 60 times as many."""

_OFFSET = time.time() - time.perf_counter()


def now() -> float:
    """Return POSIX seconds, as exact as ``perf_counter`` and never set back."""
    return _OFFSET + time.perf_counter()


class Display(Protocol):
    """Shows what happens to jobs."""

    def changed(self, job: FileJob, change: Transition | Progress) -> None:
        """Show that a job has moved or got further."""

    def ended(self, job: FileJob) -> None:
        """Show that one more job has ended."""


class Room:
    """A bound on how much is worked on at once, for the jobs of a lifecycle."""

    def __init__(self, size: int) -> None:
        self._size, self._taken = size, 0
        self._made = Event()
        self.refusals = 0
        """How often a job had to wait for room."""

    def bound(self, lifecycle: Lifecycle[JobStatus]) -> None:
        """Have jobs start only while there is room for their bytes."""
        lifecycle.guard("start")(self.is_enough)
        lifecycle.on_enter(JobStatus.STARTED)(self.take)
        lifecycle.after("*", source=JobStatus.STARTED)(self.make)

    def is_enough(self, event: TransitionEvent[JobStatus]) -> bool:
        """Guard the start of a job: one that is too large has to be alone."""
        return not self._taken or self._taken + event.job.info["bytes"] <= self._size

    def take(self, event: TransitionEvent[JobStatus]) -> None:
        """Hear that a job is at work."""
        self._taken += event.job.info["bytes"]

    def make(self, event: TransitionEvent[JobStatus]) -> None:
        """Hear that a job is not at work any more, and wake who waits for room."""
        self._taken -= event.job.info["bytes"]
        self._made.set()
        self._made = Event()

    async def more(self) -> None:
        """Return when there is more room than now."""
        self.refusals += 1
        await self._made.wait()


class Run:
    """Workers that take jobs from a line, and those who wait for the jobs."""

    def __init__(self, plan: Plan, workers: int, display: Display) -> None:
        self._plan, self._workers, self._display = plan, workers, display
        self._threads = CapacityLimiter(workers)
        self._door = Lock()
        self._room = Room(ROOM * workers)
        self._delays: dict[FileJob, float] = {}
        self._began = now()

        lifecycle = JOB_LIFECYCLE.derive("file")
        self._room.bound(lifecycle)
        self._jobs = [_job(n, file, lifecycle) for n, file in enumerate(plan.files, 1)]
        self._line = deque(zip(self._jobs, plan.files, strict=True))
        first, once_more = self._jobs[0], self._jobs[-1]

        def not_twice(event: TransitionEvent[JobStatus]) -> None:
            if once_more.can("revoke"):
                once_more.revoke_nowait("the same file is in work already")

        first.on(JobStatus.STARTED, not_twice)

    async def __call__(self) -> Report:
        """Work on all files, and return what came of them. Cancelled, it revokes what is left."""
        try:
            async with create_task_group() as watchers:
                watchers.start_soon(self._count)
                for job in self._jobs:
                    watchers.start_soon(self._follow, job)
                    watchers.start_soon(self._wait, job)
                    await checkpoint()  # they sleep before any job moves
                async with create_task_group() as workers:
                    for _ in range(self._workers):
                        workers.start_soon(self._work)
                    await all_completed(self._jobs)
        finally:
            self._revoke_what_is_left()
        return Report(
            self._plan,
            tuple(self._jobs),
            self._delays,
            self._room.refusals,
            self._began,
            now(),
        )

    @property
    def interruption(self) -> str:
        """What was revoked because the run was cancelled, in a sentence."""
        outcomes = [job.outcome for job in self._jobs if job.outcome is not None]
        attempts = [each.attempts for each in outcomes if each.cause is RevokeCause.SHUTDOWN]
        waiting = attempts.count(0)
        return (
            f"interrupted when {len(outcomes) - len(attempts):,} of "
            f"{counted(len(self._jobs), 'job')} had ended: "
            f"{len(attempts) - waiting:,} at work and {waiting:,} that waited were revoked"
        )

    # --- work ---

    async def _work(self) -> None:
        while self._line:
            job, file = self._line.popleft()
            await self._carry_through(job, file.path)

    async def _carry_through(self, job: FileJob, path: Path) -> None:
        """Try until the job has ended, however it does."""
        while await self._started(job):
            report = partial(_report, job)
            try:
                findings = await to_thread.run_sync(
                    examine, path, job.attempt, report, limiter=self._threads
                )
            except UnicodeDecodeError as error:
                await job.retry(error)  # or to FAILURE, if this was the last attempt
            except Exception as error:
                await job.fail(error)  # the next attempt would do the same
            else:
                await job.succeed(findings)

    async def _started(self, job: FileJob) -> bool:
        """Start the job as soon as there is room; return False if it has ended.

        One worker at a time is at the door, so that nobody overtakes a job that needs much room.
        """
        async with self._door:
            while job.outcome is None:
                try:
                    await job.start()
                except GuardRefused:
                    await self._room.more()
                else:
                    return True
        return False

    def _revoke_what_is_left(self) -> None:
        for job in self._jobs:
            if job.outcome is None:
                job.revoke_nowait("interrupted", cause=RevokeCause.SHUTDOWN)

    # --- waits ---

    async def _wait(self, job: FileJob) -> None:
        """Wait for the end of a job, and see how long the news took."""
        await job.completed()
        self._delays[job] = now() - job.history[-1].timestamp

    async def _follow(self, job: FileJob) -> None:
        async with job.changes() as changes:
            async for change in changes:
                self._display.changed(job, change)

    async def _count(self) -> None:
        async for job in as_completed(self._jobs):
            self._display.ended(job)


def _job(number: int, file: File, lifecycle: Lifecycle[JobStatus]) -> FileJob:
    return FileJob(
        f"file-{number}",
        name=file.name,
        lifecycle=lifecycle,
        max_attempts=2,
        info={"bytes": file.size},
        clock=now,
    )


def _report(job: FileJob, percent: float) -> None:
    """Report from a worker thread: in the job's event loop, and not if that has been cancelled."""
    from_thread.check_cancelled()
    from_thread.run_sync(job.report, percent)
