"""What each feature is worth: to the learner, and out of sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from pitboss.kinds.training.fitting import predicted
from pitboss.learning.folds import Fold
from pitboss.learning.learner import Fitted
from pitboss.learning.samples import Samples
from pitboss.learning.scores import scores_of

SHUFFLES = 5
MOST_SHUFFLED, MOST_EXPLAINED = 20_000, 2_000  # rows of each fold, its last
LEAST_ROWS = 100
MOST_STEPS_ASKED = 30_000_000, 200_000  # rows times steps of a model for those, which bound how long that takes
Tell = Callable[[int, str], None]  # how many features of all folds are done, and which one was the last


def importance_of(samples: Samples, learned: Sequence[tuple[Fold, Fitted]], tell: Tell) -> pl.DataFrame:
    """Answer a row a feature: `gain`, its share of the learner's own; `permutation`, by how much the skill out of
    sample falls where its values are shuffled (Breiman 2001); `shap`, the mean size of its SHAP value where the learner
    has them. Each is the mean of the folds (López de Prado 2018, 8.3), `permutation_sd` the standard deviation over
    them."""
    steps = max(1, sum(fitted.best for _, fitted in learned))
    shuffled = _bounded(MOST_STEPS_ASKED[0] // (steps * SHUFFLES * len(samples.names)), MOST_SHUFFLED)
    explained = _bounded(MOST_STEPS_ASKED[1] // steps, MOST_EXPLAINED)
    falls = np.empty((len(learned), len(samples.names)))
    for row, (fold, fitted) in enumerate(learned):
        last = replace(fold, test=fold.test[-shuffled:])
        for column, fall in enumerate(_falls(fitted, samples, last)):
            tell(row * len(samples.names) + column + 1, samples.names[column])
            falls[row, column] = fall
    columns: dict[str, Any] = {
        "feature": samples.names, "gain": np.mean([fitted.importance() for _, fitted in learned], axis=0),
        "permutation": falls.mean(axis=0), "permutation_sd": falls.std(axis=0),
    }  # fmt: skip
    contributions = [fitted.contributions(samples.x[fold.test[-explained:]]) for fold, fitted in learned]
    sizes = [np.abs(found).mean(axis=0) for found in contributions if found is not None]
    if sizes:
        columns["shap"] = np.mean(sizes, axis=0)
    return pl.DataFrame(columns).sort("gain", descending=True)


def _bounded(rows: int, most: int) -> int:
    return max(LEAST_ROWS, min(most, rows))


def _falls(fitted: Fitted, samples: Samples, fold: Fold) -> Iterator[float]:
    """Yield by how much the skill falls where the values of each feature are shuffled among the rows of a test."""
    rows, changed = fold.test, replace(samples, x=samples.x.copy())

    def skill() -> float:
        told = predicted(fitted, changed, rows)
        return scores_of(told, samples.y[rows], samples.is_class)["skill"] or 0.0

    whole = skill()
    for column in range(len(samples.names)):
        dice, found = np.random.default_rng([fold.number, column]), []
        for _ in range(SHUFFLES):
            changed.x[rows, column] = dice.permutation(samples.x[rows, column])
            found.append(skill())
        changed.x[rows, column] = samples.x[rows, column]
        yield whole - float(np.mean(found))
