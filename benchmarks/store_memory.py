"""What does a store in a SQLite file weigh?"""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from jobstate import JobRecord
from jobstate.stores.sqlite import SQLiteStore

from .measure import Effort, Measurement, Question, settled
from .stores import entry, filled, name_of, new_file

COUNT = 1_000
ROOT = Path(__file__).parent.parent
ASLEEP = "a task asleep"
FOLLOWER, PENDING = "a task that follows a job", "a task in store.append(…)"
PROCESS = "a process, by a store that is open"


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return bytes for each of many tasks, and for a process."""
    names = [name_of(number) for number in range(COUNT)]
    with new_file() as path:
        async with SQLiteStore(path, patience=60) as store:
            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(store.create, JobRecord(name, 1.7e9))

            async def follow(name: str) -> None:
                async with store.follow(name) as feed:
                    async for _ in feed:
                        pass

            async def all_read() -> None:
                for _ in range(4):  # a page, and the next, which is empty
                    await anyio.wait_all_tasks_blocked()
                    await store.load(name_of(0))

            found = [
                (ASLEEP, await _held([anyio.Event().wait] * COUNT, settled)),
                (FOLLOWER, await _held([partial(follow, name) for name in names], all_read)),
            ]
            appends = [partial(store.append, entry(name, 1), expected=0) for name in names]
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")  # nobody else can write meanwhile
                found.append((PENDING, await _held(appends, settled)))
    measured = [
        Measurement("store_memory", what, backend, (held,), "bytes") for what, held in found
    ]
    for size in effort.sizes(1_000, 10_000, 100_000, 1_000_000):
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.store_memory"]
        told = subprocess.run(  # noqa: ASYNC221  # nothing else is to happen meanwhile
            [*command, backend, str(filled(size)), name_of(size // 2 + 1)],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        grown = (float(told.stdout),)
        measured.append(Measurement("store_memory", PROCESS, backend, grown, "bytes", size))
    return measured


async def _held(
    waits: Sequence[Callable[[], Coroutine[Any, Any, object]]],
    settle: Callable[[], Awaitable[None]],
) -> float:
    """Return how many bytes of Python each of some tasks holds once they sleep; cancel them."""
    async with anyio.create_task_group() as tasks:
        gc.collect()
        tracemalloc.start()
        for wait in waits:
            tasks.start_soon(wait)
        await settle()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] / len(waits)
        tracemalloc.stop()
        tasks.cancel_scope.cancel()
    return held


def _resident() -> int:
    """Return how many bytes of this process are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def grow(path: str, name: str) -> None:
    """Print by how much the process grows with a store in use."""
    before = _resident()
    async with SQLiteStore(path) as store:
        await store.load(name)
        await store.unfinished()
        print(_resident() - before)


QUESTION = Question(
    "store_memory",
    "What a store in a SQLite file weighs",
    measure,
    "Bytes that Python holds for each of a thousand tasks, by tracemalloc: one that sleeps, one "
    "that follows a job, one that has a transition to write. And the bytes by which a process "
    "grows that opens a store of so many jobs, loads one and asks for those that have not ended, "
    "by what the system says is in memory: two threads, and a cache of SQLite.",
    (),
    (ASLEEP,),
)

if __name__ == "__main__":
    _backend, _path, _name = sys.argv[1:]
    anyio.run(
        grow,
        _path,
        _name,
        backend="trio" if _backend == "trio" else "asyncio",
        backend_options={"use_uvloop": True} if _backend == "uvloop" else {},
    )
