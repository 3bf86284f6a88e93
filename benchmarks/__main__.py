"""Ask the questions, print the figures, and keep them.

python -m benchmarks [--quick] [--only NAME …] [--on BACKEND …]
                     [--json FILE [--svg FILE] [--page FILE] [--draw-only]]
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import sys
from pathlib import Path

import anyio

from .measure import BACKENDS, FULL, QUICK, Effort, Measurement, Question
from .questions import QUESTIONS
from .record import Record, load, save, taken
from .report import as_text, page


def options() -> argparse.Namespace:
    """Return what was asked for."""
    names = [question.name for question in QUESTIONS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure jobstate.")
    parser.add_argument("--quick", action="store_true", help="rough figures, in under a minute")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--on", nargs="+", choices=BACKENDS, default=BACKENDS, metavar="BACKEND")
    parser.add_argument("--json", type=Path, help="keep the figures there, beside other Pythons'")
    parser.add_argument("--svg", type=Path, help="draw what --json keeps")
    parser.add_argument("--page", type=Path, help="write the page on what --json keeps")
    parser.add_argument("--draw-only", action="store_true", help="measure nothing")
    given = parser.parse_args()
    if given.json is None and (given.svg or given.page or given.draw_only):
        parser.error("--svg, --page and --draw-only need --json")
    return given


async def answers(question: Question, backend: str, effort: Effort) -> list[Measurement]:
    """Return the measurements of one question in the running event loop."""
    return await question.measure(backend, effort)


def measure(given: argparse.Namespace) -> Record:
    """Ask the questions, one event loop after the other."""
    found: list[Measurement] = []
    effort = QUICK if given.quick else FULL
    gc.collect()
    gc.freeze()  # what was imported is not looked through again and again
    for question in QUESTIONS:
        if question.name in given.only:
            for backend in given.on:
                print(f"{question.name} on {backend} …", file=sys.stderr)
                found += anyio.run(
                    answers,
                    question,
                    backend,
                    effort,
                    backend="trio" if backend == "trio" else "asyncio",
                    backend_options={"use_uvloop": True} if backend == "uvloop" else {},
                )
    return taken(found, quick=given.quick)


def main() -> None:
    """Do what was asked for."""
    given = options()
    if given.quick:  # as in CI, where what hangs has to fail, and say where
        faulthandler.dump_traceback_later(900, exit=True)
    records: list[Record] = []
    if not given.draw_only:
        record = measure(given)
        records = save(given.json, record) if given.json else [record]
        print(as_text(record))
    elif given.json:
        records = load(given.json)
    if given.page:
        given.page.write_text(page(records), encoding="utf-8")
    if given.svg:
        from .plot import draw  # the only page that needs matplotlib

        draw(records[-1], given.svg)


if __name__ == "__main__":
    main()
