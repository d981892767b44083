"""The parameter sweep as a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.backtesting.library import variants_frame
from pitboss.backtesting.sweep import SweepJob, Variant, check_metric, rank, read_grid, run_sweep
from pitboss.core.errors import RunCancelled
from pitboss.jobs.backtest import BacktestKind, save_frame
from pitboss.jobs.request import fix_sources, load_universe, read_request, source_of, strategy_text
from pitboss.market.catalog import Catalog
from pitboss.runs.context import RunContext
from pitboss.runs.ports import Prepared

KEYS = ("grid", "metric")
DEFAULT_METRIC = "sharpe"
BEST = 10


class SweepKind(BacktestKind):
    """Runs every combination of a grid of parameters of one strategy document over stored bars."""

    name = "sweep"

    def prepare(self, params: Mapping[str, Any]) -> Prepared:
        """Check everything that can be checked without reading bars."""
        request = read_request(params, strategy_text(params.get("strategy"), self.lookup), KEYS)
        read_grid(request.document, params.get("grid"))
        check_metric(params.get("metric", DEFAULT_METRIC))
        snapshot = fix_sources(request, self.catalog)
        return Prepared(f"strategy/{request.document.name}", dict(params), snapshot)


def run(params: dict[str, Any], context: RunContext) -> dict[str, Any]:
    """Compute the variants, reporting each as it ends, then write their table; see `runs.ports.JobKind`."""
    context.begin_stage("loading bars")
    request = read_request(params, context.snapshot["strategy"]["text"], KEYS)
    universe = load_universe(request, context.snapshot, Catalog(context.data_dir / "bars"))
    grid = read_grid(request.document, params["grid"])
    metric = params.get("metric", DEFAULT_METRIC)
    job = SweepJob(
        request.document, universe, request.cash, request.sizing, request.costs, request.parameters,
        lambda: context.is_cancelled,
    )  # fmt: skip
    context.begin_stage("sweeping", total=len(grid))
    done: list[Variant] = []
    for variant in run_sweep(job, grid, context.threads):
        done.append(variant)
        context.item(str(variant.index), _item(variant))
        context.report(len(done), current_item=_label(variant))
    context.end_stage(len(done))
    if context.is_cancelled and len(done) < len(grid):
        if not context.keeps_partial:
            raise RunCancelled("the sweep was cancelled")
    else:
        context.begin_results()
    return results(done, len(grid), metric, context)


def results(done: list[Variant], total: int, metric: str, context: RunContext) -> dict[str, Any]:
    """Write the table of variants, best first, and answer the result of a sweep."""
    ranked = rank(done, metric)
    artifacts = [save_frame(context, "variants.parquet", variants_frame(ranked))]
    return {
        "variants": len(done),
        "total": total,
        "metric": metric,
        "best": [_item(variant) for variant in ranked[:BEST]],
        "artifacts": artifacts,
        "source": source_of(context.snapshot),
    }


def _item(variant: Variant) -> dict[str, Any]:
    return {
        "variant": variant.index,
        "parameters": dict(variant.parameters),
        "metrics": dict(variant.metrics),
    }


def _label(variant: Variant) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in variant.parameters.items())
