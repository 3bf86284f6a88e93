"""What few jobs have: hooks, a journal, and whoever runs their work."""

from __future__ import annotations

from typing import Any

from ._table import Callback, HookPlace
from .abc import Journal, Worker


class Own:
    """What few jobs have of their own: hooks, a journal, somebody who runs their work."""

    __slots__ = ("groups", "hooks", "journal", "worker")

    def __init__(self, journal: Journal | None = None, groups: tuple[Group, ...] = ()) -> None:
        self.hooks: dict[HookPlace, list[Callback]] = {}
        """None of the lists is empty."""

        self.journal = journal
        self.worker: Worker | None = None
        self.groups = groups
        """What the job has besides, as a member of collections; in the order of joining them."""

    def first(self, what: str) -> Any:
        """Return the journal or the worker: the job's own, else that of the first collection."""
        for own in (self, *self.groups):
            found = getattr(own, what)
            if found is not None:
                return found
        return None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is called when the job moves."""
        for own in (self, *self.groups):  # noqa: SIM110  # any() takes 200 ns more
            if own.hooks or own.journal is not None:
                return False
        return True


class Group(Own):
    """What all jobs of a collection have. Those that have nothing more share it as it is."""

    __slots__ = ()
