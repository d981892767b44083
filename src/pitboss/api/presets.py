"""Presets over HTTP: params that are kept under a name."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from pitboss.api.schemas import PresetModel, PresetRequest
from pitboss.core.clock import to_iso
from pitboss.http.deps import Who, Whose, Wired
from pitboss.runs.presets import Preset

router = APIRouter(tags=["presets"])
Kind = Annotated[str, Path(max_length=32, pattern=r"^[^\x00]+$", description="A kind of run.")]
Name = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A preset's name.")]


def described(preset: Preset) -> dict[str, Any]:
    return {
        "kind": preset.kind, "name": preset.name, "params": preset.params, "changed_at": to_iso(preset.changed_at),
    }  # fmt: skip


@router.get("/presets", response_model=list[PresetModel])
def list_presets(
    platform: Wired, who: Whose, kind: Annotated[str | None, Query(max_length=32, pattern=r"^[^\x00]*$")] = None
) -> Any:
    """List the presets, by kind and name."""
    return [described(preset) for preset in platform.presets.all(who, kind)]


@router.put("/presets/{kind}/{name}", response_model=PresetModel)
def put(kind: Kind, name: Name, request: PresetRequest, platform: Wired, who: Who) -> Any:
    """Keep params of a kind under a name, in place of those that were; `POST /runs` with that `preset` begins with
    them."""
    return described(platform.presets.put(who, kind, name, request.params))


@router.get("/presets/{kind}/{name}", response_model=PresetModel)
def get(kind: Kind, name: Name, platform: Wired, who: Whose) -> Any:
    """Answer a preset."""
    return described(platform.presets.get(who, kind, name))


@router.delete("/presets/{kind}/{name}", status_code=204)
def remove(kind: Kind, name: Name, platform: Wired, who: Who) -> None:
    """Remove a preset; runs that began with it keep their params."""
    platform.presets.remove(who, kind, name)
