"""Screens: written with help, seen on today's bars as one types, kept in versions; what one said of a symbol."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from pitboss.core.errors import NotFound
from pitboss.http.deps import Ask
from pitboss.kinds.screen.params import ScreenParams
from pitboss.market.dates import range_of
from pitboss.runs.model import Run
from pitboss.screening.reader import KEYS, inspect_screen, read_screen
from pitboss.web.documents import Documents, checked, models_of, previewed, text_of
from pitboss.web.pages import Desk, Visit
from pitboss.web.results import Bound
from pitboss.web.strategies import proposals

router = APIRouter()
Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
CANDLES = 250


class Screens(Documents):
    """Screens, with how many passed in each of their runs."""

    def runs_of(self, visit: Visit, name: str) -> dict[str, Any]:
        found = super().runs_of(visit, name)
        ended = [run.result for run in reversed(found["runs"]) if run.state == "completed" and run.result]
        trend = [
            {"share": each["passed"] / max(1, each["tickers"]),
             "words": f"{each['passed']:,} of {each['tickers']:,} on {each['date']}"}
            for each in ended
        ]  # fmt: skip
        return {**found, "trend": trend}


SCREENS = Screens(
    word="screen", folder="screens", template="screen.html", shelf=lambda platform: platform.screens,
    inspect=inspect_screen, read=read_screen,
)  # fmt: skip
ENTRIES = {
    "name": "of a criterion or a filter", "when": "the condition that gives the points",
    "points": "a number, or an expression that is held between least and most", "least": "fewest points",
    "most": "most points", "keep": "what a symbol must fulfil", "reason": "what is said where it does not",
}  # fmt: skip


@cache
def completions() -> str:
    """Answer what an editor can propose, as JSON: functions and fields with their documentation."""
    found = [*proposals(), *({"label": key, "type": "keyword", "detail": "of the screen", "info": ""} for key in KEYS)]
    found += [{"label": key, "type": "property", "detail": about, "info": ""} for key, about in ENTRIES.items()]
    return json.dumps(found)


@router.get("/screens")
def screens(visit: Desk) -> Response:
    """Show the screens."""
    texts = visit.platform.sources(visit.me).screens
    own = {stored.name: stored for stored in visit.platform.screens.all(visit.me.name)}
    known = {name: inspect_screen(text)[0] for name, text in texts.items()}
    runs = SCREENS.latest(visit, [document.name for document in known.values() if document is not None])
    return visit.render("screens.html", screens=known, own=own, runs=runs)


@router.get("/screens/_new")
def new(visit: Desk, start: str = "") -> Response:
    """Show the editor with a screen to start from."""
    texts = visit.platform.sources(visit.me).screens
    name = start if start in texts else next(iter(texts))
    return visit.render("screen.html", **SCREENS.page(visit, texts[name], start=name, **SCREENS.runs_of(visit, name)))


@router.get("/screens/_completions")
def complete(_visit: Desk) -> Response:
    """Answer what the editor can propose."""
    return Response(completions(), media_type="application/json", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/screens/{name}")
def screen(visit: Desk, name: str, version: Version = None, against: Version = None) -> Response:
    """Show a screen in the editor, or what two versions differ in; one that came with pitboss to start from."""
    own = [stored.name for stored in visit.platform.screens.all(visit.me.name)]
    if name not in own and name in visit.platform.sources(visit.me).screens:
        return new(visit, name)
    return SCREENS.show(visit, name, version, against)


@router.post("/screens/check")
async def check(visit: Desk) -> Response:
    """Answer every mistake in a text with its position."""
    document, problems = await run_in_threadpool(inspect_screen, await text_of(visit))
    return checked(document.name if document else None, problems, (), ())


@router.post("/screens/preview")
async def preview(visit: Desk, ask: Ask) -> Response:
    """Answer what a text says of the symbols that there are today, and of one of them at each of its last bars."""
    text, symbol = await text_of(visit), (await visit.form()).get("symbol", [""])[0]
    home = visit.platform.home_of(visit.me)

    def asked() -> dict[str, Any]:
        models = models_of(visit.platform, visit.me, read_screen(text).models)
        return {
            **ask("screened", home, text, {}, models),
            **ask("criteria", home, text, {}, symbol, None, None, CANDLES, models),
        }

    return await previewed(asked)


@router.post("/screens")
async def keep(visit: Desk) -> Response:
    """Keep a text as the next version of its name."""
    return await SCREENS.keep(visit)


@router.get("/runs/{run_id}/symbols/{symbol:path}/criteria")
def criteria(visit: Desk, ask: Ask, run_id: str, symbol: str, low: Bound = None) -> Response:
    """Answer what the screen of a run said of a symbol at each bar up to the last that it judged."""
    run = _screened(visit, run_id, symbol)
    date = (run.result or {}).get("date") or run.snapshot["date"] or None
    _, until = range_of(None, date)
    params = ScreenParams.model_validate(run.params)
    first = None if low is None else int(low)
    home, text = visit.platform.home_of(visit.me), run.snapshot["screen"]["text"]
    models = run.snapshot.get("models", {})
    return JSONResponse(ask("criteria", home, text, params.values, symbol, first, until, CANDLES, models))


@router.get("/runs/{run_id}/symbols/{symbol:path}")
def symbol_of(visit: Desk, run_id: str, symbol: str) -> Response:
    """Show a symbol with the criteria of the screen that judged it."""
    run = _screened(visit, run_id, symbol)
    described: dict[str, Any] = {"type": "candles", "unit": "price", "beside": [], "table": None, "title": symbol,
                 "source": f"{visit.root}/runs/{run.id}/symbols/{quote(symbol)}/criteria"}  # fmt: skip
    return visit.render("symbol.html", run=run, symbol=symbol, chart=json.dumps(described))


def _screened(visit: Visit, run_id: str, symbol: str) -> Run:
    run = visit.platform.service.get(visit.me, run_id)
    if run.kind != "screen":
        raise NotFound("only the symbols of screens are shown with criteria", "see the run's own charts")
    if symbol not in run.snapshot["universe"]["tickers"].split(" "):
        raise NotFound(f"'{symbol[:40]}' was not screened by this run", "choose one of its tickers")
    return run
