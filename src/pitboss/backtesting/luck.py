"""Whether one equity curve is better than another, or only luckier.

Daily returns of the days that both have are drawn in pairs, in blocks of random length, so that what one day has to do
with the next stays as it was: the stationary bootstrap of Politis & Romano (1994, JASA 89), with the mean length of a
block that Politis & White (2004, Econometric Reviews 23, corrected by Patton, Politis & White 2009) derive for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
DRAWS = 2_000
LEAST_DAYS = 20
DAYS_PER_YEAR = 252
DAY_MICROS = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Luck:
    """The difference of two curves, second less first, with the interval that holds 95 of 100 draws.

    `mean` is of a year's return (fraction, the mean of daily returns times 252), `sharpe` of the Sharpe ratios of a
    year; `may_be_chance` says whether the interval of the mean holds 0. `days` were compared in blocks of `block`.
    """

    days: int
    block: float
    mean: float
    mean_low: float
    mean_high: float
    sharpe: float
    sharpe_low: float
    sharpe_high: float

    @property
    def may_be_chance(self) -> bool:
        return self.mean_low <= 0 <= self.mean_high


def luck_of(first: Values, second: Values, seed: int = 0, draws: int = DRAWS) -> Luck | None:
    """Compare paired daily returns (fractions, same days); None where there are too few to tell anything."""
    days = len(first)
    if days < LEAST_DAYS or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    difference = second - first
    block = block_length(difference)
    chosen = _draws(days, block, np.random.default_rng(seed), draws)
    means = difference[chosen].mean(axis=1) * DAYS_PER_YEAR
    sharpes = _sharpe(second[chosen]) - _sharpe(first[chosen])
    (mean_low, mean_high), (sharpe_low, sharpe_high) = (np.quantile(each, (0.025, 0.975)) for each in (means, sharpes))
    return Luck(
        days, block, float(difference.mean() * DAYS_PER_YEAR), float(mean_low), float(mean_high),
        float(_sharpe(second[None])[0] - _sharpe(first[None])[0]), float(sharpe_low), float(sharpe_high),
    )  # fmt: skip


def daily_returns(ts: npt.NDArray[np.int64], equity: Values) -> tuple[npt.NDArray[np.int64], Values]:
    """Answer days (since 1970, UTC) and the return of each, from equity at moments (microseconds)."""
    days = ts // DAY_MICROS
    lasts = np.flatnonzero(np.append(days[1:] != days[:-1], True))
    closes = equity[lasts]
    before = np.append(equity[:1], closes[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.where(before > 0, closes / before - 1.0, 0.0)
    return days[lasts], returns


def block_length(values: Values) -> float:
    """Answer the mean length of blocks that suits a series, from how long it remembers (Patton et al. 2009, eq. 9)."""
    count = len(values)
    centred = values - values.mean()
    variance = float(centred @ centred) / count
    if variance == 0:
        return 1.0
    longest = math.ceil(math.sqrt(count)) + max(5, math.ceil(math.log10(count)))
    covariance = np.array(
        [centred[lag:] @ centred[: count - lag] / count for lag in range(min(longest, count - 1) + 1)]
    )
    bound = 2 * math.sqrt(math.log10(count) / count)
    quiet = max(5, math.ceil(math.log10(count)))
    is_small = np.abs(covariance[1:] / variance) < bound
    runs = [lag for lag in range(len(is_small) - quiet + 1) if is_small[lag : lag + quiet].all()]
    memory = max(1, runs[0]) if runs else len(is_small)
    used = np.arange(1, min(2 * memory, len(covariance) - 1) + 1)
    weights = np.clip(2 * (1 - used / (2 * memory)), 0, 1)  # Politis & Romano's flat top
    spectrum = covariance[0] + 2 * float(weights @ covariance[used])
    slope = 2 * float(weights @ (used * covariance[used]))
    if spectrum <= 0:
        return 1.0
    best = (slope**2 / spectrum**2) ** (1 / 3) * count ** (1 / 3)
    return float(min(max(1.0, best), math.ceil(min(3 * math.sqrt(count), count / 3))))


def _draws(days: int, block: float, random: np.random.Generator, draws: int) -> npt.NDArray[np.int64]:
    """Answer for each draw which days it holds, (draws, days): blocks of geometric length that wrap around."""
    begins = random.random((draws, days)) < 1 / block
    begins[:, 0] = True
    starts = random.integers(0, days, (draws, days))
    order = np.arange(days)
    since = order - np.maximum.accumulate(np.where(begins, order, 0), axis=1)
    last = np.take_along_axis(starts, np.maximum.accumulate(np.where(begins, order, 0), axis=1), axis=1)
    return (last + since) % days


def _sharpe(returns: Values) -> Values:
    deviation = returns.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(deviation > 0, returns.mean(axis=1) / deviation, 0.0) * math.sqrt(DAYS_PER_YEAR)
