"""Passwords: hashed by Argon2id (RFC 9106), never kept, and told nothing about."""

from __future__ import annotations

from functools import cached_property
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from pitboss.core.errors import InvalidInput

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 10, 1024
AT_ONCE = 2  # each takes 64 MB and a core


class Passwords:
    """Hashes and compares. Safe to use from any thread."""

    def __init__(self) -> None:
        self._turns = BoundedSemaphore(AT_ONCE)

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher

        return PasswordHasher()  # RFC 9106, second recommendation: 3 passes over 64 MB

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("nobody has this password")

    def hashed(self, password: str) -> str:
        """Answer what is kept in a password's place."""
        with self._turns:
            return self._hasher.hash(password)

    def is_right(self, kept: str | None, password: str) -> bool:
        """Answer whether it is the password whose hash is `kept`; that takes as long where there is none."""
        from argon2.exceptions import InvalidHashError, VerificationError

        with self._turns:
            try:
                return self._hasher.verify(kept or self._nobodys, password[:LONGEST]) and bool(kept)
            except (VerificationError, InvalidHashError):
                return False

    def is_weaker(self, kept: str) -> bool:
        """Answer whether a hash was made with less than is asked for now."""
        return self._hasher.check_needs_rehash(kept)


def checked_password(password: str, name: str) -> str:
    """Answer a password that can be chosen. Raises InvalidInput."""
    if not SHORTEST <= len(password) <= LONGEST:
        what = f"the password has {len(password):,} characters"
        raise InvalidInput(what, f"write {SHORTEST} to {LONGEST:,}: several words are best", "password")
    if name in password.lower() and len(password) < 2 * len(name):
        raise InvalidInput("the password is little more than the name", "write several other words", "password")
    if len(set(password)) < 4:
        raise InvalidInput("the password repeats a few characters", "write several words", "password")
    return password
