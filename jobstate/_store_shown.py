"""What a store keeps, as fields for programs and as lines for people.

Each thing becomes a mapping of plain fields, which ``--json`` prints as they are and from which the
lines are made. The words in them are others': nothing of it forges a line or steers the terminal.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import accumulate
from math import floor
from typing import Any
from unicodedata import combining, east_asian_width

from ._portable import printable
from ._records import Progress
from ._stored import Entry, StoredJob
from ._verbs import brief

Fields = dict[str, Any]

_WIDEST = 40
"""Columns that a cell of a table takes, but for the last: what is longer is cut."""


# --- fields ---------------------------------------------------------------------------------


def job_fields(stored: StoredJob) -> Fields:
    """Return what a list tells of a job."""
    now = stored.snapshot()
    steps = [entry.transition for entry in stored.entries if not entry.transition.internal]
    return {
        "id": now.id,
        "name": now.name,
        "lifecycle": stored.job.lifecycle,
        "status": now.status,
        "final": stored.final,
        "version": now.version,
        "attempt": now.attempt,
        "max_attempts": now.max_attempts,
        "progress": now.progress,
        "created_at": _iso(now.created_at),
        "updated_at": _iso(now.updated_at),
        "retry_at": None if now.retry_at is None else _iso(now.retry_at),
        "reason": steps[-1].reason if steps else "",
        "cause": steps[-1].cause if steps else None,
        "error_reason": now.error_reason,
        "error_message": now.error_message,
    }


def all_fields(stored: StoredJob) -> Fields:
    """Return all that is known of a job, but for its transitions."""
    now, error = stored.snapshot(), stored.error
    return job_fields(stored) | {
        "error_traceback": error and error.traceback,
        "result": now.result,
        "info": now.info,
        "extras": now.extras,
        "data": stored.job.data,
    }


def step_fields(entry: Entry, name: str) -> Fields:
    """Return a transition of the job of that name."""
    step = entry.transition
    return {
        "kind": "transition",
        "id": step.job_id,
        "name": name,
        "version": step.version,
        "at": _iso(step.at),
        "trigger": step.trigger,
        "source": step.source,
        "dest": step.dest,
        "internal": step.internal,
        "final": entry.final,
        "attempt": step.attempt,
        "delay": step.delay,
        "reason": step.reason,
        "cause": step.cause,
        "error_reason": step.error and step.error.reason,
        "error_message": step.error and step.error.message,
        "error_traceback": step.error and step.error.traceback,
    }


def progress_fields(progress: Progress, name: str) -> Fields:
    """Return the progress of the job of that name."""
    return {
        "kind": "progress",
        "id": progress.job_id,
        "name": name,
        "version": progress.version,
        "at": _iso(progress.at),
        "attempt": progress.attempt,
        "progress": progress.progress,
        "info": progress.info,
    }


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- lines ----------------------------------------------------------------------------------

JOB_HEAD = ("ID", "NAME", "STATUS", "ATTEMPT", "PROGRESS", "CHANGED", "WHY")
STEP_HEAD = ("VERSION", "MOMENT", "TRIGGER", "TRANSITION", "ATTEMPT", "DELAY", "WHY")


def job_row(job: Fields, now: float) -> list[str]:
    """Return the cells of a job in a table, under `JOB_HEAD`."""
    age = now - datetime.fromisoformat(job["updated_at"]).timestamp()
    cells = (job["id"], job["name"], job["status"], _attempt(job), _percent(job))
    return [*cells, f"{brief(age)} ago", _why(job)]


def step_row(step: Fields) -> list[str]:
    """Return the cells of a transition in a table, under `STEP_HEAD`."""
    delay = "" if step["delay"] is None else f"{step['delay']:g}s"
    cells = (str(step["version"]), step["at"], step["trigger"], _arrow(step))
    return [*cells, str(step["attempt"]), delay, _why(step)]


def live_line(change: Fields) -> str:
    """Return a line that tells of a transition or of progress."""
    if change["kind"] == "progress":
        what, why = _percent(change), _text(change["info"]) if change["info"] else ""
    else:
        what, why = _arrow(change), _why(change)
    name = _cut(printable(change["name"]), _WIDEST)
    return "  ".join(
        filter(None, [change["at"], change["id"], name, printable(what), printable(why)])
    )


def job_lines(job: Fields) -> Iterator[str]:
    """Yield the lines that tell all that is known of a job."""
    shown = {
        "id": job["id"],
        "name": job["name"],
        "lifecycle": job["lifecycle"],
        "status": job["status"],
        "version": str(job["version"]),
        "attempt": _attempt(job),
        "progress": _percent(job),
        "created": job["created_at"],
        "changed": job["updated_at"],
        "retry due": job["retry_at"],
        "reason": job["reason"],
        "cause": job["cause"],
        "error": _error(job),
        "result": None if job["result"] is None else _text(job["result"]),
        "info": _text(job["info"]) if job["info"] else None,
        "extras": _text(job["extras"]) if job["extras"] else None,
        "data": None if job["data"] is None else _text(job["data"]),
    }
    for label, text in shown.items():
        if text:
            yield f"{label:12}{printable(text)}"
    if job["error_traceback"]:
        yield "traceback"
        yield from (f"  {printable(line)}" for line in job["error_traceback"].splitlines())


def table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Yield the lines of a table, cut to a width if one is given."""
    cells = [[printable(cell) for cell in row] for row in (head, *rows)]
    for row in cells:
        row[:-1] = [_cut(cell, _WIDEST) for cell in row[:-1]]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [c + " " * (room - _width(c)) for c, room in zip(row[:-1], widths, strict=False)]
        line = "  ".join([*padded, row[-1]]).rstrip()
        yield line if width is None else _cut(line, width)


def say(line: str) -> None:
    """Print a line, in signs that standard output has."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{line.encode(encoding, 'backslashreplace').decode(encoding)}\n")


def say_json(fields: Fields) -> None:
    """Print an object on a line, in plain ASCII."""
    sys.stdout.write(f"{json.dumps(fields)}\n")


def _attempt(job: Fields) -> str:
    most = job["max_attempts"]
    return f"{job['attempt']}" if most is None else f"{job['attempt']}/{most}"


def _percent(fields: Fields) -> str:
    """Return a percentage that is 100 only once it is."""
    return f"{floor(fields['progress'] * 10) / 10:g}%"


def _arrow(step: Fields) -> str:
    return step["dest"] if step["internal"] else f"{step['source']} -> {step['dest']}"


def _why(fields: Fields) -> str:
    """Return why a job is in its status: what was said of it, or else on whose behalf."""
    return fields["reason"] or _error(fields) or fields["cause"] or ""


def _error(fields: Fields) -> str:
    told = (fields["error_reason"], fields["error_message"])
    return ": ".join(part for part in told if part)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    return 2 if east_asian_width(char) in "WF" else 0 if combining(char) else 1


def _cut(text: str, width: int) -> str:
    """Return what of a text fits into so many columns."""
    if _width(text) <= width:
        return text
    ends = list(accumulate(map(_columns, text)))
    return f"{text[: bisect_right(ends, width - 1)]}…"
