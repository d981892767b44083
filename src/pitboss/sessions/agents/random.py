"""The baseline: an agent that trades at random, as often and as long as it is told."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

from pitboss.sessions.clock import Tick
from pitboss.sessions.decisions import Decision, Intent
from pitboss.sessions.session import View
from pitboss.trading.model import Action

SHARE = Decimal("0.1")  # of the equity that a trade takes


@dataclass
class RandomAgent:
    """Enters `trades` times in a session, at steps that `seed` draws, and leaves each position after `holding` steps.

    The same seed draws the same session; `can_short` lets half of the trades be short, `is_whole` has shares whole.
    """

    trades: int
    holding: int
    seed: int
    total: int
    symbols: tuple[str, ...]
    can_short: bool = True
    is_whole: bool = False
    is_simulated: bool = False
    _plan: dict[int, tuple[str, Action]] = field(init=False)

    def __post_init__(self) -> None:
        dice = random.Random(self.seed)
        places = range(1, max(2, self.total - self.holding))
        chosen = sorted(dice.sample(places, min(self.trades, len(places))))
        actions = (Action.BUY, Action.SHORT) if self.can_short else (Action.BUY,)
        self._plan = {step: (dice.choice(self.symbols), dice.choice(actions)) for step in chosen}
        self._entered: dict[str, int] = {}

    def decide(self, view: View) -> Decision:
        number, intents = view.tick.number, []
        for symbol, position in view.account.positions.items():
            if number - self._entered.get(symbol, number) >= self.holding:
                action = Action.SELL if position.side > 0 else Action.COVER
                intents.append(Intent(action=action, symbol=symbol, quantity=str(abs(position.quantity))))
        if number in self._plan:
            symbol, action = self._plan[number]
            price = view.gate.price(symbol)
            if symbol not in view.account.positions and price:
                exponent = Decimal(1) if self.is_whole else Decimal("0.000001")
                quantity = (SHARE * view.account.equity / price).quantize(exponent, ROUND_DOWN)
                intents.append(Intent(action=action, symbol=symbol, quantity=str(quantity)))
        decision = Decision(intents=tuple(intents), reason=f"drawn by seed {self.seed}")
        self.follow(view.tick, decision)
        return decision

    def follow(self, tick: Tick, decision: Decision) -> None:
        """Take note of when positions were entered."""
        for intent in decision.intents:
            if intent.action.is_opening:
                self._entered[intent.symbol] = tick.number
