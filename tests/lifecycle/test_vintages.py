"""A run done again after its source has changed the history: it uses what it saw, and says what differs today."""

from __future__ import annotations

import time

import pytest

from pitboss.core.principal import LOCAL
from support.engine import Engine
from support.feed import DAY, Feed

FIRST = int(time.time()) // DAY * DAY - 100 * DAY
CLOSES = [100.0 + 3 * (at % 7) for at in range(101)]
DIPS = "name: dips\ntimeframe: 1d\nentry: {long: 'close < close[1]'}\nexit: {long: 'close > close[1]'}\n"
BACKTEST = {"strategy": DIPS, "symbols": ["AAPL"]}


@pytest.fixture
def feed():
    with Feed({"AAPL": CLOSES[:80]}, FIRST) as feed:
        yield feed


@pytest.fixture
def engine(feed, tmp_path):
    source = {"type": "csv", "url": f"{feed.url}/csv/{{symbol}}?from={{start}}&to={{end}}", "per_minute": 6000}
    with Engine(tmp_path, sources={"mine": source}) as engine:
        engine.start_worker()
        yield engine


def fetched(engine):
    return ended(engine, engine.submit("fetch", {"symbols": ["AAPL"]})).result


def ended(engine, run):
    run = engine.wait(run, seconds=60)
    assert run.state == "completed", run.error
    return run


def figures(run):
    return {name: run.result[name] for name in ("metrics", "trades", "final_equity", "digits")}


def test_a_run_done_again_sees_what_it_saw_until_it_is_asked_for_the_newest(engine, feed):
    fetched(engine)
    first = ended(engine, engine.submit("backtest", BACKTEST))
    feed.closes["AAPL"] = list(CLOSES)
    assert fetched(engine)["added"] == 20
    longer = ended(engine, engine.service.rerun(LOCAL, first.id))
    assert longer.snapshot["data"] == first.snapshot["data"]
    assert figures(longer) == figures(first)
    assert "20 newer bars of AAPL were left out" in str(longer.result)
    feed.closes["AAPL"] = [*CLOSES[:37], *(close + 1 for close in CLOSES[37:])]
    assert fetched(engine)["changed"] == 63
    again = ended(engine, engine.service.rerun(LOCAL, first.id, {"cash": 5_000.0}))
    assert again.snapshot["data"] == first.snapshot["data"]
    assert "43 bars of AAPL differ today" in str(again.result)
    newest = ended(engine, engine.service.rerun(LOCAL, first.id, newest=True))
    assert newest.snapshot["data"][0]["rows"] == 100
    assert newest.snapshot["data"][0]["digest"] != first.snapshot["data"][0]["digest"]
