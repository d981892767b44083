"""Trainings in tests: bars in which there is something to learn, or nothing, and what looks on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.learning.folds import Fold, folds_of
from pitboss.learning.learner import Part, Task, learner_of
from pitboss.learning.samples import Samples, samples_of
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.reader import read_document
from pitboss.strategy.training import Chosen, Training, compile_training

FIVE = parse_timeframe("5m")
SMALL = """
name: small
timeframe: 5m
train:
  features: {last: "close / close[1] - 1", stretch: "zscore(close, 20)", strength: "rsi(close, 14)"}
  label: {type: direction, horizon: 3}
  model: {type: lightgbm, rounds: 30, leaves: 7, early_stopping: 0}
  validation: {type: walk_forward, folds: 3}
  seed: 7
"""


def swinging(count: int, seed: int = 1, pull: float = 0.3) -> BarArrays:
    """Answer bars of five minutes whose price is pulled back to its mean: what it will do can be learned. Without a
    pull it walks at random."""
    dice = np.random.default_rng(seed)
    level, closes = 0.0, np.empty(count)
    for at in range(count):
        level += dice.normal(0, 0.001) - pull * level
        closes[at] = level
    if not pull:
        closes = np.cumsum(dice.normal(0, 0.001, count))
    close = 100 * np.exp(closes)
    opened = np.concatenate((close[:1], close[:-1]))
    spread = 1 + np.abs(dice.normal(0, 0.0003, count))
    ts = 1_514_764_800_000_000 + FIVE.micros * np.arange(count)
    return BarArrays(
        ts, opened, np.maximum(opened, close) * spread, np.minimum(opened, close) / spread, close,
        np.full(count, 100.0),
    )  # fmt: skip


def training_of(text: str = SMALL, **parameters: Any) -> Training:
    document = read_document(text)
    assert document.train is not None
    return compile_training(document.train, document.check(parameters), document.indicators)


def scopes_of(*bars: BarArrays) -> list[Scope]:
    universe = {f"S{number}": each for number, each in enumerate(bars)}
    return [Scope(universe, symbol, FIVE) for symbol in universe]


def learned(text: str, *bars: BarArrays) -> tuple[Training, Samples, list[Fold]]:
    training = training_of(text)
    samples = samples_of(training, scopes_of(*bars))
    return training, samples, folds_of(samples, training.validation)


def learner(samples: Samples, chosen: Chosen, seed: int = 7) -> Any:
    return learner_of(Task(chosen=chosen, names=samples.names, is_class=samples.is_class, seed=seed))


def part(samples: Samples, rows: Any) -> Part:
    return Part(samples=samples, rows=rows, weight=np.ones(len(rows)))


@dataclass
class Onlooker:
    """Sees every step of a learner, stops it after so many, and has it saved after each, or `pause` seconds after the
    save before."""

    most: int = 10**9
    pause: float = 0.0
    steps: list[tuple[int, float, float]] = field(default_factory=list)
    saved: Any = None
    saved_at: float = field(default_factory=time.monotonic)

    def step(self, done: int, losses: tuple[float, float], save: Any = None) -> bool:
        self.steps.append((done, *losses))
        if save is not None and time.monotonic() - self.saved_at >= self.pause:
            self.saved, self.saved_at = save(), time.monotonic()
        return len(self.steps) < self.most

    def batch(self) -> bool:
        return True
