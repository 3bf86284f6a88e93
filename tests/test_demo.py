"""The demonstration does what it says: real work, real retries and failures, honest figures."""

from __future__ import annotations

import ast
import io
import json
import re
import signal
import sys
import tempfile
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
import structlog
from anyio import from_thread
from rich.console import Console

from jobstate import Job, JobStatus, Progress, RevokeCause
from jobstate._demo import plan as plans
from jobstate._demo import run as runs
from jobstate._demo.lines import Lines
from jobstate._demo.live import Live
from jobstate._demo.plan import (
    FAILED,
    RETRIED,
    RETRIED_IN_VAIN,
    REVOKED,
    STRAIGHT,
    BadInput,
    File,
    Plan,
    evenly,
    planned,
    python_files,
)
from jobstate._demo.report import Report, amount, counted, news, steps
from jobstate._demo.run import Run
from jobstate._demo.work import Findings, declared_encoding, examine, parsed, parses
from jobstate.cli import main

LATIN = "# coding: latin-1\ndef grüße(): ...\n".encode("latin-1")
NEITHER = b"def gr\xfc\xdfe(): ...\n"
BROKEN = b"def broken(:\n"
PLAIN = b"def plain(): ...\n"


class Terminal(io.StringIO):
    """Text that takes itself for a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def demo(self, *argv):
        """Run the demonstration in this terminal, and return its exit status."""
        with redirect_stdout(self):
            return main(["demo", *map(str, argv)])

    @property
    def text(self):
        """What was written, without escape codes."""
        return visible(self.getvalue())


def visible(text):
    """Return text without escape codes."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


class Recorder:
    """A display that keeps what it is told."""

    def __init__(self):
        self.changes = []
        self.order = []

    def changed(self, job, change):
        self.changes.append((job.name, change))

    def ended(self, job):
        self.order.append(job.name)


def fill(folder, **files):
    """Write files of Python; double underscores stand for slashes."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def folder(tmp_path):
    """A folder to work on, with two files that have no flaw."""
    fill(tmp_path / "sources", a=PLAIN, b=b"x = 1\n" * 3_000)
    return tmp_path / "sources"


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary files go."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def plan(folder, scratch):
    """A plan with two files that have no flaw, two specimens, and a second job for the first."""
    return planned(folder, 10, scratch)


@pytest.fixture
def usual_signals():
    """Have signals do what they do in a terminal, though whatever runs the tests ignores them."""
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield usual
    for number, handler in before.items():
        signal.signal(number, handler)


def work_until_cancelled(report):
    """Report until that is cancelled, and fail rather than go on for ever."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        report(50)
    raise AssertionError("nobody has cancelled the work")


def story(job):
    """Return the statuses that a job has entered."""
    return tuple(step.dest for step in job.history)


# --- work ---


@pytest.mark.parametrize(
    ("content", "attempt"), [(PLAIN, 1), (b"\xef\xbb\xbf" + PLAIN, 1), (LATIN, 2), (PLAIN, 2)]
)
def test_examine_finds_out_the_same_as_anybody(content, attempt, tmp_path):
    """The digest is that of the bytes, the functions are counted, and reports only rise."""
    path = tmp_path / "file.py"
    path.write_bytes(content)
    reports = []
    found = examine(path, attempt, reports.append)
    assert found == Findings(found.digest, len(content), found.packed, functions=1)
    assert found.digest == sha256(content).hexdigest()
    assert found.packed > 0
    assert reports == sorted(reports)
    assert reports[-1] == 100


def test_examine_reports_while_a_large_file_is_packed(tmp_path):
    """The larger the file, the more reports, and none beyond 100 percent."""
    path = tmp_path / "large.py"
    path.write_bytes(b"#" * 100_000)
    reports = []
    found = examine(path, 1, reports.append)
    assert len(set(reports)) == 2 + 7
    assert 0 <= min(reports) <= max(reports) == 100
    assert found.packed < 1_000


@pytest.mark.parametrize(
    ("content", "attempt", "error"),
    [
        (LATIN, 1, UnicodeDecodeError),
        (NEITHER, 1, UnicodeDecodeError),
        (NEITHER, 2, SyntaxError),
        (BROKEN, 1, SyntaxError),
        (b"# coding: no-such-thing\n", 2, SyntaxError),
    ],
)
def test_examine_raises_what_is_wrong(content, attempt, error, tmp_path):
    """The first attempt takes everything for UTF-8, later ones believe what the file declares."""
    path = tmp_path / "file.py"
    path.write_bytes(content)
    with pytest.raises(error):
        examine(path, attempt, lambda percent: None)


def test_a_parser_in_trouble_with_threads_is_asked_again(monkeypatch):
    """What Python 3.11 raises where threads meet in its parser is no flaw of the file."""
    troubles, parse = [SystemError("mismatch")] * 2, ast.parse

    def troubled(text, name):
        if troubles:
            raise troubles.pop()
        return parse(text, name)

    monkeypatch.setattr(ast, "parse", troubled)
    assert parsed("x = 1", "x.py").body
    assert troubles == []
    troubles += [SystemError("always")] * 10
    with pytest.raises(SystemError, match="always"):
        parsed("x = 1", "x.py")


def test_declared_encoding_is_that_of_pep_263():
    """It is read from the first lines; without one it is UTF-8."""
    assert declared_encoding(LATIN) == "iso-8859-1"
    assert declared_encoding(PLAIN) == "utf-8"


def test_parses_asks_python():
    """It takes what Python takes, in whatever encoding the bytes declare."""
    assert parses(LATIN)
    assert parses("x = 1")
    assert not parses(NEITHER)
    assert not parses(BROKEN)


# --- plan ---


def test_files_are_found_in_a_fixed_order(folder):
    """Folders are searched in depth, without those of installed packages and of bytecode."""
    fill(
        folder,
        c__d=PLAIN,
        site_packages__x=PLAIN,
        deep__z=PLAIN,
        **{"site-packages__e": PLAIN, "__pycache____f": PLAIN, "deep__site-packages__g": PLAIN},
    )
    (folder / "notes.txt").touch()
    (folder / "no_file.py").mkdir()
    (folder / "dangling.py").symlink_to(folder / "nowhere")
    found = [path.relative_to(folder).as_posix() for path in python_files(folder)]
    assert found == ["a.py", "b.py", "c/d.py", "deep/z.py", "site_packages/x.py"]


@pytest.mark.parametrize("name", ["missing", "a.py"])
def test_what_is_no_folder_is_refused(name, folder):
    """The error names the folder and what is wrong with it."""
    with pytest.raises(BadInput, match=f"cannot read the folder .*{name}: N"):
        python_files(folder / name)


def test_an_empty_folder_is_refused(tmp_path):
    """The error says what was looked for."""
    with pytest.raises(BadInput, match=r"has no files of Python \(\*\.py\)"):
        python_files(tmp_path)


def test_files_are_chosen_evenly():
    """The choice spans all items, keeps their order, and is everything where there are few."""
    assert evenly(range(100), 4) == [0, 25, 50, 75]
    assert evenly(range(3), 10) == [0, 1, 2]


def test_a_plan_writes_what_the_folder_lacks(plan, scratch):
    """One file that is not UTF-8 and one that is not Python, openly, and not at the very front."""
    names = [(file.name, file.story, file.written) for file in plan.files]
    assert names == [
        ("a.py", STRAIGHT, False),
        ("latin_1.py", RETRIED, True),
        ("no_python.py", FAILED, True),
        ("b.py", STRAIGHT, False),
        ("a.py once more", REVOKED, False),
    ]
    assert {path.name for path in scratch.iterdir()} == {"latin_1.py", "no_python.py"}
    assert [file.size for file in plan.files] == [17, 41, 22, 18_000, 17]


def test_a_plan_prefers_files_of_the_folder(folder, scratch):
    """Where there are such files, they get a job even if they were not chosen, in their place."""
    fill(folder, bad_one=BROKEN, bad_two=BROKEN, bad_fine=PLAIN, latin=LATIN, z=PLAIN)
    assert [(file.name, file.story) for file in planned(folder, 2, scratch).files] == [
        ("a.py", STRAIGHT),
        ("bad_one.py", FAILED),
        ("latin.py", RETRIED),
        ("a.py once more", REVOKED),
    ]
    assert [file.name for file in planned(folder, 1, scratch).files][1] == "bad_one.py"
    assert not list(scratch.iterdir())


def test_a_plan_foresees_what_can_be_seen(folder, scratch):
    """A file that is neither UTF-8 nor Python is retried in vain; not all called bad are so."""
    fill(folder, neither=NEITHER, badge=PLAIN)
    stories = {file.name: file.story for file in planned(folder, 10, scratch).files}
    assert stories["neither.py"] == RETRIED_IN_VAIN
    assert stories["badge.py"] == STRAIGHT


def test_a_file_that_cannot_be_read_is_planned_to_fail(folder, scratch, monkeypatch):
    """Its job is going to say so, and the plan does not stumble over it."""

    def vanished(path, **_):
        raise FileNotFoundError(2, "No such file", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", vanished)
        plan = planned(folder, 10, scratch)
    assert [file.story for file in plan.files if not file.written][:2] == [FAILED, FAILED]


def test_a_file_without_a_size_has_none(folder):
    """A file that has vanished since it was found counts as empty."""
    assert plans._file(folder / "gone.py", folder, STRAIGHT).size == 0


def test_names_cannot_upset_a_terminal(folder, scratch):
    """Signs that could steer a terminal are escaped in what is shown."""
    (folder / "\x1b[31mred\n.py").write_bytes(PLAIN)
    names = [file.name for file in planned(folder, 10, scratch).files]
    assert "\\x1b[31mred\\n.py" in names


# --- run ---


@pytest.mark.anyio
async def test_every_job_comes_to_what_was_planned(plan):
    """One is retried and succeeds, one fails, one is revoked in line; the others go straight."""
    with anyio.fail_after(5):
        report = await Run(plan, 2, Recorder())()
    assert [story(job) for job in report.jobs] == [file.story for file in plan.files]
    assert report.surprises == []
    first, retried, failed, _, once_more = report.jobs
    assert [step.attempt for step in retried.history] == [1, 1, 2, 2]
    assert retried.history[1].reason.startswith("UnicodeDecodeError: 'utf-8' codec")
    assert retried.result.functions == 1
    assert failed.error_reason == "SyntaxError"
    assert failed.error_message == "invalid syntax (no_python.py, line 1)"
    assert once_more.outcome.cause is RevokeCause.USER
    assert once_more.outcome.attempts == 0
    assert first.result == Findings(first.result.digest, 17, first.result.packed, 1)
    assert set(report.delays) == set(report.jobs)
    assert all(0 < delay < 5 for delay in report.delays.values())
    assert report.began < report.ended


@pytest.mark.anyio
async def test_the_display_hears_of_everything(plan):
    """It is told each transition in order, progress that rises, and each end, as it happens."""
    display = Recorder()
    with anyio.fail_after(5):
        report = await Run(plan, 1, display)()
    for job in report.jobs:
        mine = [change for name, change in display.changes if name == job.name]
        assert tuple(each for each in mine if not isinstance(each, Progress)) == job.history
        percents = [each.progress for each in mine if isinstance(each, Progress)]
        assert percents == sorted(percents)
        assert all(0 < percent <= 100 for percent in percents)
    assert any(isinstance(change, Progress) for _, change in display.changes)
    assert display.order[0] == "a.py once more"
    assert sorted(display.order) == sorted(job.name for job in report.jobs)


@pytest.mark.anyio
async def test_there_is_never_more_at_work_than_there_is_room_for(folder, scratch, monkeypatch):
    """Never more is in work than there is room for, large files go alone, and nobody starves."""
    for number in range(6):
        fill(folder, **{f"large_{number}": b"#" * 60_000, f"small_{number}": PLAIN})
    lock, in_work, most = threading.Lock(), [], []

    def watched(path, attempt, report):
        size = path.stat().st_size
        with lock:
            in_work.append(size)
            most.append(tuple(in_work))
        try:
            return examine(path, attempt, report)
        finally:
            with lock:
                in_work.remove(size)

    monkeypatch.setattr(runs, "examine", watched)
    monkeypatch.setattr(runs, "ROOM", 20_000)
    with anyio.fail_after(5):
        report = await Run(planned(folder, 20, scratch), 3, Recorder())()
    assert report.surprises == []
    assert report.together <= 60_000
    jobs = sorted(report.jobs[:-1], key=lambda job: job.history[0].timestamp)
    overtaken = [report.jobs.index(job) - place for place, job in enumerate(jobs)]
    assert max(map(abs, overtaken)) < 3  # Trio runs those that are started together in any order
    assert all(len(sizes) == 1 or sum(sizes) <= 60_000 for sizes in most)
    assert max(map(len, most)) <= 3


@pytest.mark.anyio
async def test_the_second_job_is_revoked_once_however_often_the_first_starts(folder, scratch):
    """The hook on the first job's start is called for each attempt, and revokes but once."""
    fill(folder, _first=LATIN)
    with anyio.fail_after(5):
        report = await Run(planned(folder, 10, scratch), 1, Recorder())()
    assert story(report.jobs[0]) == RETRIED
    assert story(report.jobs[-1]) == REVOKED


@pytest.mark.anyio
async def test_a_cancelled_run_revokes_what_is_left(plan, monkeypatch):
    """Work stops at its next report; no job stays open, and those that waited never start."""
    display, at_work = Recorder(), anyio.Event()

    def endless(path, attempt, report):
        from_thread.run_sync(at_work.set)
        work_until_cancelled(report)

    monkeypatch.setattr(runs, "examine", endless)
    run = Run(plan, 2, display)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await at_work.wait()
            tasks.cancel_scope.cancel()
    outcomes = [job.outcome for job in run._jobs]
    assert [outcome.status for outcome in outcomes] == [JobStatus.REVOKED] * 5
    assert [outcome.cause for outcome in outcomes] == [RevokeCause.SHUTDOWN] * 4 + [
        RevokeCause.USER
    ]
    assert [outcome.attempts for outcome in outcomes] == [1, 1, 0, 0, 0]
    assert run.interruption == (
        "interrupted when 1 of 5 jobs had ended: 2 at work and 2 that waited were revoked"
    )


# --- report ---


@pytest.fixture
def report(plan):
    """A report of a run that went as planned."""
    return anyio.run(Run(plan, 1, Recorder()))


def test_a_report_counts_histories(report):
    """Jobs with the same history are of one kind, the most frequent first; all are counted."""
    kinds = [(kind.jobs, kind.history[1:]) for kind in report.kinds]
    assert kinds[0] == (2, STRAIGHT)
    assert sorted(kinds[1:]) == sorted([(1, RETRIED), (1, FAILED), (1, REVOKED)])
    work = {kind.history[1:]: kind.at_work for kind in report.kinds}
    assert work[REVOKED] == "never"
    assert float(work[STRAIGHT].removesuffix(" ms")) > 0
    assert [job.name for job in report.winding] == [
        "latin_1.py",
        "no_python.py",
        "a.py once more",
    ]


def test_a_report_tells_each_step(report):
    """A history begins in PENDING, its times rise, and the reasons stand where they belong."""
    retried = steps(report.jobs[1])
    assert [step.status for step in retried] == [JobStatus.PENDING, *RETRIED]
    assert [step.seconds for step in retried] == sorted(step.seconds for step in retried)
    assert retried[0].seconds == 0
    assert [bool(step.why) for step in retried] == [False, False, True, False, True]
    assert retried[4].why == "1 function"
    assert steps(report.jobs[4])[1].why == "the same file is in work already"


def test_a_report_adds_up(report):
    """The figures are those of the files, the waits those that were measured."""
    text = " ".join(report.sentences)
    assert "2 functions in 3 files of 18.1 kB" in text
    assert "at the same time" not in text
    assert "foreseen" not in text
    waits = sorted(1e6 * delay for delay in report.delays.values())
    last = 1e6 * report.delays[report.jobs[-1]]
    assert f"median {waits[2]:,.0f} µs, worst {waits[4]:,.0f} µs; {last:,.0f} µs for" in text
    assert report.verdict.startswith("All 5 jobs ended as they should, in ")


def test_a_report_tells_how_much_was_at_work_at_once(report):
    """It is computed from the histories, and more than there is room for is off."""

    def moved(job, *moments):
        steps = zip(job.history, moments, strict=True)
        history = tuple(step._replace(timestamp=moment) for step, moment in steps)
        return SimpleNamespace(name=job.name, history=history, status=job.status)

    one, *others, other, _ = report.jobs
    jobs = (moved(one, 1, 3), *others, moved(other, 2, 4), report.jobs[-1])
    busy = Report(report.plan, jobs, report.delays, 20_000, 0, 1)
    assert busy.together == 17 + 18_000
    assert busy.surprises == []
    crowded = Report(report.plan, jobs, report.delays, 18_000, 0, 1)
    assert crowded.surprises == ["18,017 bytes were at work at once, and there is room for 18,000"]
    after = (moved(one, 1, 2), *others, moved(other, 2, 4), report.jobs[-1])
    assert Report(report.plan, after, report.delays, 1, 0, 1).together == 0


def test_a_report_says_how_much_was_at_work_at_once(folder, scratch, monkeypatch):
    """Where several files were, their bytes are told beside the room."""
    both = threading.Barrier(2, timeout=5)

    def together(path, attempt, report):
        if path.parent == folder:
            both.wait()
        return examine(path, attempt, report)

    monkeypatch.setattr(runs, "examine", together)
    report = anyio.run(Run(planned(folder, 10, scratch), 2, Recorder()))
    assert report.surprises == []
    assert re.search(r"at the same time had 18.\d kB at most, of the 128 kB", report.sentences[2])


@pytest.mark.parametrize("spoiled", [FAILED, RETRIED, REVOKED])
def test_a_report_says_what_is_off(report, spoiled):
    """A job that came to something else than planned is named, with both histories."""
    files = list(report.plan.files)
    files[0] = File(files[0].path, "spoiled.py", spoiled)
    plan = Plan(report.plan.folder, 2, tuple(files))
    off = Report(plan, report.jobs, report.delays, 0, 0, 1)
    (surprise,) = off.surprises
    assert surprise.startswith("spoiled.py was to go PENDING → ")
    assert surprise.endswith("and went PENDING → STARTED → SUCCESS")
    assert off.verdict == ""


def test_a_failure_is_in_order_if_python_agrees(folder, scratch):
    """Files that turn out to be no Python, or to be gone, are no surprise; they are counted."""
    fill(folder, c=BROKEN, d=PLAIN)
    plan = planned(folder, 10, scratch)
    (folder / "d.py").unlink()
    report = anyio.run(Run(plan, 1, Recorder()))
    errors = {job.name: job.error_reason for job in report.jobs if story(job) == FAILED}
    assert errors == {
        "c.py": "SyntaxError",
        "d.py": "FileNotFoundError",
        "no_python.py": "SyntaxError",
    }
    assert report.surprises == []
    assert "2 failures had not been foreseen" in " ".join(report.sentences)


def test_a_failure_is_off_if_python_disagrees(plan, monkeypatch):
    """A job that fails on a file that has no flaw is named."""

    def faulty(path, attempt, report):
        raise MemoryError

    monkeypatch.setattr(runs, "examine", faulty)
    report = anyio.run(Run(plan, 1, Recorder()))
    assert [each.split(" was ")[0] for each in report.surprises] == ["a.py", "latin_1.py", "b.py"]


def test_what_is_ordinary_is_no_news():
    """Starts and first successes are not told; everything else is, in a few words."""
    job = Job(max_attempts=2)
    told = [
        news(job.start_nowait()),
        news(job.retry_nowait(ValueError("x"))),
        news(job.start_nowait()),
        news(job.succeed_nowait(1)),
    ]
    assert told == [None, "ValueError", None, "at attempt 2"]
    assert news(Job().revoke_nowait("why not")) == "why not"
    assert news(Job().fail_nowait("no exception")) == ""


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0.0 kB"), (999, "1.0 kB"), (128_000, "128 kB"), (1_250_000, "1.2 MB"), (3e9, "3,000 MB")],
)
def test_amounts_are_for_people(size, shown):
    """Sizes have a unit, and no more digits than help."""
    assert amount(size) == shown


def test_things_are_counted_in_words():
    """One thing is no several things."""
    assert [counted(number, "job") for number in (0, 1, 2_000)] == ["0 jobs", "1 job", "2,000 jobs"]


# --- plain lines ---


def lines_of(plan, *, encoding="utf-8", workers=1):
    """Return what the plain display writes of a run, as lines."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    display = Lines(stream, len(plan.files))
    with display:
        report = anyio.run(Run(plan, workers, display))
    display.closed(report)
    return raw.getvalue().decode(encoding).splitlines()


def test_lines_tell_what_is_out_of_the_ordinary_and_how_far_it_is(plan):
    """A line for each such event with its time, and one for each tenth of the jobs."""
    lines = lines_of(plan)
    events = [line.split(" s  ")[1] for line in lines[: lines.index("")]]
    assert events == [
        "REVOKED  a.py once more: the same file is in work already",
        "1 of 5 jobs have ended",
        "2 of 5 jobs have ended",
        "RETRY    latin_1.py: UnicodeDecodeError",
        "SUCCESS  latin_1.py: at attempt 2",
        "3 of 5 jobs have ended",
        "FAILURE  no_python.py: SyntaxError",
        "4 of 5 jobs have ended",
        "5 of 5 jobs have ended",
    ]


def test_lines_tell_tenths_of_many_jobs():
    """However many jobs there are, the count comes up ten times at most, and at the end."""
    stream = io.StringIO()
    display = Lines(stream, 43)
    job = Job()
    job.revoke_nowait()
    for _ in range(43):
        display.ended(job)
    told = re.findall(r"(\d+) of 43", stream.getvalue())
    assert told == [str(number) for number in (5, 10, 15, 20, 25, 30, 35, 40, 43)]


def test_lines_end_with_a_table_the_histories_and_the_figures(plan):
    """Kinds of history with their numbers, then each job that did not go straight through."""
    lines = lines_of(plan)
    table = lines[lines.index("") + 1 :]
    assert table[0].split() == ["jobs", "history", "at", "work,", "median"]
    assert table[1].startswith("     2  PENDING → STARTED → SUCCESS ")
    start = table.index("latin_1.py")
    history = [line.split()[2] for line in table[start + 1 : start + 7] if " s  " in line]
    assert history == [JobStatus.PENDING, *RETRIED]
    assert lines[-1].startswith("All 5 jobs ended as they should")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_lines_are_plain_in_any_encoding(folder, scratch, encoding):
    """No control characters, whatever files are called, and nothing the encoding does not have."""
    fill(folder, **{"\x1b[31m": BROKEN, "grüße": BROKEN})
    lines = lines_of(planned(folder, 10, scratch), encoding=encoding)
    assert all(line.isprintable() for line in lines)
    arrow = "→" if encoding == "utf-8" else "->"
    columns = {line.index("ms") for line in lines if arrow in line and line.endswith("ms")}
    assert len(columns) == 1


def test_output_in_a_pipe_has_no_escape_codes(folder, monkeypatch, capsys):
    """What is no terminal gets plain lines, even where colours are asked for."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["demo", str(folder)]) == 0
    assert "\x1b" not in capsys.readouterr().out


# --- live ---


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns as standard output."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "25"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_terminal_is_shown_progress(folder, terminal, backend):
    """Bars and counts while it runs, and at the end the same report as elsewhere, in colours."""
    assert terminal.demo(folder, "--jobs", 2, "--backend", backend) == 0
    shown, text = terminal.getvalue(), terminal.text
    assert "\x1b[32mSUCCESS" in shown
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert shown.rindex("\x1b[2K") > shown.rindex("/5")
    assert re.search(r"PENDING \d  STARTED \d  RETRY \d  SUCCESS \d  FAILURE \d  REVOKED \d", text)
    assert re.search(r"━ \d/5 ", text)
    assert re.search(r"RETRY +latin_1\.py: UnicodeDecodeError", text)
    assert re.search(r"2 +PENDING → STARTED → SUCCESS +\d", text)
    assert re.search(r"\d\.\d{3} s +REVOKED +the same file is in work already", text)
    assert "All 5 jobs ended as they should" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_terminal_shows_how_far_a_job_is(plan):
    """A job at work has a line with its name and percent, as long as there are lines."""
    console = Console(file=Terminal(), force_terminal=True, width=60)
    display = Live(console, total=2, workers=1)
    job, other = Job(name="[red]one.py"), Job(name="two.py")

    def shown():
        with console.capture() as capture:
            console.print(display._region.renderable)
        return visible(capture.get())

    def moved(move):
        display.changed(job, move)

    moved(job.start_nowait())
    job.report(40)
    display.changed(job, Progress(job.id, 1, 1, 40.0, {}, 0.0))
    assert re.search(r"\[red\]one\.py .* 40%", shown())
    assert "PENDING 1  STARTED 1" in shown()

    display.changed(other, other.start_nowait())  # there is one row only
    display.changed(other, Progress(other.id, 1, 1, 10.0, {}, 0.0))
    display.changed(other, other.fail_nowait("x"))
    assert "two.py" not in shown()

    moved(job.succeed_nowait())
    display.ended(job)
    assert re.search(r"one\.py .*100%", shown())
    assert "1/2" in shown()
    assert "SUCCESS 1  FAILURE 1" in shown()

    third = Job(name="three.py")
    display.changed(third, third.start_nowait())
    assert re.search(r"three\.py .* 0%", shown())


def test_a_terminal_without_colours_gets_none(folder, terminal, monkeypatch):
    """NO_COLOR is honoured: bars, but no colour."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.demo(folder) == 0
    codes = re.findall(r"\x1b\[([0-9;]*)m", terminal.getvalue())
    numbers = {int(number) for code in codes for number in code.split(";") if number}
    assert not {n for n in numbers if n >= 30}
    assert "\x1b[?25l" in terminal.getvalue()


def test_a_dumb_terminal_gets_lines(folder, terminal, monkeypatch):
    """What cannot move the cursor is not asked to."""
    monkeypatch.setenv("TERM", "dumb")
    assert terminal.demo(folder) == 0
    assert "\x1b" not in terminal.getvalue()


def test_without_rich_there_are_lines(folder, terminal, monkeypatch):
    """As rich is an extra: without it the output is plain, and says how to get more."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert terminal.demo(folder) == 0
    assert "\x1b" not in terminal.getvalue()
    assert "pip install 'jobstate[cli]'" in terminal.getvalue()
    assert "All 5 jobs ended as they should" in terminal.getvalue()


# --- all of it ---


def test_work_is_done_in_threads_of_the_number_wanted(folder, monkeypatch, capsys):
    """The event loop's thread examines nothing, and there are no more workers than jobs."""
    threads = set()

    def watched(path, attempt, report):
        threads.add(threading.current_thread())
        return examine(path, attempt, report)

    monkeypatch.setattr(runs, "examine", watched)
    assert main(["demo", str(folder), "--jobs", "1000"]) == 0
    assert threading.main_thread() not in threads
    assert 1 <= len(threads) <= 5
    assert "by 5 worker threads" in " ".join(capsys.readouterr().out.split())


def test_what_is_off_is_said(folder, monkeypatch, capsys):
    """Where a job comes to something else than planned, the status is 1 and a line names it."""

    def lenient(path, attempt, report):
        return Findings("", 0, 0, 0)

    monkeypatch.setattr(runs, "examine", lenient)
    assert main(["demo", str(folder)]) == 1
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "jobstate demo: latin_1.py was to go PENDING → STARTED → RETRY → STARTED → SUCCESS, "
        "and went PENDING → STARTED → SUCCESS",
        "jobstate demo: no_python.py was to go PENDING → STARTED → FAILURE, "
        "and went PENDING → STARTED → SUCCESS",
    ]
    assert "as they should" not in told.out


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("number", "live"),
    [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGHUP, True)],
)
def test_an_interrupt_stops_it(
    folder, scratch, terminal, monkeypatch, capsys, usual_signals, backend, number, live
):
    """Ctrl-C and its kin revoke what is left, say so, and leave the terminal as it was."""

    def interrupted(path, attempt, report):
        signal.raise_signal(number)
        work_until_cancelled(report)

    if not live:
        monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(runs, "examine", interrupted)
    assert terminal.demo(folder, "--jobs", 1, "--backend", backend) == 130
    assert capsys.readouterr().err == (
        "jobstate demo: interrupted when 1 of 5 jobs had ended: "
        "1 at work and 3 that waited were revoked\n"
    )
    assert ("\x1b[?25h" in terminal.getvalue()) is live
    assert not list(scratch.iterdir())
    assert signal.getsignal(number) == usual_signals[number]


def test_kill_works_in_the_background(folder, scratch, terminal, monkeypatch, usual_signals):
    """Where Ctrl-C is ignored, as in the background of a script, a request to end is not."""

    def killed(path, attempt, report):
        signal.raise_signal(signal.SIGTERM)
        work_until_cancelled(report)

    monkeypatch.setattr(runs, "examine", killed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert terminal.demo(folder) == 130
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert not list(scratch.iterdir())


def test_a_signal_that_is_ignored_stays_so(folder, terminal, monkeypatch, usual_signals):
    """Started by nohup, it goes on when the terminal is closed."""

    def hung_up(path, attempt, report):
        signal.raise_signal(signal.SIGHUP)
        return examine(path, attempt, report)

    monkeypatch.setattr(runs, "examine", hung_up)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert terminal.demo(folder) == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_nothing_is_left_behind(folder, scratch, monkeypatch, capsys):
    """Temporary files are gone when all went well, and when the demonstration is at fault."""
    assert main(["demo", str(folder)]) == 0
    assert not list(scratch.iterdir())

    class Fault(Exception):
        pass

    def faulty(display, job, change):
        raise Fault

    monkeypatch.setattr(Lines, "changed", faulty)
    with pytest.raises(ExceptionGroup) as raised:
        main(["demo", str(folder)])
    assert raised.group_contains(Fault, depth=None)
    assert not list(scratch.iterdir())


def test_the_parser_warns_of_nothing(folder, capsys):
    """What Python thinks of other people's escapes is not the demonstration's affair."""
    fill(folder, doubtful=b"x = '\\d'\n")
    assert main(["demo", str(folder)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert re.search(r" 3 +PENDING → STARTED → SUCCESS", told.out)


# --- the log ---


def test_a_log_is_written_if_wanted(folder, monkeypatch, capsys):
    """Each event is a line of JSON on standard error: as many as there were transitions."""
    assert main(["demo", str(folder), "--log"]) == 0
    told = capsys.readouterr()
    events = [json.loads(line) for line in told.err.splitlines()]
    moves = [event for event in events if event["event"] == "job.transition"]
    assert len(moves) == 2 * len(STRAIGHT) + len(RETRIED) + len(FAILED) + len(REVOKED)
    assert {"job_id", "name", "before", "after", "level", "timestamp"} <= set(moves[0])
    assert "All 5 jobs" in told.out


@pytest.mark.parametrize("wanted", [[], ["--log"]])
def test_a_logging_of_ones_own_is_left_alone(folder, capsys, wanted):
    """Whatever structlog was configured to do before, it does again afterwards, and only then."""
    heard = []

    def hear(logger, method, event):
        heard.append(event)
        raise structlog.DropEvent

    structlog.configure(processors=[hear])
    try:
        assert main(["demo", str(folder), *wanted]) == 0
        assert heard == []
        Job().revoke_nowait()
        assert len(heard) == 1
    finally:
        structlog.reset_defaults()


def test_a_log_in_the_same_terminal_gets_lines_beside_it(folder, terminal):
    """Bars and a log would overwrite each other."""
    errors = Terminal()
    with redirect_stderr(errors):
        assert terminal.demo(folder, "--log") == 0
    assert "\x1b" not in terminal.getvalue()
    assert all(json.loads(line) for line in errors.getvalue().splitlines())
