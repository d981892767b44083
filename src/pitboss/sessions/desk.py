"""Where a session trades: an account of its own, in the database or in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

from pitboss.trading.book import Refused, filled, outcome_of
from pitboss.trading.ledger import GENESIS
from pitboss.trading.model import (
    ZERO,
    Account,
    AccountState,
    Order,
    OrderAnswer,
    OrderStatus,
    Position,
    Terms,
    money,
)
from pitboss.trading.ports import AccountQuery, Holder, Quote, Step, TradingStore


class Desk(Protocol):
    """What a session needs of its account. What is written stands, or an exception is raised."""

    def account(self) -> Account:
        """Answer the account as it stands."""

    def execute(self, order: Order, quote: Quote) -> OrderAnswer:
        """Fill an order or refuse it; the same key again answers the same."""

    def commit(self, step: Step, marks: Mapping[str, Decimal], charges: Sequence[tuple[str, Decimal]]) -> None:
        """Keep a step, with what positions are worth now and what holding them has cost."""

    def steps(self) -> list[Step]:
        """Answer the steps that are kept, in order."""

    def orders(self) -> list[OrderAnswer]:
        """Answer all orders, in order."""


@dataclass
class StoredDesk:
    """The account of a session's run, for as long as `holder` holds the run."""

    store: TradingStore
    owner: str
    holder: Holder
    account_id: str

    def account(self) -> Account:
        return next(iter(self.store.accounts(AccountQuery(run=self.holder.run))))

    def execute(self, order: Order, quote: Quote) -> OrderAnswer:
        return self.store.execute(self.owner, self.account_id, order, quote, self.holder)

    def commit(self, step: Step, marks: Mapping[str, Decimal], charges: Sequence[tuple[str, Decimal]]) -> None:
        self.store.commit(self.account_id, step, marks, charges, self.holder)

    def steps(self) -> list[Step]:
        return self.store.steps(self.holder.run)

    def orders(self) -> list[OrderAnswer]:
        return self.store.orders([self.account_id])


@dataclass
class MemoryDesk:
    """An account that is nowhere kept: for notebooks, and for twins of a session."""

    terms: Terms
    cash: Decimal
    kept: list[Step] = field(default_factory=list)
    answers: list[OrderAnswer] = field(default_factory=list)

    def __post_init__(self) -> None:
        cash = money(self.cash)
        self._account = Account(
            id="memory", trader="", run=None, state=AccountState.OPEN, terms=self.terms, opening=cash, cash=cash,
            entries=0, head=GENESIS,
        )  # fmt: skip

    def account(self) -> Account:
        return self._account

    def execute(self, order: Order, quote: Quote) -> OrderAnswer:
        known = next((answer for answer in self.answers if answer.key == order.key), None)
        if known is not None:
            return known
        before = self._account
        outcome = outcome_of(before, order, quote)
        if isinstance(outcome, Refused):
            answer = self._answer(order, before, outcome.reason)
        else:
            self._account = filled(before, order.symbol, outcome)
            answer = replace(
                self._answer(order, self._account, order.reason), status=OrderStatus.FILLED, price=outcome.price,
                fee=outcome.fee, gain=outcome.gain,
            )  # fmt: skip
        self.answers.append(answer)
        return answer

    def _answer(self, order: Order, account: Account, reason: str) -> OrderAnswer:
        return OrderAnswer(
            order_id=order.key, account="memory", run=None, status=OrderStatus.REFUSED, reason=reason,
            symbol=order.symbol, action=order.action, quantity=order.quantity, price=None, fee=ZERO, gain=ZERO,
            cash=account.cash, position=account.held(order.symbol), at=order.at, source=order.source, signature="",
            key=order.key,
        )  # fmt: skip

    def commit(self, step: Step, marks: Mapping[str, Decimal], charges: Sequence[tuple[str, Decimal]]) -> None:
        held: dict[str, Position] = {
            symbol: replace(position, mark=marks.get(symbol, position.mark))
            for symbol, position in self._account.positions.items()
        }
        cost = sum((amount for _, amount in charges), ZERO)
        self._account = replace(self._account, cash=self._account.cash - cost, positions=held)
        self.kept.append(step)

    def steps(self) -> list[Step]:
        return self.kept

    def orders(self) -> list[OrderAnswer]:
        return self.answers
