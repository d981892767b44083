"""Binding: a checked expression with its parameters and named indicators put in, ready to be computed.

Two bound expressions that compute the same are equal, so they can share one result in a cache.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pitboss.strategy.expression import Binary, Call, Line, Name, Node, Number, Offset, Recursive, Unary

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


def fold(node: Node, parameters: Mapping[str, Number]) -> Node:
    """Answer `node` with parameters and constant arithmetic replaced by their numbers."""
    return bind(node, parameters, {})


def bind(
    node: Node, parameters: Mapping[str, Number], indicators: Mapping[str, Node], kept: Collection[str] = ()
) -> Node:  # fmt: skip
    """Answer `node` with its parameters, its named indicators and its constant arithmetic put in.

    `not` is moved down to the comparisons, so that a comparison with NaN is false either way. Indicators that are
    `kept` go by their names still, but for what stands under `not`, and on another timeframe.
    """
    match node:
        case Name() if node.name in kept:
            return node
        case Name() if node.name in parameters:
            value = parameters[node.name]
            return Number(node.at, value.value, value.is_percent)
        case Name() if node.name in indicators:
            return bind(indicators[node.name], parameters, indicators, kept)
        case Unary(op="not"):
            return negated(bind(node.operand, parameters, indicators))
        case Unary():
            operand = bind(node.operand, parameters, indicators, kept)
            if isinstance(operand, Number):
                return Number(node.at, -operand.value, operand.is_percent)
            return Unary(node.at, node.op, operand)
        case Binary():
            left = bind(node.left, parameters, indicators, kept)
            right = bind(node.right, parameters, indicators, kept)
            return _arithmetic(node, left, right)
        case Offset():
            bars = bind(node.bars, parameters, indicators)
            return Offset(node.at, bind(node.base, parameters, indicators, kept), bars)
        case Line():
            return Line(node.at, bind(node.base, parameters, indicators, kept), node.name)
        case Recursive():
            start = bind(node.start, parameters, indicators)
            return Recursive(node.at, node.name, start, bind(node.following, parameters, indicators))
        case Call():
            kept = () if node.name == "on" else kept
            arguments = tuple(bind(argument, parameters, indicators, kept) for argument in node.arguments)
            keywords = tuple((key, bind(value, parameters, indicators)) for key, value in node.keywords)
            return Call(node.at, node.name, arguments, keywords)
    return node


def _arithmetic(node: Binary, left: Node, right: Node) -> Node:
    if not (isinstance(left, Number) and isinstance(right, Number)) or node.op not in "+-*/":
        return Binary(node.at, node.op, left, right)
    is_percent = (left.is_percent or right.is_percent) and not (node.op == "/" and left.is_percent == right.is_percent)
    if node.op == "/":
        value = left.value / right.value if right.value else float("nan")
    else:
        value = {
            "+": left.value + right.value,
            "-": left.value - right.value,
            "*": left.value * right.value,
        }[node.op]
    return Number(node.at, value, is_percent)


def negated(node: Node) -> Node:
    """Answer the opposite of a bound condition, `not` kept only before what is no comparison."""
    match node:
        case Binary(op="and"):
            return Binary(node.at, "or", negated(node.left), negated(node.right))
        case Binary(op="or"):
            return Binary(node.at, "and", negated(node.left), negated(node.right))
        case Binary():
            return Binary(node.at, _OPPOSITE[node.op], node.left, node.right)
        case Unary(op="not"):
            return node.operand
        case Offset():
            return Offset(node.at, negated(node.base), node.bars)
        case Call(name="on"):
            return Call(node.at, "on", (node.arguments[0], negated(node.arguments[1])))
    return Unary(node.at, "not", node)
