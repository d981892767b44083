"""How good a trader is, by its completed sessions alone: net of fees and of what its model cost, with intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SESSIONS_PER_YEAR = 252
DRAWS = 2_000
CONFIDENT = 1.96  # standard errors, for 95 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One completed session: fractions are of the cash it began with; `cost` is US dollars, `days` how many it had."""

    opening: float
    net: float
    drawdown: float
    fees: float
    cost: float
    trades: int
    wins: int
    refused: int
    held: float | None
    at_random: float | None
    is_contaminated: bool = False


def judged(opening: float, metrics: Mapping[str, Any], contaminated: bool) -> Judged:
    """Answer a completed session as it counts: its model is paid for out of its result."""
    cost = metrics.get("model_cost") or 0.0
    trades = int(metrics["trade_count"])
    return Judged(
        opening=opening, net=metrics["total_return"] - cost / opening,
        drawdown=metrics["max_drawdown"], fees=metrics["fees"], cost=cost, trades=trades,
        wins=round((metrics["win_rate"] or 0.0) * trades), refused=int(metrics["orders_refused"]),
        held=metrics.get("buy_and_hold"), at_random=metrics.get("random_return"), is_contaminated=contaminated,
    )  # fmt: skip


def performance(sessions: Sequence[Judged]) -> dict[str, Any]:
    """Answer the figures of a trader over its completed sessions, oldest first.

    `sharpe` is annualised by 252 sessions (mean over standard deviation of their net returns, times its square root),
    with the 95 % interval of a bootstrap of sessions; `drawdown` is of the returns chained, or within a session.
    """
    nets = [session.net for session in sessions]
    trades = sum(session.trades for session in sessions)
    low, high = _interval(nets)
    return {
        "sessions": len(sessions),
        "net_return": math.prod(1.0 + net for net in nets) - 1.0 if nets else 0.0,
        "mean_return": statistics.fmean(nets) if nets else None,
        "drawdown": _drawdown(sessions), "sharpe": _sharpe(nets), "sharpe_low": low, "sharpe_high": high,
        "hit_rate": sum(session.wins for session in sessions) / trades if trades else None,
        "trades": trades, "orders_refused": sum(session.refused for session in sessions),
        "fees": sum(session.fees for session in sessions), "model_cost": sum(session.cost for session in sessions),
        "buy_and_hold": _mean([session.held for session in sessions]),
        "random_return": _mean([session.at_random for session in sessions]),
        "contaminated_sessions": sum(session.is_contaminated for session in sessions),
        "evidence": evidence(sessions),
    }  # fmt: skip


def evidence(sessions: Sequence[Judged]) -> str:
    """Answer whether sessions are enough to tell a trader from the random baseline; where they are not, about how many
    more it would take if they went on alike: the least n with mean - 1.96 s / sqrt(n) above nothing."""
    excess = [session.net - (session.at_random or 0.0) for session in sessions]
    if len(excess) < 2 or not (spread := statistics.stdev(excess)):
        return "not enough evidence yet: at least 2 sessions with different results"
    mean = statistics.fmean(excess)
    if abs(mean) > CONFIDENT * spread / math.sqrt(len(excess)):
        return f"{'better' if mean > 0 else 'worse'} than trading at random"
    if not mean:
        return "not enough evidence yet: no different from trading at random so far"
    needed = math.ceil((CONFIDENT * spread / mean) ** 2) + 1 - len(excess)
    return f"not enough evidence yet: about {max(1, needed):,} more sessions"


def _sharpe(nets: Sequence[float]) -> float | None:
    if len(nets) < 2 or not (spread := statistics.stdev(nets)):
        return None
    return statistics.fmean(nets) / spread * math.sqrt(SESSIONS_PER_YEAR)


def _interval(nets: Sequence[float]) -> tuple[float | None, float | None]:
    if len(nets) < 3:
        return None, None
    drawn = np.random.default_rng(len(nets)).choice(nets, (DRAWS, len(nets)))
    spreads = drawn.std(axis=1, ddof=1)
    is_spread = spreads > 0  # a draw may be of one session alone
    if is_spread.sum() < DRAWS // 2:
        return None, None
    sharpes = drawn.mean(axis=1)[is_spread] / spreads[is_spread] * math.sqrt(SESSIONS_PER_YEAR)
    low, high = np.quantile(sharpes, (0.025, 0.975))
    return float(low), float(high)


def _drawdown(sessions: Sequence[Judged]) -> float:
    worth, peak, deepest = 1.0, 1.0, min((session.drawdown for session in sessions), default=0.0)
    for session in sessions:
        worth *= 1.0 + session.net
        peak = max(peak, worth)
        deepest = min(deepest, worth / peak - 1.0)
    return deepest


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
