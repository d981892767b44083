"""The fill loop: bars and signals in, trades and equity out. The rules are those of docs/reference/fills.md.

The loop can be stopped after any bar and called again: all it remembers is in `State`. Where one symbol is traded it
walks from event to event: over the bars between them `quiet_until` and `mark_quiet` go in one pass.
"""

from __future__ import annotations

import numpy as np

from pitboss.kernel import account as k
from pitboss.kernel import panel as cells
from pitboss.kernel.account import F64, I64, U8, Bars, Levels, Log, Rules, State
from pitboss.kernel.compiling import compiled, inlined
from pitboss.kernel.fills import (
    call_price,
    close_part,
    close_position,
    liquidate,
    next_target,
    note,
    open_position,
    order_fill,
    part_of,
    raise_trail,
    settle,
    value_of,
    worth_at_open,
)
from pitboss.kernel.quiet import mark_quiet, quiet_until

LOOK = 4096  # bars between two looks at the panel
SIGNALS = k.LONG_ENTRY | k.SHORT_ENTRY | k.LONG_EXIT | k.SHORT_EXIT


@compiled
def charge_borrow(moments: I64, rules: Rules, positions: F64, account: F64, s: int, t: int) -> None:
    """Charge a short for the time since its symbol's last bar, on its value at that bar's close."""
    held = moments[t] - moments[int(positions[s, k.LAST_T])]
    charge = positions[s, k.QUANTITY] * positions[s, k.MARK] * rules.borrow * held / k.MICROS_PER_YEAR
    positions[s, k.BORROW] += charge
    account[k.CASH] -= charge


@compiled
def charge_interest(moments: I64, rules: Rules, positions: F64, account: F64, t: int) -> None:
    """Charge for the cash that is owed, for the time since the bar before; what shorts were sold for is there."""
    owed = -account[k.CASH]
    for s in range(positions.shape[0]):
        if positions[s, k.SIDE] < 0.0:
            owed -= 2.0 * positions[s, k.QUANTITY] * positions[s, k.ENTRY_PRICE]
    if owed > 0.0:
        charge = owed * rules.interest * (moments[t] - moments[t - 1]) / k.MICROS_PER_YEAR
        account[k.CASH] -= charge
        account[k.INTEREST] += charge


@compiled
def exit_at_open(
    opens: F64, rules: Rules, positions: F64, account: F64, counts: I64, trades: F64, s: int, t: int
) -> None:
    """Fill the exit due for symbol `s` at the open of bar `t`; an entry due with it has the same signal bar."""
    price = opens[s, t] * (1.0 - positions[s, k.SIDE] * rules.slippage)
    close_position(positions, account, counts, trades, rules, s, t, price, int(positions[s, k.EXIT_DUE]) - 1)
    if positions[s, k.ENTRY_DUE] != 0.0:
        positions[s, k.ENTRY_SIGNAL] = positions[s, k.EXIT_SIGNAL]


@compiled
def enter(
    bars: Bars, signals: U8, levels: Levels, rules: Rules, positions: F64, account: F64, counts: I64,
    incidents: F64, s: int, t: int,
) -> None:  # fmt: skip
    """Fill the entry due for symbol `s` in bar `t`, at its open or where its order rests, or let it wait."""
    number = positions[s, k.BAR_NUMBER]
    is_allowed = signals[s, t] & k.NO_ENTRY == 0 and number - positions[s, k.EXIT_BAR] >= rules.cooldown
    price, filled = np.nan, k.AT_OPEN
    if levels.order == k.MARKET:
        if is_allowed:
            price = bars.open[s, t] * (1.0 + positions[s, k.ENTRY_DUE] * rules.slippage)
        positions[s, k.ORDER_BAR] = -np.inf  # it does not wait
    elif is_allowed:
        price, filled = order_fill(bars, levels, rules, positions, s, t)
    if not np.isnan(price):
        open_position(bars.open, levels, rules, positions, account, counts, incidents, s, t, price, filled)
    elif number - positions[s, k.ORDER_BAR] < rules.expiry:
        return
    elif levels.order != k.MARKET:
        signal = int(positions[s, k.ENTRY_SIGNAL])
        note(positions, counts, incidents, s, signal, t, bars.close[s, t], 0.0, k.EXPIRED)
    positions[s, k.ENTRY_DUE] = 0.0


@compiled
def take_level(
    bars: Bars, levels: Levels, rules: Rules, positions: F64, account: F64, counts: I64, trades: F64, s: int, t: int,
    call: float, worst: float, best: float,
) -> None:  # fmt: skip
    """Close what stop, target or margin call take of the position of symbol `s` in bar `t`: the open first, then the
    stop. Of a bar within which it was entered only what came after that counts."""
    side, stop = positions[s, k.SIDE], positions[s, k.STOP]
    first = bars.open[s, t]
    if positions[s, k.FILLED] != k.AT_OPEN and positions[s, k.ENTRY_T] == t:
        first = positions[s, k.ENTRY_PRICE]
    slipped = 1.0 - side * rules.slippage
    reason = k.BY_TRAILING if positions[s, k.IS_TRAILED] != 0.0 else k.BY_STOP
    if not np.isnan(call) and not side * stop >= side * call:
        stop, reason = call, k.BY_RUIN if rules.maintenance == 0.0 else k.BY_LIQUIDATION
    if side * first <= side * stop:
        close_position(positions, account, counts, trades, rules, s, t, first * slipped, reason)
        return
    while positions[s, k.SIDE] != 0.0 and side * first > side * positions[s, k.TARGET]:
        take_target(levels, rules, positions, account, counts, trades, s, t, first)
    if positions[s, k.SIDE] == 0.0:
        return
    if side * worst <= side * stop:
        close_position(positions, account, counts, trades, rules, s, t, stop * slipped, reason)
        return
    while positions[s, k.SIDE] != 0.0 and side * best > side * positions[s, k.TARGET]:
        take_target(levels, rules, positions, account, counts, trades, s, t, positions[s, k.TARGET])


@compiled
def take_target(
    levels: Levels, rules: Rules, positions: F64, account: F64, counts: I64, trades: F64, s: int, t: int,
    price: float,
) -> None:  # fmt: skip
    """Close the part that the next target of symbol `s` takes, and go on to the one after it."""
    part = part_of(levels, rules, positions, s)
    if part > 0.0:
        close_part(positions, account, counts, trades, rules, s, t, part, price, k.BY_TARGET)
    if positions[s, k.SIDE] != 0.0:
        next_target(levels, positions, s)


@compiled
def unfold(
    bars: Bars, levels: Levels, rules: Rules, positions: F64, account: F64, counts: I64, trades: F64, s: int, t: int,
    is_called: bool,
) -> None:  # fmt: skip
    """Let bar `t` pass over the position of symbol `s`: levels, then the trailing stop."""
    is_long = positions[s, k.SIDE] > 0.0
    worst, best = bars.low[s, t], bars.high[s, t]
    if not is_long:
        worst, best = best, worst
    if positions[s, k.FILLED] == k.BY_FALL and positions[s, k.ENTRY_T] == t:
        best = bars.close[s, t]  # what came before the entry is not its own
    call = np.nan
    if is_called and np.count_nonzero(positions[:, k.SIDE]) == 1:
        call = call_price(rules, positions, account, s)
    stop, target = positions[s, k.STOP], positions[s, k.TARGET]
    if is_long:
        is_hit = worst <= stop or best > target or worst <= call
    else:
        is_hit = worst >= stop or best < target or worst >= call
    if is_hit:
        take_level(bars, levels, rules, positions, account, counts, trades, s, t, call, worst, best)
    if levels.trail_kind != k.LEVEL_NONE and positions[s, k.SIDE] != 0.0:
        step = positions[s, k.TRAIL_STEP]
        if levels.trail_kind == k.LEVEL_FRACTION:
            step = levels.trail[0, 0] * best
        raise_trail(positions, s, best, step)


@compiled
def take_signals(
    levels: Levels, rules: Rules, positions: F64, counts: I64, incidents: F64, s: int, t: int, signal: int,
    price: float,
) -> None:  # fmt: skip
    """Note what the signals at the close of bar `t` make due at the symbol's next open."""
    side = positions[s, k.SIDE]
    if side != 0.0:
        wanted = k.LONG_EXIT if side > 0 else k.SHORT_EXIT
        if signal & wanted:
            positions[s, k.EXIT_DUE] = k.BY_SIGNAL + 1
        elif rules.max_bars > 0 and positions[s, k.BAR_NUMBER] - positions[s, k.ENTRY_BAR] + 1 >= rules.max_bars:
            positions[s, k.EXIT_DUE] = k.BY_MAX_BARS + 1
        if positions[s, k.EXIT_DUE] == 0.0:
            return
        positions[s, k.EXIT_SIGNAL] = t
    elif positions[s, k.ENTRY_DUE] != 0.0 and signal & (k.LONG_EXIT if positions[s, k.ENTRY_DUE] > 0 else k.SHORT_EXIT):
        positions[s, k.ENTRY_DUE] = 0.0  # an exit signal withdraws the order that waits
    entries = signal & (k.LONG_ENTRY | k.SHORT_ENTRY)
    if entries == k.LONG_ENTRY | k.SHORT_ENTRY:
        positions[s, k.ENTRY_DUE] = 0.0
        note(positions, counts, incidents, s, t, t, price, 0.0, k.CONFLICT)
    elif entries:
        positions[s, k.ENTRY_DUE] = 1.0 if entries == k.LONG_ENTRY else -1.0
        # an exit due at the same open still needs the signal bar of the open position
        if side == 0.0:
            positions[s, k.ENTRY_SIGNAL] = t
        positions[s, k.ORDER_BAR] = positions[s, k.BAR_NUMBER]
        positions[s, k.IS_TRIGGERED] = 0.0
        check_prices(levels, positions, counts, incidents, s, t, price)


@compiled
def delist(rules: Rules, positions: F64, account: F64, counts: I64, trades: F64, s: int, t: int, close: float) -> None:
    """Close the position of a symbol after whose bar `t` there are no more, while others go on."""
    positions[s, k.ENTRY_DUE] = 0.0
    if positions[s, k.SIDE] != 0.0:
        price = close * (1.0 - positions[s, k.SIDE] * rules.slippage)
        close_position(positions, account, counts, trades, rules, s, t, price, k.BY_DELISTING)


@compiled
def check_prices(levels: Levels, positions: F64, counts: I64, incidents: F64, s: int, t: int, price: float) -> None:
    """Refuse an entry whose trigger or limit, as told at bar `t`, is no price."""
    which = 0 if positions[s, k.ENTRY_DUE] > 0 else 1
    has_trigger = levels.order in (k.STOP_ENTRY, k.STOP_LIMIT)
    has_limit = levels.order in (k.LIMIT, k.STOP_LIMIT)
    if (has_trigger and not levels.trigger[which, s, t] > 0.0) or (has_limit and not levels.limit[which, s, t] > 0.0):
        note(positions, counts, incidents, s, t, t, price, 0.0, k.NO_LEVEL)
        positions[s, k.ENTRY_DUE] = 0.0


@inlined
def is_margined(rules: Rules, positions: F64, account: F64) -> bool:
    """Answer whether the account can lose more than it has: it is leveraged, short, or owes costs."""
    return bool(rules.leverage > 1.0 or account[k.CASH] < -account[k.LEAST] or positions[:, k.SIDE].min() < 0.0)


@compiled
def simulate(
    bars: Bars, signals: U8, levels: Levels, rules: Rules, state: State, log: Log, panel: I64, start: int, stop: int
) -> int:
    """Run bars `start` to `stop` and answer the bar reached.

    Less than `stop` means that the panel's cancel flag went up, or that `log` is nearly full: grow it
    and call again from the bar reached.
    """
    # arrays are taken out of their tuples once: doing so inside the loop costs more than the loop itself
    opens, closes, moments, equity = bars.open, bars.close, bars.ts, log.equity
    positions, counts, account = state.positions, state.counts, state.account
    trades, incidents = log.trades, log.incidents
    n_symbols, end = closes.shape
    is_levelled = levels.stop_kind + levels.trail_kind != k.LEVEL_NONE or len(levels.target_fractions) > 0
    is_called = False
    last_bar = rules.max_bars - 1.0 if rules.max_bars > 0 else np.inf
    most_rows = n_symbols * (3 + len(levels.target_fractions))  # of one bar
    room = min(trades.shape[0], incidents.shape[0]) - most_rows
    look = start
    t = start
    while t < stop:
        if t >= look:
            look = t + LOOK
            panel[cells.DONE] = t
            panel[cells.TRADES] = counts[k.N_TRADES]
            panel[cells.CURRENT] = moments[t]
            if panel[cells.CANCEL] != 0:
                return t
        if counts[k.RUINED_T] >= 0:
            equity[t:stop] = 0.0
            break
        if counts[k.N_TRADES] > room or counts[k.N_INCIDENTS] > room:
            return t
        if bars.is_dense:
            until = quiet_until(bars, signals, levels, rules, positions, account, t, min(stop, look))
            if until > t:
                mark_quiet(bars, rules, positions, account, counts, equity, t, until)
                t = until
                continue
        if rules.interest > 0.0 and rules.leverage > 1.0 and t > 0:
            charge_interest(moments, rules, positions, account, t)
        for s in range(n_symbols):
            if np.isnan(opens[s, t]):
                continue
            positions[s, k.BAR_NUMBER] += 1.0
            if positions[s, k.SIDE] != 0.0:
                if positions[s, k.SIDE] < 0.0 and rules.borrow > 0.0:
                    charge_borrow(moments, rules, positions, account, s, t)
                if positions[s, k.EXIT_DUE] == 0.0 and signals[s, t] & k.LEAVE:
                    positions[s, k.EXIT_DUE] = k.BY_TIME + 1
                if positions[s, k.EXIT_DUE] != 0.0:
                    exit_at_open(opens, rules, positions, account, counts, trades, s, t)
        is_called = is_margined(rules, positions, account)
        if is_called:
            worth, _, held = worth_at_open(opens, positions, account, rules.leverage, t)
            if worth <= max(rules.maintenance * held, account[k.LEAST]):
                liquidate(opens, positions, account, counts, trades, rules, t, True)
        for s in range(n_symbols):
            if positions[s, k.ENTRY_DUE] != 0.0 and not np.isnan(opens[s, t]):
                enter(bars, signals, levels, rules, positions, account, counts, incidents, s, t)
        is_called = is_margined(rules, positions, account)
        worth = held = 0.0
        exposed = 0
        for s in range(n_symbols):
            close = closes[s, t]
            if not np.isnan(close):
                if positions[s, k.SIDE] != 0.0:
                    exposed = 1
                    if is_levelled or is_called:
                        unfold(bars, levels, rules, positions, account, counts, trades, s, t, is_called)
                positions[s, k.MARK] = close
                positions[s, k.LAST_T] = t
                signal = signals[s, t]
                is_old = positions[s, k.BAR_NUMBER] - positions[s, k.ENTRY_BAR] >= last_bar
                if t == bars.last[s] and t < end - 1:
                    delist(rules, positions, account, counts, trades, s, t, close)
                elif signal & SIGNALS or (is_old and positions[s, k.SIDE] != 0.0):
                    take_signals(levels, rules, positions, counts, incidents, s, t, signal, close)
            side = positions[s, k.SIDE]
            if side != 0.0:
                exposed = 1
                worth += value_of(positions, s, positions[s, k.MARK])
                held += positions[s, k.QUANTITY] * positions[s, k.MARK]
        equity[t] = account[k.CASH] + worth
        if held > 0.0:
            if is_called and equity[t] <= max(rules.maintenance * held, account[k.LEAST]):
                liquidate(opens, positions, account, counts, trades, rules, t, False)
                equity[t] = account[k.CASH]
        elif account[k.CASH] <= account[k.LEAST]:
            settle(positions, account, counts, t)
            equity[t] = account[k.CASH]
        counts[k.N_EXPOSED] += exposed
        t += 1
    panel[cells.DONE] = stop
    panel[cells.TRADES] = counts[k.N_TRADES]
    panel[cells.CURRENT] = moments[stop - 1]
    return stop


@compiled
def close_all(rules: Rules, state: State, log: Log, end: int) -> None:
    """Close what is open at each symbol's last close before bar `end`; the last equity pays the costs."""
    positions, account = state.positions, state.account
    for s in range(positions.shape[0]):
        if positions[s, k.SIDE] != 0.0:
            price = positions[s, k.MARK] * (1.0 - positions[s, k.SIDE] * rules.slippage)
            last = int(positions[s, k.LAST_T])
            close_position(positions, account, state.counts, log.trades, rules, s, last, price, k.BY_END)
    if end > 0:
        settle(positions, account, state.counts, end - 1)
        log.equity[end - 1] = account[k.CASH]
