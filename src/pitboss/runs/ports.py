"""The ports of the run engine: what it needs of storage and of launchers.

All methods are synchronous, may be called from any thread, and raise StorageUnavailable when their
backend cannot be reached; nothing is then changed. Each contract is held by one suite over all adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pitboss.runs.events import Event
from pitboss.runs.model import (
    DEFAULT_RESOURCE,
    Artifact,
    Checkpoint,
    Claim,
    FailedStart,
    Limits,
    Measures,
    NewRun,
    QueueSnapshot,
    Run,
    RunQuery,
    Serves,
    StoredEvent,
    WorkerInfo,
)
from pitboss.runs.states import Setback, State


@dataclass(frozen=True, slots=True)
class Move:
    """A run's move to another state and what is set with it. `result` and `error` are JSON documents; a `setback`
    is counted."""

    to: State
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    partial: bool = False
    pid: int | None = None
    setback: Setback | None = None


@dataclass(frozen=True, slots=True)
class RunWrite:
    """What a worker writes of one run in one go, fenced by its token. All of it is applied, or nothing.

    `number` rises from 1 with each write of a claim: one that comes twice, because the answer to the first
    was lost, is applied once.
    """

    run_id: str
    token: str
    number: int
    events: Sequence[Event] = ()
    progress: dict[str, Any] | None = None
    artifacts: Sequence[Artifact] = ()
    checkpoint: Checkpoint | None = None
    move: Move | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """Runs of these `kinds` that nobody works on: those of `dead_workers`, and those claimed by `worker_id` but not
    among its `tokens`: the answer to that claim never arrived."""

    kinds: Sequence[str]
    dead_workers: Sequence[str] = ()
    worker_id: str | None = None
    tokens: Sequence[str] = ()


class RunStore(Protocol):
    """Keeps runs. Every change of state is one compare-and-set on id, state and lease token."""

    def submit(self, new: NewRun, max_queue_size: int) -> Run:
        """Store a queued run under the next number of its subject; a known idempotency key answers its run.

        Raises QueueFull when `max_queue_size` runs are queued.
        """

    def get(self, run_id: str) -> Run | None:
        """Answer the run, None when there is none."""

    def find(self, query: RunQuery) -> list[Run]:
        """Answer the runs that match, latest submitted first; none for a cursor that is no run's id."""

    def positions(self, owner: str, tags: Collection[str]) -> dict[str, Hashable]:
        """Answer for each tag what is another value whenever one of somebody's runs that bear it is added, moves on or
        ends."""

    def request_cancel(self, run_id: str, keep_partial: bool, reason: str) -> Run | None:
        """Cancel: a queued run at once, an active one by moving it to cancelling; answers the run as it is
        then. A terminal, completing or already cancelling run is not changed.

        A queued run of which an earlier attempt has left a checkpoint, when that is to be kept, becomes cancelling
        too: the next claim takes it up, and its results are made of what there is."""

    def prioritize(self, run_id: str, priority: int) -> Run | None:
        """Give a queued run another priority; answers the run as it is then. One that has begun is not changed."""

    def claim(self, worker_id: str, lease_seconds: float, limits: Limits, serves: Serves) -> list[Claim]:
        """Move queued runs that the worker serves, as many as it has free, to starting under fresh tokens: by aged
        priority, then oldest. Limits are checked in the same transaction and hold under a race of workers.

        Whatever is free and whatever the limits, cancelling runs that nobody holds are among the claims: their results
        are yet to be made of a checkpoint, which does not take long."""

    def waiting_kind(self, kinds: Collection[str]) -> str | None:
        """Answer one of the kinds of which a run waits to be claimed, None when none does."""

    def write(self, writes: Sequence[RunWrite]) -> set[str]:
        """Apply the writes in one transaction; answer the runs whose token is stale, of which nothing was
        written. An illegal move leaves the run as it is and its other writes stand."""

    def renew(self, worker_id: str, tokens: Mapping[str, str], lease_seconds: float) -> set[str]:
        """Renew the worker and its leases by the database's clock; answer the runs it no longer holds."""

    def cancelling(self, worker_id: str) -> dict[str, tuple[bool, float]]:
        """Answer the worker's runs whose cancel was requested: whether partial results are kept, and how many
        seconds ago that was, by the database's clock."""

    def recover(self, lost: Lost, decide: Callable[[Run], Move]) -> list[Run]:
        """Make the move that `decide` answers, to queued (attempt + 1) or failed, for every active run whose lease has
        ended or that is lost otherwise. Cancelling becomes cancelled, whatever its kind, but where there is a
        checkpoint to keep: then it is left to the next claim, once."""

    def queue(self, ageing_seconds: float = 60.0) -> QueueSnapshot:
        """Answer the queue in claiming order with what is active and who works."""

    def artifacts(self, run_id: str) -> list[Artifact]:
        """Answer the files that the run left behind, by name."""

    def checkpoints(self, run_id: str) -> list[Checkpoint]:
        """Answer the saved states of the run, newest first: at most two, none once it has completed."""


class Figures(Protocol):
    """Counts and measures over many runs."""

    def statistics(self, owner: str, subject: str | None = None) -> dict[str, Any]:
        """Answer counts of somebody's runs by state, and figures over completed ones alone."""

    def measures(self) -> Measures:
        """Answer how runs fare: counts by state and kind, attempts lost, waits and cancels."""


class EventLog(Protocol):
    """Reads what happened. Writing is the store's: an event is part of the transaction it tells of."""

    def read(
        self, run_id: str, after: int = 0, limit: int = 1000, types: Collection[str] = ()
    ) -> list[StoredEvent]:  # fmt: skip
        """Answer the events of a run with a seq greater than `after`, in order; of some types, or of all."""

    def latest(self, run_id: str, count: int, types: Collection[str], until: int | None = None) -> list[StoredEvent]:
        """Answer the last events of some types, up to the seq `until`, in order."""

    def sample(self, run_id: str, count: int, type: str, until: int) -> list[StoredEvent]:
        """Answer about `count` events of a type, evenly out of those up to the seq `until`, in order."""

    def tail(self, after: Mapping[str, int], limit: int = 1000) -> list[StoredEvent]:
        """Answer the events of several runs beyond the seq given for each, in order within each."""

    def heads(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Answer the last seq of each run that exists."""


class ChangeSignal(Protocol):
    """Notices that somebody wrote to the database. Each listener has one of its own; not thread-safe."""

    def poll(self) -> bool:
        """Answer whether anything may have been written since the last call; cheap enough to ask often."""

    def close(self) -> None:
        """Give up the connection."""


class WorkerRegistry(Protocol):
    """Knows the workers."""

    def register(self, worker: WorkerInfo, is_sole: bool, stale_after: float) -> bool:
        """Add a worker; with `is_sole`, only when no live one serves its host. Answers whether it was added.
        What `StartRecord` says of the host is forgotten then."""

    def all(self) -> list[WorkerInfo]:
        """Answer every worker that has not signed off."""

    def annotate(self, worker_id: str, note: str) -> None:
        """Say why a worker claims nothing; empty when it does."""

    def note_kernel_kills(self, worker_id: str, count: int) -> None:
        """Say how many processes the kernel of a worker's machine has killed for want of memory so far."""

    def drain(self, worker_ids: Sequence[str]) -> None:
        """Ask workers to claim nothing more, finish what runs, and end."""

    def remove(self, worker_id: str) -> None:
        """Sign a worker off."""


class StartRecord(Protocol):
    """Remembers of each host that the last start of a worker there failed, so that whoever waits can be told."""

    def note(self, host: str, reason: str, retry_seconds: float) -> FailedStart:
        """Count a failed start, and say when the next is due."""

    def find(self) -> list[FailedStart]:
        """Answer the hosts on which the last start failed."""


class Launcher(Protocol):
    """Starts workers, and tells them that there is work."""

    def ensure(self) -> None:
        """See to it that a worker runs or will run; cheap when one does. A start that fails is noted, not raised."""

    def settle(self, seconds: float) -> None:
        """Wait that long at most until the worker that was started has spoken, or the start has failed."""

    def ring(self, resource: str = DEFAULT_RESOURCE) -> None:
        """Tell workers that serve `resource` to look now; never blocks, never raises. May be lost or doubled:
        they look by themselves within a second, and the claim decides who runs what."""
