"""What a backtest may be given beside its document: cash, sizing and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.strategy.document import SIZINGS, WHEN_SHORT, Costs, Document, Sizing, read_number

Settings = TypeVar("Settings", Sizing, Costs)
_WORDS = {"type": SIZINGS, "when_short": WHEN_SHORT}
RULES = "2"  # raised whenever the same document and bars give another result


def check_cash(cash: float) -> float:
    """Answer the starting cash if it is an amount. Raises InvalidInput."""
    if isinstance(cash, bool) or not isinstance(cash, int | float) or not 0 < cash < 1e15:
        raise InvalidInput(f"the starting cash {cash!r} is no amount", "write a number greater than 0", "cash")
    return float(cash)


def override(base: Settings, given: Mapping[str, Any] | None, where: str) -> Settings:
    """Answer the dataclass `base` (Costs or Sizing) with the fields `given`, texts such as `0.02%` included.

    Raises InvalidInput for unknown fields and wrong values, all at once.
    """
    known = {f.name for f in fields(base)}
    changes: dict[str, Any] = {}
    problems = []
    if given is not None and not isinstance(given, Mapping):
        raise InvalidInput(f"'{where}' is not a mapping", f"write {where} as names and values", where)
    for name, value in (given or {}).items():
        place = f"{where}.{name}"
        number = read_number(value)
        if name not in known:
            problems.append(Problem(f"unknown {where} '{name}'", suggest(name, known), where=place))
        elif name in _WORDS:
            if value not in _WORDS[name]:
                problems.append(Problem(f"unknown {name} '{value}'", suggest(str(value), _WORDS[name]), where=place))
            changes[name] = value
        elif number is None or number.value < 0 or (name == "value" and number.value == 0):
            problems.append(Problem(f"'{value}' is no {name}", "write a number such as 10 or 0.1%", where=place))
        else:
            changes[name] = number.value
    if changes.get("type", getattr(base, "type", None)) != getattr(base, "type", None) and "value" not in changes:
        problems.append(Problem(f"{where} of another type needs a value", "give it too", where=f"{where}.value"))
    changed = replace(base, **changes)
    if changes and not problems:
        problems = [Problem(what, remedy, where=f"{where}.{name}") for name, what, remedy in changed.faults()]
    if problems:
        raise InvalidInput(problems)
    return changed


def resolve(
    document: Document,
    sizing: Mapping[str, Any] | None,
    costs: Mapping[str, Any] | None,
    parameters: Mapping[str, Any] | None = None,
) -> tuple[Sizing, Costs]:
    """Answer the document's sizing and costs with parameters put in, and then overrides.

    Raises InvalidInput for what does not fit.
    """
    document.require_entry()
    own_sizing, own_costs = document.settled(document.parameter_values(parameters))
    chosen = override(own_sizing, sizing, "sizing")
    if chosen.type == "risk" and "stop_loss" not in document.levels:
        raise InvalidInput("sizing by risk needs a stop", "add risk.stop_loss to the strategy", "sizing.type")
    return chosen, override(own_costs, costs, "costs")
