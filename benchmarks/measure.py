"""How everything here is measured.

The contenders of a question take their turn in every round (A B C, A B C, …), in one process, so
that a machine that becomes slower meanwhile becomes slower for all. A ratio is taken within each
round; quoted are the median of these ratios, and the quarter and three quarter marks.

The garbage collector is run before each sample and kept off during it, for all alike, as `timeit`
does; a page that wants it on says so. Time is that of the thread on a CPU, so that other programs
on the machine count for little; where what is timed has to sleep, or works in other threads, the
page takes another clock, and says so.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median, quantiles
from typing import NamedTuple

import anyio

BACKENDS = ("asyncio", "uvloop", "trio")

Clock = Callable[[], float]
"""Tells seconds."""


class Stopwatch:
    """Adds up the time of the blocks that count: what a contender prepares is not timed."""

    def __init__(self, *, collecting: bool = False, clock: Clock = time.thread_time) -> None:
        self.seconds = 0.0
        self._collecting = collecting
        self._clock = clock

    def __enter__(self) -> None:
        gc.collect()
        if not self._collecting:
            gc.disable()
        self._began = self._clock()

    def __exit__(self, *_: object) -> None:
        self.seconds += self._clock() - self._began
        gc.enable()

    @contextmanager
    def taken_off(self) -> Iterator[None]:
        """Time a block whose cost is contained in what is timed, but is not asked for."""
        gc.collect()
        gc.disable()
        began = self._clock()
        yield
        self.seconds -= self._clock() - began
        gc.enable()


Run = Callable[[int, Stopwatch], Awaitable[None]]
"""Does something that many times, and times it."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Who is measured, and how many operations make a sample."""

    name: str
    count: int
    run: Run
    collecting: bool = False
    """Whether the garbage collector stays on."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for a figure."""

    rounds: int
    share: float
    """Of the operations that a full sample has."""

    largest: int
    """No population grows beyond that."""

    watched: float
    """How many seconds idle waits are watched."""

    def sizes(self, *sizes: int) -> list[int]:
        """Return those of *sizes* that are not too large."""
        return [size for size in sizes if size <= self.largest]


FULL = Effort(rounds=15, share=1.0, largest=1_000_000, watched=5.0)
QUICK = Effort(rounds=3, share=0.1, largest=10_000, watched=0.5)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The samples of one contender, one a round."""

    question: str
    contender: str
    backend: str
    samples: tuple[float, ...]
    unit: str = "s"
    size: int | None = None
    """How many there were of what grows, in a question about growth."""


class Spread(NamedTuple):
    """The middle of some samples, and the middle half of them."""

    low: float
    middle: float
    high: float


def spread(samples: Sequence[float]) -> Spread:
    """Return the median of *samples* between their quartiles."""
    if len(samples) < 2:
        return Spread(samples[0], samples[0], samples[0])
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return Spread(low, median(samples), high)


def ratios(above: Measurement, below: Measurement) -> Spread:
    """Return how *above* relates to *below*, round by round."""
    return spread([a / b for a, b in zip(above.samples, below.samples, strict=True) if b])


async def in_turn(
    question: str,
    backend: str,
    effort: Effort,
    contenders: Iterable[Contender],
    *,
    size: int | None = None,
    clock: Clock = time.thread_time,
) -> list[Measurement]:
    """Return seconds an operation for each contender; all take their turn in every round."""
    taken: dict[str, list[float]] = {}
    shortened = [replace(each, count=max(1, int(each.count * effort.share))) for each in contenders]
    warm_up = 1 if effort.rounds > 2 else 0
    for round_ in range(effort.rounds + warm_up):
        for each in shortened:
            watch = Stopwatch(collecting=each.collecting, clock=clock)
            await each.run(each.count, watch)
            if round_ >= warm_up:
                taken.setdefault(each.name, []).append(watch.seconds / each.count)
    return [
        Measurement(question, name, backend, tuple(samples), size=size)
        for name, samples in taken.items()
    ]


async def in_tasks(
    backend: str, waits: Sequence[Callable[[], Awaitable[object]]], then: Callable[[], None]
) -> None:
    """Run each wait in a task of the backend's own kind, *then* end them once all are asleep."""
    if backend == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            for wait in waits:
                nursery.start_soon(wait)
            await settled()
            then()
    else:
        import asyncio

        async with asyncio.TaskGroup() as tasks:
            for wait in waits:
                tasks.create_task(wait())  # type: ignore[arg-type]  # all are coroutines
            await settled()
            then()


async def settled() -> None:
    """Let every task that can run do so. Twice, because Trio shuffles those of one turn."""
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached, and of which figures it is read."""

    text: str
    """What is to be reached, in words."""

    limit: float
    contender: str
    against: tuple[str, ...] = ()
    """Whom it is compared with (the first that was measured); nobody, if it is absolute."""

    faster: bool = False
    """The other one is to need that many times as much; else this one at most as much."""

    growth: tuple[int, int] | None = None
    """Two sizes that are compared: the second (or the largest below it) to the first."""

    unit: str = "×"

    def reached(self, measurements: Iterable[Measurement]) -> Spread | None:
        """Return the figure, out of the measurements of one question on one backend."""
        mine = [each for each in measurements if each.contender == self.contender]
        if not mine:
            return None
        if self.growth is not None:
            small, large = self.growth
            first = next((each for each in mine if each.size == small), None)
            last = max(
                (each for each in mine if each.size is not None and small < each.size <= large),
                key=lambda each: each.size or 0,
                default=None,
            )
            if first is None or last is None:
                return None
            per_one = spread(first.samples).middle  # sizes are not measured in the same rounds
            return spread([sample / per_one for sample in last.samples])
        if not self.against:
            return spread(mine[-1].samples)
        found = {each.contender: each for each in measurements}
        other = next((found[name] for name in self.against if name in found), None)
        if other is None:
            return None
        return ratios(other, mine[0]) if self.faster else ratios(mine[0], other)

    def is_met(self, figure: Spread) -> bool:
        """Whether the median reaches the goal."""
        return figure.middle >= self.limit if self.faster else figure.middle <= self.limit


@dataclass(frozen=True, slots=True)
class Question:
    """One question: how it is answered, and what is hoped for."""

    name: str
    title: str
    measure: Callable[[str, Effort], Awaitable[list[Measurement]]]
    note: str
    """What exactly is timed or counted."""

    goals: tuple[Goal, ...] = ()
    base: tuple[str, ...] = ()
    """The contender that the others are given as ratios to (the first that was measured)."""


def base_of(question: Question, measured: Mapping[str, Measurement]) -> Measurement | None:
    """Return what the others are compared with on one backend."""
    return next((measured[name] for name in question.base if name in measured), None)


def rounded(measurement: Measurement) -> Measurement:
    """Return it with samples of five significant digits, which is more than they are good for."""
    return replace(measurement, samples=tuple(float(f"{x:.5g}") for x in measurement.samples))
