"""What a user says of a file of bars that the file does not say itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pitboss.core.errors import InvalidInput

DECIMALS = ("point", "comma")
DATE_ORDERS = ("dmy", "mdy", "ymd")
STAMPS = ("open", "close")
PRICE_KINDS = ("raw", "split-adjusted", "total-return")
MOST_LINES = 10_000


def _said(meaning: str, default: Any = None) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to read a file of bars. Everything has a default, which is to tell it from the file, or to refuse.

    A field is a flag of the command and a query parameter of HTTP, with the meaning that stands beside it.
    Raises InvalidInput for a value that is none, and for values that contradict each other.
    """

    tz: str | None = _said("Zone of times without an offset; UTC where none is said.")
    columns: str | None = _said("Names of columns: ts=Date,open=O,…")
    ticker: str | None = _said("Which of the file's tickers to read.")
    each_ticker: bool = _said("Store all tickers, each under its name.", False)
    decimal: str | None = _said("The decimal sign: point or comma.")
    date_order: str | None = _said("The order of dates: dmy, mdy or ymd.")
    skip_lines: int = _said("How many lines at the beginning do not count.", 0)
    stamp: str = _said("Whether times are those of bars' starts: open or close.", "open")
    session: str | None = _said("24x7, an exchange (XNYS) or a rule ('17:00 America/New_York').")
    timezone: str | None = _said("The series' own zone: its days are that zone's.")
    adjust: bool = _said("Scale prices by the adjusted close.", False)
    prices: str | None = _said("What they are: raw, split-adjusted or total-return.")
    allow_negative: bool = _said("Keep prices of 0 or less.", False)
    max_lost: float = _said("Per cent of the rows that may be lost; more refuse the file.", 2.0)
    strict: bool = _said("Refuse a file that needs repair.", False)
    preview: bool = _said("Tell what would be stored, and store nothing.", False)

    def __post_init__(self) -> None:
        for name, choices in (
            ("decimal", DECIMALS), ("date_order", DATE_ORDERS), ("stamp", STAMPS), ("prices", PRICE_KINDS),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise InvalidInput(f"'{value}' is none of {', '.join(choices)}", "choose one of them", _flag(name))
        if not 0 <= self.skip_lines <= MOST_LINES:
            raise InvalidInput(f"{self.skip_lines} lines", f"skip 0 to {MOST_LINES:,}", _flag("skip_lines"))
        if not 0 <= self.max_lost <= 100:  # NaN too
            raise InvalidInput(f"{self.max_lost:g} per cent", "write 0 to 100", _flag("max_lost"))
        if self.ticker is not None and self.each_ticker:
            raise InvalidInput("one ticker is named and all are asked for", "leave one out", _flag("ticker"))
        if self.adjust and self.prices not in (None, "total-return"):
            what = f"adjusted prices are total-return, not {self.prices}"
            raise InvalidInput(what, "leave one of the two out", _flag("prices"))

        self.named_columns()  # raises InvalidInput

    def named_columns(self) -> dict[str, str]:
        """Answer what `columns` says: the file's name of a column by ours. Raises InvalidInput."""
        parts = [part.partition("=") for part in self.columns.split(",")] if self.columns else []
        wrong = next((name for name, sign, column in parts if not sign or not column.strip()), None)
        if wrong is not None:
            raise InvalidInput(f"'{wrong[:40]}' names no column", "write ts=Date,open=O,…", _flag("columns"))
        return {name.strip(): column.strip() for name, _, column in parts}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> ImportOptions:
        """Answer the options out of values by name, such as JSON brings; None counts as not said."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if values.get(f.name) is not None})


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
