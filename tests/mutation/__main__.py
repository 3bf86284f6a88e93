"""Try mutants, say which survive, and keep the figures.

python -m mutation [--only PAGE …] [--most COUNT] [--seed SEED] [--workers COUNT]
                   [--json FILE [--page FILE] [--draw-only]]
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from .mutants import Mutant, mutants
from .pages import PAGES
from .record import load, save, taken
from .report import page, percent
from .trial import ROOT, Verdict, Worker, preload, tried


def options() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description="Test the tests.")
    parser.add_argument("--only", nargs="+", choices=PAGES, default=list(PAGES), metavar="PAGE")
    parser.add_argument("--most", type=int, help="draw so many mutants, of all that there are")
    parser.add_argument("--seed", type=int, default=1, help="what they are drawn with")
    parser.add_argument("--workers", type=int, default=1, help="how many are tried at a time")
    parser.add_argument("--json", type=Path, help="keep the figures there, beside other pages'")
    parser.add_argument("--page", type=Path, help="write the page on what --json keeps")
    parser.add_argument("--draw-only", action="store_true", help="try nothing")
    given = parser.parse_args()
    if given.json is None and (given.page or given.draw_only):
        parser.error("--page and --draw-only need --json")
    return given


def chosen(given: argparse.Namespace) -> dict[str, tuple[int, list[Mutant]]]:
    """Return how many mutants each page has, and those that are to be tried.

    They are drawn from those of all pages, so that pages can be tried one by one.
    """
    every = {
        name: mutants(name, (ROOT / "jobstate" / f"{name}.py").read_text(encoding="utf-8"))
        for name in PAGES
    }
    keys = [each.key for found in every.values() for each in found]
    if given.most is not None and given.most < len(keys):
        keys = random.Random(given.seed).sample(keys, given.most)
    drawn = set(keys)
    return {
        name: (len(found), [each for each in found if each.key in drawn])
        for name, found in every.items()
        if name in given.only
    }


def campaign(given: argparse.Namespace) -> None:
    """Try what was asked for, page after page."""
    preload()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which tidies up
    noticed = count = 0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        workers = [Worker(Path(folder, str(number))) for number in range(given.workers)]
        for worker in workers:
            stack.callback(worker.stop)
        for name, (total, some) in chosen(given).items():
            if not some:
                continue
            began = time.monotonic()
            found: list[tuple[Mutant, Verdict]] = []
            for mutant, end, seconds in tried(name, some, workers):
                found.append((mutant, end))
                if end != "killed":
                    print(f"{end} after {seconds:.0f} s: line {mutant.line} of {mutant.key}")
            record = taken(name, total, given.seed if len(some) < total else None, found)
            if given.json:
                save(given.json, record)
            noticed, count = noticed + record.noticed, count + record.tried
            took = (time.monotonic() - began) / 60
            print(f"{name}: {record.noticed} of {record.tried} noticed, in {took:.1f} minutes")
            sys.stdout.flush()
    print(f"{percent(noticed, count)} of {count} mutants were noticed")


def main() -> None:
    """Do what was asked for."""
    given = options()
    if not given.draw_only:
        campaign(given)
    if given.page:
        given.page.write_text(page(load(given.json)), encoding="utf-8")


if __name__ == "__main__":
    main()
