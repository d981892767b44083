"""What knowing who asks costs: each request, a listener's events, and a sign-in."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import httpx
import load
from table import Row

from faults import streams
from support.engine import Engine
from support.server import STRATEGY, ApiServer

PASSWORD = "correct horse battery"
CALLS, ROUNDS = 100, 10


def rows():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        with Engine(Path(folder) / "without") as without, Engine(Path(folder) / "with") as guarded:
            runs = {engine: [engine.submit("nothing").id for _ in range(50)] for engine in (without, guarded)}
            key = token_of(guarded)  # whose is what was there
            with ApiServer(without.settings.data_dir) as plain, ApiServer(guarded.settings.data_dir) as asking:
                known = {"Authorization": f"Bearer {key}"}
                clients = httpx.Client(base_url=address(plain)), httpx.Client(base_url=address(asking), headers=known)
                for what, calls in questions(runs[without], runs[guarded]).items():
                    before, after = medians(clients, calls)
                    yield Row(f"{what}: what accounts add at the median", max(0.0, after - before), "ms", 1, "limit")
                    yield Row(f"{what}, median", after, "ms", before, "without accounts")
                rate, p99 = load.loaded(asking.port, [f"/api/v1/runs/{run}" for run in runs[guarded]], key)
                yield Row(
                    "GET /runs/{id} with a token at 64 connections", rate, "/s", 2000, "limit", more_is_better=True
                )
                yield Row("the same, p99", p99, "ms", 50, "limit")
        told = {}
        for name in ("without", "with"):
            with Engine(Path(folder) / f"streams {name}") as engine:
                key = token_of(engine) if name == "with" else ""
                told[name] = streams.fan_out(engine, clients=200, runs=20, seconds=15, seed=1, key=key)
        yield Row("event to 200 listeners with accounts, p50", told["with"]["p50_ms"], "ms", told["without"]["p50_ms"],
                  "without accounts")  # fmt: skip
        yield Row("the same, p99", told["with"]["p99_ms"], "ms", told["without"]["p99_ms"], "without accounts")


def token_of(engine):
    engine.platform.accounts.begin("ann", PASSWORD)
    return engine.platform.accounts.create_token(engine.platform.accounts.local(), "bench", "admin", None)[1]


def address(server):
    return f"http://127.0.0.1:{server.port}/api/v1"


def questions(*runs):
    """Answer what is asked of each of two servers."""

    def looks(ids):
        return lambda http, number: http.get(f"/runs/{ids[number % len(ids)]}")

    return {
        "GET /runs/{id}": [looks(ids) for ids in runs],
        "GET /runs, 50 of them": [lambda http, _: http.get("/runs?limit=50")] * 2,
        "POST /strategies": [
            lambda http, number: http.post("/strategies", json={"text": f"{STRATEGY}# {number}\n"}) for _ in runs
        ],
    }


def medians(clients, calls):
    """Answer the medians in ms of two servers that are asked in turns."""
    taken = [], []
    for turn in range(ROUNDS):
        for http, call, own in zip(clients, calls, taken, strict=True):
            for number in range(CALLS):
                began = time.perf_counter()
                answer = call(http, turn * CALLS + number)
                own.append(1e3 * (time.perf_counter() - began))
                assert answer.status_code < 300, answer.text
    return [statistics.median(own) for own in taken]
