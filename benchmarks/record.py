"""A run of all questions with one Python, as it is kept in a JSON file beside others."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .measure import BACKENDS, Goal, Measurement, Question, Spread, rounded
from .questions import QUESTIONS

LIBRARIES = (
    "jobstate",
    "anyio",
    "trio",
    "uvloop",
    "transitions",
    "python-statemachine",
    "automat",
    "aiojobs",
    "aiosqlite",
)


@dataclass(frozen=True, slots=True)
class Record:
    """What was measured, when, and with what."""

    python: str
    date: str
    cpu: str
    libraries: dict[str, str]
    quick: bool
    measurements: tuple[Measurement, ...]

    @property
    def minor(self) -> str:
        """The Python, as in 3.13."""
        return ".".join(self.python.split(".")[:2])

    def of(self, question: Question, backend: str | None = None) -> list[Measurement]:
        """Return the measurements of one question, in the order in which they were made."""
        return [
            each
            for each in self.measurements
            if each.question == question.name and backend in (None, each.backend)
        ]

    def backends(self) -> list[str]:
        """Return the backends that were measured."""
        measured = {each.backend for each in self.measurements}
        return [backend for backend in BACKENDS if backend in measured]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, and what was reached in one record on one backend."""

    question: Question
    goal: Goal
    record: Record
    backend: str
    figure: Spread

    @property
    def is_met(self) -> bool:
        """Whether the median reaches the goal."""
        return self.goal.is_met(self.figure)


def verdicts(records: Iterable[Record]) -> Iterator[Verdict]:
    """Yield what became of each goal, goal by goal."""
    records = tuple(records)
    for question in QUESTIONS:
        for goal in question.goals:
            for record in records:
                for backend in record.backends():
                    figure = goal.reached(record.of(question, backend))
                    if figure is not None:
                        yield Verdict(question, goal, record, backend, figure)


def taken(measurements: Iterable[Measurement], *, quick: bool) -> Record:
    """Return measurements with the circumstances of this run."""
    return Record(
        platform.python_version(),
        f"{datetime.now(UTC):%Y-%m-%d}",
        cpu_model(),
        {name: version(name) for name in LIBRARIES},
        quick,
        tuple(rounded(each) for each in measurements),
    )


def cpu_model() -> str:
    """Return what the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def load(path: Path) -> list[Record]:
    """Return the records of a file, oldest Python first; none if there is no such file."""
    if not path.exists():
        return []
    return [
        Record(
            **{key: value for key, value in record.items() if key != "measurements"},
            measurements=tuple(
                Measurement(**{**each, "samples": tuple(each["samples"])})
                for each in record["measurements"]
            ),
        )
        for record in json.loads(path.read_text(encoding="utf-8"))["records"]
    ]


def save(path: Path, record: Record) -> list[Record]:
    """Put a record in a file, in the place of an older one of the same Python; return them all.

    Questions that were not asked this time keep their figures if all versions are the same. What
    has been compared with meanwhile, the older record need not name.
    """
    loaded = load(path)
    others = [each for each in loaded if each.minor != record.minor]
    asked = {each.question for each in record.measurements}
    for older in loaded:
        alike = (older.python, older.cpu, older.quick) == (record.python, record.cpu, record.quick)
        if alike and older.libraries.items() <= record.libraries.items():
            kept = tuple(each for each in older.measurements if each.question not in asked)
            record = replace(record, measurements=kept + record.measurements)
    records = sorted([*others, record], key=lambda each: tuple(map(int, each.minor.split("."))))
    path.write_text(_as_json(records), encoding="utf-8")
    return records


def _as_json(records: Iterable[Record]) -> str:
    """Return records as JSON, a line a measurement, so that a difference can be read."""
    parts = []
    for record in records:
        facts = asdict(record)
        lines = [json.dumps(each, ensure_ascii=False) for each in facts.pop("measurements")]
        head = json.dumps(facts, ensure_ascii=False, indent=2)[:-2]
        parts.append(f'{head},\n  "measurements": [\n' + ",\n".join(lines) + "\n]}")
    return '{"records": [\n' + ",\n".join(parts) + "\n]}\n"
