"""Small data that tests make for themselves."""

from __future__ import annotations

import numpy as np

from pitboss.kernel.bars import BarArrays

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
