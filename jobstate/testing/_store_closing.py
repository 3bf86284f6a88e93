"""What every store promises of closing: nobody is left waiting, and all that was asked is told."""

from __future__ import annotations

from functools import partial

import anyio
from anyio.lowlevel import checkpoint

from .._store_errors import StoreClosed
from ..abc import Store
from ._store_tools import (
    job_record,
    moved,
    next_of,
    patience,
    refuses,
    report,
    step,
)


async def check_closing_wakes_who_follows(store: Store) -> None:
    """Nobody waits for a store that was closed: each follower gets an error that says so."""
    await moved(store, 1)
    told: list[str] = []

    async def follow(job_id: str | None, started: anyio.Event) -> None:
        async with store.follow(job_id) as feed:
            await next_of(feed)
            await next_of(feed)
            started.set()
            await refuses(StoreClosed, next_of(feed), "a store closed while it waits")
            await refuses(StoreClosed, next_of(feed), "a store closed before")
            told.append(job_id or "")

    with patience():
        async with anyio.create_task_group() as tasks:
            for job_id in ("j1", None):
                started = anyio.Event()
                tasks.start_soon(follow, job_id, started)
                await started.wait()
            await store.aclose()
    assert sorted(told) == ["", "j1"]


async def check_closed_store_says_so(store: Store) -> None:
    """A store that was closed, even twice, refuses everything with one error."""
    await moved(store, 1)
    await store.aclose()
    await store.aclose()
    for call in (
        partial(store.create, job_record("j2")),
        partial(store.append, step(2), expected=1),
        partial(store.report, report(1, 5.0)),
        partial(store.load, "j1"),
        partial(store.history, "j1"),
        store.unfinished,
        store.jobs,
        partial(store.claim, "j1"),
        partial(store.prune, ended_before=1.0),
    ):
        await refuses(StoreClosed, call(), "a closed store")
    for after in (0, None):
        feed = store.follow("j1", after=after)
        await refuses(StoreClosed, feed.__aenter__(), "following in a closed store")


async def check_leaving_the_block_closes(store: Store) -> None:
    """A store that is used as a context manager is closed when its block is left."""
    async with store:
        await store.create(job_record())
    await refuses(StoreClosed, store.load("j1"), "a store whose block was left")


async def check_cancelled_closing_closes(store: Store) -> None:
    """Who gives up waiting for a store to close has closed it all the same."""
    await store.create(job_record())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    await refuses(StoreClosed, store.load("j1"), "a store that was told to close")
    with patience():
        await store.aclose()


async def check_unused_store_closes(store: Store) -> None:
    """A store that nobody has used is closed like any other."""
    with patience():
        await store.aclose()
    await refuses(StoreClosed, store.load("j1"), "a closed store")


async def check_what_was_asked_before_closing_is_answered(store: Store) -> None:
    """Calls that are under way when a store is closed are told what has become of them."""
    await store.create(job_record())
    answers: list[object] = []

    async def write(number: int) -> None:
        try:
            answers.append(await store.create(job_record(f"n{number}")))
        except StoreClosed as refusal:
            answers.append(refusal)

    with patience():
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(write, number)
            await checkpoint()
            await store.aclose()
    assert len(answers) == 20
