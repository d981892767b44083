"""A session's report: what it earned and cost, minute by minute, and what there is to doubt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pitboss.runs.model import Run
from pitboss.runs.report import Chart, Column, Download, Figure, Marks, Note, Report, Table, Unit
from pitboss.runs.states import State

Good = Literal["high", "low"] | None
FIGURES: tuple[tuple[str, str, Unit, str, Good], ...] = (
    ("total_return", "Return", Unit.PERCENT, "of the cash that the session began with, after fees", "high"),
    ("final_equity", "Equity", Unit.MONEY, "at the end", "high"),
    ("buy_and_hold", "Buy and hold", Unit.PERCENT, "the symbols in equal parts, over the same time", None),
    ("random_return", "At random", Unit.PERCENT, "as many trades of the same lengths and sizes, on average", None),
    ("better_than_random", "Better than", Unit.PERCENT, "of 1,000 sessions that trade at random as often", "high"),
    ("max_drawdown", "Drawdown", Unit.PERCENT, "the deepest fall of the equity from its highest", "high"),
    ("trade_count", "Trades", Unit.COUNT, "positions that were closed, in part or in whole", None),
    ("win_rate", "Hit rate", Unit.PERCENT, "trades that earned something, of all", "high"),
    ("fees", "Fees", Unit.MONEY, "commission", "low"),
    ("orders_refused", "Refused orders", Unit.COUNT, "orders that could not be filled, each with its reason", "low"),
    ("tokens", "Tokens", Unit.COUNT, "that the model read and wrote", "low"),
    ("model_cost", "Model cost", Unit.NUMBER, "US dollars, as far as its price is known", "low"),
)  # fmt: skip
DECISIONS = (
    ("minute", Unit.COUNT), ("ts", Unit.MOMENT), ("action", Unit.TEXT), ("orders", Unit.TEXT), ("reason", Unit.TEXT),
    ("failure", Unit.TEXT), ("equity", Unit.MONEY), ("seconds", Unit.NUMBER), ("tokens", Unit.COUNT),
    ("cost", Unit.NUMBER),
)  # fmt: skip
ORDERS = (
    ("ts", Unit.MOMENT), ("side", Unit.TEXT), ("symbol", Unit.TEXT), ("quantity", Unit.NUMBER), ("price", Unit.PRICE),
    ("fee", Unit.MONEY), ("status", Unit.TEXT), ("reason", Unit.TEXT), ("cash", Unit.MONEY), ("position", Unit.NUMBER),
)  # fmt: skip
TRADES = (
    ("symbol", Unit.TEXT), ("side", Unit.TEXT), ("quantity", Unit.NUMBER), ("entry_ts", Unit.MOMENT),
    ("entry_price", Unit.PRICE), ("exit_ts", Unit.MOMENT), ("exit_price", Unit.PRICE), ("pnl", Unit.MONEY),
    ("exit_reason", Unit.TEXT),
)  # fmt: skip
IN_PROGRESS, CANCELLED = "Trading in progress…", "Run cancelled by user"
POSITIONS = ("symbol", "quantity", "average_price", "price", "value", "unrealized")
MARKS = Marks(
    artifact="trades.parquet", x="entry_ts", y="entry_price", end_x="exit_ts", end_y="exit_price", label="trade",
    side="side", value="pnl",
)  # fmt: skip


def report_of(run: Run) -> Report:
    """Answer the report of a session that has ended, or of what a cancelled one has kept."""
    result = run.result
    if result is None:
        return Report(title=_title(run), notes=[*_badges(run), *_source_notes(run)])
    metrics = result["metrics"]
    return Report(
        title=_title(run),
        figures=[
            Figure(name=name, label=label, value=metrics[name], unit=unit, meaning=meaning, good=good)
            for name, label, unit, meaning, good in FIGURES if metrics.get(name) is not None
        ],
        notes=[*_badges(run), *_source_notes(run), *_doubts(result)],
        tables=list(_tables(result)),
        charts=list(_charts(run)),
        downloads=[Download(artifact=name, title=name.removesuffix(".parquet")) for name in result["artifacts"]],
    )  # fmt: skip


def _title(run: Run) -> str:
    return f"{run.snapshot['trader']['name']}, {about_of(run)}"


def about_of(run: Run) -> str:
    """Answer what a session trades, and when."""
    params, symbols = run.params, run.snapshot["symbols"]
    named = ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")
    when = params.get("date") or f"{params.get('start', '')[:10]} to {params.get('end', '')[:10]}"
    agent = run.snapshot["agent"]
    who = agent.get("model") or run.snapshot.get("strategy", {}).get("name") or agent["type"]
    return f"{named} {when}, {who}"


def outcome_of(run: Run) -> str:
    """Answer how many orders of a session were filled."""
    return f"{_trades(run)} trades executed" if run.state is State.COMPLETED else ""


def badge_of(run: Run) -> str:
    """Answer what became of a session in a few words, as its page says it."""
    match run.state:
        case State.COMPLETED:
            return f"Run succeeded, {outcome_of(run)}"
        case State.FAILED:
            return f"Run failed: {(run.error or {}).get('message', 'no reason was given')}"
        case State.CANCELLED:
            return CANCELLED
        case State.QUEUED:
            return "Waiting for its turn…"
    return IN_PROGRESS


def _trades(run: Run) -> int:
    metrics = (run.result or {}).get("metrics", {})
    return int(metrics.get("orders_filled", 0))


def _badges(run: Run) -> Iterator[Note]:
    if run.state.is_terminal:
        yield Note(message=badge_of(run), is_warning=run.state is not State.COMPLETED)


def _source_notes(run: Run) -> Iterator[Note]:
    if run.snapshot.get("is_synthetic"):
        yield Note(message="on synthetic bars: the figures say nothing about a market", is_warning=True)
    if run.state is State.CANCELLED and run.partial:
        yield Note(message="partial: nothing of it was booked to the trader's account", is_warning=True)
    if run.snapshot.get("may_be_remembered"):
        cutoff = run.snapshot["agent"].get("cutoff")
        until = f"until {cutoff}" if cutoff else "until nobody knows when: give the trader its cutoff"
        yield Note(message=f"the model may remember these days: it was trained {until}", is_warning=True)
    shared = run.snapshot.get("shared")
    if shared is not None and run.params.get("fork"):
        minute = run.params["fork"]["at_minute"]
        yield Note(message=f"forked from session {shared['number']} after its minute {minute}")
    elif shared is not None and run.snapshot["agent"]["type"] == "replay":
        yield Note(message=f"replayed from session {shared['number']}: what its decisions cost was paid then")


def _doubts(result: Mapping[str, Any]) -> Iterator[Note]:
    decisions = result["decisions"]
    undecided = sum(decisions["none"].values())
    if undecided > 1:  # the last step decides nothing
        most = next(iter(decisions["none"]))
        what = f"{undecided} of {decisions['steps']} minutes have no decision, most often: {most}"
        yield Note(message=what, is_warning=True)
    for address in result["mcp"]:
        yield Note(message=f"not point in time: the tools of {address} may tell of later days", is_warning=True)
    if result["metrics"]["model_calls"] and result["metrics"]["model_cost"] is None:
        yield Note(message="nobody knows what the model costs: give the trader its price", is_warning=True)


def _tables(result: Mapping[str, Any]) -> Iterator[Table]:
    yield Table(
        name="decisions", title="Minutes", columns=_columns(DECISIONS), artifact="decisions.parquet", sort="minute",
        shown=10, shows_end=True,
    )  # fmt: skip
    yield Table(
        name="trades", title="Trades", columns=_columns(TRADES), artifact="trades.parquet", sort="exit_ts", shown=10,
        shows_end=True,
    )  # fmt: skip
    yield Table(name="orders", title="Orders", columns=_columns(ORDERS), artifact="orders.parquet", shown=0)
    if result["positions"]:
        columns = [Column(name=name, label=name.replace("_", " "), unit=Unit.NUMBER if name != "symbol" else Unit.TEXT)
                   for name in POSITIONS]  # fmt: skip
        rows = [[each[name] for name in POSITIONS] for each in result["positions"]]
        yield Table(name="positions", title="Open positions", columns=columns, rows=rows, shown=20)


def _columns(described: tuple[tuple[str, Unit], ...]) -> list[Column]:
    return [Column(name=name, label=name, unit=unit, is_gain=name == "pnl") for name, unit in described]


def _charts(run: Run) -> Iterator[Chart]:
    yield Chart(
        name="equity", title="Equity", type="line", artifact="equity.parquet", x="ts", y=["equity"], unit=Unit.MONEY,
        is_equity=True,
    )  # fmt: skip
    for symbol in run.snapshot["symbols"]:
        yield Chart(
            name=f"candles-{symbol}", title=symbol, type="candles", artifact="candles.parquet", x="ts",
            y=["open", "high", "low", "close"], unit=Unit.PRICE, where={"symbol": symbol}, marks=[MARKS], symbol=symbol,
        )  # fmt: skip


def news_of(run: Run) -> str:
    """Answer what a session found that somebody may want to be told of."""
    return badge_of(run) if run.state.is_terminal else ""


def item_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what of a minute is shown while the session goes on."""
    named = {name: item.get(name) for name in ("at", "action", "reason")}
    fills = ", ".join(_filled(each) for each in item.get("fills", ()))
    return {**named, "orders": fills, **{name: item.get(name) for name in ("equity", "tokens", "cost", "seconds")}}


def _filled(order: Mapping[str, Any]) -> str:
    what = f"{order['side']} {order['quantity']:g} {order['symbol']}"
    return f"{what} at {order['price']:.4f}" if order["price"] is not None else f"{what} refused: {order['reason']}"
