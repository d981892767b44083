"""What came of a run, as data for every face: the terminal, HTTP, pages and notebooks render the same.

Nothing here is markup, and nothing is read from files: tables and charts name an artifact and its columns.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pitboss.runs.model import Run

Value = int | float | str | bool | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Unit(StrEnum):
    """How a value reads. PERCENT is of a fraction: 0.25 reads 25 %."""

    COUNT = "count"
    NUMBER = "number"
    PERCENT = "percent"
    MONEY = "money"
    PRICE = "price"
    RATIO = "ratio"
    DAYS = "days"
    SECONDS = "seconds"
    MOMENT = "moment"
    TEXT = "text"
    SYMBOL = "symbol"  # of which there are bars


class Figure(_Part):
    """One headline figure; `good` says which way is better, where there is one."""

    name: str
    label: str
    value: Value
    unit: Unit = Unit.TEXT
    meaning: str = ""
    good: Literal["high", "low"] | None = None


class Note(_Part):
    """A sentence that belongs with the figures; a warning is about trusting them."""

    message: str
    is_warning: bool = False


class Column(_Part):
    """A column of an artifact or of a table's own rows; `digits` is how many follow the decimal point, where that is
    known; `is_gain` says that its sign tells winners from losers."""

    name: str
    label: str
    unit: Unit = Unit.TEXT
    digits: int | None = None
    is_gain: bool = False


class Table(_Part):
    """Rows of an artifact, or the few that stand here.

    `sort` is the column by which the table is read first, with a minus when the greatest comes first; `shown` is how
    many rows a summary shows: the last of an artifact, the first where it is sorted already.
    """

    name: str
    title: str
    columns: list[Column]
    artifact: str | None = None
    rows: list[list[Value]] = []
    sort: str | None = None
    shown: int = 5
    shows_end: bool = False


class Marks(_Part):
    """Points drawn into a chart, such as where trades began and ended: columns of another artifact.

    With `end_x` and `end_y` each is a line from one point to another, as good or bad as its `value`.
    """

    artifact: str
    x: str
    y: str
    label: str
    side: str | None = None
    end_x: str | None = None
    end_y: str | None = None
    value: str | None = None


class Curve(_Part):
    """A line of another artifact that is drawn into a chart to compare, of the same run where no other is named."""

    artifact: str
    x: str
    y: str
    label: str
    run: str | None = None


class Chart(_Part):
    """A chart over columns of an artifact. `where` narrows its rows: a column and the value it must have.

    A line or an area has `x` and one or more `y`; candles have open, high, low, close; bars have `x` and one `y`; a
    heat map has `x`, `y[0]` down and `value`. Candles of stored bars name their `symbol`: more of them can be shown
    than the artifact has. `is_equity` says that `y[0]` is what an account is worth at moments `x`, so that the curves
    of two runs can be compared.
    """

    name: str
    title: str
    type: Literal["line", "area", "candles", "bars", "heatmap"]
    artifact: str
    x: str
    y: list[str]
    value: str | None = None
    unit: Unit = Unit.NUMBER
    where: dict[str, Value] = {}
    marks: list[Marks] = []
    beside: list[Curve] = []
    symbol: str | None = None
    is_equity: bool = False


class Download(_Part):
    """A file to take away."""

    artifact: str
    title: str


class Report(_Part):
    """What came of a run: the figures that are looked at first, then what is to be known about them, then the rest."""

    title: str
    figures: list[Figure] = []
    notes: list[Note] = []
    tables: list[Table] = []
    charts: list[Chart] = []
    downloads: list[Download] = []

    def with_warning(self, message: str) -> Report:
        return self.model_copy(update={"notes": [Note(message=message, is_warning=True), *self.notes]})


def plain_report(run: Run) -> Report:
    """Answer the report of a kind that has none of its own: the values of the result that are single ones."""
    result = run.result or {}
    figures = [
        Figure(name=name, label=words(name), value=value, unit=_unit_of(value))
        for name, value in result.items()
        if isinstance(value, int | float | str | bool)
    ]
    return Report(title=f"{run.kind} {run.number}", figures=figures)


def words(name: str) -> str:
    """Answer a name as people write it."""
    return name.replace("_", " ").capitalize()


def _unit_of(value: Any) -> Unit:
    if isinstance(value, bool | str):
        return Unit.TEXT
    return Unit.COUNT if isinstance(value, int) else Unit.NUMBER
