"""The request whether the difference of two runs may be luck."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from pitboss.backtesting.luck import daily_closes, luck_of, returns_of
from pitboss.market.store import BarStore
from pitboss.reader.tables import read_table

REQUESTS = ("luck",)
Curve = tuple[str, str, str]  # a table's path, its column of moments, its column of equity


def luck(_store: BarStore, first: Curve, second: Curve) -> dict[str, Any] | None:
    """Compare two equity curves on the days that both have; None where there are too few of them."""
    (days, closes), (others, theirs) = (_daily(*curve) for curve in (first, second))
    _, here, there = np.intersect1d(days, others, return_indices=True)
    found = luck_of(returns_of(closes[here]), returns_of(theirs[there]))  # from one day of both to the next
    return None if found is None else asdict(found) | {"may_be_chance": found.may_be_chance}


def _daily(path: str, moments: str, equity: str) -> tuple[np.ndarray, np.ndarray]:
    frame = read_table(path)
    return daily_closes(frame[moments].cast(pl.Int64).to_numpy(), frame[equity].cast(pl.Float64).to_numpy())
