"""Does it take longer to open a store of many jobs?"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from jobstate.stores.sqlite import SQLiteStore

from .measure import Contender, Effort, Goal, Measurement, Question, Stopwatch, in_turn
from .stores import filled, name_of

COUNT = 20
LOAD, PAGE = "opened, until load(id) answers", "opened, until unfinished() answers"
OPEN_LOAD, OPEN_PAGE = "load(id), once it is open", "unfinished(), once it is open"
Ask = Callable[[SQLiteStore], Awaitable[object]]


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds until the first answer, and for each that follows, by how much is stored."""

    async def opened(ask: Ask, size: int, count: int, watch: Stopwatch) -> None:
        path = filled(size)
        with watch:
            for _ in range(count):
                store = SQLiteStore(path)
                await ask(store)
                with watch.taken_off():
                    await store.aclose()

    async def asked(ask: Ask, size: int, count: int, watch: Stopwatch) -> None:
        async with SQLiteStore(filled(size)) as store:
            with watch:
                for _ in range(count):
                    await ask(store)

    found = []
    for size in effort.sizes(1_000, 10_000, 100_000, 1_000_000):
        middle = name_of(size // 2 + 1)

        async def load(store: SQLiteStore, name: str = middle) -> None:
            assert len((await store.load(name)).entries) == 3

        async def page(store: SQLiteStore) -> None:
            assert await store.unfinished()

        contenders = [
            Contender(LOAD, COUNT, partial(opened, load, size)),
            Contender(PAGE, COUNT, partial(opened, page, size)),
            Contender(OPEN_LOAD, COUNT, partial(asked, load, size)),
            Contender(OPEN_PAGE, COUNT, partial(asked, page, size)),
        ]
        found += await in_turn(
            "store_opening", backend, effort, contenders, size=size, clock=time.perf_counter
        )
    return found


QUESTION = Question(
    "store_opening",
    "Opening a store of a million jobs",
    measure,
    "Seconds from `SQLiteStore(path)` to the first answer, and for an answer once it is open. "
    "Each job has three transitions, but one in a hundred has not ended. `load` gives one of them "
    "whole, `unfinished` the first page of 64 (of a thousand jobs, all 10 that there are). The "
    "file is in the memory of the system. Wall-clock time.",
    (
        Goal("load: flat, ≤ 1.5 × from 1,000 to 1,000,000", 1.5, LOAD, growth=(1_000, 1_000_000)),
        Goal(
            "unfinished: flat, ≤ 1.5 × from 10,000 to 1,000,000",
            1.5,
            PAGE,
            growth=(10_000, 1_000_000),
        ),
    ),
)
