"""A simulation that is saved and taken up anywhere, however often, ends like one that was never interrupted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.backtesting.engine import Simulation, rules_of
from pitboss.backtesting.metrics import compute_metrics
from pitboss.backtesting.options import resolve
from pitboss.backtesting.tables import equity_frame, orders_frame, trades_frame
from pitboss.backtesting.universe import Universe
from pitboss.core.timeframe import parse_timeframe
from pitboss.kernel.panel import new_panel
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import read_document
from support.bars import random_bars

DOCUMENT = read_document("""
name: busy
timeframe: 1h
entry: {long: "crosses_above(close, sma(close, 3))", short: "crosses_below(close, sma(close, 5))"}
exit: {long: "falling(close, 2)", short: "rising(close, 2)"}
risk: {stop_loss: 1 * atr(5), take_profit: 2%, trailing_stop: 1%, max_bars: 9}
sizing: {type: percent_equity, value: 40%}
costs: {commission: 0.02%, slippage: 0.01%, borrow: 3%}
""")


def simulation(universe: Universe, piece: int) -> Simulation:
    program = compile_document(DOCUMENT)
    made = Simulation(program, rules_of(program, *resolve(DOCUMENT, None, None)), universe, 10_000.0, new_panel())
    made.piece = piece
    return made


def finished(made: Simulation) -> tuple:
    while made.advance():
        pass
    outcome = made.outcome()
    return outcome, [frame(outcome) for frame in (trades_frame, orders_frame, equity_frame)]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), symbols=st.integers(1, 3), bars=st.integers(30, 900), piece=st.integers(1, 200),
    pauses=st.lists(st.integers(0, 6), max_size=4),
)  # fmt: skip
def test_interruptions_leave_no_trace(seed, symbols, bars, piece, pauses):
    names = tuple(f"S{i}" for i in range(symbols))
    universe = Universe(
        names, {n: random_bars(bars, seed + i, missing=0.1) for i, n in enumerate(names)}, parse_timeframe("1h")
    )
    whole, tables = finished(simulation(universe, 1 << 16))
    made = simulation(universe, piece)
    for pause in pauses:
        for _ in range(pause):
            made.advance()
        saved = {name: value if isinstance(value, int) else bytes(value) for name, value in made.saved().items()}
        made = simulation(universe, piece)
        made.take_up(saved)
    resumed, again = finished(made)
    for one, other in zip(tables, again, strict=True):
        assert one.equals(other)
    assert compute_metrics(whole) == compute_metrics(resumed)
    assert whole.state.positions.tobytes() == resumed.state.positions.tobytes()
