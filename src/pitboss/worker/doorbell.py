"""The doorbell: a named pipe in the data folder. A byte says "there is work"; losing it costs half a second."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger("pitboss.worker")

NAME = "doorbell"


class Doorbell:
    """The listening end, held by a worker. Where none can be hung up, it is never rung."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / NAME
        self.fd: int | None = None

    def open(self) -> None:
        """Hang up the bell; one that hangs there already will do, what is no bell or cannot be heard is replaced."""
        try:
            self.fd = self._hung_up()
        except OSError as error:
            reason = error.strerror or str(error)
            logger.warning("no doorbell; looking for work by itself", extra={"path": str(self.path), "error": reason})

    def _hung_up(self) -> int:
        with contextlib.suppress(OSError):
            return self._listening()
        if self.path.is_dir() and not self.path.is_symlink():
            self.path.rmdir()
        else:
            self.path.unlink(missing_ok=True)
        os.mkfifo(self.path, 0o666)
        return self._listening()

    def _listening(self) -> int:
        # open for writing too: a pipe without writers would always be ready to read
        fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise FileNotFoundError(self.path)

    def was_rung(self) -> bool:
        """Answer whether anybody rang since the last call."""
        try:
            return self.fd is not None and bool(os.read(self.fd, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)


def ring(data_dir: Path) -> bool:
    """Ring once; False when no worker listens."""
    try:
        fd = os.open(data_dir / NAME, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return False
        os.write(fd, b"!")
    except BlockingIOError:
        pass  # full: it rings already
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
