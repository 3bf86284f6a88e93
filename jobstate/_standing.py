"""Where a job stands: its data, and the one step in which they change."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, cast

from ._arguments import NO_EFFECTS, UNSET, Effects, checked_info, checked_progress
from ._compile import name_of
from ._errors import BadArgument, JobAbandoned, ReportRefused, WrongThread
from ._ids import checked_id, new_id
from ._job_lifecycle import JOB_LIFECYCLE
from ._lifecycle import Lifecycle
from ._loop import Thread, describe, home, running_loop
from ._own import Group, Own
from ._records import ErrorInfo, Outcome, Progress, S, Snapshot, T, Transition, moment
from ._status import JobStatus, RevokeCause
from ._table import Callback, Edge, HookPlace, State, Table
from ._turn import Turn
from ._waiting import Ending, Following, Listeners, each
from .abc import Journal, Worker

if TYPE_CHECKING:
    from ._job import Job

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_new_tuple: Any = tuple.__new__
"""Makes a record in half the time that its own constructor takes."""


class Standing(Generic[T, S]):
    """The data of a job: what can be read, and how it changes. See `Job`."""

    __slots__ = (
        "__weakref__",
        "_abandoned",
        "_at_end",
        "_at_step",
        "_attempt",
        "_clock",
        "_created",
        "_entered",
        "_error",
        "_extras",
        "_history",
        "_home",
        "_info",
        "_max_attempts",
        "_own",
        "_progress",
        "_reported",
        "_result",
        "_running",
        "_state",
        "_table",
        "_turn",
        "_updated",
        "id",
        "name",
    )

    _default_lifecycle: ClassVar[Lifecycle[Any]] = JOB_LIFECYCLE

    id: str
    name: str

    def __init_subclass__(cls, *, lifecycle: Lifecycle[Any] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if lifecycle is not None:
            cls._default_lifecycle = lifecycle

    def __init__(
        self,
        id: str | None = None,
        *,
        name: str = "",
        lifecycle: Lifecycle[S] | None = None,
        max_attempts: int | None = 3,
        info: Mapping[str, Any] | None = None,
        extras: Mapping[str, Any] | None = None,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.id = new_id() if id is None else checked_id(id)
        self.name = name
        if not isinstance(name, str):
            raise BadArgument(self.id, f"Job(name={name!r})", "name must be text")
        if max_attempts is not None and (type(max_attempts) is not int or max_attempts < 1):
            problem = "it must be a whole number from 1 on, or None for no limit"
            raise BadArgument(self.id, f"Job(max_attempts={max_attempts!r})", problem)
        self._info = _EMPTY if info is None else checked_info(self.id, "Job", info)
        self._extras = _EMPTY if extras is None else checked_info(self.id, "Job", extras, "extras")
        followed: object = self._default_lifecycle if lifecycle is None else lifecycle
        if not isinstance(followed, Lifecycle):
            problem = "it must be a Lifecycle; Lifecycle.from_transitions makes one of a Machine"
            raise BadArgument(self.id, f"Job(lifecycle={followed!r})", problem)
        table = followed._tables_in_use.get(type(self))
        self._table: Table = table or followed._table_for_job(type(self))
        self._state: State = self._table.initial
        self._history: list[Transition[S]] = []
        self._running = self._state.runs
        self._attempt = 1 if self._running else 0
        self._max_attempts = max_attempts
        self._progress = 0.0
        self._reported: float | None = None
        self._result: T | None = None
        self._error: ErrorInfo | None = None
        self._clock = clock
        self._created = self._updated = clock()
        self._entered: tuple[int, float] | None = None
        """How much of the history was looked at, and when a status was last entered in it."""
        loop = running_loop()
        self._home: object = home() if loop is None else loop
        self._turn: Turn | None = None
        self._at_end: Listeners[Ending] = None
        self._at_step: Listeners[Following] = None
        self._own: Own | None = None if journal is None else Own(journal)
        self._abandoned: JobAbandoned | None = None

    # --- what can be read ---

    @property
    def lifecycle(self) -> Lifecycle[S]:
        """The lifecycle that the job follows."""
        return self._table.lifecycle

    @property
    def status(self) -> S:
        """Where the job stands."""
        return cast(S, self._state.value)

    @property
    def version(self) -> int:
        """How many transitions were committed so far."""
        return len(self._history)

    @property
    def progress(self) -> float:
        """How far the present attempt has come, in percent from 0 to 100."""
        return self._progress

    @property
    def attempt(self) -> int:
        """How many attempts were started so far; the present one is the last of them."""
        return self._attempt

    @property
    def max_attempts(self) -> int | None:
        """After how many attempts `retry` gives up; ``None`` means never."""
        return self._max_attempts

    @property
    def result(self) -> T | None:
        """What the work gave; ``None`` until it succeeded."""
        return self._result

    @property
    def error_reason(self) -> str | None:
        """The type of the error that the last attempt ended with; ``None`` without one."""
        return None if self._error is None else self._error.reason or None

    @property
    def error_message(self) -> str | None:
        """What the error that the last attempt ended with said; ``None`` without one."""
        return None if self._error is None else self._error.message

    @property
    def info(self) -> Mapping[str, Any]:
        """What is known about the job; it cannot be changed, but reports replace it."""
        return self._info

    @property
    def extras(self) -> Mapping[str, Any]:
        """Details of parts of the job, where it has any."""
        return self._extras

    @property
    def created_at(self) -> datetime:
        """When the job was made, as an aware UTC datetime."""
        return moment(self._created)

    @property
    def updated_at(self) -> datetime:
        """When the job last moved or reported, as an aware UTC datetime."""
        return moment(self._updated)

    @property
    def retry_at(self) -> datetime | None:
        """When the next attempt is due, as an aware UTC datetime; ``None`` unless it waits for one.

        That is when the job entered RETRY, and the delay that `retry` was given after that.
        """
        if self._state.meaning is not JobStatus.RETRY:
            return None
        entered = next((step for step in reversed(self._history) if not step.internal), None)
        return None if entered is None else moment(entered.timestamp + (entered.delay or 0.0))

    @property
    def history(self) -> tuple[Transition[S], ...]:
        """Every transition that was committed, in order."""
        return tuple(self._history)

    @property
    def outcome(self) -> Outcome[T, S] | None:
        """How the job ended; ``None`` until it has."""
        return self._ended() if self._state.final else None

    def snapshot(self) -> Snapshot[T, S]:
        """Return all that can be read of the job now, as a record."""
        return Snapshot(
            id=self.id,
            name=self.name,
            status=self.status,
            version=self.version,
            progress=self._progress,
            attempt=self._attempt,
            max_attempts=self._max_attempts,
            result=self._result,
            error_reason=self.error_reason,
            error_message=self.error_message,
            info=dict(self._info),
            extras=dict(self._extras),
            created_at=self.created_at,
            updated_at=self.updated_at,
            retry_at=self.retry_at,
        )

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<{type(self).__name__} {self.id}{name} {self._state.name} v{self.version}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"job {self.id} cannot be pickled or copied; take its snapshot()")

    # --- guards of the default lifecycle, by name ---

    @property
    def has_attempts_left(self) -> bool:
        """Whether fewer attempts were started than `max_attempts` allows."""
        return self._max_attempts is None or self._attempt < self._max_attempts

    def can_revoke_started(
        self, *args: Any, cause: RevokeCause | str | None = None, **kwargs: Any
    ) -> bool:
        """Return whether the job may be revoked on this behalf once an attempt runs."""
        return self.lifecycle.cancel_started or cause not in (None, RevokeCause.USER)

    def report(
        self, progress: float | None = None, *, info: Mapping[str, Any] | None = None
    ) -> None:
        """Tell how far the present attempt has come.

        Args:
            progress: percent, 0 to 100; left as it is if not given.
            info: added to what is known about the job.

        Raises:
            ReportRefused: no attempt is running, or *progress* is no number from 0 to 100.
            BadArgument: *info* is no mapping.
            WrongThread: called outside the job's event loop.
        """
        self._check_home()
        if not self._state.runs:
            running = " or ".join(map(name_of, self.lifecycle.running)) or "STARTED"
            raise ReportRefused(self.id, self.status, f"only a job that is {running} can report")
        percent = checked_progress(self.id, self.status, progress)
        if info is not None:
            added = checked_info(self.id, "report", info)
            self._info = MappingProxyType({**self._info, **added})
        if percent is not None:
            self._progress = percent
        self._reported = self._clock()
        self._updated = max(self._updated, self._reported)
        for listener in each(self._at_step):
            listener.reported(cast("Job[T, S]", self))

    # --- changing ---

    def _goes_on(self, attempt: int) -> bool:
        """Whether the job has not moved on from that attempt."""
        return self._attempt == attempt and not self._state.rests

    def _drafted(self, edge: Edge, effects: Effects) -> Transition[S]:
        """Return the record of a transition that is about to be committed."""
        opens = edge.dest.runs and not self._running
        transition: Transition[S] = _new_tuple(
            Transition,
            (
                self.id,
                len(self._history) + 1,
                edge.trigger,
                edge.source.value,
                edge.dest.value,
                self._clock(),
                self._attempt + 1 if opens else self._attempt,
                effects.reason,
                effects.error,
                effects.cause,
                effects.delay,
                edge.internal,
            ),
        )
        return transition

    def _commit(self, dest: State, transition: Transition[S], effects: Effects) -> None:
        """Make the transition so, in a single step: nothing in here waits or can fail."""
        if dest.runs:
            if not self._running:
                self._running = True
                self._attempt = transition.attempt
                self._progress = 0.0
                self._reported = None
                self._error = None
        elif dest.rests:
            self._running = False
            if dest.meaning is JobStatus.SUCCESS:
                self._progress = 100.0
        if effects is not NO_EFFECTS:
            if effects.error is not None:
                self._error = effects.error
            if effects.result is not UNSET and dest.gives_result:
                self._result = effects.result
            if effects.extras is not None:
                self._extras = MappingProxyType({**self._extras, **effects.extras})
        self._state = dest
        if transition.timestamp > self._updated:
            self._updated = transition.timestamp
        self._history.append(transition)
        if self._at_step is not None:
            for listener in each(self._at_step):
                listener.moved(cast("Job[T, S]", self))
        if dest.final and self._at_end is not None:
            for waiting in each(self._at_end):
                waiting.ended(cast("Job[T, S]", self))

    def _ended(self) -> Outcome[T, S]:
        last, state, error = self._history[-1], self._state, self._error
        outcome: Outcome[T, S] = _new_tuple(
            Outcome,
            (
                self.id,
                self.name,
                state.value,
                state.meaning,
                self._result,
                None if error is None else error.reason or None,
                None if error is None else error.message,
                self._attempt,
                last.reason,
                last.cause,
                last.timestamp,
                dict(self._extras),
            ),
        )
        return outcome

    def _seconds_before(self) -> float:
        """Return how long the job stood where its last transition took it from."""
        looked_at, entered = self._entered or (0, self._created)
        for step in self._history[looked_at:-1]:
            if not step.internal:
                entered = step.timestamp
        self._entered = len(self._history) - 1, entered
        return max(0.0, self._history[-1].timestamp - entered)

    def _progress_record(self) -> Progress:
        return Progress(
            job_id=self.id,
            version=self.version,
            attempt=self._attempt,
            progress=self._progress,
            info=dict(self._info),
            timestamp=self._updated if self._reported is None else self._reported,
        )

    # --- what few jobs have ---

    @property
    def _journal(self) -> Journal | None:
        return None if self._own is None else self._own.first("journal")

    @property
    def _worker(self) -> Worker | None:
        return None if self._own is None else self._own.first("worker")

    def _hooks_on(self, place: HookPlace) -> tuple[Callback, ...]:
        """Return the hooks that belong there: the job's own, then those of its collections."""
        own = self._own
        if own is None:
            return ()
        hooks = tuple(own.hooks.get(place, ()))
        for group in own.groups:
            hooks += tuple(group.hooks.get(place, ()))
        return hooks

    def _private(self) -> Own:
        """Return what this one job has, apart from its collections."""
        own = self._own
        if own is None or isinstance(own, Group):
            own = self._own = Own(groups=() if own is None else (own,))
        return own

    def _join(self, group: Group) -> None:
        """Have what all jobs of a collection have."""
        if self._own is None:
            self._own = group
        elif self._own is not group and group not in self._own.groups:
            self._private().groups += (group,)

    def _check_home(self) -> None:
        """Raise unless this code runs where the job belongs; a loop adopts a job that has none."""
        here = home()
        if here is self._home:
            return
        mine = self._home
        if isinstance(mine, Thread) and mine.is_in_this_process and not isinstance(here, Thread):
            self._home = here
        else:
            raise WrongThread(self.id, describe(mine), describe(here))
