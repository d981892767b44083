"""Requests about what a screen document says of bars."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import polars as pl

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput, PitbossError
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kinds.documents.models import models_in
from pitboss.market.dates import latest_shared
from pitboss.market.frames import PRICES
from pitboss.market.store import BarStore
from pitboss.reader.bars import candles_of, line_of, told
from pitboss.reader.tables import read_table
from pitboss.screening.evaluate import judge
from pitboss.screening.program import Screen, compile_screen
from pitboss.screening.reader import read_screen

REQUESTS = ("criteria", "screened", "sparks", "turnover")
SECONDS = 0.5  # that a look at many symbols may take
ROWS = 30
MOST_BARS = 2_000
MOST_LINES = 5
SPARK_BARS = 40


def criteria(
    store: BarStore, text: str, parameters: dict[str, Any], symbol: str, low: int | None, until: int | None, count: int,
    models: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Answer the last candles of a symbol that open before `until` (microseconds): those from `low` on, at least
    `count`. Over them the indicators that are of the size of prices, and at each bar the points of every criterion, the
    score, and whether it passes. `models` are those that the screen asks, as a snapshot has them. Raises InvalidInput
    with every mistake."""
    screen = compile_screen(read_screen(text), parameters)
    bars = _before(store.load(symbol, screen.document.timeframe), until)
    others = _others(store, screen)
    known = models_in({"models": models}, store.files)
    judged = judge(screen, {**others, symbol: bars}, symbol, known)
    first = len(bars.ts) - count if low is None else min(len(bars.ts) - count, int(np.searchsorted(bars.ts, low)))
    shown = np.arange(max(0, first, len(bars.ts) - MOST_BARS), len(bars.ts))
    candles = candles_of(bars.slice(int(shown[0]), len(bars.ts)), None, None, len(shown))
    doubled = judge(screen, {**others, symbol: _doubled(bars)}, symbol, known).named
    lines = [
        line_of(name, values, bars, shown)
        for name, values in judged.named.items()
        if values.dtype != np.bool_ and np.allclose(doubled[name], 2 * values, equal_nan=True)
    ]
    strips = [
        {"name": each.name, "most": each.most, "points": told(points[shown])}
        for each, points in zip(
            (*screen.criteria, *screen.overlay), (*judged.points.values(), *judged.extra.values()), strict=True
        )
    ]
    mark = screen.pass_mark if np.isfinite(screen.pass_mark) else None
    return candles | {
        "first": int(bars.ts[0]), "rows": len(bars.ts), "strips": strips,
        "lines": [line for line in lines if line["is_price"]][:MOST_LINES], "score": told(judged.score[shown]),
        "base": told(judged.base[shown]), "pass_mark": mark,
        "passed": judged.passed[shown].tolist(), "timeframe": str(screen.document.timeframe),
    }  # fmt: skip


def screened(store: BarStore, text: str, parameters: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    """Answer what a screen says at the last bar of the symbols that trade still: of the best of them, and of how many
    it was told in the time that such a look may take. Raises InvalidInput with every mistake."""
    screen, forecasters = compile_screen(read_screen(text), parameters), models_in({"models": models}, store.files)
    length, others, ends = screen.document.timeframe, _others(store, screen), time.monotonic() + SECONDS
    known = {symbol: each for symbol, each in store.fitting(length).items() if symbol not in screen.document.symbols}
    last = latest_shared(series.last for series in known.values()) or 0
    symbols = [symbol for symbol, series in known.items() if series.last >= last]
    rows: list[dict[str, Any]] = []
    for symbol in symbols:
        if time.monotonic() > ends:
            break
        try:
            bars = _before(store.load(symbol, length), last + 1)
        except PitbossError as error:
            rows.append({"ticker": symbol, "score": None, "passed": False, "class": "", "reasons": [str(error)]})
            continue
        row = judge(screen, {**others, symbol: bars}, symbol, forecasters).row(len(bars.ts) - 1)
        rows.append({"ticker": symbol, "date": micros_to_iso(int(bars.ts[-1]))[:10], **row})
    rows_by_rank = sorted(rows, key=lambda row: (not row["passed"], -(row["score"] or 0.0), row["ticker"]))
    passed = sum(row["passed"] for row in rows)
    return {"tickers": rows_by_rank[:ROWS], "passed_count": passed, "judged": len(rows), "symbols": len(symbols)}


def sparks(store: BarStore, symbols: list[str], timeframe: str, until: int | None) -> dict[str, list[float]]:
    """Answer the last closes of symbols before `until` (microseconds), as far as there are bars of them."""
    found = {}
    for symbol in symbols:
        try:
            bars = _before(store.load(symbol, parse_timeframe(timeframe)), until)
        except PitbossError:
            continue
        found[symbol] = bars.close[-SPARK_BARS:].tolist()
    return found


def turnover(_store: BarStore, before: str, after: str, most: int) -> dict[str, dict[str, Any]]:
    """Answer how many passed a screen after, and not before, how many did no more, and how many passed both, each with
    `most` rows: the highest scores, of those that passed both the largest changes. It is as of the last date of each
    table of rows."""
    both = _last(before).join(_last(after), on="ticker", how="full", coalesce=True, suffix=" after")
    was, now = (pl.col(name).fill_null(value=False) for name in ("passed", "passed after"))
    change = (pl.col("score after") - pl.col("score")).alias("change")
    found = both.select("ticker", "score", "score after", change, was.alias("was"), now.alias("now"))
    parts = {
        "came": found.filter(~pl.col("was") & pl.col("now")).sort("score after", descending=True),
        "went": found.filter(pl.col("was") & ~pl.col("now")).sort("score", descending=True),
        "stayed": found.filter(pl.col("was") & pl.col("now")).sort(pl.col("change").abs(), descending=True),
    }
    return {name: {"count": len(rows), "rows": rows.head(most).to_dicts()} for name, rows in parts.items()}


def _last(path: str) -> pl.DataFrame:
    frame = read_table(path)
    return frame.filter(pl.col("date") == frame["date"].max()).select("ticker", "score", "passed")


def _others(store: BarStore, screen: Screen) -> dict[str, BarArrays]:
    return {symbol: store.load(symbol, screen.document.timeframe) for symbol in screen.document.symbols}


def _doubled(bars: BarArrays) -> BarArrays:
    """Answer bars at twice their prices: what is a price of theirs doubles too, and an RSI does not."""
    return bars._replace(**{name: 2 * getattr(bars, name) for name in PRICES})


def _before(bars: BarArrays, until: int | None) -> BarArrays:
    found = bars if until is None else bars.head(int(np.searchsorted(bars.ts, until)))
    if not len(found.ts):
        raise InvalidInput("there is no bar before that date", "choose a later one", "date")
    return found
