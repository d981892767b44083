"""Scores: chance is 0, and each is what its formula says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitboss.learning.scores import area_under_curve, calibration, confusion, positions_of, scores_of, worth_of


@given(st.integers(0, 2**16), st.integers(20, 200))
def test_the_area_is_the_share_of_pairs_that_stand_in_order(seed, count):
    dice = np.random.default_rng(seed)
    p, y = dice.integers(0, 20, count) / 20.0, dice.integers(0, 2, count).astype(float)
    ones, zeros = p[y > 0.5], p[y < 0.5]
    if not len(ones) or not len(zeros):
        assert area_under_curve(p, y) is None
        return
    pairs = (ones[:, None] > zeros[None, :]) + 0.5 * (ones[:, None] == zeros[None, :])
    assert area_under_curve(p, y) == pytest.approx(pairs.mean())


def test_chance_has_no_skill_and_knowledge_has_all():
    y = np.tile([0.0, 1.0, 1.0, 0.0], 500)
    assert scores_of(y, y, True)["skill"] == 1.0
    assert scores_of(1 - y, y, True)["skill"] == -1.0
    assert scores_of(np.full(len(y), 0.5), y, True)["skill"] == 0.0
    numbers = np.random.default_rng(1).normal(size=500)
    assert scores_of(numbers, numbers, False) | {} == {
        "rows": 500, "skill": pytest.approx(1.0), "correlation": pytest.approx(1.0), "rmse": 0.0, "mae": 0.0
    }  # fmt: skip


def test_rows_without_a_label_or_a_prediction_count_for_nothing():
    p, y = np.array([0.9, np.nan, 0.1, 0.5]), np.array([1.0, 1.0, 0.0, np.nan])
    assert scores_of(p, y, True)["rows"] == 2
    assert scores_of(np.full(3, np.nan), np.ones(3), True) == {"rows": 0, "skill": None}


def test_a_confusion_counts_every_row_once():
    p, y = np.array([0.9, 0.8, 0.2, 0.4, 0.5]), np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    assert confusion(p, y) == {"true_up": 2, "false_up": 1, "true_down": 1, "false_down": 1}


def test_calibration_is_what_came_of_what_was_predicted():
    p = np.repeat(np.linspace(0.05, 0.95, 10), 100)
    y = np.concatenate(
        [np.r_[np.ones(n), np.zeros(100 - n)] for n in np.round(100 * np.linspace(0.05, 0.95, 10)).astype(int)]
    )
    found = calibration(p, y)
    assert [each["rows"] for each in found] == [100] * 10
    assert [each["predicted"] for each in found] == pytest.approx([each["happened"] for each in found])


def test_equity_pays_for_each_change_of_a_position():
    close = np.array([100.0, 110.0, 99.0, 99.0])
    positions = positions_of(np.array([0.7, 0.3, np.nan, 0.5]), True)
    assert list(positions) == [1.0, -1.0, 0.0, 0.0]
    worth = worth_of(positions, close, 0.01)
    assert worth == pytest.approx(np.cumprod([1 + 0.1 - 0.01, 1 + 0.1 - 0.02, 1 - 0.01, 1.0]))
