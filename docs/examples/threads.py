"""A job moved from threads: by callbacks of a library, and by a worker thread that waits."""

import threading
from collections.abc import Callable

import anyio
import anyio.from_thread
import anyio.to_thread

from jobstate import Job, WrongThread


def download(told: Callable[[int], object], done: Callable[[int], object]) -> None:
    """Stand for a library that calls back in a thread of its own, and knows no event loop."""
    for percent in (25, 50, 75):
        told(percent)
    done(12)


def resize(job: Job[int]) -> None:
    """Work in a worker thread of anyio, which can wait for its event loop."""
    anyio.from_thread.run(job.start)
    try:
        job.report(100)
    except WrongThread:
        print("a job is used in its own event loop only")
    job.threadsafe.report(100)
    job.threadsafe.succeed(3).result()


async def main() -> None:
    """Wait here for what happens there."""
    files, pictures = Job[int]("download-1"), Job[int]("resize-1")
    await files.start()
    callbacks = files.threadsafe.report, files.threadsafe.succeed
    thread = threading.Thread(target=download, args=callbacks)
    thread.start()
    print(await files, "files")
    await anyio.to_thread.run_sync(thread.join)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, resize, pictures)
        print(await pictures, "pictures")


anyio.run(main)

# Prints:
# 12 files
# a job is used in its own event loop only
# 3 pictures
