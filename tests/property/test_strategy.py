"""No look-ahead: signals bar by bar equal those over the whole series, and the future never changes the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.calendars.sessions import parse_session
from pitboss.core.timeframe import DAY_MICROS, parse_timeframe
from pitboss.kernel.bars import BarArrays, calendar_starts, resample
from pitboss.kernel.series import at_extreme
from pitboss.strategy import signals as computed
from pitboss.strategy.binding import bind
from pitboss.strategy.compute import apply as compute
from pitboss.strategy.evaluate import ArrayCache, Scope
from pitboss.strategy.expression import parse
from pitboss.strategy.functions import function_names, lookup
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import inspect_document, read_document, read_document_file
from pitboss.strategy.signals import Stepper
from pitboss.strategy.times import times_of
from pitboss.strategy.valuetype import ValueType
from support.bars import HOUR, random_bars

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "strategies").glob("*.yaml"))
H1 = parse_timeframe("1h")


def document(condition: str, indicators: str = "{}"):
    return read_document(f"name: t\ntimeframe: 1h\nindicators: {indicators}\nentry:\n  long: >-\n    {condition}\n")


def signals_of(program, bars, timeframe=H1, other=None):
    universe = {"A": bars} | ({"SPY": other} if other is not None else {})
    return computed.signals_of(program, Scope(universe, "A", timeframe, ArrayCache()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_gives_the_same_signals_bar_by_bar(path):
    own = read_document_file(path)
    program = compile_document(own)
    bars = random_bars(700, seed=3, step=own.timeframe.micros, missing=0.02)
    whole = signals_of(program, bars, own.timeframe)
    stepper = Stepper(program, "A", own.timeframe)
    stepper.push("A", bars.head(300))
    for i in range(300, len(bars.ts)):
        stepper.push("A", bars.slice(i, i + 1))
        assert stepper.signal() == whole[i], i


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trades_and_names_its_source(path):
    own = read_document_file(path)
    assert own.source
    signals = signals_of(compile_document(own), random_bars(3000, seed=5, step=own.timeframe.micros), own.timeframe)
    assert (signals & 3).any()


# bars over which a gap is looked: `close[252]` is that of 252 bars ago, the last complete hour is known for twelve
REACHES_BACK = {"moskowitz-momentum": 252, "elder-triple-screen": 12}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), gaps=st.lists(st.tuples(st.integers(5, 115), st.integers(1, 6)), max_size=3))
def test_an_example_over_gaps_gives_the_signals_of_each_stretch_alone(path, seed, gaps):
    own = read_document_file(path)
    program = compile_document(own)
    bars = random_bars(12 * 120, seed, step=own.timeframe.micros)
    is_gap = np.zeros(len(bars.ts), np.bool_)
    for first, count in gaps:  # of a dozen bars each: the longer bars that an example looks at are whole or not there
        is_gap[12 * first : 12 * (first + count)] = True
    bars = bars._replace(**{name: np.where(is_gap, np.nan, getattr(bars, name)) for name in BarArrays._fields[1:]})
    whole = signals_of(program, bars, own.timeframe)
    for first, last in np.flatnonzero(np.diff(~is_gap, prepend=False, append=False)).reshape(-1, 2):
        alone = signals_of(program, bars.slice(first, last), own.timeframe)
        reach = min(last - first, REACHES_BACK.get(path.stem, 0))
        assert whole[first + reach : last].tolist() == alone[reach:].tolist()


@st.composite
def series(draw, depth=0):
    leaf = st.sampled_from(["close", "open", "high", "low", "volume", "hour", "weekday"])
    if depth > 2 or draw(st.booleans()):
        return draw(leaf)
    inner = series(depth=depth + 1)
    kind = draw(st.sampled_from(["call", "offset", "sum", "ratio", "on", "other", "where"]))
    if kind == "call":
        name, length = (
            draw(st.sampled_from(["ema", "sma", "max", "min", "linearreg_slope", "rocp", "zscore"])),
            draw(st.integers(2, 9)),
        )
        return f"{name}({draw(inner)}, {length})"
    if kind == "offset":
        return f"({draw(inner)})[{draw(st.integers(0, 5))}]"
    if kind == "sum":
        return f"({draw(inner)} {draw(st.sampled_from('+-*'))} {draw(inner)})"
    if kind == "ratio":
        return f"({draw(inner)} / {draw(inner)})"
    if kind == "on":
        return f'on("4h", {draw(inner)})'
    if kind == "other":
        return f'symbol("SPY").{draw(st.sampled_from(["close", "high"]))}'
    return f"where({draw(conditions(depth=depth + 1))}, {draw(inner)}, {draw(inner)})"


@st.composite
def conditions(draw, depth=0):
    a, b = series(depth=depth + 1), series(depth=depth + 1)
    kind = draw(st.sampled_from(["compare", "cross", "and", "not", "rising", "on"]))
    if kind == "cross":
        return f"crosses_above({draw(a)}, {draw(b)})"
    if kind == "rising":
        return f"rising({draw(a)}, {draw(st.integers(1, 3))})"
    if depth < 2 and kind == "and":
        return f"({draw(conditions(depth=depth + 1))} {draw(st.sampled_from(['and', 'or']))} {draw(conditions(depth=depth + 1))})"
    if depth < 2 and kind == "not":
        return f"not ({draw(conditions(depth=depth + 1))})"
    if depth < 2 and kind == "on":
        return f'on("2h", {draw(conditions(depth=depth + 1))})'
    return f"{draw(a)} {draw(st.sampled_from(['<', '<=', '>', '>=', '==', '!=']))} {draw(b)}"


@settings(max_examples=250, deadline=None)
@given(conditions(), st.integers(0, 10_000))
def test_random_expressions_give_the_same_signals_bar_by_bar(condition, seed):
    own, problems = inspect_document(f"name: t\ntimeframe: 1h\nentry:\n  long: >-\n    {condition}\n")
    if problems:  # too large once written out, or a comparison of constants: reported, never computed
        return
    program = compile_document(own)
    bars, other = random_bars(60, seed, missing=0.1), random_bars(60, seed + 1, missing=0.2)
    bars.volume[with_gaps(len(bars.ts), seed)] = np.nan
    whole = signals_of(program, bars, other=other)
    for i in range(1, len(bars.ts)):
        known = int(np.searchsorted(other.ts, bars.ts[i - 1], "right"))
        past = signals_of(program, bars.head(i), other=other.head(known))
        assert past[-1] == whole[i - 1], (condition, i)


def with_gaps(count: int, seed: int) -> np.ndarray:
    """Answer where a series of stretches has none of its values: here and there one, and some in a row."""
    rng = np.random.default_rng(seed)
    gaps = rng.random(count) < 0.03
    for start in rng.integers(0, count, 2):
        gaps[start : start + int(rng.integers(1, 9))] = True
    return gaps


@pytest.mark.parametrize("name", [n for n in function_names() if (f := lookup(n)) and f.is_talib])
@pytest.mark.parametrize("seed", range(2))
def test_a_function_starts_again_after_a_gap(name, seed):
    """Each stretch between gaps is computed as if there were nothing else; in a gap there is no value."""
    function = lookup(name)
    bars = random_bars(240, seed=seed)
    prices = [getattr(bars, price).copy() for price in function.implicit] or [bars.close.copy(), bars.open.copy()][
        : len(function.inputs)
    ]
    if not prices:
        return
    gaps = with_gaps(240, seed)
    prices[seed % len(prices)][gaps] = np.nan
    constants = tuple(p.default if p.default is not None else 5.0 for p in function.parameters)
    found = compute(function, bars, lambda: bars.ts, tuple(prices), constants)
    exact = [int(c) if p.is_whole else c for p, c in zip(function.parameters, constants, strict=True)]
    edges = np.flatnonzero(np.diff(~gaps, prepend=False, append=False)).reshape(-1, 2)
    for first, last in edges:
        alone = getattr(talib, name.upper())(*(price[first:last] for price in prices), *exact)
        for line, own in zip(found, alone if isinstance(alone, tuple) else (alone,), strict=True):
            assert np.array_equal(line[first:last], own.astype(float), equal_nan=True)
    assert all(np.isnan(line[gaps]).all() for line in found)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 4), st.just(float("nan"))), max_size=40), st.integers(1, 9), st.booleans())
def test_the_place_of_an_extreme_is_the_earliest_of_equals(values, length, is_highest):
    series = np.array(values, np.float64)
    places = np.arange(len(series), dtype=np.float64)
    found = at_extreme(series, places, length, 1 if is_highest else -1)
    for i in range(len(series)):
        window = values[i - length + 1 : i + 1] if i + 1 >= length else []
        if not window or np.isnan(window).any():
            assert np.isnan(found[i])
        else:
            extreme = max(window) if is_highest else min(window)
            assert found[i] == i - length + 1 + window.index(extreme)


@pytest.mark.parametrize("name", [n for n in function_names() if n not in ("model", "on", "symbol")])
def test_no_function_looks_ahead(name):
    function = lookup(name)
    bars = random_bars(200, seed=11)
    constants = tuple(p.default if p.default is not None else 5.0 for p in function.parameters)

    def apply(count):
        part = bars.head(count)
        prices = iter((part.close, part.open, part.high))
        conditions = iter((part.close > part.open,))
        given = [
            getattr(part, price) if price in BarArrays._fields else np.full(count, 5.0) for price in function.implicit
        ] or [next(conditions) if kind is ValueType.CONDITION else next(prices) for kind in function.inputs]
        return compute(function, part, lambda: part.ts // DAY_MICROS * DAY_MICROS, tuple(given), constants)

    whole = apply(200)
    for count in (1, 2, 3, 50, 117, 118, 119, 199):
        for line, part in zip(whole, apply(count), strict=True):
            assert np.array_equal(line[:count].astype(float), part.astype(float), equal_nan=True), count


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 59))
def test_a_longer_timeframe_shows_completed_bars_only(seed, cut):
    bars = random_bars(60, seed, missing=0.15).head(cut)
    program = compile_document(document('on("4h", close) > 0 and on("4h", close) == close'))
    signals = signals_of(program, bars)
    hours = resample(bars, calendar_starts(bars.ts, 4 * HOUR, 0, 0))
    for i, now in enumerate(bars.ts + HOUR):
        done = hours.ts + 4 * HOUR <= now
        expected = bool(done.any() and hours.close[done][-1] == bars.close[i])
        assert bool(signals[i]) == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 400))
def test_a_month_shows_when_it_is_over(seed, cut):
    bars = random_bars(400, seed, step=24 * HOUR, missing=0.1).head(cut)
    own = read_document("name: t\ntimeframe: 1d\nentry: {long: \"on('1mo', close) == on('1mo', close)\"}\n")
    scope = Scope({"A": bars}, "A", own.timeframe)
    found = scope.evaluate(parse("on('1mo', close)"))
    days = [datetime.fromtimestamp(ts / 1e6, UTC) for ts in bars.ts]
    for i, day in enumerate(days):
        over = day + timedelta(days=1)  # the moment at which the bar is complete
        past = [k for k in range(i + 1) if (days[k].year, days[k].month) < (over.year, over.month)]
        assert (found[i] == bars.close[past[-1]]) if past else np.isnan(found[i])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_no_text_is_too_strange_for_the_parser(text):
    _, problems = inspect_document(f"name: t\nentry: {{long: {text!r}}}")
    assert all(problem.message and problem.line for problem in problems if problem.line)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abc()[]{}:,.'\"-+*/<>=!&|%#\n 0129", max_size=200))
def test_no_document_is_too_strange_for_the_reader(text):
    document, problems = inspect_document(text)
    assert problems or document is not None


SESSIONS = ("24x7", "17:00 America/New_York", "XNYS", "09:00 Asia/Tokyo", "XLON")
TIMELY = """
name: timely
timeframe: 30m
session: {session}
timezone: {zone}
indicators: {{day: "on('1d', close)", four: "on('4h', high)", week: "on('1w', open)", month: "on('1mo', low)"}}
entry:
  long: >-
    day > four or bars_into_session == 3 or (minutes_to_close < 60 and close > session_open)
    or (hour == 9 and minute >= 30) or close > anchored_vwap(1) or week > month
  windows: ["09:30-15:30"]
exit: {{long: "anchored_vwap(5) > symbol('B').close and weekday == 2", at: "15:55"}}
"""


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SESSIONS), st.sampled_from(SESSIONS), st.sampled_from(["UTC", "America/New_York"]),
       st.integers(0, 10_000), st.integers(1, 399))  # fmt: skip
def test_sessions_and_bars_off_the_grid_never_show_the_future(session, others, zone, seed, cut):
    rng = np.random.default_rng(seed)
    start = int(datetime(2024, 3, 4, tzinfo=UTC).timestamp() * 1e6) + int(rng.integers(0, 48)) * 1_800_000_000
    bars, other = random_bars(400, seed, missing=0.3), random_bars(400, seed + 1)
    offset = int(rng.choice([0, 15, 7])) * 60_000_000
    bars = bars._replace(ts=start + (bars.ts - bars.ts[0]) // 2)  # every half hour, with gaps
    other = other._replace(ts=start + offset + (other.ts - other.ts[0]) // 2)
    read = read_document(TIMELY.format(session=session, zone=zone))
    program, times = compile_document(read), times_of(read, {"B": parse_session(others)})

    def signals(moment):
        known = {name: own.head(int(np.searchsorted(own.ts, moment))) for name, own in (("A", bars), ("B", other))}
        return computed.signals_of(program, Scope(known, "A", read.timeframe, ArrayCache(), times))

    whole = signals(1 << 62)
    moment = int(bars.ts[min(cut, len(bars.ts) - 1)])
    assert signals(moment).tolist() == whole[: np.searchsorted(bars.ts, moment)].tolist()


def compositions():
    """Random expressions over a volume with gaps: functions of functions, and what is made of two of them."""
    length = st.integers(2, 6)
    return st.recursive(
        st.just("volume"),
        lambda inner: st.one_of(
            st.builds("{}({}, {})".format, st.sampled_from(["sma", "ema", "wma", "rsi", "stddev", "roc", "midpoint", "trix"]),
                      inner, length),
            st.builds("macd({}, 3, 6, 2).macdsignal".format, inner),
            st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
            st.builds("where({} > {}, {}, {})".format, inner, inner, inner, inner),
        ),
        max_leaves=6,
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(compositions(), st.integers(0, 10_000), st.integers(1, 4))
def test_an_expression_over_gaps_is_that_of_each_stretch_alone(expression, seed, gaps):
    rng = np.random.default_rng(seed)
    bars = random_bars(160, seed)
    volume = bars.volume.copy()
    for first in rng.integers(0, 160, gaps):
        volume[first : first + int(rng.integers(1, 12))] = np.nan
    bars = bars._replace(volume=volume)

    def values(part):
        return Scope({"A": part}, "A", H1).evaluate(bind(parse(expression), {}, {}))

    whole = values(bars)
    edges = np.flatnonzero(np.diff(~np.isnan(volume), prepend=False, append=False)).reshape(-1, 2)
    for first, last in edges:
        assert np.array_equal(whole[first:last], values(bars.slice(first, last)), equal_nan=True)
    assert np.isnan(whole[np.isnan(volume)]).all() or "where" in expression
