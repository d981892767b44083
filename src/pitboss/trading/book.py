"""What an order does to an account: a fill, or a refusal with its figures. The rules are those of backtests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from pitboss.strategy.document import Costs
from pitboss.trading.ledger import shares_of
from pitboss.trading.model import ZERO, Account, Action, Order, Position, Rules, exact, money
from pitboss.trading.ports import Quote

AFFORD = Decimal("1e-9")  # of what is needed: the rounding of a size that takes all the cash, as in `kernel.account`
MICROS_PER_YEAR = Decimal(365 * 86_400 * 1_000_000)
MOST_QUANTITY = Decimal(10) ** 15
MOST_MONEY = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an order is not filled, with figures."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What a fill does: `price` includes slippage, `position` is None where nothing is left, `gain` is before fees.

    `postings` are what the ledger says of it: names with what they are debited, or credited where it is negative.
    """

    price: Decimal
    fee: Decimal
    gain: Decimal
    cash: Decimal
    position: Position | None
    quantity: Decimal  # by which the shares change
    postings: tuple[tuple[str, Decimal], ...]


def slipped(price: Decimal, action: Action, costs: Costs) -> Decimal:
    """Answer the price of a fill at `price`: worse by the slippage, as `kernel.fills` has it."""
    return exact(float(price) * (1.0 + action.side * costs.slippage))


def commission_of(quantity: Decimal, price: Decimal, costs: Costs) -> Decimal:
    """Answer the commission of a fill, as `kernel.fills.commission_of` does."""
    shares, each = float(quantity), float(price)
    charge = costs.commission * shares * each + costs.per_share * shares + costs.per_order
    return money(exact(max(charge, costs.minimum)))


def outcome_of(account: Account, order: Order, quote: Quote) -> Fill | Refused:
    """Answer what becomes of an order at a quote, slippage added where the order has not found its price itself."""
    if quote.refusal:
        return Refused(quote.refusal)
    assert quote.price is not None
    price = order.price if order.price is not None else slipped(quote.price, order.action, account.terms.costs)
    return settle(account, order, price)


def settle(account: Account, order: Order, price: Decimal) -> Fill | Refused:
    """Fill an order whole at `price`, slippage included, or say why it is refused."""
    reason = _obstacle(account, order)
    if reason:
        return Refused(reason)
    worth = order.quantity * price
    notional = money(worth) if worth <= MOST_MONEY else worth  # more has no room for its digits
    if not ZERO < notional <= MOST_MONEY:
        return Refused(f"{order.quantity} at {price} is worth {notional}: no amount to trade")
    fee = commission_of(order.quantity, price, account.terms.costs)
    if order.action.is_opening:
        return _opened(account, order, price, notional, fee)
    return _closed(account, order, price, notional, fee)


def filled(account: Account, symbol: str, fill: Fill) -> Account:
    """Answer an account after a fill in a symbol."""
    held = {name: position for name, position in account.positions.items() if name != symbol}
    if fill.position is not None:
        held[symbol] = fill.position
    return replace(account, cash=fill.cash, positions=held)


def _obstacle(account: Account, order: Order) -> str:
    quantity, held = order.quantity, account.held(order.symbol)
    rules: Rules = account.terms.rules
    if not quantity.is_finite() or not ZERO < quantity <= MOST_QUANTITY:
        return f"quantity {quantity}: write a number greater than 0"
    if not rules.fractional and quantity != quantity.to_integral_value():
        return f"quantity {quantity}: this trader orders whole shares"
    match order.action:
        case Action.SHORT if not rules.short:
            return "this trader may not sell short"
        case Action.BUY if held < 0:
            return f"{-held} {order.symbol} are sold short: cover them first"
        case Action.SHORT if held > 0:
            return f"{held} {order.symbol} are held: sell them first"
        case Action.SELL if quantity > max(held, ZERO):
            return f"shares {max(held, ZERO)}, needed {quantity}"
        case Action.COVER if quantity > max(-held, ZERO):
            return f"shares sold short {max(-held, ZERO)}, needed {quantity}"
    return ""


def _opened(account: Account, order: Order, price: Decimal, notional: Decimal, fee: Decimal) -> Fill | Refused:
    reason = "" if order.is_forced else _short_of(account, notional, fee)
    if reason:
        return Refused(reason)
    before = account.positions.get(order.symbol)
    signed = order.action.side * order.quantity
    position = Position(
        order.symbol,
        (before.quantity if before else ZERO) + signed,
        (before.cost if before else ZERO) + notional,
        price,
    )
    cash, rounding = account.cash - notional - fee, ZERO
    if account.terms.rules.leverage == 1 and -AFFORD * (notional + fee) <= cash < 0:
        cash, rounding = ZERO, -cash
    postings = _posted((shares_of(order.symbol), notional), ("fees", fee), ("rounding", -rounding))
    return Fill(
        price=price, fee=fee, gain=ZERO, cash=cash, position=position, quantity=signed, postings=postings
    )  # fmt: skip


def _short_of(account: Account, notional: Decimal, fee: Decimal) -> str:
    """Answer what there is too little of for a new position, nothing where it can be paid."""
    leverage = exact(account.terms.rules.leverage)
    if leverage == 1 and notional + fee > account.cash + AFFORD * notional:
        return f"cash {account.cash:,.2f}, needed {notional + fee:,.2f}"
    needed = notional + leverage * fee
    if needed > account.free + AFFORD * needed:
        return f"buying power {account.free:,.2f}, needed {needed:,.2f}"
    return ""


def _closed(account: Account, order: Order, price: Decimal, notional: Decimal, fee: Decimal) -> Fill | Refused:
    before = account.positions[order.symbol]
    is_all = order.quantity == abs(before.quantity)
    cost = before.cost if is_all else money(before.cost * order.quantity / abs(before.quantity))
    gain = before.side * (notional - cost)
    cash, written_off = account.cash + cost + gain - fee, ZERO
    if cash < 0 and account.terms.rules.leverage == 1:
        if not order.is_forced:
            return Refused(f"cash {account.cash:,.2f}, needed {fee - cost - gain:,.2f}")
        cash, written_off = ZERO, -cash
    signed = order.action.side * order.quantity
    position = None if is_all else Position(order.symbol, before.quantity + signed, before.cost - cost, price)
    postings = _posted((shares_of(order.symbol), -cost), ("gains", -gain), ("fees", fee), ("shortfall", -written_off))
    return Fill(price=price, fee=fee, gain=gain, cash=cash, position=position, quantity=signed, postings=postings)


def _posted(*amounts: tuple[str, Decimal]) -> tuple[tuple[str, Decimal], ...]:
    """Answer postings that balance: what `amounts` do not, the cash does."""
    others = [(name, amount) for name, amount in amounts if amount]
    return (("cash", -sum((amount for _, amount in others), ZERO)), *others)


def financing_of(account: Account, micros: int) -> tuple[tuple[str, Decimal], ...]:
    """Answer what an account owes for holding its positions for so long: for what is borrowed to sell short, and for
    cash that it has not; see `kernel.simulate.charge_borrow` and `charge_interest`."""
    costs, years = account.terms.costs, Decimal(micros) / MICROS_PER_YEAR
    short = [position for position in account.positions.values() if position.quantity < 0]
    borrow = money(sum((each.notional for each in short), ZERO) * exact(costs.borrow) * years)
    owed = -account.cash - 2 * sum((each.cost for each in short), ZERO)
    interest = money(max(owed, ZERO) * exact(costs.margin_interest) * years)
    return tuple((name, amount) for name, amount in (("borrow", borrow), ("interest", interest)) if amount)


def is_called(account: Account) -> bool:
    """Answer whether the positions of an account must be closed: its equity is no more than its margin, or nothing."""
    held = sum((position.notional for position in account.positions.values()), ZERO)
    return bool(account.positions) and account.equity <= exact(account.terms.rules.maintenance) * held
