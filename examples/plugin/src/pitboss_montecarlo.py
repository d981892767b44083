"""A kind of run in one file: a list of trades drawn again and again, and what might have come of it."""

import csv
import random
from statistics import quantiles

from pydantic import Field

from pitboss.core.errors import RunCancelled
from pitboss.runs.kinds import Kind, Params
from pitboss.runs.report import Download, Figure, Note, Report, Unit


class MonteCarloParams(Params):
    """Trades as profits and losses, and how often they are drawn."""

    profits: list[float] = Field(
        title="Profits", description="of the trades, money", min_length=2, examples=[[30, -10]]
    )
    cash: float = Field(10_000, gt=0, title="Cash", description="at the start", json_schema_extra={"unit": "money"})
    paths: int = Field(10_000, ge=10, le=10_000_000, title="Paths", description="how often the trades are drawn")
    seed: int = Field(1, title="Seed", description="the same seed draws the same")


def run(params, context):
    """Draw the paths, a thousand to a checkpoint."""
    saved = context.restore() or {"ends": [], "falls": []}
    ends, falls = saved["ends"], saved["falls"]
    context.begin_stage("drawing", params.paths, len(ends))
    while len(ends) < params.paths and not context.is_cancelled:
        end, fall = draw(params, random.Random(f"{params.seed} {len(ends)}"))
        ends.append(end)
        falls.append(fall)
        context.report(len(ends), ruined=sum(fall <= -1 for fall in falls[-1000:]))
        if context.is_checkpoint_due:
            context.checkpoint({"ends": ends, "falls": falls})
    context.end_stage(len(ends))
    if not context.is_cancelled:
        context.begin_results()
    elif context.keeps_partial:
        context.checkpoint_at_cancel({"ends": ends, "falls": falls})
    if len(ends) < 10 or (context.is_cancelled and not context.keeps_partial):
        raise RunCancelled("too few paths to keep")
    context.save_artifact("paths.csv", lambda path: write(path, ends, falls), "text/csv")
    low, *_, high = quantiles(ends, n=20)
    return {"paths": len(ends), "asked": params.paths, "low": low, "high": high, "deepest": min(falls)}


def draw(params, dice):
    equity = top = params.cash
    fall = 0.0
    for profit in dice.choices(params.profits, k=len(params.profits)):
        equity += profit
        top = max(top, equity)
        fall = min(fall, equity / top - 1)
    return equity, fall


def write(path, ends, falls):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("final_equity", "max_drawdown"), *zip(ends, falls, strict=True)])


def report(run):
    result = run.result or {}
    names = (("low", "5 % end below", Unit.MONEY), ("high", "5 % end above", Unit.MONEY),
             ("deepest", "Deepest fall", Unit.PERCENT), ("paths", "Paths", Unit.COUNT))  # fmt: skip
    return Report(
        title="Monte Carlo of a trade list",
        figures=[Figure(name=name, label=label, value=result.get(name), unit=unit) for name, label, unit in names],
        notes=[Note(message="partial: cancelled on the way", is_warning=True)] if run.partial else [],
        downloads=[Download(artifact="paths.csv", title="paths.csv")] if result else [],
    )


KIND = Kind(name="montecarlo", title="Monte Carlo of a trade list", params=MonteCarloParams,
            entry="pitboss_montecarlo:run", is_resumable=True, report=report,
            outcome=lambda run: f"{(run.result or {}).get('paths', 0):,} paths")  # fmt: skip
