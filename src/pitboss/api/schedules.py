"""Schedules over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, StrictBool, StrictStr

from pitboss.api.schemas import Json, Priority, Strict, Tags
from pitboss.http.deps import Who, Whose, Wired
from pitboss.routine.schedules import MOST_JITTER_SECONDS, Asked, CatchUp, Overlap, TickState

router = APIRouter(tags=["schedules"])
Name = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A schedule's name.")]
Jitter = Annotated[float, Field(ge=0, le=MOST_JITTER_SECONDS)]
_WHEN = "cron, '30m before the close of XNYS', or 'after each data update'"


class ScheduleRequest(Strict):
    """What is to run when."""

    name: StrictStr
    when: Annotated[StrictStr, Field(max_length=200, description=_WHEN, examples=["0 18 * * 1-5"])]
    kind: StrictStr
    params: Json
    zone: Annotated[StrictStr, Field(max_length=64)] = "UTC"
    priority: Priority = "normal"
    tags: Tags = []
    options: Json = {}
    catch_up: CatchUp = CatchUp.LAST
    overlap: Overlap = Overlap.SKIP
    jitter_seconds: Jitter = 0.0


class ScheduleChange(Strict):
    """What is to be otherwise."""

    when: Annotated[StrictStr, Field(max_length=200)] | None = None
    kind: StrictStr | None = None
    params: Json | None = None
    zone: Annotated[StrictStr, Field(max_length=64)] | None = None
    priority: Priority | None = None
    tags: Tags | None = None
    options: Json | None = None
    catch_up: CatchUp | None = None
    overlap: Overlap | None = None
    jitter_seconds: Jitter | None = None
    is_paused: StrictBool | None = None


class TickModel(BaseModel):
    """What became of a time."""

    at: str
    state: TickState
    run_id: str | None
    note: str


class ScheduleModel(BaseModel):
    """A schedule with its next times and its latest ones."""

    name: str
    when: str
    zone: str
    kind: str
    params: Json
    priority: int
    tags: list[str]
    options: Json
    catch_up: CatchUp
    overlap: Overlap
    jitter_seconds: float
    is_paused: bool
    created_at: str
    next: list[str]
    ticks: list[TickModel]


@router.post("/schedules", status_code=201, response_model=ScheduleModel)
def add(request: ScheduleRequest, platform: Wired, who: Who) -> Any:
    """Have a run start whenever it is due."""
    schedules = platform.schedules
    return schedules.described(schedules.add(who, Asked(**request.model_dump())))


@router.get("/schedules", response_model=list[ScheduleModel])
def list_schedules(platform: Wired, who: Whose) -> Any:
    """List the schedules."""
    return [platform.schedules.described(each) for each in platform.schedules.all(who)]


@router.get("/schedules/{name}", response_model=ScheduleModel)
def get(name: Name, platform: Wired, who: Whose) -> Any:
    """Answer a schedule with its next ten times, and what became of the last ten."""
    return platform.schedules.described(platform.schedules.get(who, name))


@router.patch("/schedules/{name}", response_model=ScheduleModel)
def change(name: Name, request: ScheduleChange, platform: Wired, who: Who) -> Any:
    """Change a schedule, pause it or let it go on; what would have been due meanwhile is not made up for."""
    values = {key: value for key, value in request.model_dump().items() if value is not None}
    return platform.schedules.described(platform.schedules.change(who, name, values))


@router.delete("/schedules/{name}", status_code=204)
def remove(name: Name, platform: Wired, who: Who) -> None:
    """Remove a schedule; its runs stay."""
    platform.schedules.remove(who, name)
