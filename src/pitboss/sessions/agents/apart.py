"""Agents whose decisions are made elsewhere: in a process that can be killed, within limits, with outages noted."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pitboss.core.errors import InvalidInput
from pitboss.sessions.agents.prompting import described
from pitboss.sessions.agents.spec import AgentSpec
from pitboss.sessions.apart import Line, NotDone, Said, done_apart
from pitboss.sessions.clock import Tick
from pitboss.sessions.decisions import Decision, Usage, decision_of
from pitboss.sessions.gate import Gate
from pitboss.sessions.limits import Left, Outage
from pitboss.sessions.session import View

GRACE_SECONDS = 1.0  # by which a process may answer late that its time is up


@dataclass
class ApartAgent(ABC):
    """Decides in a process of its own. `check` raises where the run is to end.

    What is wrong with an answer is the decision's failure, and the session goes on; what fails for longer than the
    limits allow raises Suspended.
    """

    spec: AgentSpec
    name: str  # of who is asked
    check: Callable[[], None] = lambda: None
    is_simulated: bool = False
    outage: Outage = field(init=False)

    def __post_init__(self) -> None:
        self.outage = Outage(self.spec.limits.outage_seconds)

    @abstractmethod
    def asked(self, told: dict[str, Any], view: View, left: Left, line: Line, /) -> dict[str, Any]:
        """Answer a decision as JSON, in the process of its own: `told` is what `prompting.described` said of the step,
        all else that is known is asked for over the line. The usage so far is said whenever it grows."""

    def decide(self, view: View) -> Decision:
        reason = self.spec.limits.exhausted(view.spent)
        if reason:
            return Decision(failure=reason)
        started = time.monotonic()
        left = self.spec.limits.left(view.spent)
        try:
            told = described(view)
            said = done_apart(
                lambda line: self.asked(told, view, left, line), left.seconds + GRACE_SECONDS, self.check,
                partial(answered, view.gate),
            )  # fmt: skip
            decision = decision_of(said)
        except NotDone as error:
            usage = Usage(**(error.last or {}).get("usage", {}))
            decision = Decision(failure=str(error), is_silent=True, usage=usage)
        seconds = time.monotonic() - started
        decision = replace(decision, usage=replace(decision.usage, seconds=seconds))
        self.outage.note(decision.failure if decision.is_silent else "", time.monotonic(), self.name)
        return decision

    def follow(self, _tick: Tick, _decision: Decision) -> None:
        """Nothing is remembered from step to step but what the view tells."""
        return


def answered(gate: Gate, request: Said) -> Said:
    """Answer what a tool asks for: through the gate, which notes what it shows."""
    looks: dict[str, Callable[..., Any]] = {
        "history": gate.history, "indicator": gate.indicator, "news": gate.articles,
    }  # fmt: skip
    try:
        return {"answer": looks[request["look"]](*request["arguments"])}
    except InvalidInput as error:
        return {"error": str(error)}
