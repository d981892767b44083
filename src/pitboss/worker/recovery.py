"""Taking up what dead workers have left: their processes, their runs, their names in the registry."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from pitboss.core.files import Files
from pitboss.core.machine import kernel_kills
from pitboss.core.places import run_log, work_folder
from pitboss.runs.model import Run, WorkerInfo
from pitboss.runs.ports import Lost, Move, RunStore, WorkerRegistry
from pitboss.runs.states import State
from pitboss.worker.config import WorkerConfig
from pitboss.worker.presence import Presence, presence, this_machine
from pitboss.worker.processes import kill_session, start_time
from pitboss.worker.supervised import interrupted

logger = logging.getLogger("pitboss.worker")

CLOSE_SECONDS = 2.0
FORGET_SECONDS = 3600.0  # a worker silent for that long is no longer listed


def introduction(worker_id: str, config: WorkerConfig) -> WorkerInfo:
    """Answer how this process signs on as a worker."""
    pid = os.getpid()
    return WorkerInfo(
        id=worker_id, host=socket.gethostname(), pid=pid, process_started_at=start_time(pid) or 0.0,
        slots=sum(config.slots.values()), capacity=dict(config.slots), version=config.version, started_at=0.0,
        renewed_at=0.0, machine=str(this_machine()), resources=",".join(config.slots), kernel_kills=kernel_kills(),
    )  # fmt: skip


class Recovery:
    """One worker's look after the others. Raises StorageUnavailable; the next look does what was left undone."""

    def __init__(
        self, store: RunStore, registry: WorkerRegistry, housekeeping: Housekeeping, own: WorkerInfo,
        config: WorkerConfig,
    ) -> None:  # fmt: skip
        self.store = store
        self.registry = registry
        self.housekeeping = housekeeping
        self.own = own
        self.config = config
        self._ahead: dict[str, tuple[float, float]] = {}  # renewals that lie in the future, and since when they stand

    def look(
        self, tokens: Sequence[str], kinds: Sequence[str], is_resumable: Callable[[Run], bool]
    ) -> list[WorkerInfo]:
        """Recover the runs of workers that died on this machine, those whose lease has ended anywhere, and
        those that are said to be ours without one of our `tokens`; answer the workers that are left.

        Runs of other `kinds` are left to workers that know them. Raises OSError when it cannot be seen what
        the dead have left behind.
        """
        workers = self.registry.all()
        dead = [worker for worker in workers if self._is_dead(worker)]
        if dead:
            self._clear_away(dead)
        lost = Lost(kinds, [worker.id for worker in dead], self.own.id, tokens)
        starved = {worker.id for worker in dead if self._has_starved(worker)}

        def decide(run: Run) -> Move:
            is_memory = run.worker_id in starved
            # which process it was the kernel does not say
            why = ", while the kernel killed processes for want of memory" if is_memory else ""
            reason = f"its worker was lost{why}"
            return interrupted(run, reason, is_memory, is_resumable(run))

        for run in self.store.recover(lost, decide):
            logger.info("run recovered", extra={"run": run.id, "to": run.state.value, "attempt": run.attempt})
            self.housekeeping.discard(run)
        forgotten = [w for w in workers if w.id != self.own.id and w.silent_seconds > FORGET_SECONDS]
        held = {run.worker_id for run in self.store.queue().active} if dead else set()
        for worker in {worker.id: worker for worker in (*dead, *forgotten)}.values():
            if worker.id not in held:  # else the next worker that knows those kinds must see that it is dead
                self.registry.remove(worker.id)
        return [worker for worker in workers if worker not in dead]

    def _is_dead(self, worker: WorkerInfo) -> bool:
        """Answer whether we can see that a worker is gone; of other machines only the lease tells, or that a renewal
        which lies in the future, because the database's clock went back, has stood there for longer than a lease."""
        if worker.id == self.own.id:
            return False
        seen = presence(worker, self.own.host, self.config.shares_kernel)
        return seen is Presence.GONE or (seen is Presence.UNSEEN and self._stands_ahead(worker))

    def _stands_ahead(self, worker: WorkerInfo) -> bool:
        now = time.monotonic()
        renewed_at, since = self._ahead.get(worker.id, (0.0, now))
        if worker.silent_seconds >= 0 or renewed_at != worker.renewed_at:
            since = now
        self._ahead[worker.id] = (worker.renewed_at, since)
        return now - since > self.config.lease_seconds

    def _has_starved(self, worker: WorkerInfo) -> bool:
        """Answer whether the kernel has killed something on this machine since a dead worker last counted."""
        is_same_boot = worker.machine == self.own.machine
        return is_same_boot and kernel_kills() > worker.kernel_kills

    def _clear_away(self, dead: Sequence[WorkerInfo]) -> None:
        """End whatever the runs of dead workers may have left behind, before they start again."""
        # process ids of another boot are others' by now
        started = {worker.id: worker.process_started_at for worker in dead if worker.machine == self.own.machine}
        for run in self.store.queue().active:
            if run.worker_id in started and run.pid:
                kill_session(run.pid, started[run.worker_id])


class Housekeeping:
    """Removes what nobody needs any more, in a thread of its own: a bucket may take its time, a worker must not.
    What is not removed is left to `pitboss runs prune`."""

    def __init__(self, files: Files, data_dir: Path) -> None:
        self.files = files
        self.data_dir = data_dir
        self._wanted: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="housekeeping", daemon=True)
        self._thread.start()

    def do(self, action: Callable[[], object]) -> None:
        """Do something soon; a failure is logged."""
        self._wanted.put(action)

    def remove(self, names: Sequence[str]) -> None:
        """Remove files."""
        for name in names:
            self.do(partial(self.files.remove, name))

    def discard(self, run: Run) -> None:
        """Remove what an ended run no longer needs: results that nobody keeps, spent checkpoints, an empty log."""
        is_discarded = run.state is State.CANCELLED and not run.partial
        if is_discarded:
            self.do(partial(self.files.remove_folder, f"artifacts/{run.id}"))
        if run.state is State.COMPLETED or (is_discarded and not run.cancel_keep_partial):
            self.do(partial(self.files.remove_folder, f"checkpoints/{run.id}"))
        if run.state.is_terminal:
            self.do(partial(_remove_if_empty, run_log(self.data_dir, run.id)))
            self.do(partial(shutil.rmtree, work_folder(self.data_dir, run.id), ignore_errors=True))

    def close(self) -> None:
        """Finish what can be finished soon."""
        self._wanted.put(None)
        self._thread.join(timeout=CLOSE_SECONDS)

    def _work(self) -> None:
        while (action := self._wanted.get()) is not None:
            try:
                action()
            except Exception as error:  # whatever it was, the next thing must be done
                logger.warning("not tidied up", extra={"error": str(error)})


def _remove_if_empty(path: Path) -> None:
    if path.exists() and path.stat().st_size == 0:
        path.unlink(missing_ok=True)
