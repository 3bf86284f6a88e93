"""What all tests share: every asynchronous one runs on asyncio, on uvloop and on Trio."""

import faulthandler
import threading

import pytest


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request):
    """The event loop of a test marked ``anyio``."""
    return request.param


@pytest.fixture(autouse=True)
def no_thread_is_left_running():
    """Fail a test that leaves a thread behind for which the process would wait at its end."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not thread.daemon:
            thread.join(10)
            assert not thread.is_alive(), f"{thread} was left running"


def pytest_unconfigure():
    """Have a process that does not end once the tests are over say where it hangs, and fail."""
    faulthandler.dump_traceback_later(120, exit=True)
