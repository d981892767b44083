"""The leases of one worker: renewed in time, and known to its runs, which die with them."""

from __future__ import annotations

import time
from collections.abc import Collection

from pitboss.core import panel as cells
from pitboss.core.clock import boot_nanoseconds
from pitboss.core.errors import StorageUnavailable
from pitboss.runs.ports import RunStore
from pitboss.worker.config import WorkerConfig
from pitboss.worker.rhythm import Rhythm
from pitboss.worker.supervised import SupervisedRun

MARGIN_SECONDS = 1.0  # before its lease ends, a run's process is gone
HURRY_SECONDS = 0.5


class Leases:
    """Renews a worker and all its claims in one statement."""

    def __init__(self, config: WorkerConfig, store: RunStore, worker_id: str, rhythm: Rhythm) -> None:
        self.config = config
        self.store = store
        self.worker_id = worker_id
        self.rhythm = rhythm
        self._renewed_at = time.time()

    def end(self, renewed_at: int) -> int:
        """Answer when a lease renewed at that moment (`boot_nanoseconds`) ends for its run."""
        return renewed_at + int((self.config.lease_seconds - MARGIN_SECONDS) * 1e9)

    def renew(self, runs: Collection[SupervisedRun]) -> set[str]:
        """Renew when it is due; answer the runs that the worker no longer holds."""
        # the database's clock counts the lease, also while this machine sleeps and monotonic time stands still
        is_overdue = time.time() - self._renewed_at > self.config.renew_seconds
        if not self.rhythm.is_due("renew", self.config.renew_seconds) and not is_overdue:
            return set()
        before, self._renewed_at = boot_nanoseconds(), time.time()
        tokens = {run.id: run.claim.token for run in runs if run.claim.token}
        try:
            lost = self.store.renew(self.worker_id, tokens, self.config.lease_seconds)
        except StorageUnavailable as error:
            self.rhythm.complain("renew", error)
            self.rhythm.hasten("renew", min(HURRY_SECONDS, self.config.renew_seconds))
            return set()
        for run in runs:
            if run.id not in lost:
                run.panel[cells.LEASE_UNTIL] = self.end(before)
        return lost
