"""What a model learns from: features and labels of all symbols, each with the time at which it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pitboss.core.errors import InvalidInput, Problem
from pitboss.kernel import labels as kernels
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.expression import Node
from pitboss.strategy.training import CLASSES, Label, Training

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
LEAST_ROWS = 100
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class Samples:
    """One row a bar, the rows of each symbol together and in order of time.

    x: (N, F) features; y: (N,) labels, NaN where there is none; at: (N,) when the bar has closed; known: (N,) when its
    label is known, NEVER where there is none; both microseconds since 1970. symbol: (N,) which of `symbols`;
    since: (N,) the first row of its symbol; uniqueness: (N,) of its label, above 0 to 1.
    """

    names: tuple[str, ...]
    symbols: tuple[str, ...]
    x: F64
    y: F64
    at: I64
    known: I64
    symbol: I64
    since: I64
    uniqueness: F64
    is_class: bool
    reach: int

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(self.y)


def is_class(label: Label, scope: Scope) -> bool:
    """Answer whether a label is one of two classes, rather than a number."""
    if label.type == "expression":
        return scope.evaluate(label.nodes["expression"]).dtype == np.bool_
    return label.type in CLASSES


Told = Callable[[int, str], None]  # how many features of all symbols are computed, and which is next


def _silent(_done: int, _what: str) -> None:
    pass


def features_of(features: Mapping[str, Node], scope: Scope, told: Told = _silent, begun: int = 0) -> F64:
    """Answer the features of a scope's bars: (bars, features), NaN where one is not known, infinite ones too."""
    columns = np.empty((len(scope.bars.ts), len(features)))
    for at, (name, node) in enumerate(features.items()):
        told(begun + at, f"{scope.symbol} {name}")
        columns[:, at] = scope.evaluate(node)
    columns[np.isinf(columns)] = np.nan
    return columns


def labels_of(label: Label, scope: Scope) -> tuple[F64, I64]:
    """Answer the label of each bar, and the bar at which it is known: NaN and -1 where there is none."""
    close, count = scope.bars.close, len(scope.bars.ts)
    if label.type == "triple_barrier":
        up, down = (_distance(scope, label.nodes[name]) for name in ("up", "down"))
        return kernels.barriers(scope.bars.high, scope.bars.low, close, up, down, label.reach)
    if label.type == "zigzag":
        return kernels.legs(close, label.numbers["threshold"], label.reach)
    if label.type == "expression":
        values = np.array(scope.evaluate(label.nodes["expression"]), np.float64)
        values[np.isinf(values)] = np.nan
        values[max(0, count - label.reach) :] = np.nan
    else:
        later = np.full(count, np.nan)
        later[: max(0, count - label.reach)] = close[label.reach :]
        moved = later / close - 1.0
        values = moved if label.type == "return" else _direction(moved, label.numbers["dead_zone"])
    return values, np.where(np.isnan(values), -1, np.arange(count) + label.reach)


def _direction(moved: F64, dead_zone: float) -> F64:
    is_dead = np.isnan(moved) | (np.abs(moved) <= dead_zone)
    return np.where(is_dead, np.nan, (moved > 0).astype(np.float64))


def _distance(scope: Scope, node: Node) -> F64:
    values = np.ascontiguousarray(scope.evaluate(node), np.float64)
    is_share = getattr(node, "is_percent", False)
    return values * scope.bars.close if is_share else values


def samples_of(training: Training, scopes: Sequence[Scope], told: Told = _silent) -> Samples:
    """Answer the samples of all symbols, one scope each; `told` is called before each feature is computed. Raises
    InvalidInput where nothing can be learned of them, and what `told` raises."""
    label = training.label
    parts = []
    for number, scope in enumerate(scopes):
        ends = scope.ends
        y, known = labels_of(label, scope)
        has_label = known >= 0
        unique = np.ones(len(y))
        unique[has_label] = kernels.uniqueness(np.flatnonzero(has_label), known[has_label], len(y))
        moments = np.where(has_label, ends[np.maximum(known, 0)], NEVER)
        x = features_of(training.features, scope, told, number * len(training.features))
        parts.append((x, y, ends, moments, np.full(len(y), number), unique))
    x, y, at, known, symbol, unique = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    lengths = [len(part[1]) for part in parts]
    since = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
    found = Samples(
        names=tuple(training.features), symbols=tuple(scope.symbol for scope in scopes), x=x, y=y, at=at, known=known,
        symbol=symbol, since=since, uniqueness=unique, is_class=is_class(label, scopes[0]), reach=label.reach,
    )  # fmt: skip
    if problems := list(_faults(found)):
        raise InvalidInput(problems)
    return found


def _faults(samples: Samples) -> Iterator[Problem]:
    labelled = samples.y[samples.labelled]
    if len(labelled) < LEAST_ROWS:
        what = f"only {len(labelled):,} bars have a label"
        yield Problem(what, f"choose a longer range: {LEAST_ROWS} are the least", where="start")
    elif (labelled == labelled[0]).all():
        what = f"the label is {labelled[0]:g} on every bar: there is nothing to learn"
        yield Problem(what, "write another label, or choose other bars", where="train.label")
    for at, name in enumerate(samples.names):
        column = samples.x[:, at]
        if np.isnan(column).all():
            remedy = "look at what it needs: a longer range, or volume"
            yield Problem(f"feature '{name}' is unknown on every bar", remedy, where=f"train.features.{name}")
