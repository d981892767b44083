"""What goes in and out over HTTP. The shape of a run is relied on by other programs."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, create_model

from pitboss.market.options import ImportOptions
from pitboss.runs.remarks import MOST_NOTES
from pitboss.runs.states import FailureKind, State

Json = dict[str, Any]

STRATEGY_EXAMPLE = """name: ema-cross
timeframe: 5m
indicators: {fast: "ema(close, fast_period)", slow: "ema(close, 26)"}
entry: {long: "crosses_above(fast, slow)"}
exit: {long: "crosses_below(fast, slow)"}
parameters: {fast_period: {default: 12, low: 5, high: 50}}
"""
SCREEN_EXAMPLE = """name: rising
criteria:
  - {name: trend, when: "close > sma(close, 50)", points: 60}
  - {name: volume, when: "volume > sma(volume, 20)", points: 40}
pass_mark: 60
"""


class Strict(BaseModel):
    """A request: unknown fields are refused, so that a typing error is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


Tags = Annotated[list[Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]], Field(max_length=20)]
Notes = Annotated[str, Field(max_length=MOST_NOTES, pattern=r"^[^\x00]*$")]
Priority = Annotated[int, Field(strict=True, ge=-1000, le=1000)] | Literal["low", "normal", "high"]


class RunRequest(Strict):
    """A run to queue."""

    kind: StrictStr
    params: Json = {}
    preset: Annotated[StrictStr, Field(max_length=64, description="Whose params it begins with.")] | None = None
    priority: Priority = "normal"
    tags: Tags = []
    options: Json = {}


class PresetRequest(Strict):
    """Params to keep under a name."""

    params: Json


class PresetModel(BaseModel):
    """Params that are kept under a name."""

    kind: str
    name: str
    params: Json
    changed_at: str


class CancelRequest(Strict):
    """Whether to keep what is done so far, and why the run is cancelled."""

    keep_partial: StrictBool = True
    reason: Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=500)] = ""


class PriorityRequest(Strict):
    """Where in the queue a run is to stand."""

    priority: Priority


class RunNotes(Strict):
    """What is written beside a run."""

    text: Notes


class RerunRequest(Strict):
    """Params to change; the others stay as they were."""

    params: Json = {}
    newest: StrictBool = False


class ScreenText(Strict):
    """A screen document."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": SCREEN_EXAMPLE}]})
    text: StrictStr


class StrategyText(Strict):
    """A strategy document."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": STRATEGY_EXAMPLE}]})
    text: StrictStr


class Progress(BaseModel):
    """How far a run is, and when that was known."""

    stage: str
    done: int
    total: int | None
    percent: float | None
    current_item: str | None
    metrics: Json
    eta_seconds: float | None
    message: str | None
    updated_at: str


class QueuePlaceModel(BaseModel):
    """Where a queued run stands and what it waits for."""

    position: int
    estimated_start: str | None
    waiting_reason: str


class CancelInfo(BaseModel):
    """That a cancel was asked for, and how."""

    requested_at: str
    keep_partial: bool
    reason: str


class RunError(BaseModel):
    """Why a run failed and what to do."""

    kind: FailureKind
    message: str
    remedy: str


class RunModel(BaseModel):
    """A run."""

    id: str
    number: int
    kind: str
    subject: str
    state: State
    priority: int
    owner: str
    tags: list[str]
    params: Json
    options: Json
    attempt: int
    progress: Progress | None
    queue: QueuePlaceModel | None
    cancel: CancelInfo | None
    partial: bool
    result: Json | None
    error: RunError | None
    parent: str | None
    created_at: str
    started_at: str | None
    ended_at: str | None


class CancelledRun(RunModel):
    """A run after a cancel was asked for, and in words what that did."""

    message: str


class KindModel(BaseModel):
    """A kind of run: `params` is the JSON Schema of what it is asked to do, `source` the package it comes from."""

    name: str
    title: str
    resource: str
    is_resumable: bool
    source: str
    params: Json
    examples: list[Json]


class KindFault(BaseModel):
    """A kind that is left out, or whose report fails."""

    name: str
    source: str
    reason: str


class KindsModel(BaseModel):
    """The kinds of run that are installed, and what is wrong with any."""

    kinds: list[KindModel]
    faults: list[KindFault]


class RunPage(BaseModel):
    """Runs, newest first, and the cursor of the next page."""

    items: list[RunModel]
    next_cursor: str | None


class EventModel(BaseModel):
    """One event of a run."""

    run_id: str
    seq: int
    ts: str
    type: str
    payload: Json


class EventPage(BaseModel):
    """Events in order; `cursor` is what to send as `after` for the next ones."""

    events: list[EventModel]
    cursor: str


class ArtifactModel(BaseModel):
    """A file that a run left behind."""

    name: str
    size: int
    digest: str
    media_type: str


class StatisticsModel(BaseModel):
    """Counts by state, and figures over completed runs alone."""

    by_state: dict[str, int]
    completed: int
    mean_seconds: float | None
    longest_seconds: float | None


class OthersPlace(BaseModel):
    """That somebody else's run waits at a place of the queue; nothing more is told of it."""

    position: int
    run: str


class QueueModel(BaseModel):
    """What waits, in claiming order, and what is active: one's own, and which places are others'."""

    queued: list[RunModel]
    active: list[RunModel]
    others: list[OthersPlace]


class WorkerModel(BaseModel):
    """A worker; `slots` are all it has, `capacity` and `busy` those of each resource, `runs` the ids of its runs."""

    id: str
    host: str
    pid: int
    slots: int
    capacity: dict[str, int]
    busy: dict[str, int]
    resources: list[str]
    version: str
    is_draining: bool
    started_at: str
    renewed_at: str
    silent_seconds: float
    note: str
    runs: list[str]


class StoredDocumentModel(BaseModel):
    """One version of a strategy or a screen."""

    name: str
    version: int
    digest: str
    created_at: str
    text: str


class ScreenModel(BaseModel):
    """A screen that there is; without a version it came with pitboss, or was put there by the operator."""

    name: str
    version: int | None = None
    digest: str | None = None
    created_at: str | None = None
    text: str


class ProblemModel(BaseModel):
    """One mistake: where it is, what is wrong and what to do."""

    message: str
    remedy: str
    line: int | None
    column: int | None
    text: str
    where: str


class Validation(BaseModel):
    """The mistakes of a document, none when it is valid."""

    valid: bool
    name: str | None
    errors: list[ProblemModel]


class SeriesModel(BaseModel):
    """A stored series of bars."""

    symbol: str
    timeframe: str
    rows: int
    first: str
    last: str
    digest: str
    source: str
    is_synthetic: bool
    zone: str
    session: str
    prices: str
    is_shared: bool


class SeriesChange(Strict):
    """Whether a series is shared with all."""

    is_shared: StrictBool


LONGEST_OPTION = 1000
_OPTIONS = {
    own.name: (get_type_hints(ImportOptions)[own.name], Field(own.default, description=own.metadata["meaning"]))
    for own in fields(ImportOptions)
    if own.name != "each_ticker"  # an address names one series
}
ImportQuery: type[BaseModel] = create_model(
    "ImportQuery",
    __config__=ConfigDict(extra="forbid", str_max_length=LONGEST_OPTION),
    **_OPTIONS,  # type: ignore[call-overload]
)


class ImportModel(BaseModel):
    """What an import stored and what it found."""

    series: SeriesModel
    report: Json


class GapModel(BaseModel):
    """A stretch without bars."""

    after: str
    before: str
    missing: int


class BarModel(BaseModel):
    """One bar; `ts` is its opening."""

    ts: str
    open: float
    high: float
    low: float
    close: float
    volume: float | None


class Problem(BaseModel):
    """An error, as application/problem+json (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    remedy: str
    errors: list[ProblemModel]
