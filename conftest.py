"""Run the Python blocks of the README and of the documentation's pages.

The blocks of a page run one after the other, with the same names and in one event loop, so that
they may ``await``; a block that calls ``anyio.run()`` or ``explore()``, which have event loops of
their own, runs outside of it.
What a block prints is compared with the block of ``output`` that follows it.
"""

import ast
import io
from asyncio import Runner
from contextlib import redirect_stdout
from inspect import CO_COROUTINE

from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser


def run(example):
    """Run a block of Python, and keep what it prints."""
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    code = compile(source, example.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = example.namespace

    async def in_the_loop():
        if code.co_flags & CO_COROUTINE:
            await eval(code, names)
        else:
            exec(code, names)

    with redirect_stdout(io.StringIO()) as names["_printed"]:
        if "anyio.run(" in source or "explore(" in source:
            exec(code, names)
        else:
            names["_loop"].run(in_the_loop())


def compare(example):
    """Say where a block of output is not what the block before it has printed."""
    printed = example.namespace["_printed"].getvalue()
    return "" if printed == example.parsed else f"expected:\n{example.parsed}printed:\n{printed}"


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", run), CodeBlockParser("output", compare)],
    patterns=["*.md"],
    setup=lambda names: names.update(__name__="__main__", _loop=Runner()),
    teardown=lambda names: names["_loop"].close(),
).pytest()
