"""Tiingo: raw daily bars of US stocks, by its REST interface (https://www.tiingo.com/documentation/end-of-day)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from pitboss.core.timeframe import DAY_MICROS
from pitboss.market.sources import SourceFailed, SourceType, Wanted
from pitboss.market.sources.web import Web

URL = "https://api.tiingo.com"
PAGE = 5 * 365 * DAY_MICROS  # by time: a page holds whatever lies in it


def fetch(config: Mapping[str, Any], secret: str, web: Web, wanted: Wanted) -> Iterator[pl.DataFrame]:
    """Yield pages of five years; see `SourceType`."""
    if str(wanted.timeframe) != "1d":
        raise SourceFailed(f"tiingo has no {wanted.timeframe} bars", "ask for 1d")
    address = f"{config.get('url', URL)}/tiingo/daily/{wanted.symbol.replace('.', '-')}/prices"
    for low in range(wanted.since, wanted.until, PAGE):
        high = min(low + PAGE, wanted.until) - 1
        params = {"startDate": _date(low), "endDate": _date(high), "format": "json", "resampleFreq": "daily"}
        rows = web.json(address, params, {"Authorization": f"Token {secret}"})
        if not isinstance(rows, list):
            raise SourceFailed(f"tiingo: {str(rows)[:120]}", "check the symbol and the key")
        if rows:
            yield _frame(rows)


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    try:
        moments = [datetime.fromisoformat(row["date"]).replace(tzinfo=UTC) for row in rows]
        names = {name: name for name in ("open", "high", "low", "close", "volume")} | {
            "split": "splitFactor", "dividend": "divCash",
        }  # fmt: skip
        columns = {name: [float(row[theirs]) for row in rows] for name, theirs in names.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise SourceFailed(f"tiingo answered no bars: {error}", "look at its documentation") from None
    return pl.DataFrame({"ts": moments, **columns}, schema_overrides={"ts": pl.Datetime("us", "UTC")})


def _date(micros: int) -> str:
    return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d}"


SOURCE = SourceType(name="tiingo", fetch=fetch, prices="raw", may=("url",), needs_secret=True, per_minute=50.0)
