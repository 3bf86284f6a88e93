"""A job seen from inside its work: reports from anywhere, and how a stop gets there."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextvars import copy_context
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from jobstate import BadArgument, NoCurrentJob, ReportRefused, StopRequested, current_job
from jobstate._attempt import Attempt, make_current

pytestmark = pytest.mark.anyio


class Told(Attempt):
    """An attempt that keeps what the job is told, and in which thread."""

    def __init__(self) -> None:
        super().__init__("j1", "print", 2, 3, {"page": 1}, tell=self._keep)
        self.reports: list[tuple[float | None, Mapping[str, Any]]] = []
        self.threads: set[threading.Thread] = set()

    def _keep(self, progress, info):
        self.reports.append((progress, dict(info)))
        self.threads.add(threading.current_thread())


def in_a_thread(function, *args):
    """Call a function in a thread that knows no event loop, and block until it is done."""
    raised: list[BaseException] = []

    def call():
        try:
            function(*args)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


# --- which job it is --------------------------------------------------------------------------


async def test_its_facts_can_be_read():
    """Id, name, number of the attempt, how many there may be, and what was known at its start."""
    attempt = Told()
    assert (attempt.id, attempt.name, attempt.attempt, attempt.max_attempts) == (
        "j1",
        "print",
        2,
        3,
    )
    assert attempt.info == {"page": 1}


async def test_the_current_job_is_that_of_the_context():
    """It is known in what is called, and in contexts copied from it; nowhere else."""

    def asked():
        token = make_current(attempt)
        assert current_job() is attempt
        assert copy_context().run(current_job) is attempt
        return token

    attempt = Told()
    copy_context().run(asked)
    with pytest.raises(NoCurrentJob, match="not the work of any job") as caught:
        current_job()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_the_log_is_bound_to_the_job():
    """Each event names the job, its name and the attempt."""
    with capture_logs() as events:
        Told().log.info("page.printed", page=3)
    (event,) = events
    assert event == {
        "event": "page.printed",
        "log_level": "info",
        "page": 3,
        "job_id": "j1",
        "name": "print",
        "attempt": 2,
    }


# --- reports ----------------------------------------------------------------------------------


async def test_a_report_in_the_loop_arrives_at_once():
    """Percent are a number of floating point; what is not given is left as it is."""
    attempt = Told()
    attempt.report(40)
    attempt.report(info={"rows": 7})
    assert attempt.reports == [(40.0, {}), (None, {"rows": 7})]
    assert type(attempt.reports[0][0]) is float


async def test_a_report_from_a_thread_arrives_in_the_loop():
    """It is the event loop's thread in which the job hears of it."""
    attempt = Told()
    await anyio.to_thread.run_sync(attempt.report, 40)
    await anyio.wait_all_tasks_blocked()
    assert attempt.reports == [(40.0, {})]
    assert attempt.threads == {threading.current_thread()}


async def test_reports_in_a_hurry_are_folded():
    """Of several that come before the loop hears of any, the newest of each kind are told."""
    attempt = Told()

    def report():
        attempt.report(10, info={"rows": 1, "page": 1})
        attempt.report(20)
        attempt.report(info={"rows": 2})

    in_a_thread(report)
    assert attempt.reports == []
    await anyio.wait_all_tasks_blocked()
    assert attempt.reports == [(20.0, {"rows": 2, "page": 1})]
    in_a_thread(attempt.report, 30)
    await anyio.wait_all_tasks_blocked()
    assert attempt.reports[1:] == [(30.0, {})]


async def test_reports_keep_their_order():
    """What a thread has reported before the loop's own report is told before it."""
    attempt = Told()
    in_a_thread(attempt.report, 10)
    attempt.report(20)
    await anyio.wait_all_tasks_blocked()
    assert attempt.reports == [(10.0, {}), (20.0, {})]


async def test_what_was_reported_before_the_end_is_told():
    """Closing the attempt hears of it first; afterwards every report is refused."""
    attempt = Told()
    in_a_thread(attempt.report, 10)
    attempt.close()
    assert attempt.reports == [(10.0, {})]
    for report in (attempt.report, lambda percent: in_a_thread(attempt.report, percent)):
        with pytest.raises(ReportRefused, match=r"j1 is STARTED: .*: this attempt is over"):
            report(20)
    await anyio.wait_all_tasks_blocked()
    assert attempt.reports == [(10.0, {})]


async def test_what_is_late_by_a_moment_is_not_told():
    """A report that was let in just as the attempt ended does not reach the job any more."""

    class Late(Told):
        def deliver(self):
            super().deliver()
            if not self._over:
                in_a_thread(self.report, 20)

    attempt = Late()
    attempt.close()
    await anyio.wait_all_tasks_blocked()
    assert attempt.reports == []


@pytest.mark.parametrize("percent", [-1, 101, float("nan"), "40", True])
async def test_progress_is_a_number_of_percent(percent):
    """Anything else is refused where it is reported, and the job hears nothing."""
    attempt = Told()
    with pytest.raises(ReportRefused, match="progress is a number of percent from 0 to 100"):
        attempt.report(percent)
    assert attempt.reports == []


async def test_info_is_a_mapping():
    """Anything else is refused where it is reported; a mapping is copied."""
    attempt = Told()
    given: Any = ["rows"]
    with pytest.raises(BadArgument, match=r"j1: report\(info=\['rows'\]\): info must be a mapping"):
        attempt.report(10, info=given)
    assert attempt.reports == []


# --- stopping ---------------------------------------------------------------------------------


async def test_nobody_has_asked_for_a_stop():
    """Then there is no reason for one, and a check returns."""
    attempt = Told()
    attempt.check()
    assert (attempt.stop_requested, attempt.stop_reason) == (False, "")


@pytest.mark.parametrize("reason", ["enough", ""])
async def test_a_check_raises_once_a_stop_is_asked_for(reason):
    """It does so each time, with the reason, and in any thread."""
    attempt = Told()
    attempt.ask_to_stop(reason)
    assert (attempt.stop_requested, attempt.stop_reason) == (True, reason)
    for check in (attempt.check, attempt.check, lambda: in_a_thread(attempt.check)):
        with pytest.raises(StopRequested) as caught:
            check()
        assert (caught.value.job_id, caught.value.reason) == ("j1", reason)


async def test_a_stop_is_asked_for_once():
    """The first reason holds, and whoever runs the work is called once, in order."""
    attempt, calls = Told(), list[str]()
    attempt.when_stopped(lambda: calls.append("one"))
    attempt.when_stopped(lambda: calls.append("two"), lambda: calls.append("force"))
    assert calls == []
    attempt.ask_to_stop("enough")
    attempt.ask_to_stop("once more")
    assert calls == ["one", "two"]
    assert attempt.stop_reason == "enough"


async def test_who_comes_after_the_stop_is_called_at_once():
    """An executor that says late how the work is stopped does not miss the request."""
    attempt, calls = Told(), list[str]()
    attempt.ask_to_stop("enough")
    attempt.when_stopped(lambda: calls.append("ask"), lambda: calls.append("force"))
    assert calls == ["ask"]


async def test_force_is_used_where_there_is_any():
    """The answer is whether there is; who comes late is called at once."""
    attempt, calls = Told(), list[str]()
    attempt.when_stopped(lambda: calls.append("ask"))
    attempt.ask_to_stop("enough")
    assert attempt.force_to_stop() is False
    attempt.when_stopped(lambda: calls.append("ask late"), lambda: calls.append("force late"))
    assert attempt.force_to_stop() is True
    assert calls == ["ask", "ask late", "force late", "force late"]


async def test_what_an_executor_raises_goes_no_further(caplog):
    """It is logged; others are called all the same, and the job that asks is not disturbed."""
    attempt, calls = Told(), list[str]()

    def broken():
        raise OSError("no signal")

    attempt.when_stopped(broken, broken)
    attempt.when_stopped(lambda: calls.append("ask"), lambda: calls.append("force"))
    with caplog.at_level(logging.ERROR, logger="jobstate"):
        attempt.ask_to_stop("enough")
        assert attempt.force_to_stop() is True
    assert calls == ["ask", "force"]
    assert len(caplog.records) == 2
    assert "failed to stop some work" in caplog.text
    assert "no signal" in caplog.text
