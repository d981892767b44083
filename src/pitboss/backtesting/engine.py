"""One backtest: a program and its universe through the compiled loop, with progress and cancel in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pitboss.backtesting.universe import Universe
from pitboss.kernel import panel as cells
from pitboss.kernel.account import (
    F64,
    LEVEL_DISTANCE,
    LEVEL_FRACTION,
    LIMIT,
    MARKET,
    STOP_ENTRY,
    STOP_LIMIT,
    Levels,
    Log,
    Rules,
    State,
    grown,
    new_log,
    new_state,
)
from pitboss.kernel.simulate import close_all, simulate
from pitboss.strategy.document import SIZINGS, Costs, Sizing
from pitboss.strategy.evaluate import ArrayCache
from pitboss.strategy.expression import Node
from pitboss.strategy.program import Program
from pitboss.strategy.signals import distance_of, price_of, signals_of

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
    order: int  # how entries fill: one of `kernel.account`


def rules_of(program: Program, sizing: Sizing, costs: Costs) -> Rules:
    """Answer sizing, costs and limits as the loop takes them."""
    return Rules(
        sizing=SIZINGS.index(sizing.type),
        size=sizing.value,
        lot=sizing.lot,
        leverage=sizing.leverage,
        maintenance=sizing.maintained,
        is_filled_short=sizing.when_short == "fill",
        commission=costs.commission,
        per_share=costs.per_share,
        per_order=costs.per_order,
        minimum=costs.minimum,
        slippage=costs.slippage,
        borrow=costs.borrow,
        interest=costs.margin_interest,
        max_bars=program.max_bars,
        cooldown=program.cooldown,
        max_positions=program.max_positions,
        expiry=program.expiry,
    )


def order_of(program: Program) -> int:
    """Answer how entries fill: at the market, or where their order rests."""
    named = {name.partition(".")[0] for name in program.prices}
    return STOP_LIMIT if len(named) == 2 else STOP_ENTRY if "stop" in named else LIMIT if named else MARKET


def signals_and_levels(program: Program, universe: Universe, cache: ArrayCache) -> tuple[Any, Levels]:
    """Answer the signals and levels of every traded symbol on the timeline."""
    scopes = [universe.scope(symbol, cache) for symbol in universe.symbols]
    signals = universe.spread([signals_of(program, scope) for scope in scopes], 0)

    def spread(node: Node | None) -> tuple[int, F64]:
        found = [distance_of(node, scope) for scope in scopes]
        kind, first = found[0]
        return kind, _wide([own for _, own in found]) if kind == LEVEL_DISTANCE else first.reshape(1, 1)

    def _wide(columns: list[F64]) -> F64:
        return np.asarray(universe.spread(columns, np.nan), np.float64)

    def prices(name: str) -> F64:
        if not any(given.startswith(name) for given in program.prices):
            return np.full((2, 1, 1), np.nan)
        own = [price_of(program, name, scope) for scope in scopes]
        return np.stack([_wide([each[side] for each in own]) for side in (0, 1)])

    targets = [spread(node) for node, _ in program.targets]
    distances = [own for kind, own in targets if kind == LEVEL_DISTANCE]
    shape = distances[0].shape if distances else (1, 1)
    return signals, Levels(
        *spread(program.stop_loss),
        *spread(program.trailing_stop),
        np.array([own[0, 0] if kind == LEVEL_FRACTION else np.nan for kind, own in targets]),
        np.ascontiguousarray([np.broadcast_to(own, shape) for _, own in targets]).reshape(-1, *shape),
        np.array([share for _, share in program.targets]),
        order_of(program),
        prices("stop"),
        prices("limit"),
    )


class Simulation:
    """One backtest under way: advanced a piece at a time, and between two pieces it can be saved."""

    def __init__(
        self, program: Program, rules: Rules, universe: Universe, cash: float, panel: cells.Panel,
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
        panel[cells.TOTAL] = self.end

    def advance(self) -> bool:
        """Simulate the next piece; False when the timeline or a cancel has ended the work."""
        if self.reached >= self.end or self.panel[cells.CANCEL]:
            return False
        stop = min(self.end, self.reached + self.piece)
        self.reached = simulate(
            self.bars, self.signals, self.levels, self.rules, self.state, self.log, self.panel, self.reached, stop
        )
        if self.reached < stop and not self.panel[cells.CANCEL]:
            self.log = grown(self.log)
        if self.reached:
            self.panel.view(np.float64)[cells.EQUITY] = self.log.equity[self.reached - 1]
        return True

    def saved(self) -> dict[str, Any]:
        """Answer all that has been computed so far, the arrays as bytes."""
        trades, incidents = self.state.counts[:2]
        arrays = {
            **self.state._asdict(),
            "trades": self.log.trades[:trades],
            "incidents": self.log.incidents[:incidents],
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
        self.panel[cells.DONE] = self.reached
        self.panel[cells.TRADES] = self.state.counts[0]

    def outcome(self) -> Outcome:
        """Close what is open and answer what there is; nothing can be advanced or saved afterwards."""
        close_all(self.rules, self.state, self.log, self.reached)
        self.panel[cells.TRADES] = self.state.counts[0]
        is_complete = self.reached == self.end
        return Outcome(self.universe, self.cash, self.state, self.log, self.reached, is_complete, self.levels.order)


def run(
    program: Program,
    rules: Rules,
    universe: Universe,
    cash: float,
    panel: cells.Panel,
    cache: ArrayCache | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Simulate the whole timeline, or as much of it as a cancel allows."""
    simulation = Simulation(program, rules, universe, cash, panel, cache)
    while not is_cancelled() and simulation.advance():
        pass
    return simulation.outcome()
