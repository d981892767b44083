"""The sweep in its own process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pitboss.backtesting.grid import Grid, read_grid
from pitboss.backtesting.library import variants_frame
from pitboss.backtesting.metrics import as_json, from_json
from pitboss.backtesting.ranking import Ranking, read_ranking
from pitboss.backtesting.sweep import SweepJob, Variant, run_sweep
from pitboss.core.errors import RunCancelled
from pitboss.core.infinite import to_json
from pitboss.kinds.documents.bars import load_universe, save_frame
from pitboss.kinds.documents.prepare import as_fixed, identity_of, read_request, source_of
from pitboss.kinds.sweep.params import SweepParams
from pitboss.runs.context import RunContext

BEST = 10


def run(params: SweepParams, context: RunContext) -> dict[str, Any]:
    """Compute the variants, reporting each as it ends, then write their table; see `runs.kinds.Kind`."""
    context.begin_stage("loading bars")
    request = read_request(as_fixed(params, context.snapshot), context.snapshot["strategy"]["text"])
    universe = load_universe(request, context.snapshot, context.resource("bars"), context.log)
    grid = read_grid(request.document, params.grid, params.parameters)
    job = SweepJob(
        request.document, universe, request.cash, params.sizing, params.costs, params.parameters,
        lambda: context.is_cancelled or context.is_suspended,
    )  # fmt: skip
    saved = _restored(context)
    done = [_variant(json.loads(line)) for line in saved.splitlines()]
    context.begin_stage("sweeping", len(grid), len(done))
    for variant in run_sweep(job, grid, context.threads, {variant.index for variant in done}):
        done.append(variant)
        item = _item(variant)
        saved += json.dumps(item).encode() + b"\n"
        context.item(str(variant.index), item)
        context.report(len(done), current_item=_label(variant))
        if context.is_checkpoint_due:
            context.checkpoint({"variants": saved})
    if len(done) < len(grid) and not context.is_cancelled:
        context.checkpoint({"variants": saved})  # it was stopped to go on later: this raises RunSuspended
    context.end_stage(len(done))
    if len(done) == len(grid):
        context.begin_results()
    elif context.keeps_partial:
        context.checkpoint_at_cancel({"variants": saved})
    else:
        raise RunCancelled("the sweep was cancelled")
    return results(done, grid, read_ranking(params.metric, params.min_trades), context)


def _restored(context: RunContext) -> bytearray:
    """Answer the variants that were done before, one a line in JSON; encoded once, however often they are saved.

    In the log of a run that takes up another's they stand too.
    """
    state = context.restore(identity_of(context.snapshot)) or {"variants": b""}
    if not context.has_own_checkpoint:
        for item in map(json.loads, state["variants"].splitlines()):
            context.item(str(item["variant"]), item)
    return bytearray(state["variants"])


def _variant(item: Mapping[str, Any]) -> Variant:
    return Variant(item["variant"], item["parameters"], from_json(item["metrics"]))


def results(done: list[Variant], grid: Grid, ranking: Ranking, context: RunContext) -> dict[str, Any]:
    """Write the table of variants, best first, and answer the result of a sweep."""
    ranked = ranking.sorted(done)
    artifacts = [save_frame(context, "variants", variants_frame(done, ranking))]
    return {
        "variants": len(done),
        "total": len(grid),
        "left_out": grid.left_out,
        "metric": ranking.text,
        "min_trades": ranking.min_trades,
        "with_enough_trades": sum(map(ranking.has_enough, done)),
        "ruined": sum(variant.metrics.get("ruined_at") is not None for variant in done),
        "failed": sum(ranking.value(variant.metrics) is None for variant in done),
        "best": [_item(variant) | {"value": to_json(ranking.value(variant.metrics))} for variant in ranked[:BEST]],
        "artifacts": artifacts,
        "source": source_of(context.snapshot),
    }


def _item(variant: Variant) -> dict[str, Any]:
    return {
        "variant": variant.index,
        "parameters": dict(variant.parameters),
        "metrics": as_json(variant.metrics),
    }


def _label(variant: Variant) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in variant.parameters.items())
