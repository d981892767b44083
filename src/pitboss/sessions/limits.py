"""What a decision and a session may take, in seconds, tokens, calls and money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pitboss.core.errors import PitbossError
from pitboss.sessions.decisions import Usage

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Tokens = Annotated[int, Field(gt=0, le=1_000_000_000)]
Dollars = Annotated[float, Field(gt=0, le=1_000_000)]


class Suspended(PitbossError):
    """A session that cannot go on for now: it is resumed once what it needs is there again."""


class Limits(BaseModel):
    """Limits of a decision, and of all decisions of a session together; None is no limit.

    A provider that gives no answer for longer than `outage_seconds` suspends the session; what fails for the moment is
    asked again, up to `retries` times in one decision.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decision_seconds: Seconds = 60.0
    decision_tokens: Tokens | None = None
    decision_calls: Annotated[int, Field(gt=0, le=1000)] = 25
    decision_cost: Dollars | None = None
    session_seconds: Seconds | None = None
    session_tokens: Tokens | None = None
    session_calls: Annotated[int, Field(gt=0, le=10_000_000)] | None = None
    session_cost: Dollars | None = None
    outage_seconds: Seconds = 300.0
    retries: Annotated[int, Field(ge=0, le=10)] = 3

    @property
    def has_cost(self) -> bool:
        return self.decision_cost is not None or self.session_cost is not None

    def exhausted(self, spent: Usage) -> str:
        """Answer which limit of the session is reached, in words; nothing while there is something left."""
        for what, limit, used in (
            ("seconds", self.session_seconds, spent.seconds), ("tokens", self.session_tokens, spent.tokens),
            ("calls", self.session_calls, spent.calls), ("US dollars", self.session_cost, spent.cost or 0.0),
        ):  # fmt: skip
            if limit is not None and used >= limit:
                return f"the session's limit of {limit:,g} {what} is reached"
        return ""

    def left(self, spent: Usage) -> Left:
        """Answer what the next decision may take."""
        return Left(
            seconds=_least(self.decision_seconds, _rest(self.session_seconds, spent.seconds)) or 0.0,
            tokens=_whole(_least(self.decision_tokens, _rest(self.session_tokens, spent.tokens))),
            calls=_whole(_least(self.decision_calls, _rest(self.session_calls, spent.calls))),
            cost=_least(self.decision_cost, _rest(self.session_cost, spent.cost or 0.0)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What one decision may take; None is no limit."""

    seconds: float
    tokens: int | None
    calls: int | None
    cost: float | None


def _rest(limit: float | None, used: float) -> float | None:
    return None if limit is None else max(0.0, limit - used)


def _least(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _whole(limit: float | None) -> int | None:
    return None if limit is None else int(limit)


@dataclass
class Outage:
    """How long a provider has given no answer."""

    limit_seconds: float
    since: float | None = None

    def note(self, failure: str, now: float, name: str) -> None:
        """Note a decision that came about (no failure), or did not. Raises Suspended after too long."""
        if not failure:
            self.since = None
            return
        if self.since is None:
            self.since = now
        if now - self.since > self.limit_seconds:
            what = f"suspended: {name} has given no answer for {now - self.since:.0f} s ({failure[:200]})"
            raise Suspended(what, "resume the run when it answers again: it goes on at the next step")
