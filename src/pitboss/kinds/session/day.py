"""What a session trades on: its steps, its bars and its news, as its process loads them; and who is asked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

from pitboss.calendars.sessions import parse_session
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kinds.session.params import SessionParams
from pitboss.market.store import BarStore, session_of
from pitboss.runs.context import RunContext
from pitboss.sessions.agents.remote import WebhookAgent
from pitboss.sessions.agents.spec import AgentSpec
from pitboss.sessions.clock import Tick, days_of, minutes_of
from pitboss.sessions.gate import Gate, News
from pitboss.sessions.session import Agent
from pitboss.strategy.times import Times
from pitboss.trading.model import exact, terms_of

NEWS = "news"  # folder of dated texts in the data folder


class Day:
    """The day, or the days, of a session by its snapshot. Raises InvalidInput when the bars have changed since."""

    def __init__(self, params: SessionParams, snapshot: Mapping[str, Any], context: RunContext) -> None:
        self.params, self.snapshot = params, snapshot
        self.spec = AgentSpec.model_validate(snapshot["agent"])
        self.terms, self.cash = terms_of(snapshot["terms"]), Decimal(exact(snapshot["cash"]))
        self.timeframe = parse_timeframe(snapshot["timeframe"])
        self.ticks = self._ticks()
        self.bars = self._bars(context.resource("bars").at(snapshot.get("places", ())))
        self._folder = context.world.data_dir / NEWS
        if self.news.undated:
            context.log(f"{self.news.undated:,} texts in {NEWS} have no date, and are not shown", "warning")

    @cached_property
    def news(self) -> News:
        return News.of_folder(self._folder)

    @property
    def end(self) -> int:
        """Before which all of its bars begin."""
        return self.ticks[-1].at + self.timeframe.micros

    def gate(self) -> Gate:
        """Answer what an agent sees of it."""
        return Gate(self.bars, self.timeframe, self.times, self.news)

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
            if "live" not in self.snapshot and promised["digest"] not in (digest, series.digest):
                what = f"the bars of {symbol} have changed since the run was submitted"
                raise InvalidInput(what, "start the session again on the newest", "symbols")
            found[symbol] = bars.head(int((bars.ts < self.end).sum()))
            if (own := session_of(series)) is not None:
                sessions[symbol] = own
        calendar = parse_session(self.snapshot["calendar"])
        self.times = Times({symbol: sessions.get(symbol, calendar) for symbol in found})
        return found


def asking_agent(spec: AgentSpec, context: RunContext) -> Agent:
    """Answer an agent that asks a program at an address, or a model."""
    key, check = context.secrets.get(spec.api_key_secret or "", ""), context.check_cancel
    if spec.type == "remote":
        return WebhookAgent(spec, "the agent", check, key=key, run_id=context.run_id)
    from pitboss.sessions.agents.llm import ModelAgent  # its libraries are of one kind of agent alone

    return ModelAgent(spec, spec.model or "the model", check, key=key)
