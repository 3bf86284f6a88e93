"""A user of a store whom the system lets down: ``python user.py CASE FOLDER``.

It tells what the store has said, a line each.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from pathlib import Path

import anyio

from jobstate import JobStateError
from jobstate.stores.sqlite import SQLiteStore
from jobstate.testing._store_tools import job_record, moved, step

NOBODY = 65534


def tell(*words):
    """Say something, with paths as seen from the folder."""
    os.write(1, (" ".join(map(str, words)).replace(f"{FOLDER}/", "") + "\n").encode())


async def attempt():
    """Try to read and to write, each with a new store, and say what is there afterwards."""
    for ask in (lambda store: store.load("j1"), lambda store: store.create(job_record("j2"))):
        store = SQLiteStore(FOLDER / "jobs.db", patience=0.01)
        try:
            await ask(store)
            tell("done")
        except JobStateError as error:
            tell(type(error).__name__, error)
        await store.aclose()
    tell(*sorted(os.listdir(FOLDER)))


async def fill(relieve):
    """Write until no more can be written: all of it is there, and more, once there is room."""
    async with SQLiteStore(FOLDER / "jobs.db") as store:
        await moved(store, 1)
        version = 1
        for _ in range(2):
            try:
                while True:
                    much = step(version + 1, result="x" * 9000)
                    await store.append(much, expected=version)
                    version += 1
            except JobStateError as error:
                tell(type(error).__name__, error)
            assert (await store.load("j1")).version == version
        relieve()
        await store.append(step(version + 1), expected=version)
        assert (await store.load("j1")).version == version + 1
        tell("done" if version > 5 else "too little")


def become_nobody():
    """Give up the rights of root, who may write whatever it likes."""
    if os.geteuid() == 0:
        os.chown(FOLDER, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


async def read_only(path, mode):
    """Use a store that was made, and that may no longer be written."""
    become_nobody()
    store = SQLiteStore(FOLDER / "jobs.db")
    await moved(store, 1)
    await store.aclose()
    before = path.stat().st_mode
    path.chmod(mode)
    await attempt()
    path.chmod(before)
    await attempt()


async def new_in_a_read_only_folder():
    """Use a store that cannot be made."""
    become_nobody()
    os.chmod(FOLDER, 0o500)
    await attempt()


async def too_large_a_file():
    """Write more than a file may hold, until it may hold more."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, most))
    await fill(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))


async def full_disk():
    """Write more than a disk holds, until there is room."""
    ballast = FOLDER / "ballast"
    ballast.write_bytes(bytes(300_000))
    await fill(ballast.unlink)


CASES = {
    "read only file": lambda: read_only(FOLDER / "jobs.db", 0o400),
    "read only folder": lambda: read_only(FOLDER, 0o500),
    "new in a read only folder": new_in_a_read_only_folder,
    "too large a file": too_large_a_file,
    "full disk": full_disk,
}


async def main(case):
    """Use a store elsewhere, so that all is imported while it can be, and then try the case."""
    with tempfile.TemporaryDirectory() as folder:
        async with SQLiteStore(f"{folder}/jobs.db") as store:
            await moved(store, 1)
            await store.load("j1")
    await CASES[case]()


if __name__ == "__main__":
    FOLDER = Path(sys.argv[2])
    anyio.run(main, sys.argv[1])
