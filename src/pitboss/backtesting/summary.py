"""A backtest's chief metrics: what they mean, which way is better, and how they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pitboss.core.infinite import is_infinite

QUARTER = 0.25  # of a year: figures of a year that come from less are marked
DAYS_PER_YEAR = 365.25
Good = Literal["high", "low"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `unit` is that of `runs.report.Unit`, `good` which way is better where there is one."""

    name: str
    unit: str
    meaning: str
    good: Good | None = None

    @property
    def label(self) -> str:
        """The name as people write it; of seconds the report says the unit."""
        return self.name.removesuffix("_seconds").replace("_", " ").capitalize()


METRICS = {
    metric.name: metric
    for metric in (
        Metric("start", "moment", "opening of the first bar, UTC"),
        Metric("end", "moment", "opening of the last bar, UTC"),
        Metric("years", "ratio", "from the first bar to the end of the last, years of 365.25 days"),
        Metric("bars", "count", "bars of the timeline"),
        Metric("final_equity", "money", "cash and positions at the last close", "high"),
        Metric("total_return", "percent", "final equity over the cash at the start, less 1", "high"),
        Metric("annual_return", "percent", "the same, compounded to a year", "high"),
        Metric("volatility", "percent", "standard deviation of daily returns, of a year", "low"),
        Metric("sharpe", "ratio", "mean over standard deviation of daily returns, of a year; risk-free rate 0", "high"),
        Metric("sortino", "ratio", "mean over downside deviation of daily returns, of a year", "high"),
        Metric("calmar", "ratio", "annual return over maximum drawdown", "high"),
        Metric("omega", "ratio", "sum of daily gains over sum of daily losses", "high"),
        Metric("max_drawdown", "percent", "deepest fall of equity from a peak", "high"),
        Metric("max_drawdown_start", "moment", "the peak before it"),
        Metric("max_drawdown_trough", "moment", "its deepest point"),
        Metric("max_drawdown_recovery", "moment", "when the peak was reached again"),
        Metric("longest_under_water_days", "days", "longest time below an earlier peak", "low"),
        Metric("trade_count", "count", "trades closed"),
        Metric("win_rate", "percent", "share of trades with a profit", "high"),
        Metric("profit_factor", "ratio", "profits over losses", "high"),
        Metric("expectancy", "money", "mean profit of a trade", "high"),
        Metric("average_win", "money", "mean profit of the winning trades", "high"),
        Metric("average_loss", "money", "mean loss of the losing trades", "high"),
        Metric("average_holding_seconds", "seconds", "mean time from entry to exit"),
        Metric("exposure", "percent", "share of bars with an open position"),
        Metric("turnover", "ratio", "notional traded over mean equity"),
        Metric("commission", "money", "commission paid", "low"),
        Metric("borrow_cost", "money", "paid for what was sold short", "low"),
        Metric("margin_interest", "money", "paid for cash that was owed", "low"),
        Metric("buy_and_hold_return", "percent", "equal parts bought at the first open and held"),
        Metric("alpha", "percent", "return of a year that buying and holding does not explain (Jensen 1968)", "high"),
        Metric("beta", "ratio", "sensitivity to buying and holding"),
        Metric("value_at_risk", "percent", "loss that one day in twenty exceeds", "low"),
        Metric("conditional_value_at_risk", "percent", "mean loss of those days", "low"),
        Metric("probabilistic_sharpe", "percent", "probability that the true Sharpe ratio is above 0", "high"),
    )
}


def shown(name: str, value: Any) -> str:
    """Answer a metric's value as text: per cent for ratios that read better so, a dash for none."""
    if value is None:
        return "–"
    if is_infinite(value):
        return "∞"
    if isinstance(value, str):
        return value.replace("T", " ").removesuffix("Z")
    if name in METRICS and METRICS[name].unit == "seconds":
        return f"{value / 86_400:,.2f} days"
    if name in METRICS and METRICS[name].unit == "percent":
        return f"{100 * value:,.2f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def short_period(metrics: Mapping[str, Any]) -> str:
    """Answer that figures of a year come from too little of one, empty where they do not."""
    years = metrics.get("years")
    if years is None or years >= QUARTER:
        return ""
    days = years * DAYS_PER_YEAR
    return f"annual return, volatility, Sharpe, Sortino, Calmar and alpha are scaled up from {days:,.3g} days to a year"


def summarize(metrics: Mapping[str, Any]) -> str:
    """Answer the chief metrics as aligned lines."""
    known = (metric for metric in METRICS.values() if metric.name in metrics)
    lines = [f"{metric.label:<28}{shown(metric.name, metrics[metric.name]):>22}" for metric in known]
    for name in ("exit_reasons", "rejected_signals"):
        if counts := listed(metrics.get(name) or {}):
            lines.append(f"{name.replace('_', ' ').capitalize():<28}{counts}")
    if metrics.get("reduced_signals"):
        lines.append(f"{'Reduced entries':<28}{metrics['reduced_signals']:>22,}")
    return "\n".join([*lines, *filter(None, [short_period(metrics)])])


def listed(counts: Mapping[str, int]) -> str:
    """Answer counts in words: `3 insufficient cash, 1 zero quantity`."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
