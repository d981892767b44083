"""Trained models over HTTP: their versions, and which of them a name means."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, StrictStr

from pitboss.api.schemas import Json, Strict
from pitboss.core.clock import to_iso
from pitboss.http.deps import Who, Wired
from pitboss.learning.registry import CHAMPION, ModelVersion

router = APIRouter(tags=["models"])
Name = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A model's name.")]
Version = Annotated[str, Path(max_length=32, pattern=r"^[^\x00]+$", description="A version's number, or an alias.")]


class VersionModel(BaseModel):
    """A version of a model: `since` is when its first model existed, `until` when its last did; microseconds."""

    name: str
    version: int
    run: str
    digest: str
    is_partial: bool
    aliases: list[str]
    created_at: str | None
    learner: str
    timeframe: str
    symbols: list[str]
    features: list[str]
    label: Json
    since: int
    until: int
    window: list[str]
    scores: Json
    folds: list[Json]
    is_synthetic: bool


class PromoteRequest(Strict):
    """Under which name a version is asked from now on."""

    alias: Annotated[StrictStr, Field(max_length=32)] = CHAMPION


def described(version: ModelVersion) -> dict[str, Any]:
    """Answer a version as it is told."""
    return version.as_dict() | {"created_at": to_iso(version.created_at)}


@router.get("/models", response_model=list[VersionModel])
def list_models(platform: Wired, who: Who) -> Any:
    """List the versions of all models, by name and number."""
    return [described(version) for version in platform.models.all(who)]


@router.get("/models/{name}", response_model=list[VersionModel])
def versions(name: Name, platform: Wired, who: Who) -> Any:
    """List the versions of a model, oldest first."""
    return [described(version) for version in platform.models.versions(who, name)]


@router.get("/models/{name}/{version}", response_model=VersionModel)
def get(name: Name, version: Version, platform: Wired, who: Who) -> Any:
    """Answer a version by its number or an alias."""
    return described(platform.models.find(who, f"{name}@{version}"))


@router.post("/models/{name}/{version}/promote", response_model=VersionModel)
def promote(name: Name, version: Version, platform: Wired, who: Who, request: PromoteRequest | None = None) -> Any:
    """Have an alias point at a version, `champion` without another."""
    return described(platform.models.promote(who, f"{name}@{version}", (request or PromoteRequest()).alias))


@router.delete("/models/{name}/{version}", status_code=204)
def remove(name: Name, version: Version, platform: Wired, who: Who) -> None:
    """Forget a version. The champion is a 409 while there are others."""
    platform.models.remove(who, f"{name}@{version}")
