"""How processes that share a store wake each other: Unix sockets in a folder beside it.

Each has a socket in the folder, and is connected to all others: whoever comes later connects to
those that are there. So whoever writes can ring at all that read; and where a writer dies between
its commit and its ring, the end of its connection rings for it. To miss neither, a reader has its
bell before it reads, and a writer before it writes.

Should a ring get lost all the same, the thread that listens looks once in `BACKSTOP` seconds.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

BACKSTOP = 30.0
"""Seconds after which a reader looks for itself, where nobody has rung."""


class Doorbell:
    """This process's bell, and its connections to the others'.

    Args:
        folder: where the bells are; for this user alone.
        rung: called in the listening thread when another may have written.
        silent: called there when nobody has rung for `BACKSTOP` seconds.
    """

    def __init__(
        self, folder: Path, rung: Callable[[], object], silent: Callable[[], object]
    ) -> None:
        self._folder, self._rung, self._silent = folder, rung, silent
        self._lock = threading.Lock()
        self._others: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = socket.socketpair()
        self._bell = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._name = f"{os.getpid()}-{token_hex(6)}"
        self._thread = threading.Thread(target=self._listen, name="jobstate bell", daemon=True)

    def open(self) -> None:
        """Have a bell, and be connected to all others; what raises has left nothing behind."""
        try:
            with _short_name(self._folder) as folder:
                hidden = f".{self._name}"
                self._bell.bind(f"{folder}/{hidden}")
                self._bell.listen(128)
                self._bell.setblocking(False)
                os.rename(self._folder / hidden, self._folder / self._name)  # now it answers
                for other in os.listdir(self._folder):
                    if other != self._name and not other.startswith("."):
                        self._connect(folder, other)
        except BaseException:
            self._clear()
            raise
        self._selector.register(self._stopped, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread.start()

    def ring(self) -> None:
        """Wake all others, those too that have come this very moment; from any thread."""
        with self._lock:
            self._accept()
            for other in self._others:
                with suppress(OSError):  # it has rings enough to hear, or has gone
                    other.send(b"\a", socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Take the bell away; the others hear of it."""
        self._stop.send(b"\a")
        self._thread.join()
        self._clear()

    def _connect(self, folder: str, name: str) -> None:
        other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        other.setblocking(False)
        try:
            other.connect(f"{folder}/{name}")
        except ConnectionRefusedError:  # its process was killed
            other.close()
            with suppress(FileNotFoundError):
                os.unlink(self._folder / name)
        except OSError:  # it has gone meanwhile, or cannot take more
            other.close()
        else:
            self._keep(other)

    def _keep(self, other: socket.socket) -> None:
        self._others.add(other)
        self._selector.register(other, selectors.EVENT_READ)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                other, _ = self._bell.accept()
                other.setblocking(False)
                self._keep(other)

    def _listen(self) -> None:
        while True:
            ready = [key.fileobj for key, _ in self._selector.select(BACKSTOP)]
            if self._stopped in ready:
                return
            if not ready:
                self._silent()
                continue
            with self._lock:
                rings = [self._heard(each) for each in ready if isinstance(each, socket.socket)]
            if any(rings):
                self._rung()

    def _heard(self, ready: socket.socket) -> bool:
        """Hear what a socket has to say; return whether somebody rang or has gone."""
        if ready is self._bell:
            self._accept()
            return False
        try:
            rings = ready.recv(4096)
        except OSError:  # it has gone before it heard us
            rings = b""
        if not rings:
            self._selector.unregister(ready)
            self._others.discard(ready)
            ready.close()
        return True

    def _clear(self) -> None:
        for name in (self._name, f".{self._name}"):
            with suppress(OSError):
                os.unlink(self._folder / name)
        with self._lock:
            for each in (self._bell, self._stop, self._stopped, *self._others):
                each.close()
            self._others.clear()
            self._selector.close()


@contextmanager
def _short_name(folder: Path) -> Iterator[str]:
    """Give a folder a name that is short enough for a socket in it, where the system has one."""
    if not os.path.isdir("/proc/self/fd"):
        yield str(folder)
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)
