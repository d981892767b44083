"""The fetch in its own process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pitboss.core.errors import PitbossError, RunCancelled
from pitboss.core.timeframe import parse_timeframe
from pitboss.kinds.documents.feeds import feed_of, provider_of
from pitboss.kinds.fetch.params import FetchParams
from pitboss.market.dates import range_of
from pitboss.market.fetching import Witness
from pitboss.market.store import BarStore
from pitboss.runs.context import RunContext

LONGEST_REASON = 200
MOST_DIFFERENCES = 200  # that are shown


def run(params: FetchParams, context: RunContext) -> dict[str, Any]:
    """Bring each symbol up to date; what goes wrong with one is said in its row. See `runs.kinds.Kind`."""
    snapshot, timeframe = context.snapshot, parse_timeframe(params.timeframe or "1d")
    witness = None
    if "witness" in snapshot:
        witness = Witness(provider_of(context, "witness"), params.tolerance, params.must_agree)
    feed = replace(feed_of(context, BarStore(context.files, snapshot["home"])), witness=witness)
    symbols = snapshot["symbols"].split(" ")
    start, _ = range_of(params.start, None)
    state = context.restore({"the symbols": snapshot["symbols"]})
    items: list[dict[str, Any]] = state["items"] if state else []
    done = {item["symbol"] for item in items}
    differing: list[dict[str, Any]] = state["differences"] if state else []
    context.begin_stage("fetching", len(symbols), len(items))
    for symbol in symbols:
        if symbol in done:
            continue
        if context.is_cancelled:
            break
        try:
            found = feed.update(symbol, timeframe, start or 0, whole=params.whole, extends="start" in context.params)
            item = {"symbol": symbol, **found.as_dict(), "reason": ""}
            for warning in found.warnings:
                context.log(f"{symbol}: {warning}", "warning")
            differing += [{"symbol": symbol, **each.as_dict()} for each in found.differences[:MOST_DIFFERENCES]]
        except RunCancelled:
            break
        except PitbossError as error:
            reason = str(error)[:LONGEST_REASON]
            counts = dict.fromkeys(("added", "changed", "differing", "rows"), 0)
            item = {"symbol": symbol, **counts, "last": None, "reason": reason}
        items.append(item)
        context.item(symbol, item)
        context.report(len(items), current_item=symbol, failed_count=sum(bool(each["reason"]) for each in items))
        if context.is_checkpoint_due:
            context.checkpoint({"items": items, "differences": differing})
    context.end_stage(len(items))
    if len(items) == len(symbols):
        context.begin_results()
    elif not context.keeps_partial:
        raise RunCancelled("the fetch was cancelled")
    failed = [item for item in items if item["reason"]]
    return {
        "symbols": len(items), "total": len(symbols), "added": sum(item["added"] for item in items),
        "changed": sum(item["changed"] for item in items), "failed": len(failed), "failures": failed[:100],
        "revised": [item for item in items if item["changed"]][:100], "source": feed.source.name,
        "differing": sum(item["differing"] for item in items), "differences": differing[:MOST_DIFFERENCES],
        "witness": witness.provider.source.name if witness is not None else None,
    }  # fmt: skip
