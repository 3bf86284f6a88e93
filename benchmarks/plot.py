"""The figures as a picture: ratios with their goals above, growth below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from . import (
    creation,
    growth_jobs,
    growth_subscribers,
    growth_waiters,
    hooks,
    latency,
    processes,
    queues,
    running,
    submitting,
    threads,
    transition,
    waiting,
)
from .measure import Measurement, Question, base_of, ratios, spread
from .report import amount, digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .record import Record

BARS = (
    (transition.QUESTION, (transition.OURS, transition.AT_ONCE, transition.LEVEL_OFF)),
    (hooks.QUESTION, (hooks.OURS,)),
    (creation.QUESTION, (creation.OURS,)),
    (waiting.QUESTION, (waiting.OURS, waiting.WITH_END)),
    (latency.QUESTION, (latency.OURS,)),
    (running.QUESTION, (running.OURS, running.LIMITED)),
    (threads.QUESTION, (threads.OURS,)),
    (processes.QUESTION, (processes.OURS,)),
)
"""Questions answered by ratios, and which contenders are ours."""

LINES = (
    (growth_jobs.QUESTION, growth_jobs.OURS, (growth_jobs.BARE,), "Jobs, made and moved twice"),
    (
        growth_waiters.QUESTION,
        growth_waiters.OURS,
        (growth_waiters.FUTURE, growth_waiters.TRIO_EVENT),
        "Tasks waiting for one job",
    ),
    (
        growth_subscribers.QUESTION,
        growth_subscribers.OURS,
        (growth_subscribers.STREAMS,),
        "Tasks following one job",
    ),
    (
        submitting.QUESTION,
        queues.OURS,
        (queues.TASKS, queues.NURSERY),
        "Jobs in line",
    ),
)
"""Questions about growth: ours, the peers, and how a panel is called."""

INK, FAINT, GRID = "#24292f", "#6e7781", "#e4e7eb"
OURS, PEERS, GOAL = "#0b7285", "#c3cad2", "#d9480f"
STYLE: dict[str, Any] = {"asyncio": "-", "uvloop": "--", "trio": ":"}
SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": INK,
    "svg.hashsalt": "jobstate",  # the same figures give the same file
    "svg.fonttype": "path",  # it looks the same wherever it is shown
}


def draw(record: Record, *files: Path) -> None:
    """Draw one record, in whatever format a file's name asks for."""
    with mpl.rc_context(SETTINGS):
        heights = [len(_measured(question, record)) + 1.5 for question, _ in BARS]
        figure = Figure(figsize=(9.6, 0.22 * sum(heights) + 6.6), layout="constrained")
        grid = figure.add_gridspec(2, 1, height_ratios=[0.22 * sum(heights), 5.9])
        above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
        axes = above.subplots(len(BARS), 1, sharex=True, height_ratios=heights, squeeze=False)
        for (question, ours), place in zip(BARS, axes[:, 0], strict=True):
            bars(place, question, ours, record)
        places = below.subplots(2, 2, squeeze=False).flat
        for line, place in zip(LINES, places, strict=True):
            lines(place, *line, record)
        libraries = f"jobstate {record.libraries['jobstate']}, Python {record.python}"
        above.suptitle(
            f"What it costs, as a multiple of the least that could do it   ({libraries}, asyncio)",
            x=0.01,
            ha="left",
            fontsize=11,
            fontweight="bold",
        )
        above.legend(
            handles=[
                Patch(color=OURS, label="jobstate"),
                Patch(color=PEERS, label="peers"),
                Line2D([], [], color=GOAL, linewidth=2.2, label="goal: no further than this"),
                Line2D([], [], color=INK, linewidth=1, label="middle half of the rounds"),
            ],
            loc="outside lower left",
            ncols=4,
            frameon=False,
            fontsize=8,
        )
        below.suptitle(
            "What one more costs, among many", x=0.01, ha="left", fontsize=11, fontweight="bold"
        )
        of_growth: list[Artist] = [
            *(
                Line2D([], [], color=INK, linestyle=STYLE[name], label=name)
                for name in record.backends()
            ),
            Line2D([], [], color=OURS, linewidth=2.0, label="jobstate"),
            Line2D([], [], color=FAINT, linewidth=1.0, label="the peer named below each"),
        ]
        below.legend(
            handles=of_growth, loc="outside lower left", ncols=5, frameon=False, fontsize=8
        )
        for file in files:
            figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _measured(question: Question, record: Record) -> list[Measurement]:
    return record.of(question, "asyncio")


def bars(axes: Axes, question: Question, ours: Sequence[str], record: Record) -> None:
    """Draw the ratios of one question, and where its goals are."""
    measured = _measured(question, record)
    by_name = {each.contender: each for each in measured}
    base = base_of(question, by_name)
    axes.set_title(question.title, loc="left", fontsize=9.5, color=INK, fontweight="bold")
    axes.set_xscale("log")
    axes.set_xlim(0.7, 4000)
    if base is None:
        return
    for row, each in enumerate(measured):
        low, middle, high = ratios(each, base)
        mine = each.contender in ours
        axes.barh(row, middle - 0.7, left=0.7, height=0.66, color=OURS if mine else PEERS)
        axes.plot([low, high], [row, row], color=INK, linewidth=1, solid_capstyle="butt")
        took = amount(spread(each.samples).middle, each.unit)
        text = f"{digits(middle)} ×   {took}"
        weight = "bold" if mine else "normal"
        place = max(middle, high) * 1.12
        axes.text(place, row, text, va="center", fontsize=8, color=INK, fontweight=weight)
    names = [each.contender for each in measured]
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    for goal in question.goals:
        row = names.index(goal.contender)
        other = next((by_name[name] for name in goal.against if name in by_name), None)
        if other is not None:
            limit = ratios(other, base).middle / goal.limit if goal.faster else goal.limit
            axes.plot([limit, limit], [row - 0.46, row + 0.46], color=GOAL, linewidth=2.2, zorder=5)
    _plain(axes)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} ×"))
    axes.grid(axis="x", color=GRID, linewidth=0.8)


def lines(
    axes: Axes, question: Question, ours: str, peers: Sequence[str], of: str, record: Record
) -> None:
    """Draw what one more costs, over how many there are."""
    for names, colour, width, order in ((peers, FAINT, 1.0, 2), ((ours,), OURS, 2.0, 3)):
        for backend in record.backends():
            found = [
                each
                for each in record.of(question, backend)
                if each.contender in names and each.size is not None
            ]
            axes.plot(
                [each.size or 0 for each in found],
                [spread(each.samples).middle for each in found],
                STYLE[backend],
                color=colour,
                linewidth=width,
                marker="o",
                markersize=2 + width,
                zorder=order,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    costs = [spread(each.samples).middle for each in record.of(question)] or [1e-6]
    middle = (min(costs) * max(costs)) ** 0.5
    axes.set_ylim(middle / 50, middle * 50)  # the same span everywhere, to compare slopes
    axes.set_title(of, loc="left", fontsize=9.5, color=INK, fontweight="bold")
    axes.set_xlabel(f"beside {' or '.join(peers)}", fontsize=8)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: amount(value, "s").replace(".00", "").replace(".0", ""))
    )
    _plain(axes)
    axes.grid(color=GRID, linewidth=0.8)


def short(number: float) -> str:
    """Return a round number in few characters."""
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.0f}{letter}"
    return f"{number:.0f}"


def _plain(axes: Axes) -> None:
    """Take away what tells nothing."""
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
