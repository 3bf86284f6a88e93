"""Plain JSON: values that come back as they were given, and text that is not believed unchecked."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NoReturn, TypeAlias

from ._portable import shown

LARGEST = 64 * 1024
"""Bytes that a text may take."""

DEEPEST = 32
"""How many lists and objects may stand in each other."""


class NotPlain(Exception):
    """Something is not plain JSON: where in the value, and what is wrong there."""

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(path, problem)


def too_large() -> NotPlain:
    """Return what is wrong with a value of which nobody has to see all."""
    return NotPlain("the record", f"it takes more than {LARGEST:,} bytes")


def loaded(text: str) -> Any:
    """Return the value of a JSON text, which may hold more than `check_plain` lets pass.

    Raises:
        NotPlain: it is too large, no JSON, or JSON of which readers disagree what it says.
    """
    if len(text) > LARGEST or len(text.encode("utf-8", "replace")) > LARGEST:
        raise too_large()
    try:
        return _decode(text)
    except RecursionError:
        raise NotPlain("the record", f"more than {DEEPEST} levels deep") from None
    except ValueError as error:
        raise NotPlain("the record", f"it is not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise NotPlain("the record", f"{name[:60]!r} is there twice")
        members[name] = value
    return members


def _refuse(constant: str) -> NoReturn:
    raise NotPlain("the record", f"{constant} is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse).decode
dumped = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""Returns JSON on one line, as short as can be."""


def check_plain(value: Any, name: str = "", depth: int = 1) -> None:
    """Return if a value is JSON, of the very types that it comes back with from its text.

    Args:
        value: what to look at.
        name: of the member of a record that it is.
        depth: in how many lists and objects it stands, itself included.

    Raises:
        NotPlain: it is not, or it is too large or too deep; `path` is such as ``result.rows[3]``.
    """
    _look(value, (None, name) if name else None, depth, [LARGEST])


_Place: TypeAlias = tuple[Any, str | int] | None
"""Where a value stands, and under which key there: in words only once something is wrong."""


def _look(value: Any, place: _Place, depth: int, left: list[int]) -> None:
    """Look at a value; *left* is what its text may still take, so that nobody reads on for ever."""
    kind = type(value)
    left[0] -= len(value) + 2 if kind is str else 1
    if left[0] < 0:
        raise too_large()
    if kind is str:
        if not value.isascii():
            _look_closely(value, place)
    elif kind is dict or kind is list:
        if depth > DEEPEST:
            raise NotPlain(_path(place), f"more than {DEEPEST} levels deep")
        if kind is list:
            for index, item in enumerate(value):
                _look(item, (place, index), depth + 1, left)
        else:
            for name, member in value.items():
                if type(name) is not str:
                    wrong = f"the key {shown(name)[:60]} is {type(name).__name__}, and not text"
                    raise NotPlain(_path(place), wrong)
                left[0] -= len(name) + 2
                if not name.isascii():
                    _look_closely(name, (place, name))
                _look(member, (place, name), depth + 1, left)
    elif kind is float:
        if not isfinite(value):
            raise NotPlain(_path(place), f"{value} is not JSON")
    elif kind is int:
        if not -(2**63) <= value < 2**63:
            raise NotPlain(_path(place), "a whole number of more than 64 bits")
    elif value is not None and kind is not bool:
        raise NotPlain(_path(place), f"{kind.__name__} is not JSON")


def _look_closely(text: str, place: _Place) -> None:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise NotPlain(_path(place), "text with half of a surrogate pair is not JSON")


def _path(place: _Place) -> str:
    """Return in words where something stands."""
    if place is None:
        return ""
    outer, key = _path(place[0]), place[1]
    if isinstance(key, int):
        return f"{outer}[{key}]"
    if not key.isidentifier():
        return f"{outer}[{key[:60]!r}]"
    return f"{outer}.{key}" if outer else key
