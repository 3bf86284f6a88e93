"""An orchestrator of one's own: tasks, each run once those that it needs have succeeded."""

from collections.abc import Awaitable, Callable, Mapping
from graphlib import TopologicalSorter
from typing import NamedTuple

import anyio

from jobstate import Job, JobRunner, Retry, Transition, current_job


class Task(NamedTuple):
    """An async function, and the names of the tasks whose results it is called with."""

    function: Callable[..., Awaitable[str]]
    needs: tuple[str, ...] = ()
    retry: Retry | None = None


async def run(tasks: Mapping[str, Task], *, limit: int) -> Mapping[str, Job[str]]:
    """Run all tasks, so many at a time, and print each step; return their jobs by name."""
    order = TopologicalSorter({name: task.needs for name, task in tasks.items()})
    jobs: dict[str, Job[str]] = {}

    async def work(task: Task) -> str:
        return await task.function(*(jobs[need].result for need in task.needs))

    async def tell(runner: JobRunner) -> None:
        async with runner.jobs.changes(past=True) as changes:
            async for change in changes:
                if isinstance(change, Transition):
                    why = change.error.message if change.error else ""
                    print(f"{change.job_id:5} {change.dest:8} {why}".rstrip())

    async with anyio.create_task_group() as readers, JobRunner(limit=limit) as runner:
        readers.start_soon(tell, runner)
        for name in tuple(order.static_order()):  # raises CycleError before anything runs
            task, needs = tasks[name], [jobs[need] for need in tasks[name].needs]
            jobs[name] = await runner.submit(work, task, id=name, after=needs, retry=task.retry)
    return jobs


async def load() -> str:
    """Fail at the first attempt, and work at the second."""
    if current_job().attempt == 1:
        raise ConnectionError("the server is starting")
    return "rows"


async def chart(*parts: str) -> str:
    """Work on what other tasks gave."""
    return f"chart of {', '.join(parts)}"


async def price(rows: str) -> str:
    """Fail at each attempt."""
    raise ValueError(f"no price in {rows}")


async def main() -> None:
    """Run four tasks, one of which fails; what needs it is never tried."""
    tasks = {"book": Task(chart, ("chart", "price")), "chart": Task(chart, ("load",))}
    tasks |= {"price": Task(price, ("load",)), "load": Task(load, retry=Retry(first_delay=0))}
    print((await run(tasks, limit=2))["chart"].result)


anyio.run(main)

# Prints:
# load  STARTED
# load  RETRY    the server is starting
# load  STARTED
# load  SUCCESS
# chart STARTED
# chart SUCCESS
# price STARTED
# price FAILURE  no price in rows
# book  FAILURE  job price, which it comes after, is FAILURE: ValueError: no price in rows
# chart of rows
