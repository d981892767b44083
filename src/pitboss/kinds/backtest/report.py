"""A backtest's report: the figures that a trader looks at first, and what there is to doubt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pitboss.backtesting.summary import METRICS, listed, short_period, shown
from pitboss.kinds.documents.report import figure_of, source_notes, title_of
from pitboss.runs.model import Run
from pitboss.runs.report import Chart, Column, Curve, Download, Marks, Note, Report, Table, Unit

FEW_TRADES = 30
TRADES = (
    ("symbol", Unit.TEXT), ("side", Unit.TEXT), ("entry_ts", Unit.MOMENT), ("entry_price", Unit.PRICE),
    ("exit_ts", Unit.MOMENT), ("exit_price", Unit.PRICE), ("pnl", Unit.MONEY), ("exit_reason", Unit.TEXT),
)  # fmt: skip
ORDERS = (
    ("symbol", Unit.TEXT), ("side", Unit.TEXT), ("type", Unit.TEXT), ("quantity", Unit.NUMBER), ("ts", Unit.MOMENT),
    ("price", Unit.PRICE), ("status", Unit.TEXT), ("reason", Unit.TEXT),
)  # fmt: skip
TRADE_MARKS = Marks(
    artifact="trades.parquet", x="entry_ts", y="entry_price", end_x="exit_ts", end_y="exit_price", label="trade",
    side="side", value="pnl",
)  # fmt: skip
BENCHMARK = Curve(artifact="benchmark.parquet", x="ts", y="buy_and_hold", label="buy and hold")


def report_of(run: Run) -> Report:
    """Answer the report of a backtest that has ended, or of what a cancelled one has kept."""
    result = run.result
    if result is None:
        return Report(title=title_of(run), notes=source_notes(run))
    metrics, digits = result["metrics"], result.get("digits")
    return Report(
        title=title_of(run),
        figures=[figure_of(name, metrics[name]) for name in METRICS if name in metrics],
        notes=[*source_notes(run), *_doubts(result, metrics)],
        tables=[
            Table(
                name="trades", title="Trades", columns=_columns(TRADES, digits), artifact="trades.parquet",
                sort="exit_ts", shows_end=True,
            ),
            Table(
                name="orders", title="Orders", columns=_columns(ORDERS, digits), artifact="orders.parquet",
                sort="ts", shown=0,
            ),
            *([_months()] if _is_recent(result) else []),
        ],
        charts=list(_charts(run, result)),
        downloads=[Download(artifact=name, title=name.removesuffix(".parquet")) for name in result["artifacts"]],
    )  # fmt: skip


def outcome_of(run: Run) -> str:
    """Answer the return and the number of trades."""
    result = run.result or {}
    if "trades" not in result:
        return ""
    total = result["metrics"].get("total_return")
    change = f"{100 * total:+.2f} %, " if total is not None else ""
    return f"{change}{result['trades']} trades"


def _doubts(result: Mapping[str, Any], metrics: Mapping[str, Any]) -> Iterator[Note]:
    if metrics.get("ruined_at") or metrics.get("final_equity", 1) <= 0 or (metrics.get("max_drawdown") or 0) <= -1:
        when = f" at {shown('start', metrics['ruined_at'])}" if metrics.get("ruined_at") else ""
        owed = f"; {metrics['shortfall']:,.2f} more was owed" if metrics.get("shortfall") else ""
        yield Note(message=f"ruin{when}: equity fell to zero or below, and that is final{owed}", is_warning=True)
    count = metrics.get("trade_count", 0)
    if count < FEW_TRADES:
        what = {0: "no trade", 1: "only one trade"}.get(count, f"only {count} trades")
        yield Note(message=f"{what}: fewer than {FEW_TRADES} prove little", is_warning=True)
    scaled = short_period(metrics)
    if scaled:
        yield Note(message=scaled, is_warning=True)
    rejected = listed(metrics.get("rejected_signals") or {})
    if rejected:
        yield Note(message=f"signals that were rejected: {rejected}", is_warning=True)
    reduced = metrics.get("reduced_signals")
    if reduced:
        what = f"{reduced:,} entries were reduced to what could be paid"
        yield Note(message=f"{what}: a smaller sizing.value or more leverage fills them whole", is_warning=True)
    for doubt in (result.get("doubts") or [])[:8]:
        yield Note(message=doubt, is_warning=True)
    for gap in (result.get("gaps") or [])[:5]:
        between = f"{shown('start', gap['after'])} and {shown('start', gap['before'])}"
        yield Note(message=f"{gap['symbol']} has no bars between {between}", is_warning=True)
    left = listed(metrics.get("exit_reasons") or {})
    if left:
        yield Note(message=f"trades ended by: {left}")


def _columns(described: tuple[tuple[str, Unit], ...], digits: int | None) -> list[Column]:
    return [
        Column(name=name, label=name, unit=unit, digits=digits if unit is Unit.PRICE else None, is_gain=name == "pnl")
        for name, unit in described
    ]


def _months() -> Table:
    units = {"year": Unit.TEXT, "month": Unit.TEXT, "return": Unit.PERCENT}
    columns = [Column(name=name, label=name.capitalize(), unit=unit) for name, unit in units.items()]
    return Table(
        name="monthly", title="Monthly returns", columns=columns, artifact="monthly.parquet", sort="year", shown=0
    )


def _is_recent(result: Mapping[str, Any]) -> bool:
    """Answer whether the run has left months and candles: those of versions before 0.2 have not."""
    return "gaps" in result


def _charts(run: Run, result: Mapping[str, Any]) -> Iterator[Chart]:
    yield Chart(
        name="equity", title="Equity", type="line", artifact="equity.parquet", x="ts", y=["equity"], unit=Unit.MONEY,
        is_equity=True, beside=[BENCHMARK] if "benchmark" in result.get("charts", ()) else [],
    )  # fmt: skip
    yield Chart(
        name="drawdown", title="Drawdown", type="area", artifact="drawdown.parquet", x="ts", y=["drawdown"],
        unit=Unit.PERCENT,
    )  # fmt: skip
    if not _is_recent(result):
        return
    symbols = run.params["symbols"]
    for symbol in [symbols] if isinstance(symbols, str) else symbols:
        yield Chart(
            name=f"candles-{symbol}", title=symbol, type="candles", artifact="candles.parquet", x="ts",
            y=["open", "high", "low", "close"], unit=Unit.PRICE, where={"symbol": symbol}, marks=[TRADE_MARKS],
            symbol=symbol,
        )  # fmt: skip
    yield Chart(
        name="monthly", title="Monthly returns", type="heatmap", artifact="monthly.parquet", x="month", y=["year"],
        value="return", unit=Unit.PERCENT,
    )  # fmt: skip
    if "hours" in result.get("charts", ()):
        yield Chart(
            name="hours", title="Profit by weekday and hour of entry, UTC", type="heatmap", artifact="hours.parquet",
            x="hour", y=["weekday"], value="pnl", unit=Unit.MONEY,
        )  # fmt: skip
