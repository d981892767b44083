"""A screen checked before it is queued, with its document, its universe and its date fixed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput, suggest
from pitboss.core.timeframe import DAY_MICROS, parse_timeframe
from pitboss.kinds.documents.prepare import DECISIVE, Mistakes, Sources, versions
from pitboss.kinds.screen.params import ScreenParams
from pitboss.market.catalog import Catalog, Series
from pitboss.market.dates import range_of
from pitboss.runs.kinds import Prepared
from pitboss.screening.builtin import builtin_screens
from pitboss.screening.document import ScreenDocument
from pitboss.screening.program import Screen, compile_screen
from pitboss.screening.reader import read_screen

EVER = 1 << 62


@dataclass(frozen=True)
class Request:
    """A checked request: which screen, and which bars it judges: those that open from `low` on and before `high`
    (microseconds), `when` in words."""

    screen: Screen
    low: int
    high: int
    when: str = ""


def prepare(params: ScreenParams, sources: Sources) -> Prepared:
    """Check a screen and fix its sources. Raises InvalidInput with every mistake."""
    mistakes = Mistakes()
    text = mistakes.attempt(lambda: text_of(params.screen)) or ""
    request = mistakes.attempt(lambda: read_request(params, text, params.date)) if text else None
    document = request.screen.document if request else ScreenDocument(name="", text="")
    universe = mistakes.attempt(lambda: Universe.of(params, document, sources.bars))
    mistakes.tell()
    assert request is not None
    assert universe is not None
    universe.check_time(request, sources.bars)
    is_range = bool(params.start or params.end)
    snapshot = {
        "screen": {"name": document.name, "text": text, "digest": _digest(text)},
        "universe": {
            "source": universe.source,
            "tickers": " ".join(universe.tickers),
            "absent": " ".join(universe.absent),
        },
        "date": None if is_range else params.date or universe.last_session(),
        "timeframe": str(document.timeframe),
        "data_digest": _digest(*(f"{name} {series.digest}" for name, series in sorted(universe.series.items()))),
        "places": list(sources.bars.places),
        "is_synthetic": any(series.is_synthetic for series in universe.series.values()),
        "versions": dict(versions()),
    }
    rows = sum(universe.series[ticker].rows for ticker in universe.tickers if ticker in universe.series)
    work = {"bars": float(rows)}
    return Prepared(
        f"screen/{document.name}", snapshot | {"work": work}, identity_of(snapshot), work, universe.cautions
    )  # fmt: skip


def pinned(params: Mapping[str, Any], snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Name the screen by the text that was run, the date and the tickers as they were found."""
    fixed: dict[str, Any] = {"screen": snapshot["screen"]["text"], "universe_source": "list"}
    fixed["tickers"] = snapshot["universe"]["tickers"].split(" ")
    return {**params, **fixed, **({"date": snapshot["date"]} if snapshot["date"] else {})}


def text_of(given: str) -> str:
    """Answer the text of a screen by its name, dash and underscore alike, or as it was given. Raises InvalidInput."""
    if "\n" in given or ":" in given:
        return given
    known = builtin_screens()
    text = known.get(given.strip().replace("_", "-"))
    if text is None:
        raise InvalidInput(f"there is no screen '{given[:60]}'", suggest(given, known), "screen")
    return text


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
    return Request(screen, *bounds)


def _bounds(params: ScreenParams, date: str | None) -> tuple[int, int, str]:
    if params.date and (params.start or params.end):
        raise InvalidInput("there is a date and a range of dates", "give one of them", "date")
    low, high = range_of(date or params.start, date or params.end)
    when = f"on {date}" if date else f"from {params.start or 'the first'} to {params.end or 'the last'}"
    return low or 0, EVER if high is None else high, when


@dataclass(frozen=True)
class Universe:
    """What is screened, in its order, and the series of all that a screen looks at, by symbol."""

    source: str
    tickers: tuple[str, ...]
    series: Mapping[str, Series]

    @classmethod
    def of(cls, params: ScreenParams, document: ScreenDocument, catalog: Catalog) -> Universe:
        """Find the tickers and their bars. Raises InvalidInput where none of them is known."""
        stored = catalog.fitting(document.timeframe)
        source = params.universe_source or ("list" if params.tickers else "catalog")
        if source == "list" and not params.tickers:
            raise InvalidInput("the universe is a list without tickers", 'write tickers: ["AAPL"]', "tickers")
        if source == "catalog" and params.tickers:
            raise InvalidInput("there are tickers, and the universe is the catalog", "leave one of them out", "tickers")
        tickers = params.tickers or [symbol for symbol in stored if symbol not in document.symbols]
        if not any(ticker in stored for ticker in tickers):
            what = "none of the tickers is known" if params.tickers else "there is nothing to screen"
            raise InvalidInput(f"{what}: there are no {document.timeframe} bars of them",
                               "import some with 'pitboss data import'", "tickers")  # fmt: skip
        for symbol in sorted(document.symbols - set(stored)):
            what = f"the screen looks at {symbol}, of which there are no {document.timeframe} bars"
            raise InvalidInput(what, f"import {symbol} with 'pitboss data import'", "screen")
        found = {symbol: stored[symbol] for symbol in {*tickers, *document.symbols} if symbol in stored}
        return cls(source, tuple(tickers), found)

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

    def last_session(self) -> str:
        """Answer the date of the last bars that are complete."""
        now = time.time_ns() // 1000
        closed = [min(each.last, now - parse_timeframe(each.timeframe).micros) for each in self.series.values()]
        return micros_to_iso(max(closed) // DAY_MICROS * DAY_MICROS)[:10]


def identity_of(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """Answer what decides a result: digests of the screen and of all bars, the date, and the versions installed now."""
    return {
        "the screen's text": snapshot["screen"]["digest"],
        "the bars": snapshot["data_digest"],
        "the tickers": _digest(snapshot["universe"]["tickers"]),
        "the date": str(snapshot["date"]),
        **{name: found for name, found in versions() if name in DECISIVE},
    }


def _digest(*texts: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()
