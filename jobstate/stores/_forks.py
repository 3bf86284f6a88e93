"""What a forked child must not keep of its parent: descriptors by which others tell that it lives.

A lock on a file and a connection end with the last descriptor of them. So a child closes the
copies that it was born with; where a program is executed, the system closes them.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet

lock = threading.RLock()
"""Held while such descriptors are opened and closed, and while the process forks."""


class Inherited(Protocol):
    """Something that has such descriptors."""

    def leave_to_parent(self) -> None:
        """In a child that was forked: close them, and do nothing to what they are of."""


_all: WeakSet[Inherited] = WeakSet()


def closed_in_children(owner: Inherited) -> None:
    """Have the descriptors that something owns closed in each child that is forked."""
    with lock:
        _all.add(owner)


def _forked() -> None:
    try:
        for owner in _all:
            owner.leave_to_parent()
    finally:
        lock.release()


os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=_forked)
