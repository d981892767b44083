"""Versions of models: what there is of each, and which of them a name means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pitboss.core.errors import Conflict, InvalidInput, NotFound, suggest
from pitboss.core.principal import Principal

CHAMPION = "champion"
FINAL = "!final"
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a model: its run has its files, `digest` is that of its manifest; `described` is what of that is
    kept at hand. `aliases` point at it."""

    name: str
    version: int
    owner: str
    run: str
    digest: str
    is_partial: bool
    described: Mapping[str, Any]
    created_at: float
    aliases: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "version": self.version, "run": self.run, "digest": self.digest,
            "is_partial": self.is_partial, "aliases": list(self.aliases), "created_at": self.created_at,
            **self.described,
        }  # fmt: skip


class ModelStore(Protocol):
    """Keeps versions. A run adds its own when it ends."""

    def versions(self, owner: str, name: str | None = None) -> list[ModelVersion]:
        """Answer somebody's versions, of one model or of all, by name and number."""

    def point(self, owner: str, name: str, alias: str, version: int) -> None:
        """Have an alias point at a version."""

    def remove(self, owner: str, name: str, version: int) -> None:
        """Forget a version, and the aliases that point at it."""


class Registry:
    """Answers and orders versions of models. Whoever asks comes first: those of others are not found."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def all(self, who: Principal) -> list[ModelVersion]:
        """Answer all versions, by name and number."""
        return self._store.versions(who.name)

    def versions(self, who: Principal, name: str) -> list[ModelVersion]:
        """Answer the versions of a model, oldest first. Raises NotFound."""
        found = self._store.versions(who.name, name)
        if not found:
            names = sorted({version.name for version in self._store.versions(who.name)})
            remedy = suggest(name, names) if names else "train one: pitboss train"
            raise NotFound(f"there is no model '{name[:64]}'", remedy)
        return found

    def find(self, who: Principal, reference: str) -> ModelVersion:
        """Answer the version that `name`, `name@alias` or `name@3` means; a bare name is its champion. Raises
        NotFound."""
        name, _, which = reference.removesuffix(FINAL).partition("@")
        versions = self.versions(who, name)
        which = which or CHAMPION
        found = next((each for each in versions if which in (str(each.version), *each.aliases)), None)
        if found is not None:
            return found
        known = [*(str(each.version) for each in versions), *(alias for each in versions for alias in each.aliases)]
        what = f"'{name}' has no version '{which}'"
        if which == CHAMPION:  # nothing but what cancels kept
            what = f"'{name}' has no champion yet"
            raise NotFound(what, f"name a version: {name}@{versions[-1].version}, or promote it")
        raise NotFound(what, f"there are {', '.join(known)}")

    def promote(self, who: Principal, reference: str, alias: str = CHAMPION) -> ModelVersion:
        """Have an alias point at a version. Raises NotFound, InvalidInput."""
        if not _ALIAS.fullmatch(alias):
            raise InvalidInput(f"{alias!r:.40} is no alias", "write letters, digits, _ and -, a letter first", "alias")
        found = self.find(who, reference)
        self._store.point(who.name, found.name, alias, found.version)
        return self.find(who, found.label)

    def remove(self, who: Principal, reference: str) -> ModelVersion:
        """Forget a version. Raises NotFound, and Conflict for the champion while there are others."""
        found = self.find(who, reference)
        if CHAMPION in found.aliases and len(self.versions(who, found.name)) > 1:
            raise Conflict(f"{found.label} is the champion", "promote another first")
        self._store.remove(who.name, found.name, found.version)
        return found
