"""Runs over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import FileResponse, StreamingResponse

from pitboss.api.deps import Asked, IdempotencyKey, Locate
from pitboss.api.schemas import (
    ArtifactModel,
    CancelledRun,
    CancelRequest,
    Json,
    PriorityRequest,
    RerunRequest,
    RunModel,
    RunNotes,
    RunPage,
    RunRequest,
    StatisticsModel,
)
from pitboss.bootstrap import Platform
from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.parquet import as_csv, as_json
from pitboss.http.deps import RunId, Who, Wired
from pitboss.runs.model import PARQUET, Run, RunQuery
from pitboss.runs.report import Report
from pitboss.runs.states import State
from pitboss.runs.submission import Submission

router = APIRouter(tags=["runs"])
MAX_ROWS = 100_000


def queued(run: Run, locate: Callable[[str], None], platform: Platform) -> dict[str, Any]:
    """Answer a run that was just queued, with where to find it."""
    locate(f"/runs/{run.id}")
    return run.as_dict(platform.service.place(run))


@router.post("/runs", status_code=202, response_model=RunModel)
def submit(request: RunRequest, locate: Locate, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Queue a run; with a `preset` its params begin with those, and `params` stand before them."""
    params = platform.presets.under(who, request.kind, request.preset, request.params)
    submission = Submission(
        kind=request.kind, params=params, priority=request.priority, tags=request.tags,
        options=request.options, idempotency_key=key,
    )  # fmt: skip
    return queued(platform.service.submit(who, submission), locate, platform)


@router.get("/runs", response_model=RunPage)
async def list_runs(
    asked: Asked,
    who: Who,
    state: Annotated[list[State] | None, Query(description="Only runs in these states.")] = None,
    kind: Annotated[str | None, Query(max_length=32, pattern=r"^[^\x00]*$")] = None,
    subject: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
    tag: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")] = None,
    owner: Annotated[
        str | None, Query(max_length=64, pattern=r"^[^\x00]*$", description="Whose, for administrators; * for all.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")] = None,
) -> Any:
    """List runs, newest first."""
    if owner not in (None, who.name) and not who.is_operator:
        raise NotFound(f"there is nothing of '{owner}' for you", "leave the owner out")
    query = RunQuery(
        states=tuple(state or ()), kind=kind, subject=subject, tag=tag, owner=owner, cursor=cursor, limit=limit
    )
    return await asked.list(who, query)


@router.get("/runs/statistics", response_model=StatisticsModel)
def statistics(
    platform: Wired, who: Who, subject: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None
) -> Any:
    """Count runs by state; all other figures are over completed runs alone."""
    return platform.service.statistics(who, subject)


@router.get("/runs/{run_id}", response_model=RunModel)
async def get_run(run_id: RunId, asked: Asked, who: Who) -> Any:
    """Answer one run."""
    return await asked.run(who, run_id)


@router.post("/runs/{run_id}/cancel", response_model=CancelledRun)
def cancel(run_id: RunId, platform: Wired, who: Who, request: CancelRequest | None = None) -> Any:
    """Cancel a run. Asking twice, or after its end, changes nothing and says so."""
    request = request or CancelRequest()
    answer = platform.service.cancel(who, run_id, request.keep_partial, request.reason)
    return answer.run.as_dict() | {"message": answer.message}


@router.post("/runs/{run_id}/priority", response_model=RunModel)
def prioritize(run_id: RunId, platform: Wired, who: Who, request: PriorityRequest) -> Any:
    """Move a queued run forward or back; 409 for one that has begun."""
    run = platform.service.prioritize(who, run_id, request.priority)
    return run.as_dict(platform.service.place(run))


@router.get("/runs/{run_id}/notes", response_model=RunNotes)
def read_notes(run_id: RunId, platform: Wired, who: Who) -> Any:
    """Answer what its owner wrote beside a run."""
    return {"text": platform.service.notes(who, run_id)}


@router.put("/runs/{run_id}/notes", response_model=RunNotes)
def write_notes(run_id: RunId, platform: Wired, who: Who, given: RunNotes) -> Any:
    """Keep notes beside a run, in place of what was there."""
    platform.service.write_notes(who, run_id, given.text)
    return given


@router.post("/runs/{run_id}/retry", status_code=202, response_model=RunModel)
def retry(run_id: RunId, locate: Locate, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Queue a failed or cancelled run again, as a new run that names this one as its parent."""
    return queued(platform.service.retry(who, run_id, key), locate, platform)


@router.post("/runs/{run_id}/resume", status_code=202, response_model=RunModel)
def resume(run_id: RunId, locate: Locate, platform: Wired, who: Who, key: IdempotencyKey = None) -> Any:
    """Go on from where a failed or cancelled run last saved its state, as a new run that names this one as its parent.

    409 when it kept no checkpoint, or when the strategy, the bars or a version that decides the result have
    changed since; `detail` says which.
    """
    return queued(platform.service.resume(who, run_id, key), locate, platform)


@router.post("/runs/{run_id}/rerun", status_code=202, response_model=RunModel)
def rerun(
    run_id: RunId, locate: Locate, platform: Wired, who: Who, request: RerunRequest | None = None,
    key: IdempotencyKey = None,
) -> Any:  # fmt: skip
    """Queue any run again with some params changed, as a new run that names this one as its parent: on the bars that it
    saw, as far as those are kept, or on the newest."""
    asked = request or RerunRequest()
    return queued(platform.service.rerun(who, run_id, asked.params, key, asked.newest), locate, platform)


@router.get("/runs/{run_id}/result", response_model=Json)
def result(run_id: RunId, platform: Wired, who: Who) -> Any:
    """Answer a run's result; 404 while there is none, or when it was discarded."""
    run = platform.service.get(who, run_id)
    if run.result is None:
        raise NotFound(f"run {run_id} has no result: it is {run.state}", "wait for its end, or retry it")
    return run.result


@router.get("/runs/{run_id}/report", response_model=Report)
def report(run_id: RunId, platform: Wired, who: Who) -> Any:
    """Answer what came of a run as figures, notes, tables and charts, which name columns of its artifacts."""
    return platform.service.report(who, run_id)


@router.get("/runs/{run_id}/artifacts", response_model=list[ArtifactModel])
def artifacts(run_id: RunId, platform: Wired, who: Who) -> Any:
    """List the files that a run left behind."""
    return [
        {"name": a.name, "size": a.size, "digest": a.digest, "media_type": a.media_type}
        for a in platform.service.artifacts(who, run_id)
    ]


@router.get(
    "/runs/{run_id}/artifacts/{name}",
    response_class=Response,
    responses={200: {"content": {PARQUET: {}, "text/csv": {}, "application/json": {}, "application/octet-stream": {}}}},
)
def artifact(
    run_id: RunId,
    name: Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$", description="An artifact's name.")],
    platform: Wired,
    who: Who,
    format: Annotated[
        Literal["parquet", "csv", "json"] | None, Query(description="How to send a table; any file as it is without.")
    ] = None,
    offset: Annotated[int, Query(ge=0, description="First row, for csv and json.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS, description="Rows at most, for csv and json.")] = MAX_ROWS,
) -> Response:
    """Answer a file of a run: as it is, or the rows of a table as CSV or JSON."""
    found = platform.service.artifact(who, run_id, name)
    path = platform.files.fetch(found.path)
    if path is None:
        raise NotFound(f"the file of artifact '{name[:60]}' is missing", "restore it from a backup, or rerun the run")
    if format is not None and found.media_type != PARQUET:
        raise InvalidInput(f"'{name[:60]}' is no table: it is {found.media_type}", "leave the format out", "format")
    if format == "csv":
        return StreamingResponse(as_csv(path, offset, limit), media_type="text/csv")
    if format == "json":
        return StreamingResponse(as_json(path, offset, limit), media_type="application/json")
    return FileResponse(path, media_type=found.media_type, filename=f"{run_id}-{name}")
