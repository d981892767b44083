"""Linear models and random forests by scikit-learn, kept as their arrays: a file holds no code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.parallel import Parallel, delayed

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
    device = "cpu"

    def __init__(self, task: Task) -> None:
        self.task = task
        self.total = task.chosen.whole("iterations") if task.is_class else 1

    def fit(self, train: Part, stop: Part | None, watch: Watch, saved: Saved | None = None) -> Fitted:
        is_known = complete(train.x)
        x, y, weight = train.x[is_known], train.y[is_known], train.weight[is_known]
        scaling = Scaling.of(x)
        scaled, strength = scaling(x), self.task.chosen.numbers["strength"]
        if not self.task.is_class:
            ridge = Ridge(alpha=strength).fit(scaled, y, weight)
            model = LinearModel(scaling, np.asarray(ridge.coef_), float(ridge.intercept_), False, 1)
            watch.step(1, self._losses(model, train, stop))
            return model
        learner = LogisticRegression(C=1.0 / strength, warm_start=True)
        model = LinearModel(scaling, np.zeros(x.shape[1]), 0.0, True)
        if saved is not None:
            model = self.read(saved["model"])
            learner.coef_, learner.intercept_ = model.weights[None, :], np.array([model.intercept])
        while model.best < self.total:
            learner.max_iter = min(AT_ONCE, self.total - model.best)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # more iterations follow
                learner.fit(scaled, y, weight)
            taken = int(learner.n_iter_[0])
            done = model.best + max(1, taken)
            model = LinearModel(scaling, np.asarray(learner.coef_[0]), float(learner.intercept_[0]), True, done)
            is_over = taken < learner.max_iter
            if not watch.step(done, self._losses(model, train, stop), None if is_over else _saver(model)) or is_over:
                break
        return model

    def _losses(self, model: LinearModel, train: Part, stop: Part | None) -> tuple[float, float]:
        return _loss(model, train, self.task.is_class), _loss(model, stop, self.task.is_class)

    def read(self, content: bytes) -> LinearModel:
        found = unpacked(content, "mean", "deviation", "weights", "intercept", "best")
        scaling = Scaling(found["mean"], found["deviation"])
        return LinearModel(
            scaling, found["weights"], float(found["intercept"][0]), self.task.is_class, int(found["best"][0])
        )


def _saver(model: LinearModel) -> Callable[[], Saved]:
    return lambda: {"model": model.content()}


@dataclass
class ForestModel(Fitted):
    """Trees as arrays: of each node its feature, its threshold, its two followers (-1 at a leaf) and what it says;
    `roots` is where each tree begins, `shares` (trees, F) what its features are worth to it."""

    arrays: Arrays
    best: int = 0

    def predict(self, x: F64, _since: I64) -> F64:
        a = self.arrays  # the library itself tells rows apart by single precision
        return walked(
            np.ascontiguousarray(x, np.float32), a["roots"], a["feature"], a["threshold"], a["left"], a["right"],
            a["value"],
        )  # fmt: skip

    def content(self) -> bytes:
        return packed(self.arrays)

    def importance(self) -> F64:
        shares: F64 = self.arrays["shares"].sum(axis=0)
        return shares / shares.sum() if shares.sum() > 0 else shares


class Forest:
    """Trains a random forest: as many trees a step as there are threads, each by itself, so that more can follow."""

    suffix = "safetensors"
    device = "cpu"

    def __init__(self, task: Task) -> None:
        self.task = task
        self.total = task.chosen.whole("trees")

    def fit(self, train: Part, _stop: Part | None, watch: Watch, saved: Saved | None = None) -> Fitted:
        is_known = complete(train.x)
        x, y, weight = train.x[is_known], train.y[is_known], train.weight[is_known]
        grown = [unpacked(saved["trees"])] if saved is not None else []

        def tree(number: int) -> Arrays:
            return _arrays_of(self._of_one_tree(number).fit(x, y, weight), self.task.is_class)

        def save() -> Saved:
            return {"trees": packed(_joined(grown))}

        with Parallel(n_jobs=self.task.threads, prefer="threads") as threads:
            done = sum(len(each["roots"]) for each in grown)
            while done < self.total:
                following = range(done, min(self.total, done + self.task.threads))
                grown += threads(delayed(tree)(number) for number in following)
                done = following.stop
                if not watch.step(done, (float("nan"), float("nan")), save if done < self.total else None):
                    break
        return _forest(_joined(grown))

    def _of_one_tree(self, number: int) -> Any:
        """Answer what makes a tree, the same that a forest of all would make at that place."""
        dice = np.random.RandomState(self.task.seed)
        dice.randint(np.iinfo(np.int32).max, size=number)
        chosen = self.task.chosen
        made = RandomForestClassifier if self.task.is_class else RandomForestRegressor
        return made(
            n_estimators=1, max_depth=chosen.whole("depth"), min_samples_leaf=chosen.whole("min_leaf"),
            max_features="sqrt", n_jobs=1, random_state=dice,
        )  # fmt: skip

    def read(self, content: bytes) -> Fitted:
        return _forest(unpacked(content, "roots", "feature", "threshold", "left", "right", "value", "shares"))


def _forest(arrays: Arrays) -> ForestModel:
    return ForestModel(arrays, len(arrays["roots"]))


def _arrays_of(forest: Any, is_class: bool) -> Arrays:
    """Answer the one tree of a forest."""
    tree = forest.estimators_[0].tree_
    column = int(np.flatnonzero(forest.classes_ == 1.0)[0]) if is_class else 0
    return {
        "roots": np.zeros(1, np.int64), "left": tree.children_left, "right": tree.children_right,
        "feature": tree.feature, "threshold": tree.threshold, "value": tree.value[:, 0, column],
        "shares": forest.feature_importances_[None, :],
    }  # fmt: skip


def _joined(grown: Sequence[Arrays]) -> Arrays:
    """Answer trees one after another."""
    begins = np.cumsum([0, *(len(each["feature"]) for each in grown[:-1])])
    pairs = list(zip(grown, begins, strict=True))
    shifted = {
        name: np.concatenate([np.where(each[name] >= 0, each[name] + begin, -1) for each, begin in pairs])
        for name in ("left", "right")
    }
    same = {
        name: np.concatenate([each[name] for each in grown]) for name in ("feature", "threshold", "value", "shares")
    }
    return {"roots": np.concatenate([each["roots"] + begin for each, begin in pairs]), **shifted, **same}


def _loss(model: LinearModel, part: Part | None, is_class: bool) -> float:
    if part is None:
        return float("nan")
    is_known = complete(part.x)
    predicted = model.predict(part.x[is_known], np.zeros(int(is_known.sum()), np.int64))
    return loss_of(predicted, part.y[is_known], part.weight[is_known], is_class)
