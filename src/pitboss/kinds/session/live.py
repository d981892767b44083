"""Paper trading as time goes: each minute is waited for, and its bars are fetched from a source."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pitboss.core.errors import PitbossError, RunCancelled
from pitboss.core.timeframe import Timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.market.fetching import Feed
from pitboss.sessions.clock import Tick

LAG_SECONDS = 2.0  # after a minute's end, before its bar is asked for
GRACE_SECONDS = 20.0  # that a bar may come late
AGAIN_SECONDS = 2.0  # between two requests for it
MISSED = "the minute had passed before the session was there"
NO_BAR = "no bar of this minute came"


@dataclass(frozen=True)
class Live:
    """The minutes of a day as they come. `wait` sleeps, and raises where the run is to end; `clock` tells seconds since
    1970, `remark` is told what goes wrong."""

    feed: Feed
    symbols: Sequence[str]
    timeframe: Timeframe
    wait: Callable[[float], None]
    remark: Callable[[str], None]
    clock: Callable[[], float] = time.time

    def is_missed(self, tick: Tick) -> bool:
        """Answer whether a step is so long ago that nothing should be decided for it."""
        return self.clock() > (tick.known + self.timeframe.micros) / 1e6 + GRACE_SECONDS

    def bars(self, tick: Tick, end: int) -> Mapping[str, BarArrays]:
        """Answer the bars of the symbols up to a step, once that is over and as far as they have come: those that open
        before `end`. Raises what `wait` raises."""
        self._until(tick.known / 1e6 + LAG_SECONDS)
        deadline = self.clock() + GRACE_SECONDS
        while True:
            found = {symbol: self._brought(symbol, tick) for symbol in self.symbols}
            if all(self.has_bar(bars, tick) for bars in found.values()) or self.clock() > deadline:
                return {symbol: bars.head(int(np.searchsorted(bars.ts, end))) for symbol, bars in found.items()}
            self.wait(AGAIN_SECONDS)

    @staticmethod
    def has_bar(bars: BarArrays, tick: Tick) -> bool:
        """Answer whether there is a bar of a step."""
        at = int(np.searchsorted(bars.ts, tick.at))
        return at < len(bars.ts) and int(bars.ts[at]) == tick.at

    def _until(self, moment: float) -> None:
        while (left := moment - self.clock()) > 0:
            self.wait(min(left, 1.0))

    def _brought(self, symbol: str, tick: Tick) -> BarArrays:
        try:
            self.feed.update(symbol, self.timeframe, tick.at)
        except RunCancelled:
            raise
        except PitbossError as error:
            self.remark(f"{symbol}: {error}")
        return self.feed.store.load(symbol, self.timeframe)
