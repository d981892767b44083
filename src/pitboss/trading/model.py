"""Traders, their accounts, and what is ordered in them. Money and quantities are decimals: what is counted adds up.

Money has `PLACES` digits after the point; moments are microseconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from pitboss.core.clock import micros_to_iso, to_iso
from pitboss.strategy.document import Costs

PLACES = Decimal("1e-8")
ZERO = Decimal(0)
DEFAULT_COSTS = Costs(commission=0.0002, slippage=0.0001)


def money(amount: Decimal) -> Decimal:
    """Answer an amount of money with the digits that are kept."""
    return amount.quantize(PLACES, ROUND_HALF_EVEN)


def exact(number: float | Decimal) -> Decimal:
    """Answer a number as it is written, which is what a float means to people."""
    return number if isinstance(number, Decimal) else Decimal(repr(number))


def quantity_of(given: Any) -> Decimal | None:
    """Answer a quantity as it is given, None for what is no number that can be kept."""
    if isinstance(given, bool) or not isinstance(given, int | float | str | Decimal):
        return None
    try:
        number = Decimal(given) if isinstance(given, str) else exact(given)
    except InvalidOperation:
        return None
    can_be_kept = number.is_finite() and len(number.as_tuple().digits) <= 30 and abs(number.adjusted()) <= 20
    return number if can_be_kept else None


class Action(StrEnum):
    """What an order does to a position: open or enlarge it long or short, reduce or close it."""

    BUY = "buy"
    SELL = "sell"
    SHORT = "short"
    COVER = "cover"

    @property
    def side(self) -> int:
        """1 where shares come in, -1 where they go out."""
        return 1 if self in (Action.BUY, Action.COVER) else -1

    @property
    def is_opening(self) -> bool:
        return self in (Action.BUY, Action.SHORT)


class Source(StrEnum):
    """Who decided on an order."""

    AI = "ai"
    MANUAL = "manual"
    STRATEGY = "strategy"


class OrderStatus(StrEnum):
    """What became of an order: it is filled whole, or refused."""

    FILLED = "filled"
    REFUSED = "refused"


class AccountState(StrEnum):
    """What became of the account of a session; a trader's own is always open.

    One that is completed was booked to its trader's; nothing of the others counts. What is discarded was reversed.
    """

    OPEN = "open"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a trader may do: order parts of a share, sell what he has not, and owe money.

    Positions may be worth `leverage` times the equity; those of an account whose equity falls to `maintenance` times
    what it holds are closed.
    """

    fractional: bool = True
    short: bool = True
    leverage: float = 1.0
    maintenance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds in an account."""

    rules: Rules = field(default_factory=Rules)
    costs: Costs = field(default_factory=Costs)

    def as_dict(self) -> dict[str, Any]:
        return {"rules": asdict(self.rules), "costs": asdict(self.costs)}


def terms_of(described: Mapping[str, Any]) -> Terms:
    """Answer the terms that `Terms.as_dict` described."""
    return Terms(rules=Rules(**described["rules"]), costs=Costs(**described["costs"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trader:
    """Somebody's trader. `signature` is what it signs its orders with; `agent` says how it decides, `account` is where
    its manual orders and the results of its completed sessions are booked."""

    id: str
    owner: str
    name: str
    signature: str
    cash: Decimal
    agent: dict[str, Any]
    terms: Terms
    account: str
    created_at: float
    has_own_costs: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id, "name": self.name, "signature": self.signature, "owner": self.owner,
            "starting_cash": float(self.cash), "agent": self.agent, **self.terms.as_dict(),
            "created_at": to_iso(self.created_at),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Position:
    """Shares of a symbol: fewer than none where they were sold short. `cost` is what they were bought or sold for,
    without fees; `mark` is what one was last worth."""

    symbol: str
    quantity: Decimal
    cost: Decimal
    mark: Decimal

    @property
    def side(self) -> int:
        return 1 if self.quantity > 0 else -1

    @property
    def notional(self) -> Decimal:
        return money(abs(self.quantity) * self.mark)

    @property
    def value(self) -> Decimal:
        """What it adds to the equity: a short has set what it was sold for aside, and owes the price."""
        return self.notional if self.quantity > 0 else 2 * self.cost - self.notional

    @property
    def gain(self) -> Decimal:
        return self.value - self.cost

    def as_dict(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol, "quantity": float(self.quantity), "cost": float(self.cost),
            "average_price": float(self.cost / abs(self.quantity)), "price": float(self.mark),
            "value": float(self.value), "unrealized": float(self.gain),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as it stands: that of a trader, or of one of its sessions, which has a run. `entries` and `head` are
    the number and the hash of its ledger's last entry, `orders` the number of its last order."""

    id: str
    trader: str
    run: str | None
    state: AccountState
    terms: Terms
    opening: Decimal
    cash: Decimal
    entries: int
    head: str
    orders: int = 0
    positions: Mapping[str, Position] = field(default_factory=dict)

    @property
    def equity(self) -> Decimal:
        return self.cash + sum((position.value for position in self.positions.values()), ZERO)

    @property
    def free(self) -> Decimal:
        """What new positions may cost: equity times leverage, less what is held."""
        leverage = exact(self.terms.rules.leverage)
        held = (leverage * each.value - each.notional for each in self.positions.values())
        return money(leverage * self.cash + sum(held, ZERO))

    def held(self, symbol: str) -> Decimal:
        found = self.positions.get(symbol)
        return found.quantity if found is not None else ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it is given. `key` names it within its account: the same one again is answered the same.

    `price` is that of the fill where whoever orders has found it by the rules of backtests, slippage included.
    `is_forced` is for what those rules have sized, and for what must be closed: it is not asked whether it can be paid.
    `is_at_once` is for an order of no minute in particular: sent again a moment later it is the same. `reason` is why,
    in words.
    """

    key: str
    action: Action
    symbol: str
    quantity: Decimal
    at: int
    source: Source
    price: Decimal | None = None
    is_forced: bool = False
    is_at_once: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswer:
    """What became of an order. `cash` and `position` are those after it; a refused one has no price, and its `reason`
    says with figures why."""

    order_id: str
    account: str
    run: str | None
    status: OrderStatus
    reason: str
    symbol: str
    action: Action
    quantity: Decimal
    price: Decimal | None
    fee: Decimal
    gain: Decimal
    cash: Decimal
    position: Decimal
    at: int
    source: Source
    signature: str
    key: str

    @property
    def is_filled(self) -> bool:
        return self.status is OrderStatus.FILLED

    def as_dict(self) -> dict[str, Any]:
        return {
            "order_id": self.order_id, "status": self.status.value, "reason": self.reason, "symbol": self.symbol,
            "side": self.action.value, "quantity": float(self.quantity),
            "price": None if self.price is None else float(self.price), "fee": float(self.fee),
            "gain": float(self.gain), "cash": float(self.cash), "position": float(self.position),
            "at": micros_to_iso(self.at), "source": self.source.value, "signature": self.signature, "run_id": self.run,
        }  # fmt: skip
