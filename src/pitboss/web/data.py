"""Data: what bars there are, how whole they are, and files brought in after a look at what would be stored."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.core.errors import InvalidInput, PitbossError, Problem, problems_of
from pitboss.core.timeframe import parse_timeframe
from pitboss.http.deps import Ask, Importer
from pitboss.http.upload import uploaded
from pitboss.market.catalog import Series
from pitboss.market.options import DATE_ORDERS, DECIMALS, PRICE_KINDS, STAMPS, ImportOptions
from pitboss.market.sources import held_until, source_of
from pitboss.web.pages import Desk, Visit

router = APIRouter()
MOST_GAPS = 50
PIECES = 120
CHOICES = {"decimal": DECIMALS, "date_order": DATE_ORDERS, "stamp": STAMPS, "prices": PRICE_KINDS}
TEXTS = ("tz", "columns", "ticker", "session", "timezone")
FLAGS = ("adjust", "allow_negative", "strict")
REPAIRS = (
    "unreadable", "not_a_number", "non_positive", "volume_unreadable", "high_below_low", "out_of_order", "misaligned",
    "duplicates", "conflicts",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A source as it is configured, what is wrong with that, and how fresh the series are that came from it: the last
    bars (microseconds) of the one that is furthest and of the one that is least far, None without any."""

    name: str
    type: str
    per_minute: float
    problems: Sequence[Problem]
    count: int
    newest: int | None
    stalest: int | None
    waits_until: float | None


@router.get("/data")
def catalog(visit: Desk) -> Response:
    """Show the stored series, and the sources that there are."""
    series = visit.platform.catalog_of(visit.me).all()
    first = min((each.first for each in series), default=0)
    last = max((each.last for each in series), default=1)
    return visit.render(
        "data.html", series=series, span=(first, max(1, last - first)), sources=sources_of(visit, series)
    )  # fmt: skip


def sources_of(visit: Visit, series: Sequence[Series]) -> list[Shown]:
    """Answer the configured sources with how fresh what came from them is."""
    known, found = visit.platform.sources(visit.me), []
    for name, config in known.feeds.items():
        lasts = [each.last for each in series if each.source == name]
        problems: Sequence[Problem] = ()
        per_minute = 0.0
        try:
            source = source_of(name, known.feeds)
            per_minute = source.per_minute
            problems = known.secrets.missing([source.secret]) if source.secret else ()
        except InvalidInput as error:
            problems = error.problems
        held = held_until(visit.platform.settings.data_dir / "sources", name)
        found.append(Shown(
            name, str(config.get("type", "")), per_minute, problems, len(lasts), max(lasts, default=None),
            min(lasts, default=None), held if held > time.time() else None,
        ))  # fmt: skip
    return found


@router.get("/data/import")
def ask_for_file(visit: Desk) -> Response:
    """Show where a file can be dropped."""
    return visit.render("data_import.html", choices=CHOICES)


@router.post("/data/import")
async def bring(visit: Desk, ask: Importer) -> Response:
    """Tell what a file is and what would be stored of it, or store that: the body is the file, the query how to read
    it. Nothing is written before `store` is asked for."""
    query = dict(visit.request.query_params)
    async with uploaded(visit.request, visit.platform.settings.data_dir) as path, visit.request.app.state.importing:
        return await run_in_threadpool(_brought, visit, ask, path, query)


def _brought(visit: Visit, ask: Any, path: Path, query: Mapping[str, str]) -> Response:
    is_stored = query.get("store") == "yes"
    symbol, timeframe = query.get("symbol", "").strip(), query.get("timeframe", "").strip()
    try:
        if not path.stat().st_size:
            raise InvalidInput("the file is empty", "choose another", "file")
        options = options_of(query) | {"preview": not is_stored}
        ImportOptions.from_values(options)
        length = str(parse_timeframe(timeframe)) if timeframe else ""
        if not symbol or not length:
            raise InvalidInput("a symbol and a timeframe are needed", "write EURUSD and 5m", "symbol")
        made = ask("import_file", visit.platform.home_of(visit.me), str(path), symbol, length, options)
    except PitbossError as error:
        return visit.render(
            "data_preview.html", 422, problems=problems_of(error), made=None, is_stored=False, repairs=REPAIRS
        )
    status = 201 if is_stored else 200
    return visit.render("data_preview.html", status, problems=(), made=made, is_stored=is_stored, repairs=REPAIRS)


def options_of(query: Mapping[str, str]) -> dict[str, Any]:
    """Answer how to read a file, as it was chosen. Raises InvalidInput."""
    found: dict[str, Any] = {name: query[name] for name in (*TEXTS, *CHOICES) if query.get(name)}
    found |= {name: True for name in FLAGS if query.get(name) == "true"}
    for name, kind in (("skip_lines", int), ("max_lost", float)):
        if query.get(name):
            try:
                found[name] = kind(query[name])
            except ValueError:
                raise InvalidInput(f"'{query[name][:20]}' is no number", "write one", name) from None
    return found


@router.get("/data/series/{timeframe}/{symbol:path}")
def series(visit: Desk, ask: Ask, timeframe: str, symbol: str) -> Response:
    """Show a series: what it is, its gaps, and how dense it is."""
    found = visit.platform.catalog_of(visit.me).exact(symbol, parse_timeframe(timeframe))
    home = visit.platform.home_of(visit.me)
    gaps = ask("gaps", home, found.symbol, found.timeframe, MOST_GAPS)
    density = ask("density", home, found.symbol, found.timeframe, PIECES)
    return visit.render("data_series.html", series=found, gaps=gaps, density=density)


@router.post("/data/series/{timeframe}/{symbol:path}")
async def change(visit: Desk, timeframe: str, symbol: str) -> Response:
    """Share a series with all, take that back, or remove it."""
    what = (await visit.form()).get("do", [""])[0]
    return await run_in_threadpool(_changed, visit, timeframe, symbol, what)


def _changed(visit: Visit, timeframe: str, symbol: str, what: str) -> Response:
    catalog, length = visit.platform.catalog_of(visit.me), parse_timeframe(timeframe)
    if what == "remove":
        catalog.remove(symbol, length, of_anybody=visit.me.is_operator)
        return visit.go("/data", f"The {length} bars of {symbol} are removed; results made from them stay")
    if what not in ("share", "unshare"):
        raise InvalidInput("nothing is to be done", "share, unshare or remove", "do")
    catalog.share(symbol, length, what == "share")
    return visit.go("/data", f"{symbol} is {'shared with all' if what == 'share' else 'yours alone'} now")
