"""The store in a SQLite file, where the system lets it down: each time in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

USER = Path(__file__).parent / "system" / "user.py"


@pytest.fixture
def folder():
    """A folder that whoever it is given to can reach."""
    made = Path(tempfile.mkdtemp(prefix="jobstate-"))
    yield made
    made.chmod(0o700)
    shutil.rmtree(made)


def told(case, folder, *before):
    """Return what a user of a store in a folder has to tell."""
    command = [*before, sys.executable, "-W", "ignore", str(USER), case, str(folder)]
    unmeasured = {name: x for name, x in os.environ.items() if not name.startswith("COVERAGE")}
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=50, check=False, env=unmeasured
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


WRITTEN = ["done", "done", "jobs.db jobs.db-bells"]


def test_a_file_that_can_be_read_only_is_left_as_it_is(folder):
    """Nothing is put beside it that would be in the way once it can be written again."""
    refused = "StoreBroken store jobs.db: it cannot be written; it was left as it is"
    assert told("read only file", folder) == [refused, refused, WRITTEN[-1], *WRITTEN]


def test_a_folder_that_can_be_read_only_is_told(folder):
    """A store needs its log beside it; where there can be none, nothing is changed."""
    words = "it can be read only (attempt to write a readonly database)"
    refused = f"StoreBroken store jobs.db: {words}"
    assert told("read only folder", folder) == [refused, refused, WRITTEN[-1], *WRITTEN]


def test_a_new_store_in_a_folder_that_can_be_read_only_is_told(folder):
    """Where no file can be made, that is said, and which."""
    refused = "StoreBroken store jobs.db: Permission denied: jobs.db"
    assert told("new in a read only folder", folder) == [refused, refused, ""]


def test_a_file_that_may_not_grow_is_told(folder):
    """What does not fit is refused, what was acknowledged is there, and later it goes on."""
    problem = "the system cannot write it, as where the disk is full (disk I/O error)"
    refused = f"StoreBroken store jobs.db: {problem}"
    assert told("too large a file", folder) == [refused, refused, "done"]


def test_a_disk_that_is_full_is_told(folder):
    """The same, where there is no room on the disk: one that is made for this, in memory."""
    mount = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"']
    try:
        subprocess.run([*mount, str(folder), "true"], check=True, capture_output=True, timeout=50)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    refused = (
        "StoreBroken store jobs.db: the disk is full; what was written before is safe "
        "(database or disk is full)"
    )
    assert told("full disk", folder, *mount, str(folder)) == [refused, refused, "done"]
