"""Learners: the same data give the same model, a file gives it back, and what was stopped is one too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pitboss.core.errors import InvalidInput
from pitboss.learning.folds import stopping_split
from pitboss.learning.learner import Patience, loss_of
from pitboss.learning.scores import scores_of
from pitboss.strategy.training import MODELS, Chosen
from support.learning import SMALL, Onlooker, learned, learner, part, swinging

FEW = {
    "lightgbm": {"rounds": 30, "leaves": 7}, "logistic": {"iterations": 100}, "random_forest": {"trees": 20, "depth": 5},
    "mlp": {"epochs": 6, "width": 16, "batch": 128, "learning_rate": 0.01, "early_stopping": 0},
    "recurrent": {"epochs": 8, "width": 8, "window": 8, "batch": 64, "learning_rate": 0.02, "early_stopping": 0},
}  # fmt: skip
TESTS = Path(__file__).parents[2]
NETS = ("mlp", "recurrent")


def chosen(name, **more):
    usual = {key: setting.default for key, setting in MODELS[name].settings.items()}
    return Chosen(type=name, numbers={**usual, **FEW[name], **more})


@pytest.fixture(params=FEW)
def name(request):
    if request.param in NETS:
        pytest.importorskip("torch", reason="torch is not installed: pip install 'pitboss[torch]'")
    return request.param


@pytest.fixture(params=["classes", "numbers"], scope="module")
def material(request):
    label = "{type: return, horizon: 3}" if request.param == "numbers" else "{type: direction, horizon: 3}"
    _, samples, folds = learned(SMALL.replace("{type: direction, horizon: 3}", label), swinging(1500))
    return samples, folds[-1]


def test_what_can_be_learned_is_learned_and_the_same_each_time(name, material):
    samples, fold = material
    rows, stop = stopping_split(samples, fold.train)
    made = []
    for _ in range(2):
        onlooker = Onlooker()
        made.append(learner(samples, chosen(name)).fit(part(samples, rows), part(samples, stop), onlooker))
        assert onlooker.steps
    assert made[0].content() == made[1].content()
    said = made[0].predict(samples.x, samples.since)[fold.test]
    assert scores_of(said, samples.y[fold.test], samples.is_class)["skill"] > 0.2


def test_a_model_is_read_from_its_file_as_it_was(name, material):
    samples, fold = material
    made = learner(samples, chosen(name)).fit(part(samples, fold.train), None, Onlooker())
    content = made.content()
    back = learner(samples, chosen(name)).read(content)
    assert np.array_equal(
        back.predict(samples.x, samples.since), made.predict(samples.x, samples.since), equal_nan=True
    )  # fmt: skip
    assert (back.best, back.content()) == (made.best, content)
    for broken in (content[: len(content) // 2], b"", b"\x80\x04nonsense"):
        with pytest.raises(InvalidInput):
            learner(samples, chosen(name)).read(broken)


def test_what_is_stopped_is_a_model_of_what_was_learned_by_then(name, material):
    samples, fold = material
    onlooker = Onlooker(most=1)
    made = learner(samples, chosen(name)).fit(part(samples, fold.train), None, onlooker)
    assert len(onlooker.steps) == 1
    assert np.isfinite(made.predict(samples.x, samples.since)[fold.test]).all()


def test_an_unknown_feature_has_a_prediction_of_trees_alone(name, material):
    samples, fold = material
    made = learner(samples, chosen(name)).fit(part(samples, fold.train), None, Onlooker())
    x = samples.x[fold.test].copy()
    x[5, 1] = np.nan
    said = made.predict(x, np.zeros(len(x), np.int64))
    assert np.isnan(said[5]) == (name != "lightgbm")
    assert np.isfinite(said[-1])


@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize("stops", [0, 4])
def test_a_learner_goes_on_after_its_last_step_as_if_nothing_had_happened(name, material, after, stops):
    samples, fold = material
    rows, stop = stopping_split(samples, fold.train)
    more = {"dropout": 0.2} if name in NETS else {"feature_fraction": 0.5} if name == "lightgbm" else {}
    if "early_stopping" in MODELS[name].settings:
        more["early_stopping"] = stops
    model, parts = chosen(name, **more), (part(samples, rows), part(samples, stop))
    seen = Onlooker()
    whole = learner(samples, model).fit(*parts, seen)
    interrupted = Onlooker(most=after)
    learner(samples, model).fit(*parts, interrupted)
    later = Onlooker()
    resumed = learner(samples, model).fit(*parts, later, interrupted.saved)
    assert (resumed.content(), resumed.best) == (whole.content(), whole.best)
    if interrupted.saved is not None:  # else it was done, and begins anew
        assert len(later.steps) < len(seen.steps)
    losses = [step[::2] for step in seen.steps[-len(later.steps) :]]
    assert np.array_equal([step[::2] for step in later.steps], losses, equal_nan=True)


def test_trees_of_which_rows_are_drawn_are_made_again_from_the_first(material):
    samples, fold = material
    onlooker = Onlooker()
    learner(samples, chosen("lightgbm", row_fraction=0.5)).fit(part(samples, fold.train), None, onlooker)
    assert onlooker.saved is None


@pytest.mark.parametrize("name", ["logistic", *NETS])
def test_scaling_is_of_what_was_learned_from_alone(name, material):
    if name in NETS:
        pytest.importorskip("torch", reason="torch is not installed: pip install 'pitboss[torch]'")
    samples, fold = material
    made = learner(samples, chosen(name)).fit(part(samples, fold.train), None, Onlooker())
    known = fold.train[~np.isnan(samples.x[fold.train]).any(axis=1)]
    inside = known if name != "recurrent" else known[known - known[0] >= 7]
    assert made.scaling.mean == pytest.approx(samples.x[inside].mean(axis=0))
    assert made.scaling.mean != pytest.approx(np.nanmean(samples.x, axis=0), rel=1e-6)


def test_early_stopping_keeps_the_best_step(material):
    samples, fold = material
    rows, stop = stopping_split(samples, fold.train)
    onlooker = Onlooker()
    many = chosen("lightgbm", rounds=2000, learning_rate=0.3, early_stopping=20)
    made = learner(samples, many).fit(part(samples, rows), part(samples, stop), onlooker)
    losses = [loss for _, _, loss in onlooker.steps]
    assert made.best == int(np.argmin(losses)) + 1
    assert len(onlooker.steps) == made.best + 20


def test_patience_counts_from_the_lowest_loss():
    patience = Patience(3)
    assert [patience.is_over(at, loss) for at, loss in enumerate((5, 4, 4.5, 4.2, 4.1), 1)] == [False] * 4 + [True]
    assert patience.best == 2
    assert not Patience(0).is_over(10**6, 1.0)


def test_a_loss_is_the_weighted_mean():
    p, y, weight = np.array([0.9, 0.2, 0.5]), np.array([1.0, 0.0, 1.0]), np.array([1.0, 1.0, 2.0])
    each = -np.log([0.9, 0.8, 0.5])
    assert loss_of(p, y, weight, True) == pytest.approx(np.average(each, weights=weight))
    assert loss_of(p, y, weight, False) == pytest.approx(np.average((p - y) ** 2, weights=weight))


def test_a_forest_says_what_the_library_says(material):
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    samples, fold = material
    made = learner(samples, chosen("random_forest")).fit(part(samples, fold.train), None, Onlooker())
    kind = RandomForestClassifier if samples.is_class else RandomForestRegressor
    rows = fold.train[~np.isnan(samples.x[fold.train]).any(axis=1)]
    forest = kind(n_estimators=20, max_depth=5, min_samples_leaf=20, max_features="sqrt", random_state=7)
    forest.fit(samples.x[rows], samples.y[rows], np.ones(len(rows)))
    x = samples.x[fold.test]
    said = forest.predict_proba(x)[:, 1] if samples.is_class else forest.predict(x)
    assert made.predict(x, np.zeros(len(x), np.int64)) == pytest.approx(said, abs=1e-12)


GROWN = """
import sys
from dataclasses import replace
from support.learning import SMALL, Onlooker, learned, learner, part, swinging
training, samples, folds = learned(SMALL.replace("rounds: 30", "rounds: 60"), swinging(1500))
made = learner(samples, training.model)
made.task = replace(made.task, threads=int(sys.argv[1]))
print(hash(made.fit(part(samples, folds[-1].train), None, Onlooker()).content()))
"""


def test_trees_are_the_same_with_however_many_threads():
    environment = os.environ | {"PYTHONPATH": str(TESTS), "PYTHONHASHSEED": "0"}
    told = {
        subprocess.run(
            [sys.executable, "-c", GROWN, threads], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(told) == 1
