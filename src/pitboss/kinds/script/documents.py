"""Scripts as programs see them."""

from __future__ import annotations

from typing import Any

from pitboss.core.principal import Principal
from pitboss.kinds.script.registry import Script


def script_document(script: Script, who: Principal) -> dict[str, Any]:
    """Answer a script as JSON; where it stands and what its variables are is for operators."""
    declared = script.declaration.model_dump(mode="json")
    if not who.is_operator:
        declared["environment"] = dict.fromkeys(declared["environment"], "…")
        return {"name": script.name, "path": script.path.name} | declared
    return {"name": script.name, "path": str(script.path)} | declared
