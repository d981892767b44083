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
    whole: float
    price: float
    bar: int
    count: int
    fees: float
    stop: float | None
    targets: list[tuple[float, float]]  # prices and shares of those not reached yet
    trail: float | None
    trail_distance: float | None
    filled: str = "open"  # or "stop", "limit": within its bar
    borrow: float = 0.0


@dataclass
class Waiting:
    side: int
    signal: int
    since: int
    is_triggered: bool = False


@dataclass
class Instrument:
    bars: dict[int, tuple[float, float, float, float]]
    signals: dict[int, int]
    stops: dict[int, float]
    targets: list[dict[int, float]]
    trails: dict[int, float]
    triggers: tuple[dict[int, float], dict[int, float]]  # for long, for short
    limits: tuple[dict[int, float], dict[int, float]]
    position: Position | None = None
    entry_due: Waiting | None = None
    exit_due: str | None = None
    last: float = math.nan
    last_bar: int = -1
    seen: int = 0
    left_at: float = -math.inf

    @property
    def final(self) -> int:
        return max(self.bars, default=-1)


@dataclass
class Options:
    """`stop`, `trail` and each of `targets`: None, ("fraction", f) or ("distance",), distances given for each
    instrument; `shares` are what the targets close. `order` is market, limit, stop or stop_limit."""

    cash: float
    sizing: str
    size: float
    lot: float = 0.0
    leverage: float = 1.0
    maintenance: float = 0.0
    fills_short: bool = True
    commission: float = 0.0
    per_share: float = 0.0
    per_order: float = 0.0
    minimum: float = 0.0
    slippage: float = 0.0
    borrow: float = 0.0
    interest: float = 0.0
    max_bars: int = 0
    cooldown: int = 0
    max_positions: int = 0
    expiry: int = 1
    order: str = "market"
    stop: tuple | None = None
    targets: tuple[tuple, ...] = ()
    shares: tuple[float, ...] = ()
    trail: tuple | None = None


@dataclass
class Book:
    cash: float
    least: float
    trades: list[dict] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    interest: float = 0.0
    shortfall: float = 0.0
    ruined: int = -1


def simulate(ts: list[int], instruments: list[Instrument], options: Options) -> Book:
    book = Book(options.cash, options.cash * 1e-6)
    for t in range(len(ts)):
        if book.ruined >= 0:
            book.equity.append(0.0)
            continue
        one_bar(ts, t, instruments, book, options)
        if book.ruined < 0 and not any(i.position for i in instruments):
            settle(instruments, t, book)
        book.equity.append(book.cash + sum(worth(i.position, i.last) for i in instruments if i.position))
    for i in instruments:
        if i.position:
            price = i.last * (1 - i.position.side * options.slippage)
            leave(i, i.last_bar, price, "end_of_data", book, options)
    if book.equity:
        if book.ruined < 0:
            settle(instruments, len(ts) - 1, book)
        book.equity[-1] = book.cash
    return book


def one_bar(ts: list[int], t: int, instruments: list[Instrument], book: Book, options: Options) -> None:
    here = [i for i in instruments if t in i.bars]
    pay_interest(ts, t, instruments, book, options)
    for i in here:
        i.seen += 1
        accrue(i, ts, t, book, options)
        if i.position and not i.exit_due and i.signals.get(t, 0) & 32:
            i.exit_due = "time"
        if i.exit_due and i.position:
            raw = i.bars[t][0]
            leave(i, t, raw * (1 - i.position.side * options.slippage), i.exit_due, book, options)
        i.exit_due = None
    opens = {id(i): i.bars[t][0] if t in i.bars else i.last for i in instruments}
    call_margin(instruments, opens, t, book, options)
    for i in here:
        if i.entry_due:
            enter(i, t, instruments, book, options)
    for i in here:
        if i.position:
            unfold(i, t, instruments, book, options)
        i.last, i.last_bar = i.bars[t][3], t
        if t == i.final and t < len(ts) - 1:
            i.entry_due = None
            if i.position:
                leave(i, t, i.last * (1 - i.position.side * options.slippage), "delisted", book, options)
        else:
            decide(i, t, book, options)
    call_margin(instruments, {id(i): i.last for i in instruments}, t, book, options)


def pay_interest(ts: list[int], t: int, instruments: list[Instrument], book: Book, o: Options) -> None:
    """On cash that is owed; a short's price was received, and its collateral was never spent."""
    if not o.interest or o.leverage <= 1 or t == 0:
        return
    sold = sum(2 * i.position.quantity * i.position.price for i in instruments if i.position and i.position.side < 0)
    owed = -(book.cash + sold)
    if owed > 0:
        charge = owed * o.interest * (ts[t] - ts[t - 1]) / YEAR
        book.cash -= charge
        book.interest += charge


def accrue(i: Instrument, ts: list[int], t: int, book: Book, options: Options) -> None:
    if i.position and i.position.side < 0 and options.borrow:
        charge = i.position.quantity * i.last * options.borrow * (ts[t] - ts[i.last_bar]) / YEAR
        i.position.borrow += charge
        book.cash -= charge


def can_be_called(instruments: list[Instrument], book: Book, o: Options) -> bool:
    """A cash account that is long and owes nothing cannot lose more than it has."""
    has_short = any(i.position and i.position.side < 0 for i in instruments)
    return o.leverage > 1 or has_short or book.cash < -book.least


def call_margin(instruments: list[Instrument], prices: dict[int, float], t: int, book: Book, o: Options) -> None:
    """Liquidate everything at `prices` when equity there is no more than the maintenance margin, or nothing."""
    held = [i for i in instruments if i.position]
    if book.ruined >= 0 or not can_be_called(instruments, book, o):
        return
    equity = book.cash + sum(worth(i.position, prices[id(i)]) for i in held)
    notional = sum(i.position.quantity * prices[id(i)] for i in held)
    if equity > max(o.maintenance * notional, book.least):
        return
    reason = "ruin" if equity <= book.least else "liquidation"
    for i in held:
        leave(i, t, prices[id(i)] * (1 - i.position.side * o.slippage), reason, book, o)
    settle(instruments, t, book)


def settle(instruments: list[Instrument], t: int, book: Book) -> None:
    """Without positions and without money an account is ruined; what it owes is written off."""
    if book.cash > book.least:
        return
    book.shortfall = max(0.0, -book.cash)
    book.cash, book.ruined = 0.0, t
    for i in instruments:
        i.entry_due = None


def worth(position: Position, price: float) -> float:
    if position.side > 0:
        return position.quantity * price
    return position.quantity * position.price + position.quantity * (position.price - price)


def fee(quantity: float, price: float, o: Options) -> float:
    return max(o.commission * quantity * price + o.per_share * quantity + o.per_order, o.minimum)


def leave(i: Instrument, t: int, price: float, reason: str, book: Book, o: Options, quantity: float = math.inf) -> None:
    p = i.position
    assert p
    quantity = min(quantity, p.quantity)
    part = quantity / p.quantity
    charge = fee(quantity, price, o)
    fees, borrow = p.fees * part, p.borrow * part
    book.cash += worth(p, price) * part - charge
    gross = p.side * quantity * (price - p.price)
    book.trades.append(
        {
            "side": p.side, "quantity": quantity, "entry": p.bar, "entry_price": p.price, "exit": t,
            "exit_price": price, "pnl": gross - fees - charge - borrow, "reason": reason,
            "bars": i.seen - p.count, "commission": fees + charge, "borrow": borrow,
        }
    )  # fmt: skip
    if quantity == p.quantity:
        i.position, i.left_at = None, i.seen
    else:
        p.quantity, p.fees, p.borrow = p.quantity - quantity, p.fees - fees, p.borrow - borrow


def level(kind: tuple | None, own: dict[int, float], signal: int, price: float) -> float | None:
    """None: no such level. NaN: it cannot be told, and the entry is rejected."""
    if kind is None:
        return None
    distance = kind[1] * price if kind[0] == "fraction" else own[signal]
    return distance if distance > 0 else math.nan


def enter(i: Instrument, t: int, instruments: list[Instrument], book: Book, o: Options) -> None:
    """Fill what waits, at the open or where it rests, or let it wait on."""
    due = i.entry_due
    assert due
    is_allowed = not i.signals.get(t, 0) & 16 and i.seen - i.left_at >= o.cooldown
    if o.order == "market":
        i.entry_due = None
        if is_allowed:
            fill(i, t, i.bars[t][0] * (1 + due.side * o.slippage), "open", due, instruments, book, o)
        return
    found = rest(i, t, due, o) if is_allowed else None
    if found:
        i.entry_due = None
        fill(i, t, found[0], found[1], due, instruments, book, o)
    elif i.seen - due.since >= o.expiry:
        i.entry_due = None
        book.incidents.append("expired")


def rest(i: Instrument, t: int, due: Waiting, o: Options) -> tuple[float, str] | None:
    """Answer at which price and how an order that rests in the book fills in bar `t`, None for not at all."""
    first, high, low, close = i.bars[t]
    which, is_buy = (0, True) if due.side > 0 else (1, False)
    trigger, limit = i.triggers[which].get(due.signal), i.limits[which].get(due.signal)

    def at_market(price: float) -> float:
        slipped = price * (1 + due.side * o.slippage)
        if limit is None or o.order == "stop":
            return slipped
        return min(slipped, limit) if is_buy else max(slipped, limit)

    def is_better(price: float) -> bool:
        return price < limit if is_buy else price > limit

    was_resting = True
    if o.order in ("stop", "stop_limit") and not due.is_triggered:
        gaps = first >= trigger if is_buy else first <= trigger
        touches = high >= trigger if is_buy else low <= trigger
        if not gaps and not touches:
            return None
        if o.order == "stop":
            return (at_market(first), "open") if gaps else (at_market(trigger), "stop")
        due.is_triggered, was_resting = True, False
        if not gaps:
            if is_better(trigger):
                return at_market(trigger), "stop"
            return (limit, "limit") if is_better(close) else None
    if is_better(first):
        return (first if was_resting else at_market(first)), "open"
    return (limit, "limit") if is_better(low if is_buy else high) else None


def fill(
    i: Instrument,
    t: int,
    price: float,
    filled: str,
    due: Waiting,
    instruments: list[Instrument],
    book: Book,
    o: Options,
) -> None:
    side, signal = due.side, due.signal
    if o.max_positions and sum(other.position is not None for other in instruments) >= o.max_positions:
        book.incidents.append("max_positions")
        return
    stop, trail = level(o.stop, i.stops, signal, price), level(o.trail, i.trails, signal, price)
    targets = [level(kind, own, signal, price) for kind, own in zip(o.targets, i.targets, strict=True)]
    if any(x is not None and math.isnan(x) for x in (stop, trail, *targets)):
        book.incidents.append("undefined_level")
        return
    equity, notional = book.cash, 0.0
    for other in instruments:
        if p := other.position:
            now = other.bars[t][0] if t in other.bars else other.last
            if p.bar == t and p.filled != "open":
                now = p.price
            equity += worth(p, now)
            notional += p.quantity * now
    free = o.leverage * equity - notional
    quantity = lots(size(o, equity, price, stop), o)
    if not quantity > 0:
        book.incidents.append("zero_quantity")
        return
    if quantity * price + o.leverage * fee(quantity, price, o) > free * (1 + 1e-9):
        wanted = quantity
        quantity = lots(payable(free, price, o, o.leverage), o)
        if not o.fills_short or not quantity > wanted / 1000:
            book.incidents.append("insufficient_cash")
            return
        book.incidents.append("reduced")
    paid = fee(quantity, price, o)
    book.cash -= quantity * price + paid
    i.position = Position(
        side, quantity, quantity, price, t, i.seen, paid,
        None if stop is None else price - side * stop,
        [(price + side * distance, share) for distance, share in zip(targets, o.shares, strict=True)],
        None if trail is None else price - side * trail,
        trail, filled,
    )  # fmt: skip


def payable(budget: float, price: float, o: Options, weight: float) -> float:
    """What `budget` buys when costs count `weight` times."""
    quantity = (budget - weight * o.per_order) / (price * (1 + weight * o.commission) + weight * o.per_share)
    if o.commission * quantity * price + o.per_share * quantity + o.per_order < o.minimum:
        quantity = (budget - weight * o.minimum) / price
    return quantity


def size(o: Options, equity: float, price: float, stop: float | None) -> float:
    if o.sizing == "fixed_quantity":
        return o.size
    if o.sizing == "risk":
        return o.size * equity / (stop or math.nan)
    return payable(o.size if o.sizing == "fixed_cash" else o.size * equity, price, o, 1)


def lots(quantity: float, o: Options) -> float:
    return math.floor(quantity / o.lot * (1 + 1e-9)) * o.lot if o.lot else quantity


def called_at(i: Instrument, instruments: list[Instrument], book: Book, o: Options) -> float | None:
    """The price at which the only position of an account eats up its margin."""
    p = i.position
    if sum(other.position is not None for other in instruments) > 1 or not can_be_called(instruments, book, o):
        return None
    if p.side < 0:
        return (book.cash + 2 * p.quantity * p.price) / (p.quantity * (1 + o.maintenance))
    return -book.cash / (p.quantity * (1 - o.maintenance)) if book.cash < 0 else None


def unfold(i: Instrument, t: int, instruments: list[Instrument], book: Book, o: Options) -> None:
    p = i.position
    assert p
    first, high, low, close = i.bars[t]
    is_long = p.side > 0
    best, worst = (high, low) if is_long else (low, high)
    if p.bar == t and p.filled != "open":
        first = p.price
        if p.filled == "limit":
            best = close  # a better price may have come before the fill
    stop, reason = p.stop, "stop_loss"
    if p.trail is not None and (stop is None or p.side * p.trail > p.side * stop):
        stop, reason = p.trail, "trailing_stop"
    call = called_at(i, instruments, book, o)
    if call is not None and (stop is None or p.side * stop < p.side * call):
        stop, reason = call, "ruin" if o.maintenance == 0 else "liquidation"
    slipped = 1 - p.side * o.slippage
    if stop is not None and (first <= stop if is_long else first >= stop):
        leave(i, t, first * slipped, reason, book, o)
        return
    reach_targets(i, t, first, True, book, o)
    if i.position and stop is not None and (worst <= stop if is_long else worst >= stop):
        leave(i, t, stop * slipped, reason, book, o)
    reach_targets(i, t, best, False, book, o)
    if i.position and p.trail is not None and o.trail is not None:
        distance = o.trail[1] * best if o.trail[0] == "fraction" else p.trail_distance
        assert distance is not None
        raised = best - p.side * distance
        p.trail = max(p.trail, raised) if is_long else min(p.trail, raised)


def reach_targets(i: Instrument, t: int, price: float, is_open: bool, book: Book, o: Options) -> None:
    while (p := i.position) and p.targets and p.side * price > p.side * p.targets[0][0]:
        at, share = p.targets.pop(0)
        is_rest = sum(o.shares[: len(o.shares) - len(p.targets)]) >= 1 - 1e-9
        quantity = p.quantity if is_rest else lots(share * p.whole, o)
        if quantity > 0:
            leave(i, t, price if is_open else at, "take_profit", book, o, quantity)


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
    elif i.entry_due and (long_exit if i.entry_due.side > 0 else short_exit):
        i.entry_due = None
    if long_entry and short_entry:
        i.entry_due = None
        book.incidents.append("conflicting_signals")
    elif long_entry or short_entry:
        side = 1 if long_entry else -1
        i.entry_due = Waiting(side, t, i.seen)
        which = 0 if side > 0 else 1
        asked = {"stop": [i.triggers], "limit": [i.limits], "stop_limit": [i.triggers, i.limits]}.get(o.order, [])
        if not all(prices[which][t] > 0 for prices in asked):
            i.entry_due = None
            book.incidents.append("undefined_level")
