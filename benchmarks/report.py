"""The figures in words: tables for a terminal, and the page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .measure import Measurement, Question, Spread, base_of, ratios, spread
from .questions import QUESTIONS
from .record import Record, Verdict, verdicts

Rows = list[list[str]]
"""A table, its heading first."""


def amount(value: float, unit: str) -> str:
    """Return a figure with its unit, to three digits."""
    if unit == "s":
        for factor, name in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
            if value * factor < 999.5:
                return f"{digits(value * factor)} {name}"
        return f"{digits(value)} s"
    if unit == "×":
        return f"{digits(value)} ×"
    return f"{digits(value)} {unit}".rstrip()


def digits(value: float) -> str:
    """Return a number to three significant digits, with no more decimals than it needs."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def within(figure: Spread, unit: str) -> str:
    """Return the middle half of some samples, if they differ."""
    low, _, high = (amount(each, unit) for each in figure)
    if low == high:
        return ""
    number = low.rpartition(" ")
    same = number[2] == high.rpartition(" ")[2]
    return f"{number[0] if same and number[0] else low} to {high}"


def cell(measurement: Measurement, base: Measurement | None) -> tuple[str, str, str]:
    """Return the figure, its spread, and its ratio to *base* with that one's spread."""
    figure = spread(measurement.samples)
    ratio = ""
    if base is not None and len(base.samples) == len(measurement.samples):
        related = ratios(measurement, base)
        inner = within(related, "×")
        ratio = amount(related.middle, "×") + (f" ({inner})" if inner else "")
    return (
        amount(figure.middle, measurement.unit),
        within(figure, measurement.unit),
        ratio,
    )


def goal_rows(found: Iterable[Verdict]) -> Rows:
    """Return each goal beside what was reached."""
    rows = [["what", "goal", "Python", "on", "reached", "middle half", ""]]
    for each in found:
        unit = each.goal.unit
        rows.append(
            [
                each.question.title,
                each.goal.text,
                each.record.minor,
                each.backend,
                amount(each.figure.middle, unit),
                within(each.figure, unit),
                "met" if each.is_met else "**missed**",
            ]
        )
    return rows


def question_rows(question: Question, record: Record) -> Rows:
    """Return every figure of a question, with one Python."""
    grows = any(each.size is not None for each in record.of(question))
    size = ["of"] if grows else []
    relation = ["ratio"] if question.base else []
    rows = [["", "on", *size, "median", "middle half", *relation]]
    for backend in record.backends():
        measured = record.of(question, backend)
        for each in measured:
            base = base_of(question, {m.contender: m for m in measured if m.size == each.size})
            middle, half, ratio = cell(each, base)
            rows.append(
                [
                    each.contender,
                    backend,
                    *([f"{each.size:,}" if each.size is not None else ""] if grows else []),
                    middle,
                    half,
                    *([ratio] if question.base else []),
                ]
            )
    return rows


def circumstances(record: Record) -> str:
    """Return when and with what a record was taken."""
    libraries = ", ".join(f"{name} {version}" for name, version in record.libraries.items())
    kind = " (a quick run: rough figures)" if record.quick else ""
    return f"Python {record.python}, {record.date}, {record.cpu}{kind}: {libraries}"


# --- for a terminal -------------------------------------------------------------------------


def aligned(rows: Rows) -> str:
    """Return a table in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def as_text(record: Record) -> str:
    """Return everything that was measured, and the goals."""
    parts = [circumstances(record)]
    parts += [
        f"{question.title}\n{aligned(question_rows(question, record))}"
        for question in QUESTIONS
        if record.of(question)
    ]
    rows = goal_rows(verdicts([record]))
    if len(rows) > 1:
        parts.append(f"Goals\n{aligned(rows)}".replace("**missed**", "missed"))
    return "\n\n".join(parts)


# --- for the documentation ------------------------------------------------------------------

INTRODUCTION = """\
# Speed and memory

<!-- Written by `python -m benchmarks`; the figures stand in benchmarks.json. -->

What the library costs, beside its peers, and what was hoped for. All contenders of a question
take their turn in every round, in one process; a ratio is taken within each round. Quoted are
medians of time on a CPU (**bold**), medians of the ratio to the first of its kind, and in brackets
the middle half of the rounds. Where it is said to be so, time is that of the clock on the wall,
and the garbage collector on; it is off otherwise, for all alike. Measure it yourself with
`tox -e bench`.

```{figure} benchmarks.svg
:alt: Ratios to a base, with the goals, and costs over growing numbers of jobs and waiters.

Top: what each needs, as a multiple of the base. Bottom: what one more costs, among many.
```
"""


FLOORS = """\
Where a goal is missed, a line of its table says what it would take:

- **A transition.** Its receipt alone, a record of twelve facts with the time that is kept and
  returned, takes about as much as the goal leaves. The rest is what makes it a transition: whether
  this is the job's loop, whose turn it is, where the table leads, which attempt it opens, who
  listens, who waits.
- **An async hook.** What keeps a cancellation from it, a task of its own on asyncio and a shielded
  scope on Trio, is the larger part. Before Python 3.12 a task cannot begin at once, and each hook
  takes a turn of the event loop; where hooks need not wait, let them be plain functions.
- **A job.** A slotted object has four fields. A job has six times as many, among them a random id,
  the time, its loop and a list.
- **A wait.** A future that somebody else has made needs neither making nor answering. Here each
  wait makes its own, so that one can be cancelled without the others, and returns an `Outcome`.
- **A million jobs, collector on.** Python's collector looks at all that is alive each time that it
  has grown by a quarter; with the collector off, or `gc.freeze()`, cost is flat.
- **Running an async function.** A task of anyio's, which has its own line, is a part of it. The
  rest is what makes it a job: a record of two transitions, a place in line, and two more scopes by
  which it can be stopped. Trio runs the tasks of one turn in any order; so that jobs begin in
  theirs, each is started in a turn of its own there.
- **Stopping a command.** The process is the smaller part: whatever it has started is ended too, the
  rest of its output is read, and some turns of the event loop pass until its job is revoked and
  whoever asked hears of it.
- **A transition in a SQLite file.** The peers' rows are ready, and nobody waits for an answer. To
  check a transition and make it JSON takes 3.5 µs, and to ask a thread and be woken by it 4 µs, 7.5
  on Trio; SQLite itself takes ten, and a hundredth of the commit.
"""


def as_markdown(rows: Rows) -> str:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def page(records: Sequence[Record]) -> str:
    """Return the page of the documentation."""
    parts = [INTRODUCTION]
    parts += ["\n".join(f"- {circumstances(record)}" for record in records)]
    parts += ["## Goals", as_markdown(folded(verdicts(records))), FLOORS]
    for question in QUESTIONS:
        parts += [f"## {question.title}", question.note]
        for record in records:
            if record.of(question):
                parts += [f"Python {record.minor}:", as_markdown(beside(question, record))]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def beside(question: Question, record: Record) -> Rows:
    """Return every figure of a question with the backends side by side: median, ratio, spread."""
    backends = [backend for backend in record.backends() if record.of(question, backend)]
    grows = any(each.size is not None for each in record.of(question))
    cells: dict[tuple[str, int], dict[str, str]] = {}
    for backend in backends:
        measured = record.of(question, backend)
        for each in measured:
            base = base_of(question, {m.contender: m for m in measured if m.size == each.size})
            middle, half, ratio = cell(each, base)
            text = [f"**{middle}**", ratio or half] if base is not each else [middle, half]
            row = cells.setdefault((each.contender, each.size or 0), {})
            row[backend] = "<br>".join(filter(None, text))
    rows = [["", *(["of"] if grows else []), *backends]]
    for (contender, size), row in cells.items():
        of = [f"{size:,}"] if grows else []
        rows.append([contender, *of, *(row.get(backend, "–") for backend in backends)])
    return rows


def folded(found: Iterable[Verdict]) -> Rows:
    """Return one row a goal, with a column for each Python and backend."""
    found = list(found)
    columns = list(dict.fromkeys((each.record.minor, each.backend) for each in found))
    rows = [["what", "goal", *(f"{backend} {minor}" for minor, backend in columns)]]
    by_goal: dict[tuple[str, str], dict[tuple[str, str], Verdict]] = {}
    for each in found:
        place = by_goal.setdefault((each.question.title, each.goal.text), {})
        place[each.record.minor, each.backend] = each
    for (title, goal), reached in by_goal.items():
        cells = []
        for column in columns:
            verdict = reached.get(column)
            cells.append("–" if verdict is None else _judged(verdict))
        rows.append([title, goal, *cells])
    return rows


def _judged(verdict: Verdict) -> str:
    text = amount(verdict.figure.middle, verdict.goal.unit)
    return text if verdict.is_met else f"**{text}, missed**"
