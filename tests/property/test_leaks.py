"""On prices that walk at random nothing can be learned: whatever is told of them out of sample has leaked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pitboss.kernel.bars import BarArrays
from pitboss.learning.folds import folds_of
from pitboss.learning.samples import samples_of
from pitboss.learning.scores import scores_of
from support.learning import Onlooker, learner, part, scopes_of, swinging, training_of

TRAININGS = 100
KFOLD, WALK = "{type: purged_kfold, folds: 24}", "{type: walk_forward, folds: 4}"
TEXT = """
name: leaky
timeframe: 5m
train:
  features: {crowd: volume, before: "volume[5]", last: "close / close[1] - 1"}
  label: {type: direction, horizon: 30}
  model: {type: lightgbm, rounds: 20, leaves: 15, early_stopping: 0}
  validation: VALIDATION
  seed: 7
"""


def walk(seed: int) -> BarArrays:
    """Answer prices, and volumes that have nothing to do with them but tell bars that are near each other."""
    dice = np.random.default_rng(seed + 1000)
    return swinging(900, seed=seed, pull=0.0)._replace(volume=1e6 + np.cumsum(dice.normal(0, 100, 900)))


def skills(validation: str, has_purge: bool = True) -> tuple[float, float]:
    """Answer the mean skill out of sample of trainings on random walks, and its standard error; without a purge what a
    label looks at is taken as known at once."""
    training = training_of(TEXT.replace("VALIDATION", validation))
    found = []
    for seed in range(TRAININGS):
        samples = samples_of(training, scopes_of(walk(seed)))
        if not has_purge:
            samples = replace(samples, known=np.where(samples.labelled, samples.at, samples.known), reach=0)
        scores = []
        for fold in folds_of(samples, training.validation):
            made = learner(samples, training.model).fit(part(samples, fold.train), None, Onlooker())
            said = made.predict(samples.x[fold.test], samples.since[fold.test])
            scores.append(scores_of(said, samples.y[fold.test], True)["skill"])
        found.append(np.mean([score for score in scores if score is not None]))
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(TRAININGS))


@pytest.mark.parametrize("validation", [WALK, KFOLD])
def test_nothing_is_known_of_a_random_walk(validation):
    mean, error = skills(validation)
    assert abs(mean) < 3 * error


def test_without_the_purge_it_would_be():
    mean, error = skills(KFOLD, has_purge=False)
    assert mean > 4 * error
