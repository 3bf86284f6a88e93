"""How long after a commit in one process does a waiter in another go on?

A child process follows a job, notes when it hears of each transition, and says so by a datagram;
only then comes the next one, so that it is asleep each time. Before, it sends datagrams back, with
nothing in between: that is what two wake-ups of processes cost, and no library can do without one.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from statistics import median, quantiles

import anyio
import anyio.to_thread

from jobstate import JobRecord
from jobstate.stores.sqlite import SQLiteStore

from .measure import Effort, Measurement, Question, Stopwatch
from .stores import entry, name_of, new_file

COUNT = 100
ROOT = Path(__file__).parent.parent
DATAGRAM = "a Unix datagram there and back"
APPEND, WOKEN = "await store.append(…)", "from store.append(…) to the line in another process"
LATER = "from the answer to store.append(…) to that line"
TOLD = (APPEND, WOKEN, LATER)
FOLLOW = b"follow"
JOB = name_of(1)


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds: medians of rounds, and of all rounds what one in a hundred exceeds."""
    count = max(1, int(COUNT * effort.share))
    versions = iter(range(1, effort.rounds * count + 1))
    rounds: dict[str, list[list[float]]] = {}
    with new_file() as path:
        async with SQLiteStore(path) as store:
            await store.create(JobRecord(JOB, 1.7e9))
            with another(backend, path) as other:
                for _ in range(effort.rounds):
                    with Stopwatch():  # keeps the collector off
                        taken = [there_and_back(other) for _ in range(count)]
                    rounds.setdefault(DATAGRAM, []).append(taken)
                other.send(FOLLOW)
                await anyio.to_thread.run_sync(other.recv, 64)
                for _ in range(effort.rounds):
                    with Stopwatch():
                        told = [await appended(store, v, other) for v in islice(versions, count)]
                    for what, of_one in zip(TOLD, zip(*told, strict=True), strict=True):
                        rounds.setdefault(what, []).append(list(of_one))
                last = effort.rounds * count + 1
                await store.append(entry(JOB, last, final=True), expected=last - 1)
    found = []
    for what, of_rounds in rounds.items():
        medians = tuple(median(taken) for taken in of_rounds)
        worst = quantiles(chain.from_iterable(of_rounds), n=100, method="inclusive")[-1]
        found.append(Measurement("store_waking", what, backend, medians))
        found.append(Measurement("store_waking", f"{what}; one in 100", backend, (worst,)))
    return found


async def appended(
    store: SQLiteStore, version: int, other: socket.socket
) -> tuple[float, float, float]:
    """Append a transition, and return how long what took that is `TOLD`."""
    began = time.perf_counter()
    await store.append(entry(JOB, version), expected=version - 1)
    answered = time.perf_counter()
    (heard,) = array("d", await anyio.to_thread.run_sync(other.recv, 64))  # all have one clock
    return answered - began, heard - began, heard - answered


def there_and_back(other: socket.socket) -> float:
    """Return how long an answer takes that is sent at once."""
    began = time.perf_counter()
    other.send(b"\a")
    other.recv(64)
    return time.perf_counter() - began


@contextmanager
def another(backend: str, path: Path) -> Iterator[socket.socket]:
    """A process that sends datagrams back until it is told to follow a job."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    number = theirs.fileno()
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.store_waking"]
    with theirs:
        process = subprocess.Popen(
            [*command, backend, str(path), str(number)],
            cwd=ROOT,
            pass_fds=[number],
            stderr=subprocess.DEVNULL,
        )
    with process, ours:
        ours.settimeout(60)
        try:
            there_and_back(ours)  # once it has started
            yield ours
        except BaseException:
            process.kill()
            raise


async def follow(path: str, other: socket.socket) -> None:
    """Say of each transition of the job when it was heard of."""
    async with SQLiteStore(path) as store, store.follow(JOB) as feed:
        async for _ in feed:
            heard = time.perf_counter()
            other.send(array("d", [heard]))


QUESTION = Question(
    "store_waking",
    "From a commit to a waiter in another process",
    measure,
    "One process appends a transition to a SQLite file, with `synchronous=FULL`, and another "
    "follows the job, asleep until then. It is woken when the transition is committed, and the "
    "answer is given right after. Two processes that answer each other, with no event loop, "
    "are what a datagram takes. Quoted are medians of the medians of rounds, and what one in a "
    "hundred exceeds. Wall-clock time.",
    (),
    (DATAGRAM,),
)

if __name__ == "__main__":
    _backend, _path, _number = sys.argv[1:]
    with socket.socket(fileno=int(_number)) as _other:
        while _other.recv(64) != FOLLOW:
            _other.send(b"\a")
        anyio.run(
            follow,
            _path,
            _other,
            backend="trio" if _backend == "trio" else "asyncio",
            backend_options={"use_uvloop": True} if _backend == "uvloop" else {},
        )
