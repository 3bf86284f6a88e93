"""After a runner was killed at any moment, another one goes on: real processes and a real file.

``JOBSTATE_KILLS`` says how often: a fourth of it here, as each of these does much more.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import anyio

from jobstate import jobs

KILLS = max(3, int(os.environ.get("JOBSTATE_KILLS", "200")) // 4)
SEED = int(os.environ.get("JOBSTATE_SEED", "0"))
RUNNER = Path(__file__).parent / "crash" / "runner.py"


def played(path, rng):
    """Return what runners have said that were killed one after the other, but for the last."""
    said = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-W", "ignore", str(RUNNER), str(path)]
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        for number in range(KILLS + 1):
            last = number == KILLS
            process.stdin.write(f"{number} last\n" if last else f"{number}\n")
            process.stdin.flush()
            left, pid = float("inf") if last else rng.randrange(1, 40), 0
            for line in process.stdout:
                word, *rest = line.split()
                if word == "end":
                    break
                if word == "pid":
                    pid = int(rest[0])
                else:
                    said.append((word, *rest))
                left -= 1
                if left <= 0:
                    for _ in range(rng.randrange(50_000)):
                        pass  # not always right after something was said
                    os.kill(pid, signal.SIGKILL)
                    left = float("inf")
        process.stdin.close()
        complaints = process.stderr.read().splitlines()
    assert [line for line in complaints if "walresetbug" not in line] == []
    return said


async def listed(path):
    """Return all jobs of a store, and their histories."""
    stored = jobs.open(path)
    shots = {shot.id: shot for shot in await stored.list(limit=None)}
    return shots, {job_id: await stored.get(job_id).history() for job_id in shots}


def test_after_each_kill_the_queue_goes_on(tmp_path):
    """All that was submitted is done in the end; what had ended is not begun again."""
    path = tmp_path / "jobs.db"
    said = played(path, random.Random(SEED))
    shots, histories = anyio.run(listed, path)
    submitted = {job_id for word, job_id, *_ in said if word == "submitted"}
    assert submitted <= shots.keys()
    assert {shot.status for shot in shots.values()} == {"SUCCESS"}
    ended, begun = set(), {}
    for word, job_id, *attempt in said:
        if word == "ended":
            ended.add(job_id)
        elif word == "begun":
            assert job_id not in ended
            begun.setdefault(job_id, []).append(int(attempt[0]))
    for job_id, history in histories.items():
        starts = [step.attempt for step in history if step.dest == "STARTED"]
        assert starts == list(range(1, len(starts) + 1))
        # An attempt may be killed between its start and its first word, and is then not heard of.
        assert set(begun.get(job_id, [])) <= set(starts)
        assert len(begun.get(job_id, [])) == len(set(begun.get(job_id, [])))
    errors = [step.error.reason for each in histories.values() for step in each if step.error]
    assert {"OSError", "jobstate.AttemptInterrupted"} <= set(errors)
    assert any(word == "taken" for word, *_ in said)
