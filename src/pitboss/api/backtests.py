"""Saved backtests over HTTP: keep a configuration, run it, follow and cancel its runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from pitboss.api.backtestmodels import (
    BacktestCancelRequest,
    BacktestChange,
    BacktestProgress,
    BacktestRequest,
    CancelledBacktest,
    SavedBacktestModel,
    StartedBacktest,
)
from pitboss.api.deps import IdempotencyKey, Locate
from pitboss.api.runs import queued
from pitboss.api.schemas import RunPage
from pitboss.bootstrap import Platform
from pitboss.core.clock import to_iso
from pitboss.core.principal import Principal
from pitboss.http.deps import Who, Whose, Wired
from pitboss.runs.model import Run
from pitboss.runs.states import State

router = APIRouter(tags=["backtests"])
_STATUSES = {
    State.QUEUED: "pending", State.COMPLETED: "completed", State.FAILED: "failed", State.CANCELLED: "cancelled",
}  # fmt: skip
BacktestId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A saved backtest's id.")]


def described(platform: Platform, who: Principal, saved: Any) -> dict[str, Any]:
    return described_all(platform, who, [saved])[0]


def described_all(platform: Platform, who: Principal, found: list[Any]) -> list[dict[str, Any]]:
    remarks = platform.backtests.remarks(found)
    return [
        {
            "id": saved.id,
            "name": saved.name,
            "params": saved.params,
            "tags": list(remarks[saved.id].tags),
            "notes": remarks[saved.id].notes,
            "is_running": platform.backtests.is_running(who, saved.id),
            "created_at": to_iso(saved.created_at),
            "updated_at": to_iso(saved.updated_at),
        }
        for saved in found
    ]


@router.post("/backtests", status_code=201, response_model=SavedBacktestModel)
def create(request: BacktestRequest, locate: Locate, platform: Wired, who: Who) -> Any:
    """Save a configuration under a name of its own."""
    saved = platform.backtests.create(who, request.name, request.params, request.tags, request.notes)
    locate(f"/backtests/{saved.id}")
    return described(platform, who, saved)


@router.get("/backtests", response_model=list[SavedBacktestModel])
def list_backtests(platform: Wired, who: Whose) -> Any:
    """List the saved configurations, by name."""
    return described_all(platform, who, platform.backtests.all(who))


@router.get("/backtests/{backtest_id}", response_model=SavedBacktestModel)
def get(backtest_id: BacktestId, platform: Wired, who: Whose) -> Any:
    """Answer a saved configuration."""
    return described(platform, who, platform.backtests.get(who, backtest_id))


@router.patch("/backtests/{backtest_id}", response_model=SavedBacktestModel)
def change(backtest_id: BacktestId, request: BacktestChange, platform: Wired, who: Who) -> Any:
    """Change the name or some of the params; runs that were made keep theirs."""
    saved = platform.backtests.change(who, backtest_id, request.name, request.params)
    platform.backtests.remark(who, backtest_id, request.tags, request.notes)
    return described(platform, who, saved)


@router.delete("/backtests/{backtest_id}", status_code=204)
def delete(backtest_id: BacktestId, platform: Wired, who: Who) -> None:
    """Remove a configuration; its runs stay."""
    platform.backtests.delete(who, backtest_id)


@router.post("/backtests/{backtest_id}/run", status_code=202, response_model=StartedBacktest)
def run(backtest_id: BacktestId, locate: Locate, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Queue a run of the configuration; it may be running already, each run is one of its own."""
    run = queued(platform.backtests.run(who, backtest_id, key), locate, platform)
    return run | {"success": True, "message": f"backtest {run['number']} is queued", "error": None}


@router.get("/backtests/{backtest_id}/progress", response_model=BacktestProgress)
def progress(backtest_id: BacktestId, platform: Wired, who: Whose) -> Any:
    """Answer how far the newest run is that has not ended, else the newest."""
    latest = platform.backtests.latest(who, backtest_id)
    described = latest.as_dict(platform.service.place(latest))
    return {
        "run_id": latest.id,
        **{name: described[name] for name in ("number", "state", "progress", "queue")},
        **_as_before(latest),
    }


def _as_before(run: Run) -> dict[str, Any]:
    """Answer how far a run is in the words of an earlier system."""
    progress = run.progress or {}
    percent = 100.0 if run.state is State.COMPLETED else progress.get("percent") or 0.0
    return {
        "status": _STATUSES.get(run.state, "running"),
        "progress_percentage": percent,
        "current_date": progress.get("current_item"),
        "candles_processed": progress.get("done", 0),
        "total_candles": progress.get("total"),
        "trade_count": progress.get("metrics", {}).get("trade_count", 0),
        "estimated_seconds_remaining": None if run.state.is_terminal else progress.get("eta_seconds"),
        "error_message": run.error["message"] if run.error else None,
    }


@router.post("/backtests/{backtest_id}/cancel", response_model=CancelledBacktest)
def cancel(backtest_id: BacktestId, platform: Wired, who: Who, request: BacktestCancelRequest | None = None) -> Any:
    """Cancel the newest run that has not ended, or the one that is named; answers when it has ended, after two seconds
    at most."""
    request = request or BacktestCancelRequest()
    answer = platform.backtests.cancel(who, backtest_id, request.keep_partial_results, request.run_id)
    run = platform.service.settled(who, answer.run.id)
    return run.as_dict() | {
        "message": answer.message,
        "success": run.cancel_requested_at is not None,
        "partial_results_saved": run.partial,
    }


@router.get("/backtests/{backtest_id}/runs", response_model=RunPage)
def runs(
    backtest_id: BacktestId,
    platform: Wired,
    who: Whose,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")] = None,
) -> Any:
    """List the runs of the configuration, newest first."""
    found = platform.backtests.runs(who, backtest_id, limit, cursor)
    return {
        "items": [run.as_dict() for run in found],
        "next_cursor": found[-1].id if len(found) == limit else None,
    }
