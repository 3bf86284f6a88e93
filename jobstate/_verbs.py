"""What every verb of the command line needs: how a request is refused, and kinds of arguments."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from ._portable import printable

if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction

    Verbs = _SubParsersAction[ArgumentParser]

BAD_INPUT = 2
"""The exit status of a request that makes no sense."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def refused(verb: str, why: object) -> int:
    """Say in one line why a request is refused; return the exit status."""
    sys.stderr.write(f"jobstate {verb}: {printable(str(why))}\n")
    return BAD_INPUT


def from_one_on(text: str) -> int:
    """Return a whole number from 1 on, given as an argument."""
    if not (text.isdecimal() and int(text) >= 1):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def from_zero_on(text: str) -> int:
    """Return a whole number from 0 on, given as an argument."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def utf8(text: str) -> str:
    """Return an argument, if it is text, and not bytes that are none."""
    if text.encode("utf-8", "replace").decode() != text:
        raise ArgumentTypeError(f"{text!r} is no text")
    return text


def duration(text: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``15m``, ``12h`` or ``30d``."""
    found = re.fullmatch(r"(\d+)([smhd])", text, re.ASCII)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no duration such as 90s, 15m, 12h or 30d")
    number, unit = found.groups()
    return float(number) * _SECONDS[unit]


def brief(seconds: float) -> str:
    """Return a duration in the largest unit that it fills, as ``15m``; 0 for a negative one."""
    unit = next((each for each in reversed(_SECONDS) if _SECONDS[each] <= seconds), "s")
    return f"{max(0, int(seconds // _SECONDS[unit]))}{unit}"
