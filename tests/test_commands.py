"""Commands as the work of jobs: what they print, how they end, and that none survives."""

from __future__ import annotations

import asyncio
import io
import os
import select
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import jobstate
from jobstate._attempt import Attempt, current_job, make_current
from jobstate._command import Command, CommandResult
from jobstate._run_errors import CommandFailed, StopRequested, UnsuitableWork
from jobstate.executors import Commands
from jobstate.executors._watchdog import Watchdog
from jobstate.executors.commands import _LONGEST_LINE

pytestmark = pytest.mark.anyio

needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="only Linux tells of any process's end"
)


@pytest.fixture
async def commands(anyio_backend):
    commands = Commands()
    yield commands
    await commands.aclose()


def shell(script, *args, **options) -> Command:
    return Command("sh", "-c", script, "sh", *args, **options)


class Told(Attempt):
    """An attempt that keeps what was reported."""

    def __init__(self) -> None:
        super().__init__("j1", "print", 1, 3, {}, tell=self._keep)
        self.reports: list[float | None] = []

    def _keep(self, progress, info):
        self.reports.append(progress)


class Begun:
    """Is told of a command's first line, and can be waited for."""

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self.event.set()


class Watched:
    """Is told the number of a process, and can wait for its end."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self._pidfd = -1

    def __call__(self, line: str) -> None:
        self._pidfd = os.pidfd_open(int(line))
        self.begun.set()

    async def ended(self) -> None:
        await anyio.wait_readable(self._pidfd)
        os.close(self._pidfd)


# --- how a command ends -----------------------------------------------------------------------


async def test_gives_what_the_command_printed(commands):
    """Output and errors are one text, in the order in which they were printed."""
    script = "echo one; echo two >&2; printf three"
    result = await commands.run(shell(script), (), Told())
    assert result == CommandResult(0, "one\ntwo\nthree")


async def test_a_status_that_is_no_success_fails(commands):
    """The error holds the command, its status and what it printed."""
    with pytest.raises(CommandFailed) as caught:
        await commands.run(shell("echo no paper; exit 3"), (), Told())
    error = caught.value
    assert error.command == ("sh", "-c", "echo no paper; exit 3", "sh")
    assert (error.exit_code, error.signal, error.output) == (3, None, "no paper\n")


async def test_success_can_be_said_otherwise(commands):
    """`success` lists what means success, and nothing else does."""
    result = await commands.run(shell("exit 3", success=[2, 3]), (), Told())
    assert result.exit_code == 3
    with pytest.raises(CommandFailed, match="exited with 0"):
        await commands.run(shell("exit 0", success=[3]), (), Told())


async def test_a_signal_is_named(commands):
    """A command that is ended by somebody else's signal fails, and by which."""
    with pytest.raises(CommandFailed, match="ended by SIGKILL") as caught:
        await commands.run(shell("kill -KILL $$"), (), Told())
    assert (caught.value.exit_code, caught.value.signal) == (None, "SIGKILL")


@pytest.mark.parametrize("missing", ["program", "folder", "mode"])
async def test_what_cannot_be_started_is_named(commands, missing, tmp_path):
    """The error is that of the system, with the path that it is about, on every event loop."""
    path = str(tmp_path / "missing")
    command = Command("ls", cwd=path) if missing == "folder" else Command(path, cwd=tmp_path)
    if missing == "mode":
        (tmp_path / "missing").touch()
    kind = PermissionError if missing == "mode" else FileNotFoundError
    with pytest.raises(kind, match=path) as caught:
        await commands.run(command, (), Told())
    assert caught.value.filename == path


async def test_folder_environment_and_arguments(commands, tmp_path):
    """They are those of the command alone; arguments are not read by any shell."""
    script = 'pwd; echo "$COLOUR"; echo "$HOME"; echo "$1"'
    environment = {"COLOUR": "red", "PATH": os.environ["PATH"]}
    command = shell(script, "* $HOME", cwd=tmp_path, env=environment)
    result = await commands.run(command, (), Told())
    assert result.output == f"{tmp_path}\nred\n\n* $HOME\n"


# --- input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "one\ntwo", b"\xff\xfe", "x" * 300_000])
async def test_reads_its_input(commands, given):
    """It is given all of it, and then the end, however much it is."""
    command = shell("wc -c", input=given)
    assert (await commands.run(command, (), Told())).output.strip() == str(len(given))


async def test_reads_nothing_where_nothing_is_given(commands):
    """It does not wait for anything that somebody might type."""
    assert (await commands.run(shell("cat"), (), Told())).output == ""


@pytest.mark.parametrize("script", ["exit 0", "exec <&-; sleep 0.01"])
async def test_need_not_read_its_input(commands, script):
    """A command that ends, or closes its input, before it has read it is no worse for it."""
    result = await commands.run(shell(script, input="x" * 1_000_000), (), Told())
    assert result == CommandResult(0, "")


# --- output -----------------------------------------------------------------------------------


async def test_of_much_output_the_end_is_kept(commands):
    """Megabytes are read, and the last bytes are kept, from a whole character on."""
    command = shell("yes €€€ | head -n 300000; printf '€€€'", tail=8)
    result = await commands.run(command, (), Told())
    assert result.output == "€€"
    assert (await commands.run(shell("echo x", tail=0), (), Told())).output == ""
    assert (await commands.run(shell("printf '\\377x'", tail=2), (), Told())).output == "�x"


async def test_each_line_is_told(commands):
    """Lines end in newlines or, as progress bars have it, in carriage returns; none is blank."""
    lines = list[str]()
    script = r"printf '10%%\r20%%\r\n\n'; printf 'a\377b\n\342\202'; printf '\254 end'"
    await commands.run(shell(script, progress=lines.append), (), Told())
    assert lines == ["10%", "20%", "a�b", "€ end"]


async def test_a_line_without_end_comes_in_pieces(commands):
    """No line is kept for longer than memory allows."""
    lines = list[str]()
    command = shell("head -c 300000 /dev/zero | tr '\\0' x", progress=lines.append)
    await commands.run(command, (), Told())
    assert sum(map(len, lines)) == 300_000
    assert _LONGEST_LINE < max(map(len, lines)) <= 2 * _LONGEST_LINE + 1


async def test_a_number_is_reported_as_percent(commands):
    """What is no number is not; the job can be reported to as well."""
    attempt = Told()
    make_current(attempt)

    def progress(line):
        if line.endswith("%"):
            return float(line.rstrip("%"))
        return current_job().report(75)

    await commands.run(shell("echo 50%; echo more", progress=progress), (), attempt)
    assert attempt.reports == [50, 75]


@pytest.mark.parametrize("script", ["echo half; exec sleep 1000", "printf half"])
async def test_what_progress_raises_fails_the_attempt(commands, script):
    """The command is killed where it still runs, and the very error is raised."""
    with pytest.raises(ValueError, match="could not convert string to float: 'half'"):
        await commands.run(shell(script, progress=float), (), Told())


async def test_figures_that_are_no_progress_are_left_out(commands):
    """They end no command."""
    attempt = Told()
    await commands.run(shell("echo 101; echo nan; echo 40", progress=float), (), attempt)
    assert attempt.reports == [40]


async def test_progress_may_check_for_a_stop(commands, tmp_path):
    """That it finds one does not hurry the command, which ends as it was asked to."""
    attempt, lines = Told(), list[str]()
    make_current(attempt)

    def progress(line):
        lines.append(line)
        attempt.ask_to_stop("enough")
        current_job().check()

    script = "trap 'echo bye; touch tidy; exit 0' TERM; echo begun; sleep 1000 & wait"
    with pytest.raises(StopRequested, match="enough"):
        await commands.run(shell(script, progress=progress, cwd=tmp_path), (), attempt)
    assert lines == ["begun"]
    assert os.listdir(tmp_path) == ["tidy"]


# --- stopping ---------------------------------------------------------------------------------


async def stopped_after_a_line(commands, script, *, force=False):
    """Return what came of a command that was asked to stop once it had printed a line."""
    attempt, begun = Told(), Begun()
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def stop():
            await begun.event.wait()
            attempt.ask_to_stop("enough")
            if force:
                assert attempt.force_to_stop() is True

        try:
            return await commands.run(shell(script, progress=begun), (), attempt)
        except (StopRequested, CommandFailed) as error:
            return error


async def test_a_stop_ends_the_whole_group(commands):
    """SIGTERM reaches what the command has started, and the runner learns of a stop."""
    error = await stopped_after_a_line(commands, "sleep 1000 & echo begun; wait; exit 1")
    assert str(error) == "job j1 was asked to stop: enough"


async def test_a_command_may_end_in_its_own_way(commands):
    """Asked to stop, one that ends with success has its result."""
    script = "trap 'echo bye; exit 0' TERM; echo begun; sleep 1000 & wait"
    assert await stopped_after_a_line(commands, script) == CommandResult(0, "begun\nbye\n")


async def test_force_ends_what_does_not_listen(commands):
    """SIGKILL ends the group, which the runner learns as a stop."""
    script = "trap '' TERM; echo begun; sleep 1000"
    error = await stopped_after_a_line(commands, script, force=True)
    assert isinstance(error, StopRequested)


async def test_what_was_stopped_before_does_not_begin(commands, tmp_path):
    """Where the stop came first, nothing is started."""
    attempt = Told()
    attempt.ask_to_stop("too late")
    with pytest.raises(StopRequested, match="too late"):
        await commands.run(Command("touch", tmp_path / "made"), (), attempt)
    assert not (tmp_path / "made").exists()


async def test_a_stop_that_comes_too_late_reaches_nobody(commands, monkeypatch):
    """A number that may be another group's by now is not signalled."""
    attempt = Told()
    await commands.run(Command("true"), (), attempt)
    signals = []
    monkeypatch.setattr(os, "killpg", lambda *signal: signals.append(signal))
    attempt.ask_to_stop("enough")
    attempt.force_to_stop()
    assert signals == []


async def test_cancelled_before_it_begins_it_starts_nothing(commands, tmp_path):
    """A cancellation that is there already comes first."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await commands.run(Command("touch", tmp_path / "made"), (), Told())
    assert scope.cancelled_caught
    assert not (tmp_path / "made").exists()


@needs_pidfd
@pytest.mark.parametrize("way", ["scope", "task"])
async def test_cancelled_it_kills_the_group(commands, way, anyio_backend_name):
    """The command has ended and is reaped when the cancellation has passed; so have others."""
    if way == "task" and anyio_backend_name != "asyncio":
        pytest.skip("only asyncio cancels tasks")
    child = Watched()
    script = "trap '' TERM; sleep 1000 & echo $!; wait"

    async def run():
        await commands.run(shell(script, progress=child), (), Told())

    if way == "task":
        running = asyncio.create_task(run())
        await child.begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await child.begun.wait()
            tasks.cancel_scope.cancel()
    await child.ended()


# --- what a command leaves --------------------------------------------------------------------


@needs_pidfd
async def test_what_is_left_of_the_group_is_killed(commands):
    """A child that outlives the command neither survives nor keeps its end from being seen."""
    child = Watched()
    result = await commands.run(shell("sleep 1000 & echo $!", progress=child), (), Told())
    assert result.exit_code == 0
    await child.ended()


async def test_who_leaves_the_group_is_not_waited_for(commands, tmp_path):
    """A daemon that still holds the output keeps the end of the command from nobody."""
    left, go = tmp_path / "left", tmp_path / "go"
    os.mkfifo(left)
    os.mkfifo(go)
    daemon = "import os, sys; os.setsid(); print('left', flush=True); "
    daemon += "open(sys.argv[1], 'w').close(); open(sys.argv[2]).read()"
    script = '"$1" -c "$2" "$3" "$4" & read _ < "$3"; echo over'
    result = await commands.run(shell(script, sys.executable, daemon, left, go), (), Told())
    assert result.output == "left\nover\n"
    await anyio.to_thread.run_sync(go.write_text, "go")


# --- the watchdog -----------------------------------------------------------------------------


async def test_there_is_no_watchdog_without_a_command():
    """It is started with the first command, once, in a session of its own, and ends by itself."""
    commands = Commands()
    await commands.aclose()
    await commands.run(Command("true"), (), Told())
    watchdog = commands._watchdog._process
    assert os.getsid(watchdog.pid) != os.getsid(0)
    await commands.run(Command("true"), (), Told())
    assert commands._watchdog._process is watchdog
    assert commands._watchdog._groups == set()
    await commands.aclose()
    assert watchdog.returncode == 0
    await commands.aclose()


async def test_a_dead_watchdog_is_replaced():
    """The next one knows of all commands that run; and it kills them when its input ends."""
    commands, begun, errors = Commands(), Begun(), list[CommandFailed]()
    both = anyio.Event()

    async def run():
        with pytest.raises(CommandFailed, match="ended by SIGKILL") as caught:
            await commands.run(shell("echo begun; exec sleep 1000", progress=told), (), Told())
        errors.append(caught.value)

    def told(line):
        begun(line)
        if len(begun.lines) == 2:
            both.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await begun.event.wait()
        first = commands._watchdog._process
        first.kill()
        await anyio.to_thread.run_sync(first.wait)
        tasks.start_soon(run)
        await both.wait()
        second = commands._watchdog._process
        assert second is not first
        second.stdin.close()
        second.stdin = io.BytesIO()
    assert len(errors) == 2
    await commands.aclose()


@pytest.mark.parametrize("spared", ["forgotten", "closed"])
def test_the_watchdog_kills_nobody_without_need(spared):
    """It leaves alone what it was told to forget, and all groups where it was told to end."""
    watchdog = Watchdog()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as process:
        watchdog.watch(process.pid)
        if spared == "forgotten":
            watchdog.forget(process.pid)
            watchdog._process.communicate()
        else:
            anyio.run(watchdog.aclose)
    assert process.returncode == 0


async def test_a_frozen_program_has_no_watchdog(monkeypatch):
    """What stands for Python there is the program: it would start itself."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    commands = Commands()
    assert (await commands.run(Command("echo", "x"), (), Told())).output == "x\n"
    assert commands._watchdog._process is None
    await commands.aclose()


PROGRAM = """
import anyio
from jobstate._attempt import Attempt
from jobstate._command import Command
from jobstate.executors import Commands

async def main():
    attempt = Attempt("j1", "print", 1, 1, {}, tell=print)
    say = lambda line: print(line, flush=True)
    script = "trap '' TERM HUP INT; sleep 1000 & echo $!; wait"
    await Commands().run(Command("sh", "-c", script, progress=say), (), attempt)

anyio.run(main)
"""


@needs_pidfd
def test_a_killed_program_takes_its_commands_with_it():
    """SIGKILL leaves it no time to end them: the watchdog does, with all that they have started."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(Path(jobstate.__file__).parents[1])},
        stdout=subprocess.PIPE,
    )
    with program:
        child = os.pidfd_open(int(program.stdout.readline()))
        program.kill()
        select.select([child], [], [])
        os.close(child)


# --- what is taken ----------------------------------------------------------------------------


def test_only_commands_are_taken():
    """Anything else is refused, and so are arguments beside a command."""
    commands = Commands()
    with pytest.raises(UnsuitableWork, match="cannot run print: it is no Command"):
        commands.check(print, ())
    with pytest.raises(UnsuitableWork, match="cannot run ls: its arguments belong into"):
        commands.check(Command("ls"), ("-l",))
    commands.check(Command("ls", "-l"), ())
    assert commands.limit is None
