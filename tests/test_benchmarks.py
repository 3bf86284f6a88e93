"""The benchmarks say what was measured: ratios within a round, goals met or missed."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def page_of(pages_in):
    """Return what imports a page of `benchmarks`, which no wheel contains."""
    return pages_in(ROOT / "benchmarks")


@pytest.fixture
def measure(page_of):
    return page_of("measure")


def test_a_ratio_is_taken_within_each_round(measure):
    """A round in which the machine was slow for all does not change a ratio."""
    one = measure.Measurement("q", "one", "asyncio", (2.0, 20.0, 2.0))
    other = measure.Measurement("q", "other", "asyncio", (1.0, 10.0, 1.0))
    assert measure.ratios(one, other) == (2.0, 2.0, 2.0)


def test_the_spread_is_the_middle_half(measure):
    """What lies outside of the quartiles is not quoted; a single sample has no spread."""
    assert measure.spread([1.0, 2.0, 3.0, 4.0, 100.0]) == (2.0, 3.0, 4.0)
    assert measure.spread([7.0]) == (7.0, 7.0, 7.0)


@pytest.mark.parametrize(
    ("options", "expected", "met"),
    [
        ({"limit": 4, "against": ("base",)}, 3.0, True),
        ({"limit": 2, "against": ("nobody", "base")}, 3.0, False),
        ({"limit": 5, "against": ("slow",), "faster": True}, 10.0, True),
        ({"limit": 30, "against": ("slow",), "faster": True}, 10.0, False),
        ({"limit": 3, "unit": "s"}, 3.0, True),
    ],
)
def test_a_goal_is_met_or_missed(measure, options, expected, met):
    """At most so many times the base, so many times faster than a peer, or an absolute amount."""
    found = [
        measure.Measurement("q", name, "asyncio", (value,) * 3)
        for name, value in (("base", 1.0), ("ours", 3.0), ("slow", 30.0))
    ]
    goal = measure.Goal("the goal", contender="ours", **options)
    figure = goal.reached(found)
    assert figure.middle == expected
    assert goal.is_met(figure) is met


def test_a_goal_without_figures_says_nothing(measure):
    """Neither met nor missed, where the contender or its peer was not measured."""
    goal = measure.Goal("the goal", 4, "ours", ("base",))
    assert goal.reached([]) is None
    assert goal.reached([measure.Measurement("q", "ours", "trio", (1.0,))]) is None


def test_growth_compares_two_sizes(measure):
    """The largest that was measured, with the first."""
    found = [
        measure.Measurement("q", "ours", "asyncio", (cost,) * 3, size=size)
        for size, cost in ((1, 9.0), (10, 2.0), (100, 3.0))
    ]
    goal = measure.Goal("flat", 1.5, "ours", growth=(10, 1000))
    assert goal.reached(found).middle == 1.5
    assert goal.reached(found[:2]) is None


@pytest.mark.anyio
async def test_contenders_take_turns(measure):
    """A B, A B, …: what slows the machine down meets all; the first round warms up."""
    order = []

    def contender(name):
        async def run(count, watch):
            order.append(name)
            with watch:
                pass

        return measure.Contender(name, 10, run)

    effort = measure.Effort(rounds=3, share=0.5, largest=1, watched=0)
    found = await measure.in_turn("q", "asyncio", effort, [contender("A"), contender("B")])
    assert "".join(order) == "ABABABAB"
    assert [(each.contender, len(each.samples)) for each in found] == [("A", 3), ("B", 3)]


@pytest.mark.tools
def test_the_page_says_what_the_figures_say(page_of):
    """The page of the documentation is written from the figures kept beside it."""
    for peer in ("aiojobs", "aiosqlite", "automat", "statemachine", "uvloop"):
        pytest.importorskip(peer)
    folder = ROOT / "docs" / "reference"
    records = page_of("record").load(folder / "benchmarks.json")
    assert not any(record.quick for record in records)
    expected = page_of("report").page(records)
    assert (folder / "benchmarks.md").read_text(encoding="utf-8") == expected


@pytest.mark.tools
def test_questions_asked_later_join_the_record(page_of, tmp_path):
    """Older figures stay where all that they were measured with is the same, and go otherwise."""
    for peer in ("aiojobs", "aiosqlite", "automat", "statemachine", "uvloop"):
        pytest.importorskip(peer)
    record_page, file = page_of("record"), tmp_path / "figures.json"

    def record(question, libraries):
        found = page_of("measure").Measurement(question, "ours", "asyncio", (1.0,))
        return record_page.Record("3.13.0", "2026-01-01", "a CPU", libraries, False, (found,))

    def questions(records):
        return [[each.question for each in record.measurements] for record in records]

    record_page.save(file, record("memory", {"jobstate": "1"}))
    later = record("running", {"jobstate": "1", "aiojobs": "1"})
    assert questions(record_page.save(file, later)) == [["memory", "running"]]
    newer = record("running", {"jobstate": "2", "aiojobs": "1"})
    assert questions(record_page.save(file, newer)) == [["running"]]
