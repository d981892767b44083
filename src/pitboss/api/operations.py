"""Trainings and backtests in the words of the earlier system: names and shapes are relied on by other programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StrictFloat, StrictInt, StrictStr

from pitboss.api.deps import IdempotencyKey
from pitboss.api.schemas import Json, Strict
from pitboss.bootstrap import Platform
from pitboss.core.clock import to_iso
from pitboss.core.errors import InvalidInput, NotFound, suggest
from pitboss.core.principal import Principal
from pitboss.http.deps import RunId, Who, Wired
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.progress import percent_of_run
from pitboss.runs.states import State
from pitboss.runs.submission import Submission

router = APIRouter(tags=["operations"])
Text = Annotated[StrictStr, Field(max_length=200, pattern=r"^[^\x00]*$")]
Names = Annotated[list[Text], Field(min_length=1, max_length=1000)]
TYPES = {"training": "training", "backtest": "backtesting"}  # by the kind of a run; of others the kind itself
STATUSES = {
    "pending": (State.QUEUED,), "running": (State.STARTING, State.RUNNING, State.CANCELLING, State.COMPLETING),
    "completed": (State.COMPLETED,), "failed": (State.FAILED,), "cancelled": (State.CANCELLED,),
}  # fmt: skip
MOST_LISTED = 1000
MOST_EPOCHS = 2000
Status = Literal["pending", "running", "completed", "failed", "cancelled"]


class TrainingRequest(Strict):
    """A training: the stored strategy of that name on the bars of symbols. Of timeframes there is one."""

    symbols: Names
    timeframes: Annotated[list[Text], Field(min_length=1, max_length=20)]
    strategy_name: Text
    start_date: Text | None = None
    end_date: Text | None = None


class BacktestRequest(Strict):
    """A backtest of the stored strategy of that name."""

    symbol: Text | None = None
    symbols: Names | None = None
    timeframe: Text | None = None
    strategy_name: Text
    start_date: Text | None = None
    end_date: Text | None = None
    initial_capital: StrictInt | StrictFloat | None = None


class CancelOperation(Strict):
    """Why an operation is cancelled."""

    reason: Annotated[StrictStr, Field(max_length=500)] = ""


class TrainingStarted(BaseModel):
    """A training that waits for its turn. `task_id` is the run's id."""

    success: Literal[True] = True
    task_id: str
    status: Literal["training_started"] = "training_started"
    message: str
    symbols: list[str]
    timeframes: list[str]
    strategy_name: str


class OperationAnswer(BaseModel):
    """An operation, or what was done with it."""

    success: Literal[True] = True
    data: Json


class OperationList(BaseModel):
    """Operations, latest first."""

    success: Literal[True] = True
    data: list[Json]
    total_count: int


@router.post("/trainings/start", response_model=TrainingStarted)
def start_training(request: TrainingRequest, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Queue a training."""
    if len(request.timeframes) > 1:
        what = f"a training is of bars of one length, and {len(request.timeframes)} are given"
        raise InvalidInput(what, 'write one, and on("1h", …) in the features for longer bars', "timeframes")
    params = {
        "strategy": _stored(platform, who, request.strategy_name), "symbols": request.symbols,
        "timeframe": request.timeframes[0], "start": request.start_date, "end": request.end_date,
    }  # fmt: skip
    run = _submitted(platform, who, "training", params, key)
    return {
        "task_id": run.id, "symbols": request.symbols, "timeframes": request.timeframes,
        "message": f"training {run.number} of {request.strategy_name} is queued",
        "strategy_name": request.strategy_name,
    }  # fmt: skip


@router.post("/backtests/start", response_model=OperationAnswer)
def start_backtest(request: BacktestRequest, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Queue a backtest."""
    symbols = request.symbols or ([request.symbol] if request.symbol else None)
    params = {
        "strategy": _stored(platform, who, request.strategy_name), "symbols": symbols, "timeframe": request.timeframe,
        "start": request.start_date, "end": request.end_date, "cash": request.initial_capital,
    }  # fmt: skip
    run = _submitted(platform, who, "backtest", params, key)
    return {"data": {"operation_id": run.id, "status": "started", "strategy_name": request.strategy_name}}


def _stored(platform: Platform, who: Principal, name: str) -> str:
    names = platform.service.sources(who).strategies.names()
    if name not in names:
        remedy = f"{suggest(name, names)}: there are {', '.join(names[:20])}" if names else "store one first"
        raise InvalidInput(f"there is no strategy '{name[:64]}'", remedy, "strategy_name")
    return name


def _submitted(platform: Platform, who: Principal, kind: str, params: Mapping[str, Any], key: str | None) -> Run:
    given = {name: value for name, value in params.items() if value is not None}
    return platform.service.submit(who, Submission(kind=kind, params=given, idempotency_key=key))


@router.get("/operations", response_model=OperationList)
def list_operations(
    platform: Wired, who: Who, status: Status | None = None,
    operation_type: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
) -> Any:  # fmt: skip
    """List operations, latest first."""
    kinds = {name: kind for kind, name in TYPES.items()}
    query = RunQuery(
        kind=kinds.get(operation_type, operation_type) if operation_type else None,
        states=STATUSES[status] if status else (), limit=limit,
    )  # fmt: skip
    found = [_described(platform, run) for run in platform.service.find(who, query)]
    return {"data": found, "total_count": len(found)}


@router.get("/operations/{operation_id}", response_model=OperationAnswer)
def get_operation(operation_id: RunId, platform: Wired, who: Who) -> Any:
    """Answer how far an operation is, and what came of it."""
    run = _operation(platform, who, operation_id)
    return {"data": _described(platform, run) | {"metrics": {"epochs": _epochs(platform, who, run)}}}


@router.delete("/operations/{operation_id}", response_model=OperationAnswer)
def cancel_operation(operation_id: RunId, platform: Wired, who: Who, request: CancelOperation | None = None) -> Any:
    """Cancel an operation, and keep what there is of it; answers when it has ended, after two seconds at most."""
    run = _operation(platform, who, operation_id)
    if run.state.is_terminal:
        return _refused(f"operation {run.id} has ended: {_status(run)}")
    answer = platform.service.cancel(who, run.id, keep_partial=True, reason=(request or CancelOperation()).reason)
    if answer.run.state in (State.COMPLETING, State.COMPLETED):
        return _refused(f"operation {run.id} is too far to be cancelled: {answer.message}")
    ended = platform.service.settled(who, run.id)
    return {
        "data": {
            "operation_id": run.id, "status": "cancelled", "cancelled_at": to_iso(ended.ended_at),
            "cancellation_reason": ended.cancel_reason or "", "message": answer.message,
        }
    }  # fmt: skip


def _refused(detail: str) -> JSONResponse:
    body = {
        "type": "about:blank", "title": "bad request", "status": 400, "detail": detail,
        "remedy": "an operation is cancelled while it is pending or running", "errors": [],
    }  # fmt: skip
    return JSONResponse(body, 400, media_type="application/problem+json")


@router.get("/operations/{operation_id}/children", response_model=OperationList)
def children(operation_id: RunId, platform: Wired, who: Who) -> Any:
    """List the operations that were queued with one, to be held against it."""
    run = _operation(platform, who, operation_id)
    found = [_described(platform, each) for each in platform.service.companions(run)]
    return {"data": found, "total_count": len(found)}


@router.get("/operations/{operation_id}/results", response_model=OperationAnswer)
def results(operation_id: RunId, platform: Wired, who: Who) -> Any:
    """Answer what came of an operation that has ended. One that has not is a 404."""
    run = _operation(platform, who, operation_id)
    if run.result is None:
        raise NotFound(f"operation {run.id} has no result: it is {_status(run)}", "wait for its end")
    return {"data": {"operation_id": run.id, "operation_type": _type(run), "status": _status(run), **_summary(run)}}


@router.get("/operations/{operation_id}/metrics", response_model=OperationAnswer)
def metrics(operation_id: RunId, platform: Wired, who: Who) -> Any:
    """Answer the losses of an operation, step by step."""
    run = _operation(platform, who, operation_id)
    epochs = _epochs(platform, who, run)
    return {"data": {"operation_id": run.id, "operation_type": _type(run), "metrics": {"epochs": epochs}}}


@router.post("/operations/{operation_id}/resume", response_model=OperationAnswer)
def resume(operation_id: RunId, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Go on from where an operation last saved its state, as a new one."""
    run = platform.service.resume(who, _operation(platform, who, operation_id).id, key)
    return {"data": {"operation_id": run.id, "resumed_from": operation_id, "status": _status(run)}}


@router.post("/operations/{operation_id}/retry", response_model=OperationAnswer)
def retry(operation_id: RunId, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Do an operation again that has failed or was cancelled, as a new one."""
    run = platform.service.retry(who, _operation(platform, who, operation_id).id, key)
    return {"data": {"operation_id": run.id, "retry_of": operation_id, "status": _status(run)}}


def _operation(platform: Platform, who: Principal, operation_id: str) -> Run:
    try:
        return platform.service.get(who, operation_id)
    except NotFound:
        raise NotFound(f"there is no operation '{operation_id[:64]}'", "its id is the task's or the run's") from None


def _type(run: Run) -> str:
    return TYPES.get(run.kind, run.kind)


def _status(run: Run) -> str:
    return next(name for name, states in STATUSES.items() if run.state in states)


def _described(platform: Platform, run: Run) -> dict[str, Any]:
    progress = run.progress or {}
    kind = platform.kinds.get(run.kind)
    stages = dict(kind.stages) if kind else {}
    is_done = run.state is State.COMPLETED
    stage = str(progress.get("stage") or "")
    return {
        "operation_id": run.id, "operation_type": _type(run), "status": _status(run),
        "progress": {
            "percentage": 100.0 if is_done else percent_of_run(stages, progress), "current_step": stage or None,
            "steps_completed": len(stages) if is_done else _step(stages, stage), "steps_total": len(stages),
            "items_processed": progress.get("done", 0), "items_total": progress.get("total"),
            "current_item": progress.get("current_item"), "context": progress.get("metrics", {}),
        },
        "metrics": {"epochs": []}, "result_summary": _summary(run), "created_at": to_iso(run.created_at),
        "started_at": to_iso(run.started_at), "completed_at": to_iso(run.ended_at),
        "error_message": run.error["message"] if run.error else None,
    }  # fmt: skip


def _step(stages: Mapping[str, float], stage: str) -> int:
    """Answer how many stages are over."""
    return next((at for at, name in enumerate(stages) if name and stage.startswith(name)), 0)


def _summary(run: Run) -> dict[str, Any]:
    """Answer what came of a run in short."""
    result = run.result or {}
    if not result:
        return {}
    if run.kind != "training":
        return {"metrics": result.get("metrics", {}), "partial": run.partial}
    taken = round((run.ended_at or 0.0) - (run.started_at or 0.0), 3) if run.started_at and run.ended_at else None
    model = result.get("model") or {}
    scores = {name: result["scores"].get(name) for name in ("skill", "auc", "accuracy", "log_loss", "rmse")}
    return {
        "training_metrics": {
            "training_time": taken, "folds": len(result["folds"]), "equity": result.get("equity"),
            **{name: value for name, value in scores.items() if value is not None},
        },
        "model": {name: model[name] for name in ("name", "digest", "learner", "features") if name in model},
        "partial": run.partial,
    }  # fmt: skip


def _epochs(platform: Platform, who: Principal, run: Run) -> list[dict[str, Any]]:
    """Answer the losses that were told while a training went on, its last ones."""
    return list(_told(platform, who, run)) if run.kind == "training" else []


def _told(platform: Platform, who: Principal, run: Run) -> Iterator[dict[str, Any]]:
    for event in platform.service.events(who, run.id, max(0, run.last_seq - MOST_EPOCHS), MOST_EPOCHS):
        told = event.payload.get("metrics", {})
        if event.type == "progress" and ("loss" in told or "train_loss" in told):
            yield {
                "stage": event.payload.get("stage"), "epoch": event.payload.get("done"),
                "train_loss": told.get("train_loss"), "val_loss": told.get("loss"),
            }  # fmt: skip
