"""The form of a screen: which screens there are to choose from, and what each of them can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.core.errors import InvalidInput
from pitboss.kinds.documents.form import parameter_fields
from pitboss.kinds.documents.prepare import Sources
from pitboss.runs.kinds import Params
from pitboss.screening.builtin import screen_text
from pitboss.screening.document import ScreenDocument
from pitboss.screening.reader import inspect_screen


def screen_form(model: type[Params], given: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    """Answer the schema of a form; see `runs.kinds.Kind.form`."""
    schema: dict[str, Any] = model.model_json_schema()
    fields = schema["properties"]
    known = sources.screens
    names = list(known)
    chosen = str(given.get("screen") or names[0])
    fields["screen"] |= {"choices": [{"value": name} for name in names], "refines": True, "is_text": True,
                         "default": names[0]}  # fmt: skip
    for name in ("date", "start", "end"):
        fields[name] |= {"format": "date"}
    document = _document(chosen, known)
    if document is not None:
        own = {name: spec for name, spec in document.parameters.items() if name not in fields}
        fields["parameters"] |= {"properties": parameter_fields(own)}
        for name in ("min_score", "min_volume_multiple"):
            if name not in document.parameters:
                del fields[name]
            else:
                fields[name] |= {"placeholder": f"{document.parameters[name].default.value:g}"}
    return schema


def _document(chosen: str, known: Mapping[str, str]) -> ScreenDocument | None:
    try:
        return inspect_screen(screen_text(chosen, known))[0]
    except InvalidInput:
        return None
