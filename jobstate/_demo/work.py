"""What is done with one file. Nothing in here knows of jobs, of threads or of an event loop."""

import ast
import lzma
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tokenize import detect_encoding

CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about one file."""

    digest: str
    """The SHA-256 of its bytes, in hexadecimal."""

    size: int
    packed: int
    """Bytes that are left of it, compressed by LZMA."""

    functions: int


def examine(path: Path, attempt: int, report: Callable[[float], object]) -> Findings:
    """Hash a file, count its functions and compress it, reporting how far it is in percent.

    Raises:
        UnicodeDecodeError: it is not UTF-8, which the first attempt takes it for; or it is not
            what it declares, which later attempts believe.
        SyntaxError: it is not Python.
    """
    data = path.read_bytes()
    digest = sha256(data).hexdigest()
    report(5)
    encoding = "utf-8-sig" if attempt == 1 else declared_encoding(data)
    functions = count_functions(data.decode(encoding), path.name)
    report(50)
    compressor, packed = lzma.LZMACompressor(), 0
    for end in range(CHUNK, len(data) + CHUNK, CHUNK):
        packed += len(compressor.compress(data[end - CHUNK : end]))
        report(50 + 50 * min(1, end / len(data)))
    packed += len(compressor.flush())
    return Findings(digest, len(data), packed, functions)


def declared_encoding(data: bytes) -> str:
    """Return the encoding that the first lines of a source declare, as PEP 263 has it.

    Raises:
        SyntaxError: there is no such encoding, or none is declared and it is not UTF-8.
    """
    encoding, _ = detect_encoding(BytesIO(data).readline)
    return encoding


def count_functions(text: str, name: str) -> int:
    """Return how many functions the text of a file defines."""
    nodes = ast.walk(parsed(text, name))
    return sum(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in nodes)


def parsed(text: str, name: str) -> ast.Module:
    """Return the syntax tree of a file's text.

    Python 3.11 may mix up threads that parse at the same time, and then raises SystemError; asked
    again it answers (CPython's issue 106905).
    """
    for _ in range(9):
        with suppress(SystemError):
            return ast.parse(text, name)
    return ast.parse(text, name)


def parses(source: bytes | str) -> bool:
    """Return whether Python itself takes the source: an answer that owes nothing to `examine`."""
    try:
        compile(source, "source", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except Exception:  # a SyntaxError in most cases, but there are others
        return False
    return True
