"""Presets: params of a kind of run that are kept under a name, and that its runs begin with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pitboss.core.errors import InvalidInput, NotFound, suggest
from pitboss.core.principal import Principal
from pitboss.runs.service import RunService

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,63}")


@dataclass(frozen=True, slots=True)
class Preset:
    """Some params of a kind; a run names others beside them, or instead."""

    owner: str
    kind: str
    name: str
    params: Mapping[str, Any]
    changed_at: float


class PresetStore(Protocol):
    """Where presets are kept, each owner's for themselves."""

    def put(self, owner: str, kind: str, name: str, params: dict[str, Any]) -> Preset:
        """Keep params under a name, in place of those that were."""

    def get(self, owner: str, kind: str, name: str) -> Preset | None: ...

    def all(self, owner: str) -> list[Preset]:
        """Answer an owner's, by kind and name."""

    def remove(self, owner: str, kind: str, name: str) -> bool:
        """Remove one; False where there is none."""


class Presets:
    """Keeps presets and puts them under the params of a request."""

    def __init__(self, store: PresetStore, service: RunService) -> None:
        self._store = store
        self._service = service

    def put(self, who: Principal, kind: str, name: str, params: Mapping[str, Any]) -> Preset:
        """Keep params under a name. Not all that a run needs have to be among them; those that are must hold. Raises
        InvalidInput with every mistake."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"'{name[:40]}' is no name", "1 to 64 letters, digits and . _ + -", "name")
        known = self._service.kinds.get(kind)
        if known is None:
            raise InvalidInput(f"there is no kind '{kind[:40]}'", suggest(kind, self._service.kinds), "kind")
        _, problems = known.read(params)
        wrong = [problem for problem in problems if (problem.where or "").partition(".")[0] in params]
        unknown = [problem for problem in problems if (problem.where or "") not in known.params.model_fields]
        if wrong or unknown:
            raise InvalidInput(list(dict.fromkeys([*wrong, *unknown])))
        return self._store.put(who.name, kind, name, dict(params))

    def get(self, who: Principal, kind: str, name: str) -> Preset:
        """Answer a preset. Raises NotFound."""
        found = self._store.get(who.name, kind, name)
        if found is None:
            known = [preset.name for preset in self._store.all(who.name) if preset.kind == kind]
            raise NotFound(f"there is no preset '{name[:40]}' of {kind[:40]}", suggest(name, known))
        return found

    def all(self, who: Principal, kind: str | None = None) -> list[Preset]:
        """Answer one's own presets, by kind and name."""
        return [preset for preset in self._store.all(who.name) if kind is None or preset.kind == kind]

    def remove(self, who: Principal, kind: str, name: str) -> None:
        """Remove a preset; runs that began with it keep their params. Raises NotFound."""
        self.get(who, kind, name)
        self._store.remove(who.name, kind, name)

    def under(self, who: Principal, kind: str, name: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer params with those of a preset for what they do not name; as they are without one. Raises NotFound."""
        return {**(self.get(who, kind, name).params if name else {}), **params}
