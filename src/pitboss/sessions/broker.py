"""A paper broker behind a session's desk: orders go to it, and what it fills is what the ledger says.

Each order has an id that follows from its account and its key: sent again, because an answer was lost or a process
died, it is found instead of placed twice. Before each step what the broker holds is compared with the ledger; a
difference stops the session and says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

from pitboss.sessions.desk import StoredDesk
from pitboss.sessions.limits import Suspended
from pitboss.trading.book import Refused, settle
from pitboss.trading.model import ZERO, Action, Order, OrderAnswer
from pitboss.trading.ports import Quote


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of an order at a broker: how many shares it filled and at which price; none, and why."""

    quantity: Decimal
    price: Decimal | None
    refusal: str = ""


class Broker(Protocol):
    """A broker's account. Raises Suspended where it cannot be reached for too long, RunCancelled where the run is to
    end."""

    name: str

    def place(self, client_id: str, action: Action, symbol: str, quantity: Decimal) -> Placed:
        """Place a market order, or find the one of that id, and wait until it is filled, refused or given up."""

    def positions(self) -> Mapping[str, Decimal]:
        """Answer the shares of each symbol; fewer than none where they are sold short."""


def client_id_of(account_id: str, key: str) -> str:
    """Answer the id of an order at a broker, the same for the same order whenever it is asked for."""
    return "pb-" + hashlib.blake2b(f"{account_id} {key}".encode(), digest_size=16).hexdigest()


@dataclass(kw_only=True)
class BrokerDesk(StoredDesk):
    """A session's account whose orders a broker fills. `baseline` is what the broker held of other origin when the
    session began; `origin` is the account under which it began, and whose orders the broker knows."""

    broker: Broker
    baseline: dict[str, Decimal] = field(default_factory=dict)
    origin: str = ""

    def __post_init__(self) -> None:
        self.origin = self.origin or self.account_id
        self._known = {order.key: order for order in self.orders()}

    def begin(self, symbols: tuple[str, ...]) -> None:
        """Take note of what the broker holds besides."""
        held, account = self.broker.positions(), self.account()
        self.baseline = {symbol: held.get(symbol, ZERO) - account.held(symbol) for symbol in symbols}

    def execute(self, order: Order, quote: Quote) -> OrderAnswer:
        known = self._known.get(order.key)
        if known is None:
            known = self._known[order.key] = self._placed(order, quote)
        return known

    def _placed(self, order: Order, quote: Quote) -> OrderAnswer:
        if quote.refusal or quote.price is None or isinstance(settle(self.account(), order, quote.price), Refused):
            return super().execute(order, quote)
        placed = self.broker.place(client_id_of(self.origin, order.key), order.action, order.symbol, order.quantity)
        if placed.price is None:
            return super().execute(order, Quote(None, placed.refusal))
        filled = replace(order, quantity=placed.quantity, price=placed.price, is_forced=True)
        return super().execute(filled, Quote(placed.price))

    def reconcile(self) -> None:
        """Compare what the broker holds with the ledger. Raises Suspended where they differ."""
        held, account = self.broker.positions(), self.account()
        for symbol, before in self.baseline.items():
            have, booked = held.get(symbol, ZERO) - before, account.held(symbol)
            if have != booked:
                what = f"{self.broker.name} holds {have} {symbol} for this session, the ledger says {booked}"
                raise Suspended(f"trading has stopped: {what}", "see to the account at the broker, then resume the run")
