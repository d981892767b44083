"""Linear models and random forests by scikit-learn, kept as their arrays: a file holds no code."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from pitboss.kernel.forest import walked
from pitboss.learning.learner import Fitted, Part, Saved, Task, Watch, complete, loss_of
from pitboss.learning.samples import F64, I64
from pitboss.learning.tensors import Arrays, packed, unpacked

AT_ONCE = 10  # iterations between two looks at whether to stop


@dataclass
class Scaling:
    """Means and standard deviations of features, of what was learned from alone."""

    mean: F64
    deviation: F64

    @classmethod
    def of(cls, x: F64) -> Scaling:
        deviation = x.std(axis=0)
        return cls(x.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    def __call__(self, x: F64) -> F64:
        return (x - self.mean) / self.deviation


@dataclass
class LinearModel(Fitted):
    """A weighted sum of scaled features; of classes its logistic."""

    scaling: Scaling
    weights: F64
    intercept: float
    is_class: bool
    best: int = 0

    def predict(self, x: F64, _since: I64) -> F64:
        sums = self.scaling(x) @ self.weights + self.intercept
        return 1.0 / (1.0 + np.exp(-sums)) if self.is_class else sums

    def content(self) -> bytes:
        return packed(
            {
                "mean": self.scaling.mean, "deviation": self.scaling.deviation, "weights": self.weights,
                "intercept": np.array([self.intercept]), "best": np.array([self.best]),
            }
        )  # fmt: skip

    def importance(self) -> F64:
        sizes = np.abs(self.weights)
        return sizes / sizes.sum() if sizes.sum() > 0 else sizes


class Linear:
    """Trains a linear model: some iterations a step."""

    suffix = "safetensors"

    def __init__(self, task: Task) -> None:
        self.task = task
        self.total = task.chosen.whole("iterations") if task.is_class else 1

    def fit(self, train: Part, stop: Part | None, watch: Watch, _saved: Saved | None = None) -> Fitted:
        is_known = complete(train.x)
        x, y, weight = train.x[is_known], train.y[is_known], train.weight[is_known]
        scaling = Scaling.of(x)
        scaled, strength = scaling(x), self.task.chosen.numbers["strength"]
        if not self.task.is_class:
            ridge = Ridge(alpha=strength).fit(scaled, y, weight)
            model = LinearModel(scaling, np.asarray(ridge.coef_), float(ridge.intercept_), False, 1)
            watch.step(1, self._losses(model, train, stop))
            return model
        learner = LogisticRegression(C=1.0 / strength, warm_start=True, max_iter=min(AT_ONCE, self.total))
        done, model = 0, LinearModel(scaling, np.zeros(x.shape[1]), 0.0, True)
        while done < self.total:
            learner.max_iter = min(AT_ONCE, self.total - done)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # more iterations follow
                learner.fit(scaled, y, weight)
            taken = int(learner.n_iter_[0])
            done += max(1, taken)
            model = LinearModel(scaling, np.asarray(learner.coef_[0]), float(learner.intercept_[0]), True, done)
            if not watch.step(done, self._losses(model, train, stop)) or taken < learner.max_iter:
                break
        return model

    def _losses(self, model: LinearModel, train: Part, stop: Part | None) -> tuple[float, float]:
        return _loss(model, train, self.task.is_class), _loss(model, stop, self.task.is_class)

    def read(self, content: bytes) -> Fitted:
        found = unpacked(content, "mean", "deviation", "weights", "intercept", "best")
        scaling = Scaling(found["mean"], found["deviation"])
        return LinearModel(
            scaling, found["weights"], float(found["intercept"][0]), self.task.is_class, int(found["best"][0])
        )


@dataclass
class ForestModel(Fitted):
    """Trees as arrays: of each node its feature, its threshold, its two followers (-1 at a leaf) and what it says;
    `roots` is where each tree begins."""

    arrays: Arrays
    shares: F64
    best: int = 0

    def predict(self, x: F64, _since: I64) -> F64:
        a = self.arrays  # the library itself tells rows apart by single precision
        return walked(
            np.ascontiguousarray(x, np.float32), a["roots"], a["feature"], a["threshold"], a["left"], a["right"],
            a["value"],
        )  # fmt: skip

    def content(self) -> bytes:
        return packed({**self.arrays, "shares": self.shares, "best": np.array([self.best])})

    def importance(self) -> F64:
        return self.shares


class Forest:
    """Trains a random forest: as many trees a step as there are threads."""

    suffix = "safetensors"

    def __init__(self, task: Task) -> None:
        self.task = task
        self.total = task.chosen.whole("trees")

    def fit(self, train: Part, _stop: Part | None, watch: Watch, _saved: Saved | None = None) -> Fitted:
        is_known = complete(train.x)
        x, y, weight = train.x[is_known], train.y[is_known], train.weight[is_known]
        chosen = self.task.chosen
        made = RandomForestClassifier if self.task.is_class else RandomForestRegressor
        forest = made(
            warm_start=True, max_depth=chosen.whole("depth"), min_samples_leaf=chosen.whole("min_leaf"),
            max_features="sqrt", n_jobs=self.task.threads, random_state=self.task.seed,
        )  # fmt: skip
        done = 0
        while done < self.total:
            done = min(self.total, done + self.task.threads)
            forest.n_estimators = done
            forest.fit(x, y, weight)
            if not watch.step(done, (float("nan"), float("nan"))):
                break
        return ForestModel(_arrays_of(forest, self.task.is_class), np.asarray(forest.feature_importances_), done)

    def read(self, content: bytes) -> Fitted:
        found = unpacked(content, "roots", "feature", "threshold", "left", "right", "value", "shares", "best")
        best, shares = int(found.pop("best")[0]), found.pop("shares")
        return ForestModel(found, shares, best)


def _arrays_of(forest: Any, is_class: bool) -> Arrays:
    trees = [estimator.tree_ for estimator in forest.estimators_]
    sizes = [tree.node_count for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    column = int(np.flatnonzero(forest.classes_ == 1.0)[0]) if is_class else 0
    shifted = {
        name: np.concatenate(
            [
                np.where(followers >= 0, followers + root, -1)
                for root, tree in zip(roots, trees, strict=True)
                for followers in (getattr(tree, f"children_{name}"),)
            ]
        )
        for name in ("left", "right")
    }
    return {
        "roots": roots, **shifted, "feature": np.concatenate([tree.feature for tree in trees]),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "value": np.concatenate([tree.value[:, 0, column] for tree in trees]),
    }  # fmt: skip


def _loss(model: LinearModel, part: Part | None, is_class: bool) -> float:
    if part is None:
        return float("nan")
    is_known = complete(part.x)
    predicted = model.predict(part.x[is_known], np.zeros(int(is_known.sum()), np.int64))
    return loss_of(predicted, part.y[is_known], part.weight[is_known], is_class)
