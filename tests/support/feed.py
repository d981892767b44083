"""A source of market data on this machine, that is as unreliable as it is told to be."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import prod
from struct import pack, unpack
from urllib.parse import parse_qs, urlsplit

DAY = 86_400
OPENS = 14 * 3600 + 1800  # New York's exchange, in winter
MARKETS = "markets"
CHART = "/v8/finance/chart/"
ASIDE = ("/v1/corporate-actions", "/v1/test/getcrumb", "/", "/consent")  # asked for besides bars
PAGE = b"<!doctype html><html><title>Please sign in</title></html>"


class Feed:
    """Serves daily bars as CSV at /csv/SYMBOL and as Tiingo does at /tiingo/daily/SYMBOL/prices.

    `closes` are those of each symbol as they were traded, a bar a day from `first` (seconds) on; `splits` and
    `dividends` those of each symbol, by the place of their bar; `faults` are what the next requests for data get
    instead: a status, "html", "cut" or "slow". Requests are counted with their times.
    """

    def __init__(self, closes: dict[str, list[float]], first: int, retry_after: str = "1") -> None:
        self.closes, self.first, self.retry_after = closes, first, retry_after
        self.splits: dict[str, dict[int, float]] = {}
        self.dividends: dict[str, dict[int, float]] = {}
        self.faults: list[int | str] = []
        self.asked: list[float] = []
        self.paths: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.is_shuffled = False
        self._lock = threading.Lock()
        feed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                feed.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Feed:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self._lock:
            self.asked.append(time.monotonic())
            self.paths[parts.path] += 1
            is_aside = parts.path in ASIDE
            fault = self.faults.pop(0) if self.faults and not is_aside else None
            names = ("Authorization", "APCA-API-SECRET-KEY")
            self.keys.add("".join(filter(None, (request.headers.get(name) for name in names))) or query.get("key", ""))
        if isinstance(fault, int):
            request.send_response(fault)
            if fault == 429:
                request.send_header("Retry-After", self.retry_after)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if fault == "html":
            self.send(request, PAGE)
            return
        if is_aside:
            self.send(request, json.dumps({"corporate_actions": self.actions(query)}).encode())
            return
        symbol = self.symbol_of(parts.path, query)
        if symbol == MARKETS:
            listed = [] if "currencies" in parts.path else self.markets()
            self.send(request, json.dumps(listed).encode())
            return
        if symbol not in self.closes:
            request.send_response(404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        rows = self.rows(symbol, query)
        body = self.body(parts.path, symbol, rows)
        if fault == "cut":
            request.send_response(200)
            request.send_header("Content-Length", str(len(body) + 1000))
            request.end_headers()
            request.wfile.write(body[: len(body) // 2])
            request.close_connection = True
            return
        self.send(request, body)

    def symbol_of(self, path: str, query: dict[str, str]) -> str:
        if path.startswith("/v2/stocks/bars"):
            return query["symbols"]
        if path.startswith("/api/v2/ohlc/"):
            return path.strip("/").split("/")[-1].upper()
        if path.startswith("/api/v2/"):
            return MARKETS
        return path.split("/")[-1 if path.startswith(("/csv", CHART)) else -2]

    def body(self, path: str, symbol: str, rows: list[tuple[int, float]]) -> bytes:
        if path.startswith("/tiingo"):
            return self.as_json(symbol, rows)
        if path.startswith(CHART):
            return self.as_chart(symbol, rows)
        if path.startswith("/v2/"):
            bars = [{"t": f"{datetime.fromtimestamp(ts + 5 * 3600, UTC):%Y-%m-%dT%H:%M:%SZ}", "o": c, "h": c + 1, "l": c - 1,
                     "c": c, "v": 1000, "n": 1, "vw": c} for ts, c in rows]  # fmt: skip
            return json.dumps({"bars": {symbol: bars}, "next_page_token": None}).encode()
        if path.startswith("/api/"):
            bars = [{"timestamp": str(ts), "open": str(c), "high": str(c + 1), "low": str(c - 1), "close": str(c),
                     "volume": "1000"} for ts, c in rows]  # fmt: skip
            return json.dumps({"data": {"pair": symbol, "ohlc": bars}}).encode()
        return self.as_csv(rows)

    def markets(self) -> list[dict[str, object]]:
        """Answer the pairs, as Bitstamp lists them: AAPL is AAP/L."""
        return [
            {"name": f"{name[:3]}/{name[3:]}", "market_symbol": name.lower(), "url_symbol": name.lower(), "base_currency": name[:3],
             "counter_currency": name[3:], "base_decimals": 8, "counter_decimals": 2, "minimum_order_value": "10",
             "base": name[:3], "quote": name[3:], "minimum_order": "10.0 USD", "trading": "Enabled",
             "instant_order_counter_decimals": 2, "instant_and_market_orders": "Enabled", "description": f"{name[:3]} / {name[3:]}", "market_type": "SPOT"}
            for name in self.closes
        ]  # fmt: skip

    def send(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def rows(self, symbol: str, query: dict[str, str]) -> list[tuple[int, float]]:
        low, high = (query.get(name, other) for name, other in (("startDate", "1900-01-01"), ("endDate", "2100-01-01")))
        low, high = query.get("from", low), query.get("to", high)
        if query.get("start", "").isdigit():
            low = f"{datetime.fromtimestamp(int(query['start']), UTC):%Y-%m-%d}"
            high = f"{datetime.fromtimestamp(int(query['end']), UTC):%Y-%m-%d}"
        elif "period1" in query:
            low, high = (_date(int(query[name]) - late) for name, late in (("period1", 14 * 3600), ("period2", DAY)))
        elif "start" in query:
            low, high = query["start"][:10], query["end"][:10]
        closes = enumerate(self.closes[symbol])
        found = [(self.first + at * DAY, close) for at, close in closes]
        kept = [(ts, close) for ts, close in found if low <= f"{datetime.fromtimestamp(ts, UTC):%Y-%m-%d}" <= high]
        return [*kept[len(kept) // 2 :], *kept[: len(kept) // 2 + 1]] if self.is_shuffled else kept

    def as_csv(self, rows: list[tuple[int, float]]) -> bytes:
        lines = [f"{datetime.fromtimestamp(ts, UTC):%Y-%m-%d},{c},{c + 1},{c - 1},{c},1000" for ts, c in rows]
        return "\n".join(["Date,Open,High,Low,Close,Volume", *lines, ""]).encode()

    def happened(self, symbol: str, ts: int) -> tuple[float, float]:
        """Answer the split and the dividend of a bar."""
        at = (ts - self.first) // DAY
        return self.splits.get(symbol, {}).get(at, 1.0), self.dividends.get(symbol, {}).get(at, 0.0)

    def as_json(self, symbol: str, rows: list[tuple[int, float]]) -> bytes:
        return json.dumps([
            {"date": f"{_date(ts)}T00:00:00.000Z", "open": c, "high": c + 1, "low": c - 1, "close": c, "volume": 1000,
             "adjClose": c / 2, **dict(zip(("splitFactor", "divCash"), self.happened(symbol, ts), strict=True))}
            for ts, c in rows
        ]).encode()  # fmt: skip

    def as_chart(self, symbol: str, rows: list[tuple[int, float]]) -> bytes:
        """Answer what Yahoo does: prices and dividends adjusted for every later split, as 32-bit floats."""
        later = {at: prod(r for other, r in self.splits.get(symbol, {}).items() if other > at) for at in range(1000)}
        factor = {ts: later[(ts - self.first) // DAY] for ts, _ in rows}

        def column(change: float) -> list[float]:
            return [unpack("f", pack("f", (close + change) / factor[ts]))[0] for ts, close in rows]

        splits, dividends = {}, {}
        for ts, _ in rows:
            split, dividend = self.happened(symbol, ts)
            moment = ts + OPENS
            if split != 1.0:
                splits[str(moment)] = {"date": moment, "numerator": split, "denominator": 1, "splitRatio": f"{split}:1"}
            if dividend:
                dividends[str(moment)] = {"date": moment, "amount": dividend / factor[ts]}
        quote = {"open": column(0), "high": column(1), "low": column(-1), "close": column(0),
                 "volume": [1000 * factor[ts] for ts, _ in rows]}  # fmt: skip
        meta = {"currency": "USD", "symbol": symbol, "instrumentType": "EQUITY", "gmtoffset": -18000, "timezone": "EST",
                "exchangeTimezoneName": "America/New_York", "priceHint": 2, "dataGranularity": "1d", "range": "",
                "firstTradeDate": self.first, "regularMarketTime": self.first, "validRanges": ["1d", "max"]}  # fmt: skip
        result = {"meta": meta, "timestamp": [ts + OPENS for ts, _ in rows],
                  "events": {"splits": splits, "dividends": dividends},
                  "indicators": {"quote": [quote], "adjclose": [{"adjclose": column(0)}]}}  # fmt: skip
        return json.dumps({"chart": {"result": [result], "error": None}}).encode()

    def actions(self, query: dict[str, str]) -> dict[str, list[dict[str, object]]]:
        """Answer what Alpaca does of a symbol."""
        symbol = query.get("symbols", "")

        def listed(actions: dict[int, float], **more: object) -> list[dict[str, object]]:
            return [{"id": f"{at:032x}", "symbol": symbol, "cusip": "1", "ex_date": day, "process_date": day, **more,
                     ("new_rate" if "old_rate" in more else "rate"): value}
                    for at, value in actions.items() for day in [_date(self.first + at * DAY)]]  # fmt: skip

        return {
            "forward_splits": listed(self.splits.get(symbol, {}), old_rate=1.0),
            "cash_dividends": listed(self.dividends.get(symbol, {}), special=False, foreign=False),
        }


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
