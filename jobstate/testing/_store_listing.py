"""What every store promises of its lists of jobs: each is there once, page by page."""

from __future__ import annotations

from .._status import JobStatus
from .._stored import StoredJob
from ..abc import Store
from ._store_tools import LONG, job_record, moved, report, step


async def _filled(store: Store) -> None:
    """Create many jobs: of each three, one ends, one starts, and one waits."""
    for number in range(LONG):
        await store.create(job_record(f"n{number}"))
    for number in range(0, LONG, 3):
        await store.append(step(1, "END", f"n{number}", final=True), expected=0)
    for number in range(1, LONG, 3):
        await store.append(step(1, job_id=f"n{number}"), expected=0)


async def check_unfinished_are_found(store: Store) -> None:
    """Every job that has not ended is found once, in the order of creation, page by page."""
    await _filled(store)
    await store.report(report(1, 50.0, "n1"))
    found: list[StoredJob] = []
    while page := await store.unfinished(after=found[-1].created if found else 0):
        found += page
    ids = [stored.job.id for stored in found]
    assert ids == [f"n{number}" for number in range(LONG) if number % 3], ids
    assert found[0] == await store.load("n1"), "it is listed without all that is kept of it"


async def check_jobs_are_listed(store: Store) -> None:
    """Every job is listed once, the newest first, page by page; or those in some statuses."""
    assert await store.jobs() == []
    await _filled(store)
    for statuses, due in (
        ((), (0, 1, 2)),
        (["END"], (0,)),
        ({"STARTED", "END"}, (0, 1)),
        ((JobStatus.PENDING, JobStatus.STARTED, "none"), (1, 2)),
        (["none"], ()),
    ):
        found: list[StoredJob] = []
        before: int | None = None
        while page := await store.jobs(statuses=statuses, before=before):
            assert before is None or page[0].created < before, "a page repeats the one before"
            found += page
            before = page[-1].created
        ids = [stored.job.id for stored in found]
        wanted = [f"n{number}" for number in reversed(range(LONG)) if number % 3 in due]
        assert ids == wanted, f"in {statuses} are {ids}"
    assert found == []
    (newest, *_) = await store.jobs(statuses=["STARTED"])
    assert newest == await store.load(newest.job.id)


async def check_jobs_are_listed_as_they_are_now(store: Store) -> None:
    """A job is listed in the status in which it is, and no longer in those where it was."""
    await moved(store, 1)
    await store.append(step(2, "END", final=True), expected=1)
    await store.create(job_record("j2", status="OWN"))
    due = {"END": ["j1"], "OWN": ["j2"]}
    for status in ("PENDING", "STARTED", "END", "OWN", "'", "\ud800"):
        ids = [stored.job.id for stored in await store.jobs(statuses=[status])]
        assert ids == due.get(status, []), f"in {status!r} are {ids}"
    try:
        await store.jobs(statuses="END")
    except TypeError:
        return
    raise AssertionError("a text was taken for the names of statuses")
