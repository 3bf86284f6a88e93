"""The example of jobs in a web application, behind a real server and asked over real HTTP."""

from __future__ import annotations

import asyncio
import json
import runpy
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
import uvicorn

from jobstate import (
    JOB_LIFECYCLE,
    JobStatus,
    RevokeCause,
    add_observer,
    current_job,
    remove_observer,
)
from jobstate._waiting import each
from jobstate.abc import Observer

pytestmark = pytest.mark.anyio

EXAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "examples" / "web.py"))


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ]
)
def anyio_backend(request):
    """The event loops that the server runs on."""
    return request.param


class Server(uvicorn.Server):
    """A server on a free port of this machine, in the test's own event loop."""

    def __init__(self, work, options):
        app = EXAMPLE["application"](work, **options)
        super().__init__(
            uvicorn.Config(app, lifespan="on", log_config=None, timeout_graceful_shutdown=0)
        )
        self.socket = socket.create_server(("127.0.0.1", 0))  # connections wait until it is ready
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"


@asynccontextmanager
async def served(work, **options):
    """Serve the example; what runs when the block is left is stopped as by Ctrl-C."""
    server = Server(work, options)
    running = asyncio.ensure_future(server.serve([server.socket]))
    try:
        with anyio.fail_after(10):
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
                yield client, server
    finally:
        server.should_exit = True
        with anyio.fail_after(10):
            await running


@asynccontextmanager
async def following(client, job_id, **headers):
    """Follow a job, as an iterator of events."""
    async with client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")

        async def each():
            event = {}
            async for line in response.aiter_lines():
                if line:
                    field, _, value = line.partition(": ")
                    event[field] = value
                else:
                    yield int(event["id"]), event["event"], json.loads(event["data"])
                    event = {}

        yield each()


async def submitted(client, order="x"):
    """Post something, and return the job's id."""
    answer = await client.post("/jobs", json=order)
    assert answer.status_code == 202
    return answer.json()["id"]


async def events_of(client, job_id, **headers):
    """Return all events of a job, once it has ended."""
    async with following(client, job_id, **headers) as events:
        return [event async for event in events]


def statuses(events):
    """Return where transitions led, with their versions."""
    return [(number, data["status"]) for number, kind, data in events if kind == "transition"]


class Gate:
    """Work that goes on when the test says so."""

    def __init__(self):
        self.begun, self.opened, self.stopped = anyio.Event(), anyio.Event(), anyio.Event()

    async def __call__(self, order):
        self.begun.set()
        try:
            await self.opened.wait()
        finally:
            self.stopped.set()
        return order


async def test_a_job_is_accepted_and_can_be_looked_at():
    """Posting answers 202 with the job's place, and its status is there until it has a result."""
    async with served(EXAMPLE["count_words"]) as (client, _):
        answer = await client.post("/jobs", json="to be or not to be")
        assert answer.status_code == 202
        job = answer.json()
        assert job["status"] == JobStatus.PENDING
        assert answer.headers["location"] == f"/jobs/{job['id']}"
        assert statuses(await events_of(client, job["id"])) == [(1, "STARTED"), (2, "SUCCESS")]
        seen = (await client.get(answer.headers["location"])).json()
        assert seen["status"] == JobStatus.SUCCESS
        assert seen["result"] == {"to": 2, "be": 2, "or": 1, "not": 1}
        assert seen["progress"] == 100


async def test_work_that_fails_says_so():
    """The error is part of the status."""
    async with served(EXAMPLE["count_words"]) as (client, _):
        job_id = await submitted(client, 7)
        assert statuses(await events_of(client, job_id))[-1] == (2, "FAILURE")
        seen = (await client.get(f"/jobs/{job_id}")).json()
        assert seen["error_message"] == "'int' object has no attribute 'split'"


async def test_what_is_unknown_is_not_found():
    """No job of that id: 404, whatever is asked of it, and the reason as JSON."""
    async with served(EXAMPLE["count_words"]) as (client, _):
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
            answer = await client.request(method, f"/jobs/nobody{path}")
            assert answer.status_code == 404
            assert "no job 'nobody' is known here" in answer.json()["error"]


async def test_what_is_no_json_makes_no_job():
    """A body that cannot be read is the client's mistake."""
    async with served(EXAMPLE["count_words"]) as (client, _):
        answer = await client.post("/jobs", content=b"{")
        assert (answer.status_code, answer.json()) == (400, {"error": "the body is no JSON"})


async def test_cancelling_is_answered_truthfully():
    """One that waits is prevented, one that runs interrupted, one that has ended stays so."""
    gate = Gate()
    async with served(gate, limit=1) as (client, _):
        first, second = await submitted(client), await submitted(client)
        await gate.begun.wait()
        for job_id, told in ((second, "PREVENTED"), (first, "INTERRUPTED"), (first, "TOO_LATE")):
            answer = await client.delete(f"/jobs/{job_id}")
            assert answer.status_code == 200
            assert answer.json()["cancellation"] == told
            assert answer.json()["status"] == JobStatus.REVOKED
        assert gate.stopped.is_set()


async def test_what_cannot_be_cancelled_is_a_conflict():
    """Where the lifecycle refuses, the answer is 409, and the job goes on."""
    gate = Gate()
    async with served(gate, lifecycle=JOB_LIFECYCLE) as (client, _):
        job_id = await submitted(client)
        await gate.begun.wait()
        answer = await client.delete(f"/jobs/{job_id}")
        assert answer.status_code == 409
        assert f"job {job_id} is STARTED: cannot revoke" in answer.json()["error"]
        gate.opened.set()
        assert statuses(await events_of(client, job_id))[-1] == (2, "SUCCESS")


async def test_work_that_does_not_listen_is_not_said_to_have_stopped():
    """A request to stop that nobody has confirmed is accepted, no more."""
    gate = Gate()

    async def deaf(order):
        with anyio.CancelScope(shield=True):
            return await gate(order)

    async with served(deaf, grace=0) as (client, _):
        job_id = await submitted(client)
        await gate.begun.wait()
        answer = await client.delete(f"/jobs/{job_id}")
        assert (answer.status_code, answer.json()["cancellation"]) == (202, "UNCONFIRMED")
        assert answer.json()["status"] == JobStatus.STARTED
        gate.opened.set()
        await events_of(client, job_id)


async def test_events_come_as_they_happen_and_end_with_the_job():
    """Transitions have the job's version for an id; progress comes between them."""
    more, told = anyio.Event(), anyio.Event()

    async def work(order):
        current_job().report(25)
        told.set()
        await more.wait()

    async with served(work) as (client, _):
        job_id = await submitted(client)
        await told.wait()
        async with following(client, job_id) as events:
            assert await anext(events) == (1, "transition", {"status": "STARTED", "reason": ""})
            assert await anext(events) == (1, "progress", {"percent": 25.0})
            more.set()
            assert await anext(events) == (2, "transition", {"status": "SUCCESS", "reason": ""})
            assert [event async for event in events] == []


async def test_events_can_be_resumed():
    """A client gets what comes after the event that it has seen last, and is told when none can."""
    async with served(EXAMPLE["count_words"]) as (client, _):
        job_id = await submitted(client)
        await events_of(client, job_id)
        resumed = await events_of(client, job_id, **{"Last-Event-ID": "1"})
        assert statuses(resumed) == [(2, "SUCCESS")]
        for seen, status in (("2", 204), ("17", 204), ("two", 400), ("-1", 400)):
            path, headers = f"/jobs/{job_id}/events", {"Last-Event-ID": seen}
            assert (await client.get(path, headers=headers)).status_code == status


async def test_a_client_that_has_gone_leaves_nothing_behind():
    """Its request ends, nobody listens to the job for it any more, and the job goes on."""
    gate, jobs = Gate(), []

    class Jobs(Observer):
        def transitioned(self, job, transition, seconds):
            jobs.append(job)

    observer = Jobs()
    add_observer(observer)
    try:
        async with served(gate) as (client, server):
            job_id = await submitted(client)
            await gate.begun.wait()
            listeners = list(each(jobs[0]._at_step))
            async with following(client, job_id) as events:
                await anext(events)
                assert len(list(each(jobs[0]._at_step))) == len(listeners) + 1
            await asyncio.wait(server.server_state.tasks)
            assert list(each(jobs[0]._at_step)) == listeners
            assert not gate.stopped.is_set()
            gate.opened.set()
            assert statuses(await events_of(client, job_id))[-1] == (2, "SUCCESS")
    finally:
        remove_observer(observer)


async def test_stopping_the_server_revokes_what_runs():
    """The work is stopped, though a client still follows the job, and the job is revoked."""
    gate, moves = Gate(), []

    class Moves(Observer):
        def transitioned(self, job, transition, seconds):
            moves.append(transition)

    observer = Moves()
    add_observer(observer)
    try:
        async with served(gate, limit=1) as (client, server):
            running, _ = await submitted(client), await submitted(client)
            await gate.begun.wait()
            with pytest.raises(httpx.RemoteProtocolError):
                async with following(client, running) as events:
                    await anext(events)
                    server.should_exit = True
                    await anext(events)
    finally:
        remove_observer(observer)
    assert gate.stopped.is_set()
    ends = [(move.dest, move.cause, move.reason) for move in moves[-2:]]
    assert ends == [(JobStatus.REVOKED, RevokeCause.SHUTDOWN, "the server is stopping")] * 2
