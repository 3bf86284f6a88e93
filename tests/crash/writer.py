"""Processes that write to a store until they are killed, and say before and after what they do.

Run with a path, it reads a line for each process to start: a seed, and ``early`` for a store that
acknowledges what it has yet to commit. It forks, because to import all this takes longer than
the process is to live.
"""

from __future__ import annotations

import os
import random
import sys

import anyio

from jobstate import JOB_LIFECYCLE, Entry, JobRecord, JobStatus, Progress, Transition
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


async def live(store, name, rng):
    """Lead a job through its life, by edges of its lifecycle."""
    job = JobRecord(name, 1.5, info={"seed": rng.random()})
    tell("try", name, 0, job.append_id)
    await store.create(job)
    tell("ack", name, 0, job.append_id)
    status, version, attempt, final = job.status, 0, 0, False
    while not final:
        edge = rng.choice([edge for edge in JOB_LIFECYCLE.edges if edge.source == status])
        version += 1
        attempt += edge.dest == JobStatus.STARTED
        final = edge.dest in JOB_LIFECYCLE.final
        step = Transition(name, version, edge.trigger, status, edge.dest, 1.5, attempt)
        entry = Entry(step, final=final, result={"x": "y" * rng.randrange(2000)})
        tell("try", name, version, entry.append_id)
        await store.append(entry, expected=version - 1)
        tell("ack", name, version, entry.append_id)
        status = edge.dest
        if status == JobStatus.STARTED:
            await store.report(Progress(name, version, attempt, rng.random() * 100, {}, 1.5))


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
