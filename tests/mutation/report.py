"""The page of the documentation on what the tests notice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .record import Record
from .survivors import EXPLAINED, reason_for

INTRODUCTION = """\
# Mutation testing

<!-- Written by `python -m mutation`; the figures stand in mutation.json. -->

How much of what the core pages do would be missed if it were gone. One small fault at a time is put
into a page: a statement is left out, a condition decided, a comparison or an operator turned, an
argument dropped, a constant changed. The tests of that page, and of the pages that lean on it, have
to notice, in a process of its own for each mutant. One that makes them hang is noticed too, and
counted by itself. Mutants of `_loop` are tried on asyncio, uvloop and Trio, all others on asyncio.
Try it with `tox -e mutation`."""

UNEXPLAINED = "Not explained; what a further test could notice:"


def percent(part: int, whole: int) -> str:
    """Return a share in percent; all is said of all alone."""
    if whole == 0:
        return "–"
    tenths = part * 1000 // whole
    return f"{tenths // 10}.{tenths % 10} %"


def page(records: Sequence[Record]) -> str:
    """Return the page on some records."""
    parts = [INTRODUCTION, summary(records), table(records)]
    parts += ["## Survivors", *survivors(records)]
    return "\n\n".join(parts) + "\n"


def summary(records: Sequence[Record]) -> str:
    """Return the score, and what it is the score of."""
    tried, mutants = (sum(getattr(each, name) for each in records) for name in ("tried", "mutants"))
    noticed = sum(each.noticed for each in records)
    alike = sum(reason_for(key) is not None for each in records for key in each.survived)
    seeds = sorted({each.seed for each in records if each.seed is not None})
    drawn = f", drawn with seed {', '.join(map(str, seeds))}" if seeds else ""
    of_all = (
        f"{tried:,}, which is all"
        if tried == mutants
        else f"{tried:,} tried, of {mutants:,} that there are{drawn}"
    )
    lines = [
        f"**{percent(noticed, tried)}** of the mutants were noticed: {noticed:,} of {of_all}.",
        f"Without the {alike} that no test can, or should, tell from the page as it is, that is",
        f"**{percent(noticed, tried - alike)}**.",
        "",
    ]
    for python, libraries, date in sorted(
        {(each.python, tuple(each.libraries.items()), each.date) for each in records}
    ):
        versions = ", ".join(f"{name} {number}" for name, number in libraries)
        lines.append(f"- Python {python}, {date}: {versions}")
    return "\n".join(lines)


def table(records: Sequence[Record]) -> str:
    """Return the figures, a page a row."""
    lines = ["| page | mutants | tried | killed | timed out | survived | score | date |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for each in records:
        figures = (each.mutants, each.tried, each.killed, each.timeouts, len(each.survived))
        cells = [f"`{each.page}`", *(f"{figure:,}" for figure in figures)]
        lines.append(f"| {' | '.join(cells)} | {percent(each.noticed, each.tried)} | {each.date} |")
    return "\n".join(lines)


def survivors(records: Iterable[Record]) -> list[str]:
    """Return the survivors, sorted by what there is to say of them."""
    sorted_out: dict[str, list[str]] = {reason: [] for reason in (*EXPLAINED, UNEXPLAINED)}
    for each in records:
        for key in each.survived:
            sorted_out[reason_for(key) or UNEXPLAINED].append(key)
    parts = [part for reason, keys in sorted_out.items() if keys for part in (reason, listed(keys))]
    return parts or ["None."]


def listed(keys: Iterable[str]) -> str:
    """Return a list of mutants."""
    return "\n".join(f"- `` {key} ``" for key in keys)
