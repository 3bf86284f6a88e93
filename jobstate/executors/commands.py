"""Commands, as process groups of their own.

Each command leads a session, so that a signal reaches whatever it has started. Its output comes by
a pipe of ours, which is read until the command itself has ended: whatever is left of its group is
killed then, and who left the group and still holds the pipe is not waited for.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from io import FileIO
from typing import Any, cast

import anyio
from anyio.lowlevel import checkpoint

from .._attempt import Attempt
from .._command import Command, CommandResult
from .._errors import ReportRefused
from .._run_errors import CommandFailed, StopRequested, UnsuitableWork
from ._ends import how_ended, send_to_group
from ._plain import work_name
from ._watchdog import Watchdog

_CHUNK = 65_536
_ALL = 1_048_576
"""Bytes; no pipe holds more, unless the system was told to let it."""

_LONGEST_LINE = 65_536
_INNER_BYTES = bytes(range(0x80, 0xC0))
"""Those with which no character of UTF-8 begins."""


class Commands:
    """Runs each `Command` as a process group of its own.

    A stop sends SIGTERM to the group; force is SIGKILL. When the command has ended, what it has
    started and left in its group is killed. No command outlives this process, even where that is
    killed by SIGKILL: a small watchdog process sees to it.
    """

    limit: int | None = None

    def __init__(self) -> None:
        self._watchdog = Watchdog()

    def check(self, function: Any, args: tuple[Any, ...]) -> None:
        """Return if this is a `Command`.

        Raises:
            UnsuitableWork: it is none, or comes with arguments, or this is Windows, which has no
                process groups.
        """
        if not isinstance(function, Command):
            raise UnsuitableWork(work_name(function), "it is no Command")
        if args:
            raise UnsuitableWork(str(function), "its arguments belong into the Command")
        if sys.platform == "win32":
            raise UnsuitableWork(str(function), "on Windows there are no process groups")

    async def run(self, function: Any, args: tuple[Any, ...], attempt: Attempt) -> CommandResult:
        """Wait for the command's end, and return the end of its output.

        Cancelled, it kills the command.

        Raises:
            CommandFailed: the command was ended by a signal, or by itself without success.
            StopRequested: it was, after it had been asked to stop.
            OSError: it could not be started: the program, or the folder to run it in, is not there
                or must not be used.
        """
        command: Command = function
        attempt.check()
        await checkpoint()
        output = _Output(command, attempt)
        with ExitStack() as ours:
            process, reader, writer = await _started(command, ours)
            group = _Group(process.pid)
            attempt.when_stopped(
                partial(group.send, signal.SIGTERM), partial(group.send, signal.SIGKILL)
            )
            try:
                self._watchdog.watch(process.pid)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(output.read, reader, group.kill)
                    if writer is not None:
                        tasks.start_soon(_write, writer, command.input or b"")
                    await process.wait()
                    tasks.cancel_scope.cancel()
            finally:
                group.end()
                with anyio.CancelScope(shield=True):
                    await process.wait()
                self._watchdog.forget(process.pid)
            output.read_rest(reader)
        return _result(command, cast(int, process.returncode), output, attempt)

    async def aclose(self) -> None:
        """Return once the watchdog has ended."""
        await self._watchdog.aclose()


async def _started(
    command: Command, ours: ExitStack
) -> tuple[anyio.abc.Process, int, FileIO | None]:
    """Start a command; return its process, where its output is read, and where its input goes."""
    with ExitStack() as theirs:
        reader, stdout = os.pipe()
        ours.callback(os.close, reader)
        theirs.callback(os.close, stdout)
        os.set_blocking(reader, False)
        stdin, writer = subprocess.DEVNULL, None
        if command.input is not None:
            stdin, to_stdin = os.pipe()
            theirs.callback(os.close, stdin)
            os.set_blocking(to_stdin, False)
            writer = ours.enter_context(FileIO(to_stdin, "w"))
        process: Any = None
        try:
            with anyio.CancelScope(shield=True):
                process = await anyio.open_process(
                    command.argv,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=subprocess.STDOUT,
                    cwd=command.cwd,
                    env=command.env,
                    start_new_session=True,
                )
        except OSError as error:
            error.filename = error.filename or _missing(command)  # uvloop does not name it
            raise
    return process, reader, writer


def _missing(command: Command) -> str:
    """Return the path for which a command could not be started."""
    folder = command.cwd
    return command.argv[0] if folder is None or os.path.isdir(folder) else folder


async def _write(writer: FileIO, content: bytes) -> None:
    """Write a command's input, or as much of it as it reads."""
    rest = memoryview(content)
    with writer, suppress(BrokenPipeError):
        while rest:
            await anyio.wait_writable(writer)
            rest = rest[writer.write(rest) :]


def _result(command: Command, code: int, output: _Output, attempt: Attempt) -> CommandResult:
    error, output.error = output.error, None
    try:
        if error is not None:
            raise error
    finally:
        del error  # or it would hold itself
    if code in command.success:
        return CommandResult(code, output.text())
    failed = CommandFailed(command.argv, *how_ended(code), output.text())
    if attempt.stop_requested:
        stopped = StopRequested(attempt.id, attempt.stop_reason)
        stopped.extras = failed.extras
        raise stopped
    raise failed


class _Group:
    """The process group of a command, by the number of its leader.

    The number is free for others only when the whole group has ended, which `end` sees to.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._ended = False

    def send(self, number: int) -> None:
        """Send a signal to all of the group, unless that has ended."""
        if not self._ended:
            send_to_group(self._number, number)

    def kill(self) -> None:
        """Kill all of the group."""
        self.send(signal.SIGKILL)

    def end(self) -> None:
        """Kill all that is left of the group, and never signal it again."""
        self.kill()
        self._ended = True


class _Output:
    """What a command prints: the end of it, and each line to who asked for that."""

    def __init__(self, command: Command, attempt: Attempt) -> None:
        self.error: BaseException | None = None
        """What was raised by who was told of a line."""

        self._progress = command.progress
        self._attempt = attempt
        self._keep = command.tail
        self._tail = bytearray()
        self._was_cut = False
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._line = ""
        """What is known of the line that has not ended."""

    async def read(self, reader: int, kill: Callable[[], None]) -> None:
        """Read to the end, or until cancelled; have the command killed when nobody can be told."""
        while True:
            await anyio.wait_readable(reader)
            chunk = os.read(reader, _CHUNK)
            if not chunk:
                return
            self._take(chunk)
            if isinstance(self.error, Exception):
                kill()

    def read_rest(self, reader: int) -> None:
        """Read what is there, and take it for the end."""
        chunk = b""
        with suppress(BlockingIOError):  # somebody else still has the other end
            chunk = os.read(reader, _ALL)
        self._take(chunk, final=True)

    def text(self) -> str:
        """Return the end of the output, from the first whole character on."""
        kept = bytes(self._tail)
        return (kept.lstrip(_INNER_BYTES) if self._was_cut else kept).decode(errors="replace")

    def _take(self, chunk: bytes, final: bool = False) -> None:
        self._tail += chunk
        excess = len(self._tail) - self._keep
        if excess > 0:
            del self._tail[:excess]
            self._was_cut = True
        if self._progress is not None:
            lines = re.split("[\r\n]+", self._line + self._decode(chunk, final))
            self._line = "" if final or len(lines[-1]) > _LONGEST_LINE else lines.pop()
            self._tell(self._progress, lines)

    def _tell(self, progress: Callable[[str], float | None], lines: list[str]) -> None:
        try:
            for line in filter(None, lines):
                percent = progress(line)
                if percent is not None:
                    with suppress(ReportRefused):  # no command ends because its figures are odd
                        self._attempt.report(percent)
        except (Exception, StopRequested) as error:
            self.error, self._progress = error, None
