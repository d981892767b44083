"""Sessions as runs: nothing is lost, stop means stop, and what is not completed does not count."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from pitboss.core.errors import Conflict, InvalidInput
from pitboss.core.principal import LOCAL
from pitboss.core.timeframe import parse_timeframe
from support import provider as behaving
from support.engine import Engine, until
from support.provider import Provider
from support.sessions import DAY, RULES, STEPS, Bench

DICE = {"type": "random", "parameters": {"trades": 60, "holding": 5, "seed": 3}}
QUICK = {"decision_seconds": 2.0, "retries": 0, "outage_seconds": 600.0}
KEPT = ("decisions.parquet", "trades.parquet", "orders.parquet", "equity.parquet")


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path, slots={"default": 2, "session": 8}) as made:
        yield made


@pytest.fixture
def bench(engine):
    made = Bench(engine)
    engine.start_worker()
    return made


def contents(bench, run):
    return [bench.path(run, name).read_bytes() for name in KEPT]


def cancelled(bench, run, keep=True):
    """Cancel a run; answer it once it has ended, and within how many seconds that was."""
    asked = time.monotonic()
    bench.engine.service.cancel(LOCAL, run.id, keep)
    ended = bench.engine.wait(run)
    return ended, time.monotonic() - asked


def test_a_cancelled_session_keeps_what_it_did_and_counts_nowhere(bench):
    trader = bench.trader("dice", DICE)
    first = bench.done(trader)
    before = bench.platform.bench.performance(LOCAL, trader.id)
    cash = bench.platform.trading.account(LOCAL, trader.id).cash
    assert (first.state, first.number, before["sessions"]) == ("completed", 1, 1)
    assert float(cash) == pytest.approx(first.result["metrics"]["final_equity"])

    run = bench.start(trader, pace=100)
    bench.engine.wait_progress(run, "trading", 50)
    ended, seconds = cancelled(bench, run)
    assert (ended.state, ended.partial, ended.number) == ("cancelled", True, 2)
    assert seconds < 2.0
    assert 50 <= len(bench.table(ended, "decisions")) < 390
    assert ended.result["metrics"]["orders_filled"] > 0

    again = bench.done(trader)
    assert (again.state, again.number) == ("completed", 3)
    bench.engine.service.cancel(LOCAL, again.id, True)  # too late
    after = bench.platform.bench.performance(LOCAL, trader.id)
    assert after["sessions"] == 2
    fills = bench.platform.trading.trades(LOCAL, trader.id)
    assert {fill.run for fill in fills} == {first.id, again.id}
    assert bench.platform.trading.verify(LOCAL)[1] == []


def test_a_discarded_session_is_reversed_and_gone_from_view(bench):
    trader = bench.trader("dice", DICE)
    run = bench.start(trader, pace=100)
    bench.engine.wait_progress(run, "trading", 60)
    ended, seconds = cancelled(bench, run, keep=False)
    assert (ended.state, ended.partial, ended.result) == ("cancelled", False, None)
    assert seconds < 2.0
    account = bench.platform.trading.account_of_run(run.id)
    assert (account.state, account.cash, account.positions) == ("discarded", 10_000, {})
    assert account.entries > 2  # what was done and what took it back
    assert bench.platform.trading.orders_of(account) == []
    assert bench.platform.trading.verify(LOCAL)[1] == []


def test_a_session_is_stopped_wherever_it_is(bench):
    trader = bench.trader("dice", DICE)
    at_once, _ = cancelled(bench, bench.start(trader))
    assert at_once.state in ("cancelled", "completed")
    late = bench.start(trader, pace=1, fork={"run": bench.done(trader).id, "at_minute": 385})
    bench.engine.wait_progress(late, "trading", 386)
    ended, seconds = cancelled(bench, late)
    again = bench.engine.service.cancel(LOCAL, late.id, True)
    assert ended.state in ("cancelled", "completed")
    assert seconds < 2.0
    assert "already finished" in again.message
    daily = bench.start(trader, symbols=["DLY"], mode="daily", date=None, start="2024-01-02", end="2024-06-01", pace=20)
    bench.engine.wait_progress(daily, "trading", 5)
    stopped, seconds = cancelled(bench, daily)
    assert (stopped.state, seconds < 2.0) == ("cancelled", True)


def test_everything_is_stopped_at_once(bench):
    runs = [bench.start(bench.trader(f"dice {number}", DICE), pace=5) for number in range(4)]
    bench.engine.wait(runs[0], "running")
    stopped = bench.engine.service.stop_everything(LOCAL, True)
    assert {run.id for run in stopped} == {run.id for run in runs}
    assert {bench.engine.wait(run).state.value for run in runs} == {"cancelled"}


@pytest.mark.parametrize("agent", [DICE, {"type": "rules", "strategy": RULES}], ids=["random", "rules"])
def test_killed_again_and_again_a_session_ends_as_if_nothing_had_happened(engine, agent):
    bench = Bench(engine)
    worker = engine.start_worker()
    trader = bench.trader("one", agent)
    whole = contents(bench, bench.done(trader))
    run = bench.start(trader, pace=100, cash=10_000)
    for minute in (10, 90, 200, 310):
        engine.wait_progress(run, "trading", minute)
        worker.kill()
        worker.wait()
        worker = engine.start_worker()
    ended = engine.wait(run)
    assert (ended.state, ended.attempt) == ("completed", 5)
    assert contents(bench, ended) == whole
    assert bench.platform.trading.verify(LOCAL)[1] == []


def test_rules_trade_as_the_backtest_does(bench):
    trader = bench.trader("rules", {"type": "rules", "strategy": RULES})
    for symbols in (["SYN"], ["SYN", "OTH"]):
        session = bench.done(trader, symbols=symbols, cash=10_000)
        asked = {"strategy": RULES, "symbols": symbols, "start": f"{DAY}T14:30", "end": f"{DAY}T21:00"}
        backtest = bench.engine.wait(bench.engine.submit("backtest", asked))
        assert backtest.state == "completed", backtest.error
        trades = bench.table(session, "trades")
        assert len(trades) > 5
        assert trades.equals(bench.table(backtest, "trades"))
        assert session.result["metrics"]["final_equity"] == pytest.approx(backtest.result["final_equity"], abs=1e-5)


def test_a_replay_equals_its_original_and_a_fork_does_up_to_its_minute(bench):
    with Provider(behaving.trade) as provider:
        original = bench.done(bench.model("model", provider.url), timeframe="15m")
        asked = len(provider.asked)
        replay = bench.done(bench.trader("replay", {"type": "replay", "run": original.id}), timeframe="15m")
        assert contents(bench, replay) == contents(bench, original)
        assert len(provider.asked) == asked
        provider.behaviour = behaving.hold
        at = {"run": original.id, "at_minute": 10}
        fork = bench.done(bench.model("other", provider.url), timeframe="15m", fork=at)
        decisions, own = bench.table(original, "decisions"), bench.table(fork, "decisions")
        assert own.head(10).equals(decisions.head(10))
        assert set(own["action"][10:-1]) == {"hold"}
        assert set(decisions["action"][:-1]) == {"buy"}
        assert fork.result["metrics"]["orders_filled"] == 11  # ten that are shared, and the last sale
        with pytest.raises(InvalidInput, match="another date"):
            bench.start(
                bench.trader("late", {"type": "replay", "run": original.id}), date="2024-01-04", timeframe="15m"
            )


def test_a_strategy_goes_on_with_what_another_agent_holds(bench):
    with Provider(behaving.trade) as provider:
        original = bench.done(bench.model("model", provider.url), timeframe="15m")
    rules = bench.trader(
        "rules", {"type": "rules", "strategy": RULES.replace("1m", "15m").replace("ema(close, 15)", "ema(close, 7)")}
    )
    fork = bench.done(rules, timeframe="15m", fork={"run": original.id, "at_minute": 9})
    assert fork.state == "completed", fork.error
    assert bench.table(fork, "decisions").head(9).equals(bench.table(original, "decisions").head(9))
    sold = [order for order in bench.table(fork, "orders").iter_rows(named=True) if order["side"] == "sell"]
    assert sum(order["quantity"] for order in sold[:1]) == 9
    assert bench.platform.trading.verify(LOCAL)[1] == []


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (behaving.status(429, Retry_After="1"), "status 429"), (behaving.status(500), "status 500"),
        (behaving.garbage, ""), (behaving.half, ""), (behaving.inventive, "fly_to_the_moon"),
    ],
    ids=["429", "500", "garbage", "half", "inventive"],
)  # fmt: skip
def test_whatever_a_provider_answers_every_step_has_its_decision_or_its_reason(bench, behaviour, reason):
    with Provider(behaviour) as provider:
        run = bench.done(bench.model("model", provider.url, limits=QUICK), timeframe="15m")
    assert run.state == "completed", run.error
    decisions = bench.table(run, "decisions")
    assert len(decisions) == STEPS
    assert set(decisions["action"]) == {"none"}
    assert all(failure for failure in decisions["failure"])
    assert all(reason in failure for failure in decisions["failure"][:-1]), decisions["failure"][0]


def test_orders_of_a_million_shares_are_refused_to_the_model_and_ruin_nobody(bench):
    with Provider(behaving.greedy) as provider:
        run = bench.done(bench.model("model", provider.url), timeframe="15m")
    decisions = bench.table(run, "decisions")
    assert set(decisions["action"][:-1]) == {"hold"}
    assert "refused: cash 10,000.00, needed" in decisions["reason"][0]
    assert run.result["metrics"]["final_equity"] == 10_000


def test_a_provider_that_is_silent_for_too_long_suspends_the_session_which_is_resumed(bench):
    with Provider(behaving.trade) as provider:
        limits = {"decision_seconds": 0.5, "retries": 0, "outage_seconds": 1.0}
        trader = bench.model("model", provider.url, limits=limits)
        run = bench.start(trader, timeframe="15m", pace=10)
        bench.engine.wait_progress(run, "trading", 5)
        provider.behaviour = behaving.silent
        failed = bench.engine.wait(run)
        assert failed.state == "failed"
        assert "suspended: local has given no answer" in failed.error["message"]
        kept = len(bench.steps(run))
        provider.behaviour = behaving.trade
        resumed = bench.engine.wait(bench.engine.service.resume(LOCAL, run.id))
    assert resumed.state == "completed", resumed.error
    shared = [step.decision for step in bench.steps(run)]
    assert [step.decision for step in bench.steps(resumed)][:kept] == shared
    assert len(bench.table(resumed, "decisions")) == STEPS
    assert bench.platform.bench.performance(LOCAL, trader.id)["sessions"] == 1


def test_a_decision_that_hangs_is_abandoned_when_the_session_is_cancelled(bench):
    with Provider(behaving.silent) as provider:
        run = bench.start(bench.model("model", provider.url), timeframe="15m")
        until(lambda: provider.asked, 20, "the model is asked")
        ended, seconds = cancelled(bench, run)
    assert (ended.state, ended.result["decisions"]["made"]) == ("cancelled", 0)
    assert seconds < 2.0
    assert bench.platform.trading.verify(LOCAL)[1] == []


@pytest.mark.parametrize(
    ("limits", "figure", "most"),
    [
        ({"session_tokens": 500}, "tokens", 610), ({"session_calls": 6}, "model_calls", 6),
        ({"session_cost": 0.001}, "model_cost", 0.0012), ({"decision_tokens": 100}, "tokens", STEPS * 110),
    ],
    ids=["tokens", "calls", "cost", "tokens of a decision"],
)  # fmt: skip
def test_no_session_spends_more_than_its_limit_by_more_than_a_call(bench, limits, figure, most):
    price = {"input": 1.0, "output": 1.0}  # a call is of 110 tokens, 0.00011 dollars
    with Provider(behaving.trade) as provider:
        run = bench.done(bench.model("model", provider.url, limits=limits, price=price), timeframe="15m")
    assert run.state == "completed", run.error
    assert 0 < run.result["metrics"][figure] <= most
    assert any("limit" in failure for failure in bench.table(run, "decisions")["failure"])


def test_a_session_spends_no_more_seconds_than_it_may(bench):
    with Provider(behaving.slow(0.3)) as provider:
        run = bench.done(bench.model("model", provider.url, limits={"session_seconds": 1.0}), timeframe="15m")
    assert run.state == "completed", run.error
    assert 1.0 <= run.result["metrics"]["model_seconds"] < 1.6


def test_somebodys_own_program_decides_at_its_address(bench):
    def decide(handler, body):
        buys = body["step"] == 3
        orders = [{"action": "buy", "symbol": "SYN", "quantity": 2, "reason": "mine"}] if buys else []
        handler.send(200, json.dumps({"orders": orders if body["step"] != 5 else "none", "reason": "so"}).encode())

    with Provider(decide) as program:
        trader = bench.trader("own", {"type": "remote", "endpoint": f"{program.url}/decide"})
        run = bench.done(trader, timeframe="15m")
    assert run.state == "completed", run.error
    decisions = bench.table(run, "decisions")
    assert list(decisions["action"][:5]) == ["hold", "hold", "buy", "hold", "none"]
    assert "gave no decision" in decisions["failure"][4]
    assert run.result["metrics"]["orders_filled"] == 2
    asked = program.asked[3]
    assert (asked["run_id"], asked["step"], len(asked["bars"]["SYN"])) == (run.id, 4, 4)
    assert asked["since_last_step"][0]["status"] == "filled"


def test_somebodys_own_program_asks_for_its_turn_and_answers_it(bench):
    trader = bench.trader("own", {"type": "remote"})
    run, trading = bench.start(trader, timeframe="30m"), bench.platform.trading
    for step in range(1, 13):
        turn = until(lambda n=step: (found := trading.turn(run.id)) and found.number == n and found, 20, f"turn {step}")
        assert bool(turn.asked["portfolio"]["positions"]) == (step > 1)
        orders = [{"action": "buy", "symbol": "SYN", "quantity": 1}] if step == 1 else []
        trading.answer(run.id, step, {"orders": orders, "reason": f"step {step}"})
        with pytest.raises(Conflict):
            trading.answer(run.id, step, {"orders": []})
    ended = bench.engine.wait(run)
    assert ended.state == "completed", ended.error
    assert list(bench.table(ended, "decisions")["reason"][:12]) == [f"step {step}" for step in range(1, 13)]
    assert ended.result["metrics"]["orders_filled"] == 2


def test_secrets_of_an_agent_are_readable_nowhere(bench):
    key = "sk-very-secret-key-of-a-provider"
    bench.platform.vault.put(LOCAL, "PROVIDER_KEY", key)

    def parrot(handler, body):
        handler.answer(f"my key is {handler.headers['Authorization']}")

    with Provider(parrot) as provider:
        run = bench.done(bench.model("model", provider.url, api_key_secret="PROVIDER_KEY"), timeframe="15m")
        assert f"Bearer {key}" in provider.headers[0].values()
    assert run.state == "completed", run.error
    places = [*bench.platform.settings.data_dir.rglob("*")]
    holders = [path.name for path in places if path.is_file() and key.encode() in path.read_bytes()]
    assert holders == []
    assert "my key is Bearer ***" in bench.table(run, "decisions")["reason"][0]


def test_more_sessions_than_slots_take_turns_and_none_is_lost(tmp_path):
    with Engine(tmp_path, slots={"default": 1, "session": 2}) as engine:
        bench = Bench(engine)
        runs = [bench.start(bench.trader(f"dice {number}", DICE)) for number in range(8)]
        worker = engine.start_worker()
        assert {engine.wait(run, seconds=60).state.value for run in runs} == {"completed"}
        assert [run["sessions"] for run in bench.platform.bench.leaderboard(LOCAL)] == [1] * 8
        os.kill(worker.pid, signal.SIGTERM)


def test_mistakes_are_told_before_a_session_is_queued(bench):
    trader = bench.trader("dice", DICE)
    with pytest.raises(InvalidInput) as error:
        bench.start(trader, date="2024-01-06", symbols=["NOPE", "SYN"])
    told = str(error.value)
    assert "NOPE" in told
    assert "SYN has no bars of 1m then" in told
    with pytest.raises(InvalidInput, match="date"):
        bench.engine.submit("audit", {"trader": trader.id, "symbols": ["SYN"], "dates": ["no day\x00"]})
    with pytest.raises(InvalidInput, match="no trader 'nobody'"):
        bench.engine.submit("session", {"trader": "nobody", "symbols": ["SYN"], "date": DAY})


def test_an_audit_finds_who_remembers_the_day_and_who_does_not(bench):
    """One model knows the closes of SYN, and buys at the low of the day that it was trained on; the other does neither."""
    bars = bench.platform.bars.load("SYN", parse_timeframe("15m"))
    rises = {step for step in range(1, STEPS - 1) if bars.open[step + 1] > bars.open[step]}

    def remembers(handler, body):
        text = body["messages"][-1].get("content") or ""
        if "did SYN close" in str(text):
            return handler.answer(f"{bars.close[-1]:.2f}")
        if "tools" not in body:
            return handler.answer("unknown")
        if behaving.called(body):
            return handler.answer("done")
        prompt = body["messages"][-1]["content"]
        step, knows = int(prompt.split("Step ")[1].split()[0]), "SYN, time" in prompt
        held = "You hold nothing" not in prompt
        wants = knows and step in rises
        if wants and not held:
            return handler.answer(calls=[("buy", {"symbol": "SYN", "quantity": 90})])
        if held and not wants:
            return handler.answer(calls=[("sell", {"symbol": "SYN", "quantity": 90})])
        return handler.answer("nothing")

    params = {"symbols": ["SYN"], "dates": [DAY], "timeframe": "15m", "twins": 2, "probes": 1}
    with Provider(remembers) as provider:
        trader = bench.model("knowing", provider.url)
        run = bench.engine.wait(bench.engine.submit("audit", {"trader": trader.id, **params}), seconds=60)
    assert run.state == "completed", run.error
    memory = run.result["memory"]
    assert (memory["probes"], memory["known"], memory["known_of_invented"]) == (1, 1, 0)
    assert run.result["difference"] > 0.005
    assert run.result["edge"] > run.result["twin_edge"]
    said = " ".join(note.message for note in bench.engine.service.report(LOCAL, run.id).notes)
    assert "of 1 closes 1 were known" in said
    assert bench.platform.bench.performance(LOCAL, trader.id)["sessions"] == 0
    with pytest.raises(InvalidInput, match="remembers nothing"):
        bench.engine.submit("audit", {"trader": bench.trader("dice", DICE).id, **params})
