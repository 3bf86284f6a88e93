"""How processes that share a store wake each other: Unix sockets in a folder beside it.

Each has a socket in the folder, and is connected to all others: whoever comes later connects to
those that are there. So whoever writes can ring at all that read; and where a writer dies between
its commit and its ring, the end of its connection rings for it. To miss neither, a reader has its
bell before it reads, and a writer before it writes.

Should a ring get lost all the same, the thread that listens looks once in `BACKSTOP` seconds; and
once in `RETRY` seconds as long as it knows of somebody whom it cannot hear, as where no descriptors
are left.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import stat
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

from . import _forks
from ._folder import make_private, short_name

BACKSTOP = 30.0
"""Seconds after which a reader looks for itself, where nobody has rung."""

RETRY = 1.0
"""Seconds after which it does where it cannot hear everybody, and tries to again."""

_UNFINISHED = 60.0
"""Seconds after which a bell that is still hidden will never be hung: its process was killed."""

_log = logging.getLogger("jobstate")


class Doorbell:
    """This process's bell, and its connections to the others'.

    Args:
        folder: where the bells are; for this user alone.
        rung: called in the listening thread when another may have written.
        silent: called there when nobody has rung for so long that it is better to look.
    """

    def __init__(
        self, folder: Path, rung: Callable[[], object], silent: Callable[[], object]
    ) -> None:
        self._folder, self._rung, self._silent = folder, rung, silent
        self._name = f"{os.getpid()}-{token_hex(6)}"
        self._bell: socket.socket | None = None
        self._others: set[socket.socket] = set()
        self._missed: set[str] = set()
        """The bells that could take no more connections when they were found."""

        self._deaf = False
        """Whether there are some who have come, and could not be heard."""

        self._ends: tuple[socket.socket, ...] = ()
        """Of a connection to the listening thread, by which it is stopped."""

        self._stopping = self._warned = False
        self._thread = threading.Thread(target=self._listen, name="jobstate bell", daemon=True)
        self._selector = selectors.DefaultSelector()
        _forks.closed_in_children(self)

    def open(self) -> None:
        """Have a bell, and be connected to all others; what raises has left nothing behind."""
        try:
            with _forks.lock:
                self._ends = socket.socketpair()
                self._ends[1].settimeout(RETRY)
                self._selector.register(self._ends[1], selectors.EVENT_READ)
                self._hang()
            self._thread.start()
        except BaseException:
            self._clear()
            raise

    def ring(self) -> None:
        """Wake all others, those too that have come this very moment; from any thread."""
        with _forks.lock:
            self._meet()
            for other in self._others:
                with suppress(OSError):  # it has rings enough to hear, or has gone
                    other.send(b"\a", socket.MSG_DONTWAIT)

    def mend(self) -> None:
        """Have a bell again, as far as possible, where somebody has removed it; from any thread."""
        with _forks.lock:
            if self._stopping or os.path.lexists(self._folder / self._name):
                return
            if not self._warned:
                self._warned = True
                _log.warning("%s was removed while in use, and is made anew", self._folder)
            with suppress(OSError):
                self._hang()

    def close(self) -> None:
        """Take the bell away; the others hear of it."""
        self._stopping = True
        self._ends[0].send(b"\a")
        self._thread.join()
        self._clear()

    def leave_to_parent(self) -> None:
        """In a child that was forked: close what its parent has, which stays connected."""
        self._selector.close()
        for each in self._sockets():
            each.close()

    # --- in any thread, with the lock ---

    def _sockets(self) -> list[socket.socket]:
        return [*self._ends, *self._others, *([self._bell] if self._bell else [])]

    def _hang(self) -> None:
        """Hang a new bell, connect to all others, and clear away what killed processes left."""
        make_private(self._folder)
        with short_name(self._folder) as folder:
            hidden = f".{self._name}"
            bell = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                bell.bind(f"{folder}/{hidden}")
                bell.listen(4096)
                bell.setblocking(False)
                os.rename(self._folder / hidden, self._folder / self._name)  # now it answers
                self._selector.register(bell, selectors.EVENT_READ)
            except BaseException:
                bell.close()
                self._take_down()
                raise
            old, self._bell, self._deaf = self._bell, bell, False
            if old is not None:
                self._drop(old)
            for name in os.listdir(self._folder):
                with suppress(FileNotFoundError):  # it has gone meanwhile
                    found = os.lstat(self._folder / name)
                    if name == self._name or not stat.S_ISSOCK(found.st_mode):
                        continue
                    if not name.startswith("."):
                        self._connect(folder, name)
                    elif time.time() - found.st_mtime > _UNFINISHED:
                        os.unlink(self._folder / name)

    def _take_down(self) -> None:
        for name in (self._name, f".{self._name}"):
            with suppress(OSError):
                os.unlink(self._folder / name)

    def _connect(self, folder: str, name: str) -> None:
        with ExitStack() as undo:
            try:
                other = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                other.setblocking(False)
                other.connect(f"{folder}/{name}")
                self._keep(other)
                undo.pop_all()
            except (FileNotFoundError, PermissionError):  # it has gone meanwhile, or is not ours
                pass
            except ConnectionRefusedError:  # its process was killed
                with suppress(FileNotFoundError):
                    os.unlink(self._folder / name)
            except OSError:  # it can take no more, or we have no descriptors: for now
                self._missed.add(name)

    def _keep(self, other: socket.socket) -> None:
        self._selector.register(other, selectors.EVENT_READ)
        self._others.add(other)

    def _drop(self, other: socket.socket) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(other)
        self._others.discard(other)
        other.close()

    def _meet(self) -> None:
        """Hear who has come, and connect to whom it could not before."""
        deaf, bell = False, cast(socket.socket, self._bell)
        try:
            while True:
                other, _ = bell.accept()
                other.setblocking(False)
                self._keep(other)
        except BlockingIOError:
            pass
        except OSError:  # no descriptors are left
            deaf = True
        if deaf and not self._deaf:  # or the thread would be told of them again and again
            self._selector.unregister(bell)
        elif self._deaf and not deaf:
            self._selector.register(bell, selectors.EVENT_READ)
        self._deaf = deaf
        if self._missed:
            names, self._missed = self._missed, set()
            with suppress(OSError), short_name(self._folder) as folder:
                while names:
                    self._connect(folder, names.pop())
            self._missed |= names

    # --- in the listening thread ---

    def _listen(self) -> None:
        while not self._stopping:
            try:
                self._hear()
            except Exception:  # whatever that was, nobody is to be deaf for good
                _log.exception("the bells in %s cannot be heard", self._folder)
                with suppress(OSError):  # until it is stopped, or for a while
                    self._ends[1].recv(1, socket.MSG_PEEK)

    def _hear(self) -> None:
        """Wait for something to hear, and pass it on."""
        everybody = not (self._deaf or self._missed)
        events = self._selector.select(BACKSTOP if everybody else RETRY)
        if self._stopping:
            return
        with _forks.lock:
            self._meet()
            rang = self._others.intersection(cast(Any, key.fileobj) for key, _ in events)
            for each in rang:
                self._empty(each)
        if rang:
            self._rung()
        elif not events:
            self.mend()
            self._silent()

    def _empty(self, other: socket.socket) -> None:
        """Take all rings of another, or hear that it has gone."""
        try:
            rings = other.recv(4096)
        except OSError:  # it has gone before it heard us
            rings = b""
        if not rings:
            self._drop(other)

    def _clear(self) -> None:
        with _forks.lock:
            self._take_down()
            self._selector.close()
            for each in self._sockets():
                each.close()
            self._others.clear()
