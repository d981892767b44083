"""An agent that decides nothing of its own: what an earlier session decided is decided again."""

from __future__ import annotations

from dataclasses import dataclass

from pitboss.sessions.clock import Tick
from pitboss.sessions.decisions import Decision
from pitboss.sessions.session import View


@dataclass
class ReplayAgent:
    """Is asked only where the earlier session has no step."""

    is_simulated: bool = False

    def decide(self, _view: View) -> Decision:
        return Decision(failure="the session that is replayed ended before this step")

    def follow(self, _tick: Tick, _decision: Decision) -> None:
        """What was decided stands in the steps."""
