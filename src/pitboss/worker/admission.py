"""Whether a worker may take another run just now; the registry tells people why when it may not."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress

from pitboss.core.backoff import Backoff
from pitboss.core.errors import StorageUnavailable
from pitboss.core.machine import free_memory
from pitboss.runs.ports import WorkerRegistry
from pitboss.worker.config import WorkerConfig

logger = logging.getLogger("pitboss.worker")

LOOK_SECONDS = 1.0


class Admission:
    """Looks once a second at the schema, the memory and the disk.

    `obstacle` answers why nothing may be claimed, `no_forks` why some of what waits could not be started.
    """

    def __init__(
        self, config: WorkerConfig, registry: WorkerRegistry, worker_id: str, no_forks: Callable[[], str],
        obstacle: Callable[[], str],
    ) -> None:  # fmt: skip
        self.config = config
        self.registry = registry
        self.worker_id = worker_id
        self.no_forks = no_forks
        self.obstacle = obstacle
        self._backoff = Backoff()
        self.note = ""
        self._is_outdated = False
        self._look_at = 0.0
        self._is_closed = False  # for a while, after a start has failed
        self._no_forks = self._hindrance = ""

    def is_open(self) -> bool:
        """Answer whether another run may start. Raises StorageUnavailable, and then none may."""
        self._look()
        return not self._is_closed and not self._hindrance

    def is_current(self) -> bool:
        """Answer whether this version may work on the database at all. Raises StorageUnavailable."""
        self._look()
        return not self._is_outdated

    def _look(self) -> None:
        no_forks = self.no_forks()
        has_changed = no_forks != self._no_forks and not self._is_closed
        if time.monotonic() < self._look_at and not has_changed:
            return
        self._is_closed, self._no_forks = False, no_forks
        obstacle = self.obstacle()
        self._is_outdated = bool(obstacle)
        self._hindrance = obstacle or self._want_of_room()
        note = self._hindrance or no_forks  # a family of libraries that cannot be had keeps no other from starting
        if note != self.note:
            self.registry.annotate(self.worker_id, note)
        if note and note != self.note:
            logger.warning("worker claims nothing", extra={"worker": self.worker_id, "because": note})
        self.note, self._look_at = note, time.monotonic() + LOOK_SECONDS

    def close(self, reason: str) -> None:
        """Let nothing in for a while, after a start has failed."""
        self.note, self._look_at, self._is_closed = reason, time.monotonic() + self._backoff.failed(), True
        logger.warning("worker claims nothing", extra={"worker": self.worker_id, "because": reason})
        with suppress(StorageUnavailable):
            self.registry.annotate(self.worker_id, reason)

    def open(self) -> None:
        """Forget that starts have failed: one has succeeded."""
        self._backoff.worked()

    def _want_of_room(self) -> str:
        config = self.config
        try:
            memory, disk = free_memory(), shutil.disk_usage(config.data_dir).free
        except OSError as error:  # no descriptors, or the data folder's mount is gone
            return f"runs cannot be started: {error.strerror or error}"
        if memory < config.min_free_memory_mb << 20:
            return f"free memory below {config.min_free_memory_mb} MB"
        if disk < config.min_free_disk_mb << 20:
            return f"free disk below {config.min_free_disk_mb} MB"
        return ""
