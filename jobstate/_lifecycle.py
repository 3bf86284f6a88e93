"""Declare a lifecycle: which statuses a job can have, and what moves it between them.

A lifecycle is data in the vocabulary of `transitions`. It is checked when it is built, may be
given guards and hooks until its first job, and is then compiled to one table for all its jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Unpack, overload

from ._check import unsupported
from ._compile import Attached, listed, name_of
from ._declared import Declared
from ._errors import (
    InvalidLifecycle,
    LifecycleSealed,
    UnsupportedDefinition,
    nearest,
)
from ._records import S
from ._status import JobStatus
from ._table import (
    MACHINE_WIDE,
    MachineWide,
    TransitionEvent,
    hook_callback,
)

if TYPE_CHECKING:
    from transitions import Machine

E = TypeVar("E", bound=str | Enum)
F = TypeVar("F", bound=Callable[[TransitionEvent[Any]], Any])

Transitions: TypeAlias = Iterable[Mapping[str, Any] | list[Any]]


class Added(MachineWide, total=False):
    """What else a lifecycle is derived with; see `Lifecycle`."""

    cancel_started: bool | None


class Options(MachineWide, total=False):
    """What else a lifecycle is declared with; see `Lifecycle`."""

    cancel_started: bool
    send_event: bool
    ordered_transitions: bool
    ignore_invalid_triggers: bool | None


class Lifecycle(Declared[S]):
    """The statuses of a job, and the transitions between them.

    Args:
        name: how errors and drawings call it.
        states: an enum, or strings, enum members and dicts (``name, on_enter, on_exit, final``).
            Where dicts stand among members, say ``Lifecycle[Phase](…)`` for type checkers.
        transitions: dicts or lists of ``trigger, source, dest, conditions, unless, before, after,
            prepare``; ``source="*"`` means every state that is not final, ``dest="="`` the
            source again, and ``dest=None`` a transition that neither leaves nor enters it.
        final: the states that nothing leaves, where their own dicts do not say so.
        initial: the status of a new job; by default the first state.
        means: what statuses of one's own stand for: those that mean STARTED take reports and
            count attempts, final ones that mean SUCCESS give their result. A status that is
            named like a `JobStatus` means it; the initial one means PENDING.
        cancel_started: whether a started job may be revoked on behalf of a user, where a
            transition asks the guard ``can_revoke_started``.
        send_event: call callbacks with an ``EventData`` of `transitions` instead of the trigger's
            arguments.
        ordered_transitions: add a trigger ``next_state`` from each state to the next, the last
            of which is the first final one.
        ignore_invalid_triggers: a trigger that the status does not have is still refused, but
            no exception callback hears of it.
        callbacks: those of every transition, see `MachineWide`.

    Raises:
        InvalidLifecycle: lists every defect of the definition.
        TypeError: an argument is none of these.
    """

    @overload
    def __init__(
        self,
        name: str = ...,
        *,
        states: type[S] | Iterable[S],
        transitions: Transitions,
        final: Iterable[S] = ...,
        initial: S | str | None = ...,
        means: Mapping[S, JobStatus] | Mapping[str, JobStatus] | None = ...,
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self: Lifecycle[Any],
        name: str = ...,
        *,
        states: Iterable[Mapping[str, Any]],
        transitions: Transitions,
        final: Iterable[Any] = ...,
        initial: Any = ...,
        means: Mapping[Any, JobStatus] | None = ...,
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self,
        name: str = ...,
        *,
        states: Iterable[S | Mapping[str, Any]],
        transitions: Transitions,
        final: Iterable[S] = ...,
        initial: S | str | None = ...,
        means: Mapping[S, JobStatus] | Mapping[str, JobStatus] | None = ...,
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self: Lifecycle[str],
        name: str = ...,
        *,
        states: Iterable[str | Mapping[str, Any]],
        transitions: Transitions,
        final: Iterable[str] = ...,
        initial: str | None = ...,
        means: Mapping[str, JobStatus] | None = ...,
        **options: Unpack[Options],
    ) -> None: ...

    def __init__(
        self,
        name: str = "lifecycle",
        *,
        states: type[Any] | Iterable[Any],
        transitions: Transitions,
        final: Iterable[Any] = (),
        initial: Any = None,
        means: Mapping[Any, JobStatus] | None = None,
        cancel_started: bool = False,
        send_event: bool = False,
        ordered_transitions: bool = False,
        ignore_invalid_triggers: bool | None = None,
        **callbacks: Unpack[MachineWide],
    ) -> None:
        _check_known(callbacks)
        states = listed(states)
        self._set(
            name,
            None,
            {
                "states": states,
                "final": final,
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
            TypeError: *machine* is none.
        """
        if not hasattr(machine, "events") or isinstance(machine, type):
            raise TypeError(f"from_transitions takes a machine of transitions, not {machine!r}")
        name = name or machine.name.removesuffix(": ") or type(machine).__name__
        reasons = unsupported(machine)
        if reasons:
            raise UnsupportedDefinition(name, reasons)
        self: Lifecycle[Any] = cls.__new__(cls)
        try:
            self._set(name, machine, {}, means or {}, cancel_started)
        except InvalidLifecycle as error:
            raise UnsupportedDefinition(name, error.problems) from None
        return self

    @overload
    def derive(
        self,
        name: str = ...,
        *,
        transitions: Transitions = ...,
        means: Mapping[S, JobStatus] | Mapping[str, JobStatus] | None = ...,
        **added: Unpack[Added],
    ) -> Lifecycle[S]: ...

    @overload
    def derive(
        self,
        name: str = ...,
        *,
        states: type[E] | Iterable[E],
        final: Iterable[E] = ...,
        transitions: Transitions = ...,
        means: Mapping[Any, JobStatus] | None = ...,
        **added: Unpack[Added],
    ) -> Lifecycle[S | E]: ...

    @overload
    def derive(
        self,
        name: str = ...,
        *,
        states: Iterable[Mapping[str, Any]],
        final: Iterable[Any] = ...,
        transitions: Transitions = ...,
        means: Mapping[Any, JobStatus] | None = ...,
        **added: Unpack[Added],
    ) -> Lifecycle[Any]: ...

    @overload
    def derive(
        self,
        name: str = ...,
        *,
        states: Iterable[str | Mapping[str, Any]],
        final: Iterable[str] = ...,
        transitions: Transitions = ...,
        means: Mapping[Any, JobStatus] | None = ...,
        **added: Unpack[Added],
    ) -> Lifecycle[S | str]: ...

    @overload
    def derive(
        self,
        name: str = ...,
        *,
        states: Iterable[E | Mapping[str, Any]],
        final: Iterable[E] = ...,
        transitions: Transitions = ...,
        means: Mapping[Any, JobStatus] | None = ...,
        **added: Unpack[Added],
    ) -> Lifecycle[S | E]: ...

    def derive(
        self,
        name: str = "",
        *,
        states: type[Any] | Iterable[Any] = (),
        final: Iterable[Any] = (),
        transitions: Transitions = (),
        means: Mapping[Any, JobStatus] | None = None,
        cancel_started: bool | None = None,
        **callbacks: Unpack[MachineWide],
    ) -> Lifecycle[Any]:
        """Return a lifecycle of its own that has all of this one, and what is added here.

        The arguments are those of `Lifecycle`. Added candidates are tried after those that are
        there. The new lifecycle is open: guards and hooks can be attached to it until its first
        job.

        Raises:
            InvalidLifecycle: lists every defect of the result.
        """
        _check_known(callbacks)
        derived: Lifecycle[Any] = type(self).__new__(type(self))
        derived._set(
            name or f"{self.name}'",
            self._machine,
            {"states": states, "final": final, "transitions": transitions, **callbacks},
            {**self._means, **(means or {})},
            self.cancel_started if cancel_started is None else cancel_started,
            self._attached,
        )
        return derived

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
            ValueError: the trigger has no transition from *source*, or to *dest*.
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
            attached = Attached(slot, selector, callback, from_name, to_name)
            self._check_has_a_place(attached)
            self._attached.append(attached)
            self._tables.clear()
            self._drawn = ""
            return hook

        return attach

    def _check_has_a_place(self, attached: Attached) -> None:
        """Raise where a hook would never be called."""
        slot, selector = attached.slot, attached.selector
        asked = f"lifecycle {self.name}: {slot}({selector!r}) would never run"
        if slot == "final" and selector not in ("*", *map(name_of, self.final)):
            raise ValueError(f"{asked}: final are {', '.join(map(name_of, self.final))}")
        crossed = [edge for edge in self.edges if not edge.internal]
        if slot == "enter" and selector not in ("*", *(name_of(edge.dest) for edge in crossed)):
            raise ValueError(f"{asked}: nothing enters {selector}")
        if slot == "exit" and selector not in ("*", *(name_of(edge.source) for edge in crossed)):
            raise ValueError(f"{asked}: nothing leaves {selector}")
        if slot not in ("guard", "prepare", "before", "after"):
            return
        edges = [e for e in self.edges if selector in ("*", e.trigger)]
        ways = [(name_of(edge.source), name_of(edge.dest)) for edge in edges]
        if not any(
            attached.source in (None, source) and attached.dest in (None, dest)
            for source, dest in ways
        ):
            listed_ways = ", ".join(dict.fromkeys(f"{source} → {dest}" for source, dest in ways))
            raise ValueError(
                f"{asked} from {attached.source or 'anywhere'} to {attached.dest or 'anywhere'}: "
                f"it goes {listed_ways or 'nowhere'}"
            )


def _check_known(callbacks: Mapping[str, Any]) -> None:
    for name in callbacks.keys() - set(MACHINE_WIDE):
        hint = nearest(name, MACHINE_WIDE)
        raise TypeError(f"a lifecycle has no argument {name!r}{hint}")
