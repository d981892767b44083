"""The JSON Schema of strategy documents: for editors of others, which check and complete by it.

It tells the shape; what an expression says is checked by `strategy.reader` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.strategy.document import SIZINGS, WHEN_SHORT
from pitboss.strategy.training import CLASS_WEIGHTS, LABELS, MODELS, SAMPLE_WEIGHTS, VALIDATIONS, Choice

Schema = dict[str, Any]
_EXPRESSION: Schema = {"type": ["string", "number", "boolean"]}
_NUMBER: Schema = {"type": ["number", "string"]}
_TEXT: Schema = {"type": "string"}
_ANY = {"type": ["string", "number", "null"]}


def _one_of(known: Mapping[str, Choice], needs: tuple[str, ...] = ()) -> Schema:
    """Answer the schema of what is chosen of several kinds, each with its own numbers and expressions."""
    return {"oneOf": [
        {"type": "object", "additionalProperties": False, "required": ["type"] if needs else [], "description":
         choice.summary, "properties": {
            "type": {"const": name}, **dict.fromkeys(choice.settings, _NUMBER),
            **dict.fromkeys(choice.expressions, _EXPRESSION), **{key: {"type": "boolean"} for key in choice.flags}}}
        for name, choice in known.items()
    ]}  # fmt: skip


SECTIONS: Mapping[str, Mapping[str, tuple[str, Schema]]] = {
    "entry": {
        "long": ("the condition to buy", _EXPRESSION),
        "short": ("the condition to sell short", _EXPRESSION),
        "order": ("how an entry waits: limit, stop, expiry in bars", {"type": "object"}),
        "windows": ("times of the day in which entries may fill, such as 09:30-11:30",
                    {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}),
        "cooldown": ("bars to wait after an exit", _NUMBER),
        "max_positions": ("how many may be open at once", _NUMBER),
    },
    "exit": {
        "long": ("the condition to sell what was bought", _EXPRESSION),
        "short": ("the condition to buy back", _EXPRESSION),
        "at": ("the time of the day at which positions are left, such as 15:55", _TEXT),
    },
    "risk": {
        "stop_loss": ("distance from the fill at which a loss is taken: 2 * atr(14) or 3%", _ANY),
        "take_profit": ("distance at which a profit is taken; or a list of {at, share}",
                        {"anyOf": [_ANY, {"type": "array", "items": {"type": "object"}}]}),
        "trailing_stop": ("distance from the best price so far", _ANY),
        "max_bars": ("bars after which a position is left", _NUMBER),
    },
    "sizing": {
        "type": ("what the value is of", {"enum": list(SIZINGS)}),
        "value": ("cash, quantity, a fraction of equity, or the fraction at risk", _NUMBER),
        "lot": ("quantities are multiples of it; 0 is fractional", _NUMBER),
        "leverage": ("how many times the equity positions may be worth", _NUMBER),
        "maintenance": ("fraction of their worth that equity must keep", _NUMBER),
        "when_short": ("what becomes of an entry that cannot be paid in full", {"enum": list(WHEN_SHORT)}),
    },
    "costs": {
        "commission": ("fraction of the notional on both sides, such as 0.02%", _NUMBER),
        "slippage": ("fraction of the price on both sides", _NUMBER),
        "per_share": ("money for each unit", _NUMBER),
        "per_order": ("money for each order", _NUMBER),
        "minimum": ("least commission of an order, money", _NUMBER),
        "borrow": ("fraction a year, on shorts", _NUMBER),
        "margin_interest": ("fraction a year, on cash that is owed", _NUMBER),
    },
    "train": {
        "features": ("what the model is told at each bar, named expressions",
                     {"type": "object", "additionalProperties": _EXPRESSION}),
        "label": ("what it learns to tell, which alone may look forward", _one_of(LABELS, ("type",))),
        "model": ("what learns", _one_of(MODELS)),
        "validation": ("how it is tested on what it has not learned from", _one_of(VALIDATIONS)),
        "class_weights": ("whether a rare class weighs more", {"enum": list(CLASS_WEIGHTS)}),
        "sample_weights": ("whether a bar weighs less whose label overlaps others", {"enum": list(SAMPLE_WEIGHTS)}),
        "seed": ("of what is random; one that the text decides without", {"type": "integer"}),
    },
}  # fmt: skip
TOP: Mapping[str, tuple[str, Schema]] = {
    "name": ("by which it is stored", {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"}),
    "description": ("what it is about", _TEXT),
    "source": ("where the idea comes from", _TEXT),
    "timeframe": ("length of a bar, such as 5m, 1h, 1d", _TEXT),
    "parameters": ("numbers that a run may override, with default, low and high",
                   {"type": "object", "additionalProperties": {"anyOf": [_NUMBER, {
                       "type": "object", "required": ["default"], "additionalProperties": False,
                       "properties": {"default": _NUMBER, "low": _NUMBER, "high": _NUMBER}}]}}),
    "indicators": ("named expressions; start and next make a recursive one",
                   {"type": "object", "additionalProperties": {"anyOf": [_EXPRESSION, {
                       "type": "object", "required": ["start", "next"], "additionalProperties": False,
                       "properties": {"start": _EXPRESSION, "next": _EXPRESSION}}]}}),
    "where": ("what the parameters of a grid must fulfil, such as fast < slow", _EXPRESSION),
    "timezone": ("of its clocks, such as America/New_York", _TEXT),
    "session": ("whose days it follows: 24x7, an exchange such as XNYS, or a rule", _TEXT),
}  # fmt: skip


def document_schema() -> Schema:
    """Answer the schema, JSON Schema draft 2020-12."""
    properties = {name: {**shape, "description": meaning} for name, (meaning, shape) in TOP.items()}
    for section, fields in SECTIONS.items():
        properties[section] = {
            "type": "object", "additionalProperties": False,
            "properties": {name: {**shape, "description": meaning} for name, (meaning, shape) in fields.items()},
        }  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "pitboss strategy", "type": "object",
        "required": ["name"], "additionalProperties": False, "properties": properties,
    }  # fmt: skip
