"""What trading needs of storage and of a market."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from pitboss.trading.ledger import Entry
from pitboss.trading.model import Account, Order, OrderAnswer, OrderStatus, Terms, Trader


@dataclass(frozen=True, slots=True)
class Quote:
    """What a symbol costs at a moment, before slippage; or, with figures, why it cannot be traded then."""

    price: Decimal | None
    refusal: str = ""


class Quotes(Protocol):
    """A market. Raises what keeps it from looking: a price that cannot be looked up is no price of zero."""

    def quote(self, symbol: str, at: int) -> Quote:
        """Answer the price at which an order of that moment fills."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who writes on behalf of a run: the token of its lease is checked in the transaction that writes."""

    run: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a session as it is kept: its number from 1, the market's time, and what was decided, as JSON."""

    number: int
    at: int
    decision: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A step that a session asks about, and the answer to it, as JSON; None while there is none."""

    number: int
    asked: Mapping[str, Any]
    answer: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountQuery:
    """Which accounts: of a trader, of a run, or all of an owner's."""

    owner: str | None = None
    trader: str | None = None
    run: str | None = None


class TradingStore(Protocol):
    """Keeps traders, accounts and ledgers. Every method that writes is one transaction: all of it stands, or nothing.

    Where a `holder` is given and no longer holds its run, Conflict is raised and nothing written. Two orders of one
    account take turns; those of different accounts need not.
    """

    def add(self, trader: Trader) -> Trader:
        """Add a trader with its account. Raises Conflict where its owner has one of that name."""

    def trader(self, trader_id: str) -> Trader | None:
        """Answer a trader, None when there is none."""

    def traders(self, owner: str) -> list[Trader]:
        """Answer somebody's traders, by name."""

    def open(self, trader_id: str, terms: Terms, cash: Decimal, at: int, holder: Holder) -> Account:
        """Open the account of a session, or answer the one that an earlier attempt of it has opened."""

    def accounts(self, query: AccountQuery) -> list[Account]:
        """Answer accounts with their positions, oldest first."""

    def execute(
        self, owner: str, account_id: str, order: Order, quote: Quote, holder: Holder | None = None
    ) -> OrderAnswer:
        """Fill an order or refuse it, and keep what came of it. The same key again answers the same.

        Raises NotFound for an account that is not the owner's, Conflict for one that has ended, and for a key that was
        used for another order.
        """

    def commit(
        self, account_id: str, step: Step, marks: Mapping[str, Decimal], charges: Sequence[tuple[str, Decimal]],
        holder: Holder,
    ) -> None:  # fmt: skip
        """Keep a step of a session with what its positions are worth now and what holding them has cost. A step that
        is there already is left as it is."""

    def steps(
        self, run_id: str, after: int = 0, until: int | None = None, limit: int | None = None
    ) -> list[Step]:  # fmt: skip
        """Answer the steps of a session, in order; the first `limit` of them, or all."""

    def reached(self, run_id: str) -> int:
        """Answer the number of the last step of a session that is kept, 0 before the first."""

    def ask(self, holder: Holder, number: int, asked: Mapping[str, Any]) -> None:
        """Put a step before whoever decides for a session over HTTP; the same step again changes nothing."""

    def turn(self, run_id: str) -> Turn | None:
        """Answer the newest step that a session asks about, None while there is none."""

    def take(self, holder: Holder, number: int) -> Mapping[str, Any] | None:
        """Ask about a step no longer, and answer what was answered to it until now; None where nothing was."""

    def answer(self, run_id: str, number: int, answer: Mapping[str, Any]) -> bool:
        """Take an answer to a step; False where that is not the one that is asked about, or is answered already."""

    def orders(
        self, account_ids: Collection[str], limit: int | None = None, status: OrderStatus | None = None
    ) -> list[OrderAnswer]:  # fmt: skip
        """Answer orders, of one status or of any, in the order in which they were given; the last `limit` of them, or
        all."""

    def entries(self, account_id: str) -> list[Entry]:
        """Answer the ledger of an account, oldest entry first."""
