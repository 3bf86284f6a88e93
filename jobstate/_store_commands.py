"""The verbs of the command line over a store: ls, show, history, watch and vacuum.

They read as any other process may: nobody who writes waits for them, and a store that is not there
is not made. What a store tells of is shown by `_store_shown`.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ._errors import JobStateError
from ._paging import each_job
from ._run_errors import JobNotFound
from ._store_errors import CorruptRecord, NewerFormat
from ._store_shown import (
    JOB_HEAD,
    STEP_HEAD,
    Fields,
    all_fields,
    job_fields,
    job_lines,
    job_row,
    live_line,
    say,
    say_json,
    step_fields,
    step_row,
    table,
)
from ._store_watch import watched
from ._stored import StoredJob
from ._verbs import BAD_INPUT, duration, from_one_on, from_zero_on, refused, utf8

if TYPE_CHECKING:
    from ._verbs import Verbs
    from .stores.sqlite import SQLiteStore

    Work = Callable[[SQLiteStore, Namespace], Awaitable[int]]


def add_store_commands(verbs: Verbs) -> None:
    """Add the verbs over a store to those of the command line."""
    ls = _add(verbs, "ls", _ls, "list the jobs of a store, the newest first")
    ls.add_argument(
        "--status",
        metavar="S",
        type=utf8,
        action="append",
        default=[],
        help="only jobs in this status; may be given several times",
    )
    ls.add_argument(
        "--limit",
        metavar="N",
        type=from_one_on,
        default=20,
        help="so many at most (default: %(default)s)",
    )
    show = _add(verbs, "show", _show, "tell all that is known of a job")
    show.add_argument("id", metavar="ID")
    history = _add(verbs, "history", _history, "list what a job went through")
    history.add_argument("id", metavar="ID")
    watch = _add(
        verbs,
        "watch",
        _watch,
        "follow the jobs of a store live",
        "Tell every transition and all progress of jobs as it comes. With ids, it begins with what "
        "they went through, and ends with them: with status 0 if all of them have succeeded.",
    )
    watch.add_argument(
        "ids", metavar="ID", nargs="*", help="only these (default: all, from now on)"
    )
    watch.add_argument(
        "--success",
        metavar="S",
        action="append",
        help="what status is success; may be given several times (default: SUCCESS)",
    )
    for verb in (ls, show, history, watch):
        verb.add_argument("--json", action="store_true", help="print a JSON object a line")
    vacuum = _add(
        verbs,
        "vacuum",
        _vacuum,
        "let go of old jobs, and give their space back",
        "Give the space that is not used back to the system, once jobs that have ended are let go "
        "of, if that is asked for.",
    )
    vacuum.add_argument(
        "--older-than",
        metavar="DURATION",
        type=duration,
        help="let go of jobs that ended so long ago: 90s, 15m, 12h or 30d",
    )
    vacuum.add_argument(
        "--keep", metavar="N", type=from_zero_on, help="let go of all but those that ended last"
    )


def _add(verbs: Verbs, verb: str, work: Work, short: str, long: str = "") -> ArgumentParser:
    parser = verbs.add_parser(verb, help=short, description=long or f"{short.capitalize()}.")
    parser.add_argument("store", metavar="STORE", help="the file of the store")
    parser.set_defaults(run=partial(_run, verb, work))
    return parser


def _run(verb: str, work: Work, arguments: Namespace) -> int:
    """Do the work of a verb with its store open; return the exit status."""
    status = BAD_INPUT
    try:
        from .stores.sqlite import SQLiteStore

        store = SQLiteStore(arguments.store, create=False)
    except (ImportError, ValueError) as error:
        return refused(verb, error)
    try:
        with _unlogged():
            status = anyio.run(_opened, store, work, arguments)
    except* JobStateError as errors:
        refused(verb, _one_of(errors))
    return status


async def _opened(store: SQLiteStore, work: Work, arguments: Namespace) -> int:
    async with store:
        return await work(store, arguments)


def _one_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextmanager
def _unlogged() -> Iterator[None]:
    """Have nothing logged to standard error for want of another place.

    That SQLite is an old one is for those to know who run the jobs, and not news at each look.
    """
    log, nowhere = logging.getLogger("jobstate"), logging.NullHandler()
    log.addHandler(nowhere)
    try:
        yield
    finally:
        log.removeHandler(nowhere)


async def _loaded(store: SQLiteStore, job_id: str) -> StoredJob:
    """Return all that is kept of a job, or say which of the newest might have been meant."""
    try:
        return await store.load(job_id)
    except JobNotFound as error:
        newest: list[str] = []
        with suppress(CorruptRecord, NewerFormat):  # of another job
            newest = [stored.job.id for stored in await store.jobs()]
        raise JobNotFound(job_id, error.count, newest) from None


def _say_table(head: tuple[str, ...], rows: list[list[str]]) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table(head, rows, width):
        say(line)


# --- jobs as they are -----------------------------------------------------------------------


async def _ls(store: SQLiteStore, arguments: Namespace) -> int:
    rows: list[list[str]] = []
    left, now, status, older = arguments.limit, time.time(), 0, False
    newest = each_job(lambda before: store.jobs(statuses=arguments.status, before=before), None)
    async with aclosing(newest):
        async for each in newest:
            if not left:
                older = True
                break
            left -= 1  # a job counts, though it cannot be read
            if not isinstance(each, StoredJob):
                status = refused("ls", each)
            elif arguments.json:
                say_json(job_fields(each))
            else:
                rows.append(job_row(job_fields(each), now))
    if not arguments.json and (rows or not status):
        _say_table(JOB_HEAD, rows)
        if older:
            say("There are older ones: see --limit.")
    return status


async def _show(store: SQLiteStore, arguments: Namespace) -> int:
    fields = all_fields(await _loaded(store, arguments.id))
    if arguments.json:
        say_json(fields)
    else:
        for line in job_lines(fields):
            say(line)
    return 0


async def _history(store: SQLiteStore, arguments: Namespace) -> int:
    stored = await _loaded(store, arguments.id)
    steps = [step_fields(entry, stored.job.name) for entry in stored.entries]
    if arguments.json:
        for step in steps:
            say_json(step)
    else:
        _say_table(STEP_HEAD, list(map(step_row, steps)))
    return 0


# --- as they go on --------------------------------------------------------------------------


async def _watch(store: SQLiteStore, arguments: Namespace) -> int:
    ids = list(dict.fromkeys(arguments.ids))
    for job_id in ids:
        await _loaded(store, job_id)  # or nothing is told of any
    ends = await watched(store, ids or [None], say_json if arguments.json else _say_live)
    return 0 if ends <= set(arguments.success or ["SUCCESS"]) else 1


def _say_live(change: Fields) -> None:
    say(live_line(change))


# --- making room ----------------------------------------------------------------------------


async def _vacuum(store: SQLiteStore, arguments: Namespace) -> int:
    before = _size(arguments.store)
    age, keep = arguments.older_than, arguments.keep
    if age is not None or keep is not None:
        ended_before = math.inf if age is None else time.time() - age
        gone = await store.prune(ended_before=ended_before, keep=keep or 0)
        say(f"{gone:,} job{' is' if gone == 1 else 's are'} gone")
    await store.vacuum()
    left = _size(arguments.store)
    say(f"{max(0, before - left):,} bytes are given back, {left:,} are left")
    return 0


def _size(path: str) -> int:
    """Return how many bytes a store takes, with SQLite's log."""
    size = 0
    for part in (path, f"{os.path.realpath(path)}-wal"):
        with suppress(FileNotFoundError):
            size += os.stat(part).st_size
    return size
