"""A heap whose entries can be taken out from anywhere: `heapq`, and marks on what has gone."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Entry(Generic[K, V]):
    """One item in a heap, and its key: the smaller comes first, and of two equal ones the older."""

    __slots__ = ("item", "key", "number")

    def __init__(self, key: K, number: int, item: V) -> None:
        self.key, self.number = key, number
        self.item: V | None = item
        """``None`` once it has been taken out."""

    def __lt__(self, other: Entry[Any, V]) -> bool:
        mine: tuple[Any, int] = (self.key, self.number)
        return mine < (other.key, other.number)


class Heap(Generic[K, V]):
    """Items in the order of their keys; those taken out are swept away once they are the most."""

    def __init__(self) -> None:
        self._entries: list[Entry[K, V]] = []
        self._numbers = count()
        self._gone = 0

    def __len__(self) -> int:
        return len(self._entries) - self._gone

    def push(self, key: K, item: V) -> Entry[K, V]:
        """Add an item; what is returned serves to take it out."""
        entry = Entry(key, next(self._numbers), item)
        heapq.heappush(self._entries, entry)
        return entry

    def first(self) -> Entry[K, V] | None:
        """Return the entry that comes first, which stays; ``None`` if there is none."""
        while self._entries and self._entries[0].item is None:
            heapq.heappop(self._entries)
            self._gone -= 1
        return self._entries[0] if self._entries else None

    def discard(self, entry: Entry[K, V]) -> None:
        """Take an entry out. Doing so again does nothing."""
        if entry.item is not None:
            entry.item = None
            self._gone += 1
            if self._gone > 8 + len(self._entries) // 2:
                self._entries = [each for each in self._entries if each.item is not None]
                heapq.heapify(self._entries)
                self._gone = 0
