"""The session in its own process."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pitboss.backtesting.universe import Universe
from pitboss.core.errors import InvalidInput, RunCancelled
from pitboss.core.timeframe import Timeframe
from pitboss.kinds.documents.feeds import provider_of, wait
from pitboss.kinds.documents.models import models_in
from pitboss.kinds.session.day import Day, asking_agent
from pitboss.kinds.session.live import MISSED, NO_BAR, Live
from pitboss.kinds.session.params import SessionParams
from pitboss.kinds.session.prepare import identity_of
from pitboss.kinds.session.results import result_of
from pitboss.kinds.session.rules import RulesAgent
from pitboss.kinds.session.ruling import request_of
from pitboss.market.fetching import Feed
from pitboss.market.store import BarStore
from pitboss.runs.context import RunContext
from pitboss.sessions.agents.mailbox import MailboxAgent
from pitboss.sessions.agents.random import RandomAgent
from pitboss.sessions.agents.replay import ReplayAgent
from pitboss.sessions.agents.spec import AgentSpec
from pitboss.sessions.broker import BrokerDesk
from pitboss.sessions.decisions import Decision, decision_of
from pitboss.sessions.desk import StoredDesk
from pitboss.sessions.limits import Suspended
from pitboss.sessions.session import Agent, Session, holdings_of
from pitboss.strategy.times import times_of
from pitboss.trading.model import OrderAnswer, OrderStatus
from pitboss.trading.ports import AccountQuery, Step

LOOK_SECONDS = 0.05
USUAL_TRADES, USUAL_HOLDING = 10, 30


def run(params: SessionParams, context: RunContext) -> dict[str, Any]:
    """Trade; see `runs.kinds.Kind`."""
    context.begin_stage("loading")
    trading = Trading(params, context)
    session = trading.session
    saved = context.restore(identity_of(context.snapshot, params))
    shared = trading.shared(saved)
    trading.take_up(saved, shared)
    context.check_cancel()
    context.begin_stage("trading", len(session.ticks), session.reached)
    _trade(trading, shared, context)
    context.end_stage(session.reached)
    if session.is_over:
        trading.tell_end(session.finish())
        context.begin_results()
    elif context.keeps_partial:
        context.checkpoint_at_cancel(trading.state())
    else:
        raise RunCancelled("the session was cancelled")
    return result_of(session, trading.rules, context)


def _trade(trading: Trading, shared: Mapping[int, Decision], context: RunContext) -> None:
    """Do one step after the other, those that are `shared` with another session first, until the end or a cancel."""
    session = trading.session
    pace = Pace(trading.params.pace, trading.day.timeframe)
    while not session.is_over and not context.is_cancelled:
        try:
            trading.check()
            trading.tell(session.advance(shared.get(session.reached + 1) or trading.come()))
        except RunCancelled:
            return
        if context.is_checkpoint_due or session.reached == trading.taken_up + 1:  # the engine sees that it gets on
            context.checkpoint(trading.state())
        if session.reached + 1 not in shared:
            pace.wait(context, trading)


@dataclass
class Pace:
    """How fast a session goes: as it can, so many steps a second, or as time does."""

    pace: str
    timeframe: Timeframe
    _due: float = field(default_factory=time.monotonic)

    def wait(self, context: RunContext, trading: Trading) -> None:
        """Wait until the next step is due, or the run is to end."""
        if self.pace == "max" or trading.session.is_over:
            return
        self._due += self.timeframe.micros / 1e6 if self.pace == "real" else 1.0 / float(self.pace)
        while (left := self._due - time.monotonic()) > 0 and not context.is_cancelled:
            if context.is_suspended:  # the steps are kept
                context.checkpoint(trading.state())
            time.sleep(min(left, LOOK_SECONDS))


class Trading:
    """All that a session is made of, as its run's process has it."""

    def __init__(self, params: SessionParams, context: RunContext) -> None:
        self.params, self.context, self.snapshot = params, context, context.snapshot
        self.day = Day(params, context.snapshot, context)
        self.spec = self.day.spec
        self.store, self.holder, owner = context.resource("trading")
        context.check_cancel()
        self.rules: RulesAgent | None = None
        self.taken_up = 0  # steps that earlier attempts have done
        self.desk, self.live = self._desk(owner), self._live()
        self.session = Session(
            ticks=self.day.ticks, gate=self.day.gate(), desk=self.desk, agent=self._agent(),
            masked=context.masker.text, early=int(self.live is not None and isinstance(self.desk, BrokerDesk)),
        )  # fmt: skip

    def _desk(self, owner: str) -> StoredDesk:
        begin, trader = self.day.ticks[0].at, self.snapshot["trader"]["id"]
        account = self.store.open(trader, self.day.terms, self.day.cash, begin, self.holder)
        if "broker" not in self.snapshot:
            return StoredDesk(self.store, owner, self.holder, account.id)
        from pitboss.sessions.alpaca import AlpacaBroker  # its library is of those who have one

        config, folder = self.snapshot["broker"]["config"], self.context.world.data_dir / "sources"
        secret = self.context.secrets[config["secret"]]
        broker = AlpacaBroker(config, secret, folder, self.context.check_cancel)
        broker.listen()
        return BrokerDesk(self.store, owner, self.holder, account.id, broker=broker)

    def _agent(self) -> Agent:
        match self.spec.type:
            case "rules":
                self.rules = self._rules()
                return self.rules
            case "replay":
                is_rules = "strategy" in self.snapshot and not self.snapshot["is_mixed"]
                self.rules = self._rules() if is_rules else None
                return self.rules or ReplayAgent()
            case "random":
                return self._random()
            case "remote" if self.spec.endpoint is None:
                return MailboxAgent(self.spec, self.store, self.holder, self.context.check_cancel)
        return asking_agent(self.spec, self.context)

    def _random(self) -> RandomAgent:
        given = self.spec.parameters
        trades, holding = given.get("trades", USUAL_TRADES), given.get("holding", USUAL_HOLDING)
        if "shared" in self.snapshot and self.spec.run is not None:
            trades, holding = self._as_often(holding)
        seed = given.get("seed", int(self.snapshot["data"][0]["digest"][:8], 16))
        rules = self.day.terms.rules
        return RandomAgent(
            trades, holding, seed, len(self.day.ticks), tuple(self.snapshot["symbols"]), rules.short,
            not rules.fractional,
        )  # fmt: skip

    def _as_often(self, holding: int) -> tuple[int, int]:
        """Answer how often the session that this one is the baseline of traded, and for how many steps each."""
        run = self.snapshot["shared"]["run"]
        accounts = self.store.accounts(AccountQuery(run=run))
        fills = self.store.orders([account.id for account in accounts], status=OrderStatus.FILLED)
        held = holdings_of(fills, self.store.reached(run))
        return max(1, len(held)), max(1, round(sum(held) / len(held))) if held else holding

    def _ruling(self) -> AgentSpec:
        return self.spec if self.spec.type == "rules" else AgentSpec.model_validate(self.snapshot["shared"]["agent"])

    def _rules(self) -> RulesAgent:
        request = request_of(
            self.params, self.snapshot["strategy"]["text"], self._ruling(), self.snapshot["strategy_timeframe"]
        )
        store: BarStore = self.context.resource("bars").at(self.snapshot.get("places", ()))
        first, end = self.day.ticks[0].at, self.day.end
        bars = {}
        for symbol in request.all_symbols:
            whole = store.load(symbol, request.timeframe)
            bars[symbol] = whole.where((whole.ts >= first) & (whole.ts < end))
        times = times_of(request.document, {symbol: self.day.times.sessions[symbol] for symbol in self.day.bars})
        models = models_in(self.snapshot, self.context.files)
        universe = Universe(tuple(self.snapshot["symbols"]), bars, request.timeframe, times, models=models)
        shared = self.params.fork["at_minute"] if self.params.fork and self.snapshot["is_mixed"] else 0
        return RulesAgent(
            request, self.day.terms.costs, universe, float(self.snapshot["cash"]),
            adopts_at=shared + 1 if shared else None,
        )  # fmt: skip

    def shared(self, saved: dict[str, Any] | None) -> dict[int, Decision]:
        """Answer by their steps the decisions of an earlier session that are taken over: of what this one forks,
        replays or resumes."""
        steps: list[Step] = []
        if self.params.fork is not None and (until := self.params.fork["at_minute"]):
            steps = self.store.steps(self.snapshot["shared"]["run"], until=until)
            if len(steps) < until:
                what = f"the session that is forked has {len(steps)} steps"
                raise InvalidInput(what, "fork it at one", "fork.at_minute")
        elif self.spec.type == "replay":
            steps = self.store.steps(self.snapshot["shared"]["run"])
        if saved is not None and saved["run"] != self.context.run_id:
            steps += self.store.steps(saved["run"])  # which may have ended amid what it shares
        return {step.number: decision_of(step.decision) for step in steps}

    def come(self) -> Decision | None:
        """Wait for the next step where minutes are traded as they come; answer the decision where there is none to be
        made."""
        if self.live is None:
            return None
        tick = self.session.ticks[self.session.reached]
        if self.live.is_missed(tick):
            return Decision(failure=MISSED)
        bars = self.live.bars(tick, self.day.end)
        self.session.gate.renew(bars)
        has_come = any(self.live.has_bar(each, tick) for each in bars.values())
        return None if has_come else Decision(failure=NO_BAR)

    def _live(self) -> Live | None:
        if "live" not in self.snapshot:
            return None
        context, name = self.context, self.snapshot["live"]["name"]
        feed = Feed(provider_of(context, "live"), BarStore(context.files, self.snapshot["home"]))
        return Live(
            feed, self.snapshot["symbols"], self.day.timeframe, lambda seconds: wait(seconds, context, name),
            lambda what: context.log(what, "warning"),
        )  # fmt: skip

    def take_up(self, saved: Mapping[str, Any] | None, shared: Collection[int]) -> None:
        """Go on after the steps that earlier attempts have done; those that are `shared` come of another session."""
        self._begin_at_broker(saved)
        self.session.take_up()
        self.taken_up = max(self.session.reached, *shared, 0)

    def _begin_at_broker(self, saved: Mapping[str, Any] | None) -> None:
        """Take note of what a broker holds of other origin, as it was when the session began.

        A session that goes on from another run finds the orders of that at the broker, instead of placing them anew.
        """
        if not isinstance(self.desk, BrokerDesk):
            return
        if saved is not None and "baseline" in saved:
            self.desk.baseline = {symbol: Decimal(shares) for symbol, shares in saved["baseline"].items()}
            self.desk.origin = saved["origin"]
            return
        self.desk.begin(tuple(self.snapshot["symbols"]))
        self.context.checkpoint(self.state())

    def check(self) -> None:
        """Hold the ledger against what a broker has. Raises Suspended where they differ.

        Not before the first step of an attempt: what was on its way when the one before ended is yet to be noted.
        """
        if isinstance(self.desk, BrokerDesk) and self.session.reached > self.taken_up:
            self.desk.reconcile()

    def state(self) -> dict[str, Any]:
        """Answer what a checkpoint says: the steps are in the database."""
        state: dict[str, Any] = {"run": self.context.run_id, "steps": self.session.reached}
        if isinstance(self.desk, BrokerDesk):
            state["baseline"] = {symbol: str(shares) for symbol, shares in self.desk.baseline.items()}
            state["origin"] = self.desk.origin
        return state

    def tell_end(self, answers: list[OrderAnswer]) -> None:
        """Say what was closed at the end. Raises Suspended where a broker did not close it."""
        if answers:
            self.context.item("end", {"fills": [answer.as_dict() for answer in answers]})
        if left := self.session.desk.account().positions:
            what = ", ".join(f"{position.quantity} {symbol}" for symbol, position in left.items())
            raise Suspended(f"the session has ended, and {what} stayed open", "close them yourself: nothing is booked")

    def tell(self, item: dict[str, Any]) -> None:
        """Say what was decided at a step, and how far the session is."""
        session = self.session
        self.context.item(str(item["minute"]), item)
        spent = session.spent
        metrics = {
            "trade_count": session.filled, "equity": item["equity"], "tokens": spent.tokens,
            "model_cost": None if spent.cost is None else round(spent.cost, 6),
        }  # fmt: skip
        total = len(session.ticks)
        known = {name: value for name, value in metrics.items() if value is not None}
        self.context.report(
            session.reached, current_item=item["at"], message=f"minute {session.reached} of {total}", **known
        )
