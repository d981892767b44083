"""Crypto exchanges, by ccxt (https://docs.ccxt.com): raw bars, paged by time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

import polars as pl

from pitboss.core.errors import PitbossError
from pitboss.market.sources import SourceFailed, SourceType, Wanted
from pitboss.market.sources.web import Web, stumbled

PAGE_BARS = 500  # that every exchange gives at once
_UNITS = {"mo": "M"}  # what ccxt calls otherwise


def fetch(config: Mapping[str, Any], secret: str, web: Web, wanted: Wanted) -> Iterator[pl.DataFrame]:
    """Yield pages of PAGE_BARS; see `SourceType`."""
    exchange = _exchange(config, secret)
    exchange.session = _session(web)
    timeframe = str(wanted.timeframe)
    for ours, theirs in _UNITS.items():
        timeframe = timeframe.replace(ours, theirs)
    if not exchange.markets:
        _asked(web, exchange.load_markets)
    step = PAGE_BARS * wanted.timeframe.micros
    for low in range(wanted.since, wanted.until, step):
        count = min(step, wanted.until - low) // wanted.timeframe.micros + 1
        rows = _asked(web, partial(exchange.fetch_ohlcv, wanted.symbol, timeframe, low // 1000, int(count)))
        if rows:
            yield _frame(rows)


def _session(web: Web) -> Any:
    """Answer a session of ccxt's own library whose every request takes its turn, and is asked again where that helps:
    ccxt itself keeps no headers of what it refuses, nor tells a web page from data."""
    import requests

    lost = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

    class Paced(requests.Session):
        def request(self, *given: Any, **more: Any) -> Any:
            return web.answered(lambda: super(Paced, self).request(*given, **more), lost)

    return Paced()


def _asked(web: Web, ask: Callable[[], Any]) -> Any:
    """Answer what ccxt answers. Raises SourceFailed."""
    import ccxt

    try:
        return ask()
    except ccxt.BaseError as error:
        what = f"{web.name}: {error}".splitlines()[0][:200]
        raise SourceFailed(what, "check the symbol and the key") from None
    except PitbossError:  # it is told already, or the run is to end
        raise
    except Exception as error:
        raise stumbled(web.name, error) from None


def _exchange(config: Mapping[str, Any], secret: str) -> Any:
    try:
        import ccxt
    except ModuleNotFoundError:
        raise SourceFailed("ccxt is not installed", "pip install 'pitboss[sources]'") from None
    name = str(config["exchange"])
    if name not in ccxt.exchanges:
        raise SourceFailed(f"ccxt knows no exchange '{name[:40]}'", "see ccxt.exchanges")
    return _opened(name, secret, str(config.get("url", "")))


@lru_cache(maxsize=8)
def _opened(name: str, secret: str, url: str) -> Any:
    """Answer an exchange, one for each key: it keeps the markets that it has asked for."""
    import ccxt

    key, _, private = secret.partition(":")
    options = {"enableRateLimit": False, "timeout": 30_000} | ({"apiKey": key, "secret": private} if key else {})
    made = getattr(ccxt, name)(options)
    if url:  # another host with the same interface
        made.urls["api"] = _moved(made.urls["api"], url)
    return made


def _moved(addresses: Any, url: str) -> Any:
    """Answer addresses on another host, with the paths that they had."""
    if isinstance(addresses, dict):
        return {name: _moved(each, url) for name, each in addresses.items()}
    _, _, path = str(addresses).partition("://")[2].partition("/")
    return f"{url.rstrip('/')}/{path}"


def _frame(rows: list[list[float]]) -> pl.DataFrame:
    names = ("open", "high", "low", "close", "volume")
    columns = {name: [float(row[at]) for row in rows] for at, name in enumerate(names, 1)}
    moments = pl.Series([int(row[0]) * 1000 for row in rows]).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"ts": moments, **columns})


SOURCE = SourceType(name="ccxt", fetch=fetch, prices="raw", needs=("exchange",), may=("url",), per_minute=60.0)
