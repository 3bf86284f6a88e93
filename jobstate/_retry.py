"""Whether an attempt that failed is followed by another one, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ._arguments import number

Wanted = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often the work of a job is tried, and how long to wait in between.

    The waits grow by *factor* up to *max_delay* (exponential backoff), and a random part of each is
    left out, so that jobs which failed together do not come back together.
    """

    attempts: int | None = 3
    """How many in all; ``None`` means without limit."""

    first_delay: float = 1.0
    """Seconds between the first attempt and the second."""

    factor: float = 2.0
    """How many times longer each wait is than the one before."""

    max_delay: float = 60.0
    """Seconds that no wait exceeds."""

    jitter: float = 0.25
    """The largest part of a wait that is left out at random, from 0 to 1."""

    on: Wanted = Exception
    """The exceptions that are worth another attempt: their types, or what tells them."""

    def __post_init__(self) -> None:
        if self.attempts is not None and (type(self.attempts) is not int or self.attempts < 1):
            raise ValueError(f"attempts={self.attempts!r}: a whole number from 1 on, or None")
        lowest = {"first_delay": 0.0, "factor": 1.0, "max_delay": 0.0, "jitter": 0.0}
        for name, least in lowest.items():
            given = number(getattr(self, name))
            if given is None or given < least or (name == "jitter" and given > 1):
                upto = " to 1" if name == "jitter" else " on"
                raise ValueError(f"{name}={getattr(self, name)!r}: a number from {least:g}{upto}")
        kinds = self.on if isinstance(self.on, tuple) else (self.on,)
        types = all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds)
        if not types and (isinstance(self.on, (tuple, type)) or not callable(self.on)):
            raise TypeError(f"on={self.on!r}: types of exceptions, or a function that tells them")

    def wants(self, error: Exception) -> bool:
        """Return whether an attempt that ended with *error* is worth another one."""
        if isinstance(self.on, (tuple, type)):
            return isinstance(error, self.on)
        return bool(self.on(error))

    def delay(self, attempt: int, random: Random) -> float:
        """Return the seconds to wait after that attempt, counted from 1 on."""
        try:
            longest = min(self.max_delay, self.first_delay * self.factor ** (attempt - 1))
        except OverflowError:
            longest = self.max_delay
        return longest * (1 - self.jitter * random.random())
