"""A heap whose entries can be taken out from anywhere: `heapq`, and marks on what has gone."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Entry(Generic[K, V]):
    """One item in a heap, and its key: the smaller comes first, and of two equal ones the older."""

    __slots__ = ("item", "key")

    def __init__(self, key: K, item: V) -> None:
        self.key = key
        self.item: V | None = item
        """``None`` once it has been taken out."""


class Heap(Generic[K, V]):
    """Items in the order of their keys; those taken out are swept away once they are the most."""

    def __init__(self) -> None:
        self._entries: list[tuple[K, int, Entry[K, V]]] = []
        """By key and number: tuples are compared in a fifth of the time that a method takes."""

        self._numbers = count()
        self._gone = 0

    def __len__(self) -> int:
        return len(self._entries) - self._gone

    def push(self, key: K, item: V) -> Entry[K, V]:
        """Add an item; what is returned serves to take it out."""
        entry = Entry(key, item)
        heapq.heappush(self._entries, (key, next(self._numbers), entry))
        return entry

    def first(self) -> Entry[K, V] | None:
        """Return the entry that comes first, which stays; ``None`` if there is none."""
        while self._entries:
            entry = self._entries[0][2]
            if entry.item is not None:
                return entry
            heapq.heappop(self._entries)
            self._gone -= 1
        return None

    def discard(self, entry: Entry[K, V]) -> None:
        """Take an entry out. Doing so again does nothing."""
        if entry.item is not None:
            entry.item = None
            self._gone += 1
            if self._gone > 8 + len(self._entries) // 2:
                self._entries = [each for each in self._entries if each[2].item is not None]
                heapq.heapify(self._entries)
                self._gone = 0
