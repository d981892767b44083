"""A screen checked before it is queued, with its document, its universe and its date fixed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pitboss.calendars.spelling import read_session
from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS, parse_timeframe
from pitboss.kinds.documents.feeds import chosen, fixed
from pitboss.kinds.documents.models import fix_models
from pitboss.kinds.documents.prepare import DECISIVE, Mistakes, Sources, versions
from pitboss.kinds.screen.params import ScreenParams
from pitboss.market.catalog import Catalog, Series
from pitboss.market.dates import EVER, latest_shared, range_of, span_of
from pitboss.market.universes import Members, members_of
from pitboss.runs.kinds import Prepared, read_params
from pitboss.runs.model import Run
from pitboss.screening.builtin import screen_text
from pitboss.screening.document import ScreenDocument
from pitboss.screening.program import Screen, compile_screen
from pitboss.screening.reader import read_screen

THURSDAY, FRIDAY = 3, 4  # days after Monday: 1970-01-01 was the one
EXCHANGES_CLOSED = 21 * 3_600_000_000  # microseconds of a day, UTC


@dataclass(frozen=True)
class Request:
    """A checked request: which screen, and which bars it judges: those that open from `low` on and before `high`
    (microseconds), `when` in words."""

    screen: Screen
    low: int
    high: int
    when: str
    is_range: bool
    horizons: tuple[int, ...]
    cost: float


def prepare(params: ScreenParams, sources: Sources) -> Prepared:
    """Check a screen and fix its sources. Raises InvalidInput with every mistake."""
    mistakes = Mistakes()
    text = mistakes.attempt(lambda: screen_text(params.screen, sources.screens))
    request = mistakes.attempt(lambda: read_request(params, text, params.date)) if text is not None else None
    source = None
    if params.fetch == "missing" and sources.feeds:
        source = mistakes.attempt(lambda: chosen(None, sources))
    universe = (
        mistakes.attempt(lambda: Universe.of(params, request, sources.bars, source is not None)) if request else None
    )
    mistakes.tell()
    assert text is not None
    assert request is not None
    assert universe is not None
    document = request.screen.document
    if source is None:
        universe.check_time(request, sources.bars)
    is_range = bool(params.start or params.end)
    subject = f"screen/{document.name}"
    snapshot = {
        "tried": 1 if not is_range else tried(params, text, sources.earlier(subject)),
        "screen": {"name": document.name, "text": text, "digest": _digest(text)},
        "universe": universe.as_dict(),
        # where bars are fetched first, the last session is known when that is done
        "date": None if is_range else params.date or ("" if source else last_session(universe.series.values())),
        "home": sources.bars.home,
        **(fixed(source) if source else {}),
        "timeframe": str(document.timeframe),
        "data_digest": data_digest({name: series.digest for name, series in universe.series.items()}),
        "places": list(sources.bars.places),
        "is_synthetic": any(series.is_synthetic for series in universe.series.values()),
        "versions": dict(versions()),
        **_models_of(document, params, sources),
    }
    rows = sum(universe.series[ticker].rows for ticker in universe.tickers if ticker in universe.series)
    work = {"bars": float(rows)}
    return Prepared(subject, snapshot | {"work": work}, identity_of(snapshot), work, universe.cautions)


def _models_of(document: ScreenDocument, params: ScreenParams, sources: Sources) -> dict[str, Any]:
    """Answer the models that a screen asks on its dates."""
    is_range = params.start or params.end
    low, high = span_of(params.start, params.end) if is_range else range_of(params.date, params.date)
    return fix_models(document.models, sources.models, sources.seen, low, high)


def data_digest(digests: Mapping[str, str]) -> str:
    """Answer one digest of those of several series."""
    return _digest(*(f"{name} {digest}" for name, digest in sorted(digests.items())))


def tried(params: ScreenParams, text: str, earlier: Iterable[Run]) -> int:
    """Answer how many variants of a screen, by text and parameters, were tried over ranges of dates, this one among
    them."""
    variants = {_variant(params.values, text)}
    for run in earlier:
        known, problems = read_params(ScreenParams, run.params)
        if not problems and run.snapshot["date"] is None:
            variants.add(_variant(known.values, run.snapshot["screen"]["text"]))
    return len(variants)


def _variant(values: Mapping[str, Any], text: str) -> str:
    return _digest(text, json.dumps(values, sort_keys=True))


def pinned(params: Mapping[str, Any], snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Name the screen by the text that was run, the date and the tickers as they were found."""
    fixed: dict[str, Any] = {"screen": snapshot["screen"]["text"]}
    universe = snapshot["universe"]
    if not universe["spans"]:
        fixed |= {"universe_source": "list", "tickers": universe["tickers"].split(" ")}
    kept = {name: value for name, value in params.items() if name != "universe_file" or universe["spans"]}
    return {**kept, **fixed, **({"date": snapshot["date"]} if snapshot["date"] else {})}


def read_request(params: ScreenParams, text: str, date: str | None) -> Request:
    """Check params against the screen's text; `date` is that of a screen of one date. Raises InvalidInput with every
    mistake."""
    mistakes = Mistakes()
    document = mistakes.attempt(lambda: read_screen(text))
    screen = mistakes.attempt(lambda: compile_screen(document, params.values)) if document is not None else None
    bounds = mistakes.attempt(lambda: _bounds(params, date))
    mistakes.tell()
    assert screen is not None
    assert bounds is not None
    return Request(
        screen, *bounds, is_range=date is None, horizons=tuple(params.horizons or ()), cost=params.cost or 0.0
    )


def _called(source: str) -> str:
    return {"catalog": "the catalog", "file": "a file"}.get(source, source)


def _bounds(params: ScreenParams, date: str | None) -> tuple[int, int, str]:
    if params.date and (params.start or params.end):
        raise InvalidInput("there is a date and a range of dates", "give one of them", "date")
    low, high = span_of(date or params.start, date or params.end)
    when = f"on {date}" if date else f"from {params.start or 'the first'} to {params.end or 'the last'}"
    return low, high, when


@dataclass(frozen=True)
class Universe:
    """What is screened, in its order, and the series of all that a screen looks at, by symbol."""

    source: str
    members: Members
    series: Mapping[str, Series]

    @classmethod
    def of(cls, params: ScreenParams, request: Request, catalog: Catalog, is_fetched: bool) -> Universe:
        """Find the tickers and their bars. Raises InvalidInput where none of them is known, nor `is_fetched` first."""
        document = request.screen.document
        stored = catalog.fitting(document.timeframe)
        source, file, listed = _asked(params, document)
        if source == "list" and not listed:
            raise InvalidInput("the universe is a list without tickers", 'write tickers: ["AAPL"]', "tickers")
        if source != "list" and listed:
            what = f"there are tickers, and the universe is {_called(source)}"
            raise InvalidInput(what, "leave one of them out", "tickers")
        if (source == "file") != bool(file):
            what = "the universe is a file without a name" if source == "file" else "there is a file, and no use for it"
            raise InvalidInput(what, "write universe_source: file and universe_file: mine", "universe_file")
        if source in ("list", "catalog"):
            tickers = listed or [symbol for symbol in stored if symbol not in document.symbols]
            members = Members(dict.fromkeys(tickers, (EVER,)), is_dated=False)
        else:
            members = members_of(catalog.files, file or source).between(request.low, request.high)
        if not members.spans or not (is_fetched or any(ticker in stored for ticker in members.spans)):
            what = "there is nothing to screen" if source == "catalog" else "none of the tickers is known"
            raise InvalidInput(f"{what}: there are no {document.timeframe} bars of them",
                               "import some with 'pitboss data import'", "tickers")  # fmt: skip
        for symbol in sorted(document.symbols - set(stored)) if not is_fetched else ():
            what = f"the screen looks at {symbol}, of which there are no {document.timeframe} bars"
            raise InvalidInput(what, f"import {symbol} with 'pitboss data import'", "screen")
        found = {symbol: stored[symbol] for symbol in {*members.spans, *document.symbols} if symbol in stored}
        return cls(file or source, members, found)

    @property
    def tickers(self) -> tuple[str, ...]:
        return tuple(self.members.spans)

    def as_dict(self) -> dict[str, Any]:
        """Answer what a snapshot says of it: texts, for there may be thousands of names."""
        dated = {name: spans for name, spans in self.members.spans.items() if spans != (EVER,)}
        return {
            "source": self.source, "tickers": " ".join(self.tickers), "absent": " ".join(self.absent),
            "is_dated": self.members.is_dated, "spans": dated,
        }  # fmt: skip

    @property
    def absent(self) -> list[str]:
        """The tickers of which there are no bars."""
        return [ticker for ticker in self.tickers if ticker not in self.series]

    def check_time(self, request: Request, catalog: Catalog) -> None:
        """Raise InvalidInput where none of the tickers has a bar in the time that is judged."""
        known = [self.series[ticker] for ticker in self.tickers if ticker in self.series]
        if any(catalog.has_bars(series, request.low, request.high) for series in known):
            return
        first, last = (micros_to_iso(found)[:10] for found in (min(s.first for s in known), max(s.last for s in known)))
        what = f"none of the tickers has a bar {request.when}"
        raise InvalidInput(what, f"there are bars from {first} to {last}: choose a session among them", "date")

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a person should think about before such a screen starts."""
        absent = self.absent
        if not absent:
            return ()
        shown = ", ".join(absent[:5]) + (f" and {len(absent) - 5:,} more" if len(absent) > 5 else "")
        return (f"there are no bars of {shown}",)


def _asked(params: ScreenParams, document: ScreenDocument) -> tuple[str, str | None, Sequence[str]]:
    """Answer where the universe comes from, the name of its file and the tickers that are listed: by the params, else
    by the document."""
    source, file, listed = params.universe_source, params.universe_file, params.tickers
    if source or file or listed:
        return source or ("list" if listed else "catalog"), file, listed
    own = document.universe
    if isinstance(own, tuple):
        return "list", None, own
    return ("catalog", None, ()) if own in ("", "catalog") else ("file", own, ())


def last_session(series: Iterable[Series]) -> str:
    """Answer the date of the last bars that are complete, as far as many series have them. Raises InvalidInput where
    there are none."""
    day = latest_shared(_last_day(each) for each in series)
    if day is None:
        raise InvalidInput("there are no bars of any of the tickers", "see why in the run's log", "tickers")
    return micros_to_iso(day)[:10]


def _last_day(series: Series) -> int:
    """Answer the day of a series' last bar, or of the one before where that has not ended by the clock. Calendars are
    too heavy for whoever checks requests: an exchange's day has ended by 21:00 UTC, any other with its zone's date."""
    timeframe, read = parse_timeframe(series.timeframe), read_session(series.session) if series.session else None
    day = series.last // DAY_MICROS
    if not timeframe.is_daily:
        ends = series.last + timeframe.micros
    elif isinstance(read, str):
        ends = day * DAY_MICROS + EXCHANGES_CLOSED
    else:
        midnight = datetime.fromtimestamp((day + 1) * DAY_MICROS / 1e6, UTC).replace(
            tzinfo=ZoneInfo(series.zone or "UTC")
        )
        ends = round(midnight.timestamp() * 1e6)
    if ends <= time.time_ns() // 1000:
        return day * DAY_MICROS
    before = (series.last - timeframe.micros) // DAY_MICROS
    weekend = max(0, (before + THURSDAY) % 7 - FRIDAY) if isinstance(read, str) else 0
    return (before - weekend) * DAY_MICROS


def identity_of(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """Answer what decides a result: digests of the screen and of all bars, the date, and the versions installed now."""
    return {
        "the screen's text": snapshot["screen"]["digest"],
        "the bars": snapshot["data_digest"],
        "the tickers": _digest(snapshot["universe"]["tickers"], json.dumps(snapshot["universe"]["spans"])),
        "the date": str(snapshot["date"]),
        **{f"the model {name}": described["digest"] for name, described in snapshot.get("models", {}).items()},
        **{name: found for name, found in versions() if name in DECISIVE},
    }


def _digest(*texts: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()
