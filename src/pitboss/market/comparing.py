"""Two sources of one series: where they tell otherwise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from pitboss.core.clock import micros_to_iso
from pitboss.market.actions import split_adjusted
from pitboss.market.frames import PRICES

_TS = pl.col("ts").cast(pl.Int64)


@dataclass(frozen=True, slots=True)
class Difference:
    """A price of a bar (microseconds since 1970, UTC) as one source tells it, and as the other does; None where the
    other has no such bar."""

    ts: int
    price: str
    value: float
    other: float | None

    def __str__(self) -> str:
        other = "none" if self.other is None else f"{self.other:g}"
        return f"the {self.price} of {micros_to_iso(self.ts)[:10]}: {self.value:g} against {other}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ts": micros_to_iso(self.ts)}


def differences(frame: pl.DataFrame, other: pl.DataFrame, tolerance: float) -> tuple[Difference, ...]:
    """Answer each price that differs by more than `tolerance`, a fraction of it, and the close of each bar that the
    other does not have.

    Both are counted in the shares of the last bar that both have: one source may adjust for splits and the other tell
    them, and one may know a split already that the other does not.
    """
    absent = frame if not len(other) else frame.join(other, on="ts", how="anti")
    found = [Difference(ts, "close", close, None) for ts, close in absent.select(_TS, "close").iter_rows()]
    if not len(other):
        return tuple(found)
    mine, theirs = (split_adjusted(each.join(against, on="ts", how="semi"))
                    for each, against in ((frame, other), (other, frame)))  # fmt: skip
    both = mine.join(theirs, on="ts", suffix=" of the other")
    told = both.unpivot(PRICES, index="ts", variable_name="price").with_columns(
        _TS, other=both.unpivot([f"{name} of the other" for name in PRICES], index="ts")["value"]
    )
    differing = told.filter((pl.col("value") - pl.col("other")).abs() > tolerance * pl.col("value").abs())
    found += [Difference(*row) for row in differing.iter_rows()]
    return tuple(sorted(found, key=lambda each: (each.ts, each.price)))
