"""YAML that people write, read safely and with positions: no anchors, no tags, no depth that nobody needs."""

from __future__ import annotations

from typing import Any

import yaml

from pitboss.core.errors import InvalidInput, Problem

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_DEPTH = 8
_QUOTE = "put a text, or what only looks like a date, into quotes"


def compose(text: str, most_depth: int = MOST_DEPTH) -> yaml.Node | None:
    """Answer the nodes of a text, None when it is empty. Raises InvalidInput with the position of what is wrong."""
    try:
        unsafe = _unsafe(text, most_depth)
        if unsafe is not None:
            raise InvalidInput(unsafe)
        root: yaml.Node | None = yaml.compose(text, Loader=LOADER)
        return root
    except yaml.MarkedYAMLError as error:
        remedy = "check the indentation, and quote expressions with ': ', '#', or in braces ',' or '['"
        raise InvalidInput(_problem(f"not valid YAML: {error.problem}", remedy, error.problem_mark)) from None
    except yaml.YAMLError as error:
        told = Problem(f"not valid YAML: {str(error).splitlines()[0]}", "remove control characters")
        raise InvalidInput(told) from None


def load(text: str, most_depth: int = MOST_DEPTH) -> Any:
    """Answer the values of a text. Raises InvalidInput as `compose` does, and for what is no value: a date that there
    is not, a list for a key."""
    compose(text, most_depth)
    try:
        return yaml.load(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        raise InvalidInput(_problem(f"this has no value: {error.problem}", _QUOTE, error.problem_mark)) from None
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"something has no value: {error}", _QUOTE) from None


def _problem(message: str, remedy: str, mark: Any) -> Problem:
    return Problem(message, remedy, mark.line + 1, mark.column + 1) if mark else Problem(message, remedy)


def _unsafe(text: str, most_depth: int) -> Problem | None:
    """Answer the first of what people's texts have no use for: aliases, anchors, tags, deep nesting, more documents."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=LOADER):
        mark: Any = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            return Problem("YAML anchors and aliases are not allowed", "write the value out", line, column)
        if tag := getattr(event, "tag", None):
            return Problem(f"the YAML tag '{tag}' is not allowed", "remove it", line, column)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > most_depth:
            return Problem("the document is nested too deeply", f"at most {most_depth} levels", line, column)
        if documents > 1:
            return Problem("there is more than one document", "remove the '---'", line, column)
    return None
