"""A job moved from threads: a worker thread of the event loop, and a thread of one's own."""

import threading
from functools import partial

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.lowlevel import EventLoopToken, current_token

from jobstate import Job, WrongThread


def resize(job: Job[int]) -> None:
    """Work in a worker thread of anyio, which knows its event loop."""
    anyio.from_thread.run(job.start)
    anyio.from_thread.run_sync(job.report, 50)
    try:
        job.report(100)
    except WrongThread:
        print("a job is used in its own event loop only")
    anyio.from_thread.run(job.succeed, 12)


def upload(job: Job[int], loop: EventLoopToken) -> None:
    """Work in a thread that knows nothing of event loops: it is given the loop's token."""
    anyio.from_thread.run(job.start, token=loop)
    anyio.from_thread.run_sync(partial(job.report, info={"to": "archive"}), token=loop)
    anyio.from_thread.run(job.succeed, 3, token=loop)


async def main() -> None:
    """Wait here for what happens there."""
    resized, uploaded = Job[int]("resize-1"), Job[int]("upload-1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, resize, resized)
        print(await resized, "pictures")

    thread = threading.Thread(target=upload, args=(uploaded, current_token()))
    thread.start()
    print(await uploaded, "files to the", uploaded.info["to"])
    await anyio.to_thread.run_sync(thread.join)  # the loop goes on meanwhile


anyio.run(main)

# Prints:
# a job is used in its own event loop only
# 12 pictures
# 3 files to the archive
