"""A sweep's report: the best variants, and how many were tried for them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from pitboss.backtesting.ranking import RANKABLE, SCORE
from pitboss.backtesting.summary import METRICS, shown
from pitboss.kinds.documents.report import column_of, source_notes, title_of
from pitboss.runs.model import Run
from pitboss.runs.report import Chart, Column, Download, Figure, Note, Report, Table, Unit

MOST_MAPS = 6  # of two parameters each
FURTHER = {"total_return": "return", "max_drawdown": "drawdown", "trade_count": "trades"}


def report_of(run: Run) -> Report:
    """Answer the report of a sweep that has ended, or of what a cancelled one has kept."""
    result = run.result
    if result is None:
        return Report(title=title_of(run), notes=source_notes(run))
    metric, best = column_ranked_by(result), result["best"]
    names = [*(best[0]["parameters"] if best else {})]
    return Report(
        title=title_of(run),
        figures=_figures(result),
        notes=[*source_notes(run), *_doubts(result)],
        tables=[_best(result), _variants(metric, names)],
        charts=_maps(metric, names),
        downloads=[Download(artifact=name, title=name.removesuffix(".parquet")) for name in result["artifacts"]],
    )


def outcome_of(run: Run) -> str:
    """Answer how many variants were computed."""
    result = run.result or {}
    return f"{result['variants']} of {result['total']} variants" if "variants" in result else ""


def column_ranked_by(result: dict[str, Any]) -> str:
    """Answer the column of the table of variants by which they are ranked."""
    return result["metric"] if result["metric"] in RANKABLE else SCORE


def _figures(result: dict[str, Any]) -> list[Figure]:
    metric, best = result["metric"], result["best"]
    described = METRICS.get(metric)
    top = Figure(
        name="best", label=f"Best {metric}", value=_value(best[0], metric) if best else None,
        unit=Unit(described.unit) if described else Unit.NUMBER, meaning=described.meaning if described else "",
        good=described.good if described else None,
    )  # fmt: skip
    failed = Figure(
        name="failed", label="Without that metric", value=result.get("failed", 0), unit=Unit.COUNT, good="low",
        meaning="variants that were tried and came to nothing, such as those that never traded",
    )  # fmt: skip
    return [
        Figure(name="variants", label="Variants tried", value=result["variants"], unit=Unit.COUNT),
        Figure(name="total", label="Variants of the grid", value=result["total"], unit=Unit.COUNT),
        *_left_out(result.get("left_out", 0)),
        failed,
        top,
    ]


def _value(variant: dict[str, Any], metric: str) -> Any:
    """Answer what a variant is ranked by; those of earlier versions have it among their metrics alone."""
    return variant["value"] if "value" in variant else variant["metrics"].get(metric)


def _left_out(count: int) -> list[Figure]:
    meaning = "combinations that do not fulfil the document's 'where'"
    return [Figure(name="left_out", label="Left out", value=count, unit=Unit.COUNT, meaning=meaning)] if count else []


def _doubts(result: dict[str, Any]) -> list[Note]:
    notes = []
    least, enough = result.get("min_trades", 0), result.get("with_enough_trades", 0)
    if least and enough < result["variants"]:
        what = f"{enough:,} of {result['variants']:,} variants have {least:,} trades or more, and are ranked first"
        notes.append(Note(message=what, is_warning=not enough))
    if result.get("ruined"):
        notes.append(Note(message=f"{result['ruined']:,} variants were ruined, and are ranked last", is_warning=True))
    if result["variants"] > 1:
        what = "the best of many tries looks better than it is: test it on bars that the sweep has not seen"
        notes.append(Note(message=what, is_warning=True))
    return notes


def _best(result: dict[str, Any]) -> Table:
    metric = result["metric"]
    further = {name: label for name, label in FURTHER.items() if name != metric}
    columns = [Column(name="variant", label="variant", unit=Unit.COUNT), Column(name="parameters", label="parameters")]
    labels = {metric: metric, **further}
    columns += [column_of(name).model_copy(update={"label": label}) for name, label in labels.items()]

    def row(each: dict[str, Any]) -> list[Any]:
        others = (each["metrics"].get(name) for name in further)
        return [each["variant"], _shown(each["parameters"]), _value(each, metric), *others]

    rows = [row(each) for each in result["best"]]
    title = f"{result['variants']:,} of {result['total']:,} variants, best by {metric}"
    return Table(name="best", title=title, columns=columns, rows=rows, shown=10)


def item_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what of a variant is shown while the sweep goes on."""
    metrics = item.get("metrics", {})
    return {**item.get("parameters", {}), **{label: shown(name, metrics.get(name)) for name, label in FURTHER.items()}}


def _shown(parameters: dict[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in parameters.items())


def _variants(metric: str, names: list[str]) -> Table:
    columns = [column_of(name) for name in ("variant", *names, *([SCORE] if metric == SCORE else []), *METRICS)]
    return Table(
        name="variants", title="All variants", columns=columns, artifact="variants.parquet", sort=f"-{metric}", shown=0
    )


def _maps(metric: str, names: list[str]) -> list[Chart]:
    unit = Unit(METRICS[metric].unit) if metric in METRICS else Unit.NUMBER
    if len(names) == 1:
        return [
            Chart(
                name=names[0], title=f"{metric} by {names[0]}", type="line", artifact="variants.parquet", x=names[0],
                y=[metric], unit=unit,
            )
        ]  # fmt: skip
    return [
        Chart(
            name=f"{x}-{y}", title=f"{metric} by {x} and {y}", type="heatmap", artifact="variants.parquet", x=x, y=[y],
            value=metric, unit=unit,
        )
        for x, y in list(combinations(names, 2))[:MOST_MAPS]
    ]  # fmt: skip
