"""Ctrl-C, and worse, in a program that runs jobs: how it ends, and that nothing of it is left."""

from __future__ import annotations

import signal
import sys

import pytest

from .signals.program import Program  # type: ignore[import-not-found]  # tests are no package

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs process groups and FIFOs")

SOURCE = """
import anyio, anyio.to_thread, signal, threading
from jobstate import Command, JobRunner

LISTENS = "trap 'printf . >&3; exit 7' TERM; (printf . >&3; sleep 1000) & wait"
DEAF = "trap 'printf . >&3' TERM; (trap '' TERM; printf . >&3; sleep 1000) & wait; wait; wait"

async def task():
    try:
        await anyio.sleep_forever()
    finally:
        if "deaf" in sys.argv:
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
                await anyio.to_thread.run_sync(settle)

def settle():
    "Tell that nothing more happens, and keep things so until everybody has lost patience."
    here()
    gone_on.wait()

gone_on = threading.Event()

def process():
    here()
    if os.fork() == 0:
        os.write(held, b".")
    while True:
        signal.pause()

def show(jobs):
    for job in jobs:
        print(job.id, job.status, job.outcome.cause, flush=True)

async def left(runner):
    while runner._dispatch._ends is None:
        await anyio.sleep(0)
    here()

name = sys.argv[2]

async def main():
    runner = JobRunner(grace=1000)
    runner.jobs.on("REVOKED", lambda event: gone_on.set() if event.job.id == "task" else None)
    try:
        async with runner:
            script = DEAF if "deaf" in sys.argv else LISTENS
            await runner.submit(Command(*shell(script)), id="command")
            await runner.submit(process, executor=runner.processes, id="process")
            await runner.submit(task, id="task")
            await runner.submit(print, after=["task"], id="waiting")
            if "deaf" in sys.argv and name == "trio":  # no program of asyncio outruns its threads
                await runner.submit(threading.Event().wait, id="thread")
            if "exits" in sys.argv:
                def exits():
                    sys.stdin.readline()
                    os._exit(3)
                await runner.submit(exits)
            if "body" in sys.argv:
                here()
                await anyio.sleep_forever()
            await runner.submit(left, runner, id="left")
    finally:
        show(runner.jobs)

if __name__ == "__main__":
    use = {"use_uvloop": True} if name == "uvloop" else {}
    anyio.run(main, backend="trio" if name == "trio" else "asyncio", backend_options=use)
"""


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def start(request, tmp_path):
    """Start the program on each event loop; it is ended when the test is over."""
    programs = []

    def start(*how):
        programs.append(Program(tmp_path, SOURCE, request.param, *how))
        programs[-1].all_here(4)
        return programs[-1]

    yield start
    for program in programs:
        program.close()


def assert_all_was_stopped(program):
    """See that all jobs were revoked, the interrupt came out, and nothing is left."""
    code, said, errors = program.ended()
    assert said.splitlines()[:4] == [
        "command REVOKED SHUTDOWN",
        "process REVOKED SHUTDOWN",
        "task REVOKED SHUTDOWN",
        "waiting REVOKED SHUTDOWN",
    ]
    assert code == -signal.SIGINT
    assert errors.rstrip().endswith("\nKeyboardInterrupt")
    assert program.none_left()


@pytest.mark.parametrize("where", ["body", "end"])
def test_ctrl_c_stops_all_work(start, where):
    """In the block, or while it waits for the work: each has its grace, and nothing is left."""
    program = start(where)
    program.interrupt()
    program.all_here(1)  # the command was asked
    assert_all_was_stopped(program)


def test_the_second_ctrl_c_grants_nobody_more_time(start):
    """What does not listen is ended by force, or left behind where it is a thread."""
    program = start("deaf", "end")
    program.interrupt()
    program.all_here(2)  # the command was asked, and goes on; so does the task
    program.interrupt()
    assert_all_was_stopped(program)


def test_nothing_outlives_a_program_that_is_killed(start):
    """SIGKILL leaves it no time to end anything."""
    program = start("deaf", "end")
    program.kill()
    assert program.none_left()
    assert program.ended()[0] == -signal.SIGKILL


def test_nothing_outlives_a_program_that_exits_at_once(start):
    """Nothing is told of its end, and no ``finally`` runs."""
    program = start("deaf", "exits", "end")
    program.go_on()
    assert program.none_left()
    assert program.ended()[0] == 3
