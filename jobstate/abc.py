"""What neighbours of a job offer it: each interface, with its contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from ._errors import Refused
from ._records import Progress, Transition
from ._status import Cancellation
from ._stored import Entry, JobRecord, Kept, StoredJob

if TYPE_CHECKING:
    from ._attempt import Attempt
    from ._job import Job


class Journal(Protocol):
    """Keeps the transitions of a job somewhere safer than memory."""

    async def append(self, entry: Entry) -> Sequence[Entry] | None:
        """Write a transition down, just before the job's status changes.

        The job hears of nothing until this returns, and nobody hears of the job. Once called it
        runs to its end, however the trigger's caller is cancelled. What it raises refuses the
        transition: then it must have written nothing, and the job stays as it was.

        Returns:
            Nothing, or ``None``, where it has written. A journal that others write as well returns
            what they have written to it since the job's present version, in order, and then has
            written nothing itself: the job takes these steps, and the trigger is judged anew.
        """


@runtime_checkable
class SharedJournal(Journal, Protocol):
    """A journal that others write as well."""

    async def missed(self, job_id: str, after: int) -> Sequence[Entry]:
        """Return what was written for a job after version *after*, in order.

        It is asked before a trigger is refused, so that nobody is refused for what was true before.
        """
        ...


class Store(ABC):
    """Keeps jobs: a journal for each, to which transitions are appended by compare-and-set.

    Any number of processes may use one store, and any task or event loop of each. What is kept gets
    a *position*, which rises with each thing, whichever job it is of; nobody sees it before all
    that have a lower one. What has returned is kept, as safely as the store promises.

    A call that is cancelled, or raises `StoreBroken`, may or may not have written. How a job began,
    and each transition, has an ``append_id``: repeating a call with the same record writes it if it
    is not there yet, and otherwise returns as the first would have. (Progress has none, and can be
    reported again.) Values are taken as they are when a call is made.

    Positions and versions to begin from may be any whole numbers: before the first thing all is to
    come, and after the last nothing.

    As an asynchronous context manager, a store is opened when the block is entered, where it is not
    opened by its first use, and closed when it is left.

    Whatever is asked of it, it may raise one of these:

    Raises:
        StoreClosed: the store was closed, or is while it waits.
        StoreBroken: the world keeps the store from it; nobody is left waiting for what will not be.
        StoreBusy: another program has locked it for too long.
        ForeignStore, NewerFormat, CorruptRecord: what is there is not for this release to read. The
            ``position`` of an error about a record says where to go on past it.
        TypeError: a position or a version is no whole number.
        BadArgument: a record is of the wrong kind.
        InvalidJobId: what should name a job cannot.
    """

    durable: ClassVar[bool] = True
    """Whether what is kept outlives the process, so that it can be gone on from after a crash."""

    @abstractmethod
    async def create(self, job: JobRecord) -> int:
        """Keep a new job, and return the position.

        Raises:
            DuplicateJob: another job of that id is there; it is left as it is.
            Unstorable: something in it is no JSON, or too much.
        """

    @abstractmethod
    async def append(self, entry: Entry, *, expected: int) -> int:
        """Add a transition to its job's journal, if the job is still where the writer saw it.

        Args:
            entry: its transition's version is the next one, and its source the job's status.
            expected: the job's version so far. Of several writers that expect the same version,
                one writes and all others are refused.

        Returns:
            The position.

        Raises:
            StaleVersion: the job is at another version.
            TransitionRefused: the job is at that version, and has ended.
            JobNotFound: there is no such job.
            BadArgument: *entry* is not the one that would follow.
            Unstorable: something in it is no JSON, or too much.
        """

    @abstractmethod
    async def report(self, progress: Progress) -> None:
        """Keep the last progress of a job, in place of what was reported before.

        Of two reports of one version the later call counts. A report of an earlier version than the
        one kept is out of date, and dropped.

        Raises:
            StaleVersion: the job has not reached that version.
            JobNotFound: there is no such job.
            Unstorable: something in it is no JSON, or too much.
        """

    @abstractmethod
    async def load(self, job_id: str) -> StoredJob:
        """Return all that is kept of a job, as of one moment.

        Raises:
            JobNotFound: there is no such job.
            InvalidJobId: no job can be called that.
        """

    @abstractmethod
    async def history(self, job_id: str, *, after: int = 0) -> Sequence[Entry]:
        """Return the transitions of a job after version *after*, in order.

        Raises:
            JobNotFound: there is no such job.
            InvalidJobId: no job can be called that.
        """

    @abstractmethod
    async def unfinished(self, *, after: int = 0) -> Sequence[StoredJob]:
        """Return jobs that have not ended, in the order of their creation: the next page of them.

        Args:
            after: `StoredJob.created` of the last one of the page before. A job that is created or
                ends meanwhile may or may not be on a page to come; all others are, once.

        Returns:
            Some of them; none once there are no more.
        """

    @abstractmethod
    async def jobs(
        self, *, statuses: Collection[str] = (), before: int | None = None
    ) -> Sequence[StoredJob]:
        """Return jobs, those that were created last coming first: the next page of them.

        Args:
            statuses: only jobs that are in one of these now; in any, if there are none.
            before: `StoredJob.created` of the last one of the page before. A job that moves
                meanwhile may or may not be on a page to come; all others are, once.

        Returns:
            Some of them; none once there are no more.

        Raises:
            TypeError: *statuses* is one text, and no collection of them.
        """

    @abstractmethod
    async def prune(self, *, ended_before: float, keep: int = 0) -> int:
        """Let go of jobs that have ended, and return how many they were.

        Nothing is left of them: whoever follows one of them, or asks for it, is told that there is
        no such job, whoever follows all jobs gets what is left, and their ids are free again.
        Cancelled, some of them may be gone.

        Args:
            ended_before: POSIX seconds; by what their last transition says, which another clock
                may have given. Jobs that have not ended are never let go of.
            keep: so many of those that ended last are kept in any case.

        Raises:
            TypeError, ValueError: *ended_before* or *keep* is no such number.
        """

    @abstractmethod
    async def claim(self, name: str) -> None:
        """Take the right to run what is known by a name, whatever that is.

        Of all store objects that use the store, in whatever process, one has it at a time: until
        it is released, the store object is closed, or its process ends in whatever way. It keeps
        nobody from reading and writing. If cancelled, it was not taken.

        Raises:
            AlreadyClaimed: another store object has it, or this one.
            InvalidJobId: *name* is none that a job might have.
        """

    @abstractmethod
    async def release(self, name: str) -> None:
        """Give the right to run what is known by a name back, at once.

        Nothing is done where this store object does not have it, as when it was closed.
        """

    @abstractmethod
    def follow(self, job_id: str | None = None, *, after: int | None = 0) -> Feed:
        """Return a stream of what is kept after position *after*, and of what will be.

        Args:
            job_id: of this job, up to its end; of all jobs otherwise, and without an end.
            after: a position, such as that of the last thing read before, or of what `load` gave.
                ``None`` stands for the moment at which the block of the stream is entered: all
                that is kept later comes, and nothing of what was there.

        Raises:
            InvalidJobId: no job can be called that.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close the store, once what was asked of it is done; whoever follows is woken.

        It can be closed from any state, and twice. If cancelled, the store closes all the same.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class Feed(Protocol):
    """What a store keeps, by position, as it comes: see `Store.follow`.

    An asynchronous context manager, and an iterator inside of it. Creations and transitions come
    without a gap or a repetition, whichever process writes them, and whether or not it lives on;
    of progress, the newest comes. Nobody polls: whoever writes, wakes. A slow reader delays nobody,
    and holds a page at most. Waiting for the next thing can be cancelled, and nothing is missed.

    Raises, when iterated:
        JobNotFound: there is no such job.
        StoreClosed: the store was closed.
        StoreBroken, StoreBusy, CorruptRecord, NewerFormat: it could not be read; it can be tried
            again, and goes on where it was.
        anyio.ClosedResourceError: the block was not entered, or has been left.
        anyio.BusyResourceError: another task is waiting for the next thing.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Kept: ...


class Executor(Protocol):
    """Runs the work of jobs for a `JobRunner`: in tasks, in threads, or wherever you like."""

    limit: int | None
    """How many attempts it can run at once; ``None`` means any number. The runner sees to it."""

    def check(self, function: Any, args: tuple[Any, ...]) -> None:
        """Return if it can run this; the runner asks when the work is submitted.

        Raises:
            UnsuitableWork: it can never run this.
        """

    async def run(self, function: Any, args: tuple[Any, ...], attempt: Attempt) -> Any:
        """Do the work once: return its result, or raise what it raises.

        `current_job` is *attempt* in the caller's context. An executor that can stop the work
        says how by ``attempt.when_stopped``, and returns or raises anything once it has: raises
        `StopRequested`, where the work has nothing else to say. Cancelled, it leaves at once: work
        that can be ended by force is, and work that cannot is left to itself.
        """

    async def aclose(self) -> None:
        """End what the executor keeps between attempts. The runner that made it calls this."""


class Worker(Protocol):
    """Whoever runs the work of a job, and can be asked to stop it."""

    async def cancel(self, job: Job[Any, Any], reason: str) -> Cancellation:
        """Ask for the work of *job* to stop, and return what came of it; see `Job.cancel`."""
        ...


Happening = Literal["transitioned", "refused", "hook_failed"]
"""What observers are told of: the name of the method that is called."""


class Observer:
    """Listens to every job, and never steers: override what is of interest.

    The methods are called in the job's own task, right when things happen; they must be quick.
    What they raise is logged and goes no further.
    """

    def listens(self, to: Happening) -> bool:
        """Return whether this is to be told now; asked before each of the others is called."""
        return True

    def transitioned(self, job: Job[Any, Any], transition: Transition[Any], seconds: float) -> None:
        """Hear of a transition just committed, after *seconds* in the status before it."""

    def refused(self, job: Job[Any, Any], trigger: str, error: Refused) -> None:
        """Hear of a trigger that was refused, by the lifecycle or by a guard."""

    def hook_failed(
        self, job: Job[Any, Any], trigger: str, hook: str, error: BaseException
    ) -> None:
        """Hear of a guard or hook that raised: before the commit, which it stopped, or after it."""
