"""Schedules: what runs by itself, when it is due next, and what became of the last times; and chains of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.core.errors import InvalidInput, PitbossError
from pitboss.routine.schedules import Asked, CatchUp, Overlap
from pitboss.web.pages import Desk, Visit

router = APIRouter()
FORM = {"name": "", "kind": "", "when": "", "zone": "UTC", "params": "{}", "catch_up": "last", "overlap": "skip"}


@router.get("/schedules")
def schedules(visit: Desk) -> Response:
    """Show the schedules, and a form for another; `?from=ID` fills it in with what that run was asked."""
    given: dict[str, Any] = {"kind": "screen"}
    wanted = visit.request.query_params.get("from")
    if wanted:
        run = visit.platform.service.get(visit.me, wanted)
        given |= {"kind": run.kind, "params": json.dumps(run.params, indent=1, ensure_ascii=False)}
    return _page(visit, given)


@router.post("/schedules")
async def change(visit: Desk) -> Response:
    """Keep a schedule, pause it, let it go on, or remove it; or cancel a chain."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    return await run_in_threadpool(_changed, visit, form)


def _changed(visit: Visit, form: Mapping[str, str]) -> Response:
    kept, me, name = visit.platform.schedules, visit.me, form.get("name", "").strip()
    match form.get("do"):
        case "pause" | "resume" as what:
            kept.change(me, name, {"is_paused": what == "pause"})
            return visit.go("/schedules", f"{name} {'is paused' if what == 'pause' else 'goes on'}")
        case "cancel":
            ended = visit.platform.chains.cancel(me, form.get("id", ""), keep_partial=True)
            return visit.go("/schedules", f"{ended.name} is {ended.state}")
        case "remove":
            kept.remove(me, name)
            return visit.go("/schedules", f"{name} is removed; its runs stay")
    try:
        made = kept.add(me, _asked(form))
    except PitbossError as error:
        return _page(visit, form, error)
    return visit.go("/schedules", f"{made.name} is kept")


def _asked(form: Mapping[str, str]) -> Asked:
    """Read the form. Raises InvalidInput for params that are no mapping."""
    try:
        params = json.loads(form.get("params") or "{}")
    except ValueError as error:
        raise InvalidInput(f"the params are no JSON: {error}", 'write {"screen": "leap-entry"}', "params") from None
    if not isinstance(params, dict):
        raise InvalidInput("the params are no mapping", 'write {"screen": "leap-entry"}', "params")
    return Asked(
        name=form.get("name", "").strip(), when=form.get("when", ""), kind=form.get("kind", ""), params=params,
        zone=form.get("zone") or "UTC", catch_up=form.get("catch_up") or CatchUp.LAST,
        overlap=form.get("overlap") or Overlap.SKIP,
    )  # fmt: skip


def _page(visit: Visit, given: Mapping[str, Any], problem: PitbossError | None = None) -> Response:
    kept = visit.platform.schedules
    found = [kept.described(each) for each in kept.all(visit.me)]
    calendar = sorted((at, each["name"]) for each in found for at in each["next"])[:20]
    return visit.render(
        "schedules.html", 422 if problem else 200, schedules=found, calendar=calendar, given={**FORM, **given},
        problem=problem,
        chains=[chain.as_dict() for chain in visit.platform.chains.find(visit.me, 20)],
        kinds=sorted(visit.platform.kinds), choices={"catch_up": list(CatchUp), "overlap": list(Overlap)},
    )  # fmt: skip
