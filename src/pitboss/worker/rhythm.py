"""What a loop does now and then: at most so often, and complaints about the database more rarely still."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("pitboss.worker")

COMPLAIN_SECONDS = 5.0


class Rhythm:
    """Remembers when what was done last."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self._due: dict[str, float] = {}

    def is_due(self, what: str, every_seconds: float) -> bool:
        """Answer whether to do it now; if so, not again for that long."""
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every_seconds
        return True

    def hasten(self, what: str, in_seconds: float = 0.0) -> None:
        """Have something be due soon, whenever it was done last."""
        self._due[what] = time.monotonic() + in_seconds

    def complain(self, what: str, error: Exception) -> None:
        """Log that the database did not do something."""
        if self.is_due(f"complain {what}", COMPLAIN_SECONDS):
            logger.warning("database trouble", extra={"worker": self.worker_id, "during": what, "error": str(error)})
