"""Processes that run jobs until they are killed, and take up what was left by those before.

Run with a path, it reads a line for each process to start: a seed, and ``last`` for the one that
comes to its end. What they do they say at once: each job that is submitted, each attempt that
begins, and each job that has ended.
"""

from __future__ import annotations

import os
import random
import sys

import anyio

from jobstate import JobRunner, Retry, current_job
from jobstate.stores.sqlite import SQLiteStore

AT_ONCE = Retry(attempts=None, first_delay=0, max_delay=0)


def tell(*words):
    """Say something, at once: what was said is heard, however soon the end comes."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def work(turns):
    """Take so many turns; one attempt in five fails."""
    job = current_job()
    tell("begun", job.id, job.attempt)
    for turn in range(turns):
        await anyio.sleep(0.001)
        job.report(100 * turn / turns)
    if random.random() < 0.2:
        raise OSError("one of five")
    return turns


async def live(path, seed, last):
    """Take up what is left, and submit more, unless this is the end."""
    random.seed(seed)
    async with JobRunner(limit=4, store=SQLiteStore(path), functions=[work]) as runner:
        runner.jobs.on("SUCCESS", lambda event: tell("ended", event.job.id))
        for job in (await runner.recover()).jobs:
            tell("taken", job.id)
        for number in range(0 if last else 5):
            after = [f"{seed}-{number - 1}"] if number % 3 == 1 else []
            await runner.submit(
                work,
                random.randrange(6),
                id=f"{seed}-{number}",
                retry=AT_ONCE,
                after=after,
                priority=random.randrange(2),
            )
            tell("submitted", f"{seed}-{number}")


def main(path):
    """Start a process for each line, and say when it has gone."""
    tell("ready")
    for line in sys.stdin:
        seed, *how = line.split()
        pid = os.fork()
        if pid == 0:
            tell("pid", os.getpid())
            anyio.run(live, path, seed, how == ["last"])
            os._exit(0)
        os.waitpid(pid, 0)
        tell("end")


main(sys.argv[1])
