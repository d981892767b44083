"""Saved backtests over HTTP: keep a configuration, run it, follow and cancel its runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from pitboss.api.deps import IdempotencyKey, Locate
from pitboss.api.runs import queued
from pitboss.api.schemas import (
    BacktestCancelRequest,
    BacktestChange,
    BacktestProgress,
    BacktestRequest,
    CancelledRun,
    RunModel,
    RunPage,
    SavedBacktestModel,
)
from pitboss.bootstrap import Platform
from pitboss.core.clock import to_iso
from pitboss.core.principal import Principal
from pitboss.http.deps import Who, Whose, Wired

router = APIRouter(tags=["backtests"])
BacktestId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A saved backtest's id.")]


def described(platform: Platform, who: Principal, saved: Any) -> dict[str, Any]:
    return {
        "id": saved.id,
        "name": saved.name,
        "params": saved.params,
        "is_running": platform.backtests.is_running(who, saved.id),
        "created_at": to_iso(saved.created_at),
        "updated_at": to_iso(saved.updated_at),
    }


@router.post("/backtests", status_code=201, response_model=SavedBacktestModel)
def create(request: BacktestRequest, locate: Locate, platform: Wired, who: Who) -> Any:
    """Save a configuration under a name of its own."""
    saved = platform.backtests.create(who, request.name, request.params)
    locate(f"/backtests/{saved.id}")
    return described(platform, who, saved)


@router.get("/backtests", response_model=list[SavedBacktestModel])
def list_backtests(platform: Wired, who: Whose) -> Any:
    """List the saved configurations, by name."""
    return [described(platform, who, saved) for saved in platform.backtests.all(who)]


@router.get("/backtests/{backtest_id}", response_model=SavedBacktestModel)
def get(backtest_id: BacktestId, platform: Wired, who: Whose) -> Any:
    """Answer a saved configuration."""
    return described(platform, who, platform.backtests.get(who, backtest_id))


@router.patch("/backtests/{backtest_id}", response_model=SavedBacktestModel)
def change(backtest_id: BacktestId, request: BacktestChange, platform: Wired, who: Who) -> Any:
    """Change the name or some of the params; runs that were made keep theirs."""
    return described(platform, who, platform.backtests.change(who, backtest_id, request.name, request.params))


@router.delete("/backtests/{backtest_id}", status_code=204)
def delete(backtest_id: BacktestId, platform: Wired, who: Who) -> None:
    """Remove a configuration; its runs stay."""
    platform.backtests.delete(who, backtest_id)


@router.post("/backtests/{backtest_id}/run", status_code=202, response_model=RunModel)
def run(backtest_id: BacktestId, locate: Locate, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Queue a run of the configuration; it may be running already, each run is one of its own."""
    return queued(platform.backtests.run(who, backtest_id, key), locate, platform)


@router.get("/backtests/{backtest_id}/progress", response_model=BacktestProgress)
def progress(backtest_id: BacktestId, platform: Wired, who: Whose) -> Any:
    """Answer how far the newest run is that has not ended, else the newest."""
    latest = platform.backtests.latest(who, backtest_id)
    described = latest.as_dict(platform.service.place(latest))
    return {
        "run_id": latest.id,
        **{name: described[name] for name in ("number", "state", "progress", "queue")},
    }


@router.post("/backtests/{backtest_id}/cancel", response_model=CancelledRun)
def cancel(backtest_id: BacktestId, platform: Wired, who: Who, request: BacktestCancelRequest | None = None) -> Any:
    """Cancel the newest run that has not ended, or the one that is named."""
    request = request or BacktestCancelRequest()
    answer = platform.backtests.cancel(who, backtest_id, request.keep_partial_results, request.run_id)
    return answer.run.as_dict() | {"message": answer.message}


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
