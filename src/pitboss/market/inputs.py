"""Files as bytes: packed or not, in whatever encoding, read a piece at a time."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pitboss.core.errors import InvalidInput
from pitboss.core.machine import free_memory
from pitboss.core.places import is_file, printable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 1 << 23
LONGEST_LINE = 1 << 26
BYTES_FOR_EACH_ROW = 110  # of memory, to make bars of a text: measured, and rounded up
BYTES_FOR_EACH_BYTE = 3  # the same, to read Parquet
_PARQUET, _ZIP = b"PAR1", b"PK\x03\x04"
_PACKED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open, b"\x28\xb5\x2f\xfd": zstd.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open,
}  # fmt: skip
_OTHER = {
    b"{": ("it is JSON", "save it as CSV or Parquet"),
    b"[{": ("it is JSON", "save it as CSV or Parquet"),
    b"[[": ("it is JSON", "save it as CSV or Parquet"),
    b"%PDF": ("it is a PDF", "download the data as CSV"),
    b"\xd0\xcf\x11\xe0": ("it is an Excel workbook", "save the sheet as CSV"),
}
_MARKUP = re.compile(rb"<(!|\?|html|head|body|title|table|div|p\b|h1|error|br)", re.IGNORECASE)
_WHAT_IT_IS = "is it a CSV or Parquet file of bars?"
BROKEN = (OSError, EOFError, zlib.error, zstd.ZstdError, lzma.LZMAError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class Source:
    """A file of bars. `name` is what messages call it."""

    path: Path
    name: str

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open what the file holds, unpacked; of a ZIP the one file in it. Raises InvalidInput."""
        try:
            with self.path.open("rb") as file:
                start = file.read(8)
            if start.startswith(_ZIP):
                with zipfile.ZipFile(self.path) as packed, packed.open(self._only_member(packed)) as file:
                    yield file
                return
            opener = next((opener for magic, opener in _PACKED.items() if start.startswith(magic)), open)
            with opener(self.path, "rb") as file:
                yield file
        except (*BROKEN, RuntimeError) as error:  # RuntimeError: a ZIP with a password
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InvalidInput(f"cannot read {self.name}: {first}", _WHAT_IT_IS, "file") from None

    def _only_member(self, packed: zipfile.ZipFile) -> str:
        names = [i.filename for i in packed.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX/")]
        if "[Content_Types].xml" in names:
            raise InvalidInput(f"{self.name} is an Excel workbook", "save the sheet as CSV", "file")
        if len(names) != 1:
            have = ", ".join(printable(name) for name in names[:4]) + (", …" if len(names) > 4 else "")
            what = f"{self.name} holds {len(names)} files: {have}" if names else f"{self.name} holds no file"
            raise InvalidInput(what, "unpack it, and import one file after the other", "file")
        return names[0]

    def is_parquet(self) -> bool:
        """Answer whether it is Parquet; raises InvalidInput for what is plainly no table."""
        with self.opened() as file:
            start = file.read(512)
        if not start:
            raise InvalidInput(f"{self.name} is empty", "export it again", "file")
        bare = start.removeprefix(b"\xef\xbb\xbf").lstrip()
        found = next((told for magic, told in _OTHER.items() if bare.startswith(magic)), None)
        if _MARKUP.match(bare):
            found = "it is a web page or XML, as sources answer instead of data", "look at it, and download it again"
        if found:
            raise InvalidInput(f"{self.name} holds no bars: {found[0]}", found[1], "file")
        return start.startswith(_PARQUET)

    def content(self) -> bytes:
        """Answer everything at once, within the memory that is free."""
        room, content = free_memory(), bytearray()
        with self.opened() as file:
            while piece := file.read(PIECE_BYTES):
                content += piece
                self.check_room(BYTES_FOR_EACH_BYTE * len(content), room)
        return bytes(content)

    def check_room(self, needed: int, room: int) -> None:
        """Raise InvalidInput when reading it would take more than half of the memory that was free."""
        if needed > room // 2:
            what = f"{self.name} is too large: it takes over {needed >> 20:,} MB, with {room >> 20:,} MB of memory free"
            raise InvalidInput(what, "split it by date, and import one part after the other", "file")


class Text:
    """A source's lines, UTF-8 whatever it is in."""

    def __init__(self, source: Source) -> None:
        self.source = source
        with source.opened() as file:
            start = file.read(1 << 16)
        self.encoding = _encoding_of(start, source.name)

    def pieces(self, skipped: int = 0) -> Iterator[bytes]:
        """Yield the text in pieces of whole lines, without the first `skipped` lines.

        Raises InvalidInput when it needs more memory than there is.
        """
        room, size = free_memory(), 0
        for piece in self._whole_lines():
            if not size:
                width = len(piece) // max(1, piece.count(b"\n"))
            size += len(piece)
            self.source.check_room(BYTES_FOR_EACH_ROW * size // width, room)
            while skipped and piece:
                _, _, piece = piece.partition(b"\n")
                skipped -= 1
            if piece:
                yield piece

    def head(self, size: int) -> list[str]:
        """Answer the first lines."""
        piece = next(self._whole_lines(size), b"")
        return piece.decode().splitlines()

    def _whole_lines(self, size: int = PIECE_BYTES) -> Iterator[bytes]:
        left = b""
        try:
            for piece in self._decoded(size):
                if b"\r" in piece:
                    piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                piece = left + piece
                cut = piece.rfind(b"\n") + 1
                left = piece[cut:]
                if len(left) > LONGEST_LINE:
                    raise InvalidInput(f"{self.source.name} has no lines", _WHAT_IT_IS, "file")
                if cut:
                    yield piece[:cut]
        except UnicodeDecodeError:
            what = f"{self.source.name} is in no encoding that is known"
            raise InvalidInput(what, "save it as UTF-8", "file") from None
        if left:
            yield left + b"\n"

    def _decoded(self, size: int) -> Iterator[bytes]:
        if self.encoding == "utf-8":
            with self.source.opened() as file:
                start = file.read(size).removeprefix(b"\xef\xbb\xbf")
                while start:
                    yield start
                    start = file.read(size)
            return
        decoder = codecs.getincrementaldecoder(self.encoding)()
        with self.source.opened() as file:
            while piece := file.read(size):
                yield decoder.decode(piece).lstrip("\ufeff").encode()
            yield decoder.decode(b"", final=True).encode()


def _encoding_of(start: bytes, name: str) -> str:
    """Answer the encoding that a text is in, told by its first bytes."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"  # MetaTrader's, on some systems
    if start[1:200:2].count(0) > 3 * len(start[1:200:2]) // 4:
        return "utf-16-le"
    if start[0:200:2].count(0) > 3 * len(start[0:200:2]) // 4:
        return "utf-16-be"
    if b"\0" in start:
        raise InvalidInput(f"{name} is no text file", "export it as CSV in UTF-8, or as Parquet", "file")
    try:
        start[: start.rfind(b"\n") + 1 or None].decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def source_of(path: Path, name: str) -> Source:
    """Answer a file that is to be read. Raises InvalidInput for what is none."""
    if not is_file(path, "file"):
        shown = printable(str(path))
        if path.exists():
            raise InvalidInput(f"{shown} is no plain file", "pipe it in, and write - for the file", "file")
        raise InvalidInput(f"there is no file {shown}", "check the path", "file")
    return Source(path, name or printable(path.name))
