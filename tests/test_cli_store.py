"""The command line over a store: what it shows, follows and lets go of, and its refusals."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from jobstate import (
    Entry,
    ErrorInfo,
    JobRecord,
    NewerFormat,
    Progress,
    RevokeCause,
    StoreBroken,
    Transition,
)
from jobstate.cli import main
from jobstate.stores import sqlite
from jobstate.stores.sqlite import SQLiteStore

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "command-line.md"
BEGAN = 1_700_000_000.0
TRACEBACK = (
    'Traceback (most recent call last):\n  File "publish.py", line 7, in publish\n'
    "ValueError: no rows\n"
)
NO_ROWS = ErrorInfo("ValueError", "no rows", TRACEBACK)
FORGED = "a\nb\x1b[2J\x9b\u202e"


# --- stores to look at ----------------------------------------------------------------------


def step(job_id, version, trigger, source, dest, attempt=1, *, final=False, result=..., **more):
    """Return a transition of a job, so many seconds after it was made."""
    at = BEGAN + version
    transition = Transition(job_id, version, trigger, source, dest, at, attempt, **more)
    return Entry(transition, final, **({} if result is ... else {"result": result}))


def start(job_id):
    """Return the first transition of most jobs."""
    return step(job_id, 1, "start", "PENDING", "STARTED")


def succeed(job_id, **more):
    """Return the second transition of most jobs."""
    return step(job_id, 2, "succeed", "STARTED", "SUCCESS", final=True, **more)


def progress(job_id, version=1, percent=40.0, info=None):
    """Return a report of progress, a second after that version."""
    return Progress(job_id, version, 1, percent, info or {}, BEGAN + version + 1)


def keep(path, *records):
    """Have a store keep records, in this order."""

    async def kept():
        async with SQLiteStore(path) as store:
            for record in records:
                if isinstance(record, JobRecord):
                    await store.create(record)
                elif isinstance(record, Progress):
                    await store.report(record)
                else:
                    await store.append(record, expected=record.transition.version - 1)

    anyio.run(kept)


def ended(job_id):
    """Return the records of a job that has ended."""
    return (JobRecord(job_id, BEGAN), start(job_id), succeed(job_id))


@pytest.fixture
def path(tmp_path):
    """Return where a store may be."""
    return str(tmp_path / "jobs.db")


@pytest.fixture
def store(path):
    """Return a store of four jobs: those of the reference."""
    late = succeed("north", result={"rows": 10})
    late = Entry(late.transition._replace(timestamp=BEGAN + 3), True, late.result)
    delayed = step(
        "east",
        2,
        "retry",
        "STARTED",
        "RETRY",
        reason="ValueError: no rows",
        error=NO_ROWS,
        delay=10.0,
    )
    revoked = step(
        "south",
        2,
        "revoke",
        "STARTED",
        "REVOKED",
        final=True,
        reason="nobody wants it",
        cause=RevokeCause.ADMIN,
    )
    keep(
        path,
        JobRecord("north", BEGAN, "publish", extras={"queue": "q"}, data={"file": "a.csv"}),
        start("north"),
        progress("north", info={"rows": 4}),
        late,
        JobRecord("east", BEGAN, "publish"),
        start("east"),
        progress("east", info={"rows": 0}),
        delayed,
        JobRecord("south", BEGAN, "publish"),
        start("south"),
        revoked,
        JobRecord("west", BEGAN, "publish"),
    )
    return path


@pytest.fixture
def run(capsys):
    """Return what runs a line of the command, and returns its status, output and error."""

    def run(*argv):
        status = main(argv)
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def printed(run):
    """Return what runs a command that succeeds, and returns the lines that it prints."""

    def printed(*argv):
        status, out, err = run(*argv)
        assert (status, err) == (0, "")
        return out.splitlines()

    return printed


@pytest.fixture
def objects(printed):
    """Return what runs a command with ``--json``, and returns its objects."""
    return lambda *argv: [json.loads(line) for line in printed(*argv, "--json")]


# --- the reference --------------------------------------------------------------------------


def documented(heading):
    """Return the fields in the first table after some words of the page."""
    _, _, rest = PAGE.read_text("utf-8").partition(heading)
    table = re.search(r"^\|.*(?:\n\|.*)*", rest, re.MULTILINE)
    cells = [row.split("|")[1] for row in table.group().splitlines()[2:]]
    return re.findall(r"`(\w+)`", " ".join(cells))


def comparable(text):
    """Return what the command prints without sizes, which are SQLite's to choose."""
    return re.sub(r"[\d,]+ (bytes|are left)", r"N \1", text)


@pytest.mark.parametrize(
    "block", re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
)
def test_examples_print_what_they_say(block, store, run, monkeypatch):
    """Each command of the page, in order, prints what stands below it."""
    monkeypatch.chdir(os.path.dirname(store))
    examples = re.findall(r"^\$ jobstate (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    assert examples
    for line, expected in examples:
        with monkeypatch.context() as clock:
            if line.startswith("ls"):
                clock.setattr("time.time", lambda: BEGAN + 310)
            status, out, err = run(*shlex.split(line))
        assert (status, err) == (0, "")
        assert comparable(out) == comparable(expected)


def test_fields_are_those_of_the_reference(store, objects):
    """`--json` prints the fields that the page lists, in that order, and no others."""
    of_a_job = documented("Of a job there are")
    of_a_step = documented("A transition, from")
    assert [list(job) for job in objects("ls", store)] == [of_a_job] * 4
    (job,) = objects("show", store, "east")
    assert list(job) == of_a_job + documented("`show` adds")
    assert [list(each) for each in objects("history", store, "east")] == [of_a_step] * 2
    seen = {each["kind"]: list(each) for each in objects("watch", store, "north")}
    assert seen == {"transition": of_a_step, "progress": documented("Progress, from")}


# --- ls -------------------------------------------------------------------------------------


def test_a_store_without_jobs_has_an_empty_list(path, printed):
    """The head of the table alone is printed; of `--json`, nothing."""
    keep(path)
    assert [line.split() for line in printed("ls", path)] == [
        ["ID", "NAME", "STATUS", "ATTEMPT", "PROGRESS", "CHANGED", "WHY"]
    ]
    assert printed("ls", path, "--json") == []


def test_a_list_says_how_jobs_stand(store, objects):
    """The newest comes first; each with its status, how far it is, and why."""
    west, south, east, north = objects("ls", store)
    assert [job["id"] for job in (west, south, east, north)] == ["west", "south", "east", "north"]
    assert west | {"status": "PENDING", "version": 0, "attempt": 0, "final": False} == west
    assert west | {"reason": "", "cause": None, "error_reason": None, "retry_at": None} == west
    assert south | {"status": "REVOKED", "cause": "ADMIN", "reason": "nobody wants it"} == south
    assert east | {"error_reason": "ValueError", "error_message": "no rows"} == east
    assert east["retry_at"] == "2023-11-14T22:13:32.000Z"
    assert north | {"status": "SUCCESS", "final": True, "progress": 100.0, "attempt": 1} == north
    assert north["created_at"] == "2023-11-14T22:13:20.000Z"
    assert north["updated_at"] == "2023-11-14T22:13:23.000Z"


@pytest.mark.parametrize("number", [19, 20, 21])
def test_a_list_has_twenty_jobs_and_says_if_there_are_older_ones(number, path, printed):
    """Nobody takes the newest for all there are."""
    keep(path, *(JobRecord(f"j{index}", BEGAN) for index in range(number)))
    _, *rows = printed("ls", path)
    more = ["There are older ones: see --limit."] if number == 21 else []
    assert rows[20:] == more
    assert [row.split()[0] for row in rows[:20]] == [
        f"j{index}" for index in range(number - 1, max(number - 21, -1), -1)
    ]


@pytest.mark.parametrize("limit", [64, 65, 128, 130, 10**30])
def test_a_long_list_has_many_pages(limit, path, objects):
    """So many as are asked for come, however the store divides them."""
    keep(path, *(JobRecord(f"j{index}", BEGAN) for index in range(130)))
    found = [job["id"] for job in objects("ls", path, "--limit", str(limit))]
    assert found == [f"j{index}" for index in range(129, -1, -1)][:limit]


def test_jobs_of_any_lifecycle_are_listed(path, printed, objects):
    """Statuses are names; a transition that keeps the status is not why a job is in it."""
    keep(
        path,
        JobRecord("pr1", BEGAN, lifecycle="review", status="OPEN", max_attempts=None),
        step("pr1", 1, "merge", "OPEN", "MERGED", 0, final=True, reason="approved"),
        JobRecord("pr2", BEGAN, lifecycle="review", status="OPEN"),
        step("pr2", 1, "touch", "OPEN", "OPEN", 0, reason="a look", internal=True),
    )
    pr2, pr1 = objects("ls", path, "--status", "OPEN", "--status", "MERGED")
    assert (pr1["lifecycle"], pr1["status"], pr1["reason"]) == ("review", "MERGED", "approved")
    assert (pr2["status"], pr2["reason"]) == ("OPEN", "")
    assert "  MERGED  0    " in printed("ls", path)[2]
    assert objects("ls", path, "--status", "PENDING") == []
    assert "touch    OPEN " in printed("history", path, "pr2")[1]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (0.9, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (86400, "1d"), (1e8, "1157d")],
)
def test_a_list_says_when_a_job_last_moved(seconds, shown, path, printed, monkeypatch):
    """The largest unit is enough; the future of another clock is now."""
    keep(path, JobRecord("j1", BEGAN))
    monkeypatch.setattr("time.time", lambda: BEGAN + seconds)
    assert f" {shown} ago" in printed("ls", path)[1]


@pytest.mark.parametrize(
    ("percent", "shown"), [(0, "0%"), (33.3333, "33.3%"), (99.999, "99.9%"), (100, "100%")]
)
def test_progress_is_full_only_once_it_is(percent, shown, path, printed):
    """One digit after the point is enough, and it is never rounded up."""
    keep(path, JobRecord("j1", BEGAN), start("j1"), progress("j1", percent=percent))
    assert f" {shown} " in printed("ls", path)[1]


@pytest.mark.parametrize("timestamp", [-1e300, 1e300])
def test_a_job_whose_clock_was_none_can_be_looked_at(timestamp, path, printed):
    """It does not keep others from being listed."""
    keep(path, JobRecord("j1", timestamp), JobRecord("j2", BEGAN))
    assert len(printed("ls", path)) == 3


# --- words of others ------------------------------------------------------------------------


@pytest.fixture
def forged(path):
    """Return a store in which all words would steer a terminal."""
    error = ErrorInfo(FORGED, FORGED, FORGED)
    failed = step(
        "j1", 2, FORGED, "STARTED", FORGED, final=True, reason=FORGED, error=error, result=[FORGED]
    )
    keep(
        path,
        JobRecord("j1", BEGAN, FORGED, FORGED, data=FORGED, extras={FORGED: FORGED}),
        start("j1"),
        progress("j1", info={FORGED: FORGED}),
        failed,
    )
    return path


@pytest.mark.parametrize("verb", ["ls", "show", "history", "watch"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_word_of_a_job_steers_the_terminal(verb, form, forged, run):
    """Whatever cannot be printed is escaped, in lines for people as in JSON."""
    of = [] if verb == "ls" else ["j1"]
    _, out, err = run(verb, forged, *of, *form)
    lines = out.split("\n")
    assert [line for line in lines if not line.isprintable()] == []
    assert {"ls": 2, "history": 3, "watch": 3}.get(verb, len(lines) - 1) == len(lines) - 1 or form
    assert err == ""
    if form:
        assert json.loads(lines[0])["name"] == FORGED


def test_an_error_is_one_line_whatever_was_asked_for(tmp_path, run):
    """What stands in the path or the id is escaped as well."""
    status, out, err = run("ls", str(tmp_path / FORGED))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err[:-1].isprintable()


def test_columns_stay_in_line_in_every_script(path, printed):
    """Signs that are two columns wide, or none, are counted as such; long ones are cut."""
    names = ["ascii", "東京", "e\u0301tude", "東" * 30, "x" * 41]
    keep(path, *(JobRecord(f"j{index}", BEGAN, name) for index, name in enumerate(names)))
    rows = printed("ls", path)[:0:-1]
    assert [row.split("PENDING")[0] for row in rows] == [
        f"j0  ascii{' ' * 35}  ",
        f"j1  東京{' ' * 36}  ",
        f"j2  e\u0301tude{' ' * 35}  ",
        f"j3  {'東' * 19}…{' ' * 1}  ",
        f"j4  {'x' * 39}…  ",
    ]


def test_a_table_is_no_wider_than_the_terminal(store, capsys, monkeypatch):
    """Lines that would be broken are cut; where they go to a file, they are whole."""
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["ls", store]) == 0
    whole = capsys.readouterr().out.splitlines()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["ls", store]) == 0
    cut = capsys.readouterr().out.splitlines()
    assert cut == [line if len(line) <= 60 else f"{line[:59]}…" for line in whole]
    assert cut != whole


def test_a_stream_that_lacks_signs_is_no_error(path):
    """What its encoding does not have is escaped."""
    keep(path, JobRecord("j1", BEGAN, "東京"))
    done = subprocess.run(
        [sys.executable, "-m", "jobstate", "ls", path],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "j1  \\u6771\\u4eac  PENDING" in done.stdout
    assert done.stderr == ""


# --- show and history -----------------------------------------------------------------------


def test_all_is_told_of_a_job(store, objects, printed):
    """Its result, details and data, and the error with its traceback."""
    (north,) = objects("show", store, "north")
    assert north | {"result": {"rows": 10}, "info": {"rows": 4}} == north
    assert north | {"extras": {"queue": "q"}, "data": {"file": "a.csv"}} == north
    (east,) = objects("show", store, "east")
    assert east["error_traceback"] == TRACEBACK
    assert printed("show", store, "north")[-4:] == [
        'result      {"rows": 10}',
        'info        {"rows": 4}',
        'extras      {"queue": "q"}',
        'data        {"file": "a.csv"}',
    ]
    assert "cause       ADMIN" in printed("show", store, "south")


def test_the_error_of_an_attempt_before_is_no_longer_told(path, objects):
    """It is that of the present attempt, and in the history for ever."""
    keep(
        path,
        JobRecord("j1", BEGAN),
        start("j1"),
        step("j1", 2, "retry", "STARTED", "RETRY", error=NO_ROWS),
        step("j1", 3, "requeue", "RETRY", "PENDING"),
    )
    (job,) = objects("show", path, "j1")
    assert (job["status"], job["error_message"], job["reason"]) == ("PENDING", "no rows", "")
    keep(path, step("j1", 4, "start", "PENDING", "STARTED", attempt=2))
    (job,) = objects("show", path, "j1")
    assert (job["error_message"], job["error_traceback"]) == (None, None)


def test_history_tells_each_transition(store, objects):
    """In order, with the moment, the reason and the delay."""
    first, second = objects("history", store, "east")
    assert first | {"version": 1, "trigger": "start", "delay": None, "final": False} == first
    assert first["at"] == "2023-11-14T22:13:21.000Z"
    assert second | {"source": "STARTED", "dest": "RETRY", "attempt": 1, "delay": 10.0} == second
    assert second | {"reason": "ValueError: no rows", "error_message": "no rows"} == second
    assert second["error_traceback"] == TRACEBACK
    assert objects("history", store, "west") == []


def test_a_revoke_without_words_tells_on_whose_behalf(path, printed):
    """And an error without a reason tells what was said."""
    keep(
        path,
        JobRecord("j1", BEGAN),
        step("j1", 1, "revoke", "PENDING", "REVOKED", 0, final=True, cause=RevokeCause.TIMEOUT),
        JobRecord("j2", BEGAN),
        step("j2", 1, "fail", "PENDING", "FAILURE", 0, final=True, error=ErrorInfo("", "no disk")),
    )
    _, second, first = printed("ls", path)
    assert first.endswith("  TIMEOUT")
    assert second.endswith("  no disk")


# --- refusals -------------------------------------------------------------------------------


def text_file(path):
    Path(path).write_text("no database\n" * 100)


def other_database(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (own TEXT)")
    connection.close()


def newer(path):
    keep(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()


def damaged(path):
    keep(path, JobRecord("j1", BEGAN))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kept SET record = 'nonsense'")
    connection.close()


ANY = [["ls"], ["show", "j1"], ["history", "j1"], ["watch", "j1"], ["watch"], ["vacuum"]]


@pytest.mark.parametrize("argv", ANY, ids=" ".join)
@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (lambda path: None, "store {}: there is no such file, and it was not to be made"),
        (os.mkdir, "{} is no store of jobs, but something that is no file; it was left as it is"),
        (text_file, "{} is no store of jobs, but a file that is no SQLite database; it was"),
        (other_database, "{} is no store of jobs, but a database of another program; it was"),
        (newer, "store {} is of format 99, and this release of jobstate knows formats up to 1"),
    ],
)
def test_what_is_no_store_is_refused(argv, prepare, why, path, run):
    """One line says what is wrong, the status is 2, and nothing is made or changed."""
    prepare(path)
    is_file = os.path.isfile(path)
    before = Path(path).read_bytes() if is_file else os.path.exists(path)
    verb, *more = argv
    status, out, err = run(verb, path, *more)
    assert (status, out) == (2, "")
    assert err.startswith(f"jobstate {verb}: {why.format(path)}")
    assert err.count("\n") == 1
    assert before == (Path(path).read_bytes() if is_file else os.path.exists(path))


@pytest.mark.parametrize("verb", ["ls", "vacuum"])
def test_an_empty_path_is_refused(verb, run):
    """It names no file."""
    status, out, err = run(verb, "")
    assert (status, out) == (2, "")
    assert err == f"jobstate {verb}: '' names no file; MemoryStore keeps jobs in memory\n"


@pytest.mark.parametrize("verb", ["ls", "show", "history", "watch"])
def test_a_record_that_is_damaged_is_told(verb, path, run):
    """In one line, whatever was asked."""
    damaged(path)
    status, out, err = run(verb, path, *([] if verb == "ls" else ["j1"]))
    assert (status, out) == (2, "")
    assert err.startswith(
        f"jobstate {verb}: a stored record (of job j1, position 1) cannot be read: the record: "
    )


@pytest.mark.parametrize(
    ("limit", "listed", "told", "older"),
    [("4", ["j4", "j2"], ["j3", "j1"], False), ("2", ["j4"], ["j3"], True)],
)
def test_a_damaged_record_keeps_no_other_job_from_the_list(limit, listed, told, older, path, run):
    """It is told of in its place; the status is 2."""
    keep(path, *(JobRecord(f"j{number}", BEGAN) for number in range(1, 5)))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kept SET record = 'nonsense' WHERE position IN (1, 3)")
    connection.close()
    status, out, err = run("ls", path, "--limit", limit)
    lines = out.splitlines()[1:]
    assert (lines[len(listed) :] != []) is older
    assert (status, [line.split()[0] for line in lines[: len(listed)]]) == (2, listed)
    assert re.findall(r"of job (\w+)", err) == told
    status, out, err = run("ls", path, "--limit", limit, "--json")
    assert (status, [json.loads(line)["id"] for line in out.splitlines()]) == (2, listed)
    assert re.findall(r"of job (\w+)", err) == told


def test_what_is_no_fault_of_one_job_ends_the_list(path, run, monkeypatch):
    """It cannot be passed, and is told once."""

    async def fail(*args, **kwargs):
        raise NewerFormat("store x", 2, 1)

    keep(path, JobRecord("j1", BEGAN))
    monkeypatch.setattr(SQLiteStore, "jobs", fail)
    status, out, err = run("ls", path)
    assert (status, out) == (2, "")
    assert err.startswith("jobstate ls: store x is of format 2")
    assert err.count("\n") == 1


def test_a_damaged_record_beyond_the_limit_is_an_older_job(path, run):
    """Nothing is told of what was not to be listed, but that there is more."""
    keep(path, JobRecord("j1", BEGAN), JobRecord("j2", BEGAN))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kept SET record = 'nonsense' WHERE position = 1")
    connection.close()
    status, out, err = run("ls", path, "--limit", "1")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["j2", "There"]


@pytest.mark.parametrize("verb", ["show", "history", "watch"])
def test_a_job_that_is_not_there_is_told_with_the_nearest(verb, store, run):
    """Which of the newest ids might have been meant; nothing is told of others."""
    others = ["east"] if verb == "watch" else []
    status, out, err = run(verb, store, *others, "nort")
    assert (status, out) == (2, "")
    assert err == (f"jobstate {verb}: no job 'nort' is known here (did you mean 'north'?); 4 are\n")


@pytest.mark.parametrize("verb", ["show", "history", "watch"])
def test_a_damaged_record_of_another_job_is_no_answer(verb, path, run):
    """That the job is not there is told all the same, though without the nearest."""
    damaged(path)
    status, out, err = run(verb, path, "nort")
    assert (status, out) == (2, "")
    assert err == f"jobstate {verb}: no job 'nort' is known here; one is\n"


@pytest.mark.parametrize("verb", ["show", "history", "watch"])
def test_what_can_be_no_id_is_told(verb, store, run):
    """It is not looked for, and cannot forge a line."""
    status, out, err = run(verb, store, FORGED)
    assert (status, out) == (2, "")
    assert "cannot name a job" in err
    assert (err.count("\n"), err[:-1].isprintable()) == (1, True)


def test_a_store_that_is_locked_is_told(store, run, monkeypatch):
    """Another program has it for itself: one line says so, after a while."""
    monkeypatch.setattr(sqlite, "SQLiteStore", partial(SQLiteStore, patience=0.02))
    other = sqlite3.connect(store, isolation_level=None)
    try:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        status, out, err = run("ls", store)
    finally:
        other.close()
    assert (status, out) == (2, "")
    assert err == f"jobstate ls: store {store} was locked by another program for more than 0.02 s\n"


def test_a_system_without_such_stores_is_told(monkeypatch, path, run):
    """It is the page of the store that says what it needs."""
    monkeypatch.setitem(sys.modules, "jobstate.stores.sqlite", None)
    status, out, err = run("ls", path)
    assert (status, out) == (2, "")
    assert err.startswith("jobstate ls: import of jobstate.stores.sqlite")


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["ls"], "STORE"),
        (["show", "jobs.db"], "ID"),
        (["ls", "jobs.db", "--limit", "0"], "'0' is not a whole number from 1 on"),
        (["ls", "jobs.db", "--status", "\udcff"], r"'\udcff' is no text"),
        (["vacuum", "jobs.db", "--keep", "-1"], "'-1' is not a whole number from 0 on"),
        (["vacuum", "jobs.db", "--older-than", "30"], "'30' is no duration such as 90s, 15m"),
        (["vacuum", "jobs.db", "--older-than", "-1d"], "--older-than"),
        (["vacuum", "jobs.db", "--older-than", "1w"], "'1w' is no duration"),
        (["vacuum", "jobs.db", "--older-than", "٣d"], "is no duration"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused(argv, why, capsys):
    """The exit status is 2, and the last line on standard error says why."""
    with pytest.raises(SystemExit) as exited:
        main(argv)
    assert exited.value.code == 2
    assert why in capsys.readouterr().err.splitlines()[-1]


# --- beside others --------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [["ls"], ["show", "north"], ["watch", "north"]], ids=" ".join)
def test_who_looks_waits_for_no_writer(argv, store, printed, monkeypatch):
    """In the middle of what another writes, the state before it is shown at once."""
    monkeypatch.setattr("time.time", lambda: BEGAN + 310)
    verb, *more = argv
    before = printed(verb, store, *more)
    other = sqlite3.connect(store, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE job SET status = 'ELSEWHERE'")
        after = printed(verb, store, *more)
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert after == before


def test_a_list_reads_no_more_of_the_store_than_it_shows(path, printed, monkeypatch):
    """It asks for one page of the newest, and for no other: a million more would change nothing."""
    keep(path, *(JobRecord(f"j{index}", BEGAN) for index in range(130)))
    asked = []

    async def jobs(self, **more):
        asked.append(more)
        return await SQLiteStore.jobs(self, **more)

    monkeypatch.setattr(sqlite, "SQLiteStore", type("Counting", (SQLiteStore,), {"jobs": jobs}))
    assert len(printed("ls", path)) == 22
    assert asked == [{"statuses": [], "before": None}]


OLD = """
import sys
from jobstate.cli import main
from jobstate.stores import _sqlite_file
_sqlite_file.is_faulty = lambda version: True
sys.exit(main(["ls", sys.argv[1]]))
"""


def test_an_old_sqlite_is_not_news_at_each_look(store):
    """Those who run the jobs are told in their log; who lists them is not."""
    done = subprocess.run(
        [sys.executable, "-c", OLD, store], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""


# --- watch ----------------------------------------------------------------------------------

WATCH = """
import signal, sys
from jobstate.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run, it may be ignored
sys.exit(main(["watch", *sys.argv[1:]]))
"""


class Watch:
    """A watch in a process of its own."""

    def __init__(self, *argv):
        self.process = subprocess.Popen(
            [sys.executable, "-c", WATCH, *argv],
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if self.process.returncode is None:
            self.process.kill()
            self.ended()

    def line(self):
        """Return the next line, without the moment."""
        return self.process.stdout.readline().rstrip("\n").partition("  ")[2]

    def ended(self):
        """Return the exit status, and what is left of the output and of the errors."""
        try:
            out, err = self.process.stdout.read(), self.process.stderr.read()
        finally:
            self.process.stdout.close()
            self.process.stderr.close()
        return self.process.wait(60), out, err

    def begun(self, path):
        """Have a job report progress until that is heard; return how often it did."""
        times = 0
        while not select.select([self.process.stdout], [], [], 0.05)[0]:
            keep(path, progress("j1", percent=1))
            times += 1
        return times


def test_a_job_is_watched_to_its_end(path):
    """It begins with what there was; each thing that another process does is told at once."""
    keep(path, JobRecord("j1", BEGAN, "publish"), start("j1"))
    with Watch(path, "j1") as watch:
        assert watch.line() == "j1  publish  PENDING -> STARTED"
        keep(path, progress("j1", info={"rows": 4}))
        assert watch.line() == 'j1  publish  40%  {"rows": 4}'
        keep(path, succeed("j1"))
        assert watch.line() == "j1  publish  STARTED -> SUCCESS"
        assert watch.ended() == (0, "", "")


def test_several_jobs_are_watched_until_the_last_has_ended(path):
    """Whatever the order; a job named twice is told of once."""
    keep(path, JobRecord("j1", BEGAN), JobRecord("j2", BEGAN), *ended("j3"))
    with Watch(path, "j1", "j3", "j2", "j1") as watch:
        assert watch.line() == "j3  PENDING -> STARTED"
        assert watch.line() == "j3  STARTED -> SUCCESS"
        keep(path, start("j2"), succeed("j2"))
        assert [watch.line(), watch.line()][1] == "j2  STARTED -> SUCCESS"
        keep(path, step("j1", 1, "fail", "PENDING", "FAILURE", 0, final=True, reason="no disk"))
        assert watch.line() == "j1  PENDING -> FAILURE  no disk"
        assert watch.ended() == (1, "", "")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([], 1),
        (["--success", "MERGED"], 1),
        (["--success", "MERGED", "--success", "SUCCESS"], 0),
        (["--success", "CLOSED"], 1),
    ],
)
def test_what_is_success_can_be_said(more, status, path, run):
    """Of a lifecycle of one's own, nobody else knows; all of the jobs have to end so."""
    merge = step("pr1", 1, "merge", "OPEN", "MERGED", 0, final=True)
    keep(path, JobRecord("pr1", BEGAN, "", "review", "OPEN"), merge, *ended("j1"))
    assert run("watch", path, "pr1", "j1", *more)[0] == status


def test_all_jobs_are_watched_from_now_on(path):
    """Nothing is told of before; jobs are told by name, whenever they were made; Ctrl-C ends it."""
    keep(path, JobRecord("j1", BEGAN, "publish"), start("j1"), *ended("j0"))
    with Watch(path, "--json") as watch:
        assert watch.begun(path)
        keep(path, succeed("j1"), JobRecord("j2", BEGAN, "later"), start("j2"))
        seen = []
        while not seen or seen[-1]["id"] != "j2":
            seen.append(json.loads(watch.process.stdout.readline()))
        reports = seen[:-2]
        assert {(each["kind"], each["progress"], each["name"]) for each in reports} == {
            ("progress", 1, "publish")
        }
        assert [(each["name"], each["dest"]) for each in seen[-2:]] == [
            ("publish", "SUCCESS"),
            ("later", "STARTED"),
        ]
        watch.process.send_signal(signal.SIGINT)
        assert watch.ended() == (130, "", "jobstate: interrupted\n")


def test_a_job_that_is_gone_already_is_told_without_its_name(path, capsys, monkeypatch):
    """It may be let go of between its transition and our question."""
    keep(path, *ended("j1"))

    class Forgetful(SQLiteStore):
        def follow(self, job_id=None, *, after=0):
            return super().follow("j1", after=1)  # as if it came now

        async def load(self, job_id):
            return await super().load("gone")

    monkeypatch.setattr(sqlite, "SQLiteStore", Forgetful)
    assert main(["watch", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == [
        "j1  PENDING -> STARTED",
        "j1  STARTED -> SUCCESS",
    ]


def test_ctrl_c_ends_a_watch_of_jobs_as_well(path):
    """Without a traceback, and with nothing left in the folder beside the store."""
    keep(path, JobRecord("j1", BEGAN), start("j1"), JobRecord("j2", BEGAN))
    with Watch(path, "j1", "j2") as watch:
        assert watch.line() == "j1  PENDING -> STARTED"
        os.kill(watch.process.pid, signal.SIGINT)
        assert watch.ended() == (130, "", "jobstate: interrupted\n")
    assert [name for name in os.listdir(f"{path}-bells") if not name.startswith(".")] == []


def test_a_job_that_is_let_go_of_ends_its_watch(path):
    """It will never be heard of again: the status is 2."""
    keep(path, JobRecord("j1", BEGAN), *ended("j2"))
    with Watch(path, "j1") as watch:
        keep(path, start("j1"))
        assert watch.line() == "j1  PENDING -> STARTED"
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM job WHERE id = 'j1'")
            connection.execute("UPDATE counter SET position = position + 1, pruned = position + 1")
        connection.close()
        keep(path, JobRecord("j3", BEGAN))  # which wakes those who watch
        status, out, err = watch.ended()
        assert (status, out) == (2, "")
        assert err.startswith("jobstate watch: no job 'j1' is known here")


def test_another_job_of_its_id_is_not_watched_in_its_place(path):
    """What became of the first one is not known any more: the status is 2."""
    keep(path, JobRecord("j1", BEGAN))
    with Watch(path, "j1") as watch:
        keep(path, start("j1"))
        assert watch.line() == "j1  PENDING -> STARTED"
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM kept")
            connection.execute("DELETE FROM job")
            connection.execute("UPDATE counter SET position = position + 1, pruned = position + 1")
        connection.close()
        keep(path, JobRecord("j1", BEGAN), *ended("j1")[1:])
        status, out, err = watch.ended()
        assert (status, out) == (2, "")
        why = "job 'j1' has been let go of, and its id is another job's by now"
        assert err == f"jobstate watch: {why}\n"


@pytest.mark.parametrize("ids", [[], ["j1"]])
def test_a_store_that_goes_away_ends_a_watch(ids, path, capsys, monkeypatch):
    """The world is to blame: one line says so, and the status is 2."""

    class Broken(SQLiteStore):
        async def _page(self, job_id, after):
            raise StoreBroken("jobs.db", "the file has gone")

    keep(path, JobRecord("j1", BEGAN), JobRecord("j2", BEGAN))
    monkeypatch.setattr(sqlite, "SQLiteStore", Broken)
    assert main(["watch", path, *ids, *(["j2"] if ids else [])]) == 2
    assert capsys.readouterr() == ("", "jobstate watch: store jobs.db: the file has gone\n")


def test_a_reader_that_has_had_enough_ends_a_watch(path):
    """At once, though nothing more is to be told; nothing is said about it."""
    keep(path, JobRecord("j1", BEGAN), start("j1"))
    with Watch(path, "j1") as watch:
        assert watch.line() == "j1  PENDING -> STARTED"
        watch.process.stdout.close()
        assert watch.process.wait(60) == 1
        assert watch.process.stderr.read() == ""
        watch.process.stderr.close()


@pytest.mark.parametrize("verb", ["ls", "history j1", "watch j1", "show j1"])
def test_a_reader_that_was_never_there_is_no_error(verb, path):
    """As under `| head -0`: it ends, and says nothing."""
    keep(path, JobRecord("j1", BEGAN), start("j1"))
    verb, *more = verb.split()
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "jobstate", verb, path, *more],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")


def test_a_watch_into_a_file_is_whole(path, tmp_path):
    """What is no pipe has no reader that could go away."""
    keep(path, *ended("j1"))
    with open(tmp_path / "out", "w") as out:
        subprocess.run(
            [sys.executable, "-m", "jobstate", "watch", path, "j1"],
            stdout=out,
            timeout=60,
            check=True,
        )
    assert (tmp_path / "out").read_text().count("\n") == 2


# --- vacuum ---------------------------------------------------------------------------------


@pytest.fixture
def large(path):
    """Return a store of ten jobs that have ended a day ago, an hour ago and so on, and one left."""
    noise = os.urandom(15_000).hex()
    for index in range(10):
        of = f"j{index}"
        done = succeed(of)
        moment = BEGAN + 100_000 + index * 60
        done = Entry(done.transition._replace(timestamp=moment), True)
        keep(path, JobRecord(of, BEGAN, info={"noise": noise}), start(of), done)
    keep(path, JobRecord("left", BEGAN), start("left"))
    return path


@pytest.mark.parametrize(
    ("argv", "gone"),
    [
        ([], None),
        (["--older-than", "30m"], 0),
        (["--older-than", "5m"], 5),
        (["--older-than", "300s"], 5),
        (["--older-than", "0s"], 10),
        (["--older-than", "5m", "--keep", "8"], 2),
        (["--keep", "9"], 1),
        (["--keep", "0"], 10),
        (["--keep", str(10**30)], 0),
        (["--older-than", "9" * 400 + "d"], 0),
    ],
)
def test_old_jobs_are_let_go_of_and_their_space_given_back(argv, gone, large, run, monkeypatch):
    """The oldest go, what has not ended stays, and both numbers are told."""
    monkeypatch.setattr("time.time", lambda: BEGAN + 100_000 + 9 * 60 + 30)
    before = os.path.getsize(large)
    status, out, err = run("vacuum", large, *argv)
    assert (status, err) == (0, "")
    *told, given = out.splitlines()
    assert told == ([] if gone is None else [f"{gone} job{' is' if gone == 1 else 's are'} gone"])
    after = os.path.getsize(large)
    assert given == f"{before - after:,} bytes are given back, {after:,} are left"
    assert (before - after > 20_000 * (gone or 0)) or not gone
    listed = [json.loads(line)["id"] for line in run("ls", large, "--json")[1].splitlines()]
    assert listed == ["left", *(f"j{index}" for index in range(9, (gone or 0) - 1, -1))]


def test_what_was_let_go_of_is_told_though_the_file_is_in_use(large, run, monkeypatch):
    """The space cannot be given back while another writes: that is one line, and status 2."""
    monkeypatch.setattr(sqlite, "SQLiteStore", partial(SQLiteStore, patience=0.02))
    vacuum = SQLiteStore._vacuum

    def busy(self, connection):
        other = sqlite3.connect(large, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            vacuum(self, connection)
        finally:
            other.close()

    monkeypatch.setattr(SQLiteStore, "_vacuum", busy)
    status, out, err = run("vacuum", large, "--keep", "4")
    assert (status, out) == (2, "6 jobs are gone\n")
    assert err == (
        f"jobstate vacuum: store {large} was locked by another program for more than 0.02 s\n"
    )
