"""Parquet files read a batch at a time, without the libraries that compute on them.

What lists, serves and checks needs a file's description and some of its rows, not frames: arro3 reads them in
milliseconds and a few megabytes (docs/adr/0013-light-parquet.md has the figures).
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import arro3.io
from arro3.core import DataType, RecordBatch

from pitboss.core.errors import StorageUnavailable

BATCH_ROWS = 4096
_MAGIC = b"PAR1"  # the first and the last bytes of a file


def metadata_of(path: Path) -> dict[str, str]:
    """Answer what a file says of itself. Raises StorageUnavailable when it cannot be read."""
    return {key.decode(): value.decode() for key, value in (_opened(path).schema.metadata or {}).items()}


def columns_of(path: Path) -> list[str]:
    """Answer the names of a file's columns. Raises StorageUnavailable."""
    return list(_opened(path).schema.names)


def any_between(path: Path, column: str, low: int | None, high: int | None) -> bool:
    """Answer whether the ascending moments in `column`, as integers, have one in [low, high); None is no bound."""
    for batch in _batches(path):
        values = batch[column].cast(DataType.int64()).to_pylist()
        if low is None or values[-1] >= low:
            first = values[0 if low is None else bisect_left(values, low)]
            return high is None or first < high
    return False


def rows_of(
    path: Path, columns: Sequence[str] | None = None, offset: int = 0, limit: int | None = None
) -> Iterator[tuple[Any, ...]]:
    """Yield rows, of some columns or of all, in the file's order. Moments are datetimes in UTC.

    Raises StorageUnavailable for a file that cannot be read.
    """
    for batch in _sliced(path, offset, limit):
        names = columns or batch.schema.names
        yield from zip(*(batch[name].to_pylist() for name in names), strict=True)


def tail_of(path: Path, columns: Sequence[str], count: int) -> tuple[list[tuple[Any, ...]], int]:
    """Answer the last rows, and how many there are in all. Raises StorageUnavailable."""
    total = sum(batch.num_rows for batch in _batches(path))
    return list(rows_of(path, columns, max(0, total - count))), total


def as_csv(path: Path, offset: int = 0, limit: int | None = None) -> Iterator[str]:
    """Yield rows as CSV with a line of names, piece by piece."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns_of(path))
    for batch in _sliced(path, offset, limit):
        writer.writerows(zip(*(map(_as_text, batch[name].to_pylist()) for name in batch.schema.names), strict=True))
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def as_json(path: Path, offset: int = 0, limit: int | None = None) -> Iterator[str]:
    """Yield rows as one JSON array of objects, piece by piece; what is no number is null."""
    names, opening = columns_of(path), "["
    for batch in _sliced(path, offset, limit):
        rows = zip(*(map(_as_value, batch[name].to_pylist()) for name in names), strict=True)
        pieces = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
        if pieces:
            yield opening + ",".join(pieces)
            opening = ","
    yield "[]" if opening == "[" else "]"


def _sliced(path: Path, offset: int, limit: int | None) -> Iterator[RecordBatch]:
    left = math.inf if limit is None else limit
    for batch in _batches(path):
        if left <= 0:
            return
        skipped = min(offset, batch.num_rows)
        offset -= skipped
        part = batch.slice(skipped, int(min(left, batch.num_rows - skipped)))
        left -= part.num_rows
        if part.num_rows:
            yield part


def _batches(path: Path) -> Iterator[RecordBatch]:
    reader = iter(_opened(path))
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            raise _unreadable(path, error) from None


def _opened(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
            file.seek(-len(_MAGIC), os.SEEK_END)
            ends = file.read()
        if begins != _MAGIC or ends != _MAGIC:
            raise ValueError("it is torn, or no Parquet file")
        return arro3.io.read_parquet(path, batch_size=BATCH_ROWS)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what is damaged makes it panic, which is no Exception
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: BaseException) -> StorageUnavailable:
    return StorageUnavailable(f"{path.name} cannot be read: {error}", "restore it from a backup, or make it anew")


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f%z")
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, bool):
        return str(value).lower()
    return value


def _as_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if not isinstance(value, float) or math.isfinite(value) else None
