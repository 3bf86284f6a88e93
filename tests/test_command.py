"""Commands as records: what describes one, and what does not."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from jobstate._command import Command, CommandResult
from jobstate._run_errors import UnsuitableWork


def test_holds_what_it_was_given():
    """Paths have become text, text to read has become bytes, and the rest is as it was."""
    environment = {"LANG": "C"}
    command = Command(
        Path("/bin/cp"),
        "a b",
        Path("c"),
        cwd=Path("/tmp"),
        env=environment,
        input="é",
        progress=float,
        success=[0, 3],
        tail=100,
    )
    environment.clear()
    assert command.argv == ("/bin/cp", "a b", "c")
    assert (command.cwd, command.env, command.input) == ("/tmp", {"LANG": "C"}, "é".encode())
    assert (command.progress, command.success, command.tail) == (float, (0, 3), 100)
    assert str(command) == "/bin/cp 'a b' c"


def test_by_default_nothing_is_special():
    """Folder and environment are those of this process, nothing is read, and 0 is success."""
    command = Command("ls")
    assert (command.cwd, command.env, command.input, command.progress) == (None,) * 4
    assert (command.success, command.tail) == ((0,), 65_536)


def test_is_a_value():
    """Equal commands are equal, can be told apart in a set, travel, and never change."""
    one, other = (Command("ls", "-l", env={"LANG": "C"}) for _ in range(2))
    assert one == other
    assert len({one, other, Command("ls")}) == 2
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(AttributeError):
        one.tail = 3  # type: ignore[misc]
    assert CommandResult(0, "done") == CommandResult(0, "done")


def test_one_text_with_spaces_is_no_command_line():
    """The error says how to write what was meant, with a shell or without."""
    with pytest.raises(UnsuitableWork) as caught:
        Command("ls -l | wc")
    assert str(caught.value) == (
        "cannot run Command('ls -l | wc'): give each argument by itself, "
        "Command('ls', '-l', '|', 'wc'), or ask for a shell, Command('sh', '-c', 'ls -l | wc')"
    )


def test_a_program_may_have_spaces_in_its_name(tmp_path):
    """A file of that name, or a path, is what it is."""
    program = tmp_path / "my program"
    assert Command(program).argv == (str(program),)
    program.touch()
    assert Command(str(program)).argv == (str(program),)
    assert Command("my program", "-l").argv == ("my program", "-l")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "cannot run Command(): it names no program"),
        (("",), "cannot run Command(''): it names no program"),
        (("ls", 3), "cannot run Command('ls', 3): the program and its arguments must be text or"),
        ((["ls", "-l"],), "cannot run Command(['ls', '-l']): the program and its arguments must"),
        (("ls", "a\0b"), "must be text, without NUL"),
    ],
)
def test_what_is_no_command_line_is_refused(argv, said):
    """The error shows the call, and says what is wrong with it."""
    with pytest.raises(UnsuitableWork) as caught:
        Command(*argv)
    assert said in str(caught.value)


def test_paths_must_be_text():
    """A path of bytes is refused."""

    class Bytes:
        def __fspath__(self):
            return b"ls"

    given: Any = Bytes()
    with pytest.raises(UnsuitableWork, match="must be text, without NUL"):
        Command(given)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"cwd": 3}, "cwd must be a path, not 3"),
        ({"env": ["A"]}, "env must be a mapping of text to text, not ['A']"),
        ({"env": {"A": 1}}, "env must be a mapping of text to text, not {'A': 1}"),
        ({"env": {"A": "\0"}}, "env must be a mapping of text to text, not"),
        ({"input": 3}, "input must be text or bytes, not 3"),
        ({"progress": 3}, "progress must be a function, not 3"),
        ({"success": 0}, "success must be one or more exit statuses, not 0"),
        ({"success": ()}, "success must be one or more exit statuses, not ()"),
        ({"success": ["0"]}, "success must be one or more exit statuses, not ['0']"),
        ({"tail": -1}, "tail must be a number of bytes from 0 on, not -1"),
        ({"tail": 1.5}, "tail must be a number of bytes from 0 on, not 1.5"),
    ],
)
def test_options_that_make_no_sense_are_refused(option, said):
    """The error names the command, the option and what it must be."""
    with pytest.raises(UnsuitableWork) as caught:
        Command("ls", "-l", **option)
    assert f"cannot run ls -l: {said}" in str(caught.value)
