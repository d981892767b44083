"""Training beside the library it learns by: boosting in one process with the same data, features, and one row."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lightgbm as lgb
import numpy as np
from table import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pitboss.learning.samples import features_of, samples_of
from support.learning import Onlooker, learner, part, scopes_of, swinging, training_of

ROWS, FEATURES, ROUNDS, TURNS = 150_000, 40, 500, 3
NAMES = {
    "rsi": "rsi(close, {n})", "zscore": "zscore(close, {n})", "slope": "linearreg_slope(close, {n}) / close",
    "range": "(max(high, {n}) - min(low, {n})) / close", "change": "close / close[{n}] - 1", "atr": "atr({n}) / close",
    "low": "triangle(rsi(close, {n}), 0, 20, 40)", "mean": "close / sma(close, {n}) - 1",
}  # fmt: skip
TEXT = """
name: bench
timeframe: 5m
train:
  features: {{{features}}}
  label: {{type: direction, horizon: 12}}
  model: {{type: lightgbm, rounds: {rounds}, early_stopping: 0}}
  validation: {{type: walk_forward, folds: 2}}
  seed: 7
"""


def rows() -> Iterator[Row]:
    """Yield the figures."""
    lengths = (5, 10, 20, 40, 80)
    features = ", ".join(f'{name}{n}: "{text.format(n=n)}"' for name, text in NAMES.items() for n in lengths)
    training = training_of(TEXT.format(features=features, rounds=ROUNDS))
    assert len(training.features) == FEATURES
    bars = swinging(ROWS)
    begun = time.perf_counter()
    features_of(training.features, scopes_of(bars)[0])
    yield Row(f"features, {ROWS:,} rows × {FEATURES}", time.perf_counter() - begun, "s", 1.5, "limit")
    samples = samples_of(training, scopes_of(bars))
    labelled = np.flatnonzero(samples.labelled)
    own, plain = [], []
    for _ in range(TURNS):  # in turns, since the machine is not always as fast
        made = learner(samples, training.model)
        begun = time.perf_counter()
        fitted = made.fit(part(samples, labelled), None, Onlooker(pause=2.0))  # as a run saves it
        own.append(time.perf_counter() - begun)
        x, y = samples.x[labelled], samples.y[labelled]
        begun = time.perf_counter()
        lgb.train(made.params(), lgb.Dataset(x, y), num_boost_round=ROUNDS)
        plain.append(time.perf_counter() - begun)
    yield Row(f"{ROUNDS} rounds on {ROWS:,} rows × {FEATURES}", min(own), "s", min(plain), "LightGBM alone")
    one, taken = samples.x[-1:], []
    since = np.zeros(1, np.int64)
    for _ in range(500):
        begun = time.perf_counter()
        fitted.predict(one, since)
        taken.append(time.perf_counter() - begun)
    taken.sort()
    yield Row(f"one row by {ROUNDS} rounds, p99", 1e3 * taken[int(0.99 * len(taken))], "ms", 1.0, "limit")
