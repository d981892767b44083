"""Indicators made of their own past."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pitboss.core.errors import InvalidInput
from pitboss.strategy.binding import bind
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.expression import parse
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import inspect_document, read_document
from support.bars import random_bars

TEXT = "name: t\ntimeframe: 1h\nindicators:\n  r: {indicator}\nentry: {{long: r > 0}}\n"


def values(indicator, bars):
    document = read_document(TEXT.format(indicator=indicator))
    compile_document(document)
    return Scope({"A": bars}, "A", document.timeframe).evaluate(bind(parse("r"), {}, document.indicators))


@pytest.mark.parametrize(
    ("indicator", "step"),
    [
        ("{start: close, next: 'r[1] + 0.25 * (close - r[1])'}", lambda r, b, i: r + 0.25 * (b.close[i] - r)),
        ('{start: low, next: "greater(r[1], low)"}', lambda r, b, i: max(r, b.low[i])),
        (
            '{start: low, next: "where(close < r[1] or not (open > r[1] and r[1] != 100), low, lesser(r[1], -r[1] / -1))"}',
            lambda r, b, i: b.low[i] if b.close[i] < r or not (b.open[i] > r and r != 100) else r,
        ),
        ('{start: low, next: "where(close[2] >= r[1], abs(r[1]) - 1 + 2, high)"}',
         lambda r, b, i: math.nan if i < 2 else b.low[2] if i == 2 else abs(r) + 1 if b.close[i - 2] >= r else b.high[i]),
    ],
)  # fmt: skip
def test_a_recursive_indicator_is_that_of_a_plain_loop(indicator, step):
    bars = random_bars(300, seed=4)
    expected = [math.nan if "close[2]" in indicator else bars.close[0] if "start: close" in indicator else bars.low[0]]
    for i in range(1, 300):
        expected.append(step(expected[-1], bars, i))
    assert values(indicator, bars) == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_it_starts_again_after_a_gap():
    bars = random_bars(60, seed=4)
    volume = np.ones(60)
    volume[[20, 21, 40]] = np.nan
    found = values("{start: volume, next: 'r[1] + volume'}", bars._replace(volume=volume))
    assert found[:20].tolist() == list(range(1, 21))
    assert np.isnan(found[20:22]).all()
    assert math.isnan(found[40])
    assert found[22:40].tolist() == list(range(1, 19))
    assert found[41:].tolist() == list(range(1, 20))


def test_what_grows_without_bound_is_an_error():
    with pytest.raises(InvalidInput, match="'r' grows without bound"):
        values("{start: close, next: 'r[1] * 2'}", random_bars(200, seed=4))


@pytest.mark.parametrize(
    ("indicator", "message"),
    [
        ("{start: close, next: r + 1}", "'r' knows its value a bar ago and no other"),
        ("{start: close, next: 'r[2] + 1'}", "'r' knows its value a bar ago and no other"),
        ("{start: close, next: 'ema(r[1], 3)'}", "ema cannot look at an indicator that is in the making"),
        ("{start: r, next: 'r[1]'}", "'r' is used before it is defined"),
        ("{start: close}", "has no 'next'"),
        ("{next: 'r[1]'}", "has no 'start'"),
        ("{start: close > 1, next: 'r[1]'}", "indicators.r.start is a condition"),
        ("{start: close, next: 'r[1] > 1'}", "indicators.r.next is a condition"),
    ],
)
def test_what_is_wrong_with_one_is_told_with_its_place(indicator, message):
    _, problems = inspect_document(TEXT.format(indicator=indicator))
    assert message in problems[0].message
    assert problems[0].line == 4
