"""Importing bars: every layout, every repair, every refusal."""

from __future__ import annotations

import gzip
import math

import polars as pl
import pytest

from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import parse_timeframe
from pitboss.market import inputs, readers
from pitboss.market.catalog import check_symbol
from pitboss.market.frames import between, to_arrays
from pitboss.market.options import ImportOptions
from pitboss.market.store import BarStore

ROWS = "1,2,0.5,1.5,10"


@pytest.fixture
def catalog(tmp_path):
    return BarStore(LocalFiles(tmp_path))


def imported(catalog, tmp_path, text, timeframe="1m", encoding="utf-8", **options):
    path = tmp_path / "file.csv"
    path.write_bytes(text.encode(encoding))
    [(series, report)] = catalog.import_file(path, "T", parse_timeframe(timeframe), ImportOptions(**options))
    return catalog.frame("T", parse_timeframe(timeframe)), report, series


LAYOUTS = {
    "Yahoo": ("Date,Open,High,Low,Close,Adj Close,Volume\n2020-01-02,1,2,0.5,1.5,1.4,10\n2020-01-03,1,2,0.5,1.5,1.4,10\n", "1d", "2020-01-02T00:00", 10),
    "Dukascopy": ("Gmt time,Open,High,Low,Close,Volume\n01.02.2018 22:00:00.000,1,2,0.5,1.5,10\n", "1m", "2018-02-01T22:00", 10),
    "HistData": ("20180101 170000;1;2;0.5;1.5;0\n20180101 170100;1;2;0.5;1.5;0\n", "1m", "2018-01-01T17:00", 0),
    "MetaTrader": ("<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n2018.01.02\t00:05:00\t1\t2\t0.5\t1.5\t55\t0\t1\n", "1m", "2018-01-02T00:05", 55),
    "MetaTrader 4": ("2018.01.02,00:05,1,2,0.5,1.5,7\n", "1m", "2018-01-02T00:05", 7),
    "Binance": (f"1514764800000,{ROWS},1514764859999,0,0,0,0,0\n", "1m", "2018-01-01T00:00", 10),
    "Alpaca": (f"symbol,timestamp,open,high,low,close,volume,vwap\nSPY,2024-01-02T14:30:00Z,{ROWS},1\n", "1m", "2024-01-02T14:30", 10),
    "epoch": (f"time,open,high,low,close,volume\n1514764800,{ROWS}\n", "1m", "2018-01-01T00:00", 10),
    "month first": (f"date,open,high,low,close,volume\n01/31/2024,{ROWS}\n", "1d", "2024-01-31T00:00", 10),
    "no volume": ("ts;open;high;low;close\n2024-01-02 14:30:00;1;2;0.5;1.5\n", "1m", "2024-01-02T14:30", None),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(catalog, tmp_path, layout):
    text, timeframe, first, volume = LAYOUTS[layout]
    frame, report, _ = imported(catalog, tmp_path, text, timeframe)
    row = frame.row(0, named=True)
    assert row["ts"].isoformat().startswith(first)
    assert (row["open"], row["high"], row["low"], row["close"]) == (1, 2, 0.5, 1.5)
    assert row["volume"] == volume if volume is not None else math.isnan(row["volume"])
    assert report.repairs() == []


def test_utf16_and_named_columns(catalog, tmp_path):
    text = "When,A,B,C,D\n2024-01-02 14:30:00,1,2,0.5,1.5\n"
    columns = "ts=When,open=A,high=B,low=C,close=D"
    frame, _, _ = imported(catalog, tmp_path, text, encoding="utf-16", columns=columns)
    assert frame["close"].to_list() == [1.5]


def lines(*times, header="ts,open,high,low,close,volume"):
    return header + "\n" + "".join(f"{time},{ROWS}\n" for time in times)


def test_local_times_become_utc_over_the_change_of_clocks(catalog, tmp_path):
    text = lines("2024-01-02 09:30:00", "2024-07-02 09:30:00")
    frame, _, _ = imported(catalog, tmp_path, text, tz="America/New_York")
    assert [ts.hour for ts in frame["ts"]] == [14, 13]
    offsets = lines("2024-01-02 09:30:00-05:00", "2024-07-02 09:30:00-04:00")
    assert imported(catalog, tmp_path, offsets, tz="America/New_York")[0].equals(frame)


def test_what_is_repaired_is_said_and_strict_refuses(catalog, tmp_path):
    text = (
        lines("2024-01-02 14:31:00", "2024-01-02 14:30:00", "2024-01-02 14:30:00")
        + "2024-01-02 14:32:00,1,0.9,0.5,1,1\n2024-01-02 14:33:00,-1,2,0.5,1,1\n2024-01-02 14:34:00,,2,0.5,1,1\n"
        + "2024-01-02 14:35:10,1,2,0.5,1,1\nsomewhen,1,2,0.5,1,1\n"
    )
    with pytest.raises(InvalidInput, match="3 of 8 rows would be lost"):
        imported(catalog, tmp_path, text)
    with pytest.raises(InvalidInput, match="--strict"):
        imported(catalog, tmp_path, text, strict=True, max_lost=50.0)
    assert catalog.all() == []
    frame, report, _ = imported(catalog, tmp_path, text, max_lost=50.0)
    assert (report.duplicates, report.out_of_order, report.high_below_low) == (1, 1, 1)
    assert (report.non_positive, report.not_a_number, report.misaligned, report.unreadable) == (1, 1, 1, 1)
    assert len(report.repairs()) == 7
    assert [ts.minute for ts in frame["ts"]] == [30, 31, 32, 35]
    assert frame["high"].to_list()[2] == 1.0
    assert (report.gaps, report.largest_gaps[0].missing) == (1, 2)


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("", "utf-8", "is empty"),
        ("ts|open|high\n1|2|3\n", "utf-8", "line 1: ts|open|high; line 2: 1|2|3"),
        ("a,b,c,d,e\n1,2,3,4,5\n", "utf-8", "no column for open, high, low"),
        ("1,2,3,2,1\n1,2,3,2,1\n", "utf-8", "no header, and its 5 columns"),
        (lines("2024-01-02 14:30:00").replace("ts", "Wann é"), "latin-1", "no column for ts among Wann é"),
        ("\x00\x01\x02" * 9, "utf-8", "no text file"),
        (lines("2024-01-02 14:30:00-05:00", "2024-01-02 14:31:00"), "utf-8", "name a time zone and"),
        (lines("01/02/2024", "02/03/2024"), "utf-8", "the day or the month.*--date-order"),
        (lines("yesterday"), "utf-8", "no time that is known"),
        ("ts;open;high;low;close\n2024-01-02 14:30:00;1,500;2,100;1,250;1,100\n", "utf-8", "--decimal"),
        (lines(*(f"2024-01-02 14:{m:02}:00" for m in range(0, 50, 5))), "utf-8", "300 s apart, not 60 s"),
        ("ts,open,high,low,close\n2024-01-02 14:30:00,-1,2,1,1\n", "utf-8", "no usable bar"),
    ],
)
def test_what_cannot_be_read_is_refused_and_changes_nothing(catalog, tmp_path, text, encoding, message):
    with pytest.raises(InvalidInput, match=message):
        imported(catalog, tmp_path, text, encoding=encoding)
    assert catalog.all() == []


@pytest.mark.parametrize(
    "symbol", ["", "../x", "a/../b", "/a", "a/", "a//b", "-a", "a b", ".", "..", "x" * 33, "a\0", None, "é"]
)
def test_what_is_no_symbol_is_refused(symbol):
    with pytest.raises(InvalidInput):
        check_symbol(symbol)


def test_importing_again_changes_nothing_and_new_bars_win(catalog, tmp_path):
    text = lines("2024-01-02 14:30:00", "2024-01-02 14:31:00")
    first = imported(catalog, tmp_path, text)[2]
    assert imported(catalog, tmp_path, text)[2].digest == first.digest
    more = imported(
        catalog, tmp_path, "ts,open,high,low,close\n2024-01-02 14:31:00,3,3,3,3\n2024-01-02 14:32:00,1,1,1,1\n"
    )
    assert more[0]["close"].to_list() == [1.5, 3.0, 1.0]
    assert more[2].digest != first.digest


def test_series_are_found_resampled_and_removed(catalog, tmp_path):
    minutes = [f"2024-01-02 14:{m:02}:00" for m in range(60)]
    imported(catalog, tmp_path, lines(*minutes))
    bars = catalog.load("T", parse_timeframe("5m"))
    assert len(bars.ts) == 12
    assert bars.volume.tolist() == [50.0] * 12
    with pytest.raises(InvalidInput, match="unknown symbol"):
        catalog.find("X", parse_timeframe("5m"))
    catalog.remove("T", parse_timeframe("1m"))
    with pytest.raises(NotFound):
        catalog.exact("T", parse_timeframe("1m"))


def test_date_ranges_include_a_whole_last_day():
    ts = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 4), "12h", eager=True, time_zone="UTC")
    price = pl.Series([1.0] * len(ts))
    frame = pl.DataFrame({"ts": ts, "open": price, "high": price, "low": price, "close": price})
    bars = to_arrays(frame)
    assert len(between(bars, "2024-01-02", "2024-01-03").ts) == 4
    assert len(between(bars, None, "2024-01-03T00:00").ts) == 4
    for start, end in (("2024-01-03", "2024-01-01"), ("x", None), ("2024-01-02T05:00", "2024-01-02T05:00")):
        with pytest.raises(InvalidInput):
            between(bars, start, end)


def test_a_days_bar_bears_its_sessions_date_in_every_zone(catalog, tmp_path):
    for zone in ("Asia/Tokyo", "Europe/London", "America/New_York", "UTC"):
        dates = imported(catalog, tmp_path, lines("2020-06-01", "2020-06-02"), "1d", tz=zone)[0]["ts"]
        assert [str(ts.date()) for ts in dates] == ["2020-06-01", "2020-06-02"]
        catalog.remove("T", parse_timeframe("1d"))
    moments = lines("2020-06-01 00:00:00-04:00", "2020-06-02 00:00:00-04:00")
    dates = imported(catalog, tmp_path, moments, "1d", tz="America/New_York")[0]["ts"]
    assert [str(ts) for ts in dates] == ["2020-06-01 00:00:00+00:00", "2020-06-02 00:00:00+00:00"]


def test_bars_of_another_age_are_refused(catalog, tmp_path):
    with pytest.raises(InvalidInput, match="9999-12-30 10:00:00' is no time"):
        imported(catalog, tmp_path, lines("9999-12-30 10:00:00", "9999-12-30 10:01:00"))
    with pytest.raises(InvalidInput, match="between 1800 and 2200"):
        imported(catalog, tmp_path, lines("99999999999", "100000000019000"), max_lost=100.0)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, inputs.zstd.compress], ids=["plain", "gzip", "zstd"])
def test_a_file_that_memory_would_not_hold_is_refused_on_the_way(catalog, tmp_path, monkeypatch, pack):
    """A few kilobytes may unpack to gigabytes: that must end neither the server nor the machine."""
    path = tmp_path / "bomb.csv"
    path.write_bytes(pack(b"ts,open,high,low,close\n" + b"2024-01-01,1,1,1,1\n" * 3_000_000))
    monkeypatch.setattr(inputs, "free_memory", lambda: 400 << 20)
    monkeypatch.setattr(inputs, "PIECE_BYTES", 1 << 20)
    monkeypatch.setattr(readers, "_by_ticker", lambda *_: pytest.fail("it was read to its end"))
    with pytest.raises(InvalidInput) as refused:
        catalog.import_file(path, "T", parse_timeframe("1d"))
    assert "too large" in str(refused.value)
    assert "400 MB of memory free" in str(refused.value)
    assert "split it" in str(refused.value)


def test_a_parquet_file_of_too_many_rows_is_refused_before_it_is_read(catalog, tmp_path, monkeypatch):
    path = tmp_path / "bomb.parquet"
    pl.DataFrame({"ts": pl.repeat(1, 3_000_000, eager=True)}).write_parquet(path)
    assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(readers, "free_memory", lambda: 400 << 20)
    monkeypatch.setattr(readers.pl, "read_parquet", lambda *_: pytest.fail("it was read"))
    with pytest.raises(InvalidInput, match="too large"):
        catalog.import_file(path, "T", parse_timeframe("1d"))


def several(catalog, tmp_path, text, **options):
    path = tmp_path / "several.csv"
    path.write_text(text)
    return catalog.import_file(path, "T", parse_timeframe("1d"), ImportOptions(**options))


SIDE_BY_SIDE = (
    "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\nTicker,AA,B/B,AA,B/B,AA,B/B,AA,B/B,AA,B/B\n"
    "Date,,,,,,,,,,\n2024-01-02,1.5,15,2,20,0.5,5,1,10,7,70\n2024-01-03,1.5,16,2,20,0.5,5,1,10,7,70\n"
)
LONG = "date,symbol,open,high,low,close,volume\n" + "".join(
    f"2024-01-0{day},{name},1,2,0.5,1.5,7\n" for day in (2, 3) for name in ("AA", "B/B")
)


@pytest.mark.parametrize("text", [SIDE_BY_SIDE, LONG], ids=["side by side", "one below the other"])
def test_all_tickers_of_a_file_are_stored_each_under_its_name(catalog, tmp_path, text):
    made = several(catalog, tmp_path, text, each_ticker=True)
    assert [one.report.ticker for one in made] == ["AA", "B/B"]
    assert [(series.symbol, series.rows) for series in catalog.all()] == [("AA", 2), ("B/B", 2)]


def test_a_preview_tells_all_and_stores_nothing(catalog, tmp_path):
    [(series, report)] = several(catalog, tmp_path, SIDE_BY_SIDE, ticker="B/B", preview=True)
    assert (series.rows, report.ticker, report.columns["close"]) == (2, "B/B", "Close")
    assert report.preview[0]["close"] == 15.0
    assert catalog.all() == []


def test_a_series_says_whose_days_and_what_prices_it_has(catalog, tmp_path):
    rows = lines("2024-01-02", "2024-01-03")
    session = "17:00 America/New_York"
    [(series, _)] = several(catalog, tmp_path, rows, session=session, prices="raw")
    assert (series.zone, series.session, series.prices) == ("America/New_York", session, "raw")
    [(_, report)] = several(catalog, tmp_path, rows, prices="split-adjusted")
    assert any("split-adjusted prices join raw ones" in warning for warning in report.warnings)
    with pytest.raises(InvalidInput, match="have the session 17:00"):
        several(catalog, tmp_path, rows, session="24x7")


@pytest.mark.parametrize(
    "options",
    [
        {"decimal": "x"}, {"date_order": "ydm"}, {"stamp": "end"}, {"prices": "net"}, {"skip_lines": -1},
        {"max_lost": 101.0}, {"max_lost": float("nan")}, {"ticker": "A", "each_ticker": True}, {"columns": "ts"},
        {"adjust": True, "prices": "raw"},
    ],
)  # fmt: skip
def test_options_out_of_range_or_in_contradiction_are_refused(options):
    with pytest.raises(InvalidInput):
        ImportOptions(**options)
