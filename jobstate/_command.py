"""Commands as records: what is to be run, and what came of it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._portable import shown
from ._run_errors import UnsuitableWork


@dataclass(frozen=True, slots=True, init=False)
class Command:
    """A program and its arguments, to be run as the work of a job.

    No shell reads it. Whoever wants one asks for it: ``Command("sh", "-c", "ls | wc -l")``.
    """

    argv: tuple[str, ...]
    """The program, and each of its arguments by itself."""

    cwd: str | None
    """The folder that it runs in; ``None`` means that of this process."""

    env: Mapping[str, str] | None = field(hash=False)
    """All of its environment variables; ``None`` means those of this process."""

    input: bytes | None
    """What it can read; ``None`` means nothing."""

    progress: Callable[[str], float | None] | None
    """Called with each line of its output; what it returns is reported as percent."""

    success: tuple[int, ...]
    """The exit statuses that mean success."""

    tail: int
    """How many bytes of the end of its output are kept."""

    def __init__(
        self,
        *argv: str | os.PathLike[str],
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        input: bytes | str | None = None,
        progress: Callable[[str], float | None] | None = None,
        success: Iterable[int] = (0,),
        tail: int = 65_536,
    ) -> None:
        """Describe a command; nothing is run yet.

        Args:
            argv: the program, and each of its arguments by itself.
            cwd: the folder to run it in.
            env: all of its environment variables: ``{**os.environ, …}`` adds to those of this
                process.
            input: what it can read; text is sent as UTF-8.
            progress: called in the job's event loop with each line of the output, errors included,
                that is not empty. A line ends in a newline or, as those of progress bars do, in a
                carriage return; one of more than 64 KiB comes in pieces. A number that it returns
                is reported as percent, unless it is none from 0 to 100; it may call `current_job`
                as well. If it raises, the command is killed, and the attempt fails.
            success: the exit statuses that mean success.
            tail: how many bytes of the end of the output are kept.

        Raises:
            UnsuitableWork: it is no command line.
        """
        keep = object.__setattr__
        keep(self, "argv", _checked_argv(argv))

        def refuse(name: str, value: object, wanted: str) -> UnsuitableWork:
            return UnsuitableWork(str(self), f"{name} must be {wanted}, not {shown(value)}")

        if cwd is not None and not isinstance(cwd, (str, os.PathLike)):
            raise refuse("cwd", cwd, "a path")
        if env is not None and not _is_environment(env):
            raise refuse("env", env, "a mapping of text to text")
        if input is not None and not isinstance(input, (str, bytes)):
            raise refuse("input", input, "text or bytes")
        if progress is not None and not callable(progress):
            raise refuse("progress", progress, "a function")
        statuses = tuple(success) if isinstance(success, Iterable) else ()
        if not statuses or not all(isinstance(status, int) for status in statuses):
            raise refuse("success", success, "one or more exit statuses")
        if not isinstance(tail, int) or tail < 0:
            raise refuse("tail", tail, "a number of bytes from 0 on")
        keep(self, "cwd", None if cwd is None else os.fspath(cwd))
        keep(self, "env", None if env is None else dict(env))
        keep(self, "input", input.encode() if isinstance(input, str) else input)
        keep(self, "progress", progress)
        keep(self, "success", statuses)
        keep(self, "tail", tail)

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command left that ended with success."""

    exit_code: int
    output: str
    """The end of what it printed, errors included; what is no UTF-8 is replaced."""


def _checked_argv(argv: tuple[Any, ...]) -> tuple[str, ...]:
    call = f"Command({', '.join(map(shown, argv))})"
    if not argv:
        raise UnsuitableWork(call, "it names no program")
    if not all(isinstance(each, (str, os.PathLike)) for each in argv):
        raise UnsuitableWork(call, "the program and its arguments must be text or paths")
    words = tuple(map(os.fspath, argv))
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise UnsuitableWork(call, "the program and its arguments must be text, without NUL")
    if not words[0]:
        raise UnsuitableWork(call, "it names no program")
    parts = words[0].split()
    alone = len(argv) == 1 and isinstance(argv[0], str)
    if alone and len(parts) > 1 and not os.path.exists(words[0]):
        raise UnsuitableWork(
            call,
            f"give each argument by itself, Command({', '.join(map(repr, parts))}), "
            f"or ask for a shell, Command('sh', '-c', {words[0]!r})",
        )
    return words


def _is_environment(env: object) -> bool:
    return isinstance(env, Mapping) and all(
        isinstance(text, str) and "\0" not in text for item in env.items() for text in item
    )
