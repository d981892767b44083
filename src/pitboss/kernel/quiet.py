"""Stretches of bars in which the fill loop has nothing to do but to mark a position: found and passed in one go.

For one symbol with every bar, whose next event can be told: a signal that counts, a level that is reached, an age.
"""

from __future__ import annotations

import numpy as np

from pitboss.kernel import account as k
from pitboss.kernel.account import F64, I64, U8, Bars, Levels, Rules
from pitboss.kernel.compiling import compiled
from pitboss.kernel.fills import call_price, raise_trail

BLOCK = 32  # bars that are compared at once


@compiled
def quiet_until(
    bars: Bars, signals: U8, levels: Levels, rules: Rules, positions: F64, account: F64, t: int, stop: int
) -> int:
    """Answer the first bar from `t` on, and before `stop`, in which something may happen; `stop` for none.

    A trailing stop is raised by the bars before it.
    """
    side = positions[0, k.SIDE]
    if positions[0, k.ENTRY_DUE] != 0.0 or positions[0, k.EXIT_DUE] != 0.0:
        return t
    if side == 0.0:
        return next_signal(signals, k.LONG_ENTRY | k.SHORT_ENTRY, t, stop)
    if rules.interest > 0.0 and rules.leverage > 1.0:
        return t
    if rules.max_bars > 0:
        left = positions[0, k.ENTRY_BAR] + rules.max_bars - 2.0 - positions[0, k.BAR_NUMBER]
        stop = min(stop, t + max(0, int(left)))
    leaves = k.LONG_EXIT if side > 0.0 else k.SHORT_EXIT
    stop = next_signal(signals, leaves | k.LEAVE, t, stop)
    call = np.nan
    if side < 0.0 or account[k.CASH] < -account[k.LEAST]:
        call = call_price(rules, positions, account, 0)
    if side < 0.0 and rules.borrow > 0.0:  # what is paid until then brings the call nearer
        span = bars.ts[stop - 1] - bars.ts[int(positions[0, k.LAST_T])] if stop > t else 0
        call *= max(0.0, 1.0 - rules.borrow * span / k.MICROS_PER_YEAR)
    if levels.trail_kind != k.LEVEL_NONE:
        return trailed_until(bars, levels, positions, call, t, stop)
    worst_at, best_at = positions[0, k.STOP], positions[0, k.TARGET]
    if side > 0.0:
        worst_at = call if np.isnan(worst_at) or call > worst_at else worst_at
        return reached(bars.low, bars.high, worst_at, best_at, t, stop)
    worst_at = call if np.isnan(worst_at) or call < worst_at else worst_at
    return reached(bars.low, bars.high, best_at, worst_at, t, stop)


@compiled
def next_signal(signals: U8, mask: int, t: int, stop: int) -> int:
    """Answer the first bar from `t` on that has one of the signals of `mask`, `stop` for none."""
    row = signals[0]
    while t + BLOCK <= stop:
        seen = np.uint8(0)
        for i in range(t, t + BLOCK):
            seen |= row[i]
        if seen & mask:
            break
        t += BLOCK
    while t < stop and not row[t] & mask:
        t += 1
    return t


@compiled
def reached(lows: F64, highs: F64, below: float, above: float, t: int, stop: int) -> int:
    """Answer the first bar from `t` on whose low is at `below` or under it, or its high at `above` or over it; `stop`
    for none. A level that is NaN is never reached."""
    if np.isnan(below) and np.isnan(above):
        return stop
    low, high = lows[0], highs[0]
    while t + BLOCK <= stop:
        is_hit = False
        for i in range(t, t + BLOCK):
            is_hit |= (low[i] <= below) | (high[i] >= above)
        if is_hit:
            break
        t += BLOCK
    while t < stop and not (low[t] <= below or high[t] >= above):
        t += 1
    return t


@compiled
def trailed_until(bars: Bars, levels: Levels, positions: F64, call: float, t: int, stop: int) -> int:
    """The same behind a stop that each bar raises."""
    is_long, step = positions[0, k.SIDE] > 0.0, positions[0, k.TRAIL_STEP]
    target = positions[0, k.TARGET]
    worsts, bests = (bars.low[0], bars.high[0]) if is_long else (bars.high[0], bars.low[0])
    sign = 1.0 if is_long else -1.0
    while t < stop:
        worst, best = sign * worsts[t], sign * bests[t]
        if worst <= sign * positions[0, k.STOP] or best > sign * target or worst <= sign * call:
            return t
        if levels.trail_kind == k.LEVEL_FRACTION:
            step = levels.trail[0, 0] * bests[t]
        raise_trail(positions, 0, bests[t], step)
        t += 1
    return t


@compiled
def mark_quiet(
    bars: Bars, rules: Rules, positions: F64, account: F64, counts: I64, equity: F64, t: int, until: int
) -> None:
    """Pass the bars from `t` up to but not including `until`: equity at their closes, borrow, the position's age."""
    cash, quantity, close = account[k.CASH], positions[0, k.QUANTITY], bars.close[0]
    set_aside = 2.0 * positions[0, k.ENTRY_PRICE]
    if positions[0, k.SIDE] == 0.0:
        equity[t:until] = cash
    elif positions[0, k.SIDE] > 0.0:
        for i in range(t, until):
            equity[i] = cash + quantity * close[i]
    elif rules.borrow == 0.0:
        for i in range(t, until):
            equity[i] = cash + quantity * (set_aside - close[i])
    else:
        moments, mark, borrow = bars.ts, positions[0, k.MARK], positions[0, k.BORROW]
        for i in range(t, until):
            charge = quantity * mark * rules.borrow * (moments[i] - moments[i - 1]) / k.MICROS_PER_YEAR
            borrow += charge
            cash -= charge
            mark = close[i]
            equity[i] = cash + quantity * (set_aside - mark)
        account[k.CASH], positions[0, k.BORROW] = cash, borrow
    if positions[0, k.SIDE] != 0.0:
        counts[k.N_EXPOSED] += until - t
    positions[0, k.BAR_NUMBER] += until - t
    positions[0, k.MARK] = close[until - 1]
    positions[0, k.LAST_T] = until - 1
