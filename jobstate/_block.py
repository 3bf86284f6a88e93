"""Blocks that have tasks of their own, of which those who enter them see nothing."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType


async def enter(block: AbstractAsyncContextManager[None]) -> None:
    """Enter a block with task groups in it, and raise what was raised, not groups of it."""
    try:
        await block.__aenter__()
    except BaseExceptionGroup as group:
        raise _only_one_of(group, 0) from None


async def leave(
    block: AbstractAsyncContextManager[None],
    groups: int,
    exc_type: type[BaseException] | None,
    exc: BaseException | None,
    tb: TracebackType | None,
) -> bool | None:
    """Leave a block with so many task groups in each other; raise what was raised, not groups.

    Of several, an interrupt goes before what came of it.
    """
    try:
        return await block.__aexit__(exc_type, exc, tb)
    except BaseExceptionGroup as group:
        # One that was raised in the block is the block's own, or Trio's copy of that.
        error = _only_one_of(group, groups if isinstance(exc, BaseExceptionGroup) else 0)
    if error is exc:
        return None
    interrupt = None if isinstance(exc, BaseExceptionGroup) else _interrupt_in(error)
    if interrupt is not None:
        raise interrupt from error
    raise error


def _only_one_of(error: BaseException, groups: int) -> BaseException:
    """Return the only one in groups of one; so many of them at most, if that is not 0."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
        groups -= 1
        if not groups:
            break
    return error


def _interrupt_in(error: BaseException) -> BaseException | None:
    """Return the first interrupt in a group."""
    if not isinstance(error, BaseExceptionGroup):
        return None
    found: BaseException | None = error.subgroup((KeyboardInterrupt, SystemExit))
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
