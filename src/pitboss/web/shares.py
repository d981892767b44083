"""Sharing a run: with an account, or its report by a link; and what such a link shows."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.core.duration import seconds_of
from pitboss.runs.access import RUN
from pitboss.runs.sharing import Shared
from pitboss.web.pages import Desk, Open, Visit

router = APIRouter()


@router.get("/runs/{run_id}/shares")
def shares(visit: Desk, run_id: str) -> Response:
    """Show with whom a run is shared."""
    return _page(visit, run_id, "")


def _page(visit: Visit, run_id: str, link: str) -> Response:
    own = visit.platform.service.own(visit.me, run_id)
    return visit.render("shares.html", run=own, shares=visit.platform.sharing.of(RUN, own.id), link=link)


@router.post("/runs/{run_id}/shares")
async def share(visit: Desk, run_id: str) -> Response:
    """Share a run, make a link, or take a share back."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    return await run_in_threadpool(_shared, visit, run_id, form)


def _shared(visit: Visit, run_id: str, form: dict[str, str]) -> Response:
    own, sharing = visit.platform.service.own(visit.me, run_id), visit.platform.sharing
    what = Shared(RUN, own.id, own.owner)
    if form.get("do") == "unshare":
        sharing.unshare(visit.me, RUN, own.id, form.get("id", ""))
        return visit.go(f"/runs/{own.id}/shares", "It is taken back")
    lasts = seconds_of(form["expires"], "expires") if form.get("expires") else None
    if form.get("do") == "link":
        _, key = sharing.link(visit.me, what, lasts or 7 * 86_400.0)
        return _page(visit, run_id, f"{visit.request.base_url}shared/{key}")
    sharing.share(visit.me, what, form.get("account", ""), lasts)
    return visit.go(f"/runs/{own.id}/shares", "It is shared")


@router.get("/shared/{key}")
def open_link(visit: Open, key: str) -> Response:
    """Show the report that a link leads to; 404 when it has ended."""
    return visit.render("shared.html", report=visit.platform.sharing.report(key[:64]))
