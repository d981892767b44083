"""The interface of the system that pitboss takes the place of, beside `/runs`: the same runs under its names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StrictBool, StrictStr

from pitboss.api.deps import IdempotencyKey
from pitboss.api.events import Accept, LastEventId, may_listen, read_cursor, stream, wants_json
from pitboss.api.schemas import CancelRequest, Json, Strict
from pitboss.bootstrap import Platform
from pitboss.core.clock import from_iso, to_iso
from pitboss.core.errors import InvalidInput, suggest
from pitboss.core.principal import Principal
from pitboss.http.deps import RunId, Told, Who, Wired
from pitboss.kinds.backtest.params import BacktestParams
from pitboss.kinds.screen.params import ScreenParams
from pitboss.runs.kinds import Kind, Params
from pitboss.runs.model import DEFAULT_RESOURCE, QueuePlace, Run, StoredEvent
from pitboss.runs.progress import percent_of_run
from pitboss.runs.states import State
from pitboss.runs.submission import Submission

router = APIRouter(prefix="/strategies", tags=["executions"])
PAGE = 1000
NAMED_BY = ("screen", "strategy", "script")  # the param that names what a run executes
_STATUS = {State.CANCELLING: "running", State.FAILED: "error"}
_TYPES = {
    "started": "started", "progress": "progress", "item_completed": "ticker_completed",
    "stage_completed": "stage_completed", "completed": "completed", "failed": "error", "cancelled": "cancelled",
}  # fmt: skip


class ExecutionOptions(Strict):
    """How a run is queued, how long it may take (seconds), and whether its owner is told of its end."""

    priority: Literal["low", "normal", "high"] = "normal"
    notify_on_completion: StrictBool = False
    max_execution_time: Annotated[float, Field(gt=0, le=1e9)] | None = None


class ExecutionRequest(Strict):
    """A screen, a strategy or a registered script by its name, with its params."""

    strategy_code: Annotated[StrictStr, Field(min_length=1, max_length=100_000, examples=["bullish_breakout"])]
    parameters: Json = {}
    options: ExecutionOptions = ExecutionOptions()


class Execution(BaseModel):
    """A run that was just queued; a position of 0 has started."""

    run_id: str
    status: str
    position_in_queue: int
    estimated_start_time: str | None
    sse_endpoint: str


class ExecutionMetrics(BaseModel):
    """How far a run is."""

    processed_tickers: int
    total_tickers: int | None
    tickers_per_second: float | None
    passed_count: int | None


class ExecutionStatus(BaseModel):
    """Where a run stands; its percentage is of the whole run."""

    run_id: str
    status: str
    progress_percent: float
    current_stage: str | None
    started_at: str | None
    estimated_completion: str | None
    can_cancel: bool
    metrics: ExecutionMetrics


class ExecutionCancelled(BaseModel):
    """What a cancel did."""

    cancelled: bool
    message: str


class QueueEntry(BaseModel):
    """A run that runs (position 0) or waits."""

    run_id: str
    strategy_code: str
    status: str
    position: int
    started_at: str | None = None
    estimated_start: str | None = None


class ExecutionQueue(BaseModel):
    """What runs, then what waits, of one's own; `total_queued` counts all that waits."""

    queue: list[QueueEntry]
    total_queued: int
    max_concurrent: int


@router.post("/execute", status_code=202, response_model=Execution)
def execute(asked: ExecutionRequest, request: Request, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Queue a screen, a strategy or a registered script by its name."""
    kind, params = _named(asked.strategy_code, asked.parameters, platform.service.sources(who))
    options = asked.options
    given = {"max_execution_seconds": options.max_execution_time, "notify_on_completion": options.notify_on_completion}
    submission = Submission(
        kind=kind, params=params, priority=options.priority, idempotency_key=key,
        options={name: value for name, value in given.items() if value},
    )  # fmt: skip
    run = platform.service.submit(who, submission)
    place = platform.service.place(run)
    return {
        "run_id": run.id,
        "status": _status(run),
        "position_in_queue": place.position if place else 0,
        "estimated_start_time": to_iso(place.estimated_start) if place else None,
        "sse_endpoint": f"{request.scope.get('root_path', '')}/api/strategies/sse/{run.id}",
    }


@router.get("/queue", response_model=ExecutionQueue, response_model_exclude_unset=True)
def queue(platform: Wired, who: Who) -> Any:
    """Answer what runs and what waits."""
    service, capacity = platform.service, platform.settings.capacity
    waiting = service.queued(who)
    active = sorted(service.active(who), key=lambda run: run.started_at or 0.0)
    return {
        "queue": [*map(_running, active), *(_waiting(run, place) for run, place in waiting if run is not None)],
        "total_queued": len(service.places()),
        "max_concurrent": min(platform.settings.max_concurrent, capacity.get(DEFAULT_RESOURCE, sum(capacity.values()))),
    }


@router.get("/runs/{run_id}/status", response_model=ExecutionStatus)
def status(run_id: RunId, platform: Wired, who: Who) -> Any:
    """Answer how far a run is."""
    run = platform.service.get(who, run_id)
    progress = run.progress or {}
    found = progress.get("metrics", {})
    left = progress.get("eta_seconds")
    updated = progress.get("updated_at")
    is_over = run.state.is_terminal
    return {
        "run_id": run.id,
        "status": _status(run),
        "progress_percent": 100.0 if run.state is State.COMPLETED else _percent(platform.kinds.get(run.kind), progress),
        "current_stage": progress.get("stage"),
        "started_at": to_iso(run.started_at),
        "estimated_completion": None if is_over or left is None else _later(updated, left),
        "can_cancel": run.state in (State.QUEUED, State.STARTING, State.RUNNING),
        "metrics": {
            "processed_tickers": progress.get("done", 0),
            "total_tickers": progress.get("total"),
            "tickers_per_second": _rate(run) if is_over else found.get("items_per_second"),
            "passed_count": found.get("passed_count"),
        },
    }


@router.post("/runs/{run_id}/cancel", response_model=ExecutionCancelled)
def cancel(run_id: RunId, platform: Wired, who: Who, request: CancelRequest | None = None) -> Any:
    """Cancel a run; asking twice changes nothing, and after its end it is too late."""
    request = request or CancelRequest()
    answer = platform.service.cancel(who, run_id, request.keep_partial, request.reason)
    return {
        "cancelled": answer.run.state in (State.CANCELLING, State.CANCELLED),
        "message": answer.message,
    }  # fmt: skip


@router.get("/sse/{run_id}", responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}})
def sse(
    run_id: RunId, request: Request, platform: Wired, who: Who,
    after: Annotated[str | None, Query(max_length=20, description="Events after this id.")] = None,
    last_event_id: LastEventId = None, accept: Accept = "text/event-stream",
) -> Response:  # fmt: skip
    """Stream what a run does, from its beginning or from where a stream broke off, to its end; or answer what there is
    so far, as JSON."""
    run = platform.service.get(who, run_id)
    (position,) = read_cursor(last_event_id if last_event_id is not None else after, 1)
    position = min(position, run.last_seq)
    reading = Reading(run, platform.kinds.get(run.kind))
    for event in _before(platform, who, run_id, position):
        reading.message(event.as_dict())
    if wants_json(accept):
        told = (reading.message(event.as_dict()) for event in platform.service.events(who, run_id, position))
        return JSONResponse([message for message in told if message])
    if run.state.is_terminal and position >= run.last_seq:
        return Response(status_code=204)
    return stream(request, {run_id: position}, allowed=partial(may_listen, platform, who, [run_id]), told=reading.told)


def _before(platform: Platform, who: Principal, run_id: str, position: int) -> Iterator[StoredEvent]:
    """Yield the events up to a position: what follows is told as if they had just been."""
    after = 0
    while after < position and (page := platform.service.events(who, run_id, after, PAGE)):
        yield from (event for event in page if event.seq <= position)
        after = page[-1].seq


@dataclass
class Reading:
    """Tells a run's log in the words of the earlier system: what it says follows from the events told before."""

    run: Run
    kind: Kind | None
    progress: dict[str, Any] = field(default_factory=dict)
    percent: float = 0.0
    items: int = 0

    def told(self, event: Told) -> bytes:
        """Answer the lines of an event, none for what the earlier system did not tell of."""
        message = self.message(event.document())
        return f"event: {message['event_type']}\r\ndata: {json.dumps(message)}\r\n\r\n".encode() if message else b""

    def message(self, stored: Mapping[str, Any]) -> dict[str, Any] | None:
        """Answer what is told of an event, as the log keeps it; None for what the earlier system did not tell of."""
        payload: Mapping[str, Any] = stored["payload"]
        name = _TYPES.get(stored["type"])
        if stored["type"] == "progress":
            self._follow(payload)
        elif stored["type"] == "item_completed":
            self.items += 1
            self._count()
        if name is None:
            return None
        if name == "completed":
            self.percent = 100.0
        return {
            "event_type": name,
            "timestamp": stored["ts"],
            "run_id": self.run.id,
            "stage": payload.get("stage") or self.progress.get("stage"),
            "progress_percent": self.percent,
            "current_item": payload.get("key") or self.progress.get("current_item"),
            "total_items": self.progress.get("total"),
            "completed_items": max(self.items, self.progress.get("done", 0)),
            "message": _message(name, payload),
            "metrics": {
                "tickers_per_second": self.progress.get("metrics", {}).get("items_per_second"),
                "estimated_remaining": _clock(self.progress.get("eta_seconds")),
            },
        }

    def _count(self) -> None:
        """Note how far the run is by its items, which are told more often than its progress."""
        total = self.progress.get("total")
        if total:
            percent = 100.0 * min(1.0, max(self.items, self.progress.get("done", 0)) / total)
            self.percent = max(self.percent, _percent(self.kind, {**self.progress, "percent": percent}))

    def _follow(self, progress: Mapping[str, Any]) -> None:
        """Note how far the run is. It never goes back, though an attempt may repeat what was not saved."""
        if progress["stage"] != self.progress.get("stage"):
            self.items = max(self.items, progress["done"])
        self.progress = dict(progress)
        self.percent = max(self.percent, _percent(self.kind, progress))


def _named(code: str, given: Mapping[str, Any], sources: Any) -> tuple[str, dict[str, Any]]:
    """Answer the kind of run that a code stands for, and its params. Raises InvalidInput."""
    name, screens = code.strip(), sources.screens
    doubled = next((param for param in NAMED_BY if param in given), None)
    if doubled is not None:
        what = f"'{doubled}' stands among the parameters, and strategy_code says what is executed"
        raise InvalidInput(what, "leave it out", f"parameters.{doubled}")
    if name.replace("_", "-") in screens:
        return "screen", {**_sorted(ScreenParams, given), "screen": name}
    strategies, scripts = sources.strategies.names(), [script.name for script in sources.scripts.all()[0]]
    if name in strategies:
        params = {"symbols" if param == "tickers" else param: value for param, value in given.items()}
        return "backtest", {**_sorted(BacktestParams, params), "strategy": name}
    if name in scripts:
        return "script", {**given, "script": name}
    known = [*screens, *strategies, *scripts]
    raise InvalidInput(f"there is no screen, strategy or script '{name[:60]}'", suggest(name, known), "strategy_code")


def _sorted(model: type[Params], given: Mapping[str, Any]) -> dict[str, Any]:
    """Answer params of a kind, and those of its document under `parameters`."""
    own = {name: value for name, value in given.items() if name in model.model_fields}
    others = {name: value for name, value in given.items() if name not in own}
    kept = own.get("parameters", {})
    return own | ({"parameters": {**kept, **others}} if others and isinstance(kept, dict) else {})


def _status(run: Run) -> str:
    return _STATUS.get(run.state, run.state.value)


def _percent(kind: Kind | None, progress: Mapping[str, Any]) -> float:
    return percent_of_run(kind.stages if kind else {}, progress)


def _code(run: Run) -> str:
    """Answer what a run executes, by the name that it was given, else by its document's."""
    given = next((str(run.params[name]) for name in NAMED_BY if name in run.params), "")
    return given if given and "\n" not in given else run.subject.rpartition("/")[2]


def _running(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.id, "strategy_code": _code(run), "status": _status(run), "position": 0,
        "started_at": to_iso(run.started_at),
    }  # fmt: skip


def _waiting(run: Run, place: QueuePlace) -> dict[str, Any]:
    return {
        "run_id": run.id, "strategy_code": _code(run), "status": _status(run), "position": place.position,
        "estimated_start": to_iso(place.estimated_start),
    }  # fmt: skip


def _rate(run: Run) -> float | None:
    """Answer how many items a second a run that has ended has done, over all of its time."""
    done = (run.progress or {}).get("done", 0)
    seconds = (run.ended_at or 0.0) - (run.started_at or 0.0)
    return done / seconds if run.started_at and seconds > 0 else None


def _later(moment: str | None, seconds: float) -> str | None:
    since = from_iso(moment)
    return None if since is None else to_iso(since + seconds)


def _clock(seconds: float | None) -> str | None:
    """Answer a duration as 00:05:32."""
    if seconds is None:
        return None
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


def _message(name: str, payload: Mapping[str, Any]) -> str:
    """Answer an event in words."""
    match name:
        case "started":
            return "started"
        case "progress":
            return str(payload.get("message") or f"{payload['stage']}: {payload['done']} of {payload['total'] or '?'}")
        case "ticker_completed":
            item = payload["item"]
            return f"{payload['key']}: {'; '.join(item['reasons'])}" if item.get("reasons") else str(payload["key"])
        case "stage_completed":
            return f"{payload['stage']} is done"
        case "error":
            return " ".join(filter(None, (str(payload["message"]), str(payload.get("remedy") or ""))))
        case "cancelled":
            return "cancelled, partial results kept" if payload.get("partial") else "cancelled"
    return "completed"
