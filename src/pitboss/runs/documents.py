"""Kinds as programs and people see them."""

from __future__ import annotations

import json
from typing import Any

from pitboss.runs.kinds import Kind


def kind_document(kind: Kind) -> dict[str, Any]:
    """Answer a kind as JSON: its title, the JSON Schema of its params, examples, and how it runs."""
    schema = kind.params.model_json_schema()
    return {
        "name": kind.name,
        "title": kind.title,
        "resource": kind.resource,
        "is_resumable": kind.is_resumable,
        "source": kind.source,
        "params": schema,
        "examples": schema.get("examples", []),
    }


def param_rows(kind: Kind) -> list[list[str]]:
    """Answer a kind's params as rows: name, type, default, meaning."""
    schema = kind.params.model_json_schema()
    required = schema.get("required", ())
    return [
        [
            name,
            _type_of(described),
            "needed" if name in required else json.dumps(described.get("default")),
            described.get("description", described.get("title", "")),
        ]
        for name, described in schema.get("properties", {}).items()
    ]


def _type_of(described: dict[str, Any]) -> str:
    if "enum" in described:
        return "one of " + ", ".join(map(str, described["enum"]))
    if "anyOf" in described:
        return " or ".join(dict.fromkeys(_type_of(each) for each in described["anyOf"] if each.get("type") != "null"))
    bounds = [f"{sign} {described[key]}" for key, sign in _BOUNDS.items() if key in described]
    return " ".join([str(described.get("type", "any")), *bounds])


_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
