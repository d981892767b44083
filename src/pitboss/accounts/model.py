"""Accounts, and what programs and browsers come with in their place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pitboss.core.clock import to_iso
from pitboss.core.errors import InvalidInput
from pitboss.core.principal import LOCAL, Rights

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")


class _Level(StrEnum):
    """Names for levels of rights, the least first."""

    @property
    def rights(self) -> Rights:
        """What may be done at this level."""
        return Rights(1 + list(type(self)).index(self))


class Role(_Level):
    """What an account is for."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMINISTRATOR = "administrator"


class Scope(_Level):
    """How much of its account's rights a token carries, at most."""

    READ = "read"
    RUN = "run"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who can sign in. `is_local` marks whom commands on the server's own machine work for."""

    name: str
    role: Role
    is_enabled: bool
    is_local: bool
    password: str  # its hash, with the parameters; empty until one was chosen
    created_at: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "role": self.role.value,
            "is_enabled": self.is_enabled,
            "has_password": bool(self.password),
            "created_at": to_iso(self.created_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a program comes with. Of the token itself only its digest is kept, and the beginning to recognise it by."""

    id: str
    account: str
    name: str
    scope: Scope
    prefix: str
    created_at: float
    expires_at: float | None = None
    used_at: float | None = None
    used_from: str = ""
    revoked_at: float | None = None

    def is_live(self, now: float) -> bool:
        """Answer whether it opens anything at a time, seconds since 1970."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def as_dict(self) -> dict[str, Any]:
        moments = {name: getattr(self, name) for name in ("created_at", "expires_at", "used_at", "revoked_at")}
        return {
            "id": self.id, "account": self.account, "name": self.name, "scope": self.scope.value,
            "prefix": self.prefix, "used_from": self.used_from,
        } | {name: to_iso(at) if at is not None else None for name, at in moments.items()}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that has signed in; `id` names it without being what it comes with."""

    id: str
    account: str
    created_at: float
    used_at: float
    address: str
    agent: str


def checked_name(name: str) -> str:
    """Answer `name` if it can be an account's. Raises InvalidInput."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == LOCAL.name:
        what = f"'{str(name)[:40]}' cannot be the name of an account"
        raise InvalidInput(what, "1 to 63 small letters, digits and . _ @ -; 'local' is taken", "name")
    return name


def role_of(text: str) -> Role:
    """Read a role. Raises InvalidInput."""
    if text not in list(Role):
        raise InvalidInput(f"'{text[:40]}' is no role", f"write {', '.join(Role)}", "role")
    return Role(text)
