"""The queue and the workers, and finding anything by a few letters."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Response

from pitboss.bootstrap import Platform
from pitboss.core.principal import Principal
from pitboss.runs.model import RunQuery, worker_document
from pitboss.runs.queue import obstacle
from pitboss.web.live import Message
from pitboss.web.pages import NAVIGATION, Desk, fragment

router = APIRouter()
MOST_QUEUED, MOST_FOUND, LOOKED_AT = 500, 8, 300


def queue_context(platform: Platform, who: Principal) -> dict[str, Any]:
    """Answer what the page of the queue shows to somebody."""
    snapshot = platform.service.snapshot()
    lease = platform.settings.lease_seconds
    hidden = {run.id for run in snapshot.active if not who.owns(run.owner) and not who.is_operator}
    workers = [
        worker_document(worker, snapshot) | {"is_alive": worker.has_renewed(lease)} for worker in snapshot.workers
    ]
    queued = platform.service.queued(who, MOST_QUEUED)
    return {
        "queued": queued, "queued_total": len(snapshot.queued), "obstacle": obstacle(snapshot, lease),
        "abouts": {run.id: platform.service.kinds.about(run) for run, _ in queued if run is not None},
        "active": [run for run in snapshot.active if run.id not in hidden], "others": len(hidden),
        "workers": sorted(workers, key=lambda each: str(each["host"])), "failed_starts": snapshot.failed_starts,
        "limits": platform.service.policy.limits, "most": platform.service.policy.max_queue_size,
    }  # fmt: skip


def queue_body(platform: Platform, who: Principal, root: str, csrf: str = "") -> str:
    return fragment("queue_body.html", root=root, csrf=csrf, **queue_context(platform, who))


@router.get("/queue")
def queue(visit: Desk) -> Response:
    """Show what waits and why, what is active, and who works."""
    body = queue_body(visit.platform, visit.me, visit.root, visit.csrf)
    return visit.render("queue.html", topics="queue", body=body)


class QueueWatched:
    """The queue as somebody may see it."""

    def __init__(self, platform: Platform, who: Principal, root: str) -> None:
        self._platform = platform
        self._who = who
        self._root = root
        self._told = ""

    def look(self) -> Message | None:
        before, self._told = self._told, self._body()
        return None if before == self._told else {"parts": {"queue": self._told}}

    def whole(self, _position: int) -> Message:
        return {"parts": {"queue": self._body()}}

    def _body(self) -> str:
        return queue_body(self._platform, self._who, self._root)


def open_queue(platform: Platform, who: Principal, _which: str, root: str) -> QueueWatched:
    """Answer the queue to look at."""
    return QueueWatched(platform, who, root)


@router.get("/find")
def find(visit: Desk, q: str = "") -> Response:
    """Find pages, strategies, saved backtests, series and recent runs by their names."""
    words = q[:80].casefold().split()
    found = [each for each in _findable(visit.platform, visit.me) if all(word in each[1].casefold() for word in words)]
    template = "found.html" if visit.is_partial else "find.html"
    return visit.render(template, found=found[:MOST_FOUND], q=q[:80])


def _findable(platform: Platform, who: Principal) -> list[tuple[str, str, str]]:
    """Answer addresses with their names and icons, those that are most likely meant first."""
    kinds = [(f"/new/{kind.name}", f"New {kind.title.lower()}", "plus") for kind in platform.kinds.values()]
    shelves = (
        ("strategies", "strategy", "code", platform.strategies), ("screens", "screen", "list-filter", platform.screens),
    )  # fmt: skip
    stored = [(f"/{folder}/{each.name}", f"{word} {each.name}", picture)
              for folder, word, picture, shelf in shelves for each in shelf.all(who.name)]  # fmt: skip
    saved = [(f"/library/{each.id}", f"backtest {each.name}", "library") for each in platform.backtests.all(who)]
    series = [(f"/data/series/{each.timeframe}/{quote(str(each.symbol))}", f"bars {each.symbol} {each.timeframe}",
               "database") for each in platform.catalog_of(who).all()]  # fmt: skip
    runs = [(f"/runs/{run.id}", f"{run.kind} {run.subject.rpartition('/')[2]} #{run.number} {run.state}", "activity")
            for run in platform.service.find(who, RunQuery(limit=LOOKED_AT))]  # fmt: skip
    return [*NAVIGATION, ("/runs", "History", "archive"), ("/compare", "Compare", "git-compare"), *kinds, *stored,
            *saved, *series, *runs]  # fmt: skip
