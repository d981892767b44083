"""The bars of a run, as its process has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import polars as pl

from pitboss.backtesting.universe import Universe
from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS
from pitboss.kinds.documents.models import models_in
from pitboss.kinds.documents.prepare import Request
from pitboss.market.actions import splits_of
from pitboss.market.frames import between, read_parquet
from pitboss.market.store import BarStore, session_of
from pitboss.market.vintages import as_seen, remark_on
from pitboss.runs.context import RunContext, World
from pitboss.strategy.times import Times, times_of

LONGEST_CLOSE = 4 * DAY_MICROS + DAY_MICROS // 2  # no exchange is closed for longer than a long weekend
MOST_GAPS = 20
SAMPLE = 1000  # bars of a symbol
MOST_DIGITS = 8


def bars_of(world: World) -> BarStore:
    """Answer the bars that a run may read."""
    return BarStore(world.files)


def load_universe(
    request: Request, snapshot: Mapping[str, Any], store: BarStore, remark: Callable[[str], None]
) -> Universe:  # fmt: skip
    """Load the bars of a request, and make sure that they are those of its snapshot; `remark` is told where those are
    not today's.

    Raises InvalidInput when the stored bars have changed since, or none lie in the range.
    """
    store = store.at(snapshot.get("places", ()))
    promised = {described["symbol"]: described for described in snapshot["data"]}
    bars, whole, splits = {}, {}, {}
    for symbol in request.all_symbols:
        whole[symbol], splits[symbol], _ = store.seen(symbol, request.timeframe)
        # asked after they were read: whatever is imported meanwhile shows here
        series = store.find(symbol, request.timeframe)
        if series.digest != promised[symbol]["digest"]:
            seen = as_seen(store, promised[symbol])
            if seen is None:
                what = f"the bars of {symbol} have changed since the run was submitted"
                raise InvalidInput(what, "rerun it on the newest", "symbols")
            remark(remark_on(symbol, seen, read_parquet(store.fetch(series))))
            whole[symbol], splits[symbol] = store.made(seen, series, request.timeframe), splits_of(seen)
        bars[symbol] = between(whole[symbol], request.start, request.end)
    for symbol in request.symbols:
        if not len(bars[symbol].ts):
            raise InvalidInput(f"{symbol} has no bars in that range", "see 'pitboss data gaps'", "start")
        if bars[symbol].low.min() <= 0:
            what = f"{symbol} has prices of 0 or less in that range: shares of an account cannot be counted in them"
            raise InvalidInput(what, "choose a range without them", "start")
    times, members, models = _times(request, store), None, models_in(snapshot, store.files)
    if request.universe is not None:
        members = request.universe.spans(whole, splits, request.symbols, request.timeframe, times, models)
    return Universe(request.symbols, bars, request.timeframe, times, members, models)


def _times(request: Request, store: BarStore) -> Times:
    """Answer whose days and clocks a request follows: its document's, else those of its series."""
    found = {symbol: session_of(store.find(symbol, request.timeframe)) for symbol in request.all_symbols}
    known = {symbol: session for symbol, session in found.items() if session is not None}
    return times_of(request.document, known)


def gaps_of(universe: Universe) -> list[dict[str, str]]:
    """Answer stretches of the traded symbols that are longer than an exchange closes, the first few of them."""
    longest = max(LONGEST_CLOSE, 3 * universe.timeframe.micros)
    found = (
        {"symbol": symbol, "after": micros_to_iso(int(ts[at])), "before": micros_to_iso(int(ts[at + 1]))}
        for symbol in universe.symbols
        for ts in (universe.bars[symbol].ts,)
        for at in np.flatnonzero(np.diff(ts) > longest)
    )
    return list(islice(found, MOST_GAPS))


def digits_of(universe: Universe) -> int:
    """Answer how many digits the prices of the traded symbols have after the decimal point, by their last bars."""
    closes = np.concatenate([universe.bars[symbol].close[-SAMPLE:] for symbol in universe.symbols])
    fitting = (digits for digits in range(MOST_DIGITS) if np.allclose(closes, closes.round(digits), rtol=1e-12, atol=0))
    return next(fitting, MOST_DIGITS)


def save_frame(context: RunContext, name: str, frame: pl.DataFrame) -> str:
    """Save a frame as an artifact in Parquet and answer its name."""
    return context.save_artifact(f"{name}.parquet", partial(frame.write_parquet, compression="zstd")).name
