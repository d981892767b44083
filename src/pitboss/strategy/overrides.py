"""What somebody wants to be different from a document's sizing and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.strategy.document import SIZINGS, WHEN_SHORT, Costs, Sizing, read_number

Settings = TypeVar("Settings", Sizing, Costs)
_WORDS = {"type": SIZINGS, "when_short": WHEN_SHORT}


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
