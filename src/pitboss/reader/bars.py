"""Requests about the bars that somebody may use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.market.frames import between, nullable, to_frame
from pitboss.market.options import ImportOptions
from pitboss.market.store import BarStore
from pitboss.reader.tables import window

REQUESTS = ("bars", "gaps", "import_file", "candles", "density")
MOST_DENSITY = 400


def bars(
    store: BarStore, symbol: str, timeframe: str, start: str | None, end: str | None, limit: int
) -> list[dict[str, Any]]:
    """Answer the first bars of a range; longer timeframes are made of shorter ones."""
    found = between(store.load(symbol, parse_timeframe(timeframe)), start, end)
    rows = nullable(to_frame(found.head(limit))).iter_rows(named=True)
    return [row | {"ts": row["ts"].isoformat()} for row in rows]


def gaps(store: BarStore, symbol: str, timeframe: str, limit: int) -> list[dict[str, Any]]:
    """Answer where bars are missing, the largest gaps first."""
    found = sorted(store.gaps(symbol, parse_timeframe(timeframe)), key=lambda gap: -gap.missing)
    return [{"after": gap.after, "before": gap.before, "missing": gap.missing} for gap in found[:limit]]


def import_file(
    store: BarStore, path: str, symbol: str, timeframe: str, options: dict[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """Read, clean and store a file of bars."""
    asked = ImportOptions.from_values(options)
    [made] = store.import_file(Path(path), symbol, parse_timeframe(timeframe), asked, source="the upload")
    return {"series": made.series.as_dict(), "report": made.report.as_dict()}


def candles(
    store: BarStore, symbol: str, timeframe: str, low: int | None, high: int | None, most: int
) -> dict[str, Any]:  # fmt: skip
    """Answer at most `most` candles that open in [low, high), microseconds; where there are more bars, so many of them
    are joined into each. `first` and `last` bound all there is, `step` is how many bars a candle holds."""
    return candles_of(store.load(symbol, parse_timeframe(timeframe)), low, high, most)


def candles_of(found: BarArrays, low: int | None, high: int | None, most: int) -> dict[str, Any]:
    """The same of bars that are at hand."""
    begin, end = window(found.ts, low, high)
    step = max(1, -(-(end - begin) // most))
    begin -= begin % step  # so that a candle holds the same bars wherever the window begins
    starts = np.arange(begin, end, step)
    if not len(starts):
        return {"x": [], "first": None, "last": None, "rows": len(found.ts), "step": 1, "candles": []}
    lasts = np.append(starts[1:], end) - 1
    values = (
        found.open[starts], np.maximum.reduceat(found.high[:end], starts),
        np.minimum.reduceat(found.low[:end], starts), found.close[lasts],
    )  # fmt: skip
    return {
        "x": found.ts[starts].tolist(), "candles": [column.tolist() for column in values],
        "first": int(found.ts[0]), "last": int(found.ts[-1]), "rows": len(found.ts), "step": step,
    }  # fmt: skip


def line_of(name: str, values: npt.NDArray[Any], bars: BarArrays, places: Any) -> dict[str, Any]:
    """Answer an indicator at some of the bars; `is_price` says whether it is of the same size as prices there."""
    low, high = float(bars.low[places].min()), float(bars.high[places].max())
    shown = np.asarray(values, np.float64)[places]
    middle = float(np.nanmedian(shown)) if np.isfinite(shown).any() else 0.0
    return {"name": name, "is_price": low - (high - low) <= middle <= high + (high - low), "values": told(shown)}


def told(values: npt.NDArray[np.float64]) -> list[float | None]:
    """Answer numbers as JSON has them."""
    return [value if np.isfinite(value) else None for value in values.tolist()]


def density(store: BarStore, symbol: str, timeframe: str, pieces: int) -> list[float]:
    """Answer how full each of so many equal stretches of a series is, 0 to 1, against its fullest."""
    ts = store.load(symbol, parse_timeframe(timeframe)).ts
    counts = _counts(ts, min(pieces, MOST_DENSITY))
    return (counts / max(1, counts.max())).round(3).tolist()  # type: ignore[no-any-return]


def _counts(ts: npt.NDArray[np.int64], pieces: int) -> npt.NDArray[np.int64]:
    return np.histogram(ts, bins=pieces, range=(int(ts[0]), int(ts[-1]) + 1))[0]
