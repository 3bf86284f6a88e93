"""Declare a lifecycle: which statuses a job can have, and what moves it between them.

A lifecycle is data in the vocabulary of `transitions`. It is checked when it is built, may be
given guards and hooks until its first job, and is then compiled to one table for all its jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, Unpack, cast, overload

from ._check import problems, unsupported
from ._compile import MACHINE_WIDE, Attached, compiled, listed, name_of, parsed
from ._drawing import Arrow, Diagram, mermaid, svg
from ._errors import (
    InvalidLifecycle,
    LifecycleSealed,
    UnknownStatus,
    UnknownTrigger,
    UnsupportedDefinition,
)
from ._records import S
from ._status import JobStatus
from ._table import HookPlace, State, Table, TransitionEvent, hook_callback

if TYPE_CHECKING:
    from transitions import Machine

E = TypeVar("E", bound=str | Enum)
F = TypeVar("F", bound=Callable[[TransitionEvent[Any]], Any])
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


@dataclass(frozen=True, slots=True)
class EdgeInfo(Generic[S]):
    """One candidate of one trigger from one status."""

    trigger: str
    source: S
    dest: S
    guards: tuple[str, ...]
    """The names of its guards; one that must answer ``False`` has a ``not`` before it."""

    internal: bool
    """The status is neither left nor entered."""


class Lifecycle(Generic[S]):
    """The statuses of a job, and the transitions between them.

    Args:
        name: how errors and drawings call it.
        states: an enum, or strings, enum members and dicts (``name, on_enter, on_exit, final``).
        transitions: dicts or lists of ``trigger, source, dest, conditions, unless, before, after,
            prepare``; ``source="*"`` means every state, ``dest="="`` the source again, and
            ``dest=None`` a transition that neither leaves nor enters it.
        initial: the status of a new job; by default the first state.
        means: what statuses of one's own stand for: those that mean STARTED take reports and
            count attempts, final ones that mean SUCCESS give their result. A status that is
            named like a `JobStatus` means it; the initial one means PENDING.
        cancel_started: whether a started job may be revoked on behalf of a user.
        send_event: call callbacks with an ``EventData`` of `transitions` instead of the trigger's
            arguments.
        ordered_transitions: add a trigger ``next_state`` from each state to the next.
        ignore_invalid_triggers: a trigger that the status does not have is still refused, but
            no exception callback hears of it.
        callbacks: those of every transition, see `MachineWide`.

    Raises:
        InvalidLifecycle: lists every defect of the definition.
    """

    def __init__(
        self,
        name: str = "lifecycle",
        *,
        states: type[S] | Iterable[S | Mapping[str, Any]],
        transitions: Iterable[Mapping[str, Any] | list[Any]],
        initial: S | str | None = None,
        means: Mapping[S, JobStatus] | Mapping[str, JobStatus] | None = None,
        cancel_started: bool = False,
        send_event: bool = False,
        ordered_transitions: bool = False,
        ignore_invalid_triggers: bool | None = None,
        **callbacks: Unpack[MachineWide],
    ) -> None:
        states = listed(states)
        self._set(
            name,
            None,
            {
                "states": states,
                "transitions": transitions,
                "initial": name_of(states[0]) if initial is None and states else initial,
                "send_event": send_event,
                "ordered_transitions": ordered_transitions,
                "ignore_invalid_triggers": ignore_invalid_triggers,
                **callbacks,
            },
            means or {},
            cancel_started,
        )

    def _set(
        self,
        name: str,
        base: Machine | None,
        definition: Mapping[str, Any],
        means: Mapping[Any, JobStatus],
        cancel_started: bool,
        attached: Iterable[Attached] = (),
    ) -> None:
        self._name, self._cancel_started = name, cancel_started
        self._means = {name_of(status): meaning for status, meaning in means.items()}
        self._attached = list(attached)
        self._tables: dict[type, Table] = {}
        self._sealed = False
        try:
            self._machine = parsed(base, {**dict.fromkeys(MACHINE_WIDE), **definition})
        except ValueError as error:
            raise InvalidLifecycle(name, [str(error)]) from error
        found = problems(self._machine, self._means)
        if found:
            raise InvalidLifecycle(name, found)

    @classmethod
    def from_transitions(
        cls,
        machine: Machine,
        *,
        name: str = "",
        means: Mapping[Any, JobStatus] | None = None,
        cancel_started: bool = False,
    ) -> Lifecycle[Any]:
        """Return a lifecycle that behaves as an existing machine of `transitions` does.

        The same callbacks run with the same arguments in the same order; the few deliberate
        differences stand in the documentation. The machine itself is not used any more.

        Raises:
            UnsupportedDefinition: it could not behave the same; lists each reason.
        """
        name = name or machine.name.removesuffix(": ") or type(machine).__name__
        reasons = unsupported(machine)
        if reasons:
            raise UnsupportedDefinition(name, reasons)
        self: Lifecycle[Any] = cls.__new__(cls)
        try:
            self._set(name, machine, {"states": [], "transitions": []}, means or {}, cancel_started)
        except InvalidLifecycle as error:
            raise UnsupportedDefinition(name, error.problems) from None
        return self

    @overload
    def derive(
        self,
        name: str = "",
        *,
        transitions: Iterable[Mapping[str, Any] | list[Any]] = (),
        means: Mapping[S, JobStatus] | Mapping[str, JobStatus] | None = None,
        cancel_started: bool | None = None,
        **callbacks: Unpack[MachineWide],
    ) -> Lifecycle[S]: ...

    @overload
    def derive(
        self,
        name: str = "",
        *,
        states: type[E] | Iterable[E | Mapping[str, Any]],
        transitions: Iterable[Mapping[str, Any] | list[Any]] = (),
        means: Mapping[Any, JobStatus] | None = None,
        cancel_started: bool | None = None,
        **callbacks: Unpack[MachineWide],
    ) -> Lifecycle[S | E]: ...

    def derive(
        self,
        name: str = "",
        *,
        states: Any = (),
        transitions: Iterable[Mapping[str, Any] | list[Any]] = (),
        means: Mapping[Any, JobStatus] | None = None,
        cancel_started: bool | None = None,
        **callbacks: Unpack[MachineWide],
    ) -> Lifecycle[Any]:
        """Return a lifecycle of its own that has all of this one, and what is added here.

        Added candidates are tried after those that are there. The new lifecycle is open: guards
        and hooks can be attached to it until its first job.

        Raises:
            InvalidLifecycle: lists every defect of the result.
        """
        derived: Lifecycle[Any] = type(self).__new__(type(self))
        derived._set(
            name or f"{self.name}'",
            self._machine,
            {"states": states, "transitions": transitions, **callbacks},
            {**self._means, **(means or {})},
            self.cancel_started if cancel_started is None else cancel_started,
            self._attached,
        )
        return derived

    # --- reading ---

    @property
    def name(self) -> str:
        """How errors and drawings call it."""
        return self._name

    @property
    def cancel_started(self) -> bool:
        """Whether a started job may be revoked on behalf of a user."""
        return self._cancel_started

    @property
    def statuses(self) -> tuple[S, ...]:
        """Every status, in order of declaration."""
        return tuple(state.value for state in self._plain_table.states.values())

    @property
    def triggers(self) -> tuple[str, ...]:
        """Every trigger, in order of declaration."""
        return tuple(self._machine.events)

    @property
    def initial(self) -> S:
        """The status of a new job."""
        return cast(S, self._plain_table.initial.value)

    @property
    def final(self) -> tuple[S, ...]:
        """The statuses that nothing leaves."""
        return tuple(s.value for s in self._plain_table.states.values() if s.final)

    @property
    def edges(self) -> tuple[EdgeInfo[S], ...]:
        """Every candidate of every trigger from every status, in the order they are tried."""
        states = self._plain_table.states.values()
        ways = {(way, s): s.ways[way] for way in self.triggers for s in states if way in s.ways}
        return tuple(
            EdgeInfo(
                trigger=trigger,
                source=state.value,
                dest=edge.dest.value,
                guards=tuple(
                    guard.callback.name if guard.target else f"not {guard.callback.name}"
                    for guard in edge.guards
                ),
                internal=edge.internal,
            )
            for (trigger, state), way in ways.items()
            for edge in way.edges
        )

    def meaning(self, status: S | str) -> JobStatus | None:
        """Return what a status stands for, or ``None`` where the lifecycle does not say."""
        return self._plain_table.states[self._status_name(status)].meaning

    def mermaid(self) -> str:
        """Return the lifecycle as a Mermaid state diagram."""
        return mermaid(self._diagram())

    def svg(self) -> str:
        """Return the lifecycle as an SVG document."""
        return svg(self._diagram())

    def _repr_svg_(self) -> str:
        return self.svg()

    def _diagram(self) -> Diagram:
        return Diagram(
            title=self.name,
            states=tuple(map(name_of, self.statuses)),
            initial=name_of(self.initial),
            final=frozenset(map(name_of, self.final)),
            arrows=tuple(
                Arrow(
                    name_of(edge.source),
                    name_of(edge.dest),
                    f"{edge.trigger} [{', '.join(edge.guards)}]" if edge.guards else edge.trigger,
                )
                for edge in self.edges
            ),
        )

    def __repr__(self) -> str:
        return f"<Lifecycle {self.name}: {', '.join(map(name_of, self.statuses))}>"

    # --- guards and hooks ---

    def guard(
        self, trigger: str, *, source: S | str | None = None, dest: S | str | None = None
    ) -> Callable[[F], F]:
        """Attach a guard: the trigger passes only if the function answers ``True``.

        It may be async. It is asked at the job's turn, after the guards that are there, for each
        candidate of the trigger (``"*"``: of any), or for those from *source* or to *dest*.

        Raises:
            LifecycleSealed: the lifecycle has jobs already.
            UnknownTrigger, UnknownStatus: it has no such trigger or status.
            TypeError: the function cannot be called with one argument.
        """
        return self._attaching("guard", self._trigger_name(trigger), source, dest)

    def prepare(
        self, trigger: str, *, source: S | str | None = None, dest: S | str | None = None
    ) -> Callable[[F], F]:
        """Attach a hook that runs before the guards of the trigger (``"*"``: of any)."""
        return self._attaching("prepare", self._trigger_name(trigger), source, dest)

    def before(
        self, trigger: str, *, source: S | str | None = None, dest: S | str | None = None
    ) -> Callable[[F], F]:
        """Attach a hook that runs once the guards have passed, before the status is left.

        What it raises keeps the job where it is.
        """
        return self._attaching("before", self._trigger_name(trigger), source, dest)

    def on_exit(self, status: S | str) -> Callable[[F], F]:
        """Attach a hook that runs last before the commit of whatever leaves the status."""
        return self._attaching("exit", self._status_name(status))

    def on_enter(self, status: S | str) -> Callable[[F], F]:
        """Attach a hook that runs right after the commit of whatever enters the status."""
        return self._attaching("enter", self._status_name(status))

    def on_final(self, status: S | str = "*") -> Callable[[F], F]:
        """Attach a hook that runs after those on entering, where the status is final."""
        return self._attaching("final", self._status_name(status))

    def after(
        self, trigger: str, *, source: S | str | None = None, dest: S | str | None = None
    ) -> Callable[[F], F]:
        """Attach a hook that runs after the commit, and after the hooks on the statuses."""
        return self._attaching("after", self._trigger_name(trigger), source, dest)

    def on_exception(self, hook: F) -> F:
        """Attach a hook that runs when anything in a transition raised; see ``event.error``."""
        return self._attaching("exception", "*")(hook)

    def finalize(self, hook: F) -> F:
        """Attach a hook that runs last, however the trigger ended."""
        return self._attaching("finalize", "*")(hook)

    def _attaching(
        self,
        slot: str,
        selector: str,
        source: S | str | None = None,
        dest: S | str | None = None,
    ) -> Callable[[F], F]:
        from_name = None if source is None else self._status_name(source)
        to_name = None if dest is None else self._status_name(dest)

        def attach(hook: F) -> F:
            if self._sealed:
                raise LifecycleSealed(self.name)
            callback = hook_callback(hook, f"lifecycle {self.name}")
            self._attached.append(Attached(slot, selector, callback, from_name, to_name))
            self._tables.clear()
            return hook

        return attach

    def _trigger_name(self, trigger: str) -> str:
        if trigger != "*" and trigger not in self._machine.events:
            raise UnknownTrigger(self.name, trigger, self._machine.events)
        return trigger

    def _status_name(self, status: object) -> str:
        return "*" if status == "*" else self._state(self._plain_table, status).name

    # --- for jobs ---

    @property
    def _plain_table(self) -> Table:
        """The table without what a class of jobs adds."""
        return self._table(object)

    def _table(self, job_type: type) -> Table:
        try:
            return self._tables[job_type]
        except KeyError:
            table = compiled(self, self._machine, self._attached, self._means, job_type)
            self._tables[job_type] = table
            return table

    def _table_for_job(self, job_type: type) -> Table:
        """Return the table for a class of jobs; from now on nothing can be attached."""
        self._sealed = True
        return self._table(job_type)

    @property
    def running(self) -> tuple[S, ...]:
        """The statuses in which an attempt runs and progress can be reported."""
        return tuple(s.value for s in self._plain_table.states.values() if s.runs)

    def _status_or_trigger(self, asked: object) -> HookPlace:
        """Return the hook's place: a status or, where there is none of that name, a trigger."""
        if name_of(asked) in self._machine.states:
            return "status", self._status_name(asked)
        if isinstance(asked, str) and asked in self._machine.events:
            return "trigger", asked
        raise UnknownTrigger(self.name, str(asked), (*self._machine.states, *self._machine.events))

    def _state(self, table: Table, status: object) -> State:
        state = table.states.get(name_of(status))
        if state is None or (status != state.value and status != state.name):
            raise UnknownStatus(self.name, status, table.states)
        return state


def _job_lifecycle() -> Lifecycle[JobStatus]:
    pending, started, retrying = JobStatus.PENDING, JobStatus.STARTED, JobStatus.RETRY
    success, failure, revoked = JobStatus.SUCCESS, JobStatus.FAILURE, JobStatus.REVOKED

    def step(trigger: str, source: Any, dest: Any, **more: Any) -> dict[str, Any]:
        return {"trigger": trigger, "source": source, "dest": dest, **more}

    lifecycle = Lifecycle(
        "job",
        states=[{"name": s, "final": s.is_terminal} for s in JobStatus],
        initial=pending,
        transitions=[
            step("start", [pending, retrying], started),
            step("succeed", started, success),
            step("fail", [pending, started, retrying], failure),
            step("retry", started, retrying, conditions="has_attempts_left"),
            step("retry", started, failure),
            step("requeue", [retrying, started], pending),
            step("revoke", [pending, retrying], revoked),
            step("revoke", started, revoked, conditions="can_revoke_started"),
        ],
    )
    lifecycle._sealed = True
    return lifecycle


JOB_LIFECYCLE = _job_lifecycle()
"""The lifecycle of every job that is given no other."""
