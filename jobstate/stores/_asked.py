"""What is asked of a store, looked at before anything is done."""

from __future__ import annotations

from collections.abc import Collection

from .._portable import named


def names_of(statuses: Collection[str]) -> set[str]:
    """Return the names of statuses, whatever enum they are members of.

    Raises:
        TypeError: it is one text, and no collection of them.
    """
    if isinstance(statuses, str):
        raise TypeError(f"statuses are several names, as in [{statuses!r}], and not one text")
    return {named(status) for status in statuses}
