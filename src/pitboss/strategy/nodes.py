"""The YAML nodes of a document, read with the place of every mistake in its text."""

from __future__ import annotations

from typing import Any

import yaml

from pitboss.core.errors import Problem, suggest


class Nodes:
    """Walks the YAML nodes of one document and collects its mistakes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines() or [""]
        self.problems: list[Problem] = []

    def wrong(self, node: yaml.Node, message: str, remedy: str, where: str = "", at: int | None = None) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if at is not None:
            line, column = self.position(node, at)
        shown = self.lines[min(line, len(self.lines)) - 1].strip()[:200]
        self.problems.append(Problem(message, remedy, line, column, shown, where))

    def position(self, node: Any, at: int) -> tuple[int, int]:
        """Answer line and column (from 1) of character `at` of a scalar, however YAML folded it."""
        start = node.start_mark.index
        if node.style in ("|", ">"):
            start = self.text.index("\n", start) + 1
        elif node.style in ("'", '"'):
            start += 1
        # whitespace is all that folding changes, so the place is found by counting the rest
        wanted = sum(not character.isspace() for character in node.value[:at])
        is_end = not node.value[at:].strip()
        places = [i for i in range(start, node.end_mark.index) if not self.text[i].isspace()][: wanted + 1]
        index = start if not places else places[-1] if len(places) > wanted and not is_end else places[wanted - 1] + 1
        before = self.text[:index]
        return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1

    def mapping(self, node: yaml.Node, where: str, known: tuple[str, ...] = ()) -> dict[str, yaml.Node]:
        """Answer a mapping's values by key; report what is no mapping, double, or not `known`."""
        if not isinstance(node, yaml.MappingNode):
            if not (isinstance(node, yaml.ScalarNode) and node.value in ("", "none", "null", "~")):
                self.wrong(
                    node,
                    f"'{where}' is a mapping",
                    f"write '{where}:' and indented 'key: value' lines",
                    where,
                )
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in self._unsplit(node, where):
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if known and name not in known:
                self.wrong(key, f"unknown key '{name[:40]}'", suggest(name, known), where)
            elif name in found:
                self.wrong(key, f"'{name}' stands twice", "keep one of them", where)
            elif not name:
                self.wrong(key, "a key is missing", "write 'key: value'", where)
            else:
                found[name] = value
        return found

    def _unsplit(self, node: yaml.MappingNode, where: str) -> list[tuple[yaml.Node, yaml.Node]]:
        """Answer a mapping's pairs; of `{trend: sma(close, 200)}`, which YAML ends at the comma, report the pieces and
        put them together."""
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if pairs and node.flow_style and _is_rest(key, value) and isinstance(pairs[-1][1], yaml.ScalarNode):
                name, begun = pairs[-1]
                whole = f"{begun.value}, {key.value}"
                pairs[-1] = name, yaml.ScalarNode(begun.tag, whole, begun.start_mark, key.end_mark)
                if whole.count("(") == whole.count(")"):
                    remedy = f'quote it: {{{name.value}: "{whole}"}}'
                    self.wrong(begun, "in braces a comma ends the expression", remedy, where)
            else:
                pairs.append((key, value))
        return pairs

    def scalar(self, node: yaml.Node | None, where: str) -> str:
        if node is None:
            return ""
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(
                node,
                f"'{where}' is one value",
                "write it on one line; quote it if it holds ',' or ':'",
                where,
            )
            return ""
        return str(node.value).strip()


def _is_rest(key: yaml.Node, value: yaml.Node) -> bool:
    """Answer whether a key without a value is the rest of an expression."""
    is_bare = isinstance(value, yaml.ScalarNode) and not value.value
    return is_bare and isinstance(key, yaml.ScalarNode) and not key.value.isidentifier()
