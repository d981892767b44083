"""A run as a value, and what is asked of a store of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pitboss.core.clock import to_iso
from pitboss.runs.progress import promised
from pitboss.runs.states import State

DEFAULT_RESOURCE = "default"
PARQUET = "application/vnd.apache.parquet"
PRIORITIES = {"low": -10, "normal": 0, "high": 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be: everything the submitter decides. `snapshot` is what the result will have come from."""

    id: str
    kind: str
    subject: str
    owner: str
    params: dict[str, Any]
    snapshot: dict[str, Any]
    priority: int = 0
    tags: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    parent: str | None = None
    idempotency_key: str | None = None
    resource: str = DEFAULT_RESOURCE
    checkpoints: tuple[Checkpoint, ...] = ()
    is_resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as the store knows it. Times are seconds since 1970 by the database's clock.

    `serial` tells which of two runs was submitted later, whatever the clocks said. `failed_starts` counts, in a row,
    the attempts whose process never came about, `memory_kills` those that the kernel ended for want of memory.
    """

    id: str
    serial: int
    number: int
    kind: str
    subject: str
    owner: str
    state: State
    priority: int
    tags: tuple[str, ...]
    params: dict[str, Any]
    snapshot: dict[str, Any]
    options: dict[str, Any]
    resource: str
    attempt: int
    checkpointed_attempt: int
    failed_starts: int
    memory_kills: int
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    partial: bool
    error: dict[str, Any] | None
    parent: str | None
    is_resumed: bool
    worker_id: str | None
    pid: int | None
    last_seq: int
    cancel_requested_at: float | None
    cancel_keep_partial: bool | None
    cancel_reason: str | None
    created_at: float
    queued_at: float
    claimed_at: float | None
    started_at: float | None
    ended_at: float | None

    def as_dict(self, queue: QueuePlace | None = None) -> dict[str, Any]:
        """Answer the run as programs see it over HTTP and with `--json`."""
        cancel = None
        if self.cancel_requested_at is not None:
            cancel = {
                "requested_at": to_iso(self.cancel_requested_at),
                "keep_partial": bool(self.cancel_keep_partial),
                "reason": self.cancel_reason or "",
            }
        return {
            "id": self.id,
            "number": self.number,
            "kind": self.kind,
            "subject": self.subject,
            "state": self.state.value,
            "priority": self.priority,
            "owner": self.owner,
            "tags": list(self.tags),
            "params": self.params,
            "options": self.options,
            "attempt": self.attempt,
            "progress": promised(self.progress),
            "queue": queue.as_dict() if queue and self.state is State.QUEUED else None,
            "cancel": cancel,
            "partial": self.partial,
            "result": self.result,
            "error": self.error,
            "parent": self.parent,
            "created_at": to_iso(self.created_at),
            "started_at": to_iso(self.started_at),
            "ended_at": to_iso(self.ended_at),
        }


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a queued run stands: its position from 1, when it should start, and what it waits for."""

    position: int
    estimated_start: float | None
    waiting_reason: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "position": self.position,
            "estimated_start": to_iso(self.estimated_start),
            "waiting_reason": self.waiting_reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which runs to list: latest submitted first, after `cursor` (an id), at most `limit`; `ids` names some alone."""

    ids: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    kind: str | None = None
    subject: str | None = None
    owner: str | None = None
    tag: str | None = None
    cursor: str | None = None
    limit: int = 50

    def may_hold(self, run: Run) -> bool:
        """Answer whether a run is of this list, or was when it was in one of the states asked for."""
        asked = ((self.kind, run.kind), (self.subject, run.subject), (self.owner, run.owner))
        return all(wanted in (None, found) for wanted, found in asked) and self.tag in (None, *run.tags)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the log keeps it: `seq` counts from 1 within its run, without gaps."""

    run_id: str
    seq: int
    ts: float
    type: str
    payload: dict[str, Any]

    def __hash__(self) -> int:
        return hash((self.run_id, self.seq))

    def as_dict(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "seq": self.seq,
            "ts": to_iso(self.ts),
            "type": self.type,
            "payload": self.payload,
        }


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a run left behind: `path` is relative to the data folder, `digest` is BLAKE2b. One whose media type
    is `PARQUET` is a table."""

    name: str
    path: str
    size: int
    digest: str
    media_type: str = PARQUET


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The saved state of a run: a file such as an artifact, and what the state was made from.

    `number` counts within the run. A state may be taken up only by what has the same `identity`: names of
    sources (a strategy's text, bars, packages) with their digests or versions.
    """

    number: int
    attempt: int
    path: str
    size: int
    digest: str
    identity: dict[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that a worker now holds, the token that proves it, and its checkpoints, newest first."""

    run: Run
    token: str
    checkpoints: tuple[Checkpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """How many runs may be active at once over all workers, checked in the transaction that claims."""

    max_concurrent: int
    kind_limits: dict[str, int]
    owner_limit: int
    ageing_seconds: float


@dataclass(frozen=True, slots=True)
class Measures:
    """How runs fare, for those who watch the engine. `waits` and `cancels` are seconds of recent runs, sorted:
    from queued to claimed, and from the request of a cancel to the end."""

    by_state_and_kind: dict[tuple[str, str], int]
    lost_attempts: int
    waits: list[float]
    cancels: list[float]


@dataclass(frozen=True, slots=True)
class Serves:
    """What a worker can run: kinds whose code it has, and how many more runs of each of its resources."""

    kinds: tuple[str, ...]
    free: Mapping[str, int] = field(default_factory=lambda: {DEFAULT_RESOURCE: 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker as the registry knows it. `process_started_at` tells a process from a later one of its pid,
    `machine` whose process ids these are, `kernel_kills` how many processes the kernel there had killed for want of
    memory when it last looked; `silent_seconds` is how long ago it renewed, by the database's clock."""

    id: str
    host: str
    pid: int
    process_started_at: float
    slots: int
    version: str
    started_at: float
    renewed_at: float
    note: str = ""
    machine: str = ""
    resources: str = DEFAULT_RESOURCE
    is_draining: bool = False
    kernel_kills: int = 0
    silent_seconds: float = 0.0
    capacity: dict[str, int] = field(default_factory=dict)

    def slots_of(self, resource: str) -> int:
        """Answer how many runs of a resource it takes at once; a worker of an earlier version has the same for all."""
        if self.capacity:
            return self.capacity.get(resource, 0)
        return self.slots if resource in self.resources.split(",") else 0

    def has_renewed(self, within_seconds: float) -> bool:
        """Answer whether it renewed lately; a renewal that lies in the future says nothing: the clock went back."""
        return abs(self.silent_seconds) <= within_seconds


@dataclass(frozen=True, slots=True)
class FailedStart:
    """Why no worker came about on a host, how often in a row, and when it is tried again (seconds since 1970)."""

    host: str
    reason: str
    count: int
    failed_at: float
    retry_at: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """As much of a queued run as its place in the queue depends on: there may be thousands."""

    id: str
    kind: str
    owner: str
    resource: str
    priority: int
    queued_at: float


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """The queue in claiming order, what is active, and who works, read in one transaction."""

    now: float
    queued: list[Waiting]
    active: list[Run]
    workers: list[WorkerInfo]
    typical_seconds: dict[str, float]
    failed_starts: list[FailedStart] = field(default_factory=list)


def worker_document(worker: WorkerInfo, snapshot: QueueSnapshot) -> dict[str, Any]:
    """Answer a worker and what runs there, as programs see it over HTTP and with `--json`."""
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "slots": worker.slots,
        "capacity": worker.capacity or dict.fromkeys(worker.resources.split(","), worker.slots),
        "resources": worker.resources.split(","),
        "version": worker.version,
        "started_at": to_iso(worker.started_at),
        "renewed_at": to_iso(worker.renewed_at),
        "silent_seconds": round(worker.silent_seconds, 1),
        "is_draining": worker.is_draining,
        "note": worker.note,
        "busy": Counter(run.resource for run in snapshot.active if run.worker_id == worker.id),
        "runs": [run.id for run in snapshot.active if run.worker_id == worker.id],
    }
