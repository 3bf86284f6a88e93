"""A wait with a deadline. The deadline belongs to the wait: the job does not notice it."""

import anyio

from jobstate import Job, RevokeCause


async def export(job: Job[str], more_paper: anyio.Event) -> None:
    """Do the first half of the work, then wait for paper."""
    await job.start()
    job.report(progress=50)
    await more_paper.wait()
    await job.succeed("report.pdf")


async def main() -> None:
    """Wait too short a time, then long enough; then give a job a deadline of its own."""
    job = Job[str]("export-7")
    more_paper = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(export, job, more_paper)

        try:
            with anyio.fail_after(0.01):
                await job.completed()
        except TimeoutError:
            print("not yet:", job.status, f"{job.progress:.0f} %")

        more_paper.set()
        with anyio.fail_after(60):
            print(await job)

    late = Job[str]("export-8")
    await late.start()
    with anyio.move_on_after(0.01):
        await late.completed()
    if late.outcome is None:
        await late.revoke("ten milliseconds were all it had", cause=RevokeCause.TIMEOUT)
    outcome = await late.completed()
    print(outcome.status, "by", outcome.cause, "-", outcome.reason)


anyio.run(main)

# Prints:
# not yet: STARTED 50 %
# report.pdf
# REVOKED by TIMEOUT - ten milliseconds were all it had
