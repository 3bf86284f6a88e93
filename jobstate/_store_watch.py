"""Following jobs of a store for somebody who reads along: `jobstate watch`."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

import anyio

from ._run_errors import JobNotFound
from ._store_shown import Fields, progress_fields, step_fields
from ._stored import Entry, JobRecord
from .abc import Store


async def watched(
    store: Store, ids: Iterable[str | None], say: Callable[[Fields], None]
) -> set[str]:
    """Print each transition and all progress at once; return the statuses in which jobs ended.

    Args:
        store: the store.
        ids: jobs, each of which is followed from its beginning to its end; ``None`` stands for all
            jobs, from now on and without an end.
        say: prints one of them.

    Raises:
        BrokenPipeError: whoever has read standard output has gone. This, and what the store
            raises, comes in groups.
    """
    ends: set[str] = set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_until_nobody_reads)
        async with anyio.create_task_group() as streams:
            for job_id in ids:
                streams.start_soon(_follow, store, job_id, say, ends)
        tasks.cancel_scope.cancel()
    return ends


async def _follow(
    store: Store, job_id: str | None, say: Callable[[Fields], None], ends: set[str]
) -> None:
    names: dict[str, str] = {}
    async with store.follow(job_id, after=None if job_id is None else 0) as feed:
        async for _, record in feed:
            if isinstance(record, JobRecord):
                if job_id in names:  # it was let go of, and this is another of its id
                    raise JobNotFound(job_id, None)
                names[record.id] = record.name
                continue
            if isinstance(record, Entry):
                of = record.transition.job_id
                fields = step_fields(record, await _name(store, of, names))
                if record.final:
                    names.pop(of)  # or there would be more and more of them
                    ends.add(record.transition.dest)
            else:
                fields = progress_fields(record, await _name(store, record.job_id, names))
            say(fields)
            sys.stdout.flush()


async def _name(store: Store, job_id: str, names: dict[str, str]) -> str:
    """Return the name of a job that may have been made, or let go of, before we saw it."""
    if job_id not in names:
        names[job_id] = ""
        with suppress(JobNotFound):
            names[job_id] = (await store.load(job_id)).job.name
    return names[job_id]


async def _until_nobody_reads() -> None:
    """Raise once whoever reads our pipe has gone, and not only when there is more to write.

    The end for writing counts as readable when there is no other end any more.
    """
    number = -1
    with suppress(OSError):  # it is no file at all
        number = sys.stdout.fileno()
    if number >= 0 and stat.S_ISFIFO(os.fstat(number).st_mode):
        await anyio.wait_readable(number)
        raise BrokenPipeError
