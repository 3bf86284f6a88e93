"""What every store promises of claims: what is known by a name is run by one at a time."""

from __future__ import annotations

from .._errors import InvalidJobId
from .._store_errors import AlreadyClaimed, StoreClosed
from ..abc import Store
from ._store_durable import OpenStore
from ._store_tools import job_record, refuses, step


async def check_a_name_is_claimed_once(store: Store) -> None:
    """A claim holds until it is released, and says so to whoever claims the same again."""
    await store.claim("nightly")
    for _ in range(2):
        refusal = await refuses(AlreadyClaimed, store.claim("nightly"), "a claimed name")
        assert (refusal.name, refusal.here) == ("nightly", True), refusal
    await store.claim("daily")
    await store.release("nightly")
    await store.claim("nightly")
    await refuses(AlreadyClaimed, store.claim("daily"), "a name claimed before")


async def check_claimed_names_are_apart(store: Store) -> None:
    """Names that look alike are claimed each for itself, and what cannot name a job never is."""
    names = ["a", "A", "a-", "a_", "_", "-", "1", "01", "a" * 128, "a" * 127]
    for name in names:
        await store.claim(name)
    for name in names:
        await refuses(AlreadyClaimed, store.claim(name), "a claimed name")
        await store.release(name)
    for wrong in ("", "a b", "../a", "a" * 129, "a\n", "ä"):
        await refuses(InvalidJobId, store.claim(wrong), "no name")


async def check_releasing_too_much_does_nothing(store: Store) -> None:
    """What is not held, or no longer, or no name, can be released, and nothing comes of it."""
    await store.claim("daily")
    for name in ("nightly", "a b", "../a"):
        await store.release(name)
    await refuses(AlreadyClaimed, store.claim("daily"), "a name claimed before")
    for _ in range(2):
        await store.release("daily")
    await store.claim("daily")
    await store.aclose()
    await store.release("daily")
    await refuses(StoreClosed, store.claim("daily"), "a closed store")


async def check_of_two_stores_one_has_a_name(open_store: OpenStore) -> None:
    """Of all stores on one place, one has a name, until it releases it or is closed."""
    async with open_store() as one, open_store() as other:
        await one.claim("nightly")
        await other.claim("daily")
        for store, name in ((other, "nightly"), (one, "daily")):
            refusal = await refuses(AlreadyClaimed, store.claim(name), "a name that another has")
            assert (refusal.name, refusal.here) == (name, False), refusal
        await other.release("nightly")
        await refuses(AlreadyClaimed, other.claim("nightly"), "a name that another has kept")
        await other.create(job_record("nightly"))
        await other.append(step(1, job_id="nightly"), expected=0)
        await one.release("nightly")
        await other.claim("nightly")
        await refuses(AlreadyClaimed, one.claim("nightly"), "a name that was given away")
        await other.aclose()
        for name in ("nightly", "daily"):
            await one.claim(name)
