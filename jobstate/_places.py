"""Where the work of a runner is done, and what it takes: executors, places and resources."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import iscoroutine, iscoroutinefunction
from typing import Any

from ._command import Command
from ._options import check_executor, check_options, units_of, work_name
from ._recipe import Recipe
from ._run_errors import ImpossibleDemand, UnsuitableWork
from .abc import Executor
from .executors.commands import Commands
from .executors.processes import Processes
from .executors.tasks import Tasks
from .executors.threads import Threads

_PLACE = object()
"""What each attempt takes one of, where the runner has a limit."""


class Places:
    """What one runner has to run work with; the arguments are those of a `JobRunner`."""

    def __init__(
        self,
        limit: int | None,
        resources: Mapping[str, int] | None,
        threads: int,
        processes: int | None,
    ) -> None:
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"limit={limit!r}: a whole number from 1 on, or None for no limit")
        self._resources = units_of(resources or {}, "JobRunner")
        self.tasks, self.threads = Tasks(), Threads(threads)
        self.processes, self.commands = Processes(processes), Commands()
        self.free: dict[Any, int] = dict(self._resources)
        """How much there is of all that work can take."""

        if limit is not None:
            self.free[_PLACE] = limit
        self._demands: dict[Executor, Mapping[Any, int]] = {}
        """What jobs ask for that take no resources, shared by all that run in the same way."""

    @property
    def executors(self) -> dict[str, Executor]:
        """The ways to run work, by the names that they have in a store."""
        return {
            "processes": self.processes,
            "commands": self.commands,
            "threads": self.threads,
            "tasks": self.tasks,
        }

    def checked(self, recipe: Recipe) -> tuple[Executor, Mapping[Any, int]]:
        """Return where some work is to run, and what it takes.

        Raises:
            UnsuitableWork: it cannot be run, or an option makes no sense.
            ImpossibleDemand: there is less of a resource than it asks for.
        """
        function, executor = recipe.function, recipe.executor
        if executor is None:
            executor = self._executor_for(function)
        check_executor(executor, function)
        executor.check(function, recipe.args)
        timeouts = {"timeout": recipe.timeout, "attempt_timeout": recipe.attempt_timeout}
        check_options(function, recipe.priority, timeouts, recipe.retry)
        simple = self._demands.setdefault(executor, {_PLACE: 1, executor: 1})
        if not recipe.resources:
            return executor, simple
        units = units_of(recipe.resources, "submit")
        for resource, asked in units.items():
            there = self._resources.get(resource)
            if there is None or asked > there:
                raise ImpossibleDemand(resource, asked, there)
        return executor, {**simple, **units}

    def _executor_for(self, function: Any) -> Executor:
        if isinstance(function, Command):
            return self.commands
        if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
            return self.tasks
        if callable(function):
            return self.threads
        if iscoroutine(function):
            function.close()
            problem = "it is a coroutine; submit the async function itself, and its arguments"
        else:
            problem = "it is no function; a command line is Command('make', '-j2')"
        raise UnsuitableWork(work_name(function), problem)

    async def aclose(self) -> None:
        """End what the executors keep between attempts."""
        for executor in self.executors.values():
            await executor.aclose()
