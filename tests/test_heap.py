"""A heap from which anything can be taken out."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from jobstate._heap import Heap


def drained(heap):
    """Take the items of a heap out from its front, and return them."""
    items = []
    while (first := heap.first()) is not None:
        items.append(first.item)
        heap.discard(first)
    return items


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans())))
def test_items_come_by_key_and_then_by_age(pushed):
    """What stays in comes in the order of the keys, equal ones as they were pushed."""
    heap = Heap()
    entries = [heap.push(key, n) for n, (key, _) in enumerate(pushed)]
    for entry, (_, stays) in zip(entries, pushed, strict=True):
        if not stays:
            heap.discard(entry)
    kept = [(key, n) for n, (key, stays) in enumerate(pushed) if stays]
    assert len(heap) == len(kept)
    assert drained(heap) == [n for _, n in sorted(kept)]
    assert len(heap) == 0


def test_what_is_taken_out_is_swept_away():
    """A heap whose items all leave before they come first does not grow."""
    heap = Heap()
    heap.push(0, "stays")
    for n in range(1_000):
        heap.discard(heap.push(1, n))
    assert len(heap._entries) < 30
    assert drained(heap) == ["stays"]


def test_taking_out_twice_is_taking_out_once():
    """Whoever is not sure may take an item out again."""
    heap = Heap()
    first, _ = heap.push(1, "a"), heap.push(2, "b")
    heap.discard(first)
    heap.discard(first)
    assert len(heap) == 1
    assert drained(heap) == ["b"]
