"""Reading bars as other programs write them: Yahoo, Dukascopy, HistData, MetaTrader, Binance, Alpaca, and anything
whose columns have names or show what they are."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl

from pitboss.core.errors import InvalidInput
from pitboss.core.machine import free_memory
from pitboss.kernel.scanning import scan, scan_numbers
from pitboss.kernel.stamps import CALENDAR, HAS_CLOCK, NO_OFFSET, Stamps
from pitboss.market.columns import PRICE_NAMES, Roles, pick_ticker, roles_of, tickers_in
from pitboss.market.dialect import COMMENT, HEAD_BYTES, SEPARATORS, Dialect, dialect_of
from pitboss.market.inputs import BYTES_FOR_EACH_ROW, Source, Text
from pitboss.market.numbers import DECIMALS, POINT, Evidence, numbers_of, plain_numbers, tells_point
from pitboss.market.options import ImportOptions

_NUMBERS = (*PRICE_NAMES, "volume", "tick volume", "adj close")
THREADS = 2  # pieces read at once; Polars has threads of its own for each
_COMMENTED = f"\n{COMMENT}".encode()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file was read. `layout` says it in words; `columns` is the file's name of each column of bars."""

    layout: str
    columns: dict[str, str]
    remarks: tuple[str, ...] = ()
    ticker: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a file says, row by row, before any of it is judged.

    stamps: when, as scanned; values: open, high, low, close, and volume where there is one, null where nothing can be
    read; bad_volumes: volumes that are neither numbers nor missing; unread: the first time that cannot be read.
    """

    stamps: Stamps
    values: pl.DataFrame
    bad_volumes: int
    unread: str = ""

    def __len__(self) -> int:
        return len(self.stamps.form)


class _Piece:
    """What was read of a piece of a file: times as scanned, numbers, tickers where there are some, and what was odd."""

    def __init__(
        self, stamps: Stamps, times: pl.Series, values: pl.DataFrame, tickers: pl.Series | None = None,
        bad_volumes: int = 0, comments: int = 0, headers: int = 0, tells: bool = True,
    ) -> None:  # fmt: skip
        self.stamps, self.values, self.bad_volumes = stamps, values, bad_volumes
        self.comments, self.headers, self.tells = comments, headers, tells
        self.tickers = tickers.cast(pl.Categorical) if tickers is not None else None
        unreadable = stamps.form == 0
        self.unread = str(times.filter(pl.Series(unreadable))[0] or "") if unreadable.any() else ""


def read_file(source: Source, options: ImportOptions, is_daily: bool) -> Iterator[tuple[Rows, Reading]]:
    """Yield the rows of a file, of one ticker after the other where all are asked for.

    Raises InvalidInput for what cannot be read as bars.
    """
    try:
        if source.is_parquet():
            yield from _read_parquet(source, options, is_daily)
        else:
            yield from _read_text(source, options, is_daily)
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        what = f"cannot read {source.name}: {first}"
        raise InvalidInput(what, "is it a CSV or Parquet file of bars?", "file") from None


# --- text


def _read_text(source: Source, options: ImportOptions, is_daily: bool) -> Iterator[tuple[Rows, Reading]]:
    text = Text(source)
    dialect = dialect_of(text.head(HEAD_BYTES), options.skip_lines, source.name)
    wanted = [options.ticker]
    if options.each_ticker:
        wanted = list(tickers_in(dialect.names, dialect.tickers)) or wanted
    for ticker in wanted:
        roles, program = dialect.roles(options.named_columns(), ticker, is_daily, source.name)
        _check_adjusted(roles, options)
        decimal = DECIMALS[options.decimal] if options.decimal else None
        read = _pieces(text, dialect, roles, decimal)
        if read is None:
            decimal = _evidence(text, dialect, roles).decimal()
            read = _pieces(text, dialect, roles, decimal)
        assert read is not None
        reading = _described(text, dialect, roles, decimal, read, program)
        yield from _by_ticker(read, reading, roles, options)


def _pieces(text: Text, dialect: Dialect, roles: Roles, decimal: str | None) -> list[_Piece] | None:
    """Read all rows; None when a number is not a plain one, or none tells what its point is, and nobody said it."""
    found: list[_Piece] = []
    with ThreadPoolExecutor(THREADS) as threads:
        reading: deque[Future[_Piece | None]] = deque()
        pieces = text.pieces(dialect.skipped)
        while True:
            while len(reading) < THREADS and (piece := next(pieces, None)) is not None:
                reading.append(threads.submit(_read, piece, dialect, roles, decimal))
            if not reading:
                is_sure = decimal is not None or not found or any(piece.tells for piece in found)
                return found if is_sure else None
            read = reading.popleft().result()
            if read is None:
                return None
            found.append(read)


def _read(piece: bytes, dialect: Dialect, roles: Roles, decimal: str | None) -> _Piece | None:
    frame, comments = _frame(piece, dialect)
    headers = 0
    if dialect.has_header:
        is_header = (frame.to_series(roles["close"]) == dialect.names[roles["close"]]).fill_null(False)
        headers = int(is_header.sum())
        frame = frame.filter(~is_header) if headers else frame
    columns, bad_volumes = {}, 0
    for name in _NUMBERS:
        if name not in roles:
            continue
        cells = frame.to_series(roles[name])
        numbers = plain_numbers(cells) if decimal is None else None
        if decimal is not None:
            numbers, bad = numbers_of(cells, decimal)
            bad_volumes += bad if name == "volume" else 0
        if numbers is None:
            return None
        columns[name] = numbers
    times = _times(frame, roles)
    tickers = frame.to_series(roles["ticker"]).str.strip_chars() if "ticker" in roles else None
    tells = decimal is not None or tells_point([frame.to_series(roles[name]) for name in columns])
    return _Piece(_scanned(times), times, pl.DataFrame(columns), tickers, bad_volumes, comments, headers, tells)


def _frame(piece: bytes, dialect: Dialect) -> tuple[pl.DataFrame, int]:
    """Answer rows as text, and how many comments stood among them. A row of too many cells, in which nothing is sure to
    stand in its place, has none."""
    comments = piece.count(_COMMENTED) if _COMMENTED in piece else 0
    comments += piece.startswith(COMMENT.encode())
    separator = dialect.separator.encode()
    is_quoted = b'"' in piece
    if is_quoted:  # a quote after a space would be none
        piece = re.sub(re.escape(separator) + rb' +"', separator + b'"', piece)
    # a first line of our own says how many columns there are: rows may have fewer, and one more at most
    header = dialect.separator.join(f"column_{k + 1}" for k in range(dialect.width + 1))
    frame = pl.read_csv(
        header.encode() + b"\n" + piece, separator=dialect.separator, infer_schema=False, truncate_ragged_lines=True,
        encoding="utf8-lossy", quote_char='"' if is_quoted else None, comment_prefix=COMMENT if comments else None,
    )  # fmt: skip
    surplus = frame.to_series(dialect.width).str.strip_chars()
    frame = frame.drop(frame.columns[-1])
    if surplus.null_count() < len(surplus) and (surplus != "").any():
        return frame.select(pl.when(pl.lit(surplus.fill_null("") == "")).then(pl.all())), comments
    return frame, comments


def _times(frame: pl.DataFrame, roles: Roles) -> pl.Series:
    times = frame.to_series(roles["ts"])
    if "clock" not in roles:
        return times
    return pl.select(
        pl.concat_str(times, frame.to_series(roles["clock"]), separator=" ", ignore_nulls=True)
    ).to_series()


def _scanned(times: pl.Series) -> Stamps:
    if not len(times):
        return scan(np.empty(0, dtype=np.uint8), 0)
    joined = times.fill_null("").str.join("\n").item().encode()
    return scan(np.frombuffer(joined, dtype=np.uint8), len(times))


def _evidence(text: Text, dialect: Dialect, roles: Roles) -> Evidence:
    evidence = Evidence()
    for piece in text.pieces(dialect.skipped):
        frame, _ = _frame(piece, dialect)
        evidence.add(frame.to_series(roles[name]) for name in _NUMBERS if name in roles)
    return evidence


def _described(
    text: Text, dialect: Dialect, roles: Roles, decimal: str | None, read: Sequence[_Piece], program: str
) -> Reading:
    parts = [f"{SEPARATORS[dialect.separator]}-separated"]
    if program:
        parts.insert(0, program)
    if dialect.has_header:
        parts.append("with a header" if dialect.header_lines == 1 else f"with a header of {dialect.header_lines} lines")
    if decimal and decimal != POINT:
        parts.append("decimal comma")
    if text.encoding != "utf-8":
        parts.append(text.encoding)
    remarks = [
        f"{count:,} {what} skipped"
        for count, what in (
            (dialect.preamble, "lines before the first row"),
            (sum(piece.comments for piece in read), "lines of comment among the rows"),
            (sum(piece.headers for piece in read), "repeated headers"),
        )
        if count > 0
    ]  # fmt: skip
    return Reading(", ".join(parts), roles.described(dialect.names), tuple(remarks), roles.ticker)


def _check_adjusted(roles: Roles, options: ImportOptions) -> None:
    if options.adjust and "adj close" not in roles:
        remedy = "leave out --adjust, or name it: --columns 'adj close=…'"
        raise InvalidInput("the file has no adjusted close", remedy, "adjust")


# --- tickers


def _by_ticker(
    read: list[_Piece], reading: Reading, roles: Roles, options: ImportOptions
) -> Iterator[tuple[Rows, Reading]]:
    """Yield what was read, which `read` gives up, of the ticker that is asked for or of one after the other."""
    if not sum(len(piece.values) for piece in read):
        raise InvalidInput("the file has no rows", "export it again", "file")
    bad_volumes = sum(piece.bad_volumes for piece in read)
    unread = next((piece.unread for piece in read if piece.unread), "")
    parts = [piece.tickers for piece in read if piece.tickers is not None]
    stamps = Stamps(*(np.concatenate(arrays) for arrays in zip(*(piece.stamps for piece in read), strict=True)))
    values = _values(pl.concat([piece.values for piece in read], rechunk=False), options.adjust)
    read.clear()
    rows = Rows(stamps, values, bad_volumes, unread)
    if "ticker" not in roles:
        if options.ticker is not None and not reading.ticker:
            raise InvalidInput(f"the file names no tickers, so not '{options.ticker}'", "leave out --ticker", "ticker")
        yield rows, reading
        return
    tickers = pl.concat(parts)
    names = tickers.unique(maintain_order=True).drop_nulls().cast(pl.String)
    known = names.filter(names != "").to_list()
    if not known:
        yield rows, reading
        return
    chosen = known if options.each_ticker else [pick_ticker(known, options.ticker)]
    for ticker in chosen:
        named = Reading(reading.layout, reading.columns, reading.remarks, ticker)
        if len(known) == 1:
            yield rows, named
            continue
        mask = (tickers == ticker).fill_null(False)
        where = mask.to_numpy()
        own = Stamps(*(part[where] for part in stamps))
        yield Rows(own, values.filter(mask), bad_volumes, unread), named


def _values(values: pl.DataFrame, is_adjusted: bool) -> pl.DataFrame:
    """Answer prices and the volume that is meant out of what was read, adjusted when that is asked for."""
    if "tick volume" in values.columns:
        ticks = values["tick volume"]
        if "volume" not in values.columns or not (values["volume"].fill_null(0.0) > 0.0).any():
            values = values.with_columns(ticks.alias("volume"))
    if is_adjusted:
        ratio = pl.col("adj close") / pl.col("close")
        values = values.with_columns(
            *(pl.col(name) * ratio for name in PRICE_NAMES[:3]), pl.col("adj close").alias("close")
        )
    return values.select(*PRICE_NAMES, *(["volume"] if "volume" in values.columns else []))


# --- Parquet


def _read_parquet(source: Source, options: ImportOptions, is_daily: bool) -> Iterator[tuple[Rows, Reading]]:
    content, room = source.content(), free_memory()
    rows = int(pl.scan_parquet(content).select(pl.len()).collect().item())  # a small file may hold very many
    source.check_room(BYTES_FOR_EACH_ROW * rows, room)
    frame = pl.read_parquet(content)
    names = frame.columns
    sample = [[_shown(value) for value in row] for row in frame.head(50).iter_rows()]
    wanted = [options.ticker]
    if options.each_ticker:
        wanted = list(tickers_in(names, ())) or wanted
    for ticker in wanted:
        roles = roles_of(names, (), sample, options.named_columns(), ticker, is_daily)
        _check_adjusted(roles, options)
        numbers = {name: _parquet_numbers(frame.to_series(roles[name])) for name in _NUMBERS if name in roles}
        values = pl.DataFrame({name: column for name, (column, _) in numbers.items()})
        bad_volumes = numbers["volume"][1] if "volume" in numbers else 0
        tickers = frame.to_series(roles["ticker"]).cast(pl.String) if "ticker" in roles else None
        times = frame.to_series(roles["ts"])
        piece = _Piece(_parquet_stamps(frame, roles), times, values, tickers, bad_volumes)
        yield from _by_ticker([piece], Reading("Parquet", roles.described(names), (), roles.ticker), roles, options)


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _parquet_numbers(cells: pl.Series) -> tuple[pl.Series, int]:
    """Answer a column as numbers, and how many of its cells are neither that nor missing."""
    if cells.dtype == pl.String:
        plain = plain_numbers(cells)
        if plain is not None:
            return plain, 0
        evidence = Evidence()
        evidence.add([cells])
        return numbers_of(cells, evidence.decimal())
    if not (cells.dtype.is_numeric() or cells.dtype == pl.Null):
        what = f"column '{cells.name}' is {cells.dtype}, no numbers"
        raise InvalidInput(what, "name another with --columns", "columns")
    return cells.cast(pl.Float64), 0


def _parquet_stamps(frame: pl.DataFrame, roles: Roles) -> Stamps:
    times = frame.to_series(roles["ts"])
    if "clock" in roles:
        clock = frame.to_series(roles["clock"])
        text = pl.select(pl.concat_str(times.cast(pl.String), clock.cast(pl.String), separator=" ")).to_series()
        return _scanned(text)
    if times.dtype == pl.String:
        return _scanned(times)
    if times.dtype == pl.Date or isinstance(times.dtype, pl.Datetime):
        return _moments(times)
    if times.dtype.is_numeric():
        whole = times.cast(pl.Int64, strict=False).fill_null(0).to_numpy()
        return scan_numbers(times.cast(pl.Float64).fill_null(float("nan")).to_numpy(), whole)
    raise InvalidInput(f"column '{times.name}' is {times.dtype}, no times", "name another with --columns ts=…", "ts")


def _moments(times: pl.Series) -> Stamps:
    """Answer moments and dates as stamps: the wall clock of their zone, and how far it is from Greenwich."""
    zone = getattr(times.dtype, "time_zone", None)
    moments = times.cast(pl.Datetime("us", zone))
    wall = moments.dt.replace_time_zone(None)
    offset = np.full(len(times), NO_OFFSET, dtype=np.int16)
    if zone:
        shift = wall.cast(pl.Int64) - moments.dt.convert_time_zone("UTC").cast(pl.Int64)
        offset = (shift.fill_null(0) // 60_000_000).cast(pl.Int16).to_numpy().copy()
    kind = CALENDAR if times.dtype == pl.Date else CALENDAR | HAS_CLOCK
    form = np.where(times.is_null().to_numpy(), 0, kind).astype(np.uint8)
    return Stamps(wall.cast(pl.Int64).fill_null(0).to_numpy().copy(), offset, form)
