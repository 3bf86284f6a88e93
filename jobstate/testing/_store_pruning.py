"""What every store promises of letting go of jobs that have ended."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from .._run_errors import JobNotFound
from .._stored import Entry, JobRecord
from ..abc import Store
from ._store_durable import OpenStore
from ._store_tools import LONG, job_record, moved, next_of, patience, refuses, report, step


async def ended(store: Store, job_id: str, at: float) -> None:
    """Keep a job that has ended at some time."""
    await store.create(job_record(job_id))
    entry = step(1, "END", job_id, final=True)
    late = replace(entry, transition=entry.transition._replace(timestamp=at))
    await store.append(late, expected=0)


async def left(store: Store) -> list[str]:
    """Return the ids of all jobs that there are, in the order of their creation."""
    ids: list[str] = []
    before: int | None = None
    while page := await store.jobs(before=before):
        ids += [stored.job.id for stored in page]
        before = page[-1].created
    return ids[::-1]


async def check_pruned_jobs_are_gone(store: Store) -> None:
    """Of jobs that ended before a moment nothing is left, and their ids are free again."""
    for number in range(LONG):
        await ended(store, f"n{number}", float(number))
    await moved(store, 3, "going-on")
    count = await store.prune(ended_before=250.0)
    assert count == 250, f"{count} are said to be gone, of 250"
    assert await left(store) == [*(f"n{number}" for number in range(250, LONG)), "going-on"]
    for call in (
        partial(store.load, "n7"),
        partial(store.history, "n7"),
        partial(store.append, step(2, job_id="n7"), expected=1),
        partial(store.report, report(1, 5.0, "n7")),
    ):
        await refuses(JobNotFound, call(), "a job that is gone")
    assert await store.prune(ended_before=250.0) == 0
    await store.create(job_record("n7", name="another"))
    assert (await store.load("n7")).job.name == "another"


async def check_unfinished_jobs_are_never_pruned(store: Store) -> None:
    """A job that has not ended is there, and goes on, however old it is."""
    await moved(store, 2)
    await store.report(report(2, 50.0))
    before = await store.load("j1")
    await ended(store, "j2", 1.0)
    assert await store.prune(ended_before=float("inf")) == 1
    assert await store.load("j1") == before
    assert [stored.job.id for stored in await store.unfinished()] == ["j1"]
    await store.append(step(3), expected=2)


async def check_those_that_ended_last_can_be_kept(store: Store) -> None:
    """So many as are to be kept are, though they ended before, and no more."""
    for number in range(10):
        await ended(store, f"n{number}", float(number))
    assert await store.prune(ended_before=100.0, keep=10) == 0
    assert await store.prune(ended_before=100.0, keep=11) == 0
    assert await store.prune(ended_before=100.0, keep=2**64) == 0
    assert await store.prune(ended_before=100.0, keep=4) == 6
    assert await left(store) == ["n6", "n7", "n8", "n9"]
    assert await store.prune(ended_before=8.0, keep=1) == 2
    assert await left(store) == ["n8", "n9"]


async def check_pruning_goes_by_what_was_recorded(store: Store) -> None:
    """A clock that was set back harms nobody: times are kept as they were given, and count."""
    for job_id, at in (("a", 30.0), ("b", 10.0), ("c", 20.0), ("d", -5.5), ("e", 20.0)):
        await ended(store, job_id, at)
    times = [(await store.load(job_id)).entries[0].transition.timestamp for job_id in "abcde"]
    assert times == [30.0, 10.0, 20.0, -5.5, 20.0], f"the times are {times}"
    assert await store.prune(ended_before=20.0) == 2
    assert await left(store) == ["a", "c", "e"]
    assert await store.prune(ended_before=25.0, keep=2) == 1
    assert await left(store) == ["a", "e"], "of two that ended at one time, the older is to go"


async def check_followers_skip_pruned_jobs(store: Store) -> None:
    """Who follows all jobs gets what is left, and goes on; of a job that is gone there is none."""
    for number in range(LONG):
        await ended(store, f"n{number}", float(number))
    position = (await store.load("n10")).created
    async with store.follow() as early, store.follow("n7") as of_one:
        await next_of(early)
        with patience():
            await store.prune(ended_before=LONG - 1.0)
        await refuses(JobNotFound, next_of(of_one), "a job that is gone")
        await store.create(job_record("new"))
        async with store.follow() as late, store.follow(after=position) as between:
            for feed in (late, between, early):
                ids: list[str] = []
                while not ids or ids[-1] != "new":
                    record = (await next_of(feed)).record
                    if isinstance(record, JobRecord):
                        ids.append(record.id)
                kept = [f"n{LONG - 1}", "new"]
                assert ids == kept or (feed is early and ids[-2:] == kept), ids
        await store.append(step(1, job_id="new"), expected=0)
        assert isinstance((await next_of(early)).record, Entry)


async def check_nonsense_prunes_nothing(store: Store) -> None:
    """What is no moment, or no number of jobs, is refused, and all jobs stay."""
    await ended(store, "j1", 1.0)
    nonsense: list[tuple[Any, Any, type[Exception]]] = [
        ("2030-01-01", 0, TypeError),
        (None, 0, TypeError),
        (float("nan"), 0, ValueError),
        (10**400, 0, ValueError),
        (5.0, -1, ValueError),
        (5.0, 0.5, TypeError),
    ]
    for ended_before, keep, error in nonsense:
        try:
            await store.prune(ended_before=ended_before, keep=keep)
        except error:
            continue
        raise AssertionError(f"it was pruned before {ended_before!r}, keeping {keep!r}")
    assert await store.prune(ended_before=-(2**70)) == 0
    assert await left(store) == ["j1"]


async def check_another_store_hears_of_pruning(open_store: OpenStore) -> None:
    """Who follows a job in another store is told of its end, or that it is gone: nobody waits."""
    async with open_store() as one, open_store() as other:
        for number in range(10):
            job_id = f"n{number}"
            await one.create(job_record(job_id))
            async with other.follow(job_id) as feed:
                await next_of(feed)

                async def follow_to_the_end() -> None:
                    try:
                        async for kept in feed:
                            assert isinstance(kept.record, Entry)
                    except JobNotFound:
                        pass

                with patience():
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(follow_to_the_end)
                        entry = step(1, "END", job_id, final=True)
                        await one.append(entry, expected=0)
                        assert await one.prune(ended_before=100.0) == 1
            await refuses(JobNotFound, other.load(job_id), "a job that is gone")
