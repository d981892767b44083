"""Series from sources that fail as sources do: complete bars, each once, with no more requests than allowed."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace

import polars as pl
import pytest

from pitboss.core.errors import InvalidInput
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.actions import combined, split_adjusted, with_actions
from pitboss.market.fetching import Feed as Fed
from pitboss.market.fetching import Provider, Witness
from pitboss.market.sources import SourceFailed, source_of
from pitboss.market.sources.web import Web
from pitboss.market.store import BarStore
from pitboss.market.vintages import as_seen
from support.feed import DAY, Feed

DAILY = parse_timeframe("1d")
TODAY = int(time.time()) // DAY * DAY
FIRST = TODAY - 30 * DAY
CLOSES = [100.0 + at for at in range(31)]  # the last one of today: it has not ended
START = (FIRST - 10 * DAY) * 1_000_000


@pytest.fixture
def feed():
    with Feed({"AAPL": list(CLOSES), "MSFT": list(CLOSES)}, FIRST) as feed:
        yield feed


@pytest.fixture(params=["csv", "tiingo", "alpaca", "yfinance", "ccxt"])
def fed(request, feed, tmp_path):
    return made(request.param, feed, tmp_path)


def made(kind, feed, folder, per_minute=6000.0):
    urls = {
        "csv": f"{feed.url}/csv/{{symbol}}?from={{start}}&to={{end}}&key={{key}}",
        "tiingo": feed.url,
        "alpaca": feed.url,
        "yfinance": feed.url,
        "ccxt": feed.url,
    }
    config = {"type": kind, "url": urls[kind], "per_minute": per_minute}
    if kind in ("tiingo", "alpaca"):
        config["secret"] = "KEY"
    if kind == "ccxt":
        config["exchange"] = "bitstamp"
    source = source_of("mine", {"mine": config})
    web = Web("mine", folder / "sources", source.per_minute)
    return Fed(Provider(source, web, "key:s3cret"), BarStore(LocalFiles(folder)))


def symbol_of(fed, symbol="AAPL"):
    """Answer what a source calls a symbol: to an exchange it is a pair."""
    return f"{symbol[:3]}/{symbol[3:]}" if fed.source.type.name == "ccxt" else symbol


def closes(fed, symbol="AAPL"):
    return fed.store.frame(symbol_of(fed, symbol), DAILY)["close"].to_list()


def test_complete_bars_alone_are_kept_each_once(fed, feed):
    feed.is_shuffled = True
    first = fed.update(symbol_of(fed), DAILY, START)
    assert (first.added, first.changed) == (30, 0)
    assert closes(fed) == CLOSES[:30]
    assert any("s3cret" in key for key in feed.keys) or fed.source.type.name in ("yfinance", "ccxt")
    assert fed.update(symbol_of(fed), DAILY, START).added == 0


def test_only_what_is_missing_is_fetched_with_an_overlapping_bar(feed, tmp_path):
    fed = made("tiingo", feed, tmp_path)
    feed.closes["AAPL"] = CLOSES[:20]
    assert fed.update("AAPL", DAILY, START).added == 20
    feed.closes["AAPL"] = list(CLOSES)
    told = fed.update("AAPL", DAILY, START)
    assert (told.added, told.changed) == (10, 0)
    assert closes(fed) == CLOSES[:30]


@pytest.mark.parametrize("fault", [500, 503, "cut"])
def test_what_fails_for_a_moment_is_asked_again(fed, feed, fault, monkeypatch):
    monkeypatch.setattr("pitboss.market.sources.web.FIRST_WAIT", 0.01)
    feed.faults = [fault, fault]
    assert fed.update(symbol_of(fed), DAILY, START).added == 30
    assert feed.faults == []


def test_whoever_is_asked_to_wait_waits(fed, feed, monkeypatch):
    monkeypatch.setattr("pitboss.market.sources.web.FIRST_WAIT", 0.01)
    feed.faults = [429]
    fed.update(symbol_of(fed), DAILY, START)
    assert max(later - earlier for earlier, later in itertools.pairwise(feed.asked)) >= 1.0


def test_a_source_that_asks_to_wait_for_a_day_is_asked_no_more_and_fails_at_once(tmp_path):
    with Feed({"AAPL": CLOSES, "MSFT": CLOSES}, FIRST, retry_after="86400") as feed:
        fed = made("csv", feed, tmp_path)
        feed.faults = [429]
        for symbol in ("AAPL", "MSFT"):
            with pytest.raises(SourceFailed, match=r"mine asks to wait until \d{4}-\d\d-\d\d \d\d:\d\d UTC"):
                fed.update(symbol, DAILY, START)
        assert len(feed.asked) == 1


def test_a_clock_that_was_set_back_holds_nobody_up(feed, tmp_path):
    fed = made("csv", feed, tmp_path)
    fed.update("AAPL", DAILY, START)
    (tmp_path / "sources" / "mine.next").write_text(f"{time.time() + 2 * 86_400:.6f}")
    before = time.monotonic()
    fed.update("AAPL", DAILY, START)
    assert time.monotonic() - before < 5


def test_bars_before_those_that_were_asked_for_are_fetched_once_they_are(feed, tmp_path):
    fed = made("tiingo", feed, tmp_path)
    assert fed.update("AAPL", DAILY, (FIRST + 10 * DAY) * 1_000_000).added == 20
    before = fed.update("AAPL", DAILY, START)
    assert before.added == 0
    assert fed.update("AAPL", DAILY, START, extends=True).added == 10
    assert closes(fed) == CLOSES[:30]
    assert as_seen(fed.store, before.series.as_dict())["close"].to_list() == CLOSES[10:30], "what was is kept"
    asked = len(feed.asked)
    assert fed.update("AAPL", DAILY, START, extends=True).added == 0
    assert len(feed.asked) == asked + 1, "the overlapping bar alone"


def test_a_source_that_has_forgotten_what_is_stored_is_told(feed, tmp_path):
    fed = made("tiingo", feed, tmp_path)
    feed.closes["AAPL"] = CLOSES[:10]
    fed.update("AAPL", DAILY, START)
    feed.first += 15 * DAY
    feed.closes["AAPL"] = CLOSES[15:]
    with pytest.raises(SourceFailed, match=r"the stored bars of AAPL end on .*, those of mine begin on"):
        fed.update("AAPL", DAILY, START)
    assert fed.update("AAPL", DAILY, START, whole=True).added == 15


def test_an_action_told_again_within_its_day_happened_once(tmp_path):
    """As sources of bars within a day do that are asked for the rest of it."""
    hour = 3_600_000_000
    day = [with_actions(bars_at(range(first, 17)), {0: 10.0}, {0: 1.0}) for first in (14, 16)]
    found = combined(day[1], day[0])
    assert found["split"].to_list() == [10.0, 1.0, 1.0]
    assert found["dividend"].to_list() == [1.0, 0.0, 0.0]
    assert split_adjusted(found)["close"].to_list() == [10.0] * 3
    assert found["ts"].cast(int).to_list() == [at * hour for at in (14, 15, 16)]


def bars_at(hours):
    moments = pl.Series([at * 3_600_000_000 for at in hours]).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"ts": moments, **dict.fromkeys(("open", "high", "low", "close"), 10.0), "volume": 1.0})


def test_no_more_requests_than_allowed_over_all_that_ask(feed, tmp_path):
    several = [made("csv", feed, tmp_path, per_minute=1200.0) for _ in range(3)]
    threads = [threading.Thread(target=each.update, args=(symbol, DAILY, START, 0.0, True))
               for each in several for symbol in ("AAPL", "MSFT")]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(feed.asked))]
    assert len(feed.asked) == 6
    assert (sorted(feed.asked)[-1] - min(feed.asked)) >= 5 * 0.05 * 0.8, gaps


def test_it_is_fetched_once_however_many_want_it(feed, tmp_path):
    asked_at = time.time()
    several = [made("csv", feed, tmp_path) for _ in range(4)]
    found = []
    threads = [threading.Thread(target=lambda each=each: found.append(each.update("AAPL", DAILY, START, asked_at)))
               for each in several]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert feed.paths["/csv/AAPL"] == 1
    assert sorted(each.was_fetched for each in found) == [False, False, False, True]
    assert len(closes(several[0])) == 30


def test_a_history_that_was_corrected_is_fetched_anew_and_kept_as_it_was(fed, feed):
    feed.closes["AAPL"] = CLOSES[:20]
    before = fed.update(symbol_of(fed), DAILY, START).series
    feed.closes["AAPL"] = [close / 2 for close in CLOSES]  # a split
    told = fed.update(symbol_of(fed), DAILY, START)
    assert (told.added, told.changed) == (10, 20)
    assert closes(fed) == [close / 2 for close in CLOSES[:30]]
    seen = as_seen(fed.store, before.as_dict())
    assert seen["close"].to_list() == CLOSES[:20]
    now = told.series.as_dict()
    assert as_seen(fed.store, now)["close"].to_list() == closes(fed)


@pytest.fixture(params=["tiingo", "alpaca", "yfinance"])
def knowing(request, feed, tmp_path):
    """A source that knows corporate actions."""
    return made(request.param, feed, tmp_path)


def test_prices_are_stored_as_they_were_traded_with_what_happened_beside_them(knowing, feed):
    traded = [*CLOSES[:20], *(round(close / 4, 2) for close in CLOSES[20:])]
    feed.closes["AAPL"], feed.splits["AAPL"], feed.dividends["AAPL"] = traded, {20: 4.0}, {5: 0.8, 25: 0.25}
    series = knowing.update("AAPL", DAILY, START).series
    frame = knowing.store.frame("AAPL", DAILY)
    assert series.prices == "raw"
    assert frame["close"].to_list() == traded[:30]
    assert frame["split"].to_list() == [4.0 if at == 20 else 1.0 for at in range(30)]
    assert frame["dividend"].to_list() == pytest.approx([{5: 0.8, 25: 0.25}.get(at, 0.0) for at in range(30)])
    bars = knowing.store.load("AAPL", DAILY)
    assert bars.close.tolist() == pytest.approx([*(close / 4 for close in traded[:20]), *traded[20:30]])
    assert bars.volume.tolist() == pytest.approx([4000.0] * 20 + [1000.0] * 10)


def test_a_split_changes_no_bar_before_it_and_a_run_sees_what_it_saw(knowing, feed):
    feed.closes["AAPL"] = CLOSES[:20]
    before = knowing.update("AAPL", DAILY, START).series
    feed.closes["AAPL"] = [*CLOSES[:20], *(close / 2 for close in CLOSES[20:])]
    feed.splits["AAPL"] = {20: 2.0}
    told = knowing.update("AAPL", DAILY, START)
    assert (told.added, told.changed) == (10, 0)
    assert knowing.store.frame("AAPL", DAILY)["close"].to_list()[:20] == CLOSES[:20]
    assert knowing.store.load("AAPL", DAILY).close[0] == CLOSES[0] / 2
    seen = as_seen(knowing.store, before.as_dict())
    assert knowing.store.made(seen, told.series, DAILY).close.tolist() == CLOSES[:20]


@pytest.mark.parametrize(("fault", "said"), [
    ("html", "a web page instead of data: Please sign in"), (401, "refuses the key"), (404, "status 404"),
])  # fmt: skip
def test_what_is_no_data_is_told_and_nothing_is_stored(fed, feed, fault, said):
    feed.faults = [fault]
    with pytest.raises(SourceFailed, match=said):
        fed.update(symbol_of(fed), DAILY, START)
    with pytest.raises(SourceFailed, match=r"status 404|does not have market symbol"):
        fed.update(symbol_of(fed, "NOPE"), DAILY, START)
    assert fed.store.all() == []


def test_a_source_that_is_away_is_told(feed, tmp_path, monkeypatch):
    monkeypatch.setattr("pitboss.market.sources.web.FIRST_WAIT", 0.001)
    fed = made("csv", feed, tmp_path)
    feed.faults = [503] * 6
    with pytest.raises(SourceFailed, match="does not answer: status 503"):
        fed.update("AAPL", DAILY, START)
    assert len(feed.asked) == 6


@pytest.fixture
def doubted(feed, tmp_path):
    """A source, and another one that tells a price of AAPL otherwise, and a split of which the first has the price."""
    feed.closes["AAPL"][20:] = [close / 2 for close in CLOSES[20:]]
    feed.splits["AAPL"] = {20: 2.0}
    with Feed({name: list(closes) for name, closes in feed.closes.items()}, FIRST) as other:
        other.splits = feed.splits
        other.closes["AAPL"][7] += 2.0
        yield made("tiingo", feed, tmp_path / "one"), made("yfinance", other, tmp_path / "other").provider


def test_another_source_tells_where_it_differs(doubted):
    fed, other = doubted
    told = replace(fed, witness=Witness(other, 0.005)).update("AAPL", DAILY, START)
    assert told.added == 30
    assert {(each.price, each.ts) for each in told.differences} == {
        (price, (FIRST + 7 * DAY) * 1_000_000) for price in ("open", "high", "low", "close")
    }
    assert told.differences[0].other - told.differences[0].value == pytest.approx(1.0), "in shares of today"
    assert replace(fed, witness=Witness(other, 0.02)).update("MSFT", DAILY, START).differences == ()


def test_where_two_sources_must_agree_nothing_is_stored_that_differs(doubted):
    fed, other = doubted
    with pytest.raises(SourceFailed, match=r"4 prices of AAPL differ from those of mine, first the close of"):
        replace(fed, witness=Witness(other, 0.005, must_agree=True)).update("AAPL", DAILY, START)
    assert fed.store.all() == []


def test_where_two_sources_must_agree_a_bar_that_only_one_has_is_refused(doubted):
    fed, other = doubted
    with pytest.raises(SourceFailed, match="against none"):
        replace(fed, witness=Witness(Silent(other), 0.5, must_agree=True)).update("AAPL", DAILY, START)
    told = replace(fed, witness=Witness(Silent(other), 0.5)).update("AAPL", DAILY, START)
    assert {each.other for each in told.differences} == {None}


class Silent:
    """A source that has nothing."""

    def __init__(self, provider):
        self.source = provider.source

    def bars(self, _wanted):
        return pl.DataFrame()


@pytest.mark.parametrize(("config", "message"), [
    ({"type": "tiingoo"}, "'tiingoo' is no type of source"), ({"type": "csv"}, "has no 'url'"),
    ({"type": "tiingo"}, "has no 'secret'"), ({"type": "csv", "url": "x", "speed": 1}, "unknown key 'speed'"),
    ({"type": "csv", "url": "x", "per_minute": 0}, "'0' requests a minute"),
])  # fmt: skip
def test_a_source_that_is_configured_wrong_is_told(config, message):
    with pytest.raises(InvalidInput) as told:
        source_of("mine", {"mine": config})
    assert any(message in problem.message for problem in told.value.problems)
    with pytest.raises(InvalidInput, match="there is no source 'other'"):
        source_of("other", {"mine": config})


def test_an_exchange_is_asked_by_ccxt_page_by_page(feed, tmp_path, monkeypatch):
    monkeypatch.setattr("pitboss.market.sources.web.FIRST_WAIT", 0.01)
    monkeypatch.setattr("pitboss.market.sources.exchanges.PAGE_BARS", 12)
    config = {"type": "ccxt", "exchange": "bitstamp", "url": feed.url, "per_minute": 6000.0}
    web = Web("mine", tmp_path / "sources", 6000.0)
    fed = Fed(Provider(source_of("mine", {"mine": config}), web), BarStore(LocalFiles(tmp_path)))
    feed.faults = [503]
    assert fed.update("AAP/L", DAILY, START).added == 30
    assert closes(fed) == CLOSES[:30]
    with pytest.raises(SourceFailed, match="mine: bitstamp does not have market symbol NO/PE"):
        fed.update("NO/PE", DAILY, START)
    with pytest.raises(SourceFailed, match="ccxt knows no exchange 'nowhere'"):
        nowhere = Provider(source_of("x", {"x": config | {"exchange": "nowhere"}}), web)
        Fed(nowhere, fed.store).update("AAP/L", DAILY, START)
