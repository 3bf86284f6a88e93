"""Every store keeps its promises, and each check catches the store that breaks what it is about."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from jobstate import (
    BadArgument,
    DuplicateJob,
    Entry,
    JobRecord,
    StaleVersion,
    StoreClosed,
    Transition,
    TransitionRefused,
    Unstorable,
)
from jobstate.stores import _feeds, decoded, encoded, memory
from jobstate.stores.memory import MemoryStore
from jobstate.testing import (
    DURABLE_STORE_CHECKS,
    STORE_CHECKS,
    _store_claiming,
    _store_closing,
    _store_durable,
    _store_following,
    _store_keeping,
    _store_listing,
    _store_pruning,
    _store_writing,
)
from jobstate.testing import _store_tools as tools
from jobstate.testing._store_tools import job_record, moved, next_of, report, step, versions_of

pytestmark = pytest.mark.anyio


def name_of(value):
    """Return how a check or a store is called in the name of a test."""
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("check", STORE_CHECKS, ids=name_of)
async def test_memory_store_keeps_its_promises(check):
    """What is promised of stores is true of the one in memory."""
    async with MemoryStore() as store:
        await check(store)


def test_every_check_is_published():
    """No check of the pages of checks is left out of the lists."""
    pages = (
        _store_keeping,
        _store_writing,
        _store_listing,
        _store_pruning,
        _store_claiming,
        _store_following,
        _store_closing,
        _store_durable,
    )
    written = {v for page in pages for k, v in vars(page).items() if k.startswith("check_")}
    assert written == {*STORE_CHECKS, *DURABLE_STORE_CHECKS}


# --- stores that break a promise ------------------------------------------------------------


class Forgetful(MemoryStore):
    """Acknowledges a transition before it is written, and writes it with the next."""

    late = None

    async def append(self, entry, *, expected):
        late, self.late = self.late, entry
        if late is not None:
            await super().append(late, expected=late.transition.version - 1)
        return self._position + 1


class Careless(MemoryStore):
    """Adds a transition wherever the job stands: no compare-and-set."""

    async def append(self, entry, *, expected):
        there = len(self._job(entry.transition.job_id).lines) - 1
        step = entry.transition._replace(version=there + 1)
        return await super().append(replace(entry, transition=step), expected=there)


class Blunt(MemoryStore):
    """Says that somebody else was first, but not where the job stands."""

    async def append(self, entry, *, expected):
        try:
            return await super().append(entry, expected=expected)
        except StaleVersion as error:
            error.actual = error.expected
            raise


class Amnesiac(MemoryStore):
    """Takes no note of who has written what, so that a repetition is refused."""

    async def append(self, entry, *, expected):
        return await super().append(replace(entry, append_id="x"), expected=expected)

    async def create(self, job):
        return await super().create(replace(job, append_id=str(self._position)))


class Trusting(MemoryStore):
    """Takes whatever has the same values for a repetition."""

    async def append(self, entry, *, expected):
        return await super().append(replace(entry, append_id="same"), expected=expected)


class Overwriting(MemoryStore):
    """Replaces a job by another of the same id."""

    async def create(self, job):
        self._jobs.pop(job.id, None)
        return await super().create(job)


class Endless(MemoryStore):
    """Lets jobs move on after their end."""

    async def append(self, entry, *, expected):
        return await super().append(replace(entry, final=False), expected=expected)


class Gapped(MemoryStore):
    """Loses the first thing of every page that follows another."""

    async def _read(self, job_id, after):
        page = await super()._read(job_id, after)
        return page._replace(kept=page.kept[1:] if after and page.more else page.kept)


class Ahead(MemoryStore):
    """Takes what comes next for something that was there."""

    async def _newest(self):
        return self._position + 1


class Behind(MemoryStore):
    """Takes the last thing that was there for something new."""

    async def _newest(self):
        return self._position - 1


class Repeating(MemoryStore):
    """Gives the last thing of a page once more with the next."""

    async def _read(self, job_id, after):
        return await super()._read(job_id, max(0, after - 1))


class Deaf(MemoryStore):
    """Wakes nobody who follows."""

    def __init__(self):
        super().__init__()
        self._feeds.moved = lambda jobs: None


class Mixed(MemoryStore):
    """Gives whoever follows one job the others too."""

    async def _read(self, job_id, after):
        page = await super()._read(None, after)
        return page._replace(over=job_id is not None and self._jobs[job_id].final)


class NeverOver(MemoryStore):
    """Does not end the stream of a job that has ended."""

    async def _read(self, job_id, after):
        return (await super()._read(job_id, after))._replace(over=False)


class FirstProgress(MemoryStore):
    """Keeps the first report of each version, and drops what follows it soon."""

    async def report(self, progress):
        there = self._job(progress.job_id)
        if there.progress is None or there.reported < progress.version:
            await super().report(progress)


class AnyProgress(MemoryStore):
    """Takes reports that are out of date, or from the future."""

    async def report(self, progress):
        job = self._job(progress.job_id)
        job.reported = 0
        lines, job.lines = job.lines, job.lines * 9
        try:
            await super().report(progress)
        finally:
            job.lines = lines


class SilentProgress(MemoryStore):
    """Tells those who follow nothing of progress."""

    async def report(self, progress):
        moved, self._feeds.moved = self._feeds.moved, lambda jobs: None
        await super().report(progress)
        self._feeds.moved = moved


class Rounding(MemoryStore):
    """Takes any number for a version."""

    async def append(self, entry, *, expected):
        return await super().append(entry, expected=int(expected))


class Sharing(MemoryStore):
    """Gives out the very values that it was given."""

    def __init__(self):
        super().__init__()
        self.given = {}

    async def create(self, job):
        self.given[job.id] = job
        return await super().create(job)

    async def load(self, job_id):
        return replace(await super().load(job_id), job=self.given[job_id])


class Hasty(MemoryStore):
    """Loses what is not in the first page of unfinished jobs."""

    async def unfinished(self, *, after=0):
        return [] if after else await super().unfinished()


class OldestFirst(MemoryStore):
    """Lists jobs in the order of their creation."""

    async def jobs(self, **asked):
        return [*reversed(await super().jobs(**asked))]


class Inclusive(MemoryStore):
    """Begins a page with the last job of the one before."""

    async def jobs(self, *, statuses=(), before=None):
        before = None if before is None else before + 1
        return await super().jobs(statuses=statuses, before=before)


class Unchanging(MemoryStore):
    """Lists jobs in the status in which they were created."""

    async def append(self, entry, *, expected):
        status = self._jobs[entry.transition.job_id].status
        position = await super().append(entry, expected=expected)
        self._jobs[entry.transition.job_id].status = status
        return position


class Hoarding(MemoryStore):
    """Says that jobs are gone, and has them all the same."""

    async def prune(self, **asked):
        jobs, self._jobs = self._jobs, dict(self._jobs)
        try:
            return await super().prune(**asked)
        finally:
            self._jobs = jobs


class Ruthless(MemoryStore):
    """Lets go of jobs that have not ended."""

    async def prune(self, **asked):
        self._jobs.clear()
        self._created.clear()
        return 1


class Unsparing(MemoryStore):
    """Keeps none of those that ended last."""

    async def prune(self, *, ended_before, keep=0):
        return await super().prune(ended_before=ended_before)


class Clockwork(MemoryStore):
    """Takes those that were created last for those that ended last."""

    async def prune(self, *, ended_before, keep=0):
        for job in self._jobs.values():
            job.ended = None if job.ended is None else job.lines[0][0]
        return await super().prune(ended_before=ended_before, keep=keep)


class Remembering(MemoryStore):
    """Tells those who follow all jobs of those that are gone."""

    async def prune(self, **asked):
        log = self._log
        gone = await super().prune(**asked)
        self._log = log
        return gone


class Credulous(MemoryStore):
    """Takes whatever it is given for a moment, and for a number of jobs."""

    async def prune(self, *, ended_before, keep=0):
        ended_before = ended_before if isinstance(ended_before, float) else 5.0
        keep = keep if isinstance(keep, int) and keep > 0 else 0
        return await super().prune(ended_before=ended_before, keep=keep)


class Generous(MemoryStore):
    """Lets a name be claimed again and again."""

    async def claim(self, name):
        self._claims.discard(name)
        await super().claim(name)


class Blurred(MemoryStore):
    """Does not tell names apart that differ in capitals."""

    async def claim(self, name):
        await super().claim(name.lower())


class Particular(MemoryStore):
    """Releases only what is held."""

    async def release(self, name):
        self._claims.remove(name)


class Searching(MemoryStore):
    """Looks for whatever it is asked for."""

    async def load(self, job_id):
        return self._stored(job_id)


class Trailing(MemoryStore):
    """Has whatever it is given followed."""

    def follow(self, job_id=None, *, after=0):
        return super().follow("j1", after=after)


class Helpful(MemoryStore):
    """Takes one text for the name of a status."""

    async def jobs(self, *, statuses=(), before=None):
        statuses = [statuses] if isinstance(statuses, str) else statuses
        return await super().jobs(statuses=statuses, before=before)


class Cold(MemoryStore):
    """Closes without a word to those who follow."""

    async def aclose(self):
        self._feeds._end = lambda: StoreClosed("in memory")


class NeverClosed(MemoryStore):
    """Goes on after it was closed."""

    async def aclose(self):
        pass


class Lax(MemoryStore):
    """Writes a transition of any version."""

    async def append(self, entry, *, expected):
        step = entry.transition._replace(version=expected + 1)
        return await super().append(replace(entry, transition=step), expected=expected)


class Inventive(MemoryStore):
    """Makes up a job that it is asked for."""

    async def load(self, job_id):
        if job_id not in self._jobs:
            await self.create(JobRecord(job_id, 0.0))
        return await super().load(job_id)


class NoneIsNothing(MemoryStore):
    """Takes a result of None for none."""

    async def append(self, entry, *, expected):
        bare = Entry(entry.transition, entry.final, append_id=entry.append_id)
        return await super().append(bare if entry.result is None else entry, expected=expected)


class Folding(MemoryStore):
    """Does not tell capital letters from small ones."""

    async def create(self, job):
        return await super().create(replace(job, id=job.id.lower()))

    async def load(self, job_id):
        return await super().load(job_id.lower())


class Lenient(MemoryStore):
    """Writes what is no JSON as text."""

    async def append(self, entry, *, expected):
        try:
            return await super().append(entry, expected=expected)
        except ValueError:
            return await super().append(replace(entry, result="?"), expected=expected)


class Skipping(MemoryStore):
    """Gives the history from the version asked for on, and not from the next."""

    async def history(self, job_id, *, after=0):
        return await super().history(job_id, after=max(0, after - 1))


def changed(value, change):
    """Return a value with each number in it changed."""
    if type(value) is dict:
        return {name: changed(member, change) for name, member in value.items()}
    if type(value) is list:
        return [changed(item, change) for item in value]
    return change(value) if type(value) in (int, float, bool) else value


class Changing(MemoryStore):
    """Keeps numbers as its database has them."""

    def change(self, number):
        """Return what becomes of a number."""
        raise NotImplementedError

    async def create(self, job):
        return await super().create(replace(job, data=changed(job.data, self.change)))

    async def append(self, entry, *, expected):
        result = changed(entry.result, self.change)
        return await super().append(replace(entry, result=result), expected=expected)


class Script(Changing):
    """Has one kind of number, as JavaScript does."""

    def change(self, number):
        return int(number) if number == int(number) else number


class Double(Changing):
    """Rounds whole numbers to 53 bits."""

    def change(self, number):
        return int(float(number)) if type(number) is int else number


class Coarse(MemoryStore):
    """Rounds moments to milliseconds."""

    async def append(self, entry, *, expected):
        rounded = entry.transition._replace(timestamp=round(entry.transition.timestamp, 3))
        return await super().append(replace(entry, transition=rounded), expected=expected)


class Forgiving(MemoryStore):
    """Gives streams less of a transition than it keeps."""

    async def _read(self, job_id, after):
        page = await super()._read(job_id, after)
        kept = [
            k._replace(record=replace(k.record, extras=None)) if type(k.record) is Entry else k
            for k in page.kept
        ]
        return page._replace(kept=kept)


class Small(MemoryStore):
    """Has a column that is too short."""

    async def append(self, entry, *, expected):
        if len(encoded(entry)) > 60_000:
            raise Unstorable(entry.transition.job_id, "result", "too long")
        return await super().append(entry, expected=expected)


class Shallow(MemoryStore):
    """Has a parser of JSON that does not go as deep."""

    async def append(self, entry, *, expected):
        if "[" * 20 in encoded(entry):
            raise Unstorable(entry.transition.job_id, "result", "too deep")
        return await super().append(entry, expected=expected)


class Signed(MemoryStore):
    """Counts from the end, where it is asked for what comes after less than nothing."""

    async def history(self, job_id, *, after=0):
        lines = self._job(job_id).lines[after + 1 :]
        return [decoded(text) for _, text in lines]


class Undiscerning(MemoryStore):
    """Reports whatever it is given."""

    async def report(self, progress):
        with suppress(BadArgument):
            await super().report(progress)


class Torn(MemoryStore):
    """Reads the journal first, and the progress a little later."""

    async def load(self, job_id):
        before = await super().load(job_id)
        for _ in range(3):
            await checkpoint()
        return replace(before, progress=(await super().load(job_id)).progress)


class EndedFirst(MemoryStore):
    """Tells whoever comes to a job that has ended that it has, wherever he saw it."""

    async def append(self, entry, *, expected):
        step = entry.transition
        try:
            return await super().append(entry, expected=expected)
        except StaleVersion:
            if self._job(step.job_id).final:
                raise TransitionRefused(step.job_id, step.source, step.trigger, ()) from None
            raise


class Unsourced(MemoryStore):
    """Takes a transition from wherever it begins."""

    async def append(self, entry, *, expected):
        status = self._job(entry.transition.job_id).status
        sourced = entry.transition._replace(source=status)
        return await super().append(replace(entry, transition=sourced), expected=expected)


class FirstStatus(MemoryStore):
    """Says of a job that is there how it began."""

    async def create(self, job):
        try:
            return await super().create(job)
        except DuplicateJob as refusal:
            raise DuplicateJob(refusal.job_id, "PENDING") from None


class Global(MemoryStore):
    """Looks for an append id wherever it may be."""

    def __init__(self):
        super().__init__()
        self.ids = {}

    async def append(self, entry, *, expected):
        if entry.append_id not in self.ids:
            self.ids[entry.append_id] = await super().append(entry, expected=expected)
        return self.ids[entry.append_id]


class Unsure(MemoryStore):
    """Forgets who has written something, where he is cancelled before he hears of it."""

    async def append(self, entry, *, expected):
        position = await super().append(entry, expected=expected)
        try:
            await checkpoint()
        except BaseException:
            self._job(entry.transition.job_id).append_ids[-1] = "lost"
            raise
        return position


class Finished(MemoryStore):
    """Drops what is reported of a job that has ended."""

    async def report(self, progress):
        if not self._job(progress.job_id).final:
            await super().report(progress)


class Bare(MemoryStore):
    """Lists unfinished jobs without their progress."""

    async def unfinished(self, *, after=0):
        return [replace(each, progress=None) for each in await super().unfinished(after=after)]


class EndsEarly(MemoryStore):
    """Ends the stream of a job that has ended with the first page."""

    async def _read(self, job_id, after):
        page = await super()._read(job_id, after)
        return page._replace(over=job_id is not None and self._job(job_id).final)


class Lingering(MemoryStore):
    """Gives streams that can be read once they were left."""

    def follow(self, job_id=None, *, after=0):
        feed = super().follow(job_id, after=after)

        class Left(_feeds.StoreFeed):
            async def __aexit__(self, *exc_info):
                self._feeds.remove(self)

        feed.__class__ = Left
        return feed


class Early(MemoryStore):
    """Gives streams that can be read before they are entered."""

    def follow(self, job_id=None, *, after=0):
        feed = super().follow(job_id, after=after)
        feed._open = True
        return feed


class LeftOpen(MemoryStore):
    """Is not closed when its block is left."""

    async def __aexit__(self, *exc_info):
        pass


class Reluctant(MemoryStore):
    """Is not closed where who closes it is cancelled."""

    async def aclose(self):
        await checkpoint()
        await super().aclose()


FAULTS = [
    (Script, "check_job_is_kept"),
    (Double, "check_job_is_kept"),
    (Coarse, "check_job_is_kept"),
    (Forgiving, "check_job_is_kept"),
    (Small, "check_the_largest_is_kept"),
    (Shallow, "check_the_largest_is_kept"),
    (Signed, "check_any_position_can_be_asked_for"),
    (Rounding, "check_positions_are_whole_numbers"),
    (Undiscerning, "check_records_of_another_kind_are_refused"),
    (Torn, "check_what_is_loaded_is_of_one_moment"),
    (EndedFirst, "check_nothing_follows_the_end"),
    (Unsourced, "check_entry_must_follow"),
    (FirstStatus, "check_second_creation_is_refused"),
    (Global, "check_repetition_does_no_harm"),
    (Unsure, "check_cancelled_call_can_be_repeated"),
    (Finished, "check_last_progress_counts"),
    (Bare, "check_unfinished_are_found"),
    (EndsEarly, "check_following_an_ended_job_ends"),
    (Early, "check_streams_are_for_one_reader"),
    (Lingering, "check_streams_are_for_one_reader"),
    (LeftOpen, "check_leaving_the_block_closes"),
    (Reluctant, "check_cancelled_closing_closes"),
    (Forgetful, "check_job_is_kept"),
    (Careless, "check_second_writer_is_told"),
    (Careless, "check_of_many_writers_one_commits"),
    (Blunt, "check_second_writer_is_told"),
    (Amnesiac, "check_repetition_does_no_harm"),
    (Trusting, "check_same_values_by_another_are_refused"),
    (Overwriting, "check_second_creation_is_refused"),
    (Overwriting, "check_refusal_spares_its_neighbours"),
    (Endless, "check_nothing_follows_the_end"),
    (Gapped, "check_follower_misses_nothing"),
    (Gapped, "check_follower_of_all_misses_nothing"),
    (Gapped, "check_slow_follower_delays_nobody"),
    (Ahead, "check_follower_from_now_on_hears_the_rest"),
    (Behind, "check_follower_from_now_on_hears_the_rest"),
    (Repeating, "check_follower_goes_on_from_a_position"),
    (Repeating, "check_cancelled_follower_misses_nothing"),
    (Deaf, "check_follower_misses_nothing"),
    (Deaf, "check_closing_wakes_who_follows"),
    (Mixed, "check_follower_hears_of_its_job_alone"),
    (NeverOver, "check_following_an_ended_job_ends"),
    (FirstProgress, "check_last_progress_counts"),
    (AnyProgress, "check_last_progress_counts"),
    (AnyProgress, "check_progress_of_the_future_is_refused"),
    (SilentProgress, "check_follower_hears_the_last_progress"),
    (Sharing, "check_values_are_taken_at_once"),
    (Hasty, "check_unfinished_are_found"),
    (OldestFirst, "check_jobs_are_listed"),
    (Inclusive, "check_jobs_are_listed"),
    (Unchanging, "check_jobs_are_listed_as_they_are_now"),
    (Hoarding, "check_pruned_jobs_are_gone"),
    (Ruthless, "check_unfinished_jobs_are_never_pruned"),
    (Unsparing, "check_those_that_ended_last_can_be_kept"),
    (Clockwork, "check_pruning_goes_by_what_was_recorded"),
    (Remembering, "check_followers_skip_pruned_jobs"),
    (Credulous, "check_nonsense_prunes_nothing"),
    (Generous, "check_a_name_is_claimed_once"),
    (Blurred, "check_claimed_names_are_apart"),
    (Particular, "check_releasing_too_much_does_nothing"),
    (Searching, "check_names_of_no_job_are_refused"),
    (Trailing, "check_names_of_no_job_are_refused"),
    (Helpful, "check_jobs_are_listed_as_they_are_now"),
    (Cold, "check_closing_wakes_who_follows"),
    (NeverClosed, "check_closed_store_says_so"),
    (NeverClosed, "check_unused_store_closes"),
    (Lax, "check_entry_must_follow"),
    (Inventive, "check_unknown_job_is_told"),
    (NoneIsNothing, "check_no_result_and_none_differ"),
    (Folding, "check_ids_are_apart"),
    (Lenient, "check_unstorable_changes_nothing"),
    (Skipping, "check_history_begins_where_asked"),
]
"""Each store with a check that is meant for what it does wrong."""


@pytest.mark.parametrize(("faulty", "check"), FAULTS, ids=name_of)
async def test_a_faulty_store_is_caught(faulty, check, monkeypatch):
    """A store that breaks a promise fails the check of that promise."""
    monkeypatch.setattr(tools, "PATIENCE", 0.2)
    (meant,) = (each for each in STORE_CHECKS if each.__name__ == check)
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # an assertion, or an error
        await meant(faulty())
    failures = caught.value
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    assert isinstance(failures, Exception)


def test_every_check_catches_something():
    """Each check, but for one about shape, has a store that it alone is shown to catch."""
    shape = {"check_what_was_asked_before_closing_is_answered"}
    assert {check for _, check in FAULTS} | shape == {check.__name__ for check in STORE_CHECKS}


# --- what else is true of the store in memory -----------------------------------------------


async def test_it_says_how_many_jobs_it_has():
    """Shown, it says what it is."""
    async with MemoryStore() as store:
        await moved(store, 1)
        assert repr(store) == "<MemoryStore of 1 jobs>"


def test_it_does_not_outlive_the_process():
    """Whoever goes on after a crash can tell that there is nothing to go on from."""
    assert not MemoryStore.durable


async def test_reports_take_no_more_room():
    """However many reports come, the last of each job is kept alone."""
    async with MemoryStore() as store:
        await moved(store, 1)
        for _ in range(1000):
            await store.report(report(1, 50.0))
        assert len(store._log) + len(store._reports) == 3


async def test_a_page_is_no_longer_than_a_page():
    """Whoever follows holds a page at most, whatever there is."""
    async with MemoryStore() as store:
        await moved(store, 200)
        async with store.follow("j1") as feed:
            await next_of(feed)
            assert len(feed._page) == memory._PAGE - 1
        assert len(feed._page) == 0


async def test_whoever_reads_much_lets_others_run():
    """Other tasks get their turn with each page that is read, and so does a cancellation."""
    async with MemoryStore() as store:
        for number in range(200):
            await store.create(job_record(f"n{number}"))
        found = []
        with anyio.CancelScope() as scope:
            async with store.follow() as feed:
                async for kept in feed:
                    found.append(kept)
                    if len(found) == 1:
                        scope.cancel()
        assert scope.cancelled_caught
        assert len(found) == memory._PAGE


# --- streams --------------------------------------------------------------------------------


async def test_leaving_a_stream_leaves_nothing_behind():
    """A stream that was left is told of nothing more, and is not kept."""
    async with MemoryStore() as store:
        await store.create(job_record())
        async with store.follow("j1"), store.follow("j1"), store.follow():
            assert store._feeds
        assert not store._feeds
        assert store._feeds._of_job == {}


async def test_a_stream_that_could_not_be_entered_leaves_nothing_behind():
    """Where nobody can say what is new, the stream is not entered, and is told of nothing."""

    class Failing(MemoryStore):
        async def _newest(self):
            raise OSError("not now")

    async with Failing() as store:
        feed = store.follow(after=None)
        with pytest.raises(OSError, match="not now"):
            await feed.__aenter__()
        assert not store._feeds
        with pytest.raises(anyio.ClosedResourceError):
            await next_of(feed)


async def test_leaving_a_stream_wakes_who_reads_it():
    """A task that waits for the next thing is told when another leaves the block."""
    async with MemoryStore() as store:
        await store.create(job_record())
        closed = []

        async def read(feed):
            try:
                await next_of(feed)
            except anyio.ClosedResourceError:
                closed.append(feed)

        async with anyio.create_task_group() as tasks, store.follow("j1") as feed:
            await next_of(feed)
            tasks.start_soon(read, feed)
            await anyio.wait_all_tasks_blocked()
        assert closed == [feed]


async def test_a_stream_is_woken_from_other_threads():
    """Whoever writes in another thread wakes those who follow in theirs."""
    async with MemoryStore() as store:
        await store.create(job_record())
        woken = threading.Event()

        def write():
            store._feeds.moved(["j1"])
            woken.set()

        async with store.follow("j1") as feed:
            await next_of(feed)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(versions_of, feed, 1)
                await anyio.wait_all_tasks_blocked()
                moved_by_us, store._feeds.moved = store._feeds.moved, lambda jobs: None
                await store.append(step(1), expected=0)
                store._feeds.moved = moved_by_us
                await anyio.to_thread.run_sync(write)
        assert woken.is_set()


async def test_a_busy_loop_is_told_once(monkeypatch):
    """However much is written while an event loop is busy, a stream has one callback in it."""
    told, call_soon = [], _feeds.call_soon

    def counted(place, callback):
        told.append(place)
        call_soon(place, callback)

    monkeypatch.setattr(_feeds, "call_soon", counted)
    async with MemoryStore() as store:
        await store.create(job_record())
        async with store.follow("j1") as feed:
            await next_of(feed)
            for version in (1, 2):
                writer = threading.Thread(target=lambda: [feed.wake() for _ in range(100)])
                writer.start()
                writer.join()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(versions_of, feed, version)
                    await anyio.wait_all_tasks_blocked()
                    assert len(told) == version
                    await store.append(step(version), expected=version - 1)


def test_a_stream_of_an_ended_loop_is_passed_over(anyio_backend):
    """Whose event loop has ended without leaving the block is told nothing, and harms nobody."""
    feeds = _feeds.Feeds(lambda job_id, after: None, lambda: None)

    async def enter():
        feed = _feeds.StoreFeed(feeds, None, 0)
        await feed.__aenter__()

    name, options = anyio_backend
    anyio.run(enter, backend=name, backend_options=options)
    feeds.moved(None)
    feeds.close(lambda: StoreClosed("x"))


async def test_a_read_that_fails_can_be_tried_again():
    """An error of the store comes to the reader, who goes on where it was."""
    failing = [OSError("not now")]

    class Failing(MemoryStore):
        async def _read(self, job_id, after):
            if failing:
                raise failing.pop()
            return await super()._read(job_id, after)

    async with Failing() as store:
        await store.create(job_record())
        async with store.follow("j1") as feed:
            with pytest.raises(OSError, match="not now"):
                await next_of(feed)
            assert (await next_of(feed)).record.id == "j1"


async def test_a_read_that_ends_after_the_block_is_dropped():
    """What comes for a stream that was left meanwhile is not kept."""
    reading, go_on = anyio.Event(), anyio.Event()

    class Slow(MemoryStore):
        async def _read(self, job_id, after):
            reading.set()
            await go_on.wait()
            return await super()._read(job_id, after)

    async def read(feed):
        with pytest.raises(anyio.ClosedResourceError):
            await next_of(feed)

    async with Slow() as store, anyio.create_task_group() as tasks:
        await store.create(job_record())
        async with store.follow("j1") as feed:
            tasks.start_soon(read, feed)
            await reading.wait()
        go_on.set()
    assert len(feed._page) == 0


async def test_transitions_of_a_store_are_records():
    """What is followed is what was appended, statuses by name."""
    async with MemoryStore() as store:
        await moved(store, 1)
        async with store.follow("j1", after=1) as feed:
            kept = await next_of(feed)
    assert kept.position == 2
    assert isinstance(kept.record.transition, Transition)
    assert kept.record.transition.dest == "STARTED"
