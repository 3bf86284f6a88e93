"""What is kept of a job's work, so that another process can do it: names and JSON, never code.

A function stands there by the name that it is registered under, and is found by that alone: nothing
is imported because a store names it. So what can be kept has to be registered first.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ._command import Command, CommandResult
from ._json import dumped
from ._portable import shown
from ._retry import Retry
from ._run_errors import UnsuitableWork
from ._store_errors import NewerFormat, NotRestorable
from ._stored import Entry

VERSION = 1

Functions = Iterable[Callable[..., Any]] | Mapping[str, Any]
"""Functions by names, or such as have a name of their own."""


class Registered:
    """What may be named in a store: functions, types of exceptions, executors.

    Raises:
        ValueError: two have one name, or one has none.
        TypeError: these are no functions.
    """

    def __init__(self, functions: Functions, executors: Mapping[str, Any]) -> None:
        self._executors = executors
        self._by_name: dict[str, Any] = {}
        if isinstance(functions, Mapping):
            named = list(functions.items())
        elif isinstance(functions, Iterable):
            named = [(getattr(each, "__qualname__", ""), each) for each in functions]
        else:
            raise TypeError(f"functions={functions!r}: a list of them, or a mapping of names")
        for name, thing in named:
            if not isinstance(name, str) or not name:
                raise ValueError(f"functions: {shown(thing)} has no name; give a mapping of names")
            if name in self._by_name or name in executors:
                raise ValueError(f"functions: the name {name!r} stands for two; give a mapping")
            self._by_name[name] = thing

    def name_of(self, thing: Any, work: str) -> str:
        """Return the name of something that *work* needs.

        Raises:
            UnsuitableWork: it has none.
        """
        for name, known in (*self._executors.items(), *self._by_name.items()):
            if known is thing or known == thing:
                return name
        problem = (
            f"{shown(thing)} is not registered, so that it could not be found again after a crash; "
            "what a runner with a store runs is given to JobRunner(functions=[…])"
        )
        raise UnsuitableWork(work, problem)

    def find(self, name: Any) -> Any:
        """Return what the user has given that name.

        Raises:
            Unregistered: it stands for nothing.
        """
        return _found(name, self._by_name)

    def executor(self, name: Any) -> Any:
        """Return the executor of that name, the runner's or the user's.

        Raises:
            Unregistered: it stands for nothing.
        """
        return _found(name, {**self._executors, **self._by_name})


class Unregistered(Exception):
    """A name stands for nothing here."""


def _found(name: Any, named: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or name not in named:
        known = ", ".join(named) or "nothing"
        raise Unregistered(
            f"{shown(name)} is not registered, but {known}: JobRunner(functions=[…])"
        )
    return named[name]


@dataclass(slots=True, kw_only=True)
class Recipe:
    """How the work of a job is done."""

    function: Any
    args: tuple[Any, ...] = ()
    executor: Any = None
    """Where it runs; ``None`` means where such functions do."""

    retry: Retry | None = None
    timeout: float | None = None
    attempt_timeout: float | None = None
    priority: int = 0
    resources: Mapping[str, int] = field(default_factory=dict)
    after: Mapping[str, bool] = field(default_factory=dict)
    """The ids of jobs that it waits for; whether each of them has to succeed."""


_LONGEST_OUTPUT = 16 * 1024
"""Bytes of a command's output that are kept."""

_PLAIN = ("timeout", "attempt_timeout", "priority")
"""What is written as it is."""

_OF_RETRY = tuple(each.name for each in fields(Retry) if each.name != "on")


def written(recipe: Recipe, registered: Registered, work: str) -> dict[str, Any]:
    """Return a recipe as JSON, but for arguments that are none: of these the store will tell.

    Raises:
        UnsuitableWork: something that *work* needs is not registered.
    """
    kept: dict[str, Any] = {"v": VERSION, **{name: getattr(recipe, name) for name in _PLAIN}}
    function, retry = recipe.function, recipe.retry
    if isinstance(function, Command):
        registered.name_of(Command, work)
        kept["command"] = _command_written(function, registered, work)
    else:
        kept["function"] = registered.name_of(function, work)
    kept["args"] = list(recipe.args)
    if recipe.executor is not None:
        kept["executor"] = registered.name_of(recipe.executor, work)
    if retry is not None:
        kept["retry"] = {name: getattr(retry, name) for name in _OF_RETRY}
        if retry.on is not Exception:
            wanted = retry.on if isinstance(retry.on, tuple) else [retry.on]
            kept["retry"]["on"] = [registered.name_of(each, work) for each in wanted]
    kept["resources"] = dict(recipe.resources)
    kept["after"] = dict(recipe.after)
    return {name: value for name, value in kept.items() if value not in (None, {}, [])}


def is_recipe(data: Any) -> bool:
    """Whether a runner has kept this; other jobs of a store are nobody's to run."""
    return isinstance(data, dict) and "runner" in data


def read(data: dict[str, Any], registered: Registered, job_id: str) -> Recipe:
    """Return the recipe that was written.

    Raises:
        NotRestorable: something in it is not registered, or it is no recipe.
        NewerFormat: a later release has written it.
    """
    version = data.get("v")
    if isinstance(version, int) and version > VERSION:
        raise NewerFormat(f"the work of job {job_id}", version, VERSION)
    try:
        if type(version) is not int or type(data.get("args", [])) is not list:
            raise TypeError("its version is no whole number, or its arguments are no list")
        if "command" in data:
            registered.find(Command.__qualname__)
            function: Any = _command_read(data["command"], registered)
        else:
            function = registered.find(data["function"])
        return Recipe(
            **{name: data[name] for name in _PLAIN if name in data},
            function=function,
            args=tuple(data.get("args", ())),
            executor=registered.executor(data["executor"]) if "executor" in data else None,
            retry=_retry_read(data["retry"], registered) if "retry" in data else None,
            resources=dict(data.get("resources", {})),
            after=dict(data.get("after", {})),
        )
    except Unregistered as error:
        raise NotRestorable(job_id, str(error)) from None
    except (KeyError, AttributeError, TypeError, ValueError, UnsuitableWork) as error:
        raise NotRestorable(job_id, f"what was kept of its work cannot be read: {error}") from error


def kept_output(entry: Entry) -> Entry:
    """Return a step such that what a command has printed does not make it too large to be kept.

    Of a long output, the end is kept; a `CommandResult` becomes the object of its fields.
    """
    result, extras = entry.result, entry.extras
    if isinstance(result, CommandResult):
        result = {"exit_code": result.exit_code, "output": _end_of(result.output)}
    if extras is not None and isinstance(extras.get("output"), str):
        extras = {**extras, "output": _end_of(extras["output"])}
    if result is entry.result and extras is entry.extras:
        return entry
    return replace(entry, result=result, extras=extras)


def _end_of(output: str) -> str:
    end = output
    while len(dumped(end).encode()) > _LONGEST_OUTPUT:
        end = end[-(len(end) * 3 // 4) :]
    return end


def _retry_read(kept: dict[str, Any], registered: Registered) -> Retry:
    options = {name: kept[name] for name in _OF_RETRY if name in kept}
    if "on" in kept:
        wanted = [registered.find(name) for name in kept["on"]]
        are_types = all(isinstance(one, type) for one in wanted)
        if not are_types and len(wanted) != 1:
            raise TypeError("retry.on is neither exceptions nor one function")
        options["on"] = tuple(wanted) if are_types else wanted[0]
    return Retry(**options)


def _command_written(command: Command, registered: Registered, work: str) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "argv": list(command.argv),
        "cwd": command.cwd,
        "env": None if command.env is None else dict(command.env),
        "input": None if command.input is None else b64encode(command.input).decode(),
        "success": list(command.success),
        "tail": command.tail,
    }
    if command.progress is not None:
        kept["progress"] = registered.name_of(command.progress, work)
    return kept


def _command_read(kept: dict[str, Any], registered: Registered) -> Command:
    options = {name: kept[name] for name in ("cwd", "env", "success", "tail")}
    if kept["input"] is not None:
        options["input"] = b64decode(kept["input"])
    if "progress" in kept:
        options["progress"] = registered.find(kept["progress"])
    return Command(*kept["argv"], **options)
