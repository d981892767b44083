"""Whether a difference may be luck: the interval holds the truth as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from pitboss.backtesting.luck import DAY_MICROS, block_length, daily_closes, luck_of, returns_of


def test_two_runs_of_the_same_skill_differ_by_luck_in_nineteen_of_twenty():
    dice = np.random.default_rng(7)
    found = [luck_of(*dice.normal(0.0004, 0.01, (2, 500)), draws=400) for _ in range(100)]
    assert sum(luck is not None and luck.may_be_chance for luck in found) >= 90


def test_a_difference_that_is_there_is_found():
    dice = np.random.default_rng(7)
    first = dice.normal(0.0, 0.01, 1000)
    luck = luck_of(first, first + dice.normal(0.001, 0.003, 1000))
    assert luck is not None
    assert not luck.may_be_chance
    assert luck.mean_low < 0.001 * 252 < luck.mean_high
    assert luck.sharpe_low > 0


def test_paired_draws_see_what_unpaired_ones_would_not():
    dice = np.random.default_rng(3)
    market = dice.normal(0.0, 0.03, 750)
    luck = luck_of(market, market + 0.0003)
    assert luck is not None
    assert luck.mean_high - luck.mean_low < 1e-9, "both saw the same market: only the edge differs"


def test_blocks_are_as_long_as_a_series_remembers():
    dice = np.random.default_rng(1)
    noise = dice.normal(size=4000)
    walk = np.empty(4000)
    walk[0] = 0.0
    for at in range(1, 4000):
        walk[at] = 0.8 * walk[at - 1] + noise[at]
    assert block_length(noise) < 6
    # Politis & White (2004): for an AR(1) of 0.8 about (2 G² / D)^(1/3) n^(1/3), G = 2 Σ k R(k), D = 2 g(0)²
    rho, variance = 0.8, 1 / (1 - 0.64)
    lags = np.arange(1, 400)
    covariance = variance * rho**lags
    slope, spectrum = 2 * float(lags @ covariance), variance + 2 * float(covariance.sum())
    theory = (2 * slope**2 / (2 * spectrum**2)) ** (1 / 3) * 4000 ** (1 / 3)
    assert block_length(walk) == pytest.approx(theory, rel=0.35)


@pytest.mark.parametrize("seed", range(20))
def test_a_short_series_that_remembers_is_not_taken_for_noise(seed):
    dice = np.random.default_rng(seed)
    walk = np.empty(250)
    walk[0] = 0.0
    for at in range(1, 250):
        walk[at] = 0.8 * walk[at - 1] + dice.normal()
    assert 2 < block_length(walk) < 48
    assert 1 <= block_length(np.sin(np.arange(250) / 5) + 0.01 * walk) <= 48


def test_too_little_tells_nothing():
    assert luck_of(np.zeros(5), np.zeros(5)) is None
    assert luck_of(np.full(50, np.nan), np.zeros(50)) is None
    same = luck_of(np.zeros(50), np.zeros(50))
    assert same is not None
    assert same.may_be_chance


def test_days_end_with_their_last_bar():
    ts = np.array([0, 1, 2, 26, 27]) * DAY_MICROS // 24
    days, closes = daily_closes(ts, np.array([100.0, 110.0, 120.0, 60.0, 180.0]))
    assert (days.tolist(), closes.tolist()) == ([0, 1], [120.0, 180.0])
    assert returns_of(closes).tolist() == pytest.approx([0.5])
