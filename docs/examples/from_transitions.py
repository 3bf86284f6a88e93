"""A machine of the `transitions` library as the lifecycle of jobs."""

import anyio
from transitions import Machine

from jobstate import Job, JobStatus, Lifecycle

machine = Machine(
    model=None,
    states=[
        "waiting",
        "baking",
        {"name": "baked", "final": True, "on_enter": "ring_the_bell"},
        {"name": "burnt", "final": True},
    ],
    initial="waiting",
    transitions=[
        {"trigger": "bake", "source": "waiting", "dest": "baking"},
        {"trigger": "look", "source": "baking", "dest": "baked", "conditions": "is_brown"},
        {"trigger": "look", "source": "baking", "dest": None},
        {"trigger": "forget", "source": "baking", "dest": "burnt"},
    ],
    auto_transitions=False,
)

BAKING = Lifecycle.from_transitions(
    machine,
    name="baking",
    means={
        "baking": JobStatus.STARTED,
        "baked": JobStatus.SUCCESS,
        "burnt": JobStatus.FAILURE,
    },
)


class Loaf(Job[str, str], lifecycle=BAKING):
    """A loaf of bread; the callbacks that the machine names are its methods."""

    def is_brown(self, minutes: int, **_: object) -> bool:
        """Answer the guard, called with what the trigger was called with."""
        return minutes >= 40

    async def ring_the_bell(self, minutes: int, **_: object) -> None:
        """Hear that the loaf is ready."""
        print(f"ready after {minutes} minutes")


async def main() -> None:
    """Look twice into the oven."""
    loaf = Loaf("loaf-1")
    await loaf.trigger("bake")
    step = await loaf.trigger("look", 20)
    print(step.source, "->", step.dest)
    step = await loaf.trigger("look", 45, result="a loaf")
    print(step.source, "->", step.dest)
    print(await loaf)


anyio.run(main)

# Prints:
# baking -> baking
# ready after 45 minutes
# baking -> baked
# a loaf
