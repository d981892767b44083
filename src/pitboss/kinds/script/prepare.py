"""A script's run: checked against the declaration, its sources fixed."""

from __future__ import annotations

import platform
from typing import Any, Protocol

from pitboss.core.errors import InvalidInput, NotFound
from pitboss.kinds.script.params import ScriptParams
from pitboss.kinds.script.registry import Scripts
from pitboss.runs.kinds import Prepared, Secrets


class Sources(Protocol):
    """Where scripts come from."""

    @property
    def scripts(self) -> Scripts: ...

    @property
    def secrets(self) -> Secrets: ...


def prepare(params: ScriptParams, sources: Sources) -> Prepared:
    """Check the params of a script and fix what will be run. Raises InvalidInput with every mistake."""
    try:
        script = sources.scripts.get(params.script)
    except NotFound as error:
        raise InvalidInput(error.message, error.remedy, "script") from None
    values, problems = script.declaration.check(params.own)
    located, missing = sources.scripts.located(script, values)
    unknown = sources.secrets.missing(script.declaration.secrets)
    if problems or missing or unknown:
        raise InvalidInput([*problems, *missing, *unknown])
    script.command(located)
    snapshot: dict[str, Any] = {
        "script": {"name": script.name, "path": str(script.path), "digest": script.digest()},
        "values": located,
        "versions": {"python": platform.python_version()},
    }
    if script.declaration.secrets:
        snapshot["secrets"] = script.declaration.secrets
    return Prepared(f"script/{script.name}", snapshot)
