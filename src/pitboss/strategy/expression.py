"""The expression language: its nodes and its parser. Python-like, bounded, never evaluated as Python.

expression := or-expression with `and`, `or`, `not`, one comparison `< <= > >= == !=`, `+ - * /`, unary `-`
postfix    := name | number | number% | "text" | name(arguments) | x[offset] | x.line | (expression)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_LENGTH = 4_000
MAX_DEPTH = 48
MAX_OPERATORS = 100

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?P<percent>\s*%)?"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<text>\"[^\"\n]*\"|'[^'\n]*')"
    r"|(?P<op><=|>=|==|!=|[-+*/<>()\[\],.=]))"
)
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


class ExpressionError(Exception):
    """A mistake in an expression: the character offset it stands at, its length, and the remedy."""

    def __init__(self, message: str, remedy: str, offset: int, length: int = 1) -> None:
        super().__init__(message)
        self.message, self.remedy, self.offset, self.length = message, remedy, offset, length


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of an expression; `at` is its offset in the text, not part of its identity."""

    at: int = field(compare=False)

    def children(self) -> tuple[Node, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Number(Node):
    value: float
    is_percent: bool = False


@dataclass(frozen=True, slots=True)
class Text(Node):
    value: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...] = ()

    def children(self) -> tuple[Node, ...]:
        return self.arguments + tuple(value for _, value in self.keywords)


@dataclass(frozen=True, slots=True)
class Line(Node):
    """`base.name`: one line of an indicator with several, or a price of another symbol."""

    base: Node
    name: str

    def children(self) -> tuple[Node, ...]:
        return (self.base,)


@dataclass(frozen=True, slots=True)
class Offset(Node):
    """`base[bars]`: the value so many bars before."""

    base: Node
    bars: Node

    def children(self) -> tuple[Node, ...]:
        return (self.base, self.bars)


@dataclass(frozen=True, slots=True)
class Unary(Node):
    op: str
    operand: Node

    def children(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Binary(Node):
    op: str
    left: Node
    right: Node

    def children(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Past(Node):
    """A recursive indicator's own value a bar ago."""

    name: str


@dataclass(frozen=True, slots=True)
class Recursive(Node):
    """An indicator made of its own past: where there is none it is `start`, else `following`."""

    name: str
    start: Node
    following: Node

    def children(self) -> tuple[Node, ...]:
        return (self.start, self.following)


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and everything under it."""
    yield node
    for child in node.children():
        yield from walk(child)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int
    is_percent: bool = False


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if not match:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            raise ExpressionError(f"unexpected character '{text[start]}'", _character_remedy(text[start]), start)
        kind = match.lastgroup if match.lastgroup != "percent" else "number"
        assert kind is not None
        tokens.append(_Token(kind, match[kind], match.start(kind), match["percent"] is not None))
        at = match.end()
    operators = [t for t in tokens if t.text in ("and", "or", "+", "-", "*", "/", "[", ".")]
    if len(operators) > MAX_OPERATORS:
        raise ExpressionError(
            "the expression is too long",
            f"at most {MAX_OPERATORS} operators: name parts of it",
            operators[-1].at,
        )
    tokens.append(_Token("end", "", len(text)))
    return tokens


def _character_remedy(character: str) -> str:
    known = {
        "&": "write 'and'",
        "|": "write 'or'",
        "!": "write 'not' or '!='",
        "%": "a per cent sign follows a number: 3%",
        "^": "there is no power operator; multiply",
        "{": "expressions have no braces",
    }
    return known.get(character, "remove it")


def parse(text: str) -> Node:
    """Read an expression. Raises ExpressionError at the first mistake."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression has {len(text):,} characters", f"at most {MAX_LENGTH:,}: name parts of it", 0
        )
    return _Parser(_tokens(text)).whole()


class _Parser:
    """Recursive descent, one method for each level of binding."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.position]

    def take(self) -> _Token:
        token = self.token
        self.position += 1
        return token

    def accept(self, *texts: str) -> _Token | None:
        if self.token.kind in ("op", "name") and self.token.text in texts:
            return self.take()
        return None

    def expect(self, text: str, opened: _Token) -> None:
        if not self.accept(text):
            token = self.token
            found = f"'{token.text}'" if token.text else "the end"
            raise ExpressionError(
                f"expected '{text}', found {found}",
                f"close the '{opened.text}' of column {opened.at + 1} of the expression",
                token.at,
                max(1, len(token.text)),
            )

    def whole(self) -> Node:
        if self.token.kind == "end":
            raise ExpressionError("the expression is empty", "write a condition or a value, or leave it out", 0)
        node = self.disjunction()
        if self.token.kind != "end":
            raise self.unexpected()
        return node

    def unexpected(self) -> ExpressionError:
        token = self.token
        if token.kind == "end":
            return ExpressionError("the expression ends too early", "finish it", token.at)
        remedy = "compare with '=='" if token.text == "=" else "an operator such as 'and', '<' or '+' is missing"
        return ExpressionError(f"unexpected '{token.text}'", remedy, token.at, len(token.text))

    def disjunction(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(
                "the expression is nested too deeply",
                f"at most {MAX_DEPTH} levels: name parts of it",
                self.token.at,
            )
        left = self.conjunction()
        while token := self.accept("or"):
            left = Binary(token.at, "or", left, self.conjunction())
        self.depth -= 1
        return left

    def conjunction(self) -> Node:
        left = self.negation()
        while token := self.accept("and"):
            left = Binary(token.at, "and", left, self.negation())
        return left

    def negation(self) -> Node:
        first, is_negated = self.token, False
        while self.accept("not"):
            is_negated = not is_negated
        node = self.comparison()
        return Unary(first.at, "not", node) if is_negated else node

    def comparison(self) -> Node:
        left = self.sum()
        if token := self.accept(*_COMPARISONS):
            left = Binary(token.at, token.text, left, self.sum())
            if again := self.accept(*_COMPARISONS):
                raise ExpressionError(
                    "comparisons cannot be chained", "write 'a < b and b < c'", again.at, len(again.text)
                )
        return left

    def sum(self) -> Node:
        left = self.product()
        while token := self.accept("+", "-"):
            left = Binary(token.at, token.text, left, self.product())
        return left

    def product(self) -> Node:
        left = self.unary()
        while token := self.accept("*", "/"):
            left = Binary(token.at, token.text, left, self.unary())
        return left

    def unary(self) -> Node:
        first, is_negative = self.token, False
        while token := self.accept("-", "+"):
            is_negative ^= token.text == "-"
        node = self.postfix()
        return Unary(first.at, "-", node) if is_negative else node

    def postfix(self) -> Node:
        node = self.primary()
        while True:
            if bracket := self.accept("["):
                bars = self.disjunction()
                self.expect("]", bracket)
                node = Offset(bracket.at, node, bars)
            elif dot := self.accept("."):
                if self.token.kind != "name":
                    raise ExpressionError("a name must follow the '.'", "for example .close", dot.at)
                node = Line(dot.at, node, self.take().text)
            else:
                return node

    def primary(self) -> Node:
        token = self.token
        if token.kind == "number":
            self.take()
            value = float(token.text)
            if value > 1e15:
                raise ExpressionError(f"the number {token.text[:20]} is too large", "at most 1e15", token.at)
            return Number(token.at, value / (100 if token.is_percent else 1), token.is_percent)
        if token.kind == "text":
            return Text(self.take().at, token.text[1:-1])
        if token.kind == "name" and token.text not in ("and", "or", "not"):
            self.take()
            opened = self.accept("(")
            return self.call(token, opened) if opened else Name(token.at, token.text)
        if opened := self.accept("("):
            node = self.disjunction()
            self.expect(")", opened)
            return node
        raise self.unexpected()

    def call(self, name: _Token, opened: _Token) -> Call:
        arguments: list[Node] = []
        keywords: list[tuple[str, Node]] = []
        while not self.accept(")"):
            if arguments or keywords:
                self.expect_comma(opened)
            if self.token.kind == "name" and self.tokens[self.position + 1].text == "=":
                key = self.take()
                self.take()
                keywords.append((key.text, self.disjunction()))
            else:
                arguments.append(self.disjunction())
        return Call(name.at, name.text, tuple(arguments), tuple(keywords))

    def expect_comma(self, opened: _Token) -> None:
        if not self.accept(","):
            self.expect(")", opened)  # raises: the loop has already looked for it
