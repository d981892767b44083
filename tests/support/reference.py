"""An independent simulator: plain Python, one bar at a time, written from DESIGN section 7 and nothing else.

It shares no code with `pitboss.kernel`. Slow, and meant to be read next to docs/reference/fills.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

YEAR = 365 * 86_400 * 1_000_000


@dataclass
class Position:
    side: int
    quantity: float
    price: float
    bar: int
    count: int
    fees: float
    stop: float | None
    target: float | None
    trail: float | None
    trail_distance: float | None
    borrow: float = 0.0


@dataclass
class Instrument:
    bars: dict[int, tuple[float, float, float, float]]
    signals: dict[int, int]
    stops: dict[int, float]
    targets: dict[int, float]
    trails: dict[int, float]
    position: Position | None = None
    entry_due: tuple[int, int] | None = None  # side, signal bar
    exit_due: str | None = None
    last: float = math.nan
    last_bar: int = -1
    seen: int = 0


@dataclass
class Options:
    """`stop`, `target`, `trail`: None, ("fraction", f) or ("distance",), distances given for each instrument."""

    cash: float
    sizing: str
    size: float
    lot: float = 0.0
    commission: float = 0.0
    per_share: float = 0.0
    per_order: float = 0.0
    minimum: float = 0.0
    slippage: float = 0.0
    borrow: float = 0.0
    max_bars: int = 0
    stop: tuple | None = None
    target: tuple | None = None
    trail: tuple | None = None


@dataclass
class Book:
    cash: float
    trades: list[dict] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)


def simulate(ts: list[int], instruments: list[Instrument], options: Options) -> Book:
    book = Book(options.cash)
    for t in range(len(ts)):
        here = [i for i in instruments if t in i.bars]
        for i in here:
            i.seen += 1
            accrue(i, ts, t, book, options)
            if i.exit_due and i.position:
                raw = i.bars[t][0]
                leave(i, t, raw * (1 - i.position.side * options.slippage), i.exit_due, book, options)
            i.exit_due = None
        for i in here:
            if i.entry_due:
                enter(i, t, instruments, book, options)
                i.entry_due = None
        for i in here:
            if i.position:
                unfold(i, t, book, options)
            i.last, i.last_bar = i.bars[t][3], t
            decide(i, t, book, options)
        book.equity.append(book.cash + sum(worth(i.position, i.last) for i in instruments if i.position))
    for i in instruments:
        if i.position:
            price = i.last * (1 - i.position.side * options.slippage)
            leave(i, i.last_bar, price, "end_of_data", book, options)
    if book.equity:
        book.equity[-1] = book.cash
    return book


def accrue(i: Instrument, ts: list[int], t: int, book: Book, options: Options) -> None:
    if i.position and i.position.side < 0 and options.borrow:
        charge = i.position.quantity * i.last * options.borrow * (ts[t] - ts[i.last_bar]) / YEAR
        i.position.borrow += charge
        book.cash -= charge


def worth(position: Position, price: float) -> float:
    if position.side > 0:
        return position.quantity * price
    return position.quantity * position.price + position.quantity * (position.price - price)


def fee(quantity: float, price: float, o: Options) -> float:
    return max(o.commission * quantity * price + o.per_share * quantity + o.per_order, o.minimum)


def leave(i: Instrument, t: int, price: float, reason: str, book: Book, o: Options) -> None:
    p = i.position
    assert p
    charge = fee(p.quantity, price, o)
    book.cash += worth(p, price) - charge
    gross = p.side * p.quantity * (price - p.price)
    book.trades.append(
        {
            "side": p.side, "quantity": p.quantity, "entry": p.bar, "entry_price": p.price, "exit": t,
            "exit_price": price, "pnl": gross - p.fees - charge - p.borrow, "reason": reason,
            "bars": i.seen - p.count, "commission": p.fees + charge, "borrow": p.borrow,
        }
    )  # fmt: skip
    i.position = None


def level(kind: tuple | None, own: dict[int, float], signal: int, price: float) -> float | None:
    """None: no such level. NaN: it cannot be told, and the entry is rejected."""
    if kind is None:
        return None
    distance = kind[1] * price if kind[0] == "fraction" else own[signal]
    return distance if distance > 0 else math.nan


def enter(i: Instrument, t: int, instruments: list[Instrument], book: Book, o: Options) -> None:
    side, signal = i.entry_due or (0, 0)
    price = i.bars[t][0] * (1 + side * o.slippage)
    stop, target, trail = (
        level(o.stop, i.stops, signal, price),
        level(o.target, i.targets, signal, price),
        level(o.trail, i.trails, signal, price),
    )
    if any(x is not None and math.isnan(x) for x in (stop, target, trail)):
        book.rejected.append("undefined_level")
        return
    equity = book.cash
    for other in instruments:
        if other.position:
            equity += worth(other.position, other.bars[t][0] if t in other.bars else other.last)
    quantity = size(o, equity, price, stop)
    if not quantity > 0:
        book.rejected.append("zero_quantity")
        return
    cost = quantity * price + fee(quantity, price, o)
    if cost > book.cash * (1 + 1e-9):
        book.rejected.append("insufficient_cash")
        return
    book.cash -= cost
    i.position = Position(
        side, quantity, price, t, i.seen, fee(quantity, price, o),
        None if stop is None else price - side * stop,
        None if target is None else price + side * target,
        None if trail is None else price - side * trail,
        trail,
    )  # fmt: skip


def size(o: Options, equity: float, price: float, stop: float | None) -> float:
    if o.sizing == "fixed_quantity":
        quantity = o.size
    elif o.sizing == "risk":
        quantity = o.size * equity / (stop or math.nan)
    else:
        budget = o.size if o.sizing == "fixed_cash" else o.size * equity
        quantity = (budget - o.per_order) / (price * (1 + o.commission) + o.per_share)
        if o.commission * quantity * price + o.per_share * quantity + o.per_order < o.minimum:
            quantity = (budget - o.minimum) / price
    if o.lot:
        quantity = math.floor(quantity / o.lot * (1 + 1e-9)) * o.lot
    return quantity


def unfold(i: Instrument, t: int, book: Book, o: Options) -> None:
    p = i.position
    assert p
    first, high, low, _ = i.bars[t]
    stop, reason = p.stop, "stop_loss"
    if p.trail is not None and (stop is None or p.side * p.trail > p.side * stop):
        stop, reason = p.trail, "trailing_stop"
    long = p.side > 0
    slipped = 1 - p.side * o.slippage
    if stop is not None and (first <= stop if long else first >= stop):
        leave(i, t, first * slipped, reason, book, o)
    elif p.target is not None and (first > p.target if long else first < p.target):
        leave(i, t, first, "take_profit", book, o)
    elif stop is not None and (low <= stop if long else high >= stop):
        leave(i, t, stop * slipped, reason, book, o)
    elif p.target is not None and (high > p.target if long else low < p.target):
        leave(i, t, p.target, "take_profit", book, o)
    elif p.trail is not None and o.trail is not None:
        best = high if long else low
        distance = o.trail[1] * best if o.trail[0] == "fraction" else p.trail_distance
        assert distance is not None
        raised = best - p.side * distance
        p.trail = max(p.trail, raised) if long else min(p.trail, raised)


def decide(i: Instrument, t: int, book: Book, o: Options) -> None:
    signal = i.signals.get(t, 0)
    long_entry, short_entry, long_exit, short_exit = (bool(signal & bit) for bit in (1, 2, 4, 8))
    if i.position:
        if long_exit if i.position.side > 0 else short_exit:
            i.exit_due = "signal"
        elif o.max_bars and i.seen - i.position.count + 1 >= o.max_bars:
            i.exit_due = "max_bars"
        if not i.exit_due:
            return
    if long_entry and short_entry:
        book.rejected.append("conflicting_signals")
    elif long_entry or short_entry:
        i.entry_due = (1 if long_entry else -1, t)
