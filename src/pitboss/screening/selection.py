"""A universe over time: the best of what a screen passes, chosen anew at the first session of each period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pitboss.screening.evaluate import Judged

I64 = npt.NDArray[np.int64]
_THURSDAY = 3  # days after Monday: 1970-01-01 was one


def sessions_of_choice(ts: I64, rebalance: str) -> I64:
    """Answer the first of ascending bars in each day, week (from Monday) or month of UTC."""
    days = ts.astype("datetime64[us]").astype("datetime64[D]")
    if rebalance == "weekly":
        periods = (days.astype(np.int64) + _THURSDAY) // 7
    else:
        periods = days.astype(f"datetime64[{'M' if rebalance == 'monthly' else 'D'}]").astype(np.int64)
    return ts[np.flatnonzero(np.diff(periods, prepend=periods[0] - 1))] if len(ts) else ts


class Verdicts(NamedTuple):
    """What a screen says of a symbol at each of its bars, as far as that chooses it."""

    ts: I64
    passed: npt.NDArray[np.bool_]
    score: npt.NDArray[np.float64]


def joined(judged: Sequence[Judged]) -> Verdicts:
    """Answer what is said of a symbol that is judged in pieces, all of which begin with its first bar: of each piece
    what comes after the one before."""
    starts = [0, *(len(each.ts) for each in judged)]
    pieces = list(zip(judged, starts, strict=False))
    return Verdicts(
        judged[-1].ts, np.concatenate([each.passed[start:] for each, start in pieces]),
        np.concatenate([each.score[start:] for each, start in pieces]),
    )  # fmt: skip


def chosen(judged: Mapping[str, Verdicts], top: int, rebalance: str) -> tuple[I64, list[list[str]]]:
    """Answer the bars at whose close a universe is chosen, and who is in it from then on: of the symbols that pass
    there the `top` with the best scores, by name where they are equal."""
    if not judged:
        return np.empty(0, np.int64), []
    moments = sessions_of_choice(np.unique(np.concatenate([each.ts for each in judged.values()])), rebalance)
    ranked: list[list[tuple[float, str]]] = [[] for _ in moments]
    for symbol, each in judged.items():
        if not len(each.ts):
            continue
        at = np.minimum(np.searchsorted(each.ts, moments), len(each.ts) - 1)
        passes = (each.ts[at] == moments) & each.passed[at]
        for place in np.flatnonzero(passes):
            ranked[place].append((-float(each.score[at[place]]), symbol))
    return moments, [[symbol for _, symbol in sorted(found)[:top]] for found in ranked]


def spans_of(starts: I64, members: list[list[str]], end: int) -> dict[str, list[tuple[int, int]]]:
    """Answer for each symbol the spans in which it is a member: [low, high), from its choice to the next without it."""
    found: dict[str, list[tuple[int, int]]] = {}
    bounds = [*(int(start) for start in starts), end]
    for low, high, symbols in zip(bounds[:-1], bounds[1:], members, strict=True):
        for symbol in symbols:
            spans = found.setdefault(symbol, [])
            if spans and spans[-1][1] == low:
                spans[-1] = spans[-1][0], high
            else:
                spans.append((low, high))
    return found
