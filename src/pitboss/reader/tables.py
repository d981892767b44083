"""Requests about the tables that runs leave behind: a chart's part of one, no finer than it can be seen, and rows by
what they are sorted and narrowed by."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pitboss.core.errors import InvalidInput, StorageUnavailable
from pitboss.market.frames import read_parquet
from pitboss.market.store import BarStore

REQUESTS = ("tile", "rows", "choices", "cells")
MOST_CHOICES = 12
MOST_CELLS = 10_000
MOST_MARKS = 5_000
SIGNS = ("gains", "losses")


def tile(
    _store: BarStore, path: str, chart: dict[str, Any], low: float | None, high: float | None, most: int
) -> dict[str, Any]:  # fmt: skip
    """Answer a chart's columns where x lies in [low, high): at most about `most` points, of which each stretch of the
    screen shows its first, its last, its least and its greatest (M4: Jugel et al., VLDB 2014).

    Moments are microseconds. Candles of a table are answered as they are.
    """
    frame = _narrowed(read_table(path), chart["where"])
    x = frame[chart["x"]]
    is_time = x.dtype.is_temporal()
    at = x.cast(pl.Int64).to_numpy() if is_time else x.cast(pl.Float64).to_numpy()
    if not is_time and len(at) and bool((np.diff(at) < 0).any()):
        order = np.argsort(at, kind="stable")
        at, frame = at[order], frame[order.tolist()]
    begin, end = window(at, low, high)
    columns = [frame[name].cast(pl.Float64).to_numpy()[begin:end] for name in chart["y"]]
    kept = np.arange(end - begin)
    if chart["type"] != "candles" and end - begin > most:
        kept = _m4(columns, max(1, most // 4))
    return {
        "x": at[begin:end][kept].tolist(), "y": [_plain(column[kept]) for column in columns], "is_time": is_time,
        "first": at[0].item() if len(at) else None, "last": at[-1].item() if len(at) else None, "rows": len(at),
        "marks": [_marks(mark, chart["where"], low, high) for mark in chart["marks"]],
    }  # fmt: skip


def window(at: npt.NDArray[Any], low: float | None, high: float | None) -> tuple[int, int]:
    """Answer where [low, high) begins and ends in ascending values, with one more at either side."""
    begin = 0 if low is None else max(0, int(np.searchsorted(at, low, "left")) - 1)
    end = len(at) if high is None else min(len(at), int(np.searchsorted(at, high, "left")) + 1)
    return begin, end


def _m4(columns: list[npt.NDArray[np.float64]], pieces: int) -> npt.NDArray[np.int64]:
    """Answer which of the values to draw; of the first column, and of the others at the same places."""
    values = columns[0]
    edges = np.linspace(0, len(values), pieces + 1).astype(np.int64)
    kept: set[int] = set()
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if begin == end:
            continue
        kept |= {begin, end - 1}
        for column in columns:
            part = column[begin:end]
            if not np.isnan(part).all():
                kept |= {begin + int(np.nanargmin(part)), begin + int(np.nanargmax(part))}
    return np.array(sorted(kept), dtype=np.int64)


def _marks(mark: dict[str, Any], where: dict[str, Any], low: float | None, high: float | None) -> dict[str, Any]:
    """Answer a chart's marks that lie in its window, the largest where there are too many, with their row's number."""
    frame = read_table(mark["path"]).with_row_index("row")
    frame = _narrowed(frame, {name: value for name, value in where.items() if name in frame.columns})
    begins, ends = pl.col(mark["x"]).cast(pl.Int64), pl.col(mark["end_x"] or mark["x"]).cast(pl.Int64)
    inside = pl.lit(True) if low is None or high is None else (ends >= low) & (begins < high)
    found = frame.filter(inside)
    total = len(found)
    if total > MOST_MARKS:
        by = pl.col(mark["value"]).abs() if mark["value"] else pl.col("row")
        found = found.sort(by, descending=True, nulls_last=True).head(MOST_MARKS).sort(mark["x"])
    names = {"x": mark["x"], "y": mark["y"], "end_x": mark["end_x"], "end_y": mark["end_y"], "value": mark["value"],
             "side": mark["side"]}  # fmt: skip
    columns = {key: _column(found[name]) for key, name in names.items() if name}
    return {"label": mark["label"], "total": total, "row": found["row"].to_list(), **columns}


def rows(_store: BarStore, path: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Answer some rows of a table and how many there are: `columns` of it, sorted by `sort` (a minus: greatest first),
    narrowed by `equals` (a column's value), `signs` (a column's gains or losses) and `between` (a column's range)."""
    frame = read_table(path).with_row_index("row")
    columns = [name for name in asked["columns"] if name in frame.columns]
    for name, value in asked.get("equals", {}).items():
        frame = frame.filter(_known(frame, name).cast(pl.String) == value)
    for name, sign in asked.get("signs", {}).items():
        frame = frame.filter(_known(frame, name) > 0 if sign == SIGNS[0] else _known(frame, name) < 0)
    for name, (low, high) in asked.get("between", {}).items():
        at = _known(frame, name).cast(pl.Int64)
        frame = frame.filter((at >= low if low is not None else pl.lit(True)) & (at < high if high else pl.lit(True)))
    if asked.get("row") is not None:
        frame = frame.filter(pl.col("row") == asked["row"])
    sort = asked.get("sort") or ""
    if sort.lstrip("-") in frame.columns:
        frame = frame.sort(sort.lstrip("-"), descending=sort.startswith("-"), nulls_last=True, maintain_order=True)
    page = frame.slice(asked.get("offset", 0), asked.get("limit", 100))
    found = [_column(page[name]) for name in ("row", *columns)]
    return {"total": len(frame), "columns": columns, "rows": [list(row) for row in zip(*found, strict=True)]}


def choices(_store: BarStore, path: str, columns: list[str]) -> dict[str, list[str]]:
    """Answer the values of each of some columns of text, where there are few."""
    frame = read_table(path)
    found = {
        name: frame[name].unique().drop_nulls().sort().to_list()
        for name in columns
        if name in frame.columns and frame.schema[name] == pl.String
    }
    return {name: values for name, values in found.items() if 1 < len(values) <= MOST_CHOICES}


def cells(_store: BarStore, path: str, x: str, y: str, value: str) -> dict[str, Any]:
    """Answer a heat map: the values along both edges, and for each cell the mean of what falls into it."""
    frame = read_table(path)
    xs, ys = (frame[name].unique().drop_nulls().sort().to_list() for name in (x, y))
    if len(xs) * len(ys) > MOST_CELLS:
        raise InvalidInput(f"{len(xs)} by {len(ys)} cells are too many to be seen", "export the table", "chart")
    found = frame.group_by(x, y).agg(pl.col(value).mean())
    table = {(row[0], row[1]): row[2] for row in found.iter_rows()}
    values = [[_number(table.get((across, down))) for across in xs] for down in ys]
    return {"x": xs, "y": ys, "values": values}


def _known(frame: pl.DataFrame, name: str) -> pl.Expr:
    if name not in frame.columns:
        raise InvalidInput(f"the table has no column '{name[:40]}'", f"it has {', '.join(frame.columns[1:])}", "column")
    return pl.col(name)


def _narrowed(frame: pl.DataFrame, where: dict[str, Any]) -> pl.DataFrame:
    for name, value in where.items():
        frame = frame.filter(_known(frame, name) == value)
    return frame


def read_table(path: str) -> pl.DataFrame:
    try:
        return read_parquet(Path(path))
    except (OSError, pl.exceptions.PolarsError) as error:
        what = f"{Path(path).name} cannot be read: {str(error).splitlines()[0][:120]}"
        raise StorageUnavailable(what, "restore it from a backup, or run it again") from None


def _column(column: pl.Series) -> list[Any]:
    if column.dtype.is_temporal():
        return column.cast(pl.Int64).to_list()
    return _plain(column.to_numpy()) if column.dtype.is_float() else column.to_list()


def _plain(values: npt.NDArray[Any]) -> list[Any]:
    return [_number(value) for value in values.tolist()]


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
