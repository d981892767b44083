"""What learns, and what has been learned: the port that each learner fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pitboss.learning.lineage import missing
from pitboss.learning.samples import F64, I64, Samples
from pitboss.strategy.training import Chosen

LEAST_LOSS = 1e-12


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows of samples that are learned from, or that tell when to stop, each with its weight."""

    samples: Samples
    rows: I64
    weight: F64

    @property
    def x(self) -> F64:
        return self.samples.x[self.rows]

    @property
    def y(self) -> F64:
        return self.samples.y[self.rows]


Saved = Mapping[str, Any]
Losses = tuple[float, float]  # on what is learned from and on what tells when to stop; NaN where they are not known


class Watch(Protocol):
    """Sees a learner at work."""

    def step(self, done: int, losses: Losses, save: Callable[[], Saved] | None = None) -> bool:
        """Take note of a step; False where the learner is to stop. `save` answers what it could go on from after it,
        None where nothing can be saved, or nothing is left to do."""

    def batch(self) -> bool:
        """Answer whether to go on amid a step."""


class Fitted(Protocol):
    """A model. `best` is the step at which it was best, where steps make it better, else the last; `window` is how many
    bars it looks at."""

    best: int
    window: int = 1

    def predict(self, x: F64, since: I64) -> F64:
        """Answer what it says of each row: the probability of class 1, or a number; NaN where it can say nothing.

        x: (N, F) features, the rows of one symbol in order; since: (N,) the first row of its symbol.
        """

    def content(self) -> bytes:
        """Answer its file."""

    def importance(self) -> F64:
        """Answer the share of each feature, which add up to 1; zeros where it knows none."""

    def contributions(self, _x: F64) -> F64 | None:
        """Answer what each feature contributes to each row, (N, F), in log-odds or as a number: SHAP values (Lundberg
        et al. 2020); None where it cannot tell."""
        return None


class Learner(Protocol):
    """Learns. The same samples, numbers and seed give the same model, byte for byte."""

    suffix: str  # of its files
    device: str = "cpu"  # what it learns on: the same model, byte for byte, is promised of the CPU alone
    total: int  # steps at the most

    def fit(self, train: Part, stop: Part | None, watch: Watch, saved: Saved | None = None) -> Fitted:
        """Learn from `train` until the steps are done, the watch says so, or `stop` gets no better; `saved` is where an
        interrupted one was."""

    def read(self, content: bytes) -> Fitted:
        """Answer the model of a file. Raises InvalidInput for what is none."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a learner is made for: whether classes are told, how many features there are, with how many threads, and
    whether on a GPU, which nets alone use."""

    chosen: Chosen
    names: tuple[str, ...]
    is_class: bool
    seed: int
    threads: int = 1
    on_gpu: bool = False


_LEARNERS = {
    "lightgbm": "pitboss.learning.boosting:Boosting", "logistic": "pitboss.learning.classic:Linear",
    "random_forest": "pitboss.learning.classic:Forest", "mlp": "pitboss.learning.nets:perceptron",
    "recurrent": "pitboss.learning.nets:recurrent",
}  # fmt: skip


def learner_of(task: Task) -> Learner:
    """Answer the learner of a task. Raises InvalidInput where its library is not installed."""
    module, _, name = _LEARNERS[task.chosen.type].partition(":")
    try:
        made: Learner = getattr(import_module(module), name)(task)
    except ModuleNotFoundError:
        raise missing(task.chosen.type) from None
    return made


@dataclass
class Patience:
    """Tells when a learner gets no better: after `most` steps without a lower loss; never where that is 0."""

    most: int
    best: int = 0
    least: float = field(default=float("inf"))

    @property
    def told(self) -> dict[str, float]:
        """Answer what `take_up` goes on from."""
        return {"best": self.best, "least": self.least}

    def take_up(self, told: Mapping[str, float]) -> None:
        self.best, self.least = int(told["best"]), told["least"]

    def is_over(self, done: int, loss: float) -> bool:
        if loss < self.least - LEAST_LOSS:
            self.best, self.least = done, loss
        return bool(self.most) and done - self.best >= self.most


def loss_of(predicted: F64, y: F64, weight: F64, is_class: bool) -> float:
    """Answer the mean loss: the negative log-likelihood of classes, else the mean squared error."""
    if not len(y):
        return float("nan")
    if is_class:
        p = np.clip(predicted, 1e-15, 1 - 1e-15)
        each = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    else:
        each = (predicted - y) ** 2
    return float(np.average(each, weights=weight))


def complete(x: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Answer the rows of which every feature is known."""
    return np.asarray(~np.isnan(x).any(axis=1))
