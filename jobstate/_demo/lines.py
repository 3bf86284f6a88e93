"""The plain display: a line for each event worth one, for files, pipes and simple terminals."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from types import TracebackType
from typing import TextIO

from jobstate import JobStatus, Progress, Transition

from .report import FileJob, Report, age, news, steps

_WIDTH = 79
_ASCII = str.maketrans({"→": "->", "µ": "u", "…": "..."})


class Lines:
    """Writes plain text: no control characters, and nothing that is taken back later."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream = stream
        self._total = total
        self._ended = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

    def opened(self, heading: Iterable[str], special: Iterable[tuple[JobStatus, str]]) -> None:
        """Show what is going to happen."""
        for line in heading:
            self._hang("", line)
        self._say()
        for status, why in special:
            self._hang(f"  {status:8} ", why)
        self._say()

    def changed(self, job: FileJob, change: Transition | Progress) -> None:
        """Write a line if a job has moved in a way that is out of the ordinary."""
        if isinstance(change, Transition) and (what := news(change)) is not None:
            self._event(age(job, change.timestamp), f"{change.dest:8} {job.name}: {what}")

    def ended(self, job: FileJob) -> None:
        """Write a line for each tenth of the jobs."""
        self._ended += 1
        if self._ended == self._total or self._ended % -(-self._total // 10) == 0:
            seconds = age(job, job.history[-1].timestamp)
            self._event(seconds, f"{self._ended:,} of {self._total:,} jobs have ended")

    def closed(self, report: Report) -> None:
        """Write how all jobs ended, and the story of each that did not go straight through."""
        self._say()
        self._say(f"{'jobs':>6}  {'history':50}  at work, median")
        for kind in report.kinds:
            history = self._writable(" → ".join(kind.history))
            self._say(f"{kind.jobs:6,}  {history:50}  {kind.at_work:>15}")
        for job in report.winding:
            self._say()
            self._say(job.name)
            for step in steps(job):
                self._hang(f"  {step.seconds:8.3f} s  {step.status:8} ", step.why)
        self._say()
        for sentence in report.sentences:
            self._hang("", sentence)
        self._hang("", report.verdict)

    def _event(self, seconds: float, what: str) -> None:
        self._say(f"  {seconds:8.3f} s  {what}")

    def _hang(self, head: str, text: str) -> None:
        """Write text that stays to the right of its head."""
        lines = textwrap.wrap(
            text,
            _WIDTH - len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines or [""]:
            self._say(f"{head}{line}")
            head = " " * len(head)

    def _say(self, line: str = "") -> None:
        self._stream.write(f"{self._writable(line).rstrip()}\n")
        self._stream.flush()

    def _writable(self, text: str) -> str:
        """Return text in signs that the stream's encoding has."""
        encoding = self._stream.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
        return text
