"""Rings again for runs that wait while a slot is free: a message was lost, or came while nobody listened."""

from __future__ import annotations

import logging
import threading

from pitboss.core.errors import StorageUnavailable
from pitboss.runs.ports import Launcher
from pitboss.runs.service import RunService

logger = logging.getLogger("pitboss.launch")

LOOK_SECONDS = 1.0


class Reconciler:
    """Looks once a second, beside a server whose workers are started elsewhere."""

    def __init__(self, service: RunService, launcher: Launcher) -> None:
        self.service = service
        self.launcher = launcher
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="reconciler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def reconcile(self) -> set[str]:
        """Ring for every resource that a run waits for although it could start; answer them."""
        ready = self.service.ready_resources()
        for resource in ready:
            self.launcher.ring(resource)
        return ready

    def _keep(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.reconcile()
            except StorageUnavailable as error:
                logger.warning("reconciler waits for the database", extra={"error": str(error)})
            except Exception as error:  # it must outlive whatever goes wrong once
                logger.error("reconciler failed and goes on", exc_info=error)
