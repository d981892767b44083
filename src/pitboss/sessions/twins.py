"""Twins of a trading day: other names, other dates, another price, and the same kind of moves in another order.

Whoever trades the day by what it saw does as well on its twins; whoever remembers the day does not.
"""

from __future__ import annotations

import math
import random
import statistics
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pitboss.core.timeframe import DAY_MICROS
from pitboss.kernel.bars import BarArrays
from pitboss.sessions.clock import Tick

BLOCK = 15  # bars whose moves stay together
HISTORY = 500  # bars before the day that a twin has
WEEKS = 520  # by at most as many a twin's dates are moved
CONFIDENT = 1.96


@dataclass(frozen=True, slots=True)
class Twin:
    """A day that never was: `names` are what its symbols are called, by those of the day."""

    ticks: Sequence[Tick]
    bars: Mapping[str, BarArrays]
    names: Mapping[str, str]


def twin_of(ticks: Sequence[Tick], bars: Mapping[str, BarArrays], seed: int) -> Twin:
    """Answer a twin: the moves of the bars, in blocks drawn with replacement (Künsch, 1989, the moving block
    bootstrap), from another price on; the symbols move together as they did."""
    dice = random.Random(seed)
    names = {symbol: _name(dice) for symbol in bars}
    moved = 7 * DAY_MICROS * dice.randint(-WEEKS, WEEKS)
    first, last = ticks[0].at, ticks[-1].at
    made = {}
    order_seed = dice.getrandbits(32)
    for symbol, known in bars.items():
        begin = max(0, int(np.searchsorted(known.ts, first)) - HISTORY)
        part = known.slice(begin, int(np.searchsorted(known.ts, last, "right")))
        made[names[symbol]] = _redrawn(part, np.random.default_rng(order_seed), dice.uniform(20, 400), moved)
    steps = [Tick(tick.number, tick.at + moved, tick.known + moved) for tick in ticks]
    return Twin(steps, made, names)


def _redrawn(bars: BarArrays, dice: np.random.Generator, price: float, moved: int) -> BarArrays:
    count = len(bars.ts)
    if count < 2:
        return BarArrays(bars.ts + moved, *(column.copy() for column in bars[1:]))
    starts = dice.integers(0, max(1, count - BLOCK), -(-count // BLOCK))
    drawn = (starts[:, None] + np.arange(BLOCK)).ravel()[:count] % count
    moves = np.diff(np.log(bars.close), prepend=np.log(bars.open[0]))[drawn]
    close = price * np.exp(np.cumsum(moves))
    shape = [(getattr(bars, name) / bars.close)[drawn] for name in ("open", "high", "low")]
    first, high, low = (close * ratio for ratio in shape)
    return BarArrays(bars.ts + moved, first, high, low, close, bars.volume[drawn])


def _name(dice: random.Random) -> str:
    return "".join(dice.choices(string.ascii_uppercase, k=5))


def difference(real: Sequence[float], twins: Sequence[float]) -> tuple[float, float, float]:
    """Answer the difference of two means with its 95 % interval (Welch, 1947, by the normal distribution); the spread
    of a single value is taken to be that of the twins."""
    spread = statistics.variance(twins) if len(twins) > 1 else 0.0
    own = statistics.variance(real) if len(real) > 1 else spread
    found = statistics.fmean(real) - statistics.fmean(twins)
    half = CONFIDENT * math.sqrt(own / len(real) + spread / len(twins))
    return found, found - half, found + half


def share_difference(hits: int, of: int, twin_hits: int, twin_of: int) -> tuple[float, float, float]:
    """Answer the difference of two shares with its 95 % interval (Newcombe, 1998, method 10, of Wilson's intervals)."""
    share, other = hits / of, twin_hits / twin_of
    low, high = _wilson(hits, of)
    other_low, other_high = _wilson(twin_hits, twin_of)
    found = share - other
    return (
        found, found - math.sqrt((share - low) ** 2 + (other_high - other) ** 2),
        found + math.sqrt((high - share) ** 2 + (other - other_low) ** 2),
    )  # fmt: skip


def _wilson(hits: int, of: int) -> tuple[float, float]:
    share, z = hits / of, CONFIDENT
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return middle - half, middle + half
