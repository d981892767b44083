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

RULES = "1"  # raised whenever the same document and bars give another result
PIECE = 1 << 16  # bars of all symbols between two looks at what the caller wants
LEAST_PIECE = 1 << 10
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


class Simulation:
    """One backtest under way: advanced a piece at a time, and between two pieces it can be saved."""

    def __init__(
        self, program: Program, rules: Rules, universe: Universe, cash: float, panel: slots.Panel,
        cache: ArrayCache | None = None,
    ) -> None:  # fmt: skip
        self.rules = rules
        self.universe = universe
        self.cash = cash
        self.panel = panel
        self.signals, self.levels = signals_and_levels(program, universe, cache or ArrayCache())
        self.bars = universe.prices
        self.end = len(self.bars.ts)
        self.reached = 0
        symbols = len(universe.symbols)
        self.state = new_state(symbols, cash)
        self.log = new_log(self.end, ROOM + 8 * symbols + self.end // 16)
        self.piece = max(LEAST_PIECE, PIECE // symbols)
        panel[slots.TOTAL] = self.end

    def advance(self) -> bool:
        """Simulate the next piece; False when the timeline or a cancel has ended the work."""
        if self.reached >= self.end or self.panel[slots.CANCEL]:
            return False
        stop = min(self.end, self.reached + self.piece)
        self.reached = simulate(
            self.bars, self.signals, self.levels, self.rules, self.state, self.log, self.panel, self.reached, stop
        )
        if self.reached < stop and not self.panel[slots.CANCEL]:
            self.log = grown(self.log)
        if self.reached:
            self.panel.view(np.float64)[slots.EQUITY] = self.log.equity[self.reached - 1]
        return True

    def saved(self) -> dict[str, Any]:
        """Answer all that has been computed so far, the arrays as bytes."""
        trades, rejected = self.state.counts[:2]
        arrays = {
            **self.state._asdict(),
            "trades": self.log.trades[:trades],
            "rejected": self.log.rejected[:rejected],
            "equity": self.log.equity[: self.reached],
        }
        return {"reached": self.reached} | {name: memoryview(array).cast("B") if array.size else b""
                                            for name, array in arrays.items()}  # fmt: skip

    def take_up(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `saved` answered for the same program, rules and universe."""
        self.reached = saved["reached"]
        for name, array in self.state._asdict().items():
            array[...] = np.frombuffer(saved[name], array.dtype).reshape(array.shape)
        while len(self.log.trades) <= max(self.state.counts[:2]):
            self.log = grown(self.log)
        for name, array in self.log._asdict().items():
            rows = np.frombuffer(saved[name], array.dtype).reshape(-1, *array.shape[1:])
            array[: len(rows)] = rows
        self.panel[slots.DONE] = self.reached
        self.panel[slots.TRADES] = self.state.counts[0]

    def outcome(self) -> Outcome:
        """Close what is open and answer what there is; nothing can be advanced or saved afterwards."""
        close_all(self.rules, self.state, self.log, self.reached)
        self.panel[slots.TRADES] = self.state.counts[0]
        return Outcome(self.universe, self.cash, self.state, self.log, self.reached, self.reached == self.end)


def run(
    program: Program,
    rules: Rules,
    universe: Universe,
    cash: float,
    panel: slots.Panel,
    cache: ArrayCache | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Simulate the whole timeline, or as much of it as a cancel allows."""
    simulation = Simulation(program, rules, universe, cash, panel, cache)
    while not is_cancelled() and simulation.advance():
        pass
    return simulation.outcome()
