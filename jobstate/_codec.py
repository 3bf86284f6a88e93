"""What a store keeps, as versioned JSON: the same checks on the way in and on the way out.

Nothing is ever built from a record but data: no class is looked up by a stored name, exceptions
stay text, and a record of a version not known here is refused whole. The form is described on
docs/reference/stored-records.md; whoever changes it, counts `VERSION` up and keeps reading the old.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from ._arguments import UNSET
from ._errors import InvalidJobId
from ._ids import checked_id
from ._json import LARGEST, NotPlain, check_plain, dumped, loaded, too_large
from ._portable import named, shown
from ._records import ErrorInfo, Progress, Transition
from ._status import RevokeCause
from ._store_errors import CorruptRecord, NewerFormat, Unstorable
from ._stored import Entry, JobRecord, Record

VERSION = 1

_LONGEST = {"reason": 8192, "error.reason": 1024, "error.message": 8192, "error.traceback": 24576}
"""Bytes of a text about an error, which is shortened to fit: no failure is too long to be told."""


def encoded(record: Record) -> str:
    """Return a record as JSON.

    Raises:
        Unstorable: something in it is no JSON, or it is too large or too deep; says where.
    """
    try:
        text = _shortly(record) if isinstance(record, Entry) else None
        if text is None:
            fields = _fields(record)
            _check(fields)
            text = dumped(fields)
        if len(text.encode()) > LARGEST:
            raise too_large()
    except NotPlain as bad:
        raise Unstorable(shown(job_id_of(record)).strip("'"), bad.path, bad.problem) from None
    return text


def decoded(text: str) -> Record:
    """Return the record that *text* holds. The names of statuses stay names.

    Raises:
        NewerFormat: a later release has written it.
        CorruptRecord: it is nothing that `encoded` gives; says where.
    """
    if type(text) is not str:
        raise CorruptRecord("the record", f"it is no text, but {type(text).__name__}")
    try:
        fields = loaded(text)
        if type(fields) is not dict:
            raise NotPlain("the record", "it is no object")
        _check_version(fields.get("v"))
        _check(fields)
    except NotPlain as bad:
        begins = _BEGINNING.match(text)
        if begins is not None:  # what a later release has written may be more than we can read
            _check_version(int(begins[1]))
        raise CorruptRecord(bad.path, bad.problem) from None
    return _MAKE[fields["kind"]](fields)


_BEGINNING = re.compile(r'\{"v":(\d{1,9})[,}]')


def _check_version(version: object) -> None:
    if type(version) is int and version > VERSION:
        raise NewerFormat("a stored record", version, VERSION)


def job_id_of(record: Record) -> str:
    """Return the id of the job that a record is about."""
    if isinstance(record, JobRecord):
        return record.id
    return record.transition.job_id if isinstance(record, Entry) else record.job_id


# --- from records to fields and back --------------------------------------------------------


def _fields(record: Record) -> dict[str, Any]:
    """Return the members of the object that a record becomes; what is null is left out."""
    if isinstance(record, JobRecord):
        fields = {
            "kind": "job",
            "job": record.id,
            "timestamp": record.timestamp,
            "name": record.name,
            "lifecycle": record.lifecycle,
            "status": named(record.status),
            "max_attempts": record.max_attempts,
            "info": _object(record.info),
            "extras": _object(record.extras),
            "data": record.data,
            "append_id": record.append_id,
        }
    elif isinstance(record, Entry):
        step = record.transition
        fields = {
            "kind": "transition",
            "job": step.job_id,
            "version": step.version,
            "trigger": step.trigger,
            "source": named(step.source),
            "dest": named(step.dest),
            "timestamp": step.timestamp,
            "attempt": step.attempt,
            "reason": _shortened("reason", step.reason),
            "error": None if step.error is None else _told(step.error),
            "cause": None if step.cause is None else str(step.cause),
            "delay": step.delay,
            "internal": step.internal,
            "final": record.final,
            "extras": _object(record.extras),
            "append_id": record.append_id,
        }
    else:
        fields = {
            "kind": "progress",
            "job": record.job_id,
            "version": record.version,
            "attempt": record.attempt,
            "progress": record.progress,
            "info": _object(record.info),
            "timestamp": record.timestamp,
        }
    given = {name: value for name, value in fields.items() if value is not None}
    if isinstance(record, Entry) and record.result is not UNSET:
        given["result"] = record.result  # None too, which is a result
    return {"v": VERSION, **given}


def _object(members: object) -> object:
    return dict(members) if isinstance(members, Mapping) else members


def _told(error: ErrorInfo) -> dict[str, Any]:
    names = ("reason", "message", "traceback")
    return {name: _shortened(f"error.{name}", getattr(error, name)) for name in names}


def _shortened(field: str, text: Any) -> Any:
    """Return a text about an error such that it can be kept: of a long one, beginning and end."""
    if not isinstance(text, str):
        return text
    short = text = text.encode("utf-8", "backslashreplace").decode()
    most = keep = _LONGEST[field]
    while len(dumped(short).encode()) > most:
        short = f"{text[: keep // 4]}\n[…]\n{text[-(keep // 2) :]}"
        keep //= 2
    return short


# A short way for transitions as most are: text, counts and flags where they belong, and nothing
# about errors or delays. Field by field a transition takes 13 µs, more than SQLite needs to write
# it; so it takes 3 (`python -m benchmarks --only store_writing`). There is no second truth in it:
# a test holds what it gives against the long way, which also finds the words for what is wrong.


def _shortly(entry: Entry) -> str | None:
    """Return the JSON of such a transition, or ``None`` where it has to go the long way."""
    step, final, append_id = entry.transition, entry.final, entry.append_id
    job, version, trigger, source, dest, timestamp, attempt, reason, *more, internal = step
    source, dest = named(source), named(dest)
    fields = job, version, trigger, timestamp, attempt, reason, internal, final, append_id
    if not (
        [*map(type, fields)] == _USUAL
        and more == _NOTHING_MORE
        and entry.extras is None
        and 0 < version < _TOO_MANY > attempt >= 0
        and trigger
        and source
        and dest
        and isfinite(timestamp)
        and len(reason) < 1000  # or it might have to be shortened
        and _is_id(job)
        and _is_id(append_id)
    ):
        return None
    text = (
        f'{{"v":{VERSION},"kind":"transition","job":"{job}","version":{version},'
        f'"trigger":{dumped(trigger)},"source":{dumped(source)},"dest":{dumped(dest)},'
        f'"timestamp":{timestamp!r},"attempt":{attempt},"reason":{dumped(reason)},'
        f'"internal":{_FLAGS[internal]},"final":{_FLAGS[final]},"append_id":"{append_id}"'
    )
    if not text.isascii():
        return None  # there might be half of a surrogate pair in it
    if entry.result is UNSET:
        return text + "}"
    check_plain(entry.result, "result", 2)
    return f'{text},"result":{dumped(entry.result)}}}'


_USUAL = [str, int, str, float, int, str, bool, bool, str]
_NOTHING_MORE = [None, None, None]
_TOO_MANY = 2**63
_FLAGS = ("false", "true")


def _job_record(fields: dict[str, Any]) -> JobRecord:
    del fields["v"], fields["kind"]
    return JobRecord(fields.pop("job"), **{"max_attempts": None, **fields})


def _entry(fields: dict[str, Any]) -> Entry:
    error, cause = fields.get("error"), fields.get("cause")
    step: Transition[str] = Transition(
        fields["job"],
        fields["version"],
        fields["trigger"],
        fields["source"],
        fields["dest"],
        fields["timestamp"],
        fields["attempt"],
        fields["reason"],
        None if error is None else ErrorInfo(**error),
        None if cause is None else RevokeCause(cause),
        fields.get("delay"),
        fields["internal"],
    )
    result = fields.get("result", UNSET)
    return Entry(step, fields["final"], result, fields.get("extras"), fields["append_id"])


def _progress(fields: dict[str, Any]) -> Progress:
    del fields["v"], fields["kind"]
    return Progress(fields.pop("job"), **fields)


_MAKE: dict[str, Callable[[dict[str, Any]], Record]] = {
    "job": _job_record,
    "transition": _entry,
    "progress": _progress,
}

# --- what may stand in the fields -----------------------------------------------------------


def _is_id(value: Any) -> bool:
    try:
        checked_id(value)
    except InvalidJobId:
        return False
    return True


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_name(value: Any) -> bool:
    return type(value) is str and value != ""


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_object(value: Any) -> bool:
    return type(value) is dict


def _is_error(value: Any) -> bool:
    texts = {"reason", "message", "traceback"}
    return type(value) is dict and set(value) == texts and all(map(_is_text, value.values()))


_Fields = dict[str, Callable[[Any], bool]]
_NEEDED: dict[str, _Fields] = {
    "job": {
        "timestamp": _is_number,
        "name": _is_text,
        "lifecycle": _is_text,
        "status": _is_name,
        "info": _is_object,
        "extras": _is_object,
        "append_id": _is_id,
    },
    "transition": {
        "version": lambda value: _is_count(value) and value > 0,
        "trigger": _is_name,
        "source": _is_name,
        "dest": _is_name,
        "timestamp": _is_number,
        "attempt": _is_count,
        "reason": _is_text,
        "internal": _is_flag,
        "final": _is_flag,
        "append_id": _is_id,
    },
    "progress": {
        "version": _is_count,
        "attempt": _is_count,
        "progress": lambda value: _is_number(value) and 0 <= value <= 100,
        "info": _is_object,
        "timestamp": _is_number,
    },
}
"""The fields that a record of each kind has, beside those that all have."""

_POSSIBLE: dict[str, _Fields] = {
    "job": {
        "max_attempts": lambda value: _is_count(value) and value > 0,
        "data": lambda value: value is not None,
    },
    "transition": {
        "error": _is_error,
        "cause": lambda value: value in tuple(RevokeCause),
        "delay": lambda value: _is_number(value) and value >= 0,
        "extras": _is_object,
        "result": lambda value: True,
    },
    "progress": {},
}
"""The fields that it may have, besides."""

_OF_ALL: _Fields = {"v": _is_count, "kind": _is_name, "job": _is_id}
_KNOWN = {kind: {**_OF_ALL, **_NEEDED[kind], **_POSSIBLE[kind]} for kind in _NEEDED}


def _check(fields: dict[str, Any]) -> None:
    """Raise `NotPlain` unless these are the members of a record."""
    kind = fields.get("kind")
    if type(kind) is not str or kind not in _NEEDED:
        raise NotPlain("kind", f"{shown(kind)[:60]} is no kind of record")
    if type(fields.get("v")) is not int or fields["v"] != VERSION:
        raise NotPlain("v", f"{shown(fields.get('v'))[:60]} is no version of a record")
    check_plain(fields)
    known = _KNOWN[kind]
    for name, value in fields.items():
        if name not in known or not known[name](value):
            raise NotPlain(name, f"{shown(value)[:60]} cannot stand there")
    for name in known:
        if name not in fields and name not in _POSSIBLE[kind]:
            raise NotPlain(name, "it is missing")
