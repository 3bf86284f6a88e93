"""Run every measurement, and print its figures."""

from __future__ import annotations

import asyncio
import platform
from importlib import import_module
from importlib.metadata import version
from pkgutil import iter_modules

import benchmarks
from jobstate import __version__

PEERS = ("anyio", "transitions", "python-statemachine")
NO_QUESTION = {"__main__", "measure"}

if __name__ == "__main__":
    versions = ", ".join(f"{name} {version(name)}" for name in PEERS)
    print(f"Python {platform.python_version()}, jobstate {__version__}, {versions}")
    for page in iter_modules(benchmarks.__path__):
        if page.name not in NO_QUESTION:
            print(f"\n{asyncio.run(import_module(f'benchmarks.{page.name}').main())}")
