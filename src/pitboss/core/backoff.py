"""How long to wait before something that has failed is tried again."""

from __future__ import annotations

import resource
import time

FIRST_SECONDS, MOST_SECONDS, LONGEST_SECONDS = 3.0, 15.0, 30.0
SHARE = 0.025  # of a core that tries may take


class Backoff:
    """Counts failures in a row. Between two tries it waits ever longer, up to MOST_SECONDS, and longer still, up to
    LONGEST_SECONDS, where a try takes so much of a core that it would be felt."""

    def __init__(self) -> None:
        self.failures = 0
        self._due_at = 0.0
        self._spent: float | None = None

    @property
    def is_due(self) -> bool:
        """True when the next try may be made."""
        return time.monotonic() >= self._due_at

    def begin(self) -> None:
        """Say that a try begins: what the processes that end until it has failed take of a core is its cost."""
        self._spent = _spent_by_children()

    def failed(self) -> float:
        """Note a failure; answer in how many seconds the next try is due."""
        cost = _spent_by_children() - self._spent if self._spent is not None else 0.0
        growing = min(MOST_SECONDS, FIRST_SECONDS * 2.0**self.failures)
        delay = max(growing, min(LONGEST_SECONDS, cost / SHARE))
        self.failures += 1
        self._due_at = time.monotonic() + delay
        return delay

    def hasten(self) -> None:
        """Have the next try due at once."""
        self._due_at = 0.0

    def worked(self) -> None:
        """Forget the failures."""
        self.failures, self._due_at = 0, 0.0


def _spent_by_children() -> float:
    """Answer the seconds of a core that ended child processes have taken, theirs included."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds: float = usage.ru_utime + usage.ru_stime
    return seconds
