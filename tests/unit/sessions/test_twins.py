"""Days that never were: alike in how they move, and in nothing that could be remembered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.core.timeframe import DAY_MICROS
from pitboss.market.frames import to_arrays
from pitboss.sessions.clock import minutes_of
from pitboss.sessions.twins import difference, share_difference, twin_of
from support.sessions import DAY, walk

TICKS = minutes_of("XNYS", DAY)
BARS = {symbol: to_arrays(walk([tick.at for tick in TICKS], seed)) for symbol, seed in (("SYN", 7), ("OTH", 8))}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1 << 40))
def test_a_twin_moves_alike_under_other_names_on_other_dates_at_another_price(seed):
    twin = twin_of(TICKS, BARS, seed)
    assert not set(twin.bars) & set(BARS)
    moved = twin.ticks[0].at - TICKS[0].at
    assert moved % (7 * DAY_MICROS) == 0
    assert [tick.at - moved for tick in twin.ticks] == [tick.at for tick in TICKS]
    for symbol, name in twin.names.items():
        real, made = BARS[symbol], twin.bars[name]
        assert (made.ts == real.ts + moved).all()
        assert (made.low > 0).all()
        assert (made.high >= np.maximum(made.open, made.close) * (1 - 1e-12)).all()
        moves = {round(float(move), 9) for move in np.diff(np.log(real.close), prepend=np.log(real.open[0]))}
        assert all(round(float(move), 9) in moves for move in np.diff(np.log(made.close)))
    again = twin_of(TICKS, BARS, seed)
    assert all((again.bars[name].close == bars.close).all() for name, bars in twin.bars.items())


def test_symbols_move_together_as_they_did():
    twin = twin_of(TICKS, {"A": BARS["SYN"], "B": BARS["SYN"]}, 3)
    one, other = (np.diff(np.log(twin.bars[twin.names[symbol]].close)) for symbol in "AB")
    assert np.allclose(one, other)


def test_differences_have_intervals():
    found, low, high = difference([0.03, 0.05], [0.01, 0.0, -0.01, 0.02])
    assert found == pytest.approx(0.035)
    half = 1.96 * np.sqrt(np.var([0.03, 0.05], ddof=1) / 2 + np.var([0.01, 0, -0.01, 0.02], ddof=1) / 4)
    assert (low, high) == (pytest.approx(0.035 - half), pytest.approx(0.035 + half))
    # 56 of 70 against 48 of 80: Newcombe, 1998, table II, example (a), method 10
    assert share_difference(56, 70, 48, 80) == (
        pytest.approx(0.2),
        pytest.approx(0.0524, abs=1e-4),
        pytest.approx(0.3339, abs=1e-4),
    )
