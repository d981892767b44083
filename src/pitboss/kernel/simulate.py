"""The fill loop: bars and signals in, trades and equity out. The rules are those of docs/reference/fills.md.

The loop can be stopped after any bar and called again: all it remembers is in `State`. Where one symbol is traded it
walks from event to event: over the bars between them `kernel.quiet` goes in one pass.
"""

from __future__ import annotations

import numpy as np

from pitboss.kernel import account as k
from pitboss.kernel import panel as cells
from pitboss.kernel.account import F64, I64, U8, Bars, Levels, Log, Row, Rows, State
from pitboss.kernel.compiling import compiled, unowned
from pitboss.kernel.fills import (
    call_margin,
    call_price,
    close_part,
    close_position,
    is_margined,
    next_target,
    note,
    open_position,
    order_fill,
    part_of,
    raise_trail,
    settle,
    value_of,
)
from pitboss.kernel.quiet import held_until, mark_quiet, signalled

LOOK = 4096  # bars between two looks at the panel
SIGNALS = k.LONG_ENTRY | k.SHORT_ENTRY | k.LONG_EXIT | k.SHORT_EXIT


@compiled
def charge_borrow(moments: I64, rules: Row, position: Row, account: Row, t: int) -> None:
    """Charge a short for the time since its symbol's last bar, on its value at that bar's close."""
    held = moments[t] - moments[position.last_t]
    charge = position.quantity * position.mark * rules.borrow * held / k.MICROS_PER_YEAR
    position.borrow += charge
    account.cash -= charge


@compiled
def charge_interest(moments: I64, rules: Row, positions: Rows, account: Row, t: int) -> None:
    """Charge for the cash that is owed, for the time since the bar before; what shorts were sold for is there."""
    owed = -account.cash
    for s in range(len(positions)):
        if positions[s].side < 0:
            owed -= 2.0 * positions[s].quantity * positions[s].entry_price
    if owed > 0.0:
        charge = owed * rules.interest * (moments[t] - moments[t - 1]) / k.MICROS_PER_YEAR
        account.cash -= charge
        account.interest += charge


@compiled
def let_wait(rules: Row, position: Row, account: Row, incidents: Rows, s: int, t: int, close: float) -> None:
    """Keep an entry that did not fill in bar `t`, until it expires; a market order does not wait."""
    if rules.order != k.MARKET:
        if position.number - position.order_number < rules.expiry:
            return
        note(position, account, incidents, s, position.entry_signal_t, t, close, 0.0, k.EXPIRED)
    position.entry_due = 0


@compiled
def take_level(
    values: F64, targets: F64, rules: Row, position: Row, account: Row, trades: Rows, s: int, t: int,
    first: float, worst: float, best: float, call: float,
) -> None:  # fmt: skip
    """Close what stop, target or margin call take of the position of symbol `s` in bar `t`: the open first, then the
    stop. Of a bar within which it was entered only what came after that counts."""
    side, stop = position.side, position.stop
    if position.filled != k.AT_OPEN and position.entry_t == t:
        first = position.entry_price
    reason = k.BY_TRAILING if position.is_trailed else k.BY_STOP
    if not np.isnan(call) and not side * stop >= side * call:
        stop, reason = call, k.BY_RUIN if rules.maintenance == 0.0 else k.BY_LIQUIDATION
    if side * first <= side * stop:
        close_position(position, account, trades, rules, s, t, first, reason)
        return
    take_targets(values, targets, rules, position, account, trades, s, t, first, True)
    if position.side != 0 and side * worst <= side * stop:
        close_position(position, account, trades, rules, s, t, stop, reason)
    take_targets(values, targets, rules, position, account, trades, s, t, best, False)


@compiled
def take_targets(
    values: F64, targets: F64, rules: Row, position: Row, account: Row, trades: Rows, s: int, t: int,
    price: float, is_open: bool,
) -> None:  # fmt: skip
    """Close the parts of the targets that the price trades through, at the open or at themselves."""
    while position.side != 0 and position.side * price > position.side * position.target:
        part = part_of(targets, rules, position)
        if part > 0.0:
            at = price if is_open else position.target
            close_part(position, account, trades, rules, s, t, part, at, k.BY_TARGET)
        if position.side != 0:
            next_target(values, targets, position, s)


@compiled
def unfold(
    values: F64, targets: F64, rules: Row, position: Row, account: Row, trades: Rows, s: int, t: int,
    first: float, high: float, low: float, close: float, is_called: bool,
) -> None:  # fmt: skip
    """Let bar `t` pass over the position of symbol `s`: levels, then the trailing stop."""
    is_long = position.side > 0
    worst, best = (low, high) if is_long else (high, low)
    if position.filled == k.BY_FALL and position.entry_t == t:
        best = close  # what came before the entry is not its own
    call = np.nan
    if is_called and account.open == 1:
        call = call_price(rules, position, account)
    if is_long:
        is_hit = worst <= position.stop or best > position.target or worst <= call
    else:
        is_hit = worst >= position.stop or best < position.target or worst >= call
    if is_hit:
        take_level(values, targets, rules, position, account, trades, s, t, first, worst, best, call)
    if rules.trail_kind != k.LEVEL_NONE and position.side != 0:
        step = rules.trail * best if rules.trail_kind == k.LEVEL_FRACTION else position.trail_step
        raise_trail(position, best, step)


@compiled
def take_signals(
    values: F64, rules: Row, position: Row, account: Row, incidents: Rows, s: int, t: int, signal: int, price: float
) -> None:
    """Note what the signals at the close of bar `t` make due at the symbol's next open."""
    side = position.side
    if side != 0:
        if signal & (k.LONG_EXIT if side > 0 else k.SHORT_EXIT):
            position.exit_due = k.BY_SIGNAL + 1
        elif rules.max_bars > 0 and position.number - position.entry_number + 1 >= rules.max_bars:
            position.exit_due = k.BY_MAX_BARS + 1
        if position.exit_due == 0:
            return
        position.exit_signal_t = t
    elif position.entry_due != 0 and signal & (k.LONG_EXIT if position.entry_due > 0 else k.SHORT_EXIT):
        position.entry_due = 0  # an exit signal withdraws the order that waits
    entries = signal & (k.LONG_ENTRY | k.SHORT_ENTRY)
    if entries == k.LONG_ENTRY | k.SHORT_ENTRY:
        position.entry_due = 0
        note(position, account, incidents, s, t, t, price, 0.0, k.CONFLICT)
    elif entries:
        position.entry_due = 1 if entries == k.LONG_ENTRY else -1
        # an exit due at the same open still needs the signal bar of the open position
        if side == 0:
            position.entry_signal_t = t
        position.order_number = position.number
        position.is_triggered = False
        if rules.order != k.MARKET:
            check_prices(values, rules, position, account, incidents, s, t, price)


@compiled
def check_prices(
    values: F64, rules: Row, position: Row, account: Row, incidents: Rows, s: int, t: int, price: float
) -> None:
    """Refuse an entry whose trigger or limit, as told at bar `t`, is no price."""
    which = 0 if position.entry_due > 0 else 1
    has_trigger = rules.order in (k.STOP_ENTRY, k.STOP_LIMIT)
    has_limit = rules.order in (k.LIMIT, k.STOP_LIMIT)
    if (has_trigger and not values[rules.trigger + which, s, t] > 0.0) or (
        has_limit and not values[rules.limit + which, s, t] > 0.0
    ):
        note(position, account, incidents, s, t, t, price, 0.0, k.NO_LEVEL)
        position.entry_due = 0


@compiled
def simulate(
    bars: Bars, signals: U8, levels: Levels, rule: Rows, state: State, log: Log, panel: I64, start: int, stop: int
) -> int:
    """Run bars `start` to `stop` and answer the bar reached.

    Less than `stop` means that the panel's cancel flag went up, or that `log` is nearly full: grow it
    and call again from the bar reached.
    """
    # arrays are taken out of their tuples once, and what is called takes few: copying their descriptions and counting
    # their references would cost more than the loop itself
    opens, highs, lows, closes = unowned(bars.open), unowned(bars.high), unowned(bars.low), unowned(bars.close)
    moments, lasts, equity = unowned(bars.ts), unowned(bars.last), unowned(log.equity)
    signals, values, targets = unowned(signals), unowned(levels.values), unowned(levels.targets)
    trades, incidents, positions = unowned(log.trades), unowned(log.incidents), unowned(state.positions)
    account, rules, only = state.account[0], rule[0], positions[0]
    n_symbols, end = closes.shape
    highs_of_only, lows_of_only, closes_of_only, signals_of_only = highs[0], lows[0], closes[0], signals[0]
    is_levelled = rules.stop_kind + rules.trail_kind != k.LEVEL_NONE or len(targets) > 0
    has_interest = rules.interest > 0.0 and rules.leverage > 1.0
    room = min(len(trades), len(incidents)) - n_symbols * (3 + len(targets))  # but for the rows of one bar
    look = start
    t = start
    while t < stop:
        if t >= look:
            look = t + LOOK
            panel[cells.DONE] = t
            panel[cells.TRADES] = account.trades
            panel[cells.CURRENT] = moments[t]
            if panel[cells.CANCEL] != 0:
                return t
        if account.ruined_t >= 0:
            equity[t:stop] = 0.0
            break
        if account.trades > room or account.incidents > room:
            return t
        if bars.is_dense and only.entry_due == 0 and only.exit_due == 0:
            until = min(stop, look)
            if only.side == 0:
                until = signalled(signals_of_only, k.LONG_ENTRY | k.SHORT_ENTRY, 0, t, until)
            else:
                until = held_until(
                    moments, highs_of_only, lows_of_only, signals_of_only, rules, only, account, t, until
                )
            if until > t:
                mark_quiet(moments, closes_of_only, equity, rules, only, account, t, until)
                t = until
                signal = signals_of_only[t - 1] & SIGNALS
                if signal != 0:
                    take_signals(values, rules, only, account, incidents, 0, t - 1, signal, closes_of_only[t - 1])
                continue
        if has_interest and t > 0:
            charge_interest(moments, rules, positions, account, t)
        for s in range(n_symbols):
            first = opens[s, t]
            if np.isnan(first):
                continue
            position = positions[s]
            position.number += 1
            if position.side != 0:
                if position.side < 0 and rules.borrow > 0.0:
                    charge_borrow(moments, rules, position, account, t)
                if position.exit_due == 0 and signals[s, t] & k.LEAVE:
                    position.exit_due = k.BY_TIME + 1
                if position.exit_due != 0:
                    close_position(position, account, trades, rules, s, t, first, position.exit_due - 1)
                    if position.entry_due != 0:
                        position.entry_signal_t = position.exit_signal_t
            position.mark = first
        if is_margined(rules, account):
            call_margin(positions, account, trades, rules, t)
        for s in range(n_symbols):
            position = positions[s]
            if position.entry_due != 0 and not np.isnan(opens[s, t]):
                first = opens[s, t]
                price, filled = np.nan, k.AT_OPEN
                is_open = signals[s, t] & k.NO_ENTRY == 0 and position.number - position.exit_number >= rules.cooldown
                if is_open and rules.order == k.MARKET:
                    price = first * (1.0 + position.entry_due * rules.slippage)
                elif is_open:
                    price, filled = order_fill(first, highs[s, t], lows[s, t], closes[s, t], values, rules, position, s)
                if np.isnan(price):
                    let_wait(rules, position, account, incidents, s, t, closes[s, t])
                else:
                    open_position(values, targets, rules, positions, account, incidents, s, t, price, filled)
                    position.entry_due = 0
        is_called = is_margined(rules, account)
        worth = 0.0
        exposed = 0
        for s in range(n_symbols):
            close = closes[s, t]
            position = positions[s]
            if not np.isnan(close):
                if position.side != 0:
                    exposed = 1
                    if is_levelled or is_called:
                        unfold(
                            values, targets, rules, position, account, trades, s, t, opens[s, t], highs[s, t],
                            lows[s, t], close, is_called,
                        )  # fmt: skip
                position.mark = close
                position.last_t = t
                signal = signals[s, t] & SIGNALS
                is_old = rules.max_bars > 0 and position.number - position.entry_number + 1 >= rules.max_bars
                if t == lasts[s] and t < end - 1:
                    position.entry_due = 0
                    if position.side != 0:
                        close_position(position, account, trades, rules, s, t, close, k.BY_DELISTING)
                elif signal != 0 or (is_old and position.side != 0):
                    take_signals(values, rules, position, account, incidents, s, t, signal, close)
            if position.side != 0:
                exposed = 1
                worth += value_of(position, position.mark)
        equity[t] = account.cash + worth
        if is_called and account.open > 0:
            call_margin(positions, account, trades, rules, t)
        elif account.open == 0:
            settle(positions, account, t)
        if account.open == 0:
            equity[t] = account.cash
        account.exposed += exposed
        t += 1
    panel[cells.DONE] = stop
    panel[cells.TRADES] = account.trades
    panel[cells.CURRENT] = moments[stop - 1]
    return stop


@compiled
def close_all(rule: Rows, state: State, log: Log, end: int) -> None:
    """Close what is open at each symbol's last close before bar `end`; the last equity pays the costs."""
    positions, account, trades = state.positions, state.account[0], log.trades
    for s in range(len(positions)):
        position = positions[s]
        if position.side != 0:
            close_position(position, account, trades, rule[0], s, position.last_t, position.mark, k.BY_END)
    if end > 0:
        settle(positions, account, end - 1)
        log.equity[end - 1] = account.cash
