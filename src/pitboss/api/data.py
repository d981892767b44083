"""Bars over HTTP."""

from __future__ import annotations

from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from pitboss.api.schemas import BarModel, GapModel, ImportModel, ImportQuery, SeriesChange, SeriesModel
from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.timeframe import parse_timeframe
from pitboss.http.deps import Ask, Importer, Who, Whose, Wired
from pitboss.http.upload import uploaded

router = APIRouter(tags=["data"])
FILE_TYPE = "application/octet-stream"
# described and not declared: what is declared is read whole before anybody is asked who they are
_FILE = {
    "description": "CSV or Parquet.",
    "content": {FILE_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}
Symbol = Annotated[str, Path(max_length=32, pattern=r"^[^\x00]+$", description="A symbol, such as BTC/USDT.")]
TimeframeName = Annotated[str, Path(max_length=8, description="The length of a bar, such as 5m.")]
Moment = Annotated[str | None, Query(max_length=40, pattern=r"^[^\x00]*$")]


@router.get("/data", response_model=list[SeriesModel])
def list_series(platform: Wired, who: Whose) -> Any:
    """List the stored series: one's own, and what others share with all."""
    return [series.as_dict() for series in platform.catalog_of(who).all()]


@router.get("/data/{symbol:path}/{timeframe}/bars", response_model=list[BarModel])
def bars(
    symbol: Symbol, timeframe: TimeframeName, platform: Wired, who: Whose, ask: Ask,
    start: Moment = None, end: Moment = None,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
) -> Any:  # fmt: skip
    """Answer bars of a range, the first `limit` of it; longer timeframes are made of shorter ones."""
    length = parse_timeframe(timeframe)
    try:
        platform.catalog_of(who).find(symbol, length)
    except InvalidInput as error:
        first = error.problems[0]
        raise NotFound(first.message, first.remedy) from None
    return ask("bars", platform.home_of(who), symbol, str(length), start, end, limit)


@router.get("/data/{symbol:path}/{timeframe}/gaps", response_model=list[GapModel])
def gaps(
    symbol: Symbol,
    timeframe: TimeframeName,
    platform: Wired,
    who: Whose,
    ask: Ask,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> Any:
    """List where bars are missing, the largest gaps first."""
    return ask("gaps", platform.home_of(who), symbol, str(parse_timeframe(timeframe)), limit)


@router.get("/data/{symbol:path}/{timeframe}", response_model=SeriesModel)
def series(symbol: Symbol, timeframe: TimeframeName, platform: Wired, who: Whose) -> Any:
    """Describe a stored series."""
    return platform.catalog_of(who).exact(symbol, parse_timeframe(timeframe)).as_dict()


@router.put(
    "/data/{symbol:path}/{timeframe}",
    response_model=ImportModel,
    openapi_extra={"requestBody": _FILE},
)
async def import_bars(
    symbol: Symbol, timeframe: TimeframeName, request: Request, platform: Wired, who: Who, ask: Importer,
    query: Annotated[ImportQuery, Query()],  # type: ignore[valid-type]
) -> Any:  # fmt: skip
    """Import the CSV or Parquet file that is the request's body, packed or not; with `preview` only tell what it is."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        raise HTTPException(415, "the body is a form: send the file itself, as curl --data-binary @FILE does")
    if "json" in kind.lower():
        raise HTTPException(415, f"the content type is '{kind[:60]}'")
    async with uploaded(request, platform.settings.data_dir) as path, request.app.state.importing:
        importing = partial(ask, "import_file", await run_in_threadpool(platform.home_of, who))
        return await run_in_threadpool(_import, importing, path, symbol, timeframe, query)


def _import(ask: Ask, path: FilePath, symbol: str, timeframe: str, query: BaseModel) -> Any:
    if not path.stat().st_size:
        raise InvalidInput("the body is empty", "send the file as the request's body", "body")
    return ask(str(path), symbol, str(parse_timeframe(timeframe)), query.model_dump())


@router.patch("/data/{symbol:path}/{timeframe}", response_model=SeriesModel)
def change(symbol: Symbol, timeframe: TimeframeName, platform: Wired, who: Who, given: SeriesChange) -> Any:
    """Share a series of one's own with all, or take that back."""
    return platform.catalog_of(who).share(symbol, parse_timeframe(timeframe), given.is_shared).as_dict()


@router.delete("/data/{symbol:path}/{timeframe}", status_code=204)
def remove(symbol: Symbol, timeframe: TimeframeName, platform: Wired, who: Who) -> None:
    """Remove a series of one's own; results made from it stay."""
    platform.catalog_of(who).remove(symbol, parse_timeframe(timeframe), of_anybody=who.is_operator)
