"""What every store promises of writing: compare-and-set, repetition, progress."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from .._errors import BadArgument, JobStateError, TransitionRefused
from .._run_errors import DuplicateJob
from .._status import JobStatus
from .._store_errors import StaleVersion
from .._stored import Entry
from ..abc import Store
from ._store_tools import job_record, moved, refuses, report, step


async def check_second_creation_is_refused(store: Store) -> None:
    """Another job of the same id is refused, and the first one stays as it is."""
    await store.create(job_record(name="first"))
    for status in ("PENDING", "STARTED"):
        second = store.create(job_record(name="second"))
        refusal = await refuses(DuplicateJob, second, "the same id")
        assert refusal.status == status, f"it is said to be {refusal.status}, and is {status}"
        if status == "PENDING":
            await store.append(step(1), expected=0)
    assert (await store.load("j1")).job.name == "first"


async def check_second_writer_is_told(store: Store) -> None:
    """Of two writers that saw one version, the second is told which version there is."""
    await moved(store, 2)
    for expected in (0, 1):
        late = store.append(step(expected + 1, "LATE"), expected=expected)
        refusal = await refuses(StaleVersion, late, "a version that is gone")
        assert (refusal.expected, refusal.actual) == (expected, 2), refusal
    early = store.append(step(4), expected=3)
    refusal = await refuses(StaleVersion, early, "a version to come")
    assert (refusal.expected, refusal.actual) == (3, 2), refusal
    assert [e.transition.dest for e in await store.history("j1")] == ["STARTED"] * 2


async def check_of_many_writers_one_commits(store: Store) -> None:
    """However many write at once, each version is written once, and all others are told."""
    await store.create(job_record())
    won: list[tuple[int, str]] = []
    told: list[tuple[int, int]] = []

    async def write(entry: Entry) -> None:
        version = entry.transition.version
        try:
            await store.append(entry, expected=version - 1)
        except StaleVersion as refusal:
            told.append((version, refusal.actual))
        else:
            won.append((version, entry.append_id))

    for version in range(1, 6):
        async with anyio.create_task_group() as tasks:
            for _ in range(16):
                tasks.start_soon(write, step(version))
    kept = [(entry.transition.version, entry.append_id) for entry in await store.history("j1")]
    assert kept == won, f"{kept} was written, and {won} were told so"
    assert len(told) == 5 * 15
    assert all(actual >= version for version, actual in told), f"they were told: {told}"


async def check_entry_must_follow(store: Store) -> None:
    """A transition that would leave a gap in the journal, or begins elsewhere, makes no sense."""
    await moved(store, 1)
    for version in (1, 3):
        await refuses(BadArgument, store.append(step(version), expected=1), "a gap")
    elsewhere = step(2, source="PENDING")
    await refuses(BadArgument, store.append(elsewhere, expected=1), "another status")
    await refuses(StaleVersion, store.append(step(1, source="GONE"), expected=0), "a late one")
    assert (await store.load("j1")).version == 1


async def check_nothing_follows_the_end(store: Store) -> None:
    """A job that has ended stays so; whoever did not see it end is told that it has moved."""
    await store.create(job_record())
    await store.append(step(1, "SUCCESS", final=True), expected=0)
    await refuses(TransitionRefused, store.append(step(2), expected=1), "after the end")
    late = await refuses(StaleVersion, store.append(step(1), expected=0), "a past version")
    assert late.actual == 1
    stored = await store.load("j1")
    assert (stored.version, stored.status, stored.final) == (1, JobStatus.SUCCESS, True)


async def check_repetition_does_no_harm(store: Store) -> None:
    """What is written again, as after a lost reply, is there already: the answer is the same."""
    job, first, last = job_record(), step(1), step(2, "SUCCESS", final=True)
    calls = [
        partial(store.create, job),
        partial(store.append, first, expected=0),
        partial(store.append, last, expected=1),
    ]
    positions: list[int] = []
    for call in calls:
        positions += [await call(), await call()]
    positions += [await call() for call in calls]
    one, two, three = positions[::2][:3]
    assert positions == [one, one, two, two, three, three, one, two, three], positions
    assert (await store.load("j1")).entries == (first, last)
    await store.create(job_record("j2", append_id=job.append_id))
    await store.append(step(1, job_id="j2", append_id=first.append_id), expected=0)
    assert (await store.load("j2")).version == 1, "what another job has was taken for a repetition"


async def check_cancelled_call_can_be_repeated(store: Store) -> None:
    """Who was cancelled does not know whether it was written; repeated, it is, and once."""
    job, entries = job_record(), [step(version) for version in range(1, 13)]
    calls: list[Callable[[], Coroutine[Any, Any, int]]] = [partial(store.create, job)]
    calls += [partial(store.append, e, expected=e.transition.version - 1) for e in entries]
    for number, call in enumerate(calls):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                for _ in range(number % 4):
                    await checkpoint()
                scope.cancel()
        await call()
    assert (await store.load("j1")).entries == tuple(entries)


async def check_same_values_by_another_are_refused(store: Store) -> None:
    """Two who write the same are two: only the append id tells a repetition."""
    await moved(store, 1)
    await refuses(StaleVersion, store.append(step(1), expected=0), "another's append")
    await refuses(DuplicateJob, store.create(job_record()), "another's creation")


async def check_refusal_spares_its_neighbours(store: Store) -> None:
    """Of many calls at one time, those that are refused do not fail the others."""
    await moved(store, 1, "other")
    refused: list[type[JobStateError]] = []

    async def write(number: int) -> None:
        try:
            if number % 3 == 0:
                await store.append(step(1, job_id="other"), expected=0)
            elif number % 3 == 1:
                await store.create(job_record("other"))
            else:
                await store.create(job_record(f"n{number}"))
        except (StaleVersion, DuplicateJob) as refusal:
            refused.append(type(refusal))

    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(write, number)
    assert len(refused) == 20
    for number in range(2, 30, 3):
        assert (await store.load(f"n{number}")).version == 0


# --- progress -------------------------------------------------------------------------------


async def check_last_progress_counts(store: Store) -> None:
    """The last report of a job is there, and no other; of one version, the later call counts."""
    await moved(store, 1)
    for progress in (10.0, 90.0, 30.0):
        await store.report(report(1, progress))
    assert (await store.load("j1")).progress == report(1, 30.0)
    await store.append(step(2), expected=1)
    await store.report(report(2, 5.0))
    await store.report(report(1, 99.0))
    stored = await store.load("j1")
    assert stored.progress == report(2, 5.0), f"{stored.progress} came last"
    assert stored.position > stored.created
    await store.append(step(3, "END", final=True), expected=2)
    await store.report(report(3, 100.0))
    assert (await store.load("j1")).progress == report(3, 100.0), "it was late, and is not there"


async def check_progress_of_the_future_is_refused(store: Store) -> None:
    """A report of a version that the job has not reached is from somebody who is mistaken."""
    await moved(store, 1)
    refusal = await refuses(StaleVersion, store.report(report(2, 50.0)), "a version to come")
    assert (refusal.expected, refusal.actual) == (2, 1)
    assert (await store.load("j1")).progress is None
