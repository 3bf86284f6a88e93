"""The right to run what is known by a name: a lock on a file, which ends with its process.

Whoever has locked the file of a name has the name. The system takes the lock away with the last
descriptor of the opened file, however the process ends; so no child may keep one (see `_forks`).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from .._store_errors import AlreadyClaimed
from . import _forks


class Claims:
    """The names that one store object has.

    Args:
        store: what errors call the store.
        folder: where the files are; for this user alone.
        check: raises where the store was closed.
    """

    def __init__(self, store: str, folder: Path, check: Callable[[], None]) -> None:
        self._store, self._folder, self._check = store, folder, check
        self._held: dict[str, int] = {}
        """The descriptor of each file that is locked."""

        _forks.closed_in_children(self)

    def take(self, name: str) -> None:
        """Take a name, at once.

        Raises:
            AlreadyClaimed: another has it, or it was taken before.
            OSError: its file cannot be opened.
        """
        with _forks.lock:
            self._check()
            if name in self._held:
                raise AlreadyClaimed(self._store, name, here=True)
            self._held[name] = self._locked(name)

    def drop(self, name: str) -> None:
        """Give a name back, at once, if it was taken."""
        with _forks.lock:
            lock = self._held.pop(name, None)
            if lock is not None:
                path = self._path(name)
                with suppress(OSError):  # a file that is left can be locked again
                    if _is_at(lock, path):
                        os.unlink(path)
                os.close(lock)

    def drop_all(self) -> None:
        """Give all names back, at once."""
        with _forks.lock:
            for name in list(self._held):
                self.drop(name)

    def leave_to_parent(self) -> None:
        """In a child that was forked: close what its parent has locked, which stays locked."""
        for lock in self._held.values():
            os.close(lock)
        self._held.clear()

    def _locked(self, name: str) -> int:
        path = self._path(name)
        while True:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(lock, path):
                    return lock
            except BlockingIOError:
                os.close(lock)
                raise AlreadyClaimed(self._store, name) from None
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)  # whoever had it has removed it since it was opened

    def _path(self, name: str) -> Path:
        """Return the file of a name: not every file system tells ``a`` from ``A``, as names do."""
        return self._folder / f".claim-{blake2b(name.encode(), digest_size=16).hexdigest()}"


def _is_at(lock: int, path: Path) -> bool:
    """Whether what is locked is what others find at a path."""
    try:
        return os.path.samestat(os.fstat(lock), os.lstat(path))
    except FileNotFoundError:
        return False
