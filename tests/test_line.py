"""The line of those who wait for a place."""

from __future__ import annotations

import random

import pytest

from jobstate._line import Line

PLACE = object()


def waiting(line, *demands, priority=0):
    """Let several get in line, each by the number of its arrival."""
    places = []
    for demand in demands:
        arrival = waiting.arrivals = waiting.arrivals + 1
        places.append(line.join(f"job {len(line)}", demand, (-priority, arrival)))
    return places


waiting.arrivals = 0


def gone(line):
    """Return who may go, until nobody may."""
    return list(iter(line.next, None))


def test_who_came_first_goes_first():
    """Where nobody has priority, it is the order of arrival."""
    line = Line({PLACE: 2})
    waiting(line, {PLACE: 1}, {PLACE: 1}, {PLACE: 1})
    assert gone(line) == ["job 0", "job 1"]
    line.give_back({PLACE: 1})
    assert gone(line) == ["job 2"]
    assert len(line) == 0


def test_the_higher_priority_goes_first():
    """Priority comes before arrival."""
    line = Line({PLACE: 3})
    line.join("late", {PLACE: 1}, (0, 9))
    line.join("early", {PLACE: 1}, (0, 1))
    line.join("urgent", {PLACE: 1}, (-5, 10))
    assert gone(line) == ["urgent", "early", "late"]


def test_priority_counts_between_queues():
    """Those who ask for different things go by priority and arrival as well."""
    line = Line({PLACE: 1, "gpu": 1, "disk": 1})
    line.join("a", {PLACE: 1, "gpu": 1}, (0, 1))
    line.join("b", {PLACE: 1, "disk": 1}, (-1, 2))
    line.join("c", {PLACE: 1}, (0, 3))
    order = []
    for _ in range(3):
        order += gone(line)
        line.give_back({PLACE: 1})
    assert order == ["b", "a", "c"]


def test_without_a_limit_nobody_waits():
    """What is not in short supply is not counted."""
    line = Line({})
    waiting(line, {PLACE: 1}, {PLACE: 1})
    assert gone(line) == ["job 0", "job 1"]
    line.give_back({PLACE: 1})
    assert line.next() is None


def test_who_needs_nothing_scarce_may_pass():
    """One that waits for a resource does not stop others that do not need it."""
    line = Line({"gpu": 1})
    waiting(line, {"gpu": 1}, {"gpu": 1}, {})
    assert gone(line) == ["job 0", "job 2"]


def test_nobody_overtakes_in_a_queue():
    """A large demand is not passed by smaller ones for the same things: it would starve."""
    line = Line({"bytes": 100})
    waiting(line, {"bytes": 60}, {"bytes": 60}, {"bytes": 10})
    assert gone(line) == ["job 0"]
    line.give_back({"bytes": 60})
    assert gone(line) == ["job 1", "job 2"]


def test_nobody_takes_what_one_in_front_waits_for():
    """Those of another queue may take only what the one in front does not need."""
    line = Line({"gpu": 2, "disk": 1})
    waiting(line, {"gpu": 1}, {"gpu": 2}, {"gpu": 1, "disk": 1})
    assert gone(line) == ["job 0"]  # one is free, and the second needs both
    line.give_back({"gpu": 1})
    assert gone(line) == ["job 1"]
    line.give_back({"gpu": 2})
    assert gone(line) == ["job 2"]


def test_what_is_more_than_enough_may_be_taken_by_others():
    """What would still be left for the one in front is free to take."""
    line = Line({"gpu": 1, "disk": 5})
    waiting(line, {"gpu": 1}, {"gpu": 1, "disk": 3}, {"disk": 2}, {"disk": 1})
    assert gone(line) == ["job 0", "job 2"]


def test_who_leaves_the_line_is_passed_over():
    """It may leave more than once, and leaves nothing behind."""
    line = Line({PLACE: 1})
    first, _ = waiting(line, {PLACE: 1}, {PLACE: 1})
    first.leave()
    first.leave()
    assert len(line) == 1
    assert gone(line) == ["job 1"]


def test_a_resource_is_offered_once():
    """What is known of already keeps its number."""
    line = Line({})
    line.offer("gpu", 1)
    waiting(line, {"gpu": 1}, {"gpu": 1})
    assert gone(line) == ["job 0"]
    line.offer("gpu", 5)
    assert gone(line) == []


@pytest.mark.parametrize("seed", range(20))
def test_never_more_is_taken_than_there_is_and_all_go(seed):
    """Whatever is asked for, at any time no more is taken than there is, and nobody starves."""
    dice = random.Random(seed)
    there = {PLACE: 3, "gpu": 2, "bytes": 100}
    line, demands, taken = Line(there), {}, []
    for n in range(100):
        demand = {PLACE: 1}
        for name in ("gpu", "bytes"):
            if dice.random() < 0.5:
                demand[name] = dice.randint(0, there[name])
        demands[n] = demand
        line.join(n, demand, (-dice.randint(0, 3), n))
    left = set(demands)
    while left:
        while (n := line.next()) is not None:
            taken.append(n)
            left.discard(n)
        for what, number in there.items():
            assert sum(demands[n].get(what, 0) for n in taken) <= number
        assert taken, f"{left} starve"
        line.give_back(demands[taken.pop(dice.randrange(len(taken)))])
