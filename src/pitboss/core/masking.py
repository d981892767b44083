"""Secrets made unreadable in what is written: as they are, and in the forms that programs give them on the way."""

from __future__ import annotations

import base64
import html
import json
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

MASK = b"***"
SHORTEST = 6  # bytes of what is masked: anything shorter stands everywhere by chance
MOST_HELD = 1 << 16  # bytes of a line that are held back until it is complete
TEXT_BYTES = 8192  # at the beginning of a file that tell a text: it holds no NUL
_WRAPS = (76, 64)  # characters at which Base64 is wrapped into lines


class Masker:
    """Finds secrets in bytes. What is found is replaced by `***`; without secrets everything passes as it is."""

    def __init__(self, secrets: Collection[str]) -> None:
        patterns = {form for secret in secrets for form in _forms(secret) if len(form) >= SHORTEST}
        self.longest = max(map(len, patterns), default=0)
        self._finder = _finder_of(sorted(patterns)) if patterns else None

    def __bool__(self) -> bool:
        return self._finder is not None

    def bytes(self, data: bytes) -> bytes:
        """Answer bytes with every secret in them masked."""
        if self._finder is None:
            return data
        found = sorted((first, last) for _, first, last in self._finder.find_matches_as_indexes(data, overlapping=True))
        pieces, reached = [], 0
        for first, last in found:
            if last <= reached:
                continue
            if first >= reached:
                pieces += [data[reached:first], MASK]
            reached = last
        return b"".join([*pieces, data[reached:]])

    def text(self, text: str) -> str:
        """Answer a text with every secret in it masked."""
        return self.bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape") if self else text


class MaskedStream:
    """Masks what comes in pieces: the last line is held back until it is complete, for a secret may be cut in two."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = b""

    def feed(self, piece: bytes, is_last: bool = False) -> bytes:
        """Answer what can be written now."""
        if not self._masker:
            return piece
        self._held += piece
        end = len(self._held) if is_last else max(self._held.rfind(b"\n"), self._held.rfind(b"\r")) + 1
        if not end and len(self._held) > MOST_HELD:
            return self._cut()
        ready, self._held = self._held[:end], self._held[end:]
        return self._masker.bytes(ready)

    def _cut(self) -> bytes:
        """Answer most of a very long line; what might be the beginning of a secret stays."""
        masked = self._masker.bytes(self._held)
        kept = min(len(masked), self._masker.longest)
        self._held = masked[len(masked) - kept :]
        return masked[: len(masked) - kept]


def mask_file(path: Path, masker: Masker) -> None:
    """Mask the secrets in a file that is a text; any other is left as it is."""
    temporary = path.with_name(f"{path.name}.masked")
    with path.open("rb") as file:
        if b"\x00" in file.peek(TEXT_BYTES)[:TEXT_BYTES]:
            return
        stream = MaskedStream(masker)
        with temporary.open("wb") as out:
            while piece := file.read(1 << 20):
                out.write(stream.feed(piece))
            out.write(stream.feed(b"", is_last=True))
    temporary.replace(path)


def _finder_of(patterns: list[bytes]) -> Any:
    from ahocorasick_rs import BytesAhoCorasick  # few runs have secrets

    return BytesAhoCorasick(patterns)


def _forms(secret: str) -> Iterator[bytes]:
    """Yield a secret in every form in which it is looked for, and the lines of one that has several."""
    plain = secret.encode("utf-8", "surrogateescape")
    lines = {secret, *secret.splitlines(), *(line.strip() for line in secret.splitlines())}
    for text in lines:
        for form in _written(text):
            yield form.encode("utf-8", "surrogateescape")
    yield from _encoded(plain)


def _written(text: str) -> Iterator[str]:
    """Yield a text as languages and addresses write it."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(json.dumps(text)[1:-1])[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield repr(text.encode("utf-8", "surrogateescape"))[2:-1]
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield shlex.quote(text).strip("'")
    if text.isascii() or not any(0xD800 <= ord(character) < 0xE000 for character in text):
        for form in (quote(text, safe=""), quote(text), quote_plus(text), "".join(f"%{b:02X}" for b in text.encode())):
            yield form
            yield _lower_escapes(form)
            yield form.replace("%", "%25")


def _lower_escapes(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _encoded(data: bytes) -> Iterator[bytes]:
    """Yield bytes in Base64, wherever they stand within what was encoded, in hexadecimal, Base32 and Base85."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            whole = encode(b"\0" * before + data + b"\0" * (-(before + len(data)) % 3))
            first = (8 * before + 5) // 6  # the characters that hold no bit of what stands before
            last = (8 * (before + len(data))) // 6
            core = whole[first:last]
            yield core
            for width in _WRAPS if len(core) > min(_WRAPS) else ():
                yield from (core[at : at + width] for at in range(0, len(core), width))
        yield encode(data).rstrip(b"=")
    yield data.hex().encode()
    yield data.hex().upper().encode()
    yield data.hex(" ").encode()
    yield data.hex(":").encode()
    yield base64.b32encode(data).rstrip(b"=")
    yield base64.b32encode(data).rstrip(b"=").lower()
    yield base64.b85encode(data)
    yield base64.a85encode(data)
    yield data[::-1]
