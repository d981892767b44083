"""Screen documents over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from pitboss.api.documents import described, validated
from pitboss.api.schemas import ScreenModel, ScreenText, StoredDocumentModel, Validation
from pitboss.http.deps import Who, Whose, Wired
from pitboss.screening.reader import inspect_screen, read_screen

router = APIRouter(tags=["screens"])
Name = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A screen's name.")]


@router.post("/screens", status_code=201, response_model=StoredDocumentModel)
def add(request: ScreenText, platform: Wired, who: Who) -> Any:
    """Store a screen under its name; a changed text is a new version, and every version is kept. One of the name of a
    built-in screen takes its place."""
    document = read_screen(request.text)
    return described(platform.screens.add(who.name, document.name, document.text))


@router.post("/screens/validate", response_model=Validation)
def validate(request: ScreenText) -> Any:
    """Check a screen and answer every mistake with its position and remedy."""
    return validated(*inspect_screen(request.text))


@router.get("/screens", response_model=list[ScreenModel])
def list_screens(platform: Wired, who: Whose) -> Any:
    """List the screens that there are, those that come with pitboss among them, each by its newest version."""
    own = {stored.name.replace("_", "-"): stored for stored in platform.screens.all(who.name)}
    every = sorted(platform.sources(who).screens.items())
    return [described(own[name]) if name in own else {"name": name, "text": text} for name, text in every]


@router.get("/screens/{name}", response_model=StoredDocumentModel)
def get(
    name: Name, platform: Wired, who: Whose, version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None
) -> Any:
    """Answer a version of a screen of one's own, the newest unless one is named."""
    return described(platform.screens.get(who.name, name, version))


@router.get("/screens/{name}/versions", response_model=list[StoredDocumentModel])
def versions(name: Name, platform: Wired, who: Whose) -> Any:
    """List every version of a screen of one's own, oldest first."""
    return [described(stored) for stored in platform.screens.versions(who.name, name)]
