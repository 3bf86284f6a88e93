"""The command line: what it prints, where, and with which exit status."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys

import pytest

import jobstate
from jobstate import JOB_LIFECYCLE, __version__
from jobstate.cli import main


@pytest.fixture
def folder(tmp_path):
    """A folder with two files of Python."""
    place = tmp_path / "sources"
    place.mkdir()
    (place / "one.py").write_text("def one(): ...\n")
    (place / "two.py").write_text("async def two():\n    def inner(): ...\n")
    return place


# --- all verbs ---


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["demo", "--help"], ["draw", "-h"]])
def test_questions_about_itself_are_answered(argv, capsys):
    """Help and version go to standard output, and all is well."""
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 0
    told = capsys.readouterr()
    assert "jobstate" in told.out
    assert told.err == ""


def test_the_version_is_that_of_the_package(capsys):
    """`jobstate --version` tells which release it is."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"jobstate {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        ([], "COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["demo", "--limit", "0"], "'0' is not a whole number from 1 on"),
        (["demo", "--limit", "many"], "'many' is not a whole number from 1 on"),
        (["demo", "--jobs", "-1"], "'-1' is not a whole number from 1 on"),
        (["demo", "--backend", "twisted"], "invalid choice: 'twisted'"),
        (["draw", "--format", "gif"], "invalid choice: 'gif'"),
        (["draw", "more"], "unrecognized arguments: more"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(argv, why, capsys):
    """The exit status is 2, and the last line on standard error says why."""
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert why in told.err.splitlines()[-1]


def test_the_package_can_be_run(monkeypatch, capsys):
    """`python -m jobstate` is the command line; its status is that of `main`."""
    monkeypatch.setattr(sys, "argv", ["jobstate", "draw"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("jobstate", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == JOB_LIFECYCLE.mermaid()


def test_importing_the_package_as_a_module_runs_nothing():
    """`jobstate.__main__` acts only where it is the program."""
    assert runpy.run_module("jobstate.__main__", run_name="imported")["main"] is main


def test_a_reader_that_goes_away_is_no_error(monkeypatch, capsys):
    """As under `| head`: nothing is said, neither now nor when Python ends, and the status is 1."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["draw"]) == 1
        closed.flush()
    assert capsys.readouterr().err == ""


def test_an_interrupt_anywhere_is_told_by_the_status(monkeypatch, capsys):
    """Ctrl-C before there is anything to clean up ends with 130 and one line."""

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobstate.Lifecycle, "mermaid", interrupted)
    assert main(["draw"]) == 130
    assert capsys.readouterr().err == "jobstate: interrupted\n"


# --- draw ---


def test_draw_prints_mermaid(capsys):
    """Without options the lifecycle of a job is printed as a Mermaid diagram."""
    assert main(["draw"]) == 0
    assert capsys.readouterr().out == JOB_LIFECYCLE.mermaid()


@pytest.mark.parametrize("form", ["mermaid", "svg"])
def test_draw_writes_a_file(form, tmp_path, capsys):
    """With -o the drawing is in the file, and nothing is printed."""
    target = tmp_path / "job"
    assert main(["draw", "--format", form, "-o", str(target)]) == 0
    assert target.read_text("utf-8").strip() == getattr(JOB_LIFECYCLE, form)().strip()
    assert capsys.readouterr() == ("", "")


def test_draw_says_why_it_cannot_write(tmp_path, capsys):
    """A file that cannot be written ends with status 2 and a sentence."""
    assert main(["draw", "-o", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"jobstate draw: cannot write {tmp_path}: Is a directory\n"


# --- demo ---


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_demo_says_what_it_will_do_and_that_it_has(folder, backend, capsys):
    """On each event loop all jobs end as they should, and the status is 0."""
    assert main(["demo", str(folder), "--backend", backend, "--jobs", "2"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    flat = " ".join(told.out.split())
    assert f"jobstate {__version__}: 2 of the 2 files of Python in {folder}" in flat
    assert "by 2 worker threads" in flat
    assert f"on {backend}." in flat
    assert "RETRY latin_1.py (written to a temporary folder): not in UTF-8" in flat
    assert "FAILURE no_python.py (written to a temporary folder): no attempt can" in flat
    assert "REVOKED one.py once more: asked for twice" in flat
    assert "4 functions in 3 files" in flat
    assert "All 5 jobs ended as they should" in flat


def test_demo_has_a_folder_of_its_own(folder, monkeypatch, capsys):
    """Without FOLDER it works on the standard library of the Python that runs it."""
    monkeypatch.setattr("sysconfig.get_path", {"stdlib": str(folder)}.__getitem__)
    assert main(["demo"]) == 0
    assert str(folder) in capsys.readouterr().out


def test_demo_takes_no_more_files_than_wanted(folder, capsys):
    """--limit bounds the files of the folder; what had to be written comes on top."""
    assert main(["demo", str(folder), "--limit", "1"]) == 0
    told = capsys.readouterr().out
    assert "1 of the 2 files" in told
    assert "All 4 jobs" in told


def denied(*_):
    """Raise as a folder does that may not be read."""
    raise PermissionError(13, "Permission denied")


def test_demo_refuses_a_folder_without_python(tmp_path, capsys):
    """There is nothing to do, which is said in one line; the status is 2."""
    (tmp_path / "notes.txt").touch()
    assert main(["demo", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"jobstate demo: the folder {tmp_path} has no files of Python (*.py)\n"


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing", "No such file or directory"), ("one.py", "Not a directory")],
)
def test_demo_refuses_what_is_no_folder(name, why, folder, capsys):
    """One line says what is wrong with it; the status is 2."""
    assert main(["demo", str(folder / name)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"jobstate demo: cannot read the folder {folder / name}: {why}\n"


def test_demo_refuses_a_folder_that_may_not_be_read(folder, monkeypatch, capsys):
    """It is no empty folder: one line says that it cannot be read; the status is 2."""
    monkeypatch.setattr(os, "listdir", denied)
    assert main(["demo", str(folder)]) == 2
    told = capsys.readouterr().err
    assert told == f"jobstate demo: cannot read the folder {folder}: Permission denied\n"


def test_demo_names_a_missing_event_loop(folder, monkeypatch, capsys):
    """Trio is an extra: without it the line says how to get it; the status is 2."""
    monkeypatch.setattr("jobstate._demo.find_spec", lambda name: None)
    assert main(["demo", str(folder), "--backend", "trio"]) == 2
    told = capsys.readouterr().err
    assert told == "jobstate demo: trio is not installed: pip install 'jobstate[trio]'\n"


# --- output that cannot be written ----------------------------------------------------------


def shell(line: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run a line of shell, where ``"$0" -m jobstate`` is the command."""
    command = ["sh", "-c", line, sys.executable, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize("verb", ["draw", "demo"])
def test_output_that_cannot_be_written_is_told(verb, folder):
    """A full disk is one line on standard error, and status 1."""
    done = shell(f'"$0" -m jobstate {verb} {folder if verb == "demo" else ""} >/dev/full')
    assert done.returncode == 1
    assert done.stderr == (
        "jobstate: cannot write the output: [Errno 28] No space left on device\n"
    )


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ('"$0" -m jobstate draw >&-', 0),
        ('"$0" -m jobstate demo "$1" >&-', 0),
        ('"$0" -m jobstate demo "$1/missing" 2>&-', 2),
    ],
)
def test_closed_streams_change_no_status(line, status, folder):
    """Started without standard output or error, it does the same, and says it to nobody."""
    done = shell(line, folder)
    assert done.returncode == status
    assert done.stderr == ""
