"""Learning under the eyes of a run: its progress, its cancel, and the curves of its losses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pitboss.core.errors import InvalidInput
from pitboss.learning.folds import Fold, stopping_split
from pitboss.learning.learner import Fitted, Learner, Losses, Part, Saved
from pitboss.learning.samples import F64, I64, Samples
from pitboss.learning.scores import scores_of
from pitboss.runs.context import RunContext
from pitboss.strategy.training import Training

LEAST_PER_CLASS = 10


@dataclass
class Watcher:
    """Sees a learner at work on behalf of a run; it keeps the curve of its losses. See `learning.learner.Watch`."""

    context: RunContext
    keep: Callable[[int, Saved], None]
    done: int = 0
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    best: tuple[float, int] = field(init=False)

    def __post_init__(self) -> None:
        told = ((stop, done) for done, _, stop in self.curve if not math.isnan(stop))
        self.best = min(told, default=(math.inf, 0))

    def step(self, done: int, losses: Losses, save: Callable[[], Saved] | None = None) -> bool:
        train, stop = losses
        if not math.isnan(train) or not math.isnan(stop):
            self.curve.append((done, train, stop))
        if stop < self.best[0]:
            self.best = (stop, done)
        self.done = done
        known = {"train_loss": train, "loss": stop}
        told: dict[str, Any] = {name: round(value, 6) for name, value in known.items() if not math.isnan(value)}
        if self.best[1]:
            told["best_iteration"] = self.best[1]
        self.context.report(done, **told)
        if save is not None and self.context.is_checkpoint_due:
            self.keep(done, save())
        elif self.context.is_suspended:
            self.keep(done, {})
        return not self.context.is_cancelled

    def batch(self) -> bool:
        return not self.context.is_cancelled


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of a fold: `row` is what people see of it, `said` what its model says of the rows that are tested."""

    row: dict[str, Any]
    fitted: Fitted | None
    said: F64
    curve: list[tuple[int, float, float]]


def weights_of(samples: Samples, training: Training, rows: I64) -> F64:
    """Answer the weight of each row: by how unique its label is, and by how rare its class, where that is wanted; 1 on
    average."""
    weight = samples.uniqueness[rows].copy() if training.sample_weights == "uniqueness" else np.ones(len(rows))
    if training.class_weights == "balanced" and samples.is_class:
        ones = samples.y[rows] > 0.5
        for which in (ones, ~ones):
            weight[which] *= 0.5 * weight.sum() / max(weight[which].sum(), 1e-12)
    return np.asarray(weight / weight.mean())


def part_of(samples: Samples, training: Training, rows: I64) -> Part:
    return Part(samples=samples, rows=rows, weight=weights_of(samples, training, rows))


def tried(
    fold: Fold, samples: Samples, training: Training, learner: Learner, watcher: Watcher, saved: Saved | None
) -> Trial:  # fmt: skip
    """Learn a fold and test it. One that cannot be learned says why; what is cancelled is what it was by then."""
    begun = time.monotonic()
    row: dict[str, Any] = {
        "fold": fold.number, "since": fold.since, "trained_on": len(fold.train), "tested_on": len(fold.test),
        "failure": _obstacle(samples, fold.train),
    }  # fmt: skip
    nothing = np.full(len(fold.test), np.nan)
    if row["failure"]:
        return Trial(row=row, fitted=None, said=nothing, curve=[])
    rows, stop = _stopping(samples, training, fold.train)
    try:
        fitted = learner.fit(rows, stop, watcher, saved)
        if watcher.context.is_cancelled:  # what there is of it is kept; to test it there is no time
            row |= {"best": fitted.best, "failure": "cancelled on the way"}
            return Trial(row=row, fitted=fitted, said=nothing, curve=watcher.curve)
        said = predicted(fitted, samples, fold.test)
    except (InvalidInput, ValueError, FloatingPointError, MemoryError) as error:
        row["failure"] = f"{type(error).__name__}: {error}"[:300]
        return Trial(row=row, fitted=None, said=nothing, curve=watcher.curve)
    train, loss = _at(watcher.curve, fitted.best)
    row |= {
        "best": fitted.best, "train_loss": train, "loss": loss, "seconds": round(time.monotonic() - begun, 3),
        **scores_of(said, samples.y[fold.test], samples.is_class),
    }  # fmt: skip
    return Trial(row=row, fitted=fitted, said=said, curve=watcher.curve)


def _obstacle(samples: Samples, rows: I64) -> str:
    """Answer why nothing can be learned from rows, empty where it can."""
    y = samples.y[rows]
    if len(y) < 2 * LEAST_PER_CLASS:
        return f"only {len(y)} bars to learn from"
    if samples.is_class and min((y > 0.5).sum(), (y <= 0.5).sum()) < LEAST_PER_CLASS:
        return f"fewer than {LEAST_PER_CLASS} bars of one of the classes to learn from"
    return ""


def _stopping(samples: Samples, training: Training, rows: I64) -> tuple[Part, Part | None]:
    """Answer what is learned from, and what tells when to stop; nothing of the latter where nobody asks."""
    if not training.model.numbers.get("early_stopping"):
        return part_of(samples, training, rows), None
    learned, stop = stopping_split(samples, rows)
    if _obstacle(samples, learned) or _obstacle(samples, stop):
        return part_of(samples, training, rows), None
    return part_of(samples, training, learned), part_of(samples, training, stop)


def predicted(fitted: Fitted, samples: Samples, rows: I64) -> F64:
    """Answer what a model says of rows, which are contiguous within each symbol."""
    out = np.full(len(rows), np.nan)
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    for places in np.split(np.arange(len(rows)), breaks):
        if len(places):
            first, last = int(rows[places[0]]), int(rows[places[-1]]) + 1
            begin = max(int(samples.since[first]), first - fitted.window + 1)
            said = fitted.predict(samples.x[begin:last], np.maximum(samples.since[begin:last] - begin, 0))
            out[places] = said[first - begin :]
    return out


def _at(curve: list[tuple[int, float, float]], best: int) -> tuple[float | None, float | None]:
    """Answer the losses at a step, or where they were last told before it."""
    train = next((loss for done, loss, _ in reversed(curve) if done <= best and not math.isnan(loss)), None)
    stop = next((loss for done, _, loss in reversed(curve) if done <= best and not math.isnan(loss)), None)
    return train, stop
