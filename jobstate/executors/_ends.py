"""How processes end: by which signal, and with their parent.

A lifeline is a pipe that only this process writes to, and never does in the end: whoever reads from
it hears of this process's death, however sudden. A fork of this process would hold it open.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Protocol, TypeVar
from weakref import WeakSet


class _Closable(Protocol):
    def close(self) -> None: ...


_C = TypeVar("_C", bound=_Closable)
_lifelines: WeakSet[_Closable] = WeakSet()


def lifeline(end: _C) -> _C:
    """Return *end*, which forks of this process close at once."""
    _lifelines.add(end)
    return end


def _let_go() -> None:
    for end in list(_lifelines):
        end.close()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)


def send_to_group(leader: int, number: int) -> None:
    """Send a signal to all of a process group, whose leader has not been waited for yet."""
    with suppress(ProcessLookupError, PermissionError):  # all have ended; or changed user
        os.killpg(leader, number)


def how_ended(code: int) -> tuple[int | None, str | None]:
    """Return the exit code, or else the name of the signal, that a process's return code tells."""
    return (None, signal_name(-code)) if code < 0 else (code, None)


def signal_name(number: int) -> str:
    """Return a signal's name, such as ``SIGKILL``."""
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the nameless real-time signals
        return f"signal {number}"
