"""Put a lifecycle of one's own, with its guards and hooks, through what could happen to it."""

from ._explore import ExplorationFailed, Explored, explore
from ._schedule import Deadlock, run_seeded

__all__ = ["Deadlock", "ExplorationFailed", "Explored", "explore", "run_seeded"]
