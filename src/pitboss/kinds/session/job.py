"""The session in its own process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pitboss.backtesting.universe import Universe
from pitboss.calendars.sessions import parse_session
from pitboss.core.errors import InvalidInput, RunCancelled
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kinds.session.params import SessionParams
from pitboss.kinds.session.prepare import identity_of, request_of
from pitboss.kinds.session.results import result_of
from pitboss.kinds.session.rules import RulesAgent
from pitboss.market.store import BarStore, session_of
from pitboss.runs.context import RunContext
from pitboss.sessions.agents.random import RandomAgent
from pitboss.sessions.agents.remote import WebhookAgent
from pitboss.sessions.agents.replay import ReplayAgent
from pitboss.sessions.agents.spec import AgentSpec
from pitboss.sessions.clock import Tick, days_of, minutes_of
from pitboss.sessions.decisions import Decision, decision_of
from pitboss.sessions.desk import StoredDesk
from pitboss.sessions.gate import Gate, News
from pitboss.sessions.session import Agent, Session
from pitboss.strategy.times import Times, times_of
from pitboss.trading.model import OrderAnswer, exact, terms_of
from pitboss.trading.ports import Holder, TradingStore

NEWS = "news"  # folder of dated texts in the data folder
LOOK_SECONDS = 0.05
USUAL_TRADES, USUAL_HOLDING = 10, 30


def run(params: SessionParams, context: RunContext) -> dict[str, Any]:
    """Trade; see `runs.kinds.Kind`."""
    context.begin_stage("loading")
    trading = Trading(params, context)
    session = trading.session
    saved = context.restore(identity_of(context.snapshot, params))
    shared = trading.shared(saved)
    session.take_up()
    context.check_cancel()
    context.begin_stage("trading", len(session.ticks), session.reached)
    pace = Pace(params.pace, parse_timeframe(context.snapshot["timeframe"]))
    while not session.is_over and not context.is_cancelled:
        try:
            trading.tell(session.advance(shared.get(session.reached + 1)))
        except RunCancelled:
            break
        trading.hand_over()
        if context.is_checkpoint_due:
            context.checkpoint({"run": context.run_id, "steps": session.reached})
        if session.reached + 1 not in shared:
            pace.wait(context, session)
    context.end_stage(session.reached)
    if session.is_over:
        trading.tell_end(session.finish())
        context.begin_results()
    elif context.keeps_partial:
        context.checkpoint_at_cancel({"run": context.run_id, "steps": session.reached})
    else:
        raise RunCancelled("the session was cancelled")
    return result_of(trading.session, trading.rules, context)


@dataclass
class Pace:
    """How fast a session goes: as it can, so many steps a second, or as time does."""

    pace: str
    timeframe: Timeframe
    _due: float = field(default_factory=time.monotonic)

    def wait(self, context: RunContext, session: Session) -> None:
        """Wait until the next step is due, or the run is to end."""
        if self.pace == "max" or session.is_over:
            return
        self._due += self.timeframe.micros / 1e6 if self.pace == "real" else 1.0 / float(self.pace)
        while (left := self._due - time.monotonic()) > 0 and not context.is_cancelled:
            if context.is_suspended:  # the steps are kept
                context.checkpoint({"run": context.run_id, "steps": session.reached})
            time.sleep(min(left, LOOK_SECONDS))


class Trading:
    """All that a session is made of, as its run's process has it."""

    def __init__(self, params: SessionParams, context: RunContext) -> None:
        self.params, self.context, self.snapshot = params, context, context.snapshot
        self.spec = AgentSpec.model_validate(self.snapshot["agent"])
        self.store, holder, owner = context.resource("trading")
        self.timeframe = parse_timeframe(self.snapshot["timeframe"])
        self.ticks = self._ticks()
        self.bars = self._bars(context.resource("bars").at(self.snapshot.get("places", ())))
        context.check_cancel()
        news = News.of_folder(context.world.data_dir / NEWS)
        if news.undated:
            context.log(f"{news.undated:,} texts in {NEWS} have no date, and are not shown", "warning")
        self.gate = Gate(self.bars, self.timeframe, self.times, news)
        self.rules: RulesAgent | None = None
        agent = self._agent()
        self.session = Session(
            ticks=self.ticks, gate=self.gate, desk=self._desk(self.store, holder, owner), agent=agent,
            masked=context.masker.text,
        )  # fmt: skip

    def _ticks(self) -> list[Tick]:
        calendar = self.snapshot["calendar"]
        if self.params.mode == "daily":
            return days_of(calendar, self.params.start or "", self.params.end or "")
        minutes = minutes_of(calendar, self.params.date or "", self.params.session)
        length = self.timeframe.micros
        steps = [tick for tick in minutes if (tick.at - minutes[0].at) % length == 0]
        return [Tick(number, tick.at, tick.at + length) for number, tick in enumerate(steps, 1)]

    def _bars(self, store: BarStore) -> dict[str, BarArrays]:
        """Load the bars of the symbols up to the end of the session, and make sure that they are the promised ones."""
        found, sessions = {}, {}
        for promised in self.snapshot["data"]:
            symbol = promised["symbol"]
            bars, _, digest = store.seen(symbol, self.timeframe)
            series = store.find(symbol, self.timeframe)
            if promised["digest"] not in (digest, series.digest):
                what = f"the bars of {symbol} have changed since the run was submitted"
                raise InvalidInput(what, "start the session again on the newest", "symbols")
            end = self.ticks[-1].at + self.timeframe.micros
            found[symbol] = bars.head(int((bars.ts < end).sum()))
            if (own := session_of(series)) is not None:
                sessions[symbol] = own
        calendar = parse_session(self.snapshot["calendar"])
        self.times = Times({symbol: sessions.get(symbol, calendar) for symbol in found})
        return found

    def _desk(self, store: TradingStore, holder: Holder, owner: str) -> StoredDesk:
        terms, cash = terms_of(self.snapshot["terms"]), exact(self.snapshot["cash"])
        account = store.open(self.snapshot["trader"]["id"], terms, Decimal(cash), self.ticks[0].at, holder)
        return StoredDesk(store, owner, holder, account.id)

    def _agent(self) -> Agent:
        spec, key = self.spec, self.context.secrets.get(self.spec.api_key_secret or "", "")
        check = self.context.check_cancel
        match spec.type:
            case "rules":
                self.rules = self._rules()
                return self.rules
            case "replay":
                is_rules = "strategy" in self.snapshot and not self.snapshot["is_mixed"]
                self.rules = self._rules() if is_rules else None
                return self.rules or ReplayAgent()
            case "random":
                return self._random()
            case "remote":
                return WebhookAgent(spec, "the agent", check, key=key, run_id=self.context.run_id)
        from pitboss.sessions.agents.llm import ModelAgent  # its libraries are of one kind of agent alone

        return ModelAgent(spec, spec.model or "the model", check, key=key)

    def _random(self) -> RandomAgent:
        given = self.spec.parameters
        trades, holding = given.get("trades", USUAL_TRADES), given.get("holding", USUAL_HOLDING)
        if "shared" in self.snapshot and self.spec.run is not None:
            trades, holding = self._as_often(holding)
        seed = given.get("seed", int(self.snapshot["data"][0]["digest"][:8], 16))
        rules = terms_of(self.snapshot["terms"]).rules
        return RandomAgent(
            trades, holding, seed, len(self.ticks), tuple(self.snapshot["symbols"]), rules.short, not rules.fractional
        )

    def _as_often(self, holding: int) -> tuple[int, int]:
        """Answer how often the session that this one is the baseline of traded, and for how many steps each."""
        steps = self.store.steps(self.snapshot["shared"]["run"])
        entries = [
            step.number for step in steps for each in step.decision["intents"] if each["action"] in ("buy", "short")
        ]
        exits = [
            step.number for step in steps for each in step.decision["intents"] if each["action"] in ("sell", "cover")
        ]
        held = [later - earlier for earlier, later in zip(entries, exits, strict=False) if later > earlier]
        return max(1, len(entries)), max(1, round(sum(held) / len(held))) if held else holding

    def _ruling(self) -> AgentSpec:
        return self.spec if self.spec.type == "rules" else AgentSpec.model_validate(self.snapshot["shared"]["agent"])

    def _rules(self) -> RulesAgent:
        request = request_of(
            self.params, self.snapshot["strategy"]["text"], self._ruling(), self.snapshot["strategy_timeframe"]
        )
        store: BarStore = self.context.resource("bars").at(self.snapshot.get("places", ()))
        first, end = self.ticks[0].at, self.ticks[-1].at + self.timeframe.micros
        bars = {}
        for symbol in request.all_symbols:
            whole = store.load(symbol, request.timeframe)
            bars[symbol] = whole.where((whole.ts >= first) & (whole.ts < end))
        times = times_of(request.document, {symbol: self.times.sessions[symbol] for symbol in self.bars})
        universe = Universe(tuple(self.snapshot["symbols"]), bars, request.timeframe, times)
        costs = terms_of(self.snapshot["terms"]).costs
        return RulesAgent(request, costs, universe, float(self.snapshot["cash"]))

    def shared(self, saved: dict[str, Any] | None) -> dict[int, Decision]:
        """Answer by their steps the decisions of an earlier session that are taken over: of what this one forks,
        replays or resumes."""
        earlier, until = None, None
        if saved is not None and saved["run"] != self.context.run_id:
            earlier = saved["run"]
        elif self.params.fork is not None:
            earlier, until = self.snapshot["shared"]["run"], self.params.fork["at_minute"]
        elif self.spec.type == "replay":
            earlier = self.snapshot["shared"]["run"]
        steps = self.store.steps(earlier, until=until) if earlier is not None and until != 0 else []
        if until is not None and len(steps) < until:
            raise InvalidInput(f"the session that is forked has {len(steps)} steps", "fork it at one", "fork.at_minute")
        return {step.number: decision_of(step.decision) for step in steps}

    def hand_over(self) -> None:
        """Have a strategy go on with what the agent held that was forked, once that is at its minute."""
        fork = self.params.fork
        if fork is not None and self.rules is not None and self.snapshot["is_mixed"]:
            self.rules.adopts = self.session.reached == fork["at_minute"]

    def tell_end(self, answers: list[OrderAnswer]) -> None:
        """Say what was closed at the end."""
        if answers:
            self.context.item("end", {"fills": [answer.as_dict() for answer in answers]})

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
