"""The loop of a session: when orders fill, and that an end anywhere leaves nothing half done."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.calendars.sessions import parse_session
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.sessions.agents.random import RandomAgent
from pitboss.sessions.clock import minutes_of
from pitboss.sessions.decisions import Decision, Intent
from pitboss.sessions.desk import MemoryDesk
from pitboss.sessions.gate import Gate
from pitboss.sessions.session import CALLED, CLOSED, Session, holdings_of
from pitboss.strategy.document import Costs
from pitboss.strategy.times import Times
from pitboss.trading.model import Action, Rules, Terms

TICKS = minutes_of("XNYS", "2024-01-03")[:60]
TIMES = Times({symbol: parse_session("XNYS") for symbol in ("SYN", "OTH")})
CASH = Decimal(10_000)


class Killed(BaseException):
    """The process is no more."""


@dataclass
class MortalDesk(MemoryDesk):
    """A desk whose process is killed after so many writes."""

    lives: int = 10**9

    def _die(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise Killed

    def execute(self, order, quote):
        answer = super().execute(order, quote)
        self._die()
        return answer

    def commit(self, step, marks, charges):
        super().commit(step, marks, charges)
        self._die()


@dataclass
class Scripted:
    """Orders by the number of the step."""

    orders: dict[int, list[Intent]]
    is_simulated: bool = False
    seen: list[str] = field(default_factory=list)

    def decide(self, view):
        self.seen += [f"{answer.key} {answer.status.value}" for answer in view.answers]
        return Decision(intents=tuple(self.orders.get(view.tick.number, ())))

    def follow(self, tick, decision):
        pass


def bars_of(seed: int = 1, prices: np.ndarray | None = None) -> dict[str, BarArrays]:
    ts = np.array([tick.at for tick in TICKS])
    found = {}
    for number, symbol in enumerate(("SYN", "OTH")):
        close = 100 * np.exp(np.cumsum(np.random.default_rng(seed + number).normal(0, 0.002, len(ts))))
        close = close if prices is None else prices
        first = np.concatenate(([100.0], close[:-1]))
        found[symbol] = BarArrays(ts, first, np.maximum(first, close), np.minimum(first, close), close, close * 0 + 1e3)
    return found


def session_of(desk: MemoryDesk, agent, bars: dict[str, BarArrays]) -> Session:
    return Session(ticks=TICKS, gate=Gate(bars, parse_timeframe("1m"), TIMES), desk=desk, agent=agent)


def desk_of(**rules) -> MortalDesk:
    return MortalDesk(Terms(rules=Rules(fractional=True, **rules), costs=Costs(commission=0.001)), CASH)


def play(session: Session) -> None:
    session.take_up()
    while not session.is_over:
        session.advance()
    session.finish()


def order(action: str, symbol: str, quantity: str) -> Intent:
    return Intent(action=Action(action), symbol=symbol, quantity=quantity)


def test_an_order_fills_at_the_next_opening_and_the_agent_hears_of_it_then():
    desk, bars = desk_of(), bars_of()
    agent = Scripted({5: [order("buy", "SYN", "3")]})
    play(session_of(desk, agent, bars))
    bought, closed = desk.answers
    assert (bought.key, bought.at) == ("5.1", TICKS[5].at)
    assert float(bought.price) == pytest.approx(bars["SYN"].open[5], abs=1e-9)
    assert agent.seen == ["5.1 filled"]
    assert (closed.reason, closed.position, closed.at) == (CLOSED, 0, TICKS[-1].known)


def test_a_symbol_that_opens_no_bar_lets_its_orders_wait():
    bars = bars_of()
    bars["SYN"] = bars["SYN"].where((bars["SYN"].ts < TICKS[5].at) | (bars["SYN"].ts >= TICKS[9].at))
    desk = desk_of()
    play(session_of(desk, Scripted({5: [order("buy", "SYN", "3"), order("buy", "OTH", "1")]}), bars))
    assert [(each.symbol, each.at) for each in desk.answers[:2]] == [("OTH", TICKS[5].at), ("SYN", TICKS[9].at)]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (order("buy", "NOPE", "1"), "NOPE is not traded in this session"),
        (order("buy", "SYN", "1000000"), "cash"),
        (order("buy", "SYN", "-1"), "quantity"),
        (order("sell", "SYN", "1"), "shares 0, needed 1"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(given, why):
    desk = desk_of()
    play(session_of(desk, Scripted({3: [given]}), bars_of()))
    (answer,) = desk.answers
    assert not answer.is_filled
    assert why in answer.reason
    assert desk.account().cash == CASH


def test_a_session_that_closes_early_decides_nothing_that_would_not_be_filled():
    desk, count = desk_of(), len(TICKS)
    script = {number: [order("buy", "SYN", "1")] for number in (count - 2, count - 1)}
    session = session_of(desk, Scripted(script), bars_of())
    session.early = 1
    play(session)
    assert [(each.key, each.at) for each in desk.answers] == [
        (f"{count - 2}.1", TICKS[-2].at), ("close.SYN", TICKS[-2].known),
    ]  # fmt: skip


FALL = np.concatenate((np.full(20, 100.0), np.full(40, 70.0)))


def test_a_margin_call_closes_everything_even_where_the_process_is_killed_amid():
    script = {3: [order("buy", "SYN", "140"), order("buy", "OTH", "140")]}
    for lives in (10**9, *range(1, 30)):  # after one of both is closed, the margin would do for the other
        desk = desk_of(leverage=3.0, maintenance=0.12)
        desk.lives = lives
        try:
            play(session_of(desk, Scripted(script), bars_of(prices=FALL)))
        except Killed:
            desk.lives = 10**9
            play(session_of(desk, Scripted(script), bars_of(prices=FALL)))
        assert [each.reason for each in desk.answers] == ["", "", CALLED, CALLED], lives


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 50), deaths=st.lists(st.integers(0, 40), max_size=8), short=st.booleans())
def test_killed_after_any_write_a_session_ends_as_if_nothing_had_happened(seed, deaths, short):
    bars = bars_of(seed)
    whole, broken = desk_of(short=short), desk_of(short=short)
    play(session_of(whole, dice(seed, short), bars))
    for lives in deaths:
        broken.lives = lives
        try:
            play(session_of(broken, dice(seed, short), bars))
        except Killed:
            continue
    broken.lives = 10**9
    play(session_of(broken, dice(seed, short), bars))
    assert broken.answers == whole.answers
    assert broken.kept == whole.kept
    assert broken.account() == whole.account()


def dice(seed: int, short: bool) -> RandomAgent:
    return RandomAgent(12, 4, seed, len(TICKS), ("SYN", "OTH"), short, is_whole=False)


def test_how_long_positions_were_held_is_counted_in_steps_however_they_were_closed():
    script = {
        3: [order("buy", "SYN", "1")], 5: [order("buy", "SYN", "1")], 8: [order("short", "OTH", "1")],
        9: [order("sell", "SYN", "1")], 14: [order("sell", "SYN", "1"), order("cover", "OTH", "99")],
    }  # fmt: skip
    desk = desk_of()
    play(session_of(desk, Scripted(script), bars_of()))
    assert holdings_of(desk.orders(), len(TICKS)) == [14 - 3, len(TICKS) - 8]  # in parts, and by the end
