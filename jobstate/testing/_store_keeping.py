"""What every store promises of what it keeps: it is read as it was written, or refused at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from .._codec import encoded
from .._errors import BadArgument, InvalidJobId
from .._json import DEEPEST, LARGEST
from .._records import ErrorInfo, Progress, Transition
from .._run_errors import JobNotFound
from .._status import RevokeCause
from .._store_errors import Unstorable
from .._stored import Entry, JobRecord
from ..abc import Store
from ._store_tools import (
    job_record,
    moved,
    next_of,
    patience,
    refuses,
    report,
    same,
    step,
    versions_of,
)

NUMBERS = [1, 1.0, True, 0.1 + 0.2, -0.0, 5e-324, 2**53 + 1, 2**63 - 1, -(2**63)]
"""Some that other languages, and columns of databases, round or take for each other."""

MOMENT = 1700000000.1234567
"""As exact as a clock tells it."""


async def check_job_is_kept(store: Store) -> None:
    """What was written of a job is read and followed as it was, to the last bit."""
    job = JobRecord(
        "j1",
        MOMENT,
        name="print 'x'; --\n",
        lifecycle="print",
        max_attempts=None,
        info={"größe": [*NUMBERS, None, {"a": {}}]},
        extras={"queue": "north", "numbers": NUMBERS},
        data={"args": NUMBERS, "text": "'\";\\\x00🖨"},
    )
    error = ErrorInfo("ValueError", "no 'paper'", "Traceback …\n")
    retry = Transition(
        "j1", 2, "retry", "STARTED", "RETRY", MOMENT, 1, "jam", error, RevokeCause.ADMIN, 2.5, True
    )
    entries = (
        step(1),
        Entry(retry, extras={"page": NUMBERS}),
        step(3, "SUCCESS", source="RETRY", final=True, result={"pages": NUMBERS}),
    )
    last = Progress("j1", 2, 1, 50.0, {"rows": NUMBERS}, MOMENT)
    positions = [await store.create(job)]
    positions += [await store.append(entries[0], expected=0)]
    positions += [await store.append(entries[1], expected=1)]
    await store.report(last)
    positions += [await store.append(entries[2], expected=2)]
    stored = await store.load("j1")
    assert stored.progress is not None, "there is no progress"
    same([stored.job, *stored.entries, stored.progress], [job, *entries, last])
    same(await store.history("j1"), entries)
    async with store.follow("j1") as feed:
        with patience():
            same([kept.record async for kept in feed], [job, *entries[:2], last, entries[2]])
    assert stored.created == positions[0]
    assert stored.position == positions[-1]
    assert positions == sorted(set(positions)), f"positions do not rise: {positions}"


async def check_the_largest_is_kept(store: Store) -> None:
    """What is as large, or as deep, as anything may be that is stored is read as it was."""
    deep: list[Any] = []
    for _ in range(DEEPEST - 2):
        deep = [deep]
    room = LARGEST - len(encoded(step(2, result="")))
    entries = (step(1, result=deep), step(2, result="x" * room))
    await store.create(job_record())
    for entry in entries:
        await store.append(entry, expected=entry.transition.version - 1)
    same((await store.load("j1")).entries, entries)


async def check_no_result_and_none_differ(store: Store) -> None:
    """A result of None is one, and no result is none."""
    await store.create(job_record())
    await store.append(step(1), expected=0)
    await store.append(step(2, result=None), expected=1)
    without, with_none = (await store.load("j1")).entries
    assert with_none.result is None
    assert without == step(1, append_id=without.append_id)


async def check_unknown_job_is_told(store: Store) -> None:
    """Of a job that was never created there is nothing, and nothing is written for it."""
    for call in (
        partial(store.load, "j1"),
        partial(store.history, "j1"),
        partial(store.append, step(1), expected=0),
        partial(store.report, report(0, 5.0)),
    ):
        await refuses(JobNotFound, call(), "an unknown job")
    async with store.follow("j1") as feed:
        await refuses(JobNotFound, next_of(feed), "following an unknown job")
    assert await store.unfinished() == []


async def check_history_begins_where_asked(store: Store) -> None:
    """The history after a version begins with the next one."""
    await moved(store, 3)
    for after in range(5):
        versions = [e.transition.version for e in await store.history("j1", after=after)]
        assert versions == [1, 2, 3][after:], f"after {after} came {versions}"


async def check_any_position_can_be_asked_for(store: Store) -> None:
    """Before the first thing there is all to come, and after the last nothing, however far."""
    await moved(store, 2)
    for low in (-1, -(2**70)):
        versions = [entry.transition.version for entry in await store.history("j1", after=low)]
        assert versions == [1, 2], f"after {low} came {versions}"
        assert len(await store.unfinished(after=low)) == 1
        assert await store.jobs(before=low) == []
        async with store.follow("j1", after=low) as feed:
            assert await versions_of(feed, 2) == [1, 2]
    high = 2**70
    assert await store.history("j1", after=high) == []
    assert await store.unfinished(after=high) == []
    assert len(await store.jobs(before=high)) == 1
    await store.append(step(3, "END", final=True), expected=2)
    async with store.follow("j1", after=high) as feed:
        with patience():
            assert [kept async for kept in feed] == []


async def check_positions_are_whole_numbers(store: Store) -> None:
    """What is no whole number is no position, and no version, and nothing is written for it."""
    await moved(store, 1)

    async def follow(after: Any) -> None:
        async with store.follow("j1", after=after):
            pass

    calls: list[Callable[[Any], Awaitable[Any]]] = [
        lambda after: store.history("j1", after=after),
        lambda after: store.unfinished(after=after),
        lambda before: store.jobs(before=before),
        lambda expected: store.append(step(2), expected=expected),
        follow,
    ]
    for wrong in (1.0, "1"):
        for call in calls:
            try:
                await call(wrong)
            except TypeError:
                continue
            raise AssertionError(f"{wrong!r} was taken for a whole number")
    assert (await store.load("j1")).version == 1


async def check_ids_are_apart(store: Store) -> None:
    """Jobs whose ids look alike are different jobs."""
    ids = ["a", "A", "a-", "a_", "_", "-", "1", "01", "a" * 128, "a" * 127]
    for job_id in ids:
        await store.create(job_record(job_id, name=job_id))
    for job_id in ids:
        assert (await store.load(job_id)).job.name == job_id


async def check_names_of_no_job_are_refused(store: Store) -> None:
    """What cannot name a job is asked of nothing, however it would read in SQL, a path, a line."""
    await store.create(job_record())
    wrong: list[Any] = [
        *("", "a" * 129, "größe", "j1 ", "j1\n", "j1\x00", "' OR '1'='1", 'j1"', "j1; --", "j%"),
        *("../j1", "/etc/passwd", "a/b", ".", "j1\\", "\ud800", 1, b"j1", ["j1"], float("nan")),
    ]
    for job_id in wrong:
        await refuses(InvalidJobId, store.load(job_id), repr(job_id))
        await refuses(InvalidJobId, store.history(job_id), repr(job_id))
        await refuses(Unstorable, store.create(job_record(job_id)), repr(job_id))
        entry = step(1, job_id=job_id)
        await refuses(Unstorable, store.append(entry, expected=0), repr(job_id))
        await refuses(Unstorable, store.report(report(0, 5.0, job_id)), repr(job_id))
        try:
            store.follow(job_id)
        except InvalidJobId:
            continue
        raise AssertionError(f"{job_id!r} can be followed")
    assert await store.jobs() == [await store.load("j1")]


async def check_unstorable_changes_nothing(store: Store) -> None:
    """What is no JSON is refused with a word on where, and nothing of it is written."""
    await refuses(Unstorable, store.create(job_record(info={"x": {1}})), "a set")
    await refuses(JobNotFound, store.load("j1"), "a job that was refused")
    await refuses(Unstorable, store.create(job_record("a b")), "an id that is none")
    await moved(store, 1)
    for wrong in (float("nan"), (1,), "x" * 65536, {1: 2}):
        refusal = await refuses(
            Unstorable, store.append(step(2, result=wrong), expected=1), repr(wrong)[:20]
        )
        assert refusal.job_id == "j1"
    await refuses(Unstorable, store.report(report(1, 101.0)), "101 percent")
    stored = await store.load("j1")
    assert (stored.version, stored.progress) == (1, None)


async def check_records_of_another_kind_are_refused(store: Store) -> None:
    """What is no beginning of a job, no transition, or no progress is not kept in its place."""
    await moved(store, 1)
    before = await store.load("j1")
    wrong: list[tuple[Callable[[Any], Awaitable[Any]], Any]] = [
        (store.create, step(2)),
        (store.create, None),
        (partial(store.append, expected=1), job_record("j2")),
        (partial(store.append, expected=1), report(1, 5.0)),
        (store.report, step(2)),
    ]
    for call, record in wrong:
        await refuses(BadArgument, call(record), f"{record} where it cannot be")
    assert await store.jobs() == [before]


async def check_what_is_loaded_is_of_one_moment(store: Store) -> None:
    """However much is written meanwhile, what is loaded is how the job was at some moment."""
    await store.create(job_record())
    last = 40

    async def write() -> None:
        for version in range(1, last + 1):
            await store.append(step(version), expected=version - 1)
            await store.report(report(version, 50.0))
            await checkpoint()

    with patience():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            version = 0
            while version < last:
                stored = await store.load("j1")
                version = stored.version
                reported = stored.progress.version if stored.progress else 0
                assert version - 1 <= reported <= version, f"{reported} was reported at {version}"
                await checkpoint()


async def check_values_are_taken_at_once(store: Store) -> None:
    """What the caller changes afterwards, and what a reader does, changes nothing."""
    info: dict[str, Any] = {"rows": [1]}
    await store.create(job_record(info=info))
    info["rows"].append(2)
    (await store.load("j1")).job.info["rows"].append(3)
    assert (await store.load("j1")).job.info == {"rows": [1]}
