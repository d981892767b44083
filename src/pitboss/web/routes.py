"""Every page of the desk, for a host to put where it wants."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from pitboss.http.access import admitting
from pitboss.web import (
    accounts,
    board,
    channels,
    compare,
    data,
    library,
    live,
    models,
    new,
    results,
    runs,
    schedules,
    screens,
    secrets,
    shares,
    strategies,
    traders,
)
from pitboss.web import system as queue
from pitboss.web.access import ACCESS
from pitboss.web.live import Opener
from pitboss.web.running import open_run

PAGES = (
    board, live, new, runs, results, compare, library, schedules, strategies, screens, data, queue, accounts, channels,
    secrets, shares, traders, models,
)  # fmt: skip
OPENERS: dict[str, Opener] = {
    "board": board.open_board, "library": library.open_library, "queue": queue.open_queue, "run": open_run,
}  # fmt: skip


def desk_router() -> APIRouter:
    """Answer the routes of the desk."""
    router = APIRouter(dependencies=[Depends(admitting(ACCESS))], include_in_schema=False)
    for module in PAGES:
        router.include_router(module.router)
    return router
