"""Whether it was the kernel, for want of memory, that ended a process."""

from __future__ import annotations

import signal
from collections.abc import Callable

from pitboss.core.machine import kernel_kills


class KernelKills:
    """Remembers the kernel's count of such kills. `look` is to be called twice a second or so."""

    def __init__(self, count: Callable[[], int] = kernel_kills) -> None:
        self._count = count
        self._before = self.total = count()

    def look(self) -> bool:
        """Count anew; answer whether there were any since the last look."""
        self._before, self.total = self.total, self._count()
        return self.total > self._before

    def explain(self, exit_code: int) -> bool:
        """Answer whether a process that ended just now with `exit_code` was killed for want of memory.

        What was killed before the look before the last was not this process.
        """
        return exit_code == -signal.SIGKILL and self._count() > self._before
