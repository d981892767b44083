"""Gradient boosting by LightGBM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from pitboss.core.errors import InvalidInput
from pitboss.learning.learner import Fitted, Part, Patience, Saved, Task, Watch
from pitboss.learning.samples import F64, I64

_FIRST, _LAST_TREE, _LAST = b"tree\n", b"\nend of trees\n", b"pandas_categorical:null"  # it crashes on half a file
TRAIN_LOSS_EVERY = 20  # rounds: what it costs to tell is a tenth of a round


@dataclass
class Boosted(Fitted):
    """Trees. What a feature that is not known leads to they learn too."""

    booster: lgb.Booster
    best: int

    def predict(self, x: F64, _since: I64) -> F64:
        found: F64 = np.asarray(self.booster.predict(x, num_iteration=self.best, num_threads=1 if len(x) < 64 else 0))
        return found

    def content(self) -> bytes:
        return self.booster.model_to_string(num_iteration=self.best).encode()

    def importance(self) -> F64:
        gains = np.asarray(self.booster.feature_importance("gain", iteration=self.best), np.float64)
        return gains / gains.sum() if gains.sum() > 0 else gains

    def contributions(self, x: F64) -> F64:
        found: F64 = np.asarray(self.booster.predict(x, num_iteration=self.best, pred_contrib=True))
        return found[:, :-1]


class Boosting:
    """Trains trees, a round a step."""

    suffix = "txt"

    def __init__(self, task: Task) -> None:
        self.task = task
        self.total = task.chosen.whole("rounds")

    def params(self) -> dict[str, Any]:
        """Answer what LightGBM is told: the same data give the same trees."""
        numbers = self.task.chosen.numbers
        return {
            "objective": "binary" if self.task.is_class else "regression", "learning_rate": numbers["learning_rate"],
            "num_leaves": int(numbers["leaves"]), "max_depth": int(numbers["depth"]) or -1,
            "min_data_in_leaf": int(numbers["min_leaf"]), "feature_fraction": numbers["feature_fraction"],
            "bagging_fraction": numbers["row_fraction"], "bagging_freq": int(numbers["row_fraction"] < 1),
            "lambda_l1": numbers["l1"], "lambda_l2": numbers["l2"], "seed": self.task.seed,
            "num_threads": self.task.threads, "deterministic": True, "force_row_wise": True, "verbosity": -1,
        }  # fmt: skip

    def fit(self, train: Part, stop: Part | None, watch: Watch, _saved: Saved | None = None) -> Fitted:
        params, names = self.params(), list(self.task.names)
        data = lgb.Dataset(train.x, train.y, weight=train.weight, feature_name=names, params=params)
        booster = lgb.Booster(params, data)
        if stop is not None:
            booster.add_valid(data.create_valid(stop.x, stop.y, weight=stop.weight), "stop")
        patience = Patience(self.task.chosen.whole("early_stopping") if stop is not None else 0)
        for done in range(1, self.total + 1):
            is_finished = booster.update()
            loss = booster.eval_valid()[0][2] if stop is not None else float("nan")
            is_told = done == 1 or done % TRAIN_LOSS_EVERY == 0 or done == self.total
            losses = (booster.eval_train()[0][2] if is_told else float("nan"), loss)
            is_over = patience.is_over(done, loss) or is_finished
            if not watch.step(done, losses) or is_over:
                break
        return Boosted(booster, patience.best or booster.current_iteration())

    def read(self, content: bytes) -> Fitted:
        if not (content.startswith(_FIRST) and _LAST_TREE in content and content.rstrip().endswith(_LAST)):
            raise InvalidInput("the file is no model of LightGBM, or is damaged", "train it again")
        try:
            booster = lgb.Booster(model_str=content.decode())
        except (lgb.basic.LightGBMError, UnicodeDecodeError):
            raise InvalidInput("the file is no model of LightGBM", "train it again") from None
        if (names := tuple(booster.feature_name())) != self.task.names:
            what = f"the file has learned from {', '.join(names)[:200]}"
            raise InvalidInput(what, f"it should be {', '.join(self.task.names)[:200]}: train it again")
        return Boosted(booster, booster.current_iteration())
