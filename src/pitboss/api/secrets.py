"""Secrets over HTTP: they come in, and never out again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, StrictStr

from pitboss.api.schemas import Strict
from pitboss.http.deps import Who, Wired

router = APIRouter(tags=["secrets"])
Name = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A secret's name, such as POLYGON_KEY.")]


class SecretValue(Strict):
    """What a secret is."""

    value: StrictStr


class SecretModel(BaseModel):
    """That there is a secret of a name."""

    name: str
    created_at: str
    updated_at: str


@router.get("/secrets", response_model=list[SecretModel])
def list_secrets(platform: Wired, who: Who) -> Any:
    """List the names of one's secrets."""
    return [secret.as_dict() for secret in platform.vault.all(who)]


@router.put("/secrets/{name}", response_model=SecretModel)
def put_secret(name: Name, platform: Wired, who: Who, given: SecretValue) -> Any:
    """Keep a secret, in place of what was there."""
    return platform.vault.put(who, name, given.value).as_dict()


@router.delete("/secrets/{name}", status_code=204)
def remove_secret(name: Name, platform: Wired, who: Who) -> None:
    """Remove a secret; runs that need it fail from then on."""
    platform.vault.remove(who, name)
