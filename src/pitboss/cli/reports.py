"""A run and its report at the terminal."""

from __future__ import annotations

from rich.text import Text

from pitboss.cli import render
from pitboss.cli.desk import Desk
from pitboss.core.errors import StorageUnavailable
from pitboss.core.parquet import tail_of
from pitboss.runs.model import Run
from pitboss.runs.report import Column, Figure, Report, Table, Unit
from pitboss.runs.wording import read, subject


def show_run(desk: Desk, run: Run) -> None:
    """Print a run for people: how it stands, and what came of it."""
    title = Text.assemble(
        (f"{run.kind} {run.number}", "bold"), f" of {subject(run.subject)}  ",
        render.state(run.state.value), f"{' (partial)' if run.partial else ''}  attempt {run.attempt}  {run.id}",
    )  # fmt: skip
    render.console.print(title)
    about = desk.service.kinds.about(run)
    if about:
        print(render.one_line(about))
    place = desk.service.place(run)
    if place:
        print(f"position {place.position} in the queue: {place.waiting_reason}")
    elif waits_for := desk.service.waits_for(run):
        print(f"waits: {waits_for}")
    unconfirmed = desk.service.unconfirmed(run)
    if unconfirmed:
        print(unconfirmed)
    if run.error:
        render.console.print(Text.assemble((run.error["kind"], "red"), f": {run.error['message']}"))
        print(f"  → {run.error['remedy']}")
    if run.partial and run.result is None:
        print(f"its finished items and its last checkpoint are kept: pitboss runs resume {run.id} goes on from there")
    if run.state.is_terminal:
        show_report(desk, run, desk.service.report(desk.who, run.id))


def show_report(desk: Desk, run: Run, report: Report) -> None:
    """Print a report: notes first, for they say how far the figures are to be trusted."""
    for note in report.notes:
        style = "yellow" if note.is_warning else ""
        render.console.print(Text(render.one_line(note.message), style))
    if report.figures:
        width = max(28, *(len(figure.label) + 2 for figure in report.figures))
        for figure in report.figures:
            print(f"{figure.label:<{width}}{shown(figure):>22}")
    for table in report.tables:
        if table.shown:
            _show_table(desk, run, table)
    exported = [download.title for download in report.downloads]
    if exported:
        print(f"\nMore: pitboss runs export {run.id} --what {exported[0]} --to FILE.csv")


def shown(figure: Figure) -> str:
    """Answer a figure's value as people read it."""
    return read(figure.value, figure.unit)


def _show_table(desk: Desk, run: Run, table: Table) -> None:
    rows: list[list[object]] = [list(row) for row in table.rows[: table.shown]]
    title = table.title
    if table.artifact is not None:
        path = desk.files.fetch(f"artifacts/{run.id}/{table.artifact}")
        if path is None:
            return
        try:
            found, total = tail_of(path, [column.name for column in table.columns], table.shown)
        except StorageUnavailable as error:
            print(f"\n{table.title}: {error.message}")
            return
        rows = [list(row) for row in found]
        title = f"The last {len(rows)} of {total:,} {table.title.lower()}"
    print(f"\n{title}:")
    cells = [[_cell(value, column) for value, column in zip(row, table.columns, strict=True)] for row in rows]
    render.table([column.label for column in table.columns], cells)


def _cell(value: object, column: Column) -> object:
    if column.unit is Unit.MOMENT and hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%d %H:%M")
    if column.unit is Unit.PRICE and column.digits is not None and isinstance(value, float):
        return Text(f"{value:,.{column.digits}f}", justify="right")
    if column.unit is Unit.MONEY and isinstance(value, float):
        return Text(f"{value:,.2f}", justify="right")
    if column.unit in (Unit.PERCENT, Unit.MOMENT, Unit.RATIO):
        return read(value, column.unit)
    return value


def outcome(desk: Desk, run: Run) -> str:
    """Answer what came of a run in a few words."""
    if run.error:
        return str(run.error["message"])[:44]
    said = desk.service.kinds.outcome(run)
    return f"{said} (partial)" if said and run.partial else said


def list_runs(desk: Desk, runs: list[Run], title: str | None = None) -> None:
    """Print runs as a table."""
    rows = [render.run_row(run, desk.service.kinds.about(run), outcome(desk, run)) for run in runs]
    render.table(render.RUN_COLUMNS, rows, title=title)
