"""What neighbours of a job offer it: each interface, with its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from ._errors import Refused
from ._records import Transition
from ._status import Cancellation

if TYPE_CHECKING:
    from ._attempt import Attempt
    from ._job import Job


class Journal(Protocol):
    """Keeps the transitions of a job somewhere safer than memory."""

    async def append(self, transition: Transition[Any]) -> None:
        """Write the transition down, just before the job's status changes.

        The job hears of nothing until this returns, and nobody hears of the job. Once called it
        runs to its end, however the trigger's caller is cancelled. What it raises refuses the
        transition: then it must have written nothing, and the job stays as it was.
        """


class Executor(Protocol):
    """Runs the work of jobs for a `JobRunner`: in tasks, in threads, or wherever you like."""

    limit: int | None
    """How many attempts it can run at once; ``None`` means any number. The runner sees to it."""

    def check(self, function: Any, args: tuple[Any, ...]) -> None:
        """Return if it can run this; the runner asks when the work is submitted.

        Raises:
            UnsuitableWork: it can never run this.
        """

    async def run(self, function: Any, args: tuple[Any, ...], attempt: Attempt) -> Any:
        """Do the work once: return its result, or raise what it raises.

        `current_job` is *attempt* in the caller's context. An executor that can stop the work
        says how by ``attempt.when_stopped``, and returns or raises anything once it has: raises
        `StopRequested`, where the work has nothing else to say. Cancelled, it leaves at once: work
        that can be ended by force is, and work that cannot is left to itself.
        """

    async def aclose(self) -> None:
        """End what the executor keeps between attempts. The runner that made it calls this."""


class Worker(Protocol):
    """Whoever runs the work of a job, and can be asked to stop it."""

    async def cancel(self, job: Job[Any, Any], reason: str) -> Cancellation:
        """Ask for the work of *job* to stop, and return what came of it; see `Job.cancel`."""
        ...


Happening = Literal["transitioned", "refused", "hook_failed"]
"""What observers are told of: the name of the method that is called."""


class Observer:
    """Listens to every job, and never steers: override what is of interest.

    The methods are called in the job's own task, right when things happen; they must be quick.
    What they raise is logged and goes no further.
    """

    def listens(self, to: Happening) -> bool:
        """Return whether this is to be told now; asked before each of the others is called."""
        return True

    def transitioned(self, job: Job[Any, Any], transition: Transition[Any], seconds: float) -> None:
        """Hear of a transition just committed, after *seconds* in the status before it."""

    def refused(self, job: Job[Any, Any], trigger: str, error: Refused) -> None:
        """Hear of a trigger that was refused, by the lifecycle or by a guard."""

    def hook_failed(
        self, job: Job[Any, Any], trigger: str, hook: str, error: BaseException
    ) -> None:
        """Hear of a guard or hook that raised: before the commit, which it stopped, or after it."""
