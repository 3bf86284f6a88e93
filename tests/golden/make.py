"""Make the file that a release writes of the history beside it: ``python tests/golden/make.py``.

The history ``X.Y.Z.jsonl`` is there first. The file is made once, before X.Y.Z is out; once it is
out, both stay as they are: what a later release adds to the file is a migration.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import anyio

import jobstate
from jobstate import Entry, JobRecord
from jobstate.stores import decoded
from jobstate.stores.sqlite import SQLiteStore

HISTORY = Path(__file__).with_name(f"{jobstate.__version__}.jsonl")


async def write(path):
    """Write all of the history to a new store."""
    async with SQLiteStore(path) as store:
        for line in HISTORY.read_text(encoding="utf-8").splitlines():
            record = decoded(line)
            if isinstance(record, JobRecord):
                await store.create(record)
            elif isinstance(record, Entry):
                await store.append(record, expected=record.transition.version - 1)
            else:
                await store.report(record)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "jobs.db")
        anyio.run(write, written)
        shutil.copyfile(written, HISTORY.with_suffix(".db"))
