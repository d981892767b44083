"""Chains over HTTP: runs that follow each other."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, StrictBool, StrictStr

from pitboss.api.schemas import CancelRequest, Json, Strict
from pitboss.http.deps import Who, Wired
from pitboss.routine.chains import MOST_LINKS, ChainState

router = APIRouter(tags=["chains"])
ChainId = Annotated[str, Path(max_length=36, pattern=r"^[^\x00]+$", description="A chain's id.")]


class LinkRequest(Strict):
    """A run: a param that is `{passed}` is what the run before yields under that name."""

    kind: StrictStr
    params: Json = {}


class ChainRequest(Strict):
    """Runs that follow each other."""

    name: StrictStr
    links: Annotated[list[LinkRequest], Field(min_length=1, max_length=MOST_LINKS)]
    notify_on_completion: StrictBool = False


class LinkModel(BaseModel):
    """A link, with its run once there is one."""

    kind: str
    params: Json
    run_id: str | None


class ChainModel(BaseModel):
    """A chain; `note` says what did not happen, and why."""

    id: str
    name: str
    state: ChainState
    note: str
    links: list[LinkModel]
    created_at: str


@router.post("/chains", status_code=202, response_model=ChainModel)
def start(request: ChainRequest, platform: Wired, who: Who) -> Any:
    """Start a chain: its first run is queued."""
    links = [link.model_dump() for link in request.links]
    return platform.chains.start(who, request.name, links, request.notify_on_completion).as_dict()


@router.get("/chains", response_model=list[ChainModel])
def list_chains(platform: Wired, who: Who) -> Any:
    """List the latest chains."""
    return [chain.as_dict() for chain in platform.chains.find(who)]


@router.get("/chains/{chain_id}", response_model=ChainModel)
def get(chain_id: ChainId, platform: Wired, who: Who) -> Any:
    """Answer a chain with its runs."""
    return platform.chains.get(who, chain_id).as_dict()


@router.post("/chains/{chain_id}/cancel", response_model=ChainModel)
def cancel(chain_id: ChainId, platform: Wired, who: Who, request: CancelRequest | None = None) -> Any:
    """End a chain, and the run that goes on; asking again changes nothing."""
    return platform.chains.cancel(who, chain_id, (request or CancelRequest()).keep_partial).as_dict()
