"""The history, a run's page, and what can be done with a run."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from pitboss.bootstrap import Platform
from pitboss.core.errors import Forbidden
from pitboss.core.places import run_log
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.report import Chart, Report
from pitboss.runs.states import State
from pitboss.web.new import command_of, form_context
from pitboss.web.pages import Desk, Visit
from pitboss.web.running import line_of, parts_of, shown_at, shown_now
from pitboss.web.shown import plain, told

router = APIRouter()
PAGE = 50
TAIL_BYTES = 16 << 10
FOUND_LINES, MOST_SEARCHED = 500, 64 << 20  # of a log, and bytes of it


@router.get("/runs")
def history(
    visit: Desk, kind: str = "", state: str = "", subject: str = "", tag: str = "", owner: str = "", cursor: str = ""
) -> Response:  # fmt: skip
    """Show all runs, latest first, as far as they fit."""
    states = (State(state),) if state in set(State) else ()
    query = RunQuery(
        states=states, kind=kind or None, subject=subject or None, tag=tag or None, owner=owner or None,
        cursor=cursor or None, limit=PAGE,
    )  # fmt: skip
    if owner and owner != visit.me.name and not visit.me.is_operator:
        raise Forbidden("the runs of others are for administrators", "leave the owner out")
    service = visit.platform.service
    runs = service.find(visit.me, query)
    chosen = {"kind": kind, "state": state, "subject": subject, "tag": tag, "owner": owner}
    further = urlencode({name: text for name, text in chosen.items() if text} | {"cursor": runs[-1].id}) if runs else ""
    return visit.render(
        "runs.html", runs=runs, chosen=chosen, states=list(State), kinds=sorted(visit.platform.kinds),
        outcomes={run.id: service.kinds.outcome(run) for run in runs}, cursor=cursor,
        about={run.id: service.kinds.about(run) for run in runs}, further=further if len(runs) == PAGE else "",
    )  # fmt: skip


@router.get("/runs/{run_id}")
def run(visit: Desk, run_id: str) -> Response:
    """Show a run."""
    found = visit.platform.service.get(visit.me, run_id)
    return visit.render("run.html", topics=f"run:{found.id}@{found.last_seq}", **run_context(visit, found))


def run_context(visit: Visit, run: Run) -> dict[str, Any]:
    """Answer what a run's page shows."""
    platform, service = visit.platform, visit.platform.service
    kind = platform.kinds.get(run.kind)
    shown = shown_now(platform, run)
    has_report = run.state.is_terminal and run.result is not None
    report = service.report_of(run) if has_report else None
    is_over = run.state in (State.CANCELLED, State.FAILED)
    form = form_context(platform, visit.me, kind, run.params) if kind and is_over else {"form": None, "kind": kind}
    return {
        "run": run, "shown": shown, "parts": parts_of(shown, platform, visit.root, visit.me),
        "kind_title": kind.title if kind else run.kind,
        "cancel_word": (kind.words if kind else {}).get("cancel", "Cancel"), "about": service.kinds.about(run),
        "lines": [line_of(event) for event in shown.lines], "report": report,
        "charts": [chart_address(visit.root, run, *each) for each in enumerate(report.charts if report else ())],
        "tail": log_tail(platform, run) if run.state is State.FAILED else "",
        "can_resume": bool(is_over and service.checkpoints(visit.me, run.id)),
        "is_own": visit.me.owns(run.owner), "is_mine": visit.me.owns(run.owner) or visit.me.is_operator,
        "notes": service.notes(visit.me, run.id), "command": command_of(run.kind, run.params),
        "as_json": json.dumps({"kind": run.kind, "params": run.params}, indent=2, ensure_ascii=False), **form,
    }  # fmt: skip


def chart_address(root: str, run: Run, at: int, chart: Chart) -> str:
    """Answer what the page needs to know to draw a chart."""
    described = {
        "source": f"{root}/runs/{run.id}/charts/{at}", "type": chart.type, "unit": chart.unit.value,
        "title": chart.title, "x": chart.x, "y": chart.y, "symbol": chart.symbol, "is_equity": chart.is_equity,
        "beside": [curve.label for curve in chart.beside], "table": chart.marks[0].artifact if chart.marks else None,
    }  # fmt: skip
    return json.dumps(described)


def log_tail(platform: Platform, run: Run) -> str:
    """Answer the end of what a run's process wrote, where that is on this machine."""
    path = run_log(platform.settings.data_dir, run.id)
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return "\n".join(plain(line, 500) for line in file.read().decode(errors="replace").splitlines()[-60:])
    except OSError:
        return ""


@router.get("/runs/{run_id}/log")
def log(visit: Desk, run_id: str, q: str = "") -> Response:
    """Show the last lines of what a run's process wrote that hold some words."""
    run = visit.platform.service.get(visit.me, run_id)
    found = searched(run_log(visit.platform.settings.data_dir, run.id), q[:200])
    template = "log.html" if visit.is_partial else "log_page.html"
    return visit.render(template, run=run, found=found, q=q)


@dataclass(frozen=True)
class Searched:
    """The last lines of a log that hold some words, how many do, and whether all of the log was looked at."""

    lines: Sequence[str] = ()
    total: int = 0
    is_all: bool = True


def searched(path: Path, words: str) -> Searched:
    """Look for words in the end of a log, whatever their case."""
    holds, kept, total = _holding(words.casefold()), deque[bytes](maxlen=FOUND_LINES), 0
    try:
        with path.open("rb") as file:
            beginning = max(0, path.stat().st_size - MOST_SEARCHED)
            file.seek(beginning)
            for line in file:
                if holds(line):
                    total += 1
                    kept.append(line)
    except OSError:
        return Searched()
    lines = [plain(line.decode(errors="replace").rstrip("\n"), 2_000) for line in kept]
    return Searched(lines, total, not beginning)


def _holding(words: str) -> Callable[[bytes], bool]:
    """Answer what tells whether a line holds words: bytes are compared faster than the letters that they stand for."""
    wanted = words.encode()
    if words.isascii():
        return lambda line: wanted in line.lower()
    return lambda line: words in line.decode(errors="replace").casefold()


@router.get("/runs/{run_id}/at")
def at(visit: Desk, run_id: str, seq: int = Query(ge=1)) -> Response:
    """Show a run as it stood at an event of its log."""
    found = visit.platform.service.get(visit.me, run_id)
    shown = shown_at(visit.platform, found, min(seq, found.last_seq))
    parts = parts_of(shown, visit.platform, visit.root, visit.me)
    body = "".join(part.replace('id="run-', 'id="then-', 1) for part in parts.values())
    if visit.is_partial:
        return Response(body, media_type="text/html")
    return visit.render("at.html", shown=shown, body=body)


@router.get("/runs/{run_id}/cancel")
def ask_to_cancel(visit: Desk, run_id: str, back: str = "") -> Response:
    """Ask whether a run is to be cancelled, and what becomes of what is done."""
    found = visit.platform.service.own(visit.me, run_id)
    context: dict[str, Any] = {
        "run": found,
        "said": told(found, visit.platform.kinds, visit.me).title,
        "back": back[:200],
    }
    if visit.is_partial:
        return visit.render("cancel.html", **context)
    return visit.render("question.html", title=f"Cancel {found.kind}?", body="cancel.html", **context)


@router.post("/runs/{run_id}/cancel")
async def cancel(visit: Desk, run_id: str) -> Response:
    """Cancel a run, and say what became of it: two seconds at most."""
    form = await visit.form()
    keeps = form.get("keep", ["no"])[0] == "yes"
    said = await run_in_threadpool(_cancelled, visit, run_id, keeps)
    return visit.go("/" if form.get("back", [""])[0] == "/" else f"/runs/{run_id}", said)


def _cancelled(visit: Visit, run_id: str, keeps: bool) -> str:
    service = visit.platform.service
    answer = service.cancel(visit.me, run_id, keeps)
    run = service.settled(visit.me, run_id)
    if run.state is State.CANCELLED:
        is_new = "already" not in answer.message
        return told(run, service.kinds, visit.me).title if is_new else answer.message.capitalize()
    return service.unconfirmed(run) or f"{answer.message.capitalize()}; the run is {run.state}"


@router.post("/runs/{run_id}/again")
def again(visit: Desk, run_id: str) -> Response:
    """Queue a run again as it was asked."""
    return visit.go(f"/runs/{visit.platform.service.rerun(visit.me, run_id).id}")


@router.post("/runs/{run_id}/resume")
def resume(visit: Desk, run_id: str) -> Response:
    """Go on from where a run last saved its state."""
    return visit.go(f"/runs/{visit.platform.service.resume(visit.me, run_id).id}")


@router.post("/runs/{run_id}/priority")
async def prioritize(visit: Desk, run_id: str) -> Response:
    """Move a queued run forward or back."""
    priority = (await visit.form()).get("priority", ["high"])[0]
    await run_in_threadpool(visit.platform.service.prioritize, visit.me, run_id, priority)
    return visit.go(f"/runs/{run_id}", f"Its priority is {priority} now")


@router.post("/runs/{run_id}/notes")
async def write_notes(visit: Desk, run_id: str) -> Response:
    """Keep notes beside a run."""
    text = (await visit.form()).get("text", [""])[0].replace("\r\n", "\n")
    await run_in_threadpool(visit.platform.service.write_notes, visit.me, run_id, text)
    return visit.go(f"/runs/{run_id}", "The notes are kept")


def report_of(visit: Visit, run_id: str) -> tuple[Run, Report]:
    """Answer a run and what came of it. Raises NotFound."""
    found = visit.platform.service.get(visit.me, run_id)
    return found, visit.platform.service.report_of(found)
