"""Strategies: written with help, seen on real bars as one types, kept in versions."""

from __future__ import annotations

import difflib
import json
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from pitboss.bootstrap import Platform
from pitboss.core.errors import InvalidInput, PitbossError
from pitboss.core.principal import Principal
from pitboss.http.deps import Ask
from pitboss.runs.model import RunQuery
from pitboss.strategy.functions import CALENDAR, PRICES, function_names, lookup
from pitboss.strategy.reader import inspect_document, read_document
from pitboss.strategy.schema import SECTIONS, TOP
from pitboss.strategy.starters import starters
from pitboss.web.pages import Desk, Visit

router = APIRouter()
Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
MOST_TEXT = 64 * 1024
CANDLES = 400


@cache
def completions() -> str:
    """Answer what an editor can propose, as JSON: functions and fields with their documentation."""
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
    runs = {
        stored.name: visit.platform.service.find(visit.me, RunQuery(subject=f"strategy/{stored.name}", limit=1))
        for stored in found
    }
    return visit.render("strategies.html", strategies=found, runs=runs, starters=starters())


@router.get("/strategies/_new")
def new(visit: Desk, start: str = "trend") -> Response:
    """Show the editor with a document to start from."""
    text = starters().get(start) or next(iter(starters().values()))
    return visit.render("strategy.html", **_context(visit, text), stored=None, versions=(), runs=())


@router.get("/strategies/_completions")
def complete(_visit: Desk) -> Response:
    """Answer what the editor can propose."""
    return Response(completions(), media_type="application/json", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/strategies/{name}")
def strategy(visit: Desk, name: str, version: Version = None, against: Version = None) -> Response:
    """Show a strategy in the editor, or what two versions differ in."""
    shelf, me = visit.platform.strategies, visit.me
    versions = shelf.versions(me.name, name)
    stored = shelf.get(me.name, name, version)
    changes = difference(shelf.get(me.name, name, against).text, stored.text) if against else []
    runs = visit.platform.service.find(me, RunQuery(subject=f"strategy/{name}", limit=20))
    context = _context(visit, stored.text) | {
        "changes": changes, "against": against,
        "outcomes": {run.id: visit.platform.service.kinds.outcome(run) for run in runs},
    }  # fmt: skip
    return visit.render("strategy.html", **context, stored=stored, versions=versions[::-1], runs=runs)


def _context(visit: Visit, text: str) -> dict[str, Any]:
    series = visit.platform.catalog_of(visit.me).all()
    symbols = list(dict.fromkeys(each.symbol for each in series))
    return {
        "text": text, "symbols": symbols, "problems": inspect_document(text)[1], "changes": [], "against": None,
        "outcomes": {}, "about": {},
    }  # fmt: skip


def difference(before: str, after: str) -> list[tuple[str, str]]:
    """Answer the lines of two texts that differ, each with `+`, `-` or what it stands by."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3)
    return [(line[:1], line[1:]) for line in lines if not line.startswith(("+++", "---"))]


@router.post("/strategies/check")
async def check(visit: Desk) -> Response:
    """Answer every mistake in a text with its position."""
    text = (await visit.form()).get("text", [""])[0].replace("\r\n", "\n")
    document, problems = await run_in_threadpool(inspect_document, text[: MOST_TEXT + 1])
    missing: list[dict[str, Any]] = []
    if document is not None and not problems:
        try:
            document.require_entry()
        except InvalidInput as error:
            missing = [problem.as_dict() for problem in error.problems]
    return JSONResponse({
        "name": document.name if document else None, "problems": [problem.as_dict() for problem in problems],
        "hints": missing, "unused": document.unused if document and not problems else [],
    })  # fmt: skip


@router.post("/strategies/preview")
async def preview(visit: Desk, ask: Ask) -> Response:
    """Answer the last bars of a symbol with what a text does on them."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    text = form.get("text", "").replace("\r\n", "\n")[: MOST_TEXT + 1]

    def asked() -> Any:
        home = visit.platform.home_of(visit.me)
        symbol = form.get("symbol", "")
        return ask("preview", home, text, symbol, _timeframe(visit.platform, visit.me, text, symbol), CANDLES)

    try:
        return JSONResponse(await run_in_threadpool(asked))
    except PitbossError as error:
        problems = [problem.as_dict() for problem in error.problems] if isinstance(error, InvalidInput) else []
        return JSONResponse({"message": error.message, "problems": problems})


def _timeframe(platform: Platform, who: Principal, text: str, symbol: str) -> str | None:
    """Answer the timeframe of a document that names none: that of the symbol's bars."""
    document = read_document(text)
    if document.timeframe is not None:
        return None
    return next((each.timeframe for each in platform.catalog_of(who).all() if each.symbol == symbol), None)


@router.post("/strategies")
async def keep(visit: Desk) -> Response:
    """Keep a text as the next version of its name."""
    text = (await visit.form()).get("text", [""])[0].replace("\r\n", "\n")
    return await run_in_threadpool(_kept, visit, text)


def _kept(visit: Visit, text: str) -> Response:
    try:
        document = read_document(text)
    except InvalidInput as error:
        context = _context(visit, text) | {"problems": error.problems}
        return visit.render("strategy.html", 422, **context, stored=None, versions=(), runs=())
    stored = visit.platform.strategies.add(visit.me.name, document.name, document.text)
    return visit.go(f"/strategies/{stored.name}", f"Kept as version {stored.version}")
