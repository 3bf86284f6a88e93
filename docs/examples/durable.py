"""A runner is killed in the middle of its work, and another one goes on where it was."""

import subprocess
import sys
import tempfile
from pathlib import Path

import anyio

from jobstate import JobRunner, JobStatus, Retry, current_job
from jobstate.stores.sqlite import SQLiteStore


async def publish(name: str) -> str:
    """Publish something; the first attempt at the first one takes for ever."""
    attempt = current_job().attempt
    if name == "north" and attempt == 1:
        await anyio.sleep_forever()
    return f"{name} is out, at attempt {attempt}"


def runner(path: Path) -> JobRunner:
    """Return a runner that keeps its jobs in a file, and knows what they may run."""
    return JobRunner(limit=1, store=SQLiteStore(path), functions=[publish])


async def submit(path: Path) -> None:
    """Have two things published."""
    async with runner(path) as first:
        retry = Retry(attempts=2, first_delay=0)
        north = await first.submit(publish, "north", id="north", retry=retry)
        await first.submit(publish, "south", id="south")
        await north.reached(JobStatus.STARTED)
        print("north has begun, south waits", flush=True)


async def go_on(path: Path) -> None:
    """Take up what is left."""
    async with runner(path) as second:
        for job in (await second.recover()).jobs:
            print(f"{job.id} was {job.status}")
    for job in second.jobs:
        print(job.result)


def main() -> None:
    """Kill a process at its work, and finish that."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "jobs.db")
        command = [sys.executable, __file__, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            print(process.stdout.readline(), end="")
            process.kill()
        print("killed")
        anyio.run(go_on, path)


if len(sys.argv) > 1:
    anyio.run(submit, Path(sys.argv[1]))
else:
    main()

# Prints:
# north has begun, south waits
# killed
# north was STARTED
# south was PENDING
# north is out, at attempt 2
# south is out, at attempt 1
