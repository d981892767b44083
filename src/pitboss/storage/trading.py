"""Traders, accounts and ledgers over SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from pitboss.core.errors import Conflict, Duplicate, NotFound
from pitboss.core.ids import new_id
from pitboss.runs.context import World
from pitboss.runs.model import Run
from pitboss.runs.states import State
from pitboss.storage.database import Database
from pitboss.storage.tables import (
    fills,
    ledger,
    orders,
    positions,
    runs,
    session_steps,
    session_turns,
    traders,
    trading_accounts,
)
from pitboss.trading.book import Fill, Refused, settle, slipped
from pitboss.trading.ledger import GENESIS, Entry, EntryKind, Postings, reversal_of
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
    Trader,
    terms_of,
)
from pitboss.trading.ports import AccountQuery, Holder, Quote, Step, Turn

_ASKED = ("action", "symbol", "quantity", "at", "source")


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
        self._for_order = locked if database.is_sqlite else locked.with_for_update(of=trading_accounts)

    def add(self, trader: Trader) -> Trader:
        values = asdict(trader) | {"terms": trader.terms.as_dict()}
        try:
            with self.database.writing() as connection:
                now = self.database.clock(connection)
                connection.execute(sa.insert(traders).values(**values | {"created_at": now}))
                _open(connection, trader.account, trader.id, None, trader.terms, trader.cash, round(now * 1e6), now)
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
            known = _accounts(connection, trading_accounts.c.run_id == holder.run)
            if known:
                return known[0]
            now, account_id = self.database.clock(connection), new_id()
            _open(connection, account_id, trader_id, holder.run, terms, cash, at, now)
            return _accounts(connection, trading_accounts.c.id == account_id)[0]

    def accounts(self, query: AccountQuery) -> list[Account]:
        conditions: list[Any] = [trading_accounts.c.trader_id == traders.c.id]
        if query.owner is not None:
            conditions.append(traders.c.owner == query.owner)
        if query.trader is not None:
            conditions.append(trading_accounts.c.trader_id == query.trader)
        if query.run is not None:
            conditions.append(trading_accounts.c.run_id == query.run)
        with self.database.reading() as connection:
            return _accounts(connection, sa.and_(*conditions))

    def execute(
        self, owner: str, account_id: str, order: Order, quote: Quote, holder: Holder | None = None
    ) -> OrderAnswer:
        with self.database.writing() as connection:
            if holder is not None:
                _check(connection, holder)
            row = connection.execute(self._for_order, {"account_id": account_id, "owner": owner}).one_or_none()
            if row is None:
                raise NotFound("there is no such account", "name a trader of your own")
            if holder is not None and row.run_id != holder.run:
                raise Conflict("that is not the account of this run", "order in the run's own")
            known = connection.execute(_KNOWN, {"account_id": account_id, "key": order.key}).one_or_none()
            if known is not None:
                return _repeated(_order(known), order)
            account = _account(row, _positions(connection, [account_id]).get(account_id, {}))
            if account.state is not AccountState.OPEN:
                raise Conflict(f"the account is {account.state}", "nothing is traded in it any more")
            account = replace(account, orders=account.orders + 1)
            return _note(connection, account, order, _outcome(account, order, quote), row.signature, float(row.now))

    def commit(
        self, account_id: str, step: Step, marks: Mapping[str, Decimal], charges: Sequence[tuple[str, Decimal]],
        holder: Holder,
    ) -> None:  # fmt: skip
        with self.database.writing() as connection:
            _check(connection, holder)
            row = {"run_id": holder.run, **asdict(step)}
            kept = self.database.insert(session_steps).values(**row).on_conflict_do_nothing()
            if connection.execute(kept.returning(session_steps.c.number)).one_or_none() is None:
                return
            for symbol, mark in marks.items():
                connection.execute(_CHANGE_POSITION, {"of": account_id, "held": symbol, "mark": mark})
            if charges:
                account = _accounts(connection, trading_accounts.c.id == account_id)[0]
                total = sum((amount for _, amount in charges), ZERO)
                postings = (("cash", -total), *charges)
                now = self.database.clock(connection)
                _book(connection, account, EntryKind.CHARGED, step.at, now, postings, run=holder.run)

    def steps(self, run_id: str, after: int = 0, until: int | None = None) -> list[Step]:
        conditions = [session_steps.c.run_id == run_id, session_steps.c.number > after]
        if until is not None:
            conditions.append(session_steps.c.number <= until)
        statement = (
            sa.select(session_steps.c.number, session_steps.c.at, session_steps.c.decision)
            .where(*conditions)
            .order_by(session_steps.c.number)
        )
        with self.database.reading() as connection:
            return [Step(**row._mapping) for row in connection.execute(statement)]

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

    def answer(self, run_id: str, number: int, answer: Mapping[str, Any]) -> bool:
        of = (session_turns.c.run_id == run_id, session_turns.c.number == number)
        with self.database.writing() as connection:
            row = connection.execute(sa.select(session_turns.c.answer).where(*of).with_for_update()).one_or_none()
            if row is None or row.answer is not None:
                return False
            connection.execute(sa.update(session_turns).where(*of).values(answer=dict(answer)))
            return True

    def orders(self, account_ids: Collection[str], limit: int | None = None, filled: bool = False) -> list[OrderAnswer]:
        conditions: list[Any] = [orders.c.account_id.in_(list(account_ids))]
        if filled:
            conditions.append(orders.c.status == OrderStatus.FILLED.value)
        with self.database.reading() as connection:
            return _orders(connection, *conditions, limit=limit)

    def entries(self, account_id: str) -> list[Entry]:
        with self.database.reading() as connection:
            return _entries(connection, account_id)


# what an order asks and writes: said once, since saying it takes longer than doing it
_HOLDER = sa.select(runs.c.lease_token).where(runs.c.id == sa.bindparam("run")).with_for_update(read=True)
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
_KNOWN = _ORDERS.where(orders.c.account_id == sa.bindparam("account_id"), orders.c.key == sa.bindparam("key"))
_ADD_ORDER, _ADD_FILL, _ADD_ENTRY = sa.insert(orders), sa.insert(fills), sa.insert(ledger)
_ADD_POSITION = sa.insert(positions)
_OF_POSITION = (positions.c.account_id == sa.bindparam("of"), positions.c.symbol == sa.bindparam("held"))
_CHANGE_POSITION, _REMOVE_POSITION = (
    sa.update(positions).where(*_OF_POSITION),
    sa.delete(positions).where(*_OF_POSITION),
)
_CHANGE_ACCOUNT = sa.update(trading_accounts).where(trading_accounts.c.id == sa.bindparam("of"))


def _check(connection: Connection, holder: Holder) -> None:
    """Raise Conflict unless the holder still holds its run; it is held until the transaction ends."""
    if connection.execute(_HOLDER, {"run": holder.run}).scalar_one_or_none() != holder.token:
        raise Conflict(f"run {holder.run} is held by another process now", "nothing was written")


def _account(row: Row[Any], held: Mapping[str, Position]) -> Account:
    return Account(
        id=row.id, trader=row.trader_id, run=row.run_id, state=AccountState(row.state), terms=terms_of(row.terms),
        opening=row.opening, cash=row.cash, entries=row.entries, head=row.head, orders=row.orders, positions=held,
    )  # fmt: skip


def _accounts(connection: Connection, condition: sa.ColumnElement[bool]) -> list[Account]:
    statement = sa.select(trading_accounts).where(condition).order_by(trading_accounts.c.id)
    rows = connection.execute(statement).all()
    held = _positions(connection, [row.id for row in rows])
    return [_account(row, held.get(row.id, {})) for row in rows]


def _positions(connection: Connection, account_ids: Sequence[str]) -> dict[str, dict[str, Position]]:
    found: dict[str, dict[str, Position]] = {}
    for row in connection.execute(_HELD, {"account_ids": account_ids}) if account_ids else ():
        found.setdefault(row.account_id, {})[row.symbol] = Position(row.symbol, row.quantity, row.cost, row.mark)
    return found


def _orders(connection: Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None) -> list[OrderAnswer]:
    newest = (orders.c.created_at.desc(), orders.c.account_id.desc(), orders.c.number.desc())
    rows = connection.execute(_ORDERS.where(*conditions).order_by(*newest).limit(limit)).all()
    return [_order(row) for row in reversed(rows)]


def _order(row: Row[Any]) -> OrderAnswer:
    return OrderAnswer(
        order_id=row.id, account=row.account_id, run=row.run_id, status=OrderStatus(row.status), reason=row.reason,
        symbol=row.symbol, action=Action(row.action), quantity=row.quantity, price=row.price, fee=row.fee or ZERO,
        gain=row.gain or ZERO, cash=row.cash, position=row.position, at=row.at, source=Source(row.source),
        signature=row.signature, key=row.key,
    )  # fmt: skip


def _entries(connection: Connection, account_id: str) -> list[Entry]:
    statement = sa.select(ledger).where(ledger.c.account_id == account_id).order_by(ledger.c.number)
    return [
        Entry(
            account=row.account_id, number=row.number, kind=EntryKind(row.kind), at=row.at, booked_at=row.booked_at,
            postings=tuple((name, Decimal(amount)) for name, amount in row.postings), order=row.order_id,
            run=row.run_id, symbol=row.symbol, shares=row.shares, reverses=row.reverses, hash=row.hash,
        )
        for row in connection.execute(statement)
    ]  # fmt: skip


def _open(
    connection: Connection, account_id: str, trader_id: str, run_id: str | None, terms: Terms, cash: Decimal, at: int,
    now: float,
) -> None:  # fmt: skip
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
    _book(connection, account, EntryKind.OPENED, at, now, (("cash", cash), ("capital", -cash)), run=run_id)


def _repeated(known: OrderAnswer, order: Order) -> OrderAnswer:
    if [getattr(known, name) for name in _ASKED] != [getattr(order, name) for name in _ASKED]:
        raise Conflict("that Idempotency-Key was used for another order", "send a new key")
    return known


def _outcome(account: Account, order: Order, quote: Quote) -> Fill | Refused:
    if quote.refusal:
        return Refused(quote.refusal)
    assert quote.price is not None
    price = order.price if order.price is not None else slipped(quote.price, order.action, account.terms.costs)
    return settle(account, order, price)


def _note(
    connection: Connection, account: Account, order: Order, outcome: Fill | Refused, signature: str, now: float
) -> OrderAnswer:
    """Write down an order and what came of it."""
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
    connection.execute(_ADD_ORDER, row)
    if filled is not None:
        values = {"quantity": order.quantity, "price": filled.price, "fee": filled.fee, "gain": filled.gain}
        connection.execute(_ADD_FILL, values | {"order_id": order_id})
        _hold(connection, account, order.symbol, filled.position)
        _book(
            connection, account, EntryKind.FILLED, order.at, now, filled.postings, order_id, account.run,
            order.symbol, filled.quantity,
        )  # fmt: skip
    else:
        connection.execute(_CHANGE_ACCOUNT, {"of": account.id, "orders": account.orders})
    return answer


def _hold(connection: Connection, account: Account, symbol: str, position: Position | None) -> None:
    of = {"of": account.id, "held": symbol}
    if position is None:
        connection.execute(_REMOVE_POSITION, of)
    elif symbol in account.positions:
        connection.execute(_CHANGE_POSITION, of | asdict(position))
    else:
        connection.execute(_ADD_POSITION, {"account_id": account.id, **asdict(position)})


def _book(
    connection: Connection, account: Account, kind: EntryKind, at: int, now: float, postings: Postings,
    order: str | None = None, run: str | None = None, symbol: str = "", shares: Decimal = ZERO,
    reverses: int | None = None,
) -> Account:  # fmt: skip
    """Add an entry to the ledger of an account, whose cash follows; answer the account after it."""
    entry = Entry(
        account=account.id, number=account.entries + 1, kind=kind, at=at, booked_at=now, postings=postings,
        order=order, run=run, symbol=symbol, shares=shares, reverses=reverses,
    )  # fmt: skip
    head = entry.chained(account.head)
    cash = account.cash + sum((amount for name, amount in postings if name == "cash"), ZERO)
    row = {
        "account_id": account.id, "number": entry.number, "kind": kind.value, "at": at, "booked_at": now,
        "postings": [[name, str(amount)] for name, amount in postings], "order_id": order, "run_id": run,
        "symbol": symbol, "shares": shares, "reverses": reverses, "hash": head,
    }  # fmt: skip
    connection.execute(_ADD_ENTRY, row)
    values = {"cash": cash, "entries": entry.number, "head": head, "orders": account.orders}
    connection.execute(_CHANGE_ACCOUNT, {"of": account.id, **values})
    return replace(account, cash=cash, entries=entry.number, head=head)


def settle_session(connection: Connection, run: Run, to: State, now: float) -> None:
    """Do with the account of a session what its end means, in the transaction that ends it: book its result to its
    trader's account, reverse what is discarded, or leave it as it is."""
    found = _accounts(connection, trading_accounts.c.run_id == run.id)
    for account in (account for account in found if account.state is AccountState.OPEN):
        if to is State.COMPLETED:
            _book_result(connection, account, now)
            state = AccountState.COMPLETED
        elif to is State.CANCELLED and not run.cancel_keep_partial:
            _reverse(connection, account, now)
            state = AccountState.DISCARDED
        else:
            state = AccountState.CANCELLED if to is State.CANCELLED else AccountState.FAILED
        of = trading_accounts.c.id == account.id
        connection.execute(sa.update(trading_accounts).where(of).values(state=state.value))


def _book_result(connection: Connection, account: Account, now: float) -> None:
    of_trader = sa.select(traders.c.account).where(traders.c.id == account.trader).scalar_subquery()
    locked = sa.select(trading_accounts.c.id).where(trading_accounts.c.id == of_trader).with_for_update()
    main = _accounts(connection, trading_accounts.c.id == connection.execute(locked).scalar_one())[0]
    result = account.equity - account.opening
    lost = min(main.cash + result, ZERO) if main.terms.rules.leverage == 1 else ZERO  # more than there was
    postings = tuple(
        (name, amount)
        for name, amount in (("cash", result - lost), ("results", -result), ("shortfall", lost))
        if amount or name == "cash"
    )
    at = max((entry.at for entry in _entries(connection, account.id)), default=0)
    _book(connection, main, EntryKind.BOOKED, at, now, postings, run=account.run)


def _reverse(connection: Connection, account: Account, now: float) -> None:
    for entry in reversed(_entries(connection, account.id)):
        if entry.kind in (EntryKind.FILLED, EntryKind.CHARGED):
            postings, shares = reversal_of(entry)
            account = _book(
                connection, account, EntryKind.REVERSED, entry.at, now, postings, entry.order, account.run,
                entry.symbol, shares, entry.number,
            )  # fmt: skip
    connection.execute(sa.delete(positions).where(positions.c.account_id == account.id))
