"""What one fill does to an account: sizes, costs, entries and exits. The rules are those of docs/reference/fills.md."""

from __future__ import annotations

import numpy as np

from pitboss.kernel import account as k
from pitboss.kernel.account import F64, Row, Rows
from pitboss.kernel.compiling import compiled, inlined


@inlined
def commission_of(quantity: float, price: float, rules: Row) -> float:
    charge = rules.commission * quantity * price + rules.per_share * quantity + rules.per_order
    return float(max(charge, rules.minimum))


@compiled
def quantity_for(budget: float, price: float, rules: Row, weight: float) -> float:
    """Answer the quantity whose price and `weight` times its commission together cost `budget`."""
    quantity = (budget - weight * rules.per_order) / (
        price * (1.0 + weight * rules.commission) + weight * rules.per_share
    )
    if rules.commission * quantity * price + rules.per_share * quantity + rules.per_order < rules.minimum:
        quantity = (budget - weight * rules.minimum) / price
    return float(quantity)


@inlined
def value_of(position: Row, price: float) -> float:
    """Answer what an open position is worth: a short has set its entry value aside and owes the price."""
    if position.side > 0:
        return float(position.quantity * price)
    return float(position.quantity * (2.0 * position.entry_price - price))


@compiled
def worth_of(positions: Rows, account: Row, leverage: float) -> tuple[float, float, float]:
    """Answer the equity, what new positions may cost, and the value of all that is held, at the marks of the moment.

    Equity times leverage is what all positions together may be worth.
    """
    equity = account.cash
    free = account.cash * leverage
    held = 0.0
    for s in range(len(positions)):
        position = positions[s]
        if position.side != 0:
            value, notional = value_of(position, position.mark), position.quantity * position.mark
            equity += value
            free += leverage * value - notional
            held += notional
    return float(equity), float(free), float(held)


@compiled
def close_part(
    position: Row, account: Row, trades: Rows, rules: Row, s: int, t: int, quantity: float, price: float, reason: int
) -> None:
    """Close `quantity` of the position of symbol `s` at `price` (slippage already in it) and write its trade."""
    side, held = position.side, position.quantity
    entry_fees, borrow, value = position.fees, position.borrow, value_of(position, price)
    if quantity < held:
        part = quantity / held
        entry_fees, borrow, value = entry_fees * part, borrow * part, value * part
    commission = commission_of(quantity, price, rules)
    account.cash += value - commission
    account.turnover += quantity * price
    fees = entry_fees + commission
    trade = trades[account.trades]
    trade.symbol = s
    trade.side = side
    trade.quantity = quantity
    trade.entry_t = position.entry_t
    trade.entry_price = position.entry_price
    trade.exit_t = t
    trade.exit_price = price
    trade.pnl = side * quantity * (price - position.entry_price) - fees - borrow
    trade.commission = fees
    trade.borrow = borrow
    trade.reason = reason
    trade.bars = position.number - position.entry_number
    trade.entry_signal_t = position.entry_signal_t
    trade.exit_signal_t = position.exit_signal_t if reason in (k.BY_SIGNAL, k.BY_MAX_BARS) else t
    account.trades += 1
    position.quantity = held - quantity
    position.fees -= entry_fees
    position.borrow -= borrow
    if quantity >= held:
        account.open -= 1
        account.short -= side < 0
        position.side = 0
        position.exit_due = 0
        position.exit_number = position.number


@inlined
def close_position(
    position: Row, account: Row, trades: Rows, rules: Row, s: int, t: int, price: float, reason: int
) -> None:
    """Close all of the position of symbol `s` at `price`, less slippage."""
    at = price * (1.0 - position.side * rules.slippage)
    close_part(position, account, trades, rules, s, t, position.quantity, at, reason)


@compiled
def note(
    position: Row, account: Row, incidents: Rows, s: int, signal_t: int, t: int, price: float, quantity: float,
    reason: int,
) -> None:  # fmt: skip
    """Write down what became of an entry that did not fill, or not in full."""
    incident = incidents[account.incidents]
    incident.symbol = s
    incident.side = position.entry_due
    incident.signal_t = signal_t
    incident.fill_t = t
    incident.price = price
    incident.quantity = quantity
    incident.reason = reason
    account.incidents += 1


@compiled
def distance_of(kind: int, level: float, values: F64, s: int, signal_t: int, price: float) -> float:
    """Answer a level's distance from `price`: 0 when there is none, NaN when it cannot be told."""
    if kind == k.LEVEL_NONE:
        return 0.0
    distance = level * price if kind == k.LEVEL_FRACTION else values[int(level), s, signal_t]
    return distance if distance > 0.0 else np.nan


@compiled
def target_of(values: F64, targets: F64, which: int, s: int, signal_t: int, price: float) -> float:
    """Answer the distance of one target from `price`, NaN when it cannot be told."""
    fraction = targets[which, k.FRACTION]
    distance = values[int(targets[which, k.ROW]), s, signal_t] if np.isnan(fraction) else fraction * price
    return distance if distance > 0.0 else np.nan


@inlined
def in_lots(quantity: float, lot: float) -> float:
    """Answer a quantity rounded down to whole lots where lots are asked for."""
    return float(np.floor(quantity / lot * k.AFFORD) * lot) if lot > 0.0 else quantity


@compiled
def size_of(rules: Row, equity: float, price: float, stop_distance: float) -> float:
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
    values: F64, targets: F64, rules: Row, positions: Rows, account: Row, incidents: Rows, s: int, t: int,
    price: float, filled: int,
) -> None:  # fmt: skip
    """Fill the entry due for symbol `s` in bar `t` at `price` with what can be paid, or note why it cannot be."""
    position = positions[s]
    side, signal_t = position.entry_due, position.entry_signal_t
    if rules.max_positions > 0 and account.open >= rules.max_positions:
        note(position, account, incidents, s, signal_t, t, price, 0.0, k.NO_PLACE)
        return
    stop = distance_of(rules.stop_kind, rules.stop, values, s, signal_t, price)
    trail = distance_of(rules.trail_kind, rules.trail, values, s, signal_t, price)
    least = stop + trail
    for which in range(len(targets)):
        least += target_of(values, targets, which, s, signal_t, price)
    if np.isnan(least):
        note(position, account, incidents, s, signal_t, t, price, 0.0, k.NO_LEVEL)
        return
    equity, free, _ = worth_of(positions, account, rules.leverage)
    quantity = size_of(rules, equity, price, stop)
    if not quantity > 0.0:
        note(position, account, incidents, s, signal_t, t, price, 0.0, k.NO_QUANTITY)
        return
    commission = commission_of(quantity, price, rules)
    if quantity * price + rules.leverage * commission > free * k.AFFORD:
        wanted = quantity
        quantity = in_lots(quantity_for(free, price, rules, rules.leverage), rules.lot)
        if not (rules.is_filled_short and quantity > k.CRUMB * wanted):
            note(position, account, incidents, s, signal_t, t, price, 0.0, k.NO_CASH)
            return
        note(position, account, incidents, s, signal_t, t, price, quantity, k.REDUCED)
        commission = commission_of(quantity, price, rules)
    account.cash -= quantity * price + commission
    account.turnover += quantity * price
    account.open += 1
    account.short += side < 0
    position.side = side
    position.quantity = quantity
    position.whole = quantity
    position.entry_price = price
    position.entry_t = t
    position.entry_number = position.number
    position.filled = filled
    position.fees = commission
    position.borrow = 0.0
    position.stop = price - side * stop if stop > 0.0 else np.nan
    position.trail_step = trail
    position.is_trailed = False
    position.next_target = -1
    if filled != k.AT_OPEN:
        position.mark = price
    next_target(values, targets, position, s)
    if trail > 0.0:
        raise_trail(position, price, trail)


@inlined
def next_target(values: F64, targets: F64, position: Row, s: int) -> None:
    """Set the target of an open position to the next one, NaN after the last."""
    position.next_target += 1
    position.target = np.nan
    if position.next_target < len(targets):
        price = position.entry_price
        distance = target_of(values, targets, position.next_target, s, position.entry_signal_t, price)
        position.target = price + position.side * distance


@compiled
def part_of(targets: F64, rules: Row, position: Row) -> float:
    """Answer how much of a position its next target closes: all that is left, once the shares come to the whole."""
    so_far = 0.0
    for which in range(position.next_target + 1):
        so_far += targets[which, k.SHARE]
    if so_far * k.AFFORD >= 1.0:
        return float(position.quantity)
    part = in_lots(targets[position.next_target, k.SHARE] * position.whole, rules.lot)
    return min(part, float(position.quantity))


@inlined
def raise_trail(position: Row, best: float, step: float) -> None:
    """Move the stop to `step` behind `best` where that is nearer than it is."""
    level = best - position.side * step
    if np.isnan(position.stop) or position.side * level > position.side * position.stop:
        position.stop = level
        position.is_trailed = True


@compiled
def order_fill(
    first: float, high: float, low: float, close: float, values: F64, rules: Row, position: Row, s: int
) -> tuple[float, int]:
    """Answer at which price, NaN for none, and how a waiting entry fills in a bar.

    Of a bar that triggers a stop limit only its close is known to come after the trigger.
    """
    side, signal_t = position.entry_due, position.entry_signal_t
    which = 0 if side > 0 else 1
    slipped = 1.0 + side * rules.slippage
    best, worst = (high, low) if side > 0 else (low, high)
    is_new = False  # a limit that was resting before the bar fills at the open without slippage
    if rules.order != k.LIMIT and not position.is_triggered:
        trigger = values[rules.trigger + which, s, signal_t]
        is_at_open = side * first >= side * trigger
        if not (is_at_open or side * best >= side * trigger):
            return np.nan, k.AT_OPEN
        if rules.order == k.STOP_ENTRY:
            return (first * slipped, k.AT_OPEN) if is_at_open else (trigger * slipped, k.BY_RISE)
        position.is_triggered = True
        is_new = True
        limit = values[rules.limit + which, s, signal_t]
        if not is_at_open:
            if side * trigger < side * limit:
                return side * min(side * trigger * slipped, side * limit), k.BY_RISE
            return (limit, k.BY_FALL) if side * close < side * limit else (np.nan, k.AT_OPEN)
    limit = values[rules.limit + which, s, signal_t]
    if side * first < side * limit:
        return (side * min(side * first * slipped, side * limit) if is_new else first), k.AT_OPEN
    return (limit, k.BY_FALL) if side * worst < side * limit else (np.nan, k.AT_OPEN)


@compiled
def call_price(rules: Row, position: Row, account: Row) -> float:
    """Answer the price at which the equity of an account with this position alone is no more than its margin, NaN for
    none."""
    quantity, cash = position.quantity, account.cash
    if position.side < 0:
        return float((cash + 2.0 * quantity * position.entry_price) / (quantity * (1.0 + rules.maintenance)))
    return float(-cash / (quantity * (1.0 - rules.maintenance))) if cash < 0.0 else np.nan


@inlined
def is_margined(rules: Row, account: Row) -> bool:
    """Answer whether the account can lose more than it has: it is leveraged, short, or owes costs."""
    return bool(rules.leverage > 1.0 or account.short > 0 or account.cash < -account.least)


@compiled
def call_margin(positions: Rows, account: Row, trades: Rows, rules: Row, t: int) -> None:
    """Liquidate every position at its mark when equity there is no more than the maintenance margin, or nothing."""
    equity, _, held = worth_of(positions, account, rules.leverage)
    if equity > max(rules.maintenance * held, account.least):
        return
    reason = k.BY_RUIN if equity <= account.least else k.BY_LIQUIDATION
    for s in range(len(positions)):
        position = positions[s]
        if position.side != 0:
            close_position(position, account, trades, rules, s, t, position.mark, reason)
    settle(positions, account, t)


@compiled
def settle(positions: Rows, account: Row, t: int) -> None:
    """End an account without positions that has nothing left: what it owes beyond that is written off, and said."""
    if account.cash <= account.least and account.ruined_t < 0:
        account.shortfall = -min(account.cash, 0.0)
        account.cash = 0.0
        account.ruined_t = t
        for s in range(len(positions)):
            positions[s].entry_due = 0
