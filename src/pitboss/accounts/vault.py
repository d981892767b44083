"""Secrets that jobs need: set by their owner, told to nobody, handed by name to the runs that ask for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pitboss.accounts.ports import Audit, Entry
from pitboss.core.clock import to_iso
from pitboss.core.errors import InvalidInput, NotFound, Problem, suggest
from pitboss.core.masking import SHORTEST
from pitboss.core.principal import LOCAL, Principal
from pitboss.core.sealing import Seal

LONGEST = 32_768  # bytes
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """That there is a secret of a name; what it is stays sealed."""

    name: str
    created_at: float
    updated_at: float

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "created_at": to_iso(self.created_at), "updated_at": to_iso(self.updated_at)}


class SecretStore(Protocol):
    """Keeps sealed secrets, each owner's for themselves."""

    def put(self, owner: str, name: str, sealed: bytes) -> Secret: ...

    def all(self, owner: str) -> list[Secret]: ...

    def sealed(self, owner: str, names: Collection[str]) -> Mapping[str, bytes]: ...

    def remove(self, owner: str, name: str) -> bool: ...


class Vault:
    """Keeps somebody's secrets. Safe to use from any thread."""

    def __init__(self, store: SecretStore, seal: Seal, audit: Audit) -> None:
        self._store = store
        self._seal = seal
        self._audit = audit

    def put(self, who: Principal, name: str, value: str) -> Secret:
        """Keep a secret under a name, in place of what was there. Raises InvalidInput, StorageUnavailable."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            what = f"'{str(name)[:40]}' cannot be the name of a secret"
            raise InvalidInput(what, "letters, digits and _, such as POLYGON_KEY", "name")
        size = len(value.encode("utf-8", "surrogateescape"))
        if not SHORTEST <= size <= LONGEST or "\x00" in value:
            raise InvalidInput(
                f"a secret has {SHORTEST} to {LONGEST:,} bytes and no NUL, this one {size:,}",
                "one that is shorter could not be told from other text, and so not be masked", "value",
            )  # fmt: skip
        made = self._store.put(who.name, name, self._seal.seal(value, name))
        self._note(who, "secrets.set", name)
        return made

    def all(self, who: Principal) -> list[Secret]:
        """Answer which secrets somebody has, by name."""
        return self._store.all(who.name)

    def remove(self, who: Principal, name: str) -> None:
        """Remove a secret. Raises NotFound."""
        if not self._store.remove(who.name, name):
            raise NotFound(f"there is no secret '{name[:64]}'", suggest(name, [each.name for each in self.all(who)]))
        self._note(who, "secrets.remove", name)

    def missing(self, who: Principal, names: Collection[str]) -> list[Problem]:
        """Answer a problem for each name of which somebody has no secret."""
        known = {each.name for each in self.all(who)} if names else set()
        return [
            Problem(f"there is no secret '{name}'", f"set it: pitboss secrets set {name}", where="secrets")
            for name in names
            if name not in known
        ]

    def values(self, owner: str, names: Collection[str]) -> dict[str, str]:
        """Answer what the secrets of a run's owner are, for its process. Raises NotFound, StorageUnavailable."""
        found = self._store.sealed(owner, names)
        for name in names:
            if name not in found:
                raise NotFound(f"the secret '{name}' is gone", f"set it again: pitboss secrets set {name}")
        return {name: self._seal.open(found[name], name) for name in names}

    def _note(self, who: Principal, action: str, name: str) -> None:
        if who != LOCAL:
            self._audit.record([Entry.of(who, action, name)])
