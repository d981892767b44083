"""Workers on this machine: started as processes of their own, woken through a doorbell in the data folder."""

from __future__ import annotations

import json
import socket
import threading
import time

from pitboss.core.errors import StorageUnavailable
from pitboss.core.settings import SQLITE, Settings
from pitboss.launch.tries import Tries
from pitboss.launch.workerprocess import STARTING_SECONDS, WorkerProcess
from pitboss.runs.model import DEFAULT_RESOURCE, WorkerInfo
from pitboss.runs.ports import StartRecord, WorkerRegistry
from pitboss.worker.doorbell import ring
from pitboss.worker.presence import Presence, presence

KEEP_SECONDS = 0.25
SETTLE_SECONDS = 0.02
FRESH_SECONDS = 2.0  # a failure older than that does not keep somebody who has just come from trying


class LocalLauncher:
    """Sees to it that one worker serves this machine; see `runs.ports.Launcher` for the contract."""

    def __init__(self, settings: Settings, registry: WorkerRegistry, starts: StartRecord) -> None:
        self.settings = settings
        self.registry = registry
        self.starts = starts
        self.host = socket.gethostname()
        self.worker: WorkerProcess | None = None
        self.tries = Tries(starts)
        self._has_tried = self._has_told_slowness = False

    def ring(self, resource: str = DEFAULT_RESOURCE) -> None:  # noqa: ARG002 (one bell for all)
        ring(self.settings.data_dir)

    def ensure(self) -> None:
        """Start a worker unless one is alive here, renewed its lease lately, is starting already, or is not wanted."""
        if not self.settings.local_worker or self._is_looked_after():
            return
        if not any(self._is_live(worker) for worker in self.registry.all()) and self._may_try():
            self._try()

    def settle(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.worker is not None and time.monotonic() < end:
            self._hear(self.worker)
            if self.worker is None or self.worker.is_ready:
                return
            time.sleep(SETTLE_SECONDS)

    def stop(self) -> None:
        """End the worker that this launcher started, letting it requeue what runs; kill it after its grace."""
        if self.worker is not None:
            self.worker.stop(self.settings.shutdown_grace_seconds + 5)

    def _is_looked_after(self) -> bool:
        """Answer whether the worker that was started here is at work, or about to be."""
        if self.worker is None:
            return False
        self._hear(self.worker)
        return self.worker is not None and self.worker.is_alive and not self._is_stopped(self.worker)

    def _hear(self, worker: WorkerProcess) -> None:
        worker.look()
        if worker.is_alive:
            if worker.is_slow and not self._has_told_slowness:
                self._has_told_slowness = True
                self.tries.tell("a worker takes long to start", STARTING_SECONDS)
            return
        worker.close()
        self.worker = None
        self.tries.ended(worker)

    def _may_try(self) -> bool:
        """Answer whether a start is due; others on this host may have tried, too."""
        if not self.tries.is_due:
            return False
        failed = next((start for start in self.starts.find() if start.host == self.host), None)
        if failed is None:
            return True
        is_fresh = failed.retry_at - time.time() > 0 and time.time() - failed.failed_at < FRESH_SECONDS
        is_due = failed.retry_at <= time.time() or failed.failed_at > time.time() + FRESH_SECONDS
        return is_due or (not self._has_tried and not is_fresh)

    def _try(self) -> None:
        self._has_tried, self._has_told_slowness = True, False
        self.tries.begin()
        settings = self.settings
        environment = {
            "PITBOSS_DATABASE_URL": settings.url, "PITBOSS_DATA_DIR": str(settings.data_dir),
            "PITBOSS_SLOTS": json.dumps(settings.slots),
        }  # fmt: skip
        arguments = ("--automatic",)
        try:
            self.worker = WorkerProcess(arguments, environment, settings.data_dir / "logs" / "worker.log")
        except OSError as error:
            named = f" ({error.filename})" if error.filename else ""
            self.tries.failed(f"the worker cannot be started: {error.strerror or error}{named}")

    def _is_live(self, worker: WorkerInfo) -> bool:
        seen = presence(worker, self.host, self.settings.url.startswith(SQLITE))
        is_ours = worker.host == self.host and seen is not Presence.GONE
        return is_ours and worker.has_renewed(self.settings.lease_seconds) and not worker.is_draining

    def _is_stopped(self, worker: WorkerProcess) -> bool:
        """Answer whether the worker that was started lives but has not renewed for a lease: SIGSTOP, say."""
        return any(
            known.pid == worker.pid and not known.has_renewed(self.settings.lease_seconds)
            for known in self.registry.all()
        )


class WorkerKeeper:
    """Keeps a worker running beside a server: looks four times a second, and rings so that it stays awake."""

    def __init__(self, launcher: LocalLauncher) -> None:
        self.launcher = launcher
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="worker-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop keeping, then end the worker that was started here."""
        self._stopping.set()
        self._thread.join()
        self.launcher.stop()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                self.launcher.ensure()
                self.launcher.ring()
            except (StorageUnavailable, OSError):
                pass  # the next look tries again; readiness tells the operator
            self._stopping.wait(KEEP_SECONDS)
