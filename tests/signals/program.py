"""Programs of their own, to be interrupted and killed, and whether anything of them is left.

Whoever takes part in a program holds the writing end of one pipe; that nobody is left is the end of
what is read from it. Nothing here waits for a time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import jobstate

_BEGIN = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever who runs the tests ignores
signal.signal(signal.SIGTERM, signal.SIG_DFL)
PIPE = sys.argv[1]

def here(pipe=PIPE):
    "Hold the pipe, for as long as this process lives."
    global held
    held = os.open(pipe, os.O_WRONLY)
    os.write(held, b".")

def shell(script):
    "Return a command that holds the pipe, as does all that it starts."
    return "sh", "-c", f'exec 3>"$1"; {script}', "sh", PIPE
"""


class Program:
    """A Python program in a process group of its own, as a terminal would have it."""

    def __init__(self, folder: Path, source: str, *args: str) -> None:
        script, pipe = folder / "program.py", folder / "pipe"
        script.write_text(_BEGIN + source)
        os.mkfifo(pipe)
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self._ours: int | None = os.open(pipe, os.O_WRONLY)  # there is no end before all are there
        os.set_blocking(self._pipe, True)
        self._process = subprocess.Popen(
            [sys.executable, script, pipe, *args],
            env={**os.environ, "PYTHONPATH": str(Path(jobstate.__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def all_here(self, number: int) -> None:
        """Return once so many take part."""
        for _ in range(number):
            assert os.read(self._pipe, 1) == b"."

    def none_left(self) -> bool:
        """Return once nobody takes part any more."""
        if self._ours is not None:
            os.close(self._ours)
            self._ours = None
        return os.read(self._pipe, 1) == b""

    def says(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip()

    def interrupt(self) -> None:
        """Do as Ctrl-C in a terminal does."""
        os.killpg(self._process.pid, signal.SIGINT)

    def go_on(self) -> None:
        """Have it read the end of its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None

    def kill(self) -> None:
        """Have it end at once, and with no chance to do anything about it."""
        self._process.kill()

    def ended(self) -> tuple[int, str, str]:
        """Return, once it has ended, how; the rest of what it has printed; and its errors."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if self._process.stdin is not None:
            self.go_on()
        # `communicate` would lose what `says` has read ahead.
        rest, errors = self._process.stdout.read(), self._process.stderr.read()
        return self._process.wait(), rest, errors

    def close(self) -> None:
        """Leave nothing of it."""
        with self._process:
            self._process.kill()
        for end in (self._pipe, self._ours):
            if end is not None:
                os.close(end)
