"""What a page asks about screens: criteria at each bar, the symbols at their last, and who came and went."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import polars as pl
import pytest

from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe
from pitboss.reader import screens
from pitboss.screening.evaluate import judge
from pitboss.screening.program import compile_screen
from pitboss.screening.reader import read_screen
from support.bars import store_days

DAILY = parse_timeframe("1d")
TEXT = """name: rising
parameters: {days: {default: 20, low: 2, high: 50}}
indicators: {average: "sma(close, days)", strength: "rsi(close, 14)", is_up: "close > close[1]"}
criteria:
  - {name: up, when: is_up, points: 40}
  - {name: trend, when: close > average, points: 60}
overlay: [{name: strong, when: strength > 50, points: 5}]
pass_mark: 60
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(screens, "SECONDS", 60.0)  # however busy the machine is
    return store_days(tmp_path, ("AAA", "BBB", "CCC"), 300)


def test_the_criteria_at_each_bar_are_those_of_the_screen(store):
    found = screens.criteria(store, TEXT, {"days": 10}, "BBB", None, None, 50, {})
    bars = store.load("BBB", DAILY)
    judged = judge(compile_screen(read_screen(TEXT), {"days": 10}), {"BBB": bars}, "BBB")
    assert found["x"] == bars.ts[-50:].tolist()
    assert (found["step"], found["rows"], found["pass_mark"]) == (1, 300, 60)
    assert [strip["name"] for strip in found["strips"]] == ["up", "trend", "strong"]
    assert found["strips"][1]["points"] == judged.points["trend"][-50:].tolist()
    assert found["score"] == judged.score[-50:].tolist()
    assert found["passed"] == judged.passed[-50:].tolist()
    assert [line["name"] for line in found["lines"]] == ["average"], "an RSI is no price, whatever its size"


def test_nothing_after_a_date_is_looked_at(store):
    bars = store.load("AAA", DAILY)
    until = int(bars.ts[200])
    found = screens.criteria(store, TEXT, {}, "AAA", int(bars.ts[100]), until, 20, {})
    assert (found["x"][0], found["x"][-1]) == (int(bars.ts[100]), int(bars.ts[199]))
    later = screens.criteria(store, TEXT, {}, "AAA", int(bars.ts[100]), None, 20, {})
    assert found["score"] == later["score"][:100]
    assert screens.sparks(store, ["AAA", "NOPE"], "1d", until) == {"AAA": bars.close[160:200].tolist()}
    with pytest.raises(InvalidInput, match="no bar before that date"):
        screens.criteria(store, TEXT, {}, "AAA", None, int(bars.ts[0]), 20, {})


def test_the_symbols_are_told_best_first(store):
    found = screens.screened(store, TEXT, {}, {})
    assert (found["judged"], found["symbols"]) == (3, 3)
    assert found["passed_count"] == sum(row["passed"] for row in found["tickers"])
    ranks = [(not row["passed"], -row["score"]) for row in found["tickers"]]
    assert ranks == sorted(ranks)


def test_a_symbol_that_cannot_be_read_is_a_row(store, tmp_path):
    path = tmp_path / "bars" / "BBB" / "1d.parquet"
    told = store.describe("bars/BBB/1d.parquet")
    frame = pl.read_parquet(path).with_columns(close=pl.lit("x"))
    frame.write_parquet(path, metadata={name: str(value) for name, value in vars_of(told).items()})
    row = next(row for row in screens.screened(store, TEXT, {}, {})["tickers"] if row["ticker"] == "BBB")
    assert (row["passed"], row["score"]) == (False, None)
    assert "no number" in row["reasons"][0]


def vars_of(series):
    return {name: value for name, value in asdict(series).items() if name != "place"}


def test_who_came_and_who_went_is_told_by_the_last_date(tmp_path):
    def written(name, rows):
        columns = ("ticker", "date", "score", "passed")
        frame = pl.DataFrame([dict(zip(columns, row, strict=True)) for row in rows])
        frame.write_parquet(tmp_path / name)
        return str(tmp_path / name)

    before = written("a", [("A", 2, 90.0, True), ("B", 2, 80.0, True), ("C", 2, 10.0, False), ("C", 1, 99.0, True)])
    after = written("b", [("A", 3, 85.0, True), ("B", 3, 20.0, False), ("C", 3, 75.0, True), ("D", 3, 70.0, True)])
    found = screens.turnover(None, before, after, 10)
    assert [row["ticker"] for row in found["came"]["rows"]] == ["C", "D"]
    assert [row["ticker"] for row in found["went"]["rows"]] == ["B"]
    assert [(row["ticker"], row["change"]) for row in found["stayed"]["rows"]] == [("A", -5.0)]
    assert np.isnan(found["came"]["rows"][1]["score"] or np.nan)
    few = screens.turnover(None, before, after, 1)
    assert [row["ticker"] for row in few["came"]["rows"]] == ["C"]
    assert few["came"]["count"] == 2, "those that are not listed are counted"
