"""The compiled form of a lifecycle: one flat table, made once, shared by all its jobs.

A `State` knows the way out of it for each trigger, a `Way` holds the candidates in order, an
`Edge` holds everything that taking it will run. Nothing here changes once it is compiled, and
a job holds nothing but a pointer to the `State` it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import (
    getattr_static,
    isasyncgenfunction,
    iscoroutinefunction,
    isgeneratorfunction,
    signature,
)
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict

from ._errors import CallbackNotFound
from ._records import S, Transition
from ._status import JobStatus

if TYPE_CHECKING:
    from ._job import Job
    from ._lifecycle import Lifecycle


class TransitionEvent(Generic[S]):
    """What a guard or hook is told of the transition that it is part of.

    `source` and `dest` are statuses, `args` and `kwargs` what the trigger was called with, and
    `transition` is the record once it is committed (``None`` in guards and before).
    """

    __slots__ = (
        "args",
        "data",
        "dest",
        "error",
        "job",
        "kwargs",
        "source",
        "transition",
        "trigger",
    )

    def __init__(
        self, job: Job[Any, S], trigger: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.job, self.trigger, self.args, self.kwargs = job, trigger, args, kwargs
        self.source: S = job.status
        self.dest: S = self.source
        self.transition: Transition[S] | None = None
        self.error: BaseException | None = None
        """What is being raised, in a hook on exceptions."""
        self.data: Any = None
        """The ``EventData`` of `transitions`, in a lifecycle with ``send_event``."""

    def start_from(self, state: State) -> None:
        """Note that others have moved the job, which is judged anew from where it stands."""
        self.source = self.dest = state.value
        if self.data is not None:
            self.data.state = state.live

    def fail(self, error: BaseException, *, heard: bool = True) -> None:
        """Note what is being raised; *heard*: `transitions` would raise it too."""
        self.error = error
        if heard and self.data is not None:
            self.data.error = error

    def __repr__(self) -> str:
        step = "committed" if self.transition else "under way"
        return f"<TransitionEvent {self.trigger} of job {self.job.id}, {step}>"


Hook = Callable[[TransitionEvent[Any]], Any]
"""A guard or hook of one's own: called with the event; it may be async."""


Callbacks = str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None
"""Callbacks as `transitions` takes them: functions, names of methods of the job, dotted names."""


class MachineWide(TypedDict, total=False):
    """Callbacks that belong to every transition of a lifecycle, as `transitions` has them."""

    prepare_event: Callbacks
    before_state_change: Callbacks
    after_state_change: Callbacks
    finalize_event: Callbacks
    on_exception: Callbacks
    on_final: Callbacks


MACHINE_WIDE = tuple(MachineWide.__annotations__)

HookPlace = tuple[Literal["status", "trigger"], str]
"""Where a hook on one job belongs."""


class Callback:
    """One callable of a definition, and how it is called: here, with the event alone."""

    __slots__ = ("func", "name")

    def __init__(self, func: Any) -> None:
        self.func = func
        self.name: str = func if isinstance(func, str) else _name_of(func)

    def __call__(self, event: TransitionEvent[Any]) -> Any:
        return self.func(event)

    def may_wait(self, job: Job[Any, Any]) -> bool:
        """Whether it is async, so that it cannot be called where nothing may wait."""
        return _is_async(self.func)


class PlainCallback(Callback):
    """Called as `transitions` does by default: with the trigger's own arguments."""

    __slots__ = ()

    def __call__(self, event: TransitionEvent[Any]) -> Any:
        func = resolved(self.func, event.job)
        return func(*event.args, **event.kwargs) if callable(func) else func

    def may_wait(self, job: Job[Any, Any]) -> bool:
        found = getattr_static(job, self.func, None) if isinstance(self.func, str) else None
        if isinstance(found, property):  # reading it would be calling it
            return _is_async(found.fget)
        return _is_async(resolved(self.func, job))


class DataCallback(PlainCallback):
    """Called as `transitions` does under ``send_event``: with its own ``EventData``."""

    __slots__ = ()

    def __call__(self, event: TransitionEvent[Any]) -> Any:
        func = resolved(self.func, event.job)
        return func(event.data) if callable(func) else func


def _name_of(func: Any) -> str:
    func = _unwrapped(func)
    return getattr(func, "__qualname__", None) or type(func).__qualname__


def _unwrapped(func: Any) -> Any:
    while isinstance(func, partial):
        func = func.func
    return func


def _is_async(func: Any) -> bool:
    return iscoroutinefunction(func) or (
        callable(func) and iscoroutinefunction(type(func).__call__)
    )


def _yields(func: Any) -> bool:
    func = _unwrapped(func)
    called = (func, type(func).__call__)
    return any(isgeneratorfunction(each) or isasyncgenfunction(each) for each in called)


def resolved(func: Any, job: Job[Any, Any]) -> Any:
    """Return what a callback's name stands for on this job: its attribute, else an import."""
    if not isinstance(func, str):
        return func
    try:
        return getattr(job, func)
    except AttributeError:
        if hasattr(type(job), func):  # a property that failed: its own error says more
            raise
    cause: Exception | None = None
    if "." in func:
        try:
            return resolve_name(func)
        except (ImportError, AttributeError, ValueError) as error:
            cause = error
    known = [name for name in dir(job) if not name.startswith("_")]
    raise CallbackNotFound(type(job).__name__, func, known) from cause


def hook_callback(hook: Any, asker: str) -> Callback:
    """Return a hook as the callback that it will be called by.

    Raises:
        TypeError: it cannot be called with one argument, the `TransitionEvent`.
    """
    if not callable(hook):
        raise TypeError(f"{asker}: {hook!r} cannot be called, so it is no hook")
    if _yields(hook):
        raise TypeError(f"{asker}: {hook!r} yields, so that calling it would run nothing of it")
    try:
        signature(hook).bind(None)
    except TypeError:
        raise TypeError(
            f"{asker}: hook {hook!r} must take one argument, the TransitionEvent"
        ) from None
    except ValueError:
        pass  # a builtin that does not tell
    return Callback(hook)


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition: what its callback answers must equal *target*."""

    callback: Callback
    target: bool = True


@dataclass(slots=True, eq=False)
class State:
    """One status, with the ways out of it."""

    name: str
    value: Any
    """What `Job.status` shows: an enum member, or the name."""

    final: bool
    meaning: JobStatus | None
    ignores_invalid: bool
    live: Any
    """The state object of `transitions` that this one was compiled from."""

    ways: dict[str, Way] = field(default_factory=dict, repr=False)
    reachable: frozenset[str] = frozenset()
    """The names of the statuses that a job here may still enter."""

    runs: bool = False
    """An attempt is running: the status means STARTED."""

    rests: bool = False
    """No attempt is running: the status means PENDING or RETRY, or is final."""

    gives_result: bool = False
    """The work is done here: the status is final, and means neither failure nor revoked."""

    def __post_init__(self) -> None:
        self.gives_result = self.final and self.meaning in (JobStatus.SUCCESS, None)
        self.runs = self.meaning is JobStatus.STARTED
        self.rests = self.final or self.meaning in (JobStatus.PENDING, JobStatus.RETRY)


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """One way to take a trigger from one status."""

    trigger: str
    source: State
    dest: State
    internal: bool
    """The status is neither left nor entered."""

    live: Any
    """The transition object of `transitions` that this one was compiled from."""

    prepare: tuple[Callback, ...]
    guards: tuple[Guard, ...]
    before: tuple[Callback, ...]
    """All that runs once the guards have passed, up to the commit: before, then exit."""

    enter: tuple[Callback, ...]
    """What runs first after the commit: enter."""

    after: tuple[Callback, ...]
    """What runs then: on final, after."""

    def callbacks(self) -> tuple[Callback, ...]:
        """Return every callback that taking this edge may call."""
        guards = tuple(guard.callback for guard in self.guards)
        return self.prepare + guards + self.before + self.enter + self.after


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """All edges of one trigger from one status, in the order in which they are tried."""

    edges: tuple[Edge, ...]
    plain: Edge | None
    """The only edge, where nothing at all is to be called: the job moves in a single step."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A lifecycle, compiled for one class of jobs."""

    lifecycle: Lifecycle[Any]
    states: Mapping[str, State]
    triggers: frozenset[str]
    initial: State
    prepare_event: tuple[Callback, ...]
    finalize_event: tuple[Callback, ...]
    on_exception: tuple[Callback, ...]
    event_data: Callable[[TransitionEvent[Any], State], Any] | None
    """Makes what callbacks under ``send_event`` are called with."""
