"""The form of a run of a document: which strategies, bars and parameters there are to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe
from pitboss.kinds.documents.prepare import Sources
from pitboss.market.catalog import Series
from pitboss.runs.kinds import Params
from pitboss.strategy.document import Document, ParameterSpec
from pitboss.strategy.expression import Number
from pitboss.strategy.reader import inspect_document
from pitboss.strategy.reference import StrategyRef
from pitboss.strategy.starters import starters

STEPS = 9  # of a parameter's range, that a grid proposes


def document_form(model: type[Params], given: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    """Answer the schema of a form; see `runs.kinds.Kind.form`."""
    schema: dict[str, Any] = model.model_json_schema()
    fields = schema["properties"]
    names = sources.strategies.names()
    proposed = names[0] if names else next(iter(starters().values()))
    chosen = str(given.get("strategy") or proposed)
    series = sources.bars.all()
    fields["strategy"] |= {"choices": [{"value": name} for name in names], "refines": True, "is_text": True,
                           "default": proposed}  # fmt: skip
    symbols = symbol_choices(series)
    fields["symbols"] |= {"choices": symbols} | ({"default": [symbols[0]["value"]]} if len(symbols) == 1 else {})
    lengths = {each.timeframe: parse_timeframe(each.timeframe) for each in series}
    fields["timeframe"] |= {"suggestions": sorted(lengths, key=lambda text: lengths[text])}
    for name in ("start", "end"):
        fields[name] |= {"format": "date"}
    document = _document(chosen, sources)
    if document is not None:
        fields["parameters"] |= {"properties": parameter_fields(document.parameters)}
        fields["timeframe"] |= {"placeholder": str(document.timeframe or "")}
        if "grid" in fields:
            ranges = {name: _range(spec) for name, spec in document.parameters.items()}
            fields["grid"] |= {"type": "object", "properties": ranges}
    return schema


def _document(chosen: str, sources: Sources) -> Document | None:
    try:
        return inspect_document(StrategyRef.remote(chosen).text(sources.strategies))[0] if chosen else None
    except InvalidInput:
        return None


def symbol_choices(series: list[Series]) -> list[dict[str, Any]]:
    """Answer each symbol once, with what there is of it."""
    found: dict[str, dict[str, Any]] = {}
    for each in series:
        symbol = found.setdefault(
            each.symbol, {"value": each.symbol, "from": each.first, "to": each.last, "timeframes": [], "rows": 0}
        )
        symbol["from"], symbol["to"] = min(symbol["from"], each.first), max(symbol["to"], each.last)
        symbol["timeframes"].append(each.timeframe)
        symbol["rows"] = max(symbol["rows"], each.rows)
        symbol["is_synthetic"] = each.is_synthetic
    for symbol in found.values():
        between = f"{micros_to_iso(symbol['from'])[:10]} to {micros_to_iso(symbol['to'])[:10]}"
        kind = ", synthetic" if symbol["is_synthetic"] else ""
        symbol["about"] = (
            f"{', '.join(dict.fromkeys(symbol['timeframes']))} · {between} · {symbol['rows']:,} bars{kind}"
        )
    return list(found.values())


def parameter_fields(specs: Mapping[str, ParameterSpec]) -> dict[str, Any]:
    """Answer the schema of a field for each of a document's parameters."""
    return {name: _parameter(spec) for name, spec in specs.items()}


def _parameter(spec: ParameterSpec) -> dict[str, Any]:
    described: dict[str, Any] = {"type": ["number", "string"], "placeholder": _shown(spec.default)}
    if spec.low is not None and spec.high is not None:
        scale = 100 if spec.default.is_percent else 1
        unit = "%" if spec.default.is_percent else ""
        described["description"] = f"{scale * spec.low:g}{unit} to {scale * spec.high:g}{unit}"
    return described


def _range(spec: ParameterSpec) -> dict[str, Any]:
    """Answer what a grid asks of a parameter: low, high and step, of its own range where it has one."""
    proposed = {"low": "", "high": "", "step": ""}
    if spec.low is not None and spec.high is not None:
        step = (spec.high - spec.low) / STEPS
        step = max(1, round(step)) if spec.is_whole else float(f"{step:.2g}")
        proposed = {name: f"{value:g}" for name, value in (("low", spec.low), ("high", spec.high), ("step", step))}
    parts = {name: {"type": ["number", "string"], "placeholder": value} for name, value in proposed.items()}
    return {"type": "object", "properties": parts, "all_or_none": True}


def _shown(value: Number) -> str:
    return f"{100 * value.value:g}%" if value.is_percent else f"{value.value:g}"
