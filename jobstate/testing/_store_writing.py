"""What every store promises of writing and reading: compare-and-set, repetition, progress."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio

from .._errors import BadArgument, InvalidJobId, JobStateError, TransitionRefused
from .._records import ErrorInfo, Transition
from .._run_errors import DuplicateJob, JobNotFound
from .._status import JobStatus, RevokeCause
from .._store_errors import StaleVersion, Unstorable
from .._stored import Entry, StoredJob
from ..abc import Store
from ._store_tools import LONG, job_record, moved, next_of, refuses, report, step

# --- writing and reading --------------------------------------------------------------------


async def check_job_is_kept(store: Store) -> None:
    """What was written of a job is read as it was, to the last field."""
    job = job_record(
        name="print 'x'; --\n",
        lifecycle="print",
        max_attempts=None,
        info={"größe": [1, 2.5, None, True, {"a": {}}]},
        extras={"queue": "north"},
        data={"args": [1], "text": "'\";\\\x00🖨"},
    )
    error = ErrorInfo("ValueError", "no 'paper'", "Traceback …\n")
    retry = Transition(
        "j1", 2, "retry", "STARTED", "RETRY", 3.5, 1, "jam", error, RevokeCause.ADMIN, 2.5, True
    )
    entries = (
        step(1),
        Entry(retry, extras={"page": 7}),
        step(3, "SUCCESS", final=True, result={"pages": [1]}),
    )
    positions = [await store.create(job)]
    positions += [await store.append(entries[0], expected=0)]
    positions += [await store.append(entries[1], expected=1)]
    await store.report(report(2, 50.0))
    positions += [await store.append(entries[2], expected=2)]
    stored = await store.load("j1")
    assert stored.job == job, f"{stored.job} is not {job}"
    assert stored.entries == entries, f"{stored.entries} are not {entries}"
    assert stored.progress == report(2, 50.0), f"{stored.progress} was not reported"
    assert stored.created == positions[0]
    assert stored.position == positions[-1]
    assert positions == sorted(set(positions)), f"positions do not rise: {positions}"


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


async def check_values_are_taken_at_once(store: Store) -> None:
    """What the caller changes afterwards, and what a reader does, changes nothing."""
    info: dict[str, Any] = {"rows": [1]}
    await store.create(job_record(info=info))
    info["rows"].append(2)
    (await store.load("j1")).job.info["rows"].append(3)
    assert (await store.load("j1")).job.info == {"rows": [1]}


# --- compare-and-set ------------------------------------------------------------------------


async def check_second_creation_is_refused(store: Store) -> None:
    """Another job of the same id is refused, and the first one stays as it is."""
    await store.create(job_record(name="first"))
    refusal = await refuses(DuplicateJob, store.create(job_record(name="second")), "the same id")
    assert refusal.status == "PENDING"
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

    async def write(version: int, name: str) -> None:
        try:
            await store.append(step(version, name), expected=version - 1)
        except StaleVersion as refusal:
            told.append((version, refusal.actual))
        else:
            won.append((version, name))

    for version in range(1, 6):
        async with anyio.create_task_group() as tasks:
            for number in range(16):
                tasks.start_soon(write, version, f"S{number}")
    kept = [(e.transition.version, e.transition.dest) for e in await store.history("j1")]
    assert kept == won, f"{kept} was written, and {won} were told so"
    assert len(told) == 5 * 15
    assert all(actual >= version for version, actual in told), f"they were told: {told}"


async def check_entry_must_follow(store: Store) -> None:
    """A transition that would leave a gap in the journal makes no sense, whatever is expected."""
    await moved(store, 1)
    for version in (1, 3):
        await refuses(BadArgument, store.append(step(version), expected=1), "a gap")
    assert (await store.load("j1")).version == 1


async def check_nothing_follows_the_end(store: Store) -> None:
    """A job that has ended stays so, for whoever saw it end too."""
    await store.create(job_record())
    await store.append(step(1, "SUCCESS", final=True), expected=0)
    await refuses(TransitionRefused, store.append(step(2), expected=1), "after the end")
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


async def check_progress_of_the_future_is_refused(store: Store) -> None:
    """A report of a version that the job has not reached is from somebody who is mistaken."""
    await moved(store, 1)
    refusal = await refuses(StaleVersion, store.report(report(2, 50.0)), "a version to come")
    assert (refusal.expected, refusal.actual) == (2, 1)
    assert (await store.load("j1")).progress is None


# --- which jobs there are -------------------------------------------------------------------


async def check_unfinished_are_found(store: Store) -> None:
    """Every job that has not ended is found once, in the order of creation, page by page."""
    for number in range(LONG):
        await store.create(job_record(f"n{number}"))
    for number in range(0, LONG, 3):
        await store.append(step(1, "END", f"n{number}", final=True), expected=0)
    for number in range(1, LONG, 3):
        await store.append(step(1, job_id=f"n{number}"), expected=0)
    found: list[StoredJob] = []
    while page := await store.unfinished(after=found[-1].created if found else 0):
        found += page
    ids = [stored.job.id for stored in found]
    assert ids == [f"n{number}" for number in range(LONG) if number % 3], ids
    assert found[0] == await store.load("n1")


async def check_jobs_are_listed(store: Store) -> None:
    """Every job is listed once, the newest first, page by page; or those in some statuses."""
    assert await store.jobs() == []
    for number in range(LONG):
        await store.create(job_record(f"n{number}"))
    for number in range(0, LONG, 3):
        await store.append(step(1, "END", f"n{number}", final=True), expected=0)
    for number in range(1, LONG, 3):
        await store.append(step(1, job_id=f"n{number}"), expected=0)
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
    for status, due in (("PENDING", []), ("STARTED", []), ("END", ["j1"]), ("OWN", ["j2"])):
        ids = [stored.job.id for stored in await store.jobs(statuses=[status])]
        assert ids == due, f"in {status} are {ids}"
    try:
        await store.jobs(statuses="END")
    except TypeError:
        return
    raise AssertionError("a text was taken for the names of statuses")
