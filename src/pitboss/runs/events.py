"""The events of a run, one typed model for each, named in the past tense of what happened.

Unknown fields are kept, so that an older program can read and pass on what a newer one wrote.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Event(BaseModel):
    """What every event has: a `type`; when and where in the run's log it stands is not its own business."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: ClassVar[str]

    def payload(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class Queued(Event):
    """The run waits for a slot."""

    type: ClassVar[str] = "queued"
    priority: int
    attempt: int = 1


class Prioritized(Event):
    """A queued run was moved forward or back."""

    type: ClassVar[str] = "prioritized"
    priority: int


class Claimed(Event):
    """A worker took the run."""

    type: ClassVar[str] = "claimed"
    worker: str
    attempt: int


class Started(Event):
    """The run's own process spoke for the first time."""

    type: ClassVar[str] = "started"
    pid: int
    attempt: int


class Progressed(Event):
    """How far the stage is, and the run as a whole; see `runs.progress`."""

    type: ClassVar[str] = "progress"
    stage: str
    done: int
    total: int | None = None
    percent: float | None = None
    run_percent: float | None = None
    current_item: str | None = None
    metrics: dict[str, Any] = {}
    eta_seconds: float | None = None
    run_eta_seconds: float | None = None
    message: str | None = None
    updated_at: str


class ItemCompleted(Event):
    """One unit of the result is done, such as a variant of a sweep. A key stands once in a run's log."""

    type: ClassVar[str] = "item_completed"
    key: str
    item: dict[str, Any]


class StageCompleted(Event):
    """A stage of the work is done."""

    type: ClassVar[str] = "stage_completed"
    stage: str
    done: int


class Logged(Event):
    """A line that the job wants people to see."""

    type: ClassVar[str] = "log"
    level: str
    message: str


class Traded(Event):
    """A fill, committed before the session went on."""

    type: ClassVar[str] = "trade"
    trade: dict[str, Any]


class Checkpointed(Event):
    """The state of the work was saved; a resume starts here."""

    type: ClassVar[str] = "checkpointed"
    digest: str
    size: int


class CancelRequested(Event):
    """Somebody asked the run to end."""

    type: ClassVar[str] = "cancel_requested"
    keep_partial: bool
    reason: str = ""


class Requeued(Event):
    """The worker was lost or shut down; the run waits for the next one."""

    type: ClassVar[str] = "requeued"
    reason: str
    attempt: int


class Completed(Event):
    """The run ended with its result."""

    type: ClassVar[str] = "completed"
    result: dict[str, Any]


class Failed(Event):
    """The run ended without a result."""

    type: ClassVar[str] = "failed"
    kind: str
    message: str
    remedy: str = ""


class Cancelled(Event):
    """The run ended because it was cancelled; `partial` says whether a partial result was kept."""

    type: ClassVar[str] = "cancelled"
    partial: bool
    reason: str = ""


TYPES: dict[str, type[Event]] = {
    model.type: model
    for model in (
        Queued, Prioritized, Claimed, Started, Progressed, ItemCompleted, StageCompleted, Logged, Traded, Checkpointed,
        CancelRequested, Requeued, Completed, Failed, Cancelled,
    )
}  # fmt: skip
TERMINAL_TYPES = frozenset({"completed", "failed", "cancelled"})
