"""New runs: a form of each kind, made from its params."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.bootstrap import Platform
from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import NotFound, PitbossError, Problem, problems_of, suggest
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal
from pitboss.learning.lineage import trading_text
from pitboss.learning.registry import ModelVersion
from pitboss.runs.kinds import Kind, Prepared
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.states import State
from pitboss.runs.submission import Submission
from pitboss.runs.wording import long_duration
from pitboss.web.fields import as_written, form_of, read_form
from pitboss.web.library import SAVABLE, proposed_name, save_as
from pitboss.web.pages import Desk, Visit

router = APIRouter()
LIKE = 30  # runs from which a duration is estimated
COST_PRESETS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("US shares: 0.005 a share, at least 1; 1 basis point of slippage",
     {"per_share": "0.005", "minimum": "1", "slippage": "0.01%"}),
    ("Crypto, taker: 0.1 %, 2 basis points of slippage", {"commission": "0.1%", "slippage": "0.02%"}),
    ("Currencies: 0.2 basis points, 0.5 of slippage", {"commission": "0.002%", "slippage": "0.005%"}),
    ("None", dict.fromkeys(("commission", "per_share", "per_order", "minimum", "slippage"), "0")),
)  # fmt: skip


def kind_of(platform: Platform, name: str) -> Kind:
    """Answer an installed kind. Raises NotFound."""
    kind = platform.kinds.get(name)
    if kind is None:
        raise NotFound(f"there is no kind '{name[:40]}'", suggest(name, platform.kinds))
    return kind


def form_context(
    platform: Platform, who: Principal, kind: Kind, values: Mapping[str, Any], problems: Sequence[Problem] = ()
) -> dict[str, Any]:  # fmt: skip
    """Answer what the form of a kind shows, with values in it."""
    form = form_of(kind.asked(values, platform.sources(who)), values, problems)
    spans = [each for field in form.fields for each in field.choices if "from" in each]
    first, last = (min((each["from"] for each in spans), default=0), max((each["to"] for each in spans), default=1))
    return {
        "kind": kind, "form": form, "key": new_id(), "span": (first, max(1, last - first)),
        "presets": [(name, json.dumps(values)) for name, values in COST_PRESETS],
        "presets_of_kind": platform.presets.all(who, kind.name),
        "is_savable": kind.name in SAVABLE, "proposed": proposed_name(values) if kind.name in SAVABLE else "",
    }  # fmt: skip


@router.get("/new")
def choose(visit: Desk) -> Response:
    """Show the kinds of run that there are."""
    faults = [fault.as_dict() for fault in visit.platform.service.kind_faults(visit.me)]
    kinds = sorted(visit.platform.kinds.values(), key=lambda kind: not kind.address.startswith("pitboss."))
    return visit.render("new.html", kinds=kinds, faults=faults)


@router.get("/new/{name}")
def show(visit: Desk, name: str) -> Response:
    """Show the form of a kind; `?from=ID` fills it in as that run was asked, `?model=NAME@3` as that version is traded,
    other fields as they are named."""
    platform, me = visit.platform, visit.me
    kind = kind_of(platform, name)
    query = visit.request.query_params
    values: dict[str, Any] = {}
    if query.get("from"):
        values = dict(platform.service.get(me, query["from"]).params)
    elif query.get("saved"):
        values = dict(platform.backtests.get(me, query["saved"]).params)
    elif query.get("model"):
        values = trading(platform.models.find(me, query["model"]))
    elif query.get("preset"):
        values = dict(platform.presets.get(me, kind.name, query["preset"]).params)
    asked = form_of(kind.asked(values | dict(query), platform.sources(me)), values)
    values |= as_written(asked.fields, {key: query.getlist(key) for key in query})
    context = form_context(platform, me, kind, values)
    return visit.render("new_kind.html", **context, problems=(), prepared=None, values=values)


def trading(version: ModelVersion) -> dict[str, Any]:
    """Answer params that trade a version of a model on what it was trained on, from when on it can be asked."""
    told = version.described
    return {
        "strategy": trading_text(version.label, told), "symbols": told["symbols"],
        "start": micros_to_iso(told["since"])[:10], "parameters": dict(told["parameters"]),
    }  # fmt: skip


@router.post("/new/{name}")
async def submit(visit: Desk, name: str) -> Response:
    """Check what was written into a form; run it, keep it, or show it anew, as its button says."""
    given = await visit.form()
    return await run_in_threadpool(_submitted, visit, kind_of(visit.platform, name), given)


def _submitted(visit: Visit, kind: Kind, given: Mapping[str, Sequence[str]]) -> Response:
    platform, me = visit.platform, visit.me
    chosen = {key: texts[0] for key, texts in given.items() if texts}
    if chosen.get("do") == "forget":
        platform.presets.remove(me, kind.name, chosen.get("preset", ""))
        return visit.go(f"/new/{kind.name}", "The preset is removed; runs that began with it keep their params")
    asked = form_of(kind.asked(chosen, platform.sources(me)), chosen)
    what = chosen.get("do", "run")
    values: dict[str, Any] = {}
    try:
        values = read_form(asked, given)
        if what in ("run", "save", "keep"):
            return _done(visit, kind, values, chosen, what)
        if what == "check":
            return visit.render("new_check.html", **checked(platform, me, kind, values))
        problems: Sequence[Problem] = ()
    except PitbossError as error:
        problems = problems_of(error)
    if what == "check":
        return visit.render("new_check.html", **_unchecked(kind, problems, values))
    values = values or as_written(asked.fields, given)
    context = form_context(platform, me, kind, values, problems)
    template = "form.html" if visit.is_partial else "new_kind.html"
    return visit.render(template, 422 if problems else 200, **context, values=values, prepared=None)


def _done(visit: Visit, kind: Kind, values: Mapping[str, Any], chosen: Mapping[str, str], what: str) -> Response:
    platform, me = visit.platform, visit.me
    if what == "save":
        saved = save_as(platform, me, chosen.get("name", ""), values)
        return visit.go("/library", f"Kept as “{saved.name}”")
    if what == "keep":
        preset = platform.presets.put(me, kind.name, chosen.get("preset", ""), values)
        return visit.go(f"/new/{kind.name}?preset={quote(preset.name)}", f"Kept as the preset {preset.name}")
    request = Submission(
        kind=kind.name, params=values, priority=chosen.get("priority", "normal"), idempotency_key=chosen.get("key"),
        tags=[tag.strip() for tag in chosen.get("tags", "").split(",") if tag.strip()],
    )  # fmt: skip
    run = platform.service.submit(me, request)
    return visit.go(f"/runs/{run.id}")


def checked(platform: Platform, who: Principal, kind: Kind, values: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what is to be known of a request before it runs. Raises InvalidInput with every mistake."""
    prepared = kind.ready(values, platform.sources(who))
    alike = platform.service.find(who, RunQuery(states=(State.COMPLETED,), kind=kind.name, limit=LIKE))
    return {
        "problems": (), "prepared": prepared, "kind": kind,
        "estimate": estimate(prepared, alike), "command": command_of(kind.name, values),
        "as_json": json.dumps({"kind": kind.name, "params": values}, indent=2, ensure_ascii=False),
    }  # fmt: skip


def _unchecked(kind: Kind, problems: Sequence[Problem], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "problems": problems, "prepared": None, "kind": kind, "estimate": "", "command": command_of(kind.name, values),
        "as_json": json.dumps({"kind": kind.name, "params": values}, indent=2, ensure_ascii=False),
    }  # fmt: skip


def estimate(prepared: Prepared, alike: Sequence[Run]) -> str:
    """Answer how long a request should take, from completed runs like it; empty where there are none."""
    asked = _product(prepared.work)
    rates = [
        (run.ended_at - run.started_at) / done
        for run in alike
        if run.started_at and run.ended_at and (done := _product(run.snapshot.get("work") or {})) > 0
    ]
    if not rates or asked <= 0:
        return ""
    return long_duration(max(0.1, asked * median(rates)))


def _product(work: Mapping[str, float]) -> float:
    product = 1.0 if work else 0.0
    for count in work.values():
        product *= count
    return product


def command_of(kind: str, values: Mapping[str, Any]) -> str:
    """Answer the command that asks for the same at a terminal."""
    words = ["pitboss", "run", kind]
    for name, value in values.items():
        words += ["-p", f"{name}={json.dumps(value, ensure_ascii=False)}"]
    return shlex.join(words)
