"""The built-in screens equal a slow reading of their rules, day by day."""

from __future__ import annotations

import numpy as np
import pytest

from pitboss.core.timeframe import DAY_MICROS
from pitboss.kernel.bars import BarArrays
from pitboss.screening.builtin import builtin_screens
from pitboss.screening.evaluate import judge
from pitboss.screening.program import compile_screen
from pitboss.screening.reader import read_screen
from support.plainscreens import Days, bullish_breakout, leap_entry, rsi

COUNT = 420


def walk(seed: int, count: int = COUNT) -> BarArrays:
    """A stock that trends for a while now and then, so that every rule is met by some day."""
    dice = np.random.default_rng(seed)
    drift = np.repeat(dice.normal(0.0005, 0.004, count // 20 + 1), 20)[:count]
    jumps = np.where(dice.random(count) < 0.01, dice.uniform(0.03, 0.12, count), 0.0)
    close = 50 * np.exp(np.cumsum(jumps + drift + dice.normal(0, 0.012 * dice.uniform(0.3, 1.5, count))))
    high, low = (close * np.exp(sign * np.abs(dice.normal(0, 0.006, count))) for sign in (1, -1))
    volume = np.round(1e6 * np.exp(dice.normal(0, 0.4, count)))
    start = 15_000 * DAY_MICROS
    return BarArrays(start + np.arange(count) * DAY_MICROS, close, high, low, close, volume)


def days_of(bars: BarArrays) -> Days:
    return Days(bars.high.tolist(), bars.low.tolist(), bars.close.tolist(), bars.volume.tolist())


@pytest.mark.parametrize(("parameters", "named"), [
    ({}, {}),
    ({"strict": True, "min_score": 55, "breakout_days": 252}, {"is_strict": True, "min_score": 55, "breakout_days": 252}),
    ({"allow_overbought": True, "min_volume_multiple": 1.5}, {"allows_overbought": True, "min_volume_multiple": 1.5}),
    ({"faithful": True}, {"is_faithful": True}),
])  # fmt: skip
def test_bullish_breakout_is_what_its_rules_say(parameters, named):
    screen = compile_screen(read_screen(builtin_screens()["bullish-breakout"]), parameters)
    seen = set()
    for seed in range(4):
        bars = walk(seed)
        judged, days = judge(screen, {"A": bars}, "A"), days_of(bars)
        for at in range(190, COUNT):
            row, expected = judged.row(at), bullish_breakout(days.until(at + 1), **named)
            found = row | row["metrics"] | {"stop": row["metrics"].get("stop")}
            assert {name: found[name] for name in expected} == pytest.approx(expected), (seed, at)
            seen |= {row["class"], row["metrics"]["risk"], row["metrics"]["entry"]}
    assert {"Watch", "Wait", "insufficient", "High", "Medium", "Low", "early", "late"} <= seen


def test_leap_entry_is_what_its_rules_say():
    screen = compile_screen(read_screen(builtin_screens()["leap-entry"]))
    market, seen = walk(99), set()
    for seed in range(4):
        bars = walk(seed)
        judged, days = judge(screen, {"A": bars, "SPY": market}, "A"), days_of(bars)
        for at in range(215, COUNT):
            row = judged.row(at)
            expected = leap_entry(days.until(at + 1), market.close[: at + 1].tolist())
            found = row | {"stop": row["metrics"].get("stop")}
            assert {name: found[name] for name in expected} == pytest.approx(expected), (seed, at)
            seen |= {row["class"], *(reason.rpartition(" ")[0] for reason in row["reasons"])}
    criteria = {each.name for each in screen.document.criteria}
    assert {"watch", "reject", "insufficient", *criteria} <= seen


@pytest.mark.parametrize("name", builtin_screens())
def test_the_future_changes_nothing_of_the_past(name):
    screen = compile_screen(read_screen(builtin_screens()[name]))
    bars, market = walk(5), walk(99)
    whole = judge(screen, {"A": bars, "SPY": market}, "A")
    for count in (200, 221, 300, 419):
        part = judge(screen, {"A": bars.head(count), "SPY": market.head(count)}, "A")
        assert [part.row(at) for at in range(count)] == [whole.row(at) for at in range(count)]


def test_every_criterion_tells_where_it_comes_from():
    for text in builtin_screens().values():
        assert all(each.source for each in read_screen(text).criteria)


def test_the_original_takes_a_pure_rise_for_neither_strong_nor_weak():
    closes = [100 * 1.01**day for day in range(240)]
    bars = BarArrays(np.arange(240) * DAY_MICROS, *(np.array(closes),) * 4, np.full(240, 1e6))
    text = read_screen(builtin_screens()["bullish-breakout"])
    for is_faithful, strength in ((False, 100.0), (True, 50.0)):
        row = judge(compile_screen(text, {"faithful": is_faithful}), {"A": bars}, "A").row(239)
        assert row["metrics"]["rsi"] == rsi(closes, in_a_rise=strength)[-1] == strength
