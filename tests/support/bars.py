"""Small data that tests make for themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import DAY_MICROS, parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.market.frames import to_frame
from pitboss.market.store import BarStore, Nature

HOUR = 3_600_000_000
START = 1_577_836_800_000_000  # 2020-01-01


def random_bars(count: int, seed: int, step: int = HOUR, volatility: float = 0.01, missing: float = 0.0) -> BarArrays:
    """Answer a random walk of `count` bars; `missing` is the fraction of them left out."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(volatility * rng.standard_normal(count)))
    first = np.concatenate(([100.0], close[:-1])) * np.exp(volatility / 4 * rng.standard_normal(count))
    high = np.maximum(first, close) * np.exp(np.abs(volatility / 2 * rng.standard_normal(count)))
    low = np.minimum(first, close) * np.exp(-np.abs(volatility / 2 * rng.standard_normal(count)))
    ts = START + np.arange(count, dtype=np.int64) * step
    bars = BarArrays(ts, first, high, low, close, rng.integers(1, 1000, count).astype(float))
    kept = rng.random(count) >= missing
    kept[0] = True
    return BarArrays(*(column[kept] for column in bars))


def store_days(folder: Path, tickers: Iterable[str], count: int) -> BarStore:
    """Store `count` daily bars of each ticker, each another random walk."""
    store = BarStore(LocalFiles(folder))
    for seed, ticker in enumerate(tickers):
        bars = to_frame(random_bars(count, seed, step=DAY_MICROS))
        store.store(bars, ticker, parse_timeframe("1d"), Nature("made"))
    return store
