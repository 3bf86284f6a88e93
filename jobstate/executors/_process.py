"""The child's side of `Processes`: a process that does one piece of work after the other.

The parent sends work, and is answered on the same channel. Its one other word, that the work is to
stop, comes by the lifeline, to which a thread listens; that thread signals the main thread, where
`StopRequested` is raised. The end of the lifeline is the end of the parent, and of this process,
with all that it has started: it leads a process group.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from contextvars import copy_context
from enum import IntEnum
from functools import partial
from inspect import iscoroutine
from traceback import format_exception
from typing import TYPE_CHECKING, Any, NoReturn, cast

from .._attempt import CurrentJob, make_current
from .._errors import BadArgument, ReportRefused
from .._portable import portable, shown
from .._run_errors import StopRequested, UnsuitableResult
from .._status import JobStatus

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

NO_MORE = b""
"""What the parent sends in place of work when there is none any more."""


class Say(IntEnum):
    """What a message from the child says, in its first byte; the rest is pickled."""

    READY = 0
    """It can be given work."""

    BEGUN = 1
    """It has taken on the work that it was given."""

    REPORT = 2
    """Progress and info."""

    RESULT = 3
    """What the work returned."""

    ERROR = 4
    """What it raised, and the traceback as text."""

    STOPPED = 5
    """It raised `StopRequested`, for this reason."""

    UNSUITABLE = 6
    """The work cannot be loaded here: why."""


def serve(channel: Connection, lifeline: Connection) -> None:
    """Do the work that comes through *channel*, until there is no more: a process's target."""
    if sys.platform != "win32":
        os.setsid()  # what it starts is ended with it, and not by Ctrl-C: the parent decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":  # it was blocked while nothing ignored it
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop.on_signal)
    threading.Thread(target=stop.listen, args=(lifeline,), daemon=True).start()
    # The parent takes the end of the channel for the end of this process. So it is held open while
    # the interpreter shuts down, and in no fork that outlives this process.
    held = os.dup(channel.fileno())
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=partial(os.close, held))
        os.register_at_fork(after_in_child=channel.close)
    parent = _Parent(channel, stop)
    parent.say(Say.READY)
    with suppress(EOFError):  # the parent has died
        while (request := channel.recv_bytes()) != NO_MORE:
            parent.say(Say.BEGUN)
            _do(request, parent, stop)


class _Stop:
    """The one request to stop that a process gets, and how it reaches the main thread.

    It is raised in the work alone, and not in the middle of a message of it.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._job_id = ""
        self._open = False

    def listen(self, lifeline: Connection) -> NoReturn:
        """Hear of the request, and of the parent's end."""
        main = cast(int, threading.main_thread().ident)
        with suppress(EOFError, OSError):
            while True:
                self.reason = lifeline.recv_bytes().decode()
                if sys.platform == "win32":
                    signal.raise_signal(signal.SIGTERM)
                else:
                    signal.pthread_kill(main, signal.SIGTERM)  # such that a system call returns
        if sys.platform != "win32":
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    def on_signal(self, number: int, frame: object) -> None:
        """Interrupt the main thread, which calls this."""
        if self.reason is None:
            raise SystemExit(128 + number)  # somebody else has sent it
        if self._open:
            self._raise()

    def begin(self, job_id: str) -> None:
        """Let the work of a job be interrupted; do so at once, if the request is there already."""
        self._job_id = job_id
        self.open()

    def open(self) -> None:
        """Go on letting the work be interrupted, and make up for what was missed."""
        self._open = True
        if self.reason is not None:
            self._raise()

    def close(self) -> bool:
        """Keep the main thread from being interrupted; return whether it could be."""
        was_open, self._open = self._open, False
        return was_open

    def _raise(self) -> NoReturn:
        self._open = False
        raise StopRequested(self._job_id, self.reason or "")


class _Parent:
    """The other end of the channel, for all threads of the work."""

    def __init__(self, channel: Connection, stop: _Stop) -> None:
        self.working: CurrentJob | None = None
        """The job whose work is running, and may report."""

        self._channel = channel
        self._stop = stop
        self._lock = threading.Lock()

    def say(self, what: Say, content: bytes = b"", job: CurrentJob | None = None) -> None:
        """Send a message; a request to stop is raised before or after that.

        Raises:
            ReportRefused: the work of *job* is over, or goes on in another process.
        """
        in_main = threading.current_thread() is threading.main_thread()
        was_open = in_main and self._stop.close()
        try:
            with self._lock:
                if job is not None and (job is not self.working or self._channel.closed):
                    raise ReportRefused(job.id, JobStatus.STARTED, "this attempt is over")
                self._channel.send_bytes(bytes([what]) + content)
        finally:
            if was_open:
                self._stop.open()


class _Job(CurrentJob):
    """The job whose work this process does."""

    def __init__(self, facts: tuple[Any, ...], parent: _Parent, stop: _Stop) -> None:
        super().__init__(*facts)
        self._parent, self._stop = parent, stop

    @property
    def stop_requested(self) -> bool:
        return self._stop.reason is not None

    @property
    def stop_reason(self) -> str:
        return self._stop.reason or ""

    def _tell(self, progress: float | None, info: Mapping[str, Any]) -> None:
        try:
            content = pickle.dumps((progress, dict(info)))
        except Exception as error:
            asked = f"report(info={shown(dict(info))})"
            raise BadArgument(self.id, asked, f"info must be picklable: {error}") from None
        self._parent.say(Say.REPORT, content, self)


def _do(request: bytes, parent: _Parent, stop: _Stop) -> None:
    """Do one piece of work, and answer what came of it.

    What ends a process (``sys.exit``) ends this one.
    """
    try:
        function, args, facts = pickle.loads(request)
    except Exception as error:
        parent.say(Say.UNSUITABLE, pickle.dumps(shown(error)))
        return
    parent.working = job = _Job(facts, parent, stop)
    content: Any
    try:
        try:
            stop.begin(job.id)
            result = copy_context().run(_call, job, function, args)
        finally:
            stop.close()
    except StopRequested as stopped:
        what, content = Say.STOPPED, stopped.reason
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        what, content = Say.ERROR, _told(error)
    else:
        what, content = Say.RESULT, result
    parent.working = None
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # there may be none
            stream.flush()
    try:
        pickled = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        if iscoroutine(content):
            content.close()
        problem = f"it cannot leave its process: {error}"
        unsuitable = UnsuitableResult(f"a {type(content).__name__}", problem)
        what, pickled = Say.ERROR, pickle.dumps((unsuitable, ""))
    parent.say(what, pickled)


def _call(job: CurrentJob, function: Any, args: tuple[Any, ...]) -> Any:
    make_current(job)
    return function(*args)


def _told(error: BaseException) -> tuple[BaseException, str]:
    """Return an exception such that it can be pickled, and its traceback in the work as text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    text = "".join(format_exception(error.with_traceback(trace)))
    # Whatever is no Exception, such as a cancellation, would mean something else over there.
    return portable(error) if isinstance(error, Exception) else Exception(shown(error)), text
