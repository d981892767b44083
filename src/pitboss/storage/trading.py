"""Traders, accounts and ledgers over SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.core.errors import Conflict, Duplicate, NotFound
from pitboss.core.ids import new_id
from pitboss.runs.context import World
from pitboss.storage.booking import (
    CHANGE_POSITION,
    HOLDER,
    account_of,
    accounts_of,
    book,
    entries_of,
    note_order,
    open_account,
    orders_of,
    positions_of,
)
from pitboss.storage.database import Database
from pitboss.storage.tables import (
    orders,
    runs,
    session_steps,
    session_turns,
    traders,
    trading_accounts,
)
from pitboss.trading.book import outcome_of
from pitboss.trading.ledger import Entry, EntryKind
from pitboss.trading.model import (
    ZERO,
    Account,
    AccountState,
    Order,
    OrderAnswer,
    OrderStatus,
    Terms,
    Trader,
    terms_of,
)
from pitboss.trading.ports import AccountQuery, Holder, Quote, Step, Turn

_ASKED = ("action", "symbol", "quantity", "source")


def trading_of(world: World) -> tuple[SqlTrading, Holder, str]:
    """Answer what a session's run trades through: the store, the proof that it holds its run, and whose it is."""
    database = Database(world.database_url)
    statement = sa.select(runs.c.owner).where(runs.c.id == world.run_id)
    with database.reading() as connection:
        owner = str(connection.execute(statement).scalar_one())
    return SqlTrading(database), Holder(world.run_id, world.token), owner


class SqlTrading:
    """Traders, accounts and ledgers in a database; see `trading.ports.TradingStore` for the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database
        locked = (
            sa.select(trading_accounts, traders.c.signature, database.now().label("now"))
            .join(traders, traders.c.id == trading_accounts.c.trader_id)
            .where(trading_accounts.c.id == sa.bindparam("account_id"), traders.c.owner == sa.bindparam("owner"))
        )
        # a conflict is found in the index, whatever PostgreSQL planned for a look-up while there were no orders
        self._add_order = (
            database.insert(orders)
            .on_conflict_do_nothing(index_elements=["account_id", "key"])
            .returning(orders.c.id)
        )  # fmt: skip
        self._for_order = locked if database.is_sqlite else locked.with_for_update(of=trading_accounts)

    def add(self, trader: Trader) -> Trader:
        values = asdict(trader) | {"terms": trader.terms.as_dict()}
        try:
            with self.database.writing() as connection:
                now = self.database.clock(connection)
                connection.execute(sa.insert(traders).values(**values | {"created_at": now}))
                open_account(
                    connection, trader.account, trader.id, None, trader.terms, trader.cash, round(now * 1e6), now
                )
        except Duplicate:
            raise Conflict(f"there is a trader '{trader.name}' already", "choose another name") from None
        found = self.trader(trader.id)
        assert found is not None
        return found

    def trader(self, trader_id: str) -> Trader | None:
        return next(iter(self._traders(traders.c.id == trader_id)), None)

    def traders(self, owner: str) -> list[Trader]:
        return self._traders(traders.c.owner == owner)

    def _traders(self, condition: sa.ColumnElement[bool]) -> list[Trader]:
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(traders).where(condition).order_by(traders.c.name))
            return [Trader(**{**row._mapping, "terms": terms_of(row.terms)}) for row in rows]

    def open(self, trader_id: str, terms: Terms, cash: Decimal, at: int, holder: Holder) -> Account:
        with self.database.writing() as connection:
            _check(connection, holder)
            known = accounts_of(connection, trading_accounts.c.run_id == holder.run)
            if known:
                return known[0]
            now, account_id = self.database.clock(connection), new_id()
            open_account(connection, account_id, trader_id, holder.run, terms, cash, at, now)
            return accounts_of(connection, trading_accounts.c.id == account_id)[0]

    def accounts(self, query: AccountQuery) -> list[Account]:
        conditions: list[Any] = [trading_accounts.c.trader_id == traders.c.id]
        if query.owner is not None:
            conditions.append(traders.c.owner == query.owner)
        if query.trader is not None:
            conditions.append(trading_accounts.c.trader_id == query.trader)
        if query.run is not None:
            conditions.append(trading_accounts.c.run_id == query.run)
        with self.database.reading() as connection:
            return accounts_of(connection, sa.and_(*conditions))

    def execute(
        self, owner: str, account_id: str, order: Order, quote: Quote, holder: Holder | None = None
    ) -> OrderAnswer:
        with self.database.writing(is_told=False) as connection:
            if holder is not None:
                _check(connection, holder)
            row = connection.execute(self._for_order, {"account_id": account_id, "owner": owner}).one_or_none()
            if row is None:
                raise NotFound("there is no such account", "name a trader of your own")
            if holder is not None and row.run_id != holder.run:
                raise Conflict("that is not the account of this run", "order in the run's own")
            account = account_of(row, positions_of(connection, [account_id]).get(account_id, {}))
            account = replace(account, orders=account.orders + 1)
            answer = None
            if account.state is AccountState.OPEN:
                outcome = outcome_of(account, order, quote)
                answer = note_order(connection, self._add_order, account, order, outcome, row.signature, float(row.now))
            if answer is not None:
                return answer
            known = orders_of(connection, orders.c.account_id == account_id, orders.c.key == order.key)
            if not known:
                raise Conflict(f"the account is {account.state}", "nothing is traded in it any more")
            return _repeated(known[0], order)

    def commit(
        self, account_id: str, step: Step, marks: Mapping[str, Decimal], charges: Sequence[tuple[str, Decimal]],
        holder: Holder,
    ) -> None:  # fmt: skip
        with self.database.writing(is_told=False) as connection:
            _check(connection, holder)
            row = {"run_id": holder.run, **asdict(step)}
            kept = self.database.insert(session_steps).values(**row).on_conflict_do_nothing()
            if connection.execute(kept.returning(session_steps.c.number)).one_or_none() is None:
                return
            for symbol, mark in marks.items():
                connection.execute(CHANGE_POSITION, {"of": account_id, "held": symbol, "mark": mark})
            if charges:
                account = accounts_of(connection, trading_accounts.c.id == account_id)[0]
                total = sum((amount for _, amount in charges), ZERO)
                entry = Entry(
                    account=account_id, number=account.entries + 1, kind=EntryKind.CHARGED, at=step.at,
                    booked_at=self.database.clock(connection), postings=(("cash", -total), *charges), run=holder.run,
                )  # fmt: skip
                book(connection, account, entry)

    def steps(
        self, run_id: str, after: int = 0, until: int | None = None, limit: int | None = None
    ) -> list[Step]:  # fmt: skip
        conditions = [session_steps.c.run_id == run_id, session_steps.c.number > after]
        if until is not None:
            conditions.append(session_steps.c.number <= until)
        statement = (
            sa.select(session_steps.c.number, session_steps.c.at, session_steps.c.decision)
            .where(*conditions)
            .order_by(session_steps.c.number)
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [Step(**row._mapping) for row in connection.execute(statement)]

    def reached(self, run_id: str) -> int:
        statement = sa.select(sa.func.max(session_steps.c.number)).where(session_steps.c.run_id == run_id)
        with self.database.reading() as connection:
            return int(connection.execute(statement).scalar_one() or 0)

    def ask(self, holder: Holder, number: int, asked: Mapping[str, Any]) -> None:
        row = {"number": number, "asked": dict(asked), "answer": None}
        put = self.database.insert(session_turns).values(run_id=holder.run, **row)
        put = put.on_conflict_do_update(
            index_elements=["run_id"], set_=row, where=session_turns.c.number != number
        )  # fmt: skip
        with self.database.writing() as connection:
            _check(connection, holder)
            connection.execute(put)

    def turn(self, run_id: str) -> Turn | None:
        named = (session_turns.c.number, session_turns.c.asked, session_turns.c.answer)
        with self.database.reading() as connection:
            row = connection.execute(sa.select(*named).where(session_turns.c.run_id == run_id)).one_or_none()
        return None if row is None else Turn(number=row.number, asked=row.asked, answer=row.answer)

    def take(self, holder: Holder, number: int) -> Mapping[str, Any] | None:
        of = (session_turns.c.run_id == holder.run, session_turns.c.number == number)
        with self.database.writing() as connection:
            _check(connection, holder)
            row = connection.execute(
                sa.delete(session_turns).where(*of).returning(session_turns.c.answer)
            ).one_or_none()
        return None if row is None else row.answer

    def answer(self, run_id: str, number: int, answer: Mapping[str, Any]) -> bool:
        of = (session_turns.c.run_id == run_id, session_turns.c.number == number)
        with self.database.writing() as connection:
            row = connection.execute(sa.select(session_turns.c.answer).where(*of).with_for_update()).one_or_none()
            if row is None or row.answer is not None:
                return False
            connection.execute(sa.update(session_turns).where(*of).values(answer=dict(answer)))
            return True

    def orders(
        self, account_ids: Collection[str], limit: int | None = None, status: OrderStatus | None = None
    ) -> list[OrderAnswer]:  # fmt: skip
        conditions: list[Any] = [orders.c.account_id.in_(list(account_ids))]
        if status is not None:
            conditions.append(orders.c.status == status.value)
        with self.database.reading() as connection:
            return orders_of(connection, *conditions, limit=limit)

    def entries(self, account_id: str) -> list[Entry]:
        with self.database.reading() as connection:
            return entries_of(connection, account_id)


def _check(connection: Connection, holder: Holder) -> None:
    """Raise Conflict unless the holder still holds its run; it is held until the transaction ends."""
    if connection.execute(HOLDER, {"run": holder.run}).scalar_one_or_none() != holder.token:
        raise Conflict(f"run {holder.run} is held by another process now", "nothing was written")


def _repeated(known: OrderAnswer, order: Order) -> OrderAnswer:
    named = _ASKED if order.is_at_once else (*_ASKED, "at")
    if [getattr(known, name) for name in named] != [getattr(order, name) for name in named]:
        raise Conflict("that Idempotency-Key was used for another order", "send a new key")
    return known
