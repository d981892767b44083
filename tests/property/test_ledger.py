"""The ledger's invariants, whatever is traded, cancelled and discarded, and wherever the database breaks off."""

from __future__ import annotations

import itertools
import os
import tempfile
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pitboss.core.errors import PitbossError
from pitboss.core.ids import new_id
from pitboss.core.principal import LOCAL
from pitboss.runs.model import Limits, NewRun, Serves
from pitboss.runs.ports import Move, RunWrite
from pitboss.runs.states import State
from pitboss.storage.database import Database
from pitboss.storage.migrate import bring_up_to_date
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.trading import SqlTrading
from pitboss.trading.model import AccountState, Action, Order, OrderStatus, Source, Terms
from pitboss.trading.ports import AccountQuery, Holder, Quote, Step
from pitboss.trading.service import TradingService

SEQUENCES = int(os.environ.get("SEQUENCES", "60"))
ACTIONS, SYMBOLS = st.sampled_from(list(Action)), st.sampled_from(["AAPL", "IBM"])
QUANTITIES = st.decimals("0.001", "90", places=3)
PRICES = st.decimals("1", "400", places=2)
CRASH = st.one_of(st.none(), st.integers(1, 14))  # at which call of the database, if at any


class Broken(Exception):
    """The database was gone in the middle of a transaction."""


class Breakable:
    """A database of which a call fails when that is asked for."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin with another database, that is empty."""
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").exists() else None)
        self.database = Database(f"sqlite:///{self.folder.name}/x.db")
        bring_up_to_date(self.database)
        self.left: int | None = None
        sa.event.listen(self.database._writer, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise Broken

    def attempt(self, action, crash):
        """Do something, breaking at a call where asked; a client that sees it break does it again."""
        self.left = crash
        try:
            return action()
        except Broken:
            self.left = None
            return action()
        except PitbossError:
            return None
        finally:
            self.left = None


SHARED = Breakable()
BEGUN = itertools.count(1)
FRESH = 200  # sequences that share a database: what others left behind would make the next ones slow


class Ledger(RuleBasedStateMachine):
    """A trader that orders by hand, and sessions of it that end in every way there is."""

    @initialize(leverage=st.sampled_from([1, 1, 3]), short=st.booleans())
    def begin(self, leverage, short):
        if next(BEGUN) % FRESH == 0:
            SHARED.renew()
        self.store, self.runs = SqlTrading(SHARED.database), SqlRunStore(SHARED.database)
        self.trading = TradingService(self.store, dict)
        rules = {"leverage": leverage, "short": short}
        self.trader = self.trading.create(LOCAL, f"t {new_id()}", 5_000, {}, rules=rules, costs={"commission": 0.001})
        self.sessions: dict[str, tuple[Holder, str, int]] = {}
        self.booked = Decimal(0)
        self.keys = 0

    def _order(self, action, symbol, quantity):
        self.keys += 1
        return Order(
            key=f"k{self.keys}", action=action, symbol=symbol, quantity=quantity, at=self.keys, source=Source.MANUAL
        )  # fmt: skip

    @rule(action=ACTIONS, symbol=SYMBOLS, quantity=QUANTITIES, price=PRICES, crash=CRASH)
    def order(self, action, symbol, quantity, price, crash):
        order = self._order(action, symbol, quantity)
        first = SHARED.attempt(lambda: self.store.execute("local", self.trader.account, order, Quote(price)), crash)
        again = self.store.execute("local", self.trader.account, order, Quote(price))
        assert first == again

    @rule(crash=CRASH)
    def open_session(self, crash):
        if len(self.sessions) >= 2:
            return
        new = NewRun(id=new_id(), kind=f"s{new_id()}"[:30], subject="trader/x", owner="local", params={}, snapshot={})
        self.runs.submit(new, 10**9)
        serves = Serves((new.kind,), {"default": 1})
        (claim,) = self.runs.claim("w", 15.0, Limits(10**9, {}, 10**9, 60.0), serves)
        holder = Holder(new.id, claim.token)
        self.runs.write([RunWrite(new.id, claim.token, 1, move=Move(State.RUNNING, pid=1))])
        terms = Terms(rules=self.trader.terms.rules, costs=self.trader.terms.costs)
        account = SHARED.attempt(lambda: self.store.open(self.trader.id, terms, Decimal(2_000), 1, holder), crash)
        self.sessions[new.id] = (holder, account.id, 0)

    @rule(data=st.data(), action=ACTIONS, symbol=SYMBOLS, quantity=QUANTITIES, price=PRICES, crash=CRASH)
    def trade(self, data, action, symbol, quantity, price, crash):
        if self.sessions:
            run = data.draw(st.sampled_from(sorted(self.sessions)))
            holder, account, number = self.sessions[run]
            order = self._order(action, symbol, quantity)
            SHARED.attempt(lambda: self.store.execute("local", account, order, Quote(price), holder), crash)
            step = Step(number=number + 1, at=self.keys, decision={})
            charges = (("borrow", Decimal("0.01")),) if data.draw(st.booleans()) else ()
            if self._account(account).cash < 1:
                charges = ()
            SHARED.attempt(lambda: self.store.commit(account, step, {symbol: price}, charges, holder), crash)
            self.sessions[run] = (holder, account, number + 1)

    @rule(data=st.data(), how=st.sampled_from(["completed", "failed", "kept", "discarded", "lost"]), crash=CRASH)
    def end(self, data, how, crash):
        if not self.sessions:
            return
        run = data.draw(st.sampled_from(sorted(self.sessions)))
        holder, account_id, _ = self.sessions.pop(run)
        before, main = self._account(account_id), self._account(self.trader.account)
        moves = {
            "completed": [Move(State.COMPLETING), Move(State.COMPLETED, result={})],
            "failed": [Move(State.FAILED, error={"kind": "error", "message": "x", "remedy": ""})],
            "lost": [Move(State.FAILED, error={"kind": "lost", "message": "x", "remedy": ""})],
        }.get(how, [Move(State.CANCELLED)])
        if how in ("kept", "discarded"):
            self.runs.request_cancel(run, how == "kept", "")
        for number, move in enumerate(moves, 2):
            SHARED.attempt(lambda n=number, m=move: self.runs.write([RunWrite(run, holder.token, n, move=m)]), crash)
        after = self._account(account_id)
        assert after.state is {
            "completed": AccountState.COMPLETED, "kept": AccountState.CANCELLED, "discarded": AccountState.DISCARDED,
        }.get(how, AccountState.FAILED)  # fmt: skip
        gained = self._account(self.trader.account).cash - main.cash
        if how == "completed":
            result = before.equity - before.opening
            assert gained == result or (result < -main.cash and gained == -main.cash)
        else:
            assert gained == 0
        if how == "discarded":
            assert (after.cash, after.positions) == (after.opening, {})

    def _account(self, account_id):
        found = self.store.accounts(AccountQuery(trader=self.trader.id))
        return next(account for account in found if account.id == account_id)

    @invariant()
    def everything_adds_up(self):
        if not hasattr(self, "trader"):
            return
        leverage = self.trader.terms.rules.leverage
        for account in self.store.accounts(AccountQuery(trader=self.trader.id)):
            entries = self.store.entries(account.id)
            assert all(entry.balance == 0 for entry in entries)
            assert leverage > 1 or account.cash >= 0
            filled = {order.order_id: order for order in self.store.orders([account.id], status=OrderStatus.FILLED)}
            from pitboss.trading.ledger import faults

            assert list(faults(account, entries, filled)) == []


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=SEQUENCES, stateful_step_count=12, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
