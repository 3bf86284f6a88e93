"""What errors hold, such that it can be pickled and shown.

Facts may be anything that users have: members of an enum made in a function, exceptions that take
other arguments than they keep. Where an error is raised they are kept as they are. Where it is
pickled, what cannot go along is replaced by text that reads like it.
"""

from __future__ import annotations

import pickle
from enum import Enum
from typing import Any


class Told(str):
    """Stands for a fact that cannot be pickled: is text, and reads like the fact."""

    name: str
    shown: str

    def __new__(cls, text: str, name: str, shown: str) -> Told:
        self = super().__new__(cls, text)
        self.name, self.shown = name, shown
        return self

    def __getnewargs__(self) -> tuple[str, str, str]:  # type: ignore[override]  # of a str: one
        return str(self), self.name, self.shown

    def __repr__(self) -> str:
        return self.shown


def portable(fact: Any) -> Any:
    """Return a fact such that it can be pickled, and taken out again."""
    try:
        pickle.loads(pickle.dumps(fact))
    except Exception:
        pass
    else:
        return fact
    if isinstance(fact, tuple):
        make = getattr(fact, "_make", tuple)  # a transition is a named one
        return make(map(portable, fact))
    if isinstance(fact, BaseException):
        return Exception(shown(fact))
    name = named(fact) if isinstance(fact, (Enum, str)) else shown(fact)
    return Told(str.__str__(fact) if isinstance(fact, str) else name, name, shown(fact))


def named(fact: object) -> str:
    """Return the name of a status, and the text of anything else."""
    return fact.name if isinstance(fact, (Enum, Told)) else str(fact)


def shown(fact: object) -> str:
    """Return how Python shows a fact or, where that fails, its class."""
    try:
        return repr(fact)
    except Exception:
        return f"<{type(fact).__name__}>"


def printable(text: str) -> str:
    """Return text with control characters escaped: it cannot forge a line, or steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
