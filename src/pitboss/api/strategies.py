"""Strategy documents over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from pitboss.api.documents import described, validated
from pitboss.api.schemas import StoredDocumentModel, StrategyText, Validation
from pitboss.http.deps import Who, Whose, Wired
from pitboss.strategy.reader import inspect_document, read_document

router = APIRouter(tags=["strategies"])
Name = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A strategy's name.")]


@router.post("/strategies", status_code=201, response_model=StoredDocumentModel)
def add(request: StrategyText, platform: Wired, who: Who) -> Any:
    """Store a document under its name; a changed text is a new version, and every version is kept."""
    document = read_document(request.text)
    return described(platform.strategies.add(who.name, document.name, document.text))


@router.post("/strategies/validate", response_model=Validation)
def validate(request: StrategyText) -> Any:
    """Check a document and answer every mistake with its position and remedy."""
    return validated(*inspect_document(request.text))


@router.get("/strategies", response_model=list[StoredDocumentModel])
def list_strategies(platform: Wired, who: Whose) -> Any:
    """List the newest version of every strategy."""
    return [described(stored) for stored in platform.strategies.all(who.name)]


@router.get("/strategies/{name}", response_model=StoredDocumentModel)
def get(
    name: Name, platform: Wired, who: Whose, version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None
) -> Any:
    """Answer a version of a strategy, the newest unless one is named."""
    return described(platform.strategies.get(who.name, name, version))


@router.get("/strategies/{name}/versions", response_model=list[StoredDocumentModel])
def versions(name: Name, platform: Wired, who: Whose) -> Any:
    """List every version of a strategy, oldest first."""
    return [described(stored) for stored in platform.strategies.versions(who.name, name)]
