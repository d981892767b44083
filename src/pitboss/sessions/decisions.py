"""What an agent decides at a step, and all that is kept of how it came to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pitboss.trading.model import Action, quantity_of

HOLD = "hold"
MOST_REASON = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An order that an agent wants: at the next opening of a bar of its symbol, or, where it has a `price`, filled as
    the rules of backtests say, at a moment that they found."""

    action: Action
    symbol: str
    quantity: str
    reason: str = ""
    price: str | None = None
    at: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a decision took. `cost` is in US dollars, None where the price of a model is not known."""

    seconds: float = 0.0
    calls: int = 0  # of the model
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def plus(self, other: Usage) -> Usage:
        """Answer both together."""
        known = [each for each in (self.cost, other.cost) if each is not None]
        return Usage(
            seconds=self.seconds + other.seconds, calls=self.calls + other.calls,
            tool_calls=self.tool_calls + other.tool_calls, input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens, cost=sum(known) if known else None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision: what is ordered, and why. One that was not made says in `failure` why there is none.

    `is_silent` says that whoever was asked gave no answer at all. One that `is_simulated` was made by the loop of
    backtests, which finds its own fills, margin calls and `charges`: what holding positions has cost; `adopted` is the
    account that it went on with, where another agent had that before. `transcript` are
    prompts, calls and answers in their order; `shown` what the agent was shown: the outlet, what it asked for, and the
    latest moment that any of it tells of.
    """

    intents: tuple[Intent, ...] = ()
    reason: str = ""
    failure: str = ""
    is_silent: bool = False
    is_simulated: bool = False
    charges: tuple[tuple[str, str], ...] = ()
    adopted: Mapping[str, Any] | None = None
    usage: Usage = field(default_factory=Usage)
    transcript: tuple[Mapping[str, Any], ...] = ()
    shown: tuple[Mapping[str, Any], ...] = ()

    @property
    def action(self) -> str:
        """What was decided in one word: the action, `hold`, or `none` where nothing was."""
        if self.failure:
            return "none"
        actions = list(dict.fromkeys(intent.action.value for intent in self.intents))
        return "+".join(actions) if actions else HOLD

    def as_dict(self) -> dict[str, Any]:
        return {
            "action": self.action, "reason": self.reason, "failure": self.failure, "is_silent": self.is_silent,
            "is_simulated": self.is_simulated,
            "charges": [list(charge) for charge in self.charges], "adopted": self.adopted, "usage": asdict(self.usage),
            "intents": [intent.as_dict() for intent in self.intents], "transcript": list(self.transcript),
            "shown": list(self.shown),
        }  # fmt: skip


def decision_of(kept: Mapping[str, Any]) -> Decision:
    """Answer the decision that `Decision.as_dict` described."""
    return Decision(
        intents=tuple(Intent(**{**each, "action": Action(each["action"])}) for each in kept["intents"]),
        reason=kept["reason"], failure=kept["failure"], is_silent=kept["is_silent"], is_simulated=kept["is_simulated"],
        charges=tuple((name, amount) for name, amount in kept["charges"]), adopted=kept["adopted"],
        usage=Usage(**kept["usage"]),
        transcript=tuple(kept["transcript"]), shown=tuple(kept["shown"]),
    )  # fmt: skip


def read_answer(answer: Any) -> Decision:
    """Answer the decision that another program sends: `{orders: [{action, symbol, quantity, reason?}], reason?}`.

    Raises ValueError, in words, for what is none.
    """
    if not isinstance(answer, Mapping) or not isinstance(answer.get("orders", []), list):
        raise ValueError("the answer is no {orders: [{action, symbol, quantity}], reason}")
    intents = tuple(_intent(each) for each in answer.get("orders", []))
    return Decision(intents=intents, reason=str(answer.get("reason", ""))[:MOST_REASON])


def _intent(given: Any) -> Intent:
    if not isinstance(given, Mapping):
        raise ValueError(f"{str(given)[:80]!r} is no order")
    action, symbol, quantity = (given.get(name) for name in ("action", "symbol", "quantity"))
    if action not in list(Action):
        raise ValueError(f"unknown action {str(action)[:40]!r}: write buy, sell, short or cover")
    if not isinstance(symbol, str) or not symbol:
        raise ValueError("an order names no symbol")
    number = quantity_of(quantity)
    if number is None:
        raise ValueError(f"the quantity {str(quantity)[:40]!r} is no number")
    return Intent(
        action=Action(action), symbol=symbol, quantity=str(number), reason=str(given.get("reason", ""))[:MOST_REASON]
    )
