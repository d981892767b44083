"""Minutes as they come: waited for, fetched, late, missing or missed."""

from __future__ import annotations

import numpy as np
import pytest

from pitboss.core.errors import RunCancelled
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kinds.session.live import GRACE_SECONDS, LAG_SECONDS, Live
from pitboss.market.sources import SourceFailed
from pitboss.sessions.clock import Tick

MINUTE = 60_000_000
START = 1_704_292_200_000_000
TICKS = [Tick(number, START + (number - 1) * MINUTE, START + number * MINUTE) for number in range(1, 6)]


class Market:
    """Minutes that come `late` seconds after they end, and a clock that goes on when it is waited for."""

    def __init__(self, late=0.0, fails=0):
        self.now, self.late, self.fails, self.asked = START / 1e6, late, fails, 0
        self.store, self.said = self, []

    def update(self, symbol, timeframe, start):
        self.asked += 1
        if self.fails:
            self.fails -= 1
            raise SourceFailed("the source is away", "wait")

    def load(self, symbol, timeframe):
        ended = int(((self.now - self.late) * 1e6 - START) // MINUTE)
        ts = np.array([START + at * MINUTE for at in range(max(0, ended))], np.int64)
        return BarArrays(ts, *(np.full(len(ts), 100.0) for _ in range(5)))

    def wait(self, seconds):
        self.now += seconds


def live_of(market):
    return Live(market, ("SYN",), parse_timeframe("1m"), market.wait, market.said.append, lambda: market.now)


def test_a_minute_is_waited_for_and_nothing_later_is_shown():
    market = Market()
    live = live_of(market)
    for tick in TICKS:
        bars = live.bars(tick, TICKS[-1].known)
        assert market.now == pytest.approx(tick.known / 1e6 + LAG_SECONDS)
        assert int(bars["SYN"].ts[-1]) == tick.at
        assert live.has_bar(bars["SYN"], tick)


def test_a_bar_that_is_late_is_asked_for_again_and_one_that_does_not_come_is_given_up():
    market = Market(late=7.0, fails=1)
    assert live_of(market).has_bar(live_of(market).bars(TICKS[0], TICKS[-1].known)["SYN"], TICKS[0])
    assert market.asked > 2
    assert market.said == ["SYN: the source is away (wait)"]
    market = Market(late=500.0)
    bars = live_of(market).bars(TICKS[0], TICKS[-1].known)
    assert not live_of(market).has_bar(bars["SYN"], TICKS[0])
    assert market.now < TICKS[0].known / 1e6 + LAG_SECONDS + GRACE_SECONDS + 5


def test_what_has_passed_is_missed_and_the_run_may_end_while_it_waits():
    market = Market()
    live = live_of(market)
    assert not live.is_missed(TICKS[0])
    market.now += 210
    assert [live.is_missed(tick) for tick in TICKS] == [True, True, False, False, False]

    def cancelled(_seconds):
        raise RunCancelled("enough")

    waiting = Live(market, ("SYN",), parse_timeframe("1m"), cancelled, print, lambda: market.now)
    with pytest.raises(RunCancelled):
        waiting.bars(TICKS[4], TICKS[-1].known)
