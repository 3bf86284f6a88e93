"""Jobs in a web application: submitted, looked at, followed and cancelled over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio.lowlevel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from jobstate import (
    JOB_LIFECYCLE,
    Cancellation,
    Job,
    JobNotFound,
    JobRunner,
    Progress,
    Refused,
    current_job,
)

Work = Callable[[Any], Awaitable[Any]]

LIFECYCLE = JOB_LIFECYCLE.derive("web", cancel_started=True)


def application(work: Work, **options: Any) -> Starlette:
    """Return an application that does *work* with what is posted; options are a runner's."""
    return Starlette(
        routes=[
            Route("/jobs", submit, methods=["POST"]),
            Route("/jobs/{id}", show, methods=["GET"], name="job"),
            Route("/jobs/{id}", cancel, methods=["DELETE"]),
            Route("/jobs/{id}/events", events, methods=["GET"]),
        ],
        exception_handlers={JobNotFound: _error(404), Refused: _error(409)},
        lifespan=_lifespan(work, {"limit": 4, "lifecycle": LIFECYCLE, "keep": 1_000, **options}),
    )


def _lifespan(
    work: Work, options: dict[str, Any]
) -> Callable[[Starlette], AbstractAsyncContextManager[dict[str, Any]]]:
    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with JobRunner(**options) as runner:
            yield {"runner": runner, "work": work}  # handlers find it in request.state
            await runner.aclose("the server is stopping")  # or the block would wait for all jobs

    return running


async def submit(request: Request) -> Response:
    """Take work on: 202 Accepted, and where to ask for it."""
    try:
        order = await request.json()
    except ValueError:
        return JSONResponse({"error": "the body is no JSON"}, 400)
    job = await request.state.runner.submit(request.state.work, order)
    where = request.url_for("job", id=job.id).path
    return JSONResponse(_shown(job), 202, headers={"Location": where})


async def show(request: Request) -> Response:
    """Tell how a job stands."""
    return JSONResponse(_shown(_job(request)))


async def cancel(request: Request) -> Response:
    """Ask for a job to stop, and tell what came of it; 409 where it cannot be cancelled now."""
    job = _job(request)
    answer = await job.cancel("a client asked for it")
    known = answer is not Cancellation.UNCONFIRMED
    return JSONResponse({"cancellation": answer, **_shown(job)}, 200 if known else 202)


async def events(request: Request) -> Response:
    """Stream what happens to a job, from the event on that a client has seen last."""
    job, seen = _job(request), request.headers.get("Last-Event-ID", "0")
    if not seen.isdecimal():
        return JSONResponse({"error": "Last-Event-ID is the version of a job"}, 400)
    if job.outcome is not None and int(seen) >= job.version:
        return Response(status_code=204)  # so that a browser does not ask again
    return StreamingResponse(
        _events(job, int(seen)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


async def _events(job: Job[Any], after: int) -> AsyncIterator[str]:
    """Yield changes as server-sent events, until the job has ended."""
    async with job.changes(after) as changes:
        async for change in changes:
            data: dict[str, Any]
            if isinstance(change, Progress):
                kind, data = "progress", {"percent": change.progress}
            else:
                kind, data = "transition", {"status": change.dest, "reason": change.reason}
            yield f"id: {change.version}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


def _job(request: Request) -> Job[Any]:
    job: Job[Any] = request.state.runner.jobs.get(request.path_params["id"])
    return job


def _shown(job: Job[Any]) -> dict[str, Any]:
    fields = ("id", "status", "version", "progress", "attempt", "result", "error_message")
    return {field: getattr(job, field) for field in fields}


def _error(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handler(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status)

    return handler


async def count_words(text: str) -> dict[str, int]:
    """Return how often each word is there: for trying it out."""
    words = text.split()
    counts = Counter[str]()
    for number, word in enumerate(words, 1):
        counts[word] += 1
        current_job().report(100 * number / len(words))
        await anyio.lowlevel.checkpoint()
    return dict(counts)


if __name__ == "__main__":
    import uvicorn

    # Streams of events are still open at the end; without a limit uvicorn would wait for them.
    uvicorn.run(application(count_words), timeout_graceful_shutdown=1)
