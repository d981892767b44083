"""The fetch in its own process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pitboss.core.errors import PitbossError, RunCancelled
from pitboss.core.timeframe import parse_timeframe
from pitboss.kinds.documents.feeds import feed_of, provider_of
from pitboss.kinds.fetch.params import FetchParams
from pitboss.market.dates import range_of
from pitboss.market.fetching import Feed, Witness
from pitboss.market.store import BarStore
from pitboss.runs.context import RunContext

LONGEST_REASON = 200
MOST_SHOWN, MOST_DIFFERENCES = 100, 200


def run(params: FetchParams, context: RunContext) -> dict[str, Any]:
    """Bring each symbol up to date; what goes wrong with one is said in its row. See `runs.kinds.Kind`."""
    feed, symbols = _feed(params, context), context.snapshot["symbols"].split(" ")
    state = context.restore({"the symbols": context.snapshot["symbols"]}) or {"items": [], "differences": []}
    items: list[dict[str, Any]] = state["items"]
    done = {item["symbol"] for item in items}
    context.begin_stage("fetching", len(symbols), len(items))
    for symbol in symbols:
        if symbol in done:
            continue
        if context.is_cancelled:
            break
        try:
            item, differences = _brought(feed, symbol, params, context)
        except RunCancelled:
            break
        items.append(item)
        state["differences"] += differences
        context.item(symbol, item)
        context.report(len(items), current_item=symbol, failed_count=sum(bool(each["reason"]) for each in items))
        if context.is_checkpoint_due:
            context.checkpoint(state)
    context.end_stage(len(items))
    if len(items) == len(symbols):
        context.begin_results()
    elif not context.keeps_partial:
        raise RunCancelled("the fetch was cancelled")
    return _result(feed, items, len(symbols), state["differences"])


def _feed(params: FetchParams, context: RunContext) -> Feed:
    """Answer what fills the store, with the other source that is compared."""
    feed = feed_of(context, BarStore(context.files, context.snapshot["home"]))
    if "witness" not in context.snapshot:
        return feed
    return replace(feed, witness=Witness(provider_of(context, "witness"), params.tolerance, params.must_agree))


def _brought(
    feed: Feed, symbol: str, params: FetchParams, context: RunContext
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Bring a symbol up to date; answer its row, and where the other source differs. Raises RunCancelled."""
    timeframe, (start, _) = parse_timeframe(params.timeframe or "1d"), range_of(params.start, None)
    try:
        found = feed.update(symbol, timeframe, start or 0, whole=params.whole, extends="start" in context.params)
    except RunCancelled:
        raise
    except PitbossError as error:
        counts = dict.fromkeys(("added", "changed", "differing", "rows"), 0)
        return {"symbol": symbol, **counts, "last": None, "reason": str(error)[:LONGEST_REASON]}, []
    for warning in found.warnings:
        context.log(f"{symbol}: {warning}", "warning")
    differences = [{"symbol": symbol, **each.as_dict()} for each in found.differences[:MOST_DIFFERENCES]]
    return {"symbol": symbol, **found.as_dict(), "reason": ""}, differences


def _result(
    feed: Feed, items: list[dict[str, Any]], total: int, differences: list[dict[str, Any]]
) -> dict[str, Any]:  # fmt: skip
    failed = [item for item in items if item["reason"]]
    counts = {name: sum(item[name] for item in items) for name in ("added", "changed", "differing")}
    return {
        "symbols": len(items), "total": total, **counts, "failed": len(failed), "failures": failed[:MOST_SHOWN],
        "revised": [item for item in items if item["changed"]][:MOST_SHOWN], "source": feed.source.name,
        "differences": differences[:MOST_DIFFERENCES],
        "witness": feed.witness.provider.source.name if feed.witness is not None else None,
    }  # fmt: skip
