"""A universe that changes: a symbol is entered only while it is a member, and left once it is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Spans = Sequence[tuple[int, int]]  # of a membership: openings of bars in [low, high), microseconds
Members = Mapping[str, Spans]
_ENTRIES, _EXITS = np.uint8(0b0011), np.uint8(0b1100)


def held_to(
    signals: npt.NDArray[np.uint8], ts: npt.NDArray[np.int64], spans: Spans
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """Answer signals without entries outside of the spans, and with exits at the close of the first bar after each."""
    inside = np.zeros(len(ts), np.bool_)
    for low, high in spans:
        inside[np.searchsorted(ts, low) : np.searchsorted(ts, high)] = True
    leaves = ~inside & np.concatenate(([False], inside[:-1]))
    admitted = np.where(inside, signals, signals & ~_ENTRIES)
    return np.asarray(np.where(leaves, admitted | _EXITS, admitted), np.uint8)
