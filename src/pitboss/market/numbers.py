"""Numbers as people write them: decimal signs, thousands, currency signs, suffixes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import polars as pl

from pitboss.core.errors import InvalidInput

POINT, COMMA = ".", ","
DECIMALS = {"point": POINT, "comma": COMMA}
_MISSING = (
    "", "-", "--", "---", "n/a", "na", "n.a.", "#n/a", "nan", "-nan", "null", "none", "nil", "–", "—", "?", "\\n",
)  # fmt: skip
_AROUND = "[\\s'’`\"_$€£¥₹₽₩₺₿฿₫%\\u00a0\\u202f\\u2009]|usd|eur|gbp|jpy|chf|usdt"
_POWERS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "mio": 1e6, "mln": 1e6, "mrd": 1e9, "bn": 1e9, "tsd": 1e3}
_SUFFIX = r"(k|m|b|t|mio|mln|mrd|bn|tsd)\.?$"
_NUMBER_LIKE = re.compile(
    r"[+-−(]?\s*([$€£¥₹₽₩₺₿]|usdt?|eur|gbp|jpy|chf)?\s*[+-−]?[\d.,'’\s\u00a0\u202f]*\d[\d.,'’\s\u00a0\u202f]*([eE][+-]?\d+)?\s*"
    r"(k|m|b|t|mio|mln|mrd|bn|tsd)?\.?\s*([$€£¥₹₽₩₺₿%]|usdt?|eur|gbp|jpy|chf)?\)?", re.IGNORECASE,
)  # fmt: skip


def looks_like_number(cell: str) -> bool:
    """Answer whether a cell can be a price or a volume, a missing one too."""
    return cell.lower() in _MISSING or bool(_NUMBER_LIKE.fullmatch(cell))


def plain_numbers(cells: pl.Series) -> pl.Series | None:
    """Answer cells as numbers when all are plain ones or missing, None when any is not."""
    numbers = cells.cast(pl.Float64, strict=False)
    if numbers.null_count() == cells.null_count():
        return numbers
    left = cells.filter(numbers.is_null() & cells.is_not_null()).str.strip_chars()
    if (left.cast(pl.Float64, strict=False).is_null() & ~left.str.to_lowercase().is_in(_MISSING)).any():
        return None
    return cells.str.strip_chars().cast(pl.Float64, strict=False)


def numbers_of(cells: pl.Series, decimal: str) -> tuple[pl.Series, int]:
    """Answer cells as numbers, null for missing ones and for what is none, and how many are neither.

    Thousands have to be where they belong: 1,23 is no number where the point is the decimal sign.
    """
    bare, power = _bare(cells)
    other = COMMA if decimal == POINT else POINT
    point, comma = re.escape(decimal), re.escape(other)
    grammar = rf"^[+-]?(\d+|\d{{1,3}}({comma}\d{{2,3}})*{comma}\d{{3}})?({point}\d*)?(e[+-]?\d+)?$"
    fitting = pl.select(pl.when(bare.str.contains(grammar)).then(bare)).to_series()
    plain = fitting.str.replace_all(other, "", literal=True).str.replace(decimal, POINT, literal=True)
    numbers = plain.cast(pl.Float64, strict=False) * power
    is_missing = bare.is_null() | bare.is_in(_MISSING)
    return numbers, int((numbers.is_null() & ~is_missing).sum())


def _bare(cells: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Answer cells without what stands around their digits, and the power of ten that a suffix names."""
    lower = cells.str.strip_chars().str.to_lowercase()
    lower = pl.select(pl.when(lower.is_in(_MISSING)).then(pl.lit(None, pl.String)).otherwise(lower)).to_series()
    bare = lower.str.replace_all(_AROUND, "").str.replace("−", "-", literal=True)
    bare = bare.str.replace(r"^\((.*)\)$", "-$1")
    suffix = bare.str.extract(_SUFFIX)
    power = suffix.replace_strict(_POWERS, default=1.0, return_dtype=pl.Float64)
    return bare.str.replace(_SUFFIX, ""), power


def tells_point(columns: Sequence[pl.Series]) -> bool:
    """Answer whether a plain number shows that its point is the decimal sign; false where all could part thousands,
    1.234 beside 890."""
    for count in (1_000, None):  # mostly the first few tell
        for cells in columns:
            if cells.head(count or len(cells)).str.strip_chars().str.contains(_tells(POINT, COMMA)).any():
                return True
    return not any(cells.str.contains(POINT, literal=True).any() for cells in columns)


class Evidence:
    """What the numbers of a whole file tell of their decimal sign."""

    def __init__(self) -> None:
        self.of_point = self.of_comma = self.open_commas = 0
        self._pointed: set[int] = set()  # columns with numbers such as 1.234, and with whole ones
        self._whole: set[int] = set()
        self.sample = ""

    def add(self, cells: Iterable[pl.Series]) -> None:
        """Take in cells of the file's columns, always in the same order."""
        for place, column in enumerate(cells):
            bare, _ = _bare(column)
            self.of_point += _count(bare, _tells(POINT, COMMA))
            self.of_comma += _count(bare, _tells(COMMA, POINT))
            open_point, open_comma = bare.str.contains(_open(POINT)), bare.str.contains(_open(COMMA))
            self.open_commas += int(open_comma.sum())
            if open_point.any():
                self._pointed.add(place)
            if _count(bare, r"^[+-]?\d+$"):
                self._whole.add(place)
            found = column.filter(open_point | open_comma)
            self.sample = self.sample or (str(found[0]).strip()[:20] if len(found) else "")

    def decimal(self) -> str:
        """Answer the decimal sign. Raises InvalidInput naming --decimal when the file does not tell."""
        fewer, more = sorted((self.of_point, self.of_comma))
        if fewer > max(more // 50, 0):
            raise InvalidInput(
                f"the decimal sign is a point in {self.of_point:,} numbers and a comma in {self.of_comma:,}",
                "say which it is: --decimal point or --decimal comma", "decimal",
            )  # fmt: skip
        if more:
            return POINT if self.of_point > self.of_comma else COMMA
        if self.open_commas or self._pointed & self._whole:  # nobody writes 1.234 beside 890 but for thousands
            sign = "comma" if self.open_commas else "point"
            what = f"is the {sign} of '{self.sample}' the decimal sign, or does it part thousands?"
            raise InvalidInput(what, "say --decimal comma, or --decimal point", "decimal")
        return POINT


def _count(cells: pl.Series, pattern: str) -> int:
    return int(cells.str.contains(pattern).sum())


def _tells(decimal: str, other: str) -> str:
    """Answer the pattern of numbers in which `decimal` can be nothing but the decimal sign."""
    d, o = re.escape(decimal), re.escape(other)
    return (
        rf"^[+-]?(\d*{d}(\d{{1,2}}|\d{{4,}})|0+{d}\d+|\d{{4,}}{d}\d+|{d}\d+|\d+{d}\d*e[+-]?\d+"
        rf"|\d{{1,3}}({o}\d{{2,3}})*{o}\d{{3}}{d}\d*|\d{{1,3}}({o}\d{{2,3}})+{o}\d{{3}})$"
    )


def _open(sign: str) -> str:
    return rf"^[+-]?[1-9]\d{{0,2}}{re.escape(sign)}\d{{3}}$"
