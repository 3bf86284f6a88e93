"""A small orchestrator: runs functions as jobs, each one after those that it depends on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio

from jobstate import Job, JobStatus, Outcome, RevokeCause, all_completed, as_completed

Work = Callable[[Job[str]], Awaitable[str]]


class Orchestrator:
    """Runs jobs in the order that their dependencies ask for, a few at a time."""

    def __init__(self, *, limit: int) -> None:
        self._places = anyio.CapacityLimiter(limit)

    async def run(self, plan: Mapping[str, tuple[Work, Sequence[str]]]) -> list[Outcome[str]]:
        """Run a plan of ``{name: (work, names of what it comes after)}``; return how all ended."""
        jobs = {name: Job[str](name, max_attempts=2) for name in plan}
        try:
            async with anyio.create_task_group() as tasks:
                for name, (work, after) in plan.items():
                    tasks.start_soon(self._run_one, jobs[name], work, [jobs[n] for n in after])
        finally:
            for job in jobs.values():
                if job.outcome is None:  # this run was cancelled, or something in it broke
                    job.revoke_nowait("the orchestrator stopped", cause=RevokeCause.SHUTDOWN)
        return await all_completed(jobs.values())

    async def _run_one(self, job: Job[str], work: Work, needs: list[Job[str]]) -> None:
        async for need in as_completed(needs):
            if need.status is not JobStatus.SUCCESS:
                await job.fail(f"{need.id} ended {need.status}")
                return
        while job.outcome is None:
            async with self._places:
                await job.start()
                try:
                    result = await work(job)
                except Exception as error:
                    await job.retry(error)
                else:
                    await job.succeed(result)


async def load(job: Job[str]) -> str:
    """Fail at the first attempt, and work at the second."""
    if job.attempt == 1:
        raise ConnectionError("the database is starting")
    await anyio.sleep(0.01)  # stands for the real work
    return f"rows, at attempt {job.attempt}"


async def chart(job: Job[str]) -> str:
    """Work."""
    return "chart.svg"


async def price(job: Job[str]) -> str:
    """Fail at each attempt."""
    raise ValueError("no such column")


async def main() -> None:
    """Run a plan in which one job fails, and show how each one ended."""
    plan = {"mail": (chart, ["chart", "price"]), "chart": (chart, ["load"])}
    plan |= {"price": (price, ["load"]), "load": (load, [])}
    for outcome in await Orchestrator(limit=2).run(plan):
        print(outcome.job_id, outcome.status, outcome.result or outcome.error_message)


anyio.run(main)

# Prints:
# mail FAILURE price ended FAILURE
# chart SUCCESS chart.svg
# price FAILURE no such column
# load SUCCESS rows, at attempt 2
