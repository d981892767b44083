"""The board: what runs now, what waits, what ended lately, and who works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from pitboss.bootstrap import Platform
from pitboss.core.errors import Conflict, NotFound, PitbossError
from pitboss.core.principal import Principal
from pitboss.core.version import VERSION
from pitboss.runs.model import QueueSnapshot, Run, RunQuery
from pitboss.runs.queue import obstacle
from pitboss.runs.service import UNFINISHED
from pitboss.runs.states import ACTIVE, TERMINAL, State
from pitboss.web.live import Message
from pitboss.web.pages import Desk, Visit, fragment
from pitboss.web.refusals import is_page

router = APIRouter()
MOST_RECENT, MOST_WAITING, AT_ONCE, MOST_CHOSEN = 20, 100, 1000, 200


@dataclass(frozen=True)
class WorkerShown:
    """A worker as the board shows it."""

    host: str
    slots: int
    busy: int
    note: str
    is_alive: bool


def workers_of(snapshot: QueueSnapshot, lease_seconds: float) -> list[WorkerShown]:
    """Answer who works, by host."""
    found = [
        WorkerShown(
            worker.host, worker.slots, sum(run.worker_id == worker.id for run in snapshot.active),
            "finishes what runs, then ends" if worker.is_draining else worker.note, worker.has_renewed(lease_seconds),
        )
        for worker in snapshot.workers
    ]  # fmt: skip
    return sorted(found, key=lambda worker: worker.host)


def board_context(platform: Platform, who: Principal) -> dict[str, Any]:
    """Answer what the board shows to somebody."""
    service = platform.service
    snapshot = service.snapshot()
    active = [run for run in snapshot.active if who.owns(run.owner)]
    queued = service.queued(who, MOST_WAITING) if snapshot.queued else []
    recent = service.find(who, RunQuery(states=tuple(TERMINAL), limit=MOST_RECENT))
    shown: Sequence[Run] = [*active, *(run for run, _ in queued if run is not None), *recent]
    return {
        "active": active, "queued": queued, "queued_total": len(snapshot.queued), "recent": recent,
        "abouts": {run.id: service.kinds.about(run) for run in shown},
        "outcomes": {run.id: outcome(platform, run) for run in recent},
        "workers": workers_of(snapshot, platform.settings.lease_seconds),
        "obstacle": obstacle(snapshot, platform.settings.lease_seconds),
        "has_runs": bool(shown), "has_bars": bool(shown) or _has_bars(platform, who),
        "shape": " ".join(f"{run.id}:{run.state}" for run in shown),
    }  # fmt: skip


def _has_bars(platform: Platform, who: Principal) -> bool:
    return bool(platform.catalog_of(who).all())


def outcome(platform: Platform, run: Run) -> str:
    """Answer what came of a run that has ended, in a few words."""
    if run.state is State.FAILED:
        return str((run.error or {}).get("message", ""))
    return platform.service.kinds.outcome(run)


def board_body(context: Mapping[str, Any], root: str, csrf: str = "") -> str:
    return fragment("board_body.html", root=root, csrf=csrf, **context)


@router.get("/")
async def board(visit: Desk) -> Response:
    """Show the board; a program is told where it should rather look."""
    if not is_page(visit.request):
        places = {"docs": "/docs", "openapi": "/openapi.json", "runs": "/api/v1/runs", "ready": "/readyz"}
        return JSONResponse({"name": "pitboss", "version": VERSION} | {n: visit.root + p for n, p in places.items()})
    context = await run_in_threadpool(board_context, visit.platform, visit.me)
    body = board_body(context, visit.root, visit.csrf)
    return visit.render("board.html", topics="board", body=body)


@router.get("/stop")
def ask_to_stop(visit: Desk) -> Response:
    """Ask whether all of somebody's runs are to be stopped."""
    count = _unfinished(visit)
    if visit.is_partial:
        return visit.render("stop.html", count=count)
    return visit.render("question.html", title="Stop everything", body="stop.html", count=count)


def _unfinished(visit: Visit) -> int:
    by_state = visit.platform.service.statistics(visit.me)["by_state"]
    return sum(by_state[state.value] for state in UNFINISHED)


@router.post("/stop")
async def stop(visit: Desk) -> Response:
    """Cancel all of somebody's runs, keeping what is done."""
    stopped = await run_in_threadpool(_stop, visit)
    return visit.go("/", f"{stopped} {'run is' if stopped == 1 else 'runs are'} being stopped; what is done is kept")


def _stop(visit: Visit) -> int:
    service, stopped = visit.platform.service, 0
    for states in ((State.QUEUED,), tuple(ACTIVE)):  # those that wait first, or they would start meanwhile
        cursor = None
        while found := service.find(visit.me, RunQuery(states=states, cursor=cursor, limit=AT_ONCE)):
            for run in found:
                service.cancel(visit.me, run.id, keep_partial=True, reason="everything was stopped")
            stopped, cursor = stopped + len(found), found[-1].id
    return stopped


@router.post("/selection")
async def selection(visit: Desk) -> Response:
    """Do one thing with several runs."""
    form = await visit.form()
    chosen, what = form.get("run", [])[:MOST_CHOSEN], form.get("do", [""])[0]
    if what == "compare":
        return visit.go(f"/compare?{urlencode([('run', run_id) for run_id in chosen])}")
    done, refused = await run_in_threadpool(_each, visit, chosen, what)
    said = f"{done} of {len(chosen)} done" + (f"; {refused}" if refused else "")
    return visit.go("/", said if chosen else "Nothing is chosen: tick some runs first")


def _each(visit: Visit, run_ids: list[str], what: str) -> tuple[int, str]:
    """Answer for how many runs something was done, and why not for the first of the others."""
    service, me, done, refused = visit.platform.service, visit.me, 0, ""
    for run_id in run_ids:
        try:
            match what:
                case "cancel" | "discard":
                    said = service.cancel(me, run_id, keep_partial=what == "cancel")
                    if said.run.cancel_requested_at is None:
                        raise Conflict(said.message)
                case "raise":
                    service.prioritize(me, run_id, "high")
                case "again":
                    service.rerun(me, run_id)
                case _:
                    raise NotFound(f"there is nothing called '{what[:20]}' to do")
            done += 1
        except PitbossError as error:
            refused = refused or error.message
    return done, refused


class BoardWatched:
    """Somebody's board."""

    def __init__(self, platform: Platform, who: Principal, root: str) -> None:
        self._platform = platform
        self._who = who
        self._root = root
        self._told: dict[str, str] = {}
        self._shape: tuple[Any, ...] = ()

    def look(self) -> Message | None:
        context = board_context(self._platform, self._who)
        shape = (context["shape"], context["queued"], context["workers"], context["obstacle"])
        is_same, self._shape = shape == self._shape, shape
        cards = self._cards(context)
        before, self._told = self._told, cards
        if not is_same:
            return self._message({"board": board_body(context, self._root)})
        changed = {name: card for name, card in cards.items() if before.get(name) != card}
        return self._message(changed) if changed else None

    def whole(self, _position: int) -> Message:
        return self._message({"board": board_body(board_context(self._platform, self._who), self._root)})

    def _cards(self, context: Mapping[str, Any]) -> dict[str, str]:
        return {
            f"card-{run.id}": fragment("board_card.html", run=run, about=context["abouts"][run.id], root=self._root)
            for run in context["active"]
        }

    def _message(self, parts: dict[str, str]) -> Message:
        return {"parts": parts}


def open_board(platform: Platform, who: Principal, _which: str, root: str) -> BoardWatched:
    """Answer somebody's board to look at."""
    return BoardWatched(platform, who, root)
