"""Files that a command writes for its user, where they say."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pitboss.core.errors import DiskFull, InvalidInput
from pitboss.core.places import absolute, elsewhere


def copy_file(path: Path, to: Path | None) -> None:
    """Write a file as it is, to standard output where no other place is named. Raises DiskFull."""
    if to is None:
        sys.stdout.flush()
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        return
    with path.open("rb") as file, _written(absolute(to, "--to")) as out:
        shutil.copyfileobj(file, out)
    print(f"{path.stat().st_size:,} bytes → {to}", file=sys.stderr)


def write_frame(frame: Any, to: Path) -> None:
    """Write a frame in the format of the file's ending. Raises InvalidInput, DiskFull."""
    writers = {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".json": frame.write_json}
    to = absolute(to, "--to")
    if to.suffix.lower() not in writers:
        raise InvalidInput(f"unknown file type '{to.suffix}'", "use .csv, .parquet or .json", "--to")
    with _written(to) as out:
        writers[to.suffix.lower()](out)


@contextmanager
def _written(to: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing: here, so that a name is no pattern and no address."""
    try:
        with elsewhere(), to.open("wb") as file:
            yield file
    except OSError as error:
        raise DiskFull(f"cannot write {to}: {error.strerror or error}", "check the folder and the space") from None
