"""Requests about what a strategy document does on bars."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.backtesting.engine import rules_of, run
from pitboss.backtesting.options import resolve
from pitboss.backtesting.tables import trades_frame
from pitboss.backtesting.universe import Universe
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kernel.panel import new_panel
from pitboss.kinds.documents.models import models_in
from pitboss.market.store import BarStore, session_of
from pitboss.reader.bars import candles_of, line_of
from pitboss.reader.tables import window
from pitboss.strategy.binding import bind
from pitboss.strategy.document import Document
from pitboss.strategy.evaluate import ArrayCache, Scope
from pitboss.strategy.program import Program, compile_document
from pitboss.strategy.reader import read_document
from pitboss.strategy.times import times_of

REQUESTS = ("preview", "overlays")
WARM_UP = 3_000  # bars before those that are shown, so that averages have settled
MOST_LINES = 8


def preview(
    store: BarStore, text: str, symbol: str, timeframe: str | None, count: int, models: dict[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """Answer the last `count` candles of a symbol with the named indicators of a document over them, and the trades
    that it makes on them; `models` are those that it asks, as a snapshot has them. Raises InvalidInput with every
    mistake."""
    document = read_document(text)
    program = compile_document(document)
    universe = replace(_universe(store, document, symbol, timeframe), models=models_in({"models": models}, store.files))
    shown = universe.bars[symbol].ts[-count:]
    outcome = run(program, rules_of(program, *resolve(document, {}, {}, {})), universe, 10_000.0, new_panel())
    trades = trades_frame(outcome).filter(trades_frame(outcome)["exit_ts"].cast(int) >= int(shown[0]))
    found = candles_of(universe.bars[symbol], int(shown[0]), None, count)
    columns = {name: trades[name].cast(int).to_list() for name in ("entry_ts", "exit_ts")}
    columns |= {name: trades[name].to_list() for name in ("entry_price", "exit_price", "pnl", "side")}
    return found | {
        "lines": _lines(document, program, universe, symbol, found["x"]),
        "trades": columns, "timeframe": str(universe.timeframe),
    }  # fmt: skip


def overlays(
    store: BarStore, text: str, parameters: dict[str, Any], symbol: str, timeframe: str, at: list[int],
    models: dict[str, Any],
) -> list[dict[str, Any]]:  # fmt: skip
    """Answer the named indicators of a document at some bars of a symbol; none of a document that names none."""
    document = read_document(text)
    if not document.indicators or not at:
        return []
    program = compile_document(document, parameters)
    universe = _universe(store, document, symbol, timeframe, at)
    known = models_in({"models": models}, store.files)
    return _lines(document, program, replace(universe, models=known), symbol, at)


def _universe(
    store: BarStore, document: Document, symbol: str, timeframe: str | None, at: list[int] | None = None
) -> Universe:
    """Answer the bars that end with those shown, and enough before them."""
    length = parse_timeframe(timeframe) if timeframe else document.timeframe
    if length is None:
        raise InvalidInput("no timeframe is given", "write timeframe: 5m into the document", "timeframe")
    bars: dict[str, BarArrays] = {}
    for name in (symbol, *sorted(document.symbols - {symbol})):
        found = store.load(name, length)
        begin, end = window(found.ts, at[0], at[-1]) if at else (len(found.ts) - WARM_UP, len(found.ts))
        bars[name] = found.slice(max(0, begin - WARM_UP), min(len(found.ts), end + 1))
    session = session_of(store.find(symbol, length))
    return Universe((symbol,), bars, length, times_of(document, {symbol: session} if session else {}))


def _lines(
    document: Document, program: Program, universe: Universe, symbol: str, at: list[int]
) -> list[dict[str, Any]]:  # fmt: skip
    """Answer each named indicator at the bars shown; `is_price` says whether it is of the same size as prices."""
    scope = universe.scope(symbol, ArrayCache())
    places = np.clip(np.searchsorted(scope.bars.ts, at), 0, len(scope.bars.ts) - 1)
    lines = {
        name: _values(scope, bind(node, program.values, document.indicators))
        for name, node in list(document.indicators.items())[:MOST_LINES]
    }
    return [line_of(name, values, scope.bars, places) for name, values in lines.items() if values is not None]


def _values(scope: Scope, node: Any) -> npt.NDArray[np.float64] | None:
    values = scope.evaluate(node)
    return None if values.dtype == np.bool_ else np.asarray(values, np.float64)
