"""What the fill loop works on: bars, levels and rules in; the state of an account and its log out.

All arrays are (symbols, bars) over one timeline; a symbol without a bar has NaN there and does nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

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

# columns of a row of `Log.trades`
T_SYMBOL, T_SIDE, T_QUANTITY, T_ENTRY, T_ENTRY_PRICE, T_EXIT, T_EXIT_PRICE = range(7)
T_PNL, T_COMMISSION, T_BORROW, T_REASON, T_BARS, T_ENTRY_SIGNAL, T_EXIT_SIGNAL = range(7, 14)
TRADE_COLUMNS = 14

# columns of a row of `Log.incidents`; I_QUANTITY is what was filled
I_SYMBOL, I_SIDE, I_SIGNAL, I_FILL, I_PRICE, I_REASON, I_QUANTITY = range(7)
INCIDENT_COLUMNS = 7

# columns of a row of `State.positions`
SIDE, QUANTITY, ENTRY_PRICE, ENTRY_T, ENTRY_BAR, FEES, BORROW = range(7)
STOP, TARGET, TRAIL_STEP, IS_TRAILED = range(7, 11)  # STOP is the nearer of stop loss and trailing stop
EXIT_DUE, EXIT_SIGNAL, ENTRY_DUE, ENTRY_SIGNAL, MARK, BAR_NUMBER, LAST_T = range(11, 18)
FILLED, WHOLE, NEXT_TARGET, ORDER_BAR, IS_TRIGGERED, EXIT_BAR = range(18, 24)
POSITION_COLUMNS = 24

# how an entry filled (FILLED): what of its bar is known to come after it
AT_OPEN, BY_RISE, BY_FALL = range(3)  # BY_RISE: a stop, the price moving its way; BY_FALL: a limit, moving against it

# places in `State.account` and `State.counts`
CASH, TURNOVER, INTEREST, SHORTFALL, LEAST = range(5)  # LEAST: equity that is no more than this is none
N_TRADES, N_INCIDENTS, N_EXPOSED, RUINED_T = range(4)  # RUINED_T is -1 while the account lives

MICROS_PER_YEAR = 365.0 * 86_400.0 * 1e6
AFFORD = 1.0 + 1e-9  # tolerance of "can be paid", for the rounding of a size that takes all the cash
CRUMB = 1e-3  # of the size that was wanted: what can be paid and is less is not worth a trade
NOTHING = 1e-9  # of the starting cash: equity that is no more is ruin


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
    """Where orders rest, all read at the signal's bar.

    Of stop and trailing stop the distances, each (symbols, bars); their kind is LEVEL_NONE, LEVEL_FRACTION (of the
    entry price; the array has one element) or LEVEL_DISTANCE (in price). Of the targets, nearest first, the fractions
    (targets,) or where that is NaN the distances (targets, symbols, bars), and the shares of the position (targets,)
    that they close. Of a waiting entry its kind, and the prices (sides, symbols, bars) for long and short at which it
    is triggered and beyond which it does not fill.
    """

    stop_kind: int
    stop: F64
    trail_kind: int
    trail: F64
    target_fractions: F64
    target_distances: F64
    target_shares: F64
    order: int
    trigger: F64
    limit: F64


class Rules(NamedTuple):
    """Sizing, costs and limits; fractions are fractions, money is the account's currency, 0 is no limit."""

    sizing: int
    size: float
    lot: float
    leverage: float
    maintenance: float
    is_filled_short: bool
    commission: float
    per_share: float
    per_order: float
    minimum: float
    slippage: float
    borrow: float
    interest: float
    max_bars: int
    cooldown: int
    max_positions: int
    expiry: int


class State(NamedTuple):
    """All that the loop remembers between two calls."""

    account: F64
    positions: F64
    counts: I64


class Log(NamedTuple):
    """What the loop writes: rows of trades and incidents, and equity at each bar's close."""

    trades: F64
    incidents: F64
    equity: F64


def new_state(symbols: int, cash: float) -> State:
    """Answer a flat account of `symbols` instruments holding `cash`."""
    positions = np.zeros((symbols, POSITION_COLUMNS))
    positions[:, LAST_T] = -1
    positions[:, EXIT_BAR] = -np.inf
    return State(np.array([cash, 0.0, 0.0, 0.0, NOTHING * cash]), positions, np.array([0, 0, 0, -1]))


def new_log(bars: int, capacity: int = 4096) -> Log:
    """Answer an empty log for `bars` bars with room for `capacity` rows of each kind."""
    return Log(np.empty((capacity, TRADE_COLUMNS)), np.empty((capacity, INCIDENT_COLUMNS)), np.empty(bars))


def grown(log: Log) -> Log:
    """Answer `log` with room for twice as many rows, its rows kept."""
    trades = np.empty((2 * len(log.trades), TRADE_COLUMNS))
    trades[: len(log.trades)] = log.trades
    incidents = np.empty((2 * len(log.incidents), INCIDENT_COLUMNS))
    incidents[: len(log.incidents)] = log.incidents
    return Log(trades, incidents, log.equity)
