"""Progress on its way into a store: not every report of a job, but always the last.

The first report of an attempt is stored at once; those that follow within a time are folded to one.
Before a transition is written, the last report before it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from ._errors import JobStateError
from ._job import Job
from ._json import LARGEST, NotPlain, check_plain, dumped
from ._loop import Waiter, loop_time, running_loop, waiter
from ._records import Progress
from ._store_errors import Unstorable
from ._timers import Due, Timers
from .abc import Store

_log = logging.getLogger("jobstate")


class Reports:
    """What jobs have reported and the store does not have yet.

    Args:
        store: where it is to go.
        seconds: the least time between two reports of a job that are stored.
    """

    def __init__(self, store: Store, seconds: float) -> None:
        self._store, self._seconds = store, seconds
        self._timers = Timers(self._wake)
        self._unsaved: dict[Job[Any, Any], tuple[Due, Progress]] = {}
        self._saving: dict[Job[Any, Any], anyio.Event] = {}
        """Jobs of which a report is being stored; each event tells that it is."""

        self._not_before: dict[Job[Any, Any], float] = {}
        """When the next report of a job may be stored, on the event loop's clock."""

        self._ready: list[Job[Any, Any]] = []
        self._waiter: Waiter | None = None

    def add(self, job: Job[Any, Any]) -> None:
        """Have what a job has reported stored, as soon as its time has come."""
        there = self._unsaved.get(job)
        due = self._due(job, self._not_before.get(job, 0.0)) if there is None else there[0]
        self._unsaved[job] = due, job._progress_record()

    def attempt_over(self, job: Job[Any, Any]) -> None:
        """Have the last report stored now, and the first of the next attempt at once as well."""
        self._not_before.pop(job, None)
        if job in self._unsaved:
            due, progress = self._unsaved[job]
            self._timers.cancel(due)
            self._unsaved[job] = self._due(job, 0.0), progress

    def _due(self, job: Job[Any, Any], not_before: float) -> Due:
        when = max(loop_time(), not_before)
        return self._timers.at(when, partial(self._ready.append, job))

    async def flush(self, job: Job[Any, Any]) -> None:
        """Return once the last report of a job is in the store."""
        if job in self._unsaved:
            self._timers.cancel(self._unsaved[job][0])
        await self._save(job)

    async def flush_all(self) -> None:
        """Return once the last reports of all jobs are in the store."""
        async with anyio.create_task_group() as tasks:
            for job in {**self._unsaved, **self._saving}:
                tasks.start_soon(self.flush, job)

    async def run(self) -> None:
        """Store what is due, until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._waiter = waiter(running_loop())
                self._timers.call_due()
                while self._ready:
                    tasks.start_soon(self._save, self._ready.pop())
                with anyio.CancelScope(deadline=self._timers.next):
                    await self._waiter

    async def _save(self, job: Job[Any, Any]) -> None:
        """Store the last report, if it is not yet, after the one that is being stored."""
        while (before := self._saving.get(job)) is not None:
            await before.wait()
        _, progress = self._unsaved.pop(job, (None, None))
        if progress is None:
            return
        if job._state.runs:
            self._not_before[job] = loop_time() + self._seconds
        self._saving[job] = done = anyio.Event()
        try:
            try:
                await self._store.report(progress)
            except Unstorable as error:
                _log.warning("progress is not stored in full: %s", error)
                await self._store.report(replace(progress, info=_storable(progress.info)))
        except JobStateError as error:  # transitions are what a broken store refuses
            _log.info("progress is not stored: %s", error)
        finally:
            del self._saving[job]
            done.set()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()


def _storable(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of *info* that are JSON, as long as they are not too much."""
    kept: dict[str, Any] = {}
    for name, value in info.items():
        try:
            check_plain({**kept, name: value}, "info", 2)
        except NotPlain:
            continue
        if len(dumped({**kept, name: value}).encode()) < LARGEST // 2:
            kept[name] = value
    return kept
