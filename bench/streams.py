"""Event streams: a thousand clients over two servers, five events a second for each of fifty runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from table import Row

from faults import streams
from support.engine import Engine


def rows():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Engine(Path(folder)) as engine:
        told = streams.fan_out(engine, clients=1000, runs=50, seconds=30, seed=1)
        storm = streams.storm(engine, clients=1000, runs=50, events=1000, seed=1)
        stalled = streams.stalled(engine, readers=50, events=20_000)
    yield Row("event to 1,000 clients, p99", told["p99_ms"], "ms", 150, "limit")
    yield Row("the same, p50", told["p50_ms"], "ms", 150, "limit")
    yield Row("1,000 reconnect at once: the last is answered after", storm["slowest_seconds"], "s", 5, "limit")
    yield Row("the same: memory", storm["memory_mb_more"], "MB more", 150, "limit")
    yield Row("50 readers that stop reading: memory", stalled["memory_mb_more"], "MB more", 150, "limit")
    yield Row("growth of the servers' memory meanwhile", max(0.0, told["memory_growth"]), "", 0.05, "limit")
