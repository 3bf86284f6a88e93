"""What does it cost to write a transition to a SQLite file?"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

import aiosqlite
import anyio
import anyio.to_thread

from jobstate import JobRecord
from jobstate.stores.sqlite import SQLiteStore

from .measure import Contender, Effort, Goal, Measurement, Question, Run, Stopwatch, in_turn
from .stores import INSERT, SELECT, UPDATE, Row, entry, name_of, new_file, plain, rows

FEW, MANY, MOST = 400, 3_200, 12_800
GROUP = 128
ONE, BATCH = "sqlite3, a commit each", f"sqlite3, {GROUP} in a commit"
THREAD, AIOSQLITE = f"{ONE} in to_thread.run_sync(…)", "aiosqlite, a commit each"
INSERTS = f"sqlite3, {GROUP} in a commit, rows alone"
OURS = "store.append(…), {} at a time"


def write(connection: sqlite3.Connection, group: Sequence[Row]) -> None:
    """Write some transitions by one commit."""
    run = connection.execute
    run("BEGIN IMMEDIATE")
    for each in group:
        run(SELECT, each.job).fetchone()
        run(UPDATE, each.moved)
        run(INSERT, each.kept)
    run("COMMIT")


def insert(connection: sqlite3.Connection, group: Sequence[Row]) -> None:
    """Write what is kept of some transitions by one commit, and do not look at their jobs."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(INSERT, [each.kept for each in group])
    connection.execute("COMMIT")


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a transition, until it is acknowledged."""

    def alone(group: int, how: Callable[[sqlite3.Connection, Sequence[Row]], None] = write) -> Run:
        async def run(count: int, watch: Stopwatch) -> None:
            with new_file() as path, plain(path, GROUP) as connection:
                ready = rows(GROUP, count)

                def write_all() -> None:
                    for start in range(0, count, group):
                        how(connection, ready[start : start + group])

                with watch:
                    await anyio.to_thread.run_sync(write_all)

        return run

    async def thread(count: int, watch: Stopwatch) -> None:
        with new_file() as path, plain(path, GROUP) as connection:
            ready = rows(GROUP, count)
            with watch:
                for each in ready:
                    await anyio.to_thread.run_sync(write, connection, [each])

    async def other(count: int, watch: Stopwatch) -> None:
        with new_file() as path, plain(path, GROUP):
            async with aiosqlite.connect(path, isolation_level=None) as connection:
                run = connection.execute
                await run("PRAGMA synchronous=FULL")
                ready = rows(GROUP, count)
                with watch:
                    for each in ready:
                        await run("BEGIN IMMEDIATE")
                        await (await run(SELECT, each.job)).fetchone()
                        await run(UPDATE, each.moved)
                        await run(INSERT, each.kept)
                        await run("COMMIT")

    def ours(producers: int) -> Run:
        async def run(count: int, watch: Stopwatch) -> None:
            names = [name_of(number) for number in range(producers)]
            versions = range(1, max(1, count // producers) + 1)
            made = {name: [entry(name, version) for version in versions] for name in names}
            with new_file() as path:
                async with SQLiteStore(path) as store:

                    async def produce(name: str) -> None:
                        for version, each in enumerate(made[name]):
                            await store.append(each, expected=version)

                    async with anyio.create_task_group() as tasks:
                        for name in names:
                            tasks.start_soon(store.create, JobRecord(name, 1.7e9))
                    with watch:
                        async with anyio.create_task_group() as tasks:
                            for name in names:
                                tasks.start_soon(produce, name)

        return run

    contenders = [
        Contender(ONE, FEW, alone(1)),
        Contender(THREAD, FEW, thread),
        *([Contender(AIOSQLITE, FEW, other)] if backend != "trio" else []),
        Contender(BATCH, MOST, alone(GROUP)),
        Contender(INSERTS, MOST, alone(GROUP, insert)),
        Contender(OURS.format(1), FEW, ours(1)),
        Contender(OURS.format(16), MANY, ours(16)),
        Contender(OURS.format(GROUP), MOST, ours(GROUP)),
    ]
    return await in_turn("store_writing", backend, effort, contenders, clock=time.perf_counter)


QUESTION = Question(
    "store_writing",
    "A transition in a SQLite file",
    measure,
    "Seconds a transition until it is acknowledged, with `synchronous=FULL`: transitions a second "
    f"are what one takes, turned over. `SQLiteStore` is given transitions by 1, 16 or {GROUP} "
    "tasks that each wait for the answer before the next, checks them and makes them JSON. The "
    "peers have their rows ready. They select the job, update it and insert the transition by "
    "the statements of the store, but for those rows alone, which are inserted by `executemany` "
    "and nothing else. Wall-clock time: a commit waits for the disk, if there is one below the "
    "folder for temporary files.",
    (
        Goal(f"{GROUP} at a time: ≥ 9 × a commit each", 9, OURS.format(GROUP), (ONE,), True),
        Goal(f"the same: ≤ 2 × {GROUP} in a commit", 2, OURS.format(GROUP), (BATCH,)),
    ),
    (ONE,),
)
