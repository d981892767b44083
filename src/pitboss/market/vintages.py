"""Series as they were: what a source changed afterwards is kept, and a run goes on with what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pitboss.core.timeframe import parse_timeframe
from pitboss.market.actions import tidy
from pitboss.market.catalog import name_of
from pitboss.market.frames import read_parquet
from pitboss.market.store import BarStore, digest_of

FOLDER = "vintages"


def vintage_name(name: str, digest: str) -> str:
    """Answer the name of the file that holds a series, of the file `name`, as it was when it had that digest."""
    return f"{FOLDER}/{name.removesuffix('.parquet')}/{digest}.parquet"


def as_seen(store: BarStore, promised: Mapping[str, Any]) -> pl.DataFrame | None:
    """Answer a series as a run was promised it, though bars have come or changed since; None where it is gone.

    promised: what the run's snapshot says of it: symbol, timeframe, rows and digest.
    """
    timeframe, rows = parse_timeframe(promised["timeframe"]), int(promised["rows"])
    for place in store.places:
        name = name_of(promised["symbol"], timeframe, place)
        kept = store.files.names(f"{FOLDER}/{name.removesuffix('.parquet')}")
        for candidate in (name, *reversed(kept)):
            path = store.files.fetch(candidate)
            frame = tidy(read_parquet(path).head(rows)) if path is not None else None
            if frame is not None and len(frame) == rows and digest_of(frame) == promised["digest"]:
                return frame
    return None
