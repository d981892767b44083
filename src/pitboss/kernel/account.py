"""What the fill loop works on: bars, levels and rules in; the state of an account and its log out.

All arrays are (symbols, bars) over one timeline; a symbol without a bar has NaN there and does nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.void]  # of one of the types below
Row = Any  # one of them, by reference

# bits of a bar's signals
LONG_ENTRY = 1
SHORT_ENTRY = 2
LONG_EXIT = 4
SHORT_EXIT = 8
NO_ENTRY = 16  # the bar begins outside of the trading windows
LEAVE = 32  # the bar is the first after the time of the day at which positions are left

SIZE_CASH, SIZE_QUANTITY, SIZE_EQUITY, SIZE_RISK = range(4)

LEVEL_NONE, LEVEL_FRACTION, LEVEL_DISTANCE = range(3)

MARKET, LIMIT, STOP_ENTRY, STOP_LIMIT = range(4)

EXIT_REASONS = (
    "signal", "stop_loss", "trailing_stop", "take_profit", "max_bars", "end_of_data", "time", "delisted",
    "liquidation", "ruin",
)  # fmt: skip
(
    BY_SIGNAL, BY_STOP, BY_TRAILING, BY_TARGET, BY_MAX_BARS, BY_END, BY_TIME, BY_DELISTING, BY_LIQUIDATION, BY_RUIN,
) = range(10)  # fmt: skip

# what became of an entry that did not fill, or not in full
INCIDENTS = (
    "insufficient_cash", "undefined_level", "zero_quantity", "conflicting_signals", "max_positions", "expired",
    "reduced",
)  # fmt: skip
NO_CASH, NO_LEVEL, NO_QUANTITY, CONFLICT, NO_PLACE, EXPIRED, REDUCED = range(7)

# how an entry filled: what of its bar is known to come after it
AT_OPEN, BY_RISE, BY_FALL = range(3)  # BY_RISE: a stop, the price moving its way; BY_FALL: a limit, moving against it

_F, _I, _B = np.float64, np.int64, np.bool_


def _fields(real: str, whole: str = "", yes: str = "") -> np.dtype[np.void]:
    """Answer the type of a row: its fields that are real numbers, whole ones, and true or false."""
    fields = [(name, kind) for names, kind in ((real, _F), (whole, _I), (yes, _B)) for name in names.split()]
    return np.dtype(fields, align=True)


# A bar is told by its index on the timeline (`_t`), a symbol's age by how many bars it has had (`_number`).
TRADE = _fields(
    "quantity entry_price exit_price pnl commission borrow",
    "symbol side entry_t exit_t reason bars entry_signal_t exit_signal_t",
)
# What became of an entry; `quantity` is what was filled.
INCIDENT = _fields("price quantity", "symbol side signal_t fill_t reason")
# An instrument: its position (side 0 is none), what is due, and what it was last worth.
# stop: the nearer of stop loss and trailing stop; target: NaN after the last; mark: the open, the entry or the close
POSITION = _fields(
    "quantity whole entry_price fees borrow stop target trail_step mark",
    "side entry_t entry_number filled next_target exit_due exit_signal_t entry_due entry_signal_t number last_t"
    " order_number exit_number",
    "is_trailed is_triggered",
)
# least: equity that is no more is none; ruined_t is -1 while the account lives; open, short: how many positions are
ACCOUNT = _fields(
    "cash turnover interest shortfall least",
    "trades incidents exposed ruined_t open short",
)
# Sizing, costs, limits and how orders rest; fractions are fractions, a limit of 0 is none. `stop` and `trail` are a
# fraction of the entry price, or the row of the distances; `trigger` and `limit` the rows of the prices for long, those
# for short follow. A record is passed as one pointer: functions that are called with many arrays take longer for that
# than for their work.
RULES = _fields(
    "size lot leverage maintenance commission per_share per_order minimum slippage borrow interest stop trail",
    "sizing max_bars cooldown max_positions expiry stop_kind trail_kind order trigger limit",
    "is_filled_short",
)
NEVER = -(1 << 60)  # the number of a bar long before the first

# columns of a row of `Levels.targets`
FRACTION, ROW, SHARE = range(3)

MICROS_PER_YEAR = 365.0 * 86_400.0 * 1e6
AFFORD = 1.0 + 1e-9  # tolerance of "can be paid", for the rounding of a size that takes all the cash
CRUMB = 1e-3  # of the size that was wanted: what can be paid and is less is not worth a trade
NOTHING = 1e-6  # of the starting cash: equity that is no more is ruin


class Bars(NamedTuple):
    """Prices on one timeline: `ts` (bars,) in microseconds since 1970, the rest (symbols, bars).

    `last` (symbols,) is the index of each symbol's last bar; `is_dense` that there is one symbol, with every bar.
    """

    ts: I64
    open: F64
    high: F64
    low: F64
    close: F64
    last: I64
    is_dense: bool


class Levels(NamedTuple):
    """Where orders rest, all read at the signal's bar: the distances and prices that the rules name by their row.

    `values` is (rows, symbols, bars). `targets` has a row for each target, nearest first: its fraction of the entry
    price, or where that is NaN the row of its distances, and the share of the position that it closes.
    """

    values: F64
    targets: F64


class State(NamedTuple):
    """All that the loop remembers between two calls: rows of POSITION, and one of ACCOUNT."""

    positions: Rows
    account: Rows


class Log(NamedTuple):
    """What the loop writes: rows of TRADE and of INCIDENT, and equity at each bar's close."""

    trades: Rows
    incidents: Rows
    equity: F64


def new_state(symbols: int, cash: float) -> State:
    """Answer a flat account of `symbols` instruments holding `cash`."""
    positions, account = np.zeros(symbols, POSITION), np.zeros(1, ACCOUNT)
    positions["last_t"] = -1
    positions["exit_number"] = NEVER
    account["cash"], account["least"], account["ruined_t"] = cash, NOTHING * cash, -1
    return State(positions, account)


def new_rules(**given: float) -> Rows:
    """Answer rules, one row of RULES: those `given`, and neither costs nor limits else."""
    rules = np.zeros(1, RULES)
    for name, value in {"leverage": 1.0, "expiry": 1, **given}.items():
        rules[name] = value
    return rules


def new_log(bars: int, capacity: int = 4096) -> Log:
    """Answer an empty log for `bars` bars with room for `capacity` rows of each kind."""
    return Log(np.empty(capacity, TRADE), np.empty(capacity, INCIDENT), np.empty(bars))


def grown(log: Log) -> Log:
    """Answer `log` with room for twice as many rows, its rows kept."""
    return Log(_doubled(log.trades), _doubled(log.incidents), log.equity)


def _doubled(rows: Rows) -> Rows:
    more = np.empty(2 * len(rows), rows.dtype)
    more[: len(rows)] = rows
    return more
