"""Type checkers make of the public face what `typing/public_api.py` says."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.tools

ROOT = Path(__file__).parents[1]
ASSERTIONS = ROOT / "tests" / "typing" / "public_api.py"

CHECKERS = {
    "mypy": ["--strict", "--no-error-summary"],
    "pyright": ["--pythonpath", sys.executable],
}


def complaints(checker, *paths):
    """Return what a type checker says of these files; skip where there is no such checker."""
    if find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    command = [sys.executable, "-m", checker, *CHECKERS[checker], *map(str, paths)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return [line.strip() for line in run.stdout.splitlines() if re.search(r"\berror\b:", line)]


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_public_face_has_the_types_that_are_asserted(checker):
    """Every assertion holds, and every line that is to be refused is refused."""
    assert complaints(checker, ASSERTIONS) == []


@pytest.mark.parametrize("checker", CHECKERS)
def test_an_assertion_that_does_not_hold_is_noticed(checker, tmp_path):
    """The checker looks at the package itself, and at ignores that are not needed."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "# pyright: reportUnnecessaryTypeIgnoreComment=true\n"
        "from typing import assert_type\n"
        "from jobstate import Job\n"
        "assert_type(Job[int]('j1').result, str)\n"
        "Job[int]('j1')  # type: ignore[arg-type]\n"
        "Job[int]('j1').can('start')\n",
        encoding="utf-8",
    )
    found = complaints(checker, wrong)
    assert [int(re.findall(r":(\d+):", line)[0]) for line in found] == [4, 5]
