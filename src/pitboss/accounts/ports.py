"""What the account service works through."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pitboss.accounts.guessing import Counter
from pitboss.accounts.model import Account, Role, Session, Token
from pitboss.core.principal import Principal


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit: who did what to what; when is the database's clock."""

    who: str
    action: str
    target: str = ""
    via: str = ""
    address: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, who: Principal, action: str, target: str = "", **detail: Any) -> Entry:
        return cls(who.name, action, target, who.via, who.address, detail)


@dataclass(frozen=True, slots=True)
class Known:
    """Whose a key is: the account, and the token or the session. `now` is the database's clock."""

    account: Account
    token: Token | None
    session: Session | None
    now: float


class Audit(Protocol):
    """What was done, to be read and never changed."""

    def record(self, entries: Sequence[Entry]) -> None:
        """Note what was done."""

    def read(self, after: str = "", limit: int = 1000, who: str | None = None) -> list[dict[str, Any]]:
        """Answer entries after the one of that id, oldest first; of one account where it is named."""


class AccountStore(Protocol):
    """Keeps accounts, tokens and sessions. Every change notes its `entry` in the audit, together or not at all."""

    def count(self) -> int: ...

    def all(self) -> list[Account]: ...

    def get(self, name: str) -> Account | None: ...

    def local(self) -> Account | None: ...

    def heir(self) -> str | None: ...

    def add(self, name: str, role: Role, password: str, entry: Entry, adopts: bool = False) -> Account: ...

    def change(self, name: str, values: Mapping[str, Any], entry: Entry) -> Account | None: ...

    def remove(self, name: str, entry: Entry) -> bool: ...

    def set_password(self, name: str, password: str, *entries: Entry) -> Account | None: ...

    def forget(self, name: str, keep_tokens: bool, entry: Entry) -> None: ...

    def known(self, of_tokens: Collection[str], of_sessions: Collection[str]) -> dict[str, Known]: ...

    def touch(self, used: Mapping[str, str]) -> None: ...

    def add_token(self, token: Token, digest: str, lasts: float | None, entry: Entry) -> Token: ...

    def tokens(self, account: str | None) -> list[Token]: ...

    def revoke(self, token_id: str, entry: Entry) -> bool: ...

    def add_session(self, session: Session, digest: str, password: str, entry: Entry) -> bool: ...

    def end_session(self, digest: str, entry: Entry) -> None: ...

    def add_device(self, digest: str, account: str) -> None: ...

    def knows_device(self, digest: str, account: str) -> bool: ...

    def begin_guess(self, counters: Sequence[Counter]) -> float: ...

    def forgive(self, counters: Sequence[Counter]) -> None: ...
