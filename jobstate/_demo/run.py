"""Run a job for each file: what the runner is told, and those who wait for the jobs.

The runner decides which job is at work when: as many as there are threads, and no more bytes than
there is room for. Nothing in here looks again and again whether something has happened; whoever
awaits a job, follows them all or counts those that ended sleeps until a job itself wakes it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from anyio import create_task_group

from jobstate import (
    JobRunner,
    Jobs,
    JobStatus,
    Progress,
    Retry,
    RevokeCause,
    Transition,
    TransitionEvent,
    as_completed,
    current_job,
)

from .plan import File, Plan
from .report import FileJob, Report, counted
from .work import Findings, examine

ROOM = 64_000
"""So many bytes of source a worker may be at work at once: parsed, they take 60 times as many."""

ONCE_MORE = Retry(attempts=2, first_delay=0, on=UnicodeDecodeError)
"""Any other error would come again at the next attempt."""

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


class Run:
    """The jobs of a plan, in a runner, and those who wait for them."""

    def __init__(self, plan: Plan, workers: int, display: Display) -> None:
        self._plan, self._workers, self._display = plan, workers, display
        self._room = ROOM * workers
        self._jobs: list[FileJob] = []
        self._delays: dict[FileJob, float] = {}
        self._began = now()

    async def __call__(self) -> Report:
        """Work on all files, and return what came of them. Cancelled, it revokes what is left."""
        runner = JobRunner(
            threads=self._workers, resources={"bytes": self._room}, keep=None, clock=now
        )
        async with create_task_group() as watchers, runner:
            for number, file in enumerate(self._plan.files, 1):
                self._jobs.append(await self._submitted(runner, f"file-{number}", file))
            self._jobs[0].on(JobStatus.STARTED, self._not_twice)
            watchers.start_soon(self._follow, runner.jobs)
            watchers.start_soon(self._count)
            for job in self._jobs:
                watchers.start_soon(self._wait, job)
        return Report(self._plan, tuple(self._jobs), self._delays, self._room, self._began, now())

    async def _submitted(self, runner: JobRunner, job_id: str, file: File) -> FileJob:
        """Return the job of a file, in line. A file that is too large for the room has to be alone.

        It returns at once, so that all jobs are there before the first one starts.
        """
        return await runner.submit(
            examined,
            file.path,
            id=job_id,
            name=file.name,
            retry=ONCE_MORE,
            resources={"bytes": min(file.size, self._room)},
        )

    def _not_twice(self, event: TransitionEvent[JobStatus]) -> None:
        """Hear that the first file is at work: the job that is to do so once more need not."""
        once_more = self._jobs[-1]
        if once_more.can("revoke"):
            once_more.revoke_nowait("the same file is in work already")

    @property
    def interruption(self) -> str:
        """What was revoked because the run was cancelled, in a sentence."""
        outcomes = [job.outcome for job in self._jobs if job.outcome is not None]
        attempts = [each.attempts for each in outcomes if each.cause is RevokeCause.SHUTDOWN]
        waiting = attempts.count(0)
        return (
            f"interrupted when {len(outcomes) - len(attempts):,} of "
            f"{counted(len(self._plan.files), 'job')} had ended: "
            f"{len(attempts) - waiting:,} at work and {waiting:,} that waited were revoked"
        )

    # --- waits ---

    async def _wait(self, job: FileJob) -> None:
        """Wait for the end of a job, and see how long the news took."""
        await job.completed()
        self._delays[job] = now() - job.history[-1].timestamp

    async def _follow(self, jobs: Jobs[Findings]) -> None:
        """Show all that happens, until the runner is done."""
        async with jobs.changes(past=True) as changes:
            async for change in changes:
                self._display.changed(jobs.get(change.job_id), change)

    async def _count(self) -> None:
        async for job in as_completed(self._jobs):
            self._display.ended(job)


def examined(path: Path) -> Findings:
    """Examine a file in a worker thread: tell how far it is, and stop if that is wanted."""
    job = current_job()

    def report(percent: float) -> None:
        job.check()
        job.report(percent)

    return examine(path, job.attempt, report)
