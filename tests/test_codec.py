"""What a store keeps: it comes back as it was, or is refused with a word on where and why."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from dataclasses import fields, replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobstate import (
    CorruptRecord,
    Entry,
    ErrorInfo,
    JobRecord,
    JobStatus,
    NewerFormat,
    Progress,
    RevokeCause,
    StoredJob,
    Transition,
    Unstorable,
    _codec,
)
from jobstate.stores import decoded, encoded

GOLDEN = Path(__file__).parent / "golden"
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "stored-records.md"

JOB = JobRecord("j1", 1.5, append_id="a1")
STEP = Transition("j1", 1, "start", JobStatus.PENDING, JobStatus.STARTED, 2.5, 1)
ENTRY = Entry(STEP, append_id="a2")
PROGRESS = Progress("j1", 1, 1, 50.0, {"rows": 7}, 3.5)
RECORDS = [JOB, ENTRY, PROGRESS]

ids = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = text.filter(bool)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**40), 2**40)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(text, plain, max_size=3)
counts = st.integers(0, 2**40)
errors = st.builds(ErrorInfo, text, text, text)
jobs = st.builds(
    JobRecord,
    ids,
    numbers,
    text,
    text,
    names,
    st.none() | st.integers(1, 99),
    objects,
    objects,
    plain,
    ids,
)
steps = st.builds(
    Transition,
    ids,
    st.integers(1, 2**40),
    names,
    names,
    names,
    numbers,
    counts,
    text,
    st.none() | errors,
    st.none() | st.sampled_from(RevokeCause),
    st.none() | st.floats(0, 1e9),
    st.booleans(),
)
entries = st.builds(
    Entry, steps, st.booleans(), st.just(ENTRY.result) | plain, st.none() | objects, ids
)
reports = st.builds(Progress, ids, counts, counts, st.floats(0, 100), objects, numbers)


# --- there and back -------------------------------------------------------------------------


@given(jobs | entries | reports)
def test_a_record_comes_back_as_it_was(record):
    """Whatever can be stored is read as the very same, down to the types."""
    text = encoded(record)
    back = decoded(text)
    assert back == record
    assert repr(back) == repr(record)
    assert encoded(back) == text
    assert "\n" not in text


def long_way(entry):
    """Return what becomes of a transition field by field."""
    fields = _codec._fields(entry)
    _codec._check(fields)
    return _codec.dumped(fields)


@given(entries)
def test_the_short_way_gives_what_the_long_way_does(entry):
    """Whatever goes the short way becomes the same text, to the letter."""
    assert _codec._shortly(entry) in (None, long_way(entry))


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY,
        replace(ENTRY, final=True, result=None),
        replace(ENTRY, result={"rows": [7, "é", None]}),
        replace(ENTRY, transition=STEP._replace(reason='the "user"\n', internal=True)),
        replace(ENTRY, transition=STEP._replace(source="OWN", trigger="move\\")),
    ],
)
def test_most_transitions_go_the_short_way(entry):
    """What a job does where all goes well is written down quickly."""
    assert _codec._shortly(entry) == long_way(entry) == encoded(entry)


@given(plain)
def test_a_result_that_was_not_given_is_none_of_those_that_were(result):
    """None is a result; no result is another thing."""
    assert decoded(encoded(replace(ENTRY, result=result))).result == result
    assert decoded(encoded(ENTRY)).result is ENTRY.result is not None


def test_statuses_are_kept_by_name():
    """A status of one's own enum is read as its name, and one of `JobStatus` equals it."""

    class Light(Enum):
        GREEN = "go"

    step = STEP._replace(source=Light.GREEN)
    back = decoded(encoded(replace(ENTRY, transition=step))).transition
    assert (back.source, back.dest) == ("GREEN", JobStatus.STARTED)
    assert type(back.dest) is str
    made = replace(JOB, status=JobStatus.PENDING)
    assert decoded(encoded(made)) == replace(JOB, status="PENDING")


def test_what_cannot_be_changed_is_kept_as_an_object():
    """The mapping that a job gives as its info is taken as what it holds."""
    record = replace(JOB, info=MappingProxyType({"rows": 7}))
    assert decoded(encoded(record)).info == {"rows": 7}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.jsonl")), ids=lambda path: path.stem)
def test_histories_of_each_release_are_read(path):
    """What a release has written is read by all later ones, and tells the same."""
    lines = path.read_text(encoding="utf-8").splitlines()
    records = [decoded(line) for line in lines]
    assert [json.loads(encoded(record)) for record in records] == [json.loads(x) for x in lines]
    job, *rest = records[:7]
    journal = tuple(record for record in rest if isinstance(record, Entry))
    stored = StoredJob(job, journal, None, 1, 7)
    assert (stored.status, stored.version, stored.final) == (JobStatus.SUCCESS, 5, True)
    assert journal[1].transition.error.reason == "OSError"
    assert journal[-1].result is None
    assert records[-1].transition.cause is RevokeCause.USER


def test_the_first_release_has_its_history():
    """The history that later releases have to read is there."""
    assert (GOLDEN / "0.1.0.jsonl").is_file()


def test_a_stored_job_stands_where_its_journal_has_led_it():
    """Before its first transition it stands in the status that it was made in."""
    assert (StoredJob(JOB, (), None, 1, 1).status, StoredJob(JOB, (), None, 1, 1).final) == (
        "PENDING",
        False,
    )
    moved = StoredJob(JOB, (ENTRY,), PROGRESS, 1, 3)
    assert (moved.status, moved.version, moved.final) == (JobStatus.STARTED, 1, False)


# --- what cannot be stored ------------------------------------------------------------------


def deep(levels):
    """Return lists in each other."""
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("result", "path", "problem"),
    [
        ({"rows": [1, 2, 3, datetime.now(UTC)]}, "result.rows[3]", "datetime is not JSON"),
        ({"a b": {"c": {1}}}, "result['a b'].c", "set is not JSON"),
        ((1, 2), "result", "tuple is not JSON"),
        (b"x", "result", "bytes is not JSON"),
        (JobStatus.SUCCESS, "result", "JobStatus is not JSON"),
        (Text("x"), "result", "Text is not JSON"),
        (OrderedDict(), "result", "OrderedDict is not JSON"),
        (float("nan"), "result", "nan is not JSON"),
        ([float("-inf")], "result[0]", "-inf is not JSON"),
        ({"n": {1: 2}}, "result.n", "the key 1 is int, and not text"),
        (2**63, "result", "a whole number of more than 64 bits"),
        (-(2**63) - 1, "result", "a whole number of more than 64 bits"),
        (["\udc80"], "result[0]", "text with half of a surrogate pair is not JSON"),
        ({"\udc80": 1}, "result['\\udc80']", "text with half of a surrogate pair is not JSON"),
        (deep(32), "result" + "[0]" * 31, "more than 32 levels deep"),
        ("x" * 65536, "the record", "it takes more than 65,536 bytes"),
        ("é" * 33000, "the record", "it takes more than 65,536 bytes"),
        ([0] * 70000, "the record", "it takes more than 65,536 bytes"),
    ],
)
def test_what_is_no_json_is_refused(result, path, problem):
    """The error says which job, where in the record, and what is wrong there."""
    with pytest.raises(Unstorable) as caught:
        encoded(replace(ENTRY, result=result))
    assert (caught.value.job_id, caught.value.path) == ("j1", path)
    assert caught.value.problem == problem


def test_what_holds_itself_is_refused():
    """A list in itself has no end, and is too deep."""
    loop = []
    loop.append(loop)
    with pytest.raises(Unstorable, match="more than 32 levels deep"):
        encoded(replace(ENTRY, result=loop))


def test_limits_are_reached():
    """As deep and as large as is said can be stored, and read again."""
    for result in (deep(31), "x" * (65536 - len(encoded(replace(ENTRY, result=""))))):
        record = replace(ENTRY, result=result)
        assert decoded(encoded(record)) == record


@pytest.mark.parametrize(
    ("record", "path"),
    [
        (replace(JOB, id="a b"), "job"),
        (replace(JOB, id=7), "job"),
        (replace(JOB, status=""), "status"),
        (replace(JOB, max_attempts=0), "max_attempts"),
        (replace(JOB, max_attempts=True), "max_attempts"),
        (replace(JOB, name=7), "name"),
        (replace(JOB, info=[1]), "info"),
        (replace(JOB, append_id="a'b"), "append_id"),
        (replace(JOB, timestamp="now"), "timestamp"),
        (replace(ENTRY, transition=STEP._replace(version=0)), "version"),
        (replace(ENTRY, transition=STEP._replace(trigger="")), "trigger"),
        (replace(ENTRY, transition=STEP._replace(attempt=-1)), "attempt"),
        (replace(ENTRY, transition=STEP._replace(reason=7)), "reason"),
        (replace(ENTRY, transition=STEP._replace(cause="WHIM")), "cause"),
        (replace(ENTRY, transition=STEP._replace(delay=-1.0)), "delay"),
        (replace(ENTRY, transition=STEP._replace(internal=1)), "internal"),
        (replace(ENTRY, transition=STEP._replace(error=ErrorInfo("E", 7))), "error"),
        (replace(ENTRY, transition=STEP._replace(version=2**63)), "version"),
        (replace(ENTRY, transition=STEP._replace(version=True)), "version"),
        (replace(ENTRY, transition=STEP._replace(attempt=2**63)), "attempt"),
        (replace(ENTRY, transition=STEP._replace(timestamp=float("inf"))), "timestamp"),
        (replace(ENTRY, transition=STEP._replace(job_id="a b")), "job"),
        (replace(ENTRY, transition=STEP._replace(source="")), "source"),
        (replace(ENTRY, transition=STEP._replace(dest="")), "dest"),
        (replace(ENTRY, transition=STEP._replace(dest="\udc80")), "dest"),
        (replace(ENTRY, append_id="a'b"), "append_id"),
        (replace(ENTRY, final=None), "final"),
        (replace(ENTRY, extras=7), "extras"),
        (replace(PROGRESS, progress=101), "progress"),
        (replace(PROGRESS, version=-1), "version"),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused(record, path):
    """Each field is checked as it will be when it is read."""
    with pytest.raises(Unstorable) as caught:
        encoded(record)
    assert caught.value.path == path


def test_errors_are_never_too_long():
    """Of what an error says, however long and whatever is in it, beginning and end are kept."""
    long = "begin " + "\x00\udc80é" * 500_000 + " end"
    step = STEP._replace(reason=long, error=ErrorInfo("E" * 5000, long, long))
    back = decoded(encoded(replace(ENTRY, transition=step))).transition
    for text in (back.reason, back.error.message, back.error.traceback):
        assert text.startswith("begin ")
        assert "\n[…]\n" in text
        assert text.endswith(" end")
    assert len(back.error.reason) <= 1024
    assert len(encoded(replace(ENTRY, transition=back))) < 45_000
    alone = replace(ENTRY, transition=STEP._replace(reason="begin " + "x" * 9000))
    assert len(decoded(encoded(alone)).transition.reason) <= 8192


def test_short_errors_are_kept_whole():
    """Bytes that are no text, as in names of files, are written out."""
    step = STEP._replace(error=ErrorInfo("OSError", "no 'f\udc80'", "Traceback"))
    error = decoded(encoded(replace(ENTRY, transition=step))).transition.error
    assert error == ErrorInfo("OSError", "no 'f\\udc80'", "Traceback")


# --- what cannot be read --------------------------------------------------------------------


def changed(record, **members):
    """Return a record's JSON with some members changed, or left out where they are ``...``."""
    told = {**json.loads(encoded(record)), **members}
    return json.dumps({name: value for name, value in told.items() if value is not ...})


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ("", "the record", "it is not JSON"),
        ("[1]", "the record", "it is no object"),
        ("{", "the record", "it is not JSON"),
        (encoded(JOB)[:-1], "the record", "it is not JSON"),
        (encoded(JOB) + " x", "the record", "it is not JSON"),
        ('{"v":1,"v":1}', "the record", "'v' is there twice"),
        ('{"v":NaN}', "the record", "NaN is not JSON"),
        ('{"v":-Infinity}', "the record", "-Infinity is not JSON"),
        ("[" * 60_000, "the record", "more than 32 levels deep"),
        ('"' + "x" * 65536 + '"', "the record", "it takes more than 65,536 bytes"),
        ('"' + "é" * 32768 + '"', "the record", "it takes more than 65,536 bytes"),
        ("1" * 5000, "the record", "it is not JSON"),
        (changed(ENTRY, v=0), "v", "0 is no version"),
        (changed(ENTRY, v=True), "v", "True is no version"),
        (changed(ENTRY, v="1"), "v", "'1' is no version"),
        (changed(ENTRY, v=...), "v", "None is no version"),
        (changed(ENTRY, kind="pickle"), "kind", "'pickle' is no kind"),
        (changed(ENTRY, kind=[]), "kind", "[] is no kind"),
        (changed(ENTRY, kind="job"), "version", "cannot stand there"),
        (changed(ENTRY, class_="os.system"), "class_", "cannot stand there"),
        (changed(ENTRY, final=...), "final", "it is missing"),
        (changed(ENTRY, job=...), "job", "it is missing"),
        (changed(ENTRY, cause=None), "cause", "cannot stand there"),
        (changed(ENTRY, error={"reason": "E"}), "error", "cannot stand there"),
        (changed(ENTRY, error={"reason": "", "message": "", "traceback": 7}), "error", "cannot"),
        (changed(ENTRY, result=["x"]).replace('"x"', "1e999"), "result[0]", "inf is not JSON"),
        (changed(ENTRY, result=["x"]).replace('"x"', '{"a":1,"a":1}'), "the record", "twice"),
        (changed(ENTRY, result=deep(32)), "result" + "[0]" * 31, "levels deep"),
        (changed(JOB, info={"a": "\ud800"}), "info.a", "half of a surrogate pair"),
        (changed(JOB, data=None), "data", "cannot stand there"),
    ],
)
def test_what_nobody_has_written_is_refused(text, path, problem):
    """A record that `encoded` does not give is not read, and the error says why."""
    with pytest.raises(CorruptRecord, match=re.escape(problem)) as caught:
        decoded(text)
    assert caught.value.path == path


@pytest.mark.parametrize("record", RECORDS)
def test_a_later_form_is_refused_whole(record):
    """What a later release has written is not guessed at, whatever else is in it."""
    for text in (changed(record, v=2), changed(record, v=2, kind="lease", job=7)):
        with pytest.raises(NewerFormat) as caught:
            decoded(text)
        assert (caught.value.found, caught.value.known) == (2, _codec.VERSION)


@pytest.mark.parametrize(
    "rest", [f'"x":"{"y" * 70_000}"', '"x":' + "[" * 20_000, '"x":NaN', '"x":1,"x":2', '"x":']
)
def test_a_later_form_may_be_more_than_can_be_read(rest):
    """A record that we cannot even take apart is a later release's, where it begins as one."""
    with pytest.raises(NewerFormat) as caught:
        decoded(f'{{"v":12,{rest}}}')
    assert caught.value.found == 12
    with pytest.raises(CorruptRecord):
        decoded(f'{{"v":1,{rest}}}')


@pytest.mark.parametrize("nothing", [None, b"{}", 5, {}])
def test_what_is_no_text_is_no_record(nothing):
    """Whatever a store gives in place of a text is told like any other damage."""
    with pytest.raises(CorruptRecord, match=f"no text, but {type(nothing).__name__}"):
        decoded(nothing)


@given(st.text(max_size=40) | plain.map(json.dumps) | objects.map(json.dumps))
def test_no_text_does_harm(text):
    """Whatever a store gives, it is a record or one of two errors."""
    with pytest.raises((CorruptRecord, NewerFormat)):
        decoded(text)


@given(jobs | entries | reports, st.data())
def test_a_damaged_record_is_read_as_a_record_or_not_at_all(record, data):
    """With a character changed, it is refused, or is a record that can be stored as it is."""
    text = encoded(record)
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.characters()) + text[at + 1 :]
    try:
        back = decoded(damaged)
    except (CorruptRecord, NewerFormat):
        return
    assert decoded(encoded(back)) == back


# --- the page -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", _codec._NEEDED)
def test_the_page_has_every_field(kind):
    """The table of each kind names its fields, and which of them are always there."""
    section = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (body,) = (part for part in section if part.startswith(f"`{kind}`"))
    rows = re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \|$", body, re.MULTILINE)
    needed = {"v", "kind", "job", *_codec._NEEDED[kind]}
    assert dict(rows) == {
        **dict.fromkeys(needed, "yes"),
        **dict.fromkeys(_codec._POSSIBLE[kind], "no"),
    }


def test_every_field_of_a_record_is_kept():
    """A field that is added to a record, and not to its form, would be lost in silence."""
    kept = {kind: set(_codec._KNOWN[kind]) - {"v", "kind"} for kind in _codec._KNOWN}
    assert {f.name for f in fields(JobRecord)} == kept["job"] - {"job"} | {"id"}
    assert {f.name for f in fields(Progress)} == kept["progress"] - {"job"} | {"job_id"}
    of_entry = {f.name for f in fields(Entry)} - {"transition"}
    assert {*Transition._fields, *of_entry} == kept["transition"] - {"job"} | {"job_id"}
