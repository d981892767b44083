"""Corporate actions, kept beside raw prices: splits and dividends, each on the first bar that trades after it.

`split` is how many shares one became (1 on other bars), `dividend` what a share was paid, in the prices' currency.
A frame has the two columns only where its source tells of actions; a stored series only where there are any.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from pitboss.core.errors import InvalidInput
from pitboss.kernel.bars import BarArrays
from pitboss.market.frames import PRICES, conform

F64 = npt.NDArray[np.float64]
Splits = tuple[tuple[int, float], ...]  # when each took effect, microseconds, and how many shares one became
ACTIONS = {"split": 1.0, "dividend": 0.0}  # and what stands where nothing happened


def with_actions(bars: pl.DataFrame, splits: Mapping[int, float], dividends: Mapping[int, float]) -> pl.DataFrame:
    """Answer ascending bars with the actions that took effect at some moments (microseconds, UTC), each on the first
    bar from then on."""
    ts = bars["ts"].cast(pl.Datetime("us")).cast(pl.Int64).to_numpy()
    split, dividend = np.ones(len(ts)), np.zeros(len(ts))
    for effective, ratio in splits.items():
        split[np.searchsorted(ts, effective) :][:1] *= ratio
    for effective, paid in dividends.items():
        dividend[np.searchsorted(ts, effective) :][:1] += paid
    return bars.with_columns(split=pl.Series(split), dividend=pl.Series(dividend))


def conform_with_actions(frame: pl.DataFrame) -> pl.DataFrame:
    """Answer a frame of bars as `conform` does, with its actions where it tells of any. Raises InvalidInput."""
    bars = conform(frame)
    if not _tells(frame):
        return bars
    try:
        actions = frame.select(pl.col(name).cast(pl.Float64).fill_null(usual) for name, usual in ACTIONS.items())
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"the actions hold what is no number: {error}", "mend the columns", "bars") from None
    split, dividend = (actions[name].to_numpy() for name in ACTIONS)
    if not (np.isfinite(split).all() and (split > 0).all() and np.isfinite(dividend).all() and (dividend >= 0).all()):
        raise InvalidInput("a split is not above 0, or a dividend is below", "mend the columns", "bars")
    return bars.hstack(actions)


def combined(newer: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Answer two frames of bars as one: where both have a bar the newer one stands, with the stored one's actions
    where the newer frame tells of none. Without the columns where nothing ever happened."""
    if _tells(stored) and not _tells(newer):
        newer = newer.join(stored.select("ts", *ACTIONS), on="ts", how="left", maintain_order="left")
    frame = pl.concat([newer, stored], how="diagonal").unique("ts", keep="first", maintain_order=True).sort("ts")
    if not _tells(frame):
        return frame
    frame = frame.with_columns(pl.col(name).fill_null(usual) for name, usual in ACTIONS.items())
    return frame.with_columns(_once_a_day(name, usual) for name, usual in ACTIONS.items()).pipe(tidy)


def _once_a_day(name: str, usual: float) -> pl.Expr:
    """Answer a column of actions with the first of each day alone: bars within a day that are fetched from its middle
    on tell again, on their first bar, what stands on that of the day."""
    happened = pl.col(name) != usual
    is_first = happened & (happened.cum_sum().over(pl.col("ts").dt.date()) == 1)
    return pl.when(is_first).then(pl.col(name)).otherwise(usual).alias(name)


def with_columns_of_actions(frame: pl.DataFrame) -> pl.DataFrame:
    """Answer bars with the columns of actions, also where nothing happened."""
    return frame if _tells(frame) else frame.with_columns(pl.lit(usual).alias(name) for name, usual in ACTIONS.items())


def tidy(frame: pl.DataFrame) -> pl.DataFrame:
    """Answer bars without the columns of actions where nothing happened."""
    if _tells(frame) and all((frame[name] == usual).all() for name, usual in ACTIONS.items()):
        return frame.drop(*ACTIONS)
    return frame


def split_adjusted(frame: pl.DataFrame) -> pl.DataFrame:
    """Answer raw bars with prices and volumes counted in the shares of the last bar: what is before a split is divided
    by it. Dividends change nothing."""
    if not _tells(frame) or (frame["split"] == 1.0).all():
        return frame
    return _scaled(frame, 1 / later_splits(frame))


def splits_of(frame: pl.DataFrame) -> Splits:
    """Answer the splits of a frame of bars."""
    if not _tells(frame):
        return ()
    found = frame.filter(pl.col("split") != 1.0).select(pl.col("ts").cast(pl.Int64), "split")
    return tuple((int(ts), float(ratio)) for ts, ratio in found.iter_rows())


def as_known(bars: BarArrays, splits: Splits, first: int, last: int) -> list[BarArrays]:
    """Answer bars that are adjusted for some splits as they were known at each of those from `first` up to but not
    including `last`: counted in the shares of that time. Those at the end of one of the answers are what comes after
    the end of the one before; all begin with the first bar.

    Whoever compares a price with a number looks into the future where it is counted in later shares.
    """
    at = {int(np.searchsorted(bars.ts, ts, "right")) - 1: ratio for ts, ratio in splits}  # the bar that begins with it
    ends = sorted({place for place in at if first < place < last} | {last})
    found = []
    for end in ends:
        later = math.prod(ratio for place, ratio in at.items() if place >= end)
        seen = bars.head(end)
        prices = {name: getattr(seen, name) * later for name in PRICES} if later != 1.0 else {}
        found.append(seen._replace(**prices, volume=seen.volume / later) if prices else seen)
    return found


def as_traded(frame: pl.DataFrame, digits: int) -> pl.DataFrame:
    """Answer bars that are split-adjusted, with their actions, as they were traded: prices rounded to the `digits`
    after the decimal point that the exchange has, dividends as they were paid."""
    factors = later_splits(frame)
    paid = pl.Series("dividend", frame["dividend"].to_numpy() * factors)
    return _scaled(frame, factors).with_columns(paid, *(pl.col(name).round(digits) for name in PRICES))


def later_splits(frame: pl.DataFrame) -> F64:
    """Answer for each bar how many of the last bar's shares one of its own became."""
    split = frame["split"].to_numpy()
    return np.append(np.cumprod(split[::-1])[::-1][1:], 1.0)


def _scaled(frame: pl.DataFrame, factors: F64) -> pl.DataFrame:
    prices = [pl.Series(name, frame[name].to_numpy() * factors) for name in PRICES]
    return frame.with_columns(*prices, pl.Series("volume", frame["volume"].to_numpy() / factors))


def _tells(frame: pl.DataFrame) -> bool:
    return all(name in frame.columns for name in ACTIONS)
