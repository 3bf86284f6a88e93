"""Work for other processes, which import it by its name."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from functools import partial

from jobstate import ReportRefused
from jobstate._attempt import current_job
from jobstate._run_errors import StopRequested


def facts():
    job = current_job()
    return job.id, job.name, job.attempt, job.max_attempts, dict(job.info), job.stop_reason


def fail():
    error = ValueError("no paper")
    error.add_note("on page 3")
    raise error


class Picky(Exception):
    """Cannot be taken out of a pickle again: it is made of two and keeps one."""

    def __init__(self, one, other):
        super().__init__(one)


def fail_oddly():
    raise Picky("jam", 2)


def fail_cancelled():
    raise asyncio.CancelledError("over there")


def stop_by_itself():
    raise StopRequested("elsewhere", "its own idea")


def give_function():
    return lambda: 0


async def _wait():
    """Is never awaited."""


def give_coroutine():
    return _wait()


def there_alone(parent):
    if os.getpid() == parent:
        raise OSError("not here")
    return "loaded"


class ThereAlone:
    """Can be loaded in any process but this."""

    def __init__(self, parent):
        self.parent = parent

    def __reduce__(self):
        return there_alone, (self.parent,)


def here_alone(parent):
    if os.getpid() != parent:
        raise OSError("not there")


class HereAlone:
    """Can be loaded in no process but this."""

    def __reduce__(self):
        return here_alone, (os.getpid(),)


def report_many(count):
    for number in range(count):
        current_job().report(100 * number / count, info={"number": number})


def report_badly(**report):
    current_job().report(**report)


def report_from_thread():
    """Have a thread report, and return how it was refused once the work was over."""
    job, refused = current_job(), []
    current_job().report(10)
    thread = threading.Thread(target=job.report, args=(20,))
    thread.start()
    thread.join()
    _left.append(partial(_report_late, job, refused))


_left: list = []


def _report_late(job, refused):
    try:
        job.report(30)
    except ReportRefused as error:
        refused.append(str(error))
    return refused


def report_for_another_job():
    """Report on behalf of the job that was here before, and return how that was refused."""
    return _left.pop()()


def die(code):
    os._exit(code)


def never_ready(path, channel, lifeline):
    """Serve nobody, and say so by opening a pipe."""
    with open(path, "w"):
        wait_for_ever()


kept: list = []


def keep_job():
    kept.append(current_job())


def give_zeros(count):
    return bytes(count)


def wait_for_ever():
    threading.Event().wait()


def wait_and_tell():
    """Wait for ever, and tell how it ends."""
    job = current_job()
    try:
        job.report(1, info={"pid": os.getpid(), "asked": job.stop_requested})
        wait_for_ever()
    finally:
        job.report(2, info={"reason": job.stop_reason})


def wait_and_return():
    """Wait for the stop, and end as if nothing had been."""
    job = current_job()
    try:
        job.report(1)
        wait_for_ever()
    except StopRequested:
        pass
    try:
        job.check()
    except StopRequested as stopped:
        return stopped.reason


def wait_deaf():
    """Wait for ever, whatever is asked for."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    current_job().report(1)
    wait_for_ever()


def signal_oneself(number):
    os.kill(os.getpid(), number)
    return "unmoved"


def tidy_up():
    """Be ended by somebody else, in good order."""
    try:
        signal_oneself(signal.SIGTERM)
    finally:
        current_job().report(info={"tidy": True})


def die_with_a_fork(path):
    """End, and leave a child of one's own behind that lives until somebody writes into a pipe."""
    job = current_job()
    ready, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()  # or it would be killed with this process
        os.write(tell, b".")
        try:
            job.report(99)
        except ReportRefused as error:
            said = str(error)
        with open(path) as pipe:
            os._exit(0 if pipe.read() == said else 1)
    os.read(ready, 1)
    os._exit(4)
