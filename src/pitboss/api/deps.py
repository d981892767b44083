"""What the endpoints are handed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Path, Request

from pitboss.bootstrap import Platform
from pitboss.runs.service import LOCAL_OWNER


def platform_of(request: Request) -> Platform:
    """Answer the platform of this server."""
    platform: Platform = request.app.state.platform
    return platform


def owner_of() -> str:
    """Answer who asks; without accounts that is always the same."""
    return LOCAL_OWNER


Wired = Annotated[Platform, Depends(platform_of)]
Owner = Annotated[str, Depends(owner_of)]
RunId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A run's id.")]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=200, description="The same key answers the same run again."),
]
