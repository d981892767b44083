"""Sessions in tests: a trading day of bars that are made up, traders, and what their runs leave behind."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pitboss.core.principal import LOCAL
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.store import Nature
from pitboss.runs.model import Run
from pitboss.sessions.clock import minutes_of
from pitboss.trading.model import Trader
from support.engine import Engine

DAY = "2024-01-03"  # of 390 minutes
STEPS = 26  # of a quarter of an hour

RULES = """
name: crossing
timeframe: 1m
indicators: {fast: "ema(close, 5)", slow: "ema(close, 15)"}
entry: {long: "crosses_above(fast, slow)", short: "crosses_below(fast, slow)"}
exit: {long: "crosses_below(fast, slow)", short: "crosses_above(fast, slow)"}
risk: {stop_loss: 0.4%, take_profit: 0.6%}
sizing: {type: percent_equity, value: 50%}
costs: {commission: 0.02%, slippage: 0.01%, borrow: 3%}
"""


def walk(moments: list[int], seed: int) -> pl.DataFrame:
    """Answer bars at these moments, microseconds, that walk at random."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.001, len(moments))))
    first = np.concatenate(([100.0], close[:-1]))
    spread = 1 + np.abs(np.random.default_rng(seed + 1).normal(0, 0.0004, len(moments)))
    return pl.DataFrame(
        {
            "ts": pl.Series(moments, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")), "open": first,
            "high": np.maximum(first, close) * spread, "low": np.minimum(first, close) / spread, "close": close,
            "volume": np.full(len(moments), 1000.0),
        }
    )  # fmt: skip


class Bench:
    """An engine with a day of minutes of SYN and OTH, and half a year of days of SYN."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.platform = engine.platform
        store = self.platform.bars
        minutes = [tick.at for tick in minutes_of("XNYS", DAY)]
        for number, symbol in enumerate(("SYN", "OTH")):
            store.store(walk(minutes, 7 + number), symbol, parse_timeframe("1m"), Nature("made up", session="XNYS"))
        begin = datetime(2024, 1, 1, tzinfo=UTC)
        days = [begin + timedelta(days=day) for day in range(180)]
        dates = [round(day.timestamp() * 1e6) for day in days if date.weekday(day) < 5]
        store.store(walk(dates, 3), "DLY", parse_timeframe("1d"), Nature("made up", session="XNYS"))

    def trader(self, name: str, agent: dict[str, Any], **fields: Any) -> Trader:
        return self.platform.trading.create(LOCAL, name, 10_000, agent, **fields)

    def model(self, name: str, url: str, **fields: Any) -> Trader:
        """Make a trader that asks a model at an address."""
        return self.trader(name, {"type": "llm", "model": "local", "endpoint": url, **fields})

    def start(self, trader: Trader, **params: Any) -> Run:
        asked = {"trader": trader.id, "symbols": ["SYN"], "date": DAY, **params}
        return self.engine.submit("session", asked)

    def done(self, trader: Trader, seconds: float = 60.0, **params: Any) -> Run:
        """Start a session and answer it once it has ended."""
        return self.engine.wait(self.start(trader, **params), seconds=seconds)

    def path(self, run: Run, name: str) -> Path:
        path = self.platform.files.fetch(f"artifacts/{run.id}/{name}")
        assert path is not None
        return path

    def table(self, run: Run, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.path(run, f"{name}.parquet"))

    def steps(self, run: Run) -> list[Any]:
        from pitboss.storage.trading import SqlTrading

        return SqlTrading(self.platform.database).steps(run.id)
