"""A backtest over a universe that a screen chooses equals one whose universe was written out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pitboss.core.errors import InvalidInput
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import DAY_MICROS, parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kinds.backtest import KIND
from pitboss.kinds.backtest.job import run
from pitboss.kinds.documents.screens import screens_of
from pitboss.market.actions import as_known
from pitboss.market.frames import to_frame
from pitboss.market.store import BarStore, Nature
from pitboss.runs.context import memory_context
from pitboss.screening.evaluate import judge
from pitboss.screening.program import compile_screen
from pitboss.screening.reader import read_screen
from pitboss.screening.selection import joined
from support.bars import START, random_bars

STRATEGY = """\
name: dips
timeframe: 1d
entry: {long: "close < close[1]"}
exit: {long: "close > close[1]"}
sizing: {type: percent_equity, value: 20%}
"""
SCREEN = """\
name: rising
least_bars: 20
criteria:
  - {name: above, when: "close > sma(close, 20)", points: 60}
  - {name: strong, points: "100 * (close / close[20] - 1)", least: 0, most: 40}
pass_mark: 60
"""
SYMBOLS = [f"S{at}" for at in range(8)]
DAYS, TOP = 250, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    store = BarStore(LocalFiles(folder))
    for seed, symbol in enumerate(SYMBOLS):
        bars = random_bars(DAYS, seed, step=DAY_MICROS, volatility=0.02, missing=0.05 if seed == 3 else 0.0)
        store.store(to_frame(bars), symbol, parse_timeframe("1d"), Nature("made"))
    return folder


def backtested(folder, **params):
    """Answer the trades of a backtest."""
    params = {"strategy": STRATEGY, "symbols": SYMBOLS, **params}
    sources = SimpleNamespace(
        models=None, bars=BarStore(LocalFiles(folder)), strategies=SimpleNamespace(text_of=lambda name: name, names=list),
        earlier=lambda _subject: [], feeds={}, seen={}, screens=screens_of(LocalFiles(folder), {}),
    )  # fmt: skip
    prepared = KIND.ready(params, sources)
    pinned = KIND.pinned(params, prepared.snapshot)
    assert KIND.ready(pinned, sources).identity == prepared.identity
    context, _ = memory_context(params, folder, snapshot=prepared.snapshot, resources=KIND.resources)
    run(KIND.params(**params), context)
    return pl.read_parquet(folder / "artifacts" / "run-in-memory" / "trades.parquet")


def written_by_hand(folder):
    """Choose the members week by week in plain Python: at the first day of each week, by that day's close."""
    closes = {}
    for symbol in SYMBOLS:
        bars = BarStore(LocalFiles(folder)).load(symbol, parse_timeframe("1d"))
        closes[symbol] = dict(
            zip(((int(ts) - START) // DAY_MICROS for ts in bars.ts), bars.close.tolist(), strict=True)
        )
    members, first_day = {symbol: [] for symbol in SYMBOLS}, datetime.fromtimestamp(START / 1e6, UTC)
    weeks = [day for day in range(DAYS) if day == 0 or (first_day + timedelta(days=day)).weekday() == 0]
    for start, end in zip(weeks, [*weeks[1:], DAYS + 7], strict=True):
        ranked = []
        for symbol in SYMBOLS:
            days = [day for day in closes[symbol] if day <= start]
            if start not in closes[symbol] or len(days) < 20:
                continue
            last = [closes[symbol][day] for day in days[-21:]]
            if last[-1] > sum(last[-20:]) / 20:
                strong = 100 * (last[-1] / last[0] - 1) if len(last) == 21 else 0.0
                ranked.append((-60 - min(40.0, max(0.0, strong)), symbol))
        for _, symbol in sorted(ranked)[:TOP]:
            dates = [f"{first_day + timedelta(days=day):%Y-%m-%d}" for day in (start, end - 1)]
            members[symbol].append(dates)
    return {symbol: spans for symbol, spans in members.items() if spans}


def test_a_screened_universe_is_the_one_that_one_would_write_by_hand(folder):
    members = written_by_hand(folder)
    assert len(members) >= 5
    chosen = backtested(folder, universe={"screen": SCREEN, "top": TOP, "rebalance": "weekly"})
    by_hand = backtested(folder, universe={"members": members})
    assert chosen.equals(by_hand)
    everything = backtested(folder)
    assert 20 < len(chosen) < len(everything)


def test_the_universe_is_chosen_by_a_screen_of_ones_own_too(folder):
    (folder / "screens").mkdir()
    (folder / "screens" / "mine.yaml").write_text(SCREEN)
    chosen = backtested(folder, universe={"screen": "mine", "top": TOP})
    assert chosen.equals(backtested(folder, universe={"screen": SCREEN, "top": TOP}))


def test_the_future_changes_no_trade_of_the_past(folder):
    universe = {"screen": SCREEN, "top": TOP, "rebalance": "monthly"}
    whole = backtested(folder, universe=universe)
    part = backtested(folder, universe=universe, end="2020-06-30")
    ended = part.filter(pl.col("exit_reason") != "end_of_data")
    assert ended.equals(whole.head(len(ended)))
    assert len(ended) > 5


def test_a_split_later_changes_no_choice_of_a_universe_before_it():
    days, split = 40, 30
    screen = compile_screen(read_screen("name: a\nfilters: [{name: p, keep: close >= 10}]\n"))
    ts = np.arange(days) * DAY_MICROS
    close = np.where(np.arange(days) < split, 20.0, 2.0)
    raw = BarArrays(ts, close, close, close, close, np.full(days, 100.0))
    whole = raw._replace(**{name: np.full(days, 2.0) for name in ("open", "high", "low", "close")})
    splits = ((int(ts[split]), 10.0),)
    pieces = [judge(screen, {"A": seen}, "A") for seen in as_known(whole, splits, 0, days)]
    verdicts = joined(pieces)
    assert verdicts.passed.tolist() == [True] * split + [False] * (days - split)
    assert len(verdicts.ts) == days


@pytest.mark.parametrize(("universe", "message"), [
    ({"screen": "bullish-breakot"}, "there is no screen 'bullish-breakot'"),
    ({"top": 3}, "the universe names no screen"),
    ({"screen": SCREEN, "top": 0, "rebalance": "yearly"}, "'yearly' is no rebalance"),
    ({"screen": SCREEN, "best": 3}, "unknown key 'best' in the universe"),
    ({"screen": SCREEN, "parameters": {"x": 1}}, "unknown parameter 'x'"),
    ({"members": {"S1": ["2020-01-01"]}}, "the dates of S1 are no pairs"),
    ({"members": {"NOPE": [["2020-01-01", "2020-02-01"]]}}, "'NOPE' is not traded"),
    ({"members": {"S1": [["2020-02-01", "2020-01-01"]]}}, "is empty or reversed"),
    ({"screen": SCREEN.replace("name: rising", "name: rising\ntimeframe: 1h")}, "which are not made of 1d ones"),
])  # fmt: skip
def test_a_universe_that_cannot_be_is_told_before_anything_is_queued(folder, universe, message):
    with pytest.raises(InvalidInput) as told:
        backtested(folder, universe=universe)
    assert any(message in problem.message for problem in told.value.problems), told.value.problems
