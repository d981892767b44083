"""What a worker hands to a run's process: one unlinked file with the instrument panel and the order."""

from __future__ import annotations

import json
import mmap
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pitboss.core import panel as cells
from pitboss.runs.messages import Gauge, gauges_shown

PAGE = mmap.PAGESIZE
SHARED_MEMORY = Path("/dev/shm")


class Panel:
    """The worker's and the fork server's view of a run's instrument panel."""

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, PAGE)
        self.memory = memoryview(self._map)
        self._cells = self.memory[: cells.BYTES].cast("q")
        self._reals = self.memory[: cells.BYTES].cast("d")

    def __getitem__(self, cell: int) -> int:
        return self._cells[cell]

    def __setitem__(self, cell: int, value: int) -> None:
        self._cells[cell] = value

    def gauges(self, named: Sequence[Gauge]) -> dict[str, float]:
        """Answer what the gauges show."""
        return gauges_shown(self._cells, self._reals, named)

    def kill_after(self, deadline_nanoseconds: int, reason: int) -> None:
        """Have the fork server kill the run at that time (`boot_nanoseconds`); an earlier deadline stands."""
        if not self[cells.KILL_AT] or deadline_nanoseconds < self[cells.KILL_AT]:
            self[cells.KILL_REASON] = reason
            self[cells.KILL_AT] = deadline_nanoseconds

    def close(self) -> None:
        self._cells.release()
        self._reals.release()
        self.memory.release()
        self._map.close()


def write_run_file(order: dict[str, Any], data_dir: Path) -> int:
    """Answer the descriptor of a new file: a zeroed panel, then the order as JSON.

    It lies in memory where there is room, else in the data folder. Raises OSError that names every place tried.
    """
    content = bytes(PAGE) + json.dumps(order).encode()
    refusals = []
    for folder in (SHARED_MEMORY, data_dir):
        try:
            return _written(folder, content)
        except OSError as error:
            refusals.append((folder, error))
    raise _none_of(refusals)


def write_secrets(secrets: Mapping[str, str]) -> int:
    """Answer the descriptor of secrets as JSON in memory that no folder names. Raises OSError."""
    content = json.dumps(dict(secrets)).encode()
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("secrets")
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        return descriptor
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)  # what a pipe cannot hold is refused
    try:
        os.write(theirs, content)
    finally:
        os.close(theirs)
    return ours


def read_secrets(descriptor: int) -> dict[str, str]:
    """Answer the secrets that were written there, and let go of it."""
    with suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "rb") as file:
        found: dict[str, str] = json.load(file)
    return found


def _written(folder: Path, content: bytes) -> int:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(content)
        file.flush()
        return os.dup(file.fileno())


def _none_of(refusals: Sequence[tuple[Path, OSError]]) -> OSError:
    told = ", ".join(f"{folder}: {error.strerror or error}" for folder, error in refusals)
    return OSError(refusals[-1][1].errno, f"no room for a run's own file ({told})")


def read_order(fd: int) -> dict[str, Any]:
    """Answer the order of a run's file."""
    size = os.fstat(fd).st_size
    order: dict[str, Any] = json.loads(os.pread(fd, size - PAGE, PAGE))
    return order
