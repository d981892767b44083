"""What a screen says as tables: a row for each ticker and date."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from pitboss.screening.evaluate import Judged
from pitboss.screening.program import Screen

HEAD = ("ticker", "date", "score", "base", "passed", "class")
POINTS = "points of "


def rows_frame(judged: Judged, ticker: str, here: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Answer a row for each of some bars, by their places, as `joined` takes them: HEAD, the metrics, then each
    criterion's points."""
    words = dict(judged.labels)
    kinds = words.pop("class", None)
    columns: dict[str, object] = {
        "ticker": [ticker] * len(here),
        "date": judged.ts[here],
        "score": judged.score[here],
        "base": judged.base[here],
        "passed": judged.passed[here],
        "class": pl.Series(kinds[here] if kinds is not None else [""] * len(here), dtype=pl.String),
    }
    columns |= {name: values[here] for name, values in judged.measures.items()}
    columns |= {name: pl.Series(values[here], dtype=pl.String) for name, values in words.items()}
    columns |= {f"{POINTS}{name}": values[here] for name, values in (*judged.points.items(), *judged.extra.items())}
    return pl.DataFrame(columns)


def joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Answer the rows of several tickers, the latest date first and the best of each: dates are moments, and what is
    not known is null."""
    frame = pl.concat(frames).with_columns(
        pl.col("date").cast(pl.Datetime("us", "UTC")), pl.col(pl.Float64).fill_nan(None)
    )
    return frame.sort("date", "score", "ticker", descending=[True, True, False])


def metric_names(screen: Screen) -> list[str]:
    """Answer the columns between HEAD and the points, in their order."""
    return [*screen.measures, *(name for name in screen.labels if name != "class")]


def text_lines(frame: pl.DataFrame, title: str) -> str:
    """Answer the rows that passed as the text that the scripts used to write: one ticker a line, best first."""
    passed = frame.filter("passed").sort("score", "ticker", descending=[True, False])
    lines = [
        f"{row['ticker']:<8} {row['date']:%Y-%m-%d} {row['score']:7.2f} {row['class']}" for row in passed.to_dicts()
    ]
    return "\n".join([title, f"{len(passed)} of {len(frame)} passed", "", *lines]) + "\n"
