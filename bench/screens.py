"""Screens: hundreds and thousands of tickers of daily bars, as runs of a worker."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from table import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pitboss.core.timeframe import parse_timeframe
from pitboss.market.store import Nature
from pitboss.market.synth import synthesize
from support.engine import Engine

TICKERS, MANY, DAYS = 500, 5000, 1820  # five years of business days, as of the stocks of an index
DAY = parse_timeframe("1d")


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        store = engine.platform.bars
        for number in range(TICKERS):
            frame = synthesize(DAY, datetime(2013, 1, 1, tzinfo=UTC), DAYS, seed=number)
            names = [f"T{number:03}", *(f"T{number:03}.{copy}" for copy in range(1, MANY // TICKERS))]
            for name in names:
                store.store(frame, name, DAY, Nature("synthetic", is_synthetic=True))
        engine.start_worker()
        few = [f"T{number:03}" for number in range(TICKERS)]
        _screened(engine, few)  # the first one loads what the next ones find loaded
        seconds, first = min(_screened(engine, few) for _ in range(3))
        yield Row("bullish-breakout, 500 tickers of five years, first line to last row", seconds, "s", 1.0, "limit")
        yield Row("the same, first line to the first row", first, "s", 0.1, "limit")
        seconds, _ = _screened(engine, None)
        yield Row("bullish-breakout, 5,000 tickers of five years", seconds, "s", 8.0, "limit")


def _screened(engine: Engine, tickers: list[str] | None) -> tuple[float, float]:
    """Answer the seconds from the first line of a screen to its last row, and to its first."""
    universe = {"tickers": tickers} if tickers else {"universe_source": "catalog"}
    run = engine.submit("screen", {"screen": "bullish-breakout", **universe})
    ended = engine.wait(run, seconds=120)
    assert ended.state == "completed", ended.error
    events = engine.events(run)
    started = next(event.ts for event in events if event.type == "started")
    moments = [event.ts for event in events if event.type == "item_completed"]
    return moments[-1] - started, moments[0] - started
