"""Does a subscriber cost more among many that follow one job?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from jobstate import Job

from .measure import (
    Contender,
    Effort,
    Goal,
    Measurement,
    Question,
    Stopwatch,
    in_tasks,
    in_turn,
    settled,
)

SIZES = (1, 10, 100, 1_000)
STEPS = 20
OURS, STREAMS = "job.changes()", "an anyio memory stream each"


async def measure(backend: str, effort: Effort) -> list[Measurement]:
    """Return seconds a subscriber and transition, of so many that follow one job."""

    async def ours(count: int, watch: Stopwatch) -> None:
        job = Job()

        async def follow() -> None:
            async with job.changes() as changes:
                async for _ in changes:
                    pass

        async def steps() -> None:
            await settled()
            with watch:
                for _ in range(STEPS // 2):
                    await job.start()
                    await settled()
                    await job.requeue()
                    await settled()
            await job.fail("over")

        await in_tasks(backend, [follow] * count + [steps], lambda: None)
        watch.seconds /= STEPS

    async def streams(count: int, watch: Stopwatch) -> None:
        pairs = [anyio.create_memory_object_stream[int](1) for _ in range(count)]

        def follows(stream: MemoryObjectReceiveStream[int]) -> Callable[[], Awaitable[None]]:
            async def follow() -> None:
                async with stream:
                    async for _ in stream:
                        pass

            return follow

        async def steps() -> None:
            await settled()
            with watch:
                for step in range(STEPS):
                    for send, _ in pairs:
                        send.send_nowait(step)
                    await settled()
            for send, _ in pairs:
                send.close()

        waits = [follows(receive) for _, receive in pairs]
        await in_tasks(backend, [*waits, steps], lambda: None)
        watch.seconds /= STEPS

    found = []
    for size in effort.sizes(*SIZES):
        contenders = [Contender(STREAMS, size, streams), Contender(OURS, size, ours)]
        rounds = Effort(effort.rounds, 1.0, effort.largest, effort.watched)
        found += await in_turn("growth_subscribers", backend, rounds, contenders, size=size)
    return found


QUESTION = Question(
    "growth_subscribers",
    "From one subscriber of a job to 1,000",
    measure,
    "Seconds a subscriber and transition: so many tasks follow `job.changes()`, and each "
    "transition is read by all before the next is made.",
    (Goal("flat: ≤ 1.5 × from 10 to 1,000", 1.5, OURS, growth=(10, 1_000)),),
    (STREAMS,),
)
