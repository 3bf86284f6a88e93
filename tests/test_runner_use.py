"""What a newcomer tries with a runner: it works, or the error says what to do instead."""

from __future__ import annotations

import pytest

from jobstate import JobRunner, UnsuitableWork
from jobstate.blocking import BlockingJobs

pytestmark = pytest.mark.anyio


class Fetch:
    """Work that is an object which can be called."""

    async def __call__(self):
        return "fetched"


async def fetch():
    return "fetched"


async def test_an_object_that_can_be_called_is_named_after_its_class():
    """A name for people has no address in it."""
    async with JobRunner() as runner:
        job = await runner.submit(Fetch())
    assert (job.name, job.result) == ("Fetch", "fetched")


@pytest.mark.parametrize("after", [5, None, object()])
async def test_what_is_no_list_of_jobs_is_refused(after):
    """The error says what is wanted, and no job is made."""
    async with JobRunner() as runner:
        for option in ("after", "after_end"):
            with pytest.raises(UnsuitableWork, match="must be a list of jobs, or of their ids"):
                await runner.submit(fetch, **{option: after})
        assert len(runner.jobs) == 0


async def test_what_is_no_executor_is_refused():
    """An executor is an object, and no name of one."""
    async with JobRunner() as runner:
        wanted = "cannot run fetch: executor='threads' must be an executor, such as"
        with pytest.raises(UnsuitableWork, match=wanted):
            await runner.submit(fetch, executor="threads")
        assert len(runner.jobs) == 0


def test_a_blocking_job_alone_is_no_list_of_jobs():
    """It is refused in the same words as elsewhere."""
    with BlockingJobs() as jobs:
        first = jobs.submit(fetch)
        with pytest.raises(UnsuitableWork, match="must be a list of jobs, or of their ids"):
            jobs.submit(fetch, after=first)
        assert jobs.submit(fetch, after=[first]).result(10) == "fetched"
