"""Stretches of bars in which the fill loop has nothing to do but to mark a position: found and passed in one go.

For one symbol with every bar, whose next event can be told: a signal that counts, a level that is reached, an age.
"""

from __future__ import annotations

import numpy as np

from pitboss.kernel import account as k
from pitboss.kernel.account import F64, I64, U8, Row
from pitboss.kernel.compiling import compiled, inlined
from pitboss.kernel.fills import call_price, raise_trail

BLOCK = 32  # bars that are compared at once


@compiled
def held_until(
    moments: I64, highs: F64, lows: F64, signals: U8, rules: Row, position: Row, account: Row, t: int, stop: int
) -> int:
    """Answer the end of the bars from `t` on, and before `stop`, in which nothing happens to an open position but that
    the last of them may close with a signal.

    A trailing stop is raised by them.
    """
    side = position.side
    if rules.interest > 0.0 and rules.leverage > 1.0:
        return t
    if rules.max_bars > 0:
        left = position.entry_number + rules.max_bars - 2 - position.number
        stop = min(stop, t + max(0, left))
    leaves = k.LONG_EXIT if side > 0 else k.SHORT_EXIT
    stop = signalled(signals, leaves, k.LEAVE, t, stop)
    call = np.nan
    if side < 0 or account.cash < -account.least:
        call = call_price(rules, position, account)
    if side < 0 and rules.borrow > 0.0:  # what is paid until then brings the call nearer
        span = moments[stop - 1] - moments[position.last_t] if stop > t else 0
        call *= max(0.0, 1.0 - rules.borrow * span / k.MICROS_PER_YEAR)
    if rules.trail_kind != k.LEVEL_NONE:
        return trailed_until(highs, lows, rules, position, call, t, stop)
    worst_at = position.stop
    if side > 0:
        worst_at = call if np.isnan(worst_at) or call > worst_at else worst_at
        return reached(lows, highs, worst_at, position.target, t, stop)
    worst_at = call if np.isnan(worst_at) or call < worst_at else worst_at
    return reached(lows, highs, position.target, worst_at, t, stop)


@compiled
def next_signal(signals: U8, mask: int, t: int, stop: int) -> int:
    """Answer the first bar from `t` on that has one of the signals of `mask`, `stop` for none."""
    while t + BLOCK <= stop:
        seen = np.uint8(0)
        for i in range(t, t + BLOCK):
            seen |= signals[i]
        if seen & mask:
            break
        t += BLOCK
    while t < stop and not signals[t] & mask:
        t += 1
    return t


@inlined
def signalled(signals: U8, at_close: int, at_open: int, t: int, stop: int) -> int:
    """Answer the end of the bars up to the first with a signal `at_close`, and before any with one `at_open`."""
    at = next_signal(signals, at_close | at_open, t, stop)
    return at + 1 if at < stop and not signals[at] & at_open else at


@compiled
def reached(lows: F64, highs: F64, below: float, above: float, t: int, stop: int) -> int:
    """Answer the first bar from `t` on whose low is at `below` or under it, or its high at `above` or over it; `stop`
    for none. A level that is NaN is never reached."""
    if np.isnan(below):
        return stop if np.isnan(above) else risen(highs, above, t, stop)
    while t + BLOCK <= stop:
        is_hit = False
        for i in range(t, t + BLOCK):
            is_hit |= (lows[i] <= below) | (highs[i] >= above)
        if is_hit:
            break
        t += BLOCK
    while t < stop and not (lows[t] <= below or highs[t] >= above):
        t += 1
    return t


@compiled
def risen(highs: F64, above: float, t: int, stop: int) -> int:
    """Answer the first bar from `t` on whose high is at `above` or over it, `stop` for none."""
    while t + BLOCK <= stop:
        is_hit = False
        for i in range(t, t + BLOCK):
            is_hit |= highs[i] >= above
        if is_hit:
            break
        t += BLOCK
    while t < stop and not highs[t] >= above:
        t += 1
    return t


@compiled
def trailed_until(highs: F64, lows: F64, rules: Row, position: Row, call: float, t: int, stop: int) -> int:
    """The same behind a stop that each bar raises."""
    is_long, step, target = position.side > 0, position.trail_step, position.target
    while t < stop:
        level = position.stop
        if is_long:
            is_hit = lows[t] <= level or highs[t] > target or lows[t] <= call
        else:
            is_hit = highs[t] >= level or lows[t] < target or highs[t] >= call
        if is_hit:
            return t
        best = highs[t] if is_long else lows[t]
        if rules.trail_kind == k.LEVEL_FRACTION:
            step = rules.trail * best
        raise_trail(position, best, step)
        t += 1
    return t


@compiled
def mark_quiet(
    moments: I64, closes: F64, equity: F64, rules: Row, position: Row, account: Row, t: int, until: int
) -> None:
    """Pass the bars from `t` up to but not including `until`: equity at their closes, borrow, the position's age."""
    cash, quantity = account.cash, position.quantity
    set_aside = 2.0 * position.entry_price
    if position.side == 0:
        equity[t:until] = cash
    elif position.side > 0:
        for i in range(t, until):
            equity[i] = cash + quantity * closes[i]
    elif rules.borrow == 0.0:
        for i in range(t, until):
            equity[i] = cash + quantity * (set_aside - closes[i])
    else:
        mark, borrow = position.mark, position.borrow
        for i in range(t, until):
            charge = quantity * mark * rules.borrow * (moments[i] - moments[i - 1]) / k.MICROS_PER_YEAR
            borrow += charge
            cash -= charge
            mark = closes[i]
            equity[i] = cash + quantity * (set_aside - mark)
        account.cash = cash
        position.borrow = borrow
    if position.side != 0:
        account.exposed += until - t
    position.number += until - t
    position.mark = closes[until - 1]
    position.last_t = until - 1
