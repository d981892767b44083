"""A source of market data on this machine, that is as unreliable as it is told to be."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

DAY = 86_400
PAGE = b"<!doctype html><html><title>Please sign in</title></html>"


class Feed:
    """Serves daily bars as CSV at /csv/SYMBOL and as Tiingo does at /tiingo/daily/SYMBOL/prices.

    `closes` are those of each symbol, a bar a day from `first` (seconds) on; `faults` are what the next requests get
    instead: a status, "html", "cut" or "slow". Requests are counted with their times.
    """

    def __init__(self, closes: dict[str, list[float]], first: int, retry_after: str = "1") -> None:
        self.closes, self.first, self.retry_after = closes, first, retry_after
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
            fault = self.faults.pop(0) if self.faults else None
            self.keys.add(request.headers.get("Authorization", query.get("key", "")))
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
        symbol = parts.path.split("/")[-1 if parts.path.startswith("/csv") else -2]
        if symbol not in self.closes:
            request.send_response(404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        rows = self.rows(symbol, query)
        body = self.as_json(rows) if parts.path.startswith("/tiingo") else self.as_csv(rows)
        if fault == "cut":
            request.send_response(200)
            request.send_header("Content-Length", str(len(body) + 1000))
            request.end_headers()
            request.wfile.write(body[: len(body) // 2])
            request.close_connection = True
            return
        self.send(request, body)

    def send(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def rows(self, symbol: str, query: dict[str, str]) -> list[tuple[int, float]]:
        low, high = (query.get(name, other) for name, other in (("startDate", "1900-01-01"), ("endDate", "2100-01-01")))
        low, high = query.get("from", low), query.get("to", high)
        closes = enumerate(self.closes[symbol])
        found = [(self.first + at * DAY, close) for at, close in closes]
        kept = [(ts, close) for ts, close in found if low <= f"{datetime.fromtimestamp(ts, UTC):%Y-%m-%d}" <= high]
        return [*kept[len(kept) // 2 :], *kept[: len(kept) // 2 + 1]] if self.is_shuffled else kept

    def as_csv(self, rows: list[tuple[int, float]]) -> bytes:
        lines = [f"{datetime.fromtimestamp(ts, UTC):%Y-%m-%d},{c},{c + 1},{c - 1},{c},1000" for ts, c in rows]
        return "\n".join(["Date,Open,High,Low,Close,Volume", *lines, ""]).encode()

    def as_json(self, rows: list[tuple[int, float]]) -> bytes:
        return json.dumps([
            {"date": f"{datetime.fromtimestamp(ts, UTC):%Y-%m-%d}T00:00:00.000Z", "open": c, "high": c + 1, "low": c - 1,
             "close": c, "volume": 1000, "adjClose": c / 2}
            for ts, c in rows
        ]).encode()  # fmt: skip
