"""The jobs of a store, page after page, past those that cannot be read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from ._store_errors import CorruptRecord, NewerFormat
from ._stored import StoredJob


async def each_job(
    ask: Callable[[Any], Awaitable[Sequence[StoredJob]]], begin: int | None
) -> AsyncGenerator[StoredJob | CorruptRecord | NewerFormat, None]:
    """Yield jobs and, in place of one that cannot be read, why.

    Args:
        ask: returns the page from a position on.
        begin: the position of the first page.

    Raises:
        CorruptRecord, NewerFormat: what cannot be read is not of one job alone.
    """
    while True:
        found: Sequence[StoredJob | CorruptRecord | NewerFormat]
        try:
            page = await ask(begin)
        except (CorruptRecord, NewerFormat) as error:
            if error.position is None or error.job_id is None:
                raise
            found, begin = [error], error.position
        else:
            if not page:
                return
            found, begin = page, page[-1].created
        for each in found:
            yield each
