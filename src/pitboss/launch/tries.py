"""When the next worker of this host may be started: at once, or later where the last ones came to nothing."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress

from pitboss.core.backoff import Backoff
from pitboss.core.errors import StorageUnavailable
from pitboss.launch.workerprocess import WorkerProcess
from pitboss.runs.ports import StartRecord

logger = logging.getLogger("pitboss.launch")


class Tries:
    """Counts starts that failed, and has them known to others through the record, where it can be reached."""

    def __init__(self, starts: StartRecord | None) -> None:
        self.starts = starts
        self.host = socket.gethostname()
        self._backoff = Backoff()

    @property
    def is_due(self) -> bool:
        return self._backoff.is_due

    def begin(self) -> None:
        """Say that one is started now."""
        self._backoff.begin()

    def ended(self, worker: WorkerProcess) -> None:
        """Take note of a worker's end: of one that had worked for long, or was told to end, nothing is held back."""
        if not worker.failure:
            self._backoff.worked()
        elif worker.is_ready and not self._backoff.failures:
            self._backoff.failed()
            self._backoff.hasten()  # it worked until somebody ended it
        else:
            self.failed(worker.failure)

    def failed(self, reason: str) -> None:
        """Take note that none came about."""
        delay = self._backoff.failed()
        details = {"because": reason, "failures": self._backoff.failures, "again_in_seconds": delay}
        logger.warning("no worker", extra=details)
        self.tell(reason, delay)

    def tell(self, reason: str, retry_seconds: float) -> None:
        """Have the reason known to whoever asks."""
        if self.starts is not None:
            with suppress(StorageUnavailable):
                self.starts.note(self.host, reason, retry_seconds)
