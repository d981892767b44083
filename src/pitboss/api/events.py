"""The event log read aloud: Server-Sent Events that resume, and pages of JSON at the same address."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Collection
from functools import partial
from operator import attrgetter
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from sse_starlette import EventSourceResponse

from pitboss.api.schemas import EventPage
from pitboss.bootstrap import Platform
from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.principal import LOCAL, Principal
from pitboss.http.deps import RunId, Streams, Told, Who, Wired, platform_of
from pitboss.runs.model import StoredEvent

router = APIRouter(tags=["events"])
PING_SECONDS = 15
SEND_SECONDS = 20  # a reader that takes longer for a few events is cut off; it resumes where it was
MAX_RUNS = 200
ALLOWED_SECONDS = 1.0  # between two looks whether somebody may still listen
MAX_SEQ = 2**31 - 1

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", description="Where a stream broke off.")]
Accept = Annotated[str, Header(description="text/event-stream, or application/json for one page.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Events in one page of JSON.")]
_SSE = {
    200: {
        "description": "A stream of events, or a page of them.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}, "application/json": {}},
    },
    204: {"description": "The run has ended and all its events were sent: do not reconnect."},
}


@router.get("/runs/{run_id}/events", response_model=EventPage, responses=_SSE)  # type: ignore[arg-type]
def run_events(
    run_id: RunId, request: Request, platform: Wired, who: Who,
    after: Annotated[str | None, Query(max_length=20, description="Events after this seq.")] = None,
    limit: Limit = 1000, last_event_id: LastEventId = None, accept: Accept = "text/event-stream",
) -> Response:  # fmt: skip
    """Stream the events of a run, or answer a page of them."""
    run = platform.service.get(who, run_id)
    (position,) = read_cursor(last_event_id if last_event_id is not None else after, 1)
    position = min(position, run.last_seq)
    if wants_json(accept):
        events = platform.service.events(who, run_id, position, limit)
        return page(events, str(events[-1].seq if events else position))
    if run.state.is_terminal and position >= run.last_seq:
        return Response(status_code=204)
    return stream(request, {run_id: position}, allowed=partial(may_listen, platform, who, [run_id]))


@router.get("/events", response_model=EventPage, responses=_SSE)  # type: ignore[arg-type]
def many_events(
    request: Request, platform: Wired, who: Who,
    runs: Annotated[str, Query(description="Ids of runs with commas between.", max_length=40 * MAX_RUNS)],
    after: Annotated[str | None, Query(max_length=12 * MAX_RUNS, description="The cursor of the last event.")] = None,
    limit: Limit = 1000, last_event_id: LastEventId = None, accept: Accept = "text/event-stream",
) -> Response:  # fmt: skip
    """Stream the events of several runs over one connection; an event's id is the position in all of them."""
    ids = list(dict.fromkeys(part.strip() for part in runs.split(",") if part.strip()))
    if not 1 <= len(ids) <= MAX_RUNS:
        raise InvalidInput(f"{len(ids)} runs are none or too many", f"1 to {MAX_RUNS} ids", "runs")
    found = [platform.service.get(who, run_id) for run_id in ids]
    positions = dict(
        zip(ids, read_cursor(last_event_id if last_event_id is not None else after, len(ids)), strict=True)
    )
    if wants_json(accept):
        return several_pages(platform, who, positions, limit)
    positions = {run.id: min(positions[run.id], run.last_seq) for run in found}
    ended = {run.id for run in found if run.state.is_terminal and positions[run.id] >= run.last_seq}
    if len(ended) == len(found):
        return Response(status_code=204)
    return stream(request, positions, ended, partial(may_listen, platform, who, ids))


def may_listen(platform: Platform, who: Principal, run_ids: Collection[str]) -> bool:
    """Answer whether somebody may still read all of some runs: what is shared may be taken back meanwhile, and who
    came before there were accounts is nobody afterwards."""
    if who == LOCAL and platform.accounts.has_accounts():
        return False
    return not any(isinstance(found, NotFound) for found in platform.service.several(who, run_ids).values())


def several_pages(platform: Platform, who: Principal, positions: dict[str, int], limit: int) -> Response:
    """Answer the next events of several runs, oldest first within each, with the cursor after them."""
    events: list[StoredEvent] = []
    for run_id in positions:
        part = (
            platform.service.events(who, run_id, positions[run_id], limit - len(events)) if len(events) < limit else []
        )
        events += part
        positions[run_id] = part[-1].seq if part else positions[run_id]
    return page(events, ".".join(map(str, positions.values())))


def read_cursor(text: str | None, count: int) -> list[int]:
    """Read `12`, or `12.0.45` for several runs. Raises InvalidInput."""
    if text is None or text == "":
        return [0] * count
    parts = text.split(".")
    if len(parts) != count or not all(part.isascii() and part.isdigit() and int(part) <= MAX_SEQ for part in parts):
        raise InvalidInput(f"'{text[:40]}' is no position in {count} runs", "send the id of the last event", "after")
    return [int(part) for part in parts]


def wants_json(accept: str) -> bool:
    """Answer whether the client asks for a page rather than a stream."""
    return "application/json" in accept and "text/event-stream" not in accept


def page(events: list[StoredEvent], cursor: str) -> Response:
    return JSONResponse({"events": [event.as_dict() for event in events], "cursor": cursor})


def stream(
    request: Request, positions: dict[str, int], ended: Collection[str] = (),
    allowed: Callable[[], bool] = lambda: True, told: Callable[[Told], bytes] = attrgetter("body"),
) -> Response:  # fmt: skip
    """Answer a stream of the events beyond `positions` as they are `told`, those told as nothing left out.

    It ends with the last run, when it is `allowed` no more, and when it has lasted as long as a stream may.
    """
    tailer: Streams = request.app.state.tailer
    asked_at = time.monotonic()
    longest = platform_of(request).settings.stream_seconds
    ends_at = asked_at + longest if longest else math.inf

    async def messages() -> AsyncIterator[bytes]:
        nonlocal asked_at
        batches = aiter(tailer.listen(positions, ended))
        while (now := time.monotonic()) < ends_at:
            try:
                batch = await asyncio.wait_for(anext(batches), ends_at - now if longest else None)
            except (StopAsyncIteration, TimeoutError):
                return
            if time.monotonic() - asked_at > ALLOWED_SECONDS:
                asked_at = time.monotonic()
                if not await asyncio.to_thread(allowed):
                    return
            pieces: list[bytes] = []
            for event in batch:
                positions[event.run_id] = event.seq
                if body := told(event):
                    pieces += (b"id: ", ".".join(map(str, positions.values())).encode(), b"\r\n", body)
            if pieces:
                yield b"".join(pieces)

    return EventSourceResponse(messages(), ping=PING_SECONDS, send_timeout=SEND_SECONDS)
