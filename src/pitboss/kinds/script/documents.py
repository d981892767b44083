"""Scripts as programs see them."""

from __future__ import annotations

from typing import Any

from pitboss.kinds.script.registry import Script


def script_document(script: Script) -> dict[str, Any]:
    """Answer a script as JSON."""
    declared = script.declaration.model_dump(mode="json")
    return {"name": script.name, "path": str(script.path)} | declared
