"""Follow a job: every transition in order, and the newest progress."""

import anyio

from jobstate import Job, Progress, Transition


async def count(job: Job[int]) -> None:
    """Report often; who reads slowly gets the newest report only."""
    await job.start()
    for rows in range(1, 101):
        job.report(progress=rows, info={"rows": rows})
        if rows % 50 == 0:
            await anyio.wait_all_tasks_blocked()  # let the reader catch up
    await job.succeed(100)


async def main() -> None:
    """Print each change until the job has ended."""
    job = Job[int]("count-1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count, job)
        async with job.changes() as changes:
            async for change in changes:
                match change:
                    case Transition():
                        print(f"v{change.version} {change.source} -> {change.dest}")
                    case Progress():
                        print(f"   {change.progress:.0f} %, {change.info['rows']} rows")


anyio.run(main)

# Prints:
# v1 PENDING -> STARTED
#    50 %, 50 rows
#    100 %, 100 rows
# v2 STARTED -> SUCCESS
