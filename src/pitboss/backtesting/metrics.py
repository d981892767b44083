"""Metrics of a backtest, each from the trades or the equity curve by the formula in its comment.

Returns are daily: equity at the last bar of each UTC day over that of the day before (the starting cash
before the first). Annualisation multiplies by `periods_per_year`, the days with bars that a year of this
data has; it is part of the answer. The risk-free rate is 0. Ratios are fractions; what is undefined is None, a gain
over no loss is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.backtesting.engine import Outcome
from pitboss.backtesting.summary import DAYS_PER_YEAR
from pitboss.core import infinite
from pitboss.core.clock import micros_to_iso
from pitboss.core.timeframe import DAY_MICROS
from pitboss.kernel import account as k
from pitboss.kernel.series import worst_drawdown

F64 = npt.NDArray[np.float64]


def compute_metrics(outcome: Outcome) -> dict[str, Any]:
    """Answer all metrics of `outcome` by name, plain numbers, texts and dicts."""
    universe = outcome.universe
    ts = universe.prices.ts[: outcome.bars]
    equity = outcome.log.equity[: outcome.bars]
    if not len(ts):
        return {"bars": 0, "trade_count": 0, "total_return": 0.0, "final_equity": outcome.cash}
    days = universe.day_ends[: np.searchsorted(universe.day_ends, outcome.bars)]
    if not len(days) or days[-1] != outcome.bars - 1:
        days = np.append(days, outcome.bars - 1)
    daily = np.concatenate(([outcome.cash], equity[days]))
    span_days = (int(ts[-1] - ts[0]) + universe.timeframe.micros) / DAY_MICROS
    periods = periods_per_year(ts[days], span_days)
    market = np.concatenate(([1.0], universe.benchmark))[: len(daily)]
    numbers: dict[str, Any] = {
        "start": micros_to_iso(int(ts[0])),
        "end": micros_to_iso(int(ts[-1])),
        "years": span_days / DAYS_PER_YEAR,
        "bars": int(outcome.bars),
        "initial_cash": outcome.cash,
        "final_equity": float(equity[-1]),
        "periods_per_year": periods,
        **return_metrics(daily, span_days / DAYS_PER_YEAR, periods),
        **drawdown_metrics(ts, equity, outcome.cash),
        **market_metrics(daily, market, periods),
        **trade_metrics(outcome, ts),
        **activity_metrics(outcome, equity),
        **ruin_metrics(outcome, ts),
    }
    drawdown = abs(numbers["max_drawdown"])
    # Young (1991): annual return over the deepest drawdown
    numbers["calmar"] = ratio_of(numbers["annual_return"], drawdown)
    return {name: _plain(value) for name, value in numbers.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict | str) or value is None:
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    return None if math.isnan(value) else float(value)


def ratio_of(gain: float, loss: float) -> float:
    """Answer gain over loss: infinite where there is a gain and no loss, NaN where neither says anything."""
    if loss > 0:
        return gain / loss
    return math.inf if gain > 0 else math.nan


def as_json(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Answer metrics as JSON can say them."""
    return {name: infinite.to_json(value) for name, value in metrics.items()}


def from_json(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The opposite of `as_json`."""
    return {name: infinite.from_json(value) for name, value in metrics.items()}


def periods_per_year(days: npt.NDArray[np.int64], span_days: float) -> float:
    """Answer how many days with bars a year has: counted over a year or more, else 252, or 365 where most weeks trade
    on Saturdays."""
    if span_days >= DAYS_PER_YEAR:
        return len(days) / span_days * DAYS_PER_YEAR
    since_monday = days // DAY_MICROS + 3
    weeks, saturdays = np.unique(since_monday // 7), np.unique(since_monday[since_monday % 7 == 5] // 7)
    return 365.0 if 2 * len(saturdays) > len(weeks) else 252.0


def returns_of(daily: F64) -> F64:
    """Answer simple returns; after a ruin (equity <= 0) they are 0."""
    before = daily[:-1]
    return np.divide(np.diff(daily), before, out=np.zeros(len(before)), where=before > 0)


def return_metrics(daily: F64, years: float, periods: float) -> dict[str, Any]:
    r = returns_of(daily)
    n = len(r)
    mean = float(r.mean())
    deviation = float(r.std(ddof=1)) if n > 1 else 0.0
    # Sortino & van der Meer (1991): root mean square of the returns below 0
    downside = math.sqrt(float(np.square(np.minimum(r, 0.0)).mean()))
    growth = daily[-1] / daily[0]
    losses = -float(np.minimum(r, 0.0).sum())
    ratio = mean / deviation if deviation else None
    tail = np.sort(r)[: max(1, math.ceil(0.05 * n))]
    return {
        "total_return": growth - 1.0,
        # geometric: (final / initial) ** (1 / years) - 1, years of 365.25 days
        "annual_return": _annual(growth, years),
        "volatility": deviation * math.sqrt(periods),
        # Sharpe (1994): mean over standard deviation, times the root of periods a year
        "sharpe": ratio * math.sqrt(periods) if ratio is not None else None,
        "sortino": ratio_of(mean, downside) * math.sqrt(periods),
        # Keating & Shadwick (2002), threshold 0: sum of gains over sum of losses
        "omega": ratio_of(float(np.maximum(r, 0.0).sum()), losses),
        # historical simulation at 95 %: the 5th percentile of daily returns and the mean beyond it
        "value_at_risk": float(-tail[-1]),
        "conditional_value_at_risk": float(-tail.mean()),
        **shape_metrics(r, ratio),
    }


def _annual(growth: float, years: float) -> float:
    if growth <= 0:
        return -1.0
    exponent = math.log(growth) / years
    return math.expm1(exponent) if exponent < 700 else math.inf


def shape_metrics(r: F64, ratio: float | None) -> dict[str, Any]:
    """Skewness, kurtosis (3 for a normal), and the probability that the true Sharpe ratio is above 0.

    Bailey & López de Prado (2012), eq. 11: Φ(SR √(n-1) / √(1 - γ₃ SR + (γ₄-1)/4 SR²)), SR per day.
    """
    n = len(r)
    centred = r - r.mean()
    variance = float(np.square(centred).mean())
    if ratio is None or n < 3 or variance <= 0:
        return {"skewness": None, "kurtosis": None, "probabilistic_sharpe": None}
    skewness = float((centred**3).mean()) / variance**1.5
    kurtosis = float((centred**4).mean()) / variance**2
    spread = 1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2
    score = ratio * math.sqrt(n - 1) / math.sqrt(spread) if spread > 0 else None
    probability = None if score is None else 0.5 * (1 + math.erf(score / math.sqrt(2)))
    return {"skewness": skewness, "kurtosis": kurtosis, "probabilistic_sharpe": probability}


def drawdown_metrics(ts: npt.NDArray[np.int64], equity: F64, cash: float) -> dict[str, Any]:
    depth, top, trough, recovery, water = worst_drawdown(ts, equity, cash)
    return {
        "max_drawdown": depth,
        "max_drawdown_start": micros_to_iso(int(ts[top])) if depth < 0 else None,
        "max_drawdown_trough": micros_to_iso(int(ts[trough])) if depth < 0 else None,
        "max_drawdown_recovery": micros_to_iso(int(ts[recovery])) if depth < 0 <= recovery else None,
        "longest_under_water_days": water / DAY_MICROS,
    }


def market_metrics(daily: F64, market: F64, periods: float) -> dict[str, Any]:
    """Buying and holding equal parts, and alpha and beta against it (Jensen 1968, least squares on days)."""
    own, other = returns_of(daily), returns_of(market)
    spread = float(np.square(other - other.mean()).sum())
    beta = alpha = None
    if spread > 0 and len(own) > 2:
        beta = float(((own - own.mean()) * (other - other.mean())).sum()) / spread
        alpha = (float(own.mean()) - beta * float(other.mean())) * periods
    return {"buy_and_hold_return": market[-1] - 1.0, "alpha": alpha, "beta": beta}


def trade_metrics(outcome: Outcome, ts: npt.NDArray[np.int64]) -> dict[str, Any]:
    rows = outcome.trades
    pnl, count = rows["pnl"], len(rows)
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    is_long = rows["side"] > 0
    held = ts[rows["exit_t"]] - ts[rows["entry_t"]]
    reasons = np.bincount(rows["reason"], minlength=len(k.EXIT_REASONS))
    return {
        "trade_count": count,
        "win_rate": len(wins) / count if count else None,
        # gross profit over gross loss
        "profit_factor": ratio_of(float(wins.sum()), -float(losses.sum())),
        "expectancy": float(pnl.mean()) if count else None,
        "average_win": float(wins.mean()) if len(wins) else None,
        "average_loss": float(losses.mean()) if len(losses) else None,
        "largest_win": float(wins.max()) if len(wins) else None,
        "largest_loss": float(losses.min()) if len(losses) else None,
        "longest_winning_streak": _streak(pnl > 0),
        "longest_losing_streak": _streak(pnl < 0),
        "average_holding_seconds": float(held.mean()) / 1e6 if count else None,
        "average_bars": float(rows["bars"].mean()) if count else None,
        "long_trades": int(is_long.sum()),
        "short_trades": int((~is_long).sum()),
        "long_pnl": float(pnl[is_long].sum()),
        "short_pnl": float(pnl[~is_long].sum()),
        "exit_reasons": dict(zip(k.EXIT_REASONS, reasons.tolist(), strict=True)),
        "commission": float(rows["commission"].sum()),
        "borrow_cost": float(rows["borrow"].sum()),
    }


def _streak(flags: npt.NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def ruin_metrics(outcome: Outcome, ts: npt.NDArray[np.int64]) -> dict[str, Any]:
    """When equity fell to zero or below, if it did, and what the account owed then beyond all it had."""
    ruined = int(outcome.account["ruined_t"])
    return {
        "ruined_at": micros_to_iso(int(ts[ruined])) if ruined >= 0 else None,
        "shortfall": float(outcome.account["shortfall"]),
    }


def activity_metrics(outcome: Outcome, equity: F64) -> dict[str, Any]:
    reasons, account = outcome.incidents["reason"], outcome.account
    counts = dict(zip(k.INCIDENTS, np.bincount(reasons, minlength=len(k.INCIDENTS)).tolist(), strict=True))
    mean = float(equity.mean())
    return {
        "reduced_signals": counts.pop("reduced"),
        "rejected_signals": counts,
        "margin_interest": float(account["interest"]),
        # notional traded, entries and exits, over mean equity
        "turnover": float(account["turnover"]) / mean if mean > 0 else None,
        # fraction of bars in which any position was held
        "exposure": float(account["exposed"]) / len(equity),
    }
