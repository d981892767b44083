"""The form of a script's run: which scripts there are, and what the chosen one asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.core.errors import PitbossError
from pitboss.kinds.script.declaration import ParamSpec
from pitboss.kinds.script.prepare import Sources
from pitboss.runs.kinds import Params

_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"}, "integer": {"type": "integer"}, "number": {"type": "number"},
    "boolean": {"type": "boolean"}, "file": {"type": "string"}, "folder": {"type": "string"},
    "list": {"type": "array", "items": {"type": "string"}},
}  # fmt: skip


def script_form(model: type[Params], given: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    """Answer the schema of a form; see `runs.kinds.Kind.form`."""
    schema: dict[str, Any] = model.model_json_schema()
    fields = schema["properties"]
    found, _ = sources.scripts.all()
    fields["script"] |= {
        "choices": [{"value": each.name, "about": each.declaration.title} for each in found], "refines": True,
        **({"default": found[0].name} if found else {}),
    }  # fmt: skip
    chosen = str(given.get("script") or (found[0].name if found else ""))
    try:
        declared = sources.scripts.get(chosen).declaration.params
    except PitbossError:  # the form itself tells that there is none of that name
        return schema
    fields |= {name: _field(name, spec) for name, spec in declared.items()}
    schema["required"] = ["script", *(name for name, spec in declared.items() if spec.required)]
    return schema


def _field(name: str, spec: ParamSpec) -> dict[str, Any]:
    described: dict[str, Any] = {"title": spec.title or name, "description": spec.description, **_TYPES[spec.type]}
    described |= {"unit": spec.unit} if spec.unit else {}
    described |= {"default": spec.default} if spec.default is not None else {}
    described |= {"enum": spec.choices} if spec.choices else {}
    bounds = {"minimum": spec.minimum, "maximum": spec.maximum}
    return described | {key: value for key, value in bounds.items() if value is not None}
