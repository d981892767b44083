"""A fetch checked before it is queued: its source, its symbols."""

from __future__ import annotations

from typing import Any

from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe
from pitboss.kinds.documents.feeds import chosen, fixed
from pitboss.kinds.documents.prepare import Mistakes, Sources
from pitboss.kinds.fetch.params import FetchParams
from pitboss.market.catalog import check_symbol
from pitboss.market.dates import EVER
from pitboss.market.sources import Source
from pitboss.market.universes import members_of
from pitboss.runs.kinds import Prepared


def prepare(params: FetchParams, sources: Sources) -> Prepared:
    """Check a fetch and fix its symbols. Raises InvalidInput with every mistake."""
    mistakes = Mistakes()
    source = mistakes.attempt(lambda: chosen(params.source, sources))
    witness = mistakes.attempt(lambda: _witness(params, source, sources))
    symbols = mistakes.attempt(lambda: _symbols(params, sources))
    mistakes.tell()
    assert source is not None
    assert symbols is not None
    snapshot: dict[str, Any] = {
        **fixed(source, witness),
        "symbols": " ".join(symbols),
        "home": sources.bars.home,
    }
    work = {"symbols": float(len(symbols))}
    return Prepared(f"fetch/{source.name}", snapshot | {"work": work}, {"the symbols": snapshot["symbols"]}, work)


def _witness(params: FetchParams, source: Source | None, sources: Sources) -> Source | None:
    if not params.compare_with:
        if params.must_agree:
            raise InvalidInput("no source is named that must agree", "write compare_with too", "must_agree")
        return None
    found = chosen(params.compare_with, sources, "compare_with")
    if source is not None and found.name == source.name:
        raise InvalidInput(f"{found.name} would be compared with itself", "name another source", "compare_with")
    if source is not None and "total-return" in {found.prices, source.prices} and found.prices != source.prices:
        what = f"{source.name} has {source.prices or 'other'} prices, {found.name} {found.prices or 'other'} ones"
        raise InvalidInput(what, "compare sources of one kind of prices", "compare_with")
    return found


def _symbols(params: FetchParams, sources: Sources) -> list[str]:
    if bool(params.symbols) == bool(params.universe_source):
        what = "there are symbols and a universe" if params.symbols else "there are neither symbols nor a universe"
        raise InvalidInput(what, 'write symbols: ["AAPL"], or universe_source: sp500', "symbols")
    if (params.universe_source == "file") != bool(params.universe_file):
        raise InvalidInput("the universe is a file without a name", "write universe_file: mine", "universe_file")
    if params.symbols:
        mistakes = Mistakes()
        for symbol in params.symbols:
            mistakes.attempt(lambda symbol=symbol: check_symbol(symbol))  # type: ignore[misc]
        mistakes.tell()
        return list(params.symbols)
    if params.universe_source == "catalog":
        timeframe = parse_timeframe(params.timeframe or "1d")
        found = [each.symbol for each in sources.bars.all() if parse_timeframe(each.timeframe) == timeframe]
        if not found:
            raise InvalidInput(f"there are no {timeframe} bars yet", "name symbols", "universe_source")
        return list(dict.fromkeys(found))
    return list(
        members_of(sources.bars.files, params.universe_file or params.universe_source or "").between(*EVER).spans
    )
