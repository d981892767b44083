"""How a text of bars is laid out: separator, header, what stands before the first row."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pitboss.core.errors import InvalidInput
from pitboss.market.columns import PRICE_NAMES, Roles, is_clock, is_date, is_moment, is_time, plain, role_of, roles_of
from pitboss.market.numbers import looks_like_number

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
HEAD_BYTES = 1 << 15
SAMPLE_ROWS = 200
COMMENT = "#"
_FEWEST_COLUMNS = 5
_HEADER_LINES = 50  # among which a header is looked for
_FEWEST_KNOWN_NAMES = 3
_LINES_SHOWN, _WIDTH_SHOWN = 3, 90


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the lines of a file make rows: after `skipped` lines each is one of `width` cells.

    names: (width,) of the header, or made up for a file without one; tickers: (width,) of a second row of names.
    """

    separator: str
    skipped: int
    names: tuple[str, ...]
    tickers: tuple[str, ...]
    has_header: bool
    sample: tuple[tuple[str, ...], ...]
    preamble: int
    header_lines: int

    @property
    def width(self) -> int:
        return len(self.names)

    def roles(self, chosen: Mapping[str, str], wanted: str | None, is_daily: bool, name: str) -> tuple[Roles, str]:
        """Answer what the columns are, and the program that writes such files where that is known."""
        if self.has_header or chosen:
            return roles_of(self.names, self.tickers, self.sample, chosen, wanted, is_daily), ""
        return _headless_roles(self, name)


def dialect_of(lines: Sequence[str], skipped: int, name: str) -> Dialect:
    """Find the dialect in which the first lines of a file make sense.

    lines: the file's beginning; skipped: how many of them do not count. Raises InvalidInput that shows them when none
    does.
    """
    body = [(k, line) for k, line in enumerate(lines) if k >= skipped and line.strip()]
    if not body:
        raise InvalidInput(f"{name} is empty", "export it again, or lower --skip-lines", "file")
    found = [(separator, _rows(body, separator)) for separator in SEPARATORS]
    separator, rows = max(found, key=lambda pair: (_data_rows(pair[1]), _known_names(pair[1])))
    if not _data_rows(rows):
        raise _unknown(name, "has no rows of a time and four prices", body)
    first = next(k for k, (_, cells, is_comment) in enumerate(rows) if not is_comment and _is_data(cells))
    header = _header(rows[:first])
    data = [cells for _, cells, is_comment in rows[first:] if not is_comment][:SAMPLE_ROWS]
    width = max(Counter(len(cells) for cells in data).most_common(1)[0][0], len(header[-1][1]) if header else 0)
    names, tickers = _named(header, width)
    skipped_lines = rows[first][0]
    return Dialect(
        separator, skipped_lines, names, tickers, bool(header), tuple(map(tuple, data)),
        preamble=sum(bool(line.strip()) for line in lines[:skipped_lines]) - len(header), header_lines=len(header),
    )  # fmt: skip


def shown_lines(body: Sequence[tuple[int, str]]) -> str:
    """Answer the first lines of a file as they were read."""
    shown = [f"line {k + 1}: {line[:_WIDTH_SHOWN]}" for k, line in body[:_LINES_SHOWN]]
    return "; ".join("".join(c if c.isprintable() else " " for c in line) for line in shown)


def _unknown(name: str, why: str, body: Sequence[tuple[int, str]]) -> InvalidInput:
    return InvalidInput(
        f"{name} {why}: it was read as {shown_lines(body)}",
        "columns are parted by comma, semicolon, tab or bar: name them with --columns, skip lines with --skip-lines",
        "file",
    )  # fmt: skip


Row = tuple[int, list[str], bool]  # which line, its cells, whether it is a comment


def _rows(body: Sequence[tuple[int, str]], separator: str) -> list[Row]:
    rows = []
    for k, line in body:
        is_comment = line.lstrip().startswith(COMMENT)
        text = line.lstrip().lstrip(COMMENT) if is_comment else line
        try:
            cells = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            cells = text.split(separator)
        rows.append((k, [cell.strip() for cell in cells], is_comment))
    return rows


def _is_data(cells: Sequence[str]) -> bool:
    """Answer whether cells can be a bar: a time, which may be a number itself, and four prices."""
    numbers = [cell for cell in cells if looks_like_number(cell)]
    if any(is_time(cell) and not looks_like_number(cell) for cell in cells):
        return len(numbers) >= len(PRICE_NAMES)
    return sum(bool(cell) for cell in numbers) >= _FEWEST_COLUMNS


def _data_rows(rows: Sequence[Row]) -> int:
    return sum(not is_comment and _is_data(cells) for _, cells, is_comment in rows)


def _known_names(rows: Sequence[Row]) -> int:
    return max((sum(bool(role_of(cell)) for cell in cells) for _, cells, _ in rows[:_HEADER_LINES]), default=0)


def _header(before: Sequence[Row]) -> list[Row]:
    """Answer the rows of the header, which end where the data begin: of names, and maybe one of tickers."""
    if not before:
        return []
    named = [k for k, (_, cells, _) in enumerate(before) if _prices_named(cells) >= _FEWEST_KNOWN_NAMES]
    if named:
        start = named[-1]
        if start > 0 and start == len(before) - 1 and _is_of_tickers(before[start - 1][1], before[start][1]):
            start -= 1
        return list(before[start:])
    _, cells, is_comment = before[-1]
    is_text = len(cells) >= _FEWEST_COLUMNS and not any(looks_like_number(cell) for cell in cells if cell)
    return [before[-1]] if is_text and not is_comment else []


def _prices_named(cells: Sequence[str]) -> int:
    return len({role_of(cell) for cell in cells} - {""} | {"close" for cell in cells if plain(cell) == "price"})


def _is_of_tickers(cells: Sequence[str], names: Sequence[str]) -> bool:
    filled = [cell for cell in cells[1:] if cell]
    return len(filled) >= 4 and len(cells) == len(names) and not any(looks_like_number(cell) for cell in filled)


def _named(header: Sequence[Row], width: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Answer names and tickers out of a header of one to three rows."""
    if not header:
        return tuple(f"column_{k + 1}" for k in range(width)), ()
    rows = [[*cells, *[""] * width][:width] for _, cells, _ in header]
    fields = max(rows, key=_prices_named)
    others = [row for row in rows if row is not fields]
    tickers = next((row for row in others if sum(bool(cell) for cell in row[1:]) >= 4), None)
    names = list(fields)
    for row in others:  # the name of the index stands in a row of its own, or in the corner
        if role_of(row[0]) == "ts":
            names[0] = row[0]
    if tickers is None:
        return tuple(names), ()
    if role_of(names[0]) != "ts":
        names[0] = ""
    return tuple(names), ("", *tickers[1:])


# --- files without a header


def _headless_roles(dialect: Dialect, name: str) -> tuple[Roles, str]:
    """Tell the columns of a file without a header by what stands in them: a time, four prices in the usual order."""
    cells = [[row[k] if k < len(row) else "" for row in dialect.sample] for k in range(dialect.width)]
    places: dict[str, int] = {}
    times = [k for k in range(min(4, dialect.width)) if is_moment(cells[k]) or is_date(cells[k])]
    after = 0
    if times:
        places["ts"] = times[0]
        after = times[0] + 1
        needs_clock = is_date(cells[times[0]]) and not is_moment(cells[times[0]]) and after < dialect.width
        if needs_clock and (is_clock(cells[after]) or (is_whole(cells[after]) and _is_ordered(cells, after + 1))):
            places["clock"] = after
            after += 1
        texts = [k for k in range(after + 1) if k not in places.values() and k < dialect.width and _is_text(cells[k])]
        if texts:
            places["ticker"] = texts[0]
            after = max(after, texts[0] + 1)
    if not times or not _is_ordered(cells, after):
        body = [(k, dialect.separator.join(row)) for k, row in enumerate(dialect.sample, dialect.skipped)]
        raise InvalidInput(
            f"{name} has no header, and its {dialect.width} columns are not known: it was read as {shown_lines(body)}",
            "add a header line, or name the columns: --columns ts=column_1,open=column_2,…", "file",
        )  # fmt: skip
    places |= {role: after + k for k, role in enumerate(PRICE_NAMES)}
    if after + 4 < dialect.width and any(looks_like_number(cell) for cell in cells[after + 4] if cell):
        places["volume"] = after + 4
    return Roles(places), _program(cells, places, dialect)


def is_whole(cells: Sequence[str]) -> bool:
    return all(re.fullmatch(r"\d{1,6}", cell) for cell in cells if cell)


def _is_text(cells: Sequence[str]) -> bool:
    return not any(looks_like_number(cell) for cell in cells if cell) and any(cells)


def _is_ordered(cells: Sequence[Sequence[str]], first: int) -> bool:
    """Answer whether four columns are an open, the highest, the lowest and a close on nearly every row."""
    if first + 4 > len(cells):
        return False
    rows = [[_number(cell) for cell in row] for row in zip(*cells[first : first + 4], strict=True)]
    whole = [row for row in rows if None not in row]
    fitting = [row for row in whole if row[1] == max(row) and row[2] == min(row)]  # type: ignore[type-var]
    return bool(whole) and len(fitting) >= 0.9 * len(whole)


def _number(cell: str) -> float | None:
    try:
        return float(re.sub(r"[^\d.eE+-]", "", cell.replace(",", ".")))
    except ValueError:
        return None


def _program(cells: Sequence[Sequence[str]], places: Mapping[str, int], dialect: Dialect) -> str:
    first = cells[places["ts"]][0]
    if re.fullmatch(r"\d{8} \d{6}", first):
        return "HistData"
    if re.fullmatch(r"\d{4}\.\d\d\.\d\d", first) and "clock" in places:
        return "MetaTrader"
    if re.fullmatch(r"\d{13}|\d{16}", first) and dialect.width == 12:
        return "Binance"
    return "no header"
