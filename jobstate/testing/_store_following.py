"""What every store promises of following: nothing is missed, and nothing comes twice."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from .._records import Progress
from .._stored import Entry, JobRecord, Kept, Record
from ..abc import Store
from ._store_tools import (
    LONG,
    job_record,
    moved,
    next_of,
    patience,
    report,
    step,
    versions_of,
)


async def check_follower_misses_nothing(store: Store) -> None:
    """Whoever follows a job gets all of it in order, what was there and what comes, to its end."""
    await moved(store, LONG)
    last = LONG + 50

    async def write() -> None:
        for version in range(LONG + 1, last + 1):
            await store.append(step(version, final=version == last), expected=version - 1)
            if version % 7 == 0:
                await checkpoint()

    records: list[Record] = []
    with patience():
        async with anyio.create_task_group() as tasks, store.follow("j1") as feed:
            tasks.start_soon(write)
            records += [kept.record async for kept in feed]
    found = [record.transition.version for record in records if isinstance(record, Entry)]
    assert found == list(range(1, last + 1)), f"of 1 to {last} came {found}"


async def check_follower_of_all_misses_nothing(store: Store) -> None:
    """Whoever follows all jobs gets each creation and each transition once, by position."""
    positions: list[int] = []
    found: list[Kept] = []

    async def write(name: str) -> None:
        positions.append(await store.create(job_record(name)))
        for version in range(1, 40):
            entry = step(version, job_id=name)
            positions.append(await store.append(entry, expected=version - 1))

    with patience():
        async with anyio.create_task_group() as tasks, store.follow() as feed:
            for number in range(4):
                tasks.start_soon(write, f"n{number}")
            while len(found) < 160:
                found.append(await next_of(feed))
    came = [kept.position for kept in found]
    assert came == sorted(positions), "what was written is not what came, or not in order"


async def check_follower_goes_on_from_a_position(store: Store) -> None:
    """What was loaded is followed on from its position: nothing twice, and nothing is missed."""
    await moved(store, 3)
    await store.report(report(3, 10.0))
    stored = await store.load("j1")
    await store.append(step(4), expected=3)
    for job_id in ("j1", None):
        async with store.follow(job_id, after=stored.position) as feed:
            kept = await next_of(feed)
            assert isinstance(kept.record, Entry)
            assert kept.record.transition.version == 4, kept
        async with store.follow(job_id, after=stored.created) as feed:
            assert await versions_of(feed, 4) == [1, 2, 3, 4]


async def check_follower_from_now_on_hears_the_rest(store: Store) -> None:
    """Who follows from now on gets nothing of what was there, and all that comes after that."""
    await moved(store, 3)
    await store.report(report(3, 10.0))
    for job_id in ("j1", None):
        async with store.follow(job_id, after=None) as feed:
            version = (await store.load("j1")).version + 1
            await store.append(step(version), expected=version - 1)
            kept = await next_of(feed)
            assert isinstance(kept.record, Entry), f"{kept} was there before"
            assert kept.record.transition.version == version, f"{kept} is not what came first"
    await store.append(step(version + 1, "END", final=True), expected=version)
    async with store.follow("j1", after=None) as late:
        with patience():
            assert [kept async for kept in late] == []


async def check_follower_hears_of_its_job_alone(store: Store) -> None:
    """Other jobs do not come up in the stream of one."""
    await moved(store, 1, "other")
    await moved(store, 1)
    await store.append(step(2, "END", final=True), expected=1)
    await store.append(step(2, job_id="other"), expected=1)
    async with store.follow("j1") as feed:
        records = [kept.record async for kept in feed]
    assert [type(record) for record in records] == [JobRecord, Entry, Entry]
    assert records[0] == (await store.load("j1")).job


async def check_following_an_ended_job_ends(store: Store) -> None:
    """The stream of a job ends with it, for a late follower too, and at once."""
    await store.create(job_record())
    end = await store.append(step(1, "END", final=True), expected=0)
    await moved(store, LONG, "long")
    await store.append(step(LONG + 1, "END", "long", final=True), expected=LONG)
    for job_id, after, due in (("j1", 0, 2), ("j1", end, 0), ("long", 0, LONG + 2)):
        async with store.follow(job_id, after=after) as feed:
            with patience():
                came = len([kept async for kept in feed])
        assert came == due, f"of {due} things came {came}"


async def check_follower_hears_the_last_progress(store: Store) -> None:
    """Progress comes to whoever follows, folded to the newest, and the last report always."""
    await moved(store, 1)
    async with store.follow("j1") as feed, store.follow() as everything:
        for progress in range(100):
            await store.report(report(1, float(progress)))
        for stream in (feed, everything):
            record: object = None
            while not (isinstance(record, Progress) and record.progress == 99.0):
                record = (await next_of(stream)).record
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.report, report(1, 99.5))
            record = (await next_of(feed)).record
    assert record == report(1, 99.5)
    async with store.follow("j1") as late:
        records = [(await next_of(late)).record for _ in range(3)]
    assert records[-1] == report(1, 99.5)


async def check_cancelled_follower_misses_nothing(store: Store) -> None:
    """Who gives up waiting, and tries again, gets what came meanwhile."""
    await store.create(job_record())
    found: list[int] = []
    async with store.follow("j1") as feed:
        await next_of(feed)
        for version in range(1, 30):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:

                    async def wait() -> None:
                        record = (await next_of(feed)).record
                        assert isinstance(record, Entry)
                        found.append(record.transition.version)

                    tasks.start_soon(wait)
                    for _ in range(version % 5):
                        await checkpoint()
                    scope.cancel()
            await store.append(step(version), expected=version - 1)
        while len(found) < 29:
            record = (await next_of(feed)).record
            assert isinstance(record, Entry)
            found.append(record.transition.version)
    assert found == list(range(1, 30)), found


async def check_slow_follower_delays_nobody(store: Store) -> None:
    """Somebody who does not read on keeps no writer and no other reader waiting."""
    await store.create(job_record())
    async with store.follow("j1") as slow, store.follow("j1") as quick:
        await next_of(slow)
        with patience():
            for version in range(1, LONG):
                await store.append(step(version), expected=version - 1)
        assert await versions_of(quick, LONG - 1) == list(range(1, LONG))
        assert await versions_of(slow, LONG - 1) == list(range(1, LONG))


async def check_streams_are_for_one_reader(store: Store) -> None:
    """A stream is read inside of its block, by one task at a time."""
    await store.create(job_record())
    feed = store.follow("j1")
    try:
        await feed.__anext__()
    except anyio.ClosedResourceError:
        pass
    else:
        raise AssertionError("it was read before its block was entered")
    second = anyio.Event()

    async def wait() -> None:
        try:
            await next_of(feed)
        except anyio.BusyResourceError:
            second.set()

    async with feed:
        await next_of(feed)
        with patience():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                tasks.start_soon(wait)
                await second.wait()
                await store.append(step(1), expected=0)
        await store.append(step(2), expected=1)
    try:
        await next_of(feed)
    except anyio.ClosedResourceError:
        return
    raise AssertionError("it was read after its block was left")
