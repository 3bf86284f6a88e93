"""Put lifecycles of one's own, with their guards and hooks, and stores to what could happen."""

from ._explore import ExplorationFailed, Explored, explore
from ._schedule import Deadlock, run_seeded
from ._store_durable import OpenStore
from ._stores import DURABLE_STORE_CHECKS, STORE_CHECKS, DurableStoreCheck, StoreCheck

__all__ = [
    "DURABLE_STORE_CHECKS",
    "STORE_CHECKS",
    "Deadlock",
    "DurableStoreCheck",
    "ExplorationFailed",
    "Explored",
    "OpenStore",
    "StoreCheck",
    "explore",
    "run_seeded",
]
