"""Sessions at a paper broker: an order is placed once whatever gets lost, and a difference stops the session."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pitboss.core.errors import InvalidInput
from pitboss.core.principal import LOCAL
from pitboss.sessions.alpaca import AlpacaBroker
from pitboss.sessions.broker import client_id_of
from pitboss.sessions.limits import Suspended
from pitboss.trading.model import Action
from support import provider as behaving
from support.broker import KEY, PRIVATE, PaperAccount
from support.engine import Engine, until
from support.provider import Provider
from support.sessions import Bench

SECRET = f"{KEY}:{PRIVATE}"


@pytest.fixture
def paper():
    with PaperAccount() as account:
        yield account


def broker_of(paper, tmp_path, **fields):
    return AlpacaBroker(paper.source, SECRET, tmp_path, lambda: None, **fields)


def bought(broker, key="1", quantity=3):
    return broker.place(client_id_of("account", key), Action.BUY, "SYN", Decimal(quantity))


def test_the_same_order_is_placed_once_however_often_it_is_sent_and_whatever_is_lost(paper, tmp_path):
    broker = broker_of(paper, tmp_path)
    paper.loses = 1
    first = bought(broker)
    assert (first.quantity, first.price) == (3, 100)
    assert bought(broker) == bought(broker_of(paper, tmp_path)) == first
    assert len(paper.orders) == 1
    assert broker.positions() == {"SYN": 3}
    assert bought(broker, key="2") == first
    assert broker.positions() == {"SYN": 6}


def test_what_is_refused_or_never_filled_is_told(paper, tmp_path):
    broker = broker_of(paper, tmp_path, fill_seconds=0.2)
    paper.refuses = "insufficient buying power"
    assert bought(broker).refusal == "alpaca refuses: insufficient buying power"
    paper.refuses, paper.seconds = "", 3600.0
    assert bought(broker, key="2").refusal == "alpaca: the order was canceled"
    assert broker.positions() == {}


def test_a_broker_that_is_down_is_asked_again_until_that_takes_too_long(paper, tmp_path):
    paper.is_down = True
    with pytest.raises(Suspended, match="gives no answer"):
        broker_of(paper, tmp_path, outage_seconds=0.5).positions()


def test_one_process_alone_has_the_socket_and_hears_of_fills(paper, tmp_path):
    paper.seconds = 0.3
    broker, other = broker_of(paper, tmp_path), broker_of(paper, tmp_path)
    assert (broker.listen(), other.listen()) == (True, False)
    until(lambda: paper.sockets, 10, "the socket is open")
    assert bought(broker).price == 100
    assert bought(other, key="2").price == 100
    assert len(paper.sockets) == 1


@pytest.fixture
def bench(tmp_path, paper):
    with Engine(tmp_path, slots={"default": 1, "session": 4}, sources={"paper": paper.source}) as engine:
        made = Bench(engine)
        made.platform.vault.put(LOCAL, "ALPACA", SECRET)
        engine.start_worker()
        yield made


def test_a_session_trades_at_the_broker_and_its_ledger_says_what_that_filled(bench, paper):
    paper.held["SYN"] = 7.0  # of other origin
    paper.loses = 2
    with Provider(behaving.trade) as provider:
        trader = bench.model("model", provider.url)
        run = bench.done(trader, timeframe="30m", broker="paper")
    assert run.state == "completed", run.error
    orders = bench.table(run, "orders")
    assert set(orders["price"]) == {100.0}
    assert len(orders) == len(paper.orders) == 13  # twelve shares, and the sale of all of them
    assert paper.held["SYN"] == 7.0
    assert bench.platform.trading.verify(LOCAL)[1] == []


def test_a_difference_between_broker_and_ledger_stops_trading_and_says_so(bench, paper):
    with Provider(behaving.trade) as provider:
        run = bench.start(bench.model("model", provider.url), timeframe="15m", broker="paper", pace=5)
        bench.engine.wait_progress(run, "trading", 4)
        paper.held["SYN"] += 5
        failed = bench.engine.wait(run)
    assert failed.state == "failed"
    assert "trading has stopped: alpaca holds" in failed.error["message"]
    assert "the ledger says" in failed.error["message"]


def test_a_session_that_is_resumed_finds_its_orders_and_places_none_again(bench, paper):
    with Provider(behaving.trade) as provider:
        run = bench.start(bench.model("model", provider.url), timeframe="15m", broker="paper", pace=5)
        bench.engine.wait_progress(run, "trading", 6)
        paper.held["SYN"] += 5
        assert bench.engine.wait(run).state == "failed"
        placed, paper.held["SYN"] = dict(paper.orders), paper.held["SYN"] - 5
        resumed = bench.engine.wait(bench.platform.service.resume(LOCAL, run.id), seconds=40)
    assert resumed.state == "completed", resumed.error
    assert placed.items() <= paper.orders.items()
    assert len(bench.table(resumed, "orders")) == len(paper.orders) == 26
    assert paper.held["SYN"] == 0
    assert bench.platform.trading.verify(LOCAL)[1] == []


def test_a_key_that_the_broker_refuses_is_told(bench, paper):
    bench.platform.vault.put(LOCAL, "ALPACA", f"{KEY}:another")
    run = bench.engine.wait(bench.start(bench.trader("dice", {"type": "random"}), timeframe="15m", broker="paper"))
    assert run.state == "failed"
    assert "alpaca refuses: unauthorized" in run.error["message"]
    assert "the secret ALPACA" in str(run.error)


def test_killed_between_a_fill_and_its_note_the_order_is_found_and_noted(bench, paper):
    paper.seconds = 0.2
    with Provider(behaving.trade) as provider:
        run = bench.start(bench.model("model", provider.url), timeframe="15m", broker="paper")
        for count in (3, 8, 13):
            until(lambda n=count: len(paper.orders) >= n, 20, f"{count} orders")
            worker = bench.engine.workers[-1]
            worker.kill()
            worker.wait()
            bench.engine.start_worker()
        ended = bench.engine.wait(run, seconds=40)
    assert ended.state == "completed", ended.error
    assert paper.held["SYN"] == 0
    assert len(bench.table(ended, "orders")) == len(paper.orders) == 26
    assert bench.platform.trading.verify(LOCAL)[1] == []


def test_who_is_no_broker_is_told_before(bench):
    rules = {"type": "rules", "strategy": "name: x\ntimeframe: 1m\nentry: {long: close > 1}\nexit: {long: close < 1}\n"}
    with pytest.raises(InvalidInput, match="finds its fills as its backtest does"):
        bench.start(bench.trader("rules", rules), broker="paper")
    with pytest.raises(InvalidInput, match="there is no source 'nobody'"):
        bench.start(bench.trader("dice", {"type": "random"}), broker="nobody")
