"""The first administrator of a server that others can reach: by a key that its own terminal shows once."""

from __future__ import annotations

import hmac

from pitboss.accounts.keys import new_key


class Setup:
    """Open from the start of a server without accounts until the first one is made."""

    def __init__(self, is_open: bool = False) -> None:
        self.key = new_key() if is_open else ""

    def accepts(self, key: str) -> bool:
        """Answer whether it is open and that is its key, in constant time."""
        return bool(self.key) and hmac.compare_digest(self.key.encode(), key.encode("utf-8", "surrogateescape"))

    def close(self) -> None:
        self.key = ""
