"""A document made runnable: its parameters put in, and every expression bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pitboss.core.errors import InvalidInput, Problem
from pitboss.strategy.binding import bind, fold
from pitboss.strategy.document import LEAST_COUNTS, NO_CLOCK, Document
from pitboss.strategy.expression import Node, Number

MOST_BARS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A document with one set of parameter values; immutable, safe to share between threads.

    `targets` are distances, nearest first, and the shares of the position that they close; `prices` those of waiting
    entries, by `stop.long`, `limit.short`, …; a count of 0 is no limit.
    """

    entry: Mapping[str, Node]
    exit: Mapping[str, Node]
    stop_loss: Node | None
    trailing_stop: Node | None
    targets: tuple[tuple[Node, float], ...]
    prices: Mapping[str, Node]
    max_bars: int
    expiry: int
    cooldown: int
    max_positions: int
    windows: tuple[tuple[int, int], ...]
    exit_at: int | None
    values: Mapping[str, Number]  # of the parameters


def compile_document(document: Document, parameters: Mapping[str, Any] | None = None) -> Program:
    """Put `parameters` into `document`. Raises InvalidInput for what does not fit."""
    values = document.check(parameters)
    if document.idle_clocks:
        raise InvalidInput([Problem(*NO_CLOCK, where=where) for where in document.idle_clocks])

    def bound(expressions: Mapping[str, Node]) -> dict[str, Node]:
        return {key: bind(node, values, document.indicators) for key, node in expressions.items()}

    levels, prices = bound(document.levels), bound(document.prices)
    for place, node in [*((f"risk.{name}", level) for name, level in levels.items()),
                        *((f"entry.order.{name}", price) for name, price in prices.items())]:  # fmt: skip
        if isinstance(node, Number) and not node.value > 0:
            raise InvalidInput(f"{place} is {node.value:g}", "write a number greater than 0", place)
    counts = {place: _count(place, fold(node, values)) for place, node in document.counts.items()}
    shares = {name: fold(node, values) for name, node in document.shares.items()}
    return Program(
        entry=bound(document.entry),
        exit=bound(document.exit),
        stop_loss=levels.pop("stop_loss", None),
        trailing_stop=levels.pop("trailing_stop", None),
        targets=tuple((node, _share(name, shares.get(name))) for name, node in levels.items()),
        prices=prices,
        max_bars=counts.get("risk.max_bars", 0),
        expiry=counts.get("entry.order.expiry", 1),
        cooldown=counts.get("entry.cooldown", 0),
        max_positions=counts.get("entry.max_positions", 0),
        windows=document.windows,
        exit_at=document.exit_at,
        values=values,
    )


def _count(place: str, node: Node) -> int:
    value = node.value if isinstance(node, Number) else 0
    if not LEAST_COUNTS.get(place, 1) <= value <= MOST_BARS or value != int(value):
        raise InvalidInput(f"{place} is {value:g}", "write a whole number, 1 or more, or leave it out", place)
    return int(value)


def _share(name: str, node: Node | None) -> float:
    """Answer the share of the position that a target closes: all of it where none is named."""
    if node is None:
        return 1.0
    value = node.value if isinstance(node, Number) else 0
    if not 0 < value <= 1:
        place = f"risk.{name}.share"
        raise InvalidInput(f"{place} is {value:g}", "write a share of the position such as 50%", place)
    return value
