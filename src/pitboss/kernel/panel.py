"""The instrument panel as an array, for compiled loops; its cells are those of `core.panel`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.core.panel import CANCEL, CELLS, CURRENT, DONE, GAUGES, TOTAL

__all__ = ["CANCEL", "CURRENT", "DONE", "EQUITY", "TOTAL", "TRADES", "Panel", "new_panel", "panel_over"]

Panel = npt.NDArray[np.int64]
TRADES = GAUGES  # the first gauge of a simulation: trades closed so far
EQUITY = GAUGES + 1  # the second: the account's equity, the bits of a float64


def new_panel() -> Panel:
    """Answer a panel in private memory, all cells 0."""
    return np.zeros(CELLS, dtype=np.int64)


def panel_over(memory: memoryview) -> Panel:
    """Answer the panel that lies in `memory`, shared with whoever else maps it."""
    return np.frombuffer(memory, dtype=np.int64, count=CELLS)
