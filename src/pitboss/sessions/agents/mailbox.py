"""An agent that is somebody's own program, which asks for each step over HTTP and answers it when it has decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pitboss.sessions.agents.prompting import described
from pitboss.sessions.agents.spec import AgentSpec
from pitboss.sessions.clock import Tick
from pitboss.sessions.decisions import Decision, Usage, read_answer
from pitboss.sessions.limits import Outage
from pitboss.sessions.session import View
from pitboss.trading.ports import Holder, TradingStore

LOOK_SECONDS = 0.05


@dataclass
class MailboxAgent:
    """Puts each step where `GET /sessions/{run}/turn` finds it, and waits for the answer to it."""

    spec: AgentSpec
    store: TradingStore
    holder: Holder
    check: Callable[[], None]
    is_simulated: bool = False
    outage: Outage = field(init=False)

    def __post_init__(self) -> None:
        self.outage = Outage(self.spec.limits.outage_seconds)

    def decide(self, view: View) -> Decision:
        reason = self.spec.limits.exhausted(view.spent)
        if reason:
            return Decision(failure=reason)
        started, number = time.monotonic(), view.tick.number
        left = self.spec.limits.left(view.spent).seconds
        asked = described(view)
        self.store.ask(self.holder, number, asked)
        decision = self._answered(number, started + left) or Decision(
            failure=f"nobody answered within {left:g} s", is_silent=True
        )
        seconds = time.monotonic() - started
        self.outage.note(decision.failure if decision.is_silent else "", time.monotonic(), "the agent")
        return Decision(
            intents=decision.intents, reason=decision.reason, failure=decision.failure, is_silent=decision.is_silent,
            usage=Usage(seconds=seconds, calls=1), transcript=({"kind": "request", "body": asked},),
        )  # fmt: skip

    def _answered(self, number: int, deadline: float) -> Decision | None:
        while time.monotonic() < deadline:
            self.check()
            turn = self.store.turn(self.holder.run)
            if turn is not None and turn.answer is not None:
                return read_answer(turn.answer)  # it was read when it was given
            time.sleep(LOOK_SECONDS)
        answer = self.store.take(self.holder, number)
        return None if answer is None else read_answer(answer)

    def follow(self, _tick: Tick, _decision: Decision) -> None:
        """Nothing is remembered from step to step but what the view tells."""
