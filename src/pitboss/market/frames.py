"""Bars as Polars frames (`ts, open, high, low, close, volume`) and as arrays, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import arro3.io
import numpy as np
import polars as pl
from arro3.core import DataType

from pitboss.core.errors import InvalidInput
from pitboss.kernel.bars import NO_PRICE, NOT_CONTAINED, OUT_OF_ORDER, BarArrays, fault_of
from pitboss.market.dates import range_of

PRICES = ("open", "high", "low", "close")
COLUMNS = ("ts", *PRICES, "volume")
SCHEMA = {"ts": pl.Datetime("us", "UTC"), **dict.fromkeys((*PRICES, "volume"), pl.Float64)}


_FAULTS = {
    OUT_OF_ORDER: ("the bars are not in ascending order of ts", "sort by ts and drop duplicates"),
    NO_PRICE: ("the bars hold NaN, infinite prices or prices <= 0", "drop those bars first"),
    NOT_CONTAINED: ("a bar's high or low does not contain its open and close", "mend those bars first"),
}


def read_parquet(path: Path) -> pl.DataFrame:
    """Read one file. Its name is taken as it is, never as a pattern. Raises OSError, PolarsError."""
    return pl.read_parquet(path, glob=False, hive_partitioning=False)


def read_arrays(path: Path) -> BarArrays | None:
    """Answer a small file of bars as arrays, without the frame that costs more than to read it; None where it has more
    than bars, or what is no plain number. Raises InvalidInput unless it holds clean, ascending bars."""
    table = arro3.io.read_parquet(path).read_all()
    is_plain = all(table[name].type == DataType.float64() for name in COLUMNS[1:] if name in table.column_names)
    if list(table.column_names) != list(COLUMNS) or not is_plain or any(table[name].null_count for name in COLUMNS):
        return None
    ts = table["ts"].cast(DataType.int64()).to_numpy()
    return _checked(BarArrays(ts, *(table[name].to_numpy() for name in COLUMNS[1:])), is_signed=True)


def to_arrays(frame: pl.DataFrame, is_signed: bool = False) -> BarArrays:
    """Answer a frame of bars as arrays. Raises InvalidInput unless it holds clean, ascending bars, with prices above
    0 or, when `is_signed`, of any sign."""
    frame = conform(frame)
    # a column that Parquet stored in pieces is joined once, here
    ts = np.ascontiguousarray(frame["ts"].cast(pl.Int64).to_numpy())
    arrays = BarArrays(ts, *(np.ascontiguousarray(frame[name].to_numpy()) for name in COLUMNS[1:]))
    return _checked(arrays, is_signed)


def _checked(arrays: BarArrays, is_signed: bool) -> BarArrays:
    fault = fault_of(arrays, is_signed)
    if fault:
        raise InvalidInput(*_FAULTS[fault], where="bars")
    return arrays


def as_polars(frame: Any) -> pl.DataFrame:
    """Answer a frame of Polars or Pandas as Polars: Pandas' columns in lower case, its index of moments as `ts`.

    Raises InvalidInput for anything else.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    if type(frame).__module__.partition(".")[0] != "pandas" or not hasattr(frame, "columns"):
        what = f"the bars are no frame of Polars or Pandas, but {type(frame).__name__}"
        raise InvalidInput(what, "give a frame, or a dict of frames by symbol", "bars")
    columns = {str(name).lower(): frame[name] for name in frame.columns}
    if "ts" not in columns:
        columns = {"ts": frame.index.to_series(), **columns}
    wanted = {name: column for name, column in columns.items() if name in COLUMNS}
    return pl.DataFrame({name: _of_pandas(column) for name, column in wanted.items()})


def _of_pandas(column: Any) -> Any:
    """Answer a column of Pandas as an array; moments in UTC."""
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column.to_numpy()


def nullable(frame: pl.DataFrame) -> pl.DataFrame:
    """Answer a frame whose missing volumes are null, as files and JSON have them."""
    return frame.with_columns(pl.col("volume").fill_nan(None))


def to_frame(bars: BarArrays) -> pl.DataFrame:
    """Answer arrays of bars as a frame."""
    columns = {"ts": pl.Series(bars.ts).cast(pl.Datetime("us", "UTC"))}
    return pl.DataFrame(columns | {name: getattr(bars, name) for name in COLUMNS[1:]})


def conform(frame: pl.DataFrame) -> pl.DataFrame:
    """Answer `frame` with the columns and types of bars; a missing volume is NaN.

    Raises InvalidInput naming the columns that are missing or of the wrong type.
    """
    missing = [name for name in COLUMNS[:-1] if name not in frame.columns]
    if missing:
        raise InvalidInput(f"the bars have no column {', '.join(missing)}", f"needed: {', '.join(COLUMNS)}", "bars")
    if "volume" not in frame.columns:
        frame = frame.with_columns(volume=pl.lit(float("nan")))
    if not frame.schema["ts"].is_temporal():
        raise InvalidInput(f"column 'ts' is {frame.schema['ts']}", "make it a datetime in UTC", "bars")
    if frame.schema["ts"] == SCHEMA["ts"] and all(frame.schema[n] == pl.Float64 for n in COLUMNS[1:]):
        bars = frame[list(COLUMNS)]  # a query of Polars costs more than all that a screen asks of a symbol
        return bars if not bars["volume"].null_count() else bars.with_columns(pl.col("volume").fill_null(float("nan")))
    zone = getattr(frame.schema["ts"], "time_zone", None)
    ts = pl.col("ts").cast(pl.Datetime("us")) if zone is None else pl.col("ts").dt.convert_time_zone("UTC")
    if zone is None:
        ts = ts.dt.replace_time_zone("UTC")
    try:
        numbers = [pl.col(name).cast(pl.Float64) for name in COLUMNS[1:]]
        return frame.select(ts.cast(pl.Datetime("us", "UTC")), *numbers[:-1], numbers[-1].fill_null(float("nan")))
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"the bars hold what is no number: {error}", "mend the columns", "bars") from None


def between(bars: BarArrays, start: str | None, end: str | None) -> BarArrays:
    """Answer the bars from `start` on and before `end` (ISO 8601, UTC); a whole date as `end` is included.

    Raises InvalidInput for what is no date, and for a range that is reversed.
    """
    low, high = range_of(start, end)
    first = 0 if low is None else int(np.searchsorted(bars.ts, low, "left"))
    last = len(bars.ts) if high is None else int(np.searchsorted(bars.ts, high, "left"))
    return bars.slice(first, last)
