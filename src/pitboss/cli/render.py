"""Tables and summaries for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pitboss.core.clock import to_iso
from pitboss.runs.model import Run
from pitboss.runs.progress import percent_of
from pitboss.runs.wording import duration, subject

MOST_ABOUT = 48  # characters of what a run was asked for, in a listing
WIDTH_IN_FILES = 1000  # where there is no terminal to ask, a line of a listing must not be cut

console = Console()
if not console.is_terminal:
    console = Console(width=WIDTH_IN_FILES)
notes = Console(stderr=True)

STATE_STYLES = {
    "queued": "yellow", "starting": "cyan", "running": "cyan", "completing": "cyan", "cancelling": "magenta",
    "completed": "green", "failed": "red", "cancelled": "magenta",
}  # fmt: skip


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print rows under columns; numbers are aligned to the right. Text is shown as it is, brackets and all."""
    grid = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    listed = [list(row) for row in rows]
    for index, name in enumerate(columns):
        is_number = bool(listed) and all(_is_number(row[index]) for row in listed)
        is_last = index == len(columns) - 1  # which may be a sentence
        grid.add_column(name, justify="right" if is_number else "left", no_wrap=not is_last)
    for row in listed:
        grid.add_row(*(_text(value) for value in row))
    console.print(grid)


def _is_number(value: Any) -> bool:
    return (isinstance(value, Text) and value.justify == "right") or (
        isinstance(value, int | float) and not isinstance(value, bool)
    )


def _text(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("–")
    return Text(f"{value:,.5g}" if isinstance(value, float) else one_line(str(value)))


def one_line(text: str) -> str:
    """Answer a text from outside without what would move the cursor."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def state(name: str) -> Text:
    """Answer a state in its colour."""
    return Text(name, STATE_STYLES.get(name, "white"))


def short_time(iso: str | None) -> str:
    """Answer an ISO moment without its fraction."""
    return "–" if iso is None else iso[:19].replace("T", " ")


def run_row(run: Run, about: str, outcome: str) -> list[Any]:
    """Answer a run as a row of `RUN_COLUMNS`."""
    took = (run.ended_at - run.started_at) if run.ended_at and run.started_at else None
    return [
        run.id[-12:], run.kind, f"{subject(run.subject)}#{run.number}", one_line(about)[:MOST_ABOUT],
        state(run.state.value), _percent(run.progress), outcome, short_time(to_iso(run.created_at)), duration(took),
    ]  # fmt: skip


RUN_COLUMNS = ("id", "kind", "run", "about", "state", "done", "result", "created (UTC)", "took")


def _percent(progress: Mapping[str, Any] | None) -> str:
    percent = percent_of(progress)
    return "" if percent is None else f"{percent:.0f} %"
