"""Files of bars in whatever dialect come back as the bars they were made from, or are refused.

A file is made of known bars: one strategy draws when they are and how their times are written, one how numbers are, one
how lines are laid out. What no reader could tell apart may be refused; nothing may come back otherwise.
"""

from __future__ import annotations

import gzip
import os
import random
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pitboss.core.errors import InvalidInput
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.options import ImportOptions
from pitboss.market.store import BarStore

FILES = int(os.environ.get("FILES", "200"))  # of each kind; with 500 they are over 2,000 in all
# the suite makes the same files every time; with NEW_FILES=1 they are new ones
SAME_FILES = "NEW_FILES" not in os.environ
ZONES = ["UTC", "America/New_York", "Europe/London", "Asia/Tokyo", "Asia/Kolkata", "Australia/Sydney", "Europe/Athens"]
INTRADAY = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400}


@dataclass
class Bars:
    """What is true: starts (UTC seconds since 1970), prices and volumes as whole numbers of the last digit."""

    timeframe: str
    starts: list[int]
    prices: np.ndarray  # (N, 4) open, high, low, close
    volumes: list[int | None]
    digits: int


@dataclass
class File:
    """A file to be made: a text for every cell of the time, and the options to read it with."""

    times: list[list[str]]
    options: dict = field(default_factory=dict)
    may_refuse: bool = False


@st.composite
def made_bars(draw, daily: bool | None = None) -> Bars:
    is_daily = draw(st.booleans()) if daily is None else daily
    timeframe = draw(st.sampled_from(["1d"] if is_daily else list(INTRADAY)))
    step = 86_400 if is_daily else INTRADAY[timeframe]
    rng = random.Random(draw(st.integers(0, 2**32)))
    start = draw(st.integers(2 * 365, 60 * 365)) * 86_400
    if not is_daily:
        start += draw(st.integers(0, 86_400 // 60 - 1)) * 60 // step * step
        start += draw(st.sampled_from([0, 0, 30 * 60, 15 * 60])) % step
    count = draw(st.integers(6, 60))
    starts, at, gaps = [], start, set(rng.sample(range(count), rng.randint(0, count // 5)))
    for k in range(count):
        starts.append(at)
        at += step * (rng.randint(2, 4) if k in gaps else 1)
    digits = draw(st.integers(0, 5))
    level = draw(st.sampled_from([5, 120, 990, 15_000, 101_000, 1_300_000])) * 10 ** max(0, digits - 2)
    closes = [max(4, level + rng.randint(-level // 9 - 1, level // 9 + 1)) for _ in range(count)]
    rows = []
    for k, close in enumerate(closes):
        first = closes[k - 1]
        spread = rng.randint(0, level // 50 + 1)
        rows.append((first, max(first, close) + spread, max(1, min(first, close) - spread), close))
    volumes = [None if rng.random() < 0.05 else rng.choice([0, 7, 850, 12_345, 3_456_789]) for _ in range(count)]
    return Bars(timeframe, starts, np.array(rows), volumes, digits)


def number(value: int, digits: int) -> str:
    text = f"{value:0{digits + 1}d}"
    return f"{text[:-digits]}.{text[-digits:]}" if digits else text


def imported(made: Bars, content: bytes, options: dict, symbol: str = "T", name: str = "bars.csv"):
    """Answer the frame that an import stores, None when it refuses the file and has stored nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        store = BarStore(LocalFiles(Path(folder) / "data"))
        timeframe = parse_timeframe(made.timeframe)
        try:
            [(_, report)] = store.import_file(path, symbol, timeframe, ImportOptions(**options))
        except InvalidInput as refused:
            assert store.all() == []
            return None, str(refused)
        return store.frame(symbol, timeframe), report


def check(made: Bars, found, told, context, may_refuse: bool = False) -> None:
    if found is None:
        assert may_refuse, (told, context)
        return
    assert [int(ts.timestamp()) for ts in found["ts"]] == made.starts, (context, found)
    for k, name in enumerate(("open", "high", "low", "close")):
        wanted = [float(number(int(row[k]), made.digits)) for row in made.prices]
        assert found[name].to_list() == pytest.approx(wanted, rel=1e-9), (context, found)
    for own, wanted in zip(found["volume"], made.volumes, strict=True):
        assert np.isnan(own) if wanted is None else own == wanted, (context, found)


# --- times

DATES = {
    "%Y-%m-%d": "", "%Y/%m/%d": "", "%Y.%m.%d": "", "%Y%m%d": "", "%d.%m.%Y": "", "%d-%b-%Y": "", "%b %d, %Y": "",
    "%d %B %Y": "", "%a %d %b %Y": "", "%d/%m/%Y": "dmy", "%m/%d/%Y": "mdy", "%d-%m-%Y": "dmy", "%m-%d-%y": "mdy",
    "%y/%m/%d": "ymd", "%-d/%-m/%Y": "dmy", "%-m/%-d/%y": "mdy",
}  # fmt: skip
CLOCKS = ["%H:%M", "%H:%M:%S", "%H:%M:%S.000", "%I:%M %p", "%I:%M:%S %p", "%-H:%M"]
OFFSETS = ["Z", " UTC", "+HH:MM", "+HHMM", " +HH:MM", " GMT+HHMM"]
EPOCHS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000, "float": None}


def offset_text(moment: datetime, spelling: str) -> str:
    minutes = int(moment.utcoffset().total_seconds()) // 60
    sign, hours, rest = ("-" if minutes < 0 else "+"), abs(minutes) // 60, abs(minutes) % 60
    return spelling.replace("+HH:MM", f"{sign}{hours:02}:{rest:02}").replace("+HHMM", f"{sign}{hours:02}{rest:02}")


@st.composite
def intraday_times(draw, made: Bars) -> File:
    zone = draw(st.sampled_from(ZONES))
    moments = [datetime.fromtimestamp(start, UTC) for start in made.starts]
    how = draw(st.sampled_from(["zone", "zone", "offset", "epoch"]))
    if how == "epoch":
        unit = draw(st.sampled_from(list(EPOCHS)))
        texts = [f"{s}.0" if unit == "float" else str(s * EPOCHS[unit]) for s in made.starts]
        # a hundred thousand seconds and the same of milliseconds are the same digits
        return File([[text] for text in texts], may_refuse=unit not in ("s", "float") and made.starts[0] < 10**8)
    date = draw(st.sampled_from(list(DATES)))
    clock = draw(st.sampled_from(CLOCKS))
    join = draw(st.sampled_from([" ", " ", "T"])) if date in ("%Y-%m-%d", "%Y%m%d") else " "
    local = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    options: dict = {}
    if how == "zone":
        suffixes = [""] * len(local)
        options["tz"] = zone
    else:
        spelling = draw(st.sampled_from(OFFSETS))
        if spelling in ("Z", " UTC"):
            local = moments
        suffixes = [offset_text(moment, spelling) for moment in local]
    is_apart = how == "zone" and draw(st.booleans())
    times = [
        [moment.strftime(date), moment.strftime(clock)] if is_apart
        else [moment.strftime(f"{date}{join}{clock}") + suffix]
        for moment, suffix in zip(local, suffixes, strict=True)
    ]  # fmt: skip
    if DATES[date] and draw(st.booleans()):
        options["date_order"] = DATES[date]
    # a bar in the hour that clocks repeat, whose other pass is not in the file, may be of either
    assume(how == "offset" or not any(is_repeated(moment) for moment in local))
    return File(times, options, may_refuse=bool(DATES[date]) and "date_order" not in options)


def is_repeated(moment: datetime) -> bool:
    return moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()


@st.composite
def daily_times(draw, made: Bars) -> File:
    """Days as dates, as midnights of some zone with their offset, or as epochs of the day in UTC."""
    days = [datetime.fromtimestamp(start, UTC) for start in made.starts]
    how = draw(st.sampled_from(["date", "midnight", "offset", "epoch", "zone's epoch"]))
    if how == "epoch":
        return File(
            [[str(start * draw(st.sampled_from([1, 1_000])))] for start in made.starts],
            may_refuse=made.starts[0] < 10**8,
        )
    if how == "zone's epoch":
        zone = draw(st.sampled_from(ZONES))
        local = [day.replace(tzinfo=ZoneInfo(zone)) for day in days]
        return File([[str(int(day.timestamp()))] for day in local], {"timezone": zone})
    if how == "offset":
        zone = draw(st.sampled_from(ZONES))
        local = [day.replace(tzinfo=ZoneInfo(zone)) for day in days]
        return File([[f"{day:%Y-%m-%d %H:%M:%S}" + offset_text(day, "+HH:MM")] for day in local])
    date = draw(st.sampled_from(list(DATES)))
    clock = " %H:%M:%S" if how == "midnight" else ""
    options = {"date_order": DATES[date]} if DATES[date] and draw(st.booleans()) else {}
    times = [[day.strftime(date + clock)] for day in days]
    return File(times, options, may_refuse=not options and bool(DATES[date]))


# --- lines

NAMES = [
    ["Date", "Open", "High", "Low", "Close", "Volume"], ["timestamp", "o", "h", "l", "c", "v"],
    ["<DATE>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>"], ["Datetime", "OPEN", "HIGH", "LOW", "Close/Last", "Vol."],
    ["time", "T.Open", "T.High", "T.Low", "T.Close", "T.Volume"], ["Open time", "open", "high", "low", "close", "volume"],
]  # fmt: skip


@st.composite
def laid_out(draw, made: Bars, file: File, cells: list[list[str]], plain: bool) -> tuple[bytes, str]:
    """Answer a file of rows: `cells` are those of prices and volume, in any order of columns."""
    quoted = draw(st.booleans())
    texts = [text for row in [*file.times, *cells] for text in row]
    unfit = {"," if any("," in text for text in texts) else "", "." if False else ""}
    separator = draw(st.sampled_from([s for s in (",", ";", "\t", "|") if quoted or s not in unfit]))
    names = list(draw(st.sampled_from(NAMES)))
    times = ["Date", "Time"] if len(file.times[0]) == 2 else names[:1]
    columns = [*times, *names[1:]]
    rows = [[*time, *row] for time, row in zip(file.times, cells, strict=True)]
    if plain and draw(st.booleans()):
        order = draw(st.permutations(range(len(columns))))
        columns = [columns[k] for k in order]
        rows = [[row[k] for k in order] for row in rows]
    if draw(st.booleans()):
        rows.reverse()
    extra = draw(st.sampled_from([None, None, "Ticker", "Trades"]))
    if extra:
        columns.append(extra)
        rows = [[*row, "ABC" if extra == "Ticker" else str(k % 7)] for k, row in enumerate(rows)]
    space = " " if draw(st.booleans()) and separator != "\t" else ""
    tail = separator if draw(st.integers(0, 5)) == 0 else ""
    quote = (lambda text: f'"{text}"') if quoted else (lambda text: text)
    lines = [(separator + space).join(map(quote, columns))]
    lines += [(separator + space).join(map(quote, row)) + tail for row in rows]
    if draw(st.integers(0, 3)) == 0:
        lines = draw(st.sampled_from([["# by somebody"], ["Prices of T, all rights reserved", ""], ["", ""]])) + lines
    if draw(st.integers(0, 3)) == 0:
        lines += draw(st.sampled_from([["Source: a broker"], ["", "# end"], [""]]))
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n"]))
    content = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"])))
    return gzip.compress(content) if draw(st.integers(0, 9)) == 0 else content, text


def plain_cells(made: Bars) -> list[list[str]]:
    return [
        [*(number(int(value), made.digits) for value in row), "" if volume is None else str(volume)]
        for row, volume in zip(made.prices, made.volumes, strict=True)
    ]


@pytest.mark.parametrize(("daily", "times"), [(False, intraday_times), (True, daily_times)], ids=["intraday", "daily"])
@settings(max_examples=FILES, deadline=None, derandomize=SAME_FILES)
@given(data=st.data())
def test_files_of_every_layout_and_spelling_of_time(daily, times, data):
    made = data.draw(made_bars(daily=daily))
    file = data.draw(times(made))
    content, text = data.draw(laid_out(made, file, plain_cells(made), plain=True))
    check(made, *imported(made, content, file.options), (file.options, text), file.may_refuse)


# --- numbers


def grouped(value: int, digits: int, decimal: str, thousands: str) -> str:
    whole, _, rest = number(value, digits).partition(".")
    return f"{int(whole):,}".replace(",", thousands) + (f"{decimal}{rest}" if rest else "")


def shortened(volume: int) -> str:
    for suffix, unit in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if volume >= unit:
            return f"{volume / unit:.6f}".rstrip("0").rstrip(".") + suffix
    return str(volume)


@settings(max_examples=FILES, deadline=None, derandomize=SAME_FILES)
@given(data=st.data())
def test_files_of_numbers_as_people_write_them(data):
    made = data.draw(made_bars(daily=True))
    decimal, thousands = data.draw(
        st.sampled_from([(".", ","), (",", "."), (".", "'"), (",", " "), (",", "\u00a0"), (".", "")])
    )
    sign = data.draw(st.sampled_from(["", "", "$", "€", "USD "]))
    word = data.draw(st.sampled_from(["", "N/A", "-", "null", "nan"]))
    is_short = data.draw(st.booleans()) and decimal == "."
    times = [[f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d}"] for start in made.starts]
    cells = [
        [*(sign + grouped(int(value), made.digits, decimal, thousands) for value in row),
         word if volume is None else shortened(volume) if is_short else grouped(volume, 0, decimal, thousands)]
        for row, volume in zip(made.prices, made.volumes, strict=True)
    ]  # fmt: skip
    is_said = data.draw(st.booleans())
    options = {"decimal": "comma" if decimal == "," else "point"} if is_said else {}
    content, text = data.draw(laid_out(made, File(times), cells, plain=False))
    check(made, *imported(made, content, options), (options, text), may_refuse=not is_said)


# --- defects


@settings(max_examples=FILES, deadline=None, derandomize=SAME_FILES)
@given(data=st.data())
def test_files_with_defects_lose_nothing_unsaid(data):
    """Rows that make no bar are counted and, beyond the limit, refuse the file; the others come back as they are."""
    made = data.draw(made_bars(daily=False))
    assume(made.digits != 3)  # a whole number that is put beside 1.234 leaves open what its point is
    rows = plain_cells(made)
    times = [f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M:%S}" for start in made.starts]
    lines = [",".join([time, *row]) for time, row in zip(times, rows, strict=True)]
    spoiled = data.draw(st.sets(st.integers(1, len(lines) - 2), max_size=4))
    for k in spoiled:
        time, cells = times[k], rows[k]
        lines[k] = data.draw(st.sampled_from([
            ",".join(["soon", *cells]), ",".join([time, "x", *cells[1:]]), ",".join([time, cells[0], "", *cells[2:]]),
            ",".join([time, *cells[:2]]), ",".join([time, "-5", *cells[1:]]), ",".join([time, "0", *cells[1:]]),
            ",".join([f"{time[:5]}13-45{time[10:]}", *cells]),
        ]))  # fmt: skip
    repeats = data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=3))
    content = "\n".join(["ts,open,high,low,close,volume", *lines, *(lines[k] for k in repeats)]).encode()
    allowed = data.draw(st.sampled_from([2.0, 50.0, 100.0]))
    found, told = imported(made, content, {"max_lost": allowed})
    lost = len(spoiled) + sum(k in spoiled for k in repeats)
    if lost > allowed / 100 * (len(lines) + len(repeats)):
        assert found is None
        assert f"{lost:,} of {len(lines) + len(repeats):,} rows would be lost" in told
        return
    if found is None:
        assert "s apart, not" in told  # so few are left that their distances say nothing
        return
    kept = [k for k in range(len(lines)) if k not in spoiled]
    left = Bars(
        made.timeframe, [made.starts[k] for k in kept], made.prices[kept], [made.volumes[k] for k in kept], made.digits
    )
    check(left, found, told, content)
    assert told.lost == lost
    assert told.duplicates == sum(k not in spoiled for k in repeats)


# --- several tickers


@settings(max_examples=FILES // 5, deadline=None, derandomize=SAME_FILES)
@given(data=st.data())
def test_files_of_several_tickers_are_never_merged(data):
    both = [data.draw(made_bars(daily=True)) for _ in range(2)]
    assume(all(made.digits != 3 for made in both))  # whole numbers beside 1.234 leave open what its point is
    rows = [
        [f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d}", name, *cells]
        for name, made in zip(("AAA", "BB.B"), both, strict=True)
        for start, cells in zip(made.starts, plain_cells(made), strict=True)
    ]
    if data.draw(st.booleans()):
        rows.sort()
    content = "\n".join(
        ",".join(row) for row in [["date", "symbol", "open", "high", "low", "close", "volume"], *rows]
    ).encode()
    found, told = imported(both[0], content, {})
    assert found is None
    assert "--ticker" in told
    for name, made in zip(("AAA", "BB.B"), both, strict=True):
        check(made, *imported(made, content, {"ticker": name}), content)


# --- the times of bars


@settings(max_examples=FILES // 5, deadline=None, derandomize=SAME_FILES)
@given(made=made_bars(daily=False), seconds=st.sampled_from([0, 0, 1]))
def test_ends_of_bars_become_their_starts(made, seconds):
    step = INTRADAY[made.timeframe]
    ends = [datetime.fromtimestamp(start + step - seconds, UTC) for start in made.starts]
    rows = [",".join([f"{end:%Y-%m-%dT%H:%M:%S}", *cells]) for end, cells in zip(ends, plain_cells(made), strict=True)]
    content = "\n".join(["ts,open,high,low,close,volume", *rows]).encode()
    check(made, *imported(made, content, {"stamp": "close"}), content)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Australia/Sydney"])
@pytest.mark.parametrize("step", [5, 15, 30, 60])
@pytest.mark.parametrize("is_newest_first", [False, True])
def test_the_hour_that_clocks_repeat_is_told_apart_by_the_order_of_rows(zone, step, is_newest_first):
    first = {"America/New_York": datetime(2024, 11, 3, tzinfo=UTC), "Europe/London": datetime(2024, 10, 26, 20, tzinfo=UTC),
             "Australia/Sydney": datetime(2024, 4, 6, 10, tzinfo=UTC)}[zone]  # fmt: skip
    moments = [first + timedelta(minutes=step * k) for k in range(12 * 60 // step)]
    prices = np.array([[100 + k, 101 + k, 99 + k, 100 + k] for k in range(len(moments))])
    timeframe = "1h" if step == 60 else f"{step}m"
    made = Bars(timeframe, [int(m.timestamp()) for m in moments], prices, [5] * len(moments), 0)
    rows = [",".join([f"{m.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}", *cells])
            for m, cells in zip(moments, plain_cells(made), strict=True)]  # fmt: skip
    rows = rows[::-1] if is_newest_first else rows
    content = "\n".join(["ts,open,high,low,close,volume", *rows]).encode()
    check(made, *imported(made, content, {"tz": zone}), content)
