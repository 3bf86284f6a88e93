"""A lifecycle once it is declared: what can be read of it, drawn of it, and followed by jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, cast

from ._check import problems
from ._compile import Attached, compiled, name_of, parsed
from ._drawing import Arrow, Diagram, mermaid, svg
from ._errors import InvalidLifecycle, UnknownStatus, UnknownTrigger
from ._records import S
from ._status import JobStatus
from ._table import HookPlace, State, Table

if TYPE_CHECKING:
    from transitions import Machine

    from ._lifecycle import Lifecycle


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


class Declared(Generic[S]):
    """A definition, checked, and the tables made of it. See `Lifecycle`."""

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
        self._tables_in_use: dict[type, Table] = {}
        """Those that have jobs."""
        self._drawn = ""
        self._sealed = False
        try:
            self._machine = parsed(base, definition)
        except ValueError as error:
            raise InvalidLifecycle(name, [str(error)]) from error
        found = problems(self._machine, self._means, self._is_guarded)
        if found:
            raise InvalidLifecycle(name, found)

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
            for trigger in self.triggers
            for state in states
            if trigger in state.ways
            for edge in state.ways[trigger].edges
        )

    def meaning(self, status: S | str) -> JobStatus | None:
        """Return what a status stands for, or ``None`` where the lifecycle does not say.

        Raises:
            UnknownStatus: the lifecycle has no such status.
        """
        return self._plain_table.states[self._status_name(status)].meaning

    def mermaid(self) -> str:
        """Return the lifecycle as a Mermaid state diagram."""
        return mermaid(self._diagram())

    def svg(self) -> str:
        """Return the lifecycle as an SVG document."""
        self._drawn = self._drawn or svg(self._diagram())
        return self._drawn

    def _repr_svg_(self) -> str:
        return self.svg()

    def _diagram(self) -> Diagram:
        return Diagram(
            title=self.name,
            states=tuple(map(name_of, self.statuses)),
            initial=name_of(self.initial),
            final=frozenset(map(name_of, self.final)),
            arrows=tuple(
                Arrow(name_of(edge.source), name_of(edge.dest), _label(edge)) for edge in self.edges
            ),
        )

    def __copy__(self) -> Self:
        return self  # one of its own is what `derive` gives

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<Lifecycle {self.name}: {', '.join(map(name_of, self.statuses))}>"

    # --- for jobs ---

    @property
    def _plain_table(self) -> Table:
        """The table without what a class of jobs adds."""
        return self._table(object)

    def _table(self, job_type: type) -> Table:
        try:
            return self._tables[job_type]
        except KeyError:
            declared = cast("Lifecycle[S]", self)
            table = compiled(declared, self._machine, self._attached, self._means, job_type)
            self._tables[job_type] = table
            return table

    def _table_for_job(self, job_type: type) -> Table:
        """Return the table for a class of jobs; from now on nothing can be attached."""
        self._sealed = True
        self._tables_in_use[job_type] = table = self._table(job_type)
        return table

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

    def _is_guarded(self, trigger: str, live: Any) -> bool:
        """Whether a guard was attached to a candidate of the definition."""
        return any(each.fits("guard", trigger, live) for each in self._attached)

    def _trigger_name(self, trigger: str) -> str:
        if trigger != "*" and trigger not in self._machine.events:
            raise UnknownTrigger(self.name, trigger, self._machine.events)
        return trigger

    def _status_name(self, status: object) -> str:
        return "*" if status == "*" else self._state(self._plain_table, status).name


def _label(edge: EdgeInfo[Any]) -> str:
    guards = f" [{', '.join(edge.guards)}]" if edge.guards else ""
    return f"{edge.trigger}{guards}{' (internal)' if edge.internal else ''}"
