"""What becomes of a session's account when its run ends."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pitboss.runs.model import Run
from pitboss.runs.states import State
from pitboss.storage.booking import accounts_of, book, entries_of
from pitboss.storage.tables import ledger, positions, traders, trading_accounts
from pitboss.trading.ledger import Entry, EntryKind, reversal_of
from pitboss.trading.model import ZERO, Account, AccountState


def settle_session(connection: Connection, run: Run, to: State, now: float) -> None:
    """Do with the account of a session what its end means, in the transaction that ends it: book its result to its
    trader's account, reverse what is discarded, or leave it as it is."""
    found = accounts_of(connection, trading_accounts.c.run_id == run.id)
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
    main = accounts_of(connection, trading_accounts.c.id == connection.execute(locked).scalar_one())[0]
    result = account.equity - account.opening
    lost = min(main.cash + result, ZERO) if main.terms.rules.leverage == 1 else ZERO  # more than there was
    postings = tuple(
        (name, amount)
        for name, amount in (("cash", result - lost), ("results", -result), ("shortfall", lost))
        if amount or name == "cash"
    )
    latest = sa.select(sa.func.max(ledger.c.at)).where(ledger.c.account_id == account.id)
    entry = Entry(
        account=main.id, number=main.entries + 1, kind=EntryKind.BOOKED, at=connection.execute(latest).scalar_one(),
        booked_at=now, postings=postings, run=account.run,
    )  # fmt: skip
    book(connection, main, entry)


def _reverse(connection: Connection, account: Account, now: float) -> None:
    for entry in reversed(entries_of(connection, account.id)):
        if entry.kind in (EntryKind.FILLED, EntryKind.CHARGED):
            account = book(connection, account, reversal_of(entry, account.entries + 1, now))
    connection.execute(sa.delete(positions).where(positions.c.account_id == account.id))
