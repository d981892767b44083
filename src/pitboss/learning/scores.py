"""How good predictions are, out of sample alone: of classes, of numbers, and as money."""

from __future__ import annotations

import numpy as np

from pitboss.learning.samples import F64

BINS = 10


def scores_of(predicted: F64, y: F64, is_class: bool) -> dict[str, float | int | None]:
    """Answer the scores of predictions for rows with a label; None where one cannot be told.

    `skill` is the one that 0 means chance for: of classes twice the area under the receiver operating curve, less 1
    (the Gini coefficient), of numbers the rank correlation (Spearman's, the information coefficient).
    """
    is_told = ~(np.isnan(predicted) | np.isnan(y))
    p, y = predicted[is_told], y[is_told]
    if not len(y):
        return {"rows": 0, "skill": None}
    if not is_class:
        residual = p - y
        return {
            "rows": len(y), "skill": _correlation(_ranks(p), _ranks(y)), "correlation": _correlation(p, y),
            "rmse": float(np.sqrt(np.mean(residual**2))), "mae": float(np.mean(np.abs(residual))),
        }  # fmt: skip
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    auc = area_under_curve(p, y)
    return {
        "rows": len(y), "skill": None if auc is None else 2.0 * auc - 1.0, "auc": auc,
        "accuracy": float(((p >= 0.5) == (y > 0.5)).mean()), "base_rate": float(y.mean()),
        "log_loss": float(-np.mean(y * np.log(clipped) + (1 - y) * np.log(1 - clipped))),
        "brier": float(np.mean((p - y) ** 2)),
    }  # fmt: skip


def area_under_curve(p: F64, y: F64) -> float | None:
    """Answer the probability that a row of class 1 has the higher prediction than one of class 0 (Mann and Whitney
    1947); None where there is one class only."""
    ones = y > 0.5
    n1, n0 = int(ones.sum()), int((~ones).sum())
    if not n1 or not n0:
        return None
    return float((_ranks(p)[ones].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def _ranks(values: F64) -> F64:
    """Answer ranks from 1; equals share their mean."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[where], np.float64)


def _correlation(a: F64, b: F64) -> float | None:
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def confusion(p: F64, y: F64) -> dict[str, int]:
    """Answer how many rows of each class were told as which, at a probability of a half."""
    said, is_one = p >= 0.5, y > 0.5
    return {
        "true_up": int((said & is_one).sum()), "false_up": int((said & ~is_one).sum()),
        "true_down": int((~said & ~is_one).sum()), "false_down": int((~said & is_one).sum()),
    }  # fmt: skip


def calibration(p: F64, y: F64) -> list[dict[str, float | int]]:
    """Answer, of as many parts of equal size as BINS, what was predicted on average and what came of it."""
    order = np.argsort(p, kind="stable")
    return [
        {"predicted": float(p[part].mean()), "happened": float(y[part].mean()), "rows": len(part)}
        for part in np.array_split(order, BINS) if len(part)
    ]  # fmt: skip


def positions_of(predicted: F64, is_class: bool) -> F64:
    """Answer the position that a prediction stands for: 1 for up, -1 for down, 0 where nothing is predicted."""
    middle = 0.5 if is_class else 0.0
    return np.asarray(np.nan_to_num(np.sign(predicted - middle)), np.float64)


def worth_of(positions: F64, close: F64, cost: float) -> F64:
    """Answer the growth of 1 that holds each bar's position until the next close.

    positions, close: (N,) of one symbol; cost: fraction of the price that each change of a position by 1 costs.
    """
    moved = np.diff(close, append=close[-1:]) / close
    changed = np.abs(np.diff(positions, prepend=0.0))
    return np.asarray(np.cumprod(np.maximum(1.0 + positions * moved - cost * changed, 0.0)), np.float64)
