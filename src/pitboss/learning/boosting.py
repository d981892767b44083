"""Gradient boosting by LightGBM."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import lightgbm as lgb
import numpy as np
from lightgbm.callback import CallbackEnv

from pitboss.core.errors import InvalidInput
from pitboss.learning.learner import Fitted, Part, Patience, Saved, Task, Watch
from pitboss.learning.samples import F64, I64

_FIRST, _LAST_TREE, _LAST = b"tree\n", b"\nend of trees\n", b"pandas_categorical:null"  # it crashes on half a file
_THREADS = re.compile(rb"\[num_threads: \d+\]")  # with however many, the trees are the same
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
        return self._text

    @cached_property
    def _text(self) -> bytes:
        return _THREADS.sub(b"[num_threads: 0]", self.booster.model_to_string(num_iteration=self.best).encode())

    def importance(self) -> F64:
        gains = np.asarray(self.booster.feature_importance("gain", iteration=self.best), np.float64)
        return gains / gains.sum() if gains.sum() > 0 else gains

    def contributions(self, x: F64) -> F64:
        found: F64 = np.asarray(self.booster.predict(x, num_iteration=self.best, pred_contrib=True))
        return found[:, :-1]


@dataclass
class Rounds:
    """What happens before and after each round of the library: it is sown, looked at, and may be the last.

    Rounds that are gone on with after a save come out as they would have, since nothing but the trees decides them:
    which features a round may use is drawn by a seed of its own. Which rows it may use, the library draws from where it
    was; where that is asked for nothing is saved, and the rounds are made again.
    """

    task: Task
    watch: Watch
    patience: Patience
    stop: lgb.Dataset | None = None
    before: lgb.Booster | None = None

    def take_up(self, saved: Saved | None) -> int:
        """Go on from what was saved; answer how many rounds are done."""
        if saved is None:
            return 0
        self.before = lgb.Booster(model_str=saved["trees"].decode())
        self.patience.take_up(json.loads(saved["patience"]))
        return self.before.current_iteration()

    def sow(self, env: CallbackEnv) -> None:
        """Called before a round."""
        told = {}
        if self.task.chosen.numbers["feature_fraction"] < 1:
            told["feature_fraction_seed"] = self.task.seed + env.iteration
        if self.before is not None and env.iteration == env.begin_iteration:
            told["num_iterations"] = env.end_iteration  # stands in the file: those of all, not those that were left
        if told:
            _booster_of(env).reset_parameter(told)

    sow.before_iteration = True  # type: ignore[attr-defined]  # it is how the library tells

    def note(self, env: CallbackEnv) -> None:
        """Called after a round. Raises EarlyStopException after the last."""
        done, total = env.iteration + 1, env.end_iteration
        booster = _booster_of(env)
        is_finished = booster.current_iteration() < done  # no tree could be added
        loss = env.evaluation_result_list[0][2] if env.evaluation_result_list else float("nan")
        is_told = done == 1 or done % TRAIN_LOSS_EVERY == 0 or done == total
        losses = (booster.eval_train()[0][2] if is_told else float("nan"), loss)
        is_over = self.patience.is_over(done, loss) or is_finished
        can_save = not is_over and done < total and self.task.chosen.numbers["row_fraction"] == 1
        if not self.watch.step(done, losses, partial(self.saved, booster) if can_save else None) or is_over:
            raise lgb.callback.EarlyStopException(env.iteration, [])

    def saved(self, booster: lgb.Booster) -> Saved:
        trees = booster.model_to_string(num_iteration=-1)
        return {"trees": trees.encode(), "patience": json.dumps(self.patience.told).encode()}


def _booster_of(env: CallbackEnv) -> lgb.Booster:
    assert isinstance(env.model, lgb.Booster)
    return env.model


class Boosting:
    """Trains trees, a round a step."""

    suffix = "txt"
    device = "cpu"

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

    def fit(self, train: Part, stop: Part | None, watch: Watch, saved: Saved | None = None) -> Fitted:
        params, names = self.params(), list(self.task.names)
        data = lgb.Dataset(train.x, train.y, weight=train.weight, feature_name=names, params=params)
        rounds = Rounds(self.task, watch, Patience(self.task.chosen.whole("early_stopping") if stop is not None else 0))
        if stop is not None:
            rounds.stop = data.create_valid(stop.x, stop.y, weight=stop.weight)
        left = self.total - rounds.take_up(saved)
        booster = lgb.train(
            params, data, left, init_model=rounds.before, callbacks=[rounds.sow, rounds.note],
            valid_sets=[] if rounds.stop is None else [rounds.stop], valid_names=["stop"],
            keep_training_booster=True,  # else it is written and read once more, which a cancel has no time for
        )  # fmt: skip
        return Boosted(booster, rounds.patience.best or booster.current_iteration())

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
