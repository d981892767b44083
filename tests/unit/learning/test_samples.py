"""Labels and features: what became of the price, when that was known, and what cannot be learned from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.core.errors import InvalidInput
from pitboss.kernel.bars import BarArrays
from pitboss.kernel.labels import barriers, legs, uniqueness
from pitboss.learning.samples import NEVER, labels_of, samples_of
from support.learning import FIVE, SMALL, scopes_of, swinging, training_of


def bars_of(close, high=None, low=None):
    close = np.asarray(close, np.float64)
    high, low = (close if each is None else np.asarray(each, np.float64) for each in (high, low))
    return BarArrays(FIVE.micros * np.arange(len(close)), close, high, low, close, np.ones(len(close)))


def label(kind, bars):
    text = SMALL.replace("{type: direction, horizon: 3}", kind)
    return labels_of(training_of(text).label, scopes_of(bars)[0])


def test_a_barrier_is_told_by_what_is_reached_first():
    close = np.full(8, 100.0)
    high, low = close.copy(), close.copy()
    high[3], low[5] = 102.0, 98.0
    said, known = barriers(high, low, close, np.full(8, 1.5), np.full(8, 1.5), 4)
    assert list(said[:5]) == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert list(known[:5]) == [3, 3, 3, 5, 5]
    assert np.isnan(said[5:]).all()  # the bars end before it is decided
    both = barriers(np.full(8, 102.0), np.full(8, 98.0), close, np.full(8, 1.5), np.full(8, 1.5), 4)[0]
    assert list(both[:7]) == [0.0] * 7  # nobody knows which came first
    rising = np.linspace(100, 101, 8)
    slow, known = barriers(rising, rising, rising, np.full(8, 9.0), np.full(8, 9.0), 3)
    assert list(slow[:5]) == [1.0] * 5
    assert list(known[:5]) == [3, 4, 5, 6, 7]
    nothing = barriers(high, low, close, np.zeros(8), np.full(8, np.nan), 4)
    assert np.isnan(nothing[0]).all()


def test_a_leg_is_told_once_it_has_turned():
    close = np.array([100, 101, 103, 105, 104, 102, 100, 99, 100, 102, 104.0])
    said, known = legs(close, 0.02, 20)
    assert list(said[:7]) == [1, 1, 1, 0, 0, 0, 0]
    assert list(known[:7]) == [5, 5, 5, 9, 9, 9, 9]
    assert np.isnan(said[7:]).all()
    assert np.isnan(legs(close, 0.02, 2)[0][0])  # it was not known within two bars


def test_labels_of_every_type():
    close = 100 * 1.01 ** np.array([0, 1, 2, 1, 0, 1, 2.0])
    said, known = label("{type: return, horizon: 2}", bars_of(close))
    assert said[:5] == pytest.approx(close[2:] / close[:-2] - 1)
    assert list(known) == [2, 3, 4, 5, 6, -1, -1]
    said, known = label("{type: direction, horizon: 2, dead_zone: 0.5%}", bars_of(close))
    assert list(said[[0, 2, 4]]) == [1.0, 0.0, 1.0]
    assert np.isnan(said[[1, 3, 5, 6]]).all()  # a move within the dead zone, and none that is known
    said, _ = label('{type: expression, expression: "close[-2] > close"}', bars_of(close))
    assert list(said[:5]) == [1, 0, 0, 0, 1]
    assert np.isnan(said[5:]).all()
    said, known = label("{type: triple_barrier, horizon: 2, up: 0.9%, down: 0.9%}", bars_of(close))
    assert list(said[:6]) == [1, 1, 0, 0, 1, 1]
    assert known[0] == 1


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(30, 80))
def test_uniqueness_is_one_where_labels_do_not_overlap(reach, count):
    apart = np.arange(0, count - reach, reach)
    assert uniqueness(apart, apart + reach, count) == pytest.approx(1.0)
    dense = np.arange(count - reach)
    found = uniqueness(dense, dense + reach, count)
    assert (found > 0).all()
    assert found.max() <= 1.0
    if count > 3 * reach:
        assert found[reach : count - 2 * reach] == pytest.approx(1 / reach)


def test_samples_know_when_each_thing_is_known():
    bars = swinging(200)
    samples = samples_of(training_of(), scopes_of(bars, bars.slice(50, 200)))
    assert samples.x.shape == (350, 3)
    assert samples.symbols == ("S0", "S1")
    assert list(np.unique(samples.since)) == [0, 200]
    assert np.array_equal(samples.at[:200], bars.ts + FIVE.micros)
    assert np.array_equal(samples.known[:197], samples.at[3:200])
    assert (samples.known[197:200] == NEVER).all()
    assert np.array_equal(samples.labelled, samples.known < NEVER)


@settings(deadline=None)
@given(st.integers(0, 2**16), st.integers(110, 160))
def test_the_future_changes_no_feature(seed, cut):
    bars, training = swinging(200, seed=seed), training_of()
    whole = samples_of(training, scopes_of(bars)).x
    part = samples_of(training, scopes_of(bars.slice(0, cut))).x
    assert np.array_equal(whole[:cut], part, equal_nan=True)


@pytest.mark.parametrize(
    ("change", "bars", "said"),
    [
        (('"rsi(close, 14)"', '"close / (close - close)"'), swinging(300), "feature 'strength' is unknown on every bar"),
        (("horizon: 3", "horizon: 290"), swinging(300), "only 10 bars have a label"),
        (("{type: direction, horizon: 3}", "{type: expression, expression: 'close[-1] > 0'}"), swinging(300),
         "the label is 1 on every bar: there is nothing to learn"),
        (("horizon: 3", "horizon: 3, dead_zone: 90%"), swinging(300), "only 0 bars have a label"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_told(change, bars, said):
    with pytest.raises(InvalidInput) as error:
        samples_of(training_of(SMALL.replace(*change)), scopes_of(bars))
    assert said in str(error.value)
