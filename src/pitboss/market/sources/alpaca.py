"""Alpaca: raw bars of US stocks with their splits and dividends, by alpaca-py
(https://alpaca.markets/sdks/python/market_data.html)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import polars as pl

from pitboss.core.timeframe import DAY_MICROS, Timeframe
from pitboss.market.actions import with_actions
from pitboss.market.sources import SourceFailed, SourceType, Wanted
from pitboss.market.sources.web import Web

PAGE_BARS = 5000  # by time: a page holds whatever lies in it
_UNITS = {"m": "Minute", "h": "Hour", "d": "Day", "w": "Week", "mo": "Month"}
_PRICES = ("open", "high", "low", "close", "volume")


def fetch(config: Mapping[str, Any], secret: str, web: Web, wanted: Wanted) -> Iterator[pl.DataFrame]:
    """Yield what all pages hold, for an action may fall between two; the secret is `KEY:SECRET`. See `SourceType`."""
    try:
        from alpaca.data.enums import Adjustment
        from alpaca.data.historical import StockHistoricalDataClient
        from alpaca.data.historical.corporate_actions import CorporateActionsClient
        from alpaca.data.requests import StockBarsRequest
    except ModuleNotFoundError:
        raise SourceFailed("alpaca-py is not installed", "pip install 'pitboss[sources]'") from None
    key, _, private = secret.partition(":")
    client = StockHistoricalDataClient(key, private, url_override=config.get("url"))
    register = CorporateActionsClient(key, private, url_override=config.get("url"))
    client._retry = register._retry = 0  # the web asks again, and holds all processes up
    pages = []
    step = max(PAGE_BARS * wanted.timeframe.micros, DAY_MICROS)
    for low in range(wanted.since, wanted.until, step):
        asked = StockBarsRequest(
            symbol_or_symbols=wanted.symbol, timeframe=_length(wanted.timeframe), start=_moment(low),
            end=_moment(min(low + step, wanted.until) - 1), adjustment=Adjustment.RAW, feed=config.get("feed"),
        )  # fmt: skip
        rows = _asked(web, partial(client.get_stock_bars, asked)).data.get(wanted.symbol, [])
        if rows:
            moments = pl.Series([bar.timestamp for bar in rows]).cast(pl.Datetime("us", "UTC"))
            columns = {name: [float(getattr(bar, name)) for bar in rows] for name in _PRICES}
            frame = pl.DataFrame({"ts": moments, **columns})
            pages.append(frame.with_columns(pl.col("ts").dt.truncate("1d")) if wanted.timeframe.is_daily else frame)
    if pages:
        yield with_actions(pl.concat(pages).sort("ts"), *_actions(web, register, wanted))


def _actions(web: Web, register: Any, wanted: Wanted) -> tuple[dict[int, float], dict[int, float]]:
    """Answer the splits and the dividends of the time that is wanted, by the moment of their day."""
    from alpaca.data.enums import CorporateActionsType as _Type
    from alpaca.data.requests import CorporateActionsRequest

    sought = CorporateActionsRequest(
        symbols=[wanted.symbol], types=[_Type.FORWARD_SPLIT, _Type.REVERSE_SPLIT, _Type.CASH_DIVIDEND],
        start=_moment(wanted.since).date(), end=_moment(wanted.until).date(),
    )  # fmt: skip
    found = _asked(web, partial(register.get_corporate_actions, sought)).data
    splits: dict[int, float] = {}
    for each in (*found.get("forward_splits", ()), *found.get("reverse_splits", ())):
        splits[_micros(each.ex_date)] = each.new_rate / each.old_rate
    dividends: Counter[int] = Counter()
    for each in found.get("cash_dividends", ()):
        dividends[_micros(each.ex_date)] += each.rate
    return splits, dict(dividends)


def _asked(web: Web, ask: Callable[[], Any]) -> Any:
    """Answer what alpaca-py answers. Raises SourceFailed."""
    import requests
    from alpaca.common.exceptions import APIError

    lost = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return web.call(ask, lost, (APIError, requests.RequestException))


def _length(timeframe: Timeframe) -> Any:
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

    text = str(timeframe)
    count = int("".join(filter(str.isdigit, text)))
    return TimeFrame(count, TimeFrameUnit[_UNITS[text.lstrip("0123456789")]])


def _micros(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY_MICROS


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


SOURCE = SourceType(
    name="alpaca", fetch=fetch, prices="raw", may=("url", "feed", "trading_url", "stream_url"), needs_secret=True,
    per_minute=180.0,
)  # fmt: skip
