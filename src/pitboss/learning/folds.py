"""Splits by time: what a model is tested on, and what it may learn from without having seen any of that.

The purge, and the embargo, follow from the labels: nobody sets them. After López de Prado, Advances in Financial
Machine Learning (2018), 7.4 and 12.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from pitboss.core.errors import InvalidInput
from pitboss.learning.samples import Samples
from pitboss.strategy.training import Chosen

I64 = npt.NDArray[np.int64]
BOOL = npt.NDArray[np.bool_]
MOST_FOLDS = 500
STOPPING_SHARE = 0.15  # of what is learned from, its last part: when to stop is told by it


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Rows to learn from and rows to be tested on. `since` is when a model of it can have existed, microseconds; None
    where it learns from what came after what it is tested on."""

    number: int
    train: I64
    test: I64
    since: int | None

    @property
    def is_causal(self) -> bool:
        return self.since is not None


def folds_of(samples: Samples, validation: Chosen) -> list[Fold]:
    """Answer the folds of a validation. Raises InvalidInput where there are too few bars for them."""
    times = np.unique(samples.at)
    parts = {
        "walk_forward": lambda: validation.whole("folds") + 1,
        "purged_kfold": lambda: validation.whole("folds"),
        "combinatorial": lambda: validation.whole("folds"),
    }[validation.type]()
    if len(times) < parts * (samples.reach + 2):
        what = f"{len(times):,} bars are too few for {parts} parts: a label looks {samples.reach:,} bars forward"
        raise InvalidInput(what, "choose a longer range, or fewer folds", "train.validation.folds")
    edges = np.linspace(0, len(times), parts + 1).astype(np.int64)
    spans = [(int(times[first]), int(times[last - 1])) for first, last in pairwise(edges)]
    found = [
        Fold(number=number, train=rows, test=np.flatnonzero(_within(samples, tested)), since=since)
        for number, (tested, rows, since) in enumerate(_splits(samples, validation, spans, times), 1)
    ]
    if len(found) > MOST_FOLDS:
        what = f"{len(found):,} folds are too many"
        raise InvalidInput(what, f"choose fewer parts: at most {MOST_FOLDS}", "train.validation.folds")
    return found


Span = tuple[int, int]


def _splits(
    samples: Samples, validation: Chosen, spans: list[Span], times: I64
) -> Iterator[tuple[tuple[Span, ...], I64, int | None]]:
    """Yield the spans that are tested, the rows that are learned from, and since when that could be done."""
    labelled = samples.labelled
    if validation.type == "walk_forward":
        for number, tested in enumerate(spans[1:], 1):
            begin = spans[0 if validation.flags["anchored"] else number - 1][0]
            is_known = labelled & (samples.known <= tested[0]) & (samples.at >= begin)
            yield (tested,), np.flatnonzero(is_known), tested[0]
        return
    tests = validation.whole("tests") if validation.type == "combinatorial" else 1
    if tests >= len(spans):
        what = f"{tests} of {len(spans)} parts are tested: none is left to learn from"
        raise InvalidInput(what, "test fewer parts at once", "train.validation.tests")
    for chosen in combinations(spans, tests):
        allowed = labelled.copy()
        for tested in chosen:
            allowed &= is_apart(samples, tested, times)
        yield chosen, np.flatnonzero(allowed), None


def is_apart(samples: Samples, tested: Span, times: I64) -> BOOL:
    """Answer the rows that share nothing with a tested span: their labels are known before it begins, or they lie after
    all that its labels look at, and as long again (the embargo)."""
    inside = _within(samples, (tested,)) & samples.labelled
    last = max(tested[1], int(samples.known[inside].max()) if inside.any() else tested[1])
    place = min(len(times) - 1, int(np.searchsorted(times, last)) + samples.reach)
    return np.asarray((samples.known <= tested[0]) | (samples.at > times[place]))


def _within(samples: Samples, spans: tuple[Span, ...]) -> BOOL:
    inside = np.zeros(len(samples.at), np.bool_)
    for first, last in spans:
        inside |= (samples.at >= first) & (samples.at <= last)
    return inside


def stopping_split(samples: Samples, rows: I64) -> tuple[I64, I64]:
    """Answer what of the rows is learned from, and the last part of them, purged from it, that tells when to stop."""
    if not len(rows):
        return rows, rows
    times = np.unique(samples.at[rows])
    border = times[int((1.0 - STOPPING_SHARE) * len(times))]
    return rows[samples.known[rows] <= border], rows[samples.at[rows] >= border]
