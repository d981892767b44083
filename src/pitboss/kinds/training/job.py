"""The training in its own process: features, then fold by fold, then a last model made of everything."""

from __future__ import annotations

import json
import statistics
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pitboss.backtesting.universe import Universe
from pitboss.core.errors import InvalidInput, RunCancelled
from pitboss.kinds.documents.bars import load_universe
from pitboss.kinds.training.fitting import Trial, Watcher, part_of, tried
from pitboss.kinds.training.importance import importance_of
from pitboss.kinds.training.params import TrainingParams
from pitboss.kinds.training.prepare import Taught, read_training, training_identity
from pitboss.kinds.training.results import GPU, Done, Fit, results_of
from pitboss.learning.folds import Fold, folds_of
from pitboss.learning.learner import Learner, Saved, learner_of
from pitboss.learning.samples import F64, NEVER, Samples, samples_of
from pitboss.runs.context import RunContext
from pitboss.strategy.evaluate import ArrayCache
from pitboss.strategy.training import Chosen


def run(params: TrainingParams, context: RunContext) -> dict[str, Any]:
    """Train; see `runs.kinds.Kind`."""
    work = Work(params, context)
    with suppress(RunCancelled):  # what is there until then may be kept
        work.load()
        work.compute_features()
        work.take_up()
        work.learn_folds()
        if not params.shuffled:
            work.refit()
            work.weigh_features()
        context.begin_results()
    if context.is_cancelled and not context.keeps_partial:
        raise RunCancelled("the training was cancelled")
    return results_of(work.done, context)


@dataclass
class Work:
    """A training under way; `done` is what there is of it."""

    params: TrainingParams
    context: RunContext
    done: Done = field(init=False)
    universe: Universe = field(init=False)
    folds: list[Fold] = field(init=False, default_factory=list)
    saved: dict[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        taught = read_training(self.params, self.context.snapshot["strategy"]["text"])
        self.done = Done(params=self.params, taught=taught)

    @property
    def taught(self) -> Taught:
        return self.done.taught

    def load(self) -> None:
        context, request = self.context, self.taught.request
        context.begin_stage("data", len(request.all_symbols))
        self.universe = load_universe(request, context.snapshot, context.resource("bars"), context.log)
        context.check_cancel()
        context.end_stage(len(request.all_symbols))

    def compute_features(self) -> None:
        """Compute features and labels, those of the twin in a random order."""
        context, training = self.context, self.taught.training
        context.begin_stage("features", len(training.features) * len(self.universe.symbols))
        cache = ArrayCache()
        scopes = [self.universe.scope(symbol, cache) for symbol in self.universe.symbols]
        samples = samples_of(training, scopes, self._told)
        if self.params.shuffled:
            samples = shuffled(samples, int(context.snapshot["seed"]))
        self.folds = folds_of(samples, training.validation)
        self.done.begin(samples, self.folds, scopes)
        context.check_cancel()
        context.end_stage()

    def _told(self, done: int, what: str) -> None:
        self.context.report(done, current_item=what)
        self.context.check_cancel()

    def take_up(self) -> None:
        """Go on after the folds that earlier attempts have learned, and amid the one that they were at."""
        self.saved = self.context.restore(training_identity(self.context.snapshot)) or {}
        for item in json.loads(self.saved.get("folds", b"[]")):
            number = item["fold"]
            fitted = self.learner(number).read(self.saved[f"model-{number}"]) if not item["failure"] else None
            said = np.frombuffer(self.saved[f"said-{number}"], np.float64)
            curve = _with_nan(json.loads(self.saved[f"curve-{number}"]))
            trial = Trial(row=item, fitted=fitted, said=said, curve=curve)
            self.done.trials.append(trial)
            if not self.context.has_own_checkpoint:  # what another run has learned stands in the log of this one too
                self.context.item(str(number), item)

    def learner(self, number: int, chosen: Chosen | None = None) -> Learner:
        """Answer the learner of a fold, 0 for that of everything."""
        return learner_of(self.done.task(self.context, number, chosen))

    def learn_folds(self) -> None:
        """Learn each fold and test it, those that are not done."""
        context, done = self.context, self.done
        if said := caution_of(self.learner(0), context.slot):
            context.log(said, "warning")
        for fold in self.folds[len(done.trials) :]:
            context.check_cancel()
            learner = self.learner(fold.number)
            watcher, saved = self._watcher(fold.number)
            context.begin_stage(f"fold {fold.number} of {len(self.folds)}", learner.total, watcher.done)
            trial = tried(fold, done.samples, self.taught.training, learner, watcher, saved)
            self._add(trial)
            context.end_stage(learner.total)
            context.check_cancel()
            context.checkpoint(self.saved)
        if all(trial.fitted is None for trial in done.trials):
            reasons = "; ".join(dict.fromkeys(trial.row["failure"] for trial in done.trials))
            raise InvalidInput(f"no fold could be learned: {reasons}"[:400], "choose other bars, or fewer folds")

    def _add(self, trial: Trial) -> None:
        number = trial.row["fold"]
        self.done.trials.append(trial)
        self.context.item(str(number), trial.row)
        self.saved[f"said-{number}"] = np.ascontiguousarray(trial.said).tobytes()
        self.saved[f"curve-{number}"] = json.dumps(_without_nan(trial.curve)).encode()
        if trial.fitted is not None:
            self.saved[f"model-{number}"] = trial.fitted.content()
        self.saved["folds"] = json.dumps([each.row for each in self.done.trials]).encode()

    def _watcher(self, number: int) -> tuple[Watcher, Saved | None]:
        """Answer who sees the learner of a fold at work, and where that was when an earlier attempt ended, None where
        nothing is kept of it."""
        was_at, step, curve = (self.saved.pop(name, None) for name in ("amid", "step", "curve"))
        names = [name for name in self.saved if name.startswith("amid-")]
        found = {name.removeprefix("amid-"): self.saved.pop(name) for name in names}
        goes_on = bool(found) and was_at == number

        def keep(done: int, saved: Saved) -> None:
            so_far = {"amid": number, "step": done, "curve": json.dumps(_without_nan(watcher.curve)).encode()}
            of_learner = {f"amid-{name}": value for name, value in saved.items()}
            self.context.checkpoint({**self.saved, **so_far, **of_learner})

        if not goes_on:
            watcher = Watcher(self.context, keep)
            return watcher, None
        watcher = Watcher(self.context, keep, step, _with_nan(json.loads(curve)))
        return watcher, found

    def refit(self) -> None:
        """Make the last model of everything, with as many steps as the folds found best."""
        context, done = self.context, self.done
        training, samples = self.taught.training, done.samples
        best = statistics.median_low(trial.row["best"] for trial in done.trials if trial.fitted is not None)
        learner = self.learner(0, _with_steps(training.model, max(1, best)))
        watcher, saved = self._watcher(0)
        context.begin_stage("refit", learner.total, watcher.done)
        rows = np.flatnonzero(samples.labelled)
        fitted = learner.fit(part_of(samples, training, rows), None, watcher, saved)
        done.final = Fit(number=0, since=int(samples.known[samples.known < NEVER].max()), fitted=fitted)
        context.check_cancel()
        context.end_stage(learner.total)

    def weigh_features(self) -> None:
        """Find what each feature is worth."""
        done = self.done
        self.context.begin_stage("importance", len(done.learned) * len(done.samples.names))
        done.importance = importance_of(done.samples, done.learned, self._told)
        self.context.end_stage()


def caution_of(learner: Learner, slot: str) -> str:
    """Answer what is to be known of what a learner learns on; empty where nothing is."""
    if learner.device != "cpu":
        return "this learns on a GPU: the same training need not end in the same model there, byte for byte"
    return "queued for a GPU, this learns on the CPU: nets alone use one, where PyTorch finds it" if slot == GPU else ""


def _with_steps(model: Chosen, steps: int) -> Chosen:
    """Answer a model with so many steps, and nothing that ends them early."""
    name = next(each for each in ("rounds", "iterations", "trees", "epochs") if each in model.numbers)
    numbers = {**model.numbers, name: float(steps)}
    return replace(model, numbers={**numbers, **({"early_stopping": 0.0} if "early_stopping" in numbers else {})})


def shuffled(samples: Samples, seed: int) -> Samples:
    """Answer samples whose labels stand in a random order; when each is known stays as it is."""
    rows = np.flatnonzero(samples.labelled)
    y: F64 = samples.y.copy()
    y[rows] = y[np.random.default_rng(seed).permutation(rows)]
    return replace(samples, y=y)


def _without_nan(curve: list[tuple[int, float, float]]) -> list[list[float | None]]:
    return [[each if each == each else None for each in point] for point in curve]


def _with_nan(curve: list[Any]) -> list[tuple[int, float, float]]:
    return [(int(point[0]), *(np.nan if each is None else float(each) for each in point[1:])) for point in curve]  # type: ignore[misc]
