"""What does it cost to make a job, and what does it weigh?"""

from __future__ import annotations

import gc
import tracemalloc

from jobstate import Job

from .measure import compared, table

COUNT = 5_000


class Slotted:
    """A bare object of four fields."""

    __slots__ = ("a", "b", "c", "d")

    def __init__(self, a: int, b: int, c: int, d: int) -> None:
        self.a, self.b, self.c, self.d = a, b, c, d


async def main() -> str:
    """Return the figures of both questions."""

    async def bare(count: int) -> None:
        kept = [Slotted(1, 2, 3, 4) for _ in range(count)]
        del kept

    async def ours(count: int) -> None:
        kept = [Job() for _ in range(count)]
        del kept

    figures = await compared({"a slotted object": (COUNT, bare), "jobstate.Job": (COUNT, ours)})
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    jobs = [Job() for _ in range(COUNT)]
    idle = tracemalloc.get_traced_memory()[0] - before
    for job in jobs:
        await job.start()
        await job.succeed()
    finished = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return "\n".join(
        (
            table("Making a job", figures, "a slotted object"),
            f"Memory of a job: {idle / COUNT:.0f} bytes idle, "
            f"{finished / COUNT:.0f} bytes finished, with its whole history",
        )
    )
