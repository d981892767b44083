"""What a symbol cost at a minute, by the bars that are stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pitboss.calendars.sessions import Exchange
from pitboss.core.clock import micros_to_iso
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.market.catalog import Series
from pitboss.market.store import BarStore, session_of

MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What one cost; None, and why, where that is not known or the market was closed."""

    price: float | None
    refusal: str = ""


def price_at(store: BarStore, symbol: str, at: int) -> Price:
    """Answer the opening of the bar that begins at a minute, of the shortest bars that there are."""
    minute = at // MINUTE * MINUTE
    found = _series(store, symbol)
    if not found:
        return Price(None, f"there are no bars of {symbol}")
    refusals = []
    for series in found:
        bars = store.load(symbol, parse_timeframe(series.timeframe))
        place = int(np.searchsorted(bars.ts, minute))
        if closed := _closed(series, minute):
            refusals.append(closed)
        elif place < len(bars.ts) and bars.ts[place] == minute:
            return Price(float(bars.open[place]))
        else:
            refusals.append(_missing(bars, symbol, minute))
    return Price(None, refusals[0])


def latest(store: BarStore, symbol: str) -> Price:
    """Answer the last close of a symbol, of the shortest bars that there are."""
    found = _series(store, symbol)
    if not found:
        return Price(None, f"there are no bars of {symbol}")
    closes = store.load(symbol, parse_timeframe(found[0].timeframe)).close
    return Price(float(closes[-1]))


def _series(store: BarStore, symbol: str) -> list[Series]:
    own = [series for series in store.all() if series.symbol == symbol]
    return sorted(own, key=lambda series: parse_timeframe(series.timeframe))


def _closed(series: Series, minute: int) -> str:
    session = session_of(series)
    if not isinstance(session, Exchange) or parse_timeframe(series.timeframe).is_daily:
        return ""
    if session.covers(np.array([minute], np.int64), MINUTE)[0]:
        return ""
    return f"the market of {series.symbol} ({session.code}) is closed at {micros_to_iso(minute)}"


def _missing(bars: BarArrays, symbol: str, minute: int) -> str:
    place = int(np.searchsorted(bars.ts, minute))
    what = f"no price of {symbol} is known at {micros_to_iso(minute)}"
    if place == len(bars.ts):
        last = micros_to_iso(int(bars.ts[-1]))
        return f"{what}: the last bar is of {last}; fetch newer ones, or order at a minute that there is a bar of"
    return f"{what}; the next bar begins at {micros_to_iso(int(bars.ts[place]))}"
