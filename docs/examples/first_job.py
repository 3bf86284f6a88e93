"""One job: somebody does the work, somebody else waits for it."""

import anyio

from jobstate import Job


async def publish(job: Job[int]) -> None:
    """Do the work, and tell the job how it goes."""
    await job.start()
    for part in range(1, 5):
        await anyio.sleep(0.01)  # stands for the real work
        job.report(progress=25 * part)
    await job.succeed(result=1_000)


async def main() -> None:
    """Start the work, and wait until the job has ended."""
    job = Job[int](name="publish data.csv")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish, job)
        print(job.status, f"{job.progress:.0f} %")
        outcome = await job.completed()
        print(outcome.status, f"{job.progress:.0f} %")
        print(outcome.value(), "rows")


anyio.run(main)

# Prints:
# PENDING 0 %
# SUCCESS 100 %
# 1000 rows
