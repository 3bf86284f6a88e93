"""Ctrl-C, and worse, in a program that runs jobs: how it ends, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from .signals.program import Program  # type: ignore[import-not-found]  # tests are no package

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs process groups and FIFOs")

SOURCE = """
import anyio
from functools import partial
from jobstate import Command, JobRunner

async def wait():
    await anyio.sleep_forever()

def compute():
    here()
    if os.fork() == 0:
        os.write(held, b".")
    while True:
        signal.pause()

async def main(work, grace):
    async with JobRunner(grace=grace) as runner:
        try:
            jobs = []
            for script in work:
                jobs.append(await runner.submit(Command(*shell(script))))
            jobs.append(await runner.submit(compute, executor=runner.processes))
            jobs.append(await runner.submit(wait))
            jobs.append(await runner.submit(wait, after=[jobs[0]]))
            for job in jobs[:-1]:
                await job.reached("STARTED")
            here()
            if "body" in sys.argv:
                await anyio.sleep_forever()
        finally:
            runner.jobs.on("REVOKED", lambda event: print(event.source, event.job.outcome.cause))
            print("leaving", flush=True)
    print("unreachable")

GENTLE = "trap 'exit 0' TERM; (printf . >&3; sleep 1000) & printf . >&3; wait"
LISTENS = "(printf . >&3; exec sleep 1000) & printf . >&3; wait"
DEAF = "trap '' TERM; (printf . >&3; sleep 1000) & printf . >&3; wait; wait"
"""
RUN = """
if __name__ == "__main__":
    name = sys.argv[2]
    use = {"use_uvloop": True} if name == "uvloop" else {}
    backend = "trio" if name == "trio" else "asyncio"
    anyio.run(main, [LISTENS], 60, backend=backend, backend_options=use)
"""


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def start(request, tmp_path):
    """Start a program on each event loop; it is ended when the test is over."""
    programs = []

    def start(source, *args):
        programs.append(Program(tmp_path, source, request.param, *args))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


@pytest.mark.parametrize("where", ["body", "end"])
def test_ctrl_c(start, where):
    program = start(SOURCE + RUN, where)
    program.all_here(5)
    if where == "end":
        assert program.says() == "leaving"
    program.interrupt()
    code, said, errors = program.ended()
    print(code, said, errors)
    assert program.none_left()
    assert 0
