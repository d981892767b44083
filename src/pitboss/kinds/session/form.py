"""The form of a session: which traders, symbols and strategies there are to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.kinds.documents.form import symbol_choices
from pitboss.kinds.session.prepare import Sources
from pitboss.runs.kinds import Params


def session_form(model: type[Params], given: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    """Answer the schema of a form; see `runs.kinds.Kind.form`."""
    schema: dict[str, Any] = model.model_json_schema()
    fields = schema["properties"]
    traders = sources.traders.all()
    named = [{"value": each.name, "label": each.name, "about": each.agent["type"]} for each in traders]
    fields["trader"] |= {"choices": named, "refines": True} | ({"default": named[0]["value"]} if named else {})
    symbols = symbol_choices(sources.bars.all())
    fields["symbols"] |= {"choices": symbols} | ({"default": [symbols[0]["value"]]} if len(symbols) == 1 else {})
    fields["mode"] |= {"refines": True}
    is_daily = given.get("mode") == "daily"
    for name in ("date", "start", "end"):
        fields[name] |= {"format": "date"}
    for name in ("date", "session") if is_daily else ("start", "end"):
        del fields[name]
    chosen = next(
        (each for each in traders if given.get("trader") in (each.name, each.id)), traders[0] if traders else None
    )
    kept = {"rules": ("strategy", "parameters"), "llm": ("model", "instructions", "parameters")}
    for name in {"model", "instructions", "strategy", "parameters"} - set(
        kept.get(chosen.agent["type"], ()) if chosen is not None else ()
    ):
        del fields[name]
    return schema
