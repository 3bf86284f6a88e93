"""A lifecycle of one's own: other statuses, other triggers, and a job that can be paused."""

from enum import StrEnum

import anyio

from jobstate import Job, JobStatus, Lifecycle, TransitionRefused


class Phase(StrEnum):
    """Where an encoding stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DONE = "DONE"
    BROKEN = "BROKEN"
    DROPPED = "DROPPED"


ENCODING = Lifecycle[Phase](
    "encoding",
    states=[
        Phase.QUEUED,
        Phase.RUNNING,
        Phase.PAUSED,
        {"name": Phase.DONE, "final": True},
        {"name": Phase.BROKEN, "final": True},
        {"name": Phase.DROPPED, "final": True},
    ],
    transitions=[
        {"trigger": "start", "source": Phase.QUEUED, "dest": Phase.RUNNING},
        {"trigger": "pause", "source": Phase.RUNNING, "dest": Phase.PAUSED},
        {"trigger": "resume", "source": Phase.PAUSED, "dest": Phase.RUNNING},
        {"trigger": "succeed", "source": Phase.RUNNING, "dest": Phase.DONE},
        {"trigger": "fail", "source": Phase.RUNNING, "dest": Phase.BROKEN},
        {"trigger": "drop", "source": [Phase.QUEUED, Phase.PAUSED], "dest": Phase.DROPPED},
    ],
    means={
        Phase.RUNNING: JobStatus.STARTED,
        Phase.DONE: JobStatus.SUCCESS,
        Phase.BROKEN: JobStatus.FAILURE,
        Phase.DROPPED: JobStatus.REVOKED,
    },
)


class Encoding(Job[str, Phase], lifecycle=ENCODING):
    """The encoding of one film; its result is the name of a file."""

    async def pause(self) -> None:
        """Stop for a while; the attempt goes on with `resume`."""
        await self.trigger("pause")

    async def resume(self) -> None:
        """Go on where the attempt was paused."""
        await self.trigger("resume")


async def main() -> None:
    """Pause an encoding, resume it, and let it finish."""
    job = Encoding("film-3")
    await job.start()
    job.report(progress=40)
    await job.pause()
    print(job.status, f"{job.progress:.0f} %, attempt {job.attempt}")
    try:
        await job.succeed("film.mp4")
    except TransitionRefused as refused:
        print(refused)
    await job.resume()
    print(job.status, f"{job.progress:.0f} %, attempt {job.attempt}")
    await job.succeed("film.mp4")
    print(job.status, await job)


anyio.run(main)

# Prints:
# PAUSED 40 %, attempt 1
# job film-3 is PAUSED: cannot succeed; possible: drop, resume
# RUNNING 40 %, attempt 1
# DONE film.mp4
