"""What a screen says as tables: a row for each ticker and date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pitboss.screening.evaluate import Judged

Columns = dict[str, npt.NDArray[Any]]
POINTS = "points of "


def rows_of(judged: Judged, ticker: str, here: npt.NDArray[np.int64]) -> Columns:
    """Answer a row for each of some bars, by their places: what every screen says, then the metrics, then each
    criterion's points. They are plain arrays, for a frame for each ticker would cost as much as to judge it."""
    words = judged.words(here)
    kinds = words.pop("class", np.full(len(here), "", dtype=object))
    columns: Columns = {
        "ticker": np.full(len(here), ticker, dtype=object),
        "date": judged.ts[here],
        "score": judged.score[here],
        "base": judged.base[here],
        "passed": judged.passed[here],
        "class": kinds,
    }
    columns |= {name: values[here] for name, values in judged.measures.items()} | words
    points = (*judged.points.items(), *judged.extra.items())
    return columns | {f"{POINTS}{name}": values[here] for name, values in points}


def table_of(several: Sequence[Columns]) -> pl.DataFrame:
    """Answer the rows of several tickers as one frame; its columns make `Columns` again by `to_numpy`."""
    found = {name: np.concatenate([columns[name] for columns in several]) for name in several[0]}
    texts = {
        name: pl.Series(values.tolist(), dtype=pl.String) for name, values in found.items() if values.dtype == object
    }
    return pl.DataFrame(found | texts)


def ranked(several: Sequence[Columns]) -> pl.DataFrame:
    """Answer the rows of several tickers, the latest date first and the best of each: dates are moments, and what is
    not known is null."""
    moments, numbers = pl.col("date").cast(pl.Datetime("us", "UTC")), pl.col(pl.Float64).fill_nan(None)
    frame = table_of(several).with_columns(moments, numbers)
    return frame.sort("date", "score", "ticker", descending=[True, True, False])


def text_lines(frame: pl.DataFrame, title: str) -> str:
    """Answer the rows that passed as the text that the scripts used to write: one ticker a line, best first."""
    passed = frame.filter("passed").sort("score", "ticker", descending=[True, False])
    lines = [
        f"{row['ticker']:<8} {row['date']:%Y-%m-%d} {row['score']:7.2f} {row['class']}" for row in passed.to_dicts()
    ]
    return "\n".join([title, f"{len(passed)} of {len(frame)} passed", "", *lines]) + "\n"
