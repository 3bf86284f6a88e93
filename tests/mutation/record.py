"""What became of the mutants of each page, as it is kept in a JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .mutants import Mutant
from .pages import PAGES
from .trial import Verdict

LIBRARIES = ("anyio", "hypothesis", "pytest", "structlog", "transitions", "trio")


@dataclass(frozen=True, slots=True)
class Record:
    """What became of the mutants of one page."""

    page: str
    date: str
    python: str
    libraries: dict[str, str]
    mutants: int
    """How many there are."""

    seed: int | None
    """What the sample was drawn with; ``None`` where all were tried."""

    killed: int
    timeouts: int
    survived: tuple[str, ...]
    """The names of those that no test noticed."""

    @property
    def tried(self) -> int:
        """How many were put before the tests."""
        return self.killed + self.timeouts + len(self.survived)

    @property
    def noticed(self) -> int:
        """How many made a test fail, or hang."""
        return self.killed + self.timeouts


def taken(
    page: str, mutants: int, seed: int | None, verdicts: Iterable[tuple[Mutant, Verdict]]
) -> Record:
    """Return what became of a page's mutants, with the circumstances of this run."""
    found = list(verdicts)
    ends = [end for _, end in found]
    return Record(
        page,
        f"{datetime.now(UTC):%Y-%m-%d}",
        platform.python_version(),
        {name: version(name) for name in LIBRARIES},
        mutants,
        seed,
        ends.count("killed"),
        ends.count("timeout"),
        tuple(sorted(mutant.key for mutant, end in found if end == "survived")),
    )


def load(path: Path) -> list[Record]:
    """Return the records of a file, a page each, bottom up; none if there is no such file."""
    if not path.exists():
        return []
    records = json.loads(path.read_text(encoding="utf-8"))["pages"]
    return [Record(**{**each, "survived": tuple(each["survived"])}) for each in records]


def save(path: Path, record: Record) -> None:
    """Put a record in a file, in the place of an older one of the same page."""
    kept = [each for each in load(path) if each.page != record.page and each.page in PAGES]
    records = sorted([*kept, record], key=lambda each: list(PAGES).index(each.page))
    lines = json.dumps({"pages": [asdict(each) for each in records]}, ensure_ascii=False, indent=1)
    path.write_text(f"{lines}\n", encoding="utf-8")
