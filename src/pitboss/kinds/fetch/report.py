"""A fetch's report: how many bars came, which a source has changed, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.runs.model import Run
from pitboss.runs.report import Column, Figure, Note, Report, Table, Unit


def report_of(run: Run) -> Report:
    """Answer the report of a fetch."""
    result = run.result
    title = f"{run.snapshot['source']['name']}, {about_of(run)}"
    if result is None:
        return Report(title=title)
    figures = [
        Figure(name=name, label=label, value=result[name], unit=Unit.COUNT, meaning=meaning)
        for name, label, meaning in (
            ("added", "New bars", "bars that were not there before"), ("symbols", "Symbols", "brought up to date"),
            ("changed", "Changed bars", "that the source tells otherwise than before; what was is kept"),
            ("failed", "Failed", "symbols that could not be fetched"),
        )
    ]  # fmt: skip
    notes = [
        Note(message=f"{item['changed']:,} bars of {item['symbol']} differ from what was stored", is_warning=True)
        for item in result["revised"]
    ]
    if result["witness"] is not None:
        meaning = f"prices that {result['witness']} tells otherwise, beyond the tolerance"
        figures.append(
            Figure(name="differing", label="Differing", value=result["differing"], unit=Unit.COUNT, meaning=meaning)
        )
    return Report(title=title, figures=figures, notes=notes, tables=[*_failures(result), *_differences(result)])


def _differences(result: Mapping[str, Any]) -> list[Table]:
    if not result["differences"]:
        return []
    source, witness = result["source"], result["witness"]
    columns = [
        Column(name="symbol", label="symbol", unit=Unit.TEXT), Column(name="ts", label="date", unit=Unit.MOMENT),
        Column(name="price", label="price", unit=Unit.TEXT), Column(name="value", label=source, unit=Unit.NUMBER),
        Column(name="other", label=witness, unit=Unit.NUMBER),
    ]  # fmt: skip
    rows = [[each[column.name] for column in columns] for each in result["differences"]]
    title = f"{result['differing']:,} prices differ between {source} and {witness}"
    return [Table(name="differences", title=title, columns=columns, rows=rows, shown=20)]


def _failures(result: Mapping[str, Any]) -> list[Table]:
    if not result["failures"]:
        return []
    columns = [Column(name=name, label=name, unit=Unit.TEXT) for name in ("symbol", "reason")]
    rows = [[item["symbol"], item["reason"]] for item in result["failures"]]
    return [Table(name="failed", title="Not fetched", columns=columns, rows=rows, shown=20)]


def about_of(run: Run) -> str:
    """Answer how many symbols, and of which bars."""
    return f"{run.snapshot['symbols'].count(' ') + 1:,} symbols, {run.params.get('timeframe') or '1d'}"


def outcome_of(run: Run) -> str:
    """Answer how many bars came."""
    result = run.result or {}
    if "added" not in result:
        return ""
    return f"{result['added']:,} new bars" + (
        f", {result['failed']} of {result['symbols']} symbols failed" if result["failed"] else ""
    )


def item_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what of a symbol is shown while the fetch goes on."""
    return {name: item.get(name) for name in ("added", "changed", "differing", "last", "reason")}
