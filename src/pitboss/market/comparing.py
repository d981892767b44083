"""Two sources of one series: where they tell otherwise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from pitboss.core.clock import micros_to_iso
from pitboss.market.actions import split_adjusted
from pitboss.market.frames import PRICES


@dataclass(frozen=True, slots=True)
class Difference:
    """A price of a bar (microseconds since 1970, UTC) as one source tells it, and as the other does."""

    ts: int
    price: str
    value: float
    other: float

    def __str__(self) -> str:
        return f"the {self.price} of {micros_to_iso(self.ts)[:10]}: {self.value:g} against {self.other:g}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ts": micros_to_iso(self.ts)}


def differences(frame: pl.DataFrame, other: pl.DataFrame, tolerance: float) -> tuple[Difference, ...]:
    """Answer each price that differs by more than `tolerance`, a fraction of it, on the bars that both have.

    Both are counted in the shares of their last bar, for one source may adjust for splits and the other tell them.
    """
    if not len(other):
        return ()
    both = split_adjusted(frame).join(split_adjusted(other), on="ts", suffix=" of the other")
    told = both.unpivot(PRICES, index="ts", variable_name="price").with_columns(
        other=both.unpivot([f"{name} of the other" for name in PRICES], index="ts")["value"],
        ts=pl.col("ts").cast(pl.Int64),
    )
    differing = told.filter((pl.col("value") - pl.col("other")).abs() > tolerance * pl.col("value").abs())
    return tuple(Difference(*row) for row in differing.sort("ts", "price").iter_rows())
