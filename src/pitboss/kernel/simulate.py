"""The fill loop: bars and signals in, trades and equity out. The rules are those of docs/reference/fills.md.

All arrays are (symbols, bars) over one timeline; a symbol without a bar has NaN there and does nothing.
The loop can be stopped after any bar and called again: all it remembers is in `State`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pitboss.kernel import panel as cells
from pitboss.kernel.compiling import compiled, inlined

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

LONG_ENTRY = 1
SHORT_ENTRY = 2
LONG_EXIT = 4
SHORT_EXIT = 8

SIZE_CASH = 0
SIZE_QUANTITY = 1
SIZE_EQUITY = 2
SIZE_RISK = 3

LEVEL_NONE = 0
LEVEL_FRACTION = 1
LEVEL_DISTANCE = 2

EXIT_REASONS = ("signal", "stop_loss", "trailing_stop", "take_profit", "max_bars", "end_of_data")
BY_SIGNAL, BY_STOP, BY_TRAILING, BY_TARGET, BY_MAX_BARS, BY_END = range(6)

REJECTIONS = ("insufficient_cash", "undefined_level", "zero_quantity", "conflicting_signals")
NO_CASH, NO_LEVEL, NO_QUANTITY, CONFLICT = range(4)

# columns of a row of `Log.trades`
T_SYMBOL, T_SIDE, T_QUANTITY, T_ENTRY, T_ENTRY_PRICE, T_EXIT, T_EXIT_PRICE = range(7)
T_PNL, T_COMMISSION, T_BORROW, T_REASON, T_BARS, T_ENTRY_SIGNAL, T_EXIT_SIGNAL = range(7, 14)
TRADE_COLUMNS = 14

# columns of a row of `Log.rejected`
R_SYMBOL, R_SIDE, R_SIGNAL, R_FILL, R_PRICE, R_REASON = range(6)
REJECTED_COLUMNS = 6

# columns of a row of `State.positions`
SIDE, QUANTITY, ENTRY_PRICE, ENTRY_T, ENTRY_BAR, FEES, BORROW = range(7)
STOP, TARGET, TRAIL_STEP, IS_TRAILED = range(7, 11)  # STOP is the nearer of stop loss and trailing stop
EXIT_DUE, EXIT_SIGNAL, ENTRY_DUE, ENTRY_SIGNAL, MARK, BAR_NUMBER, LAST_T = range(11, 18)
POSITION_COLUMNS = 18

# places in `State.account` and `State.counts`
CASH, TURNOVER = range(2)
N_TRADES, N_REJECTED, N_EXPOSED = range(3)

MICROS_PER_YEAR = 365.0 * 86_400.0 * 1e6
AFFORD = 1.0 + 1e-9  # tolerance of "can be paid", for the rounding of a size that takes all the cash


class Bars(NamedTuple):
    """Prices on one timeline: `ts` (bars,) in microseconds since 1970, the rest (symbols, bars)."""

    ts: I64
    open: F64
    high: F64
    low: F64
    close: F64


class Levels(NamedTuple):
    """Distances of stop, target and trailing stop, each (symbols, bars), read at the signal's bar.

    A kind is LEVEL_NONE, LEVEL_FRACTION (of the entry price; the array has one element) or
    LEVEL_DISTANCE (in price).
    """

    stop_kind: int
    stop: F64
    target_kind: int
    target: F64
    trail_kind: int
    trail: F64


class Rules(NamedTuple):
    """Sizing, costs and limits; fractions are fractions, money is the account's currency."""

    sizing: int
    size: float
    lot: float
    commission: float
    per_share: float
    per_order: float
    minimum: float
    slippage: float
    borrow: float
    max_bars: int


class State(NamedTuple):
    """All that the loop remembers between two calls."""

    account: F64
    positions: F64
    counts: I64


class Log(NamedTuple):
    """What the loop writes: rows of trades and rejections, and equity at each bar's close."""

    trades: F64
    rejected: F64
    equity: F64


def new_state(symbols: int, cash: float) -> State:
    """Answer a flat account of `symbols` instruments holding `cash`."""
    positions = np.zeros((symbols, POSITION_COLUMNS))
    positions[:, LAST_T] = -1
    return State(np.array([cash, 0.0]), positions, np.zeros(3, dtype=np.int64))


def new_log(bars: int, capacity: int = 4096) -> Log:
    """Answer an empty log for `bars` bars with room for `capacity` rows of each kind."""
    return Log(np.empty((capacity, TRADE_COLUMNS)), np.empty((capacity, REJECTED_COLUMNS)), np.empty(bars))


def grown(log: Log) -> Log:
    """Answer `log` with room for twice as many rows, its rows kept."""
    trades = np.empty((2 * len(log.trades), TRADE_COLUMNS))
    trades[: len(log.trades)] = log.trades
    rejected = np.empty((2 * len(log.rejected), REJECTED_COLUMNS))
    rejected[: len(log.rejected)] = log.rejected
    return Log(trades, rejected, log.equity)


@inlined
def commission_of(quantity: float, price: float, rules: Rules) -> float:
    charge = rules.commission * quantity * price + rules.per_share * quantity + rules.per_order
    return max(charge, rules.minimum)


@compiled
def quantity_for(budget: float, price: float, rules: Rules) -> float:
    """Answer the quantity whose price and commission together cost `budget`."""
    quantity = (budget - rules.per_order) / (price * (1.0 + rules.commission) + rules.per_share)
    if rules.commission * quantity * price + rules.per_share * quantity + rules.per_order < rules.minimum:
        quantity = (budget - rules.minimum) / price
    return quantity


@inlined
def value_of(positions: F64, s: int, price: float) -> float:
    """Answer what an open position is worth: a short has set its entry value aside and owes the price."""
    if positions[s, SIDE] > 0:
        return float(positions[s, QUANTITY] * price)
    return float(positions[s, QUANTITY] * (2.0 * positions[s, ENTRY_PRICE] - price))


@compiled
def equity_at_open(opens: F64, positions: F64, account: F64, t: int) -> float:
    """Answer cash and positions at the open of bar `t`; a symbol without that bar counts at its last close."""
    equity = account[CASH]
    for s in range(positions.shape[0]):
        if positions[s, SIDE] != 0.0:
            price = opens[s, t]
            if np.isnan(price):
                price = positions[s, MARK]
            equity += value_of(positions, s, price)
    return float(equity)


@compiled
def close_position(
    positions: F64,
    account: F64,
    counts: I64,
    trades: F64,
    rules: Rules,
    s: int,
    t: int,
    price: float,
    reason: int,
) -> None:
    """Close the position of symbol `s` at `price` (slippage already in it) and write its trade."""
    side = positions[s, SIDE]
    quantity = positions[s, QUANTITY]
    commission = commission_of(quantity, price, rules)
    account[CASH] += value_of(positions, s, price) - commission
    account[TURNOVER] += quantity * price
    fees = positions[s, FEES] + commission
    at = counts[N_TRADES]
    trades[at, T_SYMBOL] = s
    trades[at, T_SIDE] = side
    trades[at, T_QUANTITY] = quantity
    trades[at, T_ENTRY] = positions[s, ENTRY_T]
    trades[at, T_ENTRY_PRICE] = positions[s, ENTRY_PRICE]
    trades[at, T_EXIT] = t
    trades[at, T_EXIT_PRICE] = price
    trades[at, T_PNL] = side * quantity * (price - positions[s, ENTRY_PRICE]) - fees - positions[s, BORROW]
    trades[at, T_COMMISSION] = fees
    trades[at, T_BORROW] = positions[s, BORROW]
    trades[at, T_REASON] = reason
    trades[at, T_BARS] = positions[s, BAR_NUMBER] - positions[s, ENTRY_BAR]
    trades[at, T_ENTRY_SIGNAL] = positions[s, ENTRY_SIGNAL]
    trades[at, T_EXIT_SIGNAL] = t
    if reason in (BY_SIGNAL, BY_MAX_BARS):
        trades[at, T_EXIT_SIGNAL] = positions[s, EXIT_SIGNAL]
    counts[N_TRADES] += 1
    positions[s, SIDE] = 0.0
    positions[s, EXIT_DUE] = 0.0


@compiled
def reject(positions: F64, counts: I64, rejected: F64, s: int, signal: int, t: int, price: float, reason: int) -> None:
    at = counts[N_REJECTED]
    rejected[at, R_SYMBOL] = s
    rejected[at, R_SIDE] = positions[s, ENTRY_DUE]
    rejected[at, R_SIGNAL] = signal
    rejected[at, R_FILL] = t
    rejected[at, R_PRICE] = price
    rejected[at, R_REASON] = reason
    counts[N_REJECTED] += 1


@compiled
def distance_of(kind: int, values: F64, s: int, signal: int, price: float) -> float:
    """Answer a level's distance from `price`: 0 when there is none, NaN when it cannot be told."""
    if kind == LEVEL_NONE:
        return 0.0
    distance = values[0, 0] * price if kind == LEVEL_FRACTION else values[s, signal]
    return distance if distance > 0.0 else np.nan


@compiled
def size_of(rules: Rules, equity: float, price: float, stop_distance: float) -> float:
    """Answer the quantity to trade at `price`, rounded down to whole lots where lots are asked for."""
    if rules.sizing == SIZE_CASH:
        quantity = quantity_for(rules.size, price, rules)
    elif rules.sizing == SIZE_QUANTITY:
        quantity = rules.size
    elif rules.sizing == SIZE_EQUITY:
        quantity = quantity_for(rules.size * equity, price, rules)
    else:
        quantity = rules.size * equity / stop_distance
    if rules.lot > 0.0:
        quantity = np.floor(quantity / rules.lot * AFFORD) * rules.lot
    return quantity


@compiled
def open_position(
    opens: F64,
    levels: Levels,
    rules: Rules,
    positions: F64,
    account: F64,
    counts: I64,
    rejected: F64,
    s: int,
    t: int,
) -> None:
    """Fill the entry due for symbol `s` at the open of bar `t`, or reject and count it."""
    side = positions[s, ENTRY_DUE]
    signal = int(positions[s, ENTRY_SIGNAL])
    price = opens[s, t] * (1.0 + side * rules.slippage)
    stop = distance_of(levels.stop_kind, levels.stop, s, signal, price)
    target = distance_of(levels.target_kind, levels.target, s, signal, price)
    trail = distance_of(levels.trail_kind, levels.trail, s, signal, price)
    if np.isnan(stop) or np.isnan(target) or np.isnan(trail):
        reject(positions, counts, rejected, s, signal, t, price, NO_LEVEL)
        return
    quantity = size_of(rules, equity_at_open(opens, positions, account, t), price, stop)
    if not quantity > 0.0:
        reject(positions, counts, rejected, s, signal, t, price, NO_QUANTITY)
        return
    commission = commission_of(quantity, price, rules)
    if quantity * price + commission > account[CASH] * AFFORD:
        reject(positions, counts, rejected, s, signal, t, price, NO_CASH)
        return
    account[CASH] -= quantity * price + commission
    account[TURNOVER] += quantity * price
    positions[s, SIDE] = side
    positions[s, QUANTITY] = quantity
    positions[s, ENTRY_PRICE] = price
    positions[s, ENTRY_T] = t
    positions[s, ENTRY_BAR] = positions[s, BAR_NUMBER]
    positions[s, FEES] = commission
    positions[s, BORROW] = 0.0
    positions[s, STOP] = price - side * stop if stop > 0.0 else np.nan
    positions[s, TARGET] = price + side * target if target > 0.0 else np.nan
    positions[s, TRAIL_STEP] = trail
    positions[s, IS_TRAILED] = 0.0
    if trail > 0.0:
        raise_trail(positions, s, price, trail)


@compiled
def charge_borrow(moments: I64, rules: Rules, positions: F64, account: F64, s: int, t: int) -> None:
    """Charge a short for the time since its symbol's last bar, on its value at that bar's close."""
    held = moments[t] - moments[int(positions[s, LAST_T])]
    charge = positions[s, QUANTITY] * positions[s, MARK] * rules.borrow * held / MICROS_PER_YEAR
    positions[s, BORROW] += charge
    account[CASH] -= charge


@compiled
def exit_at_open(
    opens: F64, rules: Rules, positions: F64, account: F64, counts: I64, trades: F64, s: int, t: int
) -> None:
    """Fill the exit due for symbol `s` at the open of bar `t`; an entry due with it has the same signal bar."""
    price = opens[s, t] * (1.0 - positions[s, SIDE] * rules.slippage)
    close_position(positions, account, counts, trades, rules, s, t, price, int(positions[s, EXIT_DUE]) - 1)
    if positions[s, ENTRY_DUE] != 0.0:
        positions[s, ENTRY_SIGNAL] = positions[s, EXIT_SIGNAL]


@compiled
def raise_trail(positions: F64, s: int, best: float, step: float) -> None:
    """Move the stop to `step` behind `best` where that is nearer than it is."""
    side = positions[s, SIDE]
    level = best - side * step
    if np.isnan(positions[s, STOP]) or side * level > side * positions[s, STOP]:
        positions[s, STOP] = level
        positions[s, IS_TRAILED] = 1.0


@compiled
def take_level(
    bars: Bars, rules: Rules, positions: F64, account: F64, counts: I64, trades: F64, s: int, t: int
) -> None:
    """Close the position of symbol `s` whose stop or target bar `t` reaches: the open first, then the stop."""
    side, stop, target = positions[s, SIDE], positions[s, STOP], positions[s, TARGET]
    first = bars.open[s, t]
    worst = bars.low[s, t] if side > 0 else bars.high[s, t]
    slipped = 1.0 - side * rules.slippage
    reason = BY_TRAILING if positions[s, IS_TRAILED] != 0.0 else BY_STOP
    if side * first <= side * stop:
        close_position(positions, account, counts, trades, rules, s, t, first * slipped, reason)
    elif side * first > side * target:
        close_position(positions, account, counts, trades, rules, s, t, first, BY_TARGET)
    elif side * worst <= side * stop:
        close_position(positions, account, counts, trades, rules, s, t, stop * slipped, reason)
    else:
        close_position(positions, account, counts, trades, rules, s, t, target, BY_TARGET)


@compiled
def take_signals(
    rules: Rules, positions: F64, counts: I64, rejected: F64, s: int, t: int, signal: int, price: float
) -> None:
    """Note what the signals at the close of bar `t` make due at the symbol's next open."""
    side = positions[s, SIDE]
    if side != 0.0:
        wanted = LONG_EXIT if side > 0 else SHORT_EXIT
        if signal & wanted:
            positions[s, EXIT_DUE] = BY_SIGNAL + 1
        elif rules.max_bars > 0 and positions[s, BAR_NUMBER] - positions[s, ENTRY_BAR] + 1 >= rules.max_bars:
            positions[s, EXIT_DUE] = BY_MAX_BARS + 1
        if positions[s, EXIT_DUE] == 0.0:
            return
        positions[s, EXIT_SIGNAL] = t
    entries = signal & (LONG_ENTRY | SHORT_ENTRY)
    if entries == LONG_ENTRY | SHORT_ENTRY:
        positions[s, ENTRY_DUE] = 0.0
        reject(positions, counts, rejected, s, t, t, price, CONFLICT)
    elif entries:
        positions[s, ENTRY_DUE] = 1.0 if entries == LONG_ENTRY else -1.0
        # an exit due at the same open still needs the signal bar of the open position
        if side == 0.0:
            positions[s, ENTRY_SIGNAL] = t


@compiled
def simulate(
    bars: Bars,
    signals: U8,
    levels: Levels,
    rules: Rules,
    state: State,
    log: Log,
    panel: I64,
    start: int,
    stop: int,
) -> int:
    """Run bars `start` to `stop` and answer the bar reached.

    Less than `stop` means that the panel's cancel flag went up, or that `log` is nearly full: grow it
    and call again from the bar reached.
    """
    # arrays are taken out of their tuples once: doing so inside the loop costs more than the loop itself
    opens, highs, lows, closes = bars.open, bars.high, bars.low, bars.close
    moments, equity = bars.ts, log.equity
    positions, counts, account = state.positions, state.counts, state.account
    trades, rejected = log.trades, log.rejected
    n_symbols = closes.shape[0]
    has_levels = levels.stop_kind + levels.target_kind + levels.trail_kind != LEVEL_NONE
    trail_fraction = levels.trail[0, 0]
    last_bar = rules.max_bars - 1.0 if rules.max_bars > 0 else np.inf
    room = min(trades.shape[0], rejected.shape[0]) - 3 * n_symbols
    for t in range(start, stop):
        if t & 1023 == 0:
            panel[cells.DONE] = t
            panel[cells.TRADES] = counts[N_TRADES]
            panel[cells.CURRENT] = moments[t]
            if panel[cells.CANCEL] != 0:
                return t
        if counts[N_TRADES] > room or counts[N_REJECTED] > room:
            return t
        for s in range(n_symbols):
            if np.isnan(opens[s, t]):
                continue
            positions[s, BAR_NUMBER] += 1.0
            if positions[s, SIDE] < 0.0 and rules.borrow > 0.0:
                charge_borrow(moments, rules, positions, account, s, t)
            if positions[s, EXIT_DUE] != 0.0:
                exit_at_open(opens, rules, positions, account, counts, trades, s, t)
        for s in range(n_symbols):
            if positions[s, ENTRY_DUE] != 0.0 and not np.isnan(opens[s, t]):
                open_position(opens, levels, rules, positions, account, counts, rejected, s, t)
                positions[s, ENTRY_DUE] = 0.0
        worth = 0.0
        exposed = 0
        for s in range(n_symbols):
            close = closes[s, t]
            if not np.isnan(close):
                if positions[s, SIDE] != 0.0:
                    exposed = 1
                    if has_levels:
                        is_long = positions[s, SIDE] > 0.0
                        stop_at, target_at = positions[s, STOP], positions[s, TARGET]
                        if is_long:
                            is_hit = lows[s, t] <= stop_at or highs[s, t] > target_at
                        else:
                            is_hit = highs[s, t] >= stop_at or lows[s, t] < target_at
                        if is_hit:
                            take_level(bars, rules, positions, account, counts, trades, s, t)
                        elif levels.trail_kind != LEVEL_NONE:
                            best = highs[s, t] if is_long else lows[s, t]
                            step = positions[s, TRAIL_STEP]
                            if levels.trail_kind == LEVEL_FRACTION:
                                step = trail_fraction * best
                            raise_trail(positions, s, best, step)
                positions[s, MARK] = close
                positions[s, LAST_T] = t
                signal = signals[s, t]
                is_old = positions[s, BAR_NUMBER] - positions[s, ENTRY_BAR] >= last_bar
                if signal != 0 or (is_old and positions[s, SIDE] != 0.0):
                    take_signals(rules, positions, counts, rejected, s, t, signal, close)
            side = positions[s, SIDE]
            if side > 0.0:
                exposed = 1
                worth += positions[s, QUANTITY] * positions[s, MARK]
            elif side < 0.0:
                exposed = 1
                worth += positions[s, QUANTITY] * (2.0 * positions[s, ENTRY_PRICE] - positions[s, MARK])
        equity[t] = account[CASH] + worth
        counts[N_EXPOSED] += exposed
    panel[cells.DONE] = stop
    panel[cells.TRADES] = state.counts[N_TRADES]
    panel[cells.CURRENT] = bars.ts[stop - 1]
    return stop


@compiled
def close_all(rules: Rules, state: State, log: Log, end: int) -> None:
    """Close what is open at each symbol's last close before bar `end`; the last equity pays the costs."""
    positions, account = state.positions, state.account
    for s in range(positions.shape[0]):
        if positions[s, SIDE] != 0.0:
            price = positions[s, MARK] * (1.0 - positions[s, SIDE] * rules.slippage)
            last = int(positions[s, LAST_T])
            close_position(positions, account, state.counts, log.trades, rules, s, last, price, BY_END)
    if end > 0:
        log.equity[end - 1] = account[CASH]
