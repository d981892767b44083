"""What a queued run waits for, and until when: reckoned from a snapshot of the queue."""

from __future__ import annotations

import heapq
import math
from collections import Counter

from pitboss.runs.model import FailedStart, Limits, QueuePlace, QueueSnapshot, Waiting, WorkerInfo
from pitboss.runs.progress import seconds_left

ABOUT_TO_START = "about to start"


def places(snapshot: QueueSnapshot, limits: Limits, stale_after: float) -> dict[str, QueuePlace]:
    """Answer each queued run's place, in claiming order."""
    workers = [w for w in snapshot.workers if w.has_renewed(stale_after) and not w.is_draining]
    crowd = _Crowd(snapshot, workers, limits)
    free: dict[str, list[float]] = {}
    found = {}
    for position, run in enumerate(snapshot.queued, start=1):
        if run.resource not in free:
            free[run.resource] = _slot_times(snapshot, run.resource, crowd.slots(run.resource))
        times = free[run.resource]
        start = None
        if times and run.kind in snapshot.typical_seconds:
            start = heapq.heappop(times)
            heapq.heappush(times, start + snapshot.typical_seconds[run.kind])
        elif times and times[0] <= snapshot.now:
            start = snapshot.now
        found[run.id] = QueuePlace(position, start, crowd.reason(run))
    return found


def _slot_times(snapshot: QueueSnapshot, resource: str, slots: int) -> list[float]:
    """Answer when each slot of a resource should be free: at once, or when the run in it should end; unknown is left
    out."""
    active = [run for run in snapshot.active if run.resource == resource]
    times = [snapshot.now] * max(0, slots - len(active))
    for run in active[:slots]:
        eta = seconds_left(run.progress)
        typical = snapshot.typical_seconds.get(run.kind)
        if eta is not None:
            times.append(snapshot.now + eta)
        elif typical is not None:
            times.append(max(snapshot.now, (run.claimed_at or snapshot.now) + typical))
    heapq.heapify(times)
    return times


def explained(failed: FailedStart) -> str:
    """Say why there is no worker on a host."""
    tried = f" (tried {failed.count} times)" if failed.count > 1 else ""
    return f"{failed.reason}{tried}"


def obstacle(snapshot: QueueSnapshot, stale_after: float) -> str:
    """Answer what keeps every worker from starting runs, or from coming about; empty when nothing does."""
    workers = [worker for worker in snapshot.workers if worker.has_renewed(stale_after) and not worker.is_draining]
    if workers:
        return workers[0].note if all(worker.note for worker in workers) else ""
    return explained(snapshot.failed_starts[0]) if snapshot.failed_starts else ""


class _Crowd:
    """Who works and what is active: what a queued run may have to wait for."""

    def __init__(self, snapshot: QueueSnapshot, workers: list[WorkerInfo], limits: Limits) -> None:
        self.active = snapshot.active
        self.workers = workers
        self.limits = limits
        self.kinds = Counter(run.kind for run in snapshot.active)
        self.owners = Counter(run.owner for run in snapshot.active)
        self.failed_starts = snapshot.failed_starts

    def slots(self, resource: str) -> int:
        """Answer how many runs of a resource may be active at once."""
        return min(sum(worker.slots_of(resource) for worker in self.workers), self.limits.max_concurrent)

    def reason(self, run: Waiting) -> str:
        """Say what the run waits for."""
        serving = [worker for worker in self.workers if worker.slots_of(run.resource)]
        if not serving and self.failed_starts:
            return explained(self.failed_starts[0])
        if not serving:
            return f"needs a {run.resource} worker" if self.workers else "no worker is running"
        if all(worker.note for worker in serving):
            return serving[0].note
        slots = self.slots(run.resource)
        busy = sum(active.resource == run.resource for active in self.active)
        if busy >= slots:
            return f"{busy} of {slots} {run.resource} slots busy"
        if len(self.active) >= self.limits.max_concurrent:
            return f"limit of {self.limits.max_concurrent} active runs"
        if self.kinds[run.kind] >= self.limits.kind_limits.get(run.kind, math.inf):
            return f"{run.kind} limit {self.limits.kind_limits[run.kind]}"
        if self.owners[run.owner] >= self.limits.owner_limit:
            return f"owner limit {self.limits.owner_limit}"
        return ABOUT_TO_START
