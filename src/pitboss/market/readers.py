"""Reading bars from CSV and Parquet as other programs write them: Yahoo, Dukascopy, HistData, MetaTrader,
Binance, Alpaca, and anything with a header that names its columns."""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pitboss.core.errors import InvalidInput
from pitboss.core.machine import free_memory
from pitboss.core.places import is_file, printable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 1 << 24
BYTES_FOR_EACH_BYTE, BYTES_FOR_EACH_ROW = (
    4,
    250,
)  # of memory, to read a text and make bars of it; measured, and rounded up
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\x28\xb5\x2f\xfd": zstd.open}
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_SYNONYMS = {
    "ts": ("ts", "timestamp", "time", "datetime", "date time", "date", "gmt time", "open time", "open_time", "t"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last"),
    "volume": ("volume", "vol", "v", "tickvol", "tick_volume", "tick volume"),
}  # fmt: skip
_NEEDED = ("ts", "open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class RawBars:
    """What a file holds: `ts` as text, whole numbers or moments, prices as floats; and how it was read."""

    frame: pl.DataFrame
    layout: str


def read_file(path: Path, columns: Mapping[str, str] | None = None, name: str = "") -> RawBars:
    """Read a CSV or Parquet file of bars, packed with gzip or zstd or not: what it is, it says itself.

    `columns` names the file's columns: `{"ts": "Date", …}`; `name` is what messages call the file. Raises InvalidInput
    for what cannot be read as bars.
    """
    if not is_file(path, "file"):
        if path.exists():
            raise InvalidInput(
                f"{printable(str(path))} is no plain file", "pipe it in, and write - for the file", "file"
            )
        raise InvalidInput(f"there is no file {printable(str(path))}", "check the path", "file")
    name = name or printable(path.name)
    try:
        content = _unpacked(path, name)
        if content.startswith(b"PAR1"):
            rows = pl.scan_parquet(content).select(pl.len()).collect().item()
            _check_room(name, len(content), int(rows), free_memory())
            return RawBars(_select(pl.read_parquet(content), columns), "Parquet")
        return _read_csv(content, columns, name)
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, zstd.ZstdError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(f"cannot read {name}: {first}", "is it a CSV or Parquet file of bars?", "file") from None


def _unpacked(path: Path, name: str) -> bytes:
    """Answer what a file holds, unpacked piece by piece: a small one may hold more than there is memory for."""
    with path.open("rb") as file:
        start = file.read(4)
    opened = next((opened for magic, opened in _PACKED.items() if start.startswith(magic)), open)
    room = free_memory()
    content, rows = bytearray(), 0
    with opened(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            content += piece
            rows += piece.count(b"\n")
            _check_room(name, len(content), rows, room)
    return bytes(content)


def _check_room(name: str, size: int, rows: int, room: int) -> None:
    """Raise InvalidInput when so much text with so many rows would take more than half of the memory that is free."""
    if BYTES_FOR_EACH_BYTE * size + BYTES_FOR_EACH_ROW * rows > room // 2:
        what = f"{name} is too large: more than {size >> 20:,} MB are to be read, with {room >> 20:,} MB of memory free"
        raise InvalidInput(what, "split it by date, and import one part after the other", "file")


def _read_csv(content: bytes, columns: Mapping[str, str] | None, name: str) -> RawBars:
    content, head = _decoded(content, name)
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        raise InvalidInput(f"{name} is empty", "export it again", "file")
    delimiter = max(DELIMITERS, key=lines[0].count)
    if not lines[0].count(delimiter):
        raise InvalidInput(f"{name} has a single column", "columns are parted by comma, semicolon or tab", "file")
    has_header = bool(re.match(r"\W*[A-Za-z]", lines[0]))
    frame = pl.read_csv(content, separator=delimiter, has_header=has_header, infer_schema=False)
    layout = f"{DELIMITERS[delimiter]}-separated"
    if not has_header and not columns:
        frame, program = _name_headless(frame)
        return RawBars(_select(frame, None), f"{program}, {layout}")
    return RawBars(_select(frame, columns), f"{layout}, with a header" if has_header else layout)


def _decoded(content: bytes, name: str) -> tuple[bytes, str]:
    """Answer what Polars should read, and the first lines as text."""
    start = content[:65_536]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):  # MetaTrader writes UTF-16 on some systems
        text = content.decode("utf-16")
        return text.encode(), text[:4096]
    if b"\0" in start:
        raise InvalidInput(f"{name} is no text file", "export it as CSV in UTF-8, or as Parquet", "file")
    try:
        head = start[: start.rfind(b"\n") + 1 or None].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not UTF-8 (byte {error.start})", "save it as UTF-8", "file") from None
    return content, head


def _name_headless(frame: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Name the columns of a file without a header by how its first row looks."""
    first = [str(value) for value in frame.row(0)]
    names: list[str]
    if re.fullmatch(r"\d{8} \d{6}", first[0]) and len(first) >= 5:
        names, layout = ["ts", "open", "high", "low", "close", "volume"], "HistData"
    elif re.fullmatch(r"\d{4}\.\d\d\.\d\d", first[0]) and ":" in first[1] and len(first) >= 6:
        names, layout = ["date", "time", "open", "high", "low", "close", "volume"], "MetaTrader"
    elif re.fullmatch(r"\d{13}|\d{16}", first[0]) and len(first) == 12:
        names, layout = ["ts", "open", "high", "low", "close", "volume"], "Binance"
    elif len(first) in (5, 6):
        names, layout = ["ts", "open", "high", "low", "close", "volume"], "no header"
    else:
        raise InvalidInput(
            f"a file without a header and with {len(first)} columns is not known",
            "add a header line, or name the columns: --columns ts=column_1,open=column_2,…", "file",
        )  # fmt: skip
    return frame.rename(dict(zip(frame.columns, names, strict=False))), layout


def _select(frame: pl.DataFrame, columns: Mapping[str, str] | None) -> pl.DataFrame:
    """Answer `ts, open, high, low, close, volume` out of whatever columns there are."""
    chosen = _named_columns(frame, columns or {})
    if "ts" not in chosen and "date" in chosen:
        parts = [pl.col(chosen["date"]), pl.col(chosen["clock"])] if "clock" in chosen else [pl.col(chosen["date"])]
        frame = frame.with_columns(pl.concat_str(parts, separator=" ").alias("ts"))
        chosen["ts"] = "ts"
    missing = [name for name in _NEEDED if name not in chosen]
    if missing:
        raise InvalidInput(
            f"no column for {', '.join(missing)} among {', '.join(frame.columns[:12])}",
            "name them: --columns " + ",".join(f"{name}=…" for name in missing), "columns",
        )  # fmt: skip
    volume = pl.col(chosen["volume"]).cast(pl.Float64, strict=False) if "volume" in chosen else pl.lit(0.0)
    selected = frame.select(
        pl.col(chosen["ts"]).alias("ts"),
        *(pl.col(chosen[name]).cast(pl.Float64, strict=False).alias(name) for name in _NEEDED[1:]),
        volume.fill_null(0.0).fill_nan(0.0).alias("volume"),
    )
    if len(selected) and selected["close"].null_count() == len(selected):
        sample = str(frame[chosen["close"]][0])[:40]
        raise InvalidInput(f"'{sample}' is no price", "is the delimiter right, and the decimal sign a point?", "file")
    return selected


def _named_columns(frame: pl.DataFrame, columns: Mapping[str, str]) -> dict[str, str]:
    for name, column in columns.items():
        if name not in _SYNONYMS:
            raise InvalidInput(f"'{name}' is no bar column", f"choose of {', '.join(_SYNONYMS)}", "columns")
        if column not in frame.columns:
            raise InvalidInput(
                f"there is no column '{column}'", f"there are {', '.join(frame.columns[:12])}", "columns"
            )
    plain = {name.strip().strip("<>").strip().lower(): name for name in frame.columns}
    chosen = dict(columns)
    if "date" in plain and "time" in plain and "ts" not in chosen:
        chosen |= {"date": plain["date"], "clock": plain["time"]}
    for name, words in _SYNONYMS.items():
        if name == "ts" and "date" in chosen:
            continue
        found = next((plain[word] for word in words if word in plain), None)
        if name not in chosen and found:
            chosen[name] = found
    if "vol" in plain and "tickvol" in plain and "volume" not in columns:
        real = frame[plain["vol"]].cast(pl.Float64, strict=False)
        chosen["volume"] = plain["vol"] if (real.fill_null(0) > 0).any() else plain["tickvol"]
    return chosen
