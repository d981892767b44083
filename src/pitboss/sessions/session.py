"""A session: at each step what is due is filled, the agent decides, and the step is kept.

What an agent orders at a step fills at the next opening of a bar of its symbol. A step is kept in one transaction,
after what was due at its opening and before what it orders: a session that is interrupted anywhere goes on after its
last step, and ends as if nothing had happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol

import numpy as np

from pitboss.core.clock import micros_to_iso
from pitboss.sessions.clock import Tick
from pitboss.sessions.decisions import Decision, Intent, Usage, decision_of
from pitboss.sessions.desk import Desk
from pitboss.sessions.gate import Gate
from pitboss.trading.book import financing_of, is_called
from pitboss.trading.model import ZERO, Account, Action, Order, OrderAnswer, Source, exact
from pitboss.trading.ports import Quote, Step

THE_END = "the session ends with this step: what is open is closed at its last price"
CLOSED, CALLED = "end of session", "liquidation"
MOST_INTENTS = 100  # of a decision


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an agent is handed at a step, besides the gate: where the session is, and what came of what it ordered."""

    tick: Tick
    total: int
    account: Account
    answers: Sequence[OrderAnswer]
    waiting: Sequence[Intent]
    spent: Usage
    gate: Gate
    recent: Sequence[str] = ()


class Agent(Protocol):
    """Decides; see `Decision` for what is simulated."""

    is_simulated: bool

    def decide(self, view: View) -> Decision:
        """Answer a decision. Raises RunCancelled when the run is to end, Suspended when it cannot go on for now."""

    def follow(self, tick: Tick, decision: Decision) -> None:
        """Take note of a step that was decided before this process was there."""


@dataclass(kw_only=True)
class Session:
    """A session under way. `masked` hides secrets in what is kept; `early` is how many steps before its end positions
    are closed, where the market has closed once the last is known."""

    ticks: Sequence[Tick]
    gate: Gate
    desk: Desk
    agent: Agent
    masked: Callable[[str], str] = lambda text: text
    early: int = 0
    reached: int = 0
    spent: Usage = field(default_factory=Usage)
    waiting: list[tuple[str, Intent]] = field(default_factory=list)
    answers: list[OrderAnswer] = field(default_factory=list)  # since the last decision
    recent: list[str] = field(default_factory=list)
    filled: int = 0  # orders
    is_simulated: bool = False  # the step that is done
    begun: frozenset[str] = frozenset()  # keys of orders that an earlier attempt placed

    @property
    def is_over(self) -> bool:
        return self.reached >= len(self.ticks)

    def take_up(self) -> None:
        """Go on after the steps that are kept."""
        for step in self.desk.steps():
            tick = self.ticks[step.number - 1]
            decision = decision_of(step.decision)
            self.agent.follow(tick, decision)
            self.is_simulated = decision.is_simulated
            self._note(tick, decision, step.decision["waiting"])
            self.gate.now = tick.known
        orders = self.desk.orders()
        self.begun = frozenset(order.key for order in orders)
        self.filled = sum(order.is_filled for order in orders)
        self._fill_priced()

    def advance(self, decided: Decision | None = None) -> dict[str, Any]:
        """Do the next step, with what was `decided` elsewhere where that is given; answer its short form."""
        tick = self.ticks[self.reached]
        self.is_simulated = self.agent.is_simulated if decided is None else decided.is_simulated
        self._fill_due(tick)
        account = self._seen(tick)
        decision = self._decided(tick, account) if decided is None else decided
        if decided is not None:
            self.agent.follow(tick, decision)
        charges = self._charges(tick, account, decision)
        marks = {symbol: position.mark for symbol, position in account.positions.items()}
        waiting = [[key, intent.as_dict()] for key, intent in self.waiting]
        equity = account.equity - sum((amount for _, amount in charges), ZERO)
        kept = {**decision.as_dict(), "waiting": waiting, "equity": float(equity)}
        kept = json.loads(self.masked(json.dumps(kept, allow_nan=False, default=str)))
        self.desk.commit(Step(number=tick.number, at=tick.at, decision=kept), marks, charges)
        before, self.answers = self.answers, []
        self._note(tick, decision, waiting)
        self._fill_priced()
        if self.early and self._is_last(tick):
            self._close_all(tick.known, "close", CLOSED)
        return self._short(tick, decision, equity, [*before, *self.answers])

    def finish(self) -> list[OrderAnswer]:
        """Close what is open at its last price, and refuse what still waits; answer what came of that."""
        self.answers = []
        known = self.ticks[self.reached - 1].known if self.reached else 0
        for key, intent in self.waiting:
            self._execute(key, intent, known, Quote(None, f"the session ended before {intent.symbol} traded again"))
        self.waiting = []
        self._close_all(known, "close", CLOSED)
        return self.answers

    def _decided(self, tick: Tick, account: Account) -> Decision:
        if self._is_last(tick) and not self.is_simulated:
            return Decision(failure=THE_END)
        self.gate.taken()
        view = View(
            tick=tick, total=len(self.ticks), account=account, answers=list(self.answers),
            waiting=[intent for _, intent in self.waiting], spent=self.spent, gate=self.gate, recent=self.recent[-5:],
        )  # fmt: skip
        decision = self.agent.decide(view)
        intents = decision.intents if self.is_simulated else decision.intents[:MOST_INTENTS]
        return replace(decision, intents=intents, shown=(*decision.shown, *self.gate.taken()))

    def _is_last(self, tick: Tick) -> bool:
        """Tell whether nothing is decided at a step any more, since it would not be filled."""
        return tick.number >= len(self.ticks) - self.early

    def _note(self, tick: Tick, decision: Decision, waiting: Sequence[Sequence[Any]]) -> None:
        """Take a step as done: its orders wait from now on."""
        self.reached = tick.number
        self.spent = self.spent.plus(decision.usage)
        self.recent = [*self.recent[-4:], f"{micros_to_iso(tick.at)} {decision.action}: {decision.reason[:200]}"]
        earlier = [(str(key), Intent(**{**given, "action": Action(given["action"])})) for key, given in waiting]
        placed = [(f"{tick.number}.{at}", intent) for at, intent in enumerate(decision.intents, 1)]
        self.waiting = [*earlier, *placed]

    def _fill_priced(self) -> None:
        """Execute the orders whose fills are found already."""
        for key, intent in self.waiting:
            if intent.price is not None:
                self._execute(key, intent, intent.at or self.ticks[self.reached - 1].at, Quote(Decimal(intent.price)))
        self.waiting = [(key, intent) for key, intent in self.waiting if intent.price is None]

    def _fill_due(self, tick: Tick) -> None:
        """Execute the orders of symbols that open a bar at a step."""
        left = []
        for key, intent in self.waiting:
            price = self._open_of(intent.symbol, tick)
            if price is not None:
                self._execute(key, intent, tick.at, Quote(price))
            elif intent.symbol not in self.gate.bars:
                self._execute(key, intent, tick.at, Quote(None, f"{intent.symbol} is not traded in this session"))
            else:
                left.append((key, intent))
        self.waiting = left

    def _open_of(self, symbol: str, tick: Tick) -> Decimal | None:
        bars = self.gate.bars.get(symbol)
        if bars is None:
            return None
        at = int(np.searchsorted(bars.ts, tick.at))
        return exact(float(bars.open[at])) if at < len(bars.ts) and bars.ts[at] == tick.at else None

    def _execute(self, key: str, intent: Intent, at: int, quote: Quote, is_forced: bool = False) -> None:
        order = Order(
            key=key, action=intent.action, symbol=intent.symbol[:64], quantity=Decimal(intent.quantity), at=at,
            source=Source.STRATEGY if self.is_simulated else Source.AI,
            price=None if intent.price is None else Decimal(intent.price),
            is_forced=is_forced or intent.price is not None, reason=intent.reason[:500],
        )  # fmt: skip
        answer = self.desk.execute(order, quote)
        self.answers.append(answer)
        self.filled += answer.is_filled

    def _seen(self, tick: Tick) -> Account:
        """Set the clock to the end of a step; answer the account as it is worth then, after margin calls."""
        self.gate.now = tick.known
        account = self._marked(self.desk.account())
        call = f"{tick.number}.called"
        is_begun = any(key.startswith(f"{call}.") for key in self.begun)  # a kill left it with some positions open
        if is_begun or (not self.is_simulated and is_called(account)):
            self._close_all(tick.known, call, CALLED)
            account = self._marked(self.desk.account())
        return account

    def _marked(self, account: Account) -> Account:
        held = {
            symbol: replace(position, mark=self.gate.price(symbol) or position.mark)
            for symbol, position in account.positions.items()
        }
        return replace(account, positions=held)

    def _charges(self, tick: Tick, account: Account, decision: Decision) -> tuple[tuple[str, Decimal], ...]:
        """Answer what holding positions has cost since the step before."""
        if self.is_simulated:
            return tuple((name, Decimal(amount)) for name, amount in decision.charges)
        before = self.ticks[tick.number - 2].known if tick.number > 1 else tick.at
        return financing_of(account, tick.known - before)

    def _close_all(self, at: int, key: str, why: str) -> None:
        account = self.desk.account()
        longs_first = sorted(account.positions.values(), key=lambda position: -position.side)
        for position in longs_first:
            action = Action.SELL if position.side > 0 else Action.COVER
            quantity = str(abs(position.quantity))
            intent = Intent(action=action, symbol=position.symbol, quantity=quantity, reason=why)
            price = self.gate.price(position.symbol) or position.mark
            self._execute(f"{key}.{position.symbol}", intent, at, Quote(price), is_forced=True)

    def _short(
        self, tick: Tick, decision: Decision, equity: Decimal, came: Sequence[OrderAnswer]
    ) -> dict[str, Any]:  # fmt: skip
        usage = decision.usage
        return {
            "minute": tick.number, "at": micros_to_iso(tick.at), "action": decision.action,
            "orders": len(decision.intents), "fills": [answer.as_dict() for answer in came],
            "reason": (decision.failure or decision.reason)[:300],
            "equity": round(float(equity), 2), "tokens": usage.tokens, "cost": usage.cost,
            "seconds": round(usage.seconds, 3),
        }  # fmt: skip


def holdings_of(answers: Sequence[OrderAnswer], last: int) -> list[int]:
    """Answer for how many steps each position that was closed had been held; what closed it at the end did so at the
    `last` step."""
    entered: dict[str, int] = {}
    held = []
    for answer in (each for each in answers if each.is_filled):
        number = answer.key.partition(".")[0]
        step = int(number) if number.isdigit() else last
        if answer.action.is_opening:
            entered.setdefault(answer.symbol, step)
        elif answer.position == 0 and answer.symbol in entered:
            held.append(step - entered.pop(answer.symbol))
    return held


def round_trips(answers: Sequence[OrderAnswer]) -> list[Mapping[str, Any]]:
    """Answer what fills closed, one row a close, by the columns of a backtest's trades: entries at their average price,
    with the share of their fees that falls to what was closed."""
    lots: dict[str, list[Any]] = {}  # of each symbol: shares, cost, fees, when it was opened
    rows: list[Mapping[str, Any]] = []
    for answer in (each for each in answers if each.is_filled):
        assert answer.price is not None
        quantity, price, fee = float(answer.quantity), float(answer.price), float(answer.fee)
        shares, cost, fees, opened = lots.get(answer.symbol, (0.0, 0.0, 0.0, answer.at))
        if answer.action.is_opening:
            lots[answer.symbol] = [shares + quantity, cost + quantity * price, fees + fee, opened]
            continue
        part = quantity / shares if shares else 1.0
        entry, entry_fees = cost / shares if shares else price, fees * part
        side = 1 if answer.action is Action.SELL else -1
        commission = entry_fees + fee
        pnl = side * quantity * (price - entry) - commission
        rows.append(
            {
                "symbol": answer.symbol, "side": "long" if side > 0 else "short", "quantity": quantity,
                "entry_ts": opened, "entry_price": entry, "exit_ts": answer.at, "exit_price": price, "pnl": pnl,
                "return": pnl / (quantity * entry), "commission": commission, "borrow": 0.0,
                "exit_reason": answer.reason if answer.reason in (CLOSED, CALLED) else "order",
            }
        )  # fmt: skip
        if answer.position == 0:
            lots.pop(answer.symbol, None)
        else:
            lots[answer.symbol] = [shares - quantity, cost * (1 - part), fees - entry_fees, opened]
    return rows
