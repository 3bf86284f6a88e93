"""What a store promises that outlives its process, or is used by several at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import anyio

from .._run_errors import DuplicateJob
from .._store_errors import StaleVersion, StoreClosed
from .._stored import Entry, JobRecord
from ..abc import Store
from ._store_tools import (
    job_record,
    moved,
    next_of,
    patience,
    refuses,
    report,
    step,
    versions_of,
)

OpenStore: TypeAlias = Callable[[], Store]
"""Returns another store on what is kept in one place, where there is nothing at first."""


async def check_jobs_outlive_a_store(open_store: OpenStore) -> None:
    """What a store has kept is there for the next one, which goes on from it."""
    async with open_store() as store:
        assert store.durable, "it says that what it keeps does not outlive it"
        await moved(store, 3)
        await store.report(report(3, 75.0))
        before = await store.load("j1")
    async with open_store() as store:
        assert await store.load("j1") == before
        assert [stored.job.id for stored in await store.unfinished()] == ["j1"]
        refusal = await refuses(StaleVersion, store.append(step(3), expected=2), "a past version")
        assert refusal.actual == 3
        position = await store.append(step(4, "END", final=True), expected=3)
        assert position > before.position, f"position {position} was given before"
        async with store.follow("j1") as feed:
            records = [kept.record async for kept in feed]
        assert [r.transition.version for r in records if isinstance(r, Entry)] == [1, 2, 3, 4]


async def check_lost_replies_outlive_a_store(open_store: OpenStore) -> None:
    """A repetition is recognised by the next store too."""
    job, entry = job_record(), step(1)
    async with open_store() as store:
        positions = [await store.create(job), await store.append(entry, expected=0)]
    async with open_store() as store:
        again = [await store.create(job), await store.append(entry, expected=0)]
        await refuses(DuplicateJob, store.create(job_record()), "another's creation")
    assert again == positions


async def check_of_two_stores_one_commits(open_store: OpenStore) -> None:
    """Of two who race on one job from two stores, one writes each version."""
    async with open_store() as one, open_store() as other:
        await one.create(job_record())
        won: list[str] = []

        async def write(store: Store, entry: Entry) -> None:
            try:
                await store.append(entry, expected=entry.transition.version - 1)
            except StaleVersion:
                return
            won.append(entry.append_id)

        for version in range(1, 11):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write, one, step(version))
                tasks.start_soon(write, other, step(version))
        kept = [entry.append_id for entry in await other.history("j1")]
    assert kept == won, f"{kept} was written, and {won} were told so"


async def check_of_two_stores_one_creates(open_store: OpenStore) -> None:
    """Of two who race to create a job of one id, one does, and the other is told."""
    won: list[tuple[str, str]] = []

    async def create(store: Store, job: JobRecord) -> None:
        try:
            await store.create(job)
        except DuplicateJob:
            return
        won.append((job.id, job.append_id))

    async with open_store() as one, open_store() as other:
        for number in range(10):
            async with anyio.create_task_group() as tasks:
                for store in (one, other):
                    tasks.start_soon(create, store, job_record(f"n{number}"))
        there = [stored.job for stored in await one.unfinished()]
    assert won == [(job.id, job.append_id) for job in there], f"{won} were told that they created"


async def check_positions_rise_whichever_store_writes(open_store: OpenStore) -> None:
    """Who follows all jobs in a third store misses nothing of what two others write at once."""
    positions: list[int] = []
    found: list[int] = []

    async def write(store: Store, job_id: str) -> None:
        positions.append(await store.create(job_record(job_id)))
        for version in range(1, 40):
            entry = step(version, job_id=job_id)
            positions.append(await store.append(entry, expected=version - 1))

    async with open_store() as one, open_store() as other, open_store() as third:
        with patience():
            async with anyio.create_task_group() as tasks, third.follow() as feed:
                tasks.start_soon(write, one, "one")
                tasks.start_soon(write, other, "other")
                while len(found) < 80:
                    found.append((await next_of(feed)).position)
        for number, store in enumerate((one, other) * 3):
            positions.append(await store.create(job_record(f"n{number}")))
    assert found == sorted(positions[:80]), "what was written is not what came, or not in order"
    late = positions[80:]
    assert late == sorted(late), f"positions do not rise: {late}"
    assert late[0] > found[-1], f"{late[0]} was given after {found[-1]}"


async def check_another_store_follows(open_store: OpenStore) -> None:
    """What one store writes comes to whoever follows in another, though writers come and go."""
    async with open_store() as first:
        await first.create(job_record())
        async with open_store() as reader, reader.follow("j1") as feed, reader.follow() as all_jobs:
            await next_of(feed)
            await next_of(all_jobs)
            for version in range(1, 6):
                await first.append(step(version), expected=version - 1)
                assert await versions_of(feed, version) == [version]
            await first.aclose()
            async with open_store() as second:
                for version in range(6, 11):
                    await second.append(step(version), expected=version - 1)
                    assert await versions_of(feed, version) == [version]
                await second.report(report(10, 50.0))
                assert (await next_of(feed)).record == report(10, 50.0)
            assert await versions_of(all_jobs, 10) == list(range(1, 11))


async def check_closing_one_store_spares_the_others(open_store: OpenStore) -> None:
    """Who follows in a store goes on when another on the same place is closed."""
    async with open_store() as one, open_store() as other, other.follow() as feed:
        await one.create(job_record())
        await next_of(feed)
        await one.aclose()
        await refuses(StoreClosed, one.load("j1"), "a closed store")
        with patience():
            await other.append(step(1), expected=0)
        assert await versions_of(feed, 1) == [1]
