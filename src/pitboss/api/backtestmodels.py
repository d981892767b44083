"""What goes in and out over HTTP about saved backtests."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from pitboss.api.schemas import CancelledRun, Json, Notes, Progress, QueuePlaceModel, RunModel, Strict, Tags
from pitboss.kinds.backtest.params import EXAMPLE


class BacktestCancelRequest(Strict):
    """Whether to keep what is done so far; which run, when more than one is under way."""

    keep_partial_results: StrictBool = True
    run_id: StrictStr | None = None


class BacktestRequest(Strict):
    """A configuration to save; `params` are those of a run of kind backtest."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "EUR/USD trend", "params": EXAMPLE}]},
    )
    name: StrictStr = Field(min_length=1, max_length=64)
    params: Json
    tags: Tags = []
    notes: Notes = ""


class BacktestChange(Strict):
    """What to change of a saved configuration; a param that is null is removed."""

    name: StrictStr | None = Field(None, min_length=1, max_length=64)
    params: Json | None = None
    tags: Tags | None = None
    notes: Notes | None = None


class SavedBacktestModel(BaseModel):
    """A saved configuration of a backtest."""

    id: str
    name: str
    params: Json
    tags: list[str]
    notes: str
    is_running: bool
    created_at: str
    updated_at: str


class BacktestProgress(BaseModel):
    """How far the newest run of a saved backtest is; from `status` on in the words of an earlier system."""

    run_id: str
    number: int
    state: str
    progress: Progress | None
    queue: QueuePlaceModel | None
    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    progress_percentage: float
    current_date: str | None
    candles_processed: int
    total_candles: int | None
    trade_count: int
    estimated_seconds_remaining: float | None
    error_message: str | None


class StartedBacktest(RunModel):
    """The run of a saved backtest that was queued; `success`, `message` and `error` are the words of an earlier system:
    what cannot be queued is an error by its status."""

    success: Literal[True]
    message: str
    error: None


class CancelledBacktest(CancelledRun):
    """A run of a saved backtest after its cancel, and whether what was done by then is kept."""

    success: bool
    partial_results_saved: bool
