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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to read a file of bars. Everything has a default, which is to tell it from the file, or to refuse.

    Raises InvalidInput for a value that is none, and for values that contradict each other.
    """

    tz: str | None = None  # zone of times without an offset
    columns: Mapping[str, str] = field(default_factory=dict)  # {"ts": "Date", …}
    strict: bool = False  # refuse a file that needs a repair
    ticker: str | None = None
    each_ticker: bool = False
    decimal: str | None = None
    date_order: str | None = None
    skip_lines: int = 0
    max_lost: float = 2.0  # per cent of the rows
    allow_negative: bool = False
    adjust: bool = False
    prices: str | None = None
    stamp: str = "open"
    session: str | None = None
    timezone: str | None = None  # the series' own
    preview: bool = False

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

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> ImportOptions:
        """Answer the options out of values by name, such as JSON brings; None counts as not said."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if values.get(f.name) is not None})


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def named_columns(text: str | None) -> dict[str, str]:
    """Read `ts=Date,open=O,…`. Raises InvalidInput."""
    parts = [part.partition("=") for part in text.split(",")] if text else []
    wrong = next((name for name, sign, column in parts if not sign or not column.strip()), None)
    if wrong is not None:
        raise InvalidInput(f"'{wrong[:40]}' names no column", "write ts=Date,open=O,…", "--columns")
    return {name.strip(): column.strip() for name, _, column in parts}
