"""Plain functions in processes: what comes back, how they are stopped, and that none is left."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import jobstate
from jobstate import BadArgument, ReportRefused
from jobstate._attempt import Attempt
from jobstate._run_errors import StopRequested, UnsuitableResult, UnsuitableWork, WorkerDied
from jobstate.executors import Processes, processes
from jobstate.executors._ends import signal_name
from jobstate.executors._process import Say, _do, _Job, _Parent, _Stop

pytestmark = pytest.mark.anyio

WORK = Path(__file__).parent / "work"


@pytest.fixture(scope="module")
def work():
    """The page of work, imported such that another process can import it too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(WORK)
        import process_work  # type: ignore[import-not-found]

        yield process_work


@pytest.fixture(scope="module")
def pool(work):
    """One process, for all tests that do not end it, whatever event loop they have."""
    pool = Processes(1)
    yield pool
    anyio.run(pool.aclose)
    assert pool._idle == []


class Told(Attempt):
    """An attempt that keeps what was reported, and can be waited for."""

    def __init__(self, info: Mapping[str, Any] | None = None) -> None:
        super().__init__("j1", "print", 2, 3, info or {}, tell=self._keep)
        self.reports: list[tuple[float | None, dict[str, Any]]] = []
        self.reported = anyio.Event()

    def _keep(self, progress, info):
        self.reports.append((progress, dict(info)))
        self.reported.set()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- what comes back --------------------------------------------------------------------------


async def test_gives_what_the_function_returns(pool):
    """The function is called with the arguments, in another process, which is kept."""
    assert await pool.run(divmod, (7, 3), Told()) == (2, 1)
    pid = await pool.run(os.getpid, (), Told())
    assert pid != os.getpid()
    assert await pool.run(os.getpid, (), Told()) == pid


async def test_the_current_job_is_known_there(pool, work):
    """Its facts have come along; what of its info cannot be pickled has come as text."""
    attempt = Told({"page": 3, "lock": threading.Lock()})
    *facts, info, reason = await pool.run(work.facts, (), attempt)
    assert (facts, reason) == (["j1", "print", 2, 3], "")
    assert info["page"] == 3
    assert info["lock"].startswith("<unlocked _thread.lock")


async def test_raises_what_the_function_raises(pool, work):
    """Its notes come along, and its traceback as text, from the function on."""
    with pytest.raises(ValueError, match="no paper") as caught:
        await pool.run(work.fail, (), Told())
    assert caught.value.__notes__ == ["on page 3"]
    text = str(caught.value.__cause__)
    assert "process_work.py" in text
    assert "_process.py" not in text.replace("process_work.py", "")
    assert text.rstrip().endswith("on page 3")
    assert "in fail" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("name", "said"),
    [("fail_oddly", "Picky('jam')"), ("fail_cancelled", "CancelledError('over there')")],
)
async def test_an_exception_that_cannot_travel_is_told(pool, work, name, said):
    """What cannot be pickled, or would mean something else here, comes as a readable stand-in."""
    with pytest.raises(Exception, match=re.escape(said)) as caught:
        await pool.run(getattr(work, name), (), Told())
    assert (type(caught.value), str(caught.value)) == (Exception, said)
    assert f"in {name}" in str(caught.value.__cause__)


async def test_work_that_stops_by_itself(pool, work):
    """Where nobody has asked for a stop, its own reason is told."""
    with pytest.raises(StopRequested, match="j1 was asked to stop: its own idea"):
        await pool.run(work.stop_by_itself, (), Told())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("give_function", "the work gave a function: it cannot leave its process: "),
        ("give_coroutine", "the work gave a coroutine: it cannot leave its process: "),
    ],
)
async def test_a_result_that_cannot_be_pickled_is_told(pool, work, name, said):
    """The error names what the function gave, and the process lives on."""
    with pytest.raises(UnsuitableResult) as caught:
        await pool.run(getattr(work, name), (), Told())
    assert str(caught.value).startswith(said)
    assert await pool.run(abs, (-1,), Told()) == 1


async def test_a_result_that_cannot_be_loaded_is_told(pool, work):
    """It has left its process, and cannot be taken out of its pickle here."""
    with pytest.raises(UnsuitableResult, match="cannot be loaded outside of its process: not here"):
        await pool.run(work.ThereAlone, (os.getpid(),), Told())


async def test_work_that_cannot_be_sent_is_refused(pool):
    """It is refused when it is submitted, and when it is run: nothing was begun."""

    async def wait():
        """Is awaited."""

    given = lambda: 0  # noqa: E731
    for function, args, problem in (
        (given, (), "<lambda>: it cannot be sent to another process: "),
        (print, (given,), "print: it cannot be sent to another process: "),
    ):
        with pytest.raises(UnsuitableWork, match=f"cannot run .*{problem}"):
            pool.check(function, args)
        with pytest.raises(UnsuitableWork, match=f"cannot run .*{problem}"):
            await pool.run(function, args, Told())
    with pytest.raises(UnsuitableWork, match="an async function runs as a task"):
        pool.check(wait, ())
    pool.check(print, (1,))


async def test_work_that_cannot_be_loaded_is_refused(pool, work):
    """The other process answers that it cannot load it, and lives on."""
    with pytest.raises(UnsuitableWork, match=r"print: a worker process .*not there"):
        await pool.run(print, (work.HereAlone(),), Told())
    assert await pool.run(abs, (-1,), Told()) == 1


async def test_a_large_result_and_a_large_argument(pool, work):
    """Fifty megabytes come through, either way."""
    assert len(await pool.run(work.give_zeros, (50_000_000,), Told())) == 50_000_000
    assert await pool.run(len, (bytes(50_000_000),), Told()) == 50_000_000


# --- reports ----------------------------------------------------------------------------------


async def test_many_reports(pool, work):
    """Of ten thousand in a hurry, the newest are told, in order, and the last before the result."""
    attempt = Told()
    await pool.run(work.report_many, (10_000,), attempt)
    told = [progress for progress, _ in attempt.reports]
    assert told == sorted(told)
    assert attempt.reports[-1] == (pytest.approx(99.99), {"number": 9999})


@pytest.mark.parametrize(
    ("report", "error", "said"),
    [
        ({"progress": 101}, ReportRefused, "from 0 to 100, not 101"),
        ({"info": [1]}, BadArgument, "info must be a mapping"),
    ],
)
async def test_a_report_that_makes_no_sense_is_refused_there(pool, work, report, error, said):
    """It is raised where it is reported, as anywhere else."""
    attempt = Told()
    with pytest.raises(error, match=said) as caught:
        await pool.run(partial(work.report_badly, **report), (), attempt)
    assert "in report_badly" in str(caught.value.__cause__)
    assert attempt.reports == []


async def test_a_thread_of_the_work_reports_until_the_work_is_over(pool, work):
    """A report that comes when the process does something else is refused: it would mislead."""
    attempt, later = Told(), Told()
    await pool.run(work.report_from_thread, (), attempt)
    assert attempt.reports[-1] == (20, {})
    refused = await pool.run(work.report_for_another_job, (), later)
    assert refused == ["job j1 is STARTED: report refused: this attempt is over"]
    assert later.reports == []


async def test_reports_of_an_attempt_that_is_over_are_ignored(pool, work):
    """Where nobody listens any more, the work is not disturbed."""
    attempt = Told()
    attempt.close()
    await pool.run(work.report_many, (3,), attempt)
    assert attempt.reports == []


async def test_a_report_that_cannot_be_handed_on_ends_the_work(work):
    """What goes wrong on this side ends the process, and is raised."""

    class Broken(Told):
        def report(self, progress=None, *, info=None):
            raise RuntimeError("the line is down")

    pool = Processes(1)
    with pytest.raises(RuntimeError, match="the line is down"):
        await pool.run(work.report_many, (1,), Broken())
    assert pool._idle == []


# --- stopping ---------------------------------------------------------------------------------


async def test_a_stop_is_raised_in_the_work(pool, work):
    """Its ``finally`` blocks run and can still report; the process is not used again."""
    attempt = Told()
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def stop():
            await attempt.reported.wait()
            attempt.ask_to_stop("enough")

        with pytest.raises(StopRequested, match="j1 was asked to stop: enough"):
            await pool.run(work.wait_and_tell, (), attempt)
    (_, began), (last, ended) = attempt.reports
    assert began["asked"] is False
    assert (last, ended) == (2, {"reason": "enough"})
    assert not is_there(began["pid"])
    assert await pool.run(os.getpid, (), Told()) != began["pid"]


async def test_a_result_holds_though_a_stop_was_asked_for(pool, work):
    """Work that makes something else of the request has its result; `check` raises again."""
    attempt = Told()
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def stop():
            await attempt.reported.wait()
            attempt.ask_to_stop("x" * 100_000)

        reason = await pool.run(work.wait_and_return, (), attempt)
    assert reason == "x" * 1000


async def test_force_ends_what_does_not_listen(pool, work):
    """SIGKILL ends the process, which the runner learns as a stop."""
    attempt = Told()
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def stop():
            await attempt.reported.wait()
            attempt.ask_to_stop("enough")
            assert attempt.force_to_stop() is True

        with pytest.raises(StopRequested, match="enough"):
            await pool.run(work.wait_deaf, (), attempt)
    assert pool._idle == []


async def test_what_was_stopped_before_does_not_begin(pool, work):
    """Where the stop came first, no process hears of the work."""
    attempt = Told()
    attempt.ask_to_stop("too late")
    with pytest.raises(StopRequested, match="too late"):
        await pool.run(work.die, (1,), attempt)


async def test_a_stop_before_the_process_has_started_ends_it(work):
    """Nothing has begun, so that nothing need be asked."""

    class StoppedAtOnce(Told):
        def when_stopped(self, ask, force=None):
            super().when_stopped(ask, force)
            self.ask_to_stop("quick")

    pool, attempt = Processes(1), StoppedAtOnce()
    with pytest.raises(StopRequested, match="quick"):
        await pool.run(work.report_many, (1,), attempt)
    assert (pool._idle, attempt.reports) == ([], [])


async def test_a_stop_while_the_process_starts_ends_it(work, tmp_path, monkeypatch):
    """What has no work yet is not asked, however long it takes to load."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(processes, "serve", partial(work.never_ready, path))
    pool, attempt = Processes(1), Told()
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def stop():
            (await anyio.to_thread.run_sync(path.open)).close()
            attempt.ask_to_stop("quick")

        with pytest.raises(StopRequested, match="quick"):
            await pool.run(work.die, (1,), attempt)
    assert pool._idle == []


async def test_a_stop_that_comes_too_late_reaches_nobody(pool):
    """An attempt that is over has no say about the process that it ran in."""
    over = Told()
    pid = await pool.run(os.getpid, (), over)
    over.ask_to_stop("enough")
    assert over.force_to_stop() is True
    assert await pool.run(os.getpid, (), Told()) == pid


@pytest.mark.parametrize("way", ["scope", "task"])
async def test_cancelled_it_kills_the_process(pool, work, way, anyio_backend_name):
    """Nothing is left running, and nothing to be reaped, when the cancellation has passed."""
    if way == "task" and anyio_backend_name != "asyncio":
        pytest.skip("only asyncio cancels tasks")
    attempt = Told()

    async def run():
        await pool.run(work.wait_and_tell, (), attempt)

    if way == "task":
        running = asyncio.create_task(run())
        await attempt.reported.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await attempt.reported.wait()
            tasks.cancel_scope.cancel()
    assert not is_there(attempt.reports[0][1]["pid"])
    assert pool._idle == []


async def test_cancelled_at_the_moment_it_is_done_it_ends_the_process(pool):
    """An answer that nobody takes any more leaves no process behind either."""
    with anyio.CancelScope() as scope:
        attempt = Told()
        attempt.when_stopped(lambda: None)
        scope.cancel()
        await pool.run(os.getpid, (), attempt)
    assert scope.cancelled_caught
    assert pool._idle == []


# --- death ------------------------------------------------------------------------------------


async def test_a_process_that_dies_is_named(pool, work):
    """Exit statuses and signals are told; what ends a process ends this one."""
    for function, args, said in (
        (work.die, (3,), "exited with 3"),
        (sys.exit, (5,), "exited with 5"),
        (work.signal_oneself, (signal.SIGKILL,), "was ended by SIGKILL"),
        (work.tidy_up, (), "exited with 143"),
    ):
        attempt = Told()
        with pytest.raises(WorkerDied) as caught:
            await pool.run(function, args, attempt)
        assert (caught.value.job_id, caught.value.how) == ("j1", said)
    assert attempt.reports == [(None, {"tidy": True})]
    assert await pool.run(abs, (-1,), Told()) == 1


async def test_the_keyboard_interrupts_nothing_there(pool, work):
    """Ctrl-C reaches all processes of a terminal: what it means is the parent's affair."""
    assert await pool.run(work.signal_oneself, (signal.SIGINT,), Told()) == "unmoved"


async def test_death_while_idle_costs_no_attempt(pool):
    """A process that has died meanwhile is replaced before the work begins."""
    pid = await pool.run(os.getpid, (), Told())
    os.kill(pid, signal.SIGKILL)
    assert await pool.run(os.getpid, (), Told()) != pid


async def test_death_is_noticed_though_a_fork_lives_on(pool, work, tmp_path):
    """A child of the process holds nothing open by which its end is known."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    attempt = Told()
    with pytest.raises(WorkerDied, match="exited with 4"):
        await pool.run(work.die_with_a_fork, (path,), attempt)
    assert attempt.reports == []
    said = "job j1 is STARTED: report refused: this attempt is over"
    await anyio.to_thread.run_sync(path.write_text, said)


async def test_a_process_that_another_thread_has_reaped_is_told(work, monkeypatch):
    """As multiprocessing does with all its processes whenever one is started or listed."""
    from multiprocessing.process import BaseProcess

    join = BaseProcess.join

    def late(process, timeout=None):
        os.waitpid(process.pid, 0)
        join(process, timeout)

    pool = Processes(1)
    with monkeypatch.context() as patch, anyio.fail_after(30):
        patch.setattr(BaseProcess, "join", late)
        with pytest.raises(WorkerDied, match="has ended before the work was done"):
            await pool.run(work.die, (3,), Told())
    await pool.aclose()


async def test_a_process_that_cannot_be_started_is_told(monkeypatch):
    """Whatever keeps it from starting is raised."""
    import multiprocessing

    def broken(kind):
        raise OSError("no more processes")

    monkeypatch.setattr(multiprocessing, "get_context", broken)
    pool = Processes(1)
    with pytest.raises(OSError, match="no more processes"):
        await pool.run(abs, (-1,), Told())
    await pool.aclose()


# --- closing ----------------------------------------------------------------------------------


async def test_closing_ends_what_is_idle():
    """Several processes end at once, and are reaped; closing again is nothing."""
    pool = Processes(2)
    pids = list[int]()

    async def run():
        pids.append(await pool.run(os.getpid, (), Told()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        tasks.start_soon(run)
    assert all(map(is_there, pids))
    await pool.aclose()
    await pool.aclose()
    assert not any(map(is_there, pids))


async def test_closing_can_be_cancelled(pool):
    """Then what is idle is killed, and nothing is left."""
    pid = await pool.run(os.getpid, (), Told())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pool.aclose()
    assert not is_there(pid)


# --- a program --------------------------------------------------------------------------------

PROGRAM = """
import anyio, os, signal, sys, threading
from jobstate._attempt import Attempt, current_job
from jobstate.executors import Processes

def hello():
    print("hello from", current_job().name)
    return os.getpid()

def block():
    print("blocked", flush=True)
    threading.Event().wait()

if __name__ == "__mp_main__" and "interrupt" in sys.argv:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where tests run
    signal.raise_signal(signal.SIGINT)

async def run(function):
    print(await pool.run(function, (), Attempt("j1", "print", 1, 1, {}, tell=print)), flush=True)

if __name__ == "__main__":
    pool = Processes(1)
    anyio.run(run, hello)
    if "block" in sys.argv:
        anyio.run(run, block)
    if "fork" in sys.argv:
        passing = os.fork()
        if passing == 0:
            sys.exit()
        os.waitpid(passing, 0)
        anyio.run(run, hello)
        if os.fork() == 0:
            sys.stdin.read()
            os._exit(0)
        signal.pause()
"""


def start(tmp_path, *how):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, path, *how],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(jobstate.__file__).parents[1]),
            "PYTHONUNBUFFERED": "",  # so that what is printed has to be flushed
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def hello(program):
    """Return the number of the process that says hello."""
    assert program.stdout.readline() == "hello from print\n"
    return int(program.stdout.readline())


def test_a_program_that_does_not_close_ends_all_the_same(tmp_path):
    """Functions of a script work, what they print is shown, and no process outlives it."""
    with start(tmp_path) as program:
        assert hello(program)
        assert program.stdout.read() == ""  # the end of all who had it
    assert program.returncode == 0


def test_the_keyboard_interrupts_no_process_that_starts(tmp_path):
    """Ctrl-C in a terminal does not end the work of a process that has yet to load the program."""
    with start(tmp_path, "interrupt") as program:
        assert hello(program)
    assert program.returncode == 0


def test_a_killed_program_takes_its_processes_with_it(tmp_path):
    """SIGKILL leaves it no time to end them: they notice by themselves, whatever they do."""
    with start(tmp_path, "block") as program:
        assert hello(program)
        assert program.stdout.readline() == "blocked\n"
        program.kill()
        assert program.stdout.read() == ""
    assert program.returncode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of any process's end")
def test_forks_of_a_program_keep_its_processes_neither_alive_nor_from_living(tmp_path):
    """A fork that exits ends nothing, and one that lives on keeps nothing from ending."""
    with start(tmp_path, "fork") as program:
        pid = hello(program)
        assert hello(program) == pid
        ended = os.pidfd_open(pid)
        program.kill()
        select.select([ended], [], [])
        os.close(ended)
        program.stdin.close()
        assert program.stdout.read() == ""


# --- inside the process -----------------------------------------------------------------------


class Channel:
    """A channel on which a stop arrives in the middle of a message."""

    closed = False
    stops = True

    def __init__(self, stop: _Stop) -> None:
        self.stop = stop
        self.sent: list[bytes] = []

    def send_bytes(self, message):
        if self.stops:
            self.stop.reason = "enough"
            self.stop.on_signal(signal.SIGTERM, None)
        self.sent.append(message)


def test_a_message_is_never_cut_in_two():
    """A stop that comes while something is written is raised once it is written."""
    stop = _Stop()
    channel: Any = Channel(stop)
    parent = _Parent(channel, stop)
    parent.working = job = _Job(("j1", "print", 1, 1, {}), parent, stop)
    stop.begin("j1")
    with pytest.raises(StopRequested, match="j1 was asked to stop: enough"):
        job.report(10)
    (message,) = channel.sent
    assert (message[0], pickle.loads(message[1:])) == (Say.REPORT, (10.0, {}))
    job.report(20)  # in a finally block, say
    assert len(channel.sent) == 2


def test_a_stop_is_raised_once_and_in_the_work_alone():
    """Before the work, between two pieces of it, and a second time, a signal does nothing."""
    stop = _Stop()
    stop.reason = "enough"
    stop.on_signal(signal.SIGTERM, None)
    with pytest.raises(StopRequested):
        stop.begin("j1")
    stop.on_signal(signal.SIGTERM, None)
    assert stop.close() is False


def test_a_signal_that_the_parent_has_not_sent_ends_the_process():
    """It is as if the program had exited, so that it ends in good order."""
    with pytest.raises(SystemExit) as caught:
        _Stop().on_signal(signal.SIGTERM, None)
    assert caught.value.code == 143


def test_nothing_can_be_reported_between_two_pieces_of_work(work):
    """A thread that the work has left is refused, though the process is there and listens."""
    stop = _Stop()
    channel: Any = Channel(stop)
    channel.stops = False
    parent = _Parent(channel, stop)
    _do(pickle.dumps((work.keep_job, (), ("j1", "print", 1, 1, {}))), parent, stop)
    (message,) = channel.sent
    assert message[0] == Say.RESULT
    with pytest.raises(ReportRefused, match="this attempt is over"):
        work.kept.pop().report(10)
    assert len(channel.sent) == 1


def test_a_coroutine_that_nobody_awaits_is_closed(work):
    """Python does not warn of it: the error says it."""
    stop = _Stop()
    channel: Any = Channel(stop)
    channel.stops = False
    _do(pickle.dumps((work.give_coroutine, (), ("j1", "", 1, 1, {}))), _Parent(channel, stop), stop)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        gc.collect()
    assert warned == []
    assert channel.sent[0][0] == Say.ERROR


async def test_info_that_cannot_be_pickled_is_refused(pool, work):
    """The error names the report, and is raised where it was made."""
    stop = _Stop()
    channel: Any = Channel(stop)
    job = _Job(("j1", "print", 1, 1, {}), _Parent(channel, stop), stop)
    with pytest.raises(BadArgument, match=r"j1: report\(info={'lock': .*}\): info must be pick"):
        job.report(info={"lock": threading.Lock()})
    assert channel.sent == []


def test_signals_are_named():
    """A signal is told by its name or, where it has none, by its number."""
    assert signal_name(9) == "SIGKILL"
    assert signal_name(40) == "signal 40"


@pytest.mark.parametrize("limit", [0, 1.5, True])
def test_a_limit_is_a_positive_integer(limit):
    """Any other limit is refused; by default it is the number of CPUs."""
    with pytest.raises(ValueError, match="limit must be an integer from 1 on"):
        Processes(limit)
    assert Processes().limit == os.cpu_count()
