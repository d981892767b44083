"""What expressions compute, on bars small enough to reckon by hand."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.strategy.binding import bind
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.expression import Number, parse
from support.bars import HOUR, START, random_bars

CLOSE = np.array([1.0, 2.0, 4.0, 3.0, 5.0, 6.0, 2.0, 2.0])
H1 = parse_timeframe("1h")


def bars(close=CLOSE):
    ts = START + np.arange(len(close), dtype=np.int64) * HOUR
    return BarArrays(ts, close - 0.5, close + 1, close - 1, close, np.full(len(close), 10.0))


def compute(text, own=None, **parameters):
    values = {name: Number(0, value) for name, value in parameters.items()}
    return Scope({"A": own or bars(), "B": bars(CLOSE * 10)}, "A", H1).evaluate(bind(parse(text), values, {})).tolist()


nan = float("nan")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("close[1]", [nan, 1, 2, 4, 3, 5, 6, 2]),
        ("close[n]", [nan, nan, 1, 2, 4, 3, 5, 6]),
        ("-close + 2 * close", CLOSE.tolist()),
        ("close / (close - 2)", [-1, nan, 2, 3, 5 / 3, 1.5, nan, nan]),
        ("change(close)", [nan, 1, 2, -1, 2, 1, -4, 0]),
        ("greater(close, 3)", [3, 3, 4, 3, 5, 6, 3, 3]),
        ("where(close > 3, 1, 0)", [0, 0, 1, 0, 1, 1, 0, 0]),
        ("bars_since(close > 3)", [nan, nan, 0, 1, 0, 0, 1, 2]),
        ("sum_since(close > 3, close)", [nan, nan, 4, 7, 5, 6, 8, 10]),
        ("at_highest(close, weekday + hour, 3)", [nan, nan, 4, 4, 6, 7, 7, 7]),
        ("at_lowest(close, hour, 3)", [nan, nan, 0, 1, 3, 3, 6, 6]),
        ("max(close, 3)", [nan, nan, 4, 4, 5, 6, 6, 6]),
        ("hour", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("weekday", [2] * 8),
        ('symbol("B").close', (CLOSE * 10).tolist()),
        ('on("4h", close)', [nan, nan, nan, 3, 3, 3, 3, 2]),
        ('on("2h", high)[1]', [nan, nan, 3, 3, 5, 5, 7, 7]),
        ("sma(close, 2)", [nan, 1.5, 3, 3.5, 4, 5.5, 4, 2]),
    ],
)
def test_series(text, expected):
    assert compute(text, n=2) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("close > 2 and close < 5", "00110000"),
        ("close <= 2 or close == 6", "11000111"),
        ("crosses_above(close, 3)", "00101000"),
        ("crosses_below(close, 3)", "00000010"),
        ("crosses(close, 3)", "00101010"),
        ("rising(close, 2)", "00100100"),
        ("falling(close, 1)", "00010010"),
        ("(close > 3)[1]", "00010110"),
        ("close[3] != 1", "00001111"),
        ('on("2h", close > open)', "01100111"),
    ],
)
def test_conditions(text, expected):
    assert "".join(str(int(value)) for value in compute(text)) == expected


@pytest.mark.parametrize("condition", ["close[3] > 2", "close[3] == 2", "close[3] != 2", "close / 0.0 > 1"])
def test_a_comparison_with_nan_is_false_either_way(condition):
    own = bars(np.array([1.0, 2.0, 3.0]))
    assert not any(compute(condition, own))
    assert not any(compute(f"not ({condition})", own))
    assert not any(compute(f"not (not ({condition}) or {condition})", own))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("atr(14)", lambda b: talib.ATR(b.high, b.low, b.close, 14)),
        ("atr(high, low, close, 7)", lambda b: talib.ATR(b.high, b.low, b.close, 7)),
        ("ema(close, 9)", lambda b: talib.EMA(b.close, 9)),
        ("ema(close, timeperiod=9)", lambda b: talib.EMA(b.close, 9)),
        ("obv(close, volume)", lambda b: talib.OBV(b.close, b.volume)),
        ("bbands(close, 20, 2, 2).lowerband", lambda b: talib.BBANDS(b.close, 20, 2, 2)[2]),
        ("macd(close).macdhist", lambda b: talib.MACD(b.close)[2]),
        ("stoch(5, 3, 0, 3, 0).slowd", lambda b: talib.STOCH(b.high, b.low, b.close, 5, 3, 0, 3, 0)[1]),
        ("cdlengulfing()", lambda b: talib.CDLENGULFING(b.open, b.high, b.low, b.close).astype(float)),
        (
            "volatility_ratio(5, 20)",
            lambda b: talib.ATR(b.high, b.low, b.close, 5) / talib.ATR(b.high, b.low, b.close, 20),
        ),
    ],
)
def test_indicators_are_those_of_talib(text, expected):
    own = random_bars(120, seed=1)
    assert compute(text, own) == pytest.approx(expected(own).tolist(), nan_ok=True)


def test_the_anchored_average_starts_anew_each_day():
    own = bars(np.array([2.0, 4.0]))
    later = own._replace(ts=own.ts + np.array([0, 86_400_000_000 - HOUR]))
    assert compute("anchored_vwap(1)", own) == pytest.approx([2.0, 3.0])
    assert compute("anchored_vwap(1)", later) == pytest.approx([2.0, 4.0])


def test_zscore_is_none_on_a_flat_stretch():
    assert compute("zscore(close, 2)") == pytest.approx([nan, 1, 1, -1, 1, 1, -1, nan], nan_ok=True)
