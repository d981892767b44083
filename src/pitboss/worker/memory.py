"""Whether it was the kernel, for want of memory, that ended a process."""

from __future__ import annotations

import signal
from collections.abc import Callable

from pitboss.core.machine import group_kills, kernel_kills


class KernelKills:
    """Remembers the kernel's counts of such kills. `look` is to be called twice a second or so.

    `total` counts those of the whole machine, since a worker's control group may be gone with it; what ended a process
    of ours is told by those of our own group alone.
    """

    def __init__(self, count: Callable[[], int] = group_kills) -> None:
        self._count = count
        self._before = self._now = count()
        self.total = kernel_kills()

    def look(self) -> bool:
        """Count anew; answer whether there were any on this machine since the last look."""
        self._before, self._now = self._now, self._count()
        before, self.total = self.total, kernel_kills()
        return self.total > before

    def explain(self, exit_code: int) -> bool:
        """Answer whether a process that ended just now with `exit_code` was killed for want of memory.

        What was killed before the look before the last was not this process.
        """
        return exit_code == -signal.SIGKILL and self._count() > self._before
