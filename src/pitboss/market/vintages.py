"""Series as they were: what a source changed afterwards is kept, and a run goes on with what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pitboss.core.timeframe import parse_timeframe
from pitboss.market.actions import ACTIONS, tidy, with_columns_of_actions
from pitboss.market.catalog import name_of, vintages_of
from pitboss.market.frames import COLUMNS, read_parquet
from pitboss.market.store import BarStore, digest_of

TOLERANCE = 1e-9  # relative: floats that are written and read again


def as_seen(store: BarStore, promised: Mapping[str, Any]) -> pl.DataFrame | None:
    """Answer a series as a run was promised it, though bars have come or changed since; None where it is gone.

    promised: what the run's snapshot says of it: symbol, timeframe, rows and digest.
    """
    timeframe, rows = parse_timeframe(promised["timeframe"]), int(promised["rows"])
    for place in store.places:
        name = name_of(promised["symbol"], timeframe, place)
        kept = (each for each in store.files.names(vintages_of(name)) if each.endswith(".parquet"))
        for candidate in (name, *reversed(list(kept))):
            path = store.files.fetch(candidate)
            frame = tidy(read_parquet(path).head(rows)) if path is not None else None
            if frame is not None and len(frame) == rows and digest_of(frame) == promised["digest"]:
                return frame
    return None


def revised(seen: pl.DataFrame, now: pl.DataFrame) -> int:
    """Answer how many bars of `seen` differ from those that stand there now."""
    if not len(now):
        return 0
    tells = set(ACTIONS) <= set(now.columns) or not set(ACTIONS) <= set(seen.columns)  # else `now` knows of no actions
    names = (*COLUMNS[1:], *(ACTIONS if tells else ()))
    both = with_columns_of_actions(seen).join(with_columns_of_actions(now), on="ts", suffix=" now")
    differs = [(pl.col(name) - pl.col(f"{name} now")).abs() > TOLERANCE * pl.col(name).abs() for name in names]
    return len(both.filter(pl.any_horizontal(*differs)))


def is_continued(stored: pl.DataFrame, frame: pl.DataFrame) -> bool:
    """Answer whether all bars of `frame` that are not stored come after those that are."""
    added = frame.join(stored, on="ts", how="anti")
    return not len(added.filter(pl.col("ts") < pl.lit(stored["ts"].max())))


def remark_on(symbol: str, seen: pl.DataFrame, now: pl.DataFrame) -> str:
    """Answer what there is to say of a series that is used as it was seen before."""
    changed, added = revised(seen, now), len(now) - len(seen)
    if changed:
        return f"{changed:,} bars of {symbol} differ today from those that were used: its source has changed them since"
    return f"{added:,} newer bars of {symbol} were left out: those were used that were there at first"
