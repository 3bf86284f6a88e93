"""A job: what moves it, and what waits for it."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from inspect import isawaitable, iscoroutine
from typing import Any

from ._arguments import UNSET, checked_version
from ._errors import (
    BadArgument,
    JobAbandoned,
    NothingToDefer,
    Refused,
    TransitionRefused,
    WouldBlock,
)
from ._moving import Moving
from ._own import Own
from ._records import Outcome, S, T, Transition
from ._status import Cancellation, RevokeCause
from ._table import Callback, Hook, HookPlace, TransitionEvent, hook_callback
from ._threadsafe import ThreadsafeJob
from ._waiting import Changes, each, until_ended, until_reached


class Registration:
    """A hook on one job, or on all of a collection; `remove` takes it off again."""

    __slots__ = ("_callback", "_own", "_place")

    def __init__(self, own: Own, place: HookPlace, callback: Callback) -> None:
        own.hooks.setdefault(place, []).append(callback)
        self._own, self._place, self._callback = own, place, callback

    def remove(self) -> None:
        """Take the hook off. Doing so again does nothing."""
        hooks = self._own.hooks.get(self._place, [])
        if self._callback in hooks:
            hooks.remove(self._callback)
            if not hooks:
                del self._own.hooks[self._place]


class Job(Moving[T, S]):
    """One piece of long-running work, and where it stands.

    A job belongs to the event loop in which it is made or, made where none runs, to the first
    one that uses it. It is moved by its triggers, awaited without polling, and never moves
    itself. ``Job[T]`` gives a result of type ``T``; ``Job[T, S]`` has statuses of one's own.

    A subclass may have methods ``on_enter_STARTED``, ``on_exit_STARTED`` and so on, and methods
    that its lifecycle names as callbacks, as models of `transitions` do.

    Args:
        id: 1 to 128 of ``A-Z a-z 0-9 _ -``; by default 32 random hexadecimal digits.
        name: for people; any text.
        lifecycle: by default that of the class, which is `JOB_LIFECYCLE` unless it was declared
            with ``class Mine(Job, lifecycle=…)``.
        max_attempts: `retry` leads to RETRY while fewer attempts than this were started, and to
            FAILURE after that; ``None`` means without limit. `start` is never refused for it.
        info: anything about the job that JSON can hold; reports of progress add to it.
        extras: details of parts of the job, where it has any.
        journal: where each transition is written before it is committed.
        clock: tells POSIX seconds.

    Raises:
        InvalidJobId: *id* cannot name a job.
        BadArgument: another argument is of the wrong kind.
    """

    __slots__ = ()

    def can(self, trigger: str) -> bool:
        """Return whether the present status has such a transition. Guards are not asked.

        Raises:
            UnknownTrigger: the lifecycle has no such trigger at all.
        """
        return self._known(trigger) in self._state.ways

    async def may(self, trigger: str, /, *args: Any, **kwargs: Any) -> bool:
        """Return whether the trigger would be taken now: the guards are asked, with its arguments.

        As the ``may_…`` methods of `transitions` do, it calls what comes before a guard
        (``prepare``) and the guards, at the job's turn, and changes nothing.

        Raises:
            UnknownTrigger, BadArgument, CallbackNotFound, ReentrantTrigger, WrongThread: as
            `trigger` raises them; and what a guard raises.
        """
        try:
            await self._ask(trigger, *args, **kwargs)
        except Refused:
            return False
        return True

    # --- triggers ---

    def start(self) -> Coroutine[Any, Any, Transition[S]]:
        """Begin an attempt: from PENDING or RETRY to STARTED. See `trigger`."""
        return self._move("start", (), {})

    def succeed(self, result: T | None = UNSET) -> Coroutine[Any, Any, Transition[S]]:
        """Complete the job with its result: from STARTED to SUCCESS. See `trigger`.

        Without one the result is ``None``, and hooks are called without an argument.
        """
        return self._move("succeed", () if result is UNSET else (result,), {})

    def fail(self, error: BaseException | str) -> Coroutine[Any, Any, Transition[S]]:
        """Give up: from PENDING, STARTED or RETRY to FAILURE. See `trigger`."""
        return self._move("fail", (error,), {})

    def retry(
        self, error: BaseException | str, *, delay: float | None = None
    ) -> Coroutine[Any, Any, Transition[S]]:
        """End an attempt that failed: to RETRY, or to FAILURE if none is left. See `trigger`.

        *delay* is in seconds; it is recorded for whoever starts the next attempt.
        """
        return self._move("retry", (error,), {} if delay is None else {"delay": delay})

    def requeue(self) -> Coroutine[Any, Any, Transition[S]]:
        """Put the job back in line: from STARTED or RETRY to PENDING. See `trigger`."""
        return self._move("requeue", (), {})

    def revoke(
        self, reason: str = "", *, cause: RevokeCause = RevokeCause.USER
    ) -> Coroutine[Any, Any, Transition[S]]:
        """Cancel the job: from PENDING or RETRY to REVOKED. See `trigger`.

        From STARTED it is refused on behalf of a user, unless the lifecycle was derived with
        ``cancel_started=True``.
        """
        return self._move("revoke", *_revoke_arguments(reason, cause))

    async def cancel(self, reason: str = "") -> Cancellation:
        """Ask whoever runs the work to stop, and return what came of it.

        Before an attempt the job is revoked. Once one is running, its work is stopped first, if the
        lifecycle lets started jobs be cancelled; the answer may take as long as whoever runs it
        grants for that. Where nobody is known to run the work, the job is revoked, and whether
        somebody worked on it stays unconfirmed. Cancelling this takes nothing back.

        Raises:
            GuardRefused, TransitionRefused: the lifecycle does not let the job be cancelled now.
            HookFailed: it was revoked, and hooks after that raised.
            ReentrantTrigger, WrongThread: as `trigger` raises them.
        """
        self._check_home()
        if self._worker is not None:
            return await self._worker.cancel(self, reason)
        return await self._revoke_for_user(reason)

    async def _revoke_for_user(self, reason: str) -> Cancellation:
        try:
            transition = await self.revoke(reason)
        except TransitionRefused:
            if self._state.final:
                return Cancellation.TOO_LATE
            raise
        ran = self.lifecycle._state(self._table, transition.source)
        return Cancellation.PREVENTED if ran.rests else Cancellation.UNCONFIRMED

    def trigger(
        self, trigger: str, /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, Transition[S]]:
        """Move the job by a trigger of its lifecycle, at its turn, and return what was committed.

        Arguments are for guards and hooks; ``result=``, ``error=``, ``reason=``, ``cause=``,
        ``delay=`` and ``extras=`` are recorded as well. Without hooks, and if nobody else moves the
        job, it returns at once. Cancelled before the commit, the job is as it was; cancelled after
        it, the hooks run to their end first.

        Raises:
            TransitionRefused: the present status has no such transition.
            GuardRefused: a guard did not let it.
            UnknownTrigger: the lifecycle has no such trigger.
            BadArgument: an argument cannot be recorded.
            CallbackNotFound: a callback given by name is not there.
            HookFailed: it was committed, and hooks after the commit raised.
            ReentrantTrigger: called in a hook of the same job; use `defer`.
            WrongThread: called outside the job's event loop.

        What guards, hooks and the journal raise before the commit comes through as it is.
        """
        return self._move(trigger, args, kwargs)

    def start_nowait(self) -> Transition[S]:
        """Do as `start`, at once or not at all. See `trigger_nowait`."""
        return self._move_now("start", (), {})

    def succeed_nowait(self, result: T | None = UNSET) -> Transition[S]:
        """Do as `succeed`, at once or not at all. See `trigger_nowait`."""
        return self._move_now("succeed", () if result is UNSET else (result,), {})

    def fail_nowait(self, error: BaseException | str) -> Transition[S]:
        """Do as `fail`, at once or not at all. See `trigger_nowait`."""
        return self._move_now("fail", (error,), {})

    def retry_nowait(
        self, error: BaseException | str, *, delay: float | None = None
    ) -> Transition[S]:
        """Do as `retry`, at once or not at all. See `trigger_nowait`."""
        return self._move_now("retry", (error,), {} if delay is None else {"delay": delay})

    def requeue_nowait(self) -> Transition[S]:
        """Do as `requeue`, at once or not at all. See `trigger_nowait`."""
        return self._move_now("requeue", (), {})

    def revoke_nowait(
        self, reason: str = "", *, cause: RevokeCause = RevokeCause.USER
    ) -> Transition[S]:
        """Do as `revoke`, at once or not at all. See `trigger_nowait`."""
        return self._move_now("revoke", *_revoke_arguments(reason, cause))

    def trigger_nowait(self, trigger: str, /, *args: Any, **kwargs: Any) -> Transition[S]:
        """Move the job as `trigger` does, at once or not at all.

        Raises:
            WouldBlock: the job is in mid-transition, a hook is async, or a journal must be
                written; nothing has changed.
            TransitionRefused, GuardRefused, UnknownTrigger, BadArgument, HookFailed,
            ReentrantTrigger, WrongThread: as `trigger` raises them.
        """
        return self._move_now(trigger, args, kwargs)

    def defer(self, trigger: str, /, *args: Any, **kwargs: Any) -> None:
        """Have a trigger run right after the transition under way, before its call returns.

        For hooks, which cannot wait for their own job. If the transition is not committed, the
        trigger is not run; if the trigger is refused, the call of the transition under way tells.

        Raises:
            NothingToDefer: no transition is under way in this task, or an observer asks, who never
                steers.
            UnknownTrigger: the lifecycle has no such trigger.
            BadArgument: an argument cannot be recorded.
            WrongThread: called outside the job's event loop.
        """
        self._check_home()
        effects = self._effects(self._known(trigger), args, kwargs)
        if self._turn is None or self._turn.telling or not self._turn.is_mine:
            raise NothingToDefer(self.id, self.status, trigger)
        self._turn.deferred.append((trigger, args, kwargs, effects))

    def on(self, status_or_trigger: S | str, hook: Hook) -> Registration:
        """Add a hook to this one job, and return what removes it.

        It is called with the `TransitionEvent`: on a status after the lifecycle's own hooks on
        entering it, on a trigger after the lifecycle's own hooks after it; before the hooks of
        collections that the job is in (`Jobs.on`). If the job has already ended in that status,
        it is called now.

        Raises:
            UnknownTrigger: the lifecycle has neither such a status nor such a trigger.
            TypeError: the hook cannot be called with one argument.
            WouldBlock: the job has already ended in that status, and the hook is async.
            WrongThread: called outside the job's event loop.
        """
        self._check_home()
        callback = hook_callback(hook, f"job {self.id}")
        place = self.lifecycle._status_or_trigger(status_or_trigger)
        if self._state.final and place == ("status", self._state.name):
            answer = None if callback.may_wait(self) else callback(self._last_event())
            if callback.may_wait(self) or isawaitable(answer):
                if iscoroutine(answer):
                    answer.close()
                why = f"the job has ended so, and {callback.name} is async: await it yourself"
                raise WouldBlock(self.id, f"a hook on {self._state.name}", why)
        return Registration(self._private(), place, callback)

    @property
    def threadsafe(self) -> ThreadsafeJob[T, S]:
        """The job for other threads: triggers that give futures at once. See `ThreadsafeJob`."""
        return ThreadsafeJob(self)

    # --- waiting ---

    def completed(self) -> Coroutine[Any, Any, Outcome[T, S]]:
        """Return how the job ended, once it has; at once if it has already.

        It never raises for how the job ended. Cancelling it does not touch the job.

        Raises:
            JobAbandoned: what the job depended on has gone, so that it may never end.
            ReentrantWait: called in a hook of the same job, which would wait for itself.
            WrongThread: called outside the job's event loop.
        """
        return until_ended(self)

    def __await__(self) -> Generator[Any, Any, T]:
        return self._value().__await__()

    async def _value(self) -> T:
        return (await self.completed()).value()

    async def reached(self, *statuses: S | str, after: int = 0) -> Transition[S]:
        """Return the first transition that entered one of *statuses*, once there is one.

        At once if it lies in the past, after version *after*. Being made in a status is not
        entering it. Cancelling it does not touch the job.

        Raises:
            Unreachable: the job can no longer enter any of them. How many transitions it may
                still make is not counted: a version to come is waited for.
            UnknownStatus: the lifecycle has no such status.
            BadArgument: there are no statuses, or *after* is no version.
            JobAbandoned, ReentrantWait, WrongThread: as `completed` raises them.
        """
        self._check_home()
        if not statuses:
            raise BadArgument(self.id, "reached()", "say which statuses to wait for")
        states = [self.lifecycle._state(self._table, status) for status in statuses]
        return await until_reached(
            self,
            frozenset(state.name for state in states),
            tuple(state.value for state in states),
            checked_version(self.id, after),
        )

    def changes(self, after: int = 0) -> Changes[S]:
        """Return a stream of every transition after version *after*, and of progress.

        ``async with job.changes() as changes: async for change in changes: …``; a change is a
        `Transition` or a `Progress`. See `Changes`.

        Raises:
            BadArgument: *after* is no version.
            WrongThread: called outside the job's event loop.
        """
        self._check_home()
        return Changes(self, checked_version(self.id, after))

    def abandon(self, reason: str) -> None:
        """Wake every wait for this job with an error: what the job depends on has gone.

        For whoever drives jobs from elsewhere and cannot go on. Waits to come fail as well, until
        the job is final; the job itself stays as it is and can still be moved.

        Raises:
            WrongThread: called outside the job's event loop.
        """
        self._check_home()
        self._abandoned = JobAbandoned(self.id, self.status, reason)
        for listener in (*each(self._at_end), *each(self._at_step)):
            listener.ended(self)

    # --- helpers ---

    def _last_event(self) -> TransitionEvent[S]:
        """Return the event of the final transition, for a hook that comes after it."""
        last = self._history[-1]
        event = TransitionEvent(self, last.trigger, (), {})
        event.source, event.dest, event.transition = last.source, last.dest, last
        return event


def _revoke_arguments(reason: str, cause: RevokeCause) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (reason,) if reason else (), {} if cause is RevokeCause.USER else {"cause": cause}
