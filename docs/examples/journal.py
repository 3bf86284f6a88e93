"""Each transition is in a file before anybody hears of it."""

import json
import os
import tempfile
from pathlib import Path

import anyio
import anyio.to_thread

from jobstate import Entry, Job


class FileJournal:
    """Appends each transition to a file, as a line of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def append(self, entry: Entry) -> None:
        """Write a line, and return once the disk has it."""
        transition = entry.transition
        line = json.dumps(
            {
                "job": transition.job_id,
                "version": transition.version,
                "trigger": transition.trigger,
                "status": transition.dest,
                "at": transition.at.isoformat(),
                "reason": transition.reason,
            }
        )
        await anyio.to_thread.run_sync(self._write, f"{line}\n")

    def _write(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def show(path: Path) -> None:
    """Print what the journal holds."""
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        print(entry["version"], entry["trigger"], entry["status"])


async def main() -> None:
    """Move a job, lose the disk, and see that the job stays where its journal is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "jobs.jsonl")
        job = Job[int]("count-1", journal=FileJournal(path))
        await job.start()
        show(path)
    try:
        await job.succeed(100)  # the folder is gone
    except FileNotFoundError:
        print("refused; the job is still", job.status, "at version", job.version)


anyio.run(main)

# Prints:
# 1 start STARTED
# refused; the job is still STARTED at version 1
