"""Registered scripts over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from pitboss.api.schemas import Json, ProblemModel, Strict
from pitboss.http.deps import Who, Wired
from pitboss.kinds.script.documents import script_document

router = APIRouter(tags=["scripts"])


class ScriptsModel(Strict):
    """The scripts that can be run, and what is wrong with others."""

    scripts: list[Json]
    problems: list[ProblemModel]


@router.get("/scripts", response_model=ScriptsModel)
def list_scripts(platform: Wired, who: Who) -> Any:
    """List the scripts of the registered folders."""
    found, problems = platform.sources(who).scripts.all()
    return {"scripts": [script_document(each, who) for each in found], "problems": [p.as_dict() for p in problems]}


@router.get("/scripts/{name}", response_model=Json)
def get(
    name: Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A script's name.")],
    platform: Wired, who: Who,
) -> Any:  # fmt: skip
    """Answer a script: its command line, its params, and what it leaves behind."""
    return script_document(platform.sources(who).scripts.get(name), who)
