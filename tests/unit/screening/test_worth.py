"""Whether a screen works: forward returns as they are earned, and intervals that are wide enough."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pitboss.core.timeframe import DAY_MICROS
from pitboss.kernel.bars import BarArrays
from pitboss.screening.worth import forward_names, forward_returns, interval_of, student, worth_of
from support.bars import random_bars

HORIZONS = (1, 5, 20)
DATES, TICKERS = 300, 30


def universe(seed, edge=0.0):
    """A universe of random walks of which a coin passes some; `edge` is what those earn more, each of five days."""
    dice = np.random.default_rng(seed)
    frames = []
    for _ in range(TICKERS):
        passed = dice.random(DATES + 60) < 0.2
        steps = dice.normal(0, 0.02, DATES + 60)
        for lag in range(1, 6):
            steps[lag:] += edge * passed[:-lag]
        close = 100 * np.exp(np.cumsum(steps))
        first = np.concatenate(([100.0], close[:-1]))
        bars = BarArrays(np.arange(DATES + 60) * DAY_MICROS, first, close * 1.1, close * 0.9, close, close)
        at = np.arange(DATES)
        found = forward_returns(bars, at, HORIZONS, 0.0005)
        columns = {"date": bars.ts[at], "passed": passed[at], "score": np.where(passed[at], 80.0, 40.0)}
        frames.append(pl.DataFrame(columns | {name: found[:, k] for k, name in enumerate(forward_names(HORIZONS))}))
    return pl.concat(frames)


def compared(frame, **options):
    found = worth_of(frame, HORIZONS, **options).filter(pl.col("group") == "passed less universe")
    return {line["horizon"]: line for line in found.to_dicts()}


def test_what_is_earned_begins_at_the_next_open_and_pays_both_ways():
    bars = random_bars(30, seed=1)
    found = forward_returns(bars, np.array([0, 10, 25]), (1, 5), 0.01)
    assert found[1, 0] == pytest.approx(bars.close[11] * 0.99 / (bars.open[11] * 1.01) - 1)
    assert found[1, 1] == pytest.approx(bars.close[15] * 0.99 / (bars.open[11] * 1.01) - 1)
    assert np.isnan(found[2, 1]), "the bars end before"


def test_luck_is_taken_for_luck():
    """Of a hundred universes of random walks the interval holds zero in 93 at least, at every horizon."""
    held = dict.fromkeys(HORIZONS, 0)
    for seed in range(100):
        for horizon, line in compared(universe(seed)).items():
            held[horizon] += line["low"] <= 0 <= line["high"]
    assert all(count >= 93 for count in held.values()), held


def test_an_edge_is_found_and_is_harder_to_find_among_many_that_were_tried():
    frame = universe(1, edge=0.002)
    for horizon, line in compared(frame).items():
        assert line["low"] > 0, (horizon, line)
    alone, among = compared(frame)[5], compared(frame, tried=100)[5]
    assert among["high"] - among["low"] > alone["high"] - alone["low"]
    assert among["mean"] == alone["mean"] == pytest.approx(4 * 0.002 * 0.8, abs=0.004)


def test_scores_are_compared_bucket_by_bucket_and_a_short_time_tells_nothing():
    frame = universe(1, edge=0.004)
    found = {line["group"]: line["mean"] for line in worth_of(frame, (5,)).to_dicts()}
    assert found["score 80 to 90, less universe"] > 0 > found["score 40 to 50, less universe"]
    few = worth_of(frame.filter(pl.col("date") < 40 * DAY_MICROS), (20,)).filter(pl.col("group") == "universe")
    assert few["low"][0] is None
    assert interval_of(np.zeros(100), 1) == (None, None)


@pytest.mark.parametrize(("probability", "degrees", "expected"), [
    (0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 3, 3.1824), (0.975, 10, 2.2281), (0.9975, 10, 3.5814),
    (0.975, 100, 1.9840), (0.95, 5, 2.0150), (0.025, 10, -2.2281),
])  # fmt: skip
def test_students_quantiles_are_those_of_the_tables(probability, degrees, expected):
    assert student(probability, degrees) == pytest.approx(expected, abs=2e-4)
