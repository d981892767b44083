"""What a backtest may be given beside its document: cash, sizing and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.core.errors import InvalidInput
from pitboss.strategy.document import Costs, Document, Sizing
from pitboss.strategy.overrides import override

RULES = "2"  # raised whenever the same document and bars give another result


def check_cash(cash: float) -> float:
    """Answer the starting cash if it is an amount. Raises InvalidInput."""
    if isinstance(cash, bool) or not isinstance(cash, int | float) or not 0 < cash < 1e15:
        raise InvalidInput(f"the starting cash {cash!r} is no amount", "write a number greater than 0", "cash")
    return float(cash)


def resolve(
    document: Document,
    sizing: Mapping[str, Any] | None,
    costs: Mapping[str, Any] | None,
    parameters: Mapping[str, Any] | None = None,
    trades: bool = True,
) -> tuple[Sizing, Costs]:
    """Answer the document's sizing and costs with parameters put in, and then overrides.

    Raises InvalidInput for what does not fit, and for a document that never trades where it is to.
    """
    if trades:
        document.require_entry()
    own_sizing, own_costs = document.settled(document.parameter_values(parameters))
    chosen = override(own_sizing, sizing, "sizing")
    if chosen.type == "risk" and "stop_loss" not in document.levels:
        raise InvalidInput("sizing by risk needs a stop", "add risk.stop_loss to the strategy", "sizing.type")
    return chosen, override(own_costs, costs, "costs")
