"""How long to wait before something that has failed is tried again."""

from __future__ import annotations

import time

DELAYS = (3.0, 6.0, 12.0, 15.0)  # seconds after the first failure in a row, the second, …; the last for all further


class Backoff:
    """Counts failures in a row. A start costs half a second of a core: these delays keep it under five per cent."""

    def __init__(self) -> None:
        self.failures = 0
        self._due_at = 0.0

    @property
    def is_due(self) -> bool:
        """True when the next try may be made."""
        return time.monotonic() >= self._due_at

    def failed(self) -> float:
        """Note a failure; answer in how many seconds the next try is due."""
        delay = DELAYS[min(self.failures, len(DELAYS) - 1)]
        self.failures += 1
        self._due_at = time.monotonic() + delay
        return delay

    def hasten(self) -> None:
        """Have the next try due at once."""
        self._due_at = 0.0

    def worked(self) -> None:
        """Forget the failures."""
        self.failures, self._due_at = 0, 0.0
