"""All questions, in the order in which they are asked."""

from __future__ import annotations

from . import (
    creation,
    growth_jobs,
    growth_subscribers,
    growth_waiters,
    hooks,
    idle,
    latency,
    many,
    memory,
    processes,
    queued,
    running,
    stopping,
    store_memory,
    store_opening,
    store_waking,
    store_writing,
    submitting,
    threads,
    transition,
    waiting,
)
from .measure import Question

QUESTIONS: tuple[Question, ...] = (
    transition.QUESTION,
    hooks.QUESTION,
    creation.QUESTION,
    memory.QUESTION,
    waiting.QUESTION,
    latency.QUESTION,
    many.QUESTION,
    growth_jobs.QUESTION,
    growth_waiters.QUESTION,
    growth_subscribers.QUESTION,
    idle.QUESTION,
    running.QUESTION,
    threads.QUESTION,
    processes.QUESTION,
    queued.QUESTION,
    submitting.QUESTION,
    stopping.QUESTION,
    store_writing.QUESTION,
    store_waking.QUESTION,
    store_opening.QUESTION,
    store_memory.QUESTION,
)
