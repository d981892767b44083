"""The instrument panel as an array, for compiled loops; its slots are those of `core.panel`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pitboss.core.panel import CANCEL, CURRENT, DONE, EQUITY, SLOTS, TOTAL, TRADES

__all__ = ["CANCEL", "CURRENT", "DONE", "EQUITY", "TOTAL", "TRADES", "Panel", "new_panel", "panel_over"]

Panel = npt.NDArray[np.int64]


def new_panel() -> Panel:
    """Answer a panel in private memory, all slots 0."""
    return np.zeros(SLOTS, dtype=np.int64)


def panel_over(memory: memoryview) -> Panel:
    """Answer the panel that lies in `memory`, shared with whoever else maps it."""
    return np.frombuffer(memory, dtype=np.int64, count=SLOTS)
