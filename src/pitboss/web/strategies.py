"""Strategies: written with help, seen on real bars as one types, kept in versions."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.bootstrap import Platform
from pitboss.core.errors import InvalidInput
from pitboss.core.principal import Principal
from pitboss.http.deps import Ask
from pitboss.strategy.document import Document
from pitboss.strategy.functions import CALENDAR, PRICES, function_names, lookup
from pitboss.strategy.reader import inspect_document, read_document
from pitboss.strategy.schema import SECTIONS, TOP
from pitboss.strategy.starters import starters
from pitboss.web.documents import Documents, checked, models_of, previewed, text_of
from pitboss.web.pages import Desk

router = APIRouter()
Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
CANDLES = 400
STRATEGIES = Documents(
    word="strategy", folder="strategies", template="strategy.html", shelf=lambda platform: platform.strategies,
    inspect=inspect_document, read=read_document,
)  # fmt: skip


def proposals() -> list[dict[str, Any]]:
    """Answer what an editor can propose in every document: functions and prices, with their documentation."""
    found: list[dict[str, Any]] = []
    for name in function_names():
        known = lookup(name)
        if known is not None:
            found.append({"label": name, "type": "function", "detail": known.signature, "info": known.summary})
    for name, shape, meaning in (
        ("on", 'on("1h", ema(close, 50))', "an expression on completed longer bars"),
        ("symbol", 'symbol("SPY").close', "a price of another symbol"),
    ):
        found.append({"label": name, "type": "function", "detail": shape, "info": meaning})
    found += [{"label": name, "type": "variable", "detail": "a price of the bar", "info": ""} for name in PRICES]
    found += [{"label": name, "type": "variable", "detail": "of the bar's clock", "info": ""} for name in CALENDAR]
    return found


@cache
def completions() -> str:
    """Answer what an editor can propose, as JSON: functions and fields with their documentation."""
    found = proposals()
    found += [{"label": name, "type": "keyword", "detail": "of the document", "info": TOP[name][0]} for name in TOP]
    for section, fields in SECTIONS.items():
        found.append({"label": section, "type": "keyword", "detail": ", ".join(fields), "info": ""})
        found += [
            {"label": name, "type": "property", "detail": f"of {section}", "info": meaning}
            for name, (meaning, _) in fields.items()
        ]
    return json.dumps(found)


@router.get("/strategies")
def strategies(visit: Desk) -> Response:
    """Show the strategies."""
    found = visit.platform.strategies.all(visit.me.name)
    runs = STRATEGIES.latest(visit, [stored.name for stored in found])
    return visit.render("strategies.html", strategies=found, runs=runs, starters=starters())


@router.get("/strategies/_new")
def new(visit: Desk, start: str = "trend") -> Response:
    """Show the editor with a document to start from."""
    text = starters().get(start) or next(iter(starters().values()))
    return visit.render("strategy.html", **STRATEGIES.page(visit, text))


@router.get("/strategies/_completions")
def complete(_visit: Desk) -> Response:
    """Answer what the editor can propose."""
    return Response(completions(), media_type="application/json", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/strategies/{name}")
def strategy(visit: Desk, name: str, version: Version = None, against: Version = None) -> Response:
    """Show a strategy in the editor, or what two versions differ in."""
    return STRATEGIES.show(visit, name, version, against)


@router.post("/strategies/check")
async def check(visit: Desk) -> Response:
    """Answer every mistake in a text with its position."""
    document, problems = await run_in_threadpool(inspect_document, await text_of(visit))
    if document is None or problems:
        return checked(document.name if document else None, problems, (), ())
    try:
        document.require_entry()
    except InvalidInput as error:
        return checked(document.name, (), error.problems, document.unused)
    return checked(document.name, (), (), document.unused)


@router.post("/strategies/preview")
async def preview(visit: Desk, ask: Ask) -> Response:
    """Answer the last bars of a symbol with what a text does on them."""
    text, symbol = await text_of(visit), (await visit.form()).get("symbol", [""])[0]
    home = visit.platform.home_of(visit.me)

    def asked() -> Any:
        document = read_document(text)
        timeframe = _timeframe(visit.platform, visit.me, document, symbol)
        models = models_of(visit.platform, visit.me, document.models)
        return ask("preview", home, text, symbol, timeframe, CANDLES, models)

    return await previewed(asked)


def _timeframe(platform: Platform, who: Principal, document: Document, symbol: str) -> str | None:
    """Answer the timeframe of a document that names none: that of the symbol's bars."""
    if document.timeframe is not None:
        return None
    return next((each.timeframe for each in platform.catalog_of(who).all() if each.symbol == symbol), None)


@router.post("/strategies")
async def keep(visit: Desk) -> Response:
    """Keep a text as the next version of its name."""
    return await STRATEGIES.keep(visit)
