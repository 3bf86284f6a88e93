"""The folder beside a store, for what its processes share: for its user alone."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def make_private(folder: Path) -> None:
    """Have a folder that this user alone can look into.

    Raises:
        PermissionError: there is one that others can.
    """
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(errno.EPERM, f"{folder} is not this user's alone")


@contextmanager
def short_name(folder: Path) -> Iterator[str]:
    """Give a folder a name that is short enough for a socket in it, where the system has one."""
    if not os.path.isdir("/proc/self/fd"):
        yield str(folder)
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)
