"""What one fill does to an account: sizes, costs, entries and exits. The rules are those of docs/reference/fills.md."""

from __future__ import annotations

import numpy as np

from pitboss.kernel import account as k
from pitboss.kernel.account import F64, I64, Bars, Levels, Rules
from pitboss.kernel.compiling import compiled, inlined


@inlined
def commission_of(quantity: float, price: float, rules: Rules) -> float:
    charge = rules.commission * quantity * price + rules.per_share * quantity + rules.per_order
    return max(charge, rules.minimum)


@compiled
def quantity_for(budget: float, price: float, rules: Rules, weight: float) -> float:
    """Answer the quantity whose price and `weight` times its commission together cost `budget`."""
    quantity = (budget - weight * rules.per_order) / (
        price * (1.0 + weight * rules.commission) + weight * rules.per_share
    )
    if rules.commission * quantity * price + rules.per_share * quantity + rules.per_order < rules.minimum:
        quantity = (budget - weight * rules.minimum) / price
    return quantity


@inlined
def value_of(positions: F64, s: int, price: float) -> float:
    """Answer what an open position is worth: a short has set its entry value aside and owes the price."""
    if positions[s, k.SIDE] > 0:
        return float(positions[s, k.QUANTITY] * price)
    return float(positions[s, k.QUANTITY] * (2.0 * positions[s, k.ENTRY_PRICE] - price))


@compiled
def worth_at_open(opens: F64, positions: F64, account: F64, leverage: float, t: int) -> tuple[float, float, float]:
    """Answer at the open of bar `t` the equity, what new positions may cost, and the value of all that is held.

    A symbol without that bar counts at its last close, one entered within it at its entry's price. Equity times
    leverage is what all positions together may be worth.
    """
    equity = free = account[k.CASH]
    free *= leverage
    held = 0.0
    for s in range(positions.shape[0]):
        if positions[s, k.SIDE] != 0.0:
            price = opens[s, t]
            if np.isnan(price):
                price = positions[s, k.MARK]
            elif positions[s, k.FILLED] != k.AT_OPEN and positions[s, k.ENTRY_T] == t:
                price = positions[s, k.ENTRY_PRICE]
            value, notional = value_of(positions, s, price), positions[s, k.QUANTITY] * price
            equity += value
            free += leverage * value - notional
            held += notional
    return float(equity), float(free), float(held)


@compiled
def close_part(
    positions: F64, account: F64, counts: I64, trades: F64, rules: Rules, s: int, t: int,
    quantity: float, price: float, reason: int,
) -> None:  # fmt: skip
    """Close `quantity` of the position of symbol `s` at `price` (slippage already in it) and write its trade."""
    side, held = positions[s, k.SIDE], positions[s, k.QUANTITY]
    entry_fees, borrow, value = positions[s, k.FEES], positions[s, k.BORROW], value_of(positions, s, price)
    if quantity < held:
        part = quantity / held
        entry_fees, borrow, value = entry_fees * part, borrow * part, value * part
    commission = commission_of(quantity, price, rules)
    account[k.CASH] += value - commission
    account[k.TURNOVER] += quantity * price
    fees = entry_fees + commission
    at = counts[k.N_TRADES]
    trades[at, k.T_SYMBOL] = s
    trades[at, k.T_SIDE] = side
    trades[at, k.T_QUANTITY] = quantity
    trades[at, k.T_ENTRY] = positions[s, k.ENTRY_T]
    trades[at, k.T_ENTRY_PRICE] = positions[s, k.ENTRY_PRICE]
    trades[at, k.T_EXIT] = t
    trades[at, k.T_EXIT_PRICE] = price
    trades[at, k.T_PNL] = side * quantity * (price - positions[s, k.ENTRY_PRICE]) - fees - borrow
    trades[at, k.T_COMMISSION] = fees
    trades[at, k.T_BORROW] = borrow
    trades[at, k.T_REASON] = reason
    trades[at, k.T_BARS] = positions[s, k.BAR_NUMBER] - positions[s, k.ENTRY_BAR]
    trades[at, k.T_ENTRY_SIGNAL] = positions[s, k.ENTRY_SIGNAL]
    trades[at, k.T_EXIT_SIGNAL] = t
    if reason in (k.BY_SIGNAL, k.BY_MAX_BARS):
        trades[at, k.T_EXIT_SIGNAL] = positions[s, k.EXIT_SIGNAL]
    counts[k.N_TRADES] += 1
    positions[s, k.QUANTITY] = held - quantity
    positions[s, k.FEES] -= entry_fees
    positions[s, k.BORROW] -= borrow
    if quantity >= held:
        positions[s, k.SIDE] = 0.0
        positions[s, k.EXIT_DUE] = 0.0
        positions[s, k.EXIT_BAR] = positions[s, k.BAR_NUMBER]


@compiled
def close_position(
    positions: F64, account: F64, counts: I64, trades: F64, rules: Rules, s: int, t: int, price: float, reason: int
) -> None:
    """Close all of the position of symbol `s` at `price`."""
    close_part(positions, account, counts, trades, rules, s, t, positions[s, k.QUANTITY], price, reason)


@compiled
def note(
    positions: F64, counts: I64, incidents: F64, s: int, signal: int, t: int, price: float, quantity: float,
    reason: int,
) -> None:  # fmt: skip
    """Write down what became of an entry that did not fill, or not in full."""
    at = counts[k.N_INCIDENTS]
    incidents[at, k.I_SYMBOL] = s
    incidents[at, k.I_SIDE] = positions[s, k.ENTRY_DUE]
    incidents[at, k.I_SIGNAL] = signal
    incidents[at, k.I_FILL] = t
    incidents[at, k.I_PRICE] = price
    incidents[at, k.I_QUANTITY] = quantity
    incidents[at, k.I_REASON] = reason
    counts[k.N_INCIDENTS] += 1


@compiled
def distance_of(kind: int, values: F64, s: int, signal: int, price: float) -> float:
    """Answer a level's distance from `price`: 0 when there is none, NaN when it cannot be told."""
    if kind == k.LEVEL_NONE:
        return 0.0
    distance = values[0, 0] * price if kind == k.LEVEL_FRACTION else values[s, signal]
    return distance if distance > 0.0 else np.nan


@compiled
def target_of(levels: Levels, which: int, s: int, signal: int, price: float) -> float:
    """Answer the distance of one target from `price`, NaN when it cannot be told."""
    fraction = levels.target_fractions[which]
    distance = levels.target_distances[which, s, signal] if np.isnan(fraction) else fraction * price
    return distance if distance > 0.0 else np.nan


@inlined
def in_lots(quantity: float, lot: float) -> float:
    """Answer a quantity rounded down to whole lots where lots are asked for."""
    return float(np.floor(quantity / lot * k.AFFORD) * lot) if lot > 0.0 else quantity


@compiled
def size_of(rules: Rules, equity: float, price: float, stop_distance: float) -> float:
    """Answer the quantity to trade at `price`."""
    if rules.sizing == k.SIZE_CASH:
        quantity = quantity_for(rules.size, price, rules, 1.0)
    elif rules.sizing == k.SIZE_QUANTITY:
        quantity = rules.size
    elif rules.sizing == k.SIZE_EQUITY:
        quantity = quantity_for(rules.size * equity, price, rules, 1.0)
    else:
        quantity = rules.size * equity / stop_distance
    return in_lots(quantity, rules.lot)


@compiled
def open_position(
    opens: F64, levels: Levels, rules: Rules, positions: F64, account: F64, counts: I64, incidents: F64, s: int,
    t: int, price: float, filled: int,
) -> None:  # fmt: skip
    """Fill the entry due for symbol `s` in bar `t` at `price` with what can be paid, or note why it cannot be."""
    side = positions[s, k.ENTRY_DUE]
    signal = int(positions[s, k.ENTRY_SIGNAL])
    if rules.max_positions > 0 and np.count_nonzero(positions[:, k.SIDE]) >= rules.max_positions:
        note(positions, counts, incidents, s, signal, t, price, 0.0, k.NO_PLACE)
        return
    stop = distance_of(levels.stop_kind, levels.stop, s, signal, price)
    trail = distance_of(levels.trail_kind, levels.trail, s, signal, price)
    least = stop + trail
    for which in range(len(levels.target_fractions)):
        least += target_of(levels, which, s, signal, price)
    if np.isnan(least):
        note(positions, counts, incidents, s, signal, t, price, 0.0, k.NO_LEVEL)
        return
    equity, free, _ = worth_at_open(opens, positions, account, rules.leverage, t)
    quantity = size_of(rules, equity, price, stop)
    if not quantity > 0.0:
        note(positions, counts, incidents, s, signal, t, price, 0.0, k.NO_QUANTITY)
        return
    commission = commission_of(quantity, price, rules)
    if quantity * price + rules.leverage * commission > free * k.AFFORD:
        wanted = quantity
        quantity = in_lots(quantity_for(free, price, rules, rules.leverage), rules.lot)
        if not (rules.is_filled_short and quantity > k.CRUMB * wanted):
            note(positions, counts, incidents, s, signal, t, price, 0.0, k.NO_CASH)
            return
        note(positions, counts, incidents, s, signal, t, price, quantity, k.REDUCED)
        commission = commission_of(quantity, price, rules)
    account[k.CASH] -= quantity * price + commission
    account[k.TURNOVER] += quantity * price
    positions[s, k.SIDE] = side
    positions[s, k.QUANTITY] = positions[s, k.WHOLE] = quantity
    positions[s, k.ENTRY_PRICE] = price
    positions[s, k.ENTRY_T] = t
    positions[s, k.ENTRY_BAR] = positions[s, k.BAR_NUMBER]
    positions[s, k.FILLED] = filled
    positions[s, k.FEES] = commission
    positions[s, k.BORROW] = 0.0
    positions[s, k.STOP] = price - side * stop if stop > 0.0 else np.nan
    positions[s, k.TRAIL_STEP] = trail
    positions[s, k.IS_TRAILED] = 0.0
    positions[s, k.NEXT_TARGET] = -1.0
    next_target(levels, positions, s)
    if trail > 0.0:
        raise_trail(positions, s, price, trail)


@compiled
def next_target(levels: Levels, positions: F64, s: int) -> None:
    """Set the target of an open position to the next one, NaN after the last."""
    positions[s, k.NEXT_TARGET] += 1.0
    which = int(positions[s, k.NEXT_TARGET])
    positions[s, k.TARGET] = np.nan
    if which < len(levels.target_fractions):
        price = positions[s, k.ENTRY_PRICE]
        distance = target_of(levels, which, s, int(positions[s, k.ENTRY_SIGNAL]), price)
        positions[s, k.TARGET] = price + positions[s, k.SIDE] * distance


@compiled
def part_of(levels: Levels, rules: Rules, positions: F64, s: int) -> float:
    """Answer how much of a position its next target closes: all that is left, once the shares come to the whole."""
    which = int(positions[s, k.NEXT_TARGET])
    if levels.target_shares[: which + 1].sum() * k.AFFORD >= 1.0:
        return float(positions[s, k.QUANTITY])
    return min(in_lots(levels.target_shares[which] * positions[s, k.WHOLE], rules.lot), float(positions[s, k.QUANTITY]))


@compiled
def raise_trail(positions: F64, s: int, best: float, step: float) -> None:
    """Move the stop to `step` behind `best` where that is nearer than it is."""
    side = positions[s, k.SIDE]
    level = best - side * step
    if np.isnan(positions[s, k.STOP]) or side * level > side * positions[s, k.STOP]:
        positions[s, k.STOP] = level
        positions[s, k.IS_TRAILED] = 1.0


@compiled
def order_fill(bars: Bars, levels: Levels, rules: Rules, positions: F64, s: int, t: int) -> tuple[float, int]:
    """Answer at which price, NaN for none, and how a waiting entry fills in bar `t`.

    Of a bar that triggers a stop limit only its close is known to come after the trigger.
    """
    side, signal = positions[s, k.ENTRY_DUE], int(positions[s, k.ENTRY_SIGNAL])
    which = 0 if side > 0 else 1
    first = bars.open[s, t]
    slipped = 1.0 + side * rules.slippage
    best, worst = bars.high[s, t], bars.low[s, t]
    if side < 0:
        best, worst = worst, best
    is_new = False  # a limit that was resting before the bar fills at the open without slippage
    if levels.order != k.LIMIT and positions[s, k.IS_TRIGGERED] == 0.0:
        trigger = levels.trigger[which, s, signal]
        is_at_open = side * first >= side * trigger
        if not (is_at_open or side * best >= side * trigger):
            return np.nan, k.AT_OPEN
        if levels.order == k.STOP_ENTRY:
            return (first * slipped, k.AT_OPEN) if is_at_open else (trigger * slipped, k.BY_RISE)
        positions[s, k.IS_TRIGGERED] = 1.0
        is_new = True
        limit = levels.limit[which, s, signal]
        if not is_at_open:
            if side * trigger < side * limit:
                return side * min(side * trigger * slipped, side * limit), k.BY_RISE
            return (limit, k.BY_FALL) if side * bars.close[s, t] < side * limit else (np.nan, k.AT_OPEN)
    limit = levels.limit[which, s, signal]
    if side * first < side * limit:
        return (side * min(side * first * slipped, side * limit) if is_new else first), k.AT_OPEN
    return (limit, k.BY_FALL) if side * worst < side * limit else (np.nan, k.AT_OPEN)


@compiled
def call_price(rules: Rules, positions: F64, account: F64, s: int) -> float:
    """Answer the price at which the equity of an account with this position alone is no more than its margin, NaN for
    none."""
    quantity, cash, maintenance = positions[s, k.QUANTITY], account[k.CASH], rules.maintenance
    if positions[s, k.SIDE] < 0:
        return float((cash + 2.0 * quantity * positions[s, k.ENTRY_PRICE]) / (quantity * (1.0 + maintenance)))
    return float(-cash / (quantity * (1.0 - maintenance))) if cash < 0.0 else np.nan


@compiled
def liquidate(
    opens: F64, positions: F64, account: F64, counts: I64, trades: F64, rules: Rules, t: int, is_at_open: bool
) -> None:
    """Close every position, at the open of bar `t` or at the last closes; an account with nothing left is ruined."""
    equity = account[k.CASH]
    for s in range(positions.shape[0]):
        if positions[s, k.SIDE] != 0.0:
            is_here = is_at_open and not np.isnan(opens[s, t])
            if is_here:
                positions[s, k.MARK] = opens[s, t]
            equity += value_of(positions, s, positions[s, k.MARK])
    reason = k.BY_RUIN if equity <= account[k.LEAST] else k.BY_LIQUIDATION
    for s in range(positions.shape[0]):
        if positions[s, k.SIDE] != 0.0:
            price = positions[s, k.MARK] * (1.0 - positions[s, k.SIDE] * rules.slippage)
            close_position(positions, account, counts, trades, rules, s, t, price, reason)
    settle(positions, account, counts, t)


@compiled
def settle(positions: F64, account: F64, counts: I64, t: int) -> None:
    """End an account without positions that has nothing left: what it owes beyond that is written off, and said."""
    if account[k.CASH] <= account[k.LEAST] and counts[k.RUINED_T] < 0:
        account[k.SHORTFALL] = -min(account[k.CASH], 0.0)
        account[k.CASH] = 0.0
        counts[k.RUINED_T] = t
        positions[:, k.ENTRY_DUE] = 0.0
