"""A small process that outlives this one, just long enough to kill its commands.

It hears of each process group that is to end with this process, and of the end of its standard
input, which is a lifeline. Between the start of a command and the word to the watchdog there is a
moment, of some hundred microseconds, in which nobody would kill the command.
"""

from __future__ import annotations

import subprocess
import sys
from typing import IO, cast

import anyio

from ._ends import lifeline

_WATCH = """
import os, signal, sys

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
groups = set()
for line in sys.stdin.buffer:
    if line == b"bye\\n":
        break
    (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
else:
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            pass
"""


class Watchdog:
    """Has process groups killed when this process dies; it is started when there is a first one."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, group: int) -> None:
        """Have the group of this number killed when this process dies."""
        self._groups.add(group)
        if not self._tell(f"+{group}"):
            self._start()
            for each in self._groups:
                self._tell(f"+{each}")

    def forget(self, group: int) -> None:
        """Leave the group of this number alone: it has ended."""
        self._groups.discard(group)
        self._tell(f"-{group}")

    async def aclose(self) -> None:
        """Return once the watchdog has ended, if there is one. It kills nobody then."""
        self._tell("bye")
        process, self._process = self._process, None
        if process is not None:
            await anyio.to_thread.run_sync(process.communicate)

    def _tell(self, line: str) -> bool:
        """Return whether there is a watchdog that can hear this."""
        if self._process is None:
            return False
        try:
            cast(IO[bytes], self._process.stdin).write(f"{line}\n".encode())
        except BrokenPipeError:
            return False
        return True

    def _start(self) -> None:
        if self._process is not None:
            self._process.communicate()  # it is dead
            self._process = None
        if not sys.executable or getattr(sys, "frozen", False):
            return  # no Python can be called: a frozen program would start itself
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCH],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal does not reach it
        )
        lifeline(cast(IO[bytes], self._process.stdin))
