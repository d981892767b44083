"""What everybody asks of trading: traders, their orders, and what came of them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from pitboss.core.errors import Conflict, InvalidInput, NotFound, Problem, suggest
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal
from pitboss.strategy.document import Costs
from pitboss.strategy.overrides import override
from pitboss.trading.ledger import Entry, Standing, faults, replay
from pitboss.trading.model import (
    DEFAULT_COSTS,
    Account,
    AccountState,
    Action,
    Order,
    OrderAnswer,
    OrderStatus,
    Rules,
    Source,
    Terms,
    Trader,
    exact,
    money,
    quantity_of,
)
from pitboss.trading.ports import AccountQuery, Quotes, Step, TradingStore, Turn

_NAME = re.compile(r"[\w][\w .,()+-]{0,63}")
_SYMBOL = re.compile(r"[^\s\x00]{1,64}")
_KEYS = UUID("4b2a9a3e-6f43-4b5e-9c55-0d7f2f6a1c11")  # names what ids are made of where a key is given
_MADE_OF = ("owner", "name", "signature", "cash", "agent", "terms", "has_own_costs")
MOST_CASH = Decimal(10) ** 12
MOST_LEVERAGE = 1000.0


class TradingService:
    """Makes traders and executes their orders. Safe to use from any thread.

    Whoever asks comes first: the traders of others are not found. `check_agent` answers how a trader decides as it is
    kept, and raises InvalidInput for what is no agent.
    """

    def __init__(self, store: TradingStore, check_agent: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self._store = store
        self._check_agent = check_agent
        self._known: dict[str, Trader] = {}  # by their ids: nothing of a trader changes

    def create(
        self, who: Principal, name: str, cash: float, agent: Mapping[str, Any],
        rules: Mapping[str, Any] | None = None, costs: Mapping[str, Any] | None = None, signature: str = "",
        idempotency_key: str | None = None,
    ) -> Trader:  # fmt: skip
        """Make a trader with an account of its own; the same key again answers the same trader. Raises InvalidInput
        with every mistake, Conflict."""
        problems: list[Problem] = []
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.append(
                Problem(f"{name!r:.80} is no name", "write 1 to 64 letters, digits and .,()+-", where="name")
            )
        amount = _amount(cash, problems)
        checked = read_rules(rules or {}, problems)
        kept, charged = dict(agent), DEFAULT_COSTS
        try:
            charged = DEFAULT_COSTS if costs is None else override(Costs(), costs, "costs")
        except InvalidInput as error:
            problems += error.problems
        try:
            kept = self._check_agent(agent)
        except InvalidInput as error:
            problems += error.problems
        if problems:
            raise InvalidInput(problems)
        trader_id = new_id() if idempotency_key is None else str(uuid5(_KEYS, f"{who.name} {idempotency_key}"))
        trader = Trader(
            id=trader_id, owner=who.name, name=name, signature=(signature or name)[:64], cash=amount, agent=kept,
            terms=Terms(rules=checked, costs=charged), account=new_id(), created_at=0.0,
            has_own_costs=costs is not None,
        )  # fmt: skip
        known = self._store.trader(trader.id) if idempotency_key is not None else None
        if known is None:
            return self._store.add(trader)
        if any(getattr(known, name) != getattr(trader, name) for name in _MADE_OF):
            raise Conflict("that Idempotency-Key was used for another trader", "send a new key")
        return known

    def get(self, who: Principal, reference: str) -> Trader:
        """Answer the trader of an id, or of a name. Raises NotFound."""
        found = self._known.get(reference) or self._store.trader(reference)
        if found is not None:
            self._known[found.id] = found
        if found is None or not who.owns(found.owner):
            found = next((trader for trader in self._store.traders(who.name) if trader.name == reference), None)
        if found is None:
            raise NotFound(f"there is no trader '{reference[:64]}'", "see 'pitboss traders'")
        return found

    def all(self, who: Principal) -> list[Trader]:
        """Answer one's own traders, by name."""
        return self._store.traders(who.name)

    def execute_trade(
        self, who: Principal, quotes: Quotes, trader_id: str, action: str, symbol: str, quantity: float | str | Decimal,
        at: int | None, source: str = Source.MANUAL, idempotency_key: str | None = None, reason: str = "",
    ) -> OrderAnswer:  # fmt: skip
        """Execute an order in a trader's own account, whole or not at all, at the price of that moment; of now, where
        none is given.

        A refusal is an answer, with figures, and is kept; the same key again answers the same. Raises InvalidInput for
        what is no order, NotFound for a trader that is not one's own, Conflict, and what `quotes` raise: where a price
        cannot be looked up nothing is ordered.
        """
        trader = self.get(who, trader_id)
        moment = int(time.time()) * 1_000_000 if at is None else at
        order = read_order(action, symbol, quantity, moment, source, idempotency_key or new_id(), reason)
        order = replace(order, is_at_once=at is None)
        return self._store.execute(who.name, trader.account, order, quotes.quote(order.symbol, order.at))

    def account(self, who: Principal, trader_id: str) -> Account:
        """Answer a trader's own account. Raises NotFound."""
        trader = self.get(who, trader_id)
        accounts = self._store.accounts(AccountQuery(owner=who.name, trader=trader.id))
        return next(account for account in accounts if account.id == trader.account)

    def sessions(self, who: Principal, trader_id: str) -> list[Account]:
        """Answer the accounts of a trader's sessions, oldest first. Raises NotFound."""
        trader = self.get(who, trader_id)
        found = self._store.accounts(AccountQuery(owner=who.name, trader=trader.id))
        return [account for account in found if account.run is not None]

    def trades(self, who: Principal, trader_id: str, limit: int | None = None) -> list[OrderAnswer]:
        """Answer the fills of a trader, the last `limit` or all: of manual orders, and of sessions that have completed,
        each with its run."""
        trader = self.get(who, trader_id)
        accounts = self._store.accounts(AccountQuery(owner=who.name, trader=trader.id))
        counted = [each.id for each in accounts if each.run is None or each.state is AccountState.COMPLETED]
        return self._store.orders(counted, limit, OrderStatus.FILLED)

    def orders_of(
        self, account: Account, status: OrderStatus | None = None, limit: int | None = None
    ) -> list[OrderAnswer]:  # fmt: skip
        """Answer what was ordered in an account that somebody was shown, the last `limit` or all; nothing of what was
        discarded."""
        return [] if account.state is AccountState.DISCARDED else self._store.orders([account.id], limit, status)

    def account_of_run(self, run_id: str) -> Account | None:
        """Answer the account of a session whose run somebody was shown, None while it has none."""
        return next(iter(self._store.accounts(AccountQuery(run=run_id))), None)

    def steps(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Step]:
        """Answer the steps of a session whose run somebody was shown, in order."""
        return self._store.steps(run_id, after, limit=limit)

    def reached(self, run_id: str) -> int:
        """Answer the number of the last step of a session whose run somebody was shown, 0 before the first."""
        return self._store.reached(run_id)

    def turn(self, run_id: str) -> Turn | None:
        """Answer the step that a session whose run somebody was shown asks about."""
        return self._store.turn(run_id)

    def answer(self, run_id: str, number: int, answer: Mapping[str, Any]) -> None:
        """Answer a step of a session whose run is one's own. Raises Conflict where it is not asked about any more."""
        if not self._store.answer(run_id, number, answer):
            raise Conflict(f"step {number} is not asked about, or is answered", "ask for the turn again")

    def verify(self, who: Principal) -> tuple[int, list[str]]:
        """Answer how many entries the ledgers of somebody's accounts have, and what is wrong with them: of all
        accounts, for an operator."""
        count, found = 0, list[str]()
        for account in self._store.accounts(AccountQuery(owner=None if who.is_operator else who.name)):
            entries = self._store.entries(account.id)
            fills = {order.order_id: order for order in self._store.orders([account.id], status=OrderStatus.FILLED)}
            found += faults(account, entries, fills)
            count += len(entries)
        return count, found

    def replay(self, who: Principal, trader_id: str, until: int | None = None) -> Standing:
        """Answer what a trader's own account had at a moment of the market, by its ledger alone. Raises NotFound."""
        return replay(self.entries(who, trader_id), until)

    def entries(self, who: Principal, trader_id: str) -> list[Entry]:
        """Answer the ledger of a trader's own account. Raises NotFound."""
        return self._store.entries(self.get(who, trader_id).account)


def read_order(
    action: str, symbol: str, quantity: float | str | Decimal, at: int, source: str, key: str, reason: str = ""
) -> Order:
    """Answer an order as it is given. Raises InvalidInput with every mistake; what an account forbids is no mistake."""
    problems: list[Problem] = []
    for name, given, words in (("action", action, Action), ("source", source, Source)):
        if given not in list(words):
            remedy = suggest(str(given), [word.value for word in words])
            problems.append(Problem(f"unknown {name} {given!r:.40}", remedy, where=name))
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        problems.append(Problem(f"{symbol!r:.80} is no symbol", "write AAPL", where="symbol"))
    number = quantity_of(quantity)
    if number is None:
        problems.append(Problem(f"quantity {quantity!r:.40} is no number", "write 10", where="quantity"))
    if not 0 < len(key) <= 200:
        problems.append(Problem("the key is empty or longer than 200 characters", "send another", where="key"))
    if problems or number is None:
        raise InvalidInput(problems)
    return Order(
        key=key, action=Action(action), symbol=symbol, quantity=number, at=at, source=Source(source),
        reason=reason.replace("\x00", "")[:500],
    )  # fmt: skip


def _amount(cash: Any, problems: list[Problem]) -> Decimal:
    is_number = isinstance(cash, int | float | Decimal) and not isinstance(cash, bool)
    if not is_number or not 0 < cash <= MOST_CASH:
        remedy = f"write a number greater than 0, up to {MOST_CASH:,}"
        problems.append(Problem(f"the cash {cash!r:.40} is no amount", remedy, where="cash"))
        return Decimal(0)
    return money(exact(cash))


def read_rules(given: Mapping[str, Any], problems: list[Problem]) -> Rules:
    """Answer the rules that are given, the usual ones for the rest; what is wrong is added to `problems`."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        place = f"rules.{str(name)[:40]}"
        if name not in Rules.__dataclass_fields__:
            problems.append(
                Problem(f"unknown rule '{str(name)[:40]}'", suggest(str(name), Rules.__dataclass_fields__), where=place)
            )
        elif name in ("fractional", "short"):
            if not isinstance(value, bool):
                problems.append(Problem(f"{value!r:.40} is neither true nor false", "write true", where=place))
            values[name] = value
        else:
            low, high = (1.0, MOST_LEVERAGE) if name == "leverage" else (0.0, 0.999)
            if not _is_number(value) or not low <= value <= high:
                problems.append(Problem(f"{name} {value!r:.40}", f"write {low:g} to {high:g}", where=place))
            else:
                values[name] = float(value)
    return Rules(**values) if not problems else Rules()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
