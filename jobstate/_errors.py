"""Every error of the package: one family, each holding its facts and writing its own sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ._portable import named, portable, shown

if TYPE_CHECKING:
    from ._records import Transition


class JobStateError(Exception):
    """The base of every error of this package.

    Besides, it raises ``TypeError`` and ``ValueError`` where a call makes no sense in itself.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduced(self, self.args)


def _reduced(error: JobStateError, made_of: tuple[Any, ...]) -> tuple[Any, ...]:
    held = {name: portable(fact) for name, fact in vars(error).items()}  # notes are in there
    return type(error), portable(made_of), held


def _listed(names: Iterable[object], nothing: str) -> str:
    return ", ".join(named(name) for name in names) or nothing


def nearest(asked: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'start'?)" where a known name is close to the one asked for."""
    folded = {name.casefold(): name for name in map(str, known)}
    near = get_close_matches(asked.casefold(), folded, n=1)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""


# --- a trigger that does not move the job ---------------------------------------------------


class Refused(JobStateError):
    """The job stays where it is, and nothing about it has changed."""


class TransitionRefused(Refused):
    """The job's present status has no such transition."""

    def __init__(self, job_id: str, status: Any, trigger: str, possible: Iterable[str]) -> None:
        self.job_id, self.status, self.trigger = job_id, status, trigger
        self.possible = tuple(sorted(possible))
        super().__init__(job_id, status, trigger, self.possible)

    def __str__(self) -> str:
        can = _listed(self.possible, "nothing: it is final")
        return f"job {self.job_id} is {named(self.status)}: cannot {self.trigger}; possible: {can}"


class GuardRefused(Refused):
    """A guard kept the job from a transition that its status has.

    A guard passes by answering what equals ``True`` (``False`` for one given as ``unless``);
    anything else refuses. `refusals` holds one ``(destination, guard, answer)`` for each
    candidate, in order.
    """

    def __init__(
        self, job_id: str, status: Any, trigger: str, refusals: Iterable[tuple[Any, str, str]]
    ) -> None:
        self.job_id, self.status, self.trigger = job_id, status, trigger
        self.refusals = tuple(refusals)
        super().__init__(job_id, status, trigger, self.refusals)

    @property
    def guard(self) -> str:
        """The name of the first guard that refused."""
        return self.refusals[0][1]

    def __str__(self) -> str:
        answers = "; ".join(
            f"guard {guard} of the way to {named(dest)} answered {answer}"
            for dest, guard, answer in self.refusals
        )
        return f"job {self.job_id} is {named(self.status)}: cannot {self.trigger}: {answers}"


class UnknownTrigger(JobStateError, AttributeError):
    """The lifecycle has no trigger of that name, from any status."""

    def __init__(self, lifecycle: str, trigger: str, known: Iterable[str]) -> None:
        self.lifecycle, self.trigger, self.known = lifecycle, trigger, tuple(sorted(known))
        super().__init__(lifecycle, trigger, self.known)

    def __str__(self) -> str:
        hint = nearest(str(self.trigger), self.known)
        return (
            f"lifecycle {self.lifecycle} has no trigger {self.trigger!r}{hint}; "
            f"it has: {_listed(self.known, 'none')}"
        )


class UnknownStatus(JobStateError, ValueError):
    """The lifecycle has no status of that name."""

    def __init__(self, lifecycle: str, status: object, known: Iterable[str]) -> None:
        self.lifecycle, self.status, self.known = lifecycle, status, tuple(known)
        super().__init__(lifecycle, status, self.known)

    def __str__(self) -> str:
        name = named(self.status)
        foreign = name in self.known  # a member of another enum: naming it would say nothing
        hint = "" if foreign else nearest(name, self.known)
        return (
            f"lifecycle {self.lifecycle} has no status {self.status if foreign else name!r}{hint}; "
            f"it has: {_listed(self.known, 'none')}"
        )


class BadArgument(JobStateError, TypeError):
    """A trigger or a report was given something it cannot record; nothing has changed."""

    def __init__(self, job_id: str, asked: str, problem: str) -> None:
        self.job_id, self.asked, self.problem = job_id, asked, problem
        super().__init__(job_id, asked, problem)

    def __str__(self) -> str:
        return f"job {self.job_id}: {self.asked}: {self.problem}"


class InvalidJobId(JobStateError, ValueError):
    """The text cannot name a job."""

    def __init__(self, job_id: object) -> None:
        self.job_id = job_id
        super().__init__(job_id)

    def __str__(self) -> str:
        text = shown(self.job_id)
        if len(text) > 60:
            long = len(self.job_id) if isinstance(self.job_id, (str, bytes)) else len(text)
            text = f"{text[:60]}… ({long} characters)"
        return f"{text} cannot name a job: use 1 to 128 ASCII letters, digits, '_' and '-'"


class ReentrantTrigger(JobStateError):
    """A hook triggered its own job and waited for it, which would wait for itself."""

    def __init__(self, job_id: str, status: Any, trigger: str) -> None:
        self.job_id, self.status, self.trigger = job_id, status, trigger
        super().__init__(job_id, status, trigger)

    def __str__(self) -> str:
        return (
            f"job {self.job_id} is {named(self.status)} and in the middle of a transition that "
            f"this very task runs: {self.trigger} would wait for itself; use "
            f"job.defer({self.trigger!r}) to have it run right after the present transition"
        )


class ReentrantWait(JobStateError):
    """A hook waited for its own job, which cannot move until the hook is done."""

    def __init__(self, job_id: str, status: Any) -> None:
        self.job_id, self.status = job_id, status
        super().__init__(job_id, status)

    def __str__(self) -> str:
        return (
            f"job {self.job_id} is {named(self.status)} and in the middle of a transition that "
            "this very task runs: the wait would never end; wait in another task"
        )


class WouldBlock(JobStateError):
    """The trigger cannot be done at once; nothing has changed."""

    def __init__(self, job_id: str, trigger: str, why: str) -> None:
        self.job_id, self.trigger, self.why = job_id, trigger, why
        super().__init__(job_id, trigger, why)

    def __str__(self) -> str:
        return f"job {self.job_id}: {self.trigger} cannot be done at once: {self.why}"


class NothingToDefer(JobStateError):
    """`defer` was called where no transition was under way, or by a task that has no part in it."""

    def __init__(self, job_id: str, status: Any, trigger: str) -> None:
        self.job_id, self.status, self.trigger = job_id, status, trigger
        super().__init__(job_id, status, trigger)

    def __str__(self) -> str:
        return (
            f"job {self.job_id} is {named(self.status)} and in no transition of this task that "
            f"{self.trigger} could follow: await job.{self.trigger}(…) instead of deferring it"
        )


class WrongThread(JobStateError):
    """The job was used outside the event loop that it belongs to."""

    def __init__(self, job_id: str, owner: str, here: str) -> None:
        self.job_id, self.owner, self.here = job_id, owner, here
        super().__init__(job_id, owner, here)

    def __str__(self) -> str:
        return (
            f"job {self.job_id} belongs to {self.owner}, and this is {self.here}; use "
            "job.threadsafe.start(), which gives a future, or in a worker thread of anyio, to wait "
            "there, anyio.from_thread.run(job.start)"
        )


class HookFailed(JobStateError, ExceptionGroup[Exception]):
    """The transition was committed, and hooks that ran after it raised.

    `transition` is what was committed; `exceptions` are what the hooks raised, in order.
    """

    transition: Transition[Any]

    def __new__(cls, transition: Transition[Any], failures: Sequence[Exception]) -> HookFailed:
        self = super().__new__(
            cls,
            f"job {transition.job_id} is {named(transition.dest)}: {transition.trigger} "
            "was committed, and hooks after it failed",
            failures,
        )
        self.transition = transition
        return self

    def __init__(self, transition: Transition[Any], failures: Sequence[Exception]) -> None:
        super().__init__(self.message, failures)

    def derive(self, excs: Sequence[Exception]) -> HookFailed:  # type: ignore[override]  # the same for all
        """Return the same group with other exceptions, as ``except*`` and ``split`` need it."""
        return type(self)(self.transition, excs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduced(self, (self.transition, self.exceptions))


class ReportRefused(JobStateError, ValueError):
    """A report of progress was refused; nothing has changed."""

    def __init__(self, job_id: str, status: Any, why: str) -> None:
        self.job_id, self.status, self.why = job_id, status, why
        super().__init__(job_id, status, why)

    def __str__(self) -> str:
        return f"job {self.job_id} is {named(self.status)}: report refused: {self.why}"


# --- a wait that cannot be answered ---------------------------------------------------------


class Unreachable(JobStateError):
    """The job can no longer reach any of the statuses that were waited for."""

    def __init__(self, job_id: str, status: Any, wanted: Iterable[Any], after: int) -> None:
        self.job_id, self.status = job_id, status
        self.wanted, self.after = tuple(wanted), after
        super().__init__(job_id, status, self.wanted, after)

    def __str__(self) -> str:
        wanted = " or ".join(named(status) for status in self.wanted)
        later = f" after version {self.after}" if self.after else ""
        return f"job {self.job_id} is {named(self.status)}: it can never reach {wanted}{later}"


class JobAbandoned(JobStateError):
    """What the job depended on has gone, so nobody can tell how it will end."""

    def __init__(self, job_id: str, status: Any, reason: str) -> None:
        self.job_id, self.status, self.reason = job_id, status, reason
        super().__init__(job_id, status, reason)

    def __str__(self) -> str:
        return f"job {self.job_id} was {named(self.status)} when it was abandoned: {self.reason}"


# --- how a job ended, as an exception -------------------------------------------------------


class JobFailed(JobStateError):
    """The job ended in failure, so it has no result."""

    def __init__(
        self,
        job_id: str,
        status: Any,
        error_reason: str | None,
        error_message: str | None,
        attempts: int,
    ) -> None:
        self.job_id, self.status, self.attempts = job_id, status, attempts
        self.error_reason, self.error_message = error_reason, error_message
        super().__init__(job_id, status, error_reason, error_message, attempts)

    def __str__(self) -> str:
        told = ": ".join(part for part in (self.error_reason, self.error_message) if part)
        times = "attempt" if self.attempts == 1 else "attempts"
        return (
            f"job {self.job_id} ended {named(self.status)} after {self.attempts} {times}: "
            f"{told or 'no reason was given'}"
        )


class JobRevoked(JobStateError):
    """The job was revoked, so it has no result."""

    def __init__(
        self, job_id: str, status: Any, reason: str, cause: str | None, attempts: int
    ) -> None:
        self.job_id, self.status, self.attempts = job_id, status, attempts
        self.reason, self.cause = reason, cause
        super().__init__(job_id, status, reason, cause, attempts)

    def __str__(self) -> str:
        by = f" by {self.cause}" if self.cause else ""
        return (
            f"job {self.job_id} ended {named(self.status)}{by}: "
            f"{self.reason or 'no reason was given'}"
        )


class OutcomeUndeclared(JobStateError):
    """The lifecycle does not say whether the job's final status is a success."""

    def __init__(self, job_id: str, status: Any) -> None:
        self.job_id, self.status = job_id, status
        super().__init__(job_id, status)

    def __str__(self) -> str:
        name = named(self.status)
        return (
            f"job {self.job_id} ended {name}, and its lifecycle does not say what that means: "
            f"declare it, as in Lifecycle(…, means={{{name!r}: JobStatus.SUCCESS}})"
        )


# --- a lifecycle that cannot be ------------------------------------------------------------


class _Problems(JobStateError):
    """A definition with everything that is wrong with it."""

    _sentence = ""

    def __init__(self, lifecycle: str, problems: Iterable[str]) -> None:
        self.lifecycle, self.problems = lifecycle, tuple(problems)
        super().__init__(lifecycle, self.problems)

    def __str__(self) -> str:
        return "\n  - ".join((f"lifecycle {self.lifecycle} {self._sentence}:", *self.problems))


class InvalidLifecycle(_Problems, ValueError):
    """The definition has defects; `problems` lists each one."""

    _sentence = "cannot be built"


class UnsupportedDefinition(_Problems, ValueError):
    """The `transitions` machine would not behave the same here; `reasons` lists why."""

    _sentence = "cannot behave as its transitions machine does"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Each reason, as a sentence."""
        return self.problems


class LifecycleSealed(JobStateError):
    """The lifecycle has jobs already (or is a default one), so it can no longer be changed."""

    def __init__(self, lifecycle: str) -> None:
        self.lifecycle = lifecycle
        super().__init__(lifecycle)

    def __str__(self) -> str:
        return (
            f"lifecycle {self.lifecycle} is sealed: jobs rely on it as it is; add guards and hooks "
            "to a lifecycle.derive() before its first job"
        )


class CallbackNotFound(JobStateError, AttributeError):
    """A callback given by name is neither on the job nor importable."""

    def __init__(self, job_type: str, callback: str, known: Iterable[str]) -> None:
        self.job_type, self.callback, self.known = job_type, callback, tuple(known)
        super().__init__(job_type, callback, self.known)

    def __str__(self) -> str:
        hint = nearest(self.callback, self.known)
        return (
            f"callback {self.callback!r} is neither an attribute of {self.job_type}{hint} "
            "nor the dotted name of something that can be imported"
        )
