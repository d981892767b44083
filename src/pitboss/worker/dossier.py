"""What a worker hands to a run's process: one unlinked file with the instrument panel and the order."""

from __future__ import annotations

import json
import mmap
import os
import tempfile
from typing import Any

from pitboss.core import panel as slots

PAGE = mmap.PAGESIZE


class Panel:
    """The worker's and the fork server's view of a run's instrument panel."""

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, PAGE)
        self.memory = memoryview(self._map)
        self._slots = self.memory[: slots.BYTES].cast("q")
        self._reals = self.memory[: slots.BYTES].cast("d")

    def __getitem__(self, slot: int) -> int:
        return self._slots[slot]

    def __setitem__(self, slot: int, value: int) -> None:
        self._slots[slot] = value

    @property
    def equity(self) -> float:
        return self._reals[slots.EQUITY]

    def kill_after(self, deadline_nanoseconds: int, reason: int) -> None:
        """Have the fork server kill the run at that time (`boot_nanoseconds`); an earlier deadline stands."""
        if not self[slots.KILL_AT] or deadline_nanoseconds < self[slots.KILL_AT]:
            self[slots.KILL_REASON] = reason
            self[slots.KILL_AT] = deadline_nanoseconds

    def close(self) -> None:
        self._slots.release()
        self._reals.release()
        self.memory.release()
        self._map.close()


def write_dossier(order: dict[str, Any]) -> int:
    """Answer the descriptor of a new dossier: a zeroed panel, then the order as JSON."""
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(PAGE))
        file.write(json.dumps(order).encode())
        file.flush()
        return os.dup(file.fileno())


def read_order(fd: int) -> dict[str, Any]:
    """Answer the order of a dossier."""
    size = os.fstat(fd).st_size
    order: dict[str, Any] = json.loads(os.pread(fd, size - PAGE, PAGE))
    return order
