"""Compiled passes over the trees of a forest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.kernel.compiling import compiled

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


@compiled
def walked(x: F32, roots: I64, feature: I64, threshold: F64, left: I64, right: I64, value: F64) -> F64:
    """Answer the mean of what the trees say of each row.

    x: (N, F); roots: (trees,) the first node of each; the others: (nodes,), `left` and `right` -1 at a leaf. A row goes
    left where its feature is at most the threshold; one with a feature that is not known is NaN.
    """
    out = np.zeros(len(x))
    for i in range(len(x)):
        for column in range(x.shape[1]):
            if np.isnan(x[i, column]):
                out[i] = np.nan
        if np.isnan(out[i]):
            continue
        total = 0.0
        for root in roots:
            node = root
            while left[node] >= 0:
                node = left[node] if x[i, feature[node]] <= threshold[node] else right[node]
            total += value[node]
        out[i] = total / len(roots)
    return out
