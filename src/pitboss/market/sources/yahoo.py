"""Yahoo Finance, by yfinance (https://ranaroussi.github.io/yfinance): bars as they were traded, splits and dividends
beside them.

Yahoo's daily prices are adjusted for every split since; here that is undone, so that what is stored stays as it is when
the next split comes. Its bars within a day are not adjusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from pitboss.core.timeframe import DAY_MICROS
from pitboss.market.actions import as_traded
from pitboss.market.frames import COLUMNS
from pitboss.market.sources import SourceFailed, SourceType, Wanted
from pitboss.market.sources.web import Web

CHART = "/v8/finance/chart/"
SECONDS = 30
DIGITS = 2  # of a price, where Yahoo does not say
# how long ago bars may begin, and how long a page may be, in days; None: whatever there is
_REACH: dict[str, tuple[int | None, int | None]] = {
    "1m": (29, 7), "2m": (59, 59), "5m": (59, 59), "15m": (59, 59), "30m": (59, 59), "1h": (729, 365),
    "1d": (None, None),
}  # fmt: skip


def fetch(config: Mapping[str, Any], secret: str, web: Web, wanted: Wanted) -> Iterator[pl.DataFrame]:  # noqa: ARG001
    """Yield pages by time, as long as Yahoo allows; see `SourceType`."""
    text = str(wanted.timeframe)
    if text not in _REACH:
        raise SourceFailed(f"yfinance has no {text} bars", f"ask for one of {', '.join(_REACH)}")
    try:
        import yfinance
    except ModuleNotFoundError:
        raise SourceFailed("yfinance is not installed", "pip install 'pitboss[sources]'") from None
    yfinance.config.debug.hide_exceptions = False
    yfinance.set_tz_cache_location(str(web.folder / web.name))
    ticker = yfinance.Ticker(wanted.symbol, session=_session(web, str(config.get("url", ""))))
    ago, days = _REACH[text]
    since = wanted.since if ago is None else max(wanted.since, wanted.until - ago * DAY_MICROS)
    step = (days * DAY_MICROS) if days is not None else max(1, wanted.until - since)
    for low in range(since, wanted.until, step):
        asked = {"start": _moment(low), "end": _moment(min(low + step, wanted.until)) + timedelta(days=1)}
        try:
            rows = ticker.history(**asked, interval=text, auto_adjust=False, actions=True, timeout=SECONDS)
        except yfinance.exceptions.YFPricesMissingError:
            continue  # a page in which nothing was traded
        except yfinance.exceptions.YFException as error:
            raise SourceFailed(f"{web.name}: {error}"[:300], "check the symbol") from None
        if len(rows):
            yield _frame(rows, ticker.history_metadata, wanted.timeframe.is_daily)


def _session(web: Web, url: str) -> Any:
    """Answer a session of yfinance's own library whose every request takes its turn; what bars are in is asked for
    again where it fails. With a `url` it asks there instead of Yahoo."""
    from curl_cffi.requests import Session
    from curl_cffi.requests.exceptions import RequestException

    class Paced(Session):  # type: ignore[type-arg]
        def request(self, method: Any, url: str, **given: Any) -> Any:  # type: ignore[override]
            address = f"{base}{urlsplit(url).path}" if base else url

            def ask() -> Any:
                return super(Paced, self).request(method, address, **given)

            if CHART not in url:  # cookies and the like: yfinance goes on without
                web.take_turn()
                return ask()
            return web.answered(ask, (RequestException,))

    base = url.rstrip("/")
    return Paced(impersonate="chrome")


def _frame(rows: Any, said: Mapping[str, Any], is_daily: bool) -> pl.DataFrame:
    """Answer a page of Yahoo's as bars with their actions."""
    index = rows.index.tz_localize(None) if is_daily else rows.index.tz_convert("UTC").tz_localize(None)
    columns = {name: rows[name.capitalize()].to_numpy(float) for name in COLUMNS[1:]}
    split = rows["Stock Splits"].to_numpy(float)
    actions = {"split": pl.Series(split).replace(0.0, 1.0), "dividend": rows["Dividends"].to_numpy(float)}
    moments = pl.Series(index.to_numpy().astype("datetime64[us]")).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    frame = pl.DataFrame({"ts": moments, **columns, **actions}).drop_nulls().drop_nans()
    return as_traded(frame, int(said.get("priceHint", DIGITS))) if is_daily and len(frame) else frame


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


SOURCE = SourceType(name="yfinance", fetch=fetch, prices="raw", may=("url",), per_minute=60.0)
