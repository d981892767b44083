"""Does a screen work? What became of the symbols that it passed, against those that it rejected, and against all.

A symbol that is judged at a close is bought at the next bar's open and sold at the close of the h-th bar after its own,
with costs on both sides, whichever group it is in. Each date gives one mean for each group, so that a day on which many
passed together counts once. Means of neighbouring dates share most of their bars: their error is that of a circular
block bootstrap (Politis & Romano 1992) in blocks of three times the horizon, judged by Student's t with as many degrees
of freedom as there are blocks, less one. With several variants tried the level is Bonferroni's: one in twenty for all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pitboss.kernel.bars import BarArrays

F64 = npt.NDArray[np.float64]
HORIZONS = (1, 5, 20, 60)  # bars
CHANCE = 0.05  # with which an interval that is no wider misses the truth
BLOCK = 3  # horizons
LEAST_BLOCKS = 3
DRAWS = 2000
BUCKET = 10.0  # points of a score
GROUPS = ("passed", "rejected", "universe")
COMPARED = ("passed less rejected", "passed less universe")


def forward_names(horizons: Sequence[int]) -> list[str]:
    """Answer the columns of forward returns."""
    return [f"after {horizon}" for horizon in horizons]


def forward_returns(bars: BarArrays, at: npt.NDArray[np.int64], horizons: Sequence[int], cost: float) -> F64:
    """Answer what is earned after each of some bars, by their places: (places, horizons), fractions, NaN where the bars
    end before. `cost` is a fraction of the price, paid when buying and when selling."""
    found = np.full((len(at), len(horizons)), np.nan)
    count, growth = len(bars.ts), (1 - cost) / (1 + cost)
    for column, horizon in enumerate(horizons):
        known = at + horizon < count
        rows = at[known]
        found[known, column] = bars.close[rows + horizon] / bars.open[rows + 1] * growth - 1
    return found


def worth_of(rows: pl.DataFrame, horizons: Sequence[int] = HORIZONS, tried: int = 1) -> pl.DataFrame:
    """Answer for each group, comparison and bucket of scores, and each horizon, the mean forward return (a fraction)
    with its interval: columns `group`, `horizon`, `dates`, `rows`, `mean`, `low`, `high`; an interval is null where
    there are too few dates for one.

    rows: `date`, `passed`, `score`, and the columns of `forward_names`.
    """
    found: list[dict[str, Any]] = []
    for horizon, name in zip(horizons, forward_names(horizons), strict=True):
        known = rows.filter(pl.col(name).is_not_null() & pl.col(name).is_not_nan())
        means = _by_date(known, name)
        for group in GROUPS:
            count = len(known) if group == "universe" else int((known["passed"] == (group == "passed")).sum())
            found.append(_line(group, horizon, means[group].drop_nulls(), count, tried))
        passed = int(known["passed"].sum())
        for label, other in zip(COMPARED, GROUPS[1:], strict=True):
            found.append(_line(label, horizon, (means["passed"] - means[other]).drop_nulls(), passed, tried))
        found += _buckets(known, means, name, horizon, tried)
    return pl.DataFrame(found, schema={"group": pl.String, "horizon": pl.Int64, "dates": pl.Int64, "rows": pl.Int64,
                                       "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64})  # fmt: skip


def _by_date(known: pl.DataFrame, name: str) -> pl.DataFrame:
    value, passed = pl.col(name), pl.col("passed")
    return known.group_by("date").agg(
        value.filter(passed).mean().alias("passed"), value.filter(~passed).mean().alias("rejected"),
        value.mean().alias("universe"),
    ).sort("date")  # fmt: skip


def _buckets(
    known: pl.DataFrame, means: pl.DataFrame, name: str, horizon: int, tried: int
) -> list[dict[str, Any]]:  # fmt: skip
    """Answer what scores are worth: the return less the universe's, for each bucket of them."""
    scored = known.filter(pl.col("score").is_not_null()).with_columns((pl.col("score") // BUCKET).alias("bucket"))
    each = scored.group_by("bucket", "date").agg(pl.col(name).mean().alias("mean"), pl.len())
    each = each.join(means.select("date", "universe"), on="date").sort("bucket", "date")
    found = []
    for (bucket,), part in each.group_by("bucket", maintain_order=True):
        low = float(bucket) * BUCKET
        label = f"score {low:g} to {low + BUCKET:g}, less universe"
        found.append(_line(label, horizon, part["mean"] - part["universe"], int(part["len"].sum()), tried))
    return found


def _line(group: str, horizon: int, values: pl.Series, rows: int, tried: int) -> dict[str, Any]:
    low, high = interval_of(values.to_numpy(), horizon, tried)
    mean = float(values.mean()) if len(values) else None  # type: ignore[arg-type]
    return {
        "group": group,
        "horizon": horizon,
        "dates": len(values),
        "rows": rows,
        "mean": mean,
        "low": low,
        "high": high,
    }


def interval_of(values: F64, horizon: int, tried: int = 1, seed: int = 0) -> tuple[float | None, float | None]:
    """Answer the interval of the mean of a value a date, each of which looks `horizon` bars ahead: None where there are
    fewer than LEAST_BLOCKS blocks, or nothing moves."""
    count, block = len(values), BLOCK * horizon
    blocks = count / block
    if blocks < LEAST_BLOCKS:
        return None, None
    drawn = -(-count // block)
    starts = np.random.default_rng(seed).integers(0, count, (DRAWS, drawn))
    sums = np.concatenate(([0.0], np.cumsum(np.concatenate((values, values[:block])))))
    means = (sums[starts + block] - sums[starts]).sum(axis=1) / (drawn * block)
    # a mean within a sample moves less than the truth by as many degrees as it has blocks
    error = float(means.std()) * math.sqrt(drawn * block / count) * math.sqrt(blocks / (blocks - 1))
    reach = student(1 - CHANCE / tried / 2, blocks - 1) * error
    mean = float(values.mean())
    return (mean - reach, mean + reach) if error > 0 else (None, None)


def student(probability: float, degrees: float) -> float:
    """Answer a quantile of Student's t, by Hill (1970), Algorithm 396, Communications of the ACM 13."""
    if probability < 0.5:
        return -student(1 - probability, degrees)
    both = 2 * (1 - probability)
    if degrees <= 1:
        return 1 / math.tan(both * math.pi / 2)
    if degrees < 2:  # between the two that have a closed form
        one, two = student(probability, 1), student(probability, 2)
        return one + (two - one) * (degrees - 1)
    if degrees == 2:
        return math.sqrt(2 / (both * (2 - both)) - 2)
    a = 1 / (degrees - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * degrees
    y = (d * both) ** (2 / degrees)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(both / 2)
        y = x * x
        if degrees < 5:
            c += 0.3 * (degrees - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = (
            (1 / (((degrees + 6) / (degrees * y) - 0.089 * d - 0.822) * (degrees + 2) * 3) + 0.5 / (degrees + 4)) * y
            - 1
        ) * (degrees + 1) / (degrees + 2) + 1 / y
    return math.sqrt(degrees * y)
