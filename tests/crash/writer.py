"""Processes that write to a store until they are killed, and say before and after what they do.

Run with a path, it reads a line for each process to start: a seed, and ``early`` for a store that
acknowledges what it has yet to commit. It forks, because to import all this takes longer than
the process is to live.
"""

from __future__ import annotations

import os
import random
import sys
from functools import partial
from zlib import crc32

import anyio

from jobstate import JOB_LIFECYCLE, Entry, JobRecord, JobStatus, Progress, Transition
from jobstate.stores import encoded
from jobstate.stores._desk import answer
from jobstate.stores.sqlite import SQLiteStore

TASKS = 6


class EarlyStore(SQLiteStore):
    """Acknowledges what it is asked to write, and writes it a little later."""

    def __init__(self, path):
        super().__init__(path)
        self._late = []

    def _write(self, connection, calls):
        self._late.append(list(calls))
        if len(self._late) > 3:
            super()._write(connection, self._late.pop(0))
        answer(calls)


def tell(*words):
    """Say something, at once: what was said is heard, however soon the end comes."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def told(call, name, what, record):
    """Have something kept, and say so before and after: of which job, what, and its checksum."""
    crc = crc32(encoded(record).encode())
    tell("try", name, what, crc)
    await call(record)
    tell("ack", name, what, crc)


async def live(store, name, rng):
    """Lead a job through its life, by edges of its lifecycle."""
    job = JobRecord(name, 1.5, info={"seed": rng.random()})
    await told(store.create, name, 0, job)
    status, version, attempt, final, reports = job.status, 0, 0, False, 0
    while not final:
        edge = rng.choice([edge for edge in JOB_LIFECYCLE.edges if edge.source == status])
        attempt += edge.dest == JobStatus.STARTED
        final = edge.dest in JOB_LIFECYCLE.final
        step = Transition(name, version + 1, edge.trigger, status, edge.dest, 1.5, attempt)
        entry = Entry(step, final=final, result={"x": "y" * rng.randrange(2000)})
        await told(partial(store.append, expected=version), name, version + 1, entry)
        status, version = edge.dest, version + 1
        if status == JobStatus.STARTED:
            for _ in range(rng.randrange(3)):
                reports += 1
                percent, info = rng.random() * 100, {"number": reports}
                report = Progress(name, version, attempt, percent, info, 1.5)
                await told(store.report, name, f"report-{reports}", report)


async def write(path, seed, early):
    """Write on and on."""
    store = EarlyStore(path) if early else SQLiteStore(path)

    async def work(task):
        rng = random.Random(f"{seed}-{task}")
        number = 0
        while True:
            number += 1
            await live(store, f"r{seed}-{task}-{number}", rng)

    async with anyio.create_task_group() as tasks:
        for task in range(TASKS):
            tasks.start_soon(work, task)


def main():
    """Start a process for each line that is read, and say when it has ended."""
    path = sys.argv[1]
    tell("ready")
    for line in sys.stdin:
        seed, *how = line.split()
        pid = os.fork()
        if not pid:
            anyio.run(write, path, seed, "early" in how)
        tell("pid", pid)
        os.waitpid(pid, 0)
        tell("end")


if __name__ == "__main__":
    main()
