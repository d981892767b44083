"""What a training leaves behind: its model, and what it is worth out of sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pitboss.core.clock import micros_to_iso
from pitboss.kernel.series import drawdown_of
from pitboss.kinds.documents.bars import save_frame
from pitboss.kinds.documents.prepare import source_of
from pitboss.kinds.training.fitting import Trial
from pitboss.kinds.training.params import TrainingParams
from pitboss.kinds.training.prepare import Taught, all_versions
from pitboss.learning import model as models
from pitboss.learning.folds import Fold
from pitboss.learning.learner import Fitted, Task, learner_of
from pitboss.learning.samples import F64, I64, Samples
from pitboss.learning.scores import calibration, confusion, positions_of, scores_of, worth_of
from pitboss.runs.context import RunContext
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.training import Chosen

GPU = "gpu"  # the resource that a run is queued for where it should learn on one
_TS = pl.Datetime("us", "UTC")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A model, and since when it existed: microseconds since 1970."""

    number: int
    since: int
    fitted: Fitted


@dataclass
class Done:
    """What there is of a training."""

    params: TrainingParams
    taught: Taught
    samples: Samples = field(init=False)
    folds: list[Fold] = field(init=False, default_factory=list)
    scopes: Sequence[Scope] = field(init=False, default=())
    trials: list[Trial] = field(init=False, default_factory=list)
    final: Fit | None = field(init=False, default=None)
    importance: pl.DataFrame | None = field(init=False, default=None)

    def begin(self, samples: Samples, folds: list[Fold], scopes: Sequence[Scope]) -> None:
        self.samples, self.folds, self.scopes = samples, folds, scopes

    def task(self, context: RunContext, number: int = 0, chosen: Chosen | None = None) -> Task:
        """Answer what the learner of a fold is made for, 0 for that of everything."""
        return Task(
            chosen=chosen or self.taught.training.model, names=self.samples.names, is_class=self.samples.is_class,
            seed=int(context.snapshot["seed"]) + number, threads=self.threads_of(context.threads),
            on_gpu=context.slot == GPU,
        )  # fmt: skip

    def threads_of(self, cores: int) -> int:
        """Answer with how many threads to learn: half of them where a twin does so beside it, since threads of two runs
        that wait for each other in turns take several times as long as fewer would."""
        has_company = self.params.twin or self.params.shuffled
        return max(1, cores // 2) if has_company else cores

    @property
    def learned(self) -> list[tuple[Fold, Fitted]]:
        """The folds that a model came of, each with it."""
        pairs = zip(self.folds, self.trials, strict=False)
        return [(fold, trial.fitted) for fold, trial in pairs if trial.fitted is not None]

    @property
    def fits(self) -> list[Fit]:
        """The models that existed at some time: those of folds that learned from nothing later, and the last."""
        of_folds = [
            Fit(number=fold.number, since=fold.since, fitted=fitted)
            for fold, fitted in self.learned
            if fold.since is not None
        ]
        return [*of_folds, *([self.final] if self.final is not None else [])]


def results_of(done: Done, context: RunContext) -> dict[str, Any]:
    """Write the artifacts of a training and answer its result."""
    result: dict[str, Any] = {
        "folds": [trial.row for trial in done.trials], "planned": len(done.folds), "shuffled": done.params.shuffled,
        "tried": context.snapshot["tried"], "source": source_of(context.snapshot), "artifacts": [], "scores": {},
    }  # fmt: skip
    if not done.trials:
        return result
    samples = done.samples
    rows, folds, said = tested(done)
    scores = scores_of(said, samples.y[rows], samples.is_class) | within_folds(done.trials)
    result |= {"scores": scores, "is_class": samples.is_class, "reach": samples.reach}
    frames = {
        "predictions": predictions_frame(samples, rows, folds, said), "curves": curves_frame(done.trials),
        "equity": equity_frame(done, rows, said),
    }  # fmt: skip
    result["equity"] = float(frames["equity"]["equity"][-1]) if len(frames["equity"]) else 1.0
    if samples.is_class:
        is_told = ~(np.isnan(said) | np.isnan(samples.y[rows]))
        p, y = said[is_told], samples.y[rows][is_told]
        result["confusion"] = confusion(p, y)
        frames["calibration"] = pl.DataFrame(calibration(p, y))
    if done.importance is not None:
        frames["importance"] = done.importance
    if not done.params.shuffled:
        result["model"] = save_model(done, scores, context)
    result["artifacts"] = [save_frame(context, name, frame) for name, frame in frames.items()]
    return result


def within_folds(trials: Sequence[Trial]) -> dict[str, float]:
    """Answer the scores that tell the rows of a fold from each other, as the mean of the folds: over all rows at once
    they would be lower than chance where nothing is known, since a fold whose labels are mostly 1 leaves fewer of them
    to learn from."""
    found = {}
    for name in ("skill", "auc", "correlation"):
        told = [(trial.row[name], trial.row["rows"]) for trial in trials if trial.row.get(name) is not None]
        if told:
            values, weights = zip(*told, strict=True)
            found[name] = float(np.average(values, weights=weights))
    return found


def tested(done: Done) -> tuple[I64, I64, F64]:
    """Answer the rows that were tested, by which fold each, and what was said of them."""
    pairs = list(zip(done.folds, done.trials, strict=False))
    rows = np.concatenate([fold.test for fold, _ in pairs])
    folds = np.concatenate([np.full(len(fold.test), fold.number) for fold, _ in pairs])
    return rows, folds, np.concatenate([trial.said for _, trial in pairs])


def predictions_frame(samples: Samples, rows: I64, folds: I64, said: F64) -> pl.DataFrame:
    """Answer one row for each bar out of sample, and fold that it was tested by."""
    name = "probability" if samples.is_class else "prediction"
    return pl.DataFrame(
        {
            "symbol": np.array(samples.symbols)[samples.symbol[rows]], "ts": pl.Series(samples.at[rows]).cast(_TS),
            "fold": folds, name: said, "label": samples.y[rows],
        }
    ).with_columns(pl.col(name, "label").fill_nan(None)).sort("ts", "symbol", "fold")  # fmt: skip


def curves_frame(trials: Sequence[Trial]) -> pl.DataFrame:
    """Answer the losses of each fold, step by step."""
    points = [(trial.row["fold"], *point) for trial in trials for point in trial.curve]
    schema: dict[str, Any] = {"fold": pl.Int64, "step": pl.Int64, "train_loss": pl.Float64, "loss": pl.Float64}
    return pl.DataFrame(points, schema=schema, orient="row").with_columns(pl.col("train_loss", "loss").fill_nan(None))


def equity_frame(done: Done, rows: I64, said: F64) -> pl.DataFrame:
    """Answer what holding each bar's prediction would have made of 1 over the tested bars, in equal parts of the
    symbols, after costs, and what holding the symbols would: `ts, equity, drawdown, buy_and_hold`."""
    samples, costs = done.samples, done.taught.request.costs
    cost = costs.commission + costs.slippage
    mean = np.full(len(samples.at), np.nan)
    order = np.argsort(rows, kind="stable")
    unique, first = np.unique(rows[order], return_index=True)
    with np.errstate(invalid="ignore"):
        mean[unique] = [np.nanmean(part) if len(part) else np.nan for part in np.split(said[order], first[1:])]
    times = np.unique(samples.at[unique])
    grown, held = np.zeros(len(times)), np.zeros(len(times))
    for number, scope in enumerate(done.scopes):
        own = unique[samples.symbol[unique] == number]
        if not len(own):
            continue
        close = scope.bars.close[own - samples.since[own]]
        worth = worth_of(positions_of(mean[own], samples.is_class), close, cost)
        at = np.searchsorted(samples.at[own], times, "right") - 1
        grown += np.where(at >= 0, worth[np.maximum(at, 0)], 1.0)
        held += np.where(at >= 0, close[np.maximum(at, 0)] / close[0], 1.0)
    count = len(done.scopes)
    equity = grown / count
    return pl.DataFrame(
        {"ts": pl.Series(times).cast(_TS), "equity": equity, "drawdown": drawdown_of(equity, 1.0),
         "buy_and_hold": held / count}
    )  # fmt: skip


def save_model(done: Done, scores: Mapping[str, Any], context: RunContext) -> dict[str, Any] | None:
    """Write the files of a version; answer what the registry keeps of it, None where there is no model."""
    fits = sorted(done.fits, key=lambda fit: (fit.since, fit.number))
    if not fits:
        return None
    request, training, samples = done.taught.request, done.taught.training, done.samples
    suffix = learner_of(done.task(context)).suffix
    described = []
    for fit in fits:
        name, content = f"{f'fold-{fit.number}' if fit.number else 'final'}.{suffix}", fit.fitted.content()
        context.save_artifact(name, partial(_write, content), "application/octet-stream")
        described.append(
            {"number": fit.number, "since": fit.since, "file": name, "digest": models.digest_of(content),
             "best": fit.fitted.best}
        )  # fmt: skip
    manifest = {
        "format": models.FORMAT, "name": request.document.name, "text": request.document.text,
        "parameters": dict(done.params.parameters), "features": list(samples.names), "is_class": samples.is_class,
        "label": {"type": training.label.type, "reach": training.label.reach, **training.label.numbers},
        "model": {"type": training.model.type, "numbers": dict(training.model.numbers)},
        "validation": {"type": training.validation.type, **training.validation.numbers},
        "timeframe": str(request.timeframe), "symbols": list(request.symbols), "seed": context.snapshot["seed"],
        "data": [{name: each[name] for name in ("symbol", "digest", "rows")} for each in context.snapshot["data"]],
        "window": [int(samples.at.min()), int(samples.at.max())], "models": described, "scores": dict(scores),
        "libraries": all_versions(context.snapshot),
    }  # fmt: skip
    content = models.encoded(manifest)
    context.save_artifact(models.MANIFEST, partial(_write, content), "application/json")
    return {
        "name": request.document.name, "digest": models.digest_of(content), "since": described[0]["since"],
        "until": int(samples.at.max()), "has_final": done.final is not None, "learner": training.model.type,
        "timeframe": str(request.timeframe), "symbols": list(request.symbols), "features": list(samples.names),
        "label": manifest["label"], "is_class": samples.is_class, "scores": dict(scores),
        "folds": [_of_fold(trial.row) for trial in done.trials],
        "window": [micros_to_iso(at) for at in manifest["window"]],
        "is_synthetic": context.snapshot["is_synthetic"], "text": request.document.text,
        "parameters": dict(done.params.parameters), "files": [{"file": each["file"]} for each in described],
    }  # fmt: skip


def _of_fold(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("fold", "best", "skill", "loss", "failure") if name in row}


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)
