"""Texts sealed with a key that lies in a file of its own, so that a copy of the database alone gives nothing away."""

from __future__ import annotations

import base64
import os
import secrets
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pitboss.core.errors import StorageUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_NONCE_BYTES, _KEY_BYTES = 12, 32
_LINE = "pitboss key 1: "


class Seal:
    """Seals and opens by ChaCha20-Poly1305 (RFC 8439), each text with the name that it is kept under.

    The key is made when it is first needed, readable by its owner alone. Raises StorageUnavailable where it cannot be
    used, or a text was sealed by another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def seal(self, text: str, name: str) -> bytes:
        """Answer a text that only the key can read, and only under its name."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode("utf-8", "surrogateescape"), name.encode())

    def open(self, sealed: bytes, name: str) -> str:
        """Answer the text."""
        from cryptography.exceptions import InvalidTag

        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            what = f"the secret '{name}' was sealed by another key than that in {self.path}"
            raise StorageUnavailable(what, "restore the key file, or set the secret again") from None
        return plain.decode("utf-8", "surrogateescape")

    @cached_property
    def _cipher(self) -> ChaCha20Poly1305:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        return ChaCha20Poly1305(self._key())

    def _key(self) -> bytes:
        try:
            if not self.path.exists():
                self._make()
            text = self.path.read_text().strip()
        except OSError as error:
            what = f"the key file {self.path} cannot be used: {error.strerror or error}"
            raise StorageUnavailable(what, "make it readable, or name another with secrets_key") from None
        try:
            key = base64.b64decode(text.removeprefix(_LINE.strip()).strip(), validate=True)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise StorageUnavailable(f"{self.path} holds no key", "restore it from a backup")
        return key

    def _make(self) -> None:
        """Write a new key beside its place and link it there: of two that do so at once, one wins for both."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(_LINE + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(temporary, self.path)
        finally:
            temporary.unlink()
