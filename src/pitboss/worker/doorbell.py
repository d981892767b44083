"""The doorbell: a named pipe in the data folder. A byte says "there is work"; losing it costs a second."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NAME = "doorbell"


class Doorbell:
    """The listening end, held by a worker."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / NAME
        self._fd = -1

    def open(self) -> None:
        """Hang up the bell; one that hangs there already will do."""
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self.path, 0o600)
        # open for writing too: a pipe without writers would always be ready to read
        self._fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def fileno(self) -> int:
        return self._fd

    def was_rung(self) -> bool:
        """Answer whether anybody rang since the last call."""
        try:
            return bool(os.read(self._fd, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._fd)


def ring(data_dir: Path) -> bool:
    """Ring once; False when no worker listens."""
    try:
        fd = os.open(data_dir / NAME, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        os.write(fd, b"!")
    except BlockingIOError:
        pass  # full: it rings already
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
