"""One backtest: a program and its universe through the compiled loop, with progress and cancel in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from pitboss.backtesting.universe import Universe
from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.kernel import panel as slots
from pitboss.kernel.simulate import (
    LEVEL_DISTANCE,
    Levels,
    Log,
    Rules,
    State,
    close_all,
    grown,
    new_log,
    new_state,
    simulate,
)
from pitboss.strategy.document import SIZINGS, Costs, Document, Sizing, read_number
from pitboss.strategy.evaluate import ArrayCache, Scope
from pitboss.strategy.program import Program

CHUNK = 1 << 16
ROOM = 256  # rows of the log beyond what one trade in sixteen bars needs; it grows by itself


@dataclass(frozen=True)
class Outcome:
    """What the loop left behind: its state, its log, and how many bars of the timeline it saw."""

    universe: Universe
    cash: float
    state: State
    log: Log
    bars: int
    is_complete: bool


def rules_of(program: Program, sizing: Sizing, costs: Costs) -> Rules:
    """Answer sizing, costs and limits as the loop takes them."""
    return Rules(
        SIZINGS.index(sizing.type), sizing.value, sizing.lot, costs.commission, costs.per_share,
        costs.per_order, costs.minimum, costs.slippage, costs.borrow, program.max_bars,
    )  # fmt: skip


def override(base: Any, given: Mapping[str, Any] | None, where: str) -> Any:
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
        elif name == "type":
            if value not in SIZINGS:
                problems.append(Problem(f"unknown sizing '{value}'", suggest(str(value), SIZINGS), where=place))
            changes[name] = value
        elif number is None or number.value < 0 or (name == "value" and number.value == 0):
            problems.append(Problem(f"'{value}' is no {name}", "write a number such as 10 or 0.1%", where=place))
        elif name in ("commission", "slippage") and number.value >= 1:
            problems.append(Problem(f"{name} {value} is all of the price", "write 0.0002 or 0.02%", where=place))
        else:
            changes[name] = number.value
    if changes.get("type", getattr(base, "type", None)) != getattr(base, "type", None) and "value" not in changes:
        problems.append(Problem(f"{where} of another type needs a value", "give it too", where=f"{where}.value"))
    if problems:
        raise InvalidInput(problems)
    return replace(base, **changes)


def resolve(
    document: Document, sizing: Mapping[str, Any] | None, costs: Mapping[str, Any] | None
) -> tuple[Sizing, Costs]:
    """Answer the document's sizing and costs with overrides. Raises InvalidInput for what does not fit."""
    document.require_entry()
    chosen = override(document.sizing, sizing, "sizing")
    if chosen.type == "risk" and "stop_loss" not in document.levels:
        raise InvalidInput("sizing by risk needs a stop", "add risk.stop_loss to the strategy", "sizing.type")
    return chosen, override(document.costs, costs, "costs")


def signals_and_levels(program: Program, universe: Universe, cache: ArrayCache) -> tuple[Any, Levels]:
    """Answer the signals and levels of every traded symbol on the timeline."""
    scopes = [Scope(universe.bars, symbol, universe.timeframe, cache) for symbol in universe.symbols]
    signals = universe.spread([program.signals(scope) for scope in scopes], 0)
    parts: list[Any] = []
    for name in ("stop_loss", "take_profit", "trailing_stop"):
        levels = [program.level(name, scope) for scope in scopes]
        kind, first = levels[0]
        wide = kind == LEVEL_DISTANCE
        parts += [kind, universe.spread([a for _, a in levels], np.nan) if wide else first.reshape(1, 1)]
    return signals, Levels(*parts)


def run(
    program: Program,
    rules: Rules,
    universe: Universe,
    cash: float,
    panel: slots.Panel,
    cache: ArrayCache | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Outcome:
    """Simulate the whole timeline, or as much of it as the panel's cancel flag allows."""
    bars = universe.prices
    signals, levels = signals_and_levels(program, universe, cache or ArrayCache())
    end = len(bars.ts)
    state, log = new_state(len(universe.symbols), cash), new_log(end, ROOM + 8 * len(universe.symbols) + end // 16)
    panel[slots.TOTAL] = end
    reached = 0
    while reached < end and not panel[slots.CANCEL]:
        stop = min(end, reached + CHUNK)
        reached = simulate(bars, signals, levels, rules, state, log, panel, reached, stop)
        if reached < stop and not panel[slots.CANCEL]:
            log = grown(log)
        if reached:
            panel.view(np.float64)[slots.EQUITY] = log.equity[reached - 1]
        if is_cancelled is not None and is_cancelled():
            break
    close_all(rules, state, log, reached)
    panel[slots.TRADES] = state.counts[0]
    return Outcome(universe, cash, state, log, reached, reached == end)
