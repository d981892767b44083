"""Runs over HTTP."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import FileResponse

from pitboss.api.deps import IdempotencyKey, Locate, Owner, RunId, Wired
from pitboss.api.schemas import (
    ArtifactModel,
    CancelledRun,
    CancelRequest,
    Json,
    RerunRequest,
    RunModel,
    RunPage,
    RunRequest,
    StatisticsModel,
)
from pitboss.bootstrap import Platform
from pitboss.core.errors import NotFound
from pitboss.market.frames import scan_parquet
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.service import Submission
from pitboss.runs.states import State

router = APIRouter(tags=["runs"])
MAX_ROWS = 100_000


def queued(run: Run, locate: Callable[[str], None], platform: Platform) -> dict[str, Any]:
    """Answer a run that was just queued, with where to find it."""
    locate(f"/runs/{run.id}")
    return run.as_dict(platform.service.place(run))


@router.post("/runs", status_code=202, response_model=RunModel)
def submit(request: RunRequest, locate: Locate, platform: Wired, owner: Owner, key: IdempotencyKey = None) -> Any:
    """Queue a run."""
    submission = Submission(request.kind, request.params, request.priority, request.tags, request.options, key)
    return queued(platform.service.submit(submission, owner), locate, platform)


@router.get("/runs", response_model=RunPage)
def list_runs(
    platform: Wired,
    owner: Owner,
    state: Annotated[list[State] | None, Query(description="Only runs in these states.")] = None,
    kind: Annotated[str | None, Query(max_length=32, pattern=r"^[^\x00]*$")] = None,
    subject: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
    tag: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")] = None,
) -> Any:
    """List runs, newest first."""
    query = RunQuery(tuple(state or ()), kind, subject, owner, tag, cursor, limit)
    found = platform.service.find(query)
    places = platform.service.places() if any(run.state is State.QUEUED for run in found) else {}
    items = [run.as_dict(places.get(run.id)) for run in found]
    return {"items": items, "next_cursor": found[-1].id if len(found) == limit else None}


@router.get("/runs/statistics", response_model=StatisticsModel)
def statistics(
    platform: Wired, subject: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None
) -> Any:
    """Count runs by state; all other figures are over completed runs alone."""
    return platform.service.figures.statistics(subject)


@router.get("/runs/{run_id}", response_model=RunModel)
def get_run(run_id: RunId, platform: Wired, owner: Owner) -> Any:
    """Answer one run."""
    run = platform.service.get(run_id, owner)
    return run.as_dict(platform.service.place(run))


@router.post("/runs/{run_id}/cancel", response_model=CancelledRun)
def cancel(run_id: RunId, platform: Wired, owner: Owner, request: CancelRequest | None = None) -> Any:
    """Cancel a run. Asking twice, or after its end, changes nothing and says so."""
    request = request or CancelRequest()
    answer = platform.service.cancel(run_id, request.keep_partial, request.reason, owner)
    return answer.run.as_dict() | {"message": answer.message}


@router.post("/runs/{run_id}/retry", status_code=202, response_model=RunModel)
def retry(run_id: RunId, locate: Locate, platform: Wired, owner: Owner, key: IdempotencyKey = None) -> Any:
    """Queue a failed or cancelled run again, as a new run that names this one as its parent."""
    return queued(platform.service.retry(run_id, owner, key), locate, platform)


@router.post("/runs/{run_id}/resume", status_code=202, response_model=RunModel)
def resume(run_id: RunId, locate: Locate, platform: Wired, owner: Owner, key: IdempotencyKey = None) -> Any:
    """Go on from where a failed or cancelled run last saved its state, as a new run that names this one as its parent.

    409 when it kept no checkpoint, or when the strategy, the bars or a version that decides the result have
    changed since; `detail` says which.
    """
    return queued(platform.service.resume(run_id, owner, key), locate, platform)


@router.post("/runs/{run_id}/rerun", status_code=202, response_model=RunModel)
def rerun(
    run_id: RunId, locate: Locate, platform: Wired, owner: Owner, request: RerunRequest | None = None,
    key: IdempotencyKey = None,
) -> Any:  # fmt: skip
    """Queue any run again with some params changed, as a new run that names this one as its parent."""
    overrides = request.params if request else {}
    return queued(platform.service.rerun(run_id, overrides, owner, key), locate, platform)


@router.get("/runs/{run_id}/result", response_model=Json)
def result(run_id: RunId, platform: Wired, owner: Owner) -> Any:
    """Answer a run's result; 404 while there is none, or when it was discarded."""
    run = platform.service.get(run_id, owner)
    if run.result is None:
        raise NotFound(f"run {run_id} has no result: it is {run.state}", "wait for its end, or retry it")
    return run.result


@router.get("/runs/{run_id}/artifacts", response_model=list[ArtifactModel])
def artifacts(run_id: RunId, platform: Wired, owner: Owner) -> Any:
    """List the files that a run left behind."""
    platform.service.get(run_id, owner)
    return [{"name": a.name, "size": a.size, "digest": a.digest} for a in platform.service.artifacts(run_id)]


@router.get(
    "/runs/{run_id}/artifacts/{name}",
    response_class=Response,
    responses={200: {"content": {"application/vnd.apache.parquet": {}, "text/csv": {}, "application/json": {}}}},
)
def artifact(
    run_id: RunId,
    name: Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$", description="An artifact's name.")],
    platform: Wired,
    owner: Owner,
    format: Annotated[Literal["parquet", "csv", "json"], Query(description="How to send it.")] = "parquet",
    offset: Annotated[int, Query(ge=0, description="First row, for csv and json.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS, description="Rows at most, for csv and json.")] = MAX_ROWS,
) -> Response:
    """Answer a file of a run: as it is, or its rows as CSV or JSON."""
    platform.service.get(run_id, owner)
    found = next((a for a in platform.service.artifacts(run_id) if a.name == name), None)
    path = platform.files.fetch(found.path) if found else None
    if path is None:
        raise NotFound(f"run {run_id} has no artifact '{name[:60]}'", f"see /runs/{run_id}/artifacts")
    if format == "parquet":
        return FileResponse(path, media_type="application/vnd.apache.parquet", filename=f"{run_id}-{name}")
    frame = scan_parquet(path).slice(offset, limit).collect()
    if format == "csv":
        return Response(frame.write_csv(), media_type="text/csv")
    out = io.StringIO()
    frame.write_json(out)
    return Response(out.getvalue(), media_type="application/json")
