"""Forms out of schemas: the fields that a kind's params ask for, and what was written into them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pitboss.core.errors import InvalidInput, Problem
from pitboss.core.yamltext import load

MOST_DEPTH = 16
_LISTED = re.compile(r"[,\n]")
Given = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a form. `name` is that of its input, parts of an object go by `costs.commission`.

    `sort` is text, number, boolean, choice, choices (several), list, object (of `parts`), mapping (any names), or
    document.
    """

    name: str
    title: str
    sort: str
    description: str = ""
    value: Any = None
    is_required: bool = False
    refines: bool = False
    unit: str = ""
    placeholder: str = ""
    minimum: float | None = None
    maximum: float | None = None
    is_whole: bool = False
    format: str = ""
    choices: Sequence[Mapping[str, Any]] = ()
    suggestions: Sequence[str] = ()
    parts: Sequence[Field] = ()
    default: Any = None

    @property
    def id(self) -> str:
        return "field-" + re.sub(r"[^A-Za-z0-9]+", "-", self.name)

    @property
    def text(self) -> str:
        """The value as it stands in an input."""
        if self.value is None:
            return ""
        if self.sort == "list" and isinstance(self.value, list | tuple):
            return ", ".join(map(_shown, self.value))
        return _shown(self.value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


@dataclass(frozen=True)
class Form:
    """The fields of a kind, those that most people fill in first and the others."""

    fields: Sequence[Field]
    errors: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    others: Sequence[Problem] = ()

    def error_of(self, name: str) -> Sequence[Problem]:
        """Answer what is wrong with a field, and with its parts."""
        return [each for key, found in self.errors.items() if key == name for each in found]


def form_of(schema: Mapping[str, Any], values: Mapping[str, Any], problems: Sequence[Problem] = ()) -> Form:
    """Answer the form of a schema with values in it; each problem stands at its field, where it has one."""
    required = schema.get("required", ())
    fields = [
        _field(name, described, values.get(name), name in required, schema.get("$defs", {}))
        for name, described in schema.get("properties", {}).items()
    ]
    names = {each.name for top in fields for each in (top, *top.parts, *(p for part in top.parts for p in part.parts))}
    errors: dict[str, list[Problem]] = {}
    others = []
    for problem in problems:
        place = _place(problem, names)
        if place:
            errors.setdefault(place, []).append(problem)
        else:
            others.append(problem)
    return Form(fields, errors, others)


def _place(problem: Problem, names: set[str]) -> str:
    """Answer the field that a problem is about: what has a line is about the document."""
    where = "strategy" if problem.line and "strategy" in names else problem.where.removeprefix("params.")
    while where and where not in names:
        where = where.rpartition(".")[0]
    return where


def _field(name: str, described: Mapping[str, Any], value: Any, is_required: bool, defs: Mapping[str, Any]) -> Field:
    described = _resolved(described, defs)
    default = described.get("default")
    shown = default if value is None else value
    examples = described.get("examples") or [None]
    example = examples[0]
    sort = _sort(described, shown)
    parts: list[Field] = []
    if sort == "object":
        inner = shown if isinstance(shown, Mapping) else {}
        parts = [
            _field(f"{name}.{key}", part, inner.get(key), False, defs) for key, part in described["properties"].items()
        ]
    return Field(
        name=name, title=str(described.get("title") or name.rpartition(".")[2].replace("_", " ").capitalize()),
        sort=sort, description=str(described.get("description", "")), value=shown, is_required=is_required,
        refines=bool(described.get("refines")), unit=str(described.get("unit", "")), default=default,
        placeholder=str(described.get("placeholder") or ("" if example is None else _shown(example))),
        minimum=described.get("minimum", described.get("exclusiveMinimum")),
        maximum=described.get("maximum", described.get("exclusiveMaximum")),
        is_whole=described.get("type") == "integer", format=str(described.get("format", "")),
        choices=_choices(described), suggestions=described.get("suggestions", ()), parts=parts,
    )  # fmt: skip


def _resolved(described: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer a property without what leads elsewhere, and of alternatives the first that is not null."""
    if "$ref" in described:
        return {**defs.get(str(described["$ref"]).rpartition("/")[2], {}), **described}
    options = [option for option in described.get("anyOf", ()) if option.get("type") != "null"]
    if options and "type" not in described:
        return {**_resolved(options[0], defs), **{key: each for key, each in described.items() if key != "anyOf"}}
    return described


def _choices(described: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if "choices" in described:
        return list(described["choices"])
    return [{"value": value} for value in described.get("enum", ())]


def _sort(described: Mapping[str, Any], value: Any) -> str:
    if described.get("is_text") and (not described.get("choices") or (isinstance(value, str) and "\n" in value)):
        return "document"
    kind = described.get("type")
    if kind == "array":
        return "choices" if "choices" in described else "list"
    if "choices" in described or "enum" in described:
        return "choice"
    if kind == "object":
        return "object" if described.get("properties") else "mapping"
    if kind == "boolean":
        return "boolean"
    return "number" if kind in ("integer", "number") else "text"


def read_form(form: Form, given: Given) -> dict[str, Any]:
    """Answer params as they were written into the fields of a form; what is empty is left out.

    Raises InvalidInput for what cannot be read at all; what it says is for the kind to check.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for each in form.fields:
        try:
            value = _read(each, given)
        except InvalidInput as error:
            problems += [Problem(problem.message, problem.remedy, where=each.name) for problem in error.problems]
            continue
        if _is_given(value) or (value is False and each.default):
            values[each.name] = value
    if problems:
        raise InvalidInput(problems)
    return values


def _read(asked: Field, given: Given) -> Any:
    texts = [text.replace("\r\n", "\n") for text in given.get(asked.name, ())]
    text = texts[0].strip() if texts else ""
    match asked.sort:
        case "choices":
            return [each for each in texts if each]
        case "list":
            return [_number(part.strip()) for part in _LISTED.split(text) if part.strip()]
        case "boolean":
            return text == "true"
        case "object":
            parts = {part.name.rpartition(".")[2]: _read(part, given) for part in asked.parts}
            return {name: value for name, value in parts.items() if _is_given(value)}
        case "mapping":
            return _mapping(asked, text)
        case "document":
            return texts[0] if texts else ""
        case "choice" if asked.choices and all(isinstance(each["value"], int | float) for each in asked.choices):
            return _number(text)
        case "number" | "text" if asked.sort == "number" or asked.name.count("."):
            return _number(text)
    return text


def _is_given(value: Any) -> bool:
    """Answer whether something stands in a field: nought does."""
    return value is not None and value is not False and value not in ("", [], {})


def as_written(asked: Sequence[Field], given: Given) -> dict[str, Any]:
    """Answer what was written into fields, unread, so that nothing has to be written again."""
    found: dict[str, Any] = {}
    for each in asked:
        texts = given.get(each.name)
        if each.sort == "object" and (parts := as_written(each.parts, given)):
            found[each.name] = {name.rpartition(".")[2]: value for name, value in parts.items()}
        elif texts:
            found[each.name] = list(texts) if each.sort == "choices" else ", ".join(texts)
    return found


def _number(text: str) -> Any:
    """Answer a number where a text is one; what is none is left for the kind to refuse in its own words."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def _mapping(asked: Field, text: str) -> Any:
    if not text:
        return {}
    found = load(text, MOST_DEPTH)
    if not isinstance(found, dict):
        raise InvalidInput(f"'{text[:40]}' is no mapping", "write name: value, one a line", asked.name)
    try:
        return json.loads(json.dumps(found, default=str))
    except TypeError:
        raise InvalidInput("a name in it is no text", "write name: value, one a line", asked.name) from None
