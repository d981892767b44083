"""Trained models: their versions, which of them is asked, and what each was worth."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.core.errors import PitbossError
from pitboss.learning.registry import CHAMPION, ModelVersion
from pitboss.web.pages import Desk, Visit

router = APIRouter()


@router.get("/models")
def models(visit: Desk) -> Response:
    """Show the versions of all models."""
    return _shown(visit)


@router.post("/models")
async def change(visit: Desk) -> Response:
    """Promote a version, or forget it."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    return await run_in_threadpool(_changed, visit, form)


def _changed(visit: Visit, form: dict[str, str]) -> Response:
    registry, reference = visit.platform.models, form.get("version", "")
    try:
        if form.get("do") == "remove":
            return visit.go("/models", f"{registry.remove(visit.me, reference).label} is forgotten")
        promoted = registry.promote(visit.me, reference, form.get("alias") or CHAMPION)
    except PitbossError as error:
        return _shown(visit, error)
    return visit.go("/models", f"{promoted.name} is version {promoted.version} from now on")


def _shown(visit: Visit, problem: PitbossError | None = None) -> Response:
    found = visit.platform.models.all(visit.me)
    by_name = [(name, [_row(each) for each in reversed(list(of))]) for name, of in groupby(found, lambda v: v.name)]
    return visit.render("models.html", 422 if problem else 200, models=by_name, problem=problem)


def _row(version: ModelVersion) -> dict[str, Any]:
    """Answer what a row says of a version."""
    told = version.described
    return {
        "label": version.label, "number": version.version, "aliases": version.aliases, "is_partial": version.is_partial,
        "run": version.run, "learner": told["learner"], "symbols": told["symbols"], "timeframe": told["timeframe"],
        "features": told["features"], "since": told["since"] / 1e6, "skill": told["scores"].get("skill"),
        "equity": told.get("equity"), "created_at": version.created_at, "is_synthetic": told["is_synthetic"],
        "folds": [fold.get("skill") for fold in told["folds"]],
    }  # fmt: skip
