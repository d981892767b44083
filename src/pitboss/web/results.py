"""What came of runs, a piece at a time: the part of a chart that is seen, and pages of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from pitboss.core.clock import parse_date
from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.timeframe import DAY_MICROS
from pitboss.http.deps import Ask
from pitboss.market.dates import range_of
from pitboss.runs.model import Run
from pitboss.runs.report import Chart, Column, Curve, Table, Unit
from pitboss.web.pages import Desk, Visit
from pitboss.web.runs import report_of

router = APIRouter()
Bound = Annotated[float | None, Query(allow_inf_nan=False)]  # of what is seen of a chart
MOST_POINTS, LEAST_POINTS = 8_000, 50
ROWS = 50


def path_of(visit: Visit, run_id: str, name: str) -> str:
    """Answer where the file of an artifact lies. Raises NotFound."""
    found = visit.platform.service.artifact(visit.me, run_id, name)
    path = visit.platform.files.fetch(found.path)
    if path is None:
        raise NotFound(f"the file of '{name[:60]}' is missing", "restore it from a backup, or rerun the run")
    return str(path)


@router.get("/runs/{run_id}/charts/{number}")
def chart(
    visit: Desk, ask: Ask, run_id: str, number: int, low: Bound = None, high: Bound = None,
    points: int = 2_000,
) -> Response:  # fmt: skip
    """Answer the part of a chart that is seen, no finer than it can be seen."""
    run, report = report_of(visit, run_id)
    if not 0 <= number < len(report.charts):
        raise NotFound(f"there is no chart {number}", f"there are {len(report.charts)}")
    most = min(MOST_POINTS, max(LEAST_POINTS, points))
    return JSONResponse(drawn(visit, ask, run, report.charts[number], low, high, most))


def drawn(
    visit: Visit, ask: Callable[..., Any], run: Run, chart: Chart, low: float | None, high: float | None, most: int
) -> dict[str, Any]:  # fmt: skip
    """Answer a chart's numbers between `low` and `high` of its x, about `most` of them."""
    home = visit.platform.home_of(visit.me)
    path = path_of(visit, run.id, chart.artifact)
    if chart.type == "heatmap":
        found: dict[str, Any] = ask("cells", home, path, chart.x, chart.y[0], chart.value)
        return found
    marks = [mark.model_dump() | {"path": path_of(visit, run.id, mark.artifact)} for mark in chart.marks]
    described = {"x": chart.x, "y": chart.y, "type": chart.type, "where": chart.where, "marks": marks}
    found = ask("tile", home, path, described, low, high, most)
    if chart.type == "candles":
        found = _bars_of(visit, ask, run, chart, low, high, most) | {"marks": found["marks"]}
    found["beside"] = [_beside(visit, ask, run, curve, low, high, most) for curve in chart.beside]
    return found


def _beside(
    visit: Visit, ask: Callable[..., Any], run: Run, curve: Curve, low: float | None, high: float | None, most: int
) -> dict[str, Any]:  # fmt: skip
    """Answer a line to compare with; none of another run that is not shown to whoever asks, or whose files are gone."""
    described = {"x": curve.x, "y": [curve.y], "type": "line", "where": {}, "marks": []}
    try:
        path = path_of(visit, curve.run or run.id, curve.artifact)
    except NotFound:
        if curve.run is None:
            raise
        return {"x": [], "y": [[]]}
    found: dict[str, Any] = ask("tile", visit.platform.home_of(visit.me), path, described, low, high, most)
    return found


def _bars_of(
    visit: Visit, ask: Callable[..., Any], run: Run, chart: Chart, low: float | None, high: float | None, most: int
) -> dict[str, Any]:  # fmt: skip
    """Answer the stored bars of a chart where they are still those that the run saw, else what its artifact holds."""
    home = visit.platform.home_of(visit.me)
    series = next((each for each in run.snapshot.get("data", ()) if each["symbol"] == chart.symbol), None)
    if series is not None and _is_stored(visit, series):
        shown = run.snapshot.get("timeframe") or series["timeframe"]
        bounds = [None if each is None else int(each) for each in (low, high)]
        found: dict[str, Any] = ask("candles", home, series["symbol"], shown, *bounds, most)
        text = (run.snapshot.get("strategy") or {}).get("text", "")
        parameters = run.params.get("parameters") or {}
        asked = (home, text, parameters, series["symbol"], shown, found["x"], run.snapshot.get("models", {}))
        found["lines"] = ask("overlays", *asked) if text else []
        return found
    described = {"x": chart.x, "y": chart.y, "type": chart.type, "where": chart.where, "marks": []}
    found = ask("tile", home, path_of(visit, run.id, chart.artifact), described, None, None, most)
    note = "the bars have changed since this run: these are what it kept" if series is not None else ""
    return found | {"candles": found["y"], "lines": [], "step": 1, "note": note}


def _is_stored(visit: Visit, series: Mapping[str, Any]) -> bool:
    stored = visit.platform.catalog_of(visit.me).all()
    return any((each.symbol, each.timeframe, each.digest) == (series["symbol"], series["timeframe"], series["digest"])
               for each in stored)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """Which rows of a table are asked for."""

    sort: str
    page: int = 0
    equals: dict[str, str] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)
    start: str = ""
    end: str = ""
    row: int | None = None


def read_asked(query: Mapping[str, str], table: Table) -> Asked:
    """Read which rows of a table are asked for. Raises InvalidInput."""
    names = {column.name for column in table.columns}
    page, row = query.get("page", "0"), query.get("row", "")
    if not (page.isdigit() and len(page) < 8) or not (row == "" or (row.isdigit() and len(row) < 12)):
        raise InvalidInput("a page or a row is no number", "leave it out", "page")
    sort = query.get("sort") or table.sort or ""
    return Asked(
        sort if sort.lstrip("-") in names else "", int(page),
        {name: query[f"is.{name}"] for name in names if query.get(f"is.{name}")},
        {name: query[f"sign.{name}"] for name in names if query.get(f"sign.{name}") in ("gains", "losses")},
        query.get("from", "")[:40], query.get("to", "")[:40], int(row) if row else None,
    )  # fmt: skip


@router.get("/runs/{run_id}/tables/{name}")
def table(visit: Desk, ask: Ask, run_id: str, name: str) -> Response:
    """Show a page of a table, sorted and narrowed as asked."""
    run, report = report_of(visit, run_id)
    found = next((each for each in report.tables if each.name == name and each.artifact), None)
    if found is None or found.artifact is None:
        raise NotFound(f"there is no table '{name[:40]}'", "see the run's report")
    asked = read_asked(visit.request.query_params, found)
    home, path = visit.platform.home_of(visit.me), path_of(visit, run.id, found.artifact)
    answer = ask("rows", home, path, _request(asked, found))
    context = _table_context(visit, run, found, asked, answer)
    context["choices"] = ask("choices", home, path, [c.name for c in found.columns if c.unit is Unit.TEXT])
    context["sparks"] = _sparks(visit, ask, run, context)
    if visit.is_partial:
        return visit.render("table.html", **context)
    return visit.render("table_page.html", **context)


def _sparks(visit: Visit, ask: Callable[..., Any], run: Run, context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer the last closes of the symbols that a page of a table shows, up to the date of the run."""
    places = [at for at, column in enumerate(context["columns"], 1) if column.unit is Unit.SYMBOL]
    symbols = list(dict.fromkeys(row[at] for row in context["rows"] for at in places))
    timeframe, date = run.snapshot.get("timeframe"), (run.result or {}).get("date")
    if not symbols or not timeframe:
        return {}
    _, until = range_of(None, date)
    found: Mapping[str, Any] = ask("sparks", visit.platform.home_of(visit.me), symbols, timeframe, until)
    return found


def _request(asked: Asked, table: Table) -> dict[str, Any]:
    moments = [column.name for column in table.columns if column.unit is Unit.MOMENT]
    between = {}
    if moments and (asked.start or asked.end):
        try:
            low = parse_date(asked.start) if asked.start else None
            high = parse_date(asked.end) + DAY_MICROS if asked.end else None
        except (ValueError, OverflowError):
            raise InvalidInput("a date cannot be read", "write 2018-01-31", "from") from None
        between = {moments[-1]: (low, high)}
    return {
        "columns": [column.name for column in table.columns], "sort": asked.sort, "equals": asked.equals,
        "signs": asked.signs, "between": between, "offset": asked.page * ROWS, "limit": ROWS, "row": asked.row,
    }  # fmt: skip


def _table_context(visit: Visit, run: Run, table: Table, asked: Asked, answer: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Column] = {column.name: column for column in table.columns}
    given = dict(visit.request.query_params)
    address = f"{visit.root}/runs/{run.id}/tables/{table.name}"
    artifact = quote(str(table.artifact), safe="")
    return {
        "run": run, "table": table, "asked": asked, "address": address, "page": asked.page, "limit": ROWS,
        "columns": [known[name] for name in answer["columns"]], "rows": answer["rows"], "total": answer["total"],
        "labels": {name: column.label for name, column in known.items()},
        "signed": [column.name for column in table.columns if column.is_gain],
        "moments": any(column.unit is Unit.MOMENT for column in table.columns),
        "query": lambda changes: urlencode({**given, **changes}),
        "download": f"{visit.root}/api/v1/runs/{run.id}/artifacts/{artifact}?format=csv",
    }  # fmt: skip
