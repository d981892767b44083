"""The two built-in screens in plain Python, slowly and by the words of their rules: what the documents must equal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, pstdev

NAN = float("nan")


@dataclass
class Days:
    """The days of one symbol up to the date that is judged."""

    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]

    def until(self, count: int) -> Days:
        return Days(self.high[:count], self.low[:count], self.close[:count], self.volume[:count])


def mean_of_last(values, count, skip=0):
    end = len(values) - skip
    return fmean(values[end - count : end]) if end >= count else NAN


def ema(values, length):
    """Wilder's way of beginning: the mean of the first values; then each value's share is 2 / (length + 1)."""
    out = [NAN] * len(values)
    begun = next((i for i, value in enumerate(values) if not math.isnan(value)), len(values))
    if begun + length > len(values):
        return out
    out[begun + length - 1] = fmean(values[begun : begun + length])
    for i in range(begun + length, len(values)):
        out[i] = out[i - 1] + (values[i] - out[i - 1]) * 2 / (length + 1)
    return out


def rsi(closes, length=14, in_a_rise=100.0):
    out = [NAN] * len(closes)
    if len(closes) <= length:
        return out
    changes = [b - a for a, b in pairwise(closes)]
    up, down = (fmean(max(0.0, sign * change) for change in changes[:length]) for sign in (1, -1))
    for i in range(length, len(closes)):
        if i > length:
            up = (up * (length - 1) + max(0.0, changes[i - 1])) / length
            down = (down * (length - 1) + max(0.0, -changes[i - 1])) / length
        out[i] = in_a_rise if down == 0 and up > 0 else 0.0 if up + down == 0 else 100 * up / (up + down)
    return out


def true_ranges(days):
    return [NAN] + [
        max(days.high[i], days.close[i - 1]) - min(days.low[i], days.close[i - 1]) for i in range(1, len(days.close))
    ]


def atr(days, length=14):
    ranges = true_ranges(days)[1:]
    if len(ranges) < length:
        return NAN
    value = fmean(ranges[:length])
    for each in ranges[length:]:
        value = (value * (length - 1) + each) / length
    return value


def macd(closes):
    # the fast average begins with the slow one, so that both are there from the same day on
    slow = ema(closes, 26)
    fast = [NAN] * 14 + ema(closes[14:], 12)
    line = [a - b for a, b in zip(fast, slow, strict=True)]
    signal = ema(line, 9)
    return line, signal


def bullish_breakout(days, *, min_score=70, min_volume_multiple=1.0, breakout_days=126, is_strict=False,
                     allows_overbought=False, is_faithful=False):  # fmt: skip
    """Judge the last day."""
    close, volume = days.close, days.volume
    if len(close) < 200:
        return {"class": "insufficient", "passed": False}
    today, ma50 = close[-1], mean_of_last(close, 50)
    is_trend = all(today > mean_of_last(close, count) for count in (10, 50, 200))
    line, signal = macd(close)
    crossed = any(line[-1 - ago] > signal[-1 - ago] and line[-2 - ago] <= signal[-2 - ago] for ago in range(5))
    is_macd = crossed and line[-1] - signal[-1] > 0 and (line[-1] > 0 or not is_strict)
    strength = rsi(close, in_a_rise=50.0 if is_faithful else 100.0)[-1]
    is_strong = strength > 60 and (strength <= 80 or allows_overbought)
    mean_volume = mean_of_last(volume, 20)
    is_loud = volume[-1] >= min_volume_multiple * mean_volume
    level = max(close[-1 - breakout_days : -1]) if len(close) > breakout_days else NAN
    is_out = today > level
    base = 25 * is_trend + 20 * is_macd + 20 * is_strong + 20 * is_loud + 15 * is_out
    changes = [abs(b - a) for a, b in pairwise(close)]
    width = mean_of_last(changes, 14) if is_faithful else atr(days)
    move, span = changes[-1], max(close[-5:]) - min(close[-5:])
    is_exhausted = volume[-1] >= 4 * mean_volume and move < 0.15 * span
    before, earlier = pstdev(close[-11:-1]), pstdev(close[-21:-11])
    score = base + 5 * (today < 1.12 * ma50) + 5 * ((today - level) / width <= 2)
    score += 3 * (mean_of_last(volume, 2) >= 1.2 * mean_volume) + 2 * (not is_exhausted) + 5 * (before < 0.75 * earlier)
    above, multiple, reach = today / level - 1, volume[-1] / mean_volume, (today - level) / width
    is_high = strength > 75 or above > 0.05 or multiple > 2.5
    risk = "High" if is_high else "Medium" if strength > 70 or multiple > 1.8 else "Low"
    passed = base >= min_score
    stop = max(0.99 * level, today - 1.8 * width)
    entry = "early" if above <= 0.03 and reach <= 1.5 else "actionable" if above <= 0.08 and reach <= 3 else "late"
    return {
        "base": base, "score": score, "passed": passed, "risk": risk, "entry": entry,
        "class": "Buy" if base >= 85 and risk != "High" else "Watch" if passed else "Wait",
        "stop": stop if stop < today else None,
    }  # fmt: skip


def slope(values):
    """The slope of the line of least squares."""
    at = [i - (len(values) - 1) / 2 for i in range(len(values))]
    return sum(a * b for a, b in zip(at, values, strict=True)) / sum(a * a for a in at)


def place_of_lowest(values):
    return values.index(min(values))


def anchor_of(closes):
    """The latest day that closed above all of the 126 before it, when the day before had not; else 15 days ago."""
    out = [i >= 126 and closes[i] > max(closes[i - 126 : i]) for i in range(len(closes))]
    return next((i for i in range(len(closes) - 1, 126, -1) if out[i] and not out[i - 1]), len(closes) - 16)


def leap_entry(days, market, *, min_score=60):
    """Judge the last day; `market` are the closes of SPY on the same days."""
    close, volume = days.close, days.volume
    if len(close) < 220:
        return {"class": "insufficient", "passed": False}
    today, ma50, ma200 = close[-1], mean_of_last(close, 50), mean_of_last(close, 200)
    is_value = -0.05 <= today / ma50 - 1 <= 0.02
    is_near = is_value or -0.04 <= today / ma200 - 1 <= 0.04
    is_level = slope([mean_of_last(close, 200, skip) for skip in range(19, -1, -1)]) >= 0
    strength = rsi(close)
    is_turn = 45 <= strength[-1] <= 60 and any(value < 45 for value in strength[-6:-1])
    last = range(len(close) - 10, len(close))
    days_up = sum(close[i] > close[i - 1] and volume[i] > volume[i - 1] for i in last)
    volume_up = sum(volume[i] for i in last if close[i] > close[i - 1])
    volume_not_up = sum(volume[i] for i in last if close[i] <= close[i - 1])
    returns = [b / a - 1 for a, b in pairwise(close)]
    ratio = [a / b for a, b in zip(close, market, strict=True)]
    recent, before = close[-10:], close[-35:-10]
    is_diverging = (
        min(recent) < min(before)
        and strength[-10:][place_of_lowest(recent)] > strength[-35:-10][place_of_lowest(before)]
    )
    width = mean_of_last(true_ranges(days), 14)
    base = 15 * is_level + 12 * is_near + 8 * (abs(ma50 / ma200 - 1) <= 0.03) + 15 * is_turn
    base += 10 * (days_up >= 2 and volume_not_up <= 1.3 * volume_up) + 10 * (
        pstdev(returns[-20:]) < pstdev(returns[-40:-20])
    )
    base += 10 * (ema(ratio, 10)[-1] > ema(ratio, 20)[-1]) + 5 * is_diverging + 8 * (width / today <= 0.06)
    base += 7 * (is_value and is_turn)
    anchor = anchor_of(close)
    typical = [(high + low + end) / 3 for high, low, end in zip(days.high, days.low, close, strict=True)]
    vwap = sum(a * b for a, b in zip(typical[anchor:], volume[anchor:], strict=True)) / sum(volume[anchor:])
    away = today / vwap - 1
    base += 0 if away < 0 else 5 if away <= 0.05 else 2 if away <= 0.08 else 0 if away <= 0.15 else -5
    score = min(100, max(0, base))
    lowest = min(close[-8:])
    stop = max(today - 1.8 * width, 0.995 * lowest)
    if width / today > 0.06 or stop >= today:
        stop = 0.98 * lowest
    kind = "prime" if score >= min_score + 15 else "watch" if score >= min_score else "reject"
    return {"score": score, "passed": score >= min_score, "class": kind, "stop": stop}
