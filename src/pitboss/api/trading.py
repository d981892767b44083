"""Sessions in the words of the earlier system: names and shapes are relied on by other programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from pitboss.api.deps import IdempotencyKey
from pitboss.api.events import Accept, LastEventId, may_listen, read_cursor, stream, wants_json
from pitboss.api.schemas import Json, Strict
from pitboss.api.traders import TraderId
from pitboss.bootstrap import Platform
from pitboss.core.errors import NotFound
from pitboss.core.principal import Principal
from pitboss.http.deps import RunId, Told, Who, Wired
from pitboss.runs.model import Run
from pitboss.runs.states import State

router = APIRouter(prefix="/trading", tags=["trading"])
Text = Annotated[StrictStr, Field(max_length=200, pattern=r"^[^\x00]*$")]
Symbols = Annotated[list[Text], Field(max_length=50)]
Pace = StrictInt | StrictFloat | Text
_RUNNING = {State.QUEUED: "queued", State.CANCELLING: "cancelling"}
_ENDED = {State.COMPLETED: "completed", State.FAILED: "failed", State.CANCELLED: "cancelled"}


class _Started(Strict):
    symbol: Text | None = None
    symbols: Symbols | None = None
    base_model: Text | None = None
    pace: Pace | None = None
    cash: StrictInt | StrictFloat | None = None
    calendar: Text | None = None
    timeframe: Text | None = None

    def params(self) -> dict[str, Any]:
        """Answer those of a session's params that are given."""
        symbols = self.symbols if self.symbols is not None else ([self.symbol] if self.symbol else None)
        named = ("pace", "cash", "calendar", "timeframe")
        return {"symbols": symbols, "model": self.base_model, **{name: getattr(self, name) for name in named}}


class IntradayRequest(_Started):
    """A day to trade minute by minute. `base_model` takes the place of the agent's model; `pace` is minutes a second,
    `max` or `real`."""

    date: Text
    session: Text | Symbols = "regular"


class DailyRequest(_Started):
    """A range of days to trade, one decision each."""

    start: Text | None = None
    end: Text | None = None
    start_date: Text | None = None
    end_date: Text | None = None


class KeepRequest(Strict):
    """Whether what was done so far is kept."""

    keep_partial: StrictBool = True


class StartedModel(BaseModel):
    """A session that waits for its turn. `job_id` and `run_id` are the same."""

    status: Literal["queued"]
    job_id: str
    run_id: str
    run_number: int
    model_id: str
    message: str = ""


class CancelledModel(BaseModel):
    """What a cancel did."""

    status: Literal["cancellation_requested", "no_active_run"]
    run_id: str | None


class StoppedModel(BaseModel):
    """What a stop did."""

    status: Literal["stopped", "stopping", "no_active_run"]
    job_id: str | None


class JobModel(BaseModel):
    """A session as a job; `progress` is per cent."""

    job_id: str
    status: str
    progress: float
    data: Json
    result: Json | None
    error: str | None


@router.post("/start-intraday/{trader_id}", response_model=StartedModel)
def start_intraday(
    trader_id: TraderId, request: IntradayRequest, platform: Wired, who: Who, key: IdempotencyKey = None
) -> Any:
    """Start a session over one trading day."""
    asked = {"mode": "intraday", "date": request.date, "session": request.session}
    return _started(platform, who, trader_id, {**request.params(), **asked}, key)


@router.post("/start/{trader_id}", response_model=StartedModel)
def start(trader_id: TraderId, request: DailyRequest, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Start a session over a range of days."""
    start, end = request.start or request.start_date, request.end or request.end_date
    return _started(platform, who, trader_id, {**request.params(), "mode": "daily", "start": start, "end": end}, key)


def _started(platform: Platform, who: Principal, trader_id: str, params: dict[str, Any], key: str | None) -> Any:
    run = platform.bench.start(who, trader_id, params, key)
    agent = run.snapshot["agent"]["type"]
    is_ignored = params.get("model") is not None and agent != "llm"
    said = f"base_model is ignored: this trader decides by {agent}" if is_ignored else ""
    return {
        "status": "queued", "job_id": run.id, "run_id": run.id, "run_number": run.number,
        "model_id": run.snapshot["trader"]["id"], "message": said,
    }  # fmt: skip


@router.post("/cancel-intraday/{trader_id}", response_model=CancelledModel)
def cancel_intraday(trader_id: TraderId, platform: Wired, who: Who, request: KeepRequest | None = None) -> Any:
    """Cancel the newest session over one day that has not ended."""
    answer = platform.bench.cancel(who, trader_id, (request or KeepRequest()).keep_partial, "intraday")
    if answer is None:
        return {"status": "no_active_run", "run_id": None}
    return {"status": "cancellation_requested", "run_id": answer.run.id}


@router.post("/stop/{trader_id}", response_model=StoppedModel)
def stop(trader_id: TraderId, platform: Wired, who: Who, request: KeepRequest | None = None) -> Any:
    """Stop the newest session that has not ended, of one day or of several; answers when it has, after two seconds at
    most."""
    answer = platform.bench.cancel(who, trader_id, (request or KeepRequest()).keep_partial)
    if answer is None:
        return {"status": "no_active_run", "job_id": None}
    run = platform.service.settled(who, answer.run.id)
    return {"status": "stopped" if run.state.is_terminal else "stopping", "job_id": run.id}


@router.get("/status/{trader_id}")
def status(trader_id: TraderId, platform: Wired, who: Who) -> Json:
    """Answer how far the newest session is that has not ended."""
    run = platform.bench.active(who, trader_id)
    if run is None:
        return {"status": "not_running"}
    return {
        "status": _status(run), "model_id": run.snapshot["trader"]["id"], "job_id": run.id, "run_id": run.id,
        **_position(run),
    }  # fmt: skip


@router.get("/jobs/{job_id}", response_model=JobModel)
def job(job_id: RunId, platform: Wired, who: Who) -> Any:
    """Answer a session as a job."""
    run = platform.service.get(who, job_id)
    if run.kind != "session":
        raise NotFound(f"there is no trading job '{job_id[:64]}'", "its id is the run's")
    return {
        "job_id": run.id, "status": _status(run), "progress": _percent(run),
        "data": {**run.params, "run_number": run.number, "trader": run.snapshot["trader"], **_position(run)},
        "result": run.result, "error": run.error["message"] if run.error else None,
    }  # fmt: skip


@router.get(
    "/stream/{trader_id}", responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}
)  # fmt: skip
def stream_trader(
    trader_id: TraderId, request: Request, platform: Wired, who: Who,
    after: Annotated[str | None, Query(max_length=20, description="Events after this id.")] = None,
    last_event_id: LastEventId = None, accept: Accept = "text/event-stream",
) -> Response:  # fmt: skip
    """Stream what the newest session does, as `status`, `progress`, `trade`, `complete`, `error` and `cancelled`."""
    run = platform.bench.newest(who, trader_id)
    if run is None:
        raise NotFound("this trader has no session yet", "start one first")
    (position,) = read_cursor(last_event_id if last_event_id is not None else after, 1)
    position = min(position, run.last_seq)
    telling = Telling(run)
    if wants_json(accept):
        events = (telling.messages(event.as_dict()) for event in platform.service.events(who, run.id, position))
        return JSONResponse([{"event": name, "data": data} for told in events for name, data in told])
    if run.state.is_terminal and position >= run.last_seq:
        return Response(status_code=204)
    return stream(request, {run.id: position}, allowed=partial(may_listen, platform, who, [run.id]), told=telling.told)


@dataclass(frozen=True, slots=True)
class Telling:
    """Tells the log of a session in the words of the earlier system."""

    run: Run

    def told(self, event: Told) -> bytes:
        """Answer the lines of an event; nothing for what the earlier system did not tell of."""
        lines = (f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n" for name, data in self.messages(event.document()))
        return "".join(lines).encode()

    def messages(self, stored: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield names and contents of what is told of an event, as the log keeps it."""
        payload: Mapping[str, Any] = stored["payload"]
        base = {"run_id": self.run.id, "model_id": self.run.snapshot["trader"]["id"], "timestamp": stored["ts"]}
        match stored["type"]:
            case "queued" | "claimed" | "started" | "cancel_requested" | "requeued":
                yield "status", {**base, "status": _STATUS[stored["type"]]}
            case "progress":
                yield "progress", {
                    **base, "progress": payload.get("percent") or 0.0, "current_minute": payload["done"],
                    "total_minutes": payload["total"], "market_time": payload.get("current_item"),
                    **payload.get("metrics", {}),
                }  # fmt: skip
            case "item_completed":
                for fill in payload["item"].get("fills", ()):
                    if fill["status"] == "filled":
                        yield "trade", {**base, **fill}
            case "completed":
                yield "complete", {**base, "result": payload["result"].get("metrics", {})}
            case "failed":
                yield "error", {**base, "error": payload["message"], "remedy": payload.get("remedy", "")}
            case "cancelled":
                yield "cancelled", {**base, "partial": payload["partial"], "reason": payload["reason"]}


_STATUS = {
    "queued": "queued", "claimed": "starting", "started": "running", "cancel_requested": "cancelling",
    "requeued": "queued",
}  # fmt: skip


def _status(run: Run) -> str:
    return _ENDED.get(run.state) or _RUNNING.get(run.state, "running")


def _percent(run: Run) -> float:
    return 100.0 if run.state is State.COMPLETED else float(_trading(run).get("percent") or 0.0)


def _trading(run: Run) -> Mapping[str, Any]:
    """Answer the progress of a session while it trades, nothing before."""
    progress = run.progress or {}
    return progress if progress.get("stage") in ("trading", "results") else {}


def _position(run: Run) -> dict[str, Any]:
    progress = _trading(run)
    is_after = progress.get("stage") == "results"
    total = (run.result or {}).get("decisions", {}).get("steps") if is_after else progress.get("total")
    return {
        "progress": _percent(run), "current_minute": total if is_after else progress.get("done", 0),
        "total_minutes": total,
    }  # fmt: skip
