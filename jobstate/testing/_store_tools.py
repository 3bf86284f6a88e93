"""What the checks of stores are made of: jobs to write, and errors and streams to expect."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import anyio

from .._codec import encoded
from .._errors import JobStateError
from .._records import Progress, Transition
from .._stored import Entry, JobRecord, Kept, Record
from ..abc import Feed, Store

PATIENCE = 10.0
"""Seconds after which a check no longer believes that what it waits for will come."""

LONG = 300
"""More than any store gives in one page, it is hoped."""


def patience() -> AbstractContextManager[anyio.CancelScope]:
    """Return a scope that fails once what it waits for is overdue."""
    return anyio.fail_after(PATIENCE)


def job_record(job_id: str = "j1", **more: Any) -> JobRecord:
    """Return how a job begins."""
    return JobRecord(job_id, 1.5, **more)


def step(
    version: int,
    dest: str = "STARTED",
    job_id: str = "j1",
    source: str | None = None,
    **more: Any,
) -> Entry:
    """Return a transition of a job, from STARTED but for the first."""
    source = source or ("PENDING" if version == 1 else "STARTED")
    transition = Transition(job_id, version, "move", source, dest, 1.5 + version, 1)
    return Entry(transition, **more)


def report(version: int, progress: float, job_id: str = "j1") -> Progress:
    """Return a report of progress."""
    return Progress(job_id, version, 1, progress, {"rows": progress}, 9.5)


async def moved(store: Store, versions: int, job_id: str = "j1") -> None:
    """Create a job, and append so many transitions to its journal."""
    await store.create(job_record(job_id))
    for version in range(1, versions + 1):
        await store.append(step(version, job_id=job_id), expected=version - 1)


async def refuses(error: type[JobStateError], call: Awaitable[Any], why: str) -> Any:
    """Return the error that a call has to raise."""
    try:
        answer = await call
    except error as refusal:
        return refusal
    raise AssertionError(f"{why}: {error.__name__} was due, and it answered {answer!r}")


def same(found: Iterable[Record], due: Iterable[Record]) -> None:
    """See that records are what is due to the last bit: 1, 1.0 and True are equal, and differ."""
    texts = [encoded(record) for record in found], [encoded(record) for record in due]
    assert texts[0] == texts[1], f"{texts[0]} is not what was written: {texts[1]}"


async def next_of(feed: Feed) -> Kept:
    """Return the next thing that a stream gives, or fail where none comes."""
    with patience():
        return await feed.__anext__()


async def versions_of(feed: Feed, last: int) -> list[int]:
    """Return the versions of a job that a stream gives, up to the last one."""
    found: list[int] = []
    while not found or found[-1] < last:
        record = (await next_of(feed)).record
        if isinstance(record, Entry):
            found.append(record.transition.version)
    return found
