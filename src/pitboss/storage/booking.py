"""Accounts, orders and ledgers as rows: how they are read, and how an order and an entry are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from pitboss.core.ids import new_id
from pitboss.storage.refusals import told
from pitboss.storage.tables import fills, ledger, orders, positions, runs, trading_accounts
from pitboss.trading.book import Fill, Refused
from pitboss.trading.ledger import GENESIS, Entry, EntryKind
from pitboss.trading.model import (
    ZERO,
    Account,
    AccountState,
    Action,
    Order,
    OrderAnswer,
    OrderStatus,
    Position,
    Source,
    Terms,
    terms_of,
)

# what an order asks and writes: said once, since saying it takes longer than doing it
HOLDER = sa.select(runs.c.lease_token).where(runs.c.id == sa.bindparam("run")).with_for_update(read=True)
_HELD = (
    sa.select(positions)
    .where(positions.c.account_id.in_(sa.bindparam("account_ids", expanding=True)))
    .order_by(positions.c.symbol)
)
_ORDERS = (
    sa.select(orders, fills.c.price, fills.c.fee, fills.c.gain, trading_accounts.c.run_id)
    .join(trading_accounts, trading_accounts.c.id == orders.c.account_id)
    .join(fills, fills.c.order_id == orders.c.id, isouter=True)
)
_ADD_FILL, _ADD_ENTRY = sa.insert(fills), sa.insert(ledger)
_ADD_POSITION = sa.insert(positions)
_OF_POSITION = (positions.c.account_id == sa.bindparam("of"), positions.c.symbol == sa.bindparam("held"))
CHANGE_POSITION, _REMOVE_POSITION = (
    sa.update(positions).where(*_OF_POSITION),
    sa.delete(positions).where(*_OF_POSITION),
)
_CHANGE_ACCOUNT = sa.update(trading_accounts).where(trading_accounts.c.id == sa.bindparam("of"))


@contextmanager
def together(connection: Connection) -> Iterator[None]:
    """Send statements whose answers nobody needs at once, where the database is a server."""
    if connection.dialect.name == "sqlite":
        yield
        return
    import psycopg  # of those who have a server

    try:
        with connection.connection.driver_connection.pipeline():  # type: ignore[union-attr]
            yield
    except psycopg.Error as error:  # what was sent is answered here, where SQLAlchemy does not look
        raise told(str(error)) from None


def account_of(row: Row[Any], held: Mapping[str, Position]) -> Account:
    """Answer the account of a row with what it holds."""
    return Account(
        id=row.id, trader=row.trader_id, run=row.run_id, state=AccountState(row.state), terms=terms_of(row.terms),
        opening=row.opening, cash=row.cash, entries=row.entries, head=row.head, orders=row.orders, positions=held,
    )  # fmt: skip


def accounts_of(connection: Connection, condition: sa.ColumnElement[bool]) -> list[Account]:
    """Answer accounts with their positions, oldest first."""
    statement = sa.select(trading_accounts).where(condition).order_by(trading_accounts.c.id)
    rows = connection.execute(statement).all()
    held = positions_of(connection, [row.id for row in rows])
    return [account_of(row, held.get(row.id, {})) for row in rows]


def positions_of(connection: Connection, account_ids: Sequence[str]) -> dict[str, dict[str, Position]]:
    """Answer what accounts hold, by their ids and the symbols."""
    found: dict[str, dict[str, Position]] = {}
    for row in connection.execute(_HELD, {"account_ids": account_ids}) if account_ids else ():
        found.setdefault(row.account_id, {})[row.symbol] = Position(row.symbol, row.quantity, row.cost, row.mark)
    return found


def orders_of(
    connection: Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None
) -> list[OrderAnswer]:
    """Answer orders in the order in which they were given; the last `limit` of them, or all."""
    newest = (orders.c.created_at.desc(), orders.c.account_id.desc(), orders.c.number.desc())
    rows = connection.execute(_ORDERS.where(*conditions).order_by(*newest).limit(limit)).all()
    return [order_of(row) for row in reversed(rows)]


def order_of(row: Row[Any]) -> OrderAnswer:
    """Answer the order of a row."""
    return OrderAnswer(
        order_id=row.id, account=row.account_id, run=row.run_id, status=OrderStatus(row.status), reason=row.reason,
        symbol=row.symbol, action=Action(row.action), quantity=row.quantity, price=row.price, fee=row.fee or ZERO,
        gain=row.gain or ZERO, cash=row.cash, position=row.position, at=row.at, source=Source(row.source),
        signature=row.signature, key=row.key,
    )  # fmt: skip


def entries_of(connection: Connection, account_id: str) -> list[Entry]:
    """Answer the ledger of an account, oldest entry first."""
    statement = sa.select(ledger).where(ledger.c.account_id == account_id).order_by(ledger.c.number)
    return [
        Entry(
            account=row.account_id, number=row.number, kind=EntryKind(row.kind), at=row.at, booked_at=row.booked_at,
            postings=tuple((name, Decimal(amount)) for name, amount in row.postings), order=row.order_id,
            run=row.run_id, symbol=row.symbol, shares=row.shares, reverses=row.reverses, hash=row.hash,
        )
        for row in connection.execute(statement)
    ]  # fmt: skip


def open_account(
    connection: Connection, account_id: str, trader_id: str, run_id: str | None, terms: Terms, cash: Decimal, at: int,
    now: float,
) -> None:  # fmt: skip
    """Add an account with the entry of its cash."""
    account = Account(
        id=account_id, trader=trader_id, run=run_id, state=AccountState.OPEN, terms=terms, opening=cash, cash=ZERO,
        entries=0, head=GENESIS,
    )  # fmt: skip
    row = {
        "id": account_id, "trader_id": trader_id, "run_id": run_id, "state": AccountState.OPEN.value,
        "terms": terms.as_dict(), "opening": cash, "cash": ZERO, "entries": 0, "head": GENESIS, "orders": 0,
        "opened_at": now,
    }  # fmt: skip
    connection.execute(sa.insert(trading_accounts).values(**row))
    postings = (("cash", cash), ("capital", -cash))
    entry = Entry(
        account=account_id, number=1, kind=EntryKind.OPENED, at=at, booked_at=now, postings=postings, run=run_id
    )
    book(connection, account, entry)


def note_order(
    connection: Connection, add: sa.Insert, account: Account, order: Order, outcome: Fill | Refused, signature: str,
    now: float,
) -> OrderAnswer | None:  # fmt: skip
    """Write down an order by `add`, and what came of it; nothing, answering None, where its key is taken."""
    order_id, is_filled = new_id(), isinstance(outcome, Fill)
    filled = outcome if isinstance(outcome, Fill) else None
    answer = OrderAnswer(
        order_id=order_id, account=account.id, run=account.run,
        status=OrderStatus.FILLED if is_filled else OrderStatus.REFUSED,
        reason=outcome.reason if isinstance(outcome, Refused) else order.reason, symbol=order.symbol,
        action=order.action, quantity=order.quantity, price=filled.price if filled else None,
        fee=filled.fee if filled else ZERO, gain=filled.gain if filled else ZERO,
        cash=filled.cash if filled else account.cash,
        position=account.held(order.symbol) + (filled.quantity if filled else ZERO), at=order.at, source=order.source,
        signature=signature, key=order.key,
    )  # fmt: skip
    row = {
        "id": order_id, "account_id": account.id, "number": account.orders, "key": order.key,
        "action": order.action.value, "symbol": order.symbol, "quantity": order.quantity, "at": order.at,
        "source": order.source.value, "signature": signature, "status": answer.status.value,
        "reason": answer.reason[:500], "cash": answer.cash, "position": answer.position, "created_at": now,
    }  # fmt: skip
    if connection.execute(add, row).scalar_one_or_none() is None:
        return None
    if filled is not None:
        with together(connection):
            values = {"quantity": order.quantity, "price": filled.price, "fee": filled.fee, "gain": filled.gain}
            connection.execute(_ADD_FILL, values | {"order_id": order_id})
            _hold(connection, account, order.symbol, filled.position)
            entry = Entry(
                account=account.id, number=account.entries + 1, kind=EntryKind.FILLED, at=order.at, booked_at=now,
                postings=filled.postings, order=order_id, run=account.run, symbol=order.symbol, shares=filled.quantity,
            )  # fmt: skip
            book(connection, account, entry)
    else:
        connection.execute(_CHANGE_ACCOUNT, {"of": account.id, "orders": account.orders})
    return answer


def _hold(connection: Connection, account: Account, symbol: str, position: Position | None) -> None:
    of = {"of": account.id, "held": symbol}
    if position is None:
        connection.execute(_REMOVE_POSITION, of)
    elif symbol in account.positions:
        connection.execute(CHANGE_POSITION, of | asdict(position))
    else:
        connection.execute(_ADD_POSITION, {"account_id": account.id, **asdict(position)})


def book(connection: Connection, account: Account, entry: Entry) -> Account:
    """Add the next entry to the ledger of an account, whose cash follows; answer the account after it."""
    head = entry.chained(account.head)
    cash = account.cash + sum((amount for name, amount in entry.postings if name == "cash"), ZERO)
    row = {
        "account_id": account.id, "number": entry.number, "kind": entry.kind.value, "at": entry.at,
        "booked_at": entry.booked_at, "postings": [[name, str(amount)] for name, amount in entry.postings],
        "order_id": entry.order, "run_id": entry.run, "symbol": entry.symbol, "shares": entry.shares,
        "reverses": entry.reverses, "hash": head,
    }  # fmt: skip
    connection.execute(_ADD_ENTRY, row)
    values = {"cash": cash, "entries": entry.number, "head": head, "orders": account.orders}
    connection.execute(_CHANGE_ACCOUNT, {"of": account.id, **values})
    return replace(account, cash=cash, entries=entry.number, head=head)
