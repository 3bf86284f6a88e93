"""How everything here is measured: in turn, several rounds, the median and the spread quoted."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import NamedTuple

ROUNDS = 15


class Figure(NamedTuple):
    """What one contender needed, in seconds an operation."""

    name: str
    median: float
    low: float
    high: float


async def compared(
    contenders: dict[str, tuple[int, Callable[[int], Awaitable[None]]]],
) -> list[Figure]:
    """Return a figure for each contender: all take their turn in every round.

    A contender is how many operations a round does, and what does them. A machine that becomes
    slower meanwhile so becomes slower for all.
    """
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(ROUNDS + 1):
        for name, (count, run) in contenders.items():
            gc.collect()
            began = time.perf_counter()
            await run(count)
            if round_:  # the first one warms up
                taken[name].append((time.perf_counter() - began) / count)
    return [Figure(name, median(all_), min(all_), max(all_)) for name, all_ in taken.items()]


def table(question: str, figures: list[Figure], base: str) -> str:
    """Return figures as lines of text, each as a ratio to *base* as well."""
    unit = next(figure.median for figure in figures if figure.name == base)
    lines = [question, f"  {'':36}{'median':>10}{'spread':>22}{'ratio':>10}"]
    for name, middle, low, high in figures:
        spread = f"{low * 1e6:.2f} to {high * 1e6:.2f}"
        lines.append(f"  {name:36}{middle * 1e6:>7.2f} µs{spread:>19} µs{middle / unit:>9.2f}×")
    return "\n".join(lines)
