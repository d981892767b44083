"""Standard streams as they come: closed, full, in ASCII, or with a reader that has left."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from typing import Any, NoReturn, TextIO

from pitboss.core.errors import DiskFull


class _Wrapped:
    """A text stream to which everything goes but what is told otherwise."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Output(_Wrapped):
    """Standard output: when its reader has left the command ends quietly; what cannot be written raises DiskFull."""

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise self._given_up(error) from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise self._given_up(error) from None

    def _given_up(self, error: OSError) -> BaseException:
        """Answer how the command ends; nothing more is written, not even by the interpreter when it ends."""
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.close(nothing)
        if error.errno == errno.EPIPE:
            return SystemExit(0)
        return DiskFull(f"cannot write to standard output: {error.strerror}", "send it elsewhere, or free some space")


class Notes(_Wrapped):
    """Standard error: what cannot be written there is not worth failing for."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def prepare_streams() -> None:
    """Make the standard streams usable, whatever they are; to be called before any file is opened."""
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: no file of ours may get its number
            os.open(os.devnull, flags)
    sys.stdin = sys.stdin or os.fdopen(0)
    for name, descriptor, wrapped in (("stdout", 1, Output), ("stderr", 2, Notes)):
        stream = getattr(sys, name) or os.fdopen(descriptor, "w")
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        setattr(sys, name, wrapped(stream))


def end_of_output(code: int) -> int:
    """Write what is still to be written; answer the exit code. Raises DiskFull."""
    with contextlib.suppress(SystemExit):  # its reader has left
        sys.stdout.flush()
    return code


def leave(code: int) -> NoReturn:
    """End the process without taking its modules apart first, which is a sixth of a short command's time."""
    sys.stderr.flush()
    if threading.active_count() > 1:
        sys.exit(code)
    os._exit(code)
