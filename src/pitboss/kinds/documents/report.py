"""What the reports of runs of a document have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.backtesting.summary import METRICS
from pitboss.runs.model import Run
from pitboss.runs.report import Column, Figure, Note, Unit


def title_of(run: Run) -> str:
    """Answer what a report is called: `ema-cross, EURUSD, 5m`."""
    symbols = [str(series["symbol"]) for series in run.snapshot.get("data", [])]
    shown = ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")
    return ", ".join(filter(None, (run.subject.removeprefix("strategy/"), shown, run.params.get("timeframe"))))


def figure_of(name: str, value: Any) -> Figure:
    """Answer a metric as a figure."""
    metric = METRICS[name]
    return Figure(
        name=name, label=metric.label, value=value, unit=Unit(metric.unit), meaning=metric.meaning, good=metric.good
    )


def column_of(name: str) -> Column:
    """Answer a column of metrics, or of parameters."""
    metric = METRICS.get(name)
    if metric is None:
        return Column(name=name, label=name, unit=Unit.NUMBER)
    return Column(name=name, label=metric.label, unit=Unit(metric.unit))


def source_notes(run: Run) -> list[Note]:
    """Answer what is to be known of where a result comes from."""
    notes = []
    if run.snapshot.get("is_synthetic"):
        notes.append(Note(message="on synthetic bars: the figures say nothing about a market", is_warning=True))
    if run.partial and run.result is not None:
        notes.append(Note(message="partial: the run was cancelled on the way", is_warning=True))
    return notes


def listed(counts: Mapping[str, int]) -> str:
    """Answer counts in words: `3 insufficient cash, 1 zero quantity`."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
