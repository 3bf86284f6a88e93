"""A lifecycle with a guard and hooks, and a job that succeeds at its third attempt."""

import anyio

from jobstate import JOB_LIFECYCLE, GuardRefused, Job, JobStatus, TransitionEvent

printers = ["laser"]
lifecycle = JOB_LIFECYCLE.derive("print")


@lifecycle.guard("start")
async def a_printer_is_free(event: TransitionEvent[JobStatus]) -> bool:
    """Let a job start only while there is a printer for it."""
    return len(printers) > 0


@lifecycle.on_enter(JobStatus.STARTED)
def take_a_printer(event: TransitionEvent[JobStatus]) -> None:
    """Reserve a printer as soon as the attempt has begun."""
    printers.pop()


@lifecycle.on_exit(JobStatus.STARTED)
def give_it_back(event: TransitionEvent[JobStatus]) -> None:
    """Free the printer before whatever ends the attempt."""
    printers.append("laser")


@lifecycle.after("retry")
async def tell_about_the_failure(event: TransitionEvent[JobStatus]) -> None:
    """Say what went wrong, whether another attempt follows or not."""
    assert event.transition is not None
    print(f"attempt {event.transition.attempt}: {event.transition.reason} -> {event.dest}")


def print_page(attempt: int) -> int:
    """Print, or fail to do so twice."""
    if attempt < 3:
        raise OSError("paper jam")
    return 12


async def run(job: Job[int]) -> None:
    """Try until the job is done, or has no attempt left."""
    while job.outcome is None:
        await job.start()
        try:
            pages = print_page(job.attempt)
        except OSError as error:
            await job.retry(error)
        else:
            await job.succeed(pages)


async def main() -> None:
    """Print once; then try to start two jobs with one printer."""
    job = Job[int]("print-1", lifecycle=lifecycle, max_attempts=3)
    job.on(JobStatus.SUCCESS, lambda event: print(f"{event.job.id} is done"))
    await run(job)
    print(await job, "pages after", job.attempt, "attempts")

    one, two = (Job[int](f"print-{n}", lifecycle=lifecycle) for n in (2, 3))
    await one.start()
    try:
        await two.start()
    except GuardRefused as refused:
        print(refused)


anyio.run(main)

# Prints:
# attempt 1: OSError: paper jam -> RETRY
# attempt 2: OSError: paper jam -> RETRY
# print-1 is done
# 12 pages after 3 attempts
# job print-3 is PENDING: cannot start: guard a_printer_is_free of the way to STARTED answered False
