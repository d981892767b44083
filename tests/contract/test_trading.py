"""The contract of `trading.ports` over every adapter: what was answered stands, once, whatever dies."""

from __future__ import annotations

import os
import random
from decimal import Decimal

import pytest
import sqlalchemy as sa

from pitboss.core.errors import Conflict, InvalidInput, NotFound
from pitboss.core.ids import new_id
from pitboss.core.principal import LOCAL, Principal
from pitboss.runs.model import Limits, NewRun, Serves
from pitboss.runs.ports import Move, RunWrite
from pitboss.runs.states import State
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.tables import fills, ledger
from pitboss.storage.trading import SqlTrading
from pitboss.trading.model import AccountState, Action, Order, Source, Terms
from pitboss.trading.ports import AccountQuery, Holder, Quote, Step
from support.trading import COSTS, MINUTE, MadeUp, Orderers, replayed, trading_over

NOON = 720 * MINUTE
TRADES = int(os.environ.get("TRADES", "0"))  # 100000 is the whole of it, of 64 traders over 8 processes
OTHER = Principal("other")


@pytest.fixture
def trading(database):
    return trading_over(database)


@pytest.fixture
def store(database):
    return SqlTrading(database)


@pytest.fixture
def trader(trading):
    return trading.create(LOCAL, "momentum", 10_000, {"type": "random"}, costs=COSTS)


def bought(trading, trader, quantity, key=None, action="buy", symbol="AAPL", at=NOON):
    return trading.execute_trade(LOCAL, MadeUp(), trader.id, action, symbol, quantity, at, "manual", key)


def test_an_order_is_filled_whole_with_price_fee_cash_and_position(trading, trader):
    answer = bought(trading, trader, 10).as_dict()
    price = float(MadeUp().quote("AAPL", NOON).price) * 1.0001
    fee = round(0.0002 * 10 * price + 0.35, 8)
    assert answer | {"order_id": ""} == {
        "order_id": "", "status": "filled", "reason": "", "symbol": "AAPL", "side": "buy", "quantity": 10.0,
        "price": price, "fee": fee, "gain": 0.0, "cash": pytest.approx(10_000 - 10 * price - fee, abs=1e-8),
        "position": 10.0, "at": "1970-01-01T12:00:00Z", "source": "manual", "signature": "momentum", "run_id": None,
    }  # fmt: skip


def test_what_cannot_be_done_is_refused_with_figures_and_kept(trading, trader):
    refusals = [
        bought(trading, trader, 1_000), bought(trading, trader, 5, action="sell"), bought(trading, trader, -1),
        bought(trading, trader, 1, symbol="NOPE"),
    ]  # fmt: skip
    assert {answer.status for answer in refusals} == {"refused"}
    assert refusals[0].reason.startswith("cash 10,000.00, needed ")
    assert refusals[1].reason == "shares 0, needed 5"
    assert refusals[3].reason == "there are no bars of NOPE"
    account = trading.account(LOCAL, trader.id)
    assert account.cash == 10_000
    assert [order.reason for order in trading.orders_of(account)] == [answer.reason for answer in refusals]


def test_a_repeated_key_answers_the_first_and_another_order_under_it_is_refused(trading, trader):
    first = bought(trading, trader, 10, key="one")
    assert bought(trading, trader, 10, key="one") == first
    with pytest.raises(Conflict, match="used for another order"):
        bought(trading, trader, 11, key="one")
    assert trading.account(LOCAL, trader.id).held("AAPL") == 10


def test_an_order_of_now_that_is_sent_again_later_is_the_same(trading, trader, monkeypatch):
    clock = iter((NOON / 1e6, NOON / 1e6 + 70))
    monkeypatch.setattr("pitboss.trading.service.time.time", lambda: next(clock))
    first, again = (bought(trading, trader, 1, key="k", at=None) for _ in range(2))
    assert first == again
    assert first.at == NOON


def test_an_order_worth_more_than_can_be_counted_is_refused(trading, trader):
    answer = bought(trading, trader, 10**15)
    assert not answer.is_filled
    assert "no amount to trade" in answer.reason


def test_a_trader_that_is_made_twice_under_one_key_is_made_once(trading):
    first = trading.create(LOCAL, "one", 1_000, {"type": "random"}, idempotency_key="k")
    assert trading.create(LOCAL, "one", 1_000, {"type": "random"}, idempotency_key="k") == first
    with pytest.raises(Conflict, match="another trader"):
        trading.create(LOCAL, "two", 1_000, {"type": "random"}, idempotency_key="k")
    assert trading.create(OTHER, "one", 1_000, {"type": "random"}, idempotency_key="k").id != first.id
    assert trading.all(LOCAL) == [first]


def test_a_price_that_cannot_be_looked_up_is_an_error_and_nothing_is_ordered(trading, trader):
    class Broken:
        def quote(self, symbol, at):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        trading.execute_trade(LOCAL, Broken(), trader.id, "buy", "AAPL", 1, NOON)
    assert trading.orders_of(trading.account(LOCAL, trader.id)) == []


def test_rules_of_a_trader_hold(trading):
    strict = trading.create(LOCAL, "strict", 1_000, {}, rules={"fractional": False, "short": False})
    assert bought(trading, strict, 1.5).reason == "quantity 1.5: this trader orders whole shares"
    assert bought(trading, strict, 1, action="short").reason == "this trader may not sell short"
    brave = trading.create(LOCAL, "brave", 1_000, {}, rules={"leverage": 3}, costs={})
    price = MadeUp().quote("AAPL", NOON).price
    most = Decimal(3_000) / price
    assert bought(trading, brave, float(most) * 1.01).reason.startswith("buying power 3,000.00, needed 3,0")
    assert bought(trading, brave, float(most) * 0.99).is_filled
    assert trading.account(LOCAL, brave.id).cash < 0


def test_mistakes_are_told_together_and_traders_of_others_are_not_found(trading, trader):
    with pytest.raises(InvalidInput) as error:
        trading.execute_trade(LOCAL, MadeUp(), trader.id, "hold", "", "many", NOON, "oracle")
    assert {problem.where for problem in error.value.problems} == {"action", "symbol", "quantity", "source"}
    with pytest.raises(InvalidInput) as error:
        trading.create(LOCAL, "", -1, {}, rules={"leverage": 0, "margin": 2}, costs={"comission": 1})
    assert {problem.where for problem in error.value.problems} == {
        "name", "cash", "rules.leverage", "rules.margin", "costs.comission",
    }  # fmt: skip
    with pytest.raises(NotFound):
        trading.execute_trade(OTHER, MadeUp(), trader.id, "buy", "AAPL", 1, NOON)
    with pytest.raises(Conflict, match="there is a trader 'momentum' already"):
        trading.create(LOCAL, "momentum", 1, {})


@pytest.mark.parametrize("change", ["amount", "entry", "fill"])
def test_whatever_is_changed_behind_its_back_the_ledger_tells(database, trading, trader, change):
    for number in range(1, 6):
        assert bought(trading, trader, number).is_filled
    assert trading.verify(LOCAL) == (6, [])
    with database.writing() as connection:
        if change == "amount":
            postings = [["cash", "-1"], ["positions:AAPL", "1"]]
            connection.execute(sa.update(ledger).where(ledger.c.number == 3).values(postings=postings))
        elif change == "entry":
            connection.execute(sa.delete(ledger).where(ledger.c.number == 6))
        else:
            connection.execute(sa.update(fills).values(price=Decimal(1)))
    assert trading.verify(LOCAL)[1]


def claimed(database, subject="trader/momentum"):
    """A run as a worker holds it."""
    runs = SqlRunStore(database)
    new = NewRun(id=new_id(), kind="session", subject=subject, owner="local", params={}, snapshot={})
    runs.submit(new, 100)
    claims = runs.claim("worker-1", 15.0, Limits(99, {}, 99, 60.0), Serves(("session",), {"default": 9}))
    claim = next(claim for claim in claims if claim.run.id == new.id)
    runs.write([RunWrite(new.id, claim.token, 1, move=Move(State.RUNNING, pid=1))])
    return runs, Holder(new.id, claim.token)


def session(store, trader, holder, cash=Decimal(5_000)):
    return store.open(trader.id, Terms(costs=trader.terms.costs), cash, NOON, holder)


def ordered(store, account, holder, action, quantity, key):
    order = Order(
        key=key, action=Action(action), symbol="AAPL", quantity=Decimal(quantity), at=NOON, source=Source.AI
    )  # fmt: skip
    return store.execute("local", account.id, order, Quote(Decimal(100)), holder)


def ended(runs, holder, to, number=2, **fields):
    if to is State.COMPLETED:
        runs.write([RunWrite(holder.run, holder.token, number, move=Move(State.COMPLETING))])
        number += 1
    runs.write([RunWrite(holder.run, holder.token, number, move=Move(to, **fields))])
    return runs.get(holder.run)


def of(store, holder):
    (account,) = store.accounts(AccountQuery(run=holder.run))
    return account


def test_a_session_trades_an_account_of_its_own_and_its_result_is_booked_once(database, trading, store, trader):
    runs, holder = claimed(database)
    account = session(store, trader, holder)
    assert session(store, trader, holder) == account  # an attempt that comes again finds it
    assert ordered(store, account, holder, "buy", 10, "1").is_filled
    assert ordered(store, account, holder, "sell", 10, "2").is_filled
    assert trading.account(LOCAL, trader.id).cash == 10_000
    lost = 5_000 - of(store, holder).cash
    assert lost > 0
    assert ended(runs, holder, State.COMPLETED, result={}).state is State.COMPLETED
    assert of(store, holder).state is AccountState.COMPLETED
    assert trading.account(LOCAL, trader.id).cash == 10_000 - lost
    assert [order.run for order in trading.trades(LOCAL, trader.id)] == [holder.run, holder.run]
    assert trading.verify(LOCAL)[1] == []


@pytest.mark.parametrize("keeps", [True, False])
def test_a_cancelled_session_is_kept_as_it_is_or_reversed_and_books_nothing(database, trading, store, trader, keeps):
    runs, holder = claimed(database)
    account = session(store, trader, holder)
    ordered(store, account, holder, "buy", 10, "1")
    runs.request_cancel(holder.run, keeps, "enough")
    run = ended(runs, holder, State.CANCELLED, result={"x": 1}, partial=keeps)
    after = of(store, holder)
    assert run.state is State.CANCELLED
    if keeps:
        assert (after.state, after.held("AAPL")) == (AccountState.CANCELLED, 10)
        assert len(trading.orders_of(after)) == 1
    else:
        assert (after.state, after.cash, after.positions) == (AccountState.DISCARDED, 5_000, {})
        assert trading.orders_of(after) == []
        assert [entry.kind for entry in store.entries(after.id)] == ["opened", "filled", "reversed"]
    assert trading.account(LOCAL, trader.id).cash == 10_000
    assert trading.trades(LOCAL, trader.id) == []
    assert trading.verify(LOCAL)[1] == []
    with pytest.raises(Conflict):
        ordered(store, account, holder, "buy", 1, "2")


def test_a_stale_run_can_write_nothing(database, store, trader):
    _, holder = claimed(database)
    account = session(store, trader, holder)
    stale = Holder(holder.run, "another token")
    step = Step(number=1, at=NOON, decision={"action": "hold"})
    for write in (
        lambda: ordered(store, account, stale, "buy", 1, "1"),
        lambda: store.commit(account.id, step, {}, (), stale),
        lambda: session(store, trader, stale),
    ):
        with pytest.raises(Conflict, match="held by another process"):
            write()
    _, other = claimed(database)
    with pytest.raises(Conflict, match="not the account of this run"):
        ordered(store, account, other, "buy", 1, "1")
    assert store.orders([account.id]) == []
    assert store.steps(holder.run) == []


def test_a_step_stands_once_with_its_marks_and_charges(database, trading, store, trader):
    _, holder = claimed(database)
    account = session(store, trader, holder)
    ordered(store, account, holder, "short", 10, "1")
    cash = of(store, holder).cash
    for decision in ({"first": True}, {"first": False}):
        step = Step(number=1, at=NOON, decision=decision)
        store.commit(account.id, step, {"AAPL": Decimal(90)}, (("borrow", Decimal("0.5")),), holder)
    after = of(store, holder)
    assert after.cash == cash - Decimal("0.5")
    assert after.positions["AAPL"].gain == 10 * Decimal("9.99")  # sold at 99.99
    assert [step.decision for step in store.steps(holder.run)] == [{"first": True}]
    assert store.reached(holder.run) == 1
    assert trading.verify(LOCAL)[1] == []


def test_a_turn_is_answered_once_and_not_after_its_time(database, trading, store, trader):
    _, holder = claimed(database)
    session(store, trader, holder)
    store.ask(holder, 1, {"step": 1})
    trading.answer(holder.run, 1, {"orders": []})
    store.ask(holder, 1, {"step": 1})  # by an attempt after a kill
    assert store.turn(holder.run).answer == {"orders": []}
    store.ask(holder, 2, {"step": 2})
    assert store.take(holder, 2) is None
    for number in (1, 2):
        with pytest.raises(Conflict, match="not asked about"):
            trading.answer(holder.run, number, {"orders": []})


@pytest.mark.timeout(3000 if TRADES else 300)
def test_nothing_is_lost_or_doubled_however_processes_are_killed(database, trading, tmp_path):
    processes, count, kills = (8, TRADES // 8, 200) if TRADES else (4, 150, 6)
    made = [
        trading.create(LOCAL, f"trader {number}", 20_000, {}, costs=COSTS) for number in range(64 if TRADES else 8)
    ]  # fmt: skip
    url = database.url.render_as_string(hide_password=False)
    orderers = Orderers(url, tmp_path, processes, count)
    orderers.torment(kills, random.Random(7), 0.4)
    assert orderers.kills >= min(kills, 6)
    answers = orderers.answers()
    assert len(answers) == processes * count
    found = {}
    for trader in made:
        account = trading.account(LOCAL, trader.id)
        orders = trading.orders_of(account)
        found |= {order.key: order.order_id for order in orders}
        cash, shares = replayed(orders, trader.cash)
        assert account.cash == cash
        assert {symbol: each.quantity for symbol, each in account.positions.items()} == shares
    assert found == answers
    assert trading.verify(LOCAL)[1] == []
