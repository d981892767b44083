"""What the reports of runs of a document have in common."""

from __future__ import annotations

from typing import Any

from pitboss.backtesting.summary import METRICS
from pitboss.kinds.documents.params import DEFAULT_CASH
from pitboss.runs.model import Run
from pitboss.runs.report import Column, Figure, Note, Unit


def title_of(run: Run) -> str:
    """Answer what a report is called: `ema-cross, EURUSD, 5m`."""
    symbols = [str(series["symbol"]) for series in run.snapshot.get("data", [])]
    shown = ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")
    return ", ".join(filter(None, (run.subject.removeprefix("strategy/"), shown, run.snapshot.get("timeframe"))))


def about_of(run: Run) -> str:
    """Answer what a run trades: `EURUSD 5m 2018-01-01 to 2018-12-31, fast=10, cash 5,000`."""
    data, params = run.snapshot.get("data", []), run.params
    symbols = ", ".join(str(symbol) for symbol in params.get("symbols", [])[:3])
    further = len(params.get("symbols", [])) - 3
    timeframe = params.get("timeframe") or run.snapshot.get("timeframe", "")
    first = params.get("start") or min((series["first"] for series in data), default="")
    last = params.get("end") or max((series["last"] for series in data), default="")
    what = " ".join(filter(None, (symbols + (f" and {further} more" if further > 0 else ""), timeframe)))
    changed = {
        name: value for part in ("parameters", "costs", "sizing") for name, value in (params.get(part) or {}).items()
    }
    dates = f" {str(first)[:10]} to {str(last)[:10]}" if first or last else ""
    said = [what + dates, *(f"{name}={value}" for name, value in changed.items())]
    cash = params.get("cash", DEFAULT_CASH)
    return ", ".join(said + ([f"cash {cash:,.15g}"] if cash != DEFAULT_CASH else []))


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
