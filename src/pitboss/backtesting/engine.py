"""One backtest: a program and its universe through the compiled loop, with progress and cancel in between."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from pitboss.backtesting.universe import Universe
from pitboss.kernel import panel as cells
from pitboss.kernel.account import (
    LEVEL_DISTANCE,
    LEVEL_FRACTION,
    LEVEL_NONE,
    LIMIT,
    MARKET,
    STOP_ENTRY,
    STOP_LIMIT,
    Levels,
    Log,
    Rows,
    State,
    grown,
    new_log,
    new_rules,
    new_state,
)
from pitboss.kernel.simulate import close_all, simulate
from pitboss.strategy.document import PRICED, SIDES, SIZINGS, Costs, Sizing
from pitboss.strategy.evaluate import ArrayCache
from pitboss.strategy.expression import Call, Node, Number
from pitboss.strategy.functions import lookup
from pitboss.strategy.program import Program

PIECE = 1 << 18  # bars of all symbols between two looks at what the caller wants
LEAST_PIECE = 1 << 10
LONG = 200_000  # bars of a series that is worth a thread
ROOM = 256  # rows of the log beyond what one trade in sixteen bars needs; it grows by itself


@dataclass(frozen=True)
class Outcome:
    """What the loop left behind: its state, its log, and how many bars of the timeline it saw.

    `order` is how entries fill, one of `kernel.account`.
    """

    universe: Universe
    cash: float
    state: State
    log: Log
    bars: int
    is_complete: bool
    order: int

    @property
    def account(self) -> Any:
        """The account at the end, one row of ACCOUNT."""
        return self.state.account[0]

    @property
    def trades(self) -> Rows:
        """The trades, in the order of their exits: rows of TRADE."""
        return self.log.trades[: self.account["trades"]]

    @property
    def incidents(self) -> Rows:
        """What became of entries that did not fill, or not in full: rows of INCIDENT."""
        return self.log.incidents[: self.account["incidents"]]


def rows_of(program: Program) -> list[Node]:
    """Answer what a program's levels and waiting entries are told by on each bar, in the order of their rows."""
    levels = [program.stop_loss, program.trailing_stop, *(target for target, _ in program.targets)]
    return [node for node in levels if node is not None and not _is_fraction(node)]


def _is_fraction(node: Node | None) -> bool:
    return isinstance(node, Number) and node.is_percent


def _level(node: Node | None, rows: list[Node]) -> tuple[int, float]:
    """Answer the kind of a level and its fraction, or the row of its distances."""
    if node is None:
        return LEVEL_NONE, 0.0
    if isinstance(node, Number) and node.is_percent:
        return LEVEL_FRACTION, node.value
    return LEVEL_DISTANCE, float(rows.index(node))


def rules_of(program: Program, sizing: Sizing, costs: Costs) -> Rows:
    """Answer sizing, costs, limits and how orders rest as the loop takes them."""
    rows = rows_of(program)
    (stop_kind, stop), (trail_kind, trail) = _level(program.stop_loss, rows), _level(program.trailing_stop, rows)
    has_stop, has_limit = (any(name.startswith(kind) for name in program.prices) for kind in PRICED)
    return new_rules(
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
        stop_kind=stop_kind,
        stop=stop,
        trail_kind=trail_kind,
        trail=trail,
        order=(STOP_LIMIT if has_limit else STOP_ENTRY) if has_stop else (LIMIT if has_limit else MARKET),
        trigger=len(rows),
        limit=len(rows) + 2 * has_stop,
    )


def signals_and_levels(program: Program, universe: Universe, cache: ArrayCache) -> tuple[Any, Levels]:
    """Answer the signals and levels of every traded symbol on the timeline."""
    scopes = [universe.scope(symbol, cache) for symbol in universe.symbols]
    signals = universe.spread([universe.signals(program, symbol, cache) for symbol in universe.symbols], 0)
    rows = rows_of(program)
    nodes: list[Node | None] = [*rows]
    for kind in PRICED:
        sides = [program.prices.get(f"{kind}.{side}") for side in SIDES]
        nodes += sides if any(sides) else []
    values = np.empty((max(1, len(nodes)), *(signals.shape if nodes else (1, 1))))
    for row, node in enumerate(nodes):
        universe.fill(values[row], [np.nan if node is None else scope.evaluate(node) for scope in scopes])
    targets = [(*_level(node, rows), share) for node, share in program.targets]
    table = [(value if kind == LEVEL_FRACTION else np.nan, value, share) for kind, value, share in targets]
    return signals, Levels(values, np.array(table, dtype=np.float64).reshape(-1, 3))


def share_out(program: Program, universe: Universe, cache: ArrayCache) -> None:
    """Compute the indicators over long series on all cores at once: TA-Lib lets go of the interpreter meanwhile.

    Those that are made of others wait for their turn in `signals_and_levels`.
    """
    if len(universe.timeline) < LONG:
        return
    nodes = [*program.entry.values(), *program.exit.values(), *rows_of(program), *program.prices.values()]
    calls = {call for node in nodes for call in _calls(node)}
    plain = [call for call in calls if len(list(_calls(call))) == 1]
    scopes = [universe.scope(symbol, cache) for symbol in universe.symbols]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda pair: pair[0].evaluate(pair[1]), itertools.product(scopes, plain)))


def _calls(node: Node) -> Iterator[Call]:
    """Yield the calls of TA-Lib within an expression, but for those on longer bars."""
    if isinstance(node, Call):
        if node.name == "on":
            return
        function = lookup(node.name)
        if function is not None and function.is_talib:
            yield node
    for child in node.children():
        yield from _calls(child)


class Simulation:
    """One backtest under way: advanced a piece at a time, and between two pieces it can be saved."""

    def __init__(
        self, program: Program, rules: Rows, universe: Universe, cash: float, panel: cells.Panel,
        cache: ArrayCache | None = None, log: Log | None = None,
    ) -> None:  # fmt: skip
        self.rules = rules
        self.universe = universe
        self.cash = cash
        self.panel = panel
        self.cache = cache or ArrayCache()
        if cache is None:  # where it is shared, others work beside this one
            share_out(program, universe, self.cache)
        self.signals, self.levels = signals_and_levels(program, universe, self.cache)
        self.bars = universe.prices
        self.end = len(self.bars.ts)
        self.reached = 0
        symbols = len(universe.symbols)
        self.state = new_state(symbols, cash)
        self.log = log or new_log(self.end, ROOM + 8 * symbols + self.end // 16)
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
        account = self.state.account[0]
        arrays = {
            **self.state._asdict(),
            "trades": self.log.trades[: account["trades"]],
            "incidents": self.log.incidents[: account["incidents"]],
            "equity": self.log.equity[: self.reached],
        }
        return {"reached": self.reached} | {name: memoryview(array.view(np.uint8))
                                            for name, array in arrays.items()}  # fmt: skip

    def take_up(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `saved` answered for the same program, rules and universe."""
        self.reached = saved["reached"]
        for name, array in self.state._asdict().items():
            array[...] = np.frombuffer(saved[name], array.dtype).reshape(array.shape)
        account = self.state.account[0]
        while len(self.log.trades) <= max(account["trades"], account["incidents"]):
            self.log = grown(self.log)
        for name, array in self.log._asdict().items():
            rows = np.frombuffer(saved[name], array.dtype).reshape(-1, *array.shape[1:])
            array[: len(rows)] = rows
        self.panel[cells.DONE] = self.reached
        self.panel[cells.TRADES] = self.state.account["trades"][0]

    def outcome(self) -> Outcome:
        """Close what is open and answer what there is; nothing can be advanced or saved afterwards."""
        close_all(self.rules, self.state, self.log, self.reached)
        self.panel[cells.TRADES] = self.state.account["trades"][0]
        is_complete = self.reached == self.end
        return Outcome(
            self.universe, self.cash, self.state, self.log, self.reached, is_complete, int(self.rules["order"][0])
        )


def run(
    program: Program,
    rules: Rows,
    universe: Universe,
    cash: float,
    panel: cells.Panel,
    cache: ArrayCache | None = None,
    log: Log | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Simulate the whole timeline, or as much of it as a cancel allows; into `log` where one of another backtest over
    the same timeline is no longer needed: memory that is new costs more than what is written into it."""
    simulation = Simulation(program, rules, universe, cash, panel, cache, log)
    while not is_cancelled() and simulation.advance():
        pass
    return simulation.outcome()
