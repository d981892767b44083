"""The fetch in its own process."""

from __future__ import annotations

from typing import Any

from pitboss.core.errors import PitbossError, RunCancelled
from pitboss.core.timeframe import parse_timeframe
from pitboss.kinds.documents.feeds import feed_of
from pitboss.kinds.fetch.params import FetchParams
from pitboss.market.dates import range_of
from pitboss.market.store import BarStore
from pitboss.runs.context import RunContext

LONGEST_REASON = 200


def run(params: FetchParams, context: RunContext) -> dict[str, Any]:
    """Bring each symbol up to date; what goes wrong with one is said in its row. See `runs.kinds.Kind`."""
    snapshot, timeframe = context.snapshot, parse_timeframe(params.timeframe or "1d")
    feed = feed_of(context, BarStore(context.files, snapshot["home"]))
    symbols = snapshot["symbols"].split(" ")
    start, _ = range_of(params.start, None)
    state = context.restore({"the symbols": snapshot["symbols"]})
    items: list[dict[str, Any]] = state["items"] if state else []
    done = {item["symbol"] for item in items}
    context.begin_stage("fetching", len(symbols), len(items))
    for symbol in symbols:
        if symbol in done:
            continue
        if context.is_cancelled:
            break
        try:
            item = {
                "symbol": symbol,
                **feed.update(symbol, timeframe, start or 0, whole=params.whole).as_dict(),
                "reason": "",
            }
        except RunCancelled:
            break
        except PitbossError as error:
            reason = str(error)[:LONGEST_REASON]
            item = {"symbol": symbol, "added": 0, "changed": 0, "rows": 0, "last": None, "reason": reason}
        items.append(item)
        context.item(symbol, item)
        context.report(len(items), current_item=symbol, failed_count=sum(bool(each["reason"]) for each in items))
        if context.is_checkpoint_due:
            context.checkpoint({"items": items})
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
    }  # fmt: skip
