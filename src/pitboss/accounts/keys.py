"""What programs, browsers and links come with: 256 bits of chance, of which a digest is kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets

TOKEN = "pb_"
SHOWN = 11  # characters of a token that are kept to recognise it by
_BYTES = 32


def new_key(prefix: str = "") -> str:
    """Answer a new one."""
    return prefix + secrets.token_urlsafe(_BYTES)


def digest_of(key: str) -> str:
    """Answer what is kept of a key (SHA-256: there is nothing to guess, so that it need not be slow)."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def csrf_of(session: str) -> str:
    """Answer what a page must show with each change that it asks for: made of the session's key, which no other site
    can read."""
    return hmac.new(session.encode("utf-8", "surrogateescape"), b"csrf", hashlib.sha256).hexdigest()


def is_csrf_of(session: str, given: str) -> bool:
    """Answer whether it is that of the session, in constant time."""
    return hmac.compare_digest(csrf_of(session).encode(), given.encode("utf-8", "surrogateescape"))
