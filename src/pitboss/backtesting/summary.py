"""A backtest's metrics as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PERCENT = frozenset(
    {
        "total_return", "annual_return", "volatility", "max_drawdown", "win_rate", "buy_and_hold_return",
        "exposure", "value_at_risk", "conditional_value_at_risk", "probabilistic_sharpe", "alpha",
    }
)  # fmt: skip
SHOWN = (
    "start", "end", "bars", "final_equity", "total_return", "annual_return", "volatility", "sharpe", "sortino",
    "calmar", "omega", "max_drawdown", "longest_under_water_days", "trade_count", "win_rate", "profit_factor",
    "expectancy", "average_win", "average_loss", "exposure", "turnover", "commission", "buy_and_hold_return",
    "alpha", "beta", "value_at_risk", "conditional_value_at_risk", "probabilistic_sharpe",
)  # fmt: skip


def words(name: str) -> str:
    """Answer a metric's name as people write it."""
    return name.replace("_", " ").capitalize()


def shown(name: str, value: Any) -> str:
    """Answer a metric's value as text: per cent for ratios that read better so, a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value.replace("T", " ").removesuffix("Z")
    if name in _PERCENT:
        return f"{100 * value:,.2f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def summarize(metrics: Mapping[str, Any]) -> str:
    """Answer the chief metrics as aligned lines."""
    lines = [f"{words(name):<28}{shown(name, metrics.get(name)):>22}" for name in SHOWN if name in metrics]
    return "\n".join(lines)
