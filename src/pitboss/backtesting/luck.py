"""Whether one equity curve is better than another, or only luckier.

Daily returns of the days that both have are drawn in pairs, in blocks of random length, so that what one day has to do
with the next stays as it was: the stationary bootstrap of Politis & Romano (1994, JASA 89), with the mean length of a
block that Politis & White (2004, Econometric Reviews 23, corrected by Patton, Politis & White 2009) derive for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.kernel.resampling import moments_of_draws

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
    drawn = moments_of_draws(first, second, 1 / block, draws, np.random.default_rng(seed))
    means = (drawn[:, 2] - drawn[:, 0]) * DAYS_PER_YEAR
    sharpes = _sharpe(drawn[:, 2], drawn[:, 3]) - _sharpe(drawn[:, 0], drawn[:, 1])
    (mean_low, mean_high), (sharpe_low, sharpe_high) = (np.quantile(each, (0.025, 0.975)) for each in (means, sharpes))
    return Luck(
        days, block, float(difference.mean() * DAYS_PER_YEAR), float(mean_low), float(mean_high),
        float(_sharpe(second.mean(), second.std(ddof=1)) - _sharpe(first.mean(), first.std(ddof=1))),
        float(sharpe_low), float(sharpe_high),
    )  # fmt: skip


def daily_closes(ts: npt.NDArray[np.int64], equity: Values) -> tuple[npt.NDArray[np.int64], Values]:
    """Answer days (since 1970, UTC) and the last equity of each, from equity at moments (microseconds)."""
    days = ts // DAY_MICROS
    lasts = np.flatnonzero(np.append(days[1:] != days[:-1], True))
    return days[lasts], equity[lasts]


def returns_of(closes: Values) -> Values:
    """Answer the return from each close to the next (fractions), one fewer than there are closes; 0 after ruin."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(closes[:-1] > 0, closes[1:] / closes[:-1] - 1.0, 0.0)


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
    width = min(2 * memory, len(covariance) - 1)
    used = np.arange(1, width + 1)
    weights = np.clip(2 * (1 - used / width), 0, 1)  # Politis & Romano's flat top
    spectrum = covariance[0] + 2 * float(weights @ covariance[used])
    slope = 2 * float(weights @ (used * covariance[used]))
    if spectrum == 0:
        return 1.0
    best = (slope**2 / spectrum**2) ** (1 / 3) * count ** (1 / 3)
    return float(min(max(1.0, best), math.ceil(min(3 * math.sqrt(count), count / 3))))


def _sharpe(mean: Any, deviation: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(deviation > 0, mean / deviation, 0.0) * math.sqrt(DAYS_PER_YEAR)
