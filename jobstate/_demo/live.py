"""The live display, for terminals: bars that move, and a report in colours. It needs rich."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live as Region
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)
from rich.progress import Progress as Bars
from rich.progress import TimeElapsedColumn as Elapsed
from rich.table import Column, Table
from rich.text import Text

from jobstate import JobStatus, Progress, Transition

from .report import FileJob, Report, age, news, steps

STYLES = {
    JobStatus.PENDING: "dim",
    JobStatus.STARTED: "cyan",
    JobStatus.RETRY: "yellow",
    JobStatus.SUCCESS: "green",
    JobStatus.FAILURE: "red",
    JobStatus.REVOKED: "magenta",
}
_ROWS = 8


class Live:
    """Shows how the jobs stand and those at work, below what happened out of the ordinary."""

    def __init__(self, console: Console, total: int, workers: int) -> None:
        self._console = console
        self._tally = Tally(total)
        name = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self._all = Bars(BarColumn(None), MofNCompleteColumn(), Elapsed(), expand=True)
        self._whole = self._all.add_task("", total=total)
        self._each = Bars(
            TextColumn("{task.description}", markup=False, table_column=name),
            BarColumn(24),
            TaskProgressColumn(),
            expand=True,
        )
        rows = range(min(workers, _ROWS))
        self._free = deque(self._each.add_task("", total=100, visible=False) for _ in rows)
        self._rows: dict[FileJob, TaskID] = {}
        self._region = Region(
            Group(self._all, self._each, self._tally),
            console=console,
            refresh_per_second=10,
            transient=True,
        )

    def __enter__(self) -> Live:
        self._region.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._region.stop()

    def opened(self, heading: Iterable[str], special: Iterable[tuple[JobStatus, str]]) -> None:
        """Show what is going to happen."""
        first, *more = heading
        self._console.print(Text(first, "bold"), *map(Text, more), sep="\n")
        rows = Table.grid(padding=(0, 1))
        for status, why in special:
            rows.add_row(" ", Text(f"{status:8}", STYLES[status]), Text(why))
        self._console.print("", rows, "", sep="\n")

    def changed(self, job: FileJob, change: Transition | Progress) -> None:
        """Move what is shown of a job, and say so if it moved in a way out of the ordinary."""
        if isinstance(change, Progress):
            if job in self._rows:
                self._each.update(self._rows[job], completed=change.progress)
            return
        self._tally.moved(change)
        if change.dest is JobStatus.STARTED and self._free:
            self._rows[job] = row = self._free.popleft()
            self._each.update(row, description=job.name, completed=0, visible=True)
        elif change.source is JobStatus.STARTED and job in self._rows:
            row = self._rows.pop(job)
            self._each.update(row, completed=job.progress)
            self._free.append(row)
        if (what := news(change)) is not None:
            line = Text.assemble(
                (f"  {age(job, change.timestamp):8.3f} s  ", "dim"),
                (f"{change.dest:8}", STYLES[change.dest]),
                f" {job.name}: {what}",
            )
            self._console.print(line, no_wrap=True, overflow="ellipsis")

    def ended(self, job: FileJob) -> None:
        """Count a job that has ended."""
        self._all.advance(self._whole)

    def closed(self, report: Report) -> None:
        """Show how all jobs ended, and the story of each that did not go straight through."""
        kinds = Table("jobs", "history", "at work, median", box=SIMPLE_HEAD)
        for column in (kinds.columns[0], kinds.columns[2]):
            column.justify = "right"
        for kind in report.kinds:
            history = Text(" → ").join(Text(status, STYLES[status]) for status in kind.history)
            kinds.add_row(f"{kind.jobs:,}", history, kind.at_work)
        self._console.print(kinds)
        for job in report.winding:
            rows = Table.grid(padding=(0, 1))
            for step in steps(job):
                at = Text(f"  {step.seconds:8.3f} s ", "dim")
                rows.add_row(at, Text(f"{step.status:8}", STYLES[step.status]), Text(step.why))
            self._console.print(Text(job.name, "bold"), rows, "", sep="\n")
        for sentence in report.sentences:
            self._console.print(Text(sentence))
        self._console.print(Text(report.verdict, "bold green"))


class Tally:
    """How many jobs have which status, as a line."""

    def __init__(self, total: int) -> None:
        self._jobs = Counter({JobStatus.PENDING: total})

    def moved(self, transition: Transition) -> None:
        """Hear that a job has moved."""
        self._jobs[transition.source] -= 1
        self._jobs[transition.dest] += 1

    def __rich__(self) -> Text:
        parts = (
            Text(f"{status} {self._jobs[status]:,}", style) for status, style in STYLES.items()
        )
        return Text("  ").join(parts)
