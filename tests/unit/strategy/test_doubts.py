"""What is odd about a strategy on the bars at hand."""

from __future__ import annotations

import numpy as np
import pytest

from pitboss.strategy.doubts import conditions_of
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import read_document
from support.bars import random_bars

TEXT = "name: t\ntimeframe: 1h\nentry: {{long: '{condition}'}}\n"


def fared(condition, bars):
    document = read_document(TEXT.format(condition=condition))
    [found] = conditions_of(compile_document(document), Scope({"A": bars}, "A", document.timeframe))
    return found


@pytest.mark.parametrize(
    ("condition", "doubt"),
    [
        ("close > open", ""),
        ("close > 1e9", "entry.long never held on the bars of A"),
        ("close > 0 and high >= low", "entry.long held on every bar of A"),
        ("close > sma(close, 50)", ""),
        ("crosses_above(close, sma(close, 20))[2]", ""),
        ("close > sma(close, 500)", "entry.long is undefined on all bars of A: a value that it needs is missing"),
        ("volume > 3 or close > open", "entry.long is undefined, and so false, on 10.0 % of the bars of A"),
        ("(close > volume * 0)[1]", "entry.long is undefined, and so false, on 10.1 % of the bars of A"),
    ],
)
def test_what_is_odd_about_a_condition_is_said(condition, doubt):
    volume = np.arange(200.0)
    volume[5::10] = np.nan
    assert fared(condition, random_bars(200, seed=1)._replace(volume=volume)).doubt.startswith(doubt)
    assert bool(fared(condition, random_bars(200, seed=1)._replace(volume=volume)).doubt) is bool(doubt)


def test_the_warm_up_is_no_gap():
    found = fared("close > sma(close, 50)", random_bars(200, seed=1))
    assert (found.warm_up, found.undefined) == (49, 0)


def test_names_that_nothing_uses_are_told():
    text = """
name: t
timeframe: 1h
where: a < 9
indicators: {x: "ema(close, n)", y: "x + 1", spare: close}
entry: {long: y > m}
risk: {max_bars: bars}
sizing: {value: size}
parameters: {n: 3, m: 2, a: 1, size: 10%, bars: 5, idle: 7}
"""
    assert read_document(text).unused == ["idle", "spare"]
