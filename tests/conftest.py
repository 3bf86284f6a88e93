"""What all tests share: every asynchronous one runs on asyncio, on uvloop and on Trio."""

import faulthandler
import importlib
import importlib.util
import os
import sys
import threading

import pytest
import structlog
from coverage import Coverage


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


@pytest.fixture
def unmeasured():
    """Measure no coverage meanwhile: it takes three times as long, and all is covered already."""
    measuring = Coverage.current()
    if measuring is not None:
        measuring.stop()
    yield
    if measuring is not None:
        measuring.start()


@pytest.fixture
def pages_in(monkeypatch):
    """Return what imports the pages of a folder that is installed nowhere, such as `benchmarks`."""
    names = []

    def importing(folder):
        name = folder.name
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        monkeypatch.setitem(sys.modules, name, importlib.util.module_from_spec(spec))
        names.append(name)
        return lambda page: importlib.import_module(f"{name}.{page}")

    yield importing
    for page in [page for page in sys.modules if page.partition(".")[0] in names and "." in page]:
        del sys.modules[page]


@pytest.fixture(autouse=True)
def nothing_is_logged_unasked():
    """Have no test log what happens to its jobs because another has configured structlog."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def no_thread_is_left_running():
    """Fail a test that leaves a thread behind for which the process would wait at its end."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not thread.daemon:
            thread.join(10)
            assert not thread.is_alive(), f"{thread} was left running"


@pytest.fixture
def path(tmp_path):
    """Where a store may be made."""
    return tmp_path / "jobs.db"


@pytest.fixture
def nothing_is_left_of_a_store(path):
    """Fail a test that leaves a thread of a store, or a bell, behind."""
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "jobs.db" in name or "bell" in name]
    bells = path.with_name("jobs.db-bells")
    left = os.listdir(bells) if bells.is_dir() else []
    assert set(left) <= {".log", ".open"}


def pytest_unconfigure(config):
    """Have a process that does not end once the tests are over say where it hangs, and fail.

    One that only works for another waits, once it has no more to do, until all others have ended.
    """
    if not hasattr(config, "workerinput"):
        faulthandler.dump_traceback_later(120, exit=True)
