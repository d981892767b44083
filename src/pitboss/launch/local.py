"""Workers on this machine: started as processes of their own, woken through a doorbell in the data folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

from pitboss.core.errors import StorageUnavailable
from pitboss.core.settings import Settings
from pitboss.runs.model import DEFAULT_RESOURCE
from pitboss.runs.ports import WorkerRegistry
from pitboss.worker.doorbell import ring
from pitboss.worker.processes import is_same_process

KEEP_SECONDS = 0.25


class LocalLauncher:
    """Sees to it that one worker serves this machine; see `runs.ports.Launcher` for the contract."""

    def __init__(self, settings: Settings, registry: WorkerRegistry) -> None:
        self.settings = settings
        self.registry = registry
        self.started: subprocess.Popen[bytes] | None = None

    def ring(self, resource: str = DEFAULT_RESOURCE) -> None:  # noqa: ARG002 (one bell for all)
        ring(self.settings.data_dir)

    def ensure(self) -> None:
        """Start a worker unless one is alive here, renewed its lease lately, is starting already, or is not wanted."""
        if not self.settings.local_worker:
            return
        if self.started is not None and self.started.poll() is None and not self._is_stopped():
            return
        if not self._has_live_worker():
            self.started = self._spawn()

    def stop(self) -> None:
        """End the worker that this launcher started, letting it requeue what runs; kill it after its grace."""
        if self.started is None or self.started.poll() is not None:
            return
        self.started.send_signal(signal.SIGTERM)
        try:
            self.started.wait(timeout=self.settings.shutdown_grace_seconds + 5)
        except subprocess.TimeoutExpired:
            self.started.kill()
            self.started.wait()

    def _has_live_worker(self) -> bool:
        host = socket.gethostname()
        return any(
            worker.host == host
            and worker.silent_seconds < self.settings.lease_seconds
            and not worker.is_draining
            and is_same_process(worker.pid, worker.process_started_at)
            for worker in self.registry.list()
        )

    def _is_stopped(self) -> bool:
        """Answer whether the worker that was started lives but has not renewed for a lease: SIGSTOP, say."""
        assert self.started is not None
        return any(
            worker.pid == self.started.pid and worker.silent_seconds > self.settings.lease_seconds
            for worker in self.registry.list()
        )

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = self.settings
        folder = settings.data_dir / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "PITBOSS_DATABASE_URL": settings.url,
            "PITBOSS_DATA_DIR": str(settings.data_dir),
        }
        with (folder / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "pitboss.cli.main",
                    "worker",
                    "--automatic",
                    "--slots",
                    str(settings.slots),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
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
