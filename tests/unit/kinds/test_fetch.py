"""Market data as runs: a symbol's failure is its row; a screen brings what it is missing."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from pitboss.core import panel as cells
from pitboss.core.errors import InvalidInput, Problem, RunCancelled
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import parse_timeframe
from pitboss.kinds.documents.screens import screens_of
from pitboss.kinds.fetch import KIND
from pitboss.kinds.fetch.job import run
from pitboss.kinds.screen import KIND as SCREEN
from pitboss.kinds.screen.job import run as screen
from pitboss.market.store import BarStore
from pitboss.runs import messages as said
from pitboss.runs.context import memory_context
from support.feed import DAY, Feed

TODAY = int(time.time()) // DAY * DAY
FIRST = TODAY - 300 * DAY
CLOSES = [100.0 + at % 7 for at in range(301)]
RISING = "name: rising\ncriteria:\n  - {name: up, when: 'close > close[1]', points: 1}\npass_mark: 1\n"


@pytest.fixture
def feed():
    with Feed({name: list(CLOSES) for name in ("AAPL", "MSFT", "IBM")}, FIRST) as feed:
        yield feed


def sources_of(folder, feed, **config):
    feeds = {"mine": {"type": "csv", "url": f"{feed.url}/csv/{{symbol}}", "per_minute": 60_000, **config}}
    secrets = SimpleNamespace(missing=lambda names: [Problem(f"there is no secret {name}", "set it") for name in names])
    return SimpleNamespace(
        models=None,
        bars=BarStore(LocalFiles(folder)), feeds=feeds, secrets=secrets, earlier=lambda _subject: [], seen={},
        screens=screens_of(LocalFiles(folder), {}),
    )  # fmt: skip


def done(kind, job, folder, feed, params):
    prepared = kind.ready(params, sources_of(folder, feed))
    context, messages = memory_context(params, folder, snapshot=prepared.snapshot, resources=kind.resources)
    answer = job(kind.params(**params), context)
    return answer, {each.key: each.item for each in messages if isinstance(each, said.ItemCompleted)}


def test_every_symbol_is_a_row_and_a_failure_is_its_own(feed, tmp_path):
    result, items = done(KIND, run, tmp_path, feed, {"symbols": "AAPL NOPE MSFT"})
    assert (result["symbols"], result["added"], result["failed"]) == (3, 600, 1)
    assert items["AAPL"]["reason"] == ""
    assert "status 404" in items["NOPE"]["reason"]
    assert len(BarStore(LocalFiles(tmp_path)).load("MSFT", parse_timeframe("1d")).ts) == 300


def test_a_cancel_ends_a_fetch_that_waits(feed, tmp_path):
    params = {"symbols": ["AAPL", "MSFT"]}
    context, messages = memory_context(
        params, tmp_path, snapshot=KIND.ready(params, sources_of(tmp_path, feed, per_minute=1)).snapshot
    )

    def stop(message):
        messages.append(message)
        if isinstance(message, said.ItemCompleted):
            context.memory.cast("q")[cells.CANCEL] = 1

    context.send = stop
    before = time.monotonic()
    with pytest.raises(RunCancelled):
        run(KIND.params(**params), context)
    assert time.monotonic() - before < 30, "the next request would be due in a minute"


def test_a_screen_fetches_what_it_is_missing(feed, tmp_path):
    params = {"screen": RISING, "tickers": "AAPL NOPE IBM"}
    result, items = done(SCREEN, screen, tmp_path, feed, params)
    assert (result["tickers"], result["unknown"]) == (3, 1)
    assert items["AAPL"]["date"] == time.strftime("%Y-%m-%d", time.gmtime(TODAY - DAY))
    assert "status 404" in items["NOPE"]["reasons"][0]
    asked = sum(feed.paths.values())
    again, _ = done(SCREEN, screen, tmp_path, feed, {**params, "tickers": "AAPL IBM"})
    assert again["passed"] == result["passed"]
    assert sum(feed.paths.values()) == asked, "it was fetched a moment ago"
    never, _ = done(SCREEN, screen, tmp_path, feed, {**params, "tickers": "AAPL", "fetch": "never"})
    assert never["date"] == result["date"]


@pytest.mark.parametrize(("params", "config", "message"), [
    ({"symbols": ["AAPL"], "source": "other"}, {}, "there is no source 'other'"),
    ({"symbols": ["AAPL"]}, {"secret": "KEY"}, "there is no secret KEY"),
    ({}, {}, "there are neither symbols nor a universe"),
    ({"symbols": ["AAPL"], "universe_source": "sp500"}, {}, "there are symbols and a universe"),
    ({"symbols": ["../x"]}, {}, "'../x' is no symbol"), ({"universe_source": "catalog"}, {}, "there are no 1d bars yet"),
])  # fmt: skip
def test_what_cannot_be_fetched_is_told_before_anything_is_queued(feed, tmp_path, params, config, message):
    with pytest.raises(InvalidInput) as told:
        KIND.ready(params, sources_of(tmp_path, feed, **config))
    assert any(message in problem.message for problem in told.value.problems), told.value.problems
    nothing = sources_of(tmp_path, feed)
    nothing.feeds = {}
    with pytest.raises(InvalidInput, match="no source is configured"):
        KIND.ready({"symbols": ["AAPL"]}, nothing)


def test_two_sources_are_compared_and_what_differs_is_told(feed, tmp_path):
    with Feed({"AAPL": [*CLOSES[:50], 150.0, *CLOSES[51:]], "MSFT": list(CLOSES)}, FIRST) as other:
        sources = sources_of(tmp_path, feed)
        sources.feeds["other"] = {"type": "csv", "url": f"{other.url}/csv/{{symbol}}", "per_minute": 60_000}
        results = []
        for must_agree in (False, True):
            params = {"symbols": "AAPL MSFT", "compare_with": "other", "must_agree": must_agree, "whole": True}
            context, _ = memory_context(params, tmp_path, snapshot=KIND.ready(params, sources).snapshot)
            results.append(run(KIND.params(**params), context))
    told, strict = results
    assert (told["failed"], told["differing"], told["witness"]) == (0, 4, "other")
    assert {each["symbol"] for each in told["differences"]} == {"AAPL"}
    assert strict["failed"] == 1
    assert "4 prices of AAPL differ" in strict["failures"][0]["reason"]
    tables = KIND.report(SimpleNamespace(result=told, snapshot=context.snapshot, params=params)).tables
    assert [table.title for table in tables] == ["4 prices differ between mine and other"]


@pytest.mark.parametrize(("params", "message"), [
    ({"compare_with": "mine"}, "mine would be compared with itself"), ({"must_agree": True}, "no source is named"),
    ({"compare_with": "nobody"}, "there is no source 'nobody'"),
])  # fmt: skip
def test_a_comparison_that_is_none_is_told(feed, tmp_path, params, message):
    with pytest.raises(InvalidInput) as told:
        KIND.ready({"symbols": ["AAPL"], **params}, sources_of(tmp_path, feed))
    assert message in told.value.problems[0].message
