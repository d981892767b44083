"""Draws of the stationary bootstrap: blocks of random length, from random places, around the end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.kernel.compiling import compiled

Values = npt.NDArray[np.float64]


@compiled
def moments_of_draws(
    first: Values, second: Values, chance: float, draws: int, random: np.random.Generator
) -> Values:  # fmt: skip
    """Draw pairs of two series, and answer for each draw the mean and the deviation of both: (draws, 4).

    A block ends with `chance` at each step, so it is 1 / chance long on average; `random` is a NumPy generator.
    """
    count = len(first)
    found = np.empty((draws, 4))
    for draw in range(draws):
        at = 0
        sums = np.zeros(4)
        for step in range(count):
            if step == 0 or random.random() < chance:
                at = min(int(random.random() * count), count - 1)
            elif at == count - 1:
                at = 0
            else:
                at += 1
            one, other = first[at], second[at]
            sums[0] += one
            sums[1] += one * one
            sums[2] += other
            sums[3] += other * other
        for which in range(2):
            total, squares = sums[2 * which], sums[2 * which + 1]
            found[draw, 2 * which] = total / count
            found[draw, 2 * which + 1] = np.sqrt(max(0.0, squares - total * total / count) / (count - 1))
    return found
