"""Nothing of the future is seen through any outlet, whatever is asked for when."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.calendars.sessions import parse_session
from pitboss.core.clock import parse_date
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.sessions.agents.apart import answered
from pitboss.sessions.clock import minutes_of
from pitboss.sessions.gate import Article, Gate, News, calculated
from pitboss.strategy.times import Times

CANARY = 987_654_321.0  # what every bar and text of the future holds, and none of the past
DAY = "2024-01-03"
TICKS = minutes_of("XNYS", DAY)
TIMES = Times({"SYN": parse_session("XNYS"), "OTH": parse_session("XNYS")})
EXPRESSIONS = (
    "close", "high - low", "ema(close, 3)", "rsi(close, 5)", 'on("5m", close)', 'symbol("OTH").close', "close[2]",
    "session_open", "highest(high, 4)", "minutes_to_close", 'on("1h", ema(close, 2))', "volume", "hour",
)  # fmt: skip


def bars_of(now: int, seed: int, missing: float) -> BarArrays:
    """A day of minutes of which those that end after `now` hold nothing but canaries."""
    dice = np.random.default_rng(seed)
    ts = np.array([tick.at for tick in TICKS])[dice.random(len(TICKS)) >= missing]
    price = np.where(ts + 60_000_000 <= now, 100 + dice.random(len(ts)), CANARY)
    return BarArrays(ts, price, price, price, price, price)


def articles(now: int, offsets: list[int]) -> list[Article]:
    return [
        Article(now + offset, f"title {CANARY if offset > 0 else 'old'}", "text about SYN", "paper")
        for offset in offsets
    ]


LOOKS = st.one_of(
    st.tuples(st.just("history"), st.sampled_from(["SYN", "OTH", "NOPE"]), st.integers(-5, 1000)),
    st.tuples(st.just("indicator"), st.sampled_from(["SYN", "OTH"]), st.sampled_from(EXPRESSIONS), st.integers(1, 400)),
    st.tuples(st.just("news"), st.sampled_from(["", "SYN", "title", "987"]), st.integers(1, 50)),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    step=st.integers(0, 389), second=st.integers(0, 59), seed=st.integers(0, 5), missing=st.sampled_from([0.0, 0.3]),
    offsets=st.lists(st.integers(-(10**10), 10**10), max_size=6), looks=st.lists(LOOKS, min_size=1, max_size=5),
)  # fmt: skip
def test_a_canary_of_the_future_is_never_seen(step, second, seed, missing, offsets, looks):
    now = TICKS[step].known + second * 1_000_000
    bars = {"SYN": bars_of(now, seed, missing), "OTH": bars_of(now, seed + 9, missing)}
    gate = Gate(bars, parse_timeframe("1m"), TIMES, News(articles(now, offsets)), now)
    for name, *arguments in looks:
        said = answered(gate, {"look": name, "arguments": arguments})
        assert "987654" not in json.dumps(said)
    for shown in gate.taken():
        assert shown["latest"] is None or parse_date(shown["latest"]) <= now
    assert all(float(gate.price(symbol) or 0) != CANARY for symbol in bars)


def test_what_has_no_date_is_not_shown_and_what_has_only_a_day_is_known_when_that_is_over(tmp_path):
    (tmp_path / "news.jsonl").write_text(
        '{"published_at": "2024-01-03T15:00:00Z", "title": "at three", "symbols": ["SYN"]}\n'
        '{"date": "2024-01-03", "title": "that day"}\n{"title": "some day"}\n{"date": "soon", "title": "soon"}\nnonsense\n'
        '{"date": "20240101", "title": "short"}\n{"date": "2024-W01", "title": "a week", "symbols": 5}\n'
        '{"date": "2024-01-03 00:00:00", "title": "midnight", "symbols": 5}\n'
    )
    (tmp_path / "more.csv").write_text("date,title,text\n2024-01-02,the day before,all about it\n,nothing,\n")
    news = News.of_folder(tmp_path)
    assert news.undated == 5
    at = parse_date("2024-01-03T15:00:00Z")
    assert [each.title for each in news.search("", at, 9)] == ["at three", "the day before"]
    assert [each.title for each in news.search("", at - 1, 9)] == ["the day before"]
    noon = parse_date("2024-01-04T12:00:00Z")
    assert len(news.search("", noon - 1, 9)) == 2
    assert {each.title for each in news.search("", noon, 2)} == {"that day", "midnight"}
    assert [each.title for each in news.search("syn three", at, 9)] == ["at three"]
    assert News.of_folder(tmp_path / "none").articles == []


def test_arithmetic_is_answered_and_nothing_else_is():
    assert calculated("(3 + 4) * 2 / 7") == 2
    for wrong in ("close", "1 +", "rsi(close, 3)", "__import__('os')"):
        with pytest.raises(InvalidInput):
            calculated(wrong)


@pytest.mark.parametrize("expression", ["emma(close, 3)", "close[-1]", "ema(close", "1" * 5000])
def test_expressions_with_mistakes_are_told(expression):
    gate = Gate({"SYN": bars_of(TICKS[5].known, 1, 0)}, parse_timeframe("1m"), TIMES, now=TICKS[5].known)
    assert "error" in answered(gate, {"look": "indicator", "arguments": ["SYN", expression, 3]})
