"""Channels over HTTP: where somebody is told of what has happened."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, StrictStr

from pitboss.api.schemas import Strict
from pitboss.http.deps import Who, Wired
from pitboss.routine.channels import News, NoticeState

router = APIRouter(tags=["channels"])
Name = Annotated[str, Path(max_length=32, pattern=r"^[^\x00]+$", description="A channel's name.")]


class ChannelRequest(Strict):
    """A channel: its address is sealed, and never told again."""

    name: StrictStr
    address: Annotated[StrictStr, Field(max_length=2000, examples=["mailto://me:password@example.com"])]
    news: list[News] = [News.ASKED, News.FAILED, News.MISSED]


class NoticeModel(BaseModel):
    """What was told, or is to be."""

    title: str
    state: NoticeState
    attempts: int
    error: str
    created_at: str


class ChannelModel(BaseModel):
    """A channel with what was told last."""

    name: str
    news: list[News]
    created_at: str
    notices: list[NoticeModel]


@router.post("/channels", status_code=201, response_model=ChannelModel)
def add(request: ChannelRequest, platform: Wired, who: Who) -> Any:
    """Keep a channel."""
    made = platform.channels.add(who, request.name, request.address, [each.value for each in request.news])
    return platform.channels.described(made)


@router.get("/channels", response_model=list[ChannelModel])
def list_channels(platform: Wired, who: Who) -> Any:
    """List the channels."""
    return [platform.channels.described(each) for each in platform.channels.all(who)]


@router.post("/channels/{name}/test", status_code=204)
def test(name: Name, platform: Wired, who: Who) -> None:
    """Send something now; 422 with what went wrong."""
    platform.channels.test(who, name)


@router.delete("/channels/{name}", status_code=204)
def remove(name: Name, platform: Wired, who: Who) -> None:
    """Forget a channel and its address."""
    platform.channels.remove(who, name)
