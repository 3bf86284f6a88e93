"""Mutants that no test can, or should, tell from the page as it is, each with the reason."""

from __future__ import annotations

EXPLAINED: dict[str, tuple[str, ...]] = {
    "How many are drawn at once is a matter of speed alone:": (
        "_ids, its top: 128 → 129",
        "_ids, new_id: 16 → 17",
    ),
    "Only the nearest name is looked at, however many are found:": ("_errors, nearest: 1 → 2",),
    "Done by Python already, or done again before anybody looks:": (
        "_errors, HookFailed.__init__: super().__init__(self.message, failures) → pass",
        "_table, State#2: False → True",
        "_table, State#3: False → True",
        "_table, State#4: False → True",
        "_several, _Collector.__init__: 0 → 1",
        "_waiting, Changes.__init__: self._progressed = False → pass",
        "_waiting, Changes.__init__#2: False → True",
    ),
    "Records of the package's own, which nobody changes, compares or prints; what they are spared "
    "is for speed, and for the reader:": (
        "_arguments, Effects: dataclass(",
        "_arguments, Effects: True → False",
        "_arguments, Effects#2: True → False",
        "_compile, Attached: dataclass(",
        "_compile, Attached: True → False",
        "_compile, Attached#2: True → False",
        "_table, Edge: dataclass(",
        "_table, Edge: True → False",
        "_table, Edge#2: True → False",
        "_table, Edge: False → True",
        "_table, Guard: dataclass(",
        "_table, Guard#2: True → False",
        "_table, Guard#3: True → False",
        "_table, State: dataclass(",
        "_table, State: True → False",
        "_table, State#5: False → True",
        "_table, State: field(default_factory=dict, repr=False) → field(default_factory=dict)",
        "_table, State: False → True",
        "_table, Table: dataclass(",
        "_table, Table: True → False",
        "_table, Table#2: True → False",
        "_table, Table: False → True",
        "_table, Way: dataclass(",
        "_table, Way: True → False",
        "_table, Way#2: True → False",
        "_table, Way: False → True",
    ),
    "A way round what would only be done, or looked for, once more:": (
        "_declared, Declared._table: self._tables[job_type] = table → pass",
        "_several, _Collector.check_home: home() is not self._home → True",
        "_loop, _finish_beside: not beside.done() → True",
        "_loop, _adopt: variable.get(_UNSET) is not value → True",
        "_standing, Standing.__init__: table or followed._table_for_job(type(self)) → (followed",
        "_standing, Standing._seconds_before: self._entered or (0, self._created) → ((0, self._c",
        "_waiting, until_ended: loop is not job._home → True",
    ),
    "What is left decides the same: ``None`` names no argument, and is no number of seconds:": (
        "_arguments, effects_of: first and args and first in kwargs → (args and first in kwargs)",
        "_arguments, effects_of: first and args → (args)",
        "_arguments, effects_of: delay is None → False",
    ),
    "A second candidate after one without a guard is refused when the lifecycle is built:": (
        "_compile, _Compiler.table: len(edges) == 1 and not machine_wide and not "
        "edges[0].callbacks() → (not machine_wide and (not edges[0].callbacks()))",
    ),
}
"""Reasons, each with the names of the mutants that it is about, or with how they begin."""


def reason_for(key: str) -> str | None:
    """Return why a mutant may survive, if that is known."""
    return next((reason for reason, keys in EXPLAINED.items() if key.startswith(keys)), None)
