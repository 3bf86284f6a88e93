"""Which files are worked on, and what is to become of the job of each: said before it happens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from jobstate import JobStatus

from .work import parses

_T = TypeVar("_T")
Story = tuple[JobStatus, ...]
"""The statuses that a job enters, one after the other."""

STRAIGHT = (JobStatus.STARTED, JobStatus.SUCCESS)
RETRIED = (JobStatus.STARTED, JobStatus.RETRY, JobStatus.STARTED, JobStatus.SUCCESS)
FAILED = (JobStatus.STARTED, JobStatus.FAILURE)
RETRIED_IN_VAIN = (JobStatus.STARTED, JobStatus.RETRY, JobStatus.STARTED, JobStatus.FAILURE)
REVOKED = (JobStatus.REVOKED,)

SKIPPED = {"__pycache__", "dist-packages", "site-packages"}
LOOKED_AT = 2_000
"""Among so many files of a folder, at most, one is looked for that is not UTF-8."""

SPECIMENS = {
    RETRIED: ("latin_1.py", "# coding: latin-1\n\ndef grüße():\n    pass\n".encode("latin-1")),
    FAILED: ("no_python.py", b"def broken(:\n    pass\n"),
}
"""What is written for a folder that has no such file: its name, and its content."""


class BadInput(Exception):
    """The folder cannot be worked on; says why in a sentence."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that gets a job."""

    path: Path
    name: str
    """How it is called: the way from the folder to it."""

    story: Story
    """What is to become of its job."""

    size: int = 0
    written: bool = False
    """It is a specimen in a temporary folder."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demonstration is going to do."""

    folder: Path
    found: int
    """How many files the folder has; only some of them may get a job."""

    files: tuple[File, ...]
    """In the order in which their jobs wait in line; the last one is the first once more."""


def planned(folder: Path, limit: int, scratch: Path) -> Plan:
    """Return what to do with up to *limit* files of a folder, chosen evenly.

    One job is to be retried and one to fail; where the folder has no file that makes it so, it is
    written to *scratch*. The first file is asked for twice, for a job that is to be revoked.

    Raises:
        BadInput: it cannot be read, or has no files of Python.
    """
    paths = python_files(folder)
    looked_at = evenly(paths, max(limit, LOOKED_AT))
    stories = {path: _story(path) for path in looked_at}
    chosen = set(evenly(looked_at, limit))
    specimens = []
    for wanted, (name, content) in SPECIMENS.items():
        having = [path for path in looked_at if stories[path] == wanted]
        if not having:
            specimens.append(_written(scratch / name, content, wanted))
        elif chosen.isdisjoint(having):
            chosen.add(having[0])
    files = [_file(path, folder, stories[path]) for path in looked_at if path in chosen]
    for number, specimen in enumerate(specimens, 1):
        files.insert(max(1, number * len(files) // 3), specimen)
    once_more = replace(files[0], name=f"{files[0].name} once more", story=REVOKED)
    return Plan(folder, len(paths), (*files, once_more))


def python_files(folder: Path) -> list[Path]:
    """Return every ``*.py`` file under a folder in a fixed order, except for installed packages.

    Raises:
        BadInput: it cannot be read, or there are none.
    """
    found: list[Path] = []
    try:
        os.listdir(folder)  # os.walk would be silent about a folder that cannot be read
    except OSError as error:
        raise BadInput(f"cannot read the folder {folder}: {error.strerror}") from error
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - SKIPPED)
        paths = (Path(place, name) for name in sorted(names) if name.endswith(".py"))
        found += filter(Path.is_file, paths)
    if not found:
        raise BadInput(f"the folder {folder} has no files of Python (*.py)")
    return found


def evenly(items: Sequence[_T], number: int) -> list[_T]:
    """Return at most so many of *items*, at even distances and in their order."""
    number = min(number, len(items))
    return [items[place * len(items) // number] for place in range(number)]


def printable(text: str) -> str:
    """Return text with whatever could upset a terminal escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _story(path: Path) -> Story:
    """Return what is to become of a file's job, as far as that can be told without working on it.

    A file that cannot be parsed is noticed here only if it is called bad, as those of Python's
    own tests are: parsing everything beforehand would be half of the work.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return FAILED
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return RETRIED if parses(data) else RETRIED_IN_VAIN
    return FAILED if path.name.startswith("bad") and not parses(text) else STRAIGHT


def _file(path: Path, folder: Path, story: Story) -> File:
    name = path.relative_to(folder).as_posix()
    return File(path, printable(name), story, _size(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it has just vanished, and its job is going to say so
        return 0


def _written(path: Path, content: bytes, story: Story) -> File:
    path.write_bytes(content)
    return File(path, path.name, story, len(content), written=True)
