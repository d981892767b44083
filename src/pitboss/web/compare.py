"""Two to six runs side by side: what they were asked, what came of them, and whether the difference may be luck."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from pitboss.core.errors import InvalidInput, NotFound, PitbossError
from pitboss.http.deps import Ask
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.report import Chart, Figure, Report
from pitboss.web.documents import difference
from pitboss.web.pages import Desk, Visit
from pitboss.web.results import Bound, path_of
from pitboss.web.shown import text_of

router = APIRouter()
LEAST, MOST = 2, 6
RECENT = 60
MOST_CHANGES = 50


@dataclass(frozen=True)
class Compared:
    """One figure over all runs: `changes` are those against the first, where both are numbers."""

    figure: Figure
    values: Sequence[Figure | None]
    best: int | None


@dataclass(frozen=True)
class Against:
    """A run against the first: what its strategy's text and its data differ in, and how much of it may be luck."""

    run: Run
    text: Sequence[tuple[str, str]]
    data: Sequence[str]
    luck: Mapping[str, Any] | None


@router.get("/compare")
def compare(visit: Desk, ask: Ask, run: Annotated[list[str] | None, Query()] = None) -> Response:
    """Show runs side by side."""
    chosen = list(dict.fromkeys(run or ()))[:MOST]
    service = visit.platform.service
    runs = [service.get(visit.me, run_id) for run_id in chosen]
    recent = service.find(visit.me, RunQuery(limit=RECENT))
    choices = [each for each in recent if each.result is not None and each.id not in chosen]
    outcomes = {each.id: service.kinds.outcome(each) for each in [*runs, *choices]}
    if len(runs) < LEAST:
        return visit.render("compare_choose.html", runs=runs, choices=choices, outcomes=outcomes, most=MOST)
    reports = [service.kinds.report(each) for each in runs]
    equity = [_equity(report) for report in reports]
    return visit.render(
        "compare.html", runs=runs, choices=choices, outcomes=outcomes, figures=compared(reports),
        params=changed_params(runs), against=[_against(visit, ask, runs, equity, at) for at in range(1, len(runs))],
        overlay=_overlay(visit, runs, equity), most=MOST,
        turnover=[_turnover(visit, ask, runs[0], other) for other in runs[1:]],
        mixed=len({each.kind for each in runs}) > 1, partial=[each for each in runs if each.state != "completed"],
    )  # fmt: skip


def _turnover(visit: Visit, ask: Callable[..., Any], first: Run, other: Run) -> Mapping[str, Any] | None:
    """Answer who came and who went between two screens, None where they are none or have no rows."""
    if {first.kind, other.kind} != {"screen"}:
        return None
    first, other = sorted((first, other), key=lambda run: ((run.result or {}).get("date") or "", run.created_at))
    try:
        paths = [path_of(visit, run.id, "rows.parquet") for run in (first, other)]
    except NotFound:
        return None
    found: Mapping[str, Any] = ask("turnover", visit.platform.home_of(visit.me), *paths, MOST_CHANGES)
    return {"first": first, "other": other, **found}


def compared(reports: Sequence[Report]) -> list[Compared]:
    """Answer the figures of reports, those of the first in its order, then what only others have."""
    known: dict[str, Figure] = {}
    for report in reports:
        for figure in report.figures:
            known.setdefault(figure.name, figure)
    rows = []
    for name, figure in known.items():
        values = [next((each for each in report.figures if each.name == name), None) for report in reports]
        rows.append(Compared(figure, values, _best(figure, values)))
    return rows


def _best(figure: Figure, values: Sequence[Figure | None]) -> int | None:
    """Answer which run is best by a figure, where one is and all have it as a number."""
    numbers = [each.value if each is not None else None for each in values]
    if figure.good is None or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        return None
    found = [float(n) for n in numbers if isinstance(n, int | float)]
    best = max(found) if figure.good == "high" else min(found)
    return found.index(best) if found.count(best) == 1 else None


def changed_params(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Answer the params that are not the same in all runs, but for a strategy's text, which is compared by itself."""
    names = list(dict.fromkeys(name for run in runs for name in run.params))
    rows = [(name, [text_of(run.params[name]) if name in run.params else "–" for run in runs]) for name in names]
    return [(name, texts) for name, texts in rows if len(set(texts)) > 1 and not any("\n" in text for text in texts)]


def _equity(report: Report) -> Chart | None:
    return next((chart for chart in report.charts if chart.is_equity), None)


def _against(
    visit: Visit, ask: Callable[..., Any], runs: Sequence[Run], equity: Sequence[Chart | None], at: int
) -> Against:
    first, other = runs[0], runs[at]
    texts = [(run.snapshot.get("strategy") or {}).get("text", "") for run in (first, other)]
    return Against(
        other, difference(*texts), data_differences(first, other), _luck(visit, ask, runs, equity, at)
    )  # fmt: skip


def data_differences(first: Run, other: Run) -> list[str]:
    """Answer in words what two runs' bars differ in."""
    (mine, theirs) = ({each["symbol"]: each for each in run.snapshot.get("data", ())} for run in (first, other))
    said = [f"{symbol} only in #{first.number}" for symbol in mine.keys() - theirs.keys()]
    said += [f"{symbol} only in #{other.number}" for symbol in theirs.keys() - mine.keys()]
    for symbol in sorted(mine.keys() & theirs.keys()):
        if mine[symbol]["digest"] != theirs[symbol]["digest"]:
            said.append(
                f"{symbol}: other bars, {mine[symbol]['rows']:,} to {mine[symbol]['last']} and "
                f"{theirs[symbol]['rows']:,} to {theirs[symbol]['last']}"
            )
    return sorted(said)


def _luck(
    visit: Visit, ask: Callable[..., Any], runs: Sequence[Run], equity: Sequence[Chart | None], at: int
) -> Mapping[str, Any] | None:
    curves = [(runs[place], equity[place]) for place in (0, at)]
    try:
        asked = [(path_of(visit, run.id, chart.artifact), chart.x, chart.y[0]) for run, chart in curves if chart]
        if len(asked) < len(curves):
            return None
        found: Mapping[str, Any] | None = ask("luck", visit.platform.home_of(visit.me), *asked)
        return found
    except PitbossError:  # a file that is gone is said where it is looked for
        return None


def _overlay(visit: Visit, runs: Sequence[Run], equity: Sequence[Chart | None]) -> str:
    """Answer what the page needs to know to draw all equity curves into one chart; empty where none has any."""
    if not any(equity):
        return ""
    ids = "&".join(f"run={run.id}" for run, chart in zip(runs, equity, strict=True) if chart)
    names = [f"#{run.number}" for run, chart in zip(runs, equity, strict=True) if chart]
    described = {
        "source": f"{visit.root}/compare/equity?{ids}", "type": "lines", "unit": "money", "title": "Equity", "x": "ts",
        "y": names, "beside": [], "symbol": None, "is_equity": True, "table": None,
    }  # fmt: skip
    return json.dumps(described)


@router.get("/compare/equity")
def equity_of(
    visit: Desk, ask: Ask, run: Annotated[list[str], Query()], low: Bound = None, high: Bound = None,
    points: int = 1_000,
) -> Any:  # fmt: skip
    """Answer the equity curves of runs, as far as they are seen."""
    if not 1 <= len(run) <= MOST:
        raise InvalidInput(f"{len(run)} runs", f"1 to {MOST}", "run")
    home, found = visit.platform.home_of(visit.me), []
    for run_id in run:
        each = visit.platform.service.get(visit.me, run_id)
        chart = _equity(visit.platform.service.kinds.report(each))
        if chart is None:
            raise NotFound(f"run {run_id} has no equity", "leave it out")
        described = {"x": chart.x, "y": chart.y[:1], "type": "line", "where": chart.where, "marks": []}
        most = min(4_000, max(50, points))
        found.append(ask("tile", home, path_of(visit, each.id, chart.artifact), described, low, high, most))
    return {"curves": found}
