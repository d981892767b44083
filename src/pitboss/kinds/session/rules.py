"""A trader by rules: the backtest's own loop, bar by bar, so that a session trades as the backtest does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np

from pitboss.backtesting.engine import Outcome, Simulation, rules_of
from pitboss.backtesting.universe import Universe
from pitboss.calendars.sessions import bar_ends
from pitboss.kernel import account as k
from pitboss.kernel.account import Row
from pitboss.kernel.panel import new_panel
from pitboss.kinds.documents.prepare import Request
from pitboss.sessions.clock import Tick
from pitboss.sessions.decisions import Decision, Intent
from pitboss.sessions.session import View
from pitboss.strategy.document import Costs
from pitboss.trading.model import Account, Action, exact, money

AT_OPEN = (k.BY_SIGNAL, k.BY_MAX_BARS, k.BY_TIME)


@dataclass
class RulesAgent:
    """Trades a strategy over a universe: what the loop of backtests fills is what it orders, price and size included.

    The loop sees a bar once it has ended; that it looks no further is what a property test of the language holds.
    """

    request: Request
    costs: Costs
    universe: Universe
    cash: float
    is_simulated: bool = True
    adopts_at: int | None = None  # the step at which it goes on with what another agent holds
    simulation: Simulation = field(init=False)

    def __post_init__(self) -> None:
        rules = rules_of(self.request.program, self.request.sizing, self.costs)
        self.simulation = Simulation(self.request.program, rules, self.universe, self.cash, new_panel())
        self.simulation.piece = 1
        first = self.universe.symbols[0]
        session = self.universe.times.sessions.get(first)
        self._ends = bar_ends(self.universe.timeline, self.universe.timeframe, session)
        self._charged: dict[str, Decimal] = {}

    def decide(self, view: View) -> Decision:
        adopted = described(view.account) if view.tick.number == self.adopts_at else None
        return replace(self._advanced(view.tick, adopted), adopted=adopted)

    def follow(self, tick: Tick, decision: Decision) -> None:
        """Have the loop where it was after a step."""
        self._advanced(tick, decision.adopted)

    def _adopt(self, account: Mapping[str, Any]) -> None:
        """Take what an account holds, however it came to that: a stop is set as if it were entered now."""
        state, levels = self.simulation.state, self.simulation.levels
        t, rules = self.simulation.reached - 1, self.simulation.rules[0]
        held = account["positions"]
        state.account[0]["cash"] = float(account["cash"])
        state.account[0]["open"] = len(held)
        state.account[0]["short"] = sum(float(quantity) < 0 for quantity, _, _ in held.values())
        for s, symbol in enumerate(self.universe.symbols):
            position = state.positions[s]
            for name in ("side", "entry_due", "exit_due"):
                position[name] = 0
            if symbol not in held:
                continue
            quantity, cost, mark = map(float, held[symbol])
            side, price, distance = (1 if quantity > 0 else -1), cost / abs(quantity), 0.0
            if rules["stop_kind"] == k.LEVEL_FRACTION:
                distance = float(rules["stop"]) * price
            elif rules["stop_kind"] == k.LEVEL_DISTANCE:
                distance = float(levels.values[int(rules["stop"]), s, t])
            values = {
                "side": side, "quantity": abs(quantity), "whole": abs(quantity), "entry_price": price, "entry_t": t,
                "entry_signal_t": t, "entry_number": position["number"], "mark": mark, "fees": 0.0, "borrow": 0.0,
                "is_trailed": False, "trail_step": 0.0, "stop": price - side * distance if distance > 0 else np.nan,
                "target": np.nan, "next_target": len(levels.targets), "filled": k.AT_OPEN,
            }  # fmt: skip
            for name, value in values.items():
                position[name] = value

    def outcome(self) -> Outcome:
        """Answer what the loop has done, with what is open closed."""
        return self.simulation.outcome()

    def _advanced(self, tick: Tick, adopted: Mapping[str, Any] | None) -> Decision:
        if adopted is not None:
            self._adopt(adopted)
        intents: list[Intent] = []
        simulation = self.simulation
        while simulation.reached < simulation.end and self._ends[simulation.reached] <= tick.known:
            t = simulation.reached
            seen = int(simulation.state.account["trades"][0])
            while simulation.reached == t:  # a log that was full is grown
                simulation.advance()
            intents += self._found(seen, t)
        return Decision(
            intents=tuple(intents), reason=_said(intents), is_simulated=True, charges=tuple(self._charges())
        )

    def _found(self, seen: int, t: int) -> Iterator[Intent]:
        """Yield what was filled in bar `t`, in the order in which the loop fills: exits at the open, entries, then what
        the bar brought."""
        trades = self.simulation.log.trades[seen : int(self.simulation.state.account["trades"][0])]
        exits = [trade for trade in trades if trade["entry_t"] < t]
        yield from (self._exit(trade, t) for trade in exits if trade["reason"] in AT_OPEN)
        for s, position in enumerate(self.simulation.state.positions):
            same = [trade for trade in trades if trade["symbol"] == s and trade["entry_t"] == t]
            is_new = position["side"] != 0 and position["entry_t"] == t
            if is_new or same:
                yield self._entry(s, position if is_new else None, same, t)
        yield from (self._exit(trade, t) for trade in exits if trade["reason"] not in AT_OPEN)
        yield from (self._exit(trade, t) for trade in trades if trade["entry_t"] == t)

    def _entry(self, s: int, position: Row | None, closed: list[Row], t: int) -> Intent:
        first = position if position is not None else closed[0]
        quantity = position["whole"] if position is not None else sum(float(trade["quantity"]) for trade in closed)
        return self._intent(
            Action.BUY if first["side"] > 0 else Action.SHORT, s, quantity, first["entry_price"], t, "entry"
        )

    def _exit(self, trade: Row, t: int) -> Intent:
        action = Action.SELL if trade["side"] > 0 else Action.COVER
        reason = k.EXIT_REASONS[int(trade["reason"])]
        return self._intent(action, int(trade["symbol"]), trade["quantity"], trade["exit_price"], t, reason)

    def _intent(self, action: Action, s: int, quantity: float, price: float, t: int, reason: str) -> Intent:
        return Intent(
            action=action, symbol=self.universe.symbols[s], quantity=repr(float(quantity)), reason=reason,
            price=repr(float(price)), at=int(self.universe.timeline[t]),
        )  # fmt: skip

    def _charges(self) -> Iterator[tuple[str, str]]:
        """Yield what holding positions has cost since this was asked last."""
        state, log = self.simulation.state, self.simulation.log
        count = int(state.account["trades"][0])
        open_now = state.positions["borrow"][state.positions["side"] != 0]
        total = {
            "borrow": float(np.sum(log.trades["borrow"][:count]) + np.sum(open_now)),
            "interest": float(state.account["interest"][0]),
        }
        for name, amount in total.items():
            new = money(exact(amount)) - self._charged.get(name, Decimal(0))
            if new:
                self._charged[name] = money(exact(amount))
                yield name, str(new)


def _said(intents: list[Intent]) -> str:
    return ", ".join(f"{intent.action} {intent.symbol}: {intent.reason}" for intent in intents)


def described(account: Account) -> dict[str, Any]:
    """Answer what an account holds, as a decision keeps it."""
    held = {each.symbol: [str(each.quantity), str(each.cost), str(each.mark)] for each in account.positions.values()}
    return {"cash": str(account.cash), "positions": held}
