"""What a queued run waits for, and until when: reckoned from a snapshot of the queue."""

from __future__ import annotations

import heapq
from collections import Counter

from pitboss.runs.model import Limits, QueuePlace, QueueSnapshot, Waiting


def places(snapshot: QueueSnapshot, limits: Limits, stale_after: float) -> dict[str, QueuePlace]:
    """Answer each queued run's place, in claiming order."""
    workers = [w for w in snapshot.workers if snapshot.now - w.renewed_at <= stale_after]
    slots = min(sum(worker.slots for worker in workers), limits.max_concurrent)
    kinds = Counter(run.kind for run in snapshot.active)
    owners = Counter(run.owner for run in snapshot.active)
    free = _slot_times(snapshot, slots)
    note = next((worker.note for worker in workers if worker.note), "")
    found = {}
    for position, run in enumerate(snapshot.queued, start=1):
        reason = _reason(run, slots, len(snapshot.active), kinds, owners, limits)
        start = None
        if free and run.kind in snapshot.typical_seconds:
            start = heapq.heappop(free)
            heapq.heappush(free, start + snapshot.typical_seconds[run.kind])
        elif free and len(snapshot.active) < slots:
            start = snapshot.now
        found[run.id] = QueuePlace(position, start, note or reason)
    return found


def _slot_times(snapshot: QueueSnapshot, slots: int) -> list[float]:
    """Answer when each slot should be free: at once, or when the run in it should end; unknown is left out."""
    times = [snapshot.now] * max(0, slots - len(snapshot.active))
    for run in snapshot.active[:slots]:
        eta = (run.progress or {}).get("eta_seconds")
        typical = snapshot.typical_seconds.get(run.kind)
        if eta is not None:
            times.append(snapshot.now + eta)
        elif typical is not None:
            times.append(max(snapshot.now, (run.claimed_at or snapshot.now) + typical))
    heapq.heapify(times)
    return times


def _reason(run: Waiting, slots: int, active: int, kinds: Counter[str], owners: Counter[str], limits: Limits) -> str:
    if not slots:
        return "no worker is running"
    if active >= slots:
        return f"{active} of {slots} slots busy"
    if kinds[run.kind] >= limits.kind_limits.get(run.kind, active + 1):
        return f"{run.kind} limit {limits.kind_limits[run.kind]}"
    if owners[run.owner] >= limits.owner_limit:
        return f"owner limit {limits.owner_limit}"
    return "about to start"
