"""How those who follow a SQLite store are woken, by whoever has committed: here or elsewhere.

Other processes ring (see `_doorbell`), this one's writer says so itself. Then the thread that reads
looks how far the store has come since it looked last, and wakes those whose jobs have moved. Rings
that come before it has looked are heard as one.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from typing import cast

from . import _sqlite_reading as reading
from ._doorbell import Doorbell
from ._feeds import Feeds
from ._sqlite_file import File

_log = logging.getLogger("jobstate")


class Waking:
    """The bell of a store, as long as it has threads, and what has been heard by it.

    Args:
        file: whose folder the bell is in.
        feeds: who follows.
        tell: has the thread that reads do some work, or the second called where it cannot.
    """

    def __init__(
        self,
        file: File,
        feeds: Feeds,
        tell: Callable[[Callable[[sqlite3.Connection], object], Callable[[], object]], object],
    ) -> None:
        self._file, self._feeds, self._tell = file, feeds, tell
        self._lock = threading.Lock()
        self._bell: Doorbell | None = None
        self._threads = 0
        self._heard: int | None = None
        """How far the store had come when those who follow were woken last."""

        self._looking = False
        self.backstop_hits = 0
        """How often something was found for which nobody had rung."""

    def enter(self) -> None:
        """Hear that a thread is about to connect: it is to `leave` in any case."""
        with self._lock:
            self._threads += 1

    def open(self) -> None:
        """Have a bell, if there is none yet."""
        with self._lock:
            if self._bell is None:
                bell = Doorbell(self._file.bells, self.rung, partial(self.rung, silent=True))
                bell.open()
                self._bell = bell

    def leave(self) -> bool:
        """Hear that a thread has given up its connection, or could not connect.

        The last one takes the bell away; return whether it has.
        """
        with self._lock:
            self._threads -= 1
            bell = None
            if not self._threads:
                bell, self._bell = self._bell, None
        if bell is not None:
            bell.close()
        self._lost()
        return bell is not None

    def ring(self) -> None:
        """Wake all who follow, in this process and others: something was committed."""
        try:
            cast(Doorbell, self._bell).ring()
        except Exception:  # what is written is, whoever hears of it: others look after a while
            _log.exception("those who follow %s in other processes are not woken", self._file.name)
        self.rung()

    def mend(self) -> None:
        """Have a bell again where somebody has removed it."""
        cast(Doorbell, self._bell).mend()

    def rung(self, *, silent: bool = False) -> None:
        """Hear that somebody may have written, or that nobody has said so for long."""
        with self._lock:
            if self._looking or not self._feeds:
                if not self._feeds:
                    self._heard = None
                return
            self._looking = True
        self._tell(partial(self._look, silent=silent), self._lost)

    def begin(self, connection: sqlite3.Connection) -> None:
        """Know how far the store has come, before somebody reads who follows.

        Or what is missed first would not be known for missed.
        """
        if self._heard is None:
            self._heard = reading.position_of(connection)

    def _look(self, connection: sqlite3.Connection, silent: bool) -> None:
        """Wake those who follow what has moved."""
        self._looking = False  # before looking: what comes meanwhile is looked at the next time
        heard, jobs = self._heard, None
        if heard is None:
            self._heard = reading.position_of(connection)
        else:
            self._heard, jobs = reading.moved_since(connection, heard)
            self.backstop_hits += silent and self._heard > heard
        self._feeds.moved(jobs)

    def _lost(self) -> None:
        """Have all who follow look for themselves: they will be told what is wrong."""
        self._looking, self._heard = False, None
        self._feeds.moved(None)
