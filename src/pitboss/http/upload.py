"""A file that comes as the body of a request, kept on disk for as long as it is looked at."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from pitboss.core.errors import DiskFull

PIECE = 1 << 20  # bytes written at once, by a thread: a slow disk holds up nobody else


@asynccontextmanager
async def uploaded(request: Request, data_dir: Path) -> AsyncIterator[Path]:
    """Answer where the body of a request lies; it is removed at the end. Raises DiskFull."""
    try:
        file = await run_in_threadpool(_opened, data_dir / "uploads")
        with file:
            piece = bytearray()
            async for chunk in request.stream():
                piece += chunk
                if len(piece) >= PIECE:
                    await run_in_threadpool(file.write, bytes(piece))
                    piece = bytearray()
            await run_in_threadpool(_finished, file, bytes(piece))
            yield Path(file.name)
    except OSError as error:
        what = f"cannot keep the upload: {error.strerror or error}"
        raise DiskFull(what, "free some disk space, then retry") from None


def _opened(folder: Path) -> tempfile._TemporaryFileWrapper[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.NamedTemporaryFile(dir=folder)


def _finished(file: tempfile._TemporaryFileWrapper[bytes], rest: bytes) -> None:
    file.write(rest)
    file.flush()
