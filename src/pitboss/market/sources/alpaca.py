"""Alpaca: raw bars of US stocks, by alpaca-py (https://alpaca.markets/sdks/python/market_data.html)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl

from pitboss.core.timeframe import DAY_MICROS, Timeframe
from pitboss.market.sources import SourceFailed, SourceType, Wanted
from pitboss.market.sources.web import Web

PAGE_BARS = 5000  # by time: a page holds whatever lies in it
_UNITS = {"m": "Minute", "h": "Hour", "d": "Day", "w": "Week", "mo": "Month"}
_PRICES = ("open", "high", "low", "close", "volume")


def fetch(config: Mapping[str, Any], secret: str, web: Web, wanted: Wanted) -> Iterator[pl.DataFrame]:
    """Yield pages by time; the secret is `KEY:SECRET`. See `SourceType`."""
    try:
        from alpaca.common.exceptions import APIError
        from alpaca.data.enums import Adjustment
        from alpaca.data.historical import StockHistoricalDataClient
        from alpaca.data.requests import StockBarsRequest
    except ModuleNotFoundError:
        raise SourceFailed("alpaca-py is not installed", "pip install 'pitboss[sources]'") from None
    import requests

    lost = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    refused = (APIError, requests.RequestException)
    key, _, private = secret.partition(":")
    client = StockHistoricalDataClient(key, private, url_override=config.get("url"))
    client._retry = 0  # the web asks again, and holds all processes up
    step = max(PAGE_BARS * wanted.timeframe.micros, DAY_MICROS)
    for low in range(wanted.since, wanted.until, step):
        asked = StockBarsRequest(
            symbol_or_symbols=wanted.symbol, timeframe=_length(wanted.timeframe), start=_moment(low),
            end=_moment(min(low + step, wanted.until) - 1), adjustment=Adjustment.RAW, feed=config.get("feed"),
        )  # fmt: skip
        bars: Any = web.call(partial(client.get_stock_bars, asked), lost, refused)
        rows = bars.data.get(wanted.symbol, [])
        if rows:
            moments = pl.Series([bar.timestamp for bar in rows]).cast(pl.Datetime("us", "UTC"))
            columns = {name: [float(getattr(bar, name)) for bar in rows] for name in _PRICES}
            frame = pl.DataFrame({"ts": moments, **columns})
            yield frame.with_columns(pl.col("ts").dt.truncate("1d")) if wanted.timeframe.is_daily else frame


def _length(timeframe: Timeframe) -> Any:
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

    text = str(timeframe)
    count = int("".join(filter(str.isdigit, text)))
    return TimeFrame(count, TimeFrameUnit[_UNITS[text.lstrip("0123456789")]])


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


SOURCE = SourceType(
    name="alpaca", fetch=fetch, prices="raw", may=("url", "feed"), needs_secret=True, per_minute=180.0
)  # fmt: skip
