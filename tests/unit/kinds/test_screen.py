"""A screen as a run: checked before it is queued, judged ticker by ticker, stopped and gone on with."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import polars as pl
import pytest

from pitboss.core import panel as cells
from pitboss.core.errors import InvalidInput, RunCancelled
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import DAY_MICROS, parse_timeframe
from pitboss.kinds.documents.screens import screens_of
from pitboss.kinds.screen import KIND
from pitboss.kinds.screen.job import run
from pitboss.kinds.screen.prepare import last_session
from pitboss.market.actions import with_actions
from pitboss.market.catalog import Series
from pitboss.market.frames import to_frame
from pitboss.market.store import BarStore, Nature
from pitboss.runs import messages as said
from pitboss.runs.context import memory_context
from support.bars import START, random_bars

SCREEN = """\
name: rising
least_bars: 5
criteria:
  - {name: above, when: "close > sma(close, 5)", points: 60}
  - {name: up, when: "close > close[1]", points: 40}
pass_mark: 50
metrics: {gap: "close / sma(close, 5) - 1"}
"""
TICKERS = [f"T{at:02}" for at in range(30)]
DAYS = 60
LAST = "2020-02-29"  # START is 2020-01-01


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Thirty tickers of sixty days, one that ended earlier, and one whose file is torn."""
    folder = tmp_path_factory.mktemp("data")
    store = BarStore(LocalFiles(folder))
    day = parse_timeframe("1d")
    for seed, ticker in enumerate([*TICKERS, "ENDED"]):
        bars = random_bars(DAYS if ticker != "ENDED" else 40, seed, step=DAY_MICROS)
        store.store(to_frame(bars), ticker, day, Nature("made"))
    return folder


def sources_of(folder, **own):
    files = LocalFiles(folder)
    return SimpleNamespace(
        models=None,
        bars=BarStore(files),
        earlier=lambda _subject: [],
        feeds={},
        seen={},
        screens=screens_of(files, own),
    )


def submitted(folder, **params):
    return KIND.ready({"screen": SCREEN, **params}, sources_of(folder))


def context_of(folder, prepared, params, **fields):
    return memory_context(params, folder, snapshot=prepared.snapshot, resources=KIND.resources, **fields)


def screened(folder, **params):
    """Answer the result of a screen and what it said."""
    params = {"screen": SCREEN, **params}
    context, messages = context_of(folder, submitted(folder, **params), params)
    return run(KIND.params(**params), context), messages


def items_of(messages):
    return {each.key: each.item for each in messages if isinstance(each, said.ItemCompleted)}


def test_every_ticker_is_a_row_the_moment_it_is_known(folder):
    result, messages = screened(folder)
    items = items_of(messages)
    assert list(items) == ["ENDED", *TICKERS]
    for ticker in TICKERS:
        assert items[ticker].keys() == {"ticker", "date", "score", "base", "passed", "class", "reasons", "metrics"}
        assert items[ticker]["date"] == LAST
        assert items[ticker]["passed"] == (items[ticker]["base"] >= 50)
    assert items["ENDED"]["reasons"] == ["there is no bar on 2020-02-29: its last is of 2020-02-09"]
    assert (result["tickers"], result["unknown"], result["date"]) == (31, 1, LAST)
    assert result["passed"] == sum(item["passed"] for item in items.values()) > 0
    stages = [each.stage for each in messages if isinstance(each, said.StageBegun)]
    assert stages == ["data", "analysis", "ranking"]
    scores = [item["score"] for item in result["best"]]
    assert scores == sorted(scores, reverse=True)


def test_a_range_gives_a_row_for_each_ticker_and_session_that_a_screen_of_that_date_gives(folder):
    result, _ = screened(folder, start="2020-02-01", end="2020-02-20")
    rows = pl.read_parquet(folder / "artifacts" / "run-in-memory" / "rows.parquet")
    assert result["rows"] == len(rows) == 30 * 20 + 9
    of_date, messages = screened(folder, date="2020-02-11")
    items = {ticker: item for ticker, item in items_of(messages).items() if item["date"]}
    same = {row["ticker"]: row for row in rows.to_dicts() if f"{row['date']:%Y-%m-%d}" == "2020-02-11"}
    assert same.keys() == items.keys() == set(TICKERS)
    for ticker, item in items.items():
        assert {name: same[ticker][name] for name in ("score", "base", "passed")} == {
            name: item[name] for name in ("score", "base", "passed")
        }
        assert same[ticker]["gap"] == pytest.approx(item["metrics"]["gap"])
    assert of_date["date"] == "2020-02-11"


PRICED = """name: priced
filters: [{name: price, keep: close >= 10, reason: a penny stock}]
criteria: [{name: any, when: volume > 0, points: 1}]
metrics: {price: close}
"""


@pytest.mark.parametrize("until", [None, "2020-02-10"])
def test_a_split_changes_no_row_before_it(tmp_path, until):
    """Ten shares become one hundred on the 50th day: before it the price was 20, and in today's shares it is 2."""
    days = 60
    ts = pl.Series([START + at * DAY_MICROS for at in range(days)]).cast(pl.Datetime("us", "UTC"))
    closes = [20.0 + at / 100 if at < 49 else 2.0 + at / 100 for at in range(days)]
    frame = pl.DataFrame({"ts": ts, **dict.fromkeys(("open", "high", "low", "close"), closes), "volume": 100.0})
    frame = with_actions(frame, {START + 49 * DAY_MICROS: 10.0}, {})
    if until is not None:
        frame = frame.filter(pl.col("ts") < datetime.fromisoformat(until).replace(tzinfo=UTC))
    BarStore(LocalFiles(tmp_path)).store(frame, "SPLIT", parse_timeframe("1d"), Nature("made", prices="raw"))
    params = {"screen": PRICED, "start": "2020-01-10", "horizons": [1]}
    screened(tmp_path, **params)
    rows = pl.read_parquet(tmp_path / "artifacts" / "run-in-memory" / "rows.parquet").sort("date")
    assert rows["price"].to_list() == pytest.approx(closes[9 : len(frame)])
    assert rows["passed"].to_list() == [close >= 10 for close in closes[9 : len(frame)]]
    of_date, _ = screened(tmp_path, screen=PRICED, date="2020-01-20")
    assert of_date["best"][0]["metrics"]["price"] == pytest.approx(closes[19])
    after = pl.read_parquet(tmp_path / "artifacts" / "run-in-memory" / "worth.parquet") if until is None else None
    assert after is None or after.filter(pl.col("group") == "universe")["mean"].abs().max() < 0.1, "no crash of 90 %"


def test_who_has_ended_before_does_not_pass_on_the_last_date(folder):
    result, _ = screened(folder, start="2020-02-01", screen=SCREEN.replace("pass_mark: 50", "pass_mark: 0"))
    assert "ENDED" not in result["passed_tickers"].split()
    text = (folder / "artifacts" / "run-in-memory" / "passed.txt").read_text()
    assert f"{result['passed']} of " in text
    with closing(sqlite3.connect(folder / "artifacts" / "run-in-memory" / "results.sqlite")) as database:
        ((counted,),) = database.execute("SELECT count(*) FROM strategy_result WHERE passed")
        (reasons,) = database.execute("SELECT reasons FROM strategy_result WHERE ticker = 'ENDED'").fetchone()
    assert counted == result["passed"]
    assert json.loads(reasons)[0] == f"there is no bar on {LAST}: its last is of 2020-02-09"


def test_one_tickers_failure_is_its_row(folder, tmp_path):
    result, messages = screened(folder, tickers="T01, NOPE T02 ../x")
    items = items_of(messages)
    assert list(items) == ["T01", "NOPE", "T02", "../x"]
    assert items["NOPE"]["reasons"] == ["there are no 1d bars of it"]
    assert items["../x"]["passed"] is False
    assert (result["tickers"], result["unknown"]) == (4, 2)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_cancelled_screen_keeps_its_rows_or_discards_them(folder, keeps):
    params = {"screen": SCREEN, "max_workers": 1}
    context, messages = context_of(folder, submitted(folder, **params), params)
    panel = context.memory.cast("q")

    def stop(message):
        messages.append(message)
        if isinstance(message, said.ItemCompleted) and message.key == "T05":
            panel[cells.CANCEL], panel[cells.KEEP_PARTIAL] = 1, keeps

    context.send = stop
    if not keeps:
        with pytest.raises(RunCancelled):
            run(KIND.params(**params), context)
        return
    result = run(KIND.params(**params), context)
    assert (result["tickers"], result["total"]) == (7, 31)
    saved = [each.checkpoint for each in messages if isinstance(each, said.CheckpointSaved)]
    again, later = context_of(folder, submitted(folder, **params), params, checkpoints=tuple(reversed(saved)))
    whole, _ = screened(folder, **params)
    assert run(KIND.params(**params), again) == whole
    assert list(items_of(later))[:1] == ["T06"], "what was done is not done again"


@pytest.mark.parametrize(("params", "message"), [
    ({"screen": "bullish-breakot"}, "there is no screen 'bullish-breakot'"),
    ({"screen": "leap_entry"}, "the screen looks at SPY, of which there are no 1d bars"),
    ({"tickers": ["NOPE", "NEITHER"]}, "none of the tickers is known"),
    ({"universe_source": "list"}, "the universe is a list without tickers"),
    ({"universe_source": "catalog", "tickers": ["T01"]}, "there are tickers, and the universe is the catalog"),
    ({"date": "2020-01-31", "end": "2020-02-01"}, "there is a date and a range of dates"),
    ({"date": "2020-03-01"}, "none of the tickers has a bar on 2020-03-01"),
    ({"start": "2021-01-01"}, "none of the tickers has a bar from 2021-01-01 to the last"),
    ({"start": "2020-02-01", "end": "2020-01-01"}, "is empty or reversed"),
    ({"min_score": 70}, "unknown parameter 'min_score'"),
    ({"parameters": {"fast": 3}}, "unknown parameter 'fast'"),
    ({"screen": SCREEN.replace("pass_mark: 50", "pass_mark: 101")}, "the criteria give 100 points at most"),
    ({"screen": SCREEN.replace("close > close[1]", "close > clsoe[1]")}, "unknown name 'clsoe'"),
    ({"screen": SCREEN.replace("close[1]", "close[-1]")}, "would look into the future"),
    ({"screen": SCREEN.replace("pass_mark", "passmark")}, "passmark"),
    ({"screen": " "}, "no screen is given"),
    ({"max_workers": 0}, "input should be greater than or equal to 1"),
])  # fmt: skip
def test_what_is_wrong_is_told_before_anything_is_queued(folder, params, message):
    with pytest.raises(InvalidInput) as told:
        submitted(folder, **params)
    assert any(message in problem.message for problem in told.value.problems), told.value.problems
    assert all(problem.remedy for problem in told.value.problems)


def test_a_run_names_its_screen_by_the_text_and_its_date(folder):
    prepared = submitted(folder, tickers="T01 T02")
    assert prepared.subject == "screen/rising"
    again = KIND.pinned({"screen": "rising"}, prepared.snapshot)
    assert again == {"screen": SCREEN, "universe_source": "list", "tickers": ["T01", "T02"], "date": LAST}
    assert submitted(folder, **again).identity == prepared.identity
    assert START < START + DAYS * DAY_MICROS


def test_members_are_judged_while_they_are_members(folder):
    (folder / "universes").mkdir(exist_ok=True)
    (folder / "universes" / "dated.csv").write_text(
        "ticker,from,to\nT01,,2020-02-10\nT02,2020-02-05,\nT03,,2020-01-31\nGONE,,\n"
    )
    asked = {"universe_source": "file", "universe_file": "dated", "start": "2020-02-01", "end": "2020-02-20"}
    prepared = submitted(folder, **asked)
    assert prepared.snapshot["universe"]["tickers"] == "T01 T02 GONE"
    assert submitted(folder, **KIND.pinned(asked, prepared.snapshot)).identity == prepared.identity
    result, messages = screened(folder, **asked)
    assert result["rows"] == 10 + 16
    assert items_of(messages)["T01"]["date"] == "2020-02-10"
    rows = pl.read_parquet(folder / "artifacts" / "run-in-memory" / "rows.parquet")
    assert rows.filter(pl.col("ticker") == "T02")["date"].min().day == 5


def test_results_are_a_database_too(folder):
    result, messages = screened(folder)
    with closing(sqlite3.connect(folder / "artifacts" / "run-in-memory" / "results.sqlite")) as database:
        (run,) = database.execute("SELECT strategy_code, date, processed_tickers, passed_count FROM strategy_run")
        rows = database.execute("SELECT ticker, passed, score, reasons FROM strategy_result").fetchall()
    assert run == ("rising", LAST, 31, result["passed"])
    items = items_of(messages)
    assert {row[0]: (bool(row[1]), row[2], json.loads(row[3])) for row in rows} == {
        ticker: (item["passed"], item["score"], item["reasons"]) for ticker, item in items.items()
    }


@pytest.mark.parametrize(("universe", "tickers", "source"), [
    ("[T02, T01, T02]", "T02 T01", "list"), ("catalog", None, "catalog"), ("dow30", "T00 T01", "dow30"),
])  # fmt: skip
def test_a_document_says_its_universe_where_the_run_does_not(folder, universe, tickers, source):
    (folder / "universes").mkdir(exist_ok=True)
    (folder / "universes" / "dow30.csv").write_text("T00\nT01\n")
    text = SCREEN + f"universe: {universe}\n"
    found = submitted(folder, screen=text).snapshot["universe"]
    assert found["source"] == source
    assert tickers is None or found["tickers"] == tickers
    assert submitted(folder, screen=text, tickers=["T03"]).snapshot["universe"]["tickers"] == "T03"


@pytest.mark.parametrize(("universe", "message"), [
    ("[]", "the universe is empty"), ("[AAPL, '../x']", "'../x' is no symbol"), ("../x", "'../x' is no universe"),
    ("nobodys", "there is no universe 'nobodys'"),
])  # fmt: skip
def test_a_universe_of_a_document_that_is_none_is_told(folder, universe, message):
    with pytest.raises(InvalidInput, match=re.escape(message)):
        submitted(folder, screen=SCREEN + f"universe: {universe}\n")


def test_a_screen_of_ones_own_goes_by_the_name_of_its_file(folder):
    (folder / "screens").mkdir(exist_ok=True)
    (folder / "screens" / "my_rising.yaml").write_text(SCREEN)
    for name in ("my-rising", "my_rising"):
        assert submitted(folder, screen=name).snapshot["screen"]["text"] == SCREEN
    form = KIND.asked({}, sources_of(folder, leap_entry=SCREEN, mine=SCREEN))
    choices = [each["value"] for each in form["properties"]["screen"]["choices"]]
    assert choices == ["bullish-breakout", "leap-entry", "my-rising", "mine"]
    assert KIND.ready({"screen": "leap-entry"}, sources_of(folder, leap_entry=SCREEN)).subject == "screen/rising"


@pytest.mark.parametrize(("now", "session", "zone", "expected"), [
    ("2024-06-10T22:00", "XNYS", "America/New_York", "2024-06-10"),  # a Monday evening
    ("2024-06-10T15:00", "XNYS", "America/New_York", "2024-06-07"),  # before the close: the Friday before
    ("2024-06-10T22:00", "24x7", "UTC", "2024-06-09"), ("2024-06-11T00:00", "24x7", "UTC", "2024-06-10"),
    ("2024-06-11T03:00", "", "America/New_York", "2024-06-09"), ("2024-06-11T04:00", "", "America/New_York", "2024-06-10"),
])  # fmt: skip
def test_the_last_session_is_the_one_that_has_ended(monkeypatch, now, session, zone, expected):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    monkeypatch.setattr("time.time_ns", lambda: int(moment.timestamp() * 1e9))
    last = int(datetime(2024, 6, 10, tzinfo=UTC).timestamp() * 1e6)
    series = Series("A", "1d", 100, 0, last, "", "", False, zone, session)
    stale = [replace(series, symbol="OLD", last=last - 30 * DAY_MICROS)]
    assert last_session([*[series] * 4, *stale]) == expected
    coin = replace(series, session="24x7", zone="UTC", last=last - DAY_MICROS)
    assert last_session([*[series] * 9, coin]) == expected, "what trades on Sundays too does not decide"
